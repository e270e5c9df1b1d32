"""One structure in, one reference system out: find the engine, check its settings, run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ase_mlham import hooks
from ase_mlham.errors import EngineError, InputError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlham.core import LCAOSystem

__all__ = ["compute_system", "make_settings"]


def compute_system(atoms: Atoms, engine: str = "pyscf", **settings: Any) -> LCAOSystem:
    """H(R) and S(R) of a structure from a self-consistent calculation.

    Parameters
    ----------
    atoms : ase.Atoms
        Crystal, slab, wire (periodic along some directions) or molecule (along none).
    engine : str
        Name of an installed engine.
    **settings
        Fields of the engine's settings, for "pyscf" those of
        `ase_mlham.engines.pyscf.settings.PyscfSettings`.

    Returns
    -------
    LCAOSystem
        With the operators "kinetic", "nonlocal" and "superposition".

    Raises
    ------
    InputError
        A setting is unknown or does not suit the structure.
    EngineError, ConvergenceError
        The calculation could not be set up, or did not converge.

    Examples
    --------
    >>> from ase.build import bulk
    >>> system = compute_system(bulk("Si"), kpts=(2, 2, 2), ecut_ry=60)  # doctest: +SKIP
    """
    spec = hooks.find("engine", engine, EngineError)
    compute = hooks.load(spec.compute)
    return compute(atoms, make_settings(engine, settings))


def make_settings(engine: str, values: Mapping[str, Any]) -> Any:
    """The engine's settings object from plain values.

    Raises
    ------
    InputError
        A name is unknown; the message gives the nearest one.
    """
    cls = hooks.load(hooks.find("engine", engine, EngineError).settings)
    known = [field.name for field in fields(cls)]
    for name in values:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(
                f"engine {engine!r} has no setting {name!r}{hint} (known: {', '.join(known)})"
            )
    return cls(**values)
