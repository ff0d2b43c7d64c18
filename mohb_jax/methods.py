"""Methods: named products of schedule, searcher and promotion rule, and the Python entry point that runs
them."""

import dataclasses
import difflib
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax import benchmarks
from mohb_jax.benchmarks.before_training import known_objectives, size_columns
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.asynchronous import AshaPlan, simulate_asha
from mohb_jax.drivers.devices import spread
from mohb_jax.drivers.lanes import Cells, Lanes
from mohb_jax.drivers.opening import Opening, Past, past_of
from mohb_jax.drivers.steady import SteadyPlan, simulate_steady
from mohb_jax.drivers.synchronous import Plan, simulate_lanes, simulate_learners
from mohb_jax.errors import InputError
from mohb_jax.kernels import arrival, promotion
from mohb_jax.kernels.arrival import ArrivalRule
from mohb_jax.kernels.epsilon_net import SCALES
from mohb_jax.kernels.promotion import PromotionRule
from mohb_jax.precision import in_64_bits
from mohb_jax.schedule import (
    Bracket,
    asha_rungs,
    full_fidelity,
    halved_stages,
    hyperband,
    smallest_within,
    third,
)
from mohb_jax.searchers import mo_bananas as bananas
from mohb_jax.searchers import policy_gradient
from mohb_jax.searchers import popnas as progressive
from mohb_jax.searchers.base import Policy, Searcher
from mohb_jax.searchers.bohb import bohb
from mohb_jax.searchers.bounding_box import bounding_box
from mohb_jax.searchers.bulk_and_cut import bulk_and_cut, sizes_of
from mohb_jax.searchers.ehvi import expected_hypervolume
from mohb_jax.searchers.gcp import gcp, gcp_prior
from mohb_jax.searchers.kriging_believer import problem_of
from mohb_jax.searchers.mo_bohb import NUM_INITIAL, mo_bohb
from mohb_jax.searchers.mo_rea import mo_rea
from mohb_jax.searchers.nsga2 import nsga2
from mohb_jax.searchers.parego import parego
from mohb_jax.searchers.primo import BELIEFS, primo
from mohb_jax.searchers.random import random_search
from mohb_jax.searchers.sh_emoa import sh_emoa
from mohb_jax.searchers.transfer_prior import transfer_prior
from mohb_jax.searchers.zero_shot import zero_shot
from mohb_jax.transfer import Prior
from mohb_jax.types import RunLog

