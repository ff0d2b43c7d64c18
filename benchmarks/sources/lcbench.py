"""LCBench: learning curves of multi-layer perceptrons on 34 data sets, answered by a published surrogate.

Model: folder ``lcbench`` of github.com/slds-lmu/yahpo_data (Apache-2.0), of Pfisterer et al., "YAHPO Gym:
an efficient multi-objective multi-fidelity benchmark for hyperparameter optimization", 2022; a network
fitted to the curves of Zimmer, Lindauer and Hutter, "Auto-PyTorch tabular", 2021. It answers any
configuration, so the table is modelled, not measured: configurations are drawn at random once, the same
ones for all data sets, and the surrogate is asked for all 52 epochs of each. Objectives are the validation
error in % and the training time in seconds.

Time is cumulative, but the surrogate lets it fall in 0.4 % of the steps, mostly because it puts the first
epoch far too high. It is repaired by the running minimum from the last epoch backwards, which lowers wrong
early values and never changes the time of the full training. Validation accuracy after one epoch says
almost nothing about the rest (median rank correlation 0.02); a smallest fidelity of 2 or 3 epochs is a
fairer setting.

The answers are kept in the user's cache, in one file named by everything they follow from, and asked for
once only.
"""

import contextlib
import hashlib
import importlib
import json
import logging
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32
from mohb_jax.benchmarks import download
from mohb_jax.benchmarks.benchmark import Benchmark, on_every_instance
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.download import RemoteFile, locate
from mohb_jax.benchmarks.table import Table

from mohb_jax.errors import InputError

_FOLDER = (
    "https://raw.githubusercontent.com/slds-lmu/yahpo_data/efdab9072f63bd680396cd4b78b927c4a0caaad3/lcbench"
)


def _file(name: str, sha256: str, num_bytes: int) -> RemoteFile:
    return RemoteFile(f"yahpo_lcbench/{name}", f"{_FOLDER}/{name}", sha256, num_bytes, "Apache-2.0")


MODEL = _file("model.onnx", "b45c0d85ae39abf8820c8bea5ac82f415763afcbaf3b725e36af452b09cb6dcd", 2153124)
SPACE = _file("config_space.json", "4d1c78a91429b4a37628e13f286cf1abe15f778a09722a4c01714f2d72a8200d", 2151)
ENCODING = _file("encoding.json", "d8af928f412bbeb07e58ecd69877fcab35fbc595333d1c1c3f76120d2f2508da", 507)
FILES = (MODEL, SPACE, ENCODING)

TASKS = (
    *("3945", "7593", "34539", "126025", "126026", "126029", "146212", "167104", "167149", "167152"),
    *("167161", "167168", "167181", "167184", "167185", "167190", "167200", "167201", "168329", "168330"),
    *("168331", "168335", "168868", "168908", "168910", "189354", "189862", "189865", "189866", "189873"),
    *("189905", "189906", "189908", "189909"),
)
"""OpenML tasks that the configuration space offers; the encoding knows one more, which it does not."""
EPOCHS = tuple(range(1, 53))
NUM_CONFIGS = 2000
COLUMNS = (
    Column("batch_size", "log"),
    Column("learning_rate", "log"),
    Column("momentum", "continuous"),
    Column("weight_decay", "continuous"),
    Column("num_layers", "ordinal", "architecture", (1, 2, 3, 4, 5)),
    Column("max_units", "log", "architecture"),
    Column("max_dropout", "continuous"),
)
"""In the order in which the model takes them, after the epoch; the configuration space has another one."""
OBJECTIVES = (Objective("error", "min", "%"), Objective("runtime", "min", "s"))

_VERSION = 1
"""Raised whenever the way in which answers are drawn or stored changes."""
_CONFIGS_PER_CALL = 16
"""Of a call's configurations x epochs fit the processor's cache; much larger calls take longer per point."""
_TIME, _ACCURACY = 0, 1


