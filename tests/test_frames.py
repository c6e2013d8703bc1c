"""One door for every engine: logical kinds, nulls, rows by position, fingerprints."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlopskit import frames
from mlopskit.errors import DataError
from mlopskit.schema import ColumnSchema, Schema
from mlopskit.validation import DataValidator

D = decimal.Decimal
DAY = 86_400_000_000_000


def series(values, dtype=None):
    return pd.DataFrame({"a": pd.Series(values, dtype=dtype)})


def arrow(values, kind):
    return series(values, pd.ArrowDtype(kind))


KINDS = [
    ("int8", series([1, 2], "int8"), "int", 0),
    ("uint64", series([2**64 - 1], "uint64"), "int", 0),
    ("Int64 with null", series([1, None], "Int64"), "int", 1),
    ("Arrow int with null", arrow([1, None], pa.int32()), "int", 1),
    ("object ints beyond 64 bits", series([10**40, None], object), "int", 1),
    ("object ints", series([np.int64(5), 3], object), "int", 0),
    ("sparse int", pd.DataFrame({"a": pd.arrays.SparseArray([0, 1, 0])}), "int", 0),
    ("float16", series(np.array([1.5], np.float16)), "float", 0),
    ("float with NaN", series([1.5, np.nan]), "float", 1),
    ("Float64 with null", series([1.5, None], "Float64"), "float", 1),
    ("object floats with NA", series([1.5, pd.NA], object), "float", 1),
    ("object ints and floats", series([1, 2.5, None], object), "float", 1),
    ("bool", series([True, False]), "bool", 0),
    ("object bools with None", series([True, None], object), "bool", 1),
    ("nullable boolean", series([True, None], "boolean"), "bool", 1),
    ("Arrow bool", arrow([True, None], pa.bool_()), "bool", 1),
    ("str", series(["x", None], "str"), "str", 1),
    ("string", series(["x", None], "string"), "str", 1),
    ("object text", series(["x", None], object), "str", 1),
    ("Arrow string", arrow(["x", None], pa.string()), "str", 1),
    ("category", series(pd.Categorical(["x", None])), "category", 1),
    ("datetime in seconds", series(np.array(["2020-01-01"], "M8[s]")), "datetime", 0),
    ("datetime with a zone", series([pd.Timestamp("2020", tz="Europe/Berlin"), pd.NaT]), "datetime", 1),
    ("object datetimes", series([dt.datetime(2020, 1, 1), None], object), "datetime", 1),
    ("object datetime64", series([np.datetime64("2020-01-01"), None], object), "datetime", 1),
    ("object dates", series([dt.date(2020, 1, 1), None], object), "datetime", 1),
    ("Arrow date", arrow([dt.date(2020, 1, 1), None], pa.date32()), "datetime", 1),
    ("Arrow timestamp", arrow([pd.Timestamp("2020"), None], pa.timestamp("us")), "datetime", 1),
    ("timedelta", series([pd.Timedelta(1, "D"), None]), "duration", 1),
    ("object timedeltas", series([dt.timedelta(1), None], object), "duration", 1),
    ("decimals", series([D("1.1"), None], object), "decimal", 1),
    ("a signalling decimal NaN", series([D("1.1"), D("sNaN")], object), "decimal", 1),
    ("Arrow decimal", arrow([D("1.1"), None], pa.decimal128(5, 2)), "decimal", 1),
    ("a date of year 9999", series([dt.date(9999, 12, 31), None], object), "datetime", 1),
    ("naive and zoned", series([pd.Timestamp("2020"), pd.Timestamp("2020", tz="UTC")], object), "other", 0),
    ("text and numbers", series(["x", 1], object), "other", 0),
    ("bools and ints", series([True, 1], object), "other", 0),
    ("a number too large for a float", series([10**400, 2.5], object), "other", 0),
    ("lists", series([[1], [2]], object), "other", 0),
    ("all None", series([None, None], object), "other", 2),
    ("polars int", pl.DataFrame({"a": [1, None]}), "int", 1),
    ("polars Int128", pl.DataFrame({"a": pl.Series([2**100, None], dtype=pl.Int128)}), "int", 1),
    ("polars float with null and NaN", pl.DataFrame({"a": [1.0, None, np.nan]}), "float", 1),
    ("polars bool", pl.DataFrame({"a": [True, None]}), "bool", 1),
    ("polars String", pl.DataFrame({"a": ["x", None]}), "str", 1),
    ("polars Categorical", pl.DataFrame({"a": pl.Series(["x", None], dtype=pl.Categorical)}), "category", 1),
    ("polars Enum", pl.DataFrame({"a": pl.Series(["x", None], dtype=pl.Enum(["x", "y"]))}), "category", 1),
    ("polars Date", pl.DataFrame({"a": [dt.date(2020, 1, 1), None]}), "datetime", 1),
    ("polars Duration", pl.DataFrame({"a": [dt.timedelta(1), None]}), "duration", 1),
    ("polars Decimal", pl.DataFrame({"a": [D("1.1"), None]}), "decimal", 1),
    ("polars struct", pl.DataFrame({"a": [{"x": 1}, None]}), "other", 1),
    ("pyarrow int", pa.table({"a": [1, None]}), "int", 1),
    ("pyarrow dictionary", pa.table({"a": pa.array(["x", None]).dictionary_encode()}), "category", 1),
    ("pyarrow timestamp", pa.table({"a": pa.array([1, None], pa.timestamp("ns", "UTC"))}), "datetime", 1),
    ("dict of lists", {"a": ["x", None]}, "str", 1),
]


@pytest.mark.parametrize(("frame", "kind", "n_null"), [c[1:] for c in KINDS], ids=[c[0] for c in KINDS])
def test_each_storage_has_its_logical_kind(frame, kind, n_null):
    """The kind is logical: it does not depend on the engine or on how the values are stored."""
    (column,) = frames.columns(frame)
    assert (column.name, column.kind, int(column.null.sum()), len(column)) == ("a", kind, n_null, frames.n_rows(frame))


def test_nan_counts_as_missing_in_every_engine():
    """NaN is null in pandas and a value in polars; `missing` folds the two."""
    for frame in (series([1.0, np.nan]), pl.DataFrame({"a": [1.0, np.nan]}), pa.table({"a": [1.0, np.nan]})):
        column = frames.columns(frame)[0]
        assert column.missing.tolist() == [False, True]
        assert column.valid().tolist() == [1.0]


def test_times_keep_their_nanoseconds_and_their_instant():
    """Datetimes are int64 nanoseconds in UTC, exact in every engine, whatever the zone."""
    expected = 1_577_836_800_000_000_001
    stamp = pd.Timestamp(expected, tz="UTC").tz_convert("Europe/Berlin")
    from_polars = pl.DataFrame({"a": pl.Series([expected]).cast(pl.Datetime("ns", "Europe/Berlin"))})
    from_arrow = pa.table({"a": pa.array([expected], pa.timestamp("ns", "Europe/Berlin"))})
    for frame in (series([stamp]), from_polars, from_arrow):
        column = frames.columns(frame)[0]
        assert (column.values.tolist(), column.zone) == ([expected], "Europe/Berlin")
    assert frames.columns(pl.DataFrame({"a": pl.Series([7]).cast(pl.Duration("ns"))}))[0].values.tolist() == [7]


def test_datetimes_of_several_zones_are_instants():
    """An object column of zoned times in several zones becomes UTC."""
    mixed = series([pd.Timestamp("2020-01-01", tz="Etc/GMT+5"), pd.Timestamp("2020-01-01", tz="UTC")], object)
    column = frames.columns(mixed)[0]
    assert column.zone == "UTC"
    assert column.values[0] - column.values[1] == 5 * DAY // 24


def test_what_is_no_frame_is_refused_in_words():
    """Lists, lazy frames, ragged dicts and scalars raise DataError."""
    for thing in ([1], None, pl.LazyFrame({"a": [1]}), {"a": [1], "b": [1, 2]}, {"a": 1}, {"a": np.zeros((2, 2))}):
        with pytest.raises(DataError):
            frames.columns(thing)
    assert not frames.is_frame([1])
    assert all(frames.is_frame(f) for f in ({}, pd.DataFrame(), pl.DataFrame(), pa.table({})))


def test_a_dict_of_series_goes_by_position():
    """Series in a dict are not aligned by their index, so no row is invented or lost."""
    frame = {"a": pd.Series([1, 2], index=[5, 6]), "b": [3, 4]}
    assert [c.values.tolist() for c in frames.columns(frame)] == [[1, 2], [3, 4]]
    with pytest.raises(DataError):
        frames.n_rows({"a": pd.Series([1, 2]), "b": pd.Series([1])})


ENGINES = [pd.DataFrame, pl.DataFrame, pa.table, dict]


@pytest.mark.parametrize("engine", ENGINES, ids=["pandas", "polars", "pyarrow", "dict"])
def test_rows_and_columns_are_taken_in_kind(engine):
    """take, select and drop return the same type of frame, also when nothing is left."""
    frame = engine({"a": [1, 2, 3], "b": ["x", "y", None]})
    assert type(frames.take(frame, [0, 2])) is type(frame)
    assert frames.cells(frames.take(frame, np.array([True, False, True])), "a", [0, 1]) == (1, 3)
    assert frames.n_rows(frames.take(frame, [])) == 0
    assert frames.names(frames.select(frame, ["b", "a"])) == ["b", "a"]
    assert frames.names(frames.drop(frame, ["b", "zzz"])) == ["a"]
    assert frames.cells(frame, "b", [1]) == ("y",)
    assert list(frames.values_of(frame, "a")) == [1, 2, 3]
    with pytest.raises(DataError, match="missing column"):
        frames.select(frame, ["zzz"])


def test_duplicate_names_are_kept_and_refused_by_name():
    """Columns that share a name are all listed; picking one by name is refused; rows can still be taken."""
    for frame in (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), pa.table([[1, 3], [2, 4]], names=["a", "a"])):
        assert frames.names(frame) == ["a", "a"]
        assert [c.values.tolist() for c in frames.columns(frame)] == [[1, 3], [2, 4]]
        assert type(frames.take(frame, [1])) is type(frame)
        assert frames.n_rows(frames.take(frame, [1])) == 1
        with pytest.raises(DataError, match="duplicate"):
            frames.select(frame, ["a"])


@pytest.mark.parametrize("case", KINDS, ids=[c[0] for c in KINDS])
def test_restoring_a_column_keeps_its_nulls(case):
    """A column restored as a pandas Series has the same nulls and, read again, the same kind of values."""
    column = frames.columns(case[1])[0]
    restored = frames.restore(column)
    assert restored.isna().tolist() == column.missing.tolist()
    again = frames.column(restored)
    assert again.null.sum() == column.missing.sum()


def test_restored_integers_stay_exact():
    """An integer with a null becomes a float only where a float holds it exactly."""
    frame = pl.DataFrame({"a": [2**53 + 1, None], "b": [5, None]})
    restored = frames.to_pandas(frame)
    assert restored["a"][0] == 2**53 + 1
    assert restored["b"].dtype == np.float64


def test_numbers_are_floats_or_refused():
    """`numbers` gives NaN where missing, infinity where a float cannot hold the value, and refuses text."""
    values = frames.columns(series([10**400, -(10**400), 3, None], object))[0].numbers()
    np.testing.assert_array_equal(values, [np.inf, -np.inf, 3.0, np.nan])
    np.testing.assert_array_equal(frames.column([True, False]).numbers(), [1.0, 0.0])
    with pytest.raises(DataError, match="expected numbers"):
        frames.column(["x"]).numbers()


def test_infinite_values_of_floats_and_decimals():
    """Only floats and decimals hold infinities."""
    decimals = frames.column(pd.Series([D("Infinity"), D(1), None], dtype=object))
    assert frames.infinite(decimals).tolist() == [True, False, False]
    assert frames.infinite(frames.column([1, 2])).tolist() == [False, False]


def test_keys_repeat_by_value_and_nulls_repeat_nothing():
    """Composite keys compare by value; a null in a key repeats nothing; unhashable values are compared too."""
    frame = pd.DataFrame({"a": ["x", "x", None, None, "x"], "b": [1.0, 2.0, 1.0, 1.0, 1.0]})
    assert frames.repeated(frames.columns(frame)).tolist() == [False, False, False, False, True]
    lists = frames.columns(series([[1], [2], [1]], object))
    assert frames.repeated(lists).tolist() == [False, False, True]
    big = frames.columns(series([10**40, 10**40, 1], object))
    assert frames.repeated(big).tolist() == [False, True, False]


def test_ids_are_text():
    """A midnight time stamp becomes its date, whole floats lose their point, a missing id is refused."""
    found = [frames.key(v) for v in (pd.Timestamp("2013-03-01"), dt.datetime(2013, 3, 1, 6), dt.date(2013, 3, 1), 12.0)]
    assert found == ["2013-03-01", "2013-03-01T06:00:00", "2013-03-01", "12"]
    for missing in (None, pd.NA, pd.NaT, np.nan, np.datetime64("NaT")):
        with pytest.raises(DataError, match="missing"):
            frames.key(missing)
    assert frames.keys([1, 2, 1]) == ["1", "2", "1"]


def test_moments_are_utc():
    """Naive times are taken as UTC, zoned ones converted, and what is no time refused."""
    assert frames.utc(np.datetime64("2013-03-01T12:00")) == dt.datetime(2013, 3, 1, 12, tzinfo=dt.UTC)
    assert frames.utc(pd.Timestamp("2013-03-01", tz="Etc/GMT+5")).hour == 5
    assert frames.utc().tzinfo is dt.UTC
    for wrong in ("2013-03-01", pd.NaT):
        with pytest.raises(DataError, match="expected a datetime"):
            frames.utc(wrong)


TABLE = {
    "i": [3, 1, 2**62],
    "f": [0.5, -0.0, None],
    "s": ["x", "y", None],
    "t": [dt.datetime(2020, 1, d) for d in (1, 2, 3)],
    "b": [True, False, True],
}


def test_the_fingerprint_is_equal_across_engines():
    """pandas, polars and pyarrow frames with the same content have one fingerprint, whatever the row order."""
    prints = {frames.fingerprint(engine(TABLE)) for engine in (pd.DataFrame, pl.DataFrame, pa.table, dict)}
    prints.add(frames.fingerprint(pd.DataFrame(TABLE).iloc[[2, 0, 1]]))
    prints.add(frames.fingerprint(pd.DataFrame(TABLE)[["b", "t", "s", "f", "i"]].astype({"s": "category"})))
    prints.add(frames.fingerprint(pd.DataFrame(TABLE).astype({"i": object})))
    assert len(prints) == 1


def test_the_fingerprint_changes_with_any_cell_and_name():
    """Another value, null, name or pairing of cells gives another fingerprint."""
    base = pd.DataFrame(TABLE)
    changed = [base.rename(columns={"i": "j"}), base.iloc[:2], base.assign(b=base["b"][::-1].to_numpy() ^ True)]
    for name in TABLE:
        swapped = base.copy()
        swapped[name] = base[name].iloc[[1, 0, 2]].to_numpy()
        changed.append(swapped)
    prints = {frames.fingerprint(frame) for frame in (base, *changed)}
    assert len(prints) == 1 + len(changed)
    strange = series([10**40, "\udc80", D("1.5"), None], object)
    assert frames.fingerprint(strange) != frames.fingerprint(strange.iloc[:3])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-(2**70), 2**70), max_size=8), st.integers(0, 8))
def test_fingerprints_of_parts_add_up(values, cut):
    """The two 64-bit halves of the parts' fingerprints add up to those of the whole."""
    if not values:
        return
    parts = [values[:cut], values[cut:]]
    whole = frames.fingerprint({"a": np.array(values, dtype=object)})
    added = [0, 0]
    for part in parts:
        if part:
            text = frames.fingerprint({"a": np.array(part, dtype=object)})
            added = [(a + int(text[i : i + 16], 16)) % 2**64 for a, i in zip(added, (0, 16), strict=True)]
    assert whole == "".join(f"{a:016x}" for a in added)


