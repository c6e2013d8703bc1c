"""Training: whole days on one side, scores that scikit-learn gives too, intervals that count days, lineage."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlopskit import formats
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.training import TimeSplit, Trainer, _clustered_mean


def history(n_days=20, per_day=30, seed=0):
    rng = np.random.default_rng(seed)
    n = n_days * per_day
    wind = rng.normal(10, 3, n)
    return pd.DataFrame(
        {
            "day": np.repeat(pd.date_range("2024-01-01", periods=n_days), per_day),
            "wind": wind,
            "rain": rng.normal(size=n),
            "origin": rng.choice(["EWR", "JFK"], n),
            "late": (rng.random(n) < 1 / (1 + np.exp(-(wind - 10) / 2))).astype(int),
        }
    )


def trainer(estimator=None, **options):
    options = {"target": "late", "time": "day", "features": ["wind", "rain"], **options}
    return Trainer(LogisticRegression() if estimator is None else estimator, **options)


class TestTimeSplit:
    @settings(deadline=None)
    @given(
        st.lists(st.integers(0, 40), min_size=8, max_size=80),
        st.integers(1, 4),
        st.one_of(st.none(), st.integers(0, 2)),
        st.booleans(),
    )
    def test_time_stamps_stay_whole(self, stamps, n_splits, gap, as_days):
        """Training lies before testing, no stamp on both sides, the gap is kept, every later stamp is tested once."""
        times = np.array(stamps)
        distinct = np.unique(times)
        given_times = pd.to_datetime("2024-01-01") + pd.to_timedelta(times, unit="D") if as_days else times
        length = None if gap is None else (f"{gap}D" if as_days else gap)
        try:
            folds = list(TimeSplit(n_splits, gap=length).split(times, groups=given_times))
        except DataError:
            assert len(distinct) <= n_splits or gap  # too few stamps, or a gap that leaves nothing
            return
        assert len(folds) == n_splits
        for train, test in folds:
            assert times[train].max() < times[test].min()
            between = (times[test].min() - times[train].max()) if as_days else 0
            assert not as_days or between > (gap or 0)
            if not as_days and gap:
                skipped = distinct[(distinct > times[train].max()) & (distinct < times[test].min())]
                assert len(skipped) == gap
        tested = np.concatenate([test for _, test in folds])
        assert len(tested) == len(set(tested.tolist()))
        first = np.array_split(distinct, n_splits + 1)[0]
        assert set(tested.tolist()) == set(np.flatnonzero(~np.isin(times, first)).tolist())

    def test_works_inside_scikit_learn(self):
        """Times come through groups, or from a column of X."""
        frame = history()
        X, y = frame[["wind", "rain"]], frame["late"]
        by_groups = cross_val_score(LogisticRegression(), X, y, cv=TimeSplit(3), groups=frame["day"])
        search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=TimeSplit(3, gap="1D"))
        assert len(by_groups) == 3
        assert search.fit(X, y, groups=frame["day"]).best_params_["C"] in (0.1, 1.0)
        named = list(TimeSplit(3, time="day").split(frame))
        assert all(
            (a[0] == b[0]).all() and (a[1] == b[1]).all()
            for a, b in zip(named, TimeSplit(3).split(X, groups=frame["day"]), strict=True)
        )
        assert TimeSplit(3).get_n_splits() == 3

    @pytest.mark.parametrize("zone", [None, "America/New_York"])
    def test_zones_and_text(self, zone):
        """Zoned times split as naive ones do; ISO text sorts as its dates do."""
        frame = history()
        days = frame["day"].dt.tz_localize(zone)
        expected = [test.tolist() for _, test in TimeSplit(3).split(frame, groups=frame["day"])]
        assert [test.tolist() for _, test in TimeSplit(3).split(frame, groups=days)] == expected
        text = frame["day"].dt.strftime("%Y-%m-%d")
        assert [test.tolist() for _, test in TimeSplit(3).split(frame, groups=text)] == expected

    @pytest.mark.parametrize(
        ("split", "groups", "says"),
        [
            (TimeSplit(3), None, "pass groups="),
            (TimeSplit(3), [1, 2, 2, 1], "at least 4 time stamps, got 2"),
            (TimeSplit(1, gap=5), [1, 2, 3, 4], "nothing to train on"),
            (TimeSplit(1, gap="9D"), pd.date_range("2024-01-01", periods=4), "nothing to train on"),
            (TimeSplit(1, gap="1D"), [1, 2, 3, 4], "give datetimes"),
            (TimeSplit(1), [1, None, 3, 4], "1 time stamps are missing"),
        ],
    )
    def test_times_that_cannot_be_split(self, split, groups, says):
        """Each gives an error that says what to do."""
        with pytest.raises(DataError, match=says):
            list(split.split([0] * 4, groups=groups))

    @pytest.mark.parametrize("options", [{"n_splits": 0}, {"gap": "soon"}, {"gap": -1}, {"gap": "-1D"}, {"gap": True}])
    def test_arguments(self, options):
        """A splitter that cannot work is refused at construction."""
        with pytest.raises(ConfigurationError):
            TimeSplit(**options)


class TestScores:
    def test_are_those_of_a_loop_by_hand(self):
        """Second source: the same folds with scikit-learn's fit and metrics."""
        frame = history()
        candidate = trainer(scoring=["neg_log_loss", "roc_auc"], cv=TimeSplit(3, gap="2D")).train(frame)
        truth, scores = [], []
        for train, test in TimeSplit(3, gap="2D").split(frame, groups=frame["day"]):
            model = LogisticRegression().fit(frame[["wind", "rain"]].iloc[train], frame["late"].iloc[train])
            truth.append(frame["late"].iloc[test])
            scores.append(model.predict_proba(frame[["wind", "rain"]].iloc[test])[:, 1])
        y, p = np.concatenate(truth), np.concatenate(scores)
        assert candidate.evaluation["neg_log_loss"].value == pytest.approx(-log_loss(y, p))
        assert candidate.evaluation["roc_auc"].value == pytest.approx(roc_auc_score(y, p))
        assert candidate.evaluation["roc_auc"].n_rows == len(y)
        assert candidate.evaluation.n_splits == 3
        for score in candidate.evaluation.scores:
            assert score.low < score.value < score.high
            assert score.n_blocks == 15

    def test_clustered_interval_has_the_cluster_robust_width(self):
        """Second source: statsmodels' OLS on a constant with cov_type="cluster", times its small-sample factor."""
        rng = np.random.default_rng(0)
        blocks = rng.integers(0, 12, 300)
        values = rng.normal(size=12)[blocks] + rng.normal(size=300)
        fit = sm.OLS(values, np.ones(300)).fit(cov_type="cluster", cov_kwds={"groups": blocks}, use_t=True)
        low, high = fit.conf_int()[0]
        interval = _clustered_mean(values, blocks)
        assert interval.estimate == pytest.approx(values.mean())
        assert (interval.high - interval.low) == pytest.approx(high - low, rel=1e-9)

    def test_intervals_cover_with_day_effects(self):
        """Of 600 intervals over 15 days at .95 the misses stay below the binomial quantile; by rows they would not."""
        rng = np.random.default_rng(1)
        blocks = np.repeat(np.arange(15), 20)
        misses = by_rows = 0
        for _ in range(600):
            values = rng.normal(size=15)[blocks] + rng.normal(size=300)
            for counted in (blocks, np.arange(300)):
                interval = _clustered_mean(values, counted)
                missed = not interval.low <= 0 <= interval.high
                misses, by_rows = misses + (missed and counted is blocks), by_rows + (missed and counted is not blocks)
        assert misses <= binom.ppf(1 - 1e-6, 600, 0.05)
        assert by_rows > binom.ppf(1 - 1e-6, 600, 0.05)

    def test_slices(self):
        """Every value of a slice column with enough rows has scores of its own, over its own rows."""
        frame = history()
        frame.loc[frame.index[-3:], "origin"] = "rare"
        evaluation = trainer(slices=["origin"], scoring=["roc_auc"]).train(frame).evaluation
        assert [s.slice for s in evaluation.scores] == [None, "origin=EWR", "origin=JFK"]
        assert sum(s.n_rows for s in evaluation.scores[1:]) == evaluation["roc_auc"].n_rows - 3

    def test_scores_that_need_resampling_repeat(self):
        """The bootstrap of days has its own seed: the same training gives the same interval."""
        one, two = (trainer(scoring=["f1"]).train(history()).evaluation["f1"] for _ in range(2))
        assert one == two
        assert one.low < one.value < one.high

    def test_resamples_of_one_class_are_left_out(self):
        """A score that some resamples cannot have comes from the others; one that none can have is unbounded."""
        frame = history(10, 6)
        frame["late"] = (frame.index % 6 == 0) & (frame["day"] > "2024-01-08")
        frame.loc[:6, "late"] = [True, False, True, False, True, False, True]
        score = trainer(scoring=["average_precision"], cv=TimeSplit(2)).train(frame).evaluation["average_precision"]
        assert score.low <= score.value <= score.high

    def test_defaults_follow_the_estimator(self):
        """Log-loss with probabilities, accuracy without, squared error for numbers; several classes work."""
        frame = history()
        assert [s.metric for s in trainer().train(frame).evaluation.scores] == ["neg_log_loss"]
        assert [s.metric for s in trainer(RidgeClassifier()).train(frame).evaluation.scores] == ["accuracy"]
        regression = trainer(LinearRegression(), target="rain", features=["wind"]).train(frame)
        assert [s.metric for s in regression.evaluation.scores] == ["neg_mean_squared_error"]
        three = frame.assign(late=np.arange(len(frame)) % 3)
        assert trainer().train(three).evaluation["neg_log_loss"].value == pytest.approx(-np.log(3), abs=0.1)

    def test_a_metric_that_the_model_cannot_serve(self):
        """Probabilities of a model without them are asked for in vain."""
        with pytest.raises(ConfigurationError, match="predict_proba"):
            trainer(RidgeClassifier(), scoring=["roc_auc"]).train(history())

    def test_a_failing_fold_raises(self):
        """A score is never silently NaN: a fold that lacks a class stops the training."""
        frame = history()
        first = frame["day"] < "2024-01-09"
        with pytest.raises((DataError, ValueError)):
            trainer().train(frame.assign(late=np.where(first, 0, frame["late"])))
        three = frame.assign(late=np.where(first, frame["late"], frame["late"] + (np.arange(len(frame)) % 2)))
        with pytest.raises(DataError, match="different classes"):
            trainer().train(three)


