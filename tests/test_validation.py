"""The validator: every trap named at its rows, one fault one failure, no row lost, no exception, no noise."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

import mlopskit as mk
from mlopskit.errors import ConfigurationError, DataError, FormatError, NotFittedError, ValidationFailed
from mlopskit.schema import ColumnSchema, Schema

D = decimal.Decimal
RNG = np.random.default_rng(0)


def stamp(text, zone=None):
    return pd.Timestamp(text, tz=zone)


REFERENCE = pd.DataFrame(
    {
        "price": RNG.normal(100, 10, 400),
        "count": np.append(0, RNG.integers(0, 10**6, 399)),
        "hour": RNG.integers(5, 9, 400),
        "origin": RNG.choice(["JFK", "EWR", "LGA"], 400),
        "kind": pd.Categorical(RNG.choice(["x", "y"], 400)),
        "flag": RNG.random(400) < 0.5,
        "day": pd.date_range("2013-01-01", periods=400, freq="h"),
        "seen": pd.date_range("2013-01-01", periods=400, freq="h", tz="UTC"),
        "took": pd.to_timedelta(RNG.integers(1, 10**6, 400), unit="s"),
        "cost": [D(int(v)) / 100 for v in RNG.integers(0, 1000, 400)],
        "note": [f"note {i}" if i % 3 else None for i in range(400)],
        "gap": np.where(np.arange(400) % 4 == 0, np.nan, RNG.normal(size=400)),
    }
)
VALIDATOR = mk.DataValidator().fit(REFERENCE)
GOOD = REFERENCE.iloc[:6].reset_index(drop=True)


def with_column(name, values, dtype=None):
    return GOOD.assign(**{name: pd.Series(values, dtype=dtype)})


def found(report):
    return [(f.column, f.check, f.severity, f.rows.tolist()) for f in report.failures]


ALL = [0, 1, 2, 3, 4, 5]
FAULTS = [
    ("text for floats", with_column("price", list("123456")), "price", "dtype", "error", ALL),
    ("bools for floats", with_column("price", [True] * 6), "price", "dtype", "error", ALL),
    ("decimals for floats", with_column("price", [D(100)] * 6), "price", "dtype", "error", ALL),
    ("a text among floats", with_column("price", [100.0, "x", 100, 99, 99, 99]), "price", "type_value", "error", [1]),
    ("a bool among floats", with_column("price", [100.0, True, 99, 99, 99, 99]), "price", "type_value", "error", [1]),
    ("a null", with_column("price", [100.0, None, 99, 99, 99, 99]), "price", "null", "error", [1]),
    ("None among objects", with_column("price", [100, None, 99, 99, 99, 99], object), "price", "null", "error", [1]),
    ("all null", with_column("price", [None] * 6), "price", "null", "error", ALL),
    ("infinity", with_column("price", [100.0, -np.inf, np.inf, 99, 99, 99]), "price", "nonfinite", "error", [1, 2]),
    ("far out of range", with_column("price", [100.0, 1e6, 99, 99, 99, 99]), "price", "range", "warning", [1]),
    ("2.5 among integers", with_column("count", [1, 2.5, 3, 4, 5, 6]), "count", "type_value", "error", [1]),
    ("fractions for integers", with_column("count", [0.5] * 6), "count", "dtype", "error", ALL),
    ("infinity among integers", with_column("count", [1, np.inf, 3, 4, 5, 6]), "count", "nonfinite", "error", [1]),
    ("bools for integers", with_column("count", [True] * 6), "count", "dtype", "error", ALL),
    ("an integer out of range", with_column("count", [1, -1, 3, 4, 5, 6]), "count", "range", "warning", [1]),
    ("a huge integer", with_column("count", [1, 10**40, 3, 4, 5, 6], object), "count", "range", "warning", [1]),
    ("a huge float", with_column("count", [1, 1e300, 3, 4, 5, 6]), "count", "range", "warning", [1]),
    ("an integer with null", with_column("count", [1, None, 3, 4, 5, 6]), "count", "null", "error", [1]),
    ("an unseen code", with_column("hour", [5, 6, 3, 5, 5, 23]), "hour", "domain", "error", [2, 5]),
    ("an unseen level", with_column("origin", ["JFK", "jfk", *["LGA"] * 4]), "origin", "domain", "error", [1]),
    ("numbers for text", with_column("origin", [1] * 6), "origin", "dtype", "error", ALL),
    (
        "a number among text",
        with_column("origin", ["JFK", 7, *["LGA"] * 4], object),
        "origin",
        "type_value",
        "error",
        [1],
    ),
    ("an unseen category", with_column("kind", pd.Categorical(list("xyzxxx"))), "kind", "domain", "error", [2]),
    ("text for bools", with_column("flag", ["False"] * 6), "flag", "dtype", "error", ALL),
    ("integers for bools", with_column("flag", [0, 1] * 3), "flag", "dtype", "error", ALL),
    (
        "an integer among bools",
        with_column("flag", [True, 1, *[False] * 4], object),
        "flag",
        "type_value",
        "error",
        [1],
    ),
    ("a zone where none was", with_column("day", [stamp("2013-01-05", "UTC")] * 6), "day", "dtype", "error", ALL),
    ("no zone where one was", with_column("seen", [stamp("2013-01-05")] * 6), "seen", "dtype", "error", ALL),
    ("text for datetimes", with_column("day", ["2013-01-05"] * 6), "day", "dtype", "error", ALL),
    (
        "zones mixed",
        with_column("day", [stamp("2013-01-05"), stamp("2013-01-05", "UTC"), *[stamp("2013-01-05")] * 4], object),
        "day",
        "type_value",
        "error",
        [1],
    ),
    ("a day too early", with_column("day", [stamp("2012-01-05")] * 6), "day", "range", "warning", ALL),
    ("integers for durations", with_column("took", [5] * 6), "took", "dtype", "error", ALL),
    (
        "a text among durations",
        with_column("took", [dt.timedelta(1), "1D", *[dt.timedelta(1)] * 4], object),
        "took",
        "type_value",
        "error",
        [1],
    ),
    ("floats for decimals", with_column("cost", [0.5] * 6), "cost", "dtype", "error", ALL),
    (
        "a float among decimals",
        with_column("cost", [D(1), 0.5, *[D(1)] * 4], object),
        "cost",
        "type_value",
        "error",
        [1],
    ),
    ("a decimal out of range", with_column("cost", [D(1), D("-0.01"), *[D(1)] * 4]), "cost", "range", "warning", [1]),
    ("an infinite decimal", with_column("cost", [D(1), D("Infinity"), *[D(1)] * 4]), "cost", "nonfinite", "error", [1]),
    ("a column missing", GOOD.drop(columns="note"), "note", "missing_column", "error", ALL),
    ("a column too many", GOOD.assign(extra=1), "extra", "extra_column", "warning", ALL),
    ("a name twice", pd.concat([GOOD, GOOD[["hour"]]], axis=1), "hour", "duplicate_column", "error", ALL),
    (
        "a name too many, twice",
        pd.concat([GOOD, GOOD[["hour"]].set_axis(["new"], axis=1), GOOD[["hour"]].set_axis(["new"], axis=1)], axis=1),
        "new",
        "duplicate_column",
        "error",
        ALL,
    ),
]


@pytest.mark.parametrize("case", FAULTS, ids=[c[0] for c in FAULTS])
def test_each_fault_is_one_failure_at_its_rows(case):
    """The report holds exactly this failure; error rows are quarantined, warnings are not."""
    _, batch, column, check, severity, rows = case
    report = VALIDATOR.validate(batch)
    assert found(report) == [(column, check, severity, rows)]
    assert report.passed is (severity == "warning")
    assert report.bad_rows.sum() == (len(rows) if severity == "error" else 0)
    assert check in str(report)
    assert column in report.failures[0].message


INNOCENT = [
    ("the reference", REFERENCE),
    ("one row", GOOD.iloc[[3]]),
    ("columns reordered", GOOD[GOOD.columns[::-1]]),
    ("any index", GOOD.set_index(pd.Index([7, 7, 7, None, "x", 1.5]))),
    ("narrow integers", GOOD.astype({"count": "int32", "hour": "uint8"})),
    ("unsigned integers", GOOD.astype({"count": "uint64"})),
    ("integers upcast to float", GOOD.astype({"count": "float64", "hour": "float32"})),
    ("whole floats among objects", with_column("count", [1, 2.0, 3, 4, 5, 6], object)),
    ("nullable dtypes", GOOD.convert_dtypes()),
    ("Arrow dtypes", GOOD.convert_dtypes(dtype_backend="pyarrow")),
    ("float32", GOOD.astype({"price": "float32"})),
    ("integers for floats", GOOD.assign(price=np.full(6, 100))),
    ("integers for decimals", GOOD.assign(cost=5)),
    ("objects", GOOD.astype({"count": object, "price": object, "origin": object, "flag": object, "took": object})),
    ("text as category", GOOD.astype({"origin": "category"})),
    ("category as text", GOOD.astype({"kind": "str"})),
    ("categories reordered", GOOD.assign(kind=GOOD["kind"].cat.set_categories(["q", "y", "x"]))),
    ("another time unit", GOOD.assign(day=GOOD["day"].astype("datetime64[s]"))),
    ("another zone", GOOD.assign(seen=GOOD["seen"].dt.tz_convert("Asia/Tokyo"))),
    ("later days", GOOD.assign(day=stamp("2033-01-01"))),
    ("a day beyond nanoseconds", GOOD.assign(day=np.array(["9999-12-31"] * 6, "M8[s]"))),
    ("new notes", GOOD.assign(note="never written before")),
    ("no notes at all", GOOD.assign(note=np.nan)),
    ("negative zero", GOOD.assign(gap=-0.0)),
    ("polars", pl.from_pandas(GOOD)),
    ("a dict", {name: GOOD[name].to_numpy() for name in GOOD if name != "seen"} | {"seen": list(GOOD["seen"])}),
]


@pytest.mark.parametrize("batch", [c[1] for c in INNOCENT], ids=[c[0] for c in INNOCENT])
def test_innocent_batches_pass_without_a_word(batch):
    """Storage, order, index and engine are no faults."""
    assert found(VALIDATOR.validate(batch)) == []


def test_engines_agree():
    """A polars frame and a pyarrow table give the failures that pandas gives, and split in kind."""
    plain = with_column("hour", [5, 3, 5, 5, 5, 5]).assign(origin=["JFK", "zzz", None, "LGA", "LGA", "LGA"])
    expected = found(VALIDATOR.validate(plain))
    assert [f[1] for f in expected] == ["domain", "null", "domain"]
    for frame in (pl.from_pandas(plain), pa.Table.from_pandas(plain, preserve_index=False)):
        report = VALIDATOR.validate(frame)
        assert found(report) == expected
        good, bad = report.split(frame)
        assert (type(good), len(good), len(bad)) == (type(frame), 4, 2)


def test_limits_are_exact_beyond_floats():
    """2**53 + 1 is told from 2**53, in integers, in whole floats and in 64-bit unsigned integers."""
    validator = mk.DataValidator(Schema([ColumnSchema("a", "int", low=2**53 + 1, high=2**64 - 1)]))
    assert found(validator.validate({"a": [2**53, 2**53 + 1]})) == [("a", "range", "error", [0])]
    assert found(validator.validate({"a": np.array([2.0**53, 2.0**53 + 2])})) == [("a", "range", "error", [0])]
    assert found(validator.validate({"a": np.array([2**64 - 1, 5], dtype=np.uint64)})) == [("a", "range", "error", [1])]
    assert found(validator.validate({"a": np.array([2**64, 2**60], object)})) == [("a", "range", "error", [0])]


def test_float32_rounding_is_no_range_failure():
    """float32(0.1) lies above 0.1 and float32(0.7) below 0.7; neither is reported, the next decimal digit is."""
    validator = mk.DataValidator(Schema([ColumnSchema("a", "float", low=0.7, high=0.7)]))
    assert validator.validate({"a": np.array([0.7], dtype=np.float32)}).failures == ()
    assert (
        mk.DataValidator(Schema([ColumnSchema("a", "float", high=0.1)]))
        .validate({"a": np.array([0.1], dtype=np.float32)})
        .passed
    )
    assert found(validator.validate({"a": [0.7, 0.70001, 0.69999]})) == [("a", "range", "error", [1, 2])]


def test_infinities_that_the_reference_had_are_allowed():
    """With infinities in the reference they pass later, and limits stay those of the finite values."""
    validator = mk.DataValidator().fit({"a": [*np.linspace(0, 1, 50), np.inf]})
    assert validator.validate({"a": [np.inf, -np.inf, 0.5]}).failures == ()
    assert found(validator.validate({"a": [np.inf, 99.0]})) == [("a", "range", "warning", [1])]


def test_a_wrong_value_does_not_hide_the_others():
    """After a value of the wrong type, the other rows of the column are still checked."""
    batch = with_column("count", [1, "x", -5, None, np.inf, 2.5], object)
    assert found(VALIDATOR.validate(batch)) == [
        ("count", "type_value", "error", [1, 5]),
        ("count", "null", "error", [3]),
        ("count", "nonfinite", "error", [4]),
        ("count", "range", "warning", [2]),
    ]


def test_an_empty_batch_is_an_error_and_splits_into_nothing():
    """No rows: one finding, whatever the dtypes; a missing column is still named."""
    report = VALIDATOR.validate(REFERENCE.iloc[:0].astype(object))
    assert found(report) == [(None, "empty", "error", [])]
    assert [len(part) for part in report.split(REFERENCE.iloc[:0])] == [0, 0]
    assert report.failures[0].share == 0.0
    columns = [f.check for f in VALIDATOR.validate(pd.DataFrame()).failures]
    assert columns == ["empty"] + ["missing_column"] * 12


def test_bad_use_is_refused():
    """An unfitted validator, and a thing that is no frame, raise; a report cannot split another batch."""
    for use in (lambda v: v.validate(GOOD), lambda v: v.to_json(), lambda v: v.state):
        with pytest.raises(NotFittedError, match="fit"):
            use(mk.DataValidator())
    for thing in (None, [1, 2], "frame", {"a": [1], "b": [1, 2]}):
        with pytest.raises(DataError):
            VALIDATOR.validate(thing)
    with pytest.raises(DataError, match="6 rows and cannot split one of 400"):
        VALIDATOR.validate(GOOD).split(REFERENCE)


class Sevens(mk.Check):
    """Rows whose count is 7."""

    column = "count"

    def failing(self, frame):
        return frame["count"] == 7


@frozen
class Returns(mk.Check):
    """Returns what it was told to."""

    answer: object
    name: str = "returns"
    severity: str = "error"
    tolerance: float = 0.0

    def failing(self, frame):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def custom(answer, **options):
    return mk.DataValidator(VALIDATOR.schema, checks=[Returns(answer, **options)]).validate(GOOD)


MASK = [False, True, False, False, True, False]


@pytest.mark.parametrize(
    "answer",
    [
        MASK,
        np.array(MASK),
        pd.Series(MASK, index=list("aabbcc")),
        pl.Series(MASK),
        pa.chunked_array([MASK]),
        pd.Series([None, True, None, False, True, None], dtype="boolean"),
        pl.Series([None, True, None, False, True, None]),
        np.array([None, True, None, False, True, None], dtype=object),
    ],
    ids=["list", "numpy", "pandas", "polars", "pyarrow", "nullable", "polars with null", "objects"],
)
def test_a_custom_check_returns_any_mask(answer):
    """A mask goes by position, whatever holds it; a null is not bad."""
    assert found(custom(answer)) == [(None, "returns", "error", [1, 4])]


def test_a_custom_check_judges_the_whole_batch():
    """True is a failure of every row, False none; a mask without True is none."""
    assert found(custom(True)) == [(None, "returns", "error", ALL)]
    assert found(custom(np.True_, severity="warning")) == [(None, "returns", "warning", ALL)]
    assert custom(False).failures == ()
    assert custom([False] * 6).failures == ()
    assert custom([None] * 6).failures == ()


@pytest.mark.parametrize("answer", [None, [True], "yes", [1, 0, 1, 0, 1, 0], ZeroDivisionError("by zero")])
def test_a_broken_check_is_a_finding(answer):
    """A check that raises, or returns no mask for the rows, is a check_error and never silent."""
    report = custom(answer)
    assert found(report) == [(None, "check_error", "error", ALL)]
    assert "mend the check" in report.failures[0].message


def test_custom_checks_have_severity_tolerance_and_a_column():
    """Within its tolerance a check is a warning; with a column it shows the values."""
    assert custom(MASK, tolerance=0.4).passed
    assert custom(MASK, severity="warning").passed
    report = mk.DataValidator(VALIDATOR.schema, checks=[Sevens()]).validate(with_column("count", [7, 8, 7, 8, 8, 8]))
    assert found(report) == [("count", "Sevens", "error", [0, 2])]
    assert report.failures[0].examples == (7, 7)


def test_a_custom_check_cannot_change_the_batch():
    """What a check does to its frame stays there."""

    class Vandal(mk.Check):
        def failing(self, frame):
            frame["price"] = 0.0
            frame["new"] = 1
            return False

    batch = GOOD.copy()
    assert mk.DataValidator(VALIDATOR.schema, checks=[Vandal()]).validate(batch).passed
    pd.testing.assert_frame_equal(batch, GOOD)


@pytest.mark.parametrize(
    "options",
    [
        {"checks": [Sevens(), Sevens()]},
        {"checks": [Sevens]},
        {"checks": [Returns(True, tolerance=2.0)]},
        {"checks": [Returns(True, severity="fatal")]},
        {"tolerance": -0.1},
        {"unique": "id"},
    ],
)
def test_a_validator_is_checked_at_construction(options):
    """A configuration that cannot work raises ConfigurationError."""
    with pytest.raises(ConfigurationError):
        mk.DataValidator(**options)


def test_json_keeps_the_schema_and_the_names_of_the_checks():
    """A validator read back finds the same; a check that is not handed in is named."""
    validator = mk.DataValidator(tolerance=0.1, unique=["note"], checks=[Sevens()]).fit(REFERENCE)
    text = validator.to_json()
    again = mk.DataValidator.from_json(text, checks=[Sevens()])
    assert again.state == validator.state
    batch = with_column("count", [7, 7, -1, 2, 3, 4]).assign(note="twice")
    assert found(again.validate(batch)) == found(validator.validate(batch))
    assert [f.check for f in again.validate(batch).failures] == ["range", "unique", "Sevens"]
    with pytest.raises(ConfigurationError, match=r"\['Sevens'\].*hand them in"):
        mk.DataValidator.from_json(text)
    with pytest.raises(FormatError):
        mk.DataValidator.from_json(VALIDATOR.schema.to_json())


def test_a_given_schema_takes_the_tolerance_and_keys_beside_it():
    """tolerance replaces the schema's, unique joins it; fit returns the validator itself and infers anew."""
    schema = Schema([ColumnSchema("a", "int"), ColumnSchema("b", "int")], unique=["a"])
    validator = mk.DataValidator(schema, tolerance=0.5, unique=["a", "b"])
    assert (validator.schema.tolerance, validator.schema.unique) == (0.5, (("a",), ("b",)))
    assert validator.fit({"a": [1], "b": [2], "c": [3]}) is validator
    assert validator.schema.names == ("a", "b", "c")


