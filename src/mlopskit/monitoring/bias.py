"""Does the model treat groups differently? One group against the rest, one observation per batch, no fit.

A **question** is a group of a sensitive feature and a metric: "are rows with origin=EWR predicted positive at the same
rate as the rest?" A batch answers it with one number, the gap d = rate of the group - rate of the rest in [-1, 1], so
that the effect of a day on a group, which makes rows of one day alike, costs nothing of the promise. The **null**:
given the past and how many rows of each group the batch has, the expected gap lies in [-tolerance, tolerance]. Two
sides and eight stakes bet against it; an e-SR process M per bet collects what they win, and their weighted average is
the M of the question.

**Many questions.** With K questions asked so far and the limit A, the questions with the k largest M are flagged where
M_(k) >= K A / k, for the largest such k: the rule of e-Benjamini-Hochberg. Why that is right although M is no e-value:
M_t - t is a supermartingale, so at a stopping time tau <= T the mean of M_tau / T is at most 1, and e-BH on the M / T
at level T / A keeps the false discovery rate at T / A under any dependence between the questions. T cancels from the
rule, M_(k) / T >= K / (k T / A). It therefore holds for every T at once, and with all nulls true it reads
P(first false alarm within T batches) <= T / A. A batch that does not answer a question leaves its M as it was.

**K grows and never shrinks.** A question is asked from the first batch in which its group and the rest have `min_rows`
rows. The average S_t of all M over the K_t questions asked so far still gains at most 1 per batch in the mean: old M
gain at most 1 each, new ones start at most at 1, K_t is known before the batch's rates are, and a larger K only divides
by more. So E[S_tau] <= T, and the false discovery rate at tau, at most E[S_tau] / A, is at most T / A as before.

Sources: Shin, Ramdas and Rinaldo, "E-detectors" (2023); Wang and Ramdas, "False discovery rate control with e-values"
(JRSS B 2022); Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B 2024);
Newcombe, "Interval estimation for the difference between independent proportions" (Stat. Med. 1998), method 10.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from attrs import cmp_using, define, evolve, field, fields, frozen, setters
from numpy.typing import NDArray

from mlopskit import formats, frames
from mlopskit.errors import ConfigurationError, DataError, StateMismatch
from mlopskit.evidence import Dial, Episodes, Evidence, MonitorReport
from mlopskit.stats.intervals import newcombe_wilson
from mlopskit.stats.sequential import (
    LOG_STAKE_WEIGHTS,
    e_benjamini_hochberg,
    log_gap_bets,
    log_mean_exp,
    log_shiryaev_roberts,
)

if TYPE_CHECKING:
    import pandas as pd

Floats: TypeAlias = NDArray[np.float64]
Question: TypeAlias = tuple[str, str, str]
"""Feature, group and metric."""

MISSING = "(missing)"
"""The group of the rows whose sensitive feature is missing."""

_SIDES = np.array([1.0, -1.0])
_SAME = cmp_using(eq=np.array_equal)


@frozen
class _Metric:
    """What a metric needs beside the predictions, how large its gap can be, and how a gap up or down is said."""

    needs: tuple[str, ...]
    width: float
    up: str
    down: str


METRICS: Mapping[str, _Metric] = {
    "selection_rate": _Metric(
        needs=(),
        width=1.0,
        up="predicted positive {:.1f} points more often than the rest",
        down="predicted positive {:.1f} points less often than the rest",
    ),
    "tpr": _Metric(
        needs=("y_true",),
        width=1.0,
        up="where truly positive, found {:.1f} points more often than the rest",
        down="where truly positive, found {:.1f} points less often than the rest",
    ),
    "fpr": _Metric(
        needs=("y_true",),
        width=1.0,
        up="where truly negative, predicted positive {:.1f} points more often than the rest",
        down="where truly negative, predicted positive {:.1f} points less often than the rest",
    ),
    "ppv": _Metric(
        needs=("y_true",),
        width=1.0,
        up="where predicted positive, right {:.1f} points more often than the rest",
        down="where predicted positive, right {:.1f} points less often than the rest",
    ),
    "calibration_gap": _Metric(
        needs=("y_true", "y_score"),
        width=2.0,
        up="outcomes exceed scores by {:.1f} points more than in the rest",
        down="scores exceed outcomes by {:.1f} points more than in the rest",
    ),
}
"""The metrics that can be watched, by name."""


@frozen
class BiasState:
    """What a monitor remembers: small, exact, JSON in and out.

    Parameters
    ----------
    config
        Hash of the configuration it was made under.
    questions
        The Q questions asked so far, in the order of their first batch; the list only grows.
    log_m
        Logarithms of the e-SR processes, shape (Q, 2 sides, 8 stakes).
    n, total
        Batches that answered a question since its evidence last started from zero, and the sum of their gaps, scaled to
        [-1, 1]; shape (Q,).
    run_n, run_excess
        Batches of the current run on each side and their total excess over the tolerance, shape (Q, 2): Page's CUSUM,
        which dates the beginning of a gap.
    n_batches
        Batches since the evidence last started from zero.
    labelled
        Ids of the batches whose labels were seen.
    episodes
        Batches seen, and the open alarm, if any.
    """

    config: str
    questions: tuple[Question, ...] = ()
    log_m: Floats = field(factory=lambda: np.zeros((0, 2, 8)), eq=_SAME, repr=False)
    n: Floats = field(factory=lambda: np.zeros(0), eq=_SAME, repr=False)
    total: Floats = field(factory=lambda: np.zeros(0), eq=_SAME, repr=False)
    run_n: Floats = field(factory=lambda: np.zeros((0, 2)), eq=_SAME, repr=False)
    run_excess: Floats = field(factory=lambda: np.zeros((0, 2)), eq=_SAME, repr=False)
    n_batches: int = 0
    labelled: tuple[str, ...] = ()
    episodes: Episodes = field(factory=Episodes)

    def asking(self, questions: Iterable[Question]) -> BiasState:
        """Return the state with these questions asked as well, new ones from zero evidence."""
        known = set(self.questions)
        new = tuple(q for q in questions if q not in known)
        size = len(new)
        return evolve(
            self,
            questions=self.questions + new,
            log_m=np.concatenate([self.log_m, np.full((size, 2, 8), -np.inf)]),
            n=np.concatenate([self.n, np.zeros(size)]),
            total=np.concatenate([self.total, np.zeros(size)]),
            run_n=np.concatenate([self.run_n, np.zeros((size, 2))]),
            run_excess=np.concatenate([self.run_excess, np.zeros((size, 2))]),
        )

    def added(self, at: NDArray[np.intp], gaps: Floats, tolerance: Floats) -> BiasState:
        """Return the state after a batch that answered the questions at these positions; the others stay as they were.

        Parameters
        ----------
        at
            Positions of the questions.
        gaps, tolerance
            Their gaps and tolerances, scaled to [-1, 1].
        """
        log_m, n, total = self.log_m.copy(), self.n.copy(), self.total.copy()
        run_n, run_excess = self.run_n.copy(), self.run_excess.copy()
        log_m[at] = log_shiryaev_roberts(log_m[at], log_gap_bets(gaps, tolerance))
        n[at] += 1
        total[at] += gaps
        excess = run_excess[at] + gaps[:, None] * _SIDES - tolerance[:, None]
        run_n[at] = np.where(excess > 0, run_n[at] + 1, 0)
        run_excess[at] = np.maximum(excess, 0)
        return evolve(self, log_m=log_m, n=n, total=total, run_n=run_n, run_excess=run_excess)

    def restarted(self) -> BiasState:
        """Return the state with the same questions and no evidence."""
        fresh = BiasState(self.config).asking(self.questions)
        return evolve(fresh, labelled=self.labelled, episodes=self.episodes)


@frozen
class GroupGap:
    """One group against the rest, for one metric.

    Parameters
    ----------
    feature, group, metric
        The question.
    n_rows
        Rows of the group that the rate counts, in this batch (for "tpr" the truly positive ones, say).
    rate, rest_rate, gap
        Rates of the group and of all other rows in this batch, and their difference; NaN where the batch did not
        answer. For "calibration_gap" the rate is the mean of outcome - score.
    low, high
        95% interval of this batch's gap, as if its rows were independent (Newcombe 1998); NaN for "calibration_gap".
    mean_gap, n_batches
        Mean gap over the batches that answered since the evidence last started from zero, and their number.
    log_evidence
        Natural logarithm of the question's evidence; -inf where there is none yet.
    flagged
        Whether the question is over the limit.
    message
        The gap in plain words; empty where there is no answer since the evidence started.
    """

    feature: str
    group: str
    metric: str
    n_rows: int
    rate: float
    rest_rate: float
    gap: float
    low: float
    high: float
    mean_gap: float
    n_batches: int
    log_evidence: float
    flagged: bool
    message: str


@frozen
class BiasReport(MonitorReport):
    """Which groups are treated differently, as far as the batches so far can tell.

    Parameters
    ----------
    batch_id
        The batch that was added.
    n_rows
        Rows of the batch.
    alarm
        Whether this batch raised an alarm.
    since
        The batch that opened the episode, None while none is open.
    evidence
        The evidence beside its limit: the largest k M_(k) / K, which reaches the limit where a question is flagged.
    gaps
        All questions asked so far, strongest evidence first.
    notes
        What was not asked in this batch, and why.
    """

    batch_id: str
    n_rows: int
    alarm: bool
    since: str | None
    evidence: Evidence
    gaps: tuple[GroupGap, ...]
    notes: tuple[str, ...] = ()
    monitor: str = "bias"

    @property
    def flagged(self) -> tuple[GroupGap, ...]:
        """The questions over the limit, strongest evidence first."""
        return tuple(gap for gap in self.gaps if gap.flagged)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each group and metric, strongest evidence first."""
        import pandas as pd

        names = [a.name for a in fields(GroupGap)]
        return pd.DataFrame([[getattr(gap, name) for name in names] for gap in self.gaps], columns=names)

    def __str__(self) -> str:
        verdict = "no alarm"
        if self.alarm:
            verdict = "ALARM: groups are treated differently"
        elif self.active:
            verdict = f"episode open since {self.since}"
        lines = [
            f"bias, {self.batch_id}: {verdict}",
            *(f"  {gap.message}" for gap in self.flagged),
            f"  {len(self.gaps)} questions; {self.evidence}",
            *(f"  not asked: {note}" for note in self.notes),
        ]
        return "\n".join(lines)

    def _bars(self) -> dict[str, Any]:
        return {
            "title": f"Gaps to the rest, {self.batch_id}",
            "labels": [f"{gap.feature}={gap.group}, {gap.metric}" for gap in self.gaps],
            "values": [gap.mean_gap for gap in self.gaps],
            "xlabel": "mean gap since the evidence started",
        }


