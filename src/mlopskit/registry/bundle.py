"""One version as a folder of flat files: its content under its sha256, its manifest beside it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from attrs import frozen

from mlopskit import formats
from mlopskit.errors import ConfigurationError, FormatError, IntegrityError, StorageError
from mlopskit.records import ModelVersion
from mlopskit.registry.log import parse
from mlopskit.registry.names import check_name
from mlopskit.registry.parts import version_of

_MANIFEST = "bundle.json"
_SHA = re.compile(r"[0-9a-f]{64}")


@frozen
class Bundle:
    """What a folder holds: a version, as it was called where it comes from, and its contents by sha256."""

    origin: str
    name: str
    digest: str
    manifest: dict[str, Any]
    contents: dict[str, bytes]

    def version(self, name: str, at: Any) -> ModelVersion:
        """Return the version that it becomes, not yet numbered."""
        return version_of(name, 0, self.digest, at, formats.decode(self.manifest))


def write(folder: str | os.PathLike[str], version: ModelVersion, manifest: Any, contents: dict[str, bytes]) -> Path:
    """Write a version into a folder that is empty or not there yet."""
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        if any(place.iterdir()):
            raise ConfigurationError(f"{str(place)!r} is not empty: give a folder of its own")
        for sha, data in contents.items():
            (place / sha).write_bytes(data)
        document = {"protocol": formats.PROTOCOL, "origin": version.spec, "name": version.name}
        document |= {"digest": version.digest, "manifest": manifest}
        (place / _MANIFEST).write_bytes(formats.canonical(document))
    except OSError as error:
        raise StorageError(f"cannot write to {str(place)!r}: {error}") from error
    return place


def read(folder: str | os.PathLike[str]) -> Bundle:
    """Read a folder that `write` made; every file is compared with its digest, and no name in it is followed."""
    place = Path(folder)
    document = parse(_bytes(place / _MANIFEST))
    if document is None:
        raise FormatError(f"{str(place / _MANIFEST)!r} is not what export wrote")
    if document["protocol"] > formats.PROTOCOL:
        raise FormatError(f"{str(place)!r} was exported by a newer release: upgrade mlopskit")
    manifest, digest = document.get("manifest"), document.get("digest")
    if not isinstance(manifest, dict) or formats.digest(formats.canonical(manifest)) != digest:
        raise IntegrityError(f"the manifest in {str(place)!r} does not match its digest: it was changed")
    try:
        version = version_of(check_name(document["name"], "name"), 0, digest, None, formats.decode(manifest))
        wanted = [str(sha) for sha in version.content]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"the manifest in {str(place)!r} is not one of a version: {error}") from error
    contents = {}
    for sha in wanted:
        if not _SHA.fullmatch(sha):
            raise IntegrityError(f"{str(place)!r} names a content {sha!r:.80}; expected a sha256")
        contents[sha] = _bytes(place / sha)
        if formats.digest(contents[sha]) != sha:
            raise IntegrityError(f"{str(place / sha)!r} was changed: its bytes do not match its name")
    return Bundle(str(document.get("origin", "")), version.name, version.digest, manifest, contents)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {str(path)!r}: {error}") from error
