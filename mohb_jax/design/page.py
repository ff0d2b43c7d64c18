"""The page of a design study: one file without scripts."""

import html
from collections.abc import Sequence
from typing import Any

import yaml

NOT_OTHERS = ("second design", "design without a prior")
"""Tested, but no methods to beat."""
STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5c6b7a; --line: #d8dee5; --bar: #2f6f9f;
  --bad: #b5533c; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #9fb0c0; --line: #33414f;
  --bar: #6aa9d8; --bad: #e08a72; --paper: #14202b; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 62rem; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; } .n { text-align: right; white-space: nowrap; }
.scroll { overflow-x: auto; } .soft { color: var(--soft); }
td.soft { min-width: 18rem; } .scroll svg { min-width: 34rem; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
pre { overflow-x: auto; border: 1px solid var(--line); padding: .6rem; }
"""


def page(result: dict[str, Any]) -> str:
    """The page of a ``design.json``."""
    design, first = result["design"], result["searches"][0]
    parts = [
        f"<h1>{_text(design['name'])}: a method designed on {_counted(result)}</h1>",
        f"<p>{_text(verdict(result))}</p>",
        _how(result),
        "<h2>On tasks that it has not seen</h2>",
        "<p>Difference in final relative hypervolume, the design less the other method; the mean over "
        "benchmarks of the mean over their tasks. Intervals of 95 %: tasks and runs are resampled.</p>",
        _differences(result["compared"]),
        "<p class=soft>p: Wilcoxon's signed-rank test on the means of the tasks, corrected for the number of "
        "methods (Holm).</p>",
        "<h2>What carries it</h2>",
        "<p class=soft>On training tasks, in the response of the search; this explains the choice and proves "
        "nothing. Of steps whose interval holds 0 it is not said that they are needed.</p>",
        _steps(
            "From the plain method to the design, the best change first", result["explanation"]["forward"]
        ),
        _steps(
            "And back, the change that costs least first",
            result["explanation"]["backward"],
        ),
        _steps("Each part of the design in the plain method alone", result["explanation"]["alone"]),
        _steps("The design without one of its parts: what is lost", result["explanation"]["without"]),
        _steps("Pairs of parts: what both do beyond what each does", result["explanation"]["pairs"]),
        _combinations(result.get("factorial")),
        "<h2>Importance over all candidates</h2>",
        "<p>How much of the variance a forest no longer explains when a part is shuffled (permutation "
        "importance).</p>",
        _bars([(name, value, value, value) for name, value in result["importance"].items()]),
        "<h2>The searches</h2>",
        _searches(result["searches"]),
        _folds(result["folds"]),
        "<h2>To use it</h2>",
        f"<pre>{_text(_as_study(first))}</pre>",
    ]
    title = f"{_text(design['name'])} - design study"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
        f'content="width=device-width, initial-scale=1"><title>{title}</title><style>{STYLE}</style>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _counted(result: dict[str, Any]) -> str:
    count = len(result["tasks"])
    return "one task" if count == 1 else f"{count} tasks"


def verdict(result: dict[str, Any]) -> str:
    """What was found, in a few sentences."""
    others = [own for own in result["compared"] if own["method"] not in NOT_OTHERS]
    if not others:
        return "The design was compared with no method."
    ahead = [own for own in others if own["low"] > 0]
    behind = [own for own in others if own["high"] < 0]
    closest = min(others, key=lambda own: own["difference"])
    matters = [step for step in result["explanation"]["without"] if step["matters"] and step["gain"] > 0]
    names = ", ".join("+".join(step["changed"]) for step in matters) or "none by itself"
    best = (
        "It beats all of them."
        if len(ahead) == len(others)
        else (
            f"It is least ahead of {closest['method']}: {closest['difference']:+.3f} "
            f"[{closest['low']:+.3f}, {closest['high']:+.3f}]."
        )
    )
    level = len(others) - len(ahead) - len(behind)
    known = result["searches"][0].get("known_as")
    itself = f"The design is the method {known} as it comes. " if known else ""
    return (
        f"{itself}On tasks that it has not seen, the design is ahead of {len(ahead)} of {len(others)} "
        f"methods, behind {len(behind)}, and cannot be told from {level}. {best} "
        f"Parts without which it loses: {names}."
    )


def _how(result: dict[str, Any]) -> str:
    design = result["design"]
    train = ", ".join(dict.fromkeys(task.split("/")[0] for task in result["tasks"]))
    test = ", ".join(entry["name"] for entry in design["test"])
    return (
        f"<p class=soft>{result['num_runs']:,} simulated tuning runs on training tasks ({_text(train)}), "
        f"{result['num_tests']:,} on test tasks ({_text(test)}); {result['programs']} programs made ready by "
        f"the last start for searches and explanation, {result['test_programs']} for the test; it took "
        f"{result['seconds'] / 60:.0f} minutes and {result['peak_gib']:.1f} GiB of memory. A run lasts "
        f"as long as {design['trainings']} average full trainings on {design['workers']} workers.</p>"
    )


def _differences(compared: Sequence[dict[str, Any]]) -> str:
    rows = [(own["method"], own["difference"], own["low"], own["high"]) for own in compared]
    lines = "".join(
        f"<tr><td>{_text(own['method'])}<td class=n>{own['difference']:+.3f}"
        f"<td class=n>{own['low']:+.3f} to {own['high']:+.3f}<td class=n>{own['wins']} of {own['tasks']}"
        f"<td class=n>{own['own']:.3f}<td class=n>{own['other']:.3f}<td class=n>{own['benchmarks']}"
        f"<td class=n>{_p(own['p_holm'])}"
        for own in compared
    )
    return (
        f"{_bars(rows)}<div class=scroll><table><tr><th>method<th class=n>difference<th class=n>95 %"
        f"<th class=n>tasks won<th class=n>design<th class=n>method<th class=n>benchmarks<th class=n>p{lines}"
        "</table></div>"
    )


def _combinations(own: dict[str, Any] | None) -> str:
    """Every combination of three parts."""
    if not own:
        return ""
    cells = "".join(f"<tr><td>{_text(name)}<td class=n>{mean:.4f}" for name, mean in own["cells"].items())
    rows = [(one["name"], one["gain"], one["low"], one["high"]) for one in own["effects"]]
    return (
        "<h3>Every combination of schedule, sample and promotion</h3><div class=scroll><table><tr>"
        f"<th>combination<th class=n>response{cells}</table></div>{_bars(rows) if rows else ''}"
    )


def _p(value: float) -> str:
    return "&lt; .001" if value < 0.001 else f"{value:.3f}"


def _folds(folds: Sequence[dict[str, Any]]) -> str:
    """Choices that leave a benchmark out."""
    if not folds:
        return ""
    lines = "".join(
        f"<tr><td>{_text(own['benchmark'])}<td class=n>{own['mean']:.4f}<td class=n>{own['plain']:.4f}"
        f"<td class=n>{own['low']:+.4f} to {own['high']:+.4f}<td class=n>{own['best']:.4f}"
        f"<td class=soft>{_text(', '.join(f'{name} {value}' for name, value in own['chosen'].items()))}"
        for own in folds
    )
    return (
        "<h3>Chosen without a benchmark, and seen on it</h3><p class=soft>Of the candidates that were drawn "
        "before any result, chosen by the other training benchmarks; 95 % of the difference from the plain "
        "method. The best is known in hindsight alone.</p><div class=scroll><table><tr><th>left out"
        "<th class=n>response<th class=n>plain<th class=n>difference<th class=n>best<th>chosen"
        f"{lines}</table></div>"
    )


def _steps(title: str, steps: Sequence[dict[str, Any]]) -> str:
    if not steps:
        return ""
    lines = "".join(
        f"<tr><td>{_text(' + '.join(step['changed']))}<td class=n>{step['gain']:+.4f}"
        f"<td class=n>{step['low']:+.4f} to {step['high']:+.4f}<td class=n>{step['mean']:.4f}"
        f"<td class=soft>{_text(_changed(step))}"
        for step in steps
    )
    return (
        f"<h3>{_text(title)}</h3><div class=scroll><table><tr><th>part<th class=n>gain<th class=n>95 %"
        f"<th class=n>response<th>as{lines}</table></div>"
    )


def _changed(step: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in step["point"].items())


def _bars(rows: Sequence[tuple[str, float, float, float]]) -> str:
    """Values with intervals around a line at 0."""
    if not rows:
        return "<p class=soft>Nothing to show.</p>"
    low = min(0.0, *(row[2] for row in rows))
    high = max(0.0, *(row[3] for row in rows))
    span = (high - low) or 1.0

    def at(value: float) -> float:
        return 190 + 560 * (value - low) / span

    drawn = []
    for number, (name, value, start, end) in enumerate(rows):
        y = 14 + 20 * number
        colour = "var(--bad)" if end < 0 else "var(--bar)" if start > 0 else "var(--soft)"
        left, width = min(at(0.0), at(value)), max(abs(at(value) - at(0.0)), 1)
        drawn.append(
            f'<text x="180" y="{y + 4}" text-anchor="end">{_text(name)}</text>'
            f'<rect x="{left:.1f}" y="{y - 5}" width="{width:.1f}" height="10" fill="{colour}" '
            'opacity=".45"/>'
            f'<line x1="{at(start):.1f}" x2="{at(end):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
            'stroke-width="2"/>'
            f'<text x="755" y="{y + 4}">{value:+.3f}</text>'
        )
    height = 20 * len(rows) + 14
    zero = f'<line x1="{at(0.0):.1f}" x2="{at(0.0):.1f}" y1="0" y2="{height}" stroke="var(--line)"/>'
    return (
        f'<div class=scroll><svg viewBox="0 0 810 {height}" role="img" aria-label="values with intervals">'
        f"{zero}{''.join(drawn)}</svg></div>"
    )


def _searches(searches: Sequence[dict[str, Any]]) -> str:
    lines = "".join(
        f"<tr><td class=n>{number}<td>{_text(_settings(own))}<td class=n>{own['predicted']:.4f}"
        f"<td class=n>{len(own['evaluated'])}<td class=n>{' &rarr; '.join(map(str, own['alive']))}"
        for number, own in enumerate(searches, 1)
    )
    return (
        "<p>Chosen is the best <em>prediction</em> of a Gaussian process over all that were evaluated, never "
        "the best observation. A second search from other seeds shows how stable the choice is.</p>"
        "<div class=scroll><table><tr><th class=n>search<th>winner<th class=n>predicted"
        f"<th class=n>candidates<th class=n>left after each round{lines}</table></div>"
    )


def _settings(own: dict[str, Any]) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in own["settings"].items())
    return f"{own['method']}: {settings}" if settings else str(own["method"])


def _as_study(own: dict[str, Any]) -> str:
    entry = {"name": "mine", "benchmarks": ["YOUR TABLE"],
             "methods": [{"method": own["method"], "settings": own["settings"]}]}  # fmt: skip
    return yaml.safe_dump(entry, sort_keys=False)


def _text(value: Any) -> str:
    return html.escape(str(value))
