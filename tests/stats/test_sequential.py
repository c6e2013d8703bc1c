"""The algebra of e-values and ranks, and exact enumeration of what they promise in small worlds."""

import itertools
import json

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, ndtr
from scipy.stats import binom, binomtest, false_discovery_control, hypergeom, multivariate_hypergeom, norm

from mlopskit import formats
from mlopskit.errors import ConfigurationError, DataError, StateMismatch
from mlopskit.stats.sequential import (
    LOG_STAKE_WEIGHTS,
    RankBets,
    batches_to_detect,
    e_benjamini_hochberg,
    log_bounded_mean,
    log_cusum,
    log_gap_bets,
    log_mean_bets,
    log_mean_exp,
    log_share_tilts,
    log_shiryaev_roberts,
    log_tilts,
    reference_band,
    shifted_share,
    smoothed_rank,
)

log_e_values = st.lists(st.floats(-5, 5), min_size=1, max_size=8)
numbers = st.floats(-20, 20)


def _expectation(probability, log_e):
    return (np.asarray(probability)[:, None] * np.exp(log_e)).sum(axis=0)


class TestProcesses:
    @given(log_e_values)
    def test_shiryaev_roberts_is_the_sum_over_all_starts(self, log_e):
        """M_t = sum over starts v of e_v * ... * e_t."""
        log_m = -np.inf
        for value in log_e:
            log_m = log_shiryaev_roberts(log_m, value)
        expected = sum(np.exp(sum(log_e[start:])) for start in range(len(log_e)))
        assert np.exp(log_m) == pytest.approx(expected)

    @given(log_e_values)
    def test_cusum_is_the_largest_product_over_all_starts(self, log_e):
        """C_t = max over starts v of e_v * ... * e_t."""
        log_c = 0.0
        for value in log_e:
            log_c = log_cusum(log_c, value)
        assert log_c == pytest.approx(max(sum(log_e[start:]) for start in range(len(log_e))))

    @given(numbers, numbers, st.floats(0, 5))
    def test_more_evidence_never_lowers_a_process(self, log_m, log_e, more):
        """Both processes are monotone in the past and in the batch."""
        for step in (log_shiryaev_roberts, log_cusum):
            assert step(log_m, log_e + more) >= step(log_m, log_e)
            assert step(log_m + more, log_e) >= step(log_m, log_e)

    @given(numbers, numbers)
    def test_cusum_never_exceeds_shiryaev_roberts(self, log_m, log_e):
        """The largest product is at most the sum of all, from any common state."""
        assert log_cusum(log_m, log_e) <= log_shiryaev_roberts(log_m, log_e)

    def test_an_e_value_of_zero_starts_a_process_again(self):
        """After e = 0 nothing of the past is left, and the next batch counts as the first."""
        for step, start in ((log_shiryaev_roberts, -np.inf), (log_cusum, 0.0)):
            lost = step(step(start, 3.0), -np.inf)
            assert step(lost, 0.7) == step(start, 0.7)

    def test_processes_are_vectorised(self):
        """A stack of questions moves as each would alone."""
        log_m, log_e = np.array([[-np.inf, 1.0], [0.3, 2.0]]), np.array([0.5, -0.5])
        for step in (log_shiryaev_roberts, log_cusum):
            together = step(log_m, log_e)
            assert together.shape == (2, 2)
            assert together[1, 1] == step(log_m[1, 1], log_e[1])

    @pytest.mark.parametrize("step", [log_shiryaev_roberts, log_cusum])
    def test_nan_is_refused(self, step):
        """A NaN would stay in the process for ever."""
        with pytest.raises(DataError, match="NaN"):
            step(0.0, [0.1, np.nan])


