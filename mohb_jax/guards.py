"""The laws of methods, watched where a method comes from outside the package.

Shapes are compared while a program is traced, and rows once in a finished log, so nothing is added to what
runs. A broken law is told in one line that names the law, the function and where it stands.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.errors import UserCodeError
from mohb_jax.kernels.promotion import PromotionRule
from mohb_jax.searchers.base import Context, Job, Moment, Policy, Result, Searcher, Seen, State, ignore
from mohb_jax.types import Array, Key, RunLog

NO_LEVEL = np.iinfo(np.int32).min
"""In place of the row of a job whose level does not exist."""


def guarded(plan: Any, label: str) -> Any:
    """A plan with its parts watched; errors begin with ``label``, such as ``method 'mine'``."""
    watched: dict[str, Any] = {}
    if isinstance(getattr(plan, "searcher", None), Searcher):
        watched["searcher"] = guarded_searcher(plan.searcher, label)
    if isinstance(getattr(plan, "policy", None), Policy):
        watched["policy"] = guarded_policy(plan.policy, label, len(plan.brackets[0].levels))
    return dataclasses.replace(plan, **watched)


def functions_of(plan: Any) -> dict[str, Callable[..., Any]]:
    """Those functions of a plan that may break a law, by what people call them."""
    found = {
        "suggest": getattr(getattr(plan, "searcher", None), "suggest", None),
        "propose": getattr(getattr(plan, "policy", None), "propose", None),
        "promotion rule": getattr(plan, "promotion", None),
    }
    return {name: function for name, function in found.items() if function is not None}


@functools.cache
def guarded_searcher(searcher: Searcher, label: str) -> Searcher:
    """The searcher with its answers checked; the same object for the same searcher."""

    @functools.wraps(searcher.suggest)
    def suggest(context: Context, task: Array, state: State, num_suggestions: int) -> tuple[State, Any, Any]:
        answer = searcher.suggest(context, task, state, num_suggestions)
        told = _Teller(label, "suggest", searcher.suggest)
        after, row, valid = told.parts(answer, ("state", "rows", "which are valid"))
        told.whole_numbers("rows", row, (num_suggestions,))
        told.booleans("which are valid", valid, (num_suggestions,))
        told.same_state(state, after)
        return after, row, valid

    @functools.wraps(searcher.observe)
    def observe(state: State, seen: Seen) -> State:
        after = searcher.observe(state, seen)
        _Teller(label, "observe", searcher.observe).same_state(state, after)
        return after

    watched = searcher._replace(suggest=suggest)
    return watched if searcher.observe is ignore else watched._replace(observe=observe)


@functools.cache
def guarded_policy(policy: Policy, label: str, num_levels: int) -> Policy:
    """The policy with its answers checked; the same object for the same policy.

    A level that is not there is told by the row, which is seen in the log.
    """

    @functools.wraps(policy.propose)
    def propose(context: Context, task: Array, state: State, moment: Moment) -> tuple[State, Job]:
        answer = policy.propose(context, task, state, moment)
        told = _Teller(label, "propose", policy.propose)
        after, job = told.parts(answer, ("state", "Job"))
        if not isinstance(job, Job):
            told.off(f"returned {_kind(job)} for the job: a Job is needed")
        for name in ("row", "level", "from_level"):
            told.whole_numbers(name, getattr(job, name), ())
        told.booleans("wanted", job.wanted, ())
        told.same_state(state, after)
        exists = (job.level >= 0) & (job.level < num_levels)
        return after, job._replace(row=jnp.where(exists | ~job.wanted, job.row, NO_LEVEL))

    @functools.wraps(policy.observe)
    def observe(context: Context, task: Array, state: State, result: Result) -> State:
        after = policy.observe(context, task, state, result)
        _Teller(label, "observe", policy.observe).same_state(state, after)
        return after

    return policy._replace(propose=propose, observe=observe)


@functools.cache
def guarded_rule(rule: PromotionRule, label: str) -> PromotionRule:
    """The promotion rule with its answer checked; the same object for the same rule.

    An index outside the rung becomes the first one again: promoted twice, it is seen in the log.
    """

    @functools.wraps(rule)
    def guarded(key: Key, costs: Array, valid: Array, num_keep: int) -> Array:
        order = rule(key, costs, valid, num_keep)
        _Teller(label, "promotion rule", rule).whole_numbers("indices", order, (num_keep,))
        inside = (order >= 0) & (order < costs.shape[0])
        return jnp.where(inside, order, jnp.clip(order[0], 0, costs.shape[0] - 1))

    return guarded


class _Teller:
    """Says which function of which method broke what."""

    def __init__(self, label: str, name: str, function: Callable[..., Any]) -> None:
        self._label, self._name, self._function = label, name, function

    def off(self, text: str) -> NoReturn:
        raise UserCodeError(f"{self._label}: {self._name}{place_of(self._function)} {text}")

    def parts(self, answer: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
        if not isinstance(answer, tuple) or len(answer) != len(names):
            self.off(f"returned {_kind(answer)}: a tuple ({', '.join(names)}) is needed")
        return answer

    def whole_numbers(self, what: str, value: Any, shape: tuple[int, ...]) -> None:
        self._array(what, value, shape, "whole numbers" if shape else "a whole number", jnp.integer)

    def booleans(self, what: str, value: Any, shape: tuple[int, ...]) -> None:
        self._array(what, value, shape, "booleans" if shape else "a boolean", jnp.bool_)

    def _array(self, what: str, value: Any, shape: tuple[int, ...], wanted: str, dtype: Any) -> None:
        try:
            found = None if value is None else _seen(value)
        except TypeError:
            found = None
        if found is None:
            self.off(f"returned {_kind(value)} for {what}: an array of {wanted} of shape {shape} is needed")
        if found.shape != shape or not jnp.issubdtype(found.dtype, dtype):
            self.off(
                f"returned {what} of shape {found.shape} and type {found.dtype}: {wanted} of shape {shape} "
                + ("is needed" if not shape else "are needed")
            )

    def same_state(self, before: State, after: State) -> None:
        """A state keeps its structure, shapes and types: it is carried through loops."""
        was, now = (str(jax.tree.structure(state)) for state in (before, after))
        if was != now:
            self.off(f"returned a state of another structure: {now}, before it was {was}")
        leaves = jax.tree_util.tree_leaves_with_path(before)
        for (path, old), new in zip(leaves, jax.tree.leaves(after), strict=True):
            old, new = _seen(old), _seen(new)
            if (old.shape, old.dtype) != (new.shape, new.dtype):
                name = jax.tree_util.keystr(path).lstrip(".") or "the state"
                self.off(
                    f"changed its state: {name} is {new.dtype} of shape {new.shape}, before it was "
                    f"{old.dtype} of shape {old.shape}"
                )


def _seen(value: Any) -> jax.ShapeDtypeStruct:
    """Shape and type of an array, a tracer or a number."""
    return jax.ShapeDtypeStruct(jnp.shape(value), jnp.result_type(value))


def _kind(value: Any) -> str:
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return f"a tuple of {len(value)}"
    return f"a value of type {type(value).__name__}"


def place_of(function: Callable[..., Any]) -> str:
    """`` (FILE, line N)`` of a function; nothing where it has none."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "" if code is None else f" ({code.co_filename}, line {code.co_firstlineno})"


