"""Studies of Optuna from the files that it keeps them in, SQLite and journal, without Optuna.

The columns are those of ``Study.trials_dataframe``. Where trials report intermediate values, each report is a
record of its own: ``steps``, how many steps were done, ``intermediate_value``, and its share of ``duration``.
"""

import contextlib
import dataclasses
import datetime
import json
import math
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.benchmarks.json_files import columns_of
from mohb_jax.benchmarks.records import Records, records_of

from mohb_jax.errors import InputError

STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")
"""States of a trial, as a journal numbers them."""
SENSES = {"MINIMIZE": "min", "MAXIMIZE": "max", 1: "min", 2: "max"}
STEP = ("steps", "intermediate_value")
"""Columns of reports."""


@dataclasses.dataclass
class _Trial:
    state: str
    begun: str | None = None
    ended: str | None = None
    values: dict[int, float | None] = dataclasses.field(default_factory=dict)
    params: dict[str, Any] = dataclasses.field(default_factory=dict)
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    reports: dict[int, float | None] = dataclasses.field(default_factory=dict)

    @property
    def duration(self) -> datetime.timedelta | None:
        """Time from begin to end."""
        if not self.begun or not self.ended:
            return None
        return datetime.datetime.fromisoformat(self.ended) - datetime.datetime.fromisoformat(self.begun)


@dataclasses.dataclass
class _Study:
    senses: dict[int, str]
    trials: list[_Trial] = dataclasses.field(default_factory=list)
    kinds: dict[str, str] = dataclasses.field(default_factory=dict)

    def draw(self, trial: _Trial, name: str, internal: float | int, distribution: str) -> None:
        """Notes a parameter of a trial."""
        law = json.loads(distribution)
        kind, about = law["name"], law["attributes"]
        if kind == "CategoricalDistribution":
            choice = about["choices"][int(internal)]
            trial.params[name], self.kinds[name] = "None" if choice is None else choice, "categorical"
        elif kind.startswith("Int"):
            trial.params[name], self.kinds[name] = int(internal), "ordinal"
        else:
            is_log = about.get("log") or kind.startswith("Log")
            trial.params[name], self.kinds[name] = internal, "log" if is_log else "continuous"


