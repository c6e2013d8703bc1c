"""BiasMonitor: rates by group against a second source, the false-alarm promise, planted gaps, bad input, state."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from mlopskit import formats
from mlopskit.errors import ConfigurationError, DataError, DuplicateBatch, FormatError, StateMismatch
from mlopskit.monitoring.bias import METRICS, BiasMonitor, BiasState, _strongest
from mlopskit.stats.sequential import (
    LOG_STAKE_WEIGHTS,
    e_benjamini_hochberg,
    log_gap_bets,
    log_mean_exp,
    log_shiryaev_roberts,
)

ALL = tuple(METRICS)


def batch(rng, n=300, groups=("a", "b", "c"), shift=0.0):
    """Rows of one batch; group "a" is predicted positive `shift` more often."""
    group = rng.choice(groups, size=n)
    score = rng.uniform(0.1, 0.9, size=n)
    return {
        "sensitive_frame": pd.DataFrame({"group": group}),
        "y_pred": (rng.uniform(size=n) < 0.4 + shift * (group == "a")).astype(int),
        "y_true": (rng.uniform(size=n) < score).astype(int),
        "y_score": score,
    }


def by_hand(frame, pred, true, score, metric):
    """Rate of each group and of its rest, by pandas groupby: the second source."""
    data = frame.assign(pred=pred, true=true, score=score)
    rows = {
        "selection_rate": data.assign(v=data.pred),
        "tpr": data[data.true == 1].assign(v=data.pred),
        "fpr": data[data.true == 0].assign(v=data.pred),
        "ppv": data[data.pred == 1].assign(v=data.true),
        "calibration_gap": data.assign(v=data.true - data.score),
    }[metric]
    own = rows.groupby("group").v.agg(["mean", "size"])
    return {g: (own["mean"][g], rows.v[rows.group != g].mean(), own["size"][g]) for g in own.index}


def test_rates_agree_with_groupby():
    """Every metric's rate, rest rate, gap and number of rows is what pandas groupby gives."""
    rows = batch(np.random.default_rng(1), n=900)
    report = BiasMonitor(["group"], metrics=ALL).update(**rows)
    assert len(report.gaps) == 3 * len(ALL)
    for gap in report.gaps:
        rate, rest, n = by_hand(rows["sensitive_frame"], rows["y_pred"], rows["y_true"], rows["y_score"], gap.metric)[
            gap.group
        ]
        assert gap.rate == pytest.approx(rate, abs=1e-12)
        assert gap.rest_rate == pytest.approx(rest, abs=1e-12)
        assert gap.gap == pytest.approx(rate - rest, abs=1e-12)
        assert gap.mean_gap == pytest.approx(gap.gap, abs=1e-12)
        assert (gap.n_rows, gap.n_batches) == (n, 1)


def test_interval_of_a_gap_agrees_with_statsmodels():
    """The batch's interval is Newcombe's, as statsmodels computes it; a calibration gap has none."""
    rows = batch(np.random.default_rng(2), n=400, groups=("a", "b"))
    report = BiasMonitor("group").update(**rows)
    pred, group = rows["y_pred"], rows["sensitive_frame"]["group"].to_numpy()
    low, high = confint_proportions_2indep(
        pred[group == "a"].sum(), (group == "a").sum(), pred[group == "b"].sum(), (group == "b").sum(), method="newcomb"
    )
    found = {(g.group, g.metric): g for g in report.gaps}
    assert (found["a", "selection_rate"].low, found["a", "selection_rate"].high) == pytest.approx((low, high), abs=1e-9)
    assert math.isnan(found["a", "calibration_gap"].low)
    assert math.isnan(found["a", "calibration_gap"].high)


