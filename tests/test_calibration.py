"""Every statistical promise of the e-values, simulated under its null and counted.

Each test says what is promised, under which null, and how many runs break it; `counting` says with which tolerance.
Where a bound T/A is loose, what it rests on is tested beside it; where a tempting shortcut breaks the promise, the
same count is shown to find that out.
"""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from mlopskit.stats.intervals import beta_mixture, clopper_pearson, upper_mean_bound, wilson
from mlopskit.stats.sequential import (
    LOG_STAKE_WEIGHTS,
    RankBets,
    e_benjamini_hochberg,
    log_bounded_mean,
    log_cusum,
    log_gap_bets,
    log_mean_bets,
    log_share_tilts,
    log_shiryaev_roberts,
    log_tilts,
    smoothed_rank,
)

from counting import RISK, alarmed, check_mean, check_rate, check_uniform, log_capital, record, uniform_gap

pytestmark = pytest.mark.slow


def coin(rng, shape):
    """E-values 2 or 0 with probability 1/2: e-SR doubles until it loses, so it meets A = 2^(k+1) - 2 exactly."""
    return np.where(rng.random(shape) < 0.5, np.log(2.0), -np.inf)


def gauss(rng, shape, shift):
    """Likelihood ratios of a normal shift."""
    return shift * rng.standard_normal(shape) - shift**2 / 2


class TestProcesses:
    @pytest.mark.parametrize(("horizon", "limit"), [(3, 6), (10, 30), (30, 126), (300, 1022)])
    def test_e_sr_alarms_within_a_horizon(self, horizon, limit):
        """P(alarm within T) <= T/A, for coins that meet A exactly and for normal likelihood ratios."""
        rng = np.random.default_rng(1)
        for null, log_e in (("coins", coin), ("normal ratios", lambda r, s: gauss(r, s, 0.5))):
            hit = alarmed(log_e(rng, (horizon, 20_000)), limit)
            check_rate("e-SR: P(alarm within T) <= T/A", f"{null}, T={horizon}, A={limit}", hit, horizon / limit)

    @pytest.mark.parametrize("null", ["coins", "normal ratios"])
    def test_e_sr_mean_run_length(self, null):
        """The mean run length to a false alarm is at least A: cut at 12 A, which takes away less than .001 of it."""
        rng, limit, runs = np.random.default_rng(2), 30, 20_000
        log_m, length = np.full(runs, -np.inf), np.full(runs, 12 * limit)
        for t in range(1, 12 * limit + 1):
            log_m = log_shiryaev_roberts(log_m, coin(rng, runs) if null == "coins" else gauss(rng, runs, 0.1))
            length[(log_m >= np.log(limit)) & (length == 12 * limit)] = t
        ratio = length / limit
        record("e-SR: mean run length / A >= 1", f"{null}, A={limit}", ratio.mean(), 1.0, runs)
        assert log_capital((12 - ratio) / (12 - 0.999)) < np.log(1 / RISK)

    def test_e_sr_alarms_again_after_a_restart(self):
        """With evidence started again after every alarm, at most T/A alarms are expected in T batches."""
        rng, limit, horizon, runs = np.random.default_rng(24), 30, 300, 4_000
        for null, log_e in (("coins", coin), ("normal ratios", lambda r, s: gauss(r, s, 0.5))):
            log_m, alarms = np.full(runs, -np.inf), np.zeros(runs)
            for _ in range(horizon):
                log_m = log_shiryaev_roberts(log_m, log_e(rng, runs))
                over = log_m >= np.log(limit)
                alarms, log_m = alarms + over, np.where(over, -np.inf, log_m)
            claim, world = "e-SR with restarts: expected alarms / (T/A) <= 1", f"{null}, A=30, T=300"
            check_mean(claim, world, alarms * limit / horizon)

    def test_a_mean_run_length_below_the_limit_would_be_found(self):
        """An alarm at .9 A instead of A fails the same check: the test has teeth."""
        rng, limit, runs = np.random.default_rng(3), 30, 20_000
        length = rng.geometric(1 / (0.9 * limit), runs).clip(max=12 * limit)
        assert log_capital((12 - length / limit) / (12 - 0.999)) > np.log(1 / RISK)

    def test_e_cusum_alarms(self):
        """P(C >= A) <= 1/A at every batch, hence at most T/A expected alarms in T batches."""
        rng, limit, horizon, runs = np.random.default_rng(4), 32, 300, 20_000
        for null, log_e in (("coins", coin), ("normal ratios", lambda r, s: gauss(r, s, 0.25))):
            log_c, alarms = np.zeros(runs), np.zeros(runs)
            for _ in range(horizon):
                log_c = log_cusum(log_c, log_e(rng, runs))
                alarms += log_c >= np.log(limit)
            check_rate(
                "e-CUSUM: P(C >= A at batch T) <= 1/A", f"{null}, A=32, T=300", log_c >= np.log(limit), 1 / limit
            )
            check_mean("e-CUSUM: expected alarms / (T/A) <= 1", f"{null}, A=32, T=300", alarms * limit / horizon)


