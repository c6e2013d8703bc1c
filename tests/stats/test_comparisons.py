"""Two groups, two models, two answers: against enumeration, integrals, plain loops and fixed-sample tests."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import betaln
from scipy.stats import beta as beta_law
from scipy.stats import binom, binomtest

from mlopskit import formats
from mlopskit.errors import ConfigurationError, DataError, FormatError, StateMismatch
from mlopskit.stats.sequential import (
    McNemar,
    PairedCapital,
    TwoRates,
    gate_alpha,
    log_lifetime,
    log_mcnemar,
    log_mean_exp,
    log_two_rates,
)
from mlopskit.stats.sequential.comparisons import DECAYS

rates = st.floats(0.001, 0.999)
tolerances = st.sampled_from([0.0, 0.1, 0.3])
GRID = (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999)


def same(a, b):
    """Two states agree in every field to the last bit."""
    return formats.to_json(a) == formats.to_json(b)


def through_json(state):
    return formats.from_json(formats.to_json(state), type(state))


def divergence(guess, null):
    """Relative entropy of two coins."""
    return guess * math.log(guess / null) + (1 - guess) * math.log((1 - guess) / (1 - null))


def null_pairs(tolerance):
    """Pairs of true rates whose gap is at most the tolerance: equal ones, the edges and the corners."""
    for p in (0.0, 0.02, 0.2, 0.5, 0.8, 0.98, 1.0):
        for gap in (-tolerance, -tolerance / 2, 0.0, tolerance / 2, tolerance):
            if 0 <= p + gap <= 1:
                yield p, p + gap


def expectation(n_a, n_b, law_a, law_b, rate_a, rate_b, tolerance):
    """E[e] over all outcomes; a law is the values of a sum and their probabilities."""
    (s_a, chance_a), (s_b, chance_b) = law_a, law_b
    log_e = log_two_rates(s_a[:, None], n_a, s_b, n_b, rate_a, rate_b, tolerance)
    return float(chance_a @ np.exp(log_e) @ chance_b)


def coins(n, rate):
    return np.arange(n + 1.0), binom.pmf(np.arange(n + 1), n, rate)


def soft(n, mean, softness):
    """The sum of n scores 0, 1/2, 1 with this mean; `softness` of the smaller tail lies in the middle."""
    middle = softness * min(mean, 1 - mean)
    chance = np.array([1.0])
    for _ in range(n):
        chance = np.convolve(chance, [1 - mean - middle / 2, middle, mean - middle / 2])
    return np.arange(2 * n + 1) / 2, chance


class TestTwoRatesOfOneBatch:
    @pytest.mark.parametrize("tolerance", [0.0, 0.1, 0.3])
    @pytest.mark.parametrize(("n_a", "n_b"), [(1, 1), (5, 5), (1, 12), (12, 1), (3, 9)])
    def test_its_expectation_is_at_most_one(self, n_a, n_b, tolerance):
        """E[e] <= 1 over all outcomes, for every guess of a grid and every pair of rates of the null."""
        s_a, s_b = np.arange(n_a + 1)[:, None, None, None], np.arange(n_b + 1)[:, None, None]
        e = np.exp(log_two_rates(s_a, n_a, s_b, n_b, np.array(GRID)[:, None], GRID, tolerance))
        for true_a, true_b in null_pairs(tolerance):
            mean = np.einsum("i,j,ijab->ab", coins(n_a, true_a)[1], coins(n_b, true_b)[1], e)
            assert (mean <= 1 + 1e-9).all(), (true_a, true_b)

    @pytest.mark.parametrize("tolerance", [0.0, 0.1, 0.3])
    def test_the_hardest_null_is_the_nearest(self, tolerance):
        """At the null's nearest pair E[e] = 1: nothing is given away; a pair a little outside breaks it."""
        for n_a, n_b, a, b in [(4, 4, 0.8, 0.3), (2, 9, 0.2, 0.95), (9, 3, 0.6, 0.05)]:

            def distance(p, n_a=n_a, n_b=n_b, a=a, b=b):
                return n_a * divergence(a, p) + n_b * divergence(b, p - math.copysign(tolerance, a - b))

            low, high = (tolerance, 1) if a > b else (0, 1 - tolerance)
            p = minimize_scalar(
                distance, bounds=(low + 1e-9, high - 1e-9), method="bounded", options={"xatol": 1e-12}
            ).x
            q = p - math.copysign(tolerance, a - b)
            assert expectation(n_a, n_b, coins(n_a, p), coins(n_b, q), a, b, tolerance) == pytest.approx(1, abs=1e-6)
            further = p + math.copysign(0.02, a - b)
            assert expectation(n_a, n_b, coins(n_a, further), coins(n_b, q), a, b, tolerance) > 1.001

    @given(rates, rates, st.integers(1, 60), st.integers(1, 60), tolerances, st.data())
    def test_it_is_the_likelihood_ratio_against_the_nearest_pair(self, a, b, n_a, n_b, tolerance, data):
        """scipy's binomial likelihoods, the null's pair found by scipy's scalar minimiser."""
        s_a, s_b = data.draw(st.integers(0, n_a)), data.draw(st.integers(0, n_b))
        log_e = log_two_rates(s_a, n_a, s_b, n_b, a, b, tolerance)
        if abs(a - b) <= tolerance:
            assert log_e == 0
            return
        d = math.copysign(tolerance, a - b)
        if tolerance == 0:
            p = (n_a * a + n_b * b) / (n_a + n_b)
        else:
            p = minimize_scalar(
                lambda p: n_a * divergence(a, p) + n_b * divergence(b, p - d),
                bounds=(min(a, b + d), max(a, b + d)),
                method="bounded",
                options={"xatol": 1e-13},
            ).x
        expected = binom.logpmf(s_a, n_a, a) - binom.logpmf(s_a, n_a, p)
        expected += binom.logpmf(s_b, n_b, b) - binom.logpmf(s_b, n_b, p - d)
        assert log_e == pytest.approx(expected, abs=1e-3, rel=1e-4)

    @given(
        st.lists(st.sampled_from([0.0, 0.1, 0.4, 0.7, 1.0]), min_size=1, max_size=5),
        st.lists(st.sampled_from([0.0, 0.1, 0.4, 0.7, 1.0]), min_size=1, max_size=5),
        rates,
        rates,
        st.sampled_from([0.0, 0.7, 1.0]),
    )
    def test_rows_of_unequal_means_and_soft_scores(self, means_a, means_b, a, b, softness):
        """The tolerance is the groups' own gap: E[e] <= 1 although rows differ and scores lie between 0 and 1."""
        tolerance = min(abs(np.mean(means_a) - np.mean(means_b)), 0.99)
        laws = []
        for means in (means_a, means_b):
            chance = np.array([1.0])
            for mean in means:
                chance = np.convolve(chance, soft(1, mean, softness)[1])
            laws.append((np.arange(len(chance)) / 2, chance))
        if abs(np.mean(means_a) - np.mean(means_b)) <= tolerance:
            assert expectation(len(means_a), len(means_b), *laws, a, b, tolerance) <= 1 + 1e-9

    @pytest.mark.parametrize("tolerance", [0.0, 0.1, 0.3])
    def test_soft_scores_gain_less_than_coins(self, tolerance):
        """Scores 0, 1/2, 1 of the same means: E[e] is at most that of coins, and at most 1."""
        for a, b in [(0.8, 0.2), (0.1, 0.6), (0.99, 0.5)]:
            for true_a, true_b in null_pairs(tolerance):
                hard = expectation(3, 7, coins(3, true_a), coins(7, true_b), a, b, tolerance)
                easy = expectation(3, 7, soft(3, true_a, 0.8), soft(7, true_b, 0.8), a, b, tolerance)
                assert easy <= hard + 1e-12 <= 1 + 1e-9

    @given(rates, rates, st.integers(1, 200), st.integers(1, 200), tolerances, st.data())
    def test_symmetries(self, a, b, n_a, n_b, tolerance, data):
        """Swapping the groups, or successes and failures, changes nothing."""
        s_a, s_b = data.draw(st.integers(0, n_a)), data.draw(st.integers(0, n_b))
        log_e = float(log_two_rates(s_a, n_a, s_b, n_b, a, b, tolerance))
        swapped = log_two_rates(s_b, n_b, s_a, n_a, b, a, tolerance)
        failures = log_two_rates(n_a - s_a, n_a, n_b - s_b, n_b, 1 - a, 1 - b, tolerance)
        assert swapped == pytest.approx(log_e, abs=1e-8, rel=1e-9)
        assert failures == pytest.approx(log_e, abs=1e-6, rel=1e-6)

    @given(rates, rates, st.integers(1, 50), st.integers(1, 50), tolerances, st.data())
    def test_monotone(self, a, b, n_a, n_b, tolerance, data):
        """A success more in the group that was guessed higher is more evidence."""
        s_a, s_b = data.draw(st.integers(0, n_a - 1)), data.draw(st.integers(0, n_b))
        more = log_two_rates(s_a + 1, n_a, s_b, n_b, a, b, tolerance)
        less = log_two_rates(s_a, n_a, s_b, n_b, a, b, tolerance)
        assert (more - less) * np.sign(a - b) >= -1e-9

    @given(st.floats(0.01, 0.49), st.integers(1, 100))
    def test_a_wider_tolerance_is_harder_to_refute(self, tolerance, n):
        """Counts as guessed: their evidence falls with the tolerance and is 0 from the guess's own gap on."""
        found = [float(log_two_rates(0.75 * n, n, 0.25 * n, n, 0.75, 0.25, d)) for d in (0.0, tolerance, 0.5, 0.9)]
        assert found[0] > found[1] > 0
        assert found[2:] == [0.0, 0.0]

    def test_without_rows_there_is_no_evidence(self):
        """One group empty, both empty, an empty array, and equal guesses: log e = 0; nothing warns."""
        for tolerance in (0.0, 0.2):
            assert log_two_rates(3, 5, 0, 0, 0.9, 0.1, tolerance) == 0
            assert log_two_rates(0, 0, 3, 5, 0.9, 0.1, tolerance) == 0
            assert log_two_rates(0, 0, 0, 0, 0.9, 0.1, tolerance) == 0
            assert log_two_rates(3, 5, 2, 5, 0.4, 0.4, tolerance) == 0
            assert log_two_rates([], 5, 2, 5, 0.4, 0.6, tolerance).shape == (0,)

    @given(rates, rates, st.floats(0, 0.999))
    def test_guesses_inside_the_null_never_warn(self, a, b, tolerance):
        """The root finder meets no pair there; the answer is 0 all the same."""
        if abs(a - b) <= tolerance:
            assert log_two_rates(5, 10, 5, 10, a, b, tolerance) == 0

    def test_a_guess_whose_null_would_lie_outside(self):
        """Guesses .9 and .8 with tolerance .3: (p, p - .3) around them passes p = 1 exactly, without a warning."""
        assert log_two_rates(5, 10, 5, 10, 0.9, 0.8, 0.3) == 0

    @pytest.mark.parametrize("tolerance", [0.0, 0.1, 0.9])
    def test_extreme_guesses_stay_finite(self, tolerance):
        """Guesses next to 0 and 1, and outcomes that contradict them: a very small e-value, not an infinite one."""
        for a, b in [(1e-300, 1 - 1e-16), (1 - 1e-16, 1e-300), (1e-13, 0.95)]:
            for s_a, s_b in itertools.product((0, 10), (0, 10)):
                assert np.isfinite(log_two_rates(s_a, 10, s_b, 10, a, b, tolerance))

    def test_it_broadcasts(self):
        """Counts, guesses and groups stand on any axes; each entry is what it would be alone."""
        s, guess = np.arange(4)[:, None], np.array([0.2, 0.6, 0.9])
        table = log_two_rates(s, 4, 1, 6, guess, 0.3, 0.1)
        assert table.shape == (4, 3)
        assert table[2, 2] == log_two_rates(2, 4, 1, 6, 0.9, 0.3, 0.1)

    @pytest.mark.parametrize(
        "counts", [(-1, 5, 1, 5), (6, 5, 1, 5), (1, 5, 1, np.inf), (np.nan, 5, 1, 5), (1, np.nan, 1, 5), (1, 5, 2, 1)]
    )
    def test_counts_that_cannot_be_are_refused(self, counts):
        """0 <= s <= n < infinity for both groups."""
        with pytest.raises(DataError, match=r"sums in \[0, n\]"):
            log_two_rates(*counts, 0.4, 0.5)

    @pytest.mark.parametrize("guess", [0.0, 1.0, -0.1, np.nan])
    def test_guesses_that_cannot_be_are_refused(self, guess):
        """A guess of 0 or 1 would bet everything on one row."""
        for pair in ((guess, 0.5), (0.5, guess)):
            with pytest.raises(DataError, match="guessed rates between 0 and 1"):
                log_two_rates(1, 5, 1, 5, *pair)

    @pytest.mark.parametrize("tolerance", [-0.1, 1.0, np.nan])
    def test_tolerances_that_cannot_be_are_refused(self, tolerance):
        """A gap of 1 or more is always in control; a negative one never."""
        with pytest.raises(ConfigurationError, match=r"tolerance=.*\[0, 1\)"):
            log_two_rates(1, 5, 1, 5, 0.4, 0.5, tolerance)
        with pytest.raises(ConfigurationError, match=r"tolerance=.*\[0, 1\)"):
            TwoRates.start(tolerance=tolerance)


