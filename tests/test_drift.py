"""Drift: what is asked, what is found and named, what is promised, and what bad batches meet."""

import copy
import json
import warnings

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression

import mlopskit as mk
from mlopskit.errors import (
    BatchesNotExchangeable,
    BatchSizeWarning,
    ConfigurationError,
    DataError,
    DuplicateBatch,
    FormatError,
    MlopskitWarning,
    NotFittedError,
    NotWatched,
    RowsNotExchangeable,
    SmallReference,
    StateMismatch,
)
from mlopskit.monitoring import batches_vary, drift, rows_vary
from mlopskit.monitoring.drift import DriftDetector, DriftStatistic
from mlopskit.monitoring.drift_reports import DriftCalibration, DriftReport
from mlopskit.monitoring.questions import CUMULATIVE, N_SETS, Questions, Readings, Reference
from mlopskit.profiling import Binning, ColumnProfile, Profile

RISK = 1e-6
"""Probability with which a correct detector may fail one counted check."""

DAY = pd.Timedelta("1D")


def frame(rng, n=100, *, day=0.0, **columns):
    """Correlated x and y, a lognormal z, a text column with a few missing values; `day` is the spread between days."""
    x, noise = rng.normal(size=n), rng.normal(size=n)
    data = {
        "x": x + day * rng.normal(),
        "y": 0.8 * x + 0.6 * noise + day * rng.normal(),
        "z": np.exp(rng.normal(size=n) + day * rng.normal()),
        "t": np.where(rng.random(n) < 0.05, None, rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])),
    }
    return pd.DataFrame(data | {name: make(data, rng) for name, make in columns.items()})


def days(rng, n_days=20, n=100, start=0, **options):
    """One frame of days, the day in its own column."""
    parts = [frame(rng, n, **options).assign(day=start + i) for i in range(n_days)]
    return pd.concat(parts, ignore_index=True)


def fitted(rng=None, *, n_days=20, n=100, day=0.0, **options):
    rng = rng or np.random.default_rng(0)
    return DriftDetector(**options).fit([frame(rng, n, day=day) for _ in range(n_days)])


def rows_fitted(rng=None, *, n=2_000, **options):
    return DriftDetector(null="rows", **options).fit(frame(rng or np.random.default_rng(0), n))


def shifted(data, rng):
    return data["x"] + 2.0


def some(share, value):
    """Put a value into a share of the rows of a column."""
    return lambda name: {name: lambda d, rng: np.where(rng.random(len(d[name])) < share, value, d[name])}


CHANGES = {
    "location": ("x", {"x": lambda d, rng: d["x"] + 1.0}, "share of rows above"),
    "scale": ("z", {"z": lambda d, rng: d["z"] ** 2.5}, "share of rows"),
    "unseen level": ("t", some(0.15, "new")("t"), "rarely or never"),
    "share of a level": ("t", some(0.4, "c")("t"), "share of '"),
    "missing": ("z", some(0.2, np.nan)("z"), "missing values rose"),
    "gone": ("z", some(1.0, np.nan)("z"), "missing values rose from 0.0% to 100.0%"),
    "correlation": ("x ~ y", {"y": lambda d, rng: -0.8 * d["x"] + 0.6 * rng.normal(size=len(d["x"]))}, "same side"),
}


class TestFinds:
    @pytest.mark.parametrize("null", ["batches", "rows"])
    @pytest.mark.parametrize("change", CHANGES)
    def test_each_kind_of_change_is_found_and_named(self, change, null):
        """Within ten batches of 100 rows there is one alarm, and the first feature of its report is the changed one."""
        name, columns, words = CHANGES[change]
        rng = np.random.default_rng(3)
        detector = (fitted if null == "batches" else rows_fitted)(rng, false_alarm_every=100)
        quiet = [detector.update(frame(rng)) for _ in range(5)]
        reports = [detector.update(frame(rng, **columns)) for _ in range(10)]
        assert not any(r.alarm for r in quiet)
        assert sum(r.alarm for r in reports) == 1
        alarm = next(r for r in reports if r.alarm)
        assert alarm.features[0].name == name
        assert words in alarm.features[0].message
        assert alarm.evidence.exceeded

    def test_the_effect_size_is_cohens_h_of_the_share_in_the_message(self):
        """h = 2 asin(sqrt(p1)) - 2 asin(sqrt(p0)) of the shares before and in the batch, counted with pandas."""
        rng = np.random.default_rng(0)
        reference, batch = frame(rng, 2_000), frame(rng, t=lambda d, rng: np.where(d["t"] == "a", "b", d["t"]))
        report = rows_fitted().fit(reference).update(batch)
        found = next(f for f in report.features if f.name == "t")
        p0, p1 = ((part["t"] == "a").sum() / part["t"].notna().sum() for part in (reference, batch))
        assert found.effect_size == pytest.approx(2 * np.arcsin(np.sqrt(p1)) - 2 * np.arcsin(np.sqrt(p0)))
        assert found.message == f"share of 'a' fell from {p0:.1%} to 0.0%"

    def test_a_change_is_described_over_the_batches_that_it_lasted(self):
        """Five batches after a moderate change the message compares about five batches with those before them."""
        rng = np.random.default_rng(1)
        detector = fitted(rng, n_days=30)
        for _ in range(5):
            report = detector.update(frame(rng, x=lambda d, rng: d["x"] + 0.5))
        first = report.features[0]
        assert first.name == "x"
        assert first.n_batches == 5
        assert first.message.endswith("in the last 5 batches")

    def test_a_tolerated_difference_raises_no_alarm(self):
        """In batches of 5,000 rows .1 sd is an alarm, and none with a tolerance of .2; 1 sd is one with it."""
        rng = np.random.default_rng(0)
        exact, tolerant = rows_fitted(n=20_000), rows_fitted(n=20_000, tolerance=0.2)
        for _ in range(20):
            batch = frame(rng, 5_000, x=lambda d, rng: d["x"] + 0.1)
            exact.update(batch)
            assert not tolerant.update(batch).active
        assert exact.state.episodes.active
        assert tolerant.update(frame(rng, 5_000, x=lambda d, rng: d["x"] + 1)).alarm

    def test_day_effects_are_in_control_where_batches_vary(self):
        """Days that differ by .5 sd raise no alarm in 30 batches by ranks of batches, and do so by rows at once."""
        rng = np.random.default_rng(0)
        by_batch = fitted(rng, n_days=30, day=0.5)
        with pytest.warns(RowsNotExchangeable):
            by_row = DriftDetector(null="rows").fit([frame(rng, day=0.5) for _ in range(30)])
        batches = [frame(rng, day=0.5) for _ in range(30)]
        assert not any(by_batch.update(b).alarm for b in batches)
        assert any(by_row.update(b).alarm for b in batches[:5])


class TestFit:
    def test_the_reference_chooses_the_null(self):
        """Batches (a column, keys, a list) make batches vary; a single frame, or one profile, makes rows vary."""
        rng = np.random.default_rng(0)
        whole = days(rng)
        parts = [part.drop(columns="day") for _, part in whole.groupby("day")]
        binning = Binning.fit(whole.drop(columns="day"))
        for reference, batch in (
            (whole, "day"),
            (parts[0:0] + parts, None),
            (tuple(map(binning.profile, parts)), None),
        ):
            assert DriftDetector().fit(reference, batch=batch).state.null == "batches"
        keyed = DriftDetector().fit(whole.drop(columns="day"), batch=whole["day"].to_numpy())
        assert keyed.state.null == "batches"
        for reference in (whole.drop(columns="day"), binning.profile(whole)):
            assert DriftDetector().fit(reference).state.null == "rows"
        assert DriftDetector(null="rows").fit(whole, batch="day").state.null == "rows"

    def test_every_form_of_the_reference_is_the_same_reference(self):
        """A column, an array of keys, a list of frames and a list of profiles lead to the same reports."""
        rng = np.random.default_rng(0)
        whole, batch = days(rng), frame(rng, x=shifted)
        plain = whole.drop(columns="day")
        parts = [part for _, part in plain.groupby(whole["day"])]
        profiles = [Binning.fit(plain, pairs=True).profile(part) for part in parts]
        references = [(whole, "day"), (plain, whole["day"].tolist()), (parts, None), (profiles, None)]
        reports = [DriftDetector().fit(*pair).update(batch, batch_id="new") for pair in references]
        assert all(report == reports[0] for report in reports)

    def test_the_order_of_the_reference_does_not_matter(self):
        """Shuffled batches and rows of the reference give the same report: every score is symmetric in the bag.

        Small counts excepted, whose draws belong to the place of a batch.
        """
        rng = np.random.default_rng(0)
        parts = [frame(rng).drop(columns="t") for _ in range(20)]
        mixed = [parts[i].sample(frac=1, random_state=0) for i in rng.permutation(20)]
        batch = frame(rng)
        assert DriftDetector().fit(parts).update(batch) == DriftDetector().fit(mixed).update(batch)

    def test_the_batch_column_is_no_feature(self):
        """The key is not watched, and asking for it as a feature is an error."""
        whole = days(np.random.default_rng(0))
        report = DriftDetector().fit(whole, batch="day").update(frame(np.random.default_rng(1)).assign(day=99))
        assert {f.name for f in report.features} == {"x", "y", "z", "t", "x ~ y", "x ~ z", "y ~ z"}
        with pytest.raises(ConfigurationError, match="batch='day' names the batches"):
            DriftDetector(features=["x", "day"]).fit(whole, batch="day")

    def test_chosen_features(self):
        """Only the features asked for are watched and needed; without interactions there are no pairs."""
        rng = np.random.default_rng(0)
        detector = DriftDetector(features=["x", "z"], interactions=False).fit([frame(rng) for _ in range(12)])
        report = detector.update(frame(rng)[["z", "x"]])
        assert {f.name for f in report.features} == {"x", "z"}
        with pytest.raises(DataError, match=r"missing column\(s\) \['nope'\]"):
            DriftDetector(features=["nope"]).fit(frame(rng))
        with pytest.raises(DataError, match=r"features=\['nope'\] are not in the reference"):
            DriftDetector(features=["nope"]).fit(Binning.fit(frame(rng)).profile(frame(rng)))

    @pytest.mark.parametrize(
        ("reference", "batch", "error", "message"),
        [
            ([], None, DataError, "empty list"),
            (pd.DataFrame({"x": []}), None, DataError, "empty frame"),
            ([pd.DataFrame({"x": [1.0]}), pd.DataFrame({"x": []}, dtype=float)], None, DataError, "reference is empty"),
            (pd.DataFrame({"day": [1, 2]}), "day", DataError, "no feature to watch"),
            (pd.DataFrame({"x": [1, 2]}), "day", DataError, r"missing column\(s\) \['day'\]"),
            (pd.DataFrame({"x": [1, 2]}), [1], DataError, "1 keys for 2 rows"),
            (pd.DataFrame({"x": [1, 2]}), [1, None], DataError, "an id is missing"),
            ([pd.DataFrame({"x": [1]})] * 2, [1, 2], ConfigurationError, "keys of rows belong to one frame"),
            ([pd.DataFrame({"x": [1]}), pd.DataFrame({"z": [1]})], None, DataError, r"missing column\(s\) \['x'\]"),
            (5, None, DataError, "expected a pandas or polars DataFrame"),
        ],
    )
    def test_references_that_cannot_work_are_refused(self, reference, batch, error, message):
        """Empty lists, frames and batches, no feature, wrong keys: an error that says what was found."""
        with pytest.raises(error, match=message):
            DriftDetector().fit(reference, batch=batch)

    def test_one_batch_is_too_few_where_batches_vary(self):
        """A single frame cannot show how batches vary."""
        with pytest.raises(DataError, match="at least 2 batches, got 1"):
            DriftDetector(null="batches").fit(frame(np.random.default_rng(0)))
        with pytest.raises(DataError, match="at least 2 batches, got 1"):
            DriftDetector(null="batches").fit(frame(np.random.default_rng(0)).assign(day=1), batch="day")

    def test_ids_of_the_reference_count_once(self):
        """Two profiles of one id are refused, and so is a later batch with an id of the reference."""
        rng = np.random.default_rng(0)
        binning = Binning.fit(frame(rng))
        with pytest.raises(DuplicateBatch, match="'a'"):
            DriftDetector().fit([binning.profile(frame(rng), batch_id="a") for _ in range(12)])
        detector = DriftDetector().fit(days(rng), batch="day")
        with pytest.raises(DuplicateBatch, match="'3'"):
            detector.update(frame(rng).assign(day=3))
        parts = [frame(rng).assign(day=i) for i in range(12)]
        with pytest.raises(DuplicateBatch, match="'11'"):
            DriftDetector().fit(parts, batch="day").update(parts[-1])

    def test_few_batches_are_warned_about(self):
        """Fewer than ten batches are a SmallReference; each report repeats it."""
        rng = np.random.default_rng(0)
        with pytest.warns(SmallReference, match="the reference has 4 batches"):
            detector = fitted(rng, n_days=4)
        assert "the reference has 4 batches" in str(detector.update(frame(rng)))

    def test_fitting_again_forgets(self):
        """A second fit starts from nothing: ids, evidence and questions are those of the new reference."""
        rng = np.random.default_rng(0)
        detector = fitted(rng)
        detector.update(frame(rng), batch_id="a")
        detector.fit([frame(rng)[["x"]] for _ in range(12)])
        assert [f.name for f in detector.update(frame(rng), batch_id="a").features] == ["x"]

    def test_large_batches_of_the_reference_are_subsampled_like_later_ones(self):
        """A reference batch of over twice the median size enters with twice the median, as a later one would."""
        rng = np.random.default_rng(0)
        parts = [frame(rng, n) for n in [100] * 11 + [900]]
        sizes = DriftDetector().fit(parts).state.pool.batches.rows[:, -1]
        assert sorted(sizes) == [100] * 11 + [200]