class Answers(NamedTuple):
    """What the surrogate says of every task, configuration and epoch."""

    time: Float32[np.ndarray, "tasks configs epochs"]
    accuracy: Float32[np.ndarray, "tasks configs epochs"]


def load_lcbench(
    data: str | os.PathLike[str] | None = None, num_configs: int = NUM_CONFIGS, seed: int = 0
) -> Table:
    """The table: random configurations, 34 data sets, 52 epochs; validation error in %, runtime in s.

    Args:
        data: folder that holds ``yahpo_lcbench/model.onnx`` and its companions; see
            ``mohb_jax.benchmarks.download.locate``.
        num_configs: rows. A smaller table of the same seed holds the first rows of a larger one.
        seed: of the configurations.

    Raises:
        InputError: if a file cannot be had, or the answers are not in the cache yet and onnxruntime, which
            evaluates the model, is not installed.
    """
    if num_configs < 1:
        raise InputError(f"num_configs is {num_configs}: lcbench needs at least 1 configuration")
    paths = {file: locate(file, data) for file in FILES}
    configs = sample_configs(paths[SPACE], num_configs, seed)
    answers = _cached(paths, configs, f"{num_configs}-{seed}")
    runtime = repaired(answers.time.astype(np.float64))
    error = np.maximum(100 - answers.accuracy.astype(np.float64), 0)
    return Table(
        name="lcbench",
        columns=COLUMNS,
        configs=configs - _offsets(),
        tasks=TASKS,
        fidelities=EPOCHS,
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=OBJECTIVES,
        costs=np.stack([error, runtime], axis=-1),
        runtime=runtime,
        provenance=(
            "Modelled: the LCBench surrogate of github.com/slds-lmu/yahpo_data (Apache-2.0), commit efdab90, "
            f"at {num_configs} configurations drawn with seed {seed}. Time made to rise with epochs by a "
            "running minimum from the last epoch."
        ),
    )


def sample_configs(space: Path, num_configs: int, seed: int) -> Float[np.ndarray, "configs columns"]:
    """Random configurations in natural units, columns as in ``COLUMNS``.

    Uniform within each parameter's bounds, after a logarithm where the space says so; whole numbers have
    equal shares of their range, half a unit beyond either bound.

    Args:
        space: path of ``config_space.json``.
        num_configs: rows.
        seed: of the draw; row i does not depend on ``num_configs``.
    """
    described = {entry["name"]: entry for entry in json.loads(space.read_text())["hyperparameters"]}
    uniform = np.random.default_rng(seed).random((num_configs, len(COLUMNS)))
    return np.stack(
        [_scaled(unit, described[column.name]) for unit, column in zip(uniform.T, COLUMNS, strict=True)],
        axis=1,
    )


def _scaled(unit: Float[np.ndarray, " configs"], entry: dict[str, Any]) -> Float[np.ndarray, " configs"]:
    whole = 0.5 if entry["type"] == "uniform_int" else 0.0
    low, high = entry["lower"] - whole, entry["upper"] + whole
    values = low * (high / low) ** unit if entry["log"] else low + (high - low) * unit
    return np.clip(np.rint(values) if whole else values, entry["lower"], entry["upper"])


def _offsets() -> Float[np.ndarray, " columns"]:
    """What turns natural units into a table's indices: the lowest level where a column has levels."""
    return np.array([float(column.levels[0]) if column.levels else 0.0 for column in COLUMNS])


def repaired(time: Float[np.ndarray, "*cells epochs"]) -> Float[np.ndarray, "*cells epochs"]:
    """Cumulative time that never falls: at each epoch the least time of that epoch and all later ones.

    A running maximum from the first epoch would instead spread its error, up to four times too much,
    forwards.
    """
    return np.minimum.accumulate(np.maximum(time, 0)[..., ::-1], axis=-1)[..., ::-1]


