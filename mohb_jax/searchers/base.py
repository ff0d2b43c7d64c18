"""The contract of a searcher: pure functions on one lane."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int

from mohb_jax.types import Array, Key

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
class InitFn(Protocol):
    def __call__(self, key: Key, num_rows: int) -> State:
        """State of a lane that has seen nothing. ``num_rows`` is static; the key is consumed."""


@runtime_checkable
class SuggestFn(Protocol):
    def __call__(self, state: State, num_rows: int, num_suggestions: int) -> tuple[State, Array, Array]:
        """New rows for the first rung of a bracket: state, rows, and which of them are valid.

        No row is ever suggested twice by one lane. When the table runs out, the remaining suggestions are not
        valid. Both counts are static.
        """


@runtime_checkable
class ObserveFn(Protocol):
    def __call__(self, state: State, seen: Seen) -> State:
        """State after the results of one rung."""


class Searcher(NamedTuple):
    """Three functions; hyperparameters are closed over, data are arguments."""

    init: InitFn
    suggest: SuggestFn
    observe: ObserveFn
