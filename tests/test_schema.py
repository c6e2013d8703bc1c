"""Schemas: what inference enforces, what it leaves open, JSON, diff and evolve."""

import datetime as dt
import decimal
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlopskit as mk
from mlopskit import frames
from mlopskit.errors import ConfigurationError, DataError, FormatError, NotFound
from mlopskit.schema import ColumnSchema, Sample, Schema, SchemaDiff, compatible

D = decimal.Decimal


def infer(values, **options):
    return Schema.infer({"a": values}, **options)["a"]


def test_limits_of_integers_and_datetimes_are_exact():
    """Integers beyond 2**53 and nanoseconds are kept to the last digit; datetimes have no upper limit."""
    assert infer([2**53 + 1, -(2**60), 0]).high == 2**53 + 1
    assert infer(np.array([2**64 - 1, 0], dtype=np.uint64)).high == 2**64 - 1
    assert infer(np.array([10**40, 0], dtype=object)).high == 10**40
    times = infer(pd.to_datetime([1_577_836_800_000_000_001, 2 * 10**18]))
    assert (times.low, times.high) == (1_577_836_800_000_000_001, None)
    assert infer([D("0.10"), D("0.30")]).high == D("0.30")
    assert infer(pd.to_timedelta(["1D", "2D"])).high == 2 * 86_400 * 10**9


def test_infinities_never_become_limits():
    """Infinities in the reference are allowed later and leave the limits finite."""
    column = infer([1.0, np.inf, -np.inf, 3.0])
    assert (column.low, column.high, column.finite) == (1.0, 3.0, False)
    only = infer([np.inf, np.inf])
    assert (only.low, only.high) == (None, None)
    decimals = infer([D("Infinity"), D(1), D(2)])
    assert (decimals.low, decimals.high, decimals.finite) == (D(1), D(2), False)


def test_ranges_are_warnings_and_the_rest_are_errors():
    """An inferred range is a warning, every other rule an error at tolerance 0."""
    schema = Schema.infer({"a": np.linspace(0, 1, 30)})
    column = schema["a"]
    assert column.severity == {"range": "warning"}
    assert column.sample.n_rows == 30
    assert {schema.tolerance_of("a", rule) for rule in ("null", "dtype", "nonfinite")} == {0.0}


def test_nulls_are_forbidden_only_with_enough_rows():
    """20 rows without a null forbid nulls; fewer make them a warning; a null in the reference allows them."""
    assert infer([1.5] * 20).severity_of("null") == "error"
    assert not infer([1.5] * 20).nullable
    assert infer([1.5] * 19).severity_of("null") == "warning"
    column = infer([1.5, np.nan, 2.5, 3.0])
    assert (column.nullable, column.null_share) == (True, 0.25)


def test_levels_are_enforced_where_they_are_few_and_seen_often():
    """Text, categories and codes get levels; identifiers, free text, counts, clocks and bools do not."""
    rng = np.random.default_rng(0)
    assert infer(["JFK", "EWR"] * 10).levels == ("EWR", "JFK")
    assert infer(pd.Categorical(["x", "y"] * 10, categories=["x", "y", "z"])).levels == ("x", "y", "z")
    assert infer(rng.integers(0, 24, 2000)).levels == tuple(range(24))
    assert infer([f"N{i}" for i in range(100)]).levels is None
    assert infer([f"N{i % 900}" for i in range(9000)]).levels is None
    assert infer(["a", "b", "c"]).levels is None
    assert infer(rng.poisson(3.0, 5000)).levels is None
    assert infer(np.repeat([1, 2], 500)).levels is None
    assert infer(np.arange(5000)).levels is None
    assert infer(rng.integers(0, 10**6, 5000)).levels is None
    assert infer([True, False] * 50).levels is None
    assert infer(pd.Categorical(pd.to_datetime(["2020-01-01", "2020-01-02"] * 20))).levels is None


def test_an_open_tail_widens_the_tolerance_by_the_good_turing_share():
    """One level seen once in 1,000 rows: 0.1% (Good 1953) plus 2%; with every level seen 5 times it is 0."""
    assert infer(["a"] * 999 + ["b"]).tolerance == {"domain": pytest.approx(0.001 + 0.02)}
    assert infer(["a"] * 995 + ["b"] * 5).tolerance == {}
    assert infer(["a"] * 999 + ["b"], tolerance=0.5).tolerance == {"domain": 0.5}


