"""Rows that arrive one at a time come out in batches: each once, whole, and the same however they were cut."""

import datetime as dt
import math
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import mlopskit as mk
from mlopskit.errors import ConfigurationError, DataError, DuplicateBatch

ENGINES = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "record batch": lambda frame: pa.RecordBatch.from_pandas(frame, preserve_index=False),
    "columns": lambda frame: {name: frame[name].to_numpy() for name in frame},
    "numpy records": lambda frame: frame.to_records(index=False),
}


def cut(frame, at):
    """The frame in pieces, cut at these positions; a cut may come twice, which makes a piece without rows."""
    edges = [0, *sorted(min(position, len(frame)) for position in at), len(frame)]
    return [frame.iloc[start:stop] for start, stop in pairwise(edges)]


def fed(batcher, parts):
    """All batches that the parts complete."""
    return [batch for part in parts for batch in batcher.add(part)]


def records(frame):
    return frame.to_dict("records")


def ids(batches):
    return [batch.batch_id for batch in batches]


def rows(batches, name="row"):
    return [(batch.batch_id, batch.frame[name].tolist()) for batch in batches]


def same(ours, others, **options):
    """Whether batches have the same ids and the same frames."""
    assert ids(ours) == ids(others)
    for one, other in zip(ours, others, strict=True):
        assert_frame_equal(one.frame, other.frame, **options)


def at(*texts, zone=None):
    """Numbered rows of these times."""
    return pd.DataFrame(
        {"row": range(len(texts)), "at": pd.to_datetime(list(texts), format="ISO8601").tz_localize(zone)}
    )


CUTS = st.lists(st.integers(0, 40), max_size=8)


