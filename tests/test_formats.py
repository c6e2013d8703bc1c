"""Serialization: our own values as JSON, and model files that a hostile author cannot turn against the reader."""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import io
import json
import operator
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import loguniform
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import RandomizedSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.semi_supervised import LabelSpreading
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from estimators import FRAME, MODELS, NUMBER, RNG, THREE, TWO, N, X, fit, fresh, outputs
from mlopskit import formats
from mlopskit.errors import FormatError, UnsafeModel
from mlopskit.formats import PickleFormat, archives, audit, models
from mlopskit.formats.contents import trees
from mlopskit.lineage import Lineage
from mlopskit.records import Decision


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The models are tiny: spinning threads would take longer than the work."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name: str) -> None:
    """A fitted estimator predicts the same after storing; stored twice, used or loaded it gives the same bytes."""
    model, features = fit(name)
    rows = fresh(features) if "kernel" not in name else features
    format, data = formats.dump_model(model)
    want = list(outputs(model, rows))
    assert (format, data) == ("skops", formats.dump_model(model)[1])
    loaded = formats.load_model(format, data)
    assert formats.dump_model(loaded)[1] == data
    got = list(outputs(loaded, rows))
    assert want
    for (method, before), (_, after) in zip(want, got, strict=True):
        np.testing.assert_array_equal(before, after, err_msg=method)
    assert formats.dump_model(loaded)[1] == data


def test_the_table_is_wide() -> None:
    """At least 150 models of at least 120 classes of estimator go round."""
    classes = set()
    for model, _, _ in MODELS.values():
        parts = [step for _, step in getattr(model, "steps", [])] or [model]
        classes |= {type(part).__name__ for part in parts}
    assert len(MODELS) >= 150
    assert len(classes) >= 120


FIT_AND_DIGEST = """
import numpy as np, pandas as pd, sys
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from mlopskit import formats
rng = np.random.default_rng(0)
frame = pd.DataFrame({"x": rng.normal(size=300), "c": pd.Categorical(rng.choice(["a", "b", "c"], 300))})
y = rng.integers(0, 2, 300)
waste = [object() for _ in range(int(sys.argv[1]))]
columns = ColumnTransformer([("x", StandardScaler(), ["x"]), ("c", OneHotEncoder(), ["c"])])
for model in (
    HistGradientBoostingClassifier(max_iter=5, random_state=0, categorical_features="from_dtype"),
    make_pipeline(columns, RandomForestClassifier(5, random_state=0)),
):
    print(formats.digest(formats.dump_model(model.fit(frame, y))[1]))
"""


def test_equal_trainings_give_equal_bytes_in_two_processes() -> None:
    """The same seed and data give the same digest whatever the process's memory and hash seed look like."""
    digests = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", FIT_AND_DIGEST, str(int(seed) * 1000)]
        digests.add(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    assert len(digests) == 1
    assert len(digests.pop().split()) == 2


def test_what_the_loader_wrote_is_the_same_file() -> None:
    """A loaded model is stored as the very bytes that it was loaded from."""
    model, _ = fit("forest")
    _, data = formats.dump_model(model)
    assert formats.dump_model(formats.load_model("skops", data))[1] == data


def test_shared_objects_stay_shared() -> None:
    """Two places that held one estimator hold one again."""
    inner = LogisticRegression()
    pair = VotingClassifier([("a", inner), ("b", inner)])
    loaded = formats.load_model(*formats.dump_model(pair))
    assert loaded.estimators[0][1] is loaded.estimators[1][1]


# -- what cannot be stored


def own_kernel(a: Any, b: Any) -> Any:
    """A function that is not scikit-learn's."""
    return a @ b.T


def own_distance(a: Any, b: Any) -> float:
    """A function that is not scikit-learn's."""
    return float(np.abs(a - b).sum())


class Own(LogisticRegression):
    """An estimator that is not scikit-learn's."""


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (Own().fit(X, TWO), "Own"),
        (LabelSpreading().fit(X, TWO), "sklearn.semi_supervised._label_propagation.LabelSpreading"),
        (SVC(kernel=own_kernel).fit(X, TWO), "own_kernel"),
        (KNeighborsClassifier(algorithm="ball_tree", metric=own_distance).fit(X, TWO), "own_distance"),
        (RandomizedSearchCV(Ridge(), {"alpha": loguniform(1, 2)}, n_iter=2).fit(X, NUMBER), "rv_continuous_frozen"),
        (FunctionTransformer(os.path.join), "posixpath.join"),
        (FunctionTransformer(functools.partial(np.clip, a_min=0)), "numpy.clip"),
        (FunctionTransformer(operator.attrgetter("x")), "operator.attrgetter"),
        (FunctionTransformer("text".upper), "upper"),
        (FunctionTransformer(LogisticRegression().fit(X, TWO).predict), "LogisticRegression"),
        (LogisticRegression, "LogisticRegression"),
    ],
)
def test_refuses_to_store_what_it_would_not_load(model: Any, named: str) -> None:
    """What is outside the allow-list is refused when it is stored, by name, not when it is needed."""
    with pytest.raises(UnsafeModel, match=named):
        formats.dump_model(model)


