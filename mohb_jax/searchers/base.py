"""The contracts of searchers and policies: what they know before a run, and pure functions on one lane.

A searcher is asked for the configurations of a bracket, and a schedule decides what becomes of them. A policy
is asked for one job at a time, by each worker that becomes free, and says itself at which fidelity it runs.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

Context = Any
"""A pytree of arrays that all lanes share. Where values differ between tasks, the first axis is the task, by
its position in the ``tasks`` of ``prepare``."""
State = Any
"""A pytree of arrays that a searcher carries from call to call."""


class Seen(NamedTuple):
    """Results of one rung: n places and m objectives, of one lane.

    Attributes:
        row: rows of the table, int32 [n].
        level: the rung's fidelity, int32 []: its place on the ladder of the run, 0 is the lowest.
        costs: objectives as minimised, float64 [n, m]; infinite in every objective where a training failed.
        valid: bool [n]; False marks padding, whose row and costs mean nothing.
        is_full: bool []; whether the rung is at the table's highest fidelity.
    """

    row: Int[Array, " n"]
    level: Int[Array, ""]
    """Index of the fidelity at which the rung was evaluated, among those that the run uses."""
    costs: Float[Array, "n m"]
    """Infinite in every objective where the evaluation failed."""
    valid: Bool[Array, " n"]
    """False marks padding."""
    is_full: Bool[Array, ""]
    """True if that is the table's highest fidelity."""


