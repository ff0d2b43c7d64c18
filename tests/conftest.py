"""Settings of the test run, and the ways in which a kernel is run."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from mohb_jax.surrogates.prior_network import Training

from mohb_jax import networks, transfer
from mohb_jax.programs import FEW_PROGRAMS, Compilation, release_programs
from tests.drafts import save_draft, share_drafts

# Our own calls see to this themselves (tests/test_precision.py); kernels that a test calls do not.
jax.config.update("jax_enable_x64", True)
# Most kernels compile in less than the time from which jax would keep a program.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# A run must not depend on the speed of the machine, on chance, or on an earlier run.
hypothesis.settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, max_examples=30
)
hypothesis.settings.load_profile("repeatable")


# Each is fitted, or two of them would be equal because one was kept (tests/test_networks.py keeps some).
networks.folder_of_programs = lambda: None

# Few steps where a test needs a prior, and not a good one.
transfer.PUBLISHED = Training(num_phases=1, steps_per_phase=100, steps_per_validation=50)


Figure.savefig = save_draft  # type: ignore[method-assign]


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need not look at it again, and JAX makes many small objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def shared_drafts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """In the folder that the workers of a run have in common."""
    own = tmp_path_factory.getbasetemp()
    share_drafts(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture(scope="session")
def programs_made() -> Iterator[Compilation]:
    """Counts the programs of this worker."""
    with Compilation() as made:
        yield made


@pytest.fixture(autouse=True)
def room_for_programs(programs_made: Compilation) -> Iterator[None]:
    """A suite compiles more programs than a process may hold. To see whether there is room takes as long as
    many a test: thirty milliseconds where it is scarce."""
    yield
    if programs_made.count >= FEW_PROGRAMS:
        programs_made.count = 0
        release_programs()


@pytest.fixture
def strict_broadcasting() -> Iterator[None]:
    """Refuses arithmetic between arrays of different rank, the commonest silent error in array code."""
    with jax.numpy_rank_promotion("raise"):
        yield


@jax.jit
def _thrice(*args: object) -> tuple:
    return tuple(jnp.stack([jnp.asarray(arg)] * 3) for arg in args)


def _second(lanes: jax.Array) -> object:
    is_key = jax.dtypes.issubdtype(lanes.dtype, jax.dtypes.prng_key)
    return lanes[1] if is_key else np.asarray(lanes)[1]


def middle_lane(function: Callable) -> Callable:
    """``function`` run as the middle one of three equal lanes."""
    batched = jax.jit(jax.vmap(function))

    def run(*args: object) -> object:
        return jax.tree.map(_second, batched(*_thrice(*args)))

    return run


@pytest.fixture(params=[pytest.param("eager", marks=pytest.mark.slow), "jit", "vmap"])
def variant(request: pytest.FixtureRequest) -> Callable[[Callable], Callable]:
    """Turns a kernel of array arguments into one that runs eagerly, compiled, or as one lane of a batch."""
    variants: dict[str, Callable[[Callable], Callable]]
    variants = {"eager": lambda function: function, "jit": jax.jit, "vmap": middle_lane}
    return variants[request.param]
