"""What a drift detector answers: whether there is an alarm, which features changed, how, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import frozen
from scipy.stats import binom

from mlopskit.display.words import percent
from mlopskit.evidence import Evidence, MonitorReport, Report

if TYPE_CHECKING:
    import pandas as pd

Null: TypeAlias = Literal["batches", "rows"]
CLEAR = 0.01  # so rarely may as many random orders alarm where the promise holds
RARE = 0.05  # so rarely may a random order alarm where the order as it came is to blame


@frozen
class FeatureDrift:
    """How far one feature lies from the reference in this batch.

    Parameters
    ----------
    name
        The feature, or "a ~ b" for the relation of two.
    effect_size
        Cohen's h of the share that changed most, signed: 0.2 is small, 0.5 medium, 0.8 large. NaN for a statistic of
        your own.
    message
        That share in plain words.
    n_batches
        Over how many of the newest batches the change is described: the length over which it stands out most.
    strength
        What the features are ordered by: robust standard deviations from the other batches (batches null), or the log
        evidence against the feature (rows null).
    over_limit
        Whether a question about this feature alone is over the alarm limit.
    began
        The batch in which the change probably began: the start over which it stands out most; None where it cannot be
        told.
    """

    name: str
    effect_size: float
    message: str
    n_batches: int
    strength: float
    over_limit: bool
    began: str | None = None


@frozen
class DriftReport(MonitorReport):
    """Whether the data of a batch are still those of the reference.

    Parameters
    ----------
    batch_id, alarm, since, evidence
        As in every monitor's report.
    features
        All features, the strongest first.
    n_rows
        Rows of the batch.
    null
        What was assumed to vary while all is well: "batches" or "rows".
    notes
        What was done to the batch, and what weakens the promise, in words.
    """

    batch_id: str
    alarm: bool
    since: str | None
    evidence: Evidence
    features: tuple[FeatureDrift, ...]
    n_rows: int
    null: Null
    notes: tuple[str, ...] = ()
    monitor: str = "drift"

    def __str__(self) -> str:
        state = "ALARM" if self.alarm else (f"episode open since {self.since}" if self.active else "no alarm")
        lines = [f"drift in {self.batch_id}: {state}; {self.evidence}"]
        lines += [f"  {f.name}: {f.message}" for f in self.features[: 3 if self.active else 0]]
        if self.alarm and self.began is not None:
            lines.append(f"  probably since {self.began}")
        lines.append(f"  assumed: {self.null} vary while all is well")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    @property
    def began(self) -> str | None:
        """The batch in which the strongest feature's change probably began."""
        return self.features[0].began if self.features else None

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each feature, the strongest first."""
        import attrs
        import pandas as pd

        names = [a.name for a in attrs.fields(FeatureDrift)]
        return pd.DataFrame([[getattr(f, n) for n in names] for f in self.features], columns=names)

    def _bars(self) -> dict[str, Any]:
        shown = self.features[:12]
        return {
            "title": f"Drift in {self.batch_id}",
            "labels": [f.name for f in shown],
            "values": [f.effect_size for f in shown],
            "xlabel": "effect size (Cohen's h)",
            "limit": None,
        }


@frozen
class DriftCalibration(Report):
    """What a detector would have said of batches that are known to be in control.

    Parameters
    ----------
    n_batches
        How many there were.
    first_alarm
        Position of the batch that raised an alarm in the order in which they came, or None.
    shuffled
        For each random order whether there was an alarm.
    bound
        The promise: the probability of an alarm within so many batches is at most this.
    """

    n_batches: int
    first_alarm: int | None
    shuffled: tuple[bool, ...]
    bound: float

    @property
    def share_shuffled(self) -> float:
        """Share of random orders with an alarm."""
        return sum(self.shuffled) / len(self.shuffled)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for the order in which the batches came, and one for the random orders."""
        import pandas as pd

        rows = [
            ["as they came", 1, float(self.first_alarm is not None), self.bound],
            ["shuffled", len(self.shuffled), self.share_shuffled, self.bound],
        ]
        return pd.DataFrame(rows, columns=["order", "n_orders", "share_with_alarm", "bound"])

    def __str__(self) -> str:
        came = (
            "no alarm" if self.first_alarm is None else f"an alarm at batch {self.first_alarm + 1} of {self.n_batches}"
        )
        shuffled = (
            f"{percent(self.share_shuffled)} of {len(self.shuffled)} random orders (promised: {percent(self.bound)})"
        )
        n_alarms = sum(self.shuffled)
        if binom.sf(n_alarms - 1, len(self.shuffled), self.bound) < CLEAR:
            verdict = "these batches differ from the reference as a whole: give it more of their kind, or strata="
        elif self.first_alarm is not None and (n_alarms + 1) / (len(self.shuffled) + 1) <= RARE:
            verdict = "batches follow one another, so that alarms will be false: use longer batches, or strata="
        elif self.first_alarm is not None:
            verdict = "no more alarms than promised on these batches"
        else:
            verdict = "the promise holds on these batches"
        return f"{self.n_batches} batches in control: {came} as they came, in {shuffled}; {verdict}"