@frozen(eq=False)
class _Reading:
    """What a batch answers to one question."""

    question: Question
    n_rows: int
    rate: float
    rest_rate: float
    low: float = math.nan
    high: float = math.nan

    @property
    def gap(self) -> float:
        return self.rate - self.rest_rate


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@define(on_setattr=setters.frozen, eq=False)
class BiasMonitor(formats.Stored):
    """Watch whether a model treats groups differently, and raise one alarm when it does.

    Parameters
    ----------
    sensitive_features
        Columns that hold the groups. For an intersection make a column of it. Missing values are the group "(missing)".
    metrics
        Of "selection_rate" (needs no labels), "tpr", "fpr", "ppv" (need y_true), "calibration_gap" (needs y_true and
        y_score): mean of outcome - score.
    tolerance
        Gap that is accepted: a difference of rates, in [0, 1). 0.05 is five percentage points. (A calibration gap lies
        in [-2, 2]; for the evidence it and its tolerance are halved, and it is shown unhalved.)
    false_alarm_every
        Limit A in batches: P(first false alarm within T batches) <= T/A for every T; 365 where nothing is given.
    alpha, horizon
        Instead: at most alpha over `horizon` batches; A = horizon / alpha.
    min_rows
        Rows that a rate must count in a batch, in the group and in the rest, to be an answer; at least 1.
    pos_label
        The label that counts as positive, in y_pred and y_true.
    state
        A state to go on from.

    Raises
    ------
    ConfigurationError
        When a metric is unknown or a dial is out of range.
    StateMismatch
        When the state was made under another configuration.

    Notes
    -----
    One number per batch and no assumption about its spread has a price: a lasting gap g takes at most about
    log(4 K A) / log(1 + (g - tolerance) / (1 + tolerance)) batches, K the number of questions. Measured with A = 365,
    K = 6 and a tolerance of .05, median of 200 runs: 27 batches for g = .40, 54 for .20 and 94 for .125.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> monitor = BiasMonitor("origin", metrics=["selection_rate"], false_alarm_every=365)
    >>> origin = np.repeat(["EWR", "JFK", "LGA"], 100)
    >>> for day in range(100):
    ...     late = rng.uniform(size=300) < np.where(origin == "EWR", 0.5, 0.2)
    ...     report = monitor.update({"origin": origin}, late, batch_id=day)
    ...     if report.alarm:
    ...         print(report.batch_id, report.flagged[0].message)
    29 origin=EWR: predicted positive 31.5 points more often than the rest, mean over 30 batches
    """

    sensitive_features: tuple[str, ...] = field(converter=_names)
    metrics: tuple[str, ...] = field(default=("selection_rate", "calibration_gap"), kw_only=True, converter=_names)
    tolerance: float = field(default=0.05, kw_only=True, converter=float)
    false_alarm_every: float | None = field(default=None, kw_only=True)
    alpha: float | None = field(default=None, kw_only=True)
    horizon: int | None = field(default=None, kw_only=True)
    min_rows: int = field(default=30, kw_only=True)
    pos_label: Any = field(default=1, kw_only=True)
    state: BiasState = field(kw_only=True, repr=False, on_setattr=setters.NO_OP)

    @state.default
    def _start(self) -> BiasState:
        return BiasState(self._config())

    def __attrs_post_init__(self) -> None:
        for name, values in (("sensitive_features", self.sensitive_features), ("metrics", self.metrics)):
            if not values or len(set(values)) != len(values):
                raise ConfigurationError(f"{name}={values!r}: expected at least one name, each once")
        unknown = [m for m in self.metrics if m not in METRICS]
        if unknown:
            raise ConfigurationError(f"metrics={unknown!r} are not known: expected some of {sorted(METRICS)}")
        if not 0 <= self.tolerance < 1:
            raise ConfigurationError(f"tolerance={self.tolerance!r}: expected a difference of rates in [0, 1)")
        if self.min_rows < 1:
            raise ConfigurationError(f"min_rows={self.min_rows!r}: expected a number of rows of at least 1")
        if not isinstance(self.pos_label, (bool, int, float, str)):
            raise ConfigurationError(f"pos_label={self.pos_label!r}: expected a number, a boolean or text")
        if self.state.config != self._config():
            raise StateMismatch(
                "this state was made under another configuration: turning a dial after seeing data voids the promise; "
                "construct the monitor with the dials of the state, or start a new one"
            )

    @property
    def _dial(self) -> Dial:
        return Dial.of(self.false_alarm_every, self.alpha, self.horizon)

    def _config(self) -> str:
        return formats.config_hash(
            {
                "monitor": "bias",
                "sensitive_features": self.sensitive_features,
                "metrics": self.metrics,
                "tolerance": self.tolerance,
                "limit": self._dial.limit,
                "min_rows": self.min_rows,
                "pos_label": self.pos_label,
            }
        )

    def update(
        self, sensitive_frame: Any, y_pred: Any, y_true: Any = None, y_score: Any = None, batch_id: object = None
    ) -> BiasReport:
        """Add the rows of one batch and return what they say.

        A batch may come twice: first without labels and later, under the same id, with them; the second time only the
        metrics that need labels are asked.

        Parameters
        ----------
        sensitive_frame
            A frame with the sensitive features, n_rows rows; other columns are ignored.
        y_pred
            Predicted labels, shape (n_rows,).
        y_true
            Labels, shape (n_rows,), or None while they are not known.
        y_score
            Probabilities of the positive label, shape (n_rows,); needed for "calibration_gap" only.
        batch_id
            Identifies the batch; a midnight time stamp becomes an ISO date. Numbered when None.

        Raises
        ------
        DuplicateBatch
            When the batch was seen before, for the same metrics.
        DataError
            When the batch is empty, a column is missing, lengths differ, or predictions, labels or scores are missing
            or out of range. The state is then unchanged.
        """
        name, asked, late = self._claimed(None if batch_id is None else frames.key(batch_id), y_true is not None)
        rows = _Rows.read(self, sensitive_frame, y_pred, y_true, y_score if "calibration_gap" in asked else None)
        if "calibration_gap" in asked and rows.score is None:
            raise DataError("calibration_gap needs y_score, the probabilities: give them, or leave it out of metrics")
        readings, notes = self._readings(rows, asked)
        if y_true is None and len(asked) < len(self.metrics):
            notes.append(f"{', '.join(m for m in self.metrics if m not in asked)}: no labels in this batch")
        state = self._answered(readings)
        state = evolve(
            state,
            n_batches=state.n_batches + (not late),
            labelled=state.labelled if y_true is None else (*state.labelled, name),
        )
        self.state, report = self._step(state, name, late, readings, rows.n, notes)
        return report

    def acknowledge(self, reason: str = "") -> None:
        """Close the open episode: evidence starts from zero and the next alarm may come. Without one, nothing changes.

        Parameters
        ----------
        reason
            What was found, for the history.
        """
        if self.state.episodes.active:
            state = evolve(self.state, episodes=self.state.episodes.close("acknowledged", reason))
            self.state = state.restarted()

    def _claimed(self, key: str | None, labelled: bool) -> tuple[str, list[str], bool]:
        """Return the batch's id, the metrics it is asked, and whether it brings the labels of a batch seen before."""
        asked = [m for m in self.metrics if labelled or not METRICS[m].needs]
        needing = [m for m in asked if METRICS[m].needs]
        if key is not None and needing and key in self.state.episodes.seen and key not in self.state.labelled:
            return key, needing, True
        return self.state.episodes.next_id(key), asked, False

    def _readings(self, rows: _Rows, asked: list[str]) -> tuple[list[_Reading], list[str]]:
        readings, notes = [], []
        for feature, (groups, codes) in rows.groups.items():
            if len(groups) == 1:
                notes.append(f"{feature}: one group only ({groups[0]}), there is no rest to compare it with")
                continue
            for metric in asked:
                values, counted = rows.counted(metric)
                n = np.bincount(codes[counted], minlength=len(groups))
                sums = np.bincount(codes[counted], weights=values[counted], minlength=len(groups))
                enough = np.minimum(n, n.sum() - n) >= self.min_rows
                questions = [(feature, group, metric) for group in groups[enough]]
                readings += _compared(questions, n[enough], sums[enough], n.sum(), sums.sum())
                if not enough.all():
                    few = _listed(groups[~enough])
                    notes.append(f"{feature}, {metric}: fewer than {self.min_rows} rows in {few} or in the rest")
        return readings, notes

    def _answered(self, readings: list[_Reading]) -> BiasState:
        state = self.state.asking(r.question for r in readings)
        where = {question: i for i, question in enumerate(state.questions)}
        at = np.array([where[r.question] for r in readings], dtype=np.intp)
        width = _widths(r.question for r in readings)
        return state.added(at, np.array([r.gap for r in readings]) / width, self.tolerance / width)

    def _step(
        self, state: BiasState, name: str, late: bool, readings: list[_Reading], n_rows: int, notes: list[str]
    ) -> tuple[BiasState, BiasReport]:
        log_m = log_mean_exp(log_mean_exp(state.log_m, LOG_STAKE_WEIGHTS))
        flagged = e_benjamini_hochberg(log_m, 1 / self._dial.limit)
        gaps = self._gaps(state, log_m, flagged, {r.question: r for r in readings})
        evidence = Evidence(
            log_value=_strongest(log_m),
            log_limit=math.log(self._dial.limit),
            n_batches=state.n_batches,
            promise=self._dial.promise,
        )
        reason = "; ".join(gap.message for gap in gaps if gap.flagged)
        episodes, alarm = state.episodes.step(name, over_limit=bool(flagged.any()), reason=reason)
        if late:
            episodes = evolve(episodes, seen=state.episodes.seen)
        report = BiasReport(name, n_rows, alarm, episodes.since, evidence, gaps, tuple(notes))
        return evolve(state, episodes=episodes), report

    def _gaps(
        self, state: BiasState, log_m: Floats, flagged: NDArray[np.bool_], readings: dict[Question, _Reading]
    ) -> tuple[GroupGap, ...]:
        width = _widths(state.questions)
        mean = state.total * width / np.maximum(state.n, 1)
        gaps = []
        for i in np.argsort(-log_m, kind="stable"):
            feature, group, metric = question = state.questions[i]
            now = readings.get(question, _Reading(question, 0, math.nan, math.nan))
            gaps.append(
                GroupGap(
                    feature=feature,
                    group=group,
                    metric=metric,
                    n_rows=now.n_rows,
                    rate=now.rate,
                    rest_rate=now.rest_rate,
                    gap=now.gap,
                    low=now.low,
                    high=now.high,
                    mean_gap=float(mean[i]) if state.n[i] else math.nan,
                    n_batches=int(state.n[i]),
                    log_evidence=float(log_m[i]),
                    flagged=bool(flagged[i]),
                    message=self._message(state, i, float(mean[i])),
                )
            )
        return tuple(gaps)

    def _message(self, state: BiasState, i: np.intp, mean: float) -> str:
        """Say the gap on the side with the stronger evidence, as a mean over the run of batches that speak for it."""
        if not state.n[i]:
            return ""
        feature, group, name = state.questions[i]
        metric, gap, n = METRICS[name], mean, int(state.n[i])
        side = int(np.argmax(log_mean_exp(state.log_m[i], LOG_STAKE_WEIGHTS)))
        if state.run_n[i, side]:
            n = int(state.run_n[i, side])
            gap = float(_SIDES[side] * (state.run_excess[i, side] / n * metric.width + self.tolerance))
        words = (metric.up if gap > 0 else metric.down).format(100 * abs(gap))
        return f"{feature}={group}: {words}, mean over {n} batches"