def test_evidence_is_the_stated_formula():
    """Evidence is the mean over sides and stakes of (1 + M) e, calibration gaps halved; a silent batch changes none."""
    rng = np.random.default_rng(3)
    monitor = BiasMonitor("group", metrics=ALL, tolerance=0.02)
    m = {}
    for _ in range(5):
        rows = batch(rng, n=600, shift=0.1)
        report = monitor.update(**rows)
        for metric in ALL:
            width = 2.0 if metric == "calibration_gap" else 1.0
            hand = by_hand(rows["sensitive_frame"], rows["y_pred"], rows["y_true"], rows["y_score"], metric)
            for group, (rate, rest, _) in hand.items():
                d, tol = (rate - rest) / width, 0.02 / width
                for side in (1, -1):
                    for k in range(8):
                        e = 1 + 2.0**-k / (1 + tol) * (side * d - tol)
                        m[group, metric, side, k] = (1 + m.get((group, metric, side, k), 0.0)) * e
    for gap in report.gaps:
        stakes = [sum(2.0**-k * m[gap.group, gap.metric, side, k] for k in range(8)) for side in (1, -1)]
        mean = sum(stakes) / 2 / sum(2.0**-k for k in range(8))
        assert gap.log_evidence == pytest.approx(math.log(mean), abs=1e-9)
    before = monitor.state
    monitor.update(pd.DataFrame({"group": ["a", "b"]}), [0, 1], [0, 1], [0.5, 0.5])
    assert np.array_equal(monitor.state.log_m, before.log_m)
    assert np.array_equal(monitor.state.n, before.n)


def simulate(draw_gaps, n_runs, n_batches, limit, tolerance, seed):
    """Run the monitor's own rule on many streams at once; return in which batch each run raised its first alarm."""
    rng = np.random.default_rng(seed)
    first = np.full(n_runs, n_batches)
    log_m = None
    for t in range(n_batches):
        d = draw_gaps(rng, n_runs)
        log_m = np.full((*d.shape, 2, 8), -np.inf) if log_m is None else log_m
        log_m = log_shiryaev_roberts(log_m, log_gap_bets(d, tolerance))
        log_q = log_mean_exp(log_mean_exp(log_m, LOG_STAKE_WEIGHTS))
        alarm = e_benjamini_hochberg(log_q, 1 / limit).any(axis=-1)
        first = np.minimum(first, np.where(alarm, t, n_batches))
    return first


@pytest.mark.parametrize("null", ["bounds", "days", "mirror"])
def test_false_alarm_promise(null):
    """With every gap's mean on the edge of the null, at most T/A of 2,000 runs alarm (binomial tail 1e-3)."""
    n_runs, n_batches, limit, tolerance = 2_000, 60, 300, 0.05

    def gaps(rng, n):
        if null == "bounds":  # as wild as a gap in [-1, 1] can be
            return np.where(rng.uniform(size=(n, 6)) < (1 + tolerance) / 2, 1.0, -1.0)
        if null == "days":  # ordinary days, six questions that hang together
            return np.clip(tolerance + 0.1 * rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, 6)), -1, 1)
        d = np.where(rng.uniform(size=(n, 1)) < (1 + tolerance) / 2, 1.0, -1.0)
        return np.concatenate([d, -d], axis=1)  # two groups: each is the other's rest

    alarms = int((simulate(gaps, n_runs, n_batches, limit, tolerance, seed=4) < n_batches).sum())
    assert alarms <= stats.binom.ppf(0.999, n_runs, n_batches / limit)


def test_false_discovery_rate_with_one_real_gap():
    """With one large gap among eight questions, the mean share of false ones at the first alarm is at most T/A."""
    n_runs, n_batches, limit, tolerance = 500, 60, 300, 0.05
    rng = np.random.default_rng(5)
    log_m = np.full((n_runs, 8, 2, 8), -np.inf)
    share, done = np.zeros(n_runs), np.zeros(n_runs, dtype=bool)
    for _ in range(n_batches):
        d = np.where(rng.uniform(size=(n_runs, 8)) < (1 + tolerance) / 2, 1.0, -1.0)
        d[:, 0] = np.where(rng.uniform(size=n_runs) < 0.8, 1.0, -1.0)
        log_m = log_shiryaev_roberts(log_m, log_gap_bets(d, tolerance))
        flagged = e_benjamini_hochberg(log_mean_exp(log_mean_exp(log_m, LOG_STAKE_WEIGHTS)), 1 / limit)
        new = flagged.any(axis=1) & ~done
        share[new] = flagged[new, 1:].sum(axis=1) / flagged[new].sum(axis=1)
        done |= new
    assert done.mean() > 0.5
    assert share.mean() <= n_batches / limit
    assert share.mean() < 0.05


