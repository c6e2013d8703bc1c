import itertools
import math

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logit
from scipy.stats import norm, t
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from mlopskit import formats
from mlopskit.errors import ConfigurationError, DataError, FormatError, StateMismatch
from mlopskit.stats.estimation import (
    RANGES,
    AdaptiveWidth,
    Calibration,
    Confusion,
    DensityRatio,
    Heterogeneity,
    PoweredMean,
    block_heterogeneity,
    calibrate,
    density_ratio,
    expected_metric,
    ppi_mean,
    predictive_interval,
    refit,
)
from mlopskit.stats.intervals import clopper_pearson, mean_t

LABELS = ("accuracy", "precision", "recall", "specificity", "f1")


def world(n=400, seed=0, slope=0.6, shift=0.3):
    """Return probabilities that are too sure of themselves, and labels."""
    rng = np.random.default_rng(seed)
    f = rng.normal(-0.3, 1.5, n)
    return expit(f), rng.random(n) < expit(slope * f + shift)


def platt_targets(y):
    """Return Platt's targets by the formula of his paper."""
    return np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))


class TestCalibration:
    def test_isotonic_is_that_of_scikit_learn(self):
        """Knots, interpolation and ends agree with IsotonicRegression(out_of_bounds="clip") on the same targets."""
        s, y = world()
        s = s.round(2)  # ties
        w = np.random.default_rng(1).integers(0, 4, len(s)).astype(float)
        oracle = IsotonicRegression(out_of_bounds="clip")
        here = w > 0
        positives, negatives = w[y].sum(), w[~y].sum()
        target = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))
        oracle.fit(s[here], target[here], sample_weight=w[here])
        curve = calibrate(s, y, weight=w, methods=["isotonic"])
        grid = np.linspace(0, 1, 301)
        assert curve.method == "isotonic"
        np.testing.assert_allclose(curve.predict(grid), oracle.predict(grid), rtol=1e-12)

    def test_sigmoid_is_that_of_scikit_learn(self):
        """Slope and intercept agree with scikit-learn's Platt scaling on scores, to its tolerance."""
        f = np.random.default_rng(0).normal(5, 30, 500)
        y = np.random.default_rng(1).random(500) < expit(0.05 * f)

        class Given(DummyClassifier):
            def decision_function(self, X):
                return X[:, 0]

        prefit = CalibratedClassifierCV(
            Given().fit(f[:, None], y), method="sigmoid", cv=[(np.arange(2), np.arange(500))]
        )
        oracle = prefit.fit(f[:, None], y).calibrated_classifiers_[0].calibrators[0]
        curve = calibrate(f, y, methods=["sigmoid"])
        assert (curve.slope, curve.intercept) == pytest.approx((-oracle.a_, -oracle.b_), rel=1e-3)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_sigmoid_solves_the_score_equations(self, weighted):
        """The weighted residuals of Platt's targets are 0 on average and against the log-odds: the optimum, exactly."""
        s, y = world()
        w = np.random.default_rng(3).poisson(1.0, len(s)).astype(float) if weighted else np.ones(len(s))
        curve = calibrate(s, y, weight=w, methods=["sigmoid"])
        positives, negatives = w[y].sum(), w[~y].sum()
        residual = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2)) - curve.predict(s)
        assert abs(w @ residual) < 1e-6
        assert abs(w @ (residual * logit(s))) < 1e-6
        unpenalised = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(s)[:, None], y, sample_weight=w)
        assert curve.slope == pytest.approx(unpenalised.coef_[0, 0], abs=0.03)  # but for Platt's correction

    def test_separable_scores_give_a_finite_sigmoid(self):
        """Platt's targets keep the slope finite where the classes do not overlap, steep steps included."""
        for f in (np.array([-1e6, 0.0]), np.r_[np.linspace(-3, -1, 50), np.linspace(1, 3, 50)] * 1e6):
            curve = calibrate(f, f >= 0, methods=["sigmoid"])
            residual = platt_targets(f >= 0) - curve.predict(f)
            assert abs(residual.sum()) < 1e-5
            assert abs(residual @ (f / 1e6)) < 1e-5

    @given(
        st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=30),
        st.sampled_from(["sigmoid", "isotonic"]),
        st.integers(0, 5),
    )
    def test_curves_are_monotone_probabilities_whatever_the_order_of_rows(self, rows, method, seed):
        """Curves stay in [0, 1], isotonic ones never fall, and rows in another order give the same curve to the bit."""
        s, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
        curve = calibrate(s, y, methods=[method])
        q = curve.predict(np.linspace(0, 1, 50))
        assert ((q > 0) & (q < 1)).all()
        assert (np.diff(q) >= 0).all() or (method == "sigmoid" and (np.diff(q) <= 0).all())
        order = np.random.default_rng(seed).permutation(len(s))
        assert calibrate(s[order], y[order], methods=[method]) == curve

    def test_weights_count_as_rows(self):
        """A weight of 2 is the row twice, for the curve of each method."""
        s, y = world(60)
        w = np.random.default_rng(0).integers(0, 3, 60)
        rows = np.repeat(np.arange(60), w)
        for method in ("sigmoid", "isotonic"):
            grid = np.linspace(0.01, 0.99, 40)
            weighted = calibrate(s, y, weight=w, methods=[method]).predict(grid)
            repeated = evolve(calibrate(s[rows], y[rows], methods=[method]), clip=calibrate(s, y).clip)
            np.testing.assert_allclose(weighted, repeated.predict(grid), atol=1e-7)

    def test_the_method_is_chosen_out_of_fold(self):
        """Good probabilities are left alone, sure ones get a sigmoid, a bent curve isotonic, once rows suffice."""
        rng = np.random.default_rng(0)
        f = rng.normal(0, 1.5, 4_000)
        s, u = expit(f), rng.random(4_000)
        assert calibrate(s, u < s).method == "identity"
        assert calibrate(s, u < expit(0.6 * f + 0.3)).method == "sigmoid"
        bent = np.where(f > 0, 0.6, 0.2 + 0.1 * (f > -1))
        found = calibrate(s, u < bent)
        assert found.method == "isotonic"
        assert found.losses["isotonic"] < min(found.losses["sigmoid"], found.losses["identity"])
        assert calibrate(s, u < bent, loss="brier_score_loss").method == "isotonic"

    def test_the_losses_are_those_of_curves_that_did_not_see_the_row(self):
        """Labels that are noise have an isotonic loss above that of knowing their share; in sample it is below."""
        rng = np.random.default_rng(3)
        s, y = rng.random(300), rng.random(300) < 0.4
        in_sample = log_loss(y, calibrate(s, y, methods=["isotonic"]).predict(s))
        entropy = log_loss(y, np.full(300, y.mean()))
        assert in_sample < entropy < calibrate(s, y).losses["isotonic"]

    def test_blocks_are_never_split(self):
        """Scores that only recognise their block win where folds are rows, and lose where folds are blocks."""
        rng = np.random.default_rng(0)
        day = np.repeat(np.arange(40), 25)
        s = rng.permutation(40)[day] / 40 + 0.01
        y = rng.random(1_000) < rng.random(40)[day]
        by_row = calibrate(s, y, methods=["sigmoid", "isotonic"])
        by_day = calibrate(s, y, methods=["sigmoid", "isotonic"], block=day)
        assert by_day.method == "sigmoid"
        assert by_day.losses["isotonic"] > by_day.losses["sigmoid"]
        assert by_day.losses["isotonic"] > by_row.losses["isotonic"]
        assert calibrate(s, y, block=[f"day {d:02}" for d in day]) == calibrate(s, y, block=day)

    def test_scores_of_0_and_1_do_not_carry_the_sigmoid_away(self):
        """Exact zeros and ones, wrong now and then, count as a little nearer than the nearest other score."""
        rng = np.random.default_rng(0)
        s = rng.integers(0, 11, 2_000) / 10
        y = rng.random(2_000) < 0.1 + 0.8 * s
        curve = calibrate(s, y, methods=["sigmoid"])
        assert curve.clip == pytest.approx(0.05)
        np.testing.assert_allclose(curve.predict([0.0, 0.5, 1.0]), [0.1, 0.5, 0.9], atol=0.05)
        assert calibrate([0.0, 0.0, 1.0, 1.0] * 20, [0, 0, 1, 1] * 20, methods=["sigmoid"]).clip == 0.25

    def test_infinite_scores_take_the_ends(self):
        """Beyond the reference every curve is level or goes to its limit; infinities included."""
        f = np.linspace(-2, 2, 200)
        y = np.arange(200) % 7 < 7 * expit(2 * f)
        isotonic, sigmoid = (calibrate(f, y, methods=[m]) for m in ("isotonic", "sigmoid"))
        np.testing.assert_array_equal(isotonic.predict([-np.inf, np.inf]), isotonic.predict([-2.0, 2.0]))
        np.testing.assert_array_equal(sigmoid.predict([-np.inf, np.inf]), [0.0, 1.0])
        flat = Calibration("sigmoid", slope=0.0, intercept=0.0)
        np.testing.assert_array_equal(flat.predict([-np.inf, np.inf]), [0.5, 0.5])

    def test_one_class_and_one_score_are_constant(self):
        """One class gives (n1 + 1)/(n + 2), one score the mean of Platt's targets; identity alone stays itself."""
        never = calibrate([0.1, 0.5, 0.9], [0, 0, 0])
        assert never.method == "constant"
        np.testing.assert_allclose(never.predict([0.0, 1.0]), 1 / 5)
        np.testing.assert_allclose(calibrate([0.1, 0.9], [True, True]).predict([0.3]), 3 / 4)
        same = calibrate([0.7] * 4, [1, 1, 0, 1])
        assert same.method == "constant"
        np.testing.assert_allclose(same.predict([0.2]), (3 * 4 / 5 + 1 / 3) / 4)
        assert calibrate([0.7] * 4, [1, 1, 1, 1], methods=["identity"]).method == "identity"
        assert calibrate([0.7], [1]).predict([0.7]) == pytest.approx(2 / 3)
        assert calibrate([0.2, 0.7], [0, 1]).n == 2
        assert calibrate([1e-9, 1e-8], [0, 1], methods=["sigmoid"]).predict([0.0]) == pytest.approx(0.5)  # both clipped

    def test_every_kind_goes_through_json(self):
        """A calibration read back equals itself to the bit, and predicts the same."""
        s, y = world()
        for methods in (["identity"], ["sigmoid"], ["isotonic"], ["identity", "sigmoid", "isotonic"]):
            curve = calibrate(s, y, methods=methods)
            again = formats.from_json(formats.to_json(curve), Calibration)
            assert again == curve
            np.testing.assert_array_equal(again.predict(s), curve.predict(s))
        assert calibrate(s, y).losses.keys() == {"identity", "sigmoid", "isotonic"}

    def test_knots_that_fall_are_refused(self):
        """A curve that was tampered with is not built."""
        for knots in (
            ([0.1, 0.1], [0, 1]),
            ([0, 1], [0.5, 0.4]),
            ([0, 1], [0.5, 1.1]),
            ([0, np.nan], [0, 1]),
            ([], []),
        ):
            with pytest.raises(DataError, match="expected knots"):
                Calibration("isotonic", scores=knots[0], probabilities=knots[1])
        with pytest.raises(DataError, match="none for identity"):
            Calibration("identity", scores=[1.0], probabilities=[0.5])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([], []), "no rows"),
            (([0.1, np.nan], [0, 1]), "1 of 2 values are NaN or infinite"),
            (([0.1, np.inf], [0, 1]), "NaN or infinite"),
            (([0.1, 0.2], [0, 2]), "expected 0 or 1; got 2"),
            (([0.1, 0.2], [0, np.nan]), "NaN"),
            (([0.1, 0.2], [0]), "2 scores, 1 labels"),
            (([[0.1], [0.2]], [0, 1]), "shape"),
            ((["a", "b"], [0, 1]), "expected numbers"),
            (([0.1, None], [0, 1]), "NaN"),
        ],
    )
    def test_bad_rows_are_errors(self, arguments, message):
        """What cannot be calibrated is refused by name."""
        with pytest.raises(DataError, match=message):
            calibrate(*arguments)

    def test_bad_options_are_errors(self):
        """Unknown names, negative seeds, weights and blocks that cannot be."""
        s, y = world(20)
        for options in ({"loss": "auc"}, {"methods": ["beta"]}, {"seed": -1}):
            with pytest.raises(ConfigurationError, match="expected"):
                calibrate(s, y, **options)
        bad = (
            ({"weight": np.zeros(20)}, "not all of them 0"),
            ({"weight": -np.ones(20)}, "smallest is -1"),
            ({"block": np.zeros(20)}, "at least two"),
            ({"block": np.zeros(3)}, "one block for each row"),
            ({"block": np.r_[np.nan, np.ones(19)]}, "1 blocks are missing"),
            ({"block": np.array([None] + ["a"] * 19, dtype=object)}, "1 blocks are missing"),
        )
        for options, message in bad:
            with pytest.raises(DataError, match=message):
                calibrate(s, y, **options)
        with pytest.raises(DataError, match=r"need scores in \[0, 1\]"):
            calibrate(s * 3, y, methods=["identity"])
        for method in ("identity", "sigmoid", "isotonic"):
            curve = calibrate(s, y, methods=[method])
            with pytest.raises(DataError, match="probabilities between 0 and 1"):
                curve.predict([0.5, 1.1])
            with pytest.raises(DataError, match="NaN"):
                curve.predict([np.nan])
            assert curve.predict([1 + 1e-7]) <= 1
            assert curve.predict([]).shape == (0,)


