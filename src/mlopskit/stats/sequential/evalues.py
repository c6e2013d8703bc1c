"""E-values of one batch: against a band, against a pool that contains the batch, and from one number per batch."""

from __future__ import annotations

import numpy as np

from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.intervals import clopper_pearson
from mlopskit.stats.sequential.processes import Array, ArrayLike, Bools

SHIFTS = np.array([0.025, 0.05, 0.1, 0.2, -0.025, -0.05, -0.1, -0.2])
"""The alternatives of the last axis: four up, four down; Cohen's h for shares, standard deviations for scores."""
FRACTIONS = 0.5 ** np.arange(8)
"""The shares of the largest safe stake that `log_mean_bets` and `log_gap_bets` put down."""
LOG_STAKE_WEIGHTS = np.log(FRACTIONS / FRACTIONS.sum())
"""Log weights for averaging the processes of these stakes (`log_mean_exp`): small stakes gain one unit a batch whatever
happens, so that equal weights alarm by the clock and find changes 11 to 27% later (`benchmarks/detection.py`)."""
EDGE = 1e-12
"""Probabilities are clipped to [EDGE, 1 - EDGE]."""
_ROUNDING = 1e-9  # what a sum of rows may miss its range by


def shifted_share(p: ArrayLike, h: ArrayLike) -> Array:
    """Return shares moved by h on Cohen's scale 2*asin(sqrt(p)); the angle stays in [0, pi/2], the share in [0, 1].

    Parameters
    ----------
    p
        Shares, in [0, 1].
    h
        How far, in [-pi, pi]; .05 is 2.5 points at one half. Broadcasts with `p`.

    References
    ----------
    Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988), equation 6.2.1.

    Examples
    --------
    >>> shifted_share([0.5, 0.001, 1.0], [0.05, -0.4, 0.2]).round(3)
    array([0.525, 0.   , 1.   ])
    """
    angle = np.clip(np.arcsin(np.sqrt(np.asarray(p, dtype=float))) + np.asarray(h, dtype=float) / 2, 0.0, np.pi / 2)
    return np.asarray(np.sin(angle) ** 2)


def reference_band(k: ArrayLike, n: ArrayLike, *, tolerance: float = 0.0, risk: float = 0.05) -> tuple[Array, Array]:
    """Return the band of shares that is in control, from the counts of a finite reference.

    Clopper-Pearson intervals at level 1 - risk/m for the m shares, so that all hold at once with probability 1 - risk
    over the reference, widened by the tolerance. What is built on the band promises T/A + risk.

    Parameters
    ----------
    k, n
        Rows in each of m sets and rows asked, shape (m,); whole numbers, 0 <= k <= n.
    tolerance
        Cohen's h by which a share may differ and still be in control, at least 0.
    risk
        Probability, over the reference, that any true share lies outside, in (0, 1).

    Returns
    -------
    tuple[Array, Array]
        Lower and upper ends, each (m,); [0, 1] where nothing was asked. Sides at 0 and 1 never speak.

    Raises
    ------
    DataError
        When counts are not whole or not 0 <= k <= n.
    ConfigurationError
        When risk lies outside (0, 1), or the tolerance is negative.

    References
    ----------
    Clopper and Pearson (Biometrika 1934); Bonferroni's inequality.

    Examples
    --------
    >>> low, high = reference_band([100, 500], [1_000, 1_000], tolerance=0.05)
    >>> low.round(3), high.round(3)
    (array([0.067, 0.439]), array([0.14 , 0.561]))
    """
    if not tolerance >= 0:
        raise ConfigurationError(f"reference_band: tolerance={tolerance!r}: expected a Cohen's h of at least 0")
    if not 0 < risk < 1:
        raise ConfigurationError(f"reference_band: risk={risk!r}: expected a probability between 0 and 1")
    exact = clopper_pearson(k, n, level=1 - risk / max(np.size(k), 1))
    return shifted_share(exact.low, -tolerance), shifted_share(exact.high, tolerance)