class TestUpdate:
    def test_before_fit_it_says_so(self):
        """Every verb of an unfitted detector raises NotFittedError."""
        detector = DriftDetector()
        for call in (lambda: detector.update(None), detector.acknowledge, detector.rebase, lambda: detector.promise):
            with pytest.raises(NotFittedError, match="is not fitted"):
                call()

    @pytest.mark.parametrize("detector", [fitted, rows_fitted], ids=["batches", "rows"])
    def test_bad_batches_are_refused_and_change_nothing(self, detector):
        """Empty, foreign, duplicate and incomplete batches raise; the state and the next report are as without them."""
        rng = np.random.default_rng(5)
        watch, other = detector(), detector()
        batch = frame(rng)
        foreign = Binning.fit(frame(rng)).profile(batch)
        bad = [
            (batch[:0], DataError, "the batch is empty"),
            (watch.state.reference.binning.profile(batch[:0]), DataError, "the batch is empty"),
            (batch.drop(columns="y"), DataError, r"missing column\(s\) \['y'\]"),
            (pd.concat([batch, batch[["x"]]], axis=1), DataError, r"duplicate column name\(s\) \['x'\]"),
            (batch.assign(x="text"), DataError, "column 'x' is of kind 'str'"),
            (foreign, DataError, "another binning"),
        ]
        for wrong, error, message in bad:
            state = watch.state
            with pytest.raises(error, match=message):
                watch.update(wrong)
            assert watch.state is state
        assert watch.update(batch) == other.update(batch)

    def test_a_batch_sent_twice_is_refused(self):
        """An id seen before raises DuplicateBatch, from the caller, the batch column, or a profile."""
        rng = np.random.default_rng(0)
        detector = DriftDetector().fit(days(rng), batch="day")
        detector.update(frame(rng).assign(day=pd.Timestamp("2020-01-01")))
        for batch, batch_id in (
            (frame(rng).assign(day=pd.Timestamp("2020-01-01")), None),
            (frame(rng), "2020-01-01"),
            (frame(rng), pd.Timestamp("2020-01-01")),
            (detector.state.reference.binning.profile(frame(rng), batch_id="2020-01-01"), None),
            (detector.state.reference.binning.profile(frame(rng)), pd.Timestamp("2020-01-01")),
        ):
            with pytest.raises(DuplicateBatch, match="'2020-01-01'"):
                detector.update(batch, batch_id=batch_id)

    def test_one_update_is_one_batch(self):
        """A frame with two keys is refused."""
        rng = np.random.default_rng(0)
        detector = DriftDetector().fit(days(rng), batch="day")
        with pytest.raises(DataError, match=r"'day' holds 3 keys \(\['50', '51', '52'\]\): split it"):
            detector.update(days(rng, 3, start=50))

    def test_columns_are_found_by_name(self):
        """Reordered and extra columns do not matter, nor does a missing batch column where the batch is named."""
        rng = np.random.default_rng(0)
        batch, whole = frame(rng), days(rng)
        expected = DriftDetector().fit(whole, batch="day").update(batch, batch_id="new")
        for same in (batch[["t", "z", "y", "x"]], batch.assign(extra=1), batch.assign(day=77)):
            assert DriftDetector().fit(whole, batch="day").update(same, batch_id="new") == expected

    def test_a_batch_that_nothing_names_is_refused(self):
        """Without the batch column and without an id, the same rows could be sent twice unseen."""
        rng = np.random.default_rng(0)
        detector = DriftDetector().fit(days(rng), batch="day")
        with pytest.raises(DataError, match="no column 'day' to name it"):
            detector.update(frame(rng))

    def test_a_column_that_names_the_batches_is_refused(self):
        """A file name, or numbers of runs in no order: most values are of one batch only, and the next is unseen."""
        rng = np.random.default_rng(0)
        parts = [frame(rng).assign(file=f"part {7 * i % 12}.csv", run=7 * i % 12) for i in range(12)]
        with pytest.raises(DataError, match="column 'file' names the batches, or moves on"):
            DriftDetector().fit([part.drop(columns="run") for part in parts])
        with pytest.raises(DataError, match="column 'run' names the batches"):
            DriftDetector().fit([part.drop(columns="file") for part in parts])
        DriftDetector(features=["x", "y"]).fit(parts)

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param(lambda rng, i: np.where(rng.random(100) < 0.2, f"part {i}.csv", "-"), id="in a fifth of rows"),
            pytest.param(lambda rng, i: [f"day {i - back}" for back in rng.integers(0, 4, 100)], id="the last days"),
        ],
    )
    def test_values_that_move_on_with_the_batches_are_refused(self, name):
        """Batches that each bring a value that none before had: so will the next one, and it alarms for certain."""
        rng = np.random.default_rng(0)
        with pytest.raises(DataError, match="column 'c' names the batches, or moves on with them"):
            DriftDetector().fit([frame(rng).assign(c=name(rng, i)) for i in range(20)])

    def test_ids_too_rare_to_be_watched_one_by_one_are_not_refused(self):
        """Ten rows in 20,000 for each id: all ids are counted together, in the reference as later."""
        rng = np.random.default_rng(0)

        def sessions():
            ids = np.repeat([f"{v:x}" for v in rng.integers(1 << 60, size=100)], 10)
            return pd.DataFrame({"id": ids, "x": rng.normal(size=1_000)})

        detector = DriftDetector(false_alarm_every=1000).fit([sessions() for _ in range(20)])
        assert not any(detector.update(sessions()).alarm for _ in range(5))

    def test_a_time_of_day_that_moves_on_is_refused(self):
        """Times that lie behind those of the batch before throughout alarm for certain, though they vary in a batch."""
        rng = np.random.default_rng(0)
        whole = days(rng)
        whole["at"] = pd.Timestamp("2024-01-01") + whole["day"] * DAY + rng.random(len(whole)) * DAY
        with pytest.raises(DataError, match="column 'at' tells the batches apart by its value"):
            DriftDetector().fit(whole, batch="day")

    def test_ids_that_never_come_back_are_no_drift(self):
        """One name for each row says nothing: at most T/A = .2 of 40 runs alarm, up to a binomial tail of 1e-6."""
        rng = np.random.default_rng(0)

        def orders():
            return pd.DataFrame({"id": [f"{v:x}" for v in rng.integers(1 << 60, size=40)], "x": rng.normal(size=40)})

        alarms = 0
        for _ in range(40):
            detector = DriftDetector(false_alarm_every=50).fit([orders() for _ in range(20)])
            alarms += any(detector.update(orders()).alarm for _ in range(10))
        assert alarms <= binom.ppf(1 - RISK, 40, 10 / 50)

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(lambda i: ["a", 1][i % 2], id="mixed types"),
            pytest.param(lambda i: [i], id="lists"),
            pytest.param(lambda i: bytes([i]), id="bytes"),
            pytest.param(lambda i: 2**63 + i, id="beyond floats"),
        ],
    )
    def test_values_that_nothing_tells_apart_are_said_to_be_so(self, value):
        """Of such a column only the missing share is watched: a warning at fit, and a note in each report."""
        rng = np.random.default_rng(0)

        def part(lost=0.0):
            odd = pd.Series([value(int(i)) for i in rng.integers(0, 30, 100)], dtype=object)
            return frame(rng).assign(odd=odd.where(rng.random(100) >= lost))

        with pytest.warns(NotWatched, match=r"columns \['odd'\] hold mixed or nested values"):
            detector = DriftDetector(false_alarm_every=100).fit([part() for _ in range(15)])
        reports = [detector.update(part(lost=0.2)) for _ in range(8)]
        assert all("only their missing values are watched" in report.notes[0] for report in reports)
        alarm = next(report for report in reports if report.alarm)
        assert alarm.features[0].name == "odd"
        assert alarm.features[0].message.startswith("share of missing values rose from 0.0% to ")

    def test_a_column_that_counts_the_batches_is_refused(self):
        """Keys passed beside a frame that still holds them would be watched, and alarm for certain."""
        whole = days(np.random.default_rng(0))
        with pytest.raises(DataError, match="column 'day' tells the batches apart"):
            DriftDetector().fit(whole, batch=whole["day"].to_numpy())
        assert DriftDetector(features=["x"]).fit(whole, batch=whole["day"].to_numpy()).state is not None
        longer = days(np.random.default_rng(0), 30)
        wobbling = longer.assign(day_mean=np.random.default_rng(1).normal(size=30)[longer["day"]])
        assert DriftDetector().fit(wobbling, batch="day").state is not None
        with pytest.raises(DataError, match=r"'day_mean' names the batches.* give more than 20 batches"):
            DriftDetector().fit(wobbling[wobbling["day"] < 15], batch="day")

    @pytest.mark.parametrize("engine", [pl.from_pandas, pa.Table.from_pandas], ids=["polars", "pyarrow"])
    def test_engines_agree(self, engine):
        """polars and pyarrow frames lead to the report that pandas leads to, in the reference and in the batch."""
        rng = np.random.default_rng(0)
        whole, batch = days(rng), frame(rng)
        expected = DriftDetector().fit(whole, batch="day").update(batch, batch_id="new")
        assert DriftDetector().fit(engine(whole), batch="day").update(engine(batch), batch_id="new") == expected

    def test_a_profile_is_as_good_as_its_frame(self):
        """A batch profiled elsewhere gives the report of its rows, under its own id."""
        batch = frame(np.random.default_rng(9))
        detector, other = fitted(), fitted()
        profile = other.state.reference.binning.profile(batch, batch_id="monday")
        assert other.update(profile) == detector.update(batch, batch_id="monday")

    def test_large_batches_are_subsampled_and_small_ones_warned_about(self):
        """Over twice the usual size rows are drawn, the same ones in a replay; below half of it the promise weakens."""
        rng = np.random.default_rng(0)
        large, small = frame(rng, 1_000), frame(rng, 40)
        reports = [fitted(random_state=seed).update(large) for seed in (0, 0, 1)]
        assert reports[0] == reports[1] != reports[2]
        assert reports[0].n_rows == 200
        assert reports[0].notes == ("1000 rows are over twice the usual 100: 200 drawn at random were used",)
        detector = fitted()
        with pytest.warns(BatchSizeWarning, match="40 rows against a usual 100"):
            report = detector.update(small)
        assert "the promise weakens" in report.notes[0]

    def test_a_large_profile_is_warned_about(self):
        """From a profile no rows can be drawn: the size is warned about instead. Where rows vary, size is no matter."""
        large = frame(np.random.default_rng(1), 1_000)
        detector, by_row = fitted(), rows_fitted()
        with pytest.warns(BatchSizeWarning, match="1000 rows against a usual 100"):
            detector.update(detector.state.reference.binning.profile(large))
        assert by_row.update(large).n_rows == 1_000

    def test_what_is_stored_is_bounded(self, monkeypatch):
        """Of many stored batches half are kept, drawn at random; the report says so, and changes are still found."""
        monkeypatch.setattr(drift, "MANY_BATCHES", 30)
        rng, detector = np.random.default_rng(0), fitted()
        reports = [detector.update(frame(rng)) for _ in range(60)]
        stored = "30 batches were stored: 15 of them, drawn at random, are kept"
        assert [i for i, r in enumerate(reports) if stored in r.notes] == [9, 24, 39, 54]
        assert len(detector.state.pool.batches) == 20
        assert not any(r.alarm for r in reports)
        alarm = next(r for r in (detector.update(frame(rng, x=shifted)) for _ in range(12)) if r.alarm)
        assert alarm.features[0].name == "x"


