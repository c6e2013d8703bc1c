"""The prediction log keeps what it acknowledged, refuses what was seen, and gives values back as they came."""

import datetime as dt
import os
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlopskit.errors import ConfigurationError, DataError, DuplicateId, FormatError, StorageError
from mlopskit.prediction_log import PredictionLog
from mlopskit.records import Predictions

DAY = dt.datetime(2013, 3, 1, tzinfo=dt.UTC)


@pytest.fixture
def log():
    with PredictionLog(":memory:") as opened:
        yield opened


def run(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a real Python process."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class TestRecord:
    def test_stores_everything_about_a_prediction(self, log):
        """Id, version, both times, value and score come back as they went in, in the order of recording."""
        answer = Predictions(np.array([True, False]), np.array([0.7, 0.1]), "late:3")
        times = pd.Series(pd.to_datetime(["2013-03-01 05:00", None])).dt.tz_localize("America/New_York")
        log.record(answer, ids=["b", "a"], times=times, now=DAY)
        frame = log.predictions()
        assert frame.columns.tolist() == ["id", "version", "at", "time", "value", "score"]
        assert frame["id"].tolist() == ["b", "a"]
        assert frame["version"].tolist() == ["late:3", "late:3"]
        assert frame["at"].tolist() == [pd.Timestamp(DAY)] * 2
        assert frame["time"][0] == pd.Timestamp("2013-03-01 10:00", tz="UTC")
        assert frame["time"].isna().tolist() == [False, True]
        assert frame["value"].tolist() == [True, False]
        assert frame["score"].tolist() == [0.7, 0.1]

    def test_makes_unique_ids_where_none_are_given(self, log):
        """Batches without ids never collide."""
        ids = log.record([1, 2, 3]) + log.record([1, 2, 3])
        assert len(set(ids)) == 6
        assert log.predictions()["id"].tolist() == list(ids)

    def test_takes_the_ids_that_predictions_carry(self, log):
        """Predictions with ids are logged under them; an explicit `ids` comes first."""
        assert log.record(Predictions(np.array([1]), ids=("x",))) == ("x",)
        assert log.record(Predictions(np.array([1]), ids=("x",)), ids=["y"]) == ("y",)

    def test_ids_are_text(self, log):
        """Numbers and days become text by the rules of `frames.key`."""
        assert log.record([1, 2], ids=[7, 8.0]) == ("7", "8")
        assert log.record([1], ids=[pd.Timestamp("2013-03-01")]) == ("2013-03-01",)

    @pytest.mark.parametrize("engine", [pl.Series, pa.array, pd.Index, tuple, np.array])
    def test_takes_columns_of_other_engines(self, log, engine):
        """Ids, times and labels may be columns of polars, pyarrow, numpy, or plain sequences."""
        ids = log.record([1.5, 2.5], ids=engine(["a", "b"]), times=engine([DAY.replace(tzinfo=None)] * 2))
        log.record_labels(engine(["a", "b"]), engine([1, 0]))
        frame = log.labelled()
        assert frame["id"].tolist() == list(ids) == ["a", "b"]
        assert frame["time"].tolist() == [pd.Timestamp(DAY)] * 2
        assert frame["y"].tolist() == [1, 0]

    def test_refuses_an_id_that_the_role_answered_before(self, log):
        """A batch sent twice is refused as a whole, and the message counts and names the ids."""
        log.record([1, 2], ids=["a", "b"])
        with pytest.raises(DuplicateId, match=r"2 of 3 ids were seen before .* first \['a', 'b'\]"):
            log.record([0, 1, 2], ids=["new", "a", "b"])
        assert log.predictions()["id"].tolist() == ["a", "b"]

    def test_refuses_an_id_that_stands_twice_in_a_batch(self, log):
        """1 and "1" are one id, so they cannot stand in one batch."""
        with pytest.raises(DuplicateId, match=r"1 of 2 ids .* first \['1'\]"):
            log.record([1, 2], ids=[1, "1"])
        assert len(log) == 0

    def test_each_role_answers_a_row_once(self, log):
        """A shadow may answer the champion's rows; both count in the length, and each is read apart."""
        log.record([1], ids=["a"])
        log.record([2], ids=["a"], role="shadow")
        assert len(log) == 2
        assert log.predictions()["value"].tolist() == [1]
        assert log.predictions(role="shadow")["value"].tolist() == [2]
        with pytest.raises(DuplicateId, match="shadow"):
            log.record([2], ids=["a"], role="shadow")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"ids": ["a"]}, "got 1 ids for 2 rows"),
            ({"ids": ["a", None]}, "an id is missing"),
            ({"times": [DAY]}, "got 1 times for 2 rows"),
            ({"times": ["2013-03-01", "2013-03-02"]}, "times of kind 'str'"),
            ({"times": [1, 2]}, "times of kind 'int'"),
            ({"now": "yesterday"}, "expected a datetime"),
        ],
    )
    def test_refuses_what_does_not_fit_the_rows(self, log, arguments, message):
        """Lengths, missing ids and times that are none are named, and nothing is written."""
        with pytest.raises(DataError, match=message):
            log.record([1, 2], **arguments)
        assert len(log) == 0

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.zeros((2, 2)), r"shape \(2, 2\)"),
            (pd.DataFrame({"a": [1]}), r"shape \(1, 1\)"),
            ([[1], [2]], "type 'list'"),
            ([b"x"], "type 'bytes'"),
            (pd.to_datetime(["2013-03-01"]), "kind 'datetime'"),
            (pd.to_timedelta(["1h"]), "kind 'duration'"),
        ],
    )
    def test_refuses_values_that_are_no_scalars(self, log, values, message):
        """A value is a number, text or a boolean."""
        with pytest.raises(DataError, match=message):
            log.record(values)

    def test_refuses_scores_of_another_length(self, log):
        """Scores belong to rows."""
        with pytest.raises(DataError, match=r"scores of shape \(3,\) for 2 rows"):
            log.record(Predictions(np.array([1, 2]), np.zeros(3)))

    def test_refuses_an_unknown_role(self, log):
        """There are two roles."""
        with pytest.raises(ConfigurationError, match="role='canary'"):
            log.record([1], role="canary")

    def test_an_empty_batch_writes_nothing(self, log):
        """A day without rows is no error for the log."""
        assert log.record([], ids=[], times=[]) == ()
        log.record_labels([], [])
        assert len(log) == 0

    def test_large_batches_pass_the_limit_of_sql_variables(self, log):
        """A batch may be larger than the number of variables that one statement takes."""
        ids = [f"r{i}" for i in range(40_000)]
        log.record(np.arange(40_000), ids=ids)
        log.record_labels(ids, np.arange(40_000))
        frame = log.labelled()
        assert (frame["value"] == frame["y"]).all()
        with pytest.raises(DuplicateId, match="40000 of 40000"):
            log.record(np.arange(40_000), ids=ids)


