"""`atomic_path` for writers of formats: a reader finds all of a file or none."""

from __future__ import annotations

from ase_mlham.files import atomic_path

__all__ = ["atomic_path"]