def log_bounded_mean(n: ArrayLike, s: ArrayLike, low: ArrayLike, high: ArrayLike) -> Array:
    """Return log e-values against "the mean of a score in [0, 1] lies in the band [low, high]".

    Up, with q above high: log e = s*log(q/high) + (n-s)*log((1-q)/(1-high)); down the same with low and q below it.
    E[e] <= 1 for rows that are independent given the past, even with unequal means (convexity, then AM-GM).

    Parameters
    ----------
    n
        Rows of the batch, >= 0.
    s
        Sum of their scores, in [0, n].
    low, high
        The band, 0 <= low <= high <= 1. An end at 0 or 1 makes its atoms dead (0).

    Returns
    -------
    Array
        Shape (..., 8): high shifted up by h = .025, .05, .1, .2 on Cohen's scale 2*asin(sqrt(p)), then low down.

    Raises
    ------
    DataError
        When a sum lies outside [0, n] or the band is not ordered within [0, 1].

    References
    ----------
    Waudby-Smith and Ramdas (2024); Cohen, "Statistical Power Analysis" (1988), chapter 6.

    Examples
    --------
    >>> log_bounded_mean(n=100, s=60, low=0.45, high=0.50).round(2)
    array([ 0.47,  0.88,  1.5 ,  2.01, -0.79, -1.64, -3.54, -8.16])
    """
    n, s, low, high = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, s, low, high)))
    if not ((n >= 0) & (s >= -_ROUNDING) & (s <= n * (1 + _ROUNDING) + _ROUNDING)).all():
        raise DataError("log_bounded_mean: the sum of scores must lie in [0, n]; got one outside (or NaN)")
    if not ((low >= 0) & (low <= high) & (high <= 1)).all():
        raise DataError("log_bounded_mean: expected a band with 0 <= low <= high <= 1; got one outside (or NaN)")
    n, s = n[..., None], np.clip(s, 0.0, n)[..., None]
    edge = np.where(SHIFTS > 0, high[..., None], low[..., None])
    inner = _inside(edge)
    q = _inside(shifted_share(edge, SHIFTS))
    log_e = s * np.log(q / inner) + (n - s) * (np.log1p(-q) - np.log1p(-inner))
    alive = (edge > 0) & (edge < 1) & (np.sign(q - inner) == np.sign(SHIFTS))
    return np.where(alive, log_e, 0.0)


def log_tilts(batch_counts: ArrayLike, pool_counts: ArrayLike, weights: ArrayLike) -> Array:
    """Return log e-values against "these rows were drawn from the pool", for a linear score over bins.

    With pool shares pi, centred weights wc = w - pi.w, their standard deviation sd and lam = +-{.025,.05,.1,.2}/sd:
    log e = lam * sum_b c_b wc_b - n * log(sum_b pi_b exp(lam wc_b)). Given the pool, a batch of exchangeable rows is a
    sample without replacement, which the sample with replacement dominates: E[e | pool] <= 1, exactly.

    Parameters
    ----------
    batch_counts
        Rows of the batch in each bin, shape (..., B).
    pool_counts
        Rows of the pool in each bin, the batch included, shape (..., B).
    weights
        The score of each bin, shape (..., B), finite. Their origin and unit do not matter.

    Returns
    -------
    Array
        Shape (..., 8): four tilts up, four down. 0 where the score is the same for every row of the pool.

    Raises
    ------
    DataError
        When a count is negative, the pool does not contain the batch, or a weight is not finite.

    References
    ----------
    Hoeffding (JASA 1963), theorem 4; use with `log_cusum`.

    Examples
    --------
    >>> log_tilts([2, 3, 15], [102, 103, 115], weights=[-1, 0, 1]).round(2)
    array([ 0.36,  0.72,  1.38,  2.57, -0.38, -0.77, -1.58, -3.36])
    """
    counts, pool, w = (np.asarray(v, dtype=float) for v in (batch_counts, pool_counts, weights))
    if not ((counts >= 0) & (counts <= pool)).all():
        raise DataError("log_tilts: the pool must contain the batch, 0 <= batch_counts <= pool_counts in every bin")
    if not np.isfinite(w).all():
        raise DataError("log_tilts: expected finite weights")
    pi = pool / np.maximum(pool.sum(axis=-1, keepdims=True), 1.0)
    wc, alive = _standardised(pi, w)
    exponents = SHIFTS[:, None] * wc[..., None, :]
    top = exponents.max(axis=-1, keepdims=True, initial=0.0)
    log_mgf = np.log(np.maximum((np.exp(exponents - top) * pi[..., None, :]).sum(axis=-1), EDGE**20)) + top[..., 0]
    log_e = SHIFTS * (counts * wc).sum(axis=-1)[..., None] - counts.sum(axis=-1)[..., None] * log_mgf
    return np.where(alive, log_e, 0.0)


