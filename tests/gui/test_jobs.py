"""The worker thread: progress, stopping, errors, and results that come too late."""

from __future__ import annotations

import threading
import time

import pytest

from ase_mlham.gui.jobs import Job, Worker
from ase_mlham.progress import track


@pytest.fixture
def worker():
    one = Worker()
    yield one
    one.close()


def finish(worker: Worker) -> None:
    end = time.monotonic() + 10
    while worker.poll():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_results_arrive_in_the_thread_that_polls(worker):
    seen = []
    worker.submit(
        Job(
            "sum",
            lambda tell: (threading.current_thread(), 6 * 7),
            lambda value: seen.append((threading.current_thread(), value)),
            ended=lambda: seen.append("ended"),
        )
    )
    assert worker.busy
    finish(worker)
    (where, (computed_in, value)), last = seen
    assert where is threading.current_thread()
    assert computed_in is not where
    assert value == 42
    assert last == "ended"
    assert not worker.busy


def test_parts_come_before_the_result(worker):
    seen = []

    def work(tell):
        tell(1)
        tell(2)
        return 3

    worker.submit(Job("parts", work, seen.append, part=seen.append))
    finish(worker)
    assert seen == [1, 2, 3]


def test_progress_of_loops_within_loops(worker):
    fractions, texts = [], []
    job = Job("loops", lambda tell: None, lambda value: None)

    def work(tell):
        for _ in track(range(2), 2, "frames"):
            for _ in track(range(4), 4, "k-points"):
                fractions.append(job.fraction)
                texts.append(job.text)

    job.work = work
    worker.submit(job)
    finish(worker)
    assert fractions == pytest.approx([n / 8 for n in range(8)])
    assert texts[5] == "2 of 4 k-points"


def test_a_stopped_job_ends_at_its_next_step(worker):
    steps, seen = [], []
    started, closed = threading.Event(), threading.Event()

    def slow():
        try:
            for n in range(1000):
                time.sleep(0.002)
                yield n
        finally:
            closed.set()

    def work(tell):
        for n in track(slow(), 1000, "steps"):
            steps.append(n)
            started.set()
        return "all"

    job = worker.submit(Job("slow", work, seen.append, ended=lambda: seen.append("ended")))
    assert started.wait(5)
    job.stop()
    finish(worker)
    assert seen == ["ended"]
    assert len(steps) < 900
    # what was looped over is told, so that threads behind it end too
    assert closed.is_set()


def test_the_result_of_a_step_that_could_not_be_stopped_is_dropped(worker):
    release, seen = threading.Event(), []
    job = worker.submit(Job("prediction", lambda tell: release.wait(5), seen.append))
    job.stop()
    release.set()
    finish(worker)
    assert seen == []


def test_a_newer_job_for_the_same_place_stops_the_older(worker):
    release, seen = threading.Event(), []
    worker.submit(Job("old", lambda tell: release.wait(5), seen.append, slot="colours"))
    other = worker.submit(Job("other", lambda tell: "other", seen.append, slot="bands"))
    assert other.text == "waits for its turn"
    worker.submit(Job("new", lambda tell: "new", seen.append, slot="colours"))
    release.set()
    finish(worker)
    assert seen == ["other", "new"]


def test_what_nobody_wants_any_more_is_dropped(worker):
    seen = []
    worker.submit(Job("late", lambda tell: 1, seen.append, wanted=lambda: False))
    finish(worker)
    assert seen == []


def test_errors_come_with_the_traceback_and_the_next_job_runs(worker):
    failures, seen = [], []

    def fail(tell):
        raise ValueError("no")

    worker.submit(Job("bad", fail, seen.append, lambda error, text: failures.append((error, text))))
    worker.submit(Job("good", lambda tell: 1, seen.append))
    finish(worker)
    ((error, text),) = failures
    assert str(error) == "no"
    assert "in fail" in text
    assert error.__traceback__ is None
    assert seen == [1]


def test_what_goes_wrong_with_one_result_does_not_lose_the_job(worker):
    def show(value):
        raise RuntimeError("drawing failed")

    ended = []
    worker.submit(Job("bad", lambda tell: 1, show, ended=lambda: ended.append(1)))
    with pytest.raises(RuntimeError, match="drawing failed"):
        finish(worker)
    assert ended == [1]
    assert not worker.busy


def test_closing_does_not_wait_for_a_step_that_takes_for_ever():
    release = threading.Event()
    worker = Worker()
    worker.submit(Job("long", lambda tell: release.wait(10), lambda value: None))
    start = time.monotonic()
    worker.close(patience=0.05)
    assert time.monotonic() - start < 5
    release.set()
