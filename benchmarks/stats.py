"""What the statistics cost, beside a floor measured in the same run: read the ratios, not the times; and what they buy.

python benchmarks/stats.py
"""

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.special import betaln, xlog1py, xlogy

import mlopskit as mk
from mlopskit.stats.intervals import (
    N_RESAMPLES,
    AsymptoticSequence,
    BettingSequence,
    EmpiricalBernstein,
    beta_mixture,
    block_bootstrap,
)

Array = npt.NDArray[np.float64]
Call = Callable[[], object]

ROWS = 1_000
NUMBERS, TEXTS, LEVELS, STORED = 14, 6, 4, 500
SINGLES = 2 * NUMBERS + TEXTS * LEVELS + NUMBERS + TEXTS
"""Location and scale of each number, each level of each text, missing values of each column."""


def compare(call: Call, floor: Call, repeats: int = 15) -> tuple[float, float]:
    """Return the median time of each in microseconds; they take turns, so that both meet the same machine."""
    number = [max(1, int(2e-3 / max(once(f, 1), 1e-9))) for f in (call, floor)]
    times = [[once(f, n) for f, n in zip((call, floor), number, strict=True)] for _ in range(repeats)]
    took, least = np.median(times, axis=0) * 1e6
    return float(took), float(least)


def once(call: Call, number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - start) / number


def mean_by_cumulative_sums(x: Array, length: int, seed: int = 0) -> Array:
    """Block bootstrap of a mean at its barest: block sums from a cumulative sum, one gather of them."""
    n, n_blocks = len(x), -(-len(x) // length)
    starts = np.random.Generator(np.random.Philox(key=seed)).integers(n, size=(N_RESAMPLES, n_blocks))
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([x, x[:length]]))])
    last = n - (n_blocks - 1) * length
    whole, cut = sums[length:] - sums[:-length], sums[last : last + n] - sums[:n]
    means = (whole[starts[:, :-1]].sum(axis=1) + cut[starts[:, -1]]) / n
    ends: Array = np.quantile(means, [0.025, 0.975])
    return ends


def median_of_rows(x: Array, seed: int = 0) -> Array:
    """Gather independent rows and take np.median: no blocks, no ends."""
    rows = np.random.Generator(np.random.Philox(key=seed)).integers(len(x), size=(N_RESAMPLES, len(x)))
    medians: Array = np.median(x[rows], axis=1)
    return medians


