"""Pictures of the windows, for docs/tasks/gui.md.

    python benchmarks/gui_pictures.py [--out docs/images]

Opens them on a virtual display (Xvfb), drives them as a mouse would, and takes what ImageMagick's
`import` sees of the screen; colours are reduced to a palette, so that files stay small.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from gui import display

REPOSITORY = Path(__file__).resolve().parent.parent
COLOURS = 96


class Stage:
    """A main window, and what happens around it."""

    def __init__(self, *arguments: str) -> None:
        from ase.gui.defaults import gui_default_settings

        from ase_mlham.cli.main import build_parser
        from ase_mlham.gui.command import main_window

        gui_default_settings["show_bonds"] = False  # what one window was told, the next remembers
        options = build_parser("gui").parse_args(["gui", *arguments])
        self.gui = main_window(options)
        self.electronics = self.gui.electronics
        self.gui.window.win.geometry("460x460+0+0")
        self.update()
        self.gui.focus()

    def update(self) -> None:
        """Let Tk draw."""
        for _ in range(5):
            self.gui.window.win.update()
            time.sleep(0.03)

    def wait(self) -> None:
        """Until all jobs have ended."""
        self.update()
        while self.electronics.worker.busy:
            self.update()
        self.update()

    def mouse(self, window: Any, name: str, x: float, y: float, button: int | None = 1) -> None:
        """A mouse event of a plot."""
        from matplotlib.backend_bases import MouseEvent

        window.canvas.callbacks.process(name, MouseEvent(name, window.canvas, x, y, button))
        self.update()

    def click(self, window: Any, x: float, y: float) -> None:
        """Move there, press and let go."""
        self.mouse(window, "motion_notify_event", x, y, None)
        self.mouse(window, "button_press_event", x, y)
        self.mouse(window, "button_release_event", x, y)
        self.wait()

    def take(self, path: Path, crop: str) -> None:
        """Picture of a part of the screen, "WxH+X+Y"."""
        from PIL import Image

        self.update()
        command = ["import", "-window", "root", "-crop", crop, "+repage", str(path)]
        subprocess.run(command, check=True)
        with Image.open(path) as picture:
            small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
        print(f"{path} {path.stat().st_size / 1e3:.0f} kB")
        self.gui.exit()


def a_state(out: Path) -> None:
    """Bands of SiGe; the lowest conduction band near X on the atoms and in space."""
    import numpy as np

    stage = Stage("examples/structures/SiGe.cif", "-r", "2", "-R=-78x,18y")
    window = stage.electronics.show_bands()
    window.window.win.geometry("+466+0")
    stage.wait()
    points = window.points
    empty = np.where(points.states.energies[0] > points.level, points.states.energies[0], np.inf)
    k = int(empty.min(axis=1).argmin())
    index = (0, k, int(empty[k].argmin()))
    x, y = points.x[k], points.states.energies[index] - points.level
    stage.click(window, *window.axes.transData.transform((x, y)))
    state = stage.electronics.state_window
    state.window.win.geometry("+1056+0")
    stage.take(out / "gui-bands.png", "1572x565+0+0")


def local_density(out: Path) -> None:
    """Density of states of an alloy; the atoms that x."""
    stage = Stage("examples/structures/Si5Ge3.POSCAR", "-R=-80x,15y", "-b")
    window = stage.electronics.show_dos()
    window.window.win.geometry("+466+0")
    stage.wait()
    to_pixels = window.axes.transData.transform
    middle = window.axes.transAxes.transform((0.5, 0.5))[1]
    for name, energy in (
        ("button_press_event", -9.9),
        ("motion_notify_event", -7.2),
        ("button_release_event", -7.2),
    ):
        stage.mouse(window, name, to_pixels((energy, 0))[0], middle)
    stage.take(out / "gui-dos.png", "1050x485+0+0")


def spins(out: Path) -> None:
    """Moments of an oxygen molecule whose spins lie askew, from a calculation's own file."""
    stage = Stage("tests/data/openmx/o2_nc.scfout.zst", "-R=-80x,10y")
    stage.gui.window.win.geometry("380x380+0+0")
    stage.update()
    stage.gui.focus()
    stage.gui.scale *= 2.2
    stage.electronics.colour_by_moment()
    stage.electronics.tick_spin_arrows()
    stage.wait()
    stage.take(out / "gui-spins.png", "380x425+0+0")


def along_frames(out: Path) -> None:
    """Gap of a crystal that is stretched."""
    import numpy as np
    from ase.io import read, write

    atoms = read("examples/structures/SiGe.cif")
    images = []
    for strain in np.linspace(-0.02, 0.02, 9):
        image = atoms.copy()
        image.set_cell(np.asarray(atoms.cell) * (1 + strain), scale_atoms=True)
        images.append(image)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/stretched.extxyz"
        write(path, images)
        stage = Stage(path, "-r", "2", "-R=-78x,18y")
        for window in stage.gui.window.win.winfo_children():
            if window.winfo_class() == "Toplevel":
                window.withdraw()  # ASE's own for trajectories
        stage.gui.set_frame(0)
        window = stage.electronics.show_frames()
        window.window.win.geometry("+466+0")
        while len(window.found) < 6:
            stage.update()
        place = window.axes[0].transData.transform((3.0, window.found[3].gap))
        stage.mouse(window, "motion_notify_event", *place, None)
        stage.mouse(window, "button_press_event", *place)
        stage.wait()
        stage.take(out / "gui-frames.png", "1050x505+0+0")


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "images")
    out = parser.parse_args().out.resolve()
    os.chdir(REPOSITORY)
    os.environ.pop("DISPLAY", None)
    with tempfile.TemporaryDirectory() as home, display():
        os.environ["HOME"] = home
        for picture in (a_state, local_density, spins, along_frames):
            picture(out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
