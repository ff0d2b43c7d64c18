"""Engines beside this process: a Ray cluster, in which each work unit is a task of its own."""

import dataclasses
import functools
import logging
import os
import socket
import time
import warnings
from collections.abc import Generator, Sequence
from typing import Any

from mohb_jax.errors import InputError, UserCodeError
from mohb_jax.study.entries import EngineEntry, Study
from mohb_jax.study.run import Engine, in_this_process
from mohb_jax.study.sending import Sent, received, sent
from mohb_jax.study.units import WorkUnit
from mohb_jax.types import RunLog

_LOG = logging.getLogger(__name__)


def make_engine(study: Study) -> Engine:
    """The engine of a study file."""
    if study.engine.name == "ray":
        return on_ray(study.engine)
    return functools.partial(in_this_process, memory=study.memory)


def on_ray(entry: EngineEntry) -> Engine:
    """Units as Ray tasks: on the cluster at ``entry.address``, or on one started on this machine.

    Logs come back to this process, which writes them, so workers need no shared folder. A task whose worker
    dies runs again, ``entry.retries`` times; one that fails for good costs only its unit.

    Raises:
        InputError: Ray is not installed, the cluster cannot be reached, or, after all other units are done,
            some units were lost.
    """

    def run(units: Sequence[WorkUnit]) -> Generator[tuple[WorkUnit, RunLog, float], None, None]:
        if not units:
            return
        ray = _connected(entry)
        try:
            yield from _results(ray, entry, units)
        finally:
            ray.shutdown()

    return run


def _connected(entry: EngineEntry) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise InputError("engine ray needs Ray: pip install 'mohb-jax[ray]'") from None
    try:
        _require_answer(entry.address)
        # Ray starts programs, it does not go on as a copy of this one: JAX's warning of forks means others.
        warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
        ray.init(address=entry.address or "local", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise InputError(f"no Ray cluster at {entry.address or 'this machine'}: {error}") from error
    return ray


def _require_answer(address: str | None) -> None:
    """``OSError`` unless somebody listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def _results(
    ray: Any, entry: EngineEntry, units: Sequence[WorkUnit]
) -> Generator[tuple[WorkUnit, RunLog, float], None, None]:
    """Each unit when it is done; a table travels once, however many units use it."""
    task = ray.remote(
        num_cpus=entry.cpus,
        num_gpus=entry.gpus,
        max_retries=entry.retries,
        runtime_env={"env_vars": {"NPROC": str(max(1, int(entry.cpus)))}},  # workers share the machine
    )(run_unit)
    tables = {id(unit.table): unit.table for unit in units}
    held = {key: ray.put(table) for key, table in tables.items()}
    waiting = {
        task.remote(dataclasses.replace(unit, table=None, how=sent(unit.how)), held[id(unit.table)]): unit
        for unit in units
    }
    lost = []
    refused: list[InputError] = []
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        unit = waiting.pop(done)
        try:
            log, seconds = ray.get(done)
        except ray.exceptions.RayError as error:
            _LOG.warning("lost %s %s: %s", unit.spec["benchmark"], unit.label, error)
            cause = getattr(error, "cause", None)
            if isinstance(cause, InputError):
                refused.append(cause)
                continue
            lost.append(f"{unit.spec['benchmark']} {unit.label} ({type(error).__name__})")
            continue
        yield unit, RunLog(*log), seconds
    if refused:
        details = getattr(refused[0], "details", "")
        raise UserCodeError(f"{refused[0]} ({len(refused)} of {len(units)} units; others are kept)", details)
    if lost:
        raise InputError(
            f"{len(lost)} of {len(units)} units were lost on Ray: {', '.join(lost[:3])}; all others are "
            "kept, and the same command goes on from there"
        )


def run_unit(unit: WorkUnit, table: Any) -> tuple[tuple[Any, ...], float]:
    """What a worker does: the unit's log, as plain arrays, and its seconds."""
    began = time.perf_counter()
    how = received(unit.how) if isinstance(unit.how, Sent) else unit.how
    log = dataclasses.replace(unit, table=table, how=how).run()
    return tuple(log), time.perf_counter() - began
