"""How a method travels to a worker: by its name, and a user's code as the source that the worker runs."""

import dataclasses
import functools
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from mohb_jax import plugins
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods import SHIPPED, Method, make_settings
from mohb_jax.methods.outside import method_from
from mohb_jax.plugins import Loaded, Shipment
from mohb_jax.promotions import promotion_named
from mohb_jax.study.sweep import Chosen


class Sent(NamedTuple):
    """A ``Chosen`` on its way: nothing of it is code but a method that was registered."""

    method: str | Method | Shipment
    settings: dict[str, Any]
    conditions: Conditions
    rule: Shipment | None


def sent(how: Chosen) -> Sent:
    """What to send."""
    settings = {field.name: getattr(how.settings, field.name) for field in dataclasses.fields(how.settings)}
    origin = how.origins.get("promotion_plugin")
    rule = None if origin is None else plugins.packed(origin)
    return Sent(_method(how.method), settings, how.conditions, rule)


def _method(method: Method) -> str | Method | Shipment:
    if SHIPPED.get(method.name) is method:
        return method.name
    if method.origin is None or method.origin.object is None:
        return method
    return plugins.packed(method.origin)


def received(sent: Sent) -> Chosen:
    """What was sent, its code imported here.

    Raises:
        InputError: the code here is not what was sent.
    """
    settings = dict(sent.settings)
    rule = None
    if sent.rule is not None:
        settings["promotion"] = plugins.unpacked(sent.rule, _folder(), "promotion rule").reference
        rule = promotion_named(settings["promotion"])
    method = sent.method if isinstance(sent.method, Method) else _here(sent.method)
    return Chosen(method, make_settings(method, **settings), sent.conditions, rule)


def _here(method: str | Shipment) -> Method:
    if isinstance(method, str):
        return SHIPPED[method]
    loaded: Loaded = plugins.unpacked(method, _folder(), "method")
    made = method_from(loaded)
    return dataclasses.replace(made, origin=loaded._replace(path=method.path))


@functools.cache
def _folder() -> Path:
    """Where this process keeps the code that it was sent; the system clears it."""
    return Path(tempfile.mkdtemp(prefix="mohb-plugins-"))
