"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference data that is too large, or not ours, to be kept in the repository."""
    path = Path(os.environ.get("MLHAM_REFERENCE_DATA", REPOSITORY.parent / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"reference data not found at {path}; set MLHAM_REFERENCE_DATA to its folder")
    return path