def test_keys_are_unique_within_the_batch():
    """The first row of a key is good, each repeat bad; nulls repeat nothing; a missing column is its own finding."""
    validator = mk.DataValidator(unique=["id", ("day", "flight")]).fit(
        {"id": [1, 2, None], "day": ["m", "m", "t"], "flight": [1, 2, 1]}
    )
    batch = {"id": [5, 5, None, None, 5], "day": list("abcaa"), "flight": [1, 1, 1, 1, 2]}
    assert found(validator.validate(batch)) == [
        ("id", "unique", "error", [1, 4]),
        ("day, flight", "unique", "error", [3]),
    ]
    assert [f.check for f in validator.validate({"day": ["a", "a"], "flight": [1, 1]}).failures] == [
        "missing_column",
        "unique",
    ]


def test_a_tolerance_is_a_rate_with_a_binomial_bound():
    """At 2%, 5 nulls in 100 rows are a warning, 6 an error (95% bound of the binomial: 5), and the message says so."""
    validator = mk.DataValidator(tolerance=0.02).fit({"a": np.arange(100.0)})
    nulls = np.arange(100.0)
    nulls[:5] = np.nan
    report = validator.validate({"a": nulls})
    assert (report.passed, found(report)) == (True, [("a", "null", "warning", [0, 1, 2, 3, 4])])
    assert report.bad_rows.sum() == 0
    nulls[5] = np.nan
    report = validator.validate({"a": nulls})
    assert (report.passed, int(report.bad_rows.sum())) == (False, 6)
    assert "a tolerance of 2% allows 5 in a batch of this size" in report.failures[0].message


