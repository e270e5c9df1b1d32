"""The page about hooks names every hook and every argument, and its examples are accepted."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from ase_mlham import hooks
from ase_mlham.hooks import _KINDS, MLHamHooks, Spec

PAGE = Path(__file__).resolve().parent.parent / "docs" / "hooks.md"
TEXT = PAGE.read_text(encoding="utf-8")
COMMON, *PARTS = re.split(r"^## ", TEXT, flags=re.MULTILINE)
SECTIONS = {part.splitlines()[0].strip(): part for part in PARTS}
HOOKS = {name for name in vars(MLHamHooks) if name.startswith("mlham_")}
SPECS = dict(_KINDS.values())


def rows(text: str) -> dict[str, str | None]:
    """First column of the table of arguments: each name with what is said of its default."""
    found = re.findall(r"^\| `(\w+)`(?: = (.+?))? \|", text, flags=re.MULTILINE)
    return {name: default or None for name, default in found}


def test_every_hook_has_a_section_and_every_section_is_a_hook() -> None:
    assert set(SECTIONS) == HOOKS == set(SPECS)


def test_what_all_specifications_share_is_said_once() -> None:
    assert set(rows(COMMON)) == {field.name for field in fields(Spec)}


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_every_argument_is_documented_and_none_invented(hook: str) -> None:
    spec = SPECS[hook]
    assert f"`{spec.__name__}`" in SECTIONS[hook]
    own = [field for field in fields(spec) if field.name not in rows(COMMON)]
    documented = rows(SECTIONS[hook])
    assert list(documented) == [field.name for field in own]
    for field in own:
        required = field.default is MISSING and field.default_factory is MISSING
        assert (documented[field.name] is None) == required, f"default of {field.name}"


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_every_argument_is_in_the_docstring(hook: str) -> None:
    """`help(FormatSpec)` says as much as the page."""
    spec = SPECS[hook]
    names = set(re.findall(r"\w+", re.sub(r"(?m)^ {8,}.*$", "", spec.__doc__)))
    assert {field.name for field in fields(spec)} - set(rows(COMMON)) <= names


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_the_example_gives_what_the_hook_must_return(hook: str) -> None:
    code = re.search(r"```python\n(.*?)```", SECTIONS[hook], flags=re.DOTALL)[1]
    names: dict = {"hookimpl": hooks.hookimpl}
    exec(code, names)
    given = names[hook]()
    assert given
    assert all(type(spec) is SPECS[hook] for spec in given)
    shown = {name for name in rows(SECTIONS[hook]) if re.search(rf"\b{name}=", code)}
    assert shown == set(rows(SECTIONS[hook])), "the example shows every argument"


def test_all_specifications_are_exported() -> None:
    assert {spec.__name__ for spec in SPECS.values()} <= set(hooks.__all__)
