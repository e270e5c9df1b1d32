"""Results that stay when their source is gone: a file that reopens without any network library.

A `FrozenResult` is a calculator of ASE that computes nothing: `bandgap`, `DOS`, `get_homo_lumo` and
the other tools work on it as on `MLHamiltonian`. ASE's own class for this does not notice that the
atoms have moved; this one refuses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotPresent, all_properties
from ase.calculators.singlepoint import SinglePointDFTCalculator, arrays_to_kpoints
from numpy.typing import NDArray

from ase_mlham.core import SpinKind
from ase_mlham.electronic.charges import Charges
from ase_mlham.electronic.fermi import DEFAULT_SMEARING
from ase_mlham.electronic.gap import Gap
from ase_mlham.electronic.states import EigenStates
from ase_mlham.errors import FormatError, InputError
from ase_mlham.files import atomic_path

if TYPE_CHECKING:
    from ase.spectrum.band_structure import BandStructure
    from ase.spectrum.doscollection import GridDOSCollection

__all__ = ["FrozenResult"]

FORMAT = "ase-mlham electronic structure"
VERSION = 1


class FrozenResult(SinglePointDFTCalculator):
    """Electronic structure of one structure, without the Hamiltonian it came from.

    `MLHamiltonian.freeze` makes one, `FrozenResult.read` opens one.

    Parameters
    ----------
    atoms : ase.Atoms
        The structure.
    states : EigenStates
        On the mesh.
    fermi_level : float
        eV.
    occupations : (n_spin, n_k, n_bands) float
        Electrons in each state.
    gap : Gap
        As the calculator found it.
    populations : Charges
        Charges and moments of the atoms.
    bands : mapping, optional
        Band structures by name.
    mesh : ((n_bz, 3) float, (n_bz,) int), optional
        All points of the mesh in ASE's order, and where each stands among those of the states.
    parameters : mapping, optional
        Of the calculator.
    source : str
        Code or model that H came from.
    **results
        Standard properties: energy, forces and the like.
    """

    name = "mlhamiltonian"

    def __init__(
        self,
        atoms: Atoms,
        *,
        states: EigenStates,
        fermi_level: float,
        occupations: NDArray[np.float64],
        gap: Gap,
        populations: Charges,
        bands: Mapping[str, BandStructure] | None = None,
        mesh: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None,
        parameters: Mapping[str, Any] | None = None,
        source: str = "unknown",
        **results: Any,
    ) -> None:
        points = (None, None) if mesh is None else mesh
        super().__init__(
            atoms,
            efermi=float(fermi_level),
            ibzkpts=np.array(states.kpts),
            bzkpts=points[0],
            bz2ibz=points[1],
            kpts=arrays_to_kpoints(states.energies, occupations, states.weights),
            **results,
        )
        self.parameters.update(parameters or {})
        self.states, self.occupations = states, np.asarray(occupations)
        self.bands: dict[str, BandStructure] = dict(bands or {})
        self.source = source
        self._gap, self._populations = gap, populations
        self._live: Atoms | None = None

    # ------------------------------------------------------------------ which structure
    def set_atoms(self, atoms: Atoms) -> None:
        """Called by `atoms.calc = result`: results are given as long as these do not move."""
        self._live = atoms

    def _check_atoms(self) -> None:
        changes = [] if self._live is None else self.check_state(self._live)
        if changes:
            raise PropertyNotPresent(
                f"the atoms have changed ({', '.join(changes)}) since these results were frozen; "
                "they belong to the structure of get_atoms()"
            )

    def get_atoms(self) -> Atoms:
        """Copy of the atoms with these results."""
        atoms: Atoms = self.atoms.copy()
        live = self._live
        atoms.calc = self
        self._live = live
        return atoms

    # ------------------------------------------------------------------ results
    def fermi_level(self) -> float:
        """Fermi level, eV."""
        self._check_atoms()
        return float(self.eFermi)

    def gap(self) -> Gap:
        """Band gap as the calculator found it, between the points of the mesh too."""
        self._check_atoms()
        return self._gap

    def charges(self) -> Charges:
        """Charges and moments of the atoms."""
        self._check_atoms()
        return self._populations

    def band_structure(self, name: str | None = None) -> BandStructure:
        """Bands that were frozen.

        Parameters
        ----------
        name : str, optional
            Of the path; may be left out if there is one only.

        Raises
        ------
        InputError
            There are none of that name.
        """
        self._check_atoms()
        known = ", ".join(self.bands) or "none: ask for paths when freezing"
        if name is None and len(self.bands) == 1:
            return next(iter(self.bands.values()))
        if name not in self.bands:
            raise InputError(f"no bands {name!r} were frozen (there are: {known})")
        return self.bands[name]

    def dos(
        self,
        *,
        window: tuple[float, float] | None = None,
        npoints: int | None = None,
        width: float | None = None,
    ) -> GridDOSCollection:
        """Density of states on the mesh, see `ase_mlham.electronic.dos.dos`."""
        from ase_mlham.electronic.dos import dos_of_states

        level = self.fermi_level()
        if width is None and (self.states.mesh is None or max(self.states.mesh.size) == 1):
            width = DEFAULT_SMEARING
        return dos_of_states(self.states, level, window=window, npoints=npoints, width=width)

    # ------------------------------------------------------------------ getters of ASE
    def get_fermi_level(self) -> float:
        """Fermi level, eV."""
        return self.fermi_level()

    def get_eigenvalues(self, kpt: int = 0, spin: int = 0) -> NDArray[np.float64]:
        """Energies (n_bands,) in eV at a point of `get_ibz_k_points`."""
        self._check_atoms()
        return np.array(self.states.energies[spin, kpt])

    def get_occupation_numbers(self, kpt: int = 0, spin: int = 0) -> NDArray[np.float64]:
        """Electrons (n_bands,) in each state at a k-point."""
        self._check_atoms()
        return np.array(self.occupations[spin, kpt])

    def get_homo_lumo(self) -> tuple[float, float]:
        """Highest energy at or below the Fermi level and lowest above, eV, on the mesh."""
        level, energies = self.fermi_level(), self.states.energies
        below, above = energies[energies <= level], energies[energies > level]
        if not (below.size and above.size):
            raise PropertyNotPresent("all states are filled, or none: there is no HOMO or LUMO")
        return float(below.max()), float(above.min())

    def get_magnetic_moments(self, atoms: Atoms | None = None) -> NDArray[np.float64]:
        """Spin moments in Bohr magnetons, (n_atoms,), or vectors (n_atoms, 3) for spinors."""
        if self.states.spin is SpinKind.SPINOR:
            return np.array(self.charges().moments)
        return np.asarray(self.get_property("magmoms", atoms))

    # ------------------------------------------------------------------ files
    def to_dict(self) -> dict[str, Any]:
        """Values and arrays that `from_dict` reads."""
        atoms = Atoms(self.atoms.numbers, cell=self.atoms.cell[:], pbc=self.atoms.pbc)
        atoms.positions[:] = self.atoms.positions
        for name in ("initial_magmoms", "initial_charges"):
            if self.atoms.has(name):
                atoms.set_array(name, self.atoms.arrays[name])
        return {
            "format": FORMAT,
            "version": VERSION,
            "atoms": atoms,
            "source": self.source,
            "parameters": dict(self.parameters),
            "fermi_level": float(self.eFermi),
            "states": self.states.to_dict(),
            "occupations": self.occupations,
            "mesh": None if self.bz_kpts is None else [self.bz_kpts, self.bz2ibz],
            "bands": dict(self.bands),
            "gap": self._gap.to_dict(),
            "populations": self._populations.to_dict(),
            "results": dict(self.results),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        return cls(
            data["atoms"],
            states=EigenStates.from_dict(data["states"]),
            fermi_level=data["fermi_level"],
            occupations=data["occupations"],
            gap=Gap.from_dict(data["gap"]),
            populations=Charges.from_dict(data["populations"]),
            bands=data["bands"],
            mesh=None if data["mesh"] is None else tuple(data["mesh"]),
            parameters=data["parameters"],
            source=data["source"],
            **{name: value for name, value in data["results"].items() if name in all_properties},
        )

    def write(self, path: str | PathLike[str]) -> None:
        """Write to a JSON file, atomically.

        Parameters
        ----------
        path : path
            An existing file is replaced.
        """
        from ase.io.jsonio import encode

        with atomic_path(Path(path)) as temporary:
            temporary.write_text(encode(self.to_dict()), encoding="utf-8")

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """Open a file of `write`.

        Parameters
        ----------
        path : path
            The file.

        Raises
        ------
        FormatError
            It is no such file, damaged, or of a newer version.
        """
        from ase.io.jsonio import object_hook

        path = Path(path)
        try:
            data = json.loads(path.read_text(encoding="utf-8"), object_hook=object_hook)
        except FileNotFoundError:
            raise FormatError(f"{path}: no such file") from None
        except _DAMAGE as error:
            raise FormatError(f"{path}: {_WRONG} ({error})") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise FormatError(f"{path}: {_WRONG}")
        if data.get("version") != VERSION:
            raise FormatError(
                f"{path}: version {data.get('version')} of frozen results; version {VERSION} is "
                "read: update ase-mlham"
            )
        try:
            return cls.from_dict(data)
        except _DAMAGE as error:
            raise FormatError(
                f"{path}: frozen results that are not complete ({type(error).__name__}: {error}); "
                "make or copy the file again"
            ) from error


_WRONG = "not a file of frozen results, which MLHamiltonian.freeze(...).write(path) makes"
_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, AssertionError, InputError, OSError)
"""Raised by JSON, NumPy and ASE for what is no JSON, lacks a name, or arrays that do not fit."""