class TestCandidate:
    def test_knows_where_it_comes_from(self):
        """Data, days, seed, packages, schema, profiles and example: of the features alone."""
        frame = history()
        candidate = trainer(random_state=7).train(frame)
        lineage = candidate.lineage
        assert (lineage.n_rows, lineage.seed) == (600, 7)
        assert f"{lineage.data_start:%Y-%m-%d}", f"{lineage.data_end:%Y-%m-%d}" == ("2024-01-01", "2024-01-20")
        assert "scikit-learn" in lineage.packages
        assert candidate.schema.names == ("wind", "rain")
        assert [p.batch_id for p in candidate.reference][:2] == ["2024-01-01", "2024-01-02"]
        assert sum(p.n_rows for p in candidate.reference) == len(candidate.profile) == 600
        assert list(candidate.example.columns) == ["wind", "rain"]
        assert len(candidate.predict(frame)) == 600
        assert "neg_log_loss" in candidate.card()

    def test_minutes_make_no_batches(self):
        """Times within a day belong to one profile and one block."""
        frame = history()
        minutes = frame.assign(day=frame["day"] + pd.to_timedelta(np.arange(600) % 30, unit="min"))
        candidate = trainer().train(minutes)
        assert len(candidate.reference) == 20
        assert (
            candidate.evaluation["neg_log_loss"].n_blocks == trainer().train(frame).evaluation["neg_log_loss"].n_blocks
        )

    def test_without_a_time(self):
        """Folds are shuffled with the seed, rows are the blocks, and there is no reference in batches."""
        candidate = trainer(time=None).train(history().drop(columns="day"))
        assert candidate.reference == ()
        assert candidate.evaluation["neg_log_loss"].n_blocks == 600
        assert candidate.evaluation.n_splits == 4

    def test_a_splitter_of_ones_own(self):
        """Any scikit-learn splitter is taken; one that gives no folds is refused."""
        assert trainer(cv=KFold(3)).train(history()).evaluation.n_splits == 3
        assert trainer(cv=2).train(history()).evaluation.n_splits == 2

        class Empty(KFold):
            def split(self, X, y=None, groups=None):
                return iter(())

        with pytest.raises(DataError, match="no folds"):
            trainer(cv=Empty(2)).train(history())

    def test_the_same_seed_gives_the_same_model(self):
        """Every open random_state is set, in pipelines too: equal bytes for equal seeds, others for others."""
        forest = make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=5))
        models = [trainer(forest, random_state=seed).train(history()).model for seed in (0, 0, 1)]
        dumped = [formats.dump_model(model)[1] for model in models]
        assert dumped[0] == dumped[1] != dumped[2]
        assert models[0].get_params()["randomforestclassifier__random_state"] == 0
        assert forest.get_params()["randomforestclassifier__random_state"] is None

    def test_hooks(self):
        """A subclass fits and holds out in its own way; scoring and lineage stay."""

        class Mine(Trainer):
            def fit_model(self, X, y):
                return DummyClassifier(strategy="prior").fit(X, y)

            def splits(self, frame, y):
                yield np.arange(300), np.arange(300, 600)

        candidate = Mine(LogisticRegression(), target="late", features=["wind"]).train(history())
        assert isinstance(candidate.model, DummyClassifier)
        assert candidate.evaluation["neg_log_loss"].n_rows == 300


