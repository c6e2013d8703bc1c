"""The domain channel: what it sees that columns and pairs do not, which rows it uses and when, and what it refuses."""

import decimal
import json

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from mlopskit.errors import (
    ConfigurationError,
    DataError,
    DuplicateBatch,
    FormatError,
    NotFittedError,
    RowsNotExchangeable,
    SmallReference,
    StateMismatch,
)
from mlopskit.monitoring.domain import DomainDetector, EncodedColumn
from mlopskit.monitoring.drift import DriftDetector
from mlopskit.profiling import Binning

quiet = pytest.mark.filterwarnings("ignore::mlopskit.errors.SmallReference")


def rows(rng, n, *, parity=False, **columns):
    """Four independent normal columns; with parity the product of the signs of the first three is always positive."""
    x = rng.normal(size=(n, 4))
    if parity:
        x[:, 2] *= np.sign(x[:, 0] * x[:, 1] * x[:, 2])
    return pd.DataFrame(x, columns=list("abcd")).assign(**{name: make(rng, n) for name, make in columns.items()})


class Shift:
    """A classifier of one idea: recent rows lie on the side of their mean."""

    def get_params(self, deep=True):
        return {}

    def fit(self, X, y):
        values = np.nan_to_num(X.to_numpy())
        self.middle, self.weights = values.mean(axis=0), values[y == 1].mean(axis=0) - values[y == 0].mean(axis=0)
        return self

    def predict_proba(self, X):
        p = 1 / (1 + np.exp(-(np.nan_to_num(X.to_numpy()) - self.middle) @ self.weights))
        return np.stack([1 - p, p], axis=1)


class Constant(Shift):
    """A classifier that learns nothing."""

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


class Wrong(Shift):
    """A classifier whose scores are no probabilities."""

    def predict_proba(self, X):
        return np.full((len(X), 2), 1.5)


class Spy(Shift):
    """A classifier that notes which rows it learnt from and which it scored, by the value of their first column."""

    learnt: list
    scored: list

    def fit(self, X, y):
        type(self).learnt.append((set(X["row"][y == 0]), set(X["row"][y == 1])))
        return super().fit(X[["x"]], y)

    def predict_proba(self, X):
        type(self).scored.append(X["row"].tolist())
        return super().predict_proba(X[["x"]])


def shifted(rng, n, by=0.0):
    return pd.DataFrame({"x": rng.normal(size=n) + by})


def fitted(rng, n=400, **options):
    return DomainDetector(**{"estimator": Shift(), "rows_per_batch": 50} | options).fit(shifted(rng, n))


# --- what it sees


def test_a_change_that_no_column_and_no_pair_shows_is_found_and_its_columns_are_named():
    """The sign of a product of three changes: marginals and pairs are as before, and only the classifier sees it."""
    rng = np.random.default_rng(0)
    reference = rows(rng, 8_000)
    domain = DomainDetector(false_alarm_every=1_000).fit(reference)
    drift = DriftDetector(false_alarm_every=1_000).fit([Binning.fit(reference, pairs=True).profile(reference)])
    binning = drift.state.reference.binning
    for number in range(10):
        batch = rows(rng, 1_000, parity=number >= 4)
        report = domain.update(batch)
        assert not drift.update(binning.profile(batch)).alarm
        assert report.alarm == (report.since == report.batch_id)
        if report.alarm:
            break
    assert report.alarm
    assert 4 < number < 8
    assert {use.name for use in report.features[:3]} == {"a", "b", "c"}
    assert report.features[3].drop < 0.05 < report.features[2].drop
    assert report.auc_low > 0.6
    assert report.began in ("batch 5", "batch 6", "batch 7")


