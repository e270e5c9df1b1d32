"""Gap and Fermi level along a trajectory; the curve grows, and a click goes to a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.errors import InputError
from ase_mlham.gui.along_frames import FrameGap, gaps_along
from ase_mlham.gui.dialogues import show_error
from ase_mlham.gui.plot_window import PlotWindow
from ase_mlham.gui.source import shown
from ase_mlham.plots.style import DOWN, REFERENCE, STYLE, UP

if TYPE_CHECKING:
    from ase_mlham.gui.electronics import Electronics

__all__ = ["FramesWindow"]

HINT = "Click a point to show its frame."


class FramesWindow(PlotWindow):
    """Gap and Fermi level of all frames of the main window."""

    def __init__(self, electronics: Electronics) -> None:
        super().__init__(electronics, "Along the frames", (5.6, 3.8))
        self.found: list[FrameGap] = []
        self.axes: Any = None
        self._curves: tuple[Any, Any] = (None, None)

    def compute(self) -> None:
        """Have all frames computed, one after another."""
        gui, hamiltonians = self.electronics.gui, self.electronics.hamiltonians
        try:
            self.begin()
            frames = [shown(gui.images, frame) for frame in range(len(gui.images))]
        except InputError as error:
            show_error("Along the frames", error, "")
            return
        self.source.configure(text=f"{hamiltonians.name(frames[0])}, {len(frames)} frames")
        self.found = []
        self._draw(len(frames))
        self.electronics.run(
            "gap",
            lambda tell: gaps_along(frames, hamiltonians, tell),
            self.finished,
            part=self.add,
            failed=lambda: self.tell("No gaps: see the message."),
            slot=("frames", id(self)),
            wanted=lambda: self.exists,
            strip=self.strip,
        )

    def _draw(self, n_frames: int) -> None:
        import matplotlib as mpl

        self.figure.clear()
        with mpl.rc_context(STYLE):
            top, bottom = self.figure.subplots(2, 1, sharex=True)
            style = {"marker": "o", "markersize": 3.5, "linewidth": 0.9}
            self._curves = (
                top.plot([], [], color=UP, **style)[0],
                bottom.plot([], [], color=DOWN, **style)[0],
            )
            top.set_ylabel("gap (eV)")
            bottom.set_ylabel("$E_F$ (eV)")
            bottom.set_xlabel("frame")
            bottom.set_xlim(-0.5, max(n_frames - 0.5, 0.5))
            for axes in (top, bottom):
                axes.format_coord = lambda x, y: ""
            bottom.xaxis.get_major_locator().set_params(integer=True)
        self.axes = (top, bottom)
        self.markers = [
            axes.axvline(self.electronics.gui.frame, color=REFERENCE, linewidth=1.0, animated=True)
            for axes in self.axes
        ]
        self.redraw()

    def add(self, one: FrameGap) -> None:
        """One more frame is there."""
        self.found.append(one)
        frames = [found.frame for found in self.found]
        for curve, values in zip(
            self._curves,
            ([f.gap for f in self.found], [f.fermi_level for f in self.found]),
            strict=True,
        ):
            curve.set_data(frames, values)
            finite = np.array(values)[np.isfinite(values)]
            if finite.size:
                margin = max(0.02, 0.1 * float(np.ptp(finite)))
                curve.axes.set_ylim(finite.min() - margin, finite.max() + margin)
        self.canvas.draw_idle()

    def finished(self, found: list[FrameGap]) -> None:
        """All frames are there."""
        problems = [one for one in found if one.problem]
        text = HINT
        if problems:
            text += (
                f" {len(problems)} of {len(found)} frames could not be computed; frame "
                f"{problems[0].frame}: {problems[0].problem}"
            )
        self.tell(text)

    def nearest(self, event: Any) -> FrameGap | None:
        """The frame under the mouse."""
        if not self.found or self.axes is None or event.inaxes not in self.axes:
            return None
        return min(self.found, key=lambda one: abs(one.frame - event.xdata))

    def hover(self, event: Any) -> None:
        """Read off the numbers of a frame."""
        one = self.nearest(event)
        if one is not None:
            self.tell(
                one.problem
                or f"frame {one.frame}: gap {one.gap:.3f} eV, E_F = {one.fermi_level:.3f} eV"
            )

    def pressed(self, event: Any) -> None:
        """Show the frame under the mouse in the main window."""
        one = self.nearest(event)
        if one is not None and one.frame < len(self.electronics.gui.images):
            self.electronics.gui.set_frame(one.frame)

    def atoms_changed(self, key: str | None) -> None:
        """Another frame is shown: move the line."""
        for marker in self.markers:
            marker.set_xdata([self.electronics.gui.frame] * 2)
        self.show_markers()
