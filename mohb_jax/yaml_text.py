"""YAML as people write it: plain words and numbers as version 1.2 has them, which PyYAML does not.

PyYAML reads version 1.1: there ``1e-4`` is text, ``on`` and ``no`` are truth values, ``010`` is eight,
``1:30`` is ninety, and the second of two equal keys wins in silence.
"""

import re
from collections.abc import Sequence
from typing import Any

import yaml

INTEGER = r"[-+]?[0-9]+(?:_[0-9]{3})*|0x[0-9a-fA-F]+"
FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"


class Loader(yaml.SafeLoader):
    """Reads plain data; executes nothing."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  PyYAML's own way


def _resolve(kind: str, pattern: str, first: Sequence[str]) -> None:
    """``first``: what a word of that kind begins with."""
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(rf"^(?:{pattern})$"), list(first))


_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("int", INTEGER, "-+0123456789")
_resolve("float", rf"{FLOAT}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+.0123456789")
_resolve("merge", "<<", "<")
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)


def _integer(loader: Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, 16) if text.startswith("0x") else int(text)


def _mapping(loader: Loader, node: yaml.MappingNode) -> Any:
    """As PyYAML makes it, but no entry replaces another in silence."""
    written: set[tuple[str, str]] = set()
    for key, _ in node.value:
        name = (key.tag, str(key.value))
        if name in written:
            raise yaml.constructor.ConstructorError(
                None, None, f"{key.value!r} stands there twice", key.start_mark
            )
        written.add(name)
    return yaml.SafeLoader.construct_yaml_map(loader, node)


Loader.add_constructor("tag:yaml.org,2002:int", _integer)
Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_yaml(text: str) -> Any:
    """The content of one document; PyYAML's errors, ``ValueError`` and ``RecursionError`` if it is none."""
    return yaml.load(text, Loader)


def compose_yaml(text: str) -> yaml.Node | None:
    """Its nodes, which know their lines."""
    return yaml.compose(text, Loader)