def test_severity_by_rule():
    """A rule evolved to a warning no longer fails the batch, one evolved to an error does."""
    batch = with_column("origin", ["zzz", *["JFK"] * 5]).assign(price=1e6)
    strict = VALIDATOR.schema.evolve("price", severity={"range": "error"}).evolve("origin", severity="warning")
    assert found(mk.DataValidator(strict).validate(batch)) == [
        ("price", "range", "error", ALL),
        ("origin", "domain", "warning", [0]),
    ]
    relaxed = VALIDATOR.schema.evolve("origin", severity={"missing_column": "warning"})
    assert mk.DataValidator(relaxed).validate(GOOD.drop(columns="origin")).passed


def test_volume_and_age_are_checked_where_the_schema_asks():
    """Too few or too many rows are a warning; a newest row older than max_age is an error, counted to `now`."""
    schema = VALIDATOR.schema.evolve(min_rows=2, max_rows=5, time="day", max_age=dt.timedelta(days=2))
    validator = mk.DataValidator(schema)
    now = dt.datetime(2013, 1, 3, 5)
    assert found(validator.validate(GOOD, now=now)) == [(None, "volume", "warning", ALL)]
    assert found(validator.validate(GOOD.iloc[:1], now=now)) == [
        (None, "volume", "warning", [0]),
        ("day", "stale", "error", [0]),
    ]
    late = validator.validate(GOOD.iloc[:3], now=dt.datetime(2013, 2, 1, tzinfo=dt.UTC))
    assert "2013-01-01T02:00:00, 30 days, 22:00:00 before" in late.failures[0].message
    assert [f.check for f in validator.validate(GOOD.iloc[:3]).failures] == ["stale"]
    only_low = mk.DataValidator(VALIDATOR.schema.evolve(min_rows=9)).validate(GOOD)
    assert "expected at least 9" in only_low.failures[0].message
    unread = GOOD.iloc[:3].assign(day="text")
    assert [f.check for f in validator.validate(unread, now=now).failures] == ["dtype"]