def read_sqlite(path: Path, wanted: Collection[str] | None, study: str | None) -> Records:
    """The trials of a study in an SQLite storage.

    Args:
        path: of the file, which is only read.
        wanted: the columns that are needed; None for all of them.
        study: its name, where there are several.

    Raises:
        InputError: if the file is no storage of Optuna, or holds several studies and none is named.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
            names = {
                name: number for number, name in base.execute("SELECT study_id, study_name FROM studies")
            }
            found = _study_of(base, names[_chosen(names, study, str(path))])
    except (sqlite3.Error, KeyError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(path)!r} is SQLite, but no storage of Optuna ({error})") from error
    return _records(found, str(path), wanted)


def _study_of(base: sqlite3.Connection, number: int) -> _Study:
    query = "SELECT objective, direction FROM study_directions WHERE study_id = ?"
    study = _Study(
        {place: SENSES.get(direction, "min") for place, direction in base.execute(query, (number,))}
    )
    trials: dict[int, _Trial] = {}
    fields = "trial_id, state, datetime_start, datetime_complete"
    for key, *about in base.execute(
        f"SELECT {fields} FROM trials WHERE study_id = ? ORDER BY number", (number,)
    ):
        trials[key] = _Trial(*about)
    study.trials = list(trials.values())

    def rows(columns: str, table: str) -> Iterator[tuple[Any, ...]]:
        """Columns that an older Optuna did not write are NULL."""
        there = {column[1] for column in base.execute(f"PRAGMA table_info({table})")}
        asked = ", ".join(name if name in there else "NULL" for name in columns.split(", "))
        own = "trial_id IN (SELECT trial_id FROM trials WHERE study_id = ?)"
        return base.execute(f"SELECT trial_id, {asked} FROM {table} WHERE {own}", (number,))

    for key, name, value, law in rows("param_name, param_value, distribution_json", "trial_params"):
        study.draw(trials[key], name, value, law)
    for key, objective, value, kind in rows("objective, value, value_type", "trial_values"):
        trials[key].values[objective] = _value(value, kind)
    reported = rows("step, intermediate_value, intermediate_value_type", "trial_intermediate_values")
    for key, step, value, kind in reported:
        trials[key].reports[step] = _value(value, kind)
    for key, name, value in rows("key, value_json", "trial_user_attributes"):
        trials[key].attributes[name] = json.loads(value)
    return study


def _value(value: float | None, kind: str | None) -> float | None:
    return {"INF_POS": math.inf, "INF_NEG": -math.inf}.get(kind or "", value)


def is_journal(text: str) -> bool:
    """Whether a text is a journal of Optuna."""
    first = text[:4096].partition("\n")[0]
    return first.startswith("{") and '"op_code"' in first and '"worker_id"' in first


def read_journal(text: str, source: str, wanted: Collection[str] | None, study: str | None) -> Records:
    """The trials of a study in a journal; see ``read_sqlite``."""
    studies: dict[int, tuple[str, _Study]] = {}
    trials: list[tuple[_Study, _Trial]] = []
    try:
        for line in text.splitlines():
            _apply(json.loads(line), studies, trials)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{source!r} is no journal of Optuna that can be read ({error})") from error
    names = dict(studies.values())
    return _records(names[_chosen(names, study, source)], source, wanted)


def _apply(
    entry: dict[str, Any], studies: dict[int, tuple[str, _Study]], trials: list[tuple[_Study, _Trial]]
) -> None:
    """One entry of a journal; those that change neither trials nor studies are passed over."""
    match entry["op_code"]:
        case 0:
            senses = {place: SENSES.get(sense, "min") for place, sense in enumerate(entry["directions"])}
            number = max(studies, default=-1) + 1
            studies[number] = entry["study_name"], _Study(senses)
        case 1:
            studies[entry["study_id"]] = "", _Study({})
        case 4:
            study = studies[entry["study_id"]][1]
            trials.append((study, _created(entry, study)))
        case 5:
            study, trial = trials[entry["trial_id"]]
            study.draw(trial, entry["param_name"], entry["param_value_internal"], entry["distribution"])
        case 6:
            trial = trials[entry["trial_id"]][1]
            trial.state = STATES[entry["state"]]
            trial.values = dict(enumerate(entry.get("values") or ()))
            trial.begun, trial.ended = (
                entry.get("datetime_start") or trial.begun,
                entry.get("datetime_complete"),
            )
        case 7:
            trials[entry["trial_id"]][1].reports[int(entry["step"])] = entry["intermediate_value"]
        case 8:
            trials[entry["trial_id"]][1].attributes |= entry["user_attr"]


def _created(entry: dict[str, Any], study: _Study) -> _Trial:
    """A new trial, which may be there whole."""
    begun, ended = entry.get("datetime_start"), entry.get("datetime_complete")
    trial = _Trial(STATES[entry.get("state", 0)], begun, ended)
    for name, internal in entry.get("params", {}).items():
        study.draw(trial, name, internal, entry["distributions"][name])
    values = entry.get("values") or ([] if entry.get("value") is None else [entry["value"]])
    trial.values = dict(enumerate(values))
    trial.attributes = dict(entry.get("user_attrs", {}))
    trial.reports = {int(step): value for step, value in entry.get("intermediate_values", {}).items()}
    study.trials.append(trial)
    return trial


def _chosen(names: Collection[str], study: str | None, source: str) -> str:
    """The study that is asked for, or the only one."""
    known = [name for name in names if name]
    if study is not None:
        require_choice(f"study in {source}:", study, known)
        return study
    if len(known) != 1:
        raise InputError(f"{source!r} holds {len(known)} studies: name one (--study): {', '.join(known)}")
    return known[0]


def _records(study: _Study, source: str, wanted: Collection[str] | None) -> Records:
    """The trials that have ended, as records."""
    over = [(number, trial) for number, trial in enumerate(study.trials) if trial.state in STATES[1:4]]
    asked = wanted is None or bool(set(STEP) & set(wanted))
    reports = asked and any(trial.reports for trial in study.trials)
    columns = columns_of([row for number, trial in over for row in _rows(number, trial, study, reports)])
    held = columns if wanted is None else wanted
    left = len(study.trials) - len(over)
    notes = (f"{left} trials that have not ended are left out",) if left else ()
    objectives = {_objective(place, study): sense for place, sense in study.senses.items()}
    reported = {STEP[1]: study.senses.get(0, "min")} if STEP[1] in columns else {}
    kinds = {f"params_{name}": kind for name, kind in study.kinds.items()}
    records = records_of(columns, set(held), source)
    return dataclasses.replace(records, notes=notes, kinds=kinds, senses=objectives | reported)


def _objective(place: int, study: _Study) -> str:
    return "value" if len(study.senses) == 1 else f"values_{place}"


def _rows(number: int, trial: _Trial, study: _Study, reports: bool) -> Iterator[dict[str, Any]]:
    """The record of a trial, or one of each of its reports, which has no final value."""
    first = min((step for other in study.trials for step in other.reports), default=0)
    row: dict[str, Any] = {"number": number, "state": trial.state, "duration": trial.duration}
    row |= {f"params_{name}": trial.params.get(name) for name in study.kinds}
    row |= {f"user_attrs_{name}": value for name, value in trial.attributes.items()}
    if not reports:
        yield row | {_objective(place, study): trial.values.get(place) for place in study.senses}
    for done, (step, value) in enumerate(sorted(trial.reports.items()) if reports else (), start=1):
        share = None if trial.duration is None else trial.duration * done / len(trial.reports)
        known = None if value is not None and math.isnan(value) else value
        yield row | {"duration": share, STEP[0]: step + (first == 0), STEP[1]: known}