def require_lawful(
    log: RunLog, table: AnyTable, label: str, functions: Mapping[str, Callable[..., Any]]
) -> None:
    """Looks at the rows of a finished log.

    Args:
        log: of a method, in terms of ``table``.
        table: what it ran on.
        label: which method, for messages.
        functions: those that may be at fault: ``suggest`` or ``propose``, and ``promotion rule`` if the
            method has one.

    Raises:
        UserCodeError: a row that the table lacks or the task does not offer, or one evaluated twice at one
            fidelity within a run.
    """
    lane, slot = np.nonzero(np.asarray(log.valid))
    row, level = (np.asarray(field)[lane, slot].astype(np.int64) for field in (log.row, log.fidelity))
    chooser = "propose" if "propose" in functions else "suggest"
    where = _Teller(label, chooser, functions[chooser])
    if (row == NO_LEVEL).any():
        where.off("asked for a level that is not there: they are counted from 0")
    outside = np.flatnonzero((row < 0) | (row >= table.num_rows))
    if outside.size:
        where.off(f"gave row {row[outside[0]]}: accepted are 0 to {table.num_rows - 1}")
    task = np.asarray(log.task)[lane]
    for number in np.unique(task):
        absent = np.flatnonzero((task == number) & ~table.measured(int(number))[row])
        if absent.size:
            where.off(f"gave row {row[absent[0]]}, which task {table.tasks[number]!r} does not offer")
    again = _first_repeated((lane * table.num_rows + row) * table.num_fidelities + level)
    if again is None:
        return
    own = slice(int(np.searchsorted(lane, lane[again])), again)
    promoted = bool(((row[own] == row[again]) & (level[own] < level[again])).any())
    if promoted and "promotion rule" in functions:
        where = _Teller(label, "promotion rule", functions["promotion rule"])
    where.off(
        f"took row {row[again]} twice at fidelity {table.fidelities[level[again]]:g} in one run "
        f"(task {table.tasks[task[again]]!r}, run {np.asarray(log.run)[lane[again]]}): each may come once"
    )


def _first_repeated(keys: np.ndarray) -> int | None:
    """Place of the first key that stood before; None if all differ."""
    order = np.argsort(keys, kind="stable")
    repeated = order[1:][keys[order][1:] == keys[order][:-1]]
    return int(repeated.min()) if repeated.size else None
