"""What Ray Tune's two sides do with a tuner, played without Ray."""

import pytest

from mohb_jax import InputError, Tuner, for_ray, rungs
from mohb_jax.drivers.verdicts import Verdict
from mohb_jax.tuner.on_ray import Desk
from scripts.live.made_up import GOALS, after, space


def tuner_of(method, jobs=40, **options):
    return Tuner(space(), GOALS, method, fidelities=rungs(1, 27), evaluations=jobs, workers=2, **options)


class Controller:
    """Trials that train an epoch each in turn, two at a time, as Ray would have it."""

    def __init__(self, desk):
        self.desk, self.configs, self.epochs, self.running = desk, {}, {}, []

    def fill(self):
        while len(self.running) < 2:
            resumed = self.desk.next_resumed()
            if resumed is None:
                name = f"ray {len(self.configs)}"
                config = self.desk.suggest(name)
                if config is not None:
                    self.configs[name], self.epochs[name] = config, 0
                    self.running.append(name)
                    continue
                resumed = self.desk.next_resumed()
            if resumed is None:
                return
            self.running.append(resumed)

    def play(self, fails=()):
        """To the end; some trials fail at their second epoch. The order of trials that resumed."""
        while True:
            self.fill()
            if not self.running:
                return
            name = self.running.pop(0)
            epoch = self.epochs[name] = self.epochs[name] + 1
            if name in fails and epoch == 2:
                self.desk.fail(name, "lost")
            elif not self.desk.report(name, {"epoch": epoch, **after(self.configs[name], epoch)}).ends:
                self.running.append(name)


@pytest.mark.parametrize("method", ["mo-asha", "mo-asha-promote", "mo-hb"])
def test_trials_stop_or_pause_and_go_on(method):
    tuner = tuner_of(method)
    desk = Desk(tuner, "epoch")
    controller = Controller(desk)
    controller.play()
    frame = tuner.results()
    assert tuner.finished
    assert frame["state"].to_list() == ["done"] * 40
    assert frame["fidelity"].max() > 1
    wanted = [after(tuner.space.config(row), f)["error"] for row, f in frame.select("row", "fidelity").rows()]
    assert frame["objective:error"].to_list() == wanted
    assert frame["trial"].n_unique() == len(controller.configs)
    never = set(desk.all_paused())
    assert never <= set(controller.configs)
    assert desk.all_paused() == []


def test_a_lost_trial_is_a_failed_job():
    tuner = tuner_of("mo-asha", 12)
    controller = Controller(Desk(tuner, "epoch"))
    controller.play(fails={"ray 0"})
    failed = tuner.results().filter(tuner.results()["state"] == "failed")
    assert failed["note"].to_list() == ["lost"]


def test_a_job_that_is_tried_again_goes_to_whoever_asks_next():
    """Others that go on are not given it in their own place."""
    tuner = tuner_of("mo-asha", 12, retries=1)
    Controller(Desk(tuner, "epoch")).play(fails={"ray 0"})
    frame = tuner.results()
    assert frame["state"].to_list() == ["done"] * 12
    assert sorted(frame["attempt"])[-1] == 2


def test_what_is_reported_wrongly():
    desk = Desk(tuner_of("mo-asha"), "step")
    desk.suggest("a")
    with pytest.raises(InputError, match=r"reports no 'step': name the key with for_ray\(fidelity=\)"):
        desk.report("a", {"epoch": 1})
    with pytest.raises(InputError, match="objective 'seconds' is None"):
        desk.report("a", {"step": 1, "error": 1.0})
    assert desk.report("a", {"step": 1, "error": 1.0, "seconds": 1.0}) is Verdict.GO_ON


def test_ray_is_optional(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("mohb_jax.tuner.on_ray.importlib.import_module", missing)
    with pytest.raises(InputError, match=r"pip install 'mohb-jax\[ray\]'"):
        for_ray(tuner_of("random"))
