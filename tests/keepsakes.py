"""What a user keeps on disk, made small: files of `tests/data/protocol-N` that every later release has to read.

`python tests/keepsakes.py` writes the folder of the protocol that this release writes. Files of an older protocol are
never written again.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import mlopskit as mk
from mlopskit import formats

DATA = Path(__file__).parent / "data"
NOW = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
KINDS = {
    "schema": mk.Schema,
    "binning": mk.Binning,
    "profile": mk.Profile,
    "drift-batches": mk.DriftDetector,
    "drift-rows": mk.DriftDetector,
    "drift-band": mk.DriftDetector,
    "performance": mk.PerformanceMonitor,
    "bias": mk.BiasMonitor,
    "policy": mk.RetrainPolicy,
}


def visits(seed: int, n: int = 60) -> pd.DataFrame:
    """Numbers, text with gaps, times and truth values, the same on every machine."""
    rng = np.random.default_rng(seed)
    wait = rng.integers(0, 400, n) / 8
    return pd.DataFrame(
        {
            "wait": wait,
            "kind": np.where(rng.random(n) < 0.1, None, rng.choice(["a", "b", "c"], n)),
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 86_400, n), unit="s"),
            "first": rng.random(n) < 0.5,
            "late": wait + rng.integers(0, 100, n) / 8 > 30,
        }
    )


def made() -> dict[str, Any]:
    """Return one object of each kind."""
    days = [visits(i) for i in range(12)]
    whole = pd.concat(days, ignore_index=True)
    binning = mk.Binning.fit(whole, pairs=True)
    late = whole["late"].to_numpy(dtype=float)
    performance = mk.PerformanceMonitor("brier_score", false_alarm_every=100).fit(
        late, np.full(len(late), 0.5), batch=np.repeat(np.arange(12), 60)
    )
    bias = mk.BiasMonitor(sensitive_features=["kind"], metrics=["selection_rate"], min_rows=10)
    for day in days[:3]:
        bias.update(day[["kind"]].fillna("none"), day["late"].to_numpy())
    policy = (mk.OnAlarm() | mk.Every("30D")).with_cooldown("3D").with_budget(8, per="30D")
    policy.decide([], version=None, now=NOW)
    return {
        "schema": mk.DataValidator(unique=["at"]).fit(visits(99, 20).drop_duplicates("at")).schema,
        "binning": binning,
        "profile": binning.profile(days[0], batch_id="first"),
        "drift-batches": _started(mk.DriftDetector(false_alarm_every=50, strata="first").fit(days), days),
        "drift-rows": _started(mk.DriftDetector(false_alarm_every=50).fit(whole.drop(columns="at")), days),
        "drift-band": _started(mk.DriftDetector(tolerance=0.1).fit(whole), days),
        "performance": performance,
        "bias": bias,
        "policy": policy,
    }


def _started(detector: mk.DriftDetector, days: list[pd.DataFrame]) -> mk.DriftDetector:
    for day in days[:2]:
        detector.update(day)
    return detector


def answers(kept: dict[str, Any]) -> dict[str, Any]:
    """Return what the objects say next: numbers and texts that have to stay the same."""
    batch = visits(1_000)
    validation = mk.DataValidator(schema=kept["schema"]).validate(batch)
    profile = kept["profile"] + kept["binning"].profile(batch)
    late = batch["late"].to_numpy()
    decision = kept["policy"].decide([], version=None, now=NOW + dt.timedelta(days=1))
    return {
        "schema": [validation.passed, [[f.column, f.check, f.n_failed] for f in validation.failures]],
        "profile": [len(profile), [c.counts.tolist() for c in profile.columns], profile.concordant.tolist()],
        **{name: kept[name].update(batch).evidence.log_value for name in kept if name.startswith("drift")},
        "performance": kept["performance"].update(late.astype(float), np.full(len(late), 0.3)).evidence.log_value,
        "bias": kept["bias"].update(batch[["kind"]].fillna("none"), late).evidence.log_value,
        "policy": [decision.action, decision.reason],
    }


def read(folder: Path) -> dict[str, Any]:
    """Return the objects of a folder from their text."""
    return {name: kind.from_json((folder / f"{name}.json").read_text()) for name, kind in KINDS.items()}


def read_bytes(folder: Path) -> dict[str, Any]:
    """Return those that have a binary form, read from it."""
    return {path.stem: KINDS[path.stem].from_bytes(path.read_bytes()) for path in sorted(folder.glob("*.npz"))}


def registry_at(folder: Path) -> mk.ModelRegistry:
    """Make a registry of two versions, an alias that moved, a note, a file, and a version that is retired."""
    registry = mk.ModelRegistry(folder)
    X, y = visits(5)[["wait"]], visits(5)["late"]
    for i, strength in enumerate([1.0, 0.1, 0.01]):
        registry.register(
            "late",
            LogisticRegression(C=strength).fit(X, y),
            example=X.head(3),
            metrics={"auc": 0.5 + i / 10},
            tags={"team": "blue"},
            files={"notes.txt": b"kept beside the model"},
            now=NOW + dt.timedelta(days=i),
        )
    registry.promote("late:1", alias="champion", reason="first", now=NOW)
    registry.promote("late:2", alias="champion", reason="better", now=NOW + dt.timedelta(days=2))
    registry.annotate("late:1", "kept for the audit", now=NOW + dt.timedelta(days=2))
    registry.retire("late:3", reason="never used", now=NOW + dt.timedelta(days=3))
    return registry


def write() -> None:
    """Write the folder of this protocol anew."""
    folder = DATA / f"protocol-{formats.PROTOCOL}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kept = made()
    for name, value in kept.items():
        (folder / f"{name}.json").write_text(value.to_json())
        if name in ("profile", "drift-batches", "drift-rows"):
            (folder / f"{name}.npz").write_bytes(value.to_bytes())
    registry_at(folder / "registry")
    (folder / "answers.json").write_text(json.dumps(answers(kept), indent=1))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    write()
    print(sum(p.stat().st_size for p in DATA.rglob("*") if p.is_file()), "bytes", file=sys.stderr)
