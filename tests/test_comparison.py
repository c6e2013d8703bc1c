"""Comparison: each fault is named once with its size, noise is not named, and no leak into test is missed."""

import decimal
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, rankdata
from sklearn.metrics import roc_auc_score

from mlopskit.comparison import compare, leakage
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.profiling.profiles import Binning

N = 2000


def make(seed, n=N):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "price": np.where(rng.random(n) < 0.02, np.nan, rng.normal(100, 10, n)),
            "hour": rng.integers(5, 9, n),
            "origin": rng.choice(["JFK", "EWR", "LGA"], n),
            "kind": pd.Categorical(rng.choice(["x", "y"], n)),
            "flag": rng.random(n) < 0.5,
            "took": pd.to_timedelta(rng.integers(1, 10**6, n), unit="s"),
            "cost": [decimal.Decimal(int(v)) / 100 for v in rng.integers(0, 1000, n)],
            "big": [2**70 + int(v) for v in rng.integers(0, 100, n)],
            "id": [f"{seed}-{i}" for i in range(n)],
            "day": pd.date_range("2013-01-01", periods=n, freq="h", tz="Europe/Berlin"),
        }
    )


TRAIN, SERVE = make(1), make(2)


def engines(frame):
    frame = frame.drop(columns=["big"], errors="ignore")
    return [frame, pl.from_pandas(frame), pa.Table.from_pandas(frame, preserve_index=False)]


def faults(report):
    return [(f.column, f.check, f.severity) for f in report.findings]


def test_without_a_change_nothing_is_found():
    """Two samples of one law pass, whatever the kinds: ids that never repeat and small batches are no fault either."""
    assert faults(compare(TRAIN, SERVE)) == []
    for seed in range(3, 13):
        assert faults(compare(TRAIN, make(seed, 30).drop(columns="day"), columns=TRAIN.columns[:-1])) == []
    assert compare(TRAIN, TRAIN).passed


def now_and_then(share, value):
    def change(column):
        column = column.astype(object)
        column[np.arange(N) < share * N] = value
        return column

    return change


CHANGES = [
    ("price", lambda c: c.mask(np.arange(N) % 10 == 0), "null", "error"),
    ("price", lambda c: c + 10, "distribution", "error"),
    ("price", lambda c: c.mask(np.arange(N) < 0.03 * N, -9999.0), "mean", "error"),
    ("price", lambda c: c.mask(np.arange(N) < 0.05 * N, np.inf), "infinite", "error"),
    ("price", lambda c: c.mask(np.arange(N) < 0.3 * N, -np.inf), "infinite", "error"),
    ("price", lambda c: c.astype(str), "kind", "error"),
    ("price", now_and_then(0.01, "n/a"), "kind", "error"),
    ("price", lambda c: (c > 100).astype(object).where(c.notna(), None), "kind", "error"),
    ("hour", lambda c: c + 20, "unknown", "error"),
    ("hour", lambda c: c.mask(c == 6, 7), "distribution", "error"),
    ("hour", lambda c: c == 6, "kind", "error"),
    ("origin", lambda c: c.replace("JFK", "jfk"), "unknown", "error"),
    ("origin", lambda c: c.replace("JFK", "EWR"), "distribution", "error"),
    ("origin", lambda c: pd.Series(range(N)), "kind", "error"),
    ("kind", lambda c: c.astype(str).replace("x", "z"), "unknown", "error"),
    ("flag", lambda c: c.map({True: "yes", False: "no"}), "kind", "error"),
    ("flag", lambda c: c & (np.arange(N) % 2 == 0), "distribution", "error"),
    ("took", lambda c: c * 2, "distribution", "error"),
    ("took", lambda c: c.dt.total_seconds(), "kind", "error"),
    ("cost", lambda c: c.astype(float) + 5, "distribution", "error"),
    ("big", lambda c: pd.Series([v * 2 for v in c], dtype=object), "unknown", "error"),
    ("day", lambda c: c + pd.Timedelta("400D"), "distribution", "warning"),
    ("day", lambda c: c.astype(str), "kind", "error"),
]


@pytest.mark.parametrize(("name", "change", "check", "severity"), CHANGES)
def test_one_fault_is_one_finding(name, change, check, severity):
    """A single change of a single column is found once, in that column, under its own name."""
    report = compare(TRAIN, SERVE.assign(**{name: change(SERVE[name])}))
    assert faults(report) == [(name, check, severity)]
    assert report.passed == (severity == "warning")
    assert report.columns[0].column == name
    finding = report.findings[0]
    assert finding.strength == finding.effect / finding.limit > 1 if finding.limit else finding.effect > 0