class TestBoundedMean:
    LOW, HIGH, N = 0.2, 0.25, 60

    def _scores(self, rng, null, shape):
        """Sums of N scores for batches in control."""
        if null == "0/1 rows at the upper edge":
            return rng.binomial(self.N, self.HIGH, shape)
        if null == "0/1 rows at the lower edge":
            return rng.binomial(self.N, self.LOW, shape)
        if null == "rows of unequal means at the upper edge":
            means = np.linspace(0, 2 * self.HIGH, self.N)
            return (rng.random((*shape, self.N)) < means).sum(axis=-1)
        return rng.beta(2, 7, (*shape, self.N)).sum(axis=-1)  # mean 2/9, inside the band, soft scores

    @pytest.mark.parametrize(
        "null",
        [
            "0/1 rows at the upper edge",
            "0/1 rows at the lower edge",
            "rows of unequal means at the upper edge",
            "soft scores inside",
        ],
    )
    def test_atoms(self, null):
        """E[e] <= 1 for each atom, and P(alarm within T) <= T/A for their average over the eight."""
        rng, horizon, limit = np.random.default_rng(5), 20, 50
        log_e = log_bounded_mean(self.N, self._scores(rng, null, (horizon, 4_000)), self.LOW, self.HIGH)
        check_mean("bounded-mean atoms: E[e] <= 1", null, np.exp(log_e).reshape(-1, 8))
        hit = alarmed(log_e, limit)
        check_rate("bounded-mean atoms: P(alarm within T) <= T/A", f"{null}, T=20, A=50", hit, horizon / limit)

    def test_a_band_that_is_too_narrow_would_be_found(self):
        """Rows half a point above the band break the mean check: the test has teeth."""
        rng = np.random.default_rng(6)
        log_e = log_bounded_mean(self.N, rng.binomial(self.N, self.HIGH + 0.005, 40_000), self.LOW, self.HIGH)
        assert log_capital(np.exp(log_e)).max() > np.log(8 / RISK)

    def test_a_band_from_a_finite_reference(self):
        """With the Clopper-Pearson band of a reference at delta, P(alarm within T) <= T/A + delta."""
        rng, horizon, limit, delta, runs = np.random.default_rng(7), 20, 100, 0.05, 4_000
        band = clopper_pearson(rng.binomial(2_000, 0.1, runs), 2_000, 1 - delta)
        log_e = log_bounded_mean(1_000, rng.binomial(1_000, 0.1, (horizon, runs)), band.low, band.high)
        hit = alarmed(log_e, limit)
        check_rate("band of 2,000 rows: <= T/A + delta", "share .1, batches of 1,000", hit, horizon / limit + delta)


