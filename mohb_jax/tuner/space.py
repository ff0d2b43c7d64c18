"""What may be tried: a finite table of configurations, from which methods choose rows."""

import dataclasses
import functools
import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats.qmc
from jaxtyping import Float

from mohb_jax.benchmarks import checks
from mohb_jax.benchmarks.columns import Column, Level, require_choice, whole
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.space import encoded, nearest
from mohb_jax.errors import InputError
from mohb_jax.settings import require_count

DEFAULT_ROWS = 4096
"""A random wish is then 2 % of the diagonal away from its nearest row where there are 3 columns, 8 % where
there are 6, 14 % where there are 10."""
MOST_ROWS = 1_000_000
DESIGNS = ("sobol", "lhs", "random")


@dataclasses.dataclass(frozen=True)
class Domain:
    """The values that a column may have; made by ``uniform``, ``log``, ``integer``, ``choice``, ``ordered``
    and ``hardware``.

    Attributes:
        kind: of the column, see ``Column``.
        role: of the column.
        low: smallest value of a column of numbers.
        high: largest.
        is_whole: whether its values are whole numbers.
        levels: of a column with levels.
    """

    kind: str
    role: str = "hyperparameter"
    low: float = 0.0
    high: float = 0.0
    is_whole: bool = False
    levels: tuple[Level, ...] = ()

    def values(self, unit: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Numbers from [0, 1) as values, or as indices of levels."""
        if self.levels:
            return np.minimum(np.floor(unit * len(self.levels)), len(self.levels) - 1)
        high = self.high + 1 if self.is_whole else self.high
        if self.kind == "log":
            values = self.low * (high / self.low) ** unit
        else:
            values = self.low + unit * (high - self.low)
        return np.clip(np.floor(values) if self.is_whole else values, self.low, self.high)


def uniform(low: float | int, high: float | int, role: str = "hyperparameter") -> Domain:
    """Numbers between two, all alike."""
    return _numbers("continuous", low, high, False, role)


def log(low: float | int, high: float | int, role: str = "hyperparameter") -> Domain:
    """Numbers between two, alike in their logarithm."""
    return _numbers("log", low, high, False, role)


def integer(low: float | int, high: float | int, log: bool = False, role: str = "hyperparameter") -> Domain:
    """Whole numbers from one to another, both included."""
    return _numbers("log" if log else "continuous", low, high, True, role)


def choice(levels: Sequence[Level], role: str = "hyperparameter") -> Domain:
    """One of some values without an order."""
    return Domain("categorical", role, levels=tuple(levels))


def ordered(levels: Sequence[Level], role: str = "hyperparameter") -> Domain:
    """One of some values in their order."""
    return Domain("ordinal", role, levels=tuple(levels))


def hardware(levels: Sequence[Level]) -> Domain:
    """One of some machines: a column of role hardware, with which all others are crossed."""
    return choice(levels, "hardware")


def _numbers(kind: str, low: float | int, high: float | int, is_whole: bool, role: str) -> Domain:
    least = 0 if kind == "log" else -math.inf
    if not least < low < high < math.inf:
        above = " above 0" if kind == "log" else ""
        raise InputError(
            f"a column from {low!r} to {high!r}: two finite, increasing numbers{above} are needed"
        )
    if is_whole and not (float(low).is_integer() and float(high).is_integer()):
        raise InputError(f"an integer column from {low!r} to {high!r}: whole numbers are needed")
    return Domain(kind, role, float(low), float(high), is_whole)


@dataclasses.dataclass(frozen=True, eq=False)
class Space:
    """The configurations that a live run may try: a method proposes rows of it, as it does of a table.

    Attributes:
        columns: meaning of the columns of ``configs``.
        configs: one distinct row per configuration: values, or indices into ``Column.levels``; read-only.
        known: published values of objectives that are known without training, one per row, by name.

    Raises:
        InputError: naming the row or column at fault.

    Examples:
        >>> space = Space.sample({"lr": log(1e-5, 0.1), "width": integer(16, 64)}, n=8)
        >>> len(space), sorted(space.config(0))
        (8, ['lr', 'width'])
    """

    columns: tuple[Column, ...]
    configs: np.ndarray  # [rows, columns] float64
    known: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        configs = np.array(self.configs, np.float64)
        configs.setflags(write=False)
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "configs", configs)
        checks.check_rows("space", self.columns, configs)
        for name, values in self.known.items():
            if np.shape(values) != (len(self),) or not np.isfinite(values).all():
                raise InputError(
                    f"known {name!r}: one finite number for each of the {len(self)} rows is needed"
                )

    def __len__(self) -> int:
        return len(self.configs)

    def __repr__(self) -> str:
        return f"Space({len(self)} rows, columns {', '.join(column.name for column in self.columns)})"

    @classmethod
    def sample(
        cls, domains: Mapping[str, Any], n: int = DEFAULT_ROWS, design: str = "sobol", seed: int = 0
    ) -> "Space":
        """Configurations spread over a box.

        Args:
            domains: by column name; a list of text is a ``choice``, one of increasing numbers is ``ordered``.
            n: configurations, before those that are equal are left out; rounded up to a power of two for
                ``sobol``. Each is offered on each machine of a ``hardware`` column.
            design: ``sobol`` (scrambled), ``lhs`` (Latin hypercube) or ``random``.
            seed: of the design.

        Raises:
            InputError: naming the column at fault.
        """
        require_count("n", n, MOST_ROWS)
        require_choice("design of a space", design, DESIGNS)
        own = _domains(domains)
        machines = {name: part for name, part in own.items() if part.role == "hardware"}
        others = {name: part for name, part in own.items() if part.role != "hardware"}
        points = _points(len(others), n, design, seed)
        base = np.stack([part.values(u) for part, u in zip(others.values(), points.T, strict=True)], axis=1)
        return cls(*_crossed(others, base, machines))

    @classmethod
    def grid(cls, domains: Mapping[str, Any]) -> "Space":
        """All combinations of some values.

        Args:
            domains: values by column name: increasing numbers are ordered, all others a choice; or a
                ``choice``, ``ordered`` or ``hardware`` domain.

        Raises:
            InputError: more than a million combinations, or a column that has no list of values.
        """
        own = _domains(domains)
        for name, part in own.items():
            if not part.levels:
                raise InputError(f"column {name!r}: a grid needs a list of values")
        count = math.prod(len(part.levels) for part in own.values())
        if count > MOST_ROWS:
            raise InputError(f"the grid has {count:,} rows: at most {MOST_ROWS:,} are accepted")
        machines = {name: part for name, part in own.items() if part.role == "hardware"}
        others = {name: part for name, part in own.items() if part.role != "hardware"}
        base = _combinations(others)
        return cls(*_crossed(others, base, machines))

    @classmethod
    def from_table(cls, table: AnyTable) -> "Space":
        """The configurations of a table."""
        return cls(table.columns, table.configs)

    @classmethod
    def from_config_space(cls, config_space: Any, n: int = DEFAULT_ROWS, seed: int = 0) -> "Space":
        """Configurations of a ``ConfigSpace.ConfigurationSpace``, by ``sample``.

        Raises:
            InputError: it has conditions, forbidden clauses, or a kind of hyperparameter without a column.
        """
        if config_space.conditions or config_space.forbidden_clauses:
            raise InputError(
                "a ConfigSpace with conditions or forbidden clauses is not accepted: no table has them"
            )
        return cls.sample({part.name: _from_parameter(part) for part in config_space.values()}, n, seed=seed)

    def with_known(self, **values: Any) -> "Space":
        """The space with objectives that are known without training, such as a number of parameters.

        Args:
            **values: published values of an objective, one per row.
        """
        known = {name: np.asarray(part, np.float64) for name, part in values.items()}
        return dataclasses.replace(self, known={**self.known, **known})

    def config(self, row: int) -> dict[str, Level]:
        """A configuration as people write it: column name to value or level."""
        return {
            column.name: column.levels[int(value)] if column.has_levels else whole(float(value))
            for column, value in zip(self.columns, self.configs[row], strict=True)
        }

    def row(self, config: Mapping[str, Any]) -> int:
        """The row of a configuration.

        Raises:
            InputError: a column is missing or has no such level, or no row is equal.
        """
        equal = np.flatnonzero((self.configs == encoded(self.columns, [config])).all(axis=1))
        if not len(equal):
            raise InputError(f"no row is {dict(config)}: Space.nearest gives the one that comes nearest")
        return int(equal[0])

    def nearest(self, config: Mapping[str, Any]) -> int:
        """The row that is nearest to a configuration, see ``benchmarks.space.nearest_rows``; of several the
        first.

        Raises:
            InputError: a column is missing or has no such level.
        """
        return int(nearest(self.columns, self.configs, [config], np.arange(len(self)))[0])

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of columns, configurations and what is known."""
        text = json.dumps([dataclasses.asdict(column) for column in self.columns], sort_keys=True)
        digest = hashlib.sha256(text.encode())
        for name, array in [("", self.configs), *sorted(self.known.items())]:
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array, "<f8").data)
        return digest.hexdigest()


