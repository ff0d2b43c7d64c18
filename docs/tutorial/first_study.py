# %% [markdown]
# You need Python 3.11 or newer and the package (`pip install .` in the repository). Nothing is downloaded.
#
# The script has cells (`# %%`): an editor such as VS Code or Spyder runs them one by one, and `python
# first_study.py` all of them.

# %% [markdown]
# ## One tuning run
#
# A *table* holds the results of trainings that somebody has made. `embedded` comes with the package: small
# networks on seven data sets, on 37 kinds of machines, with error, runtime and cost after each of 27
# epochs.

# %%
import mohb_jax as mohb
from mohb_jax import benchmarks

table = benchmarks.load("embedded")
print(table)

# %% [markdown]
# A method tunes: it chooses configurations, and how long each is trained. Here multi-objective Hyperband
# makes 100 runs of 60 evaluations each, on one data set. Nothing is trained: results are looked up in the
# table, and a simulated clock counts the time of four workers.

# %%
log = mohb.simulate(table, "mo-hb", num_seeds=100, tasks=["digits"], evaluations=60, workers=4)
print("rows of the first run:", log.row[0, :5])
print("simulated seconds at which each was done:", log.end[0, :5].round(1))

# %% [markdown]
# ## A study
#
# A study compares methods. It is a mapping, or the same as a YAML file. Every method makes 100 runs on
# every data set.

# %%
study = {
    "name": "first-study",
    "benchmarks": [{"name": "embedded", "tasks": ["digits", "diabetes"]}],
    "methods": [
        "random",
        "mo-hb",
        {"method": "mo-hb", "name": "mo-hb-barrier", "settings": {"mode": "barrier"}},
    ],
    "seeds": 100,
    "reference": "random",
}
results = mohb.run_study(study)

# %% [markdown]
# The results are kept in `runs/first-study`. Run this again and nothing is computed twice.
#
# ## What came out
#
# Hypervolume says how much of the true front's trade-offs a method has found when its time is over: 1 is
# everything. `low` and `high` are the ends of the 95 % interval. The task `all` is the mean over the tasks.
#
# Every number is there twice, since there are two answers to what counts as a result (`credit`): `full`, only
# trainings that went to the end, and `passed`, every epoch that a training went through
# ([when each is right](../methods.md#what-counts-as-a-result)).

# %%
shown = ["credit", "method", "hypervolume_mean", "hypervolume_low", "hypervolume_high"]
print(results.summary(task="all").sort("credit", maintain_order=True).select(shown))

# %% [markdown]
# | all tasks | full | 95 % interval | passed | 95 % interval |
# |---|---|---|---|---|
# | random | 0.796 | 0.783 to 0.807 | 0.822 | 0.812 to 0.831 |
# | mo-hb | 0.789 | 0.775 to 0.802 | 0.898 | 0.891 to 0.903 |
# | mo-hb-barrier | 0.668 | 0.646 to 0.690 | 0.840 | 0.829 to 0.849 |
#
# In full, Hyperband is level with random search, and behind it where all workers wait for the end of a rung
# (`mode: barrier`), since most of a rung waits for its slowest job. Where every epoch counts it is ahead of
# random search either way: it looks at many more configurations, and each has a result.
#
# Are the differences real? Run i of one method and run i of another share their random numbers, so they are
# *paired*: `difference` is the mean of run i minus run i, and `low` and `high` are the ends of its 95 %
# interval.
#
# `p` is of a test that is *not* paired. `test` and `effect` name it: on each task `mann-whitney` and
# `vargha-delaney`, the probability that a run of the first beats a run of the second.
#
# The task `all` is tested over the means of tasks (`wilcoxon`, `rank-biserial`), from five tasks on. Here are
# two, so its test, effect and p are null. More: [studies and reports](../studies.md#what-a-report-compares).

# %%
difference = results.compare("mo-hb", "mo-hb-barrier", credit="full")
print(difference.select("task", "difference", "low", "high", "test", "effect_size", "p"))

# %% [markdown]
# ## A figure
#
# How does hypervolume grow with simulated time? The figure is one of matplotlib: change it as you like.

# %%
figure = results.plot_curves()
figure.savefig("curves.png")

# %% [markdown]
# ![Hypervolume over simulated time on two data sets](../images/first_study.png)
#
# ## A page
#
# `results.report()` writes a page with all tables and figures, the same as `mohb report runs/first-study`.
#
# ## What next?
#
# * Other methods: `print(list(mohb.METHODS))`, or `mohb list methods` in a terminal;
#   `mohb list methods mo-hb` shows the settings of one.
# * [Tune a training of your own](../howto/live.md), on as many objectives as you like: three files and two
#   commands.
# * [Your own table](../howto/table.md), [your own method](../howto/method.md).
# * What a study file can say: [studies and reports](../studies.md).
# * Words: [glossary](../glossary.md).
