"""The promises of estimates without labels: predictive intervals, PPI++ and adaptive widths, counted under their nulls.

A predictive interval covers the realised metric of a fresh batch while P(y | score) is that of the reference. Each run
is a reference and a batch of its own. Beside each count stands what breaks it: forgetting the error of the calibration,
forgetting that days differ, a shift that no score shows.
"""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom

from mlopskit.stats.estimation import (
    AdaptiveWidth,
    Calibration,
    block_heterogeneity,
    calibrate,
    expected_metric,
    ppi_mean,
    predictive_interval,
    refit,
)
from mlopskit.stats.intervals import mean_t

from counting import RISK, check_rate, record

pytestmark = pytest.mark.slow

RUNS = 400
LEVEL = 0.9
METRICS = ("accuracy", "recall", "precision", "roc_auc", "log_loss")
CURVES = {
    "honest scores": lambda f: expit(f),
    "scores too sure": lambda f: expit(0.6 * f + 0.3),
    "bent": lambda f: np.where(f > 0, 0.5 + 0.2 * np.tanh(f), expit(1.5 * f)),
}


def rows(rng, n, curve, effect=0.0):
    """Return scores and labels, the log-odds moved by an effect."""
    f = rng.normal(-0.3, 1.5, n)
    return expit(f), rng.random(n) < expit(logit(CURVES[curve](f)) + effect)


def misses(metric, curve, replicates, batch, **options):
    """Return whether the realised metric of a batch lies outside its predictive interval."""
    s, y = batch
    found = predictive_interval(metric, curve, replicates, s, s > 0.5, level=LEVEL, **options)
    return not found.low <= expected_metric(metric, y, s, s > 0.5) <= found.high


def too_many(broken, bound):
    """Whether a count breaks the test that a right procedure passes but for one in a million."""
    return np.sum(broken) > binom.ppf(1 - RISK, len(broken), bound)


class TestIndependentRows:
    @pytest.mark.parametrize(
        ("curve", "method", "counts", "others"),
        [
            ("honest scores", "identity", 0.10, 0.10),
            ("scores too sure", "sigmoid", 0.11, 0.11),
            ("scores too sure", "isotonic", 0.13, 0.19),
            ("bent", "isotonic", 0.13, 0.19),
        ],
    )
    def test_the_realised_metric_is_covered(self, curve, method, counts, others):
        """Nominal .10 from 300 rows: identity and sigmoid keep it; isotonic misses up to .13, AUC and log-loss .19."""
        rng = np.random.default_rng(0)
        broken = np.zeros((RUNS, len(METRICS)), dtype=bool)
        for run in range(RUNS):
            s, y = rows(rng, 300, curve)
            fitted = calibrate(s, y, methods=[method])
            replicates = refit(fitted, s, y, n_replicates=39, seed=run)
            batch = rows(rng, 250, curve)
            broken[run] = [misses(metric, fitted, replicates, batch, seed=run) for metric in METRICS]
        for metric, column in zip(METRICS, broken.T, strict=True):
            bound = others if metric in ("roc_auc", "log_loss") else counts
            check_rate(f"predictive interval, {metric}", f"{curve}, {method}", column, bound)

    def test_forgetting_the_calibrations_error_breaks_the_count(self):
        """Large batches after a small reference: with the error of the curve .10 miss, without it two fifths."""
        rng = np.random.default_rng(1)
        broken = np.zeros((RUNS, 2), dtype=bool)
        for run in range(RUNS):
            s, y = rows(rng, 200, "scores too sure")
            fitted = calibrate(s, y, methods=["sigmoid"])
            batch = rows(rng, 2_000, "scores too sure")
            for k, replicates in enumerate((refit(fitted, s, y, n_replicates=39, seed=run), [fitted] * 39)):
                broken[run, k] = misses("accuracy", fitted, replicates, batch, seed=run)
        check_rate("predictive interval, accuracy", "reference of 200, batch of 2,000", broken[:, 0], 0.13)
        assert broken[:, 1].mean() > 0.4

    def test_the_choice_of_the_method_costs_little(self):
        """With the method chosen out of fold the nominal .10 stays below .14 on every curve (accuracy, 600 rows)."""
        rng = np.random.default_rng(2)
        for curve in CURVES:
            broken = np.zeros(RUNS, dtype=bool)
            for run in range(RUNS):
                s, y = rows(rng, 600, curve)
                fitted = calibrate(s, y, seed=run)
                replicates = refit(fitted, s, y, n_replicates=24, seed=run)
                broken[run] = misses("accuracy", fitted, replicates, rows(rng, 250, curve), seed=run)
            check_rate("predictive interval, accuracy", f"{curve}, method chosen", broken, 0.14)

    def test_a_shift_that_scores_do_not_show_is_not_covered(self):
        """When P(y | score) moves, the interval misses: it cannot know, and its docstring says so."""
        rng = np.random.default_rng(3)
        s, y = rows(rng, 2_000, "scores too sure")
        fitted = calibrate(s, y)
        replicates = refit(fitted, s, y, n_replicates=60)
        broken = [misses("log_loss", fitted, replicates, rows(rng, 1_000, "scores too sure", 1.0)) for _ in range(50)]
        assert np.mean(broken) > 0.9


