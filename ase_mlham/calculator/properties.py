"""ASE's standard properties: charges and moments from H, energy and forces from `potential`.

A Hamiltonian has no total energy: energies and forces come from another calculator, given as
`potential`, or are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators import calculator as ase_calculator
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from ase_mlham.calculator.bands_and_dos import BandsAndDOS
from ase_mlham.calculator.hamiltonian import DELEGATED, POPULATIONS
from ase_mlham.calculator.spin import SpinMethods
from ase_mlham.core import SpinKind

if TYPE_CHECKING:
    from ase_mlham.electronic.charges import Charges

__all__ = ["AseProperties"]


class AseProperties(SpinMethods, BandsAndDOS):
    """`get_property`, `calculate` and what they put into `results`."""

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        """A property of ASE: charges and moments from H, energy and forces from `potential`.

        Raises
        ------
        PropertyNotImplementedError
            There is no `potential` for an energy, the system has no spin to give a moment, or its
            moments are vectors, which the files of ASE do not hold: `get_magnetic_moments` and
            `annotate` give those.
        """
        if name in DELEGATED and self._potential is None:
            hint = "; bands need none: calculator.band_structure(path)" if name == "energy" else ""
            raise ase_calculator.PropertyNotImplementedError(
                f"a Hamiltonian gives no {name}: the sum of band energies is not a total energy. "
                f"Give a calculator that does: MLHamiltonian(..., potential=...){hint}"
            )
        if atoms is None and allow_calculation:
            atoms = self._current(None)
        return super().get_property(name, atoms, allow_calculation)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = ase_calculator.all_changes,
    ) -> None:
        """Put properties into `results`; called by ASE."""
        atoms = self._current(atoms)
        if properties is None:
            properties = ["charges"] if self._potential is None else ["energy"]
        super().calculate(atoms, list(properties), list(system_changes))
        for name in properties:
            if name in POPULATIONS:
                self.results.update(self._populations(name))
            elif self._potential is not None:
                self.results[name] = self._potential.get_property(name, self.atoms)
                self._take_along(self._potential)
            else:
                self.get_property(name, self.atoms)

    def _take_along(self, potential: ase_calculator.Calculator) -> None:
        """What the potential has computed as well: a trajectory of forces alone has no energies."""
        for name in DELEGATED:
            known = name in potential.implemented_properties and name not in self.results
            if known and not potential.calculation_required(self.atoms, [name]):
                self.results[name] = potential.get_property(name, self.atoms)

    def _populations(self, name: str) -> dict[str, Any]:
        """Mulliken charges in e and spin moments in Bohr magnetons, in ASE's forms."""
        spin = self.system(self.atoms).spin
        if name != "charges" and spin is not SpinKind.COLLINEAR:
            raise ase_calculator.PropertyNotImplementedError(
                f"no {name}: the Hamiltonian has no spin"
                if spin is SpinKind.NONE
                else f"no {name}: the moments are vectors, which get_magnetic_moments() gives, and "
                "annotate() as an array that extended XYZ keeps"
            )
        return self._standard_populations(self.atoms)

    def _standard_populations(self, atoms: Atoms) -> dict[str, Any]:
        """Those that ASE has names and files for: vectors are left out."""
        found = self._charges(atoms)
        out: dict[str, Any] = {"charges": np.array(found.charges)}
        if self.system(atoms).spin is SpinKind.COLLINEAR:
            out["magmoms"] = np.array(found.moments[:, 2])
            out["magmom"] = float(found.moments[:, 2].sum())
        return out

    def _charges(self, atoms: Atoms | None) -> Charges:
        return self._kept("charges", lambda: self.charges(atoms=atoms), atoms)

    def get_magnetic_moments(self, atoms: Atoms | None = None) -> NDArray[np.float64]:
        """Spin moments of the atoms in Bohr magnetons: (n_atoms,), or vectors (n_atoms, 3).

        Vectors are those of spinor systems. They stay out of `results`: ASE's files would flatten
        them, and its windows fail on them.
        """
        if self.system(atoms).spin is SpinKind.SPINOR:
            return np.array(self._charges(atoms).moments)
        return np.asarray(self.get_property("magmoms", atoms))

    def get_magnetic_moment(self, atoms: Atoms | None = None) -> float | NDArray[np.float64]:
        """Spin moment of the cell in Bohr magnetons; a vector (3,) for spinor systems."""
        if self.system(atoms).spin is SpinKind.SPINOR:
            return np.array(self._charges(atoms).moments.sum(axis=0))
        return float(self.get_property("magmom", atoms))

    def annotate(self, atoms: Atoms | None = None) -> Atoms:
        """Copy of the atoms that carries results where extended XYZ files keep them.

        Parameters
        ----------
        atoms : ase.Atoms, optional
            Those that the calculator is attached to if not given.

        Returns
        -------
        ase.Atoms
            Arrays `mulliken_charges` (n_atoms,) in e and, with spin, `mulliken_moments`
            (n_atoms, 3) in Bohr magnetons; in `info` `fermi_level` and `band_gap` in eV and
            `hamiltonian`, where H is from. Its calculator has the energy, forces and charges that
            this one has at hand.
        """
        atoms = self._current(atoms)
        system, found, gap = self.system(atoms), self._charges(atoms), self.gap(atoms)
        out: Atoms = atoms.copy()
        if not self.check_state(atoms):
            out.calc = SinglePointCalculator(out, **self.results)
        out.set_array("mulliken_charges", np.array(found.charges))
        if system.spin is not SpinKind.NONE:
            out.set_array("mulliken_moments", np.array(found.moments))
        out.info["fermi_level"] = self.fermi_level(atoms)
        out.info["band_gap"] = float(gap.fundamental)
        out.info["hamiltonian"] = system.source
        return out
