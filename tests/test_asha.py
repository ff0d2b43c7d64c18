"""The asynchronous event loop against plain Python: every job of every lane, exactly."""

import functools

import jax
import numpy as np
import pytest

from mohb_jax.errors import InputError
from mohb_jax.kernels import arrival, fronts, promotion
from mohb_jax.kernels.epsilon_net import scale_costs
from mohb_jax.schedule import asha_rungs
from mohb_jax.simulation import simulate
from tests import reference, reference_asha
from tests.reference_stopped import Entry, go_on
from tests.test_hyperband import entries, integer_table, suggestions

SCALE = jax.jit(lambda costs, valid: scale_costs(costs, valid, "minmax"))


def scaled_net(costs):
    """The epsilon-net's order on the grid of scaled costs, by definition."""
    padded = np.zeros((32, costs.shape[1]))
    padded[: len(costs)] = costs
    return reference.epsilon_net_order(np.asarray(SCALE(padded, np.arange(32) < len(costs)))[: len(costs)])


SORT = jax.jit(lambda costs, valid: promotion.epsilon_net()(jax.random.key(0), costs, valid, costs.shape[0]))


def sorted_net(costs):
    """The same by the kernel that sorts a whole rung, which has tests of its own; padded to one shape."""
    padded = np.zeros((128, costs.shape[1]))
    padded[: len(costs)] = costs
    return np.asarray(SORT(padded, np.arange(128) < len(costs)))[: len(costs)]


def best_first(costs):
    return np.argsort(costs[:, 0], kind="stable")


