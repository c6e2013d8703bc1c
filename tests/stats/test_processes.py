"""Processes without a horizon, calibrated p-values and unions: against plain sums, integrals and enumeration."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.sequential import (
    KAPPAS,
    log_calibrated,
    log_lifetime,
    log_mean_exp,
    log_shiryaev_roberts,
    log_union,
)

log_e_values = st.lists(st.floats(-5, 5), min_size=1, max_size=12)
numbers = st.floats(-20, 20)
probabilities = st.floats(0, 1)


def lifetime(log_e):
    """Log M after each batch."""
    log_m, path = -np.inf, []
    for t, value in enumerate(log_e, start=1):
        log_m = log_lifetime(log_m, value, t)
        path.append(float(log_m))
    return path


class TestLifetime:
    @given(log_e_values)
    def test_it_is_the_weighted_sum_over_all_starts(self, log_e):
        """M_t = sum over starts k of e_k * ... * e_t / (k(k+1)): the double loop gives the same."""
        for t, log_m in enumerate(lifetime(log_e), start=1):
            starts = [np.exp(sum(log_e[k - 1 : t])) / (k * (k + 1)) for k in range(1, t + 1)]
            assert np.exp(log_m) == pytest.approx(sum(starts))

    def test_the_weights_of_all_starts_sum_to_one(self):
        """With e = 1 in every batch M_t = t/(t+1): what is missing to 1 is the weight of the starts still to come."""
        path = np.exp(lifetime(np.zeros(200)))
        np.testing.assert_allclose(path, np.arange(1, 201) / np.arange(2, 202))

    @given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=7))
    def test_its_expectation_stays_below_one_by_enumeration(self, chances):
        """Coins that pay 1/chance or nothing: E[M_t] + 1/(t+1) = 1 exactly at every t, over all 2^t outcomes."""
        expected = np.zeros(len(chances))
        for wins in itertools.product([True, False], repeat=len(chances)):
            probability = np.prod([c if win else 1 - c for c, win in zip(chances, wins, strict=True)])
            log_e = [-np.log(c) if win else -np.inf for c, win in zip(chances, wins, strict=True)]
            expected += probability * np.exp(lifetime(log_e))
        t = np.arange(1, len(chances) + 1)
        np.testing.assert_allclose(expected + 1 / (t + 1), 1.0)

    @given(numbers, numbers, st.floats(0, 5), st.integers(1, 1000))
    def test_more_evidence_never_lowers_it(self, log_m, log_e, more, t):
        """It is monotone in the past and in the batch, and falls with the number of the batch."""
        assert log_lifetime(log_m, log_e + more, t) >= log_lifetime(log_m, log_e, t)
        assert log_lifetime(log_m + more, log_e, t) >= log_lifetime(log_m, log_e, t)
        assert log_lifetime(log_m, log_e, t + 1) <= log_lifetime(log_m, log_e, t)

    @given(log_e_values)
    def test_it_never_exceeds_shiryaev_roberts(self, log_e):
        """Every start weighs at most 1/2 of what it weighs there."""
        log_sr = -np.inf
        for value, log_m in zip(log_e, lifetime(log_e), strict=True):
            log_sr = log_shiryaev_roberts(log_sr, value)
            assert log_m <= log_sr - np.log(2) + 1e-9

    def test_the_price_of_a_late_change(self):
        """A change at batch k costs log(k(k+1)): evidence of batch k alone reaches 1/alpha so much later."""
        for k in (1, 10, 1000):
            log_m = log_lifetime(-np.inf, np.log(20.0) + np.log(k * (k + 1)), k)
            assert log_m == pytest.approx(np.log(20.0))

    def test_an_e_value_of_zero_starts_it_again(self):
        """After e = 0 only the starts still to come are left."""
        assert log_lifetime(log_lifetime(2.0, -np.inf, 5), 0.7, 6) == pytest.approx(0.7 - np.log(42))

    def test_it_is_vectorised(self):
        """A stack of questions moves as each would alone; a new axis of the batch is a new axis of the process."""
        log_m, log_e = np.array([[-np.inf, 1.0], [0.3, 2.0]]), np.array([0.5, -0.5])
        together = log_lifetime(log_m, log_e, 3)
        assert together.shape == (2, 2)
        assert together[1, 1] == log_lifetime(2.0, -0.5, 3)
        assert log_lifetime(-np.inf, np.zeros((0, 3)), 1).shape == (0, 3)

    def test_nan_and_a_batch_before_the_first_are_refused(self):
        """A NaN would stay for ever; batches count from 1."""
        with pytest.raises(DataError, match="NaN"):
            log_lifetime(0.0, [0.1, np.nan], 1)
        for t in (0, -3, 1.5, np.nan, np.inf):
            with pytest.raises(ConfigurationError, match=f"t={t!r}.*counted from 1"):
                log_lifetime(0.0, 0.1, t)


class TestCalibrated:
    @pytest.mark.parametrize("kappas", [[k] for k in KAPPAS] + [KAPPAS, [0.5, 0.99], [0.05]])
    def test_its_integral_is_one(self, kappas):
        """scipy's quadrature of e(p) over (0, 1] is 1, with p = s^(1/min kappa) to tame the pole at 0."""
        power = 1 / np.min(kappas)

        def integrand(s):
            return np.exp(log_calibrated(s**power, kappas)) * power * s ** (power - 1)

        integral, error = quad(integrand, 0, 1)
        assert integral == pytest.approx(1.0, abs=max(error, 1e-7))

    @given(probabilities, st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4))
    def test_it_is_the_mean_of_powers(self, p, kappas):
        """e(p) = mean of kappa * p^(kappa - 1), as written."""
        if p > 1e-100:
            expected = sum(k * p ** (k - 1) for k in kappas) / len(kappas)
            assert np.exp(log_calibrated(p, kappas)) == pytest.approx(expected)

    @given(probabilities, probabilities)
    def test_a_smaller_p_is_more_evidence(self, p, q):
        """It decreases in p, so that a p-value larger than uniform gives an e-value with mean below 1."""
        assert log_calibrated(min(p, q)) >= log_calibrated(max(p, q))

    @given(st.floats(1e-6, 1))
    def test_it_never_exceeds_the_best_of_all_calibrators(self, p):
        """No kappa exceeds -1/(e * p * log p), the bound of Vovk and of Sellke et al. (2001); above p = 1/e it is 1."""
        envelope = -np.exp(-1) / (p * np.log(p)) if p < np.exp(-1) else 1.0
        assert np.exp(log_calibrated(p)) <= envelope * (1 + 1e-12)

    def test_the_envelope_is_reached(self):
        """At p = exp(-1/kappa) one calibrator touches the envelope."""
        for kappa in KAPPAS:
            p = np.exp(-1 / kappa)
            assert np.exp(log_calibrated(p, kappa)) == pytest.approx(-np.exp(-1) / (p * np.log(p)))

    @given(st.floats(1e-6, 1))
    def test_beside_the_calibrator_of_shafer(self, p):
        """Shafer's calibrator (2021) is S(p) = p^(-1/2) - 1; kappa = 1/2 gives (S(p) + 1)/2: 1/2 at p = 1, not 0."""
        shafer = p**-0.5 - 1
        assert np.exp(log_calibrated(p, 0.5)) == pytest.approx((shafer + 1) / 2)

    @given(st.floats(1e-6, 0.9))
    def test_many_kappas_tend_to_the_closed_mixture(self, p):
        """The mixture over all of (0, 1) is (1 - p + p log p)/(p log(p)^2): Vovk and Wang (2021), equation 2."""
        kappas = (np.arange(2_000) + 0.5) / 2_000
        closed = (1 - p + p * np.log(p)) / (p * np.log(p) ** 2)
        assert np.exp(log_calibrated(p, kappas)) == pytest.approx(closed, rel=1e-5)

    def test_edges(self):
        """p = 0 is infinite evidence, p = 1 the mean of the kappas; shapes are kept, empty ones too."""
        assert log_calibrated(0.0) == np.inf
        assert np.exp(log_calibrated(1.0)) == pytest.approx(np.mean(KAPPAS))
        assert np.isfinite(log_calibrated(5e-324))
        assert log_calibrated(np.full((3, 2), 0.5)).shape == (3, 2)
        assert log_calibrated([]).shape == (0,)
        assert log_calibrated([0, 1]).tolist() == [np.inf, float(log_calibrated(1.0))]

    @given(st.lists(probabilities, min_size=1, max_size=5))
    def test_it_is_elementwise(self, p):
        """A p-value's evidence does not depend on those beside it."""
        assert log_calibrated(p).tolist() == [float(log_calibrated(one)) for one in p]

    @pytest.mark.parametrize("p", [-0.001, 1.001, np.nan, np.inf])
    def test_what_is_no_p_value_is_refused(self, p):
        """Also beside good ones."""
        with pytest.raises(DataError, match=r"\[0, 1\]"):
            log_calibrated([0.5, p])

    @pytest.mark.parametrize("kappas", [0.0, 1.0, -0.5, np.nan, [], [0.5, 1.5], [[0.5, 0.2]]])
    def test_what_is_no_calibrator_is_refused(self, kappas):
        """kappa = 1 bets nothing and 0 integrates to infinity."""
        with pytest.raises(ConfigurationError, match="between 0 and 1"):
            log_calibrated(0.5, kappas)


