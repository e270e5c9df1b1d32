"""Every error in docs/errors.md is provoked, and says what the page says.

Each function below is named after a row of the page: it prepares files in the current folder and
returns the arguments of `mlham`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path

import h5py
import pytest
from ase.build import bulk
from ase.io import write

from ase_mlham.cli.main import main
from ase_mlham.core import BlockMatrix, LCAOSystem, OrbitalBasis, SpeciesBasis, SpinKind
from ase_mlham.formats import write_system

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
Prepare = Callable[..., list[str]]
CASES: dict[str, Prepare] = {}


def rows() -> dict[str, tuple[str, int]]:
    """Message and exit code of each row of the page."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 5 and cells[0].strip("| ").startswith("`"):
            name = cells[0].strip("|` ")
            assert name not in found, f"{name} stands twice in {PAGE.name}"
            found[name] = (cells[2].strip("` "), int(cells[3]))
    return found


def case(function: Prepare) -> Prepare:
    """Register what provokes the row of the same name."""
    CASES[function.__name__.replace("_", "-")] = function
    return function


def pattern(message: str) -> str:
    """Regular expression of a message in which … stands for anything."""
    return ".*".join(re.escape(part) for part in message.split("…"))


# ---------------------------------------------------------------------- helpers
def silicon_file() -> str:
    write("silicon.vasp", bulk("Si"))
    return "silicon.vasp"


def native_file(toy, edit: Callable[[h5py.File], None] | None = None) -> str:
    write_system(toy.predict(bulk("Si", a=5.43)), "silicon.h5")
    if edit is not None:
        with h5py.File("silicon.h5", "r+") as file:
            edit(file)
    return "silicon.h5"


def hide(monkeypatch, name: str, *loaded: str) -> None:
    """Make a module impossible to import, and forget the modules that have done so."""
    for module in [m for m in sys.modules if m.startswith(loaded)]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)


# ---------------------------------------------------------------------- files
@case
def no_such_file(**_):
    silicon_file()
    return ["gap", "silicon.vsp"]


@case
def empty_file(**_):
    Path("empty.cif").touch()
    return ["gap", "empty.cif"]


@case
def not_a_structure(**_):
    Path("notes.qqq").write_text("nothing to see\n")
    return ["gap", "notes.qqq"]


@case
def damaged_structure(**_):
    Path("silicon.cif").write_text("data_x\nloop_\n_atom_site_label\n_atom_site_fract_x\nSi1\n")
    return ["gap", "silicon.cif"]


@case
def truncated_output(toy, **_):
    path = Path(native_file(toy))
    path.write_bytes(path.read_bytes()[:3000])
    return ["gap", str(path)]


@case
def no_hamiltonian(toy, **_):
    return ["gap", native_file(toy, lambda file: file.pop("hamiltonian"))]


@case
def no_overlap(toy, **_):
    return ["gap", native_file(toy, lambda file: file.pop("overlap"))]


@case
def interrupted_writer(toy, **_):
    return ["gap", native_file(toy, lambda file: file.attrs.pop("complete"))]


@case
def newer_version(toy, **_):
    return ["gap", native_file(toy, lambda file: file.attrs.update(version="99.0"))]


@case
def model_as_file(**_):
    Path("trained.mlham").write_bytes(b"x")
    return ["gap", "trained.mlham"]


@case
def bad_image(**_):
    return ["gap", silicon_file(), "--index", "7"]


@case
def image_not_a_number(**_):
    return ["gap", silicon_file(), "--index", "last"]


# ---------------------------------------------------------------------- structures
@case
def no_cell(**_):
    Path("silicon.xyz").write_text("2\n\nSi 0 0 0\nSi 1.36 1.36 1.36\n")
    return ["gap", "silicon.xyz"]


@case
def zero_vector(**_):
    Path("slab.extxyz").write_text(
        '1\nLattice="3 0 0 0 3 0 0 0 0" pbc="T T T" Properties=species:S:1:pos:R:3\nSi 0 0 0\n'
    )
    return ["gap", "slab.extxyz"]


@case
def overlapping_atoms(**_):
    atoms = bulk("Si")
    atoms.positions[1] = atoms.positions[0] + (0.1, 0, 0)
    write("close.extxyz", atoms)
    return ["gap", "close.extxyz"]


# ---------------------------------------------------------------------- k-points and options
@case
def bad_path(toy, **_):
    return ["bands", native_file(toy), "--path", "GQ"]


@case
def path_of_a_molecule(toy, **_):
    atoms = bulk("Si")
    atoms.pbc = False
    write_system(toy.predict(atoms), "cluster.h5")
    return ["bands", "cluster.h5", "--path", "GX"]


@case
def bad_kpts(toy, **_):
    return ["gap", native_file(toy), "-k", "4,4"]


@case
def zero_kpts(toy, **_):
    return ["gap", native_file(toy), "-k", "0,4,4"]


