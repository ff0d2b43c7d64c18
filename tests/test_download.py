"""The registry, and published files: found in a folder or downloaded, right or refused, nothing half left."""

import dataclasses
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mohb_jax.benchmarks import download, registry
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax import benchmarks
from mohb_jax.errors import InputError

pytestmark = pytest.mark.fast

CONTENT = b"a,b\n1,2\n" * 1000


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``CONTENT`` whole, cut short, or changed, depending on the path."""

    def do_GET(self) -> None:
        if self.path == "/none":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        body = {"/cut": CONTENT[:100], "/wrong": CONTENT[::-1]}.get(self.path, CONTENT)
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Silence."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no data folder."""
    monkeypatch.delenv(download.VARIABLE, raising=False)
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def remote(url: str) -> download.RemoteFile:
    return download.RemoteFile(
        "source/file.csv", url, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "MIT"
    )


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_download_is_kept_and_used_again(server, cache):
    file = remote(f"{server}/good")
    assert download.state(file) == "missing"
    path = download.locate(file)
    assert path == cache / "source/file.csv"
    assert path.read_bytes() == CONTENT
    assert download.state(file) == "ok"
    gone = dataclasses.replace(file, url=f"{server}/none")
    assert download.locate(gone) == path  # found in the cache: not asked for again


def test_a_damaged_cached_file_is_downloaded_again(server, cache):
    file = remote(f"{server}/good")
    download.locate(file).write_bytes(b"damaged")
    assert download.state(file) == "wrong content"
    assert download.locate(file).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("wrong", "has the wrong content and was not kept"),
        ("cut", r"download"),
        ("none", r"cannot download .*HTTPError"),
    ],
)
def test_a_bad_download_leaves_nothing(server, cache, path, message):
    with pytest.raises(InputError, match=message) as caught:
        download.locate(remote(f"{server}/{path}"))
    assert "\n" not in str(caught.value)
    assert "MOHB_DATA" in str(caught.value)
    assert files_below(cache) == []


def test_no_network_is_one_line(cache):
    with pytest.raises(InputError, match=r"cannot download http://127.0.0.1:9/x \(Conn") as caught:
        download.locate(remote("http://127.0.0.1:9/x"))
    assert "\n" not in str(caught.value)


def test_a_data_folder_is_used_and_never_written(cache, tmp_path, monkeypatch):
    file = remote("http://127.0.0.1:9/x")
    folder = tmp_path / "given"
    (folder / "source").mkdir(parents=True)
    with pytest.raises(
        InputError, match=r"file.csv' does not exist; the data folder must hold source/file.csv"
    ):
        download.locate(file, folder)
    (folder / file.path).write_bytes(CONTENT)
    assert download.locate(file, folder) == folder / file.path
    monkeypatch.setenv(download.VARIABLE, str(folder))
    assert download.locate(file) == folder / file.path
    (folder / file.path).write_bytes(CONTENT[:-1])
    with pytest.raises(InputError, match="is not the published file: SHA-256"):
        download.locate(file)
    assert files_below(folder) == [folder / file.path]
    assert not cache.exists()


def test_a_data_folder_that_does_not_exist(cache, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="given for data does not exist"):
        benchmarks.load("trimtuner-cnn", data=tmp_path / "none")
    monkeypatch.setenv(download.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(InputError, match="named by MOHB_DATA does not exist"):
        benchmarks.load("trimtuner-cnn")


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(
        InputError, match=r"unknown benchmark 'trimtuner-cn' \(did you mean 'trimtuner-cnn'\?\)"
    ) as e:
        benchmarks.load("trimtuner-cn")
    for name in benchmarks.names():
        assert name in str(e.value)


@pytest.mark.parametrize("name", ["results.csv", "my-table"])
def test_a_name_that_may_be_a_file_is_answered_with_how_to_make_one(name):
    with pytest.raises(InputError, match=rf"'{name}'.*ends in \.npz: 'mohb data import' makes one from CSV"):
        benchmarks.load(name)


def test_a_path_is_a_benchmark_too(tmp_path):
    table = synthetic(20)
    table.save(tmp_path / "mine.npz")
    assert benchmarks.load(tmp_path / "mine.npz").fingerprint == table.fingerprint
    assert benchmarks.load(str(tmp_path / "mine.npz")).fingerprint == table.fingerprint
    with pytest.raises(InputError, match=r"none.npz' does not exist"):
        benchmarks.load(tmp_path / "none.npz")


def test_descriptions_need_no_data(cache):
    described = benchmarks.describe()
    assert tuple(entry["name"] for entry in described) == benchmarks.names()
    for entry in described:
        facts = {"name", "summary", "needs", "tasks", "rows", "objectives", "fidelities"}
        assert set(entry) == facts | {"from"}
        assert entry["from"] == "mohb-jax"
    assert not cache.exists()


def test_fetch_and_check(server, cache, monkeypatch):
    entry = dataclasses.replace(registry.BENCHMARKS["trimtuner-cnn"], files=(remote(f"{server}/good"),))
    monkeypatch.setattr(
        registry, "BENCHMARKS", {"trimtuner-cnn": entry, "embedded": registry.BENCHMARKS["embedded"]}
    )
    assert [row["state"] for row in benchmarks.check()] == ["missing"]
    assert benchmarks.fetch(["trimtuner-cnn", "embedded"]) == [cache / "source/file.csv"]
    assert [row["state"] for row in benchmarks.check(["trimtuner-cnn"])] == ["ok"]
    with pytest.raises(InputError, match="unknown benchmark 'none'"):
        benchmarks.check(["none"])


def test_registered_synthetic_table_is_as_described():
    table = benchmarks.load("synthetic")
    entry = registry.BENCHMARKS["synthetic"]
    assert (table.tasks, table.num_rows, table.fidelities) == (entry.tasks, entry.rows, entry.fidelities)
    assert tuple(objective.name for objective in table.objectives) == entry.objectives