def test_columns_that_come_and_go():
    """A missing or doubled column is an error, an extra one a warning; the order of columns changes nothing."""
    assert faults(compare(TRAIN, SERVE.drop(columns="hour"))) == [("hour", "missing_column", "error")]
    assert faults(compare(TRAIN, SERVE.assign(new=1))) == [("new", "extra_column", "warning")]
    assert faults(compare(TRAIN, SERVE.assign(new=1), columns=["hour"])) == []
    doubled = pd.concat([SERVE, SERVE[["hour"]]], axis=1)
    assert faults(compare(TRAIN, doubled)) == [("hour", "duplicate_column", "error")]
    assert compare(TRAIN, SERVE[SERVE.columns[::-1]]).to_dict() == compare(TRAIN, SERVE).to_dict()
    nothing = compare(TRAIN[["hour"]], SERVE[["price"]])
    assert sorted(faults(nothing)) == [("hour", "missing_column", "error"), ("price", "extra_column", "warning")]


def test_figures_against_a_second_source():
    """Cohen's h by its formula, distances by scipy, the mean's shift by pandas."""
    serve = SERVE.assign(price=SERVE["price"].mask(np.arange(N) % 11 == 0) + 3, hour=SERVE["hour"].clip(6, 8))
    report = compare(TRAIN, serve)
    price = report["price"]
    p, q = TRAIN["price"].isna().mean(), serve["price"].isna().mean()
    assert (price.null_train, price.null_serve) == (p, q)
    assert price.null_effect == pytest.approx(2 * np.arcsin(np.sqrt(q)) - 2 * np.arcsin(np.sqrt(p)))
    a, b = TRAIN["price"].dropna(), serve["price"].dropna()
    assert price.mean_shift == pytest.approx((b.mean() - a.mean()) / a.std())
    exact = ks_2samp(a, b).statistic
    assert exact - 1 / 200 <= price.effect <= exact + 1e-12
    shares = [f["hour"].value_counts(normalize=True).reindex(range(5, 9), fill_value=0) for f in (TRAIN, serve)]
    assert report["hour"].effect == pytest.approx(jensenshannon(*shares, base=2))
    assert report["hour"].measure == "Jensen-Shannon distance"
    assert price.measure == "Kolmogorov-Smirnov distance"


def test_unknown_levels_are_counted_and_named():
    """The share of rows with a level that train lacks, and which levels these are, the most frequent first."""
    origin = SERVE["origin"].where(np.arange(N) % 4 > 0, "BOS").where(np.arange(N) % 10 > 0, "SFO")
    report = compare(TRAIN, SERVE.assign(origin=origin))
    counts = origin[~origin.isin(TRAIN["origin"])].value_counts()
    assert report["origin"].unknown == tuple(counts.items())
    assert report["origin"].unknown_share == counts.sum() / N
    text = f"share of unknown levels rose from 0% to {100 * counts.sum() / N:.3g}%: 'BOS' ({counts['BOS']} rows)"
    assert text in str(report)
    many = compare({"x": ["a", "b"] * 500}, {"x": [f"n{i}" for i in range(1000)]})
    assert "share of unknown levels rose from 0% to 100%" in str(many)


def test_words():
    """The report says what a person would: shares then and now, means then and now."""
    train = {"x": [None if i < 2 else float(i % 50) for i in range(100)] * 20}
    serve = {"x": [None if i < 9 else float(i % 50) for i in range(100)] * 20}
    report = compare(train, serve)
    assert "error   null: x: share of nulls rose from 2% to 9%" in str(report)
    assert "share of nulls fell from 9% to 2%" in str(compare(serve, train))


def test_the_limit_is_tolerance_plus_noise():
    """Small batches show large effects by chance, and the limit says so; a higher tolerance lets more pass."""
    share = 2 * np.arcsin(np.sqrt(0.1))
    train = {"x": [1, 2] * 5000}
    for n, passed in ((10, True), (10_000, False)):
        serve = {"x": [None if i % 10 == 0 else i % 2 + 1 for i in range(n)]}
        assert compare(train, serve).passed == passed
    finding = compare(train, serve).findings[0]
    assert finding.effect == pytest.approx(share)
    assert finding.limit == pytest.approx(0.1 + 1.96 * np.sqrt(2 / 10_000), rel=1e-4)
    assert compare(train, serve, tolerance=1.0).passed


