"""The protocol of transfer (docs/validity.md): what transfer gives and costs, with sources of every quality.

    python -m scripts.transfer_protocol --out runs/transfer [--seeds 100] [--table embedded]
    python -m scripts.transfer_protocol --out runs/transfer --only-table

The first runs what is missing in the folder, a file for each table, quality and method; the second prints the
tables of docs/transfer.md from what is there, and writes all differences to ``differences.json``.
"""

import argparse
import functools
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from mohb_jax.benchmarks.contract import AnyTable, ResultTable
from mohb_jax.benchmarks.credit import SIDE_BY_SIDE, Credit, counted

from mohb_jax import benchmarks, simulate
from mohb_jax.analysis.curves import benchmark_cells
from mohb_jax.analysis.statistics import intervals
from mohb_jax.errors import InputError
from mohb_jax.methods import METHODS
from mohb_jax.store import Unit
from scripts.transfer_sources import foreign_results, reversed_results, shuffled_results

TABLES = (
    "embedded",
    "lcbench-cloud",
    "lcbench",
    "deepar-cloud",
    "trimtuner",
    "zeus",
    "nasbench201",
    "pollux",
)
CHOSEN_ON = ("embedded", "lcbench-cloud")
"""Where hyperparameters were chosen, and where no more than ``MOST_LOST`` to the prior may be lost."""
QUALITIES = ("as they are", "reversed", "foreign", "shuffled", "one of ten")
BASES = ("random", "mo-hb", "mo-asha", "mo-asha-promote")
SUFFIXES = ("prior", "transfer")
BASELINES = ("zero-shot", "zero-shot-mixed", "rgpe", "tst-r")
"""Judged against ``random``, as they train in full."""
NONE = "none"
"""In place of a quality: methods that learn from no other task."""
MOST_HARM, MOST_LOST = 0.01, 0.005
GROUP = 11
"""Tasks of a table of which one is good, for one task, and nine are bad: one of them is the run's own."""
INDICATORS = ("hypervolume", "anytime")


class Setting(NamedTuple):
    """What is run at once: tasks of a table, and what is learnt from for them."""

    table: AnyTable
    tasks: tuple[str, ...]
    sources: AnyTable | None


def settings(table: AnyTable, quality: str) -> list[Setting]:
    """The parts of a table's runs with sources of a quality; none where the quality means nothing there."""
    if quality in (NONE, "as they are"):
        return [Setting(table, table.tasks, None)]
    if quality == "reversed":
        return [Setting(table, table.tasks, reversed_results(table))]
    if quality == "shuffled":
        return [Setting(table, table.tasks, shuffled_results(table))]
    if quality == "foreign":
        other = benchmarks.load("lcbench" if table.name == "embedded" else "embedded")
        return [Setting(table, table.tasks, foreign_results(table, other))]
    if table.num_tasks < 3:  # the one other task is either good or bad
        return []
    some = table.select(tasks=table.tasks[:GROUP])
    # The first task is the good source of all others, and the second that of the first.
    return [
        Setting(some, some.tasks[1:], shuffled_results(some, good=0)),
        Setting(some, some.tasks[:1], shuffled_results(some, good=1)),
    ]


