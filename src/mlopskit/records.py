"""The values that travel between the stages: candidates, versions, predictions, decisions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from mlopskit import frames
from mlopskit.errors import DataError
from mlopskit.lineage import Lineage
from mlopskit.profiling import Profile
from mlopskit.schema import Schema


@frozen(eq=False)
class Predictions:
    """What a model answered; `np.asarray(predictions)` gives the values.

    Parameters
    ----------
    values
        Shape (n_rows,): predicted classes or numbers.
    scores
        Probabilities: shape (n_rows,) of the second class for a binary classifier, (n_rows, n_classes) for more
        classes, None for a model without probabilities.
    version
        "name:number" of the registered version that answered, or None.
    ids
        One id for each row, or None where nothing was logged.
    classes
        The classes that a classifier knows, in the order of its scores; None for other models.
    """

    values: NDArray[Any]
    scores: NDArray[np.float64] | None = None
    version: str | None = None
    ids: tuple[str, ...] | None = None
    classes: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype=dtype, copy=copy if copy is not None else True)


def predict(model: Any, frame: frames.Frame, features: tuple[str, ...] | None = None) -> Predictions:
    """Ask a fitted model about a frame: columns are picked by name, so order and extra columns do not matter.

    Raises
    ------
    DataError
        When a feature is missing or stands twice, the frame has no rows, or the model cannot take what they hold.
    """
    if frames.n_rows(frame) == 0:
        raise DataError("cannot predict for an empty frame: send at least one row")
    chosen = frames.to_pandas(frame if features is None else frames.select(frame, features))
    try:
        return _ask(model, chosen)
    except (ValueError, TypeError, AttributeError) as error:
        what = type(model).__name__
        raise DataError(f"{what} cannot predict for these {len(chosen)} rows: {error}") from error


def _ask(model: Any, chosen: Any) -> Predictions:
    unnamed = hasattr(model, "n_features_in_") and getattr(model, "feature_names_in_", None) is None
    if unnamed and all(dtype.kind in "biuf" for dtype in chosen.dtypes):  # fitted on an array
        chosen = chosen.to_numpy(dtype=np.float64, na_value=np.nan)
    last, rows = _prepared(model, chosen)
    scores = None
    if hasattr(last, "predict_proba"):
        scores = np.asarray(last.predict_proba(rows), dtype=np.float64)
        if scores.ndim == 2 and scores.shape[1] == 2:
            scores = scores[:, 1]
    return Predictions(np.asarray(last.predict(rows)), scores, classes=getattr(last, "classes_", None))


def _prepared(model: Any, rows: Any) -> tuple[Any, Any]:
    """Return a pipeline's last step and the transformed rows, so that values and scores share one transformation."""
    from sklearn.pipeline import Pipeline

    if type(model) is Pipeline and len(model.steps) > 1 and hasattr(model, "predict_proba"):
        return model.steps[-1][1], model[:-1].transform(rows)
    return model, rows


@frozen
class Score:
    """One metric with its interval.

    Parameters
    ----------
    metric
        Name as scikit-learn has it, for instance "neg_log_loss".
    value, low, high
        The estimate and its interval, in the metric's unit.
    n_rows, n_blocks
        Rows scored, and the independent blocks (days, say) that the interval counts; rows where no time is known.
    slice
        "column=value" for a part of the data, None for all of it.
    level
        Nominal coverage of the interval.
    method
        How the interval was made, in words.
    """

    metric: str
    value: float
    low: float
    high: float
    n_rows: int
    n_blocks: int
    slice: str | None = None
    level: float = 0.95
    method: str = ""


@frozen
class Evaluation:
    """Out-of-fold scores of a candidate.

    Parameters
    ----------
    scores
        One score for each metric, then one for each metric and slice.
    n_splits
        Folds behind them; 0 where the candidate was not evaluated.
    """

    scores: tuple[Score, ...] = ()
    n_splits: int = 0

    def __getitem__(self, metric: str) -> Score:
        """Return the score of a metric over all rows."""
        for score in self.scores:
            if score.metric == metric and score.slice is None:
                return score
        raise KeyError(f"{metric!r} was not scored: got {[s.metric for s in self.scores if s.slice is None]}")

    @property
    def metrics(self) -> dict[str, float]:
        """The values over all rows by metric."""
        return {s.metric: s.value for s in self.scores if s.slice is None}


