"""The example of molecular dynamics: an interrupted run ends with the numbers of a whole one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.fd import calculate_numerical_forces
from ase.io import read

from ase_mlham import MLHamiltonian
from ase_mlham.core import BlockMatrix, LCAOSystem, OrbitalBasis, Shell, SpeciesBasis, Structure
from ase_mlham.core.pattern import BlockPattern

EXAMPLE = Path(__file__).parents[1] / "examples" / "dynamics"

# eight atoms, frames close together: a test takes a second
QUICK = {"repeat": 1, "every": 2, "kpts": 1}


@pytest.fixture(autouse=True)
def example(monkeypatch):
    """Its modules can be imported, and are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield
    for name in ("hot_crystal", "tersoff_sige", "plot"):
        sys.modules.pop(name, None)


class OneOrbital:
    """An s orbital on every atom, hopping that decays with the distance: quick, and no constant."""

    identity = "one orbital"

    def predict(self, atoms, *, on_unknown):
        structure = Structure.from_atoms(atoms)
        numbers = sorted(set(structure.numbers.tolist()))
        basis = OrbitalBasis(tuple(SpeciesBasis(z, (Shell(0, 1.6),), 1.0) for z in numbers))
        species = basis.species_index(structure.numbers)
        pattern = BlockPattern.from_cutoffs(structure, species, basis.sizes, [1.6] * len(numbers))
        h, s = BlockMatrix.zeros(pattern), BlockMatrix.zeros(pattern)
        distance = np.linalg.norm(pattern.vectors(structure), axis=1)
        for group, hopping, norm in zip(pattern.groups, h.values, s.values, strict=True):
            onsite = pattern.onsite[group.slice]
            hopping[0, :, 0, 0] = np.where(onsite, 0.0, -np.exp(-distance[group.slice]))
            norm[0, onsite] = 1.0
        return LCAOSystem(structure, basis, h, s, float(len(atoms)))


@pytest.fixture
def go():
    """Run the example with the quick model and its own potential."""
    from hot_crystal import Settings, run
    from tersoff_sige import tersoff

    def calculator(settings):
        return MLHamiltonian(OneOrbital(), potential=tersoff(), kpts=(settings.kpts,) * 3)

    def begin_or_continue(folder, steps, *, say=lambda text: None, **settings):
        run(folder, Settings(**QUICK, **settings), steps, make_calculator=calculator, say=say)

    return begin_or_continue


def same(a: Path, b: Path) -> None:
    """Results and frames are equal to the last bit."""
    assert (a / "electronic.jsonl").read_text() == (b / "electronic.jsonl").read_text()
    first, second = (read(folder / "trajectory.traj", index=":") for folder in (a, b))
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.get_momenta(), other.get_momenta())
        np.testing.assert_array_equal(one.get_forces(), other.get_forces())
        assert one.get_potential_energy() == other.get_potential_energy()