def test_keys_are_reported_and_enforced_only_when_asked():
    """Distinct non-null integers and text are candidate keys; an enforced key has no range and no levels."""
    frame = {"id": [3, 1, 2], "name": ["x", "y", "z"], "f": [1.0, 2.0, 3.0], "n": [1, 1, 2], "s": ["q", None, "r"]}
    schema = Schema.infer(frame, unique=["id", ("name", "n")])
    assert schema.keys == ("id", "name")
    assert schema.unique == (("id",), ("name", "n"))
    assert (schema["id"].low, schema["id"].levels) == (None, None)
    assert Schema.infer(frame).unique == ()


def test_an_empty_column_promises_nothing():
    """A column without any value admits every kind."""
    assert infer([None, None]).kind == "other"
    assert infer([np.nan, np.nan]).kind == "other"


def test_references_that_cannot_teach_are_refused():
    """No rows, doubled names or a repeated key raise DataError that says what to do."""
    with pytest.raises(DataError, match="empty"):
        Schema.infer({"a": []})
    with pytest.raises(DataError, match="rename"):
        Schema.infer(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match=r"position 2.*remove the repeats"):
        Schema.infer({"id": [1, 2, 1]}, unique=["id"])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ColumnSchema("a", "integer"),
        lambda: ColumnSchema("a", "int", severity={"ranges": "error"}),
        lambda: ColumnSchema("a", "int", severity={"range": "fatal"}),
        lambda: ColumnSchema("a", "int", tolerance={"null": 1.5}),
        lambda: ColumnSchema("a", "int", tolerance={"null": True}),
        lambda: ColumnSchema("a", "float", high=np.inf),
        lambda: ColumnSchema("a", "int", low=2, high=1),
        lambda: ColumnSchema("a", "int", low=0.5),
        lambda: ColumnSchema("a", "int", low=True),
        lambda: ColumnSchema("a", "int", low="1"),
        lambda: ColumnSchema("a", "decimal", high=decimal.Decimal("NaN")),
        lambda: ColumnSchema("a", "datetime", low=np.datetime64("NaT")),
        lambda: ColumnSchema("a", "str", low=1),
        lambda: ColumnSchema("a", "int", nullable="no"),
        lambda: ColumnSchema("a", "int", sample=20),
        lambda: Sample(20, low=0.0, high=1.0, least=0.5, most=2.0),
        lambda: ColumnSchema("a", "int", tolerance={"dtype": 0.1}),
        lambda: ColumnSchema("a", "str", levels="ab"),
        lambda: ColumnSchema("a", "str", levels=[{"a": 1}]),
        lambda: ColumnSchema("a", "float", levels=[np.nan]),
        lambda: ColumnSchema("a", "datetime", levels=[1]),
        lambda: Schema([ColumnSchema("a", "int")], unique=[0]),
        lambda: Schema([ColumnSchema("a", "int")], unique=[()]),
        lambda: Schema([ColumnSchema("a", "int")], unique=[("a", "a")]),
        lambda: Schema([ColumnSchema("a", "datetime")], time="a", max_age=3),
        lambda: Schema([ColumnSchema("a", "datetime")], time="a", max_age=-dt.timedelta(1)),
        lambda: Schema([], min_rows="10"),
        lambda: Schema([], min_rows=-1),
        lambda: Schema([], min_rows=5, max_rows=4),
        lambda: Schema([ColumnSchema("a", "int"), ColumnSchema("a", "int")]),
        lambda: Schema([ColumnSchema("a", "int")], unique=["b"]),
        lambda: Schema([ColumnSchema("a", "int")], unique="a"),
        lambda: Schema([ColumnSchema("a", "int")], time="a"),
        lambda: Schema([ColumnSchema("a", "int")], max_age=dt.timedelta(1)),
        lambda: Schema([], tolerance=2.0),
        lambda: Schema.infer({"a": [1]}, tolerance="1%"),
    ],
)
def test_a_schema_is_checked_at_construction(wrong):
    """A rule that cannot work raises ConfigurationError before any batch is seen."""
    with pytest.raises(ConfigurationError):
        wrong()


