"""Divergences against scipy, enumeration by hand, and what any distance must obey."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from mlopskit import formats
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.divergences import (
    MAX_BLOCKS,
    N_DRAWS,
    Divergence,
    chi_square_counts,
    chi_square_samples,
    cramer_von_mises_counts,
    cramer_von_mises_samples,
    hellinger_counts,
    hellinger_samples,
    jensen_shannon_counts,
    jensen_shannon_samples,
    kolmogorov_smirnov_counts,
    kolmogorov_smirnov_samples,
    psi_counts,
    psi_samples,
    wasserstein_counts,
    wasserstein_samples,
)


def wasserstein_in_order(reference, batch):
    """The distance in bins: positions 0, 1, 2, ..."""
    return wasserstein_counts(reference, batch, np.arange(np.shape(reference)[-1]))


ORDERED = [kolmogorov_smirnov_counts, cramer_von_mises_counts, wasserstein_in_order]
UNORDERED = [chi_square_counts, psi_counts, jensen_shannon_counts, hellinger_counts]
TESTED = [kolmogorov_smirnov_counts, cramer_von_mises_counts, chi_square_counts]
BOUNDED = [f for f in [*ORDERED, *UNORDERED] if f not in (wasserstein_in_order, psi_counts)]
ORDERED_SAMPLES = [kolmogorov_smirnov_samples, cramer_von_mises_samples, wasserstein_samples]
BINNED_SAMPLES = [chi_square_samples, psi_samples, jensen_shannon_samples, hellinger_samples]

some = settings(max_examples=40, deadline=None)  # for each of several distances
tables = st.integers(1, 6).flatmap(
    lambda b: st.tuples(
        st.lists(st.integers(0, 6), min_size=b, max_size=b), st.lists(st.integers(0, 6), min_size=b, max_size=b)
    )
)
filled = tables.filter(lambda t: sum(t[0]) and sum(t[1]))
tied = st.lists(st.integers(-3, 3), min_size=1, max_size=5)


def dealt(x, y, statistic):
    """The share of all ways to deal the pooled values that give at least the observed statistic."""
    pooled, n = np.array([*x, *y]), len(x)
    observed, values = statistic(np.array(x), np.array(y)), []
    for chosen in itertools.combinations(range(len(pooled)), n):
        mine = np.zeros(len(pooled), bool)
        mine[list(chosen)] = True
        values.append(statistic(pooled[mine], pooled[~mine]))
    return np.mean(np.array(values) >= observed - 1e-9)


def largest_gap(x, y):
    return max(abs((x <= v).mean() - (y <= v).mean()) for v in (*x, *y))


def square_gaps(x, y):
    left = [((x < v).mean() - (y < v).mean()) ** 2 for v in (*x, *y)]
    right = [((x <= v).mean() - (y <= v).mean()) ** 2 for v in (*x, *y)]
    return (sum(left) + sum(right)) / 2


def freeman_halton(a, b):
    """The chance of tables no likelier than the observed one, by nested loops."""
    totals, n = [i + j for i, j in zip(a, b, strict=True)], sum(a)
    ways = {
        cells: math.prod(math.comb(t, c) for t, c in zip(totals, cells, strict=True))
        for cells in itertools.product(*(range(t + 1) for t in totals))
        if sum(cells) == n
    }
    return sum(w for w in ways.values() if w <= ways[tuple(a)]) / sum(ways.values())


class TestKolmogorovSmirnov:
    @pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 7), (30, 30), (10, 300), (100, 90)])
    def test_without_ties_it_is_scipys(self, n, m):
        """Value and exact p are those of scipy.stats.ks_2samp(method="exact")."""
        rng = np.random.default_rng(n)
        x, y = rng.normal(size=n), rng.normal(0.4, size=m)
        found, expected = kolmogorov_smirnov_samples(x, y), stats.ks_2samp(x, y, method="exact")
        assert found.value == pytest.approx(expected.statistic)
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
        assert found.method == "exact"

    @given(tied, tied)
    @some
    def test_with_ties_p_is_that_of_all_deals(self, x, y):
        """The exact p is the share of all ways to deal the pooled values (enumeration)."""
        assert kolmogorov_smirnov_samples(x, y).p_value == pytest.approx(dealt(x, y, largest_gap))

    def test_a_tiny_p_keeps_its_digits(self):
        """Two of all C(600, 300) deals separate the sides; p stays exact where 1 - cdf would be 0."""
        found = kolmogorov_smirnov_samples(np.arange(300), np.arange(300, 600))
        assert found.p_value == pytest.approx(2 / math.comb(600, 300), rel=1e-9)

    @pytest.mark.parametrize(("n", "m"), [(800, 800), (5, 3 * MAX_BLOCKS)])
    def test_large_samples_take_kolmogorovs_limit(self, n, m):
        """Beyond the limits p is scipy.stats.kstwobign at sqrt(nm/(n+m)) D."""
        rng = np.random.default_rng(n)
        found = kolmogorov_smirnov_samples(rng.normal(size=n), rng.normal(0.05, size=m))
        assert found.method == "asymptotic"
        assert found.p_value == pytest.approx(stats.kstwobign.sf(np.sqrt(n * m / (n + m)) * found.value))

    @pytest.mark.parametrize(("n", "m"), [(30, 30), (100, 100), (37, 53), (7, 200)])
    def test_the_limit_is_hardly_ever_too_small(self, n, m):
        """The exact p is at most 2% above Kolmogorov's limit (scipy.stats.kstwobign), from p = .5 to 1e-6."""
        grid, seen = np.arange(n) / n, []
        for shift in np.linspace(0, 0.9, 40):
            exact = kolmogorov_smirnov_samples(grid, np.arange(m) / m + shift)
            if 1e-6 < exact.p_value < 0.5:
                seen.append(exact.p_value / stats.kstwobign.sf(np.sqrt(n * m / (n + m)) * exact.value))
        assert len(seen) > 10
        assert max(seen) <= 1.02

    @given(st.lists(st.floats(0, 5), min_size=1, max_size=20), st.lists(st.floats(0, 5), min_size=1, max_size=20))
    def test_bins_bound_the_distance_of_their_values(self, x, y):
        """D of counts <= D of values <= the larger gap between one side's upper and the other's lower cdf."""
        a, b = (np.histogram(side, bins=5, range=(0, 5))[0] for side in (x, y))
        f, g = (np.concatenate([[0], np.cumsum(c) / c.sum()]) for c in (a, b))
        inside = kolmogorov_smirnov_samples(x, y).value
        assert kolmogorov_smirnov_counts(a, b).value <= inside + 1e-12
        assert inside <= max((f[1:] - g[:-1]).max(), (g[1:] - f[:-1]).max()) + 1e-12


