"""Measures how far off the transfer prior knows itself to be, before and after its parts (docs/transfer.md).

    python -m scripts.transfer_calibration [embedded ...]

Every task of every table is held out. Prints tables in Markdown: coverage and negative log-likelihood of the
published networks and of the transfer prior; what each part contributes; and how long both took to learn.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from mohb_jax.benchmarks.contract import AnyTable

from mohb_jax import Honesty, Prior, benchmarks, learn_prior, learn_transfer_prior
from mohb_jax.honest_prior import NONE
from mohb_jax.transfer import calibration, informative, z_values

TABLES = (
    "embedded",
    "lcbench-cloud",
    "lcbench",
    "deepar-cloud",
    "trimtuner",
    "zeus",
    "nasbench201",
    "pollux",
)
ABLATION = {
    "all parts": Honesty(),
    **{f"without {field.name}": Honesty(**{field.name: False}) for field in dataclasses.fields(Honesty)},
    "a single network": NONE,
}


class Learnt(NamedTuple):
    """A prior, and seconds of processor time that it took."""

    prior: Prior
    seconds: float


def learnt(learn: Callable[[AnyTable], Prior], table: AnyTable) -> Learnt:
    began = time.process_time()
    prior = learn(table)
    return Learnt(prior, time.process_time() - began)


def cells(table: AnyTable, prior: Prior, objective: str) -> list[str]:
    """Coverage of the central 50, 80 and 95 % intervals, and likelihood: mean and worst task."""
    rows = [row for row in calibration(table, prior) if row["objective"] == objective]
    shares = [np.mean([row["coverage"][level] for row in rows]) for level in ("0.5", "0.8", "0.95")]
    losses = [row["negative_log_likelihood"] for row in rows]
    return [
        " / ".join(f"{100 * share:.0f}" for share in shares),
        f"{np.mean(losses):.2f} ({max(losses):.2f})",
    ]


def joint_loss(table: AnyTable, prior: Prior) -> float:
    """Negative log-likelihood of all objectives of a row together, per objective; mean over tasks."""
    losses = []
    for task in np.flatnonzero(informative(table).all(axis=1)).tolist():
        z, measured = z_values(table, task)
        losses.append(_joint(z, measured, prior, task))
    return float(np.mean(losses))


def _joint(
    z: Float[np.ndarray, "objectives rows"], measured: Bool[np.ndarray, " rows"], prior: Prior, task: int
) -> float:
    factor = prior.noise_factor(task).astype(float)
    residual = ((z - prior.mu[task]) / prior.sigma[task])[:, measured]
    square = (np.linalg.solve(factor, residual) ** 2).sum(axis=0)
    volume = np.log(np.diag(factor)).sum() + np.log(prior.sigma[task][:, measured]).sum(axis=0)
    return float((0.5 * square + volume).mean() / len(z) + 0.5 * np.log(2 * np.pi))


def compare(name: str) -> tuple[list[str], str, str]:
    """Lines of the three tables for one benchmark."""
    table = benchmarks.load(name)
    before, after = learnt(learn_prior, table), learnt(learn_transfer_prior, table)
    quality = [
        f"| `{name}` | {objective.name} | "
        + " | ".join(cells(table, before.prior, objective.name) + cells(table, after.prior, objective.name))
        + " |"
        for objective in table.objectives
    ]
    losses = [joint_loss(table, learn_transfer_prior(table, parts=parts)) for parts in ABLATION.values()]
    ablation = f"| `{name}` | {joint_loss(table, before.prior):.3f} | " + " | ".join(
        f"{loss:.3f}" for loss in losses
    )
    times = f"| `{name}` | {table.num_tasks} | {before.seconds:.0f} | {after.seconds:.0f} |"
    return quality, ablation + " |", times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", default=TABLES)
    found = [compare(name) for name in parser.parse_args().tables]
    heads = ["table", "objective", "published: within 50 / 80 / 95 % [%]", "loss (worst task)"]
    heads += ["transfer: within 50 / 80 / 95 % [%]", "loss (worst task)"]
    _print(heads, [line for quality, _, _ in found for line in quality])
    _print(["table", "published", *ABLATION], [ablation for _, ablation, _ in found])
    _print(["table", "tasks", "published [s]", "transfer [s]"], [times for _, _, times in found])


def _print(heads: list[str], lines: list[str]) -> None:
    print("| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *lines, "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
