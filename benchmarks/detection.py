"""What each bet finds and what it costs: delay against false alarms at one and the same limit.

Every default of the bets is set beside its rivals: same streams, same limit A, same promise. The first columns of a
table are the price: the share of runs with a false alarm, beside the bound T/A. The others are the gain: median/90% of
the batches from a change to its alarm ("-": later than looked for) and, where it is below 1, the share found within the
batches that the title names.

python benchmarks/detection.py            # all five families
python benchmarks/detection.py ranks      # one: ranks, rows, harm, gaps, union
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from inspect import getdoc
from math import comb

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

from mlopskit.stats.sequential import (
    FRACTIONS,
    KAPPAS,
    LOG_STAKE_WEIGHTS,
    RankBets,
    batches_to_detect,
    combined_scores,
    log_bounded_mean,
    log_calibrated,
    log_cusum,
    log_gap_bets,
    log_mean_bets,
    log_mean_exp,
    log_share_tilts,
    log_shiryaev_roberts,
    log_tilts,
    log_union,
    reference_band,
    robust_z,
    shape_scores,
    shifted_share,
    smoothed_rank,
)
from mlopskit.stats.summaries import location_and_scale

Array = npt.NDArray[np.float64]
Paths = Mapping[str, Array]  # candidate -> log evidence, (batches, runs)


def false_alarms(path: Array, limit: float, batches: int) -> str:
    return f"{(path[:batches].max(axis=0) >= np.log(limit)).mean():.3f}"


def delay(path: Array, limit: float, *, warm: int = 0, within: int = 10) -> str:
    """Batches from the change after `warm` batches to the alarm; runs that alarmed before it are left out."""
    over = path >= np.log(limit)
    over = over[warm:, ~over[:warm].any(axis=0)]
    batches = np.where(over.any(axis=0), over.argmax(axis=0) + 1.0, np.inf)
    middle, late = (f"{q:.0f}".replace("inf", "-") for q in np.quantile(batches, [0.5, 0.9], method="higher"))
    share = (batches <= within).mean()
    return f"{middle}/{late}" + (f" {share:.2f}" if share < 0.995 else "")


def show(title: str, columns: list[str], rows: Mapping[str, list[str]]) -> None:
    print(f"\n{title}\n\n| | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")


def compare(
    title: str,
    nulls: list[tuple[str, Paths, int, int]],
    changes: Mapping[str, Paths],
    *,
    limit: float,
    warm: int = 0,
    within: int = 10,
) -> None:
    """Print a row per candidate: its false alarms under each null (name, paths, T, A), its delay after each change."""
    columns = [f"{name}false in {t:,}, A = {a:,} ({min(t / a, 1):.2f})" for name, _, t, a in nulls] + list(changes)
    rows = {
        candidate: [false_alarms(paths[candidate], a, t) for _, paths, t, a in nulls]
        + [delay(paths[candidate], limit, warm=warm, within=within) for paths in changes.values()]
        for candidate in nulls[0][1]
    }
    show(f"**{title}**; delays at A = {limit:,}, share found within {within}", columns, rows)


def evened(title: str, null: Paths, changes: Mapping[str, Paths], *, warm: int = 0, within: int = 50) -> None:
    """Print the delays where each candidate has the limit at which it alarms falsely in .20 of runs."""
    rows = {}
    for candidate, path in null.items():
        limit = float(np.exp(np.quantile(path.max(axis=0), 0.8)))
        delays = [delay(paths[candidate], limit, warm=warm, within=within) for paths in changes.values()]
        rows[candidate] = [f"{limit:,.0f}", *delays]
    show(f"**{title}**; each at the limit that gives .20 false alarms", ["that limit", *changes], rows)


def both_limits(null: Paths, batches: int = 200) -> list[tuple[str, Paths, int, int]]:
    return [("", null, batches, limit) for limit in (365, 1_000)]


# --- ranks ------------------------------------------------------------------------------------------------------------


def sides_of(p: Array) -> Array:
    return np.clip(np.stack([p, 1 - p], axis=-1), 1e-12, 1 - 1e-12)


def age_bets(
    p: Array,
    n: int,
    thetas: tuple[float, ...] = (0.0, 0.1, 0.3),
    lost: float = 0.1,
    oldest: int = 9,
    *,
    cusum: bool = False,
) -> Array:
    """Log evidence of the age bets of `RankBets` with other dials; `cusum`: the best start instead of the sum."""
    k, share = np.arange(1, oldest + 1), np.array(thetas)[:, None]
    log_m, path = np.full((p.shape[1], 2, len(thetas), oldest), -np.inf), []
    fold = np.maximum if cusum else np.logaddexp
    for size, sides in enumerate(sides_of(p), start=n + 1):
        b = np.minimum(1.0, (np.floor(share * (size - k)) + k) / size)
        old = fold(log_m[..., -2:-1], log_m[..., -1:])
        log_m = np.concatenate([np.zeros_like(old), log_m[..., :-2], old], axis=-1)
        log_m = log_m + np.where(sides[..., None, None] < b, np.log((1 - lost) / b + lost), np.log(lost))
        path.append(log_mean_exp(log_mean_exp(fold.reduce(log_m, axis=-1))))
    return np.stack(path)


def shift_bets(p: Array, shifts: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0), *, cusum: bool = False) -> Array:
    d = np.array(shifts)
    return processes((-ndtri(sides)[..., None] * d - d**2 / 2 for sides in sides_of(p)), cusum=cusum)


def processes(log_e: Iterable[Array], log_w: Array | None = None, *, cusum: bool = False) -> Array:
    """Log evidence of parallel bets (T, runs, ..., bets), averaged: e-SR, or e-CUSUM."""
    path: list[Array] = []
    log_m: Array | None = None
    for step in log_e:
        log_m = np.full(step.shape, 0.0 if cusum else -np.inf) if log_m is None else log_m
        log_m = log_cusum(log_m, step) if cusum else log_shiryaev_roberts(log_m, step)
        path.append(log_mean_exp(log_mean_exp(log_m, log_w).reshape(len(step), -1)))
    return np.stack(path)


def rank_paths(p: Array, n: int) -> Paths:
    age, shift = age_bets(p, n), shift_bets(p)
    best_age, best_shift = age_bets(p, n, cusum=True), shift_bets(p, cusum=True)

    def mixed(a: Array, b: Array, weight: float = 0.5) -> Array:
        return log_mean_exp(np.stack([a, b], axis=-1), np.log([weight, 1 - weight]))

    return {
        "half age, half shift (default)": mixed(age, shift),
        "age .25, shift .75": mixed(age, shift, 0.25),
        "age .75, shift .25": mixed(age, shift, 0.75),
        "age alone": age,
        "shift alone": shift,
        "calibrated p (log_calibrated)": processes(log_calibrated(sides)[..., None] for sides in sides_of(p)),
        "calibrated p, a process per kappa": processes(
            np.stack([log_calibrated(sides, kappa) for kappa in KAPPAS], axis=-1) for sides in sides_of(p)
        ),
        "default by e-CUSUM": mixed(best_age, best_shift),
        "default by e-CUSUM, at half the limit (no promise)": mixed(best_age, best_shift) + np.log(2),
        "default, loser keeps .05": mixed(age_bets(p, n, lost=0.05), shift),
        "default, loser keeps .2": mixed(age_bets(p, n, lost=0.2), shift),
        "default, theta 0 alone": mixed(age_bets(p, n, (0.0,)), shift),
        "default, shifts 1 and 2": mixed(age, shift_bets(p, (1.0, 2.0))),
    }


def ranked(scores: Array, n: int, rng: np.random.Generator) -> Array:
    return np.stack(
        [smoothed_rank(scores[:size], rng.random(scores.shape[1])) for size in range(n + 1, len(scores) + 1)]
    )


def soonest(n: int, limit: float) -> int:
    return next(k for k in range(1, 99) if comb(n + k, k) >= limit)


def ranks(runs: int = 2_000, post: int = 40) -> None:
    """Compare bets on ranks: one two-sided question, changes in standard deviations of a batch."""
    rng = np.random.default_rng(1)
    age = np.arange(1.0, post + 1)
    changes = {
        "+1": np.ones(post), "+2": 2 * np.ones(post), "+4": 4 * np.ones(post),
        "one batch +8": 8.0 * (age == 1), "drift +.1 a batch": 0.1 * age,
    }  # fmt: skip
    for n in (20, 60):
        p = ranked(rng.standard_normal((n + 200, runs)), n, rng)
        null, bets = rank_paths(p, n), RankBets.start(np.ones(runs, dtype=bool))
        for size, newest in enumerate(p, start=n + 1):
            bets = bets.update(newest, size)
        np.testing.assert_allclose(null["half age, half shift (default)"][-1], bets.log_values())
        for warm in (0, 20):
            found: dict[str, Paths] = {}
            for name, effect in changes.items():
                scores = rng.standard_normal((n + warm + post, runs))
                scores[n + warm :] += effect[:, None]
                found[name] = rank_paths(ranked(scores, n, rng), n)
            when = f"{warm} batches later" if warm else "right after"
            compare(f"{n} reference batches, the change {when}", both_limits(null), found, limit=1_000, warm=warm)
            print(f"\nNo rank test can tell before batch {soonest(n + warm, 1_000)}: C(N, k) >= A.")
            if warm:
                evened(f"{n} reference batches, the change {when}", null, found, warm=warm, within=10)
        columns = list(changes)
        rows = {name: [delay(found[change][name], 100_000, warm=20) for change in changes] for name in null}
        title = f"**{n} reference batches, 20 batches later**; A = 100,000: a question of weight .01 at A = 1,000"
        show(title, columns, rows)
        print(f"\nNo rank test can tell before batch {soonest(n + 20, 100_000)}.")


# --- rows vary --------------------------------------------------------------------------------------------------------

FINE = np.array([0.025, 0.05, 0.1, 0.2, 0.4, 0.8])
GRIDS = {
    "{.025 .05 .1 .2} (default)": [0, 1, 2, 3], "{.05 .1 .2 .4}": [1, 2, 3, 4],
    ".05 alone": [1], ".1 alone": [2], ".2 alone": [3], ".4 alone": [4],
    "{.1 .4}": [2, 4], "{.05 .1 .2}": [1, 2, 3], "{.025 .05 .1 .2 .4}": [0, 1, 2, 3, 4],
    "{.025 .05 .1 .2 .4 .8}": [0, 1, 2, 3, 4, 5],
}  # fmt: skip
EDGES = np.concatenate([[-np.inf], ndtri(np.arange(1, 20) / 20), [np.inf]])
LOCATION, SCALE = location_and_scale(np.full(20, 0.05))
SETS = np.array([0, 1, 4, 9, 14, 17, 18])


def fine_tilts(counts: Array, pool: Array, weights: Array, h: Array) -> Array:
    """`log_tilts` for any grid of h, up and down; last axes (grid, 2)."""
    pi = pool / pool.sum(axis=-1, keepdims=True)
    wc = weights - (pi * weights).sum(axis=-1, keepdims=True)
    wc /= np.sqrt((pi * wc**2).sum(axis=-1, keepdims=True))
    lam = np.stack([h, -h], axis=-1)[..., None]
    log_mgf = np.log((pi[..., None, None, :] * np.exp(lam * wc[..., None, None, :])).sum(axis=-1))
    total, n = (counts * wc).sum(axis=-1), counts.sum(axis=-1)
    return lam[..., 0] * total[..., None, None] - n[..., None, None] * log_mgf


def fine_share_tilts(x: Array, n: int, pool_x: Array, pool_n: int, h: Array) -> Array:
    """`log_share_tilts` for any grid of h, up and down; last axes (grid, 2)."""
    x, pool_x = x[..., None, None], np.maximum(pool_x, 1e-300)[..., None, None]
    pi, rho = pool_x / pool_n, n / pool_n
    q = np.clip(shifted_share(pi, np.stack([h, -h], axis=-1)), 1e-12, 1 - 1e-12)
    lam = np.clip(np.log(q / (1 - q)) - np.log(pi / (1 - pi)), -8, 8)
    bound = np.fmin(n * np.log1p(pi * np.expm1(lam)), pool_x * np.log1p(rho * np.expm1(lam)))
    return np.where(pool_x >= 1, lam * x - bound, 0.0)


def grid_paths(log_e: list[Array]) -> dict[str, Array]:
    """Return the strongest e-CUSUM of each grid, both sides, by equal weights."""
    log_c, path = np.zeros(log_e[0].shape), []
    for step in log_e:
        log_c = log_cusum(log_c, step)
        path.append(log_c)
    whole = np.stack(path)
    return {name: whole[..., g, :].max(axis=(-2, -1)) - np.log(2 * len(g)) for name, g in GRIDS.items()}


def band_path(hits: Array, n: int, held: Array, n_reference: int, tolerance: float) -> Array:
    """e-SR over the atoms of all sets, the dead ones left out; hits (T, runs, sets), held (runs, sets)."""
    bands = [reference_band(row, np.full(len(row), n_reference), tolerance=tolerance) for row in held]
    low, high = (np.stack(end) for end in zip(*bands, strict=True))
    alive = (log_bounded_mean(1, 1, low, high) != 0) | (log_bounded_mean(1, 0, low, high) != 0)
    log_m, path = np.full(alive.shape, -np.inf), []
    log_w = np.where(alive, 0.0, -np.inf) - np.log(np.maximum(alive.sum(axis=(-2, -1), keepdims=True), 1))
    for x in hits:
        log_m = log_shiryaev_roberts(log_m, log_bounded_mean(n, x, low, high))
        path.append(np.logaddexp.reduce((log_m + log_w).reshape(len(log_m), -1), axis=-1))
    return np.stack(path)


def sets_of(bins: Array) -> Array:
    """Return the counts in the 19 cumulative and 9 central sets of twenty bins."""
    below = np.cumsum(bins, axis=-1)
    return np.concatenate([below[..., :19], below[..., 18 - np.arange(9)] - below[..., np.arange(9)]], axis=-1)


def numeric_paths(reference: Array, stream: Array) -> Paths:
    """Candidates for one numeric feature; reference (runs, 20), stream (T, runs, 20)."""
    pools = reference + np.cumsum(stream, axis=0)
    log_e = [fine_tilts(c, pool, LOCATION, FINE) for c, pool in zip(stream, pools, strict=True)]
    np.testing.assert_allclose(
        log_e[0][:, 0:4].swapaxes(1, 2).reshape(-1, 8), log_tilts(stream[0], pools[0], LOCATION), atol=1e-8
    )
    paths = {f"location {name}": path for name, path in grid_paths(log_e).items()}
    weights = np.log(np.repeat([0.35 / 0.65, 0.20 / 0.65, 0.10 / 0.65 / 7], [1, 1, 7]) / 8)[:, None]
    log_c, path = np.zeros((len(reference), 9, 8)), []
    for c, pool in zip(stream, pools, strict=True):
        below, below_pool = np.cumsum(c, axis=-1), np.cumsum(pool, axis=-1)
        sets = log_share_tilts(below[:, SETS], below[:, -1:], below_pool[:, SETS], below_pool[:, -1:])
        both = np.stack([log_tilts(c, pool, LOCATION), log_tilts(c, pool, SCALE)], axis=1)
        log_c = log_cusum(log_c, np.concatenate([both, sets], axis=1))
        path.append((log_c + weights).max(axis=(-2, -1)))
    size, n = int(stream[0, 0].sum()), int(reference[0].sum())
    return paths | {
        "whole feature, tilts": np.stack(path),
        "whole feature, band 0": band_path(sets_of(stream), size, sets_of(reference), n, 0.0),
        "whole feature, band .05": band_path(sets_of(stream), size, sets_of(reference), n, 0.05),
    }


def share_paths(reference: Array, n: int, stream: Array, size: int) -> Paths:
    """Candidates for one share; reference (runs,) of n rows, stream (T, runs) of `size` rows each."""
    pools = reference + np.cumsum(stream, axis=0)
    steps = list(enumerate(zip(stream, pools, strict=True), start=1))
    log_e = [fine_share_tilts(x, size, pool, n + size * t, FINE) for t, (x, pool) in steps]
    library = log_share_tilts(stream[0], size, pools[0], n + size)
    np.testing.assert_allclose(log_e[0][:, 0:4].swapaxes(1, 2).reshape(-1, 8), library, atol=1e-8)
    return {f"share {name}": path for name, path in grid_paths(log_e).items()} | {
        f"band {tolerance}": band_path(stream[..., None], size, reference[:, None], n, tolerance)
        for tolerance in (0.0, 0.05)
    }


def rows(runs: int = 500, post: int = 50) -> None:
    """Compare bets on independent rows: references of 1,000, 5,000 and 50,000 rows, batches of 1,000 or of 100."""
    rng, flat = np.random.default_rng(2), np.full(20, 0.05)
    moved = {f"mean +{shift:.2f} sd": np.diff(ndtr(EDGES - shift)) for shift in (0.03, 0.10, 0.25)}
    moved["variance x1.5"] = np.diff(ndtr(EDGES / np.sqrt(1.5)))
    shares = {
        "category 20% to 30%": (0.2, 0.3), "category 2% to 3%": (0.02, 0.03),
        "unseen 1%": (0.0, 0.01), "missing 1% to 5%": (0.01, 0.05),
    }  # fmt: skip
    for n, size in ((1_000, 1_000), (5_000, 1_000), (50_000, 1_000), (5_000, 100)):
        where = f"reference of {n:,} rows, batches of {size:,}"
        held = rng.multinomial(n, flat, runs).astype(float)
        null = numeric_paths(held, rng.multinomial(size, flat, (200, runs)).astype(float))
        found = {
            name: numeric_paths(held, rng.multinomial(size, pi, (post, runs)).astype(float))
            for name, pi in moved.items()
        }
        compare(f"One numeric feature, {where}", both_limits(null), found, limit=1_000, within=post)
        found, nulls = {}, {}
        for name, (before, after) in shares.items():
            hits = rng.binomial(n, before, runs).astype(float)
            found[name] = share_paths(hits, n, rng.binomial(size, after, (post, runs)).astype(float), size)
            nulls[before] = share_paths(hits, n, rng.binomial(size, before, (200, runs)).astype(float), size)
        prices = [(f"{before:.0%}: ", nulls[before], 200, 365) for before in (0.2, 0.01)]
        compare(f"One share, {where}", prices, found, limit=1_000, within=post)


# --- harm and gaps ----------------------------------------------------------------------------------------------------


def plug_in(x: Array, most: float, memory: float, least: float = FRACTIONS[-1]) -> Array:
    """Log e of one predictable stake (aGRAPA): mean/(mean^2 + variance) of past x, cut to [least, .9] of the largest.

    x (T, runs) has mean 0 at most while all is well and x >= -1/most; `memory` is the weight of the newest batch, 0 for
    the plain mean of the past.
    """
    mean, square, log_e = np.zeros(x.shape[1]), np.full(x.shape[1], 0.25 / most**2), []
    for t, value in enumerate(x, start=1):
        lam = np.clip(mean / square, least * most, 0.9 * most)
        log_e.append(np.log1p(lam * value))
        step = memory or 1 / (t + 1)
        mean, square = mean + step * (value - mean), square + step * (value**2 - square)
    return np.stack(log_e)


STAKES = {  # weights of the eight stakes 2^-k of the library
    "eight stakes, weights 2^-k (default)": np.exp(LOG_STAKE_WEIGHTS),
    "eight stakes, equal": np.ones(8),
    "four: k = 0..3": np.repeat([1, 0], 4),
    "three: k = 0..2": np.repeat([1, 0], [3, 5]),
    "two: k = 0, 1": np.repeat([1, 0], [2, 6]),
    "four: k = 0, 2, 4, 6": np.tile([1, 0], 4),
    "one: the largest": np.repeat([1, 0], [1, 7]),
    "one: 1/4": np.repeat([0, 1, 0], [2, 1, 5]),
}


def stake_paths(log_e: Array) -> dict[str, Array]:
    with np.errstate(divide="ignore"):
        return {name: processes(log_e, np.log(weights)) for name, weights in STAKES.items()}


def harm_paths(x: Array, high: float, oracle: float) -> Paths:
    """Candidates for mean losses x (T, runs); `oracle` is the stake that grows fastest under the change."""
    paths = stake_paths(log_mean_bets(x, high))
    for name, memory in (("all past", 0.0), ("newest .1", 0.1)):
        paths[f"plug-in, {name}"] = processes(plug_in(x - high, 1 / high, memory)[..., None])
    return paths | {"fastest stake, change known": processes(np.log1p(oracle * (x - high))[..., None])}


def days(rng: np.random.Generator, mean: Array, sd: float, runs: int) -> Array:
    """Gamma days (T, runs) of a given mean per day."""
    shape = (np.asarray(mean) / sd)[:, None] ** 2
    return np.minimum(rng.gamma(np.broadcast_to(shape, (len(mean), runs)), (sd**2 / np.asarray(mean))[:, None]), 1.0)


def harm(runs: int = 1_000, post: int = 300, high: float = 0.02) -> None:
    """Compare stakes on mean losses: gamma days, in control below the limit (half a day-sd, at most 30%).

    Beside each excess of r day-sd stands what `batches_to_detect` says.
    """
    rng, warm, limit = np.random.default_rng(3), 50, 365
    for ratio in (0.1, 0.3, 1.0, 3.0):
        sd, found = ratio * high, {}

        def oracle(r: float, sd: float = sd) -> float:
            return min(r * sd / ((r * sd) ** 2 + sd**2), 0.99 / high)

        for r in (0.5, 1.0, 2.0):
            needs = f"{batches_to_detect(r, sd=sd, high=high, limit=limit):.0f}"
            x = days(rng, high + sd * np.repeat([-min(0.5, 0.3 / ratio), r], [warm, post]), sd, runs)
            found[f"+{r} sd ({needs})"] = harm_paths(x, high, oracle(r))
        below = high - sd * min(0.5, 0.3 / ratio)
        edge, calm = (
            harm_paths(days(rng, np.full(1_000, mean), sd, runs), high, oracle(1.0)) for mean in (high, below)
        )
        nulls = [("limit: ", edge, 200, 365), ("limit: ", edge, 1_000, 1_250), ("calm: ", calm, 1_000, 365)]
        compare(f"Harm, sd/limit = {ratio}", nulls, found, limit=limit, warm=warm, within=50)
        evened(f"Harm, sd/limit = {ratio}", edge, found, warm=warm)


def gap_paths(d: Array, tolerance: float) -> Paths:
    paths = stake_paths(log_gap_bets(d, tolerance))
    for name, memory in (("all past", 0.0), ("newest .1", 0.1)):
        sides = [plug_in(side * d - tolerance, 1 / (1 + tolerance), memory) for side in (1, -1)]
        paths[f"plug-in, {name}"] = processes(np.stack(sides, axis=-1))
    return paths


def gaps(runs: int = 500, post: int = 200) -> None:
    """Compare stakes on gaps: rates of two groups of 100 rows a batch, about .3, day-by-group effects of .3 (logit)."""
    rng = np.random.default_rng(4)

    def observed(gap: float, batches: int) -> Array:
        base = np.log(0.3 / 0.7) + 0.3 * rng.standard_normal((2, batches, runs))
        rate = 1 / (1 + np.exp(-base))
        rate[0] = np.clip(rate[0] + gap, 0, 1)
        a, b = rng.binomial(100, rate) / 100
        return np.asarray(a - b)

    for tolerance in (0.0, 0.05):
        edge = gap_paths(observed(tolerance, 1_000), tolerance)
        nulls = [(f"gap {tolerance}: ", edge, 200, 365), (f"gap {tolerance}: ", edge, 1_000, 1_250)]
        if tolerance:
            nulls.append(("gap 0: ", gap_paths(observed(0.0, 1_000), tolerance), 1_000, 365))
        found = {f"gap {gap}": gap_paths(observed(gap, post), tolerance) for gap in (0.10, 0.15, 0.20, 0.30)}
        compare(f"Gaps, tolerance {tolerance}", nulls, found, limit=365, within=50)
        evened(f"Gaps, tolerance {tolerance}", edge, found)


# --- the union of single and combined questions -----------------------------------------------------------------------

NUMERIC, LEVELLED, LEVELS, ROWS = 12, 8, 5, 1_000
PAIRS = NUMERIC * (NUMERIC - 1) // 2
SINGLES = 2 * NUMERIC + LEVELLED * LEVELS + NUMERIC + LEVELLED
WITHIN = np.repeat(
    [0.40 / NUMERIC, 0.25 / NUMERIC, 0.25 / (LEVELLED * LEVELS), 0.10 / (NUMERIC + LEVELLED)],
    [NUMERIC, NUMERIC, LEVELLED * LEVELS, NUMERIC + LEVELLED],
)
UNIONS = {  # weights of the single questions, the largest |z|, the sum of squares, the largest pair
    "singles .45, largest .30, sum .10, pair .15 (default)": (0.45, 0.30, 0.10, 0.15),
    "singles alone": (1.0, 0.0, 0.0, 0.0),
    "combined alone (.55, .18, .27)": (0.0, 0.55, 0.18, 0.27),
    "largest alone": (0.0, 1.0, 0.0, 0.0),
    "sum alone": (0.0, 0.0, 1.0, 0.0),
    "a quarter each": (0.25, 0.25, 0.25, 0.25),
    "singles .50, largest .35, pair .15, no sum": (0.50, 0.35, 0.0, 0.15),
    "singles .70, largest .15, sum .05, pair .10": (0.70, 0.15, 0.05, 0.10),
    "singles .20, largest .50, sum .10, pair .20": (0.20, 0.50, 0.10, 0.20),
}
CHANGES = (
    "mean +.25 sd", "mean +.10 sd", "variance x1.5", "t3, same variance", "category +10 points", "missing 1% to 5%",
    "correlation .5 to -.5", "all 20 a little",
)  # fmt: skip


class Readings:
    """Scores of N batches in many runs: singles (N, runs, 84), bin shares (N, runs, 12, 20), pairs (N, runs, 66)."""

    def __init__(self, rng: np.random.Generator, n: int, runs: int, day: float, change: str = "") -> None:
        shift, spread = day * rng.standard_normal((n, runs, NUMERIC, 1)), np.ones((NUMERIC, 1))
        shift[:, :, 0] += {"mean +.25 sd": 0.25, "mean +.10 sd": 0.10}.get(change, 0.0)
        shift += 0.05 * (change == "all 20 a little")
        spread[0] = np.sqrt(1.5) if change == "variance x1.5" else 1.0
        spread[:] *= 1.05 if change == "all 20 a little" else 1.0
        pi = np.diff(ndtr((EDGES - shift) / spread), axis=-1)
        if change == "t3, same variance":
            pi[:, :, 0] = np.diff(student.cdf((EDGES - shift[:, :, 0]) * np.sqrt(3), 3), axis=-1)
        self.shares = rng.multinomial(ROWS, pi) / ROWS
        level = np.array([0.4, 0.25, 0.2, 0.1, 0.05]) * np.exp(
            2 * day * rng.standard_normal((n, runs, LEVELLED, LEVELS))
        )
        level /= level.sum(axis=-1, keepdims=True)
        if change == "category +10 points":
            level[:, :, 0] = 0.9 * level[:, :, 0] + 0.1 * np.eye(LEVELS)[2]
        if change == "all 20 a little":
            level = 0.98 * level + 0.02 * np.eye(LEVELS)[2]
        levels = rng.multinomial(ROWS, level).reshape(n, runs, -1)
        lost = np.full(NUMERIC + LEVELLED, 0.01)
        lost[0] = 0.05 if change == "missing 1% to 5%" else 0.01
        missing = rng.binomial(ROWS, lost, (n, runs, NUMERIC + LEVELLED))
        same = np.full(PAIRS, 0.5)
        same[0] = 1 / 3 if change == "correlation .5 to -.5" else 2 / 3
        hits = np.concatenate([levels, missing], axis=-1)
        self.singles = np.concatenate(
            [self.shares @ LOCATION, self.shares @ SCALE, np.arcsin(np.sqrt(hits / ROWS))], axis=-1
        )
        self.pairs = np.arcsin(np.sqrt(rng.binomial(ROWS, same, (n, runs, PAIRS)) / ROWS))

    def __add__(self, other: "Readings") -> "Readings":
        both = object.__new__(Readings)
        for name in ("singles", "shares", "pairs"):
            setattr(both, name, np.concatenate([getattr(self, name), getattr(other, name)]))
        return both

    def ranks(self, n: int, rng: np.random.Generator) -> Array:
        """Ranks (runs * 87,) of batch n among the first n: single questions, largest, sum, pair."""
        runs, sizes = self.singles.shape[1], np.full(n, ROWS)
        noise = np.repeat([1.0, 0.25], [2 * NUMERIC, SINGLES - 2 * NUMERIC])
        z = robust_z(self.singles[:n].reshape(n, -1), np.tile(noise, runs), sizes)
        pairs = robust_z(self.pairs[:n].reshape(n, -1), np.full(runs * PAIRS, 0.25), sizes)
        shares = self.shares[:n].reshape(n, -1, 20)
        shape = shape_scores(shares, np.full(shares.shape[:2], ROWS))
        shape = robust_z(shape, np.full(shape.shape[1], 2 / (9 * 19)), np.ones(n))
        combined = combined_scores(*(v.reshape(n * runs, -1) for v in (z, shape, pairs)))
        scores = np.concatenate([z.reshape(n, runs, -1), combined.reshape(n, runs, 3)], axis=-1).round(9)
        return smoothed_rank(scores.reshape(n, -1), rng.random(runs * (SINGLES + 3)))


def four_groups(bets: RankBets) -> Array:
    """Log evidence (runs, 4): the strongest single question by its weight within the singles, then the combined."""
    log_m = bets.log_values().reshape(-1, SINGLES + 3)
    return np.column_stack([(log_m[:, :SINGLES] + np.log(WITHIN)).max(axis=1), log_m[:, SINGLES:]])


def union_paths(groups: Array) -> Paths:
    return {name: log_union(groups, weights).max(axis=-1) for name, weights in UNIONS.items()}


def watch(bag: Readings, bets: RankBets, first: int, rng: np.random.Generator) -> tuple[RankBets, Array]:
    path = []
    for n in range(first + 1, len(bag.singles) + 1):
        bets = bets.update(bag.ranks(n, rng), n)
        path.append(four_groups(bets))
    return bets, np.stack(path)


def union(runs: int = 400, warm: int = 20, post: int = 10, null: int = 60) -> None:
    """Compare weights of questions: 12 numeric and 8 categorical features, batches of 1,000; one changes, or all."""
    rng = np.random.default_rng(5)
    for n in (20, 60):
        for day in (0.0, 0.1):
            bag = Readings(rng, n + warm, runs, day)
            start = RankBets.start(np.tile(np.arange(SINGLES + 3) < SINGLES, runs))
            bets, before = watch(bag, start, n, rng)
            _, calm = watch(bag + Readings(rng, null - warm, runs, day), bets, n + warm, rng)
            quiet = union_paths(np.concatenate([before, calm]))
            found = {}
            for change in CHANGES:
                _, after = watch(bag + Readings(rng, post, runs, day, change), bets, n + warm, rng)
                found[change] = union_paths(np.concatenate([before, after]))
            prices = [("", quiet, null, limit) for limit in (100, 1_000)]
            title = f"{n} reference batches, day effect {day} sd, the change {warm} batches later"
            compare(title, prices, found, limit=1_000, warm=warm, within=post)


FAMILIES: dict[str, Callable[[], None]] = {"ranks": ranks, "rows": rows, "harm": harm, "gaps": gaps, "union": union}


def main(asked: list[str]) -> None:
    for name in asked or list(FAMILIES):
        start = time.perf_counter()
        print(f"\n### {name}\n\n{getdoc(FAMILIES[name])}")
        FAMILIES[name]()
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
