"""Engines: the same files from each, and a lost worker costs only its unit."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax import store
from mohb_jax import study as studies
from mohb_jax.errors import InputError, UserCodeError
from mohb_jax.study import WorkUnit
from mohb_jax.study.engines import make_engine

pytest.importorskip("ray") if not os.environ.get("CI") else None


class Deadly(WorkUnit):
    """A unit whose worker dies: of ``hb`` the first time, of ``doomed`` always."""

    def run(self):
        mark = Path(os.environ["MOHB_TEST_MARK"])
        if self.label == "doomed":
            os._exit(1)
        if self.label == "hb" and not mark.exists():
            mark.write_text("once")
            os._exit(1)
        return super().run()


@pytest.fixture(autouse=True)
def workers_at_once(monkeypatch):
    """Ray's workers stand back behind other processes, and these tests would wait for all others to end."""
    monkeypatch.setenv("RAY_worker_niceness", "0")


@pytest.fixture
def study(tmp_path):
    synthetic(40, 2, (1, 3, 9), num_front=6, name="tiny").save(tmp_path / "tiny.npz")
    doomed = {"method": "random", "name": "doomed", "settings": {"workers": 2}}
    content = {"benchmarks": [str(tmp_path / "tiny.npz")], "methods": ["random", "hb", doomed], "seeds": 3}
    content |= {"evaluations": 12, "engine": {"name": "ray", "retries": 1}}
    return studies.make_study(content, "here")


def run(study, folder, engine):
    return studies.run_study(study, studies.load_tables(study), folder, "mohb run", engine=engine)


@pytest.mark.wide
def test_ray_survives_lost_workers_and_writes_the_files_of_this_process(study, tmp_path, monkeypatch):
    run(study, tmp_path / "here", studies.in_this_process)
    monkeypatch.setenv("MOHB_TEST_MARK", str(tmp_path / "mark"))
    # Workers find this module under its name.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]))
    monkeypatch.setattr("mohb_jax.study.units.WorkUnit", Deadly)
    with pytest.raises(
        InputError, match=r"1 of 3 units were lost on Ray: tiny doomed .*the same command goes on"
    ):
        run(study, tmp_path / "there", make_engine(study))
    assert (tmp_path / "mark").read_text() == "once"
    assert len(list((tmp_path / "there" / "units").iterdir())) == 2
    monkeypatch.setattr("mohb_jax.study.units.WorkUnit", WorkUnit)
    assert run(study, tmp_path / "there", studies.in_this_process) == 1
    names = sorted(path.name for path in (tmp_path / "here" / "units").iterdir())
    for name in names:
        one, other = (store.read_unit(tmp_path / place / "units" / name) for place in ("here", "there"))
        assert one.spec == other.spec
        for left, right in zip(one.log, other.log, strict=True):
            np.testing.assert_array_equal(left, right)


OWN = """
from mohb_jax import ext
RANDOM = ext.random_search()
def raises(context, task, state, num_suggestions): return {}["key"]
mine = ext.method("mine", "", like="random", searcher=RANDOM)
raising = ext.method("raising", "", like="random", searcher=RANDOM._replace(suggest=raises))
"""


@pytest.mark.wide
def test_workers_run_the_code_that_they_are_sent(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "own.py").write_text(OWN)
    synthetic(40, 2, (1, 3, 9), num_front=6, name="tiny").save(tmp_path / "tiny.npz")
    content = {"benchmarks": [str(tmp_path / "tiny.npz")], "methods": ["own:mine", "own:raising"], "seeds": 3}
    content |= {"evaluations": 12, "engine": {"name": "ray", "retries": 1}}
    study = studies.make_study(content, "here", folder=tmp_path / "study")
    with pytest.raises(UserCodeError, match=r"own.py, line 4: KeyError: 'key' \(1 of 2 units") as caught:
        run(study, tmp_path / "out", make_engine(study))
    assert 'return {}["key"]' in caught.value.details
    assert len(list((tmp_path / "out" / "units").iterdir())) == 1


def test_an_unknown_cluster_is_one_line(study, tmp_path):
    elsewhere = study.engine.model_copy(update={"address": "127.0.0.1:1"})
    study = study.model_copy(update={"engine": elsewhere})
    with pytest.raises(InputError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
        run(study, tmp_path / "out", make_engine(study))
