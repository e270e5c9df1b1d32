"""From the FILE of a command to a system: the file's own Hamiltonian, or a model's prediction.

What a file is, is asked of the formats first: they look at a few bytes and load nothing heavy, so
that a DFT output never waits for a neural network library.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.moments import GivenMoments, add_moments, parse_moments, set_moments
from ase_mlham.errors import DomainError, FormatError, InputError, ModelError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlham.core import LCAOSystem

__all__ = [
    "DEFAULT_MODEL",
    "MODEL_SUFFIX",
    "add_source",
    "format_of",
    "open_model",
    "open_other",
    "open_system",
    "predict",
    "predict_by",
    "read_atoms",
    "read_frames",
    "read_structure",
    "report",
]

DEFAULT_MODEL = "sige"
MODEL_SUFFIX = ".mlham"

LARGE = 200
"""Atoms from which on the cost of a prediction is said before it starts."""

SECONDS_PER_ATOM = 0.03
"""Of one core: between 0.01 for small networks and 0.2 for the largest published ones."""


def add_source(parser: argparse.ArgumentParser) -> None:
    """FILE and what may be said about it."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a structure (any format that ASE reads), or a file with its own Hamiltonian, such as "
        "the output of a DFT code",
    )
    add_model(parser)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Options on the structure and on the model that predicts its Hamiltonian."""
    group = parser.add_argument_group("structure and model")
    group.add_argument(
        "--model",
        metavar="NAME",
        help="installed model, or a .mlham file; also for a FILE with its own Hamiltonian, whose "
        f"structure is then used (default: {DEFAULT_MODEL}, for structures)",
    )
    group.add_argument(
        "--index", metavar="N", default="-1", help="which image of FILE (default: the last, -1)"
    )
    group.add_argument(
        "--molecule", action="store_true", help="a structure without a cell is meant to have none"
    )
    add_moments(group)
    group.add_argument(
        "--device", default="auto", help="where the model runs: auto, cpu, cuda (default: auto)"
    )
    group.add_argument(
        "--outside-domain",
        action="store_true",
        help="predict even where the model was not trained (distances); the result says so",
    )


def format_of(path: str | Path) -> str | None:
    """Name of the format of a file that holds a Hamiltonian, None if it holds none.

    Raises
    ------
    FormatError
        There is no such file, it cannot be opened, or two formats claim it.
    """
    from ase_mlham.formats import detect_format, sniff_formats

    return detect_format(path).name if sniff_formats(path) else None


def open_system(options: argparse.Namespace, *, force_model: bool = False) -> LCAOSystem:
    """The system of a command's FILE.

    Parameters
    ----------
    options : argparse.Namespace
        With the arguments of `add_source`.
    force_model : bool
        Predict even if the file has a Hamiltonian.
    """
    # a mistyped option is refused before anything is read
    moments = parse_moments(options.moments)
    if format_of(options.file) is None or options.model is not None or force_model:
        return predict(read_atoms(options), options)
    # of two sources that are compared, the second may be a prediction
    if moments and getattr(options, "compare", None) is None:
        raise _moments_of_a_file(options.file)
    return read_file(options.file)


def _moments_of_a_file(path: str | Path) -> InputError:
    return InputError(
        f"--moments: {path} has its own Hamiltonian, which moments given now do not change; leave "
        "--moments out, or predict with a magnetic model: --model NAME"
    )


def open_other(name: str, first: LCAOSystem, options: argparse.Namespace) -> LCAOSystem:
    """What the first system is compared with: of a file, or of a model on the same atoms."""
    path = Path(name)
    if path.suffix == MODEL_SUFFIX or not path.exists():
        # a name that is neither a file nor a model: say both
        try:
            # the atoms of a prediction have the moments already
            given = GivenMoments({}) if "model" in first.provenance else None
            return predict(first.structure.to_atoms(), options, name, given)
        except ModelError as error:
            raise ModelError(f"{name}: there is no such file, and: {error}") from error
    if format_of(path) is not None:
        if options.moments and "model" not in first.provenance:
            raise _moments_of_a_file(path)
        return read_file(path)
    model = options.model or DEFAULT_MODEL
    return predict(read_structure(path, options.index, molecule=options.molecule), options, model)


def read_file(path: str | Path) -> LCAOSystem:
    """The Hamiltonian that a file holds."""
    from ase_mlham.formats import read_system

    return read_system(path)


def read_atoms(options: argparse.Namespace) -> Atoms:
    """Atoms of a command's FILE: of its own system if it has one, else read by ASE."""
    if format_of(options.file) is None:
        return read_structure(options.file, options.index, molecule=options.molecule)
    from ase_mlham.formats import read_outline

    return read_outline(options.file).structure.to_atoms()


def read_structure(path: str | Path, index: str = "-1", *, molecule: bool = False) -> Atoms:
    """One image of a structure file.

    Parameters
    ----------
    path : path
        Any format that ASE reads.
    index : str
        Which image, an integer.
    molecule : bool
        Whether a structure without a cell is what the user means.

    Raises
    ------
    InputError
        The index is no integer, or the structure has no cell.
    FormatError
        ASE cannot read the file.
    """
    try:
        number = int(index)
    except ValueError:
        raise InputError(f"--index {index}: expected an integer, -1 for the last image") from None
    atoms = read_images(path, number)[0]
    _check_atoms(atoms, path, molecule=molecule)
    return atoms


