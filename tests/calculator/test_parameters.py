"""What the calculator accepts, and the form in which it keeps it.

Numbers in names of tests, such as 1_5, are facts about ASE 3.29 that the calculator has to respect.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import CalculatorSetupError, InputError, kpts2kpts
from ase.calculators.emt import EMT
from ase.config import cfg
from ase.io.jsonio import encode

from ase_mlham import errors
from ase_mlham.calculator import CalculatorInputError, MLHamiltonian
from ase_mlham.core import Structure
from ase_mlham.electronic.kpoints import KPoints, k_mesh, k_points


@pytest.mark.parametrize("make", [MLHamiltonian, lambda **kw: MLHamiltonian().set(**kw)])
def test_1_5_unknown_keyword_names_the_nearest(make):
    with pytest.raises(CalculatorInputError, match="did you mean 'smearing'"):
        make(smaering=0.1)


def test_errors_are_those_of_ase_and_of_the_package():
    for kind in (InputError, CalculatorSetupError, errors.InputError, errors.MLHamError):
        with pytest.raises(kind):
            MLHamiltonian(bogus=1)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"model": 3}, "model 3"),
        ({"potential": "emt"}, "give the calculator itself"),
        ({"potential": 3}, "not a calculator"),
        ({"smearing": "wide"}, "expected a number"),
        ({"smearing": ("fermi-dirac", 0.1, 3)}, "a pair"),
        ({"occupation": "marzari"}, "accepted: tetrahedron"),
        ({"on_unknown": "ignore"}, "accepted"),
        ({"system": "Si2, OpenMX, 3f6a"}, "give the system itself"),
        ({"system": 3}, "expected an LCAOSystem"),
        ({"charge": None}, "expected a number"),
    ],
)
def test_bad_values_are_refused(bad, said):
    with pytest.raises(CalculatorInputError, match=said):
        MLHamiltonian(**bad)


def test_a_refused_change_changes_nothing(toy):
    calculator = MLHamiltonian(toy, kpts=(2, 2, 2))
    with pytest.raises(CalculatorInputError):
        calculator.set(kpts=(4, 4, 4), smearing="wide")
    assert calculator.parameters.kpts == (2, 2, 2)


def test_models_and_potentials_keep_a_plain_identity(toy):
    calculator = MLHamiltonian(toy, potential=EMT())
    assert calculator.parameters.model == "toy@1"
    assert calculator.parameters.potential == "emt"
    assert calculator.todict() == {"model": "toy@1", "potential": "emt"}


def test_the_source_is_always_written():
    assert MLHamiltonian().todict() == {"model": "sige"}


def test_1_5_instances_do_not_share_their_properties(toy):
    assert "energy" in MLHamiltonian(toy, potential=EMT()).implemented_properties
    assert MLHamiltonian(toy).implemented_properties == ["charges", "magmom", "magmoms"]
    assert "energy" not in MLHamiltonian.implemented_properties


def test_ase_form_of_smearing(toy):
    parameters = MLHamiltonian(toy, smearing=("Fermi-Dirac", 0.2)).parameters
    assert (parameters.occupation, parameters.smearing) == ("fermi-dirac", 0.2)


def test_label_and_directory_are_accepted(toy, tmp_path):
    assert MLHamiltonian(toy, label="abc").prefix == "abc"
    assert MLHamiltonian(toy, directory=tmp_path).directory == str(tmp_path)


def test_a_device_for_a_model_that_is_there_already_is_refused(toy):
    with pytest.raises(CalculatorInputError, match=r"load_model\(\.\.\., device='cpu'\)"):
        MLHamiltonian(toy, device="cpu")
    calculator = MLHamiltonian(toy)
    with pytest.raises(CalculatorInputError, match="dtype"):
        calculator.set(dtype="float64")


# ---------------------------------------------------------------------- k-points
@pytest.mark.parametrize("kind", [tuple, list, np.array, np.int32, np.uint8])
def test_2_3_every_triple_of_integers_is_a_mesh(toy, silicon, kind):
    kpts = tuple(kind(n) for n in (2, 2, 2)) if kind in (np.int32, np.uint8) else kind([2, 2, 2])
    silicon.calc = MLHamiltonian(toy, kpts=kpts)
    assert silicon.calc.parameters.kpts == (2, 2, 2)
    assert all(type(n) is int for n in silicon.calc.parameters.kpts)
    assert len(silicon.calc.get_bz_k_points()) == 8


@pytest.mark.parametrize("density", [2, 2.0, np.float32(2), {"density": np.float64(2.0)}])
def test_2_3_a_number_is_a_density(toy, silicon, density):
    silicon.calc = MLHamiltonian(toy, kpts=density)
    # 2 pi / 5.43 Å * sqrt(3) = 2.004 per Å, times two: five points
    assert len(silicon.calc.get_bz_k_points()) == 5**3


@pytest.mark.parametrize(
    "kpts", [[0.0, 0.0, 0.0], (0.25, 0, 0), np.array([0.5, 0.5, 0.0]), [[0.1, 0.2, 0.3]]]
)
def test_2_3_three_floats_are_one_point(toy, silicon, kpts):
    silicon.calc = MLHamiltonian(toy, kpts=kpts)
    np.testing.assert_array_equal(silicon.calc.get_ibz_k_points(), np.atleast_2d(kpts))


def test_2_3_a_list_of_points(toy, silicon):
    silicon.calc = MLHamiltonian(toy, kpts=[(0, 0, 0), (0.5, 0, 0)])
    assert silicon.calc.get_ibz_k_points().shape == (2, 3)
    np.testing.assert_array_equal(silicon.calc.get_k_point_weights(), [0.5, 0.5])


@pytest.mark.parametrize("path", ["GXL", {"path": "GXL", "npoints": np.int64(8)}])
def test_2_3_texts_and_dictionaries_are_paths(toy, silicon, path):
    silicon.calc = MLHamiltonian(toy, kpts=path)
    bands = silicon.calc.band_structure()
    assert bands.path.path == "GXL"
    assert len(silicon.calc.get_ibz_k_points()) == len(bands.path.kpts)


def test_2_3_a_band_path_is_itself(toy, silicon):
    path = silicon.cell.bandpath("GX", npoints=7)
    silicon.calc = MLHamiltonian(toy, kpts=path)
    np.testing.assert_array_equal(silicon.calc.get_ibz_k_points(), path.kpts)


def test_2_3_objects_of_ase_with_points(toy, silicon):
    of_ase = kpts2kpts([(0, 0, 0), (0.25, 0, 0)], silicon)
    silicon.calc = MLHamiltonian(toy, kpts=of_ase)
    np.testing.assert_array_equal(silicon.calc.get_ibz_k_points(), of_ase.kpts)


@pytest.mark.parametrize("gamma", [True, False])
@pytest.mark.parametrize("reversal", [True, False])
def test_own_meshes_are_recovered(toy, silicon, gamma, reversal):
    structure = Structure.from_atoms(silicon)
    mesh = k_mesh(structure, (4, 4, 4), gamma=gamma, time_reversal=reversal)
    calculator = MLHamiltonian(toy, kpts=mesh)
    assert calculator.parameters.kpts == {"size": (4, 4, 4), "gamma": gamma}
    found = calculator.states(atoms=silicon)
    np.testing.assert_array_equal(
        found.kpts, k_mesh(structure, (4, 4, 4), gamma=gamma, time_reversal=True).kpts
    )


def test_own_points_and_paths_are_recovered(toy, silicon):
    structure = Structure.from_atoms(silicon)
    along = k_points("GX", structure)
    assert MLHamiltonian(toy, kpts=along).parameters.kpts is along.path
    points = k_points([(0, 0, 0), (0.5, 0, 0)], structure)
    assert MLHamiltonian(toy, kpts=points).parameters.kpts == [[0, 0, 0], [0.5, 0, 0]]
    uneven = KPoints([(0, 0, 0), (0.5, 0, 0)], [0.25, 0.75])
    with pytest.raises(CalculatorInputError, match="weights of their own"):
        MLHamiltonian(toy, kpts=uneven)


@pytest.mark.parametrize(
    ("kpts", "said"),
    [
        ((2, 2), "shape"),
        ([[[0, 0, 0]]], "shape"),
        ([], "not understood"),
        (True, "not understood"),
        ([(0, 0, 0), (1, 2)], "not understood"),
        (["G", "X"], "not understood"),
        ((4.0, 4.0, 4.0), r"write \(4, 4, 4\) for a mesh"),
        ({"size": "many"}, "mesh"),
    ],
)
def test_2_3_other_things_are_refused(toy, silicon, kpts, said):
    with pytest.raises(errors.InputError, match=said):
        MLHamiltonian(toy, kpts=kpts).get_property("charges", silicon)


@pytest.mark.parametrize(
    "kpts",
    [
        None,
        np.array([4, 4, 4]),
        np.float64(3.0),
        np.zeros(3),
        np.zeros((2, 3)),
        "GX",
        {"size": np.array([2, 2, 2]), "gamma": np.bool_(True)},
        {"path": "GX", "npoints": np.int64(5)},
        bulk("Si").cell.bandpath("GX", npoints=5),
    ],
)
def test_1_4_parameters_go_through_json_and_back(toy, kpts):
    calculator = MLHamiltonian(toy, kpts=kpts)
    written = json.loads(encode(calculator.todict()))
    # ASE's own decoder makes objects of these; plain JSON is the harder case
    again = MLHamiltonian(toy, kpts=_arrays(written.get("kpts")))
    atoms = bulk("Si", a=5.43)
    if kpts is not None and hasattr(kpts, "special_points"):
        atoms = bulk("Si")
    np.testing.assert_array_equal(
        calculator.states(calculator.parameters.kpts, atoms=atoms).kpts,
        again.states(again.parameters.kpts, atoms=atoms).kpts,
    )


def _arrays(value):
    """What a plain JSON reader does with ASE's arrays."""
    if isinstance(value, dict) and "__ndarray__" in value:
        shape, dtype, data = value["__ndarray__"]
        return np.array(data, dtype=dtype).reshape(shape)
    if isinstance(value, dict):
        return {name: _arrays(v) for name, v in value.items() if name != "__ase_objtype__"}
    return value


# ---------------------------------------------------------------------- configuration
@pytest.fixture
def configuration():
    """Call it with the entries of section [mlham]."""

    def call(**entries):
        cfg.parser["mlham"] = entries

    yield call
    cfg.parser.remove_section("mlham")


def test_3_6_the_configuration_file_sets_defaults(configuration):
    configuration(model="mine.mlham", device="cpu")
    assert MLHamiltonian().parameters.model == "mine.mlham"
    assert MLHamiltonian().parameters.device == "cpu"
    assert MLHamiltonian("sige", device="auto").parameters.device == "auto"
    # what is written says what was used, on machines with another configuration too
    assert MLHamiltonian().todict() == {"model": "mine.mlham", "device": "cpu"}
    assert MLHamiltonian("sige", device="auto").todict() == {"model": "sige"}


def test_3_6_objects_do_not_care_for_the_configuration(toy, configuration):
    configuration(model="mine.mlham", device="cuda")
    assert MLHamiltonian(toy).parameters.device == "auto"


def test_3_6_a_typo_in_the_configuration_file(configuration):
    configuration(dtyp="float64")
    with pytest.raises(CalculatorInputError, match="did you mean 'dtype'"):
        MLHamiltonian()