class TestRoundTrip:
    @settings(max_examples=50, deadline=None)
    @given(
        st.one_of(
            st.lists(st.integers(), min_size=1),
            st.lists(st.booleans(), min_size=1),
            st.lists(st.floats(allow_nan=False), min_size=1),
            st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1),
        )
    )
    def test_values_and_labels_keep_type_and_value(self, values):
        """Integers of any size, floats to the last bit, infinities, text and booleans are the same before and after."""
        with PredictionLog(":memory:") as log:
            ids = log.record(values)
            log.record_labels(ids, values)
            frame = log.labelled()
        for name in ("value", "y"):
            back = frame[name].tolist()
            assert back == values
            assert [type(v) for v in back] == [type(v) for v in values]

    @pytest.mark.parametrize(
        ("values", "dtype"),
        [
            ([1, 2], "int64"),
            ([0.5, 2.0], "float64"),
            ([True, False], "bool"),
            (["a", "b"], "str"),
            ([2**70, 1], "object"),
            (pd.array([1, 2], dtype="Int64"), "int64"),
            (pd.array([1.5, 2], dtype="double[pyarrow]"), "float64"),
            (pd.array(["x", "y"], dtype="string[pyarrow]"), "str"),
            (pd.Categorical(["x", "y"]), "str"),
            (pd.Categorical([3, 4]), "int64"),
            (np.array([1, 2], dtype=np.uint64), "int64"),
            (np.array([1, 2], dtype=np.float32), "float64"),
        ],
    )
    def test_a_column_of_one_type_has_its_dtype(self, log, values, dtype):
        """Nullable, Arrow, categorical and narrow inputs come back as the plain dtype of their kind."""
        log.record(values)
        frame = log.predictions()
        assert frame["value"].dtype == dtype
        assert frame["value"].tolist() == list(values)

    def test_batches_of_different_types_stay_apart(self, log):
        """A model that answered 1 and one that answered 1.5 or "1" are not forced into one type."""
        log.record([1])
        log.record([1.5])
        assert [repr(v) for v in log.predictions()["value"]] == ["1", "1.5"]
        log.record(["1"])
        log.record([True])
        assert [repr(v) for v in log.predictions()["value"]] == ["1", "1.5", "'1'", "True"]

    def test_a_missing_prediction_is_kept_as_missing(self, log):
        """A model that answers NaN is on record as having answered nothing."""
        log.record([0.5, float("nan")])
        value = log.predictions()["value"]
        assert value.dtype == "float64"
        assert value.isna().tolist() == [False, True]
        log.record([7])
        assert log.predictions()["value"].tolist()[2] == 7

    def test_a_column_of_missing_predictions(self, log):
        """Rows that are all missing come back as rows."""
        log.record([None, None])
        assert log.predictions()["value"].tolist() == [None, None]

    def test_scores_of_several_classes_have_a_column_each(self, log):
        """Multi-class probabilities come back as score_0, score_1, ...; exact, infinities and NaN included."""
        scores = np.array([[0.1, 0.2, 0.7], [np.nan, np.inf, 1 / 3]])
        log.record(Predictions(np.array(["x", "y"]), scores))
        frame = log.predictions()
        assert "score" not in frame
        np.testing.assert_array_equal(frame[["score_0", "score_1", "score_2"]].to_numpy(), scores)

    def test_versions_with_and_without_classes_do_not_mix(self, log):
        """A binary version's score never lands in a class column of another version, nor the other way round."""
        log.record(Predictions(np.array([1]), np.array([0.25])))
        log.record(Predictions(np.array(["x"]), np.array([[0.1, 0.9]])))
        log.record([1])
        frame = log.predictions()[["score", "score_0", "score_1"]].to_numpy()
        np.testing.assert_array_equal(frame, [[0.25, np.nan, np.nan], [np.nan, 0.1, 0.9], [np.nan] * 3])

    def test_times_keep_nanoseconds(self, log):
        """The rows' own times are exact."""
        stamp = pd.Timestamp("1969-12-31T23:59:59.999999999")
        log.record([1], times=[stamp])
        assert log.predictions()["time"].tolist() == [stamp.tz_localize("UTC")]

    def test_an_empty_log_has_the_columns(self, log):
        """Readers need no special case for the first day."""
        assert log.labelled().columns.tolist() == ["id", "version", "at", "time", "value", "score", "y"]
        assert log.unlabelled().columns.tolist() == ["id", "version", "at", "time", "value", "score"]
        assert log.predictions()["at"].dt.tz is not None


