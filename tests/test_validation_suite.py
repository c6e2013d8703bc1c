"""A table of batches and of all that a validator must say about each: nothing silent, nothing extra, in order."""

import copy
import datetime as dt
import decimal
import zoneinfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from attrs import field, frozen

import mlopskit as mk
from mlopskit import frames

D = decimal.Decimal
E, W = "error", "warning"
RNG = np.random.default_rng(7)
N = 240
ALL = [0, 1, 2, 3, 4, 5]


def trips(rng, n):
    """Return a sample of taxi trips; every sample has the same law."""
    return pd.DataFrame(
        {
            "id": rng.permutation(10 * n)[:n] + 10**6,
            "fare": rng.normal(20, 3, n),
            "riders": rng.integers(1, 5, n),
            "meters": np.append([0, 10**6], rng.integers(0, 10**6, n - 2)),
            "zone": rng.choice(["north", "south", "east"], n),
            "pay": pd.Categorical(rng.choice(["card", "cash"], n)),
            "tip": np.where(np.arange(n) % 4 == 1, np.nan, rng.normal(2, 0.1, n)),
            "left": pd.date_range("2024-01-01", periods=n, freq="h", unit="us"),
            "seen": pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC", unit="us"),
            "took": pd.to_timedelta(np.append([0, 7200], rng.integers(1, 7200, n - 2)), unit="s"),
            "price": [D(0), D(10), *(D(int(v)) / 100 for v in rng.integers(0, 1000, n - 2))],
            "back": rng.random(n) < 0.5,
            "memo": [f"memo {i}" if i % 3 else None for i in range(n)],
        }
    )


TRIPS = trips(RNG, N)
SIX = TRIPS.iloc[:6].reset_index(drop=True)
SCHEMA = mk.DataValidator(unique=["id"]).fit(TRIPS).schema


@frozen
class Case:
    """One batch, what it is compared with, and everything that must be reported."""

    name: str
    batch: object
    failures: tuple = ()
    reference: object = field(default=None, kw_only=True)
    changes: tuple = field(default=(), kw_only=True)
    now: dt.datetime | None = field(default=None, kw_only=True)
    fit: dict = field(factory=dict, kw_only=True)
    apart: str = field(default="", kw_only=True)
    options: dict = field(factory=dict, kw_only=True)

    def validator(self):
        """Return the validator: fitted to the reference, then with the changes to its schema."""
        options = self.options if self.reference is not None else {"unique": ["id"], **self.options}
        if self.reference is None and not self.fit and "tolerance" not in options:
            validator = mk.DataValidator(SCHEMA, **options)
        else:
            validator = mk.DataValidator(**options).fit(TRIPS if self.reference is None else self.reference, **self.fit)
        for column, change in self.changes:
            schema = validator.schema.evolve(**change) if column is None else validator.schema.evolve(column, **change)
            validator = mk.DataValidator(schema, checks=options.get("checks", ()))
        return validator


def case(name, batch, *failures, reference=None, **more):
    """Return a case; what is no field of a case is an option of the validator."""
    of_case = {key: more.pop(key) for key in ("changes", "now", "fit", "apart") if key in more}
    return Case(name, batch, failures, reference=reference, options=more, **of_case)


def having(column, values, dtype=None):
    """Return six trips with other values in one column."""
    return SIX.assign(**{column: pd.Series(values, dtype=dtype)})


def col(values, dtype=None):
    """Return a frame of one column, a."""
    return pd.DataFrame({"a": pd.Series(values, dtype=dtype)})


def records(frame):
    """Return a frame as numpy records; text as fixed-width unicode, what numpy lacks as objects."""
    kinds = {"str": "U12"}
    fields = [(name, kinds.get(str(frame[name].dtype), frame[name].dtype)) for name in frame]
    fields = [(name, d if isinstance(d, (str, np.dtype)) else np.dtype(object)) for name, d in fields]
    out = np.empty(len(frame), dtype=fields)
    for name in frame:
        out[name] = frame[name].to_numpy()
    return out


def found(report):
    """Return what was reported, as a table of cases writes it."""
    return [(f.column, f.check, f.severity, f.rows.tolist()) for f in report.failures]


def length(frame):
    """Return the number of rows, not asking the library."""
    return len(next(iter(frame.values()), ())) if isinstance(frame, dict) else len(frame)


def picture(frame):
    """Return everything that one can see of a frame as plain text."""
    if isinstance(frame, dict):
        return repr([(k, type(v), getattr(v, "dtype", None), list(v)) for k, v in frame.items()])
    if isinstance(frame, np.ndarray):
        return repr((frame.dtype, frame.tolist()))
    if isinstance(frame, pd.DataFrame):
        columns = [(name, repr(values.dtype), values.tolist()) for name, values in frame.items()]
        return repr((columns, frame.index.tolist(), frame.index.names, frame.attrs))
    if isinstance(frame, pl.DataFrame):
        return repr((frame.schema, frame.rows()))
    return repr((frame.schema, [c.to_pylist() for c in frame.columns]))


FAULTY = SIX.assign(
    riders=[1, 2, 9, 1, 2, 3],
    zone=pd.Series(["north", None, "north", "mars", "east", "south"]),
    fare=[20.0, 20.0, 20.0, np.nan, np.inf, 20.0],
    meters=[5, 6, 7, 8, 9, -1],
)
FAULTY_FOUND = (
    ("fare", "null", E, [3]),
    ("fare", "nonfinite", E, [4]),
    ("riders", "domain", E, [2]),
    ("meters", "range", W, [5]),
    ("zone", "null", E, [1]),
    ("zone", "domain", E, [3]),
)
ARROW = pa.Table.from_pandas(FAULTY, preserve_index=False)

ONES = col([1.0] * 30)

