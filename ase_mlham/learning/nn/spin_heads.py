"""Heads that make the spin parts of H of something simpler than their irreducible tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ase_mlham.core.harmonics import clebsch_gordan
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import BlockLayout, IrrepLayout
from ase_mlham.learning.memory import network_bytes
from ase_mlham.learning.spin_form import (
    SpinForm,
    difference_part,
    field_part,
    strength_part,
    tensor_part,
)

__all__ = ["ExchangeFields", "SpinHeads"]

_NEIGHBOURS = 8.0
"""Divides the sum over neighbours, so that a field is of the size of a moment."""


class _Places:
    """Where the channels of several layouts lie in their coefficients, put side by side."""

    def __init__(self, layouts: Sequence[IrrepLayout]) -> None:
        self._places: dict[tuple[int, ...], NDArray[np.int64]] = {}
        first = 0
        for layout in layouts:
            for L, entries in enumerate(layout.channels):
                for n, c in enumerate(entries):
                    key = (c.part, c.a, c.b, c.K, L)
                    self._places[key] = first + layout.position(L, n)
            first += layout.n_coefficients

    def __call__(self, part: int, a: int, b: int, K: int, L: int) -> NDArray[np.int64]:
        return self._places[part, a, b, K, L]

    def __contains__(self, key: object) -> bool:
        return key in self._places


class ExchangeFields(nn.Module):
    """Exchange fields at the atoms, vectors of spin that are odd in the moments.

    b_i = M_i + A_i M_i + sum_j J_ij M_j / 8 (eqs. 16 and 18 of Y. Zhong et al., npj Comput. Mater.
    9, 182 (2023), whose weights of the atoms take the first term's factor), in Bohr magnetons. J
    falls to zero where the orbitals of a pair end.

    Parameters
    ----------
    places : for each field, coefficients of its tensors
        One number (isotropic), or one, three and five.
    reach : (n_species,)
        Cut-off radius of the orbitals of each species, Å.
    """

    def __init__(self, places: Sequence[NDArray[np.int64]], reach: NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("reach", torch.from_numpy(reach), persistent=False)
        self.register_buffer("index", torch.from_numpy(np.array(places)), persistent=False)
        xyz = [2, 0, 1]
        parts = [np.eye(3)[None]]
        if self.index.shape[1] > 1:
            parts += [clebsch_gordan(1, 1, L).transpose(2, 0, 1)[:, xyz][:, :, xyz] for L in (1, 2)]
        self.register_buffer("shape", torch.from_numpy(np.concatenate(parts)), persistent=False)

    def forward(self, graph: HamiltonianGraph, output: Coefficients) -> Tensor:
        """Fields (n_atoms, n_fields, 3) of what a network says of atoms and pairs."""
        shape = self.get_buffer("shape").to(output.onsite.dtype)
        moments = graph.moments.to(output.onsite.dtype)
        single = torch.einsum("nft,txy->nfxy", output.onsite[:, self.index], shape)
        pair = torch.einsum("nft,txy->nfxy", output.offsite[:, self.index], shape)
        fields = moments[:, None] + torch.einsum("nfxy,ny->nfx", single, moments)
        i, j = graph.pair_i, graph.pair_j
        reach = self.get_buffer("reach").to(moments)[graph.species]
        far = (graph.pair_vectors.norm(dim=1) / (reach[i] + reach[j])).clamp(max=1.0)
        pair = pair * (0.5 + 0.5 * torch.cos(torch.pi * far))[:, None, None, None]
        there = torch.einsum("nfxy,ny->nfx", pair, moments[j]) / _NEIGHBOURS
        back = torch.einsum("nfyx,ny->nfx", pair, moments[i]) / _NEIGHBOURS
        return fields.index_add(0, i, there).index_add(0, j, back)


class SpinHeads(nn.Module):
    """Coefficients of H from networks that predict it in another form.

    Parameters
    ----------
    networks : sequence of Module
        Predict `network_layouts(layout, form)`.
    layouts : sequence of IrrepLayout
        These layouts.
    layout : BlockLayout
        Of H.
    form : SpinForm
        Of its spin parts.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        layouts: Sequence[IrrepLayout],
        layout: BlockLayout,
        form: SpinForm,
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.n_inner = sum(layout.n_coefficients for layout in layouts)
        places = _Places(layouts)
        # coefficients of C are made below; zero is any place
        source = np.zeros(layout.n_coefficients, dtype=np.int64)
        exchange: list[tuple[int, int]] = []
        for L, entries in enumerate(layout.channels):
            for n, c in enumerate(entries):
                name = layout.parts[c.part].name
                if name == "C" and form.exchange != "general":
                    exchange.append((L, n))
                elif name == "B" and form.spin_orbit == "angular_momentum":
                    # xi multiplies the whole block of <L>, see `learning.spin_orbit`
                    place = places(strength_part(layout), c.a, c.b, 0, 0)
                    source[layout.position(L, n)] = place
                else:
                    source[layout.position(L, n)] = places(c.part, c.a, c.b, c.K, L)
        self.register_buffer("source", torch.from_numpy(source), persistent=False)
        self.fields: ExchangeFields | None = None
        if exchange:
            self._add_exchange(layout, form, places, exchange)

    def _add_exchange(
        self,
        layout: BlockLayout,
        form: SpinForm,
        places: _Places,
        exchange: Sequence[tuple[int, int]],
    ) -> None:
        """Constants that turn blocks and fields into coefficients of C."""
        tensors = []
        for n in range(form.fields):
            part = tensor_part(layout, n)
            degrees = [L for L in (0, 1, 2) if (part, 0, 0, L, L) in places]
            tensors.append(np.concatenate([places(part, 0, 0, L, L) for L in degrees]))
        reach = np.array([entry.cutoff for entry in layout.basis.species])
        self.fields = ExchangeFields(tensors, reach)
        target = np.concatenate([layout.position(L, n) for L, n in exchange])
        # the channels of blocks that the fields multiply, each once
        channels = [layout.channels[L][n] for L, n in exchange]
        keys = sorted({(c.a, c.b, c.K) for c in channels})
        first = {}
        count = 0
        for a, b, K in keys:
            first[a, b, K] = count
            count += 2 * K + 1
        for name, number in (("means", field_part), ("differences", difference_part)):
            there = name == "means" or form.exchange == "fields"
            blocks = [
                np.concatenate([places(number(layout, field), a, b, K, K) for a, b, K in keys])
                for field in range(form.fields if there else 0)
            ]
            index = torch.from_numpy(np.array(blocks, dtype=np.int64))
            self.register_buffer(f"exchange_{name}", index, persistent=False)
        axial = next(part for part in layout.parts if part.name == "C").axial
        # products of a block's coefficients with the components x, y, z of a field
        product = np.zeros((count, 3, len(target)))
        column = 0
        for (L, _), c in zip(exchange, channels, strict=True):
            rows = slice(first[c.a, c.b, c.K], first[c.a, c.b, c.K] + 2 * c.K + 1)
            columns = slice(column, column + 2 * L + 1)
            if axial:
                vector = clebsch_gordan(1, c.K, L)[[2, 0, 1]]
                product[rows, :, columns] = vector.transpose(1, 0, 2)
            else:
                product[rows, 2, columns] = np.eye(2 * L + 1)
            column = columns.stop
        self.register_buffer("exchange_target", torch.from_numpy(target), persistent=False)
        self.register_buffer(
            "exchange_product", torch.from_numpy(product.reshape(-1, len(target))), persistent=False
        )

    @property
    def config(self) -> Any:
        """Of the networks."""
        return self.networks[0].config

    @property
    def message_cutoff(self) -> float:
        """Of the networks, Å."""
        return float(self.networks[0].message_cutoff)

    def precompute(self, graph: HamiltonianGraph) -> dict[str, Tensor]:
        """What the networks make of the geometry, each under its number."""
        return {
            f"{n}.{name}": value
            for n, network in enumerate(self.networks)
            for name, value in network.precompute(graph).items()
        }

    def memory_bytes(self, graph: HamiltonianGraph) -> float:
        """Of the networks, and what they say, in two copies."""
        output = 4.0 * (graph.n_atoms + graph.n_pairs) * self.n_inner
        return max(
            2 * output, output + max(network_bytes(network, graph) for network in self.networks)
        )

    def forward(
        self, graph: HamiltonianGraph, precomputed: dict[str, Tensor] | None = None
    ) -> Coefficients:
        """Predict. Where B is xi <L>, its coefficients are all xi."""
        outputs = [
            network(graph, None if precomputed is None else _own(precomputed, n))
            for n, network in enumerate(self.networks)
        ]
        dtype = graph.pair_vectors.dtype
        output = Coefficients(
            *(torch.cat(part, 1).to(dtype) for part in zip(*outputs, strict=True))
        )
        # products of few numbers each, which mixed precision makes no quicker
        with torch.autocast(output.onsite.device.type, enabled=False):
            return self._combined(graph, output)

    def _combined(self, graph: HamiltonianGraph, output: Coefficients) -> Coefficients:
        """The coefficients of H in what the networks say."""
        source = self.get_buffer("source")
        onsite, offsite = (part.index_select(1, source) for part in output)
        if self.fields is not None:
            fields = self.fields(graph, output)
            self._put_exchange(onsite, output.onsite, fields, torch.zeros_like(fields))
            there, back = fields[graph.pair_i], fields[graph.pair_j]
            self._put_exchange(offsite, output.offsite, 0.5 * (there + back), 0.5 * (there - back))
        return Coefficients(onsite, offsite)

    def _put_exchange(
        self, whole: Tensor, output: Tensor, mean: Tensor, difference: Tensor
    ) -> None:
        """Write the coefficients of C: products of blocks and fields."""
        products = self._products(output, self.get_buffer("exchange_means"), mean)
        others = self.get_buffer("exchange_differences")
        if len(others):
            products = products + self._products(output, others, difference)
        made = products @ self.get_buffer("exchange_product").to(output.dtype)
        whole.index_copy_(1, self.get_buffer("exchange_target"), made)

    @staticmethod
    def _products(output: Tensor, blocks: Tensor, fields: Tensor) -> Tensor:
        """Of the coefficients of blocks (fields, n) with the vectors, summed over fields."""
        return torch.einsum("nfw,nfv->nwv", output[:, blocks], fields).flatten(1)


def _own(precomputed: dict[str, Tensor], n: int) -> dict[str, Tensor]:
    prefix = f"{n}."
    return {
        name.removeprefix(prefix): value
        for name, value in precomputed.items()
        if name.startswith(prefix)
    }
