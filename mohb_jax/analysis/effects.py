"""Sensitivity to settings: main effects and two-way interactions of what a study swept."""

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from mohb_jax.analysis.comparison import Comparison
from mohb_jax.analysis.statistics import intervals
from mohb_jax.errors import InputError
from mohb_jax.store import AnyUnit

METHOD = "method"
"""The base method, taken as one more setting."""
DEFAULT = "default"
"""The level of a setting that a variant does not state."""


@dataclasses.dataclass(frozen=True)
class Effect:
    """Mean response at one level of a setting, or at one pair of levels of two settings."""

    settings: tuple[str, ...]
    levels: tuple[str, ...]
    """A level of each setting, as text."""
    mean: float
    ci95: tuple[float, float] | None
    """Bootstrap interval over runs; None for a single run."""
    effect: float
    """One setting: mean minus the mean over its levels. Two: mean minus what the effects of each add up to,
    which is the interaction."""
    effect_ci95: tuple[float, float] | None
    """All levels are resampled together, so what the runs share cancels out."""
    num_blocks: int
    """Combinations of the other settings over which the mean was taken."""


def mean_responses(data: Comparison) -> Float[np.ndarray, "methods runs"]:
    """Each run's mean over tasks, for ``effects``; at least one task."""
    return data.values.mean(axis=0)


def unit_settings(units: Sequence[AnyUnit]) -> dict[str, dict[str, Any]]:
    """Settings of each method of a study that vary in it, by its label; its base method is one more setting.

    Args:
        units: finished work units; those of one method share their settings.
    """
    specs = {unit.spec["method"]: unit.spec for unit in units}
    varied = _varied([spec.get("settings", {}) for spec in specs.values()])
    return {
        label: {METHOD: spec.get("method_name", label), **_kept(spec.get("settings", {}), varied)}
        for label, spec in specs.items()
    }


def _varied(settings: Sequence[Mapping[str, Any]]) -> set[str]:
    """Names of settings that differ between methods that have them: families have settings of their own,
    and what only one family has is part of what its methods are."""
    seen: dict[str, set[str]] = {}
    for one in settings:
        for name, value in one.items():
            seen.setdefault(name, set()).add(_text(value))
    return {name for name, values in seen.items() if len(values) > 1}


def _kept(settings: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name in names}


def swept(settings: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Settings that differ between variants, and their levels as text.

    Args:
        settings: one mapping per variant; a setting that a variant lacks has the level ``default`` there.

    Returns:
        Levels in ascending order where they are numbers, then the others as they first appear.
    """
    names = dict.fromkeys(name for variant in settings for name in variant)
    levels = {name: _ordered([variant.get(name, DEFAULT) for variant in settings]) for name in names}
    return {name: found for name, found in levels.items() if len(found) > 1}


def _ordered(values: Sequence[Any]) -> tuple[str, ...]:
    numbers = sorted(value for value in values if _is_number(value))
    others = [value for value in values if not _is_number(value)]
    return tuple(dict.fromkeys(_text(value) for value in [*numbers, *others]))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    """A level as text: 1 and 1.0 are one level."""
    if isinstance(value, str):
        return value
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if whole else value, sort_keys=True)


def effects(
    settings: Sequence[Mapping[str, Any]], responses: Float[np.ndarray, "variants runs"], order: int = 1
) -> list[Effect]:
    """Main effects (``order=1``) or two-way interactions (``order=2``) of the settings that differ.

    Only the balanced part of the design counts: combinations of the other settings (blocks) at which every
    level, or pair of levels, was tried. Otherwise a level would be charged with what it was combined with.

    Args:
        settings: one mapping per variant; variants with equal settings are averaged.
        responses: one value per variant and run, such as ``mean_responses``; runs are paired by index.
        order: how many settings at a time.

    Returns:
        One item per setting and level (or pairs of them), levels in the order of ``swept``; settings without
        any complete block are left out.
    """
    if len(settings) != len(responses):
        raise InputError(
            f"settings of {len(settings)} variants, responses of {len(responses)}: they must agree"
        )
    levels = swept(settings)
    coded = [{name: _text(variant.get(name, DEFAULT)) for name in levels} for variant in settings]
    found: list[Effect] = []
    for names in itertools.combinations(levels, order):
        cells = list(itertools.product(*(levels[name] for name in names)))
        blocks = _blocks(coded, responses, names, len(cells))
        if blocks:
            means = np.mean([[block[cell] for cell in cells] for block in blocks], axis=0)
            shape = tuple(len(levels[name]) for name in names)
            found += _effects(names, cells, means, shape, len(blocks))
    return found


def _blocks(
    coded: Sequence[Mapping[str, str]],
    responses: Float[np.ndarray, "variants runs"],
    names: tuple[str, ...],
    num_cells: int,
) -> list[dict[tuple[str, ...], Float[np.ndarray, " runs"]]]:
    """Complete blocks: the responses by level, for each combination of the other settings."""
    blocks: dict[tuple[str, ...], dict[tuple[str, ...], list[np.ndarray]]] = {}
    for variant, response in zip(coded, responses, strict=True):
        others = tuple(level for name, level in variant.items() if name not in names)
        cell = tuple(variant[name] for name in names)
        blocks.setdefault(others, {}).setdefault(cell, []).append(response)
    return [
        {cell: np.mean(same, axis=0) for cell, same in block.items()}
        for block in blocks.values()
        if len(block) == num_cells
    ]


def _effects(
    names: tuple[str, ...],
    cells: Sequence[tuple[str, ...]],
    means: Float[np.ndarray, "cells runs"],
    shape: tuple[int, ...],
    num_blocks: int,
) -> list[Effect]:
    centred = means.reshape(*shape, -1)
    for axis in range(len(shape)):
        centred = centred - centred.mean(axis=axis, keepdims=True)
    centred = centred.reshape(means.shape)
    ends, centred_ends = _ends(means), _ends(centred)
    return [
        Effect(
            names,
            cell,
            float(means[k].mean()),
            ends[k],
            float(centred[k].mean()),
            centred_ends[k],
            num_blocks,
        )
        for k, cell in enumerate(cells)
    ]


def _ends(values: Float[np.ndarray, "cells runs"]) -> list[tuple[float, float] | None]:
    if values.shape[1] < 2:
        return [None] * len(values)
    return [(low, high) for low, high in intervals(values).tolist()]
