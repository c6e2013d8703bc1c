"""The evidence of drift where rows vary: the rows of the batch are compared with all rows so far.

While all is well the rows are exchangeable, so that a batch is a draw without replacement from the pool that contains
it (`tilt`). With a tolerance, the shares of the batch may lie in a band around those of the reference (`band`). Rows
that hang together (days, customers, sessions) are not exchangeable; `doubts` looks for that in the reference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
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

_LOOKED_AT = 100_000  # rows in which the check for exchangeable rows looks
_OLDEST = 65_535  # batches to which the age of evidence is counted
BETS = 8  # tilts of each question, or atoms of each set
BAND_RISK = 0.05  # the band holds with probability 1 - BAND_RISK over the reference


def start(questions: Questions, tolerance: float) -> Floats:
    """Return the evidence before the first batch, (questions, 8): log C = 0, or log M = -inf where there is a band."""
    if tolerance:
        return np.full((len(questions.set_names), BETS), -np.inf)
    return np.zeros((len(weights(questions)), BETS))


def tilt(
    questions: Questions, log_c: Floats, ages: NDArray[np.uint16], pool: Readings, now: Readings
) -> tuple[Floats, NDArray[np.uint16], Verdict]:
    """Bet that the rows of the batch were not drawn from the pool.

    Parameters
    ----------
    questions, log_c, ages
        What is asked, the evidence before this batch, (questions, 8), and over how many batches it has gathered.
    pool
        Sum of all batches, this one included: one line for each stratum, N = 1 without strata. Rows are exchangeable
        within a stratum, so that the log e-values of strata add up.
    now
        The batch, line by line.
    """
    ages = np.where(log_c > 0, np.minimum(ages, _OLDEST - 1) + 1, 1).astype(np.uint16)
    log_c = log_cusum(log_c, _tilt_bets(questions, pool, now))
    with np.errstate(divide="ignore"):
        evidence = log_c + np.log(weights(questions) / BETS)[:, None]
    features = [f.name for f in questions.numeric]
    names = features * 2 + [name for name in features for _ in CUMULATIVE]
    names += [q.feature for q in questions.shares] + questions.pair_names
    starts = np.take_along_axis(ages, log_c.argmax(axis=1)[:, None], axis=1)[:, 0]
    verdict = Verdict.of(float(evidence.max()), names, log_c.max(axis=1), evidence.max(axis=1), starts=starts)
    return log_c, ages, verdict


@frozen(eq=False)
class Grown:
    """A reference that grows: batches without an alarm join it once they are as many rows as it has.

    Parameters
    ----------
    first
        Sum of the reference at fitting (N = 1): an anchor, which a slow drift cannot move.
    whole
        Sum of all that has joined so far, the first included.
    waiting
        Sum of the batches that wait to join.
    times
        How often the reference has doubled. The k-th bands hold with probability 1 - BAND_RISK/((k + 1)(k + 2)), and
        so all of them with probability 1 - BAND_RISK.
    """

    first: Readings
    whole: Readings
    waiting: Readings
    times: int = 0

    @classmethod
    def of(cls, reference: Readings) -> Grown:
        """Return the reference as fitting found it, N = 1."""
        return cls(reference, reference, reference.nothing())

    def join(self, questions: Questions, now: Readings) -> Grown:
        """Return the reference after a batch without an alarm."""
        waiting = Readings.stack([self.waiting, now]).total()
        if questions.batch_sizes(waiting)[0] < questions.batch_sizes(self.whole)[0]:
            return evolve(self, waiting=waiting)
        whole = Readings.stack([self.whole, waiting]).total()
        return Grown(self.first, whole, waiting.nothing(), self.times + 1)

    def bands(self, questions: Questions, tolerance: float) -> tuple[Floats, Floats]:
        """Return the lowest and highest share in control of each set, where the first bands and the newest agree."""
        bounds = []
        for reference, k in ((self.first, 0), (self.whole, self.times)):
            hits, rows = questions.sets(reference)
            bounds.append(reference_band(hits[0], rows[0], tolerance=tolerance, risk=BAND_RISK / ((k + 1) * (k + 2))))
        low, high = np.maximum(bounds[0][0], bounds[1][0]), np.minimum(bounds[0][1], bounds[1][1])
        apart = low > high
        return np.where(apart, bounds[0][0], low), np.where(apart, bounds[0][1], high)


def band(
    questions: Questions, log_m: Floats, reference: Grown, now: Readings, *, tolerance: float
) -> tuple[Floats, Verdict]:
    """Bet that a share of the batch lies outside the band around the reference's share.

    The band is the exact interval of the reference's share, jointly for all sets, widened by the tolerance (Cohen's h).

    Parameters
    ----------
    questions, log_m
        What is asked, and the evidence before this batch, (sets, 8).
    reference, now
        The reference as it has grown, and the batch (N = 1).
    tolerance
        Cohen's h that is in control.
    """
    hits, rows = questions.sets(now)
    low, high = reference.bands(questions, tolerance)
    one, heard = np.ones_like(low), questions.heard_sets[:, None]
    live = (log_bounded_mean(one, one, low, high) != 0) | (log_bounded_mean(one, 0 * one, low, high) != 0)
    # A dead bet would gain the one unit that every batch adds, and raise an alarm by the clock.
    live &= heard
    log_m = np.where(live, log_shiryaev_roberts(log_m, log_bounded_mean(rows[0], hits[0], low, high)), -np.inf)
    evidence = log_m - np.log(max(int(live.sum()), 1))
    value = float(np.logaddexp.reduce(evidence, axis=None))
    return log_m, Verdict.of(value, questions.set_names, log_m.max(axis=1), evidence.max(axis=1))


def _tilt_bets(questions: Questions, pool: Readings, now: Readings) -> Floats:
    """Return the log e-values, (questions, 8): location, scale, cumulative sets, shares, pairs."""
    f = len(questions.numeric)
    location = np.array([q.location for q in questions.numeric]).reshape(f, N_BINS)
    scale = np.array([q.scale for q in questions.numeric]).reshape(f, N_BINS)
    below, below_pool = np.cumsum(now.bins, axis=2), np.cumsum(pool.bins, axis=2)
    sets, sets_pool = (b[:, :, CUMULATIVE].reshape(len(b), -1) for b in (below, below_pool))
    n, n_pool = (np.repeat(b[:, :, -1], len(CUMULATIVE), axis=1) for b in (below, below_pool))
    bets = [
        log_tilts(now.bins, pool.bins, location),
        log_tilts(now.bins, pool.bins, scale),
        log_share_tilts(sets, n, sets_pool, n_pool),
        log_share_tilts(now.hits, now.rows, pool.hits, pool.rows),
        log_share_tilts(now.same, now.both, pool.same, pool.both),
    ]
    return np.asarray(np.concatenate(bets, axis=1).sum(axis=0))


def weights(questions: Questions) -> Floats:
    """Return the weights of location, scale, cumulative sets, shares and pairs; those that exist add up to 1."""
    singles = questions.class_weights(0.35, 0.20, 0.15, 0.10)
    f = len(questions.numeric)
    heard = questions.heard([feature.name for feature in questions.numeric])
    distinct = (
        np.array([feature.distinct() for feature in questions.numeric], dtype=bool).reshape(f, len(CUMULATIVE))
        & heard[:, None]
    )
    sets = 0.10 * distinct.ravel() / max(int(distinct.sum()), 1)
    pairs = 0.10 * questions.living_pairs / max(int(questions.living_pairs.sum()), 1)
    weights = np.concatenate([singles[: 2 * f], sets, singles[2 * f :], pairs])
    result: Floats = weights / weights.sum()
    return result


def doubts(
    reference: frames.Frame,
    profile: Profile,
    questions: Questions,
    strata: Sequence[str] | None = None,
    *,
    advice: str = "give batch= (a day, say), or alarms will be false",
) -> tuple[str, ...]:
    """Check on the reference itself, of at least 1,000 rows, that rows are exchangeable; say where not, and what to do.

    Chunk means may not vary more, or follow each other more, than those of shuffled rows. Under the null the variance
    ratio of k chunks has mean k - 1 and variance (k - 1)(2 + kurtosis / length), which fix a scaled chi-square; sqrt(k)
    times the chunks' lag-1 autocorrelation (plus 1/k) is standard normal for long chunks. Level .01 in all. Of more
    than 100,000 rows only the first of each chunk are looked at, as many in each.
    """
    n = profile.n_rows
    k = min(n // 50, 50)
    if k < 20:
        return ()
    if n > _LOOKED_AT:
        rows = (np.arange(k)[:, None] * (n // k) + np.arange(_LOOKED_AT // k)).ravel()
        reference, strata = frames.take(reference, rows), strata and [strata[i] for i in rows.tolist()]
    scores = _row_scores(reference, profile, questions)
    found = []
    for name, raw in scores.items():
        values = raw if strata is None else _less_means(raw, strata)
        ratio, p = _chunk_test(values, k)
        if p * len(scores) < 0.01:
            found.append((ratio, name))
    if not found:
        return ()
    worst, name = max(found)
    return (
        f"rows are not exchangeable: chunks of {name!r} vary {worst:.1f} times as much as chance allows "
        f"({len(found)} of {len(scores)} features fail): {advice}",
    )


def _less_means(values: Floats, strata: Sequence[str]) -> Floats:
    """Return the values less the mean of their stratum."""
    means = np.zeros(len(values))
    for _, rows in frames.groups(strata):
        means[rows] = values[rows].mean()
    return values - means


def _chunk_test(values: Floats, k: int) -> tuple[float, float]:
    """Return the variance of k chunk means over its expectation, and a p-value for variance and autocorrelation.

    Where a chunk holds less than about one row that differs from the rest, nothing can be told: p = 1.
    """
    centred, length = values - values.mean(), len(values) / k
    squares = np.square(centred)
    spread = float(squares.mean())
    kurtosis = float(np.square(squares).mean() / spread**2 - 3) if spread else np.inf
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
