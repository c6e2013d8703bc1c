"""What a drift detector can find: the smallest change within so many batches, by simulation from what it knows.

One feature changes, all others stay as they were. Where batches vary, its score moves by a number of standard
deviations of the reference's batches, and competes through its own question and through the largest score of all; where
rows vary, counts are drawn from shares that are tilted (numbers) or moved by Cohen's h (levels, missing values).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mlopskit.evidence import Report
from mlopskit.monitoring.batches_vary import Scored
from mlopskit.monitoring.batches_vary import weights as batch_weights
from mlopskit.monitoring.questions import Floats, Questions, Readings
from mlopskit.monitoring.rows_vary import BETS, Grown
from mlopskit.monitoring.rows_vary import weights as row_weights
from mlopskit.stats.sequential import (
    RankBets,
    log_bounded_mean,
    log_cusum,
    log_share_tilts,
    log_shiryaev_roberts,
    log_tilts,
    shifted_share,
    smoothed_rank,
)

if TYPE_CHECKING:
    import pandas as pd

WITHIN = (1, 5, 20)
RUNS = 100
FOUND = 0.8  # share of runs in which a change counts as found
_SHIFTS = np.geomspace(0.02, 3.0, 26)  # in standard deviations of a feature, or Cohen's h
_SPREADS = np.geomspace(0.2, 100.0, 40)  # in standard deviations of the reference's batches

Search: TypeAlias = Callable[[Floats], Floats]
"""From sizes of a change, shape (G,), to the batches until each run found it, (RUNS, G), inf where it did not."""


@frozen
class Resolution(Report):
    """The smallest change that is found within 1, 5 and 20 batches in four of five runs.

    Parameters
    ----------
    changes
        For each feature: what changes ("mean" in standard deviations of its rows, or the share of a level or of missing
        values on Cohen's scale h), and the smallest size found within 1, 5 and 20 batches; inf where none that was
        tried is.
    n_rows
        Rows of a batch.
    limit
        The alarm limit, in batches.
    """

    changes: tuple[tuple[str, str, float, float, float], ...]
    n_rows: int
    limit: float

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each change."""
        import pandas as pd

        return pd.DataFrame(list(self.changes), columns=["feature", "change", *(f"within_{k}" for k in WITHIN)])

    def __str__(self) -> str:
        lines = [f"smallest changes found in 80% of runs, batches of {self.n_rows} rows, limit {self.limit:g}:"]
        for feature, change, *sizes in self.changes:
            unit = "sd" if change == "mean" else "h"
            found = [
                f"{size:.2g} {unit} within {k}" for k, size in zip(WITHIN, sizes, strict=True) if np.isfinite(size)
            ]
            lines.append(f"  {feature}, {change}: {', '.join(found) or 'none within 20 batches'}")
        return "\n".join(lines)


def resolution_of_batches(
    questions: Questions, bag: Scored, n_rows: int, limit: float, rng: np.random.Generator
) -> Resolution:
    """Find the smallest changes where batches vary."""
    weight = dict(zip(range(len(questions.living)), batch_weights(questions), strict=False))
    largest, n_living = batch_weights(questions)[-3], int(questions.living.sum())
    spread = 1.4826 * np.median(np.abs(bag.singles - np.median(bag.singles, axis=0)), axis=0)
    noise = np.sqrt(questions.noise / max(n_rows, 1))
    usual = np.sqrt(questions.noise / np.maximum(np.median(bag.sizes, axis=0), 1))
    between = np.sqrt(np.maximum(spread**2 - usual**2, 0.0))
    found: dict[float, Floats] = {}
    rows: list[tuple[str, str, float, float, float]] = []
    blind = questions.blind(bag.readings)
    for i, (feature, change) in enumerate(_asked(questions)):
        if change is None or not questions.living[i]:
            continue
        if change == "mean" and feature in blind:
            rows.append((feature, change, math.inf, math.inf, math.inf))
            continue
        w = float(weight[i])
        if w not in found:
            found[w] = _smallest(_rank_search(len(bag.singles), w, largest, n_living, limit, rng), _SPREADS)
        unit = float(np.hypot(between[i], noise[i])) * (1.0 if change == "mean" else 2.0)
        rows.append((feature, change, *(found[w] * unit).tolist()))
    return Resolution(tuple(rows), n_rows, limit)


def resolution_of_rows(
    questions: Questions, pool: Readings, grown: Grown | None, tolerance: float, n_rows: int, limit: float, rng: Any
) -> Resolution:
    """Find the smallest changes where rows vary; `pool` is the sum of the reference."""
    weight = row_weights(questions)
    f, sets = len(questions.numeric), 7 * len(questions.numeric)
    bands = None if grown is None else grown.bands(questions, tolerance)
    rows = []
    for i, (feature, change) in enumerate(_asked(questions)):
        if change is None or not questions.living[i]:
            continue
        share = i - 2 * f
        w = float(weight[i] if i < f else weight[2 * f + sets + share])
        if bands is not None:
            at = 28 * i + 9 if i < f else 28 * f + share  # the set above the median, or the share itself
            (hits, asked), live = questions.sets(pool), int(questions.heard_sets.sum())
            usual = float(hits[0, at] / max(asked[0, at], 1))
            search = _band_search(usual, bands[0][at], bands[1][at], live, n_rows, limit, rng)
        elif i < f:
            search = _tilt_search(pool.bins[0, i], questions.numeric[i].location, w, n_rows, limit, rng)
        else:
            search = _share_search(int(pool.hits[0, share]), int(pool.rows[0, share]), w, n_rows, limit, rng)
        rows.append(
            (feature, change if bands is None or i >= f else "share above the median", *_smallest(search, _SHIFTS))
        )
    return Resolution(tuple(rows), n_rows, limit)


def _asked(questions: Questions) -> list[tuple[str, str | None]]:
    """Return the feature of each single question and what changes; None where it is not worth a line."""
    f = len(questions.numeric)
    means: list[tuple[str, str | None]] = [(q.name, "mean") for q in questions.numeric]
    return means + [(q.name, None) for q in questions.numeric][:f] + [(q.feature, q.words()) for q in questions.shares]


def _smallest(search: Search, sizes: Floats) -> NDArray[np.float64]:
    """Return the smallest size that is found within 1, 5 and 20 batches."""
    delays = search(sizes)
    result = []
    for k in WITHIN:
        enough = (delays <= k).mean(axis=0) >= FOUND
        result.append(float(sizes[enough.argmax()]) if enough.any() else np.inf)
    return np.array(result)


def _delays(log_values: Callable[[int], Floats], limit: float) -> Floats:
    """Return the first batch in which each path of weighted log evidence reaches the limit."""
    delays: Floats = np.array([])
    for t in range(1, WITHIN[-1] + 1):
        over = log_values(t) >= np.log(limit)
        delays = np.where(over, t, np.inf) if t == 1 else np.where(over & np.isinf(delays), t, delays)
    return delays


def _rank_search(
    n_reference: int, weight: float, largest: float, n_living: int, limit: float, rng: np.random.Generator
) -> Search:
    """Search among the ranks of a single question and of the largest score of all questions."""

    def search(sizes: Floats) -> Floats:
        shape = (RUNS, len(sizes))
        bag = rng.normal(size=(n_reference, RUNS, 1)) + np.zeros((1, 1, len(sizes)))
        others = _largest_of(n_living - 1, (n_reference, RUNS, 1), rng) + np.zeros((1, 1, len(sizes)))
        single = [RankBets.start(np.ones(RUNS * len(sizes), dtype=bool))]
        whole = [RankBets.start(np.zeros(RUNS * len(sizes), dtype=bool))]
        held = [bag.reshape(n_reference, -1), np.maximum(np.abs(bag), others).reshape(n_reference, -1)]

        def log_values(_t: int) -> Floats:
            new = sizes + rng.normal(size=shape)
            top = np.maximum(np.abs(new), _largest_of(n_living - 1, shape, rng))
            values = []
            for i, (bets, scores, w) in enumerate(((single, new, weight), (whole, top, largest))):
                held[i] = np.concatenate([held[i], scores.reshape(1, -1)])
                bets[0] = bets[0].update(smoothed_rank(held[i], rng.random(held[i].shape[1])), len(held[i]))
                values.append(bets[0].log_values() + np.log(max(w, 1e-300)))
            return np.asarray(np.maximum(*values)).reshape(shape)

        return _delays(log_values, limit)

    return search


def _largest_of(n: int, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw the largest of n absolute normal values."""
    from scipy.special import ndtri

    if n <= 0:
        return np.zeros(shape)
    return np.asarray(ndtri((1 + rng.random(shape) ** (1 / n)) / 2))


def _tilt_search(
    pool: Floats, location: Floats, weight: float, n: int, limit: float, rng: np.random.Generator
) -> Search:
    """Search among the location tilts of a numeric feature whose shares are tilted towards larger values."""

    def search(sizes: Floats) -> Floats:
        shares = pool / pool.sum() * np.exp(sizes[:, None] * location)
        shares = np.broadcast_to(shares / shares.sum(axis=1, keepdims=True), (RUNS, len(sizes), len(pool)))
        state = [np.broadcast_to(pool, shares.shape), np.zeros((RUNS, len(sizes), BETS))]

        def log_values(_t: int) -> Floats:
            counts = rng.multinomial(n, shares)
            state[0] = state[0] + counts
            state[1] = log_cusum(state[1], log_tilts(counts, state[0], location))
            return np.asarray(state[1].max(axis=-1) + np.log(weight / BETS))

        return _delays(log_values, limit)

    return search


def _share_search(hits: int, rows: int, weight: float, n: int, limit: float, rng: np.random.Generator) -> Search:
    """Search among the tilts of a share that rises by Cohen's h."""

    def search(sizes: Floats) -> Floats:
        p = np.broadcast_to(shifted_share(hits / max(rows, 1), sizes), (RUNS, len(sizes)))
        state = [np.full(p.shape, float(hits)), np.full(p.shape, float(rows)), np.zeros((*p.shape, BETS))]

        def log_values(_t: int) -> Floats:
            x = rng.binomial(n, p)
            state[0], state[1] = state[0] + x, state[1] + n
            state[2] = log_cusum(state[2], log_share_tilts(x, n, state[0], state[1]))
            return np.asarray(state[2].max(axis=-1) + np.log(max(weight, 1e-300) / BETS))

        return _delays(log_values, limit)

    return search


def _band_search(
    usual: float, low: float, high: float, live: int, n: int, limit: float, rng: np.random.Generator
) -> Search:
    """Search among the atoms of one set whose share rises by Cohen's h out of its band."""

    def search(sizes: Floats) -> Floats:
        p = np.broadcast_to(shifted_share(usual, sizes), (RUNS, len(sizes)))
        state = [np.full((*p.shape, BETS), -np.inf)]

        def log_values(_t: int) -> Floats:
            state[0] = log_shiryaev_roberts(state[0], log_bounded_mean(n, rng.binomial(n, p), low, high))
            return np.asarray(state[0].max(axis=-1) - np.log(max(live * BETS, 1)))

        return _delays(log_values, limit)

    return search
