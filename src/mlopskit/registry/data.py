"""Data versions: immutable snapshots of tables, so that what a model was trained on can be had again."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from mlopskit import formats, frames
from mlopskit.errors import ConfigurationError, DataError, IntegrityError, NotFound
from mlopskit.evidence import Report
from mlopskit.registry.blobs import Blobs
from mlopskit.registry.log import Log
from mlopskit.registry.names import SPEC, check_name, texts
from mlopskit.registry.reports import Event, HistoryReport
from mlopskit.registry.upkeep import names_in
from mlopskit.storage import Store

if TYPE_CHECKING:
    import pandas as pd


@frozen
class DataVersion:
    """One snapshot of a table; immutable.

    Parameters
    ----------
    name, number
        Name of the table and number of the version, counted from 1.
    digest
        sha256 of the canonical manifest: the same rows in the same order give the same digest.
    fingerprint
        Order-free fingerprint of the rows (`frames.fingerprint`), as a model's lineage notes it.
    created_at
        When it was saved (UTC).
    n_rows
        Rows.
    columns
        Kind of each column by name, in order.
    chunks
        sha256 of each parquet file, in order.
    tags
        What was noted with it.
    retired
        Why it was taken out of use; None while it may be used.
    """

    name: str
    number: int
    digest: str
    fingerprint: str
    created_at: dt.datetime
    n_rows: int
    columns: Mapping[str, str] = field(converter=dict)
    chunks: tuple[str, ...] = field(repr=False)
    tags: Mapping[str, str] = field(factory=dict)
    retired: str | None = None

    @property
    def spec(self) -> str:
        """The version as `get` takes it: "name:number"."""
        return f"{self.name}:{self.number}"


@frozen
class DataDiff(Report):
    """What changed from one data version to another.

    Parameters
    ----------
    before, after
        "name:number" of the two.
    n_added, n_removed, n_same
        Rows that only the second holds, only the first, and both, each counted as often as it stands there; rows are
        compared by the columns that both have.
    added_columns, removed_columns
        Names of columns that only one of them has.
    changed_columns
        Columns of another kind: name, kind before, kind after.
    """

    before: str
    after: str
    n_added: int
    n_removed: int
    n_same: int
    added_columns: tuple[str, ...] = ()
    removed_columns: tuple[str, ...] = ()
    changed_columns: tuple[tuple[str, str, str], ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each change: change, column, n."""
        import pandas as pd

        rows: list[tuple[str, str | None, int | None]] = [("rows added", None, self.n_added)]
        rows += [("rows removed", None, self.n_removed), ("rows in both", None, self.n_same)]
        rows += [("column added", name, None) for name in self.added_columns]
        rows += [("column removed", name, None) for name in self.removed_columns]
        rows += [(f"from {old} to {new}", name, None) for name, old, new in self.changed_columns]
        return pd.DataFrame(rows, columns=["change", "column", "n"]).astype({"n": "Int64"})

    def __str__(self) -> str:
        lines = [
            f"{self.before} -> {self.after}: {self.n_added} rows added, {self.n_removed} removed, {self.n_same} kept"
        ]
        lines += [f"- column {name!r} added" for name in self.added_columns]
        lines += [f"- column {name!r} removed" for name in self.removed_columns]
        lines += [f"- column {name!r} was {old}, is {new}" for name, old, new in self.changed_columns]
        return "\n".join(lines)


class DataLog(Log):
    """What happened to one table, and what is true of it now."""

    area = "data"

    def __init__(self, store: Store, name: str, keys: tuple[bytes, ...] = (), *, packs: bool = True) -> None:
        super().__init__(store, name, keys, packs=packs)
        self.versions: list[DataVersion] = []
        self.manifests: list[dict[str, Any]] = []

    def fold(self, event: dict[str, Any], document: dict[str, Any]) -> None:
        """See `Log.fold`."""
        kind, number, at, reason = event["kind"], event["number"], event["at"], event.get("reason", "")
        if kind == "registered":
            fields = {"name": self.name, "number": number, "digest": event["digest"], "created_at": at}
            self.versions.append(DataVersion(**fields, **event["manifest"]))
            self.manifests.append(document["manifest"])
        elif kind == "retired":
            self.versions[number - 1] = evolve(self.versions[number - 1], retired=reason)
        else:
            self.removed.add(number)
        self.events.append(Event(at, kind, number, reason=reason, digest=self.versions[number - 1].digest))

    def used(self) -> set[str]:
        """See `Log.used`."""
        return {sha for v in self.versions if v.number not in self.removed for sha in v.chunks}

    def manifests_by_spec(self) -> list[tuple[str, str, Any]]:
        """See `Log.manifests_by_spec`."""
        return [(f"data {v.spec}", v.digest, m) for v, m in zip(self.versions, self.manifests, strict=True)]


