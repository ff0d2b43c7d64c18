"""The page in a real browser: contents, filters, plots that show configurations; data stay data."""

import dataclasses
import html
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.report import write_analysis
from mohb_jax.report.page import page_html
from mohb_jax.report.parts import Figure, Section, marks, table_html
from mohb_jax.report.sections import ranks
from mohb_jax.report.sections.order import SECTIONS
from mohb_jax.report.style import KNOWN
from tests.fake_study import make_study, make_table, make_unit

TITLE = 'document.title="owned"'
NASTY = f"</script><script>{TITLE}</script><img src=x onerror='{TITLE}'> %{{x}} &amp; $1"
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


@pytest.fixture(scope="module")
def chromium() -> str:
    """The browser; where it is missing the tests are skipped, but not in continuous integration."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.environ.get("CI"):
        pytest.fail("chromium is not on PATH, and continuous integration must look at the page")
    if found is None:
        pytest.skip("chromium is not on PATH")
    return found


def browse(chromium: str, page: Path, *options: str) -> str:
    """Opens a file in a fresh headless browser and returns what it prints."""
    return visit(chromium, page.as_uri(), *options)[0]


def visit(chromium: str, address: str, *options: str) -> tuple[str, list[str]]:
    """What a fresh headless browser prints, and the lines of its console."""
    quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--enable-logging=stderr"]
    quiet += ["--disable-component-update", "--disable-sync", "--disable-gpu", "--hide-scrollbars"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [chromium, "--headless", "--no-sandbox", *quiet, f"--user-data-dir={profile}"]
        command += ["--virtual-time-budget=5000", *options, address]
        done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    lines = done.stderr.decode("utf-8", errors="replace").splitlines()
    return done.stdout.decode("utf-8", errors="replace"), [line for line in lines if "CONSOLE" in line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study in which every name and a configuration's value try to escape."""
    table = make_table(NASTY, tasks=(NASTY, "plain"), levels=(NASTY, "big"))
    named = dataclasses.replace(table.columns[0], name=NASTY)
    runtime = dataclasses.replace(table.objectives[2], name=NASTY)
    table = dataclasses.replace(
        table, columns=(named, table.columns[1]), objectives=(*table.objectives[:2], runtime)
    )
    units = [make_unit(table, NASTY, 1, num_seeds=3), make_unit(table, "mo-hb", 3, num_seeds=3)]
    study = make_study([table], units, name=NASTY, command=NASTY, versions={NASTY: NASTY}, reference="mo-hb")
    directory = tmp_path_factory.mktemp("page")
    write_analysis(Analysis(study), directory)
    return directory


def with_script(folder: Path, name: str, script: str) -> Path:
    """A copy of the page with one more script and no content policy, so that escaping alone guards it."""
    text, count = POLICY.subn("", (folder / "index.html").read_text(encoding="utf-8"))
    assert count == 1
    path = folder / name
    path.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    return path


def check_unharmed(dom: str) -> None:
    title = re.search(r"<title>(.*?)</title>", dom, re.S)
    assert title
    assert title[1].endswith("tuning report")
    assert "<img src" not in dom
    assert dom.count("<script") == 3 + ("data-probe" in dom)


@pytest.mark.wide
def test_plots_are_drawn_and_names_are_only_shown(chromium, folder):
    dom = browse(chromium, folder / "index.html", "--dump-dom")
    check_unharmed(dom)
    fronts, progress = (dom.index(f'id="{name}-plot"') for name in ("front", "progress"))
    end = dom.index('id="results"')
    drawn, curves = dom[fronts:progress], dom[progress:end]
    assert "main-svg" in drawn
    assert "main-svg" in curves
    assert len(re.findall(r'<path class="point[ "]', drawn)) > 20
    assert len(re.findall(r'class="js-line"', curves)) >= 2
    assert drawn.count('class="legendtext"') == 3  # the true front and two methods
    assert "&lt;script&gt;" in drawn


