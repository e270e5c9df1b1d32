"""How pictures look: sizes for a journal column, thin lines, few colours, readable labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "DIVERGING",
    "DOWN",
    "REFERENCE",
    "SOURCE",
    "STYLE",
    "UP",
    "group_label",
    "label",
    "new_axes",
    "save",
]

SOURCE = "#1f4e79"
REFERENCE = "#b5462f"
UP, DOWN = "#1f4e79", "#c2691f"
COLOURS = (
    "#1f4e79",
    "#c2691f",
    "#3d8361",
    "#7d4f9e",
    "#b5462f",
    "#5f7f95",
    "#a08a1e",
    "#7a7a7a",
    "#d48fb0",
    "#2aa1b3",
)
"""Distinct in print and for the colour-blind, as far as ten colours can be."""

DIVERGING = "RdBu_r"
"""Colour map of a component of spin: red for +1, white for none, blue for -1."""

STYLE: Any = {
    "axes.linewidth": 0.7,
    "axes.labelsize": 9,
    "font.size": 9,
    "font.family": "sans-serif",
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "lines.solid_capstyle": "round",
    "mathtext.default": "regular",
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "savefig.dpi": 300,
    "xtick.direction": "out",
    "ytick.direction": "in",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "ytick.right": True,
    "xtick.labelsize": 9,
    "ytick.labelsize": 8,
}
"""Settings of matplotlib while a picture is made here; they change nothing outside."""


def label(name: str) -> str:
    """A special point as it is printed: Γ for G, digits as subscripts."""
    if name in ("G", "Gamma", "GAMMA"):
        return "Γ"
    return re.sub(r"(\d+)$", r"$_{\1}$", name)


def group_label(info: Mapping[str, str]) -> str:
    """What a group of orbitals is, without its spin: "Si p", "0 Bi", "2.10 Å", "total"."""
    if "height" in info:
        return f"{float(info['height']):.2f} Å"
    if "name" in info:
        return info["name"]
    symbol = info.get("symbol", "")
    if "index" in info:
        symbol = f"{info['index']} {symbol}"  # as the tables of the commands name atoms
    orbital = info.get("orbital", "")
    if len(orbital) > 1:
        direction = orbital[1:].replace("2", "^2").replace("-", "{-}")
        orbital = f"{orbital[0]}$_{{{direction}}}$"
    return f"{symbol} {orbital}".strip() or "total"


def new_axes(columns: int = 1, widths: tuple[float, ...] = (1.0,), height: float = 2.9) -> Any:
    """A figure with axes side by side that share the energy axis.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : tuple of matplotlib.axes.Axes
    """
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1,
            columns,
            sharey=columns > 1,
            squeeze=False,
            figsize=(3.6 * sum(widths), height),
            gridspec_kw={"width_ratios": widths, "wspace": 0.06},
            layout="constrained",
        )
    return figure, tuple(axes[0])


def save(source: Figure | Axes, path: Any) -> None:
    """Write a picture; the suffix decides the format (png, pdf, svg)."""
    import matplotlib.pyplot as plt

    figure: Any = getattr(source, "figure", source)
    with plt.rc_context(STYLE):
        figure.savefig(path, dpi=300, bbox_inches="tight", pad_inches=0.03)
