"""Encoders, vocabularies, sparse matrices and splines: their positions are written or read unchecked."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopskit.formats.contents.base import refuse


def check_one_hot(encoder: Any) -> None:
    """Its matrix is written at positions computed from these attributes, unchecked."""
    categories = vars(encoder).get("categories_")
    if categories is None:
        return
    widths = []
    for position, levels in enumerate(categories):
        if not isinstance(levels, np.ndarray) or levels.ndim != 1:
            raise refuse("the categories of a OneHotEncoder are no arrays")
        if levels.dtype.kind not in "OUS" and not _is_sorted(levels):
            raise refuse("the categories of a OneHotEncoder are not sorted")
        widths.append(_check_grouping(encoder, position, len(levels)))
    drops = vars(encoder).get("_drop_idx_after_grouping")
    drops = [None] * len(widths) if drops is None else list(drops)
    if len(drops) != len(widths) or any(d is not None and not 0 <= d < w for d, w in zip(drops, widths, strict=True)):
        raise refuse("a OneHotEncoder drops a category that it does not have")
    widths = [w - (d is not None) for d, w in zip(drops, widths, strict=True)]
    if list(vars(encoder).get("_n_features_outs", ())) != widths:
        raise refuse("the columns of a OneHotEncoder are not those of its categories")


def _is_sorted(levels: NDArray[Any]) -> bool:
    """Whether each level is above the one before; one NaN may stand last."""
    known = levels[levels == levels]  # a NaN differs from itself
    end = len(known) == len(levels) or (len(known) == len(levels) - 1 and levels[-1] != levels[-1])
    return bool(end and (known[:-1] < known[1:]).all())


def _check_grouping(encoder: Any, position: int, n_levels: int) -> int:
    """Return the number of columns of one feature once infrequent categories are grouped."""
    if not vars(encoder).get("_infrequent_enabled"):
        return n_levels
    rare = encoder._infrequent_indices[position]
    mapping = encoder._default_to_infrequent_mappings[position]
    if rare is None and mapping is None:
        return n_levels
    if not all(isinstance(a, np.ndarray) and a.ndim == 1 and a.dtype.kind in "iu" and len(a) for a in (rare, mapping)):
        raise refuse("the infrequent categories of a OneHotEncoder are no arrays of positions")
    width = n_levels - len(rare) + 1
    if len(mapping) != n_levels or not (mapping.min() >= 0 and mapping.max() < width):
        raise refuse("the infrequent categories of a OneHotEncoder lead outside its columns")
    if not (rare.min() >= 0 and rare.max() < n_levels):
        raise refuse("the infrequent categories of a OneHotEncoder lead outside its columns")
    return width


def check_sparse(matrix: Any) -> None:
    """Products with a sparse matrix follow its positions unchecked."""
    if matrix.format == "coo":
        inside = all(
            len(axis) == matrix.nnz and (not len(axis) or (axis.min() >= 0 and axis.max() < size))
            for axis, size in zip((matrix.row, matrix.col), matrix.shape, strict=True)
        )
        if not inside:
            raise refuse("a sparse matrix holds values outside its shape")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            matrix.check_format(full_check=True)
        except (ValueError, UserWarning) as error:
            raise refuse(f"a sparse matrix is not in order ({error})") from error


def check_vocabulary(vectorizer: Any) -> None:
    """Check the columns that a vectorizer writes into a sparse matrix; nobody checks them again."""
    found = vars(vectorizer).get("vocabulary_")
    if found is None:
        return
    if type(found) is not dict or not all(isinstance(v, (int, np.integer)) for v in found.values()):
        raise refuse(f"the vocabulary of {type(vectorizer).__name__} is no dict of whole numbers")
    if sorted(found.values()) != list(range(len(found))):
        raise refuse(f"the vocabulary of {type(vectorizer).__name__} leads outside its columns")


def check_hasher(hasher: Any) -> None:
    """Hashes are divided by the number of columns."""
    n_columns = vars(hasher).get("n_features")
    if not isinstance(n_columns, (int, np.integer)) or not 1 <= n_columns < 2**31:
        raise refuse(f"{type(hasher).__name__}.n_features is {n_columns!r:.80}")


MAX_DEGREE = 100
"""Highest degree of a spline: more is read by nobody, and would run for hours."""


def check_spline(spline: Any) -> None:
    """Splines find the interval of a number among their knots, and read as many coefficients as the knots ask for."""
    own = vars(spline)
    knots, values, degree = own.get("_t", own.get("t")), own.get("_c", own.get("c")), own.get("k")
    if not isinstance(degree, (int, np.integer)) or not 0 <= degree <= MAX_DEGREE:
        raise refuse(f"a spline has the degree {degree!r:.80}")
    if not all(isinstance(a, np.ndarray) and a.dtype == np.float64 and a.ndim for a in (knots, values)):
        raise refuse("a spline's knots and coefficients are no arrays of numbers")
    n_splines = len(knots) - degree - 1
    if knots.ndim != 1 or n_splines < degree + 1 or len(values) < n_splines:
        raise refuse(f"a spline of degree {degree} has {len(knots)} knots and {len(values)} coefficients")
    if not np.isfinite(knots).all() or (np.diff(knots) < 0).any() or knots[degree] == knots[n_splines]:
        raise refuse("a spline's knots are not in order")
