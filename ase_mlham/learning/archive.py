"""A tree of plain values and arrays in one safetensors file: the form of models and checkpoints.

Pickles can run code when they are opened; safetensors cannot. It holds flat named arrays and
strings, so the tree is written as JSON into the metadata, its arrays replaced by references. A
content hash covers both. Writing is atomic: a reader finds the old file or the new one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.errors import ModelError

__all__ = ["content_hash", "read_archive", "read_header", "write_archive"]

_KEY = "mlham"
_MARKS = ("@tensor", "@pairs", "@tuple", "@float")


def _pack(tree: Any, arrays: dict[str, NDArray], name: str) -> Any:
    """JSON values of a tree; its arrays go into `arrays`."""
    if isinstance(tree, np.ndarray):
        if tree.dtype.kind not in "biuf":
            raise ModelError(f"{name}: an array of {tree.dtype} cannot be stored")
        arrays[name] = np.asarray(tree, order="C")
        return {"@tensor": name}
    if isinstance(tree, np.generic):
        return _pack(tree.item(), arrays, name)
    if isinstance(tree, Mapping):
        if all(isinstance(key, str) for key in tree) and not any(m in tree for m in _MARKS):
            return {key: _pack(value, arrays, f"{name}.{key}") for key, value in tree.items()}
        pairs = [
            [_pack(key, arrays, f"{name}.{n}.key"), _pack(value, arrays, f"{name}.{n}")]
            for n, (key, value) in enumerate(tree.items())
        ]
        return {"@pairs": pairs}
    if isinstance(tree, list | tuple):
        items = [_pack(value, arrays, f"{name}.{n}") for n, value in enumerate(tree)]
        return {"@tuple": items} if isinstance(tree, tuple) else items
    if isinstance(tree, float) and not math.isfinite(tree):
        return {"@float": repr(tree)}
    if tree is None or isinstance(tree, str | bool | int | float):
        return tree
    raise ModelError(f"{name}: a {type(tree).__name__} cannot be stored in a file")


def _unpack(node: Any, array: Callable[[str], Any]) -> Any:
    """Inverse of `_pack`."""
    if isinstance(node, dict):
        if "@tensor" in node:
            return array(node["@tensor"])
        if "@pairs" in node:
            return {_unpack(k, array): _unpack(v, array) for k, v in node["@pairs"]}
        if "@tuple" in node:
            return tuple(_unpack(value, array) for value in node["@tuple"])
        if "@float" in node:
            return float(node["@float"])
        return {key: _unpack(value, array) for key, value in node.items()}
    if isinstance(node, list):
        return [_unpack(value, array) for value in node]
    return node


def content_hash(tree_json: Any, arrays: Mapping[str, NDArray]) -> str:
    """SHA-256 of a packed tree and its arrays, independent of the order of storage."""
    digest = hashlib.sha256(json.dumps(tree_json, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_archive(path: Path, tree: Any, *, kind: str, version: tuple[int, int]) -> str:
    """Write a tree to a file.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    tree
        Mappings, lists, tuples, strings, numbers, None and real NumPy arrays, nested.
    kind : str
        What the file is, for example "model".
    version : (int, int)
        Major and minor version of the layout of the tree.

    Returns
    -------
    str
        Content hash.
    """
    from safetensors.numpy import save

    arrays: dict[str, NDArray] = {}
    packed = _pack(tree, arrays, "")
    digest = content_hash(packed, arrays)
    text = json.dumps({"kind": kind, "version": list(version), "sha256": digest, "tree": packed})
    data = save({name or "value": array for name, array in arrays.items()}, {_KEY: text})
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise ModelError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return digest


def _open(path: Path, kind: str, version: tuple[int, int]) -> tuple[Any, dict[str, Any]]:
    """Safetensors handle and checked description of a file."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path} does not exist or is not a file")
    try:
        handle = safe_open(str(path), framework="numpy")
        metadata = handle.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} is damaged or is not a safetensors file ({error}); copy or download it again"
        ) from error
    try:
        description = json.loads(metadata[_KEY])
        found = (str(description["kind"]), tuple(int(n) for n in description["version"]))
        digest, _ = str(description["sha256"]), description["tree"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} is a safetensors file without the description this package writes; give a "
            "file made by `mlham train`"
        ) from error
    if found[0] != kind:
        raise ModelError(f"{path} is a {found[0]} file; expected a {kind} file")
    if len(found[1]) != 2 or found[1][0] > version[0]:
        raise ModelError(
            f"{path} has version {'.'.join(map(str, found[1]))} of the {kind} file; this "
            f"installation reads versions up to {version[0]}.x: upgrade ase-mlham"
        )
    description["sha256"] = digest
    return handle, description


def read_header(path: Path, *, kind: str, version: tuple[int, int]) -> tuple[Any, str]:
    """The tree without its arrays (None stands for each), and the content hash that is stated.

    Raises
    ------
    ModelError
        As for `read_archive`, except that the content is not compared with its hash.
    """
    _, description = _open(path, kind, version)
    return _unpack(description["tree"], lambda _: None), description["sha256"]


def read_archive(path: Path, *, kind: str, version: tuple[int, int]) -> tuple[Any, str]:
    """Tree and content hash of a file. Nothing in the file is executed.

    Raises
    ------
    ModelError
        The file is missing, truncated, damaged, of another kind, or of a newer major version.
    """
    from safetensors import SafetensorError

    handle, description = _open(path, kind, version)
    try:
        arrays = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 - no dict
        digest = content_hash(
            description["tree"], {"" if n == "value" else n: a for n, a in arrays.items()}
        )
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error}); copy or download it again") from error
    if digest != description["sha256"]:
        raise ModelError(
            f"{path} is damaged: its content has the hash {digest[:12]}, its header says "
            f"{description['sha256'][:12]}; copy or download it again"
        )
    try:
        return _unpack(description["tree"], lambda name: arrays[name or "value"]), digest
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged: a reference in its header is broken") from error
