"""Progress bar, what is being done, and a button that stops it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ase_mlham.gui.jobs import Job

__all__ = ["ProgressStrip"]


class ProgressStrip:
    """A row that is there while a job runs.

    Parameters
    ----------
    parent : tkinter widget
        What it is a part of.
    appear, vanish : callable
        Place the frame in its parent, and take it away.
    """

    def __init__(
        self, parent: Any, appear: Callable[[Any], None], vanish: Callable[[Any], None]
    ) -> None:
        from tkinter import ttk

        self.frame = ttk.Frame(parent, padding=3)
        self.label = ttk.Label(self.frame, text="")
        self.bar = ttk.Progressbar(self.frame, length=120, maximum=1.0)
        self.button = ttk.Button(self.frame, text="Stop", command=self.stop)
        self.label.pack(side="left", padx=4)
        self.button.pack(side="right", padx=2)
        self.bar.pack(side="right", padx=4)
        self.job: Job | None = None
        self._appear, self._vanish = appear, vanish
        self._shown = False
        self._there = True

    def closed(self) -> None:
        """The window that it is a part of is gone; its job may take a while to end."""
        self.job, self._there = None, False

    def follow(self, job: Job) -> None:
        """Show this job from now on."""
        self.job = job
        self.update()

    def stop(self) -> None:
        """What the button does."""
        if self.job is not None:
            self.job.stop()
            self.update()

    def update(self) -> None:
        """Show how far the job is."""
        if not self._there:
            return
        job = self.job
        if job is None:
            if self._shown:
                self._vanish(self.frame)
                self._shown = False
            return
        if not self._shown:
            self._appear(self.frame)
            self._shown = True
        stopping = job.stop_asked.is_set()
        text = "stopping when this step is done" if stopping else job.text
        self.label.configure(text=f"{job.title}: {text}" if text else f"{job.title} ...")
        self.button.configure(state="disabled" if stopping else "normal")
        if job.fraction is None:
            self.bar.configure(mode="indeterminate")
            self.bar.step(0.04)
        else:
            self.bar.configure(mode="determinate", value=job.fraction)

    def ended(self, job: Job) -> None:
        """A job has ended: the row goes away if it showed that one."""
        if self.job is job:
            self.job = None
            self.update()