BATCHES = [
    # whole columns
    case("a column missing", SIX.drop(columns="fare"), ("fare", "missing_column", E, ALL)),
    case(
        "two columns missing, in the schema's order",
        SIX.drop(columns=["zone", "fare"])[::-1],
        ("fare", "missing_column", E, ALL),
        ("zone", "missing_column", E, ALL),
    ),
    case("a column too many", SIX.assign(new=1), ("new", "extra_column", W, ALL)),
    case(
        "a column renamed",
        SIX.rename(columns={"fare": "Fare"}),
        ("fare", "missing_column", E, ALL),
        ("Fare", "extra_column", W, ALL),
    ),
    case("a name twice", pd.concat([SIX, SIX[["fare"]]], axis=1), ("fare", "duplicate_column", E, ALL)),
    case(
        "a name twice, the second of another type",
        pd.concat([SIX, pd.DataFrame({"fare": list("abcdef")})], axis=1),
        ("fare", "duplicate_column", E, ALL),
    ),
    case(
        "an unknown name twice",
        pd.concat([SIX, pd.DataFrame([[1, 2]] * 6, columns=["new", "new"])], axis=1),
        ("new", "duplicate_column", E, ALL),
    ),
    case(
        "a number and its text name one column",
        pd.DataFrame([[1.0, 2.0]] * 2, columns=pd.Index([0, "0"], dtype=object)),
        ("0", "duplicate_column", E, [0, 1]),
        reference=pd.DataFrame({0: np.arange(30.0)}),
    ),
    case(
        "a key's column missing: nothing about the key",
        SIX.drop(columns="id"),
        ("id", "missing_column", E, ALL),
    ),
    # types
    case("text for floats", having("fare", list("123456")), ("fare", "dtype", E, ALL)),
    case("text with a null for floats", having("fare", ["1", None, *"3456"]), ("fare", "dtype", E, ALL)),
    case("bools for floats", having("fare", [True] * 6), ("fare", "dtype", E, ALL)),
    case("complex for floats", having("fare", [1j] * 6), ("fare", "dtype", E, ALL)),
    case("decimals for floats", having("fare", [D(20)] * 6), ("fare", "dtype", E, ALL)),
    case("fractions for integers", having("meters", [0.5] * 6), ("meters", "dtype", E, ALL)),
    case("text for integers", having("riders", list("123412")), ("riders", "dtype", E, ALL)),
    case("bools for integers", having("riders", [True, False] * 3), ("riders", "dtype", E, ALL)),
    case("text False for bools", having("back", ["False"] * 6), ("back", "dtype", E, ALL)),
    case("zeros and ones for bools", having("back", [0, 1] * 3), ("back", "dtype", E, ALL)),
    case("float zeros and ones for bools", having("back", [0.0, 1.0] * 3), ("back", "dtype", E, ALL)),
    case("numbers for text", having("zone", [1] * 6), ("zone", "dtype", E, ALL)),
    case("bytes for text", having("zone", [b"north"] * 6), ("zone", "dtype", E, ALL)),
    case("numbers for free text", having("memo", [1.5] * 6), ("memo", "dtype", E, ALL)),
    case("numbers for a category", having("pay", [1] * 6), ("pay", "dtype", E, ALL)),
    case("a category of numbers for text", having("zone", pd.Categorical([1] * 6)), ("zone", "dtype", E, ALL)),
    case("text for datetimes", having("left", ["2024-01-02"] * 6), ("left", "dtype", E, ALL)),
    case("epoch seconds for datetimes", having("left", [1704067200] * 6), ("left", "dtype", E, ALL)),
    case("periods for datetimes", having("left", pd.period_range("2024", periods=6)), ("left", "dtype", E, ALL)),
    case("durations for datetimes", having("left", [dt.timedelta(1)] * 6), ("left", "dtype", E, ALL)),
    case("a zone where none was", having("left", SIX["seen"]), ("left", "dtype", E, ALL)),
    case("no zone where one was", having("seen", SIX["left"]), ("seen", "dtype", E, ALL)),
    case("seconds for durations", having("took", [60] * 6), ("took", "dtype", E, ALL)),
    case("floats for decimals", having("price", [1.5] * 6), ("price", "dtype", E, ALL)),
    case("lists for floats", having("fare", [[1.0]] * 6), ("fare", "dtype", E, ALL)),
    # values of a wrong type
    case("2.5 among integers", having("meters", [1, 2.5, 3, 4, 5, 6]), ("meters", "type_value", E, [1])),
    case("a text among floats", having("fare", [20, "x", 20, 20, 20, "20"], object), ("fare", "type_value", E, [1, 5])),
    case("a bool among integers", having("meters", [1, True, 3, 4, 5, 6], object), ("meters", "type_value", E, [1])),
    case("a one among bools", having("back", [True, 1, *[False] * 4], object), ("back", "type_value", E, [1])),
    case("a number among text", having("zone", ["north", 3, *["east"] * 4], object), ("zone", "type_value", E, [1])),
    case("bytes among free text", having("memo", ["a", b"b", *"cdef"], object), ("memo", "type_value", E, [1])),
    case("a float among decimals", having("price", [D(1), 1.5, *[D(1)] * 4], object), ("price", "type_value", E, [1])),
    case(
        "naive among zoned",
        having("seen", [*SIX["seen"][:5], pd.Timestamp("2024-01-02")], object),
        ("seen", "type_value", E, [5]),
    ),
    case(
        "a wrong value hides no other fault",
        having("meters", ["x", -1, None, np.inf, 2.5, 7], object),
        ("meters", "type_value", E, [0, 4]),
        ("meters", "null", E, [2]),
        ("meters", "nonfinite", E, [3]),
        ("meters", "range", W, [1]),
    ),
    # nulls
    case("a NaN", having("fare", [20, np.nan, 20, 20, 20, 20]), ("fare", "null", E, [1])),
    case(
        "every null there is",
        having("fare", [20, None, pd.NA, np.nan, pd.NaT, 20], object),
        ("fare", "null", E, [1, 2, 3, 4]),
    ),
    case("a null among integers", having("meters", [1, None, 3, 4, 5, 6]), ("meters", "null", E, [1])),
    case("a null is no unknown level", having("zone", ["north", None, *["east"] * 4]), ("zone", "null", E, [1])),
    case("a null is no unknown code", having("riders", [1, None, 2, 3, 4, 1], "Int8"), ("riders", "null", E, [1])),
    case(
        "a null is no unknown category",
        having("pay", pd.Categorical(["card", None, "cash", "mars", None, "card"])),
        ("pay", "null", E, [1, 4]),
        ("pay", "domain", E, [3]),
    ),
    case("bools with a null as objects", having("back", [True, None, *[False] * 4], object), ("back", "null", E, [1])),
    case("nullable bools with a null", having("back", [True, None, *[False] * 4], "boolean"), ("back", "null", E, [1])),
    case("a NaT", having("left", [pd.NaT, *SIX["left"][1:]]), ("left", "null", E, [0])),
    case("a null duration", having("took", [None, *SIX["took"][1:]], "m8[us]"), ("took", "null", E, [0])),
    case("a NaN among decimals", having("price", [D(1), D("NaN"), None, *[D(1)] * 3]), ("price", "null", E, [1, 2])),
    case("all null, floats", having("fare", [np.nan] * 6), ("fare", "null", E, ALL)),
    case("all null, objects", having("zone", [None] * 6, object), ("zone", "null", E, ALL)),
    case("all null, of a wrong dtype", having("back", [np.nan] * 6), ("back", "null", E, ALL)),
    case("all null, polars", pl.from_pandas(SIX).with_columns(zone=pl.lit(None)), ("zone", "null", E, ALL)),
    case(
        "all null, pyarrow",
        pa.Table.from_pandas(SIX, preserve_index=False).set_column(1, "fare", pa.nulls(6)),
        ("fare", "null", E, ALL),
    ),
    case("a null after a short reference", col([1.0, None]), ("a", "null", W, [1]), reference=col([1.0, 1.0])),
    # infinities
    case("infinities", having("fare", [np.inf, 20, -np.inf, 20, 20, 20]), ("fare", "nonfinite", E, [0, 2])),
    case("an infinite decimal", having("price", [D(1), D("-Infinity"), *[D(1)] * 4]), ("price", "nonfinite", E, [1])),
    case("an infinite integer", having("meters", [1, np.inf, 3, 4, 5, 6]), ("meters", "nonfinite", E, [1])),
    case(
        "an infinity in the reference leaves the limits finite",
        col([np.inf, -np.inf, 1e9, 0.5]),
        ("a", "range", W, [2]),
        reference=col([*np.linspace(0, 1, 50), np.inf]),
    ),
    # ranges
    case("far out of range", having("fare", [20, 1e9, 20, 20, 20, -1e9]), ("fare", "range", W, [1, 5])),
    case("a range of integers", having("meters", [-1, 0, 10**6, 10**6 + 1, 5, 5]), ("meters", "range", W, [0, 3])),
    case("an integer out of a range of floats", having("fare", [20, 10**9, *[20] * 4]), ("fare", "range", W, [1])),
    case("a range of decimals", having("price", [D("-0.01"), D("10.001"), *[D(1)] * 4]), ("price", "range", W, [0, 1])),
    case("integers out of a range of decimals", having("price", [0, 11, 10, -1, 5, 5]), ("price", "range", W, [1, 3])),
    case("a duration below zero", having("took", [-SIX["took"][2], *SIX["took"][1:]]), ("took", "range", W, [0])),
    case("2**53 and 2**53 + 1", col([2**53, 2**53 + 1]), ("a", "range", W, [0]), reference=col([2**53 + 1] * 30)),
    case(
        "2**53 as a float",
        col([2.0**53, 2.0**53 + 2]),
        ("a", "range", W, [0]),
        reference=col([2**53 + 1, 2**53 + 3] * 9),
    ),
    case(
        "unsigned integers beyond 63 bits",
        col([2**63, 2**63 + 1, 2**64 - 1], "uint64"),
        ("a", "range", W, [0]),
        reference=col([2**63 + 1, 2**64 - 1], "uint64"),
    ),
    case(
        "a sign against unsigned", col([-1, 5]), ("a", "range", W, [0, 1]), reference=col([2**63, 2**64 - 1], "uint64")
    ),
    case(
        "integers beyond 64 bits",
        col([2**70 - 1, 2**70, 10**40], object),
        ("a", "range", W, [0, 2]),
        reference=col([2**70, 2**70 + 5], object),
    ),
    case(
        "an integer beyond floats",
        having("fare", [20, 10**400, *[20] * 4], object),
        ("fare", "range", W, [1]),
    ),
    case(
        "an integer beyond floats among floats",
        having("fare", [20.5, 10**400, *[20] * 4], object),
        ("fare", "range", W, [1]),
    ),
    case(
        "an integer beyond floats hides no other range",
        having("fare", [20.5, 10**400, "x", 1e9, 20, 20], object),
        ("fare", "type_value", E, [2]),
        ("fare", "range", W, [1, 3]),
    ),
    case("a constant column of floats", col([5.0, 5.000001]), ("a", "range", W, [1]), reference=col([5.0] * 99)),
    case("a constant column of integers", col([5, 6]), ("a", "range", W, [1]), reference=col([5] * 99)),
    case("a constant column of text", col(["x", "y"]), ("a", "domain", E, [1]), reference=col(["x"] * 99)),
    case(
        "half precision is coarser than a limit",
        col([0.1], "float16"),
        ("a", "range", W, [0]),
        reference=col([0.1] * 99),
    ),
    case(
        "below zero by the smallest number",
        col([-5e-324, -0.0, 0.0]),
        ("a", "range", E, [0]),
        reference=col([0.0, 1.0]),
        changes=[("a", {"low": 0.0, "severity": {"range": E}})],
    ),
    case(
        "limits by hand mean what they say",
        having("fare", [0.0, -0.001, 40, 40.001, 20, np.inf]),
        ("fare", "nonfinite", E, [5]),
        ("fare", "range", E, [1, 3]),
        changes=[("fare", {"low": 0.0, "high": 40.0, "severity": {"range": E}})],
    ),
    case(
        "one nanosecond too early",
        having("left", [np.datetime64("2023-12-31T23:59:59.999999999"), *SIX["left"][1:].to_numpy("M8[ns]")]),
        ("left", "range", W, [0]),
    ),
    case(
        "a second too early, in seconds",
        having("left", np.array(["2023-12-31T23:59:59", *["2024-01-02"] * 5], "M8[s]")),
        ("left", "range", W, [0]),
    ),
    case(
        "a time of another zone too early",
        having("seen", pd.DatetimeIndex(["2024-01-01 08:59", *["2024-01-01 09:00"] * 5], tz="Asia/Tokyo")),
        ("seen", "range", W, [0]),
    ),
    case(
        "a year before nanoseconds",
        having("left", np.array(["1500-01-01", *["2024-01-02"] * 5], "M8[s]")),
        ("left", "range", W, [0]),
    ),
    # levels
    case(
        "unknown text",
        having("zone", ["North", "north", "north ", "", "nan", "east"]),
        ("zone", "domain", E, [0, 2, 3, 4]),
    ),
    case(
        "an unknown category", having("pay", pd.Categorical(["card", "coin", *["cash"] * 4])), ("pay", "domain", E, [1])
    ),
    case("an unknown code", having("riders", [0, 1, 2, 3, 4, 5], "int8"), ("riders", "domain", E, [0, 5])),
    case(
        "an unknown code in floats",
        having("riders", [0.0, 1, 2, 3, 4, np.nan]),
        ("riders", "null", E, [5]),
        ("riders", "domain", E, [0]),
    ),
    case(
        "a domain is not also a range",
        having("riders", [1, 2, 99, 3, 4, 1]),
        ("riders", "domain", E, [2]),
    ),
    case(
        "as many new levels as an open tail predicts",
        col([*"abababababababababab"[:17], "p", "q", "r"]),
        ("a", "domain", W, [17, 18, 19]),
        reference=col([*["a"] * 60, *["b"] * 36, *"wxyz"]),
    ),
    case(
        "more new levels than an open tail predicts",
        col([*["a"] * 16, "p", "q", "r", "s"]),
        ("a", "domain", E, [16, 17, 18, 19]),
        reference=col([*["a"] * 60, *["b"] * 36, *"wxyz"]),
    ),
    case(
        "levels by hand",
        having("memo", ["a", "b", "c", None, "a", "a"]),
        ("memo", "domain", W, [2]),
        changes=[("memo", {"levels": ("a", "b"), "severity": {"domain": W}})],
    ),
    # keys
    case("a repeated key", SIX.assign(id=[1, 2, 1, 3, 2, 1]), ("id", "unique", E, [2, 4, 5])),
    case("a batch sent twice", pd.concat([SIX, SIX]), ("id", "unique", E, [6, 7, 8, 9, 10, 11])),
    case(
        "two nulls in a nullable key",
        col(["p", None, "q", None, "p"]),
        ("a", "unique", E, [4]),
        reference=col(["x", "y", None]),
        unique=["a"],
    ),
    case(
        "a composite key",
        pd.DataFrame({"day": [1, 1, 2, 1, None], "trip": ["a", "b", "a", "a", "a"]}, dtype=object),
        ("day, trip", "unique", E, [3]),
        reference=pd.DataFrame({"day": [1, 1, 2, None], "trip": ["a", "b", "b", "b"]}, dtype=object),
        unique=[("day", "trip")],
    ),
    case(
        "two keys",
        pd.DataFrame({"x": [1, 1, 2], "y": [1.0, 2.0, 2.0]}),
        ("x", "unique", E, [1]),
        ("y", "unique", E, [2]),
        reference=pd.DataFrame({"x": [1, 2, 3], "y": [1.0, 2.0, 3.0]}),
        unique=["x", "y"],
    ),
    case(
        "keys equal by value",
        col([D("1.0"), D("1.00"), D("2")]),
        ("a", "unique", E, [1]),
        reference=col([D(1), D(2)]),
        unique=["a"],
    ),
    case(
        "keys beyond floats",
        col([2**53, 2**53 + 1, 2**53], object),
        ("a", "unique", E, [2]),
        reference=col([1, 2]),
        unique=["a"],
    ),
    case(
        "a repeated key within a tolerance",
        col([1, 1, 2, 3, 4]),
        ("a", "unique", W, [1]),
        reference=col([1, 2, 3]),
        unique=["a"],
        tolerance=0.1,
    ),
    # tolerances
    case(
        "as many nulls as a tolerance allows",
        col([1.0, None, None, 1, 1]),
        ("a", "null", W, [1, 2]),
        reference=col([1.0] * 30),
        tolerance=0.1,
    ),
    case(
        "more nulls than a tolerance allows",
        col([1.0, None, None, None, 1]),
        ("a", "null", E, [1, 2, 3]),
        reference=col([1.0] * 30),
        tolerance=0.1,
    ),
    case(
        "a small tolerance allows none of one row",
        col([None], float),
        ("a", "null", E, [0]),
        reference=col([1.0] * 30),
        tolerance=0.01,
    ),
    case(
        "a small tolerance allows one of ten",
        col([*[1.0] * 9, None]),
        ("a", "null", W, [9]),
        reference=col([1.0] * 30),
        tolerance=0.01,
    ),
    case(
        "no tolerance for a wrong type of all", having("fare", list("abcdef")), ("fare", "dtype", E, ALL), tolerance=0.5
    ),
    case(
        "a tolerance of one rule",
        having("zone", ["mars", None, *["east"] * 4]),
        ("zone", "null", E, [1]),
        ("zone", "domain", W, [0]),
        changes=[("zone", {"tolerance": {"domain": 0.2}})],
    ),
    case(
        "severities by rule",
        SIX.drop(columns="fare").assign(zone=["mars", *["east"] * 5], back="x"),
        ("fare", "missing_column", W, ALL),
        ("zone", "domain", W, [0]),
        ("back", "dtype", W, ALL),
        changes=[("fare", {"severity": W}), ("zone", {"severity": W}), ("back", {"severity": {"dtype": W}})],
    ),
    # the batch as a whole
    case("no rows", SIX.iloc[:0], (None, "empty", E, [])),
    case("no rows, wrong dtypes", SIX.iloc[:0].astype(object), (None, "empty", E, [])),
    case(
        "no rows, a column missing",
        SIX.iloc[:0].drop(columns="tip"),
        (None, "empty", E, []),
        ("tip", "missing_column", E, []),
    ),
    case("no rows, polars", pl.from_pandas(SIX).head(0), (None, "empty", E, [])),
    case("no rows, too few", SIX.iloc[:0], (None, "empty", E, []), changes=[(None, {"min_rows": 5})]),
    case("too few rows", SIX, (None, "volume", W, ALL), changes=[(None, {"min_rows": 7})]),
    case("too many rows", SIX, (None, "volume", W, ALL), changes=[(None, {"max_rows": 5})]),
    case(
        "fewer rows than half a day",
        pd.DataFrame({"at": pd.to_datetime(["2024-03-01"])}),
        (None, "volume", W, [0]),
        reference=pd.DataFrame({"at": pd.date_range("2024-01-01", periods=100, freq="6h")}),
        fit={"time": "at"},
    ),
    case(
        "more rows than two days",
        pd.DataFrame({"at": pd.date_range("2024-03-01", periods=9, freq="h")}),
        (None, "volume", W, list(range(9))),
        reference=pd.DataFrame({"at": pd.date_range("2024-01-01", periods=100, freq="6h")}),
        fit={"time": "at"},
    ),
    case(
        "old rows",
        SIX,
        ("left", "stale", E, ALL),
        now=dt.datetime(2024, 1, 2, 6),
        fit={"time": "left", "max_age": dt.timedelta(days=1)},
    ),
    case(
        "old rows, zoned, polars",
        pl.from_pandas(SIX),
        ("seen", "stale", E, ALL),
        now=dt.datetime(2024, 1, 2, 14, 1, tzinfo=zoneinfo.ZoneInfo("Asia/Tokyo")),
        fit={"time": "seen", "max_age": dt.timedelta(days=1)},
    ),
    # checks of one's own
    case(
        "a check of rows, after the rules",
        SIX.assign(riders=[1, 2, 3, 4, 9, 1], id=[1, 2, 3, 4, 5, 5]),
        ("riders", "domain", E, [4]),
        ("id", "unique", E, [5]),
        ("fare", "third", E, [2]),
        checks=[mk.check("third", column="fare")(lambda frame: np.arange(6) == 2)],
        apart="the check is made for six rows",
    ),
    case(
        "a check that warns",
        SIX,
        (None, "odd", W, [1, 3, 5]),
        checks=[mk.check("odd", severity=W)(lambda frame: np.arange(len(frame)) % 2 == 1)],
    ),
    case(
        "a check within its tolerance",
        SIX,
        (None, "odd", W, [1, 3, 5]),
        checks=[mk.check("odd", tolerance=0.5)(lambda frame: np.arange(len(frame)) % 2 == 1)],
    ),
    case(
        "a check of the whole",
        SIX,
        (None, "whole", E, ALL),
        checks=[mk.check("whole")(lambda frame: len(frame) < 10)],
        apart="a check of the whole cannot answer for a part",
    ),
    case(
        "a check that raises",
        SIX,
        ("fare", "check_error", E, ALL),
        checks=[mk.check("raises", column="fare")(lambda frame: frame["nothing"])],
    ),
    case(
        "a check that answers for too few rows, as a warning",
        SIX,
        (None, "check_error", W, ALL),
        checks=[mk.check("short", severity=W)(lambda frame: [True])],
    ),
    case(
        "a check that answers in numbers",
        SIX,
        (None, "check_error", E, ALL),
        checks=[mk.check("numbers")(lambda frame: frame["riders"])],
    ),
    case(
        "a check with an odd index and nulls",
        SIX.set_index(pd.Index(list("aabbcc"))),
        (None, "index", E, [2]),
        checks=[mk.check("index")(lambda frame: (frame["id"] == SIX["id"][2]).astype("boolean").replace(False, pd.NA))],
    ),
    # positions, never labels
    case("labels repeated", FAULTY.set_index(pd.Index([7] * 6)), *FAULTY_FOUND),
    case("labels of any type", FAULTY.set_index(pd.Index([None, "x", 1.5, None, 3, "x"], dtype=object)), *FAULTY_FOUND),
    case("labels backwards", FAULTY.set_index(pd.Index([5, 4, 3, 2, 1, 0])), *FAULTY_FOUND),
    case("labels of two levels", FAULTY.set_index(pd.MultiIndex.from_product([[1, 1], list("aab")])), *FAULTY_FOUND),
    case("labels of time", FAULTY.set_index(pd.DatetimeIndex(["2024-01-01"] * 5 + [None])), *FAULTY_FOUND),
    case("labels named as a column", FAULTY.set_index(pd.Index(range(6), name="fare")), *FAULTY_FOUND),
    case("rows filtered", pd.concat([FAULTY, FAULTY]).iloc[6:], *FAULTY_FOUND),
    # every kind of frame
    case("nullable dtypes", FAULTY.convert_dtypes(), *FAULTY_FOUND),
    case("Arrow-backed dtypes", FAULTY.convert_dtypes(dtype_backend="pyarrow"), *FAULTY_FOUND),
    case("StringDtype", FAULTY.astype({"zone": "string[python]", "memo": "string[pyarrow]"}), *FAULTY_FOUND),
    case("text as category", FAULTY.astype({"zone": "category"}), *FAULTY_FOUND),
    case("objects", FAULTY.astype(object), *FAULTY_FOUND),
    case("polars", pl.from_pandas(FAULTY), *FAULTY_FOUND),
    case("polars with NaN kept", pl.from_pandas(FAULTY, nan_to_null=False), *FAULTY_FOUND),
    case("a pyarrow table", ARROW, *FAULTY_FOUND),
    case("a pyarrow table in chunks", pa.concat_tables([ARROW.slice(0, 2), ARROW.slice(2)]), *FAULTY_FOUND),
    case("a pyarrow table, cut", pa.concat_tables([ARROW, ARROW]).combine_chunks().slice(6), *FAULTY_FOUND),
    case("a record batch", ARROW.combine_chunks().to_batches()[0], *FAULTY_FOUND),
    case(
        "a dict of arrays", {k: FAULTY[k].array if k == "seen" else FAULTY[k].to_numpy() for k in FAULTY}, *FAULTY_FOUND
    ),
    case("a dict of lists", {k: FAULTY[k].tolist() for k in FAULTY}, *FAULTY_FOUND),
    case(
        "numpy records",
        records(FAULTY.drop(columns="seen").astype({"zone": object, "memo": object})),
        *FAULTY_FOUND[:4],
        *FAULTY_FOUND[4:],
        reference=TRIPS.drop(columns="seen"),
    ),
    # numbers of two types, exactly
    case(
        "a whole float beside an integer beyond floats",
        col([2**53, 2**53 + 1, 2.0**60], object),
        ("a", "range", W, [0]),
        reference=col([2**53 + 1, 2**60]),
    ),
    case(
        "keys beyond floats beside a whole float",
        col([2**53 + 1, 2.0**53, 2**53], object),
        ("a", "unique", E, [2]),
        reference=col([1, 2]),
        unique=["a"],
    ),
    case(
        "a list of keys beyond floats with a null",
        {"a": [2**53 + 1, 2**53, None, 2**53]},
        ("a", "unique", E, [3]),
        reference=col([1, None], object),
        unique=["a"],
    ),
    case(
        "a list of integers beyond floats with a null",
        {"a": [2**53 + 1, 2**53, None]},
        ("a", "range", W, [1]),
        reference=col([2**53 + 1, None], "Int64"),
    ),
    case(
        "integers beyond floats with a null",
        col([2**53 + 1, 2**53, None], "Int64"),
        ("a", "range", W, [1]),
        reference=col([2**53 + 1, None], "Int64"),
    ),
    case(
        "integers beyond floats with a null, objects",
        col([2**53 + 1, 2**53, None], object),
        ("a", "range", W, [1]),
        reference=col([2**53 + 1, None], "Int64"),
    ),
    case(
        "integers beyond floats with a null, polars",
        pl.DataFrame({"a": [2**53 + 1, 2**53, None]}),
        ("a", "range", W, [1]),
        reference=pl.DataFrame({"a": [2**53 + 1, None]}),
    ),
    case(
        "integers of 128 bits, polars",
        pl.DataFrame({"a": pl.Series([2**100 - 1, 2**100], dtype=pl.Int128)}),
        ("a", "range", W, [0]),
        reference=col([2**100, 2**101], object),
    ),
    case(
        "decimals beyond floats",
        col([D("0.3"), D("0.30000000000000000000000000001")]),
        ("a", "range", W, [1]),
        reference=col([D("0.1"), D("0.3")]),
    ),
    case(
        "decimals, pyarrow",
        pa.table({"a": pa.array([D("0.3"), D("0.4"), None])}),
        ("a", "null", W, [2]),
        ("a", "range", W, [1]),
        reference=col([D("0.1"), D("0.3")]),
    ),
    case(
        "decimals, polars",
        pl.DataFrame({"a": [D("0.30"), D("0.09")]}),
        ("a", "range", W, [1]),
        reference=col([D("0.1"), D("0.3")]),
    ),
    # storage of an engine
    case("NaN and null, polars", pl.DataFrame({"a": [1.0, np.nan, None]}), ("a", "null", E, [1, 2]), reference=ONES),
    case("NaN and null, pyarrow", pa.table({"a": [1.0, np.nan, None]}), ("a", "null", E, [1, 2]), reference=ONES),
    case(
        "NaN and null, Arrow-backed",
        col(pd.array(pa.array([1.0, np.nan, None]), dtype=pd.ArrowDtype(pa.float64()))),
        ("a", "null", E, [1, 2]),
        reference=ONES,
    ),
    case("a masked array", {"a": np.ma.array([1, 1], mask=[0, 1])}, ("a", "null", E, [1]), reference=ONES),
    case("lists, polars", pl.DataFrame({"a": [[1.0], [1.0]]}), ("a", "dtype", E, [0, 1]), reference=ONES),
    case("times of day, polars", pl.DataFrame({"a": [dt.time(1)]}), ("a", "dtype", E, [0]), reference=ONES),
    case("no columns", {}, (None, "empty", E, []), ("a", "missing_column", E, []), reference=ONES),
    case("no columns, a row", pd.DataFrame(index=[3]), ("a", "missing_column", E, [0]), reference=ONES),
    case("no records", np.zeros(0, dtype=[("a", "f8")]), (None, "empty", E, []), reference=ONES),
    case("one bad row", col([np.nan]), ("a", "null", E, [0]), reference=ONES),
    case(
        "text that no encoding holds, objects",
        col(["x", "\ud800"], object),
        ("a", "domain", E, [1]),
        reference=col(["x", "y"] * 20),
    ),
    case(
        "text that no encoding holds, in a list",
        {"a": ["x", "\ud800"]},
        ("a", "domain", E, [1]),
        reference=col(["x", "y"] * 20),
    ),
    case(
        "unknown category, polars",
        pl.DataFrame({"a": pl.Series(["x", "z"], dtype=pl.Enum(["x", "y", "z"]))}),
        ("a", "domain", E, [1]),
        reference=col(pd.Categorical(["x", "y"] * 20)),
    ),
    case(
        "a category of numbers for free text",
        having("memo", pd.Categorical([1, 2, 3, 4, 5, 6])),
        ("memo", "dtype", E, ALL),
    ),
    case(
        "a category of bools for one of numbers",
        col(pd.Categorical([True, True])),
        ("a", "domain", E, [0, 1]),
        reference=col(pd.Categorical([1, 2] * 20)),
    ),
    case(
        "a category of numbers",
        col(pd.Categorical([1, 3, None])),
        ("a", "null", E, [2]),
        ("a", "domain", E, [1]),
        reference=col(pd.Categorical([1, 2] * 20)),
    ),
    case(
        "an infinity beside a text and a fraction",
        having("meters", [1, 2.5, "x", 4, np.inf, 6], object),
        ("meters", "type_value", E, [1, 2]),
        ("meters", "nonfinite", E, [4]),
    ),
    # several of the whole
    case(
        "few and old rows",
        SIX.iloc[:2].drop(columns="zone"),
        (None, "volume", W, [0, 1]),
        ("left", "stale", E, [0, 1]),
        ("zone", "missing_column", E, [0, 1]),
        now=dt.datetime(2024, 2, 1),
        changes=[(None, {"min_rows": 3, "time": "left", "max_age": dt.timedelta(days=1)})],
    ),
]