class Interrupt:
    """Stands for a key press after some frames."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, text: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("friction", [0.0, 0.01], ids=["constant energy", "Langevin"])
def test_an_interrupted_run_ends_as_a_whole_one(friction, go, tmp_path):
    options = {"friction": friction, "germanium": 0.5}
    go(tmp_path / "whole", 12, **options)
    parts = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        go(parts, 12, say=Interrupt(3), **options)
    # killed while it was writing: half a line, and a frame without results
    results = parts / "electronic.jsonl"
    lines = results.read_text().splitlines(keepends=True)
    assert len(lines) == 3
    results.write_text(lines[0] + lines[1][:20])
    go(parts, 6, **options)
    go(parts, 12, **options)
    same(tmp_path / "whole", parts)
    steps = [json.loads(line)["step"] for line in results.read_text().splitlines()]
    assert steps == [0, 2, 4, 6, 8, 10, 12]


def test_seeds_matter(go, tmp_path):
    """Else the test above compares a thing with itself."""
    for seed in (0, 1):
        go(tmp_path / str(seed), 4, seed=seed)
    a, b = (read(tmp_path / str(seed) / "trajectory.traj") for seed in (0, 1))
    assert abs(a.positions - b.positions).max() > 1e-3


def test_other_settings_are_refused(go, tmp_path):
    go(tmp_path / "run", 2)
    with pytest.raises(SystemExit, match=r"temperature: 900.0 -> 300.0.*take another folder"):
        go(tmp_path / "run", 4, temperature=300.0)


def test_energy_is_conserved_without_friction(go, tmp_path):
    go(tmp_path, 40, friction=0.0)
    frames = read(tmp_path / "trajectory.traj", index=":")
    total = [atoms.get_total_energy() for atoms in frames]
    kinetic = [atoms.get_kinetic_energy() for atoms in frames]
    # 2 fs are a thirtieth of silicon's fastest period: Verlet's energy then wavers by about
    # (omega dt)^2 / 8, half a per cent, of what goes back and forth
    assert np.ptp(total) < 0.01 * np.ptp(kinetic)


def test_results_are_of_the_frame_that_they_stand_beside(go, tmp_path):
    from ase.dft.bandgap import bandgap

    go(tmp_path, 4)
    frames = read(tmp_path / "trajectory.traj", index=":")
    lines = [json.loads(text) for text in (tmp_path / "electronic.jsonl").read_text().splitlines()]
    for atoms, line in zip(frames, lines, strict=True):
        assert line["potential_energy_eV"] == atoms.get_potential_energy()
        atoms.calc = MLHamiltonian(OneOrbital(), kpts=(1, 1, 1))
        assert line["fermi_level_eV"] == atoms.calc.get_fermi_level()
        assert line["gap_eV"] == bandgap(atoms.calc)[0]


def test_h_is_predicted_once_a_frame(tmp_path, monkeypatch):
    from hot_crystal import Settings, run
    from tersoff_sige import tersoff

    class Counting(OneOrbital):
        calls = 0

        def predict(self, atoms, *, on_unknown):
            Counting.calls += 1
            return super().predict(atoms, on_unknown=on_unknown)

    run(
        tmp_path,
        Settings(**QUICK),
        6,
        make_calculator=lambda s: MLHamiltonian(Counting(), potential=tersoff(), kpts=(1, 1, 1)),
        say=lambda text: None,
    )
    assert Counting.calls == 4


@pytest.mark.parametrize(
    ("symbol", "lattice", "energy"), [("Si", 5.432, 4.63), ("Ge", 5.656, 3.85)]
)
def test_potential_has_the_cohesion_of_the_paper(symbol, lattice, energy):
    """Cohesive energies of Tersoff, Phys. Rev. B 39, 5566 (1989), printed to 0.01 eV."""
    from tersoff_sige import tersoff

    atoms = bulk(symbol, a=lattice)
    atoms.calc = tersoff()
    assert -atoms.get_potential_energy() / 2 == pytest.approx(energy, abs=0.005)
    # at the equilibrium: eV/Å^3; the elements' lattice constants are given to 0.001 Å
    assert abs(atoms.get_stress()).max() < 1e-3


def test_forces_of_the_alloy():
    from tersoff_sige import tersoff

    atoms = bulk("SiGe", "zincblende", a=5.54)
    atoms.rattle(0.1, seed=3)
    atoms.calc = tersoff()
    # steps of 1e-4 Å: the error of central differences grows with their square
    np.testing.assert_allclose(
        atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-4), rtol=0, atol=1e-5
    )


def test_picture(go, tmp_path):
    import plot

    go(tmp_path / "run", 8)
    with (tmp_path / "run" / "electronic.jsonl").open("a") as stream:
        stream.write('{"step": 10, "ti')  # going on while it is drawn
    columns = plot.load(tmp_path / "run")
    assert columns["step"].tolist() == [0, 2, 4, 6, 8]
    plot.draw(columns, tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000