def test_says_why_skops_cannot_write() -> None:
    """An object that skops itself cannot write is a FormatError; an early stopping scorer gets its own advice."""
    with pytest.raises(FormatError, match="cannot write this generator"):
        formats.dump_model(x for x in ())
    model = HistGradientBoostingClassifier(early_stopping=True, scoring="roc_auc", max_iter=2).fit(X, TWO)
    with pytest.raises(FormatError, match="scoring='loss'"):
        formats.dump_model(model)


def test_pickle_only_by_the_loader_s_word() -> None:
    """A pickled model is written and read only by somebody who passed the format."""
    model = Own().fit(X, TWO)
    format, data = formats.dump_model(model, [PickleFormat()])
    assert format == "pickle"
    with pytest.raises(UnsafeModel, match=r"stored as 'pickle'; trusted here: \['lightgbm', 'skops', 'xgboost'\]"):
        formats.load_model(format, data)
    loaded = formats.load_model(format, data, codecs=[PickleFormat()])
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert formats.dump_model(Ridge(), [PickleFormat()])[0] == "skops"


def test_the_bytes_come_with_what_they_were_loaded_as() -> None:
    """`round_trip` returns the bytes of `dump_model` and a model built from them; what cannot load is refused."""
    for model, codecs, name in ((Ridge().fit(X, TWO), [], "skops"), (Own().fit(X, TWO), [PickleFormat()], "pickle")):
        format, data, loaded = formats.round_trip(model, codecs)
        assert (format, data) == (name, formats.dump_model(model, codecs)[1])
        assert loaded is not model
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    forest = RandomForestClassifier(2, random_state=0).fit(X, TWO)
    forest.estimators_[1] = DecisionTreeClassifier().fit(np.hstack([X, X]), TWO)
    with pytest.raises(UnsafeModel, match="another number of features"):
        formats.round_trip(forest)


def test_pickle_errors_are_ours() -> None:
    """What cannot be pickled or unpickled is a FormatError; without a format at all the reason is the safe one's."""
    with pytest.raises(FormatError, match="cannot pickle this"):
        PickleFormat().dumps(lambda: 0)
    with pytest.raises(FormatError, match="cannot unpickle"):
        PickleFormat().loads(b"")
    with pytest.raises(UnsafeModel):
        formats.dump_model(Own().fit(X, TWO), [])


# -- hostile files


def node(loader: str, name: str, **fields: Any) -> dict[str, Any]:
    module, _, cls = name.rpartition(".")
    return {"__class__": cls, "__module__": module, "__loader__": loader, **fields}


def scalar(value: Any) -> dict[str, Any]:
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def mapping(**values: Any) -> dict[str, Any]:
    types = node("ListNode", "builtins.list", content=[node("TypeNode", "builtins.str") for _ in values])
    return node("DictNode", "builtins.dict", content=values, key_types=types)


def sequence(*values: Any, of: str = "Tuple") -> dict[str, Any]:
    return node(f"{of}Node", f"builtins.{of.lower()}", content=list(values))


