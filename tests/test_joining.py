"""Tables of one space as the tasks of one."""

import dataclasses

import numpy as np
import pytest
from mohb_jax.benchmarks.columns import Column
from mohb_jax.benchmarks.joining import join_tables

from mohb_jax.errors import InputError
from tests.transfer_tables import related_tasks

pytestmark = pytest.mark.fast


def test_joined_tasks_are_those_of_the_parts():
    whole = related_tasks(num_rows=10, num_tasks=3)
    parts = [whole.select(tasks=[name]) for name in whole.tasks]
    joined = join_tables(parts, "related")
    assert joined.fingerprint == whole.fingerprint
    np.testing.assert_array_equal(joined.costs, whole.costs)


def test_what_differs_by_rounding_is_the_same():
    first, other = (
        related_tasks(num_rows=5, num_tasks=2).select(tasks=[name]) for name in ("task-0", "task-1")
    )
    other = dataclasses.replace(
        other, fidelities=(1 + 2e-16, 3 * (1 + 1e-9)), configs=other.configs * (1 + 1e-15)
    )
    assert join_tables([first, other], "both").fidelities == first.fidelities


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fidelities": (1, 9)}, "their fidelities differ, 1, 3 and 1, 9"),
        ({"columns": (Column("x", "continuous"), Column("z", "log"))}, "their columns differ, x, y and x, z"),
        ({"num_rows": 9}, "their rows differ; the 10 and 9 must be the same configurations"),
    ],
)
def test_other_spaces_are_refused(changes, message):
    first = related_tasks(num_rows=10, num_tasks=1)
    other = related_tasks(**({"num_rows": 10, "num_tasks": 1} | changes))
    other = dataclasses.replace(other, name="other", tasks=("task-9",))
    with pytest.raises(InputError, match=f"^tables 'related' and 'other' cannot be joined: {message}"):
        join_tables([first, other], "both")


def test_a_task_cannot_stand_in_two_tables():
    table = related_tasks(num_rows=10, num_tasks=1)
    with pytest.raises(InputError, match="task-0"):
        join_tables([table, table], "both")
