"""From data to a candidate: a model with honest scores, and everything needed to serve and watch it later.

Honest means: scored out of fold, with every time stamp whole on one side of a split and a gap for labels that come
late, and with intervals that count days, not rows, because the rows of one day are not independent.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from attrs import define, field, frozen
from numpy.typing import NDArray

from mlopskit import frames, lineage
from mlopskit.errors import ConfigurationError, DataError, NotFound
from mlopskit.evidence import Report
from mlopskit.metrics import Metric, as_binary, metric, read
from mlopskit.profiling import Binning, Profile
from mlopskit.records import Candidate, Evaluation, ModelVersion, Predictions, Score, predict
from mlopskit.schema import Schema
from mlopskit.stats.intervals import Interval, auc_clustered, cluster_bootstrap, mean_t

MIN_SLICE_ROWS = 50
"""Slices with fewer rows get no score."""
N_RESAMPLES = 200
"""Resamples of blocks behind the interval of a metric that is no mean of losses."""
N_EXAMPLE = 8
"""Training rows that travel with a candidate."""

ROUNDING = 1e-9
"""By how much numbers of equal trainings may differ."""

Positions = NDArray[np.intp]


@define
class TimeSplit:
    """A scikit-learn splitter for time: training before testing, each time stamp whole on one side.

    The distinct time stamps are cut into n_splits + 1 runs of (nearly) equal length; fold i trains on all runs before
    the i-th and tests on it. Times come from `groups`, as in `cross_val_score(..., groups=times)`, or from a column.

    Parameters
    ----------
    n_splits
        Folds, at least 1.
    gap
        What is left out before each test run: a duration such as "2D" (labels that come two days late), or a number of
        time stamps; None leaves nothing out.
    time
        Name of the column of X that holds the times, where no `groups` are given.

    Examples
    --------
    >>> days = np.repeat(["mon", "tue", "wed"], 2).tolist()
    >>> [(train.tolist(), test.tolist()) for train, test in TimeSplit(2).split(days, groups=[1, 1, 2, 2, 3, 3])]
    [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5])]
    """

    n_splits: int = 4
    gap: Any = field(default=None, kw_only=True)
    time: str | None = field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.n_splits < 1:
            raise ConfigurationError(f"n_splits={self.n_splits!r}: expected a whole number of at least 1")
        self._gap()

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002
        """Return the number of folds, as scikit-learn asks for it."""
        return self.n_splits

    def split(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002
        groups: Any = None,
    ) -> Iterator[tuple[Positions, Positions]]:
        """Yield the positions of training and test rows.

        Raises
        ------
        DataError
            When times are missing, or there are too few to give every fold rows on both sides.
        """
        stamps = self._stamps(X, groups)
        distinct = np.unique(stamps)
        if len(distinct) <= self.n_splits:
            raise DataError(
                f"{self.n_splits} splits need at least {self.n_splits + 1} time stamps, got {len(distinct)}: "
                "use fewer splits, or more data"
            )
        runs = np.array_split(distinct, self.n_splits + 1)
        for run in runs[1:]:
            train = np.flatnonzero(stamps < self._end_of_training(distinct, run[0]))
            if not len(train):
                raise DataError(f"gap={self.gap!r} leaves nothing to train on before a fold: shorten it, or add data")
            yield train, np.flatnonzero((stamps >= run[0]) & (stamps <= run[-1]))

    def _gap(self) -> int | pd.Timedelta:
        if self.gap is None:
            return 0
        if isinstance(self.gap, (int, np.integer)) and not isinstance(self.gap, bool) and self.gap >= 0:
            return int(self.gap)
        try:
            length = pd.Timedelta(self.gap)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"gap={self.gap!r}: expected a duration such as '2D', or a whole number"
            ) from error
        if isinstance(self.gap, (int, np.integer)) or not length >= pd.Timedelta(0):
            raise ConfigurationError(f"gap={self.gap!r}: expected no less than zero")
        return length

    def _stamps(self, X: Any, groups: Any) -> NDArray[Any]:
        if groups is None and self.time is None:
            raise DataError("TimeSplit needs times: pass groups=, or name the column by TimeSplit(time=...)")
        column = frames.column(groups if groups is not None else frames.values_of(X, str(self.time)), "time")
        if column.missing.any():
            raise DataError(f"{int(column.missing.sum())} time stamps are missing: every row needs one")
        if isinstance(self._gap(), pd.Timedelta) and column.kind != "datetime":
            raise DataError(
                f"gap={self.gap!r} is a duration, but the times are of kind {column.kind!r}: give datetimes"
            )
        values: NDArray[Any] = column.values if column.levels is None else column.levels[column.values].astype(str)
        return values

    def _end_of_training(self, distinct: NDArray[Any], first: Any) -> Any:
        gap = self._gap()
        if isinstance(gap, int):
            at = int(np.searchsorted(distinct, first)) - gap
            return distinct[max(at, 0)]
        return first - gap.value


@frozen(eq=False)
class _OutOfFold:
    """Predictions for rows that the predicting model had not seen."""

    rows: Positions
    truth: NDArray[Any]
    values: NDArray[Any]
    scores: NDArray[np.float64] | None
    classes: Any

    def predictions(self, metric: Metric) -> NDArray[Any]:
        if metric.needs != "scores":
            return self.values
        if self.scores is None:
            raise ConfigurationError(f"{metric.name!r} needs probabilities, and the estimator has no predict_proba")
        return self.scores


class Trained(Protocol):
    """What `Trainer.reproduce` needs of a version: `registry.load` returns it."""

    @property
    def version(self) -> ModelVersion:
        """Which version it is."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns it reads."""

    @property
    def training_data(self) -> Callable[[], pd.DataFrame] | None:
        """What returns the rows it was trained on."""

    def predict(self, frame: frames.Frame) -> Predictions:
        """Answer for a frame."""


