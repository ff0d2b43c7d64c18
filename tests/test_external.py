"""Optimisers from outside: the protocol, the event loop, and libraries through it."""

import dataclasses
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from mohb_jax.benchmarks.table import Column

from mohb_jax import external, store
from mohb_jax.analysis.analysis import Analysis
from mohb_jax.errors import InputError, UserCodeError
from mohb_jax.external.connections import Direct, Served
from mohb_jax.external.lanes import Rules, TaskCells, run_lane
from mohb_jax.external.server import Problem
from mohb_jax.external.wishes import Wishes, columns_of
from mohb_jax.methods import EXTERNAL, External, make_plan, method_named
from mohb_jax.report.sections.outside import build
from mohb_jax.schedule import asha_rungs
from mohb_jax.searchers.nearest_rows import STEPS, nearest_unseen
from mohb_jax.searchers.seen_rows import marked
from mohb_jax.simulation import simulate
from mohb_jax.types import Outside
from tests import reference_asha
from tests.adapters import Shuffled
from tests.fake_study import make_study, make_table, make_unit
from tests.test_asha import sorted_net
from tests.test_hyperband import entries, integer_table, suggestions
from tests.test_nearest_rows import ROWS
from tests.test_nearest_rows import TABLE as MIXED

ADAPTERS = Path(__file__).parent / "adapters.py"
COUNTS = integer_table(num_objectives=2, levels=12)


def problem(table, workers=2, evaluations=None, horizon=None):
    names = tuple(goal.name for goal in table.objectives)
    fidelities = tuple(map(float, table.fidelities))
    return Problem(columns_of(table), names, fidelities, workers, evaluations, horizon)


def cells(table, task=0):
    costs, seconds = table.task_cells(task)
    return TaskCells(
        costs, seconds, table.measured(task), tuple(map(float, table.fidelities)), table.resumable
    )


def launches(make, table, rules, task=0, seed=0):
    """What an optimiser of this process launches."""
    optimizer = Direct(make)
    optimizer.begin(problem(table, rules.workers, rules.evaluations, rules.horizon), seed, {})
    return run_lane(optimizer, Wishes(table), cells(table, task), rules)


def of_rows(table, rows):
    """A class that asks for some rows one after another, and keeps what it is told."""

    class Rows:
        def __init__(self, problem, seed, settings):
            self.waiting, self.told = list(rows), []
            Rows.last = self

        def ask(self):
            return {"config": table.config(self.waiting.pop(0))} if self.waiting else None

        def tell(self, handle, costs, seconds):
            self.told.append((costs, seconds))

    return Rows


# Our own methods as optimisers from outside


@pytest.mark.parametrize(("workers", "limits"), [(4, {"evaluations": 30}), (3, {"seconds": 300.0})])
def test_random_search_as_an_adapter_gives_the_log_of_random(workers, limits):
    log = simulate(COUNTS, "random", num_seeds=2, workers=workers, **limits)
    rules = Rules(workers, limits.get("evaluations"), limits.get("seconds", np.inf))
    for lane in range(4):
        rows = suggestions(0, int(log.run[lane]), COUNTS.num_rows)
        found, facts = launches(of_rows(COUNTS, rows), COUNTS, rules, int(log.task[lane]))
        assert entries(log, lane) == [tuple(job) for job in found if job.end <= rules.horizon]
        assert facts.displaced == 0


def promoting(rows, ladder):
    """Asynchronous promotion by its definition, as an optimiser."""

    class Promote:
        def __init__(self, problem, seed, settings):
            self.fidelities, self.costs, self.told = problem.fidelities, {}, []
            self.rule = reference_asha._Promote(self, sorted_net, 3, False)
            self.trials = 0

        brackets = (0,)
        rungs = (ladder,)

        def result(self, trial, rung):
            return self.costs[trial, rung]

        def new_trial(self):
            self.trials += 1
            return self.trials - 1, 0

        def ask(self):
            trial, rung = self.rule.next_job(None)
            earlier = None if rung == 0 else (trial, rung - 1)
            config = None if rung else COUNTS.config(rows[trial])
            fidelity = self.fidelities[ladder[rung]]
            return {"config": config, "fidelity": fidelity, "handle": (trial, rung), "resumes": earlier}

        def tell(self, handle, costs, seconds):
            self.costs[handle] = np.full(2, np.inf) if costs is None else np.array(costs)
            self.rule.register(reference_asha.Job(0, *handle, 0.0, 0.0, 0))

    return Promote


