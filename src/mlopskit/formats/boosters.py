"""Models of LightGBM and XGBoost in the text that their own libraries write, checked before those libraries read it.

A file is JSON: the library's model, the labels of classes, the names of columns. What is loaded is a `Booster` that
predicts as the model did; it is no estimator to fit again.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import Any, ClassVar, final

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from mlopskit.errors import FormatError, MissingExtra
from mlopskit.formats.base import Format
from mlopskit.formats.contents.boosters import lightgbm_text, xgboost_document

MAX_FILE = 1 << 28
"""Largest file that is read, in bytes; as Python's numbers it takes some eight times as much memory."""
PROTOCOL = 1


@frozen(eq=False)
class Booster:
    """A loaded LightGBM or XGBoost model: it predicts for frames and arrays.

    Parameters
    ----------
    library
        "lightgbm" or "xgboost".
    booster
        The library's own booster.
    feature_names_in_
        Names of the columns it was fitted on, which are picked from a frame; None where it was fitted on an array.
    n_features_in_
        How many columns there are.
    missing
        The number that stands for a missing value beside NaN (XGBoost).
    """

    library: str
    booster: Any = field(repr=False)
    feature_names_in_: NDArray[Any] | None
    n_features_in_: int
    missing: float

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the value of each row, shape (n_rows,) or (n_rows, n_outputs).

        Raises
        ------
        ValueError
            When there are other columns than at fitting.
        """
        if self.feature_names_in_ is not None and hasattr(X, "columns"):
            X = X[list(self.feature_names_in_)]
        n = np.shape(X)[1] if np.ndim(X) == 2 else -1
        if n != self.n_features_in_:
            raise ValueError(f"X has {n} columns, but this model was fitted on {self.n_features_in_}")
        if self.library == "lightgbm":
            return np.asarray(self.booster.predict(X))
        import xgboost

        best = self.booster.attr("best_iteration")
        until = self.booster.num_boosted_rounds() if best is None else int(best) + 1
        rows = xgboost.DMatrix(np.asarray(X, dtype=np.float32), missing=self.missing)
        return np.asarray(self.booster.predict(rows, iteration_range=(0, until), validate_features=False))


@frozen(eq=False)
class BoosterClassifier(Booster):
    """A loaded classifier: `classes_` are its labels, in the order of its probabilities."""

    classes_: NDArray[Any]

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the probability of each class, shape (n_rows, n_classes).

        Raises
        ------
        ValueError
            When there are other columns than at fitting, or other outputs than labels.
        """
        raw = super().predict(X)
        chances = np.stack([1.0 - raw, raw], axis=1) if raw.ndim == 1 else raw
        if chances.shape[1:] != self.classes_.shape:
            raise ValueError(f"the model gives {chances.shape[1:]} probabilities for {len(self.classes_)} classes")
        return chances

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the label of the most likely class of each row, shape (n_rows,)."""
        labels: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels


def _wrapped(library: str, booster: Any, names: Any, n: int, missing: float | None, classes: Any) -> Booster:
    columns = None if names is None else np.array(names, dtype=object)
    facts = (library, booster, columns, n, np.nan if missing is None else float(missing))
    return Booster(*facts) if classes is None else BoosterClassifier(*facts, np.array(classes))


class _BoosterFormat(Format):
    """What both libraries share: the file around the model."""

    def dumps(self, model: Any) -> bytes:
        """See `Format.dumps`.

        Raises
        ------
        FormatError
            When the model is not fitted, or holds what is not looked at (linear trees, own objectives, categories).
        """
        taken = model if isinstance(model, Booster) else self._taken(model)
        names = None if taken.feature_names_in_ is None else [str(name) for name in taken.feature_names_in_]
        classes = taken.classes_.tolist() if isinstance(taken, BoosterClassifier) else None
        if classes is not None and not all(isinstance(label, (str, int, float)) for label in classes):
            raise FormatError(f"labels of classes have to be texts, numbers or booleans; got {classes!r:.80}")
        document = {
            "protocol": PROTOCOL,
            "library": self.name,
            "classes": classes,
            "features": names,
            "n_features": taken.n_features_in_,
            "missing": None if np.isnan(taken.missing) else taken.missing,
            "model": self._written(taken.booster),
        }
        return json.dumps(document, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()

    def loads(self, data: bytes) -> Any:
        """See `Format.loads`.

        Raises
        ------
        UnsafeModel
            When a number in the file points outside its arrays.
        FormatError
            When the bytes are no such file.
        MissingExtra
            When the library is not installed.
        """
        if len(data) > MAX_FILE:
            raise FormatError(f"the file has {len(data)} bytes; at most {MAX_FILE} are read")
        try:
            document = json.loads(data)
        except (RecursionError, ValueError) as error:
            raise FormatError(f"not a model file: {error}") from error
        expected = {"protocol", "library", "classes", "features", "n_features", "missing", "model"}
        if not isinstance(document, dict) or document.keys() != expected:
            raise FormatError(f"not a model file: expected an object of {sorted(expected)}")
        if document["protocol"] != PROTOCOL or document["library"] != self.name:
            raise FormatError(f"a file of {document['library']!r:.40}, protocol {document['protocol']!r:.40}")
        names, classes, n, missing = (document[key] for key in ("features", "classes", "n_features", "missing"))
        if not isinstance(n, int) or (names is not None and not (_plain(names, str) and len(names) == n)):
            raise FormatError(f"not a model file: features={names!r:.80} of {n!r:.40}")
        if classes is not None and not (_plain(classes, (str, int, float)) and len(classes) > 1):
            raise FormatError(f"not a model file: classes={classes!r:.80}")
        if missing is not None and type(missing) not in (int, float):
            raise FormatError(f"not a model file: missing={missing!r:.40}")
        booster, n_columns, n_outputs = self._read(document["model"])
        if n_columns != n or (classes is not None and n_outputs not in (len(classes), len(classes) - 1)):
            raise FormatError(f"a model of {n_columns} columns and {n_outputs} outputs for {n} and {classes!r:.80}")
        return _wrapped(self.name, booster, names, n, missing, classes)

    @abstractmethod
    def _taken(self, model: Any) -> Booster:
        """Take a fitted estimator, or the library's booster, apart."""

    @abstractmethod
    def _written(self, booster: Any) -> Any:
        """Return the booster as checked plain data."""

    @abstractmethod
    def _read(self, model: Any) -> tuple[Any, int, int]:
        """Rebuild the library's booster after a check; its columns and outputs."""


