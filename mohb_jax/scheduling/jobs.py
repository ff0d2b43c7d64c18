"""Lists of training jobs: the published traces, and lists made at random."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.benchmarks.download import RemoteFile, locate
from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.scheduling.profiles import MODELS, SERVER, Model
from mohb_jax.types import Array, Key

_FOLDER = (
    "https://raw.githubusercontent.com/msr-fiddle/synergy/1bb2bed6edc9c5f953d0b7f0a40e4fdad053489c/"
    "simulator/deploy_trace"
)
TRACES = {
    "static": RemoteFile(
        "synergy/static_100job_6_3_1100.0",
        f"{_FOLDER}/static_100job_6_3_1100.0",
        "eb1ba6821efa27b26ab4bad91080feee8e0416b9c841f0e87925721c4a63f7a1",
        2480,
        "MIT",
    ),
    "dynamic": RemoteFile(
        "synergy/dynamic_srtf.log",
        f"{_FOLDER}/dynamic/srtf.log",
        "c2ae34cd5cfe8e7638bc0d4207c70febf843bc66bbf3e61d9f100edb826e54b9",
        2373,
        "MIT",
    ),
}
"""The two lists of 100 jobs of the paper's experiment on a cluster: all there at once, and one after the
other."""
SPLIT = (20, 70, 10)
"""Percent of jobs on images, language and speech."""
KINDS = ("image", "language", "speech")
GPUS = {1: 70, 2: 10, 4: 15, 8: 5}
"""Percent of jobs on so many GPUs in the published generator, where jobs may have several."""


class Jobs(NamedTuple):
    """Training jobs; arrays of one list, or of several with the lanes in front.

    Attributes:
        seconds: of an iteration at the fair share.
        demand: of all its GPUs, in the order of ``profiles.RESOURCES``; the first is how many these are.
        speedup: with all that is demanded.
        arrival: seconds.
        iterations: until the job ends.
    """

    seconds: Float[Array, "*lanes jobs"]
    demand: Float[Array, "*lanes jobs 4"]
    speedup: Float[Array, "*lanes jobs"]
    arrival: Float[Array, "*lanes jobs"]
    iterations: Float[Array, "*lanes jobs"]


def jobs_of(
    models: Sequence[str],
    arrival: Sequence[float | int] | Float[np.ndarray, " jobs"],
    iterations: Sequence[float | int] | Float[np.ndarray, " jobs"],
    gpus: Sequence[int] | Int[np.ndarray, " jobs"] | None = None,
) -> Jobs:
    """A list of jobs by the names of their models.

    Args:
        models: names of ``MODELS``.
        arrival: seconds.
        iterations: until the job ends.
        gpus: of each job; 1 if None. It demands so many times what its model does, but no more than a server
            has, and its speedup falls in a straight line with the processors that it cannot have.

    Raises:
        InputError: an unknown model.

    Examples:
        >>> jobs_of(["alexnet", "gnmt"], [0, 0], [2500, 2500]).speedup.tolist()
        [2.94, 1.0]
    """
    for name in dict.fromkeys(models):
        require_choice("model of a job:", name, tuple(MODELS))
    own = [MODELS[name] for name in models]
    times = [1] * len(own) if gpus is None else np.asarray(gpus).tolist()
    wanted = [_wanted(model, count) for model, count in zip(own, times, strict=True)]
    return Jobs(
        seconds=np.array([model.seconds for model in own]),
        demand=np.array([demand for demand, _ in wanted]),
        speedup=np.array([speedup for _, speedup in wanted]),
        arrival=np.asarray(arrival, np.float64),
        iterations=np.asarray(iterations, np.float64),
    )


def _wanted(model: Model, gpus: int) -> tuple[Float[np.ndarray, " resources"], float]:
    """What a model demands on so many GPUs, and its speedup with that; as in the published simulator."""
    demand, server = model.demand * gpus, np.array(SERVER)
    fair = server / server[0] * gpus
    exceeds = (demand > server) & (np.arange(len(server)) > 0)
    if not exceeds.any():
        return demand, float(model.speedup)
    if gpus > server[0]:
        return np.where(exceeds, fair, demand), 1.0
    granted = np.where(exceeds, server, demand)
    share = (granted[1] - fair[1]) / (demand[1] - fair[1])
    return granted, 1 + (model.speedup - 1) * float(share)


def trace(name: str, data: str | os.PathLike[str] | None = None) -> Jobs:
    """One of the published ``TRACES``, downloaded where it is not at hand.

    Args:
        name: ``static`` or ``dynamic``.
        data: folder that holds the published files.
    """
    return read_trace(_trace_file(name, data))


def trace_models(name: str, data: str | os.PathLike[str] | None = None) -> list[str]:
    """The models of the jobs of one of the published ``TRACES``."""
    return read_lines(_trace_file(name, data))[0]


def _trace_file(name: str, data: str | os.PathLike[str] | None) -> Path:
    require_choice("trace", name, tuple(TRACES))
    return locate(TRACES[name], data)


def read_trace(path: Path) -> Jobs:
    """Jobs of a file with a line ``number, model, arrival in seconds, iterations, GPUs`` for each.

    Raises:
        InputError: naming the line that is none.
    """
    return jobs_of(*read_lines(path))


def read_lines(path: Path) -> tuple[list[str], list[float], list[int], list[int]]:
    """The columns of such a file: models, arrivals, iterations and GPUs."""
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            _, model, begins, length, gpus = line.split(",")
            lines.append((model, float(begins), int(length), int(gpus)))
        except ValueError as error:
            raise InputError(
                f"{path}, line {number}: {line!r} is not number, model, arrival, iterations, GPUs"
            ) from error
        if lines[-1][3] < 1:
            raise InputError(f"{path}, line {number}: {lines[-1][3]} GPUs: a job needs at least one")
    models, arrivals, iterations, counts = ([line[part] for line in lines] for part in range(4))
    return models, arrivals, iterations, counts  # type: ignore[return-value]


@in_64_bits
def generated_jobs(
    seed: int,
    num_lanes: int,
    num_jobs: int,
    per_hour: float | int,
    split: tuple[int, ...] = SPLIT,
    several_gpus: bool = False,
) -> Jobs:
    """Lists of jobs made at random, as the published generator makes them.

    Jobs arrive ``ceil(x)`` seconds after each other, x exponential with mean 3600 / ``per_hour``. At the fair
    share they take ``60 * 10**u`` seconds, u uniform in (3, 4) with probability .2 and else in (1.5, 3).
    Models of a kind take turns.

    Args:
        seed: of all lanes; lane i does not depend on how many there are.
        num_lanes: lists.
        num_jobs: of each list.
        per_hour: jobs that arrive in an hour, on average.
        split: weights of the kinds image, language, speech.
        several_gpus: as many GPUs per job as ``GPUS`` says; else one.
    """
    keys = [jax.random.fold_in(jax.random.key(seed), lane) for lane in range(num_lanes)]
    lists = [_generated(key, num_jobs, per_hour, split, several_gpus) for key in keys]
    return Jobs(*(np.stack(column) for column in zip(*lists, strict=True)))


def _generated(
    key: Key, num_jobs: int, per_hour: float | int, split: tuple[int, ...], several_gpus: bool
) -> Jobs:
    gap, is_long, length, kind = (
        np.asarray(jax.random.uniform(own, (num_jobs,), np.float64)) for own in jax.random.split(key, 4)
    )
    arrival = np.cumsum(np.ceil(-np.log1p(-gap) * 3600 / per_hour))
    exponent = np.where(is_long < 0.2, 3 + length, 1.5 + 1.5 * length)
    of_kind = np.searchsorted(np.cumsum(split) / sum(split), kind, side="right")
    zoo = [[name for name, model in MODELS.items() if model.kind == own] for own in KINDS]
    turn = [np.cumsum(of_kind == index) - 1 for index in range(len(KINDS))]
    names = [zoo[index][turn[index][job] % len(zoo[index])] for job, index in enumerate(of_kind.tolist())]
    seconds = np.array([MODELS[name].seconds for name in names])
    return jobs_of(names, arrival, np.floor(60 * 10**exponent / seconds), _gpus(key, num_jobs, several_gpus))


def _gpus(key: Key, num_jobs: int, several_gpus: bool) -> Int[np.ndarray, " jobs"]:
    if not several_gpus:
        return np.ones(num_jobs, int)
    chance = np.asarray(jax.random.uniform(jax.random.fold_in(key, 4), (num_jobs,), np.float64))
    below = np.cumsum(list(GPUS.values())) / 100
    return np.array(list(GPUS))[np.searchsorted(below, chance, side="right")]
