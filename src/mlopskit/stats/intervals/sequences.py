"""Confidence sequences: intervals that hold at every n at once, however often one looks and whenever one stops.

- `beta_mixture`: a mean in [0, 1] from its sum alone; the choice for 0/1 scores.
- `EmpiricalBernstein`: a bounded mean from (n, sum, sum of squares) of each batch; narrower where the spread is small.
- `BettingSequence`: a bounded mean from its values; the narrowest for tens to hundreds of values, and the dearest.
- `AsymptoticSequence`: any mean with a variance; valid in the limit, silent before 100 values.

Each state has a fixed size, whatever it has seen.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from attrs import cmp_using, field, frozen
from scipy.special import betaln, expit, log_expit

from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.intervals.base import Array, ArrayLike, Interval, numbers, share_interval, within
from mlopskit.stats.state import State, dial
from mlopskit.stats.summaries import Moments

N_CANDIDATES = 1_000
"""Steps of the grid of candidate means of a `BettingSequence`; its ends are rounded outwards by one step."""
BURN_IN = 100
"""Values that an `AsymptoticSequence` waits for."""
_BOLDEST = 0.75  # the largest stake, as a share of what could be lost
_ROWS_AT_ONCE = 64  # rows of a betting sequence that meet all candidates at once
_SAME = cmp_using(eq=np.array_equal)

Side = Literal["both", "lower", "upper"]


def beta_mixture(s: ArrayLike, n: ArrayLike, alpha: float = 0.05) -> Interval:
    """Return the beta-mixture confidence sequence of a mean in [0, 1]: valid at every n at once.

    log e(m) = betaln(a+s, b+n-s) - betaln(a, b) - s*log(m) - (n-s)*log(1-m) with a = b = 1/2, and the set of m with
    log e(m) < log(1/alpha). P(the mean is ever outside) <= alpha, however often one looks and whenever one stops.

    Parameters
    ----------
    s
        Sum of scores in [0, 1] (for 0/1 outcomes the number of ones), 0 <= s <= n; scalar or array.
    n
        How many scores.
    alpha
        Probability of ever missing the mean, in (0, 1).

    Returns
    -------
    Interval
        With level 1 - alpha; [0, 1] for n = 0.

    Raises
    ------
    DataError
        When not 0 <= s <= n.
    ConfigurationError
        When alpha lies outside (0, 1).

    References
    ----------
    Howard, Ramdas, McAuliffe and Sekhon (Annals of Statistics 2021), beta-binomial mixture; Robbins (1970).

    Examples
    --------
    >>> print(beta_mixture(80, 100))
    0.8 [0.6484, 0.909] (95%, n=100, beta-mixture)
    """
    s, n = within("beta_mixture", s, n)
    if not 0 < alpha < 1:
        raise ConfigurationError(f"beta_mixture: alpha={alpha!r}: expected a probability between 0 and 1")
    ends = _mixture_ends(s, n, betaln(0.5 + s, 0.5 + n - s) - betaln(0.5, 0.5) + np.log(alpha))
    low, high = np.where(s == 0, 0.0, ends[0]), np.where(s == n, 1.0, ends[1])
    return share_interval(s, n, low, high, 1 - alpha, "beta-mixture", "anytime")


def _mixture_ends(s: Array, n: Array, limit: Array) -> Array:
    """Return both means where limit - s*log(m) - (n-s)*log(1-m) = 0, from outside, by Newton on the log-odds.

    There the function is convex, so that no step passes its zero; with limit/s and -limit/(n-s) as log-odds it is
    above 0.
    """
    with np.errstate(all="ignore"):  # s = 0 and s = n have no such mean
        theta = np.stack([limit / s, -limit / (n - s)])
        for _ in range(100):
            height = limit - s * theta - n * log_expit(-theta)
            moved = theta - height / (n * expit(theta) - s)
            on = (height > 0) & np.isfinite(moved) & (moved != theta)
            if not on.any():
                break
            theta = np.where(on, moved, theta)
        return np.asarray(expit(theta))


@frozen
class _Sequence(State):
    """What all states share: the dials, and which sides the risk is spent on."""

    alpha: float = dial(default=0.05, kw_only=True)
    side: Side = dial(default="both", kw_only=True)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        name = type(self).__name__
        if not 0 < self.alpha < 1:
            raise ConfigurationError(f"{name}: alpha={self.alpha!r}: expected a probability between 0 and 1")
        if self.side not in ("both", "lower", "upper"):
            raise ConfigurationError(f"{name}: side={self.side!r}: expected 'both', 'lower' or 'upper'")

    @property
    def _log_risk(self) -> float:
        """log(1/alpha) for each side that is used."""
        return math.log((2 if self.side == "both" else 1) / self.alpha)


@frozen
class _Bounded(_Sequence):
    """A sequence for values in [lower, upper]."""

    lower: float = dial(default=0.0, kw_only=True)
    upper: float = dial(default=1.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if not (self.lower < self.upper and math.isfinite(self.upper - self.lower)):
            raise ConfigurationError(
                f"{type(self).__name__}: lower={self.lower!r}, upper={self.upper!r}: expected finite lower < upper"
            )

    def _unit(self, values: ArrayLike) -> Array:
        """Return values that are known to lie in [lower, upper], moved to [0, 1]; NaN does not."""
        x = numbers(type(self).__name__, values)
        if x.ndim != 1 or (len(x) and not (x.min() >= self.lower and x.max() <= self.upper)):
            raise DataError(
                f"{type(self).__name__}: expected values of shape (n,) in [{self.lower:g}, {self.upper:g}]; "
                f"got shape {x.shape} or one outside (or NaN)"
            )
        if self.lower == 0 and self.upper == 1:
            return x
        return np.asarray((x - self.lower) / (self.upper - self.lower))

    def _interval(self, mean: float, low: float, high: float, n: int, method: str) -> Interval:
        """Move an interval from [0, 1] to the scale of the values: what is not asked for is the whole range."""
        low = 0.0 if self.side == "upper" else min(max(low, 0.0), mean)
        high = 1.0 if self.side == "lower" else max(min(high, 1.0), mean)
        width = self.upper - self.lower
        mean, low, high = (min(self.lower + width * end, self.upper) for end in (mean, low, high))
        return Interval(mean, low, high, 1 - self.alpha, n, method, "anytime")


@frozen
class EmpiricalBernstein(_Bounded):
    """The empirical Bernstein confidence sequence of a bounded mean, batch by batch from three sums.

    For x in [0, 1] (others are scaled), with a stake lam < 1 and a centre c that are fixed before each batch:
    sum(lam*x)/sum(lam) -+ (log(2/alpha) + sum(psi(lam) * (x - c)^2)) / sum(lam), psi(lam) = -log(1 - lam) - lam.
    It covers the mean of the rows' conditional means (given the past, with lam as weights), so their mean when that is
    constant; rows of a batch must be independent given the past, and how many they are must not depend on their values.

    Parameters
    ----------
    alpha
        Probability of ever missing the mean, in (0, 1).
    side
        "both", or "lower" or "upper" to spend all of alpha on that end; the other is then the range's.
    lower, upper
        The range of the values.
    n, total, squares
        Rows so far, and their sum and sum of squares on the scale [0, 1].
    stakes, weighted, cost
        Sums over rows of lam, lam*x and psi(lam)*(x - c)^2.

    Raises
    ------
    ConfigurationError
        When a dial lies outside its range.
    StateMismatch
        When a dial was turned after the start.

    References
    ----------
    Waudby-Smith and Ramdas (JRSS B 2024), theorem 2, with the stakes that follow it fixed for a batch at a time;
    Howard, Ramdas, McAuliffe and Sekhon (Annals of Statistics 2021), theorem 4.

    Examples
    --------
    >>> state = EmpiricalBernstein(alpha=0.05)
    >>> for day in range(20):
    ...     state = state.update(np.random.default_rng(day).beta(2, 18, 500))
    >>> print(state.interval())
    0.09942 [0.0967, 0.1018] (95%, n=10000, empirical Bernstein)
    """

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    stakes: float = 0.0
    weighted: float = 0.0
    cost: float = 0.0

    def update(self, values: ArrayLike) -> EmpiricalBernstein:
        """Return the state after one more batch of values, shape (n,) in [lower, upper].

        Raises
        ------
        DataError
            When a value lies outside the range.
        """
        x = self._unit(values)
        return self._add(len(x), float(x.sum()), float(x.dot(x))) if len(x) else self

    def update_sums(self, n: int, total: float, squares: float) -> EmpiricalBernstein:
        """Return the state after one more batch, given its number of rows, their sum and their sum of squares.

        Where the range is narrow and far from 0 the squares lose digits; what is lost counts as spread, so the interval
        widens and stays valid. `update` loses none.

        Raises
        ------
        DataError
            When no values in [lower, upper] have such sums.
        """
        low, width = self.lower, self.upper - self.lower
        offset = low / width
        s = total / width - n * offset
        q = squares / width / width - 2 * offset * (total / width) + n * offset * offset
        slack = 1e-9 * n * (1 + abs(offset))
        if not (
            n >= 0
            and float(n).is_integer()
            and -slack <= s <= n + slack
            and s * s / max(n, 1) - slack <= q <= s + slack
        ):
            raise DataError(
                f"EmpiricalBernstein: no {n} values in [{self.lower:g}, {self.upper:g}] have sum {total:g} and sum of "
                f"squares {squares:g}"
            )
        s = min(max(s, 0.0), float(n))
        lost = 1e-14 * n * offset * offset
        return self._add(int(n), s, min(max(q + lost, s * s / n), s)) if n else self

    def _add(self, n: int, s: float, q: float) -> EmpiricalBernstein:
        """Return the state after n rows with sum s and sum of squares q on the scale [0, 1]."""
        centre = (0.5 + self.total) / (self.n + 1)
        variance = max((0.5 + self.squares) / (self.n + 1) - centre**2, 1e-4)  # a first value of 1/2 with variance 1/4
        rows = self.n + n
        lam = min(math.sqrt(2 * self._log_risk / (variance * rows * math.log1p(rows))), _BOLDEST)
        psi = -math.log1p(-lam) - lam
        return self._next(
            n=rows,
            total=self.total + s,
            squares=self.squares + q,
            stakes=self.stakes + lam * n,
            weighted=self.weighted + lam * s,
            cost=self.cost + psi * max(q - 2 * centre * s + n * centre**2, 0.0),
        )

    def interval(self) -> Interval:
        """Return the mean so far with its interval; the whole range before the first row."""
        if not self.n:
            return Interval(math.nan, self.lower, self.upper, 1 - self.alpha, 0, "empirical Bernstein", "anytime")
        centre, half = self.weighted / self.stakes, (self._log_risk + self.cost) / self.stakes
        mean = min(self.total / self.n, 1.0)
        return self._interval(mean, centre - half, centre + half, self.n, "empirical Bernstein")


@frozen
class AsymptoticSequence(_Sequence):
    """The asymptotic confidence sequence of the mean of independent values with a finite variance.

    mean -+ sd * sqrt(2(n*r + 1)/(n^2*r) * log(sqrt(n*r + 1)/alpha)) for two sides, the normal mixture of Robbins with r
    chosen to be narrowest near `tight_at` values; one side with log(1 + sqrt(n*r + 1)/(2*alpha)).
    The promise holds in the limit, for means that are close to normal from the first look on: the result says
    "asymptotic". Measured at .05, looking from the 100th to the 10,000th value: normal values .02, exponential .03,
    lognormal .07, shares of .02 in .20 of runs (for shares take `beta_mixture`). Constant values have width 0.

    Parameters
    ----------
    alpha
        Probability of ever missing the mean, in (0, 1), in the limit.
    side
        "both", or "lower" or "upper" to spend all of alpha on that end; the other is then infinite.
    tight_at
        Number of values at which the interval is to be narrowest, at least 100.
    moments
        Count, mean and squared deviations so far.

    Raises
    ------
    ConfigurationError
        When a dial lies outside its range.
    StateMismatch
        When a dial was turned after the start.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence
    sequences" (Annals of Statistics 2024), theorem 2.2, and its appendix for one side and the choice of r.

    Examples
    --------
    >>> state = AsymptoticSequence().update(np.random.default_rng(0).exponential(2.0, 5_000))
    >>> print(state.interval())
    2.03 [1.938, 2.121] (95%, n=5000, asymptotic)
    """

    tight_at: int = dial(default=1_000, kw_only=True)
    moments: Moments = field(factory=Moments)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.tight_at < BURN_IN:
            raise ConfigurationError(f"AsymptoticSequence: tight_at={self.tight_at!r}: expected at least {BURN_IN}")

    def update(self, values: ArrayLike) -> AsymptoticSequence:
        """Return the state after one more batch of finite values, shape (n,).

        Raises
        ------
        DataError
            When a value is not finite.
        """
        x = numbers("AsymptoticSequence", values)
        if x.ndim != 1 or not np.isfinite(x).all():
            raise DataError(f"AsymptoticSequence: expected finite values of shape (n,); got shape {x.shape} or others")
        return self._next(moments=self.moments + Moments.of(x))

    def interval(self) -> Interval:
        """Return the mean so far with its interval; (-inf, inf) before 100 values."""
        m, method = self.moments, "asymptotic"
        if m.n < BURN_IN:
            return Interval(m.mean if m.n else math.nan, -math.inf, math.inf, 1 - self.alpha, m.n, method, "asymptotic")
        a = self.alpha if self.side == "both" else 2 * self.alpha
        twice = -2 * math.log(min(a, 0.5))
        r = (twice + math.log1p(twice)) / self.tight_at
        v = m.n * r + 1
        log_term = math.log(math.sqrt(v) / self.alpha) if self.side == "both" else math.log1p(math.sqrt(v) / a)
        half = math.sqrt(m.squares / m.n) * math.sqrt(2 * v / (m.n**2 * r) * log_term)
        low = -math.inf if self.side == "upper" else m.mean - half
        high = math.inf if self.side == "lower" else m.mean + half
        return Interval(m.mean, low, high, 1 - self.alpha, m.n, method, "asymptotic")


@frozen
class BettingSequence(_Bounded):
    """The confidence sequence of a bounded mean by betting against every candidate mean at once.

    For each candidate m on a grid a gambler bets that the mean is above it, K+ = prod(1 + lam_i (x_i - m)), another
    that it is below, K- = prod(1 - lam_i (x_i - m)); lam_i comes from the values before i and never risks more than
    3/4. m is refuted while K+ or K- is at least 2/alpha (1/alpha where one side is asked for). Values may depend on the
    past as long as their mean, given the past, does not.

    Parameters
    ----------
    alpha
        Probability of ever missing the mean, in (0, 1).
    side
        "both", or "lower" or "upper" to spend all of alpha on that end; the other is then the range's.
    lower, upper
        The range of the values.
    n, total, squares
        Values so far, and their sum and sum of squares on the scale [0, 1].
    log_above, log_below
        Log capitals against each of the 1,001 candidates.

    Raises
    ------
    ConfigurationError
        When a dial lies outside its range.
    StateMismatch
        When a dial was turned after the start.

    References
    ----------
    Waudby-Smith and Ramdas (JRSS B 2024), theorem 3: the hedged capital process with predictable plug-in stakes.

    Examples
    --------
    >>> state = BettingSequence(alpha=0.05).update(np.random.default_rng(0).beta(2, 18, 60))
    >>> print(state.interval())
    0.09238 [0.059, 0.165] (95%, n=60, betting)
    """

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    log_above: Array = field(factory=lambda: np.zeros(N_CANDIDATES + 1), eq=_SAME, repr=False)
    log_below: Array = field(factory=lambda: np.zeros(N_CANDIDATES + 1), eq=_SAME, repr=False)

    def update(self, values: ArrayLike) -> BettingSequence:
        """Return the state after more values, shape (n,) in [lower, upper], in the order in which they came.

        However values are split over updates, the state is the same to the last bit.

        Raises
        ------
        DataError
            When a value lies outside the range.
        """
        x = self._unit(values)
        state = self
        for first in range(0, len(x), _ROWS_AT_ONCE):
            state = state._bet(x[first : first + _ROWS_AT_ONCE])
        return state

    def _bet(self, x: Array) -> BettingSequence:
        total, squares = np.cumsum([self.total, *x]), np.cumsum([self.squares, *(x * x)])
        rows = np.arange(self.n, self.n + len(x)) + 1.0
        centre = (0.5 + total[:-1]) / rows
        variance = np.maximum((0.5 + squares[:-1]) / rows - centre**2, 1e-4)
        stake = np.sqrt(2 * self._log_risk / (variance * rows * np.log1p(rows)))[:, None]
        m = np.arange(N_CANDIDATES + 1) / N_CANDIDATES
        gain = x[:, None] - m
        with np.errstate(divide="ignore"):
            above = _grown(self.log_above, np.minimum(stake, _BOLDEST / m), gain)
            below = _grown(self.log_below, np.minimum(stake, _BOLDEST / (1 - m)), -gain)
        return self._next(
            n=self.n + len(x),
            total=float(total[-1]),
            squares=float(squares[-1]),
            log_above=above,
            log_below=below,
        )

    def interval(self) -> Interval:
        """Return the mean so far with its interval, rounded outwards to the grid; the whole range before any value."""
        if not self.n:
            return Interval(math.nan, self.lower, self.upper, 1 - self.alpha, 0, "betting", "anytime")
        above, below = self.log_above >= self._log_risk, self.log_below >= self._log_risk
        low = int(np.argmin(above)) - 1  # the last candidate refuted from below; 1 never is, nor 0 from above
        high = N_CANDIDATES + 1 - int(np.argmin(below[::-1]))
        mean = min(self.total / self.n, 1.0)
        return self._interval(mean, low / N_CANDIDATES, high / N_CANDIDATES, self.n, "betting")


def _grown(log_capital: Array, stakes: Array, gains: Array) -> Array:
    """Return log capitals after bets, one per row; numpy adds rows one by one, so that portions do not matter."""
    steps = np.empty((len(gains) + 1, len(log_capital)))
    steps[0] = log_capital
    np.multiply(stakes, gains, out=steps[1:])
    np.log1p(steps[1:], out=steps[1:])
    return np.asarray(np.add.reduce(steps, axis=0))
