"""The values that travel: predictions, evaluations, candidates, versions, decisions."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from attrs import evolve
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mlopskit import formats
from mlopskit.errors import DataError
from mlopskit.lineage import Lineage
from mlopskit.profiling import Binning
from mlopskit.records import Candidate, Decision, Evaluation, ModelVersion, Predictions, Score, predict
from mlopskit.schema import Schema

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(RNG.normal(size=(60, 2)), columns=["a", "b"])
BINARY = LogisticRegression().fit(FRAME, np.where(FRAME["a"] > 0, "yes", "no"))
THREE = LogisticRegression().fit(FRAME, np.digitize(FRAME["b"], [-0.5, 0.5]))
NUMBER = LinearRegression().fit(FRAME, FRAME["a"] - FRAME["b"])
UTC = dt.UTC


class TestPredictions:
    def test_are_an_array_of_values(self):
        """np.asarray gives the values, with a dtype if asked for, and numpy's functions take predictions too."""
        answer = Predictions(np.array([1, 0, 1]))
        assert len(answer) == 3
        assert np.asarray(answer).tolist() == [1, 0, 1]
        assert np.asarray(answer, dtype=float).dtype == float
        assert np.mean(answer) == pytest.approx(2 / 3)
        assert (np.asarray(answer) == np.array([1, 1, 1])).tolist() == [True, False, True]

    def test_the_array_is_a_copy_unless_sharing_is_asked_for(self):
        """Changing the array does not change what was answered; copy=False shares it, as numpy has it."""
        answer = Predictions(np.array([1, 0, 1]))
        np.asarray(answer)[0] = 9
        assert answer.values[0] == 1
        assert np.shares_memory(np.array(answer, copy=False), answer.values)


class TestPredict:
    def test_binary_scores_are_those_of_the_second_class(self):
        """A binary classifier brings one probability for each row, that of classes_[1] (scikit-learn itself)."""
        answer = predict(BINARY, FRAME, ("a", "b"))
        assert answer.values.tolist() == BINARY.predict(FRAME).tolist()
        np.testing.assert_array_equal(answer.scores, BINARY.predict_proba(FRAME)[:, 1])
        assert (answer.version, answer.ids) == (None, None)

    def test_more_classes_have_a_row_of_scores(self):
        """Three classes have three probabilities for each row; a regressor has none."""
        assert predict(THREE, FRAME, ("a", "b")).scores.shape == (60, 3)
        assert predict(NUMBER, FRAME, ("a", "b")).scores is None

    @pytest.mark.parametrize("engine", [lambda f: f, pl.from_pandas, lambda f: {c: f[c].to_numpy() for c in f}])
    def test_columns_are_picked_by_name(self, engine):
        """Order, extra columns and the engine of the frame do not matter."""
        expected = BINARY.predict(FRAME).tolist()
        shuffled = FRAME.assign(extra="x")[["extra", "b", "a"]]
        assert predict(BINARY, engine(shuffled), ("a", "b")).values.tolist() == expected

    def test_a_pipeline_transforms_once(self):
        """A pipeline answers as it does by itself, and its steps see the rows once for values and scores together."""
        seen = []
        watch = FunctionTransformer(lambda rows: seen.append(len(rows)) or rows)
        model = make_pipeline(watch, StandardScaler(), LogisticRegression()).fit(FRAME, FRAME["a"] > 0)
        expected = model.predict(FRAME).tolist(), model.predict_proba(FRAME)[:, 1].tolist()
        seen.clear()
        answer = predict(model, FRAME)
        assert (answer.values.tolist(), answer.scores.tolist()) == expected
        assert seen == [60]

    def test_without_features_the_frame_is_taken_as_it_is(self):
        """A model of unknown features gets the whole frame."""
        assert predict(BINARY, FRAME).values.tolist() == BINARY.predict(FRAME).tolist()

    def test_bad_frames_are_refused(self):
        """No rows, a missing and a duplicated feature are errors that name the trouble."""
        with pytest.raises(DataError, match="empty frame"):
            predict(BINARY, FRAME[:0], ("a", "b"))
        with pytest.raises(DataError, match=r"missing column\(s\) \['b'\]"):
            predict(BINARY, FRAME[["a"]], ("a", "b"))
        with pytest.raises(DataError, match=r"duplicate column name\(s\) \['a'\]"):
            predict(BINARY, pd.concat([FRAME, FRAME[["a"]]], axis=1), ("a", "b"))


