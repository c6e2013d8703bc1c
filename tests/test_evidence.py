"""Dials, episodes, evidence, and the base of every report."""

import datetime as dt
import decimal
import json
import math

import numpy as np
import pandas as pd
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from mlopskit import formats
from mlopskit.errors import ConfigurationError, DuplicateBatch
from mlopskit.evidence import Dial, EpisodeEvent, Episodes, Evidence, MonitorReport, Report, plain


class TestDial:
    @pytest.mark.parametrize(
        ("arguments", "limit"),
        [((None, None, None), 365), ((1000, None, None), 1000), ((1.5, None, None), 1.5), ((None, 0.05, 52), 1040)],
    )
    def test_sets_the_limit(self, arguments, limit):
        """A = false_alarm_every, or horizon / alpha; 365 batches without any argument. The promise repeats A."""
        dial = Dial.of(*arguments)
        assert dial.limit == pytest.approx(limit)
        assert dial.promise == f"P(first false alarm within T batches) <= T/{limit:g}"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((365, 0.05, 100), "not both"),
            ((365, None, 100), "not both"),
            ((None, 0.05, None), "go together"),
            ((None, None, 100), "go together"),
            ((1, None, None), "false_alarm_every=1"),
            ((0, None, None), "false_alarm_every=0"),
            ((math.inf, None, None), "false_alarm_every=inf"),
            ((math.nan, None, None), "false_alarm_every=nan"),
            ((None, 0.0, 10), "alpha=0.0"),
            ((None, 1.0, 10), "alpha=1.0"),
            ((None, math.nan, 10), "alpha=nan"),
            ((None, 0.05, 0), "horizon=0"),
            ((None, 0.05, math.inf), "horizon=inf"),
        ],
    )
    def test_refuses_what_cannot_be_a_budget(self, arguments, message):
        """Both dials at once, half of one, and values out of range are refused; the message repeats the value."""
        with pytest.raises(ConfigurationError, match=message):
            Dial.of(*arguments)


class TestEpisodes:
    @given(st.lists(st.booleans(), max_size=30))
    def test_one_alarm_for_each_episode(self, over):
        """Whatever the evidence does, an open episode raises no second alarm."""
        episodes, alarms = Episodes(), []
        for i, flag in enumerate(over):
            episodes, alarm = episodes.step(str(i), over_limit=flag)
            alarms.append(alarm)
        assert sum(alarms) == any(over)
        assert episodes.since == (str(over.index(True)) if any(over) else None)
        assert episodes.active == any(over)
        assert episodes.seen == tuple(str(i) for i in range(len(over)))

    def test_a_closed_episode_lets_the_next_one_open(self):
        """After it is closed, the next batch over the limit alarms again; the history keeps all of it, with reasons."""
        episodes, _ = Episodes().step("a", over_limit=True, reason="fare")
        episodes = episodes.close("acknowledged", "new prices")
        assert not episodes.active
        episodes, alarm = episodes.step("b", over_limit=True)
        assert alarm
        assert episodes.close("rebased").events == (
            EpisodeEvent("alarm", "a", "fare"),
            EpisodeEvent("acknowledged", "a", "new prices"),
            EpisodeEvent("alarm", "b"),
            EpisodeEvent("rebased", "b"),
        )

    def test_closing_before_the_first_batch(self):
        """Nothing is open yet: the event names no batch."""
        assert Episodes().close("rebased").events == (EpisodeEvent("rebased", ""),)

    def test_an_id_counts_once(self):
        """An id seen before is refused, and the message says what to do."""
        episodes, _ = Episodes().step("a", over_limit=False)
        with pytest.raises(DuplicateBatch, match=r"batch_id='a' was seen before.*give new rows a new batch_id"):
            episodes.next_id("a")
        assert episodes.next_id("b") == "b"

    def test_batches_without_an_id_are_numbered(self):
        """The number goes on from the batches seen, and steps over ids that the user gave."""
        assert Episodes().next_id(None) == "batch 1"
        assert Episodes(seen=("x", "batch 3")).next_id(None) == "batch 4"

    def test_round_trip(self):
        """Episodes written as JSON and read back are equal."""
        episodes = Episodes().step("a", over_limit=True, reason="r")[0].close("rebased", "q")
        assert formats.from_json(formats.to_json(episodes), Episodes) == episodes


