"""LC-Net: blocks of H in complete local coordinates, by two networks in one model.

The networks see neighbours of both atoms of a pair in the pair's local coordinates, exchange
messages along bonds, and predict the two triangles of the block in these coordinates (M. Su,
J.-H. Yang, H.-J. Xiang and X.-G. Gong, Mach. Learn.: Sci. Technol. (2023), doi
10.1088/2632-2153/accb26). Which end of a pair is its anchor follows from geometry, so the result
does not depend on how a pair is stored, and Hermiticity is exact.

A block turns from local to global coordinates by one Wigner matrix for each degree of its
irreducible tensors, which is the same rotation as that of its shells.

What local coordinates cannot do is written in the documentation under "local frames": they jump
where neighbours change order, depend on the orientation where neighbours tie, and do not know
inversion unless `mirror` is on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ase_mlham.core.harmonics import real_harmonics
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import IrrepLayout
from ase_mlham.learning.nn.chunks import in_portions, rows_at_once
from ase_mlham.learning.nn.radial import cosine_cutoff
from ase_mlham.learning.nn.wigner import WignerMatrices
from ase_mlham_lcnet.config import LCNetConfig
from ase_mlham_lcnet.layers import AtomShares, Bonds, Edges, LocalNetwork, Portion
from ase_mlham_lcnet.local_coordinates import atom_frames, pair_frames
from ase_mlham_lcnet.neighbours import TIE, NeighbourTable, neighbour_table
from ase_mlham_lcnet.triangles import Triangles

__all__ = ["LCNet"]

_CACHED_EDGES = 256
"""Edges whose windows of neighbours stay in a processor's cache."""

_SWITCH = 1.5
"""Width of the range over which what leaves a cut-off goes to zero, Å."""

_CROWDED = 0.3
"""Where an atom has more neighbours than are looked at, those that are less than this nearer than
the first that is left out fade, Å."""

_ORDER = (0.8147, 0.001, 0.5799)
"""Neighbours that are equally far, as images on both sides of an atom in a small cell always are,
are sorted by the angle to this local direction. Almost in the plane of the mirror, so that mirror
images have one order; a little beside it, which decides between two that mirror one another."""


class _Surroundings(NamedTuple):
    """What edges see of their atoms.

    table : NeighbourTable; rows : (n_atoms, neighbours, harmonics), orientational vectors in global
    axes; species : (n_atoms, neighbours), their elements; tied : (n_atoms,) bool, whether the order
    of rows depends on the coordinates.
    """

    table: NeighbourTable
    rows: Tensor
    species: Tensor
    tied: Tensor


