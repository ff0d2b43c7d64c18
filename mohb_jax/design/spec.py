"""Design files: what is searched, on what, and against what the winner is tested."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.design.space import Space, asks_others, make_space, shapes_of
from mohb_jax.design.trials import BLOCK, SIDE_BY_SIDE
from mohb_jax.errors import InputError, did_you_mean, yaml_reason
from mohb_jax.methods import METHODS, require_known
from mohb_jax.settings import first_error
from mohb_jax.study.entries import BenchmarkEntry
from mohb_jax.yaml_text import read_yaml


class Design(pydantic.BaseModel):
    """What a design file says.

    Attributes:
        name: of the folder.
        train: benchmarks, and which of their tasks, on which methods are searched.
        test: those on which the winner is judged; no task of ``train``.
        space: what of the space may be chosen, by part; all by default.
        trainings: how long a run is: the time in which the workers do so many average full trainings.
        workers: simulated workers.
        rows: of each training benchmark at most, sampled.
        shapes: static choices that are drawn; each is a few programs.
        seeds: runs of each task in a round of the search, and of each other candidate.
        neighbours: static choices that differ in one part from the best one, tried twice.
        programs: compiled by searches and explanation at most: a static choice that could exceed it is left
            out.
        refined: shapes whose numbers are refined.
        refinements: batches of eight settings for each of them.
        runs: tuning runs after which a search begins nothing new.
        searches: independent ones, from other seeds; the first one's winner is tested.
        eliminate: ``race`` or ``halve``.
        explained: runs of each task for each step of the explanation.
        combined: runs of each task for each combination of schedule, sample and promotion; none if 0.
        against: methods that the winner is compared with; all that come with the package by default.
        skip: methods that are not run on a test benchmark, by its name, because they take too long there.
        tests: runs of each test task.
        fewer: the same on a test benchmark, by its name, where it has many tasks or takes long.
        seed: root seed.
    """

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    name: str = "design"
    train: list[BenchmarkEntry] = pydantic.Field(min_length=1)
    test: list[BenchmarkEntry] = []
    space: dict[str, Any] = {}
    trainings: int = pydantic.Field(50, ge=1)
    workers: int = pydantic.Field(4, ge=1)
    rows: int = pydantic.Field(2000, ge=32)
    shapes: int = pydantic.Field(20, ge=1)
    seeds: int = pydantic.Field(32, ge=BLOCK)
    neighbours: int = pydantic.Field(8, ge=0)
    programs: int = pydantic.Field(150, ge=32)
    refined: int = pydantic.Field(2, ge=0)
    refinements: int = pydantic.Field(6, ge=0)
    runs: int = pydantic.Field(1_000_000, ge=1)
    searches: int = pydantic.Field(2, ge=1, le=8)
    eliminate: Literal["race", "halve"] = "race"
    explained: int = pydantic.Field(64, ge=2 * BLOCK)
    combined: int = pydantic.Field(0, ge=0)
    against: list[str] | None = None
    skip: dict[str, list[str]] = {}
    tests: int = pydantic.Field(200, ge=2)
    fewer: dict[str, Annotated[int, pydantic.Field(ge=2)]] = {}
    seed: int = pydantic.Field(0, ge=0, lt=2**31)

    @pydantic.field_validator("train", "test", mode="before")
    @classmethod
    def _names(cls, entries: Any) -> Any:
        if not isinstance(entries, list):
            return entries
        return [{"name": entry} if isinstance(entry, str) else entry for entry in entries]

    @pydantic.field_validator("seeds", "explained", "combined")
    @classmethod
    def _blocks(cls, count: int) -> int:
        if count % BLOCK:
            raise ValueError(f"a multiple of {BLOCK} is accepted: so many runs are compared together")
        return count

    @property
    def methods(self) -> list[str]:
        """Names of the methods to compare with."""
        return list(METHODS) if self.against is None else self.against

    @property
    def asks_prior(self) -> bool:
        """Whether some choice of the space learns from other tasks."""
        return any(asks_others(shape) for shape in shapes_of(self.chosen_from))

    @property
    def blocks_at_once(self) -> int:
        """Blocks of runs of one call."""
        return min(self.seeds // BLOCK, SIDE_BY_SIDE)

    @property
    def chosen_from(self) -> Space:
        """The space."""
        return make_space(self.space)


def load_design(path: Path) -> Design:
    """Reads a design file.

    Raises:
        InputError: naming the file, the field and what is wrong with it; or no test task is left.
    """
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"design file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"design file {path} cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"design file {path} is not YAML: {yaml_reason(error)}") from error
    return make_design(content, f"design file {path}")


def make_design(content: Any, source: str = "design") -> Design:
    """A checked design; see ``load_design``."""
    if not isinstance(content, dict):
        raise InputError(f"{source} is not a mapping: it needs at least train and test")
    try:
        design = Design.model_validate(content)
    except pydantic.ValidationError as error:
        raise InputError(f"{source}: {_wrong(error)}") from error
    try:
        _check(design)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    return design


def _wrong(error: pydantic.ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] != "extra_forbidden":
        return first_error(error)
    name = str(first["loc"][-1])
    accepted = list(Design.model_fields if len(first["loc"]) == 1 else BenchmarkEntry.model_fields)
    return f"unknown key {name!r}{did_you_mean(name, accepted)}: accepted are {', '.join(accepted)}"


def _check(design: Design) -> None:
    make_space(design.space)
    for name in design.methods:
        require_known("method", name, METHODS)
    if not design.test:
        raise InputError("test is empty: without test tasks nothing can be said of a winner")
    for name in (*design.skip, *design.fewer):
        require_choice("test benchmark", name, [entry.name for entry in design.test])
    trained = {entry.name: entry.tasks for entry in design.train}
    for entry in design.test:
        if entry.name not in trained:
            continue
        own, other = trained[entry.name], entry.tasks
        if own is None or other is None or set(own) & set(other):
            raise InputError(f"test: tasks of {entry.name!r} are trained on: no test task of it is left")
