"""The promise of drift over long horizons: 1,000 batches after 5, 20 and 100 batches of reference.

Batches may differ as much as they like, as long as their order says nothing: i.i.d. rows, random day effects, rows in
clusters. Each null is simulated and counted (`counting`); the limits are such that the bound T/A bites, and what it
rests on, uniform and independent ranks and E[M_T] <= T, is tested beside it. Rows that hang together, ties that are not
counted and a reference that never grows break the same counts.
"""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom, t

from mlopskit.stats.intervals import upper_mean_bound
from mlopskit.stats.sequential import (
    LOG_STAKE_WEIGHTS,
    RankBets,
    combined_scores,
    log_cusum,
    log_mean_bets,
    log_mean_exp,
    log_share_tilts,
    log_shiryaev_roberts,
    log_tilts,
    log_union,
    robust_z,
    shape_scores,
    share_scores,
    smoothed_rank,
)

from counting import RISK, check_mean, check_rate, check_uniform, record, uniform_gap

pytestmark = pytest.mark.slow

RUNS, ROWS = 400, 100
HORIZONS = (50, 200, 1_000)
LOOSER = (1.25, 2.0)  # A = 1.25 T and A = 2 T, so that the bound is .8 and .5
LOCATION = np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(1.25)  # scores of four equally likely bins: mean 0, variance 1
CLUSTER = 10  # rows that share their values in the clustered world

EFFECTS = {
    "normal day effects": lambda rng, shape: 0.3 * rng.standard_normal(shape),
    "skewed day effects": lambda rng, shape: 0.3 * (rng.standard_exponential(shape) - 1),
    "heavy-tailed day effects": lambda rng, shape: np.clip(0.2 * rng.standard_t(2, shape), -10, 10),
}
WORLDS = ["i.i.d. rows", *EFFECTS, "clustered rows"]


class Batches(NamedTuple):
    """Scores of N batches of 100 rows, each by itself: locations and missing share, bin shares, concordance of a pair.

    Shapes (N, runs, features + 1), (N, runs, features, 4) and (N, runs); angles asin(sqrt(share)) for shares.
    """

    singles: np.ndarray
    shares: np.ndarray
    pair: np.ndarray