AnyPlan = Plan | AshaPlan | SteadyPlan
MODES = ("barrier", "overlap")
COMPAT = ("syne_tune_0_16",)
RANDOM_SEARCH_BLOCK = 64
"""Configurations that random search proposes at a time: no result depends on it."""
MIN_ETA = 1.1
"""The smallest reduction factor: nearer to 1, Hyperband would have hundreds of brackets."""
MAX_WORKERS = 10_000
"""A lane keeps a clock for each worker."""
MAX_POPULATION = 1000
STAGE_ETA = 2
"""Factor between the fidelities of SH-EMOA's stages, as published; ``eta`` is Hyperband's."""
STAGE_RANGE = 5
"""SH-EMOA's stages stay above R over this, as published, unless the smallest fidelity is given."""
CUT_SHARE = 3
"""BULK & CUT trains what it has cut for R over this, as published."""
MAX_DRAWS = 1 << 20
"""A draw takes a kilobyte per task."""
DEFAULT_EVALUATIONS = 50
"""The default horizon is the time of this many average evaluations at full fidelity, shared by the
workers."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a method; every method ignores those that its parts do not have.

    Attributes:
        eta: reduction factor of Hyperband.
        first_rung: rule for the size of first rungs (``mohb_jax.schedule.hyperband``).
        min_fidelity: smallest fidelity to use; None for the smallest stored one.
        R: the same as a ratio, highest fidelity over smallest, which suits tables of any unit.
        brackets: number of brackets of a pass, the most exploratory first; 1 is successive halving, None is
            all. In asynchronous halving None is 1.
        workers: number of simulated workers.
        mode: ``barrier`` (all workers wait for the end of a rung) or ``overlap`` (idle workers go on with the
            next bracket).
        resumable: True if promotion pays only the difference in runtime; None for what the table says.
        scale: scale on which the epsilon-net measures distances.
        seed_objective: index of the objective whose best row opens each front of the epsilon-net.
        promotion: which results of a rung are good enough, in place of the method's own rule: ``single``,
            ``net``, ``crowding``, ``hvc``, ``scalar`` or ``random``; None for the method's own.
        weights: fixed weights of the scalarised rule; None to draw them anew for every bracket.
        prior_strength: the transfer prior's standard deviations are divided by it: above 1 it is trusted more
            than it was learnt, below 1 less.
        draws: joint draws from the transfer prior per task, which the proposals of all runs share.
        grace: fidelity before which asynchronous halving stops nothing; None for the smallest used.
        trials: configurations that a run of an asynchronous or steady-state method starts at most; None for
            no limit but the horizon.
        population: members of an evolutionary method's population, and configurations of a generation.
        known: names of objectives that are known without training, in methods that make use of it; None for
            those that count parameters or operations.
        beliefs: what PriMO is told about each objective: that the best rows of the other tasks are ``good``
            (the default), that their worst rows are (``bad``), or nothing (``none``).
        compat: ``syne_tune_0_16`` stops as that library does, wrongly; None decides as described.
    """

    eta: float | int = 3
    first_rung: str = "hpbandster"
    min_fidelity: float | int | None = None
    R: float | int | None = None
    brackets: int | None = None
    workers: int = 4
    mode: str = "barrier"
    resumable: bool | None = None
    scale: str = "minmax"
    seed_objective: int = 0
    promotion: str | None = None
    weights: tuple[float | int, ...] | None = None
    prior_strength: float | int = 1
    draws: int = 1024
    grace: float | int | None = None
    trials: int | None = None
    population: int = 20
    known: tuple[str, ...] | None = None
    beliefs: str = "good"
    compat: str | None = None

    def __post_init__(self) -> None:
        if self.weights is not None:
            object.__setattr__(self, "weights", tuple(float(weight) for weight in self.weights))
        if self.known is not None:
            object.__setattr__(self, "known", tuple(str(name) for name in self.known))
        _require_count("population", self.population, MAX_POPULATION)
        _require_count("workers", self.workers, MAX_WORKERS)
        _require_count("draws", self.draws, MAX_DRAWS)
        is_number = isinstance(self.eta, int | float) and not isinstance(self.eta, bool)
        if not is_number or not MIN_ETA <= self.eta < np.inf:
            raise InputError(f"eta is {self.eta!r}: it must be a finite number of at least {MIN_ETA}")
        if self.R is not None and not 1 <= self.R < np.inf:
            raise InputError(f"R is {self.R!r}: it must be a finite number of at least 1")
        if self.R is not None and self.min_fidelity is not None:
            raise InputError("R and min_fidelity are both given: each says what the smallest fidelity is")
        if not 0 < self.prior_strength < np.inf:
            raise InputError(
                f"prior_strength is {self.prior_strength!r}: it must be a positive, finite number"
            )
        if self.brackets is not None:
            _require_count("brackets", self.brackets)
        if self.trials is not None:
            _require_count("trials", self.trials)
        if self.compat is not None:
            _require_choice("compat", self.compat, COMPAT)
        if self.promotion is not None:
            _require_choice("promotion", self.promotion, tuple(PROMOTIONS))
        _require_choice("beliefs", self.beliefs, BELIEFS)
        _require_choice("mode", self.mode, MODES)
        _require_choice("scale", self.scale, SCALES)
        if self.weights is not None and (min(self.weights, default=-1) < 0 or sum(self.weights) <= 0):
            raise InputError(f"weights is {list(self.weights)}: one number >= 0 per objective, not all 0")


_RANDOM = random_search()


def _random(settings: Settings) -> Searcher:
    del settings
    return _RANDOM


class Need(NamedTuple):
    """Something that a method asks of a table.

    Attributes:
        text: what it is, for lists.
        missing: what a table lacks, in words; None if it has it.
    """

    text: str
    missing: Callable[[AnyTable, Settings], str | None]


@functools.cache
def at_most_objectives(most: int) -> Need:
    def missing(table: AnyTable, settings: Settings) -> str | None:
        del settings
        many = table.num_objectives
        return f"it takes at most {most} objectives, the table has {many}" if many > most else None

    return Need(f"at most {most} objectives", missing)


def _no_fidelities(table: AnyTable, settings: Settings) -> str | None:
    del settings
    return None if table.num_fidelities > 1 else "it needs several fidelities, the table has one"


def _no_known_objective(table: AnyTable, settings: Settings) -> str | None:
    if known_objectives(table, settings.known):
        return None
    names = ", ".join(objective.name for objective in table.objectives)
    return (
        "it needs an objective that is known without training, and none counts parameters or operations; "
        f"declare one with the setting known, from {names}"
    )


def _no_size(table: AnyTable, settings: Settings) -> str | None:
    del settings
    if size_columns(table) or known_objectives(table, None):
        return None
    return (
        "it needs columns that say how large a model is (numbers with the role architecture) or an objective "
        "that counts parameters or operations"
    )


def _no_other_tasks(table: AnyTable, settings: Settings) -> str | None:
    del settings
    return None if table.num_tasks > 1 else "it learns from other tasks, the table has one task"


