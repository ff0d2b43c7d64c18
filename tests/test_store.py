"""The store: logs come back as they went in, files are whole or absent, and nothing in them is executed."""

import json
import os
import pickle
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mohb_jax.benchmarks.files import load_table

from mohb_jax import store
from mohb_jax.errors import InputError
from mohb_jax.store import Unit
from mohb_jax.types import RunLog
from tests.fake_study import make_table

pytestmark = pytest.mark.fast

SPEC: dict[str, Any] = {
    "benchmark": "toy",
    "fingerprint": "0" * 64,
    "tasks": ["first", "second"],
    "objectives": ["error", "cost"],
    "highest_fidelity": 2,
    "method": "mine",
    "method_name": "mo-hb",
    "settings": {"eta": 3, "weights": None},
    "seed": 0,
    "first_run": 4,
    "num_seeds": 3,
    "evaluations": None,
    "horizon": {"first": 12.5, "second": None},
    "version": "0.1.0",
    "dtype": "float64",
}


def make_unit(num_objectives: int = 2, num_slots: int = 5, seed: int = 0) -> Unit:
    """Six lanes: the first is empty, the second full, the others end anywhere; some evaluations failed."""
    generator = np.random.default_rng(seed)
    shape = (6, num_slots)
    num_valid = np.concatenate([[0, num_slots], generator.integers(num_slots + 1, size=4)])
    valid = np.arange(num_slots) < num_valid[:, None]
    failed = generator.uniform(size=shape) < 0.3
    costs = generator.normal(size=(*shape, num_objectives))
    start = generator.uniform(size=shape)
    log = RunLog(
        task=np.repeat(np.arange(2, dtype=np.int32), 3),
        run=np.tile(np.arange(4, 7, dtype=np.int32), 2),
        row=np.where(valid, generator.integers(99, size=shape), -1).astype(np.int32),
        fidelity=np.where(valid, generator.integers(3, size=shape), -1).astype(np.int32),
        costs=np.where((valid & ~failed)[..., None], costs, np.inf),
        start=np.where(valid, start, np.inf),
        end=np.where(valid, start + 1, np.inf),
        worker=np.where(valid, generator.integers(4, size=shape), -1).astype(np.int32),
        valid=valid,
    )
    return Unit(SPEC | {"objectives": ["error", "cost", "energy"][:num_objectives]}, log)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def assert_logs_equal(first: RunLog, second: RunLog) -> None:
    assert first.outside is None
    assert second.outside is None
    for name, one, other in zip(RunLog._fields[:9], first[:9], second[:9], strict=True):
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize("num_objectives", [1, 2, 3])
@pytest.mark.parametrize("num_slots", [0, 1, 7])
def test_a_unit_comes_back_as_it_went_in(tmp_path, num_objectives, num_slots):
    unit = make_unit(num_objectives, num_slots)
    path = store.write_unit(tmp_path, unit)
    assert path == store.unit_path(tmp_path, unit.spec)
    back = store.read_unit(path)
    assert back.spec == unit.spec
    assert_logs_equal(back.log, unit.log)


def test_a_unit_without_any_evaluation_comes_back(tmp_path):
    unit = make_unit()
    empty = unit.log._replace(
        **{name: np.full_like(getattr(unit.log, name), -1) for name in ("row", "fidelity", "worker")},
        **{name: np.full_like(getattr(unit.log, name), np.inf) for name in ("costs", "start", "end")},
        valid=np.zeros_like(unit.log.valid),
    )
    back = store.read_unit(store.write_unit(tmp_path, unit._replace(log=empty)))
    assert_logs_equal(back.log, empty)


def test_a_file_says_what_computed_it(tmp_path):
    path = store.write_unit(tmp_path, make_unit())
    about = json.loads(pq.read_metadata(path).metadata[b"mohb"])
    assert about["versions"] == store.versions()
    assert {"mohb-jax", "jax", "numpy", "python", "backend", "dtype"} <= about["versions"].keys()
    assert about["versions"]["dtype"] == "float64"


def test_the_hash_is_stable():
    """Pinned: another value would orphan every result that users have."""
    assert store.content_hash(SPEC) == "354b3b8dc4ab06dc0218"


def test_the_hash_ignores_order_and_survives_json():
    backwards = dict(reversed(SPEC.items()))
    assert store.content_hash(backwards) == store.content_hash(SPEC)
    with_tuple = SPEC | {"tasks": tuple(SPEC["tasks"])}
    assert store.content_hash(json.loads(json.dumps(with_tuple))) == store.content_hash(with_tuple)


