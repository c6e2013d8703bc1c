"""What gates promise, counted: at the margin and at the threshold a challenger passes with probability alpha.

Whole gates are judged, the same that `Gate.evaluate` runs, on labelled rows of days that differ.
"""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from mlopskit.promotion import MinScore, NonInferior, Trial
from mlopskit.records import Predictions

from counting import RISK, check_rate, record

pytestmark = pytest.mark.slow


def trial(truth, challenger, champion=None, blocks=None):
    """Answers of one or two classifiers to the same rows; every row a block of its own where none are given."""
    truth = np.asarray(truth)

    def answers(p):
        return None if p is None else Predictions((np.asarray(p) > 0.5).astype(int), np.asarray(p, float))

    return Trial(truth, answers(challenger), answers(champion), np.arange(len(truth)) if blocks is None else blocks)


def at_the_margin(rng, n_days, per_day, day_effect):
    """Absolute errors of a challenger that is worse by .1 on average, with day effects."""
    blocks = np.repeat(np.arange(n_days), per_day)
    effect = rng.normal(0, day_effect, n_days)[blocks] + rng.normal(0, 0.05, len(blocks))
    return Trial(np.zeros(len(blocks)), Predictions(10.1 - effect), Predictions(np.full(len(blocks), 10.0)), blocks)


@pytest.mark.parametrize(("n_days", "per_day"), [(7, 40), (28, 20)])
def test_at_the_margin_a_challenger_passes_with_probability_alpha(n_days, per_day):
    """Worse by exactly the margin, with day effects: at most .05 pass, at most .05 fail, and width is not wasted."""
    rng, gate = np.random.default_rng(1), NonInferior("neg_mean_absolute_error", margin=0.1)
    verdicts = np.array([gate.judge(at_the_margin(rng, n_days, per_day, 0.02)).verdict for _ in range(600)])
    for verdict in ("pass", "fail"):
        claim = f"gate: P({verdict} | worse by exactly the margin) <= .05"
        check_rate(claim, f"day means, {n_days} days of {per_day} rows", verdicts == verdict, 0.05)
    assert (verdicts != "inconclusive").sum() >= binom.ppf(RISK, 600, 0.05)


def test_rows_instead_of_days_are_overconfident():
    """The same trials judged by rows pass far more often than alpha: the days are what counts."""
    rng, gate, passed = np.random.default_rng(2), NonInferior("neg_mean_absolute_error", margin=0.1), 0
    for _ in range(400):
        t = at_the_margin(rng, 10, 50, 0.05)
        passed += gate.judge(Trial(t.truth, t.challenger, t.champion, np.arange(500))).passed
    record("wrong: gate by rows where days differ, passed", "10 days of 50 rows", passed / 400, 0.05, 400)
    assert passed > binom.ppf(1 - RISK, 400, 0.05)


@pytest.mark.parametrize("n", [2, 5, 10, 20, 30, 100])
def test_few_right_answers_prove_nothing(n):
    """A model that is right in .9 of rows passes "at least .9" in about .05 of runs, with 2 rows as with 100.

    The t interval alone passes .80 of runs at n = 2 and .12 at n = 20.
    """
    rng, gate = np.random.default_rng(3), MinScore("accuracy", 0.9)
    passed = [gate.judge(trial(np.ones(n, int), rng.random(n) < 0.9)).passed for _ in range(500)]
    check_rate("gate: P(pass | accuracy at the threshold) <= .065", f"{n} rows", passed, 0.065)


@pytest.mark.parametrize(("n_days", "per_day", "margin"), [(14, 2, 0.02), (14, 5, 0.02), (5, 5, 0.05), (30, 1, 0.05)])
def test_equal_answers_on_few_rows_prove_nothing(n_days, per_day, margin):
    """A challenger worse by the margin often answers alike on few rows, and does not pass for that."""
    rng, gate, passed = np.random.default_rng(4), NonInferior("accuracy", margin=margin), []
    blocks = np.repeat(np.arange(n_days), per_day)
    for _ in range(400):
        u = rng.random(len(blocks))
        passed.append(gate.judge(trial(np.ones(len(u), int), u < 0.9 - margin, u < 0.9, blocks)).passed)
    claim = "gate: P(pass | accuracy lower by the margin) <= .05"
    check_rate(claim, f"{n_days} days of {per_day} rows, margin {margin}", passed, 0.05)


def test_at_the_threshold_an_area_passes_with_probability_alpha():
    """The area under the curve over 14 days with day effects: of 400 gates at the truth about .05 pass."""
    rng, days = np.random.default_rng(5), np.repeat(np.arange(14), 40)

    def area(n):
        y = rng.integers(0, 2, n)
        shift = rng.normal(0, 0.5, 14)[np.resize(days, n)]
        return y, 1 / (1 + np.exp(-((2 * y - 1) * (0.6 + shift) + rng.normal(0, 1.5, n))))

    gate = MinScore("roc_auc", roc_auc_score(*area(280_000)))
    passed = [gate.judge(trial(*area(560), blocks=days)).passed for _ in range(400)]
    check_rate("gate: P(pass | area at the threshold) <= .065", "14 days of 40 rows, days differ", passed, 0.065)
