"""Intervals that learn from late labels, and hold in the long run whatever happens."""

from __future__ import annotations

import math
from typing import Self

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import ArrayLike

from mlopskit.errors import ConfigurationError, DataError, StateMismatch
from mlopskit.stats.estimation.base import column
from mlopskit.stats.intervals import Interval
from mlopskit.stats.state import State, dial


@frozen
class AdaptiveWidth(State):
    """A width that follows the residuals of an estimator, so that its intervals hold in the long run whatever happens.

    Quantile tracking: after each batch width += step * (missed - alpha), missed = |residual - offset| > width. It needs
    two counts of the past: width = first + step * (n_missed - alpha * n). The adaptive conformal inference of Gibbs and
    Candes moves the *level* of a quantile of all past residuals instead, which grows without bound or forgets, and
    gives infinite widths now and then. With scores in [0, b] this is theirs, with the quantile function b * a,
    gamma = step/b and a1 = 1 - first/b, and so it has their guarantee, for any sequence at all:

        |n_missed/n - alpha| <= (max(a1, 1 - a1) + gamma) / (gamma * n),

    since a width above b misses nothing and one below 0 misses everything, so that it stays in
    [-step*alpha, b + step*(1 - alpha)]. (An interval of negative width is empty; it is given as the point, which can
    only cover more.) Where labels come d batches late, d + 1 takes the place of the 1 in front of gamma.

    `offset` is the exponentially weighted mean of past residuals, as though all before the first were 0; it is added
    to the estimate. Three numbers are all that is remembered.

    Parameters
    ----------
    alpha
        Share of batches whose truth may lie outside, in (0, 1).
    step
        How far the width moves, in units of the metric, above 0: about a tenth of a large residual. A larger one
        adapts and keeps the promise sooner, and makes widths less steady.
    first
        The first half-width, at least 0.
    rate
        Weight of the newest residual in the offset, in [0, 1]; 0 for no offset.
    n, n_missed
        Batches with labels so far, and those whose truth lay outside.
    offset
        The exponentially weighted mean residual.

    Raises
    ------
    ConfigurationError
        When a dial lies outside its range.
    DataError
        When the counts or the offset cannot be.
    StateMismatch
        When a dial was turned after the start.

    References
    ----------
    Gibbs and Candes, "Adaptive conformal inference under distribution shift" (NeurIPS 2021), proposition 4.1;
    Angelopoulos, Candes and Tibshirani, "Conformal PID control for time series prediction" (NeurIPS 2023), quantile
    tracking.

    Examples
    --------
    >>> state = AdaptiveWidth(step=0.01, first=0.02)
    >>> for _ in range(30):                                # the model got worse by .10, which no estimate shows
    ...     state = state.update(-0.10)
    >>> print(state.interval(0.90))
    0.8042 [0.7492, 0.8592] (95%, n=30, quantile-tracking)
    """

    step: float = dial(kw_only=True)
    first: float = dial(kw_only=True)
    alpha: float = dial(default=0.05, kw_only=True)
    rate: float = dial(default=0.1, kw_only=True)
    n: int = field(default=0, kw_only=True)
    n_missed: int = field(default=0, kw_only=True)
    offset: float = field(default=0.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if not 0 < self.alpha < 1:
            raise ConfigurationError(f"AdaptiveWidth: alpha={self.alpha!r}: expected a probability between 0 and 1")
        if not (0 < self.step < math.inf and 0 <= self.first < math.inf and 0 <= self.rate <= 1):
            raise ConfigurationError(
                f"AdaptiveWidth: step={self.step!r}, first={self.first!r}, rate={self.rate!r}: "
                "expected a finite step above 0, a finite first width of at least 0, and a rate in [0, 1]"
            )
        if not (0 <= self.n_missed <= self.n and math.isfinite(self.offset)):
            raise DataError(
                f"AdaptiveWidth: n={self.n!r}, n_missed={self.n_missed!r}, offset={self.offset!r}: "
                "expected 0 <= n_missed <= n and a finite offset"
            )

    @classmethod
    def start(cls, residuals: ArrayLike, *, alpha: float = 0.05, rate: float = 0.1) -> Self:
        """Return the state to start with, given residuals on the reference, such as those of `Heterogeneity`.

        The first width is the smallest that covers a share 1 - alpha of n + 1 (the largest residual where there are too
        few), the step a tenth of the largest.

        Raises
        ------
        DataError
            When there are no residuals, one is not finite, or all are 0.
        """
        size = np.sort(np.abs(column("residuals", residuals)))
        if not len(size) or size[-1] == 0:
            raise DataError("AdaptiveWidth.start: expected residuals that are not all 0; give step= and first= instead")
        rank = min(math.ceil((len(size) + 1) * (1 - alpha)), len(size))
        return cls(step=float(size[-1]) / 10, first=float(size[max(rank, 1) - 1]), alpha=alpha, rate=rate)

    @property
    def width(self) -> float:
        """The tracked quantile of |residual - offset|; below 0 the interval is empty."""
        return self.first + self.step * (self.n_missed - self.alpha * self.n)

    @property
    def half_width(self) -> float:
        """Half the width of the next interval, at least 0."""
        return max(self.width, 0.0)

    def interval(self, estimate: float, *, low: float = 0.0, high: float = 1.0) -> Interval:
        """Return the corrected estimate of the next batch and its interval.

        Parameters
        ----------
        estimate
            The estimate without labels.
        low, high
            Between what the metric lies; the interval is cut to it.

        Raises
        ------
        DataError
            When the estimate does not lie there.
        """
        if not low <= estimate <= high:
            raise DataError(f"AdaptiveWidth: estimate={estimate!r}: expected a number between {low:g} and {high:g}")
        centre = estimate + self.offset
        middle, bottom, top = (
            min(max(v, low), high) for v in (centre, centre - self.half_width, centre + self.half_width)
        )
        return Interval(middle, bottom, top, 1 - self.alpha, self.n, "quantile-tracking", "asymptotic")

    def update(self, residual: float, issued: AdaptiveWidth | None = None) -> Self:
        """Return the state after the labels of a batch.

        Parameters
        ----------
        residual
            Realised metric minus the estimate without labels (before the offset).
        issued
            The state whose interval was given for this batch, where labels are late; by default this one.

        Raises
        ------
        DataError
            When the residual is not finite, or the issued state is later than this one.
        StateMismatch
            When the issued state has other dials.
        """
        if issued is not None and issued.configuration != self.configuration:
            raise StateMismatch("AdaptiveWidth: the issued state has other dials: give a state of this very tracking")
        if issued is not None and issued.n > self.n:
            raise DataError(f"AdaptiveWidth: the issued state has seen {issued.n} batches, this one only {self.n}")
        if not math.isfinite(residual):
            raise DataError(f"AdaptiveWidth: residual={residual!r}: expected a finite difference, truth - estimate")
        at = self if issued is None else issued
        missed = abs(residual - at.offset) > at.width
        offset = self.offset + self.rate * (float(residual) - self.offset)
        return evolve(self, n=self.n + 1, n_missed=self.n_missed + int(missed), offset=offset)