class TestColumns:
    """Columns that have nothing to say, or everything."""

    def fit_and_update(self, values, later, null="batches", n=100, **options):
        rng = np.random.default_rng(0)
        rows = np.arange(n)
        make = lambda cells: pd.DataFrame({"a": cells(rows, rng), "x": rng.normal(size=n)})  # noqa: E731
        if null == "batches":
            detector = DriftDetector(false_alarm_every=50, **options).fit([make(values) for _ in range(20)])
        else:
            detector = DriftDetector(null="rows", false_alarm_every=50, **options).fit(make(values))
        return [detector.update(make(later)) for _ in range(10)]

    @pytest.mark.parametrize("null", ["batches", "rows"])
    @pytest.mark.parametrize(
        ("before", "after", "words"),
        [
            (lambda i, rng: [None] * len(i), lambda i, rng: rng.normal(size=len(i)), "missing values fell from 100.0%"),
            (lambda i, rng: [7.0] * len(i), lambda i, rng: [8.0] * len(i), "share of"),
            (lambda i, rng: [7.0] * len(i), lambda i, rng: [np.inf] * len(i), "share of"),
            (lambda i, rng: i % 3, lambda i, rng: i % 2, "share of 2"),
            (lambda i, rng: i % 3 == 0, lambda i, rng: i % 5 > 0, "share of "),
            (lambda i, rng: rng.normal(size=len(i)), lambda i, rng: [np.inf] * len(i), "share of rows above"),
            (
                lambda i, rng: pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**6, len(i)), unit="s"),
                lambda i, rng: pd.Timestamp("2021-01-01") + pd.to_timedelta(i, unit="s"),
                "share of rows above 2020-01-",
            ),
            (
                lambda i, rng: pd.to_timedelta(rng.integers(0, 10**4, len(i)), unit="s"),
                lambda i, rng: pd.to_timedelta([-1] * len(i), unit="s"),
                "share of rows above 0 days 00:",
            ),
            (
                lambda i, rng: pd.to_timedelta(i % 2, unit="h"),
                lambda i, rng: pd.to_timedelta(i * 0, unit="h"),
                "share of 0 days 0",
            ),
        ],
        ids=[
            "missing",
            "constant",
            "infinite",
            "levels",
            "bools",
            "to infinity",
            "datetimes",
            "durations",
            "few durations",
        ],
    )
    def test_every_kind_of_column_can_change(self, before, after, words, null):
        """A reference that was all missing, constant, or of any kind: its change is found, and said in its own unit."""
        reports = self.fit_and_update(before, after, null)
        assert sum(r.alarm for r in reports) == 1
        alarm = next(r for r in reports if r.alarm)
        assert alarm.features[0].name == "a"
        assert words in alarm.features[0].message

    @pytest.mark.parametrize("null", ["batches", "rows"])
    @pytest.mark.parametrize(
        "values", [lambda i, rng: [None] * len(i), lambda i, rng: ["k"] * len(i), lambda i, rng: [[1]] * len(i)]
    )
    @pytest.mark.filterwarnings("ignore::mlopskit.errors.NotWatched")
    def test_columns_that_say_nothing_raise_nothing(self, values, null):
        """All-missing, constant and unhashable columns that stay so are no evidence of anything, and no error."""
        reports = self.fit_and_update(values, values, null)
        assert not any(r.alarm for r in reports)
        assert all(f.effect_size == 0 for r in reports for f in r.features if f.name == "a")

    @pytest.mark.parametrize("null", ["batches", "rows"])
    def test_a_feature_that_comes_and_goes(self, null):
        """In a batch without any value of a feature its other questions are not asked; only missing values speak."""
        rng = np.random.default_rng(0)
        parts = [frame(rng) if i % 2 else frame(rng).assign(x=np.nan) for i in range(20)]
        detector = DriftDetector(null=null).fit(parts)
        reports = [detector.update(frame(rng).assign(x=np.nan)), detector.update(frame(rng))]
        assert all(np.isfinite(r.evidence.log_value) for r in reports)
        found = {f.name: f for f in reports[0].features}
        assert found["x"].message == "share of missing values rose from 50.0% to 100.0%"
        assert found["x ~ y"].effect_size == 0
        assert found["x ~ y"].message == "share of rows on the same side of both medians has no rows to compare"

    def test_other_numbers_of_bins(self):
        """Profiles in 20, 33 or 200 bins are read in twentieths: the same change is found from each."""
        rng = np.random.default_rng(0)
        parts = [frame(rng) for _ in range(30)]
        for n_bins in (20, 33, 200):
            binning = Binning.fit(pd.concat(parts), n_bins=n_bins)
            detector = DriftDetector(false_alarm_every=100).fit([binning.profile(part) for part in parts[:20]])
            assert not any(detector.update(binning.profile(part)).alarm for part in parts[20:])
            later = [detector.update(binning.profile(frame(rng, x=shifted))) for _ in range(8)]
            assert next(r for r in later if r.alarm).features[0].name == "x"

    @pytest.mark.parametrize("null", ["batches", "rows"])
    def test_a_frame_is_kept_in_twentieths(self, null):
        """What a frame teaches in 20 bins is what its profiles in 200 bins teach: the same reports, bit by bit."""
        rng = np.random.default_rng(0)
        parts = [frame(rng) for _ in range(12)]
        fine = Binning.fit(pd.concat(parts), n_bins=200, pairs=True)
        one = DriftDetector(null=null).fit(parts)
        two = DriftDetector(null=null).fit(
            [fine.profile(part, batch_id=f"reference {i}") for i, part in enumerate(parts, 1)]
        )
        assert {len(c) for c in one.state.reference.binning.columns} == {20, 4}
        for _ in range(4):
            batch = frame(rng, x=shifted)
            assert one.update(batch).to_dict()["features"] == two.update(fine.profile(batch)).to_dict()["features"]
        assert one._fitted().pool.batches.bins.tolist() == two._fitted().pool.batches.bins.tolist()


