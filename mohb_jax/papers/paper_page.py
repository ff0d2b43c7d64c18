"""The page of a reproduction that answers one question: its frame, and tables."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from string import Template

from mohb_jax.papers.claims_page import making
from mohb_jax.papers.paper import Reproduction
from mohb_jax.report.assets import FOLDER as REPORT_FOLDER


def paper_page(
    reproduction: Reproduction,
    question: str,
    answer: str,
    sections: str,
    parts: dict[str, str],
    tables: Sequence[str],
    figures: Sequence[Path],
) -> str:
    """The page's HTML; it needs no network and has no script, and nothing from data is read as markup.

    Args:
        reproduction: paper, command, number of repeats and folders.
        question: the heading, ready HTML.
        answer: what was found, text.
        sections: name of a file beside this one, with ``$name`` for each part and ``$picture``.
        parts: ready HTML.
        tables: files beside the page.
        figures: files in its folder ``figures``; the last one is shown.
    """
    folder = Path(__file__).parent
    picture = base64.b64encode(figures[-1].read_bytes()).decode()
    body = Template((folder / sections).read_text(encoding="utf-8")).substitute(parts, picture=picture)
    return Template((folder / "paper.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(f"{reproduction.paper.name} · reproduction"),
        paper=html.escape(reproduction.paper.name),
        style=(REPORT_FOLDER / "page.css").read_text(encoding="utf-8"),
        question=question,
        lead=html.escape(f"{reproduction.paper.title}. {answer}"),
        sections=body.rstrip("\n"),
        making=making(reproduction, [*tables, *(f"figures/{path.name}" for path in figures)]),
    )


def html_table(caption: str, head: Sequence[str], rows: Sequence[str]) -> str:
    """A table of text and ready rows, see ``page.css``."""
    heads = "".join(f"<th scope='col'>{html.escape(text)}</th>" for text in head)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<div class="table"><table><caption>{html.escape(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )
