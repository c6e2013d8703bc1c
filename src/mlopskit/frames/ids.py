"""What names rows and batches, and when they were: ids as text, keys that repeat, groups, moments in UTC."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlopskit.errors import DataError
from mlopskit.frames.reading import Column, column, restore


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


def factorized(values: Any) -> tuple[NDArray[np.intp], list[str]]:
    """Return the code of each value (-1 where it is missing), and the values as ids; see `key`.

    >>> codes, found = factorized(["b", None, "b", "a"])
    >>> codes.tolist(), found
    ([0, -1, 0, 1], ['b', 'a'])
    """
    codes, uniques = pd.factorize(values if isinstance(values, pd.Series) else pd.Series(values))
    return np.asarray(codes), [key(u) for u in uniques]


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


def repeated(key: Sequence[Column]) -> NDArray[np.bool_]:
    """Return which rows repeat the key of an earlier row; a row with a null in its key repeats nothing.

    >>> from mlopskit import frames
    >>> repeated(frames.columns({"id": [1, 2, 1]})).tolist()
    [False, False, True]
    """
    if len(key) == 1 and not key[0].missing.any():
        if _all_differ(key[0].values):
            return np.zeros(len(key[0]), dtype=bool)
        return pd.Series(_comparable(key[0])).duplicated().to_numpy()
    missing = np.logical_or.reduce([c.missing for c in key])
    present = np.flatnonzero(~missing)
    table = pd.DataFrame({i: _comparable(c)[present] for i, c in enumerate(key)})
    result = np.zeros(len(missing), dtype=bool)
    result[present] = table.duplicated().to_numpy()
    return result


def _all_differ(values: NDArray[Any]) -> bool:
    """Whether integers that lie close to one another all differ; False where that takes more to say."""
    if values.dtype.kind not in "iu" or not len(values):
        return False
    low, span = values.min(), int(values.max()) - int(values.min()) + 1
    if not len(values) <= span <= 8 * len(values):
        return False
    seen = np.zeros(span, dtype=bool)
    for start in range(0, len(values), 1 << 16):
        seen[values[start : start + (1 << 16)] - low] = True
    return int(np.count_nonzero(seen)) == len(values)


def _comparable(column: Column) -> NDArray[Any]:
    """Return values that pandas can hash; objects that cannot be hashed are compared by what they print."""
    if column.values.dtype != object:
        return column.values
    try:
        return pd.factorize(column.values)[0]
    except TypeError:
        return pd.factorize(np.array([f"{type(v).__name__} {v!r}" for v in column.values], dtype=object))[0]