class TestRefit:
    def test_replicates_without_a_single_positive(self):
        """Of three positives in 1,000 rows a Poisson draw holds none in one of twenty: a flat curve, and no error."""
        score, y = np.linspace(0.001, 0.01, 1_000), np.zeros(1_000)
        y[[100, 500, 900]] = 1
        curve = calibrate(score, y)
        assert curve.method == "identity"
        at = np.array([replicate.predict([0.005])[0] for replicate in refit(curve, score, y, n_replicates=300)])
        assert ((at > 0) & (at < 0.1)).all()
        assert at.min() < 0.002 < 0.008 < at.max()

    def test_an_identity_of_one_class_has_replicates(self):
        """Two rows of one class: every refitted curve is flat, and so is the fitted one."""
        curve = calibrate([0.2, 0.4], [1, 1], methods=["identity"])
        for replicate in refit(curve, [0.2, 0.4], [1, 1], n_replicates=20):
            assert 0 < replicate.predict([0.3])[0] < 1

    @pytest.mark.parametrize("method", ["identity", "sigmoid", "isotonic"])
    def test_replicates_are_seeded_and_differ(self, method):
        """The same seed gives the same replicates, a longer run begins with the shorter, and another seed differs."""
        s, y = world()
        curve = calibrate(s, y, methods=[method])
        few, many = refit(curve, s, y, n_replicates=3), refit(curve, s, y, n_replicates=5)
        assert few == many[:3]
        assert few[0] != few[1]
        assert refit(curve, s, y, n_replicates=3, seed=1) != few

    def test_replicates_of_a_sigmoid_spread_as_its_standard_errors_say(self):
        """The spread of refitted slopes is that of statsmodels' robust covariance, within 10%."""
        import statsmodels.api as sm

        s, y = world(1_500)
        curve = calibrate(s, y, methods=["sigmoid"])
        slopes = [r.slope for r in refit(curve, s, y, n_replicates=600)]
        oracle = sm.Logit(y.astype(float), sm.add_constant(logit(s))).fit(disp=0, cov_type="HC0")
        assert np.std(slopes) == pytest.approx(oracle.bse[1], rel=0.1)
        assert np.mean(slopes) == pytest.approx(curve.slope, abs=4 * oracle.bse[1] / math.sqrt(600) + 0.01)

    def test_replicates_of_an_identity_are_centred_on_it(self):
        """An identity's replicates spread like those of the sigmoid, around slope 1 and intercept 0."""
        s, y = world(slope=1.0, shift=0.0)
        identity, sigmoid = (calibrate(s, y, methods=[m]) for m in ("identity", "sigmoid"))
        around, fitted = refit(identity, s, y, n_replicates=50), refit(sigmoid, s, y, n_replicates=50)
        for a, b in zip(around, fitted, strict=True):
            assert a.slope - 1 == pytest.approx(b.slope - sigmoid.slope, abs=1e-6)
            assert a.intercept == pytest.approx(b.intercept - sigmoid.intercept, abs=1e-6)

    def test_blocks_are_drawn_whole(self):
        """Where days differ, replicates drawn by day spread more than replicates drawn by row."""
        rng = np.random.default_rng(0)
        day = np.repeat(np.arange(30), 50)
        s = rng.random(1_500)
        y = rng.random(1_500) < expit(logit(s) + rng.normal(0, 1, 30)[day])
        curve = calibrate(s, y, methods=["sigmoid"])
        by_row, by_day = (
            np.std([r.intercept for r in refit(curve, s, y, block=b, n_replicates=200)]) for b in (None, day)
        )
        assert by_day > 2 * by_row

    def test_a_replicate_may_lose_a_class_or_every_row(self):
        """Rare classes and few blocks give constant replicates, never an error."""
        s = np.linspace(0.1, 0.9, 20)
        y = np.arange(20) == 19
        curve = calibrate(s, y, methods=["isotonic"])
        kinds = {r.method for r in refit(curve, s, y, n_replicates=60)}
        assert kinds == {"constant", "isotonic"}
        assert len(refit(calibrate([0.5], [1]), [0.5], [1], n_replicates=20)) == 20
        assert {r.method for r in refit(calibrate(s, s > 2), s, s > 2, n_replicates=5)} == {"constant"}

    def test_other_rows_are_refused(self):
        """A reference of another length, no replicates, a negative seed."""
        s, y = world(50)
        curve = calibrate(s, y)
        with pytest.raises(DataError, match="got 49 rows; expected the 50"):
            refit(curve, s[1:], y[1:])
        with pytest.raises(ConfigurationError, match="n_replicates=0"):
            refit(curve, s, y, n_replicates=0)
        with pytest.raises(ConfigurationError, match="seed=-1"):
            refit(curve, s, y, seed=-1)


small = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([0.0, 0.2, 0.7, 1.0]), st.booleans()),
    min_size=1,
    max_size=6,
)


class TestExpectedMetric:
    def test_with_labels_it_is_the_metric_of_scikit_learn(self):
        """Every metric of labels in place of probabilities agrees with scikit-learn, ties included."""
        s, y = world(300)
        s = s.round(1)
        p = s > 0.5
        oracle = {
            "accuracy": accuracy_score(y, p),
            "precision": precision_score(y, p),
            "recall": recall_score(y, p),
            "specificity": recall_score(y, p, pos_label=0),
            "f1": f1_score(y, p),
            "roc_auc": roc_auc_score(y, s),
            "brier_score_loss": brier_score_loss(y, s),
            "log_loss": log_loss(y, np.clip(s, 1e-15, 1 - 1e-15)),
        }
        assert oracle.keys() == RANGES.keys()
        for metric, expected in oracle.items():
            assert expected_metric(metric, y, s, p) == pytest.approx(expected, rel=1e-9), metric

    @given(small)
    def test_expected_counts_and_losses_are_those_of_all_labellings(self, rows):
        """TP and the others, accuracy, Brier and log-loss are exact expectations: all 2^n labellings are enumerated."""
        s, q, p = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
        labellings = np.array(list(itertools.product([0.0, 1.0], repeat=len(q))))
        weight = np.where(labellings > 0, q, 1 - q).prod(axis=1)
        found, each = Confusion.of(q, p), Confusion.of(labellings, p)
        for cell in ("tp", "fp", "fn", "tn"):
            assert getattr(found, cell) == pytest.approx(weight @ getattr(each, cell), abs=1e-12)
        assert found.n == pytest.approx(len(q))
        for metric in ("accuracy", "brier_score_loss", "log_loss"):
            assert expected_metric(metric, q, s, p) == pytest.approx(
                weight @ expected_metric(metric, labellings, s, p), rel=1e-12, abs=1e-12
            )

    @given(small)
    def test_the_area_is_that_of_two_loops_over_pairs(self, rows):
        """Numerator and denominator agree with loops over pairs of different rows; ties count half."""
        s, q, _ = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
        won = pairs = 0.0
        for i, j in itertools.permutations(range(len(q)), 2):
            won += q[i] * (1 - q[j]) * ((s[i] > s[j]) + (s[i] == s[j]) / 2)
            pairs += q[i] * (1 - q[j])
        expected = won / pairs if pairs else math.nan
        assert expected_metric("roc_auc", q, s) == pytest.approx(expected, nan_ok=True, abs=1e-9)

    def test_ties_and_constants(self):
        """A constant score has area .5 whatever q; all-equal q too, whatever the score; infinities rank."""
        rng = np.random.default_rng(0)
        q, s = rng.random(50), rng.random(50)
        assert expected_metric("roc_auc", q, np.ones(50)) == pytest.approx(0.5)
        assert expected_metric("roc_auc", np.full(50, 0.3), s) == pytest.approx(0.5)
        assert expected_metric("roc_auc", [0, 1, 1], [-np.inf, 2, np.inf]) == 1.0
        assert expected_metric("roc_auc", [0, 1], [np.inf, np.inf]) == 0.5

    @given(st.integers(0, 100))
    def test_the_area_only_ranks(self, seed):
        """Rows in another order and any rising function of the score change nothing."""
        rng = np.random.default_rng(seed)
        q, s = rng.random(20), rng.integers(0, 6, 20) / 3
        area = expected_metric("roc_auc", q, s)
        order = rng.permutation(20)
        assert expected_metric("roc_auc", q[order], s[order]) == pytest.approx(area, abs=1e-12)
        assert expected_metric("roc_auc", q, np.exp(s) - 7) == pytest.approx(area, abs=1e-12)
        assert expected_metric("roc_auc", q, -s) == pytest.approx(1 - area, abs=1e-12)

    def test_ratios_without_denominator_are_nan(self):
        """No predicted positives, no positives, no negatives, no rows: NaN without a warning for the one concerned."""
        s = np.array([0.1, 0.9])
        assert math.isnan(expected_metric("precision", [0.5, 0.5], s, [0, 0]))
        assert expected_metric("recall", [0.5, 0.5], s, [0, 0]) == 0
        assert math.isnan(expected_metric("recall", [0, 0], s, [1, 0]))
        assert math.isnan(expected_metric("f1", [0, 0], s, [0, 0]))
        assert math.isnan(expected_metric("specificity", [1, 1], s, [1, 0]))
        for q in ([0, 0], [1, 1]):
            assert math.isnan(expected_metric("roc_auc", q, s))
        for metric in RANGES:
            assert math.isnan(expected_metric(metric, [], [], []))
        assert math.isnan(expected_metric("roc_auc", [0.3], [0.5]))

    def test_many_at_once(self):
        """Leading axes are many labellings of the same rows."""
        s, _ = world(30)
        q = np.random.default_rng(0).random((4, 5, 30))
        for metric in RANGES:
            whole = expected_metric(metric, q, s, s > 0.5)
            assert whole.shape == (4, 5)
            assert whole[2, 3] == pytest.approx(expected_metric(metric, q[2, 3], s, s > 0.5), rel=1e-12)
        assert formats.from_json(formats.to_json(Confusion.of(q, s > 0.5)), Confusion) == Confusion.of(q, s > 0.5)

    def test_bad_input_is_refused(self):
        """Missing classes, wrong shapes, values outside their range, unknown names."""
        with pytest.raises(DataError, match="give predicted="):
            expected_metric("recall", [0.5], [0.5])
        with pytest.raises(ConfigurationError, match="metric='gini': expected one of"):
            expected_metric("gini", [0.5], [0.5])
        for q, s, p in (([0.5, 1.5], [0.1, 0.2], [0, 1]), ([0.5], [0.1, 0.2], [0, 1]), ([0.5, np.nan], [0, 1], [0, 1])):
            with pytest.raises(DataError, match="q has shape"):
                expected_metric("accuracy", q, s, p)
        with pytest.raises(DataError, match="got 1 predicted classes for 2 scores"):
            expected_metric("accuracy", [0.5, 0.5], [0.1, 0.2], [0])
        with pytest.raises(DataError, match="probabilities between 0 and 1"):
            expected_metric("log_loss", [0.5], [3.0])
        with pytest.raises(DataError, match="NaN"):
            expected_metric("roc_auc", [0.5], [np.nan])
        with pytest.raises(DataError, match="expected 0 or 1"):
            expected_metric("accuracy", [0.5], [0.5], [0.5])


