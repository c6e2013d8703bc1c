"""Intervals of a share, and of a difference or a ratio of two, from their counts at one fixed n."""

from __future__ import annotations

import numpy as np
from scipy.special import betainccinv, betaincinv, ndtri

from mlopskit.stats.intervals.base import Array, ArrayLike, Interval, counts, share_interval


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


def newcombe_wilson(k_a: ArrayLike, n_a: ArrayLike, k_b: ArrayLike, n_b: ArrayLike, level: float = 0.95) -> Interval:
    """Return the interval of a difference of two independent shares, p_a - p_b, from the Wilson interval of each.

    With Wilson ends l and u of each share and d = p_a - p_b:
    [d - sqrt((p_a - l_a)^2 + (u_b - p_b)^2), d + sqrt((u_a - p_a)^2 + (p_b - l_b)^2)].

    Parameters
    ----------
    k_a, n_a, k_b, n_b
        Successes and trials of the two groups, 0 <= k <= n, whole numbers; scalars or arrays that broadcast.
    level
        Coverage, in (0, 1), met closely on average over shares.

    Returns
    -------
    Interval
        In [-1, 1]; n is the number of trials of both. NaN in [-1, 1] where a group has no trials.

    Raises
    ------
    DataError
        When counts are not whole or not 0 <= k <= n.
    ConfigurationError
        When the level lies outside (0, 1).

    References
    ----------
    Newcombe, "Interval estimation for the difference between independent proportions" (Statistics in Medicine 1998),
    method 10.

    Examples
    --------
    >>> print(newcombe_wilson(56, 70, 48, 80))
    0.2 [0.05243, 0.3339] (95%, n=150, newcombe-wilson)
    """
    (k_a, n_a), (k_b, n_b) = (counts("newcombe_wilson", k, n, level) for k, n in ((k_a, n_a), (k_b, n_b)))
    a, b = wilson(k_a, n_a, level), wilson(k_b, n_b, level)
    d = np.asarray(a.estimate) - b.estimate
    low = d - np.hypot(a.estimate - a.low, b.high - b.estimate)
    high = d + np.hypot(a.high - a.estimate, b.estimate - b.low)
    return _two_groups(d, np.fmax(low, -1.0), np.fmin(high, 1.0), (-1.0, 1.0), level, n_a + n_b, "newcombe-wilson")


def katz(k_a: ArrayLike, n_a: ArrayLike, k_b: ArrayLike, n_b: ArrayLike, level: float = 0.95) -> Interval:
    """Return the Katz interval of a ratio of two independent shares, p_a / p_b: normal on the logarithmic scale.

    exp(log(p_a/p_b) -+ z*sqrt(1/k_a - 1/n_a + 1/k_b - 1/n_b)). Where both shares are 1 that root is 0, and the interval
    [l_a, 1/l_b] from the exact low ends of both is given instead.

    Parameters
    ----------
    k_a, n_a, k_b, n_b
        Successes and trials of the two groups, 0 <= k <= n, whole numbers; scalars or arrays that broadcast.
    level
        Coverage, in (0, 1), for many trials.

    Returns
    -------
    Interval
        In [0, inf]; n is the number of trials of both. Without successes the formula says nothing: the interval is
        [0, inf] around 0 (none in a), inf (none in b) or NaN (none in either, or a group without trials).

    Raises
    ------
    DataError
        When counts are not whole or not 0 <= k <= n.
    ConfigurationError
        When the level lies outside (0, 1).

    References
    ----------
    Katz, Baptista, Azen and Pike, "Obtaining confidence intervals for the risk ratio in cohort studies" (Biometrics
    1978), method C.

    Examples
    --------
    >>> print(katz(29, 56, 18, 57))
    1.64 [1.037, 2.593] (95%, n=113, katz)
    """
    (k_a, n_a), (k_b, n_b) = (counts("katz", k, n, level) for k, n in ((k_a, n_a), (k_b, n_b)))
    k_a, n_a, k_b, n_b = np.broadcast_arrays(k_a, n_a, k_b, n_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.asarray((k_a / n_a) / (k_b / n_b))
        half = -ndtri((1 - level) / 2) * np.sqrt((n_a - k_a) / (k_a * n_a) + (n_b - k_b) / (k_b * n_b))
        low, high = ratio * np.exp(-half), ratio * np.exp(half)
        exact = ((1 - level) / 2) ** (1 / n_a), ((1 - level) / 2) ** (-1 / n_b)
    every = (k_a == n_a) & (k_b == n_b)
    low, high = (np.where(every, end, other) for end, other in zip(exact, (low, high), strict=True))
    known = (k_a > 0) & (k_b > 0)
    low, high = np.where(known, low, 0.0), np.where(known, high, np.inf)
    return _two_groups(ratio, low, high, (0.0, np.inf), level, n_a + n_b, "katz")


def _two_groups(
    estimate: Array, low: Array, high: Array, all_of_it: tuple[float, float], level: float, n: Array, method: str
) -> Interval:
    """Finish an interval of two groups: everything is possible where a group is empty; floats for scalars."""
    low = np.where(np.isnan(estimate), all_of_it[0], low)
    high = np.where(np.isnan(estimate), all_of_it[1], high)
    if estimate.ndim:
        return Interval(estimate, low, high, level, n.astype(int), method)
    return Interval(float(estimate), float(low), float(high), level, int(n), method)
