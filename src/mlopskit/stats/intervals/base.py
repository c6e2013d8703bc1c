"""The interval, and what every kind checks before its formula."""

from __future__ import annotations

import contextlib
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from attrs import cmp_using, field, frozen

from mlopskit.errors import ConfigurationError, DataError

Array: TypeAlias = npt.NDArray[np.float64]
ArrayLike: TypeAlias = npt.ArrayLike
MOST_ROWS = 1e13
"""Rows that shares are computed for; with more, floats lose the digits that decide an end."""
_SAME = cmp_using(eq=lambda a, b: bool(np.array_equal(a, b, equal_nan=True)))


@frozen
class Interval:
    """An estimate and the interval around it.

    Parameters
    ----------
    estimate
        The estimate; NaN without data. A float, or an array where the interval was asked for arrays of counts.
    low, high
        The ends of the interval, of the same shape.
    level
        The probability, in (0, 1), with which the interval covers the truth.
    n
        How many independent values it rests on: rows, batches or blocks.
    method
        The name of the method.
    guarantee
        "fixed": the level holds for one look at a fixed n. "anytime": it holds for all looks at once, so that one may
        look after every batch and stop at will. "asymptotic": anytime, in the limit of many values.
    """

    estimate: Any = field(eq=_SAME)
    low: Any = field(eq=_SAME)
    high: Any = field(eq=_SAME)
    level: float
    n: Any = field(eq=_SAME)
    method: str
    guarantee: Literal["fixed", "anytime", "asymptotic"] = "fixed"

    def __str__(self) -> str:
        if np.ndim(self.estimate):
            return f"{np.size(self.estimate)} intervals ({100 * self.level:.4g}%, {self.method})"
        ends = f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}]"
        return f"{ends} ({100 * self.level:.4g}%, n={self.n}, {self.method})"


def share_interval(
    k: Array, n: Array, low: Any, high: Any, level: float, method: str, guarantee: Literal["fixed", "anytime"] = "fixed"
) -> Interval:
    """Finish an interval of shares: [0, 1] for n = 0, the estimate inside, floats for scalars."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = k / n
    low = np.where(n == 0, 0.0, np.fmin(np.maximum(low, 0.0), share))
    high = np.where(n == 0, 1.0, np.fmax(np.minimum(high, 1.0), share))
    if share.ndim:
        return Interval(share, low, high, level, n.astype(int), method, guarantee)
    return Interval(float(share), float(low), float(high), level, int(n), method, guarantee)


def check_level(name: str, level: float) -> None:
    """Refuse a level outside (0, 1)."""
    if not 0 < level < 1:
        raise ConfigurationError(f"{name}: level={level!r}: expected a probability between 0 and 1")


def numbers(name: str, values: ArrayLike) -> Array:
    """Return numbers as floats, None as NaN; text, dates and lists of unequal length are refused, not read as some."""
    try:
        return _floats(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name}: expected numbers; got {type(values).__name__} {values!r:.80}") from error


def _floats(values: ArrayLike) -> Array:
    x = np.asarray(values)
    kind = x.dtype.kind
    if kind not in "biufO" or (kind == "O" and any(issubclass(of, str | bytes) for of in set(map(type, x.flat)))):
        raise TypeError("text and dates are no numbers")
    return np.asarray(x, dtype=float)


def block_codes(name: str, block: ArrayLike) -> npt.NDArray[np.intp]:
    """Return the blocks of rows counted from 0, in the order of their keys; a row without a block is refused."""
    with contextlib.suppress(TypeError, ValueError):
        keys = np.asarray(block)
        if keys.ndim == 1 and (keys == keys).all():  # NaN and NaT are not
            return np.asarray(np.unique(keys, return_inverse=True)[1])
    raise DataError(f"{name}: expected one block for each row, all of one kind and none missing; got {block!r:.80}")


def within(name: str, k: ArrayLike, n: ArrayLike) -> tuple[Array, Array]:
    """Return sums and whole numbers of rows as floats of one shape, 0 <= k <= n."""
    k, n = np.broadcast_arrays(numbers(name, k), numbers(name, n))
    if not ((k >= 0) & (k <= n) & (n <= MOST_ROWS) & (n == np.floor(n))).all():
        raise DataError(f"{name}: expected a whole number n up to {MOST_ROWS:g} and 0 <= k <= n; got k={k}, n={n}")
    return k, n


def counts(name: str, k: ArrayLike, n: ArrayLike, level: float) -> tuple[Array, Array]:
    """Return whole numbers 0 <= k <= n as floats of one shape, and check the level."""
    check_level(name, level)
    successes, trials = within(name, k, n)
    if not (successes == np.floor(successes)).all():
        raise DataError(f"{name}: expected whole numbers of successes; got k={k!r} (for scores use beta_mixture)")
    return successes, trials


def series(name: str, values: ArrayLike, level: float) -> Array:
    """Return finite values of shape (n,), and check the level."""
    check_level(name, level)
    x = numbers(name, values)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise DataError(f"{name}: expected finite values of shape (n,); got shape {x.shape} or a NaN or infinite value")
    return x
