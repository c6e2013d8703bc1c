"""Profiles add up: parts = whole, engine = engine, bytes round trip, and counts are what a loop counts."""

import datetime as dt
import decimal
import functools
import operator

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlopskit.errors import ConfigurationError, DataError, FormatError
from mlopskit.profiling import MAX_LEVELS, Binning, LevelBins, NumericBins, Profile, ProfileSet, total

D = decimal.Decimal
NS = 1_000_000_000


def profile_of(reference, batch=None, **options):
    """Fit bins to a reference and profile a batch (the reference itself by default)."""
    return Binning.fit(reference, **options).profile(reference if batch is None else batch)


def column(values, dtype=None):
    return pd.DataFrame({"a": pd.Series(values, dtype=dtype)})


def counts(reference, batch, name="a"):
    """The levels of a column, and how often the batch has each level and "other"."""
    profile = Binning.fit(reference).profile(batch)
    return profile.binning[name].levels, profile[name].counts.tolist()


def random_frame(n=400, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "y": rng.lognormal(size=n),
            "few": rng.integers(0, 5, n),
            "text": rng.choice(["a", "b", "c"], n),
            "flag": rng.random(n) < 0.3,
            "when": pd.Timestamp("2020-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 10**6, n), unit="s"),
        }
    )
    frame.loc[rng.random(n) < 0.1, ["x", "text"]] = None
    return frame


REFERENCE = random_frame()
BINNING = Binning.fit(REFERENCE, pairs=True)

cells = {
    "x": st.one_of(st.floats(-3, 3), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0])),
    "y": st.floats(-1e9, 1e9),
    "few": st.integers(-1, 6),
    "text": st.sampled_from(["a", "b", "c", "new", "", None]),
    "flag": st.booleans(),
    "when": st.sampled_from([pd.Timestamp("2020-01-05", tz="UTC"), pd.Timestamp("1999-01-01", tz="UTC")]),
}


@st.composite
def batches(draw, max_rows=12):
    """A frame like the reference, with values inside and outside its bins; it may have no rows."""
    n = draw(st.integers(0, max_rows))
    data = {name: draw(st.lists(cell, min_size=n, max_size=n)) for name, cell in cells.items()}
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in data.items()})
    return frame.astype(
        {"x": float, "y": float, "few": int, "text": "str", "flag": bool, "when": REFERENCE["when"].dtype}
    )


def assert_same(a, b):
    """Two profiles are equal: counts and extremes exactly, moments to rounding."""
    assert (a.n_rows, a.binning) == (b.n_rows, b.binning)
    np.testing.assert_array_equal(a.concordant, b.concordant)
    np.testing.assert_array_equal(a.paired, b.paired)
    for p, q in zip(a.columns, b.columns, strict=True):
        assert (p.name, p.n_missing, p.n_infinite, p.low, p.high) == (q.name, q.n_missing, q.n_infinite, q.low, q.high)
        assert p.counts.tolist() == q.counts.tolist()
        assert p.moments.n == q.moments.n
        assert p.moments.mean == pytest.approx(q.moments.mean, rel=1e-12, abs=1e-6)
        assert p.moments.squares == pytest.approx(q.moments.squares, rel=1e-9, abs=1e-2)


class TestAddition:
    @settings(deadline=None, max_examples=40)
    @given(batches(), st.data())
    def test_parts_in_any_order_add_up_to_the_whole(self, whole, data):
        """However the rows are dealt into parts, and in whatever order these are added, the sum is the whole."""
        parts = data.draw(st.lists(st.integers(0, 3), min_size=len(whole), max_size=len(whole)))
        order = data.draw(st.permutations(range(4)))
        pieces = [BINNING.profile(whole[np.array(parts, dtype=int) == part]) for part in order]
        assert_same(total(pieces), BINNING.profile(whole))

    @settings(deadline=None, max_examples=20)
    @given(batches(), batches(), batches())
    def test_is_associative_and_commutative(self, a, b, c):
        """(a + b) + c = a + (b + c) and a + b = b + a."""
        p, q, r = (BINNING.profile(part) for part in (a, b, c))
        assert_same((p + q) + r, p + (q + r))
        assert_same(p + q, q + p)

    def test_no_rows_are_the_zero(self):
        """Adding the profile of a frame without rows changes nothing."""
        whole = BINNING.profile(REFERENCE)
        assert whole + BINNING.profile(REFERENCE[:0]) == whole

    def test_other_bins_do_not_add(self):
        """Counts in different bins are refused, even where names and numbers of bins agree."""
        other = Binning.fit(random_frame(seed=1))
        assert [c.name for c in other.columns] == [c.name for c in BINNING.columns]
        with pytest.raises(DataError, match="different binnings do not add"):
            BINNING.profile(REFERENCE) + other.profile(REFERENCE)

    def test_a_profile_adds_to_profiles_alone(self):
        """A number is no profile."""
        with pytest.raises(TypeError):
            BINNING.profile(REFERENCE) + 1

    def test_a_sum_of_none_is_refused(self):
        """There is no binning to give nothing a profile in."""
        with pytest.raises(DataError, match="zero profiles"):
            total([])

    def test_a_sum_has_no_batch_id(self):
        """The id belongs to one batch and is lost in a sum."""
        part = BINNING.profile(REFERENCE, batch_id="monday")
        assert part.batch_id == "monday"
        assert (part + part).batch_id is None
        assert functools.reduce(operator.add, [part] * 3).n_rows == len(part) * 3