def draw(rng, world, n, features=1):
    """Draw batches whose order says nothing: one day effect moves all questions of a batch."""
    effect = EFFECTS[world](rng, (n, RUNS)) if world in EFFECTS else np.zeros((n, RUNS))
    tilted = np.exp(effect[..., None] * LOCATION)
    shares = np.repeat((tilted / tilted.sum(axis=-1, keepdims=True))[:, :, None], features, axis=2)
    each = CLUSTER if world == "clustered rows" else 1
    bins = each * rng.multinomial(ROWS // each, shares) / ROWS
    hits = each * rng.binomial(ROWS // each, 1 / (1 + np.exp([[[2.5]], [[-0.5]]] - effect)))
    missing, same = np.arcsin(np.sqrt(hits / ROWS))
    return Batches(np.concatenate([bins @ LOCATION, missing[..., None]], axis=-1), bins, same)


def check_alarms(claim, null, log_values):
    """P(alarm within T) <= T/A at every horizon, for two limits at which the bound bites; log_values (T, runs)."""
    top = np.maximum.accumulate(log_values, axis=0)
    for horizon in [h for h in HORIZONS if h <= len(top)]:
        for factor in LOOSER:
            hit = top[horizon - 1] >= np.log(factor * horizon)
            check_rate(f"{claim}: P(alarm within T) <= T/A", f"{null}, T={horizon}, A={factor} T", hit, 1 / factor)


def check_growth(claim, null, log_m):
    """E[M_T] <= T at every horizon; log_m (T, runs)."""
    marks = np.array([h for h in HORIZONS if h <= len(log_m)])
    check_mean(f"{claim}: E[M_T] / T <= 1", null, (np.exp(log_m[marks - 1]) / marks[:, None]).T)


def check_ranks(null, p):
    """Ranks are uniform; neighbours, and early and late ones, are independent: their extremes have the right law."""
    check_uniform("long streams: p uniform (gap within band)", null, p)
    half = len(p) // 2
    couples = {"neighbours": p[: 2 * half].reshape(half, 2, -1), "early and late": np.stack([p[:half], p[-half:]], 1)}
    for name, two in couples.items():
        check_uniform(f"long streams: {name} independent (larger)", null, two.max(axis=1) ** 2)
        check_uniform(f"long streams: {name} independent (smaller)", null, 1 - (1 - two.min(axis=1)) ** 2)


def ranks_of(scores, n_reference, rng, *, ties_counted=True):
    """P-values (T, Q) of every batch after the reference, ranked among all up to it; scores (N, Q)."""
    u = rng.random((len(scores), scores.shape[1])) * ties_counted
    return np.stack([smoothed_rank(scores[:n], u[n - 1]) for n in range(n_reference + 1, len(scores) + 1)])


def evidence_of(p, n_reference, two_sided):
    """Log M (T, Q) of the rank bets."""
    bets, log_m = RankBets.start(two_sided), []
    for n, ranks in enumerate(p, start=n_reference + 1):
        bets = bets.update(ranks, n)
        log_m.append(bets.log_values())
    return np.stack(log_m)


class TestBatchesVary:
    @pytest.mark.parametrize("n_reference", [5, 20, 100])
    @pytest.mark.parametrize("world", WORLDS)
    def test_one_question_over_1000_batches(self, world, n_reference):
        """Ranks uniform and independent, E[M_T] <= T, P(alarm within T) <= T/A for T = 50, 200, 1,000."""
        rng, null = np.random.default_rng(n_reference), f"{world}, {n_reference} reference batches"
        scores = draw(rng, world, n_reference + HORIZONS[-1]).singles[..., 0].round(9)
        p = ranks_of(scores, n_reference, rng)
        check_ranks(null, p)
        log_m = evidence_of(p, n_reference, np.ones(RUNS, dtype=bool))
        check_growth("long streams, one question", null, log_m)
        check_alarms("long streams, one question", null, log_m)

    @pytest.mark.parametrize(
        ("world", "n_reference", "horizon", "features"),
        [
            ("clustered rows", 20, 1_000, 1),
            ("i.i.d. rows", 5, 200, 2),
            ("i.i.d. rows", 100, 200, 2),
            ("normal day effects", 20, 200, 2),
            ("skewed day effects", 5, 200, 2),
            ("heavy-tailed day effects", 20, 200, 2),
            ("clustered rows", 5, 200, 2),
            ("clustered rows", 100, 200, 2),
        ],
    )
    def test_all_questions_together(self, world, n_reference, horizon, features):
        """Robust combined scores, recomputed with every batch, keep uniform ranks; their weighted union keeps T/A.

        Questions: locations and a missing share (.45 together), the largest of their |z| and of the shapes' (.30), the
        sum of squares (.10), a pair's concordance (.15).
        """
        rng, null = np.random.default_rng(horizon + n_reference), f"{world}, {n_reference} reference batches"
        batches, singles = draw(rng, world, n_reference + horizon, features), features + 1
        u = rng.random((horizon, RUNS, singles + 3))
        p = np.stack([all_ranks(batches, n, draws) for n, draws in enumerate(u, start=n_reference + 1)])
        two_sided = np.tile(np.arange(singles + 3) < singles, RUNS)
        log_m = evidence_of(p.reshape(horizon, -1), n_reference, two_sided).reshape(p.shape)
        for k, name in enumerate(["largest |z|", "sum of squares", "pair"], start=singles):
            check_ranks(f"{null}, {name}", p[..., k])
            check_growth(f"long streams, {name}", null, log_m[..., k])
        weights = np.append(np.full(singles, 0.45 / singles), [0.30, 0.10, 0.15])
        check_alarms("long streams, weighted union", null, log_union(log_m, weights).max(axis=-1))

    @pytest.mark.parametrize("world", ["normal day effects", "clustered rows"])
    @pytest.mark.parametrize(("n_reference", "room"), [(5, 12), (20, 40)])
    def test_batches_let_go_at_random(self, world, n_reference, room):
        """Where half of a full bag is let go at random, again and again, ranks stay uniform and independent."""
        rng, null = np.random.default_rng(room), f"{world}, {n_reference} reference batches, at most {room} stored"
        scores = draw(rng, world, n_reference + HORIZONS[-1]).singles[..., 0].round(9)
        p, log_m = bounded(scores, n_reference, room, rng, lambda bag: rng.choice(bag, len(bag) // 2, replace=False))
        check_ranks(null, p)
        check_growth("long streams, bounded bag", null, log_m)
        check_alarms("long streams, bounded bag", null, log_m)

    @pytest.mark.parametrize("spread", [0.0, 0.2])
    @pytest.mark.parametrize(("before", "after"), [(1_000, 600), (100, 190)])
    def test_rare_levels_in_batches_of_another_size(self, before, after, spread):
        """Twenty levels of 2 to 20 rows in 1,000: 40 reference batches, then 60 of another size keep T/A = 1/2."""
        null = f"{before}, then {after} rows, spread {spread} of the logits"
        for name, hit in rare_levels(before, after, spread).items():
            check_rate(f"rare levels, {name}: P(alarm within T) <= T/A", f"{null}, T=60, A=2 T", hit, 1 / 2)

    def test_angles_of_small_counts_would_be_found(self):
        """Scored by asin(sqrt(k/n)) the sum of squares knows the size of a batch, and alarms in nearly every run."""
        hit = rare_levels(100, 190, 0.0, exact=False)["sum of squares"]
        assert hit.sum() > binom.ppf(1 - RISK, len(hit), 1 / 2)

    def test_letting_unusual_batches_go_would_be_found(self):
        """A bag that keeps the batches nearest to its middle calls ordinary ones strange."""
        rng = np.random.default_rng(38)
        scores = draw(rng, "i.i.d. rows", 520).singles[..., 0].round(9)

        def nearest(bag):
            distance = np.abs(scores[bag, 0] - np.median(scores[bag, 0]))
            return np.array(bag)[np.argsort(distance)[: len(bag) // 2]]

        p, _ = bounded(scores[:, :1], 20, 40, rng, nearest)
        extreme = int(((p < 0.05) | (p > 0.95)).sum())
        assert extreme > binom.ppf(1 - RISK, p.size, 0.1)

    def test_ties_that_are_not_counted_would_be_found(self):
        """Without the share u of ties, clustered rows are not uniform, and one run in two or more alarms falsely."""
        rng = np.random.default_rng(31)
        scores = draw(rng, "clustered rows", 220).singles[..., 0].round(9)
        p = ranks_of(scores, 20, rng, ties_counted=False)
        gap, band = uniform_gap(p)
        assert gap > band
        log_m = evidence_of(p, 20, np.ones(RUNS, dtype=bool))
        assert (log_m.max(axis=0) >= np.log(2_000)).sum() > binom.ppf(1 - RISK, RUNS, 0.1)

    @pytest.mark.parametrize("n_reference", [5, 20, 100])
    def test_a_reference_that_never_grows_would_be_found(self, n_reference):
        """Ranks among the reference alone are uniform but hang together: far more alarms than 1,000/10,000."""
        rng = np.random.default_rng(32)
        scores = draw(rng, "i.i.d. rows", n_reference + 1_000).singles[..., 0].round(9)
        stream = (np.vstack([scores[:n_reference], y]) for y in scores[n_reference:])
        p = np.stack([smoothed_rank(bag, rng.random(RUNS)) for bag in stream])
        log_m = evidence_of(p, n_reference, np.ones(RUNS, dtype=bool))
        assert (log_m.max(axis=0) >= np.log(10_000)).sum() > binom.ppf(1 - RISK, RUNS, 0.1)

    def test_scores_standardised_by_the_reference_alone_would_be_found(self):
        """Centre and spread of twenty reference batches fit those best: p is not uniform, which is seen first."""
        rng, n_reference = np.random.default_rng(37), 20
        location = draw(rng, "normal day effects", n_reference + 200, features=6).singles[..., :6]
        reference = location[:n_reference]
        z = (location - reference.mean(axis=0)) / reference.std(axis=0)
        p = ranks_of(np.abs(z).max(axis=-1).round(9), n_reference, rng)
        gap, band = uniform_gap(p)
        assert gap > band


def bounded(scores, n_reference, room, rng, keep):
    """P-values and log M (T, runs) where a bag of `room` batches is cut to those that `keep` returns."""
    bag, p, log_m = list(range(n_reference)), [], []
    bets = RankBets.start(np.ones(scores.shape[1], dtype=bool))
    for newest in range(n_reference, len(scores)):
        bag.append(newest)
        p.append(smoothed_rank(scores[bag], rng.random(scores.shape[1])))
        bets = bets.update(p[-1], len(bag))
        log_m.append(bets.log_values())
        if len(bag) >= room:
            bag = sorted(np.asarray(keep(bag)).tolist())
    return np.stack(p), np.stack(log_m)


def all_ranks(batches, n, u):
    """P-values (runs, Q) of batch n among the first n: locations, missing, largest |z|, sum of squares, pair."""
    singles, shares = batches.singles[:n], batches.shares[:n].reshape(n, -1, len(LOCATION))
    noise = np.append(np.ones(singles.shape[2] - 1), 0.25)
    z = robust_z(singles.reshape(n, -1), np.tile(noise, RUNS), np.full(n, ROWS))
    pair = robust_z(batches.pair[:n], np.full(RUNS, 0.25), np.full(n, ROWS))
    shape = shape_scores(shares, np.full(shares.shape[:2], ROWS))
    shape = robust_z(shape, np.full(shape.shape[1], 2 / 27), np.ones(n))
    combined = combined_scores(*(values.reshape(n * RUNS, -1) for values in (z, shape, pair)))
    ranked = np.concatenate([z.reshape(singles.shape), combined.reshape(n, RUNS, 3)], axis=-1).round(9)
    return smoothed_rank(ranked.reshape(n, -1), u.ravel()).reshape(u.shape)


def rare_levels(before, after, spread, *, exact=True, runs=400, levels=20, horizon=60):
    """Which runs alarm at A = 2 T over rare levels, by the largest score and by the sum of squares."""
    rng, n = np.random.default_rng(after), np.r_[np.full(40, before), np.full(horizon, after)][:, None]
    p = np.tile(np.geomspace(0.002, 0.02, levels), runs)
    shares = 1 / (1 + (1 / p - 1) * np.exp(spread * rng.standard_normal((len(n), len(p)))))
    hits, rows = rng.binomial(n, shares), np.broadcast_to(n, (len(n), len(p)))
    usual = hits[:40].sum(axis=0) / rows[:40].sum(axis=0) if exact else np.full(len(p), np.nan)
    y = share_scores(hits, rows, usual, rng.random(hits.shape))
    ranks, none = [], np.zeros((runs, 0))
    for k in range(41, len(n) + 1):
        z = robust_z(y[:k], np.full(len(p), 0.25), rows[:k]).reshape(k, runs, levels)
        both = np.stack([combined_scores(batch, none, none)[:, :2] for batch in z])
        ranks.append(smoothed_rank(both.reshape(k, -1).round(9), rng.random(2 * runs)))
    log_m = evidence_of(np.stack(ranks), 40, np.zeros(2 * runs, dtype=bool))
    hit = (log_m.max(axis=0) >= np.log(2 * horizon)).reshape(runs, 2)
    return {"largest |z|": hit[:, 0], "sum of squares": hit[:, 1]}


class TestRowsVary:
    """A reference of 1,000 rows, then 1,000 batches of 100; the pool grows with every batch."""

    LIMIT, REFERENCE = 20, 1_000

    def _alarms(self, rng, shares, runs, horizon, each=1):
        """Whether each batch alarms, (T, runs): one score and the share of its rarest bin, 16 tilts of equal weight."""
        pool = each * rng.multinomial(self.REFERENCE // each, shares, runs)
        log_c, over = np.zeros((runs, 16)), []
        for _ in range(horizon):
            batch = each * rng.multinomial(ROWS // each, shares, runs)
            pool = pool + batch
            score = log_tilts(batch, pool, LOCATION)
            level = log_share_tilts(batch[:, -1], ROWS, pool[:, -1], pool.sum(axis=-1))
            log_c = log_cusum(log_c, np.concatenate([score, level], axis=-1))
            over.append(log_c.max(axis=-1) - np.log(16) >= np.log(self.LIMIT))
        return np.stack(over)

    @pytest.mark.parametrize("null", ["random shares per run", "a rare level"])
    def test_alarms_over_1000_batches(self, null):
        """At most T/A alarms expected for T = 50, 200, 1,000, and P(C >= A) <= 1/A at batch T: A = 20."""
        rng, runs = np.random.default_rng(33), 1_000
        shares = (
            rng.dirichlet(np.ones(4), runs) if null == "random shares per run" else np.array([0.5, 0.3, 0.19, 0.01])
        )
        over = self._alarms(rng, shares, runs, HORIZONS[-1])
        for horizon in HORIZONS:
            count = over[:horizon].sum(axis=0)
            name = f"{null}, T={horizon}, A=20"
            check_mean("long streams, rows: expected alarms / (T/A) <= 1", name, count * self.LIMIT / horizon)
            check_rate("long streams, rows: P(C >= A at batch T) <= 1/A", name, over[horizon - 1], 1 / self.LIMIT)

    def test_clustered_rows_would_be_found(self):
        """Rows in clusters of ten are not exchangeable: nearly every batch alarms, far above T/A."""
        over = self._alarms(np.random.default_rng(34), np.full(4, 0.25), RUNS, 200, each=CLUSTER)
        assert over[-1].sum() > binom.ppf(1 - RISK, RUNS, 1 / self.LIMIT)
        assert over.mean() > 0.5


def ar1(rng, runs, days, rho):
    """Stationary AR(1) series with mean 0 and variance 1, (runs, days)."""
    noise = rng.standard_normal((runs, days))
    noise[:, 1:] *= np.sqrt(1 - rho**2)
    return lfilter([1.0], [1.0, -rho], noise)


def harm_reached(loss, high):
    """The largest log M of the mean bets over all days, averaged over the eight stakes; loss (runs, days)."""
    log_m, top = np.full((len(loss), 8), -np.inf), np.full(len(loss), -np.inf)
    for day in loss.T:
        log_m = log_shiryaev_roberts(log_m, log_mean_bets(day, high))
        top = np.maximum(top, log_mean_exp(log_m, LOG_STAKE_WEIGHTS))
    return top


class TestHarm:
    """Losses of days that follow each other; the limit comes from 60 reference days, without any tolerance."""

    RUNS, REFERENCE = 1_000, 60
    DELTA = 0.07  # what `upper_mean_bound` was measured to miss at a nominal .05, AR(1) days

    @pytest.mark.parametrize("rho", [0.0, 0.5, 0.7])
    @pytest.mark.parametrize("horizon", [200, 1_000])
    def test_autocorrelated_days(self, rho, horizon):
        """P(alarm within T) <= T/A + delta for days of 15% spread, at limits where it bites (A = 100 T: .01 + .07)."""
        loss = 0.2 + 0.03 * ar1(np.random.default_rng(35), self.RUNS, self.REFERENCE + horizon, rho)
        reference, stream = np.split(loss.clip(0, 1), [self.REFERENCE], axis=1)
        top = harm_reached(stream, np.array([upper_mean_bound(days).upper for days in reference]))
        for factor in (1.25, 2.0, 10.0, 100.0):
            null = f"AR(1) days, rho={rho}, T={horizon}, A={factor} T"
            hit = top >= np.log(factor * horizon)
            check_rate("harm, long: P(alarm within T) <= T/A + delta", null, hit, 1 / factor + self.DELTA)

    def test_a_limit_that_ignores_autocorrelation_would_be_found(self):
        """With the plain t bound of the reference days, rho .7, the same count fails."""
        loss = 0.2 + 0.03 * ar1(np.random.default_rng(35), self.RUNS, 1_060, 0.7)
        reference, stream = np.split(loss.clip(0, 1), [self.REFERENCE], axis=1)
        half_width = t.ppf(0.95, self.REFERENCE - 1) * reference.std(axis=1, ddof=1) / np.sqrt(self.REFERENCE)
        top = harm_reached(stream, reference.mean(axis=1) + half_width)
        assert (top >= np.log(100_000)).sum() > binom.ppf(1 - RISK, self.RUNS, 0.01 + self.DELTA)

    @pytest.mark.parametrize("days", ["mean at the limit, 15% spread", "skewed days, 50% spread"])
    def test_where_the_promise_ends(self, days):
        """T/A is proved for the mean *given the past*. Where days follow each other (rho .7) it can fail: recorded.

        With the limit at the long-run mean itself, a good spell's loss is a bad spell's gain only on average; and days
        of 50% spread are too skewed for the t bound of 60 days. Slack in the limit (a tolerance) is what keeps it.
        """
        rng, horizon, bound = np.random.default_rng(36), 1_000, 0.1
        series = ar1(rng, self.RUNS, self.REFERENCE + horizon, 0.7)
        if days == "mean at the limit, 15% spread":
            stream, high = (0.2 + 0.03 * series[:, self.REFERENCE :]).clip(0, 1), np.full(self.RUNS, 0.2)
        else:
            loss = (0.2 * np.exp(0.5 * series - 0.125)).clip(0, 1)
            reference, stream = np.split(loss, [self.REFERENCE], axis=1)
            high = np.array([upper_mean_bound(past).upper for past in reference])
        hit = harm_reached(stream, high) >= np.log(10 * horizon)
        null = f"{days}, rho=0.7, T={horizon}, A=10 T"
        record("harm, long: NOT promised, P(alarm) beside T/A", null, hit.mean(), bound, self.RUNS)
        assert hit.sum() > binom.ppf(1 - RISK, self.RUNS, bound + self.DELTA)