def test_noise_stays_below_the_limit():
    """With a tolerance of 0, comparisons without a change rarely fail: three checks of 5% each would at most be 15%."""
    rng = np.random.default_rng(7)
    failed = 0
    for _ in range(200):
        sides = []
        for n in (400, 150):
            nulls = rng.random(n) < 0.1
            text = rng.choice(["a", "b", "c"], n).astype(object)
            sides.append({"x": np.where(nulls, np.nan, rng.normal(size=n)), "s": np.where(nulls, None, text)})
        failed += not compare(*sides, tolerance=0).passed
    assert 0 < failed <= 60  # P(Binomial(200, .15) > 60) < 1e-7


def test_columns_share_the_chance_of_a_false_alarm():
    """Beside many others, a column needs more to stand out."""
    wide = {f"x{i}": np.arange(100.0) for i in range(50)}
    serve = {**wide, "x0": np.where(np.arange(100) < 30, np.nan, np.arange(100.0))}
    one, many = compare(wide, serve, columns=["x0"]), compare(wide, serve)
    assert one.findings[0].limit < many.findings[0].limit < one.findings[0].effect == many.findings[0].effect


def test_errors_first_then_the_strongest_first():
    """Columns and findings come in the order in which a person should look at them."""
    serve = SERVE.assign(price=SERVE["price"] + 20, hour=SERVE["hour"].mask(np.arange(N) % 20 == 0), new=1)
    report = compare(TRAIN, serve)
    assert [c.column for c in report.columns[:3]] == ["price", "hour", "new"]
    strengths = [f.strength for f in report.findings if f.severity == "error"]
    assert strengths == sorted(strengths, reverse=True)


def test_every_engine_gives_the_same_answer():
    """pandas, polars, pyarrow, a lazy frame, a stream of pieces and a profile: one report."""
    serve = SERVE.assign(price=SERVE["price"] + 5, origin=SERVE["origin"].replace("JFK", "BOS"))
    (a, pa_, at), (b, pb, bt) = engines(TRAIN), engines(serve)
    expected = compare(a, b)
    assert not expected.passed
    binning = Binning.fit(a)
    pieces = (b.iloc[i : i + 300] for i in range(0, N, 300))
    others = [compare(pa_, pb), compare(at, bt), compare(a, pb.lazy()), compare(a, pieces)]
    others += [compare(binning.profile(a), b), compare(pa_.lazy(), bt)]
    for other in others:
        assert faults(other) == faults(expected)
        frames = [r.to_frame().set_index("column").select_dtypes("number").sort_index() for r in (other, expected)]
        pd.testing.assert_frame_equal(*frames)


def test_dask_partitions():
    """A Dask frame is compared where its rows are, also where a column changed its kind."""
    dd = pytest.importorskip("dask.dataframe")
    serve = SERVE[["price", "hour"]].assign(hour=SERVE["hour"].astype(str))
    lazy = dd.from_pandas(serve, npartitions=3)
    report = compare(dd.from_pandas(TRAIN[["price", "hour"]], npartitions=2), lazy)
    assert faults(report) == [("hour", "kind", "error")]


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
def test_spark_frames_on_both_sides(spark):
    """Spark compares where the rows are, and finds what pandas finds."""
    serve = SERVE[["price", "hour"]].assign(price=SERVE["price"] + 5)
    train = TRAIN[["price", "hour"]]
    report = compare(spark.createDataFrame(train), spark.createDataFrame(serve))
    expected = compare(train, serve)
    assert faults(report) == faults(expected) == [("price", "distribution", "error")]
    assert [f.strength for f in report.findings] == pytest.approx([f.strength for f in expected.findings])


def test_a_kind_that_changes_in_some_pieces_counts_their_rows():
    """Of a stream whose later pieces hold text, only their rows are counted, and nothing crashes."""
    pieces = iter([{"hour": [5, 6]}, {"hour": ["a", None, "b"]}, {"hour": [7]}])
    report = compare(TRAIN[["hour"]], pieces)
    assert [f.message for f in report.findings] == [
        "kind changed from int to other in 2 of 6 rows; values were not compared"
    ]