class TestLabels:
    def test_join_by_id(self, log):
        """Labels come in any order and later; the frame is in the order of the predictions."""
        log.record([1, 2, 3], ids=["a", "b", "c"])
        log.record_labels(["c", "a"], [30, 10])
        assert log.labelled()[["id", "value", "y"]].values.tolist() == [["a", 1, 10], ["c", 3, 30]]
        assert log.unlabelled()["id"].tolist() == ["b"]
        log.record_labels(["b"], [20])
        assert log.labelled()["y"].tolist() == [10, 20, 30]
        assert len(log.unlabelled()) == 0

    def test_one_label_serves_both_roles(self, log):
        """A label belongs to the row, whoever predicted it."""
        log.record([1], ids=["a"])
        log.record([2], ids=["a"], role="shadow")
        log.record_labels(["a"], [3])
        assert log.labelled()["y"].tolist() == log.labelled(role="shadow")["y"].tolist() == [3]

    def test_refuses_a_second_label(self, log):
        """A label is given once, and nothing of the batch is written."""
        log.record([1, 2], ids=["a", "b"])
        log.record_labels(["a"], [1])
        with pytest.raises(DuplicateId, match=r"1 of 2 ids were seen before among the labels, first \['a'\]"):
            log.record_labels(["b", "a"], [1, 1])
        with pytest.raises(DuplicateId, match="1 of 2"):
            log.record_labels(["b", "b"], [1, 1])
        assert log.labelled()["id"].tolist() == ["a"]

    def test_refuses_labels_of_rows_that_were_never_predicted(self, log):
        """Unknown ids are counted and named, and nothing of the batch is written."""
        log.record([1], ids=["a"])
        with pytest.raises(DataError, match=r"2 of 3 ids were never logged, first \['x', 'y'\]"):
            log.record_labels(["a", "x", "y"], [1, 1, 1])
        assert len(log.labelled()) == 0

    @pytest.mark.parametrize("y", [[1.0, np.nan], [1, None], pd.array([1, None], dtype="Int64"), ["x", pd.NA]])
    def test_refuses_missing_labels(self, log, y):
        """A cancelled flight never gets a label: its row is not sent."""
        log.record([1, 2], ids=["a", "b"])
        with pytest.raises(DataError, match=r"1 of 2 labels are missing, first ids \['b'\]: leave out"):
            log.record_labels(["a", "b"], y)
        assert len(log.labelled()) == 0

    def test_refuses_other_lengths(self, log):
        """One id for each label."""
        with pytest.raises(DataError, match="got 1 ids for 2 rows"):
            log.record_labels(["a"], [1, 2])


