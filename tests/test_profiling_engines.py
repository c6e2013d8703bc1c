"""Profiles of every kind of column from every engine: the same integers, sketches and fingerprint as of the whole."""

import decimal
import itertools
import sqlite3
from itertools import pairwise

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mlopskit as mk
from every_kind import IN_MEMORY, SCHEMA, STREAMS, TABLES, fixed_table, to_arrow_pandas
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.profiling import LevelBins, profiles, total

D = decimal.Decimal
pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
BUSY = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

TABLE = fixed_table(300)
BINNING = mk.Binning.fit(TABLE, pairs=True)


def integers(profile):
    """Everything in a profile that is exact, and the sketches."""
    found = {"n_rows": profile.n_rows, "fingerprint": profile.fingerprint}
    found |= {"concordant": profile.concordant.tolist(), "paired": profile.paired.tolist()}
    for c in profile.columns:
        exact = [c.n_missing, c.n_infinite, c.n_zero, c.low, c.high, c.counts.tolist(), c.moments.n, c.lengths]
        found[c.name] = [*exact, c.others, c.distinct.registers.tolist()]
    return found


def assert_same(found, expected):
    """Integers and sketches agree exactly, means and variances to rounding."""
    assert integers(found) == integers(expected)
    for a, b in zip(found.columns, expected.columns, strict=True):
        scale = max(abs(float(v)) for v in (b.low or 0, b.high or 0))
        if scale < 1e150:  # squares beyond are infinite
            assert abs(a.moments.mean - b.moments.mean) <= 1e-12 * scale
            assert abs(a.moments.squares - b.moments.squares) <= 1e-12 * b.moments.n * scale**2


