"""Processes that collect e-values over time, and what combines them: mixtures, unions, false discovery rates."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mlopskit.errors import ConfigurationError, DataError

Array: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
ArrayLike: TypeAlias = npt.ArrayLike

KAPPAS = np.array([0.1, 0.2, 0.3, 0.5, 0.7])
"""The calibrators that `log_calibrated` mixes."""


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
    return np.asarray(np.logaddexp(0.0, log_m) + evidence_of(log_e))


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
    return np.asarray(np.maximum(0.0, log_c) + evidence_of(log_e))


def log_lifetime(log_m: ArrayLike, log_e: ArrayLike, t: int) -> Array:
    """Add batch t to an e-process that never forgets: P(any false alarm, ever) <= alpha with an alarm at M >= 1/alpha.

    The sum over starts k of w_k * e_k * ... * e_t, with w_k = 1/(k(k+1)) and the weight 1/(t+1) of the starts still to
    come: M <- (M + w_t) * e over the starts so far, whose expectation with that weight is at most 1 at every stopping
    time. A change at batch k is found when its evidence passes log(k(k+1)/alpha), at a growth of g per batch after
    log(k(k+1)/alpha)/g batches. `log_shiryaev_roberts` with the limit T/alpha asks log(T/alpha) wherever the change
    lies: a promise without a horizon is the cheaper one up to about batch sqrt(T).

    Parameters
    ----------
    log_m
        log M of the starts so far; -inf before the first batch. Any shape that broadcasts with `log_e`.
    log_e
        Log e-values of the batch, valid given the past.
    t
        Number of the batch, from 1.

    Returns
    -------
    Array
        log M after the batch. Compare it with log(1/alpha).

    Raises
    ------
    DataError
        When `log_e` holds NaN.
    ConfigurationError
        When t is not a whole number from 1.

    References
    ----------
    Shin, Ramdas and Rinaldo, "E-detectors" (2023), mixtures over starting times; Ramdas, Gruenwald, Vovk and Shafer,
    "Game-theoretic statistics and safe anytime-valid inference" (Statistical Science 2023), Ville's inequality.

    Examples
    --------
    >>> log_m = log_lifetime(-np.inf, np.log(4.0), t=1)                     # 1/2 * 4
    >>> round(float(np.exp(log_lifetime(log_m, np.log(3.0), t=2))), 6)      # (2 + 1/6) * 3
    6.5
    """
    if not (t >= 1 and t % 1 == 0):
        raise ConfigurationError(f"log_lifetime: t={t!r}: expected the number of the batch, counted from 1")
    return np.asarray(np.logaddexp(log_m, -np.log(t) - np.log(t + 1)) + evidence_of(log_e))


def log_calibrated(p: ArrayLike, kappas: ArrayLike = KAPPAS) -> Array:
    """Turn p-values into log e-values: the mean over kappa of kappa * p^(kappa - 1).

    Only for p-values that are valid *given the past*. A p-value of each batch against the same fixed reference is not:
    the reference's own luck enters every one of them, and the products grow without any change. Measured on z-tests of
    batches of 2,000 rows against a reference of 1,000 (5,000), where at most one alarm is promised in 1,000 batches:
    with the reference taken for the truth 66 (7) alarms of `log_shiryaev_roberts` at A = 1,000, and 57 (5) p-values
    below .001; with two-sample tests, each of them exactly uniform, still 7.6 (1.8) alarms. See `log_tilts` and
    `RankBets` for evidence against a reference that holds.

    Parameters
    ----------
    p
        P-values in [0, 1].
    kappas
        Exponents, each in (0, 1); small ones win much on tiny p-values, large ones a little on moderate ones.

    Returns
    -------
    Array
        Of the shape of `p`: inf at p = 0, log(mean(kappas)) at p = 1; the integral of e over [0, 1] is exactly 1.

    Raises
    ------
    DataError
        When a p-value lies outside [0, 1].
    ConfigurationError
        When a kappa lies outside (0, 1), or there is none.

    References
    ----------
    Vovk and Wang, "E-values: calibration, combination and applications" (Annals of Statistics 2021), equation 1;
    Sellke, Bayarri and Berger (2001).

    Examples
    --------
    >>> np.exp(log_calibrated([0.001, 0.05, 1.0])).round(2)
    array([31.9 ,  2.02,  0.36])
    """
    values, k = np.asarray(p, dtype=float), np.atleast_1d(np.asarray(kappas, dtype=float))
    if not ((values >= 0) & (values <= 1)).all():
        raise DataError("log_calibrated: expected p-values in [0, 1]; got one outside (or NaN)")
    if k.ndim != 1 or not len(k) or not ((k > 0) & (k < 1)).all():
        raise ConfigurationError(f"log_calibrated: kappas={kappas!r}: expected numbers between 0 and 1")
    with np.errstate(divide="ignore"):
        log_p = np.log(values)
    return np.asarray(log_sum_exp(np.log(k) + (k - 1) * log_p[..., None], -1) - np.log(len(k)))


def log_union(log_m: ArrayLike, weights: ArrayLike) -> Array:
    """Return the weighted evidence of questions of different filtrations, log M_k + log w_k: alarm at log A.

    Processes of different filtrations (ranks of different scores) must not be averaged: at a stopping time their mean
    may exceed its bound. The union bound is valid: P(any alarm within T) <= sum_k w_k T/A = T/A.

    Parameters
    ----------
    log_m
        Log evidence of each question, shape (..., K).
    weights
        Shape (K,), >= 0. They are divided by their sum; a dead question has weight 0 and never alarms.

    Returns
    -------
    Array
        Shape (..., K); the largest is the evidence of the whole. -inf for questions without weight.

    Raises
    ------
    DataError
        When evidence is NaN, shapes do not fit, or a weight is negative or not finite.

    References
    ----------
    Choe and Ramdas, "Combining evidence across filtrations" (2024), on why averages fail; Boole's inequality.

    Examples
    --------
    >>> np.exp(log_union(np.log([900.0, 100.0, 5.0]), [1.0, 2.0, 0.0])).round(1)
    array([300. ,  66.7,   0. ])
    """
    values, w = evidence_of(log_m), np.asarray(weights, dtype=float)
    if w.ndim != 1 or values.shape[-1:] != w.shape or not (np.isfinite(w) & (w >= 0)).all():
        raise DataError(
            f"log_union: expected one finite weight >= 0 for each of {values.shape[-1:]} questions; got {weights!r}"
        )
    with np.errstate(divide="ignore"):
        logs = np.log(w / max(w.sum(), np.finfo(float).tiny))
    return np.asarray(np.where(w > 0, values + np.where(w > 0, logs, 0.0), -np.inf))


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
    values = evidence_of(log_values)
    if log_weights is None:
        n = values.shape[axis]
        return np.asarray(log_sum_exp(values, axis) - np.log(max(n, 1)))
    values, logs = np.broadcast_arrays(values, evidence_of(log_weights))
    if np.isposinf(logs).any():
        raise DataError("log_mean_exp: expected finite weights")
    joint = np.where(np.isneginf(logs), -np.inf, values + np.where(np.isneginf(logs), 0.0, logs))
    total = log_sum_exp(logs, axis)
    return np.asarray(log_sum_exp(joint, axis) - np.where(np.isneginf(total), 0.0, total))


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
    values = evidence_of(log_e)
    count = values.shape[-1]
    ordered = -np.sort(-values, axis=-1)
    enough = ordered + np.log(np.arange(1, count + 1)) >= np.log(count / alpha) if count else ordered > 0
    smallest = np.where(enough, ordered, np.inf).min(axis=-1, keepdims=True, initial=np.inf)
    return np.asarray(values >= smallest)


def evidence_of(logs: ArrayLike) -> Array:
    """Return logarithms as floats; NaN is no evidence but a mistake."""
    values = np.asarray(logs, dtype=float)
    if np.isnan(values).any():
        raise DataError("expected logarithms of non-negative numbers; got NaN")
    return values


def log_sum_exp(logs: Array, axis: int) -> Array:
    """Return log(sum(exp(logs))) along an axis; -inf for an empty one."""
    top = logs.max(axis=axis, keepdims=True, initial=-np.inf)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(np.log(np.exp(logs - safe).sum(axis=axis)) + np.squeeze(safe, axis=axis))
