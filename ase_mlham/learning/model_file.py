"""The `.mlham` file: everything that is needed to predict with a model and to know what it is.

It needs no network library to be read: `mlham models` and `mlham info` look at headers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.core import OrbitalBasis, SpinKind
from ase_mlham.errors import BasisError, InputError, ModelError
from ase_mlham.learning.archive import read_archive, read_header, write_archive
from ase_mlham.learning.domain import Domain

__all__ = ["CONVENTIONS", "MODEL_VERSION", "ModelFile", "read_card"]

MODEL_VERSION = (1, 2)
"""Major and minor version of the layout below. A newer major version is refused."""

CONVENTIONS = 1
"""Version of docs/conventions.md that the numbers follow (order and signs of orbitals, units)."""

_KIND = "model"
_CARD = (
    "name",
    "version",
    "description",
    "licence",
    "family",
    "spin",
    "elements",
    "domain",
    "metrics",
    "training",
    "provenance",
    "references",
)


@dataclass(frozen=True)
class ModelFile:
    """Contents of a model file.

    Attributes
    ----------
    name, version : str
        By which users ask for it.
    family : str
        Name of the model family; must be installed to predict.
    config : mapping
        Its configuration.
    basis : OrbitalBasis
        Orbitals, with their radial functions.
    spin : SpinKind
        Spin kind of what it predicts.
    parts : tuple of str
        Real parts of H that it predicts, see `learning.parts`.
    spin_form : mapping
        Fields of `learning.spin_form.SpinForm`.
    targets : mapping
        From which an empty `TargetTransform` is made.
    domain : Domain
        Training structures in a few numbers.
    weights, transform : mapping of arrays
        State of the network and of the target transform.
    card : mapping
        description, licence, family_distribution, metrics, training, provenance, references: plain
        values for people.
    content_hash : str
        SHA-256 of all of the above; empty before it is written.
    """

    name: str
    family: str
    config: Mapping[str, Any]
    basis: OrbitalBasis
    targets: Mapping[str, Any]
    domain: Domain
    weights: Mapping[str, NDArray]
    transform: Mapping[str, NDArray]
    version: str = "1"
    spin: SpinKind = SpinKind.NONE
    parts: tuple[str, ...] = ("P",)
    spin_form: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    content_hash: str = ""

    def to_tree(self) -> dict[str, Any]:
        """The tree that is written."""
        return {
            "conventions": CONVENTIONS,
            "units": {"energy": "eV", "length": "angstrom"},
            "name": self.name,
            "version": self.version,
            "family": {"name": self.family, "config": dict(self.config)},
            "spin": self.spin.value,
            "parts": list(self.parts),
            "spin_form": dict(self.spin_form),
            "elements": [entry.symbol for entry in self.basis.species],
            "basis": self.basis.to_dict(),
            "targets": dict(self.targets),
            "domain": self.domain.to_dict(),
            "card": dict(self.card),
            "weights": dict(self.weights),
            "transform": dict(self.transform),
        }

    def write(self, path: Path | str) -> ModelFile:
        """Write to a file, atomically; returns the contents with their hash."""
        digest = write_archive(Path(path), self.to_tree(), kind=_KIND, version=MODEL_VERSION)
        return replace(self, content_hash=digest)

    @classmethod
    def read(cls, path: Path | str) -> ModelFile:
        """Read a file.

        Raises
        ------
        ModelError
            The file is missing, damaged, no model file, or newer than this installation.
        """
        tree, digest = read_archive(Path(path), kind=_KIND, version=MODEL_VERSION)
        try:
            if int(tree["conventions"]) > CONVENTIONS:
                raise ModelError(
                    f"{path} follows version {tree['conventions']} of the conventions; this "
                    f"installation knows {CONVENTIONS}: upgrade ase-mlham"
                )
            return cls(
                name=str(tree["name"]),
                version=str(tree["version"]),
                family=str(tree["family"]["name"]),
                config=dict(tree["family"]["config"]),
                basis=OrbitalBasis.from_dict(tree["basis"]),
                spin=SpinKind.parse(tree["spin"]),
                # files of version 1.0 know systems without spin only
                parts=tuple(tree.get("parts", ("P",))),
                # before version 1.2 there was the general form alone
                spin_form=dict(tree.get("spin_form", {})),
                targets=dict(tree["targets"]),
                domain=Domain.from_dict(tree["domain"]),
                weights=dict(tree["weights"]),
                transform=dict(tree["transform"]),
                card=dict(tree["card"]),
                content_hash=digest,
            )
        except (KeyError, TypeError, ValueError, AttributeError, BasisError, InputError) as error:
            raise ModelError(
                f"{path} is a model file whose content does not make sense "
                f"({type(error).__name__}: {error}); make it again"
            ) from error


def read_card(path: Path | str) -> dict[str, Any]:
    """What a model file says of itself, without reading its weights.

    Returns
    -------
    dict
        name, version, description, licence, family, spin, elements, domain, metrics, training,
        provenance, references, hash, path.

    Raises
    ------
    ModelError
        As for `ModelFile.read`, except that the content is not compared with its hash.
    """
    tree, digest = read_header(Path(path), kind=_KIND, version=MODEL_VERSION)
    try:
        return card_of(tree, digest, str(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: the header lacks {error}; make the file again") from error


def card_of(tree: Mapping[str, Any], digest: str, path: str = "") -> dict[str, Any]:
    """Card from the tree of a model file."""
    card = dict(tree["card"])
    known = {
        "name": tree["name"],
        "version": tree["version"],
        "family": tree["family"]["name"],
        "config": dict(tree["family"]["config"]),
        "spin": tree["spin"],
        "parts": list(tree.get("parts", ("P",))),
        "spin_form": dict(tree.get("spin_form", {})),
        "elements": list(tree["elements"]),
        "domain": {
            key: value for key, value in tree["domain"].items() if not isinstance(value, np.ndarray)
        },
        "basis": {entry["number"]: entry.get("label", "") for entry in tree["basis"]["species"]},
    }
    known["domain"].pop("histogram", None)
    out = {name: card.get(name, "") for name in _CARD}
    return {**out, **card, **known, "hash": digest, "path": path}