def test_categories_of_numbers_keep_their_levels():
    """Levels are typed: a category of integers is checked by integers."""
    validator = mk.DataValidator().fit({"c": pd.Categorical([1, 2] * 20)})
    assert found(validator.validate({"c": pd.Categorical([1, 3])})) == [("c", "domain", "error", [1])]


def test_levels_set_by_hand():
    """Levels hold for floats, huge integers and integers against text alike."""
    floats = mk.DataValidator(Schema([ColumnSchema("a", "float", levels=(0.0, 1.0))]))
    assert found(floats.validate({"a": [0.0, 0.5]})) == [("a", "domain", "error", [1])]
    ints = mk.DataValidator(Schema([ColumnSchema("a", "int", levels=(1, 10**40))]))
    assert found(ints.validate({"a": np.array([10**40, 2], object)})) == [("a", "domain", "error", [1])]
    text = mk.DataValidator(Schema([ColumnSchema("a", "int", levels=("1",))]))
    assert found(text.validate({"a": [1, 2]})) == [("a", "domain", "error", [0, 1])]


def test_a_column_without_reference_values_admits_everything():
    """An all-null reference column knows no kind."""
    validator = mk.DataValidator().fit({"a": [None, None]})
    for values in ([1, 2], ["x", None], [pd.Timestamp("2020", tz="UTC")], [object()]):
        assert validator.validate({"a": values}).failures == ()


