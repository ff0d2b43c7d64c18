"""``import mohb_jax`` and ``mohb --help`` come at once; public names are fetched when they are used."""

import json
import subprocess
import sys

import pytest

import mohb_jax

pytestmark = pytest.mark.fast

HEAVY = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "scipy",
    "polars",
    "pyarrow",
    "matplotlib",
    "plotly",
    "numpy",
    "pytest",
)


def imported_by(script: str) -> list[str]:
    """Heavy libraries that a process has imported after a script."""
    check = f"\nimport json, sys\nprint(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script + check], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


LIGHT = """
import mohb_jax; dir(mohb_jax)
import mohb_jax.cli
from mohb_jax import InputError
from mohb_jax.cli import main
for words in (["--help"], ["run", "--help"], ["rum"]):
    try:
        main(words)
    except SystemExit:
        pass
"""


def test_nothing_heavy_is_imported_before_it_is_needed():
    """What one line imports would still be there at the end."""
    assert imported_by(LIGHT) == []


def test_every_public_name_is_there():
    assert set(mohb_jax.__all__) <= set(dir(mohb_jax))
    for name in mohb_jax.__all__:
        assert getattr(mohb_jax, name) is not None
        assert getattr(mohb_jax, name) is getattr(mohb_jax, name)
    assert {"METHODS", "InputError", "RunLog", "learn_prior", "simulate"} <= set(mohb_jax.__all__)


def test_unknown_names_are_told_as_of_any_module():
    with pytest.raises(AttributeError, match="module 'mohb_jax' has no attribute 'simulated'"):
        _ = mohb_jax.simulated
    with pytest.raises(ImportError, match="cannot import name 'simulated'"):
        from mohb_jax import simulated  # noqa: F401


@pytest.fixture(scope="module")
def imported_at_last() -> set[str]:
    """What one process has imported after a script that asks for more.

    A module ``mohb_jax.simulate`` is imported by others before anybody asks for the function.
    """
    script = """
import sys, types
import mohb_jax
module = types.ModuleType("mohb_jax.simulate")
mohb_jax.simulate = module  # as the import system does
assert callable(mohb_jax.simulate), mohb_jax.simulate
mohb_jax.anything = 3
assert mohb_jax.anything == 3
mohb_jax.simulate = len  # as a test does that replaces it
assert mohb_jax.simulate is len
import mohb_jax.results, mohb_jax.testing
"""
    return set(imported_by(script))


@pytest.mark.wide
def test_a_module_does_not_hide_the_public_name_that_it_shares(imported_at_last):
    assert imported_at_last >= {"jax", "numpy"}  # the function came, and the reader of imports sees it


def test_frames_need_no_plotting_libraries(imported_at_last):
    """Their import takes a second; a script that reads numbers should not wait for it."""
    assert not imported_at_last & {"matplotlib", "plotly"}


def test_the_kit_does_not_need_pytest(imported_at_last):
    assert "pytest" not in imported_at_last
