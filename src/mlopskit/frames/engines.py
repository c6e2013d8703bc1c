"""Where rows come from when they are not in memory: one small class for each engine, which knows three things.

A `Source` says which columns there are without reading rows, narrows itself to some of them, and hands out its rows as
frames in memory, one piece after the other. `Work` is what is done to the pieces. Engines that hold their rows on
other processes or machines run it there, once for each of their partitions, and send back summaries alone.

Engines are recognised by the package their class comes from, so none is imported unless the user's object shows that
it is there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import pandas as pd
from attrs import evolve, frozen

from mlopskit.errors import DataError, MissingExtra
from mlopskit.frames import tables
from mlopskit.frames.reading import Frame

T = TypeVar("T")

_ROWS = 1 << 18
"""Rows of a piece, where the engine asks: enough to make Python's share small, few enough to need little memory."""
_FAN_IN = 8


@frozen
class Work(Generic[T]):
    """What is summed up over pieces, on whichever machine they are.

    Parameters
    ----------
    names
        The columns that every piece has to have, in any order; None where the first piece decides.
    start
        Given the number of a partition, returns the function that turns one of its pieces into a summary.
    add
        The sum of two summaries.
    dump, load
        A summary as something that can be sent, and back.
    ahead
        Whether engines on this machine may read the next piece in a thread while one is summed up.
    """

    names: tuple[str, ...] | None
    start: Callable[[int], Callable[[Frame], T]]
    add: Callable[[T, T], T]
    dump: Callable[[T], Any]
    load: Callable[[Any], T]
    ahead: bool = False

    def sums(self, pieces: Iterable[Frame], partition: int | None = None) -> list[T]:
        """Return the sum over the pieces as a list of one, or of none where there is nothing to sum up.

        Pieces without rows may lack their types: they count only where no piece has rows, and not in a partition.
        """
        one = self.start(partition or 0)
        total: list[T] = []
        empty: list[Frame] = []
        for position, piece in enumerate(same_columns(pieces, self.names, partition)):
            if tables.n_rows(piece) == 0:
                empty = empty or [piece]
                continue
            with _Placed(position, partition):
                part = one(piece)
                total = [self.add(total[0], part) if total else part]
        return total if total or partition is not None else [one(piece) for piece in empty]

    def sent(self, pieces: Iterable[Frame], partition: int) -> list[Any]:
        """Return the sum over one partition, dumped, as a list of one, or of none where it has no rows."""
        return list(map(self.dump, self.sums(pieces, partition)))

    def joined(self, parts: Iterable[Iterable[Any]]) -> list[Any]:
        """Return the sum of dumped sums, dumped again, as a list of one or none."""
        return list(map(self.dump, self.folded(parts)))

    def folded(self, parts: Iterable[Iterable[Any]]) -> list[T]:
        """Return the sum of dumped sums as a list of one or none."""
        total: list[T] = []
        for part in (self.load(dumped) for group in parts for dumped in group):
            total = [self.add(total[0], part) if total else part]
        return total


class _Placed:
    """Says where bad data were found."""

    def __init__(self, position: int, partition: int | None = None) -> None:
        self.place = f"piece {position}" if partition is None else f"partition {partition}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if kind is DataError:
            raise DataError(f"{self.place} of the data, counted from 0: {error}") from error


def same_columns(
    pieces: Iterable[Frame], expected: Sequence[str] | None = None, partition: int | None = None
) -> Iterator[Frame]:
    """Yield the pieces; refuse one whose columns are not those expected, or those of the first piece."""
    for position, piece in enumerate(pieces):
        found = tables.names(piece)
        expected = found if expected is None else expected
        if sorted(found) != sorted(expected):
            gone, new = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
            with _Placed(position, partition):
                raise DataError(f"missing column(s) {gone}, new column(s) {new}; expected {list(expected)}")
        yield piece


@frozen
class Batches:
    """Frames that come one after the other, read anew each time they are iterated where their source allows it.

    Parameters
    ----------
    names
        The columns of each frame.
    read
        Starts reading.
    ahead
        Whether another thread may read.
    """

    names: tuple[str, ...]
    read: Callable[[], Iterator[Frame]]
    ahead: bool

    def __iter__(self) -> Iterator[Frame]:
        return self.read()


