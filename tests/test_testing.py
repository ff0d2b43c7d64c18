"""The kit for authors: what is wrong on purpose is caught by the check that is meant for it, and no other."""

import dataclasses
import functools
import re

import jax.numpy as jnp
import numpy as np
import pytest

from mohb_jax import cli
from mohb_jax.errors import InputError
from mohb_jax.kernels.promotion import failures_last
from mohb_jax.methods import METHODS, Steady, Synchronous
from mohb_jax.promotions import Promotion
from mohb_jax.schedule import Bracket, full_fidelity
from mohb_jax.searchers.base import Searcher
from mohb_jax.testing import CHECKS, BrokenLawError, check_method, parametrize_with_checks, tables
from mohb_jax.testing.kit import case_of
from tests import faulty

ALL = [name for name in CHECKS if name != "speed"]
SEARCHERS = {
    "same_row_again": {"rows"},
    "unseeded": {"random-repeat"},
    "same_key_always": {"random-repeat"},
    "looks_at_batch_size": {"alone"},
    "looks_at_place": {"batch", "alone"},
    "reversed_chunks": {"chunks"},
    "widening_state": {"state"},
    "counts_padding": {"invalid-result"},
    "lost_after_failures": {"failures"},
    "knows_own_results": {"held-out", "unpaid"},
    "draws_while_traced": {"traceable"},
    "draws_a_constant": {"traceable"},
    "calls_the_host": {"traceable"},
    "calls_the_host_in_batches": {"traceable"},
}
POLICIES = {"counts_invalid": {"invalid-result"}, "goes_on_from_nothing": {"steady-one-worker", "unpaid"}}
RULES = {
    "first_twice": {"promotion-basic"},
    "failures_first": {"promotion-basic"},
    "raw_sums": {"promotion-units"},
    "fronts_by_index": {"promotion-permutation"},
    "largest_first": {"promotion-dominance"},
}


def mixed():
    return {"mixed": tables()["mixed"]}


def eight_full(table, settings, conditions):
    return full_fidelity(table.fidelities, 8)


def searcher_method(searcher, kind=Synchronous, **more):
    """A method that evaluates eight proposals at a time at the highest fidelity; ``searcher`` may be a
    factory."""
    make = (lambda settings: searcher) if isinstance(searcher, Searcher) else (lambda settings: searcher())
    return kind("faulty", "for tests", schedule=eight_full, searcher=make, **more)


def policy_method(policy):
    ladder = (Bracket((1, 1), (0, 2)),)
    return Steady(
        "faulty",
        "for tests",
        levels=lambda table, settings, conditions: ladder,
        policy=lambda table, settings, conditions: policy,
    )


def rule_method(rule):
    """A method of one bracket of five rows, of which two go on."""
    return Synchronous(
        "faulty",
        "for tests",
        schedule=lambda table, settings, conditions: (Bracket((5, 2), (0, 1)),),
        promotion=Promotion("faulty", "for tests", lambda settings: rule),
    )


class Spendthrift(Synchronous):
    """Goes on until no row is left."""

    def plan(self, table, settings, conditions):
        return super().plan(table, settings, dataclasses.replace(conditions, evaluations=None))


COMPILING = ("alone", "chunks", "invalid-result", "steady-one-worker")
"""Checks that compile programs of their own."""


def quick(expected):
    """Those that may find something, and all others that are quick."""
    return [name for name in ALL if name not in COMPILING or name in expected]


def findings(method, checks=ALL, chosen=None):
    results = check_method(method, chosen or mixed(), checks, on_fail="report")
    return {result.name: result.reason for result in results if result.ok is False}


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_faulty_searcher_is_caught(name):
    found = findings(searcher_method(getattr(faulty, name)()), quick(SEARCHERS[name]))
    assert set(found) == SEARCHERS[name], found


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHERS)
def test_a_faulty_searcher_is_caught_by_no_other_check(name):
    assert set(findings(searcher_method(getattr(faulty, name)()))) == SEARCHERS[name]


