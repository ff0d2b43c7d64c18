"""Networks of transfer priors: fitted once, and kept on disk for the next process.

They lie in a folder ``networks`` beside the compiled programs, wherever those are kept; nothing is kept where
programs are not. A file is data, and counts only if it is whole.
"""

import contextlib
import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import flax
import jax
import jaxlib
import numpy as np
import optax
from flax import serialization
from jaxtyping import Bool, Float

from mohb_jax.precision import in_64_bits
from mohb_jax.programs import folder_of_programs
from mohb_jax.store import content_hash, versions, write_atomically
from mohb_jax.surrogates import Key, prior_network
from mohb_jax.surrogates.prior_network import FittedNetwork, Training, fit_networks
from mohb_jax.types import Array

FOLDER = "networks"
FORMAT = 1
"""Of the files; another one fits anew."""
PROCESSOR = Path("/proc/cpuinfo")
SETTINGS = ("jax_default_matmul_precision", "jax_threefry_partitionable")
"""Of JAX, that change what a program computes."""
COMPILED_BY = ("XLA_FLAGS", "NPROC", "JAX_DISABLE_MOST_OPTIMIZATIONS")
"""Variables of the environment that change what XLA makes of a program."""
_DIGEST = hashlib.sha256


@in_64_bits
def fitted_networks(
    key: Key,
    features: Float[Array, "rows columns"],
    targets: Float[Array, "lanes rows"],
    valid: Bool[Array, "lanes rows"],
    training: Training,
) -> FittedNetwork:
    """``fit_networks``, or what it returned when this machine was asked the same before.

    Equal bit for bit: a file is found by all that the answer depends on, the code, the versions of packages
    and the kind and number of processors among it.

    Args:
        key: consumed.
        features: numeric columns, shared by all lanes.
        targets: the objective of each lane, in z-space.
        valid: the rows that each lane learns from.
        training: sizes and rates.

    Returns:
        A batch of networks, lanes in front.

    References:
        See ``surrogates.prior_network.fit_network``.

    Examples:
        >>> features, targets = np.random.default_rng(0).normal(size=(20, 2)), np.zeros((1, 20))
        >>> short = Training(num_phases=1, steps_per_phase=2, steps_per_validation=1)
        >>> fitted_networks(jax.random.key(0), features, targets, targets == 0, short).shift.shape
        (1, 2)
    """
    folder = folder_of_programs()
    if folder is None:
        return fit_networks(key, features, targets, valid, training)
    path = folder / FOLDER / _question(key, features, targets, valid, training)
    kept = _read(path)
    if kept is None:
        kept = fit_networks(key, features, targets, valid, training)
        with contextlib.suppress(OSError):  # a full disk keeps nothing
            write_atomically(path, lambda partial: partial.write_bytes(_packed(kept)))
    return kept


def _question(key: Key, features: Array, targets: Array, valid: Array, training: Training) -> str:
    """A hash of all that networks depend on."""
    arrays = [np.asarray(part) for part in (jax.random.key_data(key), features, targets, valid)]
    about = [(part.dtype.str, part.shape, _DIGEST(part.tobytes()).hexdigest()) for part in arrays]
    return content_hash(
        {
            "format": FORMAT,
            "arrays": about,
            "random": str(key.dtype),
            "training": dataclasses.asdict(training),
            "versions": versions() | {part.__name__: part.__version__ for part in (jaxlib, flax, optax)},
            "code": _DIGEST(Path(prior_network.__file__).read_bytes()).hexdigest(),
            "machine": _machine(),
        }
    )


def _machine() -> list[Any]:
    """What else decides the last bit: devices, processors, what these can do (docs/machines.md), and how
    programs are compiled."""
    kinds = [device.device_kind for device in jax.devices()]
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    told = PROCESSOR.read_text(errors="replace").splitlines() if PROCESSOR.exists() else []
    can = [line for line in told if line.startswith(("model name", "flags"))][:2]
    settings = {name: getattr(jax.config, name) for name in SETTINGS}
    return [kinds, own, can, settings, {name: os.environ.get(name) for name in COMPILED_BY}]


def _packed(fitted: FittedNetwork) -> bytes:
    """A hash, and what it is of."""
    whole = serialization.msgpack_serialize(serialization.to_state_dict(jax.tree.map(np.asarray, fitted)))
    return _DIGEST(whole).digest() + whole


def _read(path: Path) -> FittedNetwork | None:
    """What a file holds; None where there is none, or a damaged one."""
    try:
        packed = path.read_bytes()
    except OSError:
        return None
    size = _DIGEST().digest_size
    if _DIGEST(packed[size:]).digest() != packed[:size]:
        return None
    return FittedNetwork(**serialization.msgpack_restore(packed[size:]))
