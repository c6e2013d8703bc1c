"""Should the model be retrained now? A policy reads the reports of the day and answers with a recorded decision.

The order of a decision is fixed, and the first reason wins: block when the days one would train on failed validation,
then the cooldown, then the budget, then the policy itself; otherwise keep. A retrain trains a challenger for the gate;
it never deploys. A policy says one thing, `_wants`; the rest is combined: `OnAlarm() | MaxAge("90D")` retrains when
either asks, `&` when both do, `.with_cooldown("3D")` and `.with_budget(8, per="30D")` hold back. What is held back is
not lost: an open alarm asks again until it is answered.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, Self

import pandas as pd
from attrs import evolve, field, frozen

from mlopskit import formats, frames
from mlopskit.errors import ConfigurationError, DataError, StateMismatch
from mlopskit.evidence import MonitorReport
from mlopskit.records import Decision, ModelVersion

NOTHING = "nothing asked for a retrain"
SHORTEST, LONGEST = dt.timedelta(seconds=1), dt.timedelta(days=36525)


@frozen
class OpenEpisode:
    """An alarm episode that a monitor reported open.

    Parameters
    ----------
    monitor, since
        Name of the monitor and the batch that opened the episode: together they identify it.
    words
        What the report found when the episode was first seen.
    answered
        Whether a retrain answered it already.
    """

    monitor: str
    since: str
    words: str = ""
    answered: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the episode."""
        return self.monitor, self.since


@frozen
class Wish:
    """What a policy's hook returns when it wants a retrain.

    Parameters
    ----------
    reason
        Why, in words that go on from "because".
    episodes
        The open episodes that the retrain would answer.
    held
        Why a part of the policy holds it back for now; None when nothing does.
    """

    reason: str
    episodes: tuple[OpenEpisode, ...] = ()
    held: str | None = None


@frozen
class PolicyState:
    """What a policy remembers between decisions.

    Parameters
    ----------
    config
        Hash of the configuration the state was made under; None before the first decision.
    decisions
        Every decision so far, in order.
    retrains
        When a retrain was asked for, in order (UTC).
    episodes
        The alarm episodes open at the last word of their monitor.
    """

    config: str | None = None
    decisions: tuple[Decision, ...] = ()
    retrains: tuple[dt.datetime, ...] = ()
    episodes: tuple[OpenEpisode, ...] = ()

    def _seeing(self, reports: Sequence[Any]) -> PolicyState:
        """Open the episodes that are new, forget those that a report of their monitor no longer mentions."""
        monitors = [report for report in reports if isinstance(report, MonitorReport)]
        spoke = {report.monitor for report in monitors}
        active = {
            (r.monitor, r.since): OpenEpisode(r.monitor, r.since, _finding(r)) for r in monitors if r.since is not None
        }
        kept = [e for e in self.episodes if e.monitor not in spoke or e.key in active]
        known = {episode.key for episode in kept}
        return evolve(self, episodes=(*kept, *[e for key, e in active.items() if key not in known]))

    def _after(self, decision: Decision, wish: Wish | None) -> PolicyState:
        """Record a decision; a retrain answers the episodes that asked for it."""
        decisions = (*self.decisions, decision)
        if decision.action != "retrain" or wish is None:
            return evolve(self, decisions=decisions)
        asked = {episode.key for episode in wish.episodes}
        episodes = tuple(evolve(e, answered=e.answered or e.key in asked) for e in self.episodes)
        return evolve(self, decisions=decisions, retrains=(*self.retrains, decision.at), episodes=episodes)


@frozen
class PolicyContext:
    """All that a policy may look at.

    Parameters
    ----------
    reports
        The reports of this decision, without the Nones.
    version
        The version in question, or None.
    now
        The time of the decision (UTC).
    state
        Decisions, retrains and open episodes so far, the episodes of this decision's reports included.
    """

    reports: tuple[Any, ...]
    version: ModelVersion | None
    now: dt.datetime
    state: PolicyState


