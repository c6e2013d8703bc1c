"""Every prediction that was given, and the label that came later: two tables joined by id.

A row is one question asked of one role: the champion's answer, or a shadow's answer to the same row. Its label arrives
once, hours or months later, and belongs to the id. What was acknowledged is on disk: a batch is one transaction, all of
it or nothing, and survives `kill -9`.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from attrs import define, field
from numpy.typing import NDArray

from mlopskit import frames
from mlopskit.errors import ConfigurationError, DataError, DuplicateId, FormatError, StorageError
from mlopskit.formats import decode, encode

Role = Literal["champion", "shadow"]

MEMORY = ":memory:"
PROTOCOL = 1
BUSY_SECONDS = 60.0
CHUNK = 500

_TABLES = (
    "CREATE TABLE predictions (seq BIGINT PRIMARY KEY, id TEXT NOT NULL, role TEXT NOT NULL, version TEXT, "
    "at TEXT NOT NULL, time TEXT, value TEXT NOT NULL, score TEXT, UNIQUE (id, role))",
    "CREATE INDEX predictions_role_at ON predictions (role, at)",
    "CREATE TABLE labels (id TEXT PRIMARY KEY, at TEXT NOT NULL, value TEXT NOT NULL)",
)
_inherited: list[sqlite3.Connection] = []
"""Connections opened before a fork: SQLite forbids closing them in the child, so they are kept, unused."""


def _fspath(path: str | os.PathLike[str]) -> str:
    """Return the path as text, free of the working directory."""
    return MEMORY if path == MEMORY else str(Path(path).absolute())


@define(eq=False)
class PredictionLog:
    """Predictions and late labels in one SQLite file (write-ahead log), for several threads and processes at once.

    Parameters
    ----------
    path
        The file, made when it does not exist yet, on a local disk; ":memory:" keeps everything in memory.

    Raises
    ------
    StorageError
        When the path is a directory, lies in a folder that does not exist, or holds something else; later, when the
        file cannot be read or written, or the log was closed.

    Examples
    --------
    >>> with PredictionLog(":memory:") as log:
    ...     ids = log.record([True, False], ids=["a", "b"])
    ...     log.record_labels(["b"], [True])
    ...     print(log.labelled()[["id", "value", "y"]])
      id  value     y
    0  b  False  True
    """

    path: str = field(converter=_fspath)
    _connection: sqlite3.Connection | None = field(init=False, repr=False)
    _lock: threading.RLock = field(init=False, repr=False, factory=threading.RLock)
    _pid: int = field(init=False, repr=False, factory=os.getpid)

    def __attrs_post_init__(self) -> None:
        self._connection = _open(self.path)

    def record(
        self,
        predictions: Any,
        *,
        ids: Any = None,
        times: Any = None,
        role: Role = "champion",
        now: dt.datetime | None = None,
    ) -> tuple[str, ...]:
        """Write a batch of predictions and return their ids; when this returns, they are on disk.

        Parameters
        ----------
        predictions
            `Predictions`, or a plain array of shape (n_rows,): numbers, text or booleans.
        ids
            One id for each row; without them the predictions' own, or new unique ones.
        times
            The rows' own times, shape (n_rows,), as datetimes (naive ones are UTC); missing ones stay unknown.
        role
            "champion" or "shadow": each role answers a row once.
        now
            When the predictions were made; by default the wall clock.

        Raises
        ------
        DuplicateId
            When an id stands twice, or this role answered it before; nothing of the batch is written.
        DataError
            When lengths differ, an id is missing, or a value is no number, text or boolean.

        Examples
        --------
        >>> PredictionLog(":memory:").record([0.3], ids=[17])
        ('17',)
        """
        if role not in ("champion", "shadow"):
            raise ConfigurationError(f"role={role!r}: expected 'champion' or 'shadow'")
        values = _texts(getattr(predictions, "values", None) if hasattr(predictions, "scores") else predictions)
        names = _ids(getattr(predictions, "ids", None) if ids is None else ids, len(values))
        scores = _score_texts(getattr(predictions, "scores", None), len(values))
        stamps = _time_texts(times, len(values))
        version, at = getattr(predictions, "version", None), _moment(now)
        with self._transaction() as connection:
            _refuse_twice(names, _known(connection, "predictions", names, role), f"predictions of the {role}")
            (start,) = connection.execute("SELECT COALESCE(MAX(seq), -1) + 1 FROM predictions").fetchone()
            connection.executemany(
                "INSERT INTO predictions (seq, id, role, version, at, time, value, score) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(start + i, name, role, version, at, stamps[i], values[i], scores[i]) for i, name in enumerate(names)],
            )
        return tuple(names)

    def record_labels(self, ids: Any, y: Any, *, now: dt.datetime | None = None) -> None:
        """Write the labels of rows that were predicted before; when this returns, they are on disk.

        Parameters
        ----------
        ids
            One id for each label, as `record` returned them.
        y
            The labels, shape (n_labels,): numbers, text or booleans. A row that never gets a label is simply not sent.
        now
            When the labels arrived; by default the wall clock.

        Raises
        ------
        DuplicateId
            When an id stands twice or has a label already.
        DataError
            When lengths differ, a label is missing, or an id was never logged; nothing is written in these cases.

        Examples
        --------
        >>> log = PredictionLog(":memory:")
        >>> ids = log.record(["late", "in time"], ids=["a", "b"])
        >>> log.record_labels(ids, ["late", "late"])
        >>> len(log.unlabelled())
        0
        """
        values = _texts(y)
        names = _ids(ids, len(values))
        missing = [name for name, value in zip(names, values, strict=True) if value == "null"]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(names)} labels are missing, first ids {missing[:3]}: "
                "leave out the rows that have no label (yet)"
            )
        at = _moment(now)
        with self._transaction() as connection:
            logged = _known(connection, "predictions", names)
            unknown = [name for name in names if name not in logged]
            if unknown:
                raise DataError(
                    f"{len(unknown)} of {len(names)} ids were never logged, first {unknown[:3]}: "
                    "record the prediction before its label, under the same id"
                )
            _refuse_twice(names, _known(connection, "labels", names), "labels")
            connection.executemany(
                "INSERT INTO labels (id, at, value) VALUES (?, ?, ?)",
                [(name, at, value) for name, value in zip(names, values, strict=True)],
            )

    def labelled(
        self,
        *,
        role: Role = "champion",
        version: str | None = None,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
    ) -> pd.DataFrame:
        """Return the predictions whose label has arrived, in the order of recording.

        Parameters
        ----------
        role
            Whose predictions.
        version
            Only those of this version, "name:number".
        since, until
            Only those made at or after `since` and before `until`.

        Returns
        -------
        DataFrame
            Columns id, version, at (made), time (the row's own), value, score (or score_0, score_1, ... where there are
            several for a row) and y, the label. Values and labels have the type they came with; times are UTC.

        Examples
        --------
        >>> log = PredictionLog(":memory:")
        >>> ids = log.record([3, 4], ids=["a", "b"])
        >>> log.record_labels(["a"], [5])
        >>> log.labelled()[["id", "value", "y"]].values.tolist()
        [['a', 3, 5]]
        """
        return self._read("JOIN labels l ON l.id = p.id", role, version, since, until, y="l.value")

    def unlabelled(
        self,
        *,
        role: Role = "champion",
        version: str | None = None,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
    ) -> pd.DataFrame:
        """Return the predictions without a label so far; as `labelled`, without y.

        Examples
        --------
        >>> log = PredictionLog(":memory:")
        >>> ids = log.record([3, 4], ids=["a", "b"])
        >>> log.record_labels(["a"], [5])
        >>> log.unlabelled()["id"].tolist()
        ['b']
        """
        join = "LEFT JOIN labels l ON l.id = p.id"
        return self._read(join, role, version, since, until, where="l.id IS NULL")

    def predictions(
        self,
        *,
        role: Role = "champion",
        version: str | None = None,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
    ) -> pd.DataFrame:
        """Return the predictions, labelled or not; as `labelled`, without y.

        Examples
        --------
        >>> log = PredictionLog(":memory:")
        >>> ids = log.record([3, 4], ids=["a", "b"])
        >>> log.predictions()["value"].tolist()
        [3, 4]
        """
        return self._read("", role, version, since, until)

    def __len__(self) -> int:
        """Return the number of predictions, of both roles."""
        return int(self._query("SELECT COUNT(*) FROM predictions", [])[0][0])

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(
        self,
        join: str,
        role: str,
        version: str | None,
        since: dt.datetime | None,
        until: dt.datetime | None,
        *,
        y: str | None = None,
        where: str = "",
    ) -> pd.DataFrame:
        conditions = [("p.role = ?", role)]
        conditions += [("p.version = ?", version)] if version is not None else []
        conditions += [("p.at >= ?", _moment(since))] if since is not None else []
        conditions += [("p.at < ?", _moment(until))] if until is not None else []
        clause = " AND ".join([text for text, _ in conditions] + ([where] if where else []))
        wanted = "p.id, p.version, p.at, p.time, p.value, p.score" + (f", {y}" if y else "")
        rows = self._query(
            f"SELECT {wanted} FROM predictions p {join} WHERE {clause} ORDER BY p.seq",
            [value for _, value in conditions],
        )
        return _frame(rows, labelled=y is not None)

    def _query(self, sql: str, values: Sequence[Any]) -> list[Any]:
        with self._session() as connection:
            return connection.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all or nothing; the write lock is taken first, so that what was checked still holds at the insert."""
        with self._session() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _session(self) -> Iterator[sqlite3.Connection]:
        if self._pid != os.getpid():
            self._reopen()
        with self._lock:
            if self._connection is None:
                raise StorageError(f"the prediction log at {self.path!r} is closed: open it again")
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise StorageError(f"the prediction log at {self.path!r} cannot be used: {error}") from error

    def _reopen(self) -> None:  # pragma: no cover - runs in forked children, where the tests do not count
        """Open the file anew in a forked process, whose inherited connection SQLite forbids to use."""
        self._lock, self._pid = threading.RLock(), os.getpid()
        if self._connection is None:
            return
        _inherited.append(self._connection)
        self._connection = None
        if self.path == MEMORY:
            raise StorageError("a log in memory does not cross a fork: give it a file")
        self._connection = _open(self.path)


