"""Work that takes long, in a thread of its own, so that the windows never freeze.

Tk belongs to the main thread. The worker thread computes and leaves what it has in a queue; the
main thread looks into it again and again (`Worker.poll`). Whatever computes reports through
`ase_mlham.progress`, and is stopped there too: the reporter raises at the next step. Until a step
ends nothing can be interrupted, but a stopped job's result is never shown.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ase_mlham.progress import reporting

__all__ = ["Job", "Stopped", "Worker"]


class Stopped(BaseException):
    """Raised in the worker thread at the next step of a job that was stopped.

    No `Exception`: whatever catches those on the way must let it pass.
    """


def _ignore(value: Any) -> None:
    """For what nobody waits for."""


@dataclass(eq=False)
class Job:
    """One thing to be computed.

    Parameters
    ----------
    title : str
        For the line beside the progress bar.
    work : callable
        Run in the worker thread: `work(tell)`; `tell(value)` hands over a first part of the result.
    done : callable
        Run in the main thread with the result.
    failed : callable, optional
        Run in the main thread with the error and its traceback as text.
    part : callable, optional
        Run in the main thread with what `work` tells.
    ended : callable, optional
        Run in the main thread whatever happened, after the others.
    slot : hashable, optional
        A newer job for the same place stops an older one.
    wanted : callable, optional
        Asked when something arrives: False if it has come too late, for example because other atoms
        are shown by now.
    """

    title: str
    work: Callable[[Callable[[Any], None]], Any]
    done: Callable[[Any], None]
    failed: Callable[[Exception, str], None] = field(default=lambda error, text: None)
    part: Callable[[Any], None] = _ignore
    ended: Callable[[], None] = field(default=lambda: None)
    slot: Hashable = None
    wanted: Callable[[], bool] = field(default=lambda: True)
    stop_asked: threading.Event = field(default_factory=threading.Event, init=False)
    fraction: float | None = field(default=None, init=False)
    text: str = field(default="", init=False)

    def stop(self) -> None:
        """End at the next step; results are not shown any more."""
        self.stop_asked.set()

    def check(self) -> None:
        """Called in the worker thread.

        Raises
        ------
        Stopped
            Somebody wants it to end.
        """
        if self.stop_asked.is_set():
            raise Stopped


class _Progress:
    """Reporter for `ase_mlham.progress`: notes how far a job is, and lets it be stopped."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.levels: list[list[float]] = []

    def __call__(self, steps: Iterable[Any], total: int, task: str) -> Iterator[Any]:
        """The same steps, counted; loops may lie within loops."""
        level = [0.0, float(max(total, 1))]
        self.levels.append(level)
        try:
            for done, step in enumerate(steps):
                self.job.check()
                level[0] = done
                if level is self.levels[-1]:
                    self.job.text = f"{done + 1} of {total} {task}"
                self.job.fraction = self._fraction()
                yield step
        finally:
            self.levels[:] = [one for one in self.levels if one is not level]
            close = getattr(steps, "close", None)
            if close is not None:
                close()

    def _fraction(self) -> float:
        """How far the outermost loop is, with the share of those within its present step."""
        inner = 0.0
        for done, total in reversed(self.levels):
            inner = (done + inner) / total
        return min(inner, 1.0)


class Worker:
    """Runs jobs one after another in a thread."""

    def __init__(self) -> None:
        self._todo: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[tuple[Job, str, Any]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.jobs: list[Job] = []

    @property
    def busy(self) -> bool:
        """Whether a job has not ended, or its end was not seen by the main thread."""
        return bool(self.jobs)

    @property
    def current(self) -> Job | None:
        """The job that runs, or waits for the last step of a stopped one."""
        return next((job for job in self.jobs if not job.stop_asked.is_set()), None)

    def submit(self, job: Job) -> Job:
        """Start a job, or have it wait for those before it."""
        if job.slot is not None:
            for other in self.jobs:
                if other.slot == job.slot:
                    other.stop()
        if self.jobs:
            job.text = "waits for its turn"
        self.jobs.append(job)
        self._todo.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mlham", daemon=True)
            self._thread.start()
        return job

    def stop(self) -> None:
        """Stop all jobs."""
        for job in self.jobs:
            job.stop()

    def close(self, patience: float = 0.5) -> None:
        """Stop all jobs, and the thread if its present step ends within some seconds."""
        self.stop()
        self._todo.put(None)
        if self._thread is not None:
            self._thread.join(patience)
            self._thread = None

    def poll(self) -> bool:
        """Deliver in the main thread what has arrived; whether there is more to wait for."""
        while True:
            try:
                job, what, value = self._events.get_nowait()
            except queue.Empty:
                return self.busy
            self._deliver(job, what, value)

    def _deliver(self, job: Job, what: str, value: Any) -> None:
        if what != "part":
            self.jobs.remove(job)
        try:
            if not job.stop_asked.is_set() and job.wanted():
                if what == "part":
                    job.part(value)
                elif what == "done":
                    job.done(value)
                elif what == "failed":
                    job.failed(*value)
        finally:
            if what != "part":
                job.ended()

    def _run(self) -> None:
        """What the thread does."""
        while (job := self._todo.get()) is not None:
            what, value = self._do(job)
            self._events.put((job, what, value))

    def _do(self, job: Job) -> tuple[str, Any]:
        job.text = ""
        try:
            with reporting(_Progress(job)):
                job.check()
                return "done", job.work(lambda value: self._events.put((job, "part", value)))
        except Stopped:
            return "stopped", None
        except Exception as error:  # noqa: BLE001 - the border: shown in a dialogue
            text = traceback.format_exc()
            # frames of the thread would keep matrices alive
            return "failed", (error.with_traceback(None), text)
