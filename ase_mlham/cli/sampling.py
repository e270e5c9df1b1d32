"""Options that several commands share: k-points, path, window of energies, solver."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ase_mlham.errors import InputError, SolverError

if TYPE_CHECKING:
    from ase.dft.kpoints import BandPath

    from ase_mlham.core import LCAOSystem

__all__ = [
    "add_method",
    "add_path",
    "add_solver",
    "add_window",
    "announce",
    "parse_direction",
    "parse_kpts",
    "path_of",
    "refuse_collapse",
    "refuse_collapsed",
    "solver_options",
    "window",
]

TOLD_FROM = 5.0
"""Seconds of one core from which on the cost of a calculation is said before it starts."""


def add_solver(parser: argparse.ArgumentParser) -> None:
    """Mesh and eigensolver."""
    group = parser.add_argument_group("k-points and solver")
    group.add_argument(
        "-k",
        "--kpts",
        metavar="N,N,N",
        help="mesh for Fermi level and DOS: three integers, or one number, the points per 1/Å "
        "(default: 5)",
    )
    group.add_argument(
        "--overlap-floor",
        type=float,
        metavar="S",
        help="drop combinations of orbitals whose overlap eigenvalue is below S, for bases that "
        "are nearly linearly dependent (1e-4 is usual; default: refuse them)",
    )
    group.add_argument("--solver", metavar="NAME", help="eigensolver (mlham plugins lists them)")
    group.add_argument(
        "--even-collapsed",
        action="store_true",
        help="give results even where errors of H have pulled spurious states among the bands",
    )


def add_path(parser: argparse.ArgumentParser) -> None:
    """Path through the zone."""
    group = parser.add_argument_group("path")
    group.add_argument(
        "--path",
        metavar="GXL",
        help="special points, a comma for a jump; or 'seekpath' (default: that of the lattice)",
    )
    group.add_argument("--npoints", type=int, metavar="N", help="points along the path")
    group.add_argument(
        "--eps",
        type=float,
        default=2e-4,
        metavar="X",
        help="tolerance of the recognition of the lattice; 1e-2 for strained cells (default: 2e-4)",
    )


def add_method(parser: Any) -> None:
    """Projection of states on orbitals."""
    parser.add_argument(
        "--method",
        choices=("mulliken", "lowdin"),
        default="mulliken",
        help="projection on orbitals: Mulliken shares an overlap population half and half, Löwdin "
        "projects on the nearest orthonormal orbitals (default: mulliken)",
    )


def add_window(parser: argparse.ArgumentParser, low: float, high: float) -> None:
    """Range of energies that is shown."""
    group = parser.add_argument_group("energies")
    group.add_argument(
        "--emin",
        type=float,
        default=low,
        metavar="E",
        help=f"lowest energy shown, eV from the zero of the picture (default: {low:g})",
    )
    group.add_argument(
        "--emax",
        type=float,
        default=high,
        metavar="E",
        help=f"highest energy shown (default: {high:g})",
    )


def window(options: argparse.Namespace) -> tuple[float, float]:
    """Range of energies, checked."""
    if not options.emin < options.emax:
        raise InputError(f"--emin {options.emin:g} must be below --emax {options.emax:g}")
    return options.emin, options.emax


def parse_kpts(text: str | None) -> Any:
    """Mesh "8,8,8" or "8x8x8", or density "3.5", as `k_points` takes it.

    Raises
    ------
    InputError
        Neither of these.
    """
    if text is None:
        return None
    words = text.replace("x", ",").replace(" ", ",").split(",")
    try:
        if len(words) == 1:
            return float(words[0])
        sizes = tuple(int(word) for word in words)
    except ValueError:
        sizes = ()
    if len(sizes) != 3:
        raise InputError(
            f"--kpts {text}: give three integers such as 8,8,8, or one number, the points per 1/Å"
        )
    return sizes


SMALL, SMOOTH = 100, 40.0
"""Orbitals up to which a path gets so many points per 1/Å that no corner of a line is seen."""


def path_of(system: LCAOSystem, options: argparse.Namespace) -> BandPath:
    """The path of the options of `add_path`; dense in small systems, where it costs little."""
    from ase_mlham.electronic.path import band_path

    smooth = options.npoints is None and system.n_orbitals <= SMALL
    sampling = {"density": SMOOTH} if smooth else {"npoints": options.npoints}
    return band_path(system.structure, options.path, eps=options.eps, **sampling)


def parse_direction(text: str) -> Any:
    """A name such as "z", or a vector from "1,0,1"; which names there are is known elsewhere.

    Raises
    ------
    InputError
        There are commas, but not three numbers.
    """
    if "," not in text:
        return text
    try:
        vector = [float(word) for word in text.split(",")]
    except ValueError:
        vector = []
    if len(vector) != 3:
        raise InputError(f"{text}: a vector is three numbers with commas, for example 1,0,1")
    return vector


def solver_options(options: argparse.Namespace) -> dict[str, Any]:
    """Keywords of the functions of `electronic`."""
    return {"overlap_floor": options.overlap_floor, "solver": options.solver}


def refuse_collapse(complaints: Sequence[str], options: argparse.Namespace) -> bool:
    """Whether the bands have collapsed; an error unless the user wants them all the same.

    Parameters
    ----------
    complaints : sequence of str
        What `ase_mlham.electronic.collapse.attach` gave, or `Gap.warnings`.
    options : argparse.Namespace
        With the arguments of `add_solver`.

    Raises
    ------
    SolverError
        They have, and the user did not say --even-collapsed.
    """
    collapsed = [text for text in complaints if text.startswith("collapse:")]
    if collapsed and not options.even_collapsed:
        raise SolverError(f"{collapsed[0]}; nothing is written unless you say --even-collapsed")
    return bool(collapsed)


def refuse_collapsed(system: LCAOSystem, level: float, options: argparse.Namespace) -> None:
    """`refuse_collapse` for results that are no bands: looked for at Gamma.

    Parameters
    ----------
    system : LCAOSystem
        What was computed.
    level : float
        Its Fermi level, eV.
    options : argparse.Namespace
        With the arguments of `add_solver`.
    """
    from ase_mlham.electronic.collapse import attach
    from ase_mlham.electronic.states import eigenstates

    at_gamma = eigenstates(system, [[0.0, 0.0, 0.0]], overlap_floor=options.overlap_floor)
    refuse_collapse(attach(system, at_gamma, level), options)


def announce(system: LCAOSystem, n_kpts: int, *, vectors: bool = False) -> None:
    """Say what diagonalising will cost, if it is much."""
    from ase_mlham.core import SpinKind
    from ase_mlham.electronic.solvers.cost import dense_cost

    size = system.n_orbitals * (2 if system.spin is SpinKind.SPINOR else 1)
    cost = dense_cost(size, n_kpts * system.spin.n_channels, vectors=vectors)
    if cost.seconds > TOLD_FROM:
        sys.stderr.write(f"mlham: {cost}\n")
