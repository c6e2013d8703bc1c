"""The year of flights: the main job runs, tells the truth, and tells it again."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Run the example twice at once, each in a process of its own, and return what both printed."""
    pictures = [tmp_path_factory.mktemp("picture") / "year.png" for _ in range(2)]
    script = str(ROOT / "examples" / "keep_a_model_right.py")
    runs = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-W", "default:batches follow one another", script, str(picture)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for picture in pictures
    ]
    told = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told[0][1][-3000:]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    return [out for out, _ in told]


@pytest.fixture(scope="module")
def told(both):
    return both[0]


def events(told, kind):
    return re.findall(rf"^(2013-\d\d-\d\d)  {kind}\s+(.*)$", told, re.M)


def test_the_page_to_copy_is_short():
    """The wiring fits in 120 lines."""
    assert len((ROOT / "examples" / "keep_a_model_right.py").read_text().splitlines()) <= 120


def test_the_silent_fault_is_named_on_its_first_day(told):
    """Validation names the column on 5 August, and on every day until the 14th."""
    failed = dict(events(told, "validation"))
    assert {f"2013-08-{day:02d}" for day in range(5, 15)} <= failed.keys()
    assert all("sched_hour" in failed[f"2013-08-{day:02d}"] for day in range(5, 15))


def test_good_rows_are_not_quarantined(told):
    """New destinations and summer temperatures quarantine nothing: few days fail besides the fault's ten."""
    outside = [day for day, _ in events(told, "validation") if not "2013-08-05" <= day <= "2013-08-14"]
    assert len(outside) <= 2


def test_the_policy_refuses_to_train_on_broken_days(told):
    """While the fault lasts every decision is a block, and no model is promoted."""
    blocked = [day for day, _ in events(told, "block")]
    assert {f"2013-08-{day:02d}" for day in range(5, 15)} <= set(blocked)
    assert not [day for day, _ in events(told, "promoted") if "2013-08-05" <= day <= "2013-08-16"]


def test_the_year_is_quiet_enough_to_believe(told):
    """Most days pass without an alarm, and drift opens few episodes."""
    quiet, days = map(int, re.search(r"^(\d+) of (\d+) days passed without", told, re.M).groups())
    assert days == 306
    assert quiet >= 275
    assert 1 <= len(events(told, "drift alarm")) <= 15


def test_the_live_model_beats_the_one_that_was_never_retrained(told):
    """Over the year the live model's log-loss is the smaller one."""
    total = re.search(r"^total .*?([\d.]+)\s+([\d.]+)$", told, re.M)
    live, never = map(float, total.groups())
    assert live < never


def test_the_cost_of_the_fault_is_said(told):
    """With the fault unnoticed the loss of its days is larger, and the number of wrong calls is given."""
    clean, faulty = map(float, re.search(r"log-loss ([\d.]+) with local hours, ([\d.]+) with UTC", told).groups())
    assert faulty > clean
    assert re.search(r"wrong calls \d+ .* \d+", told)


def test_the_same_seed_tells_the_same_year(both):
    """Two runs print the same lines, the digests of ten registered models included."""
    assert len(re.findall(r"registered late-flights:\d+ [0-9a-f]{12}$", both[0], re.M)) >= 5
    assert both[0] == both[1]


def test_bias_by_airport_is_told(told):
    """For each airport the year's mean gap to the others is printed."""
    assert all(re.search(rf"{airport}\s+selection_rate\s+-?\d", told) for airport in ("EWR", "JFK", "LGA"))
