"""Plugins that work, that are broken, and that are in conflict."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

import pytest

from ase_mlham import hooks
from ase_mlham.errors import InputError, MissingDependencyError, PluginError
from ase_mlham.hooks import FormatSpec, SolverSpec, find, hookimpl, load, plugins, registered

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Make entry points of modules with some functions, beside the real ones or instead of them."""
    added: list[EntryPoint] = []
    real = list(entry_points(group=hooks.ENTRY_POINT_GROUP))

    def add(name: str, alone: bool = False, module: str = "", **functions: Callable) -> None:
        target = module or f"a_plugin_called_{len(added)}"
        if not module:
            made = ModuleType(target)
            for key, function in functions.items():
                setattr(made, key, function)
            monkeypatch.setitem(sys.modules, target, made)
        if alone:
            real.clear()
        added.append(EntryPoint(name, target, hooks.ENTRY_POINT_GROUP))
        hooks.reload()

    monkeypatch.setattr(hooks, "entry_points", lambda group: [*real, *added])
    hooks.reload()
    yield add
    monkeypatch.undo()
    hooks.reload()


def solver(name: str) -> SolverSpec:
    return SolverSpec(name=name, description="a", solve="numpy:linalg", guarantees="none")


@hookimpl
def two_solvers() -> list[SolverSpec]:
    return [solver("quick"), solver("sparse-gpu")]


def test_built_ins_arrive_through_their_own_entry_points() -> None:
    mine = {record.name: record for record in plugins() if record.name.startswith("mlham-")}
    assert set(mine) == {
        f"mlham-{room}" for room in "cli electronic engines formats learning".split()
    }
    assert all(not record.error for record in mine.values())
    assert "openmx" in mine["mlham-formats"].provides["format"]
    assert set(registered("format")) >= {"mlham", "openmx"}


def test_everything_registered_can_be_loaded_or_says_what_it_lacks() -> None:
    """Each "module:attribute" of the built-ins names something that exists."""
    references = [
        value
        for kind in hooks._KINDS
        for spec in registered(kind).values()
        for value in vars(spec).values()
        if isinstance(value, str) and value.startswith("ase_mlham.") and ":" in value
    ]
    assert references
    broken = []
    for reference in references:
        try:
            load(reference)
        except MissingDependencyError:
            continue
        except PluginError as error:
            broken.append(str(error))
    assert broken == []


def test_a_foreign_plugin_stands_beside_the_built_ins(install: Install) -> None:
    install("foreign", mlham_solvers=two_solvers)
    assert set(registered("solver")) >= {"dense", "quick", "sparse-gpu"}
    record = next(record for record in plugins() if record.name == "foreign")
    assert record.provides == {"solver": ("quick", "sparse-gpu")}
    assert record.distribution == "unknown"
    assert find("solver", "quick") == solver("quick")


@hookimpl
def explodes() -> list[SolverSpec]:
    raise RuntimeError("no licence for this solver")


@hookimpl
def wrong_type() -> list[SolverSpec]:
    return [{"name": "dense"}]


@hookimpl
def not_a_list() -> list[SolverSpec]:
    return solver("alone")


@hookimpl
def same_twice() -> list[SolverSpec]:
    return [solver("same"), solver("same")]


@hookimpl
def wants_an_argument(what: str) -> list[SolverSpec]:
    return [what]


