"""Validating in chunks, in pieces and on clusters says what validating the whole says, row by row."""

import datetime as dt
import decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlopskit as mk
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.validation import findings

D = decimal.Decimal
pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")

N = 60
REFERENCE = pd.DataFrame(
    {
        "id": np.arange(N),
        "code": np.tile([1, 2, 3], 20),
        "wind": np.linspace(0, 30, N),
        "origin": ["EWR", "JFK", "LGA"] * 20,
        "day": pd.date_range("2024-01-01", periods=N, tz="UTC"),
        "flag": [True, False] * 30,
    }
)


@mk.check("calm_flag", column="flag", tolerance=0.1)
def calm_flag(frame):
    """Rows without wind carry no flag."""
    return (frame["wind"] == 0) & frame["flag"]


VALIDATOR = mk.DataValidator(unique=["id", ("code", "wind")], checks=[calm_flag]).fit(REFERENCE, time="day")
ROW = st.fixed_dictionaries(
    {
        "id": st.integers(0, 12),
        "code": st.sampled_from([1, 2, 3, 9]),
        "wind": st.sampled_from([0.0, 1.0, 30.0, 31.0, 99.0, -5.0, np.nan, np.inf]),
        "origin": st.sampled_from(["EWR", "JFK", "BOS", None]),
        "day": st.sampled_from([pd.Timestamp("2024-01-05", tz="UTC"), pd.Timestamp("2023-01-05", tz="UTC")]),
        "flag": st.booleans(),
    }
)
ROWS = st.lists(ROW, max_size=14)


def frame_of(rows):
    columns = {name: [row[name] for row in rows] for name in REFERENCE}
    plain = {name: pd.Series(values, dtype=REFERENCE[name].dtype) for name, values in columns.items()}
    return pd.DataFrame(plain)


def told(report):
    """Everything that a report says."""
    return [
        (f.column, f.check, f.severity, f.n_failed, f.n_rows, f.rows.tolist(), str(f.examples), f.message)
        for f in report.failures
    ]


def in_chunks(validator, frame, cuts):
    run = validator.start()
    for part in np.split(np.arange(len(frame)), sorted(cuts)):
        report = run.update(frame.iloc[part])
    return report