@frozen
class Reproduction(Report):
    """Whether a version's training, done again, gives the same model.

    Parameters
    ----------
    version
        "name:number" of the version.
    n_rows
        Rows that both predicted for: all of the training data.
    n_different
        Rows whose predictions differ, numbers by more than a relative 1e-9.
    largest_gap
        The largest difference of a score (of a value, for a model without scores); infinite where other classes are
        predicted and there are no scores.
    changed
        What is different from the first training, in words: code, environment, parameters, seed.
    """

    version: str
    n_rows: int
    n_different: int
    largest_gap: float
    changed: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether the predictions are the same."""
        return self.n_different == 0 and self.largest_gap <= ROUNDING

    def to_frame(self) -> pd.DataFrame:
        """Return one row: version, n_rows, n_different, largest_gap, changed."""
        row = [self.version, self.n_rows, self.n_different, self.largest_gap, "; ".join(self.changed)]
        return pd.DataFrame([row], columns=["version", "n_rows", "n_different", "largest_gap", "changed"])

    def __str__(self) -> str:
        gap = f"{self.n_different} predictions differ, scores by up to {self.largest_gap:.3g}"
        verdict = "reproduced: the same predictions" if self.same else f"not reproduced: {gap}"
        lines = [f"{self.version} {verdict} for its {self.n_rows} training rows"]
        return "\n".join(lines + [f"- {change}" for change in self.changed])


@define(eq=False)
class Trainer:
    """Turns data into a `Candidate`: scores it out of fold, fits it on everything, and notes where it comes from.

    Subclasses may override `fit_model` (how one model is fitted) and `splits` (how rows are held out); seeding, scoring
    and lineage stay.

    Parameters
    ----------
    estimator
        Any scikit-learn estimator or pipeline; it is cloned, never fitted itself.
    target
        Name of the label column.
    time
        Name of the time column. Its days (its values, where they are no datetimes) are the blocks that intervals count
        and the batches of the reference.
    features
        Names of the columns to learn from; every column but target and time by default.
    scoring
        Metric names as scikit-learn has them. By default "neg_log_loss" for a classifier with probabilities, "accuracy"
        for one without, "neg_mean_squared_error" for a regressor.
    cv
        A scikit-learn splitter. By default `TimeSplit(4)` where a time is named, otherwise four shuffled folds.
    slices
        Columns whose every value (with at least 50 rows) gets scores of its own.
    random_state
        Seed of every part of the estimator that takes one and was not given one.

    Examples
    --------
    >>> import mlopskit as mk
    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> wind = rng.normal(size=400)
    >>> late = wind + rng.normal(size=400) > 0
    >>> history = pd.DataFrame({"day": np.repeat(np.arange(20), 20), "wind": wind, "late": late})
    >>> candidate = mk.Trainer(LogisticRegression(), target="late", time="day", scoring=["roc_auc"]).train(history)
    >>> score = candidate.evaluation["roc_auc"]
    >>> score.low < score.value < score.high, candidate.features, len(candidate.reference)
    (True, ('wind',), 20)
    """

    estimator: Any
    target: str = field(kw_only=True)
    time: str | None = field(default=None, kw_only=True)
    features: Sequence[str] | None = field(default=None, kw_only=True)
    scoring: Sequence[str] | None = field(default=None, kw_only=True)
    cv: Any = field(default=None, kw_only=True)
    slices: Sequence[str] = field(default=(), kw_only=True)
    random_state: int = field(default=0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not hasattr(self.estimator, "fit") or not hasattr(self.estimator, "predict"):
            raise ConfigurationError(f"estimator={self.estimator!r}: expected an estimator with fit and predict")
        for name in ("features", "scoring", "slices"):
            if isinstance(getattr(self, name), str):
                raise ConfigurationError(f"{name}={getattr(self, name)!r}: expected a list of names")
        mixed = {self.target, self.time} & set(self.features or ())
        if mixed:
            raise ConfigurationError(f"features hold {sorted(map(str, mixed))}, the target or the time: leave them out")
        self._metrics()

    def train(self, history: frames.Frame) -> Candidate:
        """Train on a frame and return the candidate.

        Parameters
        ----------
        history
            Rows with the features, the target and (where named) the time. Every row needs a label.

        Raises
        ------
        DataError
            When the frame is empty, a column is missing or stands twice, labels or times are missing, or a classifier
            sees a single class.
        """
        features = self._features(history)
        y = self._labels(history)
        evaluation = self.evaluate(history, features, y)
        chosen = frames.select(history, features)
        model = self.fit_model(frames.to_pandas(chosen), y)
        binning = Binning.fit(chosen, pairs=True)
        example = np.unique(np.linspace(0, len(y) - 1, N_EXAMPLE).astype(np.intp))
        return Candidate(
            model=model,
            features=tuple(features),
            target=self.target,
            time=self.time,
            evaluation=evaluation,
            lineage=lineage.capture(history, model=model, time=self.time, seed=self.random_state),
            schema=Schema.infer(chosen),
            profile=binning.profile(chosen),
            reference=self._reference(history, chosen, binning),
            example=frames.take(chosen, example),
        )

    def reproduce(self, version: Trained, history: frames.Frame | None = None) -> Reproduction:
        """Fit the model of a registered version again, and compare what both predict for all of its training data.

        Parameters
        ----------
        version
            What `registry.load` returned.
        history
            The data it was trained on; by default those that the registry has saved (`registry.data.save`).

        Raises
        ------
        DataError
            When these are other rows than its lineage notes, or they cannot be trained on.
        NotFound
            When no data are given and the registry has not saved them.
        """
        noted = version.version.lineage
        if history is None:
            if version.training_data is None:
                raise NotFound("this version was not loaded from a registry: give the data it was trained on")
            history = version.training_data()
        if noted.data_fingerprint != frames.fingerprint(history):
            raise DataError(
                f"these are not the data of {version.version.spec}: it was trained on {noted.n_rows} rows with the "
                f"fingerprint {noted.data_fingerprint}, these {frames.n_rows(history)} have another"
            )
        chosen = frames.select(history, list(version.features))
        model = self.fit_model(frames.to_pandas(chosen), self._labels(history))
        now = lineage.capture(history, model=model, time=self.time, seed=self.random_state)
        old, new = version.predict(chosen), predict(model, chosen)
        scored = old.scores is not None and new.scores is not None
        return Reproduction(
            version=version.version.spec,
            n_rows=frames.n_rows(history),
            n_different=int(np.sum(_differ(old.values, new.values))),
            largest_gap=_gap(old.scores, new.scores) if scored else _gap(old.values, new.values),
            changed=tuple(_changed(noted, now)),
        )

    def fit_model(self, X: pd.DataFrame, y: NDArray[Any]) -> Any:
        """Fit one model; override to fit it in another way. The estimator must be cloned, not changed."""
        model = _seeded(self.estimator, self.random_state)
        return model.fit(X, y)

    def splits(self, history: frames.Frame, y: NDArray[Any]) -> Iterator[tuple[Positions, Positions]]:
        """Yield the positions of training and test rows of each fold; override to hold rows out in another way."""
        from sklearn.base import is_classifier
        from sklearn.model_selection import check_cv

        times = None if self.time is None else frames.values_of(history, self.time)
        cv = (
            self.cv if self.cv is not None else (TimeSplit(4) if times is not None else _shuffled(self.random_state, y))
        )
        splitter = cv if hasattr(cv, "split") else check_cv(cv, y, classifier=is_classifier(self.estimator))
        with warnings.catch_warnings():  # splitters without a use for times say so
            warnings.filterwarnings("ignore", "The groups parameter is ignored")
            folds = list(splitter.split(frames.to_pandas(history), y, groups=times))
        yield from folds

    def evaluate(self, history: frames.Frame, features: Sequence[str], y: NDArray[Any]) -> Evaluation:
        """Score the estimator on rows held out of its training."""
        parts, n_splits = [], 0
        chosen = frames.select(history, features)
        for train, test in self.splits(history, y):
            model = self.fit_model(frames.to_pandas(frames.take(chosen, train)), y[train])
            parts.append((test, predict(model, frames.take(chosen, test))))
            n_splits += 1
        if not parts:
            raise DataError("the splitter gave no folds: there is nothing to score the candidate on")
        held_out = _gather(parts, y)
        blocks = self._blocks(history)[held_out.rows]
        scores = [_score(m, held_out, blocks, None, self.random_state) for m in self._metrics()]
        for column in self.slices:
            scores += self._sliced(column, history, held_out, blocks)
        return Evaluation(tuple(scores), n_splits)

    def _metrics(self) -> list[Metric]:
        from sklearn.base import is_classifier

        if self.scoring is not None:
            return [metric(name) for name in self.scoring]
        if not is_classifier(self.estimator):
            return [metric("neg_mean_squared_error")]
        return [metric("neg_log_loss" if hasattr(self.estimator, "predict_proba") else "accuracy")]

    def _features(self, history: frames.Frame) -> list[str]:
        if frames.n_rows(history) == 0:
            raise DataError("cannot train on an empty frame: give rows with features and labels")
        have = frames.names(history)
        features = [n for n in have if n not in (self.target, self.time)] if self.features is None else [*self.features]
        extra = [self.target, *([self.time] if self.time else []), *self.slices]
        frames.select(history, list(dict.fromkeys([*features, *extra])))
        if not features:
            raise DataError(f"there are no features besides the target and the time in {have}")
        return features

    def _labels(self, history: frames.Frame) -> NDArray[Any]:
        from sklearn.base import is_classifier

        y = read(frames.values_of(history, self.target), self.target)
        if is_classifier(self.estimator) and len(np.unique(y)) < 2:
            raise DataError(f"{self.target!r} holds a single class, {y[0]!r}: a classifier needs at least two")
        return y

    def _blocks(self, history: frames.Frame) -> NDArray[Any]:
        """Return the block of each row: its day, its value of a time that is no datetime, or the row itself."""
        if self.time is None:
            return np.arange(frames.n_rows(history))
        return np.asarray(frames.days(frames.values_of(history, self.time)), dtype=object)

    def _reference(self, history: frames.Frame, chosen: frames.Frame, binning: Binning) -> tuple[Profile, ...]:
        if self.time is None:
            return ()
        days = frames.groups(frames.days(frames.values_of(history, self.time)))
        return tuple(binning.profile(frames.take(chosen, rows), batch_id=key) for key, rows in days)

    def _sliced(self, column: str, history: frames.Frame, held_out: _OutOfFold, blocks: NDArray[Any]) -> list[Score]:
        values = frames.take(history, held_out.rows)
        found = []
        for key, rows in sorted(frames.groups(frames.values_of(values, column)), key=lambda group: group[0]):
            if len(rows) < MIN_SLICE_ROWS:
                continue
            part = _OutOfFold(
                held_out.rows[rows],
                held_out.truth[rows],
                held_out.values[rows],
                None if held_out.scores is None else held_out.scores[rows],
                held_out.classes,
            )
            found += [_score(m, part, blocks[rows], f"{column}={key}", self.random_state) for m in self._metrics()]
        return found


def _shuffled(seed: int, y: NDArray[Any]) -> Any:
    from sklearn.model_selection import KFold

    return KFold(min(4, max(2, len(y))), shuffle=True, random_state=seed)


def _differ(old: NDArray[Any], new: NDArray[Any]) -> NDArray[np.bool_]:
    if old.dtype.kind == "f" and new.dtype.kind == "f":
        return ~np.asarray(np.isclose(new, old, rtol=ROUNDING, atol=1e-12, equal_nan=True), dtype=np.bool_)
    return np.asarray(old != new, dtype=np.bool_)


def _gap(old: Any, new: Any) -> float:
    if old.shape != new.shape or old.dtype.kind not in "biuf" or new.dtype.kind not in "biuf":
        return 0.0 if np.array_equal(old, new) else math.inf
    return float(np.nanmax(np.abs(new.astype(np.float64) - old.astype(np.float64)), initial=0.0))


def _changed(then: lineage.Lineage, now: lineage.Lineage) -> Iterator[str]:
    """Say what differs between two trainings that should be the same."""
    if then.commit != now.commit:
        yield f"code: commit {then.commit} then, {now.commit} now"
    if then.diff != now.diff or (then.dirty and then.diff is None):
        yield "code: files were changed since the commit, " + ("then" if then.dirty else "now")
    if then.seed != now.seed:
        yield f"seed: {then.seed} then, {now.seed} now"
    pairs = {"parameter": (then.params, now.params), "package": (then.packages, now.packages)}
    for what, (old, new) in pairs.items():
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                yield f"{what} {name}: {old.get(name)!r} then, {new.get(name)!r} now"
    if then.python != now.python:
        yield f"Python: {then.python} then, {now.python} now"


def _seeded(estimator: Any, seed: int) -> Any:
    """Return a clone in which every random_state that is None is set."""
    from sklearn.base import clone

    model = clone(estimator)
    if not hasattr(model, "get_params"):
        return model
    open_seeds = [
        k for k, v in model.get_params(deep=True).items() if k.split("__")[-1] == "random_state" and v is None
    ]
    return model.set_params(**dict.fromkeys(open_seeds, seed)) if open_seeds else model


def _gather(parts: list[tuple[Positions, Predictions]], y: NDArray[Any]) -> _OutOfFold:
    classes = parts[0][1].classes
    if classes is not None and any(not np.array_equal(classes, p.classes) for _, p in parts if p.classes is not None):
        raise DataError("the folds were trained on different classes: use fewer splits, or more data of the rare class")
    rows = np.concatenate([test for test, _ in parts])
    scores = [p.scores for _, p in parts if p.scores is not None]
    values = np.concatenate([p.values for _, p in parts])
    return _OutOfFold(rows, y[rows], values, np.concatenate(scores) if scores else None, classes)


def _score(metric: Metric, held_out: _OutOfFold, blocks: NDArray[Any], part: str | None, seed: int) -> Score:
    predictions = held_out.predictions(metric)
    codes, distinct = pd.factorize(blocks)
    value = metric.score(held_out.truth, predictions, classes=held_out.classes)
    if metric.has_losses:
        losses = metric.losses(held_out.truth, predictions, classes=held_out.classes)
        interval = _clustered_mean(1 - losses if metric.name == "accuracy" else -losses, codes)
        method = "t interval over blocks"
    elif metric.name == "roc_auc":
        truth = as_binary(held_out.truth, held_out.classes)
        interval, method = auc_clustered(truth, predictions, codes), "DeLong, clustered by block"
    else:

        def scored(rows: Positions) -> float:
            return metric.score(held_out.truth[rows], predictions[rows], classes=held_out.classes)

        interval = cluster_bootstrap(scored, codes, n_resamples=N_RESAMPLES, seed=seed)
        method = interval.method
    low, high = float(interval.low), float(interval.high)
    return Score(metric.name, value, low, high, len(codes), len(distinct), part, interval.level, method)


def _clustered_mean(values: NDArray[np.float64], blocks: NDArray[np.intp]) -> Interval:
    """Return the mean over rows with a t interval that counts blocks.

    The mean is linearised: block b contributes mean + (B / n) * sum of its deviations, whose mean over blocks is the
    row mean and whose variance is the cluster-robust one (Liang and Zeger 1986; Cameron and Miller 2015, eq. 9).
    """
    mean, n_blocks = float(values.mean()), int(blocks.max()) + 1
    sums = np.bincount(blocks, weights=values - mean, minlength=n_blocks)
    return mean_t(mean + sums * n_blocks / len(values))
