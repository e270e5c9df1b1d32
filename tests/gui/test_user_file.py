"""The line in ~/.ase/gui.py: nothing else in that file may ever change."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ase_mlham.cli.main import main
from ase_mlham.errors import InputError
from ase_mlham.gui.user_file import LINE, MARK, add_line, remove_line, user_file

SETTINGS = b"""# my settings \xc3\xa9
gui_default_settings['show_bonds'] = True
if True:
    gui_default_settings['radii_scale'] = 0.5
"""


def test_the_line_comes_and_goes(home):
    path = user_file()
    assert path.is_relative_to(home)
    assert add_line()
    assert path.read_text() == LINE + "\n"
    assert not add_line()
    assert path.read_text().count(MARK) == 1
    assert remove_line()
    assert not path.exists()
    assert not remove_line()


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_what_stands_in_the_file_stays(home, end, newline):
    before = SETTINGS.rstrip(b"\n").replace(b"\n", newline) + end.replace(b"\n", newline)
    path = user_file()
    path.parent.mkdir()
    path.write_bytes(before)
    path.chmod(0o600)
    assert add_line()
    added = path.read_bytes()
    assert added.startswith(before)
    assert added.endswith(LINE.encode() + newline)
    compile(added, "gui.py", "exec")
    assert path.stat().st_mode & 0o777 == 0o600
    assert remove_line()
    # a last line without an end has got one
    assert path.read_bytes() == before + (b"" if end else newline)


def test_a_link_stays_a_link(home, tmp_path):
    target = tmp_path / "dotfiles.py"
    target.write_bytes(SETTINGS)
    user_file().parent.mkdir()
    user_file().symlink_to(target)
    add_line()
    assert user_file().is_symlink()
    assert MARK in target.read_text()


def test_a_file_that_is_no_python_is_left_alone(home):
    path = user_file()
    path.parent.mkdir()
    path.write_text("if True:\n")
    with pytest.raises(InputError, match=r"not valid Python.*importlib"):
        add_line()
    assert path.read_text() == "if True:\n"
    assert list(path.parent.iterdir()) == [path]


def test_the_command(home, capsys):
    assert main(["gui", "--add-menu"]) == 0
    assert "ase gui has the menu now" in capsys.readouterr().out
    assert main(["gui", "--add-menu"]) == 0
    assert "already" in capsys.readouterr().out
    assert main(["gui", "--remove-menu"]) == 0
    assert "as it was" in capsys.readouterr().out
    assert main(["gui", "--add-menu", "--remove-menu"]) == 1
    assert "exclude one another" in capsys.readouterr().err


def opened_class(**environment: str) -> str:
    """The class that `ase gui` opens its window with; the same imports in the same order."""
    code = (
        "from ase.gui.images import Images\n"
        "Images()\n"
        "from ase.gui.gui import GUI\n"
        "print(GUI.__module__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_plain_ase_gui_has_the_menu_until_it_is_switched_off(home):
    pytest.importorskip("tkinter", reason="needs tkinter: apt-get install python3-tk")
    add_line()
    assert opened_class() == "ase_mlham.gui.main_window"
    assert opened_class(MLHAM_GUI_MENU="0") == "ase.gui.gui"


def test_the_line_does_nothing_where_the_package_is_gone(home):
    code = (
        "import importlib.util, sys\n"
        "importlib.util.find_spec = lambda name: None  # as if it were not installed\n"
        f"exec({LINE!r})\n"
        "print('ase_mlham' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"
