"""A log that only grows: one immutable event per file, each chained to the one before.

An event is created exclusively under the next number; whoever loses the race for a number reads what the winner wrote,
checks its own precondition again and takes the next. Every event carries its own checksum and the sha256 of the event
before, and a signature where the registry has a key. After every 64 events they are written once more as one file, a
pack, so that a cold start reads few files: a copy that is compared like the events themselves, and may be deleted.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from mlopskit import formats
from mlopskit.errors import FormatError, IntegrityError, MlopskitError, NotFound, StorageError
from mlopskit.registry.reports import Event
from mlopskit.storage import Store

PACK = 64
"""How many events a pack holds."""


class Done(Exception):
    """Another writer did it meanwhile, as this number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Log(ABC):
    """The events under one place of a store, folded into what is true now.

    Subclasses set `area`, the prefix under which the logs of their kind lie, and say what an event means (`fold`).
    Threads may share a log.
    """

    area: str

    def __init__(self, store: Store, name: str, keys: tuple[bytes, ...] = (), *, packs: bool = True) -> None:
        self.name = name
        self.events: list[Event] = []
        self.removed: set[int] = set()
        self.head = 0
        self.last = ""
        self._store = store
        self._keys = keys
        self._packs = packs
        self._block: list[bytes] = []
        self._mutex = threading.Lock()

    def retired_at(self, number: int) -> dt.datetime | None:
        """Return when a version was retired, or None."""
        return next((e.at for e in self.events if e.kind == "retired" and e.number == number), None)

    @abstractmethod
    def used(self) -> set[str]:
        """Return the sha256 of everything that the log still needs."""

    @abstractmethod
    def manifests_by_spec(self) -> list[tuple[str, str, Any]]:
        """Return spec, digest and manifest of every version."""

    @abstractmethod
    def fold(self, event: dict[str, Any], document: dict[str, Any]) -> None:
        """Take in one event: as values, and as the plain data they were read from."""

    def key(self, seq: int) -> str:
        """Return where an event lies."""
        return f"{self.area}/{self.name}/{seq:08d}.json"

    def pack_key(self, seq: int) -> str:
        """Return where the pack lies whose last event is `seq`."""
        return f"packs/{self.area}/{self.name}/{seq:08d}.jsonl"

    def refresh(self) -> int:
        """Read what is new; return the number of the last event. One probe when nothing is."""
        with self._mutex:
            while True:
                try:
                    data = self._store.get(self.key(self.head + 1))
                except NotFound:
                    return self.head
                if not self._unpacked(data):
                    self._read(data)

    def append(self, at: dt.datetime, build: Callable[[Self], dict[str, Any]]) -> None:
        """Commit the event that `build` makes of the newest state; `build` raises when it may not happen."""
        while True:
            self.refresh()
            with self._mutex:
                seq, previous = self.head + 1, self.last
            event = {**build(self), "at": at, "model": self.name, "previous": previous, "seq": seq}
            event["writer"] = uuid.uuid4().hex  # no two writers write the same bytes: whoever finds its own has won
            if self._store.put_new(self.key(seq), _sealed(event, self._keys)):
                self.refresh()
                self._write_pack(seq)
                return

    def events_in(self, pack: bytes) -> bool:
        """Whether a pack holds exactly the events that lie beside it."""
        lines = pack.split(b"\n")
        document = parse(lines[-1])
        last = document.get("seq") if document else None
        if type(last) is not int or len(lines) != PACK or last % PACK:
            return False
        return all(self._store.get(self.key(last - PACK + 1 + i)) == line for i, line in enumerate(lines))

    def _unpacked(self, first: bytes) -> bool:
        """Read a whole pack where one begins here; False where there is none, or it is of no use."""
        if not self._packs or self.head % PACK:
            return False
        try:
            lines = self._store.get(self.pack_key(self.head + PACK)).split(b"\n")
        except (NotFound, StorageError):
            return False
        if lines[0] != first:
            return False
        before = self.head
        with suppress(MlopskitError):
            for line in lines:
                self._read(line)
        return self.head > before

    def _write_pack(self, seq: int) -> None:
        with self._mutex:
            lines = list(self._block) if seq % PACK == 0 and self.head == seq else []
        if len(lines) == PACK:
            with suppress(StorageError):  # the events are there; a pack only spares reading them one by one
                self._store.put_new(self.pack_key(seq), b"\n".join(lines))

    def _read(self, data: bytes) -> None:
        seq = self.head + 1
        document = parse(data)
        if document is None or document.get("model") != self.name or document.get("seq") != seq:
            raise IntegrityError(
                f"{self.key(seq)} stands in an event's place and is none: no write of ours leaves such a file. "
                "If it was damaged, restore it from a backup; if it is foreign, move it away"
            )
        if document["protocol"] > formats.PROTOCOL:
            raise FormatError(f"{self.key(seq)} was written by a newer release: upgrade mlopskit")
        checksum = document.pop("checksum", None)
        if checksum != formats.digest(formats.canonical(document)):
            raise IntegrityError(f"{self.key(seq)} was changed after it was written: its checksum does not match")
        self._check_signature(document.pop("signature", None), document)
        if document.get("previous") != self.last:
            raise IntegrityError(f"{self.key(seq)} does not follow the event before it: that one was changed or lost")
        try:
            self.fold(formats.decode(document), document)
        except (AttributeError, LookupError, TypeError) as error:
            raise IntegrityError(f"{self.key(seq)} is no event of this release: {error!r}") from error
        self.head, self.last = seq, formats.digest(data)
        self._block = [*self._block, data] if seq % PACK != 1 else [data]

    def _check_signature(self, signature: Any, document: dict[str, Any]) -> None:
        if not self._keys:
            return
        key = self.key(document["seq"])
        if not isinstance(signature, str):
            raise IntegrityError(f"{key} is not signed, and this registry was opened with a key")
        body = formats.canonical(document)
        if not any(hmac.compare_digest(_signature(secret, body), signature) for secret in self._keys):
            raise IntegrityError(f"{key} was signed with another key, or changed after it was signed")


def parse(data: bytes) -> dict[str, Any] | None:
    """Return the document that the bytes hold, or None where they hold none of ours."""
    try:
        document = json.loads(data)
    except (RecursionError, ValueError):
        return None
    if not isinstance(document, dict) or type(document.get("protocol")) is not int:
        return None
    return document


def _sealed(event: dict[str, Any], keys: tuple[bytes, ...]) -> bytes:
    document = {"protocol": formats.PROTOCOL, **formats.encode(event)}
    if keys:
        document["signature"] = _signature(keys[0], formats.canonical(document))
    return formats.canonical({**document, "checksum": formats.digest(formats.canonical(document))})


def _signature(key: bytes, body: bytes) -> str:
    return hmac.new(key, body, "sha256").hexdigest()
