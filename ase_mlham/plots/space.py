"""Slices of densities and wave functions, and images of a tunnelling microscope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.plots.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_mlham.real_space import STMImage
    from ase_mlham.real_space.slices import Slice

__all__ = ["plot_slice", "plot_stm"]

IN_PLANE, NEAR = 0.25, 0.9
"""Å from the plane: atoms that are named, and atoms that are shown as rings."""

WIDTH = 3.6
"""Inches."""

TALL = 0.84
"""Height of an image of a microscope in units of its width."""


def plot_slice(
    found: Slice,
    *,
    limit: float | None = None,
    contours: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a slice: colours, contour lines, and the atoms of the plane.

    Parameters
    ----------
    found : Slice
        From `ase_mlham.real_space.slices.slice_field`.
    limit : float, optional
        Value at the end of the colours, in the unit of the slice; by default the largest but for
        what lies within half an Å of atoms. A function with two signs is red where it is positive
        and blue where it is negative, with the same limit for both.
    contours : bool
        Draw lines of equal value: eight equal steps to the limit, dashed where they are negative.
    title : str, optional
        Above the picture; the name of the slice if not given.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    """
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        axes = _new(np.ptp(found.y) / np.ptp(found.x)) if ax is None else ax
        top = _limit(found) if limit is None else float(limit)
        signed = found.signed
        image = axes.pcolormesh(
            found.x,
            found.y,
            found.values,
            cmap="RdBu_r" if signed else "viridis",
            vmin=-top if signed else 0.0,
            vmax=top,
            rasterized=True,
            shading="nearest",
        )
        if contours:
            _lines(axes, found, top, signed=signed)
        _atoms(axes, found, dark=signed)
        above = float(np.nanmax(found.values)) > 1.01 * top
        below = signed and float(np.nanmin(found.values)) < -1.01 * top
        extend = {(0, 0): "neither", (1, 0): "max", (0, 1): "min", (1, 1): "both"}[above, below]
        bar = axes.figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02, extend=extend)
        bar.set_label(_unit(found.unit))
        bar.outline.set_linewidth(0.5)
        _frame(axes, title if title is not None else found.name)
        axes.set_xlim(found.x[0], found.x[-1])
        axes.set_ylim(found.y[0], found.y[-1])
    return axes


def _new(ratio: float) -> Any:
    """Axes whose picture is so many times as high as it is wide, with room for colours beside."""
    import matplotlib.pyplot as plt

    size = (WIDTH, WIDTH * (0.68 * ratio + 0.17))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    figure.set_facecolor("white")
    return axes


def _frame(axes: Axes, title: str) -> None:
    axes.set_aspect("equal")
    axes.set_xlabel("Å")
    axes.set_ylabel("Å")
    axes.tick_params(direction="out", right=False)
    axes.locator_params(nbins=6, steps=[1, 2, 5, 10])
    if title:
        axes.set_title(title, fontsize=8)


def _unit(unit: str) -> str:
    """A unit as it is printed beside the colours."""
    names = {"Å^-3": "$Å^{-3}$", "Å^-3/2": "$Å^{-3/2}$", "eV^-1 Å^-3": "$eV^{-1}\\,Å^{-3}$"}
    return names.get(unit, unit)


def _limit(found: Slice) -> float:
    """Largest value away from the atoms, where what is between them shall be seen."""
    x, y = np.meshgrid(found.x, found.y)
    away = np.isfinite(found.values)
    _, places, height = found.atoms_near(0.5)
    for (a, b), h in zip(places, height, strict=True):
        away &= (x - a) ** 2 + (y - b) ** 2 + h**2 > 0.25
    values = abs(found.values[away]) if away.any() else abs(found.values[np.isfinite(found.values)])
    top = float(values.max(initial=0.0))
    return top if top > 0 else 1.0


def _lines(axes: Axes, found: Slice, top: float, *, signed: bool) -> None:
    steps = top * np.arange(1, 9) / 8
    values = np.nan_to_num(found.values)
    options: dict[str, Any] = {"linewidths": 0.45, "alpha": 0.75}
    colour = "0.15" if signed else "white"
    axes.contour(found.x, found.y, values, steps, colors=colour, **options)
    if signed:
        axes.contour(
            found.x, found.y, values, -steps[::-1], colors=colour, linestyles="dashed", **options
        )


