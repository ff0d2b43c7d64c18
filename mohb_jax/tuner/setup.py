"""What a live run is: all that its journal's head says, and how it begins."""

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mohb_jax.benchmarks import checks
from mohb_jax.benchmarks.before_training import known_objectives
from mohb_jax.benchmarks.columns import Column, Objective, whole
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.files import load_table
from mohb_jax.benchmarks.npz import read_npz, write_npz
from mohb_jax.drivers.base import Plan
from mohb_jax.drivers.live import begin
from mohb_jax.drivers.verdicts import LiveRun
from mohb_jax.errors import InputError
from mohb_jax.guards import guarded
from mohb_jax.methods import make_plan, make_settings, method_named
from mohb_jax.methods.external import External
from mohb_jax.plugins import telling
from mohb_jax.precision import in_64_bits
from mohb_jax.settings import plain_value, require_count
from mohb_jax.simulation import comes_with_package, lanes_of, make_conditions
from mohb_jax.transfer import Prior
from mohb_jax.tuner.candidates import Candidates
from mohb_jax.tuner.space import Space

FORMAT = 1
"""Of journals."""
SPACE_FORMAT = "mohb-space-1"
PRIOR_FORMAT = "mohb-prior-1"


@dataclasses.dataclass(frozen=True)
class Setup:
    """All that the decisions of a live run depend on, beside the order of its operations.

    The attributes are the arguments of ``Tuner``.
    """

    space: Space
    objectives: tuple[Objective, ...]
    method: str
    settings: Mapping[str, Any]
    fidelities: tuple[float | int, ...]
    fidelity: str
    workers: int
    evaluations: int | None
    seconds: float | int | None
    seed: int
    run: int
    task: str
    retries: int
    prior: Prior | None
    sources: AnyTable | None

    def candidates(self) -> Candidates:
        """The space as methods see it."""
        return Candidates(
            self.space, self.objectives, self.fidelities, self.fidelity, self.task, self.sources
        )

    @property
    def horizon(self) -> float:
        """Seconds after which nothing is launched."""
        return math.inf if self.seconds is None else float(self.seconds)

    def head(self, began: float, version: str) -> dict[str, Any]:
        """The first line of a journal, with which ``same_run`` compares others."""
        return {
            "mohb": FORMAT,
            "version": version,
            "began": began,
            "method": self.method,
            "settings": dict(self.settings),
            "objectives": [dataclasses.asdict(objective) for objective in self.objectives],
            "fidelities": list(self.fidelities),
            "fidelity": self.fidelity,
            "workers": self.workers,
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "seed": self.seed,
            "run": self.run,
            "task": self.task,
            "retries": self.retries,
            "space": self.space.fingerprint,
            "prior": None if self.prior is None else _prior_hash(self.prior),
            "sources": None if self.sources is None else self.sources.fingerprint,
        }


def _prior_hash(prior: Prior) -> str:
    """SHA-256 (hex) of its predictions."""
    digest = hashlib.sha256(prior.name.encode())
    for array in (prior.mu, prior.sigma):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@in_64_bits
def start(setup: Setup) -> tuple[LiveRun, tuple[int, ...]]:
    """A run that has launched nothing, and the index into the fidelities of each of its levels.

    Raises:
        InputError: the method cannot serve the space, or the settings are not accepted.
    """
    method, candidates = method_named(setup.method), setup.candidates()
    if isinstance(method, External):
        raise InputError(f"method {method.label!r} is of another library: it cannot be asked and told live")
    settings = make_settings(method, **setup.settings)
    _require_known(setup, candidates, settings)
    if setup.prior is not None and setup.sources is None:
        method_to_plan = dataclasses.replace(method, transfers=False)  # the prior is what others say
    else:
        method_to_plan = method
    conditions = make_conditions(workers=setup.workers, evaluations=setup.evaluations)
    plan: Plan = make_plan(candidates, method_to_plan, settings, conditions)
    plan = plan if comes_with_package(method, settings) else guarded(plan, method.label)
    with telling(method.label):
        context, used = plan.prepare(candidates, (0,), setup.seed, setup.prior), plan.levels()
        lanes = lanes_of(1, setup.run, 1, setup.seed, [setup.horizon])
        run = begin(plan.in_levels(used), context, lanes, candidates.num_objectives, len(used))
    return run, used


