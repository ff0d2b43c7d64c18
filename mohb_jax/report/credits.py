"""One study under several credits on one page."""

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.statistics import Row
from mohb_jax.benchmarks.credit import effective


def shown_credits(analysis: Analysis, benchmark: str) -> list[Analysis]:
    """The study under each credit that counts something else on a benchmark, the page's own first."""
    table = analysis.study.stored[benchmark]
    found: dict[str, Analysis] = {}
    for each in analysis.side_by_side:
        found.setdefault(effective(table, each.study.credit), each)
    return list(found.values())


def suffix(analysis: Analysis, each: Analysis) -> str:
    """What the names of figures under another credit than the page's own end with."""
    return "" if each is analysis else f"-{each.study.credit}"


def beside(analysis: Analysis, benchmark: str, task: str) -> dict[str, list[Row]]:
    """Rows of one task under the other credits that count something else, for ``summary_table``."""
    return {
        each.study.credit: [row for row in each.rows if (row["benchmark"], row["task"]) == (benchmark, task)]
        for each in shown_credits(analysis, benchmark)[1:]
    }
