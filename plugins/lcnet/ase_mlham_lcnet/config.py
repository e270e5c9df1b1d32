"""Options of LC-Net."""

from __future__ import annotations

from dataclasses import dataclass

from ase_mlham.errors import ModelError
from ase_mlham_lcnet.local_coordinates import Definition

__all__ = ["LCNetConfig"]


@dataclass(frozen=True)
class LCNetConfig:
    """Size of the networks.

    Attributes
    ----------
    node, edge, local : int
        Features of an atom, of an edge (as many Gaussians of its length), and of each atom of an
        edge in local coordinates.
    layers : int
        Interaction layers.
    output : int
        Width of the output layer.
    filters : int
        Filters of the text-CNN for each window.
    windows : list of int
        Neighbours in a window.
    neighbours : int
        Nearest neighbours of an atom that the text-CNN reads.
    degree : int
        Largest degree of the harmonics in an orientational vector.
    elements : int
        Numbers learned for each element, by which orientational vectors of its atoms are multiplied
        and repeated. With zero, as published, local features know where neighbours are and leave
        what they are to the messages.
    variance : float
        sigma^2 of the Gaussians of distance, Å^2.
    message_cutoff : float
        Range of messages, and of the neighbours that define local coordinates, Å.
    pair_cutoff : float
        Range of the predicted pairs, Å; beyond it the output is zero.
    definition : {"complete", "plain"}
        Of the local coordinates; "plain" is for comparison and not fit for symmetric structures.
    mirror : bool
        Predict for the mirror image as well and take the mean, which makes inversion exact (but
        for ties) at twice the cost.
    chunk : int
        Most pairs evaluated at once in prediction, which bounds the memory.
    """

    node: int = 64
    edge: int = 64
    local: int = 48
    layers: int = 3
    output: int = 128
    filters: int = 64
    windows: tuple[int, ...] = (2, 3, 4)
    neighbours: int = 16
    degree: int = 4
    elements: int = 0
    variance: float = 0.0044
    message_cutoff: float = 5.0
    pair_cutoff: float = 7.4
    definition: Definition = "complete"
    mirror: bool = False
    chunk: int = 4096

    def __post_init__(self) -> None:
        if not self.windows or min(self.windows) < 1 or max(self.windows) > self.neighbours:
            raise ModelError(
                f"windows = {list(self.windows)} of {self.neighbours} neighbours: give sizes from "
                "1 to the number of neighbours"
            )
        if min(self.layers, self.node, self.edge, self.local, self.filters, self.output) < 1:
            raise ModelError("layers and widths of the network must be at least 1")
        if not (self.variance > 0 and self.message_cutoff > 0 and self.pair_cutoff > 0):
            raise ModelError("variance, message_cutoff and pair_cutoff must be positive")
