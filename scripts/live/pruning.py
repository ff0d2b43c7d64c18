"""Pruning inside a loop that trains: each report says whether the training goes on.

python -m scripts.live.pruning [JOBS]
"""

import sys

from mohb_jax import Tuner, rungs
from scripts.live.made_up import GOALS, after, space


def main(jobs: int = 200) -> Tuner:
    """Asynchronous halving on both objectives."""
    tuner = Tuner(space(), GOALS, "mo-asha", fidelities=rungs(1, 27), evaluations=jobs)
    while (job := tuner.ask(worker="here")) is not None:
        for epoch in range(1, 28):
            if tuner.report(job, epoch, after(job.config, epoch)).ends:
                break
    return tuner


if __name__ == "__main__":
    tuner = main(*map(int, sys.argv[1:]))
    print(tuner.front(), tuner.results()["verdict"].value_counts())
