"""The network obeys the symmetries of blocks, for any structure and basis."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings

from ase_mlham import LCAOSystem, Structure
from ase_mlham.core.harmonics import rotation_matrix
from ase_mlham.learning.family import FamilyModule
from ase_mlham.learning.graph import build_graph
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.testing.strategies import rotations, systems
from ase_mlham.testing.tolerances import tolerance
from mlham_template.two_centre import TwoCentre, TwoCentreConfig


def predict(system: LCAOSystem, structure: Structure):
    torch.manual_seed(0)
    layout = BlockLayout(system.basis)
    module = TwoCentre(TwoCentreConfig(width=8), layout).double().eval()
    assert isinstance(module, FamilyModule)
    pattern = system.hamiltonian.pattern
    graph = build_graph(
        structure, system.basis, pattern, module.message_cutoff, dtype=torch.float64
    )
    with torch.no_grad():
        return layout, module(graph)


@settings(max_examples=10, deadline=None)
@given(system=systems(spin="none", max_atoms=3), rotation=rotations())
def test_blocks_turn_with_the_structure(system, rotation):
    before = system.structure
    after = Structure(
        before.numbers, before.positions @ rotation.T, before.cell @ rotation.T, before.pbc
    )
    layout, plain = predict(system, before)
    _, turned = predict(system, after)
    for one, two in zip(plain, turned, strict=True):
        start = 0
        for L in range(layout.l_max + 1):
            n = layout.multiplicity(L, natural=True) + layout.multiplicity(L, natural=False)
            width = (2 * L + 1) * n
            a, b = (
                x[..., start : start + width].reshape(*x.shape[:-1], 2 * L + 1, n).numpy()
                for x in (one, two)
            )
            expected = np.einsum("mk,...kc->...mc", rotation_matrix(L, rotation), a)
            assert np.allclose(b, expected, atol=tolerance().algebra)
            start += width
