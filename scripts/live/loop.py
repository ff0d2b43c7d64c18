"""A plain loop: one worker asks, trains and tells.

python -m scripts.live.loop [JOBS]
"""

import sys

from mohb_jax import Tuner, rungs
from scripts.live.made_up import GOALS, after, space


def main(jobs: int = 200) -> Tuner:
    """Multi-objective Hyperband; None comes only at the end, since nobody else trains."""
    tuner = Tuner(space(), GOALS, "mo-hb", fidelities=rungs(1, 27), evaluations=jobs)
    while (job := tuner.ask()) is not None:
        tuner.tell(job, after(job.config, job.to_fidelity), checkpoint=f"{job.trial}.ckpt")
    return tuner


if __name__ == "__main__":
    print(main(*map(int, sys.argv[1:])).front())
