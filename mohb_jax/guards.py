"""The laws of methods, watched where a method comes from outside the package.

Arguments are compared when a method is made, shapes while a program is traced, and rows once in a finished
log. A log may end before a rung is cut, and hides what an asynchronous rule says: so rules are tried on a
rung beforehand, and a call of ``suggest`` that repeats a row marks its first one. A broken law is told in one
line that names the law, the function and where it stands.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.errors import UserCodeError, place_of
from mohb_jax.kernels.promotion import PromotionRule, WrongOrderError, require_order
from mohb_jax.searchers.base import Context, Job, Moment, Policy, Result, Searcher, Seen, State, ignore
from mohb_jax.types import Array, Key, RunLog

NO_LEVEL = np.iinfo(np.int32).min
"""In place of the row of a job whose level does not exist."""
REPEATED = NO_LEVEL + 1
"""Added to a row that came twice in one call of ``suggest``; far below any row."""
MOST_ROWS = 2**30
"""Rows that can be told by such a mark."""

SIGNATURES = {
    Searcher: {
        "prepare": "table, tasks, seed, prior",
        "init": "context, task, key",
        "suggest": "context, task, state, num_suggestions",
        "observe": "state, seen",
    },
    Policy: {
        "prepare": "table, tasks, seed, prior",
        "init": "context, task, key",
        "propose": "context, task, state, moment",
        "observe": "context, task, state, result",
    },
}
"""What the functions of searchers and policies are called with, in place."""


def require_signatures(part: Searcher | Policy, label: str) -> None:
    """``UserCodeError`` that names the function unless all can be called with what they are given.

    Args:
        part: of a user.
        label: which method, for messages.
    """
    for name, arguments in SIGNATURES[type(part)].items():
        function, accepted = getattr(part, name), f"accepted is {name}({arguments})"
        told = _Teller(label, name, function)
        if not callable(function):
            told.off(f"is of type {type(function).__name__}: {accepted}")
        try:
            inspect.signature(function).bind(*arguments.split(", "))
        except TypeError:
            told.off(f"takes something else: {accepted}")
        except ValueError:  # no signature to be had: the call itself will tell
            continue


def guarded(plan: Any, label: str) -> Any:
    """A plan with its parts watched; errors begin with ``label``, such as ``method 'mine'``."""
    watched: dict[str, Any] = {}
    if isinstance(getattr(plan, "searcher", None), Searcher):
        watched["searcher"] = guarded_searcher(plan.searcher, label)
    if isinstance(getattr(plan, "policy", None), Policy):
        watched["policy"] = guarded_policy(plan.policy, label, len(plan.brackets[0].levels))
    if _is_users_rule(getattr(plan, "promotion", None)):
        watched["promotion"] = guarded_rule(plan.promotion, label)
    return dataclasses.replace(plan, **watched)


def functions_of(plan: Any) -> dict[str, Callable[..., Any]]:
    """Those functions of a plan that may break a law, by what people call them."""
    found = {
        "suggest": getattr(getattr(plan, "searcher", None), "suggest", None),
        "propose": getattr(getattr(plan, "policy", None), "propose", None),
        "promotion rule": getattr(plan, "promotion", None),
    }
    return {name: function for name, function in found.items() if function is not None}


def _is_users_rule(rule: Any) -> bool:
    """True for a rule of a user that is not watched yet."""
    return (
        callable(rule)
        and not hasattr(rule, "watched")
        and not str(getattr(inspect.unwrap(rule), "__module__", "")).startswith("mohb_jax.")
    )


@functools.cache
def guarded_searcher(searcher: Searcher, label: str) -> Searcher:
    """The searcher with its answers checked; the same object for the same searcher."""
    require_signatures(searcher, label)

    @functools.wraps(searcher.suggest)
    def suggest(context: Context, task: Array, state: State, num_suggestions: int) -> tuple[State, Any, Any]:
        answer = searcher.suggest(context, task, state, num_suggestions)
        told = _Teller(label, "suggest", searcher.suggest)
        after, row, valid = told.parts(answer, ("state", "rows", "which are valid"))
        told.whole_numbers("rows", row, (num_suggestions,))
        told.booleans("which are valid", valid, (num_suggestions,))
        told.same_state(state, after)
        return after, _repeats_marked(row, valid), valid

    @functools.wraps(searcher.observe)
    def observe(state: State, seen: Seen) -> State:
        after = searcher.observe(state, seen)
        _Teller(label, "observe", searcher.observe).same_state(state, after)
        return after

    # What a user builds on one of our searchers has another ``suggest``, and this one would go past it.
    watched = searcher._replace(suggest=suggest, suggest_up_to=None)
    return watched if searcher.observe is ignore else watched._replace(observe=observe)


def _repeats_marked(row: Array, valid: Array) -> Array:
    """Rows of one call; the first becomes a mark if one came twice, wherever the log ends."""
    num_rows = row.shape[0]
    if num_rows < 2 or row.dtype not in (jnp.int32, jnp.int64):
        return row
    placeholders = NO_LEVEL + jnp.arange(num_rows, dtype=row.dtype)
    ordered = jnp.sort(jnp.where(valid, row, placeholders))
    again = (ordered[1:] == ordered[:-1]) & (ordered[1:] >= 0)
    mark = REPEATED + ordered[1:][jnp.argmax(again)]
    is_first = jnp.arange(num_rows) == jnp.argmax(valid)
    return jnp.where(is_first & jnp.any(again), mark, row)


@functools.cache
def guarded_policy(policy: Policy, label: str, num_levels: int) -> Policy:
    """The policy with its answers checked; the same object for the same policy.

    A level that is not there is told by the row, which is seen in the log.
    """
    require_signatures(policy, label)

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
        try:
            order = rule(key, costs, valid, num_keep)
            require_order(rule, order, num_keep)
        except WrongOrderError as error:
            raise UserCodeError(f"{label}: {error}") from None
        order = jnp.asarray(order)
        inside = (order >= 0) & (order < costs.shape[0])
        return jnp.where(inside, order, jnp.clip(order[0], 0, costs.shape[0] - 1))

    setattr(guarded, "watched", rule)  # noqa: B010  (a function has no such attribute)
    return guarded


def try_rule(rule: Any, label: str, sizes: tuple[int, int], num_objectives: int) -> None:
    """Lets a watched rule of a user order a rung of made-up results; any other passes.

    Args:
        rule: as a plan holds it.
        label: which method, for messages.
        sizes: how many results there are, and how many are to be kept.
        num_objectives: of the table.

    Raises:
        UserCodeError: it names an index twice, or one that is not there, or returns another shape.
    """
    watched = getattr(rule, "watched", None)
    if watched is not None:
        _tried(guarded_rule(watched, label), watched, label, sizes, num_objectives)


@functools.cache
def _tried(
    guarded: PromotionRule,
    rule: PromotionRule,
    label: str,
    sizes: tuple[int, int],
    num_objectives: int,
) -> None:
    size, num_keep = sizes
    key, valid = jax.random.key(0), jnp.ones(size, bool)
    costs = jnp.asarray(np.random.default_rng(0).random((size, num_objectives)))
    jax.eval_shape(lambda key, costs, valid: guarded(key, costs, valid, num_keep), key, costs, valid)
    order = np.asarray(
        jax.jit(lambda key, costs, valid: rule(key, costs, valid, num_keep))(key, costs, valid)
    )
    told = _Teller(label, "promotion rule", rule)
    strange = order[(order < 0) | (order >= size)]
    if strange.size:
        told.off(f"gave index {strange[0]} of a rung of {size}: accepted are 0 to {size - 1}")
    index, counts = np.unique(order, return_counts=True)
    if counts.max(initial=1) > 1:
        told.off(
            f"gave index {index[counts.argmax()]} {counts.max()} times where {num_keep} of a rung of {size} "
            "were to be kept: each may come once"
        )


class _Teller:
    """Says which function of which method broke what."""

    def __init__(self, label: str, name: str, function: Any) -> None:
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


class _Evaluations(NamedTuple):
    """What counts in a log, one entry each, by lane and then in launch order."""

    lane: np.ndarray
    row: np.ndarray
    level: np.ndarray
    rung: np.ndarray | None
    """Number of the rung within the lane; None where the log does not say."""
    proposed: np.ndarray | None
    """Whether that rung holds what ``suggest`` gave, and not what a rule kept."""


def rungs_of(plan: Any, num_slots: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Rung of each slot of a log, and whether it holds proposals; None if slots are not laid out in rungs.

    Args:
        plan: that made the log.
        num_slots: of the log.
    """
    if not hasattr(plan, "promotion") or plan.overlap:
        return None
    sizes: list[tuple[int, bool]] = []
    brackets = plan.opening or plan.brackets
    while sum(size for size, _ in sizes) < num_slots:
        sizes += [
            part
            for bracket in brackets
            for new, size in zip(bracket.new, bracket.sizes, strict=True)
            for part in ((size - new, False), (new, True))
            if part[0]
        ]
        brackets = plan.brackets
    repeats = [size for size, _ in sizes]
    number = np.repeat(np.arange(len(sizes)), repeats)[:num_slots]
    return number, np.repeat([begins for _, begins in sizes], repeats)[:num_slots]


