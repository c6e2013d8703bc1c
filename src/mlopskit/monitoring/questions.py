"""What drift asks of a profile: a profile's fine counts become a few counts for each question, and those become scores.

Where does a feature lie, how wide is it, how often does each level and a missing value occur, which features move together?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from attrs import field, frozen
from numpy.typing import NDArray

from mlopskit.errors import DataError
from mlopskit.profiling import Binning, LevelBins, NumericBins, Profile
from mlopskit.stats.summaries import location_and_scale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_BINS = 20
RARE = 0.002  # levels below this share of the reference are folded into "other"
CUMULATIVE = np.array([0, 1, 4, 9, 14, 17, 18])  # the sets at .05 .10 .25 .50 .75 .90 .95 of the nineteen


@frozen(eq=False)
class Readings:
    """The counts behind every question, for N batches; they add over batches.

    Parameters
    ----------
    bins
        Shape (N, F, 20): rows in the twentieths of each of F numeric features.
    hits, rows
        Shape (N, S): rows in a level (or missing), and the rows asked: valid rows for levels, all rows for missing.
    same, both
        Shape (N, P): concordant rows and rows with both values, for each of P pairs of numeric features.
    """

    bins: Ints
    hits: Ints
    rows: Ints
    same: Ints
    both: Ints

    def __len__(self) -> int:
        return len(self.hits)

    @classmethod
    def stack(cls, parts: Iterable[Readings]) -> Readings:
        """Put batches one after the other."""
        lists = [(p.bins, p.hits, p.rows, p.same, p.both) for p in parts]
        return cls(*(np.concatenate(arrays) for arrays in zip(*lists, strict=True)))

    def total(self) -> Readings:
        """Return the sum over batches, as one batch."""
        arrays = (self.bins, self.hits, self.rows, self.same, self.both)
        return Readings(*(a.sum(axis=0, keepdims=True) for a in arrays))

    def none(self) -> Readings:
        """Return no batches, N = 0, with the same questions."""
        return Readings(self.bins[:0], self.hits[:0], self.rows[:0], self.same[:0], self.both[:0])

    def split(self, n: int) -> tuple[Readings, Readings]:
        """Return the sum of all but the newest n batches, and the sum of those n."""
        cut = len(self) - n
        arrays = (self.bins, self.hits, self.rows, self.same, self.both)
        return Readings(*(a[:cut] for a in arrays)).total(), Readings(*(a[cut:] for a in arrays)).total()


@frozen(eq=False)
class NumericFeature:
    """A numeric feature: its column in the profile, its nineteen edges and the scores of its twentieths."""

    name: str
    kind: str
    column: int
    cuts: NDArray[np.intp]
    edges: Floats
    location: Floats
    scale: Floats

    @classmethod
    def of(cls, position: int, bins: NumericBins, counts: Ints) -> NumericFeature:
        """Take every tenth of 200 quantile bins (in general every twentieth part), then score them."""
        cuts = np.rint(np.arange(1, N_BINS) * len(bins) / N_BINS).astype(np.intp) - 1
        shares = cls._coarse(counts, cuts) / max(counts.sum(), 1)
        location, scale = location_and_scale(shares)
        return cls(bins.name, bins.kind, position, cuts, bins.edges[cuts], location, scale)

    @staticmethod
    def _coarse(counts: Ints, cuts: NDArray[np.intp]) -> Ints:
        below = np.cumsum(counts)
        return np.diff(np.concatenate(([0], below[cuts], below[-1:])))

    def read(self, counts: Ints) -> Ints:
        """Return the rows in the feature's twentieths."""
        return self._coarse(counts, self.cuts)

    def distinct_cuts(self) -> NDArray[np.bool_]:
        """Which of the nineteen sets {x <= edge} differ from the next one: equal edges ask the same question twice."""
        return np.append(self.edges[:-1] != self.edges[1:], True)

    def edge(self, i: int) -> str:
        """Return an edge in words."""
        value = self.edges[i]
        if self.kind == "datetime":
            return str(pd.Timestamp(int(value)))
        return str(pd.Timedelta(int(value))) if self.kind == "duration" else f"{value:.4g}"


@frozen
class ShareQuestion:
    """The share of one level, of all other levels, or of missing values."""

    feature: str
    label: str
    kind: str  # "level" | "missing"
    column: int
    positions: tuple[int, ...] = ()

    def words(self) -> str:
        """Return what is counted, in words."""
        return "share of missing values" if self.kind == "missing" else f"share of {self.label}"


