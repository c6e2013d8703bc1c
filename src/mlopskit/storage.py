"""The one door to disk: keys and bytes, created once, never changed.

A store has four methods. `put_new` is the only way to write, and it is exclusive: of several writers of one key exactly
one succeeds, and nobody ever sees half of what it wrote. The registry's whole protocol rests on that one promise, so
that a directory, memory and an object store run the same code. There are no locks, so nothing can stay locked.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlopskit.errors import ConfigurationError, MissingExtra, NotFound, StorageError

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_NO_HARD_LINKS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}
_TEMPORARY = "tmp"
_TRIES, _PAUSE = 4, 0.1  # how often an object store is asked, and seconds before it is asked again, doubled each time
_CONTENT = "@data"


def is_key(key: str) -> bool:
    """Whether `key` names a place inside a store: segments of letters, digits, dot, dash and underscore.

    >>> is_key("log/late-flights/00000001.json"), is_key("../secrets"), is_key("/etc/passwd")
    (True, False, False)
    """
    return all(_SEGMENT.fullmatch(segment) for segment in key.split("/"))


def check_key(key: str) -> str:
    """Return the key when it is one (see `is_key`).

    Raises
    ------
    ConfigurationError
        When it is not: an empty segment, "..", a leading dot or slash, or another character.
    """
    if not is_key(key):
        raise ConfigurationError(
            f"key={key!r}: expected segments like 'log/name/00000001.json', each starting with a letter or a digit"
        )
    return key


class Store(ABC):
    """Where bytes live, by key. A key is created once; its bytes never change until it is deleted.

    Subclasses implement the four methods. After `put_new` returns, the bytes survive a crash of the process (and, on a
    disk, a power cut), and every reader sees all of them or none.
    """

    @abstractmethod
    def put_new(self, key: str, data: bytes) -> bool:
        """Create `key` with these bytes; return False, and change nothing, when it exists."""

    @abstractmethod
    def get(self, key: str) -> bytes:
        """Return the bytes under `key`.

        Raises
        ------
        NotFound
            When there is no such key.
        """

    @abstractmethod
    def list(self, prefix: str) -> list[str]:
        """Return, sorted, what is stored under a prefix that ends with "/" (or is empty, for everything).

        Foreign files are listed too, under names that `is_key` may refuse.
        Leftovers of interrupted writes appear under the prefix "tmp/" only.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove `key`; nothing happens when it does not exist."""


class MemoryStore(Store):
    """Bytes in this process's memory, for tests and notebooks; threads may share it.

    >>> store = MemoryStore()
    >>> store.put_new("blobs/a", b"one"), store.put_new("blobs/a", b"two"), store.get("blobs/a")
    (True, False, b'one')
    """

    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}
        self._mutex = threading.Lock()

    def __repr__(self) -> str:
        return "memory://"

    def put_new(self, key: str, data: bytes) -> bool:
        """See `Store.put_new`."""
        with self._mutex:
            created = check_key(key) not in self._data
            self._data.setdefault(key, bytes(data))
        return created

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        try:
            return self._data[check_key(key)]
        except KeyError:
            raise NotFound(f"no {key!r} in this store") from None

    def list(self, prefix: str) -> list[str]:
        """See `Store.list`."""
        with self._mutex:
            return sorted(key for key in self._data if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        with self._mutex:
            self._data.pop(check_key(key), None)


class DirectoryStore(Store):
    """Bytes in the files of one directory, shared by any number of processes.

    A file is written under "tmp/" in the same tree, flushed to disk (`fsync`), hard-linked to its final name, which
    fails when that exists, and its directory is flushed. Where the file system has no hard links, the file is put in a
    directory of its own and that is renamed: a rename onto a directory that is not empty fails, so the promise is the
    same. A crash leaves at most a file under "tmp/".

    Parameters
    ----------
    path
        The directory; it is created at the first write. A relative path is taken from the working directory of now.

    Raises
    ------
    StorageError
        When the path is something other than a directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()
        for part in (self.path, *self.path.parents):
            if part.exists() and not part.is_dir():
                raise StorageError(
                    f"{str(part)!r} is a file; expected a directory: choose another path, or move the file away"
                )

    def __repr__(self) -> str:
        return str(self.path)

    def put_new(self, key: str, data: bytes) -> bool:
        """See `Store.put_new`.

        Raises
        ------
        StorageError
            When the directory cannot be written, for instance because the disk is full. The key is then not created,
            unless what failed was the very last step, the flush of its name: then it is there, whole.
        """
        final = self.path / check_key(key)
        if key.split("/")[0] == _TEMPORARY:
            raise ConfigurationError(f"key={key!r}: the prefix 'tmp/' is reserved for writes that are under way")
        try:
            created = not os.path.lexists(final) and self._write(final, data)
            _flush_directory(final.parent)
        except OSError as error:
            raise StorageError(f"cannot write {key!r} under {str(self.path)!r}: {error}") from error
        return created

    def _write(self, final: Path, data: bytes) -> bool:
        temporary = self.path / _TEMPORARY / uuid.uuid4().hex
        _make_directory(temporary.parent)
        _make_directory(final.parent)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            return self._publish(temporary, final)
        finally:
            temporary.unlink(missing_ok=True)

    def _publish(self, temporary: Path, final: Path) -> bool:
        try:
            os.link(temporary, final)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            return self._publish_by_rename(temporary, final)
        return True

    def _publish_by_rename(self, temporary: Path, final: Path) -> bool:
        holder = temporary.with_suffix(".d")
        holder.mkdir()
        temporary.rename(holder / _CONTENT)
        _flush_directory(holder)
        try:
            holder.rename(final)
        except OSError as error:
            (holder / _CONTENT).unlink()
            holder.rmdir()
            if error.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
                return False
            raise
        return True

    def get(self, key: str) -> bytes:
        """See `Store.get`.

        Raises
        ------
        NotFound
            When there is no such key.
        StorageError
            When the file cannot be read.
        """
        path = self.path / check_key(key)
        try:
            try:
                return path.read_bytes()
            except (IsADirectoryError, PermissionError):
                if not path.is_dir():
                    raise
                return (path / _CONTENT).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"no {key!r} under {str(self.path)!r}") from None
        except OSError as error:
            raise StorageError(f"cannot read {key!r} under {str(self.path)!r}: {error}") from error

    def list(self, prefix: str) -> list[str]:
        """See `Store.list`."""
        found = []
        for directory, _, files in os.walk(self.path / prefix):
            within = Path(directory).relative_to(self.path)
            found += [(within if name == _CONTENT else within / name).as_posix() for name in files]
        return sorted(key for key in found if prefix.startswith(_TEMPORARY) or not key.startswith(_TEMPORARY + "/"))

    def delete(self, key: str) -> None:
        """See `Store.delete`.

        Raises
        ------
        StorageError
            When the file exists and cannot be removed.
        """
        path = self.path / check_key(key)
        try:
            if path.is_dir():
                (path / _CONTENT).unlink()
                path.rmdir()
            else:
                path.unlink()
            _flush_directory(path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"cannot delete {key!r} under {str(self.path)!r}: {error}") from error


