"""What a registry survives: killed processes, many writers, failing disks, power cuts, disks without hard links."""

from __future__ import annotations

import builtins
import datetime as dt
import errno
import io
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from attrs import define, field
from sklearn.dummy import DummyRegressor

from mlopskit.errors import AliasMoved, ConfigurationError, MlopskitError, NotFound, StorageError
from mlopskit.registry import ModelRegistry

EXAMPLE = pd.DataFrame({"x": [0.0, 1.0]})
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["mlopskit.registry", "mlopskit.training", "sklearn.dummy", "skops.io"])


def constant(value: float) -> DummyRegressor:
    """A model that can be told from others by what it answers."""
    return DummyRegressor(strategy="constant", constant=value).fit(np.zeros((1, 1)), [0.0])


def answer(registry: ModelRegistry, spec: str) -> float:
    return float(registry.load(spec).predict(EXAMPLE).values[0])


def refuse_links(*args: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


# -- killed processes


def say(path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(text + "\n")


def write_for_ever(path: str, diary: str, seed: int, links: bool) -> None:
    if not links:
        os.link = refuse_links
    registry, generator = ModelRegistry(path), random.Random(seed)
    while True:
        value = generator.random()
        version = registry.register("m", constant(value), example=EXAMPLE)
        say(diary, f"{version.number} {value!r}")
        registry.promote(version, alias="champion", reason="so it goes")
        say(diary, f"{version.number} promoted")


def clean_for_ever(path: str) -> None:
    """Remove what is free for two seconds: longer than a registration takes, shorter than the test."""
    while True:
        ModelRegistry(path).gc(grace="2s", dry_run=False)


@pytest.mark.parametrize(("kills", "links"), [(200, True), (20, False)], ids=["hard links", "no hard links"])
def test_killed_at_any_instant(tmp_path: Path, kills: int, links: bool) -> None:
    """All that a process was told is there and whole, nobody is stuck, and nothing is left over once collected."""
    path, diary = str(tmp_path / "registry"), tmp_path / "diary"
    diary.touch()
    generator = random.Random(0)
    killed = rounds = 0
    while killed < kills:
        work = [(write_for_ever, (path, str(diary), 10 * rounds + w, links)) for w in range(3)]
        workers = [CONTEXT.Process(target=f, args=a) for f, a in [*work, (clean_for_ever, (path,))]]
        for worker in workers:
            worker.start()
        before, deadline = diary.stat().st_size, time.monotonic() + 60
        while diary.stat().st_size == before:
            assert time.monotonic() < deadline, "writers are stuck"
            time.sleep(0.005)
        time.sleep(generator.random() * 0.1)
        for worker in generator.sample(workers, len(workers)):
            assert worker.is_alive()
            os.kill(worker.pid or 0, signal.SIGKILL)
            worker.join()
            killed += 1
        rounds += 1
    registry = ModelRegistry(path)
    report = registry.verify()
    assert report.passed, str(report)
    told = [line.split() for line in diary.read_text().splitlines()]
    values = {int(number): float(value) for number, value in told if value != "promoted"}
    assert len(values) == sum(value != "promoted" for _, value in told), "a number was given twice"
    versions = registry.versions("m")
    assert [v.number for v in versions] == list(range(1, len(versions) + 1))
    for version in versions:
        loaded = answer(registry, version.spec)
        assert loaded == values.get(version.number, loaded)
    promoted = {event.number for event in registry.history("m").events if event.kind == "promoted"}
    assert {int(number) for number, value in told if value == "promoted"} <= promoted
    registry.gc(grace="0s", dry_run=False)
    assert registry.verify().findings == ()
    assert registry.register("m", constant(1.0), example=EXAMPLE).number == len(versions) + 1


# -- many writers


def register_some(path: str, who: int, results: Any) -> None:
    registry, mine = ModelRegistry(path), []
    for i in range(25):
        version = registry.register("m", constant(who + i / 100), example=EXAMPLE)
        mine.append((version.number, who + i / 100))
    results.put(mine)


def raise_by_one(path: str, who: int, results: Any) -> None:
    registry = ModelRegistry(path)
    won = lost = 0
    for _ in range(50):
        current = registry.get("m@counter").number
        try:
            registry.promote(f"m:{current + 1}", alias="counter", expect=current, reason=f"{who}")
            won += 1
        except AliasMoved:
            lost += 1
    results.put((won, lost))


def run(target: Callable[..., None], path: Path) -> list[Any]:
    results = CONTEXT.Queue()
    workers = [CONTEXT.Process(target=target, args=(str(path), who, results)) for who in range(8)]
    for worker in workers:
        worker.start()
    answers = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    return answers


def test_eight_processes_write_at_once(tmp_path: Path) -> None:
    """200 registrations get 200 dense numbers; of 400 promotions each won or was told that it lost."""
    told = dict(pair for mine in run(register_some, tmp_path) for pair in mine)
    registry = ModelRegistry(tmp_path)
    assert sorted(told) == [v.number for v in registry.versions("m")] == list(range(1, 201))
    for number in range(1, 201, 8):
        assert answer(registry, f"m:{number}") == told[number]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelRegistry, "_open", lambda *args: None)
        for _ in range(201):
            registry.register("m", constant(0.0), example=EXAMPLE)
    registry.promote("m:1", alias="counter")
    answers = run(raise_by_one, tmp_path)
    moves = [(e.previous, e.number) for e in registry.history("m").events if e.alias == "counter"]
    won = sum(w for w, _ in answers)
    assert won + sum(lost for _, lost in answers) == 400
    assert moves == [(None, 1), *((i, i + 1) for i in range(1, won + 1))]
    assert registry.verify().findings == ()


# -- failing disks and power cuts


@define
class Disk:
    """Counts and records what is done to files below a folder; one operation may be told to fail."""

    root: Path
    fail_at: int = 0
    code: int = 0
    operations: list[tuple[Any, ...]] = field(factory=list)

    def step(self, *operation: Any) -> None:
        self.operations.append(operation)
        if len(self.operations) == self.fail_at:
            raise OSError(self.code, os.strerror(self.code))

    def inside(self, path: Any) -> str | None:
        path = Path(os.fsdecode(path)) if not isinstance(path, int) else None
        return str(path.relative_to(self.root)) if path is not None and path.is_relative_to(self.root) else None

    @contextmanager
    def watched(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            names: dict[int, str] = {}
            real_open, real_os_open, real_fsync, real_close = io.open, os.open, os.fsync, os.close

            def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
                name = self.inside(file) if isinstance(file, (str, os.PathLike)) else None
                if name is None:
                    return real_open(file, mode, *args, **kwargs)
                self.step("read" if "r" in mode else "create", name)
                stream = real_open(file, mode, *args, **kwargs)
                names[stream.fileno()] = name
                return Recorded(stream, self, name) if "x" in mode else stream

            def os_opened(path: Any, *args: Any, **kwargs: Any) -> int:
                descriptor = real_os_open(path, *args, **kwargs)
                if (name := self.inside(path)) is not None:
                    names[descriptor] = name
                return descriptor

            def synced(descriptor: int) -> None:
                if descriptor in names:
                    self.step("fsync", names[descriptor])
                real_fsync(descriptor)

            def closed(descriptor: int) -> None:
                names.pop(descriptor, None)
                real_close(descriptor)

            patch.setattr(io, "open", opened)
            patch.setattr(builtins, "open", opened)
            patch.setattr(os, "open", os_opened)
            patch.setattr(os, "fsync", synced)
            patch.setattr(os, "close", closed)
            for name in ("link", "rename", "mkdir", "unlink", "rmdir"):
                patch.setattr(os, name, self.recorded(name, getattr(os, name)))
            yield

    def recorded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if (here := self.inside(path)) is not None:
                self.step(name, here, *([self.inside(args[0])] if name in {"link", "rename"} else []))
            return real(path, *args, **kwargs)

        return call


class Recorded:
    """A file whose writes are seen."""

    def __init__(self, stream: Any, disk: Disk, name: str) -> None:
        self._stream, self._disk, self._name = stream, disk, name

    def write(self, data: bytes) -> int:
        self._disk.step("write", self._name, bytes(data))
        return int(self._stream.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()


def seen(root: Path) -> list[tuple[str, int, str | None]]:
    """What a new reader finds."""
    try:
        events = ModelRegistry(root).history("m").events
    except NotFound:
        return []
    return [(event.kind, event.number, event.alias) for event in events]


OPERATIONS: dict[str, Callable[[ModelRegistry], Any]] = {
    "register": lambda registry: registry.register("m", constant(2.0), example=EXAMPLE),
    "promote": lambda registry: registry.promote("m:1", alias="champion"),
    "collect": lambda registry: registry.gc(grace="0s", dry_run=False),
}


@pytest.mark.parametrize("what", OPERATIONS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES], ids=["ENOSPC", "EIO", "EACCES"])
def test_every_file_operation_may_fail(tmp_path: Path, what: str, code: int) -> None:
    """An error of ours, the registry as before or the change complete, and a second try succeeds."""
    failed = 0
    for k in range(1, 500):
        root = tmp_path / str(k)
        ModelRegistry(root).register("m", constant(1.0), example=EXAMPLE)
        if what == "collect":
            ModelRegistry(root).store.put_new(f"blobs/{'0' * 64}", b"an orphan")
        before = seen(root)
        disk = Disk(root, fail_at=k, code=code)
        try:
            registry = ModelRegistry(root)
            with disk.watched():
                OPERATIONS[what](registry)
        except StorageError:
            failed += 1
        except MlopskitError as error:
            raise AssertionError(f"operation {k}: {disk.operations[-1]}") from error
        after = seen(root)
        assert after[: len(before)] == before
        assert len(after) <= len(before) + 1
        assert ModelRegistry(root).verify(deep=True).passed
        with_retry = OPERATIONS[what](ModelRegistry(root))
        assert with_retry is not None
        if len(disk.operations) < k:
            break
    else:
        raise AssertionError("more operations than expected")
    assert failed > 5


def on_disk(operations: list[tuple[Any, ...]], target: Path, generator: random.Random) -> None:
    """Write what a power cut after these operations leaves: of what was not flushed, each piece by a coin's toss."""
    inodes: dict[int, bytes] = {}
    flushed: dict[int, bytes] = {}
    names: dict[str, int] = {}
    kept: dict[str, int] = {}
    folders: dict[str, bool] = {".": True}

    def parent(name: str) -> str:
        return str(Path(name).parent)

    for kind, name, *more in operations:
        if kind == "create":
            names[name] = len(inodes)
            inodes[names[name]] = b""
        elif kind == "write":
            inodes[names[name]] += more[0]
        elif kind == "link" and more[0] not in names:
            names[more[0]] = names[name]
        elif kind == "unlink":
            names.pop(name, None)
        elif kind == "mkdir":
            folders.setdefault(name, False)
        elif kind == "fsync" and name in names:
            flushed[names[name]] = inodes[names[name]]
        elif kind == "fsync":
            kept = {n: i for n, i in kept.items() if parent(n) != name}
            kept |= {n: i for n, i in names.items() if parent(n) == name}
            folders |= {n: True for n in folders if parent(n) == name}
    for name, inode in names.items():
        if name not in kept and generator.random() < 0.5:
            kept[name] = inode
    for name, inode in kept.items():
        if not all(folders.get(str(up), True) for up in Path(name).parents):
            continue
        data = flushed.get(inode)
        if data is None:
            data = inodes[inode][: generator.randrange(len(inodes[inode]) + 1)]
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)


def test_power_cuts(tmp_path: Path) -> None:
    """After a cut at any operation the registry is whole, and holds everything that had been promised before."""
    root = tmp_path / "registry"
    root.mkdir()
    disk, promised = Disk(root), [(0, 0)]
    registry = ModelRegistry(root)
    with disk.watched():
        for value in (1.0, 2.0):
            version = registry.register("m", constant(value), example=EXAMPLE)
            promised.append((len(disk.operations), len(promised)))
            registry.promote(version, alias="champion")
            promised.append((len(disk.operations), len(promised)))
    generator = random.Random(0)
    whole = seen(root)
    cuts = 0
    for end in range(len(disk.operations) + 1):
        for again in range(3):
            target = tmp_path / f"{end}-{again}"
            on_disk(disk.operations[:end], target, generator)
            report = ModelRegistry(target).verify(deep=True)
            assert report.passed, f"after {disk.operations[end - 1][:3]}: {report}"
            n_promised = max(n for at, n in promised if at <= end)
            found = seen(target)
            assert found == whole[: len(found)]
            assert len(found) >= n_promised
            cuts += 1
    assert cuts > 200


def test_a_job_that_is_told_of_a_failure_may_run_again(tmp_path: Path) -> None:
    """Where the event was written and its flush failed, the same key finds the version."""
    registry = ModelRegistry(tmp_path)
    for k in range(1, 200):
        disk = Disk(tmp_path, fail_at=k, code=errno.EIO)
        try:
            with disk.watched():
                registry.register("m", constant(float(k)), example=EXAMPLE, idempotency_key=f"job {k}")
        except StorageError:
            ModelRegistry(tmp_path).register("m", constant(float(k)), example=EXAMPLE, idempotency_key=f"job {k}")
        else:
            break
    answers = [answer(registry, version.spec) for version in registry.versions("m")]
    assert answers == [float(i) for i in range(1, k + 1)]


def test_a_clock_is_not_needed(tmp_path: Path) -> None:
    """A collection whose clock runs behind removes nothing early."""
    registry = ModelRegistry(tmp_path)
    registry.register("m", constant(1.0), example=EXAMPLE)
    registry.store.put_new(f"blobs/{'0' * 64}", b"an orphan")
    noon = dt.datetime(2026, 5, 3, 12, tzinfo=dt.UTC)
    assert registry.gc(grace="1h", dry_run=False, now=noon).removed == ()
    assert registry.gc(grace="1h", dry_run=False, now=noon - dt.timedelta(hours=3)).removed == ()
    assert registry.gc(grace="1h", dry_run=False, now=noon + dt.timedelta(hours=1)).removed == (f"blobs/{'0' * 64}",)
    with pytest.raises(ConfigurationError, match="grace"):
        registry.gc(grace="soon")
