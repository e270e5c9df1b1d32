"""Analytic parts of H(R): overlap, kinetic energy and non-local pseudopotential.

Ordinary two-centre integrals between the home cell and the images in range: no Ewald sum, no
Fourier transform, nothing that could wrap around.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from ase_mlham.engines.pyscf.images import Images, OrbitalImages, libcint_arrays

__all__ = ["kinetic_and_overlap", "known_warnings_ignored", "nonlocal_potential", "scatter"]

_INTEGRALS = ("int1e_ovlp_sph", "int1e_r2_origi_sph", "int1e_r4_origi_sph")


def kinetic_and_overlap(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """T and S as arrays X[R, i, j], hartree and pure numbers."""
    from pyscf.gto import moleintor

    cell, box = images.cell, images.lattice_box
    shell, R, centre = images.reaching(images.box.positions, float(images.radius.max()))
    inside = (abs(R) <= box.reach).all(axis=1)
    shell, R, centre = shell[inside], R[inside], centre[inside]
    bas, env = cell._bas, cell._env  # noqa: SLF001 - libcint's tables
    atm, table, numbers, starts = libcint_arrays(
        [(bas, env, images.centres), (bas[shell], env, centre)]
    )
    ket = images.orbitals(shell, R)
    n = box.n_orbitals
    home = images.indexed(np.arange(n), np.zeros((n, 3), dtype=np.int64))
    index = home.row[:, None] + ket.column
    slices = (0, starts[1], starts[1], starts[2])
    out = []
    for name in ("int1e_kin_sph", "int1e_ovlp_sph"):
        matrix = np.zeros(box.shape)
        matrix.ravel()[index] = moleintor.getints(name, atm, table, numbers, slices)
        out.append(matrix)
    return out[0], out[1]


def nonlocal_potential(images: Images) -> NDArray[np.float64]:
    """Separable GTH pseudopotential V_nl as an array X[R, i, j], hartree.

    Around each atom all orbitals that reach its projectors are integrated with them; the outer
    product gives <i R1|V|j R2>, which belongs to R2 - R1.
    """
    from pyscf import gto
    from pyscf.gto import moleintor
    from pyscf.pbc.gto.pseudo import pp_int

    cell = images.cell
    out = np.zeros(images.lattice_box.shape)
    fake, couplings = pp_int.fake_cell_vnl(cell)
    bas, env = fake._bas, fake._env  # noqa: SLF001 - libcint's tables
    for atom in range(cell.natm):
        mine = np.flatnonzero(bas[:, gto.ATOM_OF] == atom)
        if not len(mine):
            continue
        # the projector exp(-a r^2) is below 2e-8 of its maximum there
        reach = max(6.0 / np.sqrt(2 * env[bas[p, gto.PTR_EXP]]) for p in mine)
        place = images.box.positions[atom : atom + 1]
        shell, R, centre = images.reaching(place, reach)
        orbitals = images.orbitals(shell, R)
        ket = (cell._bas[shell], cell._env, centre)  # noqa: SLF001
        V = np.zeros((len(orbitals.orbital), len(orbitals.orbital)))
        for p in mine:
            atm, table, numbers, starts = libcint_arrays([(bas[[p]], env, place), ket])
            slices = (0, starts[1], starts[1], starts[2])
            h = np.asarray(couplings[p])
            with known_warnings_ignored():
                P = np.stack(
                    [
                        moleintor.getints(name, atm, table, numbers, slices)
                        for name in _INTEGRALS[: len(h)]
                    ]
                )
            hP = np.einsum("mn,nuj->muj", h, P).reshape(-1, P.shape[2])
            V += P.reshape(-1, P.shape[2]).T @ hP
        scatter(out, images, orbitals, V)
    return out


@contextmanager
def known_warnings_ignored() -> Iterator[None]:
    """Silence what PySCF says about its own integrals of the GTH projectors.

    It does not know their number of components and takes one, rightly.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Function int")
        yield


def scatter(
    out: NDArray[np.float64], images: Images, orbitals: OrbitalImages, values: NDArray
) -> None:
    """out[R2 - R1, i, j] += values[(R1, i), (R2, j)], without pairs outside the lattice box."""
    index = orbitals.row[:, None] + orbitals.column
    reach = images.lattice_box.reach
    if np.all(np.ptp(orbitals.R, axis=0) <= reach):
        np.add.at(out.ravel(), index.ravel(), values.ravel())
        return
    inside = np.ones(index.shape, dtype=bool)
    for axis in range(3):
        R = orbitals.R[:, axis]
        inside &= abs(R[:, None] - R) <= reach[axis]
    np.add.at(out.ravel(), index[inside], values[inside])
