"""Intervals: how far an estimate may lie from the truth, from counts or arrays, each with the paper it comes from.

- shares: `clopper_pearson` (exact at a fixed n), `wilson` (close on average), `beta_mixture` (valid at every n);
- means: `mean_t` (independent values), `upper_mean_bound` (a series of batches with autocorrelation),
  `block_bootstrap` (any statistic of a series);
- ranking: `auc_clustered` (area under the ROC curve, rows independent or in blocks).

What a formula cannot say is decided before it: without data the interval is everything that is possible and the
estimate NaN; a share of 0 or 1 has that end of its interval at 0 or 1; values without spread give an interval of
width 0, so read `n` beside it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from attrs import cmp_using, field, frozen
from scipy.special import betainccinv, betaincinv, betaln, expit, logit, ndtri, stdtrit, xlog1py, xlogy

from mlopskit.errors import ConfigurationError, DataError

Array: TypeAlias = npt.NDArray[np.float64]
ArrayLike: TypeAlias = npt.ArrayLike

N_RESAMPLES = 2_000
"""Replicates of the block bootstrap."""
_CELLS = 2_000_000  # values that the block bootstrap holds at once
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
    """

    estimate: Any = field(eq=_SAME)
    low: Any = field(eq=_SAME)
    high: Any = field(eq=_SAME)
    level: float
    n: Any = field(eq=_SAME)
    method: str

    def __str__(self) -> str:
        if np.ndim(self.estimate):
            return f"{np.size(self.estimate)} intervals ({self.level:.0%}, {self.method})"
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}] ({self.level:.0%}, n={self.n}, {self.method})"


@frozen
class MeanBound:
    """The mean of a series of batches and an upper bound of its expectation.

    Parameters
    ----------
    value
        Mean of the batches; NaN without any.
    upper
        The upper bound; inf for fewer than four batches, which say nothing about autocorrelation.
    autocorrelation
        The measured lag-1 autocorrelation, in [-1, 1]; NaN for fewer than four batches, 0 for constant ones.
    rho
        The autocorrelation the bound allows for: the measured one, corrected for bias, at least 0 and at most .9.
    n
        Number of batches.
    level
        Probability with which the bound lies above the expectation, in (0, 1).
    standard_error
        Standard error of the mean, autocorrelation included.
    """

    value: float
    upper: float
    autocorrelation: float
    rho: float
    n: int
    level: float
    standard_error: float


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
    k, n = _counts("wilson", k, n, level)
    z = -ndtri((1 - level) / 2)
    with np.errstate(invalid="ignore"):  # n = 0
        half = z * np.sqrt(k * (n - k) / n + z**2 / 4)
    low = np.where(k == 0, 0.0, (k + z**2 / 2 - half) / (n + z**2))
    high = np.where(k == n, 1.0, (k + z**2 / 2 + half) / (n + z**2))
    return _share_interval(k, n, low, high, level, "wilson")


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
    k, n = _counts("clopper_pearson", k, n, level)
    tail = (1 - level) / 2
    low = np.where(k == 0, 0.0, betaincinv(np.maximum(k, 1), n - k + 1, tail))
    high = np.where(k == n, 1.0, betainccinv(k + 1, np.maximum(n - k, 1), tail))
    return _share_interval(k, n, low, high, level, "clopper-pearson")


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
    s, n = _within("beta_mixture", s, n)
    if not 0 < alpha < 1:
        raise ConfigurationError(f"beta_mixture: alpha={alpha!r}: expected a probability between 0 and 1")
    limit = betaln(0.5 + s, 0.5 + n - s) - betaln(0.5, 0.5) + np.log(alpha)

    def outside(m: Array) -> Any:
        return limit - xlogy(s, m) - xlog1py(n - s, -m) >= 0

    mean = s / np.maximum(n, 1)
    low = np.where(s == 0, 0.0, _bisect(outside, np.zeros_like(mean), mean))
    high = np.where(s == n, 1.0, _bisect(outside, np.ones_like(mean), mean))
    return _share_interval(s, n, low, high, 1 - alpha, "beta-mixture")