PACKED = pd.DataFrame(
    {
        "i": [1, 2],
        "n": pd.array([1, None], dtype="Int64"),
        "f": [0.5, np.nan],
        "s": pd.Series(["x", None], dtype="str"),
        "o": pd.Series(["x", None], dtype=object),
        "b": [True, False],
        "c": pd.Categorical(["lo", None], categories=["lo", "hi"], ordered=True),
        "t": pd.to_datetime(["2020-01-01", None]),
        "z": pd.to_datetime(["2020-01-01", None]).tz_localize("Europe/Berlin"),
        "d": pd.to_timedelta(["1D", None]),
    }
)


def test_a_packed_frame_comes_back_equal():
    """pack takes a frame apart into plain values, unpack rebuilds it with dtypes, levels and zones."""
    pd.testing.assert_frame_equal(frames.unpack(frames.pack(PACKED)), PACKED)


def test_frames_whose_columns_are_numbers_are_put_together() -> None:
    joined = frames.concat([pd.DataFrame({0: [1], 1: ["x"]}), pd.DataFrame({0: [2], 1: ["y"]})])
    assert joined.to_dict("list") == {"0": [1, 2], "1": ["x", "y"]}


def test_frames_go_one_below_the_other():
    """concat goes by column name, keeps the first frame's order, and refuses nothing at all."""
    joined = frames.concat([pd.DataFrame({"a": [1], "b": ["x"]}, index=[9]), pl.DataFrame({"b": ["y"], "a": [2]})])
    assert joined.to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}
    assert joined.index.tolist() == [0, 1]
    with pytest.raises(DataError, match="at least one"):
        frames.concat([])


