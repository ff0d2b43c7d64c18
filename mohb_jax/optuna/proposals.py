"""One run of a method that picks single rows: asked and told one trial at a time."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from mohb_jax.drivers.base import Conditions
from mohb_jax.errors import InputError
from mohb_jax.methods import METHODS, make_settings
from mohb_jax.methods.base import Method, Steady, Synchronous, require_served
from mohb_jax.precision import in_64_bits
from mohb_jax.searchers.base import (
    Context,
    Job,
    Moment,
    Policy,
    Result,
    Searcher,
    Seen,
    State,
    first_state,
)
from mohb_jax.searchers.random import candidate_rows
from mohb_jax.transfer import Prior
from mohb_jax.tuner.candidates import Candidates
from mohb_jax.types import Array

SINGLE_ROWS = (
    *("random", "random+prior", "cts", "nsga2", "mo-rea", "sh-emoa"),
    *("parego", "ehvi", "gcp", "bohb", "mo-bohb"),
)
"""Methods whose proposals stand for themselves."""
LEARN_FROM_RUNGS = ("bohb", "mo-bohb")
"""Those that have a use for results below the highest fidelity."""
TASK = np.array(0, np.int32)


def single_rows(name: str) -> Method:
    """The method of that name.

    Raises:
        InputError: it proposes otherwise, or there is none.
    """
    if name not in SINGLE_ROWS:
        raise InputError(
            f"method {name!r} is no sampler: accepted are {', '.join(SINGLE_ROWS)}; halving is the pruner's "
            "part"
        )
    return METHODS[name]


class Proposal(NamedTuple):
    """A row to try, and the number of the question that it answers."""

    number: int
    row: int


class Proposals:
    """A run on candidates: which row is tried next.

    Args:
        method: one of ``SINGLE_ROWS``.
        settings: of the method.
        candidates: rows, objectives and fidelities.
        workers: trials that run at a time, at most.
        seed: root of all random numbers.
        prior: of methods that transfer.

    Raises:
        InputError: the method cannot serve the candidates.
    """

    @in_64_bits
    def __init__(
        self,
        method: Method,
        settings: dict[str, Any],
        candidates: Candidates,
        workers: int,
        seed: int,
        prior: Prior | None,
    ) -> None:
        own = make_settings(method, **settings)
        require_served(candidates, dataclasses.replace(method, transfers=False), own)
        if method.transfers and prior is None:
            raise InputError(f"method {method.name!r} needs prior=, such as learn_prior makes")
        self._chooser: Searcher | Policy
        if isinstance(method, Steady):
            self._chooser = method.policy(candidates, own, Conditions(workers=workers))
        else:
            assert isinstance(method, Synchronous)
            self._chooser = method.searcher(own)
        self._is_random = method.name == "random"
        self._context = jax.device_put(self._chooser.prepare(candidates, (0,), seed, prior))
        self._state = _begun(self._chooser, self._context, np.uint32(seed))
        self._top = candidates.num_fidelities - 1
        self._num_rows, self._num_objectives = candidates.num_rows, candidates.num_objectives
        self._num_asked = 0

    @in_64_bits
    def at(self, number: int) -> int | None:
        """The row of a trial where rows are a keyed permutation, which needs no history; None elsewhere."""
        if not self._is_random:
            return None
        place = np.array([number % self._num_rows], np.int32)
        return int(candidate_rows(self._context, TASK, self._state.round_keys, place)[0])

    @in_64_bits
    def ask(self) -> Proposal | None:
        """A row that was never proposed before; None where there is none."""
        number = self._num_asked
        self._num_asked += 1
        if isinstance(self._chooser, Policy):
            sizes = self._chooser.sizes
            most = next((size for size in sizes if size >= number), sizes[-1]) if sizes else 0
            launched = np.array(number, np.int32)
            self._state, job = _proposed(self._chooser, most, self._context, self._state, launched)
            row, wanted = job.row, job.wanted
        else:
            self._state, rows, valid = _suggested(self._chooser, self._context, self._state)
            row, wanted = rows[0], valid[0]
        return Proposal(number, int(row)) if wanted else None

    @in_64_bits
    def tell(self, proposal: Proposal, costs: Float[np.ndarray, " m"], level: int | None = None) -> None:
        """A result, infinite in all objectives where the training failed.

        Args:
            proposal: what was tried; its row may be another than was proposed.
            costs: objectives as minimised.
            level: place of its fidelity; None for the highest.
        """
        at = self._top if level is None else level
        row, at_level, number = (np.array(part, np.int32) for part in (proposal.row, at, proposal.number))
        if isinstance(self._chooser, Policy):
            result = Result(row, at_level, costs, number, np.array(True))
            self._state = _observed(self._chooser, self._context, self._state, result)
        elif self._chooser.observes:
            seen = Seen(row[None], at_level, costs[None], np.array([True]), np.array(at == self._top))
            self._state = _seen(self._chooser, self._state, seen)

    def drop(self, proposal: Proposal) -> None:
        """A proposal that comes to no result: no worker is busy with it, and nothing is learnt."""
        if isinstance(self._chooser, Policy):
            self.tell(proposal, np.full(self._num_objectives, np.inf))


@functools.partial(jax.jit, static_argnums=0)
def _begun(chooser: Searcher | Policy, context: Context, seed: Array) -> State:
    key = jax.random.fold_in(jax.random.key(seed), 0)
    return first_state(chooser, context, TASK, key, np.array(0, np.int32))


@functools.partial(jax.jit, static_argnums=0)
def _suggested(searcher: Searcher, context: Context, state: State) -> tuple[State, Array, Array]:
    return searcher.suggest(context, TASK, state, 1)


@functools.partial(jax.jit, static_argnums=0)
def _seen(searcher: Searcher, state: State, seen: Seen) -> State:
    return searcher.observe(state, seen)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _proposed(policy: Policy, most: int, context: Context, state: State, number: Array) -> tuple[State, Job]:
    return policy.propose(context, TASK, state, Moment(number, np.zeros(()), most))


@functools.partial(jax.jit, static_argnums=0)
def _observed(policy: Policy, context: Context, state: State, result: Result) -> State:
    return policy.observe(context, TASK, state, result)