def test_odd_columns():
    """All-null, mixed, constant, one-row and infinite columns are compared as far as they can be, without a crash."""
    mixed = {"x": [1, "a", None] * 20}
    assert faults(compare(mixed, mixed)) == [("x", "mixed", "warning")]
    empty, full = {"x": [None] * 50}, {"x": [1.0] * 50}
    assert faults(compare(empty, full)) == [("x", "null", "error")]
    assert faults(compare(full, empty)) == [("x", "null", "error")]
    assert faults(compare(empty, empty)) == []
    assert faults(compare(full, {"x": [2.0] * 50})) == [("x", "unknown", "error")]
    assert faults(compare({"x": [np.inf] * 50}, {"x": [np.inf] * 50})) == []
    assert faults(compare({"x": [1]}, {"x": [2]})) == []
    huge = compare({"x": [0.0, 1e308] * 500}, {"x": [0.0, 1e308] * 500})
    assert huge.passed
    assert np.isnan(huge["x"].mean_shift)
    nested = {"x": [[1], [2], [1]]}
    assert faults(compare(nested, nested)) == [("x", "mixed", "warning")]


def test_dates_in_words():
    """Unknown dates are named as dates; their values are warnings, because time moves on."""
    days = pd.Series(pd.to_datetime(["2013-01-01", "2013-02-01"] * 50))
    report = compare({"m": days}, {"m": days + pd.Timedelta("365D")})
    assert faults(report) == [("m", "unknown", "warning")]
    assert "2014-01-01" in str(report)
    took = compare({"t": days - days[0]}, {"t": (days - days[0]) * 2})
    assert faults(took) == [("t", "unknown", "error")]


def test_what_cannot_be_compared_is_refused():
    """Missing columns of train, doubled names, no rows, streams that are gone, and tolerances that mean nothing."""
    with pytest.raises(DataError, match="missing column"):
        compare(TRAIN, SERVE, columns=["nope"])
    with pytest.raises(DataError, match="duplicate"):
        compare(pd.concat([TRAIN, TRAIN], axis=1), SERVE)
    with pytest.raises(DataError, match="empty"):
        compare(TRAIN.head(0), SERVE)
    for empty in (SERVE.head(0), iter([]), iter([SERVE.head(0)])):
        with pytest.raises(DataError, match="serve has no rows"):
            compare(TRAIN, empty)
    with pytest.raises(DataError, match="only once"):
        compare(iter([TRAIN]), SERVE)
    left = [TRAIN, TRAIN.head(0)]

    class Once:
        def __iter__(self):
            return iter([left.pop(0)])

    with pytest.raises(DataError, match="train has no rows"):
        compare(Once(), SERVE)
    with pytest.raises(DataError, match="missing column"):
        compare(Binning.fit(TRAIN).profile(TRAIN), SERVE, columns=["nope"])
    with pytest.raises(DataError, match="train has no rows"):
        compare(Binning.fit(TRAIN).profile(TRAIN.head(0)), SERVE)
    with pytest.raises(DataError, match="Profile"):
        compare(TRAIN, Binning.fit(SERVE).profile(SERVE))
    for tolerance in (-0.1, np.nan, np.inf, True, "0.1"):
        with pytest.raises(ConfigurationError, match="tolerance"):
            compare(TRAIN, SERVE, tolerance=tolerance)
    for columns in ("price", []):
        with pytest.raises(ConfigurationError, match="columns="):
            compare(TRAIN, SERVE, columns=columns)
        with pytest.raises(ConfigurationError, match="columns="):
            leakage(LEARN, PROVE, **HOW, columns=columns)
    with pytest.raises(KeyError, match="nope"):
        compare(TRAIN, SERVE)["nope"]


def test_reports_print_everywhere():
    """Both reports are frames, plain JSON, HTML that escapes names, and bars."""
    skew = compare(TRAIN, SERVE.assign(**{"<b>": 1}, price=SERVE["price"] + 50))
    assert skew.to_frame()["column"].tolist() == [c.column for c in skew.columns]
    leak = leakage({"<b>": [1, 2], "y": [0, 1]}, {"<b>": [1, 2], "y": [0, 1]}, target="y")
    assert leak.to_frame()["check"].tolist() == [f.check for f in leak.findings]
    for report in (skew, leak):
        json.dumps(report.to_dict(), allow_nan=False)
        html = report._repr_html_()
        assert ("<b>" in html, "&lt;b&gt;" in html) == (False, True)
        assert str(report).startswith("failed")
    assert len(skew.plot().patches) == 11
    assert len(leak.plot().patches) == len(leak.findings)
    assert compare(TRAIN, SERVE).to_frame()["message"].eq("").all()


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=60),
    st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=60),
    st.randoms(),
)
def test_the_order_of_rows_changes_nothing(train, serve, random):
    """Rows in another order, or every row twice on both sides, have the same effects."""
    expected = compare({"x": train}, {"x": serve})
    again, back = train[:], serve[:]
    random.shuffle(again)
    random.shuffle(back)
    shuffled = compare({"x": again}, {"x": back})
    assert shuffled["x"].null_effect == expected["x"].null_effect
    assert shuffled["x"].effect == pytest.approx(expected["x"].effect, nan_ok=True)
    assert 0 <= expected["x"].null_effect <= np.pi
    doubled = compare({"x": train * 2}, {"x": serve * 2})
    assert doubled["x"].null_effect == pytest.approx(expected["x"].null_effect)
    assert doubled["x"].unknown_share == pytest.approx(expected["x"].unknown_share, nan_ok=True)