@pytest.mark.wide
@pytest.mark.parametrize("name", POLICIES)
def test_a_faulty_policy_is_caught(name):
    found = findings(policy_method(getattr(faulty, name)()))
    assert set(found) == POLICIES[name], found


@pytest.mark.wide
@pytest.mark.parametrize("name", RULES)
def test_a_faulty_rule_is_caught(name):
    found = findings(rule_method(getattr(faulty, name)), chosen={"tiny": tables()["tiny"]})
    assert set(found) == RULES[name], found


def test_sound_parts_pass():
    for method in (searcher_method(faulty.SOUND), policy_method(faulty.sound_policy())):
        assert not findings(method)


def test_a_factory_without_a_cache_is_caught():
    method = searcher_method(faulty.reversed_chunks)
    assert set(findings(method, ["rows", "random-repeat", "no-retrace", "traceable"])) == {"no-retrace"}


def test_a_plan_that_ignores_the_budget_is_caught():
    assert set(findings(searcher_method(faulty.SOUND, Spendthrift))) == {"budget"}


def test_a_method_that_does_not_transfer_is_caught():
    method = searcher_method(faulty.SOUND, transfers=True)
    assert set(findings(method, ["rows", "held-out"])) == {"held-out"}


def test_a_method_that_knows_failures_is_caught():
    method = searcher_method(faulty.knows_failures())
    few = {"mixed": tables()["mixed"], "failing": tables()["failing"]}
    assert set(findings(method, ["rows", "held-out", "unpaid", "failures"], few)) == {"unpaid"}


def test_an_error_of_the_author_names_file_and_line():
    found = findings(searcher_method(faulty.asks_a_tracer()), ["state"])
    assert "suggest raised TracerBoolConversionError at faulty.py:" in found["state"]


def raising_suggest():
    def suggest(context, task, state, num_suggestions):
        raise ValueError("no\nrows")

    return searcher_method(faulty.SOUND._replace(suggest=suggest, observe=lambda state, seen: state))


def forgets_the_task():
    return searcher_method(faulty.SOUND._replace(suggest=lambda context, state, num_suggestions: None))


def short_rule():
    return rule_method(failures_last(lambda key, costs, valid, num_keep: jnp.argsort(costs[:, 0])))


@pytest.mark.parametrize(
    ("make", "cause", "told"),
    [
        (raising_suggest, r"suggest raised ValueError at test_testing.py:\d+", ": no rows$"),
        (
            forgets_the_task,
            "a part breaks a law, as told above",
            r"suggest \(.*, line \d+\) takes something else: accepted is suggest\(context, task, .*",
        ),
        (
            short_rule,
            "promotion rule breaks a law, as told above",
            r"promotion rule \(.*, line \d+\) returned indices of shape \(12,\) .* \(4,\) are needed$",
        ),
    ],
)
def test_what_makes_all_runs_impossible_is_told_once(make, cause, told):
    names = ["rows", "invalid-result", "held-out", "promotion-basic", "budget"]
    first, *others = check_method(make(), mixed(), names, on_fail="report")
    assert (first.name, first.ok) == ("rows", False)
    assert re.search(f"No run is possible: .*{told}", first.reason)
    made = [result for result in others if not result.reason.startswith("its searcher does not learn")]
    assert {result.ok for result in made} == {None}
    assert all(re.fullmatch(f"not made: {cause}", result.reason) for result in made), others
    assert len(made) >= 3


def test_the_command_says_what_was_not_made(monkeypatch, capsys):
    monkeypatch.setitem(METHODS, "faulty", raising_suggest())
    assert run_check("faulty", "--only", "rows", "--only", "held-out") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["held-out", "not", "made"]
    assert "faulty breaks 1 law(s); 1 checks were not made" in lines


