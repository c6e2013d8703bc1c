"""Is the model worse than what was accepted? Labels in, one bounded observation per batch, evidence over time.

The **null** is one-sided: the expected loss of each coming batch, given the past, is at most the limit U + tolerance,
where U is an upper 95% bound of the mean loss of the reference's batches. A better model is never an alarm. A batch
gives one number, its mean per-row loss scaled to [0, 1]; how its rows depend on each other does not matter. Eight
stakes bet that the number lies above the limit, and an e-SR process per stake collects what they win over every
possible start.

Batches whose difficulty varies make this slow, and no method can be fast there: `PerformanceMonitor.resolution` says
how long an excess must last before it can be told from an ordinary bad spell.

Labels that come late: send a batch once its label window has closed, all rows of it together. Rows taken as their
labels happen to arrive bias the loss.

Sources: Shin, Ramdas and Rinaldo, "E-detectors" (2023); Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting" (JRSS B 2024); Podkopaev and Ramdas, "Tracking the risk of a deployed model" (ICLR 2022).
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define, evolve, field, frozen, setters
from numpy.typing import NDArray

from mlopskit import formats, frames, metrics
from mlopskit.errors import ConfigurationError, DataError, NotFittedError, SmallReference, StateMismatch
from mlopskit.evidence import Dial, Episodes, Evidence, MonitorReport, Report
from mlopskit.stats.intervals import upper_mean_bound
from mlopskit.stats.sequential import (
    LOG_STAKE_WEIGHTS,
    batches_to_detect,
    log_mean_bets,
    log_mean_exp,
    log_shiryaev_roberts,
)

if TYPE_CHECKING:
    import pandas as pd

DELTA = 0.05
"""Probability that the reference's bound misses its mean; part of the promise."""

MIN_BATCHES = 20
"""Reference batches below which `fit` warns."""

_NOTHING = (-math.inf,) * 8
_EXCESSES = (0.5, 1.0, 2.0, 4.0)


@frozen
class PerformanceState:
    """What a fitted monitor remembers: small, exact, JSON in and out.

    Parameters
    ----------
    config
        Hash of the configuration it was made under.
    mean, sd, autocorrelation
        Mean, standard deviation and lag-1 autocorrelation of the reference's batch losses, in units of the loss.
    upper
        The upper bound U of the reference's mean loss.
    n_reference
        Batches of the reference.
    classes
        The classes of the reference's labels in order; none where the metric takes no probabilities.
    log_m
        Logarithms of the eight e-SR processes, one for each stake.
    n_batches
        Batches since the evidence last started from zero.
    episodes
        Batches seen, and the open alarm, if any.
    """

    config: str
    mean: float
    sd: float
    autocorrelation: float
    upper: float
    n_reference: int
    classes: tuple[Any, ...] = ()
    log_m: tuple[float, ...] = _NOTHING
    n_batches: int = 0
    episodes: Episodes = field(factory=Episodes)


