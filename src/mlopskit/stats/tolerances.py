"""How many rows of a batch may break a rule before the rule is broken: counts in, counts out.

Four questions. How often will a new level appear (Good-Turing)? How many rows does a share allow in a small batch (the
binomial bound)? How many new values lie outside the extremes of a sample (distribution-free, beta-binomial)?
How far outside may they lie (tail index)?
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def unseen_share(counts: ArrayLike) -> float:
    """Estimate the share of new rows whose level was never seen: f1 / n, the share of levels seen once.

    Parameters
    ----------
    counts
        How often each level was seen; shape (n_levels,), non-negative.

    Returns
    -------
    float
        In [0, 1]; 1.0 for no rows at all, when everything is still to be seen.

    References
    ----------
    I. J. Good (1953). The population frequencies of species and the estimation of population parameters.
    Biometrika 40, equation (9).

    Examples
    --------
    >>> unseen_share([6, 2, 1, 1])
    0.2
    """
    seen: NDArray[np.int64] = np.asarray(counts, dtype=np.int64)
    n = int(seen.sum())
    return 1.0 if n == 0 else float((seen == 1).sum() / n)


def allowed_rows(n_rows: int, share: float, level: float = 0.95) -> int:
    """Return the largest count that is still compatible with a share: the upper `level` quantile of Binomial(n, share).

    Parameters
    ----------
    n_rows
        Rows of the batch, at least 0.
    share
        The share of rows that may break the rule, in [0, 1]. 0 allows no row, 1 allows every row.
    level
        Chance, at least, that a batch whose true share is `share` stays within the count; in (0, 1).

    Examples
    --------
    >>> allowed_rows(10, 0.01), allowed_rows(10_000, 0.01), allowed_rows(10, 0.0)
    (1, 117, 0)
    """
    from scipy.special import bdtr, bdtrik

    if n_rows == 0 or share <= 0:
        return 0
    if share >= 1:
        return n_rows
    if bdtr(0, n_rows, share) >= level:
        return 0
    count = math.ceil(bdtrik(level, float(n_rows), share))
    below = max(count - 1, 0)
    return below if bdtr(below, n_rows, share) >= level else count


def allowed_outside(n_rows: int, n_reference: int, level: float = 0.999) -> int:
    """Return how many values of a batch may lie outside the extremes of a reference of the same continuous law.

    The mass outside the smallest and largest of n values has the law Beta(2, n - 1) whatever the distribution, so the
    number outside among m new values is beta-binomial: P(none) = n(n - 1) / ((n + m)(n + m - 1)).

    Parameters
    ----------
    n_rows
        Values of the batch (m), at least 0.
    n_reference
        Values of the reference (n); below 2 the reference says nothing and every row is allowed.
    level
        Chance, at least, that a batch of the same law stays within the count; in (0, 1).

    References
    ----------
    S. S. Wilks (1941). Determination of sample sizes for setting tolerance limits. Annals of Mathematical
    Statistics 12, 91-96.

    Examples
    --------
    >>> allowed_outside(900, 50_000), allowed_outside(1000, 1000)
    (1, 12)
    """
    m, n = n_rows, n_reference
    if n < 2 or m == 0:
        return m
    start = math.log(n - 1) + math.log(n) - math.log(m + n - 1) - math.log(m + n)
    j = np.arange(min(m, 50 + 40 * m // n))  # the count is about m / n times a Gamma(2): beyond lies less than 1e-15
    steps = np.log(m - j) - np.log(j + 1) + np.log(j + 2) - np.log(m - j + n - 2)
    cdf = np.cumsum(np.exp(start + np.concatenate([[0.0], np.cumsum(steps)])))
    return min(int(np.searchsorted(cdf, level)), m)


def tail_reach(values: ArrayLike) -> tuple[float, float]:
    """Return how far below the least and above the greatest of a sample a value of the same law may lie.

    At least the width of the sample, and where its tails are heavy as far as the greatest deviation from the median of
    about one in a hundred samples of the same size: with a tail index g (of the survival function x ** (-1 / g)) that
    is 100 ** g times the greatest of this sample.

    Parameters
    ----------
    values
        Finite numbers, shape (n,), n at least 1; of more than 20,000 the index is read off evenly spaced ones.

    Returns
    -------
    Two distances, at least 0 and finite.

    References
    ----------
    B. M. Hill (1975). A simple general approach to inference about the tail of a distribution. Annals of
    Statistics 3, equation (2.6).

    Examples
    --------
    >>> tail_reach([0.0, 1.0, 2.0, 3.0])
    (3.0, 3.0)
    """
    sample: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    low, high = float(sample.min()), float(sample.max())
    some = sample[:: max(1, len(sample) // _TAIL_SAMPLE)]
    middle = float(np.median(some))
    below, above = (_beyond(d, width) for d, width in ((middle - some, middle - low), (some - middle, high - middle)))
    width = min(high - low, _LARGEST)
    return max(width, below), max(width, above)


_TAIL_SAMPLE, _TAIL_VALUES = 20_000, 20
_LARGEST = float(np.finfo(np.float64).max)


def _beyond(deviations: NDArray[np.float64], greatest: float) -> float:
    """Return how far a deviation of the same law may exceed the greatest."""
    positive = np.sort(deviations[deviations > 0])
    k = min(_TAIL_VALUES, len(positive) // 2)
    if k < 2:
        return 0.0
    index = float(np.log(positive[-k:] / positive[-k - 1]).mean())
    factor = math.expm1(min(index * math.log(100), 700.0))
    return min(greatest * factor, _LARGEST) if math.isfinite(greatest) else _LARGEST