def test_the_rule_simulated_is_the_monitor():
    """The monitor's evidence and alarm are those of the rule that the calibration tests run."""
    rng = np.random.default_rng(6)
    monitor = BiasMonitor("group", metrics=["selection_rate"], tolerance=0.05, false_alarm_every=50)
    log_m = np.full((3, 2, 8), -np.inf)
    for _ in range(60):
        rows = batch(rng, shift=0.3)
        report = monitor.update(rows["sensitive_frame"], rows["y_pred"])
        hand = by_hand(rows["sensitive_frame"], rows["y_pred"], 0, 0.0, "selection_rate")
        d = np.array([hand[g][0] - hand[g][1] for g in "abc"])
        log_m = log_shiryaev_roberts(log_m, log_gap_bets(d, 0.05))
        flagged = e_benjamini_hochberg(log_mean_exp(log_mean_exp(log_m, LOG_STAKE_WEIGHTS)), 1 / 50)
        assert {g.group for g in report.flagged} == {g for g, f in zip("abc", flagged, strict=True) if f}
        assert report.evidence.exceeded == flagged.any()
    assert report.active


@given(st.lists(st.floats(-20, 20) | st.just(-math.inf), min_size=1, max_size=8), st.floats(1.5, 1e4))
def test_strongest_reaches_the_limit_exactly_where_a_question_is_flagged(log_m, limit):
    """The number printed as evidence exceeds log A where e-BH flags, up to rounding on the edge itself."""
    value, flagged = _strongest(np.array(log_m)), e_benjamini_hochberg(np.array(log_m), 1 / limit).any()
    if abs(value - math.log(limit)) > 1e-9:
        assert (value >= math.log(limit)) == flagged


def test_planted_gap_is_named_with_its_direction_and_its_beginning():
    """A gap of +30 points from batch 40 on is found, named for its group, and its size is not diluted by the past."""
    rng = np.random.default_rng(7)
    monitor = BiasMonitor("group", metrics=["selection_rate"])
    for t in range(120):
        rows = batch(rng, shift=0.0 if t < 40 else 0.3)
        report = monitor.update(rows["sensitive_frame"], rows["y_pred"], batch_id=t)
        assert not (report.active and t < 40)
        if report.alarm:
            break
    assert 40 < t < 90
    assert report.since == str(t)
    strongest = report.flagged[0]
    assert (strongest.group, strongest.metric) == ("a", "selection_rate")
    size = float(strongest.message.split("predicted positive ")[1].split(" points")[0])
    assert 25 < size < 35
    assert "points more often than the rest, mean over" in strongest.message
    assert strongest.mean_gap < 0.25
    assert "ALARM" in str(report)
    assert strongest.message in str(report)


def test_scores_too_low_for_one_group_are_found():
    """A calibration gap of .4 is named: outcomes exceed scores."""
    rng = np.random.default_rng(8)
    monitor = BiasMonitor("group", metrics=["calibration_gap"])
    for _ in range(120):
        group = np.repeat(["a", "b"], 100)
        score = rng.uniform(0.1, 0.5, size=200)
        true = rng.uniform(size=200) < score + 0.4 * (group == "a")
        report = monitor.update({"group": group}, score > 0.3, true, score)
        if report.alarm:
            break
    assert report.alarm
    messages = [gap.message for gap in report.flagged]
    assert any("group=a: outcomes exceed scores by" in m for m in messages)
    assert any("group=b: scores exceed outcomes by" in m for m in messages)
    assert abs(report.flagged[0].gap) > 0.2


def test_fair_model_stays_quiet_where_days_differ_by_group():
    """Forty groups of fifty rows with day-by-group effects of .3 on the logit raise no alarm in 200 batches."""
    rng = np.random.default_rng(9)
    monitor = BiasMonitor("group", metrics=["selection_rate"])
    group = np.repeat([f"g{i:02d}" for i in range(40)], 50)
    frame = pd.DataFrame({"group": group})
    for _ in range(200):
        logit = np.repeat(rng.normal(0, 0.3, 40), 50)
        report = monitor.update(frame, (rng.uniform(size=2000) < 1 / (1 + np.exp(-logit))).astype(int))
        assert not report.active
    assert len(report.gaps) == 40


