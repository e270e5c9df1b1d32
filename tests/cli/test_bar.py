"""Progress: silent when quick, lines where there is no terminal."""

from __future__ import annotations

from ase_mlham.cli import bar
from ase_mlham.progress import reporting, track


def test_nobody_listens_by_default():
    steps = [1, 2, 3]
    assert track(steps, 3, "steps") is steps


def test_quick_work_is_silent(capsys):
    with reporting(bar.show):
        assert list(track(range(5), 5, "steps")) == list(range(5))
    assert capsys.readouterr().err == ""


def test_slow_work_tells_how_much_is_left(capsys, monkeypatch):
    clock = iter(range(0, 100, 3))
    monkeypatch.setattr(bar.time, "monotonic", lambda: float(next(clock)))
    with reporting(bar.show):
        assert list(track(range(8), 8, "k-points")) == list(range(8))
    lines = capsys.readouterr().err.splitlines()
    # one step takes 3 s: the first line after 2 s, the next ones at least 10 s apart
    assert lines[0] == "mlham: 1 of 8 k-points, about 21 s left"
    assert lines[1] == "mlham: 5 of 8 k-points, about 9 s left"
    assert len(lines) == 2


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setattr(bar.sys.stderr, "isatty", lambda: True)
    with reporting(bar.show):
        assert type(track(range(3), 3, "steps")).__name__ == "tqdm"