@frozen
class PerformanceReport(MonitorReport):
    """What a batch's labels say about the model; `print(report)` answers in words.

    Parameters
    ----------
    batch_id
        The batch that was added.
    metric
        The loss that is watched.
    n_rows
        Rows of the batch.
    loss
        Realized mean loss of the batch.
    limit
        The mean loss that is still accepted: upper bound of the reference plus tolerance.
    reference
        Mean loss of the reference's batches.
    alarm
        Whether this batch raised an alarm.
    since
        The batch that opened the episode, None while none is open.
    evidence
        The evidence beside its limit.
    note
        How losses are kept within their range, in words; empty where they need no clipping.
    """

    batch_id: str
    metric: str
    n_rows: int
    loss: float
    limit: float
    reference: float
    alarm: bool
    since: str | None
    evidence: Evidence
    note: str = ""
    monitor: str = "performance"

    def to_frame(self) -> pd.DataFrame:
        """Return one row: the batch, its loss, the limit and the evidence."""
        import pandas as pd

        row = {
            "batch_id": self.batch_id,
            "metric": self.metric,
            "n_rows": self.n_rows,
            "loss": self.loss,
            "limit": self.limit,
            "reference": self.reference,
            "alarm": self.alarm,
            "since": self.since,
            "log_evidence": self.evidence.log_value,
            "log_limit": self.evidence.log_limit,
        }
        return pd.DataFrame([row])

    def __str__(self) -> str:
        verdict = "no alarm"
        if self.alarm:
            verdict = "ALARM: the model is worse than what was accepted"
        elif self.active:
            verdict = f"episode open since {self.since}"
        lines = [
            f"performance, {self.batch_id}: {verdict}",
            f"  {self.metric} {self.loss:.4f} on {self.n_rows} rows; accepted up to {self.limit:.4f} on average "
            f"(reference {self.reference:.4f})",
            f"  {self.evidence}",
        ]
        return "\n".join([*lines, f"  {self.note}"] if self.note else lines)

    def _bars(self) -> dict[str, Any]:
        return {
            "title": f"{self.metric}, {self.batch_id}",
            "labels": ["reference", self.batch_id],
            "values": [self.reference, self.loss],
            "xlabel": self.metric,
            "limit": self.limit,
        }


