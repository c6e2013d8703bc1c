"""A policy decides in a fixed order, forgets no open alarm, and goes on after a restart as if nothing had happened."""

import datetime as dt
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from attrs import field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from mlopskit.errors import ConfigurationError, DataError, FormatError, StateMismatch
from mlopskit.evidence import Evidence, MonitorReport, Report
from mlopskit.lineage import Lineage
from mlopskit.records import ModelVersion
from mlopskit.retraining import Both, Either, Every, MaxAge, Never, OnAlarm, PolicyState, RetrainPolicy, Wish
from mlopskit.validation import DataValidator

START = dt.datetime(2013, 3, 1, tzinfo=dt.UTC)
QUIET = Evidence(0.0, 6.0, 1, "a promise")


@frozen
class Watch(MonitorReport):
    """The smallest report of a monitor."""

    monitor: str
    batch_id: str
    since: str | None = None
    alarm: bool = False
    evidence: Evidence = field(default=QUIET)

    def to_frame(self):
        return pd.DataFrame({"batch": [self.batch_id]})

    def __str__(self):
        state = f"open since {self.since}" if self.active else "no alarm"
        return f"{self.monitor} in {self.batch_id}: {state}\n  hour: later than ever\n  more"


def day(n: float) -> dt.datetime:
    return START + dt.timedelta(days=n)


def version(trained_until=START, created_at=START):
    return ModelVersion("late", 1, "0" * 64, created_at, lineage=Lineage(data_end=trained_until))


@pytest.fixture(scope="module")
def validation():
    """A failed and a passed report of the real validator."""
    reference = pd.DataFrame({"hour": np.arange(200) % 24, "carrier": ["AA", "UA"] * 100})
    validator = DataValidator().fit(reference)
    failed = validator.validate(pd.DataFrame({"hour": ["noon"] * 5}))
    passed = validator.validate(reference)
    assert passed.passed
    assert not failed.passed
    return failed, passed


def actions(policy, days, **kwargs):
    return [policy.decide(now=day(n), **kwargs).action for n in days]


class TestNever:
    def test_keeps(self):
        """Never keeps the model, and that is a recorded decision."""
        policy = Never()
        decision = policy.decide([Watch("drift", "b1", "b1")], version=version(), now=START)
        assert (decision.action, decision.reason) == ("keep", "nothing asked for a retrain")
        assert decision.version == "late:1"
        assert policy.decisions == (decision,)


class TestEvery:
    def test_counts_from_the_first_decision_then_from_the_last_retrain(self):
        """Seven days after the first decision, then seven days after each retrain, however late that was."""
        policy = Every("7D")
        assert actions(policy, [0, 6.9, 7, 8, 13.9, 20, 21, 27]) == [
            "keep", "keep", "retrain", "keep", "keep", "retrain", "keep", "retrain",
        ]  # fmt: skip

    def test_any_retrain_starts_the_count_anew(self):
        """A retrain that an alarm asked for counts too."""
        policy = Every("7D") | OnAlarm()
        assert policy.decide(now=day(0)).action == "keep"
        assert policy.decide(Watch("drift", "b", "b"), now=day(5)).action == "retrain"
        assert actions(policy, [7, 11.9, 12]) == ["keep", "keep", "retrain"]

    @pytest.mark.parametrize("length", ["7D", "168h", dt.timedelta(days=7), pd.Timedelta("7D")])
    def test_takes_durations_in_several_forms(self, length):
        """Text and timedeltas mean the same, to the point of equality."""
        assert Every(length) == Every("7D")
        assert hash(Every(length)) == hash(Every("7D"))

    @pytest.mark.parametrize("length", ["week", "7", 7, "0D", "-1D", None, "NaT", "1M", dt.timedelta.max, [1]])
    def test_refuses_what_is_no_duration(self, length):
        """A forgotten unit, zero, a negative, calendar months and nonsense are refused at construction."""
        for make in (Every, MaxAge):
            with pytest.raises(ConfigurationError, match="expected a duration"):
                make(length)
        if length is not None:
            with pytest.raises(ConfigurationError, match="expected a duration"):
                Never().with_cooldown(length)


