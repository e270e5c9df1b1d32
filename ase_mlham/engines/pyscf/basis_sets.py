"""Which basis set an element gets, and PySCF's basis as the package's `OrbitalBasis`.

PySCF orders an atom's orbitals shell by shell, p as x, y, z and all others as m = -l..l; here p is
y, z, x as well. Its contraction coefficients multiply r^l exp(-a r^2) with a in bohr^-2.
"""

from __future__ import annotations

import warnings
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import (
    GaussianRadial,
    OrbitalBasis,
    Projectors,
    Shell,
    SpeciesBasis,
    TabulatedRadial,
)
from ase_mlham.core.basis import LETTERS
from ase_mlham.engines.pyscf.atoms import gth_projector
from ase_mlham.errors import InputError, MLHamWarning
from ase_mlham.units import CODATA_2018

__all__ = [
    "DEFAULT",
    "SHORT_RANGE",
    "VacuumBasisWarning",
    "core_basis",
    "default_ecut",
    "default_eps_cutoff",
    "load_basis",
    "molecule_basis",
    "orbital_order",
    "shell_radii",
    "warn_short_range",
]

SHORT_RANGE = "short-range"
DEFAULT = "gth-dzvp-molopt-sr"
MOLECULES = "gth-dzvp-molopt"
_MOLECULE_ELEMENTS = frozenset({"H", "C", "N", "O", "F", "Si", "P", "S", "Cl"})
_SHORT_RANGE_FILE = "sr_s2p2d1_gth_pbe.nw"
SHORT_RANGE_ELEMENTS = frozenset({"Si", "Ge", "C"})

BOHR, HARTREE = CODATA_2018.bohr, CODATA_2018.hartree


_CUTOFFS = {
    **dict.fromkeys(("Al", "Si", "P", "K", "Ge", "Rb", "Cs"), 150.0),
    **dict.fromkeys(("H", "He", "Li", "Be", "B", "C", "N"), 350.0),
    **dict.fromkeys(("O", "F", "Ne"), 500.0),
    # their 2s and 2p are valence: at 500 Ry the energy of MgO is 23 meV per atom off
    **dict.fromkeys(("Na", "Mg"), 800.0),
}


class VacuumBasisWarning(MLHamWarning):
    """The short-range basis is used where orbitals should reach into vacuum."""


def warn_short_range() -> str:
    """Warn that the short-range basis is used with vacuum; the text, for the system's warnings."""
    text = (
        "the short-range basis lacks the tails that reach into vacuum (graphene: 67 meV/atom); "
        f"use basis={DEFAULT!r}"
    )
    warnings.warn(text, VacuumBasisWarning, stacklevel=4)
    return text


def load_basis(name: str, symbols: set[str]) -> dict[str, Any]:
    """PySCF basis of each element.

    Raises
    ------
    InputError
        An element is not in the set.
    """
    from pyscf.gto.basis import load, parse_nwchem
    from pyscf.lib.exceptions import BasisNotFoundError

    if name == SHORT_RANGE:
        missing = sorted(symbols - SHORT_RANGE_ELEMENTS)
        if missing:
            raise InputError(
                f"the short-range basis covers C, Si and Ge, not {', '.join(missing)}; use "
                f"basis={DEFAULT!r}"
            )
        path = files("ase_mlham.engines.pyscf") / "basis" / _SHORT_RANGE_FILE
        return {element: parse_nwchem.load(str(path), element) for element in symbols}
    out = {}
    for element in symbols:
        try:
            with warnings.catch_warnings():
                # the error below says what to do better than PySCF's hint at another package
                warnings.simplefilter("ignore")
                out[element] = load(name, element)
        except (BasisNotFoundError, KeyError, FileNotFoundError) as error:
            raise InputError(
                f"PySCF has no basis {name!r} for {element}; for GTH pseudopotentials try "
                f"'{DEFAULT}', 'gth-dzvp' or 'gth-tzvp'"
            ) from error
    return out


def molecule_basis(symbols: set[str]) -> str:
    """Basis of molecules: DZVP-MOLOPT where it exists, whose hydrogen is much better than SR's.

    The highest level of H2 is 0.02 eV from that of a quadruple-zeta set, with MOLOPT-SR 0.70 eV.
    """
    return MOLECULES if symbols <= _MOLECULE_ELEMENTS else DEFAULT


def default_ecut(symbols: set[str]) -> float:
    """Grid cut-off in rydberg at which labels carry little grid noise, for the hardest element.

    Set by the tightest functions and projectors (docs/benchmarks/engine.md has the measured noise).
    """
    return max(_CUTOFFS.get(element, 400.0) for element in symbols)