def _nobody_to_believe(table: AnyTable, settings: Settings) -> str | None:
    return None if settings.beliefs == "none" else _no_other_tasks(table, settings)


FIDELITIES = Need("several fidelities", _no_fidelities)
KNOWN_OBJECTIVE = Need("a known objective", _no_known_objective)
SIZE = Need("columns or an objective for the size of a model", _no_size)
OTHER_TASKS = Need("at least two tasks", _no_other_tasks)
BELIEVED_TASKS = Need("at least two tasks unless beliefs is none", _nobody_to_believe)


@dataclasses.dataclass(frozen=True)
class Method:
    """A tuning method: schedule x searcher x promotion, under a name.

    Attributes:
        promotion: the rule by which results of a rung are compared, from ``PROMOTIONS``.
        arrival: how results go on that are judged as they arrive, in asynchronous methods: ``stopping`` or
            ``promotion``; None where a full rung is cut.
    """

    name: str
    summary: str
    schedule: Callable[[AnyTable, Settings], tuple[Bracket, ...]]
    searcher: Callable[[Settings], Searcher] = _random
    promotion: str = "single"
    arrival: str | None = None
    transfers: bool = False
    """Whether it may learn from the other tasks of a table."""
    others: Need = OTHER_TASKS
    """What it asks of these, if it does."""
    models: tuple[str, ...] = ()
    """What it predicts with, for the report's calibration."""
    opening: Callable[[AnyTable, Settings], tuple[Bracket, ...]] | None = None
    """Brackets that come once, before the others."""
    policy: Callable[[AnyTable, Settings], Policy] | None = None
    """In place of a searcher: chooses the job of each worker that becomes free. The one bracket of the
    schedule holds the levels that jobs may have."""
    halving: str | None = None
    """A method of asynchronous halving: how a run begins before the policy takes over."""
    requires: tuple[Need, ...] = ()
    microseconds: float | int | None = None
    """Of an evaluation of a run among many, on two processors (docs/performance.md), to estimate studies;
    None where the driver takes most of the time."""

    @property
    def all_needs(self) -> tuple[Need, ...]:
        most = PROMOTIONS[self.promotion].max_objectives
        needs = (
            *((self.others,) if self.transfers else ()),
            *((at_most_objectives(most),) if most else ()),
            *self.requires,
        )
        return tuple(dict.fromkeys(needs))

    @property
    def needs(self) -> str:
        """What a table must have, for people."""
        return ", ".join(need.text for need in self.all_needs) or "any table"


