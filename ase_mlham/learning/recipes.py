"""Training recipes: from a configuration to a model file.

The recipe "hamiltonian" has one stage. Further stages (bands in the loss, fine-tuning) will be
recipes of their own with further sections; what they share is in the functions of this module.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham import __version__, hooks
from ase_mlham.core import LCAOSystem
from ase_mlham.errors import InputError
from ase_mlham.learning.band_loss import BandLossConfig
from ase_mlham.learning.configuration import make_config
from ase_mlham.learning.losses import LossConfig
from ase_mlham.learning.spin_form import SpinForm
from ase_mlham.learning.targets import TargetConfig
from ase_mlham.learning.training_options import TrainingConfig
from ase_mlham.progress import track

if TYPE_CHECKING:
    from ase_mlham.learning.dataset import ReferenceData
    from ase_mlham.learning.model_file import ModelFile
    from ase_mlham.learning.training import TrainingResult

__all__ = [
    "CardConfig",
    "DataConfig",
    "FamilyChoice",
    "HamiltonianRecipe",
    "train_hamiltonian",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataConfig:
    """Which structures to learn from.

    Parameters
    ----------
    files : tuple of str
        Files, folders of `.h5` files or patterns such as "data/*.h5", divided by the fractions.
        Structures of one family (same composition and cell, or the same "group" in the provenance)
        stay on one side.
    train, validation, test : tuple of str
        The same, but divided by hand. Give either these or `files`. A file that is also listed for
        testing is not used for validation, and one listed for either is not trained on.
    validation_fraction, test_fraction : float
        Shares of `files`.
    split_seed : int
        Another seed, another division.
    memory_gb : float
        Of reference data that are kept in memory; the rest is read again.
    """

    files: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    split_seed: int = 0
    memory_gb: float = 4.0

    def __post_init__(self) -> None:
        if bool(self.files) == bool(self.train):
            raise InputError("give either files, or train (with validation and test)")


@dataclass(frozen=True)
class FamilyChoice:
    """Which network.

    Parameters
    ----------
    name : str
        Installed family, see `mlham plugins`.
    preset : str
        One of its presets; empty for its defaults.
    recipe : str
        A published way of training the family (`mlham plugins` lists them): values of the other
        sections, for all options that are not given there. Empty for the package's own.
    options : mapping
        Fields of its configuration.
    """

    name: str = "hamgnn"
    preset: str = ""
    recipe: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CardConfig:
    """What the model file says of itself.

    Parameters
    ----------
    name : str
        Of the model; by default that of its file.
    version : str
        Of the model.
    description, licence, references : str
        For people.
    evaluate_bands : bool
        Compare bands on the test structures, besides matrix elements.
    kpts : float
        k-points per 1/Å for that.
    """

    name: str = ""
    version: str = "1"
    description: str = ""
    licence: str = ""
    references: str = ""
    evaluate_bands: bool = True
    kpts: float = 2.0


@dataclass(frozen=True)
class HamiltonianRecipe:
    """Configuration of the recipe "hamiltonian".

    Parameters
    ----------
    data : DataConfig
        Reference structures.
    output : str
        Model file to write.
    folder : str
        For checkpoints and logs; by default beside the output.
    resume : bool
        Go on from the checkpoint in the folder, if there is one.
    start : str
        Model file whose weights training starts from, instead of random ones: of the same family;
        weights that do not fit (as after a change of the spin parts) start at random. The baseline
        is taken over for all parts that have one basis and form in both.
    freeze : bool
        Leave the network of P as it is in `start`, and train that of the other parts. Needs
        `separate = true` in section [spin].
    parts : tuple of str
        Real parts of H to learn (P, B, C, K; see `learning.parts`); empty for those usual with the
        spin kind of the data.
    spin : SpinForm
        In which form the spin parts are predicted.
    family, targets, loss, bands, training, card
        Sections of their own.
    """

    data: DataConfig
    output: str = "model.mlham"
    folder: str = ""
    resume: bool = True
    start: str = ""
    freeze: bool = False
    parts: tuple[str, ...] = ()
    spin: SpinForm = field(default_factory=SpinForm)
    family: FamilyChoice = field(default_factory=FamilyChoice)
    targets: TargetConfig = field(default_factory=TargetConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    bands: BandLossConfig = field(default_factory=BandLossConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    card: CardConfig = field(default_factory=CardConfig)

    def __post_init__(self) -> None:
        if Path(self.output).suffix != ".mlham":
            raise InputError(f"output = {self.output!r}: the name of a model ends in .mlham")
        if self.freeze and not (self.start and self.spin.separate):
            raise InputError(
                "freeze = true keeps the network of P as a model without the other parts has it: "
                "give that model as `start`, and separate = true in section [spin]"
            )

    @classmethod
    def completed(cls, values: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        """Values with those of the published recipe beneath them, which `[family] recipe` names.

        Raises
        ------
        InputError
            The family has no such recipe.
        """
        family = values.get("family", {})
        name = family.get("recipe", "") if isinstance(family, Mapping) else ""
        if not name:
            return values
        kind = family.get("name", FamilyChoice.name)
        spec: hooks.FamilySpec = hooks.find("model family", kind, InputError)
        return _beneath(published(spec, name, f"{where}, section [family]"), values)

    @property
    def work_folder(self) -> Path:
        """Where checkpoints and logs go."""
        return Path(self.folder or str(Path(self.output).with_suffix(".training")))


def published(spec: hooks.FamilySpec, name: str, where: str) -> Mapping[str, Any]:
    """The sections of a published recipe of a family.

    Raises
    ------
    InputError
        There is no recipe of this name.
    """
    if name not in spec.recipes:
        close = get_close_matches(str(name), spec.recipes, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        known = ", ".join(spec.recipes) or "none"
        raise InputError(
            f"{where}: family {spec.name!r} has no recipe {name!r}{hint} (known: {known})"
        )
    return spec.recipes[name]


def _beneath(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values, and what only the defaults have, section by section."""
    out = dict(defaults)
    for key, value in values.items():
        under = out.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            out[key] = _beneath(under, value)
        else:
            out[key] = value
    return out


