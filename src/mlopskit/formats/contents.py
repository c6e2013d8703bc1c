"""The numbers that compiled code trusts: checked after a model is built and before it predicts.

scikit-learn's trees follow child and feature indices without looking at bounds, histogram gradient boosting reads sets
of categories by index, and a one-hot matrix is written at computed positions. Numbers from a damaged or hostile file
would lead them outside their memory. The checks are vectorised: milliseconds for a forest of 250,000 nodes.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopskit.errors import FormatError, UnsafeModel


def _refuse(fact: str) -> UnsafeModel:
    return UnsafeModel(f"{fact}: the file is damaged or was made to break the process that loads it")


def check_contents(model: Any) -> None:
    """Refuse a model whose numbers would lead compiled code outside its memory.

    Parameters
    ----------
    model
        What was rebuilt from an audited file; nothing has been called on it.

    Raises
    ------
    UnsafeModel
        For the first number out of bounds, and for an attribute that is missing or of another type.
    """
    try:
        _check(model)
    except FormatError:
        raise
    except Exception as error:  # whatever a missing or strange attribute raises
        raise _refuse(f"its attributes cannot be checked ({type(error).__name__}: {error})") from error


def _check(model: Any) -> None:
    from sklearn.ensemble._forest import BaseForest
    from sklearn.ensemble._gb import BaseGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import BaseDecisionTree
    from sklearn.tree._tree import Tree

    parts = list(_parts(model))
    checked: set[int] = set()
    for part in parts:
        _check_methods(part)
        if isinstance(part, BaseDecisionTree) and "tree_" in vars(part):
            checked.add(_check_tree(part))
        elif isinstance(part, BaseHistGradientBoosting) and "_predictors" in vars(part):
            checked.update(_check_boosting(part))
        elif isinstance(part, OneHotEncoder):
            _check_one_hot(part)
    for part in parts:
        if isinstance(part, (Tree, TreePredictor)) and id(part) not in checked:
            raise _refuse(f"a {type(part).__name__} stands where no estimator of its kind owns it")
        if isinstance(part, (BaseForest, BaseGradientBoosting)) and "estimators_" in vars(part):
            _check_ensemble(part)
    for part in parts:
        if isinstance(part, BaseGradientBoosting) and "estimators_" in vars(part):
            _check_initial(part)


def _parts(root: Any) -> Iterator[Any]:
    """Yield every object that can be reached from the model, each once."""
    queue, seen = [root], {id(root)}
    while queue:
        part = queue.pop()
        yield part
        for child in _children(part):
            if id(child) not in seen and not isinstance(child, (str, bytes, bool, int, float, type(None))):
                seen.add(id(child))
                queue.append(child)


def _children(part: Any) -> Collection[Any]:
    if isinstance(part, dict):
        return list(part.values())
    if isinstance(part, (list, tuple, set)):
        return list(part)
    if isinstance(part, np.ndarray):
        return list(part.ravel()) if part.dtype == object else ()
    if isinstance(part, functools.partial):
        return (*part.args, *part.keywords.values(), *vars(part).values())
    if inspect.isroutine(part) or isinstance(part, (type, np.ufunc)) or not hasattr(part, "__dict__"):
        return ()
    return list(vars(part).values())


def _check_methods(part: Any) -> None:
    """Refuse an attribute that hides a method: it would change what the class's own code calls."""
    if inspect.isroutine(part) or isinstance(part, (dict, type, np.ufunc)) or not hasattr(part, "__dict__"):
        return
    for name in vars(part):
        hidden = getattr(type(part), name, None)
        if inspect.isroutine(hidden) or name.startswith("__"):
            raise _refuse(f"{type(part).__name__}.{name} is replaced by an attribute")


def _n_features(owner: Any) -> int:
    found = vars(owner).get("n_features_in_")
    if not isinstance(found, (int, np.integer)) or isinstance(found, bool) or found < 1:
        raise _refuse(f"{type(owner).__name__}.n_features_in_ is {found!r:.80}")
    return int(found)