def _plain(values: Any, kinds: Any) -> bool:
    return isinstance(values, list) and all(isinstance(v, kinds) for v in values)


@final
class LightGBMFormat(_BoosterFormat):
    """LightGBM's classifiers, regressors, rankers and boosters, by their text (extra `lightgbm`)."""

    name: ClassVar[str] = "lightgbm"

    def _taken(self, model: Any) -> Booster:
        lightgbm = _library("lightgbm")
        classes, booster = None, model
        if isinstance(model, lightgbm.LGBMModel) and model.__sklearn_is_fitted__():
            classes, booster = model.classes_ if isinstance(model, lightgbm.LGBMClassifier) else None, model.booster_
            if callable(model.objective):
                raise FormatError("cannot write an objective of your own: it is code")
        if not isinstance(booster, lightgbm.Booster):
            raise FormatError(f"cannot write this {type(model).__name__}: expected a fitted LightGBM model")
        names = booster.feature_name()
        given = None if names == [f"Column_{i}" for i in range(len(names))] else names
        return _wrapped(self.name, booster, given, booster.num_feature(), None, classes)

    def _written(self, booster: Any) -> Any:
        return lightgbm_text(booster.model_to_string())

    def _read(self, model: Any) -> tuple[Any, int, int]:
        if not isinstance(model, str):
            raise FormatError("not a model file: the model is no text")
        text, lightgbm = lightgbm_text(model), _library("lightgbm")
        try:
            booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise FormatError(f"LightGBM cannot read this model: {error}") from error
        return booster, booster.num_feature(), booster.num_model_per_iteration()


@final
class XGBoostFormat(_BoosterFormat):
    """XGBoost's classifiers, regressors, rankers and boosters of trees, by their JSON (extra `xgboost`)."""

    name: ClassVar[str] = "xgboost"

    def _taken(self, model: Any) -> Booster:
        xgboost = _library("xgboost")
        classes, booster, missing = None, model, None
        if isinstance(model, xgboost.XGBModel) and model.__sklearn_is_fitted__():
            classes, booster = model.classes_ if isinstance(model, xgboost.XGBClassifier) else None, model.get_booster()
            missing = model.missing
            if callable(model.objective):
                raise FormatError("cannot write an objective of your own: it is code")
        if not isinstance(booster, xgboost.Booster):
            raise FormatError(f"cannot write this {type(model).__name__}: expected a fitted XGBoost model")
        return _wrapped(self.name, booster, booster.feature_names, booster.num_features(), missing, classes)

    def _written(self, booster: Any) -> Any:
        return xgboost_document(json.loads(bytes(booster.save_raw("json"))))

    def _read(self, model: Any) -> tuple[Any, int, int]:
        document, xgboost = xgboost_document(model), _library("xgboost")
        booster = xgboost.Booster()
        try:
            booster.load_model(bytearray(json.dumps(document, separators=(",", ":")).encode()))
        except xgboost.core.XGBoostError as error:
            raise FormatError(f"XGBoost cannot read this model: {error}") from error
        facts = document["learner"]["learner_model_param"]
        return booster, booster.num_features(), max(int(facts["num_class"]), 1) * int(facts["num_target"])


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtra.of(name, name) from error
