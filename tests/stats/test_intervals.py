"""Intervals against second sources (scipy, statsmodels, scikit-learn, brute force) and their algebra."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln
from scipy.stats import beta, binomtest, t
from scipy.stats.contingency import relative_risk
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.tsa.stattools import acf

from mlopskit import formats
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.intervals import (
    AsymptoticSequence,
    BettingSequence,
    EmpiricalBernstein,
    Interval,
    MeanBound,
    auc_clustered,
    auc_difference,
    beta_mixture,
    block_bootstrap,
    clopper_pearson,
    cluster_bootstrap,
    katz,
    mean_t,
    newcombe_wilson,
    upper_mean_bound,
    wilson,
)
from mlopskit.stats.intervals.means import _replicates

Z = 1.959963984540054
shares = [wilson, clopper_pearson, beta_mixture]
counts = st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
values = st.lists(st.floats(-100, 100), min_size=2, max_size=30)


class TestShares:
    @settings(max_examples=40)
    @given(counts.filter(lambda kn: kn[1] > 0), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
    def test_they_agree_with_scipy(self, kn, level):
        """The ends equal scipy's `binomtest(...).proportion_ci`."""
        for interval, method in ((wilson(*kn, level), "wilson"), (clopper_pearson(*kn, level), "exact")):
            expected = binomtest(*kn).proportion_ci(level, method)
            np.testing.assert_allclose((interval.low, interval.high), expected, atol=1e-9)

    @settings(max_examples=20)
    @given(counts.filter(lambda kn: kn[1] > 0))
    def test_they_agree_with_statsmodels(self, kn):
        """The ends equal `proportion_confint`."""
        for interval, method in ((wilson(*kn), "wilson"), (clopper_pearson(*kn), "beta")):
            expected = proportion_confint(*kn, method=method)
            np.testing.assert_allclose((interval.low, interval.high), expected, atol=1e-9)

    def test_tiny_tails_keep_their_precision(self):
        """At delta/(2m) for thousands of statistics the upper end still equals the beta's survival quantile."""
        tail = 1e-12
        interval = clopper_pearson(30, 1000, 1 - 2 * tail)
        expected = beta.ppf(tail, 30, 971), beta.isf(tail, 31, 970)
        np.testing.assert_allclose((interval.low, interval.high), expected, rtol=1e-4)  # 1 - level is rounded

    @pytest.mark.parametrize("interval_of", shares)
    @given(kn=counts)
    def test_the_estimate_lies_inside_the_unit_interval(self, interval_of, kn):
        """0 <= low <= estimate <= high <= 1, and everything is possible without data."""
        interval = interval_of(*kn)
        if kn[1]:
            assert 0 <= interval.low <= interval.estimate == kn[0] / kn[1] <= interval.high <= 1
        else:
            assert np.isnan(interval.estimate)
            assert (interval.low, interval.high) == (0, 1)

    @pytest.mark.parametrize("interval_of", shares)
    @given(kn=counts.filter(lambda kn: kn[1] > 0), factor=st.integers(2, 20))
    def test_more_rows_narrow_the_interval(self, interval_of, kn, factor):
        """The same share of more rows has an interval inside the old one."""
        few, many = interval_of(*kn), interval_of(kn[0] * factor, kn[1] * factor)
        assert few.low <= many.low <= many.high <= few.high

    @pytest.mark.parametrize("interval_of", shares)
    @given(kn=counts)
    def test_counting_failures_mirrors_the_interval(self, interval_of, kn):
        """[l, h] for k of n is [1-h, 1-l] for n-k of n."""
        interval, mirror = interval_of(*kn), interval_of(kn[1] - kn[0], kn[1])
        np.testing.assert_allclose((mirror.low, mirror.high), (1 - interval.high, 1 - interval.low), atol=1e-9)

    @pytest.mark.parametrize("interval_of", shares)
    def test_ends_at_no_and_all_successes_are_exact(self, interval_of):
        """k = 0 gives low = 0 and k = n gives high = 1, not nearly so, and the other end stays open."""
        none, every = interval_of(0, 7), interval_of(7, 7)
        assert (none.low, every.high) == (0.0, 1.0)
        assert 0 < none.high < 1
        assert 0 < every.low < 1

    @pytest.mark.parametrize("interval_of", shares)
    def test_arrays_are_answered_entry_by_entry(self, interval_of):
        """An array of counts gives arrays of ends, equal to the scalars; scalars give floats."""
        k, n = np.array([0, 3, 10, 0]), np.array([5, 10, 10, 0])
        stack = interval_of(k, n)
        for i in range(4):
            alone = interval_of(k[i], n[i])
            assert isinstance(alone.low, float)
            assert (stack.low[i], stack.high[i]) == (alone.low, alone.high)
        assert str(stack).startswith("4 intervals (95%")

    def test_the_confidence_sequence_is_where_the_mixture_stays_below(self):
        """At both ends log e(m) = log(1/alpha), e(m) the beta(1/2, 1/2) mixture over the likelihood of m."""
        s, n, alpha = 12.5, 40, 0.1
        interval = beta_mixture(s, n, alpha)
        for m in (interval.low, interval.high):
            log_e = betaln(0.5 + s, 0.5 + n - s) - betaln(0.5, 0.5) - s * np.log(m) - (n - s) * np.log1p(-m)
            assert log_e == pytest.approx(-np.log(alpha), abs=1e-9)
        assert interval.level == 0.9

    @given(counts.filter(lambda kn: kn[1] > 0))
    def test_looking_all_the_time_costs_width(self, kn):
        """The confidence sequence contains the exact interval of a single look at the same level."""
        exact, sequence = clopper_pearson(*kn), beta_mixture(*kn)
        assert sequence.low <= exact.low + 1e-12
        assert sequence.high >= exact.high - 1e-12

    def test_huge_counts_are_no_trouble(self):
        """A trillion rows give a narrow interval around the share."""
        for interval_of in shares:
            interval = interval_of(3 * 10**11, 10**12)
            assert interval.low < 0.3 < interval.high
            assert interval.high - interval.low < 1e-4

    @pytest.mark.parametrize("interval_of", shares)
    @pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 2), (np.nan, 2), (1, np.nan), (1, np.inf), (1, 2.5), (1, 1e14)])
    def test_impossible_counts_are_refused(self, interval_of, k, n):
        """Not 0 <= k <= n, no whole number of rows, or more rows than floats have digits for."""
        with pytest.raises(DataError, match="whole number n"):
            interval_of(k, n)

    @pytest.mark.parametrize("interval_of", [wilson, clopper_pearson])
    def test_scores_are_no_counts(self, interval_of):
        """A sum of scores is refused where only 0/1 outcomes give a valid interval."""
        with pytest.raises(DataError, match="whole numbers of successes"):
            interval_of(2.5, 5)

    @pytest.mark.parametrize("interval_of", shares)
    @pytest.mark.parametrize("level", [0.0, 1.0, -1, np.nan])
    def test_a_level_is_a_probability(self, interval_of, level):
        """0, 1, and NaN are no levels."""
        with pytest.raises(ConfigurationError, match="between 0 and 1"):
            interval_of(1, 2, level)