def mean_t(values: ArrayLike, level: float = 0.95) -> Interval:
    """Return the t interval of the mean of independent values.

    Parameters
    ----------
    values
        The values, shape (n,), finite.
    level
        Coverage, in (0, 1); exact for normal values.

    Returns
    -------
    Interval
        (-inf, inf) for n < 2; width 0 for values without spread.

    Raises
    ------
    DataError
        When a value is not finite or the array has more than one axis.
    ConfigurationError
        When the level lies outside (0, 1).

    References
    ----------
    Student (Biometrika 1908).

    Examples
    --------
    >>> print(mean_t([0.12, 0.10, 0.14, 0.12]))
    0.12 [0.09402, 0.146] (95%, n=4, t)
    """
    x = _series("mean_t", values, level)
    n = len(x)
    if n < 2:
        return Interval(float(x[0]) if n else np.nan, -np.inf, np.inf, level, n, "t")
    mean = float(x.mean())
    half = float(stdtrit(n - 1, (1 + level) / 2) * x.std(ddof=1) / np.sqrt(n)) if np.ptp(x) > 0 else 0.0
    return Interval(mean, mean - half, mean + half, level, n, "t")


def upper_mean_bound(batch_means: ArrayLike, level: float = 0.95) -> MeanBound:
    """Return an upper bound of the expectation of a series of batch means that may be autocorrelated.

    The lag-1 autocorrelation r is corrected for bias, rho = (n*r + 1)/(n - 3), and kept in [0, .9]. With
    v = min((1 + rho)/(1 - rho), n/3) the mean is worth n/v independent batches:
    upper = mean + t(n/v - 1) * sqrt(v/n * sum of squares/(n - v)).
    Misses are up to .07 at a nominal .05 with 20 to 60 batches of an AR(1) with rho up to .5, where block bootstraps
    miss in .12 to .17.

    Parameters
    ----------
    batch_means
        One number per batch in the order of time, shape (n,), finite. Twenty or more are advised.
    level
        Probability with which the bound lies above the expectation, in (0, 1).

    Returns
    -------
    MeanBound
        `upper` is inf for n < 4, and the mean itself where the batches are all equal.

    Raises
    ------
    DataError
        When a value is not finite or the array has more than one axis.
    ConfigurationError
        When the level lies outside (0, 1).

    References
    ----------
    Kendall (Biometrika 1954) and Marriott and Pope (1954) for the bias of r; Zwiers and von Storch (J. Climate 1995)
    for the equivalent sample size.

    Examples
    --------
    >>> bound = upper_mean_bound([0.20, 0.24, 0.22, 0.26, 0.18, 0.21, 0.23, 0.22])
    >>> round(bound.value, 3), round(bound.upper, 3), round(bound.autocorrelation, 2)
    (0.22, 0.236, -0.4)
    """
    x = _series("upper_mean_bound", batch_means, level)
    n = len(x)
    mean = float(x.mean()) if n else np.nan
    if n < 4:
        return MeanBound(mean, np.inf, np.nan, np.nan, n, level, np.inf)
    if np.ptp(x) == 0:
        return MeanBound(mean, mean, 0.0, 0.0, n, level, 0.0)
    d = x - mean
    squares = float(d @ d)
    r = float(d[1:] @ d[:-1]) / squares
    rho = float(np.clip((n * r + 1) / (n - 3), 0.0, 0.9))
    v = min((1 + rho) / (1 - rho), n / 3)
    error = float(np.sqrt(v / n * squares / (n - v)))
    return MeanBound(mean, mean + float(stdtrit(n / v - 1, level)) * error, r, rho, n, level, error)


