"""The local potential on the grid: ions, Hartree, exchange and correlation.

The long-range part of each ion is the potential of a Gaussian charge, the short-range rest of the
GTH potential is analytic in reciprocal space. As in PySCF the average of the Hartree and long-range
parts over the cell is zero and the short-range average is kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfftn, rfftn

from ase_mlham.engines.pyscf.atoms import atomic_density
from ase_mlham.engines.pyscf.cell import Box
from ase_mlham.engines.pyscf.functional import is_gga, xc_energy_potential

__all__ = ["LocalEnergies", "LocalPotential"]


class LocalEnergies(NamedTuple):
    """Energies of a density in hartree: Hartree, local ion potential, exchange and correlation."""

    hartree: float
    ion: float
    xc: float


class LocalPotential:
    """Poisson solver, ions and functional for one box.

    Parameters
    ----------
    box : Box
        The crystal.
    mesh : (3,) int
        FFT grid.
    xc : str
        "pbe" or "lda".
    moments : (n_atoms,) float, optional
        Magnetic moments of the atoms at the start, Bohr magnetons. With them there are two
        channels, up and down, else one for all electrons.

    Attributes
    ----------
    start_density : (n_channels, *mesh) float
        Sum of spherical atoms, never negative, with the right electron count.
    ion_energy : float
        Repulsion of the ions (Ewald), hartree.
    electrostatic : (mesh) float
        Hartree plus ions of the last density given, hartree.
    """

    def __init__(
        self,
        box: Box,
        mesh: tuple[int, int, int],
        xc: str,
        moments: NDArray[np.float64] | None = None,
    ) -> None:
        self.box, self.mesh, self.xc = box, mesh, xc
        self.element = box.volume / np.prod(mesh)
        reciprocal = 2 * np.pi * np.linalg.inv(box.lattice).T
        counts = [np.fft.fftfreq(mesh[0], 1 / mesh[0]), np.fft.fftfreq(mesh[1], 1 / mesh[1])]
        counts.append(np.fft.rfftfreq(mesh[2], 1 / mesh[2]))
        self._counts = counts
        # the gradient of a wave at the edge of the spectrum of an even grid is not defined: zero
        inner = [np.where(2 * abs(n) == m, 0.0, n) for n, m in zip(counts, mesh, strict=True)]
        self.G2 = np.sum(self._vectors(counts, reciprocal) ** 2, axis=0)
        self.G = self._vectors(inner, reciprocal)
        with np.errstate(divide="ignore"):
            self.kernel = 4 * np.pi / self.G2
        self.kernel[0, 0, 0] = 0.0
        self._ions(moments)

    @staticmethod
    def _vectors(counts: list[NDArray], reciprocal: NDArray) -> NDArray[np.float64]:
        """Reciprocal vectors of the half grid, (3, *half mesh)."""
        n = np.meshgrid(*counts, indexing="ij")
        return np.stack([sum(n[a] * reciprocal[a, c] for a in range(3)) for c in range(3)])

    def _structure_factor(
        self, atoms: NDArray[np.int64], weights: NDArray[np.float64] | None = None
    ) -> NDArray[np.complex128]:
        scaled = self.box.positions[atoms] @ np.linalg.inv(self.box.lattice)
        phase = [np.exp(-2j * np.pi * np.outer(scaled[:, a], self._counts[a])) for a in range(3)]
        if weights is not None:
            phase[0] = phase[0] * weights[:, None]
        return np.einsum("ax,ay,az->xyz", *phase, optimize=True)

    def _ions(self, moments: NDArray[np.float64] | None) -> None:
        cell, mesh = self.box.cell, self.mesh
        shape = self.G2.shape
        core, short, rho, spin = (np.zeros(shape, dtype=complex) for _ in range(4))
        length = np.sqrt(self.G2)
        elements = np.array([cell.atom_pure_symbol(a) for a in range(cell.natm)])
        for element in sorted(set(elements)):
            atoms = np.flatnonzero(elements == element)
            factor = self._structure_factor(atoms)
            pseudo = cell._pseudo[element]  # noqa: SLF001 - the parsed parameters have no other access
            q, radius = sum(pseudo[0]), pseudo[1]
            c = [*pseudo[3], 0.0, 0.0, 0.0, 0.0]
            x2 = self.G2 * radius**2
            gauss = np.exp(-x2 / 2)
            poly = c[0] + c[1] * (3 - x2) + c[2] * (15 - 10 * x2 + x2**2)
            poly = poly + c[3] * (105 - 105 * x2 + 21 * x2**2 - x2**3)
            v = (2 * np.pi) ** 1.5 * radius**3 * gauss * poly
            v[0, 0, 0] += 2 * np.pi * q * radius**2  # what the Gaussian charge leaves of -q/r
            core += factor * q * gauss
            short += factor * v
            atom = atomic_density(element, pseudo, self.xc)
            transformed = atom.transform(length)
            rho += factor * transformed
            if moments is not None and moments[atoms].any():
                whole, unfilled = atom.spin_weights(moments[atoms])
                spin += self._structure_factor(atoms, whole) * transformed
                if unfilled.any():
                    spin += self._structure_factor(atoms, unfilled) * atom.transform_open(length)
        scale = np.prod(mesh) / self.box.volume
        self._ion_potential = self._back(scale * (short - core * self.kernel))
        density = self._back(scale * rho)[None]
        if moments is not None:
            magnetisation = self._back(scale * spin)
            density = np.concatenate([density + magnetisation, density - magnetisation]) / 2
        density = np.maximum(density, 0.0)
        self.start_density = density * (cell.nelectron / (density.sum() * self.element))
        self.ion_energy = float(cell.ewald())

    def _back(self, f: NDArray) -> NDArray[np.float64]:
        return irfftn(f, s=self.mesh)

    def __call__(self, rho: NDArray[np.float64]) -> tuple[NDArray[np.float64], LocalEnergies]:
        """Total local potential of a density, and its energies.

        With a gradient functional the potential is v - div(dE/d grad rho), formed on the grid
        (White and Bird, Phys. Rev. B 50, 4954 (1994)): one function of position, no orbital
        gradients.

        Parameters
        ----------
        rho : (n_channels, *mesh) float
            Density of each channel, bohr^-3.

        Returns
        -------
        potential : (n_channels, *mesh) float
            Hartree.
        energies : LocalEnergies
        """
        total = rho.sum(axis=0)
        transformed = [rfftn(part) for part in rho]
        hartree = self._back(sum(transformed) * self.kernel)
        flat = rho.reshape(len(rho), -1)
        gradient = None
        if is_gga(self.xc):
            gradient = np.empty((len(rho), 3, total.size))
            for part, out in zip(transformed, gradient, strict=True):
                for axis, g in enumerate(self.G):
                    out[axis] = self._back(1j * g * part).ravel()
        exc, scalar, vector = xc_energy_potential(self.xc, flat, gradient)
        v_xc = scalar.reshape(rho.shape)
        if gradient is not None:
            for potential, field in zip(v_xc, vector, strict=True):
                flux = sum(
                    1j * g * rfftn(v.reshape(self.mesh)) for g, v in zip(self.G, field, strict=True)
                )
                potential -= self._back(flux)
        self.electrostatic = hartree + self._ion_potential
        energies = LocalEnergies(
            hartree=float(0.5 * np.sum(total * hartree) * self.element),
            ion=float(np.sum(total * self._ion_potential) * self.element),
            xc=float(np.dot(total.ravel(), exc) * self.element),
        )
        return self.electrostatic + v_xc, energies
