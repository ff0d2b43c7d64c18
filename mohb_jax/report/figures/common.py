"""What several figures share: the view of one benchmark, legends, axes, footers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from mohb_jax.analysis.comparison import Comparison
from mohb_jax.analysis.curves import Cell
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.normalise import Normalisation
from mohb_jax.report.figures.panels import plain
from mohb_jax.report.style import (
    TRUE_FRONT_COLOUR,
    look,
    number,
    seeds_text,
    time_unit,
)

# Points larger than a method's, which lie in front of them: a true front may be a single point.
TRUE_FRONT: Any = {"color": TRUE_FRONT_COLOUR, "lw": 3, "alpha": 0.35, "ms": 6, "mew": 0}


class View(NamedTuple):
    """What all figures of one benchmark share."""

    table: AnyTable
    cells: list[Cell]
    scale: Normalisation
    colour: dict[str, int]
    """Each method's place in the study, which decides its look."""
    footer: str


def time_label(cells: list[Cell]) -> str:
    return f"simulated time [{time_unit(cells[0].horizon)[0]}]"


def log_axis(axes: Axes, which: str) -> None:
    """Logarithmic axis with plain numbers; minor ticks carry numbers only where a decade is not spanned."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axis.get_view_interval())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    if low > 0 and high / low < 15:
        axis.set_minor_formatter(FuncFormatter(_minor_number))
    else:
        axis.set_minor_locator(NullLocator())  # minor ticks take most of the drawing time


def _minor_number(value: float, _position: int | None = None) -> str:
    leading = f"{value:.0e}"[0]
    return number(value) if leading in "25" else ""


def view_handles(view: View, markers: bool = False) -> list[Line2D]:
    """Legend entries of the methods that have results, in the study's order."""
    present = {cell.method for cell in view.cells}
    handles = []
    for method, index in view.colour.items():
        if method in present:
            style = look(index)
            marker = style.marker if markers else ""
            handles.append(
                Line2D([], [], color=style.colour, ls=style.line, marker=marker, ms=4, label=plain(method))
            )
    return handles


GREY = "#444444"


def basis(data: Comparison) -> str:
    """Tasks and seeds: every figure states them."""
    tasks = tasks_text(len(data.tasks), data.num_left_out)
    return f"{tasks}, {seeds_text([data.values.shape[2]])} each.{without_text(data.without)}"


def without_text(methods: Sequence[str]) -> str:
    names = ", ".join(plain(method) for method in methods)
    return f" Without results on every benchmark, so not here: {names}." if methods else ""


def tasks_text(num_tasks: int, num_left_out: int) -> str:
    tasks = f"{num_tasks} task" + ("s" if num_tasks != 1 else "")
    return tasks + (f" ({num_left_out} left out: not all methods have results)" if num_left_out else "")


def method_handles(methods: Sequence[str], colour: Mapping[str, int]) -> list[Line2D]:
    looks = [(plain(method), look(colour[method])) for method in methods]
    return [Line2D([], [], color=style.colour, ls=style.line, label=label) for label, style in looks]