class TestEpisodes:
    def drive(self, detector, rng, n, **columns):
        return [detector.update(frame(rng, **columns)) for _ in range(n)]

    @pytest.mark.parametrize("make", [fitted, rows_fitted], ids=["batches", "rows"])
    def test_a_lasting_change_is_one_alarm(self, make):
        """One alarm; active and since until acknowledge; then evidence restarts, and the history keeps the reasons."""
        rng = np.random.default_rng(2)
        detector = make(rng, false_alarm_every=100)
        reports = self.drive(detector, rng, 12, x=shifted)
        assert sum(r.alarm for r in reports) == 1
        opened = next(r for r in reports if r.alarm).batch_id
        assert all(r.since == opened and r.active for r in reports[[r.alarm for r in reports].index(True) :])
        assert f"episode open since {opened}" in str(reports[-1])
        detector.acknowledge("prices rose")
        assert not detector.state.episodes.active
        after = detector.update(frame(rng, x=shifted))
        assert after.evidence.n_batches == 1
        assert after.evidence.log_value < reports[-1].evidence.log_value
        events = detector.state.episodes.events[:2]
        assert [(e.kind, e.batch_id) for e in events] == [("alarm", opened), ("acknowledged", reports[-1].batch_id)]
        assert events[0].reason
        assert events[1].reason == "prices rose"

    def test_rebasing_collects_a_new_reference_and_says_so(self):
        """While collecting the changed feature is not tested; then its batches are in control, and the old a change."""
        rng = np.random.default_rng(0)
        detector = fitted(rng, false_alarm_every=100)
        self.drive(detector, rng, 8, x=shifted)
        detector.rebase("new prices", n_batches=12)
        collecting = self.drive(detector, rng, 12, x=shifted)
        assert not any(r.active for r in collecting)
        assert [r.notes[-1][:23] for r in collecting[:2]] == ["re-basing: 11 more batc", "re-basing: 10 more batc"]
        assert all("complete; x excepted, the rest was tested" in r.notes[-1] for r in collecting)
        assert all("x" not in [f.name for f in r.features] for r in collecting)
        assert all(r.evidence.n_batches == i for i, r in enumerate(collecting, 1))
        assert not any(r.active or r.notes for r in self.drive(detector, rng, 8, x=shifted))
        assert any(r.alarm and r.features[0].name == "x" for r in self.drive(detector, rng, 8))

    @pytest.mark.parametrize("make", [fitted, rows_fitted], ids=["batches", "rows"])
    def test_a_second_fault_is_not_slept_through(self, make):
        """While one feature is re-based, a change in another one is an episode of its own, and it is re-based too."""
        rng = np.random.default_rng(0)
        detector = make(rng, false_alarm_every=100)
        assert any(r.alarm for r in self.drive(detector, rng, 8, x=shifted))
        detector.rebase(n_batches=14)
        self.drive(detector, rng, 2, x=shifted)
        both = {"x": shifted, "z": lambda d, rng: d["z"] * 4}
        alarm = next(r for r in self.drive(detector, rng, 8, **both) if r.alarm)
        assert alarm.features[0].name == "z"
        assert detector.state.rebasing > 0
        detector.rebase(n_batches=14)
        assert {"x", "z"} <= set(detector.state.quiet)
        assert not any(r.alarm for r in self.drive(detector, rng, 30, **both))
        assert (detector.state.rebasing, detector.state.quiet) == (0, ())
        assert any(r.alarm for r in self.drive(detector, rng, 10))

    def test_rebasing_without_an_episode_tests_nothing(self):
        """Nobody said what changed: everything is taken to be new."""
        rng = np.random.default_rng(0)
        detector = fitted(rng, false_alarm_every=100)
        detector.rebase(n_batches=5)
        collecting = self.drive(detector, rng, 5, x=shifted)
        assert all("nothing was tested" in r.notes[-1] for r in collecting)
        assert all(r.features == () and r.evidence.log_value == -np.inf for r in collecting)
        assert not any(r.alarm for r in self.drive(detector, rng, 10, x=shifted))

    def test_everything_may_be_new(self):
        """As a season begins: in an episode of one feature nothing is tested until all have a new reference."""
        rng = np.random.default_rng(0)
        detector = fitted(rng, false_alarm_every=100)
        assert any(r.alarm for r in self.drive(detector, rng, 8, x=shifted))
        detector.rebase("summer", n_batches=10, everything=True)
        summer = {"x": shifted, "z": lambda d, rng: d["z"] * 4}
        collecting = self.drive(detector, rng, 10, **summer)
        assert all("nothing was tested" in r.notes[-1] for r in collecting)
        assert not any(r.alarm for r in self.drive(detector, rng, 10, **summer))
        assert any(r.alarm for r in self.drive(detector, rng, 10))

    def test_a_broken_pair_is_rebased_with_all_pairs(self):
        """A correlation that changed silences the pairs; the features by themselves are still tested."""
        rng = np.random.default_rng(1)
        detector = fitted(rng, false_alarm_every=100)
        turned = {"y": CHANGES["correlation"][1]["y"]}
        assert any(r.alarm for r in self.drive(detector, rng, 10, **turned))
        detector.rebase(n_batches=10)
        assert detector.state.quiet == ("x ~ y", "x ~ z", "y ~ z")
        assert not any(r.alarm for r in self.drive(detector, rng, 25, **turned))

    def test_rebasing_takes_as_many_batches_as_the_reference_had(self):
        """Without a number the original one is collected; fewer than two batches cannot show how batches vary."""
        detector = fitted()
        assert detector.rebase().state.rebasing == 20
        with pytest.raises(ConfigurationError, match="n_batches=1"):
            detector.rebase(n_batches=1)
        by_row = rows_fitted()
        assert by_row.rebase().state.rebasing == 1
        with pytest.raises(ConfigurationError, match="n_batches=0"):
            by_row.rebase(n_batches=0)

    @pytest.mark.parametrize("tolerance", [0.0, 0.05])
    def test_rebasing_rows(self, tolerance):
        """Where rows vary, with a band too, the collected batches replace the old reference."""
        rng = np.random.default_rng(0)
        detector = rows_fitted(rng, tolerance=tolerance, false_alarm_every=100)
        assert any(r.alarm for r in self.drive(detector, rng, 10, x=shifted))
        detector.rebase(n_batches=15)
        assert not any(r.active for r in self.drive(detector, rng, 35, x=shifted))
        assert any(r.alarm for r in self.drive(detector, rng, 10))

    @pytest.mark.parametrize("null", ["batches", "rows"])
    def test_a_feature_that_left_its_bins_is_said_to_be_blind(self, null):
        """In other units all rows lie in the last bin, new names are all "other": the new reference cannot see more."""
        rng = np.random.default_rng(0)
        renamed = {
            "x": lambda d, rng: 100 + d["x"],
            "t": lambda d, rng: pd.Series(d["t"]).replace(["a", "b", "c"], "z"),
        }
        detector = fitted(rng) if null == "batches" else rows_fitted(rng)
        detector.rebase("other units", n_batches=12, everything=True)
        reports = [detector.update(frame(rng, **renamed)) for _ in range(13)]
        notes = " ".join(reports[-1].notes)
        assert "x: nearly all rows lie above" in notes
        assert "t: nearly all rows lie among levels that the reference has rarely or never" in notes
        assert "y:" not in notes
        with pytest.warns(SmallReference, match="x: nearly all rows lie above .* fit again on recent batches"):
            found = detector.resolution().to_frame().set_index(["feature", "change"])
        assert np.isinf(found.loc[("x", "mean"), "within_20"])
        assert np.isfinite(found.loc[("y", "mean"), "within_20"])

    def test_rebasing_on_small_batches_warns(self):
        """A new reference of a few rows a batch is taken, but not in silence."""
        rng = np.random.default_rng(0)
        detector = fitted()
        detector.rebase(n_batches=3)
        with pytest.warns(BatchSizeWarning, match="3 rows against a usual 100"):
            detector.update(frame(rng, 3))

    def test_acknowledging_nothing_changes_nothing(self):
        """A daily habit of acknowledging cannot wipe the evidence of a change that builds up."""
        detector = fitted()
        detector.update(frame(np.random.default_rng(5)))
        before = detector.to_json()
        detector.acknowledge("every morning")
        assert detector.to_json() == before

    def test_rebasing_learns_the_usual_size(self):
        """After re-basing on larger batches, those are usual: no rows are left out and nothing is warned about."""
        rng = np.random.default_rng(0)
        with pytest.warns(SmallReference):
            detector = fitted(rng, n_days=5)
        detector.rebase(n_batches=10)
        collecting = [detector.update(frame(rng, 1_000)) for _ in range(10)]
        assert {r.n_rows for r in collecting} == {1_000}
        report = detector.update(frame(rng, 1_000))
        assert (report.n_rows, report.notes) == (1_000, ())


def visits(rng, n=300, *, hours=(8, 12, 20), share=None, shift=0.0):
    """Waiting times that depend on the hour; the hours come in any mix."""
    hour = rng.choice(hours, n, p=share)
    return pd.DataFrame(
        {"hour": hour, "wait": hour + shift + rng.normal(size=n), "kind": np.where(rng.random(n) < hour / 24, "a", "b")}
    )


MORNING, EVENING = [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]


class TestStrata:
    """What a stratum explains is no drift."""

    def detector(self, rng, null, **options):
        reference = [visits(rng, share=rng.dirichlet([4, 4, 4])) for _ in range(30)]
        detector = DriftDetector(null=null, strata="hour", false_alarm_every=200, **options)
        return detector.fit(reference if null == "batches" else pd.concat(reference, ignore_index=True))

    @pytest.mark.parametrize("null", ["batches", "rows"])
    def test_another_mix_is_no_drift(self, null):
        """Evenings only raise no alarm with strata, and one at once without."""
        rng = np.random.default_rng(0)
        detector = self.detector(rng, null)
        assert not any(detector.update(visits(rng, share=EVENING)).alarm for _ in range(20))
        rng = np.random.default_rng(0)
        blind = DriftDetector(null="rows", false_alarm_every=200).fit(visits(rng, 9_000)[["wait", "kind"]])
        assert any(blind.update(visits(rng, share=EVENING)[["wait", "kind"]]).alarm for _ in range(5))

    @pytest.mark.parametrize("null", ["batches", "rows"])
    def test_a_change_within_strata_is_found(self, null):
        """Half a standard deviation more at every hour, while the mix changes as before."""
        rng = np.random.default_rng(1)
        detector = self.detector(rng, null)
        reports = [detector.update(visits(rng, share=rng.dirichlet([4, 4, 4]), shift=0.7)) for _ in range(12)]
        alarm = next(r for r in reports if r.alarm)
        assert alarm.features[0].name == "wait"

    def test_strata_are_no_features_and_strange_ones_are_counted(self):
        """The column of strata is not watched; rows of a stratum that the reference lacks are said to be so."""
        rng = np.random.default_rng(2)
        detector = self.detector(rng, "batches")
        assert "hour" not in [f.name for f in detector.update(visits(rng)).features]
        batch = visits(rng)
        batch.loc[100:, "hour"] = 3
        with pytest.warns(BatchSizeWarning, match="100 rows against a usual 300"):
            report = detector.update(batch)
        assert any("the reference hardly has: they were not tested" in note for note in report.notes)
        assert report.n_rows == 300

    @pytest.mark.parametrize("null", ["batches", "rows"])
    def test_strange_strata_are_not_tested(self, null):
        """Rows of unknown strata change nothing: the evidence is that of the batch without them."""
        rng = np.random.default_rng(5)
        one = self.detector(rng, null)
        two = DriftDetector.from_json(one.to_json())
        known, strange = visits(rng), visits(rng, 100, hours=(3,), shift=50.0)
        report = one.update(pd.concat([known, strange], ignore_index=True))
        assert report.evidence == two.update(known).evidence
        assert "25.0% of the rows" in report.notes[-1]

    def test_a_batch_of_strange_strata_alone_has_nothing_to_test(self):
        """No evidence either way, and a note that says so."""
        rng = np.random.default_rng(6)
        detector = self.detector(rng, "batches")
        with pytest.warns(BatchSizeWarning, match="0 rows against"):
            report = detector.update(visits(rng, hours=(3,)))
        assert not report.alarm
        assert any(note.startswith("100.0% of the rows") for note in report.notes)

    def test_a_stratum_of_one_batch_is_unknown(self):
        """It would explain itself: of 40 days one was a holiday, and the next thirty are; at most T/A = .06 alarm."""
        alarms = 0
        for seed in range(20):
            rng = np.random.default_rng(seed)

            def day(kind, rng=rng):
                x = rng.normal(size=(500, 2)) + 0.1 * rng.normal() + (kind == "holiday")
                return pd.DataFrame(x, columns=["x", "y"]).assign(kind=kind)

            with pytest.warns(match="strata"):
                detector = DriftDetector(strata="kind", false_alarm_every=500).fit(
                    [day("holiday" if i % 13 == 5 and i < 13 else "work") for i in range(20)]
                )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", BatchSizeWarning)
                alarms += any(detector.update(day("holiday")).alarm for _ in range(15))
        assert alarms <= binom.ppf(1 - RISK, 20, 15 / 500)

    def test_strata_that_nobody_knows_are_refused(self):
        """Where no stratum comes back there is nothing to compare: fitting says what to do."""
        rng = np.random.default_rng(7)
        weeks = [visits(rng).assign(hour=i) for i in range(12)]
        with pytest.raises(DataError, match=r"no stratum has 50 rows of the reference and is in 3 of its batches"):
            DriftDetector(strata="hour").fit(weeks)

    @pytest.mark.parametrize("null", ["batches", "rows"])
    def test_a_restart_and_a_new_reference(self, null):
        """Through JSON the evidence goes on bit by bit; a re-based detector has the strata of the new batches."""
        rng = np.random.default_rng(3)
        one = self.detector(rng, null)
        two = DriftDetector.from_json(one.to_json())
        for batch in [visits(rng) for _ in range(4)]:
            assert one.update(batch).evidence == two.update(batch).evidence
        assert one.to_json() == two.to_json()
        one.rebase(n_batches=12)
        assert not any(one.update(visits(rng, shift=2.0)).alarm for _ in range(25))
        assert any(one.update(visits(rng)).alarm for _ in range(12))

    def test_several_columns_make_one_stratum(self):
        """Two columns are crossed; a missing value is a stratum of its own."""
        rng = np.random.default_rng(4)
        parts = [visits(rng).assign(place=rng.choice(["x", None], 300)) for _ in range(12)]
        detector = DriftDetector(strata=["hour", "place"]).fit(parts)
        assert detector.state.strata == tuple(sorted(f"{h} | {p}" for h in (8, 12, 20) for p in ("missing", "x")))
        assert not detector.update(parts[0].assign(hour=8), batch_id="again").alarm

    def test_what_cannot_work_is_refused(self):
        """Profiles do not know strata, a missing column is named, and a tolerance has no strata."""
        rng = np.random.default_rng(5)
        detector = self.detector(rng, "batches")
        with pytest.raises(DataError, match="a profile does not know them"):
            detector.update(detector.state.reference.binning.profile(visits(rng)))
        with pytest.raises(DataError, match="missing column"):
            detector.update(visits(rng)[["wait", "kind"]])
        with pytest.raises(ConfigurationError, match="do not go together"):
            DriftDetector(tolerance=0.1, strata="hour")


