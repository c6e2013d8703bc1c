"""Two of something, looked at again and again: two groups, two models on the same rows, two answers that disagree.

- `TwoRates`: do two groups succeed at the same rate (or within a tolerance)? Batches of counts, a change may come late.
- `PairedCapital`: is the mean of paired differences above a margin? One number per row, or per block of rows.
- `McNemar`: of the rows on which two classifiers disagree, does each win half?

All are valid at any stopping time, so that looking often costs nothing.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from attrs import cmp_using, field, frozen
from scipy.special import betaincc, betaln, xlogy

from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.sequential.evalues import EDGE
from mlopskit.stats.sequential.processes import Array, ArrayLike, log_mean_exp
from mlopskit.stats.state import State, dial

DECAYS = (1.0, 0.7)
"""What `TwoRates` keeps of the past's counts per batch: all of it for a lasting gap, the recent for a new one."""
_PRIOR = 0.18  # successes and failures that a rate starts from: Turner, Ly and Gruenwald's choice
_TINY = 1e-290  # probabilities below lose digits
_SAME = cmp_using(eq=np.array_equal)


def log_two_rates(
    s_a: ArrayLike,
    n_a: ArrayLike,
    s_b: ArrayLike,
    n_b: ArrayLike,
    rate_a: ArrayLike,
    rate_b: ArrayLike,
    tolerance: float = 0.0,
) -> Array:
    """Return log e-values of one batch against "the rates of two groups differ by at most the tolerance".

    The likelihood ratio of (rate_a, rate_b), guessed from the past, against the nearest pair (p, p - d) of the null:
    n_a*(rate_a - p)/(p(1-p)) + n_b*(rate_b - p + d)/((p-d)(1-p+d)) = 0. With tolerance 0 both are the guess's mean
    weighted by *this* batch's group sizes. For any true means whose gap is at most d the e-value has mean at most 1: by
    AM-GM over rows it is at most (1 + n_a*A*(gap - d)/(n_a + n_b))^(n_a + n_b) with A > 0. A mix of groups that changes
    from batch to batch therefore does no harm. Where the guess itself lies in the null, log e = 0.

    The proof asks no more of a row than a score in [0, 1] whose mean is the group's. Calibration is the score
    (1 + y - p)/2 of an answer y and its probability p: its mean is 1/2 in both groups while the model is calibrated,
    whatever its p are, and a calibration gap of g is a gap of g/2 between the rates (so is its tolerance).

    Parameters
    ----------
    s_a, s_b
        Sums of scores in [0, 1] (numbers of successes), 0 <= s <= n.
    n_a, n_b
        Rows of each group, >= 0; without rows of both there is no evidence.
    rate_a, rate_b
        The guess, in (0, 1), made before the batch.
    tolerance
        d: the largest gap between the rates that is in control, in [0, 1).

    Returns
    -------
    Array
        All arguments broadcast.

    Raises
    ------
    DataError
        When a sum lies outside [0, n] or a guess outside (0, 1).
    ConfigurationError
        When the tolerance lies outside [0, 1).

    References
    ----------
    Turner, Ly and Gruenwald, "Generic E-variables for exact sequential k-sample tests that allow for optional stopping"
    (2024), theorem 1; Turner and Gruenwald (2023) for convex nulls.

    Examples
    --------
    >>> log_two_rates(30, 50, 20, 50, rate_a=0.6, rate_b=0.4).round(3)    # as likely as the best guess can make it
    np.float64(2.014)
    >>> log_two_rates(30, 50, 20, 50, rate_a=0.6, rate_b=0.4, tolerance=0.1).round(3)
    np.float64(0.509)
    """
    s_a, n_a, s_b, n_b, a, b = np.broadcast_arrays(
        *(np.asarray(v, dtype=float) for v in (s_a, n_a, s_b, n_b, rate_a, rate_b))
    )
    if not 0 <= tolerance < 1:
        raise ConfigurationError(f"log_two_rates: tolerance={tolerance!r}: expected a difference of rates in [0, 1)")
    if not all(((s >= 0) & (s <= n) & np.isfinite(n)).all() for s, n in ((s_a, n_a), (s_b, n_b))):
        raise DataError("log_two_rates: expected sums in [0, n] for both groups; got one outside (or NaN)")
    if not all(((rate > 0) & (rate < 1)).all() for rate in (a, b)):
        raise DataError("log_two_rates: expected guessed rates between 0 and 1; got one outside (or NaN)")
    null_a, null_b = _nearest_null(n_a, n_b, a, b, tolerance)
    log_e = _log_ratio(s_a, n_a, a, null_a) + _log_ratio(s_b, n_b, b, null_b)
    return np.where((n_a > 0) & (n_b > 0) & (np.abs(a - b) > tolerance), log_e, 0.0)