class TestByRows:
    @given(n=st.integers(0, 40), size=st.integers(1, 12), cuts=CUTS)
    def test_batches_have_n_rows_however_the_rows_were_cut(self, n, size, cuts):
        """Every batch has exactly n rows in their order; what is left waits until `flush`: no row is lost."""
        frame = pd.DataFrame({"row": np.arange(n), "name": [f"r{i}" for i in range(n)]})
        batcher = mk.Batcher(rows=size)
        done = fed(batcher, cut(frame, cuts))
        assert ids(done) == [str(i + 1) for i in range(n // size)]
        assert all(len(batch.frame) == size for batch in done)
        assert batcher.n_waiting == n % size
        everything = done + batcher.flush()
        assert [row for _, batch in rows(everything) for row in batch] == list(range(n))
        assert batcher.n_waiting == batcher.n_late == 0
        for batch in everything:
            first = (int(batch.batch_id) - 1) * size
            assert_frame_equal(batch.frame, frame.iloc[first : first + size].reset_index(drop=True))

    @pytest.mark.parametrize("engine", ENGINES)
    @given(cuts=CUTS)
    def test_every_engine_gives_the_same_batches_however_cut(self, engine, cuts):
        """Frames of each engine come out as its whole frame does in one call."""
        frame = pd.DataFrame({"row": np.arange(30), "x": np.arange(30) / 7, "ok": np.arange(30) % 3 == 0})
        convert = ENGINES[engine]
        parts = fed(mk.Batcher(rows=8), [convert(part) for part in cut(frame, cuts)])
        same(parts, mk.Batcher(rows=8).add(convert(frame)))
        same(parts, mk.Batcher(rows=8).add(frame))

    @pytest.mark.parametrize("engine", ["polars", "arrow"])
    @given(cuts=CUTS)
    def test_nulls_of_engines_do_not_depend_on_the_cuts(self, engine, cuts):
        """Integers with nulls become what the whole batch needs, not what a piece of it needed."""
        values = [None if i % 9 == 4 else i for i in range(30)]
        frame = pd.DataFrame({"row": pd.array(values, dtype="Int64"), "big": pd.array(values, dtype="Int64") + 2**60})
        convert = ENGINES[engine]
        parts = fed(mk.Batcher(rows=4), [convert(part) for part in cut(frame, cuts)])
        same(parts, mk.Batcher(rows=4).add(convert(frame)))
        found = [value for batch in parts for value in batch.frame["big"]]
        assert [None if pd.isna(v) else int(v) for v in found] == [
            None if v is None else v + 2**60 for v in values[:28]
        ]

    def test_one_row_at_a_time(self):
        """Mappings of single values are rows; types are found over the batch."""
        batcher = mk.Batcher(rows=3)
        given = [{"n": 1, "x": 1, "name": "a"}, {"x": 2.5, "n": 2, "name": None}, {"n": 3, "name": "c", "x": 3}]
        (batch,) = fed(batcher, given)
        assert batch.frame["n"].tolist() == [1, 2, 3]
        assert batch.frame["n"].dtype == np.int64
        assert batch.frame["x"].tolist() == [1.0, 2.5, 3.0]
        assert batch.frame["name"].tolist()[::2] == ["a", "c"]
        assert batch.frame["name"].isna().tolist() == [False, True, False]
        assert list(batch.frame) == ["n", "x", "name"]

    def test_a_row_without_a_number_leaves_a_column_of_numbers(self):
        """None among numbers of single rows is missing, as it is in a frame."""
        (batch,) = fed(mk.Batcher(rows=3), [{"x": None}, {"x": 1.5}, {"x": 2}])
        assert_frame_equal(batch.frame, pd.DataFrame({"x": [None, 1.5, 2]}, dtype="float64"))

    def test_rows_and_frames_may_take_turns(self):
        """A row after a frame, and a frame after rows, keep their order."""
        batcher = mk.Batcher(rows=6)
        two = pd.DataFrame({"row": [1, 2]})
        done = fed(batcher, [{"row": 0}, two, {"row": 3}, {"row": 4}, pl.DataFrame({"row": [5, 6]})])
        assert rows(done) == [("1", [0, 1, 2, 3, 4, 5])]
        assert rows(batcher.flush()) == [("2", [6])]

    def test_an_iterator_of_frames_is_read_to_its_end(self):
        """Sources of several pieces, such as readers of files, are taken in whole."""
        parts = (pl.DataFrame({"row": [i, i + 1]}) for i in (0, 2, 4))
        assert rows(mk.Batcher(rows=3).add(parts)) == [("1", [0, 1, 2]), ("2", [3, 4, 5])]

    def test_numbers_go_on_after_a_flush(self):
        """An incomplete batch has its number; the next batch is whole and has the next number."""
        batcher = mk.Batcher(rows=3)
        assert fed(batcher, [{"row": 0}, {"row": 1}]) == []
        assert rows(batcher.flush()) == [("1", [0, 1])]
        assert batcher.flush() == []
        assert rows(batcher.add({"row": [2, 3, 4, 5]})) == [("2", [2, 3, 4])]

    @given(n=st.integers(1, 40), size=st.integers(1, 9), crash=st.integers(0, 40))
    def test_rows_sent_again_after_a_crash_give_the_same_batches(self, n, size, crash):
        """A new batcher that starts at the first row not taken in, with `first`, goes on as the old one would have."""
        frame = pd.DataFrame({"row": range(n)})
        whole = mk.Batcher(rows=size).add(frame)
        before = mk.Batcher(rows=size).add(frame.iloc[:crash])
        again = mk.Batcher(rows=size, first=len(before) + 1).add(frame.iloc[len(before) * size :])
        same(before + again, whole)


class TestColumns:
    def test_columns_come_in_any_order(self):
        """The order of the first rows is kept."""
        batcher = mk.Batcher(rows=3)
        batcher.add({"a": 1, "b": 2})
        batcher.add(pl.DataFrame({"b": [4], "a": [3]}))
        (batch,) = batcher.add(pd.DataFrame({"b": [6], "a": [5]}))
        assert_frame_equal(batch.frame, pd.DataFrame({"a": [1, 3, 5], "b": [2, 4, 6]}))

    @pytest.mark.parametrize(
        "other", [{"a": 1, "c": 2}, pd.DataFrame({"a": [1], "c": [2]}), pl.DataFrame({"a": 1, "c": 2})]
    )
    def test_missing_and_new_columns_are_named_and_nothing_is_taken_in(self, other):
        """The message names both; the rows that wait are as they were."""
        batcher = mk.Batcher(rows=2)
        batcher.add({"a": 0, "b": 0})
        with pytest.raises(DataError, match=r"missing column\(s\) \['b'\], new column\(s\) \['c'\].*\['a', 'b'\]"):
            batcher.add(other)
        assert batcher.n_waiting == 1
        assert rows(batcher.add({"a": 1, "b": 1}), "a") == [("1", [0, 1])]

    def test_columns_that_stand_twice_are_refused(self):
        """One name means one column, in frames and in rows."""
        with pytest.raises(DataError, match=r"duplicate column name\(s\) \['a'\]"):
            mk.Batcher(rows=2).add(pd.DataFrame([[1, 2]], columns=["a", "a"]))
        with pytest.raises(DataError, match="duplicate column"):
            mk.Batcher(rows=2).add({1: 5, "1": 6})

    def test_a_refused_first_frame_decides_nothing(self):
        """Columns are those of the first rows that were taken in."""
        batcher = mk.Batcher(period="1D", time="at")
        with pytest.raises(DataError, match="have no 'at'"):
            batcher.add({"at": [None], "wrong": [1]})
        batcher.add(at("2024-05-01"))
        assert batcher.n_waiting == 1

    def test_rows_and_columns_in_one_mapping_are_refused(self):
        """A mapping is a row or a dict of columns; the message names the lists."""
        with pytest.raises(DataError, match=r"lists in \['b'\] alone"):
            mk.Batcher(rows=2).add({"a": 1, "b": [1, 2]})

    @pytest.mark.parametrize("thing", [5, "row", [{"a": 1}], None])
    def test_other_things_are_refused(self, thing):
        """What is no frame and no row raises DataError."""
        with pytest.raises(DataError, match="expected"):
            mk.Batcher(rows=2).add(thing)

    def test_labels_of_the_first_frame_are_kept(self):
        """Columns are the same when their names are the same text, and get the labels that came first."""
        batcher = mk.Batcher(rows=2)
        batcher.add(pd.DataFrame([[1, 2]], columns=[0, 1]))
        (batch,) = batcher.add(pd.DataFrame([[4, 3]], columns=["1", "0"]))
        assert_frame_equal(batch.frame, pd.DataFrame([[1, 2], [3, 4]], columns=[0, 1]))

    @pytest.mark.parametrize("empty", [{}, pd.DataFrame(), pd.DataFrame({"other": []}), pl.DataFrame(), {"a": []}])
    def test_frames_without_rows_are_ignored(self, empty):
        """A poll that found nothing changes nothing, before the first rows and after."""
        batcher = mk.Batcher(rows=2)
        assert batcher.add(empty) == []
        batcher.add({"a": 1})
        assert batcher.add(empty) == []
        assert rows(batcher.add({"a": 2}), "a") == [("1", [1, 2])]
        assert mk.Batcher(period="1D", time="at").add(empty) == []

    def test_without_rows_there_is_nothing_to_hand_out(self):
        """A batcher that saw nothing flushes nothing and has no late rows."""
        batcher = mk.Batcher(period="1D", time="at")
        assert batcher.flush() == []
        assert len(batcher.take_late()) == batcher.n_late == batcher.n_waiting == 0


class TestTypes:
    @pytest.mark.parametrize(
        "values",
        [
            pd.array([1, None, 3, 4], dtype="Int64"),
            pd.array([1, 2, 3, 4], dtype="int8"),
            pd.array([1.5, None, 3, 4], dtype="Float32"),
            pd.array([True, None, False, True], dtype="boolean"),
            pd.array(["a", None, "b", "c"], dtype="string"),
            pd.array([1, None, 3, 4], dtype=pd.ArrowDtype(pa.int32())),
            pd.array(["a", None, "b", "c"], dtype=pd.ArrowDtype(pa.string())),
            pd.Categorical(["a", None, "b", "a"], categories=["c", "b", "a"], ordered=True),
            pd.to_datetime(["2024-01-01", None, "2024-01-03", "2024-01-04"]).tz_localize("Asia/Kolkata"),
            pd.to_timedelta(["1h", None, "2h", "3h"]),
            pd.interval_range(0, 4),
            np.array([b"a", None, {"x": 1}, [2]], dtype=object),
        ],
        ids=lambda values: str(values.dtype),
    )
    def test_types_are_kept(self, values):
        """A column of pandas comes out with its type, from one frame and from many."""
        frame = pd.DataFrame({"x": values})
        for parts in ([frame], cut(frame, [1, 2, 3])):
            (batch,) = fed(mk.Batcher(rows=4), parts)
            assert_frame_equal(batch.frame, frame)

    def test_integers_and_then_floats_are_floats(self):
        """A batch has one type for each column; the next batch is as its own rows are."""
        batcher = mk.Batcher(rows=2)
        parts = [pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [2.5, 3.5, 4.5]}), pd.DataFrame({"x": [5, 6]})]
        done = fed(batcher, parts)
        assert rows(done, "x") == [("1", [1.0, 2.5]), ("2", [3.5, 4.5]), ("3", [5, 6])]
        assert [batch.frame["x"].dtype for batch in done] == [np.float64, np.float64, np.int64]

    @pytest.mark.parametrize(
        "others",
        [
            pd.DataFrame({"x": [0.5]}),
            pd.DataFrame({"x": np.array([1], dtype="uint64")}),
            pl.DataFrame({"x": [0.5]}),
            {"x": 0.5},
            {"x": None},
        ],
    )
    @pytest.mark.parametrize(
        "big", [pd.DataFrame({"x": [2**60 + 1]}), pl.DataFrame({"x": [2**60 + 1]}), {"x": 2**60 + 1}]
    )
    def test_integers_that_floats_would_round_stay_exact(self, big, others):
        """Large ids keep their digits beside any other numbers."""
        (batch,) = fed(mk.Batcher(rows=2), [big, others])
        assert int(batch.frame["x"].iloc[0]) == 2**60 + 1
        (batch,) = fed(mk.Batcher(rows=2), [others, big])
        assert int(batch.frame["x"].iloc[1]) == 2**60 + 1

    def test_categories_are_united(self):
        """Levels of all pieces are kept, and categories stay categories."""
        parts = [pd.DataFrame({"x": pd.Categorical([level])}) for level in "ab"]
        (batch,) = fed(mk.Batcher(rows=2), parts)
        assert batch.frame["x"].tolist() == ["a", "b"]
        assert list(batch.frame["x"].cat.categories) == ["a", "b"]

    def test_mixed_types_keep_their_values(self):
        """Text after numbers, and nulls after booleans, are held as they are."""
        parts = [pd.DataFrame({"x": [1], "y": [True]}), pd.DataFrame({"x": ["a"], "y": [None]})]
        (batch,) = fed(mk.Batcher(rows=2), parts)
        assert batch.frame["x"].tolist() == [1, "a"]
        assert batch.frame["y"].tolist() == [True, None]

    def test_what_waits_is_a_copy(self):
        """A buffer that the caller fills again does not change the rows that wait."""
        values = np.array([1.0, 2.0])
        batcher = mk.Batcher(rows=5)
        for frame in ({"x": values}, pd.DataFrame({"x": values}, copy=False)):
            batcher.add(frame)
        values[:] = 0
        assert batcher.flush()[0].frame["x"].tolist() == [1, 2, 1, 2]

    def test_a_batch_prints_its_size(self):
        """A list of batches in a notebook stays readable."""
        (batch,) = mk.Batcher(rows=2).add({"x": [1, 2]})
        assert repr(batch) == "Batch(batch_id='1', frame=<2 rows>)"
        assert repr(mk.Batcher(rows=2)).startswith("Batcher(rows=2, ")


