"""The report as one self-contained HTML page: contents, summary, tables, plots, definitions, provenance."""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from plotly.offline import get_plotlyjs

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.normalise import Normalisation, normalisation, true_front
from mohb_jax.report.answers import listed, verdict
from mohb_jax.report.curves import Cell
from mohb_jax.report.sections import (
    Section,
    calibration_section,
    command_html,
    downloads,
    folded,
    made,
    marks,
    price_notice,
    price_section,
    section_html,
    table_html,
)
from mohb_jax.report.statistics import ALL_TASKS, NUM_RESAMPLES, Row
from mohb_jax.report.study import Study
from mohb_jax.report.style import duration, file_names, look, number, objective_pairs, seeds_text

FOLDER = Path(__file__).parent
POINTS_ON_PAGE = 12_000
"""Points of all fronts together that the page holds with their configurations, to stay a small file."""
CURVE_VALUES_ON_PAGE = 300_000
"""Numbers of all curves together; more are thinned along the time grid."""
# Short enough to show beside a legend's marker, which hides the middle of the legend's short line.
_DASHES = {"-": "solid", "--": "4px,3px", "-.": "5px,2px,1px,2px", ":": "1px,2px"}
_SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "*": "star",
}


def page_html(
    study: Study,
    cells: Sequence[Cell],
    rows: Sequence[Row],
    files: Sequence[str],
    out: Path = Path(),
    more: Sequence[Section] = (),
    first: Sequence[Section] = (),
) -> str:
    """The page's HTML; it needs no network, and nothing from data is read as markup or script.

    Args:
        study: names, methods, tables and provenance.
        cells: curves and fronts of every benchmark, task and method.
        rows: what ``summary_rows`` made of them.
        files: what lies beside the page, relative to it.
        out: the page's folder, from which figures are taken into the page.
        more: sections of other modules, which stand after the results by task.
        first: those with which the page begins.
    """
    plotly, script = get_plotlyjs(), _asset("page.js")
    sections = [*first, *_sections(study, cells, rows, files, more)]
    return Template(_asset("template.html")).substitute(
        script_hashes=" ".join(_script_hash(text) for text in (plotly, script)),
        title=html.escape(f"{study.name} · {'re-priced ' * (study.prices is not None)}tuning report"),
        study=html.escape(study.name),
        style=_asset("page.css"),
        contents="\n".join(f'<li><a href="#{s.name}">{html.escape(s.title)}</a></li>' for s in sections),
        notice=_notice(study) + price_notice(study.prices),
        setting=_setting(study, cells),
        sections="\n".join(section_html(study, section, out) for section in sections),
        data=embedded_json(_data(study, cells)),
        plotly=plotly,
        script=script,
    )


def _sections(
    study: Study, cells: Sequence[Cell], rows: Sequence[Row], files: Sequence[str], more: Sequence[Section]
) -> list[Section]:
    """The page's parts in their order; those that this report does not have are left out."""
    paired = any(table.num_objectives > 1 for table in study.tables.values())
    sections = [
        Section("answer", "In short", f"{_answers(study, cells, rows)}\n{_overview(study, rows)}"),
        Section("fronts", "The trade-offs found", _fronts(study, cells)) if paired else None,
        Section("progress", "Progress over simulated time", _progress(study)),
        Section("results", "Results by task", _by_task(study, rows)),
        *more,
        calibration_section(study),
        price_section(study),
        Section(
            "reading", "How to read the numbers", _filled("reading.html", resamples=f"{NUM_RESAMPLES:,}")
        ),
        Section("making", "How this report was made", _making(study, files)),
    ]
    return [section for section in sections if section is not None]


def _filled(name: str, **fields: str) -> str:
    return Template(_asset(name)).substitute(fields)


def _fronts(study: Study, cells: Sequence[Cell]) -> str:
    """The plot of fronts, and its figures on paper."""
    links = []
    for name, stem in file_names(study.tables).items():
        objectives = [objective.name for objective in study.tables[name].objectives]
        words = list(file_names(objectives).values())
        for pair, (x, y) in enumerate(objective_pairs(len(objectives))):
            files = downloads(f"figures/{stem}-front-{words[y]}-{words[x]}") | {"CSV": "front.csv"}
            links.append(_plot_files(study, name, f"pair={pair}", files))
    return _filled("fronts.html", note=_fronts_note(study, cells), made="\n".join(links))


