"""Evidence that adds up over time: e-values, the processes that collect them, and ranks that bet.

An **e-value** is a non-negative number whose expectation is at most 1 while all is well, so that a large one speaks
against that. E-values of successive batches multiply; those of parallel questions average. Everything here is a pure
function of arrays, in logarithms, vectorised over leading axes. Three families:

- processes: `log_shiryaev_roberts` (P(alarm within T batches) <= T/A), `log_cusum` (at most T/A alarms expected);
- e-values of one batch: `log_bounded_mean` against a band, `log_tilts` and `log_share_tilts` against a pool that
  contains the batch, `log_mean_bets` and `log_gap_bets` from one number per batch;
- ranks: `smoothed_rank` of the newest batch in the bag of all, and `RankBets`, which bet on it.

Where a question cannot be asked (no rows, no spread, a share of 0 or 1) the log e-value is 0: no evidence either way.

Sources: Shin, Ramdas and Rinaldo, "E-detectors" (2023); Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting" (JRSS B 2024); Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World" (2nd ed.
2022); Wang and Ramdas, "False discovery rate control with e-values" (JRSS B 2022); Hoeffding (JASA 1963).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from attrs import cmp_using, evolve, field, frozen
from scipy.special import ndtri

from mlopskit.errors import ConfigurationError, DataError

Array: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
ArrayLike: TypeAlias = npt.ArrayLike

SHIFTS = np.array([0.05, 0.1, 0.2, 0.4, -0.05, -0.1, -0.2, -0.4])
"""The alternatives of the last axis: four up, four down; Cohen's h for shares, standard deviations for scores."""
FRACTIONS = 0.5 ** np.arange(8)
"""The shares of the largest safe stake that `log_mean_bets` and `log_gap_bets` put down."""
MAX_AGE = 9
"""Starts older than eight batches share the ninth age bet."""
_THETAS = np.array([0.0, 0.1, 0.3])
_DRIFTS = np.array([0.25, 0.5, 1.0, 2.0])
_LOST = 0.1  # what an age bet keeps when it loses
_EDGE = 1e-12  # probabilities are clipped to [_EDGE, 1 - _EDGE]
_ROUNDING = 1e-9  # what a sum of rows may miss its range by


def log_shiryaev_roberts(log_m: ArrayLike, log_e: ArrayLike) -> Array:
    """Add one batch to an e-Shiryaev-Roberts process: M <- (1 + M) * e, from M = 0.

    Alarm at M >= A. While all is well, P(alarm within T batches) <= T/A for every T, and the mean run length to a
    false alarm is at least A.

    Parameters
    ----------
    log_m
        log M before the batch; -inf at the start. Any shape that broadcasts with `log_e`.
    log_e
        Log e-values of the batch, valid given the past.

    Returns
    -------
    Array
        log M after the batch.

    Raises
    ------
    DataError
        When `log_e` holds NaN.

    References
    ----------
    Shin, Ramdas and Rinaldo (2023), e-SR procedure.

    Examples
    --------
    >>> log_m = log_shiryaev_roberts(-np.inf, np.log(3.0))
    >>> round(float(np.exp(log_shiryaev_roberts(log_m, np.log(2.0)))), 6)   # (1 + 3) * 2
    8.0
    """
    return np.asarray(np.logaddexp(0.0, log_m) + _evidence(log_e))


