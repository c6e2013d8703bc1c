"""The one door to serialization: object <-> bytes, no pickle, a protocol number in every artifact.

Our own values (profiles, states, schemas, policies) are attrs classes with a tag in a fixed table; they travel as
canonical JSON: UTF-8, sorted keys, no NaN literals, arrays as base64 of little-endian bytes with dtype and shape. The
table maps a tag to "module:attribute" and is resolved on read, so that this module imports no layer above it.

Models travel in a `Format` (`formats.models`). The one for scikit-learn reads skops files behind a fixed allow-list.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import hashlib
import importlib
import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeAlias, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from mlopskit.errors import FormatError, StateMismatch
from mlopskit.formats.base import Format as Format
from mlopskit.formats.boosters import Booster as Booster
from mlopskit.formats.boosters import LightGBMFormat as LightGBMFormat
from mlopskit.formats.boosters import XGBoostFormat as XGBoostFormat
from mlopskit.formats.models import BUILT_IN as BUILT_IN
from mlopskit.formats.models import PickleFormat as PickleFormat
from mlopskit.formats.models import SkopsFormat as SkopsFormat
from mlopskit.formats.models import dump_model as dump_model
from mlopskit.formats.models import load_model as load_model
from mlopskit.formats.models import round_trip as round_trip

PROTOCOL = 1
"""The number of the JSON protocol that this release writes; it reads every number up to this one."""

TAGS: dict[str, str] = {
    "AdaptiveWidth": "mlopskit.stats.estimation.adaptive:AdaptiveWidth",
    "AsymptoticSequence": "mlopskit.stats.intervals.sequences:AsymptoticSequence",
    "BettingSequence": "mlopskit.stats.intervals.sequences:BettingSequence",
    "BiasMonitor": "mlopskit.monitoring.bias:BiasMonitor",
    "BiasState": "mlopskit.monitoring.bias:BiasState",
    "Broken": "mlopskit.validation.findings:Broken",
    "Binning": "mlopskit.profiling.profiles:Binning",
    "Both": "mlopskit.retraining:Both",
    "Calibration": "mlopskit.stats.estimation.calibration:Calibration",
    "ColumnSchema": "mlopskit.schema:ColumnSchema",
    "Sample": "mlopskit.schema:Sample",
    "ColumnProfile": "mlopskit.profiling.columns:ColumnProfile",
    "Confusion": "mlopskit.stats.estimation.metrics:Confusion",
    "Decision": "mlopskit.records:Decision",
    "DensityRatio": "mlopskit.stats.estimation.shift:DensityRatio",
    "Divergence": "mlopskit.stats.divergences:Divergence",
    "DomainDetector": "mlopskit.monitoring.domain:DomainDetector",
    "DomainState": "mlopskit.monitoring.domain:DomainState",
    "EncodedColumn": "mlopskit.monitoring.domain:EncodedColumn",
    "EstimatorName": "mlopskit.monitoring.domain:EstimatorName",
    "DriftDetector": "mlopskit.monitoring.drift:DriftDetector",
    "DriftState": "mlopskit.monitoring.drift_state:DriftState",
    "Grown": "mlopskit.monitoring.rows_vary:Grown",
    "Pool": "mlopskit.monitoring.questions:Pool",
    "StatisticName": "mlopskit.monitoring.own_statistics:StatisticName",
    "Either": "mlopskit.retraining:Either",
    "EmpiricalBernstein": "mlopskit.stats.intervals.sequences:EmpiricalBernstein",
    "EpisodeEvent": "mlopskit.evidence:EpisodeEvent",
    "Episodes": "mlopskit.evidence:Episodes",
    "Evaluation": "mlopskit.records:Evaluation",
    "Every": "mlopskit.retraining:Every",
    "Evidence": "mlopskit.evidence:Evidence",
    "HeavyHitters": "mlopskit.stats.sketches:HeavyHitters",
    "Heterogeneity": "mlopskit.stats.estimation.realised:Heterogeneity",
    "HyperLogLog": "mlopskit.stats.sketches:HyperLogLog",
    "Interval": "mlopskit.stats.intervals.base:Interval",
    "Lengths": "mlopskit.stats.summaries:Lengths",
    "Lineage": "mlopskit.lineage:Lineage",
    "LevelBins": "mlopskit.profiling.bins:LevelBins",
    "MaxAge": "mlopskit.retraining:MaxAge",
    "McNemar": "mlopskit.stats.sequential.comparisons:McNemar",
    "Never": "mlopskit.retraining:Never",
    "NumericBins": "mlopskit.profiling.bins:NumericBins",
    "OnAlarm": "mlopskit.retraining:OnAlarm",
    "OpenEpisode": "mlopskit.retraining:OpenEpisode",
    "PairedCapital": "mlopskit.stats.sequential.comparisons:PairedCapital",
    "PerformanceMonitor": "mlopskit.monitoring.performance:PerformanceMonitor",
    "PerformanceState": "mlopskit.monitoring.performance:PerformanceState",
    "PolicyState": "mlopskit.retraining:PolicyState",
    "PoweredMean": "mlopskit.stats.estimation.labels:PoweredMean",
    "MeanBound": "mlopskit.stats.intervals.means:MeanBound",
    "Moments": "mlopskit.stats.summaries:Moments",
    "Readings": "mlopskit.monitoring.questions:Readings",
    "Reference": "mlopskit.monitoring.questions:Reference",
    "Profile": "mlopskit.profiling.profiles:Profile",
    "ProfileSet": "mlopskit.profiling.profiles:ProfileSet",
    "RankBets": "mlopskit.stats.sequential.ranks:RankBets",
    "Schema": "mlopskit.schema:Schema",
    "Score": "mlopskit.records:Score",
    "TwoRates": "mlopskit.stats.sequential.comparisons:TwoRates",
    "ValidationMonitor": "mlopskit.validation.monitor:ValidationMonitor",
    "ValidationState": "mlopskit.validation.monitor:ValidationState",
    "ValidatorState": "mlopskit.validation.validator:ValidatorState",
}
"""Every class that JSON may rebuild; nothing outside this table is ever constructed."""

T = TypeVar("T")
Array: TypeAlias = NDArray[Any]

MAX_BYTES = 1 << 30
"""What a binary file may hold at most once it is unpacked."""


def encode(value: Any, array: Callable[[Array], Any] | None = None) -> Any:
    """Return plain JSON data for a value made of our own classes, numpy arrays and built-in scalars.

    `array` says what stands for an array: by default its bytes as text.

    Raises
    ------
    FormatError
        For an object of a class that is not in `TAGS`.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return number if math.isfinite(number) else {"type": "float", "value": str(number)}
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.ndarray):
        return (array or _encode_array)(value)
    if isinstance(value, (list, tuple)):
        return [encode(v, array) for v in value]
    if isinstance(value, dict):
        if not all(isinstance(k, str) for k in value):
            raise FormatError(f"cannot write this dict: its keys must be text, got {list(value)}")
        fields = {k: encode(v, array) for k, v in value.items()}
        return {"type": "dict", "value": [[k, v] for k, v in fields.items()]} if "type" in fields else fields
    if isinstance(value, dt.datetime):
        return {"type": "datetime", "value": value.isoformat()}
    if isinstance(value, decimal.Decimal):
        return {"type": "decimal", "value": str(value)}
    if isinstance(value, dt.timedelta):
        return {"type": "timedelta", "days": value.days, "seconds": value.seconds, "microseconds": value.microseconds}
    tag = type(value).__name__
    if attrs.has(type(value)) and TAGS.get(tag) == f"{type(value).__module__}:{type(value).__qualname__}":
        fields = {f.alias: encode(getattr(value, f.name), array) for f in attrs.fields(type(value)) if f.init}
        return {"type": tag, **fields}
    raise FormatError(f"cannot write an object of {type(value).__module__}.{tag}: no format is known for it")


