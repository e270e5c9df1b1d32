"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# a test of drawn systems takes a second or two; `--hypothesis-profile thorough` looks longer
settings.register_profile("quick", max_examples=20, deadline=None, print_blob=True)
settings.register_profile("thorough", max_examples=500, deadline=None, print_blob=True)
# a check that must pass before a change is kept draws the same systems every time
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "quick")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference data that is too large, or not ours, to be kept in the repository."""
    path = Path(os.environ.get("MLHAM_REFERENCE_DATA", REPOSITORY.parent / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"reference data not found at {path}; set MLHAM_REFERENCE_DATA to its folder")
    return path
