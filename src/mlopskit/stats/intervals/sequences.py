"""Confidence sequences: intervals that hold at every n at once, however often one looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import betaln, xlog1py, xlogy

from mlopskit.errors import ConfigurationError
from mlopskit.stats.intervals.base import Array, ArrayLike, Interval, share_interval, within


def beta_mixture(s: ArrayLike, n: ArrayLike, alpha: float = 0.05) -> Interval:
    """Return the beta-mixture confidence sequence of a mean in [0, 1]: valid at every n at once.

    log e(m) = betaln(a+s, b+n-s) - betaln(a, b) - s*log(m) - (n-s)*log(1-m) with a = b = 1/2, and the set of m with
    log e(m) < log(1/alpha). P(the mean is ever outside) <= alpha, however often one looks and whenever one stops.

    Parameters
    ----------
    s
        Sum of scores in [0, 1] (for 0/1 outcomes the number of ones), 0 <= s <= n; scalar or array.
    n
        How many scores.
    alpha
        Probability of ever missing the mean, in (0, 1).

    Returns
    -------
    Interval
        With level 1 - alpha; [0, 1] for n = 0.

    Raises
    ------
    DataError
        When not 0 <= s <= n.
    ConfigurationError
        When alpha lies outside (0, 1).

    References
    ----------
    Howard, Ramdas, McAuliffe and Sekhon (Annals of Statistics 2021), beta-binomial mixture; Robbins (1970).

    Examples
    --------
    >>> print(beta_mixture(80, 100))
    0.8 [0.6484, 0.909] (95%, n=100, beta-mixture)
    """
    s, n = within("beta_mixture", s, n)
    if not 0 < alpha < 1:
        raise ConfigurationError(f"beta_mixture: alpha={alpha!r}: expected a probability between 0 and 1")
    limit = betaln(0.5 + s, 0.5 + n - s) - betaln(0.5, 0.5) + np.log(alpha)

    def outside(m: Array) -> Any:
        return limit - xlogy(s, m) - xlog1py(n - s, -m) >= 0

    mean = s / np.maximum(n, 1)
    low = np.where(s == 0, 0.0, _bisect(outside, np.zeros_like(mean), mean))
    high = np.where(s == n, 1.0, _bisect(outside, np.ones_like(mean), mean))
    return share_interval(s, n, low, high, 1 - alpha, "beta-mixture")


def _bisect(outside: Callable[[Array], Any], out: Array, inside: Array) -> Array:
    """Return the border between a point outside and one inside, on its outer side."""
    for _ in range(100):
        middle = (out + inside) / 2
        beyond = outside(middle)
        out, inside = np.where(beyond, middle, out), np.where(beyond, inside, middle)
    return out
