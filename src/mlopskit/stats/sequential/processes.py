"""Processes that collect e-values over time, and what combines them: mixtures, unions, false discovery rates."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mlopskit.errors import ConfigurationError, DataError

Array: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
ArrayLike: TypeAlias = npt.ArrayLike


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