def read_frames(path: str | Path, index: slice, *, molecule: bool = False) -> list[Atoms]:
    """Images of a trajectory, each as `read_structure` gives one.

    Parameters
    ----------
    path : path
        Any format that ASE reads.
    index : slice
        Which images.
    molecule : bool
        As for `read_structure`.

    Raises
    ------
    InputError
        There are no such images, or one has no cell.
    FormatError
        ASE cannot read the file.
    """
    frames = read_images(path, index)
    if not frames:
        n = len(read_images(path))
        raise InputError(f"{path}: none of its {n} images is in that range; ':' are all of them")
    for atoms in frames:
        _check_atoms(atoms, path, molecule=molecule)
    return frames


def _check_atoms(atoms: Atoms, path: str | Path, *, molecule: bool) -> None:
    """Refuse what no model can repair before one is loaded."""
    if len(atoms) == 0:
        raise FormatError(f"{path}: the structure has no atoms")
    if not atoms.pbc.any() and not atoms.cell.any() and not molecule:
        raise InputError(
            f"{path}: the structure has no cell. A crystal needs one: give a CIF, POSCAR or "
            "extended XYZ file with its lattice vectors. If it is a molecule, say so: --molecule"
        )
    from ase_mlham.core import Structure
    from ase_mlham.core.neighbours import check_no_overlap

    check_no_overlap(Structure.from_atoms(atoms))


def read_images(path: str | Path, index: int | slice | None = None) -> list[Atoms]:
    """Images of a structure file: all, or a list of those asked for."""
    if Path(path).suffix == MODEL_SUFFIX:
        raise InputError(f"{path} is a model; give a structure, and the model with --model {path}")
    if not Path(path).exists():
        raise FormatError(f"{path}: no such file")
    from ase.io import read
    from ase.io.formats import UnknownFileTypeError

    try:
        images = read(path, index=":" if index is None else index)
    except UnknownFileTypeError:
        from ase_mlham.hooks import registered

        known = ", ".join(pattern for f in registered("format").values() for pattern in f.patterns)
        raise FormatError(
            f"{path}: neither a file with a Hamiltonian ({known}) nor a structure that ASE "
            "recognises; is it complete, and has it its usual name?"
        ) from None
    except Exception as error:
        if isinstance(index, int) and index != -1:
            n = len(read_images(path))
            raise InputError(
                f"{path}: there is no image {index}; the file has {n}, counted from 0"
            ) from None
        raise FormatError(
            f"{path}: ASE cannot read it ({type(error).__name__}: {error}); is the file complete, "
            "and is it what its name says?"
        ) from error
    return images if isinstance(images, list) else [images]


def predict(
    atoms: Atoms,
    options: argparse.Namespace,
    model: str | None = None,
    moments: GivenMoments | None = None,
) -> LCAOSystem:
    """What a model says of a structure.

    Parameters
    ----------
    atoms : ase.Atoms
        The structure.
    options : argparse.Namespace
        With the arguments of `add_model`.
    model : str, optional
        In place of that of the options.
    moments : GivenMoments, optional
        In place of those of the options.

    Raises
    ------
    InputError
        The moments do not fit the atoms, or the model does not see any.
    DomainError
        The model needs moments and there are none, or the structure is not for it.
    """
    return predict_by(open_model(options, model), atoms, options, moments)


def open_model(options: argparse.Namespace, model: str | None = None) -> Any:
    """The model of the options, or of another name, on their device."""
    from ase_mlham.hooks import load

    name = model or options.model or DEFAULT_MODEL
    return load("ase_mlham.learning.model:load_model")(name, device=options.device)


def predict_by(
    loaded: Any,
    atoms: Atoms,
    options: argparse.Namespace,
    moments: GivenMoments | None = None,
) -> LCAOSystem:
    """What a model that is open says of a structure; else as `predict`."""
    from ase_mlham.calculator import mention_ignored_moments

    given = parse_moments(options.moments) if moments is None else moments
    atoms = _with_moments(atoms, given, loaded, options.file)
    _announce(atoms, loaded)
    system: LCAOSystem = loaded.predict(
        atoms, on_unknown="warn" if options.outside_domain else "error"
    )
    return mention_ignored_moments(system, loaded, atoms)


def _with_moments(atoms: Atoms, given: GivenMoments, model: Any, path: str) -> Atoms:
    """The atoms with the moments of --moments, refused where they are useless or missing."""
    if given:
        # who asks for it expects it to matter; moments left in a file are another thing
        if not model.sees_moments:
            raise InputError(
                f"--moments: model {model.name!r} was not trained on magnetic moments and predicts "
                "the same with any; leave --moments out, or give a magnetic model"
            )
        return set_moments(atoms, given)
    if model.sees_moments and not atoms.has("initial_magmoms"):
        element = atoms.get_chemical_symbols()[0]
        raise DomainError(
            f"model {model.name!r} predicts magnetic Hamiltonians for given moments of the atoms, "
            f"and {path} has none; give them, for example --moments {element}=1 "
            f"({element}=0 for a structure without magnetism)"
        )
    return atoms


def _announce(atoms: Atoms, model: Any) -> None:
    """Say what a large prediction will take."""
    if len(atoms) < LARGE:
        return
    from ase_mlham.machine import available_memory, size

    needs, free = model.memory_needs(atoms), available_memory()
    sys.stderr.write(
        f"mlham: predicting {len(atoms)} atoms: about {size(needs.peak)} of memory"
        + ("" if free is None else f", {size(free)} are free")
        + f"; some {max(1, round(SECONDS_PER_ATOM * len(atoms)))} s on one core\n"
    )


def report(system: LCAOSystem) -> None:
    """Show what a source has to say against its own numbers, where no analysis will do it."""
    from ase_mlham.electronic.collapse import SourceWarning

    for text in system.warnings:
        warnings.warn(text, SourceWarning, stacklevel=2)