def test_without_a_change_there_is_no_alarm_and_the_auc_stays_at_chance():
    """Thirty batches of the reference's own world."""
    rng = np.random.default_rng(1)
    domain = DomainDetector(false_alarm_every=365, estimator=GaussianNB(), rows_per_batch=100).fit(rows(rng, 1_000))
    reports = [domain.update(rows(rng, 200)) for _ in range(30)]
    assert not any(report.active for report in reports)
    assert reports[0].auc is None
    assert abs(np.mean([report.auc for report in reports[1:]]) - 0.5) < 0.02


def test_an_unseen_level_of_a_text_column_is_found():
    """A level that the reference never held has a code of its own, by which the default classifier tells rows apart."""
    rng = np.random.default_rng(2)
    usual = lambda rng, n: rng.choice(["x", "y"], n)  # noqa: E731
    unusual = lambda rng, n: rng.choice(["x", "y", "z"], n, p=[0.4, 0.4, 0.2])  # noqa: E731
    domain = DomainDetector(rows_per_batch=200).fit(rows(rng, 2_500, t=usual))
    alarms = [domain.update(rows(rng, 400, t=unusual if i >= 3 else usual)) for i in range(8)]
    found = [report for report in alarms if report.alarm]
    assert found[0].features[0].name == "t"


@pytest.mark.filterwarnings("ignore::mlopskit.errors.RowsNotExchangeable")
def test_a_column_of_different_texts_tells_nothing():
    """Ids are unseen on both sides, because the rows that fix the codes are used for nothing else."""
    rng = np.random.default_rng(3)
    ids = lambda rng, n: [f"row {i}" for i in rng.integers(0, 1 << 60, n)]  # noqa: E731
    domain = DomainDetector(rows_per_batch=100).fit(rows(rng, 1_500, id=ids))
    reports = [domain.update(rows(rng, 200, id=ids)) for _ in range(12)]
    assert max(report.evidence.log_value for report in reports) < np.log(30)


# --- which rows it uses, and when


@quiet
@pytest.mark.parametrize("n_rows", [1, 2, 7, 40, 100, 300])
def test_no_row_is_bet_on_twice_or_learnt_from_before_its_bet(n_rows):
    """A spy notes every row that is learnt from or scored, for batches smaller and larger than the dial."""
    Spy.learnt, Spy.scored = [], []
    rng, counter = np.random.default_rng(0), iter(range(1_000_000))

    def frame(n):
        return pd.DataFrame({"row": [float(next(counter)) for _ in range(n)], "x": rng.normal(size=n)})

    domain = DomainDetector(estimator=Spy(), rows_per_batch=20, false_alarm_every=1e12).fit(frame(200))
    reports, came = [], []
    for _ in range(40):
        came.append(frame(n_rows))
        reports.append(domain.update(came[-1]))
    bet, n_bets = set(), 0
    for (zero, one), scored in zip(Spy.learnt, Spy.scored, strict=True):
        assert not set(scored) & (bet | zero | one)
        assert not zero & one
        assert len(set(scored)) == len(scored)
        bet |= set(scored)
        n_bets += len(scored) // 2
    assert n_bets == sum(report.n_pairs for report in reports)
    assert sum(report.n_pairs > 0 for report in reports) >= 19
    held = set(domain.state.fresh[:, 0])
    assert not held & bet
    assert held <= {float(i) for i in range(200 + 40 * n_rows)}


