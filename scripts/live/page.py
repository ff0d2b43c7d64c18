"""Fills docs/live.md, and draws its figure, from docs/live/runs.json."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import scipy.stats
from jaxtyping import Float
from matplotlib.ticker import FixedLocator
from mohb_jax.benchmarks.normalise import non_dominated

from mohb_jax import hypervolume

REGION = re.compile(r"(<!-- live:(?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
COLOURS = {"random": "#7a7a7a", "mo-asha": "#0072b2", "mo-asha+prior": "#d55e00"}
TITLES = {"digits": "digits", "breast_cancer": "breast cancer"}
CREDITS = ("full", "passed")

Run = Mapping[str, Any]


def costs_of(run: Run, columns: Sequence[str], top: float, credit: str) -> Float[np.ndarray, "n 3"]:
    """Error, and the logarithms of seconds and CPU-seconds: of full trainings, or of all results."""
    jobs = np.array(run["jobs"], float).reshape(-1, len(columns))
    rows = jobs if credit == "passed" else jobs[jobs[:, columns.index("fidelity")] == top]
    error, seconds, cpu = (rows[:, columns.index(name)] for name in ("error", "seconds", "cpu_seconds"))
    return np.stack([error, np.log10(seconds), np.log10(cpu)], axis=1)


def volumes(found: Mapping[str, Any]) -> dict[tuple[str, str, str], list[float]]:
    """Hypervolume of each run by data set, credit and method: the share of the box around all results that
    count, of all runs on the data set."""
    columns, top = found["job_columns"], found["fidelities"][-1]
    volume: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for credit in CREDITS:
        for data in dict.fromkeys(run["data"] for run in found["runs"]):
            own = [run for run in found["runs"] if run["data"] == data]
            costs = [costs_of(run, columns, top, credit) for run in own]
            low, high = np.concatenate(costs).min(axis=0), np.concatenate(costs).max(axis=0)
            for run, points in zip(own, costs, strict=True):
                scaled = (points - low) / np.where(high > low, high - low, 1)
                share = float(hypervolume(scaled, np.ones(3))) if len(scaled) else 0.0
                volume[data, credit, run["method"]].append(share)
    return volume


def interval(values: Sequence[float]) -> str:
    """Mean and its 95 % interval by Student's t."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return f"{mean:.3f}"
    half = scipy.stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count)
    return f"{mean:.3f} [{mean - half:.3f}, {mean + half:.3f}]"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def volume_table(found: Mapping[str, Any]) -> str:
    """A row per data set, method and credit: jobs, full trainings, hypervolume, and more than random's."""
    volume, top = volumes(found), found["fidelities"][-1]
    place, rows = found["job_columns"].index("fidelity"), []
    for data, method in dict.fromkeys((run["data"], run["method"]) for run in found["runs"]):
        own = [run for run in found["runs"] if (run["data"], run["method"]) == (data, method)]
        jobs = np.mean([len(run["jobs"]) for run in own])
        full = np.mean([sum(job[place] == top for job in run["jobs"]) for run in own])
        for credit in CREDITS:
            values, chance = volume[data, credit, method], volume[data, credit, "random"]
            more = interval(np.subtract(values, chance).tolist()) if method != "random" else ""
            rows.append([TITLES[data], method, f"{jobs:.0f}", f"{full:.0f}", credit, interval(values), more])
    head = ["data", "method", "jobs", "in full", "counted", "hypervolume", "more than random"]
    return table(head, rows)


def pairs_table(found: Mapping[str, Any]) -> str:
    """What mo-asha+prior is more than mo-asha."""
    volume = volumes(found)
    rows = []
    for credit in CREDITS:
        ours, theirs = (volume["breast_cancer", credit, name] for name in ("mo-asha+prior", "mo-asha"))
        rows.append([credit, interval(np.subtract(ours, theirs).tolist())])
    return table(["counted", "mo-asha+prior more than mo-asha"], rows)