def estimator(name: str = "sklearn.linear_model._ridge.Ridge", **attributes: Any) -> dict[str, Any]:
    return node("ObjectNode", name, content=mapping(**attributes))


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def archive(schema: Any, members: dict[str, bytes] | None = None, *, compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as target:
        target.writestr("schema.json", json.dumps(schema))
        for name, data in (members or {}).items():
            target.writestr(name, data)
    return out.getvalue()


def hostile(root: dict[str, Any], **members: bytes) -> bytes:
    return archive({**root, "protocol": 2}, {f"{name}.npy": data for name, data in members.items()})


SYSTEM = node("FunctionNode", "os.system")
ABSOLUTE = node("FunctionNode", "numpy.absolute")
CHECK = node("FunctionNode", "sklearn.utils.validation.check_array")


def partial(func: Any, args: Any = None, kwds: Any = None, namespace: Any = None) -> dict[str, Any]:
    content = {
        "func": func,
        "args": args or sequence(),
        "kwds": kwds or mapping(),
        "namespace": namespace or scalar(None),
    }
    return node("PartialNode", "functools.partial", content=content)


def method(obj: Any, func: str) -> dict[str, Any]:
    return node("MethodNode", f"{obj['__module__']}.{obj['__class__']}", content={"obj": obj, "func": func})


def loss(args: Any, content: Any) -> dict[str, Any]:
    return node("LossNode", "sklearn._loss._loss.CyPinballLoss", __reduce__={"args": args}, content=content)


def random_state(position: Any, kind: str = "MT19937") -> dict[str, Any]:
    inner = mapping(key=node("NdArrayNode", "numpy.ndarray", type="numpy", file="key.npy"), pos=scalar(position))
    content = mapping(bit_generator=scalar(kind), state=inner, has_gauss=scalar(0), gauss=scalar(0.0))
    return node("RandomStateNode", "numpy.random.mtrand.RandomState", content=content)


def generator(kind: str, pool: int) -> dict[str, Any]:
    content = {"bit_generator": mapping(bit_generator=scalar(kind)), "seed_seq": mapping(pool_size=scalar(pool))}
    return node("RandomGeneratorNode", "numpy.random._generator.Generator", content=content)


def array(**fields: Any) -> dict[str, Any]:
    return node("NdArrayNode", "numpy.ndarray", **fields)


NAMED: dict[str, tuple[dict[str, Any], str]] = {
    "a function of the system": (SYSTEM, "os.system"),
    "a function inside an estimator": (estimator(alpha=SYSTEM), "os.system"),
    "a built-in function as a type": (node("TypeNode", "builtins.eval"), "builtins.eval"),
    "a class as a dict's key type": (
        node(
            "DictNode",
            "builtins.dict",
            content={"rm": scalar(1)},
            key_types=sequence(node("TypeNode", "os.system"), of="List"),
        ),
        "os.system",
    ),
    "an object of any class": (estimator("subprocess.Popen", args=scalar("sh")), "subprocess.Popen"),
    "an object of a class inside a class": (estimator("sklearn.linear_model._ridge.os.system"), "os.system"),
    "an object built by a call": (
        node("ConstructorFromReduceNode", "os.system", content=sequence(scalar("id"))),
        "os.system",
    ),
    "a container of another class": (node("ListNode", "subprocess.Popen", content=[scalar("sh")]), "subprocess.Popen"),
    "a tuple of another class": (node("TupleNode", "os.terminal_size", content=[]), "os.terminal_size"),
    "a scalar of another class": (
        node("NdArrayNode", "subprocess.Popen", type="numpy", file="a.npy"),
        "subprocess.Popen",
    ),
    "a dict of another class": (node("DictNode", "shelve.DbfilenameShelf", content={}, key_types={}), "shelve"),
    "a default dict": (node("DefaultDictNode", "collections.defaultdict", content={}), "defaultdict"),
    "bytes": (node("BytesNode", "builtins.bytes", file="a.npy"), "builtins.bytes"),
    "a cached node": (node("CachedNode", "x.y", __id__=1), "CachedNode"),
    "partial around the system": (partial(SYSTEM, sequence(scalar("id"))), "os.system"),
    "partial around numpy": (partial(ABSOLUTE), "numpy.absolute"),
    "partial around partial": (partial(partial(CHECK)), "PartialNode"),
    "partial around an estimator": (partial(estimator()), "ObjectNode"),
    "a subclass of partial": (node("PartialNode", "functools.singledispatch", content={}), "functools.singledispatch"),
    "a bound method": (method(estimator(), "fit"), "Ridge"),
    "an attribute getter": (node("OperatorFuncNode", "operator.attrgetter", attrs=sequence(scalar("x"))), "attrgetter"),
    "a method caller": (node("OperatorFuncNode", "operator.methodcaller", attrs=sequence(scalar("x"))), "methodcaller"),
    "a joblib memory": (estimator("joblib.memory.Memory", location=scalar("/")), "joblib.memory.Memory"),
    "a search tree of another state": (estimator("sklearn.neighbors._kd_tree.KDTree"), "TupleNode"),
    "a sparse matrix of another kind": (
        node("SparseMatrixNode", "scipy.sparse._dia.dia_matrix", type="scipy", file="a.npz"),
        "dia_matrix",
    ),
    "a loader of an unknown name": (node("run", "a.b"), "a.b"),
    "another random generator": (generator("seed", 4), "bit generator than PCG64"),
    "a huge seed": (generator("PCG64", 10**9), "pool size"),
}


@pytest.mark.parametrize("name", NAMED)
def test_refuses_by_name(name: str) -> None:
    """Whatever is not on the list is refused before anything is built, and the message names it."""
    root, named = NAMED[name]
    with pytest.raises(UnsafeModel, match=named):
        formats.load_model("skops", hostile(root))
    with pytest.raises(UnsafeModel, match=named):
        formats.load_model("skops", hostile(estimator(alpha=sequence(root, of="List"))))


STRUCTURE: dict[str, bytes] = {
    "no node": archive({"protocol": 2}),
    "text for a node": hostile(estimator(alpha="text")),
    "text for a list": hostile(node("ListNode", "builtins.list", content="text")),
    "a node without a class": hostile(estimator(alpha={"__loader__": "JsonNode"})),
    "unknown fields": hostile(estimator(alpha={**scalar(1), "evil": 1})),
    "a plain value that is a list": hostile(estimator(alpha=node("JsonNode", "builtins.str", content="[1]"))),
    "a plain value that is broken": hostile(estimator(alpha=node("JsonNode", "builtins.str", content="{"))),
    "a plain value that is no text": hostile(estimator(alpha=node("JsonNode", "builtins.str", content=1))),
    "a number of a million digits": hostile(estimator(alpha=node("JsonNode", "builtins.str", content="9" * 10**6))),
    "more keys than types": hostile(
        node("DictNode", "builtins.dict", content={"a": scalar(1)}, key_types=sequence(of="List"))
    ),
    "a state that is no dict": hostile(node("ObjectNode", "sklearn.linear_model._ridge.Ridge", content=scalar(3))),
    "a slice of objects": hostile(node("SliceNode", "builtins.slice", content={"start": {}, "stop": 1, "step": 1})),
    "a slice without an end": hostile(node("SliceNode", "builtins.slice", content={"start": 1})),
    "an id that is no number": hostile(estimator(alpha={**scalar(1), "__id__": "x"})),
    "one id for two objects": hostile(estimator(alpha={**scalar(1), "__id__": 1}, tol={**scalar(2), "__id__": 1})),
    "a function by the id of a value": hostile(
        estimator(alpha={**scalar(1), "__id__": 1}, func=partial({**CHECK, "__id__": 1}))
    ),
    "an object that holds itself": hostile({**estimator(alpha={**estimator(), "__id__": 5}), "__id__": 5}),
    "an array of an unknown kind": hostile(array(type="pickle", file="a.npy"), a=npy(np.ones(1))),
    "an array in no file": hostile(array(type="numpy", file="b.npy"), a=npy(np.ones(1))),
    "a file nothing refers to": hostile(estimator(), a=npy(np.ones(1))),
    "an array of pickled objects": hostile(
        array(type="numpy", file="a.npy"), a=npy(np.array([SystemExit], dtype=object))
    ),
    "an array of fields of objects": hostile(
        array(type="numpy", file="a.npy"), a=npy(np.zeros(1, dtype=[("a", "f8"), ("b", object)]))
    ),
    "a pickle for an array": hostile(array(type="numpy", file="a.npy"), a=b"cos\nsystem\n(S'id'\ntR."),
    "an array that claims more than it has": hostile(
        array(type="numpy", file="a.npy"), a=npy(np.ones(3)).replace(b"(3,)", b"(9,)")
    ),
    "an array of negative size": hostile(
        array(type="numpy", file="a.npy"), a=npy(np.ones(10)).replace(b"(10,)", b"(-9,)")
    ),
    "an array with code for a header": hostile(
        array(type="numpy", file="a.npy"), a=npy(np.ones(3)).replace(b"'<f8'", b"exit()")
    ),
    "a scalar that is an array": hostile(
        node("NdArrayNode", "numpy.float64", type="numpy", file="a.npy"), a=npy(np.ones(3))
    ),
    "a scalar of objects": hostile(node("NdArrayNode", "numpy.float64", type="json", content=[], shape=sequence())),
    "a dtype from a value": hostile(node("DTypeNode", "numpy.dtype", content=scalar("object"))),
    "a loss with a state": hostile(loss(sequence(), mapping(x=scalar(1)))),
    "a loss of objects": hostile(loss(sequence(estimator()), mapping())),
    "a random state beyond its key": hostile(random_state(625), key=npy(np.zeros(624, np.uint32))),
    "a random state of another kind": hostile(random_state(0, "PCG64"), key=npy(np.zeros(624, np.uint32))),
}


@pytest.mark.parametrize("name", STRUCTURE)
def test_refuses_another_structure(name: str) -> None:
    """A schema outside the grammar is refused before anything is built."""
    with pytest.raises(FormatError):
        formats.load_model("skops", STRUCTURE[name])


@pytest.mark.parametrize("protocol", [0, 1, 99, -1, True, "2", None])
def test_refuses_other_protocols(protocol: Any) -> None:
    """An older protocol would bring skops's older, laxer readers; a newer one is unknown."""
    with pytest.raises(FormatError, match="protocol"):
        formats.load_model("skops", archive({**estimator(), "protocol": protocol}))


def test_refuses_deep_and_long_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nesting and the number of nodes are limited, so that neither stack nor memory run out."""
    deep = scalar(1)
    for _ in range(audit.MAX_DEPTH + 5):
        deep = sequence(deep)
    with pytest.raises(UnsafeModel, match="deep"):
        formats.load_model("skops", hostile(deep))
    text = '{"protocol": 2, "a": ' + "[" * 100_000 + "]" * 100_000 + "}"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        target.writestr("schema.json", text)
    with pytest.raises(FormatError, match="not a model file"):
        formats.load_model("skops", out.getvalue())
    monkeypatch.setattr(audit, "MAX_NODES", 10)
    with pytest.raises(UnsafeModel, match="more than 10 nodes"):
        formats.load_model("skops", hostile(sequence(*[scalar(i) for i in range(20)])))
    monkeypatch.setattr(audit, "MAX_DEPTH", 10**6)
    monkeypatch.setattr(audit, "MAX_NODES", 10**6)
    nested = scalar(1)
    for _ in range(2000):
        nested = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [nested]}
    with pytest.raises(UnsafeModel, match="nested too deeply"):
        audit.Audit({}).run({**nested, "protocol": 2})


def test_refuses_bombs_and_strange_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed, encrypted, overlapping, repeated, misnamed, oversized and too many members are refused unread."""
    good = estimator()
    bomb = archive({**good, "protocol": 2, "pad": " " * 10**6}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(UnsafeModel, match="compressed"):
        formats.load_model("skops", bomb)
    for name in ("../a.npy", "/a.npy", "a/b.npy", "a.pkl", "C:\\a.npy", ".npy", "..npy"):
        with pytest.raises(UnsafeModel, match="member named"):
            formats.load_model("skops", archive({**good, "protocol": 2}, {name: b""}))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        target.writestr("schema.json", json.dumps({**good, "protocol": 2}))
        with pytest.warns(UserWarning, match="Duplicate name"):
            target.writestr("schema.json", json.dumps({**SYSTEM, "protocol": 2}))
    with pytest.raises(UnsafeModel, match="more than once"):
        formats.load_model("skops", out.getvalue())
    with pytest.raises(FormatError, match="not a model file"):
        formats.load_model("skops", archive([1, 2]))
    members = {f"{i}.npy": b"" for i in range(20)}
    for module, cap, value in ((archives, "MAX_MEMBERS", 10), (archives, "MAX_BYTES", 100), (models, "MAX_SCHEMA", 10)):
        with monkeypatch.context() as patch:
            patch.setattr(module, cap, value)
            with pytest.raises(UnsafeModel, match=str(value)):
                formats.load_model("skops", archive({**good, "protocol": 2}, members))


def test_refuses_members_that_overlap() -> None:
    """Two directory entries that point to the same bytes would let a small file claim a large size."""
    data = bytearray(archive({**estimator(), "protocol": 2}, {"a.npy": b"x" * 5000, "b.npy": b"y" * 10}))
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        a, b = source.getinfo("a.npy"), source.getinfo("b.npy")
        crc = a.CRC
    central = data.rindex(b"b.npy") - 46
    data[central + 16 : central + 28] = (
        crc.to_bytes(4, "little") + (5000).to_bytes(4, "little") + (5000).to_bytes(4, "little")
    )
    data[central + 42 : central + 46] = a.header_offset.to_bytes(4, "little")
    assert b.header_offset != a.header_offset
    with pytest.raises(FormatError):
        formats.load_model("skops", bytes(data))


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), b"text", npy(np.ones(3))])
def test_refuses_what_is_no_archive(data: bytes) -> None:
    """Other bytes are a FormatError that says so."""
    with pytest.raises(FormatError, match="not a model file"):
        formats.load_model("skops", data)