class TestMaxAge:
    def test_counts_from_the_end_of_the_training_data(self):
        """A model registered today on data of last year is a year old."""
        old = version(trained_until=day(-91), created_at=day(0))
        decision = MaxAge("90D").decide(version=old, now=day(0))
        assert decision.action == "retrain"
        assert decision.reason == "late:1 is 91 days old, more than 90 days"

    def test_counts_from_the_registration_where_the_data_end_is_unknown(self):
        """Without a time column the age starts at registration."""
        unknown = version(trained_until=None, created_at=day(0))
        policy = MaxAge("90D")
        assert actions(policy, [0, 90, 90.5], version=unknown) == ["keep", "keep", "retrain"]

    def test_reads_naive_times_as_utc(self):
        """A training end without a zone is UTC."""
        naive = version(trained_until=dt.datetime(2013, 3, 1))
        assert actions(MaxAge("1D"), [1, 1.5], version=naive) == ["keep", "retrain"]

    def test_asks_until_a_younger_version_is_there(self):
        """A refused challenger is followed by another; a promoted one ends it."""
        policy = MaxAge("90D").with_cooldown("3D")
        assert actions(policy, [91, 92, 94], version=version()) == ["retrain", "keep", "retrain"]
        assert actions(policy, [98], version=version(trained_until=day(94))) == ["keep"]

    def test_needs_a_version(self):
        """Without a version the age is unknown; nothing is recorded."""
        policy = Never() | MaxAge("90D")
        with pytest.raises(DataError, match="version="):
            policy.decide(now=START)
        assert policy.decisions == ()


