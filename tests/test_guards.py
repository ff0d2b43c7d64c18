"""Laws that are watched where a method comes from outside: told with the function, its file and its line."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mohb_jax.errors import UserCodeError
from mohb_jax.guards import (
    NO_LEVEL,
    REPEATED,
    guarded_policy,
    guarded_rule,
    guarded_searcher,
    require_lawful,
    require_signatures,
    rungs_of,
    try_rule,
)
from mohb_jax.kernels.promotion import failures_last, single
from mohb_jax.methods import make_plan, method_named
from mohb_jax.searchers.base import Job, Moment, Policy, Result, Searcher, Seen, ignore
from mohb_jax.searchers.random import random_search
from mohb_jax.types import RunLog
from tests.fake_study import make_table

pytestmark = pytest.mark.fast

ONE = make_table(num_rows=8)
TABLE = dataclasses.replace(
    ONE,
    fidelities=(1, 3),
    **{name: np.repeat(getattr(ONE, name), 2, axis=2) for name in ("costs", "runtime", "available")},
)
KEY = jax.random.key(0)
STATE = {"count": jnp.int32(0)}


def prepare(table, tasks, seed, prior):
    return None


def init(context, task, key):
    return STATE


def searcher(suggest=lambda context, task, state, num_suggestions: None, observe=ignore):
    return guarded_searcher(Searcher(prepare, init, suggest, observe), "method 'mine'")


def suggested(answer, num=3):
    own = searcher(lambda context, task, state, num_suggestions: answer)
    return jax.eval_shape(lambda: own.suggest(None, jnp.int32(0), STATE, num))


ROWS, VALID = jnp.zeros(3, jnp.int32), jnp.ones(3, bool)


def test_what_is_right_passes_and_equal_parts_stay_equal():
    assert suggested((STATE, ROWS, VALID))[1].shape == (3,)
    assert not searcher().learns
    assert searcher(observe=lambda state, seen: state).learns
    assert guarded_searcher(random_search(), "a") is guarded_searcher(random_search(), "a")
    assert guarded_rule(single(0), "a") is guarded_rule(single(0), "a")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((ROWS, VALID), r"returned a tuple of 2: a tuple \(state, rows, which are valid\) is needed"),
        (ROWS, "returned a value of type .*: a tuple"),
        (
            (STATE, ROWS[:2], VALID),
            r"rows of shape \(2,\) and type int32: whole numbers of shape \(3,\) are needed",
        ),
        ((STATE, ROWS[:, None], VALID), r"rows of shape \(3, 1\)"),
        ((STATE, ROWS * 1.0, VALID), r"rows of shape \(3,\) and type float"),
        ((STATE, None, VALID), r"returned a value of type NoneType for rows: an array of whole numbers"),
        ((STATE, ROWS, ROWS), r"which are valid of shape \(3,\) and type int32: booleans of shape \(3,\)"),
        (
            ({"count": jnp.int64(0)}, ROWS, VALID),
            r"changed its state: \['count'\] is int64 of shape \(\), before",
        ),
        (({}, ROWS, VALID), "returned a state of another structure"),
    ],
)
def test_a_wrong_suggestion_is_told_with_its_place(answer, message):
    with pytest.raises(
        UserCodeError, match=f"method 'mine': suggest \\(.*test_guards.py, line \\d+\\).*{message}"
    ):
        suggested(answer)


def test_a_wrong_observation_is_told():
    own = searcher(observe=lambda state, seen: None)
    seen = Seen(ROWS, jnp.int32(0), jnp.zeros((3, 2)), VALID, jnp.bool_(True))
    with pytest.raises(UserCodeError, match=r"method 'mine': observe .*state of another structure"):
        own.observe(STATE, seen)


def test_a_wrong_proposal_is_told():
    moment = Moment(jnp.int32(0), jnp.float64(0), 0)
    job = Job(jnp.int32(0), jnp.int32(0), jnp.int32(-1), jnp.bool_(True))

    def proposed(answer):
        policy = Policy(prepare, init, lambda *_: (STATE, answer), lambda context, task, state, result: {})
        return guarded_policy(policy, "method 'mine'", 2)

    own = proposed(job)
    assert own.propose(None, jnp.int32(0), STATE, moment)[1] == job
    beyond = proposed(job._replace(level=jnp.int32(2)))
    assert beyond.propose(None, jnp.int32(0), STATE, moment)[1].row == NO_LEVEL
    with pytest.raises(UserCodeError, match=r"observe .*another structure"):
        own.observe(None, jnp.int32(0), STATE, Result(*[jnp.int32(0)] * 5))
    with pytest.raises(UserCodeError, match=r"propose .*returned a tuple of 2 for the job: a Job is needed"):
        proposed((0, 0)).propose(None, jnp.int32(0), STATE, moment)
    with pytest.raises(
        UserCodeError, match=r"propose .*row of shape \(1,\).*a whole number of shape \(\) is"
    ):
        proposed(job._replace(row=ROWS[:1])).propose(None, jnp.int32(0), STATE, moment)
    with pytest.raises(UserCodeError, match=r"propose .*wanted of shape \(\) and type int32: a boolean"):
        proposed(job._replace(wanted=jnp.int32(1))).propose(None, jnp.int32(0), STATE, moment)


def test_a_wrong_rule_is_told_and_indices_outside_stand_out():
    costs, valid = jnp.zeros((4, 2)), jnp.ones(4, bool)

    def kept(order):
        return guarded_rule(lambda key, costs, valid, num_keep: order, "method 'mine'")(KEY, costs, valid, 2)

    assert kept(jnp.array([3, 1])).tolist() == [3, 1]
    assert kept(jnp.array([3, 4])).tolist() == [3, 3]
    with pytest.raises(UserCodeError, match=r"promotion rule \(.*\) returned indices of shape \(3,\)"):
        kept(jnp.array([0, 1, 2]))


@pytest.mark.parametrize("extra", [None, 1])
def test_an_ordering_of_wrong_length_is_told_like_a_bare_rule(extra):
    def ordering(key, costs, valid, num_keep):
        return jnp.argsort(costs[:, 0])[: None if extra is None else num_keep + extra]

    for rule in (ordering, failures_last(ordering)):
        with pytest.raises(
            UserCodeError,
            match=r"^method 'mine': promotion rule \(.*test_guards.py, line \d+\) returned indices of shape "
            rf"\({3 + (extra or 6)},\) and type int\d+: whole numbers of shape \(3,\) are needed$",
        ):
            guarded_rule(rule, "method 'mine'")(KEY, jnp.zeros((9, 2)), jnp.ones(9, bool), 3)
    with pytest.raises(UserCodeError, match="returned a value of type NoneType for indices"):
        failures_last(lambda *_: None)(KEY, jnp.zeros((9, 2)), jnp.ones(9, bool), 3)


def test_a_rule_is_tried_on_a_rung():
    def tried(order):
        try_rule(guarded_rule(lambda *_: order, "a"), "method 'mine'", (9, 2), 3)

    tried(jnp.array([3, 1]))
    try_rule(single(0), "method 'mine'", (9, 2), 3)
    with pytest.raises(UserCodeError, match=r"'mine': promotion rule \(.*\) gave index 4 2 times where 2 of"):
        tried(jnp.array([4, 4]))
    for index in (9, -1):
        with pytest.raises(UserCodeError, match=rf"gave index {index} of a rung of 9: accepted are 0 to 8"):
            tried(jnp.array([0, index]))


ARGUMENTS = {
    "prepare": "table, tasks, seed, prior",
    "init": "context, task, key",
    "suggest": "context, task, state, num_suggestions",
    "observe": "state, seen",
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_function_that_takes_something_else_is_told(name):
    sound = random_search()
    require_signatures(sound, "method 'mine'")
    for wrong in (lambda: None, lambda one, *, more: None, lambda a, b, c, d, e: None):
        with pytest.raises(
            UserCodeError,
            match=rf"^method 'mine': {name} \(.*test_guards.py, line \d+\) takes something else: accepted is "
            rf"{name}\({ARGUMENTS[name]}\)$",
        ):
            guarded_searcher(sound._replace(**{name: wrong}), "method 'mine'")
    with pytest.raises(UserCodeError, match=f"{name} is of type int: accepted is {name}"):
        require_signatures(sound._replace(**{name: 3}), "method 'mine'")


def test_a_policy_that_takes_something_else_is_told():
    policy = Policy(prepare, init, lambda state, moment: None, lambda context, task, state, result: state)
    with pytest.raises(
        UserCodeError, match=r"propose .*: accepted is propose\(context, task, state, moment\)"
    ):
        guarded_policy(policy, "method 'mine'", 2)


def test_a_call_that_repeats_a_row_marks_its_first():
    valid = jnp.array([False, True, True, True])

    def marked(*row, valid=valid):
        return suggested_rows(jnp.array(row, jnp.int32), valid)

    assert marked(5, 5, 3, 4) == [5, 5, 3, 4], "what is not valid does not count"
    assert marked(5, 3, 4, 3) == [5, REPEATED + 3, 4, 3]
    assert marked(0, 0, 0, 0, valid=~valid) == [0, 0, 0, 0]


def suggested_rows(row, valid):
    own = searcher(lambda context, task, state, num_suggestions: (state, row, valid))
    return own.suggest(None, jnp.int32(0), STATE, len(row))[1].tolist()


def log_of(*jobs, task=0):
    """A lane with some (row, fidelity)."""
    row, fidelity = np.array([jobs], np.int32).transpose(2, 0, 1)
    n = len(jobs)
    return RunLog(
        *(np.array([task]), np.array([7]), row, fidelity, np.zeros((1, n, 2))),
        *(np.zeros((1, n)), np.ones((1, n)), np.zeros((1, n), np.int32), np.ones((1, n), bool)),
    )


def suggest(context, task, state, num_suggestions):
    raise NotImplementedError


def rule(key, costs, valid, num_keep):
    raise NotImplementedError


FUNCTIONS = {"suggest": suggest, "promotion rule": rule}


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([(0, 0), (8, 0)], r"suggest \(.*\) gave row 8: accepted are 0 to 7"),
        ([(-1, 0)], r"suggest \(.*\) gave row -1"),
        ([(REPEATED + 3, 1)], r"suggest \(.*\) gave row 3 twice in one call: .*level 1: fidelity 3\)"),
        (
            [(2, 0), (1, 0), (2, 0)],
            r"suggest \(.*\) took row 2 twice at one fidelity in one run: each may come once "
            r"\(lane 0: task .*, run 7; level 0: fidelity 1\)",
        ),
        ([(2, 0), (1, 0), (2, 1), (2, 1)], r"promotion rule \(.*\) took row 2 twice .* level 1: fidelity 3"),
        ([(2, 0), (1, 1), (1, 1)], r"suggest \(.*\) took row 1 twice .* level 1: fidelity 3"),
    ],
)
def test_a_log_that_breaks_a_law_is_told(jobs, message):
    with pytest.raises(UserCodeError, match=f"method 'mine': {message}"):
        require_lawful(log_of(*jobs), TABLE, "method 'mine'", FUNCTIONS)


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        (
            [(0, 0), (1, 0), (2, 0), (0, 1), (3, 1), (0, 1)],
            r"suggest \(.*\) suggested row 0 twice in one run",
        ),
        ([(0, 0), (1, 0), (0, 0)], r"suggest \(.*\) suggested row 0 twice .*level 0: fidelity 1"),
        (
            [(0, 0), (1, 0), (2, 0), (1, 1), (1, 1)],
            r"promotion rule \(.*\) kept row 1 twice in one rung: each may come once \(lane 0: task .*, "
            r"run 7; level 1: fidelity 3\)",
        ),
    ],
)
def test_the_rung_of_a_repeated_row_says_whose_it_is(jobs, message):
    rungs = np.array([0, 0, 0, 1, 1, 2])[: len(jobs)], np.array([1, 1, 1, 0, 0, 1], bool)[: len(jobs)]
    with pytest.raises(UserCodeError, match=f"method 'mine': {message}"):
        require_lawful(log_of(*jobs), TABLE, "method 'mine'", FUNCTIONS, rungs)


def test_slots_of_a_synchronous_run_are_laid_out_in_rungs():
    overlapping = make_plan(TABLE, method_named("mo-hb"))
    plan = dataclasses.replace(overlapping, overlap=False)
    sizes = [(size, rung == 0) for bracket in plan.brackets * 2 for rung, size in enumerate(bracket.sizes)]
    rung, proposed = rungs_of(plan, num_slots=sizes[0][0] + 1)
    assert rung.tolist() == [0] * sizes[0][0] + [1]
    assert proposed.tolist() == [True] * sizes[0][0] + [sizes[1][1]]
    assert rungs_of(overlapping, 9) is None
    assert rungs_of(make_plan(TABLE, method_named("mo-asha")), 9) is None


def test_a_lawful_log_passes_and_slots_that_do_not_count_are_not_looked_at():
    require_lawful(log_of((2, 0), (1, 0), (2, 1)), TABLE, "method 'mine'", FUNCTIONS)
    log = log_of((2, 0), (2, 0), (99, 0))
    log.valid[0, 1:] = False
    require_lawful(log, TABLE, "method 'mine'", FUNCTIONS)
    empty = log_of((2, 0))
    empty.valid[:] = False
    require_lawful(empty, TABLE, "method 'mine'", FUNCTIONS)


def test_levels_of_a_policy_must_exist():
    with pytest.raises(UserCodeError, match=r"propose \(.*\) asked for a level that is not there"):
        require_lawful(log_of((NO_LEVEL, 1)), TABLE, "method 'mine'", {"propose": suggest})
