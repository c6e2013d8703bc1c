"""Sketches against plain Python, the standard library and their stated errors."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from mlopskit import formats
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.stats.sketches import Distinct, HeavyHitters, HyperLogLog, mix64


def sketch(values):
    return HyperLogLog.of(mix64(np.asarray(values, dtype=np.uint64)))


streams = st.lists(st.integers(0, 2**64 - 1), max_size=50)


class TestMix64:
    def test_is_splitmix64(self):
        """The first outputs with seed 1234567 of Vigna's reference implementation, as Rosetta Code lists them."""
        with np.errstate(over="ignore"):
            states = np.uint64(1234567) + np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        assert mix64(states).tolist() == [
            6457827717110365317,
            3203168211198807973,
            9817491932198370423,
            4593380528125082431,
            16408922859458223821,
        ]


class TestHyperLogLog:
    @given(streams, streams, streams)
    def test_merging_is_exact(self, a, b, c):
        """Merged sketches are the sketch of everything: associative, commutative, idempotent, empty is neutral."""
        whole = sketch(a + b + c)
        assert (sketch(a) + sketch(b)) + sketch(c) == whole == sketch(a) + (sketch(c) + sketch(b))
        assert whole + whole == whole == whole + HyperLogLog()

    @given(st.lists(st.integers(0, 2**64 - 1), max_size=30))
    def test_registers_are_leading_zeros(self, hashes):
        """A register is the longest run of zeros in the leading 52 bits plus one (plain Python on the bits as text)."""
        expected = np.zeros(4096, dtype=int)
        for h in hashes:
            bits = format(h, "064b")[:52]
            group = int(mix64(np.array([h], dtype=np.uint64))[0]) % 4096
            expected[group] = max(expected[group], 53 - len(bits.lstrip("0")))
        np.testing.assert_array_equal(HyperLogLog.of(np.array(hashes, dtype=np.uint64)).registers, expected)

    @pytest.mark.parametrize("n", [10, 20_000, 200_000])
    def test_a_stream_is_its_whole(self, n):
        """Hashes given piece by piece, most of which are let go unseen, leave the registers of all at once."""
        hashes = mix64(np.arange(n, dtype=np.uint64))
        expected = np.zeros(4096, dtype=np.uint8)
        rank = 53 - np.frexp((hashes >> np.uint64(12)).astype(float))[1]
        np.maximum.at(expected, (mix64(hashes) % np.uint64(4096)).astype(int), rank.astype(np.uint8))
        seen = Distinct()
        for start in range(0, n, 777):
            seen.add(hashes[start : start + 777])
        assert seen.sketch == HyperLogLog.of(hashes) == HyperLogLog(expected)

    @pytest.mark.parametrize("n", [30, 300, 3_000, 10_000, 30_000, 100_000])
    def test_error_is_as_stated(self, n):
        """Over 200 seeds the bias is below 5 standard errors and the spread below 1.6% (chi-square bound at 1e-6)."""
        rng, runs = np.random.default_rng(n), 200
        found = np.array([sketch(rng.integers(0, 2**64, n, dtype=np.uint64)).estimate() for _ in range(runs)]) / n
        stated = 1.04 / np.sqrt(4096)
        assert abs(found.mean() - 1) < 5 * stated / np.sqrt(runs)
        assert found.var(ddof=1) < stated**2 * chi2.isf(1e-6, runs - 1) / (runs - 1)

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_few_values_are_counted_exactly_unless_they_share_a_register(self, n):
        """Over 200 seeds the rounded estimate is the number of registers that the values fall on."""
        rng = np.random.default_rng(n)
        found = [sketch(rng.integers(0, 2**64, n, dtype=np.uint64)) for _ in range(200)]
        assert [round(one.estimate()) for one in found] == [np.count_nonzero(one.registers) for one in found]

    def test_ten_million_values(self):
        """A value counts once however often it comes, and ten million are within three standard errors."""
        merged = HyperLogLog()
        for start in range(0, 10_000_000, 1_000_000):
            merged = merged + sketch(np.arange(start, start + 1_000_000))
        assert merged.estimate() == pytest.approx(1e7, rel=3 * 1.04 / 64)
        assert merged + sketch(np.arange(5_000)) == merged

    def test_nothing_is_zero_and_everything_is_finite(self):
        """No value: 0. Registers at their largest: a finite number above 2^63."""
        assert HyperLogLog().estimate() == 0
        assert HyperLogLog(np.full(4096, 52, dtype=np.uint8)).estimate() > 2**60

    def test_travels_as_json(self):
        """Four kilobytes and back, equal."""
        one = sketch(range(1_000))
        assert formats.from_json(formats.to_json(one), HyperLogLog) == one

    @pytest.mark.parametrize("registers", [np.zeros(10), np.full(4096, 54)])
    def test_registers_that_no_hash_gives_are_refused(self, registers):
        """Another number of registers, or a value beyond 53."""
        with pytest.raises(DataError, match="registers"):
            HyperLogLog(registers)

    @pytest.mark.parametrize("values", [[1.5, 2.5], [1, 2, 3], ["a", "b"], [True]])
    def test_values_that_are_not_hashed_are_refused(self, values):
        """Floats, integers, text and booleans would all share a register: an error instead of one distinct value."""
        with pytest.raises(DataError, match="uint64 hashes"):
            HyperLogLog.of(np.array(values))

    def test_no_hashes_are_no_values(self):
        """An empty list has no dtype and is the empty sketch."""
        assert HyperLogLog.of([]) == HyperLogLog()

    def test_adds_to_its_like_only(self):
        """A number is no sketch."""
        with pytest.raises(TypeError):
            HyperLogLog() + 1


