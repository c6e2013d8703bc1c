"""The contracts of the extension points as tests, for people who subclass: inherit one, say what to test, run pytest.

The classes are collected where they are inherited under a name that begins with `Test`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import pandas as pd
from attrs import evolve

from mlopskit.frames import Frame, groups, n_rows, take
from mlopskit.monitoring.drift import DriftDetector, DriftStatistic
from mlopskit.profiling import Binning, Profile


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
