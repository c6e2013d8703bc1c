"""The area under the ROC curve with its interval, for independent rows and for rows in blocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtri

from mlopskit.errors import DataError
from mlopskit.stats.intervals.base import Array, ArrayLike, Interval, block_codes, check_level, numbers
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
        When shapes differ, a label is neither 0 nor 1, a score is NaN, or a row has no block.
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
    y, score, codes = _labelled_rows("auc_clustered", y_true, y_score, block, level)
    method, n_blocks = "delong" if block is None else "obuchowski", int(codes.max(initial=-1)) + 1
    if not y.any() or y.all():
        return Interval(np.nan, 0.0, 1.0, level, n_blocks, method)
    v = _placements(y, score)
    area = float(v[y].mean())
    if area in (0.0, 1.0):
        pairs = min(*(len(np.unique(codes[side])) for side in (y, ~y)), n_blocks // 2)
        exact = clopper_pearson(pairs if area else 0, pairs, level)
        return Interval(area, exact.low, exact.high, level, n_blocks, method)
    variance = _clustered_variance(y, v, area, codes, n_blocks)
    if variance is None:
        return Interval(area, 0.0, 1.0, level, n_blocks, method)
    half = -ndtri((1 - level) / 2) * np.sqrt(variance) / (area * (1 - area))
    low, high = (float(expit(logit(area) + side * half)) for side in (-1, 1))
    return Interval(area, low, high, level, n_blocks, method)


def auc_difference(
    y_true: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, block: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """Return the difference of two areas under the ROC curve on the same rows, a - b, with its interval.

    The placements of `auc_clustered` for both scores are subtracted row by row, so that what the two have in common
    cancels: the variance is that of the differences, summed per block.

    Parameters
    ----------
    y_true
        Labels 0 or 1 (or booleans), shape (n,).
    score_a, score_b
        Scores of two models, greater for the positive class, shape (n,).
    block
        The block (day, customer) of each row, shape (n,); blocks are independent of each other.
    level
        Coverage, in (0, 1), for many blocks.

    Returns
    -------
    Interval
        In [-1, 1]; n is the number of blocks. NaN in [-1, 1] where a class is missing; [-1, 1] where a class lives in
        fewer than two blocks; width 0 where both place every row alike. Where an area is 0 or 1 and every row shows the
        same difference, the interval is put together from those of the two areas, unless the orders are the same.

    Raises
    ------
    DataError
        When shapes differ, a label is neither 0 nor 1, a score is NaN, or a row has no block.
    ConfigurationError
        When the level lies outside (0, 1).

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (Biometrics 1988); Obuchowski (Biometrics 1997) for blocks; Zou and Donner
    (Statistics in Medicine 2008) for putting two intervals together.

    Examples
    --------
    >>> y = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> print(auc_difference(y, [1, 2, 3, 5, 4, 6, 7, 8], [1, 5, 3, 7, 4, 2, 6, 8]))
    0.3125 [-0.07487, 0.6999] (95%, n=8, delong)
    """
    y, a, codes = _labelled_rows("auc_difference", y_true, score_a, block, level)
    _, b, _ = _labelled_rows("auc_difference", y_true, score_b, block, level)
    method, n_blocks = "delong" if block is None else "obuchowski", int(codes.max(initial=-1)) + 1
    if not y.any() or y.all():
        return Interval(np.nan, -1.0, 1.0, level, n_blocks, method)
    of_a, of_b = _placements(y, a), _placements(y, b)
    v = of_a - of_b
    difference = float(v[y].mean())
    variance = _clustered_variance(y, v, difference, codes, n_blocks)
    if variance is None:
        return Interval(difference, -1.0, 1.0, level, n_blocks, method)
    below = above = float(-ndtri((1 - level) / 2) * np.sqrt(variance))
    if max(np.ptp(v[y]), np.ptp(v[~y])) < 1e-12 and _is_extreme(of_a[y], of_b[y]) and not _same_order(a, b):
        one, two = (auc_clustered(y_true, score, block, level) for score in (a, b))
        below = float(np.hypot(one.estimate - one.low, two.high - two.estimate))
        above = float(np.hypot(one.high - one.estimate, two.estimate - two.low))
    low, high = max(difference - below, -1.0), min(difference + above, 1.0)
    return Interval(difference, low, high, level, n_blocks, method)


def _is_extreme(*placements: Array) -> bool:
    """Say whether an area is 0 or 1, where a variance of placements says nothing."""
    return any(v.mean() in (0.0, 1.0) for v in placements)


def _same_order(a: Array, b: Array) -> bool:
    return bool(np.array_equal(np.unique(a, return_inverse=True)[1], np.unique(b, return_inverse=True)[1]))


def _clustered_variance(
    y: npt.NDArray[np.bool_], v: Array, mean: float, codes: npt.NDArray[np.int_], n_blocks: int
) -> float | None:
    """Return the variance of a mean of placements, or None where a class lives in fewer than two blocks."""
    m, n = int(y.sum()), int((~y).sum())
    pos, neg = (np.bincount(codes[side], minlength=n_blocks) for side in (y, ~y))
    d10 = np.bincount(codes[y], weights=v[y], minlength=n_blocks) - pos * mean
    d01 = np.bincount(codes[~y], weights=v[~y], minlength=n_blocks) - neg * mean
    i10, i01 = int((pos > 0).sum()), int((neg > 0).sum())
    if min(i10, i01) < 2:
        return None
    own = i10 / (i10 - 1) * (d10 @ d10) / m**2 + i01 / (i01 - 1) * (d01 @ d01) / n**2
    shared = 2 * n_blocks / (n_blocks - 1) * (d10 @ d01) / (m * n)
    return float(own + shared if own + shared > 1e-9 * own else own)  # few blocks can make the sum 0 or negative


def _labelled_rows(
    name: str, y_true: ArrayLike, y_score: ArrayLike, block: ArrayLike | None, level: float
) -> tuple[npt.NDArray[np.bool_], Array, npt.NDArray[np.int_]]:
    check_level(name, level)
    y, score = numbers(name, y_true), numbers(name, y_score)
    blocks = np.arange(y.size) if block is None else block_codes(name, block)
    if y.ndim != 1 or score.shape != y.shape or blocks.shape != y.shape:
        raise DataError(
            f"{name}: expected labels, scores and blocks of one shape (n,); "
            f"got {y.shape}, {score.shape} and {blocks.shape}"
        )
    if not np.isin(y, (0, 1)).all() or np.isnan(score).any():
        raise DataError(f"{name}: expected labels 0 or 1 and scores without NaN")
    return y == 1, score, blocks


def _placements(y: npt.NDArray[np.bool_], score: Array) -> Array:
    """Return for each row the share of the other class that it beats on the right side; ties count half."""
    below, level = np.sort(score[~y]), np.sort(score[y])
    v = np.empty(len(y))
    v[y] = (np.searchsorted(below, score[y], "left") + np.searchsorted(below, score[y], "right")) / (2 * len(below))
    v[~y] = 1 - (np.searchsorted(level, score[~y], "left") + np.searchsorted(level, score[~y], "right")) / (
        2 * len(level)
    )
    return v
