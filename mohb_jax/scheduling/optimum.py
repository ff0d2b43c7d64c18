"""The best shares of a round by what was measured: an integer programme, to tell how good a heuristic is."""

import csv
import functools
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.optimize
import scipy.sparse
from jaxtyping import Float

from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.benchmarks.download import RemoteFile, locate
from mohb_jax.errors import InputError
from mohb_jax.scheduling.profiles import SERVER

FILE = RemoteFile(
    "synergy/profiles.csv",
    "https://raw.githubusercontent.com/msr-fiddle/synergy/1bb2bed6edc9c5f953d0b7f0a40e4fdad053489c/simulator/models/",
    "998b56171ca508bc77686e6769dc5124d0cf9c01efb56dedf37986ab2489309c",
    24255,
    "MIT",
)
"""Throughput of each model at nine numbers of processors and five of memory; 1 at the fair share."""


class Option(NamedTuple):
    """One measured share.

    Attributes:
        cpus: processors.
        memory: GB.
        speed: relative to that at the fair share.
    """

    cpus: float
    memory: float
    speed: float


class BestShares(NamedTuple):
    """The best shares of some jobs.

    Attributes:
        total: sum of speeds; times GPUs, where a job has several.
        options: of each job; per GPU.
    """

    total: float
    options: tuple[Option, ...]


@functools.cache
def profiles(data: str | os.PathLike[str] | None = None) -> dict[str, tuple[Option, ...]]:
    """What was measured, by model.

    Args:
        data: folder that holds the published files.
    """
    found: dict[str, tuple[Option, ...]] = {}
    with locate(FILE, data).open(newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            option = Option(float(row["cpu"]), float(row["mem_level"]), float(row["throughput"]))
            found[row["model"]] = (*found.get(row["model"], ()), option)
    return found


def best_shares(
    models: Sequence[str],
    num_servers: int = 1,
    gpus: Sequence[int] | None = None,
    measured: dict[str, tuple[Option, ...]] | None = None,
) -> BestShares:
    """The shares with the greatest sum of speeds, none slower than at its fair share.

    Processors and memory are those of all servers together, as in the published programme: an upper bound
    where a server's own would not do.

    Args:
        models: of the jobs of a round.
        num_servers: of ``profiles.SERVER``'s size.
        gpus: of each job; 1 if None.
        measured: options by model; ``profiles()`` if None.

    Raises:
        InputError: an unknown model, or more GPUs than there are.

    References:
        Mohan et al., OSDI 2022, appendix; ``SolveFirstLP`` of its published code.
    """
    known = profiles() if measured is None else measured
    for name in dict.fromkeys(models):
        require_choice("model of a job:", name, tuple(known))
    times = np.ones(len(models)) if gpus is None else np.asarray(gpus, float)
    room = num_servers * np.asarray(SERVER)
    if times.sum() > room[0]:
        raise InputError(f"jobs on {times.sum():g} GPUs: {room[0]:g} are there")
    pairs = [(job, own) for job, name in enumerate(models) for own in known[name] if own.speed >= 1]
    owner = np.array([job for job, _ in pairs])
    chosen = _chosen(owner, np.array([own for _, own in pairs]) * times[owner][:, None], room[1:3])
    options = tuple(pairs[place][1] for place in np.flatnonzero(chosen))
    return BestShares(float(sum(own.speed * n for own, n in zip(options, times, strict=True))), options)


def _chosen(
    owner: np.ndarray, options: Float[np.ndarray, "options 3"], room: Float[np.ndarray, " 2"]
) -> np.ndarray:
    """Which options the best choice has, one of each owner."""
    number = np.arange(owner.size)
    one_each = scipy.sparse.csr_matrix((np.ones(owner.size), (owner, number)))
    limits = [
        scipy.optimize.LinearConstraint(one_each, 1, 1),
        scipy.optimize.LinearConstraint(options[:, :2].T, 0, room),
    ]
    whole = np.ones(owner.size)
    found = scipy.optimize.milp(-options[:, 2], constraints=limits, integrality=whole, bounds=(0, 1))
    return np.asarray(np.round(found.x) == 1)
