"""The claims as one self-contained HTML page."""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from mohb_jax import store
from mohb_jax.analysis.statistics import NUM_RESAMPLES
from mohb_jax.papers.claims import Claim, under_first
from mohb_jax.papers.claims_figures import figure_stem
from mohb_jax.papers.paper import Reproduction
from mohb_jax.papers.reductions import ALL_TASKS, DEFINITIONS, STATISTICS, Row
from mohb_jax.report.assets import FOLDER as REPORT_FOLDER
from mohb_jax.report.style import listed, number, seeds_text

_SHADE = {"holds": " class='yes'", "does not hold": " class='no'"}
_WORDS = {definition.name: definition.words for definition in DEFINITIONS}


def page_html(
    reproduction: Reproduction, claims: Sequence[Claim], rows: Sequence[Row], figures: Sequence[Path]
) -> str:
    """The page's HTML; it needs no network and has no script, and nothing from data is read as markup.

    Args:
        reproduction: paper, command, seeds and folders.
        claims: in the order wanted.
        rows: what ``judged`` gives, under one credit or several: the first one fills the page, the others add
            columns to its tables.
        figures: files that ``write_figures`` wrote; the first PNG of each claim is shown.
    """
    template = (Path(__file__).parent / "claims.html").read_text(encoding="utf-8")
    methods = list(dict.fromkeys(name for row in rows for name in (row["method"], row["baseline"])))
    lead = (
        f"{reproduction.paper.title}. Compared: {', '.join(methods)} on "
        f"{', '.join(part.benchmark for part in reproduction.parts)}; {seeds_text([reproduction.seeds])} per "
        "method and task. All runs are simulated: every result is looked up in a table of training runs."
    )
    return Template(template).substitute(
        title=html.escape(f"{reproduction.paper.name} · reproduction"),
        paper=html.escape(reproduction.paper.name),
        style=(REPORT_FOLDER / "page.css").read_text(encoding="utf-8"),
        lead=html.escape(lead),
        answers="\n".join(_answer(claim, rows) for claim in claims),
        claims="\n".join(_claim(claim, rows, figures) for claim in claims),
        resamples=f"{NUM_RESAMPLES:,}",
        making=making(
            reproduction, ["claims.csv", "claims.json", *(f"figures/{path.name}" for path in figures)]
        ),
    )


def _of(claim: Claim, rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["claim"] == claim.name]


def _pairs(rows: Sequence[Row]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row["method"], row["baseline"]) for row in rows))


def _answer(claim: Claim, rows: Sequence[Row]) -> str:
    """On how many benchmarks the claim holds, by which definition, for the heading pair: in a sentence and in
    a table for each credit."""
    own = [row for row in _of(claim, rows) if row["task"] == ALL_TASKS]
    start = f"<strong>{html.escape(claim.statement)}</strong> "
    if not own:
        return f'<p class="answer">{start}None of the benchmarks that this is about was run.</p>'
    pair = _pairs(own)[0]
    by_credit: dict[str, dict[tuple[str, str], Row]] = {}
    for row in own:
        if (row["method"], row["baseline"]) == pair:
            by_credit.setdefault(row.get("credit", ""), {})[row["definition"], row["benchmark"]] = row
    sentences = [_sentence(cells, credit) for credit, cells in by_credit.items()]
    text = f"{start}{html.escape(pair[0])} against {html.escape(pair[1])}, by the ratio of means. "
    tables = [_ratios(cells, credit) for credit, cells in by_credit.items()]
    return "\n".join([f'<p class="answer">{text}{" ".join(sentences)}</p>', *tables])


def _sentence(cells: Mapping[tuple[str, str], Row], credit: str) -> str:
    """Whom the claim holds for, and by which definition on most benchmarks."""
    names = dict.fromkeys(name for _, name in cells)
    on = {d.name: [n for n in names if cells[d.name, n]["means"]["verdict"] == "holds"] for d in DEFINITIONS}
    some = {name for found in on.values() for name in found}
    where = f"In {credit} it" if credit else "It"
    if not some:
        return f"{where} holds on none of {len(names)} benchmarks by any of {len(on)} definitions."
    start = (
        f"{where} holds on {len(some)} of {len(names)} benchmarks by at least one of {len(on)} definitions"
    )
    most = max(map(len, on.values()))
    first, *tied = [name for name, found in on.items() if len(found) == most]
    if tied:
        return f"{start}, and by none on more than {most}."
    definition = f"<em>{html.escape(_WORDS[first])}</em>"
    return f"{start}; on most by {definition}: {html.escape(listed(on[first]))}."


