"""Why no run of a method is possible: told once, and not by every check that would need a run."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mohb_jax.errors import InputError
from mohb_jax.guards import require_signatures
from mohb_jax.testing.case import Case
from mohb_jax.testing.laws import place, text_of
from mohb_jax.testing.parts import take_apart
from mohb_jax.testing.searcher_checks import begun, calls_of, traced
from mohb_jax.types import Key

NUM_RESULTS = 12
"""Of a rung that a promotion rule is asked about where no bracket is cut."""


class Cause(NamedTuple):
    """Why no run is possible."""

    short: str
    """What raised what and where: ``suggest raised ValueError at FILE:LINE``."""
    text: str
    """The same with its message."""


@functools.lru_cache(maxsize=8)
def cause_of(case: Case) -> Cause | None:
    """What a function of the author raises whatever it is asked; None if a run is possible.

    Functions are traced, nothing of theirs but ``prepare`` is computed.
    """
    for name, call in _calls(case):
        try:
            call()
        except InputError as error:  # a law of shapes: the message names the function itself
            return Cause(f"{name} breaks a law, as told above", str(error))
        except Exception as error:  # whatever a stranger's code raises
            short = f"{name} raised {type(error).__name__}{place(error)}"
            return Cause(short, f"{short}: {text_of(error)}")
    return None


def _calls(case: Case) -> Iterator[tuple[str, Callable[[], Any]]]:
    """All that a run asks for, in order: each only if those before it were answered."""
    # Parts first: a call with arguments that do not fit would name no file.
    yield "a part", lambda: require_signatures(take_apart(case.method, case.table).chooser, case.method.label)
    yield "prepare", case.ready
    ready = case.ready()
    yield "init", lambda: jax.eval_shape(lambda: begun(ready))
    for what, function in calls_of(ready, ready.parts.chooser):
        yield what.partition("(")[0], functools.partial(traced, case, what, function)
    if ready.parts.rule is not None:
        yield "promotion rule", lambda: jax.eval_shape(functools.partial(_ordered, case), jax.random.key(0))


def _ordered(case: Case, key: Key) -> Any:
    rule, num_objectives = case.parts.rule, case.table.num_objectives
    assert rule is not None
    return rule(key, jnp.ones((NUM_RESULTS, num_objectives)), jnp.ones(NUM_RESULTS, bool), NUM_RESULTS // 3)
