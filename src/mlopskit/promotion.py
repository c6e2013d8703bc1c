"""May the challenger replace the champion? A gate answers pass, fail or inconclusive, and shows its interval.

Both models answer the same labelled rows, and their losses are compared in pairs. Rows of one day are not independent,
so where time is known the days are counted: with few days an honest gate is inconclusive. Days that follow each other
(autocorrelation) are allowed for only by `method="bootstrap"`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from attrs import define, evolve, field, frozen
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from mlopskit import frames
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.evidence import Report
from mlopskit.metrics import Metric, as_binary, metric
from mlopskit.records import Predictions
from mlopskit.stats.intervals import Interval, auc_clustered, block_bootstrap, cluster_bootstrap, mean_t

if TYPE_CHECKING:
    import pandas as pd

Verdict: TypeAlias = Literal["pass", "fail", "inconclusive"]
Floats: TypeAlias = NDArray[np.float64]

MIN_BLOCKS = 2
FEW_DAYS = 5  # fewer say too little about the spread of an area under the curve
FEW_BLOCKS = 20  # and fewer than these about that of any other score that is no mean of losses
_NUMBERS = "{value:+.4f} ({low:+.4f} to {high:+.4f})"


@frozen
class GateCheck:
    """One question of a gate and its answer.

    Parameters
    ----------
    name
        The question.
    metric
        The metric it asks about.
    verdict
        "pass", "fail" or "inconclusive".
    value, low, high
        The estimate and its one-sided bounds, each missing the truth with probability alpha at most; NaN and infinite
        where there is nothing to estimate.
    limit
        What the bounds are compared with.
    n_rows, n_blocks
        Labelled rows, and the days (or rows, where no time is known) that count.
    message
        The answer in words.
    """

    name: str
    metric: str
    verdict: Verdict
    value: float
    low: float
    high: float
    limit: float
    n_rows: int
    n_blocks: int
    message: str


@frozen
class GateReport(Report):
    """What a gate found.

    Parameters
    ----------
    verdict
        "pass", "fail" or "inconclusive".
    checks
        Every question asked, in order.
    n_unlabelled
        Rows without a label, which were left out.
    """

    verdict: Verdict
    checks: tuple[GateCheck, ...]
    n_unlabelled: int = 0

    @property
    def passed(self) -> bool:
        """Whether the challenger may replace the champion; inconclusive is no."""
        return self.verdict == "pass"

    def __str__(self) -> str:
        left_out = f" ({self.n_unlabelled} rows without a label left out)" if self.n_unlabelled else ""
        return "\n".join([f"gate: {self.verdict}{left_out}", *(f"  {c.verdict}: {c.message}" for c in self.checks)])

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each question."""
        import attrs
        import pandas as pd

        names = [a.name for a in attrs.fields(GateCheck)]
        return pd.DataFrame([[getattr(c, n) for n in names] for c in self.checks], columns=names)

    def _bars(self) -> dict[str, Any]:
        shown = [c for c in self.checks if np.isfinite(c.value)]
        return {
            "title": f"Gate: {self.verdict}",
            "labels": [c.name for c in shown],
            "values": [c.value - c.limit for c in shown],
            "xlabel": "estimate minus limit",
            "limit": 0.0,
        }


@frozen(eq=False)
class Trial:
    """The labelled rows on which a gate judges: the truth, both models' answers, and the block of each row."""

    truth: NDArray[Any]
    challenger: Predictions
    champion: Predictions | None
    blocks: NDArray[np.intp]

    @property
    def n_blocks(self) -> int:
        """Number of days, or of rows where no time is known."""
        return int(self.blocks.max()) + 1 if len(self.blocks) else 0

    def answers(self, model: Predictions, of: Metric) -> NDArray[Any]:
        """Return the predictions that a metric takes."""
        if of.needs == "scores" and model.scores is None:
            raise ConfigurationError(f"{of.name!r} needs probabilities, and the model has no predict_proba")
        return model.scores if of.needs == "scores" and model.scores is not None else model.values

    def losses(self, of: Metric, answers: NDArray[Any]) -> Floats:
        """Return the loss of each row."""
        return of.losses(self.truth, answers, classes=self.challenger.classes)

    def score(self, of: Metric, answers: NDArray[Any], rows: NDArray[np.intp]) -> float:
        """Return the score over these rows."""
        return of.score(self.truth[rows], answers[rows], classes=self.challenger.classes)

    def opponent(self, gate: Gate) -> Predictions:
        """Return the champion's answers.

        Raises
        ------
        ConfigurationError
            When there is no champion.
        """
        if self.champion is None:
            raise ConfigurationError(
                f"{type(gate).__name__} compares with a champion, got None: promote a first model without it"
            )
        return self.champion


