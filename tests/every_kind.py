"""Tables of every kind of column, and the ways in which engines hold them."""

import datetime as dt
import decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from hypothesis import strategies as st

D = decimal.Decimal

SCHEMA = pa.schema(
    [
        ("flag", pa.bool_()),
        ("small", pa.int8()),
        ("count", pa.int64()),
        ("price", pa.float64()),
        ("weight", pa.float32()),
        ("name", pa.string()),
        ("group", pa.dictionary(pa.int32(), pa.string())),
        ("day", pa.date32()),
        ("naive", pa.timestamp("us")),
        ("seen", pa.timestamp("us", "UTC")),
        ("took", pa.duration("us")),
        ("cost", pa.decimal128(20, 4)),
        ("big", pa.decimal128(38, 0)),
        ("raw", pa.binary()),
        ("tags", pa.list_(pa.int64())),
        ("point", pa.struct([("x", pa.int64()), ("y", pa.string())])),
    ]
)
KINDS = {
    **{"flag": "bool", "small": "int", "count": "int", "price": "float", "weight": "float", "name": "str"},
    **{"group": "category", "day": "datetime", "naive": "datetime", "seen": "datetime", "took": "duration"},
    **{"cost": "decimal", "big": "int", "raw": "other", "tags": "other", "point": "other"},
}
MOMENTS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
CELLS = {
    "flag": st.booleans(),
    "small": st.integers(-128, 127),
    "count": st.integers(-(2**63), 2**63 - 1),
    "price": st.floats(),
    "weight": st.floats(width=32),
    "name": TEXT,
    "group": st.sampled_from(["a", "b", "c"]),
    "day": st.dates(),
    "naive": MOMENTS,
    "seen": MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC)),
    "took": st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)),
    "cost": st.decimals(-(10**6), 10**6, places=4),
    "big": st.integers(-(10**30), 10**30).map(D),
    "raw": st.binary(max_size=3),
    "tags": st.lists(st.integers(0, 9), max_size=3),
    "point": st.fixed_dictionaries({"x": st.integers(0, 9), "y": TEXT}),
}
TABLES = st.lists(st.fixed_dictionaries({k: st.none() | v for k, v in CELLS.items()}), min_size=1, max_size=8).map(
    lambda rows: pa.Table.from_pylist(rows, schema=SCHEMA)
)


def fixed_table(n, seed=0):
    """A table of every kind, with nulls in every column and more rows than hypothesis would draw."""
    rng = np.random.default_rng(seed)
    ints = rng.integers(-(2**40), 2**40, n)
    columns = {
        "flag": ints % 2 == 0,
        "small": ints % 100,
        "count": ints,
        "price": rng.standard_normal(n),
        "weight": rng.standard_normal(n).astype(np.float32),
        "name": np.array([f"é{i}" for i in ints % 50]),
        "group": np.array(["a", "b", "c"])[ints % 3],
        "day": (ints % 2_000_000).astype("M8[D]"),
        "naive": ints.astype("M8[us]"),
        "seen": ints.astype("M8[us]"),
        "took": ints.astype("m8[us]"),
        "cost": [D(i).scaleb(-4) for i in ints.tolist()],
        "big": [D(i) * 10**20 for i in ints.tolist()],
        "raw": [str(i).encode() for i in ints],
        "tags": [list(range(i % 4)) for i in ints.tolist()],
        "point": [{"x": i % 4, "y": "z"} for i in ints.tolist()],
    }
    arrays = []
    for field, values in zip(SCHEMA, columns.values(), strict=True):
        words = pa.types.is_dictionary(field.type)
        array = pa.array(values, None if words else field.type)
        kept = pc.if_else(rng.random(n) < 0.9, array, None)
        arrays.append(kept.dictionary_encode() if words else kept)
    return pa.table(arrays, schema=SCHEMA)


def to_arrow_pandas(table):
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def to_dict(table):
    return dict(to_arrow_pandas(table).items())


IN_MEMORY = {
    "pyarrow": lambda table: table,
    "chunked": lambda table: pa.concat_tables([table.slice(i, 1) for i in range(len(table))]),
    "batch": lambda table: table.combine_chunks().to_batches()[0],
    "pandas": to_arrow_pandas,
    "polars": pl.from_arrow,
    "dict": to_dict,
}
STREAMS = {
    "generator": lambda table: (batch for batch in table.to_batches(max_chunksize=3)),
    "reader": lambda table: pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=3)),
    "dataset": ds.dataset,
    "scanner": lambda table: ds.dataset(table).scanner(),
    "lazy frame": lambda table: pl.from_arrow(table).lazy(),
    "relation": lambda table: duckdb.connect().from_arrow(table),
    "lazy frames": lambda table: iter([pl.from_arrow(table[:1]).lazy(), pl.from_arrow(table[1:]).lazy()]),
}
