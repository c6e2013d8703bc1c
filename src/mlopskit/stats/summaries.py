"""Summaries that add, and the projections of counts that drift is read from.

What is counted in integers adds exactly: concordant rows and the lengths of texts. Means and sums of squares add to
rounding.
"""

from __future__ import annotations

import math
from typing import TypeAlias, TypeVar

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from mlopskit.errors import DataError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

_BLOCK = 1 << 16


def quantile_edges(values: ArrayLike, n_bins: int = 200) -> Floats:
    """Return the n_bins - 1 inner edges of right-closed bins, at the quantiles i / n_bins; each is a value that occurs.

    Equal neighbours are kept, so that every k-th edge is again a quantile. The smallest value with at least a share of
    i / n_bins at or below it is taken (Hyndman and Fan 1996, definition 1).

    Raises
    ------
    ValueError
        When there are no values, or one is NaN.

    >>> quantile_edges([4, 1, 3, 2], n_bins=4)
    array([1., 2., 3.])
    """
    ordered = np.asarray(values, dtype=np.float64)
    if not (ordered[:-1] <= ordered[1:]).all():
        ordered = np.sort(ordered)
    if not len(ordered) or np.isnan(ordered[-1]):
        raise ValueError("quantile_edges needs at least one value, and no NaN")
    rank = np.ceil(np.arange(1, n_bins) * len(ordered) / n_bins - 1e-9).astype(np.intp) - 1
    edges: Floats = ordered[np.clip(rank, 0, len(ordered) - 1)]
    return edges


@frozen
class Moments:
    """Count, mean and sum of squared deviations; they merge to rounding (Chan, Golub and LeVeque 1983, eq. 2.1).

    Squares beyond the range of floats (values around 1e154) are infinite.
    """

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: ArrayLike) -> Moments:
        """Return the moments of finite values.

        >>> Moments.of([1.0, 3.0])
        Moments(n=2, mean=2.0, squares=2.0)
        """
        x = np.asarray(values, dtype=np.float64)
        total = cls._of_block(x[:_BLOCK]) if len(x) else cls()
        for start in range(_BLOCK, len(x), _BLOCK):
            total = total + cls._of_block(x[start : start + _BLOCK])
        return total

    @classmethod
    def _of_block(cls, x: Floats) -> Moments:
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(np.add.reduce(x)) / len(x)
            mean = mean if math.isfinite(mean) else float(np.add.reduce(x / len(x)))
            away = x - mean
            return cls(len(x), mean, float(np.add.reduce(np.multiply(away, away, out=away))))

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        if not self.n or not other.n:
            return self if self.n else other
        delta = other.mean - self.mean
        if not math.isfinite(delta):
            return Moments(n, self.mean * (self.n / n) + other.mean * (other.n / n), math.inf)
        mean = self.mean + delta * (other.n / n)
        return Moments(n, mean, self.squares + other.squares + delta * delta * (self.n * other.n / n))

    @property
    def variance(self) -> float:
        """Variance with n - 1 in the denominator; 0 for fewer than two values."""
        return self.squares / (self.n - 1) if self.n > 1 else 0.0


@frozen
class Lengths:
    """How long the texts of a column are, in characters; whole numbers, so that sums are exact.

    Parameters
    ----------
    n
        Texts.
    total
        Their lengths added up.
    low, high
        The shortest and the longest; None where there is no text.
    """

    n: int = 0
    total: int = 0
    low: int | None = None
    high: int | None = None

    @classmethod
    def of(cls, lengths: ArrayLike, counts: ArrayLike) -> Lengths:
        """Return the summary of lengths (m,) that occur so often, counts (m,), whole numbers.

        Raises
        ------
        DataError
            When one is below 0, or there are not as many of both.

        >>> Lengths.of([1, 3], counts=[2, 1])
        Lengths(n=3, total=5, low=1, high=3)
        """
        length, n = np.asarray(lengths, dtype=np.int64), np.asarray(counts, dtype=np.int64)
        if len(length) != len(n) or min(length.min(initial=0), n.min(initial=0)) < 0:
            raise DataError("Lengths: expected lengths and as many counts, all at least 0")
        length, n = length[n > 0], n[n > 0]
        if not len(n):
            return cls()
        total = sum(a * b for a, b in zip(length.tolist(), n.tolist(), strict=True))
        return cls(int(n.sum()), total, int(length.min()), int(length.max()))

    def __add__(self, other: Lengths) -> Lengths:
        low, high = extremes((self.low, self.high), (other.low, other.high))
        return Lengths(self.n + other.n, self.total + other.total, low, high)

    @property
    def mean(self) -> float | None:
        """Their mean; None where there is no text."""
        return self.total / self.n if self.n else None


