"""What methods ask of a table, in words."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from mohb_jax.benchmarks.before_training import known_objectives, operation_columns, size_columns
from mohb_jax.benchmarks.contract import AnyTable


class Need(NamedTuple):
    """Something that a method asks of a table.

    Attributes:
        text: what it is, for lists.
        missing: what a table lacks, in words, given the settings of the method; None if it has it.
    """

    text: str
    missing: Callable[[AnyTable, Any], str | None]


@functools.cache
def at_most_objectives(most: int) -> Need:
    """No more objectives than a method can deal with."""

    def missing(table: AnyTable, settings: Any) -> str | None:
        del settings
        many = table.num_objectives
        return f"it takes at most {most} objectives, the table has {many}" if many > most else None

    return Need(f"at most {most} objectives", missing)


def _no_fidelities(table: AnyTable, settings: Any) -> str | None:
    del settings
    return None if table.num_fidelities > 1 else "it needs several fidelities, the table has one"


def _no_known_objective(table: AnyTable, settings: Any) -> str | None:
    if known_objectives(table, settings.known):
        return None
    names = ", ".join(objective.name for objective in table.objectives)
    return (
        "it needs an objective that is known without training, and none counts parameters or operations; "
        f"declare one with the setting known, from {names}"
    )


def _no_size(table: AnyTable, settings: Any) -> str | None:
    del settings
    if size_columns(table) or known_objectives(table, None):
        return None
    return (
        "it needs columns that say how large a model is (numbers with the role architecture) or an objective "
        "that counts parameters or operations"
    )


def _no_other_tasks(table: AnyTable, settings: Any) -> str | None:
    del settings
    return None if table.num_tasks > 1 else "it learns from other tasks, the table has one task"


def _nobody_to_believe(table: AnyTable, settings: Any) -> str | None:
    return None if settings.beliefs == "none" else _no_other_tasks(table, settings)


def _nothing_to_choose(table: AnyTable, settings: Any) -> str | None:
    del settings
    if (table.configs != table.configs[:1]).any():
        return None
    return "it chooses among the levels of columns, and no column of the table has two"


def _no_operations(table: AnyTable, settings: Any) -> str | None:
    if settings.edges == "softmax" or operation_columns(table):
        return None
    return (
        f"edges {settings.edges} needs columns that name operations (categories with the role architecture, "
        "as the edges of nasbench201); edges softmax takes any column"
    )


def _no_descriptors(table: AnyTable, settings: Any) -> str | None:
    del settings
    if table.descriptors:
        return None
    return (
        "it needs descriptors of the tasks, and the table has none; a table of yours gets them under "
        "descriptors in its specification, and meta-knn-landmarks does without"
    )


def _no_descriptors_beside(table: AnyTable, settings: Any) -> str | None:
    return _no_descriptors(table, settings) if settings.descriptors == "both" else None


def training_times(table: AnyTable) -> tuple[int, ...]:
    """Indices of the objectives that are minimised and measured in seconds, the first of which counts."""
    each = enumerate(table.objectives)
    return tuple(index for index, own in each if own.unit == "s" and own.sense == "min")


def _no_training_time(table: AnyTable, settings: Any) -> str | None:
    if not settings.cool or training_times(table):
        return None
    names = ", ".join(f"{own.name} ({own.unit})" for own in table.objectives)
    return f"cool needs an objective in seconds (unit s), the training time; the table has {names}"


SHARES = {"fraction": 1.0, "1": 1.0, "%": 0.01}
"""Units in which an error may be measured, as shares of all examples."""


def error_objective(table: AnyTable, name: str | None) -> int | None:
    """Index of the named objective, or else of the first that is a share of errors; None if there is none."""
    if name is not None:
        return table.objective_index(name)
    each = enumerate(table.objectives)
    return next((index for index, own in each if own.unit in SHARES and own.sense == "min"), None)


def price_objective(table: AnyTable, name: str | None) -> int | None:
    """Index of the named objective, or else of the first in USD or in seconds; None if there is none."""
    if name is not None:
        return table.objective_index(name)
    found = (i for unit in ("USD", "s") for i, own in enumerate(table.objectives) if own.unit == unit)
    return next(found, None)


def _no_error_and_price(table: AnyTable, settings: Any) -> str | None:
    error = error_objective(table, settings.error)
    price = price_objective(table, settings.price)
    own = table.objectives
    if error is None or own[error].sense != "min" or own[error].unit not in SHARES:
        return (
            f"it needs an error to be minimised, in one of the units {', '.join(SHARES)}; see setting error"
        )
    if price is None or price == error or own[price].sense != "min":
        return "it needs a price to be minimised, by default in USD or s; see setting price"
    return None


FIDELITIES = Need("several fidelities", _no_fidelities)
KNOWN_OBJECTIVE = Need("a known objective", _no_known_objective)
SIZE = Need("columns or an objective for the size of a model", _no_size)
OTHER_TASKS = Need("at least two tasks", _no_other_tasks)
BELIEVED_TASKS = Need("at least two tasks unless beliefs is none", _nobody_to_believe)
CHOICES = Need("a column with two levels", _nothing_to_choose)
TIMED_IF_COOL = Need("an objective in seconds if cool is true", _no_training_time)
ERROR_AND_PRICE = Need("an error as a share, and a price", _no_error_and_price)
OPERATIONS = Need("columns of operations (categories, role architecture) if edges is sigmoid", _no_operations)
DESCRIPTORS = Need("descriptors of tasks", _no_descriptors)
DESCRIBED_UNLESS_LANDMARKS = Need("descriptors of tasks if descriptors is both", _no_descriptors_beside)
