"""Magnetic moments and spin through the commands: given, refused, and out again."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from ase_mlham.cli.main import main
from ase_mlham.cli.moments import GivenMoments, moments_table, parse_moments, set_moments
from ase_mlham.core import SpinKind, Structure
from ase_mlham.errors import InputError
from ase_mlham.formats import read_system, write_system

OPENMX = Path(__file__).resolve().parents[1] / "data" / "openmx"


@pytest.fixture
def chain_file(here, chain) -> str:
    write("chain.extxyz", chain)
    return "chain.extxyz"


def run(capsys, *arguments: str) -> tuple[str, str]:
    """Standard output and messages of a command that ends well."""
    code = main(list(arguments))
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out, printed.err


# ---------------------------------------------------------------------- the option
def test_moments_by_element_and_by_atom():
    assert not parse_moments([])
    found = parse_moments(["Fe=3", "O=-1, Ni=1.5"])
    assert found.numbers_by_element() == {"Fe": 3.0, "O": -1.0, "Ni": 1.5}
    assert parse_moments(["3,-3", "0:1:0"]).by_atom == (3.0, -3.0, (0.0, 1.0, 0.0))
    assert parse_moments(["Fe=0:0:3"]).by_element == {"Fe": (0.0, 0.0, 3.0)}


@pytest.mark.parametrize("word", ["Fe", "=3", "Fe=up", "Fe=nan", "Fe=3,", "Fe=1:2", "1,,2", ""])
def test_other_words_are_refused(word):
    with pytest.raises(InputError, match="expected Bohr magnetons by element"):
        parse_moments([word])


def test_ambiguous_moments_are_refused():
    with pytest.raises(InputError, match="Fe is given twice"):
        parse_moments(["Fe=3,Fe=2"])
    with pytest.raises(InputError, match="some by element and some by atom"):
        parse_moments(["Fe=3,2"])


@pytest.mark.parametrize(("words", "match"), [("3,-3", "by element"), ("Fe=0:0:3", "a vector")])
def test_a_set_of_structures_takes_numbers_by_element_only(words, match):
    with pytest.raises(InputError, match=match):
        parse_moments([words]).numbers_by_element()


def test_named_elements_change_and_others_keep_theirs():
    atoms = Atoms("FeOFe", magmoms=[1.0, 0.5, 1.0])
    found = set_moments(atoms, parse_moments(["Fe=-3"])).get_initial_magnetic_moments()
    np.testing.assert_array_equal(found, [-3, 0.5, -3])
    np.testing.assert_array_equal(atoms.get_initial_magnetic_moments(), [1, 0.5, 1])


def test_one_vector_makes_all_of_them_vectors():
    atoms = Atoms("FeOFe", magmoms=[1.0, 0.5, 1.0])
    found = set_moments(atoms, parse_moments(["Fe=2:0:0"])).get_initial_magnetic_moments()
    np.testing.assert_array_equal(found, [[2, 0, 0], [0, 0, 0.5], [2, 0, 0]])
    back = set_moments(set_moments(atoms, parse_moments(["1:0:0,0,0"])), parse_moments(["1,2,3"]))
    np.testing.assert_array_equal(back.get_initial_magnetic_moments(), [1, 2, 3])


@pytest.mark.parametrize(
    ("words", "match"), [("Ni=1", "the structure has none"), ("1,2", "2 for 3 atoms")]
)
def test_moments_that_do_not_fit_the_structure(words, match):
    with pytest.raises(InputError, match=match):
        set_moments(Atoms("FeOFe"), parse_moments([words]))


# ---------------------------------------------------------------------- predictions
def test_moments_reach_the_model_and_come_out(chain_file, magnet, named_model, capsys):
    """One electron in the field of one Bohr magneton, 3 eV > half the band width: all up."""
    named_model(magnet)
    printed, _ = run(capsys, "gap", chain_file, "--moments", "H=1", "--json", "gap.json")
    assert "spin" in printed
    found = json.loads(Path("gap.json").read_text())
    assert found["spin"] == "collinear"
    assert (found["vbm"]["channel"], found["cbm"]["channel"]) == ("up", "down")
    # E = -2 cos k -+ 3 eV: from 2 - 3 to -2 + 3
    assert found["fundamental"] == pytest.approx(2.0, abs=1e-6)
    assert found["moments"]["atoms"] == pytest.approx([1.0])
    assert found["moments"]["total"] == pytest.approx(1.0)
    assert found["moments of the structure"]["atoms"] == [1.0]
    # JSON as others read it too: without the infinite gap of a channel that is empty
    assert "Infinity" not in Path("gap.json").read_text()


def test_moments_turned_round_exchange_the_channels(chain_file, magnet, named_model, capsys):
    named_model(magnet)
    printed, _ = run(capsys, "gap", chain_file, "--moments=-1", "--json", "-")
    found = json.loads(printed)
    assert (found["vbm"]["channel"], found["cbm"]["channel"]) == ("down", "up")
    assert found["moments"]["total"] == pytest.approx(-1.0)


def test_vectors_for_a_spinor_model(chain_file, magnet, named_model, capsys):
    magnet.spin = SpinKind.SPINOR
    named_model(magnet)
    printed, _ = run(capsys, "gap", chain_file, "--moments", "0.6:0:0.8", "-k", "8,1,1")
    assert "spinor, magnetic" in printed
    # the spin follows the field
    assert printed.count("0.600   0.000   0.800    0.600   0.000   0.800") == 2


@pytest.mark.parametrize("command", ["bands", "dos"])
def test_pictures_take_moments(chain_file, magnet, named_model, capsys, command):
    named_model(magnet)
    run(capsys, command, chain_file, "--moments", "H=1", "-k", "8,1,1")
    assert Path(f"{command}.png").stat().st_size > 1000


def test_predict_keeps_moments_and_says_them(chain_file, magnet, named_model, capsys):
    named_model(magnet)
    printed, _ = run(capsys, "predict", chain_file, "--moments", "H=1", "-o", "H.h5")
    assert "spin: collinear" in printed
    assert "0 H    1.000" in printed
    np.testing.assert_array_equal(read_system("H.h5").structure.moments, [[0, 0, 1]])
    facts = json.loads(run(capsys, "info", "H.h5", "--json", "-")[0])
    assert facts["spin"] == "collinear"
    assert facts["moments"] == {"unit": "Bohr magnetons", "total": 1.0, "atoms": [1.0]}


def test_moments_of_the_file_are_read(here, chain, magnet, named_model, capsys):
    chain.set_initial_magnetic_moments([-1.0])
    write("chain.extxyz", chain)
    named_model(magnet)
    found = json.loads(run(capsys, "gap", "chain.extxyz", "--json", "-")[0])
    assert found["moments"]["total"] == pytest.approx(-1.0)
    facts = json.loads(run(capsys, "info", "chain.extxyz", "--json", "-")[0])
    assert facts["moments"]["atoms"] == [-1.0]


def test_moments_for_the_second_source(here, toy, chain, magnet, named_model, capsys):
    """A DFT file without moments against a magnetic model."""
    write_system(toy.predict(chain), "chain.h5")
    named_model(magnet)
    arguments = ["bands", "chain.h5", "-k", "8,1,1", "--compare", "magnet", "-o", "c.png"]
    assert main(arguments) == 1
    assert "--moments H=1" in capsys.readouterr().err
    with pytest.raises(InputError, match="has its own Hamiltonian"):
        _open_both("chain.h5", "chain.h5")
    magnet.spin = SpinKind.COLLINEAR
    write_system(type(toy)(SpinKind.COLLINEAR).predict(chain), "chain.h5")
    run(capsys, *arguments, "--moments", "H=1")
    assert magnet.calls == 1


def _open_both(file: str, other: str) -> None:
    from ase_mlham.cli.main import build_parser
    from ase_mlham.cli.source import open_other, open_system

    words = ["bands", file, "--compare", other, "--moments", "H=1"]
    options = build_parser("bands").parse_args(words)
    open_other(options.compare, open_system(options), options)


def test_a_comparison_of_two_models_gives_both_the_moments(
    chain_file, toy, magnet, named_model, capsys, monkeypatch
):
    """The second sees none: that is said, and is no mistake of the user."""
    from ase_mlham.learning import model

    # as a magnetic and a nonmagnetic model of one basis
    plain = type(toy)(SpinKind.COLLINEAR)
    monkeypatch.setattr(model, "load_model", lambda name, **_: magnet if name == "m" else plain)
    arguments = ["--model", "m", "--compare", "plain", "--moments", "H=1", "-k", "8,1,1"]
    _, said = run(capsys, "bands", chain_file, *arguments)
    assert said.count("not trained on any") == 1


# ---------------------------------------------------------------------- moments that nobody sees
def test_leftover_moments_are_a_warning_that_stays(here, model_file, capsys):
    atoms = bulk("Si", a=5.43)
    atoms.set_initial_magnetic_moments([1.0, -1.0])
    write("silicon.extxyz", atoms)
    _, said = run(capsys, "predict", "silicon.extxyz", "--model", model_file, "-o", "H.h5")
    assert said.count("not trained on any") == 1
    assert any("not trained on any" in text for text in read_system("H.h5").warnings)


def test_zero_moments_are_no_moments(here, model_file, capsys):
    atoms = bulk("Si", a=5.43)
    atoms.set_initial_magnetic_moments([0.0, 0.0])
    write("silicon.extxyz", atoms)
    _, said = run(capsys, "predict", "silicon.extxyz", "--model", model_file, "-o", "H.h5")
    assert "moments" not in said
    assert not read_system("H.h5").warnings


# ---------------------------------------------------------------------- a DFT code's own
def test_moments_of_openmx(capsys):
    """The total and the directions that OpenMX prints: 2 Bohr magnetons, theta 50, phi 30."""
    collinear = json.loads(run(capsys, "gap", str(OPENMX / "o2_triplet.scfout"), "--json", "-")[0])
    # 1e-5: the file has H, not the occupations
    assert collinear["moments"]["atoms"] == pytest.approx([1.0, 1.0], abs=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = str(OPENMX / "o2_nc.scfout.zst")
        spinor = json.loads(run(capsys, "gap", file, "--json", "-")[0])
    x, y, z = spinor["moments"]["total"]
    assert np.linalg.norm([x, y, z]) == pytest.approx(2.0, abs=1e-4)
    # 0.01 degrees: OpenMX prints 49.999999 and 30.0000003 from its density matrix
    assert np.degrees(np.arccos(z / 2)) == pytest.approx(50.0, abs=0.01)
    assert np.degrees(np.arctan2(y, x)) == pytest.approx(30.0, abs=0.01)


def test_without_spin_nothing_is_said_of_moments(here, toy, capsys):
    write_system(toy.predict(bulk("Si", a=5.43)), "silicon.h5")
    printed, _ = run(capsys, "gap", "silicon.h5", "-k", "2,2,2", "--json", "gap.json")
    assert "moment" not in printed
    found = json.loads(Path("gap.json").read_text())
    assert found["spin"] == "none"
    assert "moments" not in found


# ---------------------------------------------------------------------- tables
def test_tables_of_many_atoms_are_short():
    structure = Structure.from_atoms(Atoms("Fe50", positions=np.eye(50, 3)))
    moments = np.zeros((50, 3))
    moments[:, 2] = 0.1
    lines = moments_table(structure, {"moment": moments, "given": None}).splitlines()
    assert "given" not in lines[0]
    assert len(lines) == 1 + 20 + 2
    assert lines[-2].strip() == "and 30 more"
    # of all atoms, not only of those shown
    assert lines[-1].split() == ["total", "5.000"]


def test_given_moments_are_empty_or_not():
    assert not GivenMoments({})
    assert GivenMoments({"Fe": 0.0})