class TestPredictiveInterval:
    def fitted(self, method="sigmoid", n=600, n_replicates=200):
        s, y = world(n)
        curve = calibrate(s, y, methods=[method])
        return curve, refit(curve, s, y, n_replicates=n_replicates)

    @pytest.mark.parametrize("metric", RANGES)
    @pytest.mark.parametrize("method", ["identity", "sigmoid", "isotonic"])
    def test_contains_its_estimate_within_the_range(self, metric, method):
        """low <= estimate <= high, all within what the metric can be, and the estimate near the expected metric."""
        curve, replicates = self.fitted(method)
        s, _ = world(200, seed=5)
        found = predictive_interval(metric, curve, replicates, s, s > 0.5)
        smallest, largest = RANGES[metric]
        assert smallest <= found.low < found.estimate < found.high <= largest
        naive = expected_metric(metric, curve.predict(s), s, s > 0.5)
        assert found.estimate == pytest.approx(naive, abs=0.5 * (found.high - found.low))
        assert formats.from_json(formats.to_json(found), type(found)) == found

    def test_a_known_calibration_gives_the_law_of_the_labels(self):
        """With a curve beyond doubt the interval of accuracy is the normal one of independent labels, within 10%."""
        curve = Calibration("identity", is_probability=True)
        s, _ = world(800)
        found = predictive_interval("accuracy", curve, [curve] * 4_000, s, s > 0.5)
        assert found.estimate == pytest.approx(expected_metric("accuracy", s, s, s > 0.5), abs=1e-12)
        half = norm.ppf(0.975) * math.sqrt((s * (1 - s)).sum()) / 800
        assert found.high - found.low == pytest.approx(2 * half, rel=0.1)

    def test_more_rows_and_a_larger_reference_narrow_it(self):
        """The luck of labels shrinks with the batch, the error of the curve with the reference."""
        widths = {}
        for n in (200, 4_000):
            curve, replicates = self.fitted(n=n)
            for m in (100, 4_000):
                s, _ = world(m, seed=1)
                found = predictive_interval("accuracy", curve, replicates, s, s > 0.5)
                widths[n, m] = found.high - found.low
        assert widths[200, 100] > widths[200, 4_000] > widths[4_000, 4_000]
        assert widths[200, 100] > widths[4_000, 100] > widths[4_000, 4_000]

    def test_order_of_rows_changes_little_and_the_seed_fixes_the_rest(self):
        """The same call gives the same interval to the bit; rows in another order the same estimate."""
        curve, replicates = self.fitted()
        s, _ = world(300, seed=1)
        first = predictive_interval("roc_auc", curve, replicates, s)
        assert predictive_interval("roc_auc", curve, replicates, s) == first
        assert predictive_interval("roc_auc", curve, replicates, s, seed=1) != first
        again = predictive_interval("roc_auc", curve, replicates, s[::-1])
        assert again.estimate == pytest.approx(first.estimate, abs=1e-12)

    def test_heterogeneity_widens_both_sides(self):
        """Each side becomes sqrt(side^2 + t^2 tau^2) with t from scipy; tau^2 = 0 changes nothing."""
        curve, replicates = self.fitted()
        s, _ = world(300, seed=1)

        def interval(tau2):
            parts = Heterogeneity(tau2, 10, np.zeros(10), np.ones(10))
            return predictive_interval("accuracy", curve, replicates, s, s > 0.5, heterogeneity=parts)

        plain = predictive_interval("accuracy", curve, replicates, s, s > 0.5)
        assert interval(0.0).low == pytest.approx(plain.low)
        wide = interval(0.0004)
        for a, b in ((plain.low, wide.low), (plain.high, wide.high)):
            assert abs(b - plain.estimate) == pytest.approx(np.hypot(a - plain.estimate, t.ppf(0.975, 10) * 0.02))
        assert (interval(9.0).low, interval(9.0).high) == (0.0, 1.0)

    def test_without_rows_everything_is_possible(self):
        """An empty batch, and a metric that no draw defines, have a NaN estimate and the metric's whole range."""
        curve, replicates = self.fitted()
        for metric, (smallest, largest) in RANGES.items():
            found = predictive_interval(metric, curve, replicates, [], [])
            assert math.isnan(found.estimate)
            assert (found.low, found.high, found.n) == (smallest, largest, 0)
        found = predictive_interval("precision", curve, replicates, [0.1, 0.2], [0, 0])
        assert math.isnan(found.estimate)
        assert (found.low, found.high) == (0.0, 1.0)

    def test_draws_without_the_metric_are_left_out(self):
        """Recall of a few unlikely rows is undefined in most draws and still has an interval."""
        curve, replicates = self.fitted()
        found = predictive_interval("recall", curve, replicates, [0.02, 0.02], [1, 0])
        assert (found.low, found.high) == (0.0, 1.0)
        assert found.estimate == pytest.approx(0.5)

    def test_bad_options_are_refused(self):
        """Too few replicates, the heterogeneity of another metric, a level or class column that cannot be."""
        curve, replicates = self.fitted()
        with pytest.raises(ConfigurationError, match=r"got 39 replicates; level=0\.95 needs 40"):
            predictive_interval("roc_auc", curve, replicates[:39], [0.5])
        with pytest.raises(ConfigurationError, match="level=1"):
            predictive_interval("roc_auc", curve, replicates, [0.5], level=1)
        parts = Heterogeneity(0.0, 2, [0.0, 0.0], [0.1, 0.1], "recall")
        with pytest.raises(ConfigurationError, match="heterogeneity of recall, not roc_auc"):
            predictive_interval("roc_auc", curve, replicates, [0.5], heterogeneity=parts)
        with pytest.raises(DataError, match="got 1 predicted classes for 2 scores"):
            predictive_interval("recall", curve, replicates, [0.5, 0.4], [1])