@pytest.mark.parametrize(
    ("functions", "module", "reason"),
    [
        ({"mlham_solvers": explodes}, "", "RuntimeError: no licence for this solver"),
        ({"mlham_solvers": wrong_type}, "", "must return a list of SolverSpec objects"),
        ({"mlham_solvers": not_a_list}, "", "TypeError"),
        ({"mlham_solvers": same_twice}, "", "two of one name"),
        ({"mlham_solvers": wants_an_argument}, "", "PluginValidationError"),
        ({"mlham_solver": two_solvers}, "", "'mlham_solver'; did you mean 'mlham_solvers'?"),
        ({}, "no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
    ],
)
def test_a_broken_plugin_is_reported_by_name_and_skipped(
    install: Install,
    caplog: pytest.LogCaptureFixture,
    functions: dict,
    module: str,
    reason: str,
) -> None:
    before = {kind: list(registered(kind)) for kind in hooks._KINDS}
    with caplog.at_level(logging.WARNING):
        install("broken", module=module, **functions)
        records = {record.name: record for record in plugins()}
    assert reason in records["broken"].error
    assert records["broken"].provides == {}
    assert "plugin broken" in caplog.text
    assert {kind: list(registered(kind)) for kind in hooks._KINDS} == before


def test_two_plugins_of_one_name(install: Install) -> None:
    install("one", mlham_solvers=two_solvers)
    install("one", mlham_solvers=two_solvers)
    errors = [record.error for record in plugins() if record.name == "one"]
    assert errors == ["", "another plugin is already called 'one'"]


def test_two_that_claim_one_name_are_an_error(install: Install) -> None:
    install("one", mlham_solvers=two_solvers)
    install("two", mlham_solvers=two_solvers)
    with pytest.raises(PluginError, match=r"'one' and 'two' both give a solver called 'quick'"):
        registered("solver")
    # other kinds still work, and the listing shows who claims it
    assert registered("format")
    assert sum("quick" in record.provides.get("solver", ()) for record in plugins()) == 2


def test_unknown_names_are_answered_with_the_nearest(install: Install) -> None:
    install("only", alone=True, mlham_solvers=two_solvers)
    with pytest.raises(PluginError) as caught:
        find("solver", "sparse_gpu")
    assert str(caught.value) == (
        "unknown solver 'sparse_gpu'; did you mean 'sparse-gpu'? (known: quick, sparse-gpu)"
    )
    with pytest.raises(InputError, match="known: none installed"):
        find("engine", "pyscf", InputError)
    with pytest.raises(PluginError, match="no kind 'solvers'"):
        registered("solvers")


def test_references_are_loaded_when_used() -> None:
    assert load("ase_mlham.errors:PluginError") is PluginError
    for reference, message in (
        ("ase_mlham.errors", "not of the form"),
        (":x", "not of the form"),
        ("ase_mlham.errors:", "not of the form"),
        ("ase_mlham.errors:Nothing", "has no 'Nothing'"),
        ("ase_mlham.nowhere:x", "there is no module 'ase_mlham.nowhere'"),
        ("no_such_package.part:x", "there is no module 'no_such_package'"),
    ):
        with pytest.raises(PluginError, match=message):
            load(reference)


@pytest.mark.parametrize(
    ("module", "package"),
    [("pyscf", "ase-mlham[pyscf]"), ("torch.nn", "ase-mlham[models]"), ("mendeleev", "mendeleev")],
)
def test_a_missing_library_is_answered_with_the_command_that_installs_it(
    tmp_path, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    (tmp_path / "needs_something.py").write_text(f"import {module}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "needs_something", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == module.split(".")[0]]:
        monkeypatch.delitem(sys.modules, name)

    class Absent:
        """As if the library were not installed."""

        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == module.split(".")[0]:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Absent, *sys.meta_path])
    with pytest.raises(MissingDependencyError) as caught:
        load("needs_something:x")
    assert caught.value.exit_code == 3
    assert str(caught.value).startswith("needs_something needs ")
    assert str(caught.value).endswith(f"{sys.executable} -m pip install '{package}'")


def test_specifications_are_plain_values() -> None:
    spec = FormatSpec(name="a", description="b", patterns=("*.a",), sniff="m:s", read="m:r")
    assert spec.write is None
    with pytest.raises(AttributeError):
        spec.name = "c"
    with pytest.raises(TypeError, match="sniff"):
        FormatSpec(name="a", description="b", patterns=(), read="m:r")