def _progress(study: Study) -> str:
    """The plot of curves, and its figures on paper."""
    links = []
    for name, stem in file_names(study.tables).items():
        for measure, kind in enumerate(("hypervolume", "front-found")):
            files = downloads(f"figures/{stem}-{kind}") | {"CSV": "curves.csv"}
            links.append(_plot_files(study, name, f"measure={measure}", files))
    return _filled("progress.html", made="\n".join(links))


def _plot_files(study: Study, benchmark: str, choice: str, files: dict[str, str]) -> str:
    """Files of a plot as it is with one choice made; the page's script shows those of the choice in force."""
    label = f'<span class="which">{html.escape(benchmark)}, all tasks and methods</span>'
    attributes = f'{marks(study, benchmark)} data-choice="{choice}"'
    return f'<div class="choice"{attributes}>{label}{made(study, files)}</div>'


def _asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _script_hash(text: str) -> str:
    """Source expression that lets a browser run this script and no other."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def embedded_json(value: Any) -> str:
    """JSON that can stand inside a script element: it holds no character that HTML could read as markup."""
    text = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


# --- words and tables ------------------------------------------------------------------------------------


def _notice(study: Study) -> str:
    """What is missing from an incomplete study; nothing for a whole one."""
    finished = len(study.units)
    if finished >= study.num_units:
        return ""
    return (
        f'<p class="notice" role="note">{finished:,} of {study.num_units:,} work units '
        f"{'is' if finished == 1 else 'are'} finished; these numbers are of a part of the study. "
        "The same <code>mohb run</code> command finishes it.</p>"
    )


def _setting(study: Study, cells: Sequence[Cell]) -> str:
    """What was compared, in a sentence."""
    methods = [method for method in study.methods if any(cell.method == method for cell in cells)]
    tables = ", ".join(_setting_of(name, table, cells) for name, table in study.tables.items())
    objectives = list(dict.fromkeys(o.name for table in study.tables.values() for o in table.objectives))
    seeds = seeds_text([cell.runs.size for cell in cells])
    return html.escape(
        f"{listed(methods)} on {tables}; {seeds} each. Objectives: {listed(objectives)}. All runs are "
        "simulated: every result is looked up in a table of training runs."
    )


def _setting_of(name: str, table: AnyTable, cells: Sequence[Cell]) -> str:
    tasks = len({cell.task for cell in cells if cell.benchmark == name})
    return f"{name} ({tasks} task{'s' * (tasks != 1)}, {table.num_rows:,} configurations)"


def _answers(study: Study, cells: Sequence[Cell], rows: Sequence[Row]) -> str:
    """The outcome over all benchmarks, then on each, in a few sentences."""
    parts = []
    if len(study.tables) > 1:
        where = f"Over all {len(study.tables)} benchmarks"
        parts.append(f'<div class="answer"><p>{verdict(where, cells)}</p></div>')
    for name in study.tables:
        own = [cell for cell in cells if cell.benchmark == name]
        where = f"On <strong>{html.escape(name)}</strong>"
        sentences = f"<p>{verdict(where, own)}</p>{_answer(study, name, rows)}" if own else ""
        parts.append(f'<div class="answer"{marks(study, name)}>{sentences}</div>')
    return "\n".join([*parts, f'<p class="note">{_SURENESS}</p>'])


_SURENESS = (
    "In brackets: 95 % intervals over seeds, those of differences run by run. They say nothing about tasks "
    "that were not run; the number of tasks on which a method has the highest mean hints at that."
)


def _answer(study: Study, benchmark: str, rows: Sequence[Row]) -> str:
    """Where the reference stands on one benchmark."""
    own = [row for row in rows if row["benchmark"] == benchmark and row["task"] == ALL_TASKS]
    base = next((row for row in own if row["method"] == study.reference), None)
    others = [row for row in own if row["difference"]]
    if base is None or not others:
        return ""
    text = (
        f"The reference, <strong>{html.escape(study.reference)}</strong>, ends with "
        f"{_spread(base['hypervolume'])}. {_comparison(others)}"
    )
    return f"<p>{text}</p>"


def _comparison(others: Sequence[Row]) -> str:
    """Where the reference stands against the others; what its intervals leave open is said to be open."""
    groups: dict[str, list[str]] = {}
    for row in others:
        groups.setdefault(_verdict(row["difference"]), []).append(_gap(row))
    parts = [f"{words} {listed(groups[words])}." for words in _VERDICTS if words in groups]
    if others:
        reference = html.escape(others[0]["difference"]["reference"])
        parts.append(f"Differences are the other method minus {reference}, as in the table.")
    return " ".join(parts)


_VERDICTS = (
    "It is ahead of",
    "It is behind",
    "No clear difference from",
    "With one seed, nothing can be said about",
)


def _verdict(difference: Row) -> str:
    if difference["ci95"] is None:
        return _VERDICTS[3]
    low, high = difference["ci95"]
    return _VERDICTS[0] if high < 0 else _VERDICTS[1] if low > 0 else _VERDICTS[2]


def _gap(row: Row) -> str:
    """A method and its difference to the reference, with the sign that the table has."""
    return f"<strong>{html.escape(row['method'])}</strong> ({_signed(row['difference'])})"


def _overview(study: Study, rows: Sequence[Row]) -> str:
    """A table over all tasks of each benchmark."""
    parts = []
    for name in study.tables:
        own = [row for row in rows if row["benchmark"] == name]
        tasks = [task for task in dict.fromkeys(row["task"] for row in own) if task != ALL_TASKS]
        what = f"mean over {len(tasks)} tasks" if len(tasks) > 1 else f"task {tasks[0]}"
        over = [row for row in own if row["task"] == ALL_TASKS]
        caption = f"{name}, {what}; {_front_sizes(study.tables[name], tasks)}"
        parts += [_table(study, caption, over)] if over else []
    return "\n".join(parts)


def _by_task(study: Study, rows: Sequence[Row]) -> str:
    """A table for each task; folded where there are many."""
    parts = []
    for name, own_table in study.tables.items():
        own = [row for row in rows if row["benchmark"] == name and row["task"] != ALL_TASKS]
        tasks = list(dict.fromkeys(row["task"] for row in own))
        tables = [
            _table(
                study,
                f"{task}; {_front_sizes(own_table, [task])}",
                [row for row in own if row["task"] == task],
            )
            for task in tasks
        ]
        label = f"{name}: {len(tasks)} task" + "s" * (len(tasks) != 1)
        parts.append(folded(label, "\n".join(tables), len(tasks) <= 3, marks(study, name)))
    return "\n".join(parts)


def _front_sizes(table: AnyTable, tasks: Sequence[str]) -> str:
    """How many configurations the tasks' true fronts have, which the share found refers to."""
    sizes = [true_front(table, table.task_index(task)).size for task in tasks]
    low, high = min(sizes), max(sizes)
    size = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"true front{'s' * (len(tasks) > 1)} of {size} configuration{'s' * (high > 1)}"


