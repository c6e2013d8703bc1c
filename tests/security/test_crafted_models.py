"""Models with numbers that would lead compiled code outside its memory: each is refused before it predicts.

Without the check, most of these kill the process and the others read memory that is not theirs.
"""

from __future__ import annotations

import copy
import functools
import io
import json
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import DistanceMetric
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.preprocessing import SplineTransformer
from sklearn.svm import SVC

from estimators import NUMBER, SPARSE, THREE, TWO, WORDS, N, X, fit
from mlopskit import formats
from mlopskit.errors import FormatError, UnsafeModel
from mlopskit.formats import archives, models

FAR = 10**7


def stored(model: Any) -> bytes:
    """Return a model file without the audit and the checks of whoever writes it honestly."""
    return models._file(*models._tidy(*models._state(model)))


def changed(model: Any, **attributes: Any) -> Any:
    vars(model).update(attributes)
    return model


def last(model: Any) -> Any:
    return model.steps[0][1] if hasattr(model, "steps") else model


# -- search trees

KINDS = ["neighbours by a kd tree", "neighbours by a ball tree", "local outliers", "kernel density"]


def replant(model: Any, change: Callable[[list[Any]], Any]) -> Any:
    """Change the state of a model's search tree."""
    name = "tree_" if isinstance(model, KernelDensity) else "_tree"
    tree = getattr(model, name)
    state = [part.copy() if isinstance(part, np.ndarray) else part for part in tree.__getstate__()]
    change(state)
    planted = type(tree).__new__(type(tree))
    planted.__setstate__(tuple(state))
    setattr(model, name, planted)
    return model


TREES: dict[str, Callable[[list[Any]], Any]] = {
    "an index far outside": lambda s: s[1].__setitem__(0, FAR),
    "a negative index": lambda s: s[1].__setitem__(0, -1),
    "an index too short": lambda s: s.__setitem__(1, s[1][:3].copy()),
    "a range beyond the rows": lambda s: s[2]["idx_end"].__setitem__(0, N + 1),
    "a leaf beyond the rows": lambda s: s[2]["idx_end"].__setitem__(-1, FAR),
    "a negative range": lambda s: s[2]["idx_start"].__setitem__(-1, -FAR),
    "leaves that overlap": lambda s: s[2]["idx_start"].__setitem__(-1, 0),
    "no leaves": lambda s: s[2]["is_leaf"].__setitem__(slice(None), 0),
    "too few nodes": lambda s: s.__setitem__(2, s[2][:1].copy()),
    "more nodes than it has": lambda s: (s.__setitem__(5, 30), s.__setitem__(6, 2**30 - 1)),
    "nodes of half a level": lambda s: s.__setitem__(6, s[6] - 1),
    "bounds too short": lambda s: s.__setitem__(3, s[3][:, :1].copy()),
    "bounds of fewer columns": lambda s: s.__setitem__(3, s[3][:, :, :1].copy()),
    "leaves of no rows": lambda s: s.__setitem__(4, 0),
    "weights for fewer rows": lambda s: s.__setitem__(12, np.ones(1)),
}


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("kind", KINDS)
def test_search_trees(kind: str, name: str) -> None:
    """A query goes wherever the nodes and the index of a KD-tree or ball tree lead."""
    with pytest.raises(UnsafeModel, match=r"search tree|KDTree|BallTree"):
        formats.load_model("skops", stored(replant(fit(kind)[0], TREES[name])))


def remeasure(kind: str, parameters: dict[str, Any], *, vector: Any = None, matrix: Any = None) -> Any:
    """Change the weights of the distance inside a ball tree."""
    model = KNeighborsClassifier(algorithm="ball_tree", metric=kind, p=3, metric_params=parameters).fit(X, TWO)

    def change(state: list[Any]) -> None:
        power, old_vector, old_matrix = state[11].__getstate__()
        metric = type(state[11]).__new__(type(state[11]))
        metric.__setstate__((power, old_vector if vector is None else vector, old_matrix if matrix is None else matrix))
        state[11] = metric

    return replant(model, change)


def other_metric(name: str) -> Any:
    """Swap the distance of a ball tree over four columns for one of another class."""

    def change(state: list[Any]) -> None:
        state[11] = DistanceMetric.get_metric(name)

    return replant(fit("neighbours by weights")[0], change)


