"""What drift asks of a profile: its fine counts become a few counts for each question, and those become scores.

Where does a feature lie, how wide is it, how often does each level and a missing value occur, which features move
together?
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from attrs import Factory, evolve, field, frozen
from numpy.typing import NDArray

from mlopskit import frames
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.profiling import Binning, LevelBins, NumericBins, Profile
from mlopskit.stats.sequential import share_scores
from mlopskit.stats.summaries import location_and_scale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_BINS = 20
RARE = 0.002  # levels below this share of the reference are counted together
FEW = 5  # and so are levels seen fewer times than this
NEGLIGIBLE = 0.005  # Cohen's h by which their share may rise for the way they were chosen
CUMULATIVE = np.array([0, 1, 4, 9, 14, 17, 18])  # the sets at .05 .10 .25 .50 .75 .90 .95 of the nineteen
CENTRAL = np.arange(9)  # the sets between the j-th edge from below and the j-th from above
MANY = 25  # expected rows from which a share is scored by its angle alone
HARDLY = 0.05  # expected rows below which a share says nothing until it changes
STRATUM = 50  # rows from which a stratum speaks for itself
STRATUM_BATCHES = 3  # batches in which it has to be, so that none explains itself alone
BLIND = 0.05  # spread of a feature's locations, against the reference's, below which a change inside a bin is not seen
N_SETS = N_BINS - 1 + len(CENTRAL)
OTHER = "levels that the reference has rarely or never"


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
    mix
        Shape (N, M): rows in each of M strata; M is 0 without strata.
    own
        Shape (N, U): the values of U statistics of the user's.
    seeds
        Shape (N,): where the draws begin that spread the small counts of a batch over their distribution.
    """

    bins: Ints
    hits: Ints
    rows: Ints
    same: Ints
    both: Ints
    mix: Ints
    own: Floats
    seeds: Ints = field(default=Factory(lambda self: np.zeros(len(self.hits), dtype=np.int64), takes_self=True))

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, batches: NDArray[np.intp]) -> Readings:
        return Readings(*(a[batches] for a in self.arrays))

    @classmethod
    def stack(cls, parts: Iterable[Readings]) -> Readings:
        """Put batches one after the other."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*(p.arrays for p in parts), strict=True)))

    def __add__(self, other: Readings) -> Readings:
        return Readings(*(a + b for a, b in zip(self.arrays, other.arrays, strict=True)))

    def nothing(self) -> Readings:
        """Return as many batches without rows."""
        return Readings(*(0 * a for a in self.arrays))

    def total(self) -> Readings:
        """Return the sum over batches, as one batch."""
        return Readings(*(a.sum(axis=0, keepdims=True) for a in self.arrays))

    def none(self) -> Readings:
        """Return no batches, N = 0, with the same questions."""
        return Readings(*(a[:0] for a in self.arrays))

    def before_and_since(self, ages: Sequence[int]) -> tuple[Readings, Readings]:
        """Return, for each age k >= 1, the sum of all but the newest k batches, and the sum of those k."""
        rows = np.array(ages, dtype=np.intp) - 1
        since = [np.cumsum(a[: -max(ages) - 1 : -1], axis=0)[rows] for a in self.arrays]
        before = [a.sum(axis=0, keepdims=True) - newest for a, newest in zip(self.arrays, since, strict=True)]
        return Readings(*before), Readings(*since)

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The counts, in the order of the fields."""
        return self.bins, self.hits, self.rows, self.same, self.both, self.mix, self.own, self.seeds


@frozen(eq=False)
class Batch:
    """One batch as it is read: its counts (N = 1), those of each stratum (none without strata), and its rows.

    `is_usual` says whether it is about as large as the batches of the reference.
    """

    readings: Readings
    strata: Readings
    n_rows: int
    is_usual: bool = True