def _check_recipe(config: HamiltonianRecipe, spec: hooks.FamilySpec) -> None:
    """A recipe whose values are nowhere in the options was named, but not used.

    Raises
    ------
    InputError
        So it is.
    """
    if not config.family.recipe:
        return
    chosen = published(spec, config.family.recipe, "family.recipe")
    plain = asdict(config)
    used = [
        plain[section].get(key) == (tuple(value) if isinstance(value, list) else value)
        for section, options in chosen.items()
        if isinstance(options, Mapping)
        for key, value in options.items()
    ]
    if used and not any(used):
        raise InputError(
            f"family.recipe = {config.family.recipe!r} is named, but its options are not used; "
            "make the configuration with make_config(HamiltonianRecipe, values, where)"
        )


def find_files(names: Sequence[str]) -> list[Path]:
    """Files, files of folders, and matches of patterns, sorted and without repeats.

    Raises
    ------
    InputError
        A name matches nothing.
    """
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            matches = sorted(path.glob("*.h5"))
        elif path.is_file():
            matches = [path]
        else:
            pattern = path.relative_to(path.anchor) if path.is_absolute() else path
            matches = sorted(Path(path.anchor or ".").glob(str(pattern)))
        matches = [entry for entry in matches if not entry.name.startswith(".")]
        if not matches:
            raise InputError(f"{name!r} matches no file; make data with `mlham generate`")
        found.update(dict.fromkeys(matches))
    return list(found)


def _without_repeats(files: Mapping[str, list[Path]]) -> dict[str, list[Path]]:
    """Files of each part that are not in a later one: test before validation before training."""
    out: dict[str, list[Path]] = {}
    taken: set[Path] = set()
    for part in reversed(list(files)):
        out[part] = [path for path in files[part] if path.resolve() not in taken]
        taken |= {path.resolve() for path in files[part]}
    return {part: out[part] for part in files}


def _divide(
    config: DataConfig, files: Mapping[str, list[Path]], data: ReferenceData
) -> dict[str, list[int]]:
    """Indices of the training, validation and test structures."""
    from ase_mlham.learning.splits import split_groups

    groups = [summary.group for summary in data.summaries]
    if config.files:
        fractions = {
            "train": 1 - config.validation_fraction - config.test_fraction,
            "validation": config.validation_fraction,
            "test": config.test_fraction,
        }
        return split_groups(groups, fractions, config.split_seed)
    parts: dict[str, list[int]] = {}
    first = 0
    for name in ("train", "validation", "test"):
        parts[name] = list(range(first, first + len(files[name])))
        first += len(files[name])
    trained = {groups[n] for n in parts["train"]}
    for name in ("validation", "test"):
        shared = [n for n in parts[name] if groups[n] in trained]
        if shared:
            _log.warning(
                "%d of %d %s structures have the composition and cell of a training structure (for "
                "example %s): their errors say little about other structures",
                len(shared),
                len(parts[name]),
                name,
                data.name(shared[0]),
            )
    return parts


