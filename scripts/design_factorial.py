"""Schedule, prior and promotion, every combination, on the training tasks of a design file:

    python -m scripts.design_factorial studies/design.yaml runs/design-factorial

Says what each does on average over the others, and what pairs do beyond. It is no part of the search: it
explains. The folder holds a journal, from which the same command goes on.
"""

import itertools
import json
import sys
from pathlib import Path

from mohb_jax.design.judging import interval
from mohb_jax.design.space import PLAIN, Point
from mohb_jax.design.spec import load_design
from mohb_jax.design.study import training_pool
from mohb_jax.design.trials import FIRST_TEST_RUN, Trials

SEEDS = 1200
LADDER: Point = {"eta": 3, "R": 27, "searcher": "random"}
PARTS = {
    "schedule": ("full", "hyperband", "equal"),
    "sample": ("uniform", "prior"),
    "promotion": ("net", "crowding"),
}


def cell(schedule: str, sample: str, promotion: str) -> Point:
    """A method of the table."""
    prior: Point = {"prior_strength": 1.0} if sample == "prior" else {}
    if schedule == "full":
        return {"schedule": "full", "searcher": "random", "sample": sample, **prior}
    point: Point = {"schedule": schedule, **LADDER, "sample": sample}
    if schedule == "hyperband":
        point["mode"] = PLAIN["mode"]
    point["promotion"] = promotion
    if promotion == "net":
        point["scale"] = "minmax"
    if schedule == "equal":
        point["population"] = 9
    return {**point, **prior}


def main() -> None:
    """Runs what the journal lacks, and prints the table."""
    design, folder = load_design(Path(sys.argv[1])), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    pool, prior = training_pool(design)
    limits = (folder / "factorial.jsonl", design.trainings, prior, design.blocks_at_once)
    trials = Trials(pool, design.seed, design.workers, *limits)
    blocks = {}
    for choice in itertools.product(*PARTS.values()):
        blocks[choice] = trials.blocks([cell(*choice)], 2 * FIRST_TEST_RUN - SEEDS, SEEDS)[0]
        print(*choice, round(float(blocks[choice].mean()), 4), f"{trials.num_runs:,} runs", flush=True)
    effects: dict[str, list[float]] = {}
    cells = {"cells": {" ".join(choice): float(own.mean()) for choice, own in blocks.items()}}
    for schedule in PARTS["schedule"][1:]:
        pairs = (("full", "uniform"), (schedule, "uniform"), ("full", "prior"), (schedule, "prior"))
        before, rungs, own, both = (blocks[*pair, "net"] for pair in pairs)
        for name, gain in (
            (f"{schedule} in place of full, without a prior", rungs - before),
            (f"{schedule} in place of full, with a prior", both - own),
            (f"both beyond the sum: {schedule} and prior", both - own - rungs + before),
        ):
            effects[name] = [float(gain.mean()), *interval([gain])]
            print(name, [round(value, 4) for value in effects[name]])
    text = json.dumps(cells | {"effects": effects}, indent=1)
    (folder / "factorial.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