class TestOnAlarm:
    def test_fires_once_for_an_episode(self):
        """A lasting change is one retrain; the next episode is another one."""
        policy = OnAlarm()
        since = [None, "b1", "b1", "b1", None, None, "b6", "b6"]
        given = [policy.decide(Watch("drift", f"b{i}", s), now=day(i)).action for i, s in enumerate(since)]
        assert given == ["keep", "retrain", "keep", "keep", "keep", "keep", "retrain", "keep"]

    def test_a_new_episode_fires_even_if_the_quiet_between_was_not_reported(self):
        """Episodes are told apart by the batch that opened them."""
        policy = OnAlarm()
        assert policy.decide(Watch("drift", "b1", "b1"), now=day(1)).action == "retrain"
        assert policy.decide(Watch("drift", "b5", "b5"), now=day(5)).action == "retrain"
        assert [e.since for e in policy.state.episodes] == ["b5"]

    def test_an_alarm_during_a_cooldown_is_not_lost(self):
        """An alarm that opens during a cooldown fires when it ends, even if nobody reports it again."""
        policy = OnAlarm().with_cooldown("3D")
        assert policy.decide(Watch("drift", "b0", "b0"), now=day(0)).action == "retrain"
        held = policy.decide(Watch("performance", "b1", "b1"), now=day(1))
        assert held.action == "keep"
        assert held.reason == (
            "cooldown until 2013-03-04; would have retrained because performance alarm since b1 (hour: later than ever)"
        )
        assert policy.decide([], now=day(2)).action == "keep"
        answer = policy.decide([], now=day(3))
        assert answer.action == "retrain"
        assert answer.reason.startswith("performance alarm since b1")
        assert policy.decide([Watch("performance", "b7", "b1")], now=day(7)).action == "keep"

    def test_an_alarm_with_the_budget_used_is_not_lost(self):
        """It fires when the oldest retrain leaves the span."""
        policy = OnAlarm().with_budget(1, per="30D")
        assert policy.decide(Watch("drift", "b0", "b0"), now=day(0)).action == "retrain"
        held = policy.decide(Watch("bias", "b1", "b1"), now=day(1))
        assert held.reason.startswith(
            "budget of 1 per 30 days is used until 2013-03-31; would have retrained because bias"
        )
        assert actions(policy, [29.9, 30]) == ["keep", "retrain"]

    def test_an_alarm_on_a_blocked_day_is_not_lost(self, validation):
        """It fires on the first day whose data are fit to train on."""
        failed, passed = validation
        policy = OnAlarm()
        blocked = policy.decide([failed, Watch("drift", "b0", "b0")], now=day(0))
        assert blocked.action == "block"
        assert "would have retrained because drift alarm since b0" in blocked.reason
        assert policy.decide([passed, Watch("drift", "b1", "b0")], now=day(1)).action == "retrain"

    def test_an_episode_closed_before_it_fired_is_forgotten(self):
        """Somebody acknowledged the alarm, so nothing is left to answer."""
        policy = OnAlarm().with_cooldown("3D")
        policy.decide(Watch("drift", "b0", "b0"), now=day(0))
        policy.decide(Watch("bias", "b1", "b1"), now=day(1))
        policy.decide(Watch("bias", "b2"), now=day(2))
        assert policy.decide([], now=day(3)).action == "keep"

    def test_other_monitors_do_not_close_an_episode(self):
        """Only the monitor that opened an episode can say that it is over."""
        policy = OnAlarm().with_cooldown("3D")
        policy.decide(Watch("drift", "b0", "b0"), now=day(0))
        policy.decide(Watch("bias", "b1", "b1"), now=day(1))
        policy.decide(Watch("performance", "b2"), now=day(2))
        assert policy.decide(Watch("drift", "b3"), now=day(3)).action == "retrain"

    def test_one_retrain_answers_all_alarms_open_at_once(self):
        """Two alarms on one day are one retrain, and both are named."""
        policy = OnAlarm()
        decision = policy.decide([Watch("drift", "b0", "b0"), Watch("bias", "b0", "b0")], now=day(0))
        assert "drift alarm since b0" in decision.reason
        assert "bias alarm since b0" in decision.reason
        assert policy.decide([Watch("drift", "b1", "b0"), Watch("bias", "b1", "b0")], now=day(1)).action == "keep"

    def test_two_monitors_of_one_name_do_not_close_each_other(self):
        """A quiet report beside an active one of the same name leaves the episode open."""
        policy = OnAlarm()
        decision = policy.decide([Watch("drift", "b0", "b0"), Watch("drift", "b0")], now=day(0))
        assert decision.action == "retrain"
        assert policy.decide([Watch("drift", "b1", "b0"), Watch("drift", "b1")], now=day(1)).action == "keep"

    def test_listens_to_the_kinds_it_is_told(self):
        """Other monitors' episodes are neither answered nor heard."""
        policy = OnAlarm("performance") | OnAlarm(["bias", "drift"]).with_cooldown("2D")
        assert OnAlarm("drift").decide(Watch("bias", "b0", "b0"), now=day(0)).action == "keep"
        assert policy.decide(Watch("performance", "b0", "b0"), now=day(0)).action == "retrain"
        assert policy.decide(Watch("drift", "b1", "b1"), now=day(1)).action == "keep"
        assert policy.decide(None, now=day(2)).action == "retrain"

    @pytest.mark.parametrize("kinds", [[], [1]])
    def test_refuses_kinds_that_are_none(self, kinds):
        """An empty list would silently never fire."""
        with pytest.raises(ConfigurationError, match="monitor names"):
            OnAlarm(kinds)


