"""A prior for new work from finished work: tables, studies and journals."""

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Bool, Float

from mohb_jax import transfer
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.benchmarks.files import load_table
from mohb_jax.errors import InputError
from mohb_jax.networks import fitted_networks
from mohb_jax.precision import in_64_bits
from mohb_jax.store import read_study, table_path
from mohb_jax.surrogates.prior_network import Training
from mohb_jax.surrogates.transform import quantile_transform
from mohb_jax.transfer import PRIOR_STREAM, Prior, predict_networks
from mohb_jax.tuner.candidates import Candidates
from mohb_jax.tuner.setup import parsed_objectives
from mohb_jax.tuner.space import Space
from mohb_jax.tuner.tuner import Tuner

Source = AnyTable | Tuner | str | os.PathLike[str]


def learn_prior(
    sources: Source | Sequence[Source],
    seed: int = 0,
    training: Training | None = None,
    *,
    rows: Space | None = None,
    objectives: Mapping[str, str] | Sequence[Objective] | None = None,
    task: str = "live",
) -> Prior:
    """What finished work says about each row of a table or of a space.

    Args:
        sources: a table, whose tasks are each predicted from the others; or, with ``rows``, any number of
            tables, tuners, journals, study folders and saved tables. All their tasks are learnt from, each by
            its results at its own highest fidelity: ``tuner.table("mine").select(fidelities=[3])`` is what a
            run says about all that it tried, and not about the few that it trained in full.
        seed: root seed.
        training: of the networks; the published sizes and rates if None.
        rows: the space of the new task, for ``Tuner(rows, ..., prior=...)``.
        objectives: of the new task; those of the first source if None.
        task: what the new task is called.

    Returns:
        The prior; of a table it is kept for as long as the table is.

    Raises:
        InputError: there is nothing to learn from, or a source has other columns or objectives than the new
            task; its levels may be fewer.

    References:
        See ``mohb_jax.transfer``.

    Examples:
        >>> prior = learn_prior("last_month.jsonl", rows=space)        # doctest: +SKIP
        >>> Tuner(space, goals, "mo-asha+prior", prior=prior)          # doctest: +SKIP
    """
    if rows is None:
        if not isinstance(sources, AnyTable):
            raise InputError("learn_prior takes one table alone, or rows=, the space of a new task")
        return transfer.learn_prior(sources, seed, training)
    listed = [sources] if isinstance(sources, AnyTable | Tuner | str | os.PathLike) else [*sources]
    tables = list(itertools.chain.from_iterable(map(_tables, listed)))
    if not tables:
        raise InputError("learn_prior has no source: give tables, tuners, journals or study folders")
    goals = tables[0].objectives if objectives is None else parsed_objectives(objectives)
    new = Candidates(rows, goals, (1,), task=task)
    return _learnt(new, tables, seed, transfer.PUBLISHED if training is None else training)


def _tables(source: Source) -> list[AnyTable]:
    """A source as tables."""
    if isinstance(source, AnyTable):
        return [source]
    if isinstance(source, Tuner):
        return [source.table("finished")]
    path = Path(source)
    if path.is_dir():
        names = [benchmark["name"] for benchmark in read_study(path)["benchmarks"]]
        return [load_table(table_path(path, name)) for name in names]
    return [load_table(path)] if path.suffix == ".npz" else [Tuner.open(path).table(path.name)]


@in_64_bits
def _learnt(new: Candidates, tables: Sequence[AnyTable], seed: int, training: Training) -> Prior:
    parts = [_examples(new, table, index) for table in tables for index in range(table.num_tasks)]
    most = transfer.MOST_TRAINING_ROWS // len(parts)
    chosen = [_at_most(most, seed, index, part) for index, part in enumerate(parts)]
    features, targets, valid = (np.concatenate(arrays) for arrays in zip(*chosen, strict=True))
    for objective, column in zip(new.objectives, valid.T, strict=True):
        if not column.any():
            raise InputError(f"objective {objective.name!r} has one value alone in every source")
    own = unit_features(new)
    key = jax.random.fold_in(jax.random.key(seed), PRIOR_STREAM)
    fitted = fitted_networks(key, features, targets.T, valid.T, training)
    mu, sigma = (np.asarray(part)[None] for part in predict_networks(fitted, own))
    return Prior(new.name, new.tasks, new.columns, new.objectives, mu, sigma)


def _at_most(most: int, seed: int, index: int, part: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """So many of a task's rows, drawn at random."""
    count = len(part[0])
    if count <= most:
        return part
    rows = np.sort(np.random.default_rng((seed, index)).choice(count, most, replace=False))
    return tuple(array[rows] for array in part)


def _examples(
    new: Candidates, table: AnyTable, task: int
) -> tuple[Float[np.ndarray, "n features"], Float[np.ndarray, "n m"], Bool[np.ndarray, "n m"]]:
    """Rows of a task that have a result at its highest fidelity: features as the new task's rows have them,
    z-values, and which count: an objective that is the same in all rows has no order to learn."""
    order = [_objective_index(table, objective) for objective in new.objectives]
    there = table.final_available(task)
    costs = table.final_costs(task)[there][:, order]
    z = _transformed(costs.T, np.ones(len(costs), bool)).T if len(costs) else costs
    varies = (costs != costs[:1]).any(axis=0)
    configs = _translated(new.columns, table)[there]
    return unit_features(new, configs), np.asarray(z), np.repeat(varies[None], len(costs), axis=0)


_transformed = jax.jit(jax.vmap(quantile_transform, (0, None)))


def _objective_index(table: AnyTable, wanted: Objective) -> int:
    if wanted not in table.objectives:
        theirs = ", ".join(f"{o.name} ({o.sense} {o.unit})" for o in table.objectives)
        here = f"{wanted.name} ({wanted.sense} {wanted.unit})"
        raise InputError(f"source {table.name!r} has no objective {here}: it has {theirs}")
    return table.objectives.index(wanted)


def _translated(columns: Sequence[Column], table: AnyTable) -> Float[np.ndarray, "rows columns"]:
    """A source's configurations, in the columns of the new task."""
    theirs = {column.name: place for place, column in enumerate(table.columns)}
    if set(theirs) != {column.name for column in columns}:
        wanted = ", ".join(column.name for column in columns)
        raise InputError(f"source {table.name!r} has the columns {', '.join(theirs)}: needed are {wanted}")
    return np.stack([_column(table, theirs[own.name], own) for own in columns], axis=1)


def _column(table: AnyTable, place: int, own: Column) -> Float[np.ndarray, " rows"]:
    column, values = table.columns[place], table.configs[:, place]
    unknown = [level for level in column.levels if level not in own.levels]
    if column.kind != own.kind or unknown:
        what = f"the level {unknown[0]!r}" if unknown else f"kind {column.kind}, not {own.kind}"
        raise InputError(f"source {table.name!r}, column {own.name!r}: it has {what}")
    if not column.has_levels:
        return values
    return np.array([own.levels.index(level) for level in column.levels], np.float64)[values.astype(np.int64)]
