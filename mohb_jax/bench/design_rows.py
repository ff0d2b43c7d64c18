"""How fast a design study runs its candidates."""

import time
from collections.abc import Iterator

from mohb_jax import benchmarks
from mohb_jax.bench.row import Row
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.design.pool import pooled
from mohb_jax.design.space import PLAIN, Point
from mohb_jax.design.trials import BLOCK, SIDE_BY_SIDE, Trials

MILLION = 1_000_000
LIKE_HYPERBAND: tuple[Point, ...] = (
    PLAIN,
    PLAIN | {"mode": "barrier"},
    PLAIN | {"eta": 4},
    {name: value for name, value in PLAIN.items() if name != "scale"} | {"promotion": "crowding"},
)


def design(num_seeds: int = 640, num_rows: int = 2000) -> Iterator[Row]:
    """A million runs of methods like Hyperband, on the tasks of ``embedded`` and ``synthetic``: what the
    first call of each takes, compilation included, and the others at the rate of those that follow."""
    pool = pooled([benchmarks.load("embedded"), synthetic(num_rows=num_rows)], num_rows, 0)
    trials = Trials(pool, 0, 4, trainings=25)
    first = BLOCK * SIDE_BY_SIDE
    began = time.perf_counter()
    for point in LIKE_HYPERBAND:
        trials.blocks([point], 0, first)
    compiled = time.perf_counter()
    for point in LIKE_HYPERBAND:
        trials.blocks([point], first, num_seeds)
    num_runs = len(LIKE_HYPERBAND) * len(trials.tasks) * num_seeds
    rate = num_runs / (time.perf_counter() - compiled)
    minutes = (compiled - began + MILLION / rate) / 60
    yield Row("design-million", minutes, "min", "none", None, "<= 30 min", minutes <= 30)
    yield Row("design-rate", rate, "runs/s", "none", None, "", None)