class TestBytes:
    @settings(deadline=None, max_examples=20)
    @given(batches())
    def test_profiles_round_trip(self, batch):
        """A profile read back is equal, and adds to its original."""
        profile = BINNING.profile(batch, batch_id="b")
        again = Profile.from_json(profile.to_json())
        assert again == profile
        assert (again + profile).n_rows == 2 * len(batch)
        assert again.to_json() == profile.to_json()

    @pytest.mark.parametrize(
        "values",
        [
            [True, False],
            [1, 2**60 + 1],
            [0.5, -0.0],
            pd.Series(["a", "ä", "\ud800"], dtype=object),
            pd.Categorical([1, "1", "b"]),
            pd.Categorical([1.5, np.inf]),
            [10**400, 1],
            [D("1.1"), D("Infinity"), D("NaN")],
            [None, None],
            [(1, 2), {"b": 1}],
            pd.to_datetime(["2020-01-01", "2021-05-05"]),
            pd.to_timedelta([1, 2], unit="s"),
        ],
    )
    def test_binnings_of_every_kind_round_trip(self, values):
        """A binning read back has the same identity, and counts the same."""
        frame = column(values)
        binning = Binning.fit(frame)
        again = Binning.from_json(binning.to_json())
        assert again == binning
        assert again.identity == binning.identity
        assert again.profile(frame) == binning.profile(frame)

    def test_a_set_writes_its_binning_once(self):
        """Profiles of one binning are stored together: a second one adds less than half of the first."""
        a, b = (BINNING.profile(REFERENCE[i::2], batch_id=str(i)) for i in range(2))
        stored = ProfileSet.of([a, b])
        again = ProfileSet.from_json(stored.to_json())
        assert again.profiles == (a, b)
        assert again.profiles[0].binning is again.profiles[1].binning
        assert len(stored.to_json()) < len(a.to_json()) + len(b.to_json()) - len(BINNING.to_json()) / 2

    def test_a_set_needs_one_binning(self):
        """Profiles of two binnings, or none at all, are no set."""
        for profiles in ([], [BINNING.profile(REFERENCE), profile_of(random_frame(seed=1))]):
            with pytest.raises(DataError, match="one binning"):
                ProfileSet.of(profiles)

    def test_another_type_is_refused(self):
        """The JSON of a profile is no binning."""
        with pytest.raises(FormatError, match="expected a 'Binning'"):
            Binning.from_json(BINNING.profile(REFERENCE).to_json())


class TestIdentity:
    def test_row_order_does_not_matter(self):
        """Shuffled rows give the same bins, whatever the ties of levels, and zeros of either sign."""
        frame = pd.DataFrame({"x": [0.0, -0.0, *range(1, 40)], "t": ["a", "b"] * 20 + ["c"]})
        assert Binning.fit(frame).identity == Binning.fit(frame[::-1]).identity

    def test_edges_levels_names_and_kinds_matter(self):
        """A moved edge, another level, its type, or another name is another binning."""
        frames = [
            column([1, 2]),
            column([1.0, 2.0]),
            column(["1", "2"]),
            column([1, 3]),
            column([True, False]),
            column(range(30)),
            column([*range(29), 29.5]),
            column([1, 2]).rename(columns={"a": "b"}),
        ]
        assert len({Binning.fit(frame).identity for frame in frames}) == len(frames)