@frozen(eq=False)
class Pool:
    """What batches are compared with: the counts of batches, and the sum of each stratum over all that ever joined.

    Where rows vary, `batches` holds sums instead: one line, or one for each stratum.
    """

    batches: Readings
    strata: Readings

    @classmethod
    def of(cls, batches: Sequence[Batch]) -> Pool:
        """Return the pool of these batches."""
        strata = batches[0].strata
        for batch in batches[1:]:
            strata = strata + batch.strata
        return cls(Readings.stack(b.readings for b in batches), strata)

    def none(self) -> Pool:
        """Return a pool without batches, with the same questions."""
        mix = np.zeros((0, len(self.strata)), dtype=np.int64)
        return Pool(evolve(self.batches.none(), mix=mix), self.strata.nothing())

    def add(self, batch: Batch) -> Pool:
        """Return the pool with one batch more."""
        return Pool(Readings.stack([self.batches, batch.readings]), self.strata_with(batch))

    def strata_with(self, batch: Batch) -> Readings:
        """Return the sums of strata with those of one batch more."""
        return self.strata + batch.strata

    def as_rows(self) -> Pool:
        """Return the sum of all batches in place of them: by stratum, where there are strata."""
        return Pool(self.strata if len(self.strata) else self.batches.total(), self.strata)


@frozen(eq=False)
class Reference:
    """What is kept of the reference's profile: the binning, and how many rows each of its bins holds."""

    binning: Binning
    counts: NDArray[Any]

    @classmethod
    def of(cls, profile: Profile) -> Reference:
        """Keep the counts of all columns in a row, as small integers as hold them."""
        counts = np.concatenate([np.zeros(1, np.int64), *(c.counts for c in profile.columns)])[1:]
        return cls(profile.binning, counts.astype(np.min_scalar_type(int(counts.max(initial=0)))))

    def columns(self) -> list[Ints]:
        """Return the counts of each column."""
        ends = np.cumsum([len(bins) for bins in self.binning.columns])
        return [part.astype(np.int64) for part in np.split(self.counts, ends[:-1])]