@frozen
class Source(ABC):
    """Data that can be read piece by piece; see the module for what a subclass says."""

    data: Any

    package: ClassVar[str]
    mark: ClassVar[str]

    @classmethod
    def owns(cls, data: object) -> bool:
        """Whether this class reads `data`: by the package of its class and a method that only such classes have."""
        return tables.root(data) == cls.package and hasattr(type(data), cls.mark)

    @property
    def ahead(self) -> bool:
        """Whether another thread may read the pieces."""
        return True

    @abstractmethod
    def names(self) -> list[str]:
        """Return the column names without reading rows."""

    def select(self, wanted: list[str]) -> Any:
        """Return the same data with these columns; refuse names that are missing or stand twice."""
        tables.check_names(self.names(), wanted)
        return self.narrow(wanted)

    def narrow(self, wanted: list[str]) -> Any:
        """Return the same data with these columns, once they are known to be there; by the engine where it can."""
        return Batches(tuple(wanted), lambda: _chosen(self.pieces(), wanted), self.ahead)

    @abstractmethod
    def pieces(self) -> Iterator[Frame]:
        """Yield frames in memory; one without rows where there are no rows."""

    def sums(self, work: Work[T]) -> list[T]:
        """Return the sum over all pieces as a list of one, or of none where there are no pieces."""
        return work.sums(_ahead(self.pieces()) if work.ahead and self.ahead else self.pieces())