def by_hand(values, edges):
    """Count values in right-closed bins by a loop."""
    found = [0] * (len(edges) + 1)
    for value in values:
        found[sum(edge < value for edge in edges)] += 1
    return found


class TestNumbers:
    @settings(deadline=None, max_examples=40)
    @given(
        st.lists(st.floats(-5, 5), min_size=21, max_size=60, unique=True),
        st.lists(st.floats(-6, 6) | st.sampled_from([np.inf, -np.inf]), max_size=30),
        st.sampled_from([20, 33, 200]),
    )
    def test_bins_are_right_closed(self, reference, batch, n_bins):
        """Counts agree with a loop over edge < value, edges included; infinities fall into the outer bins."""
        binning = Binning.fit({"a": reference}, n_bins=n_bins)
        edges = binning["a"].edges
        values = [*batch, *edges[:5]]
        assert binning.profile({"a": np.array(values)})["a"].counts.tolist() == by_hand(values, edges)

    def test_reference_bins_hold_equal_shares(self):
        """2,000 distinct values fill 200 bins with ten each; n_bins=50 with forty each."""
        frame = {"a": np.random.default_rng(0).permutation(2_000) / 7}
        assert set(profile_of(frame)["a"].counts) == {10}
        assert profile_of(frame, n_bins=50)["a"].counts.tolist() == [40] * 50

    def test_fewer_distinct_values_than_bins_leave_bins_empty(self):
        """With 30 distinct values every value has a bin of its own, and the other bins stay empty."""
        found = profile_of({"a": np.repeat(np.arange(30.0), 7)})["a"].counts
        assert sorted(found[found > 0]) == [7] * 30
        assert len(found) == 200

    def test_moments_and_extremes_are_those_of_finite_values(self):
        """Missing and infinite values are counted apart and left out of mean, variance and extremes (numpy)."""
        values = np.array([1.5, np.nan, np.inf, -np.inf, 4.0, -2.0, np.inf])
        found = profile_of({"a": np.arange(30.0)}, {"a": values})["a"]
        finite = values[np.isfinite(values)]
        assert (found.n_missing, found.n_infinite, found.low, found.high) == (1, 3, -2.0, 4.0)
        assert found.counts.sum() == 6
        assert found.moments.n == 3
        assert found.moments.mean == pytest.approx(finite.mean())
        assert found.moments.variance == pytest.approx(finite.var(ddof=1))

    def test_huge_integers_keep_their_extremes(self):
        """Integers that floats round, or cannot hold at all, keep exact extremes; only the former enter the mean."""
        found = profile_of(column([*range(30)], object), column([2**60 + 1, -(10**400), 5], object))["a"]
        assert (found.low, found.high) == (-(10**400), 2**60 + 1)
        assert found.n_infinite == 0
        assert found.counts.sum() == 3
        assert found.moments.n == 2
        unsigned = profile_of(column([0, 2**64 - 1], "uint64"))["a"]
        assert unsigned.high == 2**64 - 1

    def test_few_distinct_values_are_levels(self):
        """Up to 20 distinct numbers are levels, exact ones for integers; 21 are bins."""
        assert isinstance(Binning.fit({"a": range(20)})["a"], LevelBins)
        assert isinstance(Binning.fit({"a": range(21)})["a"], NumericBins)
        assert Binning.fit(column([2**60 + 1, 7]))["a"].levels == (7, 2**60 + 1)

    def test_numbers_off_the_levels_are_other(self):
        """Values between, below and above numeric levels, and infinite ones, are "other"; NaN is missing."""
        levels, found = counts({"a": [1.0, 2.0, 2.0]}, {"a": [1.0, 1.5, 0.0, 9.0, np.inf, -np.inf, np.nan, 2.0]})
        assert levels == (1.0, 2.0)
        assert found == [1, 1, 5]

    def test_integers_and_floats_are_compared_by_value(self):
        """A column of integers that turned to floats because a value is missing is counted as before."""
        assert counts({"a": [1, 2]}, {"a": [1.0, np.nan, 2.0]})[1] == [1, 1, 0]
        assert counts(column([1, 2]), column([1, None, 3], "Int64"))[1] == [1, 0, 1]

    def test_decimals_are_numbers(self):
        """Decimals are binned as numbers: 10 is above 9, infinite ones are counted apart, NaN is missing."""
        reference = column([D(i) for i in range(30)], object)
        found = profile_of(reference, column([D("9"), D("10"), D("Infinity"), D("NaN"), None], object))["a"]
        assert (found.low, found.high, found.n_infinite, found.n_missing) == (9.0, 10.0, 1, 2)
        assert found.moments.mean == 9.5
        assert np.isfinite(profile_of(column([D("Infinity"), *map(D, range(30))], object)).binning["a"].edges).all()

    def test_datetimes_are_moments_in_utc(self):
        """The same moments in two zones, or in seconds instead of nanoseconds, are counted alike."""
        utc = pd.Series(pd.date_range("2020-01-01", periods=40, freq="h", tz="UTC"))
        binning = Binning.fit({"a": utc})
        for other in (utc.dt.tz_convert("Asia/Tokyo"), utc.dt.as_unit("s")):
            assert binning.profile(pd.DataFrame({"a": other})) == binning.profile(pd.DataFrame({"a": utc}))
        assert binning.profile({"a": utc})["a"].low == 1_577_836_800 * NS

    def test_one_row_and_a_constant(self):
        """One row is a level of its own, with variance 0; so is a constant."""
        for frame in ({"a": [5.0]}, {"a": [5.0] * 9}):
            profile = profile_of(frame)
            assert profile.binning["a"].levels == (5.0,)
            assert profile["a"].counts.tolist() == [len(frame["a"]), 0]
            assert profile["a"].moments.variance == 0