class TestBoundedMean:
    def test_it_is_the_binomial_likelihood_ratio(self):
        """For 0/1 scores log e equals scipy's binomial log-likelihood ratio of q against the end of the band."""
        log_e = log_bounded_mean(40, 25, 0.4, 0.5)
        for sign, edge, part in ((1, 0.5, log_e[:4]), (-1, 0.4, log_e[4:])):
            q = np.sin(np.arcsin(np.sqrt(edge)) + sign * np.array([0.025, 0.05, 0.1, 0.2]) / 2) ** 2
            np.testing.assert_allclose(part, binom.logpmf(25, 40, q) - binom.logpmf(25, 40, edge))

    @pytest.mark.parametrize("edge", [0.001, 0.03, 0.5, 0.9, 0.999])
    def test_its_expectation_is_one_at_the_edge_of_the_band(self, edge):
        """At the hardest null (every row at the edge) E[e] = 1 for living atoms, by enumeration of the binomial."""
        s = np.arange(31)
        log_e = log_bounded_mean(30, s, edge, edge)
        np.testing.assert_allclose(_expectation(binom.pmf(s, 30, edge), log_e), 1.0, atol=1e-9)

    @given(
        st.lists(st.sampled_from([0.0, 0.1, 0.4, 0.7, 1.0]), min_size=2, max_size=7),
        st.floats(0, 0.1),
        st.sampled_from([0.0, 0.5]),
    )
    def test_rows_of_unequal_means_stay_in_control(self, means, slack, softness):
        """E[e] <= 1 for independent rows of unequal means, 0/1 or three-valued, when their average is in the band."""
        step = 0.5  # scores 0, .5, 1: the middle one takes `softness` of the smaller tail
        distribution = np.array([1.0])
        for mean in means:
            soft = softness * min(mean, 1 - mean)
            distribution = np.convolve(distribution, [1 - mean - soft / 2, soft, mean - soft / 2])
        s, average = step * np.arange(len(distribution)), np.mean(means)
        log_e = log_bounded_mean(len(means), s, max(average - slack, 0), min(average + slack, 1))
        assert (_expectation(distribution, log_e) <= 1 + 1e-9).all()

    @given(st.integers(1, 50), st.integers(1, 50), st.floats(0, 1), st.floats(0, 1))
    def test_batches_of_one_kind_add(self, n1, n2, f1, f2):
        """log e of two batches is the log e of all their rows at once."""
        apart = log_bounded_mean([n1, n2], [f1 * n1, f2 * n2], 0.3, 0.6).sum(axis=0)
        np.testing.assert_allclose(log_bounded_mean(n1 + n2, f1 * n1 + f2 * n2, 0.3, 0.6), apart, atol=1e-9)

    @given(st.integers(0, 60), st.floats(0, 1), st.floats(0.01, 0.5), st.floats(0, 0.4))
    def test_swapping_success_and_failure_swaps_the_sides(self, n, share, low, width):
        """(n, s, [l, h]) up is (n, n-s, [1-h, 1-l]) down."""
        s, high = share * n, low + width
        swapped = log_bounded_mean(n, n - s, 1 - high, 1 - low)
        np.testing.assert_allclose(log_bounded_mean(n, s, low, high)[:4], swapped[4:], rtol=1e-5, atol=1e-6)

    def test_dead_ends_say_nothing(self):
        """A band that ends at 0 or 1, an empty batch: log e = 0, no warning."""
        assert (log_bounded_mean(10, 10, 0.0, 1.0) == 0).all()
        assert (log_bounded_mean(0, 0, 0.3, 0.6) == 0).all()
        assert (log_bounded_mean(10, 4, 0.0, 0.5)[4:] == 0).all()
        assert (log_bounded_mean(10, 4, 1 - 1e-13, 1 - 1e-13)[:4] == 0).all()

    def test_a_sum_may_miss_its_range_by_rounding_only(self):
        """1000 scores whose sum rounds to 1000 + 1e-10 are taken as 1000; 1001 is refused."""
        np.testing.assert_array_equal(
            log_bounded_mean(1000, 1000 + 1e-10, 0.2, 0.5), log_bounded_mean(1000, 1000, 0.2, 0.5)
        )

    @pytest.mark.parametrize(
        ("n", "s", "low", "high"),
        [
            (10, 11, 0.2, 0.5),
            (10, -1, 0.2, 0.5),
            (10, np.nan, 0.2, 0.5),
            (-1, 0, 0.2, 0.5),
            (10, 5, 0.6, 0.5),
            (10, 5, -0.1, 0.5),
            (10, 5, 0.2, 1.1),
            (10, 5, np.nan, 0.5),
        ],
    )
    def test_impossible_input_is_refused(self, n, s, low, high):
        """Sums outside [0, n] and bands that are none raise."""
        with pytest.raises(DataError, match="log_bounded_mean"):
            log_bounded_mean(n, s, low, high)


def _batches(pool, n):
    """Every batch of n rows from a pool of counts, with its probability without replacement."""
    batches = [b for b in itertools.product(*(range(c + 1) for c in pool)) if sum(b) == n]
    return np.array(batches), np.array([multivariate_hypergeom.pmf(b, pool, n) for b in batches])


counts = st.lists(st.integers(0, 30), min_size=2, max_size=6)


