"""Two groups, two models, two answers, and processes without a horizon: their promises counted under their nulls.

Next to each promise stands what it rests on (E[e] <= 1), at the hardest null that could be found, and the tempting
shortcut that breaks it: a budget read as a lifetime, one reference for every p-value, a null rate pooled from the past,
z at every look, rows of one day as if they were independent.
"""

import numpy as np
import pytest
from scipy.special import expit, logit, ndtr, ndtri, xlogy
from scipy.stats import binom

from mlopskit.stats.sequential import (
    PairedCapital,
    TwoRates,
    gate_alpha,
    log_calibrated,
    log_lifetime,
    log_mcnemar,
    log_mean_exp,
    log_shiryaev_roberts,
    log_two_rates,
)

from counting import RISK, alarmed, check_mean, check_rate, log_capital, record

pytestmark = pytest.mark.slow

ALPHA = 0.05


def check_broken(claim, null, broken, bound):
    """Teeth: the wrong variant breaks the bound by more than chance can; the figure is kept."""
    record(claim, null, np.mean(broken), bound, len(broken))
    assert np.sum(broken) > binom.ppf(1 - RISK, len(broken), bound), f"{claim}, {null}: {np.mean(broken):.4f}"


class TestLifetime:
    HORIZON, RUNS = 1_000, 4_000
    CLAIM = "lifetime: P(alarm ever, 1,000 batches) <= .05"

    def _log_e(self, rng, null, log_m, t):
        """Log e-values of batch t with mean 1, given the evidence so far."""
        if null == "coins":
            return np.where(rng.random(self.RUNS) < 0.5, np.log(2.0), -np.inf)
        if null == "normal ratios":
            return 0.5 * rng.standard_normal(self.RUNS) - 0.5**2 / 2
        stake = np.logaddexp(log_m, -np.log(t * (t + 1.0)))  # aims at the limit: 1/alpha exactly, or nothing
        wins = rng.random(self.RUNS) < np.exp(stake) * ALPHA
        return np.where(wins, -np.log(ALPHA) + 1e-9 - stake, -np.inf)

    def _ever(self, rng, null, step):
        log_m, top = np.full(self.RUNS, -np.inf), np.full(self.RUNS, -np.inf)
        for t in range(1, self.HORIZON + 1):
            log_m = step(log_m, np.where(top >= -np.log(ALPHA), 0.0, self._log_e(rng, null, log_m, t)), t)
            top = np.maximum(top, log_m)
        return top >= -np.log(ALPHA), log_m

    @pytest.mark.parametrize("null", ["coins", "normal ratios", "bets that aim at the limit"])
    def test_it_never_alarms_more_often_than_alpha(self, null):
        """P(M ever reaches 1/alpha) <= alpha; the bets that aim at it reach .0488, all that the bound leaves."""
        hit, _ = self._ever(np.random.default_rng(1), null, log_lifetime)
        check_rate(self.CLAIM, null, hit, ALPHA)
        if null.startswith("bets"):
            assert hit.sum() > binom.ppf(RISK, self.RUNS, 0.0488)  # and no less: the null is as hard as it can be

    def test_its_mean(self):
        """E[M_T] + 1/(T+1) <= 1 after 1, 5 and 20 batches."""
        rng, log_m = np.random.default_rng(2), np.full(40_000, -np.inf)
        for t in range(1, 21):
            log_m = log_lifetime(log_m, 0.3 * rng.standard_normal(40_000) - 0.3**2 / 2, t)
            if t in (1, 5, 20):
                check_mean("lifetime: E[M_T] + 1/(T+1) <= 1", f"normal ratios, T={t}", np.exp(log_m) + 1 / (t + 1))

    def test_a_budget_read_as_a_lifetime_would_be_found(self):
        """e-SR with the limit 1/alpha alarms in every run of 1,000 batches: its promise has a horizon."""
        for null in ("coins", "normal ratios"):
            hit, _ = self._ever(np.random.default_rng(3), null, lambda m, e, t: log_shiryaev_roberts(m, e))
            check_broken("wrong: e-SR with limit 1/alpha, ever", null, hit, ALPHA)