class TestFilters:
    def test_by_version_and_time_made(self, log):
        """`since` is included, `until` is not; naive times are UTC and zones are converted."""
        for day in range(4):
            answer = Predictions(np.array([day]), version=f"m:{1 + day // 2}")
            log.record(answer, ids=[day], now=DAY + dt.timedelta(days=day))
        log.record_labels([0, 1, 2, 3], [0, 1, 2, 3])
        assert log.labelled(version="m:2")["y"].tolist() == [2, 3]
        since, until = dt.datetime(2013, 3, 2), pd.Timestamp("2013-03-03 19:00", tz="America/New_York")
        assert log.labelled(since=since, until=until)["y"].tolist() == [1, 2]
        assert log.predictions(since=since, until=until, version="m:1")["value"].tolist() == [1]
        assert len(log.unlabelled(since=since)) == 0

    def test_by_default_now_is_the_wall_clock_in_utc(self, log):
        """Without `now`, the time of the call is written."""
        before = dt.datetime.now(dt.UTC)
        log.record([1])
        at = log.predictions()["at"][0]
        assert before <= at <= dt.datetime.now(dt.UTC)


class TestFile:
    def test_is_read_back_after_closing(self, tmp_path):
        """What was written is there for the next process, path as text or Path."""
        with PredictionLog(tmp_path / "log.db") as log:
            log.record([1], ids=["a"])
        log.close()
        with PredictionLog(str(tmp_path / "log.db")) as again:
            assert again.predictions()["id"].tolist() == ["a"]

    def test_a_closed_log_says_so(self, tmp_path):
        """Use after close is an error that names the file."""
        log = PredictionLog(tmp_path / "log.db")
        log.close()
        with pytest.raises(StorageError, match=r"log\.db.* is closed"):
            log.record([1])

    def test_refuses_a_directory(self, tmp_path):
        """A directory is not a log."""
        with pytest.raises(StorageError, match="is a directory"):
            PredictionLog(tmp_path)

    def test_refuses_a_folder_that_does_not_exist(self, tmp_path):
        """Folders are made by the user, so that a typing error does not make one."""
        with pytest.raises(StorageError, match=r"the folder .*nowhere.* does not exist"):
            PredictionLog(tmp_path / "nowhere" / "log.db")

    def test_refuses_a_path_that_cannot_be_opened(self, tmp_path):
        """A link to itself leads nowhere."""
        (tmp_path / "log.db").symlink_to(tmp_path / "log.db")
        with pytest.raises(StorageError, match="unable to open"):
            PredictionLog(tmp_path / "log.db")

    def test_refuses_a_file_that_is_no_database(self, tmp_path):
        """Another file is left as it is."""
        path = tmp_path / "notes.txt"
        path.write_text("these are my notes, " * 100)
        with pytest.raises(StorageError, match="not a database"):
            PredictionLog(path)
        assert path.read_text().startswith("these are my notes")

    def test_refuses_somebody_elses_database(self, tmp_path):
        """A database that has a table of that name for something else is left as it is."""
        path = tmp_path / "other.db"
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE predictions (weather TEXT)")
        other.close()
        with pytest.raises(StorageError, match="already exists"):
            PredictionLog(path)

    def test_refuses_the_log_of_a_later_release(self, tmp_path):
        """A protocol number from the future is not guessed at."""
        PredictionLog(tmp_path / "log.db").close()
        with sqlite3.connect(tmp_path / "log.db") as later:
            later.execute("UPDATE mlopskit_log SET protocol = 99")
        later.close()
        with pytest.raises(FormatError, match="protocol 99"):
            PredictionLog(tmp_path / "log.db")

    def test_a_file_that_breaks_while_open_is_a_storage_error(self, tmp_path):
        """Trouble below is reported in our own tree, with the path."""
        log = PredictionLog(tmp_path / "log.db")
        with sqlite3.connect(tmp_path / "log.db") as vandal:
            vandal.execute("DROP TABLE labels")
        vandal.close()
        with pytest.raises(StorageError, match=r"log\.db.*cannot be used.*labels"):
            log.labelled()
        log.close()