@pytest.mark.wide
def test_legend_and_points_tell_apart_what_shares_a_colour_or_a_place(chromium, tmp_path):
    table = make_table(tasks=("only",)).select(objectives=["error", "cost"])
    costs = table.costs.copy()
    costs[0, 7] = costs.min(axis=(0, 1)) / 2  # the true front is this row alone
    table = dataclasses.replace(table, costs=costs)
    units = [make_unit(table, name, 60, num_seeds=1) for name in KNOWN[:9]]  # the last with another line
    write_analysis(Analysis(make_study([table], units)), tmp_path)
    dom = browse(chromium, tmp_path / "index.html", "--dump-dom")
    drawn = dom[dom.index('id="front-plot"') : dom.index('id="progress"')]
    dashes = re.findall(r'class="js-line" d="M5,0h30" style="([^"]*)"', drawn)
    assert len(dashes) == 10  # the true front and nine methods
    assert ["stroke-dasharray" in style for style in dashes] == [False] * 9 + [True]
    true_point, method_point = re.findall(r'<path class="point[ "][^>]*? d="M([\d.]+),0A', drawn)[:2]
    assert float(true_point) > float(method_point)


def test_screenshot_shows_both_methods(chromium, folder, tmp_path):
    target = tmp_path / "page.png"
    browse(chromium, folder / "index.html", f"--screenshot={target}", "--window-size=1200,4800")
    pixels = (matplotlib.image.imread(target)[..., :3] * 255).round().astype(int)
    assert pixels.shape[:2] == (4800, 1200)
    colours = re.findall('"colour":"#([0-9A-F]{6})"', (folder / "index.html").read_text())
    assert len(set(colours)) == 2
    for colour in colours:
        wanted = [int(colour[i : i + 2], 16) for i in (0, 2, 4)]
        # Legend dots and intervals alone stay far below this; lines and markers do not.
        assert (np.abs(pixels - wanted).max(axis=-1) < 12).sum() > 600, colour


@pytest.mark.wide
def test_pointing_at_a_point_shows_its_configuration(chromium, folder):
    probe = """
    document.body.dataset.probe = 1;
    setTimeout(() => {
      const plot = document.getElementById("front-plot");
      const shown = plot.querySelectorAll(".scatterlayer .trace")[4].querySelector(".point");
      const box = shown.getBoundingClientRect();
      const at = { bubbles: true, clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
      plot.querySelector(".nsewdrag").dispatchEvent(new MouseEvent("mousemove", at));
    }, 500);
    """
    dom = browse(chromium, with_script(folder, "hover.html", probe), "--dump-dom")
    check_unharmed(dom)
    label = dom[dom.index('class="hoverlayer"') :]
    label = re.sub(r"<[^>]*>", " ", label[: label.index("</g></g>")])
    for part in ("mo-hb", "error:", "fraction", "cost:", "USD", "onerror=", "learning_rate = "):
        assert part in label, label
    picked = dom[dom.index('id="picked"') : dom.index('id="progress"')]
    assert "<strong>mo-hb</strong>" in picked
    assert "table row" in picked
    assert "<dt>learning_rate</dt>" in picked


# --- contents, filters, downloads, at both widths ----------------------------------------------------------

WIDE, PHONE = (1280, 900), (390, 844)
WIDTHS = pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two benchmarks and three methods."""
    return write_pair(tmp_path_factory.mktemp("pair"))[1]


def write_pair(directory: Path) -> tuple[FinishedStudy, Path]:
    tables = [make_table(), make_table("lone", ("single",), num_objectives=2, seed=5)]
    units = [
        make_unit(table, method, skill, num_seeds=3)
        for table in tables
        for method, skill in (("mo-hb", 3), ("hb", 1), ("a&b, c", 2))
    ]
    study = make_study(tables, units, command="mohb run --benchmark toy --out 'my runs'")
    write_analysis(Analysis(study), directory)
    return study, directory


def framed(folder: Path, address: str, size: tuple[int, int]) -> str:
    """Address of a page that shows another in a frame, which may be narrower than a browser's window."""
    outer = folder / "outer.html"
    outer.write_text(
        f'<body style="margin:0"><iframe src="{html.escape(address)}" width="{size[0]}" height="{size[1]}" '
        'style="border:0"></iframe><script>addEventListener("message", (event) => '
        "{ document.body.dataset.probe = event.data; })</script>"
    )
    return outer.as_uri()


