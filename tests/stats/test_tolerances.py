"""How many rows may break a rule: quantiles against scipy, and the promise against simulation."""

import numpy as np
import pytest
from scipy import stats

from mlopskit.stats.tolerances import allowed_outside, allowed_rows, tail_reach, unseen_share


@pytest.mark.parametrize("n_rows", [1, 7, 100, 950, 20_000])
@pytest.mark.parametrize("share", [1e-6, 0.001, 0.02, 0.5, 0.999])
def test_allowed_rows_is_the_binomial_quantile(n_rows, share):
    """The count equals scipy.stats.binom.ppf at the same level."""
    assert allowed_rows(n_rows, share) == stats.binom.ppf(0.95, n_rows, share)


def test_allowed_rows_at_the_edges():
    """A share of 0 allows no row, of 1 every row, and an empty batch none; a share near 0 is no error."""
    assert allowed_rows(1000, 1e-18) == 0
    assert (allowed_rows(50, 0.0), allowed_rows(50, 1.0), allowed_rows(0, 0.3)) == (0, 50, 0)


@pytest.mark.parametrize(("n_rows", "n_reference"), [(1, 2), (10, 3), (900, 50_000), (1000, 1000), (50_000, 100)])
def test_allowed_outside_is_the_beta_binomial_quantile(n_rows, n_reference):
    """The count equals scipy.stats.betabinom.ppf(0.999, m, 2, n - 1)."""
    assert allowed_outside(n_rows, n_reference) == stats.betabinom.ppf(0.999, n_rows, 2, n_reference - 1)


def test_allowed_outside_at_the_edges():
    """One reference value says nothing about a range; an empty batch has nothing outside."""
    assert (allowed_outside(5, 1), allowed_outside(0, 100)) == (5, 0)


def test_allowed_outside_holds_for_any_continuous_law():
    """Of 4,000 batches of the reference's law at most 0.1% exceed the count (here under a Cauchy law).

    If the true rate were 0.1%, more than 12 of 4,000 would come up with a chance of 0.03% (binomial tail).
    """
    rng = np.random.default_rng(0)
    limit, exceeded = allowed_outside(200, 500), 0
    for _ in range(4000):
        reference, batch = rng.standard_cauchy(500), rng.standard_cauchy(200)
        exceeded += ((batch < reference.min()) | (batch > reference.max())).sum() > limit
    assert exceeded <= 12


def test_unseen_share_estimates_the_share_of_new_levels():
    """Over 300 samples of a Zipf-like law, f1 / n is the mass of the unseen levels within 4 standard errors."""
    rng = np.random.default_rng(1)
    law = 1 / np.arange(1, 301)
    law /= law.sum()
    samples = rng.multinomial(2000, law, size=300)
    gap = np.array([unseen_share(s) - law[s == 0].sum() for s in samples])
    assert abs(gap.mean()) < 4 * gap.std(ddof=1) / np.sqrt(len(gap))


def test_unseen_share_of_nothing_is_one():
    """Without rows every level is still to be seen."""
    assert unseen_share([]) == 1.0


@pytest.mark.parametrize(
    "law",
    [
        lambda rng, n: rng.normal(size=n),
        lambda rng, n: rng.lognormal(0, 2, size=n),
        lambda rng, n: rng.standard_cauchy(n),
        lambda rng, n: rng.pareto(0.5, size=n),
    ],
    ids=["normal", "lognormal", "cauchy", "pareto"],
)
def test_few_batches_of_the_same_law_go_beyond_the_reach(law):
    """At most 5% of batches of the sample's size, 2% and what an index of twenty values errs by.

    If the true rate were 5%, more than 73 of 1,000 would come up with a chance of 0.06% (binomial tail).
    """
    rng = np.random.default_rng(2)
    beyond = 0
    for _ in range(1000):
        sample, batch = law(rng, 500), law(rng, 500)
        below, above = tail_reach(sample)
        beyond += batch.min() < sample.min() - below or batch.max() > sample.max() + above
    assert beyond <= 73


@pytest.mark.parametrize("values", [[5.0], [5.0] * 30, [1e308, -1e308] * 30, [0.0] * 99 + [1.0]])
def test_the_reach_of_odd_samples_is_finite(values):
    """One value, a constant, the largest floats, and a lone value at the end give distances, no warning."""
    below, above = tail_reach(values)
    assert 0 <= below < np.inf
    assert 0 <= above < np.inf
