"""Confidence sequences against plain loops over rows, their algebra, their dials and what they decide by hand."""

import math

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.special import betaln, ndtr, xlog1py, xlogy

from mlopskit import formats
from mlopskit.errors import ConfigurationError, DataError, FormatError, StateMismatch
from mlopskit.stats.intervals import AsymptoticSequence, BettingSequence, EmpiricalBernstein, Interval, beta_mixture
from mlopskit.stats.intervals.sequences import BURN_IN, N_CANDIDATES

ALL = [EmpiricalBernstein, BettingSequence, AsymptoticSequence]
BOUNDED = [EmpiricalBernstein, BettingSequence]
units = st.lists(st.floats(0, 1), min_size=1, max_size=60)
batches = st.lists(st.lists(st.floats(0, 1), max_size=12), max_size=8)


def after(state, parts):
    """The state after batches, one by one."""
    for part in parts:
        state = state.update(part)
    return state


def ends(state):
    interval = state.interval()
    return np.array([interval.low, interval.high])


def draws(seed=0, n=150):
    return np.random.default_rng(seed).beta(2, 6, n)


class TestBetaMixture:
    @given(st.integers(1, 5_000), st.floats(0, 1), st.sampled_from([1e-9, 0.05, 0.5, 0.999]))
    def test_ends_agree_with_root_finding(self, n, share, alpha):
        """Both ends are the roots that `scipy.optimize.brentq` finds, on either side of the mean."""
        s = n * share
        interval = beta_mixture(s, n, alpha)

        def above(m):
            return betaln(s + 0.5, n - s + 0.5) - betaln(0.5, 0.5) - xlogy(s, m) - xlog1py(n - s, -m) + math.log(alpha)

        low = brentq(above, 1e-300, share, xtol=1e-15) if above(1e-300) > 0 else 0.0
        high = brentq(above, share, 1 - 1e-16, xtol=1e-15) if above(1 - 1e-16) > 0 else 1.0
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-10)


