"""Looking after a registry: packs, signatures, collection, export and import, search, lineage, gate reports."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression

from mlopskit import formats
from mlopskit.errors import ConfigurationError, FormatError, IntegrityError, NotFound, StorageError, UnsafeModel
from mlopskit.formats import PickleFormat
from mlopskit.promotion import GateCheck, GateReport
from mlopskit.registry import ModelRegistry
from mlopskit.registry.blobs import Blobs
from mlopskit.registry.log import PACK
from mlopskit.storage import MemoryStore, Store

EXAMPLE = pd.DataFrame({"x": [0.0, 1.0]})
NOON = dt.datetime(2026, 5, 3, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
KEY = b"a secret of some length"


def constant(value: float) -> DummyRegressor:
    return DummyRegressor(strategy="constant", constant=value).fit(np.zeros((1, 1)), [0.0])


def answer(registry: ModelRegistry, spec: str) -> float:
    return float(registry.load(spec).predict(EXAMPLE).values[0])


class Counting(MemoryStore):
    """Remembers which keys were read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def get(self, key: str) -> bytes:
        self.read.append(key)
        return super().get(key)

    def overwrite(self, key: str, data: bytes) -> None:
        self.delete(key)
        self.put_new(key, data)


@pytest.fixture
def store() -> Counting:
    return Counting()


def filled(store: Store, n_notes: int, **options: Any) -> ModelRegistry:
    registry = ModelRegistry(store, **options)
    registry.register("m", constant(1.0), example=EXAMPLE)
    for i in range(n_notes):
        registry.annotate("m:1", f"note {i}")
    return registry


class TestPacks:
    def test_a_cold_start_reads_few_files(self, store: Counting) -> None:
        filled(store, 3 * PACK)
        store.read.clear()
        again = ModelRegistry(store)
        assert len(again.history("m").events) == 3 * PACK + 1
        assert len(store.read) < 10

    def test_without_packs_it_is_the_same(self, store: Counting) -> None:
        registry = filled(store, 2 * PACK)
        for key in store.list("packs/"):
            store.delete(key)
        assert ModelRegistry(store).history("m") == registry.history("m")

    @pytest.mark.parametrize("damage", [b"", b"{}", b"\xff" * 100])
    def test_a_damaged_pack_is_not_needed(self, store: Counting, damage: bytes) -> None:
        registry = filled(store, 2 * PACK)
        (key, *_) = store.list("packs/")
        store.overwrite(key, damage)
        assert ModelRegistry(store).history("m") == registry.history("m")
        report = registry.verify()
        assert [finding.key for finding in report.findings] == [key]
        assert not report.passed

    def test_a_pack_cut_in_the_middle(self, store: Counting) -> None:
        registry = filled(store, 2 * PACK)
        (key, *_) = store.list("packs/")
        lines = store.get(key).split(b"\n")
        store.overwrite(key, b"\n".join([*lines[:10], lines[10].replace(b"note", b"nota"), *lines[11:]]))
        assert ModelRegistry(store).history("m") == registry.history("m")

    def test_a_changed_event_below_a_pack_is_found(self, store: Counting) -> None:
        registry = filled(store, 2 * PACK)
        key = "log/m/00000007.json"
        store.overwrite(key, store.get(key).replace(b"note", b"nota"))
        assert key in {finding.key for finding in registry.verify().findings}

    def test_a_pack_of_nothing_is_named(self, store: Counting) -> None:
        registry = filled(store, 1)
        store.put_new("packs/log/m/00000640.jsonl", b"")
        (finding,) = registry.verify().findings
        assert finding.harmless


class TestSignatures:
    def test_signed_by_one_of_the_keys(self, store: Counting) -> None:
        filled(store, 2, signing_key=KEY)
        both = ModelRegistry(store, signing_key=[b"a newer secret, also long", KEY])
        both.annotate("m:1", "signed with the newer one")
        assert len(both.history("m").events) == 4
        assert both.verify().passed
        with pytest.raises(IntegrityError, match="another key"):
            ModelRegistry(store, signing_key=KEY).history("m")
        assert len(ModelRegistry(store).history("m").events) == 4

    def test_an_event_that_is_not_signed(self, store: Counting) -> None:
        filled(store, 2)
        with pytest.raises(IntegrityError, match="not signed"):
            ModelRegistry(store, signing_key=KEY).history("m")

    def test_a_forged_history(self, store: Counting) -> None:
        """Whoever can write files can rebuild checksums and chain, and not the signature."""
        filled(store, 1, signing_key=KEY)
        key = "log/m/00000002.json"
        document = json.loads(store.get(key))
        document["reason"] = "forged"
        del document["checksum"]
        forged = {**document, "checksum": formats.digest(formats.canonical(document))}
        store.overwrite(key, formats.canonical(forged))
        assert ModelRegistry(store).history("m").events[-1].reason == "forged"
        with pytest.raises(IntegrityError, match="signed with another key"):
            ModelRegistry(store, signing_key=KEY).history("m")

    @pytest.mark.parametrize("key", [b"short", "text that is long enough", [KEY, b""]])
    def test_keys_are_bytes_of_some_length(self, key: Any) -> None:
        with pytest.raises(ConfigurationError, match="signing_key"):
            ModelRegistry("memory://", signing_key=key)

    def test_the_key_is_not_shown(self) -> None:
        assert "secret" not in repr(ModelRegistry("memory://", signing_key=KEY))