def test_the_report_says_it_in_plain_words():
    """The first line is the verdict; then errors, then warnings; frame, dict and exception carry the same."""
    report = VALIDATOR.validate(with_column("count", [1, -1, 3, 4, 5, 6]).assign(origin=["zzz", *["JFK"] * 5]))
    lines = str(report).splitlines()
    assert lines[0] == "failed: 1 of 6 rows break 1 error rule; 1 warning"
    assert lines[1].startswith(
        "error   domain: origin: 1 of 6 rows (16.7%) hold an unknown level; expected one of 'EWR'"
    )
    assert lines[1].endswith("at 0: 'zzz'")
    assert lines[2].startswith("warning range: count: 1 of 6 rows (16.7%) lie outside the limits ")
    assert lines[2].endswith("; at 1: -1")
    assert report.to_frame()["check"].tolist() == ["range", "domain"]
    assert report.to_frame().loc[1, ["n_failed", "n_rows", "severity"]].tolist() == [1, 6, "error"]
    assert report.to_dict()["failures"][0]["column"] == "count"
    assert "zzz" in report._repr_html_()
    with pytest.raises(ValidationFailed, match="failed: 1 of 6 rows"):
        report.raise_if_failed()
    passed = VALIDATOR.validate(GOOD)
    passed.raise_if_failed()
    assert str(passed) == "passed: 6 rows, no error"
    assert len(passed.to_frame()) == 0


