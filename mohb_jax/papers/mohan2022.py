"""Mohan et al. 2022 (Synergy): what a cluster gains by a schedule that knows how many processors and how much
memory a training needs. docs/reproduction.md says what is published and what is ours."""

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mohb_jax import store
from mohb_jax.analysis.statistics import intervals
from mohb_jax.papers.mohan2022_page import page_html, write_figure
from mohb_jax.papers.paper import Paper, Reproduction, write_rows
from mohb_jax.precision import in_64_bits
from mohb_jax.scheduling import (
    MODES,
    POLICIES,
    Jobs,
    allocate,
    best_shares,
    generated_jobs,
    jobs_of,
    simulate_rounds,
)
from mohb_jax.scheduling.jobs import GPUS, KINDS, trace, trace_models
from mohb_jax.scheduling.optimum import profiles
from mohb_jax.scheduling.profiles import MODELS, SERVER
from mohb_jax.threads import map_in_threads

TRACES = {"static": 1.0, "dynamic": 300.0}
"""Published lists of jobs, and the second at which the published simulator begins its first round."""
SERVERS = 4
PUBLISHED = {
    ("static", "fifo"): ((5.6311, 5.8753, 15.2503), (5.4944, 5.8753, 12.3336), (5.0828, 5.2503, 11.0003)),
    ("static", "srtf"): ((4.4119, 2.9169, 14.0836), (4.3078, 2.8753, 14.6669), (4.1069, 2.8336, 12.9169)),
    ("static", "las"): ((5.6253, 4.9169, 11.4169), (6.1853, 6.1253, 13.1669), (5.1711, 4.6253, 10.6669)),
    ("dynamic", "fifo"): ((4.6226, 4.1175, 16.7500), (3.8817, 3.4254, 15.2500), (3.6751, 3.1586, 14.8333)),
    ("dynamic", "srtf"): ((3.9067, 2.1293, 19.5000), (3.2326, 1.7471, 13.9167), (3.1884, 1.8628, 13.2500)),
    ("dynamic", "las"): ((4.5551, 3.4694, 17.1667), (4.0534, 3.5806, 12.2500), (3.6701, 3.0096, 11.4167)),
}
"""Hours: mean and median time of a job, and time of all jobs, under each of ``MODES``, as the published
simulator answers (github.com/msr-fiddle/synergy, commit 1bb2bed6, executed)."""