@pytest.mark.wide
def test_promotion_as_an_adapter_gives_the_log_of_the_array_method():
    (ladder,) = asha_rungs(COUNTS.fidelities, 3)
    log = simulate(COUNTS, "mo-asha-promote", num_seeds=3, workers=4, evaluations=70)
    for lane in range(6):
        rows = suggestions(0, int(log.run[lane]), COUNTS.num_rows)
        found, _ = launches(promoting(rows, ladder), COUNTS, Rules(4, 70, np.inf), int(log.task[lane]))
        assert entries(log, lane) == [tuple(job) for job in found]


# The event loop


def made(durations, failed=()):
    """Cells of one fidelity, whose costs are the rows' numbers."""
    count = len(durations)
    costs = np.arange(2.0 * count).reshape(count, 1, 2)
    costs[list(failed)] = np.inf
    return TaskCells(costs, np.array(durations, float)[:, None], np.ones(count, bool), (1.0,), True)


def on(make, own, rules):
    optimizer = Direct(make)
    optimizer.begin(problem(MIXED), 0, {})
    table_rows = np.arange(len(own.costs))
    full = TaskCells(
        np.concatenate([own.costs, np.full((50 - len(table_rows), 1, 2), np.inf)]),
        np.concatenate([own.seconds, np.ones((50 - len(table_rows), 1))]),
        np.arange(50) < len(table_rows),
        own.fidelities,
        True,
    )
    return run_lane(optimizer, Wishes(MIXED), full, rules)


@pytest.mark.fast
def test_the_worked_clock():
    """Two workers, durations 3, 1, 2, 2: both are free at 3, the lower one asks first."""
    found, _ = on(of_rows(MIXED, range(4)), made([3, 1, 2, 2]), Rules(2, None, 4.5))
    assert [(job.start, job.worker) for job in found] == [(0, 0), (0, 1), (1, 1), (3, 0)]
    assert [job.end <= 4.5 for job in found] == [True, True, True, False]


@pytest.mark.fast
def test_failures_are_told_as_such_and_the_run_goes_on():
    make = of_rows(MIXED, range(3))
    found, _ = on(make, made([1, 1, 1], failed=[1]), Rules(1, None, np.inf))
    assert [job.row for job in found] == [0, 1, 2]
    assert [costs for costs, _ in make.last.told] == [[0.0, 1.0], None, [4.0, 5.0]]


@pytest.mark.fast
def test_a_table_that_is_used_up_ends_the_run():
    found, facts = on(of_rows(MIXED, [0] * 9), made([1, 1, 1]), Rules(2, None, np.inf))
    assert sorted(job.row for job in found) == [0, 1, 2]
    assert facts.displaced == 2  # the fourth wish has no answer


@pytest.mark.fast
def test_repeats_are_free_or_paid_as_the_setting_says():
    wanted = [0, 0, 1, 0]
    free, facts = on(of_rows(MIXED, wanted), made([1] * 3), Rules(1, None, np.inf, repeats="free"))
    assert [(job.row, job.start) for job in free] == [(0, 0), (1, 1)]
    assert (facts.proposals, facts.displaced) == (4, 2)
    paid, _ = on(of_rows(MIXED, wanted), made([1] * 3), Rules(1, None, np.inf, repeats="pay"))
    assert [(job.row, job.start) for job in paid] == [(0, 0), (0, 1), (1, 2), (0, 3)]
    with pytest.raises(InputError, match="only proposes what it has seen: 1,000 times"):
        on(of_rows(MIXED, [0] * 1002), made([1] * 3), Rules(1, None, np.inf, repeats="free"))


def asking(*proposals):
    """A class that proposes what is given, and gets results at once."""

    class Asks:
        def __init__(self, problem, seed, settings):
            self.left = list(proposals)

        def ask(self):
            return self.left.pop(0) if self.left else None

        def tell(self, handle, costs, seconds):
            pass

    return Asks


