"""Counting values in bins, exactly, at a few nanoseconds a value: a table finds the bin, compares make sure.

A *key* is a coarse, non-decreasing function of a value. All values with one key form a cell; a table holds, for each
cell, how many edges lie in lower cells, and those edges are below the value for certain. What is left is to compare
the value with the edges of its own cell, one after the other: with a good key there is one. No single key suits all
data, so the one with the fewest compares is taken when the lookup is made: a uniform grid between the outer edges, the
leading bits of the float, or those of its distance from the median edge. Where none is good enough, blocks are sorted
and the edges searched in them.

Every path gives what `numpy.searchsorted(edges, values, "left")` gives, for every finite and infinite value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from mlopskit.errors import DataError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Key: TypeAlias = Callable[[Floats], Ints]

BLOCK = 1 << 16
"""Values that go through the kernel at once: they and what is computed of them stay in the cache."""
CELLS = 1 << 14
"""Cells of a table, at most."""
MOST_COMPARES = 5
"""With more compares than this, sorting is faster."""
_MAGNITUDE = np.int64(np.iinfo(np.int64).max)


def _edges(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64) + 0.0  # one zero, not two


@frozen(eq=False)
class Lookup:
    """Edges of right-closed bins, made ready for finding the bins of many values.

    Parameters
    ----------
    edges
        The inner edges, shape (m,), finite, non-decreasing. Bin i holds the values v with edges[i-1] < v <= edges[i];
        between equal edges nothing lies.

    Raises
    ------
    DataError
        When an edge is not finite or they are not in order.

    Examples
    --------
    >>> lookup = Lookup([1.0, 2.0, 2.0, 5.0])
    >>> lookup.count([0.5, 2.0, 2.5, np.inf, 1.0])
    array([2, 1, 0, 1, 1])
    >>> lookup.place([0.5, 2.0, np.nan, 2.5])
    array([ 0,  1, -1,  3])
    """

    edges: Floats = field(converter=_edges)
    _distinct: Floats = field(init=False, repr=False)
    _bins: Ints = field(init=False, repr=False)
    _key: Key = field(init=False, repr=False)
    _below: Ints = field(init=False, repr=False)
    _compares: int = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        edges = self.edges
        if edges.ndim != 1 or not np.isfinite(edges).all() or (edges[1:] < edges[:-1]).any():
            raise DataError("Lookup: expected finite edges of shape (m,) in non-decreasing order")
        distinct = np.unique(edges)
        tables = [_table(key, distinct) for key in _keys(distinct)]
        key, below, compares = min(tables, key=lambda table: table[2])
        for name, value in (
            ("_distinct", np.append(distinct, np.inf)),
            ("_bins", np.append(np.searchsorted(edges, distinct), len(edges))),
            ("_key", key),
            ("_below", below),
            ("_compares", compares),
        ):
            object.__setattr__(self, name, value)

    def place(self, values: ArrayLike) -> Ints:
        """Return the bin of each value, shape (n,); -1 for NaN."""
        x = _column(values)
        found = np.empty(len(x), dtype=np.int64)
        for start in range(0, len(x), BLOCK):
            block = x[start : start + BLOCK]
            missing = np.isnan(block)
            known = np.where(missing, 0.0, block) if missing.any() else block
            here = self._search(known) if self._sorts else self._find(known)
            found[start : start + BLOCK] = np.where(missing, -1, self._bins[here])
        return found

    def count(self, values: ArrayLike) -> Ints:
        """Return how many values lie in each of the m + 1 bins; NaN lies in none."""
        x, counter = _column(values), self.counter()
        for start in range(0, len(x), BLOCK):
            block = x[start : start + BLOCK]
            missing = np.isnan(block)
            counter.add(block[~missing] if missing.any() else block)
        return counter.counts

    def counter(self) -> Counter:
        """Return what counts a stream of values, block by block."""
        return Counter(self)

    def _count(self, block: Floats) -> Ints:
        """Return how many values lie below the first distinct edge, between each two, and above the last."""
        if self._sorts:
            return np.diff(np.searchsorted(np.sort(block), self._distinct, "right"), prepend=0)
        return np.bincount(self._find(block), minlength=len(self._distinct))

    @property
    def _sorts(self) -> bool:
        return self._compares > MOST_COMPARES

    def _search(self, block: Floats) -> Ints:
        return np.searchsorted(self._distinct, block)

    def _find(self, block: Floats) -> Ints:
        """Return the number of distinct edges below each value."""
        found = self._below.take(self._key(block))
        for _ in range(self._compares):
            found += self._distinct.take(found) < block
        return found


def _column(values: ArrayLike) -> Floats:
    try:
        x = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"Lookup: expected numbers of shape (n,); {error}") from error
    if x.ndim != 1:
        raise DataError(f"Lookup: expected numbers of shape (n,); got shape {x.shape}")
    return x


class Counter:
    """Counts a stream of values in the bins of a `Lookup`.

    >>> counter = Lookup([1.0, 2.0]).counter()
    >>> for block in ([0.5, 2.0], [3.0]):
    ...     counter.add(np.array(block))
    >>> counter.counts
    array([1, 1, 1])
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._total = np.zeros(len(lookup._distinct), dtype=np.int64)

    def add(self, block: Floats) -> None:
        """Count a block of values without NaN, fast for some thousands at once."""
        self._total += self._lookup._count(block)

    @property
    def counts(self) -> Ints:
        """How many values lie in each of the m + 1 bins."""
        counts = np.zeros(len(self._lookup.edges) + 1, dtype=np.int64)
        counts[self._lookup._bins] = self._total
        return counts