class TestEvidence:
    @pytest.mark.parametrize(("value", "exceeded"), [(365.0, True), (364.9, False), (0.0, False), (math.inf, True)])
    def test_is_exceeded_at_the_limit(self, value, exceeded):
        """Evidence at or above the limit exceeds it; without evidence the logarithm is -inf."""
        with np.errstate(divide="ignore"):
            evidence = Evidence(float(np.log(value)), math.log(365.0), 3, "promise")
        assert evidence.exceeded is exceeded

    def test_prints_numbers_and_the_promise(self):
        """Evidence prints as a number beside its limit, even where the number is beyond floats."""
        assert (
            str(Evidence(math.log(20), math.log(365), 3, "at most")) == "evidence 20 of 365 after 3 batches (at most)"
        )
        assert "evidence 0 of" in str(Evidence(-math.inf, 1.0, 0, ""))
        assert "e+304" in str(Evidence(1e6, 1.0, 0, ""))


@frozen
class Finding:
    name: str
    effect: float
    secret: str = field(default="s", repr=False)


@frozen
class TinyReport(MonitorReport):
    batch_id: str
    alarm: bool
    since: str | None
    evidence: Evidence
    findings: tuple[Finding, ...] = ()
    monitor: str = "tiny"

    def to_frame(self):
        return pd.DataFrame([[f.name, f.effect] for f in self.findings], columns=["name", "effect"])

    def __str__(self):
        return f"{len(self.findings)} findings"


EVIDENCE = Evidence(-math.inf, math.log(365), 0, "p")
REPORT = TinyReport("b1", True, "b1", EVIDENCE, (Finding("<b>fare</b>", 0.5), Finding("day", math.nan)))


class TestReport:
    def test_to_dict_is_json(self):
        """A report becomes plain data: nested, non-finite numbers as None, fields without repr left out."""
        data = json.loads(json.dumps(REPORT.to_dict(), allow_nan=False))
        assert data["evidence"]["log_value"] is None
        assert data["findings"] == [{"name": "<b>fare</b>", "effect": 0.5}, {"name": "day", "effect": None}]
        assert data["alarm"] is True

    def test_active_follows_since(self):
        """An episode is open exactly when there is a batch that opened it."""
        assert REPORT.active
        assert not TinyReport("b1", False, None, EVIDENCE).active

    def test_html_is_escaped_and_whole(self):
        """The notebook's view has title, words and rows, and no markup of the data's own."""
        page = REPORT._repr_html_()
        assert "TinyReport" in page
        assert "2 findings" in page
        assert "&lt;b&gt;fare" in page
        assert "<b>fare" not in page
        assert "<table" not in TinyReport("b", False, None, EVIDENCE)._repr_html_()

    def test_plot_draws_the_last_number_of_the_table(self):
        """Without a picture of its own a report draws its last numeric column, one bar for each row, on given axes."""
        ax = REPORT.plot()
        assert [text.get_text() for text in ax.get_yticklabels()] == ["<b>fare</b>", "day"]
        assert ax.get_xlabel() == "effect"
        assert REPORT.plot(ax=ax) is ax
        assert len(TinyReport("b", False, None, EVIDENCE).plot().patches) == 0

    def test_a_report_without_numbers_draws_no_bars(self):
        """A table of words has nothing to draw."""

        class Words(Report):
            def to_frame(self):
                return pd.DataFrame({"name": ["a"], "ok": [True]})

            def __str__(self):
                return ""

        assert len(Words().plot().patches) == 0

    def test_a_report_must_say_what_it_found(self):
        """Table and words are what a subclass has to bring."""
        with pytest.raises(TypeError, match="abstract"):
            Report()


class TestPlain:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (np.float64(1.5), 1.5),
            (np.nan, None),
            (-np.inf, None),
            (np.int64(3), 3),
            (np.True_, True),
            (np.array([[1.0, np.nan]]), [[1.0, None]]),
            (np.array(2.0), 2.0),
            (np.array(["a"]), ["a"]),
            ((1, [2, {"k": (3,)}]), [1, [2, {"k": [3]}]]),
            ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
            (frozenset({"b", "a", "c"}), ["a", "b", "c"]),
            (dt.date(2020, 1, 2), "2020-01-02"),
            (pd.Timestamp("2020-01-02", tz="UTC"), "2020-01-02T00:00:00+00:00"),
            (np.datetime64("2020-01-02"), "2020-01-02"),
            (dt.timedelta(days=1), "1 day, 0:00:00"),
            (decimal.Decimal("1.10"), "1.10"),
            (pd.NA, "<NA>"),
            (None, None),
            (10**30, 10**30),
        ],
    )
    def test_every_value_becomes_something_json_can_hold(self, value, expected):
        """numpy, pandas, dates, sets and decimals all end as built-in types, and JSON takes the result."""
        found = plain(value)
        assert found == expected
        assert type(found) is type(expected)
        json.dumps(found, allow_nan=False)
