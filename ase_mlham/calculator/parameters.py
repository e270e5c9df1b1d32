"""Parameters of the calculator: what is accepted, and the plain form in which it is kept.

ASE writes the parameters of a calculator into trajectories and databases, and stores without
complaint whatever keyword it is given. Here an unknown one is an error that names the nearest, and
every value is brought to a form that JSON can hold. Objects (a model, a system, a potential) are
kept beside the parameters, which hold a text that identifies them.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from os import PathLike
from typing import Any

import numpy as np
from ase.calculators import calculator as ase_calculator

from ase_mlham import errors
from ase_mlham.core import LCAOSystem
from ase_mlham.electronic.fermi import Occupation
from ase_mlham.electronic.kpoints import KPoints

__all__ = [
    "DEFAULTS",
    "CalculatorInputError",
    "configured",
    "is_path",
    "kpts_key",
    "plain_kpts",
    "plain_parameters",
]


class CalculatorInputError(errors.InputError, ase_calculator.InputError):
    """Parameters that cannot be used; ASE's InputError and the package's in one."""


DEFAULTS: Mapping[str, Any] = {
    "model": "sige",
    "system": None,
    "kpts": None,
    "smearing": None,
    "occupation": None,
    "charge": 0.0,
    "device": "auto",
    "dtype": None,
    "solver": None,
    "overlap_floor": None,
    "symmetry": "time-reversal",
    "spacing": 0.2,
    "on_unknown": "error",
    "bandpath": None,
    "potential": None,
}
"""Names of all parameters with their default values."""

CONFIGURABLE = ("model", "device", "dtype")
"""Parameters whose defaults a user may set in section [mlham] of ASE's configuration file."""


def _nearest(name: str, known: Any) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def configured() -> dict[str, str]:
    """Defaults that a user has set in section [mlham] of ASE's configuration file.

    Raises
    ------
    CalculatorInputError
        The section has a name that means nothing here.
    """
    from ase.config import cfg

    if not cfg.parser.has_section("mlham"):
        return {}
    found = dict(cfg.parser["mlham"])
    for name in found:
        if name not in CONFIGURABLE:
            raise CalculatorInputError(
                f"ASE's configuration file has {name!r} in section [mlham]"
                f"{_nearest(name, CONFIGURABLE)} (known: {', '.join(CONFIGURABLE)})"
            )
    return found


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
            raise CalculatorInputError(
                f"MLHamiltonian has no parameter {name!r}{_nearest(name, DEFAULTS)} "
                f"(known: {', '.join(DEFAULTS)})"
            )
    plain = dict(given)
    makers = {
        "model": _plain_model,
        "system": _plain_system,
        "potential": _plain_potential,
        "kpts": plain_kpts,
        "bandpath": plain_kpts,
    }
    for name in makers.keys() & plain.keys():
        plain[name] = makers[name](plain[name])
    if isinstance(plain.get("smearing"), tuple | list):
        # ASE's usual form: ("Fermi-Dirac", 0.1)
        try:
            plain["occupation"], plain["smearing"] = plain["smearing"]
        except ValueError:
            raise CalculatorInputError(
                f"smearing={plain['smearing']!r}: expected a width in eV, or a pair such as "
                '("fermi-dirac", 0.1)'
            ) from None
    for name in ("charge", "smearing", "overlap_floor", "spacing"):
        if name in plain:
            plain[name] = _number(name, plain[name])
    if plain.get("spacing", 1.0) is None or not plain.get("spacing", 1.0) > 0:
        raise CalculatorInputError(f"spacing={plain['spacing']!r}: expected a length in Å")
    if plain.get("symmetry", "off") not in ("time-reversal", "off"):
        raise CalculatorInputError(
            f'symmetry={plain["symmetry"]!r}; accepted: "time-reversal" (one of k and -k), "off"'
        )
    if plain.get("occupation") is not None:
        try:
            plain["occupation"] = Occupation.parse(plain["occupation"]).value
        except errors.InputError as error:
            raise CalculatorInputError(f"occupation: {error}") from None
    if plain.get("on_unknown", "error") not in ("error", "warn"):
        raise CalculatorInputError(f'on_unknown={plain["on_unknown"]!r}; accepted: "error", "warn"')
    return plain


def _plain_model(model: Any) -> str | None:
    """What is stored of a model: a name, a path, or its identity."""
    if model is None:
        return None
    if isinstance(model, str | PathLike):
        return str(model)
    if isinstance(model, LCAOSystem):
        raise CalculatorInputError("a system is given by its keyword: MLHamiltonian(system=system)")
    identity = getattr(model, "identity", None)
    if isinstance(identity, tuple):
        identity = " ".join(str(part)[:12] for part in identity)
    if not isinstance(identity, str) or not callable(getattr(model, "predict", None)):
        raise CalculatorInputError(
            f"model {model!r}: give the name of an installed model (`mlham models` lists them), a "
            ".mlham file, a file with a Hamiltonian, or an object with `predict(atoms)` and "
            "`identity`"
        )
    return identity


