"""One table of metrics: names as scikit-learn has them, and the loss of each row where a metric has one.

A loss and its score are one metric: "log_loss" and "neg_log_loss" both find it. Scores follow scikit-learn, so
greater is better; losses are per row, so lower is better. A monitor averages losses over a day, a gate compares them on
the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mlopskit import frames
from mlopskit.errors import ConfigurationError, DataError

Needs: TypeAlias = Literal["scores", "labels", "values"]
Floats: TypeAlias = NDArray[np.float64]

EPS = 1e-15
"""Where probabilities are clipped for the log-loss when no other clip is asked for."""


@frozen
class Metric:
    """A way to compare predictions with the truth.

    Parameters
    ----------
    name
        The scikit-learn scorer's name, for instance "neg_log_loss"; greater is better.
    loss_name
        The name of the loss where a row has one ("log_loss"), otherwise the scorer's name again.
    needs
        What the predictions must be: "scores" (probabilities), "labels" (classes) or "values" (numbers).
    has_losses
        Whether a single row has a loss.
    """

    name: str
    loss_name: str
    needs: Needs
    has_losses: bool

    def bounds(self, *, clip: float = EPS) -> tuple[float, float]:
        """Return the smallest and the largest loss of a row; the largest may be infinite.

        Parameters
        ----------
        clip
            Probabilities are clipped to [clip, 1 - clip]; log-loss only.
        """
        if self.loss_name == "log_loss":
            return 0.0, -math.log(clip)
        return 0.0, 1.0 if self.loss_name in {"brier_score_loss", "zero_one_loss"} else math.inf

    def losses(self, y_true: Any, y_pred: Any, *, clip: float = EPS, classes: Any = None) -> Floats:
        """Return the loss of each row, shape (n_rows,).

        Parameters
        ----------
        y_true
            Shape (n_rows,): 0/1 or booleans, or classes (the second in order is the positive one), or numbers.
        y_pred
            Shape (n_rows,), or (n_rows, n_classes) for the probabilities of more than two classes.
        clip
            Probabilities are clipped to [clip, 1 - clip]; log-loss only.
        classes
            The classes in order, where `y_true` may not show all of them.

        Raises
        ------
        ConfigurationError
            When single rows have no loss under this metric.
        DataError
            When a value is missing or not finite, lengths differ, or a probability lies outside [0, 1].

        >>> metric("log_loss").losses([1, 0], [0.5, 0.5]).round(4)
        array([0.6931, 0.6931])
        """
        if not self.has_losses:
            raise ConfigurationError(f"{self.name!r} has no loss for a single row: use one of {sorted(_WITH_LOSSES)}")
        y, p = self._read(y_true, y_pred)
        if self.needs == "labels":
            return np.asarray(y != p, dtype=np.float64)
        if self.needs == "values":
            gap = y.astype(np.float64) - p
            values: Floats = np.abs(gap) if self.loss_name == "mean_absolute_error" else np.square(gap)
            return values
        hit = _probability_of_truth(y, p, classes)
        if self.loss_name == "log_loss":
            return -np.log(np.clip(hit, clip, 1 - clip))
        return np.square(1 - hit) if p.ndim == 1 else _brier(y, p, classes)

    def score(self, y_true: Any, y_pred: Any, *, classes: Any = None) -> float:
        """Return scikit-learn's score over all rows; greater is better.

        Raises
        ------
        DataError
            As `losses`, and when there are no rows or the metric needs two classes and only one occurs.

        >>> round(metric("accuracy").score([1, 0, 1], [1, 1, 1]), 4)
        0.6667
        """
        y, p = self._read(y_true, y_pred)
        if not len(y):
            raise DataError(f"{self.name}: there are no rows to score")
        if self.has_losses and self.name != "neg_root_mean_squared_error":
            mean = float(self.losses(y_true, y_pred, classes=classes).mean())
            return 1 - mean if self.name == "accuracy" else -mean
        return _WHOLE[self.name](y, p, classes)

    def _read(self, y_true: Any, y_pred: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        y = read(y_true, "y_true")
        p = read(y_pred, "y_pred")
        if len(y) != len(p):
            raise DataError(f"y_true has {len(y)} rows and y_pred {len(p)}: they must be the same rows")
        if self.needs != "labels":
            p = p.astype(np.float64)
            if not np.isfinite(p).all():
                raise DataError(f"{int((~np.isfinite(p)).sum())} predictions are not finite: expected numbers")
        if self.needs == "scores" and len(p) and not (p.min() >= 0 and p.max() <= 1):
            raise DataError(f"{self.name} needs probabilities between 0 and 1; got {p.min():g} to {p.max():g}")
        return y, p


def read(values: Any, name: str) -> NDArray[Any]:
    """Return labels or predictions as a numpy array without nulls.

    Raises
    ------
    DataError
        When values are missing; the message counts them.
    """
    array = np.asarray(values)
    if array.ndim == 2:
        return array
    column = frames.column(values if array.ndim == 1 else array.ravel(), name)
    n_missing = int(column.missing.sum())
    if n_missing:
        raise DataError(f"{n_missing} of {len(column)} values of {name} are missing: leave rows without a label out")
    result: NDArray[Any] = column.values if column.levels is None else column.levels[column.values]
    return result


def as_binary(y: NDArray[Any], classes: Any = None) -> NDArray[np.bool_]:
    """Return whether each label is the positive class: 1, True, or the second of two classes in order.

    Raises
    ------
    DataError
        When there are more than two classes, or one class that is neither 0 nor 1.
    """
    known = np.unique(y) if classes is None else np.asarray(classes)
    if set(known.tolist()) <= {0, 1}:
        return np.asarray(y == 1, dtype=np.bool_)
    if len(known) != 2:
        raise DataError(f"expected two classes, got {known.tolist()[:5]}: give classes= where one is not in the data")
    return np.asarray(y == known[1], dtype=np.bool_)


def _codes(y: NDArray[Any], p: NDArray[Any], classes: Any) -> NDArray[np.intp]:
    known = np.unique(y) if classes is None else np.asarray(classes)
    if len(known) != p.shape[1]:
        raise DataError(f"{p.shape[1]} columns of probabilities for {len(known)} classes: give classes= in order")
    if not np.isin(y, known).all():
        raise DataError(f"y_true holds classes outside {known.tolist()[:5]}")
    order = np.argsort(known)
    return order[np.searchsorted(known[order], y)]


def _probability_of_truth(y: NDArray[Any], p: Floats, classes: Any) -> Floats:
    if p.ndim == 1:
        return np.where(as_binary(y, classes), p, 1 - p)
    result: Floats = p[np.arange(len(y)), _codes(y, p, classes)]
    return result


def _brier(y: NDArray[Any], p: Floats, classes: Any) -> Floats:
    """Return half the squared distance to the truth's corner: in [0, 1], and the binary Brier score for two classes."""
    truth = np.zeros_like(p)
    truth[np.arange(len(y)), _codes(y, p, classes)] = 1
    result: Floats = np.square(p - truth).sum(axis=1) / 2
    return result