def test_groups_go_by_first_appearance():
    """Each key comes once, with the positions of its rows."""
    found = [(k, p.tolist()) for k, p in frames.groups(pd.Series([2, 1, 2], index=[9, 9, 9]))]
    assert found == [("2", [0, 2]), ("1", [1])]


def test_a_shallow_frame_shields_the_original():
    """Changing the shallow frame changes nothing in the original."""
    for frame in (pd.DataFrame({"a": [1, 2]}), {"a": [1, 2]}):
        copy = frames.shallow(frame)
        copy["a"] = [8, 9]
        copy["z"] = [0, 0]
        assert frames.names(frame) == ["a"]
        assert list(frame["a"]) == [1, 2]
    untouched = pl.DataFrame({"a": [1]})
    assert frames.shallow(untouched) is untouched


def test_dates_beside_moments_with_a_zone_are_no_datetimes():
    """A column of a date and a zoned moment has no one time line: it is of kind other, not an error."""
    column = frames.column(pd.Series([dt.date(2000, 1, 1), pd.Timestamp("2000-01-01", tz="UTC")], dtype=object))
    assert column.kind == "other"


EPOCH = dt.datetime(1970, 1, 1)
ZONED = dt.timezone(dt.timedelta(hours=5))
FAR = [
    [dt.datetime(9999, 12, 31, 23, 59, 59, 999999), dt.datetime(1, 1, 1), None],
    [dt.date(9999, 12, 31), dt.date(1, 1, 1), None],
    [dt.datetime(9999, 1, 1, tzinfo=ZONED), dt.datetime(1, 1, 2, tzinfo=ZONED), None],
    [np.datetime64("9999-01-01", "s"), np.datetime64("2020-01-01", "ns"), None],
    [np.datetime64("9999", "Y"), np.datetime64("0001-02", "M"), None],
    [pd.Timestamp("9999-01-01", tz="UTC"), pd.Timestamp(7, tz="UTC"), None],
    [pd.Timestamp("9999-01-01"), pd.Timestamp(1_000), None],
    [dt.timedelta(days=999_999), dt.timedelta(days=-999_999, microseconds=1), None],
    [np.timedelta64(10**6, "D"), pd.Timedelta(7), None],
]


