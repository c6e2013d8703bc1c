"""Support vectors, neighbours and centres: shapes and indices that compiled code takes from one another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopskit.formats.contents.base import n_features_of, refuse

MAX_THREADS = 4096
"""Most threads that a model may ask for."""


def _is_array(value: Any, dtype: Any, *shape: int) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == dtype and value.shape == shape


def check_machine(model: Any) -> None:
    """Check a support vector machine: libsvm reads every array by the length of another.

    With k classes (2 for regression and one class) and n support vectors it expects k(k-1)/2 intercepts, (k-1) n
    coefficients and, for probabilities, k(k-1)/2 pairs of numbers.
    """
    own: dict[str, Any] = vars(model)
    if "support_" not in own:
        return
    name, support = type(model).__name__, own["support_"]
    counts: Any = own.get("_n_support")
    n_classes = len(own["classes_"]) if model._impl in ("c_svc", "nu_svc") else 2
    if not isinstance(own.get("kernel"), str) or n_classes < 2:
        raise refuse(f"{name} has the kernel {own.get('kernel')!r:.80} for {n_classes} classes")
    if not isinstance(support, np.ndarray) or support.dtype != np.int32 or support.ndim != 1:
        raise refuse(f"{name}.support_ is no array of positions")
    if not _is_array(counts, np.int32, n_classes) or (counts < 0).any():
        raise refuse(f"{name} does not count the support vectors of {n_classes} classes")
    n_vectors, n_pairs = len(support), n_classes * (n_classes - 1) // 2
    total = int(counts.sum(dtype=np.int64)) if model._impl in ("c_svc", "nu_svc") else int(counts[0])
    if total != n_vectors:
        raise refuse(f"{name} counts {total} support vectors, and names {n_vectors}")
    if not _is_array(own.get("_intercept_"), np.float64, n_pairs):
        raise refuse(f"{name} needs {n_pairs} intercepts")
    _check_probabilities(model, n_pairs)
    _check_support(model, n_vectors, n_classes)


def _check_probabilities(model: Any, n_pairs: int) -> None:
    own: dict[str, Any] = vars(model)
    claimed = own.get("_effective_probability", own.get("probability"))
    lengths = [len(own[name]) for name in ("_probA", "_probB")]
    if lengths != [n_pairs, n_pairs] and (claimed not in (False, "deprecated") or lengths[0] > 1):
        raise refuse(f"{type(model).__name__} needs {n_pairs} pairs of numbers for probabilities, and has {lengths}")


def _check_support(model: Any, n_vectors: int, n_classes: int) -> None:
    own, name, shape = vars(model), type(model).__name__, (n_vectors, n_features_of(model))
    vectors: Any = own.get("support_vectors_")
    weights: Any = own.get("_dual_coef_")
    if own.get("_sparse"):
        formats = [getattr(matrix, "format", None) for matrix in (vectors, weights)]
        if formats != ["csr", "csr"] or vectors.shape != shape or model.kernel == "precomputed":
            raise refuse(f"{name} needs a sparse matrix of {shape} support vectors, and a kernel of its own")
        if len(weights.data) != (n_classes - 1) * n_vectors:
            raise refuse(f"{name} has {len(weights.data)} coefficients for {n_vectors} support vectors")
        return
    if not _is_array(weights, np.float64, n_classes - 1, n_vectors):
        raise refuse(f"{name} does not weigh {n_vectors} support vectors for {n_classes} classes")
    if model.kernel == "precomputed":
        n_rows = own["shape_fit_"][0]
        support = own["support_"]
        if n_vectors and not (support.min() >= 0 and support.max() < n_rows):
            raise refuse(f"{name} has support vectors outside 0 to {n_rows - 1}")
    elif not _is_array(vectors, np.float64, *shape):
        raise refuse(f"{name} needs an array of {shape} support vectors")


def check_centres(model: Any) -> None:
    """K-means multiplies the rows by centres of as many columns, in as many threads as the model says."""
    own: dict[str, Any] = vars(model)
    if "cluster_centers_" not in own:
        return
    centres, threads = own["cluster_centers_"], own.get("_n_threads")
    n_features = n_features_of(model)
    if not isinstance(centres, np.ndarray) or centres.ndim != 2 or centres.shape[1] != n_features or not len(centres):
        raise refuse(f"the centres of {type(model).__name__} are not of {n_features} columns")
    if not isinstance(threads, (int, np.integer)) or not 1 <= threads <= MAX_THREADS:
        raise refuse(f"{type(model).__name__} asks for {threads!r:.80} threads")


def check_neighbours(model: Any) -> None:
    """Neighbours are searched among rows of as many columns, and their classes counted by position."""
    own, name = vars(model), type(model).__name__
    for parameters in (own.get("metric_params"), own.get("effective_metric_params_")):
        _check_metric_parameters(name, parameters, own.get("n_features_in_"))
    if "_fit_X" not in own:
        return
    rows, n_features = own["_fit_X"], n_features_of(model)
    if len(rows.shape) != 2 or rows.shape[1] != n_features or rows.shape[0] != own.get("n_samples_fit_"):
        raise refuse(f"{name} searches {own.get('n_samples_fit_')!r:.80} rows of {n_features} columns in {rows.shape}")
    if "classes_" in own:
        _check_classes(model, rows.shape[0])


def _check_metric_parameters(name: str, parameters: Any, n_features: Any) -> None:
    shapes = {"p": (), "w": (n_features,), "V": (n_features,), "VI": (n_features, n_features)}
    for key, value in (parameters or {}).items():
        if value is not None and n_features is not None and np.shape(value) != shapes.get(key, ...):
            raise refuse(f"the parameter {key!r:.80} of the metric of {name} has the shape {np.shape(value)}")


def _check_classes(model: Any, n_rows: int) -> None:
    labels, classes = vars(model).get("_y"), model.classes_
    several = isinstance(classes, list)
    expected = (n_rows, len(classes)) if several else (n_rows,)
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.shape != expected:
        raise refuse(f"{type(model).__name__} needs the classes of {n_rows} rows")
    counts = np.array([len(levels) for levels in classes] if several else len(classes))
    if not ((labels >= 0) & (labels < counts)).all():
        raise refuse(f"a row of {type(model).__name__} is of a class that does not exist")


def check_search_tree(tree: Any) -> None:
    """Check a KD-tree or ball tree: its queries follow the ranges of its nodes, and its index, without bounds."""
    name = type(tree).__name__
    data, index, nodes, bounds, leaf_size, n_levels, n_nodes, *_, metric, weights = tree.__getstate__()
    n_rows, n_features = data.shape
    if n_rows < 1 or leaf_size < 1 or not 1 <= n_levels <= 62 or n_nodes != 2**n_levels - 1:
        raise refuse(f"a {name} of {n_rows} rows claims {n_nodes} nodes on {n_levels} levels")
    sides = 2 if name.startswith("KD") else 1
    if index.shape != (n_rows,) or nodes.shape != (n_nodes,) or bounds.shape != (sides, n_nodes, n_features):
        raise refuse(f"a {name} has arrays of other shapes than {n_nodes} nodes over {n_rows} rows")
    if weights is not None and weights.shape != (n_rows,):
        raise refuse(f"a {name} of {n_rows} rows has {len(weights)} weights")
    if not (index.min() >= 0 and index.max() < n_rows):
        raise refuse(f"a {name} leads to rows outside 0 to {n_rows - 1}")
    _check_ranges(nodes, n_rows)
    _check_metric(metric, n_features)


def _check_ranges(nodes: NDArray[Any], n_rows: int) -> None:
    """Check that the root holds all rows, and that children share out what their parent holds."""
    start, end, leaf = nodes["idx_start"], nodes["idx_end"], nodes["is_leaf"] != 0
    if start[0] != 0 or end[0] != n_rows:
        raise refuse(f"the root of a search tree holds the rows {start[0]} to {end[0]} of {n_rows}")
    level = np.zeros(1, dtype=np.int64)
    while len(level):
        level = level[~leaf[level]]
        left, right = 2 * level + 1, 2 * level + 2
        if len(level) and right.max() >= len(nodes):
            raise refuse("a search tree has a node without children that is no leaf")
        split = end[left]
        ordered = (start[level] <= split) & (split <= end[level])
        if not (ordered & (start[left] == start[level]) & (start[right] == split) & (end[right] == end[level])).all():
            raise refuse("the nodes of a search tree do not share out their rows")
        level = np.concatenate([left, right])


def _check_metric(metric: Any, n_features: int) -> None:
    name = type(metric).__name__
    _, vector, matrix = metric.__getstate__()
    wanted = {"SEuclideanDistance64": [n_features], "MinkowskiDistance64": [0, n_features]}.get(name)
    if wanted is not None and len(vector) not in wanted:
        raise refuse(f"a {name} over {n_features} columns weighs {len(vector)}")
    if name == "MahalanobisDistance64" and matrix.shape != (n_features, n_features):
        raise refuse(f"a {name} over {n_features} columns has a matrix of {matrix.shape}")
    if name == "HaversineDistance64" and n_features != 2:
        raise refuse(f"a {name} over {n_features} columns; expected 2")
