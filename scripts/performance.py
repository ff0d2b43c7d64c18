"""Makes docs/performance.md from what `mohb bench` measured.

    python -m scripts.performance                       # fill in the tables of the page
    python -m scripts.performance measure [NAME]...     # measure groups of rows first; all by default

Each group of rows is a file of docs/performance/, with the day, the machine and the command that gave it. The
page has a region for each table, which this script fills; what stands around them is written by hand. The
seconds that `mohb run --dry-run` expects of the compiler come from the same files.
"""

import datetime
import json
import os
import platform
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from scripts.check_types import ROOT

PAGE = ROOT / "docs" / "performance.md"
FIGURES = ROOT / "docs" / "performance"
COMPILE_SECONDS = ROOT / "mohb_jax" / "study" / "compile_seconds.json"
REGION = re.compile(r"(<!-- table:(?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
APART = ("compilation", "baselines")
"""Groups with tables of their own."""

GLUE = "\N{NO-BREAK SPACE}"
"""Keeps the words of a command on one line."""

Group = dict[str, Any]
"""A file of ``FIGURES``: date, machine, command and rows as ``mohb bench --json`` writes them."""


def measure(names: Sequence[str]) -> None:
    """Measures groups and writes each when it is there."""
    from mohb_jax import bench
    from mohb_jax.store import write_json

    for name in names or bench.BENCHES:
        rows = []
        for row in bench.run([name]):
            print(
                f"{row.name:28} {row.value:12,.4g} {row.unit:12} {row.ratio_text:28} {row.hold}", flush=True
            )
            rows.append(row.as_json())
        about = {"date": str(datetime.date.today()), "machine": machine(), "command": f"mohb bench {name}"}
        write_json(FIGURES / f"{name}.json", about | {"rows": rows})


def machine() -> str:
    """The processors, the memory and the versions that figures depend on."""
    import jax

    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = models[0] if models else platform.machine()
    versions = f"Python {platform.python_version()}, jax {jax.__version__} on {jax.default_backend()}"
    return f"{os.cpu_count()} cores of {processor}, {memory:.0f} GiB; {versions}"


def read_figures() -> dict[str, Group]:
    """All groups by their names."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FIGURES.glob("*.json"))}


def filled(page: str, groups: dict[str, Group]) -> str:
    """The page with every region filled."""
    return REGION.sub(
        lambda found: found[1] + "\n".join(TABLES[found["name"]](groups)) + "\n" + found[3], page
    )


def compile_seconds(groups: dict[str, Group]) -> str:
    """What the estimate of ``--dry-run`` reads: seconds of compilation by method, as JSON."""
    seconds = {name: round(row["seconds"], 1) for name, row in _compilation(groups).items()}
    return json.dumps(seconds, indent=2) + "\n"


def _compilation(groups: dict[str, Group]) -> dict[str, dict[str, float]]:
    """Programs and seconds of each method."""
    found: dict[str, dict[str, float]] = {}
    for row in groups["compilation"]["rows"]:
        method, _, kind = row["name"].rpartition("-")
        found.setdefault(method, {})["seconds" if kind == "compile" else kind] = row["value"]
    return found


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _held(row: dict[str, Any]) -> str:
    return {True: "holds", False: "**does not hold**", None: ""}[row["holds"]]


def _compared(row: dict[str, Any]) -> str:
    return "" if row["ratio"] is None else f"{_number(row['ratio'])} x {row['reference']}"


def _promises(groups: dict[str, Group]) -> list[str]:
    rows = [row for name, group in groups.items() if name not in APART for row in group["rows"]]
    return _table(
        ("name", "value", "compared", "promised", ""),
        (
            (row["name"], f"{_number(row['value'])} {row['unit']}", _compared(row), row["hold"], _held(row))
            for row in rows
        ),
    )


def _compiled(groups: dict[str, Group]) -> list[str]:
    found = sorted(_compilation(groups).items(), key=lambda item: -item[1]["seconds"])
    return _table(
        ("method", "programs", "seconds"),
        ((f"`{name}`", _number(row["programs"]), f"{row['seconds']:.1f}") for name, row in found),
    )


def _baselines(groups: dict[str, Group]) -> list[str]:
    rows = {row["name"]: row for row in groups["baselines"]["rows"]}
    rates = [row for name, row in rows.items() if name.endswith("-runs")]
    lines = []
    for row in sorted(rates, key=lambda row: -row["value"]):
        method = row["name"].removesuffix("-runs")
        memory = rows[f"{method}-memory"]["value"]
        cells = (_number(row["value"]), _number(memory), _compared(row), row["hold"], _held(row))
        lines.append((f"`{method}`", *cells))
    return _table(("method", "runs/s", "memory, KiB/run", "compared", "promised", ""), lines)


def _measured(groups: dict[str, Group]) -> list[str]:
    """Day and machine, and all that was measured there."""
    commands: dict[tuple[str, str], list[str]] = {}
    for group in groups.values():
        commands.setdefault((group["date"], group["machine"]), []).append(f"`{group['command']}`")
    lines = []
    for (date, machine), own in sorted(commands.items(), reverse=True):
        whole = ", ".join(own).replace(" ", GLUE).replace(f",{GLUE}", ", ")
        wrapped = textwrap.wrap(f"* {date}, {machine}: {whole}.", 110, subsequent_indent="  ")
        lines += [line.replace(GLUE, " ") for line in wrapped]
    return ["", *lines, ""]


TABLES: dict[str, Callable[[dict[str, Group]], list[str]]] = {
    "promises": _promises,
    "compilation": _compiled,
    "baselines": _baselines,
    "measured": _measured,
}


def main(arguments: Sequence[str]) -> None:
    """What stands at the top of this file."""
    if arguments and arguments[0] != "measure":
        sys.exit(__doc__)
    if arguments:
        measure(arguments[1:])
    groups = read_figures()
    PAGE.write_text(filled(PAGE.read_text("utf-8"), groups), "utf-8")
    COMPILE_SECONDS.write_text(compile_seconds(groups), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
