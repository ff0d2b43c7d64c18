"""Schedules and settings that several families share."""

import dataclasses
from fractions import Fraction

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.errors import InputError
from mohb_jax.schedule import FIRST_RUNGS, Bracket, full_fidelity, hyperband, smallest_within
from mohb_jax.searchers.transfer_sources import Learning
from mohb_jax.settings import Settings, at_least, count, one_of, positive, setting

MIN_ETA = 1.1
"""The smallest reduction factor: nearer to 1, Hyperband would have hundreds of brackets."""
MAX_DRAWS = 1 << 20
"""A draw takes a kilobyte per task."""


@dataclasses.dataclass(frozen=True)
class RangeSettings(Settings):
    """Of methods that evaluate at several fidelities.

    Attributes:
        min_fidelity: smallest fidelity to use; None for the smallest stored one.
        R: the same as a ratio, highest fidelity over smallest, which suits tables of any unit.
    """

    min_fidelity: float | int | None = setting(
        None, "smallest fidelity to use; by default the smallest stored"
    )
    R: float | int | None = setting(
        None, "the same as a ratio, highest fidelity over smallest", check=at_least(1)
    )

    def check_together(self) -> None:
        """See ``Settings``."""
        super().check_together()
        if self.R is not None and self.min_fidelity is not None:
            raise InputError("R and min_fidelity are both given: each says what the smallest fidelity is")

    def smallest(self, table: AnyTable) -> Fraction | float | int | None:
        """The smallest fidelity to use; None for the smallest stored one."""
        return self.min_fidelity if self.R is None else smallest_within(table.fidelities, self.R)


@dataclasses.dataclass(frozen=True)
class ReductionSettings(RangeSettings):
    """Of methods that keep one configuration in eta.

    Attributes:
        eta: reduction factor.
    """

    eta: float | int = setting(3, "reduction factor: one in eta goes on", check=at_least(MIN_ETA))


@dataclasses.dataclass(frozen=True)
class BracketSettings(ReductionSettings):
    """Of Hyperband's schedule.

    Attributes:
        first_rung: rule for the size of first rungs (``mohb_jax.schedule.hyperband``).
        brackets: number of brackets of a pass, the most exploratory first; 1 is successive halving, None is
            all.
    """

    first_rung: str = setting(
        "hpbandster", "rule for the size of first rungs: hpbandster or li2018", check=one_of(FIRST_RUNGS)
    )
    brackets: int | None = setting(
        None, "brackets of a pass, the most exploratory first; 1 is successive halving", check=count()
    )


@dataclasses.dataclass(frozen=True)
class PriorSettings(Settings):
    """Of methods that propose from the transfer prior.

    Attributes:
        prior_strength: the transfer prior's standard deviations are divided by it: above 1 it is trusted more
            than it was learnt, below 1 less.
        draws: joint draws from the transfer prior per task, of which each run has a 64th: runs have none in
            common unless their numbers are equal modulo 64.
    """

    prior_strength: float | int = setting(
        1, "above 1 the transfer prior is trusted more than it was learnt", check=positive
    )
    draws: int = setting(1024, "joint draws from the transfer prior per task", check=count(MAX_DRAWS))


@dataclasses.dataclass(frozen=True)
class TransferSettings(Settings):
    """Of methods that learn in the run whom to trust.

    Attributes:
        draws: joint draws from each source per task, of which each run has a 64th.
        means: whether the transfer prior's means stay as learnt, or are corrected by the run's own results.
        learnt_at: whether sources learn what other tasks hold at the highest fidelity or the lowest.
        uncertainty: of the transfer prior: honest, or what a single network says of itself.
        at_first: what is proposed before three results of a run compare: random rows, since what other tasks
            praise may be the worst and take longest; or rows of the sources, for who trusts these tasks.
    """

    draws: int = setting(1024, "joint draws from each source per task", check=count(MAX_DRAWS))
    means: str = setting(
        "learnt",
        "the transfer prior's means: as learnt, or corrected by the run's own results",
        check=one_of(("learnt", "corrected")),
    )
    learnt_at: str = setting(
        "highest",
        "fidelity of other tasks that sources learn from: highest or lowest",
        check=one_of(("highest", "lowest")),
    )
    uncertainty: str = setting(
        "honest",
        "of the transfer prior: honest, or that of a single network",
        check=one_of(("honest", "network")),
    )
    at_first: str = setting(
        "random",
        "proposals before three results of a run compare: random rows, or from the sources at once",
        check=one_of(("random", "sources")),
    )

    @property
    def learning(self) -> Learning:
        """As the searcher takes it."""
        return Learning(
            self.means == "corrected",
            self.learnt_at == "lowest",
            self.uncertainty == "network",
            self.at_first == "sources",
        )


@dataclasses.dataclass(frozen=True)
class TrialSettings(Settings):
    """Of methods that start one configuration after another.

    Attributes:
        trials: configurations that a run starts at most; None for no limit but the budget or horizon.
    """

    trials: int | None = setting(None, "configurations that a run starts at most", check=count())


def hyperband_brackets(
    table: AnyTable, settings: BracketSettings, conditions: Conditions
) -> tuple[Bracket, ...]:
    """A pass of Hyperband."""
    del conditions
    smallest = settings.smallest(table)
    return hyperband(table.fidelities, settings.eta, settings.first_rung, smallest)[: settings.brackets]


def waiting_brackets(
    table: AnyTable, settings: BracketSettings, conditions: Conditions
) -> tuple[Bracket, ...]:
    """A pass of Hyperband for searchers that learn, which wait for the end of a bracket: in one of a single
    rung, every worker has something to do."""
    return tuple(
        bracket
        if len(bracket.sizes) > 1
        else Bracket((max(bracket.sizes[0], conditions.workers),), bracket.levels)
        for bracket in hyperband_brackets(table, settings, conditions)
    )


def one_full(table: AnyTable, settings: Settings, conditions: Conditions) -> tuple[Bracket, ...]:
    """For policies that know the highest fidelity alone."""
    del settings, conditions
    return full_fidelity(table.fidelities, 1)


def one_full_per_worker(table: AnyTable, settings: Settings, conditions: Conditions) -> tuple[Bracket, ...]:
    """For searchers that learn: every worker has a configuration, then all results are in."""
    del settings
    return full_fidelity(table.fidelities, conditions.workers)
