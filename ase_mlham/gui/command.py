"""`mlham gui`: ASE's window with the Electronic structure menu; that menu in plain `ase gui`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ase_mlham.errors import FormatError, InputError, MissingDependencyError

__all__ = ["add_arguments", "main_window", "open_images", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mlham gui`."""
    parser.epilog = """\
examples:
  mlham gui silicon.cif
  mlham gui iron.scfout -r 2 --show moments
  mlham gui run.traj@0:100:10 --show frames
  mlham gui POSCAR --model trained.mlham --show bands
  mlham gui --add-menu                      and `ase gui` has the menu too

Everything is in the menu "Electronic structure": bands, density of states, gap, charges, moments,
gap along the frames. A file with its own Hamiltonian is shown with that one, all others are
predicted.
MLHAM_GUI_MENU=0 in the environment switches the menu in `ase gui` off.
"""
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        help="what to open: any format that ASE reads, or a file with its own Hamiltonian; FILE@N "
        "or FILE@START:STOP:STEP picks images",
    )
    group = parser.add_argument_group("view, as in ase gui")
    group.add_argument(
        "-n", "--image-number", metavar="SLICE", default=":", help="which images of each file"
    )
    group.add_argument("-r", "--repeat", metavar="N", default="1", help="repeat cells: 2 or 2,2,1")
    group.add_argument(
        "-R", "--rotations", metavar="R", default="", help="turn the view: -90x or 90z,-30x"
    )
    group.add_argument("-b", "--bonds", action="store_true", help="draw bonds")
    group.add_argument(
        "-g",
        "--graph",
        metavar="EXPR",
        help="plot x,y1,... of the images (i, e, fmax, d(0,1), ...)",
    )
    group.add_argument(
        "-s", "--scale", dest="radii_scale", type=float, metavar="X", help="scale the radii"
    )
    group = parser.add_argument_group("electronic structure")
    group.add_argument(
        "--model",
        metavar="NAME",
        help="installed model, or a .mlham file; also for files with their own Hamiltonian",
    )
    group.add_argument("--device", default="auto", help="where it runs: auto, cpu, cuda")
    group.add_argument(
        "--outside-domain",
        action="store_true",
        help="predict even where the model was not trained (distances); the result says so",
    )
    group.add_argument(
        "--show",
        action="append",
        default=[],
        choices=sorted(SHOW),
        help="open or switch on from the start; may be given several times",
    )
    group = parser.add_argument_group("plain ase gui")
    group.add_argument(
        "--add-menu",
        action="store_true",
        help="have the menu in ase gui: adds one marked line to ~/.ase/gui.py, which ASE runs",
    )
    group.add_argument("--remove-menu", action="store_true", help="take that line out again")


SHOW = {
    "bands": "show_bands",
    "dos": "show_dos",
    "frames": "show_frames",
    "charges": "colour_by_charge",
    "moments": "colour_by_moment",
    "arrows": "tick_spin_arrows",
}
"""What --show takes, and the method that does it."""


def run(options: argparse.Namespace) -> int:
    """Open the window, or change the user's file."""
    if options.add_menu and options.remove_menu:
        raise InputError("--add-menu and --remove-menu exclude one another")
    if options.add_menu or options.remove_menu:
        _change_menu(add=options.add_menu)
        return 0
    from ase_mlham.gui.toolkit import check

    # before anything is read: a file may be large
    check()
    gui = main_window(options)
    for name in options.show:
        gui.window.win.after_idle(getattr(gui.electronics, SHOW[name]))
    gui.run()
    return 0


def _change_menu(*, add: bool) -> None:
    from ase_mlham.gui.user_file import add_line, remove_line, user_file

    path = user_file()
    if add:
        done = add_line(path)
        text = (
            f"added one line to {path}: ase gui has the menu now (mlham gui --remove-menu takes it "
            "out; MLHAM_GUI_MENU=0 switches it off for once)"
            if done
            else f"{path} has the line already: nothing changed"
        )
    else:
        done = remove_line(path)
        text = (
            f"took the line out of {path}: ase gui is as it was"
            if done
            else f"{path} does not have the line: nothing changed"
        )
    sys.stdout.write(f"{text}\n")


def main_window(options: argparse.Namespace) -> Any:
    """The main window with the files opened.

    Raises
    ------
    MissingDependencyError
        There is no tkinter, or no display.
    FormatError
        A file cannot be read.
    """
    import tkinter as tk

    from ase_mlham.gui.main_window import MLHamGUI
    from ase_mlham.gui.source import Hamiltonians
    from ase_mlham.gui.toolkit import display_remedy

    repeat = _repeat(options.repeat)
    hamiltonians = Hamiltonians(
        options.model,
        device=options.device,
        on_unknown="warn" if options.outside_domain else "error",
    )
    images = open_images(options.files, options.image_number, hamiltonians)
    if options.radii_scale:
        images.scale_radii(options.radii_scale)
    try:
        if repeat != [1, 1, 1]:
            images.repeat_images(repeat)
        return MLHamGUI(
            images, options.rotations, options.bonds, options.graph, hamiltonians=hamiltonians
        )
    except tk.TclError as error:
        if "display" not in str(error):
            raise
        raise MissingDependencyError(display_remedy()) from error


def _repeat(text: str) -> list[int]:
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers = 3 * numbers
    if len(numbers) != 3 or min(numbers) < 1:
        raise InputError(f"--repeat {text}: expected one number or three, such as 2 or 2,2,1")
    return numbers


def open_images(files: list[str], index: str, hamiltonians: Any) -> Any:
    """ASE's images of some files; those that hold a Hamiltonian are read by this package.

    Parameters
    ----------
    files : list of str
        With @SLICE or without.
    index : str
        Slice for those without.
    hamiltonians : Hamiltonians
        Knows which files have one of their own.

    Raises
    ------
    FormatError
        A file cannot be read.
    """
    from ase.gui.images import Images

    images = Images()
    found: list[Any] = []
    names: list[str | None] = []
    for name in files:
        if hamiltonians.has_own(name):
            from ase_mlham.formats import read_outline

            # without its matrices: those are read when they are asked for
            found.append(read_outline(name).to_atoms())
            names.append(f"{name}@0")
            continue
        one = _read(name, index)
        found.extend(one)
        names.extend(one.filenames)
    if found:
        images.initialize(found, names)
    return images


def _read(name: str, index: str) -> Any:
    from ase.gui.images import Images
    from ase.io.formats import UnknownFileTypeError

    one = Images()
    try:
        one.read([name], index)
    except FileNotFoundError:
        raise FormatError(f"{name}: no such file") from None
    except UnknownFileTypeError:
        raise FormatError(
            f"{name}: neither a file with a Hamiltonian nor a structure that ASE recognises; is it "
            "complete, and has it its usual name?"
        ) from None
    except Exception as error:
        raise FormatError(
            f"{name}: ASE cannot read it ({type(error).__name__}: {error}); is the file complete, "
            "and is it what its name says?"
        ) from error
    return one
