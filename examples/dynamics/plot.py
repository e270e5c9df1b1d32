"""Temperature, gap and Fermi level of a run of `hot_crystal.py` against time.

    python plot.py silicon_900K silicon_900K.png

Means and spreads leave out the first half picosecond, in which the crystal warms up.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl
import numpy as np

from ase_mlham.plots.style import COLOURS, STYLE

mpl.use("Agg")

WARMING_UP = 500.0
"""fs left out of means."""

PANELS = (
    ("temperature_K", "temperature (K)", COLOURS[4]),
    ("gap_eV", "gap (eV)", COLOURS[0]),
    ("fermi_level_eV", "Fermi level (eV)", COLOURS[2]),
)


def load(folder: Path) -> dict[str, np.ndarray]:
    """Columns of the results, by name."""
    text = (folder / "electronic.jsonl").read_text()
    # a run may be going on: its last line need not be complete
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return {name: np.array([line[name] for line in lines]) for name in lines[0]}


def draw(columns: dict[str, np.ndarray], target: Path) -> None:
    """One panel below the other; dashed: the crystal at rest, from which the run starts."""
    import matplotlib.pyplot as plt

    time = columns["time_fs"]
    warm = time >= min(WARMING_UP, time[-1] / 2)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(PANELS), 1, sharex=True, figsize=(5.2, 4.6), layout="constrained"
        )
        for ax, (name, label, colour) in zip(axes, PANELS, strict=True):
            values = columns[name]
            mean, spread = values[warm].mean(), values[warm].std()
            ax.axvspan(0, time[~warm].max(initial=0) / 1000, color="0.94", zorder=0)
            ax.axhline(mean, color=colour, linewidth=0.6, alpha=0.6)
            if name != "temperature_K":
                ax.axhline(values[0], color="0.4", linewidth=0.8, linestyle="--")
            ax.plot(time / 1000, values, "o-", color=colour, markersize=2.2)
            ax.set_ylabel(label)
            digits = 0 if name == "temperature_K" else 3
            ax.set_title(
                f"mean {mean:.{digits}f}, spread {spread:.{digits}f}",
                loc="right", fontsize=8, color=colour,
            )  # fmt: skip
        axes[1].annotate(
            "at rest", (time[-1] / 1000, columns["gap_eV"][0]), xytext=(-8, -3),
            textcoords="offset points", ha="right", va="top", fontsize=8, color="0.4",
        )  # fmt: skip
        axes[0].annotate(
            "warming up", (0.012, 0.88), xycoords="axes fraction", fontsize=8, color="0.5"
        )
        axes[-1].set_xlabel("time (ps)")
        axes[-1].set_xlim(0, time[-1] / 1000)
        figure.savefig(target, dpi=130)
        plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    columns = load(options.folder)
    draw(columns, options.picture)
    time, gap = columns["time_fs"], columns["gap_eV"]
    warm = gap[time >= WARMING_UP] if time[-1] > WARMING_UP else gap
    print(f"{len(gap)} frames, {time[-1] / 1000:g} ps; gap at rest {gap[0]:.3f} eV, warm "
          f"{warm.mean():.3f} eV on average ({warm.min():.3f} to {warm.max():.3f})")  # fmt: skip


if __name__ == "__main__":
    main()