class TestData:
    @pytest.mark.parametrize("engine", [pl.from_pandas, pa.Table.from_pandas], ids=["polars", "pyarrow"])
    def test_engines_agree(self, engine):
        """polars and pyarrow frames give the scores and the fingerprint of the pandas frame."""
        frame = history()
        expected, got = trainer().train(frame), trainer().train(engine(frame))
        assert got.evaluation == expected.evaluation
        assert got.lineage.data_fingerprint == expected.lineage.data_fingerprint

    def test_dtypes(self):
        """Nullable and Arrow labels and features train as numpy ones do."""
        frame = history()
        expected = trainer().train(frame).evaluation["neg_log_loss"].value
        for dtype in ("Int64", "int64[pyarrow]", "boolean", "float64"):
            changed = frame.astype({"late": dtype, "wind": "Float64"})
            assert trainer().train(changed).evaluation["neg_log_loss"].value == pytest.approx(expected)

    def test_columns_are_found_by_name(self):
        """Order and extra columns do not matter; by default everything but target and time is a feature."""
        frame = history()
        shuffled = frame[["late", "rain", "day", "origin", "wind"]].assign(extra="x")
        assert trainer().train(shuffled).evaluation == trainer().train(frame).evaluation
        everything = trainer(features=None).train(frame.drop(columns="origin"))
        assert everything.features == ("wind", "rain")

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda f: f.head(0), "empty frame"),
            (lambda f: f.drop(columns="wind"), r"missing column\(s\) \['wind'\]"),
            (lambda f: f.drop(columns="late"), r"missing column\(s\) \['late'\]"),
            (lambda f: pd.concat([f, f[["wind"]]], axis=1), r"duplicate column name\(s\) \['wind'\]"),
            (lambda f: f.assign(late=f["late"].where(f.index > 2)), "3 of 600 values of late are missing"),
            (lambda f: f.assign(late=1), "single class"),
            (lambda f: f.assign(day=f["day"].where(f.index > 0)), "1 time stamps are missing"),
            (lambda f: f[f["day"] < "2024-01-04"], "need at least 5 time stamps"),
        ],
    )
    def test_what_cannot_be_trained_on(self, change, says):
        """Each gives an error that names the column and counts the rows."""
        with pytest.raises(DataError, match=says):
            trainer().train(change(history()))

    @pytest.mark.parametrize(
        "options",
        [
            {"features": "wind"},
            {"scoring": "roc_auc"},
            {"slices": "origin"},
            {"features": ["wind", "late"]},
            {"features": ["wind", "day"]},
            {"scoring": ["nope"]},
        ],
    )
    def test_arguments(self, options):
        """A configuration that cannot work is refused at construction."""
        with pytest.raises(ConfigurationError):
            trainer(**options)
        with pytest.raises(ConfigurationError, match="fit and predict"):
            Trainer("forest", target="late")

    def test_nothing_but_target_and_time(self):
        """A frame without features says so."""
        with pytest.raises(DataError, match="no features"):
            trainer(features=None).train(history()[["day", "late"]])
