"""The one door to data frames: what comes in is a frame, what goes on is plain numpy.

A frame is a pandas DataFrame, a polars DataFrame, a pyarrow Table, or a dict of equally long arrays. Every column
becomes a `Column`: its logical kind, its values as a numpy array, and which of them are null. Logical kinds, never
storage dtypes, are what the rest of the package compares: an Arrow-backed and a numpy-backed integer are both "int".
"""

from __future__ import annotations

import datetime as dt
import decimal
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from mlopskit.errors import DataError
from mlopskit.stats.summaries import mix64

Frame: TypeAlias = Any
"""A pandas or polars DataFrame, a pyarrow Table, or a dict of equally long arrays."""

Kind: TypeAlias = Literal["bool", "int", "float", "str", "category", "datetime", "duration", "decimal", "other"]

NUMERIC: frozenset[str] = frozenset({"int", "float", "datetime", "duration", "decimal"})
"""Kinds whose values are numbers that can be ordered and binned."""


@frozen(eq=False)
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
        integers beyond 64 bits, decimal and other. The value under a null is arbitrary.
    null
        Shape (n_rows,): True where the value is missing. A float NaN counts as missing in pandas and not elsewhere;
        `missing` folds the two.
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
        return len(self.values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """True where the value is null or NaN."""
        if self.kind == "float":
            result: NDArray[np.bool_] = self.null | np.isnan(self.values)
            return result
        return self.null

    def valid(self) -> NDArray[Any]:
        """Return the values that are neither null nor NaN; codes for str and category."""
        missing = self.missing
        result: NDArray[Any] = self.values if not missing.any() else self.values[~missing]
        return result

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


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def is_frame(data: object) -> bool:
    """Whether `data` is something this module reads as a frame."""
    return isinstance(data, (pd.DataFrame, dict)) or _is_foreign(data)


def _is_foreign(data: object) -> bool:
    root = type(data).__module__.partition(".")[0]
    return root in {"polars", "pyarrow"} and hasattr(data, "shape") and hasattr(data, "columns")


def _eager(data: Frame) -> Any:
    """Return `data` as pandas, or as a narwhals eager frame where it is another engine's."""
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, dict):
        try:
            return pd.DataFrame({k: v.array if isinstance(v, pd.Series) else v for k, v in data.items()})
        except (TypeError, ValueError) as error:
            raise DataError(f"a dict of columns needs arrays of one length: {error}") from error
    if _is_foreign(data):
        import narwhals.stable.v2 as nw

        if _doubles_names(data):
            return data.to_pandas(types_mapper=pd.ArrowDtype)
        try:
            return nw.from_native(data, eager_only=True)
        except (TypeError, ValueError) as error:
            raise DataError(f"cannot read this {type(data).__name__}: {error}") from error
    raise DataError(
        f"got {type(data).__name__}; expected a pandas or polars DataFrame, a pyarrow Table or a dict of columns"
    )


def _doubles_names(data: Any) -> bool:
    """Whether this is a pyarrow Table with duplicate column names, which narwhals refuses."""
    found = getattr(data, "column_names", ())
    return len(set(found)) < len(found)


def names(data: Frame) -> list[str]:
    """Return the column names in order, duplicates kept.

    >>> names({"a": [1], "b": [2]})
    ['a', 'b']
    """
    return [str(name) for name in _eager(data).columns]


def n_rows(data: Frame) -> int:
    """Return the number of rows."""
    return len(_eager(data))


def columns(data: Frame, only: Iterable[str] | None = None) -> tuple[Column, ...]:
    """Return the frame's columns in order, duplicates kept; `only` limits them to these names.

    >>> [(c.name, c.kind) for c in columns({"a": [1, 2], "b": ["x", None]})]
    [('a', 'int'), ('b', 'str')]
    """
    eager = _eager(data)
    wanted = None if only is None else set(only)
    pairs = eager.items() if isinstance(eager, pd.DataFrame) else ((name, eager[name]) for name in eager.columns)
    read = column if isinstance(eager, pd.DataFrame) else _foreign_column
    return tuple(read(values, str(name)) for name, values in pairs if wanted is None or str(name) in wanted)


def column(values: Any, name: str = "values") -> Column:
    """Read one pandas Series, array or list as a `Column`."""
    series = values if isinstance(values, pd.Series) else pd.Series(values)
    dtype = series.dtype
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
        zone = getattr(dtype, "tz", None) or getattr(getattr(dtype, "pyarrow_dtype", None), "tz", None)
        return _time_column(series, name, null, "datetime", None if zone is None else str(zone))
    if pd.api.types.is_timedelta64_dtype(dtype):
        return _time_column(series, name, null, "duration", None)
    if pd.api.types.is_string_dtype(dtype):
        return _level_column(series, name, null)
    return _object_column(series.astype(object), name, null)


