"""Trees of LightGBM and XGBoost, whose libraries read node numbers, features and categories without looking.

Both checks take what a file says apart and return what the library is given: nothing that was not looked at reaches it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopskit.errors import FormatError
from mlopskit.formats.contents.base import refuse

MOST_CLASSES = 100_000
MOST_COLUMNS = 10_000_000
_WORDS = re.compile(r"[a-z][a-z0-9_]*(:[a-z_]+)?( [a-z_]+:-?[0-9.e+-]+)*( sqrt)?")
_HEADER = ("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective")
_OF_LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
_OF_NODES = (
    *("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child"),
    *("internal_value", "internal_weight", "internal_count"),
)
_LINES = frozenset(
    {"num_leaves", "num_cat", "cat_boundaries", "cat_threshold", "is_linear", "shrinkage", *_OF_LEAVES, *_OF_NODES}
)
_NOBODY = 2**31 - 1  # XGBoost's parent of a root
_CATEGORICAL = 1  # the bit of LightGBM's decision_type that says so; the others count up to 11

Ints = NDArray[np.int64]


def lightgbm_text(text: str) -> str:
    """Return the model of a LightGBM text file, checked: header, trees, categories; without its parameters.

    Raises
    ------
    UnsafeModel
        When a number lies outside what it points into.
    FormatError
        When the text is not laid out as LightGBM writes it, or holds linear trees.
    """
    head, _, rest = text.partition("\n\n")
    lines = head.split("\n")
    if lines[0] != "tree" or "\nend of trees\n" not in rest:
        raise FormatError("not the text of a LightGBM model")
    header = _pairs(lines[1:], "average_output")
    n_class, per_round, last = (_whole(header, k) for k in ("num_class", "num_tree_per_iteration", "max_feature_idx"))
    names, infos = header.get("feature_names", "").split(" "), header.get("feature_infos", "").split(" ")
    if not 1 <= n_class <= MOST_CLASSES or not 0 <= last < MOST_COLUMNS or per_round not in (1, n_class):
        raise refuse(f"num_class={n_class}, num_tree_per_iteration={per_round}, max_feature_idx={last}")
    if not len(names) == len(infos) == last + 1:
        raise refuse(f"{len(names)} feature names and {len(infos)} ranges for {last + 1} features")
    objective = header.get("objective", "regression")
    if not _WORDS.fullmatch(objective):
        raise refuse(f"objective={objective!r:.80}")
    told = re.search(r"num_class:(\d+)", objective)
    if told and int(told[1]) != n_class:
        raise refuse(f"objective={objective!r} in a model of {n_class} classes")
    body, _, after = rest.partition("\nend of trees\n")
    trees = [_lightgbm_tree(lines, i, last + 1) for i, lines in enumerate(_blocks(body))]
    if len(trees) % per_round:
        raise refuse(f"{len(trees)} trees in rounds of {per_round}")
    kept = [f"{key}={header[key]}" for key in _HEADER if key in header]
    kept += ["average_output"] * ("average_output" in header)
    kept += [f"feature_names={' '.join(names)}", f"feature_infos={' '.join(infos)}"]
    sizes = f"tree_sizes={' '.join(str(len(tree.encode())) for tree in trees)}"
    ends = ["", "".join(trees) + "end of trees", "", f"pandas_categorical:{_categories(after)}", ""]
    return "\n".join(["tree", *kept, sizes, *ends])


def _pairs(lines: Sequence[str], flag: str) -> dict[str, str]:
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    if len(found) + lines.count(flag) != len(lines):
        raise FormatError("not the text of a LightGBM model: a line twice, or one without a value")
    return found | {flag: ""} if flag in lines else found


def _whole(header: Mapping[str, Any], key: str) -> int:
    text = str(header.get(key, ""))
    if not re.fullmatch(r"-?\d{1,9}", text):
        raise refuse(f"{key}={text!r:.40}")
    return int(text)


def _blocks(body: str) -> Iterator[list[str]]:
    """Yield the lines of each tree."""
    parts = re.split(r"^Tree=(\d+)\n", body, flags=re.MULTILINE)
    if parts[0].strip():
        raise FormatError("not the text of a LightGBM model: something stands before its trees")
    for i, (number, block) in enumerate(zip(parts[1::2], parts[2::2], strict=True)):
        if number != str(i):
            raise refuse(f"tree {number} stands in place of tree {i}")
        yield [line for line in block.split("\n") if line]


def _lightgbm_tree(lines: list[str], number: int, n_features: int) -> str:
    """Check one tree and return it as LightGBM writes it."""
    found = _pairs(lines, "")
    if not found.keys() <= _LINES:
        raise FormatError(f"tree {number} has {sorted(found.keys() - _LINES)}; linear trees and the like are not held")
    what, n_leaves, n_cat = f"tree {number}", _whole(found, "num_leaves"), _whole(found, "num_cat")
    if found.get("is_linear", "0") != "0":
        raise FormatError(f"{what} is linear: such trees are not held")
    numbers = {key: _numbers(found.get(key, ""), f"{what}, {key}") for key in (*_OF_LEAVES, *_OF_NODES)}
    for keys, n in ((_OF_LEAVES, n_leaves), (_OF_NODES, n_leaves - 1)):
        for key in keys:
            must = key in ("leaf_value", "split_feature", "threshold", "decision_type", "left_child", "right_child")
            if len(numbers[key]) != n and (must or len(numbers[key])):
                raise refuse(f"{what}, {key} has {len(numbers[key])} values for {n_leaves} leaves")
    if n_leaves < 1 or n_cat < 0 or not np.isfinite(numbers["leaf_value"]).all():
        raise refuse(f"{what} has {n_leaves} leaves, {n_cat} categorical splits")
    whole = {k: _integers(numbers[k], f"{what}, {k}") for k in ("split_feature", "decision_type")}
    left, right = (_integers(numbers[k], f"{what}, {k}") for k in ("left_child", "right_child"))
    _below(whole["split_feature"], n_features, f"{what}, split_feature")
    _below(whole["decision_type"], 12, f"{what}, decision_type")
    children = np.concatenate([left, right])
    nodes, leaves = np.sort(children[children >= 0]), np.sort(~children[children < 0])
    each_once = np.array_equal(nodes, np.arange(1, n_leaves - 1))
    if n_leaves > 1 and not (each_once and np.array_equal(leaves, np.arange(n_leaves))):
        raise refuse(f"{what}: a node or a leaf has no parent, or several")
    if ((children >= 0) & (children <= np.tile(np.arange(len(left)), 2))).any():
        raise refuse(f"{what}: a node is its own ancestor")
    bounds = _integers(_numbers(found.get("cat_boundaries", ""), what), f"{what}, cat_boundaries")
    bits = _integers(_numbers(found.get("cat_threshold", ""), what), f"{what}, cat_threshold")
    is_category = (whole["decision_type"] & _CATEGORICAL).astype(bool)
    if n_cat or is_category.any():
        fits = len(bounds) == n_cat + 1 and bounds[0] == 0 and (np.diff(bounds) > 0).all() and bounds[-1] == len(bits)
        if not fits or (bits < 0).any() or (bits >= 1 << 32).any():
            raise refuse(f"{what}: sets of categories do not fit their bounds")
        _below(_integers(numbers["threshold"][is_category], what), n_cat, f"{what}, threshold of a category")
    elif len(bounds) or len(bits):
        raise refuse(f"{what} has categories and no split by them")
    return "\n".join([f"Tree={number}", *lines, "", "", ""])


def _numbers(text: str, what: str) -> NDArray[np.float64]:
    try:
        found = np.array(text.split(), dtype=np.float64)
    except ValueError as error:
        raise refuse(f"{what} holds something that is no number") from error
    if np.isnan(found).any():
        raise refuse(f"{what} holds a number that is none")
    return found


def _integers(values: NDArray[np.float64], what: str) -> Ints:
    if not (np.isfinite(values).all() and (values == np.rint(values)).all() and (np.abs(values) < 1 << 53).all()):
        raise refuse(f"{what} holds a number that is not whole")
    return values.astype(np.int64)


def _below(values: Ints, end: int, what: str) -> None:
    if len(values) and not (values.min() >= 0 and values.max() < end):
        raise refuse(f"{what} lies outside 0 to {end - 1}")


def _categories(after: str) -> str:
    """Return what LightGBM notes of a frame's categories: lists of plain values, or null."""
    found = re.findall(r"^pandas_categorical:(.*)$", after, flags=re.MULTILINE)
    try:
        kept = json.loads(found[-1]) if found else None
    except (RecursionError, ValueError) as error:
        raise FormatError(f"the categories of a LightGBM model are no JSON: {error}") from error
    plain = isinstance(kept, list) and all(isinstance(levels, list) for levels in kept)
    if kept is not None and not (plain and all(isinstance(v, (str, int, float)) for levels in kept for v in levels)):
        raise refuse("the categories of a LightGBM model are no lists of texts and numbers")
    return json.dumps(kept)