def test_a_changed_byte_never_gets_through(tmp_path: Path) -> None:
    """Any flipped byte of a model file is refused, or loads a model: nothing else is ever raised."""
    model, _ = fit("ridge")
    _, data = formats.dump_model(model)
    for position in RNG.integers(0, len(data), 150):
        broken = bytearray(data)
        broken[position] ^= int(RNG.integers(1, 256))
        try:
            formats.load_model("skops", bytes(broken))
        except FormatError:
            continue


def test_runs_nothing_while_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit imports no module that a file names."""
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    for loader in ("FunctionNode", "TypeNode", "ObjectNode", "ListNode", "ConstructorFromReduceNode"):
        root = node(loader, "evil_module.Evil", content=[])
        with pytest.raises(UnsafeModel, match=r"evil_module\.Evil"):
            formats.load_model("skops", hostile(root))
    assert not (tmp_path / "ran").exists()


def test_allowed_but_broken_is_a_format_error() -> None:
    """What passes the audit and cannot be built is a FormatError, not whatever the class raises."""
    root = node("NdArrayNode", "numpy.ndarray", type="json", content=[], shape=sequence(scalar("x"), scalar(1)))
    formats.load_model("skops", hostile(root))
    root = node(
        "DictNode",
        "builtins.dict",
        content={"x": scalar(1)},
        key_types=sequence(node("TypeNode", "builtins.int"), of="List"),
    )
    with pytest.raises(FormatError, match="cannot rebuild the model"):
        formats.load_model("skops", hostile(root))


def test_the_list_names_things_that_exist() -> None:
    """Every class on the list can be imported here, but for those of other scikit-learn versions."""
    missing = []
    for name in audit.TRUSTED:
        module, _, attribute = name.rpartition(".")
        __import__(module)
        if not hasattr(sys.modules[module], attribute):
            missing.append(name)
    assert missing == []


def test_skops_would_have_trusted_more() -> None:
    """The grammar refuses what skops trusts by itself: our list, not theirs, decides."""
    data = hostile(estimator("sklearn.cluster._dbscan.DBSCAN"))
    assert skops.io.get_untrusted_types(data=data) == []
    with pytest.raises(UnsafeModel, match="DBSCAN"):
        formats.load_model("skops", data)


# -- numbers that compiled code trusts


def change(data: bytes, edit: Callable[[Any, dict[str, Any]], None]) -> bytes:
    """Return a model file after `edit(schema, arrays)`, with everything else as it was."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        schema = json.loads(source.read("schema.json"))
        arrays = {n: np.load(io.BytesIO(source.read(n))) for n in source.namelist() if n != "schema.json"}
    edit(schema, arrays)
    return archive(schema, {name: npy(value) for name, value in arrays.items()})