@quiet
def test_pairs_hold_a_new_row_and_a_row_that_waited_in_the_queue():
    """The first half of what is scored came with the batch; the second half waited, the reference's rows first."""
    Spy.learnt, Spy.scored = [], []
    rng = np.random.default_rng(0)

    def frame(low, n):
        return pd.DataFrame({"row": np.arange(low, low + n, dtype=float), "x": rng.normal(size=n)})

    domain = DomainDetector(estimator=Spy(), rows_per_batch=20, false_alarm_every=1e12).fit(frame(0, 100))
    for number in range(8):
        domain.update(frame(1_000 * (number + 1), 40))
    for number, scored in enumerate(Spy.scored, start=1):
        new, old = scored[:20], scored[20:]
        assert {value // 1_000 for value in new} == {number + 1}
        # 80 fresh rows are four batches' worth: after that come rows held back, the oldest first
        assert {value // 1_000 for value in old} == {0 if number <= 4 else number - 3}


@quiet
def test_the_queue_of_fresh_rows_keeps_its_length_and_the_report_says_what_is_in_it():
    """As many rows are held back as are bet on; the first batch teaches and is not bet on."""
    rng = np.random.default_rng(0)
    domain = fitted(rng, 400)
    assert (domain.state.capacity, len(domain.state.spent)) == (350, 50)
    reports = [domain.update(shifted(rng, 120)) for _ in range(12)]
    assert [report.n_pairs for report in reports] == [0] + [50] * 11
    assert {report.n_fresh for report in reports} == {350}
    assert [report.n_held_back for report in reports] == [0, *range(50, 351, 50), 350, 350, 350, 350]
    assert "learn from a first batch" in reports[0].notes[-1]
    assert reports[-1].n_rows_held == 350 + 200 + 200  # the queue, and four batches' worth on either side


def test_an_alarm_drops_the_rows_it_makes_suspect_and_the_queue_grows_again():
    """Rows held back since shortly before the evidence began do not pass for reference rows later."""
    rng = np.random.default_rng(0)
    domain = fitted(rng, 2_000)
    for _ in range(10):
        domain.update(shifted(rng, 100))
    report = next(r for r in (domain.update(shifted(rng, 100, by=1.0)) for _ in range(10)) if r.alarm)
    assert report.n_fresh < domain.state.capacity
    assert domain.state.held_at.max() < 10
    assert np.abs(domain.state.fresh.mean()) < 0.15
    domain.acknowledge("repaired")
    left = [domain.update(shifted(rng, 150)).n_fresh for _ in range(12)]
    assert np.diff(left).min() >= 0
    assert left[-1] == domain.state.capacity


@quiet
def test_where_no_fresh_row_is_left_nothing_is_bet_and_the_report_says_so():
    """The rows of that batch are held back, and betting goes on with the next."""
    rng = np.random.default_rng(0)
    domain = fitted(rng, 100)
    domain.update(shifted(rng, 100))
    domain.state = attrs.evolve(domain.state, fresh=domain.state.fresh[:0], held_at=domain.state.held_at[:0])
    report = domain.update(shifted(rng, 100))
    assert (report.n_pairs, report.n_fresh, report.n_held_back) == (0, 75, 75)
    assert "no fresh reference row is left" in report.notes[-1]
    assert domain.update(shifted(rng, 100)).n_pairs == 50


@quiet
def test_a_classifier_that_tells_nothing_apart_is_no_evidence():
    """Without a score that differs the process stands still: it would otherwise gain one unit a batch."""
    rng = np.random.default_rng(0)
    domain = fitted(rng, 100, estimator=Constant(), false_alarm_every=5)
    reports = [domain.update(shifted(rng, 100, by=3.0)) for _ in range(20)]
    assert not any(report.active for report in reports)
    assert reports[-1].auc == 0.5
    assert "hardly any difference" in reports[-1].meaning


def test_only_so_many_rows_are_kept():
    """A reference beyond a hundred batches' worth is sampled, a batch beyond three."""
    rng = np.random.default_rng(0)
    domain = DomainDetector(estimator=Shift(), rows_per_batch=10).fit(shifted(rng, 5_000))
    assert domain.state.n_rows_held == 1_000
    assert domain.update(shifted(rng, 5_000)).n_rows == 30


# --- episodes


def alarmed(rng, **options):
    """Return a detector in whose last batch there was an alarm, and that report."""
    domain = fitted(rng, 1_000, **options)
    for number in range(30):
        report = domain.update(shifted(rng, 100, by=0.0 if number < 3 else 1.5))
        if report.alarm:
            return domain, report
    raise AssertionError("no alarm")


def test_an_alarm_opens_one_episode_in_which_nothing_is_spent():
    """A lasting change is one alarm; fresh rows are kept for later, and the report says why nothing was bet."""
    rng = np.random.default_rng(0)
    domain, report = alarmed(rng)
    assert report.since == report.batch_id
    assert report.features[0].name == "x"
    before = domain.state
    later = [domain.update(shifted(rng, 100, by=1.5), batch_id=f"later {i}") for i in range(3)]
    assert [r.alarm for r in later] == [False] * 3
    assert {r.since for r in later} == {report.batch_id}
    assert {(r.auc, r.features, r.n_pairs) for r in later} == {(None, (), 0)}
    assert "episode is open" in later[0].notes[-1]
    assert domain.state.episodes.seen[-1] == "later 2"
    assert attrs.evolve(domain.state, episodes=before.episodes).log_m == before.log_m
    assert domain.state.fresh is before.fresh


def test_acknowledge_starts_the_evidence_again_and_a_lasting_change_alarms_again():
    """The classifier still knows the change, so that the next alarm comes soon."""
    rng = np.random.default_rng(0)
    domain, _ = alarmed(rng)
    domain.acknowledge("looked into it")
    assert [event.kind for event in domain.state.episodes.events] == ["alarm", "acknowledged"]
    assert "by x above all" in domain.state.episodes.events[0].reason
    again = domain.update(shifted(rng, 100, by=1.5))
    assert (again.evidence.n_batches, again.n_pairs > 0) == (1, True)
    more = [domain.update(shifted(rng, 100, by=1.5)) for _ in range(3)]
    assert any(r.alarm for r in [again, *more])


def test_acknowledge_without_an_episode_changes_nothing():
    """There is nothing to close."""
    domain = fitted(np.random.default_rng(0))
    before = domain.state
    domain.acknowledge()
    assert domain.state is before


def test_fit_forgets_everything():
    """Ids, evidence and episodes start anew."""
    rng = np.random.default_rng(0)
    domain, _ = alarmed(rng)
    domain.fit(shifted(rng, 400))
    assert (domain.state.episodes.seen, domain.state.n_batches, len(domain.state.recent)) == ((), 0, 0)


# --- stored and read back


def mixed(rng, n):
    return rows(
        rng,
        n,
        t=lambda rng, n: np.where(rng.random(n) < 0.1, None, rng.choice(["x", "y"], n)),
        k=lambda rng, n: rng.random(n) < 0.5,
    )


@pytest.mark.parametrize("form", ["json", "bytes"])
@pytest.mark.parametrize("estimator", [None, RandomForestClassifier(5, min_samples_leaf=5)], ids=["default", "own"])
@quiet
def test_a_detector_read_back_goes_on_to_the_last_bit(form, estimator):
    """No fitted model is stored: it is fitted anew, with the same seed and rows, for every batch."""
    rng = np.random.default_rng(0)
    estimator = None if estimator is None else estimator.set_params(random_state=None)
    made = None if estimator is None else _imputed(estimator)
    domain = DomainDetector(estimator=made, rows_per_batch=60).fit(mixed(rng, 500))
    for _ in range(3):
        domain.update(mixed(rng, 120))
    handed = None if estimator is None else _imputed(estimator)
    if form == "json":
        again = DomainDetector.from_json(domain.to_json(), estimator=handed)
    else:
        again = DomainDetector.from_bytes(domain.to_bytes(), estimator=handed)
    for _ in range(3):
        batch = mixed(rng, 120)
        assert again.update(batch).to_dict() == domain.update(batch).to_dict()
    assert again.to_json() == domain.to_json()


def _imputed(estimator):
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(), estimator)


@quiet
def test_replays_are_exact_and_another_seed_draws_other_rows():
    """Every draw is keyed by the seed and the position of the batch."""
    reports = []
    for seed in (0, 0, 1):
        rng = np.random.default_rng(5)
        domain = fitted(rng, random_state=seed)
        reports.append([domain.update(shifted(rng, 100)).to_dict() for _ in range(4)])
    assert reports[0] == reports[1]
    assert reports[0] != reports[2]


@quiet
def test_an_estimator_is_stored_by_name_and_handed_in_again():
    """Code is not stored: a missing or another estimator is refused."""
    rng = np.random.default_rng(0)
    domain = fitted(rng, estimator=LogisticRegression(C=0.5))
    text = domain.to_json()
    assert "LogisticRegression(C=0.5)" in text
    with pytest.raises(ConfigurationError, match=r"LogisticRegression\(C=0.5\): hand it in"):
        DomainDetector.from_json(text)
    with pytest.raises(StateMismatch, match="another configuration"):
        DomainDetector.from_json(text, estimator=LogisticRegression(C=0.7))
    with pytest.raises(StateMismatch, match="leave estimator out"):
        DomainDetector.from_json(fitted(rng, estimator=None).to_json(), estimator=LogisticRegression())
    assert DomainDetector.from_json(text, estimator=LogisticRegression(C=0.5)).to_json() == text


@quiet
def test_the_name_of_an_estimator_cannot_learn():
    """What stands for an estimator in a stored detector says what to do."""
    import mlopskit.formats as formats

    rng = np.random.default_rng(0)
    unfinished = formats.from_json(fitted(rng).to_json(), DomainDetector)
    unfinished.update(shifted(rng, 100))
    with pytest.raises(ConfigurationError, match=r"hand in the estimator .*Shift.*from_json"):
        unfinished.update(shifted(rng, 100))
    assert unfinished.to_json() == DomainDetector.from_json(unfinished.to_json(), estimator=Shift()).to_json()


@quiet
def test_an_edited_dial_is_refused():
    """Turning a dial after seeing data voids the promise."""
    data = json.loads(fitted(np.random.default_rng(0), false_alarm_every=100).to_json())
    text = json.dumps(data).replace('"false_alarm_every": 100', '"false_alarm_every": 50')
    assert text != json.dumps(data)
    with pytest.raises(StateMismatch):
        DomainDetector.from_json(text, estimator=Shift())
    with pytest.raises(FormatError):
        DomainDetector.from_json("{")


# --- frames


def test_columns_become_numbers():
    """Numbers stay, booleans are 0 and 1, times are days, infinities are cut, missing values are NaN."""
    frame = {
        "i": [1, 2, 3],
        "f": [0.5, np.inf, np.nan],
        "b": [True, False, True],
        "d": [decimal.Decimal("1.5"), None, decimal.Decimal(2)],
        "when": pd.to_datetime(["1970-01-03 00:00", None, "1970-01-01 12:00"]),
        "gap": pd.to_timedelta(["36h", "0h", None]),
    }
    expected = {
        "i": [1, 2, 3],
        "f": [0.5, float(np.finfo(np.float32).max), np.nan],
        "b": [1, 0, 1],
        "d": [1.5, np.nan, 2],
        "when": [2, np.nan, 0.5],
        "gap": [1.5, 0, np.nan],
    }
    from mlopskit import frames

    for column in frames.columns(pd.DataFrame(frame)):
        encoded = EncodedColumn.of(column, np.arange(3))
        np.testing.assert_array_equal(encoded.numbers(column), expected[column.name])


def test_levels_become_codes_the_most_frequent_first():
    """Frequent levels have codes of their own, all other known ones share one, and unseen ones another."""
    from mlopskit import frames

    known = [f"k{i:03}" for i in range(199)] * 2 + ["top"] * 3 + ["rare", "rarer"]
    encoded = EncodedColumn.of(frames.column(known, "t"), np.arange(len(known)))
    assert encoded.levels[:2] == ("top", "k000")
    assert encoded.rare == ("rare", "rarer")
    now = frames.column(["top", "k000", "rare", "rarer", "new", None], "t")
    np.testing.assert_array_equal(encoded.numbers(now), [0, 1, 200, 200, 201, np.nan])


def test_levels_are_learnt_from_the_rows_given_alone():
    """A level of other rows is unseen."""
    from mlopskit import frames

    column = frames.column(["x", "y", "x"], "t")
    assert EncodedColumn.of(column, np.array([0, 2])).levels == ("x",)


def test_a_column_without_values_or_of_mixed_objects_says_only_what_is_missing():
    """What has no kind of its own takes every kind later."""
    from mlopskit import frames

    empty = EncodedColumn.of(frames.column([None, None], "t"), np.arange(2))
    for now in ([1.5, None], ["x", None], [(1, 2), None]):
        np.testing.assert_array_equal(empty.numbers(frames.column(now, "t")), [1, np.nan])
    number = EncodedColumn.of(frames.column([1.0, 2.0], "t"), np.arange(2))
    np.testing.assert_array_equal(number.numbers(frames.column([None, None], "t")), [np.nan, np.nan])


@quiet
@pytest.mark.parametrize("known", [0, 1, 3])
def test_a_column_that_is_almost_empty_can_be_learnt_from(known):
    """Where the rows to learn from hold no value of a column, it says nothing; when values come, they are seen."""
    rng = np.random.default_rng(0)

    def part(n, share=0.0):
        rare = np.where(rng.random(n) < share, rng.normal(size=n), np.nan)
        rare[:known] = 1.0
        return pd.DataFrame({"x": rng.normal(size=n), "rare": rare})

    detector = DomainDetector(false_alarm_every=50).fit(part(5_000))
    assert not any(detector.update(part(200)).alarm for _ in range(3))
    reports = [detector.update(part(400, share=0.9)) for _ in range(8)]
    assert next(r for r in reports if r.alarm).features[0].name == "rare"


@quiet
@pytest.mark.parametrize("engine", ["polars", "pyarrow", "dict", "lazy"])
def test_every_engine_gives_the_same_evidence(engine):
    """The same rows from another engine are the same bets."""
    convert = {
        "polars": pl.from_pandas,
        "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
        "dict": lambda frame: {name: frame[name].to_numpy() for name in frame.columns},
        "lazy": lambda frame: pl.from_pandas(frame).lazy(),
    }[engine]
    rng = np.random.default_rng(0)
    batches = [mixed(rng, 400), *(mixed(rng, 100) for _ in range(4))]
    seen = []
    for made in (lambda frame: frame, convert):
        domain = DomainDetector(estimator=_imputed(GaussianNB()), rows_per_batch=50).fit(made(batches[0]))
        seen.append([domain.update(made(batch)).to_dict() for batch in batches[1:]])
    assert seen[0] == seen[1]


@quiet
def test_extra_columns_are_ignored_and_their_order_does_not_matter():
    """Only the features of the reference are read, by name."""
    rng = np.random.default_rng(0)
    reference, batches = rows(rng, 400), [rows(rng, 100) for _ in range(3)]
    one = DomainDetector(estimator=Shift(), features=["b", "a"], rows_per_batch=50).fit(reference)
    two = DomainDetector(estimator=Shift(), features=["b", "a"], rows_per_batch=50).fit(reference[["a", "b"]])
    for batch in batches:
        assert one.update(batch).to_dict() == two.update(batch[["b", "a"]]).to_dict()
    assert [column.name for column in one.state.columns] == ["b", "a"]


@quiet
def test_a_decision_function_does_as_well():
    """Classifiers without probabilities are scored by the logistic function of their decision."""
    from sklearn.linear_model import RidgeClassifier

    rng = np.random.default_rng(0)
    domain = fitted(rng, 1_000, estimator=RidgeClassifier())
    reports = [domain.update(shifted(rng, 100, by=1.5 if i >= 3 else 0.0)) for i in range(15)]
    assert sum(report.alarm for report in reports) == 1


# --- what it refuses, and what it warns about


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"estimator": object()}, "expected a classifier"),
        ({"estimator": GaussianNB}, "expected a classifier"),
        ({"features": "x"}, "expected a list"),
        ({"features": []}, "one or more"),
        ({"features": ["x", "x"]}, "different"),
        ({"rows_per_batch": 9}, "at least 10"),
        ({"rows_per_batch": 50.5}, "whole number"),
        ({"random_state": -1}, "random_state=-1"),
        ({"random_state": 1 << 32}, "random_state"),
        ({"random_state": True}, "random_state"),
        ({"false_alarm_every": 0.5}, "false_alarm_every"),
        ({"alpha": 0.1}, "go together"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(options, match):
    """At construction, before any data."""
    with pytest.raises(ConfigurationError, match=match):
        DomainDetector(**options)


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_reference_in_batches_is_refused(kind):
    """Rows vary here; where days differ every day would be an alarm."""
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match=r"comes in batches.*DriftDetector"):
        DomainDetector().fit(kind(shifted(rng, 100) for _ in range(5)))