def _atoms(axes: Axes, found: Slice, *, dark: bool) -> None:
    from matplotlib.patheffects import withStroke

    from ase_mlham.core.basis import symbol

    colour, edge = ("0.1", "white") if dark else ("white", "0.1")
    outline = [withStroke(linewidth=1.5, foreground=edge)]
    atom, places, height = found.atoms_near(NEAR)
    for index, (x, y), h in zip(atom, places, height, strict=True):
        if abs(h) > IN_PLANE:
            axes.plot(x, y, "o", mfc="none", mec=colour, ms=4, mew=0.7)
            continue
        if min(x - found.x[0], found.x[-1] - x, y - found.y[0], found.y[-1] - y) < 0.2:
            continue  # half a letter would be seen
        axes.text(
            x,
            y,
            symbol(int(found.structure.numbers[index])),
            color=colour,
            fontsize=8,
            ha="center",
            va="center",
            clip_on=True,
            path_effects=outline,
        )


def plot_stm(
    image: STMImage,
    *,
    size: float = 12.0,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw an image of a tunnelling microscope.

    Parameters
    ----------
    image : STMImage
        From `ase_mlham.real_space.stm_image`.
    size : float
        Width of the picture, Å; as many cells are drawn as it takes.
    title : str, optional
        Above the picture; bias and height or current if not given.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    """
    import matplotlib.pyplot as plt

    cell = image.structure.cell[:2]
    # a window without corners of the cells needs about twice as many
    a, b = np.ceil(2.2 * size / np.linalg.norm(cell, axis=1)).astype(int)
    repeat = (int(a), int(b))
    normal = np.cross(cell[0], cell[1])
    right = cell[0] / np.linalg.norm(cell[0])
    frame = np.stack([right, np.cross(normal / np.linalg.norm(normal), right)])
    flat = cell @ frame.T
    n1, n2 = image.values.shape
    # one more point at each end, so that cells join without a seam
    i, j = np.meshgrid(np.arange(n1 * repeat[0] + 1), np.arange(n2 * repeat[1] + 1), indexing="ij")
    places = (i[..., None] / n1) * flat[0] + (j[..., None] / n2) * flat[1]
    # distances count from the lower left corner of the picture
    middle = (repeat[0] * flat[0] + repeat[1] * flat[1]) / 2
    places = places - middle + np.array([size, TALL * size]) / 2
    values = image.values[i % n1, j % n2]
    with plt.rc_context(STYLE):
        axes = _new(TALL) if ax is None else ax
        shown = axes.pcolormesh(
            places[..., 0],
            places[..., 1],
            np.ma.masked_invalid(values),
            cmap="afmhot",
            shading="gouraud" if np.isfinite(values).all() else "nearest",
            rasterized=True,
        )
        axes.set_facecolor("0.5")
        _top_atoms(axes, image, frame, repeat, places[0, 0])
        axes.set_xlim(0, size)
        axes.set_ylim(0, TALL * size)
        bar = axes.figure.colorbar(shown, ax=axes, shrink=0.85, pad=0.02)
        bar.set_label("LDOS ($Å^{-3}$)" if image.mode == "height" else "height (Å)")
        bar.outline.set_linewidth(0.5)
        setting = (
            f"height {image.setting:g} Å"
            if image.mode == "height"
            else f"density {image.setting:g} $Å^{{-3}}$"
        )
        _frame(axes, f"bias {image.bias:g} V, {setting}" if title is None else title)
    return axes


def _top_atoms(
    axes: Axes,
    image: STMImage,
    frame: NDArray[np.float64],
    repeat: tuple[int, int],
    corner: NDArray[np.float64],
) -> None:
    """Rings where the atoms of the outermost half an Å are."""
    structure = image.structure
    normal = np.cross(structure.cell[0], structure.cell[1])
    normal = normal / np.linalg.norm(normal)
    if normal @ structure.full_cell[2] < 0:
        normal = -normal
    height = structure.positions @ normal
    flat = structure.cell[:2] @ frame.T
    for atom in np.flatnonzero(height > height.max() - 0.5):
        # folded into the cell, as the image begins at its corner
        first = image.positions[0, 0]
        inside = np.linalg.solve(flat.T, frame @ (structure.positions[atom] - first)) % 1.0
        for a in range(repeat[0]):
            for b in range(repeat[1]):
                x, y = (inside + np.array([a, b])) @ flat + corner
                axes.plot(x, y, "o", mfc="none", mec="#4aa3df", ms=4, mew=0.7, clip_on=True)
