"""What our calls compile is kept for the next process; whoever imports us keeps their own settings of JAX."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import platformdirs
import pytest
from jax.experimental.compilation_cache import compilation_cache

from mohb_jax import programs
from mohb_jax.precision import in_64_bits
from mohb_jax.programs import FOLDER, WHAT_IS_KEPT, Watch

pytestmark = pytest.mark.fast

NAMES = (FOLDER, *WHAT_IS_KEPT)


def settings() -> dict[str, Any]:
    return {name: getattr(jax.config, name) for name in NAMES}


def put(values: dict[str, Any]) -> None:
    for name, value in values.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    programs._own_folder.cache_clear()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """JAX as a user finds it, and the folder that we choose where they choose none."""
    before = settings()
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    put({FOLDER: None, **{name: default for name, (default, _) in WHAT_IS_KEPT.items()}})
    yield tmp_path / "mohb-jax" / "programs"
    put(before)


def compiles() -> None:
    """A program that nobody has compiled before."""
    compiles.count += 1  # type: ignore[attr-defined]
    jax.jit(lambda x: x + compiles.count)(jnp.float32(0))  # type: ignore[attr-defined]


compiles.count = 0  # type: ignore[attr-defined]


def num_in(folder: Path) -> int:
    return len(list(folder.glob("*-cache")))


def test_our_programs_are_kept_and_the_users_are_not(own):
    before = settings()
    compiles()
    assert not own.exists()
    in_64_bits(compiles)()
    kept = num_in(own)
    assert kept >= 1
    assert settings() == before
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    compiles()
    assert num_in(own) == kept


def test_the_users_folder_wins_whenever_it_is_named(own, tmp_path):
    in_64_bits(compiles)()
    kept = num_in(own)
    jax.config.update(FOLDER, str(tmp_path / "theirs"))
    in_64_bits(compiles)()
    assert num_in(own) == kept
    assert num_in(tmp_path / "theirs") >= 1
    assert getattr(jax.config, FOLDER) == str(tmp_path / "theirs")


def test_the_users_thresholds_win(own):
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 500.0)
    in_64_bits(compiles)()
    assert num_in(own) == 0


def test_calls_inside_calls_and_calls_that_fail_leave_jax_as_it_was(own):
    before = settings()

    @in_64_bits
    def fails() -> None:
        in_64_bits(compiles)()
        assert settings() != before
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fails()
    assert settings() == before


@pytest.mark.parametrize("chosen_by_user", [False, True])
def test_a_folder_that_cannot_be_written_stops_nothing(own, tmp_path, monkeypatch, recwarn, chosen_by_user):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / "file" / name))
    if chosen_by_user:
        jax.config.update(FOLDER, str(tmp_path / "file" / "theirs"))
    in_64_bits(compiles)()
    told = [str(warning.message) for warning in recwarn if "compilation cache" in str(warning.message)]
    assert bool(told) == chosen_by_user  # JAX tells of a folder that the user chose


def test_a_call_that_compiled_much_releases_where_the_process_is_full(monkeypatch):
    cleared: list[int] = []
    monkeypatch.setattr(jax, "clear_caches", lambda: cleared.append(1))
    monkeypatch.setattr(programs, "FEW_PROGRAMS", 1)
    in_64_bits(compiles)()
    assert cleared == []
    monkeypatch.setattr(programs, "MOST_MAPPINGS", 0)
    in_64_bits(lambda: None)()
    assert cleared == []  # nothing new
    in_64_bits(compiles)()
    assert cleared == [1] * programs.MAPPINGS.exists()


PROCESS = """
import json, sys
from pathlib import Path
import jax
import mohb_jax
from mohb_jax.programs import FOLDER, WHAT_IS_KEPT
import platformdirs
folder = Path(platformdirs.user_cache_dir("mohb-jax"))
counts = {"hits": 0, "misses": 0, "folder": folder.exists()}
counts["settings"] = [getattr(jax.config, name) for name in (FOLDER, *WHAT_IS_KEPT)]

def listen(event, **more):
    for name in ("hits", "misses"):
        counts[name] += event == f"/jax/compilation_cache/cache_{name}"

jax.monitoring.register_event_listener(listen)
mohb_jax.pareto_rank([[1.0, 2.0], [2.0, 1.0]])
print(json.dumps(counts))
"""


def test_a_second_process_compiles_nothing_and_an_import_changes_nothing(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    first, second = (
        json.loads(subprocess.check_output([sys.executable, "-c", PROCESS], env=environment, text=True))
        for _ in range(2)
    )
    assert first["folder"] is False
    assert first["settings"] == [None, *(default for default, _ in WHAT_IS_KEPT.values())]
    assert (first["hits"], second["misses"]) == (0, 0)
    assert first["misses"] == second["hits"] > 0


def test_a_watch_says_when_all_calls_wait_for_the_compiler():
    found: dict[str, bool] = {}

    def traced(x: jax.Array) -> jax.Array:
        found["alone"] = watch.compiling()
        beside = threading.Thread(target=in_64_bits(lambda: found.update(beside=watch.compiling())))
        beside.start()
        beside.join()
        return x + 1

    @in_64_bits
    def call() -> None:
        found["before"] = watch.compiling()
        jax.jit(traced)(jnp.float32(0))
        found["after"] = watch.compiling()

    with Watch() as watch:
        found["outside"] = watch.compiling()
        call()
    assert found == {"outside": False, "before": False, "alone": True, "beside": False, "after": False}
