"""A few labels and many estimates, put together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from mlopskit.errors import DataError
from mlopskit.stats.estimation.base import Floats, column
from mlopskit.stats.intervals import Interval, clopper_pearson
from mlopskit.stats.intervals.base import check_level


@frozen
class PoweredMean(Interval):
    """A mean from a few labels and many estimates, with its interval; `n` counts the labels.

    Parameters
    ----------
    lam
        How much the estimates count, in [0, 1]; 0 is labels alone.
    n_unlabelled
        How many rows have an estimate only.
    """

    lam: float = field(default=0.0, kw_only=True)
    n_unlabelled: int = field(default=0, kw_only=True)


def ppi_mean(ok: ArrayLike, c: ArrayLike, c_unlabelled: ArrayLike, level: float = 0.95) -> PoweredMean:
    """Return the mean of an outcome (right or wrong, a loss) that a few rows show and many more have estimated.

    theta = lam * mean(c_unlabelled) + mean(ok - lam*c), unbiased however wrong the estimates c are, as long as the
    labelled rows are drawn like the others. lam = cov(ok, c) / ((1 + m/N) var(c)) clipped to [0, 1] makes its estimated
    variance lam^2 var(c_unlabelled)/N + var(ok - lam*c)/m as small as it gets; (1 + m/N) var(c) is estimated by
    var(c) + m/N var(c_unlabelled), so that the interval is never wider than that of the labels alone.

    Parameters
    ----------
    ok
        The outcome of the m labelled rows, shape (m,), finite: 1 where the prediction was right, or a loss.
    c
        Its estimate for the same rows, shape (m,): the calibrated probability of being right, or the expected loss.
    c_unlabelled
        Its estimate for the N rows without a label, shape (N,).
    level
        Coverage, in (0, 1), of the mean of the population both kinds of rows are drawn from: a central limit interval
        with Student's quantile for m - 1 degrees of freedom.

    Returns
    -------
    PoweredMean
        Labels alone (lam = 0) for fewer than two unlabelled rows or estimates without spread. NaN or the only label in
        (-inf, inf) for m < 2. Clopper-Pearson where all labels are 0, or all 1, since their spread says nothing: as if
        the outcome were a share. Equal labels of a loss that is none say as little, and their interval has no width.

    Raises
    ------
    DataError
        When a value is not finite or the shapes differ.
    ConfigurationError
        When the level lies outside (0, 1).

    References
    ----------
    Angelopoulos, Duchi and Zrnic, "PPI++: Efficient Prediction-Powered Inference" (2023, arXiv 2311.01453), the
    power-tuned estimator of a mean.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> c = rng.beta(4, 1, 2_000)
    >>> ok = rng.random(2_000) < c
    >>> print(ppi_mean(ok[:200], c[:200], c[200:]))
    0.7952 [0.7412, 0.8491] (95%, n=200, ppi++)
    """
    check_level("ppi_mean", level)
    y, known, others = column("ok", ok), column("c", c), column("c_unlabelled", c_unlabelled)
    if len(y) != len(known):
        raise DataError(f"ppi_mean: got {len(y)} outcomes and {len(known)} estimates of the same rows")
    m, n_others = len(y), len(others)
    sizes: dict[str, Any] = {"level": level, "n": m, "n_unlabelled": n_others}
    if m < 2:
        return PoweredMean(float(y[0]) if m else math.nan, -math.inf, math.inf, method="ppi++", **sizes)
    if np.ptp(y) == 0 and y[0] in (0.0, 1.0):
        exact = clopper_pearson(int(y.sum()), m, level)
        return PoweredMean(exact.estimate, exact.low, exact.high, method=exact.method, **sizes)
    lam, variance = _tuned(y, known, others)
    estimate = float(y.mean()) + lam * float(others.mean() - known.mean() if lam else 0.0)
    half = float(stdtrit(m - 1, (1 + level) / 2)) * math.sqrt(variance)
    return PoweredMean(estimate, estimate - half, estimate + half, method="ppi++", lam=lam, **sizes)


def _tuned(y: Floats, c: Floats, others: Floats) -> tuple[float, float]:
    """Return lam and the estimated variance of theta."""
    m, n_others = len(y), len(others)
    if n_others < 2 or (spread := c.var(ddof=1) + m / n_others * others.var(ddof=1)) == 0:
        return 0.0, float(y.var(ddof=1)) / m
    lam = float(np.clip((y - y.mean()) @ (c - c.mean()) / (m - 1) / spread, 0.0, 1.0))
    return lam, float(lam**2 * others.var(ddof=1) / n_others + (y - lam * c).var(ddof=1) / m)
