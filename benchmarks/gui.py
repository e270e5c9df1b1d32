"""How long `mlham gui` takes to its first window, and a frame with many atoms, beside `ase gui`.

    python benchmarks/gui.py [FILE] [--runs 7] [--atoms 1728]

Start: new interpreters, `ase gui FILE` and `mlham gui FILE` in turn, until the main loop is entered
and the first picture is drawn. Frames: both windows in one process turn the same crystal, ours
without anything, with colours and sizes, and with arrows as well; the colours are random numbers,
because what they mean does not matter to Tk. Without a display one is started (Xvfb).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}

# ends where users see something: the main loop would now wait for them
UNTIL_DRAWN = """
import json, os, sys, time, tkinter
def seen():
    tkinter._default_root.update()
    times = os.times()
    print(json.dumps({"wall": time.time(), "cpu": times.user + times.system}), flush=True)
    os._exit(0)
tkinter.mainloop = seen
"""
COMMANDS = {
    "ase gui": "from ase.cli.main import main; main(args=['gui', sys.argv[1]])",
    "mlham gui": "from ase_mlham.cli.main import main; main(['gui', sys.argv[1]])",
}


@contextmanager
def display() -> Iterator[None]:
    """The display of the session, or a virtual one."""
    if os.environ.get("DISPLAY"):
        yield
        return
    program = shutil.which("Xvfb")
    if program is None:
        raise SystemExit("there is no display, and Xvfb is not installed: apt-get install xvfb")
    end, begin = os.pipe()
    server = subprocess.Popen(
        [program, "-displayfd", str(begin), "-screen", "0", "1600x1000x24"],
        pass_fds=[begin],
        stderr=subprocess.DEVNULL,
    )
    os.close(begin)
    with os.fdopen(end) as stream:
        name = f":{stream.readline().strip()}"
    os.environ["DISPLAY"] = ENVIRONMENT["DISPLAY"] = name
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def start(command: str, file: str, home: str) -> dict[str, float]:
    """Wall and processor seconds from the start of an interpreter to the first window."""
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-c", UNTIL_DRAWN + COMMANDS[command], file],
        env={**ENVIRONMENT, "HOME": home},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    return {"wall": told["wall"] - began, "cpu": told["cpu"]}


def starts(file: str, runs: int) -> None:
    """Print the table of starts."""
    times: dict[str, list[dict[str, float]]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as home:
        for command in COMMANDS:
            start(command, file, home)  # files are in the cache from here on
        for _ in range(runs):
            for command in COMMANDS:
                times[command].append(start(command, file, home))
    print(f"\n{Path(file).name}, median of {runs} runs in turn\n")
    print("| command | wall s | CPU s |\n| --- | ---: | ---: |")
    medians = {
        name: {kind: statistics.median(run[kind] for run in found) for kind in ("wall", "cpu")}
        for name, found in times.items()
    }
    for name, median in medians.items():
        print(f"| `{name}` | {median['wall']:.2f} | {median['cpu']:.2f} |")
    ours, plain = medians["mlham gui"], medians["ase gui"]
    print(f"| ratio | {ours['wall'] / plain['wall']:.2f} | {ours['cpu'] / plain['cpu']:.2f} |")


def crystal(n_atoms: int) -> Any:
    """Silicon with germanium atoms, as a cube."""
    import numpy as np
    from ase.build import bulk

    times = round((n_atoms / 8) ** (1 / 3))
    atoms = bulk("Si", "diamond", a=5.5, cubic=True) * (times, times, times)
    atoms.numbers[np.random.default_rng(0).random(len(atoms)) < 0.5] = 32
    return atoms


def frame(gui: Any, runs: int) -> tuple[float, float]:
    """Wall and processor seconds of a frame, the median of some while the crystal is turned."""
    from ase.utils import rotate

    walls, processors = [], []
    for n in range(runs + 1):
        gui.axes = rotate(f"{-70 + 3 * n}x,{10 + 2 * n}y,0z")
        wall, processor = time.perf_counter(), time.process_time()
        gui.draw(status=False)
        gui.window.win.update()
        if n:
            walls.append(time.perf_counter() - wall)
            processors.append(time.process_time() - processor)
    return statistics.median(walls), statistics.median(processors)


def frames(n_atoms: int, runs: int) -> None:
    """Print the table of frames."""
    import numpy as np
    from ase.gui.gui import GUI
    from ase.gui.images import Images

    from ase_mlham.gui.main_window import MLHamGUI
    from ase_mlham.gui.overlay import Arrows

    atoms = crystal(n_atoms)
    rng = np.random.default_rng(0)
    weights, moments = rng.random(len(atoms)), rng.normal(size=(len(atoms), 3))

    def lay(gui: Any, *, arrows: bool) -> None:
        key = gui.electronics.key_shown()
        gui.electronics.colour(key, "weight of the state", weights, sized=True)
        gui.electronics.arrows = Arrows(key, "moment", moments) if arrows else None

    rows: list[tuple[str, type, Callable[[Any], None]]] = [
        ("`ase gui`", GUI, lambda gui: None),
        ("`mlham gui`, nothing laid over the atoms", MLHamGUI, lambda gui: None),
        ("with colours and sizes", MLHamGUI, lambda gui: lay(gui, arrows=False)),
        ("with colours, sizes and arrows", MLHamGUI, lambda gui: lay(gui, arrows=True)),
    ]
    print(f"\n{len(atoms)} atoms, median of {runs} frames of a turn\n")
    print("| window | ms a frame | CPU ms | ratio |\n| --- | ---: | ---: | ---: |")
    plain = 0.0
    for name, kind, prepare in rows:
        gui = kind(Images([atoms.copy()]))
        gui.window.win.geometry("700x700")
        gui.window.win.update()
        gui.focus()
        prepare(gui)
        wall, processor = frame(gui, runs)
        plain = plain or wall
        print(f"| {name} | {1e3 * wall:.0f} | {1e3 * processor:.0f} | {wall / plain:.2f} |")
        gui.exit()


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", default="examples/structures/SiGe.cif")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--atoms", type=int, default=1728)
    options = parser.parse_args()
    with display():
        starts(options.file, options.runs)
        frames(options.atoms, options.runs)
    load = os.getloadavg()[0]
    print(f"\nload average {load:.1f}; wall times mean something only where it is below 1")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
