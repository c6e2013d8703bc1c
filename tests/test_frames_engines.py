"""Data of any size, from any engine: pieces, sums over pieces, fingerprints and samples, each engine for real."""

import datetime as dt
import decimal
import json
import sys
from itertools import combinations, pairwise

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from every_kind import (
    IN_MEMORY,
    KINDS,
    SCHEMA,
    STREAMS,
    TABLES,
    fixed_table,
    to_arrow_pandas,
    to_dict,
)
from mlopskit import frames
from mlopskit.errors import ConfigurationError, DataError, MissingExtra
from mlopskit.frames import engines, sources

D = decimal.Decimal
FOREIGN = "ignore:PySpark does not yet fully support pandas:FutureWarning"
pytestmark = pytest.mark.filterwarnings(FOREIGN)


def tally(frame):
    """A small summary: for each column its kind, rows, missing values and the sum of its cells' hashes."""
    return {
        c.name: [c.kind, len(c), int(c.missing.sum()), int(frames.hashes(c).sum(dtype=np.uint64))]
        for c in frames.columns(frame)
    }


def add(a, b):
    """The tally of two parts; a column has one kind."""
    assert {name: row[0] for name, row in a.items()} == {name: row[0] for name, row in b.items()}
    return {k: [v[0], v[1] + b[k][1], v[2] + b[k][2], (v[3] + b[k][3]) % 2**64] for k, v in a.items()}


def dump(summary):
    return json.dumps(summary).encode()


def total(data):
    return frames.summarise(data, tally, add, dump=dump, load=json.loads)


def without_kinds(summary):
    return {name: row[1:] for name, row in summary.items()}


def n_rows(data):
    return frames.summarise(data, frames.n_rows, int.__add__, dump=lambda n: str(n).encode(), load=int)


def numbered(n):
    return pa.table({"i": np.arange(n), "j": np.arange(n) % 7})


@pytest.fixture
def parquet(tmp_path):
    """A parquet file of every kind that parquet has, in several row groups, and the table it holds."""
    table = fixed_table(500).drop_columns(["took"])
    pq.write_table(table, tmp_path / "every.parquet", row_group_size=120)
    return tmp_path / "every.parquet", table


@pytest.fixture(scope="module", autouse=True)
def _send_this_module_along():
    """Other processes cannot import this file: what it defines travels with the work."""
    import cloudpickle
    from pyspark import cloudpickle as sparks

    for pickler in (cloudpickle, sparks):
        pickler.register_pickle_by_value(sys.modules[__name__])


class TestEveryKindIsReadAlike:
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(TABLES)
    def test_engines_in_memory_agree(self, table):
        """Kinds, nulls, NaN and hashes of all cells are the same in every engine that holds frames in memory."""
        expected = tally(table)
        assert {name: row[0] for name, row in expected.items()} == KINDS
        assert {name: tally(make(table)) for name, make in IN_MEMORY.items()} == dict.fromkeys(IN_MEMORY, expected)

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(TABLES)
    def test_sources_that_are_not_in_memory_agree(self, table):
        """Streams, lazy frames, datasets and relations sum up to the tally and the fingerprint of the table."""
        expected = without_kinds(tally(table))
        for make in STREAMS.values():
            assert without_kinds(total(make(table))) == expected
            assert frames.fingerprint(make(table)) == frames.fingerprint(table)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(TABLES, st.data())
    def test_the_whole_is_the_sum_of_any_parts_in_any_order_from_any_engine(self, table, data):
        """Rows in any order, cut anywhere, each part in another engine: the summary is that of the whole."""
        order = data.draw(st.permutations(range(len(table))))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(table)), max_size=3)))
        edges = [0, *cuts, len(table)]
        engines = data.draw(st.lists(st.sampled_from(list(IN_MEMORY)), min_size=len(edges), max_size=len(edges)))
        parts = [table.take(pa.array(order[a:b], pa.int64())) for a, b in pairwise(edges)]
        made = [IN_MEMORY[e](p) if len(p) else p for e, p in zip(engines, parts, strict=False)]
        assert total(iter(made)) == tally(table)
        assert frames.fingerprint(iter(made)) == frames.fingerprint(table)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(TABLES, st.integers(0, 8))
    def test_parts_of_object_columns_add_up(self, table, cut):
        """A part of a pandas object column may look like another kind, or like none; fingerprints add up."""
        plain = table.to_pandas().astype(object)
        whole = frames.fingerprint(plain)
        assert frames.fingerprint(iter([plain[:cut], plain[cut:]])) == whole
        assert frames.fingerprint(plain[::-1]) == whole

    @pytest.mark.parametrize("seed", [1, 2])
    def test_dask_agrees(self, dask, seed):
        """Partitions on other processes, some of them empty, add up to the tally of the whole."""
        table = fixed_table(200, seed)
        whole = to_arrow_pandas(table)
        edges = [0, *np.sort(np.random.default_rng(seed).integers(0, 200, 3)).tolist(), 200]
        cuts = list(pairwise(edges))
        lazy = dask.dataframe.from_map(lambda cut: whole.iloc[slice(*cut)], cuts, meta=whole.iloc[:0])
        assert lazy.npartitions == 4
        assert total(lazy) == tally(table)
        assert frames.fingerprint(lazy) == frames.fingerprint(table)

    def test_spark_agrees(self, spark):
        """Partitions of a Spark frame, some of them empty, add up to the tally; Spark has no categories."""
        table = fixed_table(200)
        lazy = spark.createDataFrame(table)
        expected = tally(table)
        expected["group"][0] = "str"
        assert total(lazy.repartition(3, "small")) == expected
        assert total(lazy.coalesce(1)) == expected
        assert frames.fingerprint(lazy) == frames.fingerprint(table)

    def test_a_parquet_file_is_the_same_everywhere(self, parquet):
        """Polars, DuckDB, pyarrow and pandas read one file to one fingerprint, categories may be text."""
        path, table = parquet
        sources = [
            pq.ParquetFile(path),
            pq.ParquetFile(path).iter_batches(77),
            ds.dataset(path),
            pl.scan_parquet(path),
            duckdb.connect().read_parquet(str(path)),
            pd.read_parquet(path, dtype_backend="pyarrow"),
        ]
        expected = frames.fingerprint(table)
        for source in sources[:1] + sources[2:]:
            assert frames.names(source) == table.column_names
            found = total(source)
            assert without_kinds(found) == without_kinds(tally(table))
            kinds = {name: KINDS[name] for name in table.column_names}
            assert {k: v[0] for k, v in found.items()} in (kinds, kinds | {"group": "str"})
            assert frames.fingerprint(source) == expected
        assert frames.fingerprint(sources[1]) == expected

    def test_pandas_folds_what_its_own_dtypes_fold(self):
        """numpy-backed pandas holds integers beside nulls as floats and takes NaN for null: the content is equal."""
        table = pa.table({"i": [1, None, 3], "f": [1.5, None, float("nan")]})
        plain = table.to_pandas()
        assert frames.fingerprint(plain) == frames.fingerprint(table)
        assert [c.kind for c in frames.columns(plain)] == ["float", "float"]
        assert [c.null.tolist() for c in frames.columns(table)][1] == [False, True, False]
        assert [c.missing.tolist() for c in frames.columns(plain)] == [
            c.missing.tolist() for c in frames.columns(table)
        ]


