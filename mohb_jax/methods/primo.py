"""PriMO: halving, then expected improvement weighted by beliefs from other tasks."""

import dataclasses

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.asynchronous_halving import PROMOTE, LadderSettings, ladder
from mohb_jax.methods.base import Steady
from mohb_jax.methods.needs import BELIEVED_TASKS, FIDELITIES
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.kriging_believer import problem_of
from mohb_jax.searchers.primo import BELIEFS, primo
from mohb_jax.settings import one_of, setting


@dataclasses.dataclass(frozen=True)
class PrimoSettings(LadderSettings):
    """Of PriMO: those of its halving, and what it believes.

    Attributes:
        beliefs: what it is told about each objective: that the best rows of the other tasks are ``good`` (the
            default), that their worst rows are (``bad``), or nothing (``none``).
    """

    beliefs: str = setting(
        "good",
        "what it is told of other tasks' best rows: good, bad or none",
        check=one_of(BELIEFS),
    )


def _policy(table: AnyTable, settings: PrimoSettings, conditions: Conditions) -> Policy:
    highest = len(ladder(table, settings, conditions)[0].levels) - 1
    problem = dataclasses.replace(problem_of(table, conditions.workers), num_initial=0)
    return primo(problem, highest, table.num_columns, settings.beliefs)


METHODS = (
    Steady(
        "primo",
        "PriMO: halving, then expected improvement weighted by beliefs from other tasks (2025)",
        settings=PrimoSettings,
        levels=ladder,
        policy=_policy,
        halving=PROMOTE,
        transfers=True,
        others=BELIEVED_TASKS,
        requires=(FIDELITIES,),
        microseconds=100,
    ),
)