def test_reasons_follow_the_bad_rows():
    """One text for each row of the bad part, naming every error rule it breaks."""
    report = VALIDATOR.validate(with_column("hour", [5, 99, 5, 5, 5, 98]).assign(origin=["zzz", "zzz", *["JFK"] * 4]))
    assert report.reasons() == ["origin: domain", "hour: domain; origin: domain", "hour: domain"]
    assert len(report.split(GOOD)[1]) == 3


def test_long_values_are_shortened_in_messages():
    """A long text does not flood the report; the example keeps it whole."""
    failure = VALIDATOR.validate(with_column("origin", ["x" * 500, *["JFK"] * 5])).failures[0]
    assert len(failure.message) < 250
    assert failure.examples == ("x" * 500,)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=2),
    st.decimals(allow_nan=False) | st.just(D("NaN")),
    st.complex_numbers(),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.dates(),
    st.timedeltas(),
    st.just(pd.NA),
    st.just(pd.NaT),
    st.lists(st.integers(), max_size=2),
    st.tuples(st.integers(), st.text(max_size=1)),
)
STRATEGIES = st.sampled_from([VALUES, st.integers(), st.floats(), st.text(max_size=2), st.booleans() | st.none()])


@st.composite
def wild_frames(draw):
    """Frames with any values, any index and any column names, repeated or unknown."""
    n = draw(st.integers(0, 6))
    names = draw(st.lists(st.sampled_from([*REFERENCE.columns, "other", 3, None]), max_size=5))
    columns = []
    for _ in names:
        values = np.empty(n, dtype=object)
        for i, value in enumerate(draw(st.lists(draw(STRATEGIES), min_size=n, max_size=n))):
            values[i] = value
        columns.append(pd.Series(values, dtype=object))
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(n))
    frame.columns = pd.Index(names, dtype=object)
    frame.index = pd.Index(draw(st.lists(st.sampled_from(["a", "b", 1]), min_size=n, max_size=n)), dtype=object)
    return frame if draw(st.booleans()) else frame.infer_objects()


@settings(max_examples=250, deadline=None)
@given(wild_frames())
def test_validation_never_raises_never_mutates_and_split_conserves_rows(frame):
    """Whatever the frame holds: a report comes back, the frame is as it was, good and bad rows partition it."""
    before = frame.copy(deep=True)
    validator = mk.DataValidator(VALIDATOR.schema, unique=["origin", ("hour", "count")])
    report = validator.validate(frame)
    pd.testing.assert_frame_equal(frame, before)
    good, bad = report.split(frame)
    assert len(good) + len(bad) == len(frame)
    assert len(report.reasons()) == len(bad)
    assert sorted([*good.index, *bad.index], key=str) == sorted(frame.index, key=str)
    assert report.passed == (
        len(bad) == 0 and len(frame) > 0 and not any(f.severity == "error" for f in report.failures)
    )
    for failure in report.failures:
        assert failure.n_failed == len(failure.rows)
        assert np.all(np.diff(failure.rows) > 0)
    assert str(report)
    assert len(report.to_frame()) == len(report.failures)
    assert isinstance(report.to_dict(), dict)


