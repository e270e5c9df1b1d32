"""Plugin interface: what a distribution may add, and how the package finds it.

A plugin is a module named by an entry point of the group `ase_mlham`. It defines some of the
functions of `MLHamHooks`, each of which returns a list of specifications. The package's own
formats, engines, solvers, recipes and commands arrive the same way, through its own entry points.
All hooks with their arguments and examples are in docs/hooks.md.

Specifications name their code as "module:attribute" and are imported only when used: listing
everything that is installed must not load a neural network library.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from ase_mlham.errors import MissingDependencyError, PluginError

__all__ = [
    "ENTRY_POINT_GROUP",
    "AnalyserSpec",
    "CommandSpec",
    "EngineSpec",
    "FamilySpec",
    "FormatSpec",
    "MLHamHooks",
    "ModelSpec",
    "PluginRecord",
    "RecipeSpec",
    "SolverSpec",
    "Spec",
    "find",
    "hookimpl",
    "install_command",
    "load",
    "missing_dependency",
    "plugins",
    "registered",
]

ENTRY_POINT_GROUP = "ase_mlham"
_PROJECT = "ase_mlham"

hookspec = pluggy.HookspecMarker(_PROJECT)
hookimpl = pluggy.HookimplMarker(_PROJECT)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What every specification has.

    Parameters
    ----------
    name : str
        By which users ask for it; unique among its kind.
    description : str
        One line for listings.
    """

    name: str
    description: str


@dataclass(frozen=True, kw_only=True)
class FormatSpec(Spec):
    """A file format that holds a Hamiltonian.

    Parameters
    ----------
    patterns : tuple of str
        File name patterns, for messages and documentation.
    sniff : str
        "module:function"; `sniff(path) -> float` from 0 (not mine) to 1 (surely mine). It looks at
        the name and the first bytes only, and never raises for a readable file.
    read : str
        "module:function"; `read(path) -> LCAOSystem`, raising only `FormatError` for bad files.
    write : str, optional
        "module:function"; `write(system, path) -> None`, atomic.
    outline : str, optional
        "module:function"; `outline(path) -> ase_mlham.formats.Outline`: atoms, electrons and Fermi
        level without the matrices. Where there is none, the whole file is read for them.
    holds : frozenset of str
        Of "none", "collinear", "spinor" (spin kinds) and "overlap", "position", "radial",
        "fermi_level", "kpts".
    """

    patterns: tuple[str, ...]
    sniff: str
    read: str
    write: str | None = None
    outline: str | None = None
    holds: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class FamilySpec(Spec):
    """A network architecture.

    Parameters
    ----------
    config : str
        "module:dataclass"; a frozen dataclass of plain values, every field with a default.
    module : str
        "module:class"; a `torch.nn.Module` built as `cls(config, layout)`, see
        `learning.family`.
    presets : mapping
        Name to a mapping of config fields.
    recipes : mapping
        Name to sections of the recipe "hamiltonian" (training, loss, targets, family, ...), each a
        mapping of its options: the trainings of publications.
    spin_kinds : tuple of str
        Spin kinds that it can predict.
    expected_failures : mapping
        Name of a conformance check to the reason and measured size of a known failure.
    """

    config: str
    module: str
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    spin_kinds: tuple[str, ...] = ("none",)
    expected_failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EngineSpec(Spec):
    """A source of reference systems.

    Parameters
    ----------
    compute : str
        "module:function"; `compute(atoms, settings) -> LCAOSystem`.
    settings : str
        "module:dataclass"; a frozen dataclass of plain values, every field with a default.
    """

    compute: str
    settings: str


@dataclass(frozen=True, kw_only=True)
class RecipeSpec(Spec):
    """A training recipe: data, targets, loss, optimiser, schedule, stages.

    Parameters
    ----------
    config : str
        "module:dataclass" of its options.
    train : str
        "module:function"; `train(config) -> Path` of the model file.
    """

    config: str
    train: str


@dataclass(frozen=True, kw_only=True)
class SolverSpec(Spec):
    """An eigensolver for H(k) c = E S(k) c.

    Parameters
    ----------
    solve : str
        "module:function"; `solve(problem)` yields a `Solution` for each k-point, see
        `electronic.solvers`.
    guarantees : str
        What its result is guaranteed to be, for listings.
    """

    solve: str
    guarantees: str


