"""Content named by its sha256: written once, compared at every read, removed only when no writer can still want it.

A removal must never take away what a registration on another machine is about to name. There are no locks for that,
but an order: whoever removes first leaves a tombstone, then looks at all logs again, and removes only what none names.
Whoever registers looks for tombstones after its event is committed, and writes what is condemned once more under the
next generation of its key. One of the two sees the other. A tombstone stays; it is a few bytes.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping

from mlopskit import formats
from mlopskit.errors import IntegrityError, NotFound
from mlopskit.registry.log import parse
from mlopskit.storage import Store

BLOB = re.compile(r"blobs/([0-9a-f]{64})(?:\.([1-9][0-9]{0,8}))?")
TOMBSTONE = re.compile(r"condemned/([A-Za-z0-9.]+)\.json")


class Blobs:
    """The content that a registry's logs name."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, contents: Iterable[bytes]) -> dict[str, bytes]:
        """Store contents; return them by sha256. Call `hold` with that after the event that names them."""
        held = {formats.digest(data): data for data in contents}
        self.keep(held)
        return held

    def keep(self, held: Mapping[str, bytes]) -> None:
        """Store contents under their sha256, as `put` does."""
        self._write(held, self._condemned())

    def hold(self, held: Mapping[str, bytes]) -> None:
        """Make sure that nothing that was put is being removed; the event that names it is committed."""
        before: set[str] = set()
        while (now := self._condemned()) - before:
            self._write({sha: data for sha, data in held.items() if _stone(sha) in now}, now)
            before = now

    def get(self, sha: str, what: str, known: bytes | None = None) -> bytes:
        """Return a content by its sha256; `what` says what it is, for messages.

        `known` are bytes of that sha256, where there are some: to compare them is quicker than to hash them once more.

        Raises
        ------
        IntegrityError
            When it is missing or was changed, or the sha256 is none.
        """
        if not BLOB.fullmatch(key := f"blobs/{sha}"):
            raise IntegrityError(f"the {what} is named {sha!r:.80}; expected a sha256")
        try:
            data = self._store.get(key)
        except NotFound:
            data = self._later(sha, what)
        if data != known and formats.digest(data) != sha:
            raise IntegrityError(f"{key} (the {what}) was changed: its bytes do not match its digest")
        return data

    def condemn(self, key: str, at: dt.datetime) -> dt.datetime:
        """Leave a tombstone for a key, and return since when there is one."""
        stone = f"condemned/{key.partition('/')[2]}.json" if key.startswith("blobs/") else _leftover(key)
        written = formats.canonical({"protocol": formats.PROTOCOL, "at": at.isoformat()})
        return at if self._store.put_new(stone, written) else _since(self._store.get(stone), stone)

    def condemned_since(self, key: str) -> dt.datetime | None:
        """Return since when there is a tombstone for a key, or None."""
        stone = f"condemned/{key.partition('/')[2]}.json" if key.startswith("blobs/") else _leftover(key)
        try:
            return _since(self._store.get(stone), stone)
        except NotFound:
            return None

    def remove(self, key: str) -> None:
        """Remove what was condemned; the tombstone of a content stays."""
        self._store.delete(key)
        if not key.startswith("blobs/"):
            self._store.delete(_leftover(key))

    def _later(self, sha: str, what: str) -> bytes:
        for key in self._generations(sha, self._condemned())[1:]:
            try:
                return self._store.get(key)
            except NotFound:
                continue
        raise IntegrityError(f"blobs/{sha} (the {what}) is missing")

    def _write(self, held: Mapping[str, bytes], condemned: set[str]) -> None:
        for sha, data in held.items():
            self._store.put_new(self._generations(sha, condemned)[-1], data)

    def _generations(self, sha: str, condemned: set[str]) -> list[str]:
        """Return the keys of a content, condemned ones first, then the one to write."""
        keys = [f"blobs/{sha}"]
        while f"condemned/{keys[-1].partition('/')[2]}.json" in condemned:
            keys.append(f"blobs/{sha}.{len(keys)}")
        return keys

    def _condemned(self) -> set[str]:
        return set(self._store.list("condemned/"))


def _stone(sha: str) -> str:
    return f"condemned/{sha}.json"


def _leftover(key: str) -> str:
    return f"condemned/{key.replace('/', '.')}.json"


def _since(data: bytes, stone: str) -> dt.datetime:
    document = parse(data)
    try:
        return dt.datetime.fromisoformat((document or {})["at"])
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{stone} is damaged: delete it, and the wait begins anew") from error
