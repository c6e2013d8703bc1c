"""How far the realised metric of a batch may lie from the expected one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.estimation.base import DRAW_STREAM, SAME, Floats, Ints, column, floats, generator, labels_of
from mlopskit.stats.estimation.calibration import Calibration, Labelled
from mlopskit.stats.estimation.metrics import RANGES, metric_of
from mlopskit.stats.intervals import Interval
from mlopskit.stats.intervals.base import check_level

N_LEFT_OUT = 20
"""Most groups of blocks that are left out in turn for `block_heterogeneity`."""


_CELLS = 1_000_000  # simulated labels held at once


@frozen
class Heterogeneity:
    """How much more the blocks of a reference differ from what they were expected to be than luck explains.

    Parameters
    ----------
    tau2
        Variance between blocks, in squared units of the metric: the mean squared residual minus the mean squared
        standard error, at least 0.
    n_blocks
        Blocks on which the metric is defined.
    residuals
        Realised minus expected metric of each of them, in the order of the blocks, shape (n_blocks,).
    standard_errors
        Standard deviation of the realised metric around the expected one if there were no differences between blocks.
    metric
        The metric.

    Examples
    --------
    >>> Heterogeneity(tau2=0.05, n_blocks=2, residuals=[0.375, -0.25], standard_errors=[0.25, 0.125]).bias
    0.0625
    """

    tau2: float
    n_blocks: int
    residuals: Floats = field(converter=floats, eq=SAME, repr=False)
    standard_errors: Floats = field(converter=floats, eq=SAME, repr=False)
    metric: str = "accuracy"

    @property
    def bias(self) -> float:
        """Mean residual: how much better the blocks were than expected."""
        return float(self.residuals.mean())


def predictive_interval(
    metric: str,
    calibration: Calibration,
    replicates: Sequence[Calibration],
    score: ArrayLike,
    predicted: ArrayLike | None = None,
    *,
    heterogeneity: Heterogeneity | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the expected metric of a batch without labels, and where its realised metric will lie.

    The interval covers the metric that will be computed from this batch's own labels, not the one of a population. It
    is a parametric bootstrap of the prediction error: with labels y ~ Bernoulli(q) from the calibration and an
    estimate from q_b, a refitted one, the realised metric is as far from the estimate as metric(y) is from the
    expected metric under q_b. So it holds the luck of the labels and the error of the calibration, its optimism too: a
    curve that follows its reference too closely (isotonic) promises too much, and refits of it promise still more. The
    estimate is the expected metric less that optimism: twice the expected metric minus its mean over replicates.
    Differences between blocks widen each side to sqrt(side^2 + t^2 tau^2), t the Student quantile with n_blocks degrees
    of freedom. All of it assumes that P(y | score) is that of the reference.

    Measured at a nominal .10 with 300 rows of reference: identity misses in .02 to .03 (its replicates allow for an
    error that is not there), sigmoid in .07 to .11, isotonic in .11 to .13, and in .13 to .18 for the area and the
    log-loss, whose optimism the correction only halves. A fresh day after 20 days whose log-odds differ by .8 (standard
    deviation): .09 with tau^2, .31 without.

    Parameters
    ----------
    metric
        As for `expected_metric`.
    calibration, replicates
        From `calibrate` and `refit`; at least 2 / (1 - level) replicates.
    score, predicted
        The batch: scores, shape (m,), and predicted classes where the metric needs them.
    heterogeneity
        From `block_heterogeneity`, for the same metric; none by default, which is right for rows that are independent.
    level
        Coverage, in (0, 1).
    seed
        Seed of the draws, >= 0.

    Returns
    -------
    Interval
        Within the metric's range (`RANGES`), n the rows of the batch. Draws where the metric is undefined (recall
        without positives) are left out; if all are, or without rows, the estimate is NaN and the interval the range.

    Raises
    ------
    DataError
        As for `expected_metric`.
    ConfigurationError
        When the metric is unknown or not that of the heterogeneity, there are too few replicates, the level lies
        outside (0, 1), or the seed is negative.

    References
    ----------
    Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 6.3.3, for prediction errors, and
    2.1.1 for the correction of bias; DerSimonian and Laird (1986) for the moment estimate of tau^2.

    Examples
    --------
    >>> from mlopskit.stats.estimation import calibrate, refit
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(2_000)
    >>> y = rng.random(2_000) < score
    >>> curve = calibrate(score, y)
    >>> batch = rng.random(500)
    >>> print(predictive_interval("accuracy", curve, refit(curve, score, y), batch, batch > 0.5))
    0.7568 [0.716, 0.7974] (95%, n=500, parametric-bootstrap)
    """
    check_level("predictive_interval", level)
    needed = math.ceil(2 / (1 - level) - 1e-9)
    if len(replicates) < needed:
        raise ConfigurationError(
            f"predictive_interval: got {len(replicates)} replicates; level={level:g} needs {needed}"
        )
    if heterogeneity is not None and heterogeneity.metric != metric:
        raise ConfigurationError(f"predictive_interval: got the heterogeneity of {heterogeneity.metric}, not {metric}")
    s, predicted = _sorted(score, predicted)
    realised = metric_of(metric, s, predicted)
    smallest, largest = RANGES[metric]
    naive, refitted, errors = _errors(
        realised, calibration.predict(s), replicates, s, generator("predictive_interval", seed, DRAW_STREAM)
    )
    if not len(errors):
        return Interval(math.nan, smallest, largest, level, len(s), "parametric-bootstrap")
    estimate = min(max(2 * naive - refitted, smallest), largest)
    low, high = naive + np.quantile(errors, [(1 - level) / 2, (1 + level) / 2], method="weibull")
    below, above = max(estimate - low, 0.0), max(high - estimate, 0.0)
    if heterogeneity is not None:
        between = stdtrit(heterogeneity.n_blocks, (1 + level) / 2) * math.sqrt(heterogeneity.tau2)
        below, above = np.hypot(below, between), np.hypot(above, between)
    low, high = max(estimate - below, smallest), min(estimate + above, largest)
    return Interval(estimate, float(low), float(high), level, len(s), "parametric-bootstrap")