@st.composite
def group_batches(draw, questions=2):
    """Batches of counts for some questions, empty groups included, with soft sums."""
    batches = []
    for _ in range(draw(st.integers(0, 6))):
        n = np.array(draw(st.lists(st.integers(0, 40), min_size=2 * questions, max_size=2 * questions)), dtype=float)
        share = np.array(draw(st.lists(st.floats(0, 1), min_size=2 * questions, max_size=2 * questions)))
        n, s = n.reshape(2, questions), np.minimum(n * share, n).reshape(2, questions)
        batches.append((s[0], n[0], s[1], n[1]))
    return batches


class TestTwoRates:
    @settings(max_examples=50)
    @given(group_batches(), st.integers(0, 6), tolerances)
    def test_split_is_whole_through_json(self, batches, cut, tolerance):
        """Written and read back between any two batches, the state stays the same to the last bit."""
        whole = TwoRates.start(shape=(2,), tolerance=tolerance)
        halves = whole
        for t, batch in enumerate(batches):
            whole = whole.update(*batch)
            halves = (through_json(halves) if t == cut else halves).update(*batch)
        assert same(whole, through_json(halves))
        assert whole == halves
        assert whole.t == len(batches)

    @settings(max_examples=50)
    @given(group_batches(questions=1), tolerances)
    def test_it_is_the_plain_loop(self, batches, tolerance):
        """Two decays, guesses from batches before, starts weighted 1/(k(k+1)): the loop gives the same."""
        state = TwoRates.start(shape=(1,), tolerance=tolerance)
        log_m, past = [-np.inf] * len(DECAYS), [[0.0] * 4 for _ in DECAYS]
        for t, batch in enumerate(batches, start=1):
            state = state.update(*batch)
            s_a, n_a, s_b, n_b = (float(v[0]) for v in batch)
            for i, decay in enumerate(DECAYS):
                rate_a, rate_b = (past[i][0] + 0.18) / (past[i][1] + 0.36), (past[i][2] + 0.18) / (past[i][3] + 0.36)
                log_e = log_two_rates(s_a, n_a, s_b, n_b, rate_a, rate_b, tolerance)
                log_m[i] = log_lifetime(log_m[i], log_e, t)
                past[i] = [decay * old + new for old, new in zip(past[i], (s_a, n_a, s_b, n_b), strict=True)]
        np.testing.assert_allclose(state.log_m[0], log_m, atol=1e-9)
        np.testing.assert_allclose(state.past[0], past)
        np.testing.assert_allclose(state.log_value(), [log_mean_exp(log_m)], atol=1e-9)

    def test_its_expectation_stays_below_one_by_enumeration(self):
        """Three batches of 2 and 3 rows, all 1,728 outcomes: E[M_t] + 1/(t+1) <= 1 for rates of the null."""
        outcomes = np.array(list(itertools.product(*[range(3), range(4)] * 3))).reshape(-1, 3, 2)
        for tolerance in (0.0, 0.2):
            for rate_a, rate_b in null_pairs(tolerance):
                chance = (binom.pmf(outcomes[..., 0], 2, rate_a) * binom.pmf(outcomes[..., 1], 3, rate_b)).prod(axis=1)
                state = TwoRates.start(shape=(len(outcomes),), tolerance=tolerance)
                for t in range(3):
                    state = state.update(outcomes[:, t, 0], 2, outcomes[:, t, 1], 3)
                    assert chance @ np.exp(state.log_value()) + 1 / (t + 2) <= 1 + 1e-9

    @settings(max_examples=30)
    @given(group_batches(), tolerances)
    def test_swapping_the_groups_changes_nothing(self, batches, tolerance):
        """Which group is called a does not matter."""
        one = two = TwoRates.start(shape=(2,), tolerance=tolerance)
        for s_a, n_a, s_b, n_b in batches:
            one, two = one.update(s_a, n_a, s_b, n_b), two.update(s_b, n_b, s_a, n_a)
        np.testing.assert_allclose(one.log_value(), two.log_value(), atol=1e-7)

    def test_questions_do_not_know_each_other(self):
        """A stack moves as each question would alone; scalars count for every question."""
        rng = np.random.default_rng(0)
        together, alone = TwoRates.start(shape=(2, 3)), TwoRates.start()
        for s in rng.integers(0, 20, (10, 2, 3)):
            together, alone = together.update(s, 20, 5, 12), alone.update(s[1, 2], 20, 5, 12)
        assert together.log_value().shape == (2, 3)
        assert together.log_value()[1, 2] == alone.log_value()

    def test_empty_batches(self):
        """Without rows there is only the weight of the starts, t/(t+1); the guess fades, nothing is lost."""
        state = TwoRates.start()
        for _ in range(9):
            state = state.update(0, 0, 0, 0)
        assert np.exp(state.log_value()) == pytest.approx(0.9)
        one_sided = TwoRates.start()
        for _ in range(9):
            one_sided = one_sided.update(7, 10, 0, 0)
        assert np.exp(one_sided.log_value()) == pytest.approx(0.9)
        assert one_sided.past[0].tolist() == [63, 90, 0, 0]

    @pytest.mark.parametrize("rate", [0, 1])
    def test_equal_rates_at_the_boundary(self, rate):
        """Both groups always fail or always succeed: finite, and no evidence is ever gained."""
        state = TwoRates.start()
        for _ in range(200):
            state = state.update(50 * rate, 50, 3 * rate, 3)
            assert state.log_value() <= 0

    def test_opposite_rates_alarm_soon(self):
        """All against none: 1/.05 within four batches of 5 rows, and evidence stays finite for ever."""
        state, values = TwoRates.start(), []
        for _ in range(500):
            state = state.update(5, 5, 0, 5)
            values.append(float(state.log_value()))
        assert values[3] > np.log(20)
        assert np.isfinite(values).all()
        assert (np.diff(values) > 0).all()

    def test_a_gap_within_the_tolerance_is_none(self):
        """Rates .5 and .4 for 200 batches: plain evidence passes any limit, with tolerance .2 there is none."""
        plain, tolerant = TwoRates.start(), TwoRates.start(tolerance=0.2)
        for _ in range(200):
            plain, tolerant = plain.update(50, 100, 40, 100), tolerant.update(50, 100, 40, 100)
        assert plain.log_value() > np.log(1e6)
        assert tolerant.log_value() <= 0

    def test_a_turned_dial_is_refused(self):
        """Another tolerance after the start voids the promise, in memory and on disk."""
        state = TwoRates.start(tolerance=0.1).update(3, 5, 2, 5)
        with pytest.raises(StateMismatch, match="TwoRates"):
            evolve(state, tolerance=0.2)
        with pytest.raises(StateMismatch, match="TwoRates"):
            formats.from_json(formats.to_json(state).replace('"tolerance":0.1', '"tolerance":0.2'), TwoRates)

    def test_shapes_that_do_not_fit_are_refused(self):
        """Evidence of two decays, four faded numbers for each, and counts for these questions."""
        with pytest.raises(ConfigurationError, match="expected log_m"):
            TwoRates(np.zeros(3), np.zeros((3, 4)))
        with pytest.raises(ConfigurationError, match="expected log_m"):
            TwoRates(np.zeros((5, 2)), np.zeros((2, 4)))
        state = TwoRates.start(shape=(3,))
        for counts in ([1, 2], np.zeros((2, 3)), np.zeros((3, 1))):
            with pytest.raises(DataError, match=r"questions of shape \(3,\)"):
                state.update(counts, 5, 1, 5)
            with pytest.raises(DataError, match=r"questions of shape \(3,\)"):
                state.update(*[counts] * 4)
        with pytest.raises(DataError, match=r"sums in \[0, n\]"):
            state.update(6, 5, 1, 5)

    def test_memory_does_not_grow(self):
        """The state is as long after 300 batches as after one."""
        state = TwoRates.start()
        before = len(formats.to_json(state.update(3, 5, 2, 5)))
        for _ in range(300):
            state = state.update(3, 5, 2, 5)
        assert len(formats.to_json(state)) <= before + 2


