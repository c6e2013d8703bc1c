"""What every stage returns: a report that prints, and the evidence, alarms and episodes of the monitors.

An alarm opens an *episode*. The episode stays open until the user acknowledges it or re-bases the monitor, and no
second alarm is raised while it is open: a lasting change is one alarm, not one a day.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
from attrs import evolve, field, frozen

from mlopskit.errors import ConfigurationError, DuplicateBatch

if TYPE_CHECKING:
    import pandas as pd


class Report(ABC):
    """The base of every report: it prints as the answer to the question a person has.

    Subclasses are frozen attrs classes that implement `to_frame` and `__str__`; the rest follows.
    """

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """Return one row for each finding."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the report in plain words."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain built-in types, ready for JSON or a log."""
        result: dict[str, Any] = plain(self)
        return result

    def _repr_html_(self) -> str:
        from mlopskit.display.html import page

        frame = self.to_frame()
        table = [dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False)]
        return page(title=type(self).__name__, text=str(self), table=table)

    def plot(self, ax: Any = None) -> Any:
        """Draw the report's bars on a matplotlib axes and return it.

        Raises
        ------
        MissingExtra
            When matplotlib is not installed.
        """
        from mlopskit.display.figure import bars

        return bars(ax=ax, **self._bars())

    def _bars(self) -> dict[str, Any]:
        """Return what `display.figure.bars` draws: title, labels, values, xlabel, and a limit or None."""
        numbers = self.to_frame().select_dtypes("number")
        name = str(numbers.columns[-1]) if numbers.shape[1] else ""
        values = numbers[name].tolist() if name else []
        labels = self.to_frame().iloc[:, 0].astype(str).tolist() if len(values) else []
        return {"title": type(self).__name__, "labels": labels, "values": values, "xlabel": name, "limit": None}


def plain(value: Any) -> Any:
    """Return a value as built-in types that JSON can hold.

    attrs classes become dicts, arrays lists, sets sorted lists, non-finite floats None, moments ISO text, and whatever
    else there is becomes what it prints.
    """
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if attrs.has(type(value)):
        return {f.name.lstrip("_"): plain(getattr(value, f.name)) for f in attrs.fields(type(value)) if f.repr}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(v) for v in value), key=str)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


@frozen
class Evidence:
    """How strongly the batches so far speak against "all is well", beside the limit at which an alarm is raised.

    Parameters
    ----------
    log_value
        Natural logarithm of the strongest weighted e-process; -inf where there is no evidence yet.
    log_limit
        Natural logarithm of the alarm limit A (`false_alarm_every`, or horizon / alpha).
    n_batches
        Batches since the evidence last started from zero.
    promise
        What the limit promises, in words.
    """

    log_value: float
    log_limit: float
    n_batches: int
    promise: str

    @property
    def exceeded(self) -> bool:
        """Whether the evidence has reached the limit."""
        return self.log_value >= self.log_limit

    def __str__(self) -> str:
        value = math.exp(min(self.log_value, 700.0))
        return f"evidence {value:.3g} of {math.exp(self.log_limit):.3g} after {self.n_batches} batches ({self.promise})"


@frozen
class Dial:
    """The false-alarm budget: `false_alarm_every`, or `alpha` over a `horizon` of batches.

    Both set one limit A: `false_alarm_every` = L gives A = L, and `alpha` over a `horizon` of T gives A = T / alpha.
    The promise is P(first false alarm within T batches) <= T / A for every T (Shin, Ramdas and Rinaldo 2023).
    """

    false_alarm_every: float | None = None
    alpha: float | None = None
    horizon: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.false_alarm_every is not None and (self.alpha is not None or self.horizon is not None):
            raise ConfigurationError("give false_alarm_every, or alpha and horizon, not both")
        if (self.alpha is None) != (self.horizon is None):
            raise ConfigurationError(f"alpha={self.alpha!r} and horizon={self.horizon!r} go together: give both")
        if self.false_alarm_every is not None and not 1 < self.false_alarm_every < math.inf:
            raise ConfigurationError(
                f"false_alarm_every={self.false_alarm_every!r}: expected a number of batches above 1"
            )
        if self.alpha is not None and not 0 < self.alpha < 1:
            raise ConfigurationError(f"alpha={self.alpha!r}: expected a probability between 0 and 1")
        if self.horizon is not None and not 1 <= self.horizon < math.inf:
            raise ConfigurationError(f"horizon={self.horizon!r}: expected a number of batches of at least 1")

    @classmethod
    def of(cls, false_alarm_every: float | None, alpha: float | None, horizon: int | None) -> Dial:
        """Return the dial for a monitor's arguments; without any, one false alarm in 365 batches."""
        if false_alarm_every is None and alpha is None and horizon is None:
            false_alarm_every = 365
        return cls(false_alarm_every, alpha, horizon)

    @property
    def limit(self) -> float:
        """The alarm limit A, in batches."""
        if self.alpha is not None and self.horizon is not None:
            return self.horizon / self.alpha
        return float(self.false_alarm_every or 365)

    @property
    def promise(self) -> str:
        """What the limit promises, in words."""
        return f"P(first false alarm within T batches) <= T/{self.limit:g}"


@frozen
class EpisodeEvent:
    """One entry of a monitor's history: an alarm, an acknowledgement or a re-basing, and at which batch."""

    kind: Literal["alarm", "acknowledged", "rebased"]
    batch_id: str
    reason: str = ""


@frozen
class Episodes:
    """Which batches a monitor has seen, and which alarm is open, if any.

    >>> episodes, alarm = Episodes().step("monday", over_limit=True)
    >>> alarm, episodes.since
    (True, 'monday')
    >>> episodes.step("tuesday", over_limit=True)[1]     # still the same episode
    False
    """

    seen: tuple[str, ...] = ()
    since: str | None = None
    events: tuple[EpisodeEvent, ...] = field(default=(), repr=False)

    @property
    def active(self) -> bool:
        """Whether an episode is open."""
        return self.since is not None

    def next_id(self, batch_id: str | None) -> str:
        """Return the id of the coming batch, numbered when the caller gives none.

        Raises
        ------
        DuplicateBatch
            When the id was seen before.
        """
        if batch_id is None:
            free = (f"batch {i}" for i in itertools.count(len(self.seen) + 1))
            return next(name for name in free if name not in self.seen)
        if batch_id in self.seen:
            raise DuplicateBatch.of(batch_id)
        return batch_id

    def step(self, batch_id: str, *, over_limit: bool, reason: str = "") -> tuple[Episodes, bool]:
        """Record a batch; return the new episodes and whether this batch raises an alarm."""
        alarm = over_limit and not self.active
        seen = (*self.seen, batch_id)
        if not alarm:
            return evolve(self, seen=seen), False
        event = EpisodeEvent("alarm", batch_id, reason)
        return Episodes(seen, batch_id, (*self.events, event)), True

    def close(self, kind: Literal["acknowledged", "rebased"], reason: str = "") -> Episodes:
        """End the open episode, if any, and record why."""
        last = self.seen[-1] if self.seen else ""
        return evolve(self, since=None, events=(*self.events, EpisodeEvent(kind, last, reason)))


class MonitorReport(Report):
    """What every monitor returns for a batch.

    Attributes
    ----------
    batch_id
        The batch that was added.
    alarm
        Whether this batch raised an alarm.
    active, since
        Whether an episode is open, and the batch that opened it.
    evidence
        The evidence beside its limit.
    """

    monitor: str
    batch_id: str
    alarm: bool
    since: str | None
    evidence: Evidence

    @property
    def active(self) -> bool:
        """Whether an episode is open."""
        return self.since is not None
