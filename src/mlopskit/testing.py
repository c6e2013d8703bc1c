"""The contracts of the extension points as tests, for people who subclass: inherit one, say what to test, run pytest.

The classes are collected where they are inherited under a name that begins with `Test`.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

import pandas as pd
from attrs import evolve

from mlopskit.errors import ConfigurationError, NotFound
from mlopskit.frames import Frame, groups, n_rows, take
from mlopskit.monitoring.drift import DriftDetector, DriftStatistic
from mlopskit.profiling import Binning, Profile
from mlopskit.storage import Store


class DriftStatisticContract(ABC):
    """What a `DriftStatistic` must hold for the promise of the detector to hold.

    Examples
    --------
    >>> import numpy as np, pandas as pd, mlopskit as mk
    >>> class Widest(mk.DriftStatistic):
    ...     name = "widest fare"
    ...     def score(self, profile):
    ...         return profile["fare"].high - profile["fare"].low
    >>> class TestWidest(DriftStatisticContract):
    ...     def statistic(self):
    ...         return Widest()
    ...     def frame(self):
    ...         return pd.DataFrame({"fare": np.random.default_rng(0).normal(30, 5, 600)})
    >>> TestWidest().test_the_same_profile_has_the_same_score()
    """

    @abstractmethod
    def statistic(self) -> DriftStatistic:
        """Return the statistic to test."""

    @abstractmethod
    def frame(self) -> Frame:
        """Return a frame of at least 240 rows that the statistic is made for."""

    def test_it_has_a_name(self) -> None:
        """The name is text: reports and stored detectors call the statistic by it."""
        name = self.statistic().name
        assert isinstance(name, str)
        assert name.strip()

    def test_it_is_a_finite_number_for_every_part(self) -> None:
        """Parts of a frame have finite scores."""
        assert all(math.isfinite(self.statistic().score(profile)) for profile in self._profiles())

    def test_the_same_profile_has_the_same_score(self) -> None:
        """The score depends on the counts alone: not on what was scored before, nor on the batch's name."""
        first, *others = self._profiles()
        statistic = self.statistic()
        before = statistic.score(first)
        for other in others:
            statistic.score(other)
        assert statistic.score(evolve(first, batch_id="another name")) == before
        assert self.statistic().score(first) == before

    def test_profiles_are_left_as_they_are(self) -> None:
        """Scoring changes nothing."""
        for profile in self._profiles():
            before = profile.to_json()
            self.statistic().score(profile)
            assert profile.to_json() == before

    def test_a_detector_takes_it(self) -> None:
        """A detector ranks it, stores it by name, and goes on with it."""
        profiles = self._profiles()
        detector = DriftDetector(statistics=[self.statistic()]).fit(profiles[:-1])
        again = DriftDetector.from_json(detector.to_json(), statistics=[self.statistic()])
        assert again.update(profiles[-1]).evidence == detector.update(profiles[-1]).evidence

    def _profiles(self) -> list[Profile]:
        frame = self.frame()
        keys = pd.Series(range(n_rows(frame))) % 12
        binning = Binning.fit(frame)
        return [binning.profile(take(frame, rows)) for _, rows in groups(keys)]


class StoreContract(ABC):
    """What a `Store` must hold for a registry on it to lose nothing.

    It cannot test that bytes survive a power cut: pull the plug, or replay what your store wrote.

    Examples
    --------
    >>> from mlopskit.storage import MemoryStore
    >>> class TestMine(StoreContract):
    ...     def store(self):
    ...         return MemoryStore()
    >>> TestMine().test_a_key_is_created_once()
    """

    @abstractmethod
    def store(self) -> Store:
        """Return an empty store of its own."""

    def test_bytes_come_back(self) -> None:
        """Bytes come back as they were, the empty ones too, and a few megabytes."""
        store = self.store()
        for key, data in {"a/b": b"\x00one", "a/empty": b"", "a/large": bytes(range(256)) * (1 << 14)}.items():
            assert store.put_new(key, data), f"{key} is new"
            assert store.get(key) == data

    def test_a_key_is_created_once(self) -> None:
        """A second put of a key changes nothing and says so, even with equal bytes, and leaves nothing behind."""
        store, key = self.store(), "log/m/00000001.json"
        assert store.put_new(key, b"one")
        assert not store.put_new(key, b"two")
        assert not store.put_new(key, b"one")
        assert store.get(key) == b"one"
        assert store.list("") == [key]
        assert store.list("tmp/") == []

    def test_a_missing_key_is_named(self) -> None:
        """A key that was never put is named in the error; so is one whose parent is itself a key."""
        store = self.store()
        store.put_new("a", b"")
        for key in ("b", "a/b"):
            error = _raised(NotFound, lambda key=key: store.get(key))  # type: ignore[misc]
            assert f"'{key}'" in str(error)

    def test_keys_are_listed_by_prefix(self) -> None:
        """Keys come sorted; the prefix of one model does not match another's whose name begins alike."""
        store = self.store()
        for key in ("log/m/2", "log/m/1", "log/mm/1", "blobs/x"):
            store.put_new(key, b"")
        assert store.list("log/m/") == ["log/m/1", "log/m/2"]
        assert store.list("") == ["blobs/x", "log/m/1", "log/m/2", "log/mm/1"]
        assert store.list("nothing/") == []

    def test_a_deleted_key_is_gone(self) -> None:
        """It may be created again; deleting what is not there does nothing."""
        store = self.store()
        store.put_new("a/b", b"one")
        store.delete("a/b")
        store.delete("a/b")
        assert store.list("") == []
        assert store.put_new("a/b", b"two")
        assert store.get("a/b") == b"two"

    def test_keys_that_lead_elsewhere_are_refused(self) -> None:
        """No method takes a key with an empty segment, a leading dot or slash, or other characters."""
        store = self.store()
        for key in ("", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".hidden", "a b", "a\n", "\u00e4"):
            for use in (lambda key: store.put_new(key, b""), store.get, store.delete):
                _raised(ConfigurationError, lambda use=use, key=key: use(key))  # type: ignore[misc]

    def test_one_of_many_writers_wins(self) -> None:
        """Of 16 threads that create one key, exactly one is told that it did, and its bytes are there."""
        store, barrier, won = self.store(), threading.Barrier(16), list[int]()

        def put(i: int) -> None:
            barrier.wait()
            if store.put_new("race/1", str(i).encode()):
                won.append(i)

        threads = [threading.Thread(target=put, args=(i,)) for i in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1, f"writers {won} were all told that they created the key"
        assert store.get("race/1") == str(won[0]).encode()


def _raised(expected: type[Exception], call: Callable[[], object]) -> Exception:
    try:
        call()
    except expected as error:
        return error
    raise AssertionError(f"nothing was raised; expected {expected.__name__}")