class TestHeterogeneity:
    def days(self, spread, n_days=40, rows=150, seed=0):
        rng = np.random.default_rng(seed)
        day = np.repeat(np.arange(n_days), rows)
        s = rng.random(len(day))
        return s, rng.random(len(day)) < np.clip(s + rng.normal(0, spread, n_days)[day], 0, 1), day

    def found(self, s, y, day, metric="recall", method="sigmoid", **options):
        curve = calibrate(s, y, block=day, methods=[method])
        replicates = refit(curve, s, y, block=day, n_replicates=100)
        return block_heterogeneity(metric, curve, replicates, s, y, day, s > 0.5, **options)

    def test_residuals_are_those_of_curves_fitted_without_the_block(self):
        """With ten blocks each residual is realised minus expected by a curve of the other nine, refitted here."""
        s, y, day = self.days(0.1, n_days=10)
        found = self.found(s, y, day, "brier_score_loss")
        for k in range(10):
            rest = calibrate(s[day != k], y[day != k], methods=["sigmoid"])
            q = evolve(rest, clip=calibrate(s, y, methods=["sigmoid"]).clip).predict(s[day == k])
            plain = expected_metric("brier_score_loss", y[day == k], s[day == k]) - expected_metric(
                "brier_score_loss", q, s[day == k]
            )
            assert found.residuals[k] == pytest.approx(plain, abs=0.004)  # but for the correction of optimism

    def test_standard_errors_are_the_luck_of_labels(self):
        """For a sure curve they are sqrt(sum q(1-q))/n for accuracy, within the noise of 100 draws."""
        s, y, day = self.days(0.0)
        found = self.found(s, y, day, "accuracy", "identity")
        law = [math.sqrt((q * (1 - q)).sum()) / len(q) for q in (s[day == k] for k in range(40))]
        assert np.mean(found.standard_errors) == pytest.approx(np.mean(law), rel=0.1)
        assert found.n_blocks == 40
        assert abs(found.bias) < 0.03

    def test_days_that_differ_show(self):
        """tau^2 grows with the spread between days, and equals its definition."""
        tau = []
        for spread in (0.0, 0.1, 0.3):
            found = self.found(*self.days(spread))
            excess = np.square(found.residuals).mean() - np.square(found.standard_errors).mean()
            assert found.tau2 == max(excess, 0.0)
            tau.append(math.sqrt(found.tau2))
        assert tau[0] < 0.02
        assert tau[0] < tau[1] < tau[2]

    def test_order_of_rows_and_json(self):
        """Rows in another order give the same result, up to rounding, and it survives JSON to the bit."""
        s, y, day = self.days(0.1, n_days=8)
        found = self.found(s, y, day)
        order = np.random.default_rng(0).permutation(len(s))
        again = self.found(s[order], y[order], day[order])
        assert again.tau2 == pytest.approx(found.tau2)
        assert formats.from_json(formats.to_json(found), Heterogeneity) == found

    def test_blocks_without_the_metric_are_left_out(self):
        """Days without positives have no recall: they are not counted, and fewer than two days are an error."""
        s, y, day = self.days(0.1, n_days=6)
        y = y & (day != 2)
        assert self.found(s, y, day).n_blocks == 5
        with pytest.raises(DataError, match="recall is defined on 1 blocks"):
            self.found(s, y & (day == 0), day)

    def test_bad_input_is_refused(self):
        """One replicate, one block, classes of another length."""
        s, y, day = self.days(0.1, n_days=4)
        curve = calibrate(s, y)
        replicates = refit(curve, s, y, n_replicates=3)
        with pytest.raises(ConfigurationError, match="got 1 replicates"):
            block_heterogeneity("recall", curve, replicates[:1], s, y, day, s > 0.5)
        with pytest.raises(DataError, match="at least two"):
            block_heterogeneity("recall", curve, replicates, s, y, np.zeros(len(s)), s > 0.5)
        with pytest.raises(DataError, match="predicted classes"):
            block_heterogeneity("recall", curve, replicates, s, y, day, [1])
        with pytest.raises(DataError, match="give predicted="):
            block_heterogeneity("recall", curve, replicates, s, y, day)


outcomes = arrays(float, st.integers(2, 30), elements=st.floats(-5, 5, width=32))