# ------------------------------------------------------------------------------------------------------------ leakage


def checks(report):
    return [(f.check, f.columns) for f in report.findings]


def of(report, check, where="test"):
    found = [f for f in report.findings if f.check == check and f.where == where]
    assert len(found) <= 1
    return found[0] if found else None


def rows(report, check, where="test"):
    finding = of(report, check, where)
    return [] if finding is None else finding.rows.tolist()


def clean(seed, n=600):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "b": rng.choice(["x", "y", "z", None], n),
            "c": rng.integers(0, 1000, n),
            "when": pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(seed * n + np.arange(n), unit="h"),
            "who": np.arange(n) + seed * n,
        }
    )
    return frame.assign(y=rng.random(n) < 1 / (1 + np.exp(-frame["a"])))


LEARN, PROVE = clean(0), clean(1)
HOW = {"target": "y", "time": "when", "key": "who"}


def test_without_a_leak_nothing_is_found():
    """Two independent, later halves pass, and each feature is scored."""
    report = leakage(LEARN, PROVE, **HOW)
    assert checks(report) == []
    assert report.passed
    assert not report.bad_rows.any()
    assert report.scores[0].feature == "a"
    assert {s.feature for s in report.scores} == {"a", "b", "c"}


def brute(train, test, features, target):
    """Return, by joining in pandas, rows of test with equal features and target or another, and torn rows of train."""
    a, b = (f[[*features, target]].astype(object).where(lambda d: d.notna(), "null").astype(str) for f in (train, test))
    same = b.assign(row=range(len(b))).merge(a.drop_duplicates(), on=[*features, target])["row"]
    known = b.assign(row=range(len(b))).merge(a[features].drop_duplicates(), on=list(features))["row"]
    torn = a.groupby(list(features))[target].transform("nunique") > 1
    return sorted(same), sorted(set(known) - set(same)), np.flatnonzero(torn).tolist()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_rows_against_pandas(data):
    """Rows that stand on both sides, with and without their target, are those that a join in pandas finds."""
    values = {
        "f": st.sampled_from([0.0, -0.0, 1.5, np.nan]),
        "g": st.sampled_from(["u", "v", None]),
        "y": st.sampled_from([0, 1, 2]),
    }
    sides = []
    for _ in range(2):
        n = data.draw(st.integers(1, 12))
        drawn = {k: data.draw(st.lists(v, min_size=n, max_size=n)) for k, v in values.items()}
        sides.append(pd.DataFrame(drawn).astype({"g": object}))
    sides[0]["f"] += 0.0
    sides[1]["f"] += 0.0
    same, other, torn = brute(*sides, ["f", "g"], "y")
    for train, test in zip(engines(sides[0]), engines(sides[1]), strict=True):
        report = leakage(train, test, target="y")
        assert rows(report, "duplicate_rows") == same
        assert rows(report, "conflicting_labels") == other
        assert rows(report, "conflicting_labels", "train") == torn


def test_duplicates_are_errors_unless_features_are_coarse():
    """Rows of train in test are an error; where half of train repeats itself they cannot be told from chance."""
    test = pd.concat([PROVE.head(100), LEARN.head(7)], ignore_index=True)
    report = leakage(LEARN, test, target="y", columns=["a", "b", "c"])
    assert rows(report, "duplicate_rows") == list(range(100, 107))
    assert not report.passed
    assert np.flatnonzero(report.bad_rows).tolist() == list(range(100, 107))
    coarse = leakage(LEARN, test, target="y", columns=["b"])
    assert of(coarse, "duplicate_rows").severity == "warning"
    assert coarse.passed
    assert not coarse.bad_rows.any()


