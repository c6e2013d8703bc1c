"""What happened in the year: collected day by day, printed at the end, progress on stderr."""

import sys
import time

import numpy as np
import pandas as pd

CLIP = 0.01
LOUD = ("validation", "drift alarm", "performance alarm", "bias alarm")
COUNTED = {
    "failed": "validation",
    "drift": "drift alarm",
    "blocked": "block",
    "asked": "retrain",
    "promoted": "promoted",
    "refused": "refused",
}


def log_loss(y, p) -> np.ndarray:
    """Return the loss of each row, probabilities clipped to [0.01, 0.99]."""
    p = np.clip(p, CLIP, 1 - CLIP)
    return -np.where(np.asarray(y, dtype=bool), np.log(p), np.log1p(-p))


class Diary:
    """Collects the numbers of every day, and a line for each day on which something happened."""

    def __init__(self) -> None:
        self.days: dict[pd.Timestamp, dict[str, float]] = {}
        self.events: list[tuple[pd.Timestamp, str, str]] = []
        self.ending = ""
        self.began = time.monotonic()

    def note(self, day: pd.Timestamp, kind: str, text: str) -> None:
        """Remember that something happened."""
        self.events.append((day, kind, text))

    def batch(self, day: pd.Timestamp, report, n_rows: int, n_bad: int, *, tested: bool) -> None:
        """Remember a day's rows, whether they passed, and whether drift has a reference for them; show progress."""
        self.days[day] = {"rows": n_rows, "quarantined": n_bad, "tested": tested}
        if not report.passed:
            errors = [f.message for f in report.failures if f.severity == "error"]
            self.note(day, "validation", "; ".join(errors))
        if day.day in (1, 15):
            print(f"{day:%Y-%m-%d}  after {time.monotonic() - self.began:4.0f} s", file=sys.stderr, flush=True)

    def losses(self, day: pd.Timestamp, live: np.ndarray, never: np.ndarray) -> None:
        """Remember the loss of each labelled row of a day, of the live and of the never-retrained model."""
        self.days[day] |= {"labelled": len(live), "live": live.sum(), "never": never.sum()}

    def alarms(self, day: pd.Timestamp, reports) -> None:
        """Remember the reports that raised an alarm."""
        for report in reports:
            if report.alarm:
                self.note(day, f"{report.monitor} alarm", str(report))

    def decision(self, day: pd.Timestamp, decision) -> None:
        """Remember a decision that is more than to keep the model."""
        if decision.action != "keep":
            self.note(day, decision.action, decision.reason)

    def finish(self, decisions, history) -> None:
        """Remember what the policy and the registry remember."""
        counts = pd.Series([d.action for d in decisions]).value_counts()
        recorded = ", ".join(f"{n} {action}" for action, n in counts.items())
        self.ending = f"{len(decisions)} decisions recorded: {recorded}\n\nWhat the registry remembers\n{history}"

    def moments(self, kind: str) -> list[pd.Timestamp]:
        """Return the days on which something of this kind happened."""
        return [day for day, what, _ in self.events if what == kind]

    def frame(self) -> pd.DataFrame:
        """Return one row per day, with the mean losses of its labelled rows."""
        days = pd.DataFrame.from_dict(self.days, orient="index").rename_axis("day")
        return days.assign(live=days["live"] / days["labelled"], never=days["never"] / days["labelled"])

    def tell(self) -> None:
        """Print the quiet first, then what happened day by day, then the year by month."""
        loud = {day for day, kind, _ in self.events if kind in LOUD}
        tested = sum(numbers["tested"] for numbers in self.days.values())
        print(f"{len(self.days) - len(loud)} of {len(self.days)} days passed without an alarm or a failed validation.")
        print(f"Drift compared {tested} days in every feature; on the others some were learning a new reference.\n")
        for day, kind, text in self.events:
            first, *rest = text.splitlines()
            print(f"{day:%Y-%m-%d}  {kind:<18} {first}")
            for line in rest:
                print(f"{'':30} {line.strip()}")
        print("\nThe year by month (log-loss: mean over the labelled rows)")
        print(self.by_month().to_string())
        print(f"\n{self.ending}")

    def by_month(self) -> pd.DataFrame:
        """Return the table of the year, with a total."""
        days = pd.DataFrame.from_dict(self.days, orient="index")
        parts = {**dict(list(days.groupby(days.index.strftime("%Y-%m")))), "total": days}
        return pd.DataFrame([self._month(name, part) for name, part in parts.items()]).set_index("month")

    def _month(self, name: str, part: pd.DataFrame) -> dict[str, object]:
        kinds = [kind for day, kind, _ in self.events if name in ("total", f"{day:%Y-%m}")]
        total = part.sum()
        return {
            "month": name,
            "rows": int(total["rows"]),
            "quarantined": int(total["quarantined"]),
            **{label: kinds.count(kind) for label, kind in COUNTED.items()},
            "live": f"{total['live'] / total['labelled']:.4f}",
            "never": f"{total['never'] / total['labelled']:.4f}",
        }