class TestCollect:
    ORPHAN = formats.digest(b"left behind")

    def test_condemned_first_and_removed_later(self, store: Counting) -> None:
        registry = filled(store, 0)
        Blobs(store).put([b"left behind"])
        key = f"blobs/{self.ORPHAN}"
        look = registry.gc(grace="1h", now=NOON)
        assert (look.removed, look.waiting) == ((), (key,))
        assert "would remove 0" in str(look)
        assert store.list("condemned/") == []
        assert registry.gc(grace="1h", dry_run=False, now=NOON).waiting == (key,)
        assert registry.gc(grace="1h", now=NOON + HOUR).removed == (key,)
        assert key in store.list("blobs/")
        done = registry.gc(grace="1h", dry_run=False, now=NOON + HOUR)
        assert done.removed == (key,)
        assert done.to_frame().to_dict("list") == {"key": [key], "removed": [True]}
        assert registry.verify().findings == ()
        assert answer(registry, "m:1") == 1.0

    def test_what_was_removed_may_come_again(self, store: Counting) -> None:
        registry = ModelRegistry(store)
        for value in (1.0, 2.0):
            registry.register("m", constant(value), example=EXAMPLE)
        registry.retire("m:2", reason="worse", now=NOON)
        registry.gc(grace="0s", retired="1h", dry_run=False, now=NOON + HOUR)
        assert registry.register("m", constant(2.0), example=EXAMPLE).number == 3
        registry.gc(grace="0s", dry_run=False, now=NOON + 2 * HOUR)
        assert answer(ModelRegistry(store), "m:3") == 2.0
        assert registry.verify(deep=True).findings == ()

    def test_a_writer_meets_the_collector(self, store: Counting) -> None:
        """Content condemned between a writer's put and its commit is written once more, and outlives the removal."""
        blobs = Blobs(store)
        held = blobs.put([b"left behind"])
        key = f"blobs/{self.ORPHAN}"
        blobs.condemn(key, NOON)
        blobs.hold(held)
        blobs.remove(key)
        assert blobs.get(self.ORPHAN, "part") == b"left behind"
        blobs.condemn(f"{key}.1", NOON)
        blobs.hold(held)
        blobs.remove(f"{key}.1")
        assert blobs.get(self.ORPHAN, "part") == b"left behind"
        assert store.list("blobs/") == [f"{key}.2"]

    def test_what_a_commit_named_meanwhile_stays(self, store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
        """A version that is committed after the first look keeps its content."""
        registry, writer = filled(store, 0), ModelRegistry(store)
        condemn = Blobs.condemn

        def commit_first(self: Blobs, key: str, at: dt.datetime) -> dt.datetime:
            monkeypatch.undo()
            writer.register("other", constant(5.0), example=EXAMPLE, files={"left.txt": b"left behind"})
            return condemn(self, key, at)

        Blobs(store).put([b"left behind"])
        monkeypatch.setattr(Blobs, "condemn", commit_first)
        assert registry.gc(grace="0s", dry_run=False).removed == ()
        assert writer.file("other:1", "left.txt") == b"left behind"

    def test_leftovers_of_killed_writers(self, tmp_path: Path) -> None:
        registry = filled(ModelRegistry(tmp_path).store, 0)
        (tmp_path / "tmp" / "0123abcd").write_bytes(b"half")
        holder = tmp_path / "tmp" / "4567.d"
        holder.mkdir()
        (holder / "@data").write_bytes(b"half")
        assert len(registry.gc(grace="0s", dry_run=False).removed) == 2
        assert registry.verify().findings == ()
        assert list((tmp_path / "tmp").iterdir()) == []

    def test_nothing_is_removed_where_an_event_is_damaged(self, store: Counting) -> None:
        registry = filled(store, 1)
        Blobs(store).put([b"left behind"])
        store.overwrite("log/m/00000002.json", b"{}")
        with pytest.raises(IntegrityError, match="nothing was removed"):
            registry.gc(grace="0s", dry_run=False)
        assert f"blobs/{self.ORPHAN}" in store.list("blobs/")

    def test_retired_versions_keep_their_history(self, store: Counting) -> None:
        registry = ModelRegistry(store)
        for value in (1.0, 2.0):
            registry.register("m", constant(value), example=EXAMPLE, files={"shared.txt": b"shared"})
        registry.retire("m:1", reason="leaks the label", now=NOON)
        assert registry.gc(grace="0s", dry_run=False, now=NOON + HOUR).removed == ()
        registry.gc(grace="0s", retired="2h", dry_run=False, now=NOON + HOUR)
        assert answer(registry, "m:1") == 1.0
        registry.gc(grace="0s", retired="1h", dry_run=False, now=NOON + HOUR)
        registry.gc(grace="0s", retired="1h", dry_run=False, now=NOON + HOUR)
        for broken in (lambda: registry.load("m:1"), lambda: registry.export("m:1", "nowhere")):
            with pytest.raises(NotFound, match="was removed after it was retired"):
                broken()
        assert registry.get("m:1").retired == "leaks the label"
        assert [e.kind for e in registry.history("m").events][-2:] == ["retired", "removed"]
        assert registry.file("m:2", "shared.txt") == b"shared"
        assert registry.verify(deep=True).findings == ()

    @pytest.mark.parametrize("grace", ["soon", "-1D", None])
    def test_a_grace_is_a_duration(self, store: Counting, grace: Any) -> None:
        with pytest.raises(ConfigurationError, match="grace"):
            ModelRegistry(store).gc(grace=grace)

    def test_a_damaged_tombstone_is_named(self, store: Counting) -> None:
        registry = filled(store, 0)
        Blobs(store).put([b"left behind"])
        store.put_new(f"condemned/{self.ORPHAN}.json", b"?")
        with pytest.raises(IntegrityError, match="damaged"):
            registry.gc(dry_run=False)


class TestBundles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        registry = ModelRegistry("memory://")
        registry.register("m", constant(7.0), example=EXAMPLE, metrics={"r2": 0.5}, files={"a.txt": b"a"})
        return registry.export("m:1", tmp_path / "bundle")

    def test_there_and_back(self, folder: Path) -> None:
        other = ModelRegistry("memory://")
        version = other.import_(folder, now=NOON)
        assert (version.spec, version.metrics, version.created_at) == ("m:1", {"r2": 0.5}, NOON)
        assert answer(other, "m:1") == 7.0
        assert other.file(version, "a.txt") == b"a"
        assert other.import_(folder) == version
        assert "imported, there m:1" in str(other.history("m"))
        renamed = other.import_(folder, "copy")
        assert (renamed.spec, renamed.digest) == ("copy:1", version.digest)
        assert other.verify(deep=True).findings == ()

    def test_the_folder_is_flat(self, folder: Path) -> None:
        names = {path.name for path in folder.iterdir()}
        assert names - {"bundle.json"} == {formats.digest((folder / n).read_bytes()) for n in names - {"bundle.json"}}

    def test_a_changed_byte_anywhere(self, folder: Path, tmp_path: Path) -> None:
        for path in sorted(folder.iterdir()):
            copy = tmp_path / f"copy of {path.name}"
            shutil.copytree(folder, copy)
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            (copy / path.name).write_bytes(bytes(data))
            registry = ModelRegistry("memory://")
            with pytest.raises((IntegrityError, FormatError)):
                registry.import_(copy)
            assert registry.models() == []

    def edited(self, folder: Path, **changes: Any) -> None:
        """Write a manifest with a digest that fits it."""
        document = json.loads((folder / "bundle.json").read_bytes())
        document["manifest"] |= changes
        document["digest"] = formats.digest(formats.canonical(document["manifest"]))
        (folder / "bundle.json").write_bytes(formats.canonical(document))

    @pytest.mark.parametrize("sha", ["../../etc/passwd", "/etc/passwd", "bundle.json", "", 7])
    def test_no_path_is_followed(self, folder: Path, sha: Any) -> None:
        self.edited(folder, files={"a.txt": sha})
        with pytest.raises(IntegrityError, match="expected a sha256"):
            ModelRegistry("memory://").import_(folder)

    @pytest.mark.parametrize("changes", [{"blobs": 3}, {"unknown": 1}, {"blobs": {}}, {"features": None}])
    def test_another_manifest(self, folder: Path, changes: dict[str, Any]) -> None:
        self.edited(folder, **changes)
        with pytest.raises((FormatError, IntegrityError)):
            ModelRegistry("memory://").import_(folder)

    def test_pickle_is_the_loader_s_choice(self, tmp_path: Path) -> None:
        trusting = ModelRegistry("memory://", formats=[PickleFormat()])
        trusting.register("m", LogisticRegression().fit(EXAMPLE, [0, 1]), example=EXAMPLE)
        folder = trusting.export("m:1", tmp_path / "bundle")
        self.edited(folder, format="pickle")
        with pytest.raises((FormatError, UnsafeModel)):
            ModelRegistry("memory://").import_(folder)

    def test_other_folders(self, tmp_path: Path, folder: Path) -> None:
        with pytest.raises(StorageError, match="cannot read"):
            ModelRegistry("memory://").import_(tmp_path / "nowhere")
        with pytest.raises(ConfigurationError, match="not empty"):
            filled(MemoryStore(), 0).export("m:1", folder)
        (folder / "bundle.json").write_text("[]")
        with pytest.raises(FormatError, match="not what export wrote"):
            ModelRegistry("memory://").import_(folder)

    def test_a_newer_release(self, folder: Path) -> None:
        document = json.loads((folder / "bundle.json").read_bytes())
        (folder / "bundle.json").write_bytes(formats.canonical({**document, "protocol": formats.PROTOCOL + 1}))
        with pytest.raises(FormatError, match="newer release"):
            ModelRegistry("memory://").import_(folder)


REPORT = GateReport(
    "pass", (GateCheck("at least", "roc_auc", "pass", 0.71, 0.68, float("inf"), 0.65, 900, 30, "0.71 against 0.65"),)
)


class TestTraces:
    def test_search(self) -> None:
        registry = ModelRegistry("memory://")
        for i, auc in enumerate((0.6, 0.8, 0.7)):
            registry.register("a", constant(i), example=EXAMPLE, metrics={"auc": auc}, tags={"team": "ops"})
        registry.register("b", constant(9.0), example=EXAMPLE, metrics={"r2": 0.1})
        found = registry.search(metrics={"auc": (0.65, None)}, order_by="auc")
        assert [v.spec for v in found] == ["a:2", "a:3"]
        assert [v.spec for v in registry.search(metrics={"auc": (None, 0.65)})] == ["a:1"]
        assert len(registry.search("b", tags={"team": "ops"})) == 0
        registry.retire("a:2", reason="old")
        assert [v.spec for v in registry.search(order_by="auc")] == ["a:3", "a:1", "b:1"]
        assert len(registry.search("a", retired=True)) == 3
        assert registry.search("a").to_frame()["metrics.auc"].tolist() == [0.6, 0.7]
        assert "a:1" in str(registry.search())
        assert registry.search("b", tags={"no": "such"}).to_frame().shape == (0, 3)
        with pytest.raises(NotFound):
            registry.search("c")

    def test_gate_reports(self) -> None:
        registry = ModelRegistry("memory://")
        first = registry.register("m", constant(1.0), example=EXAMPLE, gate_report=REPORT)
        assert registry.load(first).gate_report == registry.gate_report(first) == REPORT.to_dict()
        second = registry.register("m", constant(2.0), example=EXAMPLE)
        with pytest.raises(NotFound, match="no gate's report"):
            registry.gate_report(second)
        registry.promote(second, alias="champion", gate_report=REPORT)
        assert registry.gate_report(second) == REPORT.to_dict()
        registry.gc(grace="0s", dry_run=False)
        assert registry.gate_report(second)["verdict"] == "pass"
        assert registry.verify(deep=True).findings == ()

    def test_lineage(self) -> None:
        registry = ModelRegistry("memory://")
        parent = registry.register("base", constant(1.0), example=EXAMPLE)
        child = registry.register("m", constant(2.0), example=EXAMPLE, parents=[parent], gate_report=REPORT)
        registry.register("m", constant(3.0), example=EXAMPLE, parents=["m:1", "base:1"])
        graph = registry.lineage(child)
        edges = graph.to_frame()
        assert set(edges["relation"]) >= {"parent", "judged by"}
        assert ("base:1", "m:1", "parent") in graph.edges
        assert ("m:1", "m:2", "parent") in graph.edges
        assert graph.to_dot().startswith("digraph lineage {")
        assert '"m:1" -> "m:2" [label="parent"];' in graph.to_dot()
        assert "m:1" in str(graph)
        drawn = {text.get_text() for text in graph.plot().texts}
        assert "m:1" in drawn
        with pytest.raises(NotFound):
            registry.register("m", constant(4.0), example=EXAMPLE, parents=["base:9"])

    def test_names_in_dot_are_quoted(self) -> None:
        from mlopskit.registry.reports import LineageGraph, LineageNode

        graph = LineageGraph('a"b', (LineageNode('a"b', "model", "two\nlines \\ and"),), ())
        assert '"a\\"b" [label="two\\nlines \\\\ and", shape=box];' in graph.to_dot()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        filled(MemoryStore(), 0).export("m:1", tmp_path / "file" / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