def find(part: Any, name: str) -> list[Any]:
    """Return every value under a key of this name in a schema."""
    if isinstance(part, list):
        return [found for item in part for found in find(item, name)]
    if not isinstance(part, dict):
        return []
    here = [part[name]] if name in part else []
    return here + [found for value in part.values() for found in find(value, name)]


def set_nodes(
    fields: dict[str, Any], *, where: int = 0, kind: str = "left_child"
) -> Callable[[Any, dict[str, Any]], None]:
    def edit(schema: Any, arrays: dict[str, Any]) -> None:
        nodes = next(a for a in arrays.values() if a.dtype.names and kind in a.dtype.names and len(a) > 3)
        for name, value in fields.items():
            nodes[name][where] = value

    return edit


def set_value(name: str, value: Any, which: int = 0) -> Callable[[Any, dict[str, Any]], None]:
    def edit(schema: Any, arrays: dict[str, Any]) -> None:
        target = find(schema, name)[which]
        target.clear()
        target.update(scalar(value) if not isinstance(value, dict) else value)

    return edit


TREES: dict[str, Callable[[Any, dict[str, Any]], None]] = {
    "a child far outside": set_nodes({"left_child": 10**9}),
    "a negative child": set_nodes({"right_child": -7}),
    "one child only": set_nodes({"right_child": -1}),
    "a cycle": set_nodes({"left_child": 0}),
    "two parents": set_nodes({"left_child": 2, "right_child": 2}),
    "a feature far outside": set_nodes({"feature": 10**6}),
    "a feature just outside": set_nodes({"feature": 4}),
    "a negative feature": set_nodes({"feature": -2}),
    "a threshold that is not a number": set_nodes({"threshold": np.nan}),
    "more nodes than claimed": set_value("node_count", 1),
    "no nodes": set_value("node_count", 0),
    "a depth too small": set_value("max_depth", 0, -1),
    "a depth of gigabytes": set_value("max_depth", 10**12, -1),
    "an estimator of more features": set_value("n_features_in_", 400, -1),
    "an estimator of fewer features": set_value("n_features_in_", 1, -1),
    "an estimator of text features": set_value("n_features_in_", "4", -1),
}


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("model", ["decision tree", "forest", "gradient boosting", "bagging"])
def test_refuses_broken_trees(model: str, name: str) -> None:
    """A tree that would lead prediction outside its arrays is refused before it predicts."""
    _, data = formats.dump_model(fit(model)[0])
    with pytest.raises(FormatError):
        formats.load_model("skops", change(data, TREES[name]))