def predict(
    session: Any,
    code: int,
    configs: Float[np.ndarray, "configs columns"],
    epochs: tuple[int, ...] = EPOCHS,
) -> Float32[np.ndarray, "configs epochs outputs"]:
    """All six outputs of the model: time, validation accuracy and four more.

    Args:
        session: of onnxruntime, from ``open_session``.
        code: the task's number in ``encoding.json``.
        configs: natural units, columns as in ``COLUMNS``.
        epochs: where to ask.

    Returns:
        Time in s and validation accuracy in % come first.
    """
    repeated = np.repeat(configs, len(epochs), axis=0)
    points = np.column_stack([np.tile(epochs, len(configs)), repeated]).astype(np.float32)
    codes = np.full((len(points), 1), code, np.int32)
    output = session.run(None, {"x_cat": codes, "x_cont": points})[0]
    return output.reshape(len(configs), len(epochs), -1)


def open_session(model: Path) -> Any:
    """The model ready to be asked, on one thread: calls are small, and several may run side by side.

    Raises:
        InputError: if onnxruntime is not installed.
    """
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError:
        raise InputError(
            "benchmark 'lcbench' needs onnxruntime; install it with: pip install 'mohb-jax[yahpo]'"
        ) from None
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(os.fspath(model), options, providers=["CPUExecutionProvider"])


def _ask(paths: dict[RemoteFile, Path], configs: Float[np.ndarray, "configs columns"]) -> Answers:
    """Asks the model for everything, in small calls on all processors."""
    session = open_session(paths[MODEL])
    codes = json.loads(paths[ENCODING].read_text())["OpenML_task_id"]
    chunks = [
        configs[first : first + _CONFIGS_PER_CALL] for first in range(0, len(configs), _CONFIGS_PER_CALL)
    ]

    def task(name: str) -> Float32[np.ndarray, "2 configs epochs"]:
        wanted = [predict(session, codes[name], chunk)[..., [_TIME, _ACCURACY]] for chunk in chunks]
        return np.moveaxis(np.concatenate(wanted), -1, 0)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        time, accuracy = np.stack(list(pool.map(task, TASKS)), axis=1)
    return Answers(time, accuracy)


def _cached(
    paths: dict[RemoteFile, Path], configs: Float[np.ndarray, "configs columns"], label: str
) -> Answers:
    """The answers from the cache, or from the model and then kept."""
    key = hashlib.sha256(json.dumps([_VERSION, label, *(file.sha256 for file in FILES)]).encode()).hexdigest()
    path = download.cache_folder() / f"lcbench-{label}-{key[:16]}.npz"
    shape = (len(TASKS), len(configs), len(EPOCHS))
    kept = _read(path, shape)
    if kept is not None:
        return kept
    answers = _ask(paths, configs)
    try:
        _write(path, answers)
    except OSError as error:
        logging.getLogger(__name__).warning("lcbench is not cached: %s: %s", path, error.strerror)
    return answers


def _read(path: Path, shape: tuple[int, ...]) -> Answers | None:
    """Kept answers; None if there are none, or the file is damaged."""
    with contextlib.suppress(OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        with np.load(path, allow_pickle=False) as file:
            answers = Answers(file["time"], file["accuracy"])
        if all(part.shape == shape and part.dtype == np.float32 for part in answers):
            return answers
    return None


def _write(path: Path, answers: Answers) -> None:
    """Under a temporary name first: an interrupted write leaves nothing that could be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **answers._asdict())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


_LCBENCH = Benchmark(
    name="lcbench",
    summary="learning curves of networks on 34 tasks (modelled by a published surrogate)",
    needs="download, 2 MB; extra yahpo",
    tasks=TASKS,
    rows=NUM_CONFIGS,
    objectives=("error", "runtime"),
    fidelities=EPOCHS,
    files=FILES,
    load=load_lcbench,
)
BENCHMARKS = (_LCBENCH, *on_every_instance(_LCBENCH))
