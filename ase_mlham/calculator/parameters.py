"""Parameters of the calculator: what is accepted, and the plain form in which it is kept.

ASE writes the parameters of a calculator into trajectories and databases, and stores without
complaint whatever keyword it is given. Here an unknown one is an error that names the nearest, and
every value is brought to a form that JSON can hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from os import PathLike
from typing import Any

import numpy as np
from ase.calculators import calculator as ase_calculator

from ase_mlham import errors

__all__ = ["DEFAULTS", "CalculatorInputError", "is_path", "plain_parameters"]


class CalculatorInputError(errors.InputError, ase_calculator.InputError):
    """Parameters that cannot be used; ASE's InputError and the package's in one."""


DEFAULTS: Mapping[str, Any] = {
    "model": "sige",
    "kpts": None,
    "smearing": None,
    "occupation": None,
    "charge": 0.0,
    "device": "auto",
    "dtype": None,
    "solver": None,
    "overlap_floor": None,
    "on_unknown": "error",
    "bandpath": None,
    "potential": None,
}
"""Names of all parameters with their default values."""


def plain_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in their plain form.

    Parameters
    ----------
    given : mapping
        As a user gives them.

    Raises
    ------
    CalculatorInputError
        A keyword is unknown (the message names the nearest one) or its value cannot be used.
    """
    for name in given:
        if name not in DEFAULTS:
            close = get_close_matches(name, DEFAULTS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise CalculatorInputError(
                f"MLHamiltonian has no parameter {name!r}{hint} (known: {', '.join(DEFAULTS)})"
            )
    plain = dict(given)
    if "model" in plain:
        plain["model"] = _plain_model(plain["model"])
    if "potential" in plain:
        plain["potential"] = _plain_potential(plain["potential"])
    if isinstance(plain.get("kpts"), np.ndarray):
        plain["kpts"] = plain["kpts"].tolist()
    if isinstance(plain.get("smearing"), tuple | list):
        # ASE's usual form: ("Fermi-Dirac", 0.1)
        plain["occupation"], plain["smearing"] = plain["smearing"]
    for name in ("charge", "smearing", "overlap_floor"):
        if name in plain:
            plain[name] = _number(name, plain[name])
    return plain


def _plain_model(model: Any) -> str:
    """What is stored of a model: a name, a path, or its identity."""
    if isinstance(model, str | PathLike):
        return str(model)
    identity = getattr(model, "identity", None)
    if isinstance(identity, tuple):
        identity = " ".join(str(part)[:12] for part in identity)
    if not isinstance(identity, str) or not callable(getattr(model, "predict", None)):
        raise CalculatorInputError(
            f"model {model!r}: give the name of an installed model (`mlham models` lists them), a "
            ".mlham file, or an object with `predict(atoms)` and `identity`"
        )
    return identity


def _plain_potential(potential: Any) -> str | None:
    """What is stored of a potential: its name."""
    if potential is None:
        return None
    if not hasattr(potential, "get_property") or not hasattr(potential, "implemented_properties"):
        raise CalculatorInputError(f"potential {potential!r} is not a calculator of ASE")
    return str(potential.name)


def _number(name: str, value: Any) -> float | None:
    if value is None and name != "charge":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise CalculatorInputError(f"{name}={value!r}: expected a number") from None


def is_path(kpts: Any) -> bool:
    """Whether k-points are given as a path."""
    if isinstance(kpts, Mapping):
        return "path" in kpts
    return isinstance(kpts, str) or hasattr(kpts, "special_points")