METRICS: dict[str, Callable[[], Any]] = {
    "variances of one column": lambda: remeasure("seuclidean", {"V": np.ones(4)}, vector=np.ones(1)),
    "weights of one column": lambda: remeasure("minkowski", {"w": np.ones(4)}, vector=np.ones(1)),
    "a matrix of one column": lambda: remeasure("mahalanobis", {"VI": np.eye(4)}, matrix=np.ones((400, 1))),
    "places of four columns": lambda: other_metric("haversine"),
    "parameters of one column": lambda: changed(
        fit("neighbours by weights")[0], effective_metric_params_={"V": np.ones(1)}
    ),
    "norms of the wrong rows": lambda: changed(
        fit("neighbours by all")[0], effective_metric_params_={"Y_norm_squared": np.ones(1)}
    ),
    "a metric without a tree": lambda: changed(
        fit("neighbours by all")[0],
        metric=DistanceMetric.get_metric("seuclidean", V=np.ones(1)),
    ),
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics(name: str) -> None:
    """Distances take their weights by the number of columns they measure."""
    with pytest.raises(UnsafeModel):
        formats.load_model("skops", stored(METRICS[name]()))


def edited(kind: str, edit: Callable[[Any, dict[str, bytes]], None]) -> bytes:
    """Return the file of a model after `edit(schema, members)`."""
    data = stored(fit(kind)[0])
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        members = {name: source.read(name) for name in source.namelist()}
    schema = json.loads(members.pop("schema.json"))
    edit(schema, members)
    return archives.write_members({"schema.json": json.dumps(schema).encode(), **members})


def nodes(part: Any, name: str) -> list[Any]:
    """Return every node of a class in a schema."""
    if isinstance(part, list):
        return [found for item in part for found in nodes(item, name)]
    if not isinstance(part, dict):
        return []
    here = [part] if part.get("__class__") == name else []
    return here + [found for value in part.values() for found in nodes(value, name)]


NOTHING = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "null", "is_json": True}


@pytest.mark.parametrize("position", [0, 1, 2, 3, 11])
def test_search_trees_without_a_part(position: int) -> None:
    """Compiled code would follow None as if it were an array."""

    def edit(schema: Any, members: dict[str, bytes]) -> None:
        nodes(schema, "KDTree")[0]["content"]["content"][position] = NOTHING

    with pytest.raises(UnsafeModel, match="KDTree has a state of other parts"):
        formats.load_model("skops", edited("neighbours by a kd tree", edit))


def test_metrics_without_a_part() -> None:
    """Nor is a distance built without its weights, or a tree around something that is no distance."""

    def no_vector(schema: Any, members: dict[str, bytes]) -> None:
        nodes(schema, "ManhattanDistance64")[0]["content"]["content"][1] = NOTHING

    def no_metric(schema: Any, members: dict[str, bytes]) -> None:
        tree = nodes(schema, "KDTree")[0]
        tree["content"]["content"][11] = {**{k: v for k, v in schema.items() if k != "protocol"}, "content": None}

    with pytest.raises(UnsafeModel, match="ManhattanDistance64 has a state of other parts"):
        formats.load_model("skops", edited("neighbours by a kd tree", no_vector))
    with pytest.raises(UnsafeModel, match="that is no metric"):
        formats.load_model("skops", edited("neighbours by a kd tree", no_metric))


NEIGHBOURS: dict[str, dict[str, Any]] = {
    "a class far outside": {"_y": np.full(N, FAR)},
    "a negative class": {"_y": np.full(N, -1)},
    "classes of fewer rows": {"_y": np.zeros(1, dtype=np.intp)},
    "classes of another type": {"_y": np.zeros(N)},
    "rows of fewer columns": {"_fit_X": X[:, :1].copy()},
    "more rows than there are": {"n_samples_fit_": FAR},
    "no number of columns": {"n_features_in_": None},
}


@pytest.mark.parametrize("name", NEIGHBOURS)
@pytest.mark.parametrize("kind", ["neighbours by all", "neighbours within"])
def test_neighbours(kind: str, name: str) -> None:
    """Neighbours are counted by their class, and searched among rows of as many columns."""
    with pytest.raises(UnsafeModel):
        formats.load_model("skops", stored(changed(fit(kind)[0], **NEIGHBOURS[name])))


# -- support vectors