class TestPPIMean:
    def test_lam_minimises_the_estimated_variance(self):
        """No lam on a fine grid of [0, 1] gives a smaller lam^2 var(c_unlabelled)/N + var(ok - lam c)/m."""
        for seed in range(20):
            rng = np.random.default_rng(seed)
            c, others = rng.random(40), rng.random(70)
            ok = rng.normal(rng.uniform(-1, 2) * c, 0.3)
            found = ppi_mean(ok, c, others)
            grid = np.linspace(0, 1, 1_001)
            variance = grid**2 * others.var(ddof=1) / 70 + (ok - grid[:, None] * c).var(axis=1, ddof=1) / 40
            assert found.lam == pytest.approx(grid[variance.argmin()], abs=1e-3)
            estimate = found.lam * others.mean() + (ok - found.lam * c).mean()
            assert found.estimate == pytest.approx(estimate)
            assert found.high - found.estimate == pytest.approx(t.ppf(0.975, 39) * math.sqrt(variance.min()), rel=1e-4)
            assert found.estimate - found.low == pytest.approx(found.high - found.estimate)

    def test_agrees_with_the_formula_of_the_paper(self):
        """Where both samples of c have one variance, lam is cov(ok, c) / ((1 + m/N) var(c)) (numpy.cov)."""
        rng = np.random.default_rng(0)
        c = rng.random(50)
        others = np.concatenate([c, 1 - c, c, 1 - c])
        others = (others - others.mean()) * c.std(ddof=1) / others.std(ddof=1) + 0.4
        ok = 0.5 * c + rng.normal(0, 0.2, 50)
        covariance = np.cov(ok, c)
        lam = covariance[0, 1] / ((1 + 50 / 200) * covariance[1, 1])
        found = ppi_mean(ok, c, others)
        assert found.lam == pytest.approx(lam)
        assert found.estimate == pytest.approx(lam * 0.4 + (ok - lam * c).mean())

    @given(st.data())
    def test_is_never_wider_than_labels_alone(self, data):
        """Whatever the estimates, the interval is at most as wide as the t interval of the labels (`mean_t`)."""
        ok = data.draw(outcomes)
        c = data.draw(arrays(float, len(ok), elements=st.floats(-5, 5, width=32)))
        others = data.draw(arrays(float, st.integers(0, 30), elements=st.floats(-5, 5, width=32)))
        found = ppi_mean(ok, c, others)
        if found.method != "ppi++":
            return
        alone = mean_t(ok)
        assert found.high - found.low <= (alone.high - alone.low) * (1 + 1e-9) + 1e-12
        assert found.low <= found.estimate <= found.high
        assert 0 <= found.lam <= 1

    def test_shifts_and_scales_with_the_outcome(self):
        """Adding to outcomes moves the interval; scaling outcomes and estimates scales it."""
        rng = np.random.default_rng(0)
        c, others = rng.random(40), rng.random(100)
        ok = c + rng.normal(0, 0.3, 40)
        found, moved, scaled = ppi_mean(ok, c, others), ppi_mean(ok + 3, c, others), ppi_mean(9 * ok, 9 * c, 9 * others)
        assert (moved.low, moved.high) == pytest.approx((found.low + 3, found.high + 3))
        assert (scaled.low, scaled.high) == pytest.approx((9 * found.low, 9 * found.high))

    def test_useless_estimates_leave_labels_alone(self):
        """Estimates without spread, against the outcome, or of fewer than two rows: lam = 0 and the t interval."""
        rng = np.random.default_rng(0)
        ok, c = rng.normal(size=30), rng.normal(size=30)
        alone = mean_t(ok)
        for known, others in ((np.full(30, 0.7), np.full(50, 0.7)), (-ok, rng.normal(size=50)), (c, []), (c, [0.5])):
            found = ppi_mean(ok, known, others)
            assert found.lam == 0
            assert (found.low, found.estimate, found.high) == pytest.approx((alone.low, alone.estimate, alone.high))

    def test_few_labels(self):
        """No label: NaN and everything; one: itself and everything; all right: Clopper-Pearson, not width 0."""
        none, one = ppi_mean([], [], [0.5, 0.6]), ppi_mean([1], [0.5], [0.5, 0.6])
        assert math.isnan(none.estimate)
        assert (one.estimate, one.low, one.high) == (1.0, -math.inf, math.inf)
        right = ppi_mean(np.ones(20), np.linspace(0.5, 1, 20), np.linspace(0.5, 1, 99))
        exact = clopper_pearson(20, 20)
        assert (right.low, right.high, right.method) == (exact.low, 1.0, "clopper-pearson")
        assert ppi_mean([0.3, 0.3], [0.1, 0.2], [0.1, 0.2]).low == 0.3  # no spread that says anything else

    def test_json_and_text(self):
        """The result is an Interval, prints as one, and survives JSON to the bit."""
        found = ppi_mean([1, 0, 1, 1], [0.9, 0.3, 0.6, 0.7], [0.5, 0.9, 0.8])
        assert formats.from_json(formats.to_json(found), PoweredMean) == found
        assert "n=4, ppi++" in str(found)
        assert found.n_unlabelled == 3

    def test_bad_input_is_refused(self):
        """NaN, lengths that differ, a level outside (0, 1)."""
        with pytest.raises(DataError, match="c_unlabelled: 1 of 1"):
            ppi_mean([1, 0], [0.5, 0.4], [np.nan])
        with pytest.raises(DataError, match="got 2 outcomes and 1 estimates"):
            ppi_mean([1, 0], [0.5], [0.5])
        with pytest.raises(ConfigurationError, match="level=0"):
            ppi_mean([1, 0], [0.5, 0.4], [0.5], level=0)