def oracle(times, period_of, lateness):
    """Row by row in plain Python: which rows are in which period's batch, which are late, which wait at the end.

    `period_of` gives the name, and the moment at which the period ends.
    """
    done, late, waiting, newest = [], [], {}, None
    for row, time in enumerate(times):
        name, end = period_of(time)
        if newest is not None and end + lateness <= newest:
            late.append(row)
            continue
        waiting.setdefault((end, name), []).append(row)
        newest = time if newest is None else max(newest, time)
        for key in sorted(key for key in waiting if key[0] + lateness <= newest):
            done.append((key[1], waiting.pop(key)))
    return done, late, [(name, waiting[end, name]) for end, name in sorted(waiting)]


def day_of(time):
    start = time.replace(hour=0, minute=0, second=0, microsecond=0)
    return start.date().isoformat(), start + dt.timedelta(days=1)


def hours_of(hours):
    def period_of(time):
        start = time.replace(hour=time.hour // hours * hours, minute=0, second=0, microsecond=0)
        return start.isoformat(), start + dt.timedelta(hours=hours)

    return period_of


def month_of(time):
    start = time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return start.date().isoformat(), (start + dt.timedelta(days=31)).replace(day=1)


def week_of(time):
    start = day_of(time)[1] - dt.timedelta(days=1 + time.weekday())
    return start.date().isoformat(), start + dt.timedelta(days=7)


PERIODS = {"1D": day_of, "1h": hours_of(1), "6h": hours_of(6), "1MS": month_of, "1W": week_of, "7D": week_of}
HOUR = dt.timedelta(hours=1)


@st.composite
def arrivals(draw):
    """Times that mostly rise, with steps back, from microseconds to days."""
    steps = draw(st.lists(st.integers(-30, 60), max_size=25))
    unit = draw(st.sampled_from([dt.timedelta(microseconds=1), dt.timedelta(minutes=7), HOUR, 9 * HOUR]))
    start = draw(st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2050, 1, 1)))
    return [start + unit * int(total) for total in np.cumsum([0, *steps])]


