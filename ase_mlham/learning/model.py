"""A trained model: structure in, H(R) and S(R) out.

    model = load_model("sige")
    system = model.predict(atoms)

Nothing here imports a network library until a model is loaded, so that listing models is quick.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham import hooks
from ase_mlham.core import (
    BlockMatrix,
    BlockPattern,
    LCAOSystem,
    OrbitalBasis,
    SpinKind,
    Structure,
)
from ase_mlham.core.neighbours import check_no_overlap
from ase_mlham.core.system import basis_pattern
from ase_mlham.errors import DomainError, InputError, ModelError
from ase_mlham.learning.configuration import make_config
from ase_mlham.learning.domain import Domain, DomainWarning, OnUnknown
from ase_mlham.learning.model_file import ModelFile, card_of, read_card
from ase_mlham.machine import available_memory

if TYPE_CHECKING:
    import torch
    from ase import Atoms
    from torch import nn

    from ase_mlham.integrals import TwoCentreTables
    from ase_mlham.learning.family import Coefficients
    from ase_mlham.learning.graph import HamiltonianGraph
    from ase_mlham.learning.layout import BlockLayout
    from ase_mlham.learning.memory import Needs
    from ase_mlham.learning.spin_form import SpinForm
    from ase_mlham.learning.targets import TargetTransform

__all__ = ["HamiltonianModel", "load_model", "model_path", "models", "pick_device"]

_log = logging.getLogger(__name__)

# bytes at the peak above which a prediction says what it needs, and says it as a warning
_SAY_ABOVE, _WARN_ABOVE = 1e9, 4e9


class HamiltonianModel:
    """A network with its orbital basis and the way from its output to H in eV.

    Make one with `load_model`.

    Parameters
    ----------
    file : ModelFile
        Everything that defines it.
    device : str
        "auto", "cpu", "cuda" or "mps".
    dtype : str or torch dtype, optional
        "float32" (default) or "float64": of the network's arithmetic. Results are float64.
    """

    def __init__(
        self, file: ModelFile, device: str = "auto", dtype: str | torch.dtype | None = None
    ) -> None:
        import torch

        from ase_mlham.learning.layout import BlockLayout
        from ase_mlham.learning.networks import make_network
        from ase_mlham.learning.spin_form import SpinForm
        from ase_mlham.learning.targets import TargetConfig, TargetTransform

        self.file = file
        self._device, self._dtype = pick_device(device), _dtype(dtype)
        self.layout: BlockLayout = BlockLayout(file.basis, file.spin, file.parts)
        spec = _family(file)
        config = make_config(hooks.load(spec.config), file.config, f"model {file.name!r}")
        try:
            self.form = make_config(SpinForm, file.spin_form, f"model {file.name!r}, spin form")
            network = make_network(spec, config, self.layout, self.form)
            network.load_state_dict(_tensors(file.weights))
            targets = make_config(
                TargetConfig, file.targets["config"], f"model {file.name!r}, targets"
            )
            cutoff = float(file.targets["cutoff"])
            transform = TargetTransform(self.layout, targets, cutoff, self.form)
            transform.load_state_dict(_tensors(file.transform))
        except (RuntimeError, KeyError, TypeError) as error:
            raise ModelError(
                f"model {file.name!r} does not fit the installed family {file.family!r} "
                f"({_made_with(file)}): {error}"
            ) from error
        self.network: Any = network.to(self._device, self._dtype).eval()
        self.transform: TargetTransform = transform
        for module in (self.network, self.transform):
            for parameter in module.parameters():
                parameter.requires_grad_(False)
        self._torch = torch
        self._pace = 0.0

    # ------------------------------------------------------------------ what it is
    @property
    def name(self) -> str:
        """Name of the model."""
        return self.file.name

    @property
    def basis(self) -> OrbitalBasis:
        """Orbitals of the predicted matrices."""
        return self.file.basis

    @property
    def identity(self) -> tuple[str, str, str]:
        """Name, version and content hash: equal for equal models, usable as a key."""
        return self.file.name, self.file.version, self.file.content_hash

    @property
    def card(self) -> dict[str, Any]:
        """What the model says of itself: elements, training data, errors, licence."""
        return card_of(self.file.to_tree(), self.file.content_hash)

    def __repr__(self) -> str:
        return (
            f"HamiltonianModel({self.name!r}, version {self.file.version}, family "
            f"{self.file.family!r}, {self.basis.elements}, on {self._device})"
        )

    @cached_property
    def _tables(self) -> TwoCentreTables:
        from ase_mlham.integrals import TwoCentreTables

        return TwoCentreTables(self.basis)

    # ------------------------------------------------------------------ prediction
    def predict(self, atoms: Atoms | Structure, *, on_unknown: OnUnknown = "error") -> LCAOSystem:
        """H(R) and S(R) of a structure.

        Parameters
        ----------
        atoms : ase.Atoms or Structure
            The structure.
        on_unknown : "error" or "warn"
            What to do about atoms closer to one another than any in training. Unknown elements are
            always refused; other departures from the training structures are warnings.

        Returns
        -------
        LCAOSystem
            Its `warnings` hold the reservations that were also given as `DomainWarning`.

        Raises
        ------
        DomainError
            An element or a distance is unknown to the model, or it needs magnetic moments and
            there are none.
        InputError
            Atoms overlap, or the structure makes no sense.
        """
        if on_unknown not in ("error", "warn"):
            raise InputError(f'on_unknown={on_unknown!r}; accepted: "error", "warn"')
        structure = atoms if isinstance(atoms, Structure) else Structure.from_atoms(atoms)
        check_no_overlap(structure)
        self.file.domain.check_elements(structure)
        self._check_moments(structure)
        pattern = basis_pattern(structure, self.basis)
        reservations = self.file.domain.check(structure, pattern, on_unknown)
        for text in reservations:
            warnings.warn(f"model {self.name!r}: {text}", DomainWarning, stacklevel=2)
        started = time.monotonic()
        from ase_mlham import integrals

        graph = self._graph(structure, pattern)
        self._say_what_it_needs(graph, pattern)
        hamiltonian = self._network_part(structure, pattern, graph)
        for operator in self.transform.config.operators:
            self._add_operator(operator, hamiltonian, structure)
        overlap = integrals.overlap(structure, self.basis, pattern, tables=self._tables)
        seconds = time.monotonic() - started
        self._pace = seconds / pattern.n_blocks
        _log.info("predicted %d atoms in %.2f s", structure.n_atoms, seconds)
        return LCAOSystem(
            structure=structure,
            basis=self.basis,
            hamiltonian=hamiltonian,
            overlap=overlap,
            n_electrons=self.basis.n_electrons(structure.numbers),
            spin=self.file.spin,
            provenance={
                "source": f"model {self.name} {self.file.version}",
                "model": self.name,
                "version": self.file.version,
                "family": self.file.family,
                "sha256": self.file.content_hash,
            },
            warnings=reservations,
        )

    @property
    def sees_moments(self) -> bool:
        """Whether predictions depend on the magnetic moments of the atoms."""
        return bool(self.layout.odd.any())

    def _check_moments(self, structure: Structure) -> None:
        """Refuse what the model cannot know: missing moments, or moments off its axis."""
        if not self.sees_moments:
            return
        if structure.moments is None:
            raise DomainError(
                f"model {self.name!r} predicts magnetic Hamiltonians for given moments of the "
                "atoms; set them with atoms.set_initial_magnetic_moments (zeros for none)"
            )
        if self.file.spin is SpinKind.COLLINEAR and np.any(structure.moments[:, :2]):
            raise DomainError(
                f"model {self.name!r} is collinear: moments must lie along z, one number an atom"
            )

    def memory_needs(self, structure: Structure | Atoms) -> Needs:
        """Memory that a prediction will take besides what is in use, known before it is made.

        Parameters
        ----------
        structure : Structure or ase.Atoms
            What would be predicted.

        Returns
        -------
        Needs
            Bytes at the peak, and of the result.

        Raises
        ------
        DomainError
            An element is unknown to the model.
        """
        if not isinstance(structure, Structure):
            structure = Structure.from_atoms(structure)
        self.file.domain.check_elements(structure)
        pattern = basis_pattern(structure, self.basis)
        return self._needs(self._graph(structure, pattern), pattern)

    def _needs(self, graph: HamiltonianGraph, pattern: BlockPattern) -> Needs:
        from ase_mlham.learning.memory import network_bytes, prediction_needs

        return prediction_needs(
            self.layout,
            pattern,
            network_bytes(self.network, graph),
            momentum=self.transform.strength is not None,
            item=self._dtype.itemsize,
        )

    def _say_what_it_needs(self, graph: HamiltonianGraph, pattern: BlockPattern) -> None:
        """Memory, and time as far as earlier predictions tell, before a large prediction."""
        needs = self._needs(graph, pattern)
        if needs.peak > _SAY_ABOVE:
            _log.log(
                logging.WARNING if needs.peak > _WARN_ABOVE else logging.INFO,
                "predicting %d atoms, %d pairs: about %.1f GB at the peak, %.1f GB of it H and S%s",
                graph.n_atoms,
                pattern.n_blocks,
                1e-9 * needs.peak,
                1e-9 * needs.result,
                f", about {self._pace * pattern.n_blocks:.0f} s" if self._pace else "",
            )
        free = available_memory()
        if free is not None and needs.peak > free:
            _log.warning(
                "predicting %d atoms needs about %.1f GB of memory, and %.1f GB are free: the "
                "system may end this process; take a smaller cell or a machine with more memory",
                graph.n_atoms,
                1e-9 * needs.peak,
                1e-9 * free,
            )

    def _add_operator(self, name: str, matrix: BlockMatrix, structure: Structure) -> None:
        """Add what needs no learning."""
        from ase_mlham import integrals

        if name != "kinetic":
            raise ModelError(
                f"model {self.name!r} needs the operator {name!r}, which this installation cannot "
                "compute; upgrade ase-mlham"
            )
        integrals.add_kinetic(matrix, structure, self.basis, tables=self._tables)

    def _momentum(self, structure: Structure, pattern: BlockPattern) -> Coefficients | None:
        """What the form of the spin-orbit part multiplies, if it needs that."""
        if self.transform.strength is None:
            return None
        from ase_mlham import integrals
        from ase_mlham.learning.spin_orbit import half_angular_momentum

        overlap = integrals.overlap(structure, self.basis, pattern, tables=self._tables)
        return half_angular_momentum(self.layout, structure, self.basis, overlap)

    def _graph(self, structure: Structure, pattern: BlockPattern) -> HamiltonianGraph:
        from ase_mlham.learning.graph import build_graph

        cutoff = max(float(self.network.message_cutoff), float(self.transform.config.onsite_cutoff))
        with self._torch.inference_mode():
            return build_graph(structure, self.basis, pattern, cutoff, self._dtype)

    def _network_part(
        self, structure: Structure, pattern: BlockPattern, graph: HamiltonianGraph
    ) -> BlockMatrix:
        from ase_mlham.learning.family import Coefficients
        from ase_mlham.learning.tensors import to_matrix

        with self._torch.inference_mode():
            output = self.network(graph.to(self._device))
            # the tables are in double precision, which some devices do not have
            output = Coefficients(*(x.cpu() for x in output))
            coefficients = self.transform.restore(graph, output, self._momentum(structure, pattern))
        return to_matrix(self.layout, pattern, coefficients)

    # ------------------------------------------------------------------ making and storing
    def save(self, path: Path | str) -> None:
        """Write to a `.mlham` file."""
        self.file = self.file.write(path)

    @classmethod
    def untrained(
        cls,
        network: nn.Module,
        spec: hooks.FamilySpec,
        config: Any,
        basis: OrbitalBasis,
        *,
        example: Structure,
        spin: SpinKind = SpinKind.NONE,
        parts: Iterable[str] | None = None,
        form: SpinForm | None = None,
        device: str = "cpu",
    ) -> HamiltonianModel:
        """A model around a network that was not trained: for tests of families and of prediction.

        The baseline is fitted to a synthetic Hamiltonian, -5 eV times S, of one structure, so that
        predictions have the size and range of real ones.

        Parameters
        ----------
        network : Module
            Any weights.
        spec, config
            Its family and configuration.
        basis : OrbitalBasis
            With radial functions.
        example : Structure
            To which the baseline is fitted.
        spin, parts
            As for `BlockLayout`.
        form : SpinForm, optional
            Of the spin parts: that for which the network was made.
        device : str
            As for `load_model`.
        """
        from ase_mlham import integrals
        from ase_mlham.learning.dataset import ReferenceData
        from ase_mlham.learning.targets import TargetConfig

        pattern = basis_pattern(example, basis)
        overlap = integrals.overlap(example, basis, pattern)
        made_up = BlockMatrix.zeros(pattern, spin.n_components)
        for values, s in zip(made_up.values, overlap.values, strict=True):
            values[0] = -5.0 * s[0]
        system = LCAOSystem(
            example, basis, made_up, overlap, basis.n_electrons(example.numbers), spin=spin
        )
        data = ReferenceData(
            [system],
            message_cutoff=_reach(network, TargetConfig()),
            parts=parts,
            form=form,
        )
        transform = fitted_transform(data, TargetConfig(operators=()))
        return cls(
            model_contents("untrained", spec, config, network, transform, data), device=device
        )


def fitted_transform(data: Any, targets: Any, indices: Any = None) -> TargetTransform:
    """Target transform fitted to training examples.

    Parameters
    ----------
    data : ReferenceData
        The systems.
    targets : TargetConfig
        Choices of the baseline.
    indices : sequence of int, optional
        Which of the systems; all if not given.
    """
    from ase_mlham.learning.targets import TargetTransform

    cutoff = 2 * max(entry.cutoff for entry in data.basis.species)
    transform = TargetTransform(data.layout, targets, cutoff, data.form)
    transform.fit(data if indices is None else data.select(indices))
    return transform


def _reach(network: Any, targets: Any) -> float:
    """Range of messages that network and on-site baseline need, Å."""
    return max(float(network.message_cutoff), float(targets.onsite_cutoff))


def model_contents(
    name: str,
    spec: hooks.FamilySpec,
    config: Any,
    network: nn.Module,
    transform: TargetTransform,
    data: Any,
    indices: Any = None,
    **fields: Any,
) -> ModelFile:
    """Contents of a model file from what training made.

    Parameters
    ----------
    name : str
        Of the model.
    spec, config, network
        Family, configuration and trained network.
    transform : TargetTransform
        Fitted.
    data : ReferenceData
        Training structures.
    indices : sequence of int, optional
        Which of them were trained on; all if not given.
    **fields
        Of `ModelFile`: version, card.
    """
    from dataclasses import asdict

    chosen = [data.summaries[n] for n in (range(len(data)) if indices is None else indices)]
    closest: dict[tuple[int, int], float] = {}
    for summary in chosen:
        for pair, distance in summary.closest.items():
            closest[pair] = min(distance, closest.get(pair, distance))
    counts = transform.histogram.cpu().numpy()
    numbers = [int(z) for z in data.basis.numbers]
    atoms = [summary.n_atoms for summary in chosen]
    domain = Domain(
        numbers=tuple(numbers),
        n_structures=len(chosen),
        n_atoms=(min(atoms), max(atoms)),
        closest=closest,
        bin_width=float(transform.config.bin_width),
        histogram={
            (numbers[a], numbers[b]): np.rint(counts[a, b]).astype(np.int64)
            for a in range(len(numbers))
            for b in range(a, len(numbers))
        },
    )
    return ModelFile(
        name=name,
        family=spec.name,
        config=asdict(config),
        basis=data.basis,
        targets=transform.to_config(),
        domain=domain,
        spin=data.layout.spin,
        parts=tuple(part.name for part in data.layout.parts),
        spin_form=asdict(data.form),
        weights=_arrays(network),
        transform=_arrays(transform),
        **fields,
    )


def _arrays(module: Any) -> dict[str, Any]:
    return {key: value.detach().cpu().numpy() for key, value in module.state_dict().items()}


def _tensors(arrays: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    import torch

    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    import torch

    known = {"float32": torch.float32, "float64": torch.float64}
    if dtype is None:
        return torch.float32
    name = str(dtype).removeprefix("torch.")
    if name not in known:
        raise InputError(f"dtype {name!r}; accepted: float32, float64")
    return known[name]


def pick_device(name: str = "auto") -> torch.device:
    """The device of a name; "auto" takes a GPU if there is one.

    Raises
    ------
    InputError
        The device does not exist here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name!r} is unknown; use auto, cpu, cuda or mps") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise InputError(f"device {name!r} is not available on this machine; use cpu")
    return device