class TestCalibrated:
    RUNS, HORIZON, LIMIT = 1_000, 1_000, 1_000

    def _alarms(self, draw):
        """How many alarms in 1,000 batches, with evidence started again after each."""
        log_m, alarms = np.full(self.RUNS, -np.inf), np.zeros(self.RUNS)
        for _ in range(self.HORIZON):
            log_m = log_shiryaev_roberts(log_m, log_calibrated(draw()))
            over = log_m >= np.log(self.LIMIT)
            alarms, log_m = alarms + over, np.where(over, -np.inf, log_m)
        return alarms

    def _p_values(self, rng, n_reference, n_batch, *, fresh):
        """Two-sample z-tests of batches against a reference; each p-value alone is exactly uniform."""
        reference = rng.standard_normal(self.RUNS) / np.sqrt(n_reference)
        se = np.sqrt(1 / n_batch + 1 / n_reference)

        def draw():
            rows = rng.standard_normal(self.RUNS) / np.sqrt(n_reference) if fresh else reference
            return 2 * ndtr(-np.abs(rng.standard_normal(self.RUNS) / np.sqrt(n_batch) - rows) / se)

        return draw

    def test_uniform_p_values(self):
        """E[e] = 1 for uniform p, E[e] < 1 for discrete ones, and P(alarm within T) <= T/A for their e-SR."""
        rng = np.random.default_rng(4)
        check_mean("calibrated p: E[e] <= 1", "uniform p", np.exp(log_calibrated(rng.random(100_000))))
        tosses = rng.binomial(12, 0.5, 100_000)
        check_mean("calibrated p: E[e] <= 1", "binomial p", np.exp(log_calibrated(binom.sf(tosses - 1, 12, 0.5))))
        hit = alarmed(log_calibrated(rng.random((20, 20_000))), 50)
        check_rate("calibrated p: P(alarm within T) <= T/A", "uniform p, T=20, A=50", hit, 20 / 50)

    def test_a_fresh_reference_for_each_batch(self):
        """P-values that are valid given the past: at most one alarm expected in 1,000 batches at A = 1,000."""
        alarms = self._alarms(self._p_values(np.random.default_rng(5), 1_000, 1_000, fresh=True))
        check_mean("calibrated p: alarms in 1,000 batches, A=1,000, <= 1", "a fresh reference each", alarms)

    def _check_wrong(self, null, alarms):
        record("wrong: alarms in 1,000 batches, A=1,000, nominal 1", null, alarms.mean(), 1.0, self.RUNS)
        assert log_capital(alarms) > np.log(1 / RISK)

    @pytest.mark.parametrize(("n_reference", "n_batch"), [(1_000, 2_000), (1_000, 10_000), (5_000, 10_000)])
    def test_one_reference_for_all_batches_would_be_found(self, n_reference, n_batch):
        """The same uniform p-values against one fixed reference share its luck: many times the nominal one alarm."""
        alarms = self._alarms(self._p_values(np.random.default_rng(6), n_reference, n_batch, fresh=False))
        self._check_wrong(f"one reference of {n_reference:,} rows, batches of {n_batch:,}", alarms)

    @pytest.mark.parametrize(("n_reference", "small"), [(1_000, 57.4), (5_000, 5.4)])
    def test_a_reference_taken_for_the_truth_would_be_found(self, n_reference, small):
        """One-sample tests of 2,000 rows: 66 (7) alarms instead of 1; `small` p-values below .001 by the normal law."""
        rng, n_batch = np.random.default_rng(25), 2_000
        reference = rng.standard_normal(self.RUNS) / np.sqrt(n_reference)
        below = np.zeros(self.RUNS)

        def draw():
            p = 2 * ndtr(-np.abs(rng.standard_normal(self.RUNS) - reference * np.sqrt(n_batch)))
            below[:] += p <= 0.001
            return p

        null = f"{n_reference:,} rows taken for the truth, batches of 2,000"
        self._check_wrong(null, self._alarms(draw))
        record("wrong: p-values below .001 in 1,000 batches, nominal 1", null, below.mean(), 1.0, self.RUNS)
        exact = 2_000 * ndtr(ndtri(0.0005) / np.sqrt(1 + n_batch / n_reference))
        assert exact == pytest.approx(small, abs=0.1)
        assert below.mean() == pytest.approx(exact, abs=6 * below.std() / np.sqrt(self.RUNS))


