"""How a statistical promise is counted: rates, means and uniform draws, each with a stated tolerance.

The tolerance is never "looks fine":

- a rate is compared with the binomial quantile that a correct procedure exceeds with probability below 1e-6;
- a mean of non-negative numbers (E[e] <= 1) is bet against: the capital of a gambler who believes it is larger passes
  1e6 with probability below 1e-6 when it is not (Ville's inequality, no normal approximation);
- uniform p-values are compared with the Dvoretzky-Kiefer-Wolfowitz band at 1e-6 (Massart's constant).
"""

import numpy as np
from scipy.stats import binom

from mlopskit.stats.sequential import log_mean_exp, log_shiryaev_roberts

RISK = 1e-6
"""Probability with which a correct procedure may fail one check."""
MEASURED: list[dict[str, object]] = []
"""What was counted: claim, null, measured, bound."""


def record(claim, null, measured, bound, runs):
    """Keep a measured figure for the report."""
    figure = {"claim": claim, "null": null, "measured": round(float(measured), 4), "bound": float(bound), "runs": runs}
    MEASURED.append(figure)


def check_rate(claim, null, broken, bound):
    """The share of broken runs is at most `bound`, up to a binomial tail of 1e-6."""
    broken = np.asarray(broken, dtype=bool)
    assert broken.ndim == 1
    assert len(broken) >= 400
    record(claim, null, broken.mean(), bound, len(broken))
    assert broken.sum() <= binom.ppf(1 - RISK, len(broken), min(bound, 1.0)), f"{claim}, {null}: {broken.mean():.4f}"


def log_capital(values):
    """Log capital, per column, of a mixture of bets that the mean of non-negative i.i.d. rows is above 1."""
    stakes = 0.9 * 0.5 ** np.arange(12)
    values = np.asarray(values, dtype=float)
    return log_mean_exp(np.stack([np.log1p(stake * (values - 1)).sum(axis=0) for stake in stakes], axis=-1))


def check_mean(claim, null, values):
    """The mean of non-negative rows (one per run; columns are separate claims) is at most 1.

    The figure recorded is the largest column mean of values cut at 100: cutting can only lower a mean, and the
    plain mean of a heavy tail is mostly luck. The test itself uses the values as they are.
    """
    values = np.asarray(values, dtype=float)
    assert len(values) >= 400
    record(claim, null, np.minimum(values, 100).mean(axis=0).max(), 1.0, len(values))
    assert (log_capital(values) < np.log(values[0].size / RISK)).all(), f"{claim}, {null}: {values.mean(axis=0)}"


def uniform_gap(p):
    """The largest gap between the law of the draws and the uniform one, and the band it stays in but for 1e-6."""
    p = np.sort(np.ravel(p))
    n = len(p)
    gap = max(np.max(np.arange(1, n + 1) / n - p), np.max(p - np.arange(n) / n))
    return gap, np.sqrt(np.log(2 / RISK) / (2 * n))


def check_uniform(claim, null, p):
    """Independent draws are uniform on (0, 1]: the largest gap to the diagonal stays within the band at 1e-6."""
    gap, band = uniform_gap(p)
    record(claim, null, gap, band, p.shape[-1])
    assert gap <= band, f"{claim}, {null}: {gap:.5f} above {band:.5f}"


def alarmed(log_e, limit, log_weights=None):
    """Which runs raise an alarm; log_e (T, runs, ...): e-SR processes of one filtration, averaged over the rest.

    The last axis is averaged with these weights, the others equally.
    """
    log_m = np.full(log_e.shape[1:], -np.inf)
    top = np.full(log_e.shape[1], -np.inf)
    for step in log_e:
        log_m = log_shiryaev_roberts(log_m, step)
        mixed = log_mean_exp(log_m, log_weights) if log_weights is not None else log_m
        top = np.maximum(top, log_mean_exp(mixed.reshape(len(top), -1)))
    return top >= np.log(limit)