def test_a_fair_model_never_alarms_by_the_clock():
    """Without any gap M gains less than it loses: after 5,000 batches it is far below A = 365."""
    log_m = np.full((2, 8), -np.inf)
    for t in range(1, 5_001):
        log_m = log_shiryaev_roberts(log_m, log_gap_bets(0.0, 0.05))
        assert float(log_mean_exp(log_mean_exp(log_m, LOG_STAKE_WEIGHTS))) < math.log(min(t + 1, 82))


def test_one_alarm_per_episode():
    """A lasting gap is one alarm; after acknowledging, evidence starts from zero and it is found again."""
    rng = np.random.default_rng(10)
    monitor = BiasMonitor("group", metrics=["selection_rate"])
    alarms = []
    for t in range(160):
        rows = batch(rng, shift=0.4)
        report = monitor.update(rows["sensitive_frame"], rows["y_pred"], batch_id=t)
        if report.alarm:
            alarms.append(t)
            since = report.since
        elif alarms and t <= 80:
            assert report.since == since
        if t == 80:
            assert len(alarms) == 1
            monitor.acknowledge("known, being fixed")
            assert monitor.state.episodes.since is None
            assert monitor.state.n_batches == 0
            assert len(monitor.state.questions) == 3
    assert len(alarms) == 2
    assert alarms[1] > 80 + 10
    assert [e.kind for e in monitor.state.episodes.events] == ["alarm", "acknowledged", "alarm"]
    assert monitor.state.episodes.events[1].reason == "known, being fixed"
    assert "group=a: predicted positive" in monitor.state.episodes.events[0].reason


def test_acknowledging_nothing_changes_nothing():
    """Without an open episode the evidence is kept, so that a habit cannot silence the monitor."""
    monitor = BiasMonitor("group")
    monitor.update(**batch(np.random.default_rng(11)))
    before = monitor.to_json()
    monitor.acknowledge()
    assert monitor.to_json() == before


def test_after_acknowledging_a_question_without_an_answer_is_still_listed():
    """Questions are never forgotten: K does not shrink, and what has no answer has no number."""
    rng = np.random.default_rng(12)
    monitor = BiasMonitor("group", metrics=["selection_rate"], false_alarm_every=2, tolerance=0.0)
    while not monitor.update(**batch(rng, shift=0.6)).alarm:
        pass
    monitor.acknowledge()
    report = monitor.update(**batch(rng, groups=("a", "b")))
    found = {gap.group: gap for gap in report.gaps}
    assert set(found) == {"a", "b", "c"}
    assert math.isnan(found["c"].mean_gap)
    assert (found["c"].n_batches, found["c"].message, found["c"].log_evidence) == (0, "", -math.inf)
    assert not found["c"].flagged


def test_json_round_trip_goes_on_bit_equal():
    """A monitor written and read in mid-stream gives the same reports and the same JSON as one that never stopped."""
    rng = np.random.default_rng(13)
    straight = BiasMonitor(["group"], metrics=ALL, alpha=0.5, horizon=50)
    broken = BiasMonitor(["group"], metrics=ALL, alpha=0.5, horizon=50)
    for t in range(30):
        rows = batch(rng, n=600, shift=0.5, groups=("a", "b") if t < 10 else ("a", "b", "c"))
        first, second = straight.update(**rows, batch_id=t), broken.update(**rows, batch_id=t)
        assert first.to_dict() == second.to_dict()
        broken = BiasMonitor.from_json(broken.to_json())
        assert broken.to_json() == straight.to_json()
        assert broken.state == straight.state
    assert first.active


def test_a_state_under_other_dials_is_refused():
    """A turned dial raises StateMismatch, through the constructor and through edited JSON; the same dials do not."""
    monitor = BiasMonitor("group")
    monitor.update(**batch(np.random.default_rng(14)))
    assert BiasMonitor("group", state=monitor.state).to_json() == monitor.to_json()
    text = formats.to_json(monitor.state)
    assert formats.from_json(text, BiasState) == monitor.state
    with pytest.raises(StateMismatch, match="another configuration"):
        BiasMonitor("group", tolerance=0.1, state=monitor.state)
    with pytest.raises(StateMismatch):
        BiasMonitor.from_json(monitor.to_json().replace('"tolerance":0.05', '"tolerance":0.01'))
    with pytest.raises(FormatError):
        BiasMonitor.from_json("{}")