class TestKindsOfEngines:
    def test_integers_of_128_bits_are_integers(self):
        """A sum of integers in DuckDB, Int128 in polars and a decimal type without places are all of kind int."""
        big = 2**100
        relation = duckdb.connect().sql(f"select * from (values ({big}::hugeint), (null)) as t(a)")
        sources = [
            next(frames.pieces(relation)),
            pl.DataFrame({"a": pl.Series([big, None], dtype=pl.Int128)}),
            pl.DataFrame({"a": pl.Series([big, None], dtype=pl.Decimal(38, 0))}),
            pa.table({"a": pa.array([D(big), None], pa.decimal128(38, 0))}),
            pd.DataFrame({"a": pd.Series([big, None], dtype=object)}),
        ]
        read = [frames.columns(source)[0] for source in sources]
        assert [(c.kind, c.values[0], c.null.tolist()) for c in read] == [("int", big, [False, True])] * 5
        assert len({frames.fingerprint(source) for source in sources}) == 1

    def test_a_column_of_nulls_keeps_the_type_its_engine_knows(self):
        """A piece that holds only nulls is of the kind its engine states, so that pieces agree."""
        for dtype, kind in (
            (pl.Int128, "int"),
            (pl.String, "str"),
            (pl.Decimal(10, 2), "decimal"),
            (pl.Enum(["x"]), "category"),
        ):
            assert frames.columns(pl.DataFrame({"a": pl.Series([None], dtype=dtype)}))[0].kind == kind
        for dtype, kind in (
            (pa.string(), "str"),
            (pa.decimal128(5, 2), "decimal"),
            (pa.date32(), "datetime"),
            (pa.null(), "other"),
        ):
            assert frames.columns(pa.table({"a": pa.nulls(1, dtype)}))[0].kind == kind

    def test_intervals_are_durations_with_months_of_thirty_days(self):
        """DuckDB holds 40 days as a month and 10 days; what it hands back is 40 days, exactly."""
        connection = duckdb.connect()
        took = pd.DataFrame({"a": [pd.Timedelta("40D 3h"), pd.NaT]})  # noqa: F841  read by the query below
        (column,) = frames.columns(next(frames.pieces(connection.sql("select a from took"))))
        assert (column.kind, column.values[0], column.null.tolist()) == (
            "duration",
            pd.Timedelta("40D 3h").value,
            [False, True],
        )
        far = connection.sql("select interval '100000 years' as a")
        assert frames.columns(next(frames.pieces(far)))[0].values[0] == 100_000 * 12 * 30 * 86_400 * 10**9

    def test_texts_and_dictionaries_of_any_layout(self):
        """Large, viewed and run-end encoded text is str; dictionaries with nulls or doubled entries are cleaned."""
        plain = pa.array(["x", None, "x"])
        layouts = [
            plain.cast(pa.large_string()),
            plain.cast(pa.string_view()),
            pa.RunEndEncodedArray.from_arrays([1, 2, 3], plain),
            pa.chunked_array([plain[:1], plain[1:]]),
            pa.chunked_array([], pa.string()),
        ]
        read = [frames.columns(pa.table({"a": layout}))[0] for layout in layouts]
        assert [c.kind for c in read] == ["str"] * 5
        assert [c.values.tolist() for c in read] == [[0, -1, 0]] * 4 + [[]]
        doubled = pa.DictionaryArray.from_arrays([0, 1, 2], pa.array(["x", None, "x"]))
        (column,) = frames.columns(pa.table({"a": doubled}))
        assert (column.kind, column.values.tolist(), list(column.levels)) == ("category", [0, -1, 0], ["x"])
        two = pa.chunked_array([pa.array(["x"]).dictionary_encode(), pa.array(["y", "x"]).dictionary_encode()])
        (column,) = frames.columns(pa.table({"a": two}))
        assert column.levels[column.values].tolist() == ["x", "y", "x"]
        identity = pa.array([b"0" * 16], pa.uuid())
        assert frames.columns(pa.table({"a": identity}))[0].kind == "other"

    def test_nested_values_hash_alike_whoever_holds_them(self):
        """Lists, arrays, tuples and dicts of the same numbers, texts and moments are one content."""
        moment = dt.datetime(2020, 1, 1)
        values = [
            [{"a": [1, 2], "b": moment, "c": None}, [0.5]],
            [{"b": pd.Timestamp(moment), "a": np.array([1, 2]), "c": np.nan}, (np.float64(0.5),)],
            [{"c": pd.NaT, "a": (1.0, D("2.0")), "b": np.datetime64(moment)}, np.array([0.5])],
        ]
        prints = {frames.fingerprint({"x": pd.Series(v, dtype=object)}) for v in values}
        assert len(prints) == 1
        assert frames.fingerprint({"x": [[1], [0.5]]}) not in prints

    def test_mixed_objects_add_up_over_parts_of_one_type(self):
        """A column of several types has the fingerprint of its parts, each of which may look like a plain column."""
        cells = [
            1,
            "x",
            2.5,
            True,
            None,
            D("7"),
            moment_far(),
            dt.date(2020, 1, 1),
            b"x",
            [1],
            2**70,
            pd.Timestamp(0, tz="UTC"),
            (1,),
        ]
        mixed = pd.Series(cells, dtype=object)
        parts = [frames.fingerprint({"x": mixed[i : i + 1].reset_index(drop=True)}) for i in range(len(cells))]
        added = parts[0]
        for part in parts[1:]:
            added = frames.add_fingerprints(added, part)
        assert added == frames.fingerprint({"x": mixed})
        assert len(set(parts)) == len(cells) - 1  # [1] and (1,) are one

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            (1, True), (1, "1"), (0, None), (0.0, False), (0, dt.timedelta(0)), (0, dt.datetime(1970, 1, 1)),
            (-1, 2**64 - 1), (-(2**63) + 1, 2**63 + 1), (2**53, 2**53 + 1), (D("0.1"), 0.1), (10**40, 10**41),
            (10**400, 10**401), (D("1e400"), D("1e401")), (b"x", "x"), (dt.timedelta(1), dt.datetime(1970, 1, 2)),
            (float("inf"), 1e308), (dt.date(9999, 12, 31), dt.date(9999, 12, 30)), ("", None), (D("inf"), D("-inf")),
        ],
    )  # fmt: skip
    def test_different_values_have_different_hashes(self, a, b):
        """No two values that differ share a hash, whatever their types."""
        one, other = (frames.hashes(frames.column(pd.Series([v], dtype=object)))[0] for v in (a, b))
        assert one != other

    @settings(max_examples=200, deadline=None)
    @given(
        st.one_of(
            st.integers(-(2**70), 2**70),
            st.floats(allow_nan=False),
            st.sampled_from([2**63, 2**64, -(2**63), 2**53 + 1]),
        )
    )
    def test_equal_numbers_have_one_hash(self, value):
        """An integer, the equal float and the equal decimal have one hash, in every storage that holds them."""
        exact = D(value)
        sign, digits, exponent = exact.as_tuple()
        doubled = D((sign, (*digits, 0), exponent - 1)) if exact.is_finite() else exact
        forms = [pd.Series([v], dtype=object) for v in (value, exact, doubled)]
        if exact.is_finite() and exact == exact.to_integral_value():
            whole = int(value)
            forms += [
                pd.Series([whole], dtype=t)
                for t, low, high in ((np.int64, -(2**63), 2**63), (np.uint64, 0, 2**64))
                if low <= whole < high
            ]
        if isinstance(value, float) or float(value) == value:
            forms.append(pd.Series([float(value)]))
        assert len({int(frames.hashes(frames.column(form))[0]) for form in forms}) == 1


