"""Schedules of jobs on a cluster, against their definition and what the published simulator answers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mohb_jax import cli
from mohb_jax.errors import InputError
from mohb_jax.papers import mohan2022
from mohb_jax.precision import in_64_bits
from mohb_jax.scheduling import (
    MODELS,
    MODES,
    POLICIES,
    Jobs,
    allocate,
    best_shares,
    generated_jobs,
    jobs_of,
    optimum,
    simulate_rounds,
)
from mohb_jax.scheduling.jobs import TRACES, read_trace, trace, trace_models
from mohb_jax.scheduling.optimum import Option
from mohb_jax.scheduling.profiles import SERVER
from tests.real_data import need

pytestmark = pytest.mark.wide

FAIR = [amount / SERVER[0] for amount in SERVER]


def placed_by_definition(jobs, order, mode, num_servers):
    """``{job: [servers, share, speed]}`` and what is free, one job after the other; a server stands there as
    often as the job has GPUs on it, and the share is that of one GPU."""
    free = [list(SERVER) for _ in range(num_servers)]
    placed = {}

    def fits(server, share, times=1):
        return all(f >= times * d for f, d in zip(free[server], share, strict=True))

    def by_free_gpus():
        return sorted(range(num_servers), key=lambda s: (free[s][0], s))

    def find(share, gpus):
        order = range(num_servers) if gpus == 1 else by_free_gpus()
        whole = [s for s in order if fits(s, share, gpus)]
        if whole:
            return [whole[0]] * gpus
        found = []
        for server in by_free_gpus():
            while len(found) < gpus and fits(server, share, found.count(server) + 1):
                found.append(server)
        return found if len(found) == gpus else None

    def own(job):
        return [d / jobs.demand[job][0] for d in jobs.demand[job].tolist()]

    def least(job):
        above = any(d > f for d, f in zip(own(job), FAIR, strict=True))
        return (FAIR, 1.0) if above else (own(job), float(jobs.speedup[job]))

    def fullest(gpus):
        whole = [s for s in range(num_servers) if free[s][0] >= gpus]
        if whole and gpus > 1:
            return [whole[0]] * gpus
        in_turn = [s for s in by_free_gpus() for _ in range(int(free[s][0]))]
        return in_turn[:gpus]

    def give_back(server, count, share):
        lacking = [max(0, count * d - f) for d, f in zip(share, free[server], strict=True)]
        others = [(job, its) for job, its in placed.items() if server in its[0]]
        for other, its in sorted(
            others, key=lambda pair: (len(set(pair[1][0])), -pair[1][1][1], -pair[1][1][2])
        ):
            if not any(lacking):
                return
            here = its[0].count(server)
            excess = [here * max(0, a - f) for a, f in zip(its[1], FAIR, strict=True)]
            lacking = [max(0, n - e) for n, e in zip(lacking, excess, strict=True)]
            less, slower = least(other)
            for each in its[0]:
                free[each] = [f + a - b for f, a, b in zip(free[each], its[1], less, strict=True)]
            its[1:] = [less, slower]

    for job in order:
        gpus = int(jobs.demand[job][0])
        if sum(f[0] for f in free) < gpus:
            continue
        share, speed = (FAIR, 1.0) if mode == "fair" else (own(job), float(jobs.speedup[job]))
        servers = find(share, gpus)
        if servers is None and mode != "tune":
            continue
        if servers is None:
            share, speed = least(job)
            servers = find(share, gpus)
        if servers is None:
            servers = fullest(gpus)
            for server in sorted(set(servers), key=lambda s: (free[s][0], s)):
                give_back(server, servers.count(server), share)
        for server in servers:
            free[server] = [f - d for f, d in zip(free[server], share, strict=True)]
        placed[job] = [servers, share, speed]
    return placed, free


def simulated_by_definition(jobs, policy, mode, num_servers, now):
    """When each job ends."""
    num_jobs = len(jobs.seconds)
    done, attained, finish = [0.0] * num_jobs, [0.0] * num_jobs, [np.inf] * num_jobs
    told, listed = list(jobs.speedup), []

    def urgency(job):
        if policy == "fifo":
            return (jobs.arrival[job],)
        if policy == "las":
            return (attained[job], jobs.arrival[job])
        left = jobs.iterations[job] - done[job]
        left = jobs.seconds[job] * left / (1 if mode == "fair" else told[job])
        if policy == "ftf":
            left = (now - jobs.arrival[job] + left) / (jobs.seconds[job] * jobs.iterations[job])
        return (left, jobs.arrival[job])

    def in_reach():
        if policy != "las":
            return listed
        taken, left = [], int(SERVER[0]) * num_servers
        for job in listed:
            if jobs.demand[job][0] <= left:
                taken.append(job)
                left -= jobs.demand[job][0]
        return sorted(taken, key=lambda job: -jobs.demand[job][0]) if mode == "tune" else taken

    while np.isinf(finish).any():
        there = [job for job in range(num_jobs) if np.isinf(finish[job]) and jobs.arrival[job] <= now]
        listed = [job for job in listed if job in there] + [job for job in there if job not in listed]
        listed.sort(key=urgency)
        placed = placed_by_definition(jobs, in_reach(), mode, num_servers)[0]
        now, told = now + 300, list(jobs.speedup)
        for job, (_, _, speed) in placed.items():
            told[job] = speed
            done[job] += np.floor(300 / (jobs.seconds[job] / speed))
            attained[job] += 300 * jobs.demand[job][0]
            if done[job] >= jobs.iterations[job]:
                finish[job] = now
    return np.array(finish)


def made(seed, num_jobs=40, per_hour=60, several_gpus=False):
    """A crowded list of short jobs."""
    jobs = generated_jobs(seed, 1, num_jobs, per_hour, (50, 20, 30), several_gpus)
    one = Jobs(*(part[0] for part in jobs))
    return one._replace(iterations=np.minimum(one.iterations, 3000 / one.seconds))


def lanes_of(jobs, num_lanes):
    return Jobs(*(np.broadcast_to(part, (num_lanes, *part.shape)) for part in jobs))


WAYS = [(policy, mode) for policy in POLICIES for mode in MODES]
POLICY, MODE = zip(*WAYS, strict=True)


@pytest.mark.parametrize(("seed", "several_gpus"), [(0, False), (1, False), (2, False), (3, True), (4, True)])
def test_rounds_are_those_of_the_definition(seed, several_gpus):
    jobs = made(seed, several_gpus=several_gpus)
    found = simulate_rounds(lanes_of(jobs, 12), POLICY, MODE, 2, first_round=300)
    for lane, (policy, mode) in enumerate(WAYS):
        expected = simulated_by_definition(jobs, policy, mode, 2, 300)
        np.testing.assert_array_equal(found.finish[lane], expected, err_msg=f"{policy} {mode}")
    assert len({tuple(row) for row in found.finish}) == 12  # the list tells all ways apart


@in_64_bits
def one_round(jobs, mode, num_servers=1, most_gpus=1):
    own = jax.jit(functools.partial(allocate, num_servers=num_servers, capacity=SERVER, most_gpus=most_gpus))
    count = len(jobs.seconds)
    found = own(
        jnp.arange(count),
        jnp.int32(count),
        jnp.asarray(jobs.demand),
        jnp.asarray(jobs.speedup),
        jnp.int32(MODES.index(mode)),
    )
    return jax.tree.map(np.asarray, found)


@pytest.mark.parametrize("mode", MODES)
def test_a_round_keeps_within_the_servers(mode):
    for seed in range(5):
        jobs = made(seed)
        found = one_round(jobs, mode, num_servers=2)
        expected, free = placed_by_definition(jobs, range(len(jobs.seconds)), mode, 2)
        np.testing.assert_array_equal(found.free, free)
        on = {int(job): s for s, row in enumerate(found.job) for job in row if job >= 0}
        assert on == {job: own[0][0] for job, own in expected.items()}
        assert (found.free >= 0).all()
        assert (found.speed[found.job >= 0] >= 1).all()
        np.testing.assert_allclose(found.free + found.share.sum(axis=1), np.tile(SERVER, (2, 1)))
        if mode != "greedy":
            assert (found.free[:, 0] == 0).all()  # jobs wait, so no GPU is idle


@pytest.mark.parametrize(
    ("mode", "shares", "iterations", "free"),
    [
        (
            "fair",
            dict.fromkeys(range(8), (3, 62.5)),
            [500, 2500, 396, 468, 384, 447, 422, 487],
            (0, 0, 0, 0),
        ),
        (
            "greedy",
            {0: (12, 125), 1: (1, 20), 2: (3, 62.5), 4: (4, 62.5), 5: (1, 20), 8: (1, 20)},
            [1470, 2500, 396, 442, 447, 27272],
            (2, 2, 190, 190),
        ),
        (
            "tune",
            {0: (3, 62.5), 1: (1, 20), 2: (3, 62.5), 3: (3, 62.5), 4: (4, 62.5), 5: (1, 20)}
            | {6: (3, 62.5), 7: (3, 62.5)},
            [500, 2500, 396, 468, 442, 447, 422, 487],
            (0, 3, 85, 85),
        ),
    ],
)
def test_the_first_round_of_the_published_list(mode, shares, iterations, free):
    need(*TRACES.values())
    jobs = Jobs(*(part[:10] for part in trace("static")))
    found = one_round(jobs, mode)
    here = np.argsort(found.job[0], kind="stable")[(found.job[0] < 0).sum() :]
    assert {int(found.job[0, g]): tuple(found.share[0, g, 1:3].tolist()) for g in here} == shares
    job, speed = found.job[0, here], found.speed[0, here]
    assert np.floor(300 / (jobs.seconds[job] / speed)).tolist() == iterations
    assert found.free[0].tolist() == list(free)
    assert speed.sum() == pytest.approx({"fair": 8, "greedy": 8.09, "tune": 8.15}[mode])


def test_the_best_shares_of_the_published_list():
    """A better round than that of tune: it cuts a job only as far as another gains."""
    need(*TRACES.values(), optimum.FILE)
    best = best_shares(trace_models("static")[:8])
    assert best.total == pytest.approx(9.13, abs=0.005)
    assert [own.cpus for own in best.options] == [5, 1, 3, 4, 3, 1, 4, 3]
    assert best.total > 8.15
    assert all(own.speed >= 1 for own in best.options)
    with pytest.raises(InputError, match="jobs on 9 GPUs: 8 are there"):
        best_shares(["gnmt"] * 9)


def test_the_best_shares_of_a_round_that_can_be_counted():
    """Two jobs of which one gains 1 with 4 more processors and one 0.5 with 2; 5 are to be had beyond 20."""
    measured = {
        "a": (Option(3, 60, 1), Option(7, 60, 2)),
        "b": (Option(3, 60, 1), Option(5, 60, 1.5), Option(2, 60, 0.9)),
        "c": (Option(16, 60, 1),),
    }
    best = best_shares(["a", "b", "c"], measured=measured)
    assert (best.total, best.options) == (3.5, (Option(3, 60, 1), Option(5, 60, 1.5), Option(16, 60, 1)))
    assert best_shares(["a", "b"], gpus=[2, 1], measured=measured).total == 5.5


def test_jobs_that_need_nothing_special_run_alike_in_all_modes():
    jobs = jobs_of(["gnmt", "transformer", "deepspeech"] * 6, [0.0] * 18, [5000] * 18)
    found = simulate_rounds(lanes_of(jobs, 12), POLICY, MODE, 1)
    for policy in range(4):
        assert (found.finish[3 * policy : 3 * policy + 3] == found.finish[3 * policy]).all()


def test_a_lane_does_not_depend_on_the_others():
    jobs = [made(seed) for seed in range(3)]
    together = Jobs(*(np.stack(parts) for parts in zip(*jobs, strict=True)))
    found = simulate_rounds(together, ["srtf", "las", "fifo"], ["tune", "greedy", "tune"], 2, 300)
    alone = simulate_rounds(lanes_of(jobs[1], 3), ["las"] * 3, ["greedy"] * 3, 2, 300)
    np.testing.assert_array_equal(found.finish[1], alone.finish[0])


def test_what_jobs_on_several_gpus_demand():
    """Four times 12 processors are more than a server has; with 24, twelve above the fair share of four GPUs
    in place of 36, a third of what is gained is left. Eight GPUs have all of a server at their fair share."""
    jobs = jobs_of(["alexnet", "m5", "alexnet", "gnmt"], [0] * 4, [1] * 4, gpus=[4, 4, 8, 8])
    assert jobs.demand[:, :3].tolist() == [[4, 24, 500], [4, 24, 500], [8, 24, 500], [8, 8, 160]]
    np.testing.assert_allclose(jobs.speedup, [1 + 1.94 / 3, 2.5, 1, 1])
    counts = np.unique(generated_jobs(0, 1, 400, 6.0, several_gpus=True).demand[0, :, 0], return_counts=True)
    assert counts[0].tolist() == [1, 2, 4, 8]
    assert (np.abs(counts[1] / 400 - [0.7, 0.1, 0.15, 0.05]) < 0.07).all()


def test_a_job_goes_on_one_server_if_it_can_and_is_spread_if_it_must():
    """Servers with 2 and 7 free GPUs: two go where fewer are free, eight are spread."""
    ones = jobs_of(["gnmt"] * 7, [0] * 7, [1] * 7)
    two, eight = (jobs_of(["gnmt"], [0], [1], gpus=[n]) for n in (2, 8))
    for more, expected in ((two, [2, 0]), (eight, [2, 6])):
        jobs = Jobs(*(np.concatenate(both) for both in zip(ones, more, strict=True)))
        jobs.demand[:2, 1] = 17, 8  # the second finds no place beside the first
        found = one_round(jobs, "greedy", 2, most_gpus=8)
        first = (found.job == 7).sum(axis=1)
        assert first.tolist() == expected


def test_made_lists_do_not_depend_on_how_many_there_are():
    few, many = generated_jobs(3, 1, 50, 6.0), generated_jobs(3, 2, 50, 6.0)
    for one, other in zip(few, many, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    assert (many.seconds[0] != many.seconds[1]).any()
    hours = many.arrival[:, -1] / 3600
    assert (np.abs(hours - 50 / 6) < 4).all()


def test_rows_of_the_published_simulator():
    need(*TRACES.values())
    rows = mohan2022.trace_rows()
    assert [row for row in rows if row.is_published and not row.agrees] == []
    assert sum(row.is_published for row in rows) == 18
    assert len(rows) == 24
    mean = {(row.trace, row.policy, row.mode): row for row in rows}
    assert (
        round(mean["static", "fifo", "fair"].makespan / mean["static", "fifo", "tune"].makespan, 3) == 1.386
    )


def test_where_no_job_waits_the_gain_is_that_of_the_speedups():
    jobs = jobs_of(list(MODELS), [0.0] * len(MODELS), [1e5] * len(MODELS))
    found = simulate_rounds(lanes_of(jobs, 2), ["fifo"] * 2, ["fair", "tune"], len(MODELS))
    expected = np.mean(jobs.seconds) / np.mean(jobs.seconds / jobs.speedup)
    assert found.finish[0].mean() / found.finish[1].mean() == pytest.approx(expected, rel=0.02)
    assert mohan2022.empty_cluster_gain(mohan2022.Mixture((0, 100, 0), several_gpus=True)) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jobs_of(["alexnet", "vgg"], [0, 0], [1, 1]), "'vgg'"),
        (lambda: simulate_rounds(lanes_of(made(0), 1), ["sjf"], ["tune"], 1), "'sjf'"),
        (lambda: simulate_rounds(lanes_of(made(0), 1), ["fifo"], ["opt"], 1), "'opt'"),
        (lambda: simulate_rounds(lanes_of(made(0), 2), ["fifo"], ["tune"] * 2, 1), "1 of policy for 2 lists"),
        (lambda: simulate_rounds(lanes_of(made(0), 1), ["fifo"], ["tune"], 0), "at least one is needed"),
        (
            lambda: simulate_rounds(
                lanes_of(made(0)._replace(demand=np.full((40, 4), 9.0)), 1), ["las"], ["tune"], 1
            ),
            "job 0 demands 9 gpus, 9 cpus, 9 memory, 9 storage: more than 1 server",
        ),
        (
            lambda: simulate_rounds(
                lanes_of(made(0)._replace(demand=np.tile([1.0, 25, 9, 9], (40, 1))), 1), ["las"], ["tune"], 1
            ),
            "demands 1 gpus, 25 cpus, 9 memory, 9 storage",
        ),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"), [("0,alexnet,0.0,3349", "is not number, model"), ("1,gnmt,0,5,0", "line 1: 0 GPUs")]
)
def test_a_line_of_a_trace_that_is_none(tmp_path, line, message):
    (tmp_path / "trace").write_text(line)
    with pytest.raises(InputError, match=message):
        read_trace(tmp_path / "trace")


def test_reproduction_from_the_command_line(tmp_path, monkeypatch, capsys):
    need(*TRACES.values(), optimum.FILE)
    monkeypatch.setattr(mohan2022, "LOADS", {mohan2022.Mixture((20, 70, 10)): (8.0,)})
    monkeypatch.setattr(mohan2022, "NUM_JOBS", 30)
    monkeypatch.setattr(mohan2022, "COUNTED", slice(10, 20))
    out = tmp_path / "out"
    assert command("reproduce", "mohan2022", "--seeds", "2", "--out", str(out)) == 0
    page = (out / "claims" / "index.html").read_text(encoding="utf-8")
    assert "18 of 18 rows" in page
    assert "add up to 8.15, and to 9.13 with the best shares" in page
    assert "$" not in page
    files = {path.name for path in (out / "claims").iterdir()}
    assert files == {"index.html", "traces.csv", "rounds.csv", "loads.csv", "results.json", "figures"}
    assert command("reproduce", "mohan2022", "--benchmark", "embedded", "--out", str(out)) == 2
    assert "runs on no benchmark" in capsys.readouterr().err


def command(*words):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    return ended.value.code