def _ahead(pieces: Iterator[Frame]) -> Iterator[Frame]:
    """Yield the pieces; the next one is read in a thread of its own meanwhile."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = reader.submit(next, pieces, None)
            yield piece


class _InMemory(Source):
    """A frame in memory is its own single piece."""

    @classmethod
    def owns(cls, data: object) -> bool:
        return tables.is_frame(data)

    def names(self) -> list[str]:
        return tables.names(self.data)

    def narrow(self, wanted: list[str]) -> Any:
        return tables.chosen(self.data, wanted)

    def pieces(self) -> Iterator[Frame]:
        yield self.data

    def sums(self, work: Work[T]) -> list[T]:
        return [work.start(0)(self.data)]


class _Stream(Source):
    """Any iterable of frames, such as a generator; its columns show only when it is read."""

    @classmethod
    def owns(cls, data: object) -> bool:
        held = (str, bytes, Sequence, Set, Mapping, np.ndarray, pd.Series, pd.Index)
        return isinstance(data, Iterable) and not isinstance(data, held) and not _is_ours(data)

    def names(self) -> list[str]:
        if isinstance(self.data, Batches):
            return list(self.data.names)
        raise DataError("a stream of frames shows its columns only when it is read: name the columns you want")

    def select(self, wanted: list[str]) -> Any:
        return super().select(wanted) if isinstance(self.data, Batches) else self.narrow(wanted)

    def pieces(self) -> Iterator[Frame]:
        for item in self.data:
            yield from source(item).pieces()

    @property
    def ahead(self) -> bool:
        return isinstance(self.data, Batches) and self.data.ahead  # a user's iterator may be bound to its thread


def _chosen(pieces: Iterable[Frame], wanted: list[str]) -> Iterator[Frame]:
    for position, piece in enumerate(pieces):
        with _Placed(position):
            kept = tables.chosen(piece, wanted)
        yield kept


class _PolarsLazy(Source):
    """A polars LazyFrame, collected in batches by the streaming engine."""

    package, mark = "polars", "collect_batches"

    def names(self) -> list[str]:
        return list(self.data.collect_schema().names())

    def narrow(self, wanted: list[str]) -> Any:
        return self.data.select(tables.polars_names(wanted))

    def pieces(self) -> Iterator[Frame]:
        batches = self.data.collect_batches(chunk_size=_ROWS, engine="streaming")
        return _some(batches, lambda: self.data.head(0).collect())


class _DuckDB(Source):
    """A DuckDB relation, fetched in Arrow batches; its connection runs no other query meanwhile."""

    package, mark = "duckdb", "project"

    def names(self) -> list[str]:
        return list(self.data.columns)

    def narrow(self, wanted: list[str]) -> Any:
        import duckdb

        return self.data.project(*[duckdb.ColumnExpression(name) for name in wanted])

    def pieces(self) -> Iterator[Frame]:
        require("pyarrow", "duckdb")
        kind = type(self.data)
        fetch = getattr(kind, "to_arrow_reader", None) or kind.fetch_record_batch
        reader = fetch(self.data, _ROWS)
        try:
            yield from _some(reader, reader.schema.empty_table)
        finally:
            reader.close()


class _ArrowDataset(Source):
    """A pyarrow dataset."""

    package, mark = "pyarrow", "get_fragments"

    def names(self) -> list[str]:
        return list(self.data.schema.names)

    def narrow(self, wanted: list[str]) -> Any:
        return Batches(tuple(wanted), lambda: self._batches(wanted), self.ahead)

    def pieces(self) -> Iterator[Frame]:
        return self._batches(None)

    def _batches(self, wanted: list[str] | None) -> Iterator[Frame]:
        scanner = self.data.scanner(columns=wanted, batch_size=_ROWS, fragment_readahead=1, batch_readahead=4)
        return _some(scanner.to_batches(), scanner.projected_schema.empty_table)


class _ArrowScanner(Source):
    """A pyarrow Scanner."""

    package, mark = "pyarrow", "projected_schema"

    def names(self) -> list[str]:
        return list(self.data.projected_schema.names)

    def pieces(self) -> Iterator[Frame]:
        return _some(self.data.to_batches(), self.data.projected_schema.empty_table)


class _ArrowReader(Source):
    """A pyarrow RecordBatchReader, which can be read once."""

    package, mark = "pyarrow", "read_next_batch"

    def names(self) -> list[str]:
        return list(self.data.schema.names)

    def pieces(self) -> Iterator[Frame]:
        return _some(self.data, self.data.schema.empty_table)


class _ArrowParquet(Source):
    """An open parquet file of pyarrow."""

    package, mark = "pyarrow", "iter_batches"

    def names(self) -> list[str]:
        return list(self.data.schema_arrow.names)

    def narrow(self, wanted: list[str]) -> Any:
        return Batches(tuple(wanted), lambda: self._batches(wanted), self.ahead)

    def pieces(self) -> Iterator[Frame]:
        return self._batches(None)

    def _batches(self, wanted: list[str] | None) -> Iterator[Frame]:
        import pyarrow as pa

        have = self.data.schema_arrow
        fields = list(have) if wanted is None else [have.field(name) for name in wanted]
        narrow = pa.schema(fields)
        batches = self.data.iter_batches(_ROWS, columns=wanted)
        return _some((batch if wanted is None else batch.select(wanted) for batch in batches), narrow.empty_table)


def _some(batches: Iterable[Frame], empty: Callable[[], Frame]) -> Iterator[Frame]:
    """Yield the batches, or a frame without rows where there are none."""
    found = False
    for batch in batches:
        found = True
        yield batch
    if not found:
        yield empty()


class _Distributed(Source):
    """Rows that stay where they are: only summaries come back."""

    def pieces(self) -> Iterator[Frame]:
        raise DataError(
            f"the rows of this {tables.root(self.data)} {type(self.data).__name__} stay where they are: use "
            "frames.summarise or frames.sample, or hand over an iterator of its partitions"
        )


class _Dask(_Distributed):
    """A Dask DataFrame: each partition is summed up by the task that makes it, then the sums by a tree of tasks."""

    package, mark = "dask", "to_delayed"

    @classmethod
    def owns(cls, data: object) -> bool:
        return super().owns(data) and getattr(data, "ndim", 0) == 2

    def names(self) -> list[str]:
        return [str(name) for name in self.data.columns]

    def narrow(self, wanted: list[str]) -> Any:
        have = self.names()
        return self.data[[self.data.columns[have.index(name)] for name in wanted]]

    def sums(self, work: Work[T]) -> list[T]:
        from dask import delayed

        work = evolve(work, names=tuple(self.names()))
        joined = delayed(work.joined, pure=False)
        parts = self.data.map_partitions(_one_cell, work, meta=pd.Series([], dtype=object)).to_delayed()
        while len(parts) > 1:
            parts = [joined(parts[i : i + _FAN_IN]) for i in range(0, len(parts), _FAN_IN)]
        return work.folded([parts[0].compute()]) or work.sums([self.data.partitions[0].compute()])


def _one_cell(rows: Frame, work: Work[Any], partition_info: Any = None) -> pd.Series[Any]:
    """Return the dumped sum of a Dask partition; the engine itself sets `partition_info`, for it knows that name."""
    sent = work.sent([rows], partition_info["number"])
    cells = np.empty(len(sent), dtype=object)
    cells[:] = sent
    return pd.Series(cells)


class _Spark(_Distributed):
    """A Spark DataFrame: each partition becomes one row that holds its sum."""

    package, mark = "pyspark", "mapInArrow"

    def names(self) -> list[str]:
        return list(self.data.columns)

    def narrow(self, wanted: list[str]) -> Any:
        return self.data.select(*["`" + name.replace("`", "``") + "`" for name in wanted])

    def sums(self, work: Work[T]) -> list[T]:
        require("pyarrow", "spark")
        names = self.names()
        plain = self.data.toDF(*[f"c{i}" for i in range(len(names))])  # the mapping trips over dots and doubled names
        work = evolve(work, names=tuple(names))
        rows = plain.mapInArrow(_one_row(work), "summary binary, problem string").collect()
        problem = next((row.problem for row in rows if row.problem is not None), None)
        if problem is not None:
            raise DataError(problem)
        return work.folded([bytes(row.summary)] for row in rows) or work.sums([self.data.limit(0).toArrow()])


def _one_row(work: Work[Any]) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def summed(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa
        from pyspark import TaskContext

        context = TaskContext.get()
        tables = (table.rename_columns(work.names) for table in _gathered(batches))
        try:
            found: list[tuple[Any, Any]] = [
                (summary, None) for summary in work.sent(tables, context.partitionId() if context else 0)
            ]
        except DataError as error:
            found = [(None, str(error))]
        for summary, problem in found:
            row = {"summary": pa.array([summary], pa.binary()), "problem": pa.array([problem], pa.string())}
            yield pa.RecordBatch.from_pydict(row)

    return summed


def _gathered(batches: Iterable[Any]) -> Iterator[Any]:
    """Put small Arrow batches together, so that Python's share stays small."""
    import pyarrow as pa

    held: list[Any] = []
    for batch in batches:
        held.append(batch)
        if sum(b.num_rows for b in held) >= _ROWS:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def require(package: str, extra: str) -> None:
    """Refuse to go on without an optional package."""
    try:
        __import__(package)
    except ImportError as error:
        raise MissingExtra.of(package, extra) from error