class TestEngines:
    @BUSY
    @given(TABLES)
    def test_engines_in_memory_and_streams_agree(self, table):
        """Frames of every kind, from every engine that holds them and from every stream of them."""
        expected = BINNING.profile(table)
        for make in (*IN_MEMORY.values(), *STREAMS.values()):
            assert_same(BINNING.profile(make(table)), expected)

    @BUSY
    @given(TABLES, st.data())
    def test_the_whole_is_the_sum_of_any_parts_in_any_order(self, table, data):
        """Rows in any order, cut anywhere, each part in another engine, added up in any order, or read as a stream."""
        order = data.draw(st.permutations(range(len(table))))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(table)), max_size=3)))
        engines = data.draw(st.lists(st.sampled_from(list(IN_MEMORY)), min_size=len(cuts) + 1, max_size=len(cuts) + 1))
        parts = [table.take(pa.array(order[a:b], pa.int64())) for a, b in pairwise([0, *cuts, len(table)])]
        made = [IN_MEMORY[e](p) if len(p) else p for e, p in zip(engines, parts, strict=True)]
        expected = BINNING.profile(table)
        assert_same(total(map(BINNING.profile, data.draw(st.permutations(made)))), expected)
        assert_same(BINNING.profile(iter(made)), expected)

    @pytest.mark.parametrize("n", [3, 700])
    def test_six_engines_give_the_same_integers(self, n, dask, spark, tmp_path):
        """pandas, polars, Arrow, parquet, DuckDB, Dask (4 partitions, processes) and Spark (two cores)."""
        table = fixed_table(n, seed=1).drop_columns(["took"])  # parquet has no durations
        binning = mk.Binning.fit(TABLE.drop_columns(["took"]), pairs=True)
        pq.write_table(table, tmp_path / "part.parquet", row_group_size=97)
        sources = {
            "pandas": to_arrow_pandas(table),
            "polars": pl.from_arrow(table),
            "lazy polars": pl.scan_parquet(tmp_path / "part.parquet"),
            "parquet": pq.ParquetFile(tmp_path / "part.parquet"),
            "DuckDB": duckdb.connect().sql(f"SELECT * FROM '{tmp_path / 'part.parquet'}'"),
            "Dask": dask.dataframe.from_pandas(to_arrow_pandas(table), npartitions=4),
            "Spark": spark.createDataFrame(table).repartition(3),
        }
        expected = binning.profile(table)
        for source in sources.values():
            assert_same(binning.profile(source), expected)

    def test_plain_pandas_has_the_same_integers(self):
        """numpy-backed pandas stores nulls of integers as NaN: the counts and the fingerprint are those of Arrow."""
        table = pa.table({"a": [1, None, 3], "b": [0.5, None, 2.5], "t": ["x", None, "y"]})
        binning = mk.Binning.fit(table)
        assert table.to_pandas()["a"].dtype == "float64"
        assert_same(binning.profile(table.to_pandas()), binning.profile(table))

    @pytest.mark.parametrize("n_jobs", [2, 3])
    def test_threads_give_the_same_integers(self, n_jobs):
        """Rows shared among threads, of one frame and of a stream; more threads than rows are no harm."""
        expected = BINNING.profile(TABLE)
        assert_same(BINNING.profile(TABLE, n_jobs=n_jobs), expected)
        assert_same(BINNING.profile(iter(TABLE.to_batches(max_chunksize=70)), n_jobs=n_jobs), expected)
        assert_same(BINNING.profile(TABLE[:2], n_jobs=n_jobs), BINNING.profile(TABLE[:2]))
        with pytest.raises(ConfigurationError, match="n_jobs=0"):
            BINNING.profile(TABLE, n_jobs=0)

    @pytest.mark.parametrize("name", list(STREAMS))
    def test_threads_read_ahead_where_an_engine_reads(self, name):
        """With threads, engines on this machine read ahead; the integers stay."""
        assert_same(BINNING.profile(STREAMS[name](TABLE), n_jobs=2), BINNING.profile(TABLE))

    def test_a_users_iterator_stays_in_its_thread(self):
        """SQLite refuses to be read from another thread: chunks of a query are read where they were asked for."""
        with sqlite3.connect(":memory:") as connection:
            pd.DataFrame({"a": range(50)}).to_sql("t", connection, index=False)
            binning = mk.Binning.fit({"a": range(50)})
            chunks = pd.read_sql("SELECT a FROM t", connection, chunksize=7)
            assert binning.profile(chunks, n_jobs=2).n_rows == 50
        connection.close()

    def test_an_error_while_reading_ahead_reaches_the_caller(self, tmp_path):
        """A damaged file is the engine's own error, not a hang."""
        pq.write_table(TABLE.select(["price"]), tmp_path / "a.parquet", row_group_size=50)
        raw = bytearray((tmp_path / "a.parquet").read_bytes())
        raw[200:900] = bytes(700)
        (tmp_path / "a.parquet").write_bytes(raw)
        with pytest.raises((OSError, pa.ArrowException)):
            mk.Binning.fit(TABLE, ["price"]).profile(pq.ParquetFile(tmp_path / "a.parquet"), n_jobs=2)

    def test_a_large_frame_is_read_in_blocks(self):
        """More rows than a block holds, in one frame and in pieces, against numpy."""
        rng = np.random.default_rng(0)
        x = np.where(rng.random(200_001) < 0.1, np.nan, rng.normal(size=200_001))
        binning = mk.Binning.fit({"x": x[:1_000]}, pairs=True)
        whole = binning.profile({"x": x})
        edges, known = binning["x"].edges, x[~np.isnan(x)]
        np.testing.assert_array_equal(
            whole["x"].counts, np.bincount(np.searchsorted(edges, known), minlength=len(edges) + 1)
        )
        assert whole["x"].moments.mean == pytest.approx(known.mean(), rel=1e-12)
        assert whole["x"].moments.variance == pytest.approx(known.var(ddof=1), rel=1e-12)
        assert whole["x"].n_distinct == pytest.approx(len(known), rel=4 * 1.04 / 64)
        assert_same(binning.profile({"x": part} for part in np.array_split(x, 7)), whole)