def _require_known(setup: Setup, candidates: Candidates, settings: Any) -> None:
    """``InputError`` where an objective is declared to be known, and the space has no values of it."""
    for index in known_objectives(candidates, getattr(settings, "known", None) or ()):
        name = candidates.objectives[index].name
        if name not in setup.space.known:
            raise InputError(f"known names {name!r}: give its values with Space.with_known({name}=...)")


def parsed_objectives(objectives: Mapping[str, str] | Sequence[Objective]) -> tuple[Objective, ...]:
    """Objectives from ``{"error": "min", "cost": "min USD"}``.

    Raises:
        InputError: there is none, or a sense or a unit is no good.
    """
    if not objectives:
        raise InputError('objectives is empty: give them as {"error": "min", "seconds": "min s"}')
    if not isinstance(objectives, Mapping):
        return tuple(objectives)
    parts = {name: str(text).split(maxsplit=1) for name, text in objectives.items()}
    return tuple(
        Objective(name, *(part if len(part) == 2 else [*part, "1"] if part else ["", "1"]))
        for name, part in parts.items()
    )


def make_setup(
    space: Space,
    objectives: Mapping[str, str] | Sequence[Objective],
    method: str,
    settings: Mapping[str, Any],
    fidelities: Sequence[float | int],
    **others: Any,
) -> Setup:
    """A setup whose parts are checked one by one.

    Raises:
        InputError: naming the argument at fault.
    """
    if not isinstance(space, Space):
        raise InputError(f"space is a {type(space).__name__}: a Space is needed, such as Space.sample makes")
    plain = {name: plain_value(value) for name, value in settings.items()}
    setup = Setup(
        space=space,
        objectives=parsed_objectives(objectives),
        method=method,
        settings=plain,
        fidelities=tuple(whole(value) for value in fidelities),
        **others,
    )
    for name in ("workers", "evaluations"):
        if getattr(setup, name) is not None:
            require_count(name, getattr(setup, name))
    if setup.seconds is not None and not 0 < float(setup.seconds) < math.inf:
        raise InputError(f"seconds is {setup.seconds!r}: it must be a positive, finite number")
    if isinstance(setup.retries, bool) or not isinstance(setup.retries, int) or setup.retries < 0:
        raise InputError(f"retries is {setup.retries!r}: it must be a whole number of at least 0")
    checks.check_names(setup.candidates())
    return setup


def beside(journal: Path, what: str) -> Path:
    """The file of a part of a setup: ``JOURNAL.space.npz``."""
    return journal.with_name(f"{journal.name}.{what}.npz")


def save_parts(setup: Setup, journal: Path) -> None:
    """Writes what a head only names."""
    space = setup.space
    arrays = {"configs": space.configs, **{f"known:{name}": part for name, part in space.known.items()}}
    columns = [dataclasses.asdict(column) for column in space.columns]
    write_npz(beside(journal, "space"), SPACE_FORMAT, {"columns": columns}, arrays)
    if setup.sources is not None:
        setup.sources.save(beside(journal, "sources"))
    if setup.prior is not None:
        _save_prior(setup.prior, beside(journal, "prior"))


def _save_prior(prior: Prior, path: Path) -> None:
    plain = {
        "name": prior.name,
        "tasks": prior.tasks,
        "columns": [dataclasses.asdict(column) for column in prior.columns],
        "objectives": [dataclasses.asdict(objective) for objective in prior.objectives],
    }
    arrays = {"mu": prior.mu, "sigma": prior.sigma}
    if prior.correlation is not None:
        arrays["correlation"] = prior.correlation
    write_npz(path, PRIOR_FORMAT, plain, arrays)