def log_cusum(log_c: ArrayLike, log_e: ArrayLike) -> Array:
    """Add one batch to an e-CUSUM: C <- max(1, C) * e, from C = 1.

    C is the largest product of e-values over all starts. P(C >= A) <= 1/A at every batch, hence at most T/A *expected*
    alarms in T batches; it holds also where e-values are valid only given the future (`log_tilts`).

    Parameters
    ----------
    log_c
        log C before the batch; 0 at the start. Any shape that broadcasts with `log_e`.
    log_e
        Log e-values of the batch.

    Returns
    -------
    Array
        log C after the batch.

    Raises
    ------
    DataError
        When `log_e` holds NaN.

    References
    ----------
    Shin, Ramdas and Rinaldo (2023), e-CUSUM procedure; Ville's inequality in the reversed filtration.

    Examples
    --------
    >>> log_c = log_cusum(0.0, np.log(0.5))
    >>> round(float(np.exp(log_cusum(log_c, np.log(3.0)))), 6)   # max(1, 0.5) * 3
    3.0
    """
    return np.asarray(np.maximum(0.0, log_c) + _evidence(log_e))


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
        Shape (..., 8): high shifted up by h = .05, .1, .2, .4 on Cohen's scale 2*asin(sqrt(p)), then low shifted down.

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
    array([  0.88,   1.5 ,   2.01,  -0.  ,  -1.64,  -3.54,  -8.16, -21.01])
    """
    n, s, low, high = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, s, low, high)))
    if not ((n >= 0) & (s >= -_ROUNDING) & (s <= n * (1 + _ROUNDING) + _ROUNDING)).all():
        raise DataError("log_bounded_mean: the sum of scores must lie in [0, n]; got one outside (or NaN)")
    if not ((low >= 0) & (low <= high) & (high <= 1)).all():
        raise DataError("log_bounded_mean: expected a band with 0 <= low <= high <= 1; got one outside (or NaN)")
    n, s = n[..., None], np.clip(s, 0.0, n)[..., None]
    edge = np.where(SHIFTS > 0, high[..., None], low[..., None])
    inner = np.clip(edge, _EDGE, 1 - _EDGE)
    q = _shifted(edge)
    log_e = s * np.log(q / inner) + (n - s) * (np.log1p(-q) - np.log1p(-inner))
    alive = (edge > 0) & (edge < 1) & (np.sign(q - inner) == np.sign(SHIFTS))
    return np.where(alive, log_e, 0.0)


def log_tilts(batch_counts: ArrayLike, pool_counts: ArrayLike, weights: ArrayLike) -> Array:
    """Return log e-values against "these rows were drawn from the pool", for a linear score over bins.

    With pool shares pi, centred weights wc = w - pi.w, their standard deviation sd and lam = +-{.05,.1,.2,.4}/sd:
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
    array([ 0.72,  1.38,  2.57,  4.37, -0.77, -1.58, -3.36, -7.51])
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
    log_mgf = np.log(np.maximum((np.exp(exponents - top) * pi[..., None, :]).sum(axis=-1), _EDGE**20)) + top[..., 0]
    log_e = SHIFTS * (counts * wc).sum(axis=-1)[..., None] - counts.sum(axis=-1)[..., None] * log_mgf
    return np.where(alive, log_e, 0.0)


def log_share_tilts(x: ArrayLike, n: ArrayLike, pool_x: ArrayLike, pool_n: ArrayLike) -> Array:
    """Return log e-values against "these rows were drawn from the pool", for a 0/1 question.

    With pi = X/N, rho = n/N, q the share pi shifted by Cohen's h = +-{.05,.1,.2,.4} and
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
    np.float64(22.5)
    """
    x, n, pool_x, pool_n = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (x, n, pool_x, pool_n)))
    if not ((x >= 0) & (x <= n) & (x <= pool_x) & (n - x <= pool_n - pool_x)).all():
        raise DataError("log_share_tilts: expected 0 <= x <= n, and a pool that contains the batch")
    x, n, pool_x, pool_n = x[..., None], n[..., None], pool_x[..., None], pool_n[..., None]
    total = np.maximum(pool_n, 1.0)
    pi, rho = pool_x / total, n / total
    inner, q = np.clip(pi, _EDGE, 1 - _EDGE), _shifted(pi)
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
    gap, accepted = np.broadcast_arrays(_floats(d), _floats(tolerance))
    if not ((accepted >= 0) & (accepted < 1)).all():
        raise ConfigurationError("log_gap_bets: expected a tolerance in [0, 1)")
    if not (np.abs(gap) <= 1 + _ROUNDING).all():
        raise DataError("log_gap_bets: expected gaps in [-1, 1]; got one outside (or NaN)")
    gap = np.clip(gap, -1.0, 1.0)
    return _log_stakes(np.stack([1 + gap, 1 - gap], axis=-1) / (1 + accepted)[..., None])