class TestFit:
    def test_what_is_not_in_memory_is_sampled(self, monkeypatch):
        """Edges of a sample are off by a share of a few standard errors; counts and extremes are of all rows."""
        monkeypatch.setattr(profiles, "SAMPLE", 2_000)
        x = np.random.default_rng(0).permutation(100_000).astype(float)
        stream = lambda: ({"x": part} for part in np.array_split(x, 9))  # noqa: E731
        binning = mk.Binning.fit(stream(), n_bins=20)
        shares = np.searchsorted(np.sort(x), binning["x"].edges, "right") / len(x)
        np.testing.assert_allclose(shares, np.arange(1, 20) / 20, atol=5 * 0.5 / np.sqrt(2_000))
        assert (shares != np.arange(1, 20) / 20).any()
        profile = binning.profile(stream())
        assert (profile.n_rows, profile["x"].low, profile["x"].high) == (100_000, 0.0, 99_999.0)
        assert binning == mk.Binning.fit(stream(), n_bins=20)
        assert binning != mk.Binning.fit(stream(), n_bins=20, random_state=1)

    @pytest.mark.parametrize("name", list(STREAMS))
    def test_little_data_give_the_bins_of_the_whole(self, name):
        """Up to 100,000 rows a stream is drawn whole: the bins are those of the frame."""
        assert mk.Binning.fit(STREAMS[name](TABLE)).identity == mk.Binning.fit(TABLE).identity

    def test_clusters_are_sampled_where_their_rows_are(self, dask, spark):
        """A Dask and a Spark frame give the same bins as the table."""
        table = TABLE.select(["price", "name", "count"])
        expected = mk.Binning.fit(table).identity
        assert mk.Binning.fit(dask.dataframe.from_pandas(to_arrow_pandas(table), npartitions=3)).identity == expected
        assert mk.Binning.fit(spark.createDataFrame(table)).identity == expected

    def test_columns_of_a_stream_can_be_chosen(self):
        """Without names the first piece decides; with names only they are kept."""
        stream = iter(TABLE.to_batches(max_chunksize=50))
        assert [c.name for c in mk.Binning.fit(stream, ["price", "flag"]).columns] == ["price", "flag"]


