"""Summaries that add, and the projections of counts that drift is read from.

What is counted in integers adds exactly: concordant rows, registers of distinct values, counts of levels while there is
room for all. Means and sums of squares add to rounding. Beyond its room a sketch states its error.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nlargest
from typing import Any, TypeAlias

import numpy as np
from attrs import cmp_using, field, frozen
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from mlopskit.errors import ConfigurationError, DataError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
UInts: TypeAlias = NDArray[np.uint64]
Level: TypeAlias = str | int | float | bool

N_REGISTERS = 4096
"""Registers of a `HyperLogLog`, a byte each."""
_BITS = 52  # of each hash, beside the twelve that choose its register


def quantile_edges(values: ArrayLike, n_bins: int = 200) -> Floats:
    """Return the n_bins - 1 inner edges of right-closed bins, at the quantiles i / n_bins; each is a value that occurs.

    Equal neighbours are kept, so that every k-th edge is again a quantile. The smallest value with at least a share of
    i / n_bins at or below it is taken (Hyndman and Fan 1996, definition 1).

    Raises
    ------
    ValueError
        When there are no values.

    >>> quantile_edges([4, 1, 3, 2], n_bins=4)
    array([1., 2., 3.])
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not len(ordered):
        raise ValueError("quantile_edges needs at least one value")
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
        if not len(x):
            return cls()
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(x.mean())
            mean = mean if np.isfinite(mean) else float((x / len(x)).sum())
            return cls(len(x), mean, float(np.square(x - mean).sum()))

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        if not self.n or not other.n:
            return self if self.n else other
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.n / n)
        return Moments(n, mean, self.squares + other.squares + delta * delta * (self.n * other.n / n))

    @property
    def variance(self) -> float:
        """Variance with n - 1 in the denominator; 0 for fewer than two values."""
        return self.squares / (self.n - 1) if self.n > 1 else 0.0


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
    k = len(medians)
    same, valid = np.zeros((k, k), np.int64), np.zeros((k, k), np.int64)
    block = 1 << 20  # below 2**24, so that float32 products of -1, 0, 1 add exactly
    for start in range(0, len(values), block):
        part = values[start : start + block]
        present = ~np.isnan(part)
        sign = np.where(part <= medians, 1.0, -1.0).astype(np.float32)
        sign[~present] = 0.0
        here = present.astype(np.float32)
        both = np.rint(here.T @ here).astype(np.int64)
        same += (np.rint(sign.T @ sign).astype(np.int64) + both) // 2
        valid += both
    return same, valid


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


