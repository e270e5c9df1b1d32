"""Magnetic moments on the command line: as they are given, and as they come out.

Two kinds of moments must not be mixed up. A magnetic model predicts H *for given moments*, and
those stay with the structure of the result; the moments that the occupied states of that H carry
are another number, which says how consistent the first were.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.output import table
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from ase_mlham.core import LCAOSystem, Structure

__all__ = [
    "SHOWN_ATOMS",
    "GivenMoments",
    "add_moments",
    "describe_moments",
    "describe_spin",
    "is_magnetic",
    "moments_table",
    "parse_moments",
    "set_moments",
]

Moment = float | tuple[float, float, float]

UNIT = "Bohr magnetons"
SHOWN_ATOMS = 20
"""Atoms whose moments are printed; JSON has all."""


# ---------------------------------------------------------------------- given
@dataclass(frozen=True)
class GivenMoments:
    """What `--moments` says.

    Attributes
    ----------
    by_element : dict
        Symbol to Bohr magnetons: a number, along z, or a vector.
    by_atom : tuple
        One such value for each atom; empty if `by_element` is not.
    """

    by_element: Mapping[str, Moment]
    by_atom: tuple[Moment, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.by_element or self.by_atom)

    def numbers_by_element(self) -> dict[str, float]:
        """The moments where only numbers by element will do.

        Raises
        ------
        InputError
            They are given by atom, or as vectors.
        """
        if self.by_atom:
            raise InputError(
                "--moments: the structures of a set need not have the same atoms; give moments by "
                "element, such as --moments Fe=3,O=-1"
            )
        out = {}
        for element, moment in self.by_element.items():
            if isinstance(moment, tuple):
                raise InputError(
                    f"--moments {element}: a vector, but this command computes collinear spin; "
                    "give one number, along z"
                )
            out[element] = moment
        return out


def add_moments(parser: argparse._ArgumentGroup) -> None:
    """`--moments` of the commands that predict."""
    parser.add_argument(
        "--moments",
        action="append",
        default=[],
        metavar="EL=M",
        help="magnetic moments that a magnetic model predicts for, Bohr magnetons, in place of "
        "those in FILE: by element (Fe=3,O=-1; others keep theirs) or one for each atom (3,-3; "
        "--moments=-3,3 with the sign first); a vector is written x:y:z",
    )


def parse_moments(words: list[str]) -> GivenMoments:
    """Moments from words such as "Fe=3,O=-1", "3,-3" or "Fe=0:0:3".

    Raises
    ------
    InputError
        A word is not of this form, both forms are mixed, or an element is named twice.
    """
    by_element: dict[str, Moment] = {}
    by_atom: list[Moment] = []
    for word in ",".join(words).split(",") if words else []:
        element, sign, text = (part.strip() for part in word.rpartition("="))
        moment = _moment(text)
        if moment is None or bool(sign) != bool(element):
            raise InputError(
                f"--moments {word}: expected {UNIT} by element, such as Fe=3,O=-1, or one number "
                "for each atom, such as 3,-3; a vector is written x:y:z"
            )
        if element in by_element:
            raise InputError(f"--moments: {element} is given twice")
        if element:
            by_element[element] = moment
        else:
            by_atom.append(moment)
    if by_element and by_atom:
        raise InputError(
            "--moments: some by element and some by atom; give either Fe=3,O=-1 or 3,-3"
        )
    return GivenMoments(by_element, tuple(by_atom))


def _moment(text: str) -> Moment | None:
    """A number or x:y:z; None if it is neither."""
    try:
        values = [float(part) for part in text.split(":")]
    except ValueError:
        return None
    if len(values) not in (1, 3) or not all(map(math.isfinite, values)):
        return None
    return values[0] if len(values) == 1 else (values[0], values[1], values[2])


def set_moments(atoms: Atoms, given: GivenMoments) -> Atoms:
    """A copy of the atoms with these moments.

    Raises
    ------
    InputError
        Their number is not that of the atoms, or the structure lacks an element.
    """
    import numpy as np

    out = atoms.copy()
    if given.by_atom:
        if len(given.by_atom) != len(atoms):
            raise InputError(
                f"--moments: {len(given.by_atom)} for {len(atoms)} atoms; give one for each, or "
                "by element (Fe=3)"
            )
        vectors = np.array([_vector(moment) for moment in given.by_atom])
    else:
        vectors = np.array([_vector(m) for m in atoms.get_initial_magnetic_moments().tolist()])
        symbols = np.array(atoms.get_chemical_symbols())
        for element, moment in given.by_element.items():
            if element not in symbols:
                there = ", ".join(sorted(set(symbols.tolist())))
                raise InputError(f"--moments {element}: the structure has none (it has {there})")
            vectors[symbols == element] = _vector(moment)
    # vectors cannot replace numbers in place
    out.set_array("initial_magmoms", None)
    out.set_initial_magnetic_moments(vectors if vectors[:, :2].any() else vectors[:, 2])
    return out


def _vector(moment: Any) -> tuple[float, float, float]:
    """A moment as a vector: a number lies along z."""
    if isinstance(moment, float | int):
        return 0.0, 0.0, float(moment)
    x, y, z = moment
    return float(x), float(y), float(z)


# ---------------------------------------------------------------------- out
def is_magnetic(system: LCAOSystem) -> bool:
    """Whether states of a system can carry a moment: not where time reversal pairs them."""
    from ase_mlham.core import SpinKind
    from ase_mlham.electronic.kpoints import has_time_reversal

    if system.spin is SpinKind.SPINOR:
        return not has_time_reversal(system)
    return system.spin is SpinKind.COLLINEAR


def describe_spin(system: LCAOSystem) -> str:
    """The spin kind in words."""
    from ase_mlham.core import SpinKind

    if system.spin is not SpinKind.SPINOR:
        return system.spin.value
    kind = "magnetic" if is_magnetic(system) else "without magnetism (time-reversal symmetric)"
    return f"{system.spin.value}, {kind}"


def _plain(vectors: NDArray) -> list[Any]:
    """Numbers if all vectors lie along z, else vectors."""
    values: list[Any] = (vectors if vectors[:, :2].any() else vectors[:, 2]).tolist()
    return values


def describe_moments(structure: Structure) -> dict[str, Any]:
    """Moments that a structure carries, for JSON; empty if it carries none."""
    if structure.moments is None:
        return {}
    total = _plain(structure.moments.sum(axis=0)[None])[0]
    return {"unit": UNIT, "total": total, "atoms": _plain(structure.moments)}


def moments_table(structure: Structure, columns: Mapping[str, NDArray | None]) -> str:
    """Moments of the atoms in aligned columns, and their sums.

    Parameters
    ----------
    structure : Structure
        Whose atoms.
    columns : mapping of str to (n_atoms, 3) float
        Heading and moments; a column without values is left out.
    """
    kept = {name: values for name, values in columns.items() if values is not None}
    vectorial = any(values[:, :2].any() for values in kept.values())
    symbols = structure.to_atoms().get_chemical_symbols()
    rows = [
        (f"{atom:4d} {symbols[atom]}", *(_shown(v[atom], vectorial) for v in kept.values()))
        for atom in range(min(structure.n_atoms, SHOWN_ATOMS))
    ]
    if structure.n_atoms > SHOWN_ATOMS:
        rows.append((f" and {structure.n_atoms - SHOWN_ATOMS} more", *("" for _ in kept)))
    sums = [_shown(values.sum(axis=0), vectorial) for values in kept.values()]
    rows.append(("total", *sums))
    names = [f"{name} (x, y, z)" if vectorial else name for name in kept]
    return table(("atom", *(name.rjust(len(sums[0])) for name in names)), rows)


def _shown(vector: NDArray, vectorial: bool) -> str:
    # -0.0 + 0.0 is 0.0
    texts = [f"{round(float(x), 3) + 0.0:7.3f}" for x in (vector if vectorial else vector[2:])]
    return " ".join(texts)
