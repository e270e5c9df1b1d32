"""S, positions and gradients of OpenMX's own orbitals against those in its files."""

import numpy as np
import pytest

from ase_mlham import integrals, read_system

# one of each kind: small and large radii, unequal species, an f shell, spinors, the newer version
FILES = ("ch4.scfout.gz", "mos2.scfout.zst", "o2_spdf.scfout.zst", "si_diamond_v39.scfout.zst")
FILES += ("gaas_soc_v39.scfout.zst",)


@pytest.fixture(scope="module", params=FILES, ids=lambda name: name.split(".")[0])
def system(shared, request):
    return read_system(shared / "data" / "openmx" / request.param.split(".")[0] / request.param)


def deviations(a, b):
    """Largest difference on site and between atoms."""
    onsite, offsite = [0.0], [0.0]
    for group, x, y in zip(a.pattern.groups, a.values, b.values, strict=True):
        here = a.pattern.onsite[group.slice]
        worst = abs(x - y).max(axis=(0, 2, 3))
        onsite.extend(worst[here])
        offsite.extend(worst[~here])
    return max(onsite), max(offsite)


def test_overlap(system):
    found = integrals.overlap(system.structure, system.basis, system.overlap.pattern)
    onsite, offsite = deviations(found, system.overlap)
    # measured 1.3e-7 and 4.8e-8 over all families: docs/benchmarks/overlap.md
    assert onsite < 3e-7
    assert offsite < 1e-7


def test_the_pattern_of_the_basis_is_that_of_the_file(system):
    ours = system.pattern_from_basis()
    theirs = system.overlap.pattern
    # in a box without vacuum the file has images that only periodic directions know
    if system.structure.pbc.all():
        assert ours == theirs
    else:
        assert ours.n_blocks == theirs.n_blocks


@pytest.mark.parametrize("name", ["position", "gradient"])
def test_vector_operators(system, name):
    if name not in system.operators:
        pytest.skip("OpenMX 3.8 writes no momentum matrices")
    stated = system.operators[name]
    found = getattr(integrals, name)(system.structure, system.basis, stated.pattern)
    own_error = system.provenance["asymmetry"][name]
    # the file's matrices come from a real-space grid; how far they are from (anti-)Hermitian shows
    # by how much, and a factor of two allows for errors that are symmetric
    assert max(deviations(found, stated)) < 2 * own_error
    assert np.isfinite(own_error)
