"""Hyperband geometry in exact arithmetic: sizes and fidelities of every rung, known before the run starts."""

import bisect
import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from mohb_jax.errors import InputError

FIRST_RUNGS = ("hpbandster", "li2018")
FEW_FIDELITIES = 12
"""Stored fidelities of which each was stored to be used; a learning curve has more."""
TOLERANCE = Fraction(1, 10**6)
"""Fidelities that differ by less, relatively, are one: 100 / 81 is stored as 1.2345679012345678."""
MOST_ROUNDED = Fraction(1, 5)
"""How far, relatively, a rung may have been rounded: 100 / 81 to 1."""


@dataclasses.dataclass(frozen=True)
class Bracket:
    """One successive-halving run: ``sizes[i]`` configurations are evaluated at fidelity ``levels[i]``.

    ``levels`` are indices into the table's list of stored fidelities, strictly increasing; sizes never
    increase. ``newcomers`` says how many of a later rung are new and not promoted, rung by rung from the
    second on; none by default.
    """

    sizes: tuple[int, ...]
    levels: tuple[int, ...]
    newcomers: tuple[int, ...] = ()

    @property
    def num_evaluations(self) -> int:
        return sum(self.sizes)

    @property
    def new(self) -> tuple[int, ...]:
        """New configurations of each rung."""
        later = self.newcomers or (0,) * (len(self.sizes) - 1)
        return (self.sizes[0], *later)

    @property
    def kept(self) -> tuple[int, ...]:
        """How many of each rung go on; none of the last."""
        return (*(size - new for size, new in zip(self.sizes[1:], self.new[1:], strict=True)), 0)


def hyperband(
    fidelities: Sequence[float | int],
    eta: float | int = 3,
    first_rung: str = "hpbandster",
    min_fidelity: float | int | Fraction | None = None,
) -> tuple[Bracket, ...]:
    """Brackets of one Hyperband pass, the most exploratory first.

    Rung i of bracket s asks for fidelity ``R * eta**(i - s)`` and gets the largest stored one that does not
    exceed it. Rungs that land on the same stored fidelity are merged into the first of them, since a cut
    without new results decides nothing. All arithmetic is exact: logarithms of floats lose a rung for R=243
    and eta=3.

    Args:
        fidelities: stored fidelities, increasing; the last is R.
        eta: reduction factor, above 1; fractions such as 2.5 are taken as written.
        first_rung: size of the first rung of bracket s, of s_max + 1 brackets: ``hpbandster`` (the default)
            is ``floor((s_max + 1) / (s + 1)) * eta**s``, ``li2018`` is ``ceil((s_max + 1) * eta**s / (s +
            1))``.
        min_fidelity: smallest fidelity to use; the smallest stored one if None.

    Raises:
        InputError: eta not above 1, an unknown rule, a smallest fidelity outside the stored range.

    References:
        Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR 2018,
        algorithm 1; Falkner et al., "BOHB", 2018 (the sizes of its implementation, hpbandster).
    """
    factor = _reduction(eta)
    stored = _as_meant(fidelities, factor)
    if first_rung not in FIRST_RUNGS:
        raise InputError(f"first_rung is {first_rung!r}: accepted are {', '.join(FIRST_RUNGS)}")
    smallest = _first(min_fidelity, "min_fidelity", fidelities, stored)
    s_max = _num_reductions(smallest, stored[-1], factor)
    return tuple(_bracket(stored, factor, first_rung, s, s_max) for s in range(s_max, -1, -1))


def full_fidelity(fidelities: Sequence[float | int], num_configs: int) -> tuple[Bracket, ...]:
    """One bracket of one rung at the highest fidelity: no early stopping."""
    return (Bracket((num_configs,), (len(fidelities) - 1,)),)