def paired_loop(d, *, margin=0.0, width=1.0, alpha=0.05, beta=0.05):
    """The recursion row by row: log capitals after each row, and the verdict."""
    total, squares, log_for, log_against, verdict, path = 0.0, 0.0, 0.0, 0.0, "inconclusive", []
    for n, value in enumerate(d, start=1):
        x = value - margin
        mean, square = total / n, (width**2 / 4 + squares) / n
        stake = mean / max(square, mean**2)
        log_for += math.log1p(min(max(stake, 0), 0.5 / (width + margin)) * x)
        log_against += math.log1p(-min(max(-stake, 0), 0.5 / (width - margin)) * x)
        total, squares = total + x, squares + x * x
        path.append((log_for, log_against))
        if verdict == "inconclusive" and log_for >= -math.log(alpha):
            verdict = "promote"
        elif verdict == "inconclusive" and log_against >= -math.log(beta):
            verdict = "reject"
    return path, verdict


differences = st.lists(st.floats(-1, 1) | st.sampled_from([-1.0, 0.0, 1.0]), max_size=40)
margins = st.sampled_from([0.0, 0.05, -0.1, 0.9, -0.9])


class TestPairedCapital:
    @settings(max_examples=60)
    @given(differences, margins, st.lists(st.integers(0, 40), max_size=4))
    def test_any_split_is_the_whole_through_json(self, d, margin, cuts):
        """Rows in one update, row by row, or cut anywhere and written in between: the same to the last bit."""
        start = PairedCapital(margin=margin)
        whole, rows, parts = start.update(d), start, start
        for value in d:
            rows = rows.update([value])
        for part in np.split(np.array(d, dtype=float), sorted(min(cut, len(d)) for cut in cuts)):
            parts = through_json(parts.update(part))
        assert same(whole, rows)
        assert same(whole, parts)
        assert whole.n == len(d)

    @settings(max_examples=10)
    @given(st.integers(0, 2**32), st.integers(1, 999))
    def test_long_streams_split_to_the_last_bit(self, seed, cut):
        """A thousand rows in one update and in two: vectorised logarithms agree wherever a row stands."""
        d = np.random.default_rng(seed).uniform(-1, 1, 1000)
        start = PairedCapital(margin=-0.01)
        assert same(start.update(d), through_json(start.update(d[:cut])).update(d[cut:]))

    @settings(max_examples=60)
    @given(differences, margins, st.sampled_from([1.0, 3.5]), st.sampled_from([0.05, 0.4]))
    def test_it_is_the_plain_loop(self, d, margin, width, alpha):
        """Capitals and verdict equal the loop over rows, at every row."""
        path, verdict = paired_loop(d, margin=margin, width=width, alpha=alpha)
        state = PairedCapital(margin=margin, width=width, alpha=alpha)
        for value, (log_for, log_against) in zip(d, path, strict=True):
            state = state.update([value])
            assert state.log_for == pytest.approx(log_for, abs=1e-9)
            assert state.log_against == pytest.approx(log_against, abs=1e-9)
        assert state.verdict == verdict

    @pytest.mark.parametrize("margin", [0.0, -0.1, 0.25])
    def test_its_expectation_is_one_by_enumeration(self, margin):
        """Eight rows of -1, 0, 1 with mean exactly at the margin: both capitals have mean 1; off it one falls."""
        law = np.array([0.4 - margin / 2, 0.2, 0.4 + margin / 2])
        worlds = np.array(list(itertools.product(range(3), repeat=8)))
        states = [PairedCapital(margin=margin).update(world - 1.0) for world in worlds]
        capital = np.exp([[s.log_for, s.log_against] for s in states])
        np.testing.assert_allclose(law[worlds].prod(axis=1) @ capital, 1.0)
        worse = np.array([law[0] + 0.05, 0.2, law[2] - 0.05])[worlds].prod(axis=1) @ capital
        assert worse[0] < 1 < worse[1]

    @settings(max_examples=40)
    @given(differences, margins)
    def test_mirrored_differences_mirror_the_capitals(self, d, margin):
        """-d at -margin exchanges "for" and "against"."""
        one = PairedCapital(margin=margin).update(d)
        two = PairedCapital(margin=-margin).update([-v for v in d])
        assert (one.log_for, one.log_against) == (two.log_against, two.log_for)

    @settings(max_examples=40)
    @given(differences, margins, st.integers(-20, 20))
    def test_the_unit_of_the_loss_does_not_matter(self, d, margin, power):
        """Differences, margin and width in another unit (a power of two): the same capitals to the last bit."""
        unit, d = 2.0**power, [0.0 if abs(v) < 1e-100 else v for v in d]
        one = PairedCapital(margin=margin).update(d)
        two = PairedCapital(margin=margin * unit, width=unit).update([v * unit for v in d])
        assert (one.log_for, one.log_against, one.verdict) == (two.log_for, two.log_against, two.verdict)

    @settings(max_examples=40)
    @given(differences, margins)
    def test_capital_never_goes_bankrupt(self, d, margin):
        """A row loses at most half of the capital, so that a log capital stays finite."""
        state = PairedCapital(margin=margin)
        for value in d:
            after = state.update([value])
            assert after.log_for - state.log_for >= np.log(0.5) - 1e-12
            assert after.log_against - state.log_against >= np.log(0.5) - 1e-12
            state = after

    @given(differences, st.floats(-0.5, 0.5))
    def test_a_stake_knows_the_past_only(self, d, last):
        """The gain of a row is linear in it: E[K] stays put whatever the row's law with mean at the margin."""
        before = PairedCapital(margin=0.0).update(d)
        up, down, zero = (before.update([v]) for v in (last, -last, 0.0))
        assert np.exp(up.log_for) + np.exp(down.log_for) == pytest.approx(2 * np.exp(zero.log_for))
        assert zero.log_for == before.log_for

    def test_the_first_row_bets_nothing(self):
        """Without a past the stake is 0."""
        state = PairedCapital(margin=0.1).update([1.0])
        assert (state.log_for, state.log_against, state.n) == (0, 0, 1)

    def test_ties_are_no_evidence(self):
        """Equal models, d = 0 at margin 0: the capital never moves; non-inferiority is then shown soon."""
        ties = np.zeros(1000)
        state = PairedCapital(margin=0.0).update(ties)
        assert (state.log_for, state.log_against, state.verdict) == (0, 0, "inconclusive")
        assert PairedCapital(margin=-0.05).update(ties).verdict == "promote"
        assert PairedCapital(margin=0.05).update(ties).verdict == "reject"

    def test_the_edges_of_the_width(self):
        """d of exactly +-width counts; the best possible stream decides in a handful of rows."""
        for width in (0.25, 1.0, 40.0):
            best = PairedCapital(margin=0.0, width=width).update(np.full(20, width))
            worst = PairedCapital(margin=0.0, width=width).update(np.full(20, -width))
            assert (best.verdict, worst.verdict) == ("promote", "reject")
        near = PairedCapital(margin=-1 + 2**-52).update([-1.0, 1.0, -1.0])
        assert np.isfinite([near.log_for, near.log_against]).all()

    def test_the_verdict_stays(self):
        """The first limit that is reached decides, also against later rows and within one update."""
        up, down = np.ones(20), np.full(200, -1.0)
        state = PairedCapital(margin=0.0).update(up)
        assert state.verdict == "promote"
        assert state.update(down).verdict == "promote"
        assert PairedCapital(margin=0.0).update(np.concatenate([up, down])).verdict == "promote"
        assert PairedCapital(margin=0.0).update(np.concatenate([-up, -down])).verdict == "reject"
        for row in down:
            state = state.update([row])
            assert state.verdict == "promote"
        assert state.n == 220
        assert state.log_for < 0
        assert state.log_against > -np.log(0.05)

    def test_alpha_and_beta_are_their_own_risks(self):
        """A stream that has just promoted at .05 has not at .01; rejecting asks beta, not alpha."""
        d = np.full(11, 0.9)
        assert PairedCapital(margin=0.0, alpha=0.05).update(d).verdict == "promote"
        assert PairedCapital(margin=0.0, alpha=0.001).update(d).verdict == "inconclusive"
        assert PairedCapital(margin=0.0, alpha=0.001).update(-d).verdict == "reject"
        assert PairedCapital(margin=0.0, beta=0.001).update(-d).verdict == "inconclusive"

    def test_empty_updates_change_nothing(self):
        """No rows, no blocks."""
        state = PairedCapital(margin=0.0).update([0.5, -0.5])
        assert state.update([]) is state
        assert state.update_blocks([], []) is state

    @given(st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 5)), max_size=30))
    def test_blocks_are_their_means_in_order(self, rows):
        """A day counts once, as the mean of its rows, days in the order in which they first appear."""
        d, block = [row[0] for row in rows], [row[1] for row in rows]
        order = list(dict.fromkeys(block))
        means = [np.mean([v for v, b in rows if b == one]) for one in order]
        state = PairedCapital(margin=-0.1).update_blocks(d, block)
        expected = PairedCapital(margin=-0.1).update(np.clip(means, -1, 1))
        assert state.n == len(order)
        assert state.log_for == pytest.approx(expected.log_for, abs=1e-9)
        assert state.log_against == pytest.approx(expected.log_against, abs=1e-9)

    @settings(max_examples=30)
    @given(st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=4), max_size=8), st.integers(0, 8))
    def test_blocks_split_between_blocks(self, days, cut):
        """Whole days in one update or in two, written in between: the same to the last bit."""
        names = [f"2024-01-{i:02d}" for i, day in enumerate(days, start=1) for _ in day]
        d, at = [v for day in days for v in day], sum(map(len, days[:cut]))
        start = PairedCapital(margin=0.0)
        halves = through_json(start.update_blocks(d[:at], names[:at])).update_blocks(d[at:], names[at:])
        assert same(start.update_blocks(d, names), halves)

    def test_a_mean_that_rounds_beyond_the_width(self):
        """Three rows of .1 have the mean .10000000000000002: it counts as the width, and is not refused."""
        state = PairedCapital(margin=0.0, width=0.1).update_blocks([0.1] * 3 + [-0.1] * 3, [0] * 3 + [1] * 3)
        assert (state.n, state.total) == (2, 0)

    def test_block_keys_of_any_kind(self):
        """Days as text, numbers or timestamps make the same blocks."""
        d = [0.5, -0.25, 0.125, 1.0]
        keys = [
            [7, 7, 3, 7],
            ["b", "b", "a", "b"],
            np.array(["2024-05-02"] * 2 + ["2024-05-01", "2024-05-02"], "M8[D]"),
        ]
        states = [PairedCapital(margin=0.0).update_blocks(d, key) for key in keys]
        assert states[0] == states[1] == states[2]
        assert states[0].n == 2

    @pytest.mark.parametrize("d", [[1.001], [np.nan], [np.inf], [[0.5, 0.5]], 0.5])
    def test_differences_that_cannot_be_are_refused(self, d):
        """Outside the width, missing, infinite, or of another shape."""
        with pytest.raises(DataError, match=r"\[-1, 1\]"):
            PairedCapital(margin=0.0).update(d)
        with pytest.raises(DataError, match="one block for each"):
            PairedCapital(margin=0.0).update_blocks(d, np.zeros(np.shape(d)))

    def test_a_block_for_each_row(self):
        """Fewer keys than rows are refused, and rows of no day: they are not a day of their own."""
        days = pd.Series(pd.to_datetime(["2024-05-01", None], utc=True))
        named = pd.Series(["a", None])
        keys = [["a"], [1.0, np.nan], ["a", np.nan], ["a", None], [None, "a"], [pd.NA, "a"]]
        keys += [np.array(["2024-05-01", "NaT"], "M8[D]"), np.array(["a", np.nan], object), days, named]
        for block in [*keys, named.astype("string"), named.astype(object), pd.Series([1, None], dtype="Int64")]:
            with pytest.raises(DataError, match="one block for each"):
                PairedCapital(margin=0.0).update_blocks([0.1, 0.2], block)
        with pytest.raises(DataError, match="one block for each"):
            PairedCapital(margin=0.0).update_blocks([0.1], [None])

    def test_blocks_of_several_kinds_are_refused(self):
        """1 and "1" beside each other are a mistake, in a list as in an array of objects."""
        for block in ([1, "1"], np.array([1, "1"], object)):
            with pytest.raises(DataError, match="all of one kind"):
                PairedCapital(margin=0.0).update_blocks([0.1, 0.2], block)

    def test_blocks_of_any_frame(self):
        """Text, Arrow, nullable and zoned columns are blocks like any other."""
        zoned = pd.Series(pd.to_datetime(["2024-05-01", "2024-05-02", "2024-05-01"])).dt.tz_localize("Asia/Tokyo")
        words, numbers = pd.Series(["x", "y", "x"]), pd.Series([2**62 + 1, 2**62, 2**62 + 1], dtype="Int64")
        states = [
            PairedCapital(margin=0.0).update_blocks(pd.Series([0.5, 0.25, -1.0], dtype="Float64"), block)
            for block in (zoned, words, words.astype("category"), words.astype("string[pyarrow]"), numbers)
        ]
        assert all(state == states[0] for state in states)
        assert states[0] == PairedCapital(margin=0.0).update([-0.25, 0.25])

    @pytest.mark.parametrize(
        "dials",
        [
            {"margin": 1.0},
            {"margin": -1.0},
            {"margin": np.nan},
            {"margin": 0.0, "width": 0.0},
            {"margin": 0.0, "width": np.inf},
            {"margin": 0.0, "width": np.nan},
            {"margin": 2.0, "width": 1.5},
            {"margin": 0.0, "alpha": 0.0},
            {"margin": 0.0, "alpha": 1.0},
            {"margin": 0.0, "beta": np.nan},
        ],
    )
    def test_dials_that_cannot_be_are_refused(self, dials):
        """A margin outside the width can never be exceeded; risks are probabilities."""
        with pytest.raises(ConfigurationError, match="expected"):
            PairedCapital(**dials)

    @pytest.mark.parametrize("dials", [{"margin": 0.1}, {"width": 2.0}, {"alpha": 0.1}, {"beta": 0.1}])
    def test_a_turned_dial_is_refused(self, dials):
        """Another margin, width or risk after the start voids the promise."""
        with pytest.raises(StateMismatch, match="PairedCapital"):
            evolve(PairedCapital(margin=0.0).update([0.5]), **dials)