class ObjectStore(Store):
    """Bytes in an object store that can create conditionally (S3 and what speaks its protocol), through obstore.

    A key is created by a put that fails where the key exists (`If-None-Match: *`), so that of several writers, on
    whatever machines, one succeeds. Where the answer to a put is lost, the put is repeated; finding its own bytes
    there, it was the one.

    Parameters
    ----------
    place
        A URL such as "s3://bucket/prefix", with credentials and endpoint where obstore looks for them (the variables
        AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and the like); or a store of obstore, made with
        `retry_config={"max_retries": 0}`: a put that obstore repeats by itself may meet its own object and lose.

    Raises
    ------
    MissingExtra
        When obstore is not installed (the extra `s3`).
    ConfigurationError
        When obstore cannot read the URL.
    """

    def __init__(self, place: Any) -> None:
        try:
            import obstore
        except ModuleNotFoundError as error:
            raise MissingExtra.of("obstore", "s3") from error
        self._obstore = obstore
        self._failures = (obstore.exceptions.BaseError, OSError)
        self._name = place if isinstance(place, str) else repr(place)
        try:
            once: Any = {"max_retries": 0}
            self._store = obstore.store.from_url(place, retry_config=once) if isinstance(place, str) else place
        except (obstore.exceptions.BaseError, ValueError) as error:
            raise ConfigurationError(f"{place!r}: {error}; expected a URL such as 's3://bucket/prefix'") from error

    def __repr__(self) -> str:
        return self._name

    def put_new(self, key: str, data: bytes) -> bool:
        """See `Store.put_new`.

        Raises
        ------
        StorageError
            When the store does not answer, or refuses. Whether the key was created is then not known.
        """
        check_key(key)
        for attempt in range(_TRIES):
            try:
                self._obstore.put(self._store, key, data, mode="create")
            except self._obstore.exceptions.AlreadyExistsError:
                return attempt > 0 and self.get(key) == data
            except self._failures as error:
                failure = error
                time.sleep(_PAUSE * 2**attempt)
            else:
                return True
        raise StorageError(f"cannot write {key!r} to {self}: {failure}") from failure

    def get(self, key: str) -> bytes:
        """See `Store.get`.

        Raises
        ------
        NotFound
            When there is no such key.
        StorageError
            When the store does not answer, or refuses.
        """
        result = self._asked(f"read {key!r} from", lambda: self._obstore.get(self._store, check_key(key)).bytes())
        if result is None:
            raise NotFound(f"no {key!r} in {self}")
        return bytes(result)

    def list(self, prefix: str) -> list[str]:
        """See `Store.list`.

        Raises
        ------
        StorageError
            When the store does not answer, or refuses.
        """
        found = self._asked(f"list {prefix!r} of", lambda: self._obstore.list(self._store, prefix or None).collect())
        return sorted(entry["path"] for entry in found or ())

    def delete(self, key: str) -> None:
        """See `Store.delete`.

        Raises
        ------
        StorageError
            When the store does not answer, or refuses.
        """
        self._asked(f"delete {key!r} from", lambda: self._obstore.delete(self._store, check_key(key)))

    def _asked(self, what: str, ask: Callable[[], Any]) -> Any:
        """Ask again where there is no answer; return None where the key does not exist."""
        for attempt in range(_TRIES):
            try:
                return ask()
            except FileNotFoundError:
                return None
            except self._failures as error:
                failure = error
                time.sleep(_PAUSE * 2**attempt)
        raise StorageError(f"cannot {what} {self}: {failure}") from failure


