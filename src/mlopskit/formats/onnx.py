"""ONNX: a fitted scikit-learn model as a graph that other runtimes execute. Export only: nothing is loaded from it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mlopskit.errors import FormatError, MissingExtra

if TYPE_CHECKING:
    import pandas as pd

RTOL, ATOL = 1e-4, 1e-5
"""How far numbers of the graph, which may compute in 32 bits, may lie from the model's."""


def to_onnx(model: Any, rows: pd.DataFrame) -> bytes:
    """Return a fitted scikit-learn model as an ONNX graph whose answers on some rows were compared with the model's.

    Numeric columns are one input, "X", in the order of the frame; where a model picks columns by name, or some are
    texts, each column is an input of its own name and of shape (rows, 1). Numbers are 64 bits wide where every step of
    the graph allows it, else 32. Outputs are the label, or the value, and then the probabilities.

    Parameters
    ----------
    model
        A fitted estimator or pipeline.
    rows
        A few rows of its features, as it was fitted on them.

    Raises
    ------
    MissingExtra
        When skl2onnx or onnxruntime is not installed.
    FormatError
        When the model cannot be converted, or every conversion answers otherwise than the model.

    >>> import pandas as pd
    >>> from sklearn.linear_model import LinearRegression
    >>> rows = pd.DataFrame({"a": [0.0, 1.0]})
    >>> len(to_onnx(LinearRegression().fit(rows, [1.0, 3.0]), rows)) > 100
    True
    """
    try:
        import onnxruntime  # noqa: F401
        import skl2onnx  # noqa: F401
    except ImportError as error:
        raise MissingExtra.of("skl2onnx and onnxruntime", "onnx") from error
    known = getattr(model, "feature_names_in_", None) is not None
    asked = rows if known else rows.to_numpy()
    expected = [np.asarray(model.predict(asked))]
    if hasattr(model, "predict_proba"):
        expected.append(np.asarray(model.predict_proba(asked)))
    reasons = []
    for inputs in _inputs(rows):
        try:
            graph, answers = _convert(model, inputs)
        except Exception as error:  # the converters and the runtime raise classes of their own, of many kinds
            reasons.append(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            continue
        if len(answers) >= len(expected) and all(map(_agree, expected, answers)):
            return graph
        reasons.append("the graph answers the example otherwise than the model")
    raise FormatError(
        f"cannot export this {type(model).__name__} as ONNX: {'; '.join(dict.fromkeys(reasons))}. "
        "skl2onnx.supported_converters() lists what can be converted"
    )


def _inputs(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield what a graph could be fed with, best first."""
    numeric = all(dtype.kind in "biuf" for dtype in rows.dtypes)
    for joined, width in itertools.product((True, False), (np.float64, np.float32)):
        if not joined:
            yield {str(name): _column(rows[name], width) for name in rows}
        elif numeric:
            yield {"X": rows.to_numpy(width)}


def _column(column: pd.Series[Any], width: Any) -> Any:
    return column.to_numpy(width if column.dtype.kind in "biuf" else object).reshape(-1, 1)


def _convert(model: Any, inputs: dict[str, Any]) -> tuple[bytes, list[Any]]:
    """Return the graph for inputs of these types, and its answers to them."""
    import onnxruntime
    import skl2onnx
    from skl2onnx.common import data_types

    kinds = {
        "O": data_types.StringTensorType,
        "d": data_types.DoubleTensorType,
        "f": data_types.FloatTensorType,
    }
    types = [(name, kinds[array.dtype.char]([None, array.shape[1]])) for name, array in inputs.items()]
    options = {"zipmap": False} if hasattr(model, "predict_proba") else None
    graph = skl2onnx.to_onnx(model, initial_types=types, options=options).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return graph, session.run(None, inputs)


def _agree(expected: Any, got: Any) -> bool:
    got = np.asarray(got)
    if got.size != expected.size:
        return False
    got = got.reshape(expected.shape)
    if expected.dtype.kind == "f":
        return bool(np.allclose(got, expected, rtol=RTOL, atol=ATOL, equal_nan=True))
    return bool((got == expected).all())