def _filled(series: pd.Series[Any], null: NDArray[np.bool_], value: int) -> pd.Series[Any]:
    return series.fillna(value) if null.any() else series


def _level_column(series: Any, name: str, null: NDArray[np.bool_]) -> Column:
    codes, uniques = pd.factorize(series)
    return Column(name, "str", np.asarray(codes, dtype=np.int64), null, np.asarray(uniques, dtype=object))


def _time_column(
    series: pd.Series[Any], name: str, null: NDArray[np.bool_], kind: Literal["datetime", "duration"], zone: str | None
) -> Column:
    try:
        if kind == "datetime":
            index: Any = pd.to_datetime(series, utc=zone is not None)
            stamps = pd.DatetimeIndex(index).as_unit("ns")
        else:
            stamps = pd.TimedeltaIndex(series).as_unit("ns")  # type: ignore[assignment]
    except (ValueError, OverflowError):  # beyond the range of nanoseconds, or dates beside moments with a zone
        return Column(name, "other", np.asarray(series.astype(object), dtype=object), null)
    return Column(name, kind, np.asarray(stamps.asi8, dtype=np.int64), null, zone=zone)


def _object_column(series: pd.Series[Any], name: str, null: NDArray[np.bool_]) -> Column:
    objects = np.asarray(series, dtype=object)
    inferred = pd.api.types.infer_dtype(series, skipna=True)
    if inferred == "string":
        return _level_column(series, name, null)
    if inferred == "boolean":
        return Column(name, "bool", np.where(null, False, objects).astype(bool), null)
    if inferred == "integer":
        filled = np.where(null, 0, objects)
        try:
            return Column(name, "int", filled.astype(np.int64), null)
        except OverflowError:
            return Column(name, "int", filled, null)
    if inferred in {"floating", "mixed-integer-float"}:
        try:
            return Column(name, "float", pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan), null)
        except OverflowError:
            return Column(name, "other", objects, null)
    if inferred in {"datetime", "datetime64"}:
        found = [getattr(v, "tzinfo", None) for v in objects[~null]]
        zones = {str(zone) for zone in found if zone is not None}
        naive = None in found
        if not (zones and naive):
            zone = None if not zones else zones.pop() if len(zones) == 1 else "UTC"
            return _time_column(series, name, null, "datetime", zone)
    if inferred == "date":
        return _time_column(series, name, null, "datetime", None)
    if inferred in {"timedelta", "timedelta64"}:
        return _time_column(series, name, null, "duration", None)
    if inferred == "decimal":
        filled = objects.copy()
        filled[null] = decimal.Decimal(0)
        return Column(name, "decimal", filled, null)
    return Column(name, "other", objects, null)


def _foreign_column(series: Any, name: str) -> Column:
    """Read a narwhals series (polars, pyarrow)."""
    import narwhals.stable.v2 as nw

    dtype = series.dtype
    null = np.asarray(series.is_null().to_numpy(), dtype=bool)
    if dtype == nw.Boolean:
        return Column(name, "bool", np.asarray(series.fill_null(False).to_numpy(), dtype=bool), null)
    if dtype.is_integer() and dtype not in (nw.Int128, nw.UInt128):
        wide = np.int64 if dtype.is_signed_integer() else np.uint64
        return Column(name, "int", np.asarray(series.fill_null(0).to_numpy()).astype(wide), null)
    if dtype.is_float():
        return Column(name, "float", np.asarray(series.fill_null(0.0).to_numpy()).astype(np.float64), null)
    if dtype in (nw.Datetime, nw.Duration):
        kind: Literal["datetime", "duration"] = "datetime" if dtype == nw.Datetime else "duration"
        return _time_column(pd.Series(series.to_numpy()), name, null, kind, getattr(dtype, "time_zone", None))
    values = pd.Series(series.to_list(), dtype=object)
    if dtype in (nw.Categorical, nw.Enum):
        codes, uniques = pd.factorize(values)
        return Column(name, "category", np.asarray(codes, dtype=np.int64), null, np.asarray(uniques, dtype=object))
    return _object_column(values, name, null)


