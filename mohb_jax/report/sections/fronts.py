"""The trade-offs found: a plot of fronts to look into."""

import html
from collections.abc import Sequence

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.benchmarks.normalise import true_front
from mohb_jax.report.assets import filled
from mohb_jax.report.credits import shown_credits
from mohb_jax.report.parts import Section, downloads, plot_files
from mohb_jax.report.plot_data import point_limits
from mohb_jax.report.style import front_stems, objective_pairs


def build(analysis: Analysis) -> Section | None:
    """None where no table has two objectives."""
    if all(table.num_objectives < 2 for table in analysis.study.tables.values()):
        return None
    return Section("fronts", "The trade-offs found", fronts(analysis))


def fronts(analysis: Analysis) -> str:
    """The plot of fronts, and its figures on paper."""
    study, links = analysis.study, []
    for name in study.tables:
        for place, each in enumerate(shown_credits(analysis, name)):
            stems = {(x, y): stem for stem, x, y in front_stems(study, name, "front")}
            for pair, objectives in enumerate(objective_pairs(study.tables[name].num_objectives)):
                drawn = each is analysis and objectives in stems
                files = downloads(f"figures/{stems[objectives]}") if drawn else {}
                choice = f"pair={pair} credit={place}"
                links.append(plot_files(study, name, choice, files | {"CSV": "front.csv"}))
    note = fronts_note(study, analysis.cells, len(analysis.side_by_side))
    return filled("fronts.html", note=note, made="\n".join(links))


def fronts_note(study: FinishedStudy, cells: Sequence[Cell], num_credits: int = 1) -> str:
    """What the plot leaves out."""
    most, attained = point_limits(cells, num_credits)
    fronts = [
        true_front(study.tables[cell.benchmark], study.tables[cell.benchmark].task_index(cell.task)).size
        for cell in {(cell.benchmark, cell.task): cell for cell in cells}.values()
    ]
    text = "A method's points are those of its run with the median final hypervolume."
    if any(table.num_objectives > 2 for table in study.tables.values()):
        text += " Lines join the best trade-offs of the two objectives shown; points off the lines are "
        text += "trade-offs only because of the other objectives."
    if max(fronts) > most or max(cell.typical_front.size for cell in cells) > attained:
        text += (
            f" To keep the page small, at most {most} points of a true front and {attained} of a method are "
        )
        text += "shown, evenly spread; front.csv has all."
    return html.escape(text)