ACCEPTED = (
    "a pandas or polars DataFrame, a pyarrow Table or RecordBatch, a dict of columns, a numpy array of records, "
    "an iterator of these, a polars LazyFrame, a DuckDB relation, a pyarrow dataset, reader or ParquetFile, "
    "or a Dask or Spark DataFrame"
)
_SOURCES: tuple[type[Source], ...] = (
    _InMemory,
    _PolarsLazy,
    _DuckDB,
    _ArrowDataset,
    _ArrowScanner,
    _ArrowReader,
    _ArrowParquet,
    _Dask,
    _Spark,
    _Stream,
)
_EXTRAS = {"polars": "polars", "duckdb": "duckdb", "dask": "dask", "pyspark": "spark"}


def _is_ours(data: object) -> bool:
    return tables.root(data) in {"polars", "pyarrow", "duckdb", "dask", "pyspark"}


def source(data: object) -> Source:
    """Return how to read `data`.

    Raises
    ------
    DataError
        When it is nothing that can be read as a frame, or as pieces of one.
    """
    found = next((kind for kind in _SOURCES if kind.owns(data)), None)
    if found is not None:
        return found(data)
    raise DataError(f"got {tables.root(data)} {type(data).__name__}; expected {ACCEPTED}{_hint(data)}")


def _hint(data: object) -> str:
    if isinstance(data, (list, tuple)):
        return ". Frames in a list are read as pieces of one by iter(...)"
    if isinstance(data, np.ndarray):
        return ". The columns of an array get their names by dict(zip(names, array.T))"
    extra = _EXTRAS.get(tables.root(data))
    return "" if extra is None else f". The versions of it that are read come with pip install 'mlopskit[{extra}]'"