def _made_with(file: ModelFile) -> str:
    return f"made with {file.card.get('family_distribution') or 'an unknown version of it'}"


def _family(file: ModelFile) -> hooks.FamilySpec:
    """The installed family of a model."""
    if file.family not in hooks.registered("model family"):
        distribution = str(file.card.get("family_distribution", "")).partition(" ")[0]
        hint = f"; run: {hooks.install_command(distribution)}" if distribution else ""
        known = ", ".join(hooks.registered("model family")) or "none"
        raise ModelError(
            f"model {file.name!r} belongs to the family {file.family!r}, which is not installed "
            f"(installed: {known}){hint}"
        )
    spec: hooks.FamilySpec = hooks.find("model family", file.family, ModelError)
    return spec


def family_distribution(name: str) -> str:
    """Distribution and version that gives a family, for the record."""
    for record in hooks.plugins():
        if name in record.provides.get("model family", ()):
            return record.distribution
    return ""


# ---------------------------------------------------------------------- finding models
def _packaged(spec: hooks.ModelSpec) -> Path:
    resource = resources.files(spec.package).joinpath(spec.resource)
    if not isinstance(resource, Path):
        raise ModelError(
            f"model {spec.name!r} lies inside an archive ({spec.package}); install the "
            "distribution unpacked"
        )
    return resource


