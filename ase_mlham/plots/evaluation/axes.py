"""What the pictures of an evaluation share: axes, settings, legends and ticks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlham.errors import InputError
from ase_mlham.plots.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_mlham.learning.evaluation import Evaluation

__all__: list[str] = []

Evaluations = Any
"""An `Evaluation`, or several of them in a sequence."""


LONGEST = 26
"""Characters of a name in a picture."""


def several(evaluations: Evaluations) -> list[Evaluation]:
    """One evaluation or several as a list."""
    found = list(evaluations) if isinstance(evaluations, Sequence) else [evaluations]
    if not found:
        raise InputError("there is no evaluation to draw")
    return found


def panels(
    ax: Any, columns: int = 1, rows: int = 1, size: tuple[float, float] = (3.6, 2.8)
) -> list[Axes]:
    """The axes given, or new ones in a figure of its own; `size` in inches is that of one."""
    import matplotlib.pyplot as plt

    if ax is not None:
        given = list(ax) if isinstance(ax, (Sequence, np.ndarray)) else [ax]
        if len(given) != columns * rows:
            raise InputError(f"{len(given)} axes; this picture needs {columns * rows}")
        return given
    _, axes = plt.subplots(
        rows,
        columns,
        squeeze=False,
        figsize=(size[0] * columns, size[1] * rows),
        layout="constrained",
    )
    return list(axes.ravel())


def styled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Draw with the settings of `plots.style`, which change nothing outside."""

    @wraps(function)
    def drawn(*args: Any, **options: Any) -> Any:
        import matplotlib.pyplot as plt

        with plt.rc_context(STYLE):
            return function(*args, **options)

    return drawn


def called(evaluation: Evaluation) -> str:
    """Name of a model as it fits into a picture: of a long one the end, which tells it apart."""
    name = evaluation.model
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"


def logarithmic(axes: Axes) -> None:
    """A logarithmic axis upwards, unless all errors are zero, as on a model's own output."""
    if any(np.any(np.asarray(line.get_ydata()) > 0) for line in axes.lines):
        axes.set_yscale("log")


def legend(axes: Axes, n: int, **options: Any) -> None:
    """Names of models, if there are several."""
    if n > 1:
        axes.legend(handlelength=1.4, **options)


def headroom(axes: Axes, factor: float = 1.3) -> None:
    """Space above the data for a legend."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        axes.set_ylim(low, high * (high / low) ** (factor - 1))
    else:
        axes.set_ylim(low, low + factor * (high - low))


def same_ticks(axes: Axes) -> None:
    """The same few ticks on both axes."""
    from matplotlib.ticker import MaxNLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))


def plain_logarithms(axis: Any, written: Callable[[float], str] = "{:g}".format) -> None:
    """Numbers such as 0.2 and 30 on a logarithmic axis that spans few decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() != "log":
        return
    decades = np.log10(high / low) if low > 0 else 9.0
    if decades > 4:
        return
    between: tuple[float, ...] = (1.0,)
    if decades < 2.2:
        between = (1.0, 2.0, 5.0) if decades > 0.8 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    axis.set_major_locator(LogLocator(subs=between))
    axis.set_major_formatter(FuncFormatter(lambda value, _: written(float(value))))
    axis.set_minor_formatter(NullFormatter())