def two_roots(s: float, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Both ends of the beta mixture by scipy.optimize.brentq."""
    limit = betaln(0.5 + s, 0.5 + n - s) - betaln(0.5, 0.5) + np.log(alpha)

    def log_e(m: float) -> float:
        return float(limit - xlogy(s, m) - xlog1py(n - s, -m))

    return brentq(log_e, 1e-12, s / n), brentq(log_e, s / n, 1 - 1e-12)


def sequences(x: Array) -> list[tuple[str, Call, str, Call]]:
    bernstein, asymptotic, betting = EmpiricalBernstein().update(x), AsymptoticSequence().update(x), BettingSequence()
    s, q = float(x.sum()), float(x @ x)
    rows: list[tuple[str, Call, str, Call]] = [
        (f"EmpiricalBernstein.update, {ROWS:,} rows", lambda: bernstein.update(x), "x.sum()", x.sum),
        ("EmpiricalBernstein.update_sums", lambda: bernstein.update_sums(ROWS, s, q), "x.sum()", x.sum),
        ("EmpiricalBernstein.interval", bernstein.interval, "x.sum()", x.sum),
        (f"AsymptoticSequence.update, {ROWS:,} rows", lambda: asymptotic.update(x), "x.var()", x.var),
    ]
    for n in (20, 200):
        bets = partial(np.log1p, np.full((2 * n, 1_001), 0.1))
        rows.append((f"BettingSequence.update, {n} rows", partial(betting.update, x[:n]), "np.log1p of all bets", bets))
    rows.append(("beta_mixture", lambda: beta_mixture(s, ROWS), "brentq, twice", lambda: two_roots(s, ROWS)))
    return rows


def widths(rng: np.random.Generator) -> None:
    """Print how wide each bounded sequence is on average, values fed one by one, at risk .05."""
    kinds: dict[str, Callable[[int], Array]] = {
        "0/1, mean .5": lambda n: rng.integers(0, 2, n).astype(float),
        "0/1, mean .02": lambda n: (rng.random(n) < 0.02).astype(float),
        "uniform": rng.random,
        "beta(2, 18)": lambda n: rng.beta(2, 18, n),
        "beta(100, 300)": lambda n: rng.beta(100, 300, n),
    }
    print("| values | n | beta mixture | empirical Bernstein | betting |\n|---|---|---|---|---|")
    for (name, draw), n in itertools.product(kinds.items(), (20, 100, 1_000)):
        found = []
        for _ in range(20):
            x, bernstein = draw(n), EmpiricalBernstein()
            for value in x:
                bernstein = bernstein.update_sums(1, value, value * value)
            three = beta_mixture(x.sum(), n), bernstein.interval(), BettingSequence().update(x).interval()
            found.append([interval.high - interval.low for interval in three])
        print(f"| {name} | {n:,} | " + " | ".join(f"{width:.3f}" for width in np.mean(found, axis=0)) + " |")


def bootstraps(rng: np.random.Generator) -> list[tuple[str, Call, str, Call]]:
    rows: list[tuple[str, Call, str, Call]] = []
    for n in (30, 365, 5_000):
        x = rng.normal(size=n)
        barest = partial(mean_by_cumulative_sums, x, int(np.ceil(n ** (1 / 3))))
        rows.append(
            (f"block_bootstrap, mean of {n:,}", partial(block_bootstrap, x), "cumulative sums, one gather", barest)
        )
    for n in (30, 365):
        x = rng.normal(size=n)
        barest = partial(median_of_rows, x)
        rows.append(
            (f"block_bootstrap, median of {n:,}", partial(block_bootstrap, x, "median"), "gather and np.median", barest)
        )
    return rows


def frame(rng: np.random.Generator, n: int) -> pd.DataFrame:
    data: dict[str, object] = {f"x{i}": rng.normal(size=n) for i in range(NUMBERS)}
    return pd.DataFrame(data | {f"c{i}": rng.choice(list("abcd"), n) for i in range(TEXTS)})


def feed(drift: mk.DriftDetector, coming: Iterator[mk.Profile]) -> None:
    drift.update(next(coming))


def drifts(rng: np.random.Generator) -> list[tuple[str, Call, str, Call]]:
    binning = mk.Binning.fit(frame(rng, 20 * ROWS))
    stored = [binning.profile(frame(rng, ROWS), batch_id=f"stored {i}") for i in range(STORED)]
    fresh = [binning.profile(frame(rng, ROWS)) for _ in range(20)]
    rows: list[tuple[str, Call, str, Call]] = []
    for interactions in (False, True):
        drift = mk.DriftDetector(interactions=interactions).fit(stored)
        scores = rng.normal(size=(SINGLES + interactions * NUMBERS * (NUMBERS - 1) // 2, STORED))
        rows.append(
            (
                f"drift.update, {STORED} batches, interactions={interactions}",
                partial(feed, drift, itertools.cycle(fresh)),
                f"np.sort of {len(scores)} x {STORED}",
                partial(np.sort, scores, axis=1),
            )
        )
    return rows


def main() -> None:
    rng = np.random.default_rng(0)
    rows = [*sequences(rng.beta(2, 18, ROWS)), *bootstraps(rng), *drifts(rng)]
    print("Medians of 15, each beside its floor in turn.\n")
    print("| statistic | microseconds | floor | microseconds | ratio |\n|---|---|---|---|---|")
    for name, call, floor_name, floor in rows:
        took, least = compare(call, floor)
        print(f"| {name} | {took:,.1f} | {floor_name} | {least:,.1f} | {took / least:.1f} |")
    print("\nMean widths of confidence sequences over 20 runs.\n")
    widths(rng)


if __name__ == "__main__":
    main()
