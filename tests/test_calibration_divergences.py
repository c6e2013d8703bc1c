"""The p-values of divergences, of one look: valid where they are exact or drawn, close where they are limits.

Sides are rows of one law, in small, tied, skewed and sparse tables. Next to each promise stands what breaks it: a limit
law where cells are nearly empty, a finite-sample formula for another problem, ties that are ignored, and a second look.
The bias of distances without a p is counted as well, because their docstrings state it.
"""

import numpy as np
import pytest
from scipy import stats

from mlopskit.stats.divergences import (
    N_DRAWS,
    chi_square_counts,
    cramer_von_mises_counts,
    hellinger_counts,
    jensen_shannon_counts,
    kolmogorov_smirnov_counts,
    psi_counts,
)

from counting import RISK, check_mean, check_rate, check_uniform, log_capital, record, uniform_gap

pytestmark = pytest.mark.slow

LEVELS = (0.01, 0.05, 0.2)
TESTED = {
    "Kolmogorov-Smirnov": kolmogorov_smirnov_counts,
    "Cramer-von Mises": cramer_von_mises_counts,
    "chi-square": chi_square_counts,
}


def two_sides(rng, shares, n, m, runs):
    """Counts (runs, B) of n and of m rows of one law."""
    return rng.multinomial(n, shares, runs), rng.multinomial(m, shares, runs)


def without_ties(rng, n, m, runs):
    """The same for distinct values: who owns each of the n + m ranks is a random deal."""
    mine = rng.permuted(np.tile(np.arange(n + m) < n, (runs, 1)), axis=1).astype(np.int64)
    return mine, 1 - mine


def looked_up(divergence, a, b):
    """Value and p of every run, and where p comes from; equal tables are computed once."""
    distinct, place = np.unique(np.concatenate([a, b], axis=1), axis=0, return_inverse=True)
    found = divergence(distinct[:, : a.shape[1]], distinct[:, a.shape[1] :])
    return found.value[place.ravel()], found.p_value[place.ravel()], found.method


SMALL = {
    "2 equal bins, n=10, m=10": ([0.5, 0.5], 10, 10),
    "2 bins, one rare, n=5, m=30": ([0.1, 0.9], 5, 30),
    "4 skewed bins, n=12, m=20": ([0.6, 0.25, 0.1, 0.05], 12, 20),
    "6 bins, nearly empty, n=6, m=9": (np.full(6, 1 / 6), 6, 9),
}


class TestExact:
    @pytest.mark.parametrize("test", TESTED)
    @pytest.mark.parametrize("null", SMALL)
    def test_small_tables(self, test, null):
        """P(p <= a) <= a at every a, in 2 x 2 and 2 x B tables with few rows."""
        _, p, method = looked_up(TESTED[test], *two_sides(np.random.default_rng(1), *SMALL[null], 6_000))
        assert method == "exact"
        for level in LEVELS:
            check_rate(f"exact p of {test}: P(p <= a) <= a", f"{null}, a={level}", p <= level, level)

    @pytest.mark.parametrize(("test", "n", "m"), [("Kolmogorov-Smirnov", 25, 30), ("Cramer-von Mises", 6, 8)])
    def test_samples_without_ties(self, test, n, m):
        """P(p <= a) <= a for continuous values, and hardly less: the largest gap is an atom of p."""
        _, p, method = looked_up(TESTED[test], *without_ties(np.random.default_rng(2), n, m, 3_000))
        assert method == "exact"
        for level in LEVELS:
            check_rate(f"exact p of {test}: P(p <= a) <= a", f"no ties, n={n}, m={m}, a={level}", p <= level, level)
        atom = max((p == value).mean() for value in np.unique(p))
        assert uniform_gap(p)[0] <= atom + uniform_gap(p)[1]

    def test_every_attainable_level_is_kept_given_the_margins(self):
        """No simulation: over all tables with these margins, the chance of p <= a is a for each attainable a."""
        totals, n = np.array([5, 4, 3, 2]), 6
        cells = np.stack(np.meshgrid(*(np.arange(t + 1) for t in totals), indexing="ij"), axis=-1).reshape(-1, 4)
        cells = cells[cells.sum(axis=1) == n]
        chance = stats.multivariate_hypergeom(totals, n).pmf(cells)
        for name, divergence in TESTED.items():
            p = divergence(cells, totals - cells).p_value
            kept = [chance[p <= a * (1 + 1e-9)].sum() / a for a in np.unique(p)]
            record(f"exact p of {name}: P(p <= a) / a over all a", "all tables of (5, 4, 3, 2), n=6", max(kept), 1, 1)
            assert max(kept) == pytest.approx(1)


