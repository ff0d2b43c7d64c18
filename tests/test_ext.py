"""What authors make methods of, and how wrong parts are told."""

import dataclasses

import jax.numpy as jnp
import pytest

import mohb_jax
from mohb_jax import ext, methods
from mohb_jax.drivers.base import Conditions
from mohb_jax.errors import InputError
from mohb_jax.methods import make_plan, make_settings, method_named
from mohb_jax.methods.outside import REGISTERED
from mohb_jax.promotions import promotion_named
from tests.fake_study import make_table

pytestmark = pytest.mark.fast


def rule(key, costs, valid, num_keep):
    """The first rows."""
    return jnp.arange(num_keep)


def planned(method, **settings):
    own = make_settings(method, **settings)
    return make_plan(make_table(), method, own, Conditions())


def test_all_names_are_there():
    missing = [name for name in ext.__all__ if not hasattr(ext, name)]
    assert not missing


def test_a_method_is_a_known_one_with_other_parts():
    made = ext.method("mine", "one line", like="mo-hb", promotion=rule)
    base = method_named("mo-hb")
    assert (made.name, made.summary, made.schedule, made.settings) == (
        *("mine", "one line"),
        base.schedule,
        base.settings,
    )
    assert planned(made).promotion is planned(made).promotion
    assert made.promotion.summary == "The first rows."


def test_parts_may_be_values_or_factories_and_are_kept():
    searcher = ext.random_search()
    calls = []

    def make(own):
        calls.append(own.eta)
        return searcher._replace(lanes_per_batch=own.eta)

    for part in (searcher, ext.random_search, lambda own: searcher):
        assert planned(ext.method("mine", "", searcher=part)).searcher == searcher
    made = ext.method("mine", "", searcher=make)
    assert [planned(made, eta=eta).searcher.lanes_per_batch for eta in (2, 3, 2)] == [2, 3, 2]
    assert calls == [2, 3], "equal settings make one searcher"
    for part in (rule, lambda: rule, lambda own: rule, "single", promotion_named("net")):
        assert callable(planned(ext.method("mine", "", promotion=part)).promotion)
    block = ext.full_fidelity(make_table().fidelities, 7)
    for part in (
        lambda table, own, conditions: block,
        lambda table, own: block,
        lambda own: block,
        lambda: block,
    ):
        assert planned(ext.method("mine", "", schedule=part)).brackets == block


def test_own_settings_extend_those_of_the_method():
    @dataclasses.dataclass(frozen=True)
    class Mine(ext.settings_of("mo-hb")):
        temperature: float | int = ext.setting(1, "above 1 it draws more evenly", check=ext.positive)

    made = ext.method("mine", "", settings=Mine, searcher=lambda own: ext.random_search())
    assert make_settings(made, temperature=2, eta=2).temperature == 2
    with pytest.raises(InputError, match=r"'temprature' is unknown .*did you mean temperature\?.*eta"):
        make_settings(made, temprature=2)
    with pytest.raises(InputError, match="temperature is 0: it must be a positive"):
        make_settings(made, temperature=0)


@dataclasses.dataclass(frozen=True)
class Alone(ext.Settings):
    """Settings that extend nobody's."""


class Undecorated(ext.settings_of("mo-hb")):
    """Settings without the decorator."""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "mo-hb"}, "method 'mo-hb' comes with the package"),
        ({"name": "a:b"}, "method 'a:b' is no name"),
        ({"like": "mo-hbb"}, r"method 'mo-hbb' is unknown \(did you mean mo-hb"),
        (
            {"sercher": rule},
            r"mo-hb has no part 'sercher' \(did you mean searcher\?\): accepted are",
        ),
        ({"searcher": 3}, "method 'mine': searcher is of type int: accepted is a Searcher"),
        ({"searcher": rule}, "searcher takes something else: accepted is a Searcher"),
        ({"promotion": 3}, "promotion rule 'mine' is of type int: accepted is a rule"),
        ({"promotion": lambda a, b: a}, "takes something else: accepted is a rule"),
        ({"schedule": 3}, "method 'mine': schedule is of type int: accepted is a function"),
        ({"settings": Alone}, "settings is Alone: a frozen dataclass that extends HyperbandSettings"),
        ({"settings": Undecorated}, r"Undecorated lacks @dataclasses.dataclass\(frozen=True\)"),
    ],
)
def test_wrong_parts_are_told_in_a_line(given, message):
    with pytest.raises(InputError, match=message) as caught:
        ext.method(**{"name": "mine", "summary": ""} | given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"searcher": lambda: 3},
            "searcher returned a value of type int: accepted is a Searcher",
        ),
        ({"promotion": lambda: 3}, "promotion rule 'mine' returned a value of type int"),
        (
            {"schedule": lambda: 3},
            "schedule returned a value of type int: a tuple of Brackets",
        ),
        ({"like": "mo-rea", "policy": lambda: 3}, "policy returned a value of type int: a Policy is needed"),
    ],
)
def test_factories_that_return_something_else_are_told(given, message):
    made = ext.method("mine", "", **given)
    with pytest.raises(InputError, match=message):
        planned(made)


def test_a_named_rule_takes_its_summary_and_limit():
    made = ext.promotion("mine", "one line", rule, max_objectives=2)
    assert (made.summary, made.max_objectives) == ("one line", 2)
    with pytest.raises(InputError, match="at most 2 objectives, the table has 3"):
        planned(ext.method("mine", "", promotion=made))


def test_registered_methods_are_known_by_name_and_by_their_source():
    made = ext.method("mine", "", promotion=rule, searcher=ext.random_search())
    try:
        mohb_jax.register(made)
        found = method_named("mine")
        assert found.promotion is made.promotion
        assert len(found.origin.identity["source"]) == 64
        with pytest.raises(InputError, match="'mine' is registered already: replace=True replaces it"):
            methods.register(made)
        methods.register(made, replace=True)
    finally:
        REGISTERED.pop("mine", None)
    with pytest.raises(InputError, match="method 'mo-hb' comes with the package and stays"):
        methods.register(dataclasses.replace(made, name="mo-hb"), replace=True)