def log_mean_exp(log_values: ArrayLike, log_weights: ArrayLike | None = None, axis: int = -1) -> Array:
    """Return the log of a weighted mean of exp(log_values): the mixture of processes of one filtration.

    Parameters
    ----------
    log_values
        Logs of non-negative numbers.
    log_weights
        Logs of weights; they broadcast with the values and are divided by their sum. -inf leaves a value out.
        Without them all weights are equal.
    axis
        The axis that is averaged away.

    Returns
    -------
    Array
        Log of the mean; -inf (no evidence) where nothing has weight.

    Raises
    ------
    DataError
        When values or weights hold NaN, or a weight is infinite.

    Examples
    --------
    >>> round(float(np.exp(log_mean_exp(np.log([1.0, 2.0, 6.0])))), 6)
    3.0
    >>> round(float(np.exp(log_mean_exp(np.log([1.0, 2.0, 6.0]), np.log([2.0, 1.0, 1.0])))), 6)
    2.5
    """
    values = _evidence(log_values)
    if log_weights is None:
        n = values.shape[axis]
        return np.asarray(_log_sum_exp(values, axis) - np.log(max(n, 1)))
    values, logs = np.broadcast_arrays(values, _evidence(log_weights))
    if np.isposinf(logs).any():
        raise DataError("log_mean_exp: expected finite weights")
    joint = np.where(np.isneginf(logs), -np.inf, values + np.where(np.isneginf(logs), 0.0, logs))
    total = _log_sum_exp(logs, axis)
    return np.asarray(_log_sum_exp(joint, axis) - np.where(np.isneginf(total), 0.0, total))


def e_benjamini_hochberg(log_e: ArrayLike, alpha: float) -> Bools:
    """Return which hypotheses are rejected at false discovery rate `alpha`, by e-Benjamini-Hochberg.

    Rejects the k largest of K e-values for the largest k with k * e_(k) / K >= 1/alpha. Valid under any dependence.

    Parameters
    ----------
    log_e
        Log e-values, shape (..., K). True e-values: an e-SR process, whose mean grows with time, is none.
    alpha
        The false discovery rate, in (0, 1).

    Returns
    -------
    NDArray[bool]
        Shape (..., K).

    Raises
    ------
    ConfigurationError
        When alpha lies outside (0, 1).
    DataError
        When an e-value is NaN.

    References
    ----------
    Wang and Ramdas (JRSS B 2022).

    Examples
    --------
    >>> e_benjamini_hochberg(np.log([50.0, 1.0, 35.0, 0.2]), alpha=0.1)
    array([ True, False,  True, False])
    """
    if not 0 < alpha < 1:
        raise ConfigurationError(f"alpha={alpha!r}: expected a probability between 0 and 1")
    values = _evidence(log_e)
    count = values.shape[-1]
    ordered = -np.sort(-values, axis=-1)
    enough = ordered + np.log(np.arange(1, count + 1)) >= np.log(count / alpha) if count else ordered > 0
    smallest = np.where(enough, ordered, np.inf).min(axis=-1, keepdims=True, initial=np.inf)
    return np.asarray(values >= smallest)


