"""What a model family must be: a configuration and a module that maps a graph to coefficients.

Everything else (graphs, targets, normalisation, loss, metrics, training loop, checkpoints, model
file, prediction, calculator, command line) is the package's.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from ase_mlham.learning.graph import HamiltonianGraph

__all__ = ["Coefficients", "FamilyModule"]


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

    It must run under `torch.autocast`, and its output may then be of lower precision.

    A module with an attribute `recompute` (False) can evaluate its layers in portions and once more
    on the way back when that is set to true, see `learning.nn.chunks`; without the attribute,
    `recompute = true` of a training is refused.

    A method `memory_bytes(graph) -> float` says what a prediction needs at the peak besides its
    output (features of the atoms, one portion of edges); without it, users are told the rest alone.
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