class TestDensityRatio:
    def test_logistic_weights_are_those_of_two_normals(self):
        """For N(0,1) and N(.5,1) the log ratio is .5 x - .125 (exact); a logistic classifier finds it."""
        rng = np.random.default_rng(0)
        x, b = rng.normal(size=(4_000, 1)), rng.normal(0.5, 1, size=(2_000, 1))
        found = density_ratio(x, b, classifier=LogisticRegression())
        truth = np.exp(0.5 * x[:, 0] - 0.125)
        assert np.corrcoef(np.log(found.weights), np.log(truth))[0, 1] > 0.999
        assert found.weights.mean() == pytest.approx(1, abs=0.05)
        assert np.average(x[:, 0], weights=found.weights) == pytest.approx(0.5, abs=0.08)
        assert found.effective_n == pytest.approx(truth.sum() ** 2 / (truth**2).sum(), rel=0.1)
        assert found.auc == pytest.approx(norm.cdf(0.5 / math.sqrt(2)), abs=0.02)
        assert (found.off_support, found.clipped, found.n_reference, found.n_batch) == (0, 0, 4_000, 2_000)

    def test_trees_find_a_change_of_spread(self):
        """The default moves the reference's variance to the batch's, which no linear classifier can."""
        rng = np.random.default_rng(0)
        x, b = rng.normal(size=(3_000, 2)), rng.normal(size=(2_000, 2)) * [1.5, 1.0]
        found = density_ratio(x, b)
        assert np.average(x[:, 0] ** 2, weights=found.weights) == pytest.approx(2.25, abs=0.45)
        assert np.average(x[:, 1] ** 2, weights=found.weights) == pytest.approx(1, abs=0.2)
        assert 0.55 < found.auc < 0.7

    def test_without_a_shift_little_is_lost(self):
        """Batches like the reference: area near .5, weights around 1, most of the sample left, all supported."""
        rng = np.random.default_rng(0)
        found = density_ratio(rng.normal(size=(2_000, 5)), rng.normal(size=(1_000, 5)))
        assert found.auc == pytest.approx(0.5, abs=0.05)
        assert found.weights.mean() == pytest.approx(1, abs=0.05)
        assert found.effective_n > 1_600
        assert found.off_support == 0

    def test_rows_off_the_support_are_counted(self):
        """A third of the batch where no reference row is: about a third is off the support, in trees and in sums."""
        rng = np.random.default_rng(0)
        x = rng.normal(size=(3_000, 2))
        b = rng.normal(size=(900, 2))
        b[:300] += 12
        assert density_ratio(x, b).off_support == pytest.approx(1 / 3, abs=0.03)
        assert density_ratio(x, rng.normal(size=(900, 2))).off_support < 0.01

    def test_rows_are_judged_by_a_classifier_that_has_not_seen_their_block(self):
        """A classifier that knows its rows by heart says nothing about others; blocks of equal rows stay together."""
        from sklearn.neighbors import KNeighborsClassifier

        rng = np.random.default_rng(0)
        days = rng.normal(size=(60, 3))
        x, b = np.repeat(days[:40], 20, axis=0), np.repeat(days[40:], 20, axis=0)
        near = KNeighborsClassifier(5)
        by_row = density_ratio(x, b, classifier=near)
        by_day = density_ratio(
            x, b, classifier=near, reference_block=np.repeat(range(40), 20), batch_block=np.repeat(range(20), 20)
        )
        assert by_row.auc == 1.0
        assert by_day.auc < 0.7

    def test_clip_and_missing_values(self):
        """No weight is above the clip, how many were cut is stated, and NaN is just another value."""
        rng = np.random.default_rng(0)
        x, b = rng.normal(size=(1_000, 1)), rng.normal(2, 1, size=(1_000, 1))
        found = density_ratio(x, b, clip=3.0)
        assert found.weights.max() == 3.0
        assert found.clipped == pytest.approx((found.weights == 3.0).mean())
        assert found.clipped > 0
        x[:100], b[:500] = np.nan, np.nan
        assert density_ratio(x, b).weights[:100].mean() > 3

    def test_is_seeded_and_survives_json(self):
        """The same seed gives the same weights to the bit; JSON too."""
        rng = np.random.default_rng(0)
        x, b = rng.normal(size=(60, 1)), rng.normal(size=(2, 1))
        found = density_ratio(x, b)
        assert density_ratio(x, b) == found
        assert formats.from_json(formats.to_json(found), DensityRatio) == found
        assert DensityRatio([0.0], off_support=1.0, auc=1.0, clip=2.0, clipped=0.0, n_batch=3).effective_n == 0

    def test_bad_input_is_refused(self):
        """Too few rows, other columns, infinite values, text, a clip or classifier that cannot work."""
        x = np.zeros((5, 2))
        for bad in (np.zeros((1, 2)), np.zeros(5), np.array([["a", "b"]] * 3), np.zeros((5, 0))):
            with pytest.raises(DataError, match="expected numbers"):
                density_ratio(x, bad)
        with pytest.raises(DataError, match="got 2 columns and 3"):
            density_ratio(x, np.zeros((5, 3)))
        with pytest.raises(DataError, match="1 infinite"):
            density_ratio(x, [[0, 1], [np.inf, 0]])
        for clip in (1.0, np.inf, np.nan):
            with pytest.raises(ConfigurationError, match="clip"):
                density_ratio(x, x, clip=clip)
        with pytest.raises(ConfigurationError, match="no predict_proba"):
            density_ratio(x, x, classifier=object())
        with pytest.raises(ConfigurationError, match="seed=-1"):
            density_ratio(x, x, seed=-1)


residuals = st.lists(st.sampled_from([-1.0, -0.3, 0.0, 0.01, 0.2, 1.0]) | st.floats(-1, 1), min_size=1, max_size=60)


class TestAdaptiveWidth:
    @given(residuals, st.floats(0.01, 2), st.floats(0, 1), st.sampled_from([0.05, 0.1, 0.5]))
    def test_long_run_coverage_holds_for_any_sequence(self, sequence, step, first, alpha):
        """|misses/n - alpha| <= (max(a1, 1 - a1) + gamma)/(gamma n) after every batch; gamma = step, a1 = 1 - first."""
        state = AdaptiveWidth(step=step, first=first, alpha=alpha, rate=0.0)
        for residual in sequence:
            state = state.update(residual)
            gap = abs(state.n_missed / state.n - alpha)
            assert gap <= (max(first, 1 - first) + step) / (step * state.n) * (1 + 1e-9)
            assert -step * alpha - 1e-9 <= state.width <= 1 + step * (1 - alpha) + 1e-9

    @given(st.integers(1, 200), st.floats(0.01, 0.5), st.booleans())
    def test_an_adversary_who_sees_the_width_cannot_break_it(self, n, step, always):
        """Residuals just above or always below the width, whichever hurts more, stay within the guarantee."""
        state = AdaptiveWidth(step=step, first=0.5, alpha=0.1, rate=0.0)
        for _ in range(n):
            state = state.update(min(np.nextafter(state.half_width, 2), 1.0) if always else 0.0)
        assert abs(state.n_missed / n - 0.1) <= (0.5 + step) / (step * n) * (1 + 1e-9)

    @given(residuals, st.integers(1, 5), st.floats(0.01, 1))
    def test_late_labels_loosen_the_guarantee_by_their_delay(self, sequence, delay, step):
        """With labels d batches late the bound has (d + 1) gamma in place of gamma, and still holds."""
        state = AdaptiveWidth(step=step, first=0.5, alpha=0.1, rate=0.0)
        issued = []
        for k in range(len(sequence)):
            issued.append(state)
            if k >= delay:
                state = state.update(sequence[k - delay], issued=issued[k - delay])
                gap = abs(state.n_missed / state.n - 0.1)
                assert gap <= (0.5 + (delay + 1) * step) / (step * state.n) * (1 + 1e-9)

    def test_a_fixed_width_has_no_such_guarantee(self):
        """The same adversary misses a width that stands still in every batch: the promise is the update's doing."""
        state = AdaptiveWidth(step=0.1, first=0.2, alpha=0.1, rate=0.0)
        fixed = 0
        for _ in range(500):
            residual = 0.25
            fixed += residual > 0.2
            state = state.update(residual)
        assert fixed == 500
        assert state.n_missed / state.n <= 0.1 + (0.8 + 0.1) / (0.1 * 500)

    @given(residuals, st.floats(0, 1))
    def test_the_offset_is_the_exponentially_weighted_mean(self, sequence, rate):
        """offset = sum of rate (1 - rate)^age * residual, computed by hand."""
        state = AdaptiveWidth(step=0.1, first=0.1, rate=rate)
        for residual in sequence:
            state = state.update(residual)
        ages = np.arange(len(sequence))[::-1]
        assert state.offset == pytest.approx(float((rate * (1 - rate) ** ages) @ np.array(sequence)), abs=1e-12)

    def test_a_constant_error_is_learnt(self):
        """An estimator that is .2 too high is corrected to within .01, and its intervals get narrow again."""
        state = AdaptiveWidth.start([0.01, -0.02, 0.015, -0.01], alpha=0.1)
        for _ in range(400):
            state = state.update(-0.2)
        interval = state.interval(0.9)
        assert interval.estimate == pytest.approx(0.7, abs=0.01)
        assert interval.high - interval.low < 0.1
        assert interval.guarantee == "asymptotic"

    @given(residuals, st.integers(0, 60))
    def test_a_stream_split_anywhere_gives_the_same_state(self, sequence, cut):
        """Serialized between two halves the state is the same to the bit, and as small as after one batch."""
        whole = half = AdaptiveWidth(step=0.03, first=0.1)
        for residual in sequence:
            whole = whole.update(residual)
        for residual in sequence[:cut]:
            half = half.update(residual)
        half = formats.from_json(formats.to_json(half), AdaptiveWidth)
        for residual in sequence[cut:]:
            half = half.update(residual)
        assert half == whole
        assert formats.to_json(half) == formats.to_json(whole)
        assert len(formats.to_json(whole)) < len(formats.to_json(AdaptiveWidth(step=0.03, first=0.1))) + 60

    def test_start_takes_the_conformal_quantile(self):
        """The first width is the ceil((n + 1)(1 - alpha))-th smallest residual, the largest where there are too few."""
        sizes = np.arange(1, 20) / 100
        assert AdaptiveWidth.start(-sizes, alpha=0.1).first == 0.18
        assert AdaptiveWidth.start(sizes, alpha=0.01).first == 0.19
        assert AdaptiveWidth.start(sizes, alpha=0.999).first == 0.01
        assert AdaptiveWidth.start(sizes).step == pytest.approx(0.019)
        for bad in ([], [0.0, 0.0], [np.nan]):
            with pytest.raises(DataError):
                AdaptiveWidth.start(bad)

    def test_intervals_are_cut_to_the_metric(self):
        """Nothing outside [low, high] is given; a width below 0 is a point; estimates outside are refused."""
        wide = AdaptiveWidth(step=0.1, first=2.0).interval(0.9)
        assert (wide.low, wide.estimate, wide.high) == (0.0, 0.9, 1.0)
        narrow = AdaptiveWidth(step=1.0, first=0.0, rate=0.0).update(0.0)
        assert narrow.width < 0
        assert (narrow.interval(0.4).low, narrow.interval(0.4).high, narrow.half_width) == (0.4, 0.4, 0.0)
        assert AdaptiveWidth(step=0.1, first=2.0).interval(4.0, low=0, high=35).high == 6.0
        for estimate in (1.2, np.nan):
            with pytest.raises(DataError, match="estimate"):
                narrow.interval(estimate)

    def test_dials_are_checked_and_cannot_be_turned(self):
        """Dials outside their range, states that cannot be, and dials turned afterwards are refused."""
        for dials in (
            {"alpha": 0.0},
            {"step": 0.0},
            {"step": np.nan},
            {"first": -0.1},
            {"first": np.inf},
            {"rate": 1.1},
        ):
            with pytest.raises(ConfigurationError, match=next(iter(dials))):
                AdaptiveWidth(**{"step": 0.1, "first": 0.1, **dials})
        for fields in ({"n": 1, "n_missed": 2}, {"offset": np.nan}):
            with pytest.raises(DataError, match="n_missed"):
                AdaptiveWidth(step=0.1, first=0.1, **fields)
        state = AdaptiveWidth(step=0.1, first=0.1).update(0.2)
        with pytest.raises(DataError, match="residual=nan"):
            state.update(math.nan)
        with pytest.raises(StateMismatch, match="dials"):
            evolve(state, step=0.2)
        with pytest.raises((StateMismatch, FormatError)):
            formats.from_json(formats.to_json(state).replace('"alpha":0.05', '"alpha":0.06'), AdaptiveWidth)