class Spread(DriftStatistic):
    """The range of x."""

    name = "range of x"

    def score(self, profile):
        return profile["x"].high - profile["x"].low


class Broken(DriftStatistic):
    name = "broken"

    def score(self, profile):
        return np.nan


class TestOwnStatistics:
    def test_a_statistic_is_ranked_and_named(self):
        """Two outliers in a hundred thousand change no share; the range sees them, and the report says what it is."""
        rng = np.random.default_rng(0)
        detector = DriftDetector(statistics=[Spread()], false_alarm_every=100).fit([frame(rng) for _ in range(30)])

        def wild(data, rng):
            return np.where(np.arange(len(data["x"])) == 0, 50.0, data["x"])

        alarm = next(r for r in (detector.update(frame(rng, x=wild)) for _ in range(10)) if r.alarm)
        assert alarm.features[0].name == "range of x"
        assert "in the middle of all batches" in alarm.features[0].message
        assert np.isnan(alarm.features[0].effect_size)

    def test_statistics_are_stored_by_name_and_handed_in(self):
        """JSON and bytes name them; without them nothing is read, with them the evidence goes on."""
        rng = np.random.default_rng(0)
        one = DriftDetector(statistics=[Spread()]).fit([frame(rng) for _ in range(12)])
        for stored, read in ((one.to_json(), DriftDetector.from_json), (one.to_bytes(), DriftDetector.from_bytes)):
            with pytest.raises(ConfigurationError, match="range of x"):
                read(stored)
            again = read(stored, statistics=[Spread()])
            batch = frame(rng)
            assert again.update(batch).evidence == copy.deepcopy(one).update(batch).evidence

    def test_what_cannot_work_is_refused(self):
        """A statistic must be finite, its name its own, and rows cannot be ranked."""
        rng = np.random.default_rng(0)
        with pytest.raises(DataError, match="'broken' is nan"):
            DriftDetector(statistics=[Broken()]).fit([frame(rng) for _ in range(12)])
        with pytest.raises(ConfigurationError, match="different name"):
            DriftDetector(statistics=[Spread(), Spread()])
        with pytest.raises(ConfigurationError, match="give a reference in batches"):
            DriftDetector(statistics=[Spread()]).fit(frame(rng, 2_000))


class TestBatchesFollow:
    """Batches that follow one another break the promise, and fitting says so."""

    def walk(self, rng, rho, n_days=60):
        level, parts = 0.0, []
        for _ in range(n_days):
            level = rho * level + np.sqrt(1 - rho**2) * 0.5 * rng.normal()
            parts.append(frame(rng, x=lambda d, _rng, level=level: d["x"] + level))
        return parts

    def test_autocorrelated_batches_are_noticed(self):
        """A feature whose days follow one another is named, with its correlation, at fitting and in every report."""
        rng = np.random.default_rng(0)
        with pytest.warns(BatchesNotExchangeable, match=r"'x' goes with that of the batch before \(correlation 0\.\d"):
            detector = DriftDetector().fit(self.walk(rng, 0.8))
        assert "longer batches, or strata=" in detector.update(frame(rng)).notes[0]

    def test_exchangeable_batches_are_rarely_doubted(self):
        """At most a share of .002 of references in control is doubted (binomial tail 1e-6), whatever days differ by."""
        doubted = 0
        for seed in range(150):
            stream = Stream(seed, day=0.3)
            detector = DriftDetector().fit([stream.profile() for _ in range(20)])
            doubted += bool(detector.state.doubts)
        assert doubted <= binom.ppf(1 - RISK, 150, 0.002)


class TestGrownReference:
    """With a tolerance the reference grows by batches without an alarm."""

    def test_bands_narrow_and_stay_anchored(self):
        """Doubling the reference narrows the bands; where they leave the first ones, the first hold."""
        rng = np.random.default_rng(0)
        detector = rows_fitted(rng, n=1_000, tolerance=0.05)
        low, high = detector.state.grown.bands(detector._questions, 0.05)
        for _ in range(70):
            detector.update(frame(rng))
        assert detector.state.grown.times == 3
        later = detector.state.grown.bands(detector._questions, 0.05)
        assert (later[0] >= low).all()
        assert (later[1] <= high).all()
        assert (later[1] - later[0]).mean() < 0.9 * (high - low).mean()

    def test_a_grown_reference_finds_smaller_changes(self):
        """A change that a thousand rows cannot tell from their own noise is found after the reference has grown."""
        delays = []
        for first in (0, 150):
            rng = np.random.default_rng(3)
            detector = rows_fitted(rng, n=1_000, tolerance=0.02, false_alarm_every=1_000)
            assert not any(detector.update(frame(rng, 500)).alarm for _ in range(first))
            small = {"x": lambda d, rng: d["x"] + 0.22}
            found = (i for i in range(60) if detector.update(frame(rng, 500, **small)).alarm)
            delays.append(next(found, 60))
        assert delays[1] < 0.6 * delays[0]

    def test_batches_with_an_alarm_do_not_join(self):
        """What raised an alarm is no reference."""
        rng = np.random.default_rng(0)
        detector = rows_fitted(rng, n=1_000, tolerance=0.05, false_alarm_every=100)
        for _ in range(30):
            detector.update(frame(rng, x=shifted))
        joined = detector.state.grown.waiting + detector.state.grown.whole
        assert joined.rows[0, -1] < 1_000 + 6 * 100


class TestState:
    @pytest.mark.parametrize(
        "make",
        [fitted, rows_fitted, lambda rng: rows_fitted(rng, tolerance=0.05)],
        ids=["batches", "rows", "band"],
    )
    def test_a_restart_in_the_middle_changes_nothing(self, make):
        """Written as JSON, read back and continued: every later report and the final state are equal to the bit."""
        rng = np.random.default_rng(4)
        detector = make(rng)
        batches = [frame(rng, x=shifted if i > 9 else lambda d, rng: d["x"]) for i in range(16)]
        for batch in batches[:7]:
            detector.update(batch)
        text = detector.to_json()
        again = DriftDetector.from_json(text)
        assert again.to_json() == text
        assert [again.update(b) for b in batches[7:12]] == [detector.update(b) for b in batches[7:12]]
        for each in (again, detector):
            each.rebase(n_batches=2)
        again = DriftDetector.from_json(again.to_json())
        assert [again.update(b) for b in batches[12:]] == [detector.update(b) for b in batches[12:]]
        assert again.to_json() == detector.to_json()

    def test_an_unfitted_detector_round_trips(self):
        """Configuration without a state is kept too."""
        again = DriftDetector.from_json(DriftDetector(alpha=0.1, horizon=50, features=["a"]).to_json())
        assert (again.alpha, again.horizon, again.features, again.state) == (0.1, 50, ("a",), None)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("false_alarm_every", 10),
            ("random_state", 1),
            ("interactions", False),
            ("features", ["x"]),
            ("null", "rows"),
        ],
    )
    def test_a_turned_dial_is_refused(self, name, value):
        """JSON whose configuration was edited does not load: turning a dial after seeing data voids the promise."""
        document = json.loads(fitted().to_json())
        document[name] = value
        with pytest.raises(StateMismatch, match="another configuration"):
            DriftDetector.from_json(json.dumps(document))

    def test_dials_cannot_be_set_on_a_detector(self):
        """The configuration is frozen; a state may be put back, and its questions come with it."""
        rng = np.random.default_rng(0)
        detector = fitted(rng)
        with pytest.raises(attrs.exceptions.FrozenAttributeError):
            detector.false_alarm_every = 10
        batch, state = frame(rng), detector.state
        first = detector.update(batch)
        detector.fit([frame(rng)[["x"]] for _ in range(12)])
        detector.state = state
        assert detector.update(batch) == first

    def test_the_state_of_rows_that_vary_is_small(self):
        """Of twenty columns with all their pairs, and after batches have come, less than 50 kB of JSON are kept."""
        rng = np.random.default_rng(0)

        def wide(n):
            numbers = {f"x{i}": rng.normal(size=n) for i in range(14)}
            return pd.DataFrame(numbers | {f"c{i}": rng.choice(list("abcdefgh"), n) for i in range(6)})

        detector = DriftDetector(null="rows").fit(wide(5_000))
        for _ in range(5):
            detector.update(wide(1_000))
        assert len(detector.to_json()) < 50_000

    def test_broken_json_is_refused(self):
        """Text that is no detector raises FormatError."""
        with pytest.raises(FormatError):
            DriftDetector.from_json("{}")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"null": "days"}, "null='days'"),
            ({"tolerance": -0.1}, "tolerance=-0.1"),
            ({"tolerance": np.nan}, "tolerance=nan"),
            ({"tolerance": 0.1, "null": "batches"}, "tolerance belongs to null='rows'"),
            ({"false_alarm_every": 0.5}, "false_alarm_every=0.5"),
            ({"alpha": 0.1}, "go together"),
            ({"features": "fare"}, "features='fare': expected a list"),
            ({"features": []}, r"features=\[\]"),
            ({"features": ["a", "a"]}, "different columns"),
            ({"random_state": -1}, "random_state=-1"),
            ({"random_state": None}, "random_state=None"),
        ],
    )
    def test_arguments_that_cannot_work_are_refused_at_once(self, arguments, message):
        """A wrong dial raises at construction and repeats its value."""
        with pytest.raises(ConfigurationError, match=message):
            DriftDetector(**arguments)

    def test_a_tolerance_needs_rows_that_vary(self):
        """A tolerance with a reference in batches is refused at fit, unless rows are asked for."""
        parts = [frame(np.random.default_rng(i)) for i in range(12)]
        with pytest.raises(ConfigurationError, match="set null='rows'"):
            DriftDetector(tolerance=0.05).fit(parts)
        assert DriftDetector(tolerance=0.05, null="rows").fit(parts).state.null == "rows"

    def test_promises_in_words(self):
        """Each null states its own bound; a band adds the risk of the reference."""
        assert fitted().promise == "P(first false alarm within T batches) <= T/365"
        assert rows_fitted(alpha=0.1, horizon=50).promise == "at most T/500 false alarms expected in T batches"
        assert rows_fitted(tolerance=0.1).promise == "P(first false alarm within T batches) <= T/365 + 0.05"


