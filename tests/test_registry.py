"""The registry: nothing is lost when processes die or race, nothing unsafe or changed is loaded, all is traceable."""

from __future__ import annotations

import copy
import datetime as dt
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from threadpoolctl import threadpool_limits

from mlopskit import formats
from mlopskit.errors import (
    AliasMoved,
    ConfigurationError,
    DataError,
    EnvironmentMismatch,
    FormatError,
    IntegrityError,
    NotFound,
    StorageError,
    UnsafeModel,
)
from mlopskit.formats import PickleFormat
from mlopskit.records import Candidate
from mlopskit.registry import HistoryReport, ModelRegistry
from mlopskit.storage import MemoryStore, Store
from mlopskit.training import TimeSplit, Trainer

NOW = dt.datetime(2013, 3, 1, 12, tzinfo=dt.UTC)
EXAMPLE = pd.DataFrame({"x": [0.0, 1.0, 2.0], "z": [1.0, 0.0, 1.0]})
MODEL = Ridge().fit(EXAMPLE, [1.0, 2.0, 3.0])


def constant(value: float) -> DummyRegressor:
    """A model that can be told from others by what it answers."""
    return DummyRegressor(strategy="constant", constant=value).fit(EXAMPLE, [0.0, 0.0, value])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture(params=["memory", "directory"])
def registry(request: pytest.FixtureRequest, path: Path) -> ModelRegistry:
    return ModelRegistry("memory://" if request.param == "memory" else path)


@pytest.fixture
def three(registry: ModelRegistry) -> ModelRegistry:
    """Three versions of "m", each promoted in turn."""
    for i in (1, 2, 3):
        version = registry.register("m", constant(i), example=EXAMPLE, now=NOW)
        registry.promote(version, alias="champion", reason=f"number {i}", now=NOW)
    return registry


@pytest.fixture(scope="module")
def candidate() -> Candidate:
    rng = np.random.default_rng(0)
    n = 240
    history = pd.DataFrame(
        {
            "day": np.repeat(pd.date_range("2013-01-01", periods=24), 10),
            "x": rng.normal(size=n),
            "carrier": pd.Categorical(rng.choice(["AA", "UA", "DL"], n)),
            "late": rng.integers(0, 2, n),
        }
    )
    columns = ColumnTransformer([("carrier", OneHotEncoder(), ["carrier"])], remainder="passthrough")
    trainer = Trainer(
        make_pipeline(columns, LogisticRegression()),
        target="late",
        time="day",
        scoring=["neg_log_loss"],
        cv=TimeSplit(2),
    )
    return trainer.train(history)