@frozen
class TwoRates(State):
    """Evidence that the rates of two groups differ by more than a tolerance, for a gap that may begin at any batch.

    Each batch is bet on with rates guessed from the past: once from all of it, once from a past that fades (`DECAYS`).
    The bets on every start k are added with the weights 1/(k(k+1)), as in `log_lifetime`: P(any false alarm, ever) <=
    alpha with an alarm at log M >= log(1/alpha). For the budget T/A put `log_two_rates` into `log_shiryaev_roberts`.

    Parameters
    ----------
    log_m
        Log evidence, shape (..., 2): one for each decay.
    past
        Faded sums and rows of both groups, shape (..., 2 decays, 4).
    t
        Batches so far.
    tolerance
        The largest gap between the rates that is in control, in [0, 1).

    Raises
    ------
    ConfigurationError
        When the tolerance lies outside [0, 1) or the shapes do not fit.
    StateMismatch
        When the tolerance was changed after the start.

    References
    ----------
    Turner, Ly and Gruenwald (2024) for the e-values and the prior .18; Shin, Ramdas and Rinaldo (2023) for starts.

    Examples
    --------
    >>> state = TwoRates.start(shape=())
    >>> for _ in range(5):
    ...     state = state.update(40, 100, 20, 100)
    >>> bool(state.log_value() >= np.log(1 / 0.05))
    True
    """

    log_m: Array = field(eq=_SAME, repr=False)
    past: Array = field(eq=_SAME, repr=False)
    t: int = 0
    tolerance: float = dial(default=0.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if not 0 <= self.tolerance < 1:
            raise ConfigurationError(f"tolerance={self.tolerance!r}: expected a difference of rates in [0, 1)")
        if self.log_m.shape[-1:] != (len(DECAYS),) or self.past.shape != (*self.log_m.shape, 4):
            raise ConfigurationError(
                f"TwoRates: expected log_m (..., {len(DECAYS)}) and past (..., {len(DECAYS)}, 4); "
                f"got {self.log_m.shape} and {self.past.shape}"
            )

    @classmethod
    def start(cls, *, shape: tuple[int, ...] = (), tolerance: float = 0.0) -> TwoRates:
        """Return no evidence for an array of questions of this shape."""
        log_m, past = np.full((*shape, len(DECAYS)), -np.inf), np.zeros((*shape, len(DECAYS), 4))
        return cls(log_m, past, tolerance=tolerance)

    def update(self, s_a: ArrayLike, n_a: ArrayLike, s_b: ArrayLike, n_b: ArrayLike) -> TwoRates:
        """Return the state after one more batch.

        Parameters
        ----------
        s_a, s_b
            Sums of scores in [0, 1] (numbers of successes) of the two groups; they broadcast with the questions.
        n_a, n_b
            Rows of the two groups; a batch without rows of both adds no evidence to that question.

        Raises
        ------
        DataError
            When a sum lies outside [0, n], or the counts do not fit the questions.
        """
        shape = self.log_m.shape[:-1]
        try:
            now = np.stack([np.broadcast_to(np.asarray(v, dtype=float), shape) for v in (s_a, n_a, s_b, n_b)], axis=-1)
        except ValueError as error:
            raise DataError(f"TwoRates: expected counts for questions of shape {shape}: {error}") from error
        guess = (self.past[..., ::2] + _PRIOR) / (self.past[..., 1::2] + 2 * _PRIOR)
        a, rows_a, b, rows_b = np.moveaxis(now[..., None, :], -1, 0)
        log_e = log_two_rates(a, rows_a, b, rows_b, guess[..., 0], guess[..., 1], self.tolerance)
        start = -np.log(self.t + 1) - np.log(self.t + 2)
        past = self.past * np.array(DECAYS)[:, None] + now[..., None, :]
        return self._next(log_m=np.logaddexp(self.log_m, start) + log_e, past=past, t=self.t + 1)

    def log_value(self) -> Array:
        """Return log M of each question; alarm at log(1/alpha). Average over questions of one stream, never add."""
        return log_mean_exp(self.log_m)


@frozen
class PairedCapital(State):
    """Two models on the same rows: the capital of bets that the mean paired difference is above a margin, and below.

    With x = d - margin, K = prod(1 + lam_i * x_i), lam_i = clip(mean/(mean^2 + var), 0, .5/(width + margin)) from the
    values before i only. Under E[d | past] <= margin, P(K ever reaches 1/alpha) <= alpha; a mirrored capital bets on
    the other side. The first to reach its limit decides, and the verdict stays: look as often as you like.

    Rows of one day resemble each other, which breaks "given the past" for rows: then give one number per day, the mean
    of its rows (`update_blocks`).

    Parameters
    ----------
    margin
        g: the gain that must be exceeded, or minus the non-inferiority margin; in (-width, width).
    width
        Differences d = loss of the champion - loss of the challenger lie in [-width, width]; above 0.
    alpha, beta
        Risks of promoting although E[d] <= margin, and of rejecting although E[d] >= margin; in (0, 1).
    n, total, squares
        How many differences, their sum and sum of squares, less the margin.
    log_for, log_against
        Logs of the two capitals.
    verdict
        "promote", "reject" or "inconclusive".

    Raises
    ------
    ConfigurationError
        When a dial lies outside its range.
    StateMismatch
        When a dial was turned after the start.

    References
    ----------
    Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B 2024), section 4 and the
    aGRAPA stake of appendix B.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> state = PairedCapital(margin=0.0, width=1.0)
    >>> while state.verdict == "inconclusive":                        # right .83 against .80, looking every 100 rows
    ...     ours, theirs = rng.random(100) < 0.83, rng.random(100) < 0.80
    ...     state = state.update(ours.astype(float) - theirs)
    >>> state.verdict
    'promote'
    """

    margin: float = dial(kw_only=True)
    width: float = dial(default=1.0, kw_only=True)
    alpha: float = dial(default=0.05, kw_only=True)
    beta: float = dial(default=0.05, kw_only=True)
    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    log_for: float = 0.0
    log_against: float = 0.0
    verdict: Literal["promote", "reject", "inconclusive"] = "inconclusive"

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if not 0 < self.width < np.inf or not -self.width < self.margin < self.width:
            raise ConfigurationError(
                f"margin={self.margin!r}, width={self.width!r}: expected -width < margin < width, width above 0"
            )
        if not (0 < self.alpha < 1 and 0 < self.beta < 1):
            raise ConfigurationError(f"alpha={self.alpha!r}, beta={self.beta!r}: expected probabilities")

    def update(self, d: ArrayLike) -> PairedCapital:
        """Return the state after more rows, in the order in which they came.

        However rows are split over updates, the state is the same to the last bit.

        Parameters
        ----------
        d
            Paired differences, shape (m,), in [-width, width]; m may be 0.

        Raises
        ------
        DataError
            When a difference lies outside, or the array has more than one axis.
        """
        values = np.asarray(d, dtype=float)
        if values.ndim != 1 or not (np.abs(values) <= self.width).all():
            raise DataError(
                f"PairedCapital: expected differences of shape (m,) in [-{self.width:g}, {self.width:g}]; "
                f"got shape {values.shape} or one outside (or NaN)"
            )
        if not len(values):
            return self
        x = values - self.margin
        total, squares = (np.cumsum(np.concatenate(([s], v))) for s, v in ((self.total, x), (self.squares, x * x)))
        before = np.arange(self.n, self.n + len(x)) + 1.0
        mean = total[:-1] / before
        square = (self.width**2 / 4 + squares[:-1]) / before  # E[x^2] = mean^2 + var, from a prior of width/2
        stake = mean / np.maximum(square, mean**2)
        log_for = _capital(self.log_for, np.clip(stake, 0, 0.5 / (self.width + self.margin)) * x)
        log_against = _capital(self.log_against, np.clip(-stake, 0, 0.5 / (self.width - self.margin)) * -x)
        return self._next(
            n=self.n + len(x),
            total=float(total[-1]),
            squares=float(squares[-1]),
            log_for=float(log_for[-1]),
            log_against=float(log_against[-1]),
            verdict=self._first(log_for >= -np.log(self.alpha), log_against >= -np.log(self.beta)),
        )

    def update_blocks(self, d: ArrayLike, block: ArrayLike) -> PairedCapital:
        """Return the state after more blocks (days): each block's mean difference counts as one.

        Parameters
        ----------
        d
            Paired differences of rows, shape (m,), in [-width, width].
        block
            The block of each row, shape (m,); blocks count in the order in which they first appear. All rows of a block
            belong in one update.

        Raises
        ------
        DataError
            When shapes differ, a row has no block, blocks are of several kinds or a difference lies outside.
        """
        values = np.asarray(d, dtype=float)
        codes = np.asarray(block, dtype=None if hasattr(block, "dtype") else object)  # a list's NaN would become text
        if values.ndim != 1 or codes.shape != values.shape or not (np.abs(values) <= self.width).all():
            raise DataError(
                f"PairedCapital: expected differences in [-{self.width:g}, {self.width:g}] and one block for each; "
                f"got shapes {values.shape} and {codes.shape}, or a difference outside (or NaN)"
            )
        first, at = _numbered(codes)
        means = np.bincount(at, weights=values) / np.maximum(np.bincount(at), 1)
        return self.update(np.clip(means[np.argsort(first)], -self.width, self.width))

    def _first(self, promoted: Array, rejected: Array) -> Literal["promote", "reject", "inconclusive"]:
        if self.verdict != "inconclusive" or not (promoted.any() or rejected.any()):
            return self.verdict
        ends = [int(np.argmax(hit)) if hit.any() else len(hit) for hit in (promoted, rejected)]
        return "promote" if ends[0] <= ends[1] else "reject"


def gate_alpha(k: int, alpha: float = 0.05) -> float:
    """Return the risk of the k-th gate of a life, so that all of them together promote wrongly with at most alpha.

    alpha_k = alpha * 6/(pi^2 k^2), whose sum over k is alpha.

    Parameters
    ----------
    k
        Number of the gate, from 1.
    alpha
        Risk over the whole life, in (0, 1).

    Raises
    ------
    ConfigurationError
        When k is not a whole number from 1 or alpha lies outside (0, 1).

    References
    ----------
    Euler (1735) for the sum; Bonferroni's inequality.

    Examples
    --------
    >>> [round(gate_alpha(k), 4) for k in (1, 2, 3)]
    [0.0304, 0.0076, 0.0034]
    """
    if not (k >= 1 and k % 1 == 0 and 0 < alpha < 1):
        raise ConfigurationError(f"gate_alpha: k={k!r}, alpha={alpha!r}: expected a whole k from 1 and a probability")
    return float(alpha * 6 / (np.pi * k) ** 2)


@frozen
class McNemar(State):
    """Evidence that of the rows on which two classifiers disagree, one wins more than half: `log_mcnemar` over batches.

    Parameters
    ----------
    wins, losses
        Discordant rows so far: the challenger right and the champion wrong, and the reverse.
    a
        The mixture over the win rate is Beta(a, a); above 0. Larger values look for smaller differences.
    one_sided
        Whether only wins speak against the null; then it is "at most half".

    Raises
    ------
    ConfigurationError
        When `a` is not above 0.
    DataError
        When a count is negative or not whole.
    StateMismatch
        When a dial was turned after the start.

    References
    ----------
    McNemar (Psychometrika 1947); Ramdas, Gruenwald, Vovk and Shafer (Statistical Science 2023) for tests by betting.

    Examples
    --------
    >>> state = McNemar(one_sided=True)
    >>> for _ in range(6):
    ...     state = state.update(wins=9, losses=4)
    >>> state.wins, state.losses, bool(state.log_value() >= np.log(1 / 0.05))
    (54, 24, True)
    """

    wins: int = 0
    losses: int = 0
    a: float = dial(default=0.5, kw_only=True)
    one_sided: bool = dial(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.log_value()  # refuses what cannot be

    def update(self, wins: int, losses: int) -> McNemar:
        """Return the state after one more batch of discordant rows; both may be 0.

        Raises
        ------
        DataError
            When a count is negative or not whole.
        """
        w, m = _whole_counts(wins, losses)
        if w.ndim:
            raise DataError(f"McNemar: expected one number of wins and one of losses; got shape {w.shape}")
        return self._next(wins=self.wins + int(w), losses=self.losses + int(m))

    def log_value(self) -> Array:
        """Return the log of the e-process; alarm at log(1/alpha). 1/e is a valid p-value at any stopping time."""
        return log_mcnemar(self.wins, self.losses, a=self.a, one_sided=self.one_sided)


def log_mcnemar(wins: ArrayLike, losses: ArrayLike, *, a: float = 0.5, one_sided: bool = False) -> Array:
    """Return the log e-value against "of the rows on which two classifiers disagree, each is right in half".

    The beta-binomial mixture over the win rate, Beta(a, a) on (0, 1), or on (1/2, 1) where only winning counts:
    log e = betaln(a + w, a + l) - betaln(a, a) + (w + l)*log(2), and for one side plus log(2 * P(rate > 1/2)).
    It depends on the totals so far only, and is an e-process in them: P(it ever reaches 1/alpha) <= alpha.

    Parameters
    ----------
    wins, losses
        Discordant rows so far, whole numbers >= 0: the challenger right and the champion wrong, and the reverse.
    a
        Shape of the mixture, above 0; chosen before the data.
    one_sided
        Whether only wins speak against the null; then it is "at most half".

    Returns
    -------
    Array
        wins and losses broadcast; 0 before the first disagreement. Where P(rate > 1/2) is too small for a float, the
        first step of its continued fraction (DLMF 8.17.8, 15.7.1) gives, to .1%,
        e = 4^(1-a)*(a + l + 1)/(B(a, a)*(a + l)*(l - w + 2)).

    Raises
    ------
    DataError
        When a count is negative or not whole.
    ConfigurationError
        When `a` is not above 0, or infinite.

    References
    ----------
    McNemar (Psychometrika 1947); Robbins, "Statistical methods related to the law of the iterated logarithm" (1970).

    Examples
    --------
    >>> np.exp(log_mcnemar([0, 8, 30], [0, 8, 8])).round(2)
    array([  1.  ,   0.2 , 113.23])
    """
    if not 0 < a < np.inf:
        raise ConfigurationError(f"log_mcnemar: a={a!r}: expected a number above 0")
    w, m = _whole_counts(wins, losses)
    log_e = betaln(a + w, a + m) - betaln(a, a) + (w + m) * np.log(2)
    if not one_sided:
        return np.asarray(log_e)
    chance = betaincc(a + w, a + m, 0.5)
    exact = log_e + np.log(2 * np.maximum(chance, _TINY))
    fraction = np.log((a + m + 1) / ((a + m) * np.maximum(m - w + 2, 1))) + (1 - a) * np.log(4) - betaln(a, a)
    return np.asarray(np.where(chance > _TINY, exact, fraction))


def _nearest_null(n_a: Array, n_b: Array, a: Array, b: Array, d: float) -> tuple[Array, Array]:
    """Return the pair of the null that is nearest to the guess in relative entropy, group sizes as weights."""
    if d == 0:
        rows = n_a + n_b
        middle = np.where(rows > 0, (n_a * a + n_b * b) / np.where(rows > 0, rows, 1.0), 0.5)
        return middle, middle
    side = np.where(a > b, 1.0, -1.0)
    up, down = np.where(side > 0, a, b), np.where(side > 0, b, a)
    n_up, n_down = np.where(side > 0, n_a, n_b), np.where(side > 0, n_b, n_a)
    low, high = np.maximum(down + d, d + EDGE), np.minimum(up, 1 - EDGE)  # p of the upper group lies between
    for _ in range(60):
        p = (low + high) / 2
        q = p - d
        with np.errstate(invalid="ignore", divide="ignore"):  # a guess inside the null, whose e-value is 1 anyway
            above = n_up * (up - p) / (p * (1 - p)) + n_down * (down - q) / (q * (1 - q)) > 0
        low, high = np.where(above, p, low), np.where(above, high, p)
    p = (low + high) / 2
    return np.where(side > 0, p, p - d), np.where(side > 0, p - d, p)


def _log_ratio(s: Array, n: Array, rate: Array, null: Array) -> Array:
    null = np.clip(null, EDGE, 1 - EDGE)
    return np.asarray(xlogy(s, rate / null) + xlogy(n - s, (1 - rate) / (1 - null)))


def _whole_counts(wins: ArrayLike, losses: ArrayLike) -> tuple[Array, Array]:
    w, m = np.broadcast_arrays(np.asarray(wins, dtype=float), np.asarray(losses, dtype=float))
    if not ((w >= 0) & (m >= 0) & (w == np.floor(w)) & (m == np.floor(m)) & np.isfinite(w + m)).all():
        raise DataError("McNemar: expected whole numbers of wins and losses; got one negative, broken or NaN")
    return w, m


def _numbered(codes: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the row in which each block first appears, and the number of each row's block."""
    wanted = "PairedCapital: expected one block for each row, all of one kind, none missing"
    try:
        missing = (codes != codes).any() or (codes.dtype == object and (codes == np.array(None)).any())
        _, first, at = np.unique(codes, return_index=True, return_inverse=True)
    except TypeError as error:  # pandas.NA has no truth value; text and numbers have no order
        raise DataError(f"{wanted}: {error}") from error
    if missing:
        raise DataError(f"{wanted}; got NaN, NaT or None")
    return first, at


def _capital(log_start: float, gains: Array) -> Array:
    """Return the path of log capital after each gain; added one by one, so that splits do not matter."""
    return np.cumsum(np.concatenate(([log_start], np.log1p(gains))))[1:]
