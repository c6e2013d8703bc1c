"""Bins of many values: the same as numpy.searchsorted for every value there is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlopskit.errors import DataError
from mlopskit.stats import lookup
from mlopskit.stats.lookup import BLOCK, MOST_COMPARES, Lookup

finite = st.floats(allow_nan=False, allow_infinity=False)
anything = st.floats(allow_nan=False)


def check(edges, values):
    """Counts and places of a lookup are those of searchsorted."""
    found, expected = Lookup(edges), np.searchsorted(edges, values, side="left")
    np.testing.assert_array_equal(found.place(values), expected)
    np.testing.assert_array_equal(found.count(values), np.bincount(expected, minlength=len(edges) + 1))
    return found


class TestExactness:
    @settings(deadline=None, max_examples=300)
    @given(st.lists(finite, max_size=30).map(sorted), st.lists(anything, max_size=40))
    def test_every_finite_and_infinite_value_and_every_edge(self, edges, values):
        """Denormals, signed zeros, infinities, duplicate edges, the edges themselves and their neighbours."""
        with np.errstate(over="ignore"):
            near = [np.nextafter(e, side) for e in edges for side in (-np.inf, np.inf)]
        check(np.array(edges), np.array([*values, *edges, *near, 0.0, -0.0, np.inf, -np.inf]))

    @settings(deadline=None, max_examples=100)
    @given(
        st.integers(0, 400).flatmap(lambda m: arrays(float, m, elements=st.integers(-50, 50).map(float)).map(np.sort)),
        st.integers(0, 2**32),
    )
    def test_many_equal_edges(self, edges, seed):
        """Between equal edges nothing lies, however many there are."""
        check(edges, np.random.default_rng(seed).integers(-60, 60, 500) / 1.0)

    @pytest.mark.parametrize(
        "draw",
        [
            lambda rng, n: rng.normal(size=n),
            lambda rng, n: 1_000 + rng.normal(size=n),
            lambda rng, n: np.exp(2 * rng.normal(size=n)),
            lambda rng, n: rng.standard_cauchy(n),
            lambda rng, n: rng.pareto(0.3, n),
            lambda rng, n: rng.integers(0, 300, n).astype(float),
            lambda rng, n: np.where(rng.random(n) < 0.5, 5 + 1e-9 * rng.normal(size=n), 1e9 * rng.normal(size=n)),
            lambda rng, n: 1e-310 * rng.normal(size=n),
            lambda rng, n: 1e307 * rng.normal(size=n),
        ],
        ids=["normal", "shifted", "lognormal", "Cauchy", "Pareto", "integers", "two scales", "denormal", "huge"],
    )
    def test_real_shapes_need_few_compares(self, draw):
        """A thousand quantile edges of nine shapes: exact over several blocks, with at most three compares a value."""
        rng = np.random.default_rng(0)
        edges = np.sort(draw(rng, 50_000))[50::50]
        assert check(edges, draw(rng, 3 * BLOCK + 17))._compares <= 3

    def test_edges_that_no_key_tells_apart_are_sorted(self):
        """Three clusters on three scales have many edges in one cell: blocks are sorted, counts stay exact."""
        clusters = [centre + scale * np.arange(1, 200) for centre, scale in ((0, 1e-200), (1, 1e-15), (1e200, 1e186))]
        edges = np.sort(np.concatenate(clusters))
        rng = np.random.default_rng(1)
        found = check(edges, np.concatenate([rng.choice(edges, 40_000), -rng.choice(edges, 500)]))
        assert found._compares > MOST_COMPARES


class TestMissing:
    @settings(deadline=None)
    @given(arrays(float, 30, elements=st.sampled_from([np.nan, 1.0, 2.0, 3.0])))
    def test_nan_lies_in_no_bin(self, values):
        """NaN is placed at -1 and not counted."""
        found = Lookup([1.5, 2.5])
        known = values[~np.isnan(values)]
        assert found.count(values).tolist() == found.count(known).tolist()
        assert (found.place(values) == -1).tolist() == np.isnan(values).tolist()

    def test_nan_among_sorted_blocks(self, monkeypatch):
        """The sorting path leaves NaN out as well."""
        monkeypatch.setattr(lookup, "MOST_COMPARES", 0)
        found = Lookup([1.5, 2.5])
        assert found.count([np.nan, 2.0, 3.0, np.nan]).tolist() == [0, 1, 1]
        assert found.place([np.nan, 2.0, 3.0]).tolist() == [-1, 1, 2]


class TestEdges:
    def test_without_edges_there_is_one_bin(self):
        """Everything lies in it."""
        assert Lookup([]).count([1.0, np.inf]).tolist() == [2]

    def test_values_are_not_changed(self):
        """The kernel works in its own memory."""
        values = np.array([3.0, -0.0, 1.0])
        before = values.copy()
        Lookup([0.0, 2.0]).count(values)
        assert np.array_equal(values, before)
        assert np.signbit(values[1])

    @pytest.mark.parametrize("edges", [[2.0, 1.0], [np.nan], [np.inf], [[1.0]]])
    def test_edges_that_are_none_are_refused(self, edges):
        """Out of order, NaN, infinite, or of two axes."""
        with pytest.raises(DataError, match="Lookup"):
            Lookup(edges)


@pytest.mark.parametrize("values", [[[1.0, 2.0]], 3.0, ["a"]])
def test_what_is_no_column_of_numbers_is_refused(values):
    """Two dimensions, none, and text."""
    for ask in (Lookup([1.0]).count, Lookup([1.0]).place):
        with pytest.raises(DataError, match="shape"):
            ask(values)
