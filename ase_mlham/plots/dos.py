"""Densities of states: total, or projected as lines or stacked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_mlham.errors import InputError
from ase_mlham.plots.style import COLOURS, DOWN, STYLE, UP, group_label, new_axes

if TYPE_CHECKING:
    from ase.spectrum.doscollection import GridDOSCollection
    from matplotlib.axes import Axes

__all__ = ["draw_dos", "plot_dos"]

EMIN, EMAX = -10.0, 8.0


def _fermi_level(dos: GridDOSCollection) -> float:
    for curve in dos:
        if "fermi_level" in curve.info:
            return float(curve.info["fermi_level"])
    raise InputError(
        "this density of states does not know its Fermi level: give reference= in eV, or 'none'"
    )


def _curves(dos: GridDOSCollection) -> dict[str, dict[int, NDArray[np.float64]]]:
    """Values by name and sign: +1 up or both, -1 down."""
    out: dict[str, dict[int, NDArray[np.float64]]] = {}
    for curve in dos:
        sign = -1 if curve.info.get("spin") == "down" else 1
        values = out.setdefault(group_label(dict(curve.info)), {})
        values[sign] = values.get(sign, 0.0) + np.asarray(curve.get_weights())
    return out


def draw_dos(
    axes: Axes,
    dos: GridDOSCollection,
    zero: float,
    emin: float,
    emax: float,
    *,
    vertical: bool = False,
    stacked: bool = False,
) -> None:
    """Curves on given axes; energies upwards if `vertical`, spin down to the other side."""
    energies = np.asarray(dos.get_energies()) - zero
    inside = (energies >= emin) & (energies <= emax)
    if not inside.any():
        raise InputError(f"the density of states has no energies from {emin} to {emax} eV")
    e = energies[inside]
    curves = _curves(dos)
    polarised = any(-1 in values for values in curves.values())
    several = len(curves) > 1
    total = {s: np.zeros(len(e)) for s in ((1, -1) if polarised else (1,))}
    for n, (name, values) in enumerate(curves.items()):
        for sign, raw in values.items():
            # up and down as in the bands beside it; the colours of projections mean other things
            alone = (UP if sign > 0 else DOWN) if polarised else "0.25"
            colour = COLOURS[n % len(COLOURS)] if several else alone
            curve = sign * raw[inside]
            base = total[sign].copy() if stacked else np.zeros(len(e))
            total[sign] += curve
            text = name if several and sign == max(values) else None
            fill = axes.fill_betweenx if vertical else axes.fill_between
            if stacked:
                fill(e, base, base + curve, color=colour, linewidth=0, alpha=0.85, label=text)
            elif not several:
                fill(e, 0, curve, color="0.85", linewidth=0)
            if not stacked:
                data = (curve, e) if vertical else (e, curve)
                axes.plot(*data, color=colour, linewidth=0.9, label=text)
    if several:
        for curve in total.values():
            data = (curve, e) if vertical else (e, curve)
            axes.plot(*data, color="0.35", linewidth=0.6, zorder=1)
    # a flat band is a spike of any height: the few highest points may leave the picture
    top = 1.15 * max(float(np.quantile(abs(curve), 0.99)) for curve in total.values()) or 1.0
    limits = (-top if polarised else 0.0, top)
    line: dict[str, Any] = {
        "color": "0.45",
        "linewidth": 0.6,
        "linestyle": (0, (1, 2)),
        "zorder": 1,
    }
    if vertical:
        axes.axhline(0.0, **line)
        axes.set_xlim(*limits)
        axes.set_xticks([])
        axes.set_xlabel("DOS")
    else:
        axes.axvline(0.0, **line)
        axes.set_ylim(*limits)
        axes.set_xlim(emin, emax)
        axes.set_ylabel("DOS (electrons/eV)")
    if polarised:
        (axes.axvline if vertical else axes.axhline)(0.0, color="0.3", linewidth=0.5)
        if not vertical:
            for place, side, spin in ((0.97, "top", "up"), (0.03, "bottom", "down")):
                axes.text(
                    0.02, place, f"spin {spin}", transform=axes.transAxes, va=side, fontsize=8
                )
    if several:
        axes.legend(
            loc="upper right" if vertical else "best",
            ncols=1 if vertical or len(curves) < 7 else 2,
            frameon=True,
            framealpha=0.85,
            edgecolor="none",
            borderpad=0.2,
            borderaxespad=0.3,
            handlelength=1.0 if vertical else 1.4,
            handletextpad=0.4,
            labelspacing=0.25,
            columnspacing=1.0,
            fontsize=7 if vertical else 8,
        )


def plot_dos(
    dos: GridDOSCollection,
    *,
    reference: str | float = "fermi",
    emin: float = EMIN,
    emax: float = EMAX,
    stacked: bool = False,
    compare: GridDOSCollection | None = None,
    labels: tuple[str, str] = ("model", "DFT"),
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a density of states, total or projected.

    Parameters
    ----------
    dos : GridDOSCollection
        From `ase_mlham.dos` or `pdos`. Spin down is drawn downwards.
    reference : {"fermi", "none"} or float
        What is zero: the Fermi level, nothing, or an energy in eV.
    emin, emax : float
        Window in eV around that zero.
    stacked : bool
        Projections on top of one another, so that their outline is the total.
    compare : GridDOSCollection, optional
        A second source, whose total is drawn dashed.
    labels : (2,) str
        Names of the two sources, used with `compare`.
    title : str, optional
        Above the picture.
    ax : Axes, optional
        Where to draw; a new figure otherwise.
    """
    import matplotlib.pyplot as plt

    if not emin < emax:
        raise InputError(f"an energy window from {emin} to {emax} eV; emin must be the smaller")
    with plt.rc_context(STYLE):
        axes: Axes = new_axes(height=2.4)[1][0] if ax is None else ax
        draw_dos(axes, dos, _zero(dos, reference), emin, emax, stacked=stacked)
        if compare is not None:
            _draw_total(axes, compare, _zero(compare, reference), labels)
        axes.set_xlabel(r"$E - E_\mathrm{F}$ (eV)" if reference == "fermi" else "Energy (eV)")
        if title:
            axes.set_title(title, fontsize=9)
        return axes