def _plain_system(system: Any) -> str | None:
    """What is stored of a system: a text with a hash of its content."""
    if system is None:
        return None
    if isinstance(system, str):
        raise CalculatorInputError(
            f"system={system!r} names a system that was held in memory: give the system itself "
            "again (or the path of its file as `model`)"
        )
    if not isinstance(system, LCAOSystem):
        raise CalculatorInputError(
            f"system={system!r}: expected an LCAOSystem, as `ase_mlham.read_system` gives it"
        )
    from ase_mlham.calculator.identity import system_identity

    return system_identity(system)


def _plain_potential(potential: Any) -> str | None:
    """What is stored of a potential: its name."""
    if potential is None:
        return None
    if isinstance(potential, str):
        raise CalculatorInputError(
            f"potential={potential!r} is a name; give the calculator itself, for example EMT()"
        )
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


# ---------------------------------------------------------------------- k-points
def plain_kpts(kpts: Any) -> Any:
    """k-points as `ase_mlham.electronic.kpoints.k_points` takes them, in plain Python values.

    Three integers of whatever type are a mesh, a number is a density, a text is a path, three
    floats are a point; ASE's own conversion takes some of these for others.

    Parameters
    ----------
    kpts : anything
        As a user gives it.

    Returns
    -------
    None, float, str, (3,) tuple of int, list of points, dict or BandPath

    Raises
    ------
    CalculatorInputError
        None of these.
    """
    if kpts is None or isinstance(kpts, str):
        return kpts
    if isinstance(kpts, KPoints):
        return _of_points(kpts)
    if hasattr(kpts, "special_points") and hasattr(kpts, "kpts"):
        return kpts
    if hasattr(kpts, "kpts"):
        return plain_kpts(np.asarray(kpts.kpts).reshape(-1, 3))
    if isinstance(kpts, Mapping):
        return _of_mapping(kpts)
    try:
        array = np.asarray(kpts)
        kind = array.dtype.kind
    except ValueError:
        kind = "O"
    if kind not in "iuf" or array.size == 0:
        raise CalculatorInputError(f"kpts={kpts!r} is not understood; {_ACCEPTED}")
    if array.ndim == 0:
        return float(array)
    if array.shape == (3,) and kind in "iu":
        return tuple(int(n) for n in array)
    if array.shape == (3,) and np.all(array == np.round(array)) and np.all(array >= 1):
        raise CalculatorInputError(
            f"kpts={kpts!r}: three floats are one point, and this one is Gamma again; write "
            f"{tuple(int(n) for n in array)} for a mesh"
        )
    if array.ndim > 2 or array.shape[-1] != 3:
        raise CalculatorInputError(f"kpts of shape {array.shape}; {_ACCEPTED}")
    points: list[list[float]] = np.atleast_2d(array).astype(float).tolist()
    return points


_ACCEPTED = (
    "give three integers (a mesh), points (n, 3), a density in points per 1/Å, a path such as "
    "'GXL', or a dictionary with size, density or path"
)


def _of_points(points: KPoints) -> Any:
    """k-points of this package, from which a mesh or a path is recovered."""
    if points.path is not None:
        return points.path
    if points.mesh is not None:
        size = tuple(int(n) for n in points.mesh.size)
        centred = bool(np.any(np.all(np.abs(points.kpts) < 1e-12, axis=1)))
        return {"size": size, "gamma": centred}
    if not np.allclose(points.weights, points.weights[0], rtol=0, atol=1e-12):
        raise CalculatorInputError(
            "kpts with weights of their own and no mesh cannot be kept as a parameter; give a mesh "
            "such as (8, 8, 8), or pass them to the method that needs them"
        )
    return points.kpts.tolist()


def _of_mapping(kpts: Mapping[str, Any]) -> Any:
    if "labelseq" in kpts:
        # a BandPath that went through a file
        from ase.dft.kpoints import BandPath

        cell = kpts["cell"]
        return BandPath(
            cell["array"] if isinstance(cell, Mapping) else cell,
            kpts=np.asarray(kpts["kpts"]),
            special_points={k: np.asarray(v) for k, v in kpts["special_points"].items()},
            path=kpts["labelseq"],
        )
    plain: dict[str, Any] = {}
    for name, value in kpts.items():
        if name == "size":
            plain[name] = plain_kpts(value)
        elif isinstance(value, np.generic | np.ndarray):
            plain[name] = value.tolist()
        else:
            plain[name] = value
    return plain


def kpts_key(kpts: Any) -> tuple[Any, ...]:
    """Hashable text and bytes of k-points in plain form, or of `KPoints` and paths."""
    if isinstance(kpts, KPoints):
        mesh = None if kpts.mesh is None else kpts.mesh.size
        path = None if kpts.path is None else kpts.path.path
        return ("points", kpts.kpts.tobytes(), kpts.weights.tobytes(), mesh, path)
    if hasattr(kpts, "special_points"):
        return ("path", np.asarray(kpts.kpts).tobytes(), kpts.path)
    return (repr(kpts),)


def is_path(kpts: Any) -> bool:
    """Whether k-points in plain form are a path."""
    if isinstance(kpts, Mapping):
        return "path" in kpts
    return isinstance(kpts, str) or hasattr(kpts, "special_points")