def take(data: Frame, positions: ArrayLike) -> Frame:
    """Return the rows at these positions (or where this mask is True), as the same type of frame."""
    index = np.asarray(positions)
    if index.dtype == bool:
        index = np.flatnonzero(index)
    if _is_foreign(data) and _doubles_names(data):
        return data.take(index.astype(np.int64))
    eager = _eager(data)
    if isinstance(eager, pd.DataFrame):
        taken = eager.iloc[index]
        return {str(c): taken[c].to_numpy() for c in taken.columns} if isinstance(data, dict) else taken
    return eager[index.tolist()].to_native()


def select(data: Frame, wanted: Sequence[str]) -> Frame:
    """Return these columns in this order, as the same type of frame; other columns are left out.

    Raises
    ------
    DataError
        When a column is missing or stands twice.
    """
    have = names(data)
    missing = [name for name in wanted if name not in have]
    if missing:
        raise DataError(f"missing column(s) {missing}: got {have}")
    twice = sorted({name for name in wanted if have.count(name) > 1})
    if twice:
        raise DataError(f"duplicate column name(s) {twice}: rename them, so that each name means one column")
    eager = _eager(data)
    if isinstance(eager, pd.DataFrame):
        chosen = eager.iloc[:, [have.index(name) for name in wanted]]
        return {str(c): chosen[c].to_numpy() for c in chosen.columns} if isinstance(data, dict) else chosen
    return eager.select(list(wanted)).to_native()


def drop(data: Frame, unwanted: Iterable[str]) -> Frame:
    """Return the frame without these columns; names it does not have are ignored."""
    gone = set(unwanted)
    return select(data, [name for name in names(data) if name not in gone])


def to_pandas(data: Frame) -> pd.DataFrame:
    """Return the frame as pandas, for estimators; a pandas frame is returned as it is."""
    eager = _eager(data)
    if isinstance(eager, pd.DataFrame):
        return eager
    return pd.DataFrame({c.name: restore(c) for c in columns(data)})


def concat(parts: Sequence[Frame]) -> pd.DataFrame:
    """Return frames one below the other, as pandas; all need the same columns.

    Raises
    ------
    DataError
        When there are none, or their columns differ.
    """
    if not parts:
        raise DataError("there are no frames to put together: give at least one")
    wanted = names(parts[0])
    return pd.concat([to_pandas(select(part, wanted)) for part in parts], ignore_index=True)


def restore(column: Column) -> pd.Series[Any]:
    """Return a `Column` as a pandas Series, nulls included."""
    if column.levels is not None:
        if column.kind == "category":
            return pd.Series(pd.Categorical.from_codes(column.values, categories=pd.Index(column.levels)))
        padded = np.append(column.levels, np.array([None], dtype=object))
        return pd.Series(padded[column.values])
    if column.kind == "datetime":
        stamps = pd.Series(pd.DatetimeIndex(column.values.view("M8[ns]")))
        stamps = stamps if column.zone is None else stamps.dt.tz_localize("UTC").dt.tz_convert(column.zone)
        return stamps.mask(column.null)
    if column.kind == "duration":
        return pd.Series(pd.TimedeltaIndex(column.values.view("m8[ns]"))).mask(column.null)
    if not column.null.any():
        return pd.Series(column.values)
    if column.kind in {"int", "float"} and column.values.dtype != object:
        floats = np.where(column.null, np.nan, column.values.astype(np.float64))
        if column.kind == "float" or np.nanmax(np.abs(floats), initial=0.0) <= 2.0**53:
            return pd.Series(floats)
    objects = column.values.astype(object)
    objects[column.null] = None
    return pd.Series(objects)


def pack(data: Frame) -> list[dict[str, Any]]:
    """Return a small frame as lists, numbers, text and numpy arrays, from which `unpack` makes an equal pandas frame.

    Unlike a `Column`, it keeps what estimators look at: dtypes, the order of levels, None beside NaN.

    >>> pack({"a": [1, 2]})
    [{'name': 'a', 'dtype': 'int64', 'values': array([1, 2])}]
    """
    eager = to_pandas(data)
    return [{"name": str(name), **_pack(eager.iloc[:, i])} for i, name in enumerate(eager.columns)]


def _pack(series: pd.Series[Any]) -> dict[str, Any]:
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        codes = np.asarray(series.cat.codes, dtype=np.int64)
        return {
            "dtype": "category",
            "values": codes,
            "levels": _pack(pd.Series(dtype.categories)),
            "ordered": dtype.ordered,
        }
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return {"dtype": str(dtype), "values": series.to_numpy()}
    if isinstance(dtype, pd.DatetimeTZDtype):
        return {**_pack(series.dt.tz_convert("UTC").dt.tz_localize(None)), "zone": str(dtype.tz)}
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        return {"dtype": dtype.str[1:], "values": series.to_numpy().view(np.int64)}
    cells = series.astype(object).tolist()
    return {"dtype": str(dtype), "values": [None if v is pd.NA or v is pd.NaT else v for v in cells]}