@frozen(eq=False)
class _Rows:
    """The rows of a batch: per feature its groups and each row's code; predictions, labels and scores."""

    groups: dict[str, tuple[NDArray[Any], NDArray[np.intp]]]
    selected: NDArray[np.bool_]
    actual: NDArray[np.bool_] | None
    score: Floats | None

    @classmethod
    def read(cls, monitor: BiasMonitor, frame: Any, y_pred: Any, y_true: Any, y_score: Any) -> _Rows:
        """Read and check what `BiasMonitor.update` is given."""
        n = frames.n_rows(frame)
        if n == 0:
            raise DataError("the batch is empty: send at least one row")
        return cls(
            {name: _grouped(frames.values_of(frame, name), name) for name in monitor.sensitive_features},
            _positives(_column(y_pred, "y_pred", n), monitor.pos_label),
            None if y_true is None else _positives(_column(y_true, "y_true", n), monitor.pos_label),
            None if y_score is None else _probabilities(_column(y_score, "y_score", n)),
        )

    @property
    def n(self) -> int:
        return len(self.selected)

    def counted(self, metric: str) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the values whose mean is the metric's rate, and which rows it counts."""
        everything = np.ones(self.n, dtype=bool)
        actual = everything if self.actual is None else self.actual
        score = np.zeros(self.n) if self.score is None else self.score
        values, rows = {
            "selection_rate": (self.selected, everything),
            "tpr": (self.selected, actual),
            "fpr": (self.selected, ~actual),
            "ppv": (actual, self.selected),
            "calibration_gap": (actual - score, everything),
        }[metric]
        return values.astype(np.float64), rows