class TestByPeriod:
    @given(
        times=arrivals(),
        period=st.sampled_from(sorted(PERIODS)),
        hours=st.sampled_from([0, 1, 5, 40]),
        cuts=CUTS,
        one_by_one=st.booleans(),
    )
    def test_each_row_comes_out_once_where_it_belongs(self, times, period, hours, cuts, one_by_one):
        """In a batch, late or flushed, as row-by-row Python has it, however the rows were cut."""
        frame = pd.DataFrame({"row": range(len(times)), "at": times})
        batcher = mk.Batcher(period=period, time="at", lateness=HOUR * hours)
        parts = records(frame) if one_by_one else cut(frame, cuts)
        done, late, waiting = oracle(times, PERIODS[period], HOUR * hours)
        assert rows(fed(batcher, parts)) == done
        assert batcher.n_late == len(late)
        assert batcher.n_waiting == sum(len(found) for _, found in waiting)
        assert batcher.take_late()["row"].tolist() == late
        assert rows(batcher.flush()) == waiting
        together = [row for _, found in done + waiting for row in found] + late
        assert sorted(together) == list(range(len(times)))

    def test_a_period_is_complete_once_a_time_is_lateness_past_its_end(self):
        """Not a microsecond before."""
        batcher = mk.Batcher(period="1D", time="at", lateness="2h")
        assert fed(batcher, [at("2024-05-01 12:00"), at("2024-05-02 01:59:59.999999")]) == []
        assert ids(batcher.add(at("2024-05-02 02:00"))) == ["2024-05-01"]
        assert batcher.n_waiting == 2

    def test_a_row_completes_periods_but_never_its_own(self):
        """The first row of the next day ends the day before; many days in one frame come out in order."""
        batcher = mk.Batcher(period="1D", time="at")
        done = batcher.add(at("2024-05-01", "2024-05-02", "2024-05-02 08:00", "2024-05-05", "2024-05-09"))
        assert rows(done) == [("2024-05-01", [0]), ("2024-05-02", [1, 2]), ("2024-05-05", [3])]
        assert rows(batcher.flush()) == [("2024-05-09", [4])]

    def test_late_rows_are_counted_and_handed_back_once(self):
        """They are in no batch; taking them leaves the count."""
        batcher = mk.Batcher(period="1D", time="at")
        done = batcher.add(at("2024-05-02", "2024-05-01 23:59", "2024-05-02 01:00", "2024-04-01"))
        assert done == []
        assert batcher.n_late == 2
        late = batcher.take_late()
        assert_frame_equal(
            late,
            at("2024-05-02", "2024-05-01 23:59", "2024-05-02 01:00", "2024-04-01").iloc[[1, 3]].reset_index(drop=True),
        )
        assert len(batcher.take_late()) == 0
        assert list(batcher.take_late()) == ["row", "at"]
        batcher.add(at("2024-05-01"))
        assert batcher.n_late == 3
        assert rows(batcher.flush()) == [("2024-05-02", [0, 2])]

    def test_one_late_row_after_another(self):
        """Also where the newest time is exactly the end of their period, in a frame and row by row."""
        frame = at("2024-05-01", "2024-05-02 02:00", "2024-05-01 08:00", "2024-05-01 09:00", "2024-05-02 01:00")
        for parts in ([frame], records(frame)):
            batcher = mk.Batcher(period="1D", time="at", lateness="2h")
            assert rows(fed(batcher, parts)) == [("2024-05-01", [0])]
            assert batcher.take_late()["row"].tolist() == [2, 3]
            assert rows(batcher.flush()) == [("2024-05-02", [1, 4])]

    def test_a_flushed_period_is_closed(self):
        """Its further rows are late, and so are those of periods before it; the next period is open."""
        batcher = mk.Batcher(period="1D", time="at", lateness="3D")
        batcher.add(at("2024-05-01", "2024-05-02"))
        assert ids(batcher.flush()) == ["2024-05-01", "2024-05-02"]
        assert batcher.add(at("2024-05-02 08:00", "2024-04-30 08:00", "2024-05-03")) == []
        assert batcher.take_late()["row"].tolist() == [0, 1]
        assert rows(batcher.flush()) == [("2024-05-03", [2])]

    def test_a_single_row_may_complete_several_periods(self):
        """Where lateness held several periods open, they come out in their order, from a row as from a frame."""
        frame = at("2024-05-02 00:10", "2024-05-01 23:50", "2024-05-03 00:10", "2024-05-09")
        for parts in ([frame], records(frame)):
            done = fed(mk.Batcher(period="1D", time="at", lateness="5D"), parts)
            assert rows(done) == [("2024-05-01", [1]), ("2024-05-02", [0]), ("2024-05-03", [2])]

    def test_rows_sent_again_after_a_crash_are_refused_by_id(self):
        """Where they go back too far, a monitor refuses the batches that it has seen, and takes the rest."""
        rng = np.random.default_rng(0)
        hours = pd.date_range("2024-05-01", periods=24 * 12, freq="h")
        trips = pd.DataFrame({"started": hours, "fare": rng.normal(30, 5, len(hours))})
        reference = [pd.DataFrame({"fare": rng.normal(30, 5, 24)}) for _ in range(12)]
        drift = mk.DriftDetector(features=["fare"]).fit(reference)
        for batch in mk.Batcher(period="1D", time="started").add(trips.iloc[:100]):
            drift.update(batch.frame, batch.batch_id)
        again = mk.Batcher(period="1D", time="started").add(trips.iloc[72:])
        with pytest.raises(DuplicateBatch, match="2024-05-04"):
            drift.update(again[0].frame, again[0].batch_id)
        assert drift.update(again[1].frame, again[1].batch_id).batch_id == "2024-05-05"
        assert len(again[1].frame) == 24

    @pytest.mark.parametrize(
        ("period", "starts"),
        [
            ("1D", ["2024-02-28", "2024-02-29", "2024-03-01"]),
            ("24h", ["2024-02-28", "2024-02-29", "2024-03-01"]),
            (dt.timedelta(days=1), ["2024-02-28", "2024-02-29", "2024-03-01"]),
            (dt.timedelta(hours=12), ["2024-02-28T12:00:00", "2024-02-29T00:00:00", "2024-03-01T00:00:00"]),
            ("1W", ["2024-02-26"]),
            ("W-SAT", ["2024-02-25"]),
            (pd.offsets.Week(), ["2024-02-26"]),
            (dt.timedelta(weeks=1), ["2024-02-26"]),
            ("2W", ["2024-02-26"]),
            ("14D", ["2024-02-26"]),
            ("MS", ["2024-02-01", "2024-03-01"]),
            ("ME", ["2024-02-01", "2024-03-01"]),
            ("3MS", ["2024-01-01"]),
            ("12MS", ["2024-01-01"]),
            ("15min", ["2024-02-28T23:45:00", "2024-02-29T00:00:00", "2024-03-01T00:00:00"]),
            ("1s", ["2024-02-28T23:59:59", "2024-02-29T00:00:00", "2024-03-01T00:00:00"]),
        ],
    )
    def test_periods_start_where_calendars_have_it(self, period, starts):
        """Days, weeks from Monday, months and parts of a day are named by their start."""
        batcher = mk.Batcher(period=period, time="at")
        done = batcher.add(at("2024-02-28 23:59:59", "2024-02-29 00:00:00", "2024-03-01"))
        assert ids(done + batcher.flush()) == starts

    def test_dates_are_times(self):
        """A column of dates goes by days, as objects and as engines have them."""
        days = [dt.date(2024, 5, 1), dt.date(2024, 5, 1), dt.date(2024, 5, 2)]
        for frame in (pd.DataFrame({"at": days}), pl.DataFrame({"at": days}), {"at": days}):
            assert ids(mk.Batcher(period="1D", time="at").add(frame)) == ["2024-05-01"]
        assert ids(fed(mk.Batcher(period="1D", time="at"), [{"at": day} for day in days])) == ["2024-05-01"]

    @pytest.mark.parametrize("engine", ENGINES)
    def test_every_engine_gives_the_same_periods(self, engine):
        """Times of each engine, in units from seconds to nanoseconds, end up in the same batches."""
        frame = at("2024-05-01 10:00", "2024-05-02 12:00", "2024-05-01 11:00", "2024-05-03 13:00")
        for unit in ("ms", "us", "ns"):
            read = frame.assign(at=frame["at"].dt.as_unit(unit))
            done = mk.Batcher(period="1D", time="at", lateness="1D").add(ENGINES[engine](read))
            assert rows(done) == [("2024-05-01", [0, 2])]

    def test_nanoseconds_belong_to_the_period_before_the_boundary(self):
        """A nanosecond before midnight, also before 1970, is the day before."""
        for day, before in (("1969-12-31", "1969-12-30"), ("2024-05-02", "2024-05-01")):
            time = pd.Timestamp(day).as_unit("ns") - pd.Timedelta(1, "ns")
            for rows_ in ({"at": time}, pd.DataFrame({"at": [time]})):
                batcher = mk.Batcher(period="1D", time="at")
                batcher.add(rows_)
                assert ids(batcher.flush()) == [before]