def moment_far():
    return dt.datetime(9999, 12, 31, 23, 59, 59, 999999)


class TestPieces:
    @pytest.mark.parametrize("engine", [pd.DataFrame, pl.DataFrame, pa.table, dict])
    def test_a_frame_in_memory_is_its_own_single_piece(self, engine):
        """Nothing is copied and nothing is cut."""
        frame = engine({"a": [1, 2]})
        (piece,) = frames.pieces(frame)
        assert piece is frame

    def test_a_record_array_is_a_frame(self):
        """numpy records have names; they are taken and selected in kind, also in foreign byte order."""
        records = np.array([(1, 2.5), (3, np.nan)], dtype=[("a", ">i4"), ("b", "f8")])
        assert frames.is_frame(records)
        assert [(c.name, c.kind) for c in frames.columns(records)] == [("a", "int"), ("b", "float")]
        assert frames.take(records, [1])["a"].tolist() == [3]
        assert frames.select(records, ["b"]).dtype.names == ("b",)
        assert frames.fingerprint(records) == frames.fingerprint({"a": [1, 3], "b": [2.5, None]})

    def test_a_record_batch_is_a_frame(self):
        """A pyarrow RecordBatch is taken and selected in kind."""
        batch = pa.record_batch({"a": [1, 2], "b": ["x", None]})
        assert frames.cells(frames.take(batch, [1]), "a", [0]) == (2,)
        assert type(frames.select(batch, ["b"])) is pa.RecordBatch
        assert frames.to_pandas(batch)["b"].tolist()[0] == "x"

    def test_large_sources_come_in_small_pieces(self, tmp_path):
        """No piece of a file of 400,000 rows holds more than 262,144, whoever reads it, and no row is lost."""
        path = tmp_path / "long.parquet"
        pq.write_table(numbered(400_000), path)
        readers = [
            pl.scan_parquet(path),
            duckdb.connect().read_parquet(str(path)),
            ds.dataset(path),
            pq.ParquetFile(path),
        ]
        for source in readers:
            sizes = [frames.n_rows(piece) for piece in frames.pieces(source)]
            assert sum(sizes) == 400_000
            assert max(sizes) <= 262_144

    def test_only_one_piece_is_asked_for_at_a_time(self):
        """A stream is read as its pieces are used: none is fetched ahead."""
        fetched = []

        def stream():
            for i in range(5):
                fetched.append(i)
                yield {"a": [i]}

        for used, _ in enumerate(frames.pieces(stream())):
            assert fetched == list(range(used + 1))

    def test_chunks_of_a_csv_file(self, tmp_path):
        """read_csv(chunksize=...) is a stream of frames; an integer column with a gap in one chunk changes nothing."""
        path = tmp_path / "a.csv"
        path.write_text("i,s\n1,x\n2,y\n,z\n4,\n")
        with pd.read_csv(path, chunksize=2) as chunks:
            assert frames.fingerprint(chunks) == frames.fingerprint(pd.read_csv(path))

    def test_a_source_without_rows_is_one_piece_without_rows(self, tmp_path, spark, dask):
        """The schema is known, so zero rows have a summary, in every engine."""
        empty = fixed_table(3)[:0]
        pq.write_table(empty, tmp_path / "none.parquet")
        lazy = dask.dataframe.from_pandas(to_arrow_pandas(fixed_table(3)), npartitions=2)
        sources = [
            *(make(empty) for name, make in STREAMS.items() if name != "generator"),
            pl.scan_parquet(tmp_path / "none.parquet"),
            pq.ParquetFile(tmp_path / "none.parquet"),
            ds.dataset(tmp_path / "none.parquet"),
            iter([empty, to_arrow_pandas(empty)]),
            to_arrow_pandas(empty),
            lazy[lazy["small"] > 1000],
            spark.createDataFrame(fixed_table(3)).filter("small > 1000"),
        ]
        for source in sources:
            assert without_kinds(total(source)) == {name: [0, 0, 0] for name in SCHEMA.names}
        assert n_rows({}) == 0

    def test_empty_pieces_are_left_out_where_others_have_rows(self):
        """An empty piece has no types, so it does not take part."""
        untyped = pd.DataFrame({"a": pd.Series([], dtype=object)})
        assert total(iter([untyped, {"a": [1]}, untyped])) == tally({"a": [1]})

    def test_one_row(self):
        """A single row is summed up as any other."""
        for make in (*IN_MEMORY.values(), *STREAMS.values()):
            assert n_rows(make(fixed_table(1))) == 1

    def test_a_relation_is_read_again_and_frees_its_connection(self):
        """A relation can be read twice, and its connection is free after the last piece, or when reading stops."""
        connection = duckdb.connect()
        relation = connection.sql("select range as i from range(300000)")
        assert n_rows(relation) == n_rows(relation) == 300_000
        reading = frames.pieces(relation)
        next(reading)
        reading.close()
        assert connection.sql("select 1").fetchall() == [(1,)]