class TestGateAlpha:
    def test_a_life_sums_to_alpha(self):
        """All gates together: the sum over the first million and the integral bound of the rest make alpha."""
        k = np.arange(1, 1_000_001)
        tail = 0.05 * 6 / np.pi**2 / 1_000_000.5
        assert sum(gate_alpha(int(i)) for i in k[:2000]) == pytest.approx(
            0.05 * 6 / np.pi**2 * (1 / k[:2000] ** 2).sum()
        )
        assert 0.05 * 6 / np.pi**2 * (1.0 / k**2).sum() + tail == pytest.approx(0.05, rel=1e-9)

    @given(st.integers(1, 1000), st.floats(0.001, 0.999))
    def test_later_gates_risk_less(self, k, alpha):
        """Positive, falling, proportional to alpha."""
        assert 0 < gate_alpha(k + 1, alpha) < gate_alpha(k, alpha) < alpha
        assert gate_alpha(k, alpha) == pytest.approx(alpha * gate_alpha(k, 0.5) / 0.5)

    @pytest.mark.parametrize(
        ("k", "alpha"), [(0, 0.05), (-1, 0.05), (1.5, 0.05), (np.nan, 0.05), (1, 0.0), (1, 1.0), (1, np.nan)]
    )
    def test_what_cannot_be_is_refused(self, k, alpha):
        """Gates count from 1; alpha is a probability."""
        with pytest.raises(ConfigurationError, match="gate_alpha: k="):
            gate_alpha(k, alpha)