class TestTilts:
    @pytest.mark.parametrize("pool", [(3, 4, 5), (1, 0, 11), (6, 6, 0), (2, 2, 2, 6), (1, 1, 1, 9)])
    @pytest.mark.parametrize("n", [1, 4, 8])
    def test_expectation_given_the_pool_is_at_most_one(self, pool, n):
        """Enumeration of all batches drawn without replacement: E[e | pool] <= 1 for each of the eight tilts."""
        batches, probability = _batches(pool, n)
        assert probability.sum() == pytest.approx(1)
        mean = _expectation(probability, log_tilts(batches, pool, [-1.5, 0.2, 1.0, 4.0][: len(pool)]))
        assert (mean <= 1 + 1e-12).all()
        assert (mean > 0.4).all()  # not by being nearly zero

    def test_the_expectation_is_one_when_a_single_row_is_drawn(self):
        """Without and with replacement are the same for one row, so the bound is met with equality."""
        batches, probability = _batches((3, 4, 5), 1)
        np.testing.assert_allclose(_expectation(probability, log_tilts(batches, (3, 4, 5), [0.0, 1.0, 5.0])), 1.0)

    def test_it_is_the_formula(self):
        """The vectorised, rescaled form equals the formula of the docstring written out in Python."""
        batch, pool, w = np.array([1, 0, 6, 3]), np.array([5, 7, 30, 4]), np.array([0.3, -1.0, 2.0, 2.5])
        pi = pool / pool.sum()
        wc = w - pi @ w
        sd = np.sqrt(pi @ wc**2)
        expected = [
            lam / sd * (batch @ wc) - batch.sum() * np.log(pi @ np.exp(lam / sd * wc))
            for lam in (0.025, 0.05, 0.1, 0.2, -0.025, -0.05, -0.1, -0.2)
        ]
        np.testing.assert_allclose(log_tilts(batch, pool, w), expected)

    @given(counts, st.floats(0.01, 100), st.floats(-100, 100), st.randoms(use_true_random=False))
    def test_origin_unit_and_order_of_the_bins_do_not_matter(self, batch, scale, origin, random):
        """a*w + b gives the same evidence, -w swaps the sides, and so does no permutation of the bins."""
        batch = np.array(batch)
        pool, w = batch * 2 + 3, np.arange(len(batch)) ** 1.5
        log_e = log_tilts(batch, pool, w)
        np.testing.assert_allclose(log_tilts(batch, pool, scale * w + origin), log_e, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(log_tilts(batch, pool, -w), np.roll(log_e, 4), atol=1e-9)
        order = random.sample(range(len(batch)), len(batch))
        np.testing.assert_allclose(log_tilts(batch[order], pool[order], w[order]), log_e, atol=1e-9)

    @given(counts)
    def test_splitting_a_bin_changes_nothing(self, batch):
        """Two bins of equal weight are one bin."""
        batch = np.array(batch)
        pool, w = batch + 5, np.linspace(-1, 1, len(batch))
        split = log_tilts(np.append(batch, 2), np.append(pool, 6), np.append(w, w[-1]))
        batch[-1] += 2
        pool[-1] += 6
        np.testing.assert_allclose(log_tilts(batch, pool, w), split, atol=1e-9)

    def test_no_spread_says_nothing(self):
        """One bin, equal weights, an empty pool, no bins: log e = 0 without a warning."""
        assert (log_tilts([3], [10], [0.1]) == 0).all()
        assert (log_tilts([3, 2], [10, 7], [0.1, 0.1]) == 0).all()
        assert (log_tilts([0, 3, 0], [0, 9, 0], [1, 2, 3]) == 0).all()
        assert (log_tilts([0, 0], [0, 0], [1, 2]) == 0).all()
        assert (log_tilts([], [], []) == 0).all()

    def test_an_empty_batch_says_nothing(self):
        """No rows, no evidence."""
        np.testing.assert_allclose(log_tilts([0, 0], [5, 7], [1, 2]), 0, atol=1e-15)

    def test_a_rare_extreme_bin_does_not_overflow(self):
        """One row in 1e12 lies 1e6 standard deviations out: exp would overflow, the log e-value is finite."""
        assert np.isfinite(log_tilts([1, 9], [1, 10**12], [1.0, 0.0])).all()

    def test_questions_stack(self):
        """Leading axes are questions; each is answered as if alone."""
        batch, pool = np.array([[1, 2, 3], [3, 2, 1]]), np.array([9, 9, 9])
        together = log_tilts(batch, pool, [[0, 1, 2], [0, 1, 4]])
        assert together.shape == (2, 8)
        np.testing.assert_allclose(together[1], log_tilts(batch[1], pool, [0, 1, 4]))

    def test_impossible_input_is_refused(self):
        """A pool that lacks rows of the batch, negative or missing counts and infinite weights raise."""
        for batch, pool in (([2, 0], [1, 5]), ([-1, 0], [1, 5]), ([np.nan, 0], [1, 5])):
            with pytest.raises(DataError, match="contain the batch"):
                log_tilts(batch, pool, [0, 1])
        with pytest.raises(DataError, match="finite weights"):
            log_tilts([1, 0], [1, 5], [0, np.inf])


class TestShareTilts:
    @pytest.mark.parametrize(
        ("pool_x", "pool_n", "n"), [(1, 12, 5), (5, 12, 5), (11, 12, 5), (3, 40, 30), (2, 400, 20), (7, 9, 9)]
    )
    def test_expectation_given_the_pool_is_at_most_one(self, pool_x, pool_n, n):
        """Enumeration of the hypergeometric law: E[e | pool] <= 1 for each of the eight tilts."""
        x = np.arange(max(0, n - (pool_n - pool_x)), min(n, pool_x) + 1)
        probability = hypergeom.pmf(x, pool_n, pool_x, n)
        assert (_expectation(probability, log_share_tilts(x, n, pool_x, pool_n)) <= 1 + 1e-12).all()

    def test_the_second_bound_is_sharp_for_one_row_of_the_pool(self):
        """With X = 1 the share of the batch decides alone: E[e | pool] = 1 for the tilts upwards."""
        probability = hypergeom.pmf([0, 1], 50, 1, 10)
        mean = _expectation(probability, log_share_tilts([0, 1], 10, 1, 50))
        np.testing.assert_allclose(mean[:4], 1.0)

    def test_it_is_the_formula(self):
        """The vectorised form equals the formula of the docstring written out in Python."""
        x, n, pool_x, pool_n = 7, 20, 30, 110
        pi, rho, expected = pool_x / pool_n, n / pool_n, []
        for h in (0.025, 0.05, 0.1, 0.2, -0.025, -0.05, -0.1, -0.2):
            q = np.sin(np.arcsin(np.sqrt(pi)) + h / 2) ** 2
            lam = np.log(q / (1 - q)) - np.log(pi / (1 - pi))
            first, second = n * np.log(1 + pi * np.expm1(lam)), pool_x * np.log(1 + rho * np.expm1(lam))
            expected.append(lam * x - min(first, second))
        np.testing.assert_allclose(log_share_tilts(x, n, pool_x, pool_n), expected)

    @given(st.integers(1, 30), st.integers(0, 30), st.integers(1, 30))
    def test_more_of_the_property_is_more_evidence_upwards(self, x, rest, others):
        """log e of the upward tilts grows with x at a fixed pool, of the downward ones it falls."""
        pool_x, n = x + 30, x + rest
        fewer, more = log_share_tilts([x - 1, x], n, pool_x, pool_x + rest + others + 1)
        assert (more[:4] > fewer[:4]).all()
        assert (more[4:] < fewer[4:]).all()

    def test_dead_questions_say_nothing(self):
        """Nobody or everybody in the pool, an empty batch, an empty pool: log e = 0 without a warning."""
        assert (log_share_tilts([0, 5, 0, 0], [5, 5, 0, 0], [0, 20, 3, 0], [20, 20, 9, 0]) == 0).all()

    def test_a_batch_that_is_the_whole_pool_says_nothing_new(self):
        """With n = N the count is certain; no tilt gains anything and none warns."""
        assert (log_share_tilts(3, 10, 3, 10) <= 1e-12).all()

    def test_impossible_input_is_refused(self):
        """A pool without the batch, or more successes than rows, raises."""
        for bad in ((3, 2, 9, 20), (3, 5, 2, 20), (1, 9, 10, 12), (-1, 5, 9, 20), (np.nan, 5, 9, 20)):
            with pytest.raises(DataError, match="contains the batch"):
                log_share_tilts(*bad)


class TestMeanAndGapBets:
    @given(st.floats(0.001, 0.999))
    def test_the_mean_bets_are_fair_at_the_limit(self, high):
        """E[e] = 1 for x = 1 with probability `high` and else 0, the most extreme null."""
        np.testing.assert_allclose(_expectation([high, 1 - high], log_mean_bets([1.0, 0.0], high)), 1.0)

    @given(st.floats(0, 1), st.floats(0.001, 0.999))
    def test_the_mean_bets_are_the_formula(self, x, high):
        """e = 1 + lam*(x - high), lam = 2^-k/high."""
        expected = [1 + 2.0**-k / high * (x - high) for k in range(8)]
        np.testing.assert_allclose(np.exp(log_mean_bets(x, high)), expected, atol=1e-12)

    def test_the_boldest_bet_loses_everything_at_zero(self):
        """x = 0 gives -inf for k = 0 and finite values else, without a warning."""
        log_e = log_mean_bets(0.0, 0.3)
        assert np.isneginf(log_e[0])
        assert np.isfinite(log_e[1:]).all()

    def test_dead_limits_say_nothing(self):
        """A limit at or below 0, or at or above 1, allows no bet."""
        assert (log_mean_bets([0.5, 0.5, 0.5, 0.5, 0.5], [0.0, -0.2, 1.0, 1.7, np.inf]) == 0).all()

    @given(st.floats(-1, 1), st.floats(0, 0.9))
    def test_the_gap_bets_are_the_formula_and_its_mirror(self, d, tolerance):
        """e = 1 + lam*(+-d - tolerance), lam = 2^-k/(1 + tolerance); swapping the groups swaps the sides."""
        lam = 2.0 ** -np.arange(8) / (1 + tolerance)
        log_e = log_gap_bets(d, tolerance)
        np.testing.assert_allclose(np.exp(log_e[0]), 1 + lam * (d - tolerance), atol=1e-12)
        np.testing.assert_array_equal(log_gap_bets(-d, tolerance), log_e[::-1])

    @given(st.floats(0, 0.9))
    def test_the_gap_bets_are_fair_at_the_tolerance(self, tolerance):
        """E[e] = 1 for d in {-1, 1} with mean `tolerance` upwards, and at most 1 for the other side."""
        up, down = ((1 + tolerance) / 2, (1 - tolerance) / 2)
        log_e = log_gap_bets([1.0, -1.0], tolerance)
        mean = _expectation([up, down], log_e.reshape(2, -1)).reshape(2, 8)
        np.testing.assert_allclose(mean[0], 1.0)
        assert (mean[1] <= 1 + 1e-12).all()

    def test_impossible_input_is_refused(self):
        """Losses outside [0, 1], gaps outside [-1, 1], NaN and senseless tolerances raise."""
        for x, high in ((1.2, 0.3), (-0.1, 0.3), (np.nan, 0.3), (0.2, np.nan)):
            with pytest.raises(DataError, match="log_mean_bets"):
                log_mean_bets(x, high)
        for d in (1.2, -1.2, np.nan):
            with pytest.raises(DataError, match="gaps in"):
                log_gap_bets(d, 0.1)
        for tolerance in (-0.1, 1.0, np.nan):
            with pytest.raises(ConfigurationError, match="tolerance"):
                log_gap_bets(0.1, tolerance)


class TestMixtures:
    @given(st.lists(st.tuples(numbers, st.floats(0, 5)), min_size=1, max_size=6))
    def test_it_is_the_weighted_mean(self, pairs):
        """The same as scipy.special.logsumexp with weights that sum to 1."""
        values, weights = np.array(pairs).T
        weights += 0.1
        expected = logsumexp(values, b=weights / weights.sum())
        assert log_mean_exp(values, np.log(weights)) == pytest.approx(expected)
        assert log_mean_exp(values, np.log(weights) + 7) == pytest.approx(expected)

    def test_equal_weights_are_no_weights(self):
        """Without weights it is the plain mean, along any axis."""
        values = np.arange(6.0).reshape(2, 3)
        np.testing.assert_allclose(log_mean_exp(values, axis=0), np.log(np.exp(values).mean(axis=0)))
        np.testing.assert_allclose(log_mean_exp(values, np.zeros((2, 1)), axis=0), log_mean_exp(values, axis=0))

    def test_what_has_no_weight_does_not_count(self):
        """Weight 0 leaves even infinite evidence out; without any weight there is no evidence."""
        assert log_mean_exp([np.inf, 0.0], [-np.inf, 0.0]) == 0
        assert log_mean_exp([1.0, 2.0], [-np.inf, -np.inf]) == -np.inf
        assert log_mean_exp(np.empty((2, 0))).tolist() == [-np.inf, -np.inf]

    def test_infinite_logs_are_decided(self):
        """No evidence anywhere is -inf, infinite evidence is inf; neither warns."""
        assert log_mean_exp([-np.inf, -np.inf]) == -np.inf
        assert log_mean_exp([np.inf, 0.0]) == np.inf
        assert log_mean_exp([1000.0, 1000.0]) == 1000.0

    def test_impossible_input_is_refused(self):
        """NaN and infinite weights raise."""
        with pytest.raises(DataError, match="NaN"):
            log_mean_exp([np.nan])
        with pytest.raises(DataError, match="finite weights"):
            log_mean_exp([1.0], [np.inf])


class TestEBenjaminiHochberg:
    @given(st.lists(st.floats(-3, 8), min_size=1, max_size=10), st.sampled_from([0.01, 0.05, 0.2]))
    def test_it_is_benjamini_hochberg_of_the_inverse(self, log_e, alpha):
        """Rejects what scipy's Benjamini-Hochberg rejects for p = min(1, 1/e)."""
        adjusted = false_discovery_control(np.minimum(1.0, np.exp(-np.array(log_e))))
        clear = ~np.isclose(adjusted, alpha, rtol=1e-9)
        assert (e_benjamini_hochberg(log_e, alpha)[clear] == (adjusted <= alpha)[clear]).all()

    @given(st.lists(st.floats(-3, 8), min_size=1, max_size=10), st.integers(0, 9), st.floats(0, 5))
    def test_more_evidence_never_saves_a_hypothesis(self, log_e, index, more):
        """Raising one e-value keeps every rejection."""
        before = e_benjamini_hochberg(log_e, 0.1)
        log_e[index % len(log_e)] += more
        assert (e_benjamini_hochberg(log_e, 0.1) | ~before).all()

    def test_edges(self):
        """No hypothesis, exact equality, infinite evidence, leading axes."""
        assert e_benjamini_hochberg([], 0.1).shape == (0,)
        assert e_benjamini_hochberg([np.log(1 / 0.05)], 0.05).all()
        assert e_benjamini_hochberg([np.inf, -np.inf], 0.05).tolist() == [True, False]
        both = e_benjamini_hochberg([[5.0, 0.0], [0.0, 0.0]], 0.05)
        assert both.tolist() == [[True, False], [False, False]]

    def test_impossible_input_is_refused(self):
        """A rate outside (0, 1) and NaN raise."""
        for alpha in (0.0, 1.0, np.nan):
            with pytest.raises(ConfigurationError, match="alpha"):
                e_benjamini_hochberg([1.0], alpha)
        with pytest.raises(DataError, match="NaN"):
            e_benjamini_hochberg([np.nan], 0.1)


def _cdf_given_world(values, at):
    """P(p <= at | these batches in this order), over u: exact from the two ends of p's range."""
    y = np.array(values, dtype=float)[:, None]
    low, high = smoothed_rank(y, [0.0])[0], smoothed_rank(y, [1.0])[0]
    return np.clip((at - low) / (high - low), 0, 1)


class TestSmoothedRank:
    @pytest.mark.parametrize("bag", [(1, 2, 3, 4, 5), (1, 1, 2, 2, 3), (7, 7, 7, 7), (1, 2, 2, 2)])
    def test_p_values_are_uniform_and_independent_over_all_orders(self, bag):
        """Over all orders of a bag, ties included: P(p_t <= a_t for every t) is the product of the a_t, exactly."""
        rng = np.random.default_rng(0)
        for at in rng.uniform(size=(3, len(bag))):
            joint = np.mean(
                [
                    np.prod([_cdf_given_world(order[: t + 1], at[t]) for t in range(len(bag))])
                    for order in itertools.permutations(bag)
                ]
            )
            assert joint == pytest.approx(np.prod(at), abs=1e-12)

    @given(st.lists(numbers, min_size=1, max_size=9), st.floats(0, 1, exclude_max=True))
    def test_it_is_a_probability_that_falls_with_the_score(self, older, u):
        """p in (0, 1]; a higher newest score never has a larger p."""
        low, high = (smoothed_rank(np.array([*older, new])[:, None], [u])[0] for new in (-30.0, 30.0))
        middle = smoothed_rank(np.array([*older, older[0]])[:, None], [u])[0]
        assert 0 < high <= middle <= low <= 1

    @given(st.lists(st.integers(-5, 5), min_size=2, max_size=9), st.randoms(use_true_random=False))
    def test_only_the_order_of_the_scores_matters(self, scores, random):
        """A strictly increasing function of the scores and any order of the older batches give the same p."""
        y = np.array(scores, dtype=float)
        p = smoothed_rank(y[:, None], [0.4])
        older = random.sample(list(y[:-1]), len(y) - 1)
        np.testing.assert_array_equal(smoothed_rank(np.exp([*older, y[-1]])[:, None], [0.4]), p)

    @given(st.lists(st.integers(-5, 5), min_size=1, max_size=9), st.floats(0.01, 0.99))
    def test_the_other_side_is_one_minus_p(self, scores, u):
        """Negated scores with 1 - u give 1 - p: both sides of a question are one draw."""
        y = np.array(scores, dtype=float)[:, None]
        assert smoothed_rank(-y, [1 - u])[0] == pytest.approx(1 - smoothed_rank(y, [u])[0])

    def test_a_question_that_a_batch_does_not_hold_leaves_its_bag(self):
        """NaN in older batches is not counted; NaN in the newest gives NaN; other questions do not notice."""
        scores = np.array([[np.nan, 1.0, 1.0], [2.0, 2.0, 2.0], [1.0, 3.0, np.nan]])
        p = smoothed_rank(scores, [0.5, 0.5, 0.5])
        np.testing.assert_allclose(p, [0.75, 0.5 / 3, np.nan])

    def test_infinite_scores_are_ranks_like_others(self):
        """inf above all, tied with inf."""
        np.testing.assert_allclose(smoothed_rank([[np.inf], [0.0], [np.inf]], [0.5]), [1 / 3])

    def test_a_draw_of_zero_keeps_p_above_zero(self):
        """u = 0 comes up once in 2^53 draws; p stays positive."""
        assert smoothed_rank([[1.0], [2.0]], [0.0])[0] > 0

    def test_impossible_input_is_refused(self):
        """No batch, draws that do not fit or are no probabilities raise."""
        for scores, u in ((np.empty((0, 1)), [0.5]), ([[1.0]], [0.5, 0.5]), ([1.0], [0.5])):
            with pytest.raises(DataError, match="expected scores"):
                smoothed_rank(scores, u)
        for u in (-0.1, 1.1, np.nan):
            with pytest.raises(DataError, match="draws"):
                smoothed_rank([[1.0]], [u])


def _age_bet(p, k, theta, n):
    """The age bet of the docstring, one number at a time."""
    b = min(1.0, (np.floor(theta * (n - k)) + k) / n)
    return 0.9 / b + 0.1 if p < b else 0.1


class TestRankBets:
    @pytest.mark.parametrize("n", [1, 2, 5, 9, 30, 101])
    def test_every_age_bet_is_fair(self, n):
        """E[e_k] <= 1 for uniform p, at every age, theta and bag, also where b = 1; and it is not wasteful."""
        p = (np.arange(40 * n) + 0.5) / (40 * n)  # b is a multiple of 1/n, so midpoints integrate exactly
        start = RankBets.start(np.ones(len(p), dtype=bool))
        held = evolve(start, age=np.zeros_like(start.age)).update(p, n).age.copy()
        held[..., -1] -= np.log(2)  # the ninth age starts from two
        mean = np.exp(held).mean(axis=0)
        np.testing.assert_allclose(mean, 1.0)

    def test_every_shift_bet_is_fair(self):
        """E[exp(d*z - d^2/2)] <= 1 for uniform p, by integration over z; clipping p loses next to nothing."""
        z = np.linspace(-9, 9, 20_001)
        bets = RankBets.start(np.ones(len(z), dtype=bool)).update(ndtr(-z), 20)
        mean = np.trapezoid(np.exp(bets.shift[:, 0]) * norm.pdf(z)[:, None], z, axis=0)
        assert (mean <= 1 + 1e-9).all()
        assert (mean > 0.999).all()

    @settings(max_examples=30)
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=14), st.integers(0, 30))
    def test_the_age_processes_are_sums_over_all_starts(self, p, n_reference):
        """exp L summed over ages = sum over starts v of prod_r e_{min(r-v+1, 9)}(p_r), by brute force."""
        bets = RankBets.start([True])
        for t, value in enumerate(p, start=1):
            bets = bets.update([value], n_reference + t)
        for side, ranks in enumerate((p, [1 - value for value in p])):
            for index, theta in enumerate((0.0, 0.1, 0.3)):
                expected = sum(
                    np.prod(
                        [
                            _age_bet(ranks[r], min(r - start + 1, 9), theta, n_reference + r + 1)
                            for r in range(start, len(p))
                        ]
                    )
                    for start in range(len(p))
                )
                assert np.exp(bets.age[0, side, index]).sum() == pytest.approx(expected)

    def test_the_value_is_the_stated_mixture(self):
        """M = average over sides of (mean over theta of the age sums + mean over d of the shifts) / 2."""
        bets = RankBets.start([True, False])
        for t, p in enumerate(np.random.default_rng(1).uniform(size=(12, 2))):
            bets = bets.update(p, 10 + t)
        side = (np.exp(bets.age).sum(axis=-1).mean(axis=-1) + np.exp(bets.shift).mean(axis=-1)) / 2
        np.testing.assert_allclose(np.exp(bets.log_values()), [side[0].mean(), side[1, 0]])

    @given(st.lists(st.integers(1, 996).map(lambda i: i / 997), min_size=1, max_size=12))  # off the edges b = j/N
    def test_a_two_sided_question_does_not_care_which_side(self, p):
        """p and 1 - p give the same evidence; a one-sided question hears only the high side."""
        bets, mirror, one_sided = RankBets.start([True]), RankBets.start([True]), RankBets.start([False])
        for t, value in enumerate(p):
            bets, mirror = bets.update([value], t + 5), mirror.update([1 - value], t + 5)
            one_sided = one_sided.update([value], t + 5)
        np.testing.assert_allclose(mirror.log_values(), bets.log_values(), rtol=1e-6)
        assert one_sided.log_values() <= bets.log_values() + np.log(2) + 1e-12

    def test_one_sided_questions_ignore_low_scores(self):
        """Ten batches below all others are strong evidence for a two-sided question, none for a one-sided one."""
        bets = RankBets.start([True, False])
        for t in range(10):
            bets = bets.update([1 - 0.5 / (30 + t)] * 2, 30 + t)
        assert bets.log_values()[0] > np.log(1e4)
        assert bets.log_values()[1] < np.log(10)

    def test_a_lasting_change_is_found_within_five_batches(self):
        """After 20 reference batches the fifth unusual batch in a row passes 1,000."""
        bets, values = RankBets.start([True]), []
        for k in range(1, 7):
            n = 20 + k
            bets = bets.update([(k - 0.5) / n], n)  # the lowest of the k that came after the change
            values.append(bets.log_values()[0])
        assert values[0] < np.log(1000) < values[4]

    def test_questions_do_not_mix(self):
        """A stack moves as each question would alone, with bags of different size."""
        p, n = np.array([[0.2, 0.9, 0.01], [0.5, 0.95, 0.03]]), np.array([[4, 9, 30], [5, 10, 31]])
        stack = RankBets.start([True, False, True]).update(p[0], n[0]).update(p[1], n[1])
        for i, two_sided in enumerate((True, False, True)):
            alone = RankBets.start([two_sided]).update(p[0, [i]], n[0, i]).update(p[1, [i]], n[1, i])
            np.testing.assert_array_equal(stack.log_values()[[i]], alone.log_values())

    def test_a_question_without_a_p_value_stays_as_it_was(self):
        """NaN leaves its process alone; its clock counts only the batches that hold it."""
        bets = RankBets.start([True, True]).update([0.1, 0.1], 10)
        after = bets.update([np.nan, 0.1], 11)
        assert after.log_values()[0] == bets.log_values()[0]
        assert after.log_values()[1] > bets.log_values()[1]

    def test_extreme_p_values_stay_finite(self):
        """p of 0 and 1 are clipped before the normal score."""
        values = RankBets.start([True, True]).update([0.0, 1.0], 10).update([0.0, 1.0], 11).log_values()
        assert np.isfinite(values).all()

    def test_there_is_no_evidence_before_the_first_batch(self):
        """log M starts at -inf, without a warning; no questions are no trouble."""
        assert np.isneginf(RankBets.start([True, False]).log_values()).all()
        assert RankBets.start([]).update([], 3).log_values().shape == (0,)

    def test_it_survives_json(self):
        """The state written and read is equal, infinities included."""
        bets = RankBets.start([True, False, True]).update([0.2, 0.3, np.nan], 7)
        again = formats.from_json(formats.to_json(bets), RankBets)
        assert again == bets
        assert again != bets.update([0.5, 0.5, 0.5], 8)

    def test_impossible_input_is_refused(self):
        """p-values that do not fit or are none, empty bags and wrong shapes raise."""
        bets = RankBets.start([True, False])
        for p in ([0.1], [0.1, 1.2], [-0.1, 0.2]):
            with pytest.raises(DataError, match="expected p"):
                bets.update(p, 5)
        for n in (0, [5, 0], np.nan):
            with pytest.raises(DataError, match="n_bag"):
                bets.update([0.1, 0.1], n)
        with pytest.raises(ConfigurationError, match="expected two_sided"):
            RankBets(bets.age[:1], bets.shift, bets.two_sided)