def _hyperband(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    smallest = _smallest_fidelity(table, settings)
    brackets = hyperband(table.fidelities, settings.eta, settings.first_rung, smallest)
    return brackets[: settings.brackets]


def _hyperband_of_learners(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    """Hyperband for searchers that wait for the end of a bracket: in one of a single rung, every worker has
    something to do."""
    return tuple(
        bracket
        if len(bracket.sizes) > 1
        else Bracket((max(bracket.sizes[0], settings.workers),), bracket.levels)
        for bracket in _hyperband(table, settings)
    )


def _random_opening(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    """What MO-BOHB evaluates before its first bracket."""
    del settings
    return full_fidelity(table.fidelities, NUM_INITIAL)


def _smallest_fidelity(table: AnyTable, settings: Settings) -> Fraction | float | int | None:
    return settings.min_fidelity if settings.R is None else smallest_within(table.fidelities, settings.R)


def _full_fidelity(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    del settings
    return full_fidelity(table.fidelities, RANDOM_SEARCH_BLOCK)


def _one_per_worker(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    """For searchers that learn: every worker has a configuration, then all results are in."""
    return full_fidelity(table.fidelities, settings.workers)


def _ten_full(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    del settings
    return full_fidelity(table.fidelities, 10)


def _ten_halved(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    """Ten configurations at a third of the highest fidelity, of which three go on; or ten at the only one."""
    del settings
    highest = table.num_fidelities - 1
    lower = third(table.fidelities)
    return (Bracket((10,), (highest,)) if lower == highest else Bracket((10, 3), (lower, highest)),)


def _one_policy_step(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    del settings
    return full_fidelity(table.fidelities, policy_gradient.BATCH)


def _one_stage(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    del settings
    return full_fidelity(table.fidelities, progressive.num_proposed(table.num_columns))


def _asynchronous(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    """Rungs as brackets: an asynchronous rung has no size."""
    grace = _smallest_fidelity(table, settings) if settings.grace is None else settings.grace
    rungs = asha_rungs(table.fidelities, settings.eta, grace, settings.brackets or 1)
    return tuple(Bracket((1,) * len(levels), levels) for levels in rungs)


def _one_ladder(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    """The rungs of the promotion variant, in which trials belong to no bracket."""
    return _asynchronous(table, dataclasses.replace(settings, brackets=1))


def _generations(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    """One generation of an evolutionary method at a time."""
    return full_fidelity(table.fidelities, settings.population)


def _one_level(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    """For policies that know the highest fidelity alone."""
    del settings
    return full_fidelity(table.fidelities, 1)


def _stages(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    smallest = _smallest_fidelity(table, settings)
    if smallest is None:
        smallest = Fraction(str(table.fidelities[-1])) / STAGE_RANGE
    levels = halved_stages(table.fidelities, STAGE_ETA, smallest)
    return (Bracket((1,) * len(levels), levels),)


def _cut_and_full(table: AnyTable, settings: Settings) -> tuple[Bracket, ...]:
    """The fidelity closest to a third of the highest, and the highest; the same one twice if there is no
    other."""
    del settings
    fidelities = table.fidelities
    wanted = fidelities[-1] / CUT_SHARE
    lower = range(max(len(fidelities) - 1, 1))
    short = min(lower, key=lambda level: abs(fidelities[level] - wanted))
    return (Bracket((1, 1), (short, len(fidelities) - 1)),)


def _sh_emoa(table: AnyTable, settings: Settings) -> Policy:
    num_stages = len(_stages(table, settings)[0].levels)
    return sh_emoa(table.num_objectives, num_stages, settings.population)


def _mo_rea(table: AnyTable, settings: Settings) -> Policy:
    return mo_rea(table.num_objectives, settings.population, settings.scale, settings.seed_objective)


def _bulk_and_cut(table: AnyTable, settings: Settings) -> Policy:
    del settings
    return bulk_and_cut(table.num_objectives, sizes_of(table, known_objectives(table)))


def _informed_hypervolume(table: AnyTable, settings: Settings) -> Policy:
    known = known_objectives(table, settings.known)
    return expected_hypervolume(problem_of(table, settings.workers, known))


def _primo(table: AnyTable, settings: Settings) -> Policy:
    highest = len(_one_ladder(table, settings)[0].levels) - 1
    problem = dataclasses.replace(problem_of(table, settings.workers), num_initial=0)
    return primo(problem, highest, table.num_columns, settings.beliefs)


def _prior(settings: Settings) -> Searcher:
    return transfer_prior(settings.draws, strength=settings.prior_strength)


def _prior_one_by_one(settings: Settings) -> Searcher:
    return transfer_prior(settings.draws, one_by_one=True, strength=settings.prior_strength)


def _copula(settings: Settings) -> Searcher:
    return transfer_prior(settings.draws, True, 0, settings.prior_strength)


@dataclasses.dataclass(frozen=True)
class Promotion:
    """A rule of promotion: of full rungs, and on arrival where there is a form that need not sort a rung."""

    rule: Callable[[Settings], PromotionRule]
    on_arrival: Callable[[Settings], ArrivalRule] | None = None
    max_objectives: int | None = None

    def arrival_rule(self, settings: Settings, promotes: bool) -> ArrivalRule:
        if promotes:
            settings = dataclasses.replace(settings, compat=None)  # that library only stops
        if self.on_arrival is None:
            return arrival.sorted_arrival(self.rule(settings))
        return self.on_arrival(settings)


def _net_arrival(settings: Settings) -> ArrivalRule:
    if settings.compat is not None:
        return arrival.defective_arrival(settings.seed_objective)
    return arrival.net_arrival(settings.scale, settings.seed_objective)


PROMOTIONS: dict[str, Promotion] = {
    "single": Promotion(lambda settings: promotion.single(0), lambda settings: arrival.single_arrival(0)),
    "net": Promotion(
        lambda settings: promotion.epsilon_net(settings.scale, settings.seed_objective), _net_arrival
    ),
    "crowding": Promotion(lambda settings: promotion.crowding()),
    "hvc": Promotion(
        lambda settings: promotion.hypervolume_cut(),
        lambda settings: arrival.hypervolume_arrival(),
        max_objectives=4,
    ),
    "scalar": Promotion(lambda settings: promotion.scalarised(settings.weights)),
    "random": Promotion(lambda settings: promotion.random_order(), lambda settings: arrival.random_arrival()),
}


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "random",
            "random search at full fidelity",
            _full_fidelity,
            _random,
        ),
        Method(
            "hb",
            "Hyperband on the first objective alone (Li et al. 2018)",
            _hyperband,
            _random,
        ),
        Method(
            "mo-hb",
            "multi-objective Hyperband: non-dominated sorting with epsilon-net (Salinas et al. 2021)",
            _hyperband,
            _random,
            "net",
        ),
        Method(
            "mo-hb-crowding",
            "mo-hb with NSGA-II's crowding distance instead of the epsilon-net",
            _hyperband,
            _random,
            "crowding",
        ),
        Method(
            "mo-hb-hvc",
            "mo-hb with the greedy hypervolume cut instead of the epsilon-net",
            _hyperband,
            _random,
            "hvc",
        ),
        Method(
            "mo-hb-scalar",
            "Hyperband on a weighted sum of the objectives, random weights per bracket unless given",
            _hyperband,
            _random,
            "scalar",
        ),
        Method(
            "mo-hb-random",
            "Hyperband that promotes at random: the control",
            _hyperband,
            _random,
            "random",
        ),
        Method(
            "random+prior",
            "draws from the transfer prior, one by one, at full fidelity",
            _full_fidelity,
            _prior_one_by_one,
            transfers=True,
            models=("prior network",),
        ),
        Method(
            "hb+prior",
            "hb with configurations proposed by the transfer prior",
            _hyperband,
            _prior,
            transfers=True,
            models=("prior network",),
        ),
        Method(
            "mo-hb+prior",
            "mo-hb with configurations proposed by the transfer prior (Salinas et al. 2021)",
            _hyperband,
            _prior,
            "net",
            transfers=True,
            models=("prior network",),
        ),
        Method(
            "cts",
            "copula Thompson sampling: the prior on the first objective alone (Salinas et al. 2020)",
            _full_fidelity,
            _copula,
            transfers=True,
            models=("prior network",),
        ),
        Method(
            "asha",
            "asynchronous successive halving on the first objective alone (Li et al. 2020)",
            _asynchronous,
            _random,
            arrival="stopping",
        ),
        Method(
            "mo-asha",
            "multi-objective asynchronous halving, stopping: non-dominated sorting with epsilon-net",
            _asynchronous,
            _random,
            "net",
            arrival="stopping",
        ),
        Method(
            "mo-asha-random",
            "asynchronous halving that stops at random: the control",
            _asynchronous,
            _random,
            "random",
            arrival="stopping",
        ),
        Method(
            "asha+prior",
            "asha with configurations proposed by the transfer prior",
            _asynchronous,
            _prior_one_by_one,
            arrival="stopping",
            transfers=True,
            models=("prior network",),
        ),
        Method(
            "mo-asha+prior",
            "mo-asha with configurations proposed by the transfer prior",
            _asynchronous,
            _prior_one_by_one,
            "net",
            arrival="stopping",
            transfers=True,
            models=("prior network",),
        ),
        Method(
            "mo-asha-promote",
            "multi-objective asynchronous halving, promotion: idle workers take the best trial that waits",
            _one_ladder,
            _random,
            "net",
            arrival="promotion",
        ),
        Method(
            "mo-asha-promote+prior",
            "mo-asha-promote with configurations proposed by the transfer prior",
            _one_ladder,
            _prior_one_by_one,
            "net",
            arrival="promotion",
            transfers=True,
            models=("prior network",),
        ),
        Method(
            "gcp-prior",
            "Gaussian process on what the transfer prior leaves over (Salinas et al. 2020)",
            _one_per_worker,
            lambda settings: gcp_prior(settings.draws),
            transfers=True,
            models=("prior network", "gaussian process"),
            microseconds=20000,
        ),
        Method(
            "gcp",
            "Gaussian process on quantiles of the first objective, without a prior",
            _one_per_worker,
            lambda settings: gcp(),
            microseconds=20000,
        ),
        Method(
            "bohb",
            "Hyperband with densities of good and bad configurations, first objective (Falkner et al. 2018)",
            _hyperband_of_learners,
            lambda settings: bohb(),
            microseconds=34,
        ),
        Method(
            "mo-bohb",
            "Hyperband with multi-objective densities, column by column (Guerrero-Viu et al. 2021)",
            _hyperband_of_learners,
            lambda settings: mo_bohb(),
            "hvc",
            opening=_random_opening,
            requires=(at_most_objectives(4),),  # its densities split by hypervolume, whatever promotes
            microseconds=50,
        ),
        Method(
            "zero-shot",
            "a portfolio that does well on the other tasks, at full fidelity (Winkelmolen et al. 2020)",
            _full_fidelity,
            lambda settings: zero_shot(),
            transfers=True,
        ),
        Method(
            "bounding-box",
            "random search in a box around the other tasks' fronts (Perrone et al. 2019)",
            _full_fidelity,
            lambda settings: bounding_box(),
            transfers=True,
        ),
        Method(
            "nsga2",
            "NSGA-II: generations at full fidelity, by front, then crowding distance (Deb et al. 2002)",
            _generations,
            lambda settings: nsga2(settings.population),
            microseconds=0.8,
        ),
        Method(
            "sh-emoa",
            "steady-state evolution by hypervolume, fidelity rising in stages (Guerrero-Viu et al. 2021)",
            _stages,
            policy=_sh_emoa,
            requires=(at_most_objectives(4),),
            microseconds=16,
        ),
        Method(
            "mo-rea",
            "multi-objective regularised evolution: the oldest member leaves (Real et al. 2019)",
            _one_level,
            policy=_mo_rea,
            microseconds=4,
        ),
        Method(
            "bulk-and-cut",
            "BULK & CUT policy: models grow, then shrink at a third of R (Guerrero-Viu et al. 2021)",
            _cut_and_full,
            policy=_bulk_and_cut,
            requires=(SIZE,),
            microseconds=55,
        ),
        Method(
            "mo-bananas",
            "MO-BANANAS-SH: networks choose among mutations, then halving (Guerrero-Viu et al. 2021)",
            _ten_halved,
            lambda settings: bananas.mo_bananas(),
            "crowding",
            opening=_ten_full,
            microseconds=140,
        ),
        Method(
            "monas",
            "policy gradient on a weighted reward, a level per column (MONAS, Hsu et al. 2018)",
            _one_policy_step,
            lambda settings: policy_gradient.monas(),
            microseconds=30,
        ),
        Method(
            "npg",
            "policy gradient on a reward that sweeps the weights (NPG, Chen et al. 2020)",
            _one_policy_step,
            lambda settings: policy_gradient.npg(),
            microseconds=30,
        ),
        Method(
            "popnas",
            "progressive Pareto search (POPNASv3 style)",
            _one_stage,
            lambda settings: progressive.popnas(),
            microseconds=33,
        ),
        Method(
            "ehvi",
            "Gaussian processes and exact expected hypervolume improvement (Emmerich et al. 2006)",
            _one_level,
            policy=lambda table, settings: expected_hypervolume(problem_of(table, settings.workers)),
            requires=(at_most_objectives(3),),
            microseconds=2500,
        ),
        Method(
            "ms-ehvi",
            "ehvi that knows the size of a model without training it (Guerrero-Viu et al. 2021)",
            _one_level,
            policy=_informed_hypervolume,
            requires=(KNOWN_OBJECTIVE, at_most_objectives(3)),
            microseconds=1600,
        ),
        Method(
            "parego",
            "Gaussian process on a cost of random weights, new for every proposal (Knowles 2006)",
            _one_level,
            policy=lambda table, settings: parego(problem_of(table, settings.workers)),
            microseconds=750,
        ),
        Method(
            "primo",
            "PriMO: halving, then expected improvement weighted by beliefs from other tasks (2025)",
            _one_ladder,
            policy=_primo,
            halving="mo-asha-promote",
            transfers=True,
            others=BELIEVED_TASKS,
            requires=(FIDELITIES,),
            microseconds=850,
        ),
    )
}


def method_named(name: str) -> Method:
    """The method of that name; ``InputError`` with the known names, and the likeliest, if there is none."""
    require_known("method", name, METHODS)
    return METHODS[name]


def require_known(kind: str, name: str, known: Collection[str]) -> None:
    """``InputError`` with the known names of a registry, and the likeliest, unless ``name`` is one."""
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise InputError(f"{kind} {name!r} is unknown{hint}: accepted are {', '.join(known)}")


@in_64_bits
def simulate(
    table: AnyTable | str,
    method: str,
    *,
    num_seeds: int = 1,
    first_run: int = 0,
    seed: int = 0,
    tasks: Sequence[str] | None = None,
    evaluations: int | None = None,
    seconds: float | int | Mapping[str, float | int] | None = None,
    prior: Prior | None = None,
    **settings: Any,
) -> RunLog:
    """Simulates ``num_seeds`` tuning runs on each task, all together, on all local devices.

    Args:
        table: the benchmark or its name; all its objectives are used (``table.select(objectives=...)`` for
            fewer). Objective 0 is the one that single-objective methods minimise.
        method: a name from ``METHODS``.
        num_seeds: runs per task.
        first_run: index of the first run. A run depends only on ``seed``, its index and its task, so runs 0
            to 99 and 100 to 199 made apart are those that 0 to 199 gives.
        seed: root seed; equal runs of different methods are paired through it.
        tasks: names; all tasks if None. Methods that transfer learn from all tasks of the table but the one
            they run on, whatever tasks are named here.
        evaluations: budget of evaluations per run, counted in launch order.
        seconds: horizon in simulated seconds, one for all tasks or one per task name. With neither budget nor
            horizon, the time in which the workers evaluate 50 average configurations at full fidelity.
        prior: the transfer prior of this table, from ``learn_prior``; learnt here if None.
        **settings: fields of ``Settings``.

    Returns:
        A ``RunLog`` of NumPy arrays, lanes ordered by task, then run.

    Raises:
        InputError: naming the argument at fault.
    """
    chosen = make_settings(**settings)
    table = benchmarks.load(table) if isinstance(table, str) else table
    names = table.tasks if tasks is None else tuple(tasks)
    indices = np.array([table.task_index(name) for name in names], np.int32)
    _require_count("num_seeds", num_seeds)
    if not len(indices):
        raise InputError(f"tasks is empty: accepted are {', '.join(table.tasks)}")
    horizon = horizons(table, names, chosen.workers, evaluations, seconds)
    plan = make_plan(table, method_named(method), chosen, evaluations)
    chooser = plan.policy if isinstance(plan, SteadyPlan) else plan.searcher
    context = chooser.prepare(table, tuple(indices.tolist()), seed, prior)
    most_rows = max(int(table.measured(task).sum()) for task in indices.tolist())
    plan, cells, fidelities = _on_device(
        table if names == table.tasks else table.select(tasks=names), plan, chosen.resumable
    )
    runs = np.arange(first_run, first_run + num_seeds, dtype=np.int32)
    run = np.tile(runs, len(indices))
    keys = jax.vmap(lambda index: jax.random.fold_in(jax.random.key(seed), index))(run)
    task = np.repeat(np.arange(len(indices), dtype=np.int32), num_seeds)
    lanes = Lanes(task, run, keys, jnp.repeat(jnp.asarray(horizon), num_seeds))
    devices = jax.local_devices()
    if isinstance(plan, AshaPlan):
        log = simulate_asha(plan, cells, context, lanes, devices)
    elif isinstance(plan, SteadyPlan):
        past = None if plan.opening is None else _past(plan.opening, table, indices, cells, lanes, seed)
        log = simulate_steady(plan, cells, context, lanes, devices, past)
    elif plan.searcher.learns:
        log = simulate_learners(plan, cells, context, most_rows, lanes, devices)
    else:
        if len(devices) > 1:
            lanes, (cells, context) = spread(lanes, (cells, context), devices)
        log = simulate_lanes(plan, cells, context, most_rows, lanes)
        log = RunLog(*(field[: len(task)] for field in log))
    fidelity = np.where(log.valid, fidelities[log.fidelity], -1).astype(np.int32)
    return log._replace(task=indices[log.task], fidelity=fidelity)


def _past(
    opening: Opening, table: AnyTable, tasks: np.ndarray, cells: Cells, lanes: Lanes, seed: int
) -> Past:
    """What the opening of each lane does until the policy takes over."""
    context = opening.plan.searcher.prepare(table, tuple(tasks.tolist()), seed, None)
    log = simulate_asha(opening.plan, cells, context, lanes, jax.local_devices(), with_unfinished=True)
    return past_of(opening, log)


def make_settings(**settings: Any) -> Settings:
    """``Settings`` from keyword arguments; ``InputError`` names an unknown one and lists the fields."""
    fields = [field.name for field in dataclasses.fields(Settings)]
    unknown = [name for name in settings if name not in fields]
    if unknown:
        raise InputError(f"setting {unknown[0]!r} is unknown: accepted are {', '.join(fields)}")
    return Settings(**settings)


def lacking(table: AnyTable, method: Method, settings: Settings) -> str | None:
    """What a table lacks for a method with these settings, in words; None if it can be served."""
    asked = dataclasses.replace(method, promotion=settings.promotion or method.promotion)
    found = (need.missing(table, settings) for need in asked.all_needs)
    return next((text for text in found if text is not None), None)


def make_plan(table: AnyTable, method: Method, settings: Settings, evaluations: int | None) -> AnyPlan:
    """The static description of a run of a method on a table."""
    chosen = PROMOTIONS[settings.promotion or method.promotion]
    missing = lacking(table, method, settings)
    if missing is not None:
        raise InputError(f"method {method.name!r} cannot serve table {table.name!r}: {missing}")
    if settings.weights is not None and len(settings.weights) != table.num_objectives:
        raise InputError(
            f"weights has {len(settings.weights)} values: {table.num_objectives} objectives need one each"
        )
    if settings.seed_objective not in range(table.num_objectives):
        raise InputError(
            f"seed_objective is {settings.seed_objective}: accepted are 0 to {table.num_objectives - 1}"
        )
    brackets = method.schedule(table, settings)
    if method.policy is not None:
        policy = method.policy(table, settings)
        opening = None if method.halving is None else _halving(table, method.halving, settings, evaluations)
        return SteadyPlan(brackets, policy, settings.workers, evaluations, settings.trials, opening)
    searcher = method.searcher(settings)
    if method.arrival is not None:
        return AshaPlan(
            brackets=brackets,
            searcher=searcher,
            arrival=chosen.arrival_rule(settings, method.arrival == "promotion"),
            promotes=method.arrival == "promotion",
            eta=settings.eta,
            num_workers=settings.workers,
            budget=evaluations,
            num_trials=settings.trials,
        )
    return Plan(
        brackets=brackets,
        searcher=searcher,
        promotion=chosen.rule(settings),
        num_workers=settings.workers,
        # What learns within the run waits for its results: idle workers cannot go on without them.
        overlap=settings.mode == "overlap" and not searcher.learns,
        budget=evaluations,
        opening=() if method.opening is None else method.opening(table, settings),
    )


def _halving(table: AnyTable, name: str, settings: Settings, evaluations: int | None) -> Opening:
    """Halving until as many full trainings were paid for as there are columns."""
    levels = METHODS[name].schedule(table, settings)[0].levels
    shares = tuple(table.fidelities[level] / table.fidelities[-1] for level in levels)
    # Enough cheap jobs for the trainings, and then a whole ladder for the first full one.
    ladder = sum(settings.eta**rung for rung in range(len(levels)))
    most = int(np.ceil(table.num_columns / shares[0] + ladder)) + settings.workers
    plan = make_plan(table, METHODS[name], settings, min(most, evaluations or most))
    assert isinstance(plan, AshaPlan)
    return Opening(plan, table.num_columns, shares)


def horizons(
    table: AnyTable,
    tasks: Sequence[str],
    workers: int,
    evaluations: int | None,
    seconds: float | int | Mapping[str, float | int] | None,
) -> list[float]:
    """Simulated seconds per task at which a run ends; infinite where a budget of evaluations ends it."""
    if evaluations is not None:
        _require_count("evaluations", evaluations)
    if seconds is None and evaluations is not None:
        return [np.inf] * len(tasks)
    if seconds is None:
        full = [_average_runtime(table, table.task_index(task)) for task in tasks]
        return [seconds * DEFAULT_EVALUATIONS / workers for seconds in full]
    per_task = seconds if isinstance(seconds, Mapping) else dict.fromkeys(tasks, seconds)
    for task in tasks:
        if task not in per_task:
            raise InputError(f"seconds has no entry for task {task!r}")
        if not 0 < float(per_task[task]) < np.inf:
            raise InputError(
                f"seconds is {per_task[task]} for task {task!r}: it must be a positive, finite number"
            )
    return [float(per_task[task]) for task in tasks]


def _average_runtime(table: AnyTable, task: int) -> float:
    """Mean seconds of a full evaluation, over the rows that the task offers."""
    return float(table.final_runtime(task)[table.measured(task)].mean())


def _on_device(table: AnyTable, plan: AnyPlan, resumable: bool | None) -> tuple[AnyPlan, Cells, np.ndarray]:
    """The cells that the plan can reach, the plan in their levels, and the table's fidelity of each level."""
    opening = plan.opening if isinstance(plan, Plan) else ()
    used = sorted({level for bracket in opening + plan.brackets for level in bracket.levels})
    values, factors, sources = table.cells(used)
    moved: dict[str, Any] = {"brackets": _in_levels(plan.brackets, used)}
    if opening:
        moved["opening"] = _in_levels(opening, used)
    if isinstance(plan, SteadyPlan) and plan.opening is not None:
        first = dataclasses.replace(plan.opening.plan, brackets=_in_levels(plan.opening.plan.brackets, used))
        moved["opening"] = dataclasses.replace(plan.opening, plan=first)
    cells = Cells(
        values=jnp.asarray(values.reshape(-1, values.shape[-1])),
        factors=None if factors is None else jnp.asarray(factors),
        resumable=jnp.asarray(table.resumable if resumable is None else resumable),
        sources=tuple(sources.tolist()),
        num_rows=table.num_rows,
        num_levels=len(used),
    )
    return dataclasses.replace(plan, **moved), cells, np.array(used)


def _in_levels(brackets: tuple[Bracket, ...], used: list[int]) -> tuple[Bracket, ...]:
    """Brackets in terms of places among the fidelities that are used."""
    return tuple(
        dataclasses.replace(bracket, levels=tuple(used.index(level) for level in bracket.levels))
        for bracket in brackets
    )


def _require_count(name: str, value: Any, most: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{name} is {value!r}: it must be a whole number of at least 1")
    if most is not None and value > most:
        raise InputError(f"{name} is {value!r}: at most {most:,} are accepted")


def _require_choice(name: str, value: Any, accepted: Sequence[str]) -> None:
    if value not in accepted:
        raise InputError(f"{name} is {value!r}: accepted are {', '.join(accepted)}")
