"""What a batch's metrics should be, from probabilities; with labels in their place, what they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike

from mlopskit.errors import DataError
from mlopskit.stats.estimation.base import (
    EPS,
    SAME,
    Floats,
    check_choice,
    column,
    labels_of,
    matrix,
    plain,
    probabilities_of,
    ratio,
)

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

    tp: Any = field(eq=SAME)
    fp: Any = field(eq=SAME)
    fn: Any = field(eq=SAME)
    tn: Any = field(eq=SAME)

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
        positive = labels_of("predicted", predicted)
        p = matrix("q", q, len(positive))
        tp, positives, n_predicted = p @ positive, p.sum(axis=-1), float(positive.sum())
        tp = np.minimum(tp, positives)
        cells = (tp, n_predicted - tp, positives - tp, (len(positive) - n_predicted) - (positives - tp))
        return cls(*(plain(np.maximum(cell, 0.0)) for cell in cells))

    @property
    def n(self) -> Any:
        """Number of rows."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def accuracy(self) -> Any:
        """Share of rows predicted right; NaN without rows."""
        return ratio(self.tp + self.tn, self.n)

    @property
    def precision(self) -> Any:
        """Share of predicted positives that are positive; NaN where none is predicted."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Any:
        """Share of positives that are predicted (TPR); NaN where there are none."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> Any:
        """Share of negatives that are predicted (1 - FPR); NaN where there are none."""
        return ratio(self.tn, self.tn + self.fp)

    @property
    def f1(self) -> Any:
        """2 TP / (2 TP + FP + FN); NaN where nothing is positive and nothing predicted so."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


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
    realised = metric_of(metric, score, predicted)
    return plain(realised(matrix("q", q, np.shape(score)[0])))


def metric_of(metric: str, score: ArrayLike, predicted: ArrayLike | None) -> Callable[[Floats], Any]:
    """Return the metric as a function of probabilities or labels, shape (..., n); what only scores decide is done."""
    check_choice("metric", [metric], tuple(RANGES))
    s = column("score", score, finite=False)
    if metric == "roc_auc":
        return area_of(s)
    if metric in ("brier_score_loss", "log_loss"):
        p = probabilities_of("score", s)
        one, zero = _loss_if(metric, p, 1.0), _loss_if(metric, p, 0.0)
        return lambda q: ratio(q @ one + (1 - q) @ zero, float(len(p)))
    if predicted is None:
        raise DataError(f"{metric} compares predicted classes with the truth: give predicted=, 0 or 1 for each row")
    classes = labels_of("predicted", predicted)
    if len(classes) != len(s):
        raise DataError(f"{metric}: got {len(classes)} predicted classes for {len(s)} scores; expected as many")
    return lambda q: getattr(Confusion.of(q, classes), metric)


def _loss_if(metric: str, p: Floats, y: float) -> Floats:
    if metric == "brier_score_loss":
        return np.square(y - p)
    return np.asarray(-np.log(np.clip(p if y else 1 - p, EPS, 1 - EPS)))


def area_of(s: Floats) -> Callable[[Floats], Any]:
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