class TestEdges:
    """What odd input does: an answer that is right, or an error that says what was expected."""

    @pytest.mark.parametrize(
        "block", [[1.0, np.nan, 2, 3, 1, 2, 3, 1], ["a", np.nan, "b", "a", "b", "a", "b", "a"], ["a", None, *"babaab"]]
    )
    def test_missing_blocks_in_objects_are_refused(self, block):
        """NaN and None in a column of objects, as pandas hands them over."""
        score, y = np.linspace(0.1, 0.9, 8), [0, 1] * 4
        with pytest.raises(DataError, match="1 blocks are missing"):
            calibrate(score, y, block=np.array(block, dtype=object))

    def test_twenty_replicates_are_enough_for_ninety_percent(self):
        """2 / (1 - .9) is twenty, whatever floats make of it; nineteen are refused."""
        score, y = world(100)
        curve = calibrate(score, y, methods=["sigmoid"])
        few = refit(curve, score, y, n_replicates=20)
        predictive_interval("accuracy", curve, few, score, score > 0.5, level=0.9)
        with pytest.raises(ConfigurationError, match="needs 20"):
            predictive_interval("accuracy", curve, few[:19], score, score > 0.5, level=0.9)

    @pytest.mark.parametrize("n_ones", range(0, 60, 7))
    def test_log_loss_of_labels_is_never_negative(self, n_ones):
        """Certain predictions that are right cost nothing, exactly."""
        q = np.repeat([1.0, 0.0], [n_ones, 7])
        assert expected_metric("log_loss", q, q) == pytest.approx(0, abs=1e-12)
        assert expected_metric("log_loss", q, q) >= 0

    @pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200])
    def test_scores_of_any_size_have_a_sigmoid(self, scale):
        """Scores near the ends of floats are told apart as their like near 1 are."""
        f, y = np.array([-1.0, 1.0, -2.0, 3.0, 0.5, -0.5] * 5), np.array([0, 1, 0, 1, 0, 1] * 5)
        plain, scaled = (calibrate(f * size, y, methods=["sigmoid"]) for size in (1.0, scale))
        np.testing.assert_allclose(scaled.predict(f * scale), plain.predict(f), rtol=1e-6)

    def test_a_state_with_other_dials_was_not_issued_here(self):
        """Widths of another tracking, or of a later state, would void the bound."""
        state = AdaptiveWidth(step=0.1, first=0.1)
        with pytest.raises(StateMismatch):
            state.update(0.5, issued=AdaptiveWidth(step=0.1, first=10.0))
        with pytest.raises(DataError, match="seen 1 batches"):
            state.update(0.5, issued=state.update(0.1))

    @pytest.mark.parametrize(("n_blocks", "n_rows", "method"), [(4, 200, "sigmoid"), (10, 100, "isotonic")])
    def test_blocks_that_do_not_differ_have_no_excess(self, n_blocks, n_rows, method):
        """Without block effects the mean squared residual is the mean squared standard error, within noise.

        120 simulated references; counted twice, the pull of a block on its own curve would give 1.4 and 1.3.
        """
        rng, residuals, errors = np.random.default_rng(n_blocks), [], []
        block = np.repeat(np.arange(n_blocks), n_rows)
        for i in range(120):
            score = rng.random(n_blocks * n_rows)
            y = rng.random(len(score)) < score
            curve = calibrate(score, y, block=block, methods=[method])
            replicates = refit(curve, score, y, n_replicates=30, seed=i)
            found = block_heterogeneity("accuracy", curve, replicates, score, y, block, score > 0.5)
            residuals.append(np.square(found.residuals).mean())
            errors.append(np.square(found.standard_errors).mean())
        assert np.mean(residuals) / np.mean(errors) == pytest.approx(1, abs=0.2)