@dataclass(frozen=True, kw_only=True)
class AnalyserSpec(Spec):
    """A property computed from a system.

    Parameters
    ----------
    analyse : str
        "module:function"; `analyse(system, **options)` returns a result with `to_dict`.
    """

    analyse: str


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """A packaged model.

    Parameters
    ----------
    package, resource : str
        Where the `.mlham` file lies: a package and a path inside it.
    """

    package: str
    resource: str


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """A sub-command of `mlham`.

    Parameters
    ----------
    add_arguments : str
        "module:function"; `add_arguments(parser)`.
    run : str
        "module:function"; `run(options) -> int`, the exit code.
    """

    add_arguments: str
    run: str


class MLHamHooks:
    """The hooks. A plugin module defines any of them, marked with `ase_mlham.hooks.hookimpl`."""

    @hookspec
    def mlham_model_families(self) -> list[FamilySpec]:
        """Network architectures."""
        raise AssertionError("a hook specification is never called")

    @hookspec
    def mlham_formats(self) -> list[FormatSpec]:
        """File formats that hold a Hamiltonian."""
        raise AssertionError("a hook specification is never called")

    @hookspec
    def mlham_engines(self) -> list[EngineSpec]:
        """Programs that compute reference systems."""
        raise AssertionError("a hook specification is never called")

    @hookspec
    def mlham_recipes(self) -> list[RecipeSpec]:
        """Training recipes."""
        raise AssertionError("a hook specification is never called")

    @hookspec
    def mlham_solvers(self) -> list[SolverSpec]:
        """Eigensolvers."""
        raise AssertionError("a hook specification is never called")

    @hookspec
    def mlham_analysers(self) -> list[AnalyserSpec]:
        """Properties computed from a system."""
        raise AssertionError("a hook specification is never called")

    @hookspec
    def mlham_models(self) -> list[ModelSpec]:
        """Packaged models."""
        raise AssertionError("a hook specification is never called")

    @hookspec
    def mlham_commands(self) -> list[CommandSpec]:
        """Sub-commands of `mlham`."""
        raise AssertionError("a hook specification is never called")


_KINDS: Mapping[str, tuple[str, type[Spec]]] = {
    "model family": ("mlham_model_families", FamilySpec),
    "format": ("mlham_formats", FormatSpec),
    "engine": ("mlham_engines", EngineSpec),
    "recipe": ("mlham_recipes", RecipeSpec),
    "solver": ("mlham_solvers", SolverSpec),
    "analyser": ("mlham_analysers", AnalyserSpec),
    "model": ("mlham_models", ModelSpec),
    "command": ("mlham_commands", CommandSpec),
}


@dataclass(frozen=True)
class PluginRecord:
    """One installed plugin.

    Attributes
    ----------
    name : str
        Entry point name.
    distribution : str
        What was installed, with its version.
    provides : mapping
        Kind to the names it gives.
    error : str
        Why it was skipped, empty if it works.
    """

    name: str
    distribution: str
    provides: Mapping[str, tuple[str, ...]]
    error: str = ""


@dataclass(frozen=True)
class _Plugin:
    """An entry point, what it gives by kind, and why it is skipped."""

    name: str
    distribution: str
    specs: Mapping[str, tuple[Spec, ...]] = field(default_factory=dict)
    error: str = ""