class TestBandsAndLimits:
    @given(st.floats(0, 1), st.floats(-3, 3))
    def test_a_share_is_moved_on_cohens_scale(self, p, h):
        """The angle 2*asin(sqrt(p)) moves by h (statsmodels' effect size), until it meets 0 or pi."""
        moved = float(shifted_share(p, h))
        expected = min(max(2 * np.arcsin(np.sqrt(p)) + h, 0), np.pi)
        assert 0 <= moved <= 1
        assert 2 * np.arcsin(np.sqrt(moved)) == pytest.approx(expected, abs=1e-7)

    def test_cohens_h_is_statsmodels(self):
        """A share and the one shifted by h differ by h in statsmodels.proportion_effectsize."""
        from statsmodels.stats.proportion import proportion_effectsize

        assert proportion_effectsize(shifted_share(0.3, 0.2), 0.3) == pytest.approx(0.2)

    def test_a_band_is_clopper_pearson_at_the_shared_risk_and_then_wider(self):
        """Against scipy.stats.binomtest at 1 - risk/m, widened by h; nothing asked allows everything."""
        k, n = np.array([3, 40, 0]), np.array([50, 80, 0])
        low, high = reference_band(k, n, tolerance=0.1, risk=0.06)
        for i in range(2):
            exact = binomtest(int(k[i]), int(n[i])).proportion_ci(1 - 0.02, "exact")
            assert low[i] == pytest.approx(shifted_share(exact.low, -0.1))
            assert high[i] == pytest.approx(shifted_share(exact.high, 0.1))
        assert (low[2], high[2]) == (0, 1)

    @pytest.mark.parametrize("options", [{"tolerance": -0.1}, {"tolerance": np.nan}, {"risk": 0.0}, {"risk": 1.0}])
    def test_dials_of_a_band_out_of_range_are_refused(self, options):
        """A negative tolerance, and a risk that is no probability."""
        with pytest.raises(ConfigurationError, match="reference_band"):
            reference_band([1], [2], **options)

    def test_batches_to_detect_is_the_larger_of_two_limits(self):
        """2 log(1 + B r^2/2)/r^2 rules where a batch's spread is large, log(1 + B g/(1 + g))/log(1 + g) where small."""
        limit = 365 * sum(0.5**k for k in range(8))
        assert batches_to_detect(0.5, sd=0.5, high=0.1, limit=365) == np.ceil(8 * np.log(1 + limit / 8))
        assert batches_to_detect(2.0, sd=0.001, high=0.1, limit=365) == np.ceil(
            np.log(1 + limit * 0.02 / 1.02) / np.log(1.02)
        )

    @pytest.mark.parametrize("r", [0.5, 1.0, 2.0])
    def test_batches_to_detect_is_about_the_measured_median(self, r):
        """Gamma days with sd a tenth of the limit, mean r sd above it, A = 365: the median delay is .8 to 1.1 of it."""
        rng, high, sd = np.random.default_rng(5), 0.2, 0.02
        log_m, first = np.full((400, 8), -np.inf), np.full(400, 200)
        for t in range(200):
            x = np.clip(rng.gamma(100, high / 100, 400) + r * sd, 0, 1)
            log_m = log_shiryaev_roberts(log_m, log_mean_bets(x, high))
            first = np.minimum(first, np.where(log_mean_exp(log_m, LOG_STAKE_WEIGHTS) >= np.log(365), t + 1, 200))
        assert 0.8 < np.median(first) / float(batches_to_detect(r, sd=sd, high=high, limit=365)) < 1.1

    def test_what_needs_no_batches_is_refused(self):
        """Without an excess, a spread, an accepted loss or a limit there is nothing to say."""
        with pytest.raises(ConfigurationError, match="sd=0"):
            batches_to_detect(1.0, sd=0, high=0.1, limit=365)

    def test_sides_of_rank_bets_may_not_be_changed_after_the_start(self):
        """`two_sided` is a dial: turning it voids the promise, and the state says so, from JSON as well."""
        bets = RankBets.start([True, False]).update([0.2, 0.7], 12)
        with pytest.raises(StateMismatch, match="dials"):
            evolve(bets, two_sided=np.array([True, True]))
        text = formats.to_json(bets)
        other = formats.to_json(RankBets.start([True, True]))
        assert formats.from_json(text, RankBets) == bets
        mixed = {**json.loads(text), "two_sided": json.loads(other)["two_sided"]}
        with pytest.raises(StateMismatch, match="dials"):
            formats.from_json(json.dumps(mixed), RankBets)
