"""Black boxes of Syne Tune (Salinas et al., "Syne Tune: a library for large scale hyperparameter tuning and
reproducible research", 2022), version 0.16, read and written without it.

A black box is a folder with ``metadata.json``, ``configspace.json`` and ``fidelityspace.json`` beside its
results, in one of two layouts: dense (``hyperparameters.parquet`` and one array [tasks, configurations,
seeds, fidelities, objectives] in single precision) or sparse (``data-TASK.parquet``, one row per evaluation).
The variants with several files per task (HPO-B, PD1) are refused.

The files name their objectives and, mostly, which of them is the elapsed time; they say neither which are
maximised nor their units, so the caller does. Arrays that hold Python objects are never loaded.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float, Int, Shaped
from mohb_jax.benchmarks.columns import SECONDS, Column, Level, Objective, require_choice, require_unit, whole
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.table import Table

from mohb_jax.errors import InputError

TIME = "metric_elapsed_time"
"""Where ``metadata.json`` keeps the name of the objective that is the elapsed time."""
ELAPSED = "elapsed_time"
"""What the runtime of a table is called in a black box."""

Read = TypeVar("Read")
"""What a reader of a file returns."""


class _Box(NamedTuple):
    """What a folder says about itself."""

    folder: Path
    tasks: tuple[str, ...]
    objectives: tuple[str, ...]
    columns: tuple[Column, ...]
    fidelity: str | None
    seed: str | None
    time: str | None


class _Results(NamedTuple):
    """What was recorded; fields are the wanted objectives, then the elapsed time if there is one."""

    configs: Float[np.ndarray, "rows columns"]
    fidelities: Shaped[np.ndarray, " fidelities"]
    values: Float[np.ndarray, "tasks rows seeds fidelities fields"]


class _Means(NamedTuple):
    """The results without the axis of seeds; fidelities increase."""

    configs: Float[np.ndarray, "rows columns"]
    fidelities: Float[np.ndarray, " fidelities"]
    values: Float[np.ndarray, "tasks rows fidelities fields"]
    available: Bool[np.ndarray, "tasks rows fidelities"]


def from_syne_tune(
    path: str | os.PathLike[str],
    objectives: Sequence[Objective],
    *,
    runtime: str | None = None,
    runtime_unit: str = "s",
    fidelity_unit: str = "1",
    seed: int | None = None,
    roles: Mapping[str, str] | None = None,
    resumable: bool = True,
    name: str | None = None,
) -> Table:
    """A table from a black box that Syne Tune 0.16 wrote.

    A seed counts in a cell where none of the objectives, nor the elapsed time, is NaN; the table holds the
    mean over the seeds that count. A cell without any is unavailable, but keeps the time that is known of it.
    Where a seed ends early, the mean time of the others may fall, which a resumable table refuses: take one
    seed then. Rows keep their order in a dense black box and are sorted in a sparse one.

    Args:
        path: the folder.
        objectives: some or all of those in the files, with sense and unit, which the files do not hold.
        runtime: objective that is the time elapsed since the start of the training; default: the one that the
            files name so, else a fidelity takes as many seconds as its value.
        runtime_unit: ms, s, min or h.
        fidelity_unit: one of ``mohb_jax.benchmarks.columns.UNITS``.
        seed: take this one only, an index from 0; default: the mean over all.
        roles: of columns that are not hyperparameters, for example ``{"machine": "hardware"}``.
        resumable: see ``Table``.
        name: of the table; default: that of the folder.

    Raises:
        InputError: naming the file, column, task or objective at fault and what is accepted.
    """
    box = _open(Path(path), roles or {})
    time = runtime or box.time
    require_unit(f"unit of the runtime of {box.folder}", runtime_unit, SECONDS)
    means = _means(_recorded(box, _fields(box, objectives, time)), seed, box)
    seconds = means.values[..., -1] * SECONDS[runtime_unit] if time else means.fidelities
    return Table(
        **_axes(box, means),
        name=name or box.folder.resolve().name,
        fidelity_unit=fidelity_unit,
        objectives=tuple(objectives),
        costs=np.stack([goal.to_cost(means.values[..., m]) for m, goal in enumerate(objectives)], axis=-1),
        runtime=np.broadcast_to(seconds, means.available.shape),
        available=means.available,
        resumable=resumable,
        provenance=f"Imported from {os.fspath(path)}, a black box of Syne Tune.",
    )


def _axes(box: _Box, means: _Means) -> dict[str, Any]:
    """What a table's axes are, as its fields."""
    return {
        "columns": box.columns,
        "configs": means.configs,
        "tasks": box.tasks,
        "fidelities": tuple(means.fidelities.tolist()),
        "fidelity_name": box.fidelity or "evaluation",
    }


