"""Slow: what the first prototype of the driver had measured comes out of the driver again."""

import pytest

from mohb_jax.running import run_study

# Relative hypervolume in full on embedded, task digits, default horizon, four workers: means of 8 runs.
PROTOTYPE = {
    "random": 0.824,
    "optuna-nsga2": 0.899,
    "optuna-tpe": 0.950,
    "optuna-tpe-multivariate": 0.948,
    "pymoo-nsga2": 0.785,
}
RUNS, RUNS_OF_PROTOTYPE = 30, 8


@pytest.mark.slow
def test_figures_of_the_prototype_within_three_standard_errors(tmp_path):
    pytest.importorskip("optuna")
    study = {
        "name": "prototype",
        "benchmarks": [{"name": "embedded", "tasks": ["digits"]}],
        "methods": list(PROTOTYPE),
        "seeds": RUNS,
        "settings": {"workers": 4},
    }
    finals = run_study(study, out=tmp_path, progress=False).finals(credit="full")
    off = {}
    for name, figure in PROTOTYPE.items():
        reached = finals.filter(method=name)["hypervolume"]
        assert len(reached) == RUNS
        error = reached.std() * (1 / RUNS + 1 / RUNS_OF_PROTOTYPE) ** 0.5
        off[name] = (reached.mean() - figure) / error
    assert all(abs(errors) <= 3 for errors in off.values()), off
