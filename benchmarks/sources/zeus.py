"""Zeus: six training workloads on four GPU models under power caps, as time and energy to a target accuracy.

Data: github.com/SymbioticLab/Zeus (Apache-2.0), folder ``trace``, published with You, Chung and Chowdhury,
"Zeus: understanding and optimizing GPU energy consumption of DNN training", NSDI 2023. One file says for
each run of a workload and batch size in which epoch each validation target was first reached (the learning
rate follows from the batch size); four files say how long an epoch takes and how much power it draws, once
for each GPU model, batch size and power cap. They are joined on workload, batch size and optimizer (one GPU
has a second optimizer whose runs are not recorded).

Time to a target is the epoch that reached it times seconds per epoch; energy is time times mean power. A
workload's target is the one that the authors' own examples use. What the table makes of it:

* Repeats: the mean over all runs of a batch size, of the epoch and hence of time and energy. If any run
  missed the target, the cell is unavailable: the runs end at unrecorded epochs, so there is no number to
  average.
* Rows are the union over workloads of (GPU, power cap, batch size). A row is unavailable in workloads where
  that was not measured: the grid is ragged, mostly because large batches do not fit small GPUs.
* Fidelity: a recorded easier target. Of a workload's targets from the easiest up to its own, fidelities 1,
  2 and 3 are those at one third, two thirds and the whole of the list (rounded up). Time to a harder target
  is that to an easier one and more, so going on costs the difference. Nothing is interpolated between
  targets; there are few, so this is coarse early stopping and no learning curve.
* An unavailable cell takes time as in any table (see ``Table``): how long a failed run took is not recorded.
"""

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float
from mohb_jax.benchmarks.benchmark import Benchmark
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.download import RemoteFile, locate
from mohb_jax.benchmarks.table import Table

_COMMIT = "3df2fc42768a05e3bea7defdd55cdd0ea981aa7e"
_FOLDER = f"https://raw.githubusercontent.com/SymbioticLab/Zeus/{_COMMIT}/trace"


def _file(name: str, sha256: str, num_bytes: int) -> RemoteFile:
    return RemoteFile(f"zeus/{name}", f"{_FOLDER}/{name}", sha256, num_bytes, "Apache-2.0")


TRAIN = _file("summary_train.csv", "076b35615349ee624403006e5ad67fd9ebda92af690c7750f8bb0c2ab92c0cf4", 186977)
POWER = {
    "a40": _file(
        "summary_power_a40.csv", "f4ec111fc9b06b353182faab9160ecb1236a486b2741ed93383b80497332031e", 29641
    ),
    "p100": _file(
        "summary_power_p100.csv", "158e9a6784b6e2d26710529b132cf173b227dc8688f4931c19a637bce2b7503b", 18163
    ),
    "rtx6000": _file(
        "summary_power_rtx6000.csv", "edccecc7f8b7a6102962b03f0f37767dd9cd2f03469ebccadc9805e82901bdc4", 27704
    ),
    "v100": _file(
        "summary_power_v100.csv", "f0b066dd1a451bd78f730e001ac3a7c411979bc7f0846f12c1a9fb604aa90628", 32534
    ),
}
FILES = (TRAIN, *POWER.values())


class Workload(NamedTuple):
    """The target of a workload, and whether a larger metric is better."""

    target: float
    rising: bool = True


WORKLOADS = {
    "cifar100": Workload(0.60),
    "imagenet": Workload(0.65),
    "librispeech": Workload(40.0, rising=False),  # word error rate
    "movielens-1m": Workload(0.41),
    "sentiment140": Workload(0.84),
    "squad": Workload(84.0),
}
FIDELITIES = (1, 2, 3)
GPUS = tuple(POWER)
CAPS = (100, 125, 150, 175, 200, 225, 250, 260, 275, 300)
"""Power caps in W; each GPU knows some of them."""

COLUMNS = (
    Column("gpu", "categorical", "hardware", GPUS),
    Column("power_cap", "ordinal", "hardware", CAPS),
    Column("batch_size", "log"),
)
OBJECTIVES = (Objective("runtime", "min", "s"), Objective("energy", "min", "J"))
PROVENANCE = (
    "github.com/SymbioticLab/Zeus (Apache-2.0), commit 3df2fc4: epochs to each target, seconds per epoch and "
    "mean power measured by its authors. Runtime and energy to the target of their examples: epochs (mean "
    "over runs) x seconds x watts. Fidelities 1 and 2: easier recorded targets."
)