HELPERS = """
const all = (what) => [...document.querySelectorAll(what)];
const one = (what) => document.querySelector(what);
const seen = (what) => all(what).filter((part) => part.offsetParent !== null);
const text = (part) => part.textContent.trim();
const links = (what) => seen(what).map((link) => link.getAttribute("href"));
const button = (label) => one(`button[aria-label="${label}"]`);
const wait = (time) => new Promise((done) => setTimeout(done, time));
const drawn = (name) => [...new Set(one(name).data.map((trace) => trace.legendgroup))];
"""


def probe(
    chromium: str, folder: Path, script: str, size: tuple[int, int] = WIDE, fragment: str = ""
) -> dict[str, Any]:
    """What a script finds on the page; it is the body of an asynchronous function that returns an object."""
    tell = 'parent.postMessage(JSON.stringify(found), "*")'
    page = with_script(
        folder,
        "probe.html",
        f"{HELPERS} (async () => {{ await wait(300); {script} }})()"
        f".catch((error) => ({{ error: String(error) }})).then((found) => {tell});",
    )
    address = framed(folder, page.name + fragment, size)
    dom = visit(chromium, address, "--window-size=1300,1000", "--dump-dom")[0]
    answer = re.search(r'data-probe="([^"]*)"', dom)
    assert answer, dom
    found = json.loads(html.unescape(answer[1]))
    assert "error" not in found, found
    return found


@WIDTHS
@pytest.mark.parametrize("report", ["pair", "folder"])
def test_page_fits_its_window(chromium, request, report, size):
    found = probe(
        chromium,
        request.getfixturevalue(report),
        """
        all("details").forEach((part) => { part.open = true; });
        await wait(200);
        const widest = (what) => Math.max(...seen(what).map((part) => part.offsetWidth));
        return { widths: [innerWidth, document.documentElement.scrollWidth],
          table: widest("table"), box: widest(".table") };
        """,
        size,
    )
    assert found["widths"] == [size[0]] * 2
    assert found["box"] <= size[0]
    assert size == WIDE or found["table"] > size[0]  # wide tables scroll in boxes of their own


@WIDTHS
def test_page_is_silent_and_asks_for_nothing(chromium, pair, size):
    """Whatever it asked for, the page's own policy would refuse, and the console would say so."""
    address = framed(pair, "index.html#method=hb&at=results", size)
    assert visit(chromium, address, "--window-size=1300,1000", "--dump-dom")[1] == []


def test_a_page_that_asks_for_something_is_heard(chromium, pair):
    text = (pair / "index.html").read_text()
    (pair / "loud.html").write_text(text.replace("</body>", "<img src='https://example.org/x.png'></body>"))
    lines = visit(chromium, framed(pair, "loud.html", WIDE), "--dump-dom")[1]
    assert any("violates" in line for line in lines), lines


@WIDTHS
def test_fragment_restores_the_filter_and_the_place(chromium, pair, size):
    found = probe(
        chromium,
        pair,
        """
        const top = one("#ranks").getBoundingClientRect().top;
        const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 4;
        return { top, end, current: all("[aria-current]").map((link) => link.hash),
          note: text(one("#filtered")),
          rows: seen("main tbody tr").map((row) => text(row.cells[0])), blocks: seen("main .block").length,
          checked: all("#filters input").map((box) => box.checked) };
        """,
        size,
        "#method=hb&method=a%26b%2C+c&method=gone&benchmark=lone&at=ranks",
    )
    assert found["end"] or 0 <= found["top"] < 200
    assert found["end"] or found["current"] == ["#ranks"]
    assert (found["blocks"], found["rows"]) == (3, ["hb", "a&b, c"] * 3)
    assert found["checked"] == [False, True, False, True, True]
    assert found["note"].startswith("Shown: 1 of 2 benchmarks, 2 of 3 methods.")