GOOD = [
    case("the reference", TRIPS),
    case("a subset", TRIPS.sample(50, random_state=1)),
    case("one row", TRIPS.iloc[[7]]),
    case("a second sample of the same law", trips(np.random.default_rng(8), 150)),
    case("columns in another order", SIX[SIX.columns[::-1]]),
    case("any index", SIX.set_index(pd.Index([None, "x", 1.5, "x", 2, 2], dtype=object))),
    case("narrower integers", SIX.astype({"riders": "int8", "meters": "int32", "id": "uint32"})),
    case(
        "integers of the other byte order", {**{k: SIX[k].array for k in SIX}, "meters": SIX["meters"].to_numpy(">i4")}
    ),
    case("floats of 32 bits", SIX.astype({"fare": "float32", "tip": "float32"})),
    case("floats of 32 bits at a limit", col([0.1, 0.7], "float32"), reference=col([0.1, 0.7] * 20)),
    case("floats of 64 bits after 32", col([0.1, 0.7]), reference=col([0.1, 0.7] * 20, "float32")),
    case("integers for floats", having("fare", [20] * 6)),
    case("integers for decimals", having("price", [0, 1, 2, 3, 4, 10])),
    case("whole floats for integers", SIX.astype({"riders": "float64", "meters": "float32"})),
    case("whole floats among integers", having("meters", [1, 2.0, np.float32(3), np.int8(4), 5, 6], object)),
    case("nullable dtypes", SIX.convert_dtypes()),
    case("Arrow-backed dtypes", SIX.convert_dtypes(dtype_backend="pyarrow")),
    case("StringDtype in Python", SIX.astype({"zone": "string[python]", "memo": "string[python]"})),
    case("StringDtype in Arrow", SIX.astype({"zone": "string[pyarrow]", "memo": "string[pyarrow]"})),
    case("text as category", SIX.astype({"zone": "category", "memo": "category"})),
    case("category as text", SIX.astype({"pay": "str"})),
    case("categories in another order", SIX.assign(pay=SIX["pay"].cat.set_categories(["cash", "card"], ordered=True))),
    case("categories that no row has", SIX.assign(pay=SIX["pay"].cat.add_categories(["coin"]))),
    case("objects", SIX.astype(object)),
    case("bools with nulls, expected", col([True, None], "boolean"), reference=col([True, False, None] * 9, object)),
    case("sparse numbers", SIX.astype({"fare": pd.SparseDtype(float), "meters": pd.SparseDtype(int)})),
    case("times in seconds", SIX.assign(left=SIX["left"].astype("M8[s]"), took=SIX["took"].astype("m8[s]"))),
    case("times in nanoseconds", SIX.assign(left=SIX["left"].astype("M8[ns]"), took=SIX["took"].astype("m8[ns]"))),
    case("times as Python objects", SIX.assign(left=pd.Series([dt.datetime(2024, 1, 1)] * 6, dtype=object))),
    case("dates", SIX.assign(left=pd.Series([dt.date(2024, 1, 1)] * 6, dtype=object))),
    case("another time zone", SIX.assign(seen=SIX["seen"].dt.tz_convert("America/New_York"))),
    case(
        "time zones mixed",
        SIX.assign(seen=pd.Series([SIX["seen"][0].tz_convert(z) for z in ["Asia/Tokyo", "UTC"] * 3], dtype=object)),
    ),
    case("later times", SIX.assign(left=np.array(["9999-12-31"] * 6, "M8[s]"))),
    case("negative zero", col([-0.0, 0.0]), reference=col([0.0, 1.0] * 20)),
    case(
        "negative zero by hand",
        col([-0.0]),
        reference=col([1.0] * 20),
        changes=[("a", {"low": 0.0, "high": 1.0, "severity": E})],
    ),
    case("infinities of the reference", col([np.inf, -np.inf, 0.5]), reference=col([*np.linspace(0, 1, 50), np.inf])),
    case("no notes", SIX.assign(memo=None)),
    case("no tips, of another dtype", SIX.assign(tip=pd.Series([None] * 6, dtype=object))),
    case("new texts", SIX.assign(memo="never seen")),
    case("many rare levels", col(["new"] * 9), reference=col([*["a"] * 60, *["b"] * 34, *"uvwxyz"])),
    case("anything after nothing", col([1, "x", None], object), reference=col([None] * 30, object)),
    case(
        "a few floats just outside",
        col([*RNG.normal(size=97), 4.5]),
        reference=col(np.append(RNG.normal(size=200), [4.4, -4.4])),
    ),
    case("huge integers", col([10**30, -(10**30)], object), reference=col([10**30, -(10**30)], object)),
    case("polars", pl.from_pandas(SIX)),
    case(
        "polars categories",
        pl.from_pandas(SIX).with_columns(
            pl.col("zone").cast(pl.Categorical), pl.col("pay").cast(pl.Enum(["coin", "cash", "card"]))
        ),
    ),
    case(
        "polars dates and wide integers",
        pl.from_pandas(SIX).with_columns(pl.lit(dt.date(2024, 1, 1)).alias("left"), pl.col("meters").cast(pl.Int128)),
    ),
    case("a pyarrow table", pa.Table.from_pandas(SIX, preserve_index=False)),
    case("a record batch", pa.RecordBatch.from_pandas(SIX, preserve_index=False)),
    case(
        "a pyarrow table of views",
        pa.Table.from_pandas(SIX, preserve_index=False).set_column(
            4, "zone", pa.array(list(SIX["zone"])).cast(pa.string_view())
        ),
    ),
    case(
        "arrow decimals of more places",
        pa.Table.from_pandas(SIX, preserve_index=False).set_column(
            10, "price", pa.array(list(SIX["price"]), pa.decimal256(60, 9))
        ),
    ),
    case("a dict", {k: list(SIX[k]) for k in SIX}),
    case("numpy records", records(SIX.drop(columns=["seen", "memo"])), reference=TRIPS.drop(columns=["seen", "memo"])),
    case("as many rows as usual", SIX, changes=[(None, {"min_rows": 6, "max_rows": 6})]),
    case("fresh rows", SIX, now=dt.datetime(2024, 1, 2, 5), fit={"time": "left", "max_age": dt.timedelta(days=1)}),
    case("rows of the future", SIX, now=dt.datetime(2023, 1, 1), fit={"time": "left", "max_age": dt.timedelta(0)}),
    case("a check that finds nothing", SIX, checks=[mk.check("none")(lambda frame: frame["fare"] < 0)]),
    case("two nulls in a key", col([None, None, "a"]), reference=col(["x", None]), unique=["a"]),
    case("a constant column of bools", col([False, True]), reference=col([True] * 40)),
    case(
        "a category that no row has, pyarrow",
        pa.table({"a": pa.DictionaryArray.from_arrays([0, 0], ["x", "z"])}),
        reference=col(["x", "y"] * 20),
    ),
    case("a range for integers", {"a": range(1, 4)}, reference=col([1, 2, 3] * 9)),
    case(
        "dates and times mixed",
        col([dt.date(2024, 1, 1), pd.Timestamp("2024-01-02")], object),
        reference=col(pd.date_range("2024-01-01", periods=30)),
    ),
    case(
        "no times at all where nulls are allowed",
        col([pd.NaT]),
        reference=col([pd.NaT, pd.Timestamp("2024-01-01")]),
        fit={"time": "a", "max_age": dt.timedelta(1)},
    ),
    case(
        "a category declared but unseen, polars",
        col(["x", "z"]),
        reference=pl.DataFrame({"a": pl.Series(["x", "y"] * 20, dtype=pl.Enum(["x", "y", "z"]))}),
    ),
    case(
        "a category declared but unseen, pandas",
        col(["x", "z"]),
        reference=col(pd.Categorical(["x", "y"] * 20, categories=["x", "y", "z"])),
    ),
    case("keys that differ in case", col(["a", "A"]), reference=col(["x", "y"]), unique=["a"]),
]


