"""PerformanceMonitor: losses against scikit-learn, the false-alarm promise, planted harm, bad input, state."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import brier_score_loss, log_loss, mean_absolute_error, zero_one_loss

from mlopskit import formats
from mlopskit.errors import (
    ConfigurationError,
    DataError,
    DuplicateBatch,
    FormatError,
    NotFittedError,
    SmallReference,
    StateMismatch,
)
from mlopskit.monitoring.performance import PerformanceMonitor, PerformanceState
from mlopskit.stats.intervals import upper_mean_bound
from mlopskit.stats.sequential import LOG_STAKE_WEIGHTS, log_mean_bets, log_mean_exp, log_shiryaev_roberts


def rows(rng, n=200, worse=0.0):
    """Labels and calibrated probabilities; `worse` moves the probabilities of that share of rows to the other side."""
    p = rng.uniform(0.05, 0.95, size=n)
    y = (rng.uniform(size=n) < p).astype(int)
    return y, np.where(rng.uniform(size=n) < worse, 1 - p, p)


def reference(rng, n_batches=40, n=200):
    """Labels, probabilities and batch keys of a reference."""
    y, p = rows(rng, n_batches * n)
    return y, p, np.repeat([f"ref {i}" for i in range(n_batches)], n)


def fitted(seed=0, metric="log_loss", **options):
    """Return a fitted monitor and the generator that goes on."""
    rng = np.random.default_rng(seed)
    y, p, batch = reference(rng)
    return PerformanceMonitor(metric, **options).fit(y, p, batch=batch), rng


def one_number(losses):
    """Rows of batches whose Brier loss is exactly the given number: one row each."""
    return np.zeros(len(losses), dtype=int), np.sqrt(losses)


def ar1(rng, n_runs, n_batches, rho, sd, mean):
    """Batch losses that hang together over time, shape (n_runs, n_batches), in [0, 1]."""
    noise = rng.normal(size=(n_runs, n_batches))
    for t in range(1, n_batches):
        noise[:, t] = rho * noise[:, t - 1] + math.sqrt(1 - rho**2) * noise[:, t]
    return np.clip(mean + sd * noise, 0, 1)


def first_alarms(losses, n_reference, limit, tolerance=0.0):
    """Run the monitor's own rule on many streams at once; return the batch of each run's first alarm, or the length."""
    accepted = np.array([upper_mean_bound(run[:n_reference]).upper for run in losses]) + tolerance
    stream = losses[:, n_reference:].T
    first, log_m = np.full(len(losses), len(stream)), np.full((len(losses), 8), -np.inf)
    for t, x in enumerate(stream):
        log_m = log_shiryaev_roberts(log_m, log_mean_bets(x, accepted))
        first = np.minimum(first, np.where(log_mean_exp(log_m, LOG_STAKE_WEIGHTS) >= math.log(limit), t, len(stream)))
    return first


def test_loss_agrees_with_scikit_learn():
    """The realized loss of a batch is scikit-learn's on the clipped probabilities (and on labels and values)."""
    monitor, rng = fitted(clip=0.1)
    y, p = rows(rng)
    assert monitor.update(y, p).loss == pytest.approx(log_loss(y, np.clip(p, 0.1, 0.9)), abs=1e-12)
    monitor, rng = fitted(metric="brier_score_loss")
    y, p = rows(rng)
    assert monitor.update(y, p).loss == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    rng = np.random.default_rng(1)
    y, p, batch = reference(rng)
    error = PerformanceMonitor("accuracy").fit(y, (p > 0.5).astype(int), batch=batch)
    y, p = rows(rng)
    label = (p > 0.5).astype(int)
    report = error.update(y, label)
    assert report.loss == pytest.approx(zero_one_loss(y, label), abs=1e-12)
    assert (report.metric, report.note) == ("zero_one_loss", "")
    absolute = PerformanceMonitor("neg_mean_absolute_error", bound=5.0).fit(
        rng.normal(size=400), np.zeros(400), batch=np.repeat(np.arange(20), 20)
    )
    values = rng.normal(size=50)
    report = absolute.update(values, np.zeros(50))
    assert report.loss == pytest.approx(mean_absolute_error(values, np.zeros(50)), abs=1e-12)
    assert "cut at 5" in report.note


