"""The conventions page names the tests that hold the code to it: they must exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = (REPOSITORY / "docs" / "conventions.md").read_text(encoding="utf-8")
SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_named_tests_exist(file: str, test: str) -> None:
    tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
    assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda text: text.splitlines()[0])
def test_every_convention_names_a_test(section: str) -> None:
    assert re.search(r"`tests/[\w/]+\.py::\w+`", section)


def test_constants_on_the_page_are_those_of_the_code() -> None:
    from ase_mlham import units

    rows = dict(re.findall(r"^\| `(\w+)`.*?\| ([\d.]+ \| [\d.]+) \|$", PAGE, flags=re.MULTILINE))
    named = {name: getattr(units, name) for name in units.__all__}
    assert set(rows) == {name for name, one in named.items() if isinstance(one, units.CodeUnits)}
    for name, one in named.items():
        assert not isinstance(one, float) or f"`{name}`, {one}" in PAGE
    for name, values in rows.items():
        constants = getattr(units, name)
        assert [float(value) for value in values.split("|")] == [constants.hartree, constants.bohr]