def require_lawful(
    log: RunLog,
    table: AnyTable,
    label: str,
    functions: Mapping[str, Callable[..., Any]],
    rungs: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """Looks at the rows of a finished log.

    Args:
        log: of a method, in terms of ``table``.
        table: what it ran on.
        label: which method, for messages.
        functions: those that may be at fault: ``suggest`` or ``propose``, and ``promotion rule`` if the
            method has one.
        rungs: of the log's slots, as ``rungs_of`` gives them.

    Raises:
        UserCodeError: a row that the table lacks or the task does not offer, or one evaluated twice at one
            fidelity within a run, suggested twice, or kept twice by a rule.
    """
    lane, slot = np.nonzero(np.asarray(log.valid))
    row, level = (np.asarray(field)[lane, slot].astype(np.int64) for field in (log.row, log.fidelity))
    number, proposed = (None, None) if rungs is None else (part[slot] for part in rungs)
    found = _Evaluations(lane, row, level, number, proposed)
    blamed = _Blame(log, table, label, functions)
    blamed.strange_rows(found)
    blamed.repeats(found)


class _Blame:
    """Looks for rows that break a law, and for whose they are."""

    def __init__(
        self, log: RunLog, table: AnyTable, label: str, functions: Mapping[str, Callable[..., Any]]
    ) -> None:
        self._log, self._table = log, table
        chooser = "propose" if "propose" in functions else "suggest"
        self._chooser = _Teller(label, chooser, functions[chooser])
        rule = functions.get("promotion rule")
        self._rule = self._chooser if rule is None else _Teller(label, "promotion rule", rule)

    def strange_rows(self, found: _Evaluations) -> None:
        """Marks, rows that the table lacks, and rows that a task does not offer."""
        self._first(found, found.row == NO_LEVEL, "asked for a level that is not there, counted from 0")
        marked = (found.row >= REPEATED) & (found.row < REPEATED + MOST_ROWS)
        twice = found._replace(row=np.where(marked, found.row - REPEATED, found.row))
        self._first(twice, marked, "gave row {row} twice in one call: each may come once")
        outside = (found.row < 0) | (found.row >= self._table.num_rows)
        self._first(found, outside, f"gave row {{row}}: accepted are 0 to {self._table.num_rows - 1}")
        task = np.asarray(self._log.task)[found.lane]
        for number in np.unique(task):
            absent = task == number
            absent[absent] = ~self._table.measured(int(number))[found.row[absent]]
            self._first(found, absent, "gave row {row}, which the task does not offer")

    def _first(self, found: _Evaluations, broken: np.ndarray, text: str) -> None:
        """Tells of the first evaluation that is not as it should be; nothing if all are."""
        places = np.flatnonzero(broken)
        if places.size:
            self._tell(self._chooser, found, int(places[0]), text)

    def _tell(self, whom: "_Teller", found: _Evaluations, place: int, text: str) -> None:
        lane, level = found.lane[place], found.level[place]
        task, run = self._table.tasks[self._log.task[lane]], np.asarray(self._log.run)[lane]
        whom.off(
            f"{text.format(row=found.row[place])} (lane {lane}: task {task!r}, run {run}; level {level}: "
            f"fidelity {self._table.fidelities[level]:g})"
        )

    def repeats(self, found: _Evaluations) -> None:
        """Rows that a searcher suggested twice, then those that a rule kept twice, then any other twice."""
        rows = found.lane * self._table.num_rows + found.row
        if found.rung is not None and found.proposed is not None:
            starts = np.flatnonzero(found.proposed)
            self._again(self._chooser, found, starts, rows[starts], "suggested row {row} twice in one run")
            cuts = np.flatnonzero(~found.proposed)
            keys = rows[cuts] * (int(found.rung.max(initial=0)) + 1) + found.rung[cuts]
            self._again(self._rule, found, cuts, keys, "kept row {row} twice in one rung")
        keys = rows * self._table.num_fidelities + found.level
        again = _first_repeated(keys)
        if again is not None:
            whom = self._rule if self._was_promoted(found, again) else self._chooser
            self._tell(
                whom, found, again, "took row {row} twice at one fidelity in one run: each may come once"
            )

    def _again(
        self, whom: "_Teller", found: _Evaluations, places: np.ndarray, keys: np.ndarray, text: str
    ) -> None:
        again = _first_repeated(keys)
        if again is not None:
            self._tell(whom, found, int(places[again]), f"{text}: each may come once")

    @staticmethod
    def _was_promoted(found: _Evaluations, place: int) -> bool:
        """Whether the row was evaluated at a lower level before, in the same lane."""
        own = slice(int(np.searchsorted(found.lane, found.lane[place])), place)
        return bool(((found.row[own] == found.row[place]) & (found.level[own] < found.level[place])).any())


def _first_repeated(keys: np.ndarray) -> int | None:
    """Place of the first key that stood before; None if all differ."""
    order = np.argsort(keys, kind="stable")
    repeated = order[1:][keys[order][1:] == keys[order][:-1]]
    return int(repeated.min()) if repeated.size else None