@frozen(eq=False)
class Candidate:
    """A trained model with everything needed to judge, register, serve and monitor it.

    Parameters
    ----------
    model
        The fitted estimator.
    features
        Names of the columns it reads, in order.
    target, time
        Names of the label column and of the time column (None where there is none).
    evaluation
        Out-of-fold scores.
    lineage
        Data, code, parameters and environment behind it.
    schema
        What its features should look like.
    profile
        Summary of the training features.
    reference
        One profile for each batch (time stamp) of the training data, for the drift detector; empty without a time.
    example
        A few training rows of the features; the registry stores the predictions on them and compares at load.
    """

    model: Any
    features: tuple[str, ...]
    target: str
    time: str | None
    evaluation: Evaluation
    lineage: Lineage
    schema: Schema
    profile: Profile
    reference: tuple[Profile, ...]
    example: frames.Frame

    def predict(self, frame: frames.Frame) -> Predictions:
        """Predict for a frame that holds at least the features."""
        return predict(self.model, frame, self.features)

    def card(self) -> str:
        """Return a short description in Markdown: what it is, what it was trained on, how well it did."""
        lineage = self.lineage
        span = f", {lineage.data_start:%Y-%m-%d} to {lineage.data_end:%Y-%m-%d}" if lineage.data_end else ""
        code = "unknown" if lineage.commit is None else lineage.commit[:12] + (" (dirty)" if lineage.dirty else "")
        lines = [
            f"# {type(self.model).__name__} for `{self.target}`",
            "",
            f"- trained on {lineage.n_rows} rows{span}; fingerprint `{lineage.data_fingerprint}`",
            f"- {len(self.features)} features: {', '.join(self.features)}",
            f"- code {code}; seed {lineage.seed}",
            "",
            "| metric | slice | value | interval | rows |",
            "|---|---|---|---|---|",
        ]
        slices = [(s.slice or "all").replace("|", "\\|") for s in self.evaluation.scores]
        lines += [
            f"| {s.metric} | {part} | {s.value:.4f} | {s.low:.4f} to {s.high:.4f} ({s.level:.0%}) | {s.n_rows} |"
            for s, part in zip(self.evaluation.scores, slices, strict=True)
        ]
        return "\n".join(lines)


@frozen
class ModelVersion:
    """One registered version; immutable.

    Parameters
    ----------
    name, number
        Model name and version number, counted from 1.
    digest
        sha256 of the canonical manifest: equal content gives an equal digest.
    created_at
        When it was registered (UTC).
    metrics, params, tags
        What was registered with it.
    lineage
        Data, code, parameters and environment behind it.
    features, target, time
        Column names the model was trained with; empty or None where unknown.
    blobs
        sha256 of each stored part, by role ("model", "example", ...).
    files
        sha256 of each file that was registered with it, by name.
    parents
        Versions that it was made of ("name:number").
    retired
        Why it was taken out of use; None while it may be used.
    """

    name: str
    number: int
    digest: str
    created_at: dt.datetime
    metrics: Mapping[str, float] = field(factory=dict)
    params: Mapping[str, Any] = field(factory=dict)
    tags: Mapping[str, str] = field(factory=dict)
    lineage: Lineage = field(factory=Lineage)
    features: tuple[str, ...] = ()
    target: str | None = None
    time: str | None = None
    blobs: Mapping[str, str] = field(factory=dict, repr=False)
    files: Mapping[str, str] = field(factory=dict, repr=False)
    parents: tuple[str, ...] = ()
    retired: str | None = None

    @property
    def content(self) -> tuple[str, ...]:
        """sha256 of everything that is stored of it."""
        return (*self.blobs.values(), *self.files.values())

    @property
    def spec(self) -> str:
        """The version as `registry.get` takes it: "name:number"."""
        return f"{self.name}:{self.number}"

    @property
    def trained_until(self) -> dt.datetime:
        """End of the training data, or the time of registration where that is unknown: age counts from here."""
        return self.lineage.data_end or self.created_at


@frozen
class Decision:
    """What a retraining policy decided, and why. To keep the model is a decision too.

    Parameters
    ----------
    action
        "retrain" (train a challenger for the gate; it never deploys), "keep", or "block" (do not train on these data).
    reason
        Why, in words.
    at
        When (UTC).
    version
        "name:number" of the version in question.
    evidence
        What the decision rests on: the messages of the reports that spoke.
    """

    action: Literal["retrain", "keep", "block"]
    reason: str
    at: dt.datetime
    version: str | None = None
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d} {self.action}: {self.reason}"
