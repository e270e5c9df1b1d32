"""What a model family must be: a configuration and a module that maps a graph to coefficients.

Everything else (graphs, targets, normalisation, loss, metrics, training loop, checkpoints, model
file, prediction, calculator, command line) is the package's.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ase_mlham import hooks
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import BlockLayout, IrrepLayout
from ase_mlham.learning.spin_form import SpinForm, network_layouts

__all__ = ["Coefficients", "FamilyModule", "MomentParity", "make_network"]


class Coefficients(NamedTuple):
    """Irreducible tensors in the order of an `IrrepLayout`.

    Attributes
    ----------
    onsite : (n_atoms, n_coefficients)
        One for each atom.
    offsite : (n_pairs, n_coefficients)
        One for each stored off-site block.
    """

    onsite: Tensor
    offsite: Tensor


@runtime_checkable
class FamilyModule(Protocol):
    """A `torch.nn.Module` built as `cls(config, layout)`, the layout an `IrrepLayout`.

    Its output is dimensionless, of order one and zero on average: `learning.targets` turns it into
    eV. In evaluation it must obey the symmetry of blocks exactly: a pair seen from the other end
    gives the reversed coefficients (`IrrepLayout.reversal`), and an on-site tensor is its own
    reversal. Spin needs nothing more: its parts are channels of the layout, and `layout.moments`
    says in which form the network may look at `graph.moments`.
    """

    @property
    def message_cutoff(self) -> float:
        """Range of messages, Å."""
        ...

    def precompute(self, graph: HamiltonianGraph) -> dict[str, Tensor]:
        """What depends on the structure alone and may be kept between training steps."""
        ...

    def __call__(
        self, graph: HamiltonianGraph, precomputed: dict[str, Tensor] | None = None
    ) -> Coefficients:
        """Predict. In training mode a module may evaluate pairs in one random direction."""
        ...


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


def make_network(
    spec: hooks.FamilySpec, config: Any, layout: BlockLayout, form: SpinForm | None = None
) -> nn.Module:
    """The module of a family, with the head of a form of the spin parts of H.

    Exact under time reversal where H has parts odd in the moments.

    Raises
    ------
    InputError
        The form does not go with the parts of H.
    """
    form = SpinForm() if form is None else form
    layouts = network_layouts(layout, form)
    networks: list[nn.Module] = []
    for own in layouts:
        network: nn.Module = hooks.load(spec.module)(config, own)
        networks.append(MomentParity(network, own) if own.odd.any() else network)
    if form == SpinForm():
        return networks[0]
    from ase_mlham.learning.nn.spin_heads import SpinHeads

    return SpinHeads(networks, layouts, layout, form)