ZONES = {
    "Europe/Oslo": ["2024-03-31", "2024-10-27"],
    "America/Havana": ["2024-03-10", "2024-11-03"],  # midnight is skipped, and comes twice
    "America/Sao_Paulo": ["2018-11-04", "2018-02-18"],  # midnight is skipped, and 23:00 comes twice
    "America/St_Johns": ["2008-03-09", "2008-11-02"],  # clocks change a minute after midnight
    "Australia/Lord_Howe": ["2024-10-06", "2024-04-07"],  # by half an hour
    "Europe/Dublin": ["2024-03-31", "2024-10-27"],  # winter is the one with a negative offset
    "Pacific/Apia": ["2011-12-31"],  # a day that was skipped
    "Asia/Kolkata": ["2024-05-01"],
    "UTC": ["2024-05-01"],
    "UTC+02:00": ["2024-05-01"],
}


class TestZones:
    @pytest.mark.parametrize("zone", ZONES)
    def test_days_are_those_of_the_zone(self, zone):
        """Each row is in the batch of the date that its clock shows, in frames and row by row."""
        for day in ZONES[zone]:
            middle = pd.Timestamp(day, tz="UTC")
            times = pd.date_range(middle - pd.Timedelta("24h"), middle + pd.Timedelta("36h"), freq="6min")
            frame = pd.DataFrame({"row": range(len(times)), "at": times.tz_convert(zone)})
            expected = frame.groupby(frame["at"].dt.strftime("%Y-%m-%d"))["row"].agg(list)
            for parts in ([frame], records(frame), cut(frame, range(0, len(frame), 7))):
                batcher = mk.Batcher(period="1D", time="at")
                done = fed(batcher, parts) + batcher.flush()
                assert rows(done) == list(expected.items())
                assert batcher.n_late == 0

    @pytest.mark.parametrize("zone", ZONES)
    @pytest.mark.parametrize("period", ["15min", "1h", "6h"])
    def test_parts_of_a_day_are_spans_of_time_that_passes(self, zone, period):
        """None is longer than its period, they follow one another, and each is named by its own start."""
        for day in ZONES[zone]:
            middle = pd.Timestamp(day, tz="UTC")
            times = pd.date_range(middle - pd.Timedelta("24h"), middle + pd.Timedelta("36h"), freq="6min")
            frame = pd.DataFrame({"row": range(len(times)), "at": times.tz_convert(zone)})
            batcher = mk.Batcher(period=period, time="at")
            done = batcher.add(frame) + batcher.flush()
            assert [row for _, found in rows(done) for row in found] == list(range(len(frame)))
            assert len(set(ids(done))) == len(done)
            first_of_day = frame.groupby(frame["at"].dt.strftime("%Y-%m-%d"))["at"].first().iloc[1:]
            assert {moment.isoformat() for moment in first_of_day} <= set(ids(done))
            for batch in done:
                passed = batch.frame["at"] - pd.Timestamp(batch.batch_id)
                assert passed.min() >= pd.Timedelta(0)
                assert passed.max() < pd.Timedelta(period)
            one_by_one = mk.Batcher(period=period, time="at")
            same(fed(one_by_one, records(frame)) + one_by_one.flush(), done, check_dtype=False)
            assert batcher.n_late == one_by_one.n_late == 0

    def test_days_with_a_change_of_clocks_have_23_and_25_hours(self):
        """A day is complete at the midnight that follows, not after 24 hours."""
        for midnight, hours in (("2024-03-31", 23), ("2024-10-27", 25)):
            start = pd.Timestamp(midnight, tz="Europe/Oslo").tz_convert("UTC")
            batcher = mk.Batcher(period="1D", time="at")
            for passed in (0, hours - 1):
                assert batcher.add({"at": (start + passed * HOUR).tz_convert("Europe/Oslo")}) == []
            done = batcher.add({"at": (start + hours * HOUR).tz_convert("Europe/Oslo")})
            assert [(batch.batch_id, len(batch.frame)) for batch in done] == [(midnight, 2)]

    def test_midnight_cuts_short_the_last_part_of_a_day(self):
        """A day of 25 hours has a fifth part of 6 hours, which is complete at midnight; the next day starts anew."""
        midnight = pd.Timestamp("2024-10-27", tz="Europe/Oslo").tz_convert("UTC")
        times = pd.Series([(midnight + hours * HOUR).tz_convert("Europe/Oslo") for hours in (0, 6, 12, 18, 24, 25)])
        batcher = mk.Batcher(period="6h", time="at")
        assert ids(batcher.add({"at": times})) == [
            "2024-10-27T00:00:00+02:00",
            "2024-10-27T05:00:00+01:00",
            "2024-10-27T11:00:00+01:00",
            "2024-10-27T17:00:00+01:00",
            "2024-10-27T23:00:00+01:00",
        ]
        assert ids(batcher.flush()) == ["2024-10-28T00:00:00+01:00"]

    def test_the_hour_that_comes_twice_is_two_periods(self):
        """Their names differ by the offset."""
        times = pd.to_datetime(["2024-10-27 00:30", "2024-10-27 01:30", "2024-10-27 02:30"]).tz_localize("UTC")
        batcher = mk.Batcher(period="1h", time="at")
        done = batcher.add({"at": pd.Series(times.tz_convert("Europe/Oslo"))})
        assert ids(done) == ["2024-10-27T02:00:00+02:00", "2024-10-27T02:00:00+01:00"]

    def test_standard_datetimes_keep_their_zone(self):
        """Rows with datetimes of the standard library, on both sides of a change of clocks, fold included."""
        oslo = ZoneInfo("Europe/Oslo")
        times = [dt.datetime(2024, 10, 27, 2, 30, tzinfo=oslo, fold=fold) for fold in (0, 1)]
        batcher = mk.Batcher(period="1h", time="at")
        done = fed(batcher, [{"at": time} for time in times]) + batcher.flush()
        assert ids(done) == ["2024-10-27T02:00:00+02:00", "2024-10-27T02:00:00+01:00"]
        assert str(done[0].frame["at"].dt.tz) == "Europe/Oslo"

    @pytest.mark.parametrize("one_by_one", [False, True])
    @pytest.mark.parametrize(
        ("zone", "other"), [("Europe/Oslo", "UTC"), (None, "UTC"), ("UTC", None), ("UTC", "Asia/Tokyo")]
    )
    def test_another_zone_is_refused(self, zone, other, one_by_one):
        """The calendar would change under the batches; the message names both zones, and nothing is taken in."""
        batcher = mk.Batcher(period="1D", time="at")
        batcher.add(at("2024-05-01 12:00", zone=zone))
        other_rows = at("2024-05-01 13:00", zone=other)
        with pytest.raises(DataError, match=f"{zone}.*{other}"):
            fed(batcher, records(other_rows) if one_by_one else [other_rows])
        assert batcher.n_waiting == 1