@runtime_checkable
class PrepareFn(Protocol):
    def __call__(self, table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Context:
        """What lanes of the named tasks may know before they start.

        Args:
            table: with all its tasks; of those in ``tasks`` only the configurations may be used, each task's
                own values stay unread for it.
            tasks: indices of the tasks to run; position p of the context's arrays belongs to the p-th.
            seed: root seed of the study.
            prior: what the caller learnt elsewhere; searchers that need one learn it here if it is None.

        Raises:
            InputError: if the table lacks what the searcher needs.
        """


@runtime_checkable
class InitFn(Protocol):
    def __call__(self, context: Context, task: Int[Array, ""], key: Key) -> State:
        """State of a lane that has seen nothing; ``task`` is a position in the context. The key is
        consumed."""


@runtime_checkable
class SuggestFn(Protocol):
    def __call__(
        self, context: Context, task: Int[Array, ""], state: State, num_suggestions: int
    ) -> tuple[State, Array, Array]:
        """New rows for the first rung of a bracket: state, rows, and which of them are valid.

        No row is ever suggested twice by one lane. When the table runs out, the remaining suggestions are not
        valid. ``num_suggestions`` is static.
        """


@runtime_checkable
class SuggestUpToFn(Protocol):
    def __call__(
        self, context: Context, task: Int[Array, ""], state: State, room: int, num_suggestions: Int[Array, ""]
    ) -> tuple[State, Array, Array]:
        """``suggest`` for a traced number of suggestions, in the first of ``room`` places.

        State, rows and which are valid are those that ``suggest`` gives; no place after the suggestions is
        valid.
        """


@runtime_checkable
class ObserveFn(Protocol):
    def __call__(self, state: State, seen: Seen) -> State:
        """State after the results of one rung, of the same shapes and types.

        There is no context: it takes down what was seen, and ``suggest`` draws the conclusions.
        """


def ignore(state: State, seen: Seen) -> State:
    """``observe`` of a searcher that does not learn within a run."""
    del seen
    return state


class Searcher(NamedTuple):
    """What proposes the configurations of new brackets: four functions.

    Hyperparameters are closed over, data are arguments. All but ``prepare`` are compiled and see one lane
    (one simulated tuning run): fixed shapes, ``jnp.where`` in place of ``if``, random numbers from the lane's
    key alone. ``docs/howto/searcher.md`` has a complete example, ``mohb_jax.ext`` helpers.

    Attributes:
        prepare: ``(table, tasks, seed, prior) -> context``, once per table, in plain Python. ``tasks`` are
            numbers of the tasks to run, places in ``table.tasks``; their results must not be read.
            ``prior`` may be None.
        init: ``(context, task, key) -> state`` of a lane that has seen nothing. ``task``, int32, is a
            position in ``tasks``, so that ``array[task]`` is the lane's part of an array of the context whose
            first axis is the task.
        suggest: ``(context, task, state, num_suggestions) -> (state, rows, valid)`` for a new bracket:
            rows int32 [num_suggestions] that the lane was never given before, and bool [num_suggestions],
            False where there were no more. ``num_suggestions`` is a plain int.
        observe: ``(state, seen) -> state`` after the results of a rung, see ``Seen``; ``ignore`` if the
            searcher does not learn within a run.
        lanes_per_batch: of a searcher that learns: lanes that advance together.
        suggest_up_to: ``(context, task, state, room, num_suggestions) -> (state, rows, valid)``, where one
            compiled program is to serve brackets of several sizes; None where ``suggest`` is compiled for
            each. Whoever replaces ``suggest`` replaces both.
        tags: what it does not promise, for ``mohb_jax.testing``.
        learn: ``(context, task, state, result) -> state`` after a ``Result``, in place of ``observe``, of a
            searcher that can do without the latest results: see below.
        numbered: True if ``init`` takes the number of the run, int32 [], as a fourth argument.

    Shapes and types of the state never change.
    """

    prepare: PrepareFn
    init: InitFn
    suggest: SuggestFn
    observe: ObserveFn
    lanes_per_batch: int = 32
    """Of one that learns: lanes that advance together. Many share the price of a call; few keep all that is
    remembered of them in the processor's cache."""
    suggest_up_to: SuggestUpToFn | None = None
    """``suggest`` for brackets of several sizes; must do the same."""
    tags: tuple[str, ...] = ()
    """What it does not promise, for ``mohb_jax.testing``: ``lists`` if each call takes rows of its own list,
    so that four rows and then three are not the seven of one call."""
    learn: "ObserveResultFn | None" = None
    """In place of ``observe``, of one that can do without the latest results: it is told of each as it
    arrives, so that brackets overlap and runs may be asynchronous."""
    numbered: bool = False
    """Of a searcher that shares out among runs what it prepared: ``init`` takes the run's number, too."""

    @property
    def learns(self) -> bool:
        """Whether results of a run change what it proposes next."""
        return self.observes or self.learn is not None

    @property
    def observes(self) -> bool:
        """Whether it is told of every rung before it proposes again."""
        return self.observe is not ignore


class Moment(NamedTuple):
    """When a worker asks for a job.

    Attributes:
        num_launched: jobs that the lane has launched, int32 [].
        progress: share of the run that is over, from 0 to 1, of its seconds or its evaluations; float [].
        most_results: a plain int, fixed when the program is compiled: see ``Policy.sizes``.
    """

    num_launched: Int[Array, ""]
    """Jobs that the lane has launched."""
    progress: Float[Array, ""]
    """Share of the run that is over, in [0, 1]: of its simulated seconds or of its evaluations, whichever is
    larger."""
    most_results: int
    """Static: a lane has at most so many results by now; one of the policy's ``sizes``, or 0 if it has
    none."""


class Job(NamedTuple):
    """What a worker is to do; all of shape [].

    Attributes:
        row: row of the table, int32.
        level: the fidelity, int32: its place on the ladder of the run, 0 is the lowest.
        from_level: level at which the lane evaluated the row before, int32; -1 for a new row.
        wanted: bool; False if the worker has nothing to do before another result is in.
    """

    row: Int[Array, ""]
    level: Int[Array, ""]
    """Index into the levels of the run's ladder."""
    from_level: Int[Array, ""]
    """Level at which the row was evaluated before, whose runtime is not paid again where the table is
    resumable; -1 for a new row."""
    wanted: Bool[Array, ""]
    """False if there is nothing to do before another result is in: the worker is idle until then."""


class Result(NamedTuple):
    """What a worker hands in: the result of one job, with m objectives.

    Attributes:
        row: row of the table, int32 [].
        level: the fidelity, int32 [], as in ``Job``.
        costs: objectives as minimised, float64 [m]; infinite in all of them where the training failed.
        number: the job's place in launch order, int32 [].
        valid: bool []; False if there is no result, and the state must not change.
    """

    row: Int[Array, ""]
    level: Int[Array, ""]
    costs: Float[Array, " m"]
    """Infinite in every objective where the evaluation failed."""
    number: Int[Array, ""]
    """The job's place in launch order."""
    valid: Bool[Array, ""]
    """False if there is no result: the state must not change."""


@runtime_checkable
class ProposeFn(Protocol):
    def __call__(
        self, context: Context, task: Int[Array, ""], state: State, moment: Moment
    ) -> tuple[State, Job]:
        """The next job. No row is ever proposed twice at one level by one lane. A job that is not wanted, and
        one that comes after the end of a run, is not launched; the state need not know."""


@runtime_checkable
class ObserveResultFn(Protocol):
    def __call__(self, context: Context, task: Int[Array, ""], state: State, result: Result) -> State:
        """State after a result."""


class Policy(NamedTuple):
    """What chooses the job of each worker that becomes free, row and fidelity: four functions.

    Attributes:
        prepare: as of ``Searcher``.
        init: as of ``Searcher``.
        propose: ``(context, task, state, moment) -> (state, Job)``, see ``Moment``. No row is proposed twice
            at one level by one lane.
        observe: ``(context, task, state, result) -> state`` after a ``Result``.
        sizes: ascending numbers of results for which programs of their own are compiled; see below.
        lanes_per_batch: lanes that advance together.
        numbered: as of ``Searcher``.
        has_phases: whether what is proposed depends on ``Moment.progress``, so that a run needs an end.
    """

    prepare: PrepareFn
    init: InitFn
    propose: ProposeFn
    observe: ObserveResultFn
    sizes: tuple[int, ...] = ()
    """Ascending numbers of results for which programs of their own are compiled; the last serves all that
    exceed it. Empty where one program serves any number."""
    lanes_per_batch: int = 32
    """Lanes that advance together. Many share the price of a step; few keep all that is remembered of them in
    the processor's cache."""
    numbered: bool = False
    """As of ``Searcher``."""
    has_phases: bool = False
    """Whether what is proposed depends on the share of the run that is over."""


def first_state(
    chooser: Searcher | Policy, context: Context, task: Int[Array, ""], key: Key, run: Int[Array, ""]
) -> State:
    """State of a lane that has seen nothing.

    Args:
        chooser: what proposes.
        context: what it prepared.
        task: a position in the context.
        key: of the lane.
        run: number of the lane's run.
    """
    own = (jax.random.fold_in(key, 0), run) if chooser.numbered else (jax.random.fold_in(key, 0),)
    return chooser.init(context, task, *own)
