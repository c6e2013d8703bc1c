"""The evidence of drift where batches vary: the newest batch is ranked among all batches so far.

While all is well the batches are exchangeable, however much they differ. A score that is symmetric in the batches then
puts the newest on a uniform rank, and the ranks of one question are independent. Each question bets on its ranks by
itself (`stats.sequential.RankBets`); questions are combined by weights, never averaged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlopskit.monitoring.questions import Floats, Ints, Questions, Readings, Verdict, angle
from mlopskit.stats.sequential import RankBets, smoothed_rank
from mlopskit.stats.summaries import robust_z

COMBINED = 3  # the largest score, the sum of squares, the largest pair
DESCRIBED = 30  # batches that a change is looked for in, when it is described


def start(questions: Questions) -> RankBets:
    """Return bets without evidence: both sides of every single question, the upper side of the combined ones."""
    return RankBets.start(np.repeat([True, False], [len(questions.living()), COMBINED]))


def step(
    questions: Questions, bets: RankBets, pool: Readings, *, u: Floats, recent: int, log_limit: float
) -> tuple[RankBets, Verdict]:
    """Rank the newest batch among all batches, question by question.

    Parameters
    ----------
    questions, bets
        What is asked, and the evidence before this batch.
    pool
        All batches, the newest last.
    u
        Uniform draws that break ties, shape (Q,): single questions, largest, sum, pair.
    recent
        Batches since the evidence started; a change is described over at most 30 of them.
    log_limit
        Log of the alarm limit.
    """
    scores, sizes = questions.scores(pool)
    z = np.where(questions.living(), robust_z(scores, questions.noise(), sizes), 0.0)
    pairs = robust_z(angle(pool.same, pool.both), np.full(pool.same.shape[1], 0.25), pool.both)
    away = np.concatenate([np.abs(z), _shape_z(pool.bins)], axis=1)
    squares = np.square(np.minimum(np.abs(z), 8)).sum(axis=1)
    # Ties count as ties only after rounding: sums differ in the last bits.
    ranked = np.round(np.column_stack([z, away.max(axis=1), squares, np.abs(pairs).max(axis=1, initial=0.0)]), 9)
    bets = bets.update(smoothed_rank(ranked, u), len(pool))
    with np.errstate(divide="ignore"):
        evidence = bets.log_values() + np.log(_weights(questions))
    strength, ages = _stand_out(np.concatenate([z, pairs], axis=1)[-min(recent, DESCRIBED) :])
    over = np.flatnonzero(evidence[:-COMBINED] >= log_limit)
    names = [*questions.names(), *questions.pair_names]
    return bets, Verdict.of(float(evidence.max()), names, strength, ages, over)


def _weights(questions: Questions) -> Floats:
    """Return the weights of the single questions, then of the largest, the summed and the largest pair score."""
    singles = questions.class_weights(0.40, 0.25, 0.25, 0.10)
    pair = 0.15 if questions.pairs else 0.0
    weights = np.concatenate([0.45 * singles / singles.sum(), [0.30, 0.10, pair]])
    result: Floats = weights / weights.sum()
    return result


def _shape_z(bins: Ints) -> Floats:
    """Return how unusual the shape of each numeric feature is in each batch, (N, F), robustly standardised.

    The chi-square distance of a batch's bin shares from their mean, by its cube root close to normal (Wilson and
    Hilferty 1931), whose noise for k degrees of freedom is 2 / (9 k) on the scale of cbrt(chi2 / k).
    """
    n = bins.sum(axis=2)
    shares = bins / np.maximum(n, 1)[:, :, None]
    mean = shares.mean(axis=0)
    k = np.maximum((mean > 0).sum(axis=1) - 1, 1)
    squares = np.einsum("nfb,nfb,fb->nf", shares, shares, 1 / np.where(mean > 0, mean, 1.0))
    distance = n * np.maximum(squares - 2 * (n > 0) + mean.sum(axis=1), 0.0)  # sum of (share - mean)^2 / mean
    return robust_z(np.cbrt(distance / k), 2 / (9 * k), np.ones(len(n)))


def _stand_out(z: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return, for each question, the largest |sum of the newest k scores| / sqrt(k), and that k: where it began."""
    length = np.arange(1, len(z) + 1)
    sums = np.abs(np.cumsum(z[::-1], axis=0)) / np.sqrt(length)[:, None]
    best = sums.argmax(axis=0)
    return sums[best, np.arange(z.shape[1])], length[best]