FIRST = {"config": MIXED.config(0), "handle": "a"}


@pytest.mark.fast
@pytest.mark.parametrize(
    ("proposals", "workers", "said"),
    [
        ([{"config": None, "resumes": 7}], 1, "optimiser resumes 7, which is the handle of no earlier"),
        ([FIRST, {"config": None, "resumes": "a"}], 2, "resumes what is still running"),
        ([FIRST, {"config": None, "resumes": "a"}], 1, "resumes at fidelity 1 what went to 1"),
        ([{"configuration": {}}], 1, r"proposes \['configuration'\]: accepted is a mapping with config, fid"),
        ([3], 1, "proposes a int: accepted is a mapping with config, fidelity, handle, resumes"),
        ([{"config": MIXED.config(0), "fidelity": float("nan")}], 1, "fidelity nan: accepted is a number"),
        ([{"config": MIXED.config(0), "fidelity": 2}], 1, "fidelity 2: the highest stored one is 1"),
    ],
)
def test_a_proposal_that_is_none_is_named(proposals, workers, said):
    with pytest.raises(InputError, match=said):
        on(asking(*proposals), made([1] * 3), Rules(workers, None, np.inf))


class Slow(Direct):
    """An optimiser whose thinking takes 2 s for each proposal and half a second for each result."""

    spent = 0.0

    def ask(self):
        answer = super().ask()
        self.cpu = self.spent = self.spent + 2
        return answer

    def tell(self, *result):
        super().tell(*result)
        self.cpu = self.spent = self.spent + 0.5


@pytest.mark.fast
def test_thinking_takes_time_where_the_rules_say_so():
    """Durations 3, 1, 2 on one worker: thinking goes before each, that about a result before the next."""
    starts = {}
    for overhead in (False, True):
        optimizer = Slow(of_rows(MIXED, range(3)))
        optimizer.begin(problem(MIXED), 0, {})
        own = made([3, 1, 2])
        rules = Rules(1, 3, np.inf, overhead=overhead)
        found, facts = run_lane(optimizer, FewRows(), own, rules)
        starts[overhead] = [job.start for job in found]
        assert facts.cpu == 3 * 2 + 3 * 0.5
    assert starts == {False: [0, 3, 4], True: [2, 7.5, 11]}


class FewRows(Wishes):
    """The first three rows of the mixed table."""

    def __init__(self):
        super().__init__(MIXED)
        self._codes = self._codes[:, :3]


# Wishes


def test_rows_are_those_of_the_compiled_search():
    rng = np.random.default_rng(0)
    wishes = Wishes(MIXED)
    for _ in range(30):
        seen = np.unique(rng.integers(50, size=20))
        point = rng.random(4)
        point[2] = rng.integers(3)
        low, high = MIXED.configs[:, 0].min(), MIXED.configs[:, 0].max()
        depth = rng.integers(3)
        point[1] = depth / 2
        config = {
            "rate": float(np.exp(np.log(low) + point[0] * np.log(high / low))),
            "depth": (1, 2, 4)[depth],
            "machine": "abc"[int(point[2])],
            "width": float(
                np.interp(point[3], [0, 1], [MIXED.configs[:, 3].min(), MIXED.configs[:, 3].max()])
            ),
        }
        free = MIXED.measured(0).copy()
        free[seen] = False
        bits = marked(jnp.zeros(2, jnp.uint32), jnp.asarray(seen, jnp.int32))
        want, _ = nearest_unseen(ROWS, jnp.int32(0), bits, jnp.asarray(point))
        assert wishes.nearest(wishes.codes(config), free)[0] == int(want)


@pytest.mark.fast
def test_exact_answers_agree_in_categories():
    wishes = Wishes(MIXED)
    other = np.flatnonzero(MIXED.configs[:, 2] != MIXED.configs[7, 2])
    free = np.zeros(50, bool)
    free[other[0]] = True
    codes = wishes.codes(MIXED.config(7))
    assert wishes.nearest(codes, free, exact=True)[0] == other[0]  # there is none that agrees
    far = next(row for row in range(50) if row != 7 and MIXED.configs[row, 2] == MIXED.configs[7, 2])
    free[far] = True
    assert wishes.nearest(codes, free, exact=True)[0] == far
    assert wishes.length(STEPS**2) == 1