@define
class Gate(ABC):
    """A question about a challenger; combine gates with `&` and `|`.

    Subclasses implement `judge`. With `&` all must pass; with `|` one is enough. An inconclusive part leaves the whole
    inconclusive unless the other part decides it (Kleene's logic).
    """

    def evaluate(
        self,
        challenger: Any,
        champion: Any,
        data: frames.Frame,
        *,
        target: str | None = None,
        time: str | None = None,
    ) -> GateReport:
        """Let both models answer the same labelled rows and compare them.

        Parameters
        ----------
        challenger, champion
            Candidates or loaded versions: anything with `predict(frame)` that returns `Predictions`. The champion may
            be None where no question compares with it.
        data
            Rows that neither model was trained on, with features, target and time.
        target, time
            Names of the label and the time column; the challenger's own by default.

        Raises
        ------
        ConfigurationError
            When the target is unknown, or a comparison has no champion.
        DataError
            When a column is missing.
        """
        target = target if target is not None else getattr(challenger, "target", None)
        if target is None:
            raise ConfigurationError("the challenger does not know its target: pass target=")
        time = time if time is not None else getattr(challenger, "time", None)
        label = frames.columns(frames.select(data, [target]))[0]
        kept = np.flatnonzero(~label.missing)
        n_unlabelled = len(label) - len(kept)
        if not len(kept):
            nothing = GateCheck(
                "data", "", "inconclusive", np.nan, -np.inf, np.inf, 0.0, 0, 0, "no labelled rows to judge on"
            )
            return GateReport("inconclusive", (nothing,), n_unlabelled)
        rows = frames.take(data, kept)
        truth = label.values[kept] if label.levels is None else label.levels[label.values[kept]]
        answered = None if champion is None else champion.predict(rows)
        trial = Trial(truth, challenger.predict(rows), answered, _blocks(rows, time))
        report = self.judge(trial)
        return evolve(report, n_unlabelled=n_unlabelled)

    @abstractmethod
    def judge(self, trial: Trial) -> GateReport:
        """Return the report for one trial; the hook for subclasses."""

    def __and__(self, other: Gate) -> Gate:
        return _Both(self, other)

    def __or__(self, other: Gate) -> Gate:
        return _Either(self, other)


@define
class _Both(Gate):
    left: Gate
    right: Gate

    def judge(self, trial: Trial) -> GateReport:
        parts = self.left.judge(trial), self.right.judge(trial)
        return GateReport(_kleene([p.verdict for p in parts], "fail", "pass"), parts[0].checks + parts[1].checks)


@define
class _Either(Gate):
    left: Gate
    right: Gate

    def judge(self, trial: Trial) -> GateReport:
        parts = self.left.judge(trial), self.right.judge(trial)
        return GateReport(_kleene([p.verdict for p in parts], "pass", "fail"), parts[0].checks + parts[1].checks)


def _kleene(verdicts: Iterable[Verdict], decides: Verdict, otherwise: Verdict) -> Verdict:
    known = set(verdicts)
    if decides in known:
        return decides
    return otherwise if known == {otherwise} else "inconclusive"