class TestCramerVonMises:
    @pytest.mark.parametrize(("n", "m"), [(3, 3), (5, 7), (8, 8), (2, 15)])
    def test_small_samples_without_ties_are_scipys(self, n, m):
        """T = value^2 nm/(n+m) and the exact p are those of scipy.stats.cramervonmises_2samp."""
        rng = np.random.default_rng(n)
        x, y = rng.normal(size=n), rng.normal(1, size=m)
        found, expected = cramer_von_mises_samples(x, y), stats.cramervonmises_2samp(x, y, method="exact")
        assert found.value**2 * n * m / (n + m) == pytest.approx(expected.statistic)
        assert found.p_value == pytest.approx(expected.pvalue)
        assert found.method == "exact"

    @given(tied, tied)
    @some
    def test_with_ties_p_is_that_of_all_deals(self, x, y):
        """Value and exact p follow from the definition and all ways to deal (enumeration)."""
        found = cramer_von_mises_samples(x, y)
        assert found.value**2 * (len(x) + len(y)) == pytest.approx(square_gaps(np.array(x), np.array(y)), abs=1e-12)
        assert found.p_value == pytest.approx(dealt(x, y, square_gaps))

    @pytest.mark.parametrize("shift", [0.075, 0.1, 0.15, 0.17])
    def test_large_samples_are_within_a_tenth_of_scipys(self, shift):
        """From p = .5 down to .001 p is within 10% of scipy.stats.cramervonmises_2samp(method="asymptotic")."""
        x = stats.norm.ppf((np.arange(600) + 0.5) / 600)
        y = stats.norm.ppf((np.arange(700) + 0.3) / 700) + shift
        found, expected = cramer_von_mises_samples(x, y), stats.cramervonmises_2samp(x, y, method="asymptotic")
        assert 0.0005 < expected.pvalue < 0.5
        assert found.method == "asymptotic"
        assert found.value**2 * 600 * 700 / 1300 == pytest.approx(expected.statistic)
        assert found.p_value == pytest.approx(expected.pvalue, rel=0.1)

    @given(st.lists(st.integers(80, 400), min_size=5, max_size=12), st.randoms(use_true_random=False))
    def test_cumulants_are_traces(self, totals, random):
        """The nested sums give the p of a chi-square with the cumulants of W K, multiplied out by numpy."""
        t = np.array(totals)
        a = np.array([random.randint(t // 3, t // 2) for t in totals])
        n, m, total = a.sum(), (t - a).sum(), t.sum()
        f = np.cumsum(t)[:-1] / total
        k = np.minimum.outer(f, f) * (1 - np.maximum.outer(f, f)) * total / (total - 1)
        wk = np.diag((t[1:] + t[:-1]) / 2 / total) @ k
        c1, c2, c3 = np.trace(wk), np.trace(wk @ wk), np.trace(wk @ wk @ wk)
        found = cramer_von_mises_counts(a, t - a)
        degrees = c2**3 / c3**2
        place = (found.value**2 * n * m / total - c1) * np.sqrt(degrees / c2) + degrees
        assert found.method == "asymptotic"
        assert found.p_value == pytest.approx(stats.chi2.sf(place, degrees))


class TestWasserstein:
    @given(filled, st.data())
    def test_is_scipys(self, table, data):
        """scipy.stats.wasserstein_distance with the counts as weights."""
        steps = data.draw(st.lists(st.floats(0, 100), min_size=len(table[0]), max_size=len(table[0])))
        positions = np.cumsum(steps) - 50
        expected = stats.wasserstein_distance(positions, positions, *table)
        assert wasserstein_counts(*table, positions).value == pytest.approx(expected, abs=1e-9)

    @given(st.lists(st.floats(-99, 99), min_size=1), st.lists(st.floats(-99, 99), min_size=1))
    def test_samples_are_scipys(self, x, y):
        """scipy.stats.wasserstein_distance of the values."""
        assert wasserstein_samples(x, y).value == pytest.approx(stats.wasserstein_distance(x, y), abs=1e-9)

    @given(filled, st.floats(0.01, 100), st.floats(-10, 10))
    def test_has_the_unit_of_the_positions(self, table, scale, shift):
        """Shifting positions changes nothing, scaling them scales the distance."""
        x = np.arange(len(table[0]), dtype=float)
        one, other = wasserstein_counts(*table, x).value, wasserstein_counts(*table, x * scale + shift).value
        assert other == pytest.approx(one * scale, abs=1e-9)

    @given(st.lists(st.floats(0, 5), min_size=1, max_size=20), st.lists(st.floats(0, 5), min_size=1, max_size=20))
    def test_middles_are_off_by_at_most_a_width(self, x, y):
        """Values in bins of width 1, represented by their middles, move the distance by at most 1."""
        a, b = (np.histogram(side, bins=5, range=(0, 5))[0] for side in (x, y))
        assert abs(wasserstein_counts(a, b, np.arange(5) + 0.5).value - wasserstein_samples(x, y).value) <= 1 + 1e-9

    @pytest.mark.parametrize(
        "positions", [[0.0], [0.0, np.nan], [0.0, np.inf], [1.0, 0.0], [-1.7e308, 1.7e308], 3.0, [[0.0], [1.0]]]
    )
    def test_positions_that_say_nothing_are_refused(self, positions):
        """Too few, NaN, infinite, out of order, further apart than a float can say, or a single number."""
        with pytest.raises(DataError, match="positions in order"):
            wasserstein_counts([1, 2], [2, 1], positions)

    @pytest.mark.parametrize("bad", [np.inf, -np.inf])
    def test_infinite_values_are_refused(self, bad):
        """A row at infinity is infinitely far away: an error, not an infinite or NaN report."""
        with pytest.raises(DataError, match="finite positions"):
            wasserstein_samples([1.0, bad], [1.0])


class TestChiSquare:
    @given(filled)
    def test_value_is_cramers_v(self, table):
        """scipy.stats.contingency.association(method="cramer"), over the bins that hold rows."""
        a = np.array(table)
        a = a[:, a.sum(axis=0) > 0]
        expected = 0.0 if a.shape[1] == 1 else stats.contingency.association(a, method="cramer", correction=False)
        assert chi_square_counts(*table).value == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("table", [[[8, 2], [1, 5]], [[3, 0], [0, 3]], [[10, 90], [30, 70]], [[0, 4], [9, 1]]])
    def test_two_bins_are_fishers_exact_test(self, table):
        """scipy.stats.fisher_exact, two-sided."""
        found = chi_square_counts(*table)
        assert found.method == "exact"
        assert found.p_value == pytest.approx(stats.fisher_exact(table).pvalue)

    @given(filled)
    @some
    def test_exact_p_is_freeman_and_haltons(self, table):
        """The chance of tables no likelier than the observed one, by nested loops over all tables."""
        assume(np.prod(np.add(*map(np.array, table)) + 1.0) < 5_000)
        found = chi_square_counts(*table)
        assert found.method == "exact"
        assert found.p_value == pytest.approx(freeman_halton(*table))

    def test_large_tables_are_scipys(self):
        """scipy.stats.chi2_contingency(correction=False), where every cell expects five rows or more."""
        rng = np.random.default_rng(0)
        table = rng.multinomial(500, np.full(12, 1 / 12), size=2)
        found, expected = chi_square_counts(*table), stats.chi2_contingency(table, correction=False)
        assert found.method == "asymptotic"
        assert found.value**2 * 1_000 == pytest.approx(expected.statistic)
        assert found.p_value == pytest.approx(expected.pvalue)

    def test_sparse_tables_are_drawn(self):
        """Seeded draws agree with 20,000 others, ranked by scipy.stats.multivariate_hypergeom; any order of sides."""
        rng = np.random.default_rng(1)
        a, b = rng.multinomial(60, np.arange(1, 31) / 465), rng.multinomial(90, np.full(30, 1 / 30))
        found = chi_square_counts(a, b)
        law = stats.multivariate_hypergeom(a + b, a.sum())
        expected = np.mean(law.logpmf(law.rvs(20_000, random_state=2)) <= law.logpmf(a) + 1e-9)
        assert found.method == "monte carlo"
        assert 0.005 < expected < 0.5
        assert found.p_value == pytest.approx(expected, abs=5 * np.sqrt(expected / N_DRAWS))
        assert found == chi_square_counts(a, b, seed=0)
        assert found.p_value == chi_square_counts(b, a).p_value
        assert len({chi_square_counts(a, b, seed=seed).p_value for seed in range(5)}) > 1

    def test_where_the_sampler_ends_the_limit_takes_over(self):
        """A billion rows and one of them alone: numpy cannot draw such tables, scipy.special.chdtrc still answers."""
        a, b = np.array([10**9, 1, 0, *[2] * 30]), np.array([10**9, 0, 1, *[1] * 30])
        assert chi_square_counts(a, b).method == "asymptotic"

    def test_seed_is_checked(self):
        """A negative seed is refused at once, not when draws are needed."""
        with pytest.raises(ConfigurationError, match="seed=-1"):
            chi_square_counts([1, 2], [2, 1], seed=-1)


class TestShares:
    @given(filled)
    def test_jensen_shannon_is_scipys(self, table):
        """scipy.spatial.distance.jensenshannon(base=2)."""
        expected = distance.jensenshannon(*table, base=2)
        assert jensen_shannon_counts(*table).value == pytest.approx(expected, abs=2e-8)

    @given(filled)
    def test_hellinger_is_the_affinitys_complement(self, table):
        """H^2 = 1 - sum sqrt(p q), by the standard library."""
        n, m = map(sum, table)
        affinity = math.fsum(math.sqrt(i / n * j / m) for i, j in zip(*table, strict=True))
        assert hellinger_counts(*table).value ** 2 == pytest.approx(1 - affinity, abs=1e-12)

    @given(filled)
    def test_psi_is_two_relative_entropies(self, table):
        """KL(p | q) + KL(q | p) by scipy.stats.entropy, with half a row more in every bin that holds rows."""
        a, b = (np.array(side) for side in table)
        full = a + b > 0
        p, q = a[full] + 0.5, b[full] + 0.5
        assert psi_counts(a, b).value == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p), abs=1e-12)

    def test_close_shares_keep_their_digits(self):
        """A difference of 1e-7 in a share gives sqrt(d^2 / (8 log 2) (1/p + 1/q)), not the noise of a subtraction."""
        found = jensen_shannon_counts([5_000_001, 4_999_999], [5_000_000, 5_000_000]).value
        assert found == pytest.approx(1e-7 / math.sqrt(8 * math.log(2)) * 2, rel=1e-6)


class TestDistances:
    @given(tables)
    @some
    @pytest.mark.parametrize("divergence", [*ORDERED, *UNORDERED])
    def test_are_symmetric(self, divergence, table):
        """Swapping the sides changes neither value nor p."""
        one, other = divergence(*table), divergence(*table[::-1])
        assert one.value == pytest.approx(other.value, nan_ok=True)
        assert (one.n_reference, one.n_batch) == (other.n_batch, other.n_reference)
        if one.p_value is not None:
            assert one.p_value == pytest.approx(other.p_value, nan_ok=True)

    @given(filled)
    @some
    @pytest.mark.parametrize("divergence", BOUNDED)
    def test_lie_between_zero_and_one(self, divergence, table):
        """Distances without a unit lie in [0, 1], p in (0, 1]."""
        found = divergence(*table)
        assert 0 <= found.value <= 1
        assert found.p_value is None or 0 < found.p_value <= 1

    @given(filled, st.integers(2, 5))
    @some
    @pytest.mark.parametrize("divergence", [f for f in [*ORDERED, *UNORDERED] if f is not psi_counts])
    def test_are_zero_for_equal_shares_only(self, divergence, table, times):
        """Equal shares of unequal n have distance 0 and p = 1; any other shares a distance above 0."""
        a, b = np.array(table)
        equal = divergence(a, times * a)
        assert equal.value == pytest.approx(0, abs=1e-8)
        assert equal.p_value is None or equal.p_value == pytest.approx(1)
        differ = (a * b.sum() != b * a.sum()).any()
        assert (divergence(a, b).value > 1e-6) == differ

    @given(filled)
    def test_psi_is_zero_for_equal_counts(self, table):
        """Equal counts have an index of exactly 0, different counts of one n a positive one, none an infinite one."""
        a, b = np.array(table)
        assert psi_counts(a, a).value == 0
        assert 0 <= psi_counts(a, b).value < np.inf
        assert psi_counts(a, b).value > 0 or a.sum() != b.sum() or (a == b).all()

    @given(filled, st.randoms(use_true_random=False))
    @some
    @pytest.mark.parametrize("divergence", UNORDERED)
    def test_of_shares_do_not_depend_on_the_order_of_bins(self, divergence, table, random):
        """Any order of bins gives the same value and p."""
        order = list(range(len(table[0])))
        random.shuffle(order)
        one, other = divergence(*table), divergence(*np.array(table)[:, order])
        assert one.value == pytest.approx(other.value)
        assert one.p_value == pytest.approx(other.p_value) if one.p_value else one.p_value == other.p_value

    @given(filled)
    @some
    @pytest.mark.parametrize("divergence", ORDERED)
    def test_of_ordered_bins_may_be_reversed(self, divergence, table):
        """The reversed order of bins gives the same value and p."""
        one, other = divergence(*table), divergence(*np.array(table)[:, ::-1])
        assert one.value == pytest.approx(other.value)
        assert one.p_value == pytest.approx(other.p_value) if one.p_value else one.p_value == other.p_value

    @given(filled, st.data())
    @some
    @pytest.mark.parametrize("divergence", [*TESTED, *UNORDERED])
    def test_bins_without_rows_change_nothing(self, divergence, table, data):
        """A bin that is empty on both sides can stand anywhere."""
        place = data.draw(st.integers(0, len(table[0])))
        one, other = divergence(*table), divergence(*np.insert(np.array(table), place, 0, axis=1))
        assert one.value == pytest.approx(other.value)
        assert one.p_value == pytest.approx(other.p_value) if one.p_value else one.p_value == other.p_value

    @given(tables, tables)
    @some
    @pytest.mark.parametrize("divergence", [*ORDERED, *UNORDERED])
    def test_leading_axes_are_tables_apart(self, divergence, one, other):
        """Two tables at once give what each gives alone; one reference broadcasts over many batches."""
        width = max(len(one[0]), len(other[0]))
        rows = np.array([[np.pad(side, (0, width - len(side))) for side in table] for table in (one, other)])
        found = divergence(rows[:, 0], rows[:, 1])
        alone = [divergence(*row) for row in rows]
        np.testing.assert_array_equal(found.value, [r.value for r in alone])
        np.testing.assert_array_equal(found.n_batch, [r.n_batch for r in alone])
        if found.p_value is not None:
            np.testing.assert_array_equal(found.p_value, [r.p_value for r in alone])
        assert divergence(rows[0, 0], rows[:, 1]).value.shape == (2,)

    def test_stacks_name_every_kind_of_p(self):
        """A stack of a small and a large table says that some p are exact and some not."""
        found = chi_square_counts([[3, 1], [50_000, 60_000]], [[1, 3], [50_000, 50_000]])
        assert found.method == "asymptotic or exact"
        assert str(found) == "2 values of Cramer's V"


class TestSamples:
    @given(tied, tied)
    @some
    @pytest.mark.parametrize("i", range(3))
    def test_of_ordered_values_are_counts_of_distinct_values(self, i, x, y):
        """With a bin for each distinct value, samples and counts give the same to the last bit."""
        values = sorted({*x, *y})
        a, b = ([side.count(v) for v in values] for side in (x, y))
        counted = wasserstein_counts(a, b, values) if i == 2 else ORDERED[i](a, b)
        assert ORDERED_SAMPLES[i](x, y) == counted

    @given(tied, tied)
    @some
    @pytest.mark.parametrize("i", range(4))
    def test_of_shares_are_counts_of_levels_or_bins(self, i, x, y):
        """Without edges distinct values are bins, as numbers and as text; edges make right-closed bins."""
        values = sorted({*x, *y})
        a, b = ([side.count(v) for v in values] for side in (x, y))
        text = [[chr(v + 100) for v in side] for side in (x, y)]
        assert BINNED_SAMPLES[i](x, y, edges=None) == UNORDERED[i](a, b) == BINNED_SAMPLES[i](*text, edges=None)
        a, b = ([sum(v <= 0 for v in side), sum(0 < v <= 2 for v in side), sum(v > 2 for v in side)] for side in (x, y))
        assert BINNED_SAMPLES[i](x, y, edges=[0, 2]) == UNORDERED[i](a, b)

    @given(tied, tied, st.randoms(use_true_random=False))
    @some
    @pytest.mark.parametrize("i", range(7))
    def test_do_not_depend_on_the_order_of_rows(self, i, x, y, random):
        """Shuffled rows give the same to the last bit."""
        of = ORDERED_SAMPLES[i] if i < 3 else lambda x, y: BINNED_SAMPLES[i - 3](x, y, edges=None)
        assert of(x, y) == of(random.sample(x, len(x)), random.sample(y, len(y)))

    @given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.lists(st.floats(-5, 5), min_size=1, max_size=6))
    @some
    @pytest.mark.parametrize("divergence", [kolmogorov_smirnov_samples, cramer_von_mises_samples])
    def test_of_ranks_do_not_depend_on_monotone_transforms(self, divergence, x, y):
        """Ranks in place of values, up or down, give the same value and p."""
        pooled = sorted({*x, *y})
        up = [[pooled.index(v) ** 3 for v in side] for side in (x, y)]
        assert divergence(*up) == divergence(x, y)
        down = divergence(*[[-v for v in side] for side in up])
        assert (down.value, down.p_value) == pytest.approx((divergence(x, y).value, divergence(x, y).p_value))

    def test_infinities_are_extreme_values(self):
        """For ranks an infinity is a largest or smallest value; in bins it falls into the outer one or its own."""
        x, y = [-np.inf, 1.0, np.inf, np.inf], [0.0, 1.0, 2.0, np.inf]
        finite = [-9.0, 1.0, 9.0, 9.0], [0.0, 1.0, 2.0, 9.0]
        for of in (kolmogorov_smirnov_samples, cramer_von_mises_samples):
            assert of(x, y) == of(*finite)
        for edges in (None, [0.5, 1.5], [-np.inf, 1.0]):
            close = edges if edges is None else [max(e, -8.0) for e in edges]
            assert hellinger_samples(x, y, edges=edges) == hellinger_samples(*finite, edges=close)

    def test_zeros_are_one_value(self):
        """Zero with and without a sign are tied."""
        assert kolmogorov_smirnov_samples([0.0, -0.0], [-0.0]).value == 0

    def test_huge_integers_are_told_apart(self):
        """Neighbours beyond 2**53 are two values, of one dtype and of int64 beside uint64."""
        assert kolmogorov_smirnov_samples(np.array([2**53]), np.array([2**53 + 1])).value == 1
        signed, unsigned = np.array([2**62 + 1, -1]), np.array([2**62, 2**64 - 1], dtype=np.uint64)
        assert jensen_shannon_samples(signed, unsigned, edges=None).value == 1
        assert wasserstein_samples(signed, unsigned).value == pytest.approx((2**64 - 1 - 1) / 2, rel=1e-9)

    @pytest.mark.parametrize(
        "text",
        [pd.Series(["a", "b", "b"]), pd.array(["a", "b", "b"]), pd.Categorical(["a", "b", "b"]), np.array(list("abb"))],
    )
    def test_text_comes_in_any_dress(self, text):
        """pandas str, string and category, numpy and lists of text."""
        assert chi_square_samples(text, ["a", "b", "b"], edges=None).value == 0

    @pytest.mark.parametrize(
        "bad",
        [
            ["a", None],
            ["a", np.nan],
            [1, "a"],
            pd.Series(["a", None]),
            pd.array([1, None], dtype="Int64"),
            [[1.0], [2.0]],
            [["a"], ["b"]],
            3.0,
            [1j],
            [2**70],
            np.array(["2020-01-01"], dtype="M8[D]"),
            [1.0, np.nan],
        ],
    )
    def test_other_values_are_refused(self, bad):
        """Missing, mixed, complex, nested or enormous values, and time stamps: an error that says what was expected."""
        for of in ORDERED_SAMPLES:
            with pytest.raises(DataError, match=r"expected a 1-D array of numbers|NaN"):
                of([1.0, 2.0], bad)
        for of in BINNED_SAMPLES:
            for reference in ([1.0, 2.0], ["a", "b"]):
                with pytest.raises(DataError, match=r"expected a 1-D array of numbers|NaN"):
                    of(reference, bad, edges=None)

    def test_text_has_no_edges(self):
        """Text in bins of numbers is refused."""
        with pytest.raises(DataError, match="expected a 1-D array of numbers"):
            psi_samples(["a"], ["b"], edges=[1.0])

    @pytest.mark.parametrize("edges", [[2.0, 1.0], [np.nan], [[1.0]], 1.0])
    def test_edges_are_checked(self, edges):
        """Out of order, NaN, nested, or a single number."""
        with pytest.raises(DataError, match="inner edges in order"):
            hellinger_samples([1.0], [2.0], edges=edges)