two_groups = [newcombe_wilson, katz]
pairs = st.tuples(counts, counts).map(lambda pair: pair[0] + pair[1])
full_pairs = pairs.filter(lambda p: p[1] > 0 and p[3] > 0)


class TestTwoGroups:
    @settings(max_examples=60)
    @given(full_pairs, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
    def test_differences_agree_with_statsmodels(self, counts, level):
        """The ends equal `confint_proportions_2indep(..., method="newcomb", compare="diff")`."""
        expected = confint_proportions_2indep(*counts, method="newcomb", compare="diff", alpha=1 - level)
        interval = newcombe_wilson(*counts, level)
        np.testing.assert_allclose((interval.low, interval.high), expected, atol=1e-9)
        assert interval.estimate == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])

    @pytest.mark.parametrize(
        ("counts", "low", "high"),
        [
            ((56, 70, 48, 80), 0.0524, 0.3339),
            ((9, 10, 3, 10), 0.1705, 0.8090),
            ((6, 7, 2, 7), 0.0582, 0.8062),
            ((5, 56, 0, 29), -0.0381, 0.1926),
            ((0, 10, 0, 20), -0.1611, 0.2775),
            ((0, 10, 0, 10), -0.2775, 0.2775),
            ((10, 10, 0, 20), 0.6791, 1.0000),
            ((10, 10, 0, 10), 0.6075, 1.0000),
        ],
    )
    def test_newcombes_own_examples(self, counts, low, high):
        """Newcombe (1998), table II, contrasts (a) to (h), method 10."""
        interval = newcombe_wilson(*counts)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=5.1e-5)

    @settings(max_examples=60)
    @given(full_pairs.filter(lambda p: p[0] > 0 and p[2] > 0), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
    def test_ratios_agree_with_scipy_and_statsmodels(self, counts, level):
        """The ends equal those of `relative_risk` and `confint_proportions_2indep(..., compare="ratio")`."""
        interval, result = katz(*counts, level), relative_risk(*counts)
        assert interval.estimate == pytest.approx(result.relative_risk)
        if counts[0] < counts[1] or counts[2] < counts[3]:
            expected = result.confidence_interval(level)
            np.testing.assert_allclose((interval.low, interval.high), expected, rtol=1e-9)
            expected = confint_proportions_2indep(*counts, method="log", compare="ratio", alpha=1 - level)
            np.testing.assert_allclose((interval.low, interval.high), expected, rtol=1e-9)

    def test_a_failure_in_a_trillion_keeps_its_digits(self):
        """1/k - 1/n cancels where k is near n: the width is sqrt of the sum of failures/(k*n), in whole numbers."""
        n, (a, b) = 10**12, (3, 1)
        interval = katz(n - a, n, n - b, n)
        half = Z * float(Fraction(a, (n - a) * n) + Fraction(b, (n - b) * n)) ** 0.5
        assert interval.high - interval.low == pytest.approx(2 * half, rel=1e-3)

    def test_two_shares_of_one_are_not_certain(self):
        """All of 10 against all of 40, where the formula gives width 0: the ends of `binomtest(...)`, exact."""
        interval = katz(10, 10, 40, 40)
        low, high = (binomtest(n, n).proportion_ci(0.95, "exact").low for n in (10, 40))
        assert (interval.estimate, interval.low, interval.high) == pytest.approx((1, low, 1 / high))

    def test_ratios_without_successes(self):
        """None in a: 0, none in b: infinite, none at all: unknown; everything is possible in each."""
        for counts, ratio in (
            ((0, 5, 2, 5), 0.0),
            ((2, 5, 0, 5), np.inf),
            ((0, 5, 0, 5), np.nan),
            ((0, 0, 2, 5), np.nan),
        ):
            interval = katz(*counts)
            np.testing.assert_equal((interval.estimate, interval.low, interval.high), (ratio, 0.0, np.inf))

    def test_an_empty_group_leaves_everything_possible(self):
        """No trials on either side: the difference is NaN in [-1, 1]."""
        for counts in ((0, 0, 2, 5), (2, 5, 0, 0), (0, 0, 0, 0)):
            interval = newcombe_wilson(*counts)
            np.testing.assert_equal((interval.estimate, interval.low, interval.high), (np.nan, -1.0, 1.0))
            assert interval.n == counts[1] + counts[3]

    @pytest.mark.parametrize("interval_of", two_groups)
    @given(counts=full_pairs)
    def test_the_estimate_lies_inside(self, interval_of, counts):
        """low <= estimate <= high, for every pair of counts that has an estimate."""
        interval = interval_of(*counts)
        if not np.isnan(interval.estimate):
            assert interval.low <= interval.estimate <= interval.high
        assert (interval.n, interval.guarantee) == (counts[1] + counts[3], "fixed")

    @given(full_pairs)
    def test_swapping_the_groups_mirrors(self, counts):
        """b - a is [-high, -low] of a - b; b/a is [1/high, 1/low] of a/b; counting failures turns a difference too."""
        swapped = counts[2:] + counts[:2]
        here, there = newcombe_wilson(*counts), newcombe_wilson(*swapped)
        np.testing.assert_allclose((there.low, there.high), (-here.high, -here.low), atol=1e-12)
        k_a, n_a, k_b, n_b = counts
        failures = newcombe_wilson(n_a - k_a, n_a, n_b - k_b, n_b)
        np.testing.assert_allclose((failures.low, failures.high), (-here.high, -here.low), atol=1e-9)
        here, there = katz(*counts), katz(*swapped)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose((there.low, there.high), 1 / np.array([here.high, here.low]), rtol=1e-9)

    @pytest.mark.parametrize("interval_of", two_groups)
    def test_arrays_are_answered_entry_by_entry(self, interval_of):
        """Arrays and scalars that broadcast give arrays of ends, equal to the scalars' floats."""
        k_a, n_a = np.array([0, 3, 10, 0]), np.array([5, 10, 10, 0])
        stack = interval_of(k_a, n_a, 8, 8)
        for i in range(4):
            alone = interval_of(k_a[i], n_a[i], 8, 8)
            assert isinstance(alone.low, float)
            np.testing.assert_equal((stack.low[i], stack.high[i], stack.n[i]), (alone.low, alone.high, alone.n))

    @pytest.mark.parametrize("interval_of", two_groups)
    def test_impossible_counts_and_levels_are_refused(self, interval_of):
        """More successes than trials, parts of successes and levels that are none, on either side."""
        for counts in ((3, 2, 1, 2), (1, 2, 3, 2), (1, 2, -1, 2), (np.nan, 2, 1, 2)):
            with pytest.raises(DataError, match="0 <= k <= n"):
                interval_of(*counts)
        with pytest.raises(DataError, match="whole numbers of successes"):
            interval_of(1, 2, 1.5, 2)
        with pytest.raises(ConfigurationError, match="between 0 and 1"):
            interval_of(1, 2, 1, 2, 1.0)


class TestMeanT:
    @given(values, st.sampled_from([0.5, 0.95, 0.99]))
    def test_it_agrees_with_scipy(self, x, level):
        """The ends equal `scipy.stats.t.interval`."""
        interval = mean_t(x, level)
        if np.ptp(x) > 1e-6:
            error = np.std(x, ddof=1) / np.sqrt(len(x))
            expected = t.interval(level, len(x) - 1, loc=np.mean(x), scale=error)
            np.testing.assert_allclose((interval.low, interval.high), expected, atol=1e-8)
        assert interval.low <= interval.estimate <= interval.high

    def test_degenerate_samples(self):
        """Nothing, one value, equal values."""
        nothing, one, equal = mean_t([]), mean_t([3.0]), mean_t([0.1, 0.1, 0.1])
        assert np.isnan(nothing.estimate)
        assert (one.estimate, one.low, one.high) == (3.0, -np.inf, np.inf)
        assert equal.low == equal.high == pytest.approx(0.1)
        assert (nothing.n, one.n, equal.n) == (0, 1, 3)


class TestUpperMeanBound:
    @given(st.lists(st.floats(-100, 100), min_size=4, max_size=40).filter(lambda x: np.ptp(x) > 1e-3))
    def test_the_measured_autocorrelation_agrees_with_statsmodels(self, x):
        """`autocorrelation` is lag 1 of statsmodels' acf; the one allowed for is its bias-corrected, clipped form."""
        bound = upper_mean_bound(x)
        assert bound.autocorrelation == pytest.approx(acf(x, nlags=1, fft=False)[1], abs=1e-9)
        corrected = (len(x) * bound.autocorrelation + 1) / (len(x) - 3)
        assert bound.rho == pytest.approx(np.clip(corrected, 0, 0.9))

    def test_without_autocorrelation_it_is_the_t_bound(self):
        """Where rho is clipped to 0 the bound is scipy's one-sided t bound."""
        x = np.tile([0.1, 0.3], 12)
        bound = upper_mean_bound(x)
        assert bound.rho == 0
        assert bound.upper == pytest.approx(t.interval(0.9, 23, loc=0.2, scale=np.std(x, ddof=1) / np.sqrt(24))[1])

    def test_autocorrelation_widens_it(self):
        """The same numbers in runs give a higher bound than alternating, and a level nearer 1 a higher one still."""
        alternating, runs = np.tile([0.1, 0.3], 12), np.repeat([0.1, 0.3, 0.1, 0.3], 6)
        assert upper_mean_bound(runs).value == pytest.approx(upper_mean_bound(alternating).value)
        assert upper_mean_bound(runs).upper > upper_mean_bound(alternating).upper
        assert upper_mean_bound(runs, 0.99).upper > upper_mean_bound(runs, 0.95).upper

    @given(
        st.lists(st.floats(-10, 10), min_size=4, max_size=30).filter(lambda x: np.ptp(x) > 1e-2),
        st.floats(0.1, 10),
        st.floats(-10, 10),
    )
    def test_origin_and_unit_move_along(self, x, scale, origin):
        """The bound of a*x + b is a*bound + b, and lies at or above the mean."""
        bound, moved = upper_mean_bound(x), upper_mean_bound(scale * np.array(x) + origin)
        assert bound.upper >= bound.value
        assert moved.upper == pytest.approx(scale * bound.upper + origin, rel=1e-6, abs=1e-6)

    def test_a_trend_is_allowed_for_up_to_the_cap(self):
        """A pure trend has rho clipped to .9 and is worth no fewer than three batches."""
        bound = upper_mean_bound(np.arange(20.0))
        assert bound.rho == 0.9
        assert bound.upper > 19 / 2 + t.ppf(0.95, 19) * np.std(np.arange(20.0), ddof=1) / np.sqrt(20)
        assert np.isfinite(bound.upper)

    def test_degenerate_series(self):
        """Fewer than four batches bound nothing; equal batches have no spread."""
        for n in range(4):
            bound = upper_mean_bound(np.arange(n, dtype=float))
            assert bound.upper == np.inf
            assert np.isnan(bound.autocorrelation)
        equal = upper_mean_bound([0.1] * 6)
        assert (equal.upper, equal.autocorrelation, equal.n) == (equal.value, 0.0, 6)

    def test_it_survives_json(self):
        """Bounds and intervals are read back as they were written, infinities included."""
        for value, cls in ((upper_mean_bound([1, 2]), MeanBound), (mean_t([1.0]), Interval), (wilson(3, 9), Interval)):
            assert formats.to_json(formats.from_json(formats.to_json(value), cls)) == formats.to_json(value)
        stack = wilson([0, 1], [0, 5])
        assert formats.from_json(formats.to_json(stack), Interval) == stack


class TestBlockBootstrap:
    def test_blocks_of_one_are_the_ordinary_bootstrap(self):
        """The standard error of the replicates is that of the mean: the 95% interval is about 1.96 of them wide."""
        x = np.random.default_rng(0).normal(size=400)
        interval = block_bootstrap(x, block=1)
        assert interval.high - interval.low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.1)
        assert interval.estimate == x.mean()

    def test_blocks_keep_the_autocorrelation(self):
        """On runs of equal values, blocks widen the interval that single values make too narrow."""
        x = np.repeat(np.random.default_rng(1).normal(size=40), 10)
        single, blocks = block_bootstrap(x, block=1), block_bootstrap(x, block=20)
        assert blocks.high - blocks.low > 2 * (single.high - single.low)

    def test_one_block_of_everything_has_no_spread_in_the_mean(self):
        """A circular block as long as the series is the series, rotated."""
        interval = block_bootstrap([1.0, 2.0, 4.0, 9.0], block=4)
        assert interval.low == interval.high == pytest.approx(4.0)

    def test_two_values_are_two_blocks(self):
        """By default no block is the whole series, which would leave no doubt about two different values."""
        interval = block_bootstrap([1.0, 2.0])
        assert (interval.low, interval.high) == (1.0, 2.0)
        assert [block_bootstrap(np.arange(n)).method[16:-1] for n in (2, 3, 8, 9, 27)] == ["1", "2", "2", "3", "3"]

    def test_any_statistic_of_the_last_axis(self):
        """The median by name or as a function; a function gets whole replicates."""
        x = np.random.default_rng(2).exponential(size=101)
        by_name = block_bootstrap(x, "median", block=3)
        own = block_bootstrap(x, lambda rows, axis=-1: np.median(rows, axis=axis), block=3)
        assert (own.low, own.high, own.estimate) == (by_name.low, by_name.high, np.median(x))

    @settings(max_examples=40)
    @given(st.lists(st.floats(-100, 100), min_size=2, max_size=40), st.data())
    def test_means_without_drawing_values_are_the_same_means(self, x, data):
        """From sums of blocks each replicate's mean is that of its values, the same blocks drawn; any block length."""
        x, length = np.array(x), data.draw(st.integers(1, len(x)))
        by_sums, by_values = (
            _replicates(x, reduce, length, np.random.Generator(np.random.Philox(key=1)))
            for reduce in (np.mean, lambda values, axis: np.mean(values, axis=axis))
        )
        np.testing.assert_allclose(by_sums, by_values, atol=1e-10)

    @pytest.mark.parametrize(("n", "block"), [(30, None), (365, 7), (5_000, None)])
    def test_the_interval_of_a_mean_is_that_of_the_general_path(self, n, block):
        """ "mean" and a function that draws the values and averages them give the same ends, far from 0 too."""
        x = 1e6 + np.random.default_rng(6).normal(size=n)
        fast = block_bootstrap(x, block=block, seed=3)
        general = block_bootstrap(x, lambda values, axis: np.mean(values, axis=axis), block=block, seed=3)
        np.testing.assert_allclose((fast.low, fast.high), (general.low, general.high), atol=1e-7)
        assert (fast.estimate, fast.method, fast.n) == (general.estimate, general.method, n)

    def test_the_seed_decides(self):
        """The same seed gives the same interval, another seed another."""
        x = np.random.default_rng(3).normal(size=50)
        assert block_bootstrap(x, seed=4) == block_bootstrap(x, seed=4)
        assert block_bootstrap(x, seed=4) != block_bootstrap(x, seed=5)

    def test_long_series_are_done_in_parts(self):
        """Replicates that do not fit in memory at once are drawn in parts, all 2,000 of them."""
        x = np.random.default_rng(5).normal(size=3_000)
        interval = block_bootstrap(x, block=1)
        assert interval.high - interval.low == pytest.approx(2 * 1.96 * x.std() / np.sqrt(3_000), rel=0.1)

    def test_degenerate_series(self):
        """Nothing, one value and equal values."""
        assert np.isnan(block_bootstrap([]).estimate)
        assert block_bootstrap([2.0]).high == np.inf
        assert block_bootstrap([2.0, 2.0, 2.0]).high == 2.0

    @pytest.mark.parametrize("options", [{"block": 0}, {"block": 4}, {"seed": -1}, {"level": 1.0}])
    def test_options_out_of_range_are_refused(self, options):
        """Block lengths outside 1..n, negative seeds and levels that are none."""
        with pytest.raises(ConfigurationError, match="expected"):
            block_bootstrap([1.0, 2.0, 3.0], **options)

    def test_an_unknown_statistic_is_refused(self):
        """The message lists the known names."""
        with pytest.raises(ConfigurationError, match="mean"):
            block_bootstrap([1.0, 2.0], "mode")


