"""`mlham gap` along a trajectory: every frame is what the command says of it alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from ase_mlham.cli.gap_along import as_slice
from ase_mlham.cli.main import main
from ase_mlham.core import BlockMatrix, LCAOSystem, OrbitalBasis, Shell, SpeciesBasis, Structure
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.errors import DomainError, InputError

OPENMX = Path(__file__).parents[1] / "data" / "openmx"


class TwoLevels:
    """Two s orbitals an atom that hop nowhere; the upper one is as high as the cell is long."""

    name, identity, sees_moments = "two levels", "two levels", False

    def predict(self, atoms, *, on_unknown="error"):
        if atoms.cell.lengths()[0] > 5:
            raise DomainError("the cell is too long")
        structure = Structure.from_atoms(atoms)
        basis = OrbitalBasis((SpeciesBasis(14, (Shell(0, 0.5), Shell(0, 0.5)), 2.0),))
        species = basis.species_index(structure.numbers)
        pattern = BlockPattern.from_cutoffs(structure, species, basis.sizes, [0.5])
        h, s = BlockMatrix.zeros(pattern), BlockMatrix.zeros(pattern)
        h.values[0][0, :] = np.diag([0.0, atoms.cell.lengths()[0]])
        s.values[0][0, :] = np.eye(2)
        return LCAOSystem(structure, basis, h, s, 2.0 * len(atoms))


@pytest.fixture
def trajectory(here, named_model):
    named_model(TwoLevels())
    frames = []
    for n in range(6):
        atoms = bulk("Si", "sc", a=2.0 + n / 4)
        frames.append(atoms)
    write("run.traj", frames)
    return "run.traj"


def gaps(*arguments: str) -> list[dict]:
    assert main(["gap", *arguments, "-q", "-k", "2,2,2", "--json", "out.json"]) == 0
    return json.loads(Path("out.json").read_text())["frames"]


@pytest.mark.parametrize(
    ("index", "frames"),
    [
        (":", [0, 1, 2, 3, 4, 5]),
        ("2:", [2, 3, 4, 5]),
        ("::4", [0, 4]),
        ("-2:", [4, 5]),
        (":-4", [0, 1]),
        ("4:1:-2", [4, 2]),
        ("::-3", [5, 2]),
    ],
)
def test_numbers_of_the_frames(index, frames, trajectory):
    found = gaps(trajectory, f"--index={index}")
    assert [one["frame"] for one in found] == frames
    # in closed form: the upper level minus the lower one
    assert [one["gap"] for one in found] == pytest.approx([2.0 + n / 4 for n in frames])
    assert [one["fermi_level"] for one in found] == pytest.approx([1.0 + n / 8 for n in frames])


def test_a_frame_is_what_the_command_says_of_it_alone(trajectory, capsys):
    along = gaps(trajectory, "--index", ":")[3]
    assert main(["gap", trajectory, "--index", "3", "-k", "2,2,2", "--json", "one.json"]) == 0
    alone = json.loads(Path("one.json").read_text())
    assert (along["gap"], along["direct"]) == (alone["fundamental"], alone["direct"])
    assert along["fermi_level"] == alone["fermi_level"]
    assert main(["gap", trajectory, "--index", "3:4", "-k", "2,2,2"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["3", "2.750", "2.750", "1.375"]


def test_a_frame_that_fails_is_told_and_the_rest_goes_on(trajectory, capsys):
    write("mixed.traj", [bulk("Si", "sc", a=a) for a in (2.0, 6.0, 3.0)])
    found = gaps("mixed.traj", "--index", ":", "-o", "mixed.png")
    assert found[1] == {
        "frame": 1, "gap": None, "direct": None, "fermi_level": None,
        "problem": "the cell is too long",
    }  # fmt: skip
    assert found[2]["gap"] == pytest.approx(3.0)
    assert "1   the cell is too long" in capsys.readouterr().out
    assert Path("mixed.png").stat().st_size > 5000
    # where the first one fails, the model is not for this trajectory
    write("long.traj", [bulk("Si", "sc", a=a) for a in (6.0, 2.0)])
    assert main(["gap", "long.traj", "--index", ":"]) == 1
    assert "the cell is too long" in capsys.readouterr().err


def test_an_interruption_keeps_what_is_done(trajectory, monkeypatch):
    predict, calls = TwoLevels.predict, []

    def interrupted(self, atoms, **options):
        calls.append(atoms)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return predict(self, atoms, **options)

    monkeypatch.setattr(TwoLevels, "predict", interrupted)
    arguments = ["gap", trajectory, "--index", ":", "-q", "-k", "2,2,2", "--json", "out.json"]
    assert main(arguments) == 130
    frames = json.loads(Path("out.json").read_text())["frames"]
    assert [one["frame"] for one in frames] == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--index", "a:b"], "expected a range such as"),
        (["--index", "::0"], "expected a range such as"),
        (["--index", "6:"], "none of its 6 images is in that range"),
        (["-o", "one.png"], "-o draws a range of images"),
        (["--index", ":", "-o", "one.txt"], "must end with one of"),
    ],
)
def test_refusals(arguments, message, trajectory, capsys):
    assert main(["gap", trajectory, *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_file_with_its_own_hamiltonian_has_one_structure(capsys):
    assert main(["gap", str(OPENMX / "h2o.scfout"), "--index", ":"]) == 1
    assert "leave --index out" in capsys.readouterr().err


def test_what_is_no_range():
    assert as_slice("-1") is None
    assert as_slice("1:-2") == slice(1, -2, None)
    with pytest.raises(InputError):
        as_slice("1:2:3:4")


def test_picture_has_holes_where_numbers_are_missing():
    from matplotlib import pyplot as plt

    from ase_mlham.plots.along_frames import plot_along_frames

    axes = plot_along_frames([0, 1, 2], {"gap (eV)": [1.0, np.nan, 2.0], "x": [0, 1, 2]})
    assert [ax.get_ylabel() for ax in axes] == ["gap (eV)", "x"]
    assert axes[-1].get_xlabel() == "frame"
    np.testing.assert_array_equal(axes[0].lines[0].get_ydata(), [1.0, np.nan, 2.0])
    plt.close("all")
