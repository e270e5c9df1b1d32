"""The network keeps the symmetries of a Hamiltonian: the checks that the package gives to all."""

from __future__ import annotations

from ase_mlham.learning.testing import check_family
from mlham_template.plugin import mlham_model_families


def test_conformance():
    (spec,) = mlham_model_families()
    # "model_file" saves, loads and predicts: it finds the family by its entry point
    check_family(spec, preset="tiny").raise_for_failures()
