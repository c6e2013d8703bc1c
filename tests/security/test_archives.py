"""Whatever the bytes are: oversized, packed, overlapping or changed by one bit."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest

from estimators import fit
from mlopskit import formats
from mlopskit.errors import FormatError, UnsafeModel
from mlopskit.formats import archives

SCHEMA = {
    "__class__": "Ridge",
    "__module__": "sklearn.linear_model._ridge",
    "__loader__": "ObjectNode",
    "content": None,
    "protocol": 2,
}


def packed(members: dict[str, bytes], compression: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as target:
        for name, data in members.items():
            target.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_bombs(compression: int) -> None:
    """Packed members are refused by the directory, whatever they would unpack to."""
    schema = json.dumps(SCHEMA).encode()
    for members in ({"schema.json": schema + b" " * 10**7}, {"schema.json": schema, "a.npy": bytes(10**7)}):
        data = packed(members, compression)
        assert len(data) < 10**5
        with pytest.raises(UnsafeModel, match="compressed"):
            formats.load_model("skops", data)


def directory_entry(data: bytes, name: bytes) -> int:
    """Return where the entry of a member begins in the directory at the end of an archive."""
    return data.rindex(name) - 46


def test_members_that_claim_more_than_the_file() -> None:
    """Sizes in the directory are believed only as far as the file is long."""
    data = bytearray(packed({"schema.json": json.dumps(SCHEMA).encode(), "a.npy": b"x"}, zipfile.ZIP_STORED))
    at = directory_entry(bytes(data), b"a.npy")
    data[at + 20 : at + 28] = (10**9).to_bytes(4, "little") * 2
    with pytest.raises(UnsafeModel, match="more bytes than the file has"):
        formats.load_model("skops", bytes(data))


@pytest.mark.parametrize("flag", [1, 1 << 6])
def test_encrypted_members(flag: int) -> None:
    """Nothing is decrypted."""
    data = bytearray(packed({"schema.json": json.dumps(SCHEMA).encode()}, zipfile.ZIP_STORED))
    at = directory_entry(bytes(data), b"schema.json")
    data[at + 8] |= flag
    with pytest.raises(FormatError):
        formats.load_model("skops", bytes(data))


def test_an_archive_behind_other_bytes() -> None:
    """A file that is something else at its beginning is no other model: the bytes before the archive carry nothing."""
    _, data = formats.dump_model(fit("ridge")[0])
    try:
        loaded = formats.load_model("skops", b"#!/bin/sh\n" + data)
    except FormatError:
        return
    assert formats.dump_model(loaded)[1] == data


@pytest.mark.parametrize("cap", ["MAX_BYTES", "MAX_MEMBERS"])
def test_caps_hold_before_anything_is_read(cap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too large is refused by its length or its directory."""
    _, data = formats.dump_model(fit("tf-idf of counts")[0])
    monkeypatch.setattr(archives, cap, 3)
    monkeypatch.setattr(zipfile.ZipFile, "read", None)
    with pytest.raises(UnsafeModel, match="at most 3 are read"):
        formats.load_model("skops", data)


@pytest.mark.parametrize("kind", ["poisson", "neighbours of places", "count words", "svc, sparse"])
def test_a_changed_byte(kind: str) -> None:
    """One changed byte is refused, or is one that carries nothing: the very same model is loaded."""
    model, _ = fit(kind)
    _, data = formats.dump_model(model)
    rng = np.random.default_rng(0)
    n_refused = 0
    positions = rng.choice(len(data), min(len(data), 500), replace=False)
    for position in positions:
        broken = bytearray(data)
        broken[position] ^= int(rng.integers(1, 256))
        try:
            loaded = formats.load_model("skops", bytes(broken))
        except FormatError:
            n_refused += 1
            continue
        assert formats.dump_model(loaded)[1] == data
    assert n_refused > len(positions) * 0.9


def test_every_end() -> None:
    """A file that ends early is refused, wherever it ends."""
    _, data = formats.dump_model(fit("ridge")[0])
    for end in range(0, len(data), 7):
        with pytest.raises(FormatError):
            formats.load_model("skops", data[:end])


def profile_bytes() -> Any:
    import pandas as pd

    import mlopskit as mk

    frame = pd.DataFrame({"x": np.arange(50.0), "t": ["a", "b"] * 25})
    return mk.Binning.fit(frame).profile(frame)


def test_every_end_of_a_profile() -> None:
    """So are our own values, as bytes and as text."""
    profile = profile_bytes()
    kind, data, text = type(profile), profile.to_bytes(), profile.to_json()
    for end in range(0, len(data), 7):
        with pytest.raises(FormatError):
            kind.from_bytes(data[:end])
    for end in range(0, len(text), 17):
        with pytest.raises(FormatError):
            formats.from_json(text[:end], kind)