def _column(values: Any, name: str, n_rows: int) -> frames.Column:
    if np.ndim(values) != 1:
        raise DataError(f"{name} has {np.ndim(values)} dimensions: expected one value for each row")
    column = frames.column(values, name)
    if len(column) != n_rows:
        raise DataError(
            f"{name} has {len(column)} values for {n_rows} rows of the sensitive frame: give one for each row"
        )
    n_missing = int(column.missing.sum())
    if n_missing:
        raise DataError(f"{name} is missing in {n_missing} of {n_rows} rows: leave out the rows without, or fill them")
    return column


def _positives(column: frames.Column, pos_label: Any) -> NDArray[np.bool_]:
    """Return which labels are the positive one; labels of the other type, and fractions, are refused."""
    if column.levels is not None:
        found: NDArray[np.bool_] = np.array([bool(level == pos_label) for level in column.levels] + [False])[
            column.values
        ]
        is_text = all(isinstance(level, str) for level in column.levels)
    else:
        if column.kind not in {"bool", "int", "float"}:
            raise DataError(f"{column.name} is of kind {column.kind!r}: expected labels (numbers, booleans or text)")
        found, is_text = np.asarray(column.values == pos_label, dtype=bool), False
        if column.kind == "float" and (column.values != np.floor(column.values)).any():
            raise DataError(f"{column.name} holds fractions: give labels here, and probabilities as y_score")
    if is_text != isinstance(pos_label, str):
        raise DataError(
            f"{column.name} holds {'text' if is_text else 'numbers'}, but pos_label={pos_label!r}: set pos_label"
        )
    return found


