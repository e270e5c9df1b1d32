"""Atoms of a file without its matrices: the same atoms, and no memory for the matrices."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ase_mlham.core import BlockMatrix, Shell, SpeciesBasis, SpinKind
from ase_mlham.core.basis import OrbitalBasis
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.structure import Structure
from ase_mlham.core.system import LCAOSystem
from ase_mlham.errors import FormatError
from ase_mlham.formats import Outline, read_outline, read_system, write_system
from ase_mlham.formats.openmx import reader

OPENMX = Path(__file__).parents[1] / "data" / "openmx"


@pytest.mark.parametrize("name", ["h2o.scfout", "o2_triplet.scfout", "o2_nc.scfout.zst"])
def test_the_outline_says_what_the_system_says(name, tmp_path):
    system = read_system(OPENMX / name)
    write_system(system, tmp_path / "native.h5")
    for path in (OPENMX / name, tmp_path / "native.h5"):
        found, expected = read_outline(path), Outline.of(system)
        assert found.structure == expected.structure
        assert (found.spin, found.n_electrons) == (expected.spin, expected.n_electrons)
        assert (found.fermi_level, found.source) == (expected.fermi_level, "OpenMX")


@pytest.mark.parametrize(
    ("version", "spin"), [(0, 0), (0, 1), (0, 3), (3, 0), (3, 1), (3, 3)], ids=str
)
def test_every_layout_is_skipped_to_its_end(version, spin, scfout):
    """How many matrices there are depends on version and spin."""
    path = scfout(version=version, spin=spin)
    found, system = reader.outline(path), reader.read(path)
    assert found.structure == system.structure
    assert found.fermi_level == system.fermi_level


def test_a_file_that_is_cut_off(tmp_path):
    data = (OPENMX / "h2o.scfout").read_bytes()
    path = tmp_path / "cut.scfout"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError, match=r"the matrices should take .* cut off"):
        read_outline(path)


def test_a_format_without_an_outline_is_read_whole(monkeypatch):
    from dataclasses import replace

    from ase_mlham.formats import registry

    detect = registry.detect_format
    monkeypatch.setattr(registry, "detect_format", lambda path: replace(detect(path), outline=None))
    assert read_outline(OPENMX / "h2o.scfout").structure.n_atoms == 3


def test_a_moment_and_a_missing_fermi_level_survive(tmp_path):
    basis = OrbitalBasis((SpeciesBasis(26, (Shell(0, 2.0),), 8.0),))
    structure = Structure([26], [[0, 0, 0]], np.eye(3) * 9, [1, 1, 1], [2.2])
    pattern = BlockPattern.from_cutoffs(structure, np.array([0]), basis.sizes, [2.0])
    matrix = BlockMatrix(pattern, (np.ones((1, 1, 1, 1)),))
    write_system(LCAOSystem(structure, basis, matrix, matrix, 1.0), tmp_path / "iron.h5")
    atoms = read_outline(tmp_path / "iron.h5").to_atoms()
    assert atoms.get_initial_magnetic_moments().tolist() == [2.2]
    assert atoms.info == {"source": "unknown", "n_electrons": 1.0}
    assert atoms.calc is None


def large_system() -> LCAOSystem:
    """One atom whose orbitals see several thousand of its images: 60 MB of H and S."""
    shells = tuple(Shell(l, 10.0) for l in (0, 0, 1, 1, 2, 2))
    basis = OrbitalBasis((SpeciesBasis(14, shells, 4.0),))
    structure = Structure([14], [[0, 0, 0]], np.eye(3) * 1.6, [1, 1, 1])
    pattern = BlockPattern.from_cutoffs(structure, np.array([0]), basis.sizes, [10.0])
    matrix = BlockMatrix.zeros(pattern)
    matrix.values[0][0, pattern.onsite] = np.eye(18)
    return LCAOSystem(structure, basis, matrix, matrix, 4.0, SpinKind.NONE)


def test_no_matrix_is_held_in_memory(tmp_path):
    system = large_system()
    write_system(system, tmp_path / "large.h5", compression=None)
    size = (tmp_path / "large.h5").stat().st_size
    assert size > 2e7  # else this test says nothing
    read_outline(tmp_path / "large.h5")  # imports are not what is measured
    tracemalloc.start()
    try:
        found = read_outline(tmp_path / "large.h5")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.structure == system.structure
    assert peak < size / 20, f"{peak} bytes for a file of {size}"


def test_no_matrix_of_a_scfout_file_is_held_in_memory(shared, tmp_path):
    """8 MB of matrices with spin-orbit coupling: a plain file is read at both ends only."""
    from ase_mlham.formats.compression import ByteStream

    packed = shared / "data" / "openmx" / "bi2se3_soc" / "bi2se3_soc.scfout.zst"
    path = tmp_path / "plain.scfout"
    with ByteStream(packed) as stream:
        path.write_bytes(stream.rest(1 << 24))
    size = path.stat().st_size
    assert size > 7e6  # else this test says nothing
    read_outline(path)
    tracemalloc.start()
    try:
        found = read_outline(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 20, f"{peak} bytes for a file of {size}"
    assert found.structure == read_system(packed).structure
