"""A pool of processes: as many trainings at a time as there are places.

python -m scripts.live.pool [JOBS] [PLACES]
"""

import sys
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context

from mohb_jax import Job, Tuner, rungs
from scripts.live.made_up import GOALS, after, space


def train(job: Job) -> dict[str, float]:
    """What a process of the pool does; it never starts JAX."""
    if job.config["width"] > 400 and job.config["machine"] == "small":
        raise MemoryError("too wide for the machine")
    return after(job.config, job.to_fidelity)


def main(jobs: int = 200, places: int = 2) -> Tuner:
    """``Tuner.run`` does the same; here it is step by step."""
    fidelities = rungs(1, 27)
    tuner = Tuner(space(), GOALS, "mo-hb", fidelities=fidelities, evaluations=jobs, workers=places)
    running: dict[Future[dict[str, float]], Job] = {}
    with ProcessPoolExecutor(places, mp_context=get_context("spawn")) as pool:
        while not tuner.finished or running:
            while len(running) < places and (job := tuner.ask()) is not None:
                running[pool.submit(train, job)] = job
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job, error = running.pop(future), future.exception()
                if error is None:
                    tuner.tell(job, future.result())
                else:
                    tuner.fail(job, repr(error))
    return tuner


if __name__ == "__main__":
    print(main(*map(int, sys.argv[1:])).front())
