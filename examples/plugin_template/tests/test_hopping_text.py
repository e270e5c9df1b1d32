"""The text format: what is written is read, and damage is refused with file and line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import ase_mlham as mh
from ase_mlham.errors import FormatError
from ase_mlham.testing.formats import check_format
from ase_mlham.testing.strategies import systems
from mlham_template import hopping_text, plugin

CHAIN = """hopping-text 1
pbc 1 0 0
cell 2.0 0.0 0.0
cell 0.0 9.0 0.0
cell 0.0 0.0 9.0
basis H 1 1.5 s      # one s shell within 1.5 Å
atom H 0.0 0.0 0.0
H 0 0 0 0 0 0.0
H 0 0 1 0 0 -1.0
S 0 0 0 0 0 1.0
S 0 0 1 0 0 0.2
end
"""


@pytest.fixture
def chain(tmp_path):
    path = tmp_path / "chain.hop"
    path.write_text(CHAIN)
    return path


def test_the_package_finds_the_format_by_itself(chain):
    system = mh.read_system(chain)
    # one orbital a cell: E(k) = 2 t cos(2 pi k) / (1 + 2 s cos(2 pi k))
    for k in (0.0, 0.2, 0.5):
        c = np.cos(2 * np.pi * k)
        energy = system.hamiltonian.at_k([k, 0, 0]) / system.overlap.at_k([k, 0, 0])
        assert energy[0, 0, 0] == pytest.approx(-2 * c / (1 + 0.4 * c), abs=1e-12)
    assert system.n_electrons == 1


@settings(max_examples=20, deadline=None)
@given(system=systems(spin="none"))
def test_what_is_written_is_read(system, tmp_path_factory):
    path = tmp_path_factory.mktemp("hop") / "drawn.hop"
    mh.write_system(system, path)
    again = mh.read_system(path)
    assert again.structure == system.structure
    assert again.fermi_level == system.fermi_level
    for before, after in (
        (system.hamiltonian, again.hamiltonian),
        (system.overlap, again.overlap),
    ):
        assert after.pattern == before.pattern
        # repr of a double reads back as the same double
        assert all(np.array_equal(a, b) for a, b in zip(after.values, before.values, strict=True))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hopping-text 1", "hopping-text 9", "line 1: 'hopping-text 9'; this reader knows"),
        ("basis H 1 1.5 s", "basis Xx 1 1.5 s", "line 6: .* cannot be understood"),
        ("H 0 0 1 0 0 -1.0", "H 0 0 1 0 0 nan", "line 9: .*not finite"),
        ("H 0 0 1 0 0 -1.0", "H 0 0 1 0 0 1.0 2.0", "line 9: 2 matrix elements; .* need 1"),
        ("H 0 0 1 0 0 -1.0", "H 0 7 1 0 0 -1.0", "outside 0..0"),
        ("cell 2.0 0.0 0.0\n", "", "2 lines 'cell'; expected 3"),
        ("S 0 0 0 0 0 1.0\nS 0 0 1 0 0 0.2\n", "", "no line 'S'"),
        ("S 0 0 0 0 0 1.0", "S 0 0 0 0 0 0.0", "no norm"),
    ],
)
def test_damage_is_named(chain, old, new, message):
    assert old in CHAIN
    chain.write_text(CHAIN.replace(old, new))
    with pytest.raises(FormatError, match=message):
        hopping_text.read(chain)


def test_every_truncation_is_refused(chain):
    text = CHAIN.rstrip().encode()
    for length in range(len(text)):
        chain.write_bytes(text[:length])
        with pytest.raises(FormatError):
            hopping_text.read(chain)


def test_conformance(chain, tmp_path):
    (spec,) = plugin.mlham_formats()
    (tmp_path / "work").mkdir()
    check_format(spec, [chain], tmp_path / "work")


def test_spin_is_refused(chain, tmp_path):
    system = mh.read_system(chain)
    h = system.hamiltonian
    doubled = type(h)(h.pattern, tuple(np.concatenate([a, 0 * a]) for a in h.values))
    with pytest.raises(FormatError, match="without spin, not collinear"):
        mh.write_system(system.replace(hamiltonian=doubled, spin="collinear"), tmp_path / "x.hop")
    assert [entry.name for entry in tmp_path.iterdir()] == ["chain.hop"]