def load_zeus(data: str | os.PathLike[str] | None = None) -> Table:
    """The table: 6 workloads, (GPU, power cap, batch size), 3 targets; seconds and joules to the target.

    Rows are sorted by GPU, power cap and batch size.

    Args:
        data: folder that holds ``zeus/*.csv``; see ``mohb_jax.benchmarks.download.locate``.

    Raises:
        InputError: if a file cannot be had.
    """
    measured = _measured(_epochs(locate(TRAIN, data)), {gpu: locate(POWER[gpu], data) for gpu in GPUS})
    keys = measured.select("gpu", "cap", "batch_size").to_numpy().astype(np.float64)
    configs, row = np.unique(keys, axis=0, return_inverse=True)
    seconds = np.full((len(WORKLOADS), len(configs), len(FIDELITIES)), np.nan)
    watts = np.full((*seconds.shape[:2], 1), np.nan)
    place = measured["task"].to_numpy(), row.reshape(-1)
    seconds[place] = measured.select("first", "second", "third").to_numpy() * measured.select(
        "time_per_epoch"
    )
    watts[place] = measured.select("average_power").to_numpy()
    return Table(
        name="zeus",
        columns=COLUMNS,
        configs=configs,
        tasks=tuple(WORKLOADS),
        fidelities=FIDELITIES,
        fidelity_name="thirds of the targets",
        fidelity_unit="1",
        objectives=OBJECTIVES,
        costs=np.stack([seconds, seconds * watts], axis=-1),
        runtime=seconds,
        available=np.isfinite(seconds),
        provenance=PROVENANCE,
    )


def targets(workload: str, listed: Float[np.ndarray, " listed"]) -> tuple[float, ...]:
    """The recorded targets that stand for the fidelities.

    Args:
        workload: one of ``WORKLOADS``.
        listed: all targets recorded for it, in any order.

    Returns:
        One target per fidelity, the last one the workload's own.
    """
    own, rising = WORKLOADS[workload]
    from_easy = sorted(set(listed.tolist()), reverse=not rising)
    count = from_easy.index(own) + 1
    return tuple(from_easy[math.ceil(count * third / len(FIDELITIES)) - 1] for third in FIDELITIES)


def _epochs(path: Path) -> pl.DataFrame:
    """Mean epochs to the targets, for each workload and batch size; NaN where any run missed one."""
    runs = pl.read_csv(path, schema_overrides={"target_metric": pl.Float64, "target_epoch": pl.Float64})
    # A missed target is written as "nan" or left empty; a mean carries NaN on, but would leave out null.
    runs = runs.with_columns(pl.col("target_epoch").fill_null(math.nan))
    parts = []
    for task, workload in enumerate(WORKLOADS):
        own = runs.filter(pl.col("dataset") == workload)
        chosen = targets(workload, own["target_metric"].to_numpy())
        means = [
            pl.col("target_epoch").filter(pl.col("target_metric") == target).mean().alias(name)
            for name, target in zip(("first", "second", "third"), chosen, strict=True)
        ]
        grouped = own.group_by("dataset", "network", "batch_size", "optimizer").agg(means)
        parts.append(grouped.with_columns(task=pl.lit(task)))
    return pl.concat(parts)


def _measured(epochs: pl.DataFrame, power: dict[str, Path]) -> pl.DataFrame:
    """Every measured (workload, GPU, power cap, batch size) with its epochs, seconds per epoch and watts."""
    parts = [pl.read_csv(path).with_columns(gpu=pl.lit(GPUS.index(gpu))) for gpu, path in power.items()]
    caps = pl.col("power_limit").replace_strict(CAPS, range(len(CAPS))).alias("cap")
    joined = pl.concat(parts, how="vertical_relaxed").join(
        epochs, on=["dataset", "network", "batch_size", "optimizer"], how="inner"
    )
    return joined.with_columns(caps)


BENCHMARKS = (
    Benchmark(
        name="zeus",
        summary="six workloads x four GPU models x power caps, time and energy to a target (measured)",
        needs="download, 0.3 MB",
        tasks=tuple(WORKLOADS),
        rows=591,
        objectives=("runtime", "energy"),
        fidelities=FIDELITIES,
        files=FILES,
        load=load_zeus,
    ),
)
