"""One column of a batch as counts: read block by block, so that memory stays small and blocks stay in cache."""

from __future__ import annotations

from itertools import compress

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from mlopskit import frames
from mlopskit.profiling.bins import ColumnBins, Ints, LevelBins, by_value, check_kind, counted, exact
from mlopskit.stats.sketches import HeavyHitters, HyperLogLog
from mlopskit.stats.summaries import Lengths, Moments, extremes

MAX_OTHERS = 100
"""Values behind "other" that a profile names, the most frequent ones."""
_NO_OTHERS = HeavyHitters(MAX_OTHERS)


@frozen
class ColumnProfile:
    """The summary of one column.

    Parameters
    ----------
    name
        The column.
    counts
        Rows in each bin, or of each level and "other". Exact.
    kind
        Its logical kind in this batch, the wider one in a sum; None where every value is missing.
    n_null, n_nan
        Rows without a value, and rows with a float that is no number. pandas' own dtypes do not tell the two apart,
        and count as null there.
    n_infinite, n_zero
        Rows with an infinite number, and rows with a zero (for datetimes the start of 1970).
    low, high
        Extremes of the finite numbers, exact for integers and datetimes; None where there are none.
    moments
        Count, mean and squared deviations of the finite numbers (to rounding).
    distinct
        Sketch of the different values that are not missing: within 1.6% (one standard error).
    others
        The values behind "other", where the column has levels: the most frequent hundred with the error of their
        counts, which is zero while there are no more than a hundred.
    lengths
        Lengths of texts in characters.
    """

    name: str
    counts: Ints = field(eq=by_value)
    kind: frames.Kind | None = None
    n_null: int = 0
    n_nan: int = 0
    n_infinite: int = 0
    n_zero: int = 0
    low: float | int | None = None
    high: float | int | None = None
    moments: Moments = field(factory=Moments)
    distinct: HyperLogLog = field(factory=HyperLogLog)
    others: HeavyHitters = _NO_OTHERS
    lengths: Lengths = field(factory=Lengths)

    def __add__(self, other: ColumnProfile) -> ColumnProfile:
        return ColumnProfile(
            self.name,
            self.counts + other.counts,
            _wider(self.kind, other.kind),
            self.n_null + other.n_null,
            self.n_nan + other.n_nan,
            self.n_infinite + other.n_infinite,
            self.n_zero + other.n_zero,
            *extremes((self.low, self.high), (other.low, other.high)),
            self.moments + other.moments,
            self.distinct + other.distinct,
            self.others + other.others,
            self.lengths + other.lengths,
        )

    @property
    def n_missing(self) -> int:
        """Rows that are null or NaN."""
        return self.n_null + self.n_nan

    @property
    def n_distinct(self) -> int:
        """About how many different values there are, missing ones left out."""
        return round(self.distinct.estimate())


def _wider(a: frames.Kind | None, b: frames.Kind | None) -> frames.Kind | None:
    """Return the kind that holds the values of both: decimals hold floats, floats hold integers."""
    kinds = {a, b} - {None}
    if len(kinds) < 2:
        return a or b
    if kinds <= {"int", "float", "decimal"}:
        return "decimal" if "decimal" in kinds else "float"
    return "str" if kinds == {"str", "category"} else "other"


def profile_column(bins: ColumnBins, column: frames.Column, distinct: HyperLogLog) -> ColumnProfile:
    """Summarise one column in its bins; the sketch of its different values comes with the fingerprint."""
    n_null, n_missing = int(np.count_nonzero(column.null)), int(np.count_nonzero(column.missing))
    kind = None if n_missing == len(column) else column.kind
    counts, others, lengths = np.zeros(len(bins), np.int64), _NO_OTHERS, Lengths()
    found = _Numbers()
    if kind is not None:
        check_kind(bins, kind)
    if kind in frames.NUMERIC:
        counts, others, found = _count_numbers(bins, column)
    elif kind is not None and isinstance(bins, LevelBins):
        counts, others, lengths = _count_levels(bins, column)
    return ColumnProfile(
        bins.name,
        counts,
        kind,
        n_null,
        n_missing - n_null,
        found.n_infinite,
        found.n_zero,
        found.low,
        found.high,
        found.moments,
        distinct,
        others,
        lengths,
    )


@define
class _Numbers:
    """What is read of numbers beside their bins."""

    n_infinite: int = 0
    n_zero: int = 0
    low: float | int | None = None
    high: float | int | None = None
    moments: Moments = field(factory=Moments)

    def add(self, known: NDArray[np.float64]) -> None:
        """Take in a block of numbers that are not missing."""
        self.n_zero += int(np.count_nonzero(known == 0))
        low, high = float(np.minimum.reduce(known)), float(np.maximum.reduce(known))
        if low == -np.inf or high == np.inf:
            finite = known[np.isfinite(known)]
            self.n_infinite += len(known) - len(finite)
            if not len(finite):
                return
            known, low, high = finite, float(finite.min()), float(finite.max())
        self.low = low + 0.0 if self.low is None else min(self.low, low + 0.0)
        self.high = high + 0.0 if self.high is None else max(self.high, high + 0.0)
        self.moments = self.moments + Moments.of(known)


def _count_numbers(bins: ColumnBins, column: frames.Column) -> tuple[Ints, HeavyHitters, _Numbers]:
    """Count the rows in each bin, or of each level and "other"."""
    counter, found = bins.lookup.counter(), _Numbers()
    for block in column.blocks():
        known = block.known()
        if len(known):
            counter.add(known)
            found.add(known)
    if column.kind not in ("float", "decimal"):
        values = column.valid()
        found.n_infinite, found.low, found.high = 0, int(values.min()), int(values.max())
    counts, others = counter.counts, _NO_OTHERS
    if isinstance(bins, LevelBins):
        counts = np.append(counts[1::2], counts[0::2].sum())
        others = _other_numbers(bins, column) if counts[-1] else others
    return counts, others, found


def _other_numbers(bins: LevelBins, column: frames.Column) -> HeavyHitters:
    rows = bins.place(column) == len(bins.levels)
    values, counts = np.unique(column.values[rows], return_counts=True)
    return HeavyHitters.top([exact(column.kind, v) for v in values], counts, MAX_OTHERS)


def _count_levels(bins: LevelBins, column: frames.Column) -> tuple[Ints, HeavyHitters, Lengths]:
    """Count the rows of each level and "other", once for each distinct value of the column."""
    found, n = counted(column)
    places, counts = bins.places(found), np.zeros(len(bins), np.int64)
    np.add.at(counts, places, n)
    if column.kind == "other":
        return counts, _NO_OTHERS, Lengths()
    strange = (places == len(bins.levels)) & (n > 0)
    unknown = [bins.named(found[i]) for i in np.flatnonzero(strange).tolist()]
    others = HeavyHitters.top(unknown, n[strange], MAX_OTHERS)
    is_text = np.array([isinstance(v, str) for v in found], dtype=bool)
    lengths = np.fromiter(map(len, compress(found, is_text)), dtype=np.int64)
    return counts, others, Lengths.of(lengths, n[is_text])