class TestReport:
    def alarm(self):
        rng = np.random.default_rng(0)
        detector = fitted(rng, false_alarm_every=100)
        return next(r for r in (detector.update(frame(rng, x=shifted)) for _ in range(10)) if r.alarm)

    def test_prints_the_alarm_the_strongest_features_and_the_null(self):
        """The text says alarm, evidence and promise, the three strongest features, and what was assumed to vary."""
        report = self.alarm()
        lines = str(report).splitlines()
        assert lines[0].startswith(f"drift in {report.batch_id}: ALARM; evidence ")
        assert "P(first false alarm within T batches) <= T/100" in lines[0]
        assert lines[1].startswith("  x: share of rows above")
        assert len(lines) == 6
        assert lines[4] == f"  probably since {report.began}"
        assert lines[5] == "  assumed: batches vary while all is well"

    def test_a_quiet_report_names_no_feature(self):
        """Without an episode there is nothing to name: differences of features are chance."""
        text = str(fitted().update(frame(np.random.default_rng(7))))
        assert "no alarm" in text
        assert "share" not in text

    def test_table_page_picture_and_dict(self):
        """One row for each feature and pair, strongest first; the page, the picture and the dict show the same."""
        report = self.alarm()
        table = report.to_frame()
        assert table["name"].tolist() == [f.name for f in report.features]
        assert set(table["name"]) == {"x", "y", "z", "t", "x ~ y", "x ~ z", "y ~ z"}
        assert "share of rows above" in report._repr_html_()
        axes = report.plot()
        assert [bar.get_width() for bar in axes.patches] == [f.effect_size for f in report.features]
        assert axes.get_title() == f"Drift in {report.batch_id}"
        data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
        assert data["features"][0]["name"] == "x"
        assert isinstance(report, DriftReport)