def test_refuses_a_tree_with_fewer_classes_than_outputs() -> None:
    """The tree's constructor would read beyond the array: refused by the audit, before it is called."""

    def shorten(schema: Any, arrays: dict[str, Any]) -> None:
        args = find(schema, "__reduce__")[0]["args"]["content"]
        args[2] = scalar(1000)

    _, data = formats.dump_model(fit("decision tree")[0])
    with pytest.raises(UnsafeModel, match="1000 outputs"):
        formats.load_model("skops", change(data, shorten))
    for arguments in ([], [scalar(1)] * 3):

        def replace(schema: Any, arrays: dict[str, Any], arguments: list[Any] = arguments) -> None:
            find(schema, "__reduce__")[0]["args"]["content"] = arguments
            arrays.pop(next(n for n, a in arrays.items() if a.dtype == int and a.shape == (1,)))

        with pytest.raises(UnsafeModel, match="other arguments"):
            formats.load_model("skops", change(data, replace))

    def negative(schema: Any, arrays: dict[str, Any]) -> None:
        find(schema, "__reduce__")[0]["args"]["content"][2] = scalar(-1)

    with pytest.raises(UnsafeModel, match="n_outputs="):
        formats.load_model("skops", change(data, negative))


def test_a_tree_that_is_one_chain_is_checked_at_once() -> None:
    """The depth of 200,001 nodes in one chain is found in a few rounds, not in one for each level."""
    inner = np.arange(0, 200_000, 2)
    left, right, leaf = np.zeros(200_001, int), np.zeros(200_001, int), np.ones(200_001, bool)
    left[inner], right[inner], leaf[inner] = inner + 1, inner + 2, False
    assert trees._check_structure(left, right, leaf) == 100_000


def test_refuses_a_forest_whose_trees_differ() -> None:
    """A forest hands its rows to every tree unchecked, so all must read the same number of features."""
    forest = RandomForestClassifier(2, random_state=0).fit(X, TWO)
    forest.estimators_[1] = DecisionTreeClassifier().fit(np.hstack([X, X]), TWO)
    data = models._file(*models._tidy(*models._state(forest)))
    with pytest.raises(UnsafeModel, match="another number of features"):
        formats.load_model("skops", data)
    forest.estimators_ = [LogisticRegression().fit(X, TWO)]
    with pytest.raises(UnsafeModel, match="other than trees"):
        formats.load_model("skops", models._file(*models._tidy(*models._state(forest))))


def test_refuses_boosting_into_columns_that_do_not_exist() -> None:
    """Gradient boosting writes one column for each column of trees: the initial prediction must have them."""
    model = GradientBoostingClassifier(n_estimators=2, random_state=0).fit(X, THREE)
    model.n_trees_per_iteration_ = 1
    model.init_ = "zero"
    with pytest.raises(UnsafeModel, match="3 trees per stage"):
        formats.load_model("skops", models._file(*models._tidy(*models._state(model))))
    model.init_ = LogisticRegression()
    with pytest.raises(UnsafeModel, match="does not predict"):
        formats.load_model("skops", models._file(*models._tidy(*models._state(model))))
    model.estimators_ = model.estimators_.ravel()
    with pytest.raises(UnsafeModel, match="no table of trees"):
        formats.load_model("skops", models._file(*models._tidy(*models._state(model))))


