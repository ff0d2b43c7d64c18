"""Takes a method apart for the checks and runs it on chosen lanes: all that they know of methods and drivers.

Checks read the parts (searcher, policy, promotion rule) and complete runs, so a change of how a method is put
together is a change of this module.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax import transfer
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.drivers.lanes import Cells, Lanes, cells_of
from mohb_jax.kernels.promotion import PromotionRule
from mohb_jax.methods import Asynchronous, Method, Steady, Synchronous, lacking, make_plan
from mohb_jax.searchers.base import Context, Policy, Searcher
from mohb_jax.surrogates.prior_network import Training
from mohb_jax.transfer import Prior, z_values
from mohb_jax.types import RunLog

WORKERS = 3
EVALUATIONS = 24
"""Budget of the runs that checks look at: methods that learn have begun to."""

SHORT = Training(num_phases=1, steps_per_phase=20, steps_per_validation=20)
DRAWS = 32
"""Of a method that draws from a transfer prior: checks look at what it does, not at how well."""


class Parts(NamedTuple):
    """What a method consists of on a table: a searcher or a policy, and the rule of full rungs if it has
    one."""

    plan: Any
    searcher: Searcher | None
    policy: Policy | None
    rule: PromotionRule | None

    @property
    def chooser(self) -> Searcher | Policy:
        """What proposes rows."""
        chooser = self.policy if self.searcher is None else self.searcher
        assert chooser is not None
        return chooser


class Ready(NamedTuple):
    """A method and a table, ready to run any lanes."""

    table: AnyTable
    parts: Parts
    plan: Any
    cells: Cells
    fidelities: np.ndarray
    context: Context
    """What the searcher or policy prepared."""
    prepared: Context
    """What the plan prepared."""


def lacks(method: Method, table: AnyTable) -> str | None:
    """What a table lacks for a method, in words; None if it can be served."""
    return lacking(table, method)


def take_apart(method: Method, table: AnyTable) -> Parts:
    """The parts of a method, from settings made anew: factories are asked again."""
    few = {"draws": DRAWS} if hasattr(method.settings(), "draws") else {}
    settings = method.settings(**few)
    plan = make_plan(table, method, settings, Conditions(workers=WORKERS, evaluations=EVALUATIONS))
    if isinstance(method, Steady):
        return Parts(plan, None, method.policy(table, settings, Conditions(workers=WORKERS)), None)
    assert isinstance(method, Synchronous | Asynchronous)
    return Parts(plan, method.searcher(settings), None, method.rule(settings).rule(settings))


def made_up_prior(table: AnyTable) -> Prior | None:
    """Each task predicted by the next one's results, at once: learning a prior is not what is checked.

    None where there is no other task.
    """
    if table.num_tasks < 2:
        return None
    others = [(task + 1) % table.num_tasks for task in range(table.num_tasks)]
    mu = np.stack([z_values(table, task)[0] for task in others]).astype(np.float32)
    mu = np.nan_to_num(mu, posinf=3.0, neginf=-3.0)
    return Prior(table.name, table.tasks, table.columns, table.objectives, mu, np.full_like(mu, 0.3))


def make_ready(
    method: Method,
    table: AnyTable,
    seed: int = 0,
    tasks: tuple[int, ...] | None = None,
    learns_prior: bool = False,
) -> Ready:
    """Prepares a method for a table.

    Args:
        method: to run.
        table: what it may read beforehand.
        seed: root seed.
        tasks: to prepare for; all if None, as ``run`` needs them.
        learns_prior: False gives it a transfer prior that is made up.
    """
    parts = take_apart(method, table)
    tasks = tuple(range(table.num_tasks)) if tasks is None else tasks
    prior = None if learns_prior else made_up_prior(table)
    prepared = parts.plan.prepare(table, tasks, seed, prior)
    levels = parts.plan.levels()
    cells = cells_of(table, levels, None)
    plan = parts.plan.in_levels(levels)
    # A plan may prepare more than its chooser does, and then puts that behind it.
    context = prepared if isinstance(method, Asynchronous) else prepared[0]
    return Ready(table, parts, plan, cells, np.array(levels), context, prepared)


def with_results(ready: Ready, table: AnyTable) -> Ready:
    """The same, but that evaluations are looked up in another table, of equal shape."""
    return ready._replace(cells=cells_of(table, ready.parts.plan.levels(), None))


@contextlib.contextmanager
def short_training() -> Iterator[None]:
    """Networks of transfer priors learn in few steps, and not well, while it is open."""
    kept, transfer.PUBLISHED = transfer.PUBLISHED, SHORT
    try:
        yield
    finally:
        transfer.PUBLISHED = kept


def run(ready: Ready, lanes: list[tuple[int, int]], seed: int = 0, horizon: float = np.inf) -> RunLog:
    """The log of some lanes, each a task and the index of a run."""
    task, number = (np.array(part, np.int32) for part in zip(*lanes, strict=True))
    keys = jax.vmap(lambda index: jax.random.fold_in(jax.random.key(seed), index))(number)
    own = Lanes(task, number, keys, jnp.full(len(lanes), horizon))
    log = ready.plan.run(ready.cells, ready.prepared, own, jax.local_devices()[:1])
    fidelity = np.where(log.valid, ready.fidelities[log.fidelity], -1).astype(np.int32)
    return log._replace(fidelity=fidelity)


def first_cut(method: Method, ready: Ready) -> tuple[slice, int] | None:
    """Slots of the first rung that is cut, and how many go on from it, in a run whose rungs are full.

    None where nothing is cut, or results are judged as they arrive.
    """
    plan = ready.plan
    if not isinstance(method, Synchronous) or len(plan.brackets[0].sizes) == 1:
        return None
    first = sum(bracket.num_evaluations for bracket in plan.opening)
    started, kept = plan.brackets[0].sizes[:2]
    return slice(first, first + started), kept


def tags_of(part: Any) -> frozenset[str]:
    """What a searcher or a promotion rule says of itself."""
    return frozenset(getattr(part, "tags", ()))
