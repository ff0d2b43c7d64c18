"""Ensembles on devices as one self-contained page."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from mohb_jax.analysis.statistics import intervals
from mohb_jax.papers.claims_figures import STYLE, save_figure
from mohb_jax.papers.paper import Reproduction
from mohb_jax.papers.paper_page import html_table, paper_page
from mohb_jax.report.style import look, number

QUESTION = "How much faster is an ensemble whose placement is searched for?"
PUBLISHED = 2.7
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def write_figure(rows: Sequence[Any], out: Path) -> list[Path]:
    """Share of the random ensembles that gain at least so much, a line for each number of devices."""
    out.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        panel = figure.subplots()
        for place, devices in enumerate(dict.fromkeys(row.devices for row in rows)):
            own = np.sort([row.speedup for row in rows if row.devices == devices])
            share = 1 - np.arange(own.size) / own.size
            drawn = look(place)
            panel.step(own, share, where="post", color=drawn.colour, label=f"{devices} devices")
        panel.axvline(PUBLISHED, color="#555555", lw=1, ls="--", label='published, "up to"')
        panel.set(xscale="log", xlabel="throughput, greedy / best batch sizes alone")
        panel.set(ylabel="share of ensembles that gain as much", ylim=(0, 1.02))
        ticks = (1, 1.5, 2, 2.7, 4, 8, 16)
        panel.set_xticks(ticks, [number(tick) for tick in ticks])
        panel.minorticks_off()
        panel.legend(loc="upper right", frameon=False)
        return save_figure(figure, out / "speedup")


def page_html(
    reproduction: Reproduction, cases: Sequence[Any], rows: Sequence[Any], figures: Sequence[Path]
) -> str:
    """The page's HTML; it needs no network and has no script, and nothing from data is read as markup."""
    parts = {"speedups": _speedups(rows), "ways": _ways(rows), "cases": _cases(cases)}
    files = ["ensembles.csv", "results.json"]
    answer = _answer(rows)
    return paper_page(reproduction, QUESTION, answer, "pochelu2022.html", parts, files, figures)


def _of(rows: Sequence[Any], devices: int) -> list[Any]:
    return [row for row in rows if row.devices == devices]


def _answer(rows: Sequence[Any]) -> str:
    """What was found, in numbers of this call."""
    texts = []
    for devices in dict.fromkeys(row.devices for row in rows):
        gains = np.array([row.speedup for row in _of(rows, devices)])
        share = 100 * np.mean(gains >= PUBLISHED)
        texts.append(
            f"on {devices} devices the median of {gains.size} random ensembles gains a factor of "
            f"{np.median(gains):.2f}, the largest {gains.max():.2f}, and {share:.0f} % reach {PUBLISHED}"
        )
    return (
        "In a model of throughput, "
        + "; ".join(texts)
        + f'. Published, from measurements: "up to {PUBLISHED}".'
    )


def _speedups(rows: Sequence[Any]) -> str:
    body = []
    for devices in dict.fromkeys(row.devices for row in rows):
        for low, high in ((1, 12), (1, 3), (4, 7), (8, 12)):
            own = [row for row in _of(rows, devices) if low <= row.members <= high]
            if not own:
                continue
            gains = np.array([row.speedup for row in own])
            span = intervals(gains[None])[0] if gains.size > 1 else None
            mean = f"{gains.mean():.2f}"
            if span is not None:
                mean += f' <span class="interval">[{span[0]:.2f}, {span[1]:.2f}]</span>'
            shares = [f"{value:.2f}" for value in np.quantile(gains, SHARES)]
            cells = [f"{devices}", f"{low} to {high}", f"{len(own)}", mean, *shares, f"{gains.max():.2f}"]
            cells.append(f"{100 * np.mean(gains >= PUBLISHED):.0f}")
            body.append("".join(f"<td>{text}</td>" for text in cells))
    head = (
        *("Devices", "Members", "Ensembles", "Mean [95 %]"),
        *(f"{100 * share:.0f} %" for share in SHARES),
        *("Largest", "At least 2.7, %"),
    )
    return html_table("Throughput of the greedy matrix over that of the best batch sizes alone", head, body)


def _ways(rows: Sequence[Any]) -> str:
    body = []
    for devices in dict.fromkeys(row.devices for row in rows):
        own = _of(rows, devices)
        fits = [row for row in own if row.spread is not None]
        ratios = {
            "worst-fit, batches of 8": [row.worst_fit / row.batches for row in own],
            "worst-fit, best batches": [1.0 for _ in own],
            "everywhere": [row.spread / row.batches for row in fits],
            "greedy, 100 neighbours": [row.bounded / row.batches for row in own],
            "greedy, all neighbours": [row.greedy / row.batches for row in own],
        }
        for name, values in ratios.items():
            spans = (
                [f"{value:.2f}" for value in np.quantile(values, (0.25, 0.5, 0.75))] if values else ["–"] * 3
            )
            cells = [name, f"{devices}", f"{len(values)}", *spans]
            body.append("".join(f"<td>{html.escape(text)}</td>" for text in cells))
    head = ("Way", "Devices", "Ensembles that fit", "25 %", "Median", "75 %")
    return html_table("Throughput over that of the best batch sizes alone", head, body)


def _cases(rows: Sequence[Any]) -> str:
    body = [
        "".join(
            f"<td>{html.escape(text)}</td>"
            for text in (row.name, row.found, number(row.throughput), f"{row.over_one:.2f}")
        )
        for row in rows
    ]
    head = ("Members and devices", "Placed", "Examples per second", "Over best batches")
    return html_table("Sizes that the abstract names", head, body)
