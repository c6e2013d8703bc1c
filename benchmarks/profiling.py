"""What a profile costs, beside floors of the same run: read the ratios, not the times.

pip install boost-histogram && python benchmarks/profiling.py
python benchmarks/profiling.py growth         # the last table alone
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import mlopskit as mk
from mlopskit import frames
from mlopskit.profiling import Profile
from mlopskit.stats.lookup import Lookup

Array = npt.NDArray[np.float64]
Call = Callable[[], object]

FLOATS = [f"f{i}" for i in range(10)]
PIECE = 1 << 18


def rows(columns: list[tuple[str, ...]], head: tuple[str, ...]) -> None:
    for row in (head, ("---",) * len(head), *columns):
        print("| " + " | ".join(row) + " |")
    print()


def medians(*calls: Call, repeats: int = 5) -> list[float]:
    """Return the median seconds of each; they take turns, so that all meet the same machine."""
    times = [[once(call) for call in calls] for _ in range(repeats)]
    return [float(t) for t in np.median(times, axis=0)]


def least(*calls: Call, repeats: int = 15) -> list[float]:
    """Return the least seconds of each: what is left where other processes of the machine disturb most runs."""
    return [float(t) for t in np.min([[once(call) for call in calls] for _ in range(repeats)], axis=0)]


def once(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def kernel() -> None:
    import boost_histogram as bh

    rng, n = np.random.default_rng(0), 2_000_000
    shapes = {
        "normal": rng.standard_normal(n),
        "around 1,000, sd 1": 1_000 + rng.standard_normal(n),
        "lognormal, sd 2": np.exp(2 * rng.standard_normal(n)),
        "two decimals": np.round(rng.gamma(2, 50, n), 2),
    }
    found = []
    for shape, x in shapes.items():
        for n_edges in (199, 999):
            edges = np.unique(np.quantile(x, np.arange(1, n_edges + 1) / (n_edges + 1), method="inverted_cdf"))
            lookup, others = Lookup(edges), counters(bh, x, edges)
            for name, count in others.items():
                assert (count() == lookup.count(x)).all(), name
            took, floor, *rest = medians(lambda x=x, c=lookup: c.count(x), x.sum, *others.values())
            cells = [f"{t / took:.1f}" for t in rest]
            found.append((shape, str(len(edges)), f"{took / n * 1e9:.1f}", f"{took / floor:.0f}", *cells))
    print("## The counting kernel\n")
    rows(found, ("values", "edges", "ns a value", "x np.sum", *(f"{name}, x ours" for name in others)))


def counters(bh: object, x: Array, edges: Array) -> dict[str, Call]:
    """Return rivals that count in right-closed bins; those of left-closed bins get everything with its sign turned."""
    turned, bounds = -x, np.concatenate([[-np.inf], -edges[::-1], [np.inf]])

    def boost() -> object:
        histogram = bh.Histogram(bh.axis.Variable(-edges[::-1]), storage=bh.storage.Int64())  # type: ignore[attr-defined]
        return histogram.fill(turned).values(flow=True)[::-1]

    return {
        "np.histogram": lambda: np.histogram(turned, bounds)[0][::-1],
        "boost-histogram": boost,
        "searchsorted + bincount": lambda: np.bincount(np.searchsorted(edges, x), minlength=len(edges) + 1),
    }


def mixed(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data: dict[str, object] = {name: rng.standard_normal(n) * (i + 1) for i, name in enumerate(FLOATS)}
    for name, top in zip("abcd", (10, 1_000, 100_000, 2**40), strict=True):
        data[name] = rng.integers(0, top, n)
    for name, n_levels in zip("stuv", (3, 12, 50, 300), strict=True):
        data[name] = np.array([f"level {i}" for i in range(n_levels)])[rng.integers(0, n_levels, n)]
    data["when"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**7, n), unit="s")
    data["flag"] = rng.random(n) < 0.3
    return pd.DataFrame(data)


def in_memory() -> None:
    found = []
    small, large = mixed(1_000), mixed(1_000_000)
    binning = mk.Binning.fit(mixed(20_000, seed=1))
    numbers = [small[name].to_numpy() for name in [*FLOATS, *"abcd"]]
    took, floor = medians(lambda: binning.profile(small), lambda: [np.sort(x) for x in numbers], repeats=200)
    found.append(("1,000 x 20", f"{took * 1e3:.2f}", "np.sort of its numbers", f"{took / floor:.1f}"))
    took, two, floor = medians(
        lambda: binning.profile(large),
        lambda: binning.profile(large, n_jobs=2),
        lambda: large[FLOATS].describe(include="all"),
    )
    found.append(
        ("1,000,000 x 20", f"{took * 1e3:.0f}", 'describe(include="all") of its floats', f"{took / floor:.2f}")
    )
    found.append(("the same, n_jobs=2", f"{two * 1e3:.0f}", "the same", f"{two / floor:.2f}"))
    print("## pandas: 10 floats, 4 integers, 4 texts, a datetime, a boolean; 200 bins\n")
    rows(found, ("frame", "ms", "floor", "ratio"))


def write(path: Path, n: int) -> Path:
    """Write a parquet file of ten normal columns."""
    schema = pa.schema([(name, pa.float64()) for name in FLOATS])
    with pq.ParquetWriter(path, schema) as writer:
        for piece in stream(n):
            writer.write_table(pa.table(piece))
    return path


def stream(n: int) -> Iterator[dict[str, Array]]:
    for start in range(0, n, PIECE):
        rng = np.random.default_rng(start)
        yield {name: rng.standard_normal(min(PIECE, n - start)) for name in FLOATS}


def bare(path: Path, lookups: list[Lookup]) -> list[Array]:
    """Count, with nulls, extremes, mean and squares, by hand: numpy and the same kernel over record batches."""
    counts = [np.zeros(len(look.edges) + 1, dtype=np.int64) for look in lookups]
    low, high = [np.inf] * len(lookups), [-np.inf] * len(lookups)
    n, nulls, mean, squares = ([0.0] * len(lookups) for _ in range(4))
    for batch in pq.ParquetFile(path).iter_batches(PIECE):
        for i, look in enumerate(lookups):
            column = batch.column(i)
            nulls[i] += column.null_count
            x = column.to_numpy()
            counts[i] += look.count(x)
            low[i], high[i] = min(low[i], x.min()), max(high[i], x.max())
            here, both = x.sum() / len(x), n[i] + len(x)
            away = x - here
            squares[i] += (away * away).sum() + (here - mean[i]) ** 2 * n[i] * len(x) / both
            mean[i], n[i] = mean[i] + (here - mean[i]) * len(x) / both, both
    return counts


def parquet(folder: Path) -> None:
    path = write(folder / "five.parquet", 5_000_000)
    binning = mk.Binning.fit(pq.ParquetFile(path), n_bins=1_000)
    lookups = [column.lookup for column in binning.columns]
    ours = binning.profile(pq.ParquetFile(path))
    assert all((a == b.counts).all() for a, b in zip(bare(path, lookups), ours.columns, strict=True))
    floor, one, two, decode, hashes = least(
        lambda: bare(path, lookups),
        lambda: binning.profile(pq.ParquetFile(path)),
        lambda: binning.profile(pq.ParquetFile(path), n_jobs=2),
        lambda: [len(batch) for batch in pq.ParquetFile(path).iter_batches(PIECE)],
        lambda: frames.fingerprint(pq.ParquetFile(path)),
    )
    print("## Parquet: 5,000,000 rows, 10 floats, 1,000 bins\n")
    cells = {
        "bare loop: counts, nulls, extremes, moments": floor,
        "decoding alone": decode,
        "decoding and fingerprint": hashes,
        "the bare loop and a fingerprint of what it read": floor + hashes - decode,
        "whole profile": one,
        "whole profile, n_jobs=2": two,
    }
    rows([(k, f"{t:.2f}", f"{t / floor:.2f}") for k, t in cells.items()], ("what", "s", "x bare loop"))


def exact(profile: Profile) -> object:
    """Return what has to be the same in every engine."""
    columns = [(c.counts.tolist(), c.n_missing, c.n_zero, c.low, c.high, c.n_distinct) for c in profile.columns]
    return profile.n_rows, profile.fingerprint, columns


def engines(folder: Path) -> None:
    import dask
    import dask.dataframe as dd
    import duckdb
    import polars as pl
    import pyarrow.dataset as ds
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    path = folder / "mixed.parquet"
    mixed(1_000_000).to_parquet(path, index=False, row_group_size=PIECE)
    binning = mk.Binning.fit(ds.dataset(path))
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.session.timeZone", "UTC").config("spark.driver.memory", "2g").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    parts = dd.read_parquet(path, split_row_groups=2)
    sources: dict[str, Callable[[], object]] = {
        "pandas (read into memory)": lambda: pd.read_parquet(path),
        "polars, streaming": lambda: pl.scan_parquet(path),
        "pyarrow ParquetFile": lambda: pq.ParquetFile(path),
        "pyarrow dataset": lambda: ds.dataset(path),
        "DuckDB": lambda: duckdb.connect().sql(f"FROM '{path}'"),
        f"Dask, {parts.npartitions} partitions, processes": lambda: parts,
        "Spark, local[2], warm": lambda: session.read.parquet(str(path)),
    }
    expected, found = exact(binning.profile(pq.ParquetFile(path))), []
    with dask.config.set(scheduler="processes", num_workers=2):
        for make in sources.values():
            assert exact(binning.profile(make())) == expected
        times = medians(*(lambda make=make: binning.profile(make()) for make in sources.values()))  # type: ignore[misc]
    floor = dict(zip(sources, times, strict=True))["pyarrow ParquetFile"]
    found = [(name, f"{t:.2f}", f"{t / floor:.1f}") for name, t in zip(sources, times, strict=True)]
    session.stop()
    print("## One parquet file of 1,000,000 x 20: the same integers and fingerprint from every engine\n")
    rows(found, ("engine", "s, from the file", "x ParquetFile"))


def growth() -> None:
    """Each number of rows in a process of its own, beside the same stream unread."""
    found = []
    for n in (100_000, 1_000_000, 10_000_000, 50_000_000):
        took, made, peak = (float(v) for v in run("one", str(n)).split())
        cells = (f"{n:,}", f"{(took - made) / n * 1e9 / len(FLOATS):.1f}", f"{took / made:.2f}", f"{peak / 1024:.0f}")
        found.append(cells)
    print("## Growth: a stream of ten normal columns, made piece by piece\n")
    rows(found, ("rows", "ns a value", "x making the numbers", "peak memory, MiB"))


def run(*arguments: str) -> str:
    return subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True).stdout


def one(n: int) -> None:
    binning = mk.Binning.fit(next(stream(100_000)), n_bins=1_000)
    binning.profile(stream(1_000))
    made = once(lambda: sum(len(piece["f0"]) for piece in stream(n)))
    took = once(lambda: binning.profile(stream(n)))
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(took, made, peak)


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        one(int(sys.argv[2]))
    elif sys.argv[1:] == ["growth"]:
        growth()
    else:
        kernel()
        in_memory()
        with tempfile.TemporaryDirectory() as name:
            parquet(Path(name))
            engines(Path(name))
        growth()
