"""`mlham compare`: the report of two sources."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ase.build import bulk

from ase_mlham.cli.main import main
from ase_mlham.core import SpinKind
from ase_mlham.formats import read_system, write_system


def run(capsys, *arguments: str) -> str:
    code = main(list(arguments))
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out


@pytest.fixture
def files(here, toy) -> tuple[str, str]:
    """The same silicon twice, the first 1.5 eV higher."""
    system = toy.predict(bulk("Si", a=5.43))
    write_system(system.shift_energy(1.5), "high.h5")
    write_system(system, "low.h5")
    return "high.h5", "low.h5"


COMMON = ("-k", "2,2,2", "--npoints", "8")


def test_report_is_one_page_with_pictures(files, capsys) -> None:
    printed = run(capsys, "compare", *files, *COMMON, "-o", "r.html", "--json", "r.json")
    assert "high against low" in printed
    assert re.search(r"on the mesh, 8 k-points\noccupied +0.00 meV", printed)
    page = Path("r.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "1.5000 eV is subtracted from the first" in page
    assert "<td>gap on the mesh</td>" in re.sub(r' class="\w+"', "", page)
    assert "http" not in page
    facts = json.loads(Path("r.json").read_text())
    assert facts["mesh"]["shift"] == pytest.approx(1.5)
    assert facts["path"]["occupied"]["max"] == pytest.approx(0, abs=1e-9)
    assert facts["matrices"]["shift"] == pytest.approx(1.5)
    assert facts["matrices"]["error"]["max"] == pytest.approx(0, abs=1e-9)


def test_report_as_a_figure_of_one_page(files, capsys) -> None:
    run(capsys, "compare", *files, *COMMON, "-o", "r.pdf")
    page = Path("r.pdf").read_bytes()
    assert page.startswith(b"%PDF")
    assert page.count(b"/Type /Page ") == 1


def test_markdown_has_its_pictures_beside_it(files, capsys) -> None:
    run(capsys, "compare", *files, *COMMON, "-o", "r.md")
    assert {path.name for path in Path("r_files").iterdir()} == {
        f"{name}.png" for name in ("bands", "bands-near", "dos", "error-by-energy", "error-by-k")
    }


def test_other_spin_kinds_and_no_report(files, toy, capsys) -> None:
    toy.spin = SpinKind.SPINOR
    write_system(toy.predict(bulk("Si", a=5.43)), "spinor.h5")
    printed = run(capsys, "compare", files[0], "spinor.h5", *COMMON)
    assert "spin kinds differ (none, spinor)" in printed
    assert "written" not in printed
    facts = json.loads(run(capsys, "compare", files[0], "spinor.h5", *COMMON, "--json", "-"))
    assert "none and a spinor system" in facts["matrices"]["not compared"]
    assert facts["path"]["occupied"]["max"] == pytest.approx(0, abs=1e-9)


def test_a_model_is_the_reference(files, toy, named_model, capsys) -> None:
    named_model(toy)
    printed = run(capsys, "compare", files[1], "toy.mlham", *COMMON)
    assert re.search(r"gap +([\d.]+) eV against \1 eV \(\+0.0 meV\)", printed)


def test_what_is_refused(files, here, capsys) -> None:
    assert main(["compare", *files, "-o", "r.txt"]) == 1
    assert "must end with one of .html, .md, .pdf, .png" in capsys.readouterr().err
    system = read_system(files[1])
    write_system(system.replace(n_electrons=7.0), "charged.h5")
    assert main(["compare", files[0], "charged.h5", *COMMON, "-o", "r.html"]) == 1
    assert "compare systems of the same charge" in capsys.readouterr().err
    assert not Path("r.html").exists()