def _fingerprint(config: HamiltonianRecipe, files: Sequence[str]) -> str:
    """Of everything that must not change between the parts of an interrupted training."""
    tree = asdict(config)
    for name in ("output", "folder", "resume", "card"):
        tree.pop(name)
    for name in ("threads", "device", "log_every", "memory_gb", "max_minutes"):
        tree["training"].pop(name)
    tree["data"].pop("memory_gb")
    text = json.dumps([tree, list(files)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_folder(config: HamiltonianRecipe, files: Sequence[str]) -> None:
    """Refuse to go on with a training that was begun with other options."""
    folder = config.work_folder
    folder.mkdir(parents=True, exist_ok=True)
    record, print_now = folder / "options.json", _fingerprint(config, files)
    if config.resume and (folder / "last.ckpt").is_file():
        try:
            before = json.loads(record.read_text())["fingerprint"]
        except (OSError, ValueError, KeyError):
            before = ""
        if before != print_now:
            raise InputError(
                f"{folder} holds a training with other options or data; delete it, give another "
                "`folder`, or set resume = false to overwrite it"
            )
        _log.info("going on from %s", folder / "last.ckpt")
    record.write_text(
        json.dumps({"fingerprint": print_now, "options": asdict(config)}, indent=1, default=str)
    )


def train_hamiltonian(
    config: HamiltonianRecipe, read: Callable[[Path], LCAOSystem] | None = None
) -> Path:
    """Train a model and write its file.

    Parameters
    ----------
    config : HamiltonianRecipe
        All options.
    read : callable, optional
        `read(path) -> LCAOSystem`; by default every installed format is asked.

    Returns
    -------
    Path
        The model file.

    Raises
    ------
    InputError, BasisError
        Options or data that do not go together.
    KeyboardInterrupt
        Interrupted; the same call goes on from the last checkpoint.
    """
    from ase_mlham.learning.dataset import PreparedData, ReferenceData, read_reference
    from ase_mlham.learning.model import fitted_transform
    from ase_mlham.learning.processes import rank, training_device
    from ase_mlham.learning.start import begin_with
    from ase_mlham.learning.training import train

    if config.training.threads:
        import torch

        torch.set_num_threads(config.training.threads)
    spec: hooks.FamilySpec = hooks.find("model family", config.family.name, InputError)
    family = _family_config(spec, config.family)
    _check_recipe(config, spec)
    device = training_device(config.training)
    # one process of several writes
    first = config.training.devices == 1 or rank() == 0
    names = {"train": config.data.files or config.data.train}
    if config.data.train:
        names |= {"validation": config.data.validation, "test": config.data.test}
    files = _without_repeats({part: find_files(entries) for part, entries in names.items()})
    everything = [path for entries in files.values() for path in entries]
    output = Path(config.output)
    if not output.parent.is_dir():
        raise InputError(f"output = {config.output}: the folder {output.parent} does not exist")
    if first:
        _check_folder(config, [str(path) for path in everything])
    data = ReferenceData(
        everything,
        read or read_reference,
        message_cutoff=max(family.message_cutoff, config.targets.onsite_cutoff),
        operators=config.targets.operators,
        parts=config.parts or None,
        form=config.spin,
        bands=bool(config.bands.weight),
        memory_limit=1e9 * config.data.memory_gb,
    )
    parts = _divide(config.data, files, data)
    _log.info(
        "%d structures to train on, %d to validate, %d to test; elements %s",
        *(len(parts[name]) for name in ("train", "validation", "test")),
        data.basis.elements,
    )
    if data.layout.spin.value not in spec.spin_kinds:
        raise InputError(
            f"the data are {data.layout.spin.value}; family {spec.name!r} predicts "
            f"{', '.join(spec.spin_kinds)} Hamiltonians"
        )
    network = _fresh_network(spec, family, data, config.training.seed)
    transform = fitted_transform(data, config.targets, parts["train"])
    if config.start:
        begin_with(Path(config.start), network, transform, spec, freeze=config.freeze)

    def prepared(part: str) -> PreparedData | None:
        if not parts[part]:
            return None
        keep = None if config.training.merge else network
        return PreparedData(
            data.select(parts[part]),
            transform,
            keep,
            device,
            1e9 * config.training.memory_gb,
        )

    training = prepared("train")
    if training is None:
        raise InputError("there are no structures to train on")
    result = train(
        network,
        training,
        prepared("validation"),
        config=config.training,
        folder=config.work_folder,
        loss=config.loss,
        bands=config.bands,
        resume=config.resume,
    )
    if not first:
        return output
    contents = _contents(config, spec, family, result, transform, data, parts)
    contents = contents.write(output)
    if parts["test"] or parts["validation"]:
        metrics = _metrics(config, contents, data, parts)
        card = {**contents.card, "metrics": metrics}
        contents = replace(contents, card=card).write(output)
    _log.info("%s: %.1f MB, hash %s", output, output.stat().st_size / 1e6, contents.content_hash)
    return output


def _family_config(spec: hooks.FamilySpec, choice: FamilyChoice) -> Any:
    if choice.preset and choice.preset not in spec.presets:
        known = ", ".join(spec.presets) or "none"
        raise InputError(f"family {spec.name!r} has no preset {choice.preset!r} (known: {known})")
    values = {**(spec.presets[choice.preset] if choice.preset else {}), **choice.options}
    return make_config(hooks.load(spec.config), values, f"section [family.options] ({spec.name})")


def _fresh_network(spec: hooks.FamilySpec, family: Any, data: ReferenceData, seed: int) -> Any:
    import torch

    from ase_mlham.learning.networks import make_network

    torch.manual_seed(seed)
    return make_network(spec, family, data.layout, data.form)


def _contents(
    config: HamiltonianRecipe,
    spec: hooks.FamilySpec,
    family: Any,
    result: TrainingResult,
    transform: Any,
    data: ReferenceData,
    parts: Mapping[str, list[int]],
) -> ModelFile:
    from ase_mlham.learning.model import family_distribution, model_contents

    sources = sorted({data.system(n).source for n in parts["train"][:20]})
    card = {
        "description": config.card.description,
        "licence": config.card.licence,
        "references": config.card.references,
        "family_distribution": family_distribution(spec.name),
        "metrics": {},
        "training": {
            "recipe": "hamiltonian",
            "published": config.family.recipe,
            "structures": {name: len(indices) for name, indices in parts.items()},
            "epochs": result.epochs,
            "steps": result.steps,
            "minutes": round(result.minutes, 2),
            "ended": result.stopped,
            "validation": {name: round(value, 4) for name, value in result.best.items()},
            "options": asdict(config.training),
            "loss": asdict(config.loss),
            "targets": asdict(config.targets),
            "bands": asdict(config.bands),
            "start": config.start,
            "freeze": config.freeze,
        },
        "provenance": {
            "made_with": f"ase-mlham {__version__}",
            "data": ", ".join(sources),
            "largest_block_beyond_orbitals_meV": 1000 * data.largest_lost,
        },
    }
    return model_contents(
        config.card.name or Path(config.output).stem,
        spec,
        family,
        result.network,
        transform,
        data,
        parts["train"],
        version=config.card.version,
        card=card,
    )


def _metrics(
    config: HamiltonianRecipe,
    contents: ModelFile,
    data: ReferenceData,
    parts: Mapping[str, list[int]],
) -> dict[str, Any]:
    from ase_mlham.learning.evaluate import evaluate
    from ase_mlham.learning.model import HamiltonianModel

    part = "test" if parts["test"] else "validation"
    model = HamiltonianModel(contents, config.training.device)
    evaluation = evaluate(
        model,
        track(
            ((data.name(n), data.system(n)) for n in parts[part]), len(parts[part]), "structures"
        ),
        kpts=config.card.kpts,
        bands=config.card.evaluate_bands,
    )
    (config.work_folder / "evaluation.md").write_text(evaluation.to_markdown())
    (config.work_folder / "evaluation.json").write_text(
        json.dumps(evaluation.to_dict(), indent=1, default=float)
    )
    plain = ("structures", "collapsed", "S largest difference")
    rounded = {
        name if name in plain else f"{name} (meV)": float(f"{value:.4g}")
        for name, value in evaluation.summary().items()
    }
    return {**rounded, "set": part}
