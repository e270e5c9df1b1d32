"""From the calculator to results that do without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties

from ase_mlham.calculator.getters import ElectronicGetters
from ase_mlham.calculator.properties import AseProperties
from ase_mlham.electronic.fermi import occupations

if TYPE_CHECKING:
    from ase_mlham.calculator.frozen import FrozenResult

__all__ = ["Freezing"]


class Freezing(ElectronicGetters, AseProperties):
    """`freeze`, and what it collects."""

    def freeze(self, paths: Any = None, *, atoms: Atoms | None = None) -> FrozenResult:
        """Results as a calculator of their own, which computes nothing and needs no model.

        Parameters
        ----------
        paths : str, BandPath, list or mapping, optional
            Paths whose bands are kept: one, several, or by names of your own. None by default.
        atoms : ase.Atoms, optional
            Those that the calculator is attached to if not given.

        Returns
        -------
        FrozenResult
            With Fermi level, eigenvalues and occupations on the mesh, gap, charges, the bands, and
            what is at hand of energy, forces and stress. Its `write` makes a file that
            `FrozenResult.read` opens.
        """
        from ase_mlham.calculator.frozen import FrozenResult

        atoms = self._current(atoms)
        states = self.states(atoms=atoms)
        results: dict[str, Any] = {}
        if not self.check_state(atoms):
            results.update({n: v for n, v in self.results.items() if n in all_properties})
        results.update(self._standard_populations(atoms))
        return FrozenResult(
            atoms,
            states=states,
            fermi_level=self.fermi_level(atoms),
            occupations=states.degeneracy * occupations(states, *self._filling(atoms)),
            gap=self.gap(atoms),
            populations=self._charges(atoms),
            bands={
                name: self.band_structure(path, atoms=atoms) for name, path in _named(paths).items()
            },
            mesh=None if states.mesh is None else self._whole_mesh(states),
            parameters={
                name: value.todict() if hasattr(value, "todict") else value
                for name, value in self.todict().items()
            },
            source=self.system(atoms).source,
            **results,
        )


def _named(paths: Any) -> dict[str, Any]:
    """Paths by name; a path without one is called by its labels."""
    if paths is None:
        return {}
    if isinstance(paths, Mapping) and "path" not in paths:
        return dict(paths)
    several = paths if isinstance(paths, list | tuple) and not _is_points(paths) else [paths]
    out: dict[str, Any] = {}
    for path in several:
        label = path.get("path") if isinstance(path, Mapping) else getattr(path, "path", path)
        name = label if isinstance(label, str) and label else f"path {len(out) + 1}"
        out[name] = path
    return out


def _is_points(paths: Any) -> bool:
    """Whether a list is k-points (n, 3) and not paths."""
    try:
        return np.asarray(paths, dtype=float).ndim == 2
    except (TypeError, ValueError):
        return False
