"""The binary form of our own values: smaller than JSON, equal after a round trip, and harmless whoever wrote it."""

import io
import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlopskit as mk
from mlopskit import formats
from mlopskit.errors import FormatError, MlopskitError
from mlopskit.profiling import ProfileSet

FRAME = pd.DataFrame({"x": np.random.default_rng(0).normal(size=2_000), "t": ["a", "ä"] * 1_000, "n": range(2_000)})
BINNING = mk.Binning.fit(FRAME, pairs=True)
PROFILE = BINNING.profile(FRAME, batch_id="monday")
DATA = PROFILE.to_bytes()


def members(data):
    with np.load(io.BytesIO(data)) as archive:
        return dict(archive)


def archive(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


class TestRoundTrip:
    @settings(deadline=None, max_examples=20)
    @given(st.lists(st.tuples(st.floats(), st.sampled_from(["a", "b", "\ud800", None])), max_size=5))
    def test_profiles(self, rows):
        """Equal, to the last bit and as JSON; a second writing gives the same bytes."""
        frame = pd.DataFrame({"x": [x for x, _ in rows], "t": pd.Series([t for _, t in rows], dtype=object)})
        profile = BINNING.profile(frame.assign(n=0).astype({"x": float}))
        again = mk.Profile.from_bytes(profile.to_bytes())
        assert again.to_json() == profile.to_json()
        assert again.to_bytes() == profile.to_bytes()

    def test_everything_that_has_json(self):
        """Binnings, sets of profiles and monitors with their state."""
        parts = [BINNING.profile(FRAME[i::20], batch_id=str(i)) for i in range(20)]
        detector = mk.DriftDetector().fit(parts)
        for one in (BINNING, PROFILE, ProfileSet.of([PROFILE, PROFILE]), detector):
            assert type(one).from_bytes(one.to_bytes()).to_json() == one.to_json()

    def test_it_is_smaller(self):
        """Less than half of the JSON."""
        assert len(DATA) < len(PROFILE.to_json()) / 2


class TestRefusals:
    @pytest.mark.parametrize("data", [b"", b"no archive", pickle.dumps({"a": 1}), DATA[:-10], DATA[: len(DATA) // 2]])
    def test_what_is_no_archive(self, data):
        """Nothing, text, a pickle, a torn file: one kind of error."""
        with pytest.raises(FormatError, match="not an archive"):
            mk.Profile.from_bytes(data)

    def test_pickled_arrays_are_never_loaded(self):
        """An array of objects would run code when loaded: it is refused before."""

        class Bomb:
            def __reduce__(self):
                return print, ("boom",)

        data = archive(json=members(DATA)["json"], a0=np.array([Bomb()], dtype=object))
        with pytest.raises(FormatError, match="dtype object"):
            mk.Profile.from_bytes(data)

    def test_a_header_that_lies_allocates_nothing(self):
        """A terabyte announced in front of a few bytes is an error, not an allocation."""
        kept = io.BytesIO()
        np.lib.format.write_array_header_1_0(kept, {"descr": "<f8", "fortran_order": False, "shape": (2**37,)})
        out = io.BytesIO(archive(json=members(DATA)["json"]))
        with zipfile.ZipFile(out, "a") as target:
            target.writestr("a0.npy", kept.getvalue() + bytes(8))
        with pytest.raises(FormatError, match="not an archive"):
            mk.Profile.from_bytes(out.getvalue())

    @pytest.mark.parametrize("values", [np.array(["text"]), np.array(["2020"], dtype="M8[D]"), np.array([1j])])
    def test_arrays_of_other_kinds(self, values):
        """Arrays hold numbers or booleans."""
        with pytest.raises(FormatError, match="numbers or booleans"):
            mk.Profile.from_bytes(archive(**{**members(DATA), "a0": values}))

    def test_a_bomb_is_not_unpacked(self, monkeypatch):
        """What would unpack to more than the limit is refused by its directory."""
        monkeypatch.setattr(formats, "MAX_BYTES", 10_000)
        with pytest.raises(FormatError, match="unpacks to"):
            mk.Profile.from_bytes(DATA)

    def test_an_array_that_is_not_there(self):
        """The JSON names an array that the archive does not hold."""
        kept = members(DATA)
        del kept["a0"]
        with pytest.raises(FormatError, match="cannot rebuild"):
            mk.Profile.from_bytes(archive(**kept))

    def test_without_its_json(self):
        """Arrays alone are no object."""
        with pytest.raises(FormatError, match="not an archive"):
            mk.Profile.from_bytes(archive(a0=np.zeros(3)))

    def test_another_type_and_a_newer_protocol(self):
        """A profile is no binning; a newer protocol asks for an upgrade."""
        with pytest.raises(FormatError, match="expected a 'Binning'"):
            mk.Binning.from_bytes(DATA)
        kept = members(DATA)
        document = json.loads(kept["json"].tobytes())
        newer = json.dumps({**document, "protocol": 99}).encode()
        with pytest.raises(FormatError, match="upgrade"):
            mk.Profile.from_bytes(archive(**{**kept, "json": np.frombuffer(newer, np.uint8)}))

    @settings(deadline=None, max_examples=60)
    @given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
    def test_a_changed_byte_is_an_error_of_ours_or_changes_nothing(self, position, change):
        """Archives carry checksums: whatever byte is changed, no other exception comes through, and no other counts."""
        data = bytearray(DATA)
        data[position] ^= change
        try:
            again = mk.Profile.from_bytes(bytes(data))
        except MlopskitError:
            return
        assert again == PROFILE

    def test_a_member_that_is_no_array(self):
        """A name that stands twice is read once, as what stands last; this is no array."""
        out = io.BytesIO(DATA)
        with zipfile.ZipFile(out, "a") as target, pytest.warns(UserWarning, match="Duplicate"):
            target.writestr("a0.npy", b"garbage")
        with pytest.raises(FormatError):
            mk.Profile.from_bytes(out.getvalue())

    def test_an_array_whose_header_is_cut(self):
        """A header is read as Python literals: what is none is an error of ours too."""
        out = io.BytesIO(archive(json=members(DATA)["json"]))
        with zipfile.ZipFile(out, "a") as target:
            for header in (b"{'descr': (", b"{'descr': '<f8'}", b"exit()"):
                magic = np.lib.format.magic(1, 0)
                target.writestr(f"a{len(header)}.npy", magic + len(header).to_bytes(2, "little") + header)
        with pytest.raises(FormatError, match="not an archive"):
            mk.Profile.from_bytes(out.getvalue())
