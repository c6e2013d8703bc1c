"""Scores of batches against numpy, scipy and plain formulas: the same for every order of the batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, chisquare, kstest, median_abs_deviation, norm

from mlopskit.errors import DataError
from mlopskit.stats.sequential import combined_scores, robust_z, shape_scores, share_scores
from mlopskit.stats.sequential.scores import _median_and_mad

scores = arrays(float, (9, 2), elements=st.floats(-10, 10).map(lambda v: round(v, 3)))


class TestShareScores:
    @pytest.mark.parametrize(("p", "n"), [(0.002, 1_000), (0.002, 600), (0.03, 400), (0.98, 50), (0.5, 7), (0.3, 1)])
    def test_are_randomised_quantile_residuals(self, p, n):
        """w = ndtri(F(k - 1) + v f(k)) / (2 sqrt(n)), with scipy's binomial for every k that is likely."""
        k = np.flatnonzero(binom.pmf(np.arange(n + 1), n, p) > 1e-9)
        v = np.random.default_rng(0).random(len(k))
        expected = norm.ppf(binom.cdf(k - 1, n, p) + v * binom.pmf(k, n, p)) / (2 * np.sqrt(n))
        found = share_scores(k[:, None], np.full((len(k), 1), n), [p], v[:, None])[:, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    @pytest.mark.parametrize("n", [20, 300, 5_000])
    def test_are_normal_whatever_the_number_of_rows(self, n):
        """2 sqrt(n) times the score is standard normal for every n where the usual share holds."""
        rng = np.random.default_rng(n)
        k = rng.binomial(n, 0.004, size=(20_000, 1))
        w = 2 * np.sqrt(n) * share_scores(k, np.full_like(k, n), [0.004], rng.random(k.shape))
        assert kstest(w[:, 0], "norm").pvalue > 1e-6

    def test_rise_with_the_count_into_the_far_tail(self):
        """More rows never lower the score, not where the tail probability is 0 in floats either."""
        k = np.arange(2_001)[:, None]
        found = share_scores(k, np.full_like(k, 2_000), [0.005], np.full(k.shape, 0.5))[:, 0]
        assert np.isfinite(found).all()
        assert (np.diff(found) >= 0).all()
        assert found[-1] == pytest.approx(np.pi / 2 - np.arcsin(np.sqrt(0.005)))

    def test_meet_the_angle_where_many_rows_are_expected(self):
        """Beyond 25 expected rows asin(sqrt(k/n)) - asin(sqrt(p)) is nearly the same; NaN asks for asin(sqrt(k/n))."""
        k, n, p = np.array([[20, 20], [30, 30], [45, 45]]), np.full((3, 2), 1_000), 0.03
        exact, angle = share_scores(k, n, [p, np.nan], np.full((3, 2), 0.5)).T
        np.testing.assert_allclose(exact, angle - np.arcsin(np.sqrt(p)), atol=0.002)
        np.testing.assert_array_equal(angle, np.arcsin(np.sqrt(k[:, 0] / 1_000)))

    def test_expected_counts_are_not_drawn(self):
        """Without draws the score of n p expected rows is 0; a batch without rows has 0 with draws and without."""
        np.testing.assert_allclose(share_scores([[2.5], [0.0]], [[500.0], [0.0]], [0.005]), 0, atol=1e-15)
        assert share_scores([[0]], [[0]], [0.005], [[0.9]]) == 0


class TestRobustZ:
    @given(scores, st.permutations(range(9)))
    def test_follows_the_order_of_batches(self, y, order):
        """Reordered batches have reordered scores: nothing depends on which batch is the newest."""
        sizes, noise = np.arange(1, 10) * 10, np.array([1.0, 0.25])
        np.testing.assert_allclose(robust_z(y, noise, sizes)[order], robust_z(y[order], noise, sizes[list(order)]))

    def test_equal_sizes_give_the_robust_standard_score(self):
        """Where batches differ more than their rows explain, z = (y - median) / MAD (scipy, scale="normal")."""
        y = np.random.default_rng(0).normal(3, 2, size=(31, 2))
        mad = median_abs_deviation(y, scale="normal", axis=0)
        assert (mad**2 > 1 / 500).all()
        expected = (y - np.median(y, axis=0)) / mad
        np.testing.assert_allclose(robust_z(y, np.ones(2), np.full(31, 500)), expected, rtol=1e-4)

    def test_equal_batches_have_the_noise_of_their_rows(self):
        """Where the MAD is below the noise of the rows, the divisor is sqrt(u2 / n)."""
        y = np.zeros((11, 1))
        y[4] = 0.3
        assert robust_z(y, [0.25], np.full(11, 100))[4, 0] == pytest.approx(0.3 / np.sqrt(0.25 / 100))

    @given(scores, st.floats(0.1, 10), st.floats(-100, 100))
    def test_shift_and_scale_do_not_matter_without_noise(self, y, factor, shift):
        """Where the rows bring no noise, moving and stretching a score leaves z as it is."""
        y[:, :] += np.arange(9)[:, None] * 20.0
        plain = robust_z(y, [0.0, 0.0], np.full(9, 10))
        np.testing.assert_allclose(robust_z(y * factor + shift, [0.0, 0.0], np.full(9, 10)), plain, atol=1e-9)

    def test_a_small_batch_is_measured_by_its_own_noise(self):
        """The same deviation counts less in a batch of fewer rows: sqrt(tau2 + u2 / n), worked by hand."""
        y = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
        sizes = np.array([1, 4, 4, 4, 4])
        tau2 = 1.4826**2 - 1 / 4
        expected = y[:, 0] / np.sqrt(tau2 + 1 / sizes)
        np.testing.assert_allclose(robust_z(y, [1.0], sizes)[:, 0], expected)

    def test_batches_without_rows_are_neither_counted_nor_unusual(self):
        """A batch in which nobody was asked gets 0 and does not move the middle; a question without rows is 0."""
        y = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [99.0, 0.0]])
        sizes = np.array([[10, 0], [10, 0], [10, 0], [0, 0]])
        z = robust_z(y, [1.0, 1.0], sizes)
        np.testing.assert_allclose(z[:3, 0], robust_z(y[:3, :1], [1.0], sizes[:3, :1])[:, 0])
        assert z[3, 0] == 0
        assert not z[:, 1].any()

    def test_a_changed_batch_does_not_hide_itself(self):
        """One batch far away keeps a large score, whatever its distance: centre and spread are robust."""
        y = np.random.default_rng(1).normal(size=(20, 1))
        y[-1] = 1e6
        assert robust_z(y, [0.01], np.full(20, 100))[-1, 0] > 1e5

    @given(
        st.integers(1, 60).flatmap(
            lambda n: arrays(float, (n, 3), elements=st.floats(-1e6, 1e6) | st.integers(-2, 2).map(float))
        )
    )
    def test_the_middle_and_the_spread_are_numpys_and_scipys(self, y):
        """From one sort: numpy.median to the last bit, and scipy's median_abs_deviation, for any ties and any N."""
        middle, mad = _median_and_mad(y)
        np.testing.assert_array_equal(middle, np.median(y, axis=0))
        np.testing.assert_array_equal(mad, median_abs_deviation(y, axis=0))

    @pytest.mark.parametrize(
        ("y", "noise", "sizes"),
        [
            (np.zeros((0, 1)), [1.0], []),
            ([[np.nan]], [1.0], [3]),
            ([[np.inf], [0.0]], [1.0], [[3], [0]]),
            ([[1.0]], [-1.0], [3]),
            ([[1.0]], [1.0], [-3]),
            ([[1.0]], [1.0, 1.0], [3]),
            ([1.0], [1.0], [3]),
        ],
    )
    def test_what_cannot_be_scored_is_refused(self, y, noise, sizes):
        """No batch, shapes that do not fit, scores that are not finite, negative sizes or noise."""
        with pytest.raises(DataError, match="robust_z"):
            robust_z(y, noise, sizes)

    def test_without_any_spread_only_the_middle_is_usual(self):
        """No noise and a MAD of 0: equal batches lie at 0, another one at infinity, never at NaN."""
        z = robust_z([[1.0], [1.0], [1.0], [2.0]], [0.0], [5, 5, 5, 5])
        np.testing.assert_array_equal(z[:, 0], [0, 0, 0, np.inf])


