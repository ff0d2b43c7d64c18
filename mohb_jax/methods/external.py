"""Optimisers of other libraries, each as the library's users get it, on our tables and clock."""

import dataclasses
import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import NamedTuple

from mohb_jax import external
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.errors import InputError
from mohb_jax.external import Adapter, ExternalPlan
from mohb_jax.methods.base import Method
from mohb_jax.methods.needs import FIDELITIES, Need
from mohb_jax.schedule import Bracket, full_fidelity
from mohb_jax.settings import Settings, count, one_of, positive, setting

ANSWERS = ("nearest", "exact")
REPEATS = ("unseen", "free", "pay")
OVERHEADS = ("none", "measured")
_ADAPTERS = Path(external.__file__).parent / "adapters"


@dataclasses.dataclass(frozen=True)
class ExternalSettings(Settings):
    """Of every optimiser from outside.

    Attributes:
        answer: how a wish becomes a row.
        repeats: what happens when the nearest row was evaluated before.
        overhead: whether thinking takes simulated time.
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
    overhead: str = setting(
        "none",
        "simulated time that thinking takes: none, or the processor time measured on this machine: such runs "
        "cannot be had again",
        check=one_of(OVERHEADS),
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


class Library(NamedTuple):
    """A distribution that an adapter imports, the lowest version that does, and what gets it."""

    name: str
    lowest: str
    install: str

    @property
    def command(self) -> str:
        """What to type."""
        return f"pip install {self.install}"


@dataclasses.dataclass(frozen=True)
class External(Method):
    """A method that another library decides.

    Attributes:
        adapter: ``path/to/file.py:Name`` or ``module:Name`` of the class that speaks for it, see
            ``external.server``.
        uses: libraries that it needs, the one that decides first; none for an adapter of a user's own.
        fidelities: whether it may ask for more than the highest.
    """

    _: dataclasses.KW_ONLY
    adapter: str
    uses: tuple[Library, ...] = ()
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
            overhead=settings.overhead == "measured",
            resumable=conditions.resumable,
        )

    def needs_with(self, settings: ExternalSettings | None) -> tuple[Need, ...]:
        """See ``Method``; a library of another environment is not looked for here."""
        elsewhere = settings is not None and settings.python is not None
        own = () if elsewhere else tuple(_installed(library) for library in self.uses)
        return (*own, *self.requires)

    def libraries(self, settings: ExternalSettings) -> dict[str, str]:
        """See ``Method``; of the environment that the settings name, and where thinking takes time the
        machine that measured it."""
        machine = {"machine": platform.node()} if settings.overhead == "measured" else {}
        return {library.name: _version(library.name, settings.python) for library in self.uses} | machine


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
def _installed(library: Library) -> Need:
    def missing(table: AnyTable, settings: Settings) -> str | None:
        del table, settings
        try:
            version = importlib.metadata.version(library.name)
        except importlib.metadata.PackageNotFoundError:
            return f"it needs {library.name}, which is not installed: {library.command}"
        if _numbers(version) >= _numbers(library.lowest):
            return None
        return f"it needs {library.name} {library.lowest} or later, and has {version}: {library.command}"

    return Need(f"{library.name} ({library.command})", missing)


def _numbers(version: str) -> tuple[int, ...]:
    """The release of a version: 5.0.0rc1 is 5.0."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _no_numeric_space(table: AnyTable, settings: Settings) -> str | None:
    del settings
    named = next((column.name for column in table.columns if column.kind == "categorical"), None)
    if named is not None:
        return f"it needs columns that are numbers, and {named!r} is categorical"
    return None if len(table.columns) > 1 else "it needs two columns, the table has one"


NUMERIC = Need("numeric columns", _no_numeric_space)
LIGHT = "'mohb-jax[external-light]'"
OPTUNA = Library("optuna", "4.4", LIGHT)
PYMOO = Library("pymoo", "0.6", LIGHT)
CMA = Library("cma", "4.0", LIGHT)
SMAC = Library("smac", "2.4", "'mohb-jax[smac]'")
SYNE_TUNE = Library("syne-tune", "0.16", "'mohb-jax[syne-tune]'")
NEPS = Library("neural-pipeline-search", "0.17", "neural-pipeline-search")
AX = Library("ax-platform", "1.0", "ax-platform")
TORCH = Library("torch", "2.4", "torch")
_FILES = {
    OPTUNA: "optuna_samplers.py",
    PYMOO: "pymoo_algorithms.py",
    CMA: "cma_strategies.py",
    SMAC: "smac_facades.py",
    SYNE_TUNE: "syne_tune_schedulers.py",
    NEPS: "neps_optimizers.py",
    AX: "ax_clients.py",
}


