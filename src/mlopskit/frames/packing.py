"""Small frames as plain values, from which an equal pandas frame can be made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from mlopskit.frames.reading import Frame
from mlopskit.frames.tables import to_pandas


def pack(data: Frame) -> list[dict[str, Any]]:
    """Return a small frame as lists, numbers, text and numpy arrays, from which `unpack` makes an equal pandas frame.

    Unlike a `Column`, it keeps what estimators look at: dtypes, the order of levels, None beside NaN.

    >>> pack({"a": [1, 2]})
    [{'name': 'a', 'dtype': 'int64', 'values': array([1, 2])}]
    """
    eager = to_pandas(data)
    return [{"name": str(name), **_pack(eager.iloc[:, i])} for i, name in enumerate(eager.columns)]


def _pack(series: pd.Series[Any]) -> dict[str, Any]:
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        codes = np.asarray(series.cat.codes, dtype=np.int64)
        return {
            "dtype": "category",
            "values": codes,
            "levels": _pack(pd.Series(dtype.categories)),
            "ordered": dtype.ordered,
        }
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return {"dtype": str(dtype), "values": series.to_numpy()}
    if isinstance(dtype, pd.DatetimeTZDtype):
        return {**_pack(series.dt.tz_convert("UTC").dt.tz_localize(None)), "zone": str(dtype.tz)}
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        return {"dtype": dtype.str[1:], "values": series.to_numpy().view(np.int64)}
    cells = series.astype(object).tolist()
    return {"dtype": str(dtype), "values": [None if v is pd.NA or v is pd.NaT else v for v in cells]}


def unpack(packed: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return the pandas frame that `pack` took apart.

    >>> unpack(pack({"a": [1, 2]}))["a"].tolist()
    [1, 2]
    """
    return pd.DataFrame({column["name"]: _unpack(column) for column in packed})


def _unpack(packed: dict[str, Any]) -> pd.Series[Any]:
    dtype, values = packed["dtype"], packed["values"]
    if dtype == "category":
        levels = pd.Index(_unpack(packed["levels"]))
        return pd.Series(pd.Categorical.from_codes(values, categories=levels, ordered=packed["ordered"]))
    if dtype[0] in "mM" and dtype[1:2].isdigit():
        stamps = pd.Series(np.asarray(values, dtype=np.int64).view(dtype))
        return stamps if packed.get("zone") is None else stamps.dt.tz_localize("UTC").dt.tz_convert(packed["zone"])
    if isinstance(values, np.ndarray):
        return pd.Series(values)
    return pd.Series(list(values), dtype=object).astype(dtype)
