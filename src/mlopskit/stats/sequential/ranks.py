"""Ranks that bet: the newest batch among all batches so far, and the evidence that it does not belong there."""

from __future__ import annotations

import numpy as np
from attrs import cmp_using, evolve, field, frozen
from scipy.special import ndtri

from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.sequential.processes import Array, ArrayLike, Bools, log_sum_exp
from mlopskit.stats.state import State, dial

MAX_AGE = 9
"""Starts older than eight batches share the ninth age bet."""
_THETAS = np.array([0.0, 0.1, 0.3])
_DRIFTS = np.array([0.25, 0.5, 1.0, 2.0])
_LOST = 0.1  # what an age bet keeps when it loses
_EDGE = 1e-12  # p-values are clipped to [_EDGE, 1 - _EDGE] before they become normal scores


def smoothed_rank(scores: ArrayLike, u: ArrayLike) -> Array:
    """Return the smoothed rank p-values of the newest batch in the bag of all batches.

    p = (#{y_i > y_t} + u * #{y_i = y_t}) / N, i over the bag with the newest t. For exchangeable batches, a score that
    is symmetric in the bag and independent uniform u, the p-values of one score are independent and uniform, exactly.

    Parameters
    ----------
    scores
        Shape (N, Q): one row per batch, the newest last; one column per question. Ties are counted, so round scores
        that differ only by rounding. NaN: the batch does not hold the question and is left out of its bag.
    u
        Uniform draws in [0, 1), shape (Q,).

    Returns
    -------
    Array
        Shape (Q,), in (0, 1]; small when the newest is high. NaN where the newest batch does not hold the question.

    Raises
    ------
    DataError
        When there is no batch, the shapes do not fit, or a draw lies outside [0, 1].

    References
    ----------
    Vovk, Gammerman and Shafer (2022), on smoothed conformal p-values.

    Examples
    --------
    >>> smoothed_rank([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]], u=[0.3, 0.3]).round(3)
    array([0.1, 0.3])
    """
    y, draws = np.asarray(scores, dtype=float), np.asarray(u, dtype=float)
    if y.ndim != 2 or not len(y) or draws.shape != y.shape[1:]:
        raise DataError(
            f"smoothed_rank: expected scores (N, Q) with N >= 1 and u (Q,); got {y.shape} and {draws.shape}"
        )
    if not ((draws >= 0) & (draws <= 1)).all():
        raise DataError("smoothed_rank: expected draws u in [0, 1]")
    above, level, held = (y > y[-1]).sum(axis=0), (y == y[-1]).sum(axis=0), (~np.isnan(y)).sum(axis=0)
    p = (above + np.maximum(draws, 2.0**-53) * level) / np.maximum(held, 1)
    return np.where(np.isnan(y[-1]), np.nan, p)


def _floats(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)


def _bools(value: ArrayLike) -> Bools:
    return np.asarray(value, dtype=bool)