class TestSelection:
    def test_names_are_known_without_reading(self, parquet, spark, dask):
        """Lazy sources name their columns; a stream cannot, a selected stream can."""
        path, table = parquet
        for source in (pl.scan_parquet(path), ds.dataset(path), ds.dataset(path).scanner(), table.to_reader()):
            assert frames.names(source) == table.column_names
        assert frames.names(duckdb.connect().read_parquet(str(path))) == table.column_names
        assert frames.names(dask.dataframe.from_pandas(to_arrow_pandas(table), npartitions=2)) == table.column_names
        assert frames.names(spark.createDataFrame(table)) == table.column_names
        with pytest.raises(DataError, match="only when it is read"):
            frames.names(iter([table]))
        assert frames.names(frames.select(iter([table]), ["name"])) == ["name"]

    def test_columns_are_chosen_in_every_source(self, parquet, spark, dask):
        """select keeps the columns asked for, in order, drop the others; summaries see nothing else."""
        path, table = parquet
        wanted = ["price", "name"]
        expected = frames.fingerprint(table.select(wanted))
        sources = [
            *(make(table) for make in (*IN_MEMORY.values(), *STREAMS.values())),
            pq.ParquetFile(path),
            pl.scan_parquet(path),
            ds.dataset(path),
            dask.dataframe.from_pandas(to_arrow_pandas(table), npartitions=2),
            spark.createDataFrame(table),
        ]
        for source in sources:
            kept = frames.select(source, wanted)
            assert frames.names(kept) == wanted
            assert frames.fingerprint(kept) == expected
        lazy = frames.select(frames.select(pq.ParquetFile(path), ["price", "name", "day"]), wanted)
        assert frames.fingerprint(lazy) == frames.fingerprint(lazy) == expected
        assert (
            frames.names(frames.drop(pl.scan_parquet(path), [n for n in table.column_names if n not in wanted]))
            == ["price", "name"][::1]
        )

    def test_only_the_columns_asked_for_are_read(self, tmp_path):
        """A column whose bytes are broken does no harm where it is not asked for."""
        path = tmp_path / "broken.parquet"
        pq.write_table(
            pa.table({"good": np.arange(1000), "bad": np.random.default_rng(0).random(1000)}),
            path,
            compression="none",
            use_dictionary=False,
        )
        chunk = pq.ParquetFile(path).metadata.row_group(0).column(1)
        content = bytearray(path.read_bytes())
        content[chunk.data_page_offset : chunk.data_page_offset + 40] = b"\xff" * 40
        path.write_bytes(content)
        for source in (
            pq.ParquetFile(path),
            ds.dataset(path),
            pl.scan_parquet(path),
            duckdb.connect().read_parquet(str(path)),
        ):
            assert n_rows(frames.select(source, ["good"])) == 1000
            with pytest.raises(Exception, match=r".") as caught:
                frames.fingerprint(source)
            assert not isinstance(caught.value, AssertionError)

    def test_names_that_need_quotes(self, spark):
        """Names with dots, quotes, spaces and backticks are names like any other."""
        table = pa.table({"a.b": [1], 'q"x': [2], "c d": [3], "e`f": [4]})
        sources = [*(make(table) for make in (*IN_MEMORY.values(), *STREAMS.values())), spark.createDataFrame(table)]
        for source in sources:
            for name in table.column_names[:3]:
                kept = frames.select(source, [name]) if name == "a.b" else None
                assert kept is None or frames.names(kept) == ["a.b"]
        for name in table.column_names:
            for make in STREAMS.values():
                assert frames.fingerprint(frames.select(make(table), [name])) == frames.fingerprint(
                    table.select([name])
                )
            assert frames.fingerprint(frames.select(sources[-1], [name])) == frames.fingerprint(table.select([name]))