class TestOrder:
    def test_block_comes_before_everything(self, validation):
        """With the cooldown running and the budget used, a failed validation is still the reason given."""
        failed, _ = validation
        policy = Every("1D").with_cooldown("3D").with_budget(1, per="30D")
        assert actions(policy, [0, 1]) == ["keep", "retrain"]
        decision = policy.decide(failed, now=day(2))
        assert decision.action == "block"
        assert decision.reason.startswith("1 batch one would train on failed validation, the newest: failed: ")
        assert "would have retrained because 1 day has passed" in decision.reason

    def test_blocks_even_when_nothing_asked(self, validation):
        """Days that are not fit to train on are named also when nobody wanted to train on them."""
        failed, _ = validation
        decision = Never().decide([failed], now=day(0))
        assert decision.action == "block"
        assert decision.reason.endswith("; nothing asked for a retrain")

    def test_cooldown_comes_before_the_budget(self):
        """When both hold, the cooldown is the reason, in whichever order they were set."""
        for policy in (
            Every("1D").with_cooldown("3D").with_budget(1, per="30D"),
            Every("1D").with_budget(1, per="30D").with_cooldown("3D"),
        ):
            actions(policy, [0, 1])
            assert policy.decide(now=day(2)).reason.startswith("cooldown until 2013-03-05")
            assert policy.decide(now=day(4)).reason.startswith("budget of 1")

    def test_a_block_or_a_held_wish_starts_no_cooldown(self, validation):
        """The cooldown counts from the last retrain only."""
        failed, _ = validation
        policy = Every("1D").with_cooldown("2D")
        actions(policy, [0])
        assert policy.decide(failed, now=day(1)).action == "block"
        assert actions(policy, [1.5, 2, 3.5]) == ["retrain", "keep", "retrain"]

    def test_passed_validation_does_not_block(self, validation):
        """A passed report is evidence and nothing more."""
        assert Never().decide(validation[1], now=day(0)).action == "keep"

    def test_a_check_of_ones_own_blocks_too(self):
        """Anything with `passed` and `failures` is a validation."""

        class Audit:
            passed, failures = np.False_, ["hour"]

            def __str__(self):
                return "audit: hour is wrong"

        decision = Never().decide(Audit(), now=day(0))
        assert decision.action == "block"
        assert "audit: hour is wrong" in decision.reason


class TestDecide:
    def test_takes_one_report_or_many_of_any_kind(self):
        """None is ignored, anything else is evidence in its own words."""

        class Silent:
            def __str__(self):
                return ""

        policy = Never()
        assert policy.decide(None, now=day(0)).evidence == ()
        assert policy.decide(Watch("bias", "b0"), now=day(0)).evidence == ("bias in b0: no alarm",)
        assert policy.decide([None, {"accuracy": 1}, Silent()], now=day(0)).evidence == ("{'accuracy': 1}", "Silent")
        assert policy.decide((w for w in [Watch("bias", "b1")]), now=day(0)).evidence == ("bias in b1: no alarm",)

    def test_many_passed_validations_are_counted_and_the_newest_failure_is_named(self, validation):
        """A long training window neither fills the record with quiet days nor repeats every broken one."""
        failed, passed = validation
        decision = Never().decide([passed, failed, passed, failed], now=day(0))
        assert decision.reason.startswith("2 batches one would train on failed validation, the newest: ")
        assert decision.reason.count("error rule") == 1
        assert decision.evidence[0] == "2 batches passed validation"
        assert len(decision.evidence) == 3

    def test_evidence_of_a_report_that_found_something_names_the_finding(self):
        """The audit says what was wrong, not only that something was."""
        decision = OnAlarm().decide([Watch("drift", "b0", "b0")], now=day(0))
        assert decision.evidence == ("drift in b0: open since b0; hour: later than ever",)

    def test_refuses_time_that_goes_backwards(self):
        """Decisions are made in order; the same moment twice is fine."""
        policy = Never()
        actions(policy, [1, 1])
        with pytest.raises(DataError, match="earlier than the last decision"):
            policy.decide(now=day(0.5))
        assert len(policy.decisions) == 2

    def test_zones_are_converted(self):
        """Decisions are in UTC whatever zone `now` is in, and naive times are UTC."""
        policy = Never()
        policy.decide(now=pd.Timestamp("2013-02-28 19:00", tz="America/New_York"))
        policy.decide(now=dt.datetime(2013, 3, 1))
        assert [d.at for d in policy.decisions] == [START, START]
        assert all(type(d.at) is dt.datetime for d in policy.decisions)

    def test_by_default_now_is_the_wall_clock(self):
        """Without `now` the decision is dated today, in UTC."""
        before = dt.datetime.now(dt.UTC)
        assert before <= Never().decide().at <= dt.datetime.now(dt.UTC)

    def test_a_failing_hook_records_nothing(self):
        """An error in a policy of one's own leaves the state as it was."""

        @frozen
        class Broken(RetrainPolicy):
            def _wants(self, context):
                raise RuntimeError("no")

        policy = Broken()
        with pytest.raises(RuntimeError):
            policy.decide(Watch("drift", "b0", "b0"), now=day(0))
        assert policy.state == PolicyState()

    def test_to_frame_has_every_decision(self):
        """To keep is a decision too."""
        policy = Every("1D")
        actions(policy, [0, 1, 1.5], version=version())
        frame = policy.to_frame()
        assert frame["action"].tolist() == ["keep", "retrain", "keep"]
        assert frame.columns.tolist() == ["at", "action", "reason", "version", "evidence"]
        assert frame["version"].tolist() == ["late:1"] * 3
        assert Never().to_frame().columns.tolist() == frame.columns.tolist()