def test_keys_and_times():
    """Keys of train in test and rows not later than train's last are errors; nulls share nothing and have no time."""
    test = PROVE.copy()
    test["who"] = test["who"].astype("Int64")
    test.loc[[3, 5], "who"] = [7, 7]
    test.loc[9, "who"] = pd.NA
    test.loc[1, "when"] = LEARN["when"].max()
    test.loc[2, "when"] = pd.Timestamp("2012-01-01", tz="UTC")
    test.loc[4, "when"] = pd.NaT
    train = LEARN.assign(who=LEARN["who"].astype("Int64").mask(LEARN["who"] == 11))
    report = leakage(train, test, **HOW)
    assert rows(report, "shared_keys") == [3, 5]
    assert "1 key of train" in of(report, "shared_keys").message
    assert rows(report, "time_overlap") == [1, 2]
    assert rows(report, "missing_time") == [4]
    both = leakage(train, test, target="y", key=["who", "b"], columns=["a"])
    pairs = test[test["b"].notna()].merge(train[train["who"] == 7], on=["who", "b"])
    assert len(rows(both, "shared_keys")) == len(pairs)
    zones = leakage(
        LEARN.assign(when=LEARN["when"].dt.tz_convert("Asia/Tokyo")),
        PROVE.assign(when=PROVE["when"].dt.tz_localize(None)),
        **HOW,
    )
    assert zones.passed
    numbers = leakage(LEARN.assign(when=range(600)), PROVE.assign(when=np.arange(600) + 599.5), **HOW)
    assert rows(numbers, "time_overlap") == []
    late = leakage(LEARN.assign(when=LEARN["when"].mask(LEARN["who"] < 2)), PROVE, **HOW)
    assert rows(late, "missing_time", "train") == [0, 1]


def auc_by_hand(train, test, feature, y):
    """Score by a mean of the target for each level, as pandas has it, and scikit-learn's AUC."""
    level = [f[feature].astype(object).where(f[feature].notna(), "null") for f in (train, test)]
    means = train[y].astype(float).groupby(level[0]).mean()
    return roc_auc_score(test[y], level[1].map(means).fillna(train[y].mean()).astype(float))