class TestBadInput:
    def test_what_cannot_be_read_is_refused_in_words(self):
        """The error names what came and what is accepted."""
        things = [None, 3, "data.parquet", b"", [pd.DataFrame()], (1,), {1}, np.zeros((2, 2)), np.zeros(2)]
        things += [pd.Series([1]), pl.Series([1]), pa.array([1]), pl.col("a"), duckdb.connect(), ds]
        asks = (frames.names, frames.fingerprint, lambda x: list(frames.pieces(x)), lambda x: frames.sample(x, 1, 1))
        for thing in things:
            for ask in asks:
                with pytest.raises(DataError, match=rf"{type(thing).__name__}; expected a pandas or polars DataFrame"):
                    ask(thing)

    def test_hints_say_what_to_do(self):
        """Lists, arrays and objects of known engines get one more sentence."""
        for thing, hint in (
            ([1], r"iter\("),
            (np.zeros((2, 2)), r"dict\(zip"),
            (duckdb.connect(), r"mlopskit\[duckdb\]"),
        ):
            with pytest.raises(DataError, match=hint):
                frames.names(thing)

    def test_a_stream_of_other_things_is_refused(self):
        """Numbers, texts or lists in a stream are no frames."""
        for stream in (iter([1]), iter("ab"), iter([[pd.DataFrame()]])):
            with pytest.raises(DataError, match="expected a pandas or polars DataFrame"):
                list(frames.pieces(stream))

    def test_no_pieces_are_no_data(self):
        """A stream without frames has no columns, so it has no summary."""
        for ask in (frames.fingerprint, n_rows, lambda x: frames.sample(x, 3, 0)):
            with pytest.raises(DataError, match="there are no pieces"):
                ask(iter([]))

    def test_a_column_that_vanishes_is_found(self):
        """The message says in which piece, and what is missing; an order of columns is no matter."""
        fine = [{"a": [1], "b": [2]}, {"b": [2], "a": [1]}]
        assert n_rows(iter(fine)) == 2
        for broken, name in (({"a": [1]}, "'b'"), ({"a": [1], "b": [2], "c": [3]}, "'c'")):
            for ask in (n_rows, frames.fingerprint, lambda x: list(frames.pieces(x)), lambda x: frames.sample(x, 2, 0)):
                with pytest.raises(DataError, match=f"piece 2 .*{name}"):
                    ask(iter([*fine, broken]))
        with pytest.raises(DataError, match=r"piece 2 .*missing column\(s\) \['b'\]"):
            n_rows(frames.select(iter([*fine, {"a": [1]}]), ["b"]))
        assert n_rows(frames.select(iter([*fine, {"a": [1], "b": [2], "c": [3]}]), ["b"])) == 3

    def test_a_column_that_vanishes_on_a_cluster_is_found(self, dask):
        """A Dask partition that is not what it said fails by its number."""
        meta = pd.DataFrame({"a": [1], "b": [2]})
        lazy = dask.dataframe.from_map(
            lambda i: meta if i < 2 else meta[["a"]], range(3), meta=meta.iloc[:0], enforce_metadata=False
        )
        with pytest.raises(DataError, match=r"partition 2 .*'b'"):
            n_rows(lazy)

    def test_errors_of_the_summary_name_the_piece(self, spark, dask):
        """What the summary refuses is said with the piece or partition, wherever it runs."""

        def one(piece):
            if 7 in frames.columns(piece)[0].values:
                raise DataError("a seven")
            return 1

        def ask(data):
            return frames.summarise(data, one, int.__add__, dump=lambda n: b"%d" % n, load=int)

        table = pa.table({"a": np.arange(9)})
        assert ask(iter([table[:3], table[3:5]])) == 2
        with pytest.raises(DataError, match="piece 1 of the data, counted from 0: a seven"):
            ask(iter([table[:3], table[3:]]))
        with pytest.raises(DataError, match="partition 2 of the data, counted from 0: a seven"):
            ask(dask.dataframe.from_pandas(table.to_pandas(), npartitions=3))
        with pytest.raises(DataError, match="partition 2 of the data, counted from 0: a seven"):
            ask(spark.range(0, 9, numPartitions=3))

    def test_a_column_that_changes_its_kind_is_refused_where_it_does(self, dask):
        """A sum that refuses another kind says in which piece the kind changed."""

        def add(a, b):
            if a != b:
                raise DataError(f"{a} became {b}")
            return a

        def ask(data):
            kind = lambda piece: frames.columns(piece)[0].kind  # noqa: E731
            return frames.summarise(data, kind, add, dump=str.encode, load=bytes.decode)

        assert ask(iter([{"a": [1]}, {"a": [2]}])) == "int"
        with pytest.raises(DataError, match="piece 2 of the data, counted from 0: int became str"):
            ask(iter([{"a": [1]}, {"a": [2]}, {"a": ["x"]}]))
        mixed = dask.dataframe.from_pandas(
            pd.DataFrame({"a": pd.Series([1, 2, "x", "y"], dtype=object)}), npartitions=2
        )
        with pytest.raises(DataError, match="int became str"):
            ask(mixed)

    def test_a_summary_that_fails_leaves_its_source_usable(self, tmp_path):
        """Reading stops at the first error, nothing hangs, and the source can be read again."""
        path = tmp_path / "long.parquet"
        pq.write_table(numbered(400_000), path)
        connection = duckdb.connect()
        for source in (
            pl.scan_parquet(path),
            ds.dataset(path),
            pq.ParquetFile(path),
            connection.read_parquet(str(path)),
        ):
            with pytest.raises(ZeroDivisionError):
                frames.summarise(source, lambda piece: 1 / 0, int.__add__, dump=bytes, load=int)
            assert n_rows(source) == 400_000

    def test_other_errors_of_the_summary_pass_through(self):
        """A bug in the summary is not called bad data."""
        with pytest.raises(ZeroDivisionError):
            frames.summarise(iter([{"a": [1]}]), lambda piece: 1 / 0, int.__add__, dump=bytes, load=int)

    def test_missing_and_doubled_names_are_refused_before_reading(self, parquet, dask, spark):
        """A lazy source says at once that a column is missing or stands twice."""
        path, table = parquet
        twice = pa.table([[1], [2]], names=["a", "a"])
        sources = [pl.scan_parquet(path), ds.dataset(path), pq.ParquetFile(path), spark.createDataFrame(table)]
        for source in (*sources, duckdb.connect().read_parquet(str(path))):
            with pytest.raises(DataError, match="missing column"):
                frames.select(source, ["zzz"])
        doubled = dask.dataframe.from_pandas(twice.to_pandas(), npartitions=1)
        for source in (twice.to_reader(), ds.dataset(twice), doubled, spark.sql("select 1 as a, 2 as a")):
            assert frames.names(source) == ["a", "a"]
            with pytest.raises(DataError, match="duplicate"):
                frames.select(source, ["a"])

    def test_the_rows_of_a_cluster_stay_there(self, dask, spark):
        """pieces refuses Dask and Spark frames and says what serves."""
        for source in (dask.dataframe.from_pandas(pd.DataFrame({"a": [1]}), npartitions=1), spark.range(3)):
            with pytest.raises(DataError, match=r"frames\.summarise"):
                next(frames.pieces(source))

    def test_a_missing_package_is_named_with_its_extra(self, monkeypatch, spark):
        """DuckDB and Spark hand rows on through pyarrow."""
        relation = duckdb.connect().sql("select 1 as a")
        lazy = spark.range(3)
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        for source, extra in ((relation, "duckdb"), (lazy, "spark")):
            with pytest.raises(MissingExtra, match=rf"mlopskit\[{extra}\]"):
                frames.fingerprint(source)