def _specs_of(point: EntryPoint) -> dict[str, tuple[Spec, ...]]:
    """Import a plugin and ask it everything once; raises whatever its code raises."""
    manager = pluggy.PluginManager(_PROJECT)
    manager.add_hookspecs(MLHamHooks)
    manager.register(point.load(), name=point.name)
    known = {hook: (kind, expected) for kind, (hook, expected) in _KINDS.items()}
    specs = {}
    for caller in manager.get_hookcallers(manager.get_plugin(point.name)) or ():
        if caller.name not in known:
            close = get_close_matches(caller.name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise PluginError(f"there is no hook {caller.name!r}{hint}")
        kind, expected = known[caller.name]
        given = tuple(spec for part in caller() for spec in part)
        if not all(isinstance(spec, expected) for spec in given):
            raise PluginError(f"{caller.name} must return a list of {expected.__name__} objects")
        if len({spec.name for spec in given}) < len(given):
            raise PluginError(f"{caller.name} gives two of one name")
        specs[kind] = given
    return specs


@lru_cache(maxsize=1)
def _load_plugins() -> tuple[_Plugin, ...]:
    """All plugins; one that fails is reported by name and skipped."""
    seen: list[_Plugin] = []
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        origin = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"
        specs, reason = {}, ""
        if any(plugin.name == point.name for plugin in seen):
            reason = f"another plugin is already called {point.name!r}"
        else:
            try:
                specs = _specs_of(point)
            except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything
                reason = f"{type(error).__name__}: {error}"
        if reason:
            # `mlham plugins` shows the same; a warning would break users who turn them into errors
            _log.warning("plugin %s (%s) is skipped: %s", point.name, origin, reason)
        seen.append(_Plugin(point.name, origin, specs, reason))
    return tuple(seen)


@lru_cache(maxsize=len(_KINDS))
def _table(kind: str) -> Mapping[str, Spec]:
    table: dict[str, tuple[Spec, str]] = {}
    for plugin in _load_plugins():
        for spec in plugin.specs.get(kind, ()):
            if spec.name in table:
                raise PluginError(
                    f"plugins {table[spec.name][1]!r} and {plugin.name!r} both give a {kind} "
                    f"called {spec.name!r}; uninstall one of them"
                )
            table[spec.name] = (spec, plugin.name)
    return {name: table[name][0] for name in sorted(table)}


def registered(kind: str) -> Mapping[str, Any]:
    """All specifications of a kind, by name.

    Parameters
    ----------
    kind : str
        "model family", "format", "engine", "recipe", "solver", "analyser", "model" or "command".

    Raises
    ------
    PluginError
        Two plugins give one name, or there is no such kind.
    """
    if kind not in _KINDS:
        raise PluginError(f"there is no kind {kind!r} of plugin; there are {', '.join(_KINDS)}")
    return _table(kind)


def find(kind: str, name: str, error: Callable[[str], Exception] = PluginError) -> Any:
    """The specification of a name.

    Raises
    ------
    error
        Nothing is called that; the message names what is nearest and what there is.
    """
    table = registered(kind)
    if name in table:
        return table[name]
    close = get_close_matches(name, table, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    known = ", ".join(table) or "none installed"
    raise error(f"unknown {kind} {name!r}{hint} (known: {known})")


def load(reference: str) -> Any:
    """The object that "module:attribute" names.

    Raises
    ------
    MissingDependencyError
        The module needs a distribution that is not installed.
    PluginError
        The reference is malformed or the attribute does not exist.
    """
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise PluginError(f"{reference!r} is not of the form 'module:attribute'")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if f"{module_name}.".startswith(f"{error.name}."):
            raise PluginError(f"{reference!r}: there is no module {error.name!r}") from error
        raise missing_dependency(module_name, error) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise PluginError(f"module {module_name!r} has no {attribute!r}") from None


_EXTRAS = {
    "torch": "ase-mlham[models]",
    "lightning": "ase-mlham[train]",
    "torch_geometric": "ase-mlham[train]",
    "tensorboard": "ase-mlham[train]",
    "e3nn": "ase-mlham[train]",
    "safetensors": "ase-mlham[models]",
    "pyscf": "ase-mlham[pyscf]",
    "hypothesis": "ase-mlham[test]",
}


def missing_dependency(needed_by: str, error: ModuleNotFoundError) -> MissingDependencyError:
    """What to tell a user when an import fails: who needs it, and the command that installs it.

    Parameters
    ----------
    needed_by : str
        Module or task that cannot go on.
    error : ModuleNotFoundError
        What Python raised.
    """
    name = (error.name or "").partition(".")[0]
    return MissingDependencyError(
        f"{needed_by} needs {name!r}, which is not installed; run: {install_command(name)}"
    )


def install_command(module: str) -> str:
    """The command that installs the distribution, or the optional part, that brings a module."""
    return f"{sys.executable} -m pip install '{_EXTRAS.get(module, module)}'"


def plugins() -> list[PluginRecord]:
    """All installed plugins, with what each gives."""
    return [
        PluginRecord(
            plugin.name,
            plugin.distribution,
            {
                kind: tuple(spec.name for spec in specs)
                for kind, specs in plugin.specs.items()
                if specs
            },
            plugin.error,
        )
        for plugin in _load_plugins()
    ]


def reload() -> None:
    """Forget what is installed; the next look-up asks again (for tests of plugins)."""
    _load_plugins.cache_clear()
    _table.cache_clear()