def _table(study: Study, caption: str, rows: Sequence[Row]) -> str:
    """Methods of one task, the best mean hypervolume in bold."""
    money = any("spent_usd" in row for row in rows)
    heads = ["Method", "Hypervolume, median", "Hypervolume, mean [95 % interval]", "True front found", "Rank"]
    heads += [
        f"Difference: method minus {study.reference}",
        "Evaluations (at full fidelity)",
        "Simulated time",
    ]
    heads += ["Spent [USD]"] * money + ["Seeds"]
    best = max(row["hypervolume"]["mean"] for row in rows)
    leading = [row["hypervolume"]["mean"] == best for row in rows]
    attributes = [
        marks(study, method=row["method"]) + " class=best" * first
        for row, first in zip(rows, leading, strict=True)
    ]
    cells = [_table_row(study, row, money) for row in rows]
    note = ' <span class="interval">(bold: highest mean)</span>'
    return table_html(study, caption, heads, cells, "summary.csv", rows[0]["benchmark"], attributes, note)


def _table_row(study: Study, row: Row, money: bool) -> list[str]:
    """Cells as HTML."""
    colour = look(study.methods.index(row["method"])).colour
    method = html.escape(row["method"])
    title = html.escape(study.summaries.get(row["method"], "") or row["method"])
    fields = [
        f'<span class="dot" style="background:{colour}"></span><span title="{title}">{method}</span>',
        f"{row['hypervolume']['median']:.3f}",
        _spread(row["hypervolume"]),
        f"{100 * row['front_found']['mean']:.1f} %",
        "–" if row["rank"] is None else f"{row['rank']:.2f}",
        _signed(row["difference"]),
        f"{number(row['evaluations'])} ({number(row['full_evaluations'])})",
        html.escape(duration(row["simulated_seconds"])),
    ]
    fields += [number(row["spent_usd"])] if money else []
    return [*fields, str(row["num_seeds"])]


