"""Looking at every file of a registry, and removing what no version needs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator

from mlopskit import formats
from mlopskit.errors import FormatError, IntegrityError, MlopskitError
from mlopskit.records import ModelVersion
from mlopskit.registry.blobs import BLOB, TOMBSTONE, Blobs
from mlopskit.registry.log import PACK, Log
from mlopskit.registry.names import EVENT, NAME
from mlopskit.registry.reports import CollectReport, Finding, VerifyReport
from mlopskit.registry.versions import ModelLog
from mlopskit.storage import Store

_PACK_PREFIX = "packs/"


def names_in(keys: Iterable[str], area: str) -> list[str]:
    """Return the names under which events of an area lie, sorted."""
    found = {match[2] for key in keys if (match := EVENT.fullmatch(key)) and match[1] == area}
    return sorted(name for name in found if NAME.fullmatch(name))


def look(store: Store, logs: Iterable[Log], load: Callable[[ModelLog, ModelVersion], object] | None) -> VerifyReport:
    """Read every event and every content of these logs, afresh; `load` is called with every version."""
    keys = store.list("")
    logs = list(logs)
    findings = [finding for log in logs for finding in _broken(log, keys)]
    findings += _bad_blobs(store, set().union(*(log.used() for log in logs)), keys)
    if load is not None:
        findings += [found for log in logs if isinstance(log, ModelLog) for found in _unloadable(log, load)]
    findings += _bad_packs(store, logs, keys)
    findings += [Finding(key, "not a file of the registry", True) for key in keys if not _is_own(key)]
    leftover = "left by a write that was interrupted, or is under way"
    findings += [Finding(key, leftover, True) for key in store.list("tmp/")]
    n_blobs = sum(bool(BLOB.fullmatch(key)) for key in keys)
    n_models = sum(isinstance(log, ModelLog) for log in logs)
    ordered = tuple(sorted(findings, key=lambda f: (f.harmless, f.key)))
    return VerifyReport(n_models, sum(log.head for log in logs), n_blobs, ordered)


def collect(
    store: Store, used: Callable[[], set[str]], *, grace: dt.timedelta, dry_run: bool, now: dt.datetime
) -> CollectReport:
    """Remove contents that are not used, and leftovers, once they were condemned for the length of `grace`.

    `used` reads all logs anew and returns what they need; it is asked again after everything was condemned.
    """
    blobs = Blobs(store)
    needed = used()
    free = [key for key in store.list("blobs/") if (match := BLOB.fullmatch(key)) and match[1] not in needed]
    free += store.list("tmp/")
    if dry_run:
        since = {key: blobs.condemned_since(key) or now for key in free}
    else:
        since = {key: blobs.condemn(key, now) for key in free}
        needed = used()
    due: list[str] = []
    waiting: list[str] = []
    for key in free:
        match = BLOB.fullmatch(key)
        if match is not None and match[1] in needed:
            continue
        (due if now - since[key] >= grace else waiting).append(key)
    for key in () if dry_run else due:
        blobs.remove(key)
    return CollectReport(dry_run, tuple(due), tuple(waiting))


def _broken(log: Log, keys: list[str]) -> Iterator[Finding]:
    try:
        log.refresh()
    except MlopskitError as error:
        yield Finding(log.key(log.head + 1), str(error))
    for spec, digest, manifest in log.manifests_by_spec():
        if formats.digest(formats.canonical(manifest)) != digest:
            yield Finding(spec, "its manifest does not match its digest")
    for key in keys:
        match = EVENT.fullmatch(key)
        if match and (match[1], match[2]) == (log.area, log.name) and int(match[3]) > log.head + 1:
            yield Finding(key, f"cannot be reached: {log.key(log.head + 1)} is missing or broken")


def _unloadable(log: ModelLog, load: Callable[[ModelLog, ModelVersion], object]) -> Iterator[Finding]:
    for version in log.versions:
        if version.number in log.removed:
            continue
        try:
            load(log, version)
        except MlopskitError as error:
            yield Finding(version.spec, f"cannot be loaded: {error}")


def _bad_blobs(store: Store, used: set[str], keys: list[str]) -> Iterator[Finding]:
    present: dict[str, list[str]] = {}
    for key in keys:
        if match := BLOB.fullmatch(key):
            present.setdefault(match[1], []).append(key)
    for sha in sorted(used - set(present)):
        yield Finding(f"blobs/{sha}", "is missing, and a version needs it")
    for sha, copies in sorted(present.items()):
        for key in copies:
            if formats.digest(store.get(key)) != sha:
                yield Finding(key, "was changed: its bytes do not match its digest", sha not in used)
            elif sha not in used:
                yield Finding(key, "belongs to no version: its registration did not finish, or it was removed", True)


def _bad_packs(store: Store, logs: list[Log], keys: list[str]) -> Iterator[Finding]:
    by_key = {log.pack_key(seq): log for log in logs for seq in range(PACK, log.head + 1, PACK)}
    for key in keys:
        if key in by_key and not by_key[key].events_in(store.get(key)):
            yield Finding(key, "does not hold the events beside it: delete it, it is only a copy")
        elif key.startswith(_PACK_PREFIX) and key not in by_key:
            yield Finding(key, "belongs to no events", True)


def _is_own(key: str) -> bool:
    return bool(EVENT.fullmatch(key) or BLOB.fullmatch(key) or TOMBSTONE.fullmatch(key)) or key.startswith(_PACK_PREFIX)


def readable(log: Log) -> Log:
    """Return a log that was read to its end.

    Raises
    ------
    IntegrityError
        When an event is damaged: what it named is not known, so nothing may be removed.
    """
    try:
        log.refresh()
    except (IntegrityError, FormatError) as error:
        raise IntegrityError(f"nothing was removed, because not every event can be read: {error}") from error
    return log
