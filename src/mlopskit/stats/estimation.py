"""Performance without labels, and how far it may be off: what scores promise, checked on a reference that has labels.

A score that was calibrated on the reference says of each row how likely it is positive; summed over a batch it says how
many predictions should turn out right. That holds while P(y | score) stays as it was, which no formula here can see:
give the interval, the shift of the inputs and, as soon as labels arrive, the residuals beside it.

- `calibrate`, `refit`: from scores to probabilities, the method chosen out of fold; replicates for its uncertainty;
- `Confusion`, `expected_metric`: what a batch's metrics should be or, with labels in place of probabilities, are;
- `predictive_interval`, `block_heterogeneity`: where the realised metric of a batch will lie;
- `ppi_mean`: a few labels and many estimates, put together;
- `density_ratio`: how a batch's inputs differ from the reference's, as weights of its rows;
- `AdaptiveWidth`: intervals that learn from late labels, and hold in the long run whatever happens.

Decided before every formula: NaN is an error; a ratio without a denominator is NaN; without rows the estimate is NaN
and its interval everything that is possible.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from attrs import cmp_using, evolve, field, frozen
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit, stdtrit

from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.intervals import Interval, clopper_pearson
from mlopskit.stats.intervals.base import check_level
from mlopskit.stats.state import State, dial

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]
Method: TypeAlias = Literal["constant", "identity", "sigmoid", "isotonic"]
Loss: TypeAlias = Literal["log_loss", "brier_score_loss"]

EPS = 1e-15
"""Where probabilities are clipped for the log-loss."""
N_FOLDS = 5
"""Folds that the calibration method is chosen on, and that density ratios are cross-fitted over."""
N_LEFT_OUT = 20
"""Most groups of blocks that are left out in turn for `block_heterogeneity`."""
RANGES: dict[str, tuple[float, float]] = {
    "accuracy": (0.0, 1.0),
    "precision": (0.0, 1.0),
    "recall": (0.0, 1.0),
    "specificity": (0.0, 1.0),
    "f1": (0.0, 1.0),
    "roc_auc": (0.0, 1.0),
    "brier_score_loss": (0.0, 1.0),
    "log_loss": (0.0, -math.log(EPS)),
}
"""The metrics that can be expected, and between what they lie."""
_CELLS = 1_000_000  # simulated labels held at once
_FOLDS, _DRAWS = 1 << 32, 1 << 33  # streams of random numbers: folds and labels; replicates count from 0
_SAME = cmp_using(eq=lambda a, b: bool(np.array_equal(a, b, equal_nan=True)))


def _floats(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)


@frozen
class Calibration:
    """What a score says about the probability of the positive class.

    Parameters
    ----------
    method
        "identity": the score is the probability. "sigmoid": expit(slope * f + intercept), with f the log-odds of the
        score where scores are probabilities, else the score. "isotonic": linear between knots that never fall, level
        beyond the ends. "constant": one knot, where the reference had one class or one score.
    is_probability
        Whether the reference's scores all lay in [0, 1].
    slope, intercept
        Of the sigmoid; 1 and 0 otherwise.
    clip
        A probability counts as at least `clip` and at most 1 - clip before its log-odds are taken.
    scores, probabilities
        The knots, shape (K,): scores that rise, probabilities in [0, 1] that never fall; empty without knots.
    n
        Rows of the reference.
    losses
        Mean out-of-fold loss of each method that was tried; empty where there was nothing to choose.

    Raises
    ------
    DataError
        When the knots do not rise, or their shapes differ.

    Examples
    --------
    >>> curve = Calibration("isotonic", scores=[0.2, 0.6], probabilities=[0.1, 0.5])
    >>> curve.predict([-np.inf, 0.2, 0.4, 9.0])
    array([0.1, 0.1, 0.3, 0.5])
    """

    method: Method
    is_probability: bool = field(default=False, kw_only=True)
    slope: float = field(default=1.0, kw_only=True)
    intercept: float = field(default=0.0, kw_only=True)
    clip: float = field(default=EPS, kw_only=True, repr=False)
    scores: Floats = field(factory=lambda: np.empty(0), converter=_floats, eq=_SAME, kw_only=True, repr=False)
    probabilities: Floats = field(factory=lambda: np.empty(0), converter=_floats, eq=_SAME, kw_only=True, repr=False)
    n: int = field(default=0, kw_only=True)
    losses: dict[str, float] = field(factory=dict, kw_only=True)

    def __attrs_post_init__(self) -> None:
        x, y = self.scores, self.probabilities
        rising = np.isfinite(x).all() and (np.diff(x) > 0).all() and (np.diff(y) >= 0).all()
        within = ((y >= 0) & (y <= 1)).all()
        has_knots = self.method in ("constant", "isotonic")
        if x.shape != y.shape or x.ndim != 1 or bool(len(x)) != has_knots or not (rising and within):
            raise DataError(
                f"Calibration: expected knots for method={self.method!r}: finite scores that rise, probabilities in "
                f"[0, 1] that never fall (none for identity and sigmoid); got {len(x)} scores, {len(y)} probabilities"
            )

    def predict(self, score: ArrayLike) -> Floats:
        """Return the probability of the positive class of each row, shape (n,), in [0, 1].

        Parameters
        ----------
        score
            Shape (n,). Infinite scores take the curve's end, except where scores are probabilities.

        Raises
        ------
        DataError
            When a score is NaN, or outside [0, 1] although the reference's scores were probabilities (1e-6 of rounding
            is forgiven).
        """
        s = _column("score", score, finite=False)
        if self.is_probability:
            s = _probabilities("score", s)
        if self.method == "identity":
            return s
        if self.method == "sigmoid":
            f = _feature(s, self.clip if self.is_probability else None)
            tilted = self.slope * f if self.slope else np.zeros_like(f)  # 0 times infinite is 0
            return np.asarray(expit(tilted + self.intercept))
        return np.interp(s, self.scores, self.probabilities)


def calibrate(
    score: ArrayLike,
    y: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    block: ArrayLike | None = None,
    methods: Sequence[Literal["identity", "sigmoid", "isotonic"]] = ("identity", "sigmoid", "isotonic"),
    loss: Loss = "log_loss",
    seed: int = 0,
) -> Calibration:
    """Return the calibration of a score, by the simplest method that the reference does not speak against.

    Methods are tried in the order given; each takes over from the one before if its mean loss out of fold is lower by
    more than one standard error of the difference, taken over rows, or over blocks where there are any. Measured on six
    shapes of curve: from 1,000 rows on within .005 of the log-loss of the best method for each. All curves are fitted
    to Platt's targets (n1 + 1)/(n1 + 2) and 1/(n0 + 2) instead of 1 and 0, so that no probability is 0 or 1 for want
    of rows.

    Parameters
    ----------
    score
        Shape (n,), finite; greater for the positive class. Scores in [0, 1] are taken as probabilities.
    y
        Labels 0 or 1 (or booleans), shape (n,).
    weight
        How often each row counts, shape (n,), at least 0; 1 by default. Scale importance weights to add up to the rows
        they are worth.
    block
        The block (day, customer) of each row, shape (n,), at least two: folds are runs of whole blocks in sorted order.
        By default folds are drawn by row, each with its share of both classes.
    methods
        Which methods may be chosen, the simplest first. Identity is skipped where scores are no probabilities.
    loss
        "log_loss" (probabilities clipped to [1e-15, 1 - 1e-15]) or "brier_score_loss".
    seed
        Seed of the folds, >= 0.

    Returns
    -------
    Calibration
        Constant where only one class or one score occurs: the mean target, (n1 + 1)/(n + 2) with one class.

    Raises
    ------
    DataError
        When there are no rows, shapes differ, a score is NaN or infinite, a label is neither 0 nor 1, weights are
        negative or all 0, there is only one block, or no method is left.
    ConfigurationError
        When a method or loss is unknown or the seed is negative.

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines" (1999), for the sigmoid and its targets; Cox (Biometrika
    1958) for the sigmoid of log-odds; Zadrozny and Elkan (KDD 2002) for isotonic regression; Breiman, Friedman, Olshen
    and Stone (1984), section 3.4.3, for the rule of one standard error.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(2_000)
    >>> y = rng.random(2_000) < score**2                     # the model is too sure of itself
    >>> curve = calibrate(score, y)
    >>> curve.method, curve.predict([0.5]).round(2)
    ('sigmoid', array([0.23]))
    """
    _check_choice("calibrate: loss", [loss], ("log_loss", "brier_score_loss"))
    _check_choice("calibrate: methods", methods, ("identity", "sigmoid", "isotonic"))
    known = _Reference.of("calibrate", score, y, weight, block)
    allowed: list[Method] = [method for method in methods if method != "identity" or known.is_probability]
    if not allowed:
        raise DataError(f"calibrate: methods={methods!r} need scores in [0, 1]; got others")
    if len(allowed) == 1:
        return known.fit(allowed[0])
    if known.is_constant(known.w):
        return known.fit("constant")
    fold = known.folds(N_FOLDS, seed)
    losses: dict[Method, Floats] = {
        method: known.losses(loss, known.predict_out_of(fold, method)) for method in allowed
    }
    means: dict[str, float] = {method: float(np.average(values, weights=known.w)) for method, values in losses.items()}
    return evolve(known.fit(known.simplest(losses)), losses=means)


def refit(
    calibration: Calibration,
    score: ArrayLike,
    y: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    block: ArrayLike | None = None,
    n_replicates: int = 500,
    seed: int = 0,
) -> tuple[Calibration, ...]:
    """Return replicates of a calibration: its method fitted again with Poisson(1) weights on rows, or on whole blocks.

    They carry what `predictive_interval` needs to know about the calibration's own error. An identity was not fitted,
    but chosen for want of evidence against it: its replicates are as far from it as refitted sigmoids are from the
    fitted one.

    Parameters
    ----------
    calibration
        From `calibrate` on the same rows.
    score, y, weight, block
        As for `calibrate`.
    n_replicates
        How many, at least 1.
    seed
        Seed of the weights, >= 0; replicate k is the same whatever the number of replicates.

    Raises
    ------
    DataError
        As for `calibrate`, and when the rows are not those that the calibration was fitted on.
    ConfigurationError
        When `n_replicates` is below 1 or the seed is negative.

    References
    ----------
    Hanley and MacGibbon (2006) and Chamandy, Muralidharan, Najmi and Naidu (2012) for Poisson weights; Davison and
    Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8, for blocks.

    Examples
    --------
    >>> score = np.linspace(0.01, 0.99, 200)
    >>> y = np.arange(200) % 4 > 1
    >>> curve = calibrate(score, y, methods=["sigmoid"])
    >>> len(refit(curve, score, y, n_replicates=20))
    20
    """
    if n_replicates < 1:
        raise ConfigurationError(f"refit: n_replicates={n_replicates!r}: expected a whole number of at least 1")
    known = _Reference.of("refit", score, y, weight, block)
    if len(known.s) != calibration.n:
        raise DataError(f"refit: got {len(known.s)} rows; expected the {calibration.n} of the calibration")
    is_identity = calibration.method == "identity"
    base = known.fit("sigmoid") if is_identity else calibration
    weights = (known.poisson(_generator("refit", seed, k)) for k in range(n_replicates))
    replicates = (known.fit(base.method, w, start=base) for w in weights)
    return tuple(_around_identity(r, base) if is_identity else r for r in replicates)


def _around_identity(replicate: Calibration, base: Calibration) -> Calibration:
    """Move a refitted sigmoid so that it is as far from the identity as it was from the fitted sigmoid."""
    return evolve(
        replicate,
        method="sigmoid",
        slope=1.0 + replicate.slope - base.slope,
        intercept=replicate.intercept - base.intercept,
    )


@frozen
class _Reference:
    """The rows a calibration is fitted on, sorted by score and what comes with it, so that their order is no matter."""

    s: Floats
    y: Floats
    w: Floats
    codes: Ints | None
    order: Ints
    is_probability: bool
    clip: float

    @classmethod
    def of(cls, name: str, score: ArrayLike, y: ArrayLike, weight: ArrayLike | None, block: ArrayLike | None) -> Self:
        s, labels = _column(f"{name}: score", score), _labels(f"{name}: y", y)
        w = np.ones(len(s)) if weight is None else _column(f"{name}: weight", weight)
        if not len(s) == len(labels) == len(w):
            raise DataError(f"{name}: got {len(s)} scores, {len(labels)} labels, {len(w)} weights; expected as many")
        if not len(s):
            raise DataError(f"{name}: the reference has no rows; expected at least one")
        if w.min() < 0 or not w.any():
            raise DataError(f"{name}: expected weights of at least 0, not all of them 0; the smallest is {w.min():g}")
        codes = None if block is None else _codes(name, block, len(s))
        keys = (w, labels, s) if codes is None else (w, codes, labels, s)
        order = np.lexsort(keys)
        is_probability = bool(s.min() >= 0 and s.max() <= 1)
        clip = _clip_of(s) if is_probability else EPS
        codes = None if codes is None else codes[order]
        return cls(s[order], labels[order], w[order], codes, order, is_probability, clip)

    def fit(self, method: Method, w: Floats | None = None, *, start: Calibration | None = None) -> Calibration:
        """Return the curve of a method under these weights; constant where there is no curve to fit."""
        w = self.w if w is None else w
        shared: dict[str, Any] = {"is_probability": self.is_probability, "clip": self.clip, "n": len(self.s)}
        if method == "identity":
            return Calibration("identity", **shared)
        here = w > 0
        s, y, w = self.s[here], self.y[here], w[here]
        target = _targets(y, w)
        if method == "constant" or _is_constant(s, y):
            return Calibration("constant", scores=s[:1], probabilities=[np.average(target, weights=w)], **shared)
        if method == "isotonic":
            scores, probabilities = _isotonic(s, target, w)
            return Calibration("isotonic", scores=scores, probabilities=probabilities, **shared)
        begin = None if start is None or start.method != "sigmoid" else (start.slope, start.intercept)
        slope, intercept = _sigmoid(_feature(s, self.clip if self.is_probability else None), target, w, begin)
        return Calibration("sigmoid", slope=slope, intercept=intercept, **shared)

    def is_constant(self, w: Floats) -> bool:
        """Return whether the rows that count show one class, or one score."""
        return _is_constant(self.s[w > 0], self.y[w > 0])

    def poisson(self, rng: np.random.Generator) -> Floats:
        """Return the weights of one bootstrap replicate; the weights themselves where every draw is 0."""
        draw = (
            rng.poisson(1.0, len(self.s)) if self.codes is None else rng.poisson(1.0, self.codes.max() + 1)[self.codes]
        )
        w = self.w * draw
        return w if w.any() else self.w

    def folds(self, n_folds: int, seed: int) -> Ints:
        """Return the fold of each row: runs of whole blocks of about equal size, or rows dealt out class by class."""
        if self.codes is not None:
            return _runs(np.bincount(self.codes), n_folds)[self.codes]
        fold = np.empty(len(self.s), dtype=np.intp)
        tie = _generator("seed", seed, _FOLDS).random(len(fold))
        fold[np.lexsort((tie, self.y))] = np.arange(len(fold)) % n_folds
        return fold

    def predict_out_of(self, fold: Ints, method: Method) -> Floats:
        """Return each row's probability by a curve that was fitted without the row's fold."""
        q = np.empty(len(self.s))
        for k in range(int(fold.max()) + 1):
            left_out = fold == k
            rest = np.where(left_out, 0.0, self.w)
            q[left_out] = self.fit(method, rest if rest.any() else self.w).predict(self.s[left_out])
        return q

    def losses(self, loss: Loss, q: Floats) -> Floats:
        """Return the loss of each row."""
        if loss == "brier_score_loss":
            return np.asarray(np.square(self.y - q))
        return np.asarray(-np.log(np.clip(np.where(self.y > 0, q, 1 - q), EPS, 1.0)))

    def simplest(self, losses: dict[Method, Floats]) -> Method:
        """Return the last method that beat the one chosen before it by more than one standard error."""
        chosen, *others = losses
        for method in others:
            gain = self.w * (losses[chosen] - losses[method])
            mean = gain.sum() / self.w.sum()
            spread = gain - mean * self.w
            parts = spread if self.codes is None else np.bincount(self.codes, weights=spread)
            if mean > np.sqrt(np.square(parts).sum()) / self.w.sum():
                chosen = method
        return chosen


def _runs(rows: Ints, n_folds: int) -> Ints:
    """Return the fold of each block: at most `n_folds` runs of blocks with about as many rows, at least two."""
    middle = (np.cumsum(rows) - rows / 2) / rows.sum()
    fold: Ints = np.unique((middle * min(n_folds, len(rows))).astype(np.intp), return_inverse=True)[1]
    return fold


def _is_constant(s: Floats, y: Floats) -> bool:
    return bool(s[0] == s[-1] or np.ptp(y) == 0)


def _targets(y: Floats, w: Floats) -> Floats:
    """Return Platt's targets, between 0 and 1 by what a uniform prior adds."""
    positives = float(w @ y)
    negatives = float(w.sum()) - positives
    return np.where(y > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def _clip_of(s: Floats) -> float:
    """Return where the log-odds of scores are cut: half of what the scores other than 0 and 1 keep away from them."""
    margin = np.minimum(s, 1 - s)
    return float(np.clip(margin[margin > 0].min(initial=1.0) / 2, 1e-6, 0.25))


def _feature(s: Floats, clip: float | None) -> Floats:
    """Return what a sigmoid is linear in: log-odds of probabilities, any other score itself."""
    return s if clip is None else np.asarray(logit(np.clip(s, clip, 1 - clip)))


def _isotonic(s: Floats, target: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Return the knots of the weighted isotonic regression on sorted scores: both ends of each level stretch."""
    first = np.flatnonzero(np.diff(s, prepend=-np.inf) > 0)
    weight = np.add.reduceat(w, first)
    mean = np.add.reduceat(w * target, first) / weight
    fitted = isotonic_regression(mean, weights=weight)
    ends = np.unique(np.concatenate([fitted.blocks[:-1], fitted.blocks[1:] - 1]))
    return s[first][ends], np.clip(fitted.x[ends], 0.0, 1.0)


def _sigmoid(f: Floats, target: Floats, w: Floats, start: tuple[float, float] | None = None) -> tuple[float, float]:
    """Return slope and intercept of the logistic regression of targets, by Newton's method with halved steps."""
    centre, spread = float(f.mean()), float(f.std()) if np.ptp(f) > 0 else 1.0
    z = (f - centre) / spread
    a, b = (0.0, float(logit(np.average(target, weights=w)))) if start is None else start
    if start is not None:
        a, b = a * spread, b + a * centre
    total = float(w.sum())
    for _ in range(100):
        p = expit(a * z + b)
        g, h = w * (p - target), w * p * (1 - p)
        g0, g1, h0, h1, h2 = g.sum(), g @ z, h.sum(), h @ z, h @ (z * z)
        det = h0 * h2 - h1 * h1
        if det <= 1e-12 * h0 * h2:
            break
        step_a, step_b = (h0 * g1 - h1 * g0) / det, (h2 * g0 - h1 * g1) / det
        decrement = (step_a * g1 + step_b * g0) / total  # twice what this step should gain per row
        shrink = 1.0 if decrement < 1e-2 else _shrink(a, b, step_a, step_b, z, target, w)
        a, b = float(a - shrink * step_a), float(b - shrink * step_b)
        if decrement < 1e-8:
            break
    return a / spread, b - a * centre / spread


def _shrink(a: float, b: float, step_a: float, step_b: float, z: Floats, target: Floats, w: Floats) -> float:
    """Return the largest power of a half at which a Newton step does not make the fit worse."""

    def deviance(share: float) -> float:
        f = (a - share * step_a) * z + b - share * step_b
        return float(w @ (np.logaddexp(0.0, f) - target * f))

    start, share = deviance(0.0), 1.0
    while share > 1e-9 and not deviance(share) <= start:
        share /= 2
    return share


# --- what a batch's metrics should be ---


@frozen
class Confusion:
    """Rows by prediction and truth: expected ones from probabilities, realised ones from labels.

    Ratios are ratios of expected counts, which for a batch of some hundred rows is close to the expected ratio; NaN
    where the denominator is 0.

    Parameters
    ----------
    tp, fp, fn, tn
        True and false positives, false and true negatives; floats, or arrays of one shape for many batches at once.

    Examples
    --------
    >>> Confusion.of(q=[0.875, 0.625, 0.25], predicted=[1, 1, 0])
    Confusion(tp=1.5, fp=0.5, fn=0.25, tn=0.75)
    """

    tp: Any = field(eq=_SAME)
    fp: Any = field(eq=_SAME)
    fn: Any = field(eq=_SAME)
    tn: Any = field(eq=_SAME)

    @classmethod
    def of(cls, q: ArrayLike, predicted: ArrayLike) -> Self:
        """Count rows: TP is the sum of q over predicted positives, and so on.

        Parameters
        ----------
        q
            Probability of the positive class of each row, in [0, 1], or its label, 0 or 1; shape (n,) or (..., n).
        predicted
            Predicted class of each row, 0 or 1 (or booleans), shape (n,).

        Raises
        ------
        DataError
            When shapes differ, a value is NaN, or one lies outside its range.
        """
        positive = _labels("predicted", predicted)
        p = _matrix("q", q, len(positive))
        tp, positives, n_predicted = p @ positive, p.sum(axis=-1), float(positive.sum())
        tp = np.minimum(tp, positives)
        cells = (tp, n_predicted - tp, positives - tp, (len(positive) - n_predicted) - (positives - tp))
        return cls(*(_plain(np.maximum(cell, 0.0)) for cell in cells))

    @property
    def n(self) -> Any:
        """Number of rows."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def accuracy(self) -> Any:
        """Share of rows predicted right; NaN without rows."""
        return _ratio(self.tp + self.tn, self.n)

    @property
    def precision(self) -> Any:
        """Share of predicted positives that are positive; NaN where none is predicted."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Any:
        """Share of positives that are predicted (TPR); NaN where there are none."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> Any:
        """Share of negatives that are predicted (1 - FPR); NaN where there are none."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def f1(self) -> Any:
        """2 TP / (2 TP + FP + FN); NaN where nothing is positive and nothing predicted so."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def expected_metric(metric: str, q: ArrayLike, score: ArrayLike, predicted: ArrayLike | None = None) -> Any:
    """Return what a metric of a batch should be, given the probability of the positive class of each row.

    With labels in place of q the result is the realised metric, exactly. The area under the ROC curve is
    sum q_i (1 - q_j) (1[s_i > s_j] + 1[s_i = s_j]/2) / sum q_i (1 - q_j) over pairs i != j: no row is ranked against
    itself, ties count half. The Brier score and log-loss are means of q * loss of a one + (1 - q) * loss of a zero.

    Parameters
    ----------
    metric
        One of "accuracy", "precision", "recall", "specificity", "f1" (these need `predicted`), "roc_auc",
        "brier_score_loss", "log_loss" (scores clipped to [1e-15, 1 - 1e-15]).
    q
        Probability of each row, in [0, 1], or its label; shape (n,), or (..., n) for many at once.
    score
        What the model said of each row, shape (n,); a probability for "brier_score_loss" and "log_loss", else it only
        ranks and may be infinite.
    predicted
        Predicted class of each row, 0 or 1, shape (n,).

    Returns
    -------
    A float, or an array of the leading shape of q. NaN without rows and where a ratio has no denominator: precision
    without predicted positives, recall without positives, specificity without negatives, the area without both.

    Raises
    ------
    DataError
        When shapes differ, a value is NaN or outside its range, or `predicted` is needed and missing.
    ConfigurationError
        When the metric is unknown.

    References
    ----------
    NannyML's "confidence-based performance estimation" is the same idea with other choices (ties, the calibration).

    Examples
    --------
    >>> expected_metric("accuracy", q=[0.875, 0.625, 0.25], score=[0.8, 0.7, 0.1], predicted=[1, 1, 0])
    0.75
    >>> expected_metric("roc_auc", q=[1, 1, 0], score=[0.8, 0.1, 0.1])
    0.75
    """
    realised = _metric_of(metric, score, predicted)
    return _plain(realised(_matrix("q", q, np.shape(score)[0])))


def _metric_of(metric: str, score: ArrayLike, predicted: ArrayLike | None) -> Callable[[Floats], Any]:
    """Return the metric as a function of probabilities or labels, shape (..., n); what only scores decide is done."""
    _check_choice("metric", [metric], tuple(RANGES))
    s = _column("score", score, finite=False)
    if metric == "roc_auc":
        return _area_of(s)
    if metric in ("brier_score_loss", "log_loss"):
        p = _probabilities("score", s)
        one, zero = _loss_if(metric, p, 1.0), _loss_if(metric, p, 0.0)
        return lambda q: _ratio(q @ (one - zero) + zero.sum(), float(len(p)))
    if predicted is None:
        raise DataError(f"{metric} compares predicted classes with the truth: give predicted=, 0 or 1 for each row")
    classes = _labels("predicted", predicted)
    if len(classes) != len(s):
        raise DataError(f"{metric}: got {len(classes)} predicted classes for {len(s)} scores; expected as many")
    return lambda q: getattr(Confusion.of(q, classes), metric)


def _loss_if(metric: str, p: Floats, y: float) -> Floats:
    if metric == "brier_score_loss":
        return np.square(y - p)
    return np.asarray(-np.log(np.clip(p if y else 1 - p, EPS, 1 - EPS)))


def _area_of(s: Floats) -> Callable[[Floats], Any]:
    """Return the expected area under the ROC curve as a function of probabilities, shape (..., n)."""
    order = None if (s[1:] >= s[:-1]).all() else np.argsort(s, kind="stable")
    ordered = s if order is None else s[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)[: len(s)])  # of each group of ties
    size = np.diff(last, prepend=-1)

    def area(q: Floats) -> Any:
        if len(s) < 2:
            return np.full(q.shape[:-1], np.nan)
        q = q if order is None else q[..., order]
        zeros_up_to = np.cumsum(1 - q, axis=-1)[..., last]
        zeros = np.diff(zeros_up_to, axis=-1, prepend=0.0)
        itself = q.sum(axis=-1) - np.einsum("...i,...i", q, q)
        won = np.einsum("...g,...g", size - zeros, zeros_up_to - zeros / 2) - itself / 2
        pairs = q.sum(axis=-1) * zeros_up_to[..., -1] - itself
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(pairs > 1e-12 * len(s), np.clip(won / pairs, 0.0, 1.0), np.nan)

    return area


# --- how far the realised metric may be off ---


@frozen
class Heterogeneity:
    """How much more the blocks of a reference differ from what they were expected to be than luck explains.

    Parameters
    ----------
    tau2
        Variance between blocks, in squared units of the metric: the mean squared residual minus the mean squared
        standard error, at least 0.
    n_blocks
        Blocks on which the metric is defined.
    residuals
        Realised minus expected metric of each of them, in the order of the blocks, shape (n_blocks,).
    standard_errors
        Standard deviation of the realised metric around the expected one if there were no differences between blocks.
    metric
        The metric.

    Examples
    --------
    >>> Heterogeneity(tau2=0.05, n_blocks=2, residuals=[0.375, -0.25], standard_errors=[0.25, 0.125]).bias
    0.0625
    """

    tau2: float
    n_blocks: int
    residuals: Floats = field(converter=_floats, eq=_SAME, repr=False)
    standard_errors: Floats = field(converter=_floats, eq=_SAME, repr=False)
    metric: str = "accuracy"

    @property
    def bias(self) -> float:
        """Mean residual: how much better the blocks were than expected."""
        return float(self.residuals.mean())


def predictive_interval(
    metric: str,
    calibration: Calibration,
    replicates: Sequence[Calibration],
    score: ArrayLike,
    predicted: ArrayLike | None = None,
    *,
    heterogeneity: Heterogeneity | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the expected metric of a batch without labels, and where its realised metric will lie.

    The interval covers the metric that will be computed from this batch's own labels, not the one of a population. It
    is a parametric bootstrap of the prediction error: with labels y ~ Bernoulli(q) from the calibration and an
    estimate from q_b, a refitted one, the realised metric is as far from the estimate as metric(y) is from the
    expected metric under q_b. So it holds the luck of the labels and the error of the calibration, its optimism too: a
    curve that follows its reference too closely (isotonic) promises too much, and refits of it promise still more. The
    estimate is the expected metric less that optimism: twice the expected metric minus its mean over replicates.
    Differences between blocks widen each side to sqrt(side^2 + t^2 tau^2), t the Student quantile with n_blocks degrees
    of freedom. All of it assumes that P(y | score) is that of the reference.

    Measured at a nominal .10 with 300 rows of reference: identity misses in .02 to .03 (its replicates allow for an
    error that is not there), sigmoid in .07 to .11, isotonic in .11 to .13, and in .13 to .18 for the area and the
    log-loss, whose optimism the correction only halves. A fresh day after 20 days whose log-odds differ by .8 (standard
    deviation): .09 with tau^2, .31 without.

    Parameters
    ----------
    metric
        As for `expected_metric`.
    calibration, replicates
        From `calibrate` and `refit`; at least 2 / (1 - level) replicates.
    score, predicted
        The batch: scores, shape (m,), and predicted classes where the metric needs them.
    heterogeneity
        From `block_heterogeneity`, for the same metric; none by default, which is right for rows that are independent.
    level
        Coverage, in (0, 1).
    seed
        Seed of the draws, >= 0.

    Returns
    -------
    Interval
        Within the metric's range (`RANGES`), n the rows of the batch. Draws where the metric is undefined (recall
        without positives) are left out; if all are, or without rows, the estimate is NaN and the interval the range.

    Raises
    ------
    DataError
        As for `expected_metric`.
    ConfigurationError
        When the metric is unknown or not that of the heterogeneity, there are too few replicates, the level lies
        outside (0, 1), or the seed is negative.

    References
    ----------
    Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 6.3.3, for prediction errors, and
    2.1.1 for the correction of bias; DerSimonian and Laird (1986) for the moment estimate of tau^2.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(2_000)
    >>> y = rng.random(2_000) < score
    >>> curve = calibrate(score, y)
    >>> batch = rng.random(500)
    >>> print(predictive_interval("accuracy", curve, refit(curve, score, y), batch, batch > 0.5))
    0.7568 [0.716, 0.7974] (95%, n=500, parametric-bootstrap)
    """
    check_level("predictive_interval", level)
    if len(replicates) < 2 / (1 - level):
        raise ConfigurationError(
            f"predictive_interval: got {len(replicates)} replicates; level={level:g} needs {math.ceil(2 / (1 - level))}"
        )
    if heterogeneity is not None and heterogeneity.metric != metric:
        raise ConfigurationError(f"predictive_interval: got the heterogeneity of {heterogeneity.metric}, not {metric}")
    s, predicted = _sorted(score, predicted)
    realised = _metric_of(metric, s, predicted)
    smallest, largest = RANGES[metric]
    naive, refitted, errors = _errors(
        realised, calibration.predict(s), replicates, s, _generator("predictive_interval", seed, _DRAWS)
    )
    if not len(errors):
        return Interval(math.nan, smallest, largest, level, len(s), "parametric-bootstrap")
    estimate = min(max(2 * naive - refitted, smallest), largest)
    low, high = naive + np.quantile(errors, [(1 - level) / 2, (1 + level) / 2], method="weibull")
    below, above = max(estimate - low, 0.0), max(high - estimate, 0.0)
    if heterogeneity is not None:
        between = stdtrit(heterogeneity.n_blocks, (1 + level) / 2) * math.sqrt(heterogeneity.tau2)
        below, above = np.hypot(below, between), np.hypot(above, between)
    low, high = max(estimate - below, smallest), min(estimate + above, largest)
    return Interval(estimate, float(low), float(high), level, len(s), "parametric-bootstrap")


def block_heterogeneity(
    metric: str,
    calibration: Calibration,
    replicates: Sequence[Calibration],
    score: ArrayLike,
    y: ArrayLike,
    block: ArrayLike,
    predicted: ArrayLike | None = None,
    *,
    seed: int = 0,
) -> Heterogeneity:
    """Return how much the blocks (days) of the reference differ beyond luck: tau^2, which widens intervals.

    Each block is expected by a curve fitted without it (blocks are left out in at most 20 runs). tau^2 is the mean
    squared residual minus the mean squared standard error, floored at 0; the standard errors come from draws of labels
    and replicates, as in `predictive_interval`. A constant error of the estimate counts too: it is in the residuals.

    Parameters
    ----------
    metric, calibration, replicates
        As for `predictive_interval`. The first 200 replicates are used.
    score, y, block
        The reference, as for `calibrate`.
    predicted
        Predicted classes of the reference, where the metric needs them.
    seed
        Seed of the draws, >= 0.

    Raises
    ------
    DataError
        As for `calibrate` and `expected_metric`, and when the metric is defined on fewer than two blocks.
    ConfigurationError
        When the metric is unknown, there are fewer than two replicates, or the seed is negative.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> day = np.repeat(np.arange(30), 100)
    >>> score = rng.random(3_000)
    >>> y = rng.random(3_000) < np.clip(score + rng.normal(0, 0.1, 30)[day], 0, 1)       # days differ
    >>> curve = calibrate(score, y, block=day)
    >>> found = block_heterogeneity("recall", curve, refit(curve, score, y, block=day), score, y, day, score > 0.5)
    >>> found.n_blocks, round(found.tau2**0.5, 3)
    (30, 0.066)
    """
    if len(replicates) < 2:
        raise ConfigurationError(f"block_heterogeneity: got {len(replicates)} replicates; expected at least two")
    known = _Reference.of("block_heterogeneity", score, y, None, block)
    _, classes = _sorted(known.s, predicted, known.order)
    q = known.predict_out_of(known.folds(N_LEFT_OUT, seed), calibration.method)
    found = [
        _surprise(
            _metric_of(metric, known.s[rows], None if classes is None else classes[rows]),
            known.y[rows],
            q[rows],
            known.s[rows],
            replicates[:200],
            _generator("block_heterogeneity", seed, _DRAWS + 1 + k),
        )
        for k, rows in enumerate(_rows_of_blocks(known.codes))
    ]
    defined = np.array([pair for pair in found if not np.isnan(pair).any()]).reshape(-1, 2)
    if len(defined) < 2:
        raise DataError(f"block_heterogeneity: {metric} is defined on {len(defined)} blocks; expected at least two")
    residuals, errors = defined.T
    tau2 = max(float(np.square(residuals).mean() - np.square(errors).mean()), 0.0)
    return Heterogeneity(tau2, len(defined), residuals, errors, metric)


def _rows_of_blocks(codes: Ints | None) -> list[Ints]:
    assert codes is not None
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])