@frozen
class RankBets(State):
    """The evidence of Q rank processes: bets that an unusual run began k batches ago, and bets on a lasting shift.

    Half of the weight lies on *age bets*: k batches after a change the newest is a uniform pick among the k newest,
    which are the top of N, so for age k and theta in {0, .1, .3} the bet wins when p < b = (floor(theta*(N-k)) + k)/N.
    The other half lies on *shift bets* exp(d*z - d^2/2), z the normal score of p, d in {.25, .5, 1, 2}. Both are e-SR
    processes over the start. P(log M >= log A within T batches) <= T/A per question; over questions of different
    filtrations never average, compare log M_k + log w_k with log A.

    Parameters
    ----------
    age
        Log evidence of the age bets, shape (Q, 2 sides, 3 thetas, 9 ages).
    shift
        Log evidence of the shift bets, shape (Q, 2 sides, 4 shifts).
    two_sided
        Whether low scores count as well as high ones, shape (Q,). One-sided questions use the first side alone.

    Raises
    ------
    ConfigurationError
        When the shapes do not fit.
    StateMismatch
        When `two_sided` was changed after the start.

    References
    ----------
    Vovk, Gammerman and Shafer (2022), on conformal test martingales; Shin, Ramdas and Rinaldo (2023).

    Examples
    --------
    >>> bets = RankBets.start([True])
    >>> for n in range(31, 35):                        # four batches in a row above the thirty before
    ...     bets = bets.update([0.5 / n], n)
    >>> bool(bets.log_values()[0] > np.log(365))
    True
    """

    age: Array = field(converter=_floats, eq=cmp_using(eq=np.array_equal), repr=False)
    shift: Array = field(converter=_floats, eq=cmp_using(eq=np.array_equal), repr=False)
    two_sided: Bools = dial(converter=_bools, eq=cmp_using(eq=np.array_equal))

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        q = self.two_sided.shape
        if len(q) != 1 or self.age.shape != (*q, 2, 3, MAX_AGE) or self.shift.shape != (*q, 2, 4):
            raise ConfigurationError(
                f"RankBets: expected two_sided (Q,), age (Q, 2, 3, {MAX_AGE}) and shift (Q, 2, 4); "
                f"got {q}, {self.age.shape} and {self.shift.shape}"
            )

    @classmethod
    def start(cls, two_sided: ArrayLike) -> RankBets:
        """Return processes without evidence, one per entry of `two_sided`."""
        sides = np.asarray(two_sided, dtype=bool)
        return cls(
            np.full((*sides.shape, 2, len(_THETAS), MAX_AGE), -np.inf),
            np.full((*sides.shape, 2, len(_DRIFTS)), -np.inf),
            sides,
        )

    def update(self, p: ArrayLike, n_bag: ArrayLike) -> RankBets:
        """Return the processes after one more batch.

        Parameters
        ----------
        p
            Rank p-values of the batch, shape (Q,), in [0, 1]. NaN leaves a question as it was.
        n_bag
            Number of batches in the bag, the newest included: one number, or one per question.

        Raises
        ------
        DataError
            When a p-value lies outside [0, 1], or a bag is empty.
        """
        ranks, n = np.asarray(p, dtype=float), np.asarray(n_bag, dtype=float)
        if ranks.shape != self.two_sided.shape or ((ranks < 0) | (ranks > 1)).any():
            raise DataError(f"RankBets: expected p of shape {self.two_sided.shape} in [0, 1]; got shape {ranks.shape}")
        if n.ndim > 1 or not (n >= 1).all():
            raise DataError("RankBets: expected n_bag of at least 1, the newest batch included")
        held = ~np.isnan(ranks)
        sides = np.stack([ranks, 1 - ranks], axis=-1)
        age = self._aged() + _log_age_bets(sides, n)
        z = -ndtri(np.clip(sides, _EDGE, 1 - _EDGE))[..., None]
        shift = np.logaddexp(0.0, self.shift) + _DRIFTS * z - _DRIFTS**2 / 2
        return evolve(
            self,
            age=np.where(held[:, None, None, None], age, self.age),
            shift=np.where(held[:, None, None], shift, self.shift),
        )

    def log_values(self) -> Array:
        """Return log M of each question, shape (Q,); -inf before the first batch."""
        ages = log_sum_exp(self.age.reshape(*self.age.shape[:2], self.age.shape[2] * MAX_AGE), -1) - np.log(
            len(_THETAS)
        )
        shifts = log_sum_exp(self.shift, -1) - np.log(len(_DRIFTS))
        sides = _floats(np.logaddexp(ages, shifts) - np.log(2))
        both = np.logaddexp(sides[:, 0], sides[:, 1]) - np.log(2)
        return _floats(np.where(self.two_sided, both, sides[:, 0]))

    def _aged(self) -> Array:
        """Return the evidence that each age starts from: the age before it, and for the ninth all that are older."""
        new = np.zeros((*self.age.shape[:-1], 1))
        old = np.logaddexp(self.age[..., -2:-1], self.age[..., -1:])
        return np.concatenate([new, self.age[..., :-2], old], axis=-1)


def _log_age_bets(sides: Array, n: Array) -> Array:
    """Return log e of the bets on ages 1..9, shape (Q, 2, 3, 9); E[e] = 1 for uniform p, whatever the share b."""
    k, size = np.arange(1, MAX_AGE + 1), n[..., None, None, None]
    b = np.minimum(1.0, (np.floor(_THETAS[:, None] * (size - k)) + k) / size)
    return np.where(sides[..., None, None] < b, np.log((1 - _LOST) / b + _LOST), np.log(_LOST))