class TestRegister:
    def test_returns_the_next_version(self, registry: ModelRegistry) -> None:
        """Versions are numbered from 1, and carry what was noted with them."""
        first = registry.register(
            "m", MODEL, example=EXAMPLE, metrics={"r2": 0.5}, params={"alpha": 1.0}, tags={"type": "test"}, now=NOW
        )
        second = registry.register("m", MODEL, example=EXAMPLE)
        assert (first.spec, second.spec) == ("m:1", "m:2")
        assert first.created_at == NOW
        assert (first.metrics, first.params, first.tags) == ({"r2": 0.5}, {"alpha": 1.0}, {"type": "test"})
        assert first.features == ("x", "z")
        assert first.lineage.params["alpha"] == 1.0
        assert registry.versions("m") == [first, second]
        assert registry.models() == ["m"]

    def test_equal_content_has_an_equal_digest(self, registry: ModelRegistry) -> None:
        """The digest knows content only: not the clock, not the number, not the name, but every note."""
        first = registry.register("m", MODEL, example=EXAMPLE, now=NOW)
        later = registry.register("m", copy.deepcopy(MODEL), example=EXAMPLE.copy())
        assert registry.register("other", MODEL, example=EXAMPLE).digest == first.digest == later.digest
        assert registry.register("m", MODEL, example=EXAMPLE, tags={"a": "b"}).digest != first.digest
        assert registry.register("m", MODEL, example=EXAMPLE[:1]).digest != first.digest

    @pytest.mark.parametrize("name", ["", "M", "a b", "../up", "a/b", "a:1", "a@b", ".hidden", "x" * 101, "ä", 3])
    def test_refuses_names_that_could_lead_elsewhere(self, registry: ModelRegistry, name: Any) -> None:
        """A name is made of a few harmless characters; every other one is refused before anything is written."""
        with pytest.raises(ConfigurationError, match="name="):
            registry.register(name, MODEL, example=EXAMPLE)
        assert registry.store.list("") == []

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({}, "example is missing"),
            ({"example": EXAMPLE, "metrics": {"r2": "high"}}, r"metrics\['r2'\]='high'"),
            ({"example": EXAMPLE, "metrics": {"r2": True}}, r"metrics\['r2'\]=True"),
            ({"example": EXAMPLE, "tags": {"stage": 1}}, r"tags\['stage'\]=1"),
        ],
    )
    def test_refuses_wrong_options(self, registry: ModelRegistry, options: dict[str, Any], words: str) -> None:
        """A missing example, a metric that is no number and a tag that is no text are named."""
        with pytest.raises(ConfigurationError, match=words):
            registry.register("m", MODEL, **options)
        assert registry.models() == []

    def test_refuses_an_empty_example(self, registry: ModelRegistry) -> None:
        """Without rows nothing can be compared at load."""
        with pytest.raises(DataError, match="empty"):
            registry.register("m", MODEL, example=EXAMPLE[:0])

    def test_refuses_a_model_that_no_format_holds(self, registry: ModelRegistry) -> None:
        """What could not be loaded is not registered: the type is named, and no version appears."""
        with pytest.raises(FormatError, match="Own"):
            registry.register("m", Own(), example=EXAMPLE)
        assert registry.models() == []

    def test_keeps_a_hundred_rows_of_an_example(self, registry: ModelRegistry) -> None:
        """A long example is cut: it is a sample for comparison, not the data."""
        registry.register("m", MODEL, example=pd.concat([EXAMPLE] * 50))
        assert len(registry.load("m:1").example) == 100

    def test_a_model_that_changes_its_mind_is_not_registered(self, registry: ModelRegistry) -> None:
        """When the loaded model predicts otherwise than the given one, nothing is registered."""

        class Fickle(formats.Format):
            name = "fickle"

            def dumps(self, model: Any) -> bytes:
                return b"fickle"

            def loads(self, data: bytes) -> Any:
                return constant(99.0)

        fickle = ModelRegistry(registry.store, formats=[Fickle()])
        with pytest.raises(IntegrityError, match="predicts its example otherwise"):
            fickle.register("m", Own(), example=EXAMPLE)
        assert fickle.models() == []

    def test_a_full_disk_registers_nothing(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error while writing is a StorageError; the registry is as before, and works again after."""
        registry = ModelRegistry(path)
        registry.register("m", MODEL, example=EXAMPLE)

        def fail(fd: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(StorageError, match="No space left"):
                registry.register("m", constant(5.0), example=EXAMPLE)
        assert len(ModelRegistry(path).versions("m")) == 1
        assert registry.verify().passed
        assert registry.register("m", constant(5.0), example=EXAMPLE).number == 2


class Own:
    """A model that is not scikit-learn's."""

    def predict(self, frame: Any) -> Any:
        return np.full(len(frame), 7.0)


class TestExamples:
    @pytest.mark.parametrize(
        "example",
        [
            {"x": np.array([0.0, 1.0]), "z": np.array([1.0, 2.0])},
            pl.DataFrame({"x": [0.0, 1.0], "z": [1.0, 2.0]}),
            pd.DataFrame({"z": [1, 2], "x": [0.5, 1.0]}, index=[7, 7])[["x", "z"]],
            pd.DataFrame({"x": pd.array([1, 2], dtype="Int64"), "z": np.array([1, 2], dtype=np.int8)}),
        ],
    )
    def test_any_frame(self, registry: ModelRegistry, example: Any) -> None:
        """An example may come from any engine, with any index and numeric dtypes."""
        registry.register("m", MODEL, example=example)
        assert registry.load("m:1").features == ("x", "z")

    def test_columns_of_every_kind(self, registry: ModelRegistry) -> None:
        """Text, levels in their order, missing values, times and zones come back as they were."""
        example = pd.DataFrame(
            {
                "text": ["a", None, "b"],
                "object": pd.Series(["a", None, np.nan], dtype=object),
                "level": pd.Categorical(["low", "high", None], categories=["low", "high", "none"], ordered=True),
                "truth": pd.array([True, None, False], dtype="boolean"),
                "day": pd.to_datetime(["2013-01-01", None, "2013-01-03"]),
                "zoned": pd.to_datetime(["2013-01-01", None, "2013-01-03"]).tz_localize("America/New_York"),
                "wait": pd.to_timedelta(["1h", None, "2h"]),
                "single": np.array([0.1, np.nan, np.inf], dtype=np.float32),
            }
        )
        registry.register("m", DummyClassifier().fit(np.zeros((4, 1)), ["no", "yes", "no", "no"]), example=example)
        loaded = registry.load("m:1")
        pd.testing.assert_frame_equal(loaded.example, example)
        answer = loaded.predict(example)
        assert answer.values.tolist() == ["no"] * 3
        assert answer.scores is not None
        assert answer.scores.tolist() == [0.25] * 3

    def test_a_cell_that_is_no_plain_value(self, registry: ModelRegistry) -> None:
        """An example with objects in its cells is refused, not pickled."""
        example = EXAMPLE.assign(x=pd.Series([object(), 1, 2], dtype=object))
        with pytest.raises(FormatError, match="cannot write an object"):
            registry.register("m", DummyRegressor().fit(EXAMPLE, [1, 2, 3]), example=example)


class TestCandidate:
    def test_everything_travels(self, registry: ModelRegistry, candidate: Candidate) -> None:
        """A candidate's schema, profiles, evaluation, example and lineage come back with its version."""
        version = registry.register("late", candidate, metrics={"extra": 1}, now=NOW)
        loaded = registry.load("late:1")
        assert loaded.version == version
        assert formats.to_json(version.lineage) == formats.to_json(candidate.lineage)
        assert version.metrics == {**candidate.evaluation.metrics, "extra": 1.0}
        assert (loaded.features, loaded.target, loaded.time) == (candidate.features, "late", "day")
        assert loaded.schema == candidate.schema
        assert loaded.evaluation == candidate.evaluation
        assert formats.to_json(loaded.profile) == formats.to_json(candidate.profile)
        assert [formats.to_json(p) for p in loaded.reference] == [formats.to_json(p) for p in candidate.reference]
        assert version.trained_until == candidate.lineage.data_end

    def test_predicts_as_the_candidate_did(self, registry: ModelRegistry, candidate: Candidate) -> None:
        """Values and scores are the candidate's, and the answer names the version."""
        registry.register("late", candidate)
        registry.promote("late:1", alias="champion")
        got, want = registry.load("late@champion").predict(candidate.example), candidate.predict(candidate.example)
        np.testing.assert_array_equal(got.values, want.values)
        np.testing.assert_array_equal(got.scores, want.scores)
        assert got.version == "late:1"

    def test_an_example_may_replace_the_candidate_s(self, registry: ModelRegistry, candidate: Candidate) -> None:
        """A given example is stored instead, with the features only."""
        example = candidate.example[:2].assign(unused=1)
        registry.register("late", candidate, example=example)
        assert list(registry.load("late:1").example.columns) == list(candidate.features)

    def test_a_freeze_is_noted_where_it_is_asked_for(self, registry: ModelRegistry, candidate: Candidate) -> None:
        """Everything that is installed, for a candidate and for a bare model; nothing without asking."""
        frozen = registry.register("late", candidate, freeze=True).lineage.freeze
        assert frozen["pytest"] == pytest.__version__
        assert len(frozen) > len(candidate.lineage.packages)
        assert registry.register("m", MODEL, example=EXAMPLE, freeze=True).lineage.freeze == frozen
        assert registry.register("late", candidate).lineage.freeze == {}

    def test_other_packages_are_a_warning(self, registry: ModelRegistry, candidate: Candidate) -> None:
        """A model trained with other packages loads, with a warning that names them; mlopskit's own does not count."""
        packages = {**candidate.lineage.packages, "numpy": "1.0", "mlopskit": "0.0.1", "no-such-package": "3"}
        other = attrs.evolve(candidate, lineage=attrs.evolve(candidate.lineage, packages=packages))
        registry.register("late", other)
        with pytest.warns(
            EnvironmentMismatch, match=rf"no-such-package 3, here absent; numpy 1\.0, here {np.__version__}"
        ):
            registry.load("late:1")


class TestAliases:
    def test_follow_promotions(self, three: ModelRegistry) -> None:
        """An alias is the version it was promoted to last; versions stay what they are."""
        assert three.get("m@champion").number == 3
        assert three.load("m@champion").predict(EXAMPLE).values.tolist() == [3.0] * 3
        assert three.load("m:1").predict(EXAMPLE).values.tolist() == [1.0] * 3
        assert three.get(three.get("m:2")).number == 2

    def test_rollback_goes_back_step_by_step(self, three: ModelRegistry) -> None:
        """Each rollback goes one promotion further back, not to and fro; the first version is the end."""
        assert three.rollback("m", alias="champion", reason="bad").number == 2
        assert three.rollback("m", alias="champion").number == 1
        with pytest.raises(NotFound, match=r"m@champion has pointed to m:1 only: there is nothing to go back to"):
            three.rollback("m", alias="champion")
        assert three.get("m@champion").number == 1

    def test_promotion_after_rollback(self, three: ModelRegistry) -> None:
        """After a rollback and a new promotion, going back leads to the version that was live between."""
        three.rollback("m", alias="champion")
        three.promote("m:3", alias="champion")
        assert three.rollback("m", alias="champion").number == 2

    def test_promoting_twice_is_one_step_back(self, three: ModelRegistry) -> None:
        """Promoting what is live already is noted, and is no step to go back to."""
        three.promote("m:3", alias="champion", reason="again")
        assert three.rollback("m", alias="champion").number == 2
        assert len(three.history("m").events) == 8

    def test_expect_is_compared_at_the_moment_of_the_change(self, three: ModelRegistry) -> None:
        """A promotion that expects another version is refused, names both, and changes nothing."""
        with pytest.raises(AliasMoved, match=r"m@champion points to m:3, not to m:2: somebody moved it"):
            three.promote("m:1", alias="champion", expect="m:2")
        with pytest.raises(AliasMoved, match="not to nothing"):
            three.promote("m:1", alias="champion", expect=None)
        with pytest.raises(AliasMoved, match="points to nothing, not to m:1"):
            three.promote("m:1", alias="challenger", expect=1)
        assert three.get("m@champion").number == 3
        three.promote("m:1", alias="champion", expect=three.get("m:3"))
        three.promote("m:2", alias="champion", expect=1)
        three.promote("m:2", alias="challenger", expect=None)
        assert three.get("m@challenger") == three.get("m@champion") == three.get("m:2")

    def test_expect_of_another_model(self, three: ModelRegistry) -> None:
        """A version of another model cannot be expected."""
        three.register("other", MODEL, example=EXAMPLE)
        with pytest.raises(ConfigurationError, match="another model"):
            three.promote("m:1", alias="champion", expect="other:1")

    def test_refuses_strange_aliases(self, three: ModelRegistry) -> None:
        """An alias is made of the same characters as a name."""
        with pytest.raises(ConfigurationError, match="alias='Champion!'"):
            three.promote("m:1", alias="Champion!")


class TestNotFound:
    def test_an_unknown_model_lists_the_models(self, three: ModelRegistry) -> None:
        """The error of a model that does not exist lists those that do."""
        for use in (lambda: three.get("nope:1"), lambda: three.versions("nope"), lambda: three.history("nope")):
            with pytest.raises(NotFound, match=r"no model 'nope': the registry holds \['m'\]"):
                use()

    def test_an_unknown_version_gives_the_range(self, three: ModelRegistry) -> None:
        """The error of a version that does not exist says which do."""
        for number in (0, 4, 999999999):
            with pytest.raises(NotFound, match=rf"no version {number} of 'm': it has 1 to 3"):
                three.load(f"m:{number}")

    def test_an_unknown_alias_lists_the_aliases(self, three: ModelRegistry) -> None:
        """The error of an alias that does not exist lists those that do, and says how to make one."""
        for use in (lambda: three.get("m@nope"), lambda: three.rollback("m", alias="nope")):
            with pytest.raises(NotFound, match=r"no alias 'nope' of 'm': it has \['champion'\]; registry\.promote\("):
                use()

    @pytest.mark.parametrize("spec", ["m", "m:", "m@", ":1", "m:one", "m:-1", "m:1@champion", "m@sha256:12", ""])
    def test_another_text(self, three: ModelRegistry, spec: str) -> None:
        """A text that is neither name@alias nor name:number is refused with both forms."""
        with pytest.raises(ConfigurationError, match="expected 'name@alias' or 'name:number'"):
            three.get(spec)

    def test_reading_writes_nothing(self, path: Path) -> None:
        """Asking an empty registry creates no directory."""
        registry = ModelRegistry(path)
        assert registry.models() == []
        assert registry.head("m") == 0
        assert registry.verify().passed
        assert not path.exists()

    def test_a_path_that_is_a_file(self, path: Path) -> None:
        """A registry's path that is a file is refused, saying what to do."""
        path.write_text("")
        with pytest.raises(StorageError, match="is a file; expected a directory: choose another path"):
            ModelRegistry(path)


class TestHistory:
    def test_tells_what_happened(self, three: ModelRegistry) -> None:
        """Every event in order: when, what, which version, from which, why."""
        three.rollback("m", alias="champion", reason="too many false calls", now=NOW + dt.timedelta(hours=1))
        history = three.history("m")
        assert isinstance(history, HistoryReport)
        assert [e.kind for e in history.events] == ["registered", "promoted"] * 3 + ["rolled back"]
        last = history.events[-1]
        assert (last.number, last.alias, last.previous, last.reason) == (2, "champion", 3, "too many false calls")
        lines = str(history).splitlines()
        assert lines[0] == f"2013-03-01 12:00 registered m:1 {three.get('m:1').digest[:12]}"
        assert lines[1] == "2013-03-01 12:00 promoted m:1 to champion (number 1)"
        assert lines[-1] == "2013-03-01 13:00 rolled back m:2 as champion, from m:3 (too many false calls)"

    def test_is_a_report(self, three: ModelRegistry) -> None:
        """It becomes a frame with typed columns, plain data and HTML."""
        history = three.history("m")
        frame = history.to_frame()
        assert list(frame.columns) == [
            "at",
            "kind",
            "number",
            "alias",
            "previous",
            "reason",
            "digest",
            "tags",
            "report",
        ]
        assert frame["previous"].dtype == "Int64"
        assert frame["previous"].dropna().tolist() == [1, 2]
        json.dumps(history.to_dict())
        assert "rolled" not in history._repr_html_()

    def test_time_is_an_argument(self, registry: ModelRegistry) -> None:
        """A naive time is UTC, a zone is converted, the wall clock is the default."""
        zone = dt.timezone(dt.timedelta(hours=-5))
        first = registry.register("m", MODEL, example=EXAMPLE, now=dt.datetime(2013, 3, 1))
        second = registry.register("m", MODEL, example=EXAMPLE, now=dt.datetime(2013, 3, 1, tzinfo=zone))
        third = registry.register("m", MODEL, example=EXAMPLE)
        assert first.created_at == dt.datetime(2013, 3, 1, tzinfo=dt.UTC)
        assert second.created_at == dt.datetime(2013, 3, 1, 5, tzinfo=dt.UTC)
        assert abs(third.created_at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)

    def test_head_moves_with_every_event(self, three: ModelRegistry) -> None:
        """The head counts events of one model, also those of other processes, and costs one look at the store."""
        assert three.head("m") == 6
        other = ModelRegistry(three.store)
        other.promote("m:1", alias="champion")
        looks: list[str] = []
        get = three.store.get
        three.store.get = lambda key: (looks.append(key), get(key))[1]  # type: ignore[method-assign]
        assert three.head("m") == 7
        looks.clear()
        assert three.head("m") == 7
        assert looks == ["log/m/00000008.json"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


class TestIntegrity:
    def test_a_changed_byte_in_any_blob(self, path: Path, candidate: Candidate) -> None:
        """A changed byte in any stored part is refused at load, naming blob and part; verify finds it too."""
        registry = ModelRegistry(path)
        version = registry.register("m", candidate)
        assert set(version.blobs) == {"model", "example", "schema", "profile", "reference", "evaluation"}
        for role, sha in version.blobs.items():
            blob = path / "blobs" / sha
            before = blob.read_bytes()
            flip(blob)
            with pytest.raises(IntegrityError, match=rf"blobs/{sha} \(the {role} of m:1\) was changed"):
                registry.load("m:1")
            report = registry.verify()
            assert not report.passed
            assert [f.key for f in report.findings] == [f"blobs/{sha}"]
            blob.write_bytes(before)
        assert registry.verify().passed
        registry.load("m:1")

    def test_a_missing_blob(self, path: Path) -> None:
        """A part that is gone is named, at load and by verify."""
        registry = ModelRegistry(path)
        version = registry.register("m", MODEL, example=EXAMPLE)
        (path / "blobs" / version.blobs["model"]).unlink()
        with pytest.raises(IntegrityError, match=r"the model of m:1\) is missing"):
            registry.load("m:1")
        assert "is missing, and a version needs it" in str(registry.verify())

    def test_registering_over_a_changed_blob(self, path: Path) -> None:
        """When equal content is registered again over damaged bytes, that is noticed before the version exists."""
        registry = ModelRegistry(path)
        version = registry.register("m", MODEL, example=EXAMPLE)
        flip(path / "blobs" / version.blobs["model"])
        with pytest.raises(IntegrityError, match="was changed"):
            registry.register("m", MODEL, example=EXAMPLE)
        assert len(registry.versions("m")) == 1

    @pytest.mark.parametrize("seq", [1, 2, 3])
    def test_a_changed_event(self, path: Path, seq: int) -> None:
        """A changed byte in an event is noticed by its own checksum, first, middle or last, and never used."""
        registry = ModelRegistry(path)
        registry.register("m", MODEL, example=EXAMPLE)
        registry.promote("m:1", alias="champion", reason="aaaa")
        registry.promote("m:1", alias="champion", reason="aaaa")
        event = path / "log" / "m" / f"{seq:08d}.json"
        text = event.read_text()
        event.write_text(text.replace("aaaa", "aaab") if seq > 1 else text.replace('"number":1', '"number":2'))
        with pytest.raises(IntegrityError, match=rf"log/m/0000000{seq}.json was changed after it was written"):
            ModelRegistry(path).get("m@champion")
        report = ModelRegistry(path).verify()
        assert not report.passed
        assert report.findings[0].key == f"log/m/0000000{seq}.json"

    def test_a_rewritten_event(self, path: Path) -> None:
        """An event rewritten with a fitting checksum breaks the chain at the next one."""
        registry = ModelRegistry(path)
        registry.register("m", MODEL, example=EXAMPLE)
        for _ in range(3):
            registry.promote("m:1", alias="champion", reason="honest")
        event = path / "log" / "m" / "00000002.json"
        document = json.loads(event.read_bytes())
        del document["checksum"]
        document["reason"] = "forged"
        document["checksum"] = formats.digest(formats.canonical(document))
        event.write_bytes(formats.canonical(document))
        with pytest.raises(IntegrityError, match=r"00000003\.json does not follow the event before it"):
            ModelRegistry(path).history("m")
        keys = [finding.key for finding in ModelRegistry(path).verify().findings]
        assert keys == ["log/m/00000003.json", "log/m/00000004.json"]

    def test_a_lost_event(self, path: Path) -> None:
        """Events behind a gap are reported; a new event in the gap does not fit what follows."""
        registry = ModelRegistry(path)
        registry.register("m", MODEL, example=EXAMPLE)
        for _ in range(3):
            registry.promote("m:1", alias="champion")
        (path / "log" / "m" / "00000003.json").unlink()
        report = ModelRegistry(path).verify()
        assert not report.passed
        assert "cannot be reached: log/m/00000003.json is missing or broken" in str(report)
        with pytest.raises(IntegrityError, match="does not follow"):
            ModelRegistry(path).promote("m:1", alias="champion")

    def test_a_manifest_that_names_something_else(self, path: Path) -> None:
        """A manifest whose event was forged with fitting checksum does not match the version's digest."""
        registry = ModelRegistry(path, formats=[PickleFormat()])
        registry.register("m", MODEL, example=EXAMPLE)
        event = path / "log" / "m" / "00000001.json"
        document = json.loads(event.read_bytes())
        del document["checksum"]
        document["manifest"]["format"] = "pickle"
        document["checksum"] = formats.digest(formats.canonical(document))
        event.write_bytes(formats.canonical(document))
        again = ModelRegistry(path, formats=[PickleFormat()])
        with pytest.raises(IntegrityError, match="the manifest of m:1 does not match its digest"):
            again.load("m:1")
        assert "its manifest does not match its digest" in str(again.verify())

    def test_a_blob_named_by_a_path(self, path: Path) -> None:
        """A manifest forged through and through still cannot name a file outside the blobs."""
        registry = ModelRegistry(path)
        registry.register("m", MODEL, example=EXAMPLE)
        event = path / "log" / "m" / "00000001.json"
        document = json.loads(event.read_bytes())
        del document["checksum"]
        document["manifest"]["blobs"]["model"] = "../../secret"
        document["digest"] = formats.digest(formats.canonical(document["manifest"]))
        document["checksum"] = formats.digest(formats.canonical(document))
        event.write_bytes(formats.canonical(document))
        with pytest.raises(IntegrityError, match="expected a sha256"):
            ModelRegistry(path).load("m:1")

    def test_foreign_files_and_leftovers(self, path: Path) -> None:
        """Files that are not the registry's are ignored, reported in words, and stop neither reading nor writing."""
        registry = ModelRegistry(path)
        registry.register("m", MODEL, example=EXAMPLE)
        (path / "log" / "m" / "notes.txt").write_text("mine")
        (path / "log" / "M").mkdir()
        (path / "log" / "M" / "00000001.json").write_text("{}")
        (path / ".DS_Store").write_text("")
        (path / "blobs" / "README").write_text("")
        (path / "blobs" / ("0" * 64)).write_text("")
        (path / "tmp").mkdir(exist_ok=True)
        (path / "tmp" / "abc").write_text("half")
        again = ModelRegistry(path)
        again.promote("m:1", alias="champion", reason="still works")
        assert registry.get("m@champion").number == 1
        assert registry.models() == ["m"]
        report = registry.verify()
        assert report.passed
        assert {finding.key for finding in report.findings} == {
            ".DS_Store", "blobs/README", "blobs/" + "0" * 64, "log/m/notes.txt", "tmp/abc",
        }  # fmt: skip
        assert len(report.to_frame()) == 5
        assert "all is well" in str(report)

    @pytest.mark.parametrize("damage", [b'{"protocol": 1, "mod', b"", b"another event", b"one byte"])
    def test_damage_in_an_events_place_is_never_skipped(self, path: Path, damage: bytes) -> None:
        """The newest event cannot be lost in silence: production would move back without a word."""
        registry = ModelRegistry(path)
        for _ in range(2):
            version = registry.register("m", MODEL, example=EXAMPLE)
            registry.promote(version, alias="champion", reason="next")
        event = path / "log" / "m" / "00000004.json"
        whole = event.read_bytes()
        others = {b"another event": (path / "log" / "m" / "00000001.json").read_bytes(), b"one byte": b"X" + whole[1:]}
        event.write_bytes(others.get(damage, damage))
        again = ModelRegistry(path)
        for call in (again.get, again.load):
            with pytest.raises(IntegrityError, match=r"00000004\.json.*restore it from a backup"):
                call("m@champion")
        report = again.verify()
        assert not report.passed
        assert "00000004.json" in str(report)
        event.write_bytes(whole)
        assert ModelRegistry(path).get("m@champion").number == 2
        assert ModelRegistry(path).verify().passed

    def test_events_of_a_newer_release(self, path: Path) -> None:
        """An event of a newer protocol stops reading with advice, instead of being taken for a torn file."""
        registry = ModelRegistry(path)
        registry.register("m", MODEL, example=EXAMPLE)
        document = {"protocol": 99, "model": "m", "seq": 2}
        (path / "log" / "m" / "00000002.json").write_text(json.dumps(document))
        with pytest.raises(FormatError, match="newer release: upgrade mlopskit"):
            registry.head("m")

    def test_a_model_that_predicts_otherwise(self, path: Path) -> None:
        """Bytes that match every digest and predict otherwise are refused: the example is the last gate."""
        registry = ModelRegistry(path)
        registry.register("m", constant(1.0), example=EXAMPLE)
        other = registry.register("m", constant(2.0), example=EXAMPLE)
        event = path / "log" / "m" / "00000001.json"
        document = json.loads(event.read_bytes())
        del document["checksum"]
        document["manifest"]["blobs"]["model"] = other.blobs["model"]
        document["manifest"]["lineage"]["packages"]["numpy"] = "1.0"
        document["digest"] = formats.digest(formats.canonical(document["manifest"]))
        document["checksum"] = formats.digest(formats.canonical(document))
        event.write_bytes(formats.canonical(document))
        with pytest.raises(IntegrityError, match="does not follow"):
            ModelRegistry(path).versions("m")
        (path / "log" / "m" / "00000002.json").unlink()
        with (
            pytest.warns(EnvironmentMismatch, match=r"numpy 1\.0"),
            pytest.raises(IntegrityError, match=r"m:1 predicts its example otherwise .* packages differ: numpy 1\.0"),
        ):
            ModelRegistry(path).load("m:1")

    def test_a_part_of_a_newer_release(self, path: Path) -> None:
        """A stored part that another release wrote is refused by name."""
        registry = ModelRegistry(path)
        registry.register("m", MODEL, example=EXAMPLE)
        example = formats.canonical({"protocol": 99, "value": None})
        registry.store.put_new(f"blobs/{formats.digest(example)}", example)
        event = path / "log" / "m" / "00000001.json"
        document = json.loads(event.read_bytes())
        del document["checksum"]
        document["manifest"]["blobs"]["example"] = formats.digest(example)
        document["digest"] = formats.digest(formats.canonical(document["manifest"]))
        document["checksum"] = formats.digest(formats.canonical(document))
        event.write_bytes(formats.canonical(document))
        with pytest.raises(FormatError, match="the example was not written by this release"):
            ModelRegistry(path).load("m:1")


class TestFormats:
    def test_pickle_is_the_loader_s_choice(self, path: Path) -> None:
        """A pickled model loads only in a registry opened with that format, whatever the manifest says."""
        trusting = ModelRegistry(path, formats=[PickleFormat()])
        trusting.register("m", Own(), example=EXAMPLE)
        assert trusting.load("m:1").predict(EXAMPLE).values.tolist() == [7.0] * 3
        with pytest.raises(UnsafeModel, match=r"formats=\[\.\.\.\]"):
            ModelRegistry(path).load("m:1")

    def test_two_formats_of_one_name(self) -> None:
        """A format cannot take the place of another, least of all of the safe one."""
        with pytest.raises(ConfigurationError, match="name of its own"):
            ModelRegistry("memory://", formats=[PickleFormat(), PickleFormat()])

        class Impostor(PickleFormat):  # type: ignore[misc]
            name = "skops"

        with pytest.raises(ConfigurationError, match="three are built in"):
            ModelRegistry("memory://", formats=[Impostor()])

    @pytest.mark.parametrize(
        "model",
        [
            RandomForestClassifier(3, random_state=0),
            HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=1, categorical_features=["c"]),
            make_pipeline(
                ColumnTransformer([("c", OneHotEncoder(sparse_output=False), ["c"])], remainder="passthrough"),
                HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=1),
            ),
        ],
    )
    def test_trees_and_pipelines(self, registry: ModelRegistry, model: Any) -> None:
        """Forests, boosting with categories and pipelines predict the same from the registry."""
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"x": rng.normal(size=60), "c": pd.Categorical(rng.integers(0, 3, 60))})
        fitted = model.fit(frame, rng.choice(["a", "b", "c"], 60))
        registry.register("m", fitted, example=frame)
        answer = registry.load("m:1").predict(frame)
        np.testing.assert_array_equal(answer.values, fitted.predict(frame))
        np.testing.assert_array_equal(answer.scores, fitted.predict_proba(frame))


