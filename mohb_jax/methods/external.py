"""Optimisers of other libraries, each as the library's users get it, on our tables and clock."""

import dataclasses
import functools
import importlib.metadata
import importlib.util
import subprocess
from pathlib import Path

from mohb_jax import external
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.errors import InputError
from mohb_jax.external import Adapter, ExternalPlan
from mohb_jax.methods.base import Method
from mohb_jax.methods.needs import Need
from mohb_jax.schedule import Bracket, full_fidelity
from mohb_jax.settings import Settings, count, one_of, positive, setting

ANSWERS = ("nearest", "exact")
REPEATS = ("unseen", "free", "pay")
_ADAPTERS = Path(external.__file__).parent / "adapters"


@dataclasses.dataclass(frozen=True)
class ExternalSettings(Settings):
    """Of every optimiser from outside.

    Attributes:
        answer: how a wish becomes a row.
        repeats: what happens when the nearest row was evaluated before.
        python: interpreter of another environment.
        timeout: of one answer.
    """

    answer: str = setting(
        "nearest",
        "nearest: the nearest row; exact: one that agrees in all categories, if there is any",
        check=one_of(ANSWERS),
    )
    repeats: str = setting(
        "unseen",
        "wishes for a row that was evaluated: unseen, the nearest that was not; free, the known result at "
        "once; pay, evaluated again",
        check=one_of(REPEATS),
    )
    python: str | None = setting(
        None, "interpreter of another environment, where a library cannot share this one"
    )
    timeout: float | int = setting(600, "time that one answer may take", check=positive, unit="s")


@dataclasses.dataclass(frozen=True)
class PopulationSettings(ExternalSettings):
    """Of optimisers with a population; 20 as in ours, whatever the library's default."""

    population: int = setting(20, "members of the population", check=count(10_000))


_HOW = [field.name for field in dataclasses.fields(ExternalSettings)]
"""Settings that are ours and not the library's."""


@dataclasses.dataclass(frozen=True)
class External(Method):
    """A method that another library decides.

    Attributes:
        adapter: ``path/to/file.py:Name`` or ``module:Name`` of the class that speaks for it, see
            ``external.server``.
        library: distribution that it needs; None for an adapter of a user's own.
        fidelities: whether it may ask for more than the highest.
    """

    _: dataclasses.KW_ONLY
    adapter: str
    library: str | None = None
    fidelities: bool = False
    settings: type[Settings] = ExternalSettings

    def plan(self, table: AnyTable, settings: ExternalSettings, conditions: Conditions) -> ExternalPlan:
        """See ``Method``."""
        every = Bracket((1,) * table.num_fidelities, tuple(range(table.num_fidelities)))
        own = dataclasses.asdict(settings)
        return ExternalPlan(
            adapter=Adapter(
                self.adapter,
                self.label,
                tuple((name, value) for name, value in own.items() if name not in _HOW),
                settings.python,
                float(settings.timeout),
            ),
            brackets=(every,) if self.fidelities else full_fidelity(table.fidelities, 1),
            num_workers=conditions.workers,
            budget=conditions.evaluations,
            answer=settings.answer,
            repeats=settings.repeats,
            resumable=conditions.resumable,
        )

    def needs_with(self, settings: ExternalSettings | None) -> tuple[Need, ...]:
        """See ``Method``; a library of another environment is not looked for here."""
        elsewhere = settings is not None and settings.python is not None
        own = () if self.library is None or elsewhere else (_installed(self.library),)
        return (*own, *self.requires)

    def libraries(self, settings: ExternalSettings) -> dict[str, str]:
        """See ``Method``; of the environment that the settings name."""
        return {} if self.library is None else {self.library: _version(self.library, settings.python)}


@functools.cache
def _version(library: str, python: str | None) -> str:
    if python is None:
        return importlib.metadata.version(library)
    code = f"import importlib.metadata as m; print(m.version({library!r}))"
    try:
        told = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"python {python!r} cannot be run, or has no {library}") from error
    return told.stdout.strip()


@functools.cache
def _installed(library: str) -> Need:
    def missing(table: AnyTable, settings: Settings) -> str | None:
        del table, settings
        if importlib.util.find_spec(library) is not None:
            return None
        return f"it needs {library}, which is not installed: pip install 'mohb-jax[external-light]'"

    return Need(f"{library} (pip install 'mohb-jax[external-light]')", missing)


def _optuna(name: str, summary: str, adapter: str, settings: type[Settings] = ExternalSettings) -> External:
    path = f"{_ADAPTERS / 'optuna_samplers.py'}:{adapter}"
    return External(
        f"optuna-{name}", summary, adapter=path, library="optuna", settings=settings, microseconds=20_000
    )


def _pymoo(name: str, summary: str, adapter: str) -> External:
    path = f"{_ADAPTERS / 'pymoo_algorithms.py'}:{adapter}"
    return External(
        f"pymoo-{name}",
        summary,
        adapter=path,
        library="pymoo",
        settings=PopulationSettings,
        microseconds=1000,
    )


METHODS = (
    _optuna("random", "Optuna's random sampler: the control for how wishes are answered", "Random"),
    _optuna("tpe", "Optuna's default: Parzen estimators of each column (Akiba et al. 2019)", "Tpe"),
    _optuna("tpe-multivariate", "Optuna's Parzen estimators of all columns together", "TpeMultivariate"),
    _optuna("nsga2", "Optuna's NSGA-II", "Nsga2", PopulationSettings),
    _optuna("nsga3", "Optuna's NSGA-III", "Nsga3", PopulationSettings),
    _pymoo("nsga2", "pymoo's NSGA-II, a generation at a time (Blank and Deb 2020)", "Nsga2"),
    _pymoo("sms-emoa", "pymoo's SMS-EMOA", "SmsEmoa"),
)
