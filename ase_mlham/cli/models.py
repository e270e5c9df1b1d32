"""`mlham models`: which models are installed, and how good they say they are."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from ase_mlham.cli.output import table, write_json
from ase_mlham.hooks import load

__all__ = ["add_arguments", "describe_model", "run"]

_TELLING = ("H MAE", "bands within 1 eV MAE", "gap MAE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham models`."""
    parser.epilog = """\
examples:
  mlham models
  mlham models sige
  mlham models --json models.json

A model that you trained need not be installed: give its file, --model trained.mlham
"""
    parser.add_argument("name", nargs="?", help="show everything that one model says of itself")
    parser.add_argument("--json", metavar="FILE", help="write it as JSON ('-': print it)")


def run(options: argparse.Namespace) -> int:
    """Print a table, or one card."""
    if options.name:
        cards = describe_model(options.name)
    else:
        cards = load("ase_mlham.learning.model:models")()
    if options.json:
        write_json(options.json, cards)
    if options.json == "-":
        return 0
    if options.name:
        from ase_mlham.cli.info import print_facts

        print_facts(cards)
    elif not cards:
        print("no models are installed; `mlham train` makes one")
    else:
        header = ("model", "version", "family", "elements", "spin", "errors it states")
        print(table(header, [_row(name, card) for name, card in cards.items()]))
    return 1 if any("error" in card for card in cards.values() if isinstance(card, dict)) else 0


def describe_model(name: str) -> dict[str, Any]:
    """Card of an installed model or of a model file, without loading its weights."""
    path = load("ase_mlham.learning.model:model_path")(name)
    card: dict[str, Any] = load("ase_mlham.learning.model_file:read_card")(path)
    return card


def _row(name: str, card: Mapping[str, Any]) -> tuple[str, ...]:
    if "error" in card:
        return name, "", "", "", "", f"cannot be read: {card['error']}"
    metrics = ", ".join(f"{key} {value}" for key, value in headline(card["metrics"]).items())
    elements = " ".join(card["elements"])
    return name, card["version"], card["family"], elements, card["spin"], metrics


def headline(metrics: Any) -> dict[str, str]:
    """The numbers that tell most: errors of H, of bands near the gap, and of the gap.

    A model whose card names them otherwise is shown with its first three.
    """
    if not isinstance(metrics, Mapping):
        return {}
    numbers = {
        name: f"{value:.3g}"
        for name, value in metrics.items()
        if isinstance(value, float | int) and not isinstance(value, bool)
    }
    telling = [name for name in numbers if name.startswith(_TELLING)]
    return {name: numbers[name] for name in (telling or list(numbers)[:3])}