class TestBadInput:
    def test_a_column_that_vanishes_between_pieces_is_named_with_its_piece(self):
        """The first piece has it, the second has not."""
        binning = mk.Binning.fit({"a": [1, 2], "b": [1, 2]})
        with pytest.raises(DataError, match=r"piece 1 .*missing column\(s\) \['b'\]"):
            binning.profile(iter([{"a": [1], "b": [1]}, {"a": [2]}]))

    def test_a_column_that_vanishes_on_a_cluster_is_named(self, dask):
        """A partition that lacks a column is refused with its number."""
        binning = mk.Binning.fit({"a": [1, 2], "b": [1, 2]})
        parts = [pd.DataFrame({"a": [1], "b": [2]}), pd.DataFrame({"a": [1]})]
        lazy = dask.dataframe.from_map(lambda i: parts[i], [0, 1], meta=parts[0])
        with pytest.raises((DataError, KeyError), match="b"):
            binning.profile(lazy)

    def test_a_kind_that_changes_between_pieces_is_named_with_its_piece(self):
        """Numbers, then text: an error that says where; integers, then floats are numbers and add up."""
        binning = mk.Binning.fit({"a": [1, 2]})
        with pytest.raises(DataError, match=r"piece 1 .*column 'a' is of kind 'str'"):
            binning.profile(iter([{"a": [1]}, {"a": ["x"]}]))
        both = binning.profile(iter([{"a": [1, None]}, {"a": [2]}]))
        assert (both["a"].kind, both["a"].counts.tolist(), both["a"].n_missing) == ("float", [1, 1, 0], 1)

    @pytest.mark.parametrize("kinds", [("int", "float"), ("int", "decimal"), ("str", "category"), (None, "int")])
    def test_kinds_widen_in_sums(self, kinds):
        """A sum has the kind that holds both."""
        made = {
            "int": {"a": [1]},
            "float": {"a": [1.5]},
            "decimal": {"a": [D("1.5")]},
            "str": {"a": ["x"]},
            "category": {"a": pd.Categorical(["x"])},
            None: {"a": [None]},
        }
        binning = mk.Binning.fit(made[kinds[1]])
        expected = {"category": "str"}.get(kinds[1], kinds[1])
        for pair in itertools.permutations(kinds):
            assert total(binning.profile(made[k]) for k in pair)["a"].kind == expected

    def test_duplicate_names_are_refused(self):
        """Two columns of one name have no bins of their own."""
        twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
        with pytest.raises(DataError, match="duplicate"):
            mk.Binning.fit(twice)
        with pytest.raises(DataError, match="duplicate"):
            mk.Binning.fit({"a": [1]}).profile(twice)

    @pytest.mark.parametrize("name", list(STREAMS))
    def test_no_rows_and_one_row(self, name):
        """A source without rows has a profile without rows, which is the zero of sums; one row counts once."""
        if name not in ("lazy frames", "generator"):
            assert_same(BINNING.profile(STREAMS[name](TABLE[:0])) + BINNING.profile(TABLE), BINNING.profile(TABLE))
        assert BINNING.profile(STREAMS[name](TABLE[:1])).n_rows == 1

    def test_all_null_and_mixed_types(self):
        """Columns of nothing but nulls, and objects of any types, are counted: no row is lost."""
        frame = pd.DataFrame({"none": [None] * 4, "mixed": pd.Series(["a", 1, None, [2]], dtype=object)})
        profile = mk.Binning.fit(frame).profile(frame)
        assert (profile["none"].n_null, profile["none"].counts.tolist(), profile["none"].kind) == (4, [0], None)
        assert (profile["mixed"].n_null, profile["mixed"].counts.tolist()) == (1, [3])
        assert profile["mixed"].n_distinct == 3
        assert profile["none"].n_distinct == 0

    def test_values_for_a_reference_without_values_are_named(self):
        """Text and numbers alike are "other" where the reference had no value, and the profile says which they are."""
        binning = mk.Binning.fit({"a": [None, None]})
        assert binning.profile({"a": ["x", "x", "y"]})["a"].others.counts == (("x", 2), ("y", 1))
        assert binning.profile({"a": [2.5, 2.5]})["a"].others.counts == ((2.5, 2),)
        assert binning.profile({"a": [True, False]})["a"].counts.tolist() == [2]


