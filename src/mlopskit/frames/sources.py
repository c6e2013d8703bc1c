"""Data of any size, from anywhere, in one pass: pieces, sums over pieces, fingerprints and samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mlopskit.errors import ConfigurationError, DataError
from mlopskit.frames import tables
from mlopskit.frames.content import add_fingerprints, fingerprint_of
from mlopskit.frames.engines import Work, same_columns, source
from mlopskit.frames.reading import Frame
from mlopskit.frames.tables import n_rows

T = TypeVar("T")


def names(data: Any) -> list[str]:
    """Return the column names in order, duplicates kept, of a frame or of a source that is not in memory.

    No rows are read.

    >>> names({"a": [1], "b": [2]})
    ['a', 'b']

    Raises
    ------
    DataError
        When the data are a stream, whose columns show only when it is read.
    """
    return source(data).names()


def select(data: Any, wanted: Sequence[str]) -> Any:
    """Return these columns in this order; other columns are left out, and not read where the engine can help it.

    A frame in memory comes back as the same type of frame, an engine's source as that engine's (a LazyFrame, a
    relation), and pieces as `Batches`, an iterable of frames.

    Raises
    ------
    DataError
        When a column is missing or stands twice; in a stream, when the piece that lacks it is reached.
    """
    return source(data).select(list(wanted))


def drop(data: Any, unwanted: Iterable[str]) -> Any:
    """Return the data without these columns; names they do not have are ignored."""
    gone = set(unwanted)
    return select(data, [name for name in names(data) if name not in gone])


def pieces(data: Any) -> Iterator[Frame]:
    """Yield frames in memory that together hold every row once; memory does not grow with the number of rows.

    Parameters
    ----------
    data
        A frame in memory, which is its own single piece; an iterable of frames (`pd.read_csv(chunksize=...)`,
        `ParquetFile.iter_batches()`, a generator; a list only as `iter(frames)`); a polars LazyFrame, collected in
        streaming batches; a DuckDB relation, whose connection runs no other query until the last piece; a pyarrow
        dataset, Scanner, RecordBatchReader or ParquetFile. A source without rows yields one piece without rows.

    Raises
    ------
    DataError
        When a piece has other columns than the first (the message says which piece), when the data are nothing that
        can be read, and for Dask and Spark, whose rows stay where they are: see `summarise`.

    Examples
    --------
    >>> [n_rows(piece) for piece in pieces(iter([{"a": [1, 2]}, {"a": [3]}]))]
    [2, 1]
    """
    return same_columns(source(data).pieces())


def summarise(
    data: Any,
    one: Callable[[Frame], T],
    add: Callable[[T, T], T],
    *,
    dump: Callable[[T], bytes],
    load: Callable[[bytes], T],
) -> T:
    """Return the sum of `one(piece)` over all pieces of the data, in one pass.

    Parameters
    ----------
    data
        Whatever `pieces` takes, and Dask and Spark DataFrames: there `one` runs where the rows are, once or more often
        for each partition, and summaries alone travel. Dask uses the scheduler that the user has set.
    one
        The summary of one frame in memory: pandas from Dask, pyarrow from Spark, DuckDB and pyarrow, polars from
        polars. On a cluster it is pickled, so it and what it needs have to be importable there.
    add
        The sum of two summaries; associative. Neighbours are added in order.
    dump, load
        A summary as bytes, and back; used on clusters only.

    Pieces without rows are left out, because their types may be unknown; where no piece has rows the first stands for
    all.

    Raises
    ------
    DataError
        When there are no pieces at all, a piece has other columns than the others, or `one` raises it: the message
        names the piece or the partition.
    MissingExtra
        When the engine hands its rows on through a package that is not installed.

    Examples
    --------
    >>> halves = iter([{"a": [1, 2]}, {"a": [3]}])
    >>> summarise(halves, n_rows, int.__add__, dump=lambda n: str(n).encode(), load=int)
    3
    """
    return accumulate(data, lambda _partition: one, add, dump=dump, load=load)


def accumulate(
    data: Any,
    start: Callable[[int], Callable[[Frame], T]],
    add: Callable[[T, T], T],
    *,
    dump: Callable[[T], bytes],
    load: Callable[[bytes], T],
    ahead: bool = False,
) -> T:
    """Return what `summarise` returns, where the summary of a piece may build on those before it.

    `start(partition)` returns the function that summarises the pieces of one partition, one after the other; data that
    are not on a cluster are a single partition, 0. Whatever such a function remembers is its partition's own. With
    `ahead`, engines on this machine read the next piece in a thread of its own.
    """
    return _total(data, Work(None, start, add, dump, load, ahead))


def _total(data: Any, work: Work[T]) -> T:
    found = source(data).sums(work)
    if not found:
        raise DataError("there are no pieces, so no columns: give at least one frame, which may have no rows")
    return found[0]


def fingerprint(data: Any) -> str:
    """Return 128 bits that identify the content: free of row order, equal across engines, changed by any cell.

    The rows' hashes are mixed in two ways and summed modulo 2**64, so fingerprints of parts add up to that of the whole
    (`add_fingerprints`), and any source is read in one pass. Column order does not matter, names and values do; values
    are compared as numbers, texts and instants, whatever their storage. It detects accidents; it is no defence against
    a forger.

    >>> fingerprint({"a": [1, 2]}) == fingerprint({"a": [2, 1]})
    True
    """
    return summarise(data, _fingerprint, add_fingerprints, dump=str.encode, load=bytes.decode)


def _fingerprint(piece: Frame) -> str:
    return fingerprint_of(tables.columns(piece))


def sample(data: Any, n: int, seed: int) -> Frame:
    """Return a uniform sample of at most n rows without replacement, in one pass, in the order of the data.

    Each row draws a random number, and the n smallest stay: sums of samples are samples (bottom-k sampling). A row's
    number depends on the seed and on its position alone, so that the same rows come out however a stream is cut; on a
    cluster on its partition and its position there.

    Parameters
    ----------
    data
        Whatever `summarise` takes.
    n
        Rows to keep, at least 1. Data with at most n rows come back whole.
    seed
        An integer from 0 to 2**64 - 1.

    Returns
    -------
    Frame
        The same type of frame as the pieces, where they can be put together as such; pandas otherwise.

    Raises
    ------
    ConfigurationError
        When n or the seed is out of range.
    DataError
        As `summarise` does.

    References
    ----------
    Cohen and Kaplan, "Summarizing data using bottom-k sketches" (PODC 2007), section 2: equal weights.

    Examples
    --------
    >>> drawn = sample(iter([{"a": [1, 2]}, {"a": [3, 4]}]), 3, seed=7)
    >>> n_rows(drawn)
    3
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ConfigurationError(f"n={n!r}: expected a number of rows, at least 1")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise ConfigurationError(f"seed={seed!r}: expected an integer from 0 to 2**64 - 1")
    if tables.is_frame(data) and n_rows(data) <= n:
        return data
    n = int(n)
    work = Work(None, partial(_drawing, n, int(seed)), partial(_drawn_together, n), partial(_sent, n), _Drawn.received)
    return _total(data, work).shrunk(n).frame