batches = st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 30), max_size=8), max_size=6)


class TestHeavyHitters:
    @given(batches, st.integers(1, 9), st.randoms())
    def test_bounds_hold_in_any_order_and_grouping(self, parts, capacity, random):
        """True counts lie in [count, count + error], error <= n/(k+1); exact while there is room for all (Counter)."""
        sketches = [HeavyHitters.of(part, capacity) for part in parts] or [HeavyHitters(capacity)]
        while len(sketches) > 1:
            a, b = sketches.pop(random.randrange(len(sketches))), sketches.pop(random.randrange(len(sketches)))
            sketches.append(a + b)
        merged, truth = sketches[0], sum((Counter(part) for part in parts), Counter())
        kept = dict(merged.counts)
        assert merged.n == truth.total()
        assert merged.error * (capacity + 1) <= merged.n
        assert len(kept) <= capacity
        for level in "abcdefgh":
            assert kept.get(level, 0) <= truth[level] <= kept.get(level, 0) + merged.error
        if len(+truth) <= capacity:
            assert merged.exact
            assert kept == dict(+truth)

    @given(batches, st.integers(1, 9))
    def test_merging_commutes_and_the_empty_one_is_neutral(self, parts, capacity):
        """a + b == b + a, to the last count; nothing added changes nothing."""
        a, b = (HeavyHitters.of(sum(map(Counter, half), Counter()), capacity) for half in (parts[::2], parts[1::2]))
        assert a + b == b + a
        assert a + HeavyHitters(capacity) == a

    def test_true_one_and_one_point_zero_are_three_levels(self):
        """Levels of different types are different, as they are in a schema."""
        merged = HeavyHitters.of({True: 3}, 5) + HeavyHitters.of({1: 2}, 5) + HeavyHitters.of({1.0: 1}, 5)
        assert [(type(level), n) for level, n in merged.counts] == [(bool, 3), (int, 2), (float, 1)]

    def test_travels_as_json(self):
        """Levels keep their types."""
        one = HeavyHitters.of({"a": 3, 7: 2, 0.5: 1, True: 4}, 3)
        assert formats.from_json(formats.to_json(one), HeavyHitters) == one

    @given(batches, batches, batches, st.integers(1, 9))
    def test_grouping_changes_nothing_while_there_is_room(self, a, b, c, capacity):
        """(a + b) + c = a + (b + c) to the last count if that is exact; else n and the bound n/(k+1) still agree."""
        x, y, z = (HeavyHitters.of(sum(map(Counter, parts), Counter()), capacity) for parts in (a, b, c))
        left, right = (x + y) + z, x + (y + z)
        assert left.n == right.n
        assert (left == right) or not (left.exact and right.exact)
        assert max(left.error, right.error) * (capacity + 1) <= left.n

    @pytest.mark.parametrize("level", [np.str_("x"), np.int64(3), np.float64(0.5), np.float64(-0.0), np.True_])
    def test_levels_of_numpy_are_levels_of_python(self, level):
        """A sketch adds up with itself read back from JSON: one level, both counts."""
        one = HeavyHitters.of({level: 5}, 3)
        both = one + formats.from_json(formats.to_json(one), HeavyHitters)
        assert [n for _, n in both.counts] == [10]
        assert both == HeavyHitters.of({level.item(): 10}, 3)

    @pytest.mark.parametrize("level", [None, np.nan, (1, 2), np.datetime64("2020-01-01"), b"x"])
    def test_levels_that_are_none_of_these_are_refused(self, level):
        """None, NaN, tuples, time stamps and bytes, also where they would find no room."""
        with pytest.raises(DataError, match="expected text"):
            HeavyHitters.of({"a": 5, level: 1}, 1)

    @pytest.mark.parametrize(
        ("counts", "n", "error"),
        [
            ((("a", 4), ("a", 4)), 9, 0),
            ((("a", 4), ("b", 3), ("c", 3)), 10, 0),
            ((("a", -4),), 4, 0),
            ((("a", 0),), 4, 0),
            ((("a", 4),), 3, 0),
            ((("a", 4),), 6, 1),
            ((("a", 4),), 9, -1),
        ],
    )
    def test_counts_that_no_stream_gives_are_refused(self, counts, n, error):
        """A level twice, too many levels, no or negative counts, more counts than values, an error above n/(k+1)."""
        with pytest.raises(DataError, match="no stream"):
            HeavyHitters(2, counts, n, error)

    def test_what_makes_no_sense_is_refused(self):
        """No room, a negative count, sketches of different size, something else."""
        with pytest.raises(ConfigurationError, match="capacity"):
            HeavyHitters(0)
        with pytest.raises(DataError, match="at least 0"):
            HeavyHitters.of({"a": -1}, 3)
        with pytest.raises(DataError, match="whole counts"):
            HeavyHitters.of({"a": 1.5}, 3)
        with pytest.raises(DataError, match="capacity 3 and 4"):
            HeavyHitters(3) + HeavyHitters(4)
        with pytest.raises(TypeError):
            HeavyHitters(3) + 1
