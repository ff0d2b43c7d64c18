"""Lists of training jobs: the published traces, and lists made at random."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.benchmarks.download import RemoteFile, locate
from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.scheduling.profiles import MODELS
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


class Jobs(NamedTuple):
    """Jobs on one GPU each; arrays of one list, or of several with the lanes in front.

    Attributes:
        seconds: of an iteration at the fair share.
        demand: in the order of ``profiles.RESOURCES``.
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
) -> Jobs:
    """A list of jobs by the names of their models.

    Raises:
        InputError: an unknown model.

    Examples:
        >>> jobs_of(["alexnet", "gnmt"], [0, 0], [2500, 2500]).speedup.tolist()
        [2.94, 1.0]
    """
    for name in dict.fromkeys(models):
        require_choice("model of a job:", name, tuple(MODELS))
    own = [MODELS[name] for name in models]
    return Jobs(
        seconds=np.array([model.seconds for model in own]),
        demand=np.array([model.demand for model in own]),
        speedup=np.array([float(model.speedup) for model in own]),
        arrival=np.asarray(arrival, np.float64),
        iterations=np.asarray(iterations, np.float64),
    )


def trace(name: str, data: str | os.PathLike[str] | None = None) -> Jobs:
    """One of the published ``TRACES``, downloaded where it is not at hand.

    Args:
        name: ``static`` or ``dynamic``.
        data: folder that holds the published files.
    """
    require_choice("trace", name, tuple(TRACES))
    return read_trace(locate(TRACES[name], data))


def read_trace(path: Path) -> Jobs:
    """Jobs of a file with a line ``number, model, arrival in seconds, iterations, GPUs`` for each.

    Raises:
        InputError: naming the line that is none, or a job on several GPUs.
    """
    models, arrival, iterations = [], [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            _, model, begins, length, gpus = line.split(",")
            arrival.append(float(begins))
            iterations.append(int(length))
            models.append(model)
        except ValueError as error:
            raise InputError(
                f"{path}, line {number}: {line!r} is not number, model, arrival, iterations, GPUs"
            ) from error
        if gpus.strip() != "1":
            raise InputError(
                f"{path}, line {number}: {gpus.strip()} GPUs; only jobs on one GPU are simulated"
            )
    return jobs_of(models, arrival, iterations)


@in_64_bits
def generated_jobs(
    seed: int, num_lanes: int, num_jobs: int, per_hour: float | int, split: tuple[int, ...] = SPLIT
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
    """
    keys = [jax.random.fold_in(jax.random.key(seed), lane) for lane in range(num_lanes)]
    lists = [_generated(key, num_jobs, per_hour, split) for key in keys]
    return Jobs(*(np.stack(column) for column in zip(*lists, strict=True)))


def _generated(key: Key, num_jobs: int, per_hour: float | int, split: tuple[int, ...]) -> Jobs:
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
    return jobs_of(names, arrival, np.floor(60 * 10**exponent / seconds))
