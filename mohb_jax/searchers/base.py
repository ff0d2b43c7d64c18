"""The contract of a searcher: what it knows before a run, and pure functions on one lane."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int

from benchmarks.interface import AnyTable
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

    @property
    def learns(self) -> bool:
        """Whether results of a run change what it proposes next."""
        return self.observe is not ignore
