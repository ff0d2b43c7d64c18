"""Progress over simulated time: a plot of curves to look into."""

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.report.assets import filled
from mohb_jax.report.parts import Section, downloads, plot_files
from mohb_jax.report.style import file_names


def build(analysis: Analysis) -> Section:
    """The plot of curves."""
    return Section("progress", "Progress over simulated time", progress(analysis.study))


def progress(study: FinishedStudy) -> str:
    """The plot of curves, and its figures on paper."""
    links = []
    for name, stem in file_names(study.tables).items():
        for measure, kind in enumerate(("hypervolume", "front-found")):
            files = downloads(f"figures/{stem}-{kind}") | {"CSV": "curves.csv"}
            links.append(plot_files(study, name, f"measure={measure}", files))
    return filled("progress.html", made="\n".join(links))
