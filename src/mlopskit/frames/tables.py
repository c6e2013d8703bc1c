"""Frames in memory, whatever their engine: names, rows by position, columns by name, one below the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mlopskit.errors import DataError
from mlopskit.frames.reading import Column, Frame, arrow_column, as_series, column, polars_column, restore


def root(data: object) -> str:
    """Return the package that an object's class comes from."""
    return type(data).__module__.partition(".")[0].lstrip("_")


def is_frame(data: object) -> bool:
    """Whether `data` is a frame in memory."""
    return isinstance(data, (pd.DataFrame, dict)) or _is_records(data) or _is_arrow(data) or _is_polars(data)


def _is_records(data: object) -> bool:
    return isinstance(data, np.ndarray) and data.ndim == 1 and data.dtype.names is not None


def _is_arrow(data: object) -> bool:
    return root(data) == "pyarrow" and type(data).__name__ in {"Table", "RecordBatch"}


def _is_polars(data: object) -> bool:
    return root(data) == "polars" and type(data).__name__ == "DataFrame"


def _eager(data: Frame) -> Any:
    """Return `data` as a frame of pandas, pyarrow or polars."""
    if isinstance(data, pd.DataFrame) or _is_arrow(data) or _is_polars(data):
        return data
    if _is_records(data):
        data = {name: data[name] for name in data.dtype.names}
    if isinstance(data, dict):
        _common_length(data)  # pandas would fill up short ones
        try:
            return pd.DataFrame({k: _plain(v) for k, v in data.items()})
        except (TypeError, ValueError) as error:
            raise DataError(f"a dict of columns needs arrays of one length: {error}") from error
    raise DataError(
        f"got {type(data).__name__}; expected a pandas or polars DataFrame, a pyarrow Table or RecordBatch, "
        "a dict of columns or a numpy array of records, held in memory"
    )


def _plain(values: Any) -> Any:
    """Return a column without its index, and numbers in this machine's byte order."""
    if isinstance(values, pd.Series):
        return values.reset_index(drop=True)
    if isinstance(values, np.ndarray) and not values.dtype.isnative:
        return values.astype(values.dtype.newbyteorder("="))
    return as_series(values) if isinstance(values, (list, tuple, np.ndarray)) else values


def names(data: Frame) -> list[str]:
    """Return the column names in order, duplicates kept."""
    if isinstance(data, dict):
        return [str(name) for name in data]
    eager = _eager(data)
    return [str(name) for name in (eager.column_names if _is_arrow(eager) else eager.columns)]


def n_rows(data: Frame) -> int:
    """Return the number of rows."""
    if isinstance(data, dict):
        return _common_length(data)
    eager = _eager(data)
    return int(eager.num_rows) if _is_arrow(eager) else len(eager)


def _common_length(data: dict[str, Any]) -> int:
    try:
        lengths = {len(values) for values in data.values()}
    except TypeError as error:
        raise DataError(f"a dict of columns needs arrays: {error}") from error
    if len(lengths) > 1:
        raise DataError(f"a dict of columns needs arrays of one length: got {sorted(lengths)}")
    return lengths.pop() if lengths else 0


def columns(data: Frame, only: Iterable[str] | None = None) -> tuple[Column, ...]:
    """Return the frame's columns in order, duplicates kept; `only` limits them to these names.

    >>> [(c.name, c.kind) for c in columns({"a": [1, 2], "b": ["x", None]})]
    [('a', 'int'), ('b', 'str')]
    """
    return tuple(each(data, only))


def each(data: Frame, only: Iterable[str] | None = None) -> Iterator[Column]:
    """Yield what `columns` returns one by one, so that no more than one needs memory."""
    eager = _eager(data)
    wanted = None if only is None else set(only)
    read: Callable[[Any, str], Column]
    if isinstance(eager, pd.DataFrame):
        pairs, read = eager.items(), column
    elif _is_arrow(eager):
        pairs, read = zip(eager.column_names, eager.columns, strict=True), arrow_column
    else:
        pairs, read = ((name, eager[name]) for name in eager.columns), polars_column
    return (read(values, str(name)) for name, values in pairs if wanted is None or str(name) in wanted)


def take(data: Frame, positions: ArrayLike) -> Frame:
    """Return the rows at these positions (or where this mask is True), as the same type of frame."""
    index = np.asarray(positions)
    if index.dtype == bool:
        index = np.flatnonzero(index)
    index = index.astype(np.int64)
    if _is_arrow(data):
        return _without_views(data).take(index)
    if _is_records(data):
        return data[index]
    eager = _eager(data)
    if isinstance(eager, pd.DataFrame):
        taken = _without_view_dtypes(eager).iloc[index]
        return {str(c): taken[c].to_numpy() for c in taken.columns} if isinstance(data, dict) else taken
    return eager[index]


def _without_views(data: Any) -> Any:
    """Return a table of pyarrow with its views of text and bytes in a layout that rows can be taken from."""
    import pyarrow as pa

    large = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    fields = [f.with_type(large[f.type]) if f.type in large else f for f in data.schema]
    wanted = pa.schema(fields, metadata=data.schema.metadata)
    return data if wanted == data.schema else data.cast(wanted)