def _domains(domains: Mapping[str, Any]) -> dict[str, Domain]:
    if not domains:
        raise InputError("a space without columns: at least one is needed")
    return {name: _domain(name, part) for name, part in domains.items()}


def _domain(name: str, part: Any) -> Domain:
    if isinstance(part, Domain):
        return part
    if (
        isinstance(part, list | tuple)
        and part
        and all(isinstance(level, str | int | float) for level in part)
    ):
        rises = all(not isinstance(x, str) for x in part) and list(part) == sorted(set(part))
        return ordered(part) if rises else choice(part)
    raise InputError(
        f"column {name!r} is {part!r}: accepted are a list of values, uniform, log, integer, "
        "choice, ordered and hardware"
    )


def _points(num_columns: int, n: int, design: str, seed: int) -> Float[np.ndarray, "n columns"]:
    """Points of the unit cube."""
    if num_columns == 0:
        return np.zeros((1, 0))
    if design == "random":
        return np.random.default_rng(seed).random((n, num_columns))
    if design == "lhs":
        return scipy.stats.qmc.LatinHypercube(num_columns, rng=seed).random(n)
    return scipy.stats.qmc.Sobol(num_columns, scramble=True, rng=seed).random_base2((n - 1).bit_length())


def _combinations(domains: Mapping[str, Domain]) -> Float[np.ndarray, "n columns"]:
    """All combinations of indices of levels."""
    indices = [range(len(part.levels)) for part in domains.values()]
    return np.array(list(itertools.product(*indices)), np.float64)


