"""Energy that can be saved and that a policy saves, as one self-contained page."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from mohb_jax.papers.claims_figures import STYLE, save_figure
from mohb_jax.papers.paper import Reproduction
from mohb_jax.papers.paper_page import html_table, paper_page
from mohb_jax.report.style import look, number

QUESTION = "How much energy do batch size and power limit save?"


def write_figure(potential: Sequence[Any], policy: Sequence[Any], out: Path) -> list[Path]:
    """Percent saved by training, a panel per GPU: what is possible, and what the policy saves."""
    out.mkdir(parents=True, exist_ok=True)
    gpus = list(dict.fromkeys(row.gpu for row in potential))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.5 + 1.6 * ((len(gpus) + 1) // 2)), layout="constrained")
        panels = figure.subplots((len(gpus) + 1) // 2, min(2, len(gpus)), squeeze=False, sharey=True).flat
        for panel, gpu in zip(panels, gpus, strict=False):
            _draw(panel, gpu, [r for r in potential if r.gpu == gpu], [r for r in policy if r.gpu == gpu])
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
        return save_figure(figure, out / "savings")


def _draw(panel: Any, gpu: str, potential: Sequence[Any], policy: Sequence[Any]) -> None:
    place, most, own = np.arange(len(potential)), look(0), look(1)
    panel.barh(
        place, [100 * (1 - row.both) for row in potential], color=most.colour, alpha=0.3, label="possible"
    )
    panel.plot(
        [row.saved for row in policy], place, own.marker, color=own.colour, label="saved by the policy"
    )
    for at, row in zip(place, policy, strict=True):
        if row.saved_low is not None:
            panel.plot([row.saved_low, row.saved_high], [at, at], color=own.colour, lw=1.2)
    panel.set(title=gpu, xlabel="energy saved, %", xlim=(0, 100))
    panel.set_yticks(place, [row.training for row in potential])
    if not panel.yaxis_inverted():  # panels share their axis
        panel.invert_yaxis()


def page_html(
    reproduction: Reproduction, potential: Sequence[Any], policy: Sequence[Any], figures: Sequence[Path]
) -> str:
    """The page's HTML; it needs no network and has no script, and nothing from data is read as markup."""
    parts = {
        "potential": _potential(potential),
        "policy": _policy(policy),
        "lanes": f"{reproduction.seeds}",
    }
    files = ["potential.csv", "policy.csv", "results.json"]
    answer = _answer(potential, policy)
    return paper_page(reproduction, QUESTION, answer, "you2023.html", parts, files, figures)


def _answer(potential: Sequence[Any], policy: Sequence[Any]) -> str:
    """What was found, in numbers of this call."""
    first = potential[0].gpu
    known = [row for row in potential if row.agrees is not None]
    agree = sum(bool(row.agrees) for row in known)
    could = [100 * (1 - row.both) for row in potential if row.gpu == first]
    does = [row.saved for row in policy if row.gpu == first]
    return (
        f"On a {first.upper()} the best pair of batch size and power limit would save {min(could):.1f} % to "
        f"{max(could):.1f} % of the default's energy; {agree} of {len(known)} trainings give the published "
        f"bars to five digits. The policy, which has to find it out, saves {min(does):.1f} % to "
        f"{max(does):.1f} % in the end; its abstract says 15.3 % to 75.8 %."
    )


def _potential(rows: Sequence[Any]) -> str:
    body = []
    for row in rows:
        shares = [f"{value:.5f}" for value in (row.batch_size_alone, row.limit_alone, row.both)]
        pair = f"{row.best_batch_size}, {number(row.best_limit)} W"
        verdict = {None: "–", True: "equal", False: "differs"}[row.agrees]
        cells = [row.gpu, row.training, f"{row.default_batch_size}", *shares, pair, verdict]
        body.append("".join(f"<td>{html.escape(text)}</td>" for text in cells))
    head = (
        "GPU",
        "Training",
        "Default batch",
        "Batch alone",
        "Limit alone",
        "Both",
        "Best pair",
        "Published",
    )
    return html_table("Least energy over that of the default", head, body)


def _policy(rows: Sequence[Any]) -> str:
    body = []
    for row in rows:
        cells = [
            html.escape(row.gpu),
            html.escape(row.training),
            f"{row.saved:.1f}{_span(row.saved_low, row.saved_high, 1)}",
            f"{row.saved_by_best:.1f}",
            f"{row.time:.3f}",
            f"{row.saved_in_all:.1f}",
            f"{row.regret:.3f}{_span(row.regret_low, row.regret_high, 3)}",
            f"{row.grid_regret:.3f}",
            f"{row.extra:.1f}",
        ]
        body.append("".join(f"<td>{text}</td>" for text in cells))
    head = (
        *("GPU", "Training", "Saved in the end, % [95 %]", "Best pair, %", "Time in the end / default"),
        *("Saved in all, %", "Regret [95 %]", "Regret of a grid", "Executions beyond"),
    )
    return html_table("The policy, against the default, the best pair and a grid search", head, body)


def _span(low: float | None, high: float | None, digits: int) -> str:
    return "" if low is None else f' <span class="interval">[{low:.{digits}f}, {high:.{digits}f}]</span>'
