"""Band energies in the loss: the second stage of training.

At a few random k-points the predicted H(k) is solved with the S(k) of the structure, and band
energies are compared with those of the reference. HamGNN (Y. Zhong et al., npj Comput. Mater. 9,
182, 2023) weighs all bands with lambda = 0.001; the universal model those near the Fermi level with
0.01, at five k-points. The derivative of an eigenvalue is c^H dH c, which is finite where bands
cross: no eigenvector is differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ase_mlham.core import SpinKind
from ase_mlham.core.spin import PAULI
from ase_mlham.errors import InputError
from ase_mlham.learning.graph import HamiltonianGraph
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.losses import ElementIndex

__all__ = ["BandLossConfig", "BandProblem", "band_loss"]


@dataclass(frozen=True)
class BandLossConfig:
    """Weight of band energies in the loss.

    Parameters
    ----------
    weight : float
        lambda, against the loss of matrix elements; 0 leaves bands out.
    kpts : int
        Random k-points in each step; structures without periodic directions have one.
    below, above : float
        Only bands from the reference's Fermi level less `below` to it plus `above` count, eV.
        Zeros: all bands.
    """

    weight: float = 0.0
    kpts: int = 5
    below: float = 0.0
    above: float = 0.0

    def __post_init__(self) -> None:
        if self.weight < 0 or self.kpts < 1 or min(self.below, self.above) < 0:
            raise InputError("weight and window of the band loss must not be negative, kpts >= 1")


@dataclass(frozen=True)
class BandProblem:
    """What does not change of the eigenvalue problems of a structure.

    Attributes
    ----------
    rows, columns : (n_elements,) int64
        Orbitals of each stored matrix element.
    vectors : (n_elements, 3)
        tau_j + R - tau_i of each element, Å.
    onsite : int
        Number of elements of on-site blocks, which come first.
    reference : (n_real, n_elements)
        H in eV.
    overlap : (n_elements,)
        S.
    n_orbitals : int
        In the cell.
    reciprocal : (3, 3)
        2 pi times the inverse cell, as columns, zero along directions that are not periodic, 1/Å.
    fermi_level : float
        Of the reference, eV.
    spin : SpinKind
        Of the Hamiltonian.
    pauli : (n_real, 2, 2) complex
        Spin matrix that belongs to each real part, with its factor i.
    """

    rows: Tensor
    columns: Tensor
    vectors: Tensor
    onsite: int
    reference: Tensor
    overlap: Tensor
    n_orbitals: int
    reciprocal: Tensor
    fermi_level: float
    spin: SpinKind
    pauli: Tensor

    @classmethod
    def of(
        cls,
        layout: BlockLayout,
        graph: HamiltonianGraph,
        index: ElementIndex,
        reference: Tensor,
        overlap: Tensor,
        cell: np.ndarray,
        pbc: np.ndarray,
        fermi_level: float,
    ) -> BandProblem:
        """Problem of one structure whose elements are ordered as `OrbitalElements` gives them."""
        sizes = torch.tensor(layout.basis.sizes.tolist())
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), sizes[graph.species].cumsum(0)])
        rows, columns, vectors = [], [], []
        zero = torch.zeros(graph.n_atoms, 3, dtype=torch.float64)
        atoms = torch.arange(graph.n_atoms)
        for runs, bra, ket, vector in (
            (index.onsite, atoms, atoms, zero),
            (index.offsite, graph.pair_i, graph.pair_j, graph.pair_vectors.double()),
        ):
            for a, b, which in runs:
                shape = (len(which), int(sizes[a]), int(sizes[b]))
                row = offsets[bra[which]][:, None] + torch.arange(shape[1])
                column = offsets[ket[which]][:, None] + torch.arange(shape[2])
                rows.append(row[:, :, None].expand(shape).flatten())
                columns.append(column[:, None, :].expand(shape).flatten())
                vectors.append(vector[which][:, None, None].expand(*shape, 3).reshape(-1, 3))
        reciprocal = np.zeros((3, 3))
        if pbc.any():
            full = np.linalg.pinv(cell[pbc])
            reciprocal[:, pbc] = 2 * np.pi * full
        spins = []
        for part in layout.parts:
            for name in part.components:
                factor = 1j if part.imaginary else 1.0
                spins.append(factor * PAULI[("1", "x", "y", "z").index(name)])
        return cls(
            rows=torch.cat(rows),
            columns=torch.cat(columns),
            vectors=torch.cat(vectors),
            onsite=index.n_onsite,
            reference=reference.double(),
            overlap=overlap.double(),
            n_orbitals=int(offsets[-1]),
            reciprocal=torch.from_numpy(reciprocal),
            fermi_level=fermi_level,
            spin=layout.spin,
            pauli=torch.from_numpy(np.stack(spins)),
        )

    @property
    def periodic(self) -> bool:
        """Whether there is more than one k-point."""
        return bool(self.reciprocal.any())

    def phases(self, k: Tensor) -> Tensor:
        """exp(i k (tau_j + R - tau_i)) of each element for a k in fractions."""
        angle = self.vectors @ (self.reciprocal @ k)
        return torch.polar(torch.ones_like(angle), angle)

    def matrix(self, elements: Tensor, phases: Tensor) -> Tensor:
        """H(k) or S(k), (n_orbitals, n_orbitals), of the elements of a real part."""
        n = self.n_orbitals
        values = elements * phases
        flat = torch.zeros(n * n, dtype=values.dtype)
        flat = flat.index_add(0, self.rows * n + self.columns, values)
        # the adjoint of each off-site block; what is not symmetric comes with its factor i
        partner = values[self.onsite :].conj()
        place = self.columns[self.onsite :] * n + self.rows[self.onsite :]
        return flat.index_add(0, place, partner).view(n, n)

    def hamiltonian(self, elements: Tensor, phases: Tensor) -> Tensor:
        """H(k) of all real parts: (n_channels, m, m), Hermitian."""
        if self.spin is SpinKind.NONE:
            return self.matrix(elements[0], phases)[None]
        n = self.n_orbitals
        whole = torch.zeros(2 * n, 2 * n, dtype=torch.complex128)
        for part, spin in zip(elements, self.pauli, strict=True):
            # i times the real part: its partner i (-B^T) is the adjoint of i B
            imaginary = bool(abs(spin - spin.conj().T).max() > 1e-12)
            factor = 1j if imaginary else 1.0
            whole = whole + torch.kron(spin / factor, self.matrix(factor * part, phases))
        if self.spin is SpinKind.COLLINEAR:
            return torch.stack([whole[:n, :n], whole[n:, n:]])
        return whole[None]

    def random_k(self) -> Tensor:
        """A k-point in fractions, from torch's own random numbers; Gamma without periodicity."""
        return (
            torch.rand(3, dtype=torch.float64) - 0.5 if self.periodic else torch.zeros(3).double()
        )