@define
class NonInferior(Gate):
    """The challenger's score is not worse than the champion's by more than a margin.

    With d the difference of scores, challenger minus champion, and one-sided bounds at 1 - alpha: it passes when the
    lower bound lies above -margin, fails when the upper bound lies below it, and is inconclusive between. A challenger
    that is worse by exactly the margin passes with probability alpha, as closely as a t interval over days keeps it.

    Parameters
    ----------
    metric
        Name as scikit-learn has it; "neg_log_loss" and "log_loss" are the same.
    margin
        The loss of score that is tolerated, in the metric's unit, at least 0.
    alpha
        Probability, in (0, 0.5), with which a challenger at the margin passes; nominal, see above.
    method
        "t": t interval over the differences of days. "bootstrap": circular block bootstrap of days in order of time,
        where days follow each other. A metric without losses of rows (roc_auc) resamples days in any case.

    Examples
    --------
    >>> gate = NonInferior("neg_log_loss", margin=0.005) & MinScore("roc_auc", 0.65)
    """

    metric: str
    margin: float = field(kw_only=True)
    alpha: float = field(default=0.05, kw_only=True)
    method: Literal["t", "bootstrap"] = field(default="t", kw_only=True)

    def __attrs_post_init__(self) -> None:
        metric(self.metric)
        _check_alpha(self.alpha)
        if not self.margin >= 0:
            raise ConfigurationError(f"margin={self.margin!r}: expected a loss of score, at least 0")
        if self.method not in ("t", "bootstrap"):
            raise ConfigurationError(f"method={self.method!r}: expected 't' or 'bootstrap'")

    def judge(self, trial: Trial) -> GateReport:
        """Compare paired losses."""
        asked = metric(self.metric)
        new, old = (trial.answers(m, asked) for m in (trial.challenger, trial.opponent(self)))
        if asked.has_losses:
            gain = trial.losses(asked, old) - trial.losses(asked, new)
            interval = _over_blocks(
                gain, (-1.0, 1.0) if asked.bounds()[1] <= 1 else None, trial, self.alpha, self.method
            )
        else:

            def gained(rows: NDArray[np.intp]) -> float:
                return trial.score(asked, new, rows) - trial.score(asked, old, rows)

            interval = _resampled(gained, trial, self.alpha)
        words = f"{asked.name}, challenger minus champion: {_NUMBERS}; down to {-self.margin:+g} is tolerated"
        return _answer(f"not worse in {asked.name}", asked, interval, -self.margin, trial, words)


@define
class MinScore(Gate):
    """The challenger's score is at least a threshold.

    It passes when the lower one-sided bound at 1 - alpha reaches the threshold, fails when the upper bound lies below
    it, and is inconclusive between.

    Parameters
    ----------
    metric
        Name as scikit-learn has it; greater is better.
    threshold
        The least score, in the metric's unit.
    alpha
        Probability, in (0, 0.5), with which a challenger at the threshold passes; nominal, as for `NonInferior`.
    """

    metric: str
    threshold: float
    alpha: float = field(default=0.05, kw_only=True)

    def __attrs_post_init__(self) -> None:
        metric(self.metric)
        _check_alpha(self.alpha)
        if not np.isfinite(self.threshold):
            raise ConfigurationError(f"threshold={self.threshold!r}: expected a number")

    def judge(self, trial: Trial) -> GateReport:
        """Score the challenger alone."""
        asked = metric(self.metric)
        answers = trial.answers(trial.challenger, asked)
        if asked.has_losses:
            best = 1.0 if asked.name == "accuracy" else 0.0
            scores = best - trial.losses(asked, answers)
            ends = (best - 1.0, best) if asked.bounds()[1] <= 1 else None
            interval = _over_blocks(scores, ends, trial, self.alpha, "t")
        elif asked.name == "roc_auc" and len(np.unique(trial.truth)) == 2:
            interval = _auc(trial, answers, self.alpha)
        else:
            interval = _resampled(lambda rows: trial.score(asked, answers, rows), trial, self.alpha)
        words = f"{asked.name} of the challenger: {_NUMBERS}; at least {self.threshold:g} is asked"
        return _answer(f"{asked.name} at least {self.threshold:g}", asked, interval, self.threshold, trial, words)


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 0.5:
        raise ConfigurationError(f"alpha={alpha!r}: expected a probability between 0 and 0.5")