class TestDrawn:
    def test_sparse_tables(self):
        """P(p <= a) <= a for p of seeded draws, and p is close to uniform on its 2,000 steps."""
        shares = np.arange(1, 31) / 465
        a, b = two_sides(np.random.default_rng(3), shares, 60, 90, 500)
        found = chi_square_counts(a, b)
        assert found.method == "monte carlo"
        for level in LEVELS:
            null = f"30 sparse bins, n=60, m=90, a={level}"
            check_rate("drawn p of chi-square: P(p <= a) <= a", null, found.p_value <= level, level)
        dithered = found.p_value - np.random.default_rng(4).random(500) / (1 + N_DRAWS)
        check_uniform("drawn p of chi-square: gap to uniform", "30 sparse bins, n=60, m=90", dithered)

    def test_the_limit_law_would_be_found(self):
        """On sparse tables of unequal sides the chi-square law breaks the same count: teeth, and why draws are made."""
        shares = np.concatenate([[0.9], np.full(50, 0.002)])
        a, b = two_sides(np.random.default_rng(5), shares, 20, 980, 500)
        found = chi_square_counts(a, b)
        degrees = ((a + b) > 0).sum(axis=1) - 1
        limit = stats.chi2.sf(found.value**2 * 1_000, degrees)
        check_rate("drawn p of chi-square: P(p <= a) <= a", "n=20, m=980, a=.01", found.p_value <= 0.01, 0.01)
        assert (limit <= 0.01).mean() > 0.03


