"""Wigner matrices of many rotations at once: how irreducible tensors turn with a local frame.

With Euler angles R = Z(a) Y(b) Z(c), the matrix of all degrees is D = Z(a) K Z(b) K^T Z(c), where Z
turns about z and the constant K takes the z axis to the y axis. Every element of the first four
factors is a fixed combination of products of 1, cos(m a), sin(m a) with 1, cos(m b), sin(m b), so
that one matrix product makes them for many rotations; the last factor mixes pairs of columns.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ase_mlham.core.harmonics import rotation_matrix

__all__ = ["WignerMatrices"]


class WignerMatrices(nn.Module):
    """Rotations to block-diagonal Wigner matrices of the degrees 0..l_max.

    Parameters
    ----------
    l_max : int
        Largest degree.
    """

    def __init__(self, l_max: int) -> None:
        super().__init__()
        self.l_max = l_max
        size = (l_max + 1) ** 2
        order = np.concatenate([np.arange(-l, l + 1) for l in range(l_max + 1)])
        mirror = np.concatenate([np.arange(l * l, (l + 1) ** 2)[::-1] for l in range(l_max + 1)])
        about_z = np.zeros((2 * l_max + 1, size, size))
        for m in range(l_max + 1):
            about_z[m] = np.diag((abs(order) == m).astype(float))
            if m:
                sign = -np.sign(order) * (abs(order) == m)
                about_z[l_max + m] = np.eye(size)[mirror] * sign[:, None]
        z_to_y = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
        constant = np.zeros((size, size))
        for l in range(l_max + 1):
            rows = slice(l * l, (l + 1) ** 2)
            constant[rows, rows] = rotation_matrix(l, z_to_y)
        polar = np.einsum("ab,qbc,dc->qad", constant, about_z, constant)
        products = np.einsum("pab,qbc->pqac", about_z, polar)
        for name, values in (
            ("products", products.reshape(len(about_z) ** 2, -1)),
            ("cosine_of", abs(order)),
            ("sine_of", l_max + abs(order)),
            ("sine_sign", np.sign(order).astype(float)),
            ("mirror", np.ascontiguousarray(mirror)),
        ):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def _waves(self, cosine: Tensor, sine: Tensor) -> Tensor:
        """1, cos(a), ..., cos(l_max a), sin(a), ..., sin(l_max a) by recurrence."""
        c, s = [torch.ones_like(cosine)], [torch.zeros_like(sine)]
        for _ in range(self.l_max):
            c.append(c[-1] * cosine - s[-1] * sine)
            s.append(s[-1] * cosine + c[-2] * sine)
        return torch.stack(c + s[1:], 1)

    def forward(self, rotations: Tensor) -> Tensor:
        """Matrices of proper rotations.

        Parameters
        ----------
        rotations : (n, 3, 3)
            Orthogonal, det = +1.

        Returns
        -------
        (n, (l_max + 1)**2, (l_max + 1)**2)
            D with Y(R r) = D Y(r), as `core.harmonics.rotation_matrix` gives it.
        """
        x, y, z = rotations[:, :, 2].unbind(1)
        rho = torch.sqrt(x * x + y * y)
        length = torch.sqrt(rho * rho + z * z)
        # a polar axis along z has no azimuth: any will do, the third angle makes up for it
        on_axis = rho <= 1e-12 * length
        safe = torch.where(on_axis, torch.ones_like(rho), rho)
        cos_a = torch.where(on_axis, torch.ones_like(x), x / safe)
        sin_a = torch.where(on_axis, torch.zeros_like(y), y / safe)
        cos_b, sin_b = z / length, rho / length
        # what is left of the first column after the first two turns are undone
        rx, ry, rz = rotations[:, :, 0].unbind(1)
        cos_c = cos_b * (cos_a * rx + sin_a * ry) - sin_b * rz
        sin_c = cos_a * ry - sin_a * rx
        scale = torch.sqrt(cos_c * cos_c + sin_c * sin_c)
        first, second = self._waves(cos_a, sin_a), self._waves(cos_b, sin_b)
        third = self._waves(cos_c / scale, sin_c / scale)
        features = (first[:, :, None] * second[:, None, :]).flatten(1)
        size = (self.l_max + 1) ** 2
        matrix = torch.mm(features, self.products.to(features.dtype)).view(-1, size, size)
        if self.l_max == 0:
            return matrix
        # the order m = 0 has no sine: its factor is zero whatever wave it reads
        sine = third.index_select(1, self.sine_of) * self.sine_sign.to(third.dtype)
        turned = matrix.index_select(2, self.mirror) * sine[:, None]
        return matrix * third.index_select(1, self.cosine_of)[:, None] + turned