class TestShapeScores:
    def test_are_the_cube_root_of_a_chi_square(self):
        """Against scipy.stats.chisquare with the mean shares as expectation."""
        rng = np.random.default_rng(0)
        counts = rng.multinomial(200, [0.1, 0.2, 0.3, 0.4], size=(9, 2))
        found = shape_scores(counts / 200, np.full((9, 2), 200))
        mean = counts.mean(axis=0) / 200
        for i, j in np.ndindex(9, 2):
            expected = chisquare(counts[i, j], 200 * mean[j]).statistic
            assert found[i, j] == pytest.approx(np.cbrt(expected / 3))

    def test_chance_has_the_variance_that_is_said(self):
        """For multinomial batches the variance is about 2/(9k): .0117 for k = 19, within a tenth."""
        rng = np.random.default_rng(1)
        counts = rng.multinomial(5_000, np.full(20, 0.05), size=(4_000, 1))
        found = shape_scores(counts / 5_000, np.full((4_000, 1), 5_000))
        assert found.var() == pytest.approx(2 / (9 * 19), rel=0.1)

    def test_a_batch_without_rows_is_not_unusual(self):
        """All shares 0 and no rows: the score is 0; a single bin scores 0 too."""
        shares = np.array([[[0.5, 0.5], [1.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]]])
        np.testing.assert_allclose(shape_scores(shares, [[10, 10], [0, 10]])[1], [0, 0])
        np.testing.assert_allclose(shape_scores(shares, [[10, 10], [0, 10]])[:, 1], 0)


class TestCombinedScores:
    @given(arrays(float, (6, 3), elements=st.floats(-20, 20)), st.permutations(range(6)))
    def test_follow_the_order_of_batches_and_ignore_signs(self, z, order):
        """Symmetric in the bag; a question's sign and place do not matter."""
        pairs, shapes = z[:, :1] * 2, z[:, 1:2] / 3
        found = combined_scores(z, shapes, pairs)
        np.testing.assert_allclose(combined_scores(-z[order][:, ::-1], shapes[order], -pairs[order]), found[order])
        np.testing.assert_array_equal(found[:, 0], np.abs(np.hstack([z, shapes])).max(axis=1))
        np.testing.assert_allclose(found[:, 1], (np.minimum(np.abs(z), 8) ** 2).sum(axis=1))

    def test_nothing_to_combine_is_no_evidence(self):
        """Without questions every batch scores 0: a tie of all."""
        empty = np.zeros((4, 0))
        np.testing.assert_array_equal(combined_scores(empty, empty, empty), np.zeros((4, 3)))
