"""Finding the format of a file."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from ase_mlham import hooks
from ase_mlham.core import (
    BlockMatrix,
    BlockPattern,
    LCAOSystem,
    OrbitalBasis,
    Shell,
    SpeciesBasis,
    Structure,
)
from ase_mlham.errors import FormatError, PluginError
from ase_mlham.formats import detect_format, read_system, registry, sniff_formats, write_system
from ase_mlham.hooks import FormatSpec
from ase_mlham.testing.formats import assert_same_system


def sure(path):
    return 1.0


def broken(path):
    raise RuntimeError("a stranger's mistake")


def silly(path):
    return "yes"


def read_nothing(path):
    raise FormatError("never")


def _spec(name, sniff, write=None, patterns=("*.foreign",)):
    here = __name__
    return FormatSpec(
        name=name,
        description="for tests",
        patterns=patterns,
        sniff=f"{here}:{sniff}",
        read=f"{here}:read_nothing",
        write=write,
    )


@pytest.fixture
def formats(monkeypatch):
    """Replace the installed formats; returns a function that sets them."""
    real = dict(hooks.registered("format"))

    def install(*specs, keep=False):
        table = {spec.name: spec for spec in specs} | (real if keep else {})
        monkeypatch.setattr(hooks, "registered", lambda kind: table)
        monkeypatch.setattr(hooks, "load", lambda ref, old=hooks.load: _load(ref, old))

    def _load(reference, old):
        module, _, name = reference.partition(":")
        return globals()[name] if module == __name__ else old(reference)

    return install


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.foreign"
    path.write_text("content")
    return path


def test_the_surest_wins(formats, path):
    formats(_spec("one", "sure"), keep=True)
    assert detect_format(path).name == "one"
    assert sniff_formats(path) == {"one": 1.0}


def test_a_tie_names_the_candidates(formats, path):
    formats(_spec("one", "sure"), _spec("two", "sure"))
    with pytest.raises(FormatError, match="could be any of one, two; say which with format="):
        detect_format(path)
    with pytest.raises(FormatError, match="never"):
        read_system(path, format="two")


def test_nobody_names_the_known_ones(path):
    with pytest.raises(FormatError, match=r"not a file with a Hamiltonian.*mlham \(\*\.h5"):
        read_system(path)


def test_a_broken_format_does_not_stop_the_others(formats, path, caplog):
    formats(_spec("bad", "broken"), _spec("one", "sure"))
    assert detect_format(path).name == "one"
    assert "format bad could not look at" in caplog.text


def test_an_answer_that_is_no_confidence_names_its_format(formats, path):
    formats(_spec("silly", "silly"))
    with pytest.raises(PluginError, match="format 'silly' answers 'yes'"):
        detect_format(path)


def test_unknown_format_name(path):
    with pytest.raises(FormatError, match="unknown format 'mlhamm'; did you mean 'mlham'"):
        read_system(path, format="mlhamm")


def test_missing_and_unreadable_files(tmp_path, path):
    with pytest.raises(FormatError, match=r"no such file; did you mean .*file\.foreign"):
        read_system(tmp_path / "fil.foreign")
    with pytest.raises(FormatError, match=r"no such file$"):
        read_system(tmp_path / "42")
    with pytest.raises(FormatError, match=r"the folder .* does not exist either"):
        read_system(tmp_path / "a" / "b.h5")
    with pytest.raises(FormatError, match="cannot be read"):
        read_system(path / "below-a-file")
    (tmp_path / "empty.h5").touch()
    with pytest.raises(FormatError, match="the file is empty"):
        read_system(tmp_path / "empty.h5")
    with pytest.raises(FormatError, match="not a file with a Hamiltonian"):
        read_system(tmp_path)


def test_writing_by_name_and_by_format(tmp_path, formats):
    system = _small()
    for name, options in (("a.h5", {}), ("a.anything", {"format": "mlham"})):
        write_system(system, tmp_path / name, **options)
        assert_same_system(read_system(tmp_path / name), system)
    with pytest.raises(FormatError, match="no format writes such files"):
        write_system(system, tmp_path / "a.xyz")
    with pytest.raises(FormatError, match="unknown format"):
        write_system(system, tmp_path / "a.xyz", format="xyz")
    mlham = hooks.registered("format")["mlham"]
    formats(_spec("one", "sure"), replace(mlham, name="twin"), keep=True)
    with pytest.raises(FormatError, match="'one' is read, not written"):
        write_system(system, tmp_path / "a.foreign", format="one")
    with pytest.raises(FormatError, match="twin, mlham all write such files"):
        write_system(system, tmp_path / "a.h5")


def _small():
    basis = OrbitalBasis((SpeciesBasis(1, (Shell(0, 2.0),), 1),))
    structure = Structure([1], [[0, 0, 0]], [[0] * 3] * 3, [0, 0, 0])
    pattern = BlockPattern.from_pairs([0], [1], [], [], [])
    one = BlockMatrix(pattern, ([[[[1.0]]]],))
    return LCAOSystem(structure, basis, one * -13.0, one, 1)


def test_importing_the_room_is_light():
    code = (
        "import sys, ase_mlham.formats, ase_mlham.formats.plugin as p; p.mlham_formats();"
        "print([m for m in ('h5py', 'scipy', 'torch', 'zstandard') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_public_names():
    import ase_mlham
    from ase_mlham import formats as room

    assert ase_mlham.read_system is registry.read_system
    assert set(room.__all__) <= set(dir(room))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = room.nothing