class TestWhatIsCounted:
    def test_nulls_and_nan_apart(self):
        """polars and Arrow tell null from NaN, pandas' own floats do not, Arrow-backed ones do."""
        table = pa.table({"a": pa.array([1.0, None, float("nan"), float("nan")], pa.float64())})
        binning = mk.Binning.fit(table)
        for data in (table, pl.from_arrow(table), to_arrow_pandas(table)):
            assert (binning.profile(data)["a"].n_null, binning.profile(data)["a"].n_nan) == (1, 2)
        plain = binning.profile(table.to_pandas())["a"]
        assert (plain.n_null, plain.n_nan, plain.n_missing) == (3, 0, 3)

    def test_zeros_and_infinities(self):
        """Zeros of either sign and infinities of either sign, among levels and among bins."""
        values = [0.0, -0.0, np.inf, -np.inf, np.nan, 3.0]
        for reference in ([1.0, 2.0], range(50)):
            found = mk.Binning.fit({"a": reference}).profile({"a": values})["a"]
            assert (found.n_zero, found.n_infinite, found.low, found.high, found.counts.sum()) == (2, 2, 0.0, 3.0, 5)
        epoch = mk.Binning.fit({"a": pd.date_range("1970-01-01", periods=30)})
        assert epoch.profile({"a": pd.to_datetime(["1970-01-01", "1980-01-01"])})["a"].n_zero == 1

    def test_extremes_are_exact_beyond_floats(self):
        """Integers beyond 2**53 and nanoseconds."""
        values = [2**53 + 1, 2**62 + 1, -(2**60) - 1]
        found = mk.Binning.fit({"a": range(30)}).profile({"a": np.array(values)})["a"]
        assert (found.low, found.high) == (min(values), max(values))
        stamps = pd.to_datetime([1_600_000_000_000_000_001, 1_600_000_000_000_000_003])
        assert mk.Binning.fit({"a": stamps}).profile({"a": stamps})["a"].high == 1_600_000_000_000_000_003

    def test_lengths_of_texts(self):
        """Characters, not bytes; nulls have none; categories that no row has do not count."""
        texts = pd.Categorical(["é", "abc", None, "abc"], categories=["unused and long", "é", "abc"])
        found = mk.Binning.fit({"a": ["x"]}).profile({"a": texts})["a"].lengths
        assert (found.n, found.total, found.low, found.high) == (3, 7, 1, 3)
        assert found.mean == pytest.approx(7 / 3)
        assert mk.Binning.fit({"a": ["x"]}).profile({"a": pd.Series([None], dtype="str")})["a"].lengths.mean is None

    @pytest.mark.parametrize("kind", ["price", "count", "name", "seen", "flag", "big", "cost", "group", "tags"])
    def test_different_values_are_counted_in_every_kind(self, kind):
        """The estimate is within four standard errors of what Python's set counts, missing ones left out."""
        table = fixed_table(5_000, seed=3).select([kind])
        values = {str(v) for v in table.column(0).to_pylist() if v is not None and v == v}
        found = mk.Binning.fit(table).profile(table)[kind].n_distinct
        assert found == pytest.approx(len(values), rel=4 * 1.04 / 64, abs=0.5)

    def test_unknown_levels_are_named_with_their_error(self):
        """Exact up to a hundred; beyond, at least the counts stated and at most as many more as the error says."""
        binning = mk.Binning.fit({"t": ["a", "b"], "n": [1, 2]})
        found = binning.profile({"t": ["a", "new", "new", "c", None], "n": [1.0, 7.0, 7.5, 7.0, np.nan]})
        assert found["t"].others.counts == (("new", 2), ("c", 1))
        assert found["n"].others.counts == ((7.0, 2), (7.5, 1))
        assert found["t"].others.exact
        many = [f"x{i}" for i in range(500)] + ["often"] * 300
        parts = [binning.profile({"t": many[i::3], "n": [1] * len(many[i::3])}) for i in range(3)]
        others = total(parts)["t"].others
        (level, count), *_ = others.counts
        assert level == "often"
        assert count <= 300 <= count + others.error
        assert others.n == 800

    def test_integer_levels_keep_their_type(self):
        """An unseen code is an integer where the column holds integers, and exact beyond 2**53."""
        found = mk.Binning.fit({"a": [1, 2]}).profile({"a": [1, 9, 2**53 + 1]})["a"]
        assert found.others.counts == ((9, 1), (2**53 + 1, 1))
        assert all(isinstance(level, int) for level, _ in found.others.counts)

    def test_levels_at_the_end_of_floats(self):
        """The smallest float has nothing below it: such a column is binned, and no value is lost."""
        lowest = -np.finfo(float).max
        frame = {"a": [lowest, 1.0, lowest, -np.inf]}
        assert mk.Binning.fit(frame).profile(frame)["a"].counts.sum() == 4
        beside = mk.Binning.fit({"a": [np.nextafter(lowest, 0), np.finfo(float).max]})
        assert isinstance(beside["a"], LevelBins)
        found = beside.profile({"a": [np.nextafter(lowest, 0), np.finfo(float).max, lowest, np.inf, -np.inf]})["a"]
        assert found.counts.tolist() == [1, 1, 3]

    def test_pairs_only_on_request(self):
        """Without pairs there is nothing to count, and profiles with and without do not add."""
        without = mk.Binning.fit(TABLE)
        profile = without.profile(TABLE)
        assert profile.concordant.shape == (0, 0)
        with pytest.raises(DataError, match="different binnings"):
            profile + BINNING.profile(TABLE)

    def test_the_fingerprint_is_of_the_columns_of_the_binning(self):
        """Extra columns do not change it, a changed cell does, parts add up."""
        frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
        binning = mk.Binning.fit(frame)
        expected = mk.frames.fingerprint(frame) if hasattr(mk, "frames") else binning.profile(frame).fingerprint
        assert binning.profile(frame.assign(extra=1)).fingerprint == expected
        assert binning.profile(frame.assign(a=[1, 2, 4])).fingerprint != expected
        assert (binning.profile(frame[:1]) + binning.profile(frame[1:])).fingerprint == expected