class TestMcNemar:
    @pytest.mark.parametrize("a", [0.5, 1.0, 7.0])
    @pytest.mark.parametrize("one_sided", [False, True])
    @pytest.mark.parametrize(("wins", "losses"), [(1, 0), (0, 1), (8, 8), (30, 8), (8, 30), (0, 40), (61, 3)])
    def test_it_is_the_integral_over_the_win_rate(self, wins, losses, one_sided, a):
        """scipy's quadrature of rate^w (1 - rate)^l 2^n under Beta(a, a), of (0, 1) or of (1/2, 1)."""
        low = np.pi / 4 if one_sided else 0.0  # rate = sin(angle)^2: under the arcsine law the angle is uniform

        def weight(angle):
            return (np.sin(angle) * np.cos(angle)) ** (2 * a - 1)

        def likelihood(angle):
            return (2 * np.sin(angle) ** 2) ** wins * (2 * np.cos(angle) ** 2) ** losses * weight(angle)

        joint, mass = (quad(f, low, np.pi / 2, epsabs=0, epsrel=1e-10, limit=200)[0] for f in (likelihood, weight))
        assert np.exp(log_mcnemar(wins, losses, a=a, one_sided=one_sided)) == pytest.approx(joint / mass, rel=1e-8)

    @pytest.mark.parametrize("a", [0.5, 3.0])
    @pytest.mark.parametrize("one_sided", [False, True])
    def test_it_is_a_martingale_at_one_half(self, one_sided, a):
        """The mean of a win more and a loss more: equal to now; for one side never above it at a lower win rate."""
        w, m = np.meshgrid(np.arange(60), np.arange(60))
        now = np.exp(log_mcnemar(w, m, a=a, one_sided=one_sided))
        win, loss = (np.exp(log_mcnemar(w + i, m + 1 - i, a=a, one_sided=one_sided)) for i in (1, 0))
        np.testing.assert_allclose((win + loss) / 2, now, rtol=1e-8)
        if one_sided:
            assert (0.4 * win + 0.6 * loss <= now * (1 + 1e-9)).all()

    @given(st.integers(0, 10_000), st.integers(0, 10_000))
    def test_symmetry_and_order(self, w, m):
        """Two sides: wins and losses may be swapped. One side: a win more never lowers it, a loss more does."""
        assert log_mcnemar(w, m) == pytest.approx(float(log_mcnemar(m, w)), abs=1e-6)
        one = log_mcnemar(w, m, one_sided=True)
        assert log_mcnemar(w + 1, m, one_sided=True) >= one - 1e-3
        assert log_mcnemar(w, m + 1, one_sided=True) <= one + 1e-3

    @given(st.integers(0, 3000), st.integers(0, 3000))
    def test_one_side_is_two_sides_times_the_posterior(self, w, m):
        """e(one) = e(two) * 2 P(rate > 1/2) with scipy's beta law, down to where the float ends."""
        two, log_chance = log_mcnemar(w, m), beta_law.logsf(0.5, w + 0.5, m + 0.5)
        one = log_mcnemar(w, m, one_sided=True)
        if log_chance > -600:
            assert one == pytest.approx(two + np.log(2) + log_chance, abs=1e-6)

    @pytest.mark.parametrize("a", [0.05, 0.5, 1.0, 20.0])
    @pytest.mark.parametrize(
        ("wins", "losses"),
        [(0, 1000), (0, 5000), (100, 2000), (541, 2459), (2000, 7000), (44_247, 55_753), (481_791, 518_209)],
    )
    def test_hopeless_losses_stay_finite(self, wins, losses, a):
        """Where P(rate > 1/2) is 0 as a float the evidence is still right to .1%: the whole series gives the same.

        With b = a + l, e = sum over k of prod_{j<k} (n + 2a + j)/(2(b + 1 + j)) * 2/(4^a B(a, a) b), all terms positive
        (DLMF 8.17.8).
        """
        n, k, b = wins + losses, np.arange(100_000), losses + a
        terms = np.cumprod(np.concatenate([[1.0], (n + 2 * a + k) / (b + 1 + k) / 2]))
        series = np.log(terms.sum() * 2 / b) - a * np.log(4) - betaln(a, a)
        assert log_mcnemar(wins, losses, a=a, one_sided=True) == pytest.approx(series, abs=1e-3)

    def test_no_disagreement_is_no_evidence(self):
        """0 wins and 0 losses: log e = 0 exactly; shapes broadcast, empty ones stay."""
        for one_sided in (False, True):
            assert log_mcnemar(0, 0, one_sided=one_sided) == 0
            assert log_mcnemar(np.arange(4)[:, None], [0, 1, 2], one_sided=one_sided).shape == (4, 3)
            assert log_mcnemar([], 3, one_sided=one_sided).shape == (0,)

    def test_beside_the_binomial_test_of_one_look(self):
        """At one look scipy's exact p-value is never above 1/e (Markov: e rises with what the test calls extreme)."""
        for n in (10, 50, 200):
            w = np.arange(n + 1)
            for one_sided, alternative in ((False, "two-sided"), (True, "greater")):
                p = np.array([binomtest(int(k), n, alternative=alternative).pvalue for k in w])
                assert (np.exp(-log_mcnemar(w, n - w, one_sided=one_sided)) >= p * (1 - 1e-9)).all()

    def test_long_streams(self):
        """A million disagreements: finite, exact for balance (Stirling: log e = -log(pi n/2)/2 for w = l)."""
        n = 1_000_000
        assert log_mcnemar(n // 2, n // 2) == pytest.approx(-np.log(np.pi * n / 2) / 2, abs=1e-5)
        assert np.isfinite(log_mcnemar([n, 0], [0, n], one_sided=True)).all()

    @pytest.mark.parametrize("counts", [(-1, 3), (3, -1), (1.5, 2), (2, 0.5), (np.nan, 2), (2, np.inf), (np.inf, 2)])
    def test_counts_that_cannot_be_are_refused(self, counts):
        """Whole numbers >= 0."""
        with pytest.raises(DataError, match="whole numbers of wins and losses"):
            log_mcnemar(*counts)

    @pytest.mark.parametrize("a", [0.0, -1.0, np.nan, np.inf])
    def test_mixtures_that_cannot_be_are_refused(self, a):
        """Beta(a, a) exists for finite a above 0."""
        for ask in (lambda: log_mcnemar(3, 1, a=a), lambda: McNemar(a=a)):
            with pytest.raises(ConfigurationError, match="expected a number above 0"):
                ask()

    def test_small_differences_are_the_business_of_large_a(self):
        """60 wins of 100: the mixture around one half gains more; 10 of 10: the arcsine law does."""
        assert log_mcnemar(60, 40, a=20.0) > log_mcnemar(60, 40)
        assert log_mcnemar(10, 0, a=20.0) < log_mcnemar(10, 0)


discordant = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8)