def _surprise(
    realised: Callable[[Floats], Any],
    y: Floats,
    q: Floats,
    s: Floats,
    replicates: Sequence[Calibration],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Return realised minus expected metric of a block, and the standard deviation of the realised one; NaN if not."""
    naive, refitted, errors = _errors(realised, q, replicates, s, rng)
    spread = float(errors.std(ddof=1)) if len(errors) > 1 else math.nan
    return float(realised(y)) - (2 * naive - refitted), spread


def _sorted(score: ArrayLike, predicted: ArrayLike | None, order: Ints | None = None) -> tuple[Floats, Floats | None]:
    """Return scores in rising order, which ranks them once and for all, and the predicted classes that go with them."""
    s = _column("score", score, finite=False)
    order = np.argsort(s, kind="stable") if order is None else order
    if predicted is None:
        return s[order], None
    classes = _labels("predicted", predicted)
    if len(classes) != len(s):
        raise DataError(f"got {len(classes)} predicted classes for {len(s)} scores; expected as many")
    return s[order], classes[order]


def _errors(
    realised: Callable[[Floats], Any], q: Floats, replicates: Sequence[Calibration], s: Floats, rng: np.random.Generator
) -> tuple[float, float, Floats]:
    """Return the expected metric, its mean over replicates, and realised minus expected where q and not q_b is true."""
    at_once = max(1, _CELLS // max(len(s), 1))
    expected, drawn = [], []
    for start in range(0, len(replicates), at_once):
        refitted = np.stack([curve.predict(s) for curve in replicates[start : start + at_once]])
        labels = (rng.random(refitted.shape) < q).astype(np.float64)
        expected.append(realised(refitted))
        drawn.append(realised(labels))
    errors = np.concatenate(drawn) - np.concatenate(expected)
    return float(realised(q)), float(np.concatenate(expected).mean()), errors[~np.isnan(errors)]


# --- a few labels, and many estimates ---


@frozen
class PoweredMean(Interval):
    """A mean from a few labels and many estimates, with its interval; `n` counts the labels.

    Parameters
    ----------
    lam
        How much the estimates count, in [0, 1]; 0 is labels alone.
    n_unlabelled
        How many rows have an estimate only.
    """

    lam: float = field(default=0.0, kw_only=True)
    n_unlabelled: int = field(default=0, kw_only=True)


def ppi_mean(ok: ArrayLike, c: ArrayLike, c_unlabelled: ArrayLike, level: float = 0.95) -> PoweredMean:
    """Return the mean of an outcome (right or wrong, a loss) that a few rows show and many more have estimated.

    theta = lam * mean(c_unlabelled) + mean(ok - lam*c), unbiased however wrong the estimates c are, as long as the
    labelled rows are drawn like the others. lam = cov(ok, c) / ((1 + m/N) var(c)) clipped to [0, 1] makes its estimated
    variance lam^2 var(c_unlabelled)/N + var(ok - lam*c)/m as small as it gets; (1 + m/N) var(c) is estimated by
    var(c) + m/N var(c_unlabelled), so that the interval is never wider than that of the labels alone.

    Parameters
    ----------
    ok
        The outcome of the m labelled rows, shape (m,), finite: 1 where the prediction was right, or a loss.
    c
        Its estimate for the same rows, shape (m,): the calibrated probability of being right, or the expected loss.
    c_unlabelled
        Its estimate for the N rows without a label, shape (N,).
    level
        Coverage, in (0, 1), of the mean of the population both kinds of rows are drawn from: a central limit interval
        with Student's quantile for m - 1 degrees of freedom.

    Returns
    -------
    PoweredMean
        Labels alone (lam = 0) for fewer than two unlabelled rows or estimates without spread. NaN or the only label in
        (-inf, inf) for m < 2. Clopper-Pearson where all labels are 0, or all 1, since their spread says nothing.

    Raises
    ------
    DataError
        When a value is not finite or the shapes differ.
    ConfigurationError
        When the level lies outside (0, 1).

    References
    ----------
    Angelopoulos, Duchi and Zrnic, "PPI++: Efficient Prediction-Powered Inference" (2023, arXiv 2311.01453), the
    power-tuned estimator of a mean.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> c = rng.beta(4, 1, 2_000)
    >>> ok = rng.random(2_000) < c
    >>> print(ppi_mean(ok[:200], c[:200], c[200:]))
    0.7952 [0.7412, 0.8491] (95%, n=200, ppi++)
    """
    check_level("ppi_mean", level)
    y, known, others = _column("ok", ok), _column("c", c), _column("c_unlabelled", c_unlabelled)
    if len(y) != len(known):
        raise DataError(f"ppi_mean: got {len(y)} outcomes and {len(known)} estimates of the same rows")
    m, n_others = len(y), len(others)
    sizes: dict[str, Any] = {"level": level, "n": m, "n_unlabelled": n_others}
    if m < 2:
        return PoweredMean(float(y[0]) if m else math.nan, -math.inf, math.inf, method="ppi++", **sizes)
    if np.ptp(y) == 0 and y[0] in (0.0, 1.0):
        exact = clopper_pearson(int(y.sum()), m, level)
        return PoweredMean(exact.estimate, exact.low, exact.high, method=exact.method, **sizes)
    lam, variance = _tuned(y, known, others)
    estimate = float(y.mean()) + lam * float(others.mean() - known.mean() if lam else 0.0)
    half = float(stdtrit(m - 1, (1 + level) / 2)) * math.sqrt(variance)
    return PoweredMean(estimate, estimate - half, estimate + half, method="ppi++", lam=lam, **sizes)


def _tuned(y: Floats, c: Floats, others: Floats) -> tuple[float, float]:
    """Return lam and the estimated variance of theta."""
    m, n_others = len(y), len(others)
    if n_others < 2 or (spread := c.var(ddof=1) + m / n_others * others.var(ddof=1)) == 0:
        return 0.0, float(y.var(ddof=1)) / m
    lam = float(np.clip((y - y.mean()) @ (c - c.mean()) / (m - 1) / spread, 0.0, 1.0))
    return lam, float(lam**2 * others.var(ddof=1) / n_others + (y - lam * c).var(ddof=1) / m)


# --- how a batch's inputs differ from the reference's ---


@frozen
class DensityRatio:
    """Weights that make the reference's rows look like the batch's.

    Parameters
    ----------
    weights
        Of each row of the reference, shape (n_reference,), in [0, clip]: p(x in batch) / p(x in reference).
    off_support
        Share of the batch's rows whose ratio is above the clip: hardly a row of the reference is like them. In [0, 1].
    auc
        Area under the ROC curve with which the batch was told from the reference, out of fold; .5 where it cannot be.
    clip
        The largest weight.
    clipped
        Share of the reference's rows whose weight was cut to the clip.
    n_reference, n_batch
        Numbers of rows.

    Examples
    --------
    >>> DensityRatio(weights=[2.0, 0.0], off_support=0.1, auc=0.9, clip=20, clipped=0.0, n_batch=50).effective_n
    1.0
    """

    weights: Floats = field(converter=_floats, eq=_SAME, repr=False)
    off_support: float = field(kw_only=True)
    auc: float = field(kw_only=True)
    clip: float = field(kw_only=True)
    clipped: float = field(kw_only=True)
    n_batch: int = field(kw_only=True)

    @property
    def n_reference(self) -> int:
        """Rows of the reference."""
        return len(self.weights)

    @property
    def effective_n(self) -> float:
        """How many unweighted rows the weighted reference is worth, (sum w)^2 / sum w^2; 0 where all weights are 0."""
        squares = float(self.weights @ self.weights)
        return float(self.weights.sum()) ** 2 / squares if squares else 0.0


def density_ratio(
    reference: ArrayLike,
    batch: ArrayLike,
    *,
    classifier: Any = None,
    reference_block: ArrayLike | None = None,
    batch_block: ArrayLike | None = None,
    clip: float = 20.0,
    seed: int = 0,
) -> DensityRatio:
    """Return how much more often than in the reference inputs like each of its rows occur in a batch.

    A classifier tells batch from reference, five-fold, each row judged by one that has not seen it:
    w(x) = p(batch | x) / p(reference | x) * n_reference / n_batch, with the counts it was trained on.

    Parameters
    ----------
    reference, batch
        Inputs, shapes (n_reference, d) and (n_batch, d); at least two rows each. NaN means missing, if the classifier
        takes it (the default does).
    classifier
        A scikit-learn classifier with `predict_proba`, cloned for each fold and trained without weights, so that its
        probabilities must be honest. By default gradient boosting of 40 small trees, which finds most shifts and knows
        little of none: without a shift it leaves an effective sample of about nine tenths (measured at 2,000 rows).
    reference_block, batch_block
        The block (day, customer) of each row, at least two blocks, which then stay whole within a fold. Leave
        `batch_block` out where the batch is a single day.
    clip
        The largest weight, above 1; batch rows with a larger ratio are off the reference's support.
    seed
        Seed of folds and of the default classifier, >= 0.

    Returns
    -------
    DensityRatio
        The weights are not rescaled: their mean is near 1 unless much was clipped or lies off the support.

    Raises
    ------
    DataError
        When there are fewer than two rows, the columns differ, or a value is infinite.
    ConfigurationError
        When the clip is not above 1, the seed is negative, or the classifier has no `predict_proba`.

    References
    ----------
    Bickel, Brueckner and Scheffer, "Discriminative learning under covariate shift" (JMLR 2009); Kish, "Survey Sampling"
    (1965), for the effective sample size.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reference, batch = rng.normal(size=(1_000, 1)), rng.normal(1, 1, size=(500, 1))
    >>> found = density_ratio(reference, batch)
    >>> found.auc > 0.7, found.effective_n < 700
    (True, True)
    """
    if not 1 < clip < math.inf:
        raise ConfigurationError(f"density_ratio: clip={clip!r}: expected a finite weight above 1")
    sides = [_inputs("reference", reference), _inputs("batch", batch)]
    if sides[0].shape[1] != sides[1].shape[1]:
        raise DataError(f"density_ratio: got {sides[0].shape[1]} columns and {sides[1].shape[1]}; expected as many")
    fold = np.concatenate(
        [
            _fold_of_side(block, side, seed, k)
            for k, (block, side) in enumerate(zip([reference_block, batch_block], sides, strict=True))
        ]
    )
    origin = np.repeat([0, 1], [len(side) for side in sides])
    ratio = _cross_fitted(np.concatenate(sides), origin, fold, _classifier(classifier, seed))
    weights, others = ratio[origin == 0], ratio[origin == 1]
    return DensityRatio(
        np.minimum(weights, clip),
        off_support=float((others > clip).mean()),
        auc=float(_area_of(ratio)(origin.astype(np.float64))),
        clip=clip,
        clipped=float((weights > clip).mean()),
        n_batch=len(others),
    )


def _fold_of_side(block: ArrayLike | None, side: Floats, seed: int, stream: int) -> Ints:
    """Return the fold of each row of the reference or the batch."""
    if block is not None:
        codes = _codes("density_ratio", block, len(side))
        return _runs(np.bincount(codes), N_FOLDS)[codes]
    dealt = np.arange(len(side)) % min(N_FOLDS, len(side))
    return _generator("density_ratio", seed, _FOLDS + 1 + stream).permutation(dealt)


def _classifier(classifier: Any, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    if classifier is None:
        return HistGradientBoostingClassifier(
            max_iter=40,
            max_leaf_nodes=8,
            min_samples_leaf=20,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=seed,
        )
    if not hasattr(classifier, "predict_proba"):
        raise ConfigurationError(f"density_ratio: classifier={classifier!r} has no predict_proba; give one that has")
    return classifier


def _cross_fitted(x: Floats, origin: Ints, fold: Ints, classifier: Any) -> Floats:
    """Return the density ratio at each row, by a classifier that has not seen the row's fold."""
    from sklearn.base import clone

    ratio = np.empty(len(x))
    for k in range(int(fold.max()) + 1):
        rest = fold != k
        n_batch = int(origin[rest].sum())
        p = clone(classifier).fit(x[rest], origin[rest]).predict_proba(x[~rest])[:, 1]
        odds = np.exp(logit(np.clip(p, EPS, 1 - 1e-12)))
        ratio[~rest] = odds * (int(rest.sum()) - n_batch) / n_batch
    return ratio


def _inputs(name: str, values: ArrayLike) -> Floats:
    x = np.asarray(values)
    if x.ndim != 2 or len(x) < 2 or x.dtype.kind not in "biuf" or not x.shape[1]:
        raise DataError(f"density_ratio: {name} is {x.dtype} of shape {x.shape}; expected numbers, (2 or more rows, d)")
    x = x.astype(np.float64)
    if np.isinf(x).any():
        raise DataError(f"density_ratio: {name} has {int(np.isinf(x).sum())} infinite values; expected finite or NaN")
    return x


# --- intervals that learn from late labels ---


@frozen
class AdaptiveWidth(State):
    """A width that follows the residuals of an estimator, so that its intervals hold in the long run whatever happens.

    Quantile tracking: after each batch width += step * (missed - alpha), missed = |residual - offset| > width. It needs
    two counts of the past: width = first + step * (n_missed - alpha * n). The adaptive conformal inference of Gibbs and
    Candes moves the *level* of a quantile of all past residuals instead, which grows without bound or forgets, and
    gives infinite widths now and then. With scores in [0, b] this is theirs, with the quantile function b * a,
    gamma = step/b and a1 = 1 - first/b, and so it has their guarantee, for any sequence at all:

        |n_missed/n - alpha| <= (max(a1, 1 - a1) + gamma) / (gamma * n),

    since a width above b misses nothing and one below 0 misses everything, so that it stays in
    [-step*alpha, b + step*(1 - alpha)]. (An interval of negative width is empty; it is given as the point, which can
    only cover more.) Where labels come d batches late, d + 1 takes the place of the 1 in front of gamma.

    `offset` is the exponentially weighted mean of past residuals, as though all before the first were 0; it is added
    to the estimate. Three numbers are all that is remembered.

    Parameters
    ----------
    alpha
        Share of batches whose truth may lie outside, in (0, 1).
    step
        How far the width moves, in units of the metric, above 0: about a tenth of a large residual. A larger one
        adapts and keeps the promise sooner, and makes widths less steady.
    first
        The first half-width, at least 0.
    rate
        Weight of the newest residual in the offset, in [0, 1]; 0 for no offset.
    n, n_missed
        Batches with labels so far, and those whose truth lay outside.
    offset
        The exponentially weighted mean residual.

    Raises
    ------
    ConfigurationError
        When a dial lies outside its range.
    DataError
        When the counts or the offset cannot be.
    StateMismatch
        When a dial was turned after the start.

    References
    ----------
    Gibbs and Candes, "Adaptive conformal inference under distribution shift" (NeurIPS 2021), proposition 4.1;
    Angelopoulos, Candes and Tibshirani, "Conformal PID control for time series prediction" (NeurIPS 2023), quantile
    tracking.

    Examples
    --------
    >>> state = AdaptiveWidth(step=0.01, first=0.02)
    >>> for _ in range(30):                                # the model got worse by .10, which no estimate shows
    ...     state = state.update(-0.10)
    >>> print(state.interval(0.90))
    0.8042 [0.7492, 0.8592] (95%, n=30, quantile-tracking)
    """

    step: float = dial(kw_only=True)
    first: float = dial(kw_only=True)
    alpha: float = dial(default=0.05, kw_only=True)
    rate: float = dial(default=0.1, kw_only=True)
    n: int = field(default=0, kw_only=True)
    n_missed: int = field(default=0, kw_only=True)
    offset: float = field(default=0.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if not 0 < self.alpha < 1:
            raise ConfigurationError(f"AdaptiveWidth: alpha={self.alpha!r}: expected a probability between 0 and 1")
        if not (0 < self.step < math.inf and 0 <= self.first < math.inf and 0 <= self.rate <= 1):
            raise ConfigurationError(
                f"AdaptiveWidth: step={self.step!r}, first={self.first!r}, rate={self.rate!r}: "
                "expected a finite step above 0, a finite first width of at least 0, and a rate in [0, 1]"
            )
        if not (0 <= self.n_missed <= self.n and math.isfinite(self.offset)):
            raise DataError(
                f"AdaptiveWidth: n={self.n!r}, n_missed={self.n_missed!r}, offset={self.offset!r}: "
                "expected 0 <= n_missed <= n and a finite offset"
            )

    @classmethod
    def start(cls, residuals: ArrayLike, *, alpha: float = 0.05, rate: float = 0.1) -> Self:
        """Return the state to start with, given residuals on the reference, such as those of `Heterogeneity`.

        The first width is the smallest that covers a share 1 - alpha of n + 1 (the largest residual where there are too
        few), the step a tenth of the largest.

        Raises
        ------
        DataError
            When there are no residuals, one is not finite, or all are 0.
        """
        size = np.sort(np.abs(_column("residuals", residuals)))
        if not len(size) or size[-1] == 0:
            raise DataError("AdaptiveWidth.start: expected residuals that are not all 0; give step= and first= instead")
        rank = min(math.ceil((len(size) + 1) * (1 - alpha)), len(size))
        return cls(step=float(size[-1]) / 10, first=float(size[max(rank, 1) - 1]), alpha=alpha, rate=rate)

    @property
    def width(self) -> float:
        """The tracked quantile of |residual - offset|; below 0 the interval is empty."""
        return self.first + self.step * (self.n_missed - self.alpha * self.n)

    @property
    def half_width(self) -> float:
        """Half the width of the next interval, at least 0."""
        return max(self.width, 0.0)

    def interval(self, estimate: float, *, low: float = 0.0, high: float = 1.0) -> Interval:
        """Return the corrected estimate of the next batch and its interval.

        Parameters
        ----------
        estimate
            The estimate without labels.
        low, high
            Between what the metric lies; the interval is cut to it.

        Raises
        ------
        DataError
            When the estimate does not lie there.
        """
        if not low <= estimate <= high:
            raise DataError(f"AdaptiveWidth: estimate={estimate!r}: expected a number between {low:g} and {high:g}")
        centre = estimate + self.offset
        middle, bottom, top = (
            min(max(v, low), high) for v in (centre, centre - self.half_width, centre + self.half_width)
        )
        return Interval(middle, bottom, top, 1 - self.alpha, self.n, "quantile-tracking", "asymptotic")

    def update(self, residual: float, issued: AdaptiveWidth | None = None) -> Self:
        """Return the state after the labels of a batch.

        Parameters
        ----------
        residual
            Realised metric minus the estimate without labels (before the offset).
        issued
            The state whose interval was given for this batch, where labels are late; by default this one.

        Raises
        ------
        DataError
            When the residual is not finite.
        """
        if not math.isfinite(residual):
            raise DataError(f"AdaptiveWidth: residual={residual!r}: expected a finite difference, truth - estimate")
        at = self if issued is None else issued
        missed = abs(residual - at.offset) > at.width
        offset = self.offset + self.rate * (float(residual) - self.offset)
        return evolve(self, n=self.n + 1, n_missed=self.n_missed + int(missed), offset=offset)


# --- what all of them check ---


def _generator(name: str, seed: int, stream: int) -> np.random.Generator:
    if seed < 0:
        raise ConfigurationError(f"{name}: seed={seed!r}: expected a whole number of at least 0")
    return np.random.Generator(np.random.Philox(key=[seed, stream]))


def _check_choice(name: str, values: Sequence[str], known: Sequence[str]) -> None:
    for value in values:
        if value not in known:
            raise ConfigurationError(f"{name}={value!r}: expected one of {list(known)}")


def _codes(name: str, block: ArrayLike, n: int) -> Ints:
    """Return each row's block, counted from 0 in sorted order."""
    keys = np.asarray(block)
    if keys.shape != (n,):
        raise DataError(f"{name}: block has shape {keys.shape}; expected ({n},), one block for each row")
    n_missing = sum(key is None for key in keys) if keys.dtype == object else int((keys != keys).sum())
    if n_missing:
        raise DataError(f"{name}: {n_missing} blocks are missing; expected one for each row")
    known, codes = np.unique(keys, return_inverse=True)
    if len(known) < 2:
        raise DataError(f"{name}: got {len(known)} block; expected at least two, or block=None for independent rows")
    return np.asarray(codes, dtype=np.intp)


def _column(name: str, values: ArrayLike, *, finite: bool = True) -> Floats:
    """Return numbers of shape (n,), none of them NaN, and none infinite unless that is allowed."""
    try:
        x = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: expected numbers; {error}") from error
    if x.ndim != 1:
        raise DataError(f"{name} has shape {x.shape}; expected (n,)")
    bad = ~np.isfinite(x) if finite else np.isnan(x)
    if bad.any():
        kind = "finite numbers" if finite else "numbers"
        raise DataError(f"{name}: {int(bad.sum())} of {len(x)} values are NaN or infinite; expected {kind}")
    return x


def _labels(name: str, values: ArrayLike) -> Floats:
    y = _column(name, values)
    if not ((y == 0) | (y == 1)).all():
        raise DataError(f"{name}: expected 0 or 1; got {y[(y != 0) & (y != 1)][0]:g}")
    return y


def _probabilities(name: str, s: Floats) -> Floats:
    """Return probabilities, freed from rounding."""
    if len(s) and not (s.min() >= -1e-6 and s.max() <= 1 + 1e-6):
        raise DataError(f"{name}: expected probabilities between 0 and 1; got {s.min():g} to {s.max():g}")
    return np.clip(s, 0.0, 1.0)


def _matrix(name: str, q: ArrayLike, n: int) -> Floats:
    """Return probabilities or labels of shape (..., n)."""
    p = np.asarray(q, dtype=np.float64)
    if p.ndim < 1 or p.shape[-1] != n or not (p.min(initial=0.0) >= 0 and p.max(initial=1.0) <= 1):
        raise DataError(
            f"{name} has shape {p.shape}, or a NaN or a value outside [0, 1]; expected (..., {n}), in [0, 1]"
        )
    return p


def _ratio(numerator: Any, denominator: Any) -> Any:
    """Return the ratio, NaN where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return _plain(np.where(np.equal(denominator, 0), np.nan, np.divide(numerator, denominator)))


def _plain(value: Any) -> Any:
    """Return a single number as a float."""
    return float(value) if np.ndim(value) == 0 else value
