"""`ase run mlham FILE`: the calculator, and the electronic structure that it prints.

`ase run` asks a calculator for energy, forces, stress, dipole and moments, and prints none of them.
A Hamiltonian has other things to say. So the calculator that it gets here writes a short table, as
DFT codes do: gap, band edges, Fermi level, charges. The last thing that `ase run` asks of the final
structure, after any relaxation, is the magnetic moment: then the table is written, once for each
structure.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError, get_calculator_class

from ase_mlham.calculator import CalculatorInputError, MLHamiltonian
from ase_mlham.core import SpinKind
from ase_mlham.errors import MLHamWarning

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

__all__ = ["RunCalculator", "calculator", "table"]

FEW = 8
"""Atoms up to which the charge of each is shown."""


def calculator(
    label: str | None = None,
    *,
    txt: str | PathLike[str] | None = "-",
    potential: str | Mapping[str, Any] | Calculator | None = None,
    **parameters: Any,
) -> RunCalculator:
    """The calculator of `ase run mlham FILE -p key=value,...`.

    Parameters
    ----------
    label : str, optional
        Given by `ase run`; no files are named after it.
    txt : path, "-" or None
        Where the table is written: a file, the terminal, or nowhere.
    potential : str, mapping or calculator, optional
        Gives energies and forces for `-f`, `-s` and `-E`. A name that `ase run` knows too, such as
        `emt`, or a mapping with `name` and the parameters of that calculator.
    **parameters
        Those of `MLHamiltonian`: `model`, `kpts`, `smearing`, ...

    Raises
    ------
    CalculatorInputError
        A parameter is unknown or cannot be used.
    """
    return RunCalculator(label=label, txt=txt, potential=_named_potential(potential), **parameters)


def _named_potential(potential: Any) -> Calculator | None:
    """The calculator that a command line names."""
    if not isinstance(potential, str | Mapping):
        return potential
    options = {"name": potential} if isinstance(potential, str) else dict(potential)
    name = options.pop("name", None)
    try:
        return get_calculator_class(name)(**options)
    except (AttributeError, ImportError, TypeError) as error:
        raise CalculatorInputError(
            f"potential={potential!r}: ASE can make no calculator of it ({error}); give a name "
            "that `ase run` knows, such as potential=emt, with options as "
            "potential={name:emt,asap_cutoff:True}"
        ) from error


class RunCalculator(MLHamiltonian):
    """`MLHamiltonian` that tells of the electronic structure when asked for the magnetic moment.

    Parameters
    ----------
    txt : path, "-" or None
        Where to.
    **options
        As for `MLHamiltonian`.
    """

    def __init__(self, *, txt: str | PathLike[str] | None = "-", **options: Any) -> None:
        self.txt = None if txt is None else str(txt)
        self._told: list[Any] = []
        super().__init__(**options)

    def _get_name(self) -> str:
        """What files say made their results: the same as without `ase run`."""
        return MLHamiltonian.__name__.lower()

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        """As the base class; what is missing is said in the words of the command line."""
        try:
            return super().get_property(name, atoms, allow_calculation)
        except PropertyNotImplementedError as error:
            if self._potential is None and name in ("energy", "forces", "stress"):
                raise PropertyNotImplementedError(
                    f"{error}. For `ase run`: -p potential=NAME, for example potential=mace_mp"
                ) from None
            raise

    def get_magnetic_moment(self, atoms: Atoms | None = None) -> Any:
        """As the base class, after the table of this structure has been written."""
        self._tell(atoms)
        return super().get_magnetic_moment(atoms)

    def _tell(self, atoms: Atoms | None) -> None:
        atoms = self._current(atoms)
        key = self._structure_key(atoms)
        if self.txt is None or key in self._told:
            return
        text = table(self, atoms)
        if self.txt == "-":
            sys.stdout.write(text)
        else:
            with Path(self.txt).open("a" if self._told else "w", encoding="utf-8") as stream:
                stream.write(text)
        self._told.append(key)


def table(calc: MLHamiltonian, atoms: Atoms) -> str:
    """Electronic structure in a few lines: gap, edges, Fermi level, mesh, charges, moments.

    Parameters
    ----------
    calc : MLHamiltonian
        Which answers for the atoms.
    atoms : ase.Atoms
        The structure.
    """
    with warnings.catch_warnings():
        # what is to be said against the numbers stands in the table
        warnings.simplefilter("ignore", MLHamWarning)
        system, states, gap = calc.system(atoms), calc.states(atoms=atoms), calc.gap(atoms)
        fermi_level = calc.fermi_level(atoms)
        # a property of ASE: files such as those of `-o x.json` have them too
        charges = calc.get_property("charges", atoms)
        moments = None
        if system.spin is not SpinKind.NONE:
            moments = np.asarray(calc.get_magnetic_moments(atoms))
    mesh = f"{len(states.kpts)} k-point{'s' if len(states.kpts) > 1 else ''}"
    if states.mesh is not None:
        mesh = f"{' x '.join(str(int(n)) for n in states.mesh.size)}, {mesh}"
    lines = [
        f"{atoms.get_chemical_formula()}, {len(atoms)} atoms ({system.source})",
        str(gap),
        f"{'Fermi level':24s}{fermi_level:9.3f} eV",
        f"{'mesh':24s}{mesh}",
        f"{'charges (e)':24s}{_by_atom(atoms, charges)}",
    ]
    if moments is not None:
        total = np.linalg.norm(moments.sum(axis=0))
        lines.append(f"{'magnetic moment':24s}{total:9.3f} Bohr magnetons in the cell")
    lines += [f"warning: {text}" for text in dict.fromkeys((*gap.warnings, *system.warnings))]
    return "\n".join(lines) + "\n"


def _by_atom(atoms: Atoms, values: Any) -> str:
    """Each atom's value, or of many atoms the range of each element."""
    # -0.0 + 0.0 is 0.0
    symbols, values = np.array(atoms.get_chemical_symbols()), np.round(values, 3) + 0.0
    if len(atoms) <= FEW:
        return ", ".join(f"{s} {v:+.3f}" for s, v in zip(symbols, values, strict=True))
    parts = []
    for symbol in dict.fromkeys(symbols.tolist()):
        here = values[symbols == symbol]
        parts.append(f"{symbol} {here.min():+.3f} to {here.max():+.3f}")
    return ", ".join(parts)