class TestDays:
    @pytest.mark.parametrize(("spread", "bound"), [(0.0, 0.12), (0.8, 0.15)])
    def test_days_that_differ_are_covered_by_tau2(self, spread, bound):
        """A fresh day after 20 days: .10 nominal, at most .15 with day effects; without tau^2 far more miss."""
        rng = np.random.default_rng(5)
        broken = np.zeros((RUNS, 2), dtype=bool)
        n_days, n_rows = 20, 150
        day = np.repeat(np.arange(n_days), n_rows)
        for run in range(RUNS):
            s, y = rows(rng, len(day), "scores too sure", rng.normal(0, spread, n_days)[day])
            fitted = calibrate(s, y, methods=["sigmoid"], block=day)
            replicates = refit(fitted, s, y, block=day, n_replicates=24, seed=run)
            parts = block_heterogeneity("recall", fitted, replicates, s, y, day, s > 0.5, seed=run)
            batch = rows(rng, n_rows, "scores too sure", rng.normal(0, spread))
            for k, heterogeneity in enumerate((parts, None)):
                broken[run, k] = misses("recall", fitted, replicates, batch, heterogeneity=heterogeneity, seed=run)
        check_rate("predictive interval with tau^2, recall", f"20 days, day effects {spread}", broken[:, 0], bound)
        record("the same without tau^2, recall", f"20 days, day effects {spread}", broken[:, 1].mean(), bound, RUNS)
        assert too_many(broken[:, 1], bound) == (spread > 0)


class TestPPIMean:
    @pytest.mark.parametrize(
        ("world", "m"), [("calibrated", 100), ("calibrated", 400), ("useless", 100), ("biased", 100), ("biased", 400)]
    )
    def test_the_mean_is_covered(self, world, m):
        """Nominal .05 with right, useless and biased estimates: at most .065; narrower than labels where they help."""
        rng = np.random.default_rng(m)
        runs = 2_000
        broken = np.zeros((runs, 2), dtype=bool)
        widths = np.zeros((runs, 2))
        for run in range(runs):
            truth = rng.beta(3, 1, m + 1_000)
            ok = rng.random(m) < truth[:m]
            c = {"calibrated": truth, "useless": rng.random(m + 1_000), "biased": truth**3}[world]
            found, alone = ppi_mean(ok, c[:m], c[m:]), mean_t(ok)
            naive = c[m:].mean()
            broken[run] = not found.low <= 0.75 <= found.high, abs(naive - 0.75) > 1.96 * c[m:].std() / np.sqrt(1_000)
            widths[run] = found.high - found.low, alone.high - alone.low
        check_rate(f"PPI++ mean, m={m}", f"{world} estimates", broken[:, 0], 0.065)
        shrink = widths[:, 0].mean() / widths[:, 1].mean()
        record(f"PPI++ width over labels alone, m={m}", f"{world} estimates", shrink, 1.0, runs)
        assert (widths[:, 0] <= widths[:, 1] * (1 + 1e-9)).all()
        if world != "useless":
            assert shrink < 0.95
        assert too_many(broken[:, 1], 0.065) == (world != "calibrated")  # believing the estimates alone


class TestAdaptiveWidth:
    def test_coverage_after_a_change_that_estimates_do_not_show(self):
        """Residuals that jump by five widths and grow: the rate comes back to alpha; a fixed width misses most."""
        rng = np.random.default_rng(5)
        n, half = 4_000, 2_000
        residuals = 0.02 * rng.standard_normal(n)
        residuals[half:] = 0.06 * rng.standard_normal(n - half) - 0.1
        state = AdaptiveWidth.start(0.02 * rng.standard_normal(60), alpha=0.1)
        first, missed = state.first, np.zeros(n, dtype=bool)
        for t, residual in enumerate(residuals):
            before = state.n_missed
            state = state.update(residual)
            missed[t] = state.n_missed > before
        record("adaptive width, share missed", "after a jump", missed[half:].mean(), 0.1, n - half)
        spread = (max(first, 1 - first) + state.step) / (state.step * n)
        assert abs(missed.mean() - 0.1) <= spread
        assert missed[half:].mean() == pytest.approx(0.1, abs=0.02)
        assert (np.abs(residuals[half:]) > first).mean() > 0.7

    def test_late_labels(self):
        """Labels two batches late, autocorrelated residuals: the rate missed is still alpha in the long run."""
        rng = np.random.default_rng(6)
        state, issued, missed, level = AdaptiveWidth(step=0.005, first=0.05, alpha=0.1), [], [], 0.0
        for t in range(4_000):
            level = 0.8 * level + 0.02 * rng.standard_normal()
            issued.append((state, level))
            if t >= 2:
                at, residual = issued[t - 2]
                missed.append(abs(residual - at.offset) > at.half_width)
                state = state.update(residual, issued=at)
        record("adaptive width, share missed", "labels two batches late", np.mean(missed), 0.1, len(missed))
        assert np.mean(missed) == pytest.approx(0.1, abs=0.02)


def test_calibrated_probabilities_are_calibrated():
    """On fresh rows the mean of y - q is 0 within three standard errors in each tenth of the score, per method."""
    rng = np.random.default_rng(7)
    for curve, method in (("honest scores", "identity"), ("scores too sure", "sigmoid"), ("bent", "isotonic")):
        s, y = rows(rng, 200_000, curve)
        fitted = calibrate(s, y)
        assert fitted.method == method
        assert isinstance(fitted, Calibration)
        s, y = rows(rng, 200_000, curve)
        q = fitted.predict(s)
        tenth = np.digitize(s, np.quantile(s, np.linspace(0.1, 0.9, 9)))
        n = np.bincount(tenth)
        gap = np.bincount(tenth, weights=y - q) / n
        assert (np.abs(gap) < 5 * np.sqrt(0.5 / n)).all()
