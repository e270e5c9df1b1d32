"""Fixtures shared by all tests, and a model small enough to be checked by hand.

The model is nearest-neighbour tight binding: sp3 silicon with the parameters of D. J. Chadi and
M. L. Cohen, phys. stat. sol. (b) 68, 405 (1975), and s-only hydrogen, whose chain is the textbook
metal. Orthogonal orbitals: S is the unit matrix.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import settings

from ase_mlham.core import (
    BlockMatrix,
    BlockPattern,
    GaussianRadial,
    LCAOSystem,
    OrbitalBasis,
    Shell,
    SpeciesBasis,
    SpinKind,
    Structure,
)
from ase_mlham.core.basis import symbol
from ase_mlham.core.neighbours import check_no_overlap
from ase_mlham.errors import DomainError

# a test of drawn systems takes a second or two; `--hypothesis-profile thorough` looks longer
settings.register_profile("quick", max_examples=20, deadline=None, print_blob=True)
settings.register_profile("thorough", max_examples=500, deadline=None, print_blob=True)
# a check that must pass before a change is kept draws the same systems every time
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "quick")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference data that is too large, or not ours, to be kept in the repository."""
    path = Path(os.environ.get("MLHAM_REFERENCE_DATA", REPOSITORY.parent / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"reference data not found at {path}; set MLHAM_REFERENCE_DATA to its folder")
    return path


BASIS = OrbitalBasis(
    (
        SpeciesBasis(1, (Shell(0, 0.75, label="1s"),), 1.0, "H-s1"),
        SpeciesBasis(14, (Shell(0, 1.4, label="3s"), Shell(1, 1.4, label="3p")), 4.0, "Si-s1p1"),
    )
)
SS, SP, PPS, PPP, P_ABOVE_S = -2.03, 2.55, 4.55, -1.09, 7.20
EXCHANGE = 3.0
"""eV by which a moment of one Bohr magneton lowers the states of its spin."""


def hopping(vector: np.ndarray, n_a: int, n_b: int) -> np.ndarray:
    """Slater-Koster block between atoms, orbitals s, p_y, p_z, p_x."""
    if n_a == 1 and n_b == 1:
        return np.array([[-1.0]])
    direction = vector[[1, 2, 0]] / np.linalg.norm(vector)
    block = np.empty((4, 4))
    block[0, 0] = SS
    block[0, 1:], block[1:, 0] = SP * direction, -SP * direction
    block[1:, 1:] = (PPS - PPP) * np.outer(direction, direction) + PPP * np.eye(3)
    return block[:n_a, :n_b]


def tight_binding(
    atoms: Atoms,
    spin: SpinKind = SpinKind.NONE,
    split: float = 0.0,
    moments: np.ndarray | None = None,
) -> LCAOSystem:
    """System of an `ase.Atoms`.

    `split` is the exchange field along z, eV; `moments` (n_atoms, 3) give each atom its own.
    """
    structure = Structure.from_atoms(atoms)
    species = BASIS.species_index(structure.numbers)
    pattern = BlockPattern.from_cutoffs(
        structure, species, BASIS.sizes, [entry.cutoff for entry in BASIS.species]
    )
    vectors = pattern.vectors(structure)
    values, overlaps = [], []
    for group in pattern.groups:
        n_a, n_b = pattern.block_shape(group)
        array = np.zeros((spin.n_components, group.n_blocks, n_a, n_b))
        unit = np.zeros((1, group.n_blocks, n_a, n_b))
        for block, place in enumerate(range(group.start, group.stop)):
            if pattern.onsite[place]:
                array[0, block] = np.diag([0.0, *[P_ABOVE_S] * (n_a - 1)])
                unit[0, block] = np.eye(n_a)
                if spin is not SpinKind.NONE:
                    array[-1, block] = split * np.eye(n_a)
                if moments is not None:
                    field = -EXCHANGE * moments[pattern.i[place]][-(spin.n_components - 1) :]
                    array[1:, block] = field[:, None, None] * np.eye(n_a)
            else:
                array[0, block] = hopping(vectors[place], n_a, n_b)
        if spin is SpinKind.SPINOR:
            array = array.astype(complex)
        values.append(array)
        overlaps.append(unit)
    return LCAOSystem(
        structure=structure,
        basis=BASIS,
        hamiltonian=BlockMatrix(pattern, tuple(values)),
        overlap=BlockMatrix(pattern, tuple(overlaps)),
        n_electrons=BASIS.n_electrons(structure.numbers),
        spin=spin,
        provenance={"source": "toy tight binding"},
    )


class ToyModel:
    """What the calculator and the commands need of a model."""

    name = "toy"
    identity = "toy@1"
    sees_moments = False

    def __init__(self, spin: SpinKind = SpinKind.NONE, split: float = 0.0):
        self.spin, self.split = spin, split
        self.card = {"name": "toy", "elements": ["H", "Si"], "spin": "none"}
        self.calls = 0

    def predict(self, atoms: Atoms, *, on_unknown: str = "error") -> LCAOSystem:
        self.calls += 1
        for atom, number in enumerate(atoms.numbers):
            if number not in (1, 14):
                raise DomainError(f"atom {atom} ({symbol(number)}): toy covers H, Si")
        check_no_overlap(Structure.from_atoms(atoms))
        return tight_binding(atoms, self.spin, self.split)


class MagneticToy(ToyModel):
    """Predicts for given moments: each atom has an exchange field along its own."""

    name = "magnet"
    identity = "magnet@1"
    sees_moments = True

    def predict(self, atoms: Atoms, *, on_unknown: str = "error") -> LCAOSystem:
        self.calls += 1
        moments = Structure.from_atoms(atoms).moments
        if moments is None:
            raise DomainError("magnet needs moments")
        system = tight_binding(atoms, self.spin, moments=moments)
        return system.replace(provenance={**system.provenance, "model": "magnet"})


@pytest.fixture
def magnet() -> MagneticToy:
    return MagneticToy(SpinKind.COLLINEAR)


@pytest.fixture
def toy() -> ToyModel:
    return ToyModel()


@pytest.fixture
def silicon() -> Atoms:
    return bulk("Si", "diamond", a=5.43)


@pytest.fixture
def chain() -> Atoms:
    """Hydrogen atoms in a row: E(k) = -2 cos(2 pi k), half filled."""
    return Atoms("H", cell=[1.0, 8.0, 8.0], pbc=(True, False, False))


def gaussian_basis() -> OrbitalBasis:
    """s and p Gaussians on hydrogen and silicon, for models that need radial functions."""
    s, p = (
        GaussianRadial(l, [1.2], [math.sqrt(2 * 2.4 ** (l + 1.5) / math.gamma(l + 1.5))], 2.4)
        for l in (0, 1)
    )
    return OrbitalBasis(
        (
            SpeciesBasis(1, (Shell(0, 2.4, s),), 1.0, "H-s1"),
            SpeciesBasis(14, (Shell(0, 2.4, s), Shell(1, 2.4, p)), 4.0, "Si-s1p1"),
        )
    )


def untrained_file(folder: Path, spin: SpinKind = SpinKind.NONE) -> str:
    """A real `.mlham` file, of the smallest family, with weights that were never trained."""
    pytest.importorskip("torch", reason="models need torch: pip install 'ase-mlham[models]'")
    from ase_mlham import hooks
    from ase_mlham.learning.layout import BlockLayout
    from ase_mlham.learning.model import HamiltonianModel
    from ase_mlham.learning.networks import make_network

    spec = hooks.find("model family", "pairwise")
    basis = gaussian_basis()
    config = hooks.load(spec.config)()
    network = make_network(spec, config, BlockLayout(basis, spin))
    atoms = bulk("Si", a=5.43)
    atoms.append("H")
    atoms.positions[-1] = (2.7, 2.7, 0.5)
    atoms.set_initial_magnetic_moments([1.0, 1.0, 1.0])
    example = Structure.from_atoms(atoms)
    model = HamiltonianModel.untrained(network, spec, config, basis, example=example, spin=spin)
    path = folder / "tiny.mlham"
    model.save(path)
    return str(path)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory) -> str:
    """A model without spin."""
    return untrained_file(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def magnetic_model_file(tmp_path_factory) -> str:
    """A collinear model, which needs moments."""
    return untrained_file(tmp_path_factory.mktemp("magnetic"), SpinKind.COLLINEAR)
