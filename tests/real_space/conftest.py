"""Small systems whose orbitals have radial functions."""

from __future__ import annotations

import pytest
from ase import Atoms
from ase.build import bulk, molecule

from ase_mlham.core import LCAOSystem


@pytest.fixture(autouse=True)
def _no_checkpoint_files(monkeypatch):
    """PySCF opens a temporary file for each calculation and never closes it."""
    try:
        from pyscf.scf import hf
    except ImportError:
        return
    monkeypatch.setattr(hf, "MUTE_CHKFILE", True)


@pytest.fixture(scope="session")
def compute():
    """The engine, with temporary files of PySCF switched off before it starts."""
    pytest.importorskip("pyscf")
    from pyscf.scf import hf

    from ase_mlham.engines import compute_system

    patch = pytest.MonkeyPatch()
    patch.setattr(hf, "MUTE_CHKFILE", True)
    yield compute_system
    patch.undo()


@pytest.fixture(scope="session")
def water(compute) -> LCAOSystem:
    """A molecule without a cell; what is cut off its orbitals' pairs is below 1e-7."""
    atoms = molecule("H2O")
    atoms.positions += [0.1, 0.2, -0.3]
    return compute(atoms, basis="gth-dzvp", smearing=0.0, eps_cutoff=1e-7)


@pytest.fixture(scope="session")
def oxygen(compute) -> LCAOSystem:
    """The triplet of O2."""
    atoms = Atoms("O2", positions=[[0, 0, 0], [0.3, 0.4, 1.1]], magmoms=[1, 1])
    return compute(
        atoms, basis="gth-dzvp", smearing=0.0, spin="collinear", total_moment=2.0, eps_cutoff=1e-7
    )


@pytest.fixture(scope="session")
def silicon(compute) -> LCAOSystem:
    """Two atoms without symmetry, in a basis that PySCF has too."""
    atoms = bulk("Si")
    atoms.positions[1] += [0.05, -0.03, 0.02]
    return compute(
        atoms,
        basis="gth-dzvp-molopt-sr",
        xc="lda",
        smearing=0.0,
        eps_cutoff=1e-5,
        kpts=(2, 1, 1),
        ecut_ry=40.0,
    )


@pytest.fixture(scope="session")
def diamond_silicon(compute) -> LCAOSystem:
    """The perfect crystal, in the short-range basis."""
    return compute(bulk("Si"), kpts=(4, 4, 4), ecut_ry=60.0, smearing=0.0)
