"""Reference Hamiltonians computed from a structure, in process, without any external program."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase_mlham.engines.compute import compute_system
    from ase_mlham.engines.generation import generate

__all__ = ["compute_system", "generate"]

_HOME = {"compute_system": "ase_mlham.engines.compute", "generate": "ase_mlham.engines.generation"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
