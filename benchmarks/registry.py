"""The registry beside MLflow, pins and joblib, in one run: register, resolve, list, load.

Every time stands beside a floor of the same run, taken in turn with it. MLflow and pins are left out where they are not
installed; `pip install mlflow pins` belongs in an environment of its own, whose interpreter then runs this script.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import skops.io
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestClassifier

import mlopskit as mk
from mlopskit import formats
from mlopskit.formats.contents import check_contents
from mlopskit.registry import ModelRegistry


def forest() -> tuple[Any, pd.DataFrame]:
    """Return a forest of some 20 MB, and rows."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(20_000, 10)), columns=list("abcdefghij"))
    y = X["a"] + rng.normal(size=len(X)) > 0
    return RandomForestClassifier(50, min_samples_leaf=2, n_jobs=1, random_state=0).fit(X, y), X


def median(call: Callable[[], Any], repeats: int = 7) -> float:
    """Return the median seconds of a call; the first one warms up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def in_turn(calls: dict[str, Callable[[], Any]], repeats: int) -> list[tuple[str, float, float]]:
    """Return the median seconds of each call, and of its CPU; the calls take turns, the first round warms up."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            start, cpu = time.perf_counter(), time.process_time()
            call()
            times[name].append((time.perf_counter() - start, time.process_time() - cpu))
    return [(name, *map(statistics.median, zip(*taken[1:], strict=True))) for name, taken in times.items()]


def flushed(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def registering(folder: Path, repeats: int) -> None:
    model, X = forest()
    raw = skops.io.dumps(model)
    types = skops.io.get_untrusted_types(data=raw)

    def floor() -> None:
        data = skops.io.dumps(model)
        hashlib.sha256(data).hexdigest()
        flushed(folder / "floor", data)

    counter = itertools.count()

    def ours() -> None:
        ModelRegistry(folder / f"ours {next(counter)}").register("forest", model, example=X.head())

    calls: dict[str, Callable[[], Any]] = {
        "skops dump, sha256, fsync (the floor)": floor,
        "skops.load alone, its types known": lambda: skops.io.loads(raw, trusted=types),
        "mlopskit: durable, and verified loadable": ours,
        "joblib.dump, no fsync, no check": lambda: joblib.dump(model, folder / "joblib"),
    }
    for name, peer in (("MLflow, SQLite, requirements given", _mlflow), ("pins, joblib in a folder", _pins)):
        try:
            calls[name] = peer(folder, model, X)
        except ModuleNotFoundError as error:
            print(f"{name}: left out, {error}")
    show(f"Register a forest of {len(raw) / 1e6:.0f} MB", in_turn(calls, repeats))
    registry = ModelRegistry(folder / "ours")
    registry.register("forest", model, example=X.head())
    loading(registry, model, raw, repeats)


def _mlflow(folder: Path, model: Any, X: pd.DataFrame) -> Callable[[], Any]:
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.create_experiment("e", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment("e")

    def call() -> None:
        with mlflow.start_run():
            mlflow.sklearn.log_model(
                model,
                name="model",
                registered_model_name="forest",
                input_example=X.head(),
                skops_trusted_types=["sklearn.tree._tree.Tree"],
                pip_requirements=["scikit-learn"],
            )

    return call


def _pins(folder: Path, model: Any, _: pd.DataFrame) -> Callable[[], Any]:
    import pins

    logging.getLogger("pins").setLevel(logging.ERROR)

    board = pins.board_folder(str(folder / "pins"), allow_pickle_read=True)
    counter = itertools.count()
    return lambda: board.pin_write(model, f"forest-{next(counter)}", type="joblib")


def loading(registry: ModelRegistry, model: Any, raw: bytes, repeats: int) -> None:
    nodes = sum(tree.tree_.node_count for tree in model.estimators_)
    types = skops.io.get_untrusted_types(data=raw)
    _, data = formats.dump_model(model)
    with tempfile.TemporaryDirectory() as folder:
        joblib.dump(model, f"{folder}/model")
        calls: dict[str, Callable[[], Any]] = {
            "skops.load, its types known (the floor)": lambda: skops.io.loads(raw, trusted=types),
            "the safe format, audited and checked": lambda: formats.load_model("skops", data),
            f"of this, the check of {nodes:,} nodes": lambda: check_contents(model),
            "registry.load: digests compared, example predicted": lambda: registry.load("forest:1"),
            "joblib.load is not safe": lambda: joblib.load(f"{folder}/model"),
        }
        show("Load it", in_turn(calls, repeats))


def listing(folder: Path, sizes: list[int]) -> None:
    """Versions without the verified load, which is not the question here."""
    model = DummyRegressor(strategy="constant", constant=1.0).fit([[0.0]], [0.0])
    X = pd.DataFrame({"x": [0.0]})
    opened = ModelRegistry._open
    rows = []
    for n in sizes:
        place = folder / f"list {n}"
        registry = ModelRegistry(place)
        ModelRegistry._open = lambda *_: None  # type: ignore[assignment,method-assign,return-value]
        start = time.perf_counter()
        for i in range(n):
            registry.register("m", model, example=X, metrics={"auc": i / n})
        per = (time.perf_counter() - start) / n
        ModelRegistry._open = opened  # type: ignore[method-assign]
        registry.promote("m:1", alias="champion")
        cold = median(lambda place=place: ModelRegistry(place).versions("m"), 3)  # type: ignore[misc]
        stat = median(lambda place=place: (place / "log" / "m" / "00000001.json").read_bytes(), 50)  # type: ignore[misc]
        rows.append(
            (
                f"{n:,}",
                f"{1e3 * cold:.0f}",
                f"{1e3 * median(lambda: registry.versions('m')):.2f}",  # noqa: B023
                f"{1e3 * median(lambda: registry.get('m@champion'), 50):.3f}",  # noqa: B023
                f"{1e3 * stat:.3f}",
                f"{1e3 * per:.1f}",
            )
        )
    table("Versions, ms", ("versions", "list cold", "list warm", "resolve an alias", "read one file", "register"), rows)


def show(title: str, rows: list[tuple[str, float, float]]) -> None:
    """Print times beside those of the first row."""
    (_, floor, cpu_floor), head = rows[0], ("", "ms", "x floor", "CPU, ms", "x floor")
    cells = [
        (name, f"{1e3 * t:.0f}", f"{t / floor:.2f}", f"{1e3 * c:.0f}", f"{c / cpu_floor:.2f}") for name, t, c in rows
    ]
    table(title, head, cells)


def table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    print(f"\n### {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--versions", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"mlopskit {mk.__version__}" if hasattr(mk, "__version__") else "mlopskit")
    with tempfile.TemporaryDirectory() as name:
        registering(Path(name), given.repeats)
        listing(Path(name), given.versions)


if __name__ == "__main__":
    main()