class DataVersions:
    """The tables of a registry, reached as `registry.data`; needs pyarrow (the extra `parquet`).

    Examples
    --------
    >>> import mlopskit as mk
    >>> data = mk.ModelRegistry("memory://").data
    >>> data.save("flights", {"delay": [1.0, 2.0]}).spec
    'flights:1'
    >>> _ = data.save("flights", {"delay": [1.0, 2.0, 30.0]})
    >>> print(data.diff("flights:1", "flights:2"))
    flights:1 -> flights:2: 1 rows added, 0 removed, 2 kept
    """

    def __init__(self, store: Store, keys: tuple[bytes, ...] = ()) -> None:
        self._store, self._keys, self._blobs = store, keys, Blobs(store)
        self._logs: dict[str, DataLog] = {}

    def save(
        self,
        name: str,
        frame: frames.Frame,
        *,
        tags: Mapping[str, str] | None = None,
        now: dt.datetime | None = None,
    ) -> DataVersion:
        """Store a frame as the next version of a table; when this returns it is durable, and was read back.

        The rows are stored in files of some 65,000, cut where their content says so: versions share the files of the
        stretches they have in common. A pandas index is not stored.

        Parameters
        ----------
        name
            Lower case letters, digits, dot, dash and underscore; at most 100 characters.
        frame
            A frame in memory.
        tags
            Texts to note.
        now
            When; by default the wall clock.

        Returns
        -------
        DataVersion
            The new version; where the newest one holds the same rows in the same order under the same tags, that one.

        Raises
        ------
        DataError
            When a column's name stands twice, or a column holds what parquet cannot.
        MissingExtra
            When pyarrow is not installed.
        StorageError
            When the store cannot be written.
        IntegrityError
            When what was read back is not what was given.
        """
        log, at = self._log(name), frames.utc(now)
        files = frames.to_parquet(frame)
        read = frames.columns(frame)
        print_ = frames.fingerprint_of(read)
        chunks = [formats.digest(data) for data in files]
        manifest = formats.encode(
            {
                "fingerprint": print_,
                "n_rows": frames.n_rows(frame),
                "columns": [(column.name, column.kind) for column in read],
                "chunks": chunks,
                "tags": texts(tags or {}),
            }
        )
        digest = formats.digest(formats.canonical(manifest))
        log.refresh()
        if log.versions and log.versions[-1].digest == digest and not log.removed & {len(log.versions)}:
            return log.versions[-1]
        held = self._blobs.put(files)
        if frames.fingerprint(self._read(chunks, name)) != print_:
            raise IntegrityError(f"{name!r} does not survive storing: a column changes its values as parquet")
        number = 0

        def build(log: DataLog) -> dict[str, Any]:
            nonlocal number
            number = len(log.versions) + 1
            self._blobs.hold(held)
            event = {"kind": "registered", "number": number, "digest": digest}
            return {**event, "manifest": formats.decode(manifest)}

        log.append(at, build)
        self._blobs.hold(held)
        return log.versions[number - 1]

    def get(self, spec: DataVersion | str) -> DataVersion:
        """Return a version by "name:number", by "name" (the newest), or by "name@sha256:..." (its digest).

        Raises
        ------
        NotFound
            When there is none.
        ConfigurationError
            When the text is none of these.
        """
        text = spec.spec if isinstance(spec, DataVersion) else f"{spec}:0" if ":" not in spec else spec
        match = SPEC.fullmatch(text)
        if match is None or match[3] is not None:
            raise ConfigurationError(f"got {spec!r}; expected 'name:number', 'name' or 'name@sha256:digest'")
        name, digest, _, _, number = match.groups()
        found = self.versions(name)
        chosen = [v for v in found if v.digest.startswith(digest)] if digest else found[int(number) - 1 :][:1]
        if not chosen or (number is not None and int(number) > len(found)):
            raise NotFound(f"no data version {spec!r}: {name!r} has 1 to {len(found)}")
        return chosen[0]

    def find(self, fingerprint: str) -> DataVersion | None:
        """Return the oldest version that holds exactly the rows of a fingerprint, or None.

        >>> import mlopskit as mk
        >>> mk.ModelRegistry("memory://").data.find("0" * 32) is None
        True
        """
        logs = [self._log(name) for name in self.names()]
        found = [v for log in logs for v in log.versions if v.fingerprint == fingerprint]
        kept = [v for v in found if v.number not in self._log(v.name).removed]
        return min(kept or found, key=lambda v: v.created_at, default=None)

    def load(self, spec: DataVersion | str, *, columns: Iterable[str] | None = None) -> pd.DataFrame:
        """Return the rows of a version, in their order, as pandas; `columns` names those to read.

        Raises
        ------
        NotFound
            When there is none, or its content was removed.
        DataError
            When it has no such column.
        IntegrityError
            When a file is missing from the store or was changed.
        """
        version = self.get(spec)
        if version.number in self._log(version.name).removed:
            raise NotFound(f"the content of {version.spec} was removed after it was retired")
        wanted = None if columns is None else list(columns)
        missing = [name for name in wanted or () if name not in version.columns]
        if missing:
            raise DataError(f"{version.spec} has no column(s) {missing}: it has {list(version.columns)}")
        return self._read(version.chunks, version.spec, wanted)

    def diff(self, before: DataVersion | str, after: DataVersion | str) -> DataDiff:
        """Compare two versions: rows added and removed, and what happened to the columns.

        Files that both share are not read.

        Raises
        ------
        NotFound, IntegrityError
            As for `load`.
        """
        a, b = self.get(before), self.get(after)
        shared = [name for name in a.columns if a.columns.get(name) == b.columns.get(name)]
        both = Counter(a.chunks) & Counter(b.chunks) if list(a.columns) == list(b.columns) == shared else Counter()
        left, right = (self._hashes(v, Counter(v.chunks) - both, shared) for v in (a, b))
        codes = np.concatenate([left, right])
        _, inverse = np.unique(codes, return_inverse=True)
        n = np.zeros((2, int(inverse.max(initial=-1)) + 1), dtype=np.int64)
        np.add.at(n[0], inverse[: len(left)], 1)
        np.add.at(n[1], inverse[len(left) :], 1)
        same = int(np.minimum(n[0], n[1]).sum())
        n_removed, n_added = len(left) - same, len(right) - same
        return DataDiff(
            a.spec,
            b.spec,
            n_added,
            n_removed,
            b.n_rows - n_added,
            tuple(name for name in b.columns if name not in a.columns),
            tuple(name for name in a.columns if name not in b.columns),
            tuple(
                (k, a.columns[k], b.columns[k]) for k in a.columns if k in b.columns and a.columns[k] != b.columns[k]
            ),
        )

    def versions(self, name: str) -> list[DataVersion]:
        """Return the versions of a table, oldest first.

        Raises
        ------
        NotFound
            When there is no such table.
        """
        log = self._log(name)
        log.refresh()
        if not log.versions:
            raise NotFound(f"no data {name!r}: the registry holds {self.names()}")
        return list(log.versions)

    def names(self) -> list[str]:
        """Return the names of all tables."""
        return [name for name in names_in(self._store.list("data/"), "data") if self._log(name).refresh()]

    def history(self, name: str) -> HistoryReport:
        """Return what happened to a table.

        Raises
        ------
        NotFound
            When there is no such table.
        """
        self.versions(name)
        return HistoryReport(name, tuple(self._log(name).events))

    def retire(self, spec: DataVersion | str, *, reason: str, now: dt.datetime | None = None) -> DataVersion:
        """Mark a version as out of use; `registry.gc(retired=...)` removes its rows later.

        Raises
        ------
        ConfigurationError
            When no reason is given.
        NotFound
            When there is no such version.
        """
        if not reason:
            raise ConfigurationError("reason='': say why the version is retired")
        version = self.get(spec)
        log = self._log(version.name)
        log.append(frames.utc(now), lambda _log: {"kind": "retired", "number": version.number, "reason": reason})
        return log.versions[version.number - 1]

    def _log(self, name: str) -> DataLog:
        return self._logs.setdefault(check_name(name, "name"), DataLog(self._store, name, self._keys))

    def _read(self, chunks: Iterable[str], what: str, only: list[str] | None = None) -> pd.DataFrame:
        return frames.from_parquet([self._blobs.get(sha, f"rows of {what}") for sha in chunks], only)

    def _hashes(self, version: DataVersion, chunks: Counter[str], columns: list[str]) -> NDArray[np.uint64]:
        if not chunks:
            return np.empty(0, dtype=np.uint64)
        if not columns:
            return np.zeros(version.n_rows, dtype=np.uint64)
        return frames.row_hashes(frames.columns(self._read(chunks.elements(), version.spec, columns)))
