"""Model files: a fitted estimator as bytes, and back, without pickle.

A model file is a stored (not compressed) zip: schema.json, a tree of nodes, and one .npy file for each array. skops
writes it and rebuilds the objects. Before skops sees a byte, `audit` has read the whole schema against a grammar in
which every class and function is named; after it, `contents` has checked the numbers that compiled code trusts. What
skops writes differs at every dump (addresses, times), so the archive is rewritten: equal models give equal bytes.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, final

import numpy as np
from attrs import define, field

from mlopskit.errors import FormatError, UnsafeModel
from mlopskit.formats.archives import read_members, write_members
from mlopskit.formats.audit import SEARCH_TREES, TRUSTED, Audit, npy_header
from mlopskit.formats.base import Format
from mlopskit.formats.boosters import Booster, LightGBMFormat, XGBoostFormat
from mlopskit.formats.contents import check_contents

MAX_SCHEMA = 512 * 2**20
"""Largest schema inside a model file, in bytes."""

_MEMBER = re.compile(r"schema\.json|[A-Za-z0-9][A-Za-z0-9-]*\.np[yz]")
_SHARED = frozenset(
    {
        "DictNode",
        "ListNode",
        "LossNode",
        "MaskedArrayNode",
        "NdArrayNode",
        "ObjectNode",
        "RandomStateNode",
        "SparseMatrixNode",
        "TreeNode",
    }
)
"""Nodes of mutable objects, for which it matters that two places hold the same one."""
_LEAVES = frozenset({"FunctionNode", "JsonNode", "TypeNode"})
"""Nodes with nothing below."""
_PASSING = frozenset({"__id__", "protocol", "_skops_version"})
"""What skops notes in a node, and a model file says once or not at all."""
_ADDRESS = "_stop_words_id"
_COUNTERS = range(7, 11)
"""Where the state of a search tree counts what queries did."""


@final
class SkopsFormat(Format):
    """scikit-learn estimators without pickle: a fixed allow-list, and checks of what compiled code reads unchecked.

    Equal models give equal bytes. What is promised for a hostile file: no code runs, nothing is imported that is not on
    the list, and prediction reads no memory outside its arrays. Not promised: that the model is any good or quick.

    >>> from sklearn.dummy import DummyRegressor
    >>> model = DummyRegressor(strategy="constant", constant=3.0).fit([[0.0]], [1.0])
    >>> data = SkopsFormat().dumps(model)
    >>> SkopsFormat().loads(data).predict([[5.0]]).tolist(), SkopsFormat().dumps(model) == data
    ([3.0], True)
    """

    name = "skops"

    def dumps(self, model: Any) -> bytes:
        """See `Format.dumps`.

        Raises
        ------
        FormatError
            When the model holds an object that skops cannot write, or one outside the allow-list (`UnsafeModel`).
        """
        return self.dumps_and_builds(model)[0]

    def dumps_and_builds(self, model: Any) -> tuple[bytes, Callable[[], Any]]:
        """Return what `dumps` does, and a function that does what `loads` does with it, without a second audit.

        Raises
        ------
        FormatError
            As of `dumps`.
        """
        try:
            data = _file(*_tidy(*_state(model)))
        except (TypeError, ValueError, RecursionError, AttributeError) as error:
            hint = "; an early stopping scorer is such an object: use scoring='loss'" * isinstance(
                error, RecursionError
            )
            raise FormatError(f"cannot write this {type(model).__name__} as skops: {error}{hint}") from error
        try:
            parts = _audited(data)
        except UnsafeModel as error:
            raise UnsafeModel(
                f"{error}. Models that this format cannot check need another one, "
                "which whoever loads must trust as well: ModelRegistry(..., formats=[PickleFormat()])"
            ) from error
        return data, partial(_build, *parts)

    def loads(self, data: bytes) -> Any:
        """See `Format.loads`.

        Raises
        ------
        UnsafeModel
            When the file names anything outside the allow-list, or its arrays would be unsafe to run.
        FormatError
            When it is no model file of a protocol that this release reads.
        """
        return _build(*_audited(data))


@final
class PickleFormat(Format):
    """Any Python object, by pickle. Loading runs whatever the file says: pass it only for files you wrote yourself.

    >>> PickleFormat().loads(PickleFormat().dumps({"a": 1}))
    {'a': 1}
    """

    name = "pickle"

    def dumps(self, model: Any) -> bytes:
        """See `Format.dumps`."""
        import pickle

        try:
            return pickle.dumps(model, protocol=5)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise FormatError(f"cannot pickle this {type(model).__name__}: {error}") from error

    def loads(self, data: bytes) -> Any:
        """See `Format.loads`."""
        import pickle

        try:
            return pickle.loads(data)
        except (pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError) as error:
            raise FormatError(f"cannot unpickle this model: {error}") from error


BUILT_IN: tuple[Format, ...] = (SkopsFormat(), LightGBMFormat(), XGBoostFormat())
"""The safe formats, which need not be passed: what a file says is checked before it is used."""


def dump_model(model: Any, codecs: Iterable[Format] = ()) -> tuple[str, bytes]:
    """Return the name of the first format that holds the model, and the model's bytes in it.

    Parameters
    ----------
    model
        A fitted estimator.
    codecs
        Formats to try after the safe one, in order.

    Raises
    ------
    FormatError
        When no format can hold the model; the message says why the safe one could not.
    """
    return _dumped(model, codecs)[:2]


def round_trip(model: Any, codecs: Iterable[Format] = ()) -> tuple[str, bytes, Any]:
    """Return what `dump_model` does, and the model that those bytes were loaded as.

    Raises
    ------
    FormatError
        When no format can hold the model, or its bytes cannot be loaded.
    """
    name, data, build = _dumped(model, codecs)
    return name, data, build()


def _dumped(model: Any, codecs: Iterable[Format]) -> tuple[str, bytes, Callable[[], Any]]:
    library = model.library if isinstance(model, Booster) else type(model).__module__.partition(".")[0]
    safe = next((codec for codec in BUILT_IN if codec.name == library), BUILT_IN[0])
    reason: FormatError | None = None
    for codec in (safe, *codecs):
        try:
            if isinstance(codec, SkopsFormat):
                return codec.name, *codec.dumps_and_builds(model)
            data = codec.dumps(model)
            return codec.name, data, partial(codec.loads, data)
        except FormatError as error:
            reason = reason or error
    raise reason or FormatError("no format was given")


def load_model(format: str, data: bytes, *, codecs: Iterable[Format] = ()) -> Any:
    """Rebuild a model that `dump_model` wrote.

    Parameters
    ----------
    format
        The name that `dump_model` returned.
    data
        The bytes that it returned.
    codecs
        Formats that the caller trusts beside the safe one.

    Raises
    ------
    UnsafeModel
        When the format is not among those the caller trusts, or the file would be unsafe to run.
    FormatError
        When the bytes cannot be read.

    >>> load_model("pickle", b"")
    Traceback (most recent call last):
    mlopskit.errors.UnsafeModel: this model was stored as 'pickle'; trusted here: ['lightgbm', 'skops', ...
    """
    known = {codec.name: codec for codec in (*codecs, *BUILT_IN)}
    if format not in known:
        raise UnsafeModel(
            f"this model was stored as {format!r}; trusted here: {sorted(known)}; "
            "pass that format if you trust whoever wrote the model: ModelRegistry(..., formats=[...])"
        )
    return known[format].loads(data)


def _audited(data: bytes) -> tuple[dict[str, Any], dict[str, bytes], set[str]]:
    """Return the schema of a model file, its arrays, and the names that it uses, all of them on the list."""
    schema, members = _read_archive(data)
    audit = Audit(members)
    audit.run(schema)
    return schema, members, audit.names


def _build(schema: dict[str, Any], members: dict[str, bytes], names: set[str]) -> Any:
    """Return the model of an audited file, its contents checked."""
    model = _construct(schema, members, names)
    check_contents(model)
    return model


def _construct(schema: dict[str, Any], members: dict[str, bytes], names: set[str]) -> Any:
    """Let skops rebuild an audited file; it audits once more, against what of the list the first audit met.

    This is `skops.io.loads` but for unzipping and parsing, which were done.
    """
    from sklearn.exceptions import InconsistentVersionWarning
    from skops.io._audit import audit_tree, get_tree
    from skops.io._utils import LoadContext
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InconsistentVersionWarning)  # the registry reports versions itself
            context = LoadContext(src=_Members(members), protocol=schema["protocol"])
            trusted = sorted(names & TRUSTED)
            tree = get_tree(schema, context, trusted=trusted)
            audit_tree(tree, trusted=trusted)
            return tree.construct()
    except UntrustedTypesFoundException as error:
        raise UnsafeModel(str(error)) from error
    except Exception as error:  # whatever a class's own reader raises for a broken file
        raise FormatError(f"cannot rebuild the model: {type(error).__name__}: {error}") from error


def _read_archive(data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the schema and the other members of a model file, within the caps above."""
    members = read_members(data, _MEMBER)
    text = members.pop("schema.json", b"")
    if len(text) > MAX_SCHEMA:
        raise UnsafeModel(f"the schema has {len(text)} bytes; at most {MAX_SCHEMA} are read")
    try:
        schema = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise FormatError(f"not a model file: {error}") from error
    if not isinstance(schema, dict):
        raise FormatError("not a model file: its schema is no object")
    return schema, members


@define
class _Members:
    """Stands where skops expects an archive."""

    held: dict[str, bytes] = field(factory=dict)

    def namelist(self) -> Iterable[str]:
        """Return the names so far."""
        return self.held.keys()

    def writestr(self, name: str, data: Any) -> None:
        """Keep a member."""
        self.held[name] = data.encode() if isinstance(data, str) else bytes(data)

    def read(self, name: str) -> bytes:
        """Return a member."""
        return self.held[name]


def _state(model: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the schema of a model and its arrays as skops makes them, without an archive in between."""
    import skops.io
    from skops.io._utils import SaveContext, get_state

    members = _Members()
    context = SaveContext(zip_file=members)
    schema = get_state(model, context)
    context.clear_memo()
    return {**schema, "protocol": context.protocol, "_skops_version": skops.__version__}, members.held


def _file(text: bytes, members: dict[str, bytes]) -> bytes:
    return write_members({"schema.json": text, **members})


def _tidy(schema: dict[str, Any], members: dict[str, bytes]) -> tuple[bytes, dict[str, bytes]]:
    """Return what skops made so that equal models are equal: ids, names, times and padding carry nothing."""
    writer = _Renumber(schema, lambda name: _settle(members[name]))
    tidy = {"protocol": schema["protocol"], **writer.node(schema)}
    text = json.dumps(tidy, separators=(",", ":")).encode()
    return text, {name: data for data, name in writer.members.items()}


def _settle(npy: bytes) -> bytes:
    """Zero what no field covers (padding) and what nobody sets (the missing-value side of a tree's leaves).

    A sparse matrix is an archive of its own, which is stored in plain bytes as well.
    """
    if npy.startswith(b"PK"):
        return _settle_sparse(npy)
    dtype, shape = npy_header(npy)
    if dtype.names is None:
        return npy
    if len(shape) == 1:
        array = np.frombuffer(npy, dtype, offset=len(npy) - shape[0] * dtype.itemsize)
    else:
        array = np.load(io.BytesIO(npy), allow_pickle=False)
    clean = np.zeros(array.shape, dtype)
    for name in dtype.names:
        clean[name] = array[name]
    if {"left_child", "missing_go_to_left"} <= set(dtype.names):
        clean["missing_go_to_left"][clean["left_child"] == -1] = 0
    out = io.BytesIO()
    np.save(out, clean, allow_pickle=False)
    return out.getvalue()


def _settle_sparse(npz: bytes) -> bytes:
    """Store the arrays of a sparse matrix as reading them leaves them: positions as narrow as they can be."""
    from scipy import sparse

    out = io.BytesIO()
    sparse.save_npz(out, sparse.load_npz(io.BytesIO(npz)), compressed=False)
    with zipfile.ZipFile(out) as archive:
        return write_members({name: archive.read(name) for name in archive.namelist()})


class _Renumber:
    """Copies a schema; object ids and file names become numbers in order of first use.

    Ids used once disappear, equal arrays share a file: who shares what with whom in memory is no part of a model, but
    for objects that can change.
    """

    def __init__(self, schema: Any, read: Callable[[str], bytes]) -> None:
        self.members: dict[bytes, str] = {}
        self._read = read
        self._uses = self._count(schema)
        self._shared: dict[int, Any] = {}

    def _count(self, schema: Any) -> Counter[int]:
        """Return how often each id stands in a schema."""
        uses: Counter[int] = Counter()
        queue = [schema]
        while queue:
            data = queue.pop()
            if isinstance(data, dict):
                if data.get("__loader__") in _LEAVES:
                    continue
                if "__id__" in data and self._is_shared(data):
                    uses[data["__id__"]] += 1
                queue.extend(data.values())
            elif isinstance(data, (list, tuple)):
                queue.extend(data)
        return uses

    @staticmethod
    def _is_shared(node: dict[str, Any]) -> bool:
        loader = node.get("__loader__")
        return loader in _SHARED and (loader != "NdArrayNode" or node["__class__"] == "ndarray")

    def node(self, data: Any) -> Any:
        """Return the copy of a node, or of any other part of the schema."""
        if isinstance(data, (list, tuple)):
            return [self.node(value) for value in data]
        if not isinstance(data, dict):
            return data
        if "__loader__" not in data:
            return {key: self.node(value) for key, value in data.items()}
        if data["__loader__"] in _LEAVES:
            return {key: value for key, value in data.items() if key not in _PASSING}
        number = data.get("__id__", 0)
        if self._uses.get(number, 0) < 2:
            return self._copy(data)
        if number not in self._shared:
            position = len(self._shared) + 1
            self._shared[number] = {}
            self._shared[number] = {**self._copy(data), "__id__": position}
        return self._shared[number]

    def _copy(self, data: dict[str, Any]) -> dict[str, Any]:
        copy = {key: self.node(value) for key, value in _timeless(data).items() if key not in _PASSING}
        if "file" in copy:
            suffix = data["file"].rpartition(".")[2]
            copy["file"] = self.members.setdefault(self._read(data["file"]), f"{len(self.members)}.{suffix}")
        if data["__loader__"] == "SetNode":
            copy["content"] = sorted(copy["content"], key=lambda item: json.dumps(item, sort_keys=True))
        return copy


def _timeless(node: dict[str, Any]) -> dict[str, Any]:
    """Return a node without what a process leaves in it: addresses of stop words, counts of queries, empty dicts."""
    content: Any = node.get("content")
    if node["__loader__"] == "ObjectNode" and f"{node['__module__']}.{node['__class__']}" in SEARCH_TREES:
        items = [{**item, "content": "0"} if i in _COUNTERS else item for i, item in enumerate(content["content"])]
        return {**node, "content": {**content, "content": items}}
    if node["__loader__"] == "PartialNode" and not content["namespace"].get("content"):
        nothing = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "null"}
        return {**node, "content": {**content, "namespace": {**nothing, "is_json": True}}}
    if node["__loader__"] == "DictNode" and _ADDRESS in content:
        position = list(content).index(_ADDRESS)
        types = [item for i, item in enumerate(node["key_types"]["content"]) if i != position]
        kept = {key: value for key, value in content.items() if key != _ADDRESS}
        return {**node, "content": kept, "key_types": {**node["key_types"], "content": types}}
    return node