class TestCombinations:
    def test_both_needs_both_at_once(self):
        """`&` fires at a decision where both sides ask, and the episode waits for it."""
        policy = OnAlarm() & Every("7D")
        assert policy.decide(Watch("drift", "b0", "b0"), now=day(0)).action == "keep"
        assert actions(policy, [6, 7, 14]) == ["keep", "retrain", "keep"]
        assert "drift alarm since b0" in policy.decisions[2].reason
        assert "7 days have passed" in policy.decisions[2].reason

    def test_a_part_keeps_its_own_cooldown_and_budget(self):
        """A part that is held leaves the other part free; when only held parts ask, the reason says why."""
        policy = OnAlarm().with_cooldown("10D") | MaxAge("90D")
        assert policy.decide(Watch("drift", "b0", "b0"), version=version(), now=day(0)).action == "retrain"
        held = policy.decide(Watch("drift", "b1", "b1"), version=version(), now=day(1))
        assert held.action == "keep"
        assert held.reason.startswith("cooldown until 2013-03-11; would have retrained because drift alarm since b1")
        assert policy.decide(version=version(trained_until=day(-100)), now=day(2)).action == "retrain"
        assert policy.decide(version=version(), now=day(13)).action == "retrain"

    def test_a_parts_budget_counts_the_retrains_of_all(self):
        """A part waits until enough retrains, whoever asked for them, have left its span."""
        policy = Every("1D").with_budget(1, per="30D") | OnAlarm()
        assert actions(policy, [0, 1]) == ["keep", "retrain"]
        assert policy.decide(Watch("drift", "b3", "b3"), now=day(3)).action == "retrain"
        assert policy.decide(now=day(5)).reason.startswith("budget of 1 per 30 days is used until 2013-04-03")
        assert actions(policy, [32, 33]) == ["keep", "retrain"]

    def test_a_combination_starts_with_an_empty_state(self):
        """Parts bring their configuration, not their past."""
        used = Every("1D")
        actions(used, [0, 1])
        for policy in (used | Never(), Never() & used, used.with_cooldown("3D"), used.with_budget(1, per="2D")):
            assert policy.state == PolicyState()
        combined = used | Never()
        actions(combined, [0, 1])
        assert len(combined.decisions) == len(used.decisions) == 2
        assert combined.left.decisions == ()

    def test_refuses_what_is_no_policy(self):
        """Only policies combine."""
        with pytest.raises(TypeError):
            Never() | "7D"
        with pytest.raises(TypeError):
            Never() & None
        with pytest.raises(ConfigurationError, match="expected a RetrainPolicy"):
            Either(Never(), "7D")

    @pytest.mark.parametrize(
        "options",
        [
            {"budget": 8},
            {"per": "30D"},
            {"budget": 0, "per": "30D"},
            {"budget": 1.5, "per": "1D"},
            {"budget": True, "per": "1D"},
        ],
    )
    def test_refuses_half_a_budget(self, options):
        """A budget is a whole number of retrains in a span."""
        with pytest.raises(ConfigurationError, match="budget="):
            Never(**options)