class TestEmpiricalBernstein:
    @settings(max_examples=60)
    @given(batches, st.sampled_from(["both", "lower", "upper"]))
    def test_it_agrees_with_a_loop_over_rows(self, parts, side):
        """Theorem 2 of Waudby-Smith and Ramdas row by row: v = 4 (x - c)^2, psi_E = (-log(1 - lam) - lam)/4."""
        log_risk = math.log((2 if side == "both" else 1) / 0.1)
        seen, stakes, weighted, cost = [], 0.0, 0.0, 0.0
        for part in filter(None, parts):
            centre = (0.5 + sum(seen)) / (len(seen) + 1)
            variance = max((0.5 + sum(v * v for v in seen)) / (len(seen) + 1) - centre**2, 1e-4)
            rows = len(seen) + len(part)
            lam = min(math.sqrt(2 * log_risk / (variance * rows * math.log(1 + rows))), 0.75)
            for x in part:
                stakes, weighted = stakes + lam, weighted + lam * x
                cost += 4 * (x - centre) ** 2 * (-math.log(1 - lam) - lam) / 4
            seen += part
        interval = after(EmpiricalBernstein(alpha=0.1, side=side), parts).interval()
        if not seen:
            assert (interval.low, interval.high, interval.n) == (0, 1, 0)
            return
        mean, half = sum(seen) / len(seen), (log_risk + cost) / stakes
        low = 0.0 if side == "upper" else max(min(weighted / stakes - half, mean), 0.0)
        high = 1.0 if side == "lower" else min(max(weighted / stakes + half, mean), 1.0)
        assert (interval.estimate, interval.low, interval.high) == pytest.approx((mean, low, high), abs=1e-9)
        assert (interval.n, interval.level, interval.guarantee) == (len(seen), 0.9, "anytime")

    @settings(max_examples=60)
    @given(units, st.sampled_from([(0.0, 1.0), (-3.0, 5.0), (2.0, 2.5), (100.0, 101.0)]))
    def test_three_sums_are_enough(self, values, limits):
        """`update_sums` of (n, sum, sum of squares) gives the interval of `update`, on any scale."""
        lower, upper = limits
        x = np.minimum(lower + (upper - lower) * np.array(values), upper)
        state = EmpiricalBernstein(lower=lower, upper=upper)
        sums = state.update_sums(len(x), x.sum(), x @ x)
        np.testing.assert_allclose(ends(sums), ends(state.update(x)), atol=1e-6 * (upper - lower))

    def test_sums_far_from_zero_never_narrow_the_interval(self):
        """In [1e6, 1e6 + 1] squares lose four digits: the interval from sums contains the one from the values."""
        x = 1e6 + np.random.default_rng(0).random(2_000)
        state, near = EmpiricalBernstein(lower=1e6, upper=1e6 + 1), EmpiricalBernstein()
        exact, sums = ends(state.update(x)), ends(state.update_sums(len(x), x.sum(), x @ x))
        assert sums[0] <= exact[0] + 1e-9
        assert sums[1] >= exact[1] - 1e-9
        assert np.diff(sums)[0] < 2 * np.diff(exact)[0]
        np.testing.assert_allclose(exact - 1e6, ends(near.update(x - 1e6)), atol=1e-8)

    @pytest.mark.parametrize(
        "sums",
        [
            (-1, 0.0, 0.0),
            (2.5, 1.0, 1.0),
            (0, 1.0, 1.0),
            (0, math.nan, math.nan),
            (10, -0.1, 0.0),
            (10, 10.1, 10.0),
            (10, 5.0, 2.4),  # less than the square of the mean allows
            (10, 5.0, 5.1),  # more than 0/1 values have
            (10, math.nan, 5.0),
            (10, 5.0, math.nan),
            (10, math.inf, math.inf),
            (math.inf, 5.0, 5.0),
            (math.nan, 5.0, 5.0),
        ],
    )
    def test_sums_that_no_values_have_are_refused(self, sums):
        """Counts that are none, sums outside n times the range, squares too small or too large for them."""
        with pytest.raises(DataError, match="values in"):
            EmpiricalBernstein().update_sums(*sums)

    def test_sums_at_the_very_edge_are_taken(self):
        """All at 0, all at 1, half and half, and rounding a hair beyond; the mean stays inside the range."""
        for n, total, squares in ((7, 0, 0), (7, 7, 7), (8, 4, 4), (8, 4, 2), (10, 10 + 1e-12, 10 + 1e-12)):
            interval = EmpiricalBernstein().update_sums(n, total, squares).interval()
            assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
        assert EmpiricalBernstein().update_sums(10, -1e-12, 0).interval().estimate == 0

    def test_no_rows_change_nothing(self):
        """An empty batch, as values or as sums, leaves the state as it was."""
        state = EmpiricalBernstein().update(draws())
        assert state.update([]) == state.update_sums(0, 0.0, 0.0) == state

    def test_where_the_spread_is_small_it_is_narrow(self):
        """Its width falls with the spread of the values, where that of 0/1 values is kept by the beta mixture."""
        rng = np.random.default_rng(1)
        wide, narrow = (np.diff(ends(after(EmpiricalBernstein(), np.split(x, 10))))[0] for x in (
            rng.integers(0, 2, 5_000).astype(float), rng.uniform(0.45, 0.55, 5_000)
        ))  # fmt: skip
        assert narrow < wide / 5


