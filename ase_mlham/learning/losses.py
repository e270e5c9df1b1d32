"""How wrong predicted blocks are, in one number to minimise: meV, orbital basis, free of gauge.

H and H + mu S are the same physics, so the best mu of each structure is taken out before errors
count. Errors are absolute, not relative to the size of a block: a small error in a far pair moves
bands as much as one in a near pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ase_mlham.errors import InputError
from ase_mlham.learning.family import Coefficients
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import BlockLayout

__all__ = ["ElementIndex", "LossConfig", "OrbitalElements", "block_loss", "gauge_shift"]


@dataclass(frozen=True)
class LossConfig:
    """Loss of one structure: mean * mean|e| + rms * root mean square of e, in meV.

    Parameters
    ----------
    mean, rms : float
        Weights of the two norms.
    huber : float
        Below this error (meV) the mean counts squares (e^2 / 2 huber + huber / 2), which makes the
        loss smooth at zero; 0 leaves |e|.
    focal_gamma, focal_beta : float
        The focal loss of LC-Net: in the mean every error has the weight
        (1 / (1 + exp(-beta |e|)))^gamma, which is 2^-gamma for small errors and rises to 1 above
        about 1 / beta, given in 1/eV. Off with gamma = 0.
    gauge_free : bool
        Take the best shift H + mu S out of each structure first.
    """

    mean: float = 1.0
    rms: float = 0.3
    huber: float = 0.0
    focal_gamma: float = 0.0
    focal_beta: float = 0.25
    gauge_free: bool = True

    def __post_init__(self) -> None:
        if min(self.mean, self.rms, self.huber) < 0 or self.mean + self.rms == 0:
            raise InputError("weights of the loss must not be negative, nor all zero")
        if min(self.focal_gamma, self.focal_beta) < 0:
            raise InputError("focal_gamma and focal_beta must not be negative")


@dataclass(frozen=True)
class ElementIndex:
    """Which rows of the coefficients are blocks between which species.

    Attributes
    ----------
    onsite, offsite : tuple of (species i, species j, rows)
        Rows of each pair of species.
    n_onsite : int
        Matrix elements of all on-site blocks; they come first.
    """

    onsite: tuple[tuple[int, int, Tensor], ...]
    offsite: tuple[tuple[int, int, Tensor], ...]
    n_onsite: int


class OrbitalElements:
    """From irreducible coefficients to matrix elements between orbitals, one after another.

    Parameters
    ----------
    layout : BlockLayout
        Decomposition of the blocks.
    dtype, device
        Of the coupling matrices; the same as of the coefficients.
    """

    def __init__(
        self,
        layout: BlockLayout,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        n = len(layout.basis.species)
        self._sizes = layout.basis.sizes
        self._n_real = layout.n_real
        self._couplings = {
            (a, b): torch.from_numpy(layout.coupling(a, b)).to(device, dtype)
            for a in range(n)
            for b in range(n)
        }
        self._n_species = n

    def index(self, graph: HamiltonianGraph) -> ElementIndex:
        """Rows of each pair of species of a graph."""
        n, species = self._n_species, graph.species
        onsite = [
            (a, a, rows) for a in range(n) if len(rows := torch.nonzero(species == a).squeeze(1))
        ]
        kind = species[graph.pair_i] * n + species[graph.pair_j]
        offsite = [
            (code // n, code % n, rows)
            for code in range(n * n)
            if len(rows := torch.nonzero(kind == code).squeeze(1))
        ]
        n_onsite = sum(len(rows) * int(self._sizes[a]) ** 2 for a, _, rows in onsite)
        return ElementIndex(tuple(onsite), tuple(offsite), n_onsite)

    def __call__(self, index: ElementIndex, coefficients: Coefficients) -> Tensor:
        """Elements, (n_real, n_elements): on-site blocks first, each stored block once."""
        parts = []
        for source, runs in (
            (coefficients.onsite, index.onsite),
            (coefficients.offsite, index.offsite),
        ):
            for a, b, rows in runs:
                block = source[rows] @ self._couplings[a, b]
                block = block.view(len(rows), self._n_real, -1)
                parts.append(block.transpose(0, 1).flatten(1))
        return torch.cat(parts, 1)


def gauge_shift(error: Tensor, overlap: Tensor, n_onsite: int) -> Tensor:
    """The mu that makes error - mu S smallest over all blocks, both of each Hermitian pair.

    Parameters
    ----------
    error : (n_real, n_elements)
        Predicted minus reference; only the first part (P, without spin) can be shifted.
    overlap : (n_elements,)
        S.
    n_onsite : int
        The first elements, which are their own partners.
    """
    first = error[0]
    numerator = 2 * (first @ overlap) - first[:n_onsite] @ overlap[:n_onsite]
    return numerator / (2 * (overlap @ overlap) - overlap[:n_onsite] @ overlap[:n_onsite])


def block_loss(error: Tensor, overlap: Tensor, n_onsite: int, config: LossConfig) -> Tensor:
    """Loss of one structure in meV.

    Parameters
    ----------
    error : (n_real, n_elements)
        Predicted minus reference, eV.
    overlap : (n_elements,)
        S on the same elements.
    n_onsite : int
        How many of the elements belong to on-site blocks.
    config : LossConfig
        Norms.
    """
    if config.gauge_free:
        shift = gauge_shift(error, overlap, n_onsite) * overlap
        error = torch.cat([(error[0] - shift)[None], error[1:]])
    error = 1000.0 * error
    out = error.new_zeros(())
    if config.mean:
        size = error.abs()
        if config.huber:
            small = size.square() / (2 * config.huber) + config.huber / 2
            size = torch.where(size < config.huber, small, size)
        if config.focal_gamma:
            size = size * _focal_weight(error, config)
        out = out + config.mean * size.mean()
    if config.rms:
        # the gradient of a root at zero is infinite: 1e-6 meV keeps a perfect fit finite
        out = out + config.rms * torch.sqrt(error.square().mean() + 1e-12)
    return out


def _focal_weight(error: Tensor, config: LossConfig) -> Tensor:
    """Weights of errors (meV), eq. 6 of the publication of the complete local coordinates."""
    beta = 0.001 * config.focal_beta
    return torch.sigmoid(beta * error.abs()) ** config.focal_gamma
