"""How far two Hamiltonians, or two sets of bands, are from one another.

H is defined up to mu S. Matrices are compared after the best mu, which is fitted to all blocks,
both members of each Hermitian pair; bands after the best shift. A matrix error does not bound a
band error: where S is nearly singular it is amplified tenfold and more, so both are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.pattern import BlockPattern
from ase_mlham.core.system import LCAOSystem
from ase_mlham.electronic.fermi import mesh_of
from ase_mlham.electronic.states import EigenStates, eigenstates
from ase_mlham.errors import InputError

if TYPE_CHECKING:
    from ase.spectrum.band_structure import BandStructure

__all__ = [
    "WINDOWS",
    "BandComparison",
    "Deviation",
    "MatrixComparison",
    "compare_bands",
    "compare_matrices",
    "compare_systems",
    "states_compared",
]

WINDOWS: Mapping[str, float] = {"1 eV": 1.0, "3 eV": 3.0}
"""Windows around the band edges in which eigenvalues are compared, beside all occupied states."""


@dataclass(frozen=True)
class Deviation:
    """Size of some differences.

    Attributes
    ----------
    mean, rms, max : float
        Of their absolute values, eV.
    count : int
        How many numbers.
    """

    mean: float
    rms: float
    max: float
    count: int

    @classmethod
    def of(cls, differences: NDArray[Any], weights: NDArray[Any] | None = None) -> Deviation:
        """Of an array; nothing at all gives nan."""
        sizes = abs(np.asarray(differences)).ravel()
        if not sizes.size:
            return cls(np.nan, np.nan, np.nan, 0)
        mean = float(np.average(sizes, weights=weights))
        rms = float(np.sqrt(np.average(sizes**2, weights=weights)))
        return cls(mean, rms, float(sizes.max()), int(sizes.size))

    def __str__(self) -> str:
        return f"{1e3 * self.mean:.2f} meV (rms {1e3 * self.rms:.2f}, max {1e3 * self.max:.2f})"


@dataclass(frozen=True)
class MatrixComparison:
    """Gauge-free error of a Hamiltonian.

    Attributes
    ----------
    shift : float
        The mu for which (first - second - mu S) is smallest in the mean square, eV.
    error : Deviation
        Of all matrix elements of both members of each pair, all Pauli components, after the shift.
    onsite, offsite : Deviation
        The same in parts.
    """

    shift: float
    error: Deviation
    onsite: Deviation
    offsite: Deviation

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def compare_matrices(first: LCAOSystem, second: LCAOSystem) -> MatrixComparison:
    """Error of the first Hamiltonian against the second, block by block.

    Parameters
    ----------
    first, second : LCAOSystem
        On one structure and basis. Where their patterns differ, a block that does not exist is
        zero.

    Raises
    ------
    InputError
        Structures, bases or spin kinds differ.
    """
    _same_kind(first, second)
    h_first, h_second, overlap = (
        _own_species(matrix) for matrix in (first.hamiltonian, second.hamiltonian, second.overlap)
    )
    pattern = h_first.pattern.union(h_second.pattern).union(overlap.pattern)
    difference = h_first.on_pattern(pattern) - h_second.on_pattern(pattern)
    overlap = overlap.on_pattern(pattern)
    shift = difference.component(0).inner(overlap) / overlap.inner(overlap)
    parts: dict[bool, list[tuple[NDArray[Any], float]]] = {True: [], False: []}
    for group, d, s in zip(pattern.groups, difference.values, overlap.values, strict=True):
        d = d.copy()
        d[0] -= shift * s[0]
        onsite = pattern.onsite[group.slice]
        parts[True].append((d[:, onsite].ravel(), 1.0))
        parts[False].append((d[:, ~onsite].ravel(), 2.0))

    def deviation(chosen: list[tuple[NDArray[Any], float]]) -> Deviation:
        numbers = np.concatenate([array for array, _ in chosen])
        weights = np.concatenate([np.full(len(array), weight) for array, weight in chosen])
        return Deviation.of(numbers, weights)

    return MatrixComparison(
        shift,
        deviation(parts[True] + parts[False]),
        deviation(parts[True]),
        deviation(parts[False]),
    )


def _own_species(matrix: BlockMatrix) -> BlockMatrix:
    """The matrix with species counted among its own atoms: a model's basis knows more elements."""
    p = matrix.pattern
    used, species = np.unique(p.species, return_inverse=True)
    pattern = BlockPattern(species, p.sizes[used], p.i, p.j, p.R)
    return BlockMatrix(pattern, matrix.values, matrix.symmetry)


