"""Study files: read, checked, and every error at its line."""

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pydantic
import yaml

from mohb_jax.benchmarks.columns import listed
from mohb_jax.errors import InputError, UserCodeError, yaml_reason
from mohb_jax.study.entries import MethodEntry, Study, wrong_entry
from mohb_jax.study.sweep import require_takers, spelt_out
from mohb_jax.yaml_text import compose_yaml, read_yaml

EMBEDDED = Path(__file__).with_name("embedded.yaml")


def load_study(path: Path) -> Study:
    """Reads a study file; ``InputError`` names the file, the line, the field and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
        content, node = read_yaml(text), compose_yaml(text)
    except FileNotFoundError:
        raise InputError(f"study file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"study file {path} cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # the latter two: a date, deep nesting
        raise InputError(f"study file {path} is not YAML: {yaml_reason(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"study file {path} is not a mapping: it needs at least benchmarks and methods")
    return make_study(
        content, f"study file {path}", lambda place: f", line {_line(node, place)}", path.parent
    )


Place = tuple[str | int, ...]
"""Keys and positions that lead to a part of a study file."""


def _line(node: Any, place: Place) -> int:
    """Line of the part of a YAML file at a place, or of the nearest thing around it."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in place:
        pairs: list[tuple[Any, Any]] = []
        if isinstance(node, yaml.MappingNode):
            pairs = [(key.start_mark.line, value) for key, value in node.value if key.value == str(step)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            pairs = [(node.value[step].start_mark.line, node.value[step])]
        if not pairs:
            break
        line, node = pairs[0][0] + 1, pairs[0][1]
    return line


def make_study(
    content: Mapping[str, Any],
    source: str,
    where: Callable[[Place], str] = lambda place: "",
    folder: Path | None = None,
) -> Study:
    """A checked study, its sweeps spelt out.

    Args:
        content: what a study file says.
        source: with what errors begin.
        where: where in the source a part of the study stands.
        folder: where modules that the study names are looked for first; they are imported.
    """
    try:
        study = Study.model_validate(dict(content)).beside(folder)
    except pydantic.ValidationError as error:
        raise InputError(f"{source}{where(error.errors()[0]['loc'])}: {wrong_entry(error)}") from error
    methods = []
    for number, entry in enumerate(study.methods):
        try:
            methods += spelt_out(study, entry)
        except InputError as error:
            raise _placed(error, f"{source}{where(_culprit(study, number, str(error)))}") from error
    try:
        require_takers(study)
    except InputError as error:
        raise InputError(f"{source}{where(('settings',))}: {error}") from error
    study = study.model_copy(update={"methods": methods, "sweep": {}})
    labels = [entry.label for entry in methods]
    repeated = next((label for label in labels if labels.count(label) > 1), None)
    if repeated:
        place = where(("methods",))
        raise InputError(f"{source}{place}: method {repeated!r} stands there twice: give each a name")
    if study.reference is not None and study.reference not in labels:
        alike = difflib.get_close_matches(study.reference, labels)
        nearest = sorted(labels, key=lambda label: label not in alike)
        raise InputError(
            f"{source}{where(('reference',))}: reference {study.reference!r} is no method: "
            f"accepted are {listed(nearest, 12)}"
        )
    return study


def _culprit(study: Study, number: int, message: str) -> Place:
    """Where the setting that a message is about stands: at its method, or among those of the whole study."""
    own: Place = ("methods", number)
    places: list[tuple[Place, MethodEntry | Study]] = [(own, study.methods[number]), ((), study)]
    for place, entry in places:
        for part in ("settings", "sweep"):
            for name in getattr(entry, part):
                if isinstance(name, str) and re.match(rf"(settings: )?{re.escape(name)}\b", message):
                    return (*place, part, name)
    return own


def _placed(error: InputError, place: str) -> InputError:
    """The error with its place in the study before it, and the traceback of a user's code kept."""
    if isinstance(error, UserCodeError):
        return UserCodeError(f"{place}: {error}", error.details)
    return InputError(f"{place}: {error}")