def test_dials_cannot_be_turned_in_place():
    """The configuration is frozen after construction."""
    with pytest.raises(AttributeError):
        BiasMonitor("group").tolerance = 0.2


def test_a_batch_sent_twice_is_refused_and_changes_nothing():
    """The same id raises, whatever type it has, and the state stays."""
    monitor = BiasMonitor("group")
    rows = batch(np.random.default_rng(15))
    monitor.update(**rows, batch_id=pd.Timestamp("2013-03-01"))
    before = monitor.to_json()
    with pytest.raises(DuplicateBatch, match="2013-03-01"):
        monitor.update(**rows, batch_id=dt.date(2013, 3, 1))
    assert monitor.to_json() == before


def test_labels_may_come_later_under_the_same_id():
    """First without labels, then with them: every question is answered once, as if all had come together."""
    rows = batch(np.random.default_rng(16))
    together, apart = BiasMonitor("group"), BiasMonitor("group")
    whole = together.update(**rows, batch_id="x")
    early = apart.update(rows["sensitive_frame"], rows["y_pred"], batch_id="x")
    assert {g.metric for g in early.gaps} == {"selection_rate"}
    assert any("no labels in this batch" in note for note in early.notes)
    late = apart.update(**rows, batch_id="x")
    assert apart.state.episodes.seen == ("x",)
    assert apart.state.n_batches == 1
    assert {(g.group, g.metric, g.log_evidence) for g in late.gaps} == {
        (g.group, g.metric, g.log_evidence) for g in whole.gaps
    }
    for kwargs in (rows, {k: rows[k] for k in ("sensitive_frame", "y_pred")}):
        with pytest.raises(DuplicateBatch):
            apart.update(**kwargs, batch_id="x")


def test_labels_cannot_come_later_where_no_metric_needs_them():
    """Without a metric that needs labels the second sending is a duplicate."""
    rows = batch(np.random.default_rng(17))
    monitor = BiasMonitor("group", metrics="selection_rate")
    monitor.update(rows["sensitive_frame"], rows["y_pred"], batch_id="x")
    with pytest.raises(DuplicateBatch):
        monitor.update(**rows, batch_id="x")


def test_small_groups_are_not_asked_and_the_report_says_so():
    """A group below min_rows adds no question, and the note names it; more than three are counted."""
    group = ["a"] * 50 + ["b"] * 50 + ["x"] * 3 + ["y"] * 2 + ["z"] + ["w"]
    report = BiasMonitor("group").update({"group": group}, np.arange(107) % 2)
    assert {g.group for g in report.gaps} == {"a", "b"}
    assert "group, selection_rate: fewer than 30 rows in w, x, y and 1 more or in the rest" in report.notes
    assert "not asked: group, selection_rate" in str(report)


def test_min_rows_counts_the_rows_of_the_rate():
    """A group with rows enough but few truly positive ones answers fpr and not tpr."""
    group = np.repeat(["a", "b"], 100)
    true = np.r_[np.arange(100) < 5, np.arange(100) < 50]
    report = BiasMonitor("group", metrics=["tpr", "fpr"]).update({"group": group}, np.arange(200) % 2, true)
    assert {(g.group, g.metric) for g in report.gaps} == {("a", "fpr"), ("b", "fpr")}


def test_one_group_is_no_question():
    """With one group there is no rest: no evidence, no failure, a note."""
    report = BiasMonitor("group").update({"group": ["a"] * 100}, np.arange(100) % 2)
    assert report.gaps == ()
    assert report.evidence.log_value == -math.inf
    assert not report.alarm
    assert "group: one group only (a), there is no rest to compare it with" in report.notes
    assert list(report.to_frame().columns)[:3] == ["feature", "group", "metric"]
    assert "one group only" in report._repr_html_()