def _duration(value: str | dt.timedelta) -> dt.timedelta:
    """Return a duration such as "7D"; at least one second, so that a forgotten unit does not pass as nanoseconds."""
    try:
        span: Any = pd.Timedelta(value)
    except (ValueError, TypeError):
        span = pd.NaT
    if not SHORTEST <= span <= LONGEST:
        raise ConfigurationError(
            f"got {value!r}; expected a duration of one second to 100 years, such as '7D', '12h' or a timedelta"
        )
    result: dt.timedelta = span.to_pytimedelta()
    return result


def _optional_duration(value: str | dt.timedelta | None) -> dt.timedelta | None:
    return None if value is None else _duration(value)


@frozen
class RetrainPolicy(ABC):
    """The base of every policy: subclasses say when they want a retrain; `decide` does the rest.

    Two policies are equal when their configurations are. The state belongs to the policy that `decide` is called on;
    the parts of a combination keep none, and every combination starts with an empty one.

    Parameters
    ----------
    cooldown
        Least time between two retrains; see `with_cooldown`.
    budget, per
        At most `budget` retrains within any span of `per`; see `with_budget`.
    state
        Where to go on from; refused when it was made under another configuration.

    Examples
    --------
    >>> class WhenColder(RetrainPolicy):
    ...     def _wants(self, context):
    ...         return Wish("winter is coming") if context.now.month >= 11 else None
    >>> print(WhenColder().decide(now=dt.datetime(2013, 11, 2)))
    2013-11-02 retrain: winter is coming
    """

    cooldown: dt.timedelta | None = field(default=None, kw_only=True, converter=_optional_duration)
    budget: int | None = field(default=None, kw_only=True)
    per: dt.timedelta | None = field(default=None, kw_only=True, converter=_optional_duration)
    _state: PolicyState = field(factory=PolicyState, kw_only=True, eq=False, repr=False)

    @per.validator
    def _check_budget(self, _: Any, per: dt.timedelta | None) -> None:
        if (self.budget is None) != (per is None):
            raise ConfigurationError(f"budget={self.budget!r} and per={per!r} go together: give both")
        whole = isinstance(self.budget, int) and not isinstance(self.budget, bool)
        if self.budget is not None and not (whole and self.budget >= 1):
            raise ConfigurationError(f"budget={self.budget!r}: expected a whole number of retrains, at least 1")

    @_state.validator
    def _check_state(self, _: Any, state: PolicyState) -> None:
        if state.config is not None and state.config != self._config():
            raise StateMismatch(f"this state was made under another configuration than {self!r}: start with a new one")

    @abstractmethod
    def _wants(self, context: PolicyContext) -> Wish | None:
        """Return why to retrain now, or None; a pure function of the configuration and the context."""

    def decide(
        self, reports: Any = (), *, version: ModelVersion | None = None, now: dt.datetime | None = None
    ) -> Decision:
        """Decide, and remember the decision; to keep the model is a decision too.

        Parameters
        ----------
        reports
            One report or several, of any kind, None among them ignored. Reports with `passed` and `failures`
            (validation) must be those of the days one would train on: a failed one blocks. A monitor's report opens
            and closes its episodes; an episode stays open until the same monitor reports that it is closed.
        version
            The version in question; `MaxAge` needs it.
        now
            When; by default the wall clock. Decisions are made in the order of time.

        Returns
        -------
        Decision
            "retrain", "keep" or "block", with the reason, what would have been done but for the cooldown, budget or
            block, and one line from each report as evidence.

        Raises
        ------
        DataError
            When `now` is earlier than the last decision, or the policy needs a version and got None.

        Examples
        --------
        >>> policy = Every("7D")
        >>> [policy.decide(now=dt.datetime(2013, 3, day)).action for day in (1, 7, 8, 9)]
        ['keep', 'keep', 'retrain', 'keep']
        """
        given, at = _listed(reports), frames.utc(now)
        if self._state.decisions and at < self._state.decisions[-1].at:
            raise DataError(
                f"now={at} is earlier than the last decision, {self._state.decisions[-1].at}: go on from there"
            )
        state = evolve(self._state, config=self._state.config or self._config())._seeing(given)
        context = PolicyContext(given, version, at, state)
        wish = self._ask(context)
        action, reason = _verdict([_words(report) for report in given if _failed(report)], wish)
        spec = None if version is None else version.spec
        decision = Decision(action, reason, at, spec, _evidence(given))
        object.__setattr__(self, "_state", state._after(decision, wish))
        return decision

    def with_cooldown(self, length: str | dt.timedelta) -> Self:
        """Return this policy with a least time between two retrains, counted from the last one asked for.

        Raises
        ------
        ConfigurationError
            When the length is no duration.

        Examples
        --------
        >>> policy = Every("1D").with_cooldown("3D")
        >>> [policy.decide(now=dt.datetime(2013, 3, day)).action for day in (1, 2, 3, 4, 5)]
        ['keep', 'retrain', 'keep', 'keep', 'retrain']
        """
        return evolve(self, cooldown=length, state=PolicyState())

    def with_budget(self, n: int, *, per: str | dt.timedelta) -> Self:
        """Return this policy with at most `n` retrains in any half-open span of length `per`.

        Raises
        ------
        ConfigurationError
            When `n` is no whole number of at least 1, or `per` is no duration.

        Examples
        --------
        >>> policy = Every("1D").with_budget(1, per="30D")
        >>> policy.decide(now=dt.datetime(2013, 3, 1)).action, policy.decide(now=dt.datetime(2013, 3, 2)).action
        ('keep', 'retrain')
        >>> policy.decide(now=dt.datetime(2013, 3, 4)).reason
        'budget of 1 per 30 days is used until 2013-04-01; would have retrained because 1 day has passed'
        """
        return evolve(self, budget=n, per=per, state=PolicyState())

    def __or__(self, other: RetrainPolicy) -> Either:
        return Either(self, other) if isinstance(other, RetrainPolicy) else NotImplemented

    def __and__(self, other: RetrainPolicy) -> Both:
        return Both(self, other) if isinstance(other, RetrainPolicy) else NotImplemented

    @property
    def state(self) -> PolicyState:
        """What the policy remembers."""
        return self._state

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Every decision so far, in order."""
        return self._state.decisions

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each decision: at, action, reason, version, evidence."""
        rows = [(d.at, d.action, d.reason, d.version, "; ".join(d.evidence)) for d in self.decisions]
        return pd.DataFrame(rows, columns=["at", "action", "reason", "version", "evidence"])

    def to_json(self) -> str:
        """Write configuration and state.

        Raises
        ------
        FormatError
            When a part is of a class that mlopskit does not know.
        """
        return formats.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Rebuild a policy that goes on exactly where `to_json` stood.

        Raises
        ------
        FormatError
            When the text is not what `to_json` wrote.
        StateMismatch
            When its configuration was changed afterwards.

        Examples
        --------
        >>> policy = Never() | MaxAge("90D").with_cooldown("3D")
        >>> RetrainPolicy.from_json(policy.to_json()) == policy
        True
        """
        return formats.from_json(text, cls)

    def _ask(self, context: PolicyContext) -> Wish | None:
        """Return the hook's wish, marked as held where this policy's own cooldown or budget holds it."""
        wish = self._wants(context)
        if wish is None or wish.held is not None:
            return wish
        return evolve(wish, held=self._held(context))

    def _held(self, context: PolicyContext) -> str | None:
        retrains = context.state.retrains
        if self.cooldown is not None and retrains and context.now - retrains[-1] < self.cooldown:
            return f"cooldown until {_when(retrains[-1] + self.cooldown)}"
        if self.budget is None or self.per is None:
            return None
        recent = [at for at in retrains if context.now - at < self.per]
        if len(recent) < self.budget:
            return None
        return f"budget of {self.budget} per {_span(self.per)} is used until {_when(recent[-self.budget] + self.per)}"

    def _config(self) -> str:
        return formats.config_hash({"policy": repr(self)})


@frozen
class Never(RetrainPolicy):
    """Never asks: the baseline of every backtest, and the neutral element of `|`.

    >>> Never().decide(now=dt.datetime(2013, 3, 1)).reason
    'nothing asked for a retrain'
    """

    def _wants(self, context: PolicyContext) -> Wish | None:  # noqa: ARG002
        return None


@frozen
class Every(RetrainPolicy):
    """Asks when a time has passed since the last retrain (by any policy) or, before any, since the first decision.

    Parameters
    ----------
    length
        The time between two retrains, for instance "7D".

    Raises
    ------
    ConfigurationError
        When the length is no duration.
    """

    length: dt.timedelta = field(converter=_duration)

    def _wants(self, context: PolicyContext) -> Wish | None:
        state = context.state
        start = state.retrains[-1] if state.retrains else (state.decisions[0].at if state.decisions else context.now)
        passed = context.now - start >= self.length
        return Wish(f"{_span(self.length)} {'has' if self.length.days == 1 else 'have'} passed") if passed else None


@frozen
class MaxAge(RetrainPolicy):
    """Asks when the version is older than a limit; its age counts from the end of its training data.

    It asks at every decision until a younger version is in place, so a challenger that the gate refuses is followed by
    another one: combine it with a cooldown.

    Parameters
    ----------
    limit
        The greatest age, for instance "90D".

    Raises
    ------
    ConfigurationError
        When the limit is no duration.
    """

    limit: dt.timedelta = field(converter=_duration)

    def _wants(self, context: PolicyContext) -> Wish | None:
        if not isinstance(context.version, ModelVersion):
            raise DataError(
                f"version={context.version!r}: MaxAge counts the age of a version, "
                "so call decide(..., version=registry.get(...))"
            )
        age = context.now - frames.utc(context.version.trained_until)
        if age <= self.limit:
            return None
        return Wish(f"{context.version.spec} is {_span(age)} old, more than {_span(self.limit)}")


def _kinds(kinds: str | Iterable[str] | None) -> tuple[str, ...] | None:
    return (kinds,) if isinstance(kinds, str) else None if kinds is None else tuple(kinds)


@frozen
class OnAlarm(RetrainPolicy):
    """Asks once for each alarm episode that a monitor reports open.

    An episode is one monitor's alarm (`report.monitor`, `report.since`). One that is seen during a cooldown, a block or
    with the budget used asks again at every decision until it is answered by a retrain. Once answered it is silent for
    as long as it lasts. One that its monitor reports closed before it was answered is forgotten: somebody acknowledged
    it. When several reports of one monitor come together, each open episode among them counts.

    Parameters
    ----------
    kinds
        Names of the monitors to listen to ("drift", "performance", "bias"); None listens to all.

    Raises
    ------
    ConfigurationError
        When `kinds` is empty or holds something else than text.
    """

    kinds: tuple[str, ...] | None = field(default=None, converter=_kinds)

    @kinds.validator
    def _check_kinds(self, _: Any, kinds: tuple[str, ...] | None) -> None:
        if kinds is not None and not (kinds and all(isinstance(kind, str) for kind in kinds)):
            raise ConfigurationError(f"kinds={kinds!r}: expected monitor names such as ['drift'], or None for all")

    def _wants(self, context: PolicyContext) -> Wish | None:
        heard = [e for e in context.state.episodes if self.kinds is None or e.monitor in self.kinds]
        waiting = tuple(episode for episode in heard if not episode.answered)
        if not waiting:
            return None
        alarms = [f"{e.monitor} alarm since {e.since}" + (f" ({e.words})" if e.words else "") for e in waiting]
        return Wish(" and ".join(alarms), waiting)


def _fresh(policy: RetrainPolicy) -> RetrainPolicy:
    if not isinstance(policy, RetrainPolicy):
        raise ConfigurationError(f"got {policy!r}; expected a RetrainPolicy")
    return evolve(policy, state=PolicyState())


@frozen
class Either(RetrainPolicy):
    """Asks when one of two policies asks; written `left | right`."""

    left: RetrainPolicy = field(converter=_fresh)
    right: RetrainPolicy = field(converter=_fresh)

    def _wants(self, context: PolicyContext) -> Wish | None:
        wishes = [wish for policy in (self.left, self.right) if (wish := policy._ask(context)) is not None]
        return _together([wish for wish in wishes if wish.held is None] or wishes)


@frozen
class Both(RetrainPolicy):
    """Asks when two policies ask at the same decision; written `left & right`."""

    left: RetrainPolicy = field(converter=_fresh)
    right: RetrainPolicy = field(converter=_fresh)

    def _wants(self, context: PolicyContext) -> Wish | None:
        wishes = [wish for policy in (self.left, self.right) if (wish := policy._ask(context)) is not None]
        return _together(wishes) if len(wishes) == 2 else None


def _together(wishes: list[Wish]) -> Wish | None:
    if not wishes:
        return None
    held = [wish.held for wish in wishes if wish.held is not None]
    episodes = {episode.key: episode for wish in wishes for episode in wish.episodes}
    reasons = dict.fromkeys(wish.reason for wish in wishes)
    return Wish(" and ".join(reasons), tuple(episodes.values()), held[0] if held else None)


def _verdict(failed: list[str], wish: Wish | None) -> tuple[Literal["retrain", "keep", "block"], str]:
    """Return action and reason; the first reason wins: block, cooldown, budget, what the policy wants."""
    wanted = NOTHING if wish is None else f"would have retrained because {wish.reason}"
    if failed:
        batches = "1 batch" if len(failed) == 1 else f"{len(failed)} batches"
        return "block", f"{batches} one would train on failed validation, the newest: {failed[-1]}; {wanted}"
    if wish is None:
        return "keep", NOTHING
    if wish.held is not None:
        return "keep", f"{wish.held}; {wanted}"
    return "retrain", wish.reason


def _listed(reports: Any) -> tuple[Any, ...]:
    several = isinstance(reports, (list, tuple, Iterator))
    return tuple(report for report in (reports if several else [reports]) if report is not None)


def _failed(report: Any) -> bool:
    """Whether this is a failed validation; by its attributes, so that a check of one's own counts as well."""
    return hasattr(report, "failures") and hasattr(report, "passed") and not report.passed