NO_NUMBERS = {
    "text": ["a", "b"],
    "text that looks like numbers": ["0", "1"],
    "text as pandas has it": pd.Series(["0", "1"]),
    "text among numbers": np.array([0, "1"], dtype=object),
    "days": pd.date_range("2024-01-01", periods=2),
    "dates": [date(2024, 1, 1), date(2024, 1, 2)],
    "times": np.array([1, 2], dtype="timedelta64[s]"),
    "complex numbers": [1j, 0],
    "unequal lengths": [[1], [0, 1]],
    "a table": {"x": 1},
    "beyond floats": [10**400, 0],
    "missing ones": pd.array([1, None], dtype="Int64"),
    "missing objects": [None, 1],
}
TAKES_NUMBERS = {
    "mean_t": mean_t,
    "upper_mean_bound": upper_mean_bound,
    "block_bootstrap": block_bootstrap,
    "wilson": lambda x: wilson(x, 3),
    "beta_mixture": lambda x: beta_mixture(0, x),
    "katz": lambda x: katz(1, 2, x, 2),
    "labels": lambda x: auc_clustered(x, [0.1, 0.2]),
    "scores": lambda x: auc_difference([0, 1], [0.1, 0.2], x),
    "bernstein": lambda x: EmpiricalBernstein().update(x),
    "betting": lambda x: BettingSequence().update(x),
    "asymptotic": lambda x: AsymptoticSequence().update(x),
}


