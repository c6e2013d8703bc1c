"""Data versions: what was saved comes back, versions share what they have in common, trainings can be done again."""

from __future__ import annotations

import datetime as dt
import decimal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from mlopskit import frames
from mlopskit.errors import ConfigurationError, DataError, FormatError, IntegrityError, NotFound
from mlopskit.frames import parquet
from mlopskit.registry import ModelRegistry
from mlopskit.registry.data import DataVersions
from mlopskit.training import TimeSplit, Trainer

NOON = dt.datetime(2026, 5, 3, 12, tzinfo=dt.UTC)


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path / "registry")


@pytest.fixture
def data(registry: ModelRegistry) -> DataVersions:
    return registry.data


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of 64 rows on average."""
    monkeypatch.setattr(parquet, "ROWS", 64)


def table(n: int, start: int = 0) -> pd.DataFrame:
    i = np.arange(start, start + n)
    return pd.DataFrame({"i": i, "x": np.sin(i), "c": (i % 7).astype(str)})


def every_kind() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "int": [1, 2, 3],
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "float": [1.5, np.nan, -np.inf],
            "text": ["a", None, "ü"],
            "category": pd.Categorical(["b", "a", "b"], categories=["b", "a", "z"], ordered=True),
            "bool": [True, False, True],
            "day": pd.to_datetime(["2026-01-01", None, "2026-01-03"]),
            "zone": pd.date_range("2026-01-01", periods=3, tz="Europe/Zurich"),
            "span": pd.to_timedelta([1, 2, 3], unit="h"),
            "money": [decimal.Decimal("1.10"), None, decimal.Decimal("2.00")],
            "date": [dt.date(2026, 1, 1), dt.date(2026, 1, 2), None],
        }
    )


class TestSave:
    def test_everything_comes_back(self, data: DataVersions) -> None:
        frame = every_kind()
        version = data.save("t", frame, tags={"from": "the warehouse"}, now=NOON)
        assert (version.spec, version.n_rows, version.created_at) == ("t:1", 3, NOON)
        assert list(version.columns) == list(frame.columns)
        assert version.columns["money"] == "decimal" or version.columns["money"] == "float"
        loaded = data.load("t:1")
        assert frames.fingerprint(loaded) == version.fingerprint == frames.fingerprint(frame)
        kinds = ["int", "nullable", "float", "category", "bool", "day", "zone", "span"]
        pd.testing.assert_frame_equal(loaded[kinds], frame[kinds], check_dtype=True)

    @pytest.mark.parametrize("make", [pl.from_pandas, pa.Table.from_pandas, lambda f: f.to_dict("list")])
    def test_any_frame(self, data: DataVersions, make: Any) -> None:
        frame = make(table(10))
        assert data.save("t", frame).fingerprint == frames.fingerprint(table(10))
        assert data.load("t")["i"].tolist() == list(range(10))

    def test_saved_twice_is_one_version(self, data: DataVersions) -> None:
        first = data.save("t", table(5))
        assert data.save("t", table(5)) == first
        assert data.save("t", table(5)[::-1]).number == 2
        assert data.save("t", table(5)).number == 3
        assert len(data.versions("t")) == 3

    @pytest.mark.parametrize("frame", [table(0), table(1), pd.DataFrame({"x": [np.nan] * 3})])
    def test_small_and_empty(self, data: DataVersions, frame: pd.DataFrame) -> None:
        data.save("t", frame)
        loaded = data.load("t")
        assert len(loaded) == len(frame)
        assert list(loaded.columns) == list(frame.columns)

    def test_an_index_is_not_stored(self, data: DataVersions) -> None:
        data.save("t", table(5).set_index("i", drop=False))
        assert data.load("t").index.tolist() == [0, 1, 2, 3, 4]

    def test_refuses_what_parquet_cannot_hold(self, data: DataVersions) -> None:
        with pytest.raises(DataError, match="one type a column"):
            data.save("t", pd.DataFrame({"x": [1, "a", 2.5]}))
        with pytest.raises(DataError, match="duplicate column"):
            data.save("t", pd.concat([table(3), table(3)], axis=1))
        with pytest.raises(NotFound):
            data.versions("t")

    def test_some_columns(self, data: DataVersions) -> None:
        data.save("t", table(5))
        assert list(data.load("t", columns=["x"]).columns) == ["x"]
        with pytest.raises(DataError, match="no column"):
            data.load("t", columns=["y"])

    def test_a_column_named_type(self, data: DataVersions) -> None:
        data.save("t", pd.DataFrame({"type": [1], "value": [2]}))
        assert ModelRegistry(data._store).data.load("t:1").to_dict("list") == {"type": [1], "value": [2]}


@pytest.mark.usefixtures("small")
class TestSharing:
    def test_an_appended_table_shares_its_old_files(self, data: DataVersions) -> None:
        a, b = data.save("t", table(4_000)), data.save("t", table(4_400))
        assert len(a.chunks) > 30
        assert len(set(a.chunks) - set(b.chunks)) <= 1

    def test_a_sliding_window_shares_its_middle(self, data: DataVersions) -> None:
        a, b = data.save("t", table(4_000)), data.save("t", table(4_000, start=300))
        shared = set(a.chunks) & set(b.chunks)
        assert len(shared) >= len(a.chunks) - 16

    def test_equal_rows_are_cut_all_the_same(self, data: DataVersions) -> None:
        """Rows that are all alike never end in zeros, or always: no file is longer than four times the average."""
        version = data.save("t", pd.DataFrame({"x": np.ones(1_000)}))
        assert len(version.chunks) in {4, 1_000}
        assert len(data.load("t")) == 1_000

    @given(st.integers(0, 600), st.integers(0, 600), st.integers(0, 600), st.integers(0, 600))
    def test_diff_counts_rows(self, a: int, b: int, c: int, d: int) -> None:
        """Against Counter of the standard library."""
        from collections import Counter

        data = ModelRegistry("memory://").data
        left, right = table(a, b), pd.concat([table(c, d), table(d // 3)])
        data.save("t", left)
        data.save("u", right)
        x, y = Counter(left["i"]), Counter(right["i"])
        diff = data.diff("t:1", "u:1")
        assert (diff.n_added, diff.n_removed) == ((y - x).total(), (x - y).total())
        assert diff.n_same == (x & y).total()


class TestDiff:
    def test_columns(self, data: DataVersions) -> None:
        data.save("t", table(6))
        data.save("t", table(4).drop(columns="x").assign(c=1.5, new="n"))
        diff = data.diff("t:1", "t:2")
        assert diff.added_columns == ("new",)
        assert diff.removed_columns == ("x",)
        assert diff.changed_columns == (("c", "str", "float"),)
        assert (diff.n_added, diff.n_removed, diff.n_same) == (0, 2, 4)
        assert "column 'x' removed" in str(diff)
        assert diff.to_frame()["change"].tolist()[:3] == ["rows added", "rows removed", "rows in both"]

    def test_nothing_in_common(self, data: DataVersions) -> None:
        data.save("t", table(3))
        data.save("t", pd.DataFrame({"other": [1, 2]}))
        diff = data.diff("t:1", "t:2")
        assert (diff.n_added, diff.n_removed) == (0, 1)

    def test_shared_files_are_not_read(self, data: DataVersions, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
        a, b = data.save("t", table(4_000)), data.save("t", table(4_100))
        read: list[str] = []
        get = data._blobs.get
        monkeypatch.setattr(data._blobs, "get", lambda sha, what: read.append(sha) or get(sha, what))
        assert (diff := data.diff(a, b)).n_added == 100
        assert (diff.n_removed, diff.n_same) == (0, 4_000)
        assert len(read) < 10


class TestNames:
    def test_by_name_number_and_digest(self, data: DataVersions) -> None:
        a, b = data.save("t", table(3)), data.save("t", table(4))
        assert data.get("t:1") == data.get(a) == data.get(f"t@sha256:{a.digest[:12]}") == a
        assert data.get("t") == b
        assert data.names() == ["t"]
        assert data.find(a.fingerprint) == a
        assert "registered t:1" in str(data.history("t"))

    @pytest.mark.parametrize("spec", ["t:3", "t:0", "u:1", "t@sha256:00000000", "u"])
    def test_unknown(self, data: DataVersions, spec: str) -> None:
        data.save("t", table(3))
        if spec == "t:0":
            assert data.get(spec).number == 1
            return
        with pytest.raises(NotFound):
            data.get(spec)

    @pytest.mark.parametrize("spec", ["t@champion", "../t:1", "T:1", "t:x", ""])
    def test_other_texts(self, data: DataVersions, spec: str) -> None:
        data.save("t", table(3))
        with pytest.raises((ConfigurationError, NotFound)):
            data.get(spec)


class TestUpkeep:
    def test_a_changed_file_is_named(self, registry: ModelRegistry, tmp_path: Path) -> None:
        version = registry.data.save("t", table(3))
        (path,) = (tmp_path / "registry" / "blobs").iterdir()
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        with pytest.raises(IntegrityError, match="was changed"):
            ModelRegistry(tmp_path / "registry").data.load(version)
        assert not registry.verify().passed

    def test_retired_rows_are_collected(self, registry: ModelRegistry, small: None) -> None:
        data = registry.data
        data.save("t", table(1_000), now=NOON)
        kept = data.save("t", table(1_200), now=NOON)
        assert registry.gc(grace="0s", dry_run=False).removed == ()
        data.retire("t:1", reason="too old", now=NOON)
        removed = registry.gc(grace="0s", retired="1D", dry_run=False, now=NOON + dt.timedelta(days=2)).removed
        assert 0 < len(removed) <= 2
        with pytest.raises(NotFound, match="removed"):
            data.load("t:1")
        assert len(data.load(kept)) == 1_200
        assert registry.verify(deep=True).findings == ()
        assert data.get("t:1").retired == "too old"
        again = data.save("t", table(1_000))
        assert (again.number, len(data.load(again))) == (3, 1_000)
        with pytest.raises(ConfigurationError, match="reason"):
            data.retire("t:3", reason="")

    def test_signed_with_the_registry(self, tmp_path: Path) -> None:
        ModelRegistry(tmp_path).data.save("t", table(3))
        with pytest.raises(IntegrityError, match="not signed"):
            ModelRegistry(tmp_path, signing_key=b"a secret of some length").data.load("t")

    def test_files_of_nothing(self) -> None:
        with pytest.raises(FormatError, match="not the parquet files"):
            frames.from_parquet([b"no parquet"])
        with pytest.raises(FormatError, match="not the parquet files"):
            frames.from_parquet([frames.to_parquet(table(2))[0], frames.to_parquet(pd.DataFrame({"z": ["a"]}))[0]])


class TestReproduce:
    @pytest.fixture
    def history(self) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        x = rng.normal(size=600)
        days = np.repeat(pd.date_range("2026-01-01", periods=30), 20)
        return pd.DataFrame({"day": days, "x": x, "z": rng.normal(size=600), "late": x + rng.normal(size=600) > 0})

    def trainer(self, **options: Any) -> Trainer:
        model = RandomForestClassifier(n_estimators=5, max_depth=4)
        return Trainer(model, target="late", time="day", cv=TimeSplit(2), **options)

    def test_from_the_saved_data(self, registry: ModelRegistry, history: pd.DataFrame) -> None:
        saved = registry.data.save("flights", history)
        version = registry.register("late", self.trainer().train(history))
        again = self.trainer().reproduce(registry.load(version))
        assert again.same
        assert (again.n_rows, again.n_different, again.largest_gap) == (600, 0, 0.0)
        assert "reproduced" in str(again)
        assert again.to_frame()["version"].tolist() == ["late:1"]
        graph = registry.lineage(version)
        assert any(saved.spec in node.label for node in graph.nodes if node.kind == "data")
        assert graph.edges[0][2] == "trained on"

    def test_another_seed_is_named(self, registry: ModelRegistry, history: pd.DataFrame) -> None:
        version = registry.register("late", self.trainer().train(history))
        again = self.trainer(random_state=1).reproduce(registry.load(version), history)
        assert not again.same
        assert "seed: 0 then, 1 now" in again.changed
        assert "not reproduced" in str(again)

    def test_other_rows(self, registry: ModelRegistry, history: pd.DataFrame) -> None:
        version = registry.load(registry.register("late", self.trainer().train(history)))
        with pytest.raises(DataError, match="these are not the data of late:1"):
            self.trainer().reproduce(version, history[:-1])
        with pytest.raises(NotFound, match="were not saved"):
            self.trainer().reproduce(version)

    def test_values_without_scores(self, registry: ModelRegistry, history: pd.DataFrame) -> None:
        model = RandomForestRegressor(n_estimators=3, max_depth=3)
        trainer = Trainer(model, target="z", features=["x"])
        version = registry.register("r", trainer.train(history))
        assert trainer.reproduce(registry.load(version), history).same
        other = Trainer(model, target="z", features=["x"], random_state=3)
        assert 0 < other.reproduce(registry.load(version), history).largest_gap < np.inf

    def test_no_warning(self, registry: ModelRegistry, history: pd.DataFrame) -> None:
        version = registry.register("late", self.trainer().train(history))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.trainer().reproduce(registry.load(version), history)