def _table(key: Key, distinct: Floats) -> tuple[Key, Ints, int]:
    """Return the key with, for each cell, the edges in lower cells, and the most edges of one cell."""
    cells = key(distinct)
    below = np.searchsorted(cells, np.arange(CELLS)).astype(np.int64)
    return key, below, int(np.bincount(cells, minlength=1).max())


def _keys(distinct: Floats) -> Iterator[Key]:
    if not len(distinct):
        yield lambda x: np.zeros(len(x), dtype=np.int64)
        return
    low, high = float(distinct[0]), float(distinct[-1])
    with np.errstate(over="ignore", divide="ignore"):
        scale = (CELLS - 3) / np.float64(high - low)
    if np.isfinite(scale) and scale > 0:
        yield _grid(low, float(scale))
    yield _leading_bits(distinct)
    centre = float(distinct[len(distinct) // 2])
    with np.errstate(over="ignore"):
        distance = np.abs(distinct - centre)
    if distance.any() and np.isfinite(distance).all():
        for near in np.quantile(distance[distance > 0], [0.1, 0.5]).tolist():
            yield _bits_of_distance(centre, near, distinct)


def _grid(low: float, scale: float) -> Key:
    def key(x: Floats) -> Ints:
        with np.errstate(over="ignore"):
            place = np.subtract(x, low)
            np.multiply(place, scale, out=place)
        np.minimum(np.maximum(place, -1.0, out=place), CELLS - 2, out=place)
        place += 1
        return place.astype(np.int64)

    return key


def _leading_bits(distinct: Floats) -> Key:
    """Return the leading bits of x in the order of the numbers: cells that are narrow near 0 and wide far from it."""

    def ordered(x: Floats) -> Ints:
        bits = (x + 0.0).view(np.int64)
        return bits ^ ((bits >> 63) & _MAGNITUDE)

    return _cut(ordered, distinct)


def _bits_of_distance(centre: float, near: float, distinct: Floats) -> Key:
    """Return the leading bits of near + |x - centre|, signed: cells of one width near the centre, wider far from it."""
    origin = np.float64(near).view(np.int64)

    def ordered(x: Floats) -> Ints:
        with np.errstate(over="ignore"):
            away = x - centre
            bits = (np.abs(away) + near).view(np.int64)
        bits -= origin
        return np.negative(bits, out=bits, where=away < 0)

    return _cut(ordered, distinct)


def _cut(ordered: Key, distinct: Floats) -> Key:
    """Return as many leading bits of an order-preserving integer as fit into the table."""
    low, high = (int(v) for v in ordered(distinct[[0, -1]]))
    shift = max((high - low).bit_length() - (CELLS.bit_length() - 1) + 1, 0)
    base = (low >> shift) - 1

    def key(x: Floats) -> Ints:
        place = ordered(x)
        place >>= shift
        np.minimum(np.maximum(place, base, out=place), base + CELLS - 1, out=place)
        place -= base
        return place

    return key