class TestLevels:
    def test_unseen_levels_are_other(self):
        """A level that the reference does not have is counted as "other", a null as missing."""
        levels, found = counts(column(["b", "a", "b"]), column(["a", "new", "b", None, "newer"]))
        assert levels == ("b", "a")
        assert found == [1, 1, 2]

    def test_unused_categories_are_no_levels(self):
        """Categories without rows are not in the binning, and the order of categories does not matter."""
        reference = column(pd.Categorical(["a", "b", "a"], categories=["z", "b", "a"]))
        batch = column(pd.Categorical(["b", "z", None], categories=["b", "z"]))
        assert counts(reference, batch) == (("a", "b"), [0, 1, 1])

    @pytest.mark.parametrize(
        "batch", [column(["a", "b", "x"], t) for t in (object, "str", "string", "category", pd.ArrowDtype(pa.string()))]
    )
    def test_text_and_categories_are_the_same_levels(self, batch):
        """However a column of text is stored, its levels are its text."""
        assert counts(column(pd.Categorical(["a", "a", "b"])), batch) == (("a", "b"), [1, 1, 1])

    def test_categories_of_numbers_stay_numbers(self):
        """The level 1 is not the level "1", nor True."""
        reference = column(pd.Categorical([1, 1, 1, "1", "1", "b"]))
        assert counts(reference, column(pd.Categorical(["1", 1, 1])))[1] == [2, 1, 0, 0]
        assert counts(reference, column(pd.Categorical(["1", True])))[1] == [0, 1, 0, 1]

    @pytest.mark.parametrize(
        "batch", [column([True, None, False, True], t) for t in (object, "boolean", pd.ArrowDtype(pa.bool_()))]
    )
    def test_booleans_with_nulls(self, batch):
        """True, False and null, in pandas objects, nullable and Arrow booleans: two levels and a missing row."""
        profile = profile_of(column([False, True]), batch)
        assert profile["a"].counts.tolist() == [1, 2, 0]
        assert profile["a"].n_missing == 1

    def test_a_boolean_is_not_zero_or_one(self):
        """0 and 1 for True and False is a change of kind: an error, not a count, in either direction."""
        for reference, batch in (([True, False], [0, 1]), ([0, 1], [True, False])):
            with pytest.raises(DataError, match="column 'a' is of kind"):
                counts(column(reference), column(batch))

    def test_a_level_of_one_side_alone(self):
        """A reference of True alone counts False as "other"."""
        assert counts(column([True, True]), column([True, False])) == ((True,), [1, 1])

    def test_mixed_types_are_compared_one_by_one(self):
        """A column of text in which numbers turn up keeps its known levels; the rest is "other"."""
        assert counts(column(["a", "b"]), column(["a", 1, None, ["a"], "b", "b"], object)) == (("a", "b"), [1, 2, 2])

    def test_a_reference_of_mixed_types_has_no_levels(self):
        """Lists and the like are counted, all as "other"."""
        assert counts(column([[1], {"k": 2}, "a"], object), column([[1], None], object)) == ((), [1])

    def test_the_most_frequent_levels_are_kept(self):
        """Of more than a thousand levels the most frequent are kept, ties by name, the rest is counted as "other"."""
        values = [f"v{i:04d}" for i in range(MAX_LEVELS + 5)] + ["v1004"]
        levels, found = counts(column(values), column(values))
        assert len(levels) == MAX_LEVELS
        assert levels[:3] == ("v1004", "v0000", "v0001")
        assert found[-1] == 5