def test_a_group_that_appears_later_starts_from_zero_and_raises_the_bar():
    """A new group adds questions at its first batch; the old ones keep their evidence, K grows."""
    rng = np.random.default_rng(18)
    monitor = BiasMonitor("group", metrics=["selection_rate"])
    for _ in range(5):
        before = monitor.update(**batch(rng, groups=("a", "b")))
    rows = batch(rng, groups=("a", "b", "c"))
    twin = BiasMonitor("group", metrics=["selection_rate"], state=monitor.state)
    after = monitor.update(**rows)
    assert len(before.gaps) == 2
    found = {g.group: g for g in after.gaps}
    assert (found["a"].n_batches, found["c"].n_batches) == (6, 1)
    assert found["c"].log_evidence == pytest.approx(
        float(log_mean_exp(log_mean_exp(log_gap_bets(found["c"].gap, 0.05), LOG_STAKE_WEIGHTS))), abs=1e-9
    )
    assert [q[1] for q in monitor.state.questions] == ["a", "b", "c"]
    assert twin.update(**rows).to_dict() == after.to_dict()


def test_missing_is_a_group_of_its_own():
    """None and NaN are the group "(missing)", whatever the dtype."""
    values = ["a"] * 40 + [None] * 40
    wanted = {"a", "(missing)"}
    pred = np.arange(80) % 2
    for frame in (
        pd.DataFrame({"group": values}),
        pd.DataFrame({"group": pd.array(values, dtype="string")}),
        pd.DataFrame({"group": pd.Categorical(values)}),
        pd.DataFrame({"group": pd.array(values, dtype=pd.ArrowDtype(pa.string()))}),
        pl.DataFrame({"group": values}),
        pa.table({"group": values}),
    ):
        assert {g.group for g in BiasMonitor("group").update(frame, pred).gaps} == wanted


def test_groups_have_one_name_whatever_the_dtype():
    """An integer group is the same group in an integer, a float (with NaN), a nullable and an Arrow column."""
    numbers = [1] * 40 + [2] * 40
    pred = np.arange(80) % 2
    frames = [
        pd.DataFrame({"group": numbers}),
        pd.DataFrame({"group": np.array(numbers, dtype=float)}),
        pd.DataFrame({"group": pd.array(numbers, dtype="Int64")}),
        pd.DataFrame({"group": pd.array(numbers, dtype=pd.ArrowDtype(pa.int64()))}),
        pd.DataFrame({"group": pd.Categorical(numbers)}),
    ]
    for frame in frames:
        assert {g.group for g in BiasMonitor("group").update(frame, pred).gaps} == {"1", "2"}
    flags = pd.DataFrame({"group": np.repeat([True, False], 40)})
    assert {g.group for g in BiasMonitor("group").update(flags, pred).gaps} == {"True", "False"}


def test_labels_of_every_common_type_are_read():
    """Numbers, booleans, text and nullable dtypes give the same rate."""
    group, pred = {"group": np.repeat(["a", "b"], 50)}, np.arange(100) % 4 == 0
    text = np.where(pred, "yes", "no")
    expected = BiasMonitor("group").update(group, pred).to_frame()["rate"].tolist()
    for labels in (pred.astype(int), pred.astype(float), pd.array(pred, dtype="boolean"), pl.Series(pred), list(pred)):
        assert BiasMonitor("group").update(group, labels).to_frame()["rate"].tolist() == expected
    for labels in (text, pd.Series(pd.Categorical(text)), pd.Series(text, dtype="str")):
        report = BiasMonitor("group", pos_label="yes").update(group, labels)
        assert report.to_frame()["rate"].tolist() == expected


