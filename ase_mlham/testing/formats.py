"""Conformance of a file format: what `read_system` and its users rely on.

    from ase_mlham.testing.formats import check_format
    check_format(my_spec, ["sample.xyz", "another.xyz"], tmp_path)

The checks raise `AssertionError` with the file, the damage that was done to it and what happened.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ase_mlham import hooks
from ase_mlham.core.blocks import BlockMatrix
from ase_mlham.core.system import LCAOSystem
from ase_mlham.errors import FormatError
from ase_mlham.hooks import FormatSpec

__all__ = ["assert_same_system", "check_format", "damaged_copies"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def damaged_copies(
    path: Path, folder: Path, *, seed: int = 0, n_cuts: int = 8, n_flips: int = 16
) -> Iterator[tuple[str, Path]]:
    """Variants of a file as transfers, full disks and bad sectors make them.

    Parameters
    ----------
    path : Path
        The good file.
    folder : Path
        Where the variants are written, one at a time under the name of the original.
    seed : int
        Of the random places.
    n_cuts, n_flips : int
        How many files are cut off, and how many have some bytes changed.

    Yields
    ------
    damage, path
        What was done, and the variant.
    """
    random = np.random.default_rng(seed)
    data = path.read_bytes()
    target = folder / path.name
    for length in sorted(
        {0, 1, len(data) // 2, len(data) - 1} | set(random.integers(1, len(data), n_cuts).tolist())
    ):
        target.write_bytes(data[:length])
        yield f"cut after {length} of {len(data)} bytes", target
    for n in range(n_flips):
        changed = bytearray(data)
        # the first bytes hold counts and versions: half of the damage goes there
        region = min(len(data), 256) if n % 2 else len(data)
        places = random.integers(0, region, 1 + n % 4)
        for place in places:
            changed[place] ^= int(random.integers(1, 256))
        target.write_bytes(changed)
        yield f"bytes {sorted(int(p) for p in places)} changed", target
    target.write_bytes(bytes(len(data)))
    yield "all bytes zero", target
    target.write_bytes(random.bytes(min(len(data), 4096)))
    yield "random bytes", target
    target.unlink()


def check_format(
    spec: FormatSpec, samples: Iterable[Path], folder: Path, *, seconds: float = 60.0, seed: int = 0
) -> None:
    """Check that a format keeps its promises on good and on damaged files.

    For every sample: `sniff` is sure of it, and finds nothing in foreign files, without raising; it
    can be read; the spin kind is one that the format says it holds; the outline, if there is one,
    says the same of the atoms; if the format writes, a system survives writing and reading
    unchanged, and no temporary file remains; cut-off and damaged variants either are read or raise
    `FormatError` (never another error), in bounded time; and where a cut-off file is read, nothing
    of the system was in what is lost.

    Parameters
    ----------
    spec : FormatSpec
        The format.
    samples : iterable of Path
        Good files.
    folder : Path
        An empty folder to work in.
    seconds : float
        No single reading may take longer.
    seed : int
        Of the damage.

    Raises
    ------
    AssertionError
        The format breaks a promise; the message names it and the file.
    """
    read, sniff = hooks.load(spec.read), hooks.load(spec.sniff)
    samples = [Path(sample) for sample in samples]
    _require(bool(samples), f"format {spec.name}: give at least one sample")
    _check_foreign_files(spec, folder)
    for sample in samples:
        confidence = sniff(sample)
        _require(
            isinstance(confidence, float) and 0.5 <= confidence <= 1,
            f"format {spec.name}: sniff answers {confidence!r} for its own sample {sample}",
        )
        system = read(sample)
        _require(isinstance(system, LCAOSystem), f"{sample}: read gives {type(system).__name__}")
        _require(
            not spec.holds or system.spin.value in spec.holds,
            f"{sample} is {system.spin.value}; format {spec.name} says it holds "
            f"{', '.join(sorted(spec.holds))}",
        )
        if spec.outline is not None:
            _check_outline(spec, system, sample)
        if spec.write is not None:
            _check_round_trip(spec, system, folder / sample.name)
        _check_damage(spec, sample, system, folder, seconds=seconds, seed=seed)


def _check_foreign_files(spec: FormatSpec, folder: Path) -> None:
    sniff = hooks.load(spec.sniff)
    foreign = {
        "empty": b"",
        "text.txt": b"a line\n" * 100,
        "zeros.bin": bytes(4096),
        "image.png": b"\x89PNG\r\n\x1a\n" + bytes(64),
    }
    for name, data in foreign.items():
        path = folder / name
        path.write_bytes(data)
        try:
            confidence = sniff(path)
        except Exception as error:
            raise AssertionError(
                f"format {spec.name}: sniff raises {error!r} for a foreign file ({name})"
            ) from error
        _require(
            confidence < 0.5,
            f"format {spec.name}: sniff answers {confidence} for a foreign file ({name})",
        )
        path.unlink()


def _check_outline(spec: FormatSpec, system: LCAOSystem, sample: Path) -> None:
    """The outline says what the whole system says."""
    found = hooks.load(spec.outline or "")(sample)
    for name in ("structure", "spin", "n_electrons", "fermi_level", "source"):
        a, b = getattr(found, name, None), getattr(system, name)
        _require(a == b, f"{sample}: the outline has {name} {a}, the system {b}")


def _check_round_trip(spec: FormatSpec, system: LCAOSystem, path: Path) -> None:
    read, write = hooks.load(spec.read), hooks.load(spec.write or "")
    before = set(path.parent.iterdir())
    write(system, path)
    left = set(path.parent.iterdir()) - before - {path}
    _require(not left, f"format {spec.name}: writing leaves {sorted(map(str, left))} behind")
    assert_same_system(read(path), system)
    path.unlink()


def _check_damage(
    spec: FormatSpec,
    sample: Path,
    system: LCAOSystem,
    folder: Path,
    *,
    seconds: float,
    seed: int,
) -> None:
    read, sniff = hooks.load(spec.read), hooks.load(spec.sniff)
    outline = None if spec.outline is None else hooks.load(spec.outline)
    work = folder / "damaged"
    work.mkdir()
    for damage, path in damaged_copies(sample, work, seed=seed):
        where = f"format {spec.name}, {sample.name}, {damage}"
        start = time.process_time()
        try:
            sniff(path)
        except Exception as error:
            raise AssertionError(f"{where}: sniff raises {error!r}") from error
        if outline is not None:
            try:
                outline(path)
            except FormatError as error:
                _require(len(str(error)) > 10, f"{where}: the message is only {str(error)!r}")
            except Exception as error:
                raise AssertionError(f"{where}: {error!r} from the outline") from error
        try:
            result = read(path)
        except FormatError as error:
            _require(len(str(error)) > 10, f"{where}: the message is only {str(error)!r}")
            continue
        except Exception as error:
            raise AssertionError(f"{where}: {error!r} instead of a FormatError") from error
        finally:
            spent = time.process_time() - start
            _require(spent < seconds, f"{where}: reading took {spent:.0f} s")
        if damage.startswith("cut"):
            # losing a trailing remark is harmless, losing anything of the system is not
            assert_same_system(result, system)
    shutil.rmtree(work)


def assert_same_system(found: LCAOSystem, expected: LCAOSystem) -> None:
    """Check that two systems are equal to the last bit, provenance included.

    Raises
    ------
    AssertionError
        Names the first part that differs.
    """
    _require(found.structure == expected.structure, "the structures differ")
    _same_tree(found.basis.to_dict(), expected.basis.to_dict(), "basis")
    for name in ("spin", "n_electrons", "fermi_level", "kpts", "warnings"):
        a, b = getattr(found, name), getattr(expected, name)
        _require(a == b, f"{name}: {a} instead of {b}")
    _same_tree(dict(found.provenance), dict(expected.provenance), "provenance")
    _same_matrix(found.hamiltonian, expected.hamiltonian, "hamiltonian")
    _same_matrix(found.overlap, expected.overlap, "overlap")
    _require(
        set(found.operators) == set(expected.operators),
        f"operators {sorted(found.operators)} instead of {sorted(expected.operators)}",
    )
    for name, matrix in found.operators.items():
        _same_matrix(matrix, expected.operators[name], name)


def _same_matrix(found: BlockMatrix, expected: BlockMatrix, name: str) -> None:
    _require(found.pattern == expected.pattern, f"{name}: the patterns differ")
    _require(found.symmetry == expected.symmetry, f"{name}: the symmetries differ")
    _require(found.dtype == expected.dtype, f"{name}: {found.dtype} instead of {expected.dtype}")
    for a, b in zip(found.values, expected.values, strict=True):
        _require(np.array_equal(a, b), f"{name}: numbers differ")


def _same_tree(found: object, expected: object, where: str) -> None:
    if isinstance(expected, dict):
        _require(isinstance(found, dict) and set(found) == set(expected), f"{where}: names differ")
        for key, value in expected.items():
            _same_tree(found[key], value, f"{where}.{key}")  # type: ignore[index]  # checked above
    elif isinstance(expected, list | tuple):
        same = isinstance(found, list | tuple) and len(found) == len(expected)
        _require(same, f"{where}: lengths differ")
        for n, (a, b) in enumerate(zip(found, expected, strict=True)):  # type: ignore[call-overload]
            _same_tree(a, b, f"{where}[{n}]")
    elif isinstance(expected, np.ndarray):
        _require(np.array_equal(np.asarray(found), expected), f"{where}: numbers differ")
    else:
        _require(found == expected, f"{where}: {found!r} instead of {expected!r}")