def _open(path: str) -> sqlite3.Connection:
    if path != MEMORY and Path(path).is_dir():
        raise StorageError(f"path={path!r} is a directory; expected a file for the prediction log")
    if path != MEMORY and not Path(path).parent.is_dir():
        raise StorageError(f"path={path!r}: the folder {str(Path(path).parent)!r} does not exist: make it first")
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        _prepare(connection)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise StorageError(f"path={path!r} cannot be used as a prediction log: {error}") from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables where there are none, and refuse those of a later release."""
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE IF NOT EXISTS mlopskit_log (protocol INTEGER NOT NULL)")
    found = connection.execute("SELECT MAX(protocol) FROM mlopskit_log").fetchone()[0]
    if found is None:
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute("INSERT INTO mlopskit_log (protocol) VALUES (?)", [PROTOCOL])
    elif found > PROTOCOL:
        raise FormatError(
            f"this log has protocol {found}, newer than this release reads (up to {PROTOCOL}): upgrade mlopskit"
        )
    connection.execute("COMMIT")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; SQLite does not wait for a lock on this one statement, so ask until it is free."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _moment(value: dt.datetime | None) -> str:
    """Return a time stamp as text of one width, so that the order of the text is the order of time."""
    return frames.utc(value).isoformat(timespec="microseconds")


def _ids(ids: Any, n: int) -> list[str]:
    if ids is None:
        batch = uuid.uuid4().hex
        return [f"{batch}-{i}" for i in range(n)]
    names = frames.keys(ids)
    if len(names) != n:
        raise DataError(f"got {len(names)} ids for {n} rows: give one for each")
    return names


def _texts(values: Any) -> list[str]:
    """Return each value as JSON text, which keeps its type; missing ones as "null"."""
    if getattr(values, "ndim", 1) != 1:
        raise DataError(f"got values of shape {values.shape}; expected one value for each row")
    column = frames.column(values)
    if column.kind in {"datetime", "duration"}:
        raise DataError(f"got values of kind {column.kind!r}; expected numbers, text or booleans")
    levels = column.levels
    cells = column.values.tolist() if levels is None else [levels[code] for code in column.values]
    return ["null" if missing else _text(cell) for cell, missing in zip(cells, column.missing.tolist(), strict=True)]


def _text(value: Any) -> str:
    if not isinstance(value, (bool, int, float, str, np.generic)):
        raise DataError(f"got a value of type {type(value).__name__!r}; expected numbers, text or booleans")
    return json.dumps(encode(value))


def _score_texts(scores: Any, n: int) -> list[str | None]:
    if scores is None:
        return [None] * n
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim not in (1, 2) or len(array) != n:
        raise DataError(f"got scores of shape {array.shape} for {n} rows; expected ({n},) or ({n}, n_classes)")
    return [json.dumps(encode(score)) for score in array.tolist()]


def _time_texts(times: Any, n: int) -> list[str | None]:
    if times is None:
        return [None] * n
    column = frames.column(times)
    if column.kind != "datetime" and not column.null.all():
        raise DataError(f"got times of kind {column.kind!r}; expected datetimes: convert with pd.to_datetime")
    if len(column) != n:
        raise DataError(f"got {len(column)} times for {n} rows: give one for each")
    stamps: NDArray[Any] = np.where(column.null, 0, column.values).astype(np.int64).view("M8[ns]")
    text = np.datetime_as_string(stamps, unit="ns").tolist()
    return [None if null else stamp for stamp, null in zip(text, column.null.tolist(), strict=True)]


def _known(connection: sqlite3.Connection, table: str, ids: list[str], role: str | None = None) -> set[str]:
    """Return which of these ids the table holds."""
    found: set[str] = set()
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        sql = f"SELECT id FROM {table} WHERE id IN ({', '.join('?' * len(chunk))})"
        extra = [] if role is None else [role]
        rows = connection.execute(sql + (" AND role = ?" if extra else ""), [*chunk, *extra])
        found.update(name for (name,) in rows)
    return found


def _refuse_twice(ids: list[str], known: set[str], what: str) -> None:
    seen, twice = set(known), []
    for name in ids:
        if name in seen:
            twice.append(name)
        seen.add(name)
    if twice:
        raise DuplicateId(
            f"{len(twice)} of {len(ids)} ids were seen before among the {what}, first {twice[:3]}: "
            "nothing was written; a retried job must leave out what was acknowledged"
        )


def _frame(rows: list[Any], *, labelled: bool) -> pd.DataFrame:
    ids, versions, made, times, values, scores, *y = zip(*rows, strict=True) if rows else [()] * (6 + labelled)
    columns = {
        "id": pd.Series(ids, dtype="str"),
        "version": pd.Series(versions, dtype="str"),
        "at": pd.Series(pd.to_datetime(pd.Series(made, dtype="str"), utc=True, format="ISO8601")),
        "time": _stamps(times),
        "value": _restored(values),
        **_score_columns(_decoded(scores)),
    }
    return pd.DataFrame(columns | ({"y": _restored(y[0])} if labelled else {}))


def _stamps(texts: Sequence[str | None]) -> pd.Series[Any]:
    stamps = np.array([np.datetime64("NaT") if text is None else text for text in texts], dtype="M8[ns]")
    return pd.Series(pd.DatetimeIndex(stamps, tz="UTC"))


def _decoded(texts: Sequence[str | None]) -> list[Any]:
    return [decode(cell) for cell in json.loads(f"[{','.join(text or 'null' for text in texts)}]")]


def _restored(texts: Sequence[str]) -> pd.Series[Any]:
    """Return values of one type as that type; a mixture stays what it was, as objects."""
    values = _decoded(texts)
    kinds = {type(value) for value in values}
    if len(kinds) == 1 and kinds != {type(None)}:
        return pd.Series(values)
    return pd.Series(values, dtype=np.float64 if kinds == {float, type(None)} else object)


def _score_columns(scores: list[Any]) -> dict[str, NDArray[np.float64]]:
    """Return "score" for single scores, "score_0", "score_1", ... for several; NaN where a row has none."""
    wide = max((len(score) for score in scores if isinstance(score, tuple)), default=0)
    columns: dict[str, NDArray[np.float64]] = {}
    if not wide or any(isinstance(score, float) for score in scores):
        columns["score"] = np.array([s if isinstance(s, float) else np.nan for s in scores], dtype=np.float64)
    for j in range(wide):
        cells = [s[j] if isinstance(s, tuple) and j < len(s) else np.nan for s in scores]
        columns[f"score_{j}"] = np.array(cells, dtype=np.float64)
    return columns
