"""Zip archives of stored (not compressed) members: read within caps, and written the same way every time."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping

from mlopskit.errors import FormatError, UnsafeModel

MAX_BYTES = 8 * 2**30
"""Largest archive that is read, in bytes."""
MAX_MEMBERS = 500_000
"""Most members of an archive."""


def read_members(data: bytes, names: re.Pattern[str]) -> dict[str, bytes]:
    """Return the members of an archive whose directory was checked before anything was read.

    Parameters
    ----------
    data
        The archive's bytes.
    names
        What a member's whole name has to match.

    Raises
    ------
    UnsafeModel
        When the archive is too large, or a member is compressed, repeated, misnamed or overlaps another.
    FormatError
        When the bytes are no archive.
    """
    if len(data) > MAX_BYTES:
        raise UnsafeModel(f"the model file has {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries, len(data), names)
            return {entry.filename: archive.read(entry) for entry in entries}
    except FormatError:
        raise
    except Exception as error:  # zipfile raises a dozen kinds
        raise FormatError(f"not a model file: {error}") from error


def _check_entries(entries: list[zipfile.ZipInfo], n_bytes: int, allowed: re.Pattern[str]) -> None:
    names = [entry.filename for entry in entries]
    if len(names) > MAX_MEMBERS:
        raise UnsafeModel(f"the model file has {len(names)} members; at most {MAX_MEMBERS} are read")
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})[:5]
        raise UnsafeModel(f"the model file holds {twice} more than once")
    for entry in entries:
        if not allowed.fullmatch(entry.filename):
            raise UnsafeModel(f"the model file holds a member named {entry.filename!r}; expected {allowed.pattern}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
            raise UnsafeModel(f"{entry.filename!r} is compressed or encrypted; a model file stores plain bytes")
    if sum(entry.file_size for entry in entries) > n_bytes:
        raise UnsafeModel("the members of the model file overlap: they claim more bytes than the file has")


def write_members(members: Mapping[str, bytes]) -> bytes:
    """Return an archive of these members, in their order; equal members give equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            archive.writestr(entry, data)
    return out.getvalue()
