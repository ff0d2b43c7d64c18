"""Ray Tune trains, the tuner decides: trials stop, or pause until they go on.

python -m scripts.live.on_ray [JOBS] [METHOD]

``mo-asha`` stops trials, ``mo-asha-promote`` and ``mo-hb`` pause them.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mohb_jax import Tuner, for_ray, rungs
from scripts.live.made_up import GOALS, after, space


def train(config: dict[str, Any]) -> None:
    """A training of Ray Tune: it goes on from its checkpoint, and reports after every epoch."""
    from ray import tune

    first, kept = 1, tune.get_checkpoint()
    if kept is not None:
        with kept.as_directory() as folder:
            first = json.loads(Path(folder, "epoch.json").read_text()) + 1
    for epoch in range(first, 28):
        with TemporaryDirectory() as folder:
            Path(folder, "epoch.json").write_text(json.dumps(epoch))
            checkpoint = tune.Checkpoint.from_directory(folder)
            tune.report({"epoch": epoch, **after(config, epoch)}, checkpoint=checkpoint)


def main(jobs: int = 40, method: str = "mo-asha", places: int = 2) -> Tuner:
    """Ray's own processes train."""
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    import ray
    from ray import tune

    with TemporaryDirectory() as folder, ray.init(num_cpus=places, include_dashboard=False):
        tuner = Tuner(space(), GOALS, method, fidelities=rungs(1, 27), evaluations=jobs, workers=places)
        searcher, scheduler = for_ray(tuner, fidelity="epoch")
        own = tune.TuneConfig(search_alg=searcher, scheduler=scheduler, num_samples=-1, reuse_actors=True)
        run = tune.RunConfig(storage_path=folder, verbose=0)
        tune.Tuner(train, tune_config=own, run_config=run).fit()
    return tuner


if __name__ == "__main__":
    jobs, method = [*sys.argv[1:], "40", "mo-asha"][:2] if len(sys.argv) != 2 else [sys.argv[1], "mo-asha"]
    print(main(int(jobs), method).front())
