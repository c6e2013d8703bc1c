"""The monitor of failure rates: silent on what is usual, early on what is not, exact when replayed."""

import numpy as np
import pytest
from scipy.stats import binom

import mlopskit as mk
from mlopskit.errors import ConfigurationError, DataError, DuplicateBatch, FormatError, StateMismatch
from mlopskit.validation import ValidationMonitor

from counting import RISK

REFERENCE = {"origin": ["JFK", "EWR"] * 100, "wind": np.linspace(0, 30, 200), "n": np.arange(200)}
VALIDATOR = mk.DataValidator(unique=["n"]).fit(REFERENCE)


def batch(rng, unknown=0.01, null=0.02, size=100):
    origin = np.where(rng.random(size) < unknown, "BOS", "JFK")
    wind = np.where(rng.random(size) < null, np.nan, rng.uniform(0, 30, size))
    return {"origin": origin, "wind": wind, "n": np.arange(size)}


def report_of(rng, **rates):
    return VALIDATOR.validate(batch(rng, **rates))


class TestMonitor:
    def test_usual_failures_are_no_alarm_and_more_of_them_are(self):
        """1% unknown levels and 2% nulls, day after day, are usual; 10% unknown levels are found, by name."""
        rng, monitor = np.random.default_rng(0), VALIDATOR.monitor(false_alarm_every=365)
        quiet = [monitor.update(report_of(rng), batch_id=f"day {i}") for i in range(60)]
        assert not any(report.alarm for report in quiet)
        for i in range(60, 70):
            report = monitor.update(report_of(rng, unknown=0.1), batch_id=f"day {i}")
            if report.alarm:
                break
        assert report.alarm
        assert i < 66
        assert ("origin", "domain") in [entry[:2] for entry in report.strongest]
        assert "origin: domain: " in str(report)
        assert report.since == f"day {i}"
        assert report.to_frame()["share"].max() > 0.03

    def test_one_alarm_for_one_lasting_change(self):
        """While the episode is open nothing more is raised; acknowledged, the evidence starts anew."""
        rng, monitor = np.random.default_rng(1), VALIDATOR.monitor()
        alarms = [monitor.update(report_of(rng, unknown=0.01 if i < 40 else 0.3)).alarm for i in range(60)]
        assert sum(alarms) == 1
        monitor.acknowledge("known")
        assert not monitor.state.episodes.active
        assert monitor.state.n_batches == 0
        monitor.rebase("another source")
        assert len(monitor.state.shares) == 0
        assert [event.kind for event in monitor.state.episodes.events] == ["alarm", "acknowledged", "rebased"]
        assert not any(monitor.update(report_of(rng, unknown=0.3)).alarm for _ in range(20))

    def test_it_travels_between_any_two_batches(self):
        """Replayed from JSON at every step, it says the same."""
        rng, monitor = np.random.default_rng(2), VALIDATOR.monitor(random_state=5)
        again = ValidationMonitor.from_json(monitor.to_json())
        for i in range(12):
            report = report_of(rng, unknown=0.01 + 0.02 * i)
            assert again.update(report) == monitor.update(report)
            again = ValidationMonitor.from_json(again.to_json())
        assert again.to_json() == monitor.to_json()

    def test_a_dial_is_not_turned_after_seeing_data(self):
        """JSON with another limit is refused."""
        text = VALIDATOR.monitor(false_alarm_every=365).to_json()
        with pytest.raises((StateMismatch, FormatError)):
            ValidationMonitor.from_json(text.replace('"false_alarm_every":365', '"false_alarm_every":30'))

    def test_batches_are_named_once_and_belong_to_the_validator(self):
        """A batch sent twice, one without rows, a report of other rules, bad dials: errors."""
        rng, monitor = np.random.default_rng(3), VALIDATOR.monitor()
        monitor.update(report_of(rng), batch_id="monday")
        with pytest.raises(DuplicateBatch):
            monitor.update(report_of(rng), batch_id="monday")
        other = mk.DataValidator().fit({"a": [1]})
        for report in (other.validate({"a": [1]}), VALIDATOR.validate({k: v[:0] for k, v in REFERENCE.items()})):
            with pytest.raises(DataError, match="this monitor's validator"):
                monitor.update(report)
        for options in ({"false_alarm_every": 0.5}, {"random_state": -1}, {"alpha": 0.1}):
            with pytest.raises(ConfigurationError):
                VALIDATOR.monitor(**options)

    def test_custom_checks_and_keys_are_questions(self):
        """A check of one's own and a key have shares too; warnings are no bad rows."""
        calm = mk.check("calm", severity="warning")(lambda frame: frame["wind"] < 1)
        validator = mk.DataValidator(VALIDATOR.schema, checks=[calm])
        monitor = validator.monitor()
        assert monitor.questions[-2:] == (("n", "unique"), ("", "calm"))
        frame = {"origin": np.array(["JFK"] * 4), "wind": np.array([0.5, 5, 5, 5.0]), "n": np.array([1, 1, 2, 3])}
        monitor.update(validator.validate(frame))
        shares = dict(zip(monitor.questions, monitor.state.shares[0], strict=True))
        assert (shares["", "calm"], shares["n", "unique"], shares["", "any error rule"]) == (0.25, 0.25, 0.25)


@pytest.mark.slow
@pytest.mark.parametrize("day", [0.0, 1.0])
def test_false_alarms_within_a_horizon(day):
    """P(false alarm within 50 batches) <= 50/150, with failure rates that vary from day to day and batches of any size.

    60 runs; the test fails by luck with probability below 1e-6.
    """
    alarms = 0
    for seed in range(60):
        rng, monitor = np.random.default_rng(seed), VALIDATOR.monitor(false_alarm_every=150, random_state=seed)
        for _ in range(50):
            rates = {"unknown": 0.02 * np.exp(day * rng.normal()), "null": 0.03 * np.exp(day * rng.normal())}
            if monitor.update(report_of(rng, size=int(rng.integers(50, 150)), **rates)).alarm:
                alarms += 1
                break
    assert alarms <= binom.ppf(1 - RISK, 60, 50 / 150)
