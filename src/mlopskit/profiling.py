"""What is remembered of a batch: a small `Profile` of counts, in bins that the reference fixed once.

`Binning` holds the question (where the bins lie), `Profile` the answer (how many rows fell where). Profiles under one
binning add, `profile(a) + profile(b) == profile(a and b)`: exactly for counts, to rounding for means and variances.
They hold no rows, only counts and level names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from mlopskit import formats, frames
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.lookup import Lookup
from mlopskit.stats.summaries import Moments, concordance, quantile_edges

Level: TypeAlias = str | int | float | bool
Ints: TypeAlias = NDArray[np.int64]
_by_value = attrs.cmp_using(eq=np.array_equal)

MAX_NUMERIC_LEVELS = 20
"""A numeric column with at most this many distinct values is counted by value instead of by bin."""
MAX_LEVELS = 1000
"""Levels kept for a column, the most frequent first; the rest are counted together as "other"."""
MAX_PAIRED = 50
"""Pairs of numeric columns are counted for at most this many columns."""


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
    edges: NDArray[np.float64] = field(eq=_by_value)
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
        return self._lookup.place(_numbers(self, column))

    def count(self, column: frames.Column) -> Ints:
        """Return how many rows lie in each bin; missing values lie in none."""
        return self._lookup.count(_numbers(self, column))

    @cached_property
    def _lookup(self) -> Lookup:
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
    """

    name: str
    kind: frames.Kind
    levels: tuple[Level, ...]

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
        if self.kind in frames.NUMERIC:
            levels, numbers = np.array(self.levels, dtype=np.float64), _numbers(self, column)
            index = np.searchsorted(levels, numbers).clip(max=other - 1)
            return np.where(missing, -1, np.where(levels[index] == numbers, index, other))
        if column.kind in frames.NUMERIC:
            raise _wrong_kind(self, column)
        codes, found = _codes(column)
        places = {(isinstance(v, bool), v): i for i, v in enumerate(self.levels)}
        table = [places.get((isinstance(v, bool), v), other) for v in map(_level, found)]
        return np.where(missing, -1, np.array([*table, other], dtype=np.intp)[codes])

    def count(self, column: frames.Column) -> Ints:
        """Return how many rows hold each level, and any other; missing values are none."""
        place = self.place(column)
        return np.bincount(place[place >= 0], minlength=len(self)).astype(np.int64, copy=False)


ColumnBins: TypeAlias = NumericBins | LevelBins


@frozen
class ColumnProfile:
    """The summary of one column.

    Parameters
    ----------
    name
        The column.
    n_missing, n_infinite
        Rows without a value (null or NaN), and rows with an infinite one.
    low, high
        Extremes of the finite values, exact for integers and datetimes; None where there are none.
    counts
        Rows in each bin, or of each level and "other".
    moments
        Count, mean and squared deviations of the finite numbers (to rounding).
    """

    name: str
    n_missing: int
    n_infinite: int
    low: float | int | None
    high: float | int | None
    counts: Ints = field(eq=_by_value)
    moments: Moments = field(factory=Moments)

    def __add__(self, other: ColumnProfile) -> ColumnProfile:
        return ColumnProfile(
            self.name,
            self.n_missing + other.n_missing,
            self.n_infinite + other.n_infinite,
            _extreme(min, self.low, other.low),
            _extreme(max, self.high, other.high),
            self.counts + other.counts,
            self.moments + other.moments,
        )


def _extreme(choose: Any, a: float | int | None, b: float | int | None) -> float | int | None:
    known = [v for v in (a, b) if v is not None]
    return choose(known) if known else None


