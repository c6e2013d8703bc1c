"""What each stage of the loop costs, beside a floor measured in the same run: read the ratios, not the milliseconds.

python benchmarks/loop.py
"""

import io
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

import mlopskit as mk

ROWS, NUMBERS, TEXTS = 1_000, 15, 5


def make(rng: np.random.Generator, n_days: int) -> pd.DataFrame:
    n = n_days * ROWS
    data: dict[str, object] = {f"x{i}": rng.normal(size=n) for i in range(NUMBERS)}
    data |= {f"c{i}": rng.choice(list("abcdefgh"), n) for i in range(TEXTS)}
    frame = pd.DataFrame(data)
    return frame.assign(day=np.repeat(np.arange(n_days), ROWS), y=(frame["x0"] + rng.normal(size=n) > 0).astype(int))


def best(call: Callable[[], object], repeats: int = 15) -> float:
    """Return the median time of a call in milliseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1e3)


def by_hand(batch: pd.DataFrame, limits: pd.DataFrame, levels: dict[str, set[str]]) -> int:
    """Check nulls, limits and levels as one would by hand."""
    bad = batch.isna().any(axis=1).to_numpy().copy()
    for name in limits:
        values = batch[name].to_numpy()
        bad |= (values < limits[name]["min"]) | (values > limits[name]["max"])
    for name, known in levels.items():
        bad |= ~batch[name].isin(known).to_numpy()
    return int(bad.sum())


def main() -> None:
    rng = np.random.default_rng(0)
    history = make(rng, 60)
    features = [c for c in history.columns if c not in ("day", "y")]
    numbers = [f for f in features if f.startswith("x")]
    batches = [batch for _, batch in make(rng, 40).assign(day=lambda d: d["day"] + 60).groupby("day")]
    batch = batches[0]
    folder = Path(tempfile.mkdtemp())

    validator = mk.DataValidator().fit(history[features])
    limits = history[numbers].agg(["min", "max"])
    levels = {c: set(history[c]) for c in features if c.startswith("c")}
    binning = mk.Binning.fit(history[features])
    drift = mk.DriftDetector(features=features).fit(history, batch="day")
    model = HistGradientBoostingClassifier(max_iter=50).fit(history[numbers], history["y"])
    registry = mk.ModelRegistry(folder / "registry")
    version = registry.register("m", model, example=batch[numbers].head())
    registry.promote(version, alias="champion", reason="benchmark")
    live = mk.Deployment(registry, "m", log=mk.PredictionLog(folder / "log.db"))
    logged = itertools.count()
    stream = iter(batches)

    rows = [
        ("validate a batch", lambda: validator.validate(batch[features]), "the same rules by hand",
         lambda: by_hand(batch[features], limits, levels)),
        ("profile a batch", lambda: binning.profile(batch), "np.sort of its numbers",
         lambda: [np.sort(batch[c].to_numpy()) for c in numbers]),
        ("drift.update, 60 batches and more", lambda: drift.update(next(stream)), "np.sort of its numbers",
         lambda: [np.sort(batch[c].to_numpy()) for c in numbers]),
        ("live.predict with log", lambda: live.predict(batch, ids=list(itertools.islice(logged, ROWS))),
         "bare model call", lambda: model.predict_proba(batch[numbers])),
        ("registry.register", lambda: registry.register("m", model, example=batch[numbers].head()), "joblib.dump",
         lambda: joblib.dump(model, io.BytesIO())),
        ("registry.load", lambda: registry.load("m:1"), "joblib.dump", lambda: joblib.dump(model, io.BytesIO())),
    ]  # fmt: skip
    print(f"{ROWS} rows, {NUMBERS} numeric and {TEXTS} text columns a batch; medians of 15")
    print("| stage | ms | floor | ms | ratio |\n|---|---|---|---|---|")
    for name, call, floor_name, floor in rows:
        took, least = best(call), best(floor)
        print(f"| {name} | {took:.2f} | {floor_name} | {least:.2f} | {took / least:.1f} |")


if __name__ == "__main__":
    main()