weights = st.lists(st.floats(0.01, 100), min_size=1, max_size=6)


class TestUnion:
    @given(weights, st.data())
    def test_it_is_evidence_times_weight(self, w, data):
        """exp(result) = M_k * w_k / sum(w), in any order of the questions and for any scale of the weights."""
        log_m = np.array(data.draw(st.lists(numbers, min_size=len(w), max_size=len(w))))
        result = log_union(log_m, w)
        np.testing.assert_allclose(np.exp(result), np.exp(log_m) * np.array(w) / sum(w))
        order = np.array(data.draw(st.permutations(range(len(w)))))
        np.testing.assert_allclose(log_union(log_m[order], np.array(w)[order]), result[order], atol=1e-12)
        np.testing.assert_allclose(log_union(log_m, np.array(w) * 1000), result, atol=1e-12)

    @given(weights)
    def test_it_is_below_the_average_of_one_filtration(self, w):
        """The largest weighted question never exceeds the weighted mean: the union pays for its validity."""
        log_m = np.linspace(0, 5, len(w))
        assert log_union(log_m, w).max() <= log_mean_exp(log_m, np.log(w)) + 1e-12

    @given(weights, st.floats(1.01, 50))
    def test_the_union_bound_by_enumeration(self, w, limit):
        """Independent sharp e-values (c or 0): P(any alarm) over all outcomes <= sum of w_k/A = 1/A."""
        share = np.array(w) / sum(w)
        jump = limit / share  # the value that alarms, drawn with probability 1/jump
        chance = sum(
            np.prod(np.where(hit, 1 / jump, 1 - 1 / jump))
            for hit in map(np.array, itertools.product([True, False], repeat=len(w)))
            if log_union(np.where(hit, np.log(jump) + 1e-9, -np.inf), w).max() >= np.log(limit)
        )
        assert chance <= 1 / limit + 1e-12
        assert chance == pytest.approx(1 - np.prod(1 - 1 / jump))

    def test_dead_questions_never_alarm(self):
        """Weight 0 means no evidence, however large M is; the living share all the weight."""
        result = log_union([np.inf, 1.0, 2.0], [0.0, 1.0, 1.0])
        np.testing.assert_allclose(result, [-np.inf, 1 - np.log(2), 2 - np.log(2)])
        assert (log_union([1.0, np.inf], [0.0, 0.0]) == -np.inf).all()

    def test_shapes(self):
        """Leading axes stay; a single question keeps its evidence; none at all gives none."""
        assert log_union(np.zeros((4, 3, 2)), [1, 3]).shape == (4, 3, 2)
        assert log_union([1.5], [7.0]) == 1.5
        assert log_union(np.zeros((4, 0)), []).shape == (4, 0)
        assert log_union([-np.inf, 0.0], [1, 1]).tolist() == [-np.inf, -np.log(2)]

    @pytest.mark.parametrize(
        ("log_m", "w"),
        [
            ([0.0, 1.0], [1.0]),
            (0.0, [1.0]),
            ([0.0], 1.0),
            ([0.0, 1.0], [[1.0, 1.0]]),
            ([0.0, 1.0], [1.0, -1.0]),
            ([0.0, 1.0], [1.0, np.nan]),
            ([0.0, 1.0], [1.0, np.inf]),
        ],
    )
    def test_weights_that_do_not_fit_are_refused(self, log_m, w):
        """One finite weight >= 0 for each question."""
        with pytest.raises(DataError, match="one finite weight >= 0"):
            log_union(log_m, w)

    def test_nan_is_refused(self):
        """Evidence is a number."""
        with pytest.raises(DataError, match="NaN"):
            log_union([np.nan, 0.0], [1.0, 1.0])