def test_the_hash_depends_on_every_field():
    changed: dict[str, Any] = dict.fromkeys(SPEC, "other")
    changed |= {"settings": {"eta": 4, "weights": None}, "horizon": {"first": 12.5, "second": 1.0}}
    changed |= {"tasks": ["second", "first"]}  # lanes are ordered by task
    hashes = [store.content_hash(SPEC | {name: value}) for name, value in changed.items()]
    hashes += [store.content_hash({k: v for k, v in SPEC.items() if k != name}) for name in SPEC]
    assert len({store.content_hash(SPEC), *hashes}) == 2 * len(SPEC) + 1


@pytest.mark.parametrize("target", ["pyarrow.parquet.write_table", "pathlib.Path.replace"])
@pytest.mark.parametrize("before", [False, True], ids=["new", "overwrite"])
def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch, target, before):
    unit = make_unit()
    content = store.write_unit(tmp_path, unit).read_bytes() if before else None

    def fail(table: Any, path: Any, **options: Any) -> None:
        Path(path if target.endswith("write_table") else table).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(target, fail)
    with pytest.raises(OSError, match="No space"):
        store.write_unit(tmp_path, make_unit(seed=1)._replace(spec=unit.spec))
    assert files_below(tmp_path) == ([f"units/{store.unit_name(unit.spec)}.parquet"] if before else [])
    assert not before or store.unit_path(tmp_path, unit.spec).read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process with SIGKILL")
def test_a_killed_write_leaves_only_whole_files(tmp_path):
    script = f"""
import os, signal, pathlib
import pyarrow.parquet as pq
from mohb_jax import store
from tests.test_store import make_unit
folder = pathlib.Path({str(tmp_path)!r})
store.write_unit(folder, make_unit())
whole = pq.write_table
def die_half_way(table, path, **options):
    whole(table, path, **options)
    with open(path, "rb+") as file:
        file.truncate(path.stat().st_size // 2)
    os.kill(os.getpid(), signal.SIGKILL)
pq.write_table = die_half_way
store.write_unit(folder, make_unit(num_objectives=3))
"""
    root = Path(__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, timeout=120)
    assert result.returncode == -signal.SIGKILL, result.stderr.decode()
    names = files_below(tmp_path)
    whole = [name for name in names if not name.endswith(store.PARTIAL)]
    assert len(names) == 2  # the half file carries a name that nobody reads
    assert whole == [f"units/{store.content_hash(make_unit().spec)}.parquet"]
    assert_logs_equal(store.read_unit(tmp_path / whole[0]).log, make_unit().log)
    assert not store.is_whole(store.unit_path(tmp_path, make_unit(3).spec))


