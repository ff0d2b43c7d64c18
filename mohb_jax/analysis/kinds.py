"""On which kinds of tasks which methods win: the tree of worths over what is known of a study's tasks."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from mohb_jax.analysis.comparison import DECIMALS, Comparison
from mohb_jax.analysis.worth_tree import Node, Split, worth_tree

LEAST_TASKS = 10
"""Two leaves of five, which a leaf has at least: with fewer tasks there is no tree."""
FEW_TASKS = 20
"""With fewer, hardly any tree has a split."""

Known = Mapping[str, Mapping[str, Float[np.ndarray, " tasks"]]]
"""By benchmark, descriptors of its tasks by name."""


@dataclasses.dataclass(frozen=True)
class Kinds:
    """A tree over the tasks of a comparison, or why there is none.

    Attributes:
        tasks: names; a node has their places.
        tree: None where ``reason`` says why.
        reason: empty where there is a tree.
    """

    tasks: tuple[str, ...]
    tree: Node | None
    reason: str = ""


def kinds(data: Comparison, known: Known, tasks: Mapping[str, tuple[str, ...]]) -> Kinds:
    """The tree of worths over descriptors that all benchmarks of a comparison have.

    Args:
        data: see ``comparison``.
        known: descriptors of all tasks of each benchmark; none of a benchmark whose tasks nothing is known
            of.
        tasks: by benchmark, the names of these tasks.
    """
    if len(data.tasks) < LEAST_TASKS:
        return Kinds(data.tasks, None, f"it needs {LEAST_TASKS} tasks, and there are {len(data.tasks)}")
    columns = _columns(data.tasks, known, tasks)
    if not columns:
        return Kinds(data.tasks, None, "no descriptor of tasks is known everywhere and differs between them")
    return Kinds(data.tasks, worth_tree(data.methods, np.round(data.means, DECIMALS), columns))


def _columns(
    wanted: tuple[str, ...], known: Known, tasks: Mapping[str, tuple[str, ...]]
) -> dict[str, Float[np.ndarray, " tasks"]]:
    """Descriptors that differ between tasks, unknown values at the mean."""
    values: dict[str, dict[str, float]] = {task: {} for task in wanted}
    for benchmark, columns in known.items():
        for place, task in enumerate(tasks[benchmark]):
            own = {name: float(column[place]) for name, column in columns.items()}
            values.get(f"{benchmark}/{task}", {}).update(own)
    shared = [name for name in values[wanted[0]] if all(name in own for own in values.values())]
    found = {}
    for name in shared:
        column = np.array([values[task][name] for task in wanted])
        some = np.isfinite(column)
        if some.any() and (column[some] != column[some][0]).any():
            found[name] = np.where(some, column, column[some].mean())
    return found


def nodes(node: Node, conditions: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    """A node and all below it, from left to right, each with what holds for its tasks."""
    yield conditions, node
    for condition, child in zip(_conditions(node.split), node.children, strict=True):
        yield from nodes(child, (*conditions, condition))


def _conditions(split: Split | None) -> tuple[str, ...]:
    """What holds for the tasks of each child."""
    if split is None:
        return ()
    name, words = split.descriptor, ", ".join(split.words)
    if split.at_most is None:
        return f"{name} is {words}", f"{name} is not {words}"
    return f"{name} at most {split.at_most:.4g}", f"{name} above {split.at_most:.4g}"


def leaves(root: Node) -> list[tuple[tuple[str, ...], Node]]:
    """Those of ``nodes`` that have none below them."""
    return [(conditions, node) for conditions, node in nodes(root) if not node.children]


def letter(number: int) -> str:
    """Name of a leaf: A, B and so on."""
    return chr(ord("A") + number)


def is_reversed(leaf: Node, root: Node) -> bool:
    """Whether another method is first there than over all tasks."""
    return int(np.argmax(leaf.worths.worths)) != int(np.argmax(root.worths.worths))


def as_json(found: Kinds) -> dict[str, Any]:
    """As ``summary.json`` has it."""
    root = found.tree
    return {"reason": found.reason, "tree": None if root is None else _node_json(root, root, found.tasks)}


def _node_json(node: Node, root: Node, tasks: tuple[str, ...]) -> dict[str, Any]:
    statistics = {name: value if np.isfinite(value) else None for name, value in node.statistics.items()}
    return {
        "tasks": [tasks[place] for place in node.tasks],
        "worths": dataclasses.asdict(node.worths),
        "statistics": statistics,
        "p_values": node.p_values,
        "split": None if node.split is None else dataclasses.asdict(node.split),
        "reversed": not node.children and is_reversed(node, root),
        "children": [_node_json(child, root, tasks) for child in node.children],
    }


def kind_rows(found: Kinds) -> list[dict[str, Any]]:
    """A row for each node of the tree and descriptor."""
    return [
        {
            "node": "; ".join(conditions) or "all tasks",
            "num_tasks": len(node.tasks),
            "descriptor": name,
            "instability": node.statistics[name] if np.isfinite(node.statistics[name]) else None,
            "p": p,
            "splits": node.split is not None and node.split.descriptor == name,
        }
        for conditions, node in ([] if found.tree is None else nodes(found.tree))
        for name, p in node.p_values.items()
    ]