def test_a_reference_that_is_too_small_or_has_no_columns_is_refused():
    """Forty rows are the least there is anything to do with."""
    with pytest.raises(DataError, match="39 rows: at least 40"):
        DomainDetector().fit(pd.DataFrame({"x": np.arange(39.0)}))
    with pytest.raises(DataError, match="no feature"):
        DomainDetector().fit(pd.DataFrame())
    with pytest.raises(DataError, match="missing column"):
        DomainDetector(features=["y"]).fit(pd.DataFrame({"x": np.arange(50.0)}))


def test_a_small_reference_warns_how_long_it_lasts():
    """The report repeats it."""
    rng = np.random.default_rng(0)
    domain = DomainDetector(estimator=Shift())
    with pytest.warns(SmallReference, match="750 fresh rows, which last for 1.5 batches of 500 pairs"):
        domain.fit(shifted(rng, 1_000))
    assert "750 fresh rows" in domain.update(shifted(rng, 100)).notes[0]


def test_rows_that_hang_together_warn_and_so_does_a_clock():
    """Days that differ, in the order of the reference's rows; the report repeats it."""
    rng = np.random.default_rng(0)
    days = pd.DataFrame({"x": rng.normal(size=3_000) + np.repeat(rng.normal(size=30), 100)})
    domain = DomainDetector(estimator=Shift(), rows_per_batch=50)
    with pytest.warns(RowsNotExchangeable, match=r"chunks of 'x' vary .* times .*features fail\): leave out times"):
        domain.fit(days)
    assert any("'x'" in note for note in domain.update(days[:100]).notes)
    clock = pd.DataFrame({"x": rng.normal(size=3_000), "at": pd.date_range("2024-01-01", periods=3_000, freq="min")})
    with pytest.warns(RowsNotExchangeable, match="'at'"):
        DomainDetector(rows_per_batch=50).fit(clock)


