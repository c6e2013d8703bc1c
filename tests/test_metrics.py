"""Metrics: equal to scikit-learn's, by row where a row has a loss, and clear about what they cannot read."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from mlopskit.errors import ConfigurationError, DataError
from mlopskit.metrics import as_binary, metric

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 200)
P = np.clip(RNG.normal(0.3 + 0.4 * Y, 0.2), 0.001, 0.999)
LABELS = (P > 0.5).astype(int)
VALUES = RNG.normal(size=200)
Y3 = RNG.integers(0, 3, 200)
P3 = RNG.dirichlet([1, 1, 1], 200)

SECOND = {
    "neg_log_loss": (Y, P, lambda y, p: -sk.log_loss(y, p)),
    "neg_brier_score": (Y, P, lambda y, p: -sk.brier_score_loss(y, p)),
    "accuracy": (Y, LABELS, sk.accuracy_score),
    "roc_auc": (Y, P, sk.roc_auc_score),
    "average_precision": (Y, P, sk.average_precision_score),
    "balanced_accuracy": (Y, LABELS, sk.balanced_accuracy_score),
    "f1": (Y, LABELS, sk.f1_score),
    "neg_mean_absolute_error": (VALUES, P, lambda y, p: -sk.mean_absolute_error(y, p)),
    "neg_mean_squared_error": (VALUES, P, lambda y, p: -sk.mean_squared_error(y, p)),
    "neg_root_mean_squared_error": (VALUES, P, lambda y, p: -sk.root_mean_squared_error(y, p)),
    "r2": (VALUES, P, sk.r2_score),
}


@pytest.mark.parametrize("name", SECOND)
def test_scores_are_those_of_scikit_learn(name):
    """Second source: sklearn.metrics."""
    y, p, score = SECOND[name]
    assert metric(name).score(y, p) == pytest.approx(score(y, p), abs=1e-12)
    assert metric(name).name in sk.get_scorer_names()


@pytest.mark.parametrize("name", ["log_loss", "brier_score_loss", "zero_one_loss", "mean_absolute_error"])
def test_losses_of_rows_average_to_the_loss(name):
    """Second source: the function of that name in sklearn.metrics."""
    m = metric(name)
    y, p, _ = SECOND[m.name]
    assert m.losses(y, p).mean() == pytest.approx(getattr(sk, name)(y, p), abs=1e-12)
    assert m.losses(y, p).shape == (200,)


def test_a_loss_and_its_score_are_one_metric():
    """log_loss and neg_log_loss find the same entry; an unknown name lists the known ones."""
    assert metric("log_loss") is metric("neg_log_loss")
    assert metric("brier_score") is metric("neg_brier_score")
    with pytest.raises(ConfigurationError, match="'roc_auc'"):
        metric("auc")


@pytest.mark.parametrize(
    "y",
    [
        Y.astype(bool),
        Y.astype(float),
        np.array(["no", "yes"])[Y],
        np.array([1, 2])[Y],
        pd.Series(Y, dtype="Int64"),
        pd.Series(Y, dtype="boolean"),
        pd.Series(np.array(["no", "yes"])[Y]).astype("category"),
        pd.Series(Y).astype("int64[pyarrow]"),
    ],
    ids=["bool", "float", "text", "one-two", "Int64", "boolean", "category", "arrow"],
)
def test_binary_labels_of_every_kind(y):
    """The second class in order is the positive one, whatever the labels are made of."""
    assert metric("log_loss").losses(y, P) == pytest.approx(metric("log_loss").losses(Y, P))
    assert metric("roc_auc").score(y, P) == pytest.approx(sk.roc_auc_score(Y, P))


def test_classes_say_which_label_is_positive():
    """A day that shows only class 1 of {1, 2}, or only "no", is judged by the model's classes."""
    ones = np.ones(5, int)
    assert metric("log_loss").losses(ones, np.full(5, 0.1), classes=[1, 2]) == pytest.approx(-np.log(0.9))
    assert not as_binary(np.array(["no"]), ["no", "yes"]).any()
    with pytest.raises(DataError, match="give classes="):
        metric("log_loss").losses(np.array(["no", "no"]), [0.1, 0.2])


def test_more_than_two_classes():
    """Second source: sklearn.metrics.log_loss; half the squared distance for Brier, which is the binary one for two."""
    assert metric("log_loss").losses(Y3, P3).mean() == pytest.approx(sk.log_loss(Y3, P3))
    some = Y3 != 2
    assert len(metric("log_loss").losses(Y3[some], P3[some], classes=[0, 1, 2])) == some.sum()
    two = np.column_stack([1 - P, P])
    assert metric("brier_score").losses(Y, two) == pytest.approx(metric("brier_score").losses(Y, P))
    with pytest.raises(DataError, match="3 columns of probabilities for 2 classes"):
        metric("log_loss").losses(Y3[some], P3[some])
    with pytest.raises(DataError, match="outside"):
        metric("log_loss").losses([7, 0, 1], P3[:3], classes=[0, 1, 2])


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=30), st.floats(1e-6, 0.2))
def test_losses_lie_within_their_bounds(rows, clip):
    """No row's loss leaves the range that a monitor scales by."""
    y, p = zip(*rows, strict=True)
    for name in ("log_loss", "brier_score", "zero_one_loss"):
        low, high = metric(name).bounds(clip=clip)
        answers = np.array(p) if name != "zero_one_loss" else np.array(p) > 0.5
        losses = metric(name).losses(np.array(y), answers, clip=clip)
        assert (losses >= low - 1e-12).all()
        assert (losses <= high + 1e-12).all()
    assert metric("mean_squared_error").bounds()[1] == np.inf


@pytest.mark.parametrize(
    ("name", "y", "p", "says"),
    [
        ("log_loss", [1, None, 0], [0.1, 0.2, 0.3], "1 of 3 values of y_true are missing"),
        ("log_loss", [1.0, np.nan], [0.1, 0.2], "1 of 2 values of y_true are missing"),
        ("log_loss", [1, 0], [0.1, np.nan], "1 of 2 values of y_pred are missing"),
        ("mean_squared_error", [1, 0], [0.1, np.inf], "1 predictions are not finite"),
        ("log_loss", [1, 0], [0.1, 1.2], "between 0 and 1"),
        ("log_loss", [1, 0, 1], [0.1, 0.2], "y_true has 3 rows and y_pred 2"),
        ("roc_auc", [1, 1], [0.1, 0.2], "both classes"),
        ("roc_auc", [0, 1, 2], [0.1, 0.2, 0.3], "two classes"),
        ("accuracy", [], [], "no rows to score"),
    ],
)
def test_what_cannot_be_scored_is_refused(name, y, p, says):
    """Missing, infinite, impossible or unequal input gives an error that counts it, never a number."""
    with pytest.raises(DataError, match=says):
        metric(name).score(y, p)


def test_a_metric_without_losses_says_so():
    """The area under the curve is no mean over rows."""
    with pytest.raises(ConfigurationError, match="no loss for a single row"):
        metric("roc_auc").losses(Y, P)