EVALUATION = Evaluation(
    (
        Score("neg_log_loss", -0.3, -0.4, -0.2, 60, 4, slice="origin=A|B"),
        Score("neg_log_loss", -0.31, -0.35, -0.27, 60, 4),
        Score("roc_auc", 0.8, 0.75, 0.85, 60, 4),
    ),
    n_splits=4,
)


class TestEvaluation:
    def test_is_looked_up_by_metric_over_all_rows(self):
        """A metric's name gives its score over all rows, never that of a slice."""
        assert EVALUATION["neg_log_loss"].value == -0.31
        assert EVALUATION.metrics == {"neg_log_loss": -0.31, "roc_auc": 0.8}

    def test_an_unknown_metric_lists_the_known_ones(self):
        """The error says what was scored."""
        with pytest.raises(KeyError, match=r"'f1' was not scored: got \['neg_log_loss', 'roc_auc'\]"):
            EVALUATION["f1"]
        assert Evaluation().metrics == {}

    def test_round_trip(self):
        """Scores read back from JSON are equal."""
        assert formats.from_json(formats.to_json(EVALUATION), Evaluation) == EVALUATION


CANDIDATE = Candidate(
    model=BINARY,
    features=("a", "b"),
    target="late",
    time=None,
    evaluation=EVALUATION,
    lineage=Lineage(data_fingerprint="f00", n_rows=60, commit="0123456789abcdef", dirty=True, seed=7),
    schema=Schema.infer(FRAME),
    profile=Binning.fit(FRAME).profile(FRAME),
    reference=(),
    example=FRAME[:3],
)


class TestCandidate:
    def test_predicts_with_its_features(self):
        """A candidate answers for any frame that holds its features."""
        assert CANDIDATE.predict(FRAME.assign(c=1)).values.tolist() == BINARY.predict(FRAME).tolist()

    def test_the_card_says_what_it_is_and_how_well_it_did(self):
        """The card names model, target, data, features, code and seed, and has a row for each score."""
        card = CANDIDATE.card()
        for words in ("LogisticRegression for `late`", "60 rows", "`f00`", "2 features: a, b", "0123456789ab (dirty)"):
            assert words in card
        assert "seed 7" in card
        assert "| roc_auc | all | 0.8000 | 0.7500 to 0.8500 (95%) | 60 |" in card

    def test_a_bar_in_a_slice_does_not_break_the_table(self):
        """Every row of the table has five cells, whatever the levels are called."""
        rows = [line for line in CANDIDATE.card().splitlines() if line.startswith("|")]
        assert {line.replace("\\|", "").count("|") for line in rows} == {6}

    def test_the_card_says_what_is_unknown(self):
        """Without git and times the card says so; with times it gives the span."""
        plain = evolve(CANDIDATE, lineage=Lineage(n_rows=60), evaluation=Evaluation())
        assert "code unknown" in plain.card()
        span = Lineage(data_start=dt.datetime(2013, 1, 1, tzinfo=UTC), data_end=dt.datetime(2013, 2, 28, tzinfo=UTC))
        assert "2013-01-01 to 2013-02-28" in evolve(CANDIDATE, lineage=span).card()


class TestModelVersion:
    def test_its_age_counts_from_the_end_of_its_data(self):
        """trained_until is the end of the training data, and the time of registration where that is unknown."""
        created, end = dt.datetime(2020, 5, 1, tzinfo=UTC), dt.datetime(2020, 3, 1, tzinfo=UTC)
        version = ModelVersion("late", 3, "ab", created)
        assert version.spec == "late:3"
        assert version.trained_until == created
        assert evolve(version, lineage=Lineage(data_end=end)).trained_until == end


class TestDecision:
    def test_prints_as_a_line_of_a_diary(self):
        """A decision prints its day, action and reason, and round trips with its evidence."""
        decision = Decision("keep", "all quiet", dt.datetime(2020, 5, 1, 8, tzinfo=UTC), "late:3", ("drift: no alarm",))
        assert str(decision) == "2020-05-01 keep: all quiet"
        assert formats.from_json(formats.to_json(decision), Decision) == decision
