"""Summaries against numpy, scipy, the standard library and plain loops."""

import statistics
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chi2, norm

from mlopskit import formats
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.summaries import (
    HeavyHitters,
    HyperLogLog,
    Moments,
    concordance,
    location_and_scale,
    mix64,
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


def sketch(values):
    return HyperLogLog.of(mix64(np.asarray(values, dtype=np.uint64)))


streams = st.lists(st.integers(0, 2**64 - 1), max_size=50)


class TestMix64:
    def test_is_splitmix64(self):
        """The first outputs with seed 1234567 of Vigna's reference implementation, as Rosetta Code lists them."""
        with np.errstate(over="ignore"):
            states = np.uint64(1234567) + np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        assert mix64(states).tolist() == [
            6457827717110365317,
            3203168211198807973,
            9817491932198370423,
            4593380528125082431,
            16408922859458223821,
        ]


class TestHyperLogLog:
    @given(streams, streams, streams)
    def test_merging_is_exact(self, a, b, c):
        """Merged sketches are the sketch of everything: associative, commutative, idempotent, empty is neutral."""
        whole = sketch(a + b + c)
        assert (sketch(a) + sketch(b)) + sketch(c) == whole == sketch(a) + (sketch(c) + sketch(b))
        assert whole + whole == whole == whole + HyperLogLog()

    @given(st.lists(st.integers(0, 2**64 - 1), max_size=30))
    def test_registers_are_leading_zeros(self, hashes):
        """Each register is the longest run of zeros in the low 52 bits plus one (plain Python on the bits as text)."""
        expected = np.zeros(4096, dtype=int)
        for h in hashes:
            bits = format(h, "064b")
            expected[int(bits[:12], 2)] = max(
                expected[int(bits[:12], 2)], len(bits[12:]) - len(bits[12:].lstrip("0")) + 1
            )
        np.testing.assert_array_equal(HyperLogLog.of(np.array(hashes, dtype=np.uint64)).registers, expected)

    @pytest.mark.parametrize("n", [1, 3, 30, 300, 3_000, 10_000, 30_000, 100_000])
    def test_error_is_as_stated(self, n):
        """Over 200 seeds the bias is below 5 standard errors and the spread below 1.6% (chi-square bound at 1e-6)."""
        rng, runs = np.random.default_rng(n), 200
        found = np.array([sketch(rng.integers(0, 2**64, n, dtype=np.uint64)).estimate() for _ in range(runs)]) / n
        stated = 1.04 / np.sqrt(4096)
        assert abs(found.mean() - 1) < 5 * stated / np.sqrt(runs)
        assert found.var(ddof=1) < stated**2 * chi2.isf(1e-6, runs - 1) / (runs - 1)

    def test_ten_million_values(self):
        """A value counts once however often it comes, and ten million are within three standard errors."""
        merged = HyperLogLog()
        for start in range(0, 10_000_000, 1_000_000):
            merged = merged + sketch(np.arange(start, start + 1_000_000))
        assert merged.estimate() == pytest.approx(1e7, rel=3 * 1.04 / 64)
        assert merged + sketch(np.arange(5_000)) == merged

    def test_nothing_is_zero_and_everything_is_finite(self):
        """No value: 0. Registers at their largest: a finite number above 2^63."""
        assert HyperLogLog().estimate() == 0
        assert HyperLogLog(np.full(4096, 52, dtype=np.uint8)).estimate() > 2**60

    def test_travels_as_json(self):
        """Four kilobytes and back, equal."""
        one = sketch(range(1_000))
        assert formats.from_json(formats.to_json(one), HyperLogLog) == one

    @pytest.mark.parametrize("registers", [np.zeros(10), np.full(4096, 54)])
    def test_registers_that_no_hash_gives_are_refused(self, registers):
        """Another number of registers, or a value beyond 53."""
        with pytest.raises(DataError, match="registers"):
            HyperLogLog(registers)

    @pytest.mark.parametrize("values", [[1.5, 2.5], [1, 2, 3], ["a", "b"], [True]])
    def test_values_that_are_not_hashed_are_refused(self, values):
        """Floats, integers, text and booleans would all share a register: an error instead of one distinct value."""
        with pytest.raises(DataError, match="uint64 hashes"):
            HyperLogLog.of(np.array(values))

    def test_no_hashes_are_no_values(self):
        """An empty list has no dtype and is the empty sketch."""
        assert HyperLogLog.of([]) == HyperLogLog()

    def test_adds_to_its_like_only(self):
        """A number is no sketch."""
        with pytest.raises(TypeError):
            HyperLogLog() + 1


batches = st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 30), max_size=8), max_size=6)