def log_share_tilts(x: ArrayLike, n: ArrayLike, pool_x: ArrayLike, pool_n: ArrayLike) -> Array:
    """Return log e-values against "these rows were drawn from the pool", for a 0/1 question.

    With pi = X/N, rho = n/N, q the share pi shifted by Cohen's h = +-{.025,.05,.1,.2} and
    lam = clip(logit q - logit pi, -8, 8):
    log e = lam*x - min(n*log(1 + pi*(e^lam - 1)), X*log(1 + rho*(e^lam - 1))). x is hypergeometric given the pool;
    either binomial dominates it, and the second is sharp for levels that were rare or never seen.

    Parameters
    ----------
    x, n
        Rows of the batch with the property, and all its rows; 0 <= x <= n.
    pool_x, pool_n
        The same for the pool, the batch included.

    Returns
    -------
    Array
        Shape (..., 8): four tilts up, four down. 0 where the pool's share is 0 or 1, or the batch is empty.

    Raises
    ------
    DataError
        When counts are negative, or the pool does not contain the batch.

    References
    ----------
    Hoeffding (JASA 1963), theorem 4; use with `log_cusum`.

    Examples
    --------
    >>> log_share_tilts(5, 1_000, 5, 100_000)[3].round(1)    # five of a level never seen in 99,000 rows
    np.float64(21.2)
    """
    x, n, pool_x, pool_n = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (x, n, pool_x, pool_n)))
    if not ((x >= 0) & (x <= n) & (x <= pool_x) & (n - x <= pool_n - pool_x)).all():
        raise DataError("log_share_tilts: expected 0 <= x <= n, and a pool that contains the batch")
    x, n, pool_x, pool_n = x[..., None], n[..., None], pool_x[..., None], pool_n[..., None]
    total = np.maximum(pool_n, 1.0)
    pi, rho = pool_x / total, n / total
    inner, q = _inside(pi), _inside(shifted_share(pi, SHIFTS))
    lam = np.clip(np.log(q) - np.log1p(-q) - np.log(inner) + np.log1p(-inner), -8.0, 8.0)
    growth = np.expm1(lam)
    with np.errstate(divide="ignore", invalid="ignore"):  # dead questions, and a batch that is the whole pool
        log_mgf = np.fmin(n * np.log1p(pi * growth), pool_x * np.log1p(rho * growth))
    return np.where((pi > 0) & (pi < 1) & (n > 0), lam * x - log_mgf, 0.0)


def log_mean_bets(x: ArrayLike, high: ArrayLike) -> Array:
    """Return log e-values of eight bets against "the expected loss of a batch is at most high".

    e = 1 + lam * (x - high) with lam = 2^-k / high, k = 0..7. E[e | past] <= 1 whenever E[x | past] <= high, whatever
    the dependence of rows inside the batch.

    Parameters
    ----------
    x
        Mean loss of the batch, scaled to [0, 1].
    high
        The accepted mean loss. At 0 or below, and at 1 or above, no bet is possible and every log e-value is 0.

    Returns
    -------
    Array
        Shape (..., 8). The boldest bet (k = 0) loses everything at x = 0: -inf.

    Raises
    ------
    DataError
        When a loss lies outside [0, 1], or `high` is NaN.

    References
    ----------
    Waudby-Smith and Ramdas (2024), betting with fixed stakes.

    Examples
    --------
    >>> np.exp(log_mean_bets(0.3, high=0.2)).round(3)
    array([1.5  , 1.25 , 1.125, 1.062, 1.031, 1.016, 1.008, 1.004])
    """
    x, high = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(high, dtype=float))
    if not ((x >= -_ROUNDING) & (x <= 1 + _ROUNDING)).all() or np.isnan(high).any():
        raise DataError("log_mean_bets: expected mean losses in [0, 1] and a number for high; got one outside (or NaN)")
    alive = (high > 0) & (high < 1)
    ratio = np.clip(x, 0.0, 1.0) / np.where(alive, high, 1.0)
    return np.where(alive[..., None], _log_stakes(ratio), 0.0)