@functools.cache
def machine(kind: str) -> Any:
    if kind == "with probabilities":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return SVC(probability=True).fit(X, THREE)
    return fit(kind)[0]


MACHINES: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "no support vectors": ("svc", lambda m: {"support_vectors_": np.ones((0, 4))}),
    "support vectors of one column": ("svc", lambda m: {"support_vectors_": np.ones((len(m.support_), 1))}),
    "counts far too large": ("svc", lambda m: {"_n_support": np.full(3, FAR, np.int32)}),
    "a negative count": ("svc", lambda m: {"_n_support": np.array([-FAR, FAR, len(m.support_)], np.int32)}),
    "counts of more classes": ("svc", lambda m: {"_n_support": np.r_[m._n_support, np.zeros(3000, np.int32)]}),
    "too few coefficients": ("svc", lambda m: {"_dual_coef_": np.ones((1, 1))}),
    "too few intercepts": ("svc", lambda m: {"_intercept_": np.ones(1)}),
    "more positions than vectors": ("svc", lambda m: {"support_": np.zeros(FAR, np.int32)}),
    "positions that are numbers": ("svc", lambda m: {"support_": m.support_.astype(float)}),
    "one class": ("svc", lambda m: {"classes_": np.array(["a"]), "_n_support": np.zeros(1, np.int32)}),
    "another implementation": ("svc", lambda m: {"_impl": "one_class"}),
    "a kernel of no name": ("svc", lambda m: {"kernel": 3}),
    "regression without coefficients": ("svr", lambda m: {"_dual_coef_": np.ones((1, 0))}),
    "regression that counts too much": ("svr", lambda m: {"_n_support": np.full(2, FAR, np.int32)}),
    "one class without intercept": ("one class", lambda m: {"_intercept_": np.ones(0)}),
    "too few probabilities": ("with probabilities", lambda m: {"_probA": np.ones(1), "_probB": np.ones(1)}),
    "no probabilities": ("with probabilities", lambda m: {"_probA": np.ones(0), "_probB": np.ones(0)}),
    "rows of a kernel far outside": ("svc of its own kernel", lambda m: {"support_": np.full_like(m.support_, FAR)}),
    "a kernel of fewer rows": ("svc of its own kernel", lambda m: {"shape_fit_": (4, 4)}),
    "sparse, too few coefficients": ("svc, sparse", lambda m: {"_dual_coef_": sp.csr_matrix(np.ones((1, 1)))}),
    "sparse, dense vectors": ("svc, sparse", lambda m: {"support_vectors_": m.support_vectors_.toarray()}),
    "sparse, fewer vectors": ("svc, sparse", lambda m: {"support_vectors_": m.support_vectors_[:1]}),
    "sparse, a kernel of rows": ("svc, sparse", lambda m: {"kernel": "precomputed"}),
}


@pytest.mark.parametrize("name", MACHINES)
def test_support_vector_machines(name: str) -> None:
    """Each array of a support vector machine is read by the length of another."""
    kind, attributes = MACHINES[name]
    model = copy.deepcopy(machine(kind))
    formats.load_model("skops", stored(model))
    with pytest.raises(UnsafeModel):
        formats.load_model("skops", stored(changed(model, **attributes(model))))


# -- sparse matrices

MATRIX = sp.csr_matrix(np.eye(4) + 1)


def npz(matrix: Any, **arrays: Any) -> bytes:
    """Return the archive of a sparse matrix with some of its arrays replaced, or dropped when None."""
    kept = {"data": matrix.data, "shape": np.array(matrix.shape), "format": np.array(matrix.format.encode()), **arrays}
    if matrix.format == "coo":
        kept = {"row": matrix.row, "col": matrix.col, **kept}
    else:
        kept = {"indices": matrix.indices, "indptr": matrix.indptr, **kept}
    members = {}
    for name, value in kept.items():
        out = io.BytesIO()
        np.save(out, value)
        if value is not None:
            members[f"{name}.npy"] = out.getvalue()
    return archives.write_members(members)


