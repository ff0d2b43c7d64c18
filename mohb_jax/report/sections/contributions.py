"""What each swept setting contributes."""

import html

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.report.parts import Figure, Section, table_html


def build(analysis: Analysis) -> Section | None:
    """None where nothing was swept."""
    if not analysis.effects:
        return None
    single = [effect for effect in analysis.effects if len(effect.settings) == 1]
    cells = [
        [
            html.escape(effect.settings[0]),
            html.escape(effect.levels[0]),
            f"{effect.mean:.4f}",
            f"{effect.effect:+.4f}",
            "-"
            if effect.effect_ci95 is None
            else f"{effect.effect_ci95[0]:+.4f} to {effect.effect_ci95[1]:+.4f}",
            f"{effect.num_blocks}",
        ]
        for effect in single
    ]
    heads = ["Setting", "Value", "Mean hypervolume", "Effect", "95 % interval", "Combinations of the others"]
    table = table_html(analysis.study, "Main effects of settings", heads, cells, "effects.csv")
    captions = {
        "main-effects": "Mean final hypervolume at each value, averaged over all combinations of the others.",
        "interactions": "By pairs: settings interact where marks lie otherwise at one value than at another.",
    }
    figures = tuple(Figure(f"figures/{name}", text) for name, text in captions.items())
    text = (
        "<p>Mean final hypervolume over tasks and runs at each value of a setting, averaged over all "
        "combinations of the others; its effect is the difference to the mean over the values.</p>"
    )
    return Section("contributions", "What each setting contributes", text + table, figures)
