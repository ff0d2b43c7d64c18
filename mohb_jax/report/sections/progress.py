"""Progress over simulated time: a plot of curves to look into."""

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.report.assets import filled
from mohb_jax.report.credits import shown_credits, suffix
from mohb_jax.report.parts import Section, downloads, plot_files
from mohb_jax.report.style import file_names


def build(analysis: Analysis) -> Section:
    """The plot of curves."""
    return Section("progress", "Progress over simulated time", progress(analysis))


def progress(analysis: Analysis) -> str:
    """The plot of curves, and its figures on paper."""
    study, links = analysis.study, []
    for name, stem in file_names(study.tables).items():
        for place, each in enumerate(shown_credits(analysis, name)):
            for measure, kind in enumerate(("hypervolume", "front-found")):
                drawn = place == 0 or kind == "hypervolume"
                files = downloads(f"figures/{stem}-{kind}{suffix(analysis, each)}") if drawn else {}
                choice = f"measure={measure} credit={place}"
                links.append(plot_files(study, name, choice, files | {"CSV": "curves.csv"}))
    return filled("progress.html", made="\n".join(links))