def _check_structure(left: NDArray[Any], right: NDArray[Any], leaf: NDArray[np.bool_]) -> int:
    """Check that the nodes form one tree, parents before children; return its depth.

    Parameters
    ----------
    left, right
        Shape (n_nodes,): positions of the children; not read at leaves.
    leaf
        Shape (n_nodes,): which nodes are leaves.
    """
    inner = np.flatnonzero(~leaf)
    children = np.concatenate([left[inner], right[inner]]).astype(np.int64)
    n_nodes = len(leaf)
    if len(children) != n_nodes - 1 or not ((children > 0) & (children < n_nodes)).all():
        raise _refuse("a tree's children are out of bounds or missing")
    if (np.bincount(children, minlength=n_nodes)[1:] != 1).any():
        raise _refuse("a tree has a node with two parents")
    if (children <= np.concatenate([inner, inner])).any():
        raise _refuse("a tree has a cycle")
    depth, level = 0, np.zeros(1, dtype=np.int64)
    while True:
        level = level[~leaf[level]]
        if not len(level):
            return depth
        level = np.concatenate([left[level], right[level]]).astype(np.int64)
        depth += 1


def _check_tree(owner: Any) -> int:
    """Check the `Tree` of a decision tree; return its id."""
    from sklearn.tree._tree import Tree

    tree = vars(owner).get("tree_")
    if type(tree) is not Tree:
        raise _refuse(f"{type(owner).__name__}.tree_ is a {type(tree).__name__}")
    if tree.node_count < 1 or tree.node_count != tree.capacity:  # the arrays below are views of node_count nodes
        raise _refuse(f"a tree claims {tree.node_count} nodes, and holds {tree.capacity}")
    if tree.n_features != _n_features(owner):
        raise _refuse(f"a tree reads {tree.n_features} features, and its estimator {owner.n_features_in_}")
    nodes = tree.__getstate__()["nodes"]
    leaf = nodes["left_child"] == -1
    if (leaf != (nodes["right_child"] == -1)).any():
        raise _refuse("a tree has a node with one child")
    depth = _check_structure(nodes["left_child"], nodes["right_child"], leaf)
    if not depth <= tree.max_depth <= tree.node_count:
        raise _refuse(f"a tree claims depth {tree.max_depth}, and has {depth}")
    _check_splits(nodes["feature"][~leaf], nodes["threshold"][~leaf], tree.n_features)
    return id(tree)


def _check_splits(features: NDArray[Any], thresholds: NDArray[Any], n_features: int) -> None:
    if len(features) and not (features.min() >= 0 and features.max() < n_features):
        raise _refuse(f"a tree splits on a feature outside 0 to {n_features - 1}")
    if np.isnan(thresholds).any():
        raise _refuse("a tree has a threshold that is not a number")


def _check_ensemble(model: Any) -> None:
    """Forests and gradient boosting check the rows once and hand them to every tree unchecked."""
    from sklearn.tree import BaseDecisionTree

    n_features = _n_features(model)
    found = model.estimators_
    trees = list(found.ravel()) if isinstance(found, np.ndarray) else list(found)
    if not trees or not all(isinstance(tree, BaseDecisionTree) for tree in trees):
        raise _refuse(f"{type(model).__name__}.estimators_ holds something other than trees")
    if any(_n_features(tree) != n_features for tree in trees):
        raise _refuse(f"a tree of {type(model).__name__} reads another number of features than its ensemble")


def _check_initial(model: Any) -> None:
    """Gradient boosting adds each column of trees to a column of the initial prediction, which must exist."""
    estimators = model.estimators_
    if not isinstance(estimators, np.ndarray) or estimators.ndim != 2:
        raise _refuse(f"{type(model).__name__}.estimators_ is no table of trees")
    row = np.zeros((1, _n_features(model)), dtype=np.float32)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape = np.shape(model._raw_predict_init(row))
    except Exception as error:  # whatever the initial estimator raises
        raise _refuse(f"the initial estimator of {type(model).__name__} does not predict ({error})") from error
    if shape != (1, estimators.shape[1]):
        raise _refuse(f"{type(model).__name__} has {estimators.shape[1]} trees per stage for predictions of {shape}")


def _check_boosting(model: Any) -> list[int]:
    """Check the `TreePredictor`s of histogram gradient boosting; return their ids."""
    n_features = _n_features(model)
    if vars(model).get("_in_fit"):
        raise _refuse(f"{type(model).__name__} claims to be in the middle of fitting")
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
        raise _refuse(f"the bins of {type(model).__name__} are not those of {n_features} features")
    categorical: NDArray[np.bool_] = flags != 0
    for position in np.flatnonzero(categorical):
        codes = np.asarray(thresholds[position])
        if codes.dtype.kind not in "iuf" or not ((codes >= 0) & (codes <= 255)).all():
            raise _refuse(f"the categories of feature {position} of {type(model).__name__} are no codes from 0 to 255")
    return categorical