def holder(inner: bytes, name: str = "csr_matrix") -> bytes:
    """Return the file of a linear model whose coefficients are a sparse matrix."""
    member = "a.npz"
    matrix = {
        "__class__": name,
        "__module__": f"scipy.sparse._{name[:3]}",
        "__loader__": "SparseMatrixNode",
        "type": "scipy",
        "file": member,
    }
    keys = {
        "__class__": "list",
        "__module__": "builtins",
        "__loader__": "ListNode",
        "content": [{"__class__": "str", "__module__": "builtins", "__loader__": "TypeNode"}],
    }
    state = {
        "__class__": "dict",
        "__module__": "builtins",
        "__loader__": "DictNode",
        "content": {"coef_": matrix},
        "key_types": keys,
    }
    schema = {
        "__class__": "LogisticRegression",
        "__module__": "sklearn.linear_model._logistic",
        "__loader__": "ObjectNode",
        "content": state,
        "protocol": 2,
    }
    return archives.write_members({"schema.json": json.dumps(schema).encode(), member: inner})


COO = MATRIX.tocoo()
MATRICES: dict[str, bytes] = {
    "a column far outside": holder(npz(MATRIX, indices=np.full_like(MATRIX.indices, FAR))),
    "a column just outside": holder(npz(MATRIX, indices=MATRIX.indices + 1)),
    "a negative column": holder(npz(MATRIX, indices=np.full_like(MATRIX.indices, -1))),
    "rows that go back": holder(npz(MATRIX, indptr=np.array([0, 8, 4, 12, 16]))),
    "rows beyond the values": holder(npz(MATRIX, indptr=MATRIX.indptr * 1000)),
    "rows that begin late": holder(npz(MATRIX, indptr=MATRIX.indptr + 1)),
    "negative rows": holder(npz(MATRIX, indptr=MATRIX.indptr - 5)),
    "too few rows": holder(npz(MATRIX, indptr=MATRIX.indptr[:2])),
    "too few values": holder(npz(MATRIX, data=np.ones(1))),
    "a shape of three": holder(npz(MATRIX, shape=np.array([4, 4, 4]))),
    "a negative shape": holder(npz(MATRIX, shape=np.array([-4, 4]))),
    "another format": holder(npz(MATRIX, format=np.array(b"csc"))),
    "a format that is no text": holder(npz(MATRIX, format=np.array([b"csr", b"csr"]))),
    "a missing part": holder(npz(MATRIX, shape=None)),
    "one part too many": holder(npz(MATRIX, offsets=np.zeros(1))),
    "an array that is a matrix": holder(npz(MATRIX), "csr_array"),
    "values of objects": holder(npz(MATRIX, data=np.array([None] * 16))),
    "row by row, a row far outside": holder(npz(COO, row=np.full_like(COO.row, FAR)), "coo_matrix"),
    "row by row, a negative column": holder(npz(COO, col=np.full_like(COO.col, -1)), "coo_matrix"),
    "no archive": holder(b"text"),
    "an archive cut short": holder(npz(MATRIX)[:-40]),
}