@WIDTHS
def test_contents_lead_to_each_section_and_mark_it(chromium, pair, size):
    found = probe(
        chromium,
        pair,
        """
        const menu = one("#menu");
        const visits = [];
        const closed = !menu.open;
        for (const link of all("#contents a")) {
          menu.open = true;
          link.click();
          await wait(100);
          const section = one(link.hash);
          const top = section.getBoundingClientRect().top;
          const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 4;
          visits.push({ top, end, at: location.hash, link: link.hash, open: menu.open,
            focus: document.activeElement === section.querySelector("h2"),
            marked: all("[aria-current]").map((other) => other.hash) });
        }
        return { visits, closed, summary: seen("#menu > summary").length, here: text(one("#here")),
          nav: one("nav").getBoundingClientRect().top };
        """,
        size,
    )
    phone = size == PHONE
    names = ("answer", "fronts", "progress", "results", "ranks", "scaled", "attained", "reading", "making")
    assert [v["link"] for v in found["visits"]] == [f"#{name}" for name in names]
    for step in found["visits"]:
        assert step["end"] or 0 <= step["top"] < 200, step
        assert step["at"] == step["link"]
        assert step["focus"]
        assert step["open"] is not phone
    for step in found["visits"]:
        assert step["end"] or step["marked"] == [step["link"]], step
    assert found["visits"][-1]["marked"] == ["#making"]
    assert (found["closed"], found["summary"]) == (phone, int(phone))
    assert found["nav"] == 0  # still in sight at the end of the page
    assert found["here"] == "· How this report was made"


def test_filters_act_on_tables_plots_and_files_and_go_into_the_fragment(chromium, pair):
    found = probe(
        chromium,
        pair,
        """
        const state = () => ({
          hash: location.hash, rows: seen("#answer tbody tr").map((row) => text(row.cells[0])),
          blocks: seen("#answer .block").length, answers: seen("#answer .answer").length,
          fronts: drawn("#front-plot"), curves: drawn("#progress-plot"),
          chosen: text(one('[data-for="progress"] select').selectedOptions[0]),
          files: links(".choice a"),
          note: seen("#filtered").map(text).join() });
        const found = { before: state() };
        button("Show only hb").click();
        found.method = state();
        all("#filters input").find((box) => text(box.parentElement) === "hb").click();
        found.last = state();
        button("Show only lone").click();
        found.both = state();
        button("Show all methods").click();
        button("Show all benchmarks").click();
        found.after = state();
        location.hash = "#method=mo-hb";
        await wait(200);
        found.typed = state();
        return found;
        """,
    )
    before, method, both = found["before"], found["method"], found["both"]
    assert before["rows"] == ["mo-hb", "hb", "a&b, c"] * 2
    assert set(before["curves"]) == {"mo-hb", "hb", "a&b, c"}
    assert (method["rows"], method["curves"], method["hash"]) == (["hb", "hb"], ["hb"], "#method=hb")
    assert set(method["fronts"]) == {"true front of the table", "hb"}
    assert "1 of 3 methods" in method["note"]
    assert found["last"] == method  # the last one cannot be taken away
    assert (both["blocks"], both["answers"]) == (1, 2)  # the answer over all benchmarks stays
    assert (both["chosen"], both["hash"]) == ("lone", "#benchmark=lone&method=hb")
    assert before["files"][0] == "figures/toy-front-error-cost.png"
    assert both["files"][0] == "figures/lone-front-error-cost.png"
    assert len(both["files"]) == len(before["files"]) == 6
    kept = {key: both[key] for key in ("chosen", "files")}  # a plot stays at the benchmark that it shows
    assert found["after"] == before | kept
    assert (found["typed"]["rows"], found["typed"]["hash"]) == (["mo-hb", "mo-hb"], "#method=mo-hb")


def test_files_follow_the_choice_and_exist(chromium, pair):
    found = probe(
        chromium,
        pair,
        """
        const choose = (section, place, value) => {
          const select = all(`[data-for="${section}"] select`)[place];
          select.value = value;
          select.dispatchEvent(new Event("change"));
        };
        choose("fronts", 2, 1);
        choose("progress", 2, 1);
        return { fronts: links("#fronts .choice a"), progress: links("#progress .choice a"),
          every: all("main a").map((link) => link.getAttribute("href")) };
        """,
    )
    assert found["fronts"][:2] == [f"figures/toy-front-error-runtime.{ending}" for ending in ("png", "pdf")]
    assert found["progress"][:2] == [f"figures/toy-front-found.{ending}" for ending in ("png", "pdf")]
    assert all((pair / name).is_file() for name in found["every"])
    every = {path.relative_to(pair).as_posix() for path in (pair / "figures").iterdir()}
    assert every <= set(found["every"])