class TestDegenerate:
    @pytest.mark.parametrize("divergence", [*ORDERED, *UNORDERED])
    @pytest.mark.parametrize("table", [([0, 0], [1, 2]), ([1, 2], [0, 0]), ([0, 0], [0, 0]), ([], [])])
    def test_an_empty_side_has_no_distance(self, divergence, table):
        """Value and p are NaN, counts stand, nothing is warned of."""
        found = divergence(*table)
        assert math.isnan(found.value)
        assert found.p_value is None or math.isnan(found.p_value)
        assert (found.n_reference, found.n_batch, found.method) == (sum(table[0]), sum(table[1]), "")

    @pytest.mark.parametrize("i", range(7))
    def test_empty_samples_have_no_distance(self, i):
        """Also beside text, which an empty list may be."""
        of = ORDERED_SAMPLES[i] if i < 3 else lambda x, y: BINNED_SAMPLES[i - 3](x, y, edges=None)
        assert math.isnan(of([], [1.0]).value)
        assert math.isnan(of([], []).value)
        if i >= 3:
            assert math.isnan(of(["a"], []).value)
            assert BINNED_SAMPLES[i - 3]([1.0], [], edges=[0.0]).n_reference == 1

    @pytest.mark.parametrize("i", range(7))
    @pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 700), (5_000, 4_000)])
    def test_equal_constants_are_equal(self, i, n, m):
        """One value on both sides: distance 0, p = 1, whatever the sizes."""
        of = ORDERED_SAMPLES[i] if i < 3 else lambda x, y: BINNED_SAMPLES[i - 3](x, y, edges=None)
        found = of(np.full(n, 7.5), np.full(m, 7.5))
        assert found.value == 0
        assert found.p_value in (None, 1)

    def test_one_row_against_many_distinct_ones(self):
        """A batch of one row: exact against 999 others, a limit law against 20,000."""
        for n, method in ((999, "exact"), (20_000, "asymptotic")):
            found = cramer_von_mises_samples(np.arange(n), [n])
            assert found.method == kolmogorov_smirnov_samples(np.arange(n), [n]).method == method
            assert found.p_value == pytest.approx(2 / (n + 1)) or method == "asymptotic"

    @pytest.mark.parametrize("divergence", TESTED)
    def test_p_is_never_zero(self, divergence):
        """A p too small for a float is given as 1e-300, which is valid."""
        assert divergence([10**6, 0], [0, 10**6]).p_value == 1e-300

    @pytest.mark.parametrize("divergence", [*ORDERED, *UNORDERED])
    @pytest.mark.parametrize(
        ("reference", "batch", "message"),
        [
            ([1, -1], [1, 1], "reference="),
            ([1, 1], [1, 0.5], "batch="),
            ([1, np.nan], [1, 1], "reference="),
            ([1, 1], [np.inf, 1], "batch="),
            ([1, 1], [1, 1, 1], "same bins"),
        ],
    )
    def test_what_is_no_count_is_refused(self, divergence, reference, batch, message):
        """Negative, broken, missing or infinite counts, and other bins."""
        with pytest.raises(DataError, match=message):
            divergence(reference, batch)

    def test_a_single_number_is_no_table(self):
        """Counts need an axis of bins."""
        with pytest.raises(DataError, match="same bins"):
            psi_counts(3, 4)

    def test_many_rows_stay_finite(self):
        """Counts of 1e15 give plain numbers without a warning."""
        for divergence in [*ORDERED, *UNORDERED]:
            found = divergence([10**15, 1, 0], [10**15, 10**15, 1])
            assert np.isfinite(found.value)
            assert found.p_value is None or 0 < found.p_value < 1


