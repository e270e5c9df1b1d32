"""The real functions that a Hamiltonian consists of, and how each behaves under the symmetries.

With real orbitals H = H_1 x 1 + sum_a A_a x sigma_a and H_1 = P + iK, A_a = C_a + iB_a:

    part  reverses to   odd in the moments  blocks        where it occurs
    P     P^T           no                  l_i x l_j     always
    B     -B^T          no                  1e x l_i x l_j  spin-orbit coupling
    C     C^T           yes                 1e x l_i x l_j  exchange field; collinear: l_i x l_j
    K     -K^T          yes                 l_i x l_j     orbital currents

"Reverses to" is the block of the pair seen from its other end. A network predicts irreducible
tensors of these real parts, so Hermiticity, rotations of space and spin, inversion and time
reversal hold whatever its weights are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import SpinKind
from ase_mlham.errors import InputError

__all__ = ["Part", "n_real", "part_names", "parts_of", "real_parts", "to_components"]


@dataclass(frozen=True)
class Part:
    """One real part of a Hamiltonian.

    Attributes
    ----------
    name : str
        P, B, C or K.
    components : tuple of str
        Pauli components that it belongs to: ("1",), ("z",) or ("x", "y", "z"). Three of them form
        an axial vector that turns with the structure.
    imaginary : bool
        Whether it is the imaginary part of its components.
    symmetry : int
        Factor of the transposed block when the pair is seen from its other end.
    odd : bool
        Whether it changes sign with all magnetic moments.
    """

    name: str
    components: tuple[str, ...]
    imaginary: bool = False
    symmetry: int = 1
    odd: bool = False

    @property
    def axial(self) -> bool:
        """Whether its components turn as an axial vector."""
        return len(self.components) == 3


_AXES = ("x", "y", "z")
_KNOWN = {
    SpinKind.NONE: {"P": Part("P", ("1",))},
    SpinKind.COLLINEAR: {"P": Part("P", ("1",)), "C": Part("C", ("z",), odd=True)},
    SpinKind.SPINOR: {
        "P": Part("P", ("1",)),
        "B": Part("B", _AXES, imaginary=True, symmetry=-1),
        "C": Part("C", _AXES, odd=True),
        "K": Part("K", ("1",), imaginary=True, symmetry=-1, odd=True),
    },
}
_USUAL = {SpinKind.NONE: "P", SpinKind.COLLINEAR: "PC", SpinKind.SPINOR: "PB"}


def part_names(spin: SpinKind) -> tuple[str, ...]:
    """Parts that Hamiltonians of a spin kind can have."""
    return tuple(_KNOWN[spin])


def parts_of(spin: SpinKind, names: Iterable[str] | None = None) -> tuple[Part, ...]:
    """Parts by name, in the order P, B, C, K.

    Parameters
    ----------
    spin : SpinKind
        Of the Hamiltonian.
    names : iterable of str, optional
        Which; by default P alone without spin, P and C for collinear spin, and for spinors P and
        B, which is all that a crystal without magnetic moments has.

    Raises
    ------
    InputError
        The spin kind has no such part, or P is missing.
    """
    wanted = set(_USUAL[spin] if names is None else names)
    known = _KNOWN[spin]
    if not wanted <= set(known) or "P" not in wanted:
        raise InputError(
            f"parts {', '.join(sorted(wanted)) or 'none'}: a {spin.value} Hamiltonian has "
            f"{', '.join(known)}, and P cannot be left out"
        )
    return tuple(part for name, part in known.items() if name in wanted)


def n_real(parts: Iterable[Part]) -> int:
    """Real numbers in place of one matrix element."""
    return sum(len(part.components) for part in parts)


def real_parts(values: NDArray, parts: Iterable[Part]) -> tuple[NDArray[np.float64], float]:
    """Real parts of blocks.

    Parameters
    ----------
    values : (n_components, ...) array
        Pauli components. A single one is that without spin: the other parts are then zero.
    parts : iterable of Part
        Which, one after another.

    Returns
    -------
    (n_real, ...) float
        The parts.
    float
        Largest number in `values` that is in none of them.
    """
    parts = tuple(parts)
    kind = next(spin for spin in SpinKind if spin.n_components == len(values))
    left = values.astype(np.complex128)
    out = np.zeros((n_real(parts), *values.shape[1:]))
    row = 0
    for part in parts:
        for name in part.components:
            if name in kind.components:
                where = kind.components.index(name)
                found = left[where].imag if part.imaginary else left[where].real
                out[row] = found
                left[where] -= 1j * found if part.imaginary else found
            row += 1
    return out, float(abs(left).max(initial=0.0))


def to_components(values: NDArray[np.float64], parts: Iterable[Part], spin: SpinKind) -> NDArray:
    """Pauli components (n_components, ...) of real parts (n_real, ...); inverse of `real_parts`."""
    parts = tuple(parts)
    if spin is SpinKind.NONE:
        return values
    dtype = np.complex128 if any(part.imaginary for part in parts) else np.float64
    out = np.zeros((spin.n_components, *values.shape[1:]), dtype)
    row = 0
    for part in parts:
        for name in part.components:
            out[spin.components.index(name)] += (1j if part.imaginary else 1) * values[row]
            row += 1
    return out
