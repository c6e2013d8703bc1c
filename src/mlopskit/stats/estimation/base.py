"""What every estimate checks before its formula: columns, labels, probabilities, blocks, seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from attrs import cmp_using
from numpy.typing import ArrayLike, NDArray

from mlopskit.errors import ConfigurationError, DataError

Floats: TypeAlias = NDArray[np.float64]


Ints: TypeAlias = NDArray[np.intp]


EPS = 1e-15
"""Where probabilities are clipped for the log-loss."""


N_FOLDS = 5
"""Folds that the calibration method is chosen on, and that density ratios are cross-fitted over."""


FOLD_STREAM, DRAW_STREAM = 1 << 32, 1 << 33  # streams of random numbers: folds and labels; replicates count from 0


SAME = cmp_using(eq=lambda a, b: bool(np.array_equal(a, b, equal_nan=True)))


def floats(values: Any) -> Floats:
    """Return values as floats."""
    return np.asarray(values, dtype=np.float64)


def generator(name: str, seed: int, stream: int) -> np.random.Generator:
    """Return the generator of one stream of a seed, which has to be at least 0."""
    if not 0 <= seed < 2**64:
        raise ConfigurationError(f"{name}: seed={seed!r}: expected a whole number from 0 to 2**64 - 1")
    return np.random.Generator(np.random.Philox(key=[seed, stream]))


def check_choice(name: str, values: Sequence[str], known: Sequence[str]) -> None:
    """Refuse what is not among the known words."""
    for value in values:
        if value not in known:
            raise ConfigurationError(f"{name}={value!r}: expected one of {list(known)}")


def block_codes(name: str, block: ArrayLike, n: int) -> Ints:
    """Return each row's block, counted from 0 in sorted order."""
    keys = np.asarray(block)
    if keys.shape != (n,):
        raise DataError(f"{name}: block has shape {keys.shape}; expected ({n},), one block for each row")
    n_missing = sum(map(_is_missing, keys)) if keys.dtype == object else int((keys != keys).sum())
    if n_missing:
        raise DataError(f"{name}: {n_missing} blocks are missing; expected one for each row")
    known, codes = np.unique(keys, return_inverse=True)
    if len(known) < 2:
        raise DataError(f"{name}: got {len(known)} block; expected at least two, or block=None for independent rows")
    return np.asarray(codes, dtype=np.intp)


def _is_missing(key: object) -> bool:
    """Whether an object is None or differs from itself, as NaN does; pandas.NA does not even answer."""
    try:
        return key is None or bool(key != key)
    except TypeError:
        return True


def column(name: str, values: ArrayLike, *, finite: bool = True) -> Floats:
    """Return numbers of shape (n,), none of them NaN, and none infinite unless that is allowed."""
    try:
        x = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: expected numbers; {error}") from error
    if x.ndim != 1:
        raise DataError(f"{name} has shape {x.shape}; expected (n,)")
    bad = ~np.isfinite(x) if finite else np.isnan(x)
    if bad.any():
        kind = "finite numbers" if finite else "numbers"
        raise DataError(f"{name}: {int(bad.sum())} of {len(x)} values are NaN or infinite; expected {kind}")
    return x


def labels_of(name: str, values: ArrayLike) -> Floats:
    """Return labels 0 or 1 (or booleans) as floats."""
    y = column(name, values)
    if not ((y == 0) | (y == 1)).all():
        raise DataError(f"{name}: expected 0 or 1; got {y[(y != 0) & (y != 1)][0]:g}")
    return y


def probabilities_of(name: str, s: Floats) -> Floats:
    """Return probabilities, freed from rounding."""
    if len(s) and not (s.min() >= -1e-6 and s.max() <= 1 + 1e-6):
        raise DataError(f"{name}: expected probabilities between 0 and 1; got {s.min():g} to {s.max():g}")
    return np.clip(s, 0.0, 1.0)


def matrix(name: str, q: ArrayLike, n: int) -> Floats:
    """Return probabilities or labels of shape (..., n)."""
    p = np.asarray(q, dtype=np.float64)
    if p.ndim < 1 or p.shape[-1] != n or not (p.min(initial=0.0) >= 0 and p.max(initial=1.0) <= 1):
        raise DataError(
            f"{name} has shape {p.shape}, or a NaN or a value outside [0, 1]; expected (..., {n}), in [0, 1]"
        )
    return p


def ratio(numerator: Any, denominator: Any) -> Any:
    """Return the ratio, NaN where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return plain(np.where(np.equal(denominator, 0), np.nan, np.divide(numerator, denominator)))


def plain(value: Any) -> Any:
    """Return a single number as a float."""
    return float(value) if np.ndim(value) == 0 else value


def runs(rows: Ints, n_folds: int) -> Ints:
    """Return the fold of each block: at most `n_folds` runs of blocks with about as many rows, at least two."""
    middle = (np.cumsum(rows) - rows / 2) / rows.sum()
    fold: Ints = np.unique((middle * min(n_folds, len(rows))).astype(np.intp), return_inverse=True)[1]
    return fold