class TestPooledTilts:
    """Reference of 100 rows, 20 batches of 20; the pool grows with every batch."""

    RUNS, HORIZON, LIMIT = 10_000, 20, 20
    WEIGHTS = np.array([-1.5, -0.5, 0.0, 0.7, 3.0])

    def _run(self, rng, shares, *, pool_grows=True):
        """Log e-values (T, runs, 2 questions x 8 tilts) of the score and of the share of the last bin."""
        pool, log_e = rng.multinomial(100, shares, self.RUNS), []
        for _ in range(self.HORIZON):
            batch = rng.multinomial(20, shares, self.RUNS)
            with_batch = pool + batch
            pool = with_batch if pool_grows else pool
            score = log_tilts(batch, with_batch, self.WEIGHTS)
            level = log_share_tilts(batch[:, -1], 20, with_batch[:, -1], with_batch.sum(axis=-1))
            log_e.append(np.concatenate([score, level], axis=-1))
        return np.stack(log_e)

    @pytest.mark.parametrize("null", ["i.i.d. rows", "a rare level", "exchangeable rows (random shares)"])
    def test_exchangeable_rows(self, null):
        """E[e | bag] <= 1 in every batch; P(any weighted C >= A at batch t) <= 1/A; T/A expected alarms."""
        rng = np.random.default_rng(8)
        shares = {
            "i.i.d. rows": [0.2, 0.3, 0.2, 0.2, 0.1],
            "a rare level": [0.4, 0.3, 0.2, 0.095, 0.005],
            "exchangeable rows (random shares)": rng.dirichlet(np.ones(5), self.RUNS),
        }[null]
        log_e = self._run(rng, np.asarray(shares))
        check_mean("pooled tilts: E[e | bag] <= 1", f"{null}, first batch", np.exp(log_e[0]))
        check_mean("pooled tilts: E[e | bag] <= 1", f"{null}, last batch", np.exp(log_e[-1]))
        log_c, alarms = np.zeros(log_e.shape[1:]), np.zeros(self.RUNS)
        for step in log_e:
            log_c = log_cusum(log_c, step)
            over = log_c.max(axis=-1) - np.log(log_c.shape[-1]) >= np.log(self.LIMIT)
            alarms += over
        check_rate("pooled tilts: P(alarm at batch T) <= 1/A", f"{null}, 16 tilts, A=20", over, 1 / self.LIMIT)
        check_mean("pooled tilts: expected alarms / (T/A) <= 1", null, alarms * self.LIMIT / self.HORIZON)

    def test_products_in_the_reversed_filtration(self):
        """The product of the last 20 e-values has mean at most 1, for each tilt: what the e-CUSUM rests on."""
        log_e = self._run(np.random.default_rng(9), np.array([0.2, 0.3, 0.2, 0.2, 0.1]))
        check_mean("pooled tilts: E[product of 20 batches] <= 1", "i.i.d. rows", np.exp(log_e.sum(axis=0)))

    def test_a_pool_that_never_grows_would_be_found(self):
        """Comparing every batch with the same reference breaks the promise, and the count shows it."""
        log_e = self._run(np.random.default_rng(10), np.array([0.2, 0.3, 0.2, 0.2, 0.1]), pool_grows=False)
        assert log_capital(np.exp(log_e.sum(axis=0))).max() > np.log(16 / RISK)


def rank_stream(rng, draw, n_reference, horizon, runs, questions=1):
    """P-values (T, runs * questions) of a stream of batches, each ranked in the bag of all batches so far."""
    scores = draw(rng, (n_reference + horizon, runs, questions)).reshape(n_reference + horizon, -1)
    return np.stack(
        [smoothed_rank(scores[: n_reference + t], rng.random(scores.shape[1])) for t in range(1, horizon + 1)]
    )