def _without_view_dtypes(data: pd.DataFrame) -> pd.DataFrame:
    """Return a pandas frame with Arrow's views of text and bytes in a layout that rows can be taken from."""
    held = (str(getattr(dtype, "pyarrow_dtype", "")) for dtype in data.dtypes)
    views = [i for i, name in enumerate(held) if name in {"string_view", "binary_view"}]
    if not views:
        return data
    import pyarrow as pa

    table = _without_views(pa.table([data.iloc[:, i].array.__arrow_array__() for i in views], [str(i) for i in views]))
    kept = data.copy(deep=False)
    for i, values in zip(views, table.columns, strict=True):
        kept.isetitem(i, pd.arrays.ArrowExtensionArray(values))
    return kept


def chosen(data: Frame, wanted: Sequence[str]) -> Frame:
    """Return these columns in this order, as the same type of frame.

    Raises
    ------
    DataError
        When a column is missing or stands twice.
    """
    have = names(data)
    check_names(have, wanted)
    if have == list(wanted):
        return data
    if _is_arrow(data):
        return data.select(list(wanted))
    if _is_records(data):
        return data[list(wanted)]
    eager = _eager(data)
    if isinstance(eager, pd.DataFrame):
        kept = eager.iloc[:, [have.index(name) for name in wanted]]
        return {str(c): kept[c].to_numpy() for c in kept.columns} if isinstance(data, dict) else kept
    return eager.select(polars_names(wanted))


def polars_names(wanted: Sequence[str]) -> list[Any]:
    """Return polars expressions for these names as they are: a plain string there may be a pattern."""
    import polars.selectors as cs

    return [cs.by_name(name) for name in wanted]


def check_names(have: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse names that are missing or stand twice."""
    missing = [name for name in wanted if name not in have]
    if missing:
        raise DataError(f"missing column(s) {missing}: got {list(have)}")
    twice = sorted({name for name in wanted if have.count(name) > 1})
    if twice:
        raise DataError(f"duplicate column name(s) {twice}: rename them, so that each name means one column")


def to_pandas(data: Frame) -> pd.DataFrame:
    """Return the frame as pandas, for estimators; a pandas frame is returned as it is."""
    eager = _eager(data)
    if isinstance(eager, pd.DataFrame):
        return eager
    read = columns(data)
    frame = pd.DataFrame({i: restore(c) for i, c in enumerate(read)}, index=pd.RangeIndex(n_rows(data)))
    frame.columns = pd.Index([c.name for c in read])
    return frame


def concat(parts: Sequence[Frame]) -> pd.DataFrame:
    """Return frames one below the other, as pandas; all need the same columns. Categories are united.

    Raises
    ------
    DataError
        When there are none, or their columns differ.
    """
    if not parts:
        raise DataError("there are no frames to put together: give at least one")
    wanted = names(parts[0])
    pieces = [to_pandas(chosen(part, wanted)).set_axis(wanted, axis=1) for part in parts]
    return pd.concat(_united(pieces, wanted), ignore_index=True)


def stacked(parts: Sequence[Frame]) -> Frame:
    """Return frames one below the other: as their engine's frame where it joins them unchanged, or as pandas."""
    if len(parts) == 1:
        return parts[0]
    wanted = names(parts[0])
    if all(map(_is_arrow, parts)):
        import pyarrow as pa

        with suppress(pa.ArrowException):
            return pa.concat_tables([pa.table(chosen(part, wanted)) for part in parts], promote_options="default")
    if all(map(_is_polars, parts)):
        import polars as pl

        with suppress(pl.exceptions.PolarsError):
            return pl.concat([chosen(part, wanted) for part in parts], how="vertical")
    return concat(parts)


def _united(pieces: list[pd.DataFrame], wanted: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Give categories of the same column the same levels in every piece, where all pieces hold categories."""
    levels: dict[str, Any] = {}
    for name in wanted:
        dtypes: list[Any] = [piece[name].dtype for piece in pieces]
        if all(isinstance(dtype, pd.CategoricalDtype) for dtype in dtypes) and len(set(dtypes)) > 1:
            joined = pd.Index([]).append([dtype.categories for dtype in dtypes]).unique()
            levels[name] = pd.CategoricalDtype(joined)
    return (piece.astype(levels) for piece in pieces)


def cells(data: Frame, name: str, positions: ArrayLike) -> tuple[Any, ...]:
    """Return the values of one column at these positions, as the frame holds them.

    >>> cells({"a": [5, 6, 7]}, "a", [0, 2])
    (5, 7)

    Raises
    ------
    DataError
        When the column is missing or stands twice.
    """
    rows = _eager(take(chosen(data, [name]), positions))
    if _is_arrow(rows):
        return tuple(rows.column(0).to_pylist())
    return tuple((rows.iloc[:, 0] if isinstance(rows, pd.DataFrame) else rows[name]).to_list())


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
    kept = chosen(data, [name])
    if isinstance(kept, pd.DataFrame):
        return kept.iloc[:, 0]
    return restore(columns(kept)[0])