class TestTimesThatCannotBeUsed:
    @pytest.mark.parametrize("engine", ENGINES)
    def test_rows_without_a_time_are_refused_and_counted(self, engine):
        """The message says how many; nothing of the frame is taken in."""
        batcher = mk.Batcher(period="1D", time="at")
        batcher.add(at("2024-05-01"))
        with pytest.raises(DataError, match="2 of 3 rows have no 'at'"):
            batcher.add(ENGINES[engine](at("2024-05-01", None, None)))
        assert batcher.n_waiting == 1
        assert batcher.n_late == 0

    @pytest.mark.parametrize("value", [None, pd.NaT, pd.NA, math.nan, np.datetime64("NaT")])
    def test_a_row_without_a_time_is_refused(self, value):
        """As the first row and later."""
        batcher = mk.Batcher(period="1D", time="at")
        for _ in range(2):
            with pytest.raises(DataError, match="1 of 1 rows have no 'at'"):
                batcher.add({"row": 0, "at": value})
            batcher.add({"row": 0, "at": dt.datetime(2024, 5, 1)})
        assert batcher.n_waiting == 2

    @pytest.mark.parametrize("value", ["2024-05-01", 1714521600, 1.5, True, dt.timedelta(1), dt.time(8)])
    def test_what_is_no_datetime_is_refused(self, value):
        """Text and numbers are not guessed at, in rows and in frames."""
        for rows_ in ({"at": value}, pd.DataFrame({"at": [value]})):
            with pytest.raises(DataError, match="expected datetimes"):
                mk.Batcher(period="1D", time="at").add(rows_)

    def test_the_time_column_has_to_be_there(self):
        """The message names it."""
        with pytest.raises(DataError, match=r"missing column 'at'.*\['row'\]"):
            mk.Batcher(period="1D", time="at").add({"row": 1})

    def test_naive_and_zoned_times_in_one_frame_are_refused(self):
        """They have no common clock."""
        mixed = pd.DataFrame({"at": [dt.datetime(2024, 5, 1), dt.datetime(2024, 5, 1, tzinfo=dt.UTC)]}, dtype=object)
        with pytest.raises(DataError, match="expected datetimes"):
            mk.Batcher(period="1D", time="at").add(mixed)

    @pytest.mark.parametrize("zone", [None, "UTC", "Europe/Oslo", "America/New_York"])
    @pytest.mark.parametrize("day", ["9999-12-31 23:00", "9999-01-02"])
    @pytest.mark.parametrize("period", ["1D", "1h", "1MS"])
    def test_the_end_of_time_is_refused(self, period, day, zone):
        """A placeholder for "never" would complete every period: it raises DataError, and nothing is taken in."""
        batcher = mk.Batcher(period=period, time="at")
        batcher.add(at("2024-05-01", zone=zone))
        never = pd.DatetimeIndex(np.array([day], dtype="M8[us]"))
        never = never if zone is None else never.tz_localize("UTC").tz_convert(zone)
        with pytest.raises(DataError, match=r"times of 'at' from 9999-.* cannot be put into periods"):
            batcher.add(pd.DataFrame({"row": [1], "at": never}))
        assert (batcher.n_waiting, batcher.n_late) == (1, 0)


