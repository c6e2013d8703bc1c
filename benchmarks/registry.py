"""The registry beside MLflow, pins and joblib, in one run: register, resolve, list, load.

Every time stands beside a floor of the same run. MLflow and pins are left out where they are not installed:
`pip install mlflow pins`.
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


def flushed(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def registering(folder: Path) -> None:
    model, X = forest()
    rows: list[tuple[str, float]] = []
    raw = skops.io.dumps(model)

    def floor() -> None:
        data = skops.io.dumps(model)
        hashlib.sha256(data).hexdigest()
        flushed(folder / "floor", data)

    counter = itertools.count()
    registry = ModelRegistry(folder / "ours")
    bottom = median(floor)
    rows.append(("skops dump, sha256, fsync (the floor)", bottom))
    rows.append(("of these, verified loading: skops.load", median(lambda: skops.io.loads(raw, trusted=_types(raw)))))

    def ours() -> None:
        ModelRegistry(folder / f"ours {next(counter)}").register("forest", model, example=X.head())

    rows.append(("mlopskit: durable, and verified loadable", median(ours)))
    rows.append(("joblib.dump, no fsync, no check", median(lambda: joblib.dump(model, folder / "joblib"))))
    try:
        rows.append(("MLflow, SQLite, requirements given", median(_mlflow(folder, model, X), 3)))
    except ModuleNotFoundError as error:
        print(f"MLflow is left out: {error}")
    try:
        rows.append(("pins, joblib in a folder", median(_pins(folder, model), 3)))
    except ModuleNotFoundError as error:
        print(f"pins is left out: {error}")
    show(f"Register a forest of {len(raw) / 1e6:.0f} MB", rows, bottom)
    registry.register("forest", model, example=X.head())
    loading(registry, model, raw)


def _types(raw: bytes) -> list[str]:
    return list(skops.io.get_untrusted_types(data=raw))


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


def _pins(folder: Path, model: Any) -> Callable[[], Any]:
    import pins

    board = pins.board_folder(str(folder / "pins"), allow_pickle_read=True)
    counter = itertools.count()
    return lambda: board.pin_write(model, f"forest-{next(counter)}", type="joblib")


def loading(registry: ModelRegistry, model: Any, raw: bytes) -> None:
    nodes = sum(tree.tree_.node_count for tree in model.estimators_)
    floor = median(lambda: skops.io.loads(raw, trusted=_types(raw)))
    _, data = formats.dump_model(model)
    rows = [
        ("skops.load (the floor)", floor),
        ("the safe format, audited and checked", median(lambda: formats.load_model("skops", data))),
        (f"of this, the check of {nodes:,} nodes", median(lambda: check_contents(model))),
        ("registry.load: digests compared, example predicted", median(lambda: registry.load("forest:1"))),
        ("joblib.load is not safe", _joblib(model)),
    ]
    show("Load it", rows, floor)


def _joblib(model: Any) -> float:
    with tempfile.TemporaryDirectory() as folder:
        joblib.dump(model, f"{folder}/model")
        return median(lambda: joblib.load(f"{folder}/model"))


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


def show(title: str, rows: list[tuple[str, float]], floor: float) -> None:
    table(title, ("", "ms", "x floor"), [(name, f"{1e3 * t:.0f}", f"{t / floor:.2f}") for name, t in rows])


def table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    print(f"\n### {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--versions", type=int, nargs="+", default=[1_000, 10_000])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"mlopskit {mk.__version__}" if hasattr(mk, "__version__") else "mlopskit")
    with tempfile.TemporaryDirectory() as name:
        registering(Path(name))
        listing(Path(name), given.versions)


if __name__ == "__main__":
    main()
