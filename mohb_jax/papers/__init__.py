"""Papers' claims beside what the simulator finds: the studies, the definitions, the page."""

from mohb_jax.methods import require_known
from mohb_jax.papers import guerrero2021, mohan2022, salinas2020, salinas2021
from mohb_jax.papers.paper import Paper, Part, Reproduction, prepare

__all__ = ["PAPERS", "Paper", "Part", "Reproduction", "paper_named", "prepare"]

PAPERS: dict[str, Paper] = {
    paper.name: paper for paper in (salinas2021.PAPER, salinas2020.PAPER, guerrero2021.PAPER, mohan2022.PAPER)
}
"""By the name that ``mohb reproduce`` takes; a new paper is a module with a ``Paper`` and an entry here."""


def paper_named(name: str) -> Paper:
    """The paper of that name; ``InputError`` with the accepted names if there is none."""
    require_known("paper", name, PAPERS)
    return PAPERS[name]