def test_update_needs_fit():
    """So does acknowledging."""
    for call in (lambda d: d.update(pd.DataFrame({"x": [1.0]})), lambda d: d.acknowledge()):
        with pytest.raises(NotFittedError):
            call(DomainDetector())


@quiet
@pytest.mark.parametrize(
    ("batch", "match"),
    [
        (pd.DataFrame({"x": pd.Series([], dtype=float)}), "batch is empty"),
        (pd.DataFrame({"y": [1.0]}), "missing column"),
        (pd.DataFrame({"x": ["a", "b"]}), "kind 'str'; the reference has 'float'"),
        (pd.DataFrame({"x": pd.to_datetime(["2024-01-01"])}), "kind 'datetime'; the reference has 'float'"),
        (7, "expected a pandas"),
    ],
)
def test_a_batch_that_cannot_be_read_leaves_the_state_as_it_was(batch, match):
    """The id of a refused batch may come again."""
    domain = fitted(np.random.default_rng(0))
    before = domain.state
    with pytest.raises(DataError, match=match):
        domain.update(batch, batch_id="monday")
    assert domain.state is before
    domain.update(pd.DataFrame({"x": [1.0, 2.0]}), batch_id="monday")


@quiet
def test_text_where_numbers_stood_for_levels_is_refused():
    """Levels and numbers do not stand for each other."""
    domain = DomainDetector(estimator=Shift(), rows_per_batch=10).fit({"t": ["x", "y"] * 50})
    with pytest.raises(DataError, match="kind 'int'; the reference has 'str'"):
        domain.update({"t": [1, 2]})


