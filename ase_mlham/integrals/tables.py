"""Two-centre integrals of a pair of species as functions of distance, and their evaluation.

An orbital is R(r) Y_lm. For phi_a at the origin and phi_b at X

    <phi_a | w | phi_b> = sum_L T_L(|X|) sum_M G(l_a m_a, l_b m_b, L M) Y_LM(X),
    T_L(X) = 4 pi (-1)^((l_a - l_b - L)/2) Int k^2 w(k) f_a(k) f_b(k) j_L(kX) dk,

with Gaunt coefficients G and w = 1 for the overlap, w = k^2 for -nabla^2.

The integrand is even in k and T_L vanishes beyond the reach of the pair, so the plain sum over
equidistant k is exact once their spacing is below pi / reach (the sampling theorem). T_L is kept as
a cubic on each interval of a grid, from its exact values and exact derivatives at the nodes;
intervals are halved until the cubic is right between them. No end condition has to be invented:
a spline that gets the parity of T_L at X = 0 wrong is right in a crystal and wrong under pressure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.basis import OrbitalBasis
from ase_mlham.core.harmonics import gaunt, real_harmonics
from ase_mlham.errors import BasisError
from ase_mlham.integrals.bessel import spherical_bessel
from ase_mlham.integrals.transforms import Channels, pair_reach, wave_vectors

__all__ = ["PairTable", "TwoCentreTables", "tables_of"]

_TOLERANCE = 5e-9
"""Error of the cubics; relative where a table exceeds one."""
_FIRST_STEP = 0.1
_SHORTEST_STEP = 1e-5
_CHUNK = 2048
_BESSEL_NUMBERS = 4_000_000


@dataclass(frozen=True, eq=False)
class PairTable:
    """Radial tables of two species, and the constant matrix that turns them into blocks.

    Attributes
    ----------
    nodes : (n + 1,) float
        Distances between which a cubic holds, Å. Beyond the last one integrals are zero.
    cubics : (n, 4, n_tables) float
        Coefficients of t^3, t^2, t, 1 with t = X - nodes.
    radial, angular : (n_features,) int
        Which table and which harmonic make each feature.
    coupling : (n_components, n_features, n_a * n_b) float
        Blocks from features.
    shape : (n_a, n_b)
        Orbitals.
    """

    nodes: NDArray[np.float64]
    cubics: NDArray[np.float64]
    radial: NDArray[np.int64]
    angular: NDArray[np.int64]
    coupling: NDArray[np.float64]
    shape: tuple[int, int]

    @classmethod
    def build(cls, bra: Channels, ket: Channels, power: int = 0) -> PairTable:
        """Tables of <bra| k^power |ket>.

        Parameters
        ----------
        bra, ket : Channels
            The ket must be plain; the bra may be multiplied by a coordinate or differentiated.
        power : int
            0, or 2 for -nabla^2.
        """
        reach = pair_reach(bra, ket)
        moment = power + (1 if bra.kind == "gradient" else 0)
        k_max = max(bra.k_max(moment), ket.k_max(moment))
        k = wave_vectors(reach, k_max)
        f_bra, f_ket = bra(k), ket(k)
        weight = 4 * np.pi * k[0] * k ** (2 + power)
        # rows of integrands by degree L, so that one product with j_L does all of them
        rows: dict[int, list[NDArray[np.float64]]] = {}
        places: list[tuple[int, int]] = []
        features: list[tuple[int, int]] = []
        blocks: list[NDArray[np.float64]] = []
        n_orbitals, n_b = int(bra.orbital_offsets[-1]), int(ket.offsets[-1])
        for a, l_a in enumerate(bra.degrees):
            for b, l_b in enumerate(ket.degrees):
                for L in range(abs(l_a - l_b), l_a + l_b + 1, 2):
                    sign = (-1) ** ((l_a - l_b - L) // 2)
                    group = rows.setdefault(L, [])
                    places.append((L, len(group)))
                    group.append(sign * weight * f_bra[a] * f_ket[b])
                    block = np.zeros((bra.n_components, 2 * L + 1, n_orbitals, n_b))
                    functions = bra.coupling[:, :, bra.offsets[a] : bra.offsets[a + 1]]
                    block[..., ket.offsets[b] : ket.offsets[b + 1]] = np.einsum(
                        "xap,pbf->xfab", functions, gaunt(l_a, l_b, L)
                    )
                    blocks.append(block)
                    features += [(len(places) - 1, L * L + M) for M in range(2 * L + 1)]
        integrands = {L: np.array(group) for L, group in sorted(rows.items())}
        order = np.concatenate(
            [[places.index((L, n)) for n in range(len(group))] for L, group in integrands.items()]
        )

        def sample(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            values, slopes = _radial_integrals(k, integrands, x)
            back = np.argsort(order)
            return values[:, back], slopes[:, back]

        nodes, cubics = _piecewise_cubics(sample, reach)
        coupling = np.concatenate(blocks, axis=1)
        return cls(
            nodes,
            cubics,
            np.array([c for c, _ in features]),
            np.array([y for _, y in features]),
            np.ascontiguousarray(coupling.reshape(bra.n_components, len(features), -1)),
            (n_orbitals, n_b),
        )

    @property
    def reach(self) -> float:
        """Distance beyond which the integrals are zero, Å."""
        return float(self.nodes[-1])

    @property
    def n_components(self) -> int:
        """1, or 3 for x, y, z."""
        return len(self.coupling)

    def blocks(
        self, vectors: NDArray[np.float64], out: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Integrals for displacements from the first to the second atom.

        Parameters
        ----------
        vectors : (n, 3) float
            Å.
        out : (n_components, n, n_a, n_b) float, optional
            Contiguous array to fill.

        Returns
        -------
        (n_components, n, n_a, n_b) float
        """
        n, (n_a, n_b) = len(vectors), self.shape
        if out is None:
            out = np.empty((self.n_components, n, n_a, n_b))
        flat = out.reshape(self.n_components, n, n_a * n_b)
        l_max = int(np.sqrt(self.angular.max()))
        for start in range(0, n, _CHUNK):
            chunk = vectors[start : start + _CHUNK]
            features = self.radial_values(np.linalg.norm(chunk, axis=1))[:, self.radial]
            features *= real_harmonics(l_max, chunk)[:, self.angular]
            for matrix, target in zip(self.coupling, flat, strict=True):
                np.matmul(features, matrix, out=target[start : start + _CHUNK])
        return out

    def radial_values(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """T_L of all tables at some distances, (n, n_tables)."""
        cell = np.searchsorted(self.nodes, distance, side="right") - 1
        outside = cell >= len(self.cubics)
        cell[outside] = 0
        t = (distance - self.nodes[cell])[:, None]
        c = self.cubics[cell]
        values = c[:, 0] * t
        for n in (1, 2):
            values += c[:, n]
            values *= t
        values += c[:, 3]
        values[outside] = 0.0
        return values


def _radial_integrals(
    k: NDArray[np.float64], integrands: dict[int, NDArray[np.float64]], x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """T_L and dT_L/dX at distances x, tables ordered by L: two arrays (n_x, n_tables)."""
    l_max = max(integrands)
    n_tables = sum(len(rows) for rows in integrands.values())
    values, slopes = np.empty((len(x), n_tables)), np.empty((len(x), n_tables))
    step = max(1, _BESSEL_NUMBERS // (len(k) * (l_max + 2)))
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        j = spherical_bessel(l_max + 1, np.outer(k, x[part]))
        column = 0
        for L, rows in integrands.items():
            here = slice(column, column + len(rows))
            values[part, here] = (rows @ j[L]).T
            lower = L * j[L - 1] if L else 0.0
            derivative = (lower - (L + 1) * j[L + 1]) / (2 * L + 1)
            slopes[part, here] = ((rows * k) @ derivative).T
            column = here.stop
    return values, slopes


Sampler = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


def _piecewise_cubics(
    sample: Sampler, reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and Hermite cubics of functions on [0, reach], refined where they are not yet right."""
    x = np.linspace(0.0, reach, int(np.ceil(reach / _FIRST_STEP)) + 1)
    value, slope = sample(x)
    tolerance = _TOLERANCE * np.maximum(1.0, abs(value).max(axis=0))
    open_cells = np.ones(len(x) - 1, dtype=bool)
    while open_cells.any():
        left = np.flatnonzero(open_cells)
        h = (x[left + 1] - x[left])[:, None]
        if h.min() < _SHORTEST_STEP:
            raise BasisError(
                f"two-centre integrals vary within {_SHORTEST_STEP} Å; check the radial functions"
            )
        middle = (x[left] + x[left + 1]) / 2
        m_value, m_slope = sample(middle)
        cubic = (value[left] + value[left + 1]) / 2 + h * (slope[left] - slope[left + 1]) / 8
        # the error of a cubic falls by 16 when its interval is halved: take half of that for
        # granted
        again = np.any(abs(cubic - m_value) > 8 * tolerance, axis=1)
        open_cells[left] = again
        x = np.insert(x, left + 1, middle)
        value = np.insert(value, left + 1, m_value, axis=0)
        slope = np.insert(slope, left + 1, m_slope, axis=0)
        open_cells = np.insert(open_cells, left + 1, again)
    h = np.diff(x)[:, None]
    rise = np.diff(value, axis=0) / h
    c3 = (slope[:-1] + slope[1:] - 2 * rise) / h**2
    c2 = (3 * rise - 2 * slope[:-1] - slope[1:]) / h
    return x, np.ascontiguousarray(np.stack([c3, c2, slope[:-1], value[:-1]], axis=1))


@dataclass(frozen=True, eq=False)
class TwoCentreTables:
    """All tables of a basis, built when first needed and then kept.

    Parameters
    ----------
    basis : OrbitalBasis
        Needs a radial function for every shell of the species that are asked for.

    Notes
    -----
    Functions of this room take `tables=` where many structures share a basis; without it they use
    `tables_of(basis)`, which remembers the last few bases.
    """

    basis: OrbitalBasis
    _tables: dict[tuple[str, int, int], PairTable] = field(default_factory=dict, repr=False)
    _channels: dict[tuple[str, int], Channels] = field(default_factory=dict, repr=False)

    def channels(self, species: int, kind: str = "plain") -> Channels:
        """The shells of a species; kind "projector" for those of its pseudopotential."""
        key = (kind, species)
        if key not in self._channels:
            entry = self.basis.species[species]
            if kind == "projector":
                if entry.projectors is None:
                    raise BasisError(
                        f"{entry.symbol}: the basis has no projectors, so the non-local "
                        "pseudopotential is unknown; give a basis that states them"
                    )
                self._channels[key] = Channels.of(
                    entry.projectors.shells, f"{entry.symbol} projectors"
                )
            elif kind == "plain":
                self._channels[key] = Channels.of(entry.shells, entry.symbol)
            else:
                self._channels[key] = self.channels(species).acted_on(kind)
        return self._channels[key]

    def table(self, operator: str, species_i: int, species_j: int) -> PairTable:
        """Table of an operator between two species.

        Parameters
        ----------
        operator : str
            "overlap"; "kinetic", <i|-nabla^2|j> in 1/Å^2; "position", <(r - tau_i) i|j> in Å;
            "gradient", <d i/dr|j> = dS/dX in 1/Å with X = tau_j - tau_i; "projector", <p_i|j>.
        species_i, species_j : int
            Species indices of the basis.
        """
        key = (operator, species_i, species_j)
        if key not in self._tables:
            kind = operator if operator in ("position", "gradient", "projector") else "plain"
            power = 2 if operator == "kinetic" else 0
            self._tables[key] = PairTable.build(
                self.channels(species_i, kind), self.channels(species_j), power
            )
        return self._tables[key]


@lru_cache(maxsize=8)
def tables_of(basis: OrbitalBasis) -> TwoCentreTables:
    """Tables of a basis, shared by all callers that hold the same basis object."""
    return TwoCentreTables(basis)
