"""Summaries against numpy, scipy, the standard library and plain loops."""

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from mlopskit.errors import DataError
from mlopskit.stats.summaries import (
    Lengths,
    Moments,
    concordance,
    location_and_scale,
    quantile_edges,
)

numbers = st.floats(-1e6, 1e6)
samples = st.lists(numbers, min_size=1, max_size=60)


class TestQuantileEdges:
    @given(st.lists(st.integers(-50, 50), min_size=1, max_size=300), st.sampled_from([4, 20, 37, 200]))
    def test_are_numpys_inverted_cdf(self, values, n_bins):
        """The edges are numpy.quantile(method="inverted_cdf") at i / n_bins, whatever the ties.

        numpy takes the share i / n_bins as a float, which may land an ulp above i * n / n_bins: exact shares are
        compared, and an edge may be no lower than numpy's by more than that.
        """
        edges = quantile_edges(values, n_bins)
        ordered = sorted(values)
        exact = [ordered[-(-i * len(values) // n_bins) - 1] for i in range(1, n_bins)]
        assert edges.tolist() == exact
        shares = np.arange(1, n_bins) / n_bins * (1 - 1e-12)
        assert edges.tolist() == np.quantile(values, shares, method="inverted_cdf").tolist()

    @given(samples)
    def test_every_tenth_edge_is_the_coarser_quantile(self, values):
        """Taking every tenth of 199 edges gives the 19 edges of twentieths: equal neighbours are kept."""
        assert quantile_edges(values, 200)[9::10].tolist() == quantile_edges(values, 20).tolist()

    @given(samples, st.randoms())
    def test_do_not_depend_on_the_order_of_rows(self, values, random):
        """Shuffled values have the same edges."""
        shuffled = random.sample(values, len(values))
        assert quantile_edges(values).tolist() == quantile_edges(shuffled).tolist()

    def test_one_value_is_every_edge(self):
        """A single value, or a constant, gives equal edges."""
        assert set(quantile_edges([3.0])) == {3.0}
        assert len(quantile_edges([3.0, 3.0])) == 199

    def test_no_values_have_no_quantiles(self):
        """Without values there is an error, never NaN edges."""
        with pytest.raises(ValueError, match="at least one value"):
            quantile_edges([])


class TestMoments:
    @given(samples)
    def test_are_those_of_the_standard_library(self, values):
        """Mean and variance agree with exact rational arithmetic (statistics) to rounding."""
        found = Moments.of(values)
        assert found.n == len(values)
        assert found.mean == pytest.approx(statistics.mean(values), rel=1e-12, abs=1e-9)
        if len(values) > 1:
            assert found.variance == pytest.approx(statistics.variance(values), rel=1e-9, abs=1e-6)

    @given(samples, samples, samples)
    def test_merging_is_associative_and_commutative_to_rounding(self, a, b, c):
        """(a + b) + c = a + (b + c) = c + b + a = the moments of all values."""
        x, y, z = Moments.of(a), Moments.of(b), Moments.of(c)
        whole = Moments.of(a + b + c)
        for merged in ((x + y) + z, x + (y + z), z + y + x):
            assert merged.n == whole.n
            assert merged.mean == pytest.approx(whole.mean, rel=1e-12, abs=1e-8)
            assert merged.squares == pytest.approx(whole.squares, rel=1e-9, abs=1e-4)

    @given(samples)
    def test_nothing_is_the_zero_of_merging(self, values):
        """Adding the moments of no values changes nothing, to the bit, on either side."""
        found = Moments.of(values)
        assert found + Moments() == found == Moments() + found

    def test_a_far_centre_keeps_its_variance(self):
        """Values around 1e9 with variance 1 keep nine digits of it in parts (numpy.var is the second source)."""
        x = 1e9 + np.random.default_rng(0).normal(size=10_000)
        merged = Moments.of(x[:3]) + Moments.of(x[3:7_000]) + Moments.of(x[7_000:])
        assert merged.variance == pytest.approx(np.var(x, ddof=1), rel=1e-9)

    def test_fewer_than_two_values_have_no_variance(self):
        """The variance of none and of one value is 0."""
        assert Moments.of([]).variance == Moments.of([5.0]).variance == 0.0

    def test_huge_values_have_a_mean_and_an_infinite_spread(self):
        """The mean of the largest floats is finite and their squares are infinite, without a warning."""
        found = Moments.of([1.7e308, 1.7e308, -1.7e308])
        assert found.mean == pytest.approx(1.7e308 / 3)
        assert found.squares == np.inf


def by_hand(values, medians):
    """Count concordant and valid rows of each pair by loops."""
    k = len(medians)
    same, valid = np.zeros((k, k), int), np.zeros((k, k), int)
    for row in values:
        for a in range(k):
            for b in range(k):
                if not (np.isnan(row[a]) or np.isnan(row[b])):
                    valid[a, b] += 1
                    same[a, b] += (row[a] <= medians[a]) == (row[b] <= medians[b])
    return same.tolist(), valid.tolist()


class TestConcordance:
    @given(
        arrays(
            float, st.tuples(st.integers(0, 12), st.just(3)), elements=st.sampled_from([-1.0, 0.0, 1.0, np.nan, np.inf])
        )
    )
    def test_counts_what_loops_count(self, values):
        """Concordant and valid rows of every pair agree with three loops, missing and infinite values included."""
        medians = np.array([0.0, -1.0, 0.5])
        same, valid = concordance(values, medians)
        assert (same.tolist(), valid.tolist()) == by_hand(values, medians)

    @given(arrays(float, (20, 3), elements=st.sampled_from([-1.0, 0.0, 1.0, np.nan])), st.integers(0, 20))
    def test_parts_add_up_exactly(self, values, cut):
        """The counts of two parts are those of the whole."""
        medians = np.zeros(3)
        parts = [concordance(part, medians) for part in (values[:cut], values[cut:])]
        whole = concordance(values, medians)
        assert (parts[0][0] + parts[1][0]).tolist() == whole[0].tolist()
        assert (parts[0][1] + parts[1][1]).tolist() == whole[1].tolist()

    def test_more_rows_than_a_block_are_counted_exactly(self):
        """Beyond 2**20 rows the count stays exact, where single precision would stop at 2**24."""
        rng = np.random.default_rng(0)
        values = rng.normal(size=((1 << 20) + 1_001, 2))
        same, valid = concordance(values, np.zeros(2))
        assert valid[0, 1] == len(values)
        assert same[0, 1] == ((values[:, 0] <= 0) == (values[:, 1] <= 0)).sum()

    def test_no_columns_have_no_pairs(self):
        """Without numeric columns the matrices are empty."""
        same, valid = concordance(np.zeros((5, 0)), np.zeros(0))
        assert same.shape == valid.shape == (0, 0)


shares = (
    st.lists(st.floats(0, 1), min_size=3, max_size=20)
    .filter(lambda v: sum(v) > 0.1)
    .map(lambda v: np.array(v) / sum(v))
)


class TestLocationAndScale:
    @given(shares)
    def test_are_standardised_and_orthogonal(self, pi):
        """Under the reference's shares both have mean 0, variance 1 (or are all zero) and no covariance."""
        location, scale = location_and_scale(pi)
        for score in (location, scale):
            assert pi @ score == pytest.approx(0, abs=1e-7)
            assert pi @ score**2 == pytest.approx(1) or not score.any()
        assert pi @ (location * scale) == pytest.approx(0, abs=1e-6)

    def test_location_of_equal_bins_is_the_normal_score(self):
        """For equal bins, location is the standardised normal score of the mid-ranks (scipy.stats.norm)."""
        pi = np.full(20, 0.05)
        z = norm.ppf((np.arange(20) + 0.5) / 20)
        location, scale = location_and_scale(pi)
        np.testing.assert_allclose(location, z / z.std())
        assert np.argmin(scale) in (9, 10)
        np.testing.assert_allclose(scale, scale[::-1])

    @pytest.mark.parametrize(("pi", "alive"), [([1.0], (False, False)), ([0.3, 0.7], (True, False))])
    def test_too_few_bins_have_no_spread(self, pi, alive):
        """One bin has neither score; two bins have a location and no scale."""
        location, scale = location_and_scale(np.array(pi))
        assert (location.any(), scale.any()) == alive

    def test_bins_without_rows_change_nothing(self):
        """Empty bins (equal edges) leave the scores of the others as they are."""
        full, _ = location_and_scale(np.array([0.2, 0.5, 0.3]))
        sparse, _ = location_and_scale(np.array([0.2, 0.0, 0.5, 0.0, 0.3]))
        np.testing.assert_allclose(sparse[[0, 2, 4]], full)


class TestEdges:
    """Values at the ends of their ranges."""

    def test_means_at_the_ends_of_floats_merge(self):
        """Deviations beyond the range are infinite, the mean is not."""
        both = Moments.of([1e308]) + Moments.of([-1e308])
        assert (both.n, both.mean, both.squares) == (2, 0.0, np.inf)
        assert (both + Moments.of([3.0])).mean == 1.0

    def test_lengths_are_whole_numbers_of_any_size(self):
        """Sums beyond 64 bits are exact; what is no length or no count is refused."""
        assert Lengths.of([2**40], [2**40]).total == 2**80
        for lengths, counts in (([1], [-3]), ([-1], [1]), ([1, 2], [1])):
            with pytest.raises(DataError, match="as many counts"):
                Lengths.of(lengths, counts)

    def test_edges_of_nan_are_refused(self):
        """NaN is no quantile."""
        with pytest.raises(ValueError, match="no NaN"):
            quantile_edges([1, np.nan, 2], 4)
