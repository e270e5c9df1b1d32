"""Files that hold a Hamiltonian: recognise, read, write.

    system = read_system("silicon.scfout.zst")
    atoms = read_outline("silicon.scfout.zst").to_atoms()      # without reading the matrices
    write_system(system, "silicon.h5")

Each format is a `FormatSpec` of the hook `mlham_formats`; the built-in ones arrive the same way as
a stranger's. Names are imported when first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "NativeFile": "ase_mlham.formats.native",
    "Outline": "ase_mlham.formats.outline",
    "detect_format": "ase_mlham.formats.registry",
    "read_outline": "ase_mlham.formats.registry",
    "read_system": "ase_mlham.formats.registry",
    "sniff_formats": "ase_mlham.formats.registry",
    "write_system": "ase_mlham.formats.registry",
}

__all__ = [
    "NativeFile",
    "Outline",
    "detect_format",
    "read_outline",
    "read_system",
    "sniff_formats",
    "write_system",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'ase_mlham.formats' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