def model_path(name_or_path: str | Path) -> Path:
    """Where a model lies.

    Parameters
    ----------
    name_or_path : str or Path
        Name of an installed model, or path of a `.mlham` file.

    Raises
    ------
    ModelError
        Neither; the message gives the nearest name.
    """
    text = str(name_or_path)
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, Path) or path.suffix == ".mlham" or path.parent != Path():
        if not path.is_file():
            raise ModelError(f"model file {path} does not exist")
        return path
    table = hooks.registered("model")
    if text in table:
        return _packaged(table[text])
    if path.is_file():
        return path
    close = get_close_matches(text, table, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    known = ", ".join(table) or "none"
    raise ModelError(
        f"unknown model {text!r}{hint} (installed: {known}); give one of them or the path of a "
        ".mlham file"
    )


def load_model(
    name_or_path: str | Path, device: str = "auto", dtype: str | torch.dtype | None = None
) -> HamiltonianModel:
    """A trained model.

    Parameters
    ----------
    name_or_path : str or Path
        Name of an installed model (see `models`), or path of a `.mlham` file.
    device : str
        "auto" (a GPU if there is one), "cpu", "cuda" or "mps".
    dtype : str or torch dtype, optional
        "float32" (default) or "float64".

    Raises
    ------
    ModelError
        The model is unknown, its file damaged or too new, or its family not installed.

    Examples
    --------
    >>> model = load_model("sige")  # doctest: +SKIP
    >>> system = model.predict(atoms)  # doctest: +SKIP
    """
    return HamiltonianModel(ModelFile.read(model_path(name_or_path)), device, dtype)


def models() -> dict[str, dict[str, Any]]:
    """Cards of all installed models, by name; that of an unreadable file has the key "error"."""
    out: dict[str, dict[str, Any]] = {}
    for name, spec in hooks.registered("model").items():
        try:
            out[name] = read_card(_packaged(spec))
        except (ModelError, ModuleNotFoundError, metadata.PackageNotFoundError) as error:
            out[name] = {"name": name, "description": spec.description, "error": str(error)}
    return out
