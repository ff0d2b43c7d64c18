"""Pochelu, Petiton and Conche 2022: an ensemble's members placed on devices. docs/reproduction.md says what
is published and what is ours."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax import store
from mohb_jax.ensembles import placement
from mohb_jax.ensembles.placement import BATCH_SIZES, NUM_NEIGHBOURS, Devices, Members
from mohb_jax.papers.paper import Paper, Reproduction, write_rows
from mohb_jax.papers.pochelu2022_page import page_html, write_figure
from mohb_jax.precision import in_64_bits
from mohb_jax.threads import map_in_threads

DEVICE_MEMORY = 16.0
"""GiB of each device; all have speed 1."""
NUM_DEVICES = (4, 16)
MOST_MEMBERS = 12
RANGES = {"memory": (0.2, 2.0), "activation": (0.005, 0.05), "work": (1e-3, 30e-3)}
"""GiB, GiB per example of a batch, and seconds per example, drawn evenly in the logarithm."""
OVERHEAD = 10e-3
"""Seconds per batch."""
LANES = 50
"""Ensembles that are placed together."""


class SpeedRow(NamedTuple):
    """One random ensemble: examples per second of each way of placing it, None where it does not fit."""

    devices: int
    members: int
    spread_of_work: float
    """Work of the slowest member over that of the fastest."""
    worst_fit: float
    batches: float
    greedy: float
    bounded: float
    spread: float | None

    @property
    def speedup(self) -> float:
        """Of the greedy matrix over the best batch sizes alone."""
        return self.greedy / self.batches


class CaseRow(NamedTuple):
    """A case that the paper names."""

    name: str
    found: str
    throughput: float
    over_one: float
    """Throughput over that of worst-fit with the best batch sizes."""


def drawn(seed: int, num_devices: int) -> Members:
    """A random ensemble of 1 to ``MOST_MEMBERS`` models, padded."""
    chance = np.random.default_rng((seed, num_devices))
    number = int(chance.integers(1, MOST_MEMBERS + 1))
    parts = {
        name: np.exp(chance.uniform(np.log(low), np.log(high), MOST_MEMBERS))
        for name, (low, high) in RANGES.items()
    }
    there = np.arange(MOST_MEMBERS) < number
    return Members(
        memory=np.where(there, parts["memory"], np.inf),
        activation=np.where(there, parts["activation"], 0.0),
        work=parts["work"],
        overhead=np.full(MOST_MEMBERS, OVERHEAD),
    )


@in_64_bits
def speed_rows(num_ensembles: int, num_devices: int) -> list[SpeedRow]:
    """Random ensembles on devices that are alike; those that worst-fit cannot place are left out."""
    devices = Devices(np.full(num_devices, DEVICE_MEMORY), np.ones(num_devices))
    firsts = range(0, num_ensembles, LANES)
    batches = map_in_threads(lambda first: list(_batch(first, num_ensembles, devices)), firsts)
    return [row for batch in batches for row in batch]


def _batch(first: int, num_ensembles: int, devices: Devices) -> Iterator[SpeedRow]:
    """``LANES`` ensembles as one program; the last of them may be more than were asked for."""
    every = [drawn(seed, len(devices.memory)) for seed in range(first, first + LANES)]
    stacked = Members(*(np.stack(parts) for parts in zip(*every, strict=True)))
    levels, lacks, greedy, bounded = (np.asarray(part) for part in _placed(stacked, devices, first))
    for lane, members in enumerate(every[: num_ensembles - first]):
        if not lacks[lane].any():
            yield _row(members, devices, levels[lane], float(greedy[lane]), float(bounded[lane]))


@jax.jit
def _placed(members: Members, devices: Devices, seed: int) -> tuple:
    """Worst-fit, what it lacks, and throughput after the search and after the bounded one."""

    def one(own: Members, lane: jax.Array) -> tuple:
        key = jax.random.fold_in(jax.random.key(0), seed + lane)
        levels, lacks = placement.worst_fit(own, devices)
        _, greedy, _ = placement.improved(levels, own, devices)
        _, bounded, _ = placement.improved(levels, own, devices, key, num_neighbours=NUM_NEIGHBOURS)
        return levels, lacks, greedy, bounded

    return jax.vmap(one)(members, jnp.arange(LANES))


def _row(members: Members, devices: Devices, levels: np.ndarray, greedy: float, bounded: float) -> SpeedRow:
    number = int(np.isfinite(members.memory).sum())
    own = Members(*(np.asarray(part)[:number] for part in members))
    own_levels = levels[:, :number]
    spread = placement.spread_out(own, devices)
    return SpeedRow(
        devices=len(devices.memory),
        members=number,
        spread_of_work=float(np.max(own.work) / np.min(own.work)),
        worst_fit=_rate(own_levels, own, devices),
        batches=_rate(placement.best_batches(own_levels, own, devices), own, devices),
        greedy=greedy,
        bounded=bounded,
        spread=None if spread is None else _rate(spread, own, devices),
    )


def _rate(levels: np.ndarray, members: Members, devices: Devices) -> float:
    """The throughput in plain NumPy."""
    batch, there = np.asarray(BATCH_SIZES, float)[levels], levels > 0
    seconds = np.asarray(members.overhead) + batch * np.asarray(members.work) / devices.speed[:, None]
    rate = batch / np.where(there, seconds, 1) / np.maximum(there.sum(axis=1), 1)[:, None]
    return float(np.where(there, rate, 0).sum(axis=0).min())


def case_rows() -> list[CaseRow]:
    """What the abstract says of sizes: 12 heavy members on 4 devices, one member on 16."""
    heavy = Members(*(np.full(12, value) for value in (3.0, 0.02, 0.01, OVERHEAD)))
    single = Members(*(np.full(1, value) for value in (3.0, 0.02, 0.01, OVERHEAD)))
    rows = []
    for name, members, number in (("12 alike on 4", heavy, 4), ("1 on 16", single, 16)):
        devices = Devices(np.full(number, DEVICE_MEMORY), np.ones(number))
        found = placement.place(members, devices)
        levels, _ = in_64_bits(placement.worst_fit)(members, devices)
        start = _rate(placement.best_batches(np.asarray(levels), members, devices), members, devices)
        workers = (found.levels > 0).sum(axis=1)
        each = sorted({int(workers.min()), int(workers.max())})
        text = f"{' to '.join(map(str, each))} on each device, in batches of {_batches(found.levels)}"
        rows.append(CaseRow(name, text, found.throughput, found.throughput / start))
    return rows


def _batches(levels: np.ndarray) -> str:
    return " to ".join(str(BATCH_SIZES[level]) for level in sorted({levels[levels > 0].min(), levels.max()}))


def write_placements(reproduction: Reproduction) -> Path:
    """Places random ensembles and writes tables, figure and page; returns the page's path."""
    cases = case_rows()
    rows = [row for number in NUM_DEVICES for row in speed_rows(reproduction.seeds, number)]
    out = reproduction.claims
    out.mkdir(parents=True, exist_ok=True)
    write_rows(out / "ensembles.csv", rows)
    results = {"cases": [row._asdict() for row in cases], "ensembles": [row._asdict() for row in rows]}
    store.write_json(out / "results.json", reproduction.about | results)
    figures = write_figure(rows, out / "figures")
    page = out / "index.html"
    page.write_text(page_html(reproduction, cases, rows, figures), encoding="utf-8")
    return page


PAPER = Paper(
    name="pochelu2022",
    title="Pochelu, Petiton, Conche: An efficient and flexible inference system for serving heterogeneous "
    "ensembles of deep neural networks, arXiv 2208.14049",
    benchmarks=(),
    study=None,
    write=write_placements,
    needs="nothing: ensembles are drawn",
)