def shell_radii(mol: Any, eps: float, power: int = 0) -> NDArray[np.float64]:
    """Of each PySCF shell the distance beyond which r^power |R(r)| < eps, bohr."""
    r = np.arange(0.5, 60.0, 0.02)
    out = []
    for shell in range(mol.nbas):
        l, a = mol.bas_angular(shell), mol.bas_exp(shell)
        c = mol._libcint_ctr_coeff(shell)  # noqa: SLF001 - PySCF has no public access to these
        f = abs(np.exp(-np.outer(r**2, a)) @ c).max(axis=1) * r ** (l + power)
        above = np.flatnonzero(f > eps)
        out.append(r[above[-1]] + 0.02 if len(above) else r[0])
    return np.array(out)


def orbital_order(mol: Any) -> NDArray[np.int64]:
    """PySCF's index of each orbital in this package's order."""
    start = 0
    out: list[int] = []
    for shell in range(mol.nbas):
        l = mol.bas_angular(shell)
        inner = [1, 2, 0] if l == 1 else list(range(2 * l + 1))
        for _ in range(mol.bas_nctr(shell)):
            out.extend(start + m for m in inner)
            start += 2 * l + 1
    return np.array(out, dtype=np.int64)


def _shells(mol: Any, atom: int, eps_cutoff: float) -> tuple[Shell, ...]:
    radii = shell_radii(mol, eps_cutoff, power=1)
    count: dict[int, int] = {}
    shells = []
    for index in range(mol.nbas):
        if mol.bas_atom(index) != atom:
            continue
        l = int(mol.bas_angular(index))
        exponents = mol.bas_exp(index) / BOHR**2
        coefficients = mol._libcint_ctr_coeff(index) * BOHR ** -(1.5 + l)  # noqa: SLF001
        cutoff = float(radii[index] * BOHR)
        for column in coefficients.T:
            count[l] = count.get(l, 0) + 1
            radial = GaussianRadial(l, exponents, column, cutoff)
            shells.append(Shell(l, cutoff, radial, f"{count[l]}{LETTERS[l]}"))
    return tuple(shells)


def _projectors(pseudo: list) -> Projectors | None:
    """GTH projectors as tables: their powers r^(l + 2 i) are no plain contractions."""
    shells, blocks = [], []
    for l, (radius, n, coupling) in enumerate(pseudo[5:]):
        if not n:
            continue
        # r^4 exp(-r^2/2) of the highest projector is below 1e-12 of its maximum there
        reach = 9.0 * radius
        r = np.geomspace(1e-4 * radius, reach, 1200)
        for i in range(n):
            table = TabulatedRadial(
                r * BOHR, gth_projector(r, l, i, radius) * BOHR**-1.5, reach * BOHR
            )
            shells.append(Shell(l, reach * BOHR, table, f"p{i + 1}{LETTERS[l]}"))
        blocks.append(np.asarray(coupling, dtype=float).reshape(n, n))
    if not shells:
        return None
    coupling = np.zeros((len(shells), len(shells)))
    start = 0
    for block in blocks:
        stop = start + len(block)
        coupling[start:stop, start:stop] = block * HARTREE
        start = stop
    return Projectors(tuple(shells), coupling)


def default_eps_cutoff(name: str) -> float:
    """Value of r |R(r)| at the cut-off radii that moves bands near the gap by less than 0.3 meV."""
    return 3e-3 if name == SHORT_RANGE else 5e-4


def core_basis(mol: Any, name: str, eps_cutoff: float | None) -> OrbitalBasis:
    """The basis of a built PySCF molecule or cell, with pseudopotential projectors."""
    eps_cutoff = eps_cutoff or default_eps_cutoff(name)
    from ase.data import atomic_numbers

    species = {}
    for atom in range(mol.natm):
        element = mol.atom_pure_symbol(atom)
        if element in species:
            continue
        pseudo = mol._pseudo.get(element)  # noqa: SLF001 - the parsed parameters have no other access
        charge = int(mol.atom_charge(atom))
        species[element] = SpeciesBasis(
            number=atomic_numbers[element],
            shells=_shells(mol, atom, eps_cutoff),
            valence=float(charge),
            label=f"{name}/gth-q{charge}" if pseudo else name,
            projectors=_projectors(pseudo) if pseudo else None,
        )
    return OrbitalBasis(tuple(species.values()))