def block_bootstrap(
    values: ArrayLike,
    statistic: Literal["mean", "median"] | Callable[[Array], Array] = "mean",
    *,
    block: int | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of a statistic of a series by the circular block bootstrap.

    Blocks of successive values are drawn with replacement, the end of the series joined to its start, until there are
    n again; 2,000 replicates. With 20 to 60 values and autocorrelation .5 each end misses in .12 to .17 at a nominal
    .05: for the bound of a mean prefer `upper_mean_bound`.

    Parameters
    ----------
    values
        The values in the order of time, shape (n,), finite.
    statistic
        "mean", "median", or a function that reduces the last axis of an array (replicates, n).
    block
        Length of a block, 1 to n; by default the cube root of n, rounded up.
    level
        Coverage, in (0, 1).
    seed
        Seed of the draws, >= 0; the same seed gives the same interval.

    Returns
    -------
    Interval
        (-inf, inf) for n < 2.

    Raises
    ------
    DataError
        When a value is not finite or the array has more than one axis.
    ConfigurationError
        When the level, the block's length or the seed lies outside its range.

    References
    ----------
    Politis and Romano, "A circular block-resampling procedure for stationary data" (1992); Kuensch (1989).

    Examples
    --------
    >>> interval = block_bootstrap([0.1, 0.2, 0.2, 0.1, 0.3, 0.4, 0.3, 0.2], block=2)
    >>> interval.low < interval.estimate < interval.high
    True
    """
    x = _series("block_bootstrap", values, level)
    n = len(x)
    length = int(np.ceil(n ** (1 / 3))) if block is None else block
    if n >= 2 and not 1 <= length <= n:
        raise ConfigurationError(f"block_bootstrap: block={block!r}: expected a length between 1 and n={n}")
    if seed < 0:
        raise ConfigurationError(f"block_bootstrap: seed={seed!r}: expected a whole number of at least 0")
    named: dict[str, Callable[..., Array]] = {"mean": np.mean, "median": np.median}
    reduce = statistic if callable(statistic) else named.get(statistic)
    if reduce is None:
        raise ConfigurationError(f"block_bootstrap: statistic={statistic!r}: expected one of {sorted(named)}")
    method = f"block-bootstrap({length})"
    if n < 2:
        return Interval(float(x[0]) if n else np.nan, -np.inf, np.inf, level, n, method)
    replicates = _replicates(x, reduce, length, np.random.Generator(np.random.Philox(key=seed)))
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(_reduced(reduce, x[None, :])[0]), float(low), float(high), level, n, method)


def cluster_bootstrap(
    statistic: Callable[[npt.NDArray[np.intp]], float],
    block: npt.NDArray[np.intp],
    *,
    level: float = 0.95,
    n_resamples: int = 500,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of any score over rows, resampling whole blocks.

    Parameters
    ----------
    statistic
        Takes row positions and returns a number; it may raise `DataError` for rows it cannot score (a single class).
    block
        The block of each row, counted from 0, shape (n,).
    level
        Coverage, in (0, 1); with fewer than about 20 blocks the interval is too narrow.
    n_resamples, seed
        Number of resamples, and the seed of the draws.

    Returns
    -------
    Interval
        `n` counts blocks. NaN in (-inf, inf) when half of the resamples cannot be scored, or the rows themselves.

    References
    ----------
    Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8.

    Examples
    --------
    >>> values = np.array([0.0, 1.0, 2.0, 3.0])
    >>> interval = cluster_bootstrap(lambda rows: float(values[rows].mean()), np.array([0, 0, 1, 1]))
    >>> interval.estimate, interval.low, interval.high
    (1.5, 0.5, 2.5)
    """
    members = np.split(np.argsort(block, kind="stable"), np.cumsum(np.bincount(block))[:-1])
    rng = np.random.Generator(np.random.Philox(key=[seed, 1]))
    found = []
    for _ in range(n_resamples):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        with contextlib.suppress(DataError):
            found.append(statistic(rows))
    if len(found) < n_resamples / 2:
        return Interval(np.nan, -np.inf, np.inf, level, len(members), "bootstrap of blocks")
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    estimate = float(statistic(np.arange(len(block))))
    return Interval(estimate, float(low), float(high), level, len(members), "bootstrap of blocks")


def auc_clustered(
    y_true: ArrayLike, y_score: ArrayLike, block: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """Return the area under the ROC curve with its interval, for independent rows or rows in blocks.

    The placements of positives among negatives and of negatives among positives (ties count half) are summed per
    block: var = S10/m + S01/n + 2*S11/(m*n). Blocks of single rows give DeLong's variance. The interval is normal on
    the logit scale, so that it stays in (0, 1). For an area of exactly 0 or 1, where the variance says nothing, its
    other end is the Clopper-Pearson end for as many pairs as can be formed from separate blocks.

    Parameters
    ----------
    y_true
        Labels 0 or 1 (or booleans), shape (n,).
    y_score
        Scores, greater for the positive class, shape (n,); infinite ones only rank.
    block
        The block (day, customer) of each row, shape (n,); blocks are independent of each other.
    level
        Coverage, in (0, 1).

    Returns
    -------
    Interval
        n is the number of blocks. NaN in [0, 1] where a class is missing; [0, 1] where a class lives in one block
        only; width 0 for a constant score, whose area is .5 whatever the labels.

    Raises
    ------
    DataError
        When shapes differ, a label is neither 0 nor 1, or a score is NaN.
    ConfigurationError
        When the level lies outside (0, 1).

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (Biometrics 1988); Obuchowski, "Nonparametric analysis of
    clustered ROC curve data" (Biometrics 1997).

    Examples
    --------
    >>> print(auc_clustered([0, 0, 1, 1, 0, 1], [0.1, 0.4, 0.35, 0.8, 0.2, 0.7]))
    0.8889 [0.2614, 0.9945] (95%, n=6, delong)
    """
    y, score, codes = _labelled_rows(y_true, y_score, block, level)
    method, n_blocks = "delong" if block is None else "obuchowski", int(codes.max(initial=-1)) + 1
    m, n = int(y.sum()), int((~y).sum())
    if not m or not n:
        return Interval(np.nan, 0.0, 1.0, level, n_blocks, method)
    v = _placements(y, score)
    area = float(v[y].mean())
    pos, neg = (np.bincount(codes[side], minlength=n_blocks) for side in (y, ~y))
    d10 = np.bincount(codes[y], weights=v[y], minlength=n_blocks) - pos * area
    d01 = np.bincount(codes[~y], weights=v[~y], minlength=n_blocks) - neg * area
    i10, i01 = int((pos > 0).sum()), int((neg > 0).sum())
    if area in (0.0, 1.0):
        pairs = min(i10, i01, n_blocks // 2)
        exact = clopper_pearson(pairs if area else 0, pairs, level)
        return Interval(area, exact.low, exact.high, level, n_blocks, method)
    if min(i10, i01) < 2:
        return Interval(area, 0.0, 1.0, level, n_blocks, method)
    own = i10 / (i10 - 1) * (d10 @ d10) / m**2 + i01 / (i01 - 1) * (d01 @ d01) / n**2
    shared = 2 * n_blocks / (n_blocks - 1) * (d10 @ d01) / (m * n)
    variance = own + shared if own + shared > 1e-9 * own else own  # few blocks can make the sum 0 or negative
    half = -ndtri((1 - level) / 2) * np.sqrt(variance) / (area * (1 - area))
    low, high = (float(expit(logit(area) + side * half)) for side in (-1, 1))
    return Interval(area, low, high, level, n_blocks, method)


def _share_interval(k: Array, n: Array, low: Any, high: Any, level: float, method: str) -> Interval:
    """Finish an interval of shares: [0, 1] for n = 0, the estimate inside, floats for scalars."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = k / n
    low = np.where(n == 0, 0.0, np.fmin(np.maximum(low, 0.0), share))
    high = np.where(n == 0, 1.0, np.fmax(np.minimum(high, 1.0), share))
    if share.ndim:
        return Interval(share, low, high, level, n.astype(int), method)
    return Interval(float(share), float(low), float(high), level, int(n), method)


def _check_level(name: str, level: float) -> None:
    if not 0 < level < 1:
        raise ConfigurationError(f"{name}: level={level!r}: expected a probability between 0 and 1")


def _within(name: str, k: ArrayLike, n: ArrayLike) -> tuple[Array, Array]:
    k, n = np.broadcast_arrays(np.asarray(k, dtype=float), np.asarray(n, dtype=float))
    if not ((k >= 0) & (k <= n) & np.isfinite(n) & (n == np.floor(n))).all():
        raise DataError(f"{name}: expected a whole number n and 0 <= k <= n; got k={k}, n={n}")
    return k, n


def _counts(name: str, k: ArrayLike, n: ArrayLike, level: float) -> tuple[Array, Array]:
    _check_level(name, level)
    successes, trials = _within(name, k, n)
    if not (successes == np.floor(successes)).all():
        raise DataError(f"{name}: expected whole numbers of successes; got k={k!r} (for scores use beta_mixture)")
    return successes, trials


def _series(name: str, values: ArrayLike, level: float) -> Array:
    _check_level(name, level)
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise DataError(f"{name}: expected finite values of shape (n,); got shape {x.shape} or a NaN or infinite value")
    return x


def _bisect(outside: Callable[[Array], Any], out: Array, inside: Array) -> Array:
    """Return the border between a point outside and one inside, on its outer side."""
    for _ in range(100):
        middle = (out + inside) / 2
        beyond = outside(middle)
        out, inside = np.where(beyond, middle, out), np.where(beyond, inside, middle)
    return out


def _reduced(reduce: Callable[..., Array], rows: Array) -> Array:
    return np.asarray(reduce(rows, axis=-1), dtype=float)


def _replicates(x: Array, reduce: Callable[..., Array], length: int, rng: np.random.Generator) -> Array:
    n = len(x)
    n_blocks, at_once = -(-n // length), max(1, _CELLS // n)
    parts = []
    for done in range(0, N_RESAMPLES, at_once):
        starts = rng.integers(n, size=(min(at_once, N_RESAMPLES - done), n_blocks, 1))
        rows = ((starts + np.arange(length)) % n).reshape(len(starts), -1)[:, :n]
        parts.append(_reduced(reduce, x[rows]))
    return np.concatenate(parts)


def _labelled_rows(
    y_true: ArrayLike, y_score: ArrayLike, block: ArrayLike | None, level: float
) -> tuple[npt.NDArray[np.bool_], Array, npt.NDArray[np.int_]]:
    _check_level("auc_clustered", level)
    y, score = np.asarray(y_true), np.asarray(y_score, dtype=float)
    blocks = np.arange(len(y)) if block is None else np.asarray(block)
    if y.ndim != 1 or score.shape != y.shape or blocks.shape != y.shape:
        raise DataError(
            f"auc_clustered: expected labels, scores and blocks of one shape (n,); "
            f"got {y.shape}, {score.shape} and {blocks.shape}"
        )
    if not np.isin(y, (0, 1)).all() or np.isnan(score).any():
        raise DataError("auc_clustered: expected labels 0 or 1 and scores without NaN")
    return y == 1, score, np.unique(blocks, return_inverse=True)[1]


def _placements(y: npt.NDArray[np.bool_], score: Array) -> Array:
    """Return for each row the share of the other class that it beats on the right side; ties count half."""
    below, level = np.sort(score[~y]), np.sort(score[y])
    v = np.empty(len(y))
    v[y] = (np.searchsorted(below, score[y], "left") + np.searchsorted(below, score[y], "right")) / (2 * len(below))
    v[~y] = 1 - (np.searchsorted(level, score[~y], "left") + np.searchsorted(level, score[~y], "right")) / (
        2 * len(level)
    )
    return v