def _spread(summary: Row) -> str:
    """Mean and interval."""
    if summary["ci95"] is None:
        return f"{summary['mean']:.3f}"
    low, high = summary["ci95"]
    return f'{summary["mean"]:.3f} <span class="interval">[{low:.3f}, {high:.3f}]</span>'


def _signed(difference: Row | None) -> str:
    if difference is None:
        return "–"
    if difference["ci95"] is None:
        return f"{difference['mean']:+.3f}"
    low, high = difference["ci95"]
    return f'{difference["mean"]:+.3f} <span class="interval">[{low:+.3f}, {high:+.3f}]</span>'


def _making(study: Study, files: Sequence[str]) -> str:
    """Command, versions, tables and files."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(study.versions.items()))
    settings = _settings(study)
    parts = [command_html(study)]
    parts += [f"<p>Settings: {html.escape(settings)}.</p>"] if settings else []
    made = study.compilation
    if made.get("programs"):
        parts += [
            f"<p>Compiled programs: {made['programs']:,}, {made['seconds']:,.0f} s of the runs' time.</p>"
        ]
    parts += [f"<p>Versions: {html.escape(versions)}.</p>"] if versions else []
    parts += [_provenance(study, name, table) for name, table in study.tables.items()]
    links = " · ".join(f'<a href="{html.escape(name)}">{html.escape(name)}</a>' for name in files)
    return "\n".join([*parts, f'<p class="note">Files beside this page: {links}</p>'])


def _settings(study: Study) -> str:
    """The settings that were given, those of single methods after their names."""
    stated = {key: value for key, value in study.settings.items() if isinstance(value, (int, float, str))}
    stated |= dict(study.settings.get("settings") or {})
    parts = [
        f"{name} = {value}" for name, value in stated.items() if name not in ("name", "reference", "memory")
    ]
    for entry in study.settings.get("methods") or []:
        own = ", ".join(f"{name} = {value}" for name, value in (entry.get("settings") or {}).items())
        parts += [f"{entry.get('name') or entry.get('method')}: {own}"] if own else []
    return "; ".join(parts)


def _provenance(study: Study, name: str, table: AnyTable) -> str:
    fingerprint = study.fingerprints.get(name) or table.fingerprint
    here = " (as it was run; re-priced here)" if study.prices and name in study.prices.changes else ""
    return (
        f"<p>Table <strong>{html.escape(name)}</strong>{here}, fingerprint "
        f"<code>{html.escape(fingerprint)}</code>. {html.escape(table.provenance)}</p>"
    )


# --- what the plots are drawn from -----------------------------------------------------------------------


def _data(study: Study, cells: Sequence[Cell]) -> dict[str, Any]:
    """Everything that the page's script needs."""
    looks = [look(index) for index in range(len(study.methods))]
    return {
        "methods": [
            {
                "name": name,
                "colour": style.colour,
                "dash": _DASHES[style.line],
                "symbol": _SYMBOLS[style.marker],
            }
            for name, style in zip(study.methods, looks, strict=True)
        ],
        "benchmarks": [_benchmark(study, name, table, cells) for name, table in study.tables.items()],
    }


