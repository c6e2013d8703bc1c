"""LightGBM and XGBoost models: stored as their libraries' text, checked, and predicting what they predicted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mlopskit as mk
from mlopskit import formats
from mlopskit.errors import FormatError, MissingExtra, UnsafeModel
from mlopskit.formats import boosters

RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.normal(size=(400, 3)), columns=["a", "b", "c"])
X.iloc[::7, 1] = np.nan
LEVELS = X.assign(k=pd.Categorical(RNG.choice(list("uvwxyz"), 400)))
NUMBER = X["a"].to_numpy() * 2
FLAG = (X["a"] + (LEVELS["k"] == "u") > 0.3).astype(int).to_numpy()
WORD = np.where(FLAG, "yes", "no")
THREE = np.digitize(X["a"], [-0.5, 0.5])


def light(kind: str = "Classifier", **options: Any) -> Any:
    return getattr(lightgbm, f"LGBM{kind}")(n_estimators=5, num_leaves=6, min_data_per_group=5, verbose=-1, **options)


def extreme(kind: str = "Classifier", **options: Any) -> Any:
    return getattr(xgboost, f"XGB{kind}")(n_estimators=4, max_depth=3, **options)


def squares(y: Any, predicted: Any) -> Any:
    return predicted - y, np.ones_like(predicted)


MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "two words, levels": lambda: (light().fit(LEVELS, WORD), LEVELS),
    "three numbers": lambda: (light().fit(X, THREE), X),
    "an array": lambda: (light("Regressor", objective="quantile", alpha=0.3).fit(X.to_numpy(), NUMBER), X.to_numpy()),
    "a forest": lambda: (light(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5).fit(X, FLAG), X),
    "dropped trees": lambda: (light(boosting_type="dart").fit(X, FLAG), X),
    "a constant": lambda: (light("Regressor").fit(X, np.ones(400)), X),
    "ranks": lambda: (light("Ranker").fit(X, FLAG, group=[100] * 4), X),
    "LightGBM's own": lambda: (light("Regressor").fit(X, NUMBER).booster_, X),
    "extreme two": lambda: (extreme().fit(X, FLAG), X),
    "extreme three": lambda: (extreme().fit(X, THREE), X),
    "extreme array": lambda: (extreme("Regressor").fit(X.to_numpy(), NUMBER), X.to_numpy()),
    "extreme outputs": lambda: (extreme("Regressor").fit(X, np.c_[NUMBER, -NUMBER]), X),
    "extreme forest": lambda: (extreme("RFClassifier").fit(X, FLAG), X),
    "extreme pruned": lambda: (extreme("Regressor", tree_method="exact", gamma=5.0).fit(X, NUMBER), X),
    "extreme missing": lambda: (extreme("Regressor", missing=-1.0).fit(X.fillna(-1.0), NUMBER), X.fillna(-1.0)),
}


class TestRoundTrip:
    @pytest.mark.parametrize("name", MODELS)
    def test_predictions_and_bytes_are_the_same(self, name: str) -> None:
        """Values, labels and probabilities to the last bit; equal models, and the loaded one, give equal bytes."""
        model, rows = MODELS[name]()
        format, data = formats.dump_model(model)
        loaded = formats.load_model(format, data)
        np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))
        assert hasattr(loaded, "predict_proba") == hasattr(model, "predict_proba")
        if hasattr(model, "predict_proba"):
            np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
            assert loaded.classes_.tolist() == model.classes_.tolist()
        assert formats.dump_model(model) == formats.dump_model(loaded) == (format, data)

    def test_stopped_early(self) -> None:
        """The rounds after the best one do not speak, as before."""
        one = lightgbm.LGBMClassifier(n_estimators=60, verbose=-1, early_stopping_rounds=2)
        one.fit(X[:300], FLAG[:300], eval_X=X[300:], eval_y=FLAG[300:])
        two = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=2)
        two.fit(X[:300], FLAG[:300], eval_set=[(X[300:], FLAG[300:])], verbose=False)
        for model in (one, two):
            loaded = formats.load_model(*formats.dump_model(model))
            np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))

    def test_in_a_registry(self) -> None:
        """Registered, verified, loaded and served like any other model; columns are picked by name."""
        registry = mk.ModelRegistry("memory://")
        model = light().fit(X, WORD)
        registry.register("late", model, example=X.head())
        shuffled = X[["c", "a", "b"]].assign(more=1)
        assert registry.load("late:1").predict(shuffled).values.tolist() == model.predict(X).tolist()
        registry.register("late", registry.load("late:1").model, example=X.head())
        one, two = registry.versions("late")
        assert one.blobs["model"] == two.blobs["model"]

    def test_other_columns_are_refused(self) -> None:
        """Fewer columns than at fitting never reach the library."""
        loaded = formats.load_model(*formats.dump_model(extreme().fit(X.to_numpy(), FLAG)))
        with pytest.raises(ValueError, match="X has 2 columns, but this model was fitted on 3"):
            loaded.predict(X.to_numpy()[:, :2])

    @pytest.mark.parametrize(
        ("model", "match"),
        [
            (lambda: lightgbm.LGBMClassifier(), "expected a fitted LightGBM model"),
            (lambda: xgboost.XGBClassifier(), "expected a fitted XGBoost model"),
            (lambda: light("Regressor", objective=lambda y, p: (p - y, np.ones_like(p))).fit(X, NUMBER), "it is code"),
            (
                lambda: extreme("Regressor", objective=lambda y, p: (p - y, np.ones_like(p))).fit(X, NUMBER),
                "it is code",
            ),
            (lambda: light("Regressor", linear_tree=True).fit(X.fillna(0), NUMBER), "linear"),
            (lambda: xgboost.XGBRegressor(booster="gblinear").fit(X.fillna(0), NUMBER), "'gblinear' is not held"),
            (lambda: extreme(enable_categorical=True).fit(LEVELS, FLAG), "encode them beforehand"),
            (lambda: make_pipeline(StandardScaler(), light()).fit(X, FLAG), "lightgbm"),
        ],
    )
    def test_what_cannot_be_held_is_refused_by_name(self, model: Callable[[], Any], match: str) -> None:
        """Unfitted, own objectives, linear trees, other boosters, categories of XGBoost, and a pipeline around one."""
        with pytest.raises(FormatError, match=match):
            formats.dump_model(model())

    @pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
    def test_without_the_library(self, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Loading where the library is not installed names the extra that brings it."""
        _, data = formats.dump_model((light() if library == "lightgbm" else extreme()).fit(X, FLAG))
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(MissingExtra, match=rf"mlopskit\[{library}\]"):
            formats.load_model(library, data)


