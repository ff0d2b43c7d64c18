"""What is promised of other processors: code is made for them here, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mohb_jax.surrogates import PORTABLE

pytestmark = [pytest.mark.users_level, pytest.mark.wide]

ROOT = Path(__file__).parents[1]
CHILD = """
import hashlib, json, sys
import jax
import numpy as np
from mohb_jax.surrogates.prior_network import Training, fit_networks

rng = np.random.default_rng(0)
features, targets = rng.random((60, 4)), rng.normal(size=(3, 60))
training = Training(num_phases=1, steps_per_phase=40, steps_per_validation=20)
fitted = fit_networks(jax.random.key(0), features, targets, np.ones((3, 60), bool), training)
leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(fitted.params)]
print(hashlib.sha1(b"".join(leaves)).hexdigest())
for name in sys.argv[1:]:
    from scripts.record_golden import PATH, integer_log
    print(integer_log(name) == json.loads(PATH.read_text())[name])
"""


def begin(instructions, *methods):
    """A process whose programs use no other instructions than these."""
    environment = {
        name: value for name, value in os.environ.items() if name != "JAX_DISABLE_MOST_OPTIMIZATIONS"
    }
    environment |= {
        "XLA_FLAGS": f"--xla_cpu_max_isa={instructions}",
        "JAX_ENABLE_COMPILATION_CACHE": "false",
    }
    command = [sys.executable, "-c", CHILD, *methods]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def test_logs_and_networks_on_other_instruction_sets():
    """Without a model every decision is the recorded one; networks are the same wherever there is AVX2."""
    children = [begin("AVX512"), begin("AVX2"), begin("SSE4_2", "mo-hb")]
    newest, usual, oldest = (child.communicate()[0].split() for child in children)
    assert newest == usual != []
    assert oldest[1:] == ["True"]
    assert oldest[0] != usual[0], "networks in which no sum was rounded otherwise would show nothing"


def test_networks_are_trained_without_a_library_that_looks_at_the_processor():
    """Its kernels cannot be had for another processor, so that they are not used at all is looked at."""

    def product(one, other):
        return jnp.tanh(one @ other) @ other

    one, other = jnp.ones((8, 64, 50), np.float32), jnp.ones((8, 50, 50), np.float32)
    texts = [
        jax.jit(jax.vmap(product), compiler_options=options).lower(one, other).compile().as_text()
        for options in ({}, PORTABLE)
    ]
    assert ["ynn" in text for text in texts] == [True, False]