class TestDivergence:
    @given(tables)
    @some
    @pytest.mark.parametrize("divergence", [*ORDERED, *UNORDERED])
    def test_travels_as_json(self, divergence, table):
        """One table and a stack come back equal to the last bit, NaN and None included."""
        for found in (divergence(*table), divergence([table[0]] * 2, table[1])):
            assert formats.from_json(formats.to_json(found), Divergence) == found

    def test_equality_looks_at_every_field(self):
        """A missing p is no number, and NaN equals itself."""
        one = Divergence("PSI", math.nan, None, 0, 1)
        assert one == Divergence("PSI", math.nan, None, 0, 1)
        assert one != Divergence("PSI", math.nan, 1.0, 0, 1)
        assert one != Divergence("PSI", 0.0, None, 0, 1)

    def test_prints_the_answer(self):
        """Name, value, sizes, and p with where it comes from; nothing is said of a p that is not there."""
        assert str(hellinger_counts([1, 0], [0, 1])) == "Hellinger distance 1 (n=1 and 1)"
        assert str(kolmogorov_smirnov_counts([1, 0], [0, 1])).endswith("p=1 at one look (exact)")
        assert str(kolmogorov_smirnov_counts([1, 0], [0, 0])) == "Kolmogorov-Smirnov distance nan (n=1 and 0)"