@settings(max_examples=60, deadline=None)
@given(wild_frames())
def test_a_reference_passes_its_own_schema(frame):
    """Whatever a frame holds: when a schema can be read off it, the frame passes it, also after JSON."""
    frame = frame.loc[:, ~frame.columns.astype(str).duplicated()]
    if len(frame) == 0:
        return
    validator = mk.DataValidator().fit(frame)
    assert validator.validate(frame).failures == ()
    assert Schema.from_json(validator.schema.to_json()) == validator.schema


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(set(REFERENCE.columns) - {"note", "gap"})),
    st.integers(0, 5),
    st.sampled_from([None, object()]),
)
def test_a_fault_in_any_cell_is_found_at_that_cell(name, row, fault):
    """A null or a foreign object in any cell is one failure at that row, and only that row is quarantined."""
    values = list(GOOD[name])
    values[row] = fault
    report = VALIDATOR.validate(with_column(name, values, object))
    check = "null" if fault is None else "type_value"
    assert found(report) == [(name, check, "error", [row])]


@pytest.mark.parametrize("n_levels", [20, 100, 400])
def test_new_levels_of_the_same_law_rarely_fail_a_batch(n_levels):
    """Levels with a Zipf tail: of 200 pairs of a reference of 3,000 and a batch of 300 rows, at most 7 batches fail.

    The design allows 1% of batches; more than 7 of 200 would then come up with a chance of 0.1% (binomial tail).
    """
    law = 1 / np.arange(1, n_levels + 1)
    law /= law.sum()
    names = np.array([f"L{i}" for i in range(n_levels)], dtype=object)
    rng = np.random.default_rng(n_levels)
    failed = enforced = 0
    for _ in range(200):
        validator = mk.DataValidator().fit({"a": names[rng.choice(n_levels, 3000, p=law)]})
        enforced += validator.schema["a"].levels is not None
        failed += not validator.validate({"a": names[rng.choice(n_levels, 300, p=law)]}).passed
    assert enforced == 200
    assert failed <= 7


def test_float_ranges_of_the_same_law_are_rarely_reported():
    """Of 400 batches of a normal law at most 4 report a range; a naive range would report half of them.

    The design allows 0.1% of batches; more than 4 of 400 would then come up with a chance of 0.01% (binomial tail).
    """
    rng = np.random.default_rng(3)
    reported = naive = 0
    for _ in range(400):
        reference, batch = rng.normal(size=500), rng.normal(size=200)
        reported += bool(mk.DataValidator().fit({"a": reference}).validate({"a": batch}).failures)
        naive += bool(batch.max() > reference.max() or batch.min() < reference.min())
    assert reported <= 4
    assert naive > 150


def test_a_tenth_of_rows_with_unseen_hours_fails_and_a_new_destination_passes():
    """In an open tail one new level of 1% passes as a warning; hours that never occurred fail the batch."""
    rng = np.random.default_rng(5)
    law = 1 / np.arange(1, 95) ** 1.2
    places = np.array([f"P{i}" for i in range(95)], dtype=object)
    reference = {
        "dest": np.append(places[rng.choice(94, 20_000, p=law / law.sum())], "P94"),
        "hour": rng.integers(5, 24, 20_001),
    }
    validator = mk.DataValidator().fit(reference)
    dest = places[rng.choice(94, 900, p=law / law.sum())]
    dest[:9] = "NEW"
    hour = rng.integers(5, 24, 900)
    report = validator.validate({"dest": dest, "hour": hour})
    assert found(report) == [("dest", "domain", "warning", list(range(9)))]
    hour[:90] = 2
    report = validator.validate({"dest": dest, "hour": hour})
    assert [(f.column, f.severity, f.n_failed) for f in report.failures] == [
        ("dest", "warning", 9),
        ("hour", "error", 90),
    ]


def test_a_validator_read_back_is_configured_as_before():
    """Tolerance and keys come back with the schema, and still hold when the validator is fitted again."""
    validator = mk.DataValidator(tolerance=0.1, unique=["id"]).fit({"id": [1, 2, 3], "x": ["a", "b", "a"]})
    again = mk.DataValidator.from_json(validator.to_json())
    assert (again.tolerance, again.unique) == (0.1, (("id",),))
    assert again.fit({"id": [1, 2, 3], "x": ["a", "b", "a"]}).schema == validator.schema


@pytest.mark.parametrize(
    ("newest", "stale"),
    [
        (dt.datetime(1, 1, 1), True),
        (dt.datetime(9999, 12, 31), False),
        (np.datetime64(-(2**50), "s"), True),
        (pd.Timestamp("2024-01-09") - pd.Timedelta("1ns"), True),
        (pd.Timestamp("2024-01-09"), False),
    ],
)
def test_any_date_has_an_age(newest, stale):
    """Sentinels at either end of the calendar and single nanoseconds are compared exactly."""
    validator = mk.DataValidator().fit(
        {"t": pd.date_range("2024-01-01", periods=9)}, time="t", max_age=dt.timedelta(days=1)
    )
    report = validator.validate({"t": pd.Series([newest], dtype=object)}, now=dt.datetime(2024, 1, 10))
    assert ("stale" in {f.check for f in report.failures}) == stale


class Nasty:
    def __repr__(self):
        raise RuntimeError("no")

    __str__ = __repr__