class TestConfiguration:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "exactly one"),
            ({"rows": 5, "period": "1D", "time": "at"}, "exactly one"),
            ({"rows": 0}, "rows=0: expected an integer"),
            ({"rows": -1}, "rows=-1"),
            ({"rows": 2.0}, "rows=2.0"),
            ({"rows": True}, "rows=True"),
            ({"rows": "5"}, "rows='5'"),
            ({"rows": 5, "time": "at"}, "belong to period"),
            ({"rows": 5, "lateness": "1h"}, "belong to period"),
            ({"rows": 5, "first": 0}, "first=0: expected an integer"),
            ({"period": "1D"}, "time=None"),
            ({"period": "1D", "time": 0}, "time=0"),
            ({"period": "1D", "time": "at", "first": 2}, "first belongs to rows"),
            *(
                ({"period": period, "time": "at"}, r"period=.*expected whole days")
                for period in ("day", "", "0D", "-1D", "7h", "36h", "1ms", "1B", "QS", 5, 1.5, dt.timedelta(0), "1D7h")
            ),
            *(
                ({"period": "1D", "time": "at", "lateness": lateness}, r"lateness=.*expected 0")
                for lateness in ("soon", "", "-1h", 5, 0, "5", "1ms", "NaT", dt.timedelta(-1), "40000D")
            ),
        ],
    )
    def test_what_cannot_work_is_refused_at_once(self, options, message):
        """The message names the option, what it got and what it expects."""
        with pytest.raises(ConfigurationError, match=message):
            mk.Batcher(**options)

    def test_options_cannot_be_turned_later(self):
        """Rows that wait belong to the batches of the first configuration."""
        batcher = mk.Batcher(rows=5)
        with pytest.raises(AttributeError):
            batcher.rows = 6

    @pytest.mark.parametrize("lateness", [None, "0s", "2h", "1D", dt.timedelta(minutes=5), pd.Timedelta("1h")])
    def test_lateness_is_a_span_of_time(self, lateness):
        """As text or as a timedelta; without it nothing waits."""
        batcher = mk.Batcher(period="1D", time="at", lateness=lateness)
        wait = pd.Timedelta(lateness or 0)
        batcher.add({"at": dt.datetime(2024, 5, 1)})
        assert ids(batcher.add({"at": dt.datetime(2024, 5, 2) + wait})) == ["2024-05-01"]
