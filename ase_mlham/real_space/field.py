"""A function on a grid: values, unit, and what its integral should be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core.structure import Structure
from ase_mlham.errors import InputError, MLHamWarning
from ase_mlham.real_space.grid import Grid
from ase_mlham.real_space.quantities import DENSITY

__all__ = ["PARTS", "CoarseGridWarning", "Field"]

PARTS = ("density", "real", "imaginary", "modulus")
"""What can be taken of a complex function; "density" is the squared modulus."""


class CoarseGridWarning(MLHamWarning):
    """The sum over a grid differs from the exact integral by more than a picture can bear."""


@final
@dataclass(frozen=True, eq=False)
class Field:
    """A function on the points of a grid.

    Parameters
    ----------
    grid : Grid
        The points.
    values : (n1, n2, n3) or (n_components, n1, n2, n3) float or complex
        Numbers at the points.
    name : str
        What it is, for titles: "charge density".
    unit : str
        "Å^-3" of a density, "Å^-3/2" of a wave function, "eV^-1 Å^-3" of a local density of states.
    structure : Structure
        The atoms.
    components : tuple of str
        Names of the components: ("up", "down") of a spinor, ("x", "y", "z") of a spin density;
        empty if there is one only.
    exact : float or (n_components,) float, optional
        What the integral is without a grid: for a density Tr(P S).
    warnings : tuple of str
        What is to be said against the numbers.
    kpt : (3,) float, optional
        Of a Bloch function: f(r + R) = exp(2 pi i k.R) f(r). Without it f repeats itself.

    Raises
    ------
    InputError
        Values, grid and components do not fit together.
    """

    grid: Grid
    values: NDArray
    name: str
    unit: str
    structure: Structure
    components: tuple[str, ...] = ()
    exact: float | NDArray[np.float64] | None = None
    warnings: tuple[str, ...] = ()
    kpt: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values))
        object.__setattr__(self, "components", tuple(self.components))
        lead = (len(self.components),) if self.components else ()
        if self.values.shape != (*lead, *self.grid.shape):
            raise InputError(
                f"values of shape {self.values.shape} on a grid of {self.grid.shape} points with "
                f"{len(self.components)} named components"
            )
        if not np.isfinite(self.values.sum()):
            raise InputError(f"a value of the {self.name} is not a finite number")

    def __repr__(self) -> str:
        a, b, c = self.grid.shape
        parts = f", {'/'.join(self.components)}" if self.components else ""
        return f"<Field {self.name} ({self.unit}{parts}), {a} x {b} x {c}>"

    @property
    def is_complex(self) -> bool:
        """Whether the values are complex: those of a wave function."""
        return np.iscomplexobj(self.values)

    def integral(self) -> Any:
        """Sum over the grid times the volume of a point: a number, or one for each component."""
        total = self.values.sum(axis=(-3, -2, -1)) * self.grid.element
        return total.item() if total.ndim == 0 else total

    @property
    def integral_error(self) -> float | None:
        """Largest |integral - exact|; None where the exact integral is not known."""
        if self.exact is None:
            return None
        return float(abs(np.asarray(self.integral()) - self.exact).max())

    # ------------------------------------------------------------------ other fields
    def component(self, which: str | int) -> Field:
        """One component as a field of its own.

        Raises
        ------
        InputError
            There is no such component.
        """
        if isinstance(which, str):
            if which not in self.components:
                known = ", ".join(self.components) or "none, it has one only"
                raise InputError(f"the {self.name} has no component {which!r}; known: {known}")
            which = self.components.index(which)
        if not 0 <= which < len(self.components):
            raise InputError(f"the {self.name} has no component number {which}")
        exact = None if self.exact is None else float(np.asarray(self.exact)[which])
        return replace(
            self,
            values=self.values[which],
            name=f"{self.name} {self.components[which]}",
            components=(),
            exact=exact,
        )

    def part(self, which: str) -> Field:
        """A real field from a complex one, or from one of two spinor components.

        Parameters
        ----------
        which : {"density", "real", "imaginary", "modulus"}
            "density" is |psi|^2, summed over components; "modulus" its square root.
        """
        if which not in PARTS:
            raise InputError(f"part {which!r} is unknown; known: {', '.join(PARTS)}")
        if which in ("real", "imaginary"):
            values = self.values.real if which == "real" else self.values.imag
            return replace(self, values=values.copy(), name=f"{which} part of the {self.name}")
        density = abs(self.values) ** 2
        if self.components:
            density = density.sum(axis=0)
        if which == "modulus":
            return replace(
                self,
                values=np.sqrt(density),
                name=f"modulus of the {self.name}",
                components=(),
                exact=None,
                kpt=None,
            )
        return replace(
            self,
            values=density,
            name=f"density of the {self.name}",
            unit=DENSITY,
            components=(),
            exact=1.0,
            kpt=None,
        )

    def __sub__(self, other: Field) -> Field:
        """Difference of two fields on one grid."""
        if self.grid != other.grid or self.unit != other.unit:
            raise InputError("fields on different grids or in different units have no difference")
        exact = None
        if self.exact is not None and other.exact is not None:
            exact = self.exact - other.exact
        return replace(
            self,
            values=self.values - other.values,
            name=f"{self.name} minus {other.name}",
            exact=exact,
        )

    # ------------------------------------------------------------------ files
    def write(self, path: str | Path, *, component: str | None = None, part: str = "") -> None:
        """Write a volumetric file, complete or not at all.

        Parameters
        ----------
        path : str or Path
            The suffix says the format: ".cube" (values in atomic units, e/bohr^3, as programs that
            show such files expect them) or ".xsf" (values in Å and eV).
        component : str, optional
            Which component of several; spinors need none for their density.
        part : {"density", "real", "imaginary", "modulus"}, optional
            What of a complex field; by default |psi|^2, since these files hold one real number a
            point.

        Raises
        ------
        InputError
            The suffix is unknown, or it is not said which component is meant.
        FormatError
            The file cannot be written.
        """
        from ase_mlham.real_space.volumetric import write_field

        field = self if component is None else self.component(component)
        if field.is_complex or part:
            field = field.part(part or "density")
        if field.components:
            raise InputError(
                f"the {field.name} has the components {', '.join(field.components)}, and a file "
                "holds one: give component="
            )
        write_field(field, Path(path))