@frozen
class Resolution(Report):
    """What a monitor can find, and how long that must last: the information limit of its reference.

    Parameters
    ----------
    metric
        The loss that is watched.
    n_reference, mean, sd, autocorrelation
        Batches of the reference; mean, standard deviation and lag-1 autocorrelation of their losses.
    limit
        The mean loss that is still accepted.
    rows
        (excess in standard deviations of a batch, excess as loss, batches it must last at least); none for a reference
        without spread.
    """

    metric: str
    n_reference: int
    mean: float
    sd: float
    autocorrelation: float
    limit: float
    rows: tuple[tuple[float, float, int], ...]

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each excess over the limit."""
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=["excess_sd", "excess", "n_batches"])

    def __str__(self) -> str:
        head = (
            f"{self.metric} on {self.n_reference} reference batches: mean {self.mean:.4f}, "
            f"sd between batches {self.sd:.4f}, lag-1 autocorrelation {self.autocorrelation:.2f}; "
            f"accepted up to {self.limit:.4f}"
        )
        lines = [f"  {excess:+.4f} above that ({r:g} sd): about {n} batches to find" for r, excess, n in self.rows]
        return "\n".join([head, *lines])


@define(on_setattr=setters.frozen, eq=False)
class PerformanceMonitor(formats.Stored):
    """Watch a model's realized loss, batch by batch, and raise one alarm when it is worse than what was accepted.

    Parameters
    ----------
    metric
        Name of a metric with a loss for each row (`mlopskit.metrics`): a proper score ("log_loss", the default, or
        "brier_score_loss") for probabilities. The 0/1 error can rank a stale model above a fresh one.
    tolerance
        Extra mean loss that is accepted, in units of the loss, >= 0.
    false_alarm_every
        Limit A in batches: P(first false alarm within T batches) <= T/A + 0.05 for every T, the 0.05 for the
        reference's bound. 365 where nothing is given; over a year of daily batches that promise is empty.
    alpha, horizon
        Instead: at most alpha (+ 0.05) over `horizon` batches; A = horizon / alpha.
    clip
        Log-loss only: probabilities are clipped to [clip, 1 - clip], which bounds the loss of a row by -log(clip).
    bound
        For losses without an upper bound (absolute error): a row's loss is cut there, in units of the loss.
    state
        A state to go on from.

    Raises
    ------
    ConfigurationError
        When the metric has no per-row loss, an unbounded loss comes without `bound`, or a dial is out of range.
    StateMismatch
        When the state was made under another configuration.

    Notes
    -----
    The promise needs batches whose expected loss, *given the past*, stays within the limit while all is well. A run of
    bad days that hang together counts as evidence; the bound U allows for autocorrelation within the reference.
    Measured over 1,000 runs of 180 batches at A = 365 (bound .54), days with a spread of 10% and 30% of the limit: .01
    and .04 of runs alarm with independent days, .05 and .15 where days have a lag-1 autocorrelation of .5, .07 and .21
    at .7.

    While all is well the evidence may creep up, at most to the number of batches since it started, because it sums over
    all starts. A loss that stays 1% below the limit takes 9,000 batches to A = 365, one that stays 2% below never does.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.1, 0.9, size=(60, 200))
    >>> y = rng.uniform(size=p.shape) < p
    >>> days = np.repeat(np.arange(30), 200)
    >>> monitor = PerformanceMonitor("log_loss", tolerance=0.02).fit(y[:30].ravel(), p[:30].ravel(), batch=days)
    >>> for day in range(30, 60):                                     # the model's scores are turned upside down
    ...     report = monitor.update(y[day], 1 - p[day], batch_id=str(day))
    ...     if report.alarm:
    ...         print(report.batch_id, report.since)
    39 39
    """

    metric: str = "log_loss"
    tolerance: float = field(default=0.0, kw_only=True, converter=float)
    false_alarm_every: float | None = field(default=None, kw_only=True)
    alpha: float | None = field(default=None, kw_only=True)
    horizon: int | None = field(default=None, kw_only=True)
    clip: float = field(default=0.01, kw_only=True, converter=float)
    bound: float | None = field(default=None, kw_only=True)
    state: PerformanceState | None = field(default=None, kw_only=True, repr=False, on_setattr=setters.NO_OP)

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.tolerance < math.inf:
            raise ConfigurationError(f"tolerance={self.tolerance!r}: expected a loss of at least 0")
        if not 0 < self.clip < 0.5:
            raise ConfigurationError(f"clip={self.clip!r}: expected a probability above 0 and below 0.5")
        if not self._metric.has_losses:
            raise ConfigurationError(f"metric={self.metric!r} has no loss for a single row: log_loss has one")
        self._largest  # noqa: B018 - a bound that cannot work is refused now, not at the first batch
        self._dial  # noqa: B018
        if self.state is not None and self.state.config != self._config():
            raise StateMismatch(
                "this state was made under another configuration: turning a dial after seeing data voids the promise; "
                "construct the monitor with the dials of the state, or fit again"
            )

    @property
    def _dial(self) -> Dial:
        return Dial.of(self.false_alarm_every, self.alpha, self.horizon)

    @property
    def _metric(self) -> metrics.Metric:
        return metrics.metric(self.metric)

    @property
    def _largest(self) -> float:
        """The largest loss of a row; the smallest is 0."""
        name, (_, high) = self._metric.loss_name, self._metric.bounds(clip=self.clip)
        if self.bound is None and math.isinf(high):
            raise ConfigurationError(f"bound=None: a row's {name} has no largest value, give the loss where it is cut")
        if self.bound is None:
            return high
        if math.isfinite(high):
            raise ConfigurationError(f"bound={self.bound!r}: a row's {name} is at most {high:.4g}, leave bound out")
        if not 0 < self.bound < math.inf:
            raise ConfigurationError(f"bound={self.bound!r}: expected a loss above 0")
        return float(self.bound)

    def _config(self) -> str:
        return formats.config_hash(
            {
                "monitor": "performance",
                "metric": self._metric.name,
                "tolerance": self.tolerance,
                "limit": self._dial.limit,
                "clip": self.clip,
                "bound": self.bound,
            }
        )

    def fit(self, y_true: Any, y_pred: Any, *, batch: Any) -> PerformanceMonitor:
        """Learn what is accepted from a labelled reference; everything learnt before is forgotten.

        Parameters
        ----------
        y_true
            Labels (values for a regression loss), shape (n_rows,).
        y_pred
            What the metric takes: probabilities, labels or values. Out-of-fold ones, not those on the training rows.
        batch
            The batch (day) of each row, shape (n_rows,), in the order of time. At least 4 batches, 20 or more advised.

        Raises
        ------
        DataError
            When data are missing or do not fit, there are fewer than four batches, or the reference's losses are so
            high or so uncertain that no fault could ever be found.
        """
        self.state = self._learnt(y_true, y_pred, batch)
        return self

    def rebase(self, y_true: Any, y_pred: Any, *, batch: Any, reason: str = "") -> None:
        """Accept a new reference, after a new model was deployed, say; ids and history stay, evidence starts from zero.

        Parameters
        ----------
        y_true, y_pred, batch
            The new reference, as in `fit`.
        reason
            Why, for the history.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DataError
            As in `fit`.
        """
        episodes = self._fitted().episodes
        new = self._learnt(y_true, y_pred, batch)
        seen = (*episodes.seen, *(b for b in new.episodes.seen if b not in set(episodes.seen)))
        self.state = evolve(new, episodes=evolve(episodes, seen=seen).close("rebased", reason))

    def acknowledge(self, reason: str = "") -> None:
        """Close the open episode: evidence starts from zero and the next alarm may come. Without one, nothing changes.

        Parameters
        ----------
        reason
            What was found, for the history.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        state = self._fitted()
        if state.episodes.active:
            episodes = state.episodes.close("acknowledged", reason)
            self.state = evolve(state, log_m=_NOTHING, n_batches=0, episodes=episodes)

    def update(self, y_true: Any, y_pred: Any, batch_id: object = None) -> PerformanceReport:
        """Add the labelled rows of one batch and return what they say.

        Parameters
        ----------
        y_true, y_pred
            As in `fit`; all rows of the batch whose label window has closed.
        batch_id
            Identifies the batch; a midnight time stamp becomes an ISO date. Numbered when None.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DuplicateBatch
            When the batch was seen before, in the reference or in an update.
        DataError
            When data are missing or do not fit, or the batch is empty. The state is then unchanged.
        """
        state = self._fitted()
        name = state.episodes.next_id(None if batch_id is None else frames.key(batch_id))
        losses = self._losses(y_true, y_pred, state.classes)
        self.state, report = self._step(state, name, float(losses.mean()), len(losses))
        return report

    def resolution(self) -> Resolution:
        """Return what this monitor can find and how long that must last.

        How long follows from `stats.sequential.batches_to_detect`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        state = self._fitted()
        limit = state.upper + self.tolerance
        rows = tuple(
            (r, r * state.sd, int(batches_to_detect(r, sd=state.sd, high=limit, limit=self._dial.limit)))
            for r in _EXCESSES
            if limit + r * state.sd <= self._largest and state.sd > 0
        )
        return Resolution(
            self._metric.loss_name, state.n_reference, state.mean, state.sd, state.autocorrelation, limit, rows
        )

    def _fitted(self) -> PerformanceState:
        if self.state is None:
            raise NotFittedError.of(self)
        return self.state

    def _losses(self, y_true: Any, y_pred: Any, classes: tuple[Any, ...]) -> NDArray[np.float64]:
        unknown = [label for label in self._classes(y_true) if label not in classes]
        if unknown:
            raise DataError(f"y_true holds {unknown[:5]}; the reference knows {list(classes)}")
        losses = self._metric.losses(y_true, y_pred, clip=self.clip, classes=classes or None)
        if not len(losses):
            raise DataError("the batch is empty: send at least one labelled row")
        if not np.isfinite(losses).all():
            raise DataError(
                f"{int((~np.isfinite(losses)).sum())} losses are not finite: expected finite labels and values"
            )
        return np.minimum(losses, self._largest)

    def _classes(self, y_true: Any) -> tuple[Any, ...]:
        """Return the classes of the labels in order; none where the metric takes no probabilities."""
        if self._metric.needs != "scores":
            return ()
        try:
            found = np.unique(metrics.read(y_true, "y_true")).tolist()
        except TypeError as error:
            raise DataError(f"y_true mixes types: {error}") from error
        return (0, 1) if set(found) <= {0, 1} else tuple(found)

    def _learnt(self, y_true: Any, y_pred: Any, batch: Any) -> PerformanceState:
        classes = self._classes(y_true)
        losses = self._losses(y_true, y_pred, classes)
        groups = list(frames.groups(batch))
        n_keys = sum(len(rows) for _, rows in groups)
        if n_keys != len(losses):
            raise DataError(f"batch has {n_keys} keys for {len(losses)} rows: give one for each row")
        means = np.array([losses[rows].mean() for _, rows in groups])
        upper = self._upper(means)
        measured = upper_mean_bound(means)
        if len(means) < MIN_BATCHES:
            warnings.warn(_few_batches(len(means), upper, self.tolerance, measured.value), SmallReference, stacklevel=3)
        return PerformanceState(
            config=self._config(),
            mean=measured.value,
            sd=float(means.std(ddof=1)),
            autocorrelation=measured.autocorrelation,
            upper=upper,
            n_reference=len(means),
            classes=classes,
            episodes=Episodes(seen=tuple(key for key, _ in groups)),
        )

    def _upper(self, means: NDArray[np.float64]) -> float:
        """Return the upper bound U of the reference's mean loss.

        Batches that are all equal have no spread for a t bound; then with probability 1 - delta a coming batch
        exceeds them with probability at most 1 - delta^(1/n), and the excess is at most the rest of the range.
        """
        if len(means) < 4:
            raise DataError(f"the reference has {len(means)} batches: at least 4 are needed, 20 or more advised")
        upper = upper_mean_bound(means, 1 - DELTA).upper
        high = self._largest
        if np.ptp(means) <= 1e-12 * high:
            upper += (high - upper) * (1 - DELTA ** (1 / len(means)))
        if upper + self.tolerance >= high:
            raise DataError(
                f"the accepted loss {upper + self.tolerance:.4g} (upper bound {upper:.4g} from {len(means)} batches, "
                f"plus tolerance) is not below {high:.4g}, the largest possible: no fault could be found. "
                "Give more reference batches or a smaller tolerance"
            )
        return upper

    def _step(
        self, state: PerformanceState, batch_id: str, loss: float, n_rows: int
    ) -> tuple[PerformanceState, PerformanceReport]:
        limit = state.upper + self.tolerance
        log_e = log_mean_bets(loss / self._largest, limit / self._largest)
        log_m = log_shiryaev_roberts(np.array(state.log_m), log_e)
        evidence = Evidence(
            log_value=float(log_mean_exp(log_m, LOG_STAKE_WEIGHTS)),
            log_limit=math.log(self._dial.limit),
            n_batches=state.n_batches + 1,
            promise=f"{self._dial.promise} + {DELTA:g}",
        )
        reason = f"{self._metric.loss_name} {loss:.4g}, accepted {limit:.4g}"
        episodes, alarm = state.episodes.step(batch_id, over_limit=evidence.exceeded, reason=reason)
        new = evolve(state, log_m=tuple(log_m.tolist()), n_batches=evidence.n_batches, episodes=episodes)
        report = PerformanceReport(
            batch_id=batch_id,
            metric=self._metric.loss_name,
            n_rows=n_rows,
            loss=loss,
            limit=limit,
            reference=state.mean,
            alarm=alarm,
            since=episodes.since,
            evidence=evidence,
            note=self._note(),
        )
        return new, report

    def _note(self) -> str:
        if self.bound is not None:
            return f"losses of single rows are cut at {self.bound:g}"
        if self._metric.loss_name == "log_loss":
            return f"probabilities are clipped to [{self.clip:g}, {1 - self.clip:g}]"
        return ""


def _few_batches(n: int, upper: float, tolerance: float, mean: float) -> str:
    return (
        f"the reference has {n} batches, {MIN_BATCHES} or more are advised: its mean loss {mean:.4g} may be as high as "
        f"{upper:.4g}, and only a lasting loss above {upper + tolerance:.4g} can be found"
    )