def _benchmark(study: Study, name: str, table: AnyTable, cells: Sequence[Cell]) -> dict[str, Any]:
    own = [cell for cell in cells if cell.benchmark == name]
    scale = normalisation(table)
    stride = -(-len(cells) * 4 * own[0].grid.size // CURVE_VALUES_ON_PAGE)
    panels = [
        _panel(study, table, scale, [cell for cell in own if cell.task == task], _limits(cells), stride)
        for task in dict.fromkeys(cell.task for cell in own)
    ]
    return {
        "name": name,
        "objectives": [{"name": o.name, "unit": o.unit, "sense": o.sense} for o in table.objectives],
        "columns": [column.name for column in table.columns],
        "pairs": objective_pairs(table.num_objectives),
        "panels": panels,
    }


def _limits(cells: Sequence[Cell]) -> tuple[int, int]:
    """Most points of a true front and of a method's front that the page shows."""
    num_panels = len({(cell.benchmark, cell.task) for cell in cells})
    half = POINTS_ON_PAGE // 2
    return min(max(half // num_panels, 20), 300), min(max(half // len(cells), 10), 100)


def thinned(rows: Int[np.ndarray, " rows"], limit: int) -> Int[np.ndarray, " kept"]:
    """At most ``limit`` of the rows, evenly spread over the sequence and with both ends."""
    if rows.size <= limit:
        return rows
    return rows[np.round(np.linspace(0, rows.size - 1, limit)).astype(int)]


def _panel(
    study: Study,
    table: AnyTable,
    scale: Normalisation,
    cells: Sequence[Cell],
    limits: tuple[int, int],
    stride: int,
) -> dict[str, Any]:
    """One task: its points with their configurations, which points form which front, and the curves."""
    task = table.task_index(cells[0].task)
    front = true_front(table, task)
    front = thinned(front[np.argsort(table.final_costs(task)[front, 0], kind="stable")], limits[0])
    attained = [thinned(cell.typical_front, limits[1]) for cell in cells]
    rows = np.unique(np.concatenate([front, *attained]))
    minimised = [objective.sense == "min" for objective in table.objectives]
    return {
        "task": cells[0].task,
        "horizon": cells[0].horizon,
        "horizon_text": duration(cells[0].horizon),
        "seeds": seeds_text([cell.runs.size for cell in cells]),
        "rows": rows.tolist(),
        "values": _rounded(table.to_values(table.final_costs(task)[rows])),
        "configs": [[_config_value(value) for value in table.config(int(row)).values()] for row in rows],
        "log": (scale.log[task] & minimised).tolist(),
        "front": np.searchsorted(rows, front).tolist(),
        "grid": _rounded(cells[0].grid[::-stride][::-1]),
        "methods": [
            {"method": study.methods.index(cell.method), "front": np.searchsorted(rows, points).tolist()}
            | _curves(cell, stride)
            for cell, points in zip(cells, attained, strict=True)
        ],
    }


def _curves(cell: Cell, stride: int) -> dict[str, Any]:
    """Quartiles of the hypervolume and mean share found, at every ``stride``-th grid point up to the last."""
    low, middle, high = np.quantile(cell.hypervolume[:, ::-stride][:, ::-1], [0.25, 0.5, 0.75], axis=0)
    found = cell.front_found[:, ::-stride][:, ::-1].mean(axis=0)
    return {
        key: _rounded(curve)
        for key, curve in {"low": low, "median": middle, "high": high, "found": found}.items()
    }


def _rounded(values: Float[np.ndarray, "..."]) -> Any:
    """Nested lists of numbers with six significant digits, which is more than a plot shows."""
    if values.ndim > 1:
        return [_rounded(value) for value in values]
    return [float(f"{value:.6g}") for value in values]


def _config_value(value: float | int | str) -> float | int | str:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _fronts_note(study: Study, cells: Sequence[Cell]) -> str:
    """What the plot leaves out."""
    most, attained = _limits(cells)
    fronts = [
        true_front(study.tables[cell.benchmark], study.tables[cell.benchmark].task_index(cell.task)).size
        for cell in {(cell.benchmark, cell.task): cell for cell in cells}.values()
    ]
    text = "A method's points are those of its run with the median final hypervolume."
    if any(table.num_objectives > 2 for table in study.tables.values()):
        text += " Lines join the best trade-offs of the two objectives shown; points off the lines are "
        text += "trade-offs only because of the other objectives."
    if max(fronts) > most or max(cell.typical_front.size for cell in cells) > attained:
        text += (
            f" To keep the page small, at most {most} points of a true front and {attained} of a method are "
        )
        text += "shown, evenly spread; front.csv has all."
    return html.escape(text)