LIGHT = json.loads(formats.dump_model(light().fit(LEVELS, WORD))[1])
EXTREME = json.loads(formats.dump_model(extreme().fit(X, THREE))[1])


def text(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    """Edit the first line of LightGBM's text that begins so."""

    def edit(document: dict[str, Any]) -> None:
        lines = document["model"].split("\n")
        at = next(i for i, line in enumerate(lines) if line.startswith(old))
        lines[at] = new
        document["model"] = "\n".join(lines)

    return edit


def tree(key: str, at: int, value: object) -> Callable[[dict[str, Any]], None]:
    """Edit one number of XGBoost's first tree."""

    def edit(document: dict[str, Any]) -> None:
        part = document["model"]["learner"]["gradient_booster"]["model"]["trees"][0]
        part[key][at] = value

    return edit


def learner(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Edit a part of XGBoost's document."""

    def edit(document: dict[str, Any]) -> None:
        *before, last = path.split(".")
        part = document["model"]["learner"]
        for key in before:
            part = part[key]
        part[last] = value

    return edit


SECOND = EXTREME["model"]["learner"]["gradient_booster"]["model"]["trees"][1]
CRAFTED_LIGHT = {
    "a child outside": text("left_child=", "left_child=99 -1 -2 -3 -4"),
    "a cycle": text("left_child=", "left_child=0 0 0 0 0"),
    "a feature outside": text("split_feature=", "split_feature=99 0 0 0 0"),
    "too few leaves": text("leaf_value=", "leaf_value=1"),
    "a leaf that is no number": text("leaf_value=", "leaf_value=nan 1 1 1 1 1"),
    "more leaves than values": text("num_leaves=", "num_leaves=60000"),
    "a negative count": text("num_leaves=", "num_leaves=-5"),
    "other classes in the objective": text("objective=", "objective=multiclass num_class:9999"),
    "strange words": text("objective=", "objective=binary\x00 sigmoid:1"),
    "more features": text("max_feature_idx=", "max_feature_idx=1000000"),
    "categories outside": text("cat_boundaries=", "cat_boundaries=0 99"),
    "no categories": text("num_cat=", "num_cat=0"),
    "trees in rounds": text("num_tree_per_iteration=", "num_tree_per_iteration=7"),
    "another number": text("Tree=1", "Tree=7"),
    "text for numbers": text("threshold=", "threshold=a b c d e"),
    "levels that are no lists": text("pandas_categorical:", 'pandas_categorical:{"a": 1}'),
}
CRAFTED_EXTREME = {
    "a child outside": tree("left_children", 0, 99),
    "its own child": tree("left_children", 0, 0),
    "a negative child": tree("right_children", 0, -7),
    "one child twice": tree("right_children", 0, 1),
    "another parent": tree("parents", 1, 99_999_999),
    "a feature outside": tree("split_indices", 0, 99),
    "a category without a set": tree("split_type", 0, 1),
    "text for a number": tree("split_conditions", 0, "1"),
    "an infinite leaf": tree("base_weights", 0, 1e400),
    "another id": learner(
        "gradient_booster.model.trees", [{"id": 5, "tree_param": {"num_nodes": "1", "num_feature": "3"}}]
    ),
    "more trees": learner("gradient_booster.model.gbtree_model_param.num_trees", "1000000"),
    "a class outside": learner("gradient_booster.model.tree_info", [99] * 12),
    "rounds outside": learner("gradient_booster.model.iteration_indptr", [0, 99]),
    "more features": learner("learner_model_param.num_feature", "1000000"),
    "more classes": learner("learner_model_param.num_class", "1000000"),
    "another objective": learner("objective.name", "rm -rf"),
    "classes of the objective": learner("objective.softmax_multiclass_param.num_class", "99"),
    "a best round outside": learner("attributes", {"best_iteration": "99"}),
    "a score that is none": learner("learner_model_param.base_score", "[nan]"),
    "no trees": learner("gradient_booster.name", "dart"),
}


class TestCrafted:
    @pytest.mark.parametrize(
        ("document", "edit"),
        [(LIGHT, edit) for edit in CRAFTED_LIGHT.values()] + [(EXTREME, edit) for edit in CRAFTED_EXTREME.values()],
        ids=[*(f"lightgbm: {k}" for k in CRAFTED_LIGHT), *(f"xgboost: {k}" for k in CRAFTED_EXTREME)],
    )
    def test_is_refused_before_the_library_sees_it(self, document: dict[str, Any], edit: Callable[[Any], None]) -> None:
        """Numbers that point outside, cycles, wrong lengths and counts, strange words: an error, never a crash."""
        crafted = json.loads(json.dumps(document))
        edit(crafted)
        with pytest.raises((UnsafeModel, FormatError)):
            formats.load_model(document["library"], json.dumps(crafted).encode())

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("protocol", 2),
            ("library", "xgboost"),
            ("library", "pickle"),
            ("features", ["a"]),
            ("features", "abcd"),
            ("n_features", 9),
            ("classes", ["yes"]),
            ("classes", ["a", "b", "c", "d"]),
            ("missing", "nan"),
            ("model", 7),
            ("more", 1),
        ],
    )
    def test_a_file_that_says_other_things_is_refused(self, key: str, value: object) -> None:
        """Another protocol or library, other columns or labels than the model has, a field that nobody knows."""
        with pytest.raises(FormatError):
            formats.load_model("lightgbm", json.dumps(LIGHT | {key: value}).encode())

    def test_a_file_beyond_the_cap_is_not_parsed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The size is looked at before anything is read; text that is no JSON, or another kind of it, is no model."""
        for data in (b"{", b"[" * 100_000, b"7", b"{}"):
            with pytest.raises(FormatError, match="not a model file"):
                formats.load_model("lightgbm", data)
        monkeypatch.setattr(boosters, "MAX_FILE", 100)
        with pytest.raises(FormatError, match="at most 100 are read"):
            formats.load_model("lightgbm", json.dumps(LIGHT).encode())

    def test_what_an_unchecked_file_does(self) -> None:
        """The library itself dies of such a file: the check is what keeps the process."""
        crafted = json.loads(json.dumps(EXTREME))
        tree("parents", 1, 99_999_999)(crafted)
        code = "import sys, xgboost; xgboost.Booster().load_model(bytearray(sys.stdin.buffer.read()))"
        done = subprocess.run([sys.executable, "-c", code], input=json.dumps(crafted["model"]).encode(), check=False)
        assert done.returncode < 0

    @settings(max_examples=200)
    @given(st.sampled_from([LIGHT, EXTREME]), st.data())
    def test_any_numbers_changed(self, document: dict[str, Any], data: st.DataObject) -> None:
        """Numbers replaced at random: refused, or loaded and predicting without a crash."""
        model = document["model"] if isinstance(document["model"], str) else json.dumps(document["model"])
        words = model.split(" ")
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(words) - 1))
            words[at] = data.draw(st.sampled_from(["-1", "0", "1", "7", "99999999", "2147483647", "1e308", "3.5", ""]))
        changed: Any = " ".join(words)
        if document is EXTREME:
            try:
                changed = json.loads(changed)
            except ValueError:
                return
        try:
            loaded = formats.load_model(document["library"], json.dumps(document | {"model": changed}).encode())
            loaded.predict(LEVELS if document is LIGHT else X)
        except (FormatError, ValueError):
            pass