@quiet
def test_a_batch_enters_once():
    """Ids are unique; without one batches are numbered, and midnight is a date."""
    rng = np.random.default_rng(0)
    domain = fitted(rng)
    assert domain.update(shifted(rng, 50), batch_id=pd.Timestamp("2024-03-01")).batch_id == "2024-03-01"
    with pytest.raises(DuplicateBatch):
        domain.update(shifted(rng, 50), batch_id="2024-03-01")
    assert domain.update(shifted(rng, 50)).batch_id == "batch 2"


@quiet
def test_an_estimator_that_cannot_take_the_rows_says_so():
    """Missing values meet an estimator that knows none, in training and in scoring; scores must be probabilities."""
    rng = np.random.default_rng(0)
    domain = fitted(rng, estimator=GaussianNB())
    domain.update(shifted(rng, 100))
    holes = pd.DataFrame({"x": [np.nan] * 100})
    with pytest.raises(DataError, match="GaussianNB cannot score these 100 rows"):
        domain.update(holes)
    domain = fitted(rng, estimator=GaussianNB())
    domain.update(holes)
    with pytest.raises(DataError, match="GaussianNB cannot learn from these 100 rows"):
        domain.update(shifted(rng, 100))
    domain = fitted(rng, estimator=Wrong())
    domain.update(shifted(rng, 100))
    with pytest.raises(DataError, match="Wrong gives scores outside"):
        domain.update(shifted(rng, 100))


