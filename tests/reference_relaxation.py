"""Slow definitions of relaxed choices, column by column and sample by sample."""

import math

import numpy as np


def shares(scores, num_levels, gated=False, absent=None):
    """Shares of the levels of one column, without logarithms."""
    scores = np.asarray(scores, float)[:num_levels]
    if not gated:
        weight = np.exp(scores - scores.max())
        return weight / weight.sum()
    gate = 1 / (1 + np.exp(-scores))
    others = [level for level in range(num_levels) if level != absent]
    rest = 1.0 if absent is None else 1 - gate[absent]
    share = np.zeros(num_levels)
    share[others] = rest * gate[others] / gate[others].sum()
    if absent is not None:
        share[absent] = gate[absent]
    return share


def expected_cost(logits, noise, columns, temperature, predict, weights, resource, resource_weight):
    """The cost that a batch descends, for one known objective.

    Args:
        logits: list of arrays, one per column.
        noise: [samples][columns][levels].
        columns: (number of levels, gated, absent level) of each column.
        temperature: of the samples.
        predict: from a list of shares to objectives.
        weights: of objectives.
        resource: what each level costs, column by column; None if nothing is known.
        resource_weight: of its logarithm.
    """
    values = []
    for own in noise:
        sample = [
            shares((logits[d][:n] + own[d][:n]) / temperature, n, gated, absent)
            for d, (n, gated, absent) in enumerate(columns)
        ]
        values.append(np.dot(predict(sample), weights))
    value = np.mean(values)
    if resource is None:
        return value
    for d, (n, gated, absent) in enumerate(columns):
        expected = np.dot(resource[d][:n], shares(logits[d], n, gated, absent))
        value += resource_weight * math.log(max(1, expected))
    return value


def density(sample, weights, temperature):
    """Of the concrete distribution (Maddison, Mnih, Teh 2017, eq. 10), on the simplex of any number of
    levels."""
    n = len(weights)
    powers = weights * sample ** (-temperature - 1)
    total = np.sum(weights * sample**-temperature)
    return math.factorial(n - 1) * temperature ** (n - 1) * np.prod(powers) / total**n