def _ratios(cells: Mapping[tuple[str, str], Row], credit: str) -> str:
    """Ratios of means: definitions by benchmarks."""
    names = list(dict.fromkeys(name for _, name in cells))
    rows = [
        [f"<td>{html.escape(d.words)}</td>", *(_verdict_cell(cells[d.name, name]["means"]) for name in names)]
        for d in DEFINITIONS
    ]
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    heads = "".join(f"<th scope='col'>{html.escape(text)}</th>" for text in ("Definition", *names))
    return (
        f'<div class="table"><table><caption>Ratios of means{f", {credit}" * bool(credit)} '
        '<span class="interval">(bold: holds; ?: undecided)</span></caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _verdict_cell(part: Row) -> str:
    text = ratio_text(part["ratio"])
    marked = {"holds": f"<strong>{text}</strong>", "undecided": f"{text} ?"}.get(part["verdict"], text)
    return f"<td{_SHADE.get(part['verdict'], '')}>{marked}</td>"


def _claim(claim: Claim, rows: Sequence[Row], figures: Sequence[Path]) -> str:
    """Figure and tables of one claim."""
    own = _of(claim, under_first(rows))
    others = [row for row in _of(claim, rows) if row not in own]
    if not own:
        return ""
    pairs = _pairs(own)
    parts = [f'<section id="{html.escape(claim.name)}"><h2>{html.escape(claim.title)}</h2>']
    parts += [f"<p>Published: {html.escape(claim.statement)}</p>", _figure(claim, pairs[0], figures)]
    parts += [
        f"<h3>{html.escape(pairs[0][0])} against {html.escape(pairs[0][1])}</h3>",
        _overview(own, pairs[0], others),
    ]
    for pair in pairs[1:]:
        label = f"{pair[0]} against {pair[1]}"
        parts += [
            f"<details><summary>{html.escape(label)}</summary>",
            _overview(own, pair, others),
            "</details>",
        ]
    parts += [_by_task(own, pairs[0]), "</section>"]
    return "\n".join(parts)


def _figure(claim: Claim, pair: tuple[str, str], figures: Sequence[Path]) -> str:
    path = next((path for path in figures if path.name == f"{figure_stem(claim, *pair)}.png"), None)
    if path is None:
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    text = html.escape(
        f"{claim.title}: ratios and intervals of {pair[0]} against {pair[1]}, as in the tables below"
    )
    return f'<div class="picture"><img class="figure" alt="{text}" src="data:image/png;base64,{data}"></div>'


def _overview(rows: Sequence[Row], pair: tuple[str, str], others: Sequence[Row]) -> str:
    """A table per benchmark, over all tasks."""
    own = [row for row in rows if (row["method"], row["baseline"]) == pair]
    tables = []
    for name in dict.fromkeys(row["benchmark"] for row in own):
        part = [row for row in own if row["benchmark"] == name]
        tasks = len({row["task"] for row in part} - {ALL_TASKS})
        seeds = seeds_text([part[0]["num_runs"]])
        caption = f"{name}: {part[0]['quantity']} over {tasks} task{'s' * (tasks != 1)}, {seeds}"
        tables.append(_table(caption, [row for row in part if row["task"] == ALL_TASKS], others))
    return "\n".join(tables)


def _by_task(rows: Sequence[Row], pair: tuple[str, str]) -> str:
    """Folded tables of the heading pair, one per task."""
    parts = []
    for name in dict.fromkeys(row["benchmark"] for row in rows):
        own = [row for row in rows if row["benchmark"] == name and (row["method"], row["baseline"]) == pair]
        tasks = [task for task in dict.fromkeys(row["task"] for row in own) if task != ALL_TASKS]
        label = html.escape(f"{name} by task: {pair[0]} against {pair[1]}")
        tables = [_table(task, [row for row in own if row["task"] == task]) for task in tasks]
        parts += [f"<details><summary>{label}</summary>", *tables, "</details>"]
    return "\n".join(parts)


_SAME = ("benchmark", "task", "method", "baseline", "definition", "quantity")


def _table(caption: str, rows: Sequence[Row], others: Sequence[Row] = ()) -> str:
    beside: dict[str, dict[tuple[str, ...], Row]] = {}
    for row in others:
        beside.setdefault(row["credit"], {})[tuple(row[name] for name in _SAME)] = row
    over = rows[0]["task"] == ALL_TASKS
    heads = ["Definition", "Published"]
    for name in STATISTICS:
        heads += [f"Ratio of {name} [95 %]", "Verdict", "Least"] if over else [f"Ratio of {name} [95 %]"]
    heads += ["Reached: method, baseline", "Error difference"]
    heads += [
        text for credit in beside for text in (f"Ratio of means, {credit} [95 %]", f"Verdict, {credit}")
    ]
    head = "".join(f"<th scope='col'>{html.escape(text)}</th>" for text in heads)
    body = "\n".join(
        _table_row(row, over, [own[tuple(row[name] for name in _SAME)] for own in beside.values()])
        for row in rows
    )
    return (
        f'<div class="table"><table><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )


def _table_row(row: Row, over: bool, others: Sequence[Row]) -> str:
    cells = [f"<td>{html.escape(_WORDS[row['definition']])}</td>", f"<td>{number(row['published'])}</td>"]
    for name in STATISTICS:
        cells.append(f"<td>{_ratio_and_interval(row[name])}</td>")
        if over:
            verdict = row[name]["verdict"]
            cells.append(f"<td{_SHADE.get(verdict, '')}>{verdict}</td>")
            cells.append(f"<td>{ratio_text(row[name]['least'])}</td>")
    reached = "–" if row["reached"] is None else ", ".join(f"{100 * share:.0f} %" for share in row["reached"])
    cells += [f"<td>{reached}</td>", f"<td>{_error(row['error_difference'])}</td>"]
    for other in others:
        verdict = other["means"]["verdict"]
        cells.append(f"<td>{_ratio_and_interval(other['means'])}</td>")
        cells.append(f"<td{_SHADE.get(verdict, '')}>{verdict}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _ratio_and_interval(part: Row) -> str:
    text = ratio_text(part["ratio"])
    if part["ci95"] is None or text == "unknown":
        return text
    low, high = ("∞" if end is None else number(end) for end in part["ci95"])
    return f'{text} <span class="interval">[{low}, {high}]</span>'


def ratio_text(ends: Sequence[float | None]) -> str:
    """A ratio of which the least and the greatest possible value are known, ready for HTML."""
    least, most = ends
    if least is None:
        return "∞"
    if least == most:
        return number(least)
    if most is None:
        return f"&gt; {number(least)}" if least else "unknown"
    return f"{number(least)} to {number(most)}" if least else f"&lt; {number(most)}"


def _error(difference: Row | None) -> str:
    if difference is None or difference["percent"] is None:
        return "–"
    text = f"{difference['percent']:+.2f} %"
    if difference["percent_ci95"] is None:
        return text
    low, high = difference["percent_ci95"]
    return f'{text} <span class="interval">[{low:+.2f}, {high:+.2f}]</span>'


def making(reproduction: Reproduction, files: Sequence[str]) -> str:
    """Command, versions, tables and the files beside a page, ready for HTML."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(store.versions().items()))
    links = [(file, file.rpartition("/")[2]) for file in files]
    reports = [(f"../{p.directory.name}/report/index.html", p.benchmark) for p in reproduction.parts]
    return "\n".join(
        (
            f"<pre>{html.escape(reproduction.command)}</pre>",
            f"<p>Versions: {html.escape(versions)}.</p>",
            *(
                [f"<p>Curves, fronts and settings of each benchmark: {_links(reports)}</p>"]
                if reports
                else []
            ),
            *(f"<p>{html.escape(text)}</p>" for text in _tables(reproduction)),
            f'<p class="note">Files beside this page: {_links(links)}</p>',
        )
    )


def _tables(reproduction: Reproduction) -> list[str]:
    """Each benchmark's table by content, and where it comes from."""
    found = [entry for part in reproduction.parts for entry in store.read_study(part.directory)["benchmarks"]]
    return [f"Table {e['name']}, fingerprint {e['fingerprint']}. {e.get('provenance', '')}" for e in found]


def _links(links: Sequence[tuple[str, str]]) -> str:
    return " · ".join(f'<a href="{html.escape(target)}">{html.escape(name)}</a>' for target, name in links)
