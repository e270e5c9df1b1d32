"""`mlham gap FILE --index :`: the gap along a trajectory, frame by frame."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlham.cli.output import PICTURES, check_target, write_json
from ase_mlham.cli.sampling import announce, parse_kpts, refuse_collapse, solver_options
from ase_mlham.cli.source import format_of, open_model, predict_by, read_frames
from ase_mlham.errors import InputError, MLHamError
from ase_mlham.progress import track

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["FrameGap", "as_slice", "run_along"]

_SLICE = re.compile(r"(-?\d+)?:(-?\d+)?(?::(-?\d+)?)?")


def as_slice(index: str) -> slice | None:
    """A range of images as ASE writes it, such as `:`, `10:` or `::5`; None if it is no range.

    Raises
    ------
    InputError
        It has a colon, but is no range.
    """
    if ":" not in index:
        return None
    found = _SLICE.fullmatch(index.strip())
    if found is None or found[3] in ("0", "-0"):
        raise InputError(f"--index {index}: expected a range such as :, 10: or ::5")
    return slice(*(None if text is None else int(text) for text in found.groups()))


@dataclass(frozen=True)
class FrameGap:
    """One frame.

    Attributes
    ----------
    frame : int
        Which image of the file, from 0.
    gap, direct : float
        eV; zero for a metal.
    fermi_level : float
        eV on the scale of H.
    problem : str
        Why there are no numbers, which then are nan.
    """

    frame: int
    gap: float = math.nan
    direct: float = math.nan
    fermi_level: float = math.nan
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; what is not known is None."""
        record = asdict(self)
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in record.items()
            if name != "problem" or value
        }

    def __str__(self) -> str:
        if self.problem:
            return f"{self.frame:7d}   {self.problem}"
        return f"{self.frame:7d}{self.gap:12.3f}{self.direct:12.3f}{self.fermi_level:14.3f}"


def run_along(options: argparse.Namespace, index: slice) -> int:
    """Print a line for each frame; write those that are done, however it ends."""
    if format_of(options.file) is not None:
        raise InputError(
            f"{options.file} has one structure with its own Hamiltonian; leave --index out"
        )
    target = check_target(options.output, PICTURES) if options.output else None
    kpts = parse_kpts(options.kpts)
    frames = read_frames(options.file, index, molecule=options.molecule)
    first, _, step = index.indices(_length(options.file, index))
    model = open_model(options)
    quiet = options.json == "-"
    done: list[FrameGap] = []
    if not quiet:
        print(f"{options.file} (model {model.name})")
        print(f"{'frame':>7s}{'gap (eV)':>12s}{'direct (eV)':>12s}{'Fermi level':>14s}")
    try:
        for n, atoms in enumerate(track(frames, len(frames), "frames")):
            done.append(_one(first + n * step, atoms, model, kpts, options, alone=not done))
            if not quiet:
                print(done[-1], flush=True)
    finally:
        _write(done, options, target)
    return 0


def _length(path: str, index: slice) -> int:
    """Images in the file, where they are needed to number those of the range."""
    from ase_mlham.cli.source import read_images

    counted_from_the_end = any(n is not None and n < 0 for n in (index.start, index.step))
    return len(read_images(path)) if counted_from_the_end else max(index.start or 0, 0) + 1


def _one(
    number: int,
    atoms: Atoms,
    model: Any,
    kpts: Any,
    options: argparse.Namespace,
    *,
    alone: bool,
) -> FrameGap:
    """Gap of a frame. The first one that fails is an error: the others will hardly do better."""
    from ase_mlham.electronic.fermi import mesh_of
    from ase_mlham.electronic.gap import gap

    try:
        system = predict_by(model, atoms, options)
        if alone:
            announce(system, len(mesh_of(system, kpts)))
        found = gap(system, kpts, **solver_options(options))
        refuse_collapse(found.warnings, options)
    except MLHamError as error:
        if alone:
            raise
        return FrameGap(number, problem=str(error))
    return FrameGap(number, float(found.fundamental), float(found.direct), found.fermi_level)


def _write(done: list[FrameGap], options: argparse.Namespace, target: Path | None) -> None:
    if not done:
        return
    if options.json:
        write_json(
            options.json,
            {"file": str(options.file), "frames": [one.to_dict() for one in done]},
        )
    if target is not None:
        from ase_mlham.cli.picture import drawing
        from ase_mlham.plots.along_frames import plot_along_frames

        with drawing(target) as axes:
            numbers = [one.frame for one in done]
            columns = {
                "gap (eV)": [one.gap for one in done],
                "Fermi level (eV)": [one.fermi_level for one in done],
            }
            axes.append(plot_along_frames(numbers, columns)[0])