# -- several threads and processes


def test_threads_share_a_registry(registry: ModelRegistry) -> None:
    """Threads that register and promote through one object lose nothing."""
    registry.register("m", MODEL, example=EXAMPLE)

    def work(value: float) -> None:
        for _ in range(3):
            registry.promote(registry.register("m", constant(value), example=EXAMPLE), alias="champion")

    threads = [threading.Thread(target=work, args=(float(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [v.number for v in registry.versions("m")] == list(range(1, 14))
    assert len(registry.history("m").events) == 25
    assert registry.verify().passed


class LosesRaces(Store):
    """A store on which somebody else is always first, a given number of times."""

    def __init__(self, times: int, meddle: Callable[[], None]) -> None:
        self.inner, self.times, self.meddle = MemoryStore(), times, meddle
        self.get, self.list, self.delete = self.inner.get, self.inner.list, self.inner.delete  # type: ignore[method-assign]

    def get(self, key: str) -> bytes:
        raise NotImplementedError

    def list(self, prefix: str) -> list[str]:
        raise NotImplementedError

    def delete(self, key: str) -> None:
        raise NotImplementedError

    def put_new(self, key: str, data: bytes) -> bool:
        if key.startswith("log/") and self.times:
            self.times -= 1
            self.meddle()
        return self.inner.put_new(key, data)


def test_a_lost_race_checks_its_precondition_again() -> None:
    """Who loses the race for an event reads the winner's and decides anew: retry, or AliasMoved."""
    store = LosesRaces(0, lambda: None)
    registry, rival = ModelRegistry(store), ModelRegistry(store.inner)
    for i in (1, 2, 3):
        registry.promote(registry.register("m", constant(i), example=EXAMPLE), alias="champion")
    store.meddle = lambda: rival.promote("m:1", alias="champion", reason="rival")  # type: ignore[assignment,return-value]
    store.times = 1
    with pytest.raises(AliasMoved, match="points to m:1, not to m:3"):
        registry.promote("m:2", alias="champion", expect="m:3")
    registry.promote("m:3", alias="champion")
    store.times = 1
    with pytest.raises(AliasMoved, match="was moved while it was rolled back"):
        registry.rollback("m", alias="champion")
    store.times = 3
    registry.promote("m:2", alias="champion")
    assert registry.get("m@champion").number == 2
    store.meddle = lambda: rival.register("m", MODEL, example=EXAMPLE)  # type: ignore[assignment,return-value]
    store.times = 2
    assert registry.register("m", constant(9.0), example=EXAMPLE).number == 6


class RegistryMachine(RuleBasedStateMachine):
    """Everything that changes a registry, and reopening it, against lists and dicts."""

    versions = Bundle("versions")
    aliases = st.sampled_from(["champion", "shadow"])

    @initialize()
    def start(self) -> None:
        self.store = MemoryStore()
        self.registry = ModelRegistry(self.store)
        self.answers: list[float] = []
        self.tags: list[dict[str, str]] = []
        self.trails: dict[str, list[int]] = {}
        self.retired: set[int] = set()
        self.gone: set[int] = set()
        self.now = NOW

    def tick(self) -> dt.datetime:
        self.now += dt.timedelta(days=1)
        return self.now

    @rule(target=versions, value=st.integers(0, 3))
    def register(self, value: int) -> int:
        version = self.registry.register("m", constant(float(value)), example=EXAMPLE, now=self.tick())
        self.answers.append(float(value))
        self.tags.append({})
        assert version.number == len(self.answers)
        return version.number

    @rule(number=versions, alias=aliases)
    def promote(self, number: int, alias: str) -> None:
        if number in self.retired:
            with pytest.raises(ConfigurationError, match="retired"):
                self.registry.promote(f"m:{number}", alias=alias)
            return
        self.registry.promote(f"m:{number}", alias=alias, now=self.tick())
        trail = self.trails.setdefault(alias, [])
        if not trail or trail[-1] != number:
            trail.append(number)

    @rule(alias=aliases, steps=st.integers(1, 2))
    def rollback(self, alias: str, steps: int) -> None:
        trail = self.trails.get(alias, [])
        if len(trail) <= steps:
            with pytest.raises(NotFound):
                self.registry.rollback("m", alias=alias, steps=steps)
        elif trail[-1 - steps] in self.retired:
            with pytest.raises(ConfigurationError, match="retired"):
                self.registry.rollback("m", alias=alias, steps=steps)
        else:
            del trail[-steps:]
            assert self.registry.rollback("m", alias=alias, steps=steps, now=self.tick()).number == trail[-1]

    @rule(number=versions)
    def retire(self, number: int) -> None:
        if number in {trail[-1] for trail in self.trails.values()}:
            with pytest.raises(ConfigurationError, match="promote another"):
                self.registry.retire(f"m:{number}", reason="old")
        else:
            self.registry.retire(f"m:{number}", reason="old", now=self.tick())
            self.retired.add(number)

    @rule(number=versions, value=st.sampled_from(["a", "b"]))
    def annotate(self, number: int, value: str) -> None:
        assert self.registry.annotate(f"m:{number}", tags={"note": value}, now=self.tick()).tags["note"] == value
        self.tags[number - 1]["note"] = value

    @rule(retired=st.booleans())
    def collect(self, retired: bool) -> None:
        span = "0s" if retired else None
        self.registry.gc(grace="0s", retired=span, dry_run=False, now=self.tick())
        self.gone |= self.retired if retired else set()
        assert self.registry.verify().findings == ()

    @rule()
    def reopen(self) -> None:
        self.registry = ModelRegistry(self.store)

    @invariant()
    def agrees(self) -> None:
        if not getattr(self, "answers", None):
            return
        found = self.registry.versions("m")
        assert [dict(v.tags) for v in found] == self.tags
        assert {v.number for v in found if v.retired is not None} == self.retired
        assert {alias: self.registry.get(f"m@{alias}").number for alias in self.trails} == {
            alias: trail[-1] for alias, trail in self.trails.items()
        }
        for version in found:
            if version.number in self.gone:
                with pytest.raises(NotFound, match="removed"):
                    self.registry.load(version)
            else:
                answer = self.registry.load(version).predict(EXAMPLE[:1]).values[0]
                assert answer == self.answers[version.number - 1]


TestRegistryMachine = RegistryMachine.TestCase
TestRegistryMachine.settings = settings(max_examples=15, stateful_step_count=14, deadline=None)


class TestForgivingRegister:
    def test_a_model_fitted_on_an_array(self) -> None:
        """An array is example enough for a model without feature names, and no feature-name warning is given."""
        X = np.random.default_rng(0).normal(size=(40, 3))
        model = LogisticRegression().fit(X, X[:, 0] > 0)
        registry = ModelRegistry("memory://")
        version = registry.register("m", model, example=X[:5])
        assert version.features == ("0", "1", "2")
        answer = registry.load("m:1").predict({"0": X[:, 0], "1": X[:, 1], "2": X[:, 2]})
        assert np.array_equal(answer.values, model.predict(X))

    def test_the_model_says_which_columns_it_reads(self) -> None:
        """Extra and reordered columns of an example do not matter to a model that knows its features by name."""
        frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["a", "b"])
        model = LogisticRegression().fit(frame, frame["a"] > 0)
        registry = ModelRegistry("memory://")
        version = registry.register("m", model, example=frame.head().assign(extra="x")[["extra", "b", "a"]])
        assert version.features == ("a", "b")

    def test_a_model_that_cannot_predict_its_example(self) -> None:
        """An unfitted model, and text where numbers are read, are errors of ours that name the model."""
        registry = ModelRegistry("memory://")
        with pytest.raises(DataError, match="LogisticRegression cannot predict for these 2 rows"):
            registry.register("m", LogisticRegression(), example={"a": [0.1, 0.2]})
        frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]})
        registry.register("m", LogisticRegression().fit(frame, [0, 0, 1, 1]), example=frame)
        for bad in (["x", "y"], [0.0, np.nan]):
            with pytest.raises(DataError, match="cannot predict for these 2 rows"):
                registry.load("m:1").predict({"a": bad})

    def test_a_relative_path_stays_where_it_was(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A registry does not follow the working directory."""
        monkeypatch.chdir(tmp_path)
        registry = ModelRegistry("registry")
        registry.register("m", MODEL, example=EXAMPLE)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert registry.register("m", MODEL, example=EXAMPLE).number == 2
        assert not (tmp_path / "elsewhere" / "registry").exists()

    def test_a_path_below_a_file(self, tmp_path: Path) -> None:
        """The advice is the same as for a path that is a file."""
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match=r"is a file.*choose another path"):
            ModelRegistry(tmp_path / "file" / "registry")

    def test_the_history_is_drawn(self) -> None:
        """One bar for each move of an alias."""
        registry = ModelRegistry("memory://")
        registry.promote(registry.register("m", MODEL, example=EXAMPLE), alias="champion", reason="first")
        assert registry.history("m").plot().get_xlabel() == "version"


def day(number: int) -> dt.datetime:
    return dt.datetime(2026, 5, number, 12, tzinfo=dt.UTC)


class TestReferences:
    """Versions by digest, and by what an alias pointed to at a time."""

    @pytest.fixture
    def moved(self, registry: ModelRegistry) -> ModelRegistry:
        """Version 1 is champion from 2 May, version 2 from 4 May, 1 again from 6 May."""
        for number in (1, 2):
            registry.register("m", MODEL, example=EXAMPLE, tags={"n": str(number)}, now=day(number))
        registry.promote("m:1", alias="champion", now=day(2))
        registry.promote("m:2", alias="champion", now=day(4))
        registry.rollback("m", alias="champion", now=day(6))
        return registry

    @pytest.mark.parametrize(
        ("when", "number"),
        [
            ("2026-05-02", 1),
            ("2026-05-03", 1),
            ("2026-05-04", 2),
            ("2026-05-04T11:59", 1),
            ("2026-05-04T12:00+00:00", 2),
            ("2026-05-04T13:00+02:00", 1),
            ("2026-05-06", 1),
            ("2030-01-01", 1),
        ],
    )
    def test_what_was_in_production(self, moved: ModelRegistry, when: str, number: int) -> None:
        """A date is its end in UTC, a time is that moment."""
        assert moved.get(f"m@champion@{when}").number == number

    def test_before_anything(self, moved: ModelRegistry) -> None:
        """Before the first promotion there was nothing, and a text that is no time is refused."""
        with pytest.raises(NotFound, match="pointed to nothing at 2026-05-01"):
            moved.get("m@champion@2026-05-01")
        with pytest.raises(ConfigurationError, match="got the time 'May'"):
            moved.get("m@champion@May")

    def test_by_digest(self, moved: ModelRegistry) -> None:
        """The whole digest or the beginning of it; an unknown one is not found."""
        for version in moved.versions("m"):
            assert moved.get(f"m@sha256:{version.digest}").number == version.number
            assert moved.get(f"m@sha256:{version.digest[:16]}").number == version.number
        with pytest.raises(NotFound, match="no version of 'm' has a digest"):
            moved.get("m@sha256:" + "0" * 64)

    def test_versions_that_are_wanted(self, moved: ModelRegistry) -> None:
        """A function of a version picks some of them."""
        assert [v.number for v in moved.versions("m", where=lambda v: v.tags["n"] == "2")] == [2]


class TestMarks:
    """Notes, tags and retirement are events: the content of a version stays as it is."""

    def test_annotate(self, three: ModelRegistry) -> None:
        """Tags are merged, the digest stays, history tells; another registry sees it too."""
        before = three.get("m:2")
        after = three.annotate("m:2", "looked at by Ada", tags={"reviewed": "yes"})
        assert dict(after.tags) == {**before.tags, "reviewed": "yes"}
        assert after.digest == before.digest
        assert str(three.history("m")).endswith("annotated m:2 reviewed=yes (looked at by Ada)")
        assert ModelRegistry(three.store).get("m:2") == after
        assert three.load("m:2").version == after
        assert three.verify().passed
        with pytest.raises(ConfigurationError, match="nothing to note"):
            three.annotate("m:2")

    def test_retire(self, three: ModelRegistry) -> None:
        """A retired version is never promoted or gone back to again; one that an alias points to is not retired."""
        current = three.get("m@champion").number
        with pytest.raises(ConfigurationError, match=r"is \['champion'\]"):
            three.retire(f"m:{current}", reason="old")
        with pytest.raises(ConfigurationError, match="say why"):
            three.retire("m:1", reason="")
        other = next(v for v in three.versions("m") if v.number != current)
        assert three.retire(other, reason="leaks the label").retired == "leaks the label"
        with pytest.raises(ConfigurationError, match="is retired"):
            three.promote(other, alias="champion")
        assert three.get(other).retired == "leaks the label"
        assert three.verify().passed

    def test_rollback_by_steps(self, registry: ModelRegistry) -> None:
        """Two steps back are two promotions back; further than there is anything is refused, retired ones too."""
        for number in range(1, 4):
            registry.register("m", MODEL, example=EXAMPLE)
            registry.promote(f"m:{number}", alias="champion")
        with pytest.raises(NotFound, match="nothing to go back to by 3 steps"):
            registry.rollback("m", alias="champion", steps=3)
        with pytest.raises(ConfigurationError, match="steps=0"):
            registry.rollback("m", alias="champion", steps=0)
        registry.retire("m:2", reason="old")
        with pytest.raises(ConfigurationError, match="m:2 is retired"):
            registry.rollback("m", alias="champion")
        assert registry.rollback("m", alias="champion", steps=2).number == 1
        assert ModelRegistry(registry.store).get("m@champion").number == 1


class TestFiles:
    """More to keep beside a model."""

    def test_files_travel_with_the_version(self, registry: ModelRegistry, tmp_path: Path) -> None:
        """Bytes and files come back as they were; they are part of the digest, and verify knows them."""
        (tmp_path / "notes.md").write_text("looked at")
        files = {"curve.bin": b"\x00\x01", "notes.md": tmp_path / "notes.md"}
        version = registry.register("m", MODEL, example=EXAMPLE, files=files)
        assert registry.file("m:1", "curve.bin") == b"\x00\x01"
        assert registry.file(version, "notes.md") == b"looked at"
        assert registry.register("m", MODEL, example=EXAMPLE).digest != version.digest
        assert registry.load("m:1").version == version
        assert registry.verify().passed
        assert not registry.verify().findings
        with pytest.raises(NotFound, match=r"has no file 'x': it has \['curve.bin', 'notes.md'\]"):
            registry.file("m:1", "x")
        registry.store.delete(f"blobs/{version.files['notes.md']}")
        with pytest.raises(IntegrityError, match=r"file 'notes\.md' of m:1"):
            registry.file("m:1", "notes.md")
        assert not registry.verify().passed

    @pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a" * 101, 5])
    def test_names_stay_names(self, registry: ModelRegistry, name: Any) -> None:
        """A path is no name; nothing is registered."""
        with pytest.raises(ConfigurationError, match="is no file's name"):
            registry.register("m", MODEL, example=EXAMPLE, files={name: b""})
        with pytest.raises(ConfigurationError, match="cannot read"):
            registry.register("m", MODEL, example=EXAMPLE, files={"a": "/no/such/file"})
        assert registry.models() == []


class TestJobs:
    """A job that runs again registers once."""

    def test_a_retried_job(self, registry: ModelRegistry) -> None:
        """The second run gets the first one's version, whatever it trained; another job registers anew."""
        first = registry.register("m", MODEL, example=EXAMPLE, idempotency_key="monday")
        again = registry.register("m", MODEL, example=EXAMPLE, tags={"run": "2"}, idempotency_key="monday")
        other = registry.register("m", MODEL, example=EXAMPLE, idempotency_key="tuesday")
        assert again == first
        assert (first.number, other.number) == (1, 2)
        assert len(ModelRegistry(registry.store).versions("m")) == 2
        with pytest.raises(ConfigurationError, match="idempotency_key=''"):
            registry.register("m", MODEL, example=EXAMPLE, idempotency_key="")

    def test_threads_that_run_one_job(self, registry: ModelRegistry) -> None:
        """Eight registries at once register one job: one version, which all of them get."""
        found: list[int] = []

        def run() -> None:
            one = ModelRegistry(registry.store)
            found.append(one.register("m", MODEL, example=EXAMPLE, idempotency_key="job").number)

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [1] * 8
        assert len(registry.versions("m")) == 1


def test_a_deep_look_loads_every_version(registry: ModelRegistry) -> None:
    """A version that needs a format which this registry does not trust is named, with the reason; the rest is well."""
    trusting = ModelRegistry(registry.store, formats=[formats.PickleFormat()])
    trusting.register("m", MODEL, example=EXAMPLE)
    trusting.register("m", Own(), example=EXAMPLE)
    assert trusting.verify(deep=True).passed
    assert registry.verify().passed
    report = registry.verify(deep=True)
    assert [finding.key for finding in report.findings] == ["m:2"]
    assert "cannot be loaded" in str(report)
