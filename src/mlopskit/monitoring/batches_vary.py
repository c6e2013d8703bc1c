"""The evidence of drift where batches vary: the newest batch is ranked among all batches so far.

While all is well the batches are exchangeable, however much they differ. A score that is symmetric in the batches then
puts the newest on a uniform rank, and the ranks of one question are independent. Each question bets on its ranks by
itself (`stats.sequential.RankBets`); questions are combined by weights, never averaged.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from attrs import define, evolve, field, frozen
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from mlopskit.monitoring.questions import Floats, Questions, Readings, Verdict, angle
from mlopskit.stats.sequential import RankBets, combined_scores, log_union, robust_z, shape_scores, smoothed_rank

COMBINED = 3  # the largest score, the sum of squares, the largest pair
OWN = 0.10  # weight of the user's statistics together, beside 1 for the rest
FOLLOWED = 10  # reference batches from which their order is looked at
DESCRIBED = 30  # batches that a change is looked for in, when it is described


@define(eq=False)
class _Rows:
    """Room for the rows of an array that grows; written rows never change, so that older views hold."""

    room: NDArray[Any]
    used: int = 0

    def add(self, held: NDArray[Any], new: NDArray[Any]) -> tuple[_Rows, NDArray[Any]]:
        """Return `held` with one more row, and its room: the same where nobody else has written there."""
        n, rows = len(held), self
        if rows.used != n or n == len(rows.room):
            rows = _Rows(np.empty((2 * n + 8, *held.shape[1:]), held.dtype), n)
            rows.room[:n] = held
        rows.room[n], rows.used = new[0], n + 1
        return rows, rows.room[: n + 1]


@frozen(eq=False)
class Scored:
    """The batches of the bag, each scored once: what is computed anew with every batch starts from here.

    Parameters
    ----------
    readings
        The counts of N batches, the newest last.
    singles, sizes
        Shape (N, Q): signed scores of the single questions, and the rows behind each.
    shares
        Shape (N, F, 20): shares of the twentieths of each numeric feature.
    pairs
        Shape (N, P): angle of the concordance of each pair.
    """

    readings: Readings
    singles: Floats
    sizes: Floats
    shares: Floats
    pairs: Floats
    _room: tuple[_Rows, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, questions: Questions, readings: Readings, *, drawn: bool = True) -> Self:
        """Score batches, or what is expected of them; each by itself, so that it does not matter how many at once."""
        singles, sizes = questions.scores(readings, drawn=drawn)
        n = np.maximum(readings.bins.sum(axis=2, keepdims=True), 1)
        pairs = angle(readings.same, readings.both)
        return cls(readings, singles, sizes.astype(np.float64), readings.bins / n, pairs)

    def add(self, questions: Questions, now: Readings) -> Scored:
        """Return the bag with one batch more."""
        held, new = self._arrays, Scored.of(questions, now)._arrays
        room = self._room or tuple(_Rows(a[:0]) for a in held)
        room, arrays = zip(*(r.add(a, b) for r, a, b in zip(room, held, new, strict=True)), strict=True)
        singles, sizes, shares, pairs = arrays[-4:]
        return Scored(Readings(*arrays[:-4]), singles, sizes, shares, pairs, room)

    def beside(self, questions: Questions, strata: Readings) -> Scored:
        """Return the scores less those that the mix of strata of each batch explains; shares keep their mean."""
        expected = Scored.of(questions, questions.mixed(self.readings.mix, strata), drawn=False)
        return evolve(
            self,
            singles=self.singles - expected.singles,
            shares=self.shares - expected.shares + expected.shares.mean(axis=0),
            pairs=self.pairs - expected.pairs,
            room=(),
        )

    @property
    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return (*self.readings.arrays, self.singles, self.sizes, self.shares, self.pairs)


def start(questions: Questions) -> RankBets:
    """Return bets without evidence: both sides of every single question, the upper side of the combined ones."""
    return RankBets.start(np.repeat([True, False], [len(questions.living) + len(questions.own), COMBINED]))


def step(questions: Questions, bets: RankBets, bag: Scored, *, u: Floats, recent: int) -> tuple[RankBets, Verdict]:
    """Rank the newest batch among all batches, question by question.

    Parameters
    ----------
    questions, bets
        What is asked, and the evidence before this batch.
    bag
        All batches, the newest last.
    u
        Uniform draws that break ties, shape (Q,): single questions, largest, sum, pair.
    recent
        Batches since the evidence started; a change is described over at most 30 of them.
    """
    z = np.where(questions.living, robust_z(bag.singles, questions.noise, bag.sizes), 0.0)
    n_pairs = bag.pairs.shape[1]
    pairs = robust_z(bag.pairs, np.full(n_pairs, 0.25), bag.readings.both) if n_pairs else bag.pairs
    pairs = np.where(questions.living_pairs, pairs, 0.0)
    combined = combined_scores(z, _shape_z(questions, bag), pairs)
    own = bag.readings.own
    # Ties count as ties only after rounding: sums differ in the last bits.
    ranked = np.round(np.concatenate([z, own, combined], axis=1), 9)
    bets = bets.update(smoothed_rank(ranked, u), len(z))
    evidence = log_union(bets.log_values(), weights(questions))
    own_z = robust_z(own, np.zeros(own.shape[1]), np.ones(len(own))) if own.shape[1] else own
    own_z = np.where(questions.heard(questions.own), own_z, 0.0)
    strength, ages = _stand_out(np.concatenate([z, own_z, pairs], axis=1)[-min(recent, DESCRIBED) :])
    names = [*questions.names, *questions.own, *questions.pair_names]
    return bets, Verdict.of(float(evidence.max()), names, strength, evidence[:-COMBINED], ages=ages, starts=ages)


def follow(
    questions: Questions, bag: Scored, rng: np.random.Generator, shuffles: int, *, level: float = 0.002
) -> tuple[str, ...]:
    """Say whether the batches of the reference follow one another, against as many random orders of them.

    The lag-1 autocorrelation of the normal scores of each question's ranks; the largest over the questions is compared
    with the largest in each random order, which is exact for exchangeable batches.
    """
    n = len(bag.singles)
    if n < FOLLOWED:
        return ()
    scores = bag.singles[:, questions.living]
    z = ndtri((rankdata(scores, axis=0) - 0.5) / n)
    z = z / np.sqrt(np.maximum(np.square(z).sum(axis=0), 1e-300))
    largest = np.array([_lag(z[rng.permutation(n)]).max(initial=0.0) for _ in range(shuffles)])
    lag = _lag(z)
    worst = int(lag.argmax()) if lag.size else 0
    if not lag.size or (1 + int((largest >= lag[worst]).sum())) / (shuffles + 1) > level:
        return ()
    names = [name for name, asked in zip(questions.names, questions.living, strict=True) if asked]
    usual = float(np.quantile(largest, 1 - level))
    others = len({names[i] for i in np.flatnonzero(lag > usual)})
    return (
        f"batches follow one another: {names[worst]!r} goes with that of the batch before (correlation "
        f"{lag[worst]:.2f}, luck reaches {usual:.2f}; {others} of {len(set(names))} features): alarms will come more "
        "often than promised; use longer batches, or strata=",
    )


def _lag(z: Floats) -> Floats:
    return np.asarray((z[1:] * z[:-1]).sum(axis=0))


def weights(questions: Questions) -> Floats:
    """Return the weights of the single questions, the user's, the largest, the summed and the largest pair score."""
    singles = questions.class_weights(0.40, 0.25, 0.25, 0.10)
    alive, pair = float(singles.any()), float(questions.living_pairs.any())
    heard = questions.heard(questions.own)
    own = OWN * heard / max(int(heard.sum()), 1)
    combined = np.array([0.30 * alive, 0.10 * alive, 0.15 * pair])
    weights = np.concatenate([0.45 * singles / max(singles.sum(), 1e-300), own, combined])
    result: Floats = weights / weights.sum()
    return result


def _shape_z(questions: Questions, bag: Scored) -> Floats:
    """Return how unusual the shape of each numeric feature is in each batch, (N, F), robustly standardised."""
    n_features = bag.shares.shape[1]
    if not n_features:
        return np.zeros((len(bag.shares), 0))
    distance = shape_scores(bag.shares, bag.sizes[:, :n_features])
    k = np.maximum((bag.shares > 0).any(axis=0).sum(axis=1) - 1, 1)
    z = robust_z(distance, 2 / (9 * k), np.ones(len(distance)))
    return np.where(questions.heard([f.name for f in questions.numeric]), z, 0.0)


def _stand_out(z: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return, for each question, the largest |sum of the newest k scores| / sqrt(k), and that k: where it began."""
    length = np.arange(1, len(z) + 1)
    sums = np.abs(np.cumsum(z[::-1], axis=0)) / np.sqrt(length)[:, None]
    best = sums.argmax(axis=0)
    return sums[best, np.arange(z.shape[1])], length[best]
