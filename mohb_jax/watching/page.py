"""A live run as one page that needs no network and has no script."""

import base64
import html
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mohb_jax.report.assets import asset
from mohb_jax.report.figures.panels import STYLE
from mohb_jax.store import write_atomically
from mohb_jax.watching.text import cell, goal, lines, span
from mohb_jax.watching.view import Seen, View

LATEST_JOBS = 100
FRONT, OTHERS = "#0072B2", "#999999"


def write_page(view: View, path: Path, now: float | int | None = None) -> None:
    """Writes the page; an older one is replaced whole.

    Args:
        view: the run.
        path: of the page.
        now: by the clock of the run; the system's if None.
    """
    text = page_html(view, time.time() if now is None else now)
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def page_html(view: View, now: float | int) -> str:
    """The page; nothing of the run is read as markup."""
    template = (Path(__file__).parent / "run.html").read_text(encoding="utf-8")
    told = [line for line in lines(view, now) if not line.startswith("  ")]
    return Template(template).substitute(
        title=html.escape(f"{view.path.name} · live run"),
        name=html.escape(view.path.name),
        style=asset("page.css"),
        lead=". ".join(map(html.escape, told)) + ".",
        picture=_picture(view),
        front=_front(view),
        jobs=_jobs(view),
    )


def _picture(view: View) -> str:
    """The results in the first two objectives, and how the hypervolume grew; nothing before two results."""
    if len(view.full) < 2:
        return ""
    pictures = [_image("Results", view, _draw_results)]
    if view.growth is not None:
        pictures.append(_image("Growth of the hypervolume", view, _draw_growth))
    return f'<div class="pictures">{"".join(pictures)}</div>'


def _image(alt: str, view: View, draw: Callable[[View, Any], None]) -> str:
    """A picture of its own, so that narrow pages put one below the other."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.5, 3.4), layout="constrained", dpi=150)
        canvas = FigureCanvasAgg(figure)
        draw(view, figure.subplots())
        buffer = io.BytesIO()
        canvas.print_png(buffer)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{alt}" src="data:image/png;base64,{data}">'


def _draw_results(view: View, axes: Any) -> None:
    first, *others = view.setup.objectives
    values = [view.values(job) for job in view.full]
    second = others[0].name if others else None
    x = [own[first.name] for own in values]
    y = [own[second] if second else place for place, own in enumerate(values)]
    for on, colour, label in ((False, OTHERS, "other results"), (True, FRONT, "front")):
        chosen = np.flatnonzero(view.on_front == on)
        axes.plot(np.take(x, chosen), np.take(y, chosen), "o", ms=4, color=colour, label=label)
    axes.set(xlabel=goal(first), ylabel=goal(others[0]) if others else "results")
    axes.legend()


def _draw_growth(view: View, axes: Any) -> None:
    assert view.growth is not None
    minutes = [(job.ended - view.began) / 60 for job in view.full]
    axes.step(minutes, view.growth, where="post", color=FRONT)
    axes.set(xlabel="minutes", ylabel="hypervolume so far (1 is the whole box)", ylim=(0, 1))


def _front(view: View) -> str:
    if not view.full:
        return "<p>There is no result at the highest fidelity yet.</p>"
    rows = [{"job": job.id, **view.values(job), **view.config(job)} for job in view.front]
    return _table("Configurations that no other beats in all objectives", rows)


def _jobs(view: View) -> str:
    if not view.jobs:
        return "<p>No job was handed out yet.</p>"
    latest = view.jobs[-LATEST_JOBS:][::-1]
    caption = "All jobs" if len(latest) == len(view.jobs) else f"The latest {len(latest)} jobs"
    return _table(f"{caption}, the last one first", [_job(view, job) for job in latest])


def _job(view: View, job: Seen) -> dict[str, Any]:
    fidelity = view.setup.fidelities[job.level]
    values = view.values(job) if job.state == "done" else dict.fromkeys(o.name for o in view.setup.objectives)
    begun = span(job.asked - view.began)
    own = {"job": job.id, "state": job.state, view.setup.fidelity: fidelity, "handed out after": begun}
    return {**own, "worker": job.worker, **values, **view.config(job)}


def _table(caption: str, rows: Sequence[dict[str, Any]]) -> str:
    """A table in a box that scrolls."""
    head = "".join(f"<th scope='col'>{html.escape(str(name))}</th>" for name in rows[0])
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell(value))}</td>" for value in row.values()) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="table" role="region" tabindex="0"><table><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )
