"""A display for the windows, and models small enough that nobody waits.

sp3 silicon with nearest neighbours after D. J. Chadi and M. L. Cohen, phys. stat. sol. (b) 68, 405
(1975), orthogonal; Gaussians as radial functions, so that wave functions can be drawn.
"""

from __future__ import annotations

import gc
import math
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_mlham.core import (
    BlockMatrix,
    BlockPattern,
    GaussianRadial,
    LCAOSystem,
    OrbitalBasis,
    Shell,
    SpeciesBasis,
    SpinKind,
    Structure,
)
from ase_mlham.errors import DomainError

SS, SP, PPS, PPP, P_ABOVE_S = -2.03, 2.55, 4.55, -1.09, 7.20


def _gaussian(l: int) -> GaussianRadial:
    norm = math.sqrt(2 * 2.4 ** (l + 1.5) / math.gamma(l + 1.5))
    return GaussianRadial(l, [1.2], [norm], 1.4)


BASIS = OrbitalBasis(
    (SpeciesBasis(14, (Shell(0, 1.4, _gaussian(0)), Shell(1, 1.4, _gaussian(1))), 4.0, "Si"),)
)


def tight_binding(atoms: Atoms, split: float = 0.0) -> LCAOSystem:
    """Silicon; with `split` (eV) collinear, the first atom in the opposite field of the others."""
    structure = Structure.from_atoms(atoms)
    species = BASIS.species_index(structure.numbers)
    pattern = BlockPattern.from_cutoffs(structure, species, BASIS.sizes, [1.4])
    spin = SpinKind.COLLINEAR if split else SpinKind.NONE
    vectors = pattern.vectors(structure)
    (group,) = pattern.groups
    h = np.zeros((spin.n_components, group.n_blocks, 4, 4))
    s = np.zeros((1, group.n_blocks, 4, 4))
    for block in range(group.n_blocks):
        if pattern.onsite[block]:
            h[0, block] = np.diag([0.0, P_ABOVE_S, P_ABOVE_S, P_ABOVE_S])
            s[0, block] = np.eye(4)
            if split:
                h[1, block] = np.eye(4) * (split if pattern.i[block] == 0 else -split)
            continue
        direction = vectors[block][[1, 2, 0]] / np.linalg.norm(vectors[block])
        h[0, block, 0, 0] = SS
        h[0, block, 0, 1:], h[0, block, 1:, 0] = SP * direction, -SP * direction
        h[0, block, 1:, 1:] = (PPS - PPP) * np.outer(direction, direction) + PPP * np.eye(3)
    return LCAOSystem(
        structure=structure,
        basis=BASIS,
        hamiltonian=BlockMatrix(pattern, (h,)),
        overlap=BlockMatrix(pattern, (s,)),
        n_electrons=BASIS.n_electrons(structure.numbers),
        spin=spin,
        provenance={"source": "tight binding"},
    )


class Toy:
    """What the calculator needs of a model."""

    name = identity = "toy"
    sees_moments = True

    def __init__(self, split: float = 0.0, wait: Callable[[], None] = lambda: None) -> None:
        self.split, self.wait = split, wait
        self.calls = 0

    def predict(self, atoms: Atoms, *, on_unknown: str = "error") -> LCAOSystem:
        self.calls += 1
        self.wait()
        for number in atoms.numbers:
            if number != 14:
                raise DomainError("atom 0 (Ge): model 'toy' covers Si; choose another model")
        return tight_binding(atoms, self.split)


@pytest.fixture
def silicon() -> Atoms:
    return bulk("Si", "diamond", a=5.43)