class TestSummariesTravelAlone:
    """What workers do is also done here, where its lines are counted."""

    def test_a_spark_partition_becomes_one_row(self):
        """Small batches are put together, renamed and summed up; bad data become a message, no rows nothing."""
        sizes = []

        def one(piece):
            sizes.append(frames.n_rows(piece))
            if frames.names(piece) != ["real.name"]:
                raise DataError("wrong name")
            return sizes[-1]

        work = engines.Work(("real.name",), lambda partition: one, int.__add__, lambda n: b"%d" % n, int)
        batches = [pa.record_batch({"c0": np.arange(n)}) for n in (160_000, 160_000, 10, 10)]
        (row,) = engines._one_row(work)(iter(batches))
        assert row.to_pydict() == {"summary": [b"320020"], "problem": [None]}
        assert sizes == [320_000, 20]
        assert list(engines._one_row(work)(iter([]))) == []
        (row,) = engines._one_row(evolve(work, names=("other",)))(iter(batches))
        assert row.to_pydict() == {
            "summary": [None],
            "problem": ["partition 0 of the data, counted from 0: wrong name"],
        }

    def test_a_sample_of_arrow_rows_travels_as_bytes(self):
        """Rows, their numbers and their schema come back from the bytes; the schema keeps its categories."""
        table = fixed_table(20)
        drawn = sources._drawing(5, 3, 0)(table)
        sent = sources._sent(5, drawn)
        assert type(sent) is bytes
        back = sources._Drawn.received(sent)
        assert back.frame.equals(drawn.frame)
        assert back.keys[0].tolist() == drawn.keys[0].tolist()

    def test_no_row_leaves_its_process(self, dask):
        """Partitions that refuse to be pickled are summed up all the same: only summaries travel."""

        class Stubborn:
            def __reduce__(self):
                raise TypeError("a row left its process")

        def make(i):
            return pd.DataFrame({"a": pd.Series([Stubborn() for _ in range(i + 1)], dtype=object)})

        lazy = dask.dataframe.from_map(make, range(10), meta=pd.DataFrame({"a": pd.Series([], dtype=object)}))
        assert n_rows(lazy) == 55
        with pytest.raises(Exception, match="a row left its process"):
            lazy.compute()

    def test_the_order_of_partitions_is_kept(self, dask, spark):
        """Neighbours are added in order, so that a sum need only be associative."""

        def first(piece):
            return [int(frames.columns(piece)[0].values[0])]

        def ask(data):
            return frames.summarise(data, first, list.__add__, dump=lambda s: json.dumps(s).encode(), load=json.loads)

        lazy = dask.dataframe.from_pandas(pd.DataFrame({"a": np.arange(40)}), npartitions=20)
        assert ask(lazy) == list(range(0, 40, 2))
        assert ask(spark.range(0, 40, numPartitions=20)) == list(range(0, 40, 2))