@pytest.mark.parametrize("taker", TAKES_NUMBERS)
@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_is_no_number_is_refused(taker, kind):
    """Text, dates, missing values and ragged lists raise a DataError; none is read as a number it resembles."""
    with pytest.raises(DataError, match="expected"):
        TAKES_NUMBERS[taker](NO_NUMBERS[kind])


@pytest.mark.parametrize("taker", TAKES_NUMBERS)
def test_numbers_of_any_kind_are_the_same_numbers(taker):
    """Whole, true, decimal, nullable and Arrow numbers give what floats give."""
    plain = repr(TAKES_NUMBERS[taker](np.array([0.0, 1.0])))
    kinds = [[0, 1], [False, True], [Decimal(0), Decimal(1)], np.array([0, 1], dtype=np.uint8), np.float16([0, 1])]
    for same in (*kinds, *(pd.array([0, 1], dtype=kind) for kind in ("Int64", "boolean", "double[pyarrow]"))):
        assert repr(TAKES_NUMBERS[taker](same)) == plain


@pytest.mark.parametrize("interval_of", [mean_t, upper_mean_bound, block_bootstrap])
@pytest.mark.parametrize("bad", [[1.0, np.nan], [np.inf, 1.0], [[1.0, 2.0]], 3.0])
def test_series_must_be_finite_and_flat(interval_of, bad):
    """NaN, infinities and other shapes raise instead of spreading."""
    with pytest.raises(DataError, match="finite values"):
        interval_of(bad)