class Mixture(NamedTuple):
    """Made lists of jobs of one kind.

    Attributes:
        split: percent of jobs on images, language and speech.
        several_gpus: whether jobs may have up to eight GPUs.
    """

    split: tuple[int, ...]
    several_gpus: bool = False

    def lists(self, seeds: int) -> int:
        """How many are made: a quarter where placing a job on several GPUs takes several times as long."""
        return -(-seeds // 4) if self.several_gpus else seeds

    @property
    def text(self) -> str:
        """``20 / 70 / 10``, in the order of ``KINDS``."""
        return " / ".join(map(str, self.split)) + (", 1 to 8 GPUs" if self.several_gpus else "")


LOADS = {
    Mixture((20, 70, 10)): (4.0, 8.0, 10.0, 12.0),
    Mixture((20, 70, 10), several_gpus=True): (4.0,),
    Mixture((50, 0, 50)): (4.0, 7.0),
}
"""Jobs per hour of each mixture."""
LOAD_SERVERS = 16
NUM_JOBS = 900
COUNTED = slice(300, 600)
"""Jobs of a made list that are counted: those before them find the cluster emptier than the others."""


class TraceRow(NamedTuple):
    """One way of scheduling one published list; hours."""

    trace: str
    policy: str
    mode: str
    mean: float
    median: float
    percentile_99: float
    makespan: float
    published_mean: float | None
    published_median: float | None
    published_makespan: float | None
    gpus_used: float
    cpus_used: float
    memory_used: float
    above_fair: float

    @property
    def is_published(self) -> bool:
        """Whether the published simulator's answer is known."""
        return self.published_mean is not None

    @property
    def agrees(self) -> bool:
        """Whether mean, median and makespan are the published ones to all digits."""
        own = (self.mean, self.median, self.makespan)
        theirs = (self.published_mean, self.published_median, self.published_makespan)
        return tuple(round(value, 4) for value in own) == theirs


class LoadRow(NamedTuple):
    """Made lists of one kind: the mean time of a job at its fair share over that under ``tune``."""

    split: str
    per_hour: float
    gain: float
    low: float | None
    high: float | None
    empty_cluster: float
    """The same where no job ever waits and each gets what it demands."""


def trace_rows(data: str | None = None) -> list[TraceRow]:
    """All policies and modes on the two published lists.

    Args:
        data: folder that holds the published files.
    """
    return [row for name in TRACES for row in _trace_rows(name, trace(name, data))]


def _trace_rows(name: str, jobs: Jobs) -> Iterator[TraceRow]:
    ways = list(itertools.product(POLICIES, MODES))
    lanes = Jobs(*(np.broadcast_to(part, (len(ways), *part.shape)) for part in jobs))
    policies, modes = zip(*ways, strict=True)
    found = simulate_rounds(lanes, policies, modes, SERVERS, first_round=TRACES[name])
    for lane, (policy, mode) in enumerate(ways):
        hours = (found.finish[lane] - jobs.arrival) / 3600
        known = PUBLISHED.get((name, policy), ((None, None, None),) * len(MODES))
        mean, median, makespan = known[MODES.index(mode)]
        yield TraceRow(
            trace=name,
            policy=policy,
            mode=mode,
            mean=float(hours.mean()),
            median=float(np.median(hours)),
            percentile_99=float(np.percentile(hours, 99)),
            makespan=float(found.finish[lane].max()) / 3600,
            published_mean=mean,
            published_median=median,
            published_makespan=makespan,
            gpus_used=float(found.used[lane, 0]),
            cpus_used=float(found.used[lane, 1]),
            memory_used=float(found.used[lane, 2]),
            above_fair=float(found.above_fair[lane]),
        )


class RoundRow(NamedTuple):
    """The first jobs of the static list on some servers, one for each GPU: sums of speeds, 1 for a job at its
    fair share."""

    servers: int
    fair: float
    greedy: float
    tune: float
    best: float
    """Of all shares, by what was measured."""


def round_rows(data: str | None = None) -> list[RoundRow]:
    """What each way makes of the first round, and what could be made of it."""
    return [_round_row(servers, data) for servers in (1, SERVERS)]


@in_64_bits
def _round_row(servers: int, data: str | None) -> RoundRow:
    gpus = servers * int(SERVER[0])
    jobs = Jobs(*(part[:gpus] for part in trace("static", data)))
    order, demand, speedup = (
        jnp.arange(len(jobs.seconds)),
        jnp.asarray(jobs.demand),
        jnp.asarray(jobs.speedup),
    )
    place = jax.jit(functools.partial(allocate, num_servers=servers, capacity=SERVER))
    fair, greedy, tune = (
        float(place(order, jnp.int32(len(order)), demand, speedup, jnp.int32(mode)).speed.sum())
        for mode in range(len(MODES))
    )
    best = best_shares(trace_models("static", data)[:gpus], servers, measured=profiles(data))
    return RoundRow(servers, fair, greedy, tune, best.total)


def load_rows(seeds: int) -> list[LoadRow]:
    """What ``tune`` gains over ``fair`` on made lists under ``fifo``; intervals over lists."""
    cells = [(mixture, load) for mixture, loads in LOADS.items() for load in loads]
    gains = map_in_threads(lambda cell: gain(cell[0].lists(seeds), *cell), cells)
    return [_load_row(mixture, load, own) for (mixture, load), own in zip(cells, gains, strict=True)]


def gain(seeds: int, mixture: Mixture, per_hour: float) -> Float[np.ndarray, " seeds"]:
    """Of each list."""
    jobs = generated_jobs(0, seeds, NUM_JOBS, per_hour, *mixture)
    both = Jobs(*(np.concatenate([part, part]) for part in jobs))
    modes = ["fair"] * seeds + ["tune"] * seeds
    found = simulate_rounds(both, ["fifo"] * len(modes), modes, LOAD_SERVERS)
    mean = (found.finish - both.arrival)[:, COUNTED].mean(axis=1)
    return np.asarray(mean[:seeds] / mean[seeds:])


def _load_row(mixture: Mixture, per_hour: float, gains: Float[np.ndarray, " seeds"]) -> LoadRow:
    low, high = (None, None) if gains.size < 2 else intervals(gains[None])[0].tolist()
    return LoadRow(mixture.text, per_hour, float(gains.mean()), low, high, empty_cluster_gain(mixture))


def empty_cluster_gain(mixture: Mixture) -> float:
    """Mean time at speed 1 over mean time at full speed: one over the mean of 1 / speedup, models of a kind
    being as frequent as each other."""
    share = 0.0
    for gpus, percent in (GPUS if mixture.several_gpus else {1: 100}).items():
        for weight, kind in zip(mixture.split, KINDS, strict=True):
            names = [name for name, model in MODELS.items() if model.kind == kind]
            own = jobs_of(names, [0] * len(names), [1] * len(names), [gpus] * len(names))
            share += percent / 100 * weight / sum(mixture.split) * float(np.mean(1 / own.speedup))
    return 1 / share


def write_schedules(reproduction: Reproduction) -> Path:
    """Runs the simulations and writes tables, figure and page; returns the page's path."""
    data = reproduction.data
    traces, rounds, loads = trace_rows(data), round_rows(data), load_rows(reproduction.seeds)
    out = reproduction.claims
    out.mkdir(parents=True, exist_ok=True)
    results = {}
    for stem, rows in (("traces", traces), ("rounds", rounds), ("loads", loads)):
        write_rows(out / f"{stem}.csv", rows)
        results[stem] = [row._asdict() for row in rows]
    store.write_json(out / "results.json", reproduction.about | results)
    figures = write_figure(loads, out / "figures")
    page = out / "index.html"
    page.write_text(page_html(reproduction, traces, rounds, loads, figures), encoding="utf-8")
    return page


PAPER = Paper(
    name="mohan2022",
    title="Mohan, Phanishayee, Kulkarni, Chidambaram: Looking beyond GPUs for DNN scheduling on multi-tenant "
    "clusters (Synergy), OSDI 2022",
    benchmarks=(),
    study=None,
    write=write_schedules,
    seeds=10,
    needs="published profiles of Synergy",
)