class TestManyAtOnce:
    def test_threads_share_a_log(self, tmp_path):
        """Four threads write and read one log: every batch is there once, each in one piece."""
        with PredictionLog(tmp_path / "log.db") as log:

            def work(k):
                for i in range(10):
                    ids = log.record([k] * 5, ids=[f"{k}-{i}-{j}" for j in range(5)])
                    log.record_labels(ids, [i] * 5)
                    assert len(log.labelled()) % 5 == 0

            with ThreadPoolExecutor(4) as pool:
                list(pool.map(work, range(4)))
            frame = log.labelled()
        assert len(frame) == frame["id"].nunique() == 200
        batches = frame["id"].str.rsplit("-", n=1).str[0].to_numpy().reshape(-1, 5)
        assert (batches == batches[:, :1]).all()

    def test_processes_share_a_file(self, tmp_path):
        """Four processes make one log at once and fight for one id: nothing is lost, and one of them gets it."""
        code = """
            import sys
            from mlopskit.errors import DuplicateId
            from mlopskit.prediction_log import PredictionLog
            print("ready", flush=True)
            sys.stdin.readline()
            log, won = PredictionLog(sys.argv[1]), 0
            for i in range(10):
                log.record([i] * 5)
                try:
                    log.record(["mine", "also mine"], ids=[f"prize {i}", f"second {i}"])
                    won += 1
                except DuplicateId:
                    pass
            print(won)
        """
        path = str(tmp_path / "log.db")
        processes = [run(code, path) for _ in range(4)]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate() for process in processes]
        assert [process.returncode for process in processes] == [0] * 4, outputs
        assert sum(int(out) for out, _ in outputs) == 10
        with PredictionLog(path) as log:
            assert len(log) == 4 * 10 * 5 + 10 * 2

    def test_waits_while_somebody_else_makes_the_log(self, tmp_path):
        """SQLite does not wait for the switch to the write-ahead log; the log does."""
        path = tmp_path / "log.db"
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("CREATE TABLE notes (line TEXT)")
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(PredictionLog, path)
            with pytest.raises(TimeoutError):
                opening.result(timeout=0.3)
            other.execute("COMMIT")
            with opening.result() as log:
                log.record([1])
        other.close()

    def test_survives_kill_9(self, tmp_path):
        """Killed in the middle of writing, the log holds every acknowledged batch and no part of one."""
        code = """
            import sys
            from mlopskit.prediction_log import PredictionLog
            log = PredictionLog(sys.argv[1])
            for i in range(10**6):
                ids = log.record([i] * 50, ids=[f"{i}/{j}" for j in range(50)])
                print(i, flush=True)
                log.record_labels(ids, [i] * 50)
        """
        path = str(tmp_path / "log.db")
        process = run(code, path)
        acknowledged = [int(process.stdout.readline()) for _ in range(20)]
        process.kill()
        acknowledged += [int(line) for line in process.communicate()[0].splitlines() if line]
        assert process.returncode == -9
        with PredictionLog(path) as log:
            kept = log.predictions()["id"]
            batches = kept.str.split("/").str[0].astype(int).value_counts()
            assert set(acknowledged) <= set(batches.index)
            assert (batches == 50).all()
            labelled = log.labelled()
            assert set(range(acknowledged[-1])) <= set(labelled["value"])
            assert len(labelled) % 50 == 0
            log.record([1], ids=["life goes on"])

    @pytest.mark.skipif(sys.platform == "win32", reason="the limit of a file's size is set the POSIX way")
    def test_a_full_disk_loses_nothing_acknowledged(self, tmp_path):
        """When the file cannot grow, the batch is refused as a whole, and what was acknowledged before is there."""
        code = """
            import resource, signal, sys
            from mlopskit.errors import StorageError
            from mlopskit.prediction_log import PredictionLog
            log = PredictionLog(sys.argv[1])
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
            for i in range(1000):
                try:
                    log.record([i] * 20)
                except StorageError:
                    break
                print(i, flush=True)
        """
        out, errors = run(code, str(tmp_path / "log.db")).communicate()
        assert errors == ""
        acknowledged = [int(line) for line in out.splitlines()]
        assert 0 < len(acknowledged) < 1000
        with PredictionLog(tmp_path / "log.db") as log:
            assert log.predictions()["value"].tolist() == [i for i in acknowledged for _ in range(20)]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    def test_goes_on_after_a_fork(self, tmp_path):
        """A pre-forking server may open the log before it forks: parent and child both write."""
        code = """
            import os, sys
            from mlopskit.errors import StorageError
            from mlopskit.prediction_log import PredictionLog
            log, memory, closed = PredictionLog(sys.argv[1]), PredictionLog(":memory:"), PredictionLog(":memory:")
            log.record([0], ids=["before"])
            closed.close()
            if os.fork() == 0:
                log.record([1], ids=["child"])
                assert len(log) >= 2
                for other, word in ((memory, "fork"), (closed, "closed")):
                    try:
                        other.record([1])
                    except StorageError as error:
                        assert word in str(error), error
                    else:
                        os._exit(7)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
            log.record([2], ids=["parent"])
        """
        process = run(code, str(tmp_path / "log.db"))
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        with PredictionLog(tmp_path / "log.db") as log:
            assert log.predictions()["id"].tolist() == ["before", "child", "parent"]


def test_the_file_is_a_plain_sqlite_file(tmp_path: Path):
    """Anybody can read the log without this package."""
    with PredictionLog(tmp_path / "log.db") as log:
        log.record([True], ids=["a"], now=DAY)
    other = sqlite3.connect(tmp_path / "log.db")
    rows = other.execute("SELECT id, role, at, value FROM predictions").fetchall()
    other.close()
    assert rows == [("a", "champion", "2013-03-01T00:00:00.000000+00:00", "true")]


def test_a_relative_path_stays_where_it_was(tmp_path, monkeypatch):
    """A log does not follow the working directory, also not when it is opened again."""
    monkeypatch.chdir(tmp_path)
    log = PredictionLog("predictions.db")
    assert log.path == str(tmp_path / "predictions.db")
    log.close()