@case
def kpts_along_vacuum(toy, **_):
    atoms = bulk("Si")
    atoms.pbc = (True, True, False)
    write_system(toy.predict(atoms), "slab.h5")
    return ["gap", "slab.h5", "-k", "4,4,4"]


@case
def negative_density(toy, **_):
    return ["gap", native_file(toy), "--kpts=-1"]


@case
def empty_window(toy, **_):
    return ["bands", native_file(toy), "--emin", "5", "--emax", "-5"]


@case
def not_a_number(toy, **_):
    return ["bands", native_file(toy), "--emin", "low"]


def singular(system: LCAOSystem) -> LCAOSystem:
    """The system with two orbitals of an atom that are almost the same."""
    pattern = system.overlap.pattern
    values = []
    for group, array in zip(pattern.groups, system.overlap.values, strict=True):
        changed = array.copy()
        here = pattern.onsite[group.slice]
        changed[:, here, 0, 1] = changed[:, here, 1, 0] = 1 - 1e-12
        values.append(changed)
    return system.replace(overlap=BlockMatrix(pattern, tuple(values)))


@case
def singular_overlap(toy, **_):
    write_system(singular(toy.predict(bulk("Si", a=5.43))), "singular.h5")
    return ["gap", "singular.h5"]


def collapsed(system: LCAOSystem) -> LCAOSystem:
    """Two orbitals with overlap 0.99 whose difference H puts far below all bands."""
    h, s = [], []
    pattern = system.overlap.pattern
    matrices = zip(pattern.groups, system.hamiltonian.values, system.overlap.values, strict=True)
    for group, hamiltonian, overlap in matrices:
        h.append(hamiltonian.copy())
        s.append(overlap.copy())
        here = pattern.onsite[group.slice]
        h[-1][:, here, 0, 1] = h[-1][:, here, 1, 0] = 5.0
        s[-1][:, here, 0, 1] = s[-1][:, here, 1, 0] = 0.99
    return system.replace(
        hamiltonian=BlockMatrix(pattern, tuple(h)), overlap=BlockMatrix(pattern, tuple(s))
    )


@case
def collapse(toy, **_):
    write_system(collapsed(toy.predict(bulk("Si", a=5.43))), "collapsed.h5")
    return ["bands", "collapsed.h5", "-k", "2,2,2", "--npoints", "5"]


@case
def bad_floor(toy, **_):
    return ["gap", native_file(toy), "--overlap-floor", "3"]


@case
def unknown_solver(toy, **_):
    return ["gap", native_file(toy), "--solver", "dens"]


@case
def too_large(toy, monkeypatch, **_):
    from ase_mlham.electronic.solvers import cost

    monkeypatch.setattr(cost, "total_memory", lambda: 1000)
    return ["gap", native_file(toy)]


@case
def unknown_command(**_):
    return ["band", "silicon.cif"]


@case
def unknown_option(**_):
    return ["gap", "silicon.cif", "--jsn", "x"]


# ---------------------------------------------------------------------- output
@case
def bad_suffix(toy, **_):
    return ["bands", native_file(toy), "-o", "bands.doc"]


@case
def no_folder(toy, **_):
    return ["bands", native_file(toy), "-o", "figures/bands.png"]


@case
def output_exists(toy, **_):
    Path("H.h5").touch()
    return ["predict", silicon_file(), "-o", "H.h5"]


@case
def output_is_a_folder(toy, **_):
    Path("H.h5").mkdir()
    return ["convert", native_file(toy), "H.h5"]


# ---------------------------------------------------------------------- models
@case
def unknown_model(install, **_):
    install()
    return ["gap", silicon_file(), "--model", "tinny"]


@case
def no_model_file(**_):
    pytest.importorskip("torch")
    return ["gap", silicon_file(), "--model", "absent.mlham"]


@case
def damaged_model(model_file, **_):
    Path("damaged.mlham").write_bytes(Path(model_file).read_bytes()[:2000])
    return ["gap", silicon_file(), "--model", "damaged.mlham"]


@case
def unknown_element(model_file, **_):
    write("gaas.vasp", bulk("GaAs", "zincblende", a=5.65))
    return ["gap", "gaas.vasp", "--model", model_file]


@case
def too_close(model_file, **_):
    write("compressed.vasp", bulk("Si", a=4.5))
    return ["gap", "compressed.vasp", "--model", model_file]


@case
def other_spin(model_file, toy, **_):
    toy.spin = SpinKind.COLLINEAR
    write_system(toy.predict(bulk("Si", a=5.43)), "spinful.h5")
    return ["evaluate", model_file, "spinful.h5"]


@case
def other_shapes(model_file, toy, **_):
    system = toy.predict(bulk("Si", a=5.43))
    write_system(system.replace(overlap=0.9 * system.overlap), "silicon.h5")
    return ["evaluate", model_file, "silicon.h5"]


