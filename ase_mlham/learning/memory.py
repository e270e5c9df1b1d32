"""How much memory a prediction will need.

What stands in memory at once is known beforehand: the output of the network in single precision,
H and S in double precision, and what a network itself needs for its atoms and one portion of their
edges, which the network says (`memory_bytes`).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from ase_mlham.core import BlockPattern
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import BlockLayout

__all__ = ["Needs", "network_bytes", "prediction_needs"]

_PORTION = 2048 * 8 * 4
"""Blocks that are converted at once, in four copies of double precision."""


class Needs(NamedTuple):
    """Bytes.

    Attributes
    ----------
    peak : float
        Most that is needed at once, besides what is in memory already.
    result : float
        H and S, which stay.
    """

    peak: float
    result: float


def network_bytes(network: nn.Module, graph: HamiltonianGraph) -> float:
    """What a network says of itself; zero if it does not."""
    says = getattr(network, "memory_bytes", None)
    return 0.0 if says is None else float(says(graph))


def prediction_needs(
    layout: BlockLayout,
    pattern: BlockPattern,
    network: float,
    *,
    momentum: bool = False,
    item: int = 4,
) -> Needs:
    """Memory of a prediction.

    Parameters
    ----------
    layout : BlockLayout
        Irreps of the blocks.
    pattern : BlockPattern
        Blocks of H.
    network : float
        Bytes of the network besides its output.
    momentum : bool
        Whether the form of the spin-orbit part multiplies angular momenta.
    item : int
        Bytes of a number in the network.
    """
    sizes = pattern.sizes[pattern.species]
    numbers = float((sizes[pattern.i] * sizes[pattern.j]).sum())
    bytes_of_h = 16 if any(part.imaginary for part in layout.parts) else 8
    hamiltonian = layout.spin.n_components * bytes_of_h * numbers
    overlap = 8 * numbers
    coefficients = float(pattern.n_blocks) * layout.n_coefficients
    output = item * coefficients
    portion = min(_PORTION, 32 * pattern.n_blocks) * layout.n_coefficients
    stages = [
        output + network,
        # to eV, then to blocks
        2 * output + hamiltonian + portion,
        hamiltonian + overlap,
    ]
    if momentum:
        # S twice, three components of it times L, four with that of P; and coefficients of all that
        # in double precision, on the way to those of B in five copies
        stages.append(output + (2 + 3 + 4) * overlap + 5 * 8 * coefficients)
    return Needs(max(stages), hamiltonian + overlap)
