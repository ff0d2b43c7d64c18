"""Whether the models behind the methods knew how far off they were."""

import html
from collections.abc import Sequence

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.calibration import KNOWS_NOTHING, Aggregate, Spread, aggregates
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.calibration import LEVELS
from mohb_jax.report.parts import Figure, Section, table_html

CALIBRATION_STEM = "figures/calibration"


def build(analysis: Analysis) -> Section | None:
    """Whether fitted models knew how far off they were; None where none was measured."""
    study = analysis.study
    if not study.calibration:
        return None
    found = aggregates(study.calibration)
    parts = [f"<p>{text}</p>" for text in _CALIBRATION_NOTES]
    for name in dict.fromkeys(item.benchmark for item in found):
        parts.append(_calibration_table(study, name, [item for item in found if item.benchmark == name]))
    figure = Figure(CALIBRATION_STEM, "Observed against nominal coverage.")
    return Section("calibration", "Did the models know how far off they were?", "\n".join(parts), (figure,))


_CALIBRATION_NOTES = (
    "Methods with a prior propose configurations by a model fitted to other tasks. Each model was asked for "
    "the values of the task held out, which the fit never saw. It is calibrated if its central 80 % interval "
    "holds 80 % of those values, and likewise for 50 % and 95 %. Fewer: it is overconfident, its intervals "
    "are too narrow. More: it is too cautious, its intervals are too wide.",
    "A single network says of itself how far it may be off. The transfer prior mixes several that learnt "
    "from different tasks, puts them right by how they did on other tasks, and doubts what few could test.",
    "The negative log-likelihood joins calibration and accuracy in one number, in nats per value: lower is "
    f"better. Values count after their transform to standard normal scores, so {KNOWS_NOTHING} is a "
    "prediction that knows nothing of the configuration. Numbers are means over held-out tasks [least, "
    "greatest of the tasks]; calibration.csv has every task.",
)


def _calibration_table(study: FinishedStudy, name: str, items: Sequence[Aggregate]) -> str:
    heads = ["Objective", "Model", *(f"Within {float(level):.0%}".replace("%", " %") for level in LEVELS)]
    heads += ["Negative log-likelihood [nats]", "Held-out tasks", "Values"]
    rows = [
        [
            html.escape(item.objective),
            html.escape(item.model),
            *(_share(spread, item.num_tasks) for spread in item.coverage),
            _spread(item.negative_log_likelihood, item.num_tasks, "{:.2f}"),
            f"{item.num_tasks:,}",
            f"{item.num_values:,}",
        ]
        for item in items
    ]
    caption = f"{name}: share of held-out values within central intervals"
    return table_html(study, caption, heads, rows, "calibration.csv", name)


def _share(spread: Spread, num_tasks: int) -> str:
    return _spread(Spread(*(100 * value for value in spread)), num_tasks, "{:.0f}", " %")


def _spread(spread: Spread, num_tasks: int, form: str, unit: str = "") -> str:
    """Mean and, of more than one task, least and greatest."""
    if num_tasks == 1:
        return form.format(spread.mean) + unit
    low, high = form.format(spread.least), form.format(spread.greatest)
    return f'{form.format(spread.mean)}{unit} <span class="interval">[{low}, {high}]</span>'