def test_a_command_stands_under_every_table_and_plot_and_is_copied(chromium, pair):
    found = probe(
        chromium,
        pair,
        """
        let got = null;
        const clipboard = { writeText: async (what) => { got = what; } };
        Object.defineProperty(navigator, "clipboard", { value: clipboard });
        const line = one("#answer .made");
        line.querySelector("details").open = true;
        line.querySelector(".copy").click();
        await wait(100);
        const label = text(line.querySelector(".copy"));
        clipboard.writeText = async () => { throw new Error("refused"); };
        line.querySelector(".copy").click();
        await wait(100);
        return { got, label, refused: text(line.querySelector(".copy")),
          selected: getSelection().toString().trim(), plots: seen(".choice .made").length,
          bare: all(".block, figure").filter((part) => !part.querySelector(".made pre")).length };
        """,
    )
    command = "mohb run --benchmark toy --out 'my runs'\nmohb report 'my runs'"
    assert (found["got"], found["label"]) == (command, "Copied")
    assert (found["selected"], found["refused"]) == (command, "Selected")
    assert (found["bare"], found["plots"]) == (0, 2)


def test_everything_can_be_reached_by_keyboard_and_has_a_name(chromium, pair):
    found = probe(
        chromium,
        pair,
        """
        const what = "button, input, select, a[href], summary, .table";
        const controls = all(what).filter((part) => !part.closest(".plot"));
        const label = (part) => part.labels && part.labels[0] && text(part.labels[0]);
        const name = (part) => part.getAttribute("aria-label") || label(part) || text(part);
        const list = (test) => controls.filter(test).map((part) => part.outerHTML);
        return { nameless: list((part) => !name(part)), unreachable: list((part) => part.tabIndex < 0),
          count: controls.length };
        """,
    )
    assert (found["nameless"], found["unreachable"]) == ([], [])
    assert found["count"] > 30


def test_printing_unfolds_results_and_hides_what_paper_cannot_do(chromium, pair):
    found = probe(
        chromium,
        pair,
        """
        const part = one("#results details");
        part.open = false;
        dispatchEvent(new Event("beforeprint"));
        const opened = part.open;
        dispatchEvent(new Event("afterprint"));
        return { opened, closed: !part.open };
        """,
    )
    assert found == {"opened": True, "closed": True}


@pytest.mark.wide
def test_a_further_section_has_an_entry_pictures_downloads_and_filters(chromium, tmp_path):
    study, folder = write_pair(tmp_path)
    rows = [[method] for method in ("one", "two", "three")]
    own = [marks(study, method=method) for method in study.methods]
    table = table_html(study, NASTY, ["Method", NASTY], rows, "summary.csv", "toy", own)
    figures = [
        Figure("figures/toy-hypervolume", NASTY, "toy"),
        Figure("figures/lone-hypervolume", "lone's", "lone"),
        Figure("figures/missing", "is left out"),
    ]
    section = Section("ranks", NASTY, table, tuple(figures))
    others = [build for build in SECTIONS if build is not ranks.build]
    text = page_html(Analysis(study), [], folder, [*others, lambda _: section])
    (folder / "index.html").write_text(text)
    found = probe(
        chromium,
        folder,
        """
        button("Show only toy").click();
        button("Show only hb").click();
        return { entry: text(one('a[href="#ranks"]')), title: document.title,
          captions: seen("#ranks figcaption").map(text), rows: seen("#ranks tbody tr").map(text),
          files: links("#ranks figure .files a"),
          loaded: seen("#ranks img").map((image) => image.naturalWidth > 100) };
        """,
    )
    assert found["entry"] == NASTY
    assert found["title"].endswith("tuning report")
    assert (found["rows"], found["loaded"]) == (["two"], [True])
    assert found["captions"] == [f"{NASTY} The picture shows all methods."]
    assert found["files"] == ["figures/toy-hypervolume.png", "figures/toy-hypervolume.pdf"]


def test_names_from_data_are_text_in_filters_contents_and_commands(chromium, folder):
    found = probe(
        chromium,
        folder,
        """
        one("#filters fieldset:not([hidden]) .option button").click();
        const foreign = all("img").filter((image) => !image.src.startsWith("data:image/png"));
        return { title: document.title, images: foreign.length, names: seen(".option label").map(text),
          command: text(one("#making pre")),
          hash: new URLSearchParams(location.hash.slice(1)).get("method") };
        """,
    )
    assert found["title"].endswith("tuning report")
    assert (found["images"], found["names"], found["hash"]) == (0, [NASTY, "mo-hb"], NASTY)
    assert found["command"].startswith(NASTY)
