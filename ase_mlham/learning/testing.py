"""Conformance kit: one call tells whether a model family keeps the symmetries of a Hamiltonian.

    from ase_mlham.learning.testing import check_family
    check_family("hamgnn").raise_for_failures()

A family may declare failures that it knows of (`FamilySpec.expected_failures`, with the reason and
the size measured): they are measured again and reported, never hidden.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ase_mlham import hooks
from ase_mlham.core import GaussianRadial, OrbitalBasis, Shell, SpeciesBasis, SpinKind
from ase_mlham.errors import PluginError
from ase_mlham.learning.configuration import make_config
from ase_mlham.learning.conformance import CHECKS, Measurement, Skip, Subject
from ase_mlham.learning.layout import BlockLayout
from ase_mlham.learning.networks import make_network
from ase_mlham.learning.spin_form import SpinForm

__all__ = ["CheckResult", "ConformanceReport", "check_family", "check_names", "probe_basis"]


@dataclass(frozen=True)
class CheckResult:
    """Outcome of one check.

    Attributes
    ----------
    name : str
        The check.
    status : str
        "passed", "failed", "expected" (declared and failing), "unexpected pass" (declared, but it
        passes now: take the declaration away) or "skipped".
    value, limit : float
        What was measured, relative to the size of the output, and what is allowed.
    detail : str
        Where it was worst, or why it was skipped or is expected to fail.
    """

    name: str
    status: str
    value: float
    limit: float
    detail: str


@dataclass(frozen=True)
class ConformanceReport:
    """Outcome of all checks of one family.

    Attributes
    ----------
    family : str
        Its name.
    results : tuple of CheckResult
        In the order in which they ran.
    """

    family: str
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed that was not declared to."""
        return not self.failures

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """Checks that failed without being declared."""
        return tuple(result for result in self.results if result.status == "failed")

    def __getitem__(self, name: str) -> CheckResult:
        return next(result for result in self.results if result.name == name)

    def __str__(self) -> str:
        lines = [f"conformance of family {self.family!r}"]
        for r in self.results:
            numbers = "" if math.isnan(r.value) else f"{r.value:.1e} (limit {r.limit:.0e})"
            lines.append(f"  {r.name:<16} {r.status:<16} {numbers:<26} {r.detail}".rstrip())
        return "\n".join(lines)

    def raise_for_failures(self) -> None:
        """Raise if a check failed.

        Raises
        ------
        PluginError
            The message is the whole table.
        """
        if not self.passed:
            raise PluginError(f"{self}")


def probe_basis() -> OrbitalBasis:
    """C s2p1 and Si s2p2d1: with unlike shells there are channels that a pair of elements lacks."""

    def shell(l: int, exponent: float, cutoff: float) -> Shell:
        norm = math.sqrt(2 * (2 * exponent) ** (l + 1.5) / math.gamma(l + 1.5))
        radial = GaussianRadial(l, np.array([exponent]), np.array([norm]), cutoff)
        return Shell(l, cutoff, radial)

    carbon = [shell(0, 1.6, 2.3), shell(0, 4.5, 2.3), shell(1, 1.6, 2.3)]
    silicon = [
        shell(0, 1.2, 2.6),
        shell(0, 3.2, 2.6),
        shell(1, 1.2, 2.6),
        shell(1, 3.2, 2.6),
        shell(2, 1.5, 2.6),
    ]
    return OrbitalBasis(
        (
            SpeciesBasis(6, tuple(carbon), 4.0, "probe"),
            SpeciesBasis(14, tuple(silicon), 4.0, "probe"),
        )
    )


def check_names() -> tuple[str, ...]:
    """Names of all checks, in the order in which they run."""
    return (*CHECKS, "model_file")


def _randomised(module: nn.Module, seed: int) -> nn.Module:
    """Random weights everywhere: layers that start at zero would hide what is behind them."""
    generator = torch.Generator().manual_seed(seed + 1000)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            spread = parameter.double().pow(2).mean().sqrt().item()
            fan = parameter.shape[-1] if parameter.ndim > 1 else 4
            scale = 0.2 * spread if spread > 1e-3 else 0.5 / math.sqrt(fan)
            parameter.add_((scale * noise).to(parameter))
    return module


