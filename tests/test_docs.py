"""The documentation: its examples run in an empty folder, and its lines are short."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from mohb_jax import cli
from mohb_jax.analysis import Analysis
from tests.drafts import whole_figures
from tests.fake_study import make_study, make_table, make_unit

ROOT = Path(__file__).parents[1]
PAGES = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
HOW_TO = [
    page for page in PAGES if page.parent.name == "howto" and "```sh" in page.read_text(encoding="utf-8")
]
MOST_CHARACTERS = 110
SHORTER = {
    "run": ("--seeds", "4"),
    "check": ("--only", "promotion-basic", "--only", "state"),
}
"""What is added to a command, so that a test need not wait for thousands of runs or all laws."""
BLOCK = re.compile(r'```(?P<language>\w+)(?: title="(?P<file>[^"]+)")?\n(?P<text>.*?)```', re.DOTALL)


class Step(NamedTuple):
    """What a reader does next: writes a file, or types a command."""

    file: str | None
    text: str


def steps(page: str) -> list[Step]:
    """Files with a name and commands, in the order of the page; other blocks are there to be read."""
    found: list[Step] = []
    for block in BLOCK.finditer(page):
        if block["file"]:
            found.append(Step(block["file"], block["text"]))
        elif block["language"] == "sh":
            found += [Step(None, line) for line in block["text"].splitlines() if line.strip()]
    return found


ASKED_LATER = {"live": pytest.mark.slow, "optimiser": ()}
"""Other pages wait for the compiler, and for ``make test-wide``."""


def type_in(command: str) -> None:
    """A command as it stands on the page, but for ``SHORTER``."""
    program, *arguments = shlex.split(command, comments=True)
    if program == "python":
        subprocess.run([sys.executable, *arguments], check=True, timeout=120)
        return
    assert program == "mohb", command
    with pytest.raises(SystemExit) as stop:
        cli.main([*arguments, *SHORTER.get(arguments[0], ())])
    assert not stop.value.code, command


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.stem, marks=ASKED_LATER.get(page.stem, pytest.mark.wide)) for page in HOW_TO],
)
def test_examples_run_untouched_in_an_empty_folder(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for step in steps(page.read_text(encoding="utf-8")):
        if step.file:
            Path(step.file).parent.mkdir(parents=True, exist_ok=True)
            Path(step.file).write_text(step.text, encoding="utf-8")
        else:
            type_in(step.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_are_short(page):
    """What a program prints is shown as it is."""
    shown = BLOCK.sub(lambda block: "" if block["language"] == "text" else block[0], page.read_text())
    long = [line for line in shown.splitlines() if len(line) > MOST_CHARACTERS]
    assert not long, "\n".join(long)


def heading_names(page: Path) -> set[str]:
    """What links to a page's headings say after the #."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Between pages of the documentation, headings included."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for file, heading in re.findall(r"\]\(([\w./-]*\.md)?(?:#([\w-]+))?\)", text):
        there = (page.parent / file).resolve() if file else page
        assert there.is_file(), file
        assert not heading or heading in heading_names(there), f"{file}#{heading}"


def test_every_page_is_listed():
    """In the order of the site; scope.md is linked from the first page, too."""
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs") for page in PAGES if ROOT / "docs" in page.parents]
    assert [str(page) for page in pages if str(page) not in listed] == []
    assert "(scope.md)" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


def test_scope_has_two_sentences_and_a_source_for_each_subject():
    text = (ROOT / "docs" / "scope.md").read_text(encoding="utf-8")
    for section in text.split("\n## ")[1:-1]:
        name, _, body = section.partition("\n")
        plain = re.sub(r"\([^()]*\bet al\.|\bvs\.", "(", " ".join(body.split())).replace("et al.", "et al")
        assert len(re.findall(r"\.(?= [A-Z]|$)", plain)) == 2, name
        assert re.search(r"20\d\d", body), name


def test_the_glossary_is_in_order_and_says_nothing_twice():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    for section in text.split("\n## ")[1:]:
        terms = re.findall(r"^\* \*\*(.+?)\*\*", section, re.MULTILINE)
        assert terms == sorted(set(terms), key=str.lower)


def test_words_that_the_glossary_points_to_are_there():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    text = re.sub(r"\s+", " ", text.partition("\n## ")[2])
    explained = {term.lower() for term in re.findall(r"\*\*(.+?)\*\*", text)}
    pointed = {word.lower() for word in re.findall(r"(?<!\*)\*([^*]+?)\*(?!\*)", text)}
    missing = [word for word in pointed if not explained & {word, word.rstrip("s"), word.removesuffix("d")}]
    assert not missing, missing


@pytest.mark.wide
def test_the_tutorial_runs(tmp_path, monkeypatch, capsys):
    """In the order of its cells, from an empty folder."""
    monkeypatch.chdir(tmp_path)
    with whole_figures():
        runpy.run_path(str(ROOT / "docs" / "tutorial" / "first_study.py"))
    assert "mo-hb-barrier" in capsys.readouterr().out
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_the_section_of_the_page_can_be_built():
    page = (ROOT / "docs" / "howto" / "section.md").read_text(encoding="utf-8")
    names: dict = {}
    exec(steps(page)[0].text, names)
    table = make_table()
    units = [make_unit(table, "few", 1), make_unit(table, "<many>", 5)]
    section = names["build"](Analysis(make_study([table], units)))
    assert section.name == "effort"
    assert "&lt;many&gt;" in section.html
    assert names["build"](Analysis(make_study([table], units[:1]))) is None