def smoothed_rank(scores: ArrayLike, u: ArrayLike) -> Array:
    """Return the smoothed rank p-values of the newest batch in the bag of all batches.

    p = (#{y_i > y_t} + u * #{y_i = y_t}) / N, i over the bag with the newest t. For exchangeable batches, a score that
    is symmetric in the bag and independent uniform u, the p-values of one score are independent and uniform, exactly.

    Parameters
    ----------
    scores
        Shape (N, Q): one row per batch, the newest last; one column per question. Ties are counted, so round scores
        that differ only by rounding. NaN: the batch does not hold the question and is left out of its bag.
    u
        Uniform draws in [0, 1), shape (Q,).

    Returns
    -------
    Array
        Shape (Q,), in (0, 1]; small when the newest is high. NaN where the newest batch does not hold the question.

    Raises
    ------
    DataError
        When there is no batch, the shapes do not fit, or a draw lies outside [0, 1].

    References
    ----------
    Vovk, Gammerman and Shafer (2022), on smoothed conformal p-values.

    Examples
    --------
    >>> smoothed_rank([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]], u=[0.3, 0.3]).round(3)
    array([0.1, 0.3])
    """
    y, draws = np.asarray(scores, dtype=float), np.asarray(u, dtype=float)
    if y.ndim != 2 or not len(y) or draws.shape != y.shape[1:]:
        raise DataError(
            f"smoothed_rank: expected scores (N, Q) with N >= 1 and u (Q,); got {y.shape} and {draws.shape}"
        )
    if not ((draws >= 0) & (draws <= 1)).all():
        raise DataError("smoothed_rank: expected draws u in [0, 1]")
    above, level, held = (y > y[-1]).sum(axis=0), (y == y[-1]).sum(axis=0), (~np.isnan(y)).sum(axis=0)
    p = (above + np.maximum(draws, 2.0**-53) * level) / np.maximum(held, 1)
    return np.where(np.isnan(y[-1]), np.nan, p)


def _floats(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)


def _bools(value: ArrayLike) -> Bools:
    return np.asarray(value, dtype=bool)


