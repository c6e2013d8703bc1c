"""Questions of the user's own about batches, and their names in a stored detector."""

from __future__ import annotations

from abc import ABC, abstractmethod

from attrs import frozen

from mlopskit.errors import ConfigurationError
from mlopskit.profiling import Profile


class DriftStatistic(ABC):
    """A question of your own about batches: one number for each, which the detector ranks among all batches so far.

    Any number that depends on the batch alone keeps the promise. Together your statistics have a tenth of the weight of
    all other questions.

    Examples
    --------
    >>> class Widest(DriftStatistic):
    ...     name = "widest fare"
    ...     def score(self, profile):
    ...         return profile["fare"].high - profile["fare"].low
    """

    name: str

    @abstractmethod
    def score(self, profile: Profile) -> float:
        """Return a finite number for one batch, from its counts; the same for the same profile."""


@frozen
class StatisticName(DriftStatistic):
    """The name of a statistic in a stored detector, in whose place the statistic itself is handed in."""

    name: str

    def score(self, profile: Profile) -> float:  # noqa: ARG002 - the hook's argument
        """Refuse: it is a name.

        Raises
        ------
        ConfigurationError
            Always.
        """
        raise ConfigurationError(f"hand in the statistic {self.name!r}: from_json(text, statistics=[...])")
