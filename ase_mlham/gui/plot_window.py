"""A window with a picture that stays alive: zoom, a marker under the mouse, clicks.

Matplotlib draws into the window without pyplot, whose figures and main loop would be a second set
beside Tk's. Markers are drawn over a kept copy of the picture, so that moving the mouse draws a
circle and not all bands again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ase_mlham.gui.source import Hamiltonians, Shown
from ase_mlham.gui.strip import ProgressStrip

if TYPE_CHECKING:
    from ase_mlham.gui.electronics import Electronics

__all__ = ["PlotWindow"]

DPI = 100


class PlotWindow:
    """Base of the windows with pictures.

    Parameters
    ----------
    electronics : Electronics
        Of the main window.
    title : str
        Of the window.
    size : (2,) float
        Of the picture in inches.
    layout : str
        "compressed" for axes of a given shape.
    """

    refresh_button = True

    def __init__(
        self,
        electronics: Electronics,
        title: str,
        size: tuple[float, float] = (5.6, 4.4),
        layout: Literal["constrained", "compressed"] = "constrained",
    ) -> None:
        from tkinter import ttk

        from ase.gui import ui
        from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg, NavigationToolbar2Tk
        from matplotlib.figure import Figure

        self.electronics = electronics
        self.title = title
        self.what: Shown | None = None
        self.hamiltonians: Hamiltonians = electronics.hamiltonians
        self.window = ui.Window(title, close=self.close)
        win = self.window.win
        self.head = ttk.Frame(win, padding=(4, 3))
        self.head.pack(side="top", fill="x")
        self.source = ttk.Label(self.head, text="")
        self.source.pack(side="left", padx=4)
        if self.refresh_button:
            ttk.Button(self.head, text="Refresh", command=self.compute).pack(side="right")
        self.layout: Literal["constrained", "compressed"] = layout
        self.figure = Figure(figsize=size, dpi=DPI, layout=layout)
        self.canvas = FigureCanvasTkAgg(self.figure, master=win)
        # the bars at the bottom first: what is left over is the picture's
        self.foot = ttk.Frame(win)
        self.foot.pack(side="bottom", fill="x")
        self.strip = ProgressStrip(
            self.foot,
            lambda frame: frame.pack(side="bottom", fill="x"),
            lambda frame: frame.pack_forget(),
        )
        self.message = ttk.Label(
            self.foot, text="", padding=(6, 2), wraplength=int(size[0] * DPI) - 20
        )
        self.message.pack(side="bottom", fill="x")
        self.toolbar = NavigationToolbar2Tk(self.canvas, win, pack_toolbar=False)
        self.toolbar.pack(side="bottom", fill="x")
        self.canvas.get_tk_widget().pack(side="top", fill="both", expand=True)
        self.markers: list[Any] = []
        self._picture: Any = None
        self.canvas.mpl_connect("draw_event", self._drawn)
        self.canvas.mpl_connect("resize_event", self._resized)
        self.canvas.mpl_connect("motion_notify_event", self._moved)
        self.canvas.mpl_connect("button_press_event", self._pressed)
        self.canvas.mpl_connect("button_release_event", self._released)

    # ------------------------------------------------------------------ life
    @property
    def exists(self) -> bool:
        """Whether it is open."""
        return bool(self.window.exists)

    def close(self) -> None:
        """Close it, and stop what it waits for."""
        if not self.exists:
            return
        if self.strip.job is not None:
            self.strip.job.stop()
        self.strip.closed()
        # matplotlib's objects and Tk's hold one another; its toolbar must be there still
        self.figure.clear()
        self.window.close()
        self.markers = []
        self._picture = None
        self.electronics.closed(self)

    def compute(self) -> None:
        """Have the picture made, or made again for what is shown by now."""
        raise NotImplementedError

    def begin(self) -> Shown:
        """What is shown now: the picture that is being made will be about it."""
        what = self.electronics.shown()
        self.what, self.hamiltonians = what, self.electronics.hamiltonians
        name = self.hamiltonians.name(what)
        many = len(self.electronics.gui.images) > 1
        self.source.configure(text=f"{name}, frame {what.frame}" if many else name)
        return what

    def atoms_changed(self, key: str | None) -> None:
        """Called when the main window shows something else."""
        if self.what is not None and key != self.what.key:
            self.tell("The main window shows other atoms by now: Refresh computes those.")

    def source_changed(self) -> None:
        """Called when H comes from elsewhere."""
        self.tell("The source has changed: Refresh computes with the new one.")

    @property
    def is_current(self) -> bool:
        """Whether the picture is about what the main window shows, with the present source."""
        return (
            self.what is not None
            and self.hamiltonians is self.electronics.hamiltonians
            and self.what.key == self.electronics.key_shown()
        )

    # ------------------------------------------------------------------ the picture
    def tell(self, text: str) -> None:
        """Put a line under the picture."""
        if self.exists:
            self.message.configure(text=text)

    def redraw(self) -> None:
        """Draw a new picture: room is made for its labels."""
        self.toolbar.update()
        self.figure.set_layout_engine(self.layout)
        self.canvas.draw()

    def _resized(self, event: Any) -> None:
        self.figure.set_layout_engine(self.layout)

    def _drawn(self, event: Any) -> None:
        # finding the room takes longer than drawing; zooms and cuts of the same picture do without
        self.figure.set_layout_engine("none")
        self._picture = self.canvas.copy_from_bbox(self.figure.bbox)
        self._draw_markers()

    def show_markers(self) -> None:
        """Draw the markers, on a clean picture."""
        if self._picture is None:
            return
        self.canvas.restore_region(self._picture)
        self._draw_markers()
        self.canvas.blit(self.figure.bbox)

    def _draw_markers(self) -> None:
        for marker in self.markers:
            if marker.get_visible() and marker.axes is not None:
                marker.axes.draw_artist(marker)

    # ------------------------------------------------------------------ the mouse
    def hover(self, event: Any) -> None:
        """The mouse is over the picture."""

    def pressed(self, event: Any) -> None:
        """The left button went down, and not to zoom."""

    def released(self, event: Any) -> None:
        """The left button went up, and not after a zoom."""

    def _zooming(self) -> bool:
        return bool(self.toolbar.mode)

    def _moved(self, event: Any) -> None:
        if not self._zooming():
            self.hover(event)

    def _pressed(self, event: Any) -> None:
        if event.button == 1 and not self._zooming():
            self.pressed(event)

    def _released(self, event: Any) -> None:
        if event.button == 1 and not self._zooming():
            self.released(event)