class TestSubclasses:
    def test_a_hook_is_all_it_takes(self):
        """A policy of one's own gets cooldown, budget, record and combination for nothing."""

        @frozen
        class Volume(RetrainPolicy):
            rows: int

            def _wants(self, context):
                seen = sum(report["rows"] for report in context.reports)
                return Wish(f"{seen} new rows") if seen >= self.rows else None

        policy = Volume(100).with_cooldown("2D") | Never()
        given = [policy.decide([{"rows": n}], now=day(i)).action for i, n in enumerate([50, 100, 200, 300])]
        assert given == ["keep", "retrain", "keep", "retrain"]
        with pytest.raises(FormatError, match="Volume"):
            policy.to_json()

    def test_the_base_is_abstract(self):
        """There is no policy without a hook."""
        with pytest.raises(TypeError, match="abstract"):
            RetrainPolicy()


class TestJson:
    def test_keeps_the_whole_tree(self):
        """Configuration and state of every part come back."""
        policy = ((OnAlarm(["drift"]) & Every("2D")).with_cooldown("1D") | MaxAge("90D") | Never()).with_budget(
            3, per="9D"
        )
        policy.decide(Watch("drift", "b0", "b0"), version=version(), now=day(0))
        policy.decide(Watch("drift", "b2", "b0"), version=version(), now=day(2))
        again = RetrainPolicy.from_json(policy.to_json())
        assert again == policy
        assert again.state == policy.state
        assert [d.action for d in again.decisions] == ["keep", "retrain"]
        assert again.to_json() == policy.to_json()

    def test_refuses_a_state_of_another_configuration(self):
        """Turning a dial in a stored policy is noticed."""
        policy = Never().with_budget(3, per="30D")
        policy.decide(now=day(0))
        text = policy.to_json().replace('"budget":3', '"budget":9')
        with pytest.raises(StateMismatch, match="another configuration"):
            RetrainPolicy.from_json(text)
        with pytest.raises(StateMismatch):
            Never(state=policy.state)
        assert Never(budget=3, per="30D", state=policy.state).decisions == policy.decisions

    def test_refuses_another_class(self):
        """A text that holds another policy than the one asked for is refused."""
        with pytest.raises(FormatError, match="expected a 'Every'"):
            Every.from_json(Never().to_json())


# --- algebra ---------------------------------------------------------------------------------------------------------

MONITORS = ["drift", "bias"]
WAITS = st.sampled_from([0.0, 0.5, 1.0, 1.0, 2.0])


@st.composite
def streams(draw):
    """A stream of decisions: (day, reports, failed validation), with episodes that open, last and close."""
    now, open_since, stream = 0.0, dict.fromkeys(MONITORS), []
    for i in range(draw(st.integers(1, 25))):
        now += draw(WAITS)
        reports = []
        for monitor in draw(st.lists(st.sampled_from(MONITORS), unique=True)):
            if draw(st.integers(0, 2)) == 0:
                open_since[monitor] = f"b{i}" if open_since[monitor] is None else None
            reports.append(Watch(monitor, f"b{i}", open_since[monitor]))
        if draw(st.integers(0, 4)) == 0:
            reports.append(Failed())
        stream.append((day(now), reports))
    return stream


@frozen
class Failed(Report):
    passed: bool = False
    failures: tuple[str, ...] = ("hour",)

    def to_frame(self):
        return pd.DataFrame()

    def __str__(self):
        return "hour failed"


LEAVES = st.one_of(
    st.builds(Never),
    st.builds(Every, st.sampled_from(["1D", "3D"])),
    st.builds(MaxAge, st.just("4D")),
    st.builds(OnAlarm, st.sampled_from([None, "drift", "bias"])),
)
POLICIES = st.recursive(
    LEAVES, lambda parts: st.builds(Either, parts, parts) | st.builds(Both, parts, parts), max_leaves=4
)


def replay(policy, stream):
    return [policy.decide(reports, version=version(), now=now) for now, reports in stream]


def retrains(policy, stream):
    return [d.at for d in replay(policy, stream) if d.action == "retrain"]