def _delong(y, score):
    """DeLong's variance from all pairs."""
    pos, neg = score[y == 1][:, None], score[y == 0][None, :]
    psi = (pos > neg) + 0.5 * (pos == neg)
    return psi.mean(), psi.mean(1).var(ddof=1) / len(pos) + psi.mean(0).var(ddof=1) / neg.shape[1]


def _width(interval):
    """The standard error that an interval on the logit scale stands for."""
    logit = np.log(interval.high / (1 - interval.high)) - np.log(interval.low / (1 - interval.low))
    return logit / 2 / 1.959963984540054 * interval.estimate * (1 - interval.estimate)


class TestAuc:
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=6, max_size=40))
    def test_it_agrees_with_scikit_learn_and_with_all_pairs(self, rows):
        """The area is roc_auc_score's, ties included; the standard error is DeLong's from all pairs."""
        y, score = np.array(rows, dtype=float).T
        if 2 <= y.sum() <= len(y) - 2:
            interval = auc_clustered(y, score)
            area, variance = _delong(y, score)
            assert interval.estimate == pytest.approx(roc_auc_score(y, score))
            assert interval.low <= interval.estimate <= interval.high
            if 0 < area < 1 and variance > 0:
                assert _width(interval) == pytest.approx(np.sqrt(variance), rel=1e-6)

    @given(st.lists(st.tuples(st.booleans(), st.integers(-6, 6)), min_size=6, max_size=30))
    def test_only_the_order_of_scores_matters_and_classes_mirror(self, rows):
        """exp(score) gives the same interval; swapping the classes gives 1 - area and mirrored ends."""
        y, score = np.array(rows, dtype=float).T
        interval, mirror = auc_clustered(y, score), auc_clustered(1 - y, score)
        assert auc_clustered(y, np.exp(score)) == interval
        expected = (1 - interval.estimate, 1 - interval.high, 1 - interval.low)
        np.testing.assert_allclose((mirror.estimate, mirror.low, mirror.high), expected, atol=1e-9)

    def test_blocks_of_single_rows_are_no_blocks(self):
        """Own block for each row: the same ends as without blocks, whatever the blocks are called."""
        rng = np.random.default_rng(0)
        y, score = rng.integers(0, 2, 60), rng.normal(size=60)
        plain, named = auc_clustered(y, score), auc_clustered(y, score, [f"row {i}" for i in range(60)])
        np.testing.assert_allclose((named.low, named.high), (plain.low, plain.high))

    def test_obuchowski_from_all_pairs(self):
        """The clustered standard error equals Obuchowski's formula written with loops over blocks."""
        rng = np.random.default_rng(1)
        block = rng.integers(0, 12, 90)
        y, score = rng.integers(0, 2, 90), rng.normal(size=90) + 0.4 * block / 12
        pos, neg = score[y == 1], score[y == 0]
        psi = (pos[:, None] > neg[None, :]).astype(float)
        area, s10, s01, s11 = psi.mean(), 0.0, 0.0, 0.0
        for b in range(12):
            up = (psi.mean(1)[block[y == 1] == b] - area).sum()
            down = (psi.mean(0)[block[y == 0] == b] - area).sum()
            s10, s01, s11 = s10 + up**2, s01 + down**2, s11 + up * down
        m, n = len(pos), len(neg)
        variance = 12 / 11 * (s10 / m**2 + s01 / n**2 + 2 * s11 / (m * n))
        interval = auc_clustered(y, score, block)
        assert interval.n == 12
        assert _width(interval) == pytest.approx(np.sqrt(variance))

    def test_copied_rows_add_no_certainty_when_blocks_say_so(self):
        """Ten copies of each row: without blocks the interval shrinks, with the copies in a block it does not."""
        rng = np.random.default_rng(2)
        y, score = rng.integers(0, 2, 50), rng.normal(size=50)
        once = auc_clustered(y, score)
        tenfold = np.repeat(y, 10), np.repeat(score, 10)
        naive, blocked = auc_clustered(*tenfold), auc_clustered(*tenfold, np.repeat(np.arange(50), 10))
        assert _width(naive) < 0.4 * _width(once)
        assert _width(blocked) == pytest.approx(_width(once), rel=0.02)

    def test_a_perfect_ranking_is_not_certain(self):
        """At an area of 1 the low end is the exact one for min(positives, negatives) pairs of separate blocks."""
        interval = auc_clustered([0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.8, 0.9])
        assert (interval.estimate, interval.high) == (1.0, 1.0)
        assert interval.low == pytest.approx(binomtest(2, 2).proportion_ci(0.95, "exact").low)
        worst = auc_clustered([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9])
        assert (worst.estimate, worst.low) == (0.0, 0.0)
        assert worst.high == pytest.approx(1 - interval.low)

    def test_degenerate_rankings(self):
        """One class, no rows, a class in one block only, a constant score."""
        for y in ([1, 1], [0, 0], []):
            missing = auc_clustered(y, np.zeros(len(y)))
            assert np.isnan(missing.estimate)
            assert (missing.low, missing.high) == (0.0, 1.0)
        lone = auc_clustered([1, 0, 0, 0], [0.5, 0.4, 0.6, 0.3])
        assert (lone.low, lone.high) == (0.0, 1.0)
        constant = auc_clustered([0, 1, 0, 1], [0.5] * 4)
        assert (constant.low, constant.estimate, constant.high) == (0.5, 0.5, 0.5)

    def test_few_blocks_never_give_a_negative_variance(self):
        """Three blocks whose errors cancel exactly: the covariance is left out, or the width would be 0."""
        y = [1, 0, 0, 0, 1, 1, 1, 0]
        score = [6.0, 1.0, 4.0, 0.0, 7.0, 5.0, 2.0, 3.0]
        interval = auc_clustered(y, score, [0, 1, 0, 1, 1, 2, 1, 2])
        assert interval.estimate == 0.875
        assert _width(interval) == pytest.approx(np.sqrt(0.017578125))  # S10/m + S01/n, by hand

    def test_impossible_input_is_refused(self):
        """Shapes that differ, labels that are none and NaN scores raise."""
        for y, score, block in (([0, 1], [0.1], None), ([0, 1], [0.1, 0.2], [1]), ([[0, 1]], [[0.1, 0.2]], None)):
            with pytest.raises(DataError, match="one shape"):
                auc_clustered(y, score, block)
        for y, score in (([0, 2], [0.1, 0.2]), ([0, 1], [0.1, np.nan]), ([0, np.nan], [0.1, 0.2])):
            with pytest.raises(DataError, match="labels 0 or 1"):
                auc_clustered(y, score)
        with pytest.raises(ConfigurationError, match="level"):
            auc_clustered([0, 1], [0.1, 0.2], level=2.0)


