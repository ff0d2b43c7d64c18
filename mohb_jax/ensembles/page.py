"""``mohb ensemble``: the ensembles of a finished study as one self-contained page, tables and figures."""

import base64
import csv
import html
from collections.abc import Sequence
from pathlib import Path
from string import Template

import numpy as np

from mohb_jax import store
from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.results import load_study
from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.ensembles.figures import write_fronts, write_tuners
from mohb_jax.ensembles.findings import HEAD, Agreement, Findings, Row, find
from mohb_jax.ensembles.judging import WAYS
from mohb_jax.ensembles.libraries import COSTS, UNITS
from mohb_jax.ensembles.on_devices import PlacedEnsemble, place_best, read_devices
from mohb_jax.report.assets import asset
from mohb_jax.report.style import duration, listed, number, seeds_text

FOLDER = "ensembles"
"""Where the page goes below a study folder."""


def write_ensembles(
    directory: Path,
    out: Path | None = None,
    cost: str = "usd",
    ways: Sequence[str] | None = None,
    command: str = "",
    devices: Sequence[str] = (),
) -> tuple[Findings, Path]:
    """Selects ensembles from every run of a study and writes page, figures and tables.

    Args:
        directory: study folder.
        out: where to write; ``FOLDER`` of the study by default.
        cost: what a model costs: ``usd``, ``seconds``, ``parameters`` or ``memory``.
        ways: of selecting; all by default. ``best`` and ``smobf`` are always there.
        command: what the user typed.
        devices: on which the best ensemble of each task is placed, see ``read_devices``.

    Raises:
        InputError: an unknown name, no study, or none whose networks' predictions are stored; an ensemble
            that fits on no device.
    """
    require_choice("cost", cost, COSTS)
    for way in ways or ():
        require_choice("selection", way, WAYS)
    machines = read_devices(devices) if devices else None
    chosen = tuple(way for way in WAYS if not ways or way in (*ways, "best", HEAD))
    kind = next(each for each in COSTS if each == cost)
    analysis = Analysis(load_study(directory, "full"))
    found = find(analysis, kind, chosen)
    placed = [] if machines is None else place_best(found, analysis.study.methods, machines)
    target = out or directory / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    tuners = write_tuners(found, analysis, HEAD, target / "figures")
    fronts = write_fronts(found, analysis, HEAD, target / "figures")
    write_table(target / "ensembles.csv", found.rows)
    store.write_json(target / "results.json", results(found, analysis, command, placed))
    page = target / "index.html"
    page.write_text(page_html(found, analysis, command, placed, tuners, fronts), encoding="utf-8")
    return found, page


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """All rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(Row._fields)
        writer.writerows(rows)


def results(
    found: Findings, analysis: Analysis, command: str, placed: Sequence[PlacedEnsemble]
) -> dict[str, object]:
    """What ``results.json`` holds."""
    rows = [
        {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in row._asdict().items()
        }
        for row in found.rows
    ]
    return {
        "study": analysis.study.name,
        "command": command,
        "versions": store.versions(),
        "cost": found.cost,
        "agreements": [own._asdict() for own in found.agreements],
        "rows": rows,
        "placed": [
            {name: getattr(value, "tolist", lambda v=value: v)() for name, value in own._asdict().items()}
            for own in placed
        ],
    }


def answer(found: Findings) -> str:
    """The question's answer, in numbers of this study."""
    if not found.agreements:
        return f"The study has one tuner, {found.methods[0]}: there is nothing to compare it with."
    front, loss = (_agreement_text(own) for own in found.agreements)
    head = heads(found)
    gain = float(np.mean([1 - row.over_best for row in head]))
    first = max(head, key=lambda row: row.hypervolume)
    return (
        f"By the front of loss and cost of their ensembles, {front}. By the test loss of the chosen ensemble "
        f"alone, {loss}. The best ensembles come from {first.method} (hypervolume "
        f"{number(first.hypervolume)}). A chosen ensemble's test loss is {number(100 * gain, 2)} % below "
        "that of the model that is best alone, on average over tuners, runs and tasks."
    )


def _agreement_text(own: Agreement) -> str:
    span = "" if own.low is None else f", 95 % interval {own.low:.2f} to {own.high:.2f}"
    return (
        f"{own.agree} of {own.pairs} pairs of tuners come in the order of their tuning fronts (Kendall's tau "
        f"{own.tau:.2f}{span}; within a tuner, runs correlate by {own.within:.2f})"
    )


def heads(found: Findings) -> list[Row]:
    """A row for each tuner, over all tasks, by the way that tuners are compared by."""
    over_all = [row for row in found.rows if row.way == HEAD]
    return over_all[: len(found.methods)]


