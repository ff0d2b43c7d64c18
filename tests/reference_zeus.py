"""Zeus by its definition, one execution after the other, in plain Python."""

import math

import numpy as np


def executions(
    training, recurrences, run_of, normal_of, weight=0.5, beta=2.0, window=0, drift=None, known=None
):
    """All executions of one lane as dictionaries.

    Args:
        training: on a GPU.
        recurrences: how often it recurs.
        run_of: number of runs -> which of them an execution is; called once for each.
        normal_of: batch sizes that may be drawn -> a standard normal number for each.
        weight, beta, window, drift: as of the policy.
        known: batch size -> costs that are known of it, in order; these are drawn from at once.
    """
    sizes = list(range(len(training.batch_sizes)))
    epoch_cost = training.epoch_cost(weight)
    costs, profiled, log, least = {b: [] for b in sizes}, set(), [], math.inf
    plan = pruning(sizes, training.default)
    wanted = next(plan)
    if known:
        costs |= {b: list(own) for b, own in known.items()}
        wanted, least = sorted(known), min(min(own) for own in known.values())
    for recurrence in range(recurrences):
        spent = 0.0
        for _ in range(20):
            if isinstance(wanted, list):
                believed = {}
                for b, z in zip(wanted, normal_of(wanted), strict=True):
                    own = np.array(costs[b][-window:])
                    believed[b] = own.mean() - z * math.sqrt(own.var() / own.size)
                batch = min(believed, key=lambda b: (believed[b], b))
            else:
                batch = wanted
            there = [p for p in range(len(training.limits)) if not math.isnan(training.seconds[batch, p])]
            limit = min(there, key=lambda p: (epoch_cost[batch, p], p))
            run = run_of(int(training.num_runs[batch]))
            needed = training.epochs[batch, run] * (1 if drift is None else drift[recurrence])
            allowed = training.max_epochs
            if not math.isinf(least) and not math.isinf(beta):
                allowed = min(math.floor(beta * least / epoch_cost[batch, limit] + 1e-9), training.max_epochs)
            is_first = batch not in profiled
            profiled.add(batch)
            reached, energy, time = False, 0.0, 0.0
            if allowed > 0:
                reached = bool(needed <= allowed)
                epochs = needed if reached else allowed
                energy, time = (own[batch, limit] * epochs for own in (training.joules, training.seconds))
                if is_first:
                    energy, time = (
                        np.mean([own[batch, p] for p in there]) + own[batch, limit] * (epochs - 1)
                        for own in (training.joules, training.seconds)
                    )
                cost = weight * energy + (1 - weight) * training.max_watts * time
                spent += cost
            else:
                cost = 100 * beta * least
            log.append(
                {"batch": batch, "limit": limit, "run": run, "joules": energy, "seconds": time, "cost": cost}
                | {"reached": reached, "ran": allowed > 0, "recurrence": recurrence}
            )
            costs[batch].append(cost)
            if not isinstance(wanted, list):
                wanted = plan.send((reached, cost))
            if reached:
                least = min(least, spent)
                break
    return log


def pruning(sizes, default):
    """Yields the batch size to try, is sent whether it reached the target and what it cost; in the end yields
    the list of those to draw from."""
    for _ in range(2):
        good, best = [], math.inf
        start = sizes.index(default)
        for way in (sizes[start::-1], sizes[start + 1 :]):
            for size in way:
                reached, cost = yield size
                if not reached:
                    break
                good.append(size)
                if cost < best:
                    best, default = cost, size
        sizes = sorted(good)
    yield sizes


def overlapping(training, start, duration, chance, normal, weight=0.5, beta=2.0):
    """Executions of one lane in the order in which they end, recurrences beginning at given times.

    Args:
        training: on a GPU.
        start, duration: of the recurrences.
        chance: by event, which of the measured runs an execution is, in [0, 1).
        normal: by event, a standard normal number for each batch size.
        weight, beta: as of the policy.
    """
    sizes = list(range(len(training.batch_sizes)))
    epoch_cost = training.epoch_cost(weight)
    costs, profiled, log, least, best = {b: [] for b in sizes}, set(), [], math.inf, training.default
    plan = pruning(sizes, training.default)
    wanted, waits, flying, begun = next(plan), False, {}, 0

    def launch(recurrence, at, length, event):
        nonlocal waits
        batch = best
        if not flying and isinstance(wanted, list):
            believed = {
                b: np.mean(costs[b]) - normal[event][b] * math.sqrt(np.var(costs[b]) / len(costs[b]))
                for b in wanted
            }
            batch = min(believed, key=lambda b: (believed[b], b))
        elif not flying:
            batch, waits = wanted, True
        there = [p for p in range(len(training.limits)) if not math.isnan(training.seconds[batch, p])]
        limit = min(there, key=lambda p: (epoch_cost[batch, p], p))
        run = int(chance[event] * training.num_runs[batch])
        needed, allowed = training.epochs[batch, run], training.max_epochs
        if not math.isinf(least):
            allowed = min(math.floor(beta * least / epoch_cost[batch, limit] + 1e-9), training.max_epochs)
        reached = bool(allowed > 0 and needed <= allowed)
        epochs, energy, time = needed if reached else allowed, 0.0, 0.0
        if allowed > 0:
            energy, time = (
                (own[batch, limit] if batch in profiled else np.mean([own[batch, p] for p in there]))
                + own[batch, limit] * (epochs - 1)
                for own in (training.joules, training.seconds)
            )
        profiled.add(batch)
        cost = weight * energy + (1 - weight) * training.max_watts * time if allowed else 100 * beta * least
        took = (energy, time, run, allowed > 0)
        flying[recurrence] = (at + length, at, batch, cost, reached, took)

    for event in range(len(chance)):
        ending = min(flying, key=lambda r: (flying[r][0], r), default=None)
        begins = start[begun] if begun < len(start) else math.inf
        if ending is None and begun == len(start):
            break
        if ending is None or flying[ending][0] > begins:
            launch(begun, begins, duration[begun], event)
            begun += 1
            continue
        end, at, batch, cost, reached, (energy, time, run, ran) = flying.pop(ending)
        costs[batch].append(cost)
        log.append(
            {"batch": batch, "run": run, "joules": energy, "seconds": time, "cost": cost}
            | {"reached": reached, "ran": ran, "recurrence": ending}
        )
        if waits and batch == wanted:
            wanted, waits = plan.send((reached, cost)), False
        if reached and cost < least:
            least, best = cost, batch
        if not reached:
            launch(ending, end, end - at, event)
    return log
