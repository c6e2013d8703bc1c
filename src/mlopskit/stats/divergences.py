"""How far a batch lies from a reference: seven distances, from counts over shared bins or from two samples.

They are effect sizes for reports, and none is an alarm: no fixed threshold suits every n, and a p-value is valid for
ONE look. Against a reference that stays the same, its own luck enters the p of every batch: given the reference they
are not valid, and whatever counts or multiplies them breaks its promise. Alarms come from `mlopskit.stats.sequential`.

- distributions over ordered bins: `kolmogorov_smirnov`, `cramer_von_mises` (with p), `wasserstein`;
- shares of bins in any order: `chi_square` (Cramer's V, with p), `psi`, `jensen_shannon`, `hellinger`.

Each comes as `*_counts` (the last axis holds bins, the same for both sides; leading axes are many tables at once) and
as `*_samples` (two 1-D arrays). A sample is counted with a bin for each distinct value, so that ties are exact.

Decided before every formula: an empty side has no distance (NaN, and so is p); one bin, or equal constants, have
distance 0 and p = 1; bins empty on both sides change nothing; p lies in (0, 1] and is never 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from attrs import cmp_using, field, frozen
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, gammaincc, gammaln, kolmogorov, xlog1py, xlogy

from mlopskit.errors import ConfigurationError, DataError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Statistic: TypeAlias = Callable[[Floats, Floats], Floats]

N_TABLES = 50_000
"""Most tables with the observed margins that are enumerated for an exact p ..."""
MAX_CELLS = 2_000_000
"""... and the most cells of all these tables together."""
N_DRAWS = 1_999
"""Tables drawn with the observed margins where they cannot be enumerated; the smallest such p is 1 / 2,000."""
MAX_PATHS = 1_000_000
"""The Kolmogorov-Smirnov p is exact while the smaller n times (n_reference + n_batch) is at most this ..."""
MAX_BLOCKS = 1_000
"""... and at most so many bins hold rows."""
MIN_EXPECTED = 5
"""The chi-square limit is used where every cell expects at least this many rows (Cochran 1954)."""
_SAME = cmp_using(
    eq=lambda a, b: a is b or (a is not None and b is not None and bool(np.array_equal(a, b, equal_nan=True)))
)
_MOST = 2.0**53  # whole numbers up to here are exact as floats
_SMALLEST = 1e-300  # p-values below are given as this: rounding up keeps them valid


@frozen
class Divergence:
    """A distance between a reference and a batch.

    Parameters
    ----------
    name
        What was measured.
    value
        The distance; NaN where a side is empty. A float, or an array where tables were given with leading axes.
    p_value
        The chance, if both sides are rows of one law, of a distance at least this large: of one look. In (0, 1], NaN
        where a side is empty, None for distances without a classical p.
    n_reference, n_batch
        Rows on either side; whole numbers, of the same shape as the value.
    method
        Where p comes from: "exact", "monte carlo" or "asymptotic", joined by "or" where tables differ; "" without p.

    Examples
    --------
    >>> print(kolmogorov_smirnov_samples([1, 2, 3, 4], [3, 4, 5, 6]))
    Kolmogorov-Smirnov distance 0.5 (n=4 and 4), p=0.771 at one look (exact)
    """

    name: str
    value: Any = field(eq=_SAME)
    p_value: Any = field(eq=_SAME)
    n_reference: Any = field(eq=_SAME)
    n_batch: Any = field(eq=_SAME)
    method: str = ""

    def __str__(self) -> str:
        if np.ndim(self.value):
            return f"{np.size(self.value)} values of {self.name}"
        tail = f", p={self.p_value:.3g} at one look ({self.method})" if self.method else ""
        return f"{self.name} {self.value:.4g} (n={self.n_reference} and {self.n_batch}){tail}"


def kolmogorov_smirnov_counts(reference: ArrayLike, batch: ArrayLike) -> Divergence:
    """Return the Kolmogorov-Smirnov distance of ordered bins: the largest gap between the cumulative shares.

    D = max_k |F_k - G_k|. For values inside the bins it is a lower bound, exact where each distinct value has its own
    bin; D of the values is at most max_k max(F_k - G_(k-1), G_k - F_(k-1)).

    p is exact up to `MAX_PATHS` and `MAX_BLOCKS`: of all ways to deal the pooled rows, with their ties, to the two
    sides, the share that gives at least this D, counted block of ties by block of ties. Beyond, it is Kolmogorov's
    limit at D sqrt(nm/(n+m)): ties and unequal sizes make it too large, equal sizes of 30 and more at most 2% too
    small. It is the p of one look: repeated against one reference it promises nothing.

    Parameters
    ----------
    reference, batch
        Rows in each bin, shape (..., B): whole numbers, bins in the order of their values (or in the reversed one).

    Returns
    -------
    Divergence
        In [0, 1], without unit.

    Raises
    ------
    DataError
        When counts are not whole or are negative, or the two sides have other bins.

    References
    ----------
    Smirnov (Annals of Mathematical Statistics 1948); Schroeer and Trenkler (Computational Statistics and Data Analysis
    1995) for ties.

    Examples
    --------
    >>> print(kolmogorov_smirnov_counts([4, 8, 4], [2, 2, 12]))
    Kolmogorov-Smirnov distance 0.5 (n=16 and 16), p=0.0121 at one look (exact)
    """
    a, b = _tables("kolmogorov_smirnov_counts", reference, batch)
    n, m = a.sum(axis=-1), b.sum(axis=-1)
    value = np.abs(_gaps(a, b)).max(axis=-1, initial=0.0)
    with np.errstate(invalid="ignore"):
        p = kolmogorov(np.sqrt(n * m / np.maximum(n + m, 1)) * value)
    short = (np.minimum(n, m) * (n + m) <= MAX_PATHS) & ((a + b > 0).sum(axis=-1) <= MAX_BLOCKS)
    return _result("Kolmogorov-Smirnov distance", a, b, value, _replaced(p, a, b, short, _path_p))


def kolmogorov_smirnov_samples(reference: ArrayLike, batch: ArrayLike) -> Divergence:
    """Return the Kolmogorov-Smirnov distance of two samples; see `kolmogorov_smirnov_counts`.

    Parameters
    ----------
    reference, batch
        Numbers, shape (n,) and (m,). Infinities are the smallest and largest values; a monotone transform of both
        sides changes nothing.

    Raises
    ------
    DataError
        When a sample is no 1-D array of numbers, or holds NaN.

    Examples
    --------
    >>> print(kolmogorov_smirnov_samples([1.0, 2.0, 2.0, 2.0], [2.0, 2.0, 3.0, 3.0]))
    Kolmogorov-Smirnov distance 0.5 (n=4 and 4), p=0.429 at one look (exact)
    """
    return kolmogorov_smirnov_counts(*_tally("kolmogorov_smirnov_samples", reference, batch)[1])


def cramer_von_mises_counts(reference: ArrayLike, batch: ArrayLike) -> Divergence:
    """Return the Cramer-von Mises distance of ordered bins: the typical gap between the cumulative shares.

    The value is the root of the pooled mean of (F - G)^2, so that it is free of n; the classical statistic is
    T = value^2 nm/(n+m). A block of ties counts half with the gap before it and half with the gap after it: reversing
    the order changes nothing, and without ties T is Anderson's (equation 2). For values inside the bins it describes
    the binned values only.

    p is exact where `N_TABLES` and `MAX_CELLS` suffice for all tables with these margins: the share of ways to deal the
    pooled rows to the two sides that give at least this T. Beyond, T is compared with a chi-square that has the first
    three cumulants of its limit law given the ties (the mean is exact for every n): within 5% of that law for p from .5
    down to .005, 8% at .001, too small by a third at 1e-6; small samples make it too large. It is the p of one look:
    repeated against one reference it promises nothing.

    Parameters
    ----------
    reference, batch
        Rows in each bin, shape (..., B): whole numbers, bins in the order of their values (or in the reversed one).

    Returns
    -------
    Divergence
        In [0, 1/sqrt(2)], without unit; up to 1/sqrt(3) where no bin holds a large share.

    Raises
    ------
    DataError
        When counts are not whole or are negative, or the two sides have other bins.

    References
    ----------
    Anderson (Annals of Mathematical Statistics 1962), equation 2; Choulakian, Lockhart and Stephens (Canadian Journal
    of Statistics 1994) for the limit law of discrete data; Buckley and Eagleson (Australian Journal of Statistics 1988)
    for the three cumulants.

    Examples
    --------
    >>> print(cramer_von_mises_counts([2, 6, 2], [1, 1, 8]))
    Cramer-von Mises distance 0.3943 (n=10 and 10), p=0.023 at one look (exact)
    """
    a, b = _tables("cramer_von_mises_counts", reference, batch)
    square = _mean_square_gap(a, b)

    def dealt(a: Floats, b: Floats, _: int) -> _Answer | None:
        return _enumerated_p(a, b, _mean_square_gap)

    p = _replaced(_three_cumulants_p(a, b, square), a, b, np.True_, dealt)
    return _result("Cramer-von Mises distance", a, b, np.sqrt(square), p)


def cramer_von_mises_samples(reference: ArrayLike, batch: ArrayLike) -> Divergence:
    """Return the Cramer-von Mises distance of two samples; see `cramer_von_mises_counts`.

    Parameters
    ----------
    reference, batch
        Numbers, shape (n,) and (m,). Infinities are the smallest and largest values; a monotone transform of both
        sides changes nothing.

    Raises
    ------
    DataError
        When a sample is no 1-D array of numbers, or holds NaN.

    Examples
    --------
    >>> print(cramer_von_mises_samples([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]))
    Cramer-von Mises distance 0.5932 (n=3 and 3), p=0.1 at one look (exact)
    """
    return cramer_von_mises_counts(*_tally("cramer_von_mises_samples", reference, batch)[1])


def wasserstein_counts(reference: ArrayLike, batch: ArrayLike, positions: ArrayLike) -> Divergence:
    """Return the Wasserstein-1 (earth mover's) distance of ordered bins: how far rows move on average.

    W = sum_k |F_k - G_k| (x_(k+1) - x_k). For values inside bins that are represented by their middles it is off by at
    most the widest bin's width; it is exact where each distinct value has its own bin.

    Parameters
    ----------
    reference, batch
        Rows in each bin, shape (..., B): whole numbers.
    positions
        One finite number for each bin, in order, shape (..., B) or (B,): its value, its middle or its mean. Bins
        without an end have no middle: give the mean or the extreme of their rows.

    Returns
    -------
    Divergence
        At least 0 and at most the span of the positions, in their unit. Without p.

    Raises
    ------
    DataError
        When counts are not whole or are negative, the two sides have other bins, or positions are not finite, not in
        order or too far apart for a float.

    References
    ----------
    Vallender (Theory of Probability and its Applications 1974), the theorem; Ramdas, Garcia Trillos and Cuturi
    (Entropy 2017), proposition 1.

    Examples
    --------
    >>> print(wasserstein_counts([1, 1, 0], [0, 1, 1], positions=[0.0, 10.0, 20.0]))
    Wasserstein distance 10 (n=2 and 2)
    """
    a, b = _tables("wasserstein_counts", reference, batch)
    x = np.asarray(positions, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(np.atleast_1d(x), axis=-1)
        usable = np.isfinite(x).all() and np.isfinite(steps.sum(axis=-1)).all() and (steps >= 0).all()
    if x.shape[-1:] != a.shape[-1:] or not usable:
        raise DataError(
            f"wasserstein_counts: expected {a.shape[-1]} finite positions in order, one for each bin; got {positions!r}"
        )
    try:
        shape = np.broadcast_shapes(a.shape, x.shape)
    except ValueError as error:
        raise DataError(f"wasserstein_counts: counts and positions do not go together; {error}") from error
    a, b = np.broadcast_to(a, shape), np.broadcast_to(b, shape)
    return _result("Wasserstein distance", a, b, (np.abs(_gaps(a, b)) * steps).sum(axis=-1))


def wasserstein_samples(reference: ArrayLike, batch: ArrayLike) -> Divergence:
    """Return the Wasserstein-1 distance of two samples; see `wasserstein_counts`.

    Parameters
    ----------
    reference, batch
        Finite numbers, shape (n,) and (m,).

    Raises
    ------
    DataError
        When a sample is no 1-D array of numbers, or holds NaN or infinities, which lie infinitely far away.

    Examples
    --------
    >>> wasserstein_samples([1.0, 2.0], [2.0, 5.0]).value
    2.0
    """
    values, counts = _tally("wasserstein_samples", reference, batch)
    return wasserstein_counts(*counts, values.astype(np.float64))


def chi_square_counts(reference: ArrayLike, batch: ArrayLike, *, seed: int = 0) -> Divergence:
    """Return Cramer's V of two rows of counts, with the p of the chi-square test of equal shares.

    The value is V = sqrt(X^2 / (n+m)), free of n; X^2 is Pearson's statistic without a continuity correction.

    p is decided for each table:

    - "exact" where `N_TABLES` and `MAX_CELLS` suffice for all tables with these margins: p is the chance of those that
      are no likelier than the observed one (Fisher, Freeman and Halton; Fisher's exact test for two bins);
    - "asymptotic" where every cell expects at least `MIN_EXPECTED` rows: the chi-square law of X^2;
    - "monte carlo" otherwise: of `N_DRAWS` seeded tables with these margins and the observed one, the share that is no
      likelier than the observed one. It is valid as it stands, whatever the number of draws, and takes about a quarter
      of a second for each 1,000 bins.

    It is the p of one look: repeated against one reference it promises nothing.

    Parameters
    ----------
    reference, batch
        Rows in each bin, shape (..., B): whole numbers, bins in any order.
    seed
        Seed of the draws, >= 0; the same seed gives the same p.

    Returns
    -------
    Divergence
        In [0, 1], without unit: 0 for equal shares, 1 where no bin holds rows of both sides.

    Raises
    ------
    DataError
        When counts are not whole or are negative, or the two sides have other bins.
    ConfigurationError
        When the seed is negative.

    References
    ----------
    Cramer, "Mathematical Methods of Statistics" (1946), section 21.9; Freeman and Halton (Biometrika 1951); Cochran
    (Biometrics 1954); Phipson and Smyth (Statistical Applications in Genetics and Molecular Biology 2010), equation 2.

    Examples
    --------
    >>> print(chi_square_counts([8, 2], [1, 5]))
    Cramer's V 0.6181 (n=10 and 6), p=0.035 at one look (exact)
    """
    if not 0 <= seed < 2**64:
        raise ConfigurationError(f"chi_square_counts: seed={seed!r}: expected a whole number from 0 to 2**64 - 1")
    a, b = _tables("chi_square_counts", reference, batch)
    n, m, t = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True), a + b
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = np.where(t > 0, n * m * (a / n - b / m) ** 2 / t, 0.0)
        least = (np.minimum(n, m) * np.where(t > 0, t, np.inf) / (n + m)).min(axis=-1, initial=np.inf)
    statistic = terms.sum(axis=-1)

    def dealt(a: Floats, b: Floats, index: int) -> _Answer | None:
        exact = _enumerated_p(a, b, _surprise)
        if exact or least.flat[index] >= MIN_EXPECTED:
            return exact
        order = np.argsort(a + b, kind="stable")  # so that the draws do not depend on the order of the bins
        return _drawn_p(a[order], b[order], _surprise, (seed, index))

    p = _replaced(chdtrc(np.maximum((t > 0).sum(axis=-1) - 1, 1), statistic), a, b, np.True_, dealt)
    return _result("Cramer's V", a, b, np.sqrt(np.minimum(statistic / np.maximum((n + m)[..., 0], 1), 1)), p)


def chi_square_samples(reference: ArrayLike, batch: ArrayLike, *, edges: ArrayLike | None, seed: int = 0) -> Divergence:
    """Return Cramer's V of two samples, with the p of the chi-square test; see `chi_square_counts`.

    Parameters
    ----------
    reference, batch
        Numbers, shape (n,) and (m,); or text, where the edges are None. Infinities are values like others.
    edges
        Inner edges of right-closed bins, in order, chosen without looking at the batch; None: each distinct value is a
        bin. There is no default, because a bin for each value says nothing about continuous numbers.
    seed
        Seed of the draws, >= 0.

    Raises
    ------
    DataError
        When a sample is no 1-D array of numbers or of text, or holds NaN or None, or edges are not in order.
    ConfigurationError
        When the seed is negative.

    Examples
    --------
    >>> print(chi_square_samples(["a", "a", "b"], ["b", "b", "b", "c"], edges=None))
    Cramer's V 0.75 (n=3 and 4), p=0.257 at one look (exact)
    """
    return chi_square_counts(*_binned("chi_square_samples", reference, batch, edges), seed=seed)


def psi_counts(reference: ArrayLike, batch: ArrayLike) -> Divergence:
    """Return the population stability index, sum (p - q) log(p / q), of shares smoothed by half a row per bin.

    p = (a + 1/2) / (n + B/2) over the B bins that hold rows of either side (the prior of Jeffreys), so that an empty
    bin makes it large and never infinite. Without any change its mean is about (B - 1)(1/n + 1/m), a little less where
    bins are nearly empty: compare it with that before it is called large. The thresholds .1 and .2 that are in use
    ignore n and B. Equal shares of unequal n have an index near 0, not exactly 0.

    Parameters
    ----------
    reference, batch
        Rows in each bin, shape (..., B): whole numbers, bins in any order.

    Returns
    -------
    Divergence
        At least 0, without bound, in nats. Without p.

    Raises
    ------
    DataError
        When counts are not whole or are negative, or the two sides have other bins.

    References
    ----------
    Jeffreys (Proceedings of the Royal Society A 1946), the symmetric divergence; Yurdakul and Naranjo (Journal of Risk
    Model Validation 2020) for its law without change.

    Examples
    --------
    >>> print(psi_counts([50, 50, 0], [40, 50, 10]))
    PSI 0.3217 (n=100 and 100)
    """
    a, b = _tables("psi_counts", reference, batch)
    full = a + b > 0
    extra = full.sum(axis=-1, keepdims=True) / 2
    p, q = ((side + 0.5) / np.maximum(side.sum(axis=-1, keepdims=True) + extra, 1) for side in (a, b))
    return _result("PSI", a, b, np.where(full, (p - q) * np.log(p / q), 0.0).sum(axis=-1))


def psi_samples(reference: ArrayLike, batch: ArrayLike, *, edges: ArrayLike | None) -> Divergence:
    """Return the population stability index of two samples; see `psi_counts`.

    Parameters
    ----------
    reference, batch, edges
        As in `chi_square_samples`.

    Raises
    ------
    DataError
        When a sample is no 1-D array of numbers or of text, or holds NaN or None, or edges are not in order.

    Examples
    --------
    >>> print(psi_samples([1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0], edges=[2.0]))
    PSI 0.8789 (n=4 and 4)
    """
    return psi_counts(*_binned("psi_samples", reference, batch, edges))


def jensen_shannon_counts(reference: ArrayLike, batch: ArrayLike) -> Divergence:
    """Return the Jensen-Shannon distance of shares: the root of the divergence in bits.

    The divergence is the mean of KL(p | h) and KL(q | h) to base 2, h = (p + q)/2; its root is a metric. It is
    `scipy.spatial.distance.jensenshannon(p, q, base=2)`, whose default base is e. No smoothing is needed.

    Parameters
    ----------
    reference, batch
        Rows in each bin, shape (..., B): whole numbers, bins in any order.

    Returns
    -------
    Divergence
        In [0, 1], without unit: 0 for equal shares, 1 where no bin holds rows of both sides. Without p; without any
        change the squared distance is about (B - 1)(1/n + 1/m) / (8 log 2).

    Raises
    ------
    DataError
        When counts are not whole or are negative, or the two sides have other bins.

    References
    ----------
    Lin (IEEE Transactions on Information Theory 1991), equation 3.1; Endres and Schindelin (ibid. 2003), the metric.

    Examples
    --------
    >>> print(jensen_shannon_counts([1, 1, 0], [0, 1, 1]))
    Jensen-Shannon distance 0.7071 (n=2 and 2)
    """
    a, b = _tables("jensen_shannon_counts", reference, batch)
    p, q = _shares(a, b)
    both = p + q
    lean = np.divide(p - q, both, out=np.zeros_like(both), where=both > 0)
    terms = both * (xlog1py(1 + lean, lean) + xlog1py(1 - lean, -lean))
    bits = terms.sum(axis=-1) / (4 * np.log(2))
    return _result("Jensen-Shannon distance", a, b, np.sqrt(np.clip(bits, 0.0, 1.0)))


def jensen_shannon_samples(reference: ArrayLike, batch: ArrayLike, *, edges: ArrayLike | None) -> Divergence:
    """Return the Jensen-Shannon distance of two samples; see `jensen_shannon_counts`.

    Parameters
    ----------
    reference, batch, edges
        As in `chi_square_samples`.

    Raises
    ------
    DataError
        When a sample is no 1-D array of numbers or of text, or holds NaN or None, or edges are not in order.

    Examples
    --------
    >>> jensen_shannon_samples(["a", "b"], ["c", "d"], edges=None).value
    1.0
    """
    return jensen_shannon_counts(*_binned("jensen_shannon_samples", reference, batch, edges))


def hellinger_counts(reference: ArrayLike, batch: ArrayLike) -> Divergence:
    """Return the Hellinger distance of shares, sqrt(sum (sqrt(p) - sqrt(q))^2 / 2).

    Parameters
    ----------
    reference, batch
        Rows in each bin, shape (..., B): whole numbers, bins in any order.

    Returns
    -------
    Divergence
        In [0, 1], without unit: 0 for equal shares, 1 where no bin holds rows of both sides. Without p; without any
        change the squared distance is about (B - 1)(1/n + 1/m) / 8.

    Raises
    ------
    DataError
        When counts are not whole or are negative, or the two sides have other bins.

    References
    ----------
    Le Cam and Yang, "Asymptotics in Statistics" (2000), section 3.2.

    Examples
    --------
    >>> print(hellinger_counts([1, 1, 0], [0, 1, 1]))
    Hellinger distance 0.7071 (n=2 and 2)
    """
    a, b = _tables("hellinger_counts", reference, batch)
    p, q = _shares(a, b)
    square = ((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1) / 2
    return _result("Hellinger distance", a, b, np.sqrt(np.minimum(square, 1.0)))


def hellinger_samples(reference: ArrayLike, batch: ArrayLike, *, edges: ArrayLike | None) -> Divergence:
    """Return the Hellinger distance of two samples; see `hellinger_counts`.

    Parameters
    ----------
    reference, batch, edges
        As in `chi_square_samples`.

    Raises
    ------
    DataError
        When a sample is no 1-D array of numbers or of text, or holds NaN or None, or edges are not in order.

    Examples
    --------
    >>> hellinger_samples([1.0, 2.0, 3.0], [1.5, 1.5, 9.0], edges=[2.0])
    Divergence(name='Hellinger distance', value=0.0, p_value=None, n_reference=3, n_batch=3, method='')
    """
    return hellinger_counts(*_binned("hellinger_samples", reference, batch, edges))


class _Answer(NamedTuple):
    """One p and where it comes from."""

    p: float
    method: str


def _tables(name: str, reference: ArrayLike, batch: ArrayLike) -> tuple[Floats, Floats]:
    """Return whole counts of the same bins as floats, with the same leading axes."""
    try:
        a, b = np.asarray(reference, dtype=np.float64), np.asarray(batch, dtype=np.float64)
        np.broadcast_shapes(a.shape, b.shape)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: expected two tables of counts of the same bins; {error}") from error
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-1]:
        raise DataError(f"{name}: expected counts of the same bins on the last axis; got shapes {a.shape}, {b.shape}")
    for side, counts in (("reference", a), ("batch", b)):
        if not ((counts >= 0) & (counts <= _MOST) & (counts == np.floor(counts))).all():
            raise DataError(f"{name}: expected whole numbers of rows from 0 to 2**53; got {side}={counts}")
    a, b = np.broadcast_arrays(a, b)
    return a, b


def _result(name: str, a: Floats, b: Floats, value: Floats, p: tuple[Floats, str] | None = None) -> Divergence:
    """Finish a result: NaN for an empty side, p in (0, 1], plain numbers for one table."""
    n, m = a.sum(axis=-1), b.sum(axis=-1)
    empty = (n == 0) | (m == 0)
    value = np.where(empty, np.nan, value)
    chance = None if p is None else np.where(empty, np.nan, np.clip(p[0], _SMALLEST, 1.0))
    method = "" if p is None else p[1]
    if value.ndim:
        return Divergence(name, value, chance, n.astype(np.int64), m.astype(np.int64), method)
    return Divergence(name, float(value), None if chance is None else float(chance), int(n), int(m), method)


def _shares(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return shares of bins; zeros where a side is empty."""
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    return a / np.maximum(n, 1), b / np.maximum(m, 1)


def _gaps(a: Floats, b: Floats) -> Floats:
    """Return F - G at the end of each bin but the last, where both are 1."""
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    gaps: Floats = (np.cumsum(a, axis=-1) / np.maximum(n, 1) - np.cumsum(b, axis=-1) / np.maximum(m, 1))[..., :-1]
    return gaps


def _inner_weights(a: Floats, b: Floats) -> Floats:
    """Return the rows around each end of a bin but the last: half of the block before and half of the block after."""
    t = a + b
    weights: Floats = (t[..., 1:] + t[..., :-1]) / 2
    return weights


def _mean_square_gap(a: Floats, b: Floats) -> Floats:
    total = np.maximum((a + b).sum(axis=-1), 1)
    square: Floats = (_inner_weights(a, b) * _gaps(a, b) ** 2).sum(axis=-1) / total
    return square


def _surprise(a: Floats, b: Floats) -> Floats:
    """Return -log of the chance of each table given its margins, but for a constant."""
    surprise: Floats = (gammaln(a + 1) + gammaln(b + 1)).sum(axis=-1)
    return surprise


def _three_cumulants_p(a: Floats, b: Floats, square: Floats) -> Floats:
    """Return the tail of Cramer-von Mises: its limit is sum_j of l_j chi2_1, whose cumulants are traces of (W K)^r.

    K_ij = F_i (1 - F_j) for i <= j is the covariance of the gaps, W their weights; the traces are nested running sums.
    """
    n, m = a.sum(axis=-1), b.sum(axis=-1)
    total = np.maximum(n + m, 2)
    w = _inner_weights(a, b) / (total - 1)[..., None]
    f = np.cumsum(a + b, axis=-1)[..., :-1] / total[..., None]
    low, mid, high = w * f**2, w * f * (1 - f), w * (1 - f) ** 2
    before = np.cumsum(low, axis=-1) - low
    nested = np.cumsum(mid * before + low * mid / 2, axis=-1) - (mid * before + low * mid / 2)
    c1 = mid.sum(axis=-1)
    c2 = (mid**2 + 2 * high * before).sum(axis=-1)
    c3 = (mid**3 + 3 * high * mid * before + 6 * high * nested).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        degrees = c2**3 / c3**2
        scaled = (square * n * m / total - c1) * np.sqrt(degrees / c2) + degrees
    return np.where(c2 > 0, gammaincc(degrees / 2, np.maximum(scaled, 0.0) / 2), 1.0)


def _replaced(
    p: Floats, a: Floats, b: Floats, where: NDArray[np.bool_] | np.bool_, better: Callable[..., _Answer | None]
) -> tuple[Floats, str]:
    """Replace asymptotic p-values, table by table, where there is a better one; say which kinds there are."""
    p = np.array(p, dtype=np.float64)
    filled = (a.sum(axis=-1) > 0) & (b.sum(axis=-1) > 0)
    methods = {"asymptotic"} if (filled & ~where).any() else set()
    for index in np.flatnonzero(filled & where):
        position = np.unravel_index(index, p.shape)
        mine, others = a[position], b[position]
        full = mine + others > 0
        answer = better(mine[full], others[full], int(index)) or _Answer(p[position], "asymptotic")
        p[position] = answer.p
        methods.add(answer.method)
    return p, " or ".join(sorted(methods))


def _path_p(a: Floats, b: Floats, _: int) -> _Answer | None:
    """Return the share of paths that reach the observed gap at the end of a block of ties.

    A path is how many of the rows so far belong to the smaller side; steps are binomial at that side's share, which
    leaves the law given the end as it is and keeps every number within the range of floats.
    """
    a, b = (a, b) if a.sum() <= b.sum() else (b, a)
    n, m = a.sum(), b.sum()
    blocks, i = (a + b)[:, None], np.arange(n + 1)
    ends = np.cumsum(blocks, axis=0)
    gaps = np.abs(m * i - n * (ends - i))
    outside = gaps >= np.abs(m * np.cumsum(a) - n * np.cumsum(b)).max()
    steps, reached = (_binomial(rows, i, n / (n + m)) for rows in (blocks, ends))
    passed = np.zeros(len(i))
    for k, size in enumerate(blocks[:, 0].astype(int)):
        passed = np.convolve(passed, steps[k, : size + 1])[: len(i)]
        passed = np.where(outside[k], reached[k], passed)
    return _Answer(float(passed[-1] / reached[-1, -1]), "exact")


def _binomial(n: Floats, k: Floats, share: float) -> Floats:
    inside = np.minimum(k, n)
    log_p = gammaln(n + 1) - gammaln(inside + 1) - gammaln(n - inside + 1)
    log_p += xlogy(inside, share) + xlog1py(n - inside, -share)
    return np.where(k <= n, np.exp(log_p), 0.0)


def _enumerated_p(a: Floats, b: Floats, statistic: Statistic) -> _Answer | None:
    """Return the chance, given the margins, of tables at least as extreme; None where there are too many."""
    a, b = (a, b) if a.sum() <= b.sum() else (b, a)
    totals, n = a + b, int(a.sum())
    if not _few_tables(totals, n):
        return None
    tables = _all_tables(totals.astype(np.int64), n).astype(np.float64)
    surprise = _surprise(tables, totals - tables)
    chance = np.exp(surprise.min() - surprise)
    extreme = _at_least(statistic(tables, totals - tables), statistic(a, b))
    return _Answer(float(chance[extreme].sum() / chance.sum()), "exact")


def _at_least(values: Floats, observed: Floats) -> NDArray[np.bool_]:
    """Compare with room for rounding: tables as extreme as the observed one count.

    The room is relative to how far the values lie apart, plus a few roundings of the values themselves.
    """
    both = np.append(values.ravel(), observed)
    spread = float(both.max() - both.min())
    room = 1e-9 * spread if spread < 1 else 1e-9
    return np.asarray(values >= observed - room - 8 * np.finfo(float).eps * np.abs(observed))


def _few_tables(totals: Floats, n: int) -> bool:
    """Say whether few enough rows of counts up to the totals add up to n."""
    if len(totals) * (n + 1) > MAX_PATHS:
        return False
    limit = min(N_TABLES, MAX_CELLS // len(totals))
    ways, left = np.zeros(n + 1), totals.sum()
    ways[0] = 1
    for total in totals.astype(int):
        sums = np.cumsum(ways)
        ways = sums - np.concatenate([np.zeros(min(total + 1, n + 1)), sums[: max(n - total, 0)]])
        left -= total
        if ways[max(n - int(left), 0) :].max() > limit:  # each of these can still be completed
            return False
    return True


def _all_tables(totals: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return every row of counts up to the totals that adds up to n, shape (n_tables, B)."""
    tables = np.zeros((1, len(totals)), np.int64)
    need = np.array([n])
    for k, total in enumerate(totals):
        low = np.maximum(need - totals[k + 1 :].sum(), 0)
        choices = np.minimum(need, total) - low + 1
        first = np.cumsum(choices) - choices
        tables, low, need = (np.repeat(x, choices, axis=0) for x in (tables, low, need))
        tables[:, k] = low + np.arange(len(low)) - np.repeat(first, choices)
        need = need - tables[:, k]
    return tables


def _drawn_p(a: Floats, b: Floats, statistic: Statistic, key: tuple[int, int]) -> _Answer | None:
    """Return the rank of the observed table among itself and seeded draws with its margins."""
    totals, n = (a + b).astype(np.int64), int(min(a.sum(), b.sum()))
    if totals.sum() >= 1_000_000_000:  # where numpy's sampler ends
        return None
    rng = np.random.Generator(np.random.Philox(key=key))
    observed, extreme, at_once = statistic(a, b), 0, max(1, MAX_PATHS // len(totals))
    for done in range(0, N_DRAWS, at_once):
        tables = rng.multivariate_hypergeometric(totals, n, size=min(at_once, N_DRAWS - done))
        mine, others = tables.astype(np.float64), (totals - tables).astype(np.float64)
        extreme += int(_at_least(statistic(mine, others), observed).sum())
    return _Answer((1 + extreme) / (1 + N_DRAWS), "monte carlo")


def _tally(name: str, reference: ArrayLike, batch: ArrayLike) -> tuple[NDArray[Any], tuple[Ints, Ints]]:
    """Return the distinct numbers of two samples in order, and how often each occurs on either side."""
    return _levels(_numbers(name, "reference", reference), _numbers(name, "batch", batch))


def _binned(name: str, reference: ArrayLike, batch: ArrayLike, edges: ArrayLike | None) -> tuple[Ints, Ints]:
    """Return how many values lie in each right-closed bin, or how often each distinct value occurs."""
    if edges is None:
        left, right = _text(reference), _text(batch)
        return _tally(name, reference, batch)[1] if left is None or right is None else _levels(left, right)[1]
    x, y = _numbers(name, "reference", reference), _numbers(name, "batch", batch)
    inner = np.asarray(edges, dtype=np.float64)
    if inner.ndim != 1 or not (inner[1:] >= inner[:-1]).all() or np.isnan(inner).any():
        raise DataError(f"{name}: expected inner edges in order, shape (B - 1,); got edges={edges!r}")
    a, b = (np.bincount(np.searchsorted(inner, side), minlength=len(inner) + 1) for side in (x, y))
    return a, b


def _levels(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], tuple[Ints, Ints]]:
    pooled = np.concatenate([x, y])
    if pooled.dtype.kind == "f" and x.dtype.kind in "iu" and y.dtype.kind in "iu":  # int64 and uint64 have no common
        pooled = np.concatenate([x.astype(object), y.astype(object)])
    values, place = np.unique(pooled, return_inverse=True)
    a, b = (np.bincount(side, minlength=len(values)) for side in (place[: len(x)], place[len(x) :]))
    return values, (a, b)


def _numbers(name: str, side: str, values: ArrayLike) -> NDArray[Any]:
    x = np.asarray(values)
    if x.ndim != 1 or x.dtype.kind not in "biuf":
        raise DataError(
            f"{name}: expected a 1-D array of numbers (or text on both sides, where distinct values are bins), without "
            f"missing values; got {side} of shape {x.shape} and dtype {x.dtype}"
        )
    if np.isnan(x).any():
        raise DataError(f"{name}: {side} holds {int(np.isnan(x).sum())} NaN: count missing values apart and drop them")
    return x


def _text(values: ArrayLike) -> NDArray[Any] | None:
    """Return text, or no values at all, as such; None for anything else, also for text among numbers."""
    x = values if isinstance(values, np.ndarray) else np.asarray(values, dtype=object)
    if x.ndim != 1 or (x.size and x.dtype.kind not in "OTU"):
        return None
    try:
        return x.astype(np.dtypes.StringDType(coerce=False))
    except ValueError:
        return None
