"""Runs that used their table up: they ended when every configuration was at the highest fidelity."""

from collections.abc import Sequence

import numpy as np

from mohb_jax.analysis.curves import Cell

MOST_NAMED = 6
"""Methods that a sentence names."""


def used_up_notes(cells: Sequence[Cell]) -> dict[str, str]:
    """By benchmark a sentence on who used its table up, in how many runs and when; none where nobody did."""
    notes = {}
    for benchmark in dict.fromkeys(cell.benchmark for cell in cells):
        own = [cell for cell in cells if cell.benchmark == benchmark]
        said = [_said(method, own) for method in dict.fromkeys(cell.method for cell in own)]
        told = [text for text in said if text]
        if told:
            more = len(told) - MOST_NAMED
            shown = "; ".join([*told[:MOST_NAMED], *([f"by {more} more methods"] if more > 0 else [])])
            notes[benchmark] = (
                f"On {benchmark}, the table was used up (every configuration at the highest fidelity, so the "
                f"run ended) {shown}."
            )
    return notes


def _said(method: str, cells: Sequence[Cell]) -> str:
    """In how many runs a method used the table up and when, on average; empty if in none."""
    own = [cell for cell in cells if cell.method == method]
    over = np.concatenate([cell.final["used_up"] for cell in own]) > 0
    if not over.any():
        return ""
    evaluations, seconds = (
        np.concatenate([cell.final[name] for cell in own])[over].mean()
        for name in ("evaluations", "simulated_seconds")
    )
    return (
        f"by {method} in {over.sum():,} of {over.size:,} runs, after {evaluations:,.0f} evaluations and "
        f"{seconds:,.0f} s on average"
    )