class TestChunks:
    @settings(deadline=None, max_examples=150)
    @given(ROWS, st.lists(st.integers(0, 14), max_size=4))
    def test_the_report_of_chunks_is_that_of_the_whole(self, rows, cuts):
        """Cut anywhere, empty chunks included: the same failures, rows, examples and words."""
        frame = frame_of(rows)
        cuts = [min(cut, len(frame)) for cut in cuts]
        assert told(in_chunks(VALIDATOR, frame, cuts)) == told(VALIDATOR.validate(frame))

    @settings(deadline=None, max_examples=80)
    @given(
        st.lists(st.sampled_from(["EWR", "BOS", 1, 2.5, None, True, D("1"), dt.date(2024, 1, 1)]), max_size=10),
        st.lists(st.integers(0, 10), max_size=3),
        st.sampled_from(["str", "int", "float", "bool", "datetime", "decimal", "other"]),
    )
    def test_objects_of_any_type_are_cut_anywhere(self, values, cuts, kind):
        """A chunk of an object column may look like another type: its values are judged as in the whole."""
        schema = mk.Schema([mk.schema.ColumnSchema("a", kind, nullable=False)])
        frame = pd.DataFrame({"a": pd.Series(values, dtype=object)})
        validator = mk.DataValidator(schema)
        cuts = [min(cut, len(frame)) for cut in cuts]
        whole, parts = validator.validate(frame), in_chunks(validator, frame, cuts)
        assert [(f.check, f.rows.tolist()) for f in parts.failures] == [
            (f.check, f.rows.tolist()) for f in whole.failures
        ]

    @settings(deadline=None, max_examples=40)
    @given(ROWS, ROWS)
    def test_reports_add(self, a, b):
        """The sum of two reports is the report of both batches, one after the other."""
        validator = mk.DataValidator(VALIDATOR.schema.evolve(unique=()), checks=[calm_flag])
        first, second = frame_of(a), frame_of(b)
        both = validator.validate(first) + validator.validate(second)
        assert told(both) == told(validator.validate(pd.concat([first, second], ignore_index=True)))
        good, bad = both.split(pd.concat([first, second]))
        assert len(good) + len(bad) == len(a) + len(b)

    def test_reports_with_keys_add_where_keys_were_kept(self):
        """Batches validated alone cannot tell whether they share a key: an error that says what to do."""
        frame = frame_of([])
        with pytest.raises(DataError, match=r"start\(\)"):
            VALIDATOR.validate(frame) + VALIDATOR.validate(frame)
        first, second = (VALIDATOR.start().update(REFERENCE[:5]) for _ in range(2))
        assert [f.rows.tolist() for f in (first + second).failures if f.column == "id"] == [[5, 6, 7, 8, 9]]
        with pytest.raises(DataError, match="different validators"):
            VALIDATOR.validate(frame) + mk.DataValidator().fit(REFERENCE).validate(frame)
        with pytest.raises(TypeError):
            first + 1

    def test_a_column_that_comes_and_goes(self):
        """Chunks may differ in their columns: the rows of those that lack one, or have one more, are named."""
        run = mk.DataValidator().fit(REFERENCE[["id", "flag"]]).start()
        run.update(REFERENCE[["id", "flag"]][:2])
        report = run.update(REFERENCE[["id"]][2:5].assign(extra=1))
        assert [(f.column, f.check, f.rows.tolist()) for f in report.failures] == [
            ("flag", "missing_column", [2, 3, 4]),
            ("extra", "extra_column", [2, 3, 4]),
        ]

    def test_a_check_of_the_whole_batch_needs_the_whole(self):
        """A check that answers with one bool is an error in chunks, never a silent pass."""

        @mk.check("many")
        def many(frame):
            return len(frame) < 10

        validator = mk.DataValidator(checks=[many]).fit(REFERENCE)
        assert validator.validate(REFERENCE).passed
        (failure,) = validator.start().update(REFERENCE).failures
        assert failure.check == "check_error"
        assert "give one frame" in failure.message

    def test_keys_beyond_the_cap_are_refused(self, monkeypatch):
        """More keys than are kept: an error that says how to go on."""
        monkeypatch.setattr(findings, "MAX_KEYS", 50)
        run = mk.DataValidator(unique=["id"]).fit(REFERENCE).start()
        run.update(REFERENCE[:40])
        with pytest.raises(DataError, match="up to 50 rows"):
            run.update(REFERENCE[40:])