def energies(problem: BandProblem, elements: Tensor, phases: Tensor) -> Tensor:
    """Band energies, (n_channels, n_bands), with finite derivatives also where bands cross."""
    s = problem.matrix(problem.overlap, phases)
    h = problem.hamiltonian(elements, phases)
    if problem.spin is SpinKind.SPINOR:
        s = torch.kron(torch.eye(2, dtype=s.dtype), s)
    factor = torch.linalg.cholesky(s)
    half = torch.linalg.solve_triangular(factor, h, upper=False)
    reduced = torch.linalg.solve_triangular(factor, half.mH, upper=False)
    return torch.linalg.eigvalsh(0.5 * (reduced + reduced.mH))


def band_loss(problem: BandProblem, error: Tensor, config: BandLossConfig) -> Tensor:
    """Mean absolute error of band energies at random k-points, meV, after the best common shift.

    Parameters
    ----------
    problem : BandProblem
        The structure.
    error : (n_real, n_elements)
        Predicted minus reference, eV, with gradients.
    config : BandLossConfig
        How many k-points, which bands.
    """
    elements = problem.reference + error.double()
    found = []
    for _ in range(config.kpts if problem.periodic else 1):
        phases = problem.phases(problem.random_k())
        with torch.no_grad():
            wanted = energies(problem, problem.reference, phases)
        difference = energies(problem, elements, phases) - wanted
        if config.below or config.above:
            near = (wanted > problem.fermi_level - config.below) & (
                wanted < problem.fermi_level + config.above
            )
            difference = difference[near]
        found.append(difference.flatten())
    together = torch.cat(found)
    if not len(together):
        return error.new_zeros(())
    shift = together.detach().median()
    return (1000.0 * (together - shift).abs().mean()).to(error.dtype)
