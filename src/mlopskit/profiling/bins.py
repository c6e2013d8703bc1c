"""Where the bins of one column lie, and which of them each value falls into."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import attrs
import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from mlopskit import frames
from mlopskit.errors import DataError
from mlopskit.stats.lookup import Lookup
from mlopskit.stats.summaries import quantile_edges

Level: TypeAlias = str | int | float | bool
Ints: TypeAlias = NDArray[np.int64]
by_value = attrs.cmp_using(eq=np.array_equal)

MAX_NUMERIC_LEVELS = 20
"""A numeric column with at most this many distinct values is counted by value instead of by bin."""
MAX_LEVELS = 1000
"""Levels kept for a column, the most frequent first; the rest are counted together as "other"."""
_LEAST = float(np.finfo(np.float64).min)


@frozen
class NumericBins:
    """Bins of a numeric column: right-closed, at quantiles of the reference.

    Parameters
    ----------
    name, kind
        The column and its logical kind.
    edges
        Inner edges in order, equal neighbours kept, so that every tenth of 199 is again a quantile.
    median
        The reference's median, for the concordance of pairs.
    """

    name: str
    kind: frames.Kind
    edges: NDArray[np.float64] = field(eq=by_value)
    median: float

    def __len__(self) -> int:
        return len(self.edges) + 1

    def place(self, column: frames.Column) -> NDArray[np.intp]:
        """Return the bin of each row, shape (n_rows,); -1 where the value is missing.

        Raises
        ------
        DataError
            When the column holds no numbers.
        """
        if column.missing.all():
            return np.full(len(column), -1)
        check_kind(self, column.kind)
        return self.lookup.place(column.numbers())

    @cached_property
    def lookup(self) -> Lookup:
        """Finds the bins of many values."""
        return Lookup(self.edges)


@frozen
class LevelBins:
    """Levels of a text, category or boolean column, or of a numeric column with few distinct values.

    Parameters
    ----------
    name, kind
        The column and its logical kind.
    levels
        Typed levels: sorted for numbers, most frequent first for text. One more count, "other", follows them. A column
        without a value, or of mixed types, has no levels.
    redacted
        Whether the levels are digests of the names.
    """

    name: str
    kind: frames.Kind
    levels: tuple[Level, ...]
    redacted: bool = False

    def __len__(self) -> int:
        return len(self.levels) + 1

    def place(self, column: frames.Column) -> NDArray[np.intp]:
        """Return the level of each row, shape (n_rows,): len(levels) for "other", -1 where the value is missing.

        Raises
        ------
        DataError
            When the column holds text where the levels are numbers, or the other way round.
        """
        missing, other = column.missing, len(self.levels)
        if not self.levels or missing.all():
            return np.where(missing, -1, other)
        check_kind(self, column.kind)
        if self.kind in frames.NUMERIC:
            bin_of = self.lookup.place(column.numbers())
            return np.where(missing, -1, np.where(bin_of % 2 == 1, bin_of // 2, other))
        codes, found = coded(column)
        return np.where(missing, -1, np.append(self.places(found), other)[codes])

    def places(self, found: Sequence[Any]) -> NDArray[np.intp]:
        """Return the place of each of these text, category or boolean values; len(levels) for those without one."""
        known, other = self._places, len(self.levels)
        if set(map(type, found)) <= {str} and not self.redacted:
            places = list(map(known.get, found))
        else:
            places = [None] * len(found)
        for i, place in enumerate(places):
            if place is None:
                places[i] = known.get(_key(self.named(found[i])), other)
        return np.array(places, dtype=np.intp)

    def named(self, value: Any) -> Level:
        """Return the level that stands for a value: plain text, a number or a boolean, or the digest of it."""
        level = plain(value)
        if not self.redacted:
            return level
        text = f"{self.name}|{type(level).__name__}|{level}"
        return "#" + hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    @cached_property
    def lookup(self) -> Lookup:
        """Finds numeric levels: level i alone lies in bin 2i + 1, between the next smaller number and itself."""
        levels = np.array(self.levels, dtype=np.float64)
        return Lookup(np.column_stack([np.nextafter(levels, -np.inf), levels]).ravel())

    @cached_property
    def _places(self) -> dict[Hashable, int]:
        return {_key(level): i for i, level in enumerate(self.levels)}


def _key(level: Level) -> Hashable:
    """Return what tells levels apart: 1 and 1.0 are one, True is another, and text is itself."""
    return level if isinstance(level, str) else (isinstance(level, bool), level)


ColumnBins: TypeAlias = NumericBins | LevelBins


def fit_column(column: frames.Column, n_bins: int) -> ColumnBins:
    """Choose the bins of one column of a reference."""
    if column.kind not in frames.NUMERIC:
        return LevelBins(column.name, column.kind, _text_levels(column))
    known = column.known()
    ordered = np.sort(known) + 0.0
    ordered = ordered[slice(*np.searchsorted(ordered, [_LEAST, np.inf]))]
    steps = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
    if np.count_nonzero(steps) <= MAX_NUMERIC_LEVELS and ordered.min(initial=0.0) > _LEAST:  # below it there is no edge
        values = column.valid()
        levels = tuple(exact(column.kind, values[np.argmax(known == v)]) for v in ordered[steps])
        return LevelBins(column.name, column.kind, levels)
    n = len(ordered)
    median = float(np.mean(ordered[(n - 1) // 2 : n // 2 + 1]))
    return NumericBins(column.name, column.kind, quantile_edges(ordered, n_bins), median)


def redact(bins: ColumnBins) -> ColumnBins:
    """Return the bins of a text or category column with digests for levels.

    Raises
    ------
    DataError
        When the column holds numbers or times, whose edges and extremes are values of rows.
    """
    if isinstance(bins, NumericBins) or bins.kind in frames.NUMERIC:
        raise DataError(
            f"redact: column {bins.name!r} is of kind {bins.kind!r}, and only names of levels can be hidden: its bins "
            "and extremes are values of rows; leave the column out with columns="
        )
    hidden = evolve(bins, redacted=True)
    return evolve(hidden, levels=tuple(map(hidden.named, bins.levels)))


def plain(value: Any) -> Level:
    """Return a level as plain typed text, number or boolean; text that UTF-8 cannot hold is escaped."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="backslashreplace").decode()
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    return str(value).encode(errors="backslashreplace").decode()