def _zero(dos: GridDOSCollection, reference: str | float) -> float:
    if isinstance(reference, int | float):
        return float(reference)
    if reference == "none":
        return 0.0
    if reference == "fermi":
        return _fermi_level(dos)
    raise InputError(f"reference {reference!r} is unknown; accepted: fermi, none or a number")


def _draw_total(axes: Axes, dos: GridDOSCollection, zero: float, labels: tuple[str, str]) -> None:
    energies = np.asarray(dos.get_energies()) - zero
    totals: dict[int, NDArray[np.float64]] = {}
    for values in _curves(dos).values():
        for sign, raw in values.items():
            totals[sign] = totals.get(sign, 0.0) + sign * raw
    for n, curve in enumerate(totals.values()):
        text = labels[1] if n == 0 else None
        axes.plot(
            energies, curve, color="#b5462f", linewidth=0.9, linestyle=(0, (3.5, 1.8)), label=text
        )
    if len(axes.lines) and str(axes.lines[0].get_label()).startswith("_"):
        axes.lines[0].set_label(labels[0])
    top = max(abs(limit) for limit in axes.get_ylim())
    inside = (energies >= axes.get_xlim()[0]) & (energies <= axes.get_xlim()[1])
    highest = 1.05 * max(float(abs(curve[inside]).max(initial=0.0)) for curve in totals.values())
    top = max(top, highest)
    axes.set_ylim(-top if axes.get_ylim()[0] < 0 else 0.0, top)
    axes.legend(loc="upper right")
