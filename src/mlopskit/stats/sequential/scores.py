"""Scores of batches that are symmetric in the bag: any order of the batches gives each batch the same score.

The rank of the newest batch under such a score is uniform while batches are exchangeable (`smoothed_rank`), so every
score here is computed anew from all batches whenever one is added. Centre and spread are robust: with mean and standard
deviation a changed batch hides itself.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, ndtri

from mlopskit.errors import DataError
from mlopskit.stats.sequential.processes import Array, ArrayLike

LARGEST = 8.0
"""Where |z| is cut before it is squared and summed, so that one wild question does not speak for all."""
_MAD = 1.4826  # turns the median absolute deviation of normal values into their standard deviation


def share_scores(hits: ArrayLike, rows: ArrayLike, usual: ArrayLike, draws: ArrayLike | None = None) -> Array:
    """Return signed scores of shares whose sampling variance is 1/(4n), whatever the share and the number n of rows.

    asin(sqrt(k/n)) has that variance where many rows are expected. Where few are, its mean and its shape depend on n,
    so that batches of other sizes would look strange. Questions with a usual share p are therefore scored by
    w / (2 sqrt(n)), w the normal score of the randomised distribution function F(k-1) + v (F(k) - F(k-1)) of the
    binomial (n, p): standard normal for every n where p holds, and close to 2 sqrt(n) (asin(sqrt(k/n)) - asin(sqrt(p)))
    where k is large.

    Parameters
    ----------
    hits, rows
        Counts k and n, shape (N, S), 0 <= k <= n; whole numbers where there are draws.
    usual
        Shape (S,): the share p in (0, 1) against which a question is scored, or NaN for asin(sqrt(k/n)).
    draws
        The v, uniform on [0, 1), shape (N, S), independent of the counts and the same whenever a batch is scored again.
        None: asin(sqrt(k/n)) - asin(sqrt(p)), the score of counts that are expected and not drawn.

    Returns
    -------
    Array
        Shape (N, S); 0 without rows.

    References
    ----------
    Dunn and Smyth, "Randomized quantile residuals" (JCGS 1996), equation 2; Freeman and Tukey (Ann. Math. Stat. 1950)
    for the angle.

    Examples
    --------
    >>> share_scores([[250, 2]], [[1000, 1000]], usual=[np.nan, 0.002], draws=[[0.5, 0.5]]).round(4)
    array([[0.5236, 0.0016]])
    """
    k, n, p = np.asarray(hits, dtype=float), np.asarray(rows, dtype=float), np.asarray(usual, dtype=float)
    scores: Array = np.arcsin(np.sqrt(k / np.maximum(n, 1)))
    small = ~np.isnan(p)
    if not small.any():
        return scores
    k, n, p = k[:, small], n[:, small], p[small]
    angles = scores[:, small] - np.arcsin(np.sqrt(p))
    if draws is not None:
        v, root = np.asarray(draws, dtype=float)[:, small], 2 * np.sqrt(np.maximum(n, 1))
        w = _normal_score(k, n, np.broadcast_to(p, k.shape), v)
        far = np.abs(w) > LARGEST  # where the tail is no longer told apart
        w[far] = np.copysign(np.maximum(np.abs(angles * root), LARGEST), w)[far]
        angles = w / root
    scores[:, small] = np.where(n > 0, angles, 0.0)
    return scores


def _normal_score(k: Array, n: Array, p: Array, v: Array) -> Array:
    """Return the normal score of F(k - 1) + v f(k) of the binomial, computed in the nearer tail."""
    upper = k > n * p
    k, p, v = np.where(upper, n - k, k), np.where(upper, 1 - p, p), np.where(upper, 1 - v, v)
    below = np.where(k > 0, betainc(n - k + 1, np.maximum(k, 1), 1 - p), 0.0)
    upto = np.where(k < n, betainc(np.maximum(n - k, 1), k + 1, 1 - p), 1.0)
    w: Array = ndtri(below + np.maximum(v, 2.0**-53) * (upto - below))
    return np.where(upper, -w, w)


def robust_z(scores: ArrayLike, noise: ArrayLike, sizes: ArrayLike) -> Array:
    """Return how far each batch lies from the middle of all batches, in robust standard deviations.

    The centre is the median and the spread 1.4826 MAD over batches. Batches of unequal size are put on one scale: the
    spread between batches is split into that of the batches and that of their rows,
    tau2 = max(spread^2 - u2 * median(1/n), 0), and a batch of n rows is divided by sqrt(tau2 + u2/n).

    Parameters
    ----------
    scores
        Shape (N, Q): one score per batch and question.
    noise
        Shape (Q,): u2, the variance that one row contributes (1 for standardised scores, 1/4 for asin(sqrt(share))).
    sizes
        Shape (N,) or (N, Q): rows behind each score, >= 0.

    Returns
    -------
    Array
        Shape (N, Q). A batch without rows for a question (size 0) gets 0 there and does not count in the middle.

    Raises
    ------
    DataError
        When there is no batch, shapes do not fit, a score with rows is not finite, or a size or noise is negative.

    References
    ----------
    Rousseeuw and Croux (JASA 1993), equation 1.2, for the MAD; DerSimonian and Laird (1986) for the split of the
    spread into that between and that within batches, here with robust moments.

    Examples
    --------
    >>> robust_z([[0.1], [0.0], [-0.1], [0.9]], noise=[1.0], sizes=[100, 100, 100, 100]).round(2)
    array([[ 0.34],
           [-0.34],
           [-1.01],
           [ 5.73]])
    """
    y, u2, n = np.asarray(scores, dtype=float), np.asarray(noise, dtype=float), np.asarray(sizes, dtype=float)
    n = n[:, None] if n.ndim == 1 else n
    if y.ndim != 2 or not len(y) or u2.shape != y.shape[1:] or len(n) != len(y) or n.shape[1] not in (1, y.shape[1]):
        raise DataError(
            f"robust_z: expected scores (N, Q) with N >= 1, noise (Q,) and sizes (N,) or (N, Q); "
            f"got {y.shape}, {u2.shape} and {n.shape}"
        )
    if not ((n >= 0).all() and (u2 >= 0).all()):
        raise DataError("robust_z: expected sizes and noise of at least 0; got one below (or NaN)")
    asked = n > 0
    if not asked.all():
        return _robust_z_of_the_asked(y, u2, n)
    if not np.isfinite(y).all():
        raise DataError("robust_z: expected finite scores where a batch has rows")
    middle, mad = _median_and_mad(y)
    per_row = 1.0 / (n[:1] if (n == n[0]).all() else n)
    usual = per_row[0] if len(per_row) == 1 else np.median(per_row, axis=0)
    tau2 = np.maximum((_MAD * mad) ** 2 - u2 * usual, 0.0)
    return _divided(y - middle, tau2 + u2 * per_row)


def shape_scores(shares: ArrayLike, sizes: ArrayLike) -> Array:
    """Return how unusual the shape of a distribution is in each batch: the cube root of a mean chi-square.

    With m_b the mean share of bin b over the batches, chi2_i = n_i * sum_b (share_ib - m_b)^2 / m_b, and k the number
    of bins that occur, less one: cbrt(chi2_i / k), which is close to normal with variance 2/(9k) where only chance
    moves the shares.

    Parameters
    ----------
    shares
        Shape (N, F, B): shares of B bins for F features in N batches; each adds up to 1, or to 0 without rows.
    sizes
        Shape (N, F): rows behind the shares.

    Returns
    -------
    Array
        Shape (N, F), at least 0; 0 without rows, or with a single bin.

    References
    ----------
    Wilson and Hilferty, "The distribution of chi-square" (PNAS 1931).

    Examples
    --------
    >>> shape_scores([[[0.5, 0.5]], [[0.5, 0.5]], [[0.8, 0.2]]], sizes=[[100], [100], [100]]).round(2)
    array([[1.61],
           [1.61],
           [2.55]])
    """
    p, n = np.asarray(shares, dtype=float), np.asarray(sizes, dtype=float)
    mean = p.sum(axis=0) / max(len(p), 1)
    k = np.maximum((mean > 0).sum(axis=-1) - 1, 1)
    squares = np.einsum("nfb,nfb,fb->nf", p, p, 1 / np.where(mean > 0, mean, 1.0))
    distance = n * np.maximum(squares - 2 * (n > 0) + mean.sum(axis=-1), 0.0)  # the square expanded: sum_b share = 1
    return np.asarray(np.cbrt(distance / k))


def combined_scores(singles: ArrayLike, shapes: ArrayLike, pairs: ArrayLike) -> Array:
    """Return three one-sided scores of a batch: its largest |z|, its sum of squares, and the largest |z| of its pairs.

    Largest: over all single questions and shapes. Sum: min(|z|, 8)^2 over the single questions. Each is symmetric in
    the bag whenever the z are, so each may be ranked by itself; together they see what no single question sees.

    Parameters
    ----------
    singles, shapes, pairs
        Robust z of single questions (N, Q), of shapes (N, F) and of pairs (N, P); any of Q, F, P may be 0.

    Returns
    -------
    Array
        Shape (N, 3), at least 0.

    Examples
    --------
    >>> combined_scores([[1.0, -3.0], [0.5, 0.5]], [[2.0], [0.1]], np.zeros((2, 0)))
    array([[ 3. , 10. ,  0. ],
           [ 0.5,  0.5,  0. ]])
    """
    z, shape, pair = (np.abs(np.asarray(v, dtype=float)) for v in (singles, shapes, pairs))
    largest = np.maximum(z.max(axis=1, initial=0.0), shape.max(axis=1, initial=0.0))
    squares = np.square(np.minimum(z, LARGEST)).sum(axis=1)
    return np.column_stack([largest, squares, pair.max(axis=1, initial=0.0)])


def _median_and_mad(y: Array) -> tuple[Array, Array]:
    """Return the median of each column and the median distance from it, from one sort.

    The k values nearest to the median are neighbours in order, so that the k-th smallest distance is the least, over
    all windows of k neighbours, of the distance to the window's farther end.
    """
    x = np.sort(np.ascontiguousarray(y.T), axis=1)
    n = x.shape[1]
    middle = x[:, n // 2] if n % 2 else np.mean(x[:, n // 2 - 1 : n // 2 + 1], axis=1)
    below, above = middle[:, None] - x, x - middle[:, None]

    def nearest(k: int) -> Array:
        return np.asarray(np.maximum(below[:, : n - k + 1], above[:, k - 1 :]).min(axis=1))

    upper = nearest(n // 2 + 1)
    return middle, upper if n % 2 else (nearest(n // 2) + upper) / 2


def _robust_z_of_the_asked(y: Array, u2: Array, n: Array) -> Array:
    """Return the same where some batches have no rows for some questions: those are left out."""
    asked = np.broadcast_to(n > 0, y.shape)
    if not np.isfinite(y[asked]).all():
        raise DataError("robust_z: expected finite scores where a batch has rows")
    y, per_row = np.where(asked, y, np.nan), np.where(asked, 1.0 / np.where(n > 0, n, 1.0), np.nan)
    deviation = y - _known_median(y)
    tau2 = np.maximum((_MAD * _known_median(np.abs(deviation))) ** 2 - u2 * _known_median(per_row), 0.0)
    return _divided(np.nan_to_num(deviation, nan=0.0), tau2 + u2 * np.nan_to_num(per_row, nan=1.0))


def _divided(deviation: Array, variance: Array) -> Array:
    """Return deviation / sqrt(variance); without any spread a batch in the middle lies at 0, any other at infinity."""
    if (variance > 0).all():
        return np.asarray(deviation / np.sqrt(variance))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = deviation / np.sqrt(variance)
    return np.asarray(np.where(deviation == 0, 0.0, z))


def _known_median(values: Array) -> Array:
    """Return the median over batches that have rows; 0 where none has."""
    empty = np.isnan(values).all(axis=0)
    return np.asarray(np.nanmedian(np.where(empty, 0.0, values), axis=0))