def _paired_variance(y, a, b):
    """DeLong's variance of a difference of areas from all pairs: structural components of both, their covariance."""
    psi = [(s[y == 1][:, None] > s[y == 0]) + 0.5 * (s[y == 1][:, None] == s[y == 0]) for s in (a, b)]
    s10, s01 = (np.cov([p.mean(axis) for p in psi]) for axis in (1, 0))
    s = s10 / (y == 1).sum() + s01 / (y == 0).sum()
    return psi[0].mean() - psi[1].mean(), s[0, 0] + s[1, 1] - 2 * s[0, 1]


class TestAucDifference:
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 8)), min_size=6, max_size=40))
    def test_it_agrees_with_scikit_learn_and_with_all_pairs(self, rows):
        """roc_auc_score of a less that of b, ties included; DeLong's variance with the covariance of the two."""
        y, a, b = np.array(rows, dtype=float).T
        if 2 <= y.sum() <= len(y) - 2:
            interval = auc_difference(y, a, b)
            difference, variance = _paired_variance(y, a, b)
            assert interval.estimate == pytest.approx(roc_auc_score(y, a) - roc_auc_score(y, b), abs=1e-12)
            assert -1 <= interval.low <= interval.estimate <= interval.high <= 1
            if variance > 1e-9:
                expected = np.clip(difference + Z * np.sqrt(variance) * np.array([-1, 1]), -1, 1)
                np.testing.assert_allclose((interval.low, interval.high), expected, atol=1e-9)

    @given(st.lists(st.tuples(st.booleans(), st.integers(-6, 6), st.integers(-6, 6)), min_size=6, max_size=30))
    def test_only_orders_matter_and_models_and_classes_mirror(self, rows):
        """exp(score) changes nothing; b - a mirrors a - b, and so does swapping the classes."""
        y, a, b = np.array(rows, dtype=float).T
        interval = auc_difference(y, a, b)
        assert auc_difference(y, np.exp(a), b / 7) == interval
        for mirror in (auc_difference(y, b, a), auc_difference(1 - y, a, b)):
            expected = (-interval.estimate, -interval.high, -interval.low)
            np.testing.assert_allclose((mirror.estimate, mirror.low, mirror.high), expected, atol=1e-9)

    @pytest.mark.parametrize("ties", [False, True])
    def test_obuchowski_from_all_pairs(self, ties):
        """In blocks, S10, S01 and S11 of the differences written with loops over blocks and all pairs."""
        rng = np.random.default_rng(4)
        block, y = rng.integers(0, 15, 120), rng.integers(0, 2, 120)
        day = rng.normal(size=15)[block]
        a, b = y + rng.normal(size=120) + day, 0.5 * y + rng.normal(size=120) + day
        a, b = (np.round(s) if ties else s for s in (a, b))
        psi = 0.0
        for s, sign in ((a, 1), (b, -1)):
            up, down = s[y == 1][:, None], s[y == 0][None, :]
            psi = psi + sign * ((up > down) + 0.5 * (up == down))
        difference, (m, n) = psi.mean(), psi.shape
        s10 = s01 = s11 = 0.0
        for k in range(15):
            up = (psi.mean(1)[block[y == 1] == k] - difference).sum()
            down = (psi.mean(0)[block[y == 0] == k] - difference).sum()
            s10, s01, s11 = s10 + up**2, s01 + down**2, s11 + up * down
        half = Z * np.sqrt(15 / 14 * (s10 / m**2 + s01 / n**2 + 2 * s11 / (m * n)))
        interval = auc_difference(y, a, b, block)
        assert (interval.n, interval.method) == (15, "obuchowski")
        assert (interval.estimate, interval.low, interval.high) == pytest.approx(
            (difference, difference - half, difference + half)
        )

    def test_what_two_models_share_cancels(self):
        """Two scores that differ by a little noise: the interval is far narrower than of independent areas."""
        rng = np.random.default_rng(5)
        y = rng.integers(0, 2, 400)
        a = y + rng.normal(size=400)
        paired, one = auc_difference(y, a, a + 0.1 * rng.normal(size=400)), auc_clustered(y, a)
        assert paired.high - paired.low < 0.3 * (one.high - one.low)

    def test_equal_placements_have_no_width(self):
        """The same score, another unit of it, and one that swaps two neighbours of one class: 0 without doubt."""
        y, a = [0, 1, 0, 0, 1, 1], np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
        for b in (a, 10 * a - 3, np.exp(a), a[[0, 1, 3, 2, 4, 5]]):
            interval = auc_difference(y, a, b)
            assert (interval.estimate, interval.low, interval.high) == (0, 0, 0)

    def test_perfect_rankings_are_not_certain(self):
        """An area of 1 against .5, 0 or another order's 1: the rows agree, yet the ends are those of the two areas."""
        y, perfect = [0, 0, 1, 1], [1, 2, 3, 4]
        low = auc_clustered(y, perfect).low
        assert low == pytest.approx(binomtest(2, 2).proportion_ci(0.95, "exact").low)
        half = auc_difference(y, perfect, [1, 1, 1, 1])
        assert (half.estimate, half.low, half.high) == pytest.approx((0.5, low - 0.5, 0.5))
        worst = auc_difference(y, perfect, [4, 3, 2, 1])
        assert (worst.estimate, worst.low, worst.high) == pytest.approx((1, 1 - np.sqrt(2) * (1 - low), 1))
        same = auc_difference(y, perfect, [1, 2, 3, 5])
        assert (same.estimate, same.low, same.high) == (0, 0, 0)
        other = auc_difference(y, perfect, [2, 1, 3, 4])
        assert (other.estimate, other.low, other.high) == pytest.approx((0, low - 1, 1 - low))

    def test_degenerate_rankings(self):
        """One class, no rows, a class in one block only."""
        for y in ([1, 1], [0, 0], []):
            missing = auc_difference(y, np.zeros(len(y)), np.ones(len(y)))
            np.testing.assert_equal((missing.estimate, missing.low, missing.high), (np.nan, -1.0, 1.0))
        lone = auc_difference([1, 0, 0, 0], [0.5, 0.4, 0.6, 0.3], [0.5, 0.6, 0.4, 0.3])
        assert (lone.low, lone.high) == (-1.0, 1.0)
        together = auc_difference([1, 0, 1, 0], [4, 1, 2, 3], [1, 4, 2, 3], ["d", "d", "d", "d"])
        assert (together.low, together.high, together.n) == (-1.0, 1.0, 1)

    def test_impossible_input_is_refused(self):
        """The message names the function: shapes, labels, NaN in either score, levels."""
        for a, b in (([0.1], [0.1, 0.2]), ([0.1, 0.2], [0.1])):
            with pytest.raises(DataError, match=r"auc_difference: .* one shape"):
                auc_difference([0, 1], a, b)
        for a, b in (([0.1, np.nan], [0.1, 0.2]), ([0.1, 0.2], [np.nan, 0.2])):
            with pytest.raises(DataError, match=r"auc_difference: .* without NaN"):
                auc_difference([0, 1], a, b)
        with pytest.raises(ConfigurationError, match="auc_difference: level"):
            auc_difference([0, 1], [0.1, 0.2], [0.1, 0.2], level=0.0)