def xgboost_document(document: Any) -> dict[str, Any]:
    """Return the JSON document of an XGBoost model of trees, checked.

    Raises
    ------
    UnsafeModel
        When a number lies outside what it points into.
    FormatError
        When it is no such document, or of another booster than trees.
    """
    try:
        learner = document["learner"]
        booster, facts = learner["gradient_booster"], learner["learner_model_param"]
        if booster["name"] != "gbtree":
            raise FormatError(f"an XGBoost model of {booster['name']!r:.40} is not held; expected trees ('gbtree')")
        n_features, n_class, n_target = (_whole(facts, key) for key in ("num_feature", "num_class", "num_target"))
        if not (0 < n_features <= MOST_COLUMNS and 0 <= n_class <= MOST_CLASSES and 1 <= n_target <= MOST_CLASSES):
            raise refuse(f"num_feature={n_features}, num_class={n_class}, num_target={n_target}")
        if not _WORDS.fullmatch(str(learner["objective"]["name"])):
            raise refuse(f"objective={learner['objective']['name']!r:.80}")
        model, groups = booster["model"], max(n_class, 1) * n_target
        if any(model.get("cats", {}).get("enc", ())):
            raise FormatError("an XGBoost model that keeps a frame's categories is not held: encode them beforehand")
        _base_score(str(facts["base_score"]), groups)
        _rounds(model, learner.get("attributes", {}), groups)
        for i, tree in enumerate(model["trees"]):
            _xgboost_tree(tree, i, n_features)
        for part in learner["objective"].values():
            if isinstance(part, dict) and _whole({"num_class": n_class, **part}, "num_class") != n_class:
                raise refuse(f"the objective counts {part['num_class']!r:.40} classes, the model {n_class}")
    except (AttributeError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise FormatError(f"not the document of an XGBoost model: {type(error).__name__} {error}") from error
    for names in ("feature_names", "feature_types"):
        if len(learner.get(names) or ()) not in (0, n_features):
            raise refuse(f"{names} are not {n_features}")
    checked: dict[str, Any] = document
    return checked


def _base_score(text: str, groups: int) -> None:
    found = _numbers(text.strip("[]").replace(",", " "), "base_score")
    if len(found) not in (1, groups) or not np.isfinite(found).all():
        raise refuse(f"base_score={text!r:.80}")


def _rounds(model: Mapping[str, Any], attributes: Mapping[str, str], groups: int) -> None:
    """Check how trees are counted: in rounds, and by the class each adds to."""
    n, parallel = len(model["trees"]), _whole(model["gbtree_model_param"], "num_parallel_tree")
    ends, group_of = _array(model["iteration_indptr"], "iteration_indptr"), _array(model["tree_info"], "tree_info")
    if _whole(model["gbtree_model_param"], "num_trees") != n or len(group_of) != n or parallel < 1:
        raise refuse(f"{n} trees where the model counts others")
    _below(group_of, groups, "tree_info")
    if not len(ends) or ends[0] != 0 or ends[-1] != n or (np.diff(ends) != groups * parallel).any():
        raise refuse("iteration_indptr does not count the trees")
    best = attributes.get("best_iteration", "0")
    if not re.fullmatch(r"\d{1,9}", str(best)) or int(best) >= max(len(ends) - 1, 1):
        raise refuse(f"best_iteration={best!r:.40}")


def _array(values: Any, what: str) -> Ints:
    return _integers(_floats(values, what), what)


def _floats(values: Any, what: str) -> NDArray[np.float64]:
    if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
        raise refuse(f"{what} is no list of numbers")
    return np.array(values, dtype=np.float64)


def _xgboost_tree(tree: Mapping[str, Any], number: int, n_features: int) -> None:
    facts, what = tree["tree_param"], f"tree {number}"
    n = _whole(facts, "num_nodes")
    if tree["id"] != number or _whole(facts, "num_feature") != n_features:
        raise refuse(f"{what} has id {tree['id']!r:.40} and {facts['num_feature']!r:.40} features")
    if _whole(facts, "size_leaf_vector") not in (0, 1):
        raise FormatError(f"{what} has vectors for leaves: such trees are not held")
    left, right = (_array(tree[f"{side}_children"], f"{what}, {side}_children") for side in ("left", "right"))
    split, kind = _array(tree["split_indices"], f"{what}, features"), _array(tree["split_type"], f"{what}, split_type")
    values = [_floats(tree[key], f"{what}, {key}") for key in ("split_conditions", "base_weights", "sum_hessian")]
    others = [_array(tree[key], f"{what}, {key}") for key in ("parents", "default_left")]
    losses = _floats(tree["loss_changes"], f"{what}, loss_changes")
    if n < 1 or {len(a) for a in (left, right, split, kind, losses, *values, *others)} != {n}:
        raise refuse(f"{what}: arrays of other lengths than its {n} nodes")
    if not all(np.isfinite(a).all() for a in values[:2]):
        raise refuse(f"{what}: a leaf or a threshold is no number")
    inner = left != -1
    if not np.array_equal(inner, right != -1):
        raise refuse(f"{what}: a node has one child")
    at, children = np.flatnonzero(inner), np.concatenate([left[inner], right[inner]])
    if len(children) and not (children.max() < n and (children > np.tile(at, 2)).all()):
        raise refuse(f"{what}: a child lies outside the tree, or is an ancestor")
    if len(np.unique(children)) != len(children):
        raise refuse(f"{what}: a node has several parents")
    expected = np.full(n, _NOBODY)
    expected[children] = np.tile(at, 2)
    parents = others[0]
    kept = expected != _NOBODY
    stray = ~kept & ~((parents >= 0) & (parents < n))
    if not np.array_equal(parents[kept], expected[kept]) or (parents[stray] != _NOBODY).any():
        raise refuse(f"{what}: parents and children differ")
    _below(split[inner], n_features, f"{what}, feature")
    _below(kind, 2, f"{what}, split_type")
    _below(others[1], 2, f"{what}, default_left")
    nodes, starts, sizes, codes = (
        _array(tree[f"categories{part}"], f"{what}, categories{part}") for part in ("_nodes", "_segments", "_sizes", "")
    )
    if not len(nodes) == len(starts) == len(sizes) or not np.array_equal(nodes, np.flatnonzero(kind == 1)):
        raise refuse(f"{what}: categories and the nodes that split by them differ")
    _below(codes, 1 << 24, f"{what}, category")
    if len(nodes) and not ((starts >= 0).all() and (sizes > 0).all() and (starts + sizes <= len(codes)).all()):
        raise refuse(f"{what}: sets of categories lie outside the list")