def _crossed(
    others: Mapping[str, Domain], base: Float[np.ndarray, "n others"], machines: Mapping[str, Domain]
) -> tuple[tuple[Column, ...], Float[np.ndarray, "rows columns"]]:
    """Distinct configurations on all combinations of machines: these last, and fastest."""
    _, first = np.unique(base, axis=0, return_index=True)
    base, each = base[np.sort(first)], _combinations(machines)
    configs = np.concatenate([np.repeat(base, len(each), axis=0), np.tile(each, (len(base), 1))], axis=1)
    if len(configs) > MOST_ROWS:
        raise InputError(f"the space has {len(configs):,} rows: at most {MOST_ROWS:,} are accepted")
    parts = {**others, **machines}.items()
    return tuple(Column(name, part.kind, part.role, part.levels) for name, part in parts), configs


def _from_parameter(part: Any) -> Domain:
    """A hyperparameter of ConfigSpace as a domain."""
    kind = type(part).__name__
    if kind == "Constant":
        return choice([part.value])
    if kind == "CategoricalHyperparameter":
        return choice(list(part.choices))
    if kind == "OrdinalHyperparameter":
        return ordered(list(part.sequence))
    if kind == "UniformIntegerHyperparameter":
        return integer(part.lower, part.upper, bool(part.log))
    if kind == "UniformFloatHyperparameter":
        return log(part.lower, part.upper) if part.log else uniform(part.lower, part.upper)
    raise InputError(
        f"hyperparameter {part.name!r} is a {kind}: uniform numbers, categories and orders are accepted"
    )