def _columns(entries: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    return tuple(Column(**{**entry, "levels": tuple(entry["levels"])}) for entry in entries)


def _read_prior(path: Path) -> Prior:
    content = read_npz(path)
    about = content.metadata
    objectives = tuple(Objective(**entry) for entry in about["objectives"])
    return Prior(
        about["name"], tuple(about["tasks"]), _columns(about["columns"]), objectives, **content.arrays
    )


def _read_space(path: Path) -> Space:
    content = read_npz(path)
    known = {name.removeprefix("known:"): part for name, part in content.arrays.items() if name != "configs"}
    return Space(_columns(content.metadata["columns"]), content.arrays["configs"], known)


def read_setup(head: Mapping[str, Any], journal: Path) -> Setup:
    """The setup that a journal's head describes.

    Raises:
        InputError: the journal is of a newer version, or a file beside it is missing or of another run.
    """
    if head.get("mohb") != FORMAT:
        raise InputError(f"journal {journal} has format {head.get('mohb')!r}: this version reads {FORMAT}")
    try:
        space = _read_space(beside(journal, "space"))
        prior = None if head["prior"] is None else _read_prior(beside(journal, "prior"))
        sources = None if head["sources"] is None else load_table(beside(journal, "sources"))
        names = [field.name for field in dataclasses.fields(Setup)]
        plain = {
            name: head[name] for name in names if name not in ("space", "objectives", "prior", "sources")
        }
        objectives = tuple(Objective(**entry) for entry in head["objectives"])
    except FileNotFoundError as error:
        raise InputError(f"journal {journal}: {error.filename} is missing beside it") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"journal {journal}, line 1: no head of a live run ({error})") from error
    if space.fingerprint != head["space"]:
        raise InputError(
            f"journal {journal} is of another space: {head['space'][:12]} there, {space.fingerprint[:12]} in "
            f"{beside(journal, 'space').name}"
        )
    return make_setup(space, objectives, **plain, prior=prior, sources=sources)


def require_same_run(head: Mapping[str, Any], setup: Setup, journal: Path) -> None:
    """``InputError`` that names what differs, unless a journal's head describes this setup."""
    own = setup.head(0.0, "")
    for name, value in own.items():
        if name not in ("version", "began") and _as_json(value) != head.get(name):
            theirs, ours = (str(part)[:60] for part in (head.get(name), value))
            differs = "has other rows" if name == "space" else f"is {theirs}, not {ours}"
            raise InputError(
                f"journal {journal} is of another run: its {name} {differs}; "
                f"Tuner.open({str(journal)!r}) goes on with it, another journal begins anew"
            )


def _as_json(value: Any) -> Any:
    return (
        [_as_json(part) for part in value]
        if isinstance(value, list | tuple)
        else ({name: _as_json(part) for name, part in value.items()} if isinstance(value, Mapping) else value)
    )


def rungs(low: float | int, high: float | int, eta: float | int = 3) -> tuple[float | int, ...]:
    """Fidelities from one to another, each ``eta`` times the one before; the highest is exact, and all are
    whole where both ends are.

    Raises:
        InputError: no positive, increasing ends, or a factor that is not above 1.

    Examples:
        >>> rungs(1, 81)
        (1, 3, 9, 27, 81)
    """
    if not (0 < low <= high < math.inf and 1 < eta < math.inf):
        raise InputError(f"rungs({low!r}, {high!r}, {eta!r}): positive ends and a factor above 1 are needed")
    value, least, factor = (Fraction(str(part)) for part in (high, low, eta))
    is_whole = value.denominator == least.denominator == 1
    found: list[float | int] = []
    while value >= least:
        found.append(round(value) if is_whole else whole(float(value)))
        value /= factor
    return tuple(sorted(set(found)))