class TestRedaction:
    FRAME = pd.DataFrame(
        {
            "who": ["alice", "bob", "alice", None],
            "kind": pd.Categorical(["private", "business", "private", "private"]),
            "n": range(4),
        }
    )

    def test_names_are_nowhere(self):
        """Neither the binning nor a profile, its table or its page holds a name, known or new."""
        binning = mk.Binning.fit(self.FRAME, redact=["who", "kind"])
        profile = binning.profile(pd.concat([self.FRAME, self.FRAME.assign(who="carol")]))
        for text in (
            binning.to_json(),
            profile.to_json(),
            str(profile.to_frame()),
            profile._repr_html_(),
            str(profile),
        ):
            assert not any(name in text for name in ("alice", "bob", "carol", "private", "business"))

    def test_counts_are_those_of_the_names(self):
        """Hidden levels are counted as before, by any engine; the unknown one has a digest too."""
        plain, hidden = mk.Binning.fit(self.FRAME), mk.Binning.fit(self.FRAME, redact=["who"])
        batch = pd.DataFrame({"who": ["bob", "carol", "alice", "bob"], "kind": "business", "n": 1})
        a, b = plain.profile(batch)["who"], hidden.profile(batch)["who"]
        assert (a.counts.tolist(), a.lengths, a.n_distinct) == (b.counts.tolist(), b.lengths, b.n_distinct)
        assert [n for _, n in a.others.counts] == [n for _, n in b.others.counts]
        assert_same(hidden.profile(pl.from_pandas(batch).lazy()), hidden.profile(batch))

    def test_it_travels(self):
        """A hidden binning read back hides and counts the same."""
        binning = mk.Binning.fit(self.FRAME, redact=["who"])
        again = mk.Binning.from_json(binning.to_json())
        assert again.profile(self.FRAME) == binning.profile(self.FRAME)
        assert binning.identity != mk.Binning.fit(self.FRAME).identity

    def test_equal_names_in_two_columns_look_different(self):
        """A digest does not link columns."""
        binning = mk.Binning.fit({"a": ["x"], "b": ["x"]}, redact=["a", "b"])
        assert binning["a"].levels != binning["b"].levels

    def test_numbers_cannot_be_hidden(self):
        """Edges and extremes are values of rows: an error that says what to do; unknown columns are an error too."""
        with pytest.raises(DataError, match="leave the column out"):
            mk.Binning.fit(self.FRAME, redact=["n"])
        for redact in (["nope"], "who"):
            with pytest.raises(ConfigurationError, match="redact="):
                mk.Binning.fit(self.FRAME, redact=redact)


def test_every_column_of_the_schema_is_profiled():
    """No column is left out, whatever its kind."""
    assert [c.name for c in BINNING.profile(TABLE).columns] == SCHEMA.names
