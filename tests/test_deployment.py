"""A deployment follows its alias, logs before it answers, and lets nothing touch the champion's answer."""

import datetime as dt
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from mlopskit.deployment import Deployment
from mlopskit.errors import (
    ConfigurationError,
    DataError,
    DuplicateId,
    IntegrityError,
    NotFound,
    ReloadFailed,
    ShadowFailed,
    StorageError,
)
from mlopskit.prediction_log import PredictionLog
from mlopskit.registry import ModelRegistry
from mlopskit.storage import MemoryStore

NOW = dt.datetime(2013, 3, 1, tzinfo=dt.UTC)
ROWS = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})


def regression(slope: float) -> LinearRegression:
    """A model that answers slope * a."""
    return LinearRegression().fit(ROWS, slope * ROWS["a"])


@pytest.fixture
def registry(tmp_path):
    """A real registry on disk: "line" has three versions with slopes 1, 2, 3; the first is champion."""
    made = ModelRegistry(tmp_path / "registry")
    for slope in (1, 2, 3):
        made.register("line", regression(slope), example=ROWS, now=NOW)
    made.promote("line:1", alias="champion", reason="first", now=NOW)
    return made


@pytest.fixture
def log(tmp_path):
    with PredictionLog(tmp_path / "log.db") as opened:
        yield opened


class Unsteady(MemoryStore):
    """A store on a network that is sometimes away, for all keys or for some."""

    away: str | None = None

    def get(self, key):
        if self.away is not None and key.startswith(self.away):
            raise StorageError(f"{key}: the network does not answer")
        return super().get(key)


def corrupt(registry_path, version):
    """Change one byte of a version's stored model."""
    (blob,) = [path for path in registry_path.rglob("*") if path.name == version.blobs["model"]]
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)


class TestPredict:
    def test_answers_with_the_champion(self, registry):
        """Values come from the version behind the alias, which is named; without a log or ids there are no ids."""
        answer = Deployment(registry, "line").predict(ROWS)
        np.testing.assert_allclose(answer.values, [0, 1, 2, 3], atol=1e-12)
        assert (answer.version, answer.ids, answer.scores) == ("line:1", None, None)

    def test_gives_probabilities_of_a_classifier(self, registry):
        """Scores are those of the model itself."""
        model = LogisticRegression().fit(ROWS, [0, 0, 1, 1])
        registry.register("late", model, example=ROWS)
        registry.promote("late:1", alias="champion", reason="first")
        answer = Deployment(registry, "late").predict(ROWS)
        np.testing.assert_array_equal(answer.scores, model.predict_proba(ROWS)[:, 1])
        np.testing.assert_array_equal(answer.values, model.predict(ROWS))

    def test_logs_what_it_answers(self, registry, log):
        """Id, version, value and both times are in the log when the answer is there."""
        live = Deployment(registry, "line", log=log)
        times = pd.date_range("2013-02-01", periods=4)
        answer = live.predict(ROWS, ids=[4, 3, 2, 1], times=times, now=NOW)
        frame = log.predictions()
        assert answer.ids == ("4", "3", "2", "1")
        assert frame["id"].tolist() == ["4", "3", "2", "1"]
        assert frame["version"].unique().tolist() == ["line:1"]
        assert frame["value"].tolist() == answer.values.tolist()
        assert frame["at"].unique().tolist() == [pd.Timestamp(NOW)]
        assert frame["time"].tolist() == times.tz_localize("UTC").tolist()

    def test_makes_ids_for_the_log(self, registry, log):
        """Without ids the log makes them, and the answer carries them, so that labels find their rows."""
        answer = Deployment(registry, "line", log=log).predict(ROWS)
        log.record_labels(answer.ids, [1, 2, 3, 4])
        assert log.labelled()["y"].tolist() == [1, 2, 3, 4]

    def test_refuses_a_batch_sent_twice(self, registry, log):
        """One id seen before refuses the whole batch, and nothing of it is logged."""
        live = Deployment(registry, "line", log=log)
        live.predict(ROWS.head(2), ids=["a", "b"])
        with pytest.raises(DuplicateId, match=r"first \['b'\]"):
            live.predict(ROWS.head(2), ids=["c", "b"])
        assert len(log) == 2

    def test_a_log_that_fails_gives_no_answer(self, registry, log):
        """An answer that is not on record is not given."""
        live = Deployment(registry, "line", log=log)
        log.close()
        with pytest.raises(StorageError, match="closed"):
            live.predict(ROWS)

    def test_ids_without_a_log_are_checked_and_carried(self, registry):
        """One id for each row, as text."""
        live = Deployment(registry, "line")
        assert live.predict(ROWS, ids=[1, 2, 3, 4]).ids == ("1", "2", "3", "4")
        with pytest.raises(DataError, match="got 1 ids for 4 rows"):
            live.predict(ROWS, ids=["a"])

    def test_picks_features_by_name(self, registry):
        """Reordered and extra columns, and frames of another engine, give the same answer."""
        live = Deployment(registry, "line")
        expected = live.predict(ROWS).values.tolist()
        mixed = ROWS.assign(extra="x")[["extra", "b", "a"]]
        assert live.predict(mixed).values.tolist() == expected
        assert live.predict(pl.from_pandas(ROWS)).values.tolist() == expected
        assert live.predict(ROWS.to_dict(orient="list")).values.tolist() == expected

    @pytest.mark.parametrize(
        ("frame", "message"),
        [
            (ROWS[["a"]], r"missing column\(s\) \['b'\]"),
            (ROWS.head(0), "empty frame"),
            (pd.concat([ROWS, ROWS[["a"]]], axis=1), r"duplicate column name\(s\) \['a'\]"),
            ([1, 2], "pandas or polars DataFrame"),
        ],
    )
    def test_names_what_is_wrong_with_a_frame(self, registry, log, frame, message):
        """A frame the model cannot read is a DataError, and nothing is logged."""
        with pytest.raises(DataError, match=message):
            Deployment(registry, "line", log=log).predict(frame)
        assert len(log) == 0