def test_auc_against_scikit_learn():
    """The AUC of a feature alone is scikit-learn's, nulls and unknown levels included; classes are weighted."""
    train, test = LEARN.assign(c=LEARN["c"] % 15), PROVE.assign(c=PROVE["c"] % 17)
    found = {s.feature: s.value for s in leakage(train, test, **HOW).scores}
    for name in ("b", "c"):
        assert found[name] == pytest.approx(auc_by_hand(train, test, name, "y"))
    sides = [
        f.assign(y=np.select([f["a"] < -0.5, f["a"] < 0.7], ["lo", "mid"], "hi"), c=f["c"] // 250)
        for f in (LEARN, PROVE)
    ]
    got = {s.feature: s.value for s in leakage(*sides, **HOW).scores}
    one = [auc_by_hand(*[f.assign(y=f["y"] == k) for f in sides], "c", "y") for k in ("lo", "mid", "hi")]
    weights = [(sides[1]["y"] == k).sum() for k in ("lo", "mid", "hi")]
    assert got["c"] == pytest.approx(np.average(one, weights=weights))


def test_r2_against_pandas():
    """For numbers the figure is the variance of ranks in train that the means of levels explain on test."""
    sides = [f.assign(y=np.exp(f["a"] + f["c"] % 7), c=f["c"] % 7) for f in (LEARN, PROVE)]
    report = leakage(*sides, **HOW)
    ranks = [np.searchsorted(np.sort(sides[0]["y"]), f["y"]) for f in sides]
    ranks[0] = rankdata(sides[0]["y"]) - 0.5
    fitted = sides[1]["c"].map(pd.Series(ranks[0]).groupby(sides[0]["c"]).mean())
    expected = 1 - ((ranks[1] - fitted) ** 2).sum() / ((ranks[1] - ranks[1].mean()) ** 2).sum()
    assert {s.feature: s.value for s in report.scores}["c"] == pytest.approx(expected, abs=1e-12)
    assert report.scores[0].measure == "R2"


@pytest.mark.parametrize(
    ("y", "leak"),
    [
        ("bool", lambda f, y: np.where(y, f["a"].abs() + 3, f["a"].abs())),
        ("bool", lambda f, y: np.where(y, f["b"].fillna("w") + "!", f["b"].fillna("w"))),
        ("bool", lambda f, y: pd.Series(f["a"]).where(y)),
        ("text", lambda f, y: pd.Series(y).map({"lo": 0.0, "mid": 2.0, "hi": 4.0}) + np.arange(len(y)) / len(y)),
        ("number", lambda f, y: np.exp(y / 3) * 7),
        ("huge", lambda f, y: np.asarray(y, dtype=float) / 7),
    ],
)
def test_a_feature_that_knows_the_answer_is_an_error(y, leak):
    """Numbers, levels and mere absence that give the target away are found, for classes and for numbers."""
    sides = []
    for f in (LEARN, PROVE):
        target = {
            "bool": f["y"],
            "text": pd.Series(np.select([f["a"] < -0.5, f["a"] < 0.7], ["lo", "mid"], "hi")),
            "number": pd.Series(f["a"]),
            "huge": pd.Series([2**70 + int(1e9 * v) * 2**40 for v in f["a"]], dtype=object),
        }[y]
        base = f if y != "number" else f.drop(columns="a")
        sides.append(base.assign(y=target, leak=leak(f, target)))
    if y in ("text", "huge"):
        sides = [f.drop(columns="a") for f in sides]
    report = leakage(*sides, **HOW)
    assert [(f.check, f.columns[0], f.severity) for f in report.findings] == [("predicts_target", "leak", "error")]
    assert report.findings[0].value == report.scores[0].value >= 0.98


def test_a_strong_feature_is_a_warning():
    """An AUC between .9 and .99 is worth a look, and no error."""
    sides = [
        f.assign(leak=f["y"] + np.random.default_rng(i + 99).normal(0, 0.4, 600)) for i, f in enumerate((LEARN, PROVE))
    ]
    report = leakage(*sides, **HOW)
    assert [(f.check, f.columns, f.severity) for f in report.findings] == [("predicts_target", ("leak",), "warning")]
    assert report.passed


def test_chance_is_no_leak():
    """With few rows an AUC of 1 comes by chance: it is said that nothing can be told, whatever the features."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        sides = [{**{f"x{i}": rng.normal(size=30) for i in range(30)}, "y": np.arange(30) < 2} for _ in range(2)]
        report = leakage(*sides, target="y")
        assert {f.check for f in report.findings} == {"not_scored"}


def test_copies():
    """Equal columns, and codes that stand one-to-one for another, are found once; copies of the target are errors."""
    sides = [
        f.assign(a2=f["a"], b2=f["b"].map({"x": 3, "y": 1, "z": 2}), y2=f["y"].map({True: "t", False: "f"}), k=1, l=1)
        for f in (LEARN, PROVE)
    ]
    report = leakage(*sides, **HOW)
    assert checks(report) == [("copy_of_target", ("y2", "y")), ("copy", ("a2", "a")), ("copy", ("b2", "b"))]
    assert "y2" not in [s.feature for s in report.scores]
    assert checks(leakage(LEARN.assign(z=LEARN["y"]), PROVE.assign(z=~PROVE["y"]), **HOW)) == []


def test_identifiers():
    """Integers and text that nearly never repeat look like identifiers; numbers with fractions do not."""
    sides = [f.assign(note=[f"n{i}-{j}" for i in range(600)]) for j, f in enumerate((LEARN, PROVE))]
    report = leakage(*sides, target="y", time="when")
    assert checks(report) == [("identifier", ("who",)), ("identifier", ("note",))]
    assert report.passed


def test_engines_agree():
    """pandas, polars and pyarrow give one report, and sides of different engines go together."""
    test = pd.concat([PROVE, LEARN.head(5)], ignore_index=True).assign(leak=lambda f: f["y"] * 1.5 + f["a"] / 9)
    train = LEARN.assign(leak=LEARN["y"] * 1.5 + LEARN["a"] / 9)
    a, b = engines(train), engines(test)
    expected = leakage(a[0], b[0], **HOW)
    assert len(expected.findings) == 4
    for x, z in ((a[1], b[1]), (a[2], b[2]), (a[0], b[2]), (a[2], b[1])):
        assert leakage(x, z, **HOW).to_dict() == expected.to_dict()


def test_odd_columns_in_leakage():
    """All-null, mixed, nested, infinite and changed columns are hashed and scored as far as they can be."""
    odd = {
        "nulls": [None] * 40,
        "mixed": [1, "a", None, (2,)] * 10,
        "inf": [np.inf, 1.0, -np.inf, np.nan] * 10,
        "huge": [2**80 + i for i in range(40)],
        "day": pd.date_range("2013-01-01", periods=40, tz="Asia/Tokyo"),
        "y": ["p", "q"] * 20,
    }
    report = leakage(odd, {**odd, "nulls": [1.0] * 40, "inf": list("abcd") * 10}, target="y")
    assert rows(report, "duplicate_rows") == []
    assert of(report, "kind").columns == ("inf",)
    assert rows(leakage(odd, odd, target="y"), "duplicate_rows") == list(range(40))
    report = leakage(odd, {k: v for k, v in odd.items() if k != "inf"}, target="y")
    assert of(report, "missing_column").columns == ("inf",)


def test_rows_without_a_target_are_counted():
    """Rows whose target is null are named, and scores leave them out."""
    test = PROVE.assign(y=PROVE["y"].astype("boolean").mask(PROVE["who"] < 603))
    train = LEARN.assign(y=LEARN["y"].astype("boolean").mask(LEARN["who"] < 2))
    report = leakage(train, test, **HOW)
    assert rows(report, "missing_target") == [0, 1, 2]
    assert rows(report, "missing_target", "train") == [0, 1]
    kept = leakage(train.iloc[2:].astype({"y": bool}), test.iloc[3:].astype({"y": bool}), **HOW)
    assert {s.feature: s.value for s in report.scores}["b"] == {s.feature: s.value for s in kept.scores}["b"]


def test_targets_with_one_value():
    """A test of one class, or of one number, cannot tell what predicts it, and says so."""
    report = leakage(LEARN, PROVE.assign(y=True), **HOW)
    assert [f.check for f in report.findings] == ["not_scored"]
    assert all(np.isnan(s.value) for s in report.scores)
    report = leakage(LEARN.assign(y=LEARN["a"], a=np.arange(600.0)), PROVE.assign(y=1.5, a=0.5), **HOW, columns=["a"])
    assert [f.check for f in report.findings] == ["not_scored"]
    report = leakage(LEARN.head(1), PROVE.head(1), **HOW)
    assert [f.check for f in report.findings] == ["not_scored"]
    assert report.n_test == 1


def test_what_leakage_refuses():
    """Data out of memory, frames without rows, and columns that are missing, doubled or of no use."""
    with pytest.raises(DataError, match="in memory"):
        leakage(pl.from_pandas(LEARN).lazy(), PROVE, **HOW)
    with pytest.raises(DataError, match="test is a list_iterator"):
        leakage(LEARN, iter([PROVE]), **HOW)
    for train, test, side in ((LEARN.head(0), PROVE, "train"), (LEARN, PROVE.head(0), "test")):
        with pytest.raises(DataError, match=f"{side} has no rows"):
            leakage(train, test, **HOW)
    with pytest.raises(DataError, match=r"test: missing column\(s\) \['y'\]"):
        leakage(LEARN, PROVE.drop(columns="y"), **HOW)
    with pytest.raises(DataError, match="train: duplicate"):
        leakage(pd.concat([LEARN, LEARN[["a"]]], axis=1), PROVE, **HOW)
    with pytest.raises(DataError, match="target 'y'"):
        leakage(LEARN, PROVE, target="y", columns=["y"])
    with pytest.raises(DataError, match="no feature"):
        leakage(LEARN[["y"]], PROVE[["y"]], target="y")
    with pytest.raises(DataError, match="nothing but nulls"):
        leakage(LEARN.assign(y=None), PROVE, **HOW)
    with pytest.raises(DataError, match="mixed"):
        leakage(LEARN.assign(y=[1, "a"] * 300), PROVE, **HOW)
    with pytest.raises(DataError, match="expected one kind"):
        leakage(LEARN, PROVE.assign(y=1), **HOW)
    with pytest.raises(DataError, match="expected datetimes"):
        leakage(LEARN.assign(when="today"), PROVE, **HOW)
    with pytest.raises(DataError, match="nothing but nulls"):
        leakage(LEARN, PROVE.assign(when=pd.NaT), **HOW)
    with pytest.raises(DataError, match="expected one kind"):
        leakage(LEARN, PROVE.assign(when=1), **HOW)


def test_a_short_batch_of_the_same_law_is_rarely_a_skew():
    """Five rows beside a hundred, of a normal and of a skewed law, fail in at most 5% of 300 comparisons each.

    If the true rate were 5%, more than 28 of 300 would come up with a chance of 0.06% (binomial tail).
    """
    rng = np.random.default_rng(11)
    for law in (lambda n: rng.normal(size=n), lambda n: rng.lognormal(0, 3, size=n)):
        failed = sum(not compare({"a": law(100)}, {"a": law(5)}).passed for _ in range(300))
        assert failed <= 28


def test_times_beyond_floats_are_compared():
    """Integers of 400 digits count time like others."""
    train = {"t": np.array([10**400] * 30, dtype=object), "x": np.arange(30.0), "y": [0, 1] * 15}
    test = {"t": [1.0] * 30, "x": np.arange(30.0, 60.0), "y": [0, 1] * 15}
    found = {leak.check: leak.n_failed for leak in leakage(train, test, target="y", time="t").findings}
    assert found["time_overlap"] == 30