class TestMcNemarState:
    @given(discordant, st.integers(0, 8), st.sampled_from([0.5, 1, 12.5]), st.booleans())
    def test_split_is_whole_through_json(self, batches, cut, a, one_sided):
        """Batches or their totals, written and read back in between: the same state, the evidence of the totals."""
        start = state = McNemar(a=a, one_sided=one_sided)
        for t, (wins, losses) in enumerate(batches):
            state = (through_json(state) if t == cut else state).update(wins, losses)
        totals = [sum(batch[i] for batch in batches) for i in (0, 1)]
        assert same(state, start.update(*totals))
        assert (state.wins, state.losses) == tuple(totals)
        assert state.log_value() == log_mcnemar(*totals, a=a, one_sided=one_sided)

    def test_empty_batches_change_nothing(self):
        """No disagreement: no evidence."""
        assert McNemar().update(0, 0) == McNemar()
        assert McNemar().log_value() == 0

    @pytest.mark.parametrize("dials", [{"a": 1.0}, {"one_sided": True}])
    def test_a_turned_dial_is_refused(self, dials):
        """Another mixture or another side after the start voids the promise."""
        with pytest.raises(StateMismatch, match="McNemar"):
            evolve(McNemar().update(3, 1), **dials)

    def test_counts_that_cannot_be_are_refused(self):
        """One whole number of each, in an update as in a state that is read."""
        for counts in ((-1, 0), (0.5, 0), (0, np.nan), (0, np.inf), (None, 1)):
            with pytest.raises(DataError, match="whole numbers of wins and losses"):
                McNemar().update(*counts)
        with pytest.raises(DataError, match="one number of wins"):
            McNemar().update([1, 2], 3)
        with pytest.raises(FormatError, match="whole numbers of wins and losses"):
            formats.from_json(formats.to_json(McNemar()).replace('"wins":0', '"wins":-3'), McNemar)