def best(costs: Float[np.ndarray, "n m"]) -> list[int]:
    """Which points no other dominates, by the first objective."""
    return sorted(np.flatnonzero(non_dominated(costs)).tolist(), key=lambda index: tuple(costs[index]))


def front_table(found: Mapping[str, Any]) -> str:
    """The front of full trainings on digits that mo-asha found in its first repeat."""
    run = next(run for run in found["runs"] if (run["data"], run["method"]) == ("digits", "mo-asha"))
    columns, top = found["job_columns"], found["fidelities"][-1]
    jobs = [dict(zip(columns, job, strict=True)) for job in run["jobs"]]
    full = [job for job in jobs if job["fidelity"] == top]
    costs = np.array([[job["error"], job["seconds"], job["cpu_seconds"]] for job in full]).reshape(-1, 3)
    rows = []
    for index in best(costs):
        job, config = full[index], found["configs"][int(full[index]["row"])]
        shown = [f"{value:.2g}" if isinstance(value, float) else value for value in config]
        rows.append(
            [f"{100 * job['error']:.1f} %", f"{job['seconds']:.2f}", f"{job['cpu_seconds']:.2f}", *shown]
        )
    return table(["error", "seconds", "CPU-seconds", *found["columns"]], rows)


def about(found: Mapping[str, Any]) -> str:
    """When and where, in a sentence or two."""
    limits = defaultdict(list)
    for run in found["runs"]:
        limits[run["data"]].append(run["limit"])
    times = ", ".join(f"{np.mean(part):.0f} s on {TITLES[data]}" for data, part in limits.items())
    repeats = len({run["seed"] for run in found["runs"]})
    lines = (
        f"`{found['command']}`, {found['date']}, {repeats} repeats.",
        f"{found['machine']}.",
        f"A run took {times} on average, compiling all programs beforehand {found['compile_seconds']} s.",
    )
    return "\n".join(lines)


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Error over seconds: all full trainings, and the front of each method's runs together."""
    columns, top = found["job_columns"], found["fidelities"][-1]
    names = list(dict.fromkeys(run["data"] for run in found["runs"]))
    figure, axes = plt.subplots(1, len(names), figsize=(4.6 * len(names), 3.8), squeeze=False)
    for axis, data in zip(axes[0], names, strict=True):
        for method, colour in COLOURS.items():
            own = [run for run in found["runs"] if (run["data"], run["method"]) == (data, method)]
            if not own:
                continue
            costs = np.concatenate([costs_of(run, columns, top, "full") for run in own])[:, :2]
            axis.scatter(10 ** costs[:, 1], 100 * costs[:, 0], s=9, color=colour, alpha=0.35, linewidths=0)
            front = costs[best(costs)]
            steps = np.argsort(front[:, 1])
            axis.step(10 ** front[steps, 1], 100 * front[steps, 0], where="post", color=colour, label=method)
        axis.set(title=TITLES[data], xscale="log", xlabel="seconds of a full training", ylabel="error, %")
        axis.set_yscale("symlog", linthresh=1)  # most are small, and some may be 0
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_locator(FixedLocator([0, 0.5, 1, 2, 5, 10, 20, 50, 100]))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.grid(alpha=0.25)
        axis.legend(frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def figure(found: Mapping[str, Any]) -> str:
    """The picture that ``draw`` makes."""
    del found
    return "![Error over seconds of full trainings, with the front of each method](images/live.png)"


PARTS = {
    "figure": figure,
    "about": about,
    "volumes": volume_table,
    "prior": pairs_table,
    "front": front_table,
}


def write(docs: Path) -> None:
    """The page and its figure."""
    found = json.loads((docs / "live" / "runs.json").read_text(encoding="utf-8"))
    draw(found, docs / "images" / "live.png")
    text = (docs / "live.md").read_text(encoding="utf-8")

    def filled(region: re.Match[str]) -> str:
        return f"{region[1]}{PARTS[region['name']](found)}\n{region[3]}"

    (docs / "live.md").write_text(REGION.sub(filled, text), encoding="utf-8")