def rank_alarms(p, n_reference, limit, two_sided=True):
    """Which processes pass the limit, and M after the last batch; p (T, Q)."""
    bets = RankBets.start(np.full(p.shape[1], two_sided))
    top = np.full(p.shape[1], -np.inf)
    for t, ranks in enumerate(p, start=1):
        bets = bets.update(ranks, n_reference + t)
        top = np.maximum(top, bets.log_values())
    return top >= np.log(limit), bets


def check_ranks(null, p):
    """One score's p-values are uniform, and four in a row are independent: their extremes have the right law."""
    check_uniform("ranks: p uniform (gap within band)", null, p)
    fours = p[: len(p) // 4 * 4].reshape(-1, 4, p.shape[1])
    check_uniform("ranks: four p independent (largest)", null, fours.max(axis=1) ** 4)
    check_uniform("ranks: four p independent (smallest)", null, 1 - (1 - fours.min(axis=1)) ** 4)


SCORES = {
    "i.i.d. normal": lambda rng, shape: rng.standard_normal(shape),
    "skewed day effects": lambda rng, shape: 0.1 * rng.standard_exponential(shape) + 0.03 * rng.standard_normal(shape),
    "heavy-tailed day effects": lambda rng, shape: rng.standard_t(2, shape),
    "tied scores": lambda rng, shape: rng.binomial(3, 0.2, shape).astype(float),
}


class TestRanks:
    RUNS, HORIZON, LIMIT = 4_000, 40, 100

    @pytest.mark.parametrize("n_reference", [5, 20, 100])
    @pytest.mark.parametrize("null", list(SCORES))
    def test_one_score(self, null, n_reference):
        """p uniform and independent; E[M_T] <= T; P(alarm within T) <= T/A, two-sided and one-sided."""
        rng, name = np.random.default_rng(n_reference), f"{null}, {n_reference} reference batches"
        p = rank_stream(rng, SCORES[null], n_reference, self.HORIZON, self.RUNS)
        check_ranks(name, p)
        for side in (True, False):
            hit, bets = rank_alarms(p, n_reference, self.LIMIT, two_sided=side)
            claim = f"RankBets ({'two' if side else 'one'}-sided)"
            check_rate(f"{claim}: P(alarm within T) <= T/A", f"{name}, T=40, A=100", hit, self.HORIZON / self.LIMIT)
            check_mean(f"{claim}: E[M_T] / T <= 1", name, np.exp(bets.log_values()) / self.HORIZON)

    def test_first_bets(self):
        """E[M_1] <= 1 for the whole mixture of one batch, at 40 sizes of the bag."""
        p = rank_stream(np.random.default_rng(25), SCORES["i.i.d. normal"], 20, self.HORIZON, self.RUNS)
        start = RankBets.start(np.ones(self.RUNS, dtype=bool))
        first = [start.update(ranks, 20 + t).log_values() for t, ranks in enumerate(p, start=1)]
        check_mean("RankBets: E[M_1] <= 1", "i.i.d. normal, bags of 21 to 60", np.exp(np.concatenate(first))[:, None])

    @pytest.mark.parametrize("n_reference", [5, 20])
    def test_a_combined_score_that_is_recomputed_with_every_batch(self, n_reference):
        """The largest robust |z| over six features, median and MAD of the whole bag: symmetric, so still exact."""
        rng, runs = np.random.default_rng(11), 2_000
        total = n_reference + self.HORIZON
        y = SCORES["skewed day effects"](rng, (total, runs, 6)) + rng.standard_normal((total, runs, 1)) * 0.05
        p = []
        for n in range(n_reference + 1, total + 1):
            deviation = np.abs(y[:n] - np.median(y[:n], axis=0))
            largest = (deviation / np.hypot(1.4826 * np.median(deviation, axis=0), 0.01)).max(axis=-1)
            p.append(smoothed_rank(largest.round(9), rng.random(runs)))
        p, name = np.stack(p), f"largest of six |z|, {n_reference} reference batches"
        check_ranks(name, p)
        hit, _ = rank_alarms(p, n_reference, self.LIMIT, two_sided=False)
        check_rate("RankBets (one-sided): P(alarm within T) <= T/A", f"{name}, T=40, A=100", hit, 0.4)

    def test_weighted_union_over_questions(self):
        """P(any log M_k + log w_k >= log A within T) <= T/A for twelve dependent questions of different filtrations."""
        rng, questions, runs = np.random.default_rng(12), 12, 2_000

        def dependent(rng, shape):
            common = rng.standard_normal((*shape[:-1], 1))
            return np.sqrt(0.5) * (common + rng.standard_normal(shape))

        p = rank_stream(rng, dependent, 20, self.HORIZON, runs, questions)
        log_w = np.log(np.arange(1, questions + 1) / np.arange(1, questions + 1).sum())
        bets, hit = RankBets.start(np.ones(p.shape[1], dtype=bool)), np.zeros(runs, dtype=bool)
        for t, ranks in enumerate(p, start=1):
            bets = bets.update(ranks, 20 + t)
            hit |= (bets.log_values().reshape(runs, questions) + log_w >= np.log(self.LIMIT)).any(axis=1)
        check_rate("weighted union of 12 rank processes <= T/A", "correlated .5, T=40, A=100", hit, 0.4)

    def test_ranks_against_the_reference_alone_would_be_found(self):
        """Ranking every batch among the same reference gives uniform but dependent p-values, and too many alarms."""
        rng, n_reference = np.random.default_rng(13), 20
        reference, stream = rng.standard_normal((n_reference, self.RUNS)), rng.standard_normal((160, self.RUNS))
        p = np.stack([smoothed_rank(np.vstack([reference, y]), rng.random(self.RUNS)) for y in stream])
        gap, band = uniform_gap(p.reshape(-1, 4, p.shape[1]).max(axis=1) ** 4)
        assert gap > band
        hit, _ = rank_alarms(p, n_reference, 1_000)
        assert hit.sum() > binom.ppf(1 - RISK, self.RUNS, 160 / 1_000)

    def test_ties_that_are_not_counted_would_be_found(self):
        """Without the share u of the ties, p-values of clustered scores are not uniform, and the band shows it."""
        rng = np.random.default_rng(14)
        scores = SCORES["tied scores"](rng, (60, self.RUNS))
        p = np.stack([smoothed_rank(scores[:n], np.zeros(self.RUNS)) for n in range(21, 61)])
        gap, band = uniform_gap(p)
        assert gap > band


class TestIntervals:
    @pytest.mark.parametrize("mean", [0.02, 0.3, 0.5])
    def test_beta_mixture_at_every_look(self, mean):
        """P(the mean is ever outside, over 150 looks up to 10,000 rows) <= alpha, for 0/1 rows."""
        rng, runs = np.random.default_rng(15), 4_000
        looks = np.unique(np.geomspace(1, 10_000, 180).astype(int))
        steps = rng.binomial(np.diff(looks, prepend=0), mean, (runs, len(looks)))
        interval = beta_mixture(steps.cumsum(axis=1), looks, alpha=0.05)
        missed = ((mean < interval.low) | (mean > interval.high)).any(axis=1)
        check_rate("beta-mixture: P(ever outside) <= .05", f"0/1 rows, mean {mean}", missed, 0.05)

    def test_intervals_of_one_look_do_miss_when_looked_at_again(self):
        """Exact intervals at the same 150 looks miss far more often than .05: why the sequence is needed."""
        rng, looks = np.random.default_rng(16), np.unique(np.geomspace(1, 10_000, 180).astype(int))
        steps = rng.binomial(np.diff(looks, prepend=0), 0.3, (1_000, len(looks)))
        interval = clopper_pearson(steps.cumsum(axis=1), looks)
        missed = ((interval.low > 0.3) | (interval.high < 0.3)).any(axis=1)
        assert missed.sum() > binom.ppf(1 - RISK, 1_000, 0.05)

    @pytest.mark.parametrize("n", [1, 10, 50, 300])
    def test_coverage_of_shares_by_enumeration(self, n):
        """Clopper-Pearson covers every share with at least .95 (no tolerance: exact); Wilson does so on average."""
        shares, k = np.linspace(0.0005, 0.9995, 1_000)[:, None], np.arange(n + 1)
        probability = binom.pmf(k, n, shares)
        exact, score = clopper_pearson(k, n), wilson(k, n)
        covered = {
            i.method: (probability * ((i.low <= shares) & (shares <= i.high))).sum(axis=1) for i in (exact, score)
        }
        record(
            "Clopper-Pearson: coverage of any share >= .95",
            f"n={n}",
            covered["clopper-pearson"].min(),
            0.95,
            len(shares),
        )
        record("Wilson: coverage, average over shares, near .95", f"n={n}", covered["wilson"].mean(), 0.95, len(shares))
        assert covered["clopper-pearson"].min() >= 0.95
        assert abs(covered["wilson"].mean() - 0.95) < (0.01 if n > 1 else 0.05)

    @pytest.mark.parametrize("n", [20, 30, 60])
    @pytest.mark.parametrize("rho", [0.0, 0.3, 0.5])
    def test_upper_bound_of_an_autocorrelated_mean(self, n, rho):
        """The bound at a nominal .05 lies below the expectation in at most .07 of runs, 20 to 60 AR(1) batches."""
        x = autoregressive(np.random.default_rng(17), (4_000, n), rho)
        missed = np.apply_along_axis(lambda series: upper_mean_bound(series).upper, 1, x) < 0
        check_rate("AR(1) upper bound: missed <= .07 at .05", f"rho={rho}, {n} batches", missed, 0.07)


def autoregressive(rng, shape, rho):
    """Stationary AR(1) series along the last axis with mean 0 and variance 1."""
    noise = rng.standard_normal(shape)
    noise[..., 1:] *= np.sqrt(1 - rho**2)
    return lfilter([1.0], [1.0, -rho], noise, axis=-1)


class TestMeanAndGapBets:
    def test_mean_bets_at_the_limit(self):
        """Conditional mean exactly at the limit, spread and size driven by the past: E[e] <= 1, P(alarm) <= T/A."""
        rng, runs, horizon, high = np.random.default_rng(18), 4_000, 40, 0.1
        x = np.empty((horizon, runs))
        wild = np.zeros(runs, dtype=bool)
        for t in range(horizon):  # a high day is followed by wild days of 0 or .8, a low one by quiet days
            x[t] = np.where(wild, 0.8 * (rng.random(runs) < high / 0.8), high * rng.uniform(0.5, 1.5, runs))
            wild = x[t] > high
        log_e = log_mean_bets(x, high)
        check_mean("mean bets: E[e] <= 1", "clustered spread, mean at the limit", np.exp(log_e[-1]))
        claim, null = "mean bets: P(alarm within T) <= T/A", "clustered spread, T=40, A=100"
        check_rate(claim, null, alarmed(log_e, 100, LOG_STAKE_WEIGHTS), horizon / 100)

    def test_mean_bets_on_rare_losses(self):
        """The hardest null, losses 0 or 1 with mean at the limit: E[e] <= 1, P(alarm within T) <= T/A."""
        rng, horizon = np.random.default_rng(19), 20
        log_e = log_mean_bets((rng.random((horizon, 20_000)) < 0.2).astype(float), 0.2)
        check_mean("mean bets: E[e] <= 1", "losses 0 or 1, mean at the limit", np.exp(log_e).reshape(-1, 8))
        claim, null = "mean bets: P(alarm within T) <= T/A", "losses 0 or 1, T=20, A=50"
        check_rate(claim, null, alarmed(log_e, 50, LOG_STAKE_WEIGHTS), horizon / 50)

    @pytest.mark.parametrize("rho", [0.0, 0.5, 0.7])
    def test_harm_on_autocorrelated_days(self, rho):
        """Limit from 60 reference days by the AR(1) bound plus .01: P(alarm within 120 days) <= T/A + delta."""
        rng, runs, reference, horizon, limit = np.random.default_rng(20), 2_000, 60, 120, 365
        loss = np.clip(0.2 + 0.03 * autoregressive(rng, (runs, reference + horizon), rho), 0, 1)
        high = np.apply_along_axis(lambda days: upper_mean_bound(days).upper, 1, loss[:, :reference]) + 0.01
        hit = alarmed(log_mean_bets(loss[:, reference:].T, high), limit, LOG_STAKE_WEIGHTS)
        check_rate("harm: P(alarm within T) <= T/A + delta", f"AR(1) days, rho={rho}", hit, horizon / limit + 0.05)

    @pytest.mark.parametrize("tolerance", [0.0, 0.1])
    @pytest.mark.parametrize("null", ["gaps of -1 or 1 at the tolerance", "day-by-group effects"])
    def test_gap_bets(self, null, tolerance):
        """E[e] <= 1 for both sides and all stakes; P(alarm within T) <= T/A for their average."""
        rng, horizon, runs = np.random.default_rng(21), 20, 8_000
        if null == "day-by-group effects":
            rates = 1 / (1 + np.exp(-rng.normal(-1.0, 0.5, (2, horizon, runs))))
            a, b = rng.binomial(40, rates) / 40
            d = a - b
        else:
            d = np.where(rng.random((horizon, runs)) < (1 + tolerance) / 2, 1.0, -1.0)
        log_e = log_gap_bets(d, tolerance)
        name = f"{null}, tolerance {tolerance}"
        check_mean("gap bets: E[e] <= 1", name, np.exp(log_e).reshape(horizon * runs, -1))
        check_rate(
            "gap bets: P(alarm within T) <= T/A",
            f"{name}, T=20, A=50",
            alarmed(log_e, 50, LOG_STAKE_WEIGHTS),
            horizon / 50,
        )


class TestFalseDiscoveries:
    ALPHA, K, RUNS = 0.1, 20, 20_000

    def test_e_bh_without_any_discovery_to_make(self):
        """All hypotheses true, e-values K/alpha or 0 (the sharpest there are): P(any rejection) <= alpha."""
        rng = np.random.default_rng(22)
        jump = rng.random((self.RUNS, self.K)) < self.ALPHA / self.K
        rejected = e_benjamini_hochberg(np.where(jump, np.log(self.K / self.ALPHA) + 1e-9, -np.inf), self.ALPHA)
        check_rate("e-BH: false discovery rate <= alpha", "20 true, sharp e-values", rejected.any(axis=1), self.ALPHA)

    def test_e_bh_beside_true_discoveries(self):
        """15 true hypotheses with dependent e-values beside 5 false ones: E[false / rejected] <= .75 alpha."""
        rng = np.random.default_rng(23)
        z = np.sqrt(0.5) * (rng.standard_normal((self.RUNS, 1)) + rng.standard_normal((self.RUNS, self.K)))
        z[:, 15:] += 4.0
        rejected = e_benjamini_hochberg(2.5 * z - 2.5**2 / 2, self.ALPHA)
        false_share = rejected[:, :15].sum(axis=1) / np.maximum(rejected.sum(axis=1), 1)
        check_mean(
            "e-BH: false discovery rate / (alpha * 15/20) <= 1", "correlated .5", false_share / (0.75 * self.ALPHA)
        )
        record(
            "e-BH: share of the 5 false hypotheses found >= .5",
            "shift of 4 sd",
            rejected[:, 15:].mean(),
            0.5,
            self.RUNS,
        )
        assert rejected[:, 15:].mean() > 0.5
