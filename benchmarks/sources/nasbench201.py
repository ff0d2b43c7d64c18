"""NAS-Bench-201: all 15,625 cells of six edges with five operations each, on three image data sets.

Data: ``nas_bench102.csv.zip`` of
github.com/geoalgo/A-Quantile-based-Approach-for-Hyperparameter-Transfer-Learning (Apache-2.0), made by its
author from NAS-Bench-201 (Dong and Yang, "NAS-Bench-201: extending the scope of reproducible neural
architecture search", 2020; once called NAS-Bench-102). Every row is one fully trained cell:

* error: test error in %;
* latency: seconds of one forward pass of one batch, a single noisy measurement on one machine;
* parameters: as published (millions there), rounded to whole ones, since float noise of 1e-11 parameters
  would split equal cells and put 14 instead of 13 on a front. In 204 cells of each data set it departs from
  the count that follows from the operations, a known defect of NAS-Bench-201; it is left as it is.

There is no fidelity below the full training and no training time. As in every table without a runtime, an
evaluation takes as many seconds as its fidelity, here 1: time on this table counts evaluations, and it
cannot be crossed with the hardware catalogue.
"""

import os

import numpy as np
import polars as pl
from mohb_jax.benchmarks.benchmark import Benchmark
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.download import RemoteFile, locate
from mohb_jax.benchmarks.sources.geoalgo import GEOALGO, read_zipped_csv
from mohb_jax.benchmarks.table import Table

FILE = RemoteFile(
    "geoalgo/nas_bench102.csv.zip",
    f"{GEOALGO}/nas_bench102.csv.zip",
    "140c9f48d8e62e7247c7181a75820537b53bcd8c25e1f2285c91a45985d29964",
    1699066,
    "Apache-2.0",
)

TASKS = ("cifar10", "cifar100", "ImageNet16-120")
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
"""Edges of a cell, from node to node, in the order of the file's columns ``hp_x0`` to ``hp_x5``."""

COLUMNS = tuple(Column(f"edge_{edge}", "categorical", "architecture", OPERATIONS) for edge in EDGES)
OBJECTIVES = (
    Objective("error", "min", "%"),
    Objective("latency", "min", "s"),
    Objective("parameters", "min", "parameters"),
)
PROVENANCE = (
    "github.com/geoalgo/A-Quantile-based-Approach-for-Hyperparameter-Transfer-Learning (Apache-2.0), commit "
    "31cdb2f, derived from NAS-Bench-201: test error, latency and parameters as published. No training time "
    "is known: an evaluation counts as one second."
)


def load_nasbench201(data: str | os.PathLike[str] | None = None) -> Table:
    """The table: 15,625 cells, 3 data sets, one fidelity; test error in %, latency in s, parameters.

    Rows are ordered by the operations of the edges, the last edge varying fastest.

    Args:
        data: folder that holds ``geoalgo/nas_bench102.csv.zip``; see ``mohb_jax.benchmarks.download.locate``.

    Raises:
        InputError: if the file cannot be had.
    """
    codes = [f"hp_x{edge}" for edge in range(len(EDGES))]
    frame = read_zipped_csv(locate(FILE, data)).sort(codes)  # rows come interleaved by task, in no order
    costs = np.stack([_costs(frame.filter(pl.col("task") == task)) for task in TASKS])[:, :, None]
    return Table(
        name="nasbench201",
        columns=COLUMNS,
        configs=frame.filter(pl.col("task") == TASKS[0]).select(codes).to_numpy(),
        tasks=TASKS,
        fidelities=(1,),
        fidelity_name="evaluation",
        fidelity_unit="1",
        objectives=OBJECTIVES,
        costs=costs,
        runtime=np.ones(costs.shape[:3]),
        provenance=PROVENANCE,
    )


def _costs(frame: pl.DataFrame) -> np.ndarray:
    """Error in %, latency in seconds and number of parameters of one data set's rows."""
    parameters = np.rint(frame["metric_params_size"].to_numpy() * 1e6)
    return np.stack(
        [frame["metric_error"].to_numpy(), frame["metric_latency"].to_numpy(), parameters], axis=-1
    )


BENCHMARKS = (
    Benchmark(
        name="nasbench201",
        summary="15,625 cells on three image tasks, without training time (measured)",
        needs="download, 2 MB",
        tasks=TASKS,
        rows=15625,
        objectives=("error", "latency", "parameters"),
        fidelities=(1,),
        files=(FILE,),
        load=load_nasbench201,
    ),
)
