"""Pages that are generated: one for each room of the package, and one of all commands."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import shutil
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ase_mlham
from ase_mlham import hooks

PACKAGE = Path(ase_mlham.__file__).parent

# in the order in which a reader needs them; rooms without public modules are left out by themselves
ROOMS = (
    "electronic",
    "calculator",
    "plots",
    "formats",
    "engines",
    "learning",
    "core",
    "integrals",
    "hooks",
    "gui",
    "ase_plugin",
    "testing",
    "errors",
    "units",
)


def write(folder: Path) -> None:
    """Write all generated pages."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rooms = [room for room in ROOMS if write_room(room, folder)]
    listing = "\n".join(rooms)
    names = "\n".join(f"| `{name}` | `{home}` |" for name, home in public_names().items())
    (folder / "index.md").write_text(
        "# Reference\n\n"
        "Names that `import ase_mlham as mh` gives:\n\n"
        f"| name | documented in |\n|---|---|\n{names}\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{listing}\n```\n"
    )
    (folder / "commands.md").write_text(commands())
    (folder / "cards.md").write_text(cards())
    (folder / "options.md").write_text(options())


def public_names() -> dict[str, str]:
    """Names of the package with the modules that define them."""
    return {
        name: getattr(getattr(ase_mlham, name), "__module__", f"ase_mlham.{name}")
        for name in ase_mlham.__all__
    }


def write_room(room: str, folder: Path) -> bool:
    """Write the page of a room; False if it has no public names."""
    single = PACKAGE / f"{room}.py"
    top = single if single.exists() else PACKAGE / room / "__init__.py"
    if not top.exists():
        return False
    sections = []
    files = [single] if single.exists() else sorted((PACKAGE / room).rglob("*.py"))
    for file in files:
        module = file.relative_to(PACKAGE.parent).with_suffix("")
        if file.name in {"__init__.py", "plugin.py"} or module.name.startswith("_"):
            continue
        if not public(file):
            continue
        dotted = ".".join(module.parts)
        heading = f"## {dotted}\n\n" if len(files) > 1 else ""
        sections.append(f"{heading}```{{eval-rst}}\n.. automodule:: {dotted}\n```\n")
    if not sections:
        return False
    sentence = ast.get_docstring(ast.parse(top.read_text(encoding="utf-8"))) or ""
    title = sentence.partition("\n")[0] if len(files) > 1 else ""
    page = "\n".join([f"# ase_mlham.{room}\n", f"{title}\n", *sections])
    (folder / f"{room}.md").write_text(page)
    return True


def public(file: Path) -> bool:
    """Whether a module defines public names itself: its `__all__` is not empty."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            return bool(ast.literal_eval(node.value))
    return False


def commands() -> str:
    """Help texts of all commands."""
    import argparse

    page = ["# Commands", "", "What `mlham COMMAND --help` prints."]
    for name, spec in hooks.registered("command").items():
        parser = argparse.ArgumentParser(
            prog=f"mlham {name}",
            description=spec.description,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=92),
        )
        hooks.load(spec.add_arguments)(parser)
        page += ["", f"## {name}", "", "```text", parser.format_help().rstrip(), "```"]
    return "\n".join(page) + "\n"


def cards() -> str:
    """What the packaged models say of themselves."""
    page = ["# Cards of the packaged models"]
    found = ase_mlham.models()
    if not found:
        page += ["", "No model is installed where this page was made."]
    for name, card in found.items():
        page += ["", f"## {name}", "", *facts(card)]
    return "\n".join(page) + "\n"


def facts(values: Mapping[str, Any], indent: str = "") -> list[str]:
    """Nested values as a nested list."""
    lines = []
    for key, value in values.items():
        if key == "path" or value in ("", None):
            continue
        if isinstance(value, Mapping):
            lines += [f"{indent}- {key}", *facts(value, indent + "  ")]
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append(f"{indent}- {key}: `{shown}`")
    return lines


OPTION = re.compile(
    r"^(?P<names>\w+(?:, \w+)*)(?: : .*)?\n(?P<text>(?:(?:[ ]{4}.*)?\n)+)", re.MULTILINE
)


def options() -> str:
    """Options of families, recipes and engines, from their dataclasses."""
    page = ["# Options", "", "Of networks, training recipes and engines."]
    for kind, plural, attribute in (
        ("model family", "Families of networks", "config"),
        ("recipe", "Training recipes", "config"),
        ("engine", "Engines", "settings"),
    ):
        page += ["", f"## {plural}"]
        for name, spec in hooks.registered(kind).items():
            sentence = f"{spec.description[:1].upper()}{spec.description[1:]}."
            page += ["", f"### {name}", "", sentence]
            page += option_table(hooks.load(getattr(spec, attribute)))
            for preset, values in getattr(spec, "presets", {}).items():
                chosen = ", ".join(f"`{key}={value!r}`" for key, value in values.items())
                page += ["", f"Preset `{preset}`: {chosen or 'the defaults'}."]
            for recipe, values in getattr(spec, "recipes", {}).items():
                page += ["", f"Recipe `{recipe}`:", "", *facts(values)]
    return "\n".join(page) + "\n"


def described(config: type) -> dict[str, str]:
    """What the docstring of a dataclass says of each field."""
    return {
        name: " ".join(found["text"].split())
        for found in OPTION.finditer(f"{inspect.getdoc(config)}\n")
        for name in found["names"].split(", ")
    }


def sections(config: type) -> dict[str, type]:
    """Fields of a dataclass that are dataclasses themselves."""
    return {
        name: kind
        for name, kind in typing.get_type_hints(config).items()
        if dataclasses.is_dataclass(kind)
    }


def option_table(config: type) -> list[str]:
    """Table of the fields of a dataclass; fields that are dataclasses get tables of their own."""
    said = {name: text.replace("|", "\\|") for name, text in described(config).items()}
    nested = sections(config)
    rows = []
    for field in dataclasses.fields(config):
        if field.name in nested:
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        shown = "" if default is dataclasses.MISSING else f"`{default!r}`"
        rows.append(f"| `{field.name}` | {shown} | {said.get(field.name, '')} |")
    lines = ["", "| option | default | |", "|---|---|---|", *rows] if rows else []
    for name, inner in nested.items():
        lines += ["", f"Section `{name}`: {said.get(name, '')}", *option_table(inner)]
    return lines