class TestHeavyHitters:
    @given(batches, st.integers(1, 9), st.randoms())
    def test_bounds_hold_in_any_order_and_grouping(self, parts, capacity, random):
        """True counts lie in [count, count + error], error <= n/(k+1); exact while there is room for all (Counter)."""
        sketches = [HeavyHitters.of(part, capacity) for part in parts] or [HeavyHitters(capacity)]
        while len(sketches) > 1:
            a, b = sketches.pop(random.randrange(len(sketches))), sketches.pop(random.randrange(len(sketches)))
            sketches.append(a + b)
        merged, truth = sketches[0], sum((Counter(part) for part in parts), Counter())
        kept = dict(merged.counts)
        assert merged.n == truth.total()
        assert merged.error * (capacity + 1) <= merged.n
        assert len(kept) <= capacity
        for level in "abcdefgh":
            assert kept.get(level, 0) <= truth[level] <= kept.get(level, 0) + merged.error
        if len(+truth) <= capacity:
            assert merged.exact
            assert kept == dict(+truth)

    @given(batches, st.integers(1, 9))
    def test_merging_commutes_and_the_empty_one_is_neutral(self, parts, capacity):
        """a + b == b + a, to the last count; nothing added changes nothing."""
        a, b = (HeavyHitters.of(sum(map(Counter, half), Counter()), capacity) for half in (parts[::2], parts[1::2]))
        assert a + b == b + a
        assert a + HeavyHitters(capacity) == a

    def test_true_one_and_one_point_zero_are_three_levels(self):
        """Levels of different types are different, as they are in a schema."""
        merged = HeavyHitters.of({True: 3}, 5) + HeavyHitters.of({1: 2}, 5) + HeavyHitters.of({1.0: 1}, 5)
        assert [(type(level), n) for level, n in merged.counts] == [(bool, 3), (int, 2), (float, 1)]

    def test_travels_as_json(self):
        """Levels keep their types."""
        one = HeavyHitters.of({"a": 3, 7: 2, 0.5: 1, True: 4}, 3)
        assert formats.from_json(formats.to_json(one), HeavyHitters) == one

    @given(batches, batches, batches, st.integers(1, 9))
    def test_grouping_changes_nothing_while_there_is_room(self, a, b, c, capacity):
        """(a + b) + c = a + (b + c) to the last count if that is exact; else n and the bound n/(k+1) still agree."""
        x, y, z = (HeavyHitters.of(sum(map(Counter, parts), Counter()), capacity) for parts in (a, b, c))
        left, right = (x + y) + z, x + (y + z)
        assert left.n == right.n
        assert (left == right) or not (left.exact and right.exact)
        assert max(left.error, right.error) * (capacity + 1) <= left.n

    @pytest.mark.parametrize("level", [np.str_("x"), np.int64(3), np.float64(0.5), np.float64(-0.0), np.True_])
    def test_levels_of_numpy_are_levels_of_python(self, level):
        """A sketch adds up with itself read back from JSON: one level, both counts."""
        one = HeavyHitters.of({level: 5}, 3)
        both = one + formats.from_json(formats.to_json(one), HeavyHitters)
        assert [n for _, n in both.counts] == [10]
        assert both == HeavyHitters.of({level.item(): 10}, 3)

    @pytest.mark.parametrize("level", [None, np.nan, (1, 2), np.datetime64("2020-01-01"), b"x"])
    def test_levels_that_are_none_of_these_are_refused(self, level):
        """None, NaN, tuples, time stamps and bytes, also where they would find no room."""
        with pytest.raises(DataError, match="expected text"):
            HeavyHitters.of({"a": 5, level: 1}, 1)

    @pytest.mark.parametrize(
        ("counts", "n", "error"),
        [
            ((("a", 4), ("a", 4)), 9, 0),
            ((("a", 4), ("b", 3), ("c", 3)), 10, 0),
            ((("a", -4),), 4, 0),
            ((("a", 0),), 4, 0),
            ((("a", 4),), 3, 0),
            ((("a", 4),), 6, 1),
            ((("a", 4),), 9, -1),
        ],
    )
    def test_counts_that_no_stream_gives_are_refused(self, counts, n, error):
        """A level twice, too many levels, no or negative counts, more counts than values, an error above n/(k+1)."""
        with pytest.raises(DataError, match="no stream"):
            HeavyHitters(2, counts, n, error)

    def test_what_makes_no_sense_is_refused(self):
        """No room, a negative count, sketches of different size, something else."""
        with pytest.raises(ConfigurationError, match="capacity"):
            HeavyHitters(0)
        with pytest.raises(DataError, match="at least 0"):
            HeavyHitters.of({"a": -1}, 3)
        with pytest.raises(DataError, match="whole counts"):
            HeavyHitters.of({"a": 1.5}, 3)
        with pytest.raises(DataError, match="capacity 3 and 4"):
            HeavyHitters(3) + HeavyHitters(4)
        with pytest.raises(TypeError):
            HeavyHitters(3) + 1
