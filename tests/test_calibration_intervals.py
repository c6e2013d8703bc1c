"""How often confidence sequences miss at any look, and fixed-n intervals of two groups and of areas at one.

The recursions of the states are run over all runs at once; for some runs they are compared with the states themselves,
and what is counted is what the states say.
"""

import math

import numpy as np
import pytest
from scipy.special import ndtr, stdtrit
from scipy.stats import binom

from mlopskit.stats.intervals import (
    AsymptoticSequence,
    BettingSequence,
    EmpiricalBernstein,
    auc_difference,
    beta_mixture,
    katz,
    mean_t,
    newcombe_wilson,
    wilson,
)

from counting import RISK, check_mean, check_rate, log_capital, record

pytestmark = pytest.mark.slow

ALPHA = 0.05


def bernstein(n, s, q, side="both"):
    """Ends (looks, runs) of `EmpiricalBernstein` from sums (looks, runs) per batch; n may differ by run."""
    log_risk = math.log((2 if side == "both" else 1) / ALPHA)
    rows, total, squares = (
        np.vstack([np.zeros_like(v[:1]), np.cumsum(v, axis=0)]) for v in (n * np.ones_like(s), s, q)
    )
    centre = (0.5 + total[:-1]) / (rows[:-1] + 1)
    variance = np.maximum((0.5 + squares[:-1]) / (rows[:-1] + 1) - centre**2, 1e-4)
    lam = np.minimum(np.sqrt(2 * log_risk / (variance * rows[1:] * np.log1p(rows[1:]))), 0.75)
    psi = -np.log1p(-lam) - lam
    stakes, weighted = np.cumsum(lam * n, axis=0), np.cumsum(lam * s, axis=0)
    cost = np.cumsum(psi * np.maximum(q - 2 * centre * s + n * centre**2, 0), axis=0)
    if side == "sums":
        return stakes, weighted, cost
    half, mean = (log_risk + cost) / stakes, total[1:] / rows[1:]
    low, high = np.clip(weighted / stakes - half, 0, mean), np.clip(weighted / stakes + half, mean, 1)
    return (np.zeros_like(low) if side == "upper" else low), (np.ones_like(high) if side == "lower" else high)


def check_bernstein(n, s, q, low, high, side="both", runs=(0, 1, 2)):
    """The recursion above is the class: the same ends at every look of some runs."""
    n = n * np.ones_like(s)
    for run in runs:
        state = EmpiricalBernstein(alpha=ALPHA, side=side)
        for t in range(len(s)):
            state = state.update_sums(int(n[t, run]), float(s[t, run]), float(q[t, run]))
            interval = state.interval()
            assert (interval.low, interval.high) == pytest.approx((low[t, run], high[t, run]), abs=1e-9)


def missed(low, high, mean):
    """Which runs miss at any look."""
    return ((low > mean) | (high < mean)).any(axis=0)


def zero_one(rng, mean, looks, size, runs):
    s = rng.binomial(size, mean, (looks, runs)).astype(float)
    return size, s, s


def skewed(rng, looks, size, runs):
    """Beta(.1, .9) rows, mean .1: most nearly 0, some nearly 1."""
    x = rng.beta(0.1, 0.9, (looks, runs, size))
    return size, x.sum(axis=-1), (x * x).sum(axis=-1)


def wild_days(rng, looks, size, runs):
    """Mean .1 always; after a high batch rows are 0 or 1, after a low one 0 or .2; every third batch is quiet."""
    s, q = np.empty((looks, runs)), np.empty((looks, runs))
    wild = np.zeros(runs, dtype=bool)
    for t in range(looks):
        top = np.where(wild, 1.0, 0.2 if t % 3 else 0.11)
        k = rng.binomial(size, 0.1 / top)
        s[t], q[t] = k * top, k * top**2
        wild = s[t] > 0.1 * size
    return size, s, q