PREDICTORS: dict[str, Callable[[Any], None]] = {
    "a child far outside": lambda m: m._predictors[0][0].nodes["left"].__setitem__(0, 2**31),
    "a cycle": lambda m: m._predictors[0][0].nodes["right"].__setitem__(0, 0),
    "a feature far outside": lambda m: m._predictors[0][0].nodes["feature_idx"].__setitem__(0, 2**40),
    "a negative feature": lambda m: m._predictors[0][0].nodes["feature_idx"].__setitem__(0, -1),
    "a threshold that is not a number": lambda m: m._predictors[0][0].nodes["num_threshold"].__setitem__(0, np.nan),
    "a set of categories far outside": lambda m: (
        m._predictors[0][0].nodes["is_categorical"].__setitem__(0, 1),
        m._predictors[0][0].nodes["bitset_idx"].__setitem__(0, 2**31),
    ),
    "sets of categories too narrow": lambda m: setattr(
        m._predictors[0][0], "raw_left_cat_bitsets", np.zeros((3, 1), np.uint32)
    ),
    "nodes of another kind": lambda m: setattr(m._predictors[0][0], "nodes", np.zeros((2, 2))),
    "no nodes": lambda m: setattr(m._predictors[0][0], "nodes", m._predictors[0][0].nodes[:0]),
    "something else for a predictor": lambda m: m._predictors.__setitem__(0, [DecisionTreeClassifier()]),
    "no bins": lambda m: setattr(m, "_bin_mapper", None),
    "bins of fewer features": lambda m: setattr(m._bin_mapper, "is_categorical_", np.zeros(1, np.uint8)),
    "a fit under way": lambda m: setattr(m, "_in_fit", True),
    "no number of features": lambda m: delattr(m, "n_features_in_"),
    "a number of features that is none": lambda m: setattr(m, "n_features_in_", -4),
}


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize("kind", ["hist", "hist categorical"])
def test_refuses_broken_predictors(kind: str, name: str) -> None:
    """Histogram gradient boosting that would read outside its arrays is refused before it predicts."""
    model, _ = fit(kind)
    PREDICTORS[name](model)
    with pytest.raises(FormatError):
        formats.load_model("skops", models._file(*models._tidy(*models._state(model))))


CATEGORICAL: dict[str, Callable[[Any], None]] = {
    "a categorical split on a number": lambda m: setattr(m._bin_mapper, "is_categorical_", np.zeros(4, np.uint8)),
    "categories beyond a byte": lambda m: m._bin_mapper.bin_thresholds_.__setitem__(0, np.array([0.0, 300.0])),
    "another preprocessor": lambda m: setattr(m, "_preprocessor", StandardScaler().fit(X)),
    "a preprocessor of other steps": lambda m: setattr(m._preprocessor, "transformers_", [("a", "drop", [0])] * 2),
    "a preprocessor of one step": lambda m: setattr(
        m._preprocessor, "transformers_", m._preprocessor.transformers_[:1]
    ),
    "a preprocessor that drops columns": lambda m: setattr(
        m._preprocessor,
        "transformers_",
        [(n, t, np.zeros(4, bool)) for n, t, _ in m._preprocessor.transformers_[:2]],
    ),
    "a preprocessor with weights": lambda m: setattr(m._preprocessor, "transformer_weights", {"numerical": 0.0}),
}


@pytest.mark.parametrize("name", CATEGORICAL)
def test_refuses_broken_categories(name: str) -> None:
    """With categories the rows pass a preprocessor, whose number of columns nobody checks again."""
    model, _ = fit("hist categorical")
    CATEGORICAL[name](model)
    with pytest.raises(UnsafeModel):
        formats.load_model("skops", models._file(*models._tidy(*models._state(model))))


def one_hot(**attributes: Any) -> bytes:
    encoder = OneHotEncoder(min_frequency=10, drop="first").fit(FRAME[["text"]])
    for name, value in attributes.items():
        setattr(encoder, name, value)
    return models._file(*models._tidy(*models._state(encoder)))


@pytest.mark.parametrize(
    "attributes",
    [
        {"_n_features_outs": [1]},
        {"_default_to_infrequent_mappings": [np.array([0, 10**9, 1, 2])]},
        {"_default_to_infrequent_mappings": [np.array([0, 1])]},
        {"_infrequent_indices": [np.array([77])]},
        {"_infrequent_indices": [np.array([])]},
        {"_drop_idx_after_grouping": np.array([-5], dtype=object)},
        {"_drop_idx_after_grouping": np.array([99], dtype=object)},
        {"_drop_idx_after_grouping": np.array([0, 0], dtype=object)},
        {"categories_": ["text"]},
        {"categories_": [np.array([3.0, 1.0])], "_infrequent_enabled": False},
        {"categories_": [np.array([np.nan, 1.0])], "_infrequent_enabled": False},
        {"_infrequent_enabled": True, "_infrequent_indices": 3},
    ],
)
def test_refuses_one_hot_positions_outside_the_matrix(attributes: dict[str, Any]) -> None:
    """A one-hot matrix is written at computed positions; attributes that lead outside it are refused."""
    with pytest.raises(UnsafeModel):
        formats.load_model("skops", one_hot(**attributes))


def test_one_hot_with_all_its_options_passes() -> None:
    """Dropped, infrequent and missing categories of every kind of column pass the check."""
    frame = FRAME.assign(number=np.where(RNG.random(N) < 0.2, np.nan, RNG.integers(0, 5, N)))
    for encoder in (
        OneHotEncoder(drop="if_binary"),
        OneHotEncoder(drop="first", max_categories=3),
        OneHotEncoder(min_frequency=0.1, handle_unknown="infrequent_if_exist"),
    ):
        encoder.fit(frame[["text", "level", "number"]])
        loaded = formats.load_model(*formats.dump_model(encoder))
        want = encoder.transform(frame[["text", "level", "number"]]).toarray()
        np.testing.assert_array_equal(loaded.transform(frame[["text", "level", "number"]]).toarray(), want)


