"""One column of any storage as a `Column`: its logical kind, its values as numpy, and which of them are null.

The kind says what a value means, never how an engine stores it, so that the same content has the same kind everywhere:

- dates are datetimes at midnight; times are int64 nanoseconds, or Python integers where 64 bits do not hold them;
- a decimal type without decimal places holds integers (so some engines hand on 128-bit integers);
- an interval of months, days and nanoseconds is a duration whose months have 30 days;
- dictionary-encoded values are categories; text is text, whatever its layout;
- what has no kind of its own (nested values, bytes, times of day, mixed objects, nothing but nulls) is "other".
"""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from attrs import field, frozen
from numpy.typing import NDArray

from mlopskit.errors import DataError

Frame: TypeAlias = Any
"""A frame in memory: a pandas or polars DataFrame, a pyarrow Table or RecordBatch, a dict of equally long arrays, or a
numpy array of records. The columns of a 2-D array get their names by `dict(zip(names, array.T))`."""

Kind: TypeAlias = Literal["bool", "int", "float", "str", "category", "datetime", "duration", "decimal", "other"]

NUMERIC: frozenset[str] = frozenset({"int", "float", "datetime", "duration", "decimal"})
"""Kinds whose values are numbers that can be ordered and binned."""

_NANOSECONDS = {"D": 86_400 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_OF_A_NANOSECOND = {"ps": 10**3, "fs": 10**6, "as": 10**9}
_DAYS_OF_A_MONTH = 30
_EXACT = 2**53  # up to here floats hold every integer


@frozen(eq=False, slots=False)
class Column:
    """One column of a frame, engine-free.

    Parameters
    ----------
    name
        The column's name, as text.
    kind
        Its logical kind.
    values
        Shape (n_rows,). bool, int64, uint64 or float64 for those kinds; int64 nanoseconds (UTC where a zone is set)
        for datetime and duration; int64 codes into `levels` (-1 where null) for str and category; Python objects for
        decimal and other, and Python integers for integers and nanoseconds beyond 64 bits. The value under a null is
        arbitrary.
    null
        Shape (n_rows,): True where the value is missing. A float NaN counts as missing in pandas' own dtypes, which
        do not tell it from a null, and as a value elsewhere; `missing` folds the two.
    levels
        The distinct values of a str or category column in order of first appearance; None for other kinds.
    zone
        The time zone of a datetime column, or None.
    """

    name: str
    kind: Kind
    values: NDArray[Any]
    null: NDArray[np.bool_]
    levels: NDArray[Any] | None = field(default=None)
    zone: str | None = field(default=None)

    def __len__(self) -> int:
        return len(self.null)

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """True where the value is null or NaN."""
        if self.kind != "float" or self.values.dtype == object:
            return self.null
        if not np.isnan(np.min(self.values, initial=np.inf)):  # a minimum passes NaN on
            return self.null
        result: NDArray[np.bool_] = self.null | np.isnan(self.values)
        return result

    def valid(self) -> NDArray[Any]:
        """Return the values that are neither null nor NaN; codes for str and category."""
        missing = self.missing
        result: NDArray[Any] = self.values if not missing.any() else self.values[~missing]
        return result

    def level_counts(self) -> tuple[Sequence[Any], NDArray[np.int64]]:
        """Return the levels of a str or category column, and how many rows have each."""
        assert self.levels is not None
        return self.levels.tolist(), np.bincount(self.valid(), minlength=len(self.levels))

    @property
    def is_plain(self) -> bool:
        """Whether numpy holds the values, not Python objects."""
        return self.values.dtype != object

    def extremes(self) -> tuple[Any, Any]:
        """Return the least and the greatest of at least one value, nulls among them; a NaN is passed on."""
        return self.values.min(), self.values.max()

    def blocks(self, n_rows: int = 1 << 16) -> Iterator[Column]:
        """Yield the column in blocks of so many rows, which stay in cache; nothing is copied."""
        for start in range(0, len(self), n_rows):
            rows = slice(start, start + n_rows)
            yield Column(self.name, self.kind, self.values[rows], self.null[rows], self.levels, self.zone)

    def known(self) -> NDArray[np.float64]:
        """Return the numbers that are not missing as floats, which may be the frame's own: read them only."""
        values = self.valid()
        if values.dtype == object:
            return np.array([_as_float(v) for v in values], dtype=np.float64)
        return values.astype(np.float64, copy=False)

    def numbers(self) -> NDArray[np.float64]:
        """Return the column as floats of shape (n_rows,), NaN where missing; datetimes and durations in nanoseconds.

        Raises
        ------
        DataError
            When the kind holds no numbers.
        """
        if self.kind not in NUMERIC and self.kind != "bool":
            raise DataError(f"column {self.name!r} is of kind {self.kind!r}; expected numbers")
        missing = self.missing
        if self.values.dtype == object:
            filled = np.where(missing, 0, self.values)
            out = np.array([_as_float(v) for v in filled], dtype=np.float64)
        else:
            out = self.values.astype(np.float64)
        if missing.any():
            out[missing] = np.nan
        return out


class _Text(Column):
    """Text that is encoded once its codes are asked for: which levels there are, and how often, costs half as much."""

    _find: Callable[[], Any]
    _encode: Callable[[], NDArray[np.int64]]
    _count: Callable[[], tuple[list[str], NDArray[np.int64]]] | None

    def __init__(
        self,
        name: str,
        null: NDArray[np.bool_],
        levels: Callable[[], Any],
        codes: Callable[[], NDArray[np.int64]],
        counts: Callable[[], tuple[list[str], NDArray[np.int64]]] | None = None,
    ) -> None:
        vars(self).update(name=name, kind="str", null=null, zone=None, _find=levels, _encode=codes, _count=counts)

    def level_counts(self) -> tuple[Sequence[Any], NDArray[np.int64]]:
        return super().level_counts() if self._count is None or "values" in vars(self) else self._count()

    @cached_property
    def levels(self) -> NDArray[Any]:
        return _objects(self._find())

    @cached_property
    def values(self) -> NDArray[np.int64]:
        return self._encode()

    @property
    def is_plain(self) -> bool:
        return True


class _Times(Column):
    """Times, or differences of times, in the unit of their engine: nanoseconds once they are asked for."""

    _raw: NDArray[np.int64]
    _unit: str

    def __init__(
        self, name: str, kind: Kind, raw: NDArray[np.int64], unit: str, null: NDArray[np.bool_], zone: str | None
    ) -> None:
        vars(self).update(name=name, kind=kind, null=null, levels=None, zone=zone, _raw=raw, _unit=unit)

    @cached_property
    def values(self) -> NDArray[Any]:
        return _nanoseconds(self._raw, self._unit, self.null)

    @property
    def is_plain(self) -> bool:
        return True

    def extremes(self) -> tuple[Any, Any]:
        factor = _NANOSECONDS[self._unit]
        return int(self._raw.min()) * factor, int(self._raw.max()) * factor


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def column(values: Any, name: str = "values") -> Column:
    """Read one pandas Series, array or list as a `Column`."""
    series = values if isinstance(values, pd.Series) else as_series(values)
    dtype = series.dtype
    if isinstance(dtype, pd.ArrowDtype) or (isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow"):
        return arrow_column(series.array.__arrow_array__(), name)  # type: ignore[attr-defined]
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return _plain_column(series.to_numpy(), name)
    try:
        null = series.isna().to_numpy(dtype=bool)
    except decimal.InvalidOperation:
        return column([None if isinstance(v, decimal.Decimal) and v.is_snan() else v for v in series], name)
    if isinstance(dtype, pd.CategoricalDtype):
        codes = np.asarray(series.cat.codes, dtype=np.int64)
        return Column(name, "category", codes, null, np.asarray(dtype.categories, dtype=object))
    if pd.api.types.is_object_dtype(dtype):
        return _object_column(series, name, null)
    if pd.api.types.is_bool_dtype(dtype):
        return Column(name, "bool", _filled(series, null, False).to_numpy(dtype=bool), null)
    if pd.api.types.is_integer_dtype(dtype):
        unsigned = pd.api.types.is_unsigned_integer_dtype(dtype)
        return Column(name, "int", _filled(series, null, 0).to_numpy(dtype=np.uint64 if unsigned else np.int64), null)
    if pd.api.types.is_float_dtype(dtype):
        return Column(name, "float", series.to_numpy(dtype=np.float64, na_value=np.nan), null)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        zone = getattr(dtype, "tz", None)
        return _stamps(pd.DatetimeIndex(series), name, null, "datetime", None if zone is None else str(zone))
    if pd.api.types.is_timedelta64_dtype(dtype):
        return _stamps(pd.TimedeltaIndex(series), name, null, "duration")
    if pd.api.types.is_string_dtype(dtype):
        return _level_column(series, name, null, "str")
    return _object_column(series.astype(object), name, null)


def as_series(values: Any) -> pd.Series[Any]:
    """Return an array or a list as a Series; a list keeps integers that floats would round, and text of no encoding.

    >>> as_series([2**53 + 1, None]).tolist()
    [9007199254740993, None]
    """
    try:
        series = pd.Series(values)
    except UnicodeEncodeError:
        return pd.Series(values, dtype=object)
    rounded = isinstance(values, (list, tuple)) and series.dtype.kind == "f" and (series.abs() >= _EXACT).any()
    return pd.Series(values, dtype=object) if rounded else series


def _plain_column(values: NDArray[Any], name: str) -> Column:
    """Read numbers that numpy holds; NaN is null, because such a column has no other way to say it."""
    if values.dtype.kind == "f":
        floats = values.astype(np.float64, copy=False)
        return Column(name, "float", floats, np.isnan(floats))
    kind: Kind = "bool" if values.dtype.kind == "b" else "int"
    wide = {"b": np.bool_, "i": np.int64, "u": np.uint64}[values.dtype.kind]
    return Column(name, kind, values.astype(wide, copy=False), np.zeros(len(values), dtype=bool))


def _filled(series: pd.Series[Any], null: NDArray[np.bool_], value: int) -> pd.Series[Any]:
    return series.fillna(value) if null.any() else series


def _level_column(series: Any, name: str, null: NDArray[np.bool_], kind: Kind) -> Column:
    codes, uniques = pd.factorize(series)
    return Column(name, kind, np.asarray(codes, dtype=np.int64), null, uniques.to_numpy(dtype=object))


def _stamps(index: Any, name: str, null: NDArray[np.bool_], kind: Kind, zone: str | None = None) -> Column:
    """Read a pandas index of time stamps or time differences, whatever its unit."""
    return _Times(name, kind, index.asi8, index.unit, null, zone)


def _nanoseconds(raw: NDArray[np.int64], unit: str, null: NDArray[np.bool_]) -> NDArray[Any]:
    """Return counts of a unit as nanoseconds: Python integers where 64 bits do not hold them, 0 under a null."""
    factor = _NANOSECONDS[unit]
    values = np.where(null, 0, raw) if null.any() else raw
    if factor == 1 or len(values) == 0:
        return values
    limit = (2**63 - 1) // factor
    if -limit <= int(values.min()) and int(values.max()) <= limit:
        return values * factor
    result: NDArray[Any] = values.astype(object) * factor
    return result


def _object_column(series: pd.Series[Any], name: str, null: NDArray[np.bool_]) -> Column:
    objects = np.asarray(series, dtype=object)
    inferred = pd.api.types.infer_dtype(series, skipna=True)
    if inferred == "string":
        return _level_column(series, name, null, "str")
    if inferred == "boolean":
        return Column(name, "bool", np.where(null, False, objects).astype(bool), null)
    if inferred == "integer":
        return _integers(objects, name, null)
    if inferred in {"floating", "mixed-integer-float"}:
        if inferred == "mixed-integer-float" and _needs_integers(objects[~null]):
            return _integers(_objects(0 if gone else int(v) for v, gone in zip(objects, null, strict=True)), name, null)
        try:
            return Column(name, "float", pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan), null)
        except OverflowError:
            return Column(name, "other", objects, null)
    if inferred in {"datetime", "datetime64", "date"}:
        found = [getattr(v, "tzinfo", None) for v in objects[~null]]
        zones = {str(zone) for zone in found if zone is not None}
        if not (zones and None in found):
            zone = None if not zones else zones.pop() if len(zones) == 1 else "UTC"
            return _object_stamps(series, name, null, "datetime", zone)
    if inferred in {"timedelta", "timedelta64"}:
        return _object_stamps(series, name, null, "duration")
    if inferred == "decimal":
        return _decimals(objects, name, null)
    return Column(name, "other", objects, null)


def of_kind(kind: Kind, values: Iterable[Any], null: NDArray[np.bool_], name: str, zone: str | None = None) -> Column:
    """Return objects as a column of this kind, which each of them has; those under a null do not matter.

    >>> of_kind("decimal", [decimal.Decimal(1), 2], np.zeros(2, dtype=bool), "price").values.tolist()
    [Decimal('1'), Decimal('2')]
    """
    read: dict[str, tuple[Any, Callable[[Any], Any]]] = {
        "int": (0, int),
        "float": (0.0, _as_number),
        "decimal": (decimal.Decimal(0), lambda v: v if isinstance(v, decimal.Decimal) else decimal.Decimal(int(v))),
        "datetime": (0, _count),
        "duration": (0, _count),
    }
    if kind not in read:
        return column(_objects(None if gone else v for v, gone in zip(values, null, strict=True)), name)
    filler, make = read[kind]
    made = _objects(filler if gone else make(v) for v, gone in zip(values, null, strict=True))
    return _integers(made, name, null) if kind == "int" else Column(name, kind, made, null, zone=zone)


def _as_number(value: Any) -> Any:
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


def _needs_integers(numbers: NDArray[Any]) -> bool:
    """Whether whole numbers of both types hold one that floats round."""
    whole = (isinstance(v, (int, np.integer)) or v.is_integer() for v in numbers)
    return any(isinstance(v, (int, np.integer)) and abs(int(v)) > _EXACT for v in numbers) and all(whole)


def _integers(objects: NDArray[Any], name: str, null: NDArray[np.bool_]) -> Column:
    filled = np.where(null, 0, objects)
    try:
        return Column(name, "int", filled.astype(np.int64), null)
    except OverflowError:
        return Column(name, "int", filled, null)


def _decimals(objects: NDArray[Any], name: str, null: NDArray[np.bool_]) -> Column:
    filled = objects.copy()
    filled[null] = decimal.Decimal(0)
    return Column(name, "decimal", filled, null)


def _object_stamps(
    series: pd.Series[Any], name: str, null: NDArray[np.bool_], kind: Kind, zone: str | None = None
) -> Column:
    try:
        made: Any = pd.to_datetime(series, utc=zone is not None) if kind == "datetime" else pd.to_timedelta(series)
        index = pd.DatetimeIndex(made) if kind == "datetime" else pd.TimedeltaIndex(made)
        return _stamps(index, name, null, kind, zone)
    except (ValueError, OverflowError):  # beyond the range of a unit
        counts = np.array([0 if gone else _count(v) for v, gone in zip(series, null, strict=True)], dtype=object)
        return Column(name, kind, counts, null, zone=zone)


def _count(value: Any) -> int:
    """Return the nanoseconds of one time stamp or time difference, exactly."""
    if isinstance(value, pd.Timestamp):
        value = (value if value.tzinfo is None else value.tz_convert(None)).to_numpy()
    elif isinstance(value, pd.Timedelta):
        value = value.to_numpy()
    elif isinstance(value, dt.datetime) and value.tzinfo is not None:
        value = np.datetime64(value.astimezone(dt.UTC).replace(tzinfo=None))
    elif isinstance(value, dt.timedelta):
        value = np.timedelta64(value)
    elif isinstance(value, dt.date):
        value = np.datetime64(value)
    unit, step = np.datetime_data(value.dtype)
    if unit in _OF_A_NANOSECOND:
        return int(value.astype(np.int64)) * step // _OF_A_NANOSECOND[unit]
    if unit not in _NANOSECONDS:
        value = value.astype(f"{value.dtype.kind}8[s]")
        unit, step = "s", 1
    return int(value.astype(np.int64)) * step * _NANOSECONDS[unit]


def stamp(kind: str, nanoseconds: int) -> Any:
    """Return a numpy datetime or duration of so many nanoseconds, in coarser units where 64 bits are too few.

    >>> stamp("datetime", 1_577_836_800_000_000_001)
    np.datetime64('2020-01-01T00:00:00.000000001')
    >>> stamp("datetime", 253_370_764_800 * 10**9)
    np.datetime64('9999-01-01T00:00:00.000000')
    """
    make: Any = np.datetime64 if kind == "datetime" else np.timedelta64
    unit = next((u for u in ("ns", "us") if abs(nanoseconds) < 2**63 * _NANOSECONDS[u]), "s")
    return make(nanoseconds // _NANOSECONDS[unit], unit)


def polars_column(series: Any, name: str) -> Column:
    """Read a polars Series; numbers and times without nulls are not copied."""
    import polars as pl

    held = series.dtype
    null = np.zeros(len(series), dtype=bool) if series.null_count() == 0 else series.is_null().to_numpy()
    if held == pl.Boolean:
        return Column(name, "bool", series.fill_null(False).to_numpy(), null)
    if held in (pl.Int128, getattr(pl, "UInt128", pl.Int128)) or (held == pl.Decimal and held.scale == 0):
        return _integers(_objects(None if v is None else int(v) for v in series.to_list()), name, null)
    if held.is_integer():
        wide = np.int64 if held.is_signed_integer() else np.uint64
        return Column(name, "int", series.fill_null(0).to_numpy().astype(wide, copy=False), null)
    if held.is_float():
        return Column(name, "float", series.fill_null(0.0).to_numpy().astype(np.float64, copy=False), null)
    if held in (pl.Date, pl.Datetime, pl.Duration):
        stamps = series.to_numpy()
        kind: Kind = "duration" if held == pl.Duration else "datetime"
        unit = np.datetime_data(stamps.dtype)[0]
        return _Times(name, kind, stamps.view(np.int64), unit, null, getattr(held, "time_zone", None))
    if held == pl.String:
        return _Text(
            name,
            null,
            lambda: _polars_levels(series).to_list(),
            lambda: _codes(series.cast(pl.Enum(_polars_levels(series))), null),
        )
    if held == pl.Enum:
        return Column(name, "category", _codes(series, null), null, _objects(held.categories.to_list()))
    if held == pl.Categorical:
        text, levels = series.cast(pl.String), _polars_levels(series.cast(pl.String))
        return Column(name, "category", _codes(text.cast(pl.Enum(levels)), null), null, _objects(levels.to_list()))
    objects = _objects(series.to_list())
    if held == pl.Decimal:
        return _decimals(objects, name, null)
    return _object_column(pd.Series(objects), name, null) if held == pl.Object else Column(name, "other", objects, null)


def _polars_levels(text: Any) -> Any:
    return text.unique(maintain_order=True).drop_nulls()


def _codes(levels: Any, null: NDArray[np.bool_]) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = levels.to_physical().fill_null(0).to_numpy().astype(np.int64)
    codes[null] = -1
    return codes


def _objects(values: Any) -> NDArray[Any]:
    return np.fromiter(values, dtype=object)


def arrow_column(values: Any, name: str) -> Column:
    """Read a pyarrow array, chunked or not; numbers and times without nulls are not copied."""
    import pyarrow.compute as pc
    from pyarrow import types

    array = _one_array(values)
    held = array.type
    null = _arrow_nulls(array)
    if types.is_string(held) or types.is_large_string(held):
        return _Text(
            name,
            null,
            lambda: pc.unique(array).drop_null().to_pylist(),
            lambda: _arrow_codes(_whole(array.dictionary_encode())),
            lambda: _arrow_counts(pc.value_counts(array)),
        )
    if types.is_dictionary(held):
        return _arrow_category(array, name, null)
    if types.is_boolean(held):
        return Column(name, "bool", _filled_arrow(array, False).to_numpy(zero_copy_only=False), null)
    if types.is_integer(held):
        wide = np.uint64 if types.is_unsigned_integer(held) else np.int64
        return Column(name, "int", _filled_arrow(array, 0).to_numpy().astype(wide, copy=False), null)
    if types.is_floating(held):
        return Column(name, "float", array.to_numpy(zero_copy_only=False).astype(np.float64, copy=False), null)
    if types.is_temporal(held) and not types.is_time(held):
        return _arrow_times(array, name, null)
    objects = _objects(array.to_pylist())
    if types.is_decimal(held) and held.scale <= 0:
        return _integers(_objects(None if v is None else int(v) for v in objects), name, null)
    return _decimals(objects, name, null) if types.is_decimal(held) else Column(name, "other", objects, null)


def _one_array(values: Any) -> Any:
    """Return a pyarrow array without extension types, run ends and views; only text stays in its chunks."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(values.type, pa.BaseExtensionType):
        values = values.cast(values.type.storage_type)
    if pa.types.is_run_end_encoded(values.type):
        chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
        values = pa.chunked_array([pc.run_end_decode(chunk) for chunk in chunks], values.type.value_type)
    if pa.types.is_string_view(values.type):
        values = values.cast(pa.large_string())
    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    return values if is_text and isinstance(values, pa.ChunkedArray) else _whole(values)


def _whole(values: Any) -> Any:
    """Return the chunks of a pyarrow array as one."""
    import pyarrow as pa

    if not isinstance(values, pa.ChunkedArray):
        return values
    if pa.types.is_dictionary(values.type):
        values = values.unify_dictionaries()
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()


def _filled_arrow(array: Any, value: int) -> Any:
    return array if array.null_count == 0 else array.fill_null(value)


def _arrow_nulls(array: Any) -> NDArray[np.bool_]:
    if array.null_count == 0:
        return np.zeros(len(array), dtype=bool)
    result: NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    return result


def _arrow_category(array: Any, name: str, null: NDArray[np.bool_]) -> Column:
    import pyarrow.compute as pc

    found = array.dictionary
    if found.null_count or pc.count_distinct(found).as_py() < len(found):
        array = array.dictionary_decode().dictionary_encode()
        null = _arrow_nulls(array)
    return Column(name, "category", _arrow_codes(array), null, _objects(array.dictionary.to_pylist()))


def _arrow_codes(array: Any) -> NDArray[np.int64]:
    indices = array.indices.cast("int64")
    codes: NDArray[np.int64] = (indices if array.null_count == 0 else indices.fill_null(-1)).to_numpy()
    return codes


def _arrow_counts(found: Any) -> tuple[list[str], NDArray[np.int64]]:
    """Return the values that are not null, and their counts."""
    values, counts = found.field("values").to_pylist(), found.field("counts").to_numpy()
    known = [i for i, value in enumerate(values) if value is not None]
    return [values[i] for i in known], counts[known]


def _arrow_times(array: Any, name: str, null: NDArray[np.bool_]) -> Column:
    import pyarrow as pa

    held = array.type
    if pa.types.is_interval(held):
        return Column(name, "duration", _arrow_intervals(array, null), null)
    days = pa.types.is_date32(held)
    raw = array.view(pa.int32() if days else pa.int64()).fill_null(0).to_numpy().astype(np.int64, copy=False)
    unit = "D" if days else "ms" if pa.types.is_date64(held) else held.unit
    kind: Literal["datetime", "duration"] = "duration" if pa.types.is_duration(held) else "datetime"
    return _Times(name, kind, raw, unit, null, getattr(held, "tz", None))


def _arrow_intervals(array: Any, null: NDArray[np.bool_]) -> NDArray[Any]:
    """Return intervals of months, days and nanoseconds as nanoseconds."""
    fields = np.dtype([("months", "<i4"), ("days", "<i4"), ("rest", "<i8")])
    raw = np.frombuffer(array.buffers()[1], dtype=fields)[array.offset : array.offset + len(array)]
    days = np.where(null, 0, raw["months"].astype(np.int64) * _DAYS_OF_A_MONTH + raw["days"])
    rest = np.where(null, 0, raw["rest"])
    if (np.abs(days * float(_NANOSECONDS["D"]) + rest) < 2.0**62).all():
        return days * _NANOSECONDS["D"] + rest
    result: NDArray[Any] = days.astype(object) * _NANOSECONDS["D"] + rest.astype(object)
    return result


def restore(column: Column) -> pd.Series[Any]:
    """Return a `Column` as a pandas Series, nulls included."""
    if column.levels is not None:
        if column.kind == "category":
            return pd.Series(pd.Categorical.from_codes(column.values, categories=pd.Index(column.levels)))
        padded = np.append(column.levels, np.array([None], dtype=object))
        return pd.Series(padded[column.values])
    if column.kind == "datetime":
        stamps = pd.Series(pd.DatetimeIndex(_in_one_unit(column)))
        stamps = stamps if column.zone is None else stamps.dt.tz_localize("UTC").dt.tz_convert(column.zone)
        return stamps.mask(column.null)
    if column.kind == "duration":
        return pd.Series(pd.TimedeltaIndex(_in_one_unit(column))).mask(column.null)
    if not column.null.any():
        return pd.Series(column.values)
    if column.kind in {"int", "float"} and column.values.dtype != object:
        floats = np.where(column.null, np.nan, column.values.astype(np.float64))
        if column.kind == "float" or np.nanmax(np.abs(floats), initial=0.0) <= 2.0**53:
            return pd.Series(floats)
    objects = column.values.astype(object)
    objects[column.null] = None
    return pd.Series(objects)


def _in_one_unit(column: Column) -> NDArray[Any]:
    """Return times as numpy has them: nanoseconds, or the finest unit that holds them all."""
    letter = "M8" if column.kind == "datetime" else "m8"
    if column.values.dtype != object:
        return column.values.view(f"{letter}[ns]")
    widest = max(abs(int(v)) for v in column.values)
    unit = np.datetime_data(stamp(column.kind, widest).dtype)[0]
    return (column.values // _NANOSECONDS[unit]).astype(np.int64).view(f"{letter}[{unit}]")


def infinite(column: Column) -> NDArray[np.bool_]:
    """Return which values of a column of floats, decimals or mixed objects are infinite; none for other kinds.

    >>> infinite(column([1.0, np.inf, np.nan])).tolist()
    [False, True, False]
    """
    if column.values.dtype == object and column.kind in {"float", "decimal", "other"}:
        return np.fromiter(map(_is_infinite, column.values), dtype=bool, count=len(column))
    if column.kind == "float":
        return np.asarray(np.isinf(column.values), dtype=bool)
    return np.zeros(len(column), dtype=bool)


def _is_infinite(value: object) -> bool:
    if isinstance(value, decimal.Decimal):
        return value.is_infinite()
    return isinstance(value, (float, np.floating)) and bool(np.isinf(value))
