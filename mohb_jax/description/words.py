"""A description in lines for people: the same in the terminal, after an import and on a page."""

from mohb_jax.benchmarks.columns import whole
from mohb_jax.description.halving import HORIZON, Halving
from mohb_jax.description.measures import Description

UNKNOWN = "-"


def lines(found: Description) -> list[str]:
    """A table of fidelities, then a line for each other fact; the last says whether early stopping pays."""
    return [*_fidelities(found), _going_on(found), _missing(found), _front(found), _likeness(found),
            _early_stopping(found)]  # fmt: skip


def _fidelities(found: Description) -> list[str]:
    """Seconds and rank correlations, a fidelity to a column."""
    levels = found.levels
    rows = [(found.fidelity_name, [f"{whole(level.fidelity):g}" for level in levels])]
    rows += [("seconds, of full", [_percent(level.seconds) for level in levels])]
    rows += [
        (f"rank correlation of {name} with full", [_number(level.correlation[name]) for level in levels])
        for name in found.objectives
    ]
    names = max(len(name) for name, _ in rows)
    width = max(len(text) for _, texts in rows for text in texts)
    return [f"{name:{names}}  " + "  ".join(f"{text:>{width}}" for text in texts) for name, texts in rows]


def _going_on(found: Description) -> str:
    if found.fidelities == 1:
        return "There is one fidelity"
    said = "costs the difference in seconds" if found.resumable else "costs a training from scratch"
    return f"Going on from a lower fidelity {said}"


def _missing(found: Description) -> str:
    if not found.missing:
        return f"All {found.cells:,} cells have a result"
    share = found.missing / found.cells
    return f"{found.missing:,} of {found.cells:,} cells are missing ({share:.1%}); evaluating one fails"


def _front(found: Description) -> str:
    least, middle, most = found.front
    spread = f" (median of {found.tasks} tasks; {least:,} to {most:,})" if found.tasks > 1 else ""
    share = middle / max(found.measured, 1)
    return f"True front: {whole(middle):,} of {whole(found.measured):,} configurations, {share:.1%}{spread}"


def _likeness(found: Description) -> str:
    if found.tasks == 1:
        return "Likeness of tasks: there is one task, and nothing to transfer from"
    if all(value is None for value in found.likeness.values()):
        return "Likeness of tasks: unknown, for two tasks have too few configurations in common"
    said = ", ".join(f"{name} {_number(value)}" for name, value in found.likeness.items())
    return f"Likeness of tasks, median rank correlation of two: {said}"


def _early_stopping(found: Description) -> str:
    if found.fidelities == 1:
        return "Early stopping does not apply: methods with rungs are random search here"
    if found.halving is None:
        return "Early stopping saves nothing: no training takes any time here"
    return f"Early stopping {found.halving.verdict}: {_reason(found.halving)}"


def _reason(halving: Halving) -> str:
    return (
        f"in the time of {HORIZON} full trainings, made-up runs of Hyperband look at {halving.started:.0f} "
        f"configurations, finish {halving.finished:.0f} and find {halving.hypervolume:.3f} of the true "
        f"front's hypervolume; {halving.at_random:.0f} full trainings at random find "
        f"{halving.hypervolume_at_random:.3f}"
    )


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"
