"""The evidence of drift where rows vary: the rows of the batch are compared with all rows so far.

While all is well the rows are exchangeable, so that a batch is a draw without replacement from the pool that contains
it (`tilt`). With a tolerance, the shares of the batch may lie in a band around those of the reference (`band`). Rows
that hang together (days, customers, sessions) are not exchangeable; `doubts` looks for that in the reference.
"""

from __future__ import annotations

import numpy as np
from scipy.special import chdtrc, ndtr

from mlopskit import frames
from mlopskit.monitoring.questions import CUMULATIVE, N_BINS, Floats, Questions, Readings, Verdict
from mlopskit.profiling import Profile
from mlopskit.stats.sequential import (
    log_bounded_mean,
    log_cusum,
    log_share_tilts,
    log_shiryaev_roberts,
    log_tilts,
    reference_band,
)

BETS = 8  # tilts of each question, or atoms of each set
BAND_RISK = 0.05  # the band holds with probability 1 - BAND_RISK over the reference


def start(questions: Questions, tolerance: float) -> Floats:
    """Return the evidence before the first batch, (questions, 8): log C = 0, or log M = -inf where there is a band."""
    if tolerance:
        return np.full((len(questions.set_names), BETS), -np.inf)
    return np.zeros((len(_weights(questions)), BETS))


def tilt(
    questions: Questions, log_c: Floats, pool: Readings, now: Readings, *, log_limit: float
) -> tuple[Floats, Verdict]:
    """Bet that the rows of the batch were not drawn from the pool.

    Parameters
    ----------
    questions, log_c
        What is asked, and the evidence before this batch, (questions, 8).
    pool
        Sum of all batches (N = 1), this one included.
    now
        The batch (N = 1).
    log_limit
        Log of the alarm limit.
    """
    log_c = log_cusum(log_c, _tilt_bets(questions, pool, now))
    with np.errstate(divide="ignore"):
        evidence = log_c + np.log(_weights(questions) / BETS)[:, None]
    features = [f.name for f in questions.numeric]
    names = features * 2 + [name for name in features for _ in CUMULATIVE]
    names += [q.feature for q in questions.shares] + questions.pair_names
    return log_c, _verdict(float(evidence.max()), names, log_c, evidence, log_limit)


def band(
    questions: Questions, log_m: Floats, reference: Readings, now: Readings, *, tolerance: float, log_limit: float
) -> tuple[Floats, Verdict]:
    """Bet that a share of the batch lies outside the band around the reference's share.

    The band is the exact interval of the reference's share, jointly for all sets, widened by the tolerance (Cohen's h).

    Parameters
    ----------
    questions, log_m
        What is asked, and the evidence before this batch, (sets, 8).
    reference, now
        Sum of the reference, and the batch (each N = 1).
    tolerance, log_limit
        Cohen's h that is in control, and the log of the alarm limit.
    """
    (k, n), (hits, rows) = questions.sets(reference), questions.sets(now)
    low, high = reference_band(k[0], n[0], tolerance=tolerance, risk=BAND_RISK)
    one = np.ones_like(low)
    live = (log_bounded_mean(one, one, low, high) != 0) | (log_bounded_mean(one, 0 * one, low, high) != 0)
    # A dead bet would gain the one unit that every batch adds, and raise an alarm by the clock.
    log_m = np.where(live, log_shiryaev_roberts(log_m, log_bounded_mean(rows[0], hits[0], low, high)), -np.inf)
    evidence = log_m - np.log(max(int(live.sum()), 1))
    value = float(np.logaddexp.reduce(evidence, axis=None))
    return log_m, _verdict(value, questions.set_names, log_m, evidence, log_limit)


def _verdict(log_value: float, names: list[str], logs: Floats, evidence: Floats, log_limit: float) -> Verdict:
    over = np.flatnonzero(evidence.max(axis=1) >= log_limit)
    return Verdict.of(log_value, names, logs.max(axis=1), np.ones(len(names), dtype=np.intp), over)


