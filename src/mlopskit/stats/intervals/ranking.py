"""The area under the ROC curve with its interval, for independent rows and for rows in blocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtri

from mlopskit.errors import DataError
from mlopskit.stats.intervals.base import Array, ArrayLike, Interval, check_level
from mlopskit.stats.intervals.shares import clopper_pearson


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


def _labelled_rows(
    y_true: ArrayLike, y_score: ArrayLike, block: ArrayLike | None, level: float
) -> tuple[npt.NDArray[np.bool_], Array, npt.NDArray[np.int_]]:
    check_level("auc_clustered", level)
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