class TestBetting:
    @settings(max_examples=25, deadline=None)
    @given(units, st.sampled_from(["both", "lower", "upper"]))
    def test_it_agrees_with_a_loop_over_rows_and_candidates(self, values, side):
        """The hedged capital of Waudby-Smith and Ramdas, theorem 3, value by value for every candidate mean."""
        log_risk = math.log((2 if side == "both" else 1) / 0.2)
        log_above, log_below = [0.0] * (N_CANDIDATES + 1), [0.0] * (N_CANDIDATES + 1)
        total = squares = 0.0
        for i, x in enumerate(values, start=1):
            centre = (0.5 + total) / i
            stake = math.sqrt(2 * log_risk / (max((0.5 + squares) / i - centre**2, 1e-4) * i * math.log(1 + i)))
            for j in range(N_CANDIDATES + 1):
                m = j / N_CANDIDATES
                up = min(stake, 0.75 / m) if m > 0 else stake
                down = min(stake, 0.75 / (1 - m)) if m < 1 else stake
                log_above[j] += math.log(1 + up * (x - m))
                log_below[j] += math.log(1 - down * (x - m))
            total, squares = total + x, squares + x * x
        state = BettingSequence(alpha=0.2, side=side).update(values)
        np.testing.assert_allclose(state.log_above, log_above, atol=1e-9)
        np.testing.assert_allclose(state.log_below, log_below, atol=1e-9)
        mean = total / len(values)
        refuted = [j / N_CANDIDATES for j in range(N_CANDIDATES + 1) if log_above[j] >= log_risk]
        low = 0.0 if side == "upper" else min(max(refuted, default=0.0), mean)
        refuted = [j / N_CANDIDATES for j in range(N_CANDIDATES + 1) if log_below[j] >= log_risk]
        high = 1.0 if side == "lower" else max(min(refuted, default=1.0), mean)
        interval = state.interval()
        assert (interval.estimate, interval.low, interval.high) == pytest.approx((mean, low, high), abs=1e-9)

    @settings(max_examples=25, deadline=None)
    @given(units)
    def test_capital_falls_with_the_candidate(self, values):
        """K+ never rises in m and K- never falls: what is left is one interval, and the grid's ends are right."""
        state = BettingSequence().update(values)
        assert (np.diff(state.log_above) <= 1e-9).all()
        assert (np.diff(state.log_below) >= -1e-9).all()
        assert state.log_above[-1] <= 0
        assert state.log_below[0] <= 0

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.floats(0, 1), max_size=300), st.data())
    def test_rows_may_come_in_any_portions(self, values, data):
        """Split anywhere, the state is the same to the last bit, beyond the 64 rows done at once too."""
        cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
        whole = BettingSequence().update(values)
        assert after(BettingSequence(), np.split(np.array(values), cuts)) == whole

    @pytest.mark.parametrize("n", [10, 20, 50, 100])
    @pytest.mark.parametrize("shape", [(2, 18), (10, 30), (1, 1)])
    def test_it_is_the_narrowest_on_few_values(self, shape, n):
        """On 10 to 100 values that are not 0/1, fed one by one: narrower than the other two bounded sequences."""
        x = np.random.default_rng(2).beta(*shape, n)
        mixture = beta_mixture(x.sum(), n)
        width = np.diff(ends(BettingSequence().update(x)))[0]
        assert width < 0.85 * np.diff(ends(after(EmpiricalBernstein(), x[:, None])))[0]
        assert width < 0.85 * (mixture.high - mixture.low)

    def test_ends_are_rounded_outwards(self):
        """The ends are candidates, refuted ones, so that the true border lies inside by less than a step."""
        interval = BettingSequence().update(draws()).interval()
        for end in (interval.low, interval.high):
            assert end * N_CANDIDATES == pytest.approx(round(end * N_CANDIDATES), abs=1e-9)


