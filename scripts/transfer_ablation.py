"""What each part of transfer contributes (docs/transfer.md): runs with parts switched off or on.

    python -m scripts.transfer_ablation [--table embedded] [--quality reversed] [--seeds 100] [--base mo-hb]

Prints a table in Markdown: what the method has without transfer, and in thousandths of the true front's
hypervolume what each variant has beyond that, with the ends of its 95 % interval.
"""

import argparse
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from mohb_jax.benchmarks.credit import SIDE_BY_SIDE

from mohb_jax import benchmarks, learn_transfer_prior
from mohb_jax.analysis.statistics import intervals
from scripts.transfer_protocol import CHOSEN_ON, INDICATORS, QUALITIES, Setting, measured, settings


class Variant(NamedTuple):
    """A suffix of methods, what is set, and whether the honest prior is given to it."""

    suffix: str
    options: dict[str, Any]
    honest: bool = False


VARIANTS = {
    "as recommended": Variant("transfer", {}),
    "uncertainty of one network (without part 1)": Variant("transfer", {"uncertainty": "network"}),
    "means corrected (part 3)": Variant("transfer", {"means": "corrected"}),
    "learnt at the lowest fidelity (part 4)": Variant("transfer", {"learnt_at": "lowest"}),
    "without learning whom to trust (part 2)": Variant("prior", {}, honest=True),
    "without parts 1 and 2": Variant("prior", {}),
    "from the sources at once": Variant("transfer", {"at_first": "sources"}),
}


def values(setting: Setting, method: str, num_seeds: int, **options: Any) -> Float[np.ndarray, "cells runs"]:
    """Credits and indicators of each run, mean over tasks."""
    found = measured(setting, method, num_seeds, **options)
    cells = [(credit, indicator) for indicator in INDICATORS for credit in SIDE_BY_SIDE]
    return np.array([np.mean([found[t][c][i] for t in setting.tasks], axis=0) for c, i in cells])


def options_of(setting: Setting, variant: Variant) -> dict[str, Any]:
    """What ``simulate`` is given for a variant."""
    if not variant.honest:
        return variant.options
    return variant.options | {"prior": learn_transfer_prior(setting.sources or setting.table)}


def main() -> None:
    """Runs all variants and prints them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--table", choices=CHOSEN_ON, default="embedded")
    parser.add_argument("--quality", choices=QUALITIES[:-1], default=QUALITIES[0])
    parser.add_argument("--seeds", type=int, default=100, help="runs per task")
    parser.add_argument("--base", action="append", help="repeatable; random and mo-hb if none")
    parser.add_argument("--variant", action="append", choices=tuple(VARIANTS), help="repeatable; all if none")
    chosen = parser.parse_args()
    (setting,) = settings(benchmarks.load(chosen.table), chosen.quality)
    heads = [f"{credit}, {what}" for what in ("end", "area") for credit in SIDE_BY_SIDE]
    print(f"| method | variant | {' | '.join(heads)} |", "|---" * 6 + "|", sep="\n", flush=True)
    for base in chosen.base or ("random", "mo-hb"):
        without = values(setting._replace(sources=None), base, chosen.seeds)
        print(f"| {base} | no transfer | {' | '.join(_cells(without))} |", flush=True)
        for name in chosen.variant or VARIANTS:
            variant = VARIANTS[name]
            options = options_of(setting, variant)
            own = values(setting, f"{base}+{variant.suffix}", chosen.seeds, **options)
            print(f"| {base} | {name} | {' | '.join(_cells(own, without))} |", flush=True)


def _cells(
    own: Float[np.ndarray, "cells runs"], other: Float[np.ndarray, "cells runs"] | None = None
) -> list[str]:
    """Means, or differences."""
    if other is None:
        return [f"{value:.3f}" for value in own.mean(axis=1)]
    rows = zip((own - other).mean(axis=1), intervals(own - other), strict=True)
    return [f"{1000 * mean:+.0f} ({1000 * low:.0f}, {1000 * high:.0f})" for mean, (low, high) in rows]


if __name__ == "__main__":
    main()