class TestConstruction:
    def test_says_to_promote_first(self, registry):
        """Without a version behind the alias there is nothing to deploy."""
        for name, alias in (("line", "blue"), ("unknown", "champion")):
            with pytest.raises(NotFound, match=rf"{name}@{alias}.*[Pp]romote a version first"):
                Deployment(registry, name, alias=alias)

    def test_a_corrupted_first_version_raises(self, registry, tmp_path):
        """With nothing loaded before, there is nothing to keep serving."""
        corrupt(tmp_path / "registry", registry.get("line:1"))
        with pytest.raises(IntegrityError):
            Deployment(registry, "line")

    @pytest.mark.parametrize("shadow", ["line@shadow", "other@shadow"])
    def test_a_shadow_is_an_alias_or_a_version(self, registry, log, shadow):
        """The shadow's alias is one of the same model, so the name is not repeated."""
        with pytest.raises(ConfigurationError, match="alone"):
            Deployment(registry, "line", shadow=shadow, log=log)

    def test_a_shadow_needs_a_log(self, registry):
        """Without a log nobody would ever see what the shadow answered."""
        with pytest.raises(ConfigurationError, match="needs log="):
            Deployment(registry, "line", shadow="shadow")

    def test_a_shadow_version_that_does_not_exist_raises(self, registry, log):
        """A version number is written by hand, so a wrong one is an error at once."""
        with pytest.raises(NotFound):
            Deployment(registry, "line", shadow="line:99", log=log)


class TestReload:
    def test_follows_the_alias(self, registry):
        """A promotion and a rollback change who answers the next batch, without a restart."""
        live = Deployment(registry, "line")
        assert live.version.number == 1
        registry.promote("line:2", alias="champion", reason="better")
        answer = live.predict(ROWS)
        assert answer.version == live.version.spec == "line:2"
        np.testing.assert_allclose(answer.values, [0, 2, 4, 6], atol=1e-12)
        registry.rollback("line", alias="champion", reason="worse")
        assert live.predict(ROWS).version == "line:1"

    def test_sees_promotions_of_another_process(self, registry, tmp_path):
        """Another registry object on the same directory stands for the training job."""
        live = Deployment(registry, "line")
        ModelRegistry(tmp_path / "registry").promote("line:3", alias="champion", reason="better")
        assert live.predict(ROWS).version == "line:3"

    def test_refresh_says_whether_the_version_changed(self, registry):
        """Other events of the model change nothing, and the loaded model stays the same object."""
        live = Deployment(registry, "line")
        before = live.version
        assert live.refresh() is False
        registry.register("line", regression(4), example=ROWS)
        registry.promote("line:4", alias="blue", reason="another alias")
        assert live.refresh() is False
        live.predict(ROWS)
        assert live.version is before
        registry.promote("line:2", alias="champion", reason="better")
        assert live.refresh() is True
        assert live.version.number == 2

    def test_a_corrupted_new_version_leaves_the_old_one_serving(self, registry, tmp_path, log):
        """One warning that names both versions; no second one until the alias moves again or refresh is called."""
        live = Deployment(registry, "line", log=log)
        corrupt(tmp_path / "registry", registry.get("line:2"))
        registry.promote("line:2", alias="champion", reason="better")
        with pytest.warns(ReloadFailed, match=r"line:1 keeps serving.*line@champion.*cannot be loaded"):
            assert live.predict(ROWS).version == "line:1"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert live.predict(ROWS).version == "line:1"
        with pytest.warns(ReloadFailed):
            assert live.refresh() is False
        registry.promote("line:3", alias="champion", reason="whole")
        assert live.predict(ROWS).version == "line:3"

    def test_a_store_that_does_not_answer_leaves_the_old_one_serving(self):
        """Each batch asks again and warns; when the store answers, the deployment follows."""
        store = Unsteady()
        registry = ModelRegistry(store)
        for slope in (1, 2):
            registry.register("line", regression(slope), example=ROWS)
        registry.promote("line:1", alias="champion", reason="first")
        live = Deployment(registry, "line")
        for away in ("log/", "blobs/"):
            registry.promote("line:2", alias="champion", reason="better")
            store.away = away
            for _ in range(2):
                with pytest.warns(ReloadFailed, match=r"line:1 keeps serving.*does not answer"):
                    assert live.predict(ROWS).version == "line:1"
            store.away = None
            assert live.predict(ROWS).version == "line:2"
            registry.promote("line:1", alias="champion", reason="again")
            live.refresh()

    def test_a_store_that_does_not_answer_at_the_start_raises(self):
        """With nothing loaded before, there is nothing to keep serving."""
        store = Unsteady()
        store.away = "log/"
        with pytest.raises(StorageError, match="does not answer"):
            Deployment(ModelRegistry(store), "line")

    def test_threads_always_see_one_whole_version(self, registry, log):
        """While the alias moves, each batch is answered by one version, and is logged under it."""
        live = Deployment(registry, "line", log=log)

        def ask(_):
            answer = live.predict(ROWS)
            slope = int(answer.version.split(":")[1])
            np.testing.assert_allclose(answer.values, slope * ROWS["a"], atol=1e-9)
            return slope

        with ThreadPoolExecutor(4) as pool:
            slopes = list(pool.map(ask, range(20)))
            registry.promote("line:2", alias="champion", reason="better")
            slopes += list(pool.map(ask, range(20)))
        assert slopes == [1] * 20 + [2] * 20
        counts = log.predictions()["version"].value_counts().to_dict()
        assert counts == {"line:1": 80, "line:2": 80}