Number = TypeVar("Number", int, float)


def extremes(
    a: tuple[Number | None, Number | None], b: tuple[Number | None, Number | None]
) -> tuple[Number | None, Number | None]:
    """Return the smaller of two smallest values and the larger of two largest; None stands for no value.

    >>> extremes((1, 5), (None, None)), extremes((1, 5), (2, 7))
    ((1, 5), (1, 7))
    """
    low = [v for v in (a[0], b[0]) if v is not None]
    high = [v for v in (a[1], b[1]) if v is not None]
    return min(low, default=None), max(high, default=None)


def concordance(values: Floats, medians: Floats) -> tuple[Ints, Ints]:
    """Count, for each pair of columns, the rows on the same side of both medians, and the rows where both are present.

    Parameters
    ----------
    values
        Shape (n_rows, K), NaN where missing.
    medians
        Shape (K,): the reference's medians.

    Returns
    -------
    Two symmetric integer matrices of shape (K, K): concordant rows and valid rows. Both add over parts exactly.

    >>> same, valid = concordance(np.array([[1.0, 9.0], [3.0, 1.0]]), np.array([2.0, 5.0]))
    >>> int(same[0, 1]), int(valid[0, 1])
    (0, 2)
    """
    columns = np.asarray(values, dtype=np.float64).T
    below, present = _bits(columns <= medians[:, None]), _bits(~np.isnan(columns))
    k = len(medians)
    same, valid = np.zeros((2, k, k), np.int64)
    for i in range(k):
        both = present[i] & present
        valid[i] = np.bitwise_count(both).sum(axis=1, dtype=np.int64)
        same[i] = np.bitwise_count(~(below[i] ^ below) & both).sum(axis=1, dtype=np.int64)
    return same, valid


def _bits(flags: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return each row of flags in 64-bit words, the last one filled with zeros."""
    packed = np.packbits(flags, axis=1)
    words = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    words[:, : packed.shape[1]] = packed
    return words.view(np.uint64)


def location_and_scale(shares: Floats) -> tuple[Floats, Floats]:
    """Return two scores per bin: one moves with the location of a distribution, the other with its spread.

    Location is the normal score of the bin's mid-rank in the reference; scale is its square, made orthogonal to
    location and to the constant. Both have mean 0 and variance 1 under the reference's shares.

    Parameters
    ----------
    shares
        Shape (B,): shares of the reference's bins, adding up to 1.

    Returns
    -------
    Location and scale, each of shape (B,); all zeros where there is no spread (location: one bin; scale: two bins).

    >>> location, scale = location_and_scale(np.array([0.25, 0.5, 0.25]))
    >>> np.round(location, 3), np.round(scale, 3)
    (array([-1.414,  0.   ,  1.414]), array([ 1., -1.,  1.]))
    """
    pi = np.asarray(shares, dtype=np.float64)
    middle = np.cumsum(pi) - pi / 2
    z = ndtri(np.clip(middle, 1e-12, 1 - 1e-12))
    location = _standardised(z, pi)
    square = location**2
    square = square - pi @ square - (pi @ (square * location)) * location
    return location, _standardised(square, pi)


def _standardised(scores: Floats, shares: Floats) -> Floats:
    centred = scores - shares @ scores
    spread = float(np.sqrt(shares @ centred**2))
    if (shares > 0).sum() < 2 or spread < 1e-9:
        return np.zeros_like(centred)
    result: Floats = centred / spread
    return result