def _words(report: Any) -> str:
    """Return the first line of what a report says; of one that found something, the first finding too."""
    found = getattr(report, "active", False) or _failed(report)
    return "; ".join(_lines(report)[: 2 if found else 1])


def _finding(report: Any) -> str:
    """Return the first finding of a report, below the line that says that there is one."""
    return _lines(report)[:2][-1]


def _lines(report: Any) -> list[str]:
    return [line.strip() for line in str(report).strip().splitlines()] or [type(report).__name__]


def _evidence(reports: tuple[Any, ...]) -> tuple[str, ...]:
    """Return one line from each report; validations that passed are counted when there are several."""
    passed = [report for report in reports if hasattr(report, "failures") and getattr(report, "passed", False)]
    if len(passed) < 2:
        return tuple(_words(report) for report in reports)
    quiet = {id(report) for report in passed}
    spoken = tuple(_words(report) for report in reports if id(report) not in quiet)
    return (f"{len(passed)} batches passed validation", *spoken)


def _span(span: dt.timedelta) -> str:
    if span < dt.timedelta(days=2) and span != dt.timedelta(days=1):
        return str(span)
    return "1 day" if span.days == 1 else f"{span.days} days"


def _when(moment: dt.datetime) -> str:
    midnight = moment.time() == dt.time()
    return (
        moment.date().isoformat() if midnight else moment.isoformat(sep=" ", timespec="minutes").removesuffix("+00:00")
    )
