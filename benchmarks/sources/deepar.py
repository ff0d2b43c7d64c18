"""DeepAR: a recurrent forecasting network on 11 data sets, 2,510 trainings.

Data: ``DeepAR.csv.zip`` of
github.com/geoalgo/A-Quantile-based-Approach-for-Hyperparameter-Transfer-Learning (Apache-2.0; the original
of icdishb/hyperparameter-transfer-learning-evaluations is under the MIT licence), published with Salinas,
Shen and Perrone, "A quantile-based approach for hyperparameter transfer learning", 2020.

No configuration was trained on two data sets, so the table has one row for each training and a row is
available in one task only (212 to 249 rows per task). No configuration occurs twice either, and a file in
which one does is refused: nothing is averaged. The columns are published as natural logarithms, integers
included, whose names do not all say so; here they are turned back, integers rounded.

Objectives are the CRPS (normalised quantile loss; heavy-tailed: 94 trainings above 1) and the seconds of
the training job, early stopping included. There is no fidelity below the full training.
"""

import os

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from mohb_jax.benchmarks.benchmark import Benchmark, on_every_instance
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.download import RemoteFile, locate
from mohb_jax.benchmarks.sources.geoalgo import GEOALGO, read_zipped_csv
from mohb_jax.benchmarks.table import Table

FILE = RemoteFile(
    "geoalgo/DeepAR.csv.zip",
    f"{GEOALGO}/DeepAR.csv.zip",
    "70869c97d28733d7eef2f7dac11a8a846d3e792038acc72017f61fbfb8de0a83",
    184888,
    "Apache-2.0",
)

TASKS = (
    *("electricity", "exchange-rate", "m4-Daily", "m4-Hourly", "m4-Monthly", "m4-Quarterly", "m4-Weekly"),
    *("m4-Yearly", "solar", "traffic", "wiki-rolling"),
)
LAYERS = (2, 3, 4)
COLUMNS = (
    Column("num_layers", "ordinal", "architecture", LAYERS),
    Column("num_cells", "log", "architecture"),
    Column("dropout_rate", "log"),
    Column("learning_rate", "log"),
    Column("num_batches_per_epoch", "log"),
    Column("context_length_ratio", "log"),
)
SOURCES = (
    *("hp_num_layers", "hp_num_cells", "hp_dropout_rate_log", "hp_learning_rate_log"),
    *("hp_num_batches_per_epoch_log", "hp_context_length_ratio_log"),
)
"""The file's column behind each of ``COLUMNS``; all of them are logarithms."""
WHOLE = (0, 1, 4)
"""Columns of whole numbers."""
OBJECTIVES = (Objective("crps", "min", "1"), Objective("runtime", "min", "s"))
PER_YEAR = {"1H": 8766.0, "1D": 365.25, "1W": 365.25 / 7, "1M": 12.0, "3M": 4.0, "12M": 1.0}
"""Time steps in a year, by the file's name of a frequency."""
PROVENANCE = (
    "github.com/geoalgo/A-Quantile-based-Approach-for-Hyperparameter-Transfer-Learning (Apache-2.0), commit "
    "31cdb2f: CRPS and training time of DeepAR as measured by its authors. Each configuration was trained on "
    "one data set only and is unavailable in all other tasks."
)


def load_deepar(data: str | os.PathLike[str] | None = None) -> Table:
    """The table: 2,510 configurations, each available in one of 11 tasks, one fidelity; CRPS, runtime in s.

    Rows are in the order of the file.

    Args:
        data: folder that holds ``geoalgo/DeepAR.csv.zip``; see ``mohb_jax.benchmarks.download.locate``.

    Raises:
        InputError: if the file cannot be had.
    """
    frame = read_zipped_csv(locate(FILE, data))
    values = frame.select("metric_CRPS", "metric_time").to_numpy().astype(np.float64)
    here = frame["task"].to_numpy() == np.array(TASKS)[:, None]
    costs = np.where(here[..., None], values, np.nan)[:, :, None]
    return Table(
        name="deepar",
        columns=COLUMNS,
        configs=_configs(frame),
        tasks=TASKS,
        fidelities=(1,),
        fidelity_name="evaluation",
        fidelity_unit="1",
        objectives=OBJECTIVES,
        costs=costs,
        runtime=costs[..., 1],
        available=here[:, :, None],
        provenance=PROVENANCE,
        descriptors=_descriptors(frame, here),
    )


def _descriptors(frame: pl.DataFrame, here: Bool[np.ndarray, "tasks rows"]) -> dict[str, list[float]]:
    """Steps that are forecast, and steps in a year, as logarithms."""
    first = here.argmax(axis=1).tolist()
    steps = frame["dataset_prediction_length"].to_numpy()[first].astype(np.float64)
    per_year = [PER_YEAR[frame["dataset_time_freq"][row]] for row in first]
    return {"log horizon": np.log(steps).tolist(), "log steps per year": np.log(per_year).tolist()}


def _configs(frame: pl.DataFrame) -> Float[np.ndarray, "rows columns"]:
    """The columns turned back from logarithms; the number of layers as an index into ``LAYERS``."""
    configs = np.exp(frame.select(SOURCES).to_numpy())
    configs[:, WHOLE] = np.rint(configs[:, WHOLE])
    configs[:, 0] = np.searchsorted(LAYERS, configs[:, 0])
    return configs


_DEEPAR = Benchmark(
    name="deepar",
    summary="forecasting network on 11 tasks, each with configurations of its own (measured)",
    needs="download, 0.2 MB",
    tasks=TASKS,
    rows=2510,
    objectives=("crps", "runtime"),
    fidelities=(1,),
    files=(FILE,),
    load=load_deepar,
)
BENCHMARKS = (_DEEPAR, *on_every_instance(_DEEPAR))