def test_one_wild_row_is_cut_at_the_bound():
    """An unbounded loss is cut at `bound`, per row."""
    rng = np.random.default_rng(2)
    monitor = PerformanceMonitor("mean_absolute_error", bound=5.0)
    monitor.fit(rng.normal(size=400), np.zeros(400), batch=np.repeat(np.arange(20), 20))
    assert monitor.update([0.0, 1e12], [0.0, 0.0]).loss == 2.5
    with pytest.raises(DataError, match="1 losses are not finite"):
        monitor.update([0.0, float("inf")], [0.0, 0.0])


def test_evidence_is_the_stated_formula():
    """The limit is the AR(1) bound of the batch means plus tolerance; evidence is the weighted mean of (1 + M) * e."""
    rng = np.random.default_rng(3)
    y, p, batch = reference(rng)
    monitor = PerformanceMonitor(tolerance=0.01).fit(y, p, batch=batch)
    means = [log_loss(y[batch == key], np.clip(p[batch == key], 0.01, 0.99)) for key in dict.fromkeys(batch)]
    limit = upper_mean_bound(means).upper + 0.01
    top, m = -math.log(0.01), np.zeros(8)
    for _ in range(5):
        y, p = rows(rng, worse=0.2)
        report = monitor.update(y, p)
        x, hi = log_loss(y, np.clip(p, 0.01, 0.99)) / top, limit / top
        m = (1 + m) * (1 + 2.0 ** -np.arange(8) / hi * (x - hi))
        assert report.limit == pytest.approx(limit, abs=1e-12)
        assert report.reference == pytest.approx(np.mean(means), abs=1e-12)
        weighted = np.average(m, weights=2.0 ** -np.arange(8))
        assert report.evidence.log_value == pytest.approx(math.log(weighted), abs=1e-9)
    assert report.evidence.n_batches == 5
    assert report.evidence.log_limit == pytest.approx(math.log(365))


def test_the_rule_simulated_is_the_monitor():
    """The monitor raises its alarm in the batch where the rule that the calibration tests run raises it."""
    losses = ar1(np.random.default_rng(4), 3, 100, 0.5, 0.03, 0.1)
    losses[:, 60:] += 0.06
    expected = first_alarms(losses, 30, 100, tolerance=0.01)
    for run, when in zip(losses, expected, strict=True):
        monitor = PerformanceMonitor("brier_score_loss", tolerance=0.01, false_alarm_every=100)
        monitor.fit(*one_number(run[:30]), batch=np.arange(30))
        alarms = [t for t in range(70) if monitor.update([0], [math.sqrt(run[30 + t])]).alarm]
        assert alarms == [when]


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("wild", lambda rng, n, t: (rng.uniform(size=(n, t)) < 0.1).astype(float)),
        ("days", lambda rng, n, t: ar1(rng, n, t, 0.0, 0.03, 0.1)),
        ("skewed", lambda rng, n, t: np.minimum(rng.gamma(0.5, 0.2, size=(n, t)), 1)),
    ],
)
def test_false_alarm_promise(name, draw):
    """Over random references and streams of one law, at most T/A + 0.05 of 1,000 runs alarm (binomial tail 1e-3)."""
    n_runs, n_reference, n_batches, limit = 1_000, 40, 60, 600
    losses = draw(np.random.default_rng(5), n_runs, n_reference + n_batches)
    alarms = int((first_alarms(losses, n_reference, limit) < n_batches).sum())
    assert alarms <= stats.binom.ppf(0.999, n_runs, n_batches / limit + 0.05)


def test_autocorrelated_days_keep_the_promise_too():
    """AR(1) days (.5) leave the null's letter, given the past; the rate of alarms still stays below T/A + 0.05."""
    n_runs, n_batches, limit = 1_000, 60, 600
    for n_reference in (20, 60):
        losses = ar1(np.random.default_rng(6), n_runs, n_reference + n_batches, 0.5, 0.02, 0.1)
        alarms = int((first_alarms(losses, n_reference, limit) < n_batches).sum())
        assert alarms <= stats.binom.ppf(0.999, n_runs, n_batches / limit + 0.05)