def columns_of(kind):
    """Any column of a kind."""
    whole = st.integers(-(2**80), 0), st.integers(1, 2**80)
    real = st.floats(-1e300, 0) | st.decimals(-100, 0) | whole[0], st.floats(1, 1e300) | st.decimals(1, 100) | whole[1]
    low, high = whole if kind in ("int", "datetime", "duration") else real
    levels = st.lists(st.integers() | st.text(max_size=3) | st.booleans(), max_size=4).map(tuple)
    return st.builds(
        ColumnSchema,
        name=st.text(min_size=1, max_size=5).filter(lambda s: s.isprintable()),
        kind=st.just(kind),
        nullable=st.booleans(),
        null_share=st.floats(0, 1),
        finite=st.booleans(),
        low=st.none() | low if kind in frames.NUMERIC else st.none(),
        high=st.none() | high if kind in frames.NUMERIC else st.none(),
        sample=st.none()
        | st.builds(
            Sample, st.integers(0, 10**9), st.floats(-1e300, 0), st.floats(1, 1e300), st.just(-1e308), st.just(1e308)
        ),
        levels=st.none() if kind in ("datetime", "duration") else st.none() | levels,
        zoned=st.booleans(),
        severity=st.dictionaries(st.sampled_from(["null", "range"]), st.sampled_from(["error", "warning"])),
        tolerance=st.dictionaries(st.sampled_from(["null", "domain"]), st.floats(0, 1)),
    )


COLUMNS = st.sampled_from(get_args(frames.Kind)).flatmap(columns_of)


@settings(max_examples=60, deadline=None)
@given(st.lists(COLUMNS, max_size=4, unique_by=lambda c: c.name), st.floats(0, 1))
def test_json_changes_nothing(columns, tolerance):
    """A schema that went through JSON is equal, has the same hash and the same text."""
    schema = Schema(columns, n_rows=7, unique=[c.name for c in columns], tolerance=tolerance)
    again = Schema.from_json(schema.to_json())
    assert again == schema
    assert hash(again) == hash(schema)
    assert again.to_json() == schema.to_json()
    assert [type(c.low) for c in again.columns] == [type(c.low) for c in schema.columns]
    assert not schema.diff(again)


def test_json_is_made_for_review():
    """JSON is indented, one level to a line; what is no schema is refused."""
    text = Schema.infer({"origin": ["JFK", "EWR"] * 10}).to_json()
    assert '        "EWR",\n        "JFK"\n' in text
    for wrong in ("nonsense", "{}", '{"protocol": 1, "type": "Schema", "columns": [], "tolerance": 3}'):
        with pytest.raises(FormatError):
            Schema.from_json(wrong)


def test_evolve_changes_one_column_or_the_schema():
    """Rules given as one value hold for all rules, as a dict they are merged; hand-set limits lose their allowance."""
    schema = Schema.infer({"a": np.linspace(0, 1, 50), "b": [1, 2] * 25})
    changed = schema.evolve("a", high=2.0, tolerance={"null": 0.1})
    assert (changed["a"].high, changed["a"].sample, changed["a"].low) == (2.0, None, 0.0)
    assert changed.tolerance_of("a", "null") == 0.1
    assert changed["a"].severity_of("range") == "warning"
    assert changed["b"] is schema["b"]
    assert set(schema.evolve("a", severity="warning")["a"].severity.values()) == {"warning"}
    assert schema.evolve(max_rows=10).max_rows == 10
    with pytest.raises(NotFound, match="has \\['a', 'b'\\]"):
        schema.evolve("z", high=1)
    with pytest.raises(ConfigurationError, match="cannot be changed"):
        schema.evolve("a", hihg=1)


BASE = Schema(
    [
        ColumnSchema("n", "int", low=0, high=9, levels=(1, 2)),
        ColumnSchema("t", "datetime", low=0, nullable=False),
        ColumnSchema("f", "float"),
    ],
    unique=["n"],
)
AGED = BASE.evolve(time="t", max_age=dt.timedelta(days=2))


