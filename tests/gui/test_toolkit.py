"""What is said where no window can be opened."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ase_mlham.cli.main import main
from ase_mlham.errors import MissingDependencyError
from ase_mlham.gui import toolkit


@pytest.fixture
def without_tkinter(monkeypatch):
    monkeypatch.setattr(toolkit, "has_tkinter", lambda: False)


@pytest.mark.parametrize(
    ("prefix", "platform", "remedy"),
    [
        ("/usr", "linux", "sudo apt install python3-tk"),
        ("/home/me/.pyenv/versions/3.12.1", "linux", "pyenv install --force"),
        ("/opt/python", "linux", "tk-dev"),
        ("/opt/homebrew/python", "darwin", "brew install python-tk@3."),
        ("C:/Python", "win32", "tcl/tk and IDLE"),
    ],
)
def test_the_remedy_fits_the_python(monkeypatch, prefix, platform, remedy):
    monkeypatch.setattr(sys, "base_prefix", prefix)
    monkeypatch.setattr(sys, "platform", platform)
    assert remedy in toolkit.tkinter_remedy()


def test_conda(monkeypatch, tmp_path):
    (tmp_path / "conda-meta").mkdir()
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    assert toolkit.tkinter_remedy() == "run: conda install tk"


def test_the_command_without_tkinter(without_tkinter, capsys):
    assert main(["gui", "no-such-file.cif"]) == 3
    told = capsys.readouterr().err
    assert "tkinter" in told
    assert toolkit.tkinter_remedy() in told


def test_doctor_without_tkinter(without_tkinter):
    assert "no tkinter, so no mlham gui" in toolkit.summary()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems need no X11")
def test_the_command_without_a_display(monkeypatch, capsys):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(toolkit, "has_tkinter", lambda: True)
    assert main(["gui"]) == 3
    told = capsys.readouterr().err
    assert "DISPLAY is not set" in told
    assert "mlham bands FILE -o bands.png" in told
    with pytest.raises(MissingDependencyError):
        toolkit.check()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems need no X11")
def test_a_display_that_does_not_answer(monkeypatch, capsys, home):
    pytest.importorskip("tkinter", reason="needs tkinter: apt-get install python3-tk")
    monkeypatch.setenv("DISPLAY", ":9931")
    assert main(["gui"]) == 3
    assert "DISPLAY is ':9931', which does not answer" in capsys.readouterr().err


def test_nothing_heavy_is_loaded_for_the_help():
    code = (
        "from ase_mlham.cli.main import main\n"
        "import sys\n"
        "main(['gui', '--help'])\n"
        "print([m for m in ('tkinter', 'ase', 'numpy', 'matplotlib', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] in ("[]", "['numpy']")
