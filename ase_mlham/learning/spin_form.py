"""In which form a network says the spin parts of H, and what it has to predict for that.

The general form predicts the irreducible tensors of every part directly and can represent any
Hamiltonian; it is the default. The published forms of HamGNN (Y. Zhong et al., npj Comput. Mater.
9, 182 (2023), eqs. 15 and 16-18) predict fewer numbers and restrict H. All are heads behind the
same networks: a family sees an `IrrepLayout` and need not know which form it serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ase_mlham.core import SpinKind
from ase_mlham.errors import InputError
from ase_mlham.learning.layout import (
    BlockLayout,
    Channel,
    IrrepLayout,
    MomentInput,
    block_channels,
)
from ase_mlham.learning.parts import Part

__all__ = [
    "SpinForm",
    "difference_part",
    "field_part",
    "network_layouts",
    "strength_part",
    "tensor_part",
]


_MEAN = Part("W", ("1",))
_DIFFERENCE = Part("V", ("1",), symmetry=-1)
"""The difference of two fields changes sign with the direction of a pair, and so do its blocks."""


@dataclass(frozen=True)
class SpinForm:
    """Choices of the spin parts.

    Parameters
    ----------
    spin_orbit : {"general", "angular_momentum"}
        "general": the part B itself. "angular_momentum": H0 + xi L.sigma / 2 with one predicted
        number xi for every pair of shells of every pair of atoms (eq. 15).
    exchange : {"general", "heisenberg", "fields"}
        "general": the part C itself, odd in the moments by two evaluations. "heisenberg": blocks
        times the mean of the exchange fields at their two atoms, which tensors J (pairs) and A
        (single ions) make of the moments (eqs. 16-18). "fields": the same, and other blocks times
        the difference of the two fields, without which opposite moments have nothing between
        them.
    fields : int
        Such fields at every atom, each with blocks of its own. One is the published form.
    isotropic : bool
        J and A are numbers, as without spin-orbit coupling: moments that are turned alone turn the
        spin of H with them, exactly. A model of this form learns from collinear calculations and
        predicts for moments of any directions.
    separate : bool
        One network for P and one for the other parts, so that P can come from a model without spin
        and stay as it is.
    """

    spin_orbit: Literal["general", "angular_momentum"] = "general"
    exchange: Literal["general", "heisenberg", "fields"] = "general"
    fields: int = 1
    isotropic: bool = False
    separate: bool = False

    def __post_init__(self) -> None:
        if self.fields < 1:
            raise InputError(f"fields = {self.fields}; at least one is needed")
        if self.isotropic and self.exchange == "general":
            raise InputError('isotropic = true belongs to exchange = "heisenberg" or "fields"')

    def check(self, layout: BlockLayout) -> None:
        """Refuse a form of parts that H does not have.

        Raises
        ------
        InputError
            The form does not go with the parts.
        """
        names = "".join(part.name for part in layout.parts)
        if self.spin_orbit != "general" and "B" not in names:
            raise InputError(
                f'spin_orbit = "{self.spin_orbit}": Hamiltonians of the parts {names} have no '
                "spin-orbit part B"
            )
        if self.exchange != "general" and "C" not in names:
            raise InputError(
                f'exchange = "{self.exchange}": Hamiltonians of the parts {names} have no exchange '
                "part C"
            )
        if self.isotropic and names != "PC":
            raise InputError(
                f"isotropic = true: with the parts {names} spin is coupled to space; it belongs to "
                "the parts P and C alone"
            )
        if self.separate and len(layout.parts) == 1:
            raise InputError("separate = true: there is no part besides P")


def strength_part(layout: BlockLayout) -> int:
    """Number of the channels of xi."""
    return len(layout.parts)


def field_part(layout: BlockLayout, field: int) -> int:
    """Number of the channels of the blocks that the mean of a field multiplies."""
    return len(layout.parts) + 1 + 3 * field


def difference_part(layout: BlockLayout, field: int) -> int:
    """Number of the channels of the blocks that half its difference multiplies."""
    return field_part(layout, field) + 1


def tensor_part(layout: BlockLayout, field: int) -> int:
    """Number of the channels of the tensors J and A of a field."""
    return field_part(layout, field) + 2


def network_layouts(layout: BlockLayout, form: SpinForm) -> tuple[IrrepLayout, ...]:
    """What the network has to predict, or the two networks.

    Parameters
    ----------
    layout : BlockLayout
        Of H.
    form : SpinForm
        Of its spin parts.

    Raises
    ------
    InputError
        The form does not go with the parts.
    """
    form.check(layout)
    if form == SpinForm():
        return (layout,)
    spin: list[Channel] = []
    for number, part in enumerate(layout.parts[1:], start=1):
        if part.name == "B" and form.spin_orbit == "angular_momentum":
            spin += _strengths(layout)
        elif part.name == "C" and form.exchange != "general":
            for n in range(form.fields):
                spin += block_channels(layout.shells, _MEAN, field_part(layout, n))
                if form.exchange == "fields":
                    spin += block_channels(layout.shells, _DIFFERENCE, difference_part(layout, n))
                spin += _tensors(layout, form, n)
        else:
            spin += block_channels(layout.shells, part, number)
    scalar = block_channels(layout.shells, layout.parts[0], 0)
    if form.separate:
        return (
            IrrepLayout(layout.basis, scalar),
            IrrepLayout(layout.basis, spin, _input(layout, spin)),
        )
    return (IrrepLayout(layout.basis, scalar + spin, _input(layout, spin)),)


def _strengths(layout: BlockLayout) -> list[Channel]:
    n, number = len(layout.shells.l), strength_part(layout)
    return [Channel(a, b, 0, True, 0, number) for a in range(n) for b in range(n)]


def _tensors(layout: BlockLayout, form: SpinForm, field: int) -> list[Channel]:
    """Even tensors of rank two; the antisymmetric part is an axial vector."""
    number = tensor_part(layout, field)
    out = [Channel(0, 0, 0, True, 0, number)]
    if not (form.isotropic or layout.spin is SpinKind.COLLINEAR):
        out += [
            Channel(0, 0, 1, False, 1, number, sign=-1.0),
            Channel(0, 0, 2, True, 2, number),
        ]
    return out


def _input(layout: BlockLayout, channels: list[Channel]) -> MomentInput:
    """What channels may know of the moments."""
    if any(channel.odd for channel in channels):
        return layout.moments
    # whatever depends on lengths alone is even, so the field's factor makes C odd
    return "lengths" if layout.moments != "none" else "none"
