"""Papers' claims beside what the simulator finds: the studies, the definitions, the page."""

from mohb_jax.methods import require_known
from mohb_jax.papers import guerrero2021, mohan2022, pochelu2022, salinas2020, salinas2021, you2023
from mohb_jax.papers.paper import Paper, Part, Reproduction, prepare

__all__ = ["PAPERS", "Paper", "Part", "Reproduction", "paper_named", "prepare"]

PAPERS: dict[str, Paper] = {
    module.PAPER.name: module.PAPER
    for module in (salinas2021, salinas2020, guerrero2021, you2023, mohan2022, pochelu2022)
}
"""By the name that ``mohb reproduce`` takes; a new paper is a module with a ``Paper`` and an entry here."""


def paper_named(name: str) -> Paper:
    """The paper of that name; ``InputError`` with the accepted names if there is none."""
    require_known("paper", name, PAPERS)
    return PAPERS[name]