@frozen(eq=False)
class Questions:
    """Every question that drift asks, fixed by the reference.

    Parameters
    ----------
    numeric
        Numeric features with quantile bins.
    shares
        Questions about levels and missing values.
    pairs
        Positions (into `numeric`) of the pairs whose concordance is watched.
    """

    numeric: tuple[NumericFeature, ...]
    shares: tuple[ShareQuestion, ...]
    pairs: tuple[tuple[int, int], ...]
    pair_columns: tuple[tuple[int, int], ...] = field(repr=False)

    @classmethod
    def of(cls, reference: Profile, features: Sequence[str], *, interactions: bool) -> Questions:
        """Choose the questions from the reference's profile."""
        numeric: list[NumericFeature] = []
        shares: list[ShareQuestion] = []
        for position, bins in enumerate(reference.binning.columns):
            if bins.name not in features:
                continue
            if isinstance(bins, NumericBins):
                numeric.append(NumericFeature.of(position, bins, reference.columns[position].counts))
            else:
                shares += _levels(position, bins, reference.columns[position].counts)
            shares.append(ShareQuestion(bins.name, "missing", "missing", position))
        in_profile = {c.name: i for i, c in enumerate(reference.binning.paired)}
        known = [(i, in_profile[f.name]) for i, f in enumerate(numeric) if f.name in in_profile] if interactions else []
        both = [(a, b) for k, a in enumerate(known) for b in known[k + 1 :]]
        return cls(
            tuple(numeric),
            tuple(shares),
            tuple((a[0], b[0]) for a, b in both),
            tuple((a[1], b[1]) for a, b in both),
        )

    def read(self, profile: Profile) -> Readings:
        """Return the counts of one batch, N = 1."""
        bins = [f.read(profile.columns[f.column].counts) for f in self.numeric]
        hits, rows = [], []
        for q in self.shares:
            column = profile.columns[q.column]
            missing = q.kind == "missing"
            hits.append(column.n_missing if missing else int(column.counts[list(q.positions)].sum()))
            rows.append(profile.n_rows if missing else profile.n_rows - column.n_missing)
        left = np.array([a for a, _ in self.pair_columns], dtype=np.intp)
        right = np.array([b for _, b in self.pair_columns], dtype=np.intp)
        return Readings(
            np.array(bins, dtype=np.int64).reshape(1, -1, N_BINS),
            np.array([hits], dtype=np.int64),
            np.array([rows], dtype=np.int64),
            profile.concordant[left, right][None, :],
            profile.paired[left, right][None, :],
        )

    def scores(self, readings: Readings) -> tuple[Floats, Ints]:
        """Return the signed scores (N, 2F + S) of location, scale and shares, and the rows behind each."""
        n = readings.bins.sum(axis=2)
        location = np.array([f.location for f in self.numeric]).reshape(-1, N_BINS)
        scale = np.array([f.scale for f in self.numeric]).reshape(-1, N_BINS)
        per_row = readings.bins / np.maximum(n, 1)[:, :, None]
        scores = np.concatenate(
            [(per_row * location).sum(axis=2), (per_row * scale).sum(axis=2), angle(readings.hits, readings.rows)],
            axis=1,
        )
        return scores, np.concatenate([n, n, readings.rows], axis=1)

    def noise(self) -> Floats:
        """Return the variance that one row contributes to each score: 1 for projections, 1/4 for asin of shares."""
        return np.repeat([1.0, 0.25], [2 * len(self.numeric), len(self.shares)])

    def living(self) -> NDArray[np.bool_]:
        """Which single questions can change at all: a constant feature has no location, two bins have no scale."""
        location = [bool(f.location.any()) for f in self.numeric]
        scale = [bool(f.scale.any()) for f in self.numeric]
        return np.array(location + scale + [True] * len(self.shares), dtype=bool)

    def class_weights(self, location: float, scale: float, levels: float, missing: float) -> Floats:
        """Split each class's weight evenly: over features, then over the levels of a feature; the dead get none."""
        f = len(self.numeric)
        levels_of = Counter(q.feature for q in self.shares if q.kind == "level")
        inside = [1.0] * 2 * f + [1.0 / levels_of[q.feature] if q.kind == "level" else 1.0 for q in self.shares]
        group = np.array(["location"] * f + ["scale"] * f + [q.kind for q in self.shares])
        weights = np.where(self.living(), inside, 0.0)
        for name, share in (("location", location), ("scale", scale), ("level", levels), ("missing", missing)):
            here = group == name
            weights[here] *= share / max(weights[here].sum(), 1e-300)
        return weights

    def names(self) -> list[str]:
        """Return the feature of each single question, in the order of `scores`."""
        return [f.name for f in self.numeric] * 2 + [q.feature for q in self.shares]

    def pair_name(self, i: int) -> str:
        """Return a pair in words."""
        a, b = self.pairs[i]
        return f"{self.numeric[a].name} ~ {self.numeric[b].name}"

    def largest_change(self, feature: str, before: Readings, now: Readings) -> tuple[float, str]:
        """Return the largest change of a share of this feature: Cohen's h (signed) and a sentence.

        Both readings hold one batch (N = 1): what was there before, and what came now.
        """
        found: list[tuple[float, str]] = []
        for i, f in enumerate(self.numeric):
            if f.name == feature:
                found += _numeric_changes(f, before.bins[0, i], now.bins[0, i])
        for i, q in enumerate(self.shares):
            if q.feature == feature:
                found.append(_change(q.words(), before.hits[0, i], before.rows[0, i], now.hits[0, i], now.rows[0, i]))
        for i in range(len(self.pairs)):
            if self.pair_name(i) == feature:
                words = "share of rows on the same side of both medians"
                found.append(_change(words, before.same[0, i], before.both[0, i], now.same[0, i], now.both[0, i]))
        return max(found, key=lambda change: abs(change[0]))


