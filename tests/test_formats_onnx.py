"""Models exported as ONNX answer as the models do, or are refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlopskit import ModelRegistry
from mlopskit.errors import FormatError, MissingExtra
from mlopskit.formats import onnx

RNG = np.random.default_rng(0)
X = pd.DataFrame({"a": RNG.normal(size=60), "b": RNG.normal(size=60), "c": np.tile(["x", "y", "z"], 20).astype(object)})
NUMBERS = X[["a", "b"]]
LABELS = np.where(X["a"] > 0, "late", "on time")
MIXED = make_column_transformer((OneHotEncoder(), ["c"]), (StandardScaler(), ["a", "b"]))


@pytest.mark.parametrize(
    ("model", "rows", "target", "inputs"),
    [
        (LogisticRegression(), NUMBERS, LABELS, ["X"]),
        (RandomForestClassifier(3, random_state=0), NUMBERS, LABELS, ["X"]),
        (make_pipeline(StandardScaler(), Ridge()), NUMBERS, X["a"], ["X"]),
        (make_pipeline(MIXED, LogisticRegression()), X, LABELS, ["a", "b", "c"]),
    ],
)
def test_a_registered_model_is_exported(model: Any, rows: pd.DataFrame, target: Any, inputs: list[str]) -> None:
    """The graph of a loaded version has the inputs that are documented and labels rows it was not compared on alike."""
    registry = ModelRegistry("memory://")
    registry.register("m", model.fit(rows, target), example=rows.head(5))
    session = onnxruntime.InferenceSession(registry.load("m:1").to_onnx(), providers=["CPUExecutionProvider"])
    wide = {"tensor(double)": np.float64, "tensor(float)": np.float32, "tensor(string)": object}
    assert [given.name for given in session.get_inputs()] == inputs
    feed = {
        given.name: rows[[given.name] if given.name in rows else list(rows)].to_numpy(wide[given.type])
        for given in session.get_inputs()
    }
    got = session.run(None, feed)[0].reshape(-1)
    expected = model.predict(rows)
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_array_equal(got, expected)


def test_a_model_fitted_on_an_array() -> None:
    """A model without names of columns is exported without a warning about names."""
    assert onnx.to_onnx(Ridge().fit(NUMBERS.to_numpy(), X["a"]), NUMBERS)


def test_what_cannot_be_converted() -> None:
    """A model that skl2onnx does not know is refused, with its name and the reason."""
    model = IsotonicRegression().fit(X[["a"]], X["b"])
    with pytest.raises(FormatError, match="cannot export this IsotonicRegression as ONNX: MissingShapeCalculator"):
        onnx.to_onnx(model, X[["a"]])


def test_a_graph_that_answers_otherwise() -> None:
    """A subclass that changes predictions converts as its parent would; its graph is refused."""

    class Doubled(Ridge):  # type: ignore[misc]
        def predict(self, rows: Any) -> Any:
            return 2 * super().predict(rows) + 1

    from skl2onnx import update_registered_converter
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.operator_converters.linear_regressor import convert_sklearn_linear_regressor
    from skl2onnx.shape_calculators.linear_regressor import calculate_linear_regressor_output_shapes as shapes

    update_registered_converter(Doubled, "Doubled", shapes, convert_sklearn_linear_regressor)
    try:
        with pytest.raises(FormatError, match="answers the example otherwise"):
            onnx.to_onnx(Doubled().fit(NUMBERS, X["a"]), NUMBERS)
    finally:
        sklearn_operator_name_map.pop(Doubled, None)


def test_answers_of_another_size() -> None:
    """Answers of another number of values are no agreement, and no crash."""
    assert not onnx._agree(np.zeros(3), np.zeros((3, 2)))
    assert onnx._agree(np.zeros(3), np.zeros((3, 1)))


def test_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages, the error says what to install."""
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(MissingExtra, match=r"mlopskit\[onnx\]"):
        onnx.to_onnx(Ridge().fit(NUMBERS, X["a"]), NUMBERS)