def test_harm_is_found_among_autocorrelated_days():
    """A loss that doubles is found in every of 200 runs with AR(1) days, and no later than twice the stated time."""
    n_reference, sd, mean = 60, 0.02, 0.1
    losses = ar1(np.random.default_rng(7), 200, n_reference + 200, 0.5, sd, mean)
    losses[:, n_reference + 20 :] += 0.1
    first = first_alarms(losses, n_reference, 365) - 20
    assert (first >= 0).mean() > 0.97
    assert (first < 180).all()
    stated = math.log(365) / math.log1p(0.1 / mean)
    assert stated / 2 < np.median(first) < 2 * stated


def test_stated_resolution_is_about_the_measured_delay():
    """For excesses of 1 to 4 sd over the limit, the median delay is .5 to 2 times the number that is printed."""
    rng = np.random.default_rng(8)
    monitor = PerformanceMonitor("brier_score_loss")
    monitor.fit(*one_number(ar1(rng, 1, 60, 0.0, 0.02, 0.1)[0]), batch=np.arange(60))
    resolution = monitor.resolution()
    for r, excess, n_batches in resolution.rows:
        if r < 1:
            continue
        stream = np.clip(resolution.limit + excess + monitor.state.sd * rng.normal(size=(100, 3 * n_batches)), 0, 1)
        log_m, first = np.full((100, 8), -np.inf), np.full(100, 3 * n_batches)
        for t, x in enumerate(stream.T):
            log_m = log_shiryaev_roberts(log_m, log_mean_bets(x, resolution.limit))
            first = np.minimum(
                first, np.where(log_mean_exp(log_m, LOG_STAKE_WEIGHTS) >= math.log(365), t + 1, 3 * n_batches)
            )
        assert 0.5 < np.median(first) / n_batches < 2


def test_resolution_is_the_stated_formula():
    """The batches of `batches_to_detect` for excesses in standard deviations and in units of the loss; it prints."""
    monitor, _ = fitted()
    state, resolution = monitor.state, monitor.resolution()
    assert [row[0] for row in resolution.rows] == [0.5, 1.0, 2.0, 4.0]
    for r, excess, n in resolution.rows:
        assert excess == pytest.approx(r * state.sd)
        g = r * state.sd / resolution.limit
        b = 365 * sum(0.5**k for k in range(8))
        exact = max(2 * math.log(1 + b * r**2 / 2) / r**2, math.log(1 + b * g / (1 + g)) / math.log(1 + g))
        assert n == math.ceil(exact)
    text = str(resolution)
    assert f"lag-1 autocorrelation {state.autocorrelation:.2f}" in text
    assert "40 reference batches" in text
    assert list(resolution.to_frame().columns) == ["excess_sd", "excess", "n_batches"]
    assert len(resolution.plot().patches) == 4


def test_resolution_names_no_excess_that_cannot_happen():
    """Excesses beyond the largest possible loss are left out."""
    losses = np.tile([0.0, 0.9], 20)
    monitor = PerformanceMonitor("brier_score_loss").fit(*one_number(losses), batch=np.arange(40))
    resolution = monitor.resolution()
    assert all(resolution.limit + excess <= 1 for _, excess, _ in resolution.rows)
    assert len(resolution.rows) < 4


def test_a_better_model_is_never_an_alarm():
    """Half the loss for 300 batches raises nothing."""
    rng = np.random.default_rng(9)
    monitor = PerformanceMonitor("brier_score_loss").fit(*one_number(rng.uniform(0.1, 0.3, 40)), batch=np.arange(40))
    for _ in range(300):
        report = monitor.update(*one_number(rng.uniform(0.05, 0.15, 1)))
        assert not report.active
    assert report.evidence.log_value < math.log(100)


def test_planted_harm_is_one_alarm_and_reported_in_words():
    """A model whose answers turn bad is reported once, with loss, limit, clip, evidence and since when."""
    monitor, rng = fitted(tolerance=0.02)
    reports = [monitor.update(*rows(rng, worse=0.9 if t >= 10 else 0.0), batch_id=f"day {t}") for t in range(60)]
    alarms = [r.batch_id for r in reports if r.alarm]
    assert len(alarms) == 1
    assert not any(r.active for r in reports[:10])
    raised = next(r for r in reports if r.alarm)
    text = str(raised)
    assert text.startswith(f"performance, {alarms[0]}: ALARM")
    assert f"log_loss {raised.loss:.4f} on 200 rows" in text
    assert f"accepted up to {raised.limit:.4f}" in text
    assert "probabilities are clipped to [0.01, 0.99]" in text
    assert "P(first false alarm within T batches) <= T/365 + 0.05" in text
    assert f"episode open since {alarms[0]}" in str(reports[-1])
    assert "no alarm" in str(reports[0])
    assert reports[-1].since == alarms[0]


