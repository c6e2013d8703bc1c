"""Whole batches of every engine, and everything that a report must say of each: no finding missing, none too many."""

import copy
import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import mlopskit as mk
from mlopskit.schema import ColumnSchema

D = decimal.Decimal
NOW = dt.datetime(2024, 1, 10)
N = 40
REFERENCE = pd.DataFrame(
    {
        "id": np.arange(N),
        "day": np.repeat(["a", "b"], N // 2),
        "x": np.linspace(-1, 1, N),
        "n": np.append([2**53 + 1, -5], np.arange(N - 2) * 1_000),
        "flag": np.arange(N) % 2 == 0,
        "when": pd.date_range("2024-01-01", periods=N, freq="h", tz="UTC"),
    }
)
PLAIN = mk.DataValidator().fit(REFERENCE)
KEYED = mk.DataValidator(unique=["id", ("day", "n")]).fit(REFERENCE)
LOOSE = mk.DataValidator(PLAIN.schema.evolve("day", tolerance={"domain": 0.02}))
FRESH = mk.DataValidator().fit(REFERENCE, time="when", max_age=dt.timedelta(days=1))
SMALL = mk.DataValidator(PLAIN.schema.evolve(min_rows=3, max_rows=5))
INFINITE = mk.DataValidator().fit({"x": [*np.linspace(-1, 1, 50), np.inf]})
NULLABLE_KEY = mk.DataValidator(mk.Schema([ColumnSchema("k", "str")], unique=["k"]))
BOTH = mk.DataValidator(mk.Schema([ColumnSchema("a", "int", nullable=False, low=0, high=9, levels=[1, 2, 50])]))


def rows(*columns, n=3, **changed):
    """Return the first n rows of the reference as a dict of columns, some of them changed."""
    frame = {name: REFERENCE[name].to_numpy()[:n] for name in columns or REFERENCE}
    return frame | {name: values for name, values in changed.items() if values is not None}


def frame(**changed):
    return pd.DataFrame({**REFERENCE.iloc[:3].to_dict("series"), **changed})


ALL = [0, 1, 2]
BAD = [
    ("no rows", PLAIN, REFERENCE[:0], [(None, "empty", "error", [])]),
    ("too few rows", SMALL, REFERENCE[:2], [(None, "volume", "warning", [0, 1])]),
    ("too many rows", SMALL, REFERENCE[:6], [(None, "volume", "warning", list(range(6)))]),
    ("old rows", FRESH, REFERENCE[:3], [("when", "stale", "error", ALL)]),
    ("a column is missing", PLAIN, REFERENCE[:3].drop(columns="flag"), [("flag", "missing_column", "error", ALL)]),
    ("a column more", PLAIN, REFERENCE[:3].assign(y=1), [("y", "extra_column", "warning", ALL)]),
    (
        "a column twice",
        PLAIN,
        pd.concat([REFERENCE[:3], REFERENCE[["x"]][:3]], axis=1),
        [("x", "duplicate_column", "error", ALL)],
    ),
    ("a key twice", KEYED, REFERENCE.iloc[[0, 1, 0]].assign(n=[1, 2, 3]), [("id", "unique", "error", [2])]),
    (
        "a batch sent twice",
        KEYED,
        pd.concat([REFERENCE[:2], REFERENCE[:2]]),
        [("id", "unique", "error", [2, 3]), ("day, n", "unique", "error", [2, 3])],
    ),
    (
        "a key of two columns twice",
        KEYED,
        frame(id=[7, 8, 9], n=[1, 1, 2]),
        [("day, n", "unique", "error", [1])],
    ),
    ("two of three above one in fifty", LOOSE, frame(day=["a", "z", "z"]), [("day", "domain", "error", [1, 2])]),
    ("one of three within it", LOOSE, frame(day=["a", "z", "b"]), [("day", "domain", "warning", [1])]),
    (
        "a null is no unknown level",
        PLAIN,
        frame(day=["a", None, "z"]),
        [
            ("day", "null", "error", [1]),
            ("day", "domain", "error", [2]),
        ],
    ),
    (
        "a level out of range is one failure",
        BOTH,
        {"a": [1, 50, 60, 2]},
        [
            ("a", "domain", "error", [2]),
            ("a", "range", "error", [1]),
        ],
    ),
    ("a wrong type stops", PLAIN, frame(x=["1", None, "3"]), [("x", "dtype", "error", ALL)]),
    (
        "polars: null and NaN",
        PLAIN,
        pl.DataFrame(rows()).with_columns(x=pl.Series([None, float("nan"), 0.5])),
        [
            ("x", "null", "error", [0, 1]),
        ],
    ),
    ("pyarrow: text for numbers", PLAIN, pa.table(rows(x=["1", "2", "3"])), [("x", "dtype", "error", ALL)]),
    (
        "a record batch: an unknown level",
        PLAIN,
        pa.record_batch(rows(day=["a", "b", "c"])),
        [
            ("day", "domain", "error", [2]),
        ],
    ),
    ("a dict: an infinity", PLAIN, rows(x=np.array([0.0, np.inf, 0.1])), [("x", "nonfinite", "error", [1])]),
    (
        "records: a number far out",
        PLAIN,
        REFERENCE[["id", "x"]][:3].assign(x=[0, 9, 0.0]).to_records(index=False),
        [
            ("day", "missing_column", "error", ALL),
            ("x", "range", "warning", [1]),
            ("n", "missing_column", "error", ALL),
            ("flag", "missing_column", "error", ALL),
            ("when", "missing_column", "error", ALL),
        ],
    ),
    (
        "an integer one above the largest, beyond floats",
        PLAIN,
        frame(n=[2**53 + 2, 0, 1]),
        [
            ("n", "range", "warning", [0]),
        ],
    ),
    (
        "an integer beyond 64 bits",
        PLAIN,
        frame(n=pd.Series([2**70, 0, 1], dtype=object)),
        [
            ("n", "range", "warning", [0]),
        ],
    ),
    (
        "positions, not labels",
        PLAIN,
        frame(day=["a", "z", "b"]).set_index(pd.Index([5, 5, 5])),
        [
            ("day", "domain", "error", [1]),
        ],
    ),
    (
        "a time index with repeats",
        PLAIN,
        frame(day=["a", "z", "b"]).set_index(pd.DatetimeIndex(["2024"] * 3)),
        [
            ("day", "domain", "error", [1]),
        ],
    ),
    ("a key that repeats beside nulls", NULLABLE_KEY, {"k": ["a", None, "a", None]}, [("k", "unique", "error", [2])]),
    ("a zone is missing", PLAIN, frame(when=pd.date_range("2024-01-01", periods=3)), [("when", "dtype", "error", ALL)]),
]
GOOD = [
    ("narrower integers", PLAIN, frame(id=np.array([1, 2, 3], dtype="int8"))),
    ("unsigned integers", PLAIN, frame(id=np.array([1, 2, 3], dtype="uint16"))),
    ("nullable integers", PLAIN, frame(id=pd.array([1, 2, 3], dtype="Int32"))),
    ("whole floats for integers", PLAIN, frame(id=[1.0, 2.0, 3.0])),
    ("integers for floats", PLAIN, frame(x=[0, 1, -1])),
    ("32-bit floats", PLAIN, frame(x=np.array([-1, 0.1, 1], dtype="float32"))),
    ("negative zero", PLAIN, frame(x=[-0.0, 0.0, 0.5])),
    ("Arrow dtypes", PLAIN, pa.table(rows()).to_pandas(types_mapper=pd.ArrowDtype)),
    ("python strings", PLAIN, frame(day=pd.array(["a", "b", "a"], dtype="string[python]"))),
    ("objects", PLAIN, frame(day=pd.Series(["a", "b", "a"], dtype=object))),
    ("categories in another order", PLAIN, frame(day=pd.Categorical(["a", "b", "a"], categories=["z", "b", "a"]))),
    ("columns in another order", PLAIN, REFERENCE[REFERENCE.columns[::-1]][:5]),
    ("seconds for nanoseconds", PLAIN, frame(when=REFERENCE["when"][:3].dt.as_unit("s"))),
    ("another zone", PLAIN, frame(when=REFERENCE["when"][:3].dt.tz_convert("Asia/Tokyo"))),
    ("later than ever", PLAIN, frame(when=pd.date_range("2034-01-01", periods=3, tz="UTC"))),
    ("one row", PLAIN, REFERENCE[7:8]),
    ("rows in another order", PLAIN, REFERENCE[::-1]),
    ("an index with repeats", PLAIN, REFERENCE[:4].set_index(pd.Index([1, 1, 2, 2]))),
    ("two nulls in a key that may be null", NULLABLE_KEY, {"k": ["a", None, "b", None]}),
    ("infinities where the reference has them", INFINITE, {"x": np.array([0.5, -np.inf, np.inf])}),
    ("polars", PLAIN, pl.DataFrame(rows())),
    ("pyarrow", PLAIN, pa.table(rows())),
    ("a record batch", PLAIN, pa.record_batch(rows())),
    ("a dict", PLAIN, rows()),
    ("rows of today", FRESH, frame(when=pd.date_range("2024-01-09 23:00", periods=3, freq="min", tz="UTC"))),
]


def bad_rows(failures, n):
    return sorted({row for _, _, severity, at in failures if severity == "error" for row in at if row < n})


def look(validator, batch):
    """Validate, and check what holds for every batch: it is not changed, no row is lost, the report can be read."""
    before = copy.deepcopy(batch) if isinstance(batch, (pd.DataFrame, dict)) else batch
    report = validator.validate(batch, now=NOW)
    if isinstance(batch, pd.DataFrame):
        pd.testing.assert_frame_equal(batch, before)
    good, bad = report.split(batch)
    assert mk_rows(good) + mk_rows(bad) == report.n_rows == mk_rows(batch)
    assert len(str(report).splitlines()) == 1 + len(report.failures)
    assert len(report.to_frame()) == len(report.failures)
    return report


def mk_rows(data):
    if isinstance(data, dict):
        return len(next(iter(data.values())))
    return data.num_rows if hasattr(data, "num_rows") else len(data)


@pytest.mark.parametrize(("validator", "batch", "expected"), [c[1:] for c in BAD], ids=[c[0] for c in BAD])
def test_bad_batches(validator, batch, expected):
    """Every failure, its severity and its rows, in the order of the schema; those rows are the bad part."""
    report = look(validator, batch)
    assert [(f.column, f.check, f.severity, f.rows.tolist()) for f in report.failures] == expected
    assert report.passed == all(severity == "warning" for _, _, severity, _ in expected)
    assert np.flatnonzero(report.bad_rows).tolist() == bad_rows(expected, report.n_rows)


@pytest.mark.parametrize(("validator", "batch"), [c[1:] for c in GOOD], ids=[c[0] for c in GOOD])
def test_good_batches(validator, batch):
    """Not a word about data that are as they should be, however they are stored."""
    report = look(validator, batch)
    assert report.failures == ()
    assert report.passed