@frozen
class _Drawn:
    """Rows that may be in the sample, with the number each has drawn; none above `bound` can be."""

    keys: tuple[NDArray[np.uint64], ...]
    parts: tuple[Frame, ...]
    bound: int = 2**64 - 1

    @property
    def frame(self) -> Frame:
        return tables.stacked(self.parts)

    def below(self, bound: int) -> _Drawn:
        if bound >= self.bound:
            return self
        kept = [keys <= np.uint64(bound) for keys in self.keys]
        pairs = [(k[mask], tables.take(p, mask)) for k, p, mask in zip(self.keys, self.parts, kept, strict=True)]
        return _Drawn(tuple(k for k, _ in pairs), tuple(p for _, p in pairs), bound)

    def shrunk(self, n: int) -> _Drawn:
        keys = np.concatenate(self.keys)
        if len(keys) <= n:
            return self
        kept = np.sort(np.argpartition(keys, n - 1)[:n])
        return _Drawn((keys[kept],), (tables.take(self.frame, kept),), int(keys[kept].max()))

    @staticmethod
    def received(sent: Any) -> _Drawn:
        if isinstance(sent, _Drawn):
            return sent
        import pyarrow as pa

        size = int.from_bytes(sent[:8], "little")
        keys = np.frombuffer(sent[8 : 8 + size], dtype="<u8").astype(np.uint64)
        return _Drawn((keys,), (pa.ipc.open_stream(sent[8 + size :]).read_all(),))


def _drawing(n: int, seed: int, partition: int) -> Callable[[Frame], _Drawn]:
    random = np.random.Philox(key=np.array([seed, partition], dtype=np.uint64))
    return lambda piece: _Drawn((random.random_raw(n_rows(piece)),), (piece,)).shrunk(n)


def _drawn_together(n: int, a: _Drawn, b: _Drawn) -> _Drawn:
    bound = min(a.bound, b.bound)
    a, b = a.below(bound), b.below(bound)
    both = _Drawn(a.keys + b.keys, a.parts + b.parts, bound)
    return both if sum(map(len, both.keys)) <= 2 * n else both.shrunk(n)


def _sent(n: int, drawn: _Drawn) -> Any:
    """Return rows as an engine sends them: Arrow tables as bytes, pandas frames as they are."""
    drawn = drawn.shrunk(n)
    if tables.root(drawn.parts[0]) != "pyarrow":
        return drawn
    import pyarrow as pa

    keys, sink = np.concatenate(drawn.keys).astype("<u8").tobytes(), pa.BufferOutputStream()
    frame = drawn.frame
    with pa.ipc.new_stream(sink, frame.schema) as stream:
        stream.write(frame)
    return len(keys).to_bytes(8, "little") + keys + sink.getvalue().to_pybytes()