@given(st.lists(LEAVES, min_size=1, max_size=3), streams(), st.integers(1, 12), st.integers(1, 12))
def test_a_longer_cooldown_never_gives_more_retrains(leaves, stream, one, two):
    """The k-th retrain under the longer cooldown comes no earlier than under the shorter one (parts joined by `|`)."""
    policy = leaves[0]
    for leaf in leaves[1:]:
        policy = policy | leaf
    short, long = sorted([one, two])
    often = retrains(policy.with_cooldown(f"{12 * short}h"), stream)
    seldom = retrains(policy.with_cooldown(f"{12 * long}h"), stream)
    assert len(seldom) <= len(often) <= len(retrains(Either(policy, Never()), stream))
    assert all(a <= b for a, b in zip(often, seldom, strict=False))


@given(POLICIES, streams(), st.integers(1, 3), st.integers(1, 8), st.integers(0, 4))
def test_budget_and_cooldown_are_never_exceeded(policy, stream, budget, days, cooldown):
    """No half-open span of the budget's length, wherever it starts, holds more retrains; none follow too close."""
    policy = policy.with_budget(budget, per=f"{days}D")
    policy = policy.with_cooldown(f"{cooldown}D") if cooldown else policy
    fired = retrains(policy, stream)
    assert all(sum(at <= other < at + dt.timedelta(days=days) for other in fired) <= budget for at in fired)
    assert all(b - a >= dt.timedelta(days=cooldown) for a, b in pairwise(fired))


@given(POLICIES, streams())
def test_a_retrain_never_follows_a_failed_validation(policy, stream):
    """Every decision with a failed validation blocks, and no other does."""
    decisions = replay(policy, stream)
    failed = [any(isinstance(report, Failed) for report in reports) for _, reports in stream]
    assert [d.action == "block" for d in decisions] == failed


@given(POLICIES, streams(), st.booleans())
def test_never_is_neutral_for_either_and_final_for_both(policy, stream, held):
    """Never | p decides as p, word for word; Never & p never retrains."""
    policy = policy.with_cooldown("2D") if held else Either(policy, Never())
    expected = replay(RetrainPolicy.from_json(policy.to_json()), stream)
    assert replay(Never() | policy, stream) == expected
    assert replay(policy | Never(), stream) == expected
    assert retrains(Never() & policy, stream) == []


@given(POLICIES, POLICIES, streams())
def test_either_and_both_do_not_depend_on_the_order(left, right, stream):
    """p | q retrains when q | p does, and p & q when q & p does; p | p as p."""
    assert retrains(left | right, stream) == retrains(right | left, stream)
    assert retrains(left & right, stream) == retrains(right & left, stream)
    assert replay(left | left, stream) == replay(Either(left, Never()), stream)


@given(POLICIES, streams(), st.data())
def test_a_restart_in_the_middle_changes_nothing(policy, stream, data):
    """Written and read back anywhere in a stream, a policy gives the same decisions as one that ran through."""
    policy = policy.with_cooldown("36h").with_budget(2, per="5D")
    cut = data.draw(st.integers(0, len(stream)))
    whole = RetrainPolicy.from_json(policy.to_json())
    first = replay(policy, stream[:cut])
    rest = replay(RetrainPolicy.from_json(policy.to_json()), stream[cut:])
    assert first + rest == replay(whole, stream)


@settings(max_examples=200)
@given(streams(), st.integers(1, 6))
def test_every_episode_is_answered_or_closed_or_still_waiting(stream, cooldown):
    """At the end each episode that was reported was answered by a retrain, closed by its monitor, or is still open."""
    policy = OnAlarm().with_cooldown(f"{cooldown}D")
    decisions = replay(policy, stream)
    answered = " ".join(d.reason for d in decisions if d.action == "retrain")
    last = {report.monitor: report.since for _, reports in stream for report in reports if isinstance(report, Watch)}
    waiting = {e.key for e in policy.state.episodes if not e.answered}
    for monitor, since in last.items():
        if since is not None:
            assert (f"{monitor} alarm since {since} " in answered) != ((monitor, since) in waiting)
    assert {e.key for e in policy.state.episodes} == {(m, s) for m, s in last.items() if s is not None}


def test_an_age_needs_a_version_not_its_name():
    """The name of a version has no age; the error says what to pass."""
    for version in (None, "m@champion"):
        with pytest.raises(DataError, match=r"version=registry\.get"):
            MaxAge("90D").decide(version=version, now=day(0))