def counted(column: frames.Column) -> tuple[Sequence[Any], Ints]:
    """Return the values of a column that is no number, and how many rows have each."""
    if column.kind in ("str", "category"):
        return column.level_counts()
    codes, found = coded(column)
    return found, np.bincount(codes[~column.missing], minlength=len(found))


def coded(column: frames.Column) -> tuple[NDArray[Any], Sequence[Any]]:
    """Return the column's codes, and the value of each code; mixed types are compared one by one."""
    if column.levels is not None:
        return column.values, column.levels.tolist()
    if column.kind == "bool":
        return column.values.astype(np.intp), (False, True)
    return np.arange(len(column)), list(column.values)


def _text_levels(column: frames.Column) -> tuple[Level, ...]:
    if column.kind == "other":
        return ()
    found, counts = counted(column)
    levels = [(plain(v), int(n)) for v, n in zip(found, counts, strict=True) if n]
    if column.kind == "bool":
        return tuple(level for level, _ in levels)
    ordered = sorted(levels, key=lambda entry: (-entry[1], str(entry[0]), type(entry[0]).__name__))
    return tuple(level for level, _ in ordered[:MAX_LEVELS])


def exact(kind: str, value: Any) -> int | float:
    """Return a number as JSON keeps it: exact for integers, datetimes and durations, a float for the others."""
    return float(value) + 0.0 if kind in ("float", "decimal") else int(value)


def check_kind(bins: ColumnBins, kind: frames.Kind) -> None:
    """Refuse a column of another kind than its bins: integers, floats and decimals are all numbers.

    Columns without any level take every kind: their reference had no value, or mixed types.
    """
    if isinstance(bins, LevelBins) and not bins.levels:
        return
    numeric = {"int", "float", "decimal"}
    like = kind == bins.kind or {kind, bins.kind} <= numeric or not {kind, bins.kind} & frames.NUMERIC
    if not like:
        raise DataError(
            f"column {bins.name!r} is of kind {kind!r}; its bins were fitted to {bins.kind!r}: "
            "validate the batch first, or fit a new Binning"
        )