class TestEdges:
    """Huge and odd tables: the right answer, or an error that says what was expected."""

    @pytest.mark.parametrize("size", [10**8, 10**10, 10**12])
    def test_two_rows_among_billions(self, size):
        """Fisher's exact p of [[2, N], [1, 9]] in exact integers: math.comb."""
        a, b = (2, size), (1, 9)
        n, m, k = sum(a), sum(b), a[0] + b[0]
        chance = [math.comb(n, i) * math.comb(m, k - i) for i in range(k + 1)]
        p = sum(c for c in chance if c <= chance[a[0]]) / sum(chance)
        assert chi_square_counts(a, b).p_value == pytest.approx(p, rel=0.1)

    def test_one_row_among_a_million(self):
        """The single row lies on one side with probability n/(n + m), and there it is as extreme."""
        found = cramer_von_mises_counts([1, 499_997], [0, 649_997])
        assert found.p_value == pytest.approx(499_998 / (499_998 + 649_997), rel=1e-6)

    def test_apart_is_one_and_no_more(self):
        """Rounding takes no value beyond its range."""
        assert chi_square_counts([481, 592, 1332, 0, 0, 0], [0, 0, 0, 1230, 1025, 697]).value <= 1

    @pytest.mark.parametrize("ask", [psi_counts, chi_square_counts, kolmogorov_smirnov_counts])
    @pytest.mark.parametrize(
        ("a", "b"),
        [([[1, 1]] * 3, [[1, 0]] * 2), (["a", "b"], ["c", "d"]), ([1e300, 1], [1e300, 3]), ([1, -1], [1, 1])],
    )
    def test_what_is_no_pair_of_tables(self, ask, a, b):
        """Shapes that do not go together, text, more rows than there can be, and fewer than none."""
        with pytest.raises(DataError):
            ask(a, b)

    def test_positions_of_several_tables(self):
        """Positions per table go with counts per table; other shapes are refused."""
        found = wasserstein_counts([1, 1], [1, 0], positions=[[0, 1], [0, 2]])
        assert found.value.tolist() == [0.5, 1.0]
        assert found.n_reference.tolist() == [2, 2]
        with pytest.raises(DataError, match="do not go together"):
            wasserstein_counts([[1, 1]] * 3, [[1, 0]] * 3, positions=[[0, 1], [0, 2]])