def equal_batches(
    fidelities: Sequence[float | int],
    population: int,
    eta: float | int = 3,
    min_fidelity: float | int | Fraction | None = None,
) -> tuple[Bracket, ...]:
    """One bracket whose rungs are all equally large: one in eta goes on, the others are new at that fidelity.

    Fidelities are those of Hyperband's most exploratory bracket. After the highest everything begins anew.

    Args:
        fidelities: stored fidelities, increasing.
        population: configurations of each rung.
        eta: reduction factor, above 1.
        min_fidelity: smallest fidelity to use; the smallest stored one if None.

    References:
        Moosbauer et al., "Automated benchmark-driven design and explanation of hyperparameter optimizers",
        2022 (batches of equal size).

    Examples:
        >>> equal_batches((1, 3, 9), 9)
        (Bracket(sizes=(9, 9, 9), levels=(0, 1, 2), newcomers=(6, 6)),)
    """
    levels = hyperband(fidelities, eta, min_fidelity=min_fidelity)[0].levels
    kept = max(1, int(population // _exact(eta)))
    later = len(levels) - 1
    return (Bracket((population,) * len(levels), levels, (population - kept,) * later),)


def smallest_within(fidelities: Sequence[float | int], ratio: float | int) -> Fraction:
    """The smallest fidelity that leaves the highest within a ratio, but no smaller than the stored ones."""
    return max(_exact(fidelities[0]), _exact(fidelities[-1]) / _exact(ratio))


def third(fidelities: Sequence[float | int]) -> int:
    """Index of the largest stored fidelity not above a third of the highest, or of the smallest if none is.

    Where all are whole numbers the third is rounded up, as in Guerrero-Viu et al. 2021: 9 of 25 epochs.
    """
    stored = [_exact(value) for value in fidelities]
    wanted = stored[-1] / 3
    if all(value.denominator == 1 for value in stored):
        wanted = Fraction(-(-wanted // 1))
    return 0 if stored[0] > wanted else _largest_not_above(stored, wanted)


def _exact(value: float | int | Fraction) -> Fraction:
    """The decimal number that was written, not the binary one nearest to it."""
    return Fraction(str(value))


def _reduction(eta: float | int) -> Fraction:
    """A reduction factor; ``InputError`` unless it reduces."""
    if _exact(eta) <= 1:
        raise InputError(f"eta is {eta}: it must be greater than 1")
    return _exact(eta)


def _as_meant(fidelities: Sequence[float | int], eta: Fraction) -> list[Fraction]:
    """Stored fidelities in exact arithmetic: as written, unless they are the rungs R / eta**k, rounded.

    Libraries round rungs to floats, to a few digits or to whole numbers (1, 4, 11, 33, 100). Three or more
    of them, all within a unit of the last digit that was written, and no other fidelity, mean the rungs.
    """
    written = [_exact(value) for value in fidelities]
    rungs = [written[-1] / eta**k for k in range(len(written) - 1, -1, -1)]
    units = [Fraction(10) ** int(Decimal(str(value)).as_tuple().exponent) for value in fidelities]
    rounded = (
        abs(value - rung) <= min(rung * MOST_ROUNDED, max(unit, rung * TOLERANCE))
        for value, rung, unit in zip(written, rungs, units, strict=True)
    )
    return rungs if len(written) > 2 and all(rounded) else written


def _first(
    given: float | int | Fraction | None, name: str, fidelities: Sequence[float | int], stored: list[Fraction]
) -> Fraction:
    """The smallest fidelity to use: what a setting says, as it is meant, or the first stored."""
    if given is None:
        return stored[0]
    exact = _exact(given)
    near = (
        meant
        for value, meant in zip(fidelities, stored, strict=True)
        if abs(_exact(value) - exact) <= exact * TOLERANCE
    )
    first = next(near, exact)
    if not stored[0] <= first <= stored[-1]:
        raise InputError(f"{name} is {given}: accepted are values from {fidelities[0]} to {fidelities[-1]}")
    return first


def _num_reductions(smallest: Fraction, largest: Fraction, eta: Fraction) -> int:
    count = 0
    while smallest * eta ** (count + 1) <= largest * (1 + TOLERANCE):
        count += 1
    return count


def _bracket(stored: list[Fraction], eta: Fraction, first_rung: str, s: int, s_max: int) -> Bracket:
    if first_rung == "hpbandster":
        first = (s_max + 1) // (s + 1) * eta**s // 1
    else:
        first = -(-(s_max + 1) * eta**s // (s + 1))
    sizes = [max(1, int(first // eta**i)) for i in range(s + 1)]
    levels = [_largest_not_above(stored, stored[-1] / eta ** (s - i)) for i in range(s + 1)]
    kept = [i for i in range(s + 1) if i == 0 or levels[i] != levels[i - 1]]
    return Bracket(tuple(sizes[i] for i in kept), tuple(levels[i] for i in kept))


def _largest_not_above(stored: list[Fraction], wanted: Fraction) -> int:
    return bisect.bisect_right(stored, wanted * (1 + TOLERANCE)) - 1


def halved_stages(
    fidelities: Sequence[float | int], eta: float | int, smallest: float | int | Fraction
) -> tuple[int, ...]:
    """Levels of a run whose fidelity rises in stages, the lowest first.

    The last is R; each before it asks for the fidelity of the next divided by eta, for as long as that is
    above ``smallest``, and gets the smallest stored one that is not below it. Where all whole numbers are
    stored this is repeated division, rounded up.

    Args:
        fidelities: stored fidelities, increasing; the last is R.
        eta: factor between stages, above 1.
        smallest: fidelity that no stage goes down to.

    Raises:
        InputError: eta not above 1, a smallest fidelity that is not positive or above R.

    References:
        Guerrero-Viu et al., "Bag of baselines for multi-objective joint neural architecture search and
        hyperparameter optimization", 2021 (SH-EMOA): 25 epochs, eta 2, above 5: 7, 13, 25.
    """
    factor, limit = _reduction(eta), _exact(smallest)
    stored = _as_meant(fidelities, factor)
    if not 0 < limit <= stored[-1]:
        raise InputError(f"the smallest fidelity is {smallest}: accepted are values up to {fidelities[-1]}")
    wanted, levels = stored[-1] / factor, {len(stored) - 1}
    while wanted > limit * (1 + TOLERANCE):
        levels.add(_smallest_not_below(stored, wanted))
        wanted /= factor
    return tuple(sorted(levels))


def asha_rungs(
    fidelities: Sequence[float | int],
    eta: float | int = 3,
    grace: float | int | Fraction | None = None,
    num_brackets: int = 1,
) -> tuple[tuple[int, ...], ...]:
    """Levels at which asynchronous successive halving decides, bracket by bracket.

    Rung k of bracket s asks for fidelity ``grace * eta**(k + s)`` and gets the smallest stored one that is
    not below it; rungs on one stored fidelity are merged, and the highest fidelity ends every bracket.

    Args:
        fidelities: stored fidelities, increasing.
        eta: reduction factor, above 1.
        grace: fidelity before which no trial is stopped; the smallest stored one if None.
        num_brackets: brackets of ever later first decisions.

    Raises:
        InputError: eta not above 1, grace outside the stored range, or more brackets than there are rungs.

    References:
        Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020, algorithm 2.
    """
    factor = _reduction(eta)
    stored = _as_meant(fidelities, factor)
    first = _first(grace, "grace", fidelities, stored)
    num_rungs = _num_reductions(first, stored[-1], factor) + 1
    if not 1 <= num_brackets <= num_rungs:
        raise InputError(f"brackets is {num_brackets}: accepted are 1 to {num_rungs} at this eta and grace")
    return tuple(
        tuple(dict.fromkeys((*(_smallest_not_below(stored, first * factor**k) for k in range(s, num_rungs)),
                             len(stored) - 1)))
        for s in range(num_brackets)
    )  # fmt: skip


def _smallest_not_below(stored: list[Fraction], wanted: Fraction) -> int:
    return min(index for index, value in enumerate(stored) if value >= wanted * (1 - TOLERANCE))
