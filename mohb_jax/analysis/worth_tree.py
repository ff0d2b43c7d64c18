"""Where worths of methods differ from task to task: a tree over what is known of the tasks.

Each node has tasks and the worths of methods on them. Where the worths are unstable along a descriptor of the
tasks, the node is split at the value that makes the comparisons likeliest: model-based recursive partitioning
(Zeileis, Hothorn, Hornik 2008) of Bradley-Terry models (Strobl, Wickelmaier, Zeileis 2011). Unlike their
implementation in R, p-values come from permutations, and numbers are cut between tied values alone.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from mohb_jax.analysis.worths import Worths, expected, fitted, log_likelihood, wins, worths

LEVEL = 0.05
"""Below which the smallest p-value, times the number of descriptors, has to be for a split."""
NUM_PERMUTATIONS = 4999
AT_A_TIME = 512
MOST_DEPTH = 3
MOST_LEVELS = 8
"""Of a descriptor that is no number, beyond which not all partitions are tried."""
SEARCH_TOLERANCE = 1e-3
"""Of worths while cuts are compared."""

Descriptor = Float[np.ndarray, " tasks"] | Sequence[str]
"""One value for each task: a number, or a word."""


@dataclasses.dataclass(frozen=True)
class Split:
    """How a node is divided.

    Attributes:
        descriptor: by which.
        at_most: tasks of at most this value go to the first child; None for words.
        words: tasks of these words go to the first child; empty for numbers.
    """

    descriptor: str
    at_most: float | None
    words: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Node:
    """Some tasks.

    Attributes:
        tasks: their numbers.
        worths: of the methods on them.
        statistics: by descriptor how unstable worths are along it; NaN where it cannot be cut.
        p_values: by descriptor, times the number of descriptors, at most 1.
        split: None for a leaf.
        children: two, or none.
    """

    tasks: tuple[int, ...]
    worths: Worths
    statistics: dict[str, float]
    p_values: dict[str, float]
    split: Split | None
    children: tuple["Node", ...]

    @property
    def leaves(self) -> tuple["Node", ...]:
        """This node, or those below it that have no children."""
        return tuple(leaf for child in self.children for leaf in child.leaves) or (self,)


def worth_tree(
    methods: Sequence[str],
    values: Float[np.ndarray, "tasks k"],
    descriptors: Mapping[str, Descriptor],
    least: int | None = None,
) -> Node:
    """The tree of some tasks.

    Args:
        methods: names.
        values: one of each method on every task, larger is better. Means over runs: with a row for each run,
            tasks would count as often as they have runs, and the tree would split to single tasks.
        descriptors: of the tasks, by name.
        least: tasks of a leaf; by default a tenth of all, and no fewer than five.

    References:
        Zeileis, Hothorn, Hornik, "Model-based recursive partitioning", 2008; Strobl, Wickelmaier, Zeileis,
        "Accounting for individual differences in Bradley-Terry models by means of recursive partitioning",
        2011; Gijsbers et al., "AMLB: an AutoML benchmark", 2022, for its use over tasks.
    """
    smallest = max(5, math.ceil(len(values) / 10)) if least is None else least
    columns = {name: np.asarray(own) for name, own in descriptors.items()}
    return _node(tuple(methods), values, columns, np.arange(len(values)), smallest, MOST_DEPTH)


def _node(
    methods: tuple[str, ...],
    values: Float[np.ndarray, "tasks k"],
    columns: dict[str, np.ndarray],
    tasks: np.ndarray,
    least: int,
    depth: int,
) -> Node:
    own = {name: column[tasks] for name, column in columns.items()}
    won = wins(values[tasks])
    fluctuation = decorrelated(scores(won))
    statistics = {name: statistic(fluctuation, column, least) for name, column in own.items()}
    p_values = {
        name: min(1.0, len(own) * p_value(fluctuation, column, least, statistics[name]))
        for name, column in own.items()
    }
    split = None
    if depth and p_values and min(p_values.values()) < LEVEL:
        name = min(p_values, key=lambda each: p_values[each])
        split = best_split(won, name, own[name], least)
    children: tuple[Node, ...] = ()
    if split is not None:
        first = goes_first(split, own[split.descriptor])
        parts = (tasks[first], tasks[~first])
        children = tuple(_node(methods, values, columns, part, least, depth - 1) for part in parts)
    whole = worths(methods, values[tasks])
    return Node(tuple(tasks.tolist()), whole, statistics, p_values, split, children)


def scores(won: Float[np.ndarray, "tasks k k"]) -> Float[np.ndarray, "tasks free"]:
    """How far each task's comparisons pull the worths of all methods but the last; they add up to 0."""
    found = fitted(won.sum(axis=0))
    compared = won + won.transpose(0, 2, 1)
    return np.asarray(((won - compared * expected(found)).sum(axis=2))[:, :-1])