def batches_to_detect(excess: ArrayLike, *, sd: float, high: float, limit: float) -> Array:
    """Return about how many batches an e-SR process of `log_mean_bets` needs until an excess of the mean loss is found.

    With g = r*sd/high for an excess of r standard deviations of a batch, and B = A over the weight of the largest stake
    (about 2*A): the larger of 2*log(1 + B*r^2/2)/r^2, the price of noise, and log(1 + B*g/(1 + g))/log(1 + g), what the
    largest safe stake can win. Every start adds to the process, which is why log(A) does not stand there alone. For
    gamma batches with sd/high = .1 and A = 365 the measured medians are 73, 44 and 26 for excesses of .5, 1 and 2.

    Parameters
    ----------
    excess
        r: the excess over `high` in standard deviations of a batch, above 0.
    sd
        Standard deviation of a batch's mean loss, above 0, in the unit of `high`.
    high
        The accepted mean loss, above 0.
    limit
        The alarm limit A, above 1.

    Returns
    -------
    Array
        Whole numbers of batches, as floats.

    Raises
    ------
    ConfigurationError
        When an argument lies outside its range.

    References
    ----------
    Shin, Ramdas and Rinaldo (2023) for the sum over starts: a geometric series that passes A; Kelly (1956) for what a
    stake wins.

    Examples
    --------
    >>> batches_to_detect([0.5, 1.0, 2.0], sd=0.02, high=0.2, limit=365)
    array([74., 45., 27.])
    """
    r = np.asarray(excess, dtype=float)
    if not ((r > 0).all() and sd > 0 and high > 0 and limit > 1):
        raise ConfigurationError(
            f"batches_to_detect: expected excess, sd and high above 0 and a limit above 1; "
            f"got excess={excess!r}, sd={sd!r}, high={high!r}, limit={limit!r}"
        )
    gain, target = r * sd / high, limit / np.exp(LOG_STAKE_WEIGHTS[0])
    noise = 2 * np.log1p(target * r**2 / 2) / r**2
    return np.asarray(np.ceil(np.maximum(noise, np.log1p(target * gain / (1 + gain)) / np.log1p(gain))))


def log_gap_bets(d: ArrayLike, tolerance: ArrayLike) -> Array:
    """Return log e-values of bets against "the expected gap of a batch lies in [-tolerance, tolerance]".

    Up: e = 1 + lam * (d - tolerance); down: its mirror, e = 1 + lam * (-d - tolerance); lam = 2^-k / (1 + tolerance),
    k = 0..7.

    Parameters
    ----------
    d
        The gap observed in the batch, in [-1, 1].
    tolerance
        The accepted size of the expected gap, in [0, 1).

    Returns
    -------
    Array
        Shape (..., 2, 8): the two sides, then the stakes.

    Raises
    ------
    DataError
        When a gap lies outside [-1, 1].
    ConfigurationError
        When the tolerance lies outside [0, 1).

    References
    ----------
    Waudby-Smith and Ramdas (2024), betting with fixed stakes; Podkopaev and Ramdas (ICLR 2022).

    Examples
    --------
    >>> np.exp(log_gap_bets(0.2, tolerance=0.0))[:, :3].round(3)
    array([[1.2 , 1.1 , 1.05],
           [0.8 , 0.9 , 0.95]])
    """
    gap, accepted = np.broadcast_arrays(np.asarray(d, dtype=float), np.asarray(tolerance, dtype=float))
    if not ((accepted >= 0) & (accepted < 1)).all():
        raise ConfigurationError("log_gap_bets: expected a tolerance in [0, 1)")
    if not (np.abs(gap) <= 1 + _ROUNDING).all():
        raise DataError("log_gap_bets: expected gaps in [-1, 1]; got one outside (or NaN)")
    gap = np.clip(gap, -1.0, 1.0)
    return _log_stakes(np.stack([1 + gap, 1 - gap], axis=-1) / (1 + accepted)[..., None])


def _inside(p: Array) -> Array:
    return np.asarray(np.clip(p, EDGE, 1 - EDGE))


def _standardised(pi: Array, w: Array) -> tuple[Array, Bools]:
    """Return weights with mean 0 and standard deviation 1 over the pool, and whether they have any spread there."""
    pi, w = np.broadcast_arrays(pi, w)
    held = pi > 0
    least = np.where(held, w, np.inf).min(axis=-1, keepdims=True, initial=np.inf)
    most = np.where(held, w, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)
    alive = most > least
    unit = np.where(held & alive, w - least, 0.0) / np.where(alive, most - least, 1.0)
    centred = np.where(held, unit - (pi * unit).sum(axis=-1, keepdims=True), 0.0)
    sd = np.sqrt((pi * centred**2).sum(axis=-1, keepdims=True))
    return centred / np.where(alive, sd, 1.0), alive


def _log_stakes(ratio: Array) -> Array:
    """Return log(1 - f + f * ratio) for each share f of the largest safe stake; ratio 0 loses the boldest."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log((1 - FRACTIONS) + FRACTIONS * ratio[..., None]))
