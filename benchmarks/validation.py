"""What validation costs, beside code by hand and beside other libraries: read the ratios, not the times.

pip install polars pyarrow && python benchmarks/validation.py
python benchmarks/validation.py --no-peers               # without the other libraries
python benchmarks/validation.py --rows 50000             # a quick trial
python benchmarks/validation.py --venvs FOLDER           # keeps the environments of the other libraries there

Everyone checks the same of 20 columns (10 floats, 4 integers, 4 texts, a datetime, a boolean): dtype, no null, finite,
limits of numbers and datetimes, levels of texts, and that one integer key is unique. Times are the least of interleaved
repeats. Another library runs in an environment and a process of its own, which makes the same data from the same seed
and times the code by hand beside it; "x ours" is its multiple of the code by hand over our multiple of it. Libraries
on polars use all cores, mlopskit and the code by hand one. mlopskit and pandera name every bad row, dataframely parts
them from the good ones, pointblank keeps 500 of a rule, great_expectations gives its default summary: counts and a few
examples.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Call: TypeAlias = Callable[[], object]
Counts: TypeAlias = dict[str, int]
Check: TypeAlias = Callable[[Any], Counts]

FLOATS = [f"f{i}" for i in range(10)]
INTS = ["key", "a", "b", "c"]
TEXTS = {"s": 3, "t": 12, "u": 50, "v": 300}
NUMBERS = [*FLOATS, "a", "b", "c", "when"]
MIB = 1 << 20


# --- data -----------------------------------------------------------------------------------------------------------


def clean(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    data: dict[str, object] = {name: rng.standard_normal(n) * (i + 1) for i, name in enumerate(FLOATS)}
    data["key"] = rng.permutation(n) + 10**9
    for name, top in zip("abc", (10, 1_000, 2**30), strict=True):
        data[name] = rng.integers(0, top, n)
    for name, n_levels in TEXTS.items():
        data[name] = np.array([f"level {i}" for i in range(n_levels)])[rng.integers(0, n_levels, n)]
    data["when"] = (np.datetime64("2020-01-01", "s") + rng.integers(0, 10**7, n)).astype("M8[us]")
    data["flag"] = rng.random(n) < 0.3
    return pd.DataFrame(data)


def faulty(frame: pd.DataFrame) -> tuple[pd.DataFrame, Counts]:
    """Break 1% of five columns, and say what there is to find."""
    frame, rng, n = frame.copy(), np.random.default_rng(1), len(frame)
    k = n // 100
    for name, value in {"f1": np.nan, "f2": np.inf, "f3": 1e6, "s": "no level"}.items():
        column = frame[name].to_numpy(dtype=object if name == "s" else float, copy=True)
        column[rng.choice(n, k, replace=False)] = value
        frame[name] = pd.Series(column, dtype=frame[name].dtype)
    rows = rng.choice(n, 2 * k, replace=False)
    key = frame["key"].to_numpy(copy=True)
    key[rows[:k]] = key[rows[k:]]
    frame["key"] = key
    return frame, {"f1: null": k, "f2: nonfinite": k, "f3: range": k, "s: domain": k, "key: unique": k}


# --- the same by hand -----------------------------------------------------------------------------------------------


@dataclass
class Facts:
    """What inference says of a frame; `known` are the levels of texts as Arrow has them."""

    dtypes: dict[str, Any] = field(default_factory=dict)
    nulls: dict[str, int] = field(default_factory=dict)
    infinite: list[str] = field(default_factory=list)
    limits: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    levels: dict[str, list[Any]] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)


def infer(frame: pd.DataFrame) -> Facts:
    """Find dtypes, nulls, infinities, limits, levels seen often, and keys."""
    facts = Facts()
    for name in map(str, frame):
        column = frame[name]
        facts.dtypes[name] = column.dtype
        if column.dtype.kind in "fiM":
            values = column.to_numpy()
            low, high = values.min(), values.max()
            nulls = int(np.isnan(values).sum()) if np.isnan(low) else 0
            if column.dtype.kind == "f" and not (np.isfinite(low) and np.isfinite(high)):
                known = values[np.isfinite(values)]
                if len(known) + nulls < len(values):
                    facts.infinite.append(name)
                low, high = known.min(), known.max()
            facts.nulls[name] = nulls
            if name != "key":
                facts.limits[name] = low, high
            if column.dtype.kind == "i":
                if column.is_unique:
                    facts.keys.append(name)
                elif len(np.unique(values[:1_000])) <= 50:
                    counts = column.value_counts()
                    if len(counts) <= 50 and counts.min() >= 20:
                        facts.levels[name] = sorted(counts.index)
        elif column.dtype.kind == "b":
            facts.nulls[name] = 0
        else:
            counts = column.value_counts()
            facts.nulls[name] = len(column) - int(counts.sum())
            if len(counts) == len(column):
                facts.keys.append(name)
            elif len(counts) <= 500 and len(column) >= 5 * len(counts) and (counts == 1).sum() <= 0.05 * len(column):
                facts.levels[name] = sorted(counts.index)
                facts.known[name] = pa.array(facts.levels[name], pa.large_string())
    return facts


def by_hand(facts: Facts, frame: pd.DataFrame) -> Counts:
    """Count what breaks each rule, extremes first: masks only where something is wrong."""
    found: Counts = {}
    for name, dtype in facts.dtypes.items():
        column = frame[name]
        if column.dtype != dtype:
            found[f"{name}: dtype"] = len(column)
        elif name in facts.limits:
            low, high = facts.limits[name]
            values = column.to_numpy()
            if not (values.min() >= low and values.max() <= high):  # a NaN fails both
                nulls = np.isnan(values)
                finite = np.isfinite(values)
                n_null, n_finite = int(nulls.sum()), int(finite.sum())
                outside = int((((values < low) | (values > high)) & finite).sum())
                found |= {f"{name}: null": n_null, f"{name}: nonfinite": len(values) - n_null - n_finite}
                found[f"{name}: range"] = outside
        elif name in TEXTS:
            texts = column.array.__arrow_array__()
            if not pc.all(pc.is_in(pc.unique(texts), value_set=facts.known[name])).as_py():  # a null is not among them
                n_known = pc.sum(pc.is_in(texts, value_set=facts.known[name])).as_py()
                found |= {f"{name}: null": texts.null_count}
                found[f"{name}: domain"] = len(texts) - n_known - texts.null_count
        elif name == "key":
            found["key: unique"] = int(column.duplicated().to_numpy().sum())
    return {rule: n for rule, n in found.items() if n}


# --- timing ---------------------------------------------------------------------------------------------------------


def least(*calls: Call, seconds: float = 10.0, most: int = 200) -> list[float]:
    """Return the least milliseconds of each over rounds in which they take turns: at least three, so long as asked."""
    times: list[list[float]] = []
    start = time.perf_counter()
    while len(times) < 3 or (len(times) < most and time.perf_counter() - start < seconds):
        times.append([once(call) for call in calls])
    return [float(t) for t in np.min(times, axis=0)]


def once(call: Call) -> float:
    """Return the milliseconds of a call; a short one is repeated, so as not to pay for what ran before it."""
    took: list[float] = []
    while not took or (took[0] < 50 and len(took) < 3):
        start = time.perf_counter()
        call()
        took.append((time.perf_counter() - start) * 1e3)
    return min(took)


def memory(key: str) -> float:
    """Return a field of this process' status, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def peak(call: Call) -> float:
    """Return by how many MiB a call raises the memory of this process at most."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before is not to be used again unseen
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from what is held now
    before = memory("VmHWM")
    call()
    return memory("VmHWM") - before


# --- mlopskit -------------------------------------------------------------------------------------------------------


def ours(facts: Facts, frame: pd.DataFrame) -> Check:
    import mlopskit as mk

    schema = mk.Schema.infer(frame, unique=["key"])
    for name in facts.dtypes:
        low, high = facts.limits.get(name, (None, None))
        if name == "when":
            low, high = (int(v.astype("M8[ns]").astype(np.int64)) for v in (low, high))
        elif low is not None:
            low, high = low.item(), high.item()
        levels = facts.levels[name] if name in TEXTS else None
        schema = schema.evolve(name, nullable=False, low=low, high=high, levels=levels, tolerance=0.0, severity="error")
    validator = mk.DataValidator(schema)

    def check(batch: Any) -> Counts:
        return {f"{f.column}: {f.check}": f.n_failed for f in validator.validate(batch).failures}

    return check


def same_facts(frame: pd.DataFrame, facts: Facts) -> None:
    """Raise where inference and code by hand disagree."""
    import mlopskit as mk

    schema = mk.Schema.infer(frame, unique=["key"])
    assert list(schema.keys) == facts.keys, (schema.keys, facts.keys)
    for column in schema.columns:
        name = column.name
        assert column.nullable == (facts.nulls[name] > 0), name
        assert column.finite == (name not in facts.infinite), name
        assert list(column.levels or ()) == facts.levels.get(name, []), name
        if name in FLOATS:
            assert (column.low, column.high) == facts.limits[name], name


# --- other libraries ------------------------------------------------------------------------------------------------


def with_pandera_pandas(facts: Facts) -> Check:
    import pandera.pandas as pan

    return pandera_check(pan, facts, lambda values: np.isfinite(values), dict(facts.dtypes))


def with_pandera_polars(facts: Facts) -> Check:
    import pandera.polars as pan
    import polars as pl

    return pandera_check(
        pan, facts, lambda data: data.lazyframe.select(pl.col(data.key).is_finite()), polars_types(facts)
    )


def pandera_check(pan: Any, facts: Facts, finite: Any, dtypes: dict[str, Any]) -> Check:
    columns = {}
    for name, dtype in dtypes.items():
        checks = [pan.Check(finite, name="nonfinite")] if name in FLOATS else []
        if name in facts.limits:
            checks.append(pan.Check.in_range(*plain(facts, name)))
        if name in TEXTS:
            checks.append(pan.Check.isin(facts.levels[name]))
        alone = {"unique": True, "report_duplicates": "exclude_first"} if name == "key" else {}
        columns[name] = pan.Column(dtype, checks=checks, **alone)
    schema = pan.DataFrameSchema(columns)
    names = {"not_nullable": "null", "field_uniqueness": "unique", "in_range": "range", "isin": "domain"}

    def check(frame: Any) -> Counts:
        try:
            schema.validate(frame, lazy=True)
        except pan.errors.SchemaErrors as error:
            cases = error.failure_cases
            columns, checks = list(cases["column"]), [str(c).partition("(")[0] for c in cases["check"]]
            found = pd.Series([f"{a}: {names.get(b, b)}" for a, b in zip(columns, checks, strict=True)])
            return {str(k): int(v) for k, v in found.value_counts().items()}
        return {}

    return check


def with_great_expectations(facts: Facts) -> Check:
    import great_expectations as gx
    import great_expectations.expectations as gxe

    warnings.simplefilter("ignore")
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset(name="frame")
    whole = asset.add_batch_definition_whole_dataframe("whole")
    suite = gx.ExpectationSuite(name="suite")
    types = {"f": "float64", "i": "int64", "M": "datetime64[us]", "b": "bool", "O": "str"}
    for name, dtype in facts.dtypes.items():
        suite.add_expectation(gxe.ExpectColumnValuesToBeOfType(column=name, type_=types[dtype.kind]))
        suite.add_expectation(gxe.ExpectColumnValuesToNotBeNull(column=name))
        if name in facts.limits:
            low, high = plain(facts, name)
            suite.add_expectation(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high))
        if name in TEXTS:
            suite.add_expectation(gxe.ExpectColumnValuesToBeInSet(column=name, value_set=facts.levels[name]))
    suite.add_expectation(gxe.ExpectColumnValuesToBeUnique(column="key"))
    rules = {"not_be_null": "null", "be_between": "range", "be_in_set": "domain", "be_unique": "unique"}

    def check(frame: Any) -> Counts:
        batch = whole.get_batch(batch_parameters={"dataframe": frame})
        found: Counts = {}
        for result in batch.validate(suite).results:
            if not result.success:
                kind = result.expectation_config.type.removeprefix("expect_column_values_to_")
                n_failed = result.result.get("unexpected_count", -1)
                found[f"{result.expectation_config.kwargs['column']}: {rules.get(kind, kind)}"] = n_failed
        return found

    return check


def with_pointblank(facts: Facts) -> Check:
    import pointblank as pb
    import polars as pl

    schema = pb.Schema(columns=[(name, str(t)) for name, t in polars_types(facts).items()])
    names = list(facts.dtypes)

    def check(frame: Any) -> Counts:
        plan = pb.Validate(frame).col_schema_match(schema).col_vals_not_null(names)
        steps = ["frame: dtype", *(f"{name}: null" for name in names)]
        for name in FLOATS:
            plan = plan.col_vals_expr(pl.col(name).is_finite().fill_null(True))
            steps.append(f"{name}: nonfinite")
        for name in facts.limits:
            plan = plan.col_vals_between(name, *plain(facts, name), na_pass=True)
            steps.append(f"{name}: range")
        for name in TEXTS:
            plan = plan.col_vals_in_set(name, facts.levels[name])
            steps.append(f"{name}: domain")
        done = plan.rows_distinct(["key"]).interrogate()
        failed = done.n_failed()
        return {s: int(failed[i]) for i, s in enumerate([*steps, "key: unique"], 1) if failed[i]}

    return check


def with_dataframely(facts: Facts) -> Check:
    import dataframely as dy
    import polars as pl

    columns: dict[str, Any] = {}
    for name in facts.dtypes:
        if name in facts.limits:
            low, high = plain(facts, name)
            kind = dy.Float64 if name in FLOATS else dy.Datetime if name == "when" else dy.Int64
            columns[name] = kind(min=low, max=high)
        elif name in TEXTS:
            columns[name] = dy.String(check={"domain": partial(is_level, facts.levels[name])})
        else:
            columns[name] = dy.Int64(unique=True) if name == "key" else dy.Bool()
    schema = type("Frame", (dy.Schema,), columns)
    rules = {"nullability": "null", "min": "range", "max": "range", "inf": "nonfinite", "check__domain": "domain"}

    def check(frame: pl.DataFrame) -> Counts:
        found: Counts = {}
        for rule, n in schema.filter(frame).failure.counts().items():  # type: ignore[attr-defined]
            name, _, kind = rule.partition("|")
            label = f"{name}: {rules.get(kind, kind)}"
            found[label] = found.get(label, 0) + n
        return found

    return check


def is_level(levels: list[str], column: Any) -> Any:
    return column.is_in(levels)


def plain(facts: Facts, name: str) -> tuple[Any, Any]:
    """Return the limits as Python objects."""
    low, high = facts.limits[name]
    return low.item(), high.item()


def polars_types(facts: Facts) -> dict[str, Any]:
    import polars as pl

    types = {"f": pl.Float64(), "i": pl.Int64(), "M": pl.Datetime("us"), "b": pl.Boolean(), "O": pl.String()}
    return {name: types[dtype.kind] for name, dtype in facts.dtypes.items()}


def as_polars(frame: pd.DataFrame) -> Any:
    import polars as pl

    return pl.from_pandas(frame)


PEERS: dict[str, tuple[str, str, Callable[[Facts], Check]]] = {
    "pandera, pandas": ("pandera[pandas,polars]", "pandas", with_pandera_pandas),
    "pandera, polars": ("pandera[pandas,polars]", "polars", with_pandera_polars),
    "great_expectations, pandas": ("great_expectations", "pandas", with_great_expectations),
    "pointblank, polars": ("pointblank[pl]", "polars", with_pointblank),
    "dataframely, polars": ("dataframely", "polars", with_dataframely),
}
"""What to install, the frames it reads, and how it is told the rules."""


def peer(name: str, n: int) -> None:
    """Measure one library, in its own environment; print JSON."""
    _, engine, make = PEERS[name]
    frame = clean(n)
    broken, planted = faulty(frame)
    facts = infer(frame)
    check = make(facts)
    read = as_polars if engine == "polars" else pd.DataFrame.copy
    found, times, peaks = {}, {}, {}
    for case, batch in cases(frame, broken).items():
        theirs = read(batch)
        if case == "clean":
            check(theirs[:1])
            peaks[case] = peak(lambda theirs=theirs: check(theirs))  # type: ignore[misc]
        found[case] = check(theirs)
        assert by_hand(facts, batch) == (planted if case == "1% faults" else {})
        times[case] = least(lambda b=theirs: check(b), lambda b=batch: by_hand(facts, b))  # type: ignore[misc]
    print(json.dumps({"found": found, "times": times, "peak": peaks["clean"]}))


def cases(frame: pd.DataFrame, broken: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"clean": frame, "1% faults": broken, "1,000 rows": frame[:1_000].copy(), "one row": frame[:1].copy()}


def install(folder: Path, requirement: str) -> Path:
    """Make an environment with a library, unless it is there; return its Python."""
    home = folder / requirement.partition("[")[0]
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        command = [str(python), "-m", "pip", "install", "-q", requirement, f"pandas=={pd.__version__}", "pyarrow"]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return python


def version(python: Path, requirement: str) -> str:
    code = f"from importlib.metadata import version as v; print(v({requirement.partition('[')[0]!r}))"
    return subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


# --- tables ---------------------------------------------------------------------------------------------------------


def table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    print(f"## {title}\n")
    for row in (head, ("---",) * len(head), *rows):
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def digits(x: float) -> str:
    return f"{x:,.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def beside_hand(n: int, *, polars: bool) -> dict[str, dict[str, float]]:
    """Return our multiple of the code by hand, by engine and case."""
    import mlopskit as mk

    frame = clean(n)
    broken, planted = faulty(frame)
    facts = infer(frame)
    check = ours(facts, frame)
    rows = []
    engines: dict[str, dict[str, float]] = {"pandas": {}, "polars": {}}
    readers: dict[str, Callable[[pd.DataFrame], Any]] = {"pandas": pd.DataFrame.copy}
    if polars:
        readers["polars"] = as_polars
    for engine, read in readers.items():
        for case, batch in cases(frame, broken).items():
            sent = read(batch)
            expected = planted if case == "1% faults" else {}
            assert check(sent) == by_hand(facts, batch) == expected, (check(sent), by_hand(facts, batch), expected)
            took, hand = least(lambda b=sent: check(b), lambda b=batch: by_hand(facts, b))  # type: ignore[misc]
            engines[engine][case] = took / hand
            rows.append((f"{label(case, n)}, {engine}", digits(took), digits(hand), digits(took / hand)))
    if n >= 100_000:  # below, the levels of the longest text are not seen often enough
        same_facts(frame, facts)
    took, hand = least(lambda: mk.Schema.infer(frame, unique=["key"]), lambda: infer(frame))
    rows.append((f"inference, {n:,} x 20, pandas", digits(took), digits(hand), digits(took / hand)))
    table("Validation beside code by hand", ("case", "mlopskit, ms", "by hand, ms", "x by hand"), rows)
    return engines


def label(case: str, n: int) -> str:
    return {"clean": f"{n:,} x 20, clean", "1% faults": f"{n:,} x 20, 1% faults in 5 columns"}.get(case, case)


def beside_memory(n: int) -> float:
    rows = []
    for what in ("mlopskit, clean", "mlopskit, 1% faults", "by hand, clean", "by hand, 1% faults"):
        rows.append((what, float(run(Path(sys.executable), "peak", what, "--rows", str(n)))))
    sizes = [("one boolean mask column", n / MIB), ("one float column", 8 * n / MIB)]
    cells = [(what, f"{size:.1f}", f"{size / (8 * n / MIB):.2f}") for what, size in [*rows, *sizes]]
    table(f"Peak memory above the frame, {n:,} x 20, pandas", ("what", "MiB", "x a float column"), cells)
    return rows[0][1]


def one_peak(what: str, n: int) -> None:
    frame = clean(n)
    facts = infer(frame)
    check = ours(facts, frame) if what.startswith("mlopskit") else partial(by_hand, facts)
    if what.endswith("faults"):
        frame, _ = faulty(frame)
    check(frame[:1_000].copy())
    print(peak(lambda: check(frame)))


def beside_peers(n: int, folder: Path, engines: dict[str, dict[str, float]], memory_of_ours: float) -> None:
    rows, others, peaks = [], [], [("mlopskit, pandas", digits(memory_of_ours), "1.00")]
    for name, (requirement, engine, _) in PEERS.items():
        try:
            python = install(folder, requirement)
            got = json.loads(run(python, "peer", name, "--rows", str(n)).splitlines()[-1])
        except subprocess.CalledProcessError as error:
            others.append((name, "all", f"failed: {(error.stderr or '').strip().splitlines()[-1:]}"))
            continue
        shown = f"{name.partition(',')[0]} {version(python, requirement)}, {engine}"
        planted = dict.fromkeys(("f1: null", "f2: nonfinite", "f3: range", "s: domain", "key: unique"), n // 100)
        for case, (took, hand) in got["times"].items():
            multiple = took / hand
            cells = (digits(took), digits(multiple), digits(multiple / engines[engine][case]))
            rows.append((label(case, n), shown, *cells))
            expected = planted if case == "1% faults" else {}
            for rule in sorted({*expected, *got["found"][case]}):
                there, seen = expected.get(rule, 0), got["found"][case].get(rule, 0)
                if there != seen:
                    others.append((shown, f"{label(case, n)}: {rule}", f"{seen:,} instead of {there:,}"))
        peaks.append((shown, digits(got["peak"]), digits(got["peak"] / memory_of_ours)))
    rows.sort(key=lambda row: [label(case, n) for case in engines["pandas"]].index(row[0]))
    head = ("case", "library, frame", "ms", "x by hand", "x ours, same frame")
    table("Validation beside other libraries", head, rows)
    table("Where another library counts otherwise", ("library", "what", "finds"), others)
    table(f"Peak memory above the frame, {n:,} x 20, clean", ("library", "MiB", "x ours, pandas"), peaks)


def run(python: Path, *arguments: str) -> str:
    quiet = {**os.environ, "GX_ANALYTICS_ENABLED": "false", "PYTHONWARNINGS": "ignore"}
    command = [str(python), __file__, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=quiet).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("one", nargs="*", help="for the processes that this script starts itself")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--no-peers", action="store_true", help="without the other libraries")
    parser.add_argument("--venvs", type=Path, help="keep the environments of the other libraries in this folder")
    given = parser.parse_args()
    if given.one:
        what, name = given.one
        return peer(name, given.rows) if what == "peer" else one_peak(name, given.rows)
    engines = beside_hand(given.rows, polars=not given.no_peers)
    memory_of_ours = beside_memory(given.rows)
    if not given.no_peers:
        with tempfile.TemporaryDirectory() as folder:
            beside_peers(given.rows, given.venvs or Path(folder), engines, memory_of_ours)
    return None


if __name__ == "__main__":
    main()