def test_objects_that_cannot_be_shown_are_shown_by_their_type():
    """A value whose repr raises, and an exception whose text does, are findings like others."""
    report = VALIDATOR.validate(with_column("price", [Nasty(), 1.5, 2.5, 3.5, 4.5, 5.5]))
    assert "<Nasty>" in str(report)
    assert "<Nasty>" in repr(report.failures[0])

    class Shy(Exception):
        __str__ = Nasty.__repr__

    @mk.check("shy")
    def shy(frame):
        raise Shy

    report = mk.DataValidator(VALIDATOR.schema, checks=[shy]).validate(GOOD)
    assert "raised Shy: <Shy>" in str(report)


def test_a_report_may_be_added_again_and_again():
    """Sums change none of their parts: keys of one sum are not held against the next."""
    validator = mk.DataValidator(unique=["id"]).fit({"id": [1, 2, 3]})
    a, b, c = (validator.start().update({"id": ids}) for ids in ([4, 5], [6, 7], [6]))
    assert found(a + b) == found(a + b) == []
    assert found(a + a) == [("id", "unique", "error", [2, 3])]
    assert found(a + b + c) == found(a + (b + c)) == [("id", "unique", "error", [4])]
    run = validator.start()
    first = run.update({"id": [4]})
    both = run.update({"id": [5]})
    assert found(first + both) == [("id", "unique", "error", [1])]
    assert found(run.update({"id": [6]})) == []


def test_keys_whose_names_join_alike_are_apart():
    """A column named "a, b" is not the key of the columns a and b."""
    validator = mk.DataValidator(unique=["a, b", ("a", "b")]).fit({"a, b": range(4), "a": range(4), "b": range(4)})
    batch = {"a, b": [1, 1], "a": [1, 2], "b": [1, 2]}
    assert (
        found(validator.validate(batch)) == found(validator.start().update(batch)) == [("a, b", "unique", "error", [1])]
    )


@pytest.mark.parametrize(
    ("column", "values", "rows"),
    [
        ("cost", [D(1), 999, D(5000), 2, 3, 4], [1, 2]),
        ("day", [np.datetime64("2000-01-01"), dt.date(2001, 1, 1), *pd.date_range("2013-01-02", periods=4)], [0, 1]),
        ("took", [dt.timedelta(99), np.timedelta64(99, "D"), *pd.to_timedelta(["1h"] * 4)], [0, 1]),
    ],
)
def test_objects_of_several_types_keep_their_limits(column, values, rows):
    """Decimals beside integers, and every way to write a time, are compared alike in one frame and in chunks."""
    batch = with_column(column, values, dtype=object)
    run = VALIDATOR.start()
    for i in range(6):
        chunks = run.update(batch.iloc[i : i + 1])
    assert found(VALIDATOR.validate(batch)) == found(chunks) == [(column, "range", "warning", rows)]


def test_a_time_difference_is_no_integer():
    """numpy counts timedelta64 among its integers; a column of numbers does not."""
    batch = with_column("count", [1, 2, np.timedelta64(5, "s"), 4, 5, 6], dtype=object)
    assert found(VALIDATOR.validate(batch)) == [("count", "type_value", "error", [2])]


def test_numbers_beyond_floats_add_up():
    """An integer of 400 digits in one chunk and floats in the next are one failure."""
    run = mk.DataValidator().fit({"a": np.arange(30.0)}).start()
    run.update({"a": np.array([10**400], dtype=object)})
    assert found(run.update({"a": [1e300]})) == [("a", "range", "warning", [0, 1])]
    assert Schema.infer({"a": np.array([10**400, 5], dtype=object)})["a"].high == 10**400
    assert Schema.infer({"a": [D("1e400"), D(5)]})["a"].high == D("1e400")


def test_many_missing_columns_make_a_short_report():
    """The names that are there are listed up to twenty, so that a report does not grow by its square."""
    validator = mk.DataValidator().fit({f"a{i}": [1] for i in range(300)})
    report = validator.validate({f"b{i}": [1] for i in range(300)})
    assert len(report.failures) == 600
    assert len(str(report)) < 150_000


def test_rows_of_arrow_views_can_be_taken():
    """pandas cannot take rows of Arrow's string views; the validator can."""
    text = pd.Series(pd.arrays.ArrowExtensionArray(pa.array(["JFK", None, "XXX"], pa.string_view())))
    report = mk.DataValidator().fit({"a": ["JFK", "EWR"] * 20}).validate(pd.DataFrame({"a": text}))
    assert found(report) == [("a", "null", "error", [1]), ("a", "domain", "error", [2])]
    good, bad = report.split(pd.DataFrame({"a": text}))
    assert (len(good), len(bad)) == (1, 2)


def test_checks_keep_their_order():
    """A validator read from JSON reports its checks in the order in which they were written."""

    def bad(frame):
        return True

    one, two = mk.check("one")(bad), mk.check("two")(bad)
    text = mk.DataValidator(VALIDATOR.schema, checks=[one, two]).to_json()
    report = mk.DataValidator.from_json(text, checks=[two, one]).validate(GOOD)
    assert [f.check for f in report.failures] == ["one", "two"]
