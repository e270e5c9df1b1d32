"""The electronic structure of what a window shows: sources, jobs, colours and the windows.

One such object belongs to each main window. It holds the calculators, because ASE's window replaces
those of its atoms, and it alone talks to the worker thread.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.errors import InputError, MLHamError
from ase_mlham.gui.dialogues import show_error, show_text
from ase_mlham.gui.jobs import Job, Worker
from ase_mlham.gui.overlay import Arrows, Colouring
from ase_mlham.gui.source import Hamiltonians, Shown, shown

if TYPE_CHECKING:
    from ase_mlham.gui.band_points import StateAt
    from ase_mlham.gui.state_on_atoms import StateOnAtoms
    from ase_mlham.gui.strip import ProgressStrip

__all__ = ["Electronics"]

POLL = 40
"""Milliseconds between looks into the worker's queue while it is busy."""

KEPT_CHARGES = 1000
"""Structures whose charges and moments are kept: a trajectory played twice computes them once."""

CHARGE, MOMENT = "charge (e)", "moment (µB)"


class Electronics:
    """What the menu does.

    Parameters
    ----------
    gui : ase.gui.gui.GUI
        The main window; may be under construction, see `start`.
    hamiltonians : Hamiltonians, optional
        Where H comes from.
    """

    def __init__(self, gui: Any, hamiltonians: Hamiltonians | None = None) -> None:
        self.gui = gui
        self.hamiltonians = Hamiltonians() if hamiltonians is None else hamiltonians
        self.worker = Worker()
        self.colouring: Colouring | None = None
        self.arrows: Arrows | None = None
        self.following: str | None = None  # CHARGE or MOMENT, in all frames
        self.windows: list[Any] = []
        self.state_window: Any = None
        self.strip: ProgressStrip | None = None
        self._charges: OrderedDict[Hashable, Any] = OrderedDict()
        self._strips: dict[int, ProgressStrip] = {}
        self._timer: Any = None
        self._open = True

    # ------------------------------------------------------------------ the main window
    def start(self) -> None:
        """Called when the main window is complete."""
        from ase_mlham.gui.strip import ProgressStrip

        self.strip = ProgressStrip(
            self.gui.window.canvas,
            lambda frame: frame.place(relx=0.0, rely=1.0, relwidth=1.0, anchor="sw"),
            lambda frame: frame.place_forget(),
        )
        # a weak reference: ASE's window keeps this object alive
        self.gui.obs.set_atoms.register(self.atoms_changed)

    def close(self) -> None:
        """Called when the main window is closed."""
        if not self._open:
            return
        self._open = False
        if self._timer is not None:
            self.gui.window.win.after_cancel(self._timer)
            self._timer = None
        for window in list(self.windows):
            window.close()
        self.worker.close()

    def shown(self) -> Shown:
        """The structure that the main window shows."""
        return shown(self.gui.images, self.gui.frame)

    def key_shown(self) -> str | None:
        """Key of that structure, None if there is nothing to compute."""
        try:
            return self.shown().key
        except MLHamError:
            return None

    @property
    def plain(self) -> bool:
        """Whether nothing is laid over the atoms."""
        return self.colouring is None and self.arrows is None

    def colouring_drawn(self) -> Colouring | None:
        """Colouring of what is drawn, unless another was chosen in ASE's own window."""
        one = self.colouring
        if one is None or one.mode != self.gui.colormode:
            return None
        return one if len(self.gui.atoms) % len(one.values) == 0 else None

    def arrows_drawn(self) -> Arrows | None:
        """Arrows of what is drawn."""
        one = self.arrows
        return one if one is not None and len(self.gui.atoms) % len(one.vectors) == 0 else None

    def atoms_changed(self) -> None:
        """Another frame, or other atoms: what lies over them must not be that of the old ones."""
        if self.plain and not self.windows and self.following is None and not self._spins():
            return
        key = self.key_shown()
        if self.colouring is not None and self.colouring.key != key:
            self.colouring = None
        if self.arrows is not None and self.arrows.key != key:
            self.arrows = None
        for window in list(self.windows):
            window.atoms_changed(key)
        if key is None:
            return
        wants_colours = self.following is not None and self.colouring is None
        if wants_colours or (self._spins() and self.arrows is None):
            self._show_charges()

    # ------------------------------------------------------------------ jobs
    def run(
        self,
        title: str,
        work: Callable[[Callable[[Any], None]], Any],
        done: Callable[[Any], None],
        *,
        part: Callable[[Any], None] | None = None,
        failed: Callable[[], None] | None = None,
        slot: Hashable = None,
        wanted: Callable[[], bool] | None = None,
        strip: ProgressStrip | None = None,
    ) -> Job:
        """Have something computed in the worker thread.

        Parameters
        ----------
        title, work, done, part, slot, wanted
            As for `Job`.
        failed : callable, optional
            Called before an error is shown.
        strip : ProgressStrip, optional
            Where progress is shown; in the main window if not given.
        """
        where = strip or self.strip

        def fail(error: Exception, text: str) -> None:
            if failed is not None:
                failed()
            # a dialogue waits for the user, and the queue must not
            self.gui.window.win.after_idle(lambda: show_error(title, error, text))

        def end() -> None:
            self._strips.pop(id(job), None)
            if where is not None and self._open:
                where.ended(job)

        job = Job(
            title,
            work,
            done,
            failed=fail,
            part=part or (lambda value: None),
            ended=end,
            slot=slot,
            wanted=wanted or (lambda: True),
        )
        if where is not None:
            self._strips[id(job)] = where
            where.follow(job)
        self.worker.submit(job)
        self._schedule()
        return job

    def stop(self) -> None:
        """Stop all that is being computed."""
        self.worker.stop()
        for strip in self._strips.values():
            strip.update()

    def _schedule(self) -> None:
        if self._timer is None and self._open:
            self._timer = self.gui.window.win.after(POLL, self._poll)

    def _poll(self) -> None:
        self._timer = None
        try:
            busy = self.worker.poll()
        finally:
            # what one result did wrong must not keep the others from being shown
            if self.worker.busy:
                self._schedule()
        if busy:
            for strip in set(self._strips.values()):
                strip.update()

    # ------------------------------------------------------------------ windows
    def show_bands(self, key: str | None = None) -> Any:
        """Open a window with the bands of what is shown."""
        from ase_mlham.gui.bands_window import BandsWindow

        return self._opened(BandsWindow)

    def show_dos(self, key: str | None = None) -> Any:
        """Open a window with the density of states of what is shown."""
        from ase_mlham.gui.dos_window import DosWindow

        return self._opened(DosWindow)

    def show_frames(self) -> Any:
        """Open a window with gap and Fermi level of all frames."""
        from ase_mlham.gui.frames_window import FramesWindow

        return self._opened(FramesWindow)

    def _opened(self, kind: Any) -> Any:
        """A window, unless there is nothing that it could show."""
        try:
            self.shown()
        except InputError as error:
            show_error("Electronic structure", error, "")
            return None
        window = kind(self)
        self.windows.append(window)
        window.compute()
        return window

    def closed(self, window: Any) -> None:
        """Called by a window that is closed."""
        if window in self.windows:
            self.windows.remove(window)
        if window is self.state_window:
            self.state_window = None
        # cycles of Tk objects must be freed here: in the worker thread that would end the program
        gc.collect()

    def choose_source(self) -> Any:
        """Open the window that asks where H comes from."""
        from ase_mlham.gui.source_window import SourceWindow

        return SourceWindow(self)

    def source_changed(self) -> None:
        """H comes from elsewhere: what is shown is not about it."""
        self.clear()
        for window in list(self.windows):
            window.source_changed()

    def show_gap(self) -> None:
        """Compute the gap and show it in words."""
        try:
            what = self.shown()
        except InputError as error:
            show_error("Gap", error, "")
            return
        hamiltonians = self.hamiltonians
        title = f"Gap: {hamiltonians.name(what)}, frame {what.frame}"
        self.run(
            "gap",
            lambda tell: hamiltonians.calculator(what).gap(atoms=what.atoms),
            lambda gap: show_text(title, str(gap)),
            slot="gap",
        )

    # ------------------------------------------------------------------ colours and arrows
    def colour(
        self, key: str, title: str, values: Any, *, signed: bool = False, sized: bool = False
    ) -> None:
        """Lay a number over each atom, if the structure is still shown."""
        if key != self.key_shown():
            return
        self.colouring = Colouring(
            key, title, np.asarray(values), signed, sized, mode=self.gui.colormode
        )
        self.gui.draw()

    def clear(self) -> None:
        """Atoms as ASE draws them."""
        self.colouring = self.arrows = self.following = None
        if self._open and self._spins():
            self.gui.window["toggle-spin-arrows"] = False
        self.gui.draw()

    def colour_by_charge(self) -> None:
        """Colour the atoms by their Mulliken charges, in this frame and those that follow."""
        self.following, self.colouring = CHARGE, None
        self._show_charges()

    def colour_by_moment(self) -> None:
        """Colour the atoms by their magnetic moments, in this frame and those that follow."""
        self.following, self.colouring = MOMENT, None
        self._show_charges()

    def toggle_spin_arrows(self, key: str | None = None) -> None:
        """Draw the magnetic moments as arrows, or no longer."""
        self.arrows = None
        if self._spins():
            self._show_charges()
        else:
            self.gui.draw()

    def tick_spin_arrows(self) -> None:
        """Tick the entry of the menu."""
        self.gui.window["toggle-spin-arrows"] = True
        self.toggle_spin_arrows()

    def _spins(self) -> bool:
        """Whether the entry of the menu is ticked."""
        return bool(self.gui.window["toggle-spin-arrows"])

    def _forget_wishes(self) -> None:
        """After an error: the next frame must not show it again."""
        self.following = None
        self.gui.window["toggle-spin-arrows"] = False

    def _show_charges(self) -> None:
        try:
            what = self.shown()
        except InputError as error:
            self._forget_wishes()
            show_error("Charges", error, "")
            return
        hamiltonians = self.hamiltonians
        key = (what.key, what.file if hamiltonians.model is None else None, hamiltonians.settings)
        known = self._charges.get(key)
        if known is not None:
            self._lay_charges(what.key, known)
            return

        def work(tell: Callable[[Any], None]) -> Any:
            calculator = hamiltonians.calculator(what)
            return calculator.system(what.atoms).spin.n_components > 1, calculator.charges(
                atoms=what.atoms
            )

        def done(result: Any) -> None:
            self._charges[key] = result
            while len(self._charges) > KEPT_CHARGES:
                self._charges.popitem(last=False)
            self._lay_charges(what.key, result)

        self.run(
            "charges and moments",
            work,
            done,
            failed=self._forget_wishes,
            slot="charges",
            wanted=lambda: self.key_shown() == what.key,
        )

    def _lay_charges(self, key: str, result: tuple[bool, Any]) -> None:
        has_spin, charges = result
        if not has_spin and (self._spins() or self.following == MOMENT):
            self._forget_wishes()
            error = InputError(
                "this Hamiltonian has no spin, and so the atoms have no moments; open a magnetic "
                "calculation, or choose a model that was trained on magnetic ones: "
                "Electronic structure > Source"
            )
            self.gui.window.win.after_idle(lambda: show_error("Moments", error, ""))
            return
        if self.following is not None:
            if self.following == CHARGE:
                values = charges.charges
            elif np.any(charges.moments[:, :2]):
                values = np.linalg.norm(charges.moments, axis=1)
            else:
                values = charges.moments[:, 2]
            signed = self.following == CHARGE or bool((values < 0).any())
            self.colouring = Colouring(key, self.following, values, signed, mode=self.gui.colormode)
        if self._spins():
            self.arrows = Arrows(key, MOMENT, charges.moments)
        self.gui.draw()

    def colour_at_fermi_level(self) -> None:
        """Colour the atoms by the states at the Fermi level, of an insulator at both band edges."""
        from ase_mlham.gui.local_density import local_density

        try:
            what = self.shown()
        except InputError as error:
            show_error("Local density of states", error, "")
            return
        hamiltonians = self.hamiltonians
        self.following = None

        def done(found: Any) -> None:
            low, high = found.around_fermi_level()
            self.colour(
                what.key,
                f"electrons, {low:.2f} to {high:.2f} eV",
                found.on_atoms(low, high),
                sized=True,
            )

        self.run(
            "local density of states",
            lambda tell: local_density(hamiltonians.calculator(what), what.atoms),
            done,
            slot="local density",
            wanted=lambda: self.key_shown() == what.key,
        )

    # ------------------------------------------------------------------ a state
    def show_state(self, what: Shown, state: StateAt, *, in_space: bool, strip: Any) -> None:
        """Show a state on the atoms, and in space if wanted.

        Parameters
        ----------
        what : Shown
            The structure whose state it is.
        state : StateAt
            Which.
        in_space : bool
            Whether its wave function is cut too.
        strip : ProgressStrip
            Where progress is shown.
        """
        from ase_mlham.gui.state_on_atoms import state_on_atoms, state_wave_functions

        hamiltonians = self.hamiltonians
        self.following = None

        def work(tell: Callable[[Any], None]) -> Any:
            calculator = hamiltonians.calculator(what)
            tell(state_on_atoms(calculator, what.atoms, state))
            return state_wave_functions(calculator, what.atoms, state) if in_space else []

        def lay(found: StateOnAtoms) -> None:
            if what.key == self.key_shown() and found.spins is not None:
                spins = found.spins
                self.arrows = (
                    Arrows(what.key, "spin of the state", spins)
                    if abs(spins).max() > 0.02
                    else None
                )
            self.colour(what.key, "weight of the state", found.weights, sized=True)

        def cut(fields: Any) -> None:
            if not fields:
                return
            if self.state_window is None:
                from ase_mlham.gui.state_window import StateWindow

                self.state_window = StateWindow(self)
                self.windows.append(self.state_window)
            self.state_window.show(what, state, fields)

        self.run("state", work, cut, part=lay, slot="state", strip=strip)