@case
def other_basis(model_file, toy, **_):
    atoms = bulk("Si", a=5.43)
    system = toy.predict(atoms)
    smaller = SpeciesBasis(14, system.basis[14].shells[::-1], 4.0)
    write_system(system.replace(basis=OrbitalBasis((system.basis[1], smaller))), "silicon.h5")
    return ["evaluate", model_file, "silicon.h5"]


@case
def no_data(model_file, **_):
    return ["evaluate", model_file, "absent"]


@case
def unknown_device(model_file, **_):
    return ["gap", silicon_file(), "--model", model_file, "--device", "tpuu"]


@case
def bad_comparison(toy, **_):
    pytest.importorskip("torch")
    return ["bands", native_file(toy), "--compare", "absent"]


# ---------------------------------------------------------------------- spin and moments
@case
def moments_missing(magnetic_model_file, **_):
    return ["gap", silicon_file(), "--model", magnetic_model_file]


@case
def moments_not_seen(model_file, **_):
    return ["gap", silicon_file(), "--model", model_file, "--moments", "Si=1"]


@case
def moments_off_axis(magnetic_model_file, **_):
    return ["gap", silicon_file(), "--model", magnetic_model_file, "--moments", "Si=1:0:0"]


@case
def moments_of_a_file(toy, **_):
    return ["gap", native_file(toy), "--moments", "Si=1"]


@case
def moments_without_number(**_):
    return ["dos", silicon_file(), "--moments", "Fe"]


@case
def moments_twice(**_):
    return ["generate", silicon_file(), "-o", "data", "--moments", "Fe=3", "--moments", "Fe=2"]


@case
def moments_in_two_ways(**_):
    return ["bands", silicon_file(), "--moments", "Si=1,1"]


@case
def moments_of_another_element(magnetic_model_file, **_):
    return ["gap", silicon_file(), "--model", magnetic_model_file, "--moments", "Fe=3"]


@case
def moments_of_other_atoms(magnetic_model_file, **_):
    return ["gap", silicon_file(), "--model", magnetic_model_file, "--moments", "1,1,1"]


@case
def moments_of_a_set(**_):
    return ["generate", silicon_file(), "-o", "data", "--moments", "1,1"]


# ---------------------------------------------------------------------- data and training
@case
def unknown_engine(**_):
    return ["generate", silicon_file(), "-o", "data", "--engine", "pyscff"]


@case
def unknown_setting(**_):
    return ["generate", silicon_file(), "-o", "data", "--set", "kpoints=4,4,4"]


@case
def bad_setting(**_):
    return ["generate", silicon_file(), "-o", "data", "--set", "xc=hf"]


@case
def setting_without_value(**_):
    return ["generate", silicon_file(), "-o", "data", "--set", "kpts"]


@case
def no_workers(**_):
    return ["generate", silicon_file(), "-o", "data", "--workers", "0"]


@case
def no_toml(**_):
    Path("train.toml").write_text("[data\n")
    return ["train", "train.toml"]


@case
def no_configuration(**_):
    return ["train", "absent.toml"]


@case
def unknown_key(**_):
    pytest.importorskip("torch")
    Path("train.toml").write_text('[data]\nfilez = ["data"]\n')
    return ["train", "train.toml"]


@case
def bad_value(**_):
    pytest.importorskip("torch")
    Path("train.toml").write_text('[data]\nfiles = ["data"]\n[training]\nepochs = "ten"\n')
    return ["train", "train.toml"]


@case
def unknown_recipe(**_):
    Path("train.toml").write_text('recipe = "hamiltonain"\n')
    return ["train", "train.toml"]


# ---------------------------------------------------------------------- installation
@case
def no_torch(monkeypatch, model_file, **_):
    hide(monkeypatch, "torch", "ase_mlham.learning")
    return ["gap", silicon_file(), "--model", model_file]


@case
def no_pyscf(monkeypatch, **_):
    hide(monkeypatch, "pyscf", "ase_mlham.engines")
    return ["generate", silicon_file(), "-o", "data", "--set", "kpts=1,1,1"]


# ---------------------------------------------------------------------- the tests
def test_page_and_cases_name_the_same_errors():
    assert rows().keys() == CASES.keys()


@pytest.mark.parametrize("name", sorted(CASES))
def test_message_and_exit_code(name, tmp_path, monkeypatch, capsys, toy, request):
    message, code = rows()[name]
    monkeypatch.chdir(tmp_path)
    wanted = {"toy": toy, "monkeypatch": monkeypatch}
    for fixture in ("model_file", "magnetic_model_file", "install"):
        if fixture in signature(CASES[name]).parameters:
            wanted[fixture] = request.getfixturevalue(fixture)
    arguments = CASES[name](**wanted)
    assert main(arguments) == code
    printed = capsys.readouterr().err
    assert re.search(pattern(message), printed), printed
    assert "Traceback" not in printed
    assert "internal error" not in printed
    leftovers = {path.name for path in tmp_path.iterdir() if path.suffix in {".tmp", ".png"}}
    assert not leftovers, "a failed command leaves no output behind"