def _sklearn(name: str, *, binary: bool) -> Callable[[NDArray[Any], NDArray[Any], Any], float]:
    def score(y: NDArray[Any], p: NDArray[Any], classes: Any) -> float:
        import sklearn.metrics

        function = getattr(sklearn.metrics, name)
        if not binary:
            return float(function(y, p))
        truth = as_binary(y, classes)
        if name in {"roc_auc_score", "average_precision_score"} and truth.all() | (~truth).all():
            raise DataError(f"{name} needs both classes; got only one in {len(y)} rows")
        return float(function(truth, as_binary(p, classes) if name == "f1_score" else p))

    return score


def _root(y: NDArray[Any], p: NDArray[Any], _: Any) -> float:
    return -float(np.sqrt(np.square(y.astype(np.float64) - p).mean()))


_WHOLE: dict[str, Callable[[NDArray[Any], NDArray[Any], Any], float]] = {
    "average_precision": _sklearn("average_precision_score", binary=True),
    "balanced_accuracy": _sklearn("balanced_accuracy_score", binary=False),
    "f1": _sklearn("f1_score", binary=True),
    "neg_root_mean_squared_error": _root,
    "r2": _sklearn("r2_score", binary=False),
    "roc_auc": _sklearn("roc_auc_score", binary=True),
}

_TABLE = (
    Metric("neg_log_loss", "log_loss", "scores", True),
    Metric("neg_brier_score", "brier_score_loss", "scores", True),
    Metric("accuracy", "zero_one_loss", "labels", True),
    Metric("neg_mean_absolute_error", "mean_absolute_error", "values", True),
    Metric("neg_mean_squared_error", "mean_squared_error", "values", True),
    Metric("neg_root_mean_squared_error", "root_mean_squared_error", "values", False),
    Metric("roc_auc", "roc_auc", "scores", False),
    Metric("average_precision", "average_precision", "scores", False),
    Metric("balanced_accuracy", "balanced_accuracy", "labels", False),
    Metric("f1", "f1", "labels", False),
    Metric("r2", "r2", "values", False),
)
_BY_NAME = {name: m for m in _TABLE for name in (m.name, m.loss_name)}
_BY_NAME["brier_score"] = _BY_NAME["brier_score_loss"]
_WITH_LOSSES = {m.loss_name for m in _TABLE if m.has_losses}


def metric(name: str) -> Metric:
    """Return a metric by the name of its score or of its loss.

    Raises
    ------
    ConfigurationError
        For a name that is not in the table; the message lists those that are.

    >>> metric("log_loss").name
    'neg_log_loss'
    """
    if name not in _BY_NAME:
        raise ConfigurationError(f"metric={name!r} is not known: expected one of {sorted(_BY_NAME)}")
    return _BY_NAME[name]