def test_refuses_attributes_that_hide_methods() -> None:
    """An attribute named like a method would change what the class's own code calls."""
    model = Ridge().fit(X, NUMBER)
    model.predict = np.log
    with pytest.raises(UnsafeModel, match=r"Ridge\.predict is replaced"):
        formats.load_model("skops", models._file(*models._tidy(*models._state(model))))


def test_refuses_trees_without_an_owner() -> None:
    """A tree that no decision tree owns would be used without the check against its number of features."""
    model = VotingClassifier([("a", DecisionTreeClassifier())], voting="soft").fit(X, TWO)
    model.estimators_ = [DecisionTreeClassifier().fit(X, TWO).tree_]
    with pytest.raises(UnsafeModel, match="a Tree stands where no estimator"):
        formats.load_model("skops", models._file(*models._tidy(*models._state(model))))
    stump = DecisionTreeClassifier().fit(X, TWO)
    stump.tree_ = LogisticRegression()
    with pytest.raises(UnsafeModel, match="tree_ is a LogisticRegression"):
        formats.load_model("skops", models._file(*models._tidy(*models._state(stump))))


# -- our own values


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_plain_values_round_trip(value: Any) -> None:
    """Whatever is made of plain values comes back equal, dicts with a key called "type" and infinities too."""
    text = formats.canonical(formats.encode(value))
    assert formats.decode(json.loads(text)) == value


def test_typed_values_round_trip() -> None:
    """Arrays keep dtype and shape; times, durations, decimals and our own classes come back as they were."""
    value = {
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "scalar": np.float32(0.5),
        "truth": np.bool_(True),
        "time": dt.datetime(2013, 3, 1, tzinfo=dt.UTC),
        "duration": dt.timedelta(days=-1, microseconds=3),
        "decimal": decimal.Decimal("1.10"),
        "lineage": Lineage(seed=1, params={"type": 1}),
    }
    back = formats.decode(json.loads(formats.canonical(formats.encode(value))))
    np.testing.assert_array_equal(back.pop("array"), value.pop("array"), strict=True)
    assert back == value
    decision = Decision("keep", "all is well", dt.datetime(2013, 3, 1, tzinfo=dt.UTC))
    assert formats.from_json(formats.to_json(decision), Decision) == decision
    assert formats.from_json(formats.to_json(decision, indent=2), Decision) == decision


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array(["a"]), "dtype"),
        ({1: 2}, "keys must be text"),
        (object(), "no format is known"),
        (pd.DataFrame(), "no format is known"),
    ],
)
def test_refuses_to_write_other_values(value: Any, words: str) -> None:
    """What JSON cannot hold is refused when it is written."""
    with pytest.raises(FormatError, match=words):
        formats.encode(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[" * 10**5, "not JSON"),
        ("[]", "no protocol number"),
        ('{"protocol": true, "type": "Lineage"}', None),
        ('{"protocol": 99, "type": "Lineage"}', "newer than this release"),
        ('{"protocol": 1, "type": "os.system"}', "unknown type"),
        ('{"protocol": 1, "type": ["x"]}', "cannot rebuild"),
        ('{"protocol": 1, "type": "Lineage", "no_such_field": 1}', "cannot rebuild"),
        ('{"protocol": 1, "type": "Score"}', "cannot rebuild"),
        ('{"protocol": 1, "type": "array", "dtype": "O", "shape": [1], "data": ""}', "dtype"),
        ('{"protocol": 1, "type": "array", "dtype": "<f8", "shape": [9], "data": ""}', "cannot rebuild"),
        ('{"protocol": 1, "type": "array", "dtype": "<f8", "shape": [0], "data": "***"}', "cannot rebuild"),
        ('{"protocol": 1, "type": "datetime", "value": "yesterday"}', "cannot rebuild"),
        ('{"protocol": 1, "type": "decimal", "value": "x"}', "cannot rebuild"),
        ('{"protocol": 1, "type": "Decision", "action": "keep", "reason": "", "at": null}', "expected a 'Lineage'"),
    ],
)
def test_refuses_to_read_other_text(text: str, words: str | None) -> None:
    """Text that is not ours, newer, or broken is a FormatError that says which."""
    if words is None:
        assert formats.from_json(text, Lineage) == Lineage()
        return
    with pytest.raises(FormatError, match=words):
        formats.from_json(text, Lineage)


def test_config_hash_knows_every_dial() -> None:
    """Equal configurations hash alike whatever their order; a changed dial changes the hash."""
    assert formats.config_hash({"a": 1, "b": 2}) == formats.config_hash({"b": 2, "a": 1})
    assert formats.config_hash({"a": 1}) != formats.config_hash({"a": 2})


def test_a_model_that_cannot_be_checked_says_what_to_do() -> None:
    """What is not on the list is refused by name, with the way out."""
    model = LabelSpreading().fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(UnsafeModel, match=r"LabelSpreading.*formats=\[PickleFormat\(\)\]"):
        formats.dump_model(model)
