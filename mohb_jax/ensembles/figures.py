"""Figures of the page of ensembles: tuners side by side, and fronts of loss and cost."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.ensembles.findings import Findings, TaskFindings
from mohb_jax.ensembles.libraries import UNITS
from mohb_jax.report.figures.panels import STYLE, plain
from mohb_jax.report.style import NUM_LOOKS, look, looks_of, number

_FILLS = ("full", "none", "bottom", "left")
"""How markers are filled where colours come again."""


def write_tuners(found: Findings, analysis: Analysis, head: str, out: Path) -> list[Path]:
    """Hypervolume and loss of ensembles against that of tuning, a dot and an interval for each tuner."""
    looks = looks_of(analysis.study)
    rows = [row for row in found.rows if row.way == head][: len(found.methods)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.9 + 0.16 * ((len(rows) + 3) // 4)), layout="constrained")
        panels = figure.subplots(1, 2)
        for row in rows:
            drawn = look(looks[row.method])
            for panel, name in zip(panels, ("hypervolume", "test_loss"), strict=True):
                value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
                if low is not None:
                    panel.plot([row.tuning] * 2, [low, high], color=drawn.colour, lw=1)
                filled = _FILLS[looks[row.method] // (NUM_LOOKS // len(_FILLS)) % len(_FILLS)]
                marker = {"color": drawn.colour, "ms": 5.5, "fillstyle": filled, "mew": 0.9}
                panel.plot(row.tuning, value, drawn.marker, label=plain(row.method), **marker)
        for panel, label in zip(panels, ("hypervolume of ensembles", "test loss of the chosen"), strict=True):
            panel.set(xlabel="hypervolume of tuning", ylabel=f"{label} ({head})")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        return _saved(figure, out / "tuners")


def write_fronts(found: Findings, analysis: Analysis, head: str, out: Path) -> list[Path]:
    """Test loss against cost, a panel for each task and a line for each tuner."""
    looks = looks_of(analysis.study)
    columns = min(3, len(found.tasks))
    lines = -(-len(found.tasks) // columns)
    with matplotlib.rc_context(STYLE):
        height = 0.6 + 2.1 * lines + 0.16 * ((len(found.methods) + 3) // 4)
        figure = Figure(figsize=(max(3.6, 2.6 * columns), height), layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False).flatten().tolist()
        for panel, task in zip(panels, found.tasks, strict=False):
            _draw_fronts(panel, task, found, head, looks, analysis.study.methods)
        for panel in panels[len(found.tasks) :]:
            panel.set_visible(False)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(4, columns + 1))
        figure.supxlabel(f"cost, {UNITS[found.cost]}", size=8)
        figure.supylabel("test loss, nats", size=8)
        return _saved(figure, out / "fronts")


def _draw_fronts(
    panel: Any,
    task: TaskFindings,
    found: Findings,
    head: str,
    looks: dict[str, int],
    methods: tuple[str, ...],
) -> None:
    panel.axhline(task.scale.nothing[1], color="#999999", lw=0.8)
    for name in found.methods:
        own = task.libraries.method == methods.index(name)
        if own.any():
            drawn, mean = look(looks[name]), task.outcomes[head].stairs[own].mean(axis=0)
            panel.step(
                task.scale.stairs,
                mean,
                where="post",
                color=drawn.colour,
                ls=drawn.line,
                lw=1.1,
                label=plain(name),
            )
    panel.set(title=plain(task.task), xscale="log", yscale="log")
    panel.set_ylim(top=1.15 * task.scale.nothing[1])
    for axis, steps in ((panel.xaxis, (1.0,)), (panel.yaxis, (1.0, 2.0, 5.0))):
        axis.set_major_locator(LogLocator(subs=steps, numticks=5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        axis.set_minor_formatter(NullFormatter())


def _saved(figure: Figure, stem: Path) -> list[Path]:
    """PDF and PNG without dates, so that equal studies give equal files."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    paths = [stem.with_suffix(".pdf"), stem.with_suffix(".png")]
    figure.savefig(paths[0], metadata={"CreationDate": None})
    figure.savefig(paths[1], dpi=150, metadata={"Software": None})
    return paths