def unpack(packed: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return the pandas frame that `pack` took apart.

    >>> unpack(pack({"a": [1, 2]}))["a"].tolist()
    [1, 2]
    """
    return pd.DataFrame({column["name"]: _unpack(column) for column in packed})


def _unpack(packed: dict[str, Any]) -> pd.Series[Any]:
    dtype, values = packed["dtype"], packed["values"]
    if dtype == "category":
        levels = pd.Index(_unpack(packed["levels"]))
        return pd.Series(pd.Categorical.from_codes(values, categories=levels, ordered=packed["ordered"]))
    if dtype[0] in "mM" and dtype[1:2].isdigit():
        stamps = pd.Series(np.asarray(values, dtype=np.int64).view(dtype))
        return stamps if packed.get("zone") is None else stamps.dt.tz_localize("UTC").dt.tz_convert(packed["zone"])
    if isinstance(values, np.ndarray):
        return pd.Series(values)
    return pd.Series(list(values), dtype=object).astype(dtype)


def key(value: object) -> str:
    """Return an id of a row or a batch as text: a midnight time stamp becomes an ISO date.

    >>> key(pd.Timestamp("2013-03-01")), key("a7"), key(12)
    ('2013-03-01', 'a7', '12')
    """
    if isinstance(value, (np.datetime64, dt.datetime)):
        stamp = pd.Timestamp(value)
        if pd.isna(stamp):
            raise DataError("an id is missing (NaT): every row and every batch needs one")
        return stamp.date().isoformat() if stamp == stamp.normalize() else stamp.isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        raise DataError("an id is missing (None or NaN): every row and every batch needs one")
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def utc(moment: dt.datetime | None = None) -> dt.datetime:
    """Return a moment in UTC, to the microsecond; naive times are taken as UTC, None is the wall clock.

    >>> utc(dt.datetime(2013, 3, 1, 12)).isoformat()
    '2013-03-01T12:00:00+00:00'

    Raises
    ------
    DataError
        When it is no time stamp.
    """
    if moment is None:
        return dt.datetime.now(dt.UTC)
    if not isinstance(moment, (dt.datetime, np.datetime64)) or pd.isna(moment):
        raise DataError(f"got {moment!r}; expected a datetime, such as pd.Timestamp('2013-03-01')")
    stamp = pd.Timestamp(moment)
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    return stamp.to_pydatetime(warn=False).replace(tzinfo=dt.UTC)


def keys(values: Any) -> list[str]:
    """Return ids as text, one for each value; see `key`."""
    series = values if isinstance(values, pd.Series) else pd.Series(values)
    codes, uniques = pd.factorize(series, use_na_sentinel=False)
    text = np.array([key(u) for u in uniques], dtype=object)
    return list(text[codes])


def days(values: Any) -> list[str]:
    """Return the calendar day of each time stamp as text, in its own zone; anything else as `keys` has it.

    >>> days(pd.to_datetime(["2013-03-01 05:15", "2013-03-01 23:00"])), days([7, 8])
    (['2013-03-01', '2013-03-01'], ['7', '8'])
    """
    read = column(values)
    return keys(restore(read).dt.normalize() if read.kind == "datetime" else values)


def groups(by: Any) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Yield each key with the positions of its rows, in order of first appearance.

    >>> [(k, p.tolist()) for k, p in groups(["a", "b", "a"])]
    [('a', [0, 2]), ('b', [1])]
    """
    text = keys(by)
    codes, uniques = pd.factorize(np.asarray(text, dtype=object))
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(uniques) + 1))
    for i, unique in enumerate(uniques):
        yield str(unique), order[bounds[i] : bounds[i + 1]]


def infinite(column: Column) -> NDArray[np.bool_]:
    """Return which values of a float or decimal column are infinite; none for other kinds.

    >>> infinite(column([1.0, np.inf, np.nan])).tolist()
    [False, True, False]
    """
    if column.kind == "float":
        return np.asarray(np.isinf(column.values), dtype=bool)
    if column.kind == "decimal":
        values = column.values.tolist()
        return np.fromiter((isinstance(v, decimal.Decimal) and v.is_infinite() for v in values), bool, len(values))
    return np.zeros(len(column), dtype=bool)