@pytest.mark.fast
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rate": float("nan")}, "proposes nan for column 'rate': accepted are numbers from"),
        ({"width": 8.0}, "proposes 8.0 for column 'width'"),
        ({"depth": 3}, "proposes 3 for column 'depth': accepted are 1, 2, 4"),
        ({"speed": 1}, "proposes column 'speed', which the space does not have"),
        ({"machine": None}, "proposes None for column 'machine': accepted are a, b, c"),
    ],
)
def test_what_is_outside_the_space_is_named(change, said):
    with pytest.raises(InputError, match=said):
        Wishes(MIXED).codes(MIXED.config(0) | change)


# Processes


def served(name, **settings):
    return Served(f"{ADAPTERS}:{name}", "method 'mine'", **settings)


def test_a_process_of_its_own_gives_the_same_run():
    rules = Rules(3, 20, np.inf)
    with served("Shuffled") as optimizer:
        for seed in (0, 1):  # one process serves one run after another
            optimizer.begin(problem(MIXED, 3, 20), seed, {})
            apart = run_lane(optimizer, Wishes(MIXED), cells(MIXED), rules)[0]
            assert apart == launches(Shuffled, MIXED, rules, seed=seed)[0]
            assert len(apart) == 20
        assert optimizer.cpu > 0


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("Raising", {}, "method 'mine': its optimiser raised ValueError: no more ideas"),
        ("Dying", {}, r"method 'mine': its optimiser died \(out of memory\)"),
        ("Hanging", {"timeout": 0.5}, "method 'mine': its optimiser gave no answer in 0.5 s"),
        ("Raising", {"python": "/no/such/python"}, "python '/no/such/python' cannot be run"),
    ],
)
def test_what_goes_wrong_there_is_told_in_one_line(name, settings, said):
    def run():
        with served(name, **settings) as optimizer:
            optimizer.begin(problem(MIXED), 0, {})
            run_lane(optimizer, Wishes(MIXED), cells(MIXED), Rules(2, 20, np.inf))

    with pytest.raises(InputError, match=said):
        run()


# Methods