def _probabilities(column: frames.Column) -> Floats:
    numbers = column.numbers()
    n_outside = int((~((numbers >= 0) & (numbers <= 1))).sum())
    if n_outside:
        raise DataError(
            f"{column.name} is outside [0, 1] in {n_outside} of {len(numbers)} rows: expected probabilities"
        )
    return numbers


def _grouped(values: Any, name: str) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the groups in alphabetical order and each row's position among them."""
    column = frames.column(values, name)
    text = np.full(len(column), MISSING, dtype=object)
    present = ~column.missing
    text[present] = frames.keys(frames.restore(column)[present])
    groups, codes = np.unique(text.astype(str), return_inverse=True)
    return groups.astype(object), codes


def _compared(
    questions: list[Question], n: NDArray[np.intp], sums: Floats, n_all: int, sum_all: float
) -> list[_Reading]:
    """Return each group's rate beside that of all other rows."""
    others, rest_sums = n_all - n, sum_all - sums
    rate, rest = sums / n, rest_sums / others
    low = high = np.full(len(n), np.nan)
    if questions and questions[0][2] != "calibration_gap":
        gaps = newcombe_wilson(sums, n, np.rint(rest_sums), others)
        low, high = gaps.low, gaps.high
    return [
        _Reading(question, int(n[i]), float(rate[i]), float(rest[i]), float(low[i]), float(high[i]))
        for i, question in enumerate(questions)
    ]


def _widths(questions: Iterable[Question]) -> Floats:
    return np.array([METRICS[metric].width for _, _, metric in questions], dtype=np.float64)


def _strongest(log_m: Floats) -> float:
    """Return log max_k k M_(k) / K, which reaches log A exactly where e-BH flags a question."""
    if not len(log_m):
        return -math.inf
    return float((-np.sort(-log_m) + np.log(np.arange(1, len(log_m) + 1))).max() - math.log(len(log_m)))


def _listed(groups: NDArray[Any]) -> str:
    more = f" and {len(groups) - 3} more" if len(groups) > 3 else ""
    return ", ".join(str(group) for group in groups[:3]) + more