def repeated(key: Sequence[Column]) -> NDArray[np.bool_]:
    """Return which rows repeat the key of an earlier row; a row with a null in its key repeats nothing.

    >>> repeated(columns({"id": [1, 2, 1]})).tolist()
    [False, False, True]
    """
    missing = np.logical_or.reduce([c.missing for c in key])
    present = np.flatnonzero(~missing)
    table = pd.DataFrame({i: _comparable(c)[present] for i, c in enumerate(key)})
    result = np.zeros(len(missing), dtype=bool)
    result[present] = table.duplicated().to_numpy()
    return result


def _comparable(column: Column) -> NDArray[Any]:
    """Return values that pandas can hash; objects that cannot be hashed are compared by what they print."""
    if column.values.dtype != object:
        return column.values
    try:
        return pd.factorize(column.values)[0]
    except TypeError:
        return pd.factorize(np.array([f"{type(v).__name__} {v!r}" for v in column.values], dtype=object))[0]


def cells(data: Frame, name: str, positions: ArrayLike) -> tuple[Any, ...]:
    """Return the values of one column at these positions, as the frame holds them.

    >>> cells({"a": [5, 6, 7]}, "a", [0, 2])
    (5, 7)

    Raises
    ------
    DataError
        When the column is missing or stands twice.
    """
    chosen = _eager(take(select(data, [name]), positions))
    return tuple((chosen.iloc[:, 0] if isinstance(chosen, pd.DataFrame) else chosen[name]).to_list())


def shallow(data: Frame) -> Frame:
    """Return a frame that shares the values and can be changed without changing `data`.

    >>> frame = {"a": [1]}
    >>> shallow(frame).pop("a"), frame
    ([1], {'a': [1]})
    """
    if isinstance(data, pd.DataFrame):
        return data.copy(deep=False)
    return dict(data) if isinstance(data, dict) else data


def values_of(data: Frame, name: str) -> Any:
    """Return one column's native values (a pandas Series where the frame is pandas).

    Raises
    ------
    DataError
        When the column is missing or stands twice.
    """
    chosen = select(data, [name])
    if isinstance(chosen, pd.DataFrame):
        return chosen.iloc[:, 0]
    return restore(columns(chosen)[0])


def fingerprint(data: Frame) -> str:
    """Return 128 bits that identify the content: free of row order, equal across engines, changed by any cell.

    The rows' hashes are summed modulo 2**64 under two keys, so fingerprints of parts add up to that of the whole.
    Column order does not matter, names and logical kinds do. It detects accidents; it is no defence against a forger.

    >>> fingerprint({"a": [1, 2]}) == fingerprint({"a": [2, 1]})
    True
    """
    total: list[int] = []
    parts = [(c, _cell_hashes(c)) for c in columns(data)]
    for salt in ("mlopskit-left", "mlopskit-right"):
        rows = np.zeros(n_rows(data), dtype=np.uint64)
        for column, cells in parts:
            token = hashlib.sha256(f"{salt}|{column.name}|{_family(column)}".encode()).digest()
            odd = np.uint64(int.from_bytes(token[:8], "little") | 1)
            shift = np.uint64(int.from_bytes(token[8:16], "little"))
            rows += mix64((cells + shift) * odd)
        total.append(int(mix64(rows).sum(dtype=np.uint64)))
    return "".join(f"{value:016x}" for value in total)


def _family(column: Column) -> str:
    return "str" if column.kind == "category" else column.kind


def _cell_hashes(column: Column) -> NDArray[np.uint64]:
    if column.levels is not None:
        levels = _text_hashes(column.levels)
        cells = np.append(levels, np.uint64(0))[column.values]
    elif column.kind == "int" and column.values.dtype == object:
        cells = _big_hashes(column.values)
    elif column.values.dtype == object:
        cells = _text_hashes(column.values)
    elif column.kind == "float":
        cells = mix64((column.values + 0.0).view(np.uint64))
    else:
        cells = mix64(column.values.astype(np.int64, copy=False).view(np.uint64))
    null = np.uint64(0x9E3779B97F4A7C15)
    out: NDArray[np.uint64] = np.where(column.missing, null, cells)
    return out


def _big_hashes(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Hash integers one by one: those of 64 bits as a column of 64-bit integers does, the others as text."""
    fits = np.array([-(2**63) <= v < 2**64 for v in values], dtype=bool)
    cells = np.zeros(len(values), dtype=np.uint64)
    cells[fits] = mix64(np.array([int(v) % 2**64 for v in values[fits]], dtype=np.uint64))
    cells[~fits] = _text_hashes(values[~fits])
    return cells


def _text_hashes(values: NDArray[Any]) -> NDArray[np.uint64]:
    digests = [hashlib.blake2b(str(v).encode(errors="surrogatepass"), digest_size=8).digest() for v in values]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