def uneven(rng, looks, runs):
    """0/1 rows with mean .3; the next batch is large after a low batch and small after a high one."""
    n, s = np.empty((looks, runs)), np.empty((looks, runs))
    size = np.full(runs, 40)
    for t in range(looks):
        n[t], s[t] = size, rng.binomial(size, 0.3)
        size = np.where(s[t] < 0.3 * n[t], rng.integers(100, 400, runs), rng.integers(1, 40, runs))
    return n, s, s


BERNSTEIN_NULLS = {
    "0/1 rows, mean .02": (0.02, lambda rng, runs: zero_one(rng, 0.02, 50, 200, runs)),
    "0/1 rows, mean .3": (0.3, lambda rng, runs: zero_one(rng, 0.3, 50, 200, runs)),
    "0/1 rows, mean .5": (0.5, lambda rng, runs: zero_one(rng, 0.5, 50, 200, runs)),
    "0/1 rows, mean .3, 1,000 looks of 10": (0.3, lambda rng, runs: zero_one(rng, 0.3, 1_000, 10, runs // 4)),
    "beta(.1, .9) rows": (0.1, lambda rng, runs: skewed(rng, 50, 200, runs // 4)),
    "spread that follows the past and the batch": (0.1, lambda rng, runs: wild_days(rng, 50, 200, runs)),
    "sizes that follow the past": (0.3, lambda rng, runs: uneven(rng, 100, runs)),
}


class TestEmpiricalBernstein:
    CLAIM = "empirical Bernstein: P(ever outside) <= .05"

    @pytest.mark.parametrize("null", BERNSTEIN_NULLS)
    def test_at_every_look(self, null):
        """P(the mean is ever outside, over 50 looks and more up to 10,000 rows) <= alpha."""
        mean, draw = BERNSTEIN_NULLS[null]
        sums = draw(np.random.default_rng(101), 4_000)
        low, high = bernstein(*sums)
        check_bernstein(*sums, low, high)
        check_rate(self.CLAIM, null, missed(low, high, mean), ALPHA)

    @pytest.mark.parametrize("null", BERNSTEIN_NULLS)
    def test_what_it_rests_on(self, null):
        """exp(+-sum(lam (x - mean)) - cost), the capital of either bet, has mean at most 1 after 1, 5 and all looks."""
        mean, draw = BERNSTEIN_NULLS[null]
        stakes, weighted, cost = bernstein(*draw(np.random.default_rng(103), 8_000), side="sums")
        gain = (weighted - mean * stakes)[[0, 4, -1]]
        capital = np.exp(np.concatenate([gain, -gain]) - np.tile(cost[[0, 4, -1]], (2, 1)))
        check_mean("empirical Bernstein: E[capital] <= 1", null, capital.T)

    def test_a_quarter_of_the_cost_would_be_found(self):
        """psi_E with its divisor 4 but v without its factor 4: the capital's mean is above 1 after a few rows."""
        x = (np.random.default_rng(104).random((8, 20_000)) < 0.5).astype(float)
        stakes, weighted, cost = (v[-1] for v in bernstein(1, x, x, side="sums"))
        assert log_capital(np.exp(weighted - 0.5 * stakes - cost / 4)) > np.log(1 / RISK)

    @pytest.mark.parametrize("side", ["lower", "upper"])
    @pytest.mark.parametrize("mean", [0.02, 0.5])
    def test_one_side(self, side, mean):
        """With all of alpha on one end, that end is ever wrong in at most alpha of runs."""
        sums = zero_one(np.random.default_rng(102), mean, 50, 200, 4_000)
        low, high = bernstein(*sums, side=side)
        check_bernstein(*sums, low, high, side=side)
        check_rate(self.CLAIM, f"{side} side, 0/1 rows, mean {mean}", missed(low, high, mean), ALPHA)

    def test_harm(self):
        """The lower end is ever above the running mean of changing conditional means in at most alpha of runs."""
        rng, runs, looks, size = np.random.default_rng(105), 4_000, 60, 150
        means = np.where(np.arange(looks) % 2, 0.12, 0.08)[:, None] * np.ones(runs)
        s = rng.binomial(size, means).astype(float)
        low, _ = bernstein(size, s, s, side="lower")
        stakes, _, _ = bernstein(size, s, s, side="sums")
        lam = np.diff(stakes, axis=0, prepend=0)
        harmed = (low > np.cumsum(lam * means, axis=0) / stakes).any(axis=0)
        check_rate(self.CLAIM, "lower side, conditional means .08 and .12", harmed, ALPHA)

    def test_days_that_differ_need_one_value_per_day(self):
        """Day effects break independence within a batch: by rows it misses too often, by daily means not."""
        rng, runs, looks, size = np.random.default_rng(106), 2_000, 100, 200
        day = rng.beta(20, 80, (looks, runs))  # mean .2, standard deviation .04
        s = rng.binomial(size, day).astype(float)
        by_rows = missed(*bernstein(size, s, s), 0.2)
        record(
            "empirical Bernstein: P(ever outside), assumption broken",
            "day effects, by rows",
            by_rows.mean(),
            ALPHA,
            runs,
        )
        assert by_rows.sum() > binom.ppf(1 - RISK, runs, ALPHA)
        x = s / size
        low, high = bernstein(1, x, x * x)
        check_bernstein(1, x, x * x, low, high)
        check_rate(self.CLAIM, "day effects, daily means", missed(low, high, 0.2), ALPHA)


BETTING_NULLS = {
    "0/1, mean .02": (0.02, lambda rng, shape: (rng.random(shape) < 0.02).astype(float)),
    "0/1, mean .3": (0.3, lambda rng, shape: (rng.random(shape) < 0.3).astype(float)),
    "0/1, mean .5": (0.5, lambda rng, shape: (rng.random(shape) < 0.5).astype(float)),
    "beta(.1, .9)": (0.1, lambda rng, shape: rng.beta(0.1, 0.9, shape)),
    "beta(2, 18)": (0.1, lambda rng, shape: rng.beta(2, 18, shape)),
}


class TestBetting:
    """The capitals against the true mean, 200 values long; the grid has it as a candidate."""

    def _log_capital(self, x, mean, log_risk):
        """Log capitals (2, n, runs) of x (n, runs) against the mean from either side."""
        i = np.arange(1, len(x) + 1)[:, None]
        total, squares = (np.cumsum(v, axis=0) - v for v in (x, x * x))
        centre = (0.5 + total) / i
        variance = np.maximum((0.5 + squares) / i - centre**2, 1e-4)
        stake = np.sqrt(2 * log_risk / (variance * i * np.log1p(i)))
        up, down = np.minimum(stake, 0.75 / mean), np.minimum(stake, 0.75 / (1 - mean))
        return np.cumsum([np.log1p(up * (x - mean)), np.log1p(-down * (x - mean))], axis=1)

    @pytest.mark.parametrize("null", BETTING_NULLS)
    def test_at_every_look(self, null):
        """Either capital reaches 2/alpha in at most alpha of runs; each has mean at most 1; both are the class's."""
        mean, draw = BETTING_NULLS[null]
        x = draw(np.random.default_rng(107), (200, 4_000))
        log_k = self._log_capital(x, mean, math.log(2 / ALPHA))
        for run in range(3):
            state = BettingSequence(alpha=ALPHA).update(x[:, run])
            at = round(1_000 * mean)
            assert (state.log_above[at], state.log_below[at]) == pytest.approx(log_k[:, -1, run], abs=1e-9)
        broken = (log_k >= math.log(2 / ALPHA)).any(axis=(0, 1))
        check_rate("betting: P(ever outside) <= .05", f"{null}, 200 looks", broken, ALPHA)
        check_mean("betting: E[capital] <= 1", null, np.exp(log_k[:, [4, 49, 199]].reshape(6, -1).T))

    @pytest.mark.parametrize("side", [0, 1])
    @pytest.mark.parametrize("null", ["0/1, mean .3", "beta(2, 18)"])
    def test_one_side(self, null, side):
        """One capital ever reaches 1/alpha in at most alpha of runs."""
        mean, draw = BETTING_NULLS[null]
        log_k = self._log_capital(draw(np.random.default_rng(108), (200, 4_000)), mean, math.log(1 / ALPHA))[side]
        name = ("lower", "upper")[side]
        broken = (log_k >= math.log(1 / ALPHA)).any(axis=0)
        check_rate("betting: P(ever outside) <= .05", f"{name} side, {null}", broken, ALPHA)

    def test_the_interval_misses_no_more_than_its_capitals(self):
        """A look through the class at each of 100 values: it misses in no run whose capitals stay below 2/alpha."""
        x = np.random.default_rng(109).integers(0, 2, (100, 450)).astype(float)
        log_k = self._log_capital(x, 0.5, math.log(2 / ALPHA))
        near = (log_k >= math.log(2 / ALPHA) - 0.5).any(
            axis=(0, 1)
        )  # others do not miss: these capitals are the class's
        out = np.zeros(450, dtype=bool)
        for run in np.flatnonzero(near):
            state = BettingSequence(alpha=ALPHA)
            for value in x[:, run]:
                state = state.update([value])
                out[run] |= not state.interval().low <= 0.5 <= state.interval().high
        check_rate("betting: P(ever outside) <= .05", "0/1, mean .5, by the class", out, ALPHA)
        assert not (out & ~(log_k >= math.log(2 / ALPHA)).any(axis=(0, 1))).any()

    def test_a_mean_a_little_off_would_be_found(self):
        """Values with mean .33 break the capital's mean against .3: the check has teeth."""
        x = (np.random.default_rng(110).random((200, 4_000)) < 0.33).astype(float)
        log_k = self._log_capital(x, 0.3, math.log(2 / ALPHA))
        assert log_capital(np.exp(log_k[0, -1])) > np.log(1 / RISK)


def asymptotic(n, total, squares, side="both", tight_at=1_000):
    """Ends (looks, runs) of `AsymptoticSequence` from running sums; n (looks, 1)."""
    a = ALPHA if side == "both" else 2 * ALPHA
    twice = -2 * math.log(a)
    r = (twice + math.log1p(twice)) / tight_at
    v, mean = n * r + 1, total / n
    log_term = np.log(np.sqrt(v) / ALPHA) if side == "both" else np.log1p(np.sqrt(v) / a)
    half = np.sqrt(np.maximum(squares / n - mean**2, 0)) * np.sqrt(2 * v / (n**2 * r) * log_term)
    low = np.full_like(mean, -np.inf) if side == "upper" else mean - half
    return low, np.full_like(mean, np.inf) if side == "lower" else mean + half


LOOKS = np.unique(np.geomspace(10, 1_000, 75).astype(int)) * 10
DRAWS = {
    "normal": (0.0, lambda rng, shape: rng.standard_normal(shape)),
    "exponential": (1.0, lambda rng, shape: rng.standard_exponential(shape)),
    "lognormal, sigma 1": (math.exp(0.5), lambda rng, shape: np.exp(rng.standard_normal(shape))),
    "0/1, mean .3": (0.3, lambda rng, shape: (rng.random(shape) < 0.3).astype(float)),
    "0/1, mean .02": (0.02, lambda rng, shape: (rng.random(shape) < 0.02).astype(float)),
}


HOLDS_FROM = {
    "normal": (100, 1_000),
    "exponential": (100, 1_000),
    "lognormal, sigma 1": (1_000,),
    "0/1, mean .3": (100, 1_000),
    "0/1, mean .02": (),
}


class TestAsymptotic:
    """60 looks from 100 to 10,000 values, rounded to tens."""

    def _sums(self, null, runs):
        mean, draw = DRAWS[null]
        rng, total, squares = np.random.default_rng(111), [], []
        for _ in range(runs // 500):
            x = draw(rng, (500, 10_000)).astype(float)
            starts = np.concatenate([[0], LOOKS[:-1]])
            total.append(np.add.reduceat(x, starts, axis=1).cumsum(axis=1).T)
            squares.append(np.add.reduceat(x * x, starts, axis=1).cumsum(axis=1).T)
        first = x[0]
        return mean, first, np.concatenate(total, axis=1), np.concatenate(squares, axis=1)

    @pytest.mark.parametrize("null", DRAWS)
    def test_where_it_holds_and_where_not(self, null):
        """P(ever outside) from the 100th and the 1,000th value on: checked where it is at most alpha, else measured.

        Above alpha: lognormal rows and rare ones, from the 100th value on; rare ones on their upper side later too.
        """
        runs, n = 2_000, LOOKS[:, None].astype(float)
        mean, first, total, squares = self._sums(null, runs)
        for side in ("both", "lower", "upper"):
            low, high = asymptotic(n, total, squares, side)
            state, start, at = AsymptoticSequence(alpha=ALPHA, side=side), 0, runs - 500
            for t, stop in enumerate(LOOKS):
                state, start = state.update(first[start:stop]), stop
                interval = state.interval()
                assert (interval.low, interval.high) == pytest.approx((low[t, at], high[t, at]))
            for least in (100, 1_000):
                looked = np.flatnonzero(least <= LOOKS)
                broken = missed(low[looked], high[looked], mean)
                name = f"{null}, {side}, from n = {least}"
                if least in HOLDS_FROM[null]:
                    check_rate("asymptotic sequence: P(ever outside) <= .05", name, broken, ALPHA)
                else:
                    record(
                        "asymptotic sequence: P(ever outside), n too small to promise .05",
                        name,
                        broken.mean(),
                        ALPHA,
                        runs,
                    )

    def test_rare_ones_do_break_it(self):
        """With shares of .02 the first hundred values say too little: missed in far more than alpha of runs."""
        mean, _, total, squares = self._sums("0/1, mean .02", 1_000)
        low, high = asymptotic(LOOKS[:, None].astype(float), total, squares)
        assert missed(low, high, mean).sum() > binom.ppf(1 - RISK, 1_000, ALPHA)


def test_three_sequences_beside_two_intervals_of_one_look():
    """50 looks, every 200 rows, all on the same 0/1 rows: the sequences keep .05, t and Wilson intervals do not."""
    rng, runs, mean = np.random.default_rng(112), 4_000, 0.3
    size, s, q = zero_one(rng, mean, 50, 200, runs)
    n, total = size * np.arange(1.0, 51)[:, None], s.cumsum(axis=0)
    mixture, score = beta_mixture(total, n, ALPHA), wilson(total, n)
    share = total / n
    half = stdtrit(n - 1, 1 - ALPHA / 2) * np.sqrt(share * (1 - share) / (n - 1))
    first = mean_t(np.arange(size) < total[0, 0])
    assert (first.low, first.high) == pytest.approx(((share - half)[0, 0], (share + half)[0, 0]))
    claim = "ever outside in 50 looks at the same rows"
    for name, low, high in (
        ("beta mixture", mixture.low, mixture.high),
        ("empirical Bernstein", *bernstein(size, s, q)),
        ("asymptotic", *asymptotic(n, total, total)),
    ):
        check_rate(claim, name, missed(low, high, mean), ALPHA)
    for name, low, high in (("Wilson", score.low, score.high), ("t", share - half, share + half)):
        out = missed(low, high, mean)
        record(f"{claim}, made for one look", name, out.mean(), ALPHA, runs)
        assert out.sum() > binom.ppf(1 - RISK, runs, 3 * ALPHA)


SIZES = [(10, 10), (20, 60), (100, 100), (30, 300)]


class TestTwoGroups:
    def _coverage(self, interval_of, truth, n_a, n_b, shares):
        """Exact coverage (shares, shares) of truth(p_a, p_b) by enumerating all pairs of counts."""
        k_a, k_b = np.arange(n_a + 1)[:, None], np.arange(n_b + 1)
        interval = interval_of(k_a, n_a, k_b, n_b)
        of_a, of_b = (binom.pmf(np.arange(n + 1), n, shares[:, None]) for n in (n_a, n_b))
        covered = np.empty((len(shares), len(shares)))
        for i, p_a in enumerate(shares):
            for j, p_b in enumerate(shares):
                hit = (interval.low <= truth(p_a, p_b) + 1e-12) & (truth(p_a, p_b) - 1e-12 <= interval.high)
                covered[i, j] = of_a[i] @ hit @ of_b[j]
        return covered

    @pytest.mark.parametrize(("n_a", "n_b"), SIZES)
    def test_newcombe_by_enumeration(self, n_a, n_b):
        """Of a difference, over shares .02 to .98: near .95 on average, never below .89."""
        covered = self._coverage(newcombe_wilson, lambda a, b: a - b, n_a, n_b, np.linspace(0.02, 0.98, 25))
        sizes = f"n = {n_a} and {n_b}"
        record("Newcombe: coverage, average over pairs of shares, near .95", sizes, covered.mean(), 0.95, covered.size)
        record("Newcombe: coverage of the worst pair of shares", sizes, covered.min(), 0.95, covered.size)
        assert abs(covered.mean() - 0.95) < 0.005
        assert covered.min() > 0.89

    @pytest.mark.parametrize(("n_a", "n_b"), SIZES)
    def test_katz_by_enumeration(self, n_a, n_b):
        """Of a ratio, over shares .1 to .9: .945 to .97 on average, never below .88."""
        covered = self._coverage(katz, lambda a, b: a / b, n_a, n_b, np.linspace(0.1, 0.9, 25))
        sizes = f"n = {n_a} and {n_b}"
        record("Katz: coverage, average over pairs of shares, near .95", sizes, covered.mean(), 0.95, covered.size)
        record("Katz: coverage of the worst pair of shares", sizes, covered.min(), 0.95, covered.size)
        assert 0.945 < covered.mean() < 0.97
        assert covered.min() > 0.88


class TestAucDifference:
    """Two models on the same rows; the truth is the binormal area, ndtr(d / sqrt(2))."""

    CLAIM = "difference of areas: missed <= .06 at .05"

    def _out(self, blocked, *, in_days, runs=2_000):
        """Which runs miss the true difference: 30 days of 10 rows, where a day has its own strength of model a."""
        rng, days = np.random.default_rng(113), np.repeat(np.arange(30), 10)
        spread = 0.8 if in_days else 0.0
        truth = ndtr(1.0 / np.sqrt(2 + spread**2 / 2)) - ndtr(0.7 / np.sqrt(2))
        out = np.zeros(runs, dtype=bool)
        for run in range(runs):
            y = rng.integers(0, 2, 300)
            shared = rng.standard_normal(300)
            strength = 1.0 + spread * rng.standard_normal(30)[days]
            a = strength * (y - 0.5) + (0.6 * shared + 0.8 * rng.standard_normal(300))
            b = 0.7 * (y - 0.5) + (0.6 * shared + 0.8 * rng.standard_normal(300))
            interval = auc_difference(y, a, b, days if blocked else None)
            out[run] = not interval.low <= truth <= interval.high
        return out

    @pytest.mark.parametrize("blocks", [False, True])
    def test_independent_rows(self, blocks):
        """Missed in about .05 of runs, with blocks that mean nothing too."""
        out = self._out(blocks, in_days=False)
        check_rate(self.CLAIM, "300 rows" + ", in 30 blocks that mean nothing" * blocks, out, 0.06)
        assert out.sum() > binom.ppf(RISK, len(out), 0.04)

    def test_days(self):
        """Where days differ in strength, blocks keep about .05; without them it misses far more often."""
        check_rate(self.CLAIM, "30 days that differ", self._out(True, in_days=True), 0.06)
        ignored = self._out(False, in_days=True)
        record("difference of areas: missed, days ignored", "30 days that differ", ignored.mean(), 0.06, len(ignored))
        assert ignored.sum() > binom.ppf(1 - RISK, len(ignored), 0.08)