@pytest.mark.parametrize("interval_of", [wilson, clopper_pearson])
def test_one_look_or_all_of_them(interval_of):
    """An interval says whether its level holds for one look or for all, and keeps saying so in JSON."""
    once, always = interval_of(3, 10), beta_mixture(3, 10)
    assert (once.guarantee, always.guarantee) == ("fixed", "anytime")
    assert formats.from_json(formats.to_json(always), Interval) == always


def test_intervals_written_before_they_named_a_guarantee_are_read():
    """Without the field an interval is taken to hold for one look, the weakest that was ever promised."""
    text = formats.to_json(wilson(3, 10))
    assert formats.from_json(text.replace('"guarantee":"fixed",', ""), Interval) == wilson(3, 10)
    assert "guarantee" in text


def test_an_interval_prints_as_an_answer():
    """Estimate, ends, level, n and method in one line."""
    assert str(wilson(8, 10)) == "0.8 [0.4902, 0.9433] (95%, n=10, wilson)"
    assert str(wilson(8, 10, 0.999)).endswith("(99.9%, n=10, wilson)")


def test_cluster_bootstrap_has_about_the_width_of_the_t_interval():
    """Second source: the t interval over the means of 80 equal blocks; a score no resample has gives no bounds."""
    rng = np.random.default_rng(0)
    blocks = np.repeat(np.arange(80), 5)
    values = rng.normal(size=80)[blocks] + rng.normal(size=400)
    boot = cluster_bootstrap(lambda rows: float(values[rows].mean()), blocks, n_resamples=2_000)
    exact = mean_t(values.reshape(80, 5).mean(axis=1))
    assert boot.estimate == pytest.approx(exact.estimate)
    assert 0.85 < (boot.high - boot.low) / (exact.high - exact.low) < 1.15

    def never(rows):
        raise DataError("one class")

    assert cluster_bootstrap(never, blocks).low == -np.inf