def table(cases):
    return [pytest.param(c, id=c.name) for c in cases]


def judged(one):
    """Validate the batch of a case, and hold the report to what every report must be."""
    before = copy.deepcopy(one.batch)
    report = one.validator().validate(one.batch, now=one.now)
    assert type(before) is type(one.batch)
    assert picture(before) == picture(one.batch)
    good, bad = report.split(one.batch)
    assert length(good) + length(bad) == length(one.batch)
    assert length(bad) == len({row for f in report.failures if f.severity == E for row in f.rows.tolist()})
    assert str(report).startswith("passed" if report.passed else "failed")
    assert all(f.check in str(report) and f.n_failed == len(f.rows) for f in report.failures)
    assert report.to_frame()["check"].tolist() == [f.check for f in report.failures]
    assert report.passed is all(f.severity == W for f in report.failures)
    return report


def test_the_table_is_large_and_its_names_differ():
    """At least 80 cases, of which at least 20 are good, each with its own name."""
    assert len(BATCHES) + len(GOOD) >= 80
    assert len(GOOD) >= 20
    for cases in (BATCHES, GOOD):
        assert len({c.name for c in cases}) == len(cases)


@pytest.mark.parametrize("one", table(BATCHES))
def test_exactly_these_failures_are_reported(one):
    """Column, check, severity and rows of every failure, in order; no more and no less."""
    assert found(judged(one)) == list(one.failures)


@pytest.mark.parametrize("one", table(GOOD))
def test_a_good_batch_passes_without_a_word(one):
    """Storage, order, units and chance are no faults."""
    assert found(judged(one)) == []


@pytest.mark.parametrize("one", table([c for c in [*BATCHES, *GOOD] if not c.apart]))
def test_a_batch_in_pieces_is_judged_as_one(one):
    """A few rows at a time, by a validator that was written as JSON: the failures are those of the whole."""
    validator = one.validator()
    validator = mk.DataValidator.from_json(validator.to_json(), checks=validator.checks)
    run, n = validator.start(), length(one.batch)
    size = max(2, n // 4)
    for start in range(0, max(n, 1), size):
        report = run.update(frames.take(one.batch, np.arange(start, min(start + size, n))), now=one.now)
    assert found(report) == list(one.failures)