class TestAsymptotic:
    def test_the_border_of_theorem_2_2(self):
        """The half width is sd * sqrt(2(n rho^2 + 1)/(n^2 rho^2) * log(sqrt(n rho^2 + 1)/alpha))."""
        x = np.random.default_rng(3).normal(5, 2, 700)
        interval = AsymptoticSequence(alpha=0.1, tight_at=500).update(x).interval()
        rho2 = (-2 * np.log(0.1) + np.log(-2 * np.log(0.1) + 1)) / 500
        v = 700 * rho2 + 1
        half = x.std() * np.sqrt(2 * v / (700**2 * rho2) * np.log(np.sqrt(v) / 0.1))
        assert (interval.low, interval.high) == pytest.approx((x.mean() - half, x.mean() + half))
        assert (interval.guarantee, interval.level, interval.n) == ("asymptotic", 0.9, 700)

    @pytest.mark.parametrize(("side", "cost"), [("both", 1.01), ("lower", 1.03)])
    @pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
    def test_it_is_narrowest_near_tight_at(self, side, cost, alpha):
        """At `tight_at` values no other choice of `tight_at` is narrower by more than 1% (one side: 3%)."""
        x = np.tile([0.0, 1.0], 1_000)

        def width(tight_at):
            interval = AsymptoticSequence(alpha=alpha, side=side, tight_at=tight_at).update(x).interval()
            return interval.estimate - interval.low

        best = minimize_scalar(lambda log_n: width(math.exp(log_n)), bounds=(math.log(100), math.log(1e5)))
        assert width(2_000) <= cost * best.fun

    @pytest.mark.parametrize("n", [100, 1_000, 20_000])
    def test_one_side_is_the_half_normal_mixture_or_a_hair_wider(self, n):
        """At its border the mixture 2/sqrt(v) exp(s^2 r/(2v)) Phi(s sqrt(r/v)) has reached 1/alpha, within 3 times."""
        x = np.tile([-1.0, 1.0], n // 2)
        state = AsymptoticSequence(side="lower").update(x)
        s, log_inverse = -n * state.interval().low, -2 * math.log(0.1)
        r = (log_inverse + math.log1p(log_inverse)) / 1_000
        v = n * r + 1
        mixture = 2 / math.sqrt(v) * math.exp(s * s * r / (2 * v)) * ndtr(s * math.sqrt(r / v))
        assert 1 / 0.05 <= mixture < 3 / 0.05

    def test_it_says_nothing_before_a_hundred_values(self):
        """Everything is possible up to 99 values; the 100th gives an interval."""
        state = AsymptoticSequence().update(draws(n=BURN_IN - 1))
        assert (state.interval().low, state.interval().high) == (-math.inf, math.inf)
        assert state.interval().estimate == pytest.approx(draws(n=BURN_IN - 1).mean())
        assert np.isfinite(ends(state.update([0.5]))).all()

    @settings(max_examples=40)
    @given(batches)
    def test_batches_are_pooled(self, parts):
        """However values are split, mean and ends are numpy's of all values to rounding."""
        parts = [*parts, list(draws())]
        x = np.concatenate([np.array(p, dtype=float) for p in parts])
        split, whole = after(AsymptoticSequence(), parts).interval(), AsymptoticSequence().update(x).interval()
        assert (split.estimate, split.low, split.high) == pytest.approx((x.mean(), whole.low, whole.high))

    def test_squares_beyond_floats_leave_everything_possible(self):
        """Values around 1e200 have no finite variance in floats: the interval is infinite, not wrong."""
        interval = AsymptoticSequence().update(np.tile([1e200, -1e200], 100)).interval()
        assert (interval.low, interval.high) == (-math.inf, math.inf)

    @pytest.mark.parametrize("alpha", [0.5, 0.7, 0.99])
    @pytest.mark.parametrize("side", ["both", "lower", "upper"])
    def test_large_alphas_still_give_intervals(self, alpha, side):
        """Where log(alpha) turns the choice of r around it is kept at the one for 1/2."""
        interval = AsymptoticSequence(alpha=alpha, side=side).update(draws()).interval()
        assert interval.low < interval.estimate < interval.high

    def test_waiting_less_than_the_burn_in_is_refused(self):
        """It cannot be narrowest where it says nothing."""
        with pytest.raises(ConfigurationError, match="at least 100"):
            AsymptoticSequence(tight_at=99)


class TestAll:
    @pytest.mark.parametrize("kind", ALL)
    @settings(max_examples=30, deadline=None)
    @given(parts=batches, side=st.sampled_from(["both", "lower", "upper"]), alpha=st.sampled_from([0.01, 0.3, 0.95]))
    def test_the_estimate_lies_inside(self, kind, parts, side, alpha):
        """low <= mean <= high, inside the range where there is one, for any alpha."""
        state = after(kind(alpha=alpha, side=side), parts)
        interval = state.interval()
        if interval.n:
            assert interval.low <= interval.estimate <= interval.high
        else:
            assert np.isnan(interval.estimate)
        if kind in BOUNDED:
            assert 0 <= interval.low <= interval.high <= 1
        assert interval.n == sum(map(len, parts))
        assert interval.level == 1 - alpha

    @pytest.mark.parametrize("kind", ALL)
    @settings(max_examples=30, deadline=None)
    @given(parts=batches, data=st.data())
    def test_reading_back_between_batches_changes_nothing(self, kind, parts, data):
        """Written and read back anywhere in the stream, the state goes on to the same bits."""
        cut = data.draw(st.integers(0, len(parts)))
        parts = [draws(), *parts]
        half = after(kind(side="lower"), parts[:cut])
        read = formats.from_json(formats.to_json(half), kind)
        assert read == half
        assert formats.to_json(after(read, parts[cut:])) == formats.to_json(after(half, parts[cut:]))
        interval = half.interval()
        assert formats.from_json(formats.to_json(interval), Interval) == interval

    @pytest.mark.parametrize("kind", BOUNDED)
    @settings(max_examples=30, deadline=None)
    @given(parts=batches.filter(any), limits=st.tuples(st.floats(-100, 100), st.floats(0.1, 100)))
    def test_range_and_values_move_together(self, kind, parts, limits):
        """a + b*x with the range [a, a + b] has the interval a + b*[low, high]; nothing leaves the range."""
        lower, width = limits
        upper = lower + width
        moved = after(
            kind(lower=lower, upper=upper), [np.clip(lower + width * np.array(p), lower, upper) for p in parts]
        )
        here, there = after(kind(), parts).interval(), moved.interval()
        step = 1.01 / N_CANDIDATES if kind is BettingSequence else 1e-6  # a candidate on the border may fall either way
        expected = lower + width * np.array([here.low, here.high])
        np.testing.assert_allclose([there.low, there.high], expected, atol=width * step)
        assert lower <= there.low <= there.estimate <= there.high <= upper

    def test_origin_and_unit_move_along_without_a_range(self):
        """The asymptotic interval of a + b*x is a + b*[low, high]."""
        x = draws()
        np.testing.assert_allclose(
            ends(AsymptoticSequence().update(7 - 3 * x)), 7 - 3 * ends(AsymptoticSequence().update(x))[::-1]
        )

    @pytest.mark.parametrize("kind", BOUNDED)
    @settings(max_examples=30, deadline=None)
    @given(parts=batches.filter(any))
    def test_counting_from_the_other_end_mirrors(self, kind, parts):
        """1 - x has the interval [1 - high, 1 - low], and one side becomes the other."""
        other = [1 - np.array(p) for p in parts]
        step = 1.01 / N_CANDIDATES if kind is BettingSequence else 1e-9
        for side, mirrored in (("both", "both"), ("lower", "upper"), ("upper", "lower")):
            here, there = ends(after(kind(side=side), parts)), ends(after(kind(side=mirrored), other))
            np.testing.assert_allclose(there, 1 - here[::-1], atol=step)

    @pytest.mark.parametrize("kind", ALL)
    def test_one_side_spends_alpha_on_one_end(self, kind):
        """The end that is asked for is nearer to the mean, the other one is the range's (or infinite)."""
        both, lower, upper = (kind(side=side).update(draws()).interval() for side in ("both", "lower", "upper"))
        bottom, top = (0.0, 1.0) if kind in BOUNDED else (-math.inf, math.inf)
        assert both.low < lower.low < both.estimate
        assert both.estimate < upper.high < both.high
        assert (lower.high, upper.low) == (top, bottom)

    @pytest.mark.parametrize("kind", BOUNDED)
    def test_one_side_at_alpha_is_an_end_of_both_at_twice_alpha(self, kind):
        """log(1/alpha) = log(2/(2 alpha)): the one end is that of two sides at twice the risk."""
        both, lower = kind(alpha=0.1).update(draws()).interval(), kind(alpha=0.05, side="lower").update(draws())
        assert lower.interval().low == pytest.approx(both.low, abs=1e-12)

    @pytest.mark.parametrize("kind", ALL)
    def test_less_risk_is_wider(self, kind):
        """The interval at alpha .01 contains the one at .1."""
        strict, lax = (ends(kind(alpha=alpha).update(draws())) for alpha in (0.01, 0.1))
        assert strict[0] <= lax[0] < lax[1] <= strict[1]

    @pytest.mark.parametrize("kind", ALL)
    def test_it_shrinks(self, kind):
        """Ten times the values in ten batches give a narrower interval."""
        state = kind().update(draws())
        assert np.diff(ends(after(state, np.split(draws(1, 1_500), 10)))) < np.diff(ends(state))

    @pytest.mark.parametrize("kind", BOUNDED)
    def test_no_rows_and_one(self, kind):
        """Before any value the whole range; after one the value inside, an open interval around it."""
        nothing = kind(lower=-1, upper=3).update([]).interval()
        assert np.isnan(nothing.estimate)
        assert (nothing.low, nothing.high, nothing.n) == (-1, 3, 0)
        one = kind().update([0.25]).interval()
        assert (one.estimate, one.n) == (0.25, 1)
        assert one.high - one.low > 0.9

    @pytest.mark.parametrize("kind", BOUNDED)
    @pytest.mark.parametrize("value", [0.0, 1.0, 0.5])
    def test_constants_are_not_certain(self, kind, value):
        """Two hundred equal values: the interval has them at an end or inside, and keeps a width."""
        interval = after(kind(), np.full((20, 10), value)).interval()
        assert interval.low <= interval.estimate == value <= interval.high
        assert 0.005 < interval.high - interval.low < 0.3
        if value in (0.0, 1.0):
            assert value in (interval.low, interval.high)

    def test_constants_without_a_range_have_no_width(self):
        """From the 100th value on equal values give width 0: read n beside it."""
        interval = AsymptoticSequence().update(np.full(100, 2.5)).interval()
        assert interval.low == interval.high == 2.5

    def test_asymptotic_without_rows(self):
        """Nothing and one value: NaN or the value, and everything possible."""
        nothing, one = AsymptoticSequence().update([]).interval(), AsymptoticSequence().update([3.0]).interval()
        assert np.isnan(nothing.estimate)
        assert (one.estimate, one.low, one.high, one.n) == (3.0, -math.inf, math.inf, 1)

    @pytest.mark.parametrize("kind", ALL)
    @pytest.mark.parametrize("bad", [[0.5, math.nan], [math.inf], [[0.1], [0.2]], 0.5])
    def test_values_must_be_finite_and_flat(self, kind, bad):
        """NaN, infinities and other shapes raise instead of spreading."""
        with pytest.raises(DataError, match="values of shape"):
            kind().update(bad)

    @pytest.mark.parametrize("kind", BOUNDED)
    @pytest.mark.parametrize("bad", [[-1e-9], [0.5, 1.5]])
    def test_values_outside_the_range_are_refused(self, kind, bad):
        """A value beyond the range voids the promise, so it is not clipped."""
        with pytest.raises(DataError, match=r"\[0, 1\]"):
            kind().update(bad)

    @pytest.mark.parametrize("kind", ALL)
    @pytest.mark.parametrize("dials", [{"alpha": 0.0}, {"alpha": 1.0}, {"alpha": math.nan}, {"side": "left"}])
    def test_dials_out_of_range_are_refused(self, kind, dials):
        """alpha is a probability between 0 and 1, and there are two sides."""
        with pytest.raises(ConfigurationError, match=f"{kind.__name__}: {next(iter(dials))}"):
            kind(**dials)

    @pytest.mark.parametrize("kind", BOUNDED)
    @pytest.mark.parametrize("limits", [(1, 1), (2, 1), (-math.inf, 1), (0, math.inf), (math.nan, 1), (-1e308, 1e308)])
    def test_a_range_has_a_finite_width(self, kind, limits):
        """lower < upper, both finite, and so their difference."""
        with pytest.raises(ConfigurationError, match="finite lower < upper"):
            kind(lower=limits[0], upper=limits[1])

    @pytest.mark.parametrize("kind", ALL)
    def test_dials_may_not_be_turned(self, kind):
        """After the start another alpha, side, range or `tight_at` is refused, in memory and in JSON."""
        state = kind().update(draws())
        turned = {"alpha": 0.1, "side": "lower"} | (
            {"lower": -1.0, "upper": 2.0} if kind in BOUNDED else {"tight_at": 200}
        )
        for name, value in turned.items():
            with pytest.raises(StateMismatch, match="dials were turned"):
                attrs.evolve(state, **{name: value})
        with pytest.raises((StateMismatch, FormatError)):
            formats.from_json(formats.to_json(state).replace('"alpha":0.05', '"alpha":0.06'), kind)

    @pytest.mark.parametrize("kind", ALL)
    def test_numpy_numbers_are_numbers(self, kind):
        """A dial computed by numpy is the same dial, also after it was written and read back."""
        state = kind(alpha=np.float64(0.05)).update(draws())
        assert state == kind(alpha=0.05).update(draws())
        assert formats.from_json(formats.to_json(state), kind) == state

    @pytest.mark.parametrize("kind", ALL)
    def test_states_do_not_grow(self, kind):
        """After fifty batches the written state is as long as after one, give or take digits."""
        one = kind().update(draws())
        many = after(one, np.split(draws(1, 1_000), 50))
        assert len(formats.to_json(many)) < len(formats.to_json(one)) + 100
        for array in (v for v in attrs.asdict(many, recurse=False).values() if isinstance(v, np.ndarray)):
            assert array.base is None  # a view would keep the bets of all rows