class TestFrames:
    @pytest.mark.parametrize("values", [[None, None], [np.nan, np.nan], [pd.NaT, pd.NaT]])
    @pytest.mark.parametrize("batch", [[1.5, 2.0], ["a", "b"], [True, False], pd.to_datetime(["2020", "2021"])])
    def test_a_column_that_was_all_missing_takes_every_kind(self, values, batch):
        """A reference without values has no kind: later values, whatever they are, are all "other"."""
        assert counts(column(values), column(batch)) == ((), [2])

    @pytest.mark.parametrize("name", list(cells))
    def test_a_column_that_is_all_missing_is_counted_missing(self, name):
        """Nulls have no kind: a column of them adds rows to `n_missing` alone, whatever the bins."""
        batch = REFERENCE[:3].assign(**{name: [None] * 3})
        found = BINNING.profile(batch)
        assert (found[name].n_missing, found[name].counts.sum()) == (3, 0)
        assert_same(found + BINNING.profile(REFERENCE), BINNING.profile(REFERENCE) + found)

    @pytest.mark.parametrize(
        ("reference", "batch"),
        [
            (range(30), ["a"]),
            (["a"], [1.5]),
            (range(30), pd.to_datetime(["2020"])),
            (pd.date_range("2020", periods=30), [1.5]),
            (pd.to_timedelta(range(30), unit="s"), pd.to_datetime(["2020"])),
            ([1, 2], ["a"]),
        ],
    )
    def test_a_change_of_kind_is_an_error(self, reference, batch):
        """Text for numbers, numbers for datetimes and so on: refused with name, got and expected."""
        with pytest.raises(DataError, match=r"column 'a' is of kind '\w+'; its bins were fitted to '\w+'"):
            counts(column(reference), column(batch))

    def test_columns_are_found_by_name(self):
        """Reordered columns give the same profile, extra ones are ignored, missing and duplicate ones are named."""
        whole = BINNING.profile(REFERENCE)
        assert BINNING.profile(REFERENCE[REFERENCE.columns[::-1]]) == whole
        assert BINNING.profile(REFERENCE.assign(extra=1)) == whole
        with pytest.raises(DataError, match=r"missing column\(s\) \['text'\]"):
            BINNING.profile(REFERENCE.drop(columns="text"))
        double = pd.concat([REFERENCE, REFERENCE[["x"]]], axis=1)
        for use in (BINNING.profile, Binning.fit):
            with pytest.raises(DataError, match=r"duplicate column name\(s\) \['x'\]"):
                use(double)

    def test_chosen_columns(self):
        """`columns` keeps those, in that order; an unknown one is an error."""
        assert [c.name for c in Binning.fit(REFERENCE, ["text", "x"]).columns] == ["text", "x"]
        with pytest.raises(DataError, match="missing column"):
            Binning.fit(REFERENCE, ["nope"])
        with pytest.raises(KeyError, match="no column 'x'"):
            Binning.fit(REFERENCE, ["text"])["x"]
        with pytest.raises(KeyError, match="no column 'z'"):
            BINNING.profile(REFERENCE)["z"]

    def test_an_empty_reference_is_refused_and_an_empty_batch_is_zero(self):
        """Bins cannot come from no rows; a batch without rows is a profile of zeros."""
        with pytest.raises(DataError, match="empty frame"):
            Binning.fit(REFERENCE[:0])
        empty = BINNING.profile(REFERENCE[:0])
        assert len(empty) == 0
        assert not any(p.counts.any() for p in empty.columns)

    def test_too_few_bins_are_refused(self):
        """Drift reads twenty bins: fewer are an error at once."""
        with pytest.raises(ConfigurationError, match="n_bins=10"):
            Binning.fit(REFERENCE, n_bins=10)

    def test_the_batch_is_not_changed(self):
        """Profiling reads the frame and leaves it as it is."""
        before = REFERENCE.copy(deep=True)
        BINNING.profile(REFERENCE)
        pd.testing.assert_frame_equal(REFERENCE, before)

    @pytest.mark.parametrize(
        "engine",
        [
            pl.from_pandas,
            pa.Table.from_pandas,
            lambda frame: frame.convert_dtypes(),
            lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
            lambda frame: {name: frame[name].to_numpy() for name in frame},
            lambda frame: frame.astype(object),
        ],
        ids=["polars", "pyarrow", "nullable", "Arrow-backed pandas", "dict", "objects"],
    )
    def test_engines_agree(self, engine):
        """polars, pyarrow, nullable and Arrow dtypes, arrays and objects give the profile that plain pandas gives."""
        frame = REFERENCE.astype({"when": "datetime64[ns, UTC]"})
        if engine.__name__ == "<lambda>" and isinstance(engine(frame), dict):
            frame = frame.assign(when=frame["when"].dt.tz_localize(None))
        binning = Binning.fit(frame)
        assert Binning.fit(engine(frame)).identity == binning.identity
        assert_same(binning.profile(engine(frame)), binning.profile(frame))