def page_html(
    found: Findings,
    analysis: Analysis,
    command: str,
    placed: Sequence[PlacedEnsemble],
    tuners: Sequence[Path],
    fronts: Sequence[Path],
) -> str:
    """The page's HTML; it needs no network and has no script, and nothing from data is read as markup."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(store.versions().items()))
    files = ["ensembles.csv", "results.json", *(f"figures/{path.name}" for path in [*tuners, *fronts])]
    links = " · ".join(f'<a href="{html.escape(name)}">{html.escape(name)}</a>' for name in files)
    text = (Path(__file__).parent / "ensembles.html").read_text(encoding="utf-8")
    return Template(text).substitute(
        study=html.escape(analysis.study.name),
        style=asset("page.css"),
        answer=html.escape(answer(found)),
        setting=html.escape(setting(found)),
        head=HEAD,
        unit=html.escape(UNITS[found.cost]),
        tuners_picture=_picture(tuners[-1], "Ensembles of each tuner against its tuning"),
        fronts_picture=_picture(fronts[-1], "Test loss against cost, a panel for each task"),
        tuners=tuner_table(found),
        ways=way_table(found),
        tasks=task_table(found),
        placement=placement_section(placed),
        making=(
            f"<pre>{html.escape(analysis.study.command)}\n{html.escape(command)}</pre>"
            f"<p>Versions: {html.escape(versions)}.</p>"
            f'<p class="note">Files beside this page: {links}</p>'
        ),
    )


def setting(found: Findings) -> str:
    """What was compared."""
    counts = [row.runs for row in heads(found)]
    spans = [task.libraries.seconds for task in found.tasks]
    names = listed([task.task for task in found.tasks])
    return (
        f"{len(found.methods)} tuners, {seeds_text(counts)} each; tasks: {names}. All runs of a task are "
        f"equally long: {duration(min(spans))} to {duration(max(spans))} of simulated time. A model's cost "
        f"is in {UNITS[found.cost]}."
    )


def _picture(path: Path, text: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    picture = f'<img class="figure" alt="{html.escape(text)}" src="data:image/png;base64,{data}">'
    return f'<div class="picture">{picture}</div>'


def _span(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return f' <span class="interval">[{_three(low)}, {_three(high)}]</span>'


def _three(value: float) -> str:
    """Shares and losses: as many decimals in each row, so that a column can be compared at a glance."""
    return f"{value:.3f}"


def tuner_table(found: Findings) -> str:
    """Each tuner's ensembles, the best fronts first."""
    body = []
    for row in sorted(heads(found), key=lambda row: -row.hypervolume):
        body.append(
            [
                html.escape(row.method),
                _three(row.tuning),
                f"{_three(row.hypervolume)}{_span(row.hypervolume_low, row.hypervolume_high)}",
                f"{_three(row.test_loss)}{_span(row.test_loss_low, row.test_loss_high)}",
                f"{_three(row.over_best)}{_span(row.over_best_low, row.over_best_high)}",
                number(row.models),
                number(row.members),
                number(row.cost),
            ]
        )
    head = (
        *("Tuner", "Hypervolume of tuning", "Of ensembles [95 %]", "Test loss [95 %]", "Over best [95 %]"),
        *("Models of a run", "Members chosen", "Cost"),
    )
    return _table("Ensembles of each tuner", head, body)


def way_table(found: Findings) -> str:
    """Each way of selecting, over tasks and tuners."""
    body = []
    for way in dict.fromkeys(row.way for row in found.rows):
        rows = [row for row in found.rows if row.way == way][: len(found.methods)]
        means = {
            name: float(np.mean([getattr(row, name) for row in rows]))
            for name in ("hypervolume", "test_loss", "test_error", "over_best", "members", "cost", "regret")
        }
        known = [row.correlation for row in rows if np.isfinite(row.correlation)]
        together = _three(float(np.mean(known))) if known and means["members"] > 1 else "–"
        cells = [(number if name in ("members", "cost") else _three)(value) for name, value in means.items()]
        body.append([way, *cells, together])
    head = (
        *("Selection", "Hypervolume", "Test loss", "Test error", "Over best", "Members", "Cost", "Regret"),
        "Correlation",
    )
    return _table("Ways of selecting", head, body)


def task_table(found: Findings) -> str:
    """Each task: what there is to gain."""
    body = []
    for task in found.tasks:
        head, best = task.outcomes[HEAD], task.outcomes["best"]
        together = task.correlation[HEAD]
        known = together[np.isfinite(together)]
        body.append(
            [
                html.escape(task.task),
                duration(task.libraries.seconds),
                f"{task.libraries.predictions.num_validation} + "
                f"{task.libraries.predictions.labels.size - task.libraries.predictions.num_validation}",
                _three(task.scale.nothing[1]),
                _three(float(best.test_loss.mean())),
                _three(float(head.test_loss.mean())),
                _three(float((head.test_loss / best.test_loss).mean())),
                number(float(head.members.mean())),
                _three(float(known.mean())) if known.size else "–",
            ]
        )
    names = (
        *("Task", "Simulated time", "Validation + test examples", "Loss of frequencies", "Best single"),
        *("Chosen ensemble", "Over best", "Members", "Correlation"),
    )
    return _table(f"Test losses by {HEAD}, mean over tuners and runs", names, body)


def placement_section(placed: Sequence[PlacedEnsemble]) -> str:
    """The section on devices; empty where none were named."""
    if not placed:
        return ""
    body = []
    for own in placed:
        rows = "; ".join(" ".join(map(str, row)) for row in own.batches.tolist())
        body.append(
            [
                html.escape(own.task),
                html.escape(f"{own.method}, run {own.run}"),
                number(own.test_loss),
                str(own.configs.size),
                rows,
                number(own.throughput),
                " ".join(number(value) for value in own.memory.tolist()),
            ]
        )
    head = (
        *("Task", "From", "Test loss", "Members", "Batch of each member, device by device"),
        *("Examples per second", "GiB used"),
    )
    table = _table(f"The best ensemble of each task by {HEAD}, on the devices named", head, body)
    note = (
        "Worst-fit, then greedy improvement; throughput, memory and work are a model at the nominal size, "
        "none of it was measured. Speed 1 is ml.p2.xlarge."
    )
    return f'<section id="devices">\n<h2>On devices</h2>\n{table}\n<p class="note">{note}</p>\n</section>'


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of ready cells, see ``page.css``."""
    heads_html = "".join(f"<th scope='col'>{html.escape(text)}</th>" for text in head)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="table"><table><caption>{html.escape(caption)}</caption><thead><tr>{heads_html}</tr>'
        f"</thead><tbody>\n{body}\n</tbody></table></div>"
    )
