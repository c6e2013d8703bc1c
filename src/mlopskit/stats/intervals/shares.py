"""Intervals of a share from its counts, at one fixed n."""

from __future__ import annotations

import numpy as np
from scipy.special import betainccinv, betaincinv, ndtri

from mlopskit.stats.intervals.base import ArrayLike, Interval, counts, share_interval


def wilson(k: ArrayLike, n: ArrayLike, level: float = 0.95) -> Interval:
    """Return the Wilson score interval of a share.

    With z the normal quantile: (k + z^2/2 -+ z*sqrt(k(n-k)/n + z^2/4)) / (n + z^2).

    Parameters
    ----------
    k, n
        Successes among n trials, 0 <= k <= n, whole numbers; scalars or arrays that broadcast.
    level
        Coverage, in (0, 1); it is met on average over shares, not at each of them.

    Returns
    -------
    Interval
        [0, 1] for n = 0; the end is exactly 0 for k = 0 and exactly 1 for k = n.

    Raises
    ------
    DataError
        When counts are not whole or not 0 <= k <= n.
    ConfigurationError
        When the level lies outside (0, 1).

    References
    ----------
    Wilson (JASA 1927); Brown, Cai and DasGupta (Statistical Science 2001).

    Examples
    --------
    >>> print(wilson(8, 10))
    0.8 [0.4902, 0.9433] (95%, n=10, wilson)
    """
    k, n = counts("wilson", k, n, level)
    z = -ndtri((1 - level) / 2)
    with np.errstate(invalid="ignore"):  # n = 0
        half = z * np.sqrt(k * (n - k) / n + z**2 / 4)
    low = np.where(k == 0, 0.0, (k + z**2 / 2 - half) / (n + z**2))
    high = np.where(k == n, 1.0, (k + z**2 / 2 + half) / (n + z**2))
    return share_interval(k, n, low, high, level, "wilson")


def clopper_pearson(k: ArrayLike, n: ArrayLike, level: float = 0.95) -> Interval:
    """Return the exact (Clopper-Pearson) interval of a share: it covers at least as often as it says.

    The ends are beta quantiles: low = B(alpha/2; k, n-k+1), high = B(1-alpha/2; k+1, n-k).

    Parameters
    ----------
    k, n
        Successes among n trials, 0 <= k <= n, whole numbers; scalars or arrays that broadcast.
    level
        Coverage, in (0, 1).

    Returns
    -------
    Interval
        [0, 1] for n = 0; the end is exactly 0 for k = 0 and exactly 1 for k = n.

    Raises
    ------
    DataError
        When counts are not whole or not 0 <= k <= n.
    ConfigurationError
        When the level lies outside (0, 1).

    References
    ----------
    Clopper and Pearson (Biometrika 1934).

    Examples
    --------
    >>> print(clopper_pearson(8, 10))
    0.8 [0.4439, 0.9748] (95%, n=10, clopper-pearson)
    """
    k, n = counts("clopper_pearson", k, n, level)
    tail = (1 - level) / 2
    low = np.where(k == 0, 0.0, betaincinv(np.maximum(k, 1), n - k + 1, tail))
    high = np.where(k == n, 1.0, betainccinv(k + 1, np.maximum(n - k, 1), tail))
    return share_interval(k, n, low, high, level, "clopper-pearson")