def _same_kind(first: LCAOSystem, second: LCAOSystem) -> None:
    if first.spin is not second.spin:
        raise InputError(f"a {first.spin.value} and a {second.spin.value} system are compared")
    a, b = first.structure, second.structure
    if not np.array_equal(a.numbers, b.numbers) or a.positions.shape != b.positions.shape:
        raise InputError("the systems have different atoms, or the same in another order")
    # a thousandth of an Å: text formats round
    if not np.allclose(a.positions, b.positions, rtol=0, atol=1e-3) or not np.allclose(
        a.full_cell, b.full_cell, rtol=0, atol=1e-3
    ):
        raise InputError("the atoms or cells of the two systems differ by more than 0.001 Å")
    if first.orbital_labels() != second.orbital_labels():
        raise InputError("the systems have different orbital bases: compare their bands")


@dataclass(frozen=True)
class BandComparison:
    """Error of bands.

    Attributes
    ----------
    shift : float
        Subtracted from the first: the median of the differences of all states up to 3 eV above the
        gap, eV.
    occupied : Deviation
        All filled states.
    windows : mapping
        By name of `WINDOWS`: states at most so far below the valence band maximum or above the
        conduction band minimum of the second; for a metal, from the Fermi level.
    gap, reference_gap : float
        On the k-points compared, eV; zero for a metal.
    worst_k : (3,) float
        Where the largest error up to 3 eV is.
    """

    shift: float
    occupied: Deviation
    gap: float
    reference_gap: float
    worst_k: tuple[float, float, float]
    windows: Mapping[str, Deviation] = field(default_factory=dict)

    @property
    def gap_error(self) -> float:
        """Gap of the first minus gap of the second, eV."""
        return self.gap - self.reference_gap

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that `from_dict` reads."""
        return {**asdict(self), "gap_error": self.gap_error}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BandComparison:
        """Inverse of `to_dict`."""
        x, y, z = data["worst_k"]
        return cls(
            shift=float(data["shift"]),
            occupied=Deviation(**data["occupied"]),
            gap=float(data["gap"]),
            reference_gap=float(data["reference_gap"]),
            worst_k=(float(x), float(y), float(z)),
            windows={name: Deviation(**value) for name, value in data["windows"].items()},
        )

    def __str__(self) -> str:
        lines = [f"{'occupied':12s}{self.occupied}"]
        lines += [f"{'within ' + name:12s}{value}" for name, value in self.windows.items()]
        lines.append(
            f"{'gap':12s}{self.gap:.3f} eV against {self.reference_gap:.3f} eV "
            f"({1e3 * self.gap_error:+.1f} meV)"
        )
        return "\n".join(lines)


def compare_bands(
    first: EigenStates | BandStructure,
    second: EigenStates | BandStructure,
    n_electrons: float | None = None,
    windows: Mapping[str, float] = WINDOWS,
) -> BandComparison:
    """Error of the first bands against the second, state by state in order of energy.

    Parameters
    ----------
    first, second : EigenStates or BandStructure
        At the same k-points, from the lowest band. The smaller number of bands is compared.
    n_electrons : float, optional
        To tell filled from empty states of the second. `EigenStates` know it; the reference of a
        `BandStructure` serves instead.
    windows : mapping
        Name to half width in eV.

    Raises
    ------
    InputError
        k-points or spin channels differ.
    """
    a, b, kpts = _energies(first), _energies(second), _kpts(second)
    if a.shape[:2] != b.shape[:2] or not np.allclose(_kpts(first), kpts, rtol=0, atol=1e-6):
        raise InputError("bands are compared at the same k-points and for the same spin kind")
    n = min(a.shape[2], b.shape[2])
    a, b = a[..., :n], b[..., :n]
    filled = _filled(second, b, n_electrons)
    vbm, cbm = _edges(b, filled)
    widest = max(windows.values(), default=0.0)
    compared = b <= (cbm if np.isfinite(cbm) else vbm) + widest
    difference = a - b
    shift = float(np.median(difference[compared]))
    difference = difference - shift
    inside = {name: _near(b, vbm, cbm, w) for name, w in windows.items()}
    size = np.where(compared, abs(difference), 0.0).max(axis=(0, 2))
    x, y, z = (float(value) for value in kpts[int(size.argmax())])
    return BandComparison(
        shift=shift,
        occupied=Deviation.of(difference[filled]),
        gap=_gap(a, filled),
        reference_gap=_gap(b, filled),
        worst_k=(x, y, z),
        windows={name: Deviation.of(difference[chosen]) for name, chosen in inside.items()},
    )


def states_compared(
    reference: EigenStates, windows: Mapping[str, float] = WINDOWS
) -> dict[str, NDArray[np.bool_]]:
    """Which states `compare_bands` counts as "occupied", and as those of each window.

    Parameters
    ----------
    reference : EigenStates
        The second of two.
    windows : mapping
        As for `compare_bands`.

    Returns
    -------
    dict
        Masks of the shape of the energies.
    """
    energies = reference.energies
    filled = _filled(reference, energies, None)
    vbm, cbm = _edges(energies, filled)
    near = {name: _near(energies, vbm, cbm, w) for name, w in windows.items()}
    return {"occupied": filled, **near}


def _edges(energies: NDArray[np.float64], filled: NDArray[np.bool_]) -> tuple[float, float]:
    """Highest filled and lowest empty energy; of a metal both are between the two."""
    vbm = float(energies[filled].max()) if filled.any() else -np.inf
    cbm = float(energies[~filled].min()) if not filled.all() else np.inf
    return (vbm, cbm) if vbm <= cbm else ((vbm + cbm) / 2,) * 2


def _near(energies: NDArray[np.float64], vbm: float, cbm: float, width: float) -> NDArray[np.bool_]:
    return np.asarray((energies >= vbm - width) & (energies <= cbm + width))


def _energies(bands: EigenStates | BandStructure) -> NDArray[np.float64]:
    return np.asarray(bands.energies, dtype=np.float64)


def _kpts(bands: EigenStates | BandStructure) -> NDArray[np.float64]:
    return np.asarray(bands.kpts if isinstance(bands, EigenStates) else bands.path.kpts)


def _filled(
    bands: EigenStates | BandStructure, energies: NDArray[np.float64], n_electrons: float | None
) -> NDArray[np.bool_]:
    """Which states are filled: the same states, by index, count as filled in both."""
    if isinstance(bands, EigenStates):
        per_state = bands.degeneracy
        n_electrons = bands.n_electrons if n_electrons is None else n_electrons
    elif n_electrons is None:
        return np.asarray(energies <= bands.reference)
    else:
        raise InputError("give n_electrons with EigenStates, which know how many fill a state")
    n_spin, n_k, n_bands = energies.shape
    count = n_electrons / per_state * n_k
    order = np.argsort(energies, axis=None, kind="stable")
    filled = np.zeros(energies.size, dtype=bool)
    filled[order[: round(count)]] = True
    by_level = filled.reshape(energies.shape)
    # an insulator on few k-points: the same number of bands everywhere, if that is possible
    per_k = n_electrons / per_state
    if n_spin == 1 and abs(per_k - round(per_k)) < 1e-6 and 0 < round(per_k) < n_bands:
        by_index = np.zeros(energies.shape, dtype=bool)
        by_index[..., : round(per_k)] = True
        return by_index
    return by_level


def _gap(energies: NDArray[np.float64], filled: NDArray[np.bool_]) -> float:
    if filled.all() or not filled.any():
        return 0.0
    return max(0.0, float(energies[~filled].min() - energies[filled].max()))


def compare_systems(
    first: LCAOSystem, second: LCAOSystem, kpts: Any = None, windows: Mapping[str, float] = WINDOWS
) -> BandComparison:
    """Error of the bands of the first system against the second, on a mesh of k-points.

    Parameters
    ----------
    first, second : LCAOSystem
        Of one structure; the bases may differ.
    kpts : as for `k_points`
        By default Gamma-centred with 5 points per Å^-1.
    windows : mapping
        As for `compare_bands`.
    """
    points = mesh_of(second, kpts, reduce=False)
    return compare_bands(eigenstates(first, points), eigenstates(second, points), windows=windows)