class TestSources:
    FRAME = frame_of(
        [
            {"id": i % 37, "code": (1, 2, 3, 9)[i % 4], "wind": (1.0, 31.0, np.nan, 99.0)[i % 4] + i / 1e3}
            | {"origin": ("EWR", "BOS", None)[i % 3], "day": pd.Timestamp("2024-01-05", tz="UTC"), "flag": i % 5 == 0}
            for i in range(47)
        ]
    )
    VALIDATOR = mk.DataValidator(mk.Schema.infer(REFERENCE).evolve(unique=["id", ("code", "origin")]))

    def rows(self, report):
        return [(f.column, f.check, f.severity, f.rows.tolist()) for f in report.failures]

    def test_streams_and_lazy_frames(self):
        """A generator, polars, DuckDB and a pyarrow dataset: the rows of the whole."""
        table = pa.Table.from_pandas(self.FRAME, preserve_index=False)
        expected = self.rows(self.VALIDATOR.validate(self.FRAME))
        assert {check for _, check, _, _ in expected} == {"domain", "null", "range", "unique"}
        for source in (
            (self.FRAME[i : i + 10] for i in range(0, 47, 10)),
            iter(table.to_batches(max_chunksize=7)),
            pl.from_arrow(table).lazy(),
            duckdb.connect().from_arrow(table),
            ds.dataset(table),
        ):
            assert self.rows(self.VALIDATOR.validate(source)) == expected

    def test_clusters(self, dask, spark):
        """Dask and Spark in several partitions, keys compared across them."""
        expected = self.rows(self.VALIDATOR.validate(self.FRAME))
        parts = dask.dataframe.from_pandas(self.FRAME, npartitions=4)
        assert self.rows(self.VALIDATOR.validate(parts)) == expected
        table = pa.Table.from_pandas(self.FRAME, preserve_index=False)
        assert self.rows(self.VALIDATOR.validate(spark.createDataFrame(table).coalesce(1))) == expected
        scattered = self.VALIDATOR.validate(spark.createDataFrame(table).repartition(3))
        assert [(c, k, s, len(r)) for c, k, s, r in self.rows(scattered)] == [
            (c, k, s, len(r)) for c, k, s, r in expected
        ]

    def test_findings_travel(self):
        """What a worker sends back is plain data, whatever the examples are."""
        frame = pd.DataFrame({"a": [{"k": 1}, [2], D("1.5"), pd.Timestamp("2024", tz="UTC"), b"x"]})
        look = mk.validation.rules.Look(mk.Schema([mk.schema.ColumnSchema("a", "int")]), (), in_pieces=True)
        sent = findings.dump_findings(look(frame))
        again = findings.load_findings(sent)
        assert again.broken["column", "a", "dtype"].rows.tolist() == [0, 1, 2, 3, 4]
        assert len(again.broken["column", "a", "dtype"].examples) == 5


class TestTimeColumn:
    def test_volume_and_age_come_from_the_time_column(self):
        """Half of the smallest day to twice the largest, from twenty days on; the age is as given."""
        day = np.repeat(pd.date_range("2024-01-01", periods=20), np.r_[[10] * 19, 30])
        validator = mk.DataValidator().fit({"day": day}, time="day", max_age=dt.timedelta(days=2))
        assert (validator.schema.min_rows, validator.schema.max_rows) == (5, 60)
        report = validator.validate({"day": day[:3]}, now=dt.datetime(2024, 3, 1))
        assert [(f.check, f.severity) for f in report.failures] == [("volume", "warning"), ("stale", "error")]
        few = mk.DataValidator().fit({"day": day[:150]}, time="day").schema
        assert (few.min_rows, few.max_rows) == (None, None)

    @pytest.mark.parametrize("options", [{"time": "nope"}, {"time": "n"}, {"max_age": dt.timedelta(1)}])
    def test_what_cannot_work_is_refused(self, options):
        """A time that is no column or no datetime, an age without a time."""
        with pytest.raises(ConfigurationError):
            mk.DataValidator().fit({"n": [1, 2]}, **options)


class TestCheckDecorator:
    def test_it_is_a_check(self):
        """A function becomes a check with a name, a column, a severity and a tolerance; it survives JSON by name."""
        assert isinstance(calm_flag, mk.Check)
        assert (calm_flag.name, calm_flag.column, calm_flag.tolerance) == ("calm_flag", "flag", 0.1)
        assert calm_flag.__doc__ == "Rows without wind carry no flag."
        again = mk.DataValidator.from_json(VALIDATOR.to_json(), checks=[calm_flag])
        assert again.validate(REFERENCE).passed
        with pytest.raises(ConfigurationError, match="calm_flag"):
            mk.DataValidator.from_json(VALIDATOR.to_json())

    @pytest.mark.parametrize("options", [{"name": ""}, {"name": 3}, {"name": "a", "severity": "fatal"}])
    def test_bad_settings_fail_at_once(self, options):
        """Where the decorator stands, not at the first batch."""
        with pytest.raises(ConfigurationError):
            mk.check(**options)(lambda frame: frame)

    def test_a_share_beyond_one_is_refused(self):
        """A tolerance is a share of rows."""
        with pytest.raises(ConfigurationError, match="tolerance"):
            mk.check("a", tolerance=2)(lambda frame: frame)
