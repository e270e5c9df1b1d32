"""The engine's entry: choose the method and everything that the settings leave open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import LCAOSystem, Structure
from ase_mlham.core.basis import symbol
from ase_mlham.core.neighbours import check_no_overlap
from ase_mlham.engines.pyscf.basis_sets import (
    DEFAULT,
    SHORT_RANGE,
    SHORT_RANGE_ELEMENTS,
    default_ecut,
    load_basis,
    warn_short_range,
)
from ase_mlham.engines.pyscf.cell import make_box, vacuum_directions
from ase_mlham.engines.pyscf.functional import PSEUDO
from ase_mlham.engines.pyscf.kpoints import mesh_for_spacing
from ase_mlham.engines.pyscf.moments import (
    channel_electrons,
    check_valence,
    starting_moments,
)
from ase_mlham.engines.pyscf.scf import SelfConsistency, Tolerances
from ase_mlham.engines.pyscf.settings import PyscfSettings
from ase_mlham.engines.pyscf.system import crystal_system
from ase_mlham.errors import InputError
from ase_mlham.units import CODATA_2018

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["compute"]


def compute(atoms: Atoms, settings: PyscfSettings) -> LCAOSystem:
    """Converged H(R), S(R) and the operators "kinetic", "nonlocal", "superposition".

    Raises
    ------
    InputError
        The structure and the settings do not go together.
    EngineError, ConvergenceError
        See `SelfConsistency`.
    """
    structure = Structure.from_atoms(atoms)
    check_no_overlap(structure)
    moments = starting_moments(atoms, settings)
    method = settings.method
    if method == "auto":
        method = "crystal" if structure.pbc.any() else "molecule"
    if method == "molecule":
        from ase_mlham.engines.pyscf.molecule import compute_molecule

        return compute_molecule(structure, settings, moments)
    if not structure.pbc.any():
        raise InputError(
            "method='crystal' needs a periodic direction; set pbc, or use method='molecule'"
        )
    return _compute_crystal(structure, settings, moments)


def _compute_crystal(
    structure: Structure, settings: PyscfSettings, moments: NDArray[np.float64] | None
) -> LCAOSystem:
    symbols = {symbol(int(n)) for n in structure.numbers}
    vacuum = vacuum_directions(structure)
    open_space = bool(vacuum.any() or not structure.pbc.all())
    name = settings.basis
    if name == "auto":
        bulk = not open_space and settings.xc == "pbe" and symbols <= SHORT_RANGE_ELEMENTS
        name = SHORT_RANGE if bulk else DEFAULT
    basis = load_basis(name, symbols)
    notes = (warn_short_range(),) if name == SHORT_RANGE and open_space else ()
    box = make_box(structure, basis, PSEUDO[settings.xc], settings.eps_ao)
    electrons = int(box.cell.nelectron)
    magnetic = moments is not None
    if moments is not None:
        check_valence(moments, np.asarray(box.cell.atom_charges(), dtype=float))
    if electrons % 2 and settings.smearing == 0 and not magnetic:
        raise InputError(
            f"{electrons} electrons cannot all be paired: give smearing > 0 (eV), or an even cell"
        )
    sampled = structure.pbc & ~vacuum
    kmesh = settings.kpts or mesh_for_spacing(
        box.lattice * CODATA_2018.bohr, settings.kspacing, sampled
    )
    if np.any((np.array(kmesh) > 1) & ~structure.pbc):
        raise InputError(f"kpts={kmesh} has several points along a direction without periodicity")
    scf = SelfConsistency(
        box=box,
        xc=settings.xc,
        kmesh=kmesh,
        ecut_ry=settings.ecut_ry or default_ecut(symbols),
        sigma=settings.smearing / CODATA_2018.hartree,
        eps_ao=settings.eps_ao,
        eps_pair=settings.eps_pair,
        electrons=channel_electrons(electrons, magnetic, settings, whole=False),
        moments=moments,
    )
    scf.start()
    scf.run(
        Tolerances(
            energy=settings.tol_energy * structure.n_atoms / CODATA_2018.hartree,
            commutator=settings.tol_commutator / CODATA_2018.hartree,
            iterations=settings.max_iterations,
        )
    )
    return crystal_system(structure, scf, settings, name, notes)
