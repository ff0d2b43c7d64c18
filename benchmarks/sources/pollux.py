"""Pollux: six trainings on a cluster, batch size x placement of GPUs on nodes x epochs.

Data: github.com/petuum/adaptdl (Apache-2.0), branch osdi21-artifact, folder ``simulator/traces``, published
with Qiao et al., "Pollux: co-adaptive cluster scheduling for goodput-optimized deep learning", OSDI 2021. For
each task and global batch size, one training tells the metric after each epoch and how many optimiser steps
that took, with a learning rate that was adapted to the batch size; for each task and placement, measurements
tell the seconds of a step at several batch sizes per GPU.

Measured are metrics, steps and seconds of a step. Modelled, by the rule of the authors' simulator, is what
joins them: with n GPUs a global batch of B makes ceil(B / n) per GPU; where that is more than was measured on
the placement, gradients are accumulated over passes of equal size; seconds of a step and its part for
synchronisation are interpolated linearly over the batch per GPU, and passes before the last do not
synchronise. A step's seconds do not depend on the epoch. What the table makes of it:

* Rows are (batch factor, placement): a task's batch size as a multiple of its smallest one, since batch sizes
  differ between tasks (128 to 4,096 for cifar10, 12 to 384 for bert) and their multiples do not. A row is
  unavailable in tasks that have fewer batch sizes, and where a GPU's share is below the smallest measured.
* Error is 1 - accuracy (cifar10, imagenet), 1 - F1 (bert), 1 - hit rate (ncf), word error rate (deepspeech2)
  and validation loss (yolov3, in its own unit). There is one training for each batch size, so that rows
  that share it have the same error.
* Fidelity k is the epoch at k / 27 of a task's epochs, rounded up. They are few for bert (two epochs: 1, 3
  and 9 are its first) and ncf (ten).
* Cost is that of whole nodes (g4dn.12xlarge, four T4 GPUs each): hours x nodes x 3.912 USD, the on-demand
  price in us-east-1. The price is ours: the authors published none.
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

_FOLDER = "https://raw.githubusercontent.com/petuum/adaptdl/c793c7089bd307462686339d29707925c461f9a9/simulator/traces"
_PUBLISHED = {
    "bert": (
        ("placements", "982811b611bc8447a078289939a2ccafc1f76c06e1e8ebcc4f4866a8e8fcdc0f", 24089),
        ("validation-12", "15e8df62086ac566259601e30b23502fc265de4b529be53c7bbd088181127469", 180),
        ("validation-24", "87beb34e1f4d1540e70c4ca35540e8b32a76cd9824af759b8704f4c0333461c9", 200),
        ("validation-48", "0c647322cdbb0ed25975b903f1161e5dec1b17a6658b38c551e9ff81c543a1bc", 199),
        ("validation-96", "a6f2f1e37f2b6817385635ab309bf151223ee8ba1fc0e847514f9eed6f0ae666", 201),
        ("validation-192", "1570e36c3dd6fdc2a9dfc44194f21d8e875ac6838d9fa0909e4470b165cc305f", 200),
        ("validation-384", "1d2305fb7fa10e52df6509110f3e9d84a369125fd9fdbef1d4ef9217fbc14594", 198),
    ),
    "cifar10": (
        ("placements", "e77d1d8781e2e48c3952580bdf705f3be4f27cbbdcd0a2087eb152224a271b6b", 56641),
        ("validation-128", "3e44736464924617d8d90f30c1e356d3dd384075a76f8755e2b10a86935b94f4", 5935),
        ("validation-256", "3108d4af00743ec9355816d22d4c55c22ed115736b4bffd140626da90975c26d", 7049),
        ("validation-512", "912a21991c9d9a3fc3c1fb56db7042b61a6ce43c4d8bf01e8dbe87f3298408dc", 7026),
        ("validation-1024", "65ca500dbb2dad19d655dc3ebf37c4433bb3c64dc12df04cf695f82e626e9fb3", 7036),
        ("validation-2048", "d661d023fe48a926a3b16c8a4822e44e0a6686671ec87944cbe99ac6d56e495a", 7043),
        ("validation-4096", "ef38514818005468c6fbfb14378bc63798b5fe5b978386f5cbd549c14c0318df", 7009),
    ),
    "deepspeech2": (
        ("placements", "0908c53bfc20123ad60ad6c4984cfcdf53a623773f4e44e9f01d58305e5379b7", 34500),
        ("validation-20", "d0443954cf20c15453ce308637ab10b8a618e741b35de49e0cd94f9510cf7235", 5788),
        ("validation-40", "6e99c6d45d3ccd649de5e95a4f6354863a233ee0f4ee957464e13ff83ae9ef73", 6856),
        ("validation-80", "f70e1e0afd4d5941cf0693bfe97a7144534665d45287a2553e59e7c26d6a199f", 6865),
        ("validation-160", "0b0fb04b5902b3f86e39ac61ee3c20014c627b2903d51add69a791d56dd1d295", 6848),
        ("validation-320", "27b366d74f1ded22a1c8b92e8e706dd6e450d38e02df31eb64c2a31ead80218b", 6815),
        ("validation-640", "f9d5c82ea5c9ce2805f31731c030b48addf4fdb4fa8c53da5071bc51ac500273", 6742),
    ),
    "imagenet": (
        ("placements", "ac3d88937f40680c367ec83c7610eda088b8d60806e15cf3a4699fa1d15cb1e8", 40702),
        ("validation-200", "99359b5af430cf196b55c40c0c5578fca5d5d1acae4cd025a9f9731f97411eb6", 5555),
        ("validation-400", "bbb41eff31eff5882bda761e5f221e6a74d46325eccda0594ab125a60d422a47", 6416),
        ("validation-800", "c5ab8a1797d45d7910ba4d47fa7c8753ddd3a06337f57f0c0cc04943b11d786e", 6393),
        ("validation-1600", "60f4fbfa9547101d6c2825a335444f1ad7bb1dea5fde1ccfdbd480e16cc2b5f5", 6346),
        ("validation-3200", "17a818be4b5edf0116c9d2c184dcd32959fc545ef9fbd0cf7cc4ea1584fb25fa", 6380),
        ("validation-6400", "d143c22f513df9cfd67f1b9390312f3fdb444517f979cd39ca7998b11897bb07", 7372),
        ("validation-12800", "a5c85cf1b036da68742d34ea094884ea2d0c6007b1c64b8593a380a31a7c09e0", 6342),
    ),
    "ncf": (
        ("placements", "012f861bd2acc57f5f7d09c7878082905ba0150660b9f5aeae9291d025527874", 82769),
        ("validation-256", "871f600508647b03faff1a0c7d3c244bacf614ec38ddea978270080e3bc3e677", 753),
        ("validation-512", "736cf15f524872b9888602fcd8caa45491e6ecdc1cf44d1043e5ccf965d3f1e6", 837),
        ("validation-1024", "ca09ed956b3d18301c5c41d45f16bb252f5a901362bf8864083c33641e521576", 845),
        ("validation-2048", "981525ec55b4e75e1d147a3905df775d7ca19a727667adb8f0734faf04e9b260", 838),
        ("validation-4096", "5bef39a3f41e9989fa216ed3cc6d4aab91b807e6a4615ee08ee0fdce93820207", 833),
        ("validation-8192", "452f1aca238528cae73da4c256c1e0531feea2576d82688b101bbc13117e422d", 837),
        ("validation-16384", "2935f9fd96a2eae03956630e285871301dfffbe1aa2ba714a0f0b996f30c6a93", 834),
        ("validation-32768", "0adc7d68f257cabb455ece1801293595f83c9e82182b7ca1eb8879082a5bacb5", 828),
    ),
    "yolov3": (
        ("placements", "6ffceb8996e3fd57e47e550fdffc21eec7d7e34de1d806d8b3568734eaec0013", 24146),
        ("validation-8", "6ff47809c183dd819dd3f306f36ec61e8b038a5c0a1b7de1b9b348573f6ce3eb", 3535),
        ("validation-16", "f3bde37fff505ffa0c27af97945fdc853df0ab83e458c432d9b2ed3239475c18", 4039),
        ("validation-32", "036c637a7ead92774bfcfcc58f7331b194a3d324a5383c3cb40a3097b6183013", 4027),
        ("validation-64", "89186e4d07fa08cd3b6ab0c04dcad12ef686da6419c9f72f5fdf67eb5e7df5b9", 4002),
        ("validation-128", "fc191f65adc5f766ceefcdc915b8a56fb236be98053d94dd55b0b4d4ae356ba0", 3985),
        ("validation-256", "1c3d0ce8f98a541d7ca7fea90907b36615289271e124b97890dd5697feeae66c", 3977),
        ("validation-512", "3f5f626de33f5de5e503fe8b1a2c3d85e47e30507e2b22a5abd69fbdf00e3b9a", 3976),
    ),
}
"""SHA-256 and size of the published files, by task."""


class Task(NamedTuple):
    """What a task's metric means.

    Attributes:
        smallest_batch: global.
        num_batches: each is twice the one before.
        unit: what the metric is divided by to give a share.
        rises: whether more is better, and 1 minus the share is the error.
    """

    smallest_batch: int
    num_batches: int
    unit: float
    rises: bool


TASKS = {
    "bert": Task(12, 6, 100.0, rises=True),
    "cifar10": Task(128, 6, 1.0, rises=True),
    "deepspeech2": Task(20, 6, 100.0, rises=False),
    "imagenet": Task(200, 7, 1.0, rises=True),
    "ncf": Task(256, 8, 1.0, rises=True),
    "yolov3": Task(8, 7, 1.0, rises=False),
}
FACTORS = tuple(2**k for k in range(8))
FIDELITIES = (1, 3, 9, 27)
PRICE = 3.912
"""USD per hour of a node."""
OBJECTIVES = (
    Objective("error", "min", "1"),
    Objective("runtime", "min", "s"),
    Objective("cost", "min", "USD"),
)
PROVENANCE = (
    "github.com/petuum/adaptdl (Apache-2.0), commit c793c70, simulator/traces: metrics, optimiser steps and "
    "seconds of a step were measured by its authors on nodes of four T4 GPUs, one training per batch size. "
    "Joined by the rule of their simulator: seconds are interpolated over the batch per GPU, larger batches "
    "accumulate gradients. Cost: whole nodes at 3.912 USD per hour (g4dn.12xlarge, us-east-1, on demand)."
)


def _file(task: str, name: str, sha256: str, num_bytes: int) -> RemoteFile:
    path = f"{task}/{name}.csv"
    return RemoteFile(f"adaptdl_pollux/{path}", f"{_FOLDER}/{path}", sha256, num_bytes, "Apache-2.0")


FILES = {task: {entry[0]: _file(task, *entry) for entry in entries} for task, entries in _PUBLISHED.items()}


def load_pollux(data: str | os.PathLike[str] | None = None) -> Table:
    """The table: 6 tasks, (batch factor, placement), 4 shares of the epochs; error, runtime, cost.

    Rows are sorted by batch factor, then by placement: the fewest nodes first.

    Args:
        data: folder that holds ``adaptdl_pollux/*/*.csv``; see ``mohb_jax.benchmarks.download.locate``.

    Raises:
        InputError: if a file cannot be had.
    """
    placements = {task: _placements(locate(FILES[task]["placements"], data)) for task in TASKS}
    names = sorted({name for own in placements.values() for name in own}, key=lambda name: (len(name), name))
    shape = (len(TASKS), len(FACTORS), len(names), len(FIDELITIES))
    error, seconds = np.full(shape, np.nan), np.full(shape, np.nan)
    for number, (task, about) in enumerate(TASKS.items()):
        for step in range(about.num_batches):
            batch = about.smallest_batch * FACTORS[step]
            metric, steps = _progress(locate(FILES[task][f"validation-{batch}"], data))
            error[number, step] = 1 - metric / about.unit if about.rises else metric / about.unit
            per_step = [seconds_of_step(placements[task], name, batch) for name in names]
            seconds[number, step] = np.array(per_step)[:, None] * steps
    cost = seconds * num_nodes(names)[:, None] * PRICE / 3600
    costs = np.stack([error, seconds, cost], axis=-1).reshape(len(TASKS), -1, len(FIDELITIES), 3)
    seconds = seconds.reshape(costs.shape[:3])
    return Table(
        name="pollux",
        columns=_columns(names),
        configs=_configs(names),
        tasks=tuple(TASKS),
        fidelities=FIDELITIES,
        fidelity_name="27ths of the epochs",
        fidelity_unit="1",
        objectives=OBJECTIVES,
        costs=costs,
        runtime=seconds,
        available=np.isfinite(seconds),
        provenance=PROVENANCE,
    )


class Measured(NamedTuple):
    """Steps that were measured on one placement, by batch size per GPU, ascending."""

    batch: Float[np.ndarray, " measured"]
    step: Float[np.ndarray, " measured"]
    sync: Float[np.ndarray, " measured"]


def seconds_of_step(measured: dict[str, Measured], placement: str, batch: int) -> float:
    """Seconds of one optimiser step of a global batch on a placement, by the rule of the authors' simulator.

    Args:
        measured: what was measured, by placement.
        placement: one digit per node, the number of GPUs used there.
        batch: examples per step, on all GPUs together.

    Returns:
        Seconds; NaN where a GPU's share is smaller than what was measured, or the placement was not.
    """
    if placement not in measured:
        return math.nan
    known = measured[placement]
    share = math.ceil(batch / sum(map(int, placement)))
    more_passes = max(0, math.ceil(share / known.batch[-1]) - 1)
    share = math.ceil(share / (more_passes + 1))
    if share < known.batch[0]:
        return math.nan
    step, sync = (float(np.interp(share, known.batch, values)) for values in known[1:])
    return step + more_passes * (step - sync)


def num_nodes(placements: list[str]) -> Float[np.ndarray, " placements"]:
    """Of each placement; a node is paid whole."""
    return np.array([len(name) for name in placements], float)


def _placements(path: Path) -> dict[str, Measured]:
    frame = pl.read_csv(path, schema_overrides={"placement": pl.String}).sort("local_bsz")
    return {
        str(name): Measured(*own.select("local_bsz", "step_time", "sync_time").to_numpy().T.astype(float))
        for (name,), own in frame.group_by("placement")
    }


def _progress(path: Path) -> tuple[Float[np.ndarray, " levels"], Float[np.ndarray, " levels"]]:
    """Metric and steps so far at the epochs that stand for the fidelities."""
    epochs = pl.read_csv(path, columns=["iteration", "metric"])
    place = [math.ceil(len(epochs) * level / FIDELITIES[-1]) - 1 for level in FIDELITIES]
    return epochs["metric"].to_numpy()[place], epochs["iteration"].to_numpy()[place].astype(float)


def _columns(names: list[str]) -> tuple[Column, ...]:
    return (
        Column("batch_factor", "ordinal", levels=FACTORS),
        Column("placement", "categorical", "hardware", tuple(names)),
        Column("gpus", "continuous", "hardware"),
        Column("nodes", "continuous", "hardware"),
    )


def _configs(names: list[str]) -> Float[np.ndarray, "rows columns"]:
    factor, place = (index.ravel() for index in np.indices((len(FACTORS), len(names))))
    gpus = np.array([sum(map(int, name)) for name in names], float)
    return np.stack([factor, place, gpus[place], num_nodes(names)[place]], axis=1).astype(float)


BENCHMARKS = (
    Benchmark(
        name="pollux",
        summary="six trainings x batch size x GPUs on cluster nodes x epochs (measured, joined by a rule)",
        needs="download, 0.3 MB",
        tasks=tuple(TASKS),
        rows=864,
        objectives=("error", "runtime", "cost"),
        fidelities=FIDELITIES,
        files=tuple(file for files in FILES.values() for file in files.values()),
        load=load_pollux,
    ),
)
