"""Decision trees and histogram gradient boosting: child, feature and category indices are followed unchecked."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopskit.formats.contents.base import n_features_of, refuse


def _check_structure(left: NDArray[Any], right: NDArray[Any], leaf: NDArray[np.bool_]) -> int:
    """Check that the nodes form one tree, parents before children; return its depth.

    The depth is found by doubling: every node looks at an ancestor twice as far in each round.

    Parameters
    ----------
    left, right
        Shape (n_nodes,): positions of the children; not read at leaves.
    leaf
        Shape (n_nodes,): which nodes are leaves.
    """
    inner = np.flatnonzero(~leaf)
    children = np.concatenate([left[inner], right[inner]]).astype(np.int64, copy=False)
    n_nodes = len(leaf)
    if len(children) != n_nodes - 1 or not ((children > 0) & (children < n_nodes)).all():
        raise refuse("a tree's children are out of bounds or missing")
    ancestor = np.full(n_nodes, -1)
    ancestor[children] = np.concatenate([inner, inner])
    if (ancestor[1:] < 0).any():
        raise refuse("a tree has a node with two parents")
    if (ancestor[1:] >= np.arange(1, n_nodes)).any():
        raise refuse("a tree has a cycle")
    ancestor[0] = 0
    steps = np.ones(n_nodes, dtype=np.int64)
    steps[0] = 0
    while ancestor.any():
        steps += steps[ancestor]
        ancestor = ancestor[ancestor]
    return int(steps.max())


def check_tree(owner: Any) -> list[int]:
    """Check the `Tree` of a decision tree; return its id."""
    from sklearn.tree._tree import Tree

    if "tree_" not in vars(owner):
        return []
    tree = vars(owner).get("tree_")
    if type(tree) is not Tree:
        raise refuse(f"{type(owner).__name__}.tree_ is a {type(tree).__name__}")
    if tree.node_count < 1 or tree.node_count != tree.capacity:  # the arrays below are views of node_count nodes
        raise refuse(f"a tree claims {tree.node_count} nodes, and holds {tree.capacity}")
    if tree.n_features != n_features_of(owner):
        raise refuse(f"a tree reads {tree.n_features} features, and its estimator {owner.n_features_in_}")
    nodes = tree.__getstate__()["nodes"]
    leaf = nodes["left_child"] == -1
    if (leaf != (nodes["right_child"] == -1)).any():
        raise refuse("a tree has a node with one child")
    depth = _check_structure(nodes["left_child"], nodes["right_child"], leaf)
    if not depth <= tree.max_depth <= tree.node_count:
        raise refuse(f"a tree claims depth {tree.max_depth}, and has {depth}")
    _check_splits(nodes["feature"][~leaf], nodes["threshold"][~leaf], tree.n_features)
    return [id(tree)]


def _check_splits(features: NDArray[Any], thresholds: NDArray[Any], n_features: int) -> None:
    if len(features) and not (features.min() >= 0 and features.max() < n_features):
        raise refuse(f"a tree splits on a feature outside 0 to {n_features - 1}")
    if np.isnan(thresholds).any():
        raise refuse("a tree has a threshold that is not a number")


def check_ensemble(model: Any) -> None:
    """Forests and gradient boosting check the rows once and hand them to every tree unchecked."""
    from sklearn.tree import BaseDecisionTree

    n_features = n_features_of(model)
    found = model.estimators_
    trees = list(found.ravel()) if isinstance(found, np.ndarray) else list(found)
    if not trees or not all(isinstance(tree, BaseDecisionTree) for tree in trees):
        raise refuse(f"{type(model).__name__}.estimators_ holds something other than trees")
    if any(n_features_of(tree) != n_features for tree in trees):
        raise refuse(f"a tree of {type(model).__name__} reads another number of features than its ensemble")


def check_isolation(model: Any) -> None:
    """Check the columns that an isolation forest hands to each tree: the chosen ones, or all of them."""
    n_features, most = n_features_of(model), vars(model).get("_max_features")
    chosen = model.estimators_features_
    if len(chosen) != len(model.estimators_):
        raise refuse(f"{type(model).__name__} has columns for {len(chosen)} of {len(model.estimators_)} trees")
    for tree, columns in zip(model.estimators_, chosen, strict=True):
        n_columns = n_features if most == n_features else len(columns)
        if n_features_of(tree) != n_columns:
            raise refuse(f"a tree of {type(model).__name__} reads {tree.n_features_in_} of {n_columns} columns")


def check_initial(model: Any) -> None:
    """Gradient boosting adds each column of trees to a column of the initial prediction, which must exist."""
    estimators = model.estimators_
    if not isinstance(estimators, np.ndarray) or estimators.ndim != 2:
        raise refuse(f"{type(model).__name__}.estimators_ is no table of trees")
    row = np.zeros((1, n_features_of(model)), dtype=np.float32)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape = np.shape(model._raw_predict_init(row))
    except Exception as error:  # whatever the initial estimator raises
        raise refuse(f"the initial estimator of {type(model).__name__} does not predict ({error})") from error
    if shape != (1, estimators.shape[1]):
        raise refuse(f"{type(model).__name__} has {estimators.shape[1]} trees per stage for predictions of {shape}")


def check_boosting(model: Any) -> list[int]:
    """Check the `TreePredictor`s of histogram gradient boosting; return their ids."""
    if "_predictors" not in vars(model):
        return []
    n_features = n_features_of(model)
    if vars(model).get("_in_fit"):
        raise refuse(f"{type(model).__name__} claims to be in the middle of fitting")
    categorical = _check_bins(model, n_features)
    _check_preprocessor(model, n_features)
    checked = []
    for predictor in (predictor for stage in model._predictors for predictor in stage):
        _check_predictor(predictor, n_features, categorical)
        checked.append(id(predictor))
    return checked


def _check_bins(model: Any, n_features: int) -> NDArray[np.bool_]:
    """Return which features the bin mapper of a model holds to be categorical."""
    mapper = vars(model).get("_bin_mapper")
    flags = np.asarray(getattr(mapper, "is_categorical_", ()))
    thresholds = getattr(mapper, "bin_thresholds_", ())
    if flags.shape != (n_features,) or len(thresholds) != n_features or flags.dtype.kind not in "biu":
        raise refuse(f"the bins of {type(model).__name__} are not those of {n_features} features")
    categorical: NDArray[np.bool_] = flags != 0
    for position in np.flatnonzero(categorical):
        codes = np.asarray(thresholds[position])
        if codes.dtype.kind not in "iuf" or not ((codes >= 0) & (codes <= 255)).all():
            raise refuse(f"the categories of feature {position} of {type(model).__name__} are no codes from 0 to 255")
    return categorical


def _check_predictor(predictor: Any, n_features: int, categorical: NDArray[np.bool_]) -> None:
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

    if type(predictor) is not TreePredictor:
        raise refuse(f"a stage of gradient boosting holds a {type(predictor).__name__}")
    nodes = predictor.nodes
    if not isinstance(nodes, np.ndarray) or nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1 or not len(nodes):
        raise refuse("a predictor's nodes are no array of nodes")
    leaf = nodes["is_leaf"] != 0
    _check_structure(nodes["left"], nodes["right"], leaf)
    inner = nodes[~leaf]
    _check_splits(inner["feature_idx"], inner["num_threshold"], n_features)
    split = inner[inner["is_categorical"] != 0]
    for bits in (predictor.raw_left_cat_bitsets, predictor.binned_left_cat_bitsets):
        if not isinstance(bits, np.ndarray) or bits.dtype != np.uint32 or bits.ndim != 2 or bits.shape[1] != 8:
            raise refuse("a predictor's sets of categories have another shape than (n_splits, 8)")
        if len(split) and split["bitset_idx"].max() >= len(bits):
            raise refuse("a predictor's split refers to a set of categories that does not exist")
    if not categorical[split["feature_idx"]].all():
        raise refuse("a predictor has a categorical split on a feature that is not categorical")


def _check_preprocessor(model: Any, n_features: int) -> None:
    """With categories, the rows come from a ColumnTransformer, and its columns are not counted again."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

    preprocessor = vars(model).get("_preprocessor")
    if preprocessor is None:
        return
    steps: Any = getattr(preprocessor, "transformers_", ())
    dropped = all(isinstance(step[1], str) and step[1] == "drop" for step in steps[2:])
    if type(preprocessor) is not ColumnTransformer or len(steps) < 2 or not dropped:
        raise refuse(f"{type(model).__name__} has another preprocessor than scikit-learn gives it")
    (_, encoder, chosen), (_, identity, rest) = steps[:2]
    chosen, rest = np.asarray(chosen), np.asarray(rest)
    plain = type(identity) is FunctionTransformer and isinstance(identity.func, functools.partial)
    sizes = chosen.dtype == rest.dtype == bool and chosen.shape == rest.shape == (n_features,)
    if type(encoder) is not OrdinalEncoder or not (plain or identity == "drop") or not sizes:
        raise refuse(f"{type(model).__name__} has another preprocessor than scikit-learn gives it")
    weights = getattr(preprocessor, "transformer_weights", None)
    counts = len(encoder.categories_) == chosen.sum() and n_features_of(preprocessor) == n_features
    if (chosen == rest).any() or not counts or weights is not None:
        raise refuse(f"the preprocessor of {type(model).__name__} does not pass on {n_features} columns")
