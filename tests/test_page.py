"""The page in a real browser: plots are drawn, points show their configuration, data stay data."""

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from mohb_jax.report import report_study
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
    quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking"]
    quiet += ["--disable-component-update", "--disable-sync", "--disable-gpu", "--hide-scrollbars"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [chromium, "--headless", "--no-sandbox", *quiet, f"--user-data-dir={profile}"]
        command += ["--virtual-time-budget=5000", *options, page.as_uri()]
        done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return done.stdout.decode("utf-8", errors="replace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study in which every name and a configuration's value try to escape."""
    table = make_table(NASTY, tasks=(NASTY, "plain"), levels=(NASTY, "big"))
    units = [make_unit(table, NASTY, 1, num_seeds=3), make_unit(table, "mo-hb", 3, num_seeds=3)]
    study = make_study([table], units, name=NASTY, command=NASTY, versions={NASTY: NASTY}, reference="mo-hb")
    directory = tmp_path_factory.mktemp("page")
    report_study(study, directory)
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
    assert "&lt;img src=x onerror=" in drawn


def test_legend_and_points_tell_apart_what_shares_a_colour_or_a_place(chromium, tmp_path):
    table = make_table(tasks=("only",)).select(objectives=["error", "cost"])
    costs = table.costs.copy()
    costs[0, 7] = costs.min(axis=(0, 1)) / 2  # the true front is this row alone
    table = dataclasses.replace(table, costs=costs)
    units = [make_unit(table, f"m{index}", 60, num_seeds=1) for index in range(9)]
    report_study(make_study([table], units), tmp_path)
    dom = browse(chromium, tmp_path / "index.html", "--dump-dom")
    drawn = dom[dom.index('id="front-plot"') : dom.index('id="progress"')]
    dashes = re.findall(r'class="js-line" d="M5,0h30" style="([^"]*)"', drawn)
    assert len(dashes) == 10  # the true front and nine methods
    assert ["stroke-dasharray" in style for style in dashes] == [False] * 9 + [True]
    true_point, method_point = re.findall(r'<path class="point[ "][^>]*? d="M([\d.]+),0A', drawn)[:2]
    assert float(true_point) > float(method_point)


def test_screenshot_shows_both_methods(chromium, folder, tmp_path):
    target = tmp_path / "page.png"
    browse(chromium, folder / "index.html", f"--screenshot={target}", "--window-size=1200,2600")
    pixels = (matplotlib.image.imread(target)[..., :3] * 255).round().astype(int)
    assert pixels.shape[:2] == (2600, 1200)
    for colour in ("0072B2", "D55E00"):
        wanted = [int(colour[i : i + 2], 16) for i in (0, 2, 4)]
        # Legend dots and intervals alone stay far below this; lines and markers do not.
        assert (np.abs(pixels - wanted).max(axis=-1) < 12).sum() > 600, colour


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
    for part in ("mo-hb", "error:", "fraction", "cost:", "USD", "kind = ", "learning_rate = "):
        assert part in label, label
    picked = dom[dom.index('id="picked"') : dom.index('id="progress"')]
    assert "<strong>mo-hb</strong>" in picked
    assert "table row" in picked
    assert "<dt>learning_rate</dt>" in picked


def test_page_fits_a_phone(chromium, folder):
    report = "parent.postMessage([document.documentElement.scrollWidth, innerWidth].join(), '*')"
    inner = with_script(
        folder, "inner.html", f"document.body.dataset.probe = 1; setTimeout(() => {report}, 500)"
    )
    outer = folder / "outer.html"
    outer.write_text(
        f'<iframe src="{inner.name}" width="400" height="800" style="border:0"></iframe>'
        "<script>addEventListener('message', (event) => { document.title = event.data; })</script>"
    )
    dom = browse(chromium, outer, "--dump-dom")
    assert "<title>400,400</title>" in dom
