"""From the last features of a network to the irreducible tensors of a layout (Wigner-Eckart)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ase_mlham.learning.layout import IrrepLayout
from ase_mlham.learning.nn.features import Channels, parity_signs

__all__ = ["TensorHead"]


class TensorHead(nn.Module):
    """Reads the coefficients of a layout out of features that have a channel for each of them.

    It has no weights: the layer before it gives `channels`, as many in every degree as the degree
    with the most tensors needs, so that one operation serves all degrees.

    Parameters
    ----------
    layout : IrrepLayout
        Irreps of the blocks.
    l_max : int
        Largest degree of the features; at least that of the layout.

    Attributes
    ----------
    channels : Channels
        Of the features.
    """

    def __init__(self, layout: IrrepLayout, l_max: int) -> None:
        super().__init__()
        degrees = range(layout.l_max + 1)
        natural = max(layout.multiplicity(L, natural=True) for L in degrees)
        other = max(layout.multiplicity(L, natural=False) for L in degrees)
        self.channels = Channels.even(l_max, natural, other)
        columns = torch.empty(layout.n_coefficients, dtype=torch.int64)
        for L, entries in enumerate(layout.channels):
            n_natural = layout.multiplicity(L, natural=True)
            for n in range(len(entries)):
                column = n if n < n_natural else natural + n - n_natural
                for M in range(2 * L + 1):
                    row = (L * L + M) * (natural + other)
                    columns[layout.starts[L] + M * len(entries) + n] = row + column
        index, sign = layout.reversal
        self.register_buffer("columns", columns, persistent=False)
        self.register_buffer("index", torch.from_numpy(index), persistent=False)
        self.register_buffer("sign", torch.from_numpy(sign), persistent=False)
        parity = parity_signs(self.channels)[columns]
        self.register_buffer("inverted_sign", self.sign * parity, persistent=False)

    def coefficients(self, y: Tensor) -> Tensor:
        """Coefficients (n, n_coefficients) in features (n, size of `channels`)."""
        return y.index_select(1, self.columns)

    def transposed(self, coefficients: Tensor) -> Tensor:
        """Those of the same blocks seen from the other end."""
        return coefficients.index_select(1, self.index) * self.sign.to(coefficients.dtype)

    def transposed_inverted(self, coefficients: Tensor) -> Tensor:
        """Those of the other end, if everything was seen inverted.

        The reversed edge needs no frame of its own: f(x, -v) = P f(P x, v), see `frames.Frames`.
        """
        sign = self.inverted_sign.to(coefficients.dtype)
        return coefficients.index_select(1, self.index) * sign
