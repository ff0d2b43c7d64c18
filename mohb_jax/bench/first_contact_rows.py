"""What a newcomer waits for: the demo, the compiler, the test suite. All caches are empty at first."""

import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from mohb_jax import store
from mohb_jax.bench.row import MissingPeerError, Row
from mohb_jax.methods import METHODS
from mohb_jax.running import FIRST_LOOK

ROOT = Path(__file__).parents[2]
_MOHB = [sys.executable, "-m", "mohb_jax.cli"]
MOST_COMPILE_SECONDS = 8.0
MOST_ABLATION_PROGRAMS = 200
MOST_SUITE_SECONDS = 600.0


def demo() -> Iterator[Row]:
    """The command of `make demo` after installation: with an empty compilation cache, once more in another
    folder, and again in the same one, where all runs are there already.

    The first result is the first line that says how far a method came.
    """
    with _empty_cache() as (folder, environment):
        first, second = folder / "first", folder / "second"
        runs = (("demo-first", first, 30.0), ("demo-second", second, 12.0), ("demo-again", second, 12.0))
        for name, out, bound in runs:
            result, whole = _demo(out, environment)
            if not math.isnan(result):
                yield _seconds(f"{name}-result", result, bound)
            yield _seconds(name, whole, bound)


def _demo(out: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds to the first result, NaN where none was made, and to the end."""
    began, result = time.perf_counter(), math.nan
    command = [*_MOHB, "run", "--out", str(out), "--report"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout or ():
            if FIRST_LOOK in line and math.isnan(result):
                result = time.perf_counter() - began
    if run.returncode:
        raise subprocess.CalledProcessError(run.returncode, command)
    return result, time.perf_counter() - began


_COMPILE_SCRIPT = """
import functools, json, sys, time
from mohb_jax import benchmarks
from mohb_jax.methods import METHODS
from mohb_jax.programs import Compilation
from mohb_jax.simulation import simulate
from mohb_jax.surrogates.prior_network import Training
from mohb_jax.transfer import learn_prior

def timed():
    began = time.perf_counter()
    run(num_seeds=8)
    return time.perf_counter() - began

table, name = benchmarks.load("embedded"), sys.argv[1]
own = {"known": ["cost"]} if name == "ms-ehvi" else {}
if METHODS[name].transfers:
    own["prior"] = learn_prior(table, training=Training(1, 100, 50))
run = functools.partial(simulate, table, name, tasks=["digits"], evaluations=100, workers=4, **own)
with Compilation() as compiled:
    first = timed()
print(json.dumps([compiled.count, first - timed()]))
"""


def compilation() -> Iterator[Row]:
    """Programs of each method, and the seconds that its first call takes beyond the second: tracing and
    compiling. 100 evaluations on one task of the embedded table, eight runs; a prior is learnt before."""
    for name in METHODS:
        with _empty_cache() as (_, environment):
            full = [sys.executable, "-c", _COMPILE_SCRIPT, name]
            result = subprocess.run(full, env=environment, check=True, capture_output=True, text=True)
        programs, seconds = map(float, json.loads(result.stdout))
        yield Row(f"{name}-programs", programs, "programs", "none", None, "", None)
        yield _seconds(f"{name}-compile", seconds, MOST_COMPILE_SECONDS)


def ablation() -> Iterator[Row]:
    """Programs of `studies/ablation.yaml`, with 20 seeds: how many there are does not depend on them."""
    file = _in_clone("studies/ablation.yaml")
    with _empty_cache() as (folder, environment):
        try:
            _mohb(["run", str(file), "--seeds", "20", "--out", str(folder / "out")], environment)
        except subprocess.CalledProcessError as error:
            raise MissingPeerError(f"studies/ablation.yaml did not run: {error.stderr.strip()}") from None
        made = store.read_compilation(folder / "out")
    programs, most = float(made["programs"]), MOST_ABLATION_PROGRAMS
    yield Row("ablation-programs", programs, "programs", "none", None, f"<= {most}", programs <= most)
    yield Row("ablation-compile", made["seconds"], "s", "none", None, "", None)


def suite() -> Iterator[Row]:
    """`make test` in the clone, which must pass: style, types, and the tests in both their parts."""
    folder = _in_clone("Makefile").parent
    with _empty_cache() as (_, environment):
        began = time.perf_counter()
        subprocess.run(["make", "test"], env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        yield _seconds("test-suite", time.perf_counter() - began, MOST_SUITE_SECONDS)


@contextlib.contextmanager
def _empty_cache() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder, and an environment in which compiled programs are kept in it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder), os.environ | {"JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "programs")}


def _mohb(arguments: list[str], environment: Mapping[str, str]) -> None:
    subprocess.run([*_MOHB, *arguments], env=dict(environment), check=True, capture_output=True, text=True)


def _in_clone(path: str) -> Path:
    """A file or folder of the repository; ``MissingPeerError`` where the package alone is installed."""
    if not (ROOT / path).exists():
        raise MissingPeerError(f"this bench needs {path} of a clone of the repository")
    return ROOT / path


def _seconds(name: str, seconds: float, most: float) -> Row:
    return Row(name, seconds, "s", "none", None, f"<= {most:g} s", seconds <= most)
