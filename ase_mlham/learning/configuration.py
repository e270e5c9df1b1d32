"""Options as plain values (TOML, keywords) into frozen dataclasses, with errors people can use.

A dataclass is at once the documentation, the defaults and the check: whoever adds a field has added
an option everywhere.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from ase_mlham.errors import InputError

__all__ = ["describe_config", "make_config"]

T = TypeVar("T")

_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def make_config(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """A configuration object from plain values.

    Parameters
    ----------
    cls : type
        A dataclass whose fields are plain values, tuples of them, or such dataclasses. If it has a
        class method `completed(values, where)`, that may add values which others imply.
    values : mapping
        Field names to values; nested mappings for nested dataclasses.
    where : str
        Begins every message, for example "section [training]".

    Raises
    ------
    InputError
        A name is unknown (the nearest known one is given) or missing, or a value has a wrong type.
    """
    completed = getattr(cls, "completed", None)
    if completed is not None:
        values = completed(values, where)
    known = {field.name: field for field in fields(cls) if field.init}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    for name in values:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(f"{where} has no option {name!r}{hint} (known: {', '.join(known)})")
    missing = [
        name
        for name, field in known.items()
        if name not in values and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise InputError(f"{where} needs the option {missing[0]!r}")
    converted = {
        name: _convert(hints[name], value, f"{where}, {name}") for name, value in values.items()
    }
    try:
        return cls(**converted)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        # of a plain value and a list, the one that is given
        listed = isinstance(value, list | tuple)
        kinds = [entry for entry in arguments if entry is not type(None)]
        fitting = [entry for entry in kinds if (typing.get_origin(entry) is tuple) == listed]
        return _convert((fitting or kinds)[0], value, where)
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise InputError(f"{where}: {value!r} is not a list")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_convert(arguments[0], entry, where) for entry in value)
        if len(arguments) != len(value):
            raise InputError(f"{where}: {len(value)} entries; expected {len(arguments)}")
        return tuple(_convert(a, v, where) for a, v in zip(arguments, value, strict=True))
    if origin is typing.Literal:
        if value not in arguments:
            close = get_close_matches(str(value), [str(a) for a in arguments], n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            accepted = ", ".join(map(str, arguments))
            raise InputError(f"{where}: {value!r} is unknown{hint} (accepted: {accepted})")
        return value
    if is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            raise InputError(f"{where}: {value!r}; expected a section of options")
        return make_config(kind, value, where)
    if kind in _NAMES:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise InputError(f"{where}: {value!r} is not {_NAMES[kind]}")
        return value
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise InputError(f"{where}: {value!r}; expected a section of options")
        return dict(value)
    return value


def describe_config(cls: type) -> list[tuple[str, str, str, str]]:
    """Options of a configuration: name, type, default and description from the class docstring.

    The NumPy-style section "Parameters" or "Attributes" of the docstring says what a field means.
    """
    from inspect import getdoc

    lines = (getdoc(cls) or "").splitlines()
    texts: dict[str, str] = {}
    current: list[str] = []
    for line in lines:
        if " : " in line and not line.startswith(" "):
            current = [name.strip() for name in line.partition(" : ")[0].split(",")]
        elif line.startswith("    ") and current:
            for name in current:
                texts[name] = f"{texts.get(name, '')} {line.strip()}".strip()
        elif not line.strip():
            continue
        else:
            current = []
    out = []
    for field in fields(cls):
        if field.default is not MISSING:
            default = repr(field.default)
        elif field.default_factory is not MISSING:
            default = ""
        else:
            default = "required"
        out.append((field.name, str(field.type), default, texts.get(field.name, "")))
    return out