def decode(data: Any, arrays: Mapping[str, Array] | None = None) -> Any:
    """Rebuild what `encode` wrote; lists come back as tuples. `arrays` holds those that are named, not written out.

    Raises
    ------
    FormatError
        For an unknown tag, or fields that the tagged class does not accept.
    """
    if isinstance(data, list):
        return tuple(decode(v, arrays) for v in data)
    if not isinstance(data, dict):
        return data
    if "type" not in data:
        return {k: decode(v, arrays) for k, v in data.items()}
    tag = data["type"]
    try:
        if tag == "float":
            return float(data["value"])
        if tag == "array":
            return _decode_array(data) if arrays is None else arrays[data["name"]]
        if tag == "dict":
            return {str(k): decode(v, arrays) for k, v in data["value"]}
        if tag == "datetime":
            return dt.datetime.fromisoformat(data["value"])
        if tag == "decimal":
            return decimal.Decimal(data["value"])
        if tag == "timedelta":
            return dt.timedelta(days=data["days"], seconds=data["seconds"], microseconds=data["microseconds"])
        if tag in TAGS:
            module, _, name = TAGS[tag].partition(":")
            cls = getattr(importlib.import_module(module), name)
            return cls(**{k: decode(v, arrays) for k, v in data.items() if k != "type"})
    except (FormatError, StateMismatch):
        raise
    except (ArithmeticError, AttributeError, ImportError, LookupError, TypeError, ValueError) as error:
        raise FormatError(f"cannot rebuild a {tag!r}: {error}") from error
    raise FormatError(f"unknown type {tag!r}: this release reads {sorted(TAGS)}")


def _little(values: Array) -> Array:
    if values.dtype.kind not in "biuf":
        raise FormatError(f"cannot write an array of dtype {values.dtype}; expected numbers or booleans")
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)


def _encode_array(values: Array) -> dict[str, Any]:
    little = _little(values)
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return {"type": "array", "dtype": little.dtype.str, "shape": list(values.shape), "data": data}