def decorrelated(pull: Float[np.ndarray, "tasks free"]) -> Float[np.ndarray, "tasks free"]:
    """Scores of unit covariance: what is left out of the methods does not matter then."""
    scaled = pull / np.sqrt(len(pull))
    value, vector = np.linalg.eigh(scaled.T @ scaled)
    known = value > 1e-10 * value.max(initial=0)
    root = np.where(known, 1 / np.sqrt(np.where(known, value, 1)), 0)
    return np.asarray(scaled @ (vector * root) @ vector.T)


def cuts(column: np.ndarray, least: int) -> np.ndarray:
    """How many tasks may lie below a cut: between different values, with a tenth of the tasks and no fewer
    than ``least`` on either side."""
    fewest = max(math.ceil(len(column) / 10), least)
    ends = np.cumsum(np.unique(column, return_counts=True)[1])[:-1]
    return np.asarray(ends[(ends >= fewest) & (ends <= len(column) - fewest)])


def statistic(fluctuation: Float[np.ndarray, "tasks free"], column: np.ndarray, least: int) -> float:
    """How unstable worths are along a descriptor.

    For numbers the largest, over cuts, of the squared length of the scores below it over u (1 - u), where u
    is the share of tasks below (supLM); for words the squared lengths of their scores over their shares.
    """
    return float(_statistics(fluctuation[None], column, least)[0])


def _statistics(
    fluctuation: Float[np.ndarray, "draws tasks free"], column: np.ndarray, least: int
) -> Float[np.ndarray, " draws"]:
    num_tasks = len(column)
    if column.dtype.kind in "US":
        masks = [column == word for word in np.unique(column)]
        parts = [(fluctuation[:, own].sum(axis=1) ** 2).sum(axis=1) / own.mean() for own in masks]
        return np.asarray(sum(parts))
    below = cuts(column, least)
    if not below.size:
        return np.full(len(fluctuation), np.nan)
    sums = np.cumsum(fluctuation[:, np.argsort(column, kind="stable")], axis=1)[:, below - 1]
    share = below / num_tasks
    return np.asarray(((sums**2).sum(axis=2) / (share * (1 - share))).max(axis=1))


def p_value(
    fluctuation: Float[np.ndarray, "tasks free"], column: np.ndarray, least: int, found: float
) -> float:
    """Share of permutations of the tasks in which worths are as unstable; 1 where there is nothing to cut."""
    if math.isnan(found):
        return 1.0
    chance = np.random.default_rng(0)
    reached = 0
    for first in range(0, NUM_PERMUTATIONS, AT_A_TIME):
        count = min(AT_A_TIME, NUM_PERMUTATIONS - first)
        order = chance.permuted(np.tile(np.arange(len(column)), (count, 1)), axis=1)
        drawn = _statistics(fluctuation[order], column, least)
        reached += int((drawn >= found - 1e-9 * abs(found)).sum())
    return (1 + reached) / (1 + NUM_PERMUTATIONS)


def best_split(
    won: Float[np.ndarray, "tasks k k"], name: str, column: np.ndarray, least: int
) -> Split | None:
    """The cut at which the comparisons of both children are likeliest together."""
    best, found = -math.inf, None
    for split in _splits(name, column, least):
        first = goes_first(split, column)
        if min(first.sum(), (~first).sum()) < least:
            continue
        likely = sum(_likelihood(won[part].sum(axis=0)) for part in (first, ~first))
        if likely > best:
            best, found = likely, split
    return found


def _likelihood(won: Float[np.ndarray, "k k"]) -> float:
    return log_likelihood(won, fitted(won, SEARCH_TOLERANCE))


def _splits(name: str, column: np.ndarray, least: int) -> Iterator[Split]:
    if column.dtype.kind not in "US":
        ascending = np.sort(column)
        for below in cuts(column, least).tolist():
            yield Split(name, float(ascending[below - 1]), ())
        return
    words = np.unique(column).tolist()
    sizes = range(1, len(words) // 2 + 1) if len(words) <= MOST_LEVELS else (1,)
    for size in sizes:
        for chosen in itertools.combinations(words, size):
            yield Split(name, None, chosen)


def goes_first(split: Split, column: np.ndarray) -> Bool[np.ndarray, " tasks"]:
    """Which tasks go to the first child."""
    if split.at_most is None:
        return np.isin(column, split.words)
    return np.asarray(column <= split.at_most)
