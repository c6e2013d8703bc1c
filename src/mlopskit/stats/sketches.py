"""Sketches: how many different values were seen, and which of them most often, in fixed memory and with a stated error.

Sketches of parts add up to a sketch of the whole. Registers of distinct values do so exactly, counts of levels while
there is room for all; beyond its room a sketch states its error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nlargest
from typing import Any, TypeAlias

import numpy as np
from attrs import cmp_using, field, frozen
from numpy.typing import ArrayLike, NDArray

from mlopskit.errors import ConfigurationError, DataError

UInts: TypeAlias = NDArray[np.uint64]
Level: TypeAlias = str | int | float | bool

N_REGISTERS = 4096
"""Registers of a `HyperLogLog`, a byte each."""
_BITS = 52  # of each hash, beside the twelve that choose its register
_SHIFT, _GROUP = np.uint64(64 - _BITS), np.uint64(N_REGISTERS - 1)
_LAST = np.int64(1023 + _BITS)  # the exponent field of 2**52: the leading bit of 52 stands one below
_BLOCK = 1 << 16


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
    mixed: UInts
    mixed, shifted = np.empty((2, *np.shape(values)), dtype=np.uint64)
    np.right_shift(values, np.uint64(30), out=shifted)
    np.bitwise_xor(values, shifted, out=mixed)
    np.multiply(mixed, np.uint64(0xBF58476D1CE4E5B9), out=mixed)
    np.right_shift(mixed, np.uint64(27), out=shifted)
    np.bitwise_xor(mixed, shifted, out=mixed)
    np.multiply(mixed, np.uint64(0x94D049BB133111EB), out=mixed)
    np.right_shift(mixed, np.uint64(31), out=shifted)
    np.bitwise_xor(mixed, shifted, out=mixed)
    return mixed


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
        The low bits of `mix64` of a hash choose its group, its own leading 52 bits count.

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
        seen = Distinct()
        seen.add(h.astype(np.uint64, copy=False))
        return seen.sketch

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


class Distinct:
    """Collects the hashes of a stream for a `HyperLogLog`; most are let go after one compare.

    A hash counts only if it has more leading zeros than the least register, so the more values were seen the fewer are
    looked at.

    Examples
    --------
    >>> seen = Distinct()
    >>> for start in (0, 500):
    ...     seen.add(mix64(np.arange(start, start + 1_000, dtype=np.uint64)))
    >>> 1_450 < seen.sketch.estimate() < 1_550
    True
    """

    def __init__(self) -> None:
        self._registers, self._least = _empty_registers(), 0

    def add(self, hashes: UInts) -> None:
        """Take in hashes whose leading 52 bits are well mixed, shape (n,)."""
        for start in range(0, len(hashes), _BLOCK):
            block = hashes[start : start + _BLOCK]
            if self._least:
                block = block.compress(block < np.uint64(1 << (64 - self._least)))
            if len(block):
                leading = (block >> _SHIFT).astype(np.float64).view(np.int64) >> 52  # 52 bits: exact as floats
                rank = np.minimum(_LAST - leading, _BITS + 1).astype(np.uint8)
                np.maximum.at(self._registers, (mix64(block) & _GROUP).astype(np.intp), rank)
                self._least = int(self._registers.min())

    @property
    def sketch(self) -> HyperLogLog:
        """What was seen so far."""
        return HyperLogLog(self._registers.copy())


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
        return cls.top([_plain_level(level) for level in counts], whole, capacity)

    @classmethod
    def top(cls, levels: Sequence[Any], counts: ArrayLike, capacity: int) -> HeavyHitters:
        """Return what `of` returns, given levels (n,) and their counts (n,); only those that may stay are looked at.

        Levels that are equal once they are plain text are counted together.
        """
        n = np.asarray(counts, dtype=np.int64)
        loss = int(np.partition(n, -capacity - 1)[-capacity - 1]) if len(n) > capacity > 0 else 0
        found: dict[tuple[str, Level], int] = {}
        for i in np.flatnonzero(n > loss).tolist():
            level = _plain_level(levels[i])
            key = type(level).__name__, level
            found[key] = found.get(key, 0) + int(n[i])
        return cls._kept([(level, count - loss) for (_, level), count in found.items()], capacity, int(n.sum()), loss)

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
