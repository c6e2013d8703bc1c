"""Stores: exclusive, durable, never torn; on a directory, in memory, and where hard links do not exist."""

from __future__ import annotations

import errno
import multiprocessing
import os
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier

from mlopskit import storage
from mlopskit.errors import AliasMoved, ConfigurationError, MissingExtra, StorageError
from mlopskit.registry import ModelRegistry
from mlopskit.storage import DirectoryStore, MemoryStore, Store, check_key, is_key, open_store
from mlopskit.testing import StoreContract


def refuse_links(source: object, target: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A server that speaks S3 over HTTP; what it returns is its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket."""
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    name = f"bucket-{uuid.uuid4().hex}"
    with urllib.request.urlopen(urllib.request.Request(f"{s3}/{name}", method="PUT")) as answer:
        assert answer.status == 200
    return f"s3://{name}/registry"


@pytest.fixture(params=["memory", "directory", "no hard links", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "s3":
        return open_store(request.getfixturevalue("bucket"))
    if request.param == "no hard links":
        monkeypatch.setattr(os, "link", refuse_links)
    return DirectoryStore(tmp_path / "store")


class TestEveryStore(StoreContract):
    @pytest.fixture(autouse=True)
    def empty(self, store: Store) -> None:
        self._store = store

    def store(self) -> Store:
        return self._store


class Overwriting(MemoryStore):
    def put_new(self, key: str, data: bytes) -> bool:
        created = super().put_new(key, data)
        self._data[key] = data
        return created


class Generous(MemoryStore):
    def put_new(self, key: str, data: bytes) -> bool:
        super().put_new(key, data)
        return True


class Unsorted(MemoryStore):
    def list(self, prefix: str) -> list[str]:
        return super().list(prefix)[::-1]


class Trusting(MemoryStore):
    def get(self, key: str) -> bytes:
        return self._data.get(key, b"")


@pytest.mark.parametrize("broken", [Overwriting, Generous, Unsorted, Trusting])
def test_the_contract_finds_a_broken_store(broken: type[MemoryStore]) -> None:
    class Mine(StoreContract):
        def store(self) -> Store:
            return broken()

    failed = 0
    for name in dir(Mine):
        if name.startswith("test_"):
            try:
                getattr(Mine(), name)()
            except AssertionError:
                failed += 1
    assert failed >= 1


def put_many(path: str, who: int, without_links: bool, results: multiprocessing.Queue[list[int]]) -> None:
    if without_links:
        os.link = refuse_links
    store = open_store(path)
    results.put([i for i in range(50) if store.put_new(f"race/{i}", f"{who} {i}".encode() * 1000)])


@pytest.mark.parametrize("kind", ["directory", "no hard links", "s3"])
def test_processes_share_a_store(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    """Four processes create the same 50 keys: each is created by exactly one, whole, and nothing is left over."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[int]] = context.Queue()
    path = request.getfixturevalue("bucket") if kind == "s3" else str(tmp_path / "store")
    without_links = kind == "no hard links"
    workers = [context.Process(target=put_many, args=(path, w, without_links, results)) for w in range(4)]
    for worker in workers:
        worker.start()
    won = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(i for winner in won for i in winner) == list(range(50))
    store = open_store(path)
    for i in range(50):
        data = store.get(f"race/{i}")
        assert data == data[: len(data) // 1000] * 1000
    assert store.list("tmp/") == []


@given(st.text(max_size=20))
def test_a_key_stays_inside(text: str) -> None:
    """Whatever text is a key, its path stays below the root."""
    if is_key(text):
        root = Path("/root-of-a-store")
        assert root in Path(os.path.normpath(root / check_key(text))).parents


def test_a_file_is_no_registry(tmp_path: Path) -> None:
    """A path that is a file is refused with a message that says what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"is a file; expected a directory: choose another path"):
        open_store(tmp_path / "file")


def test_opening_writes_nothing(tmp_path: Path) -> None:
    """A directory appears at the first write, not when it is opened or listed."""
    store = DirectoryStore(tmp_path / "deep" / "store")
    assert store.list("log/") == []
    assert not (tmp_path / "deep").exists()
    store.put_new("a", b"")
    assert repr(store) == str(tmp_path / "deep" / "store")


def test_temporary_files_are_their_own_listing(tmp_path: Path) -> None:
    """A leftover of an interrupted write appears under tmp/ only, and can be deleted; nobody can put there."""
    store = DirectoryStore(tmp_path)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "abc").write_bytes(b"half")
    assert store.list("") == []
    assert store.list("tmp/") == ["tmp/abc"]
    store.delete("tmp/abc")
    assert store.list("tmp/") == []
    with pytest.raises(ConfigurationError, match="reserved"):
        store.put_new("tmp/abc", b"")


@pytest.mark.parametrize("call", ["fsync", "link", "mkdir"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_failing_disk_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    """When a system call fails, the error says so, names the key, and the store is as before."""
    store = DirectoryStore(tmp_path)

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(StorageError, match="cannot write 'blobs/a'"):
            store.put_new("blobs/a", b"one")
    assert store.list("") == []
    assert store.list("tmp/") == []
    assert store.put_new("blobs/a", b"one")


def test_a_failing_rename_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hard links too, an error leaves neither the key nor a leftover."""
    store = DirectoryStore(tmp_path)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if target.name == "a":
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse_links)
        patch.setattr(Path, "rename", fail)
        with pytest.raises(StorageError, match="cannot write 'blobs/a'"):
            store.put_new("blobs/a", b"one")
    assert store.list("") == store.list("tmp/") == []


def test_unreadable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in reading or deleting names the key; it is not taken for a missing key."""
    store = DirectoryStore(tmp_path)
    store.put_new("blobs/a", b"one")

    def fail(*args: object, **kwargs: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", fail)
    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(StorageError, match="cannot read 'blobs/a'"):
        store.get("blobs/a")
    with pytest.raises(StorageError, match="cannot delete 'blobs/a'"):
        store.delete("blobs/a")


def test_the_file_is_flushed_before_its_name_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync of the file comes before the link, fsync of the directory after it."""
    calls: list[str] = []
    fsync, link = os.fsync, os.link
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(os, "link", lambda a, b: (calls.append("link"), link(a, b))[1])
    store = DirectoryStore(tmp_path)
    store.put_new("a/first", b"")
    calls.clear()
    store.put_new("a/b", b"one")
    assert calls == ["fsync", "link", "fsync"]


def test_urls() -> None:
    """memory:// is a new store each time; a scheme nobody speaks is refused by name; a store is taken as it is."""
    assert isinstance(open_store("memory://"), MemoryStore)
    with pytest.raises(ConfigurationError, match=r"no store speaks 'gs://'"):
        open_store("gs://bucket/prefix")
    own = MemoryStore()
    assert open_store(own) is own


class Forgetful(ThreadingHTTPServer):
    """Hands requests on to a server, and loses the answer to the first so many puts."""

    def __init__(self, behind: str, lost: int) -> None:
        self.behind, self.lost, self.puts = behind, lost, 0
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Forgetful

    def hand_on(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kept = {k: v for k, v in self.headers.items() if k.lower() not in {"host", "connection"}}
        kept["Content-Type"] = "application/octet-stream"
        asked = urllib.request.Request(self.server.behind + self.path, data or None, kept, method=self.command)
        try:
            answer = urllib.request.urlopen(asked)
        except urllib.error.HTTPError as error:
            answer = error
        body = answer.read()
        if self.command == "PUT":
            self.server.puts += 1
            if self.server.puts <= self.server.lost:
                self.close_connection = True
                return
        self.send_response(answer.status)
        for name in ("ETag", "Last-Modified", "Content-Type"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = hand_on  # noqa: N815
    do_PUT = hand_on  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def forgetful(s3: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetful]:
    """A server that loses the answers to two puts, between the store and S3."""
    server = Forgetful(s3, 2)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


def test_a_lost_answer_is_no_lost_race(bucket: str, forgetful: Forgetful) -> None:
    """A put that came through although its answer was lost is said to have created the key; another's is not."""
    store = open_store(bucket)
    assert store.put_new("log/1", b"mine")
    assert forgetful.puts == 3
    forgetful.puts = 1
    assert not store.put_new("log/1", b"yours")
    assert store.get("log/1") == b"mine"


def test_a_store_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every method says which store does not answer, and what was asked."""
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "ENDPOINT_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setattr(storage, "_PAUSE", 0.0)
    store = open_store("s3://bucket/registry")
    for ask in (
        lambda: store.put_new("a", b""),
        lambda: store.get("a"),
        lambda: store.list(""),
        lambda: store.delete("a"),
    ):
        with pytest.raises(StorageError, match="s3://bucket/registry"):
            ask()


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without obstore the error says what to install; a URL without a bucket is refused."""
    with pytest.raises(ConfigurationError, match="expected a URL such as"):
        open_store("s3://")
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingExtra, match=r"mlopskit\[s3\]"):
        open_store("s3://bucket/registry")


def test_a_registry_in_a_bucket(bucket: str) -> None:
    """The whole protocol: register, promote, roll back, load, verify, by two registries that share nothing else."""
    model = DummyClassifier(strategy="prior").fit(np.zeros((4, 1)), [0, 0, 0, 1])
    one, two = ModelRegistry(bucket), ModelRegistry(bucket)
    first = one.register("rain", model, example={"cloud": np.zeros(2)})
    second = two.register("rain", model, example={"cloud": np.ones(2)})
    assert (first.number, second.number) == (1, 2)
    one.promote(first, alias="champion")
    two.promote(second, alias="champion", expect=first)
    with pytest.raises(AliasMoved):
        one.promote(first, alias="champion", expect=first)
    assert one.rollback("rain", alias="champion").number == 1
    assert two.load("rain@champion").predict({"cloud": [0.5]}).version == "rain:1"
    assert two.verify().passed
