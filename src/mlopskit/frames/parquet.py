"""A table as parquet files of some rows each, cut where its content says so.

A file ends after a row whose hash ends in zeros, so that equal stretches of two tables give equal files wherever they
stand: a table that grew at its end, lost its oldest rows, or both, shares all files but those at the edges.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlopskit.errors import DataError, FormatError
from mlopskit.frames.content import row_hashes
from mlopskit.frames.engines import require
from mlopskit.frames.reading import Frame
from mlopskit.frames.tables import columns, n_rows, names, to_pandas

ROWS = 1 << 16
"""Rows of a file on average; no file has more than four times as many."""


def to_parquet(data: Frame) -> list[bytes]:
    """Return a frame in memory as parquet files; `from_parquet` puts them together again.

    Raises
    ------
    DataError
        When a column's name stands twice, or a column holds what parquet cannot.
    MissingExtra
        When pyarrow is not installed.
    """
    require("pyarrow", "parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    have = names(data)
    if len(set(have)) < len(have):
        raise DataError(f"duplicate column name(s) {sorted({n for n in have if have.count(n) > 1})}: rename them")
    try:
        table = _table(data)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"a column cannot be written as parquet, which needs one type a column: {error}") from error
    files = []
    for start, stop in _cuts(row_hashes(columns(data)) if have else np.zeros(n_rows(data), dtype=np.uint64)):
        out = io.BytesIO()
        pq.write_table(table.slice(start, stop - start), out, compression="zstd", row_group_size=max(stop - start, 1))
        files.append(out.getvalue())
    return files


def from_parquet(files: Sequence[bytes], only: Iterable[str] | None = None) -> pd.DataFrame:
    """Return the rows of parquet files, one below the other, as pandas; `only` names the columns to read.

    Raises
    ------
    FormatError
        When a file cannot be read, or the files do not belong together.
    MissingExtra
        When pyarrow is not installed.
    """
    require("pyarrow", "parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = None if only is None else list(only)
    try:
        tables = [pq.ParquetFile(io.BytesIO(data)).read(columns=wanted) for data in files]
        frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        raise FormatError(f"these are not the parquet files of one table: {error}") from error
    return frame


def _table(data: Frame) -> Any:
    import pyarrow as pa

    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return pa.table(data)
    if hasattr(data, "to_arrow"):
        return data.to_arrow()
    frame = to_pandas(data)
    return pa.Table.from_pandas(frame.set_axis(names(data), axis=1), preserve_index=False)


def _cuts(hashes: Any) -> list[tuple[int, int]]:
    """Return the stretches of rows, at least one: each ends after a hash that ends in zeros, or after 4 x ROWS."""
    ends = [0]
    for end in [*(np.flatnonzero(hashes % np.uint64(ROWS) == 0) + 1).tolist(), len(hashes)]:
        while end - ends[-1] > 4 * ROWS:
            ends.append(ends[-1] + 4 * ROWS)
        if end > ends[-1]:
            ends.append(end)
    return list(itertools.pairwise(ends)) or [(0, 0)]