class LCNet(nn.Module):
    """Graph to the irreducible parts of H.

    Parameters
    ----------
    config : LCNetConfig
        Sizes.
    layout : IrrepLayout
        Irreps of the blocks.
    """

    def __init__(self, config: LCNetConfig, layout: IrrepLayout) -> None:
        super().__init__()
        self.config = config
        self.recompute = False
        """Keep no activations of pairs in training, but evaluate them again on the way back."""
        triangles = Triangles.of(layout)
        n_species = len(layout.basis.species)
        self.upper = LocalNetwork(config, n_species, len(triangles.forward), layout.moments)
        # a basis of one s shell has nothing below the diagonal
        self.lower: LocalNetwork | None = None
        if len(triangles.backward):
            self.lower = LocalNetwork(config, n_species, len(triangles.backward), layout.moments)
        self.element_factors: nn.Embedding | None = None
        if config.elements:
            self.element_factors = nn.Embedding(n_species, config.elements)
        self.sees_vectors = layout.moments == "vectors"
        self.degrees = [len(entries) for entries in layout.channels]
        self.wigner = WignerMatrices(max(config.degree, layout.l_max))
        index, sign = layout.reversal
        # on-site blocks are completed by their symmetry, which counts the diagonal twice
        onsite = triangles.forward * np.where(triangles.diagonal, 0.5, 1.0)[:, None]
        for name, values in (
            ("offsite_elements", np.concatenate([triangles.forward, triangles.backward])),
            ("onsite_elements", onsite),
            ("reverse_index", index),
            ("reverse_sign", sign),
            ("spherical", _spherical(layout)),
            ("mirror_sign", _mirror_signs(layout)),
            ("mirror_rows", _mirror_of_harmonics(config.degree)),
        ):
            tensor = torch.from_numpy(np.ascontiguousarray(values))
            self.register_buffer(name, tensor, persistent=False)

    @property
    def message_cutoff(self) -> float:
        """Range of messages, Å."""
        return self.config.message_cutoff

    @property
    def networks(self) -> list[LocalNetwork]:
        """The forward and the backward network."""
        return [self.upper] if self.lower is None else [self.upper, self.lower]

    # ------------------------------------------------------------------ geometry
    def _surroundings(self, graph: HamiltonianGraph) -> _Surroundings:
        config = self.config
        tie = TIE if config.definition == "complete" else -1.0
        table = neighbour_table(
            graph.message_i, graph.message_vectors, graph.n_atoms, config.message_cutoff, tie
        )
        n = min(config.neighbours, table.width)
        distance = table.distance[:, :n]
        # rows fade towards the cut-off, and towards the first neighbour that is left out
        weight = cosine_cutoff(distance, config.message_cutoff, self._start)
        room = (table.next_distance(config.neighbours)[:, None] - distance) / _CROWDED
        # an empty place has infinity less infinity of room
        room = room.nan_to_num(nan=0.0).clamp(0.0, 1.0)
        weight = weight * room * room * (3.0 - 2.0 * room) / (1.0 + distance)
        harmonics = _harmonics(config.degree, table.direction[:, :n].flatten(0, 1))
        rows = harmonics.unflatten(0, (graph.n_atoms, n)) * weight[:, :, None]
        missing = config.neighbours - n
        rows = nn.functional.pad(rows, (0, 0, 0, missing))
        # rows of empty places are zero whatever stands there
        species = graph.species.new_zeros(graph.n_atoms, n)
        if len(graph.message_j):
            species = graph.species[graph.message_j[table.message[:, :n]]]
        species = nn.functional.pad(species, (0, missing))
        return _Surroundings(table, rows, species, table.has_ties(config.neighbours))

    @property
    def _start(self) -> float:
        """Where the range of messages begins to end, Å."""
        return max(0.0, self.config.message_cutoff - _SWITCH)

    def _local_rows(
        self, around: _Surroundings, atoms: Tensor, frames: Tensor, d: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Orientational vectors of neighbours of atoms in frames, and the neighbours' elements.

        (n, neighbours, harmonics) and (n, neighbours).
        """
        rows, species = around.rows[atoms], around.species[atoms]
        tied = torch.nonzero(around.tied[atoms]).squeeze(1)
        if len(tied) and self.config.definition == "complete":
            n = min(self.config.neighbours, around.table.width)
            which = atoms[tied]
            seen = frames[tied] @ frames.new_tensor(_ORDER)
            along = torch.einsum("nwk,nk->nw", around.table.direction[which, :n], seen)
            # within a shell by angle; less than one apart, so shells keep their order
            order = torch.argsort(around.table.shell[which, :n] - 0.25 * along, dim=1, stable=True)
            kept = order[:, :, None].expand(-1, -1, rows.shape[2])
            rows[tied, :n] = rows[tied, :n].gather(1, kept)
            species[tied, :n] = species[tied, :n].gather(1, order)
        size = rows.shape[2]
        return torch.bmm(rows, d[:, :size, :size].contiguous()), species

    def _edge_geometry(
        self, graph: HamiltonianGraph, around: _Surroundings, i: Tensor, j: Tensor, vectors: Tensor
    ) -> dict[str, Tensor]:
        """What is known of edges before any weights, the anchor first."""
        rotation, turned = pair_frames(
            i, j, vectors, around.table, graph.species, self.config.definition
        )
        d = self.wigner(rotation)
        a, b = torch.where(turned, j, i), torch.where(turned, i, j)
        ends = [self._local_rows(around, atoms, rotation, d) for atoms in (a, b)]
        return {
            "a": a,
            "b": b,
            "distance": vectors.norm(dim=1),
            "rows": torch.stack([rows for rows, _ in ends], 1),
            "species": torch.stack([species for _, species in ends], 1),
            "rotation": rotation,
            "wigner": d,
            "reversed": turned,
        }

    def _bonds(self, graph: HamiltonianGraph) -> Tensor:
        """Rows of the messages that stand for the edges along which messages go, each once."""
        i, j, vectors = graph.message_i, graph.message_j, graph.message_vectors
        # of an atom and its own image, the direction whose first component is positive
        sign = vectors.sign()
        first = torch.where(sign[:, 0] != 0, sign[:, 0], sign[:, 1])
        first = torch.where(first != 0, first, sign[:, 2])
        once = (i < j) | ((i == j) & (first > 0))
        once = once & (vectors.norm(dim=1) < self.config.message_cutoff)
        return torch.nonzero(once).squeeze(1)

    def _messages(
        self, graph: HamiltonianGraph, around: _Surroundings, rows: Tensor
    ) -> dict[str, Tensor]:
        """Geometry of some messages."""
        i, j = graph.message_i[rows], graph.message_j[rows]
        return self._edge_geometry(graph, around, i, j, graph.message_vectors[rows])

    def _atoms(self, graph: HamiltonianGraph, around: _Surroundings) -> dict[str, Tensor]:
        """Geometry of the on-site blocks."""
        rotation = atom_frames(around.table, self.config.definition)
        d = self.wigner(rotation)
        every = torch.arange(graph.n_atoms, device=graph.species.device)
        rows, species = self._local_rows(around, every, rotation, d)
        company = cosine_cutoff(
            around.table.distance[:, 0], self.config.message_cutoff, self._start
        )
        return {
            "rows": rows[:, None],
            "species": species[:, None],
            "rotation": rotation,
            "wigner": d,
            "company": company,
        }

    def _pairs(
        self, graph: HamiltonianGraph, around: _Surroundings, rows: Tensor
    ) -> dict[str, Tensor]:
        """Geometry of some pairs."""
        part = (tensor[rows] for tensor in (graph.pair_i, graph.pair_j, graph.pair_vectors))
        return self._edge_geometry(graph, around, *part)

    def precompute(self, graph: HamiltonianGraph) -> dict[str, Tensor]:
        """Local coordinates, and the neighbours seen in them."""
        around, bonds = self._surroundings(graph), self._bonds(graph)
        near = graph.pairs_within(self.config.pair_cutoff)
        known = {
            "message": self._messages(graph, around, bonds),
            "atom": self._atoms(graph, around),
            "pair": self._pairs(graph, around, near),
        }
        flat = {f"{kind}_{k}": v for kind, own in known.items() for k, v in own.items()}
        return {**flat, "bonds": bonds, "pairs": near}

    # ------------------------------------------------------------------ networks
    def _edges(self, graph: HamiltonianGraph, known: dict[str, Tensor], mirrored: bool) -> Edges:
        """Edges as the networks see them, or their mirror images in the local x-z plane."""
        rows, moments = known["rows"], None
        if mirrored:
            rows = rows * self.mirror_rows.to(rows)
        if self.sees_vectors:
            ends = torch.stack([graph.moments[known["a"]], graph.moments[known["b"]]], 1)
            # axial vectors turn as vectors, and keep their component along the mirror's normal
            moments = torch.einsum("nak,nkl->nal", ends, known["rotation"])
            if mirrored:
                moments = moments * moments.new_tensor([-1.0, 1.0, -1.0])
        return Edges(known["a"], known["b"], known["distance"], rows, known["species"], moments)

    def _windows(self, edges: Edges) -> Tensor:
        """Windows of the neighbours of the atoms of edges, which both networks read."""
        words = edges.rows.flatten(0, 1)
        if self.element_factors is not None:
            factors = self.element_factors(edges.species.flatten(0, 1)).to(words.dtype)
            scaled = [words * factor[:, :, None] for factor in factors.unbind(2)]
            words = torch.cat([words, *scaled], 2)
        return self.upper.sentence.windows(words)

    def _local_features(self, edges: Edges) -> list[Tensor]:
        """Features s_ab of edges for each network."""
        windows = self._windows(edges)
        return [network.local_features(windows, edges.moments) for network in self.networks]

    def _message_portion(
        self,
        part: slice,
        graph: HamiltonianGraph,
        rows: Tensor,
        known: _Surroundings | dict[str, Tensor],
    ) -> tuple[Tensor, ...]:
        """Ends and lengths of some edges of messages, then their s for each image and network."""
        own = _geometry(known, part, lambda around: self._messages(graph, around, rows[part]))
        images = [self._edges(graph, own, mirrored) for mirrored in self._images()]
        local = [s for edges in images for s in self._local_features(edges)]
        return own["a"], own["b"], own["distance"], *local

    def _shares(
        self,
        graph: HamiltonianGraph,
        rows: Tensor,
        known: _Surroundings | dict[str, Tensor],
        portion: Portion,
    ) -> list[list[list[AtomShares]]]:
        """Message passing: what atoms contribute to pairs, for each image and network.

        Parameters
        ----------
        graph : HamiltonianGraph
            Structure.
        rows : (n,) int64
            `_bonds`.
        known : _Surroundings or dict
            What geometry is made of, or the geometry of these edges.
        portion : Portion
            Of the edges.
        """
        portions = in_portions(
            self._message_portion,
            len(rows),
            portion.step,
            *(graph, rows, known),
            recompute=portion.recompute,
        )
        found = [values for _, values in portions]
        if not found:
            found = [self._message_portion(slice(0, 0), graph, rows, known)]
        a, b, distance, *local = (torch.cat(parts) for parts in zip(*found, strict=True))
        del found
        bonds = Bonds(a, b, distance)
        envelope = cosine_cutoff(distance, self.config.message_cutoff, self._start)
        n = len(self.networks)
        return [
            [
                network.messages(
                    network.atoms(graph.species, graph.moments), s, bonds, envelope, portion
                )
                for network, s in zip(self.networks, local[image : image + n], strict=True)
            ]
            for image in range(0, len(local), n)
        ]

    def memory_bytes(self, graph: HamiltonianGraph) -> float:
        """Bytes of a prediction besides its output: features of messages and a portion of pairs."""
        config = self.config
        width = (config.degree + 1) ** 2
        n_messages, n_networks = len(graph.message_i), len(self.networks)
        # the table of neighbours holds two integers and four numbers for each of them
        atoms = graph.n_atoms * config.neighbours * width + n_messages * 8
        # local features of both ends for every network, in portions and, beside these, whole
        bonds = n_messages / 2 * 2 * 2 * config.local * n_networks * len(self._images())
        # neighbours of both ends before and after they are turned, windows of them, filters
        sentence = self.upper.sentence
        filters = len(config.windows) * config.filters
        words = 2 * config.neighbours * width
        words += sentence.positions * (sentence.longest * sentence.width + filters)
        frame = (self.wigner.l_max + 1) ** 4
        step = rows_at_once(config.chunk, _CACHED_EDGES, graph.pair_vectors.device)
        rows = min(step, max(graph.n_pairs, n_messages))
        portion = rows * (2 * words + 2 * frame + 4 * self.onsite_elements.shape[1])
        return 4.0 * (atoms + bonds + portion)

    def _images(self) -> tuple[bool, ...]:
        return (False, True) if self.config.mirror else (False,)

    def _mean(self, images: list[Tensor]) -> Tensor:
        """Mean of the coefficients of an edge and of its mirror image."""
        if len(images) == 1:
            return images[0]
        return 0.5 * (images[0] + self.mirror_sign.to(images[1]) * images[1])

    def _turned(self, coefficients: Tensor, d: Tensor) -> Tensor:
        """Coefficients in global coordinates."""
        out, start, row = [], 0, 0
        for n, count in enumerate(self.degrees):
            rows, length = 2 * n + 1, (2 * n + 1) * count
            part = coefficients[:, start : start + length].reshape(-1, rows, count)
            matrix = d[:, row : row + rows, row : row + rows].contiguous()
            out.append(torch.bmm(matrix, part).flatten(1))
            start, row = start + length, row + rows
        return torch.cat(out, 1)

    def _transposed(self, coefficients: Tensor) -> Tensor:
        """Coefficients of blocks seen from their other end."""
        sign = self.reverse_sign.to(coefficients)
        return coefficients.index_select(1, self.reverse_index) * sign

    def forward(
        self, graph: HamiltonianGraph, precomputed: dict[str, Tensor] | None = None
    ) -> Coefficients:
        """Predict."""
        vectors = graph.pair_vectors
        messages: _Surroundings | dict[str, Tensor]
        pairs: _Surroundings | dict[str, Tensor]
        whole = precomputed is not None or self.training
        if precomputed is None:
            with torch.autocast(vectors.device.type, enabled=False):
                messages = pairs = around = self._surroundings(graph)
                atoms, bonds = self._atoms(graph, around), self._bonds(graph)
                near = graph.pairs_within(self.config.pair_cutoff)
        else:
            messages, atoms, pairs = (_own(precomputed, k) for k in ("message", "atom", "pair"))
            bonds, near = precomputed["bonds"], precomputed["pairs"]
        step = rows_at_once(self.config.chunk, _CACHED_EDGES, vectors.device)
        if whole and not self.recompute:
            step = max(len(near), len(bonds))
        shares = self._shares(graph, bonds, messages, Portion(step, self.recompute))
        onsite = self._onsite(graph, atoms, shares)
        portions = in_portions(
            self._pair_portion,
            len(near),
            step,
            graph,
            near,
            pairs,
            shares,
            recompute=self.recompute,
        )
        out = onsite.new_zeros(graph.n_pairs, onsite.shape[1])
        for part, values in portions:
            out = out.index_copy_(0, near[part], values)
        return Coefficients(onsite, out)

    def _pair_portion(
        self,
        part: slice,
        graph: HamiltonianGraph,
        near: Tensor,
        known: _Surroundings | dict[str, Tensor],
        shares: list[list[list[AtomShares]]],
    ) -> Tensor:
        """Coefficients of some of the near pairs, from their geometry if that is known."""
        own = _geometry(known, part, lambda around: self._pairs(graph, around, near[part]))
        return self._offsite(graph, own, shares)

    def _onsite(
        self,
        graph: HamiltonianGraph,
        known: dict[str, Tensor],
        shares: list[list[list[AtomShares]]],
    ) -> Tensor:
        """Coefficients of the on-site blocks: pairs of an atom with itself, forward network."""
        every = torch.arange(graph.n_atoms, device=graph.species.device)
        known = {
            **known,
            "a": every,
            "b": every,
            "distance": torch.zeros_like(known["rows"][:, 0, 0, 0]),
        }
        images = []
        for mirrored, own in zip(self._images(), shares, strict=True):
            edges = self._edges(graph, known, mirrored)
            windows = self._windows(edges)
            s = self.upper.sentence(windows, self.upper.sentence.filters())
            s = s[:, None].expand(-1, 2, -1)
            if edges.moments is not None:
                s = s + self.upper.moment_of_edge(edges.moments)
            elements = self.upper.pairs(own[0], every, every, edges.distance, s)
            with torch.autocast(elements.device.type, enabled=False):
                elements = elements.to(graph.pair_vectors.dtype)
                images.append(elements @ self.onsite_elements.to(elements))
        with torch.autocast(images[0].device.type, enabled=False):
            coefficients = self._turned(self._mean(images), known["wigner"])
            coefficients = coefficients + self._transposed(coefficients)
            # an atom that is left alone becomes a sphere
            lonely = (1.0 - known["company"])[:, None] * self.spherical.to(coefficients)
            return coefficients * (known["company"][:, None] + lonely)

    def _offsite(
        self,
        graph: HamiltonianGraph,
        known: dict[str, Tensor],
        shares: list[list[list[AtomShares]]],
    ) -> Tensor:
        """Coefficients of pairs, in their stored direction."""
        images = []
        for mirrored, own in zip(self._images(), shares, strict=True):
            edges = self._edges(graph, known, mirrored)
            elements = [
                network.pairs(atoms, edges.a, edges.b, edges.distance, s)
                for network, atoms, s in zip(
                    self.networks, own, self._local_features(edges), strict=True
                )
            ]
            with torch.autocast(edges.rows.device.type, enabled=False):
                both = torch.cat(elements, 1).to(graph.pair_vectors.dtype)
                images.append(both @ self.offsite_elements.to(both))
        with torch.autocast(images[0].device.type, enabled=False):
            value = self._turned(self._mean(images), known["wigner"])
            reverse = self._transposed(value)
            value = torch.where(known["reversed"][:, None], reverse, value)
            cutoff = self.config.pair_cutoff
            start = max(0.0, cutoff - _SWITCH)
            return value * cosine_cutoff(known["distance"], cutoff, start)[:, None]


def _geometry(
    known: _Surroundings | dict[str, Tensor],
    part: slice,
    make: Callable[[_Surroundings], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """A part of a geometry that is known; else it is made, never in mixed precision."""
    if isinstance(known, dict):
        return {name: value[part] for name, value in known.items()}
    with torch.autocast(known.rows.device.type, enabled=False):
        return make(known)


def _own(precomputed: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{kind}_"): value
        for name, value in precomputed.items()
        if name.startswith(f"{kind}_")
    }


def _harmonics(degree: int, directions: Tensor) -> Tensor:
    """Real harmonics of unit vectors, (n, (degree + 1)^2), in the type of the vectors."""
    values = real_harmonics(degree, directions.detach().double().cpu().numpy())
    return torch.from_numpy(values).to(directions)


def _mirror_of_harmonics(degree: int) -> np.ndarray:
    """What the mirror y -> -y does to harmonics: those with m < 0 are odd."""
    order = np.concatenate([np.arange(-l, l + 1) for l in range(degree + 1)])
    return np.where(order < 0, -1.0, 1.0)


def _spherical(layout: IrrepLayout) -> np.ndarray:
    """Coefficients (one or zero) that an atom without neighbours can have."""
    out = np.zeros(layout.n_coefficients)
    for index, channel in enumerate(layout.channels[0]):
        out[layout.position(0, index)] = channel.natural
    # the directions of moments need no neighbours
    return np.ones_like(out) if layout.moments == "vectors" else out


def _mirror_signs(layout: IrrepLayout) -> np.ndarray:
    """What the mirror y -> -y does to coefficients; axial ones have the opposite sign."""
    out = np.empty(layout.n_coefficients)
    for L, entries in enumerate(layout.channels):
        order = np.where(np.arange(-L, L + 1) < 0, -1.0, 1.0)
        for index, channel in enumerate(entries):
            out[layout.position(L, index)] = order if channel.natural else -order
    return out
