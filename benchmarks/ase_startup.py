"""What an installed ase-mlham costs those who start ASE and want nothing of it.

    python benchmarks/ase_startup.py [--repeats 15]

Each command runs in new interpreters, in turn with the package's entry points and with them hidden,
so that a busy machine slows both alike. Printed are medians of the processor seconds, their ratio,
and the median of the ratios of neighbours in time. Both variants pass through the same lines that
hide a distribution: the name of the hidden one is all that differs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path

PREAMBLE = """
import importlib.metadata as metadata
original = metadata.Distribution.entry_points.fget
def visible(self):
    hidden = {hidden!r} in getattr(self, "_path").name.lower()
    return metadata.EntryPoints(()) if hidden else original(self)
metadata.Distribution.entry_points = property(visible)
"""

COMMANDS = {
    "ase --help": "import sys; sys.argv[1:] = ['--help']; from ase.cli.main import main; main()",
    "import ase.io": "import ase.io",
    "ase info --files FILE": (
        "import sys; sys.argv[1:] = ['info', '--files', {file!r}]; "
        "from ase.cli.main import main; main()"
    ),
    "ase gui, as far as the images": (
        "from ase.gui.images import Images; Images().read([{file!r}], slice(None))"
    ),
}

WITH, WITHOUT = "no_distribution_is_called_so", "ase_mlham-"


def seconds(code: str) -> float:
    """Processor seconds of a new interpreter."""
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os.execv(sys.executable, [sys.executable, "-c", code])
    _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"failed: {code}")
    return used.ru_utime + used.ru_stime


def seen(hidden: str) -> bool:
    """Whether ASE knows our formats: that what is compared does differ."""
    code = (
        PREAMBLE.format(hidden=hidden)
        + "from ase.io.formats import ioformats\nraise SystemExit('mlham' not in ioformats)"
    )
    child = os.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", code])
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    if not seen(WITH) or seen(WITHOUT):
        raise SystemExit("ase-mlham is not installed here, or cannot be hidden: nothing to compare")
    structure = Path(__file__).parents[1] / "examples" / "structures" / "Si.cif"
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"| {'command':30s} | with, CPU s | without | ratio | of neighbours |")
    print(f"|{'-' * 32}|------------:|--------:|------:|--------------:|")
    for title, code in COMMANDS.items():
        code = code.format(file=str(structure))
        programs = [PREAMBLE.format(hidden=hidden) + code for hidden in (WITH, WITHOUT)]
        for program in programs:
            seconds(program)  # once for the disk
        pairs = [[seconds(program) for program in programs] for _ in range(repeats)]
        with_us, without = (statistics.median(column) for column in zip(*pairs, strict=True))
        neighbours = statistics.median(a / b for a, b in pairs)
        print(
            f"| {title:30s} | {with_us:11.3f} | {without:7.3f} | {with_us / without:5.3f} | "
            f"{neighbours:13.3f} |"
        )


if __name__ == "__main__":
    main()