@frozen(eq=False)
class NumericFeature:
    """A numeric feature: its column in the profile, where its twentieths end, and their scores."""

    name: str
    kind: str
    column: int
    ends: NDArray[np.intp]
    cuts: NDArray[np.intp]
    edges: Floats
    location: Floats
    scale: Floats

    @classmethod
    def of(cls, position: int, bins: NumericBins, counts: Ints) -> NumericFeature:
        """Take every twentieth part of the quantile bins, then score them."""
        cuts = np.rint(np.arange(1, N_BINS) * len(bins) / N_BINS).astype(np.intp) - 1
        ends = np.concatenate(([0], cuts + 1, [len(bins)]))
        below = np.concatenate(([0], np.cumsum(counts)))
        location, scale = location_and_scale(np.diff(below[ends]) / max(below[-1], 1))
        return cls(bins.name, bins.kind, position, ends, cuts, bins.edges[cuts], location, scale)

    def distinct(self) -> NDArray[np.bool_]:
        """Which of the cumulative sets differ from the next one: equal edges ask the same question twice."""
        edges = self.edges[CUMULATIVE]
        return np.append(edges[:-1] != edges[1:], True)

    def edge(self, i: int) -> str:
        """Return an edge in words."""
        return _readable(self.kind, self.edges[i])

    def place(self, i: int) -> str:
        """Return where one of the twenty bins lies, in words."""
        if i in (0, N_BINS - 1):
            return f"above {self.edge(-1)}" if i else f"up to {self.edge(0)}"
        return f"between {self.edge(i - 1)} and {self.edge(i)}"

    def words(self, i: int) -> str:
        """Return one of the 28 sets in words: above an edge (19), then between two edges (9)."""
        if i < N_BINS - 1:
            return f"share of rows above {self.edge(i)}"
        j = i - (N_BINS - 1)
        return f"share of rows between {self.edge(j)} and {self.edge(N_BINS - 2 - j)}"


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
    pair_columns, offsets
        Where the profile holds each pair, and where each column's counts begin when all are put in a row.
    own
        Names of the user's statistics.
    quiet
        Features that are not asked about for now.
    usual
        Shape (S,): the shares against which small counts are scored (`share_scores`), NaN for all others; None where
        rows vary.
    """

    numeric: tuple[NumericFeature, ...]
    shares: tuple[ShareQuestion, ...]
    pairs: tuple[tuple[int, int], ...]
    pair_columns: tuple[tuple[int, int], ...] = field(repr=False)
    offsets: tuple[int, ...] = field(repr=False)
    own: tuple[str, ...] = ()
    quiet: frozenset[str] = frozenset()
    usual: Floats | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls, reference: Reference, features: Sequence[str], *, interactions: bool, own: Sequence[str] = ()
    ) -> Questions:
        """Choose the questions from the reference."""
        counts = reference.columns()
        numeric: list[NumericFeature] = []
        shares: list[ShareQuestion] = []
        for position, bins in enumerate(reference.binning.columns):
            if bins.name not in features:
                continue
            if isinstance(bins, NumericBins):
                numeric.append(NumericFeature.of(position, bins, counts[position]))
            else:
                shares += _levels(position, bins, counts[position])
            shares.append(ShareQuestion(bins.name, "missing", "missing", position))
        in_profile = {c.name: i for i, c in enumerate(reference.binning.paired)}
        known = [(i, in_profile[f.name]) for i, f in enumerate(numeric) if f.name in in_profile] if interactions else []
        both = [(a, b) for k, a in enumerate(known) for b in known[k + 1 :]]
        return cls(
            tuple(numeric),
            tuple(shares),
            tuple((a[0], b[0]) for a, b in both),
            tuple((a[1], b[1]) for a, b in both),
            tuple(np.cumsum([0, *map(len, counts)]).tolist()),
            tuple(own),
        )

    def read(self, profile: Profile, own: Sequence[float] = ()) -> Readings:
        """Return the counts of one batch, N = 1, without its mix."""
        counts = np.concatenate([np.zeros(1, np.int64), *(c.counts for c in profile.columns)])
        below = np.cumsum(counts)
        bins = below[self._ends[:, 1:]] - below[self._ends[:, :-1]]
        missing = np.array([profile.columns[q.column].n_missing for q in self.shares], dtype=np.int64)
        asked = np.array([q.kind == "missing" for q in self.shares], dtype=bool)
        positions, starts = self._levels
        hits = missing.copy()
        if len(starts):
            hits[~asked] = np.add.reduceat(counts[positions], starts)
        left = np.array([a for a, _ in self.pair_columns], dtype=np.intp)
        right = np.array([b for _, b in self.pair_columns], dtype=np.intp)
        return Readings(
            bins[None],
            hits[None],
            np.where(asked, profile.n_rows, profile.n_rows - missing)[None],
            profile.concordant[left, right][None, :],
            profile.paired[left, right][None, :],
            np.zeros((1, 0), dtype=np.int64),
            np.array([own], dtype=np.float64).reshape(1, -1),
        )

    @cached_property
    def _ends(self) -> NDArray[np.intp]:
        """Where each feature's twentieths begin and end, (F, 21), among the summed counts of all columns."""
        ends = [self.offsets[f.column] + f.ends for f in self.numeric]
        return np.array(ends, dtype=np.intp).reshape(-1, N_BINS + 1)

    @cached_property
    def _levels(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The places of every level question among the counts of all columns, and where each question's begin."""
        levels = [q for q in self.shares if q.kind == "level"]
        places = [self.offsets[q.column] + 1 + i for q in levels for i in q.positions]
        starts = np.cumsum([0, *(len(q.positions) for q in levels)])[:-1]
        return np.array(places, dtype=np.intp), starts.astype(np.intp)

    def blind(self, pool: Readings) -> dict[str, str]:
        """Return the features that live but lie in one bin by now, or among levels that have no name, and where."""
        bins, found = pool.bins.sum(axis=0), {}
        for feature, counts in zip(self.numeric, bins.astype(np.float64), strict=True):
            if feature.location.any() and counts.any():
                shares = counts / counts.sum()
                if shares @ np.square(feature.location - shares @ feature.location) < BLIND:
                    found[feature.name] = feature.place(int(counts.argmax()))
        hits, rows = pool.hits.sum(axis=0), pool.rows.sum(axis=0)
        for q, k, n in zip(self.shares, hits.tolist(), rows.tolist(), strict=True):
            if q.label == OTHER and n and k / n > 1 - BLIND:
                found[q.feature] = f"among {OTHER}"
        return {name: place for name, place in found.items() if name not in self.quiet}

    def batch_sizes(self, readings: Readings) -> Ints:
        """Return the rows of each batch: every row is asked whether a value is missing."""
        return readings.rows[:, [q.kind for q in self.shares].index("missing")]

    def usual_shares(self, readings: Readings) -> Floats:
        """Return the shares of all batches together where a usual batch counts few rows, or all but few; else NaN."""
        p = readings.hits.sum(axis=0) / np.maximum(readings.rows.sum(axis=0), 1)
        expected = np.minimum(p, 1 - p) * np.median(readings.rows, axis=0)
        return np.where((expected >= HARDLY) & (expected < MANY), p, np.nan)

    def scores(self, readings: Readings, *, drawn: bool = True) -> tuple[Floats, Ints]:
        """Return the signed scores (N, 2F + S) of location, scale and shares, and the rows behind each.

        `drawn` says whether the counts are those of batches, and not expected ones.
        """
        n = readings.bins.sum(axis=2)
        location = np.array([f.location for f in self.numeric]).reshape(-1, N_BINS)
        scale = np.array([f.scale for f in self.numeric]).reshape(-1, N_BINS)
        bins, asked = readings.bins.astype(np.float64), np.maximum(n, 1)
        projections = [np.einsum("nfb,fb->nf", bins, score) / asked for score in (location, scale)]
        shares = angle(readings.hits, readings.rows)
        if self.usual is not None:
            draws = _draws(readings.seeds, len(self.usual)) if drawn else None
            shares = share_scores(readings.hits, readings.rows, self.usual, draws)
        scores = np.concatenate([*projections, shares], axis=1)
        return scores, np.concatenate([n, n, readings.rows], axis=1)

    @cached_property
    def noise(self) -> Floats:
        """Return the variance that one row contributes to each score: 1 for projections, 1/4 for asin of shares."""
        return np.repeat([1.0, 0.25], [2 * len(self.numeric), len(self.shares)])

    @cached_property
    def living(self) -> NDArray[np.bool_]:
        """Which single questions are asked: a constant feature has no location, two bins have no scale."""
        location = [bool(f.location.any()) for f in self.numeric]
        scale = [bool(f.scale.any()) for f in self.numeric]
        able = np.array(location + scale + [True] * len(self.shares), dtype=bool)
        return able & self.heard(self.names)

    @cached_property
    def living_pairs(self) -> NDArray[np.bool_]:
        """Which pairs are asked about."""
        ends = [self.heard([self.numeric[pair[i]].name for pair in self.pairs]) for i in (0, 1)]
        return self.heard(self.pair_names) & ends[0] & ends[1]

    def heard(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Return which of these names are asked about."""
        return np.array([name not in self.quiet for name in names], dtype=bool)

    def without(self, names: Iterable[str]) -> Questions:
        """Return the questions about everything else."""
        quiet = frozenset(names)
        return self if quiet == self.quiet else evolve(self, quiet=quiet)

    @cached_property
    def is_asking(self) -> bool:
        """Whether anything is left to ask."""
        return bool(self.living.any() or self.living_pairs.any() or self.heard(self.own).any())

    def class_weights(self, location: float, scale: float, levels: float, missing: float) -> Floats:
        """Split each class's weight evenly: over features, then over the levels of a feature; the dead get none."""
        f = len(self.numeric)
        levels_of = Counter(q.feature for q in self.shares if q.kind == "level")
        inside = [1.0] * 2 * f + [1.0 / levels_of[q.feature] if q.kind == "level" else 1.0 for q in self.shares]
        group = np.array(["location"] * f + ["scale"] * f + [q.kind for q in self.shares])
        weights = np.where(self.living, inside, 0.0)
        for name, share in (("location", location), ("scale", scale), ("level", levels), ("missing", missing)):
            here = group == name
            weights[here] *= share / max(weights[here].sum(), 1e-300)
        return weights

    @cached_property
    def names(self) -> list[str]:
        """Return the feature of each single question, in the order of `scores`."""
        return [f.name for f in self.numeric] * 2 + [q.feature for q in self.shares]

    @cached_property
    def pair_names(self) -> list[str]:
        """Each pair in words."""
        return [f"{self.numeric[a].name} ~ {self.numeric[b].name}" for a, b in self.pairs]

    @cached_property
    def set_names(self) -> list[str]:
        """The feature or pair of each set, in the order of `sets`."""
        numeric = [f.name for f in self.numeric for _ in range(N_SETS)]
        return numeric + [q.feature for q in self.shares] + self.pair_names

    @cached_property
    def heard_sets(self) -> NDArray[np.bool_]:
        """Which sets are asked about, in the order of `sets`."""
        own = self.heard(self.set_names[: -len(self.pairs) or None])
        return np.append(own, self.living_pairs) if self.pairs else own

    @cached_property
    def _set_codes(self) -> tuple[list[str], NDArray[np.intp]]:
        """The features and pairs that have sets, and for each set which of them it belongs to."""
        names = list(dict.fromkeys(self.set_names))
        code = {name: i for i, name in enumerate(names)}
        return names, np.array([code[name] for name in self.set_names], dtype=np.intp)

    def sets(self, readings: Readings) -> tuple[Ints, Ints]:
        """Return rows inside and rows asked, each (N, S), of every set that can be put into words.

        For each numeric feature the 19 sets above an edge and 9 central ones, then shares, then pairs.
        """
        below = np.cumsum(readings.bins, axis=2)
        n = below[:, :, -1:]
        central = below[:, :, N_BINS - 2 - CENTRAL] - below[:, :, CENTRAL]
        inside = np.concatenate([n - below[:, :, : N_BINS - 1], central], axis=2).reshape(len(readings), -1)
        asked = np.repeat(n[:, :, 0], N_SETS, axis=1)
        hits = np.concatenate([inside, readings.hits, readings.same], axis=1)
        return hits, np.concatenate([asked, readings.rows, readings.both], axis=1)

    def set_words(self, i: int) -> str:
        """Return a set in words."""
        numeric = N_SETS * len(self.numeric)
        if i < numeric:
            return self.numeric[i // N_SETS].words(i % N_SETS)
        if i < numeric + len(self.shares):
            return self.shares[i - numeric].words()
        return "share of rows on the same side of both medians"

    def mixed(self, mix: Ints, strata: Readings) -> Readings:
        """Return the counts that batches of this mix of strata are expected to have, (N, ...), from those of strata.

        Parameters
        ----------
        mix
            Shape (N, M): rows of each batch in each stratum.
        strata
            The counts of M strata; one of fewer rows than can be relied on is expected to be like all together.
        """
        n = self.batch_sizes(strata).astype(np.float64)
        few, whole = n < STRATUM, np.maximum(n.sum(), 1.0)
        rates: list[NDArray[Any]] = []
        for counts in strata.arrays[:5]:
            each = counts / np.maximum(n, 1.0).reshape(-1, *[1] * (counts.ndim - 1))
            each[few] = counts.sum(axis=0) / whole
            rates.append(np.tensordot(mix, each, axes=1))
        bins, hits, rows, same, both = rates
        return Readings(bins, hits, rows, same, both, mix, np.zeros((len(mix), 0)))

    def largest_changes(self, pool: Described, ages: Mapping[str, int]) -> dict[str, tuple[float, str]]:
        """Return, for each feature or pair, the set that changed most: Cohen's h (signed) and a sentence.

        Parameters
        ----------
        pool
            All batches, the newest last, and what the mix of strata explains of them.
        ages
            For each feature or pair: how many of the newest batches are compared with those before them.
        """
        known = sorted(set(ages.values()))
        before, since = pool.batches.before_and_since(known)
        if pool.expected is not None:
            _, before = pool.expected.before_and_since(known)
        (k0, n0), (k1, n1) = self.sets(before), self.sets(since)
        names, name_of = self._set_codes
        row = np.searchsorted(known, [ages.get(name, known[0]) for name in names])[name_of], np.arange(len(name_of))
        k0, n0, k1, n1 = k0[row], n0[row], k1[row], n1[row]
        h = np.where((n0 > 0) & (n1 > 0), 2 * (angle(k1, n1) - angle(k0, n0)), 0.0)
        largest = np.lexsort((-np.abs(h), name_of))
        first = largest[np.searchsorted(name_of[largest], np.arange(len(names)))]
        own = [(name, pool.batches.own[:, i]) for i, name in enumerate(self.own) if name not in self.quiet]
        result = {name: _own_change(name, values) for name, values in own if name in ages}
        values = [a[first].tolist() for a in (h, k0, n0, k1, n1)]  # numbers of Python are quicker to write
        for name, i, effect, *shares in zip(names, first.tolist(), *values, strict=True):
            if name in ages and name not in self.quiet:
                result[name] = (effect, f"{self.set_words(i)} {_in_words(*shares)}")
        return result


@frozen(eq=False)
class Described:
    """The batches by which a change is described, the newest last.

    `expected` holds the counts that the mix of strata of each would have: the newest batches are then compared with
    those, and not with the batches before them.
    """

    batches: Readings
    expected: Readings | None = None


@frozen
class Verdict:
    """What one batch says together with those before it.

    Parameters
    ----------
    log_value
        The strongest weighted log evidence.
    strength
        For each feature or pair: how much it stands out, and over how many of the newest batches.
    evidence
        For each feature or pair that is asked about by itself: the log evidence of its strongest question.
    starts
        For each feature or pair: over how many of the newest batches its evidence has gathered, where that is known.
    """

    log_value: float
    strength: dict[str, tuple[float, int]]
    evidence: dict[str, float]
    starts: dict[str, int]

    @classmethod
    def of(
        cls,
        log_value: float,
        names: Sequence[str],
        strength: Floats,
        evidence: Floats,
        *,
        ages: NDArray[Any] | None = None,
        starts: NDArray[Any] | None = None,
    ) -> Verdict:
        """Gather the questions by name, of which the strongest speaks; `evidence` is of the first names, or of all."""
        best: dict[str, tuple[float, int]] = {}
        began: dict[str, int] = {}
        for i, (name, value) in enumerate(zip(names, strength.tolist(), strict=True)):
            if name not in best or value > best[name][0]:
                best[name] = (value, 1 if ages is None else int(ages[i]))
                if starts is not None:
                    began[name] = int(starts[i])
        single: dict[str, float] = {}
        for name, value in zip(names, evidence.tolist(), strict=False):
            single[name] = max(value, single.get(name, -math.inf))
        return cls(log_value, best, single, began)

    def over(self, log_limit: float) -> tuple[str, ...]:
        """Return the features and pairs that are over a limit by themselves."""
        return tuple(sorted(name for name, value in self.evidence.items() if value >= log_limit))


def angle(hits: Ints, rows: Ints) -> Floats:
    """Return asin(sqrt(hits / rows)), whose sampling variance is 1 / (4 rows) whatever the share; 0 without rows."""
    result: Floats = np.arcsin(np.sqrt(hits / np.maximum(rows, 1)))
    return result


def _draws(seeds: Ints, n: int) -> Floats:
    """Return n uniform draws for each seed, one row each."""
    draws = [np.random.Generator(np.random.Philox(key=seed)).random(n) for seed in seeds.tolist()]
    return np.array(draws).reshape(-1, n)


def _levels(position: int, bins: LevelBins, counts: Ints) -> list[ShareQuestion]:
    if not bins.levels and counts.any():
        return []  # mixed or nested values: nothing tells them apart
    least = max(RARE * int(counts.sum()), FEW)
    kept = np.flatnonzero(counts[:-1] >= least)
    times = bins.kind in ("datetime", "duration")
    labels = [_readable(bins.kind, float(v)) if times else repr(v) for v in bins.levels]
    questions = [ShareQuestion(bins.name, labels[i], "level", position, (i,)) for i in kept.tolist()]
    rest = _rest(counts, least)
    if rest is None:
        return questions
    return [*questions, ShareQuestion(bins.name, OTHER, "level", position, rest)]


def _rest(counts: Ints, least: float) -> tuple[int, ...] | None:
    """Return the levels that are counted together: those below a count that luck hardly decided, or None.

    Which levels of equal frequency fell below a cut is chance, and their share rises again in the next batch: by the
    expected deficit of a Poisson count below the cut, sum of sqrt(c) * phi((cut - c) / sqrt(c)), and by the levels seen
    once for those never seen (Good 1953). The highest cut is taken at which that rise is no more than NEGLIGIBLE on
    Cohen's scale; levels between it and the cut for single levels are not asked about.
    """
    n = max(int(counts.sum()), 1)
    cut = least
    while cut > 0.5:
        rare = np.append(counts[:-1] < cut, True)
        seen = counts[:-1][counts[:-1] > 0].astype(np.float64)
        deficit = float((np.sqrt(seen) * np.exp(-np.square(cut - seen) / (2 * seen))).sum()) / math.sqrt(2 * math.pi)
        rise = max(deficit, float((seen == 1).sum()) if cut <= 1 else 0.0) / n
        share = min(max(float(counts[rare].sum()) / n, rise, 1 / n), 1.0)
        if rise <= NEGLIGIBLE * math.sqrt(share * (1 - share)) or share == 1:
            return tuple(np.flatnonzero(rare).tolist())
        cut /= 2
    return None


def _in_words(k0: int, n0: int, k1: int, n1: int) -> str:
    if not n0 or not n1:
        return "has no rows to compare"
    p0, p1 = k0 / n0, k1 / n1
    if p0 == p1:
        return f"stayed at {p0:.1%}"
    return f"{'rose' if p1 > p0 else 'fell'} from {p0:.1%} to {p1:.1%}"


def _own_change(name: str, values: Floats) -> tuple[float, str]:
    return (
        math.nan,
        f"{name} is {values[-1]:.4g}, against {float(np.median(values[:-1])):.4g} in the middle of all batches",
    )


def _readable(kind: str, value: float) -> str:
    if kind == "datetime":
        return str(pd.Timestamp(frames.stamp(kind, int(value))))
    return str(pd.Timedelta(frames.stamp(kind, int(value)))) if kind == "duration" else f"{value:.4g}"


def watched(binning: Binning, features: Sequence[str] | None, batch_column: str | None) -> tuple[str, ...]:
    """Return the features to watch: those asked for, or every column but the batch column.

    Raises
    ------
    DataError
        When a feature is not in the reference.
    ConfigurationError
        When the batch column is asked for as a feature.
    """
    have = [c.name for c in binning.columns]
    if features is None:
        return tuple(name for name in have if name != batch_column)
    unknown = [name for name in features if name not in have]
    if unknown:
        raise DataError(f"features={unknown} are not in the reference: got columns {have}")
    if batch_column in features:
        raise ConfigurationError(f"batch={batch_column!r} names the batches: leave it out of features")
    return tuple(features)