@pytest.mark.parametrize("keep", [0, 3, 0.5, -1])
def test_a_truncated_file_is_not_whole_and_says_so(tmp_path, keep):
    path = store.write_unit(tmp_path, make_unit())
    assert store.is_whole(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep == 0.5 else keep])
    assert not store.is_whole(path)
    with pytest.raises(InputError, match=r"\.parquet: damaged .*run the study again") as caught:
        store.read_unit(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_not_whole(tmp_path):
    assert not store.is_whole(tmp_path / "none.parquet")
    with pytest.raises(InputError, match="damaged"):
        store.read_unit(tmp_path / "none.parquet")


def written(path: Path, metadata: dict[bytes, bytes] | None, **columns: Any) -> Path:
    """A Parquet file of columns of one row."""
    table = pa.table({name: [value] for name, value in columns.items()}).replace_schema_metadata(metadata)
    pq.write_table(table, path)
    return path


def about(**changes: Any) -> dict[bytes, bytes]:
    return {b"mohb": json.dumps({"format": store.FORMAT, "spec": SPEC, "slots": 2} | changes).encode()}


def test_foreign_parquet_is_refused(tmp_path):
    path = written(tmp_path / "foreign.parquet", None, x=1)
    assert not store.is_whole(path)
    with pytest.raises(InputError, match=r"foreign\.parquet: not a work unit of this program"):
        store.read_unit(path)


CELL = {"lane": 0, "slot": 0, "row": 1, "fidelity": 1, "worker": 0, "start": 0.0, "end": 1.0}
CELL |= {"cost_0": 1.0, "cost_1": 2.0}


@pytest.mark.parametrize(
    ("metadata", "columns"),
    [
        ({b"mohb": b"no json"}, CELL),
        ({b"mohb": b"\xff\xfe"}, CELL),
        ({b"mohb": b"[1, 2]"}, CELL),
        (about(format="mohb-unit-0"), CELL),
        (about(spec="text"), CELL),
        (about(spec={}), CELL),
        (about(slots="many"), CELL),
        (about(slots=-1), CELL),
        (about(), {"lane": 0, "slot": 0}),
        (about(), CELL | {"lane": 6}),
        (about(), CELL | {"row": "first"}),
    ],
)
def test_wrong_content_is_one_line_that_names_the_file(tmp_path, metadata, columns):
    path = written(tmp_path / "bad.parquet", metadata, **columns)
    with pytest.raises(InputError, match=r"bad\.parquet: (damaged|not a work unit)") as caught:
        store.read_unit(path)
    assert "\n" not in str(caught.value)


def test_the_wrong_content_is_right_but_for_the_change(tmp_path):
    """What the cases above are changed from is accepted."""
    log = store.read_unit(written(tmp_path / "good.parquet", about(), **CELL)).log
    assert log.valid.sum() == 1
    np.testing.assert_array_equal(log.costs[0, 0], [1, 2])


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_pickles_are_never_executed(tmp_path):
    sign = tmp_path / "executed"
    bomb = pickle.dumps(Bomb(sign))
    pickle.loads(bomb)
    assert sign.is_dir()  # the bomb works
    sign.rmdir()
    for metadata in ({b"mohb": bomb}, about() | {b"pandas": bomb}):
        path = written(tmp_path / "bad.parquet", metadata, **(CELL | {"row": bomb}))
        with pytest.raises(InputError):
            store.read_unit(path)
    path = tmp_path / "bad.npz"
    make_table().save(path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | {"configs": np.array([Bomb(sign)], object)}))
    with pytest.raises(InputError, match="damaged or not a table"):
        load_table(path)
    assert not sign.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_files_have_the_modes_of_any_file_of_the_user(tmp_path):
    before = os.umask(0o027)
    try:
        paths = [store.write_unit(tmp_path, make_unit()), tmp_path / "a.json"]
        store.write_json(paths[1], {"a": 1})
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o640, 0o640]


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/evil", "..", ".", "a\\..\\b", "a\0b", "ü" * 200, "x" * 400]
)
def test_no_name_of_a_benchmark_leaves_the_folder(tmp_path, name):
    table = make_table(name)
    path = store.table_path(tmp_path, name)
    assert path.parent == tmp_path / "tables"
    store.write_atomically(path, table.save)
    assert files_below(tmp_path) == [f"tables/{path.name}"]
    assert load_table(path).fingerprint == table.fingerprint


def test_names_of_benchmarks_do_not_share_a_file(tmp_path):
    names = ["a/b", "a%2Fb", "a_b", "a b", "A", "x" * 400, "x" * 401, "x" * 150]
    assert len({store.table_path(tmp_path, name) for name in names}) == len(names)


def test_a_table_that_lies_there_is_not_written_again(tmp_path):
    path, saved = store.table_path(tmp_path, "toy"), []

    def keep(content: str) -> int:
        manifest = store.Manifest(tmp_path)
        manifest.keep(path, content, lambda part: saved.append(part.write_text(content)))
        manifest.write()
        return len(saved)

    assert [keep("one"), keep("one"), keep("two"), keep("two")] == [1, 1, 2, 2]
    path.write_text("damaged")
    assert keep("two") == 3
    path.unlink()
    assert keep("two") == 4
    assert path.read_text() == "two"


def write_study(folder: Path, content: str) -> Path:
    (folder / "study.json").write_text(content)
    return folder


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"units": 5}', '{"units": [1]}', "{}"])
def test_a_damaged_study_is_one_line(tmp_path, content):
    with pytest.raises(InputError, match=r"study\.json: not (valid JSON|a study)") as caught:
        store.read_units(write_study(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_folder_without_study_or_results_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"not a study folder: it has no study\.json"):
        store.read_units(tmp_path)
    with pytest.raises(InputError, match="no finished unit yet; mohb run continues the study"):
        store.read_units(write_study(tmp_path, '{"units": ["0000"]}'))


def test_units_come_in_the_order_of_the_study_and_without_strangers(tmp_path):
    units = [make_unit(m, seed=m) for m in (1, 2, 3)]
    for unit in units:
        store.write_unit(tmp_path, unit)
    names = [store.unit_name(unit.spec) for unit in units]
    for order in ([2, 0], [0, 2]):
        listed = [names[order[0]], "not-yet-there", names[order[1]]]
        store.write_json(tmp_path / "study.json", {"units": listed})
        found = store.read_units(tmp_path)
        assert [len(unit.spec["objectives"]) for unit in found] == [index + 1 for index in order]


def test_json_holds_no_numbers_that_others_cannot_read(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write_json(tmp_path / "a.json", {"horizon": np.inf})
    assert files_below(tmp_path) == []
