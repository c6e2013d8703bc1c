"""A model kept right for a year: which flights from New York arrive more than 15 minutes late.

January and February 2013 are the reference. Then the year passes day by day: each batch is validated, predicted and
watched for drift; its labels come two days later; each evening a policy decides whether to train a challenger, and a
gate whether it may replace the champion. From 5 to 14 August the departure hours arrive in UTC, and nobody says so.
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

import mlopskit as mk

from diary import Diary, log_loss
from flights import FAULT, FEATURES, cost_unnoticed, load, make_model, with_fault
from picture import draw

DAY = pd.Timedelta("1D")


def keep_right(year: pd.DataFrame, folder: Path, diary: Diary) -> None:
    start = pd.Timestamp("2013-03-01")
    days = dict(list(year.groupby("day")))
    winter = year[year["day"] < start]
    known = winter.dropna(subset="late")
    january, february = known[known["day"] < "2013-02-01"], known[known["day"] >= "2013-02-01"]

    # What the data should look like, how a model is trained, and what counts as drift, harm and bias.
    validator = mk.DataValidator(unique=["id"]).fit(winter.drop(columns="late"))
    cv, scoring = mk.TimeSplit(2, gap="2D"), ["neg_log_loss", "roc_auc"]
    trainer = mk.Trainer(make_model(), target="late", time="day", features=FEATURES, scoring=scoring, cv=cv)
    drift = mk.DriftDetector(features=[f for f in FEATURES if f != "weekday"]).fit(winter, batch="day")
    trial = trainer.train(january).predict(february)
    performance = mk.PerformanceMonitor("log_loss", tolerance=0.02)
    performance.fit(february["late"], trial.scores, batch=february["day"])
    diary.note(start, "resolution", str(performance.resolution()))
    bias = mk.BiasMonitor(["origin"], metrics=["selection_rate", "calibration_gap"], tolerance=0.05)

    # When to train a challenger, and when it may replace the champion.
    policy = (mk.OnAlarm("drift") | mk.MaxAge("90D")).with_cooldown("21D").with_budget(10, per="365D")
    gate = mk.NonInferior("neg_log_loss", margin=0.01) & mk.MinScore("roc_auc", 0.6)

    # The first model.
    registry = mk.ModelRegistry(folder / "registry")
    first = registry.register("late-flights", trainer.train(known), now=start)
    registry.promote(first, alias="champion", reason="first model", now=start)
    never = registry.load("late-flights:1")
    live = mk.Deployment(registry, "late-flights", log=mk.PredictionLog(folder / "predictions.db"))

    checks, served = {}, {}
    good = {day: batch for day, batch in days.items() if day < start}
    for day in pd.date_range(start, max(days)):
        now, ripe = day + pd.Timedelta("23h"), day - 2 * DAY
        batch = with_fault(days[day])

        # Validate, predict, and watch what came in.
        checks[day] = validator.validate(batch.drop(columns="late"), now=now)
        good[day], bad = checks[day].split(batch)
        served[day] = live.predict(good[day], ids=good[day]["id"], times=good[day]["day"], now=now).version
        diary.batch(day, checks[day], len(batch), len(bad), tested=not drift.state.rebasing)
        repaired = checks[day].passed and day - DAY in checks and not checks[day - DAY].passed
        if repaired:
            drift.acknowledge("the feed is right again")
        reports = []
        if checks[day].passed or not drift.state.rebasing:  # a broken day is no reference
            reports.append(drift.update(batch, batch_id=day))

        # The labels of two days ago have come: how good were the answers, and for whom?
        if ripe >= start:
            truth = good[ripe].dropna(subset="late")
            live.log.record_labels(truth["id"], truth["late"], now=now)
            known = live.log.labelled(since=ripe, until=ripe + DAY)
            origin = truth.set_index("id").loc[known["id"], ["origin"]]
            reports.append(performance.update(known["y"], known["score"], batch_id=ripe))
            reports.append(bias.update(origin, known["value"], known["y"], y_score=known["score"], batch_id=ripe))
            losses = log_loss(known["y"], known["score"]), log_loss(truth["late"], never.predict(truth).scores)
            diary.losses(ripe, *losses)
        diary.alarms(day, reports)

        # Decide. Failed days are left out once the feed is right again; until then nobody trains on what it sends.
        usable = [d for d in good if d <= ripe and (d < start or checks[d].passed or not checks[day].passed)]
        upon = [checks[d] for d in [*usable, day] if d in checks]
        decision = policy.decide([*upon, *reports], version=live.version, now=now)
        diary.decision(day, decision)
        if decision.action != "retrain":
            continue

        # Train on all but the last 14 days; the gate compares on those of them that the champion has not seen either.
        rows = pd.concat([good[d] for d in usable]).dropna(subset="late")
        recent = rows["day"].isin(usable[-14:])
        unseen = rows["day"] > live.version.trained_until.replace(tzinfo=None)
        challenger = trainer.train(rows[~recent])
        verdict = gate.evaluate(challenger, registry.load("late-flights@champion"), rows[recent & unseen])
        version = registry.register("late-flights", challenger, tags={"gate": verdict.verdict}, now=now)
        if verdict.passed:
            registry.promote(version, alias="champion", reason=decision.reason, now=now)
        diary.note(day, "promoted" if verdict.passed else "refused", f"{version.spec}; {verdict}")
        if drift.state.episodes.active:
            drift.rebase("the model has been reconsidered", n_batches=14)

    diary.note(day, "bias by airport", f"{reports[-1]}\n{reports[-1].to_frame()[['group', 'metric', 'mean_gap']]}")
    diary.note(day, "cost of the fault", cost_unnoticed(registry.load(served[pd.Timestamp(FAULT[0])]), year))
    diary.finish(policy.decisions, registry.history("late-flights"))


if __name__ == "__main__":
    picture = Path(sys.argv[1] if len(sys.argv) > 1 else "keep_a_model_right.png")
    diary = Diary()
    with tempfile.TemporaryDirectory() as scratch, threadpool_limits(1):
        keep_right(load(), Path(scratch), diary)
    diary.tell()
    draw(diary, FAULT, picture)
    print(f"The year in one picture: {picture}", file=sys.stderr)
