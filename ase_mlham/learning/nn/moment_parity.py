"""Time reversal for any network, by two evaluations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import IrrepLayout
from ase_mlham.learning.memory import network_bytes

__all__ = ["MomentParity"]


class MomentParity(nn.Module):
    """Makes each part of H even or odd in the magnetic moments, exactly, for any network.

    With f(M) what the network says, the even parts are (f(M) + f(-M)) / 2 and the odd parts
    (f(M) - f(-M)) / 2. Two evaluations; without moments the odd parts vanish.

    Parameters
    ----------
    network : FamilyModule
        Sees the moments in its graph.
    layout : IrrepLayout
        Says which coefficients are odd.
    """

    def __init__(self, network: nn.Module, layout: IrrepLayout) -> None:
        super().__init__()
        self.network = network
        sign = torch.where(torch.from_numpy(layout.odd), -1.0, 1.0)
        self.register_buffer("sign", sign, persistent=False)

    @property
    def config(self) -> Any:
        """Of the network."""
        return self.network.config

    @property
    def message_cutoff(self) -> float:
        """Of the network, Å."""
        return float(self.network.message_cutoff)

    def precompute(self, graph: HamiltonianGraph) -> dict[str, Tensor]:
        """What the network makes of the geometry, which both evaluations share."""
        return dict(self.network.precompute(graph))

    def memory_bytes(self, graph: HamiltonianGraph) -> float:
        """Of the network, and three more of its outputs (half of them while it works again)."""
        output = 4.0 * (graph.n_atoms + graph.n_pairs) * len(self.sign)
        return max(network_bytes(self.network, graph) + output, 3 * output)

    def forward(
        self, graph: HamiltonianGraph, precomputed: dict[str, Tensor] | None = None
    ) -> Coefficients:
        """Predict."""
        on_gpu = graph.moments.device.type == "cuda"
        devices = [graph.moments.device] if on_gpu else []
        # in training both must draw the same random numbers
        with torch.random.fork_rng(devices, enabled=self.training):
            there = self.network(graph, precomputed)
        back = self.network(graph.reversed_moments(), precomputed)
        parts = (0.5 * (a + self.sign.to(a) * b) for a, b in zip(there, back, strict=True))
        return Coefficients(*parts)