def watch(batches, shape, tolerance=0.0):
    """First batch with an alarm (0: none) of each run, groups averaged; and the state after three batches.

    Batches are (s_a, n_a, s_b, n_b); `shape` is (runs, groups).
    """
    state, first = TwoRates.start(shape=shape, tolerance=tolerance), np.zeros(shape[0], dtype=int)
    early = state
    for t, batch in enumerate(batches, start=1):
        state = state.update(*batch)
        if t == 3:
            early = state
        over = log_mean_exp(state.log_value()) >= -np.log(ALPHA)
        first[(first == 0) & over] = t
    return first, early


def against_the_rest(s, n):
    """Each group of the last axis against all others."""
    n = np.broadcast_to(n, s.shape)
    return s, n, s.sum(axis=-1, keepdims=True) - s, n.sum(axis=-1, keepdims=True) - n


class TestTwoRates:
    RUNS, WEEKS, GROUPS = 2_000, 52, 8
    CLAIM = "two rates: P(alarm ever, 52 looks) <= .05"

    def _check(self, null, first, state):
        assert state.t == 3
        check_rate(self.CLAIM, null, first > 0, ALPHA)
        check_mean("two rates: E[M_3] + 1/4 <= 1", null, np.exp(state.log_value()) + 1 / 4)

    @pytest.mark.parametrize("rate", [0.01, 0.4, 0.99])
    def test_eight_groups_against_the_rest(self, rate):
        """8 groups of 50 rows at one rate, also next to 0 and 1: false alarms in 52 weeks, averaged over groups."""
        rng, shape = np.random.default_rng(7), (self.RUNS, self.GROUPS)
        batches = (against_the_rest(rng.binomial(50, rate, shape), 50) for _ in range(self.WEEKS))
        self._check(f"8 groups of 50, rate {rate}", *watch(batches, shape))

    def test_tiny_groups(self):
        """Groups of 1 to 3 rows, sizes drawn anew each week."""
        rng, shape = np.random.default_rng(8), (self.RUNS, self.GROUPS)

        def batches():
            for _ in range(self.WEEKS):
                n = rng.integers(1, 4, shape)
                yield against_the_rest(rng.binomial(n, 0.3), n)

        self._check("8 groups of 1 to 3 rows", *watch(batches(), shape))

    def _changing_mix(self, rng, shape):
        """The common rate and the groups' sizes move together: group a comes in good weeks, b in bad ones."""
        for _ in range(self.WEEKS):
            good = rng.random(shape) < 0.5
            rate = np.where(good, 0.7, 0.3)
            n_a, n_b = np.where(good, 90, 10), np.where(good, 10, 90)
            yield rng.binomial(n_a, rate), n_a, rng.binomial(n_b, rate), n_b

    def test_a_changing_mix(self):
        """Simpson's paradox: pooled over weeks a succeeds twice as often as b, in each week the rates are equal."""
        rng, shape = np.random.default_rng(9), (self.RUNS, 1)
        self._check("changing mix and rate", *watch(self._changing_mix(rng, shape), shape))

    def test_sizes_that_follow_the_past(self):
        """Sizes chosen from last week's successes: predictable, hence harmless."""
        rng, shape = np.random.default_rng(10), (self.RUNS, 1)

        def batches():
            n_a = np.full(shape, 30)
            for _ in range(self.WEEKS):
                s_a = rng.binomial(n_a, 0.3)
                yield s_a, n_a, rng.binomial(60 - n_a, 0.3), 60 - n_a
                n_a = np.where(s_a > 0.3 * n_a, 5, 50)

        self._check("sizes driven by the past", *watch(batches(), shape))

    def test_a_null_rate_pooled_from_the_past_would_be_found(self):
        """With the null's rate from the past instead of this week's sizes the same mix alarms in every run."""
        rng, shape = np.random.default_rng(9), (self.RUNS, 1)
        past, log_m, top = np.zeros((4, *shape)), np.full(shape, -np.inf), np.full(shape, -np.inf)
        for t, batch in enumerate(self._changing_mix(rng, shape), start=1):
            s_a, n_a, s_b, n_b = np.stack(batch)
            rate_a, rate_b = (past[0] + 0.18) / (past[1] + 0.36), (past[2] + 0.18) / (past[3] + 0.36)
            null = (past[0] + past[2] + 0.36) / (past[1] + past[3] + 0.72)
            log_e = sum(
                xlogy(s, rate / null) + xlogy(n - s, (1 - rate) / (1 - null))
                for s, n, rate in ((s_a, n_a, rate_a), (s_b, n_b, rate_b))
            )
            log_m, past = log_lifetime(log_m, log_e, t), past + np.stack(batch)
            top = np.maximum(top, log_m)
        check_broken(
            "wrong: null rate pooled from the past", "changing mix and rate", top[:, 0] >= -np.log(ALPHA), ALPHA
        )

    @pytest.mark.parametrize("null", ["0/1 rows, level fixed", "0/1 rows", "soft scores", "rows of unequal means"])
    def test_the_gap_at_the_tolerance(self, null):
        """Rates exactly .1 apart at tolerance .1, at a level that stays or moves; soft scores vary less."""
        rng, shape = np.random.default_rng(11), (self.RUNS, 1)

        def total(n, rate):
            if null.startswith("0/1 rows"):
                return rng.binomial(n, rate)
            if null == "soft scores":
                return rng.beta(4 * rate[..., None], 4 * (1 - rate[..., None]), (*shape, n)).sum(axis=-1)
            spread = np.minimum(rate, 1 - rate)
            return rng.binomial(n // 2, rate - spread) + rng.binomial(n - n // 2, rate + spread)

        def batches():
            for _ in range(self.WEEKS):
                low = np.full(shape, 0.02) if null.endswith("fixed") else rng.uniform(0.05, 0.8, shape)
                yield total(20, low), 20, total(40, low + 0.1), 40

        self._check(f"gap at the tolerance of .1, {null}", *watch(batches(), shape, 0.1))

    def _answers(self, rng, shape, n, hardness, off=0.0):
        """The sum of (1 + y - p)/2 over n rows; the answers' log odds lie `off` beside those of the probabilities p."""
        p = rng.beta(*hardness, (*shape, n))
        y = rng.random(p.shape) < expit(logit(p) + off)
        return ((1 + y - p) / 2).sum(axis=-1)

    @pytest.mark.parametrize(("off", "weeks"), [(0.0, 52), (0.8, 300)])
    def test_calibration_of_two_groups(self, off, weeks):
        """Easy cases in a, hard and rarer ones in b, both calibrated: no alarm. Teeth: log odds of b off by .8."""
        rng, shape = np.random.default_rng(26), (self.RUNS if off == 0 else 400, 1)

        def batches():
            for _ in range(weeks):
                a, b = self._answers(rng, shape, 40, (0.5, 2.0)), self._answers(rng, shape, 25, (4.0, 4.0), off)
                yield a, 40, b, 25

        first, early = watch(batches(), shape)
        if off == 0:
            self._check("calibration gap, easy and hard groups", first, early)
        else:
            check_broken("wrong: log odds of one group off by .8", "300 batches", first > 0, ALPHA)

    def test_a_gap_outside_the_tolerance_would_be_found(self):
        """Rates .13 apart at tolerance .1 break the same count within 300 batches: the test has teeth."""
        rng, shape = np.random.default_rng(12), (400, 1)
        batches = ((rng.binomial(100, 0.5, shape), 100, rng.binomial(100, 0.63, shape), 100) for _ in range(300))
        check_broken("wrong: gap .13 at tolerance .1", "300 batches", watch(batches, shape, 0.1)[0] > 0, ALPHA)

    @pytest.mark.parametrize("tolerance", [0.0, 0.1])
    def test_e_values_of_predicted_rates(self, tolerance):
        """E[e] <= 1 for guesses around rates of the null, gaps of the tolerance and smaller ones."""
        rng, runs = np.random.default_rng(13), 40_000
        rate = rng.uniform(0, 1 - tolerance, runs)
        gap = tolerance * np.where(rng.random(runs) < 0.8, 1, rng.random(runs))
        side = rng.random(runs) < 0.5
        a, b = np.where(side, rate + gap, rate), np.where(side, rate, rate + gap)
        guess_a, guess_b = (np.clip(r + rng.uniform(-0.2, 0.2, runs), 0.02, 0.98) for r in (a, b))
        log_e = log_two_rates(rng.binomial(7, a), 7, rng.binomial(15, b), 15, guess_a, guess_b, tolerance)
        check_mean("two rates: E[e] <= 1", f"guesses within .2, tolerance {tolerance}", np.exp(log_e))

    def test_power(self):
        """A gap of -.20 in one of 8 groups of 50 from week 20: how many runs find it, and after how many weeks."""
        rng, shape = np.random.default_rng(14), (self.RUNS, self.GROUPS)

        def batches():
            for week in range(1, self.WEEKS + 1):
                rate = np.full(self.GROUPS, 0.4)
                rate[0] -= 0.2 * (week >= 20)
                yield against_the_rest(rng.binomial(50, rate, shape), 50)

        first, _ = watch(batches(), shape)
        found, delay = first[(first == 0) | (first >= 20)] >= 20, first[first >= 20] - 19
        record("two rates: gap -.20 from week 20, share found", "8 groups of 50", found.mean(), 0.95, len(found))
        record("two rates: gap -.20 from week 20, median weeks", "8 groups of 50", np.median(delay), 6, self.RUNS)
        assert found.mean() > 0.95
        assert np.median(delay) <= 6


def errors(rng, shape, gain):
    """Differences -1, 0, 1 of two classifiers that agree on 85% of the rows; the challenger is better by `gain`."""
    u = rng.random(shape)
    return (u < 0.075 + gain / 2).astype(float) - (u > 0.925 + gain / 2)


def quiet_and_wild(rng, shape, gain):
    """After a loss come wild rows, after a gain quiet ones, and the mean given the past is always `gain`."""
    d, wild = np.empty(shape), np.zeros(shape[0], dtype=bool)
    for i in range(shape[1]):
        up = rng.random(shape[0]) < 0.5
        d[:, i] = gain + np.where(wild, 0.8, 0.1) * np.where(up, 1, -1)
        wild = ~up
    return d


PAIRS = {
    "d in -1, 0, 1 with ties": errors,
    "skewed, rare large gains": lambda rng, shape, gain: gain + np.where(rng.random(shape) < 0.1, 0.72, -0.08),
    "skewed, rare large losses": lambda rng, shape, gain: gain - np.where(rng.random(shape) < 0.1, 0.72, -0.08),
    "spread driven by the past": quiet_and_wild,
}


def verdicts(d, margin, **dials):
    """The verdict of each run (looking at every row), and both capitals at the end."""
    states = [PairedCapital(margin=margin, **dials).update(rows) for rows in d]
    return np.array([s.verdict for s in states]), np.array([[s.log_for, s.log_against] for s in states])


def check_verdicts(null, verdict):
    check_rate("paired capital: promoted at the margin <= .05", null, verdict == "promote", ALPHA)
    check_rate("paired capital: rejected at the margin <= .05", null, verdict == "reject", ALPHA)


class TestPairedCapital:
    RUNS, ROWS = 1_000, 10_000

    @pytest.mark.parametrize(("null", "margin"), [*((null, 0.0) for null in PAIRS), ("d in -1, 0, 1 with ties", -0.02)])
    def test_models_exactly_at_the_margin(self, null, margin):
        """E[d | past] = margin, 10,000 rows: promoted <= alpha, rejected <= beta, E[K] <= 1 for both capitals."""
        rng = np.random.default_rng(15)
        d = PAIRS[null](rng, (self.RUNS, self.ROWS), margin)
        name = f"{null}, margin {margin}, 10,000 rows"
        check_verdicts(name, verdicts(d, margin)[0])
        _, capital = verdicts(d[:, :1_000].reshape(-1, 100), margin)
        check_mean("paired capital: E[K] <= 1", f"{null}, margin {margin}, 100 rows", np.exp(capital))

    def test_z_at_every_look_would_be_found(self):
        """Equal models, a z-test at 5% after every 100 rows: "better" at some look in a third of the runs."""
        d = errors(np.random.default_rng(16), (1_000, self.ROWS), 0.0)
        looks = np.arange(99, self.ROWS, 100)
        mean, square = (np.cumsum(v, axis=1)[:, looks] / (looks + 1) for v in (d, d * d))
        z = mean / np.sqrt((square - mean**2) / (looks + 1))
        check_broken("wrong: z > 1.645 at each of 100 looks", "equal models", (z > 1.645).any(axis=1), ALPHA)
        check_broken("wrong: |z| > 1.96 at each of 100 looks", "equal models", (np.abs(z) > 1.96).any(axis=1), ALPHA)

    def test_a_stake_that_knows_the_row_would_be_found(self):
        """The same capital with the row itself in its mean and variance breaks E[K] <= 1."""
        d = errors(np.random.default_rng(17), (8_000, 100), 0.0)
        n = np.arange(1, 101) + 1.0
        mean, square = d.cumsum(axis=1) / n, (0.25 + (d * d).cumsum(axis=1)) / n
        capital = np.exp(np.log1p(np.clip(mean / square, 0, 0.5) * d).sum(axis=1))
        record("wrong: stake that knows the row, E[K]", "equal models, 100 rows", capital.mean(), 1.0, len(d))
        assert log_capital(capital) > np.log(1 / RISK)

    def _days(self, rng, runs, days, rows):
        """Rows of one day share an effect of +-.3: the mean of a day varies, the mean of all days is 0."""
        effect = np.where(rng.random((runs, days, 1)) < 0.5, 0.3, -0.3)
        return errors(rng, (runs, days, rows), 0.0) * 0.5 + effect

    def test_days_as_blocks(self):
        """Dependent rows within 300 days: one number per day keeps both promises."""
        d = self._days(np.random.default_rng(18), 800, 300, 20).reshape(800, -1)
        day = np.repeat(np.arange(300), 20)
        verdict = np.array([PairedCapital(margin=0.0).update_blocks(rows, day).verdict for rows in d])
        check_verdicts("dependent rows of 300 days, as blocks", verdict)

    def test_rows_of_a_day_as_if_independent_would_be_found(self):
        """The same rows one by one are promoted, or rejected, far more often than promised."""
        d = self._days(np.random.default_rng(18), 800, 300, 20).reshape(800, -1)
        verdict, _ = verdicts(d, 0.0)
        check_broken("wrong: rows of a day one by one, promoted", "300 days of 20 rows", verdict == "promote", ALPHA)
        check_broken("wrong: rows of a day one by one, rejected", "300 days of 20 rows", verdict == "reject", ALPHA)

    def test_power(self):
        """A challenger right in 83% against 80% (both independent of each other): promoted, after how many rows."""
        rng, runs = np.random.default_rng(19), 400
        rows, promoted = np.zeros(runs), np.zeros(runs, dtype=bool)
        for run in range(runs):
            state = PairedCapital(margin=0.0)
            while state.verdict == "inconclusive" and state.n < 20_000:
                state = state.update((rng.random(100) < 0.83).astype(float) - (rng.random(100) < 0.80))
            rows[run], promoted[run] = state.n, state.verdict == "promote"
        record("paired capital: +3 points, share promoted", "looks at every 100 rows", promoted.mean(), 0.95, runs)
        record("paired capital: +3 points, median rows", "independent errors", np.median(rows), 6_000, runs)
        assert promoted.mean() > 0.95

    def test_power_where_models_mostly_agree(self):
        """+3 points where the two agree on 91% of the rows: fewer discordant rows, sooner decided."""
        rng = np.random.default_rng(20)
        u = rng.random((400, self.ROWS))
        states = []
        for row in (u < 0.06).astype(float) - (u > 0.97):
            state = PairedCapital(margin=0.0)
            for part in np.split(row, 100):
                state = state if state.verdict != "inconclusive" else state.update(part)
            states.append(state)
        promoted = np.array([s.verdict == "promote" for s in states])
        record("paired capital: +3 points, share promoted", "agree on 91%", promoted.mean(), 0.95, 400)
        record("paired capital: +3 points, median rows", "agree on 91%", np.median([s.n for s in states]), 2_000, 400)
        assert promoted.mean() > 0.95

    @pytest.mark.parametrize("spent", [True, False])
    def test_a_life_of_ten_gates(self, spent):
        """Ten equal challengers one after the other at gate_alpha: P(any promoted) <= .05; at .05 each far more."""
        rng, runs = np.random.default_rng(21), 600
        wrong = np.zeros(runs, dtype=bool)
        for k in range(1, 11):
            verdict, _ = verdicts(errors(rng, (runs, 3_000), 0.0), 0.0, alpha=gate_alpha(k) if spent else ALPHA)
            wrong |= verdict == "promote"
        if spent:
            check_rate("a life of 10 gates: P(any wrong promotion) <= .05", "equal models", wrong, ALPHA)
        else:
            check_broken("wrong: 10 gates at .05 each", "equal models", wrong, ALPHA)


def fewest_wins(n, alarms):
    """The fewest wins, from n/2 up, at which `alarms(wins, n)`; n + 1 where none do. Bisection over whole numbers."""
    low, high = (n + 1) // 2 - 1, n + 1
    for _ in range(12):
        middle = (low + high) // 2
        over = alarms(middle, n)
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return high


class TestMcNemar:
    RUNS, ROWS = 4_000, 2_000
    N = np.arange(1, ROWS + 1)

    def _ever(self, wins, limit, one_sided):
        hit = (wins >= limit).any(axis=1)
        return hit if one_sided else hit | (self.N - wins >= limit).any(axis=1)

    @pytest.mark.parametrize(("one_sided", "rate"), [(False, 0.5), (True, 0.5), (True, 0.45)])
    def test_at_every_disagreement(self, one_sided, rate):
        """P(it ever reaches 1/alpha in 2,000 disagreements) <= alpha, and E[e] <= 1; one side also below one half."""

        def alarms(w, n):
            return log_mcnemar(w, n - w, one_sided=one_sided) >= -np.log(ALPHA)

        wins = (np.random.default_rng(22).random((self.RUNS, self.ROWS)) < rate).cumsum(axis=1)
        hit = self._ever(wins, fewest_wins(self.N, alarms), one_sided)
        assert (hit[:50] == alarms(wins[:50], self.N).any(axis=1)).all()
        null = f"{'one' if one_sided else 'two'}-sided, win rate {rate}"
        check_rate("McNemar e-process: P(ever, 2,000 disagreements) <= .05", null, hit, ALPHA)
        for n in (5, 12):
            e = np.exp(log_mcnemar(wins[:, n - 1], n - wins[:, n - 1], one_sided=one_sided))
            check_mean("McNemar e-process: E[e] <= 1", f"{null}, n={n}", e)

    @pytest.mark.parametrize("one_sided", [False, True])
    def test_the_exact_test_at_every_look_would_be_found(self, one_sided):
        """The binomial test at .05 after each disagreement alarms in most runs."""
        wins = (np.random.default_rng(23).random((self.RUNS, self.ROWS)) < 0.5).cumsum(axis=1)
        level = ALPHA if one_sided else ALPHA / 2
        hit = self._ever(wins, fewest_wins(self.N, lambda w, n: binom.sf(w - 1, n, 0.5) <= level), one_sided)
        check_broken("wrong: exact McNemar test at each look", f"{'one' if one_sided else 'two'}-sided", hit, ALPHA)

    @pytest.mark.parametrize("rate", [0.6, 0.7])
    def test_power(self, rate):
        """How many disagreements until one side is shown to win more, and in how many runs within 2,000."""
        wins = (np.random.default_rng(24).random((1_000, self.ROWS)) < rate).cumsum(axis=1)
        limit = fewest_wins(self.N, lambda w, n: log_mcnemar(w, n - w, one_sided=True) >= -np.log(ALPHA))
        found, n = (wins >= limit).any(axis=1), (wins >= limit).argmax(axis=1) + 1
        record("McNemar e-process: share found in 2,000", f"one-sided, win rate {rate}", found.mean(), 0.9, 1_000)
        record(
            "McNemar e-process: median disagreements", f"one-sided, win rate {rate}", np.median(n[found]), 2_000, 1_000
        )
        assert found.mean() > 0.9