@frozen
class RankBets:
    """The evidence of Q rank processes: bets that an unusual run began k batches ago, and bets on a lasting shift.

    Half of the weight lies on *age bets*: k batches after a change the newest is a uniform pick among the k newest,
    which are the top of N, so for age k and theta in {0, .1, .3} the bet wins when p < b = (floor(theta*(N-k)) + k)/N.
    The other half lies on *shift bets* exp(d*z - d^2/2), z the normal score of p, d in {.25, .5, 1, 2}. Both are e-SR
    processes over the start. P(log M >= log A within T batches) <= T/A per question; over questions of different
    filtrations never average, compare log M_k + log w_k with log A.

    Parameters
    ----------
    age
        Log evidence of the age bets, shape (Q, 2 sides, 3 thetas, 9 ages).
    shift
        Log evidence of the shift bets, shape (Q, 2 sides, 4 shifts).
    two_sided
        Whether low scores count as well as high ones, shape (Q,). One-sided questions use the first side alone.

    Raises
    ------
    ConfigurationError
        When the shapes do not fit.

    References
    ----------
    Vovk, Gammerman and Shafer (2022), on conformal test martingales; Shin, Ramdas and Rinaldo (2023).

    Examples
    --------
    >>> bets = RankBets.start([True])
    >>> for n in range(31, 35):                        # four batches in a row above the thirty before
    ...     bets = bets.update([0.5 / n], n)
    >>> bool(bets.log_values()[0] > np.log(365))
    True
    """

    age: Array = field(converter=_floats, eq=cmp_using(eq=np.array_equal), repr=False)
    shift: Array = field(converter=_floats, eq=cmp_using(eq=np.array_equal), repr=False)
    two_sided: Bools = field(converter=_bools, eq=cmp_using(eq=np.array_equal))

    def __attrs_post_init__(self) -> None:
        q = self.two_sided.shape
        if len(q) != 1 or self.age.shape != (*q, 2, 3, MAX_AGE) or self.shift.shape != (*q, 2, 4):
            raise ConfigurationError(
                f"RankBets: expected two_sided (Q,), age (Q, 2, 3, {MAX_AGE}) and shift (Q, 2, 4); "
                f"got {q}, {self.age.shape} and {self.shift.shape}"
            )

    @classmethod
    def start(cls, two_sided: ArrayLike) -> RankBets:
        """Return processes without evidence, one per entry of `two_sided`."""
        sides = np.asarray(two_sided, dtype=bool)
        return cls(
            np.full((*sides.shape, 2, len(_THETAS), MAX_AGE), -np.inf),
            np.full((*sides.shape, 2, len(_DRIFTS)), -np.inf),
            sides,
        )

    def update(self, p: ArrayLike, n_bag: ArrayLike) -> RankBets:
        """Return the processes after one more batch.

        Parameters
        ----------
        p
            Rank p-values of the batch, shape (Q,), in [0, 1]. NaN leaves a question as it was.
        n_bag
            Number of batches in the bag, the newest included: one number, or one per question.

        Raises
        ------
        DataError
            When a p-value lies outside [0, 1], or a bag is empty.
        """
        ranks, n = np.asarray(p, dtype=float), np.asarray(n_bag, dtype=float)
        if ranks.shape != self.two_sided.shape or ((ranks < 0) | (ranks > 1)).any():
            raise DataError(f"RankBets: expected p of shape {self.two_sided.shape} in [0, 1]; got shape {ranks.shape}")
        if n.ndim > 1 or not (n >= 1).all():
            raise DataError("RankBets: expected n_bag of at least 1, the newest batch included")
        held = ~np.isnan(ranks)
        sides = np.stack([ranks, 1 - ranks], axis=-1)
        age = self._aged() + _log_age_bets(sides, n)
        z = -ndtri(np.clip(sides, _EDGE, 1 - _EDGE))[..., None]
        shift = np.logaddexp(0.0, self.shift) + _DRIFTS * z - _DRIFTS**2 / 2
        return evolve(
            self,
            age=np.where(held[:, None, None, None], age, self.age),
            shift=np.where(held[:, None, None], shift, self.shift),
        )

    def log_values(self) -> Array:
        """Return log M of each question, shape (Q,); -inf before the first batch."""
        ages = _log_sum_exp(self.age.reshape(*self.age.shape[:2], self.age.shape[2] * MAX_AGE), -1) - np.log(
            len(_THETAS)
        )
        shifts = _log_sum_exp(self.shift, -1) - np.log(len(_DRIFTS))
        sides = _floats(np.logaddexp(ages, shifts) - np.log(2))
        both = np.logaddexp(sides[:, 0], sides[:, 1]) - np.log(2)
        return _floats(np.where(self.two_sided, both, sides[:, 0]))

    def _aged(self) -> Array:
        """Return the evidence that each age starts from: the age before it, and for the ninth all that are older."""
        new = np.zeros((*self.age.shape[:-1], 1))
        old = np.logaddexp(self.age[..., -2:-1], self.age[..., -1:])
        return np.concatenate([new, self.age[..., :-2], old], axis=-1)


def _log_age_bets(sides: Array, n: Array) -> Array:
    """Return log e of the bets on ages 1..9, shape (Q, 2, 3, 9); E[e] = 1 for uniform p, whatever the share b."""
    k, size = np.arange(1, MAX_AGE + 1), n[..., None, None, None]
    b = np.minimum(1.0, (np.floor(_THETAS[:, None] * (size - k)) + k) / size)
    return np.where(sides[..., None, None] < b, np.log((1 - _LOST) / b + _LOST), np.log(_LOST))


def _evidence(logs: ArrayLike) -> Array:
    values = np.asarray(logs, dtype=float)
    if np.isnan(values).any():
        raise DataError("expected logarithms of non-negative numbers; got NaN")
    return values


def _shifted(p: Array) -> Array:
    """Return p shifted by each of `SHIFTS` on Cohen's scale; the angle stays in [0, pi/2]. p has a last axis."""
    angle = np.clip(np.arcsin(np.sqrt(p)) + SHIFTS / 2, 0.0, np.pi / 2)
    return np.asarray(np.clip(np.sin(angle) ** 2, _EDGE, 1 - _EDGE))


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


def _log_sum_exp(logs: Array, axis: int) -> Array:
    top = logs.max(axis=axis, keepdims=True, initial=-np.inf)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(np.log(np.exp(logs - safe).sum(axis=axis)) + np.squeeze(safe, axis=axis))