def test_acknowledging_starts_evidence_from_zero():
    """After acknowledge() a lasting harm is a second alarm; the history keeps reasons."""
    monitor, rng = fitted()
    alarms = []
    for t in range(80):
        if monitor.update(*rows(rng, worse=0.9), batch_id=str(t)).alarm:
            alarms.append(t)
            monitor.acknowledge("sensor replaced")
            assert monitor.state.n_batches == 0
            assert set(monitor.state.log_m) == {-math.inf}
        if len(alarms) == 2:
            break
    assert len(alarms) == 2
    assert alarms[1] - alarms[0] > 3
    events = monitor.state.episodes.events
    assert [e.kind for e in events] == ["alarm", "acknowledged", "alarm", "acknowledged"]
    assert events[1].reason == "sensor replaced"
    assert "accepted" in events[0].reason


def test_acknowledging_nothing_changes_nothing():
    """Without an open episode the evidence is kept, so that a habit cannot silence the monitor."""
    monitor, rng = fitted()
    monitor.update(*rows(rng, worse=0.5))
    before = monitor.to_json()
    monitor.acknowledge()
    assert monitor.to_json() == before


def test_rebase_accepts_a_new_reference_and_keeps_the_ids():
    """After rebase the limit is that of the new reference, evidence starts from zero, old batches stay refused."""
    monitor, rng = fitted()
    while not monitor.update(*rows(rng, worse=0.9)).alarm:
        pass
    old, seen = monitor.state, monitor.state.episodes.seen
    y, p, batch = reference(rng)
    monitor.rebase(y, 1 - p, batch=batch, reason="a worse model was accepted")
    assert monitor.state.upper > old.upper
    assert monitor.state.n_batches == 0
    assert monitor.state.episodes.seen == seen
    assert not monitor.state.episodes.active
    assert monitor.state.episodes.events[-1].kind == "rebased"
    assert monitor.state.episodes.events[-1].reason == "a worse model was accepted"
    with pytest.raises(DuplicateBatch):
        monitor.update(*rows(rng), batch_id=seen[-1])
    assert not monitor.update(*rows(rng, worse=0.9)).active


def test_fitting_again_forgets_everything():
    """A second fit is a new life: ids may come again."""
    monitor, rng = fitted()
    monitor.update(*rows(rng), batch_id="a")
    y, p, batch = reference(rng)
    monitor.fit(y, p, batch=batch)
    monitor.update(*rows(rng), batch_id="a")
    assert monitor.state.n_batches == 1


def test_json_round_trip_goes_on_bit_equal():
    """A monitor written and read in mid-stream gives the same reports and the same JSON as one that never stopped."""
    straight, rng = fitted(tolerance=0.01, alpha=0.1, horizon=50)
    broken = PerformanceMonitor.from_json(straight.to_json())
    for t in range(60):
        batch = rows(rng, worse=0.6 if t > 20 else 0.0)
        first, second = straight.update(*batch), broken.update(*batch)
        assert first == second
        broken = PerformanceMonitor.from_json(broken.to_json())
        assert broken.to_json() == straight.to_json()
    assert straight.state == broken.state
    assert first.active


def test_a_state_under_other_dials_is_refused():
    """A turned dial raises StateMismatch, through the constructor and through edited JSON; the same limit does not."""
    monitor, _ = fitted()
    assert PerformanceMonitor(state=monitor.state).to_json() == monitor.to_json()
    assert PerformanceMonitor("neg_log_loss", alpha=0.1, horizon=36.5, state=monitor.state).state == monitor.state
    assert formats.from_json(formats.to_json(monitor.state), PerformanceState) == monitor.state
    for turned in ({"tolerance": 0.1}, {"false_alarm_every": 30}, {"clip": 0.02}, {"metric": "brier_score_loss"}):
        with pytest.raises(StateMismatch, match="another configuration"):
            PerformanceMonitor(**turned, state=monitor.state)
    with pytest.raises(StateMismatch):
        PerformanceMonitor.from_json(monitor.to_json().replace('"tolerance":0.0', '"tolerance":0.5'))
    with pytest.raises(FormatError):
        PerformanceMonitor.from_json("[]")


