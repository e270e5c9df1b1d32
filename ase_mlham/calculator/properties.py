"""ASE's standard properties: charges and moments from H, energy and forces from `potential`.

A Hamiltonian has no total energy: energies and forces come from another calculator, given as
`potential`, or are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators import calculator as ase_calculator

from ase_mlham.calculator.hamiltonian import DELEGATED, POPULATIONS
from ase_mlham.calculator.spin import SpinMethods
from ase_mlham.core import SpinKind

__all__ = ["AseProperties"]


class AseProperties(SpinMethods):
    """`get_property`, `calculate` and what they put into `results`."""

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        """A property of ASE: charges and moments from H, energy and forces from `potential`."""
        if name in DELEGATED and self._potential is None:
            raise ase_calculator.PropertyNotImplementedError(
                f"a model of the Hamiltonian predicts no {name}: the sum of band energies is not a "
                "total energy. Give a calculator that does: MLHamiltonian(..., potential=...)"
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
                self.results.update(self._populations())
            elif self._potential is not None:
                self.results[name] = self._potential.get_property(name, self.atoms)
            else:
                self.get_property(name, self.atoms)

    def _populations(self) -> dict[str, Any]:
        """Mulliken charges in e and spin moments in Bohr magnetons, in ASE's forms.

        Moments are numbers without spin and for collinear spin, vectors for spinors.
        """
        found = self.charges(atoms=self.atoms)
        spinor = self.system(self.atoms).spin is SpinKind.SPINOR
        moments = found.moments if spinor else found.moments[:, 2]
        total = moments.sum(axis=0)
        return {
            "charges": np.array(found.charges),
            "magmoms": np.array(moments),
            "magmom": np.array(total) if spinor else float(total),
        }
