"""Concrete relaxation on a surrogate that is learnt in the run, after SNAS and DARTS."""

import dataclasses

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Synchronous
from mohb_jax.methods.needs import CHOICES, OPERATIONS
from mohb_jax.schedule import Bracket, full_fidelity
from mohb_jax.searchers import concrete
from mohb_jax.searchers.base import Searcher
from mohb_jax.searchers.relaxation import DISCRETISE, EDGES, SAMPLES, Relaxation
from mohb_jax.settings import Settings, at_least, count, one_of, setting


@dataclasses.dataclass(frozen=True)
class RelaxationSettings(Settings):
    """How choices are relaxed.

    Attributes:
        sample: what the surrogate is asked for.
        edges: how levels of columns that name operations compete.
        discretise: whether columns are fixed on the way, and by what.
        resource_weight: of the logarithm of known objectives.
        annealing: evaluations in which the temperature falls.
        known: names of objectives that are known without training; None for those that count parameters or
            operations.
    """

    sample: str = setting(
        "concrete",
        "concrete: between levels, with noise; straight: at one level; softmax: between, without noise",
        check=one_of(SAMPLES),
    )
    edges: str = setting(
        "softmax", "softmax: levels of an edge compete; sigmoid: each has a gate", check=one_of(EDGES)
    )
    discretise: str = setting(
        "none",
        "fixes one column after another: the one of least entropy (confidence), or by leaving out its levels "
        "(perturbation); none fixes none",
        check=one_of(DISCRETISE),
    )
    resource_weight: float | int = setting(
        0.01, "of the logarithm of known objectives; means nothing where none is known", check=at_least(0)
    )
    annealing: int = setting(
        100, "evaluations in which the temperature falls, and columns are fixed", check=count()
    )
    known: tuple[str, ...] | None = setting(
        None, "objectives known without training; by default those that count parameters or operations"
    )


def _one_batch(table: AnyTable, settings: Settings, conditions: Conditions) -> tuple[Bracket, ...]:
    del settings, conditions
    return full_fidelity(table.fidelities, concrete.BATCH)


def _searcher(own: RelaxationSettings) -> Searcher:
    relaxation = Relaxation(own.sample, own.edges, own.discretise, float(own.resource_weight), own.annealing)
    return concrete.concrete(own.known, relaxation)


METHODS = (
    Synchronous(
        "concrete",
        "concrete relaxation on a surrogate learnt in the run (after SNAS, DARTS)",
        settings=RelaxationSettings,
        schedule=_one_batch,
        searcher=_searcher,
        requires=(CHOICES, OPERATIONS),
        microseconds=150,
    ),
)