def whole_fronts_then_hypervolume(costs):
    """The hypervolume cut of a third; what is not good enough, behind it in any order."""
    best = reference.hypervolume_cut(costs, max(1, len(costs) // 3)).tolist()
    return best + [row for row in range(len(costs)) if row not in best]


RULES = {
    "crowding": reference.crowding_order,
    "hvc": whole_fronts_then_hypervolume,
    "scalar": lambda costs: np.argsort(reference.min_max_scaled(costs) @ [1.0, 2.0], kind="stable"),
    "single": best_first,
}
ORDERS = {"mo-asha": sorted_net, "asha": best_first, "mo-asha-promote": sorted_net}


def expected(
    table, log, lane, name, *, workers, resumable=True, eta=3, trials=None, horizon=np.inf, budget=None
):
    """What is launched in the end does not depend on where a run ends; stopped rows go on once all are
    seen."""
    costs, runtime = table.dense(range(table.num_fidelities))
    task = int(log.task[lane])
    rows = suggestions(0, int(log.run[lane]), table.num_rows)[:trials]
    (ladder,) = asha_rungs(table.fidelities, eta)
    jobs = functools.partial(
        reference_asha.simulate,
        costs[task],
        runtime[task],
        rows,
        [0] * len(rows),
        [ladder],
        order=ORDERS[name],
        num_workers=workers,
        resumable=resumable,
        eta=eta,
        variant="promote" if name.endswith("promote") else "stop",
    )
    found, _ = jobs(horizon=horizon, budget=budget)
    if trials is None and len({job.row for job in found}) == table.num_rows:
        failed = ~np.isfinite(costs[task]).all(axis=-1)
        past = [Entry(*job)._replace(level=ladder.index(job.level)) for job in jobs()[0]]
        found = go_on(past, runtime[task][:, ladder], failed[:, ladder], workers, resumable)
        found = [entry._replace(level=ladder[entry.level]) for entry in found]
    return [tuple(entry) for entry in found[:budget] if entry.end <= horizon]


LIMITS = {1: [(True, {"horizon": 500.0})], 20: [(True, {"budget": 90})]}
LIMITS[4] = [(True, {"budget": 70}), (False, {"horizon": 300.0}), (False, {"horizon": 20.0})]
ONE_METHOD = {1: "mo-asha", 20: "mo-asha-promote"}
"""A number of workers is a program of its own: others than four with one method here."""


def asked_by(name, workers):
    """What asks a case, other than ``make test``."""
    if ONE_METHOD.get(workers, name) != name:
        return pytest.mark.slow
    return pytest.mark.wide if workers == 20 else ()


@pytest.mark.parametrize(
    ("name", "workers", "resumable", "limits"),
    [
        pytest.param(*(name, workers, *case), marks=asked_by(name, workers))
        for name in ("mo-asha", "asha", "mo-asha-promote")
        for workers, cases in LIMITS.items()
        for case in cases
    ],
)
def test_log_equals_plain_python(name, workers, resumable, limits):
    table = integer_table(resumable=resumable, num_objectives=2, levels=12)  # ties in time and in costs
    words = {"horizon": "seconds", "budget": "evaluations"}
    log = simulate(
        table, name, num_seeds=3, workers=workers, **{words[key]: value for key, value in limits.items()}
    )
    for lane in range(6):
        assert entries(log, lane) == expected(
            table, log, lane, name, workers=workers, resumable=resumable, **limits
        )


@pytest.mark.parametrize(
    ("num_objectives", "eta"),
    [
        *((3, 2), pytest.param(1, 4, marks=pytest.mark.wide)),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((1, 2), (3, 4))),
    ],
)
def test_other_shapes_equal_plain_python(num_objectives, eta):
    table = integer_table(num_objectives=num_objectives, num_rows=100, levels=10**6)
    log = simulate(table, "mo-asha", num_seeds=2, workers=4, eta=eta, evaluations=120)
    for lane in (0, 3):
        found = expected(table, log, lane, "mo-asha", workers=4, eta=eta, budget=120)
        assert entries(log, lane) == found
        assert len(found) > 100


def test_failures_equal_plain_python():
    table = integer_table(num_objectives=2)
    available = np.random.default_rng(1).random(table.mask.shape) < 0.7
    available[..., -1] = True  # or else some rows would not be proposed
    fields = {name: getattr(table, name) for name in table.__dataclass_fields__}
    fields |= {"costs": np.where(available[..., None], table.costs, np.nan), "available": available}
    holes = type(table)(**fields)
    for name in ORDERS:
        log = simulate(holes, name, num_seeds=3, workers=4, evaluations=70)
        for lane in range(6):
            assert entries(log, lane) == expected(holes, log, lane, name, workers=4, budget=70)


@pytest.mark.parametrize(
    ("name", "workers"),
    [
        *(("mo-asha", 4), pytest.param("mo-asha-promote", 20, marks=pytest.mark.wide)),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("mo-asha", 20), ("mo-asha-promote", 4))),
    ],
)
def test_number_of_trials_ends_a_run(name, workers):
    table = integer_table(num_objectives=2, levels=12)
    log = simulate(table, name, num_seeds=3, workers=workers, trials=9, evaluations=1000)
    for lane in range(6):
        found = expected(table, log, lane, name, workers=workers, trials=9)
        assert entries(log, lane) == found
        assert len({entry[0] for entry in found}) == 9


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        *(("mo-asha", "scalar"), ("mo-asha", "random")),
        *(
            pytest.param(*case, marks=pytest.mark.wide)
            for case in (("mo-asha", "hvc"), ("mo-asha-promote", "crowding"), ("mo-asha-promote", "single"))
        ),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                *(("mo-asha-promote", "hvc"), ("mo-asha", "crowding"), ("mo-asha-promote", "scalar")),
                *(("mo-asha", "single"), ("mo-asha-promote", "random")),
            )
        ),
    ],
)
def test_other_rules_sort_the_rung_at_every_arrival(name, rule):
    table = integer_table(num_objectives=2, levels=10**6)
    weights = (1.0, 2.0) if rule == "scalar" else None
    settings = {"workers": 4, "evaluations": 50, "promotion": rule, "weights": weights}
    log = simulate(table, name, num_seeds=2, **settings)
    ORDERS[name], kept = RULES.get(rule, sorted_net), ORDERS[name]
    try:
        for lane in (0, 3):
            found = expected(table, log, lane, name, workers=4, budget=50)
            assert (entries(log, lane) == found) == (rule != "random")
    finally:
        ORDERS[name] = kept


def test_promotion_at_random_goes_on_with_one_in_eta():
    table = integer_table(num_rows=300, num_tasks=1)
    log = simulate(table, "mo-asha-promote", num_seeds=30, workers=4, evaluations=120, promotion="random")
    started = (log.fidelity == 0).sum()
    assert (log.fidelity == 1).sum() / started == pytest.approx(1 / 3, abs=0.05)