def angle(hits: Ints, rows: Ints) -> Floats:
    """Return asin(sqrt(hits / rows)), whose sampling variance is 1 / (4 rows) whatever the share; 0 without rows."""
    result: Floats = np.arcsin(np.sqrt(hits / np.maximum(rows, 1)))
    return result


def _levels(position: int, bins: LevelBins, counts: Ints) -> list[ShareQuestion]:
    share = counts / max(int(counts.sum()), 1)
    kept = [i for i in range(len(bins.levels)) if share[i] >= RARE]
    rest = tuple(i for i in range(len(counts)) if i not in set(kept))
    questions = [ShareQuestion(bins.name, repr(bins.levels[i]), "level", position, (i,)) for i in kept]
    other = "levels that the reference has rarely or never"
    return [*questions, ShareQuestion(bins.name, other, "level", position, rest)]


def _change(words: str, k0: int, n0: int, k1: int, n1: int) -> tuple[float, str]:
    if not n0 or not n1:
        return 0.0, f"{words}: no rows to compare"
    p0, p1 = k0 / n0, k1 / n1
    h = 2 * (np.arcsin(np.sqrt(p1)) - np.arcsin(np.sqrt(p0)))
    verb = "rose" if p1 >= p0 else "fell"
    return float(h), f"{words} {verb} from {p0:.1%} to {p1:.1%}"


def _numeric_changes(feature: NumericFeature, before: Ints, now: Ints) -> list[tuple[float, str]]:
    below0, below1 = np.cumsum(before), np.cumsum(now)
    n0, n1 = int(below0[-1]), int(below1[-1])
    found = []
    for i in range(N_BINS - 1):
        words = f"share of rows above {feature.edge(i)}"
        found.append(_change(words, n0 - int(below0[i]), n0, n1 - int(below1[i]), n1))
    for i in range(9):
        j = N_BINS - 2 - i
        words = f"share of rows between {feature.edge(i)} and {feature.edge(j)}"
        found.append(_change(words, int(below0[j] - below0[i]), n0, int(below1[j] - below1[i]), n1))
    return found


def questions_for(binning: Binning, features: Sequence[str] | None, exclude: str | None) -> tuple[str, ...]:
    """Return the features to watch: those asked for, or every column but the batch column.

    Raises
    ------
    DataError
        When a feature is not in the reference.
    """
    have = [c.name for c in binning.columns]
    if features is None:
        return tuple(name for name in have if name != exclude)
    unknown = [name for name in features if name not in have]
    if unknown:
        raise DataError(f"features={unknown} are not in the reference: got columns {have}")
    return tuple(features)