def _make_directory(path: Path) -> None:
    """Create a directory and its parents so that their names survive a power cut."""
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir(exist_ok=True)
    _flush_directory(path.parent)


def _flush_directory(path: Path) -> None:
    if not path.is_dir() or os.name == "nt":  # Windows cannot open a directory; NTFS journals names itself
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_store(place: str | os.PathLike[str] | Store) -> Store:
    """Return the store at a path or URL; a store is returned as it is.

    Parameters
    ----------
    place
        A directory's path, "memory://" for a new store in memory, "s3://bucket/prefix", or a `Store`.

    Raises
    ------
    ConfigurationError
        For a URL whose scheme no store of this release speaks.
    MissingExtra
        For "s3://" without obstore.
    StorageError
        When the path is something other than a directory.

    >>> open_store("memory://")
    memory://
    """
    if isinstance(place, Store):
        return place
    scheme = _SCHEME.match(os.fspath(place))
    if scheme is None:
        return DirectoryStore(place)
    if os.fspath(place) == "memory://":
        return MemoryStore()
    if scheme[1] == "s3":
        return ObjectStore(os.fspath(place))
    raise ConfigurationError(
        f"{os.fspath(place)!r}: no store speaks {scheme[1] + '://'!r}; expected a directory's path, 'memory://', "
        "'s3://bucket/prefix', or your own Store"
    )
