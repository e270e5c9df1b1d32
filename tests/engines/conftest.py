"""What PySCF leaves open would fail later tests, because warnings are errors."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_checkpoint_files(monkeypatch):
    """PySCF opens a temporary file for each calculation and never closes it."""
    hf = pytest.importorskip("pyscf.scf.hf")
    monkeypatch.setattr(hf, "MUTE_CHKFILE", True)
