"""`mlham train`: a model from a configuration file."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from ase_mlham.cli.source import MODEL_SUFFIX
from ase_mlham.errors import InputError

__all__ = ["add_arguments", "read_configuration", "run"]

DEFAULT_RECIPE = "hamiltonian"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham train`."""
    parser.epilog = """\
examples:
  mlham train sige.toml
  mlham train sige.toml --set training.epochs=20 --set training.seed=1

The file says what to learn from, with which family and how; examples/sige holds one. The line
`recipe = "NAME"` chooses another way of training, and in its section [family] the published one
of a family (mlham plugins lists both). An interrupted training goes on from its last checkpoint
when the same command is given again. With training.devices above 1 the command starts itself once
more for each further device.
"""
    parser.add_argument("config", metavar="CONFIG", help="configuration file (TOML)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="replace an entry of the file; may be given several times",
    )


def read_configuration(path: str | Path, changes: list[str]) -> dict[str, Any]:
    """Contents of a TOML file with some entries replaced.

    Raises
    ------
    InputError
        There is no such file, it is not TOML, or a change is not of the form a.b=value.
    """
    import tomllib

    path = Path(path)
    try:
        with path.open("rb") as stream:
            values = tomllib.load(stream)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file: {error}") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    for change in changes:
        key, sign, text = change.partition("=")
        if not (key and sign):
            raise InputError(f"--set {change}: expected SECTION.KEY=VALUE")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        *sections, name = key.strip().split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise InputError(f"--set {change}: {section} is not a section of {path}")
        place[name] = value
    return values


def run(options: argparse.Namespace) -> int:
    """Hand the configuration to its recipe."""
    from ase_mlham.hooks import find, load

    if Path(options.config).suffix == MODEL_SUFFIX:
        raise InputError(f"{options.config} is a trained model; give a configuration file (TOML)")
    values = read_configuration(options.config, options.set)
    first = _is_first(values)
    if not first:
        logging.getLogger("ase_mlham").setLevel(logging.ERROR)
    recipe = find("recipe", values.pop("recipe", DEFAULT_RECIPE), InputError)
    make_config = load("ase_mlham.learning.configuration:make_config")
    config = make_config(load(recipe.config), values, options.config)
    model = load(recipe.train)(config)
    if first:
        print(
            f"{model}: trained; next: mlham evaluate {model} DATA, or mlham bands FILE --model "
            f"{model}"
        )
    return 0


def _is_first(values: dict[str, Any]) -> bool:
    """Whether this process is the one of several that speaks."""
    training = values.get("training", {})
    if not isinstance(training, dict) or training.get("devices", 1) == 1:
        return True
    from ase_mlham.hooks import load

    return bool(load("ase_mlham.learning.processes:rank")() == 0)
