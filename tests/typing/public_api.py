"""What a type checker sees of the public names; read by mypy, never run."""

import datetime as dt
from typing import Any, assert_type

import mlopskit as mk
from mlopskit.monitoring.drift_reports import DriftCalibration
from mlopskit.monitoring.resolution import Resolution


def validate(frame: Any) -> None:
    validator = mk.DataValidator(tolerance=0.0, unique=["id"]).fit(frame)
    assert_type(validator, mk.DataValidator)
    report = validator.validate(frame)
    assert_type(report, mk.ValidationReport)
    assert_type(report.passed, bool)
    assert_type(mk.Schema.from_json("{}"), mk.Schema)


def profile(frame: Any) -> None:
    profile = mk.Binning.fit(frame).profile(frame)
    assert_type(profile, mk.Profile)
    assert_type(profile + profile, mk.Profile)
    assert_type(mk.Profile.from_json(profile.to_json()), mk.Profile)


def train(frame: Any, estimator: Any) -> mk.Candidate:
    cv = mk.TimeSplit(n_splits=4, gap="2D")
    trainer = mk.Trainer(estimator, target="late", time="day", scoring=["roc_auc"], cv=cv, slices=["carrier"])
    candidate = trainer.train(frame)
    assert_type(candidate, mk.Candidate)
    assert_type(candidate.predict(frame), mk.Predictions)
    assert_type(candidate.card(), str)
    return candidate


def keep(frame: Any, candidate: mk.Candidate, now: dt.datetime) -> None:
    registry = mk.ModelRegistry("registry")
    version = registry.register("late-flights", candidate, now=now)
    assert_type(version, mk.ModelVersion)
    registry.promote(version, alias="champion", reason="first model", now=now)
    registry.rollback("late-flights", alias="champion", reason="worse")
    assert_type(registry.get("late-flights@champion"), mk.ModelVersion)
    assert_type(registry.load("late-flights:3").predict(frame), mk.Predictions)
    gate = mk.NonInferior("neg_log_loss", margin=0.005) & mk.MinScore("roc_auc", 0.65)
    assert_type(gate, mk.Gate)
    assert_type(gate.evaluate(candidate, None, frame), mk.GateReport)
    live = mk.Deployment(registry, "late-flights", log=mk.PredictionLog("predictions.db"))
    assert_type(live.predict(frame, ids=["a"], now=now), mk.Predictions)


class Highest(mk.DriftStatistic):
    name = "highest fare"

    def score(self, profile: mk.Profile) -> float:
        return profile["fare"].high or 0.0


def watch(frame: Any, y: Any, version: mk.ModelVersion) -> None:
    drift = mk.DriftDetector(false_alarm_every=365).fit(frame, batch="day")
    assert_type(drift, mk.DriftDetector)
    drift_report = drift.update(frame, batch_id="2013-03-01")
    assert_type(drift_report, mk.DriftReport)
    assert_type(drift_report.since, str | None)
    assert_type(drift.resolution(1_000), Resolution)
    assert_type(drift.calibrate([frame]), DriftCalibration)
    own = mk.DriftDetector(strata="hour", statistics=[Highest()]).fit([frame, frame])
    assert_type(mk.DriftDetector.from_json(own.to_json(), statistics=[Highest()]), mk.DriftDetector)
    domain = mk.DomainDetector(false_alarm_every=365).fit(frame)
    assert_type(domain.update(frame, batch_id="2013-03-01"), mk.DomainReport)
    for batch in mk.Batcher(period="1D", time="at").add(frame):
        assert_type(drift.update(batch.frame, batch_id=batch.batch_id), mk.DriftReport)
    performance = mk.PerformanceMonitor("log_loss", tolerance=0.02, false_alarm_every=365).fit(y, y, batch=y)
    assert_type(performance.update(y, y), mk.PerformanceReport)
    bias = mk.BiasMonitor(sensitive_features=["sex"], metrics=["selection_rate", "tpr"])
    assert_type(bias.update(frame, y, y_true=y), mk.BiasReport)
    policy = (mk.OnAlarm() | mk.MaxAge("90D")).with_cooldown("3D").with_budget(8, per="30D")
    assert_type(policy.decide([drift_report], version=version), mk.Decision)