def measured(
    setting: Setting, method: str, num_seeds: int, **options: Any
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """By task, credit and indicator, the value of each run; options are those of ``simulate``."""
    table, tasks, sources = setting
    log = simulate(table, method, num_seeds=num_seeds, tasks=tasks, sources=sources, **options)
    place = np.zeros(table.num_tasks, np.int32)
    place[[table.task_index(task) for task in tasks]] = np.arange(len(tasks))
    spec: dict[str, Any] = {"benchmark": table.name, "method": method, "settings": {}, "tasks": list(tasks)}
    spec |= {"objectives": [objective.name for objective in table.objectives], "first_run": 0}
    spec |= {"num_seeds": num_seeds, "highest_fidelity": table.num_fidelities - 1}
    unit = Unit(spec, log._replace(task=place[log.task]))
    found: dict[str, Any] = {task: {} for task in tasks}
    for credit in SIDE_BY_SIDE:
        for cell in benchmark_cells(table.name, _counted(table, tasks, credit), [unit], (method,)):
            found[cell.task][credit] = {name: np.round(cell.final[name], 6).tolist() for name in INDICATORS}
    return found


@functools.cache
def _counted(table: AnyTable, tasks: tuple[str, ...], credit: Credit) -> ResultTable:
    """The same table each time, until ``_kept`` forgets: with it true fronts, which take minutes where rows
    are many."""
    return counted(table.select(tasks=tasks), credit)


def jobs(tables: Sequence[str], qualities: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Table, quality and method of everything to run, what others are compared with first."""
    transferring = [f"{base}+{suffix}" for suffix in SUFFIXES for base in BASES] + list(BASELINES)
    for quality in (NONE, *qualities):
        for table in tables:
            for method in BASES if quality == NONE else transferring:
                if method in METHODS:
                    yield table, quality, method


def run_missing(out: Path, num_seeds: int, wanted: Sequence[tuple[str, str, str]]) -> None:
    """Runs what the folder lacks, and says so."""
    for number, (name, quality, method) in enumerate(wanted, 1):
        path = out / name / quality.replace(" ", "-") / f"{method}.json"
        if path.exists():
            continue
        began = time.perf_counter()
        found: dict[str, Any] = {}
        try:
            for setting in _kept(name, quality):
                found |= measured(setting, method, num_seeds)
        except InputError as error:  # a portfolio needs the same rows in every task, for one
            print(f"{number}/{len(wanted)} {name}, {quality}, {method}: not possible: {error}", flush=True)
            continue
        if not found:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".part").write_text(json.dumps({"seeds": num_seeds, "tasks": found}))
        path.with_suffix(".part").rename(path)
        print(
            f"{number}/{len(wanted)} {name}, {quality}, {method}: {time.perf_counter() - began:.0f} s",
            flush=True,
        )


_LAST: dict[tuple[str, str], list[Setting]] = {}


def _kept(name: str, quality: str) -> list[Setting]:
    """The settings of a table and quality, kept for as long as the next ask for the same: with them what was
    learnt from them."""
    if (name, quality) not in _LAST:
        _LAST.clear()
        _counted.cache_clear()
        _LAST[name, quality] = settings(benchmarks.load(name), quality)
    return _LAST[name, quality]


class Difference(NamedTuple):
    """A method minus another one, mean over tasks and runs, with the ends of its 95 % interval."""

    table: str
    quality: str
    method: str
    against: str
    credit: str
    indicator: str
    value: float
    mean: float
    low: float
    high: float
    seeds: int
    tasks: int


def base_of(method: str) -> str:
    """The method that learns from no other task with which a method is compared."""
    return method.partition("+")[0] if "+" in method else "random"


def differences(out: Path) -> Iterator[Difference]:
    """Of everything in a folder against what it is compared with."""
    for path in sorted(out.glob("*/*/*.json")):
        table, quality, method = path.parent.parent.name, path.parent.name, path.stem
        if quality == NONE:
            continue
        base = base_of(method)
        against = [out / table / NONE / f"{base}.json"]
        if method.endswith("+transfer"):
            against.append(path.with_name(f"{base}+prior.json"))
        for other in against:
            if other.exists():
                yield from _compared(path, other, (table, quality.replace("-", " "), method, other.stem))


def _compared(path: Path, other: Path, names: tuple[str, str, str, str]) -> Iterator[Difference]:
    first, second = (json.loads(file.read_text()) for file in (path, other))
    seeds = min(first["seeds"], second["seeds"])
    tasks = [task for task in first["tasks"] if task in second["tasks"]]
    for credit in SIDE_BY_SIDE:
        for indicator in INDICATORS:
            values, base = (_over_tasks(part, tasks, credit, indicator, seeds) for part in (first, second))
            ((low, high),) = intervals((values - base)[None])
            mean = float((values - base).mean())
            yield Difference(
                *names,
                credit,
                indicator,
                float(values.mean()),
                mean,
                float(low),
                float(high),
                seeds,
                len(tasks),
            )


def _over_tasks(
    part: Any, tasks: Sequence[str], credit: str, indicator: str, seeds: int
) -> Float[np.ndarray, " runs"]:
    return np.mean([part["tasks"][task][credit][indicator][:seeds] for task in tasks], axis=0)


def verdict(found: Difference) -> str:
    """Whether a bound that the protocol states holds; empty where it states none."""
    if not found.method.endswith("+transfer") or found.indicator != "hypervolume":
        return ""
    if found.against.endswith("+prior"):
        bound = found.table in CHOSEN_ON and found.quality == QUALITIES[0]
        return "" if not bound else "holds" if found.mean >= -MOST_LOST else "fails"
    if found.quality not in (QUALITIES[0], "reversed", "shuffled"):
        return ""
    return "holds" if found.low >= -MOST_HARM else "fails"


def markdown(found: Sequence[Difference]) -> Iterator[str]:
    """The tables of docs/transfer.md."""
    for quality in QUALITIES:
        own = [one for one in found if one.quality == quality and not one.against.endswith("+prior")]
        yield from _table(f"Sources {quality}", own)
    prior = [one for one in found if one.against.endswith("+prior") and one.quality == QUALITIES[0]]
    yield from _table("Against the published prior, sources as they are", prior)
    judged = [one for one in found if verdict(one)]
    failed = [one for one in judged if verdict(one) == "fails"]
    yield f"{len(judged) - len(failed)} of {len(judged)} bounds hold."


def _table(title: str, found: Sequence[Difference]) -> Iterator[str]:
    """A row for each method; what breaks a bound is bold."""
    if not found:
        return
    heads = [f"{credit}, {what}" for what in ("end", "area") for credit in SIDE_BY_SIDE]
    yield from (
        f"**{title}**",
        "",
        f"| table | method | {' | '.join(heads)} |",
        "|" + "---|" * (2 + len(heads)),
    )
    rows: dict[tuple[str, str], list[Difference]] = {}
    for one in found:
        rows.setdefault((one.table, one.method), []).append(one)
    for key in sorted(rows, key=lambda names: (TABLES.index(names[0]), names[1])):
        ordered = sorted(rows[key], key=lambda one: (INDICATORS.index(one.indicator), one.credit))
        yield f"| {' | '.join(key)} | {' | '.join(_number(one) for one in ordered)} |"
    yield ""


def _number(one: Difference) -> str:
    """The difference, and the ends of its interval, in thousandths; bold where a bound fails."""
    text = f"{1000 * one.mean:+.0f} ({1000 * one.low:.0f}, {1000 * one.high:.0f})"
    return f"**{text}**" if verdict(one) == "fails" else text


def main() -> None:
    """Runs, or prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of results")
    parser.add_argument("--seeds", type=int, default=100, help="runs per task")
    parser.add_argument("--table", action="append", choices=TABLES, help="repeatable; all if none")
    parser.add_argument("--quality", action="append", choices=QUALITIES, help="repeatable; all if none")
    parser.add_argument("--method", action="append", choices=tuple(METHODS), help="repeatable; all if none")
    parser.add_argument("--only-table", action="store_true", help="run nothing")
    chosen = parser.parse_args()
    if chosen.seeds < 2:
        parser.error(f"--seeds is {chosen.seeds}: intervals take two or more")
    if not chosen.only_table:
        wanted = jobs(chosen.table or TABLES, chosen.quality or QUALITIES)
        methods = (*map(base_of, chosen.method), *chosen.method) if chosen.method else tuple(METHODS)
        run_missing(chosen.out, chosen.seeds, [job for job in wanted if job[2] in methods])
    found = list(differences(chosen.out))
    if not found:
        parser.error(f"--out is {chosen.out}: there is nothing to compare in it")
    kept = [one._asdict() | {"verdict": verdict(one)} for one in found]
    (chosen.out / "differences.json").write_text(json.dumps(kept, indent=1) + "\n")
    print("\n".join(markdown(found)))


if __name__ == "__main__":
    main()
