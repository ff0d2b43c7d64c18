"""How far the numbers of each method are the same on other processors.

    python -m scripts.same_numbers [--out FOLDER] [METHOD]...
    python -m scripts.same_numbers --prints

Runs one study again and again, each time with code for another processor, and prints for each method in how
many runs every decision is the one of the first study, and how far its mean hypervolume moves. One machine
can play some of the others: XLA is told to do without the library that picks
kernels by processor (as with another processor of the last ten years), and to leave out instructions, too (as
with a much older one). The second form prints a few letters for each step in which the prior of ``embedded``
is made: where they differ on two machines, these part. docs/machines.md shows what came out.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mohb_jax.benchmarks.encoding import unit_features

from mohb_jax import benchmarks, learn_prior
from mohb_jax.methods import METHODS
from mohb_jax.results import load_results
from mohb_jax.simulation import simulate
from mohb_jax.store import read_units
from mohb_jax.transfer import training_rows
from mohb_jax.types import RunLog

PROCESSORS = {
    "this one": "",
    "no library": "--xla_cpu_experimental_ynn_fusion_type=",
    "no FMA": "--xla_cpu_max_isa=SSE4_2 --xla_cpu_experimental_ynn_fusion_type=",
}
"""The first is what the others are compared with; the names are the columns of the table."""
DEFAULT = [name for name in METHODS if name != "ms-ehvi"]
"""Of the methods only one needs an objective that is known without training, and the table has none."""
STUDY = ["--benchmark", "embedded", "--task", "diabetes", "--seeds", "20", "--evaluations", "60"]


def run_as(processor: str, methods: Sequence[str], folder: Path) -> Path:
    """The study's folder, with code made for a processor; nothing compiled for another one is used."""
    own = folder / processor.replace(" ", "-")
    environment = os.environ | {
        "XLA_FLAGS": PROCESSORS[processor],
        "JAX_COMPILATION_CACHE_DIR": str(own / "cache"),
    }
    named = [word for name in methods for word in ("--method", name)]
    command = [sys.executable, "-m", "mohb_jax.cli", "run", *STUDY, *named, "--out", str(own)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return own


def equal_runs(first: Path, second: Path) -> dict[str, float]:
    """By method the share of runs in which every row, fidelity and worker is the same."""
    logs = [{unit.spec["method"]: unit.log for unit in read_units(each)} for each in (first, second)]
    return {name: float(np.mean(_equal(logs[0][name], logs[1][name]))) for name in logs[0]}


def _equal(first: RunLog, second: RunLog) -> np.ndarray:
    fields = ("row", "fidelity", "worker")
    return np.all([(getattr(first, one) == getattr(second, one)).all(axis=1) for one in fields], axis=0)


def means(folder: Path) -> dict[str, float]:
    """By method the mean hypervolume at the end, at full credit."""
    return dict(load_results(folder, "full").summary().select("method", "hypervolume_mean").iter_rows())


def prints() -> dict[str, str]:
    """The first letters of a hash of what each step makes of the step before it."""
    table = benchmarks.load("embedded")
    prior = learn_prior(table)
    log = simulate(table, "mo-hb+prior", num_seeds=20)
    steps = {"features": unit_features(table), "targets": training_rows(table, 0)[0], "means": prior.mu}
    steps |= {"deviations": prior.sigma, "rows of mo-hb+prior": np.asarray(log.row)}
    return {name: hashlib.sha256(part.tobytes()).hexdigest()[:8] for name, part in steps.items()}


def main() -> None:
    """Prints the table of docs/machines.md, or ``prints``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("methods", nargs="*", default=DEFAULT, help="all by default")
    parser.add_argument("--out", type=Path, help="where the studies are kept; a temporary folder by default")
    parser.add_argument("--prints", action="store_true", help="of the steps of the prior, and no table")
    asked = parser.parse_args()
    if asked.prints:
        print(*(f"{name}: {letters}" for name, letters in prints().items()), sep="\n")
        return
    folder = asked.out or Path(tempfile.mkdtemp())
    first, *others = [run_as(name, asked.methods, folder) for name in PROCESSORS]
    shares = [equal_runs(first, other) for other in others]
    moved = [means(other) for other in others]
    print("| method | hypervolume |", " | ".join(list(PROCESSORS)[1:]), "|")
    print("|---|---|" + "---|" * len(others))
    for method, value in means(first).items():
        pairs = zip(shares, moved, strict=True)
        cells = [f"{share[method]:.0%}, {mean[method] - value:+.4f}" for share, mean in pairs]
        print(f"| `{method}` | {value:.4f} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