class TestShadow:
    def test_answers_the_same_rows_for_the_log(self, registry, log):
        """The champion's answer is returned; the shadow's is logged under the same ids, times and moment."""
        live = Deployment(registry, "line", shadow="line:3", log=log)
        answer = live.predict(ROWS, ids=list("wxyz"), times=pd.date_range("2013-02-01", periods=4), now=NOW)
        assert answer.version == "line:1"
        champion, shadow = log.predictions(), log.predictions(role="shadow")
        assert shadow["version"].unique().tolist() == ["line:3"]
        np.testing.assert_allclose(shadow["value"], [0, 3, 6, 9], atol=1e-9)
        pd.testing.assert_frame_equal(champion[["id", "at", "time"]], shadow[["id", "at", "time"]])

    def test_shares_the_ids_that_the_log_made(self, registry, log):
        """Without ids from outside, champion and shadow still answer under the same ones."""
        answer = Deployment(registry, "line", shadow="line:3", log=log).predict(ROWS)
        log.record_labels(answer.ids, [1, 2, 3, 4])
        assert log.labelled()["id"].tolist() == log.labelled(role="shadow")["id"].tolist() == list(answer.ids)

    def test_an_alias_may_come_later_and_move(self, registry, log):
        """A missing alias is no shadow; once it exists, the shadow answers from the next batch on."""
        live = Deployment(registry, "line", shadow="challenger", log=log)
        live.predict(ROWS)
        assert len(log.predictions(role="shadow")) == 0
        for number in (2, 3):
            registry.promote(f"line:{number}", alias="challenger", reason="try it")
            live.predict(ROWS)
        assert log.predictions(role="shadow")["version"].tolist() == ["line:2"] * 4 + ["line:3"] * 4
        registry.promote("line:2", alias="champion", reason="better")
        assert live.predict(ROWS).version == "line:2"
        assert log.predictions(role="shadow")["version"].tolist()[8:] == ["line:3"] * 4

    def test_a_failing_shadow_never_touches_the_answer(self, registry, log):
        """A shadow that needs a column the frame lacks warns; the champion answers and is logged."""
        wide = ROWS.assign(c=1.0)
        registry.register("line", LinearRegression().fit(wide, ROWS["a"]), example=wide)
        live = Deployment(registry, "line", shadow="line:4", log=log)
        with pytest.warns(ShadowFailed, match=r"line:4 did not answer: missing column\(s\) \['c'\]"):
            answer = live.predict(ROWS)
        assert answer.version == "line:1"
        assert len(log.predictions()) == 4
        assert len(log.predictions(role="shadow")) == 0
        live.predict(wide)
        assert len(log.predictions(role="shadow")) == 4

    def test_a_shadow_that_cannot_be_loaded_never_touches_the_answer(self, registry, tmp_path, log):
        """A corrupted shadow warns when it should be loaded, and the champion answers."""
        corrupt(tmp_path / "registry", registry.get("line:2"))
        with pytest.warns(ShadowFailed, match="'line:2' cannot be loaded"):
            live = Deployment(registry, "line", shadow="line:2", log=log)
        assert live.predict(ROWS).version == "line:1"
        assert len(log.predictions(role="shadow")) == 0

    def test_the_champions_duplicate_asks_no_shadow(self, registry, log):
        """A batch that is refused is refused for both."""
        live = Deployment(registry, "line", shadow="line:2", log=log)
        live.predict(ROWS.head(1), ids=["a"])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(DuplicateId, match="champion"):
                live.predict(ROWS.head(2), ids=["b", "a"])
        assert len(log) == 2