@pytest.mark.parametrize("name", MATRICES)
def test_sparse_matrices(name: str) -> None:
    """Products go wherever the positions of a sparse matrix lead."""
    for matrix in (MATRIX, MATRIX.tocsc(), COO):
        formats.load_model("skops", holder(npz(matrix), f"{matrix.format}_matrix"))
    with pytest.raises(FormatError):
        formats.load_model("skops", MATRICES[name])


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_sparse_bombs(compression: int) -> None:
    """An archive inside the archive is stored too: a gigabyte of zeros is refused by its directory."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as target:
        for name in ("data", "indices", "indptr", "shape", "format"):
            target.writestr(f"{name}.npy", bytes(10**7))
    assert len(out.getvalue()) < 10**5
    with pytest.raises(UnsafeModel, match="compressed"):
        formats.load_model("skops", holder(out.getvalue()))


# -- everything else that is read by position


def words(kind: str, change: Callable[[dict[str, int]], Any]) -> Any:
    model, _ = fit(kind)
    vectorizer = last(model)
    vectorizer.vocabulary_ = change(vectorizer.vocabulary_)
    return model


def splined(**attributes: Any) -> Any:
    model = SplineTransformer().fit(X)
    vars(model.bsplines_[0]).update(attributes)
    return model


OTHERS: dict[str, Callable[[], Any]] = {
    "centres of one column": lambda: changed(fit("k means")[0], cluster_centers_=np.ones((3, 1))),
    "a list of centres": lambda: changed(fit("k means")[0], cluster_centers_=np.ones(3)),
    "centres without a number of columns": lambda: changed(
        fit("k means")[0], cluster_centers_=np.ones((300_000, 1)), n_features_in_=None
    ),
    "a million threads": lambda: changed(fit("k means of batches")[0], _n_threads=10**6),
    "no thread": lambda: changed(fit("k means")[0], _n_threads=0),
    "trees of chosen columns": lambda: changed(
        fit("isolation forest")[0], _max_features=3, estimators_features_=[np.array([0])] * 5
    ),
    "trees of all columns": lambda: changed(fit("isolation forest of columns")[0], _max_features=4),
    "columns for fewer trees": lambda: changed(fit("isolation forest")[0], estimators_features_=[]),
    "words far outside": lambda: words("count words", lambda v: dict.fromkeys(v, FAR)),
    "negative words": lambda: words("tf-idf", lambda v: dict.fromkeys(v, -1)),
    "words twice": lambda: words("count words", lambda v: dict.fromkeys(v, 0)),
    "words that are text": lambda: words("count words", lambda v: {k: str(i) for k, i in v.items()}),
    "words in a list": lambda: words("tf-idf", list),
    "keys far outside": lambda: words("dicts", lambda v: dict.fromkeys(v, FAR)),
    "no columns for hashes": lambda: changed(HashingVectorizer(), n_features=0),
    "negative columns for hashes": lambda: changed(FeatureHasher(), n_features=-1),
    "too many columns for hashes": lambda: changed(FeatureHasher(), n_features=2**40),
    "too few knots": lambda: splined(_t=np.zeros(2)),
    "knots that are no numbers": lambda: splined(_t=np.full(11, np.nan)),
    "knots that go back": lambda: splined(_t=np.arange(11.0)[::-1].copy()),
    "knots in one place": lambda: splined(_t=np.ones(11)),
    "too few coefficients": lambda: splined(_c=np.zeros((1, 7))),
    "coefficients of another type": lambda: splined(_c=np.zeros((7, 7), dtype=np.int8)),
    "a degree of a million": lambda: splined(k=10**6),
    "a negative degree": lambda: splined(k=-(10**6)),
    "a degree that is text": lambda: splined(k="3"),
    "an embedding of other trees": lambda: changed(
        fit("embedding")[0], estimators_=fit("isolation forest of columns")[0].estimators_, n_features_in_=5
    ),
    "a method replaced": lambda: changed(LogisticRegression(), predict=np.log),
    "a table of the class replaced": lambda: changed(LogisticRegression(), _parameter_constraints={}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_positions(name: str) -> None:
    """Centres, columns of trees, vocabularies, hashes and splines are followed unchecked as well."""
    with pytest.raises(UnsafeModel):
        formats.load_model("skops", stored(OTHERS[name]()))


def test_the_honest_pass() -> None:
    """What the cases above start from is loaded: the refusals are not of the kind of model."""
    for model in (
        SplineTransformer().fit(X),
        HashingVectorizer(),
        FeatureHasher(),
        CountVectorizer().fit(WORDS),
        KernelDensity().fit(X, sample_weight=np.abs(NUMBER)),
        KNeighborsClassifier(metric="minkowski", p=3, metric_params={"w": np.ones(4)}).fit(X, TWO),
        KNeighborsClassifier(algorithm="ball_tree", metric="mahalanobis", metric_params={"VI": np.eye(4)}).fit(X, TWO),
        SVC(kernel="linear").fit(SPARSE, TWO),
    ):
        formats.load_model("skops", formats.dump_model(model)[1])


@pytest.mark.parametrize("part", ["nodes", "values"])
def test_trees_whose_arrays_have_no_length(part: str) -> None:
    """A tree reads the length of its arrays before it looks at their number of dimensions."""

    def edit(schema: Any, members: dict[str, bytes]) -> None:
        out = io.BytesIO()
        np.save(out, np.array(3))
        members[nodes(schema, "Tree")[0]["content"]["content"][part]["file"]] = out.getvalue()

    with pytest.raises(UnsafeModel, match="a tree has nodes of shape"):
        formats.load_model("skops", edited("decision tree", edit))


def test_search_trees_with_fewer_parts() -> None:
    """Nor does a search tree count the parts of its state."""

    def edit(schema: Any, members: dict[str, bytes]) -> None:
        nodes(schema, "KDTree")[0]["content"]["content"].pop()

    with pytest.raises(UnsafeModel, match="KDTree has a state of other parts"):
        formats.load_model("skops", edited("neighbours by a kd tree", edit))
