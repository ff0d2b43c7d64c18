"""The contracts of searchers and policies: what they know before a run, and pure functions on one lane.

A searcher is asked for the configurations of a bracket, and a schedule decides what becomes of them. A policy
is asked for one job at a time, by each worker that becomes free, and says itself at which fidelity it runs.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

Context = Any
"""A pytree of arrays that all lanes share; the first axis of each array is the task."""
State = Any
"""A pytree of arrays that a searcher carries from call to call."""


class Seen(NamedTuple):
    """Results of one rung."""

    row: Int[Array, " n"]
    level: Int[Array, ""]
    """Index of the fidelity at which the rung was evaluated."""
    costs: Float[Array, "n m"]
    valid: Bool[Array, " n"]
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
class ObserveFn(Protocol):
    def __call__(self, state: State, seen: Seen) -> State:
        """State after the results of one rung."""


def ignore(state: State, seen: Seen) -> State:
    """``observe`` of a searcher that does not learn within a run."""
    del seen
    return state


class Searcher(NamedTuple):
    """Four functions; hyperparameters are closed over, data are arguments."""

    prepare: PrepareFn
    init: InitFn
    suggest: SuggestFn
    observe: ObserveFn
    lanes_per_batch: int = 32
    """Of one that learns: lanes that advance together. Many share the price of a call; few keep all that is
    remembered of them in the processor's cache."""
    tags: tuple[str, ...] = ()
    """What it does not promise, for ``mohb_jax.testing``: ``lists`` if each call takes rows of its own list,
    so that four rows and then three are not the seven of one call."""

    @property
    def learns(self) -> bool:
        """Whether results of a run change what it proposes next."""
        return self.observe is not ignore


class Moment(NamedTuple):
    """When a worker asks for a job."""

    num_launched: Int[Array, ""]
    """Jobs that the lane has launched."""
    progress: Float[Array, ""]
    """Share of the run that is over, in [0, 1]: of its simulated seconds or of its evaluations, whichever is
    larger."""
    most_results: int
    """Static: a lane has at most so many results by now; one of the policy's ``sizes``, or 0 if it has
    none."""


class Job(NamedTuple):
    """What a worker is to do."""

    row: Int[Array, ""]
    level: Int[Array, ""]
    """Index into the levels of the run's ladder."""
    from_level: Int[Array, ""]
    """Level at which the row was evaluated before, whose runtime is not paid again where the table is
    resumable; -1 for a new row."""
    wanted: Bool[Array, ""]
    """False if there is nothing to do before another result is in: the worker is idle until then."""


class Result(NamedTuple):
    """What a worker hands in."""

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
    """Four functions, as in ``Searcher``."""

    prepare: PrepareFn
    init: InitFn
    propose: ProposeFn
    observe: ObserveResultFn
    sizes: tuple[int, ...] = ()
    """Ascending numbers of results for which programs of their own are compiled; the last serves all that
    exceed it. Empty where one program serves any number."""