@pytest.mark.parametrize(
    ("old", "new", "breaking", "words"),
    [
        (BASE, BASE.evolve("n", kind="float"), False, "n: kind int -> float"),
        (BASE, BASE.evolve("f", kind="int"), True, "f: kind float -> int"),
        (BASE, BASE.evolve("n", low=1), True, "n: low 0 -> 1"),
        (BASE, BASE.evolve("n", low=-1), False, "n: low 0 -> -1"),
        (BASE, BASE.evolve("n", high=None), False, "n: high 9 -> none"),
        (BASE, BASE.evolve("n", high=8), True, "n: high 9 -> 8"),
        (BASE, BASE.evolve("f", low=0.5), True, "f: low none -> 0.5"),
        (
            BASE.evolve("f", severity="warning"),
            BASE.evolve("f", low=0.5, severity="warning"),
            False,
            "f: low none -> 0.5",
        ),
        (BASE, BASE.evolve("t", low=None), False, "t: low 1970-01-01T00:00:00 -> none"),
        (BASE, BASE.evolve("t", zoned=True), True, "t: time zone expected"),
        (BASE, BASE.evolve("t", nullable=True), False, "t: null allowed"),
        (BASE, BASE.evolve("n", nullable=False), True, "n: null no longer allowed"),
        (BASE, BASE.evolve("f", finite=False), False, "f: infinity allowed"),
        (BASE, BASE.evolve("n", levels=(1,)), True, "n: levels removed [2]"),
        (BASE, BASE.evolve("n", levels=(1, 2, 3)), False, "n: levels added [3]"),
        (BASE, BASE.evolve("n", levels=None), False, "n: levels no longer enforced"),
        (BASE, BASE.evolve("f", levels=(0.0,)), True, "f: levels enforced (1)"),
        (BASE, BASE.evolve("n", severity={"null": "warning"}), False, "n: severity of null error -> warning"),
        (BASE.evolve("n", severity={"null": "warning"}), BASE, True, "n: severity of null warning -> error"),
        (BASE, BASE.evolve("n", tolerance={"null": 0.1}), False, "n: tolerance of null 0 -> 0.1"),
        (BASE.evolve("n", tolerance={"null": 0.1}), BASE, True, "n: tolerance of null 0.1 -> 0"),
        (BASE.evolve(tolerance=0.1), BASE, True, "tolerance 0.1 -> 0"),
        (BASE, BASE.evolve(unique=()), False, "key ['n'] no longer unique"),
        (BASE, BASE.evolve(unique=["n", ("n", "t")]), True, "key ['n', 't'] must be unique"),
        (BASE, BASE.evolve(columns=(*BASE.columns, ColumnSchema("z", "str"))), True, "z: column added (str)"),
        (BASE, BASE.evolve(columns=BASE.columns[:2]), False, "f: column removed"),
        (BASE, AGED, True, "maximum age None by None -> 2 days, 0:00:00 by t"),
        (AGED, AGED.evolve(max_age=dt.timedelta(3)), False, "maximum age 2 days, 0:00:00 by t -> 3 days, 0:00:00 by t"),
        (AGED, AGED.evolve(max_age=dt.timedelta(1)), True, "maximum age 2 days, 0:00:00 by t -> 1 day, 0:00:00 by t"),
        (BASE, BASE.evolve(min_rows=5), False, "rows expected None to None -> 5 to None"),
    ],
)
def test_diff_says_what_breaks(old, new, breaking, words):
    """A change is breaking when a batch that passed may fail now, and compatible when it cannot."""
    assert old.diff(new) == (SchemaDiff((words,), ()) if breaking else SchemaDiff((), (words,)))


def test_no_change_is_false_and_prints_so():
    """A diff is true when something changes."""
    assert not BASE.diff(BASE)
    assert str(BASE.diff(BASE)) == "no change"
    assert str(BASE.diff(BASE.evolve("n", low=1, nullable=False))).count("breaking: ") == 2


def test_limits_print_as_people_write_them():
    """Datetimes print in ISO format, durations with their unit."""
    assert ColumnSchema("t", "datetime", zoned=True).show(0) == "1970-01-01T00:00:00Z"
    assert ColumnSchema("t", "duration").show(5) == "5 nanoseconds"


def test_kinds_that_stand_for_one_another():
    """Every kind passes for itself and for "other"; integers for floats and decimals; text and categories alike."""
    assert compatible("int", "decimal")
    assert compatible("category", "str")
    assert compatible("datetime", "other")
    assert not compatible("bool", "int")
    assert not compatible("str", "float")


