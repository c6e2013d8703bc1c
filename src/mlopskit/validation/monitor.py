"""Failures over time: a share of bad rows is an alarm only where it is more than usual.

Each rule of the schema is a question, and so are the rows that break any error rule. The share of rows that break a
rule is ranked among the shares of all batches so far; where batches are exchangeable the ranks are uniform and
independent, whatever share is usual, and bets against that make an alarm a matter of evidence: `RankBets` on each
question, joined by the union bound with half of the weight on the rows that break any rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import cmp_using, define, evolve, field, frozen, setters
from numpy.typing import NDArray

from mlopskit import formats
from mlopskit.errors import ConfigurationError, DataError, StateMismatch
from mlopskit.evidence import Dial, Episodes, Evidence, MonitorReport
from mlopskit.schema import RULES, Schema
from mlopskit.stats.sequential import RankBets, log_union, smoothed_rank
from mlopskit.validation.findings import Findings
from mlopskit.validation.reports import ValidationReport

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

ANY = ("", "any error rule")
"""The question of the rows that break any rule of severity error."""
_SHOWN = 3


def _floats(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


@frozen
class ValidationState:
    """What the monitor remembers: the share of each question in each batch, and the evidence.

    Parameters
    ----------
    config
        Hash of the configuration it was made under.
    shares
        Shape (n_batches, n_questions): the shares of rows that broke each rule, of the batches that are compared.
    bets
        The evidence of each question.
    n_batches
        Batches since the evidence last started from zero.
    episodes
        Batches seen, and the open alarm, if any.
    """

    config: str
    shares: Floats = field(converter=_floats, eq=cmp_using(eq=np.array_equal), repr=False)
    bets: RankBets
    n_batches: int = 0
    episodes: Episodes = field(factory=Episodes)


@frozen
class ValidationMonitorReport(MonitorReport):
    """What a batch adds to the failures so far; `print(report)` answers in words.

    Parameters
    ----------
    batch_id, alarm, since, evidence
        As of every monitor's report.
    strongest
        The questions with the most evidence: column, check, share of rows in this batch, mean share before, evidence.
    """

    batch_id: str
    alarm: bool
    since: str | None
    evidence: Evidence
    strongest: tuple[tuple[str, str, float, float, float], ...]
    monitor: str = "validation"

    def to_frame(self) -> pd.DataFrame:
        """Return the questions with the most evidence, one row each."""
        import pandas as pd

        return pd.DataFrame(list(self.strongest), columns=["column", "check", "share", "usual_share", "evidence"])

    def __str__(self) -> str:
        head = "alarm: more rows break rules than usual" if self.alarm else "no alarm"
        if self.active and not self.alarm:
            head = f"the alarm of {self.since} is still open"
        words = [
            f"{f'{column}: ' if column else ''}{check}: {share:.2%} of rows, {usual:.2%} before"
            for column, check, share, usual, _ in self.strongest
        ]
        return "\n".join([f"{self.batch_id}: {head}; {self.evidence}", *(words if self.active else [])])


@define(on_setattr=setters.frozen, eq=False)
class ValidationMonitor(formats.Stored):
    """Watches how many rows break each rule, batch after batch; made by `DataValidator.monitor`.

    It needs no reference: the batches so far are what is usual. The promise, P(first false alarm within T batches)
    <= T/L, rests on batches that are exchangeable while all is well, whatever their failure rates: of one size, or of
    sizes that come in no order. Weekends with batches a tenth of the size are an order.

    Parameters
    ----------
    schema
        The rules.
    checks
        Names of the custom checks.
    false_alarm_every, alpha, horizon
        The false-alarm budget in batches, or `alpha` over a `horizon`; by default one in 365 batches.
    random_state
        Seed of the draws that break ties between ranks; replays are exact.
    state
        What was seen so far.

    Raises
    ------
    ConfigurationError
        When the dial cannot work.
    StateMismatch
        When the state was made under another configuration.

    Examples
    --------
    >>> from mlopskit.validation import DataValidator
    >>> validator = DataValidator().fit({"origin": ["JFK", "EWR"] * 100})
    >>> monitor = validator.monitor(false_alarm_every=100)
    >>> for day in range(40):                                   # from day 30 on many rows hold an unknown level
    ...     batch = {"origin": ["JFK"] * 98 + ["LGA"] * (2 if day < 30 else 9)}
    ...     report = monitor.update(validator.validate(batch), batch_id=f"day {day}")
    >>> report.since
    'day 31'
    """

    schema: Schema = field(repr=False)
    checks: tuple[str, ...] = field(default=(), converter=_names)
    false_alarm_every: float | None = field(default=None, kw_only=True)
    alpha: float | None = field(default=None, kw_only=True)
    horizon: int | None = field(default=None, kw_only=True)
    random_state: int = field(default=0, kw_only=True)
    state: ValidationState = field(kw_only=True, repr=False, on_setattr=setters.NO_OP)

    @state.default
    def _nothing_seen(self) -> ValidationState:
        n = len(self.questions)
        return ValidationState(self._config(), np.zeros((0, n)), RankBets.start([False] * n))

    def __attrs_post_init__(self) -> None:
        if ANY[1] in self.checks:
            raise ConfigurationError(f"a check is named {ANY[1]!r}, as the monitor's own question: rename the check")
        if (
            isinstance(self.random_state, bool)
            or not isinstance(self.random_state, int)
            or not 0 <= self.random_state < 2**64
        ):
            raise ConfigurationError(f"random_state={self.random_state!r}: expected an integer from 0 to 2**64 - 1")
        if self.state.config != self._config():
            raise StateMismatch(
                "this state was made under another configuration: turning a dial after seeing data voids the promise"
            )

    @property
    def questions(self) -> tuple[tuple[str, str], ...]:
        """Column and check of each question; the first asks for the rows that break any error rule."""
        columns = [(spec.name, rule) for spec in self.schema.columns for rule in RULES]
        keys = [(", ".join(key), "unique") for key in self.schema.unique]
        return (ANY, *columns, *keys, *(("", name) for name in self.checks))

    @property
    def _dial(self) -> Dial:
        return Dial.of(self.false_alarm_every, self.alpha, self.horizon)

    def _config(self) -> str:
        asked = [self.schema, list(self.checks), self._dial.limit, self.random_state]
        return formats.config_hash({"monitor": "validation", "asked": asked})

    def update(self, report: ValidationReport, *, batch_id: str | None = None) -> ValidationMonitorReport:
        """Add what a validator found in the next batch.

        Parameters
        ----------
        report
            What this monitor's validator said of the batch.
        batch_id
            The batch's name; numbered where there is none.

        Raises
        ------
        DataError
            When the report is of a batch without rows, or by a validator with other rules.
        DuplicateBatch
            When the id was seen before.
        """
        state = self.state
        name = state.episodes.next_id(batch_id)
        shares = np.vstack([state.shares, self._shares(report)])
        rng = np.random.Generator(np.random.Philox(key=[self.random_state, len(state.episodes.seen)]))
        bets = state.bets.update(smoothed_rank(shares, rng.random(shares.shape[1])), len(shares))
        log_m = bets.log_values()
        log_value, log_limit = float(log_union(log_m, self._weights).max()), float(np.log(self._dial.limit))
        evidence = Evidence(log_value, log_limit, state.n_batches + 1, self._dial.promise)
        strongest = self._strongest(shares, log_m)
        reason = "; ".join(f"{column}: {check}" if column else check for column, check, *_ in strongest)
        episodes, alarm = state.episodes.step(name, over_limit=evidence.exceeded, reason=reason)
        self.state = evolve(state, shares=shares, bets=bets, n_batches=state.n_batches + 1, episodes=episodes)
        return ValidationMonitorReport(name, alarm, episodes.since, evidence, strongest)

    @property
    def _weights(self) -> Floats:
        rest = len(self.questions) - 1
        return np.array([0.5, *[0.5 / rest] * rest]) if rest else np.ones(1)

    def _strongest(self, shares: Floats, log_m: Floats) -> tuple[tuple[str, str, float, float, float], ...]:
        before = shares[:-1].mean(axis=0) if len(shares) > 1 else np.zeros(shares.shape[1])
        more = np.flatnonzero(shares[-1] > before)
        order = more[np.argsort(-log_m[more], kind="stable")][:_SHOWN]
        evidence = np.exp(np.minimum(log_m, 700.0))
        return tuple(
            (*self.questions[i], float(shares[-1, i]), float(before[i]), float(evidence[i])) for i in order.tolist()
        )

    def _shares(self, report: ValidationReport) -> Floats:
        if report.basis is None or report.basis.schema != self.schema or not report.n_rows:
            raise DataError(
                "expected what this monitor's validator said of a batch with rows: validator.validate(batch)"
            )
        found: Findings = report.basis.found
        rows: dict[tuple[str, str], NDArray[np.int64]] = {}
        bad = np.zeros(report.n_rows, dtype=bool)
        severity = {check.name: check.severity for check in report.basis.checks}
        for (kind, column, check), broken in found.broken.items():
            if kind == "frame":
                continue
            question = ("", str(column)) if kind == "custom" else (str(column), check)
            rows[question] = np.union1d(rows.get(question, broken.rows), broken.rows)
            is_error = self.schema[str(column)].severity_of(check) if kind == "column" else severity.get(str(column))
            if is_error != "warning":
                bad[broken.rows] = True
        counts = [bad.sum(), *(len(rows.get(question, ())) for question in self.questions[1:])]
        return _floats(counts) / report.n_rows

    def acknowledge(self, reason: str = "") -> None:
        """Close the open episode: the evidence starts from zero, what was seen stays what is usual."""
        self._restart("acknowledged", reason, self.state.shares)

    def rebase(self, reason: str = "") -> None:
        """Close the open episode and forget what was usual: the coming batches say it anew."""
        self._restart("rebased", reason, self.state.shares[:0])

    def _restart(self, kind: Any, reason: str, shares: Floats) -> None:
        bets = RankBets.start([False] * len(self.questions))
        episodes = self.state.episodes.close(kind, reason)
        self.state = evolve(self.state, shares=shares, bets=bets, n_batches=0, episodes=episodes)