def test_dials_cannot_be_turned_in_place():
    """The configuration is frozen after construction."""
    with pytest.raises(AttributeError):
        PerformanceMonitor().tolerance = 0.2


def test_a_batch_sent_twice_is_refused_and_changes_nothing():
    """The same id raises, in whatever type it comes; so does a batch of the reference."""
    monitor, rng = fitted()
    batch = rows(rng)
    monitor.update(*batch, batch_id=pd.Timestamp("2013-03-01"))
    before = monitor.to_json()
    for batch_id in (dt.date(2013, 3, 1), "2013-03-01", "ref 3"):
        with pytest.raises(DuplicateBatch, match="seen before"):
            monitor.update(*batch, batch_id=batch_id)
    assert monitor.to_json() == before


def test_nothing_works_before_fit():
    """update, acknowledge, rebase and resolution ask for fit first."""
    monitor = PerformanceMonitor()
    for call in (
        lambda: monitor.update([1], [0.5]),
        monitor.acknowledge,
        monitor.resolution,
        lambda: monitor.rebase([1], [0.5], batch=["a"]),
    ):
        with pytest.raises(NotFittedError, match="PerformanceMonitor is not fitted"):
            call()
    assert PerformanceMonitor.from_json(monitor.to_json()).state is None


def test_a_small_reference_warns_and_says_what_can_be_found():
    """Below twenty batches fit warns, names the bound and goes on."""
    losses = np.random.default_rng(10).uniform(0.1, 0.2, 8)
    monitor = PerformanceMonitor("brier_score_loss")
    with pytest.warns(SmallReference, match="8 batches, 20 or more are advised"):
        monitor.fit(*one_number(losses), batch=np.arange(8))
    assert monitor.state.n_reference == 8


@pytest.mark.parametrize("n", [1, 3])
def test_too_few_batches_are_refused(n):
    """Fewer than four batches say nothing about their mean."""
    with pytest.raises(DataError, match=f"the reference has {n} batches: at least 4"):
        PerformanceMonitor().fit([0, 1, 1], [0.2, 0.5, 0.7], batch=np.arange(3) % n)


def test_a_reference_that_leaves_nothing_to_find_is_refused():
    """Where limit plus tolerance reaches the largest possible loss, no alarm could ever be raised: fit says so."""
    with pytest.raises(DataError, match="no fault could be found"):
        PerformanceMonitor("brier_score_loss").fit(*one_number(np.array([0.0, 1.0, 0.0, 1.0])), batch=np.arange(4))
    with pytest.raises(DataError, match="smaller tolerance"):
        PerformanceMonitor("brier_score_loss", tolerance=0.95).fit(*one_number(np.full(20, 0.1)), batch=np.arange(20))


def test_a_reference_without_spread_is_not_taken_for_certain():
    """Forty faultless batches allow the loss that would go unseen with probability 5% (binomial), not zero."""
    monitor = PerformanceMonitor("accuracy").fit(
        np.ones(400, int), np.ones(400, int), batch=np.repeat(np.arange(40), 10)
    )
    assert stats.binom.pmf(0, 40, monitor.state.upper) == pytest.approx(0.05)
    assert not monitor.update([1], [0]).alarm
    assert monitor.resolution().rows == ()
    assert monitor.state.autocorrelation == 0
    sizes = np.repeat(np.arange(40), np.arange(1, 41))  # means of .3 over 1 to 40 rows differ by rounding alone
    same = PerformanceMonitor("brier_score_loss").fit(np.zeros(820, int), np.full(820, 0.3), batch=sizes)
    assert same.state.upper == pytest.approx(0.09 + 0.91 * (1 - 0.05 ** (1 / 40)))


def test_labels_of_one_class_are_fine():
    """A batch with one class only has a loss like any other."""
    monitor, _ = fitted()
    assert monitor.update([1, 1, 1], [0.5, 0.5, 0.5]).loss == pytest.approx(math.log(2))
    assert monitor.update([0], [0.5]).n_rows == 1