def test_row_order_and_extra_columns_do_not_matter():
    """Shuffled rows and further columns give the same evidence."""
    rows = batch(np.random.default_rng(19))
    order = np.random.default_rng(0).permutation(300)
    frame = rows["sensitive_frame"].assign(other=1.0)
    one = BiasMonitor("group", metrics=["selection_rate", "tpr"])
    two = BiasMonitor("group", metrics=["selection_rate", "tpr"])
    first = one.update(rows["sensitive_frame"], rows["y_pred"], rows["y_true"])
    second = two.update(frame.iloc[order], rows["y_pred"][order], rows["y_true"][order])
    assert first.to_dict() == second.to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sensitive_frame": pd.DataFrame({"group": []}), "y_pred": []}, "empty"),
        ({"sensitive_frame": pd.DataFrame({"other": ["a", "b"]})}, "group"),
        ({"sensitive_frame": pd.DataFrame([["a", "b"], ["a", "b"]], columns=["group", "group"])}, "group"),
        ({"y_pred": [1, 0, 1]}, "y_pred has 3 values"),
        ({"y_pred": [1, None]}, "y_pred is missing in 1 of 2"),
        ({"y_pred": [0.2, 0.8]}, "probabilities as y_score"),
        ({"y_pred": ["yes", "no"]}, "set pos_label"),
        ({"y_pred": [[0, 1], [1, 0]]}, "2 dimensions"),
        ({"y_pred": pd.to_datetime(["2013-01-01", "2013-01-02"])}, "kind 'datetime'"),
        ({"y_true": [1.0, float("nan")]}, "y_true is missing in 1 of 2"),
        ({"y_true": [1]}, "y_true has 1 values"),
        ({"y_score": None}, "calibration_gap needs y_score"),
        ({"y_score": [0.5, 1.5]}, r"outside \[0, 1\] in 1 of 2"),
        ({"y_score": [0.5, float("inf")]}, r"outside \[0, 1\] in 1 of 2"),
        ({"y_score": [0.5, None]}, "y_score is missing in 1 of 2"),
        ({"y_score": ["a", "b"]}, "expected numbers"),
        ({"batch_id": float("nan")}, "missing"),
    ],
)
def test_bad_batches_are_refused_and_change_nothing(change, message):
    """Each kind of bad input has its message, and the state is as it was."""
    monitor = BiasMonitor("group")
    rows = {"sensitive_frame": pd.DataFrame({"group": ["a", "b"]}), "y_pred": [0, 1], "y_true": [0, 1]}
    before = monitor.to_json()
    with pytest.raises(DataError, match=message):
        monitor.update(**{**rows, "y_score": [0.5, 0.5], **change})
    assert monitor.to_json() == before


@pytest.mark.parametrize(
    "bad",
    [
        {"sensitive_features": []},
        {"sensitive_features": ["g", "g"]},
        {"metrics": []},
        {"metrics": ["accuracy"]},
        {"tolerance": 1.0},
        {"tolerance": -0.1},
        {"tolerance": float("nan")},
        {"min_rows": 0},
        {"pos_label": None},
        {"false_alarm_every": 1},
        {"alpha": 0.05},
        {"false_alarm_every": 10, "alpha": 0.05, "horizon": 10},
    ],
)
def test_bad_configuration_fails_at_construction(bad):
    """No monitor is made with a dial that cannot work."""
    with pytest.raises(ConfigurationError):
        BiasMonitor(**{"sensitive_features": ["group"], **bad})


def test_report_prints_draws_and_frames():
    """The report has one row per group and metric, bars for each, and plain data for a log."""
    rows = batch(np.random.default_rng(20))
    report = BiasMonitor("group").update(**rows, batch_id="d1")
    frame = report.to_frame()
    assert len(frame) == 6
    assert frame["log_evidence"].is_monotonic_decreasing
    assert {"n_rows", "rate", "rest_rate", "gap", "mean_gap", "log_evidence", "flagged"} <= set(frame.columns)
    assert len(report.plot().patches) == 6
    assert report.to_dict()["batch_id"] == "d1"
    assert report.to_dict()["monitor"] == "bias"
    assert str(report).startswith("bias, d1: no alarm")
    assert "P(first false alarm within T batches) <= T/365" in str(report)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(["ab", "abc", "c"]), min_size=1, max_size=6))
def test_questions_only_grow_and_answers_add_up(seed, worlds):
    """Whatever groups come and go, K never shrinks and n_batches counts the batches that held the group."""
    rng = np.random.default_rng(seed)
    monitor = BiasMonitor("group", metrics=["selection_rate"], min_rows=1)
    size, counts = 0, dict.fromkeys("abc", 0)
    for world in worlds:
        rows = batch(rng, n=60, groups=tuple(world))
        present = set(rows["sensitive_frame"]["group"])
        for group in present if len(present) > 1 else ():
            counts[group] += 1
        report = monitor.update(rows["sensitive_frame"], rows["y_pred"])
        assert len(report.gaps) >= size
        size = len(report.gaps)
        assert {g.group: g.n_batches for g in report.gaps} == {g: n for g, n in counts.items() if n}