def test_what_runs_say_of_their_optimiser_is_kept(tmp_path, monkeypatch):
    (tmp_path / "own_ideas.py").write_text(ADAPTERS.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    spec = {"tasks": ["whole", "half"], "objectives": ["a", "b"], "num_seeds": 2, "first_run": 0}
    log = simulate(MIXED, "own_ideas:Shuffled", num_seeds=2, evaluations=12)
    assert (log.outside.proposals == 12).all()
    assert (log.outside.displaced <= 12).all()
    assert (log.outside.cpu > 0).all()
    read = store.read_unit(store.write_unit(tmp_path, store.Unit(spec, log)))
    for kept, was in zip(read.outside, log.outside, strict=True):
        np.testing.assert_array_equal(kept, was)


@pytest.mark.fast
def test_runs_in_which_thinking_took_time_are_those_of_a_machine():
    method = EXTERNAL["optuna-tpe"]
    settings = method.settings()
    measured = dataclasses.replace(settings, overhead="measured")
    none = dataclasses.replace(method, uses=())
    assert none.libraries(settings) == {}
    assert set(none.libraries(measured)) == {"machine"}


def test_a_users_own_optimiser_is_a_method(tmp_path, monkeypatch):
    (tmp_path / "own_ideas.py").write_text(ADAPTERS.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    method = method_named("own_ideas:Shuffled")
    assert isinstance(method, External)
    assert method.summary == "All rows of a grid in random order."
    log = simulate(MIXED, method, num_seeds=2, evaluations=12, tasks=["half"])
    assert log.valid.all()
    assert set(log.row.ravel().tolist()) <= set(range(1, 50, 2))


def test_its_errors_name_the_method(tmp_path, monkeypatch):
    (tmp_path / "own_ideas.py").write_text(ADAPTERS.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserCodeError, match="method 'own_ideas:Raising': its optimiser raised ValueError"):
        simulate(MIXED, "own_ideas:Raising", evaluations=12)
    with pytest.raises(InputError, match="method 'own_ideas:Outside': its optimiser proposes 'x' for column"):
        simulate(MIXED, "own_ideas:Outside", evaluations=12)


@pytest.mark.fast
def test_a_library_that_is_missing_or_too_old_is_named(monkeypatch):
    versions = {"optuna": "4.3.9"}

    def version_of(name):
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr("importlib.metadata.version", version_of)
    with pytest.raises(InputError, match=r"it needs optuna 4\.4 or later, and has 4\.3\.9: pip install"):
        make_plan(MIXED, EXTERNAL["optuna-tpe"])
    with pytest.raises(InputError, match="needs pymoo, which is not installed: pip install 'mohb-jax"):
        make_plan(MIXED, EXTERNAL["pymoo-nsga2"])
    versions["cma"] = "4.5.0"
    with pytest.raises(InputError, match="needs columns that are numbers, and 'machine' is categorical"):
        make_plan(MIXED, EXTERNAL["cma-parego"])


LADDER = dataclasses.replace(
    COUNTS,
    columns=(Column("x", "continuous", "architecture"), Column("rate", "log", "hyperparameter")),
    configs=np.stack([np.arange(60.0), np.geomspace(1e-4, 1, 60)[::-1]], axis=1),
)
"""Two columns of numbers, several fidelities."""
HEAVY = ("optuna-tpe", "optuna-tpe-multivariate", "optuna-nsga3", "optuna-gp", "pymoo-sms-emoa")


@pytest.mark.parametrize(
    "name",
    [
        *("pymoo-nsga2", "optuna-nsga2", pytest.param("cma-parego", marks=pytest.mark.wide)),
        *(pytest.param(name, marks=pytest.mark.slow) for name in HEAVY),
        *("smac-parego", "smac-hb", "syne-moasha", "syne-morea", "neps-mo-hb"),
        pytest.param("ax", marks=pytest.mark.slow),
    ],
)
def test_libraries_give_one_log_for_one_seed_in_two_processes(name):
    for library in EXTERNAL[name].uses:
        try:
            version(library.name)
        except PackageNotFoundError:
            pytest.skip(f"{library.name} is not installed: {library.command}")
    table = LADDER if EXTERNAL[name].requires else MIXED
    own = {"population": 6} if hasattr(EXTERNAL[name].settings(), "population") else {}
    own |= {"evaluations": 40 if EXTERNAL[name].fidelities else 25, "tasks": table.tasks[:1]}
    logs = [simulate(table, name, num_seeds=2, **own) for _ in range(2)]
    assert logs[0].valid.all()
    for one, other in zip(logs[0][:9], logs[1][:9], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(logs[0].row[0], logs[0].row[1])
    if EXTERNAL[name].fidelities:
        assert len(np.unique(logs[0].fidelity)) > 1


@pytest.mark.fast
def test_the_page_says_what_runs_say_of_their_optimiser():
    table = make_table(tasks=("first",))
    unit = make_unit(table, "theirs <b>", 2, num_seeds=2)
    told = Outside(np.array([10, 30]), np.array([1, 7]), np.array([0.5, 0.1]), np.array([1.0, 3.0]))
    own = store.Unit(unit.spec | {"libraries": {"lib": "1.2"}}, unit.log._replace(outside=told))
    found = Analysis(make_study([table], [own, make_unit(table, "ours", 1)]))
    (row,) = found.summary["outside"]
    assert row == {
        "benchmark": table.name,
        "method": "theirs <b>",
        "libraries": "lib 1.2",
        "runs": 2,
        "proposals": 20,
        "displaced": 0.2,
        "distance": pytest.approx(0.2),
        "cpu_seconds": 2,
        "cpu_milliseconds_per_proposal": 100,
    }
    assert found.table("outside").height == 1
    section = build(found)
    assert "theirs &lt;b&gt;" in section.html
    assert "20 %" in section.html
    assert build(Analysis(make_study([table], [make_unit(table, "ours", 1)]))) is None


@pytest.mark.fast
def test_every_adapter_can_be_found():
    for method in EXTERNAL.values():
        file, _, name = method.adapter.rpartition(":")
        assert f"\nclass {name}" in Path(file).read_text(encoding="utf-8")
        assert Path(file).is_relative_to(Path(external.__file__).parent)