class TestPairs:
    def test_numeric_columns_with_bins_are_paired(self):
        """Concordant rows of x, y and when are counted at the reference's medians, a loop being the second source."""
        profile = BINNING.profile(REFERENCE)
        assert [c.name for c in BINNING.paired] == ["x", "y", "when"]
        known = REFERENCE.dropna(subset="x")
        same = (known["x"] <= known["x"].median()) == (known["y"] <= REFERENCE["y"].median())
        assert profile.concordant[0, 1] == same.sum()
        assert profile.paired[0, 1] == len(known)

    def test_no_numeric_columns_have_no_pairs(self):
        """Text alone has empty matrices, which add."""
        profile = profile_of({"a": ["x", "y"]})
        assert (profile + profile).concordant.shape == (0, 0)


class TestCounts:
    @pytest.mark.parametrize(
        "engine", [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas, lambda frame: iter([frame])]
    )
    def test_counting_counts_what_profiles_count(self, engine):
        """All but the fingerprint and the different values are as in a profile, of every engine and of pieces."""
        data = random_frame()
        binning = Binning.fit(data, pairs=True)
        whole, counted = binning.profile(engine(data)), binning.count(engine(data))
        for a, b in zip(whole.columns, counted.columns, strict=True):
            assert attrs.evolve(b, distinct=a.distinct) == a
        assert (counted.concordant == whole.concordant).all()
        assert (counted.paired == whole.paired).all()


class TestToFrame:
    def test_one_row_for_each_column(self):
        """The table agrees with pandas: mean, sd, extremes, missing, the most frequent level."""
        table = BINNING.profile(REFERENCE).to_frame().set_index("column")
        assert list(table.index) == list(REFERENCE.columns)
        assert table.loc["y", "mean"] == pytest.approx(REFERENCE["y"].mean())
        assert table.loc["y", "sd"] == pytest.approx(REFERENCE["y"].std())
        assert table.loc["x", "n_null"] == REFERENCE["x"].isna().sum()
        assert table.loc["text", "top"] == REFERENCE["text"].mode()[0]
        assert table.loc["flag", "top"] is np.False_ or table.loc["flag", "top"] is False
        assert set(table["n_rows"]) == {400}

    def test_times_are_shown_as_times(self):
        """Nanoseconds become time stamps, and the sd of time stamps a time difference."""
        table = BINNING.profile(REFERENCE).to_frame().set_index("column")
        assert table.loc["when", "low"] == REFERENCE["when"].min().tz_localize(None)
        assert abs(table.loc["when", "sd"] - REFERENCE["when"].std()) < dt.timedelta(milliseconds=1)
        wait = profile_of(column(pd.to_timedelta([1, 1, 2], unit="h"))).to_frame()
        assert wait.loc[0, "top"] == pd.Timedelta(1, "h")

    def test_no_rows_show_nothing(self):
        """A profile without rows has neither mean nor top."""
        table = BINNING.profile(REFERENCE[:0]).to_frame()
        assert table["mean"].isna().all()
        assert table["top"].isna().all()