def test_labels_may_be_text_or_more_than_two_classes():
    """Classes are learnt from the reference, so that a batch may lack one; an unknown label is refused."""
    rng = np.random.default_rng(12)
    y, p, batch = reference(rng, n_batches=20, n=50)
    text = np.where(y == 1, "yes", "no")
    numbers, words = PerformanceMonitor().fit(y, p, batch=batch), PerformanceMonitor().fit(text, p, batch=batch)
    assert words.state.upper == numbers.state.upper
    words = PerformanceMonitor.from_json(words.to_json())
    assert words.update(["yes", "yes"], [0.9, 0.8]).loss == numbers.update([1, 1], [0.9, 0.8]).loss
    with pytest.raises(DataError, match=r"y_true holds \['maybe'\]; the reference knows \['no', 'yes'\]"):
        words.update(["maybe"], [0.5])
    with pytest.raises(DataError, match="the reference knows"):
        numbers.update([2], [0.5])
    scores = rng.dirichlet(np.ones(3), size=1000)
    drawn = np.array([rng.choice(["a", "b", "c"], p=row) for row in scores])
    three = PerformanceMonitor().fit(drawn, scores, batch=batch)
    report = three.update(["c", "a"], [[0.1, 0.1, 0.8], [0.5, 0.2, 0.3]])
    assert report.loss == pytest.approx(-(math.log(0.8) + math.log(0.5)) / 2)


@pytest.mark.parametrize(
    ("y_true", "y_pred"),
    [
        ([], []),
        ([1, 0], [0.5]),
        ([1, "a"], [0.5, 0.5]),
        ([1, None], [0.5, 0.5]),
        ([1, float("nan")], [0.5, 0.5]),
        ([1, 0], [0.5, float("nan")]),
        ([1, 0], [0.5, 1.5]),
        ([1, 0], [0.5, -0.1]),
        ([1, 0], [0.5, float("inf")]),
    ],
)
def test_bad_batches_are_refused_and_change_nothing(y_true, y_pred):
    """Empty, unequal, missing and impossible values raise DataError; the state is as it was."""
    monitor, _ = fitted()
    before = monitor.to_json()
    with pytest.raises(DataError):
        monitor.update(y_true, y_pred)
    assert monitor.to_json() == before


def test_missing_values_are_counted_in_the_message():
    """The message says how many labels are missing."""
    monitor, _ = fitted()
    with pytest.raises(DataError, match="2 of 3 values of y_true are missing"):
        monitor.update([1, None, None], [0.5, 0.5, 0.5])


def test_every_row_needs_a_batch():
    """Keys that do not fit, or are missing, are refused."""
    y, p, batch = reference(np.random.default_rng(11))
    with pytest.raises(DataError, match="batch has 7999 keys for 8000 rows"):
        PerformanceMonitor().fit(y, p, batch=batch[1:])
    with pytest.raises(DataError, match="missing"):
        PerformanceMonitor().fit(y, p, batch=[None, *batch[1:]])


@pytest.mark.parametrize(
    "bad",
    [
        {"metric": "roc_auc"},
        {"metric": "no_such_metric"},
        {"metric": "neg_mean_absolute_error"},
        {"metric": "neg_mean_absolute_error", "bound": 0.0},
        {"metric": "neg_mean_absolute_error", "bound": float("inf")},
        {"metric": "brier_score_loss", "bound": 0.5},
        {"tolerance": -0.1},
        {"tolerance": float("nan")},
        {"clip": 0.0},
        {"clip": 0.5},
        {"false_alarm_every": 1},
        {"alpha": 0.05},
        {"horizon": 10},
        {"false_alarm_every": 10, "alpha": 0.05, "horizon": 10},
    ],
)
def test_bad_configuration_fails_at_construction(bad):
    """No monitor is made with a metric or a dial that cannot work."""
    with pytest.raises(ConfigurationError):
        PerformanceMonitor(**bad)


def test_report_frames_draws_and_writes():
    """One row, two bars beside the limit, plain data for a log, HTML."""
    monitor, rng = fitted()
    report = monitor.update(*rows(rng), batch_id="d1")
    frame = report.to_frame()
    assert len(frame) == 1
    assert {"batch_id", "loss", "limit", "alarm", "since", "log_evidence", "log_limit"} <= set(frame.columns)
    ax = report.plot()
    assert len(ax.patches) == 2
    assert list(ax.lines[0].get_xdata()) == [report.limit] * 2
    assert report.to_dict()["monitor"] == "performance"
    assert "log_loss" in report._repr_html_()
