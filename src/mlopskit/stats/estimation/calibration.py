"""From a score to a probability: the method chosen out of fold, and replicates for its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.estimation.base import (
    EPS,
    FOLD_STREAM,
    N_FOLDS,
    SAME,
    Floats,
    Ints,
    block_codes,
    check_choice,
    column,
    floats,
    generator,
    labels_of,
    probabilities_of,
    runs,
)

Method: TypeAlias = Literal["constant", "identity", "sigmoid", "isotonic"]


Loss: TypeAlias = Literal["log_loss", "brier_score_loss"]


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
    scores: Floats = field(factory=lambda: np.empty(0), converter=floats, eq=SAME, kw_only=True, repr=False)
    probabilities: Floats = field(factory=lambda: np.empty(0), converter=floats, eq=SAME, kw_only=True, repr=False)
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
        s = column("score", score, finite=False)
        if self.is_probability:
            s = probabilities_of("score", s)
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
        Constant where only one class or one score occurs and a curve is allowed: the mean target, (n1 + 1)/(n + 2) with
        one class.

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
    check_choice("calibrate: loss", [loss], ("log_loss", "brier_score_loss"))
    check_choice("calibrate: methods", methods, ("identity", "sigmoid", "isotonic"))
    known = Labelled.of("calibrate", score, y, weight, block)
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
    known = Labelled.of("refit", score, y, weight, block)
    if len(known.s) != calibration.n:
        raise DataError(f"refit: got {len(known.s)} rows; expected the {calibration.n} of the calibration")
    is_identity = calibration.method == "identity"
    base = known.fit("sigmoid") if is_identity else calibration
    weights = (known.poisson(generator("refit", seed, k)) for k in range(n_replicates))
    replicates = (known.fit(base.method, w, start=base) for w in weights)
    return tuple(_around_identity(r, base) if is_identity else r for r in replicates)


def _around_identity(replicate: Calibration, base: Calibration) -> Calibration:
    """Move a refitted sigmoid so that it is as far from the identity as it was from the fitted sigmoid."""
    (slope, intercept), (base_slope, base_intercept) = _line(replicate), _line(base)
    return evolve(
        replicate,
        method="sigmoid",
        slope=1.0 + slope - base_slope,
        intercept=intercept - base_intercept,
        scores=(),
        probabilities=(),
    )


def _line(curve: Calibration) -> tuple[float, float]:
    """Return slope and intercept on the logit scale; a constant is a flat line, half a row away from 0 and 1."""
    if curve.method != "constant":
        return curve.slope, curve.intercept
    half = 0.5 / curve.n
    p = min(max(float(curve.probabilities[0]), half), 1 - half)
    return 0.0, float(logit(p))


@frozen
class Labelled:
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
        """Check labelled rows."""
        s, labels = column(f"{name}: score", score), labels_of(f"{name}: y", y)
        w = np.ones(len(s)) if weight is None else column(f"{name}: weight", weight)
        if not len(s) == len(labels) == len(w):
            raise DataError(f"{name}: got {len(s)} scores, {len(labels)} labels, {len(w)} weights; expected as many")
        if not len(s):
            raise DataError(f"{name}: the reference has no rows; expected at least one")
        if w.min() < 0 or not w.any():
            raise DataError(f"{name}: expected weights of at least 0, not all of them 0; the smallest is {w.min():g}")
        codes = None if block is None else block_codes(name, block, len(s))
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
            return runs(np.bincount(self.codes), n_folds)[self.codes]
        fold = np.empty(len(self.s), dtype=np.intp)
        tie = generator("seed", seed, FOLD_STREAM).random(len(fold))
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
    largest = float(np.abs(f).max()) or 1.0  # so that neither tiny nor huge scores leave the range of floats
    middle, deviation = float((f / largest).mean()), float((f / largest).std())
    centre, spread = middle * largest, (deviation or 1.0) * largest
    z = (f / largest - middle) / (deviation or 1.0)
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