# --- what it says


def test_the_report_says_it_in_words():
    """The verdict, how large, by what, since when, on what assumption and at what cost."""
    _, report = alarmed(np.random.default_rng(0))
    text = str(report)
    assert f"domain of {report.batch_id}: ALARM" in text
    assert "50% is chance): a large difference" in text
    assert f"x: {100 * report.features[0].auc_shuffled:.3g}% of cases, instead of" in text
    assert f"evidence has gathered since {report.began}" in text
    assert "rows vary while all is well" in text
    assert f"cost: {report.n_rows_held} rows kept, a classifier fitted for each batch" in text
    assert report.evidence.promise == "P(first false alarm within T batches) <= T/365"
    assert list(report.to_frame().columns) == ["name", "auc_shuffled", "drop", "message"]
    assert json.loads(json.dumps(report.to_dict()))["features"][0]["name"] == "x"
    assert "<" in report._repr_html_()


@quiet
def test_a_quiet_report_prints_too():
    """Nothing bet, nothing found: no row in the table, and the picture is empty."""
    rng = np.random.default_rng(0)
    report = fitted(rng).update(shifted(rng, 100))
    assert "no alarm" in str(report)
    assert report.meaning == "nothing was bet on this batch"
    assert len(report.to_frame()) == 0
    assert "<" in report._repr_html_()


def test_the_report_draws_what_the_classifier_used():
    """One bar for each feature."""
    pytest.importorskip("matplotlib").use("Agg")
    _, report = alarmed(np.random.default_rng(0))
    assert len(report.plot().patches) == 1


def test_an_open_episode_is_said_in_every_report():
    """Until it is acknowledged."""
    rng = np.random.default_rng(0)
    domain, report = alarmed(rng)
    assert f"episode open since {report.since}" in str(domain.update(shifted(rng, 100)))