def _model_file(subject: Subject) -> Measurement:
    """A model written, read and asked again gives the same bits."""
    from ase_mlham.core.system import basis_pattern
    from ase_mlham.learning.conformance import _disordered
    from ase_mlham.learning.model import HamiltonianModel, load_model

    structure = _disordered(subject)
    network = subject.network().float()
    model = HamiltonianModel.untrained(
        network,
        subject.spec,
        subject.config,
        subject.basis,
        example=structure,
        spin=subject.layout.spin,
        parts=[part.name for part in subject.layout.parts],
        form=subject.form,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.mlham"
        model.save(path)
        loaded = load_model(path, device="cpu")
        first, second = model.predict(structure), loaded.predict(structure)
    pattern = basis_pattern(structure, subject.basis)
    a, b = first.hamiltonian.on_pattern(pattern), second.hamiltonian.on_pattern(pattern)
    worst = max(float(abs(x - y).max()) for x, y in zip(a.values, b.values, strict=True))
    return Measurement(worst, 0.0, "")


def _run(
    name: str, check: Callable[[Subject], Measurement], subject: Subject, declared: str | None
) -> CheckResult:
    try:
        found = check(subject)
    except Skip as reason:
        return CheckResult(name, "skipped", math.nan, math.nan, str(reason))
    except Exception as error:  # noqa: BLE001 - a stranger's network may raise anything
        found = Measurement(math.inf, 0.0, f"raised {type(error).__name__}: {error}")
    good = found.value <= found.limit
    if declared is None:
        status, detail = ("passed" if good else "failed"), found.detail
    else:
        status = "unexpected pass" if good else "expected"
        detail = f"declared: {declared}; {found.detail}".rstrip("; ")
    return CheckResult(name, status, float(found.value), float(found.limit), detail)


def check_family(
    family: str | hooks.FamilySpec,
    *,
    preset: str | None = None,
    basis: OrbitalBasis | None = None,
    spin: SpinKind | str = "none",
    parts: Iterable[str] | None = None,
    form: SpinForm | None = None,
    checks: Iterable[str] | None = None,
    steps: int = 80,
    **config: Any,
) -> ConformanceReport:
    """Measure whether a family keeps to its contract.

    Parameters
    ----------
    family : str or FamilySpec
        Name of an installed family, or a specification that need not be installed.
    preset : str, optional
        Preset of the family to start from.
    basis : OrbitalBasis, optional
        Orbitals of the probe structures; by default two elements with unlike shells.
    spin : SpinKind or str
        Spin kind of the Hamiltonians.
    parts : iterable of str, optional
        Their real parts, see `learning.parts`.
    form : SpinForm, optional
        Of the spin parts.
    checks : iterable of str, optional
        Some of `check_names()`; all if not given.
    steps : int
        Optimiser steps of the overfitting check.
    **config
        Fields of the family's configuration; a small network is enough for the checks.

    Returns
    -------
    ConformanceReport
        Print it, or call its `raise_for_failures`.

    Raises
    ------
    PluginError
        No such family, check, or configuration.

    Examples
    --------
    >>> from ase_mlham.learning.testing import check_family
    >>> check_family("pairwise", checks=["rotation", "inversion"]).passed
    True
    """
    spec = hooks.find("model family", family) if isinstance(family, str) else family
    values = _family_config(spec, preset, config)
    basis = probe_basis() if basis is None else basis
    layout = BlockLayout(basis, SpinKind.parse(spin), parts)
    form = SpinForm() if form is None else form

    def make(seed: int, **changes: Any) -> nn.Module:
        state = torch.random.get_rng_state()
        torch.manual_seed(seed)
        try:
            module = make_network(spec, replace(values, **changes), layout, form)
        finally:
            torch.random.set_rng_state(state)
        return _randomised(module, seed).double().eval()

    subject = Subject(spec, values, basis, layout, form, make, steps)
    table: Mapping[str, Callable[[Subject], Measurement]] = {**CHECKS, "model_file": _model_file}
    chosen = tuple(table) if checks is None else tuple(checks)
    unknown = [name for name in chosen if name not in table]
    if unknown:
        raise PluginError(f"unknown check {unknown[0]!r} (known: {', '.join(table)})")
    results = (_run(n, table[n], subject, spec.expected_failures.get(n)) for n in chosen)
    return ConformanceReport(spec.name, tuple(results))


def _family_config(spec: hooks.FamilySpec, preset: str | None, config: Mapping[str, Any]) -> Any:
    if preset is not None and preset not in spec.presets:
        known = ", ".join(spec.presets) or "none"
        raise PluginError(f"family {spec.name!r} has no preset {preset!r} (known: {known})")
    values = {**(spec.presets[preset] if preset else {}), **config}
    return make_config(hooks.load(spec.config), values, where=f"family {spec.name!r}")
