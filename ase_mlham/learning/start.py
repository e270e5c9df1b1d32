"""Training that begins from a model: which of its weights and tables carry over.

A model without spin is the start of one with spin: the networks of both are the same up to their
last layers, and P keeps its baseline.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ase_mlham import hooks
from ase_mlham.errors import InputError
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.targets import TargetTransform

__all__ = ["begin_with"]

_log = logging.getLogger(__name__)

# modules that wrap a family's network: `nn.moment_parity`, `nn.spin_heads`
_WRAPPERS = re.compile(r"^(?:network\.|networks\.\d+\.)+")


def begin_with(
    path: Path,
    network: nn.Module,
    transform: TargetTransform,
    spec: hooks.FamilySpec,
    *,
    freeze: bool = False,
) -> None:
    """Put the weights of a model into a network, and its baseline into a fitted transform.

    Parameters
    ----------
    path : Path
        Model file.
    network : Module
        Fresh; weights that the model lacks, or has in another shape, stay as they are.
    transform : TargetTransform
        Fitted; tables of parts of H that the model knows in the same basis are overwritten.
    spec : FamilySpec
        Family of the network.
    freeze : bool
        The network is two, and the first is to stay as the model has it.

    Raises
    ------
    InputError
        The model is of another family or nothing of it fits; or not all of what is to stay.
    """
    from ase_mlham.learning.model import HamiltonianModel
    from ase_mlham.learning.model_file import ModelFile

    file = ModelFile.read(path)
    if file.family != spec.name:
        raise InputError(f"start = {path}: a model of family {file.family!r}, not {spec.name!r}")
    before = HamiltonianModel(file, device="cpu")
    old, own = before.network.state_dict(), network.state_dict()
    # by full name first; else what the wrappers hold, from the first network of several
    plain = {_WRAPPERS.sub("", name): value for name, value in reversed(old.items())}
    taken = {}
    for name, value in own.items():
        found = old.get(name, plain.get(_WRAPPERS.sub("", name)))
        if found is not None and found.shape == value.shape:
            taken[name] = found
    if not taken:
        raise InputError(f"start = {path}: none of its weights fit this network")
    network.load_state_dict({**own, **taken})
    n_channels = _take_baseline(before.transform, transform)
    _log.info(
        "%d of %d weights and the baseline of %d of %d channels from %s",
        len(taken),
        len(own),
        n_channels,
        transform.layout.n_channels,
        path,
    )
    if freeze:
        first = "networks.0."
        lacking = [name for name in own if name.startswith(first) and name not in taken]
        if lacking or not n_channels:
            raise InputError(
                f"start = {path}: freeze = true needs a model of P alone with the same elements, "
                "basis, targets and family options as this training"
            )
        for name, parameter in network.named_parameters():
            if name.startswith(first):
                parameter.requires_grad_(False)


def _take_baseline(old: TargetTransform, new: TargetTransform) -> int:
    """Copy the tables of channels that both have; returns how many."""
    if not _same_tables(old, new):
        return 0
    source, target = _channels(old.layout), _channels(new.layout)
    shared = [key for key in target if key in source]
    if not shared:
        return 0
    from_ = torch.tensor([source[key] for key in shared])
    to = torch.tensor([target[key] for key in shared])
    with torch.no_grad():
        for name in (
            "tables",
            "onsite_constant",
            "onsite_tables",
            "offsite_scale",
            "onsite_scale",
        ):
            new.get_buffer(name)[..., to] = old.get_buffer(name)[..., from_]
        if old.strength is not None and new.strength is not None:
            new.strength.load_state_dict(old.strength.state_dict())
    return len(shared)


def _same_tables(old: TargetTransform, new: TargetTransform) -> bool:
    """Whether the tables of both mean the same functions of the same things."""
    a, b = old.layout.basis, new.layout.basis
    return (
        a.elements == b.elements
        and old.layout.shells.of == new.layout.shells.of
        and old.config.operators == new.config.operators
        and old.config.tables == new.config.tables
        and old.config.bin_width == new.config.bin_width
        and old.knots.shape == new.knots.shape
        and old.onsite_knots.shape == new.onsite_knots.shape
        and np.allclose(old.knots, new.knots)
        and np.allclose(old.onsite_knots, new.onsite_knots)
    )


def _channels(layout: BlockLayout) -> dict[tuple[object, ...], int]:
    """Running numbers of channels, by part and shells."""
    out: dict[tuple[object, ...], int] = {}
    for entries in layout.channels:
        for c in entries:
            out[layout.parts[c.part].name, c.a, c.b, c.K, c.L] = len(out)
    return out