def test_a_limit_edited_in_json_is_meant_as_it_stands():
    """The allowance of a sample ends where its limits are changed by hand."""
    schema = Schema.infer({"x": np.linspace(0.0, 1.0, 1000)}).evolve("x", severity={"range": "error"})
    batch = {"x": [0.5, 0.9]}
    edited = Schema.from_json(schema.to_json().replace('"high": 1.0', '"high": 0.8', 1))
    assert mk.DataValidator(schema).validate({"x": [0.5, 1.2]}).passed
    assert [f.check for f in mk.DataValidator(edited).validate(batch).failures] == ["range"]


@pytest.mark.parametrize(
    ("old", "new", "batch"),
    [
        ({"a": [0.0, 1.0] * 30}, lambda s: s.evolve("a", high=50.0), {"a": [-0.1]}),
        ({"a": pd.Categorical([1, 2] * 30)}, lambda s: Schema([ColumnSchema("a", "str")]), {"a": pd.Categorical([1])}),
        ({"a": [3, 4] * 30}, lambda s: Schema([ColumnSchema("a", "decimal")]), {"a": [3.0]}),
        (
            {"a": pd.Categorical([True, False] * 30)},
            lambda s: s.evolve("a", levels=(1, 0)),
            {"a": pd.Categorical([True])},
        ),
        ({"a": [1, 2]}, lambda s: Schema([ColumnSchema("a", "other", nullable=False)]), {"a": [None, "x"]}),
    ],
    ids=["an allowance is lost", "category to str", "int to decimal", "True is not 1", "a kind that was warned of"],
)
def test_what_may_fail_later_is_breaking(old, new, batch):
    """The batch passes the old schema and fails the new one; the difference says so."""
    schema = Schema.infer(old).evolve("a", severity={"range": "error"})
    if batch["a"][0] is None:
        schema = schema.evolve("a", severity="warning")
    changed = new(schema)
    assert mk.DataValidator(schema).validate(batch).passed
    assert not mk.DataValidator(changed).validate(batch).passed
    assert schema.diff(changed).breaking
    assert schema != changed


def test_limits_of_times_are_given_as_times():
    """A moment or a span of time is taken as nanoseconds, exactly."""
    schema = Schema.infer({"t": pd.date_range("2024-01-01", periods=30), "d": pd.to_timedelta(range(30), unit="s")})
    changed = schema.evolve("t", low=pd.Timestamp("2023-01-01"), high=dt.date(2025, 1, 1))
    changed = changed.evolve("d", high=np.timedelta64(60, "s"))
    assert changed["t"].low == pd.Timestamp("2023-01-01").value
    assert changed["t"].show(changed["t"].high) == "2025-01-01T00:00:00"
    assert changed["d"].high == 60 * 10**9


@pytest.mark.parametrize("seed", range(3))
def test_integers_that_grow_have_no_upper_limit(seed):
    """Ids, shuffled or in order, and a counter that repeats; numbers that merely differ keep theirs."""
    rng = np.random.default_rng(seed)
    assert infer(rng.permutation(5000)).high is None
    assert infer(np.sort(rng.integers(0, 10**9, 500))).high is None
    assert infer(np.repeat(np.arange(100), 3)).high is None
    assert infer(rng.integers(0, 10**9, 500)).high is not None
    assert infer([7] * 500).high == 7


@pytest.mark.parametrize("law", [lambda rng, n: rng.poisson(0.05, n), lambda rng, n: rng.poisson(0.3, n)])
def test_counts_with_a_tail_are_no_codes(law):
    """Batches of the same law, as long as the reference, are in error in at most 5% of 400 runs.

    If the true rate were 5%, more than 35 of 400 would come up with a chance of 0.06% (binomial tail).
    """
    rng = np.random.default_rng(4)
    failed = sum(
        not mk.DataValidator().fit({"a": law(rng, 2000)}).validate({"a": law(rng, 2000)}).passed for _ in range(400)
    )
    assert failed <= 35


def test_flags_and_codes_are_exact():
    """Codes that are seen about equally often know no others."""
    schema = Schema.infer({"flag": [0, 1] * 120, "month": [*range(1, 13)] * 20})
    report = mk.DataValidator(schema).validate({"flag": [0, 2], "month": [12, 13]})
    assert [(f.column, f.check, f.severity) for f in report.failures] == [
        ("flag", "domain", "error"),
        ("month", "domain", "error"),
    ]