def _external(
    name: str,
    summary: str,
    adapter: str,
    *uses: Library,
    microseconds: float | int,
    settings: type[Settings] = ExternalSettings,
    requires: tuple[Need, ...] = (),
) -> External:
    return External(
        name,
        summary,
        adapter=f"{_ADAPTERS / _FILES[uses[0]]}:{adapter}",
        uses=uses,
        settings=settings,
        requires=requires,
        fidelities=FIDELITIES in requires,
        microseconds=microseconds,
    )


METHODS = (
    _external(
        "optuna-random",
        "Optuna's random sampler: the control for how wishes are answered",
        "Random",
        OPTUNA,
        microseconds=2000,
    ),
    _external(
        "optuna-tpe",
        "Optuna's default: Parzen estimators of each column (Akiba et al. 2019)",
        "Tpe",
        OPTUNA,
        microseconds=20_000,
    ),
    _external(
        "optuna-tpe-multivariate",
        "Optuna's Parzen estimators of all columns together",
        "TpeMultivariate",
        OPTUNA,
        microseconds=20_000,
    ),
    _external(
        "optuna-nsga2", "Optuna's NSGA-II", "Nsga2", OPTUNA, microseconds=3000, settings=PopulationSettings
    ),
    _external(
        "optuna-nsga3", "Optuna's NSGA-III", "Nsga3", OPTUNA, microseconds=3000, settings=PopulationSettings
    ),
    _external(
        "optuna-gp",
        "Optuna's Gaussian processes: expected improvement of the hypervolume",
        "Gp",
        OPTUNA,
        TORCH,
        microseconds=1_000_000,
    ),
    _external(
        "pymoo-nsga2",
        "pymoo's NSGA-II, a generation at a time (Blank and Deb 2020)",
        "Nsga2",
        PYMOO,
        microseconds=1000,
        settings=PopulationSettings,
    ),
    _external(
        "pymoo-sms-emoa", "pymoo's SMS-EMOA", "SmsEmoa", PYMOO, microseconds=1000, settings=PopulationSettings
    ),
    _external(
        "cma-parego",
        "CMA-ES, each generation on another scalarisation (Hansen; Knowles 2006)",
        "Parego",
        CMA,
        microseconds=2000,
        requires=(NUMERIC,),
    ),
    _external(
        "smac-parego",
        "SMAC3's random forests on ParEGO's scalarisation (Lindauer et al. 2022)",
        "Parego",
        SMAC,
        microseconds=300_000,
    ),
    _external(
        "smac-hb",
        "SMAC3's multi-fidelity facade: random forests in Hyperband, cut by fronts and crowding",
        "Hyperband",
        SMAC,
        microseconds=300_000,
        requires=(FIDELITIES,),
    ),
    _external(
        "syne-moasha",
        "Syne Tune's MO-ASHA, which stops trials (Schmucker et al. 2021)",
        "Moasha",
        SYNE_TUNE,
        microseconds=20_000,
        requires=(FIDELITIES,),
    ),
    _external(
        "syne-morea",
        "Syne Tune's multi-objective regularised evolution",
        "Morea",
        SYNE_TUNE,
        microseconds=3000,
        settings=PopulationSettings,
    ),
    _external(
        "neps-mo-hb",
        "NePS's Hyperband that promotes by an epsilon net; in a Python of its own (setting python)",
        "MoHyperband",
        NEPS,
        microseconds=20_000,
        requires=(FIDELITIES,),
    ),
    _external(
        "ax",
        "Ax's default, BoTorch's qLogNEHVI (Ament et al. 2023); in a Python of its own (setting python)",
        "Ax",
        AX,
        microseconds=6_000_000,
    ),
)