def _blocks(rows: frames.Frame, time: str | None) -> NDArray[np.intp]:
    """Return the block of each row, in order of time: its day, its value of a time that is no datetime, or itself."""
    if time is None:
        return np.arange(frames.n_rows(rows))
    stamps = frames.columns(frames.select(rows, [time]))[0]
    if stamps.missing.any():
        raise DataError(f"{int(stamps.missing.sum())} values of {time!r} are missing: every row needs its time")
    ordered = stamps.values if stamps.levels is None else stamps.levels[stamps.values].astype(str)
    if stamps.kind == "datetime":
        ordered = np.asarray(frames.days(frames.values_of(rows, time)))
    blocks: NDArray[np.intp] = np.unique(ordered, return_inverse=True)[1]
    return blocks


def _over_blocks(
    values: Floats, ends: tuple[float, float] | None, trial: Trial, alpha: float, method: str = "t"
) -> Interval:
    """Return the mean over blocks with one-sided bounds, each at 1 - alpha.

    A t interval has no width where the values happen not to differ: twenty right answers would prove perfection. So
    each bound allows for one more row at its adverse end, in the mean and in the spread, in the spirit of Agresti and
    Caffo (2000); with many rows that is nothing. `ends` are those of the values' range, or the observed ones.
    """
    counts = np.bincount(trial.blocks)
    means = np.bincount(trial.blocks, weights=values) / counts
    level = 1 - 2 * alpha
    interval = block_bootstrap(means, level=level) if method == "bootstrap" else mean_t(means, level=level)
    if len(means) < MIN_BLOCKS:
        return interval
    mean, n, t = float(interval.estimate), len(values), float(stdtrit(len(means) - 1, 1 - alpha))
    least, most = ends if ends is not None else (float(values.min()), float(values.max()))
    below, above = mean - least, most - mean
    low = mean - below / (n + 1) - math.hypot(mean - interval.low, t * below / n)
    high = mean + above / (n + 1) + math.hypot(interval.high - mean, t * above / n)
    return evolve(interval, low=low, high=high)


def _auc(trial: Trial, answers: NDArray[Any], alpha: float) -> Interval:
    """Return the area under the curve with one-sided bounds over days; t quantiles allow for few of them."""
    truth, days = as_binary(trial.truth, trial.challenger.classes), trial.n_blocks
    level = float(2 * ndtr(stdtrit(days - 1, 1 - alpha)) - 1) if days >= FEW_DAYS else 1 - 2 * alpha
    interval = auc_clustered(truth, answers, trial.blocks, level=level)
    return interval if days >= FEW_DAYS else evolve(interval, low=-np.inf, high=np.inf)


def _resampled(score: Callable[[NDArray[np.intp]], float], trial: Trial, alpha: float) -> Interval:
    """Return a score with one-sided bounds from resampled days; none with too few of them."""
    interval = cluster_bootstrap(score, trial.blocks, level=1 - 2 * alpha)
    return interval if trial.n_blocks >= FEW_BLOCKS else evolve(interval, low=-np.inf, high=np.inf)


def _answer(name: str, asked: Metric, interval: Interval, limit: float, trial: Trial, words: str) -> GateReport:
    value, low, high = float(interval.estimate), float(interval.low), float(interval.high)
    verdict: Verdict = "pass" if low > limit else ("fail" if high < limit else "inconclusive")
    if trial.n_blocks < MIN_BLOCKS or not np.isfinite(value):
        verdict, low, high = "inconclusive", -np.inf, np.inf
    message = words.format(value=value, low=low, high=high)
    message += f"; {len(trial.truth)} rows in {trial.n_blocks} blocks"
    if math.isinf(low) and np.isfinite(value):
        message += f", more are needed (about {FEW_BLOCKS})"
    check = GateCheck(name, asked.name, verdict, value, low, high, limit, len(trial.truth), trial.n_blocks, message)
    return GateReport(verdict, (check,))