@frozen
class Binning(formats.Stored):
    """Where the bins lie: fixed once from a reference, so that later profiles can be compared and added.

    Parameters
    ----------
    columns
        The bins of each column, in the reference's order.

    Examples
    --------
    >>> import mlopskit as mk
    >>> binning = mk.Binning.fit({"fare": [float(v) for v in range(100)], "class": ["a", "b"] * 50})
    >>> profile = binning.profile({"fare": [3.5, 7.0], "class": ["b", "new"]})
    >>> profile["class"].counts              # a, b, other
    array([0, 1, 1])
    >>> len(profile + profile)
    4
    """

    columns: tuple[ColumnBins, ...]

    @classmethod
    def fit(cls, reference: frames.Frame, columns: Sequence[str] | None = None, *, n_bins: int = 200) -> Binning:
        """Choose bins from a reference: quantile edges for numbers, levels for everything else.

        Parameters
        ----------
        reference
            A frame with at least one row.
        columns
            Names to keep; all by default.
        n_bins
            Bins of a numeric column with more than 20 distinct values, at least 20.

        Raises
        ------
        DataError
            When the frame is empty, a column is missing, or a name stands twice.
        """
        if n_bins < 20:
            raise ConfigurationError(f"n_bins={n_bins}: expected at least 20")
        if frames.n_rows(reference) == 0:
            raise DataError("cannot fit bins to an empty frame: give a reference with at least one row")
        chosen = frames.select(reference, frames.names(reference) if columns is None else list(columns))
        return cls(tuple(_fit_column(c, n_bins) for c in frames.columns(chosen)))

    @cached_property
    def identity(self) -> str:
        """sha256 of the edges (as hex floats), typed levels and medians: what two profiles must share to add."""
        plain = [
            [c.name, c.kind, [float(e).hex() for e in c.edges], float(c.median).hex()]
            if isinstance(c, NumericBins)
            else [c.name, c.kind, [[type(v).__name__, v.hex() if isinstance(v, float) else v] for v in c.levels]]
            for c in self.columns
        ]
        return formats.digest(formats.canonical(plain))

    def __getitem__(self, name: str) -> ColumnBins:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"no column {name!r}: got {[c.name for c in self.columns]}")

    @cached_property
    def paired(self) -> tuple[NumericBins, ...]:
        """The numeric columns whose pairs are counted: the first fifty that have quantile bins."""
        return tuple(c for c in self.columns if isinstance(c, NumericBins))[:MAX_PAIRED]

    def profile(self, batch: frames.Frame, *, batch_id: str | None = None) -> Profile:
        """Summarise a batch in these bins; extra columns are ignored.

        Parameters
        ----------
        batch
            A frame with at least these columns, in any order; it may have no rows.
        batch_id
            What to call the batch.

        Raises
        ------
        DataError
            When a column is missing, stands twice, or is of another kind than its bins: text for numbers, say, or
            numbers for datetimes.
        """
        chosen = frames.columns(frames.select(batch, [c.name for c in self.columns]))
        profiles = tuple(_profile_column(b, c) for b, c in zip(self.columns, chosen, strict=True))
        by_name, n = {c.name: c for c in chosen}, frames.n_rows(batch)
        values = np.array([_numbers(b, by_name[b.name]) for b in self.paired]).reshape(len(self.paired), n).T
        same, valid = concordance(values, np.array([b.median for b in self.paired]))
        return Profile(self, n, profiles, same, valid, batch_id)


@frozen
class Profile(formats.Stored):
    """What a batch looked like, as counts.

    Parameters
    ----------
    binning
        The bins that the counts belong to.
    n_rows
        Rows of the batch.
    columns
        One summary for each column of the binning.
    concordant, paired
        For each pair of `binning.paired` columns: rows on the same side of both medians, and rows with both present.
    batch_id
        What the batch was called, or None (sums have none).
    """

    binning: Binning = field(repr=lambda b: b.identity[:12])
    n_rows: int
    columns: tuple[ColumnProfile, ...] = field(repr=lambda c: str([p.name for p in c]))
    concordant: Ints = field(eq=_by_value, repr=False)
    paired: Ints = field(eq=_by_value, repr=False)
    batch_id: str | None = None

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, name: str) -> ColumnProfile:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"no column {name!r}: got {[c.name for c in self.columns]}")

    def __add__(self, other: Profile) -> Profile:
        if not isinstance(other, Profile):
            return NotImplemented
        if self.binning.identity != other.binning.identity:
            raise DataError("profiles of different binnings do not add: profile both batches with one Binning")
        columns = tuple(a + b for a, b in zip(self.columns, other.columns, strict=True))
        concordant, paired = self.concordant + other.concordant, self.paired + other.paired
        return Profile(self.binning, self.n_rows + other.n_rows, columns, concordant, paired)

    def to_frame(self) -> Any:
        """Return one row for each column: rows, missing, infinite, low, mean, sd, high and the most frequent level.

        Datetimes are in UTC where a zone was set, and their sd is a time difference.
        """
        import pandas as pd

        return pd.DataFrame(
            [_describe(b, p, self.n_rows) for b, p in zip(self.binning.columns, self.columns, strict=True)]
        )


def total(profiles: Iterable[Profile]) -> Profile:
    """Return the sum of one or more profiles.

    Raises
    ------
    DataError
        When there are none, or their binnings differ.
    """
    parts = list(profiles)
    if not parts:
        raise DataError("cannot add up zero profiles: give at least one")
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole


@frozen
class ProfileSet(formats.Stored):
    """Several profiles under one binning, which is written only once.

    >>> binning = Binning.fit({"x": [1, 2, 3]})
    >>> stored = ProfileSet.of([binning.profile({"x": [1]}, batch_id="a"), binning.profile({"x": [2]}, batch_id="b")])
    >>> [p.batch_id for p in ProfileSet.from_json(stored.to_json()).profiles]
    ['a', 'b']
    """

    binning: Binning
    n_rows: tuple[int, ...]
    columns: tuple[tuple[ColumnProfile, ...], ...]
    concordant: tuple[Ints, ...]
    paired: tuple[Ints, ...]
    batch_ids: tuple[str | None, ...]

    @classmethod
    def of(cls, profiles: Iterable[Profile]) -> ProfileSet:
        """Pack profiles of one binning."""
        parts = list(profiles)
        if len({p.binning.identity for p in parts}) != 1:
            raise DataError("a ProfileSet needs one or more profiles of one binning")
        return cls(
            parts[0].binning,
            tuple(p.n_rows for p in parts),
            tuple(p.columns for p in parts),
            tuple(p.concordant for p in parts),
            tuple(p.paired for p in parts),
            tuple(p.batch_id for p in parts),
        )

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The profiles, all sharing one binning object."""
        fields = zip(self.n_rows, self.columns, self.concordant, self.paired, self.batch_ids, strict=True)
        return tuple(Profile(self.binning, *values) for values in fields)


def _wrong_kind(bins: ColumnBins, column: frames.Column) -> DataError:
    return DataError(
        f"column {bins.name!r} is of kind {column.kind!r}; its bins were fitted to {bins.kind!r}: "
        "validate the batch first, or fit a new Binning"
    )


def _numbers(bins: ColumnBins, column: frames.Column) -> NDArray[np.float64]:
    """Return the column as floats, zero without a sign; a column of nulls has no kind and is all NaN."""
    if column.missing.all():
        return np.full(len(column), np.nan)
    if column.kind != bins.kind and not {column.kind, bins.kind} <= {"int", "float", "decimal"}:
        raise _wrong_kind(bins, column)
    return column.numbers() + 0.0


def _fit_column(column: frames.Column, n_bins: int) -> ColumnBins:
    if column.kind not in frames.NUMERIC:
        return LevelBins(column.name, column.kind, _text_levels(column))
    numbers = column.numbers() + 0.0
    finite = np.isfinite(numbers)
    numbers, values = numbers[finite], column.values[finite]
    distinct = np.unique(numbers)
    if len(distinct) <= MAX_NUMERIC_LEVELS:
        levels = tuple(_number(column, values[np.argmax(numbers == v)]) for v in distinct)
        return LevelBins(column.name, column.kind, levels)
    return NumericBins(column.name, column.kind, quantile_edges(numbers, n_bins), float(np.median(numbers)))


def _level(value: Any) -> Level:
    """Return a level as plain typed text, number or boolean; text that UTF-8 cannot hold is escaped."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    return str(value).encode(errors="backslashreplace").decode()


def _codes(column: frames.Column) -> tuple[NDArray[Any], Sequence[Any]]:
    """Return the column's codes, and the value of each code; mixed types are compared one by one."""
    if column.levels is not None:
        return column.values, list(column.levels)
    if column.kind == "bool":
        return column.values.astype(np.intp), (False, True)
    return np.arange(len(column)), list(column.values)


def _text_levels(column: frames.Column) -> tuple[Level, ...]:
    if column.kind == "other":
        return ()
    codes, found = _codes(column)
    counts = np.bincount(codes[~column.missing], minlength=len(found))
    levels = [(_level(v), int(n)) for v, n in zip(found, counts, strict=True) if n]
    if column.kind == "bool":
        return tuple(level for level, _ in levels)
    ordered = sorted(levels, key=lambda entry: (-entry[1], str(entry[0]), type(entry[0]).__name__))
    return tuple(level for level, _ in ordered[:MAX_LEVELS])


def _profile_column(bins: ColumnBins, column: frames.Column) -> ColumnProfile:
    counts, valid = bins.count(column), ~column.missing
    n_missing = int(column.missing.sum())
    if column.kind not in frames.NUMERIC or bins.kind not in frames.NUMERIC or not valid.any():
        return ColumnProfile(bins.name, n_missing, 0, None, None, counts)
    infinite = frames.infinite(column)
    finite = column.values[valid & ~infinite]
    low, high = (_number(column, finite.min()), _number(column, finite.max())) if len(finite) else (None, None)
    numbers = column.numbers()
    moments = Moments.of(numbers[np.isfinite(numbers)])
    return ColumnProfile(bins.name, n_missing, int(infinite.sum()), low, high, counts, moments)


def _number(column: frames.Column, value: Any) -> int | float:
    """Return an extreme: exact for integers, datetimes and durations, a float for the others."""
    return float(value) + 0.0 if column.kind in ("float", "decimal") else int(value)


def _describe(bins: ColumnBins, profile: ColumnProfile, n_rows: int) -> dict[str, Any]:
    moments, top = profile.moments, None
    spread = "duration" if bins.kind == "datetime" else bins.kind
    if isinstance(bins, LevelBins) and profile.counts[:-1].any():
        top = _readable(bins.kind, bins.levels[int(np.argmax(profile.counts[:-1]))])
    return {
        "column": bins.name,
        "kind": bins.kind,
        "n_rows": n_rows,
        "n_missing": profile.n_missing,
        "n_infinite": profile.n_infinite,
        "low": _readable(bins.kind, profile.low),
        "mean": _readable(bins.kind, moments.mean if moments.n else None),
        "sd": _readable(spread, moments.variance**0.5 if moments.n else None),
        "high": _readable(bins.kind, profile.high),
        "top": top,
    }


def _readable(kind: str, value: Any) -> Any:
    """Return nanoseconds as a time stamp or a time difference; other values as they are."""
    import pandas as pd

    if value is None or kind not in ("datetime", "duration"):
        return value
    return pd.Timestamp(int(value)) if kind == "datetime" else pd.Timedelta(int(value))
