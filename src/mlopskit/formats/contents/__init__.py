"""The numbers that compiled code trusts: checked after a model is built and before it predicts.

scikit-learn's trees follow child and feature indices without looking at bounds, histogram gradient boosting reads sets
of categories by index, libsvm takes the length of one array from another, and products with a sparse matrix go
wherever its indices lead. Numbers from a damaged or hostile file would lead them outside their memory. The checks are
vectorised: milliseconds for a forest of 250,000 nodes.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import numpy as np

from mlopskit.errors import FormatError
from mlopskit.formats.contents import tables, trees, vectors
from mlopskit.formats.contents.base import n_features_of as n_features_of
from mlopskit.formats.contents.base import refuse

_CHECKS: dict[str, Callable[[Any], Iterable[int] | None]] = {
    "scipy.interpolate._bsplines.BSpline": tables.check_spline,
    "scipy.sparse._base._spbase": tables.check_sparse,
    "sklearn.cluster._kmeans._BaseKMeans": vectors.check_centres,
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.BaseHistGradientBoosting": trees.check_boosting,
    "sklearn.feature_extraction._dict_vectorizer.DictVectorizer": tables.check_vocabulary,
    "sklearn.feature_extraction._hash.FeatureHasher": tables.check_hasher,
    "sklearn.feature_extraction.text.CountVectorizer": tables.check_vocabulary,
    "sklearn.feature_extraction.text.HashingVectorizer": tables.check_hasher,
    "sklearn.neighbors._base.NeighborsBase": vectors.check_neighbours,
    "sklearn.neighbors._ball_tree.BallTree": vectors.check_search_tree,
    "sklearn.neighbors._kd_tree.KDTree": vectors.check_search_tree,
    "sklearn.preprocessing._encoders.OneHotEncoder": tables.check_one_hot,
    "sklearn.svm._base.BaseLibSVM": vectors.check_machine,
    "sklearn.tree._classes.BaseDecisionTree": trees.check_tree,
}
"""What is checked of instances of a class and its subclasses; a check returns the ids of the parts it covered."""
_ENSEMBLES: dict[str, Callable[[Any], None]] = {
    "sklearn.ensemble._forest.BaseForest": trees.check_ensemble,
    "sklearn.ensemble._gb.BaseGradientBoosting": trees.check_ensemble,
    "sklearn.ensemble._iforest.IsolationForest": trees.check_isolation,
}
_STAGES: dict[str, Callable[[Any], None]] = {"sklearn.ensemble._gb.BaseGradientBoosting": trees.check_initial}
"""What predicts once to be checked, and therefore after everything else."""
_OWNED = frozenset(
    {
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.metrics._dist_metrics.DistanceMetric",
        "sklearn.tree._tree.Tree",
    }
)
"""What only stands inside the part that was checked with it."""


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
        raise refuse(f"its attributes cannot be checked ({type(error).__name__}: {error})") from error


def _check(model: Any) -> None:
    parts = [(part, _lineage(part.__class__)) for part in _parts(model)]
    checked: set[int] = set()
    for part, lineage in parts:
        _check_methods(part)
        for check in (_CHECKS[name] for name in lineage if name in _CHECKS):
            checked.update(check(part) or ())
    for part, lineage in parts:
        if id(part) not in checked and not _OWNED.isdisjoint(lineage):
            raise refuse(f"a {type(part).__name__} stands where no estimator of its kind owns it")
    for table in (_ENSEMBLES, _STAGES):
        for part, lineage in parts:
            for check_all in (table[name] for name in lineage if name in table and "estimators_" in vars(part)):
                check_all(part)


@functools.cache
def _lineage(kind: Any) -> tuple[str, ...]:
    """Return the full names of a class and its bases: looked up by name, no module of theirs is imported."""
    return tuple(f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__)


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
        return list(np.asarray(part).ravel()) if part.dtype == object else ()
    if isinstance(part, functools.partial):
        return (*part.args, *part.keywords.values(), *vars(part).values())
    if inspect.isroutine(part) or isinstance(part, (type, np.ufunc)) or not hasattr(part, "__dict__"):
        return ()
    return list(vars(part).values())


def _check_methods(part: Any) -> None:
    """Refuse an attribute that hides what its class defines: it would change what the class's own code does."""
    if inspect.isroutine(part) or isinstance(part, (dict, type, np.ufunc, np.ndarray)) or not hasattr(part, "__dict__"):
        return
    for name in vars(part):
        if _hides(part.__class__, name):
            raise refuse(f"{type(part).__name__}.{name} is replaced by an attribute")


@functools.lru_cache(1 << 14)
def _hides(kind: Any, name: str) -> bool:
    hidden = inspect.getattr_static(kind, name, None)
    return name.startswith("__") or not isinstance(hidden, (bool, int, float, type(None)))
