"""What is remembered of a batch: a small `Profile` of counts, in bins that the reference fixed once.

`Binning` holds the question (where the bins lie), `Profile` the answer (how many rows fell where). Profiles under one
binning add, `profile(a) + profile(b) == profile(a and b)`: exactly for counts, to rounding for means and variances. They
hold no rows, only counts and level names.
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
from mlopskit.stats.summaries import Moments, bin_counts, concordance, quantile_edges

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


@frozen
class LevelBins:
    """Levels of a text, category or boolean column, or of a numeric column with few distinct values.

    Parameters
    ----------
    name, kind
        The column and its logical kind.
    levels
        Typed levels: sorted for numbers, most frequent first for text. One more count, "other", follows them.
    """

    name: str
    kind: frames.Kind
    levels: tuple[Level, ...]

    def __len__(self) -> int:
        return len(self.levels) + 1


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
class Binning:
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
            When a column is missing, stands twice, or holds text where the bins hold numbers (or the other way round).
        """
        chosen = frames.columns(frames.select(batch, [c.name for c in self.columns]))
        profiles = tuple(_profile_column(b, c) for b, c in zip(self.columns, chosen, strict=True))
        by_name = {c.name: c for c in chosen}
        paired = self.paired
        n = frames.n_rows(batch)
        if paired:
            values = np.column_stack([by_name[c.name].numbers() for c in paired])
            same, valid = concordance(values, np.array([c.median for c in paired]))
        else:
            same = valid = np.zeros((0, 0), np.int64)
        return Profile(self, n, profiles, same, valid, batch_id)

    def to_json(self) -> str:
        """Return the binning as JSON."""
        return formats.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Binning:
        """Read what `to_json` wrote."""
        return formats.from_json(text, cls)


@frozen
class Profile:
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
        """Return one row for each column: rows, missing, infinite, low, mean, sd, high and the most frequent level."""
        import pandas as pd

        return pd.DataFrame(
            [_describe(b, p, self.n_rows) for b, p in zip(self.binning.columns, self.columns, strict=True)]
        )

    def to_json(self) -> str:
        """Return the profile, with its binning, as JSON."""
        return formats.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """Read what `to_json` wrote."""
        return formats.from_json(text, cls)


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
class ProfileSet:
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

    def to_json(self) -> str:
        """Return the set as JSON."""
        return formats.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> ProfileSet:
        """Read what `to_json` wrote."""
        return formats.from_json(text, cls)


def _finite(column: frames.Column) -> NDArray[Any]:
    values = column.valid()
    if column.kind == "float":
        finite: NDArray[Any] = values[np.isfinite(values)]
        return finite
    return values


def _fit_column(column: frames.Column, n_bins: int) -> ColumnBins:
    if column.kind not in frames.NUMERIC:
        return LevelBins(column.name, column.kind, _text_levels(column))
    values = _finite(column)
    numbers = np.array([float(v) for v in values]) if values.dtype == object else values.astype(np.float64)
    distinct = np.unique(numbers)
    if len(distinct) <= MAX_NUMERIC_LEVELS:
        whole = column.kind != "float" and column.kind != "decimal"
        return LevelBins(column.name, column.kind, tuple(int(v) if whole else float(v) for v in distinct))
    return NumericBins(column.name, column.kind, quantile_edges(numbers, n_bins), float(np.median(numbers)))


def _level(value: Any) -> Level:
    """Return a level as plain typed text, number or boolean."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    return str(value)


def _text_levels(column: frames.Column) -> tuple[Level, ...]:
    if column.kind == "bool":
        return tuple(bool(v) for v in np.unique(column.valid()))
    if column.levels is None:
        return ()
    counts = np.bincount(column.valid(), minlength=len(column.levels))
    levels = [(-int(n), str(v), _level(v)) for n, v in zip(counts, column.levels, strict=True) if n]
    return tuple(level for _, _, level in sorted(levels, key=lambda entry: entry[:2])[:MAX_LEVELS])


def _profile_column(bins: ColumnBins, column: frames.Column) -> ColumnProfile:
    n_missing = int(column.missing.sum())
    if n_missing == len(column):
        return ColumnProfile(bins.name, n_missing, 0, None, None, np.zeros(len(bins), np.int64))
    numeric = bins.kind in frames.NUMERIC
    if numeric != (column.kind in frames.NUMERIC) and not (isinstance(bins, LevelBins) and not bins.levels):
        raise DataError(
            f"column {bins.name!r} is of kind {column.kind!r}; its bins were fitted to {bins.kind!r}: "
            "validate the batch first, or fit a new Binning"
        )
    if not numeric:
        return ColumnProfile(bins.name, n_missing, 0, None, None, _level_counts(bins, column))
    values = column.valid()
    finite = _finite(column)
    numbers = column.numbers()
    numbers = numbers[~np.isnan(numbers)]
    counts = bin_counts(numbers, bins.edges) if isinstance(bins, NumericBins) else _number_counts(bins, numbers)
    low, high = (_level(finite.min()), _level(finite.max())) if len(finite) else (None, None)
    moments = Moments.of(numbers[np.isfinite(numbers)])
    return ColumnProfile(bins.name, n_missing, len(values) - len(finite), low, high, counts, moments)  # type: ignore[arg-type]


def _number_counts(bins: LevelBins, numbers: NDArray[np.float64]) -> Ints:
    levels = np.array([float(v) for v in bins.levels])
    if not len(levels):
        return np.array([len(numbers)], dtype=np.int64)
    index = np.searchsorted(levels, numbers)
    known = (index < len(levels)) & (levels[np.minimum(index, len(levels) - 1)] == numbers)
    return np.bincount(np.where(known, index, len(levels)), minlength=len(bins)).astype(np.int64)


def _level_counts(bins: ColumnBins, column: frames.Column) -> Ints:
    assert isinstance(bins, LevelBins)
    place = {(isinstance(v, bool), v): i for i, v in enumerate(bins.levels)}
    other = len(bins.levels)
    if column.kind == "bool":
        table = np.array([place.get((True, v), other) for v in (False, True)])
        index = table[column.valid().astype(np.intp)]
    elif column.levels is not None:
        levels = [_level(v) for v in column.levels]
        table = np.array([place.get((isinstance(v, bool), v), other) for v in levels], dtype=np.intp)
        index = table[column.valid()]
    else:
        index = np.full(len(column.valid()), other)
    return np.bincount(index, minlength=len(bins)).astype(np.int64)


def _describe(bins: ColumnBins, profile: ColumnProfile, n_rows: int) -> dict[str, Any]:
    moments = profile.moments
    top = None
    if isinstance(bins, LevelBins) and bins.levels and profile.counts[:-1].any():
        top = bins.levels[int(np.argmax(profile.counts[:-1]))]
    return {
        "column": bins.name,
        "kind": bins.kind,
        "n_rows": n_rows,
        "n_missing": profile.n_missing,
        "n_infinite": profile.n_infinite,
        "low": profile.low,
        "mean": moments.mean if moments.n else None,
        "sd": moments.variance**0.5 if moments.n else None,
        "high": profile.high,
        "top": top,
    }