class TestSample:
    def rows(self, sample):
        return [int(v) for v in frames.columns(sample)[0].values]

    def test_small_data_come_back_whole(self):
        """At most n rows: nothing is drawn, and a frame in memory is handed back itself."""
        frame = pd.DataFrame({"a": [3, 1, 2]}, index=[7, 8, 9])
        assert frames.sample(frame, 3, 0) is frame
        assert self.rows(frames.sample(iter([frame[:1], frame[1:]]), 3, 0)) == [3, 1, 2]
        assert frames.n_rows(frames.sample(iter([frame[:0]]), 3, 0)) == 0

    @settings(max_examples=60, deadline=None)
    @given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**64 - 1), st.lists(st.integers(0, 40), max_size=6))
    def test_the_sample_does_not_depend_on_how_a_stream_is_cut(self, n, k, seed, cuts):
        """In memory or in any pieces, the same rows come out, in order, each at most once."""
        table = numbered(n)
        edges = [0, *sorted(min(c, n) for c in cuts), n]
        parts = [table[a:b] for a, b in pairwise(edges)]
        whole = self.rows(frames.sample(table, k, seed))
        assert self.rows(frames.sample(iter(parts), k, seed)) == whole
        assert whole == sorted(set(whole))
        assert len(whole) == min(k, n)

    def test_every_subset_is_equally_likely(self):
        """All 20 ways to choose 3 of 6 rows come up alike over 4,000 seeds, from a stream in three pieces."""
        table = numbered(6)
        subsets = {rows: i for i, rows in enumerate(combinations(range(6), 3))}
        counts = np.zeros(20)
        for seed in range(4000):
            parts = iter([table[:1], table[1:5], table[5:]])
            counts[subsets[tuple(self.rows(frames.sample(parts, 3, seed)))]] += 1
        assert ((counts - 200) ** 2 / 200).sum() < chi2.isf(1e-6, 19)

    def test_partitions_draw_independently(self):
        """On a cluster, rows of partitions of different sizes are equally likely, and so are all pairs."""
        import dask.config
        import dask.dataframe as dd

        frame = pd.DataFrame({"i": np.arange(5)})
        lazy = dd.from_map(lambda cut: frame[cut[0] : cut[1]], [(0, 1), (1, 5)], meta=frame[:0])
        pairs = {rows: i for i, rows in enumerate(combinations(range(5), 2))}
        counts = np.zeros(10)
        with dask.config.set(scheduler="sync"):
            for seed in range(600):
                counts[pairs[tuple(self.rows(frames.sample(lazy, 2, seed)))]] += 1
        assert ((counts - 60) ** 2 / 60).sum() < chi2.isf(1e-6, 9)

    def test_samples_from_every_source(self, parquet, dask, spark):
        """Every source gives n of its rows, each at most once, as the frame its pieces are."""
        path, table = parquet
        known = set(frames.hashes(frames.columns(table)[2]).tolist())
        partitions = dask.dataframe.from_pandas(to_arrow_pandas(table), npartitions=4)
        sources = [
            (pa.Table, [pq.ParquetFile(path), ds.dataset(path), duckdb.connect().read_parquet(str(path))]),
            (pa.Table, [spark.createDataFrame(table)]),
            (pl.DataFrame, [pl.scan_parquet(path)]),
            (pd.DataFrame, [partitions, iter([to_dict(table[:70]), to_dict(table[70:])])]),
        ]
        for kind, source in ((kind, source) for kind, group in sources for source in group):
            drawn = frames.sample(source, 50, 7)
            assert type(drawn) is kind
            assert frames.n_rows(drawn) == 50
            found = frames.hashes(frames.columns(drawn)[2]).tolist()
            assert set(found) <= known
            assert len(set(found)) >= 50 - frames.columns(drawn)[2].null.sum()

    def test_categories_of_pieces_are_united(self):
        """Pieces whose categories differ stay one category."""
        parts = [pd.DataFrame({"c": pd.Categorical([v])}) for v in ("b", "a", "b")]
        drawn = frames.sample(iter(parts), 5, 0)
        assert drawn["c"].tolist() == ["b", "a", "b"]
        assert [c.kind for c in frames.columns(drawn)] == ["category"]

    @pytest.mark.parametrize("engine", [pa.table, pl.DataFrame, pd.DataFrame, dict])
    def test_pieces_of_other_types_keep_their_values(self, engine):
        """Where pieces cannot be joined unchanged, pandas holds what they hold: no number becomes text."""
        drawn = frames.sample(iter([engine({"a": [1]}), engine({"a": ["x"]})]), 5, 0)
        assert frames.to_pandas(drawn)["a"].tolist() == [1, "x"]

    @pytest.mark.parametrize(
        ("n", "seed"), [(0, 1), (-1, 1), (1.5, 1), (True, 1), (1, -1), (1, 2**64), (1, 0.5), (1, None), (1, False)]
    )
    def test_bad_options_are_refused(self, n, seed):
        """n and seed are checked before anything is read."""
        with pytest.raises(ConfigurationError, match="expected"):
            frames.sample(iter([{"a": [1]}]), n, seed)


def test_engines_are_imported_only_when_their_frames_come():
    """Reading a pandas frame imports no other engine."""
    import subprocess

    code = (
        "import sys, pandas as pd; from mlopskit import frames; frames.fingerprint(iter([pd.DataFrame({'a': [1]})])); "
        "print(sorted({'polars', 'duckdb', 'dask', 'pyspark'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
