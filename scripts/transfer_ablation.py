"""What each part of transfer contributes (docs/transfer.md): runs with parts switched off or on.

    python -m scripts.transfer_ablation [--table embedded] [--seeds 100] [--base random --base mo-hb]

Prints a table in Markdown: each variant minus the recommended one, in thousandths of the true front's
hypervolume, with the ends of its 95 % interval.
"""

import argparse
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.credit import SIDE_BY_SIDE

from mohb_jax import benchmarks, learn_transfer_prior
from mohb_jax.analysis.statistics import intervals
from scripts.transfer_protocol import CHOSEN_ON, INDICATORS, Setting, measured


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
}


def values(table: AnyTable, base: str, variant: Variant, num_seeds: int) -> Float[np.ndarray, "cells runs"]:
    """Credits and indicators of each run, mean over tasks."""
    options = variant.options | ({"prior": learn_transfer_prior(table)} if variant.honest else {})
    found = measured(Setting(table, table.tasks, None), f"{base}+{variant.suffix}", num_seeds, **options)
    cells = [(credit, indicator) for indicator in INDICATORS for credit in SIDE_BY_SIDE]
    return np.array([np.mean([found[t][c][i] for t in table.tasks], axis=0) for c, i in cells])


def main() -> None:
    """Runs all variants and prints them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--table", choices=CHOSEN_ON, default="embedded")
    parser.add_argument("--seeds", type=int, default=100, help="runs per task")
    parser.add_argument("--base", action="append", help="repeatable; random and mo-hb if none")
    chosen = parser.parse_args()
    table = benchmarks.load(chosen.table)
    heads = [f"{credit}, {what}" for what in ("end", "area") for credit in SIDE_BY_SIDE]
    print(f"| method | variant | {' | '.join(heads)} |", "|---" * 6 + "|", sep="\n", flush=True)
    for base in chosen.base or ("random", "mo-hb"):
        recommended = None
        for name, variant in VARIANTS.items():
            own = values(table, base, variant, chosen.seeds)
            recommended = own if recommended is None else recommended
            print(f"| {base} | {name} | {' | '.join(_cells(own, recommended))} |", flush=True)


def _cells(own: Float[np.ndarray, "cells runs"], other: Float[np.ndarray, "cells runs"]) -> list[str]:
    """Of the recommended variant its means; of others the differences."""
    if own is other:
        return [f"{value:.3f}" for value in own.mean(axis=1)]
    rows = zip((own - other).mean(axis=1), intervals(own - other), strict=True)
    return [f"{1000 * mean:+.0f} ({1000 * low:.0f}, {1000 * high:.0f})" for mean, (low, high) in rows]


if __name__ == "__main__":
    main()