def test_findings_say_what_was_seen_and_what_to_do():
    found = findings(searcher_method(faulty.same_row_again()), ["rows"])["rows"]
    assert "lane 0 evaluated row" in found
    assert "in slot 1" in found
    assert "keep what was proposed in the state" in found
    assert "\n" not in found


@functools.cache
def repeating():
    return searcher_method(faulty.same_row_again())


def test_findings_are_raised_unless_they_are_expected():
    with pytest.raises(BrokenLawError, match=r"method 'faulty' breaks 1 law.*\nrows: "):
        check_method(repeating(), mixed(), ["rows", "budget"])
    result = check_method(repeating(), mixed(), ["rows"], {"rows": "on purpose"})[0]
    assert (result.ok, result.reason) == (None, "fails as expected: on purpose")


def test_an_expected_failure_that_does_not_come_fails():
    result = check_method(repeating(), mixed(), ["budget"], {"budget": "why not"}, "report")[0]
    assert result.ok is False
    assert result.reason == "It was expected to fail (why not) and holds"


def test_unknown_checks_and_tables_that_serve_nobody_are_refused():
    with pytest.raises(
        InputError, match=r"check 'row' is unknown \(did you mean rows\?\): accepted are rows,"
    ):
        check_method("random", checks=["row"])
    with pytest.raises(InputError, match="cannot be checked on table 'one-fidelity': it needs several"):
        case_of("primo", {"one-fidelity": tables()["one-fidelity"]})


def test_the_ten_tables():
    shapes = {
        name: (table.num_tasks, table.num_rows, table.num_fidelities, table.num_objectives)
        for name, table in tables().items()
    }
    assert shapes == {
        "tiny": (2, 5, 2, 2),
        "grid": (2, 6, 4, 3),
        "mixed": (2, 64, 3, 2),
        "crossing": (2, 60, 3, 3),
        "constant": (2, 64, 3, 2),
        "failing": (2, 64, 3, 2),
        "one-objective": (2, 32, 3, 1),
        "four-objectives": (2, 32, 3, 4),
        "one-fidelity": (2, 32, 1, 2),
        "ties": (2, 64, 3, 2),
    }
    failing = tables()["failing"]
    share = 1 - failing.mask[0].mean()
    assert 0.2 < share < 0.4
    assert failing.measured(1).sum() == 7
    assert failing.mask[0, 0].tolist() == [True, True, False]
    assert set(np.unique(tables()["ties"].costs[0])) == {0.0, 1.0}


def test_checks_as_tests():
    mark = parametrize_with_checks(["random"], expected_failures={"speed": "no clock"}).mark
    assert len(mark.args[1]) == len(CHECKS)
    ids = [parameter.id for parameter in mark.args[1]]
    assert ids[0] == "random-rows"
    method, check = mark.args[1][ids.index("random-invalid-result")].values
    with pytest.raises(pytest.skip.Exception, match="its searcher does not learn"):
        check(method)


def run_check(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["check", *arguments])
    return ended.value.code


def test_the_command_tells_a_line_for_each_check(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(METHODS, "faulty", repeating())
    path = str(tmp_path / "table.npz")
    tables()["mixed"].save(path)
    only = [part for name in ("rows", "budget", "steady-one-worker") for part in ("--only", name)]
    assert run_check("faulty", "--table", path, *only) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["rows", "FAILED"],
        ["steady-one-worker", "not"],
        ["budget", "ok"],
    ]
    assert lines[2:5][1:] == ["", "faulty breaks 1 law(s)"]
    assert lines[5].startswith("rows: Every row is one that the task offers")
    assert run_check("faulty", "--table", path, "--only", "budget") == 0


def test_the_command_refuses_what_it_does_not_know(capsys):
    assert run_check("random", "--only", "rowz") == 2
    assert "check 'rowz' is unknown (did you mean rows?)" in capsys.readouterr().err
    assert run_check("randm") == 2
    assert "method 'randm' is unknown (did you mean random?)" in capsys.readouterr().err