class TestLimits:
    def test_chi_square(self):
        """Where every cell expects five rows the limit law is met within the band, and within a tenth at a = .01."""
        _, p, method = looked_up(
            chi_square_counts, *two_sides(np.random.default_rng(6), np.arange(1, 11) / 55, 500, 400, 20_000)
        )
        assert "asymptotic" in method
        check_uniform("limit p of chi-square: gap to uniform", "10 bins, n=500, m=400", p)
        check_rate("limit p of chi-square: P(p <= a) <= 1.1 a", "10 bins, n=500, m=400, a=.01", p <= 0.01, 0.011)

    @pytest.mark.parametrize(
        "null", ["no ties, n=30, m=40", "20 bins, n=300, m=200", "3 skewed bins, n=3,000, m=3,000"]
    )
    def test_cramer_von_mises(self, null):
        """Three cumulants given the ties: P(p <= a) <= 1.1 a, and p is above .5 in 45 to 55% of the runs."""
        rng, runs = np.random.default_rng(7), 20_000
        if null.startswith("no ties"):
            a, b = without_ties(rng, 30, 40, runs)
        elif null.startswith("20"):
            a, b = two_sides(rng, np.full(20, 0.05), 300, 200, runs)
        else:
            a, b = two_sides(rng, [0.9, 0.06, 0.04], 3_000, 3_000, runs)
        found = cramer_von_mises_counts(a, b)
        assert found.method == "asymptotic"
        for level in (0.001, *LEVELS):
            hit = found.p_value <= level
            check_rate("limit p of Cramer-von Mises: P(p <= a) <= 1.1 a", f"{null}, a={level}", hit, 1.1 * level)
        half = (found.p_value <= 0.5).mean()
        record("limit p of Cramer-von Mises: P(p > .5) <= .55", null, 1 - half, 0.55, runs)
        assert 0.45 <= half <= 0.55

    def test_ties_that_are_ignored_would_be_found(self):
        """Two bins against the tables for continuous values (Anderson and Darling 1952): twice too often at .001."""
        a, b = two_sides(np.random.default_rng(8), [0.5, 0.5], 2_000, 2_000, 100_000)
        value, p, method = looked_up(cramer_von_mises_counts, a, b)
        assert method == "exact"
        check_rate("exact p of Cramer-von Mises: P(p <= a) <= a", "2 bins, n=2,000, m=2,000, a=.001", p <= 0.001, 0.001)
        classical = value**2 * 1_000 >= 1.16786
        assert classical.sum() > stats.binom.ppf(1 - RISK, 100_000, 0.001)

    @pytest.mark.parametrize("null", ["no ties, n=800, m=700", "20 bins, n=3,000, m=2,000"])
    def test_kolmogorov_smirnov(self, null):
        """Kolmogorov's limit is valid: P(p <= a) <= 1.02 a; ties make it too large."""
        rng, runs = np.random.default_rng(9), 2_000 if null.startswith("no ties") else 20_000
        sides = (
            without_ties(rng, 800, 700, runs)
            if runs == 2_000
            else two_sides(rng, np.full(20, 0.05), 3_000, 2_000, runs)
        )
        found = kolmogorov_smirnov_counts(*sides)
        assert found.method == "asymptotic"
        for level in LEVELS:
            hit = found.p_value <= level
            check_rate("limit p of Kolmogorov-Smirnov: P(p <= a) <= 1.02 a", f"{null}, a={level}", hit, 1.02 * level)

    def test_the_one_sample_formula_would_be_found(self):
        """The one-sample law at nm/(n+m) rows, used elsewhere for two samples, is too small for n = m = 20: teeth."""
        found = kolmogorov_smirnov_counts(*without_ties(np.random.default_rng(10), 20, 20, 10_000))
        claim, null = "exact p of Kolmogorov-Smirnov: P(p <= a) <= a", "no ties, n=20, m=20, a=.023"
        check_rate(claim, null, found.p_value <= 0.023, 0.023)
        hit = stats.kstwo.sf(found.value, 10) <= 0.023
        assert hit.sum() > stats.binom.ppf(1 - RISK, 10_000, 0.023)


class TestOneLook:
    def test_a_second_look_voids_p(self):
        """Bets on p against fresh references keep E <= 1; against one reference the same bets break it."""
        rng, runs, looks, shares = np.random.default_rng(11), 2_000, 20, np.full(5, 0.2)
        batches = rng.multinomial(200, shares, (looks, runs))
        fresh = chi_square_counts(rng.multinomial(200, shares, (looks, runs)), batches).p_value
        same = chi_square_counts(rng.multinomial(200, shares, runs), batches).p_value
        bets = {name: np.prod(0.5 * p**-0.5, axis=0) for name, p in (("fresh", fresh), ("same", same))}
        check_mean("bets on p of chi-square: E <= 1", "20 looks, a fresh reference each", bets["fresh"])
        assert log_capital(bets["same"]) > np.log(1 / RISK)


class TestBias:
    @pytest.mark.parametrize(("n", "m", "n_bins"), [(1_000, 1_000, 20), (5_000, 500, 10), (2_000, 300, 5)])
    def test_distances_without_change(self, n, m, n_bins):
        """Without change the means are (B - 1)(1/n + 1/m) times 1, 1/8 and 1/(8 log 2), within 5%."""
        a, b = two_sides(np.random.default_rng(12), np.full(n_bins, 1 / n_bins), n, m, 20_000)
        stated = (n_bins - 1) * (1 / n + 1 / m)
        measured = {
            "PSI": psi_counts(a, b).value.mean() / stated,
            "squared Hellinger": 8 * (hellinger_counts(a, b).value ** 2).mean() / stated,
            "squared Jensen-Shannon": 8 * np.log(2) * (jensen_shannon_counts(a, b).value ** 2).mean() / stated,
        }
        for name, ratio in measured.items():
            record(f"{name}: mean without change / stated", f"{n_bins} bins, n={n}, m={m}", ratio, 1.05, 20_000)
            assert ratio == pytest.approx(1, abs=0.05)