@pytest.fixture(scope="session")
def virtual_display() -> Iterator[str]:
    """Name of a display of these tests' own, wherever Xvfb is installed."""
    pytest.importorskip("tkinter", reason="needs tkinter: apt-get install python3-tk")
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("needs Xvfb: apt-get install xvfb")
    end, begin = os.pipe()
    server = subprocess.Popen(
        [program, "-displayfd", str(begin), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"],
        pass_fds=[begin],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(begin)
    # it takes the first free number, and writes it when it is ready
    with os.fdopen(end) as stream:
        number = stream.readline().strip()
    if not number:
        server.wait(5)
        pytest.skip("Xvfb does not start here")
    yield f":{number}"
    server.terminate()
    server.wait(5)


@pytest.fixture
def display(virtual_display, monkeypatch) -> str:
    """A display for the windows of one test; others draw without."""
    monkeypatch.setenv("DISPLAY", virtual_display)
    return virtual_display


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home without settings, so that those of whoever runs the tests do not matter."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


class Dialogues(list):
    """What users were told, in the place of dialogues that would wait for them."""

    def __call__(self, title: str, message: str | None = None, **options: Any) -> None:
        self.append((title, message))

    @property
    def text(self) -> str:
        return "\n".join(str(message) for _, message in self)


@pytest.fixture
def dialogues(display, monkeypatch) -> Dialogues:
    from ase.gui import ui

    told = Dialogues()
    for name in ("error", "showerror", "showwarning", "showinfo"):
        monkeypatch.setattr(ui, name, told)
    return told


class Driver:
    """A main window, and a hand on its mouse."""

    def __init__(self, gui: Any) -> None:
        self.gui = gui
        self.electronics = gui.electronics
        self.gui.window.win.report_callback_exception = self._raise_later
        self.raised: list[BaseException] = []

    def _raise_later(self, kind, value, traceback) -> None:
        self.raised.append(value)

    def update(self) -> None:
        self.gui.window.win.update()
        if self.raised:
            raise self.raised.pop()

    def wait(self, until: Callable[[], bool] | None = None, seconds: float = 20.0) -> None:
        """Let the main loop turn until all jobs have ended, or something is the case."""
        end = time.monotonic() + seconds
        while not (until() if until else not self.electronics.worker.busy):
            assert time.monotonic() < end, "nothing happened"
            self.update()
            time.sleep(0.005)
        self.update()

    def mouse(self, window: Any, name: str, x: float, y: float, button: int | None = 1) -> None:
        """A mouse event of a plot, at pixels of its canvas."""
        from matplotlib.backend_bases import MouseEvent

        event = MouseEvent(name, window.canvas, x, y, button)
        window.canvas.callbacks.process(name, event)
        self.update()

    def click(self, window: Any, x: float, y: float) -> None:
        self.mouse(window, "motion_notify_event", x, y, None)
        self.mouse(window, "button_press_event", x, y)
        self.mouse(window, "button_release_event", x, y)

    def drawn_colours(self) -> list[str]:
        """Fill colours of the atoms on the canvas."""
        canvas = self.gui.window.canvas
        return [canvas.itemcget(i, "fill") for i in canvas.find_all() if canvas.type(i) == "oval"]


@pytest.fixture
def drive(dialogues, home) -> Iterator[Callable[..., Driver]]:
    """Call it with images and a model to have a window; it is closed afterwards."""
    opened: list[Driver] = []

    def call(images: Any, model: Any = None) -> Driver:
        from ase.gui.images import Images

        from ase_mlham.gui.main_window import MLHamGUI
        from ase_mlham.gui.source import Hamiltonians

        if not isinstance(images, Images):
            images = Images(list(images) if isinstance(images, list) else [images])
        opened.append(Driver(MLHamGUI(images, hamiltonians=Hamiltonians(model))))
        opened[-1].update()
        return opened[-1]

    yield call
    for one in opened:
        one.electronics.close()
        if one.gui.window.exists:
            one.gui.exit()
    opened.clear()
    # in the worker thread of a later test, freeing these would end the program
    gc.collect()


@pytest.fixture
def driver_of() -> type[Driver]:
    """The class of drivers, for a window that a test opens itself."""
    return Driver


@pytest.fixture(scope="session")
def toys() -> type[Toy]:
    """The class of the models of these tests."""
    return Toy
