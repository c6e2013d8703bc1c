"""Gates: the error rate they state, verdicts that can be inconclusive, and clear words for what cannot be judged."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopskit.errors import ConfigurationError, DataError
from mlopskit.promotion import Gate, GateCheck, GateReport, MinScore, NonInferior, Trial
from mlopskit.records import Predictions


class Model:
    """Answers with a column of the frame."""

    target, time = "y", "day"

    def __init__(self, column, classes=None):
        self.column, self.classes = column, classes

    def predict(self, frame):
        p = pl.DataFrame(frame)[self.column].to_numpy() if isinstance(frame, pl.DataFrame) else frame[self.column]
        p = np.asarray(p, dtype=float)
        known = np.array([0, 1]) if self.classes is None else np.array(self.classes)
        return Predictions(known[(p > 0.5).astype(int)], p, classes=known)


def data(n_days=30, per_day=50, *, gain=0.0, seed=0):
    """Make labelled days on which the column `new` is better than `old` by about `gain` in log-loss."""
    rng = np.random.default_rng(seed)
    n = n_days * per_day
    y = rng.integers(0, 2, n)
    logit = (2 * y - 1) * 1.0 + rng.normal(0, 1, n)
    day = np.repeat(pd.date_range("2024-01-01", periods=n_days), per_day)
    old = 1 / (1 + np.exp(-logit))
    return pd.DataFrame({"y": y, "day": day, "old": old, "new": 1 / (1 + np.exp(-(logit + (2 * y - 1) * gain)))})


def trial(truth, challenger, champion=None, blocks=None):
    def answers(p):
        return None if p is None else Predictions((np.asarray(p) > 0.5).astype(int), np.asarray(p, float))

    truth = np.asarray(truth)
    blocks = np.arange(len(truth)) if blocks is None else np.asarray(blocks)
    return Trial(truth, answers(challenger), answers(champion), blocks)


class TestPower:
    def test_power(self):
        """A clear gain passes in nearly all of 100 gates of 28 days, a clear loss fails."""
        gate = NonInferior("neg_log_loss", margin=0.005)
        better = [gate.evaluate(Model("new"), Model("old"), data(28, gain=0.5, seed=s)).verdict for s in range(100)]
        worse = [gate.evaluate(Model("old"), Model("new"), data(28, gain=0.5, seed=s)).verdict for s in range(100)]
        assert better.count("pass") >= 95
        assert worse.count("fail") >= 95


class TestNonInferior:
    def test_the_estimate_is_the_mean_of_the_days(self):
        """Second source: pandas groupby of the log-loss differences; the bounds lie around it."""
        frame = data(gain=0.3)
        check = NonInferior("log_loss", margin=0.01).evaluate(Model("new"), Model("old"), frame).checks[0]

        def loss(p):
            return -np.log(np.where(frame["y"] == 1, p, 1 - p))

        daily = pd.Series(loss(frame["old"]) - loss(frame["new"])).groupby(frame["day"]).mean()
        assert check.value == pytest.approx(daily.mean())
        assert check.low < check.value < check.high
        assert (check.n_rows, check.n_blocks, check.limit) == (1500, 30, -0.01)

    def test_bootstrap_of_days(self):
        """The circular block bootstrap gives bounds of like width on independent days."""
        frame = data(gain=0.3)
        t, boot = (
            NonInferior("log_loss", margin=0.01, method=m).evaluate(Model("new"), Model("old"), frame).checks[0]
            for m in ("t", "bootstrap")
        )
        assert boot.value == pytest.approx(t.value)
        assert 0.6 < (boot.high - boot.low) / (t.high - t.low) < 1.4

    @pytest.mark.parametrize("name", ["roc_auc", "balanced_accuracy"])
    def test_scores_that_are_no_mean_of_rows(self, name):
        """Days are resampled; with fewer than twenty the answer is inconclusive, and says why."""
        gate = NonInferior(name, margin=0.01)
        assert gate.evaluate(Model("new"), Model("old"), data(30, gain=1.0)).passed
        few = gate.evaluate(Model("new"), Model("old"), data(10, gain=1.0))
        assert few.verdict == "inconclusive"
        assert "more are needed (about 20)" in str(few)

    def test_equal_models_do_not_fail(self):
        """The same answers twice are not worse by any margin above 0."""
        assert NonInferior("neg_log_loss", margin=0.001).evaluate(Model("old"), Model("old"), data()).passed

    def test_a_comparison_needs_a_champion(self):
        """Without one the error says what to do; a gate that does not compare runs."""
        with pytest.raises(ConfigurationError, match="compares with a champion"):
            NonInferior("accuracy", margin=0.1).evaluate(Model("new"), None, data())
        assert MinScore("accuracy", 0.5).evaluate(Model("new"), None, data()).passed

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"margin": -0.1}, "margin"),
            ({"margin": float("nan")}, "margin"),
            ({"margin": 0.1, "alpha": 0.5}, "alpha"),
            ({"margin": 0.1, "method": "z"}, "method"),
        ],
    )
    def test_arguments_are_checked_at_construction(self, options, says):
        """A gate that cannot work is refused before it meets a model."""
        with pytest.raises(ConfigurationError, match=says):
            NonInferior("accuracy", **options)
        with pytest.raises(ConfigurationError, match="not known"):
            NonInferior("nope", margin=0.1)


class TestMinScore:
    def test_verdicts(self):
        """Far below the score it passes, far above it fails, at the score it cannot say."""
        frame = data()
        score = MinScore("roc_auc", 0.5).evaluate(Model("old"), None, frame).checks[0].value
        verdicts = [MinScore("roc_auc", t).evaluate(Model("old"), None, frame).verdict for t in (0.5, score, 0.999)]
        assert verdicts == ["pass", "inconclusive", "fail"]

    def test_log_loss_is_compared_as_a_score(self):
        """neg_log_loss is negative; a threshold of 0 can never be reached."""
        assert MinScore("neg_log_loss", -2.0).evaluate(Model("old"), None, data()).passed
        assert MinScore("neg_log_loss", 0.0).evaluate(Model("old"), None, data()).verdict == "fail"
        with pytest.raises(ConfigurationError, match="threshold"):
            MinScore("neg_log_loss", float("nan"))

    def test_one_class_in_the_window(self):
        """Labels of one class leave the area under the curve undecided; classes are the model's, not the day's."""
        frame = data().assign(y=0)
        assert MinScore("roc_auc", 0.5).evaluate(Model("old"), None, frame).verdict == "inconclusive"
        text = frame.assign(y="no")
        report = MinScore("neg_log_loss", -5.0).evaluate(Model("old", ["no", "yes"]), None, text)
        numeric = MinScore("neg_log_loss", -5.0).evaluate(Model("old"), None, frame)
        assert report.checks[0].value == pytest.approx(numeric.checks[0].value)
        ones = MinScore("neg_log_loss", -5.0).evaluate(Model("old", [1, 2]), None, frame.assign(y=1))
        assert ones.checks[0].value == pytest.approx(numeric.checks[0].value)

    def test_a_model_without_probabilities(self):
        """A metric of probabilities says what is missing."""
        t = Trial(np.array([0, 1]), Predictions(np.array([0, 1])), None, np.arange(2))
        with pytest.raises(ConfigurationError, match="predict_proba"):
            MinScore("roc_auc", 0.5).judge(t)


class Fixed(Gate):
    """Answers what it is told."""

    def __init__(self, verdict):
        self.verdict = verdict

    def judge(self, trial):
        check = GateCheck(self.verdict, "", self.verdict, 0.0, 0.0, 0.0, 0.0, len(trial.truth), trial.n_blocks, "")
        return GateReport(self.verdict, (check,))


RANK = {"fail": 0, "inconclusive": 1, "pass": 2}
verdicts = st.sampled_from(list(RANK))


class TestLogic:
    @given(verdicts, verdicts, verdicts)
    def test_kleene(self, a, b, c):
        """Labels of one class leave the curve undecided; which class is positive the model says, not the day."""
        t = trial([1], [1])
        gates = [Fixed(v) for v in (a, b, c)]
        both = (gates[0] & gates[1] & gates[2]).judge(t)
        either = (gates[0] | (gates[1] | gates[2])).judge(t)
        mixed = ((gates[0] & gates[1]) | gates[2]).judge(t)
        assert RANK[both.verdict] == min(RANK[v] for v in (a, b, c))
        assert RANK[either.verdict] == max(RANK[v] for v in (a, b, c))
        assert RANK[mixed.verdict] == max(min(RANK[a], RANK[b]), RANK[c])
        assert [check.name for check in both.checks] == [a, b, c]
        assert both.passed == (both.verdict == "pass")


class TestData:
    def test_rows_without_a_label_are_left_out_and_counted(self):
        """Cancelled flights never get a label."""
        frame = data().astype({"y": float})
        frame.loc[:9, "y"] = np.nan
        report = MinScore("accuracy", 0.5).evaluate(Model("old"), None, frame)
        assert (report.n_unlabelled, report.checks[0].n_rows) == (10, 1490)
        assert "10 rows without a label left out" in str(report)

    def test_nothing_labelled_is_inconclusive(self):
        """So is an empty frame."""
        gate = MinScore("accuracy", 0.5)
        for frame in (data().assign(y=np.nan), data().head(0)):
            report = gate.evaluate(Model("old"), None, frame)
            assert (report.verdict, report.checks[0].message) == ("inconclusive", "no labelled rows to judge on")

    def test_one_day_is_inconclusive(self):
        """A single day says nothing about days."""
        report = NonInferior("accuracy", margin=0.1).evaluate(Model("new"), Model("old"), data(1, 500, gain=2.0))
        assert (report.verdict, report.checks[0].n_blocks) == ("inconclusive", 1)

    def test_times_within_a_day_are_one_block(self):
        """Minutes do not make rows independent; a time that is no datetime counts by its values."""
        frame = data(20)
        minutes = frame.assign(day=frame["day"] + pd.to_timedelta(np.arange(len(frame)) % 50, unit="min"))
        gate = NonInferior("accuracy", margin=0.1)
        assert gate.evaluate(Model("new"), Model("old"), minutes).checks[0].n_blocks == 20
        zoned = minutes.assign(day=minutes["day"].dt.tz_localize("America/New_York"))
        assert gate.evaluate(Model("new"), Model("old"), zoned).checks[0].n_blocks == 20
        weeks = frame.assign(day=frame["day"].dt.isocalendar().week.astype(str))
        assert gate.evaluate(Model("new"), Model("old"), weeks).checks[0].n_blocks == 3

    def test_target_and_time_can_be_named(self):
        """They default to the challenger's; a challenger without a target needs one."""
        frame = data().rename(columns={"y": "label", "day": "when"})
        named = MinScore("accuracy", 0.5).evaluate(Model("old"), None, frame, target="label", time="when")
        assert named.checks[0].n_blocks == 30
        nameless = Model("old")
        nameless.target = nameless.time = None
        with pytest.raises(ConfigurationError, match="pass target="):
            MinScore("accuracy", 0.5).evaluate(nameless, None, frame)
        rows = MinScore("accuracy", 0.5).evaluate(nameless, None, frame, target="label")
        assert rows.checks[0].n_blocks == 1500
        with pytest.raises(DataError, match=r"missing column\(s\) \['y'\]"):
            MinScore("accuracy", 0.5).evaluate(Model("old"), None, frame)
        holed = data()
        holed.loc[:1, "day"] = pd.NaT
        with pytest.raises(DataError, match="2 values of 'day' are missing"):
            MinScore("accuracy", 0.5).evaluate(Model("old"), None, holed)

    def test_engines_agree(self):
        """A polars frame gets the verdict and the numbers of the pandas one."""
        gate = NonInferior("neg_log_loss", margin=0.01)
        reports = [gate.evaluate(Model("new"), Model("old"), frame) for frame in (data(), pl.from_pandas(data()))]
        assert reports[0] == reports[1]


def test_the_report_is_a_report():
    """It prints the verdict first, and becomes a frame, plain data, HTML and a picture."""
    gate = NonInferior("neg_log_loss", margin=0.01) & MinScore("accuracy", 0.99)
    report = gate.evaluate(Model("new"), Model("old"), data(gain=0.5))
    assert str(report).startswith("gate: fail\n  pass: neg_log_loss, challenger minus champion: +")
    assert report.to_frame()["verdict"].tolist() == ["pass", "fail"]
    assert report.to_dict()["verdict"] == "fail"
    assert "accuracy" in report._repr_html_()
    assert report.plot().get_xlabel() == "estimate minus limit"
