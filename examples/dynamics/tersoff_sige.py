"""Tersoff's potential of silicon, germanium and their alloys, for ASE's `Tersoff` calculator.

ASE has the potential and none of its parameters. These are those of J. Tersoff, Phys. Rev. B 39,
5566 (1989), table I, in eV and Å; unlike pairs by the rules of that paper: geometric means of
A, B and the cut-off radii, arithmetic means of the exponents, and the attraction times `UNLIKE`.
"""

from __future__ import annotations

from itertools import product
from math import sqrt
from typing import NamedTuple

from ase.calculators.tersoff import Tersoff, TersoffParameters

__all__ = ["tersoff"]


class Element(NamedTuple):
    """One row of the table, with the names of the paper; R and S bound the cut-off function."""

    A: float
    B: float
    lambda_: float
    mu: float
    beta: float
    n: float
    c: float
    d: float
    h: float
    R: float
    S: float


ELEMENTS = {
    "Si": Element(1830.8, 471.18, 2.4799, 1.7322, 1.1000e-6, 0.78734,
                  1.0039e5, 16.217, -0.59825, 2.7, 3.0),
    "Ge": Element(1769.0, 419.23, 2.4451, 1.7047, 9.0166e-7, 0.75627,
                  1.0643e5, 15.652, -0.43884, 2.8, 3.1),
}  # fmt: skip
UNLIKE = 1.00061


def tersoff(**options: float) -> Tersoff:
    """Calculator of energy, forces and stress for any structure of silicon and germanium.

    Parameters
    ----------
    **options
        Those of `ase.calculators.tersoff.Tersoff`: its `skin`, Å.
    """
    parameters = {}
    for i, j, k in product(ELEMENTS, repeat=3):
        first, second, third = ELEMENTS[i], ELEMENTS[j], ELEMENTS[k]
        inner, outer = sqrt(first.R * third.R), sqrt(first.S * third.S)
        parameters[i, j, k] = TersoffParameters(
            m=3,
            gamma=1,
            lambda3=0,
            c=first.c,
            d=first.d,
            h=first.h,
            n=first.n,
            beta=first.beta,
            lambda2=(first.mu + second.mu) / 2,
            B=sqrt(first.B * second.B) * (1.0 if i == j else UNLIKE),
            R=(inner + outer) / 2,
            D=(outer - inner) / 2,
            lambda1=(first.lambda_ + second.lambda_) / 2,
            A=sqrt(first.A * second.A),
        )
    return Tersoff(parameters, **options)