def _decode_array(data: dict[str, Any]) -> Array:
    dtype = np.dtype(data["dtype"])
    if dtype.kind not in "biuf":
        raise FormatError(f"cannot read an array of dtype {data['dtype']!r}; expected numbers or booleans")
    raw = base64.b64decode(data["data"], validate=True)
    array = np.frombuffer(raw, dtype=dtype).reshape(data["shape"])
    return array.astype(dtype.newbyteorder("="), copy=True)


def canonical(data: Any) -> bytes:
    """Return the one byte string for plain JSON data: UTF-8, sorted keys, no spaces.

    >>> canonical({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    return json.dumps(data, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def digest(data: bytes) -> str:
    """Return the sha256 of these bytes in hex."""
    return hashlib.sha256(data).hexdigest()


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Write one of our own objects as JSON with its protocol number."""
    document = {"protocol": PROTOCOL, **encode(value)}
    if indent is None:
        return canonical(document).decode()
    return json.dumps(document, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=indent)


def from_json(text: str | bytes, expected: type[T]) -> T:
    """Read what `to_json` wrote.

    Raises
    ------
    FormatError
        When the text is no JSON, its protocol is newer than this release reads, or it holds another type.
    """
    return _read(text, expected, None)


def _read(text: str | bytes, expected: type[T], arrays: Mapping[str, Array] | None) -> T:
    try:
        document = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise FormatError(f"not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("protocol"), int):
        raise FormatError("no protocol number: this JSON was not written by mlopskit")
    protocol = document.pop("protocol")
    if protocol > PROTOCOL:
        raise FormatError(f"protocol={protocol} is newer than this release reads (up to {PROTOCOL}): upgrade mlopskit")
    value = decode(document, arrays)
    if not isinstance(value, expected):
        raise FormatError(f"got a {document.get('type')!r}; expected a {expected.__name__!r}")
    return value


def to_bytes(value: Any) -> bytes:
    """Write one of our own objects as a compressed `.npz` of its arrays, beside its JSON without them."""
    arrays: dict[str, Array] = {}

    def named(values: Array) -> dict[str, Any]:
        name = f"a{len(arrays)}"
        arrays[name] = _little(values)
        return {"type": "array", "name": name}

    text = canonical({"protocol": PROTOCOL, **encode(value, named)})
    out = io.BytesIO()
    members: dict[str, Any] = {"json": np.frombuffer(text, dtype=np.uint8), **arrays}
    np.savez_compressed(out, **members)
    return out.getvalue()


def from_bytes(data: bytes, expected: type[T]) -> T:
    """Read what `to_bytes` wrote; nothing in it is executed, and nothing is unpacked beyond a gigabyte.

    Raises
    ------
    FormatError
        When the bytes are no such archive, are too large, or hold another type or a newer protocol.
    """
    try:
        arrays = _read_members(data)
        text = arrays.pop("json").tobytes()
    except FormatError:
        raise
    except Exception as error:  # zipfile, its unpackers and numpy's reader of headers raise a dozen kinds
        raise FormatError(f"not an archive that mlopskit wrote: {error}") from error
    return _read(text, expected, arrays)


def _read_members(data: bytes) -> dict[str, Array]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise FormatError(f"the archive unpacks to {size} bytes; expected at most {MAX_BYTES}")
        return {name.removesuffix(".npy"): _read_npy(archive.read(name)) for name in archive.namelist()}


def _read_npy(raw: bytes) -> Array:
    """Return a numpy array without believing its header: its shape has to fit the bytes that are there."""
    stream = io.BytesIO(raw)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise FormatError("an array is of another version than this release writes")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in "biuf" or fortran:
        raise FormatError(f"cannot read an array of dtype {dtype}; expected numbers or booleans")
    values = np.frombuffer(raw, dtype=dtype, offset=stream.tell()).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


class Stored:
    """What goes through JSON and comes back as it was: a base without fields for classes in `TAGS`."""

    __slots__ = ()

    def to_json(self) -> str:
        """Return the object as JSON; a monitor with its configuration and state.

        Raises
        ------
        FormatError
            When a part is of a class that mlopskit does not know.
        """
        return to_json(self)

    def to_bytes(self) -> bytes:
        """Return the object as a compressed archive of arrays, several times smaller than its JSON.

        Raises
        ------
        FormatError
            As for `to_json`.
        """
        return to_bytes(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild what `to_bytes` wrote; errors are those of `from_json`."""
        return from_bytes(data, cls)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Rebuild what `to_json` wrote; a monitor goes on exactly where it stood.

        Raises
        ------
        FormatError
            When the text is not what `to_json` wrote, or a newer release wrote it.
        StateMismatch
            When the configuration was edited: a dial may not be turned after seeing data.
        """
        return from_json(text, cls)


def config_hash(config: dict[str, Any]) -> str:
    """Return the sha256 of a configuration, by which a state knows the dials it was made under."""
    return digest(canonical(encode(config)))