def _check_predictor(predictor: Any, n_features: int, categorical: NDArray[np.bool_]) -> None:
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

    if type(predictor) is not TreePredictor:
        raise _refuse(f"a stage of gradient boosting holds a {type(predictor).__name__}")
    nodes = predictor.nodes
    if not isinstance(nodes, np.ndarray) or nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1 or not len(nodes):
        raise _refuse("a predictor's nodes are no array of nodes")
    leaf = nodes["is_leaf"] != 0
    _check_structure(nodes["left"], nodes["right"], leaf)
    inner = nodes[~leaf]
    _check_splits(inner["feature_idx"], inner["num_threshold"], n_features)
    split = inner[inner["is_categorical"] != 0]
    for bits in (predictor.raw_left_cat_bitsets, predictor.binned_left_cat_bitsets):
        if not isinstance(bits, np.ndarray) or bits.dtype != np.uint32 or bits.ndim != 2 or bits.shape[1] != 8:
            raise _refuse("a predictor's sets of categories have another shape than (n_splits, 8)")
        if len(split) and split["bitset_idx"].max() >= len(bits):
            raise _refuse("a predictor's split refers to a set of categories that does not exist")
    if not categorical[split["feature_idx"]].all():
        raise _refuse("a predictor has a categorical split on a feature that is not categorical")


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
        raise _refuse(f"{type(model).__name__} has another preprocessor than scikit-learn gives it")
    (_, encoder, chosen), (_, identity, rest) = steps[:2]
    chosen, rest = np.asarray(chosen), np.asarray(rest)
    plain = type(identity) is FunctionTransformer and isinstance(identity.func, functools.partial)
    sizes = chosen.dtype == rest.dtype == bool and chosen.shape == rest.shape == (n_features,)
    if type(encoder) is not OrdinalEncoder or not (plain or identity == "drop") or not sizes:
        raise _refuse(f"{type(model).__name__} has another preprocessor than scikit-learn gives it")
    weights = getattr(preprocessor, "transformer_weights", None)
    counts = len(encoder.categories_) == chosen.sum() and _n_features(preprocessor) == n_features
    if (chosen == rest).any() or not counts or weights is not None:
        raise _refuse(f"the preprocessor of {type(model).__name__} does not pass on {n_features} columns")


def _check_one_hot(encoder: Any) -> None:
    """Its matrix is written at positions computed from these attributes, unchecked."""
    categories = vars(encoder).get("categories_")
    if categories is None:
        return
    widths = []
    for position, levels in enumerate(categories):
        if not isinstance(levels, np.ndarray) or levels.ndim != 1:
            raise _refuse("the categories of a OneHotEncoder are no arrays")
        if levels.dtype.kind not in "OUS" and not _is_sorted(levels):
            raise _refuse("the categories of a OneHotEncoder are not sorted")
        widths.append(_check_grouping(encoder, position, len(levels)))
    drops = vars(encoder).get("_drop_idx_after_grouping")
    drops = [None] * len(widths) if drops is None else list(drops)
    if len(drops) != len(widths) or any(d is not None and not 0 <= d < w for d, w in zip(drops, widths, strict=True)):
        raise _refuse("a OneHotEncoder drops a category that it does not have")
    widths = [w - (d is not None) for d, w in zip(drops, widths, strict=True)]
    if list(vars(encoder).get("_n_features_outs", ())) != widths:
        raise _refuse("the columns of a OneHotEncoder are not those of its categories")


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
        raise _refuse("the infrequent categories of a OneHotEncoder are no arrays of positions")
    width = n_levels - len(rare) + 1
    if len(mapping) != n_levels or not (mapping.min() >= 0 and mapping.max() < width):
        raise _refuse("the infrequent categories of a OneHotEncoder lead outside its columns")
    if not (rare.min() >= 0 and rare.max() < n_levels):
        raise _refuse("the infrequent categories of a OneHotEncoder lead outside its columns")
    return width
