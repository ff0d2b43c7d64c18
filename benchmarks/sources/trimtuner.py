"""TrimTuner: distributed TensorFlow training of two networks on MNIST, on AWS t2 clusters.

Data: github.com/pedrogbmendes/TrimTuner (MIT), folder ``dataset_NN_Tensorflow``; published with Mendes et
    al., "TrimTuner:
Efficient optimization of machine learning jobs in the cloud via sub-sampling" (2020). Each row of the files
is one training of a convolutional network (``cnn.csv``) or an LSTM (``rnn.csv``), mean of three repeats. The
fidelity is the number of training images; every row is a training of its own, so nothing is resumed, and
runtime may fall with fidelity: trainings of the convolutional network are cut off at about 600 s, those at
full size included. Their accuracy is that of the stopped run.

The cluster is encoded as flavour x total vCPUs of the workers: the worker counts of each flavour were chosen
to give the same six totals, so the table is a full grid. The files hold no cost; it is computed as the
authors' loader does it: workers and one parameter server at the flavour's price, and one helper machine at
0.3712 USD per hour.
"""

import csv
import dataclasses
import os
from pathlib import Path

import numpy as np
from jaxtyping import Float
from mohb_jax.benchmarks.benchmark import Benchmark
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.download import RemoteFile, locate
from mohb_jax.benchmarks.joining import join_tables
from mohb_jax.benchmarks.table import Table

_COMMIT = "a9dec1f1ac610e6ec6d54cfaf5f9c93bc4f80f97"
_FOLDER = f"https://raw.githubusercontent.com/pedrogbmendes/TrimTuner/{_COMMIT}/dataset_NN_Tensorflow"

FILES = {
    "cnn": RemoteFile(
        "trimtuner/cnn.csv",
        f"{_FOLDER}/cnn.csv",
        "07c8b6cd381c1c8d580f3dc8b3688e6c535e5e8b870b5ea685989d1cd948556f",
        2302744,
        "MIT",
    ),
    "rnn": RemoteFile(
        "trimtuner/rnn.csv",
        f"{_FOLDER}/rnn.csv",
        "1d6e806c77c252fc1d4ff71afa3f54b7afc0c996bcf690f4089f669e6ccee221",
        2118230,
        "MIT",
    ),
}

FLAVOURS = ("t2.small", "t2.medium", "t2.xlarge", "t2.2xlarge")
VCPUS = (1, 2, 4, 8)
PRICES = (0.023, 0.0464, 0.1856, 0.3712)
"""USD per hour of each flavour."""
HELPER_PRICE = 0.3712
"""USD per hour of the machine that measures accuracy."""
SIZES = (1000, 6000, 15000, 30000, 60000)

COLUMNS = (
    Column("flavour", "categorical", "hardware", FLAVOURS),
    Column("worker_vcpus", "ordinal", "hardware", (8, 16, 32, 48, 64, 80)),
    Column("learning_rate", "log"),
    Column("batch_size", "ordinal", levels=(16, 256)),
    Column("synchronism", "categorical", levels=("async", "sync")),
)
OBJECTIVES = (
    Objective("error", "min", "fraction"),
    Objective("runtime", "min", "s"),
    Objective("cost", "min", "USD"),
)
PROVENANCE = (
    "github.com/pedrogbmendes/TrimTuner (MIT), commit a9dec1f: accuracy and training time measured by its "
    "authors, mean of three repeats. Cost computed with the prices of the authors' loader."
)


def load_trimtuner(network: str, data: str | os.PathLike[str] | None = None) -> Table:
    """The table of one network, ``cnn`` or ``rnn``: 288 configurations, 5 sizes, error, runtime in s, cost in
    USD.

    Args:
        network: which of ``FILES``.
        data: folder that holds ``trimtuner/cnn.csv``; see ``mohb_jax.benchmarks.download.locate``.

    Raises:
        InputError: if the file cannot be had.
    """
    records = _read(locate(FILES[network], data))
    keys, row = np.unique([_encode(record) for record in records], axis=0, return_inverse=True)
    costs = np.full((1, len(keys), len(SIZES), len(OBJECTIVES)), np.nan)
    for index, record in zip(row.reshape(-1), records, strict=True):
        costs[0, index, SIZES.index(int(record["training_set_size"]))] = _objectives(record)
    return Table(
        name=f"trimtuner-{network}",
        columns=COLUMNS,
        configs=keys,
        tasks=(network,),
        fidelities=SIZES,
        fidelity_name="training set size",
        fidelity_unit="images",
        objectives=OBJECTIVES,
        costs=costs,
        runtime=costs[..., 1],
        resumable=False,
        provenance=PROVENANCE,
    )


def _read(path: Path) -> list[dict[str, str]]:
    """Rows of the file; one of the two files begins with a byte-order mark."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _encode(record: dict[str, str]) -> list[float | int]:
    flavour = FLAVOURS.index(record["vm_flavor"])
    total = int(record["n_workers"]) * VCPUS[flavour]
    return [
        flavour,
        COLUMNS[1].levels.index(total),
        float(record["learning_rate"]),
        COLUMNS[3].levels.index(int(record["batch_size"])),
        COLUMNS[4].levels.index(record["synchronism"]),
    ]


def _objectives(record: dict[str, str]) -> Float[np.ndarray, " objectives"]:
    """Error, seconds and dollars of one row."""
    seconds = float(record["training_time"])
    machines = int(record["n_workers"]) + int(record["n_ps"])
    price = machines * PRICES[FLAVOURS.index(record["vm_flavor"])] + HELPER_PRICE
    return np.array([1 - float(record["acc"]), seconds, seconds * price / 3600])


def _benchmark(network: str, kind: str) -> Benchmark:
    return Benchmark(
        name=f"trimtuner-{network}",
        summary=f"{kind} on MNIST, trained on 24 clusters of cloud machines (measured)",
        needs="download, 2 MB",
        tasks=(network,),
        rows=288,
        objectives=("error", "runtime", "cost"),
        fidelities=SIZES,
        files=(FILES[network],),
        load=lambda data: load_trimtuner(network, data),
    )


_CNN = _benchmark("cnn", "convolutional network")
BENCHMARKS = (
    _CNN,
    _benchmark("rnn", "recurrent network"),
    dataclasses.replace(
        _CNN,
        name="trimtuner",
        summary="both networks of trimtuner as two tasks, for methods that transfer (measured)",
        needs="download, 4 MB",
        tasks=tuple(FILES),
        files=tuple(FILES.values()),
        load=lambda data: join_tables([load_trimtuner(network, data) for network in FILES], "trimtuner"),
    ),
)
