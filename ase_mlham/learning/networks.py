"""From a family and a layout of H to the network that predicts it."""

from __future__ import annotations

from typing import Any

from torch import nn

from ase_mlham import hooks
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.nn.moment_parity import MomentParity
from ase_mlham.learning.nn.spin_heads import SpinHeads
from ase_mlham.learning.spin_form import SpinForm, network_layouts

__all__ = ["make_network"]


def make_network(
    spec: hooks.FamilySpec, config: Any, layout: BlockLayout, form: SpinForm | None = None
) -> nn.Module:
    """The module of a family, with the head of a form of the spin parts of H.

    Exact under time reversal where H has parts odd in the moments.

    Raises
    ------
    InputError
        The form does not go with the parts of H.
    """
    form = SpinForm() if form is None else form
    layouts = network_layouts(layout, form)
    networks: list[nn.Module] = []
    for own in layouts:
        network: nn.Module = hooks.load(spec.module)(config, own)
        networks.append(MomentParity(network, own) if own.odd.any() else network)
    if form == SpinForm():
        return networks[0]
    return SpinHeads(networks, layouts, layout, form)
