"""Zeus by its definition, one execution after the other, in plain Python."""

import math

import numpy as np


def executions(training, recurrences, run_of, normal_of, weight=0.5, beta=2.0, window=0, drift=None):
    """All executions of one lane as dictionaries.

    Args:
        training: on a GPU.
        recurrences: how often it recurs.
        run_of: number of runs -> which of them an execution is; called once for each.
        normal_of: batch sizes that may be drawn -> a standard normal number for each.
        weight, beta, window, drift: as of the policy.
    """
    sizes = list(range(len(training.batch_sizes)))
    epoch_cost = training.epoch_cost(weight)
    costs, profiled, log, least = {b: [] for b in sizes}, set(), [], math.inf
    plan = pruning(sizes, training.default)
    wanted = next(plan)
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
