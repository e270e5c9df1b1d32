"""`MLHamiltonian`: the calculator, put together."""

from __future__ import annotations

from ase_mlham.calculator.freezing import Freezing
from ase_mlham.calculator.grids import GridGetters

__all__ = ["MLHamiltonian"]


class MLHamiltonian(Freezing, GridGetters):
    """ASE calculator on a Hamiltonian: of a model, of a file, or of a system in memory.

    Everything but the model is given by keyword, and may be changed with `set`, which drops no more
    than what the change makes wrong.

    Parameters
    ----------
    model : str, path or HamiltonianModel, optional
        Name of an installed model, a `.mlham` file, or a model object; or a file with its own
        Hamiltonian, such as the output of a DFT code, which is then used for its own structure.
        "sige" if nothing is given, or what ASE's configuration file names, see below.
    system : LCAOSystem, optional
        A Hamiltonian in memory, in place of a model; for its own structure likewise.
    kpts : as for `ase_mlham.electronic.kpoints.k_points`
        Mesh for Fermi level, gap, DOS and charges; by default Gamma-centred with 5 points per Å^-1.
        A path may be given too, as ASE's tools do: then the getters for eigenvalues answer for the
        path, and Fermi level and the like for the mesh that was set before.
    smearing : float, optional
        Width in eV of the occupations; by default none: the middle of the gap of an insulator,
        tetrahedra for a metal.
    occupation : {"tetrahedron", "fermi-dirac", "gaussian"}, optional
        How states around the Fermi level are filled; "fermi-dirac" with a width, else tetrahedra.
    charge : float
        Of the cell in e: so many electrons fewer than the source counts.
    device : str
        "auto", "cpu", "cuda" or "cuda:1".
    dtype : {"float32", "float64"}, optional
        In which the model computes; its own choice if None.
    solver : str, optional
        A registered eigensolver.
    overlap_floor : float, optional
        Project out eigenvectors of S below this, see `eigenstates`.
    symmetry : {"time-reversal", "off"}
        Which k-points of the mesh are computed: of k and -k one where both have the same energies,
        or all, which `ase.dft.wannier.Wannier` asks for.
    spacing : float
        Largest distance of points of a grid in space, Å.
    on_unknown : {"error", "warn"}
        What to do about distances shorter than any that the model was trained on.
    bandpath : BandPath, str, optional
        Path of `band_structure()`; set by ASE's `calculate_band_structure`.
    potential : ase.calculators.calculator.Calculator, optional
        Gives energy, forces and stress, for relaxations and dynamics.
    atoms : ase.Atoms, optional
        Attach the calculator to these atoms.
    directory, label : str
        Accepted as for all calculators of ASE; no files are written.

    Raises
    ------
    CalculatorInputError
        A keyword is unknown (the message names the nearest one) or its value cannot be used.

    Notes
    -----
    A section of ASE's configuration file (`~/.config/ase/config.ini`) sets defaults of your own for
    `model`, `device` and `dtype`::

        [mlham]
        device = cuda
    """
