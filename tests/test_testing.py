"""The contracts hold for statistics that keep them, and fail for those that do not."""

import itertools

import numpy as np
import pandas as pd
import pytest

from mlopskit.monitoring.drift import DriftStatistic
from mlopskit.testing import DriftStatisticContract


class Width(DriftStatistic):
    """The range of fares."""

    name = "width"

    def score(self, profile):
        return profile["fare"].high - profile["fare"].low


class Counter(Width):
    """Depends on how often it was asked."""

    def __init__(self):
        self.asked = itertools.count()

    def score(self, _profile):
        return float(next(self.asked))


class Nameless(Width):
    name = " "


class Endless(Width):
    def score(self, _profile):
        return np.inf


class TestWidth(DriftStatisticContract):
    def statistic(self):
        return Width()

    def frame(self):
        return pd.DataFrame({"fare": np.random.default_rng(0).normal(30, 5, 600)})


@pytest.mark.parametrize(
    ("statistic", "test"),
    [
        (Counter(), "test_the_same_profile_has_the_same_score"),
        (Nameless(), "test_it_has_a_name"),
        (Endless(), "test_it_is_a_finite_number_for_every_part"),
    ],
    ids=["counter", "nameless", "endless"],
)
def test_a_broken_statistic_fails_its_contract(statistic, test):
    """Each rule is able to fail."""

    class Broken(TestWidth):
        def statistic(self):
            return statistic

    with pytest.raises(AssertionError):
        getattr(Broken(), test)()