def test_blocks_of_a_bootstrap_may_have_any_keys():
    """Days, names and numbers with gaps are the blocks they name; without rows everything is possible."""
    values = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])

    def mean(rows):
        return float(values[rows].mean())

    codes = np.array([0, 0, 1, 1, 2, 2])
    expected = cluster_bootstrap(mean, codes)
    assert expected.n == 3
    for keys in (
        10 * codes,
        pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-09"])[codes],
        np.array(["a", "b", "c"])[codes],
    ):
        assert cluster_bootstrap(mean, keys) == expected
    nothing = cluster_bootstrap(mean, [])
    assert np.isnan(nothing.estimate)
    assert (nothing.low, nothing.high, nothing.n) == (-np.inf, np.inf, 0)


@pytest.mark.parametrize("options", [{"level": 1.0}, {"n_resamples": 0}, {"seed": -1}])
def test_options_of_a_bootstrap_of_blocks(options):
    """Levels that are none, no resamples and negative seeds are refused."""
    with pytest.raises(ConfigurationError, match="cluster_bootstrap"):
        cluster_bootstrap(lambda rows: 0.0, [0, 1], **options)


@pytest.mark.parametrize("block", [[0, 0, np.nan, 1], pd.to_datetime(["2024-01-01"] * 3 + [None]), ["a", "b", None, 1]])
def test_a_row_without_a_block_is_refused(block):
    """NaN, NaT and None would be a block of their own, or none."""
    y, score = [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4]
    calls = (
        lambda: auc_clustered(y, score, block),
        lambda: auc_difference(y, score, score, block),
        lambda: cluster_bootstrap(lambda rows: 0.0, block),
    )
    for call in calls:
        with pytest.raises(DataError, match="one block for each row"):
            call()