class TestRowsNotExchangeable:
    def test_days_in_a_single_frame_are_noticed(self):
        """Day effects of .5 sd in the order of rows are warned about, by the feature that shows them most."""
        rng = np.random.default_rng(0)
        whole = days(rng, 40, 50, day=0.5)
        with pytest.warns(RowsNotExchangeable, match=r"chunks of '[xyz]' vary [0-9.]+ times as much as chance allows"):
            detector = DriftDetector().fit(whole.drop(columns="day"))
        assert "give batch=" in str(detector.update(frame(rng)))

    def test_a_trend_and_a_sorted_level_are_noticed(self):
        """Rows sorted by text, or a slow trend that chunks follow, are no exchangeable rows either."""
        rng = np.random.default_rng(0)
        with pytest.warns(RowsNotExchangeable, match="'t'"):
            DriftDetector().fit(frame(rng, 2_000).sort_values("t"))
        with pytest.warns(RowsNotExchangeable, match="'x'"):
            DriftDetector().fit(frame(rng, 2_000, x=lambda d, rng: d["x"] + np.linspace(0, 1, len(d["x"]))))

    def test_small_frames_and_profiles_cannot_be_checked(self):
        """Below 1,000 rows there are too few chunks, and a profile has no rows: no warning."""
        rng = np.random.default_rng(0)
        whole = days(rng, 9, 100, day=1.0).drop(columns="day")
        assert DriftDetector().fit(whole).state.doubts == ()
        (doubt,) = DriftDetector().fit(Binning.fit(whole, pairs=True).profile(whole)).state.doubts
        assert "could not be looked at" in doubt

    def test_columns_of_every_kind_can_be_checked(self):
        """Mixed types, constants, booleans, nulls and rare levels are read without an error or a doubt about rows."""
        rng = np.random.default_rng(0)
        n = 1_200
        odd = {
            "mixed": pd.Series([[1], "a", 2] * (n // 3), dtype=object),
            "none": [None] * n,
            "one": ["k"] * n,
            "flag": rng.random(n) < 0.5,
            "gaps": np.where(rng.random(n) < 0.3, np.nan, rng.integers(0, 3, n)),
            "rare": np.where(np.arange(n) == 7, "rare", "usual"),
            "number": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
        }
        with pytest.warns(NotWatched):
            detector = DriftDetector().fit(pd.DataFrame(odd).sample(frac=1, random_state=1))
        assert len(detector.state.doubts) == 1

    def test_exchangeable_rows_are_rarely_doubted(self):
        """400 frames of independent rows: the share that is warned about is .01 up to a binomial tail of 1e-6."""
        rng, doubted = np.random.default_rng(0), 0
        for _ in range(400):
            n = 1_000
            data = {"x": rng.normal(size=n), "heavy": rng.standard_t(2, size=n), "u": rng.integers(0, 4, n)}
            whole = pd.DataFrame(data | {"t": np.where(rng.random(n) < 0.03, "b", "a")})
            profile = Binning.fit(whole, pairs=True).profile(whole)
            questions = Questions.of(Reference.of(profile), list(whole.columns), interactions=False)
            doubted += bool(rows_vary.doubts(whole, profile, questions))
        assert doubted <= binom.ppf(1 - RISK, 400, 0.01)


class TestQuestions:
    """Counts and weights behind the evidence, against pandas and loops."""

    @pytest.fixture(scope="class")
    @staticmethod
    def asked():
        rng = np.random.default_rng(0)
        whole = frame(rng, 2_000).assign(few=rng.integers(0, 3, 2_000), constant=1.0)
        profile = Binning.fit(whole, pairs=True).profile(whole)
        return whole, profile, Questions.of(Reference.of(profile), list(whole.columns), interactions=True)

    def test_sets_are_the_shares_that_words_say(self, asked):
        """Rows above an edge, between two edges, in a level, missing, and on the same side of two medians (pandas)."""
        whole, profile, questions = asked
        batch = whole[:150].assign(x=lambda d: d["x"].where(d["x"] < 1))
        hits, rows = (a[0].tolist() for a in questions.sets(questions.read(profile.binning.profile(batch))))
        assert len(hits) == len(questions.set_names) == 3 * N_SETS + len(questions.shares) + 3
        edges = np.quantile(whole["x"], np.arange(1, 20) / 20, method="inverted_cdf")
        x = batch["x"].dropna()
        assert hits[:19] == [(x > edge).sum() for edge in edges]
        assert hits[19:28] == [((x > edges[i]) & (x <= edges[18 - i])).sum() for i in range(9)]
        assert set(rows[:28]) == {len(x)}
        words = [questions.set_words(i) for i in range(len(hits))]
        assert hits[words.index("share of 'a'")] == (batch["t"] == "a").sum()
        assert rows[words.index("share of 'a'")] == batch["t"].notna().sum()
        assert hits[words.index("share of 2")] == (batch["few"] == 2).sum()
        missing = next(i for i, q in enumerate(questions.shares) if q.feature == "x")
        assert (hits[84 + missing], rows[84 + missing]) == (batch["x"].isna().sum(), 150)
        known = batch.dropna(subset="x")
        pair = questions.set_names.index("x ~ y")
        same = (known["x"] <= whole["x"].median()) == (known["y"] <= whole["y"].median())
        assert (hits[pair], rows[pair]) == (same.sum(), len(known))

    def test_weights_are_split_by_class_and_add_up_to_one(self, asked):
        """Location, scale, levels and missing keep their share; within a class features are equal, then levels."""
        *_, questions = asked
        weights = questions.class_weights(0.4, 0.25, 0.25, 0.1)
        kinds = ["location"] * 3 + ["scale"] * 3 + [q.kind for q in questions.shares]
        found = pd.Series(weights).groupby(kinds).sum()
        assert found.to_dict() == pytest.approx({"location": 0.4, "scale": 0.25, "level": 0.25, "missing": 0.1})
        owners = [q.feature if q.kind == "level" else "" for q in questions.shares]
        levels = pd.Series(weights[6:]).groupby(owners).sum().drop("")
        assert levels.to_dict() == pytest.approx(dict.fromkeys(["t", "few", "constant"], 0.25 / 3))
        assert batches_vary.weights(questions).sum() == pytest.approx(1)
        assert rows_vary.weights(questions).sum() == pytest.approx(1)

    @pytest.mark.parametrize("columns", [["x"], ["t"], ["x", "y"], ["constant"]])
    def test_weights_of_what_does_not_exist_go_to_the_rest(self, asked, columns):
        """Without pairs, levels or numbers the other weights are raised: they still add up to 1."""
        _, profile, _ = asked
        questions = Questions.of(Reference.of(profile), columns, interactions=True)
        for weights in (batches_vary.weights(questions), rows_vary.weights(questions)):
            assert weights.sum() == pytest.approx(1)
            assert (weights >= 0).all()

    def test_equal_edges_ask_once(self):
        """Where half of the values are one number its cumulative set has weight once, not once for each equal edge."""
        rng = np.random.default_rng(0)
        whole = pd.DataFrame({"x": np.where(rng.random(2_000) < 0.5, 0.0, rng.normal(size=2_000))})
        profile = Binning.fit(whole, pairs=True).profile(whole)
        feature = Questions.of(Reference.of(profile), ["x"], interactions=False).numeric[0]
        edges = feature.edges[CUMULATIVE]
        assert len(set(edges)) < len(edges)
        assert sorted(edges[feature.distinct()]) == sorted(set(edges))

    def test_levels_that_luck_put_below_the_cut_are_not_counted_together(self):
        """Of 500 equal levels half lie below .2% by chance; their share would rise with the next batch for certain."""
        rng = np.random.default_rng(0)
        whole = pd.DataFrame({"t": rng.integers(0, 500, 30_000).astype(str)})
        profile = Binning.fit(whole, pairs=True).profile(whole)
        questions = Questions.of(Reference.of(profile), ["t"], interactions=False)
        rest = [q for q in questions.shares if q.label.startswith("levels that")]
        assert 200 < sum(q.kind == "level" for q in questions.shares) < 300
        assert all(len(q.positions) == 1 for q in rest)  # nothing but what was never seen

    def test_many_equal_levels_raise_no_alarm(self):
        """The choice of levels by the reference does not break the promise of either null, with or without a band."""
        for options in ({}, {"null": "rows"}, {"null": "rows", "tolerance": 0.05}):
            rng = np.random.default_rng(3)
            batches = [pd.DataFrame({"t": rng.integers(0, 400, 500).astype(str)}) for _ in range(32)]
            detector = DriftDetector(**options).fit(batches[:20])
            assert not any(detector.update(batch).alarm for batch in batches[20:])

    def test_a_bet_that_cannot_win_gains_nothing(self):
        """Where the band reaches 0 or 1 no share can leave it, and no alarm comes by the clock alone."""
        whole = pd.DataFrame({"t": ["a", "b"] * 300})
        detector = DriftDetector(false_alarm_every=20, tolerance=0.9).fit(whole)
        assert not any(detector.update(whole).active for _ in range(100))

    def test_rare_levels_are_folded_into_the_rest(self):
        """Levels below .2% of the reference, or seen fewer than five times, share a question with levels never seen."""
        whole = pd.DataFrame({"t": ["a"] * 997 + ["b"] * 2 + ["c"]})
        profile = Binning.fit(whole, pairs=True).profile(whole)
        questions = Questions.of(Reference.of(profile), ["t"], interactions=False)
        assert [q.label for q in questions.shares] == [
            "'a'",
            "levels that the reference has rarely or never",
            "missing",
        ]
        batch = profile.binning.profile({"t": ["b", "c", "new", "a"]})
        assert questions.read(batch).hits[0].tolist() == [1, 3, 0]

    @settings(deadline=None, max_examples=20)
    @given(st.integers(1, 6), st.integers(0, 2**32))
    def test_readings_of_parts_add_up(self, k, seed):
        """Before and since are the sums of all but the newest k batches, and of those k (numpy sums)."""
        rng = np.random.default_rng(seed)
        draw = lambda *shape: rng.integers(0, 9, shape)  # noqa: E731
        pool = Readings(draw(7, 2, 20), draw(7, 3), draw(7, 3), draw(7, 1), draw(7, 1), draw(7, 2), draw(7, 1))
        before, since = pool.before_and_since(range(1, 7))
        for whole, early, late in zip(pool.arrays, before.arrays, since.arrays, strict=True):
            np.testing.assert_array_equal(early[k - 1], whole[: 7 - k].sum(axis=0))
            np.testing.assert_array_equal(late[k - 1], whole[7 - k :].sum(axis=0))


class TestTheBag:
    @settings(deadline=None, max_examples=20)
    @given(st.integers(1, 12), st.integers(0, 2**32))
    def test_batches_scored_one_by_one_are_those_scored_together(self, split, seed):
        """A bag rebuilt from stored counts equals the one that grew, to the last bit."""
        detector = fitted(np.random.default_rng(3), n_days=10, n=60)
        rng = np.random.default_rng(seed)
        pool = Readings.stack(
            [detector._questions.read(detector.state.reference.binning.profile(frame(rng, 60))) for _ in range(12)]
        )
        parts = [Readings(*(a[i : i + 1] for a in pool.arrays)) for i in range(split, 12)]
        grown = batches_vary.Scored.of(detector._questions, Readings(*(a[:split] for a in pool.arrays)))
        for part in parts:
            grown = grown.add(detector._questions, part)
        for a, b in zip(grown._arrays, batches_vary.Scored.of(detector._questions, pool)._arrays, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_two_futures_of_one_bag_do_not_disturb_each_other(self):
        """A copied detector and its original take different batches and still hold their own."""
        rng = np.random.default_rng(4)
        one = fitted(np.random.default_rng(3), n_days=10, n=60)
        one.update(frame(rng, 60))
        two = copy.copy(one)
        text = one.to_json()
        first, second = frame(rng, 60), frame(rng, 60, day=3.0)
        one.update(first)
        two.update(second)
        for detector, batch in ((one, first), (two, second)):
            again = DriftDetector.from_json(text)
            again.update(batch)
            assert again.to_json() == detector.to_json()


# What is promised, simulated at the level of the detector. Profiles are drawn as counts, which is quick and exact.

LEVELS = ["a", "b", "c"]


class Stream:
    """Draws profiles of n rows: two numeric features, one of text; `day` is the spread between batches (logits, sd)."""

    def __init__(self, seed, *, n=500, day=0.0):
        self.rng, self.n, self.day = np.random.default_rng(seed), n, day
        grid = np.linspace(0.0005, 0.9995, 1_000)
        reference = {"x": grid, "y": grid, "t": np.repeat(LEVELS, [500, 300, 200])}
        self.binning = Binning.fit(pd.DataFrame(reference), n_bins=20, pairs=True)
        self.middle = (np.arange(20) - 9.5) / 5.77

    def shares(self, base, tilt):
        weights = base * np.exp(tilt)
        return weights / weights.sum()

    def draw(self, probabilities):
        return self.rng.multinomial(self.n, probabilities)

    def profile(self):
        rng, day = self.rng, self.day
        normal = lambda: day * rng.normal()  # noqa: E731
        tilts = [normal() * self.middle + normal() * self.middle**2 / 2 for _ in range(2)]
        numeric = [self.draw(self.shares(np.full(20, 0.05), tilt)) for tilt in tilts]
        text = self.draw(self.shares(np.array([0.5, 0.3, 0.2, 0.001]), day * rng.normal(size=4)))
        missing = rng.binomial(self.n, self.shares(np.array([0.01, 0.99]), [normal(), 0])[0])
        same = rng.binomial(self.n, 1 / (1 + np.exp(-normal())))
        columns = [ColumnProfile(name, counts) for name, counts in zip("xy", numeric, strict=True)]
        kept = rng.multivariate_hypergeometric(text, self.n - missing)
        columns.append(ColumnProfile("t", kept, n_null=missing))
        concordant, paired = np.full((2, 2), same), np.full((2, 2), self.n)
        return Profile(self.binning, self.n, tuple(columns), concordant, paired, "0" * 32)


def false_alarms(runs, horizon, limit, *, n_reference, day, null):
    """Count the runs with an alarm within `horizon` batches of the reference's own law."""
    found = 0
    for seed in range(runs):
        stream = Stream(seed, day=day)
        reference = [stream.profile() for _ in range(n_reference)]
        detector = calm_fit(DriftDetector(false_alarm_every=limit, null=null, random_state=seed), reference)
        found += any(detector.update(stream.profile()).alarm for _ in range(horizon))
    return found


def calm_fit(detector, reference):
    """Fit without the warning that a few in a thousand references in control bring."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MlopskitWarning)
        return detector.fit(reference)


@pytest.mark.slow
class TestPromise:
    @pytest.mark.parametrize(
        ("null", "day", "n_reference"),
        [("batches", 0.0, 20), ("batches", 0.3, 20), ("batches", 0.3, 40), ("rows", 0.0, 10)],
    )
    def test_false_alarms_within_a_horizon(self, null, day, n_reference):
        """In 150 runs of 50 batches in control, at A = 250, at most T/A of the runs alarm (binomial tail 1e-6)."""
        runs, horizon, limit = 150, 50, 250
        found = false_alarms(runs, horizon, limit, n_reference=n_reference, day=day, null=null)
        assert found <= binom.ppf(1 - RISK, runs, horizon / limit)

    def test_rows_that_hang_together_break_the_promise_of_rows(self):
        """The same days counted row by row alarm in nearly every run: the check above can fail."""
        assert false_alarms(30, 50, 250, n_reference=20, day=0.3, null="rows") > binom.ppf(1 - RISK, 30, 0.2)


def mixed(rng, change=None, *, n=1_000, day=0.0):
    """Twenty features, 14 numeric and 6 of text, as in the table of the design; one of them changed."""
    z = rng.normal(size=(n, 14))
    rho = -0.5 if change == "correlation" else 0.5
    z[:, 1] = rho * z[:, 0] + np.sqrt(1 - rho**2) * z[:, 1]
    z[:, 3] = {"mean": z[:, 3] + 0.25, "variance": z[:, 3] * 1.5**0.5}.get(change, z[:, 3])
    data = {f"n{i}": column for i, column in enumerate((z + day * rng.normal(size=14)).T)}
    for i in range(6):
        p = np.array([0.1, 0.2, 0.3, 0.25, 0.15]) * np.exp(day * rng.normal(size=5))
        p = p / p.sum()
        if change == "category" and i == 2:
            p = np.where(np.arange(5) == 2, p[2] + 0.1, p * (0.9 - p[2]) / (1 - p[2]))
        data[f"t{i}"] = rng.choice(list("abcde"), n, p=p)
    if change == "unseen":
        data["t3"] = np.where(rng.random(n) < 0.01, "new", data["t3"])
    if change == "missing":
        data["n3"] = np.where(rng.random(n) < 0.05, np.nan, data["n3"])
    return pd.DataFrame(data)


NAMES = {
    "mean": "n3",
    "variance": "n3",
    "category": "t2",
    "unseen": "t3",
    "missing": "n3",
    "correlation": "n0 ~ n1",
}


@pytest.mark.slow
class TestDetection:
    @pytest.mark.parametrize(
        ("n_reference", "day", "slowest"),
        [
            (None, 0.0, dict.fromkeys(NAMES, 1.5)),
            (20, 0.0, dict.fromkeys(NAMES, 5.0)),
            (20, 0.1, dict.fromkeys(NAMES, 6.0) | {"mean": None, "category": None}),
        ],
        ids=["rows", "batches", "batches with days"],
    )
    def test_changes_are_found_as_fast_as_the_design_says(self, n_reference, day, slowest):
        """A = 1,000, batches of 1,000 rows: found within ten batches, mean delay in batches, right feature named.

        The change comes 20 batches after the reference of 5,000 rows or 20 batches. A mean of .25 and a category
        against day effects of .1 are measured, not required: the table has .70 for the mean.
        """
        delays = {change: [] for change in NAMES}
        for run in range(10):
            rng = np.random.default_rng(run)
            reference = [mixed(rng, day=day) for _ in range(n_reference)] if n_reference else mixed(rng, n=5_000)
            detector = DriftDetector(false_alarm_every=1_000, random_state=run).fit(reference)
            assert not any(detector.update(mixed(rng, day=day)).alarm for _ in range(20))
            state = detector.state
            for change, name in NAMES.items():
                detector.state = state
                reports = (detector.update(mixed(rng, change, day=day)) for _ in range(10))
                delay, alarm = next(((k, r) for k, r in enumerate(reports, 1) if r.alarm), (np.inf, None))
                delays[change].append(delay)
                assert alarm is None or alarm.features[0].name == name
        for change, limit in slowest.items():
            assert limit is None or np.mean(delays[change]) <= limit, (change, delays[change])


@pytest.mark.slow
class TestPromiseOfStrata:
    @pytest.mark.parametrize("null", ["batches", "rows"])
    @pytest.mark.parametrize("mixes", ["random", "week and weekend"])
    def test_false_alarms_within_a_horizon(self, null, mixes):
        """In 60 runs of 40 batches whose mix of hours changes, at A = 100, at most T/A of the runs alarm."""
        found = 0
        for seed in range(60):
            rng = np.random.default_rng(seed)

            def mix(t, rng=rng):
                return rng.dirichlet([4, 4, 4]) if mixes == "random" else (MORNING, EVENING)[t % 7 > 4]

            reference = [visits(rng, share=mix(t)) for t in range(28)]
            detector = DriftDetector(null=null, strata="hour", false_alarm_every=100, random_state=seed)
            calm_fit(detector, reference if null == "batches" else pd.concat(reference, ignore_index=True))
            found += any(detector.update(visits(rng, share=mix(t))).alarm for t in range(40))
        assert found <= binom.ppf(1 - RISK, 60, 0.4)

    def test_without_strata_another_mix_would_be_found(self):
        """Rows of evenings instead of all hours are a change to a detector that does not know the hours."""
        rng = np.random.default_rng(0)
        blind = DriftDetector(null="rows", features=["wait"], false_alarm_every=100).fit(visits(rng, 8_000))
        assert any(blind.update(visits(rng, share=EVENING)).alarm for _ in range(3))


class TestResolution:
    """What is said to be found is found."""

    @pytest.mark.parametrize("null", ["batches", "rows"])
    def test_what_is_promised_is_found(self, null):
        """A mean that moves by what is said to be found within 5 batches is found so in most of 30 streams."""
        found, smaller = [], []
        for seed in range(30):
            rng = np.random.default_rng(seed)
            detector = fitted(rng, n_days=25) if null == "batches" else rows_fitted(rng)
            table = detector.resolution(100).to_frame().set_index(["feature", "change"])
            size = table.loc[("x", "mean"), "within_5"]
            for counts, factor in ((found, 1.0), (smaller, 0.4)):
                one = copy.deepcopy(detector)
                moved = {"x": lambda d, rng, by=factor * size: d["x"] + by}
                counts.append(any(one.update(frame(rng, **moved)).alarm for _ in range(5)))
        assert np.mean(found) >= 0.6
        assert np.mean(smaller) < np.mean(found)

    def test_more_reference_finds_less(self):
        """More batches of reference, or more rows, find smaller changes; a looser limit too."""
        rng = np.random.default_rng(0)
        sizes = {}
        for n_days in (12, 100):
            detector = fitted(rng, n_days=n_days)
            sizes[n_days] = detector.resolution().to_frame().set_index(["feature", "change"])["within_20"]
        assert sizes[100]["x", "mean"] <= sizes[12]["x", "mean"]
        assert (
            rows_fitted(n=20_000).resolution(5_000).changes[0][3] < rows_fitted(n=20_000).resolution(100).changes[0][3]
        )

    def test_what_cannot_be_found_is_warned_about(self):
        """Two batches of reference find nothing within twenty: the warning names the features."""
        with pytest.warns(SmallReference):
            detector = fitted(n_days=2, false_alarm_every=100_000)
        with pytest.warns(SmallReference, match=r"too small to find a change of x \(mean\)"):
            found = detector.resolution()
        assert "none within 20 batches" in str(found)

    def test_a_tolerance_is_part_of_it(self):
        """With a tolerance the smallest change lies above it, and is one of a share."""
        rng = np.random.default_rng(0)
        detector = rows_fitted(rng, n=50_000, tolerance=0.1)
        table = detector.resolution(5_000).to_frame().set_index(["feature", "change"])
        assert 0.1 < table.loc[("x", "share above the median"), "within_20"] < 0.3

    def test_rows_must_be_some(self):
        with pytest.raises(ConfigurationError, match="n_rows=0"):
            fitted().resolution(0)


class TestCalibrate:
    """Replaying batches that are in control says whether the promise holds on them, and changes nothing."""

    def test_batches_of_the_same_law(self):
        """No alarm as they came, in random orders hardly one more than promised; the state stays as it was."""
        rng = np.random.default_rng(0)
        detector = fitted(rng)
        before = detector.to_json()
        found = detector.calibrate([frame(rng) for _ in range(30)], n_orders=10)
        assert detector.to_json() == before
        assert found.first_alarm is None
        assert found.share_shuffled <= 0.2
        assert found.to_frame()["bound"].tolist() == [30 / 365, 30 / 365]

    def test_batches_of_another_law(self):
        """Alarms in every order: the reference is not like them."""
        rng = np.random.default_rng(0)
        found = fitted(rng).calibrate([frame(rng, x=shifted) for _ in range(12)], n_orders=10)
        assert found.share_shuffled > 0.8
        assert "differ from the reference as a whole" in str(found)

    def test_batches_that_follow_one_another(self):
        """A season that comes and goes alarms as it came, and hardly in random orders."""
        rng = np.random.default_rng(4)
        detector = fitted(rng, n_days=60, day=0.5)
        season = [1.2 * np.sin(2 * np.pi * i / 60) for i in range(60)]
        batches = [frame(rng, day=0.5, x=lambda d, _rng, s=s: d["x"] + s) for s in season]
        found = detector.calibrate(batches, n_orders=12)
        assert found.first_alarm is not None
        assert found.share_shuffled < 0.5
        assert f"an alarm at batch {found.first_alarm + 1} of 60" in str(found)

    def test_nothing_to_replay_is_refused(self):
        with pytest.raises(DataError, match="at least one batch"):
            fitted().calibrate([])


class TestWhatCanBeFitted:
    """The reference of a registered version, and predictions and labels beside the features."""

    def test_the_reference_of_a_registered_version(self):
        """A detector fitted on what the registry keeps says what one fitted on the frame by day says."""
        rng = np.random.default_rng(0)
        history = pd.concat(
            [frame(rng).assign(day=pd.Timestamp("2024-01-01") + d * DAY, late=rng.random(100) < 0.3) for d in range(24)]
        )
        model = LogisticRegression()
        trainer = mk.Trainer(model, target="late", time="day", features=["x", "y"], scoring=["neg_log_loss"], cv=3)
        registry = mk.ModelRegistry("memory://")
        version = registry.register("late", trainer.train(history))
        kept = calm_fit(DriftDetector(), registry.load(version).reference)
        whole = calm_fit(DriftDetector(features=["x", "y"]), [day for _, day in history.groupby("day")])
        for number in range(6):
            batch = frame(rng, x=shifted)
            one, two = kept.update(batch, batch_id=str(number)), whole.update(batch, batch_id=str(number))
            assert one.evidence.log_value == pytest.approx(two.evidence.log_value, abs=1e-9)
        assert one.active

    def test_predictions_and_labels_are_features(self):
        """A shift of the predictions, or of the label, is found and named although no input moved."""
        rng = np.random.default_rng(1)

        def answered(shift=0.0, late=0.3):
            rows = frame(rng)
            return rows.assign(score=rng.beta(2, 5, len(rows)) + shift, late=rng.random(len(rows)) < late)

        for change, name in (({"shift": 0.2}, "score"), ({"late": 0.6}, "late")):
            detector = DriftDetector(false_alarm_every=200).fit([answered() for _ in range(30)])
            assert not detector.update(answered()).alarm
            reports = (detector.update(answered(**change)) for _ in range(12))
            assert next(r for r in reports if r.alarm).features[0].name == name

    @pytest.mark.parametrize("day", [0.0, 0.2])
    def test_a_long_frame_is_looked_at_in_parts(self, day):
        """Of 300,000 rows 50 stretches are enough to see days, and none are seen where there are none."""
        rng = np.random.default_rng(2)
        rows = pd.DataFrame({"x": rng.normal(size=300_000) + np.repeat(day * rng.normal(size=150), 2_000)})
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            DriftDetector().fit(rows)
        assert [w.category for w in told] == [RowsNotExchangeable] * bool(day)


class TestOddMoments:
    """Odd moments: strata that explain a mix, re-basing with batches of other sizes, a replay without a reference."""

    @staticmethod
    def rides(rng, p, shift):
        evening = rng.random(400) < p
        return pd.DataFrame({"h": np.where(evening, "e", "m"), "x": 6.0 * evening + rng.normal(shift, 1, 400)})

    @pytest.mark.parametrize("null", ["batches", "rows"])
    def test_words_compare_with_what_the_mix_explains(self, null):
        """Within both strata x falls by one sd, while the mix moves to the one where x is high: it fell."""
        rng = np.random.default_rng(0)
        reference = [self.rides(rng, p, 0.0) for p in rng.uniform(0.2, 0.6, 40)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RowsNotExchangeable)
            detector = DriftDetector(strata="h", null=null).fit(reference)
        for _ in range(8):
            report = detector.update(self.rides(rng, 0.8, -1.0))
        (feature,) = [f for f in report.features if f.name == "x"]
        assert "fell" in feature.message
        assert feature.effect_size < 0

    def test_a_large_batch_while_re_basing_is_tested(self):
        """A second fault in batches of twice the usual size is found, from a sample of their rows."""
        rng = np.random.default_rng(0)

        def day(n, a=0.0, b=0.0):
            return pd.DataFrame({"a": rng.normal(a, 1, n), "b": rng.normal(b, 1, n)})

        detector = DriftDetector(interactions=False).fit([day(200) for _ in range(30)])
        while not detector.update(day(200, a=2.0)).alarm:
            pass
        detector.rebase(n_batches=20)
        reports = [detector.update(day(500, a=2.0, b=3.0)) for _ in range(12)]
        assert any(report.alarm for report in reports)
        assert "the rest was tested" in reports[0].notes[-1]

    def test_a_batch_that_is_not_tested_says_so(self):
        rng = np.random.default_rng(0)
        frames_ = [pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)}) for _ in range(20)]
        detector = DriftDetector(interactions=False).fit(frames_)
        while not detector.update(pd.DataFrame({"a": rng.normal(3, 1, 200), "b": rng.normal(size=200)})).alarm:
            pass
        detector.rebase()
        with pytest.warns(BatchSizeWarning):
            report = detector.update(frames_[0][:50].reset_index(drop=True))
        assert "because of its size" in report.notes[-1]

    def test_no_replay_without_a_reference(self):
        rng = np.random.default_rng(0)
        detector = fitted(rng).rebase(everything=True)
        with pytest.raises(DataError, match="re-basing"):
            detector.calibrate([frame(rng) for _ in range(5)])

    @pytest.mark.parametrize("n", [2.5, True, "3"])
    def test_batches_are_counted_in_whole_numbers(self, n):
        with pytest.raises(ConfigurationError, match="whole number"):
            fitted(np.random.default_rng(0)).rebase(n_batches=n)

    def test_a_new_reference_is_looked_at_like_the_first(self):
        """Batches that follow one another are named after re-basing, too; so is a much smaller reference of rows."""
        rng = np.random.default_rng(0)
        detector = fitted(rng)
        detector.rebase(n_batches=40, everything=True)
        level = 0.0
        for _ in range(40):
            level = 0.9 * level + rng.normal(0, 0.5)
            report = detector.update(frame(rng).assign(x=lambda d, at=level: d["x"] + at))
        assert any("follow one another" in doubt for doubt in detector.state.doubts), report
        rows = DriftDetector().fit(pd.DataFrame({"x": rng.normal(size=900)}))
        rows.rebase()
        rows.update(pd.DataFrame({"x": rng.normal(size=50)}))
        assert "the new reference has 50 rows" in rows.state.doubts[0]

    def test_luck_is_not_blamed_on_the_order(self):
        lucky = DriftCalibration(200, 5, (True,) * 10 + (False,) * 10, 200 / 365)
        assert "no more alarms than promised" in str(lucky)
        assert "follow one another" in str(DriftCalibration(200, 5, (False,) * 20, 200 / 365))
        assert "differ from the reference" in str(DriftCalibration(30, 5, (True,) * 20, 30 / 365))