def nanoseconds(value):
    """The exact count, by Python's own integers."""
    if isinstance(value, (pd.Timestamp, pd.Timedelta)):
        return int(value.asm8.astype(np.int64)) * {"ns": 1, "us": 1000, "ms": 10**6, "s": 10**9}[value.unit]
    if isinstance(value, (np.datetime64, np.timedelta64)):
        value = value.astype(f"{value.dtype.kind}8[us]").item()
    if isinstance(value, dt.timedelta):
        return value // dt.timedelta(microseconds=1) * 1000
    if not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    utc = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    return (utc - EPOCH) // dt.timedelta(microseconds=1) * 1000


@pytest.mark.parametrize("cells", FAR, ids=lambda cells: f"{type(cells[0]).__name__} {cells[0]}")
def test_times_beyond_64_bits_of_nanoseconds_are_exact_integers(cells):
    """Dates of the years 1 and 9999 stay datetimes, exact to the nanosecond, and come back as such."""
    column = frames.column(pd.Series(cells, dtype=object))
    assert column.kind == ("duration" if isinstance(cells[0], (dt.timedelta, np.timedelta64)) else "datetime")
    assert column.null.tolist() == [False, False, True]
    assert column.values.tolist()[:2] == [nanoseconds(v) for v in cells[:2]]
    restored = frames.restore(column)
    assert restored.isna().tolist() == [False, False, True]
    again = frames.column(restored)
    assert (again.kind, again.zone is None) == (column.kind, column.zone is None)
    assert [v // 1000 for v in again.values[:2].tolist()] == [v // 1000 for v in column.values[:2].tolist()]
    assert column.numbers()[:2].tolist() == [float(v) for v in column.values[:2].tolist()]


def test_a_stamp_is_in_the_finest_unit_that_holds_it():
    """Nanoseconds where 64 bits hold them, then microseconds, then seconds."""
    found = [frames.stamp("duration", v) for v in (2**63 - 1, 2**63, 2**63 * 1000)]
    assert [np.datetime_data(v.dtype)[0] for v in found] == ["ns", "us", "s"]
    assert frames.stamp("datetime", nanoseconds(dt.date(9999, 12, 31))) == np.datetime64("9999-12-31")


def test_a_schema_shows_far_limits():
    """A limit of the year 1 is shown, and a batch beyond it is described."""
    day = pd.Series([dt.date(1, 1, 1), dt.date(9999, 12, 31)] * 30, dtype=object)
    validator = DataValidator().fit(pd.DataFrame({"day": day}))
    assert "0001-01-01" in str(validator.schema["day"].show(validator.schema["day"].low))
    late = DataValidator(schema=Schema([ColumnSchema("day", "datetime", low=0)])).validate(pd.DataFrame({"day": day}))
    assert "datetime.date(1, 1, 1)" in late.failures[0].message


def test_columns_are_restored_in_place_of_doubled_names():
    """A frame whose names stand twice becomes pandas with both."""
    frame = frames.to_pandas(pa.table([[1, None], ["x", "y"]], names=["a", "a"]))
    assert list(frame.columns) == ["a", "a"]
    assert frame.iloc[:, 1].tolist() == ["x", "y"]


def test_names_that_look_like_patterns_are_names():
    """A star or a regular expression as a column name selects that column alone."""
    frame = pl.DataFrame({"*": [1], "^a.*$": [2], "ab": [3]})
    for source in (frame, frame.lazy()):
        for name in frame.columns:
            assert frames.names(frames.select(source, [name])) == [name]


def test_ragged_and_nested_dicts_are_refused():
    """A dict needs arrays, of one length and one dimension; records with fields of two dimensions are refused, too."""
    for thing in ({"a": [1], "b": [1, 2]}, {"a": 1}):
        with pytest.raises(DataError, match="a dict of columns needs arrays"):
            frames.n_rows(thing)
    with pytest.raises(DataError):
        frames.columns(np.zeros(3, dtype=[("a", "f8", (2, 2))]))
    assert frames.n_rows({}) == 0


def test_no_two_small_rows_share_a_fingerprint():
    """All pairs of 40 small integers, and all rows of ten flags, are told apart."""
    present = np.array([False])
    ones = {(n, v): frames.Column(n, "int", np.array([v]), present) for n in "ij" for v in range(40)}
    pairs = {frames.fingerprint_of([ones["i", a], ones["j", b]]) for a in range(40) for b in range(40)}
    assert len(pairs) == 1600
    flags = [np.array([False]), np.array([True])]
    rows = {
        frames.fingerprint_of([frames.Column(f"c{i}", "bool", flags[row >> i & 1], present) for i in range(10)])
        for row in range(1024)
    }
    assert len(rows) == 1024


def test_dictionaries_with_small_unsigned_indices_and_nulls():
    """Codes of 8 bits have no room for -1: nulls are found all the same."""
    array = pa.DictionaryArray.from_arrays(pa.array([0, None, 1, 0], pa.uint8()), pa.array(["a", "b"]))
    (read,) = frames.columns(pa.table({"a": array}))
    assert (read.values.tolist(), read.null.tolist()) == ([0, -1, 1, 0], [False, True, False, False])