ARRIVE = jax.jit(fronts.with_newcomer)


def decisions(rule, stream, eta=3):
    """What a rule decides along a stream of results of one rung."""
    n = len(stream)
    capacity = -(-n // 32) * 32
    costs = np.full((stream.shape[1], capacity), np.inf)
    costs[:, :n] = stream.T
    kept = fronts.no_fronts(capacity)
    first, settle = jax.jit(rule.first), rule.settle and jax.jit(rule.settle)
    found = []
    for newcomer in range(n):
        keep = np.int32(max(1, reference_asha.share(newcomer + 1, eta)))
        known = stream[: newcomer + 1]
        known = known[np.isfinite(known).all(axis=1)]
        low, high = (
            find(known, axis=0, initial=start) for find, start in ((np.min, np.inf), (np.max, -np.inf))
        )
        valid = np.arange(capacity) <= newcomer
        rung = arrival.Rung(costs, valid, low, high, keep, np.float64(eta))
        wanted = np.arange(capacity) == newcomer
        if settle:
            kept = settle(rung, wanted, ARRIVE(costs, valid, np.int32(newcomer), kept))
        found.append(int(first(jax.random.key(0), rung, wanted, kept if settle else None)) == newcomer)
    return found


def streams():
    rng = np.random.default_rng(0)
    yield rng.random((25, 2))
    yield rng.integers(4, size=(25, 2)).astype(float)  # many ties
    yield rng.random((25, 3)) * [1, 100, 1e-3]
    line = rng.random(25)
    yield np.stack([line, 1 - line], axis=1)  # one front
    broken = rng.random((25, 2))
    broken[rng.random(25) < 0.2] = np.inf
    yield broken


@pytest.mark.parametrize("stream", list(streams()))
def test_decisions_equal_sorting_the_whole_rung(stream):
    quick = decisions(arrival.net_arrival(), stream)
    assert quick == decisions(arrival.sorted_arrival(promotion.epsilon_net()), stream)
    by_definition = [
        reference_asha.newcomer_continues(stream[: n + 1], scaled_net, 3)[1] for n in range(len(stream))
    ]
    assert quick == by_definition


@pytest.mark.parametrize("stream", list(streams()))
def test_defective_decisions_equal_their_definition(stream):
    found = decisions(arrival.defective_arrival(), stream)
    by_definition = [
        reference_asha.newcomer_continues(stream[: n + 1], reference.epsilon_net_order, 3, compat=True)[1]
        for n in range(len(stream))
    ]
    assert found == by_definition


def test_rungs_equal_their_definition():
    for fidelities in (
        (1, 3, 9, 27),
        tuple(range(1, 53)),
        (1000, 6000, 15000, 30000, 60000),
        (1,),
        (0.5, 1, 2),
    ):
        for eta in (2, 3, 4, 2.5):
            (rungs,) = asha_rungs(fidelities, eta)
            assert rungs == reference_asha.rungs_of(fidelities, eta, fidelities[0])
    brackets = asha_rungs((1, 3, 9, 27), 3, num_brackets=3)
    assert brackets == tuple(reference_asha.rungs_of((1, 3, 9, 27), 3, 1, b) for b in range(3))


def test_brackets_are_drawn_by_their_number_of_rungs():
    table = integer_table(num_rows=300, num_tasks=1)
    log = simulate(table, "mo-asha", num_seeds=50, workers=2, brackets=2, evaluations=20)
    first = log.fidelity[:, :2].ravel()  # the first rung of the first two trials
    share = (first == 0).mean()
    assert share == pytest.approx(np.exp(4) / (np.exp(4) + np.exp(3)), abs=0.15)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"eta": 1}, "eta is 1"),
        ({"grace": 100}, "grace is 100: accepted are values from 1 to 27"),
        ({"brackets": 9}, "brackets is 9: accepted are 1 to 4"),
        ({"trials": 0}, "trials is 0"),
        ({"seconds": 0}, "seconds is 0"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        simulate(integer_table(), "mo-asha", **settings)
