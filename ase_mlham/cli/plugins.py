"""`mlham plugins`: what is installed and who gives it."""

from __future__ import annotations

import argparse

from ase_mlham.cli.output import table, write_json
from ase_mlham.hooks import PluginRecord, plugins, registered

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham plugins`."""
    parser.epilog = """\
examples:
  mlham plugins
  mlham plugins --json plugins.json

A plugin that cannot be imported is listed with the reason, and the exit code is 1.
"""
    parser.add_argument("--json", metavar="FILE", help="write the list as JSON ('-': print it)")


def run(options: argparse.Namespace) -> int:
    """Print one row for each plugin and kind of thing it gives."""
    records = plugins()
    if options.json:
        write_json(
            options.json,
            [
                {
                    "name": record.name,
                    "distribution": record.distribution,
                    "provides": record.provides,
                    "published recipes": _recipes(record),
                    "error": record.error,
                }
                for record in records
            ],
        )
    else:
        rows = []
        for record in records:
            given = [(kind, ", ".join(names)) for kind, names in record.provides.items()]
            for kind, names in given or [("broken" if record.error else "nothing", record.error)]:
                rows.append((record.name, record.distribution, kind, names))
            for family, recipes in _recipes(record).items():
                kind = f"recipe of {family}"
                rows.append((record.name, record.distribution, kind, ", ".join(recipes)))
        print(table(("plugin", "distribution", "kind", "names"), rows))
    return 1 if any(record.error for record in records) else 0


def _recipes(record: PluginRecord) -> dict[str, list[str]]:
    """Names of the published ways of training the families of a plugin."""
    if record.error:
        return {}
    table = registered("model family")
    names = {
        family: list(table[family].recipes) for family in record.provides.get("model family", ())
    }
    return {family: recipes for family, recipes in names.items() if recipes}