def _recorded(box: _Box, fields: Sequence[str]) -> _Results:
    """What either layout holds."""
    is_dense = (box.folder / "hyperparameters.parquet").is_file()
    return _dense(box, fields) if is_dense else _sparse(box, fields)


def _means(results: _Results, seed: int | None, box: _Box) -> _Means:
    """The results over the seeds that count, fidelities in order."""
    means = [_over_seeds(task) for task in _chosen(results.values, seed, box)]
    values, available = (np.stack(part) for part in zip(*means, strict=True))
    fidelities = np.asarray(results.fidelities, np.float64)
    order = np.argsort(fidelities)
    return _Means(results.configs, fidelities[order], values[:, :, order], available[:, :, order])


def _open(folder: Path, roles: Mapping[str, str]) -> _Box:
    if not folder.is_dir():
        raise InputError(f"black box {str(folder)!r} is not a folder")
    missing = [name for name in ("metadata.json", "configspace.json") if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{str(folder)!r} is no black box of Syne Tune: it has no {missing[0]}")
    metadata = _read(folder / "metadata.json", _json)
    return _Box(
        folder=folder,
        tasks=_names(folder, metadata, "task_names"),
        objectives=_names(folder, metadata, "objectives_names"),
        columns=_read(folder / "configspace.json", lambda path: _columns(_json(path), roles)),
        fidelity=_fidelity_name(folder / "fidelityspace.json"),
        seed=metadata.get("seed_col"),
        time=metadata.get(TIME),
    )


def _read(path: Path, reader: Callable[[Path], Read]) -> Read:
    """What ``reader`` makes of a file; one line where it is damaged."""
    try:
        return reader(path)
    except InputError:
        raise
    except (OSError, EOFError, ValueError, LookupError, TypeError, pl.exceptions.PolarsError) as error:
        if any(word in str(error) for word in ("pickle", "Python objects")):
            problem = "holds Python objects, which are never loaded: an array of numbers is needed"
        else:
            problem = "cannot be read, is damaged or in another format; expected a file of Syne Tune 0.16"
        raise InputError(f"{str(path)!r} {problem}") from error


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("a mapping is needed")
    return content


def _names(folder: Path, metadata: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = metadata.get(key)
    if not isinstance(names, list) or not names:
        raise InputError(f"{str(folder / 'metadata.json')!r} lacks {key}: a list of names is needed")
    return tuple(str(name) for name in names)


def _fidelity_name(path: Path) -> str | None:
    """The name of the only fidelity; None if there is none."""
    space = _read(path, _json) if path.is_file() else {}
    if len(space) > 1:
        raise InputError(f"{str(path)!r} has the fidelities {', '.join(space)}; accepted is one")
    return next(iter(space), None)


def _columns(space: Mapping[str, Any], roles: Mapping[str, str]) -> tuple[Column, ...]:
    for name in roles:
        require_choice("column of roles:", name, space)
    return tuple(_column(name, domain, roles.get(name, "hyperparameter")) for name, domain in space.items())


def _column(name: str, domain: Any, role: str) -> Column:
    """A column from a domain of Syne Tune; a constant becomes a categorical column with one level."""
    if not isinstance(domain, dict):
        return Column(name, "categorical", role, (domain,))
    kind, about = domain["domain_cls"], domain["domain_kwargs"]
    if kind in ("Categorical", "Ordinal", "OrdinalNearestNeighbor"):
        levels = tuple(about["categories"])
        ordered = any(isinstance(level, str) for level in levels) or list(levels) == sorted(levels)
        return Column(name, "ordinal" if kind != "Categorical" and ordered else "categorical", role, levels)
    require_choice(f"domain of column {name!r}:", kind, ("Float", "Integer", "FiniteRange"))
    log = about.get("log_scale", False) or domain.get("sampler_cls") == "LogUniform"
    return Column(name, "log" if log and about["lower"] > 0 else "continuous", role)


def _fields(box: _Box, objectives: Sequence[Objective], time: str | None) -> list[str]:
    """Names of the wanted objectives and of the time."""
    known = ", ".join(box.objectives)
    if not objectives:
        raise InputError(
            f"{box.folder} does not say what is maximised: give an Objective for some of {known}"
        )
    fields = [objective.name for objective in objectives] + ([time] if time else [])
    for field in fields:
        require_choice(f"objective of {box.folder}:", field, box.objectives)
    return fields


def _dense(box: _Box, fields: Sequence[str]) -> _Results:
    frame = _read(box.folder / "hyperparameters.parquet", pl.read_parquet)
    fidelities = _read(box.folder / "fidelities_values.npy", _numbers)
    path = box.folder / "objectives_evaluations.npy"
    stored = _read(path, _numbers)
    wanted = (len(box.tasks), frame.height, len(fidelities), len(box.objectives))
    found = (*stored.shape[:2], *stored.shape[3:])
    if found != wanted:
        text = f"{stored.shape}; expected tasks, configurations, seeds, fidelities, objectives"
        tasks, *others = wanted
        raise InputError(
            f"{str(path)!r} has shape {text}: ({tasks}, {others[0]}, *, {others[1]}, {others[2]})"
        )
    values = stored[..., [box.objectives.index(field) for field in fields]]
    return _Results(_configs(frame, box), fidelities, np.asarray(values, np.result_type(values, np.float32)))


def _numbers(path: Path) -> Shaped[np.ndarray, "..."]:
    """An array of numbers, mapped: those of large black boxes take gigabytes, of which few are wanted."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise ValueError("an array of numbers is needed")
    return array


def _configs(frame: pl.DataFrame, box: _Box) -> Float[np.ndarray, "records columns"]:
    for column in box.columns:
        require_choice(f"column in the results of {box.folder}:", column.name, frame.columns)
    return np.stack([_encoded(frame[column.name], column, box) for column in box.columns], axis=1)


def _encoded(series: pl.Series, column: Column, box: _Box) -> Float[np.ndarray, " records"]:
    """A column's values, or indices into its levels."""
    place = f"{box.folder}: column {column.name!r}"
    if not column.has_levels:
        if not series.dtype.is_numeric():
            raise InputError(f"{place} holds {series.dtype} values; numbers are needed")
        return series.cast(pl.Float64).fill_null(np.nan).to_numpy()
    index = {level: i for i, level in enumerate(column.levels)}
    values = series.cast(pl.String).to_list() if series.dtype.is_nested() else series.to_list()
    unknown = next((value for value in values if value not in index), None)
    if unknown is not None or None in values:
        raise InputError(f"{place} holds {unknown!r}; accepted: {', '.join(map(str, column.levels))}")
    return np.array([index[value] for value in values], np.float64)


def _sparse(box: _Box, fields: Sequence[str]) -> _Results:
    """Long tables, one per task, spread over all cells; NaN where there is no row."""
    frames = [_task_frame(box, task, fields) for task in box.tasks]
    task = np.repeat(np.arange(len(frames)), [frame.height for frame in frames])
    configs, row = _distinct(np.concatenate([_configs(frame, box) for frame in frames]))
    seeds, seed = _distinct(_stacked(frames, [box.seed] if box.seed else []))
    levels, fidelity = _distinct(_stacked(frames, [box.fidelity] if box.fidelity else []))
    place = (task, row, seed, fidelity)
    _check_once(place, box)
    values = np.full((len(frames), len(configs), len(seeds), len(levels), len(fields)), np.nan)
    values[place] = _stacked(frames, fields)
    return _Results(configs, levels[:, 0] if box.fidelity else np.ones(1), values)


def _task_frame(box: _Box, task: str, fields: Sequence[str]) -> pl.DataFrame:
    if Path(task).name != task:
        raise InputError(f"{box.folder} has a task named {task!r}: accepted is the name of a file")
    path = box.folder / f"data-{task}.parquet"
    if not path.is_file():
        layouts = "hyperparameters.parquet, or data-TASK.parquet for each task"
        raise InputError(f"{str(box.folder)!r} has no data-{task}.parquet; accepted layouts are {layouts}")
    frame = _read(path, pl.read_parquet)
    for name in (*fields, *(part for part in (box.seed, box.fidelity) if part)):
        require_choice(f"column in {path}:", name, frame.columns)
        if not frame[name].dtype.is_numeric():
            raise InputError(f"{path}: column {name!r} holds {frame[name].dtype} values; numbers are needed")
    return frame


def _stacked(frames: Sequence[pl.DataFrame], names: Sequence[str]) -> Float[np.ndarray, "records names"]:
    """Columns of numbers, those of all tasks below each other; NaN where missing."""
    parts = [
        np.stack([frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in names], axis=1)
        if names
        else np.zeros((frame.height, 0))
        for frame in frames
    ]
    return np.concatenate(parts)


def _distinct(
    values: Float[np.ndarray, "records k"],
) -> tuple[Float[np.ndarray, "distinct k"], Int[np.ndarray, " records"]]:
    """Distinct rows in order, and the index of each record's."""
    if not values.shape[1]:
        return values[:1], np.zeros(len(values), np.int64)
    found, index = np.unique(values, axis=0, return_inverse=True)
    return found, index.reshape(-1)


def _check_once(place: tuple[Int[np.ndarray, " records"], ...], box: _Box) -> None:
    """Two rows for one cell and seed would silently replace each other."""
    if place[0].size == 0:
        raise InputError(f"{str(box.folder)!r} holds no evaluation")
    found, first, count = np.unique(np.stack(place), axis=1, return_index=True, return_counts=True)
    if found.shape[1] < place[0].size:
        task = box.tasks[int(place[0][first[count.argmax()]])]
        raise InputError(
            f"{box.folder}: task {task!r} has several rows for one configuration, fidelity and seed; "
            "accepted is one"
        )


def _chosen(
    values: Float[np.ndarray, "t r seeds f k"], seed: int | None, box: _Box
) -> Float[np.ndarray, "t r s f k"]:
    if seed is None:
        return values
    if not 0 <= seed < values.shape[2]:
        raise InputError(f"seed {seed} of {box.folder}: accepted are 0 to {values.shape[2] - 1}")
    return values[:, :, [seed]]


def _over_seeds(
    values: Float[np.ndarray, "r seeds f k"],
) -> tuple[Float[np.ndarray, "r f k"], Bool[np.ndarray, "r f"]]:
    """Mean over the seeds that count, and where there are any; elsewhere the mean of what is known."""
    known = ~np.isnan(values)
    complete = known.all(axis=-1)
    available = complete.any(axis=1)
    used = np.where(available[:, None, :, None], complete[..., None], known)
    total = np.where(used, values, 0).sum(axis=1, dtype=np.float64)
    count = used.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), available


def to_syne_tune(table: AnyTable, path: str | os.PathLike[str]) -> None:
    """Writes a table as a dense black box, which Syne Tune 0.16 reads with ``blackbox_tabular.deserialize``.

    Objectives keep their own sense; the runtime becomes one more, ``elapsed_time``. Lost: precision beyond 32
    bits, senses, units, roles, whether trainings resume, and provenance. Syne Tune's simulator asks for whole
    fidelities.

    Args:
        table: any; one that is a crossing is written out.
        path: a new or empty folder.

    Raises:
        InputError: if the folder holds something, or the table does not fit in memory.
    """
    folder = Path(path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{str(folder)!r} exists: accepted is a new or empty folder")
    names = [objective.name for objective in table.objectives]
    time = ELAPSED
    while time in names:
        time += "_"
    folder.mkdir(parents=True, exist_ok=True)
    for name, space in (("configspace", _space(table)), ("fidelityspace", _fidelity_space(table))):
        (folder / f"{name}.json").write_text(json.dumps(space), encoding="utf-8")
    pq.write_table(_hyperparameters(table), folder / "hyperparameters.parquet", compression="gzip")
    np.save(folder / "fidelities_values.npy", np.asarray(table.fidelities), allow_pickle=False)
    np.save(folder / "objectives_evaluations.npy", _evaluations(table), allow_pickle=False)
    # Last of all: a folder without it is no black box.
    metadata = {"objectives_names": [*names, time], "task_names": list(table.tasks), TIME: time}
    (folder / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")


def _evaluations(table: AnyTable) -> np.ndarray:
    """[tasks, rows, one seed, fidelities, objectives and time] in single precision."""
    costs, runtime = table.dense(range(table.num_fidelities))
    missing = ~np.isfinite(costs).all(axis=-1, keepdims=True)
    values = np.where(missing, np.nan, table.to_values(costs))
    return np.concatenate([values, runtime[..., None]], axis=-1)[:, :, None].astype(np.float32)


def _space(table: AnyTable) -> dict[str, Any]:
    return {
        column.name: _categories(column) if column.has_levels else _interval(values, column.kind)
        for column, values in zip(table.columns, table.configs.T, strict=True)
    }


def _fidelity_space(table: AnyTable) -> dict[str, Any]:
    return {table.fidelity_name: _interval(np.asarray(table.fidelities, np.float64), "continuous")}


def _interval(values: Float[np.ndarray, " n"], kind: str) -> dict[str, Any]:
    """The domain between the smallest and the largest value, of integers if all are."""
    bounds = {"lower": _like(values)(values.min()), "upper": _like(values)(values.max())}
    log = kind == "log"
    return {
        "domain_cls": "Integer" if _like(values) is int else "Float",
        "domain_kwargs": bounds,
        "sampler_cls": "LogUniform" if log else "Uniform",
        "sampler_kwargs": {"base": float(np.e)} if log else {},
    }


def _like(values: Float[np.ndarray, " n"]) -> type[int] | type[float]:
    return int if all(isinstance(whole(value), int) for value in values.tolist()) else float


def _categories(column: Column) -> dict[str, Any]:
    return {
        "domain_cls": "Ordinal" if column.kind == "ordinal" else "Categorical",
        "domain_kwargs": {"categories": _levels(column)},
        "sampler_cls": "Uniform",
        "sampler_kwargs": {},
    }


def _levels(column: Column) -> list[Level]:
    """Levels as values of one type, which Syne Tune asks for."""
    for kind in (int, str):
        if all(isinstance(level, kind) for level in column.levels):
            return list(column.levels)
    numbers = not any(isinstance(level, str) for level in column.levels)
    return [float(level) if numbers else str(level) for level in column.levels]


def _hyperparameters(table: AnyTable) -> pa.Table:
    columns: dict[str, Any] = {}
    for column, values in zip(table.columns, table.configs.T, strict=True):
        if column.has_levels:
            levels = _levels(column)
            columns[column.name] = [levels[index] for index in values.astype(int).tolist()]
        else:
            columns[column.name] = values.astype(_like(values))
    return pa.table(columns)