def _tilt_bets(questions: Questions, pool: Readings, now: Readings) -> Floats:
    """Return the log e-values, (questions, 8): location, scale, cumulative sets, shares, pairs."""
    f = len(questions.numeric)
    location = np.array([q.location for q in questions.numeric]).reshape(f, N_BINS)
    scale = np.array([q.scale for q in questions.numeric]).reshape(f, N_BINS)
    below, below_pool = np.cumsum(now.bins[0], axis=1), np.cumsum(pool.bins[0], axis=1)
    sets, sets_pool = below[:, CUMULATIVE].ravel(), below_pool[:, CUMULATIVE].ravel()
    n, n_pool = (np.repeat(b[:, -1], len(CUMULATIVE)) for b in (below, below_pool))
    bets = [
        log_tilts(now.bins[0], pool.bins[0], location),
        log_tilts(now.bins[0], pool.bins[0], scale),
        log_share_tilts(sets, n, sets_pool, n_pool),
        log_share_tilts(now.hits[0], now.rows[0], pool.hits[0], pool.rows[0]),
        log_share_tilts(now.same[0], now.both[0], pool.same[0], pool.both[0]),
    ]
    return np.concatenate(bets)


def _weights(questions: Questions) -> Floats:
    """Return the weights of location, scale, cumulative sets, shares and pairs; those that exist add up to 1."""
    singles = questions.class_weights(0.35, 0.20, 0.15, 0.10)
    f = len(questions.numeric)
    distinct = np.array([feature.distinct() for feature in questions.numeric], dtype=np.float64).ravel()
    sets = 0.10 * distinct / max(distinct.sum(), 1)
    pairs = np.full(len(questions.pairs), 0.10 / max(len(questions.pairs), 1))
    weights = np.concatenate([singles[: 2 * f], sets, singles[2 * f :], pairs])
    result: Floats = weights / weights.sum()
    return result


def doubts(reference: frames.Frame, profile: Profile, questions: Questions) -> tuple[str, ...]:
    """Check on the reference itself, of at least 1,000 rows, that rows are exchangeable.

    Chunk means may not vary more, or follow each other more, than those of shuffled rows. Under the null the variance
    ratio of k chunks has mean k - 1 and variance (k - 1)(2 + kurtosis / length), which fix a scaled chi-square; sqrt(k)
    times the chunks' lag-1 autocorrelation (plus 1/k) is standard normal for long chunks. Level .01 in all.
    """
    n = profile.n_rows
    k = min(n // 50, 50)
    if k < 20:
        return ()
    scores = _row_scores(reference, profile, questions)
    found = []
    for name, values in scores.items():
        ratio, p = _chunk_test(values, k)
        if p * len(scores) < 0.01:
            found.append((ratio, name))
    if not found:
        return ()
    worst, name = max(found)
    return (
        f"rows are not exchangeable: chunks of {name!r} vary {worst:.1f} times as much as chance allows "
        f"({len(found)} of {len(scores)} features fail): give batch= (a day, say), or alarms will be false",
    )


def _chunk_test(values: Floats, k: int) -> tuple[float, float]:
    """Return the variance of k chunk means over its expectation, and a p-value for variance and autocorrelation.

    Where a chunk holds less than about one row that differs from the rest, nothing can be told: p = 1.
    """
    centred, length = values - values.mean(), len(values) / k
    spread = float(np.square(centred).mean())
    kurtosis = float(np.power(centred, 4).mean() / spread**2 - 3) if spread else np.inf
    if kurtosis > length:
        return 1.0, 1.0
    means = np.array([part.mean() for part in np.array_split(centred, k)])
    ratio = float(np.square(means).sum() / spread * length)
    scale = 1 + kurtosis / (2 * length)
    follow = float(means[:-1] @ means[1:] / max(np.square(means).sum(), 1e-300))
    p = min(float(chdtrc((k - 1) / scale, ratio / scale)), float(ndtr(-(follow + 1 / k) * k**0.5)))
    return ratio / (k - 1), 2 * p


def _row_scores(reference: frames.Frame, profile: Profile, questions: Questions) -> dict[str, Floats]:
    """Return one score per row and feature: the location score, or whether the most frequent level is there."""
    columns = {c.name: c for c in frames.columns(reference)}
    numeric = {f.name: f for f in questions.numeric}
    scores = {}
    for name in dict.fromkeys(questions.names):
        place = profile.binning[name].place(columns[name])
        if name in numeric:
            feature = numeric[name]
            score = feature.location[np.searchsorted(feature.cuts, place, side="left").clip(max=N_BINS - 1)]
            scores[name] = np.where(place < 0, 0.0, score)
        else:
            scores[name] = (place == profile[name].counts.argmax()).astype(np.float64)
    return scores
