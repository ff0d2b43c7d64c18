"""The best ensemble of each task of a study, placed on devices that a user names."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mohb_jax.benchmarks.sources.embedded import OPERATIONS_PER_SECOND, SECONDS_PER_STEP
from mohb_jax.benchmarks.sources.embedded_predictions import model_costs
from mohb_jax.ensembles.findings import HEAD, Findings
from mohb_jax.ensembles.placement import BATCH_SIZES, Devices, Members, place
from mohb_jax.errors import InputError

GIB = 2.0**30


class PlacedEnsemble(NamedTuple):
    """An ensemble on devices.

    Attributes:
        task: on which it predicts.
        method: the tuner that trained its members.
        run: number of the run.
        configs: its members.
        test_loss: in nats.
        batches: batch size of each device and member, 0 where it is not.
        throughput: examples per second, by the model of ``placement``.
        memory: GiB that each device uses.
    """

    task: str
    method: str
    run: int
    configs: Int[np.ndarray, " members"]
    test_loss: float
    batches: Int[np.ndarray, "devices members"]
    throughput: float
    memory: Float[np.ndarray, " devices"]


def read_devices(texts: Sequence[str]) -> Devices:
    """Devices as users write them: memory in GiB, then maybe a colon and the speed.

    Speed 1 is that of ml.p2.xlarge, on which a network's work is stated.

    Raises:
        InputError: what is no pair of positive numbers.

    Example:
        >>> read_devices(["16", "8:2"]).speed.tolist()
        [1.0, 2.0]
    """
    found = [_device(text) for text in texts]
    memory, speed = zip(*found, strict=True)
    return Devices(np.array(memory), np.array(speed))


def _device(text: str) -> tuple[float, float]:
    memory, _, speed = text.partition(":")
    try:
        numbers = float(memory), float(speed or 1)
    except ValueError:
        numbers = (0.0, 0.0)
    if not all(0 < each < np.inf for each in numbers):
        raise InputError(f"device {text!r}: accepted is GIB or GIB:SPEED, positive numbers such as 16 or 8:2")
    return numbers


def members_of(task: str, configs: Int[np.ndarray, " members"]) -> Members:
    """What networks take at the nominal size: counted, not measured; memory in GiB."""
    base, more = (model_costs(task, batch_size).memory[configs] / GIB for batch_size in (0, 1))
    work = model_costs(task).parameters[configs] * 2 / OPERATIONS_PER_SECOND
    return Members(base, more - base, work, np.full(configs.size, SECONDS_PER_STEP))


def place_best(found: Findings, methods: Sequence[str], devices: Devices) -> list[PlacedEnsemble]:
    """The chosen ensemble of lowest validation loss of each task, on the devices.

    Args:
        found: of the study.
        methods: of the study, in its order.
        devices: on which.

    Raises:
        InputError: an ensemble, or a member of it, fits on no device.
    """
    placed = []
    for task in found.tasks:
        outcome = task.outcomes[HEAD]
        if not outcome.found.any():
            continue
        lane = int(np.argmin(np.where(outcome.found, outcome.validation_loss, np.inf)))
        configs = np.flatnonzero(outcome.weights[lane])
        members = members_of(task.task, configs)
        names = [f"configuration {config} of {task.task}" for config in configs]
        own = place(members, devices, names=names)
        batches = np.array(BATCH_SIZES)[own.levels]
        used = np.where(batches > 0, members.memory + members.activation * batches, 0.0).sum(axis=1)
        placed.append(
            PlacedEnsemble(
                task=task.task,
                method=methods[int(task.libraries.method[lane])],
                run=int(task.libraries.run[lane]),
                configs=configs,
                test_loss=float(outcome.test_loss[lane]),
                batches=batches,
                throughput=own.throughput,
                memory=used,
            )
        )
    return placed