def block_heterogeneity(
    metric: str,
    calibration: Calibration,
    replicates: Sequence[Calibration],
    score: ArrayLike,
    y: ArrayLike,
    block: ArrayLike,
    predicted: ArrayLike | None = None,
    *,
    seed: int = 0,
) -> Heterogeneity:
    """Return how much the blocks (days) of the reference differ beyond luck: tau^2, which widens intervals.

    Each block is expected by a curve fitted without it (blocks are left out in at most 20 runs). tau^2 is the mean
    squared residual minus the mean squared standard error, floored at 0; the standard errors come from draws of labels
    and replicates, as in `predictive_interval`. A constant error of the estimate counts too: it is in the residuals.

    Parameters
    ----------
    metric, calibration, replicates
        As for `predictive_interval`. The first 200 replicates are used.
    score, y, block
        The reference, as for `calibrate`.
    predicted
        Predicted classes of the reference, where the metric needs them.
    seed
        Seed of the draws, >= 0.

    Raises
    ------
    DataError
        As for `calibrate` and `expected_metric`, and when the metric is defined on fewer than two blocks.
    ConfigurationError
        When the metric is unknown, there are fewer than two replicates, or the seed is negative.

    Examples
    --------
    >>> from mlopskit.stats.estimation import calibrate, refit
    >>> rng = np.random.default_rng(0)
    >>> day = np.repeat(np.arange(30), 100)
    >>> score = rng.random(3_000)
    >>> y = rng.random(3_000) < np.clip(score + rng.normal(0, 0.1, 30)[day], 0, 1)       # days differ
    >>> curve = calibrate(score, y, block=day)
    >>> found = block_heterogeneity("recall", curve, refit(curve, score, y, block=day), score, y, day, score > 0.5)
    >>> found.n_blocks, round(found.tau2**0.5, 3)
    (30, 0.066)
    """
    if len(replicates) < 2:
        raise ConfigurationError(f"block_heterogeneity: got {len(replicates)} replicates; expected at least two")
    known = Labelled.of("block_heterogeneity", score, y, None, block)
    _, classes = _sorted(known.s, predicted, known.order)
    q = known.predict_out_of(known.folds(N_LEFT_OUT, seed), calibration.method)
    found = [
        _surprise(
            metric_of(metric, known.s[rows], None if classes is None else classes[rows]),
            known.y[rows],
            q[rows],
            known.s[rows],
            calibration,
            replicates[:200],
            generator("block_heterogeneity", seed, DRAW_STREAM + 1 + k),
        )
        for k, rows in enumerate(_rows_of_blocks(known.codes))
    ]
    defined = np.array([pair for pair in found if not np.isnan(pair).any()]).reshape(-1, 2)
    if len(defined) < 2:
        raise DataError(f"block_heterogeneity: {metric} is defined on {len(defined)} blocks; expected at least two")
    residuals, errors = defined.T
    tau2 = max(float(np.square(residuals).mean() - np.square(errors).mean()), 0.0)
    return Heterogeneity(tau2, len(defined), residuals, errors, metric)


def _rows_of_blocks(codes: Ints | None) -> list[Ints]:
    assert codes is not None
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])


def _surprise(
    realised: Callable[[Floats], Any],
    y: Floats,
    q: Floats,
    s: Floats,
    calibration: Calibration,
    replicates: Sequence[Calibration],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Return realised minus expected metric of a block, and the standard deviation of the realised one; NaN if not.

    The expected one comes from a curve fitted without the block. Its bias is read off curves that were all fitted with
    it, replicates against the calibration itself, or the block's pull on its own curve would count twice.
    """
    naive, refitted, errors = _errors(realised, q, replicates, s, rng)
    bias = refitted - float(realised(calibration.predict(s)))
    spread = float(errors.std(ddof=1)) if len(errors) > 1 else math.nan
    return float(realised(y)) - (naive - bias), spread


def _sorted(score: ArrayLike, predicted: ArrayLike | None, order: Ints | None = None) -> tuple[Floats, Floats | None]:
    """Return scores in rising order, which ranks them once and for all, and the predicted classes that go with them."""
    s = column("score", score, finite=False)
    order = np.argsort(s, kind="stable") if order is None else order
    if predicted is None:
        return s[order], None
    classes = labels_of("predicted", predicted)
    if len(classes) != len(s):
        raise DataError(f"got {len(classes)} predicted classes for {len(s)} scores; expected as many")
    return s[order], classes[order]


def _errors(
    realised: Callable[[Floats], Any], q: Floats, replicates: Sequence[Calibration], s: Floats, rng: np.random.Generator
) -> tuple[float, float, Floats]:
    """Return the expected metric, its mean over replicates, and realised minus expected where q and not q_b is true."""
    at_once = max(1, _CELLS // max(len(s), 1))
    expected, drawn = [], []
    for start in range(0, len(replicates), at_once):
        refitted = np.stack([curve.predict(s) for curve in replicates[start : start + at_once]])
        labels = (rng.random(refitted.shape) < q).astype(np.float64)
        expected.append(realised(refitted))
        drawn.append(realised(labels))
    errors = np.concatenate(drawn) - np.concatenate(expected)
    return float(realised(q)), float(np.concatenate(expected).mean()), errors[~np.isnan(errors)]
