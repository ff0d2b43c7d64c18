"""By how much methods are better over tasks, how often they failed, and on which kinds of tasks they win."""

import html

import numpy as np

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.kinds import FEW_TASKS, Kinds, is_reversed, leaves, letter
from mohb_jax.analysis.scaled import LOWEST, PLAIN
from mohb_jax.analysis.worth_tree import LEVEL, Node
from mohb_jax.report.parts import Figure, Section, marks, table_html
from mohb_jax.report.style import listed

CAPTIONS = {
    "scaled": "Scaled performance: random search is 0, the best method of a task 1.",
    "kinds": "Worths of methods on each kind of tasks that the tree found.",
}


def build(analysis: Analysis) -> Section | None:
    """None where there is nothing to compare."""
    if not analysis.is_comparison:
        return None
    text = _scale(analysis) + _table(analysis) + _tree(analysis)
    figures = tuple(Figure(f"figures/{name}", caption) for name, caption in CAPTIONS.items())
    return Section("scaled", "Gains, failures and kinds of tasks", text, figures)


def _scale(analysis: Analysis) -> str:
    found = analysis.scaled
    if found is None:
        said = f"Scaled performance needs the method {PLAIN}, which is 0 there; this study has none."
    elif not found.tasks:
        said = f"On no task is a method better than {found.plain}, so there is no scaled performance."
    else:
        shown, left = len(found.tasks), found.num_tasks - len(found.tasks)
        without = f" On {left} more nothing is better than {found.plain}: they have no scale." if left else ""
        said = (
            f"Scaled performance of a task: {found.plain} is 0 and the best method 1, by mean "
            f"final hypervolume; here on {shown} task{'s' * (shown != 1)}.{without} It has no "
            "lower bound and depends on which methods are compared, so medians are shown."
        )
    return f"<p>{html.escape(said)}</p>"


def _table(analysis: Analysis) -> str:
    study, failed, found = analysis.study, analysis.failures, analysis.scaled
    medians = found.medians if found is not None else ()
    order = np.argsort([-value for value in medians] or failed.total, kind="stable").tolist()
    runs = failed.runs * len(failed.tasks)
    rows = []
    for place in order:
        scale = [f"{medians[place]:.2f}", str(found.below[place])] if found is not None and medians else []
        rows.append([html.escape(failed.methods[place]), *scale, f"{failed.total[place]:,} of {runs:,}"])
    heads = ["Method", *(["Median over tasks", f"Tasks below {LOWEST:g}"] if medians else [])]
    heads.append("Runs without a result")
    attributes = [marks(study, method=failed.methods[place]) for place in order]
    caption = "Scaled performance and failures" if medians else "Failures"
    return table_html(study, caption, heads, rows, "scaled.csv", None, attributes) + (
        '<p class="note">A run that ends without a result that counts has hypervolume 0, the worst there is. '
        "It stays in all means, ranks and tests.</p>"
    )


def _tree(analysis: Analysis) -> str:
    found, study = analysis.kinds, analysis.study
    if found.tree is None:
        said = f"Do methods win on different kinds of tasks? No tree of worths: {found.reason}."
        return f'<p class="note">{html.escape(said)}</p>'
    root = found.tree
    few = " Fewer than twenty tasks hardly ever split." * (len(root.tasks) < FEW_TASKS)
    told = _split(found) if root.split is not None else "None does: one order of methods for all tasks."
    said = (
        f"Do methods win on different kinds of tasks? A tree divides the {len(root.tasks)} tasks where "
        f"worths change along a descriptor (permutation test, p below {LEVEL:g} after Bonferroni's "
        "correction). "
    )
    rows = [
        [html.escape(name), _number(root.statistics[name]), f"{p:.2g}"]
        for name, p in sorted(root.p_values.items(), key=lambda item: item[1])
    ]
    heads = ["Descriptor of tasks", "Instability of worths", "p"]
    table = table_html(study, "Descriptors over all tasks", heads, rows, "kinds.csv")
    return f"<p>{html.escape(said)}{told}{few}</p>{table}"


def _split(found: Kinds) -> str:
    """The leaves as a list."""
    root = found.tree
    assert root is not None
    items = "".join(
        f"<li>{html.escape(_leaf(number, conditions, leaf, root))}</li>"
        for number, (conditions, leaf) in enumerate(leaves(root))
    )
    return f"The kinds that it found:</p><ul>{items}</ul><p>"


def _leaf(number: int, conditions: tuple[str, ...], leaf: Node, root: Node) -> str:
    order = np.argsort([-worth for worth in leaf.worths.worths], kind="stable")[:3]
    best = listed([f"{leaf.worths.methods[place]} ({leaf.worths.worths[place]:.2f})" for place in order])
    other = " Another method is first than over all tasks." if is_reversed(leaf, root) else ""
    return f"{letter(number)}, {listed(conditions)}: {len(leaf.tasks)} tasks; greatest worths {best}.{other}"


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "-"