def mix64(values: UInts) -> UInts:
    """Return a well-mixed 64-bit hash of each 64-bit value, the same on every machine: the finalizer of SplitMix64.

    A bijection, so that different values have different hashes. Floats go in as `(x + 0.0).view(np.uint64)`, so that
    the two zeros are one; integers as `x.astype(np.int64).view(np.uint64)`, which is not the hash of an equal float:
    turn a column into one kind first. For text, hash each *distinct* level with a stable hash of its UTF-8 bytes, such
    as `hashlib.blake2b(..., digest_size=8)`.

    References
    ----------
    Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014), figure 17.

    Examples
    --------
    >>> mix64(np.array([0, 1], dtype=np.uint64))
    array([                  0, 6238072747940578789], dtype=uint64)
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _bytes(values: ArrayLike) -> NDArray[np.uint8]:
    return np.asarray(values, dtype=np.uint8)


def _empty_registers() -> NDArray[np.uint8]:
    return np.zeros(N_REGISTERS, np.uint8)


@frozen
class HyperLogLog:
    """How many different values were seen, to within a few percent, in four kilobytes however many there were.

    The relative standard error is 1.04/sqrt(4096) = 1.6%. Sketches of parts merge to the sketch of the whole *exactly*:
    `+` is associative and commutative, a value seen twice counts once, and the empty sketch changes nothing.

    Parameters
    ----------
    registers
        Shape (4096,), uint8: the longest run of leading zeros among the hashes of each group, plus one; 0 if empty.

    Raises
    ------
    DataError
        When the registers have another shape, or a value that no hash gives.

    References
    ----------
    Flajolet, Fusy, Gandouet and Meunier, "HyperLogLog" (2007); Ertl, "New cardinality estimation algorithms for
    HyperLogLog sketches" (2017, arXiv 1702.01284), algorithm 6: free of bias from 0 to 2^64 without switching.

    Examples
    --------
    >>> ids = np.arange(50_000, dtype=np.uint64)
    >>> sketch = HyperLogLog.of(mix64(ids[:30_000])) + HyperLogLog.of(mix64(ids[20_000:]))
    >>> 49_000 < sketch.estimate() < 51_000
    True
    """

    registers: NDArray[np.uint8] = field(
        factory=_empty_registers,
        converter=_bytes,
        eq=cmp_using(eq=np.array_equal),
        repr=False,
    )

    def __attrs_post_init__(self) -> None:
        if self.registers.shape != (N_REGISTERS,) or self.registers.max() > _BITS + 1:
            raise DataError(
                f"HyperLogLog: expected {N_REGISTERS} registers from 0 to {_BITS + 1}; got shape {self.registers.shape}"
            )

    @classmethod
    def of(cls, hashes: UInts) -> HyperLogLog:
        """Return the sketch of values, given well-mixed 64-bit hashes of them (`mix64`), shape (n,).

        Raises
        ------
        DataError
            When these are no uint64: values that are not hashed have no distinct count.
        """
        h = np.asarray(hashes)
        if h.dtype != np.uint64 and h.size:
            raise DataError(f"HyperLogLog: expected uint64 hashes of the values (see mix64); got dtype {h.dtype}")
        h = h.astype(np.uint64, copy=False)
        group = (h >> np.uint64(_BITS)).astype(np.intp)
        rest = (h & np.uint64((1 << _BITS) - 1)).astype(np.float64)  # 52 bits: exact as floats
        rank = (_BITS + 1 - np.frexp(rest)[1]).astype(np.uint8)
        registers = _empty_registers()
        np.maximum.at(registers, group, rank)
        return cls(registers)

    def __add__(self, other: HyperLogLog) -> HyperLogLog:
        if not isinstance(other, HyperLogLog):
            return NotImplemented
        return HyperLogLog(np.maximum(self.registers, other.registers))

    def estimate(self) -> float:
        """Return about how many different values were seen; 0 for none."""
        count = np.bincount(self.registers, minlength=_BITS + 2).tolist()
        z = N_REGISTERS * _tau(1 - count[-1] / N_REGISTERS)
        for k in range(_BITS, 0, -1):
            z = (z + count[k]) / 2
        z += N_REGISTERS * _sigma(count[0] / N_REGISTERS)
        return float(N_REGISTERS**2 / (2 * np.log(2) * z))


def _sigma(x: float) -> float:
    """Return x + sum over k >= 1 of x^(2^k) * 2^(k-1) (Ertl 2017, equation 23); infinite at 1."""
    if x == 1:
        return float("inf")
    total, step = x, 1.0
    while True:
        x *= x
        if total + x * step == total:
            return total
        total, step = total + x * step, 2 * step


def _tau(x: float) -> float:
    """Return (1 - x - sum over k >= 1 of (1 - x^(2^-k))^2 * 2^-k) / 3 (Ertl 2017, equation 24)."""
    if x in (0, 1):
        return 0.0
    total, step = 1 - x, 1.0
    while True:
        x, step = x**0.5, step / 2
        if total - (1 - x) ** 2 * step == total:
            return total / 3
        total -= (1 - x) ** 2 * step


@frozen
class HeavyHitters:
    """The most frequent levels of a stream of any length, in a fixed number of counters, with a stated error.

    A kept level was seen at least `counts` and at most `counts + error` times; a level that is not kept at most `error`
    times. The error is 0 while no more than `capacity` levels were seen, and at most n/(capacity + 1) ever. Merging
    keeps these bounds in any order and grouping; the counts within them, and which rare levels are kept, may depend on
    the order. All numbers are integers.

    Parameters
    ----------
    capacity
        Levels that are kept, at least 1.
    counts
        Each kept level with the times it was seen at least, the most frequent first.
    n
        Values seen.
    error
        How many times more than counted any level may have been seen.

    Raises
    ------
    ConfigurationError
        When the capacity is below 1.
    DataError
        When no stream gives these counts: more levels than the capacity, a level twice, or more counted than n allows.

    References
    ----------
    Misra and Gries (1982); Agarwal, Cormode, Huang, Phillips, Wei and Yi, "Mergeable summaries" (PODS 2012), section 3.

    Examples
    --------
    >>> sketch = HeavyHitters.of({"a": 60, "b": 30, "c": 5, "d": 5}, capacity=2)
    >>> (sketch + HeavyHitters.of({"a": 40, "e": 1}, capacity=2)).counts, sketch.error
    ((('a', 94), ('b', 24)), 5)
    """

    capacity: int
    counts: tuple[tuple[Level, int], ...] = ()
    n: int = 0
    error: int = 0

    def __attrs_post_init__(self) -> None:
        if self.capacity < 1:
            raise ConfigurationError(f"HeavyHitters: capacity={self.capacity!r}: expected at least 1")
        kept = sum(count for _, count in self.counts)
        distinct = len({(type(level), level) for level, _ in self.counts})
        possible = len(self.counts) == distinct <= self.capacity and all(count > 0 for _, count in self.counts)
        if not possible or self.error < 0 or kept + self.error * (self.capacity + 1) > self.n:
            raise DataError(
                f"HeavyHitters: no stream of n={self.n} values leaves these {len(self.counts)} counts, which add up to "
                f"{kept}, with error={self.error} and capacity={self.capacity}"
            )

    @classmethod
    def of(cls, counts: Mapping[Any, int], capacity: int) -> HeavyHitters:
        """Return the sketch of a batch whose levels (text, numbers, booleans) are counted already.

        Raises
        ------
        DataError
            When a count is negative or not whole, or a level is None, NaN or anything else: missing values are counted
            apart.
        """
        whole = [int(n) for n in counts.values()]
        if whole != list(counts.values()) or min(whole, default=0) < 0:
            raise DataError("HeavyHitters: expected whole counts of at least 0")
        found = [(_plain_level(level), n) for level, n in zip(counts, whole, strict=True) if n]
        return cls._kept(found, capacity, sum(whole), 0)

    @classmethod
    def _kept(cls, counts: list[tuple[Level, int]], capacity: int, n: int, error: int) -> HeavyHitters:
        """Keep what stays above the largest count that finds no room; that count is what everything loses."""
        loss = nlargest(capacity + 1, (count for _, count in counts))[-1] if len(counts) > capacity > 0 else 0
        kept = [(level, count - loss) for level, count in counts if count > loss]
        kept.sort(key=lambda item: (-item[1], type(item[0]).__name__, str(item[0])))
        return cls(capacity, tuple(kept), n, error + loss)

    def __add__(self, other: HeavyHitters) -> HeavyHitters:
        if not isinstance(other, HeavyHitters):
            return NotImplemented
        if self.capacity != other.capacity:
            raise DataError(f"HeavyHitters of capacity {self.capacity} and {other.capacity} do not add")
        counts: dict[tuple[str, Level], int] = {}
        for level, count in self.counts + other.counts:
            key = type(level).__name__, level  # True, 1 and 1.0 are one key in Python and three levels here
            counts[key] = counts.get(key, 0) + count
        found = [(level, count) for (_, level), count in counts.items()]
        return self._kept(found, self.capacity, self.n + other.n, self.error + other.error)

    @property
    def exact(self) -> bool:
        """Whether every level that was seen is counted exactly."""
        return self.error == 0


def _plain_level(level: Any) -> Level:
    """Return a level as JSON brings it back: numpy scalars as Python's, zero without a sign."""
    level = level.item() if isinstance(level, np.generic) else level
    level = level + 0.0 if isinstance(level, float) else level
    if not isinstance(level, (str, int, float)) or level != level:
        raise DataError(
            f"HeavyHitters: level {level!r}: expected text, a number or a boolean; count missing rows apart"
        )
    return level
