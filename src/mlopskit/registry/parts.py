"""A version's parts as bytes and back: the model, its example with its answers, what a candidate brought."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from mlopskit import formats, frames, lineage
from mlopskit.errors import ConfigurationError, FormatError, IntegrityError
from mlopskit.evidence import Report
from mlopskit.formats import Format
from mlopskit.profiling import Profile
from mlopskit.records import Candidate, Evaluation, ModelVersion, Predictions, predict
from mlopskit.registry.log import parse
from mlopskit.registry.names import numbers
from mlopskit.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

_EXAMPLE_ROWS = 100
_NEEDED = {"model", "example"}
_ROLES = {*_NEEDED, "schema", "profile", "reference", "evaluation", "gate_report"}


@frozen(eq=False)
class LoadedModel:
    """A version ready to answer, with what was registered beside it.

    Parameters
    ----------
    model
        The fitted estimator.
    version
        Which version it is.
    features
        Names of the columns it reads, in order.
    example
        A few rows of its features.
    schema, profile, reference, evaluation
        What a `Candidate` brought; None (no profiles) for a model that was registered by itself.
    gate_report
        What the gate found, as plain values, where a report was registered with it.
    target, time
        Names of the label and time columns, or None.
    training_data
        Returns the rows it was trained on, where the registry has them: see `ModelRegistry.training_data`.
    """

    model: Any
    version: ModelVersion
    features: tuple[str, ...]
    example: frames.Frame
    schema: Schema | None = None
    profile: Profile | None = None
    reference: tuple[Profile, ...] = ()
    evaluation: Evaluation | None = None
    gate_report: dict[str, Any] | None = None
    target: str | None = None
    time: str | None = None
    training_data: Callable[[], pd.DataFrame] | None = None

    def predict(self, frame: frames.Frame) -> Predictions:
        """Answer for a frame that holds at least the features; the answer names the version.

        Raises
        ------
        DataError
            When a feature is missing or stands twice, or the frame has no rows.
        """
        return evolve(predict(self.model, frame, self.features), version=self.version.spec)

    def to_onnx(self) -> bytes:
        """Return the model as an ONNX graph that answers the example as the model does: see `formats.onnx.to_onnx`.

        Raises
        ------
        MissingExtra
            When the extra `onnx` is not installed.
        FormatError
            When the model cannot be converted, or the graph answers otherwise.
        """
        from mlopskit.formats.onnx import to_onnx

        return to_onnx(self.model, frames.to_pandas(self.example))


def take_apart(model: Any, example: Any, codecs: Sequence[Format]) -> tuple[str, dict[str, bytes], dict[str, Any], Any]:
    """Return the format's name, the stored parts by role, what the manifest notes of them, and the model reloaded."""
    candidate = model if isinstance(model, Candidate) else None
    if candidate is not None:
        example = candidate.example if example is None else example
    if example is None:
        raise ConfigurationError("example is missing: give a few rows of the model's features (example=X.head())")
    fitted = candidate.model if candidate else model
    if isinstance(example, np.ndarray):
        example = {str(i): column for i, column in enumerate(np.atleast_2d(example).T)}
    known = getattr(fitted, "feature_names_in_", None)
    features = candidate.features if candidate else tuple(frames.names(example) if known is None else map(str, known))
    rows = np.arange(min(frames.n_rows(example), _EXAMPLE_ROWS))
    example = frames.take(frames.select(example, features), rows)
    format, data, reloaded = formats.round_trip(fitted, codecs)
    parts = {"model": data, "example": _dump_example(example, predict(fitted, example, features))}
    notes: dict[str, Any] = {"features": features, "target": None, "time": None, "metrics": {}}
    if candidate is None:
        return format, parts, {**notes, "lineage": lineage.capture(model=fitted)}, reloaded
    parts |= {role: write(getattr(candidate, role)) for role in ("schema", "profile", "reference", "evaluation")}
    notes |= {"target": candidate.target, "time": candidate.time, "metrics": numbers(candidate.evaluation.metrics)}
    return format, parts, {**notes, "lineage": candidate.lineage}, reloaded


def put_together(
    version: ModelVersion, format: str, data: dict[str, bytes], codecs: Sequence[Format], model: Any = None
) -> LoadedModel:
    """Rebuild a version from its parts by role, and have it predict its example.

    `model` is what the model's very bytes were already loaded as, where they were.
    """
    others = dict(data)
    report = others.pop("gate_report", None)
    stored = others.pop("model")
    if model is None:
        model = formats.load_model(format, stored, codecs=codecs)
    example, expected = _load_example(others.pop("example"))
    rebuilt = {role: read(part, f"{role} of {version.spec}") for role, part in others.items()}
    if report is not None:
        rebuilt["gate_report"] = read_report(report, f"gate report of {version.spec}")
    loaded = LoadedModel(
        model=model,
        version=version,
        features=tuple(version.features),
        example=example,
        target=version.target,
        time=version.time,
        **rebuilt,
    )
    _compare(expected, loaded)
    return loaded


def version_of(name: str, number: int, digest: str, at: Any, manifest: dict[str, Any]) -> ModelVersion:
    """Return the version that a manifest describes.

    Raises
    ------
    FormatError
        When it is no manifest of a version.
    """
    fields = {key: value for key, value in manifest.items() if key != "format"}
    try:
        version = ModelVersion(name=name, number=number, digest=digest, created_at=at, **fields)
        roles, files, features = set(version.blobs), set(version.files), list(version.features)
    except TypeError as error:
        raise FormatError(f"the manifest of {name}:{number} is none: {error}") from error
    texts = [*files, *features, *version.parents, *(v for v in (version.target, version.time) if v is not None)]
    if not _NEEDED <= roles <= _ROLES or not all(isinstance(v, str) for v in (*texts, manifest.get("format"))):
        raise FormatError(f"the manifest of {name}:{number} is none: it has the parts {sorted(map(str, roles))}")
    return version


def contents(name: str, source: bytes | str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file that goes beside a model."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    try:
        return Path(source).read_bytes()
    except (OSError, TypeError) as error:
        raise ConfigurationError(f"files[{name!r}]: cannot read {source!r:.120}: {error}") from error


def changed_packages(then: lineage.Lineage) -> str:
    """Return, in words, which packages differ from a lineage's; mlopskit itself does not count."""
    noted = {name: version for name, version in then.packages.items() if name != "mlopskit"}
    here = lineage.versions(noted)
    changed = [f"{name} {old}, here {here.get(name, 'absent')}" for name, old in noted.items() if here.get(name) != old]
    return "; ".join(changed)


def write(value: Any) -> bytes:
    """Return one of our own values as the bytes of a part."""
    return formats.canonical({"protocol": formats.PROTOCOL, "value": formats.encode(value)})


def write_report(report: Report) -> bytes:
    """Return a report, as plain values, as the bytes of a part."""
    return formats.canonical({"protocol": formats.PROTOCOL, "value": report.to_dict()})


def read_report(data: bytes, what: str) -> dict[str, Any]:
    """Return the plain values of a report."""
    value = _value(data, what)
    if not isinstance(value, dict):
        raise FormatError(f"the {what} is no report")
    return value


def read(data: bytes, what: str) -> Any:
    """Rebuild what `write` wrote."""
    return formats.decode(_value(data, what))


def _value(data: bytes, what: str) -> Any:
    document = parse(data)
    if document is None or document["protocol"] > formats.PROTOCOL:
        raise FormatError(f"the {what} was not written by this release or an older one: upgrade mlopskit")
    return document.get("value")


def _dump_example(example: frames.Frame, answer: Predictions) -> bytes:
    values = answer.values if answer.values.dtype.kind in "biuf" else answer.values.tolist()
    return write({"frame": frames.pack(example), "values": values, "scores": answer.scores})


def _load_example(data: bytes) -> tuple[frames.Frame, Predictions]:
    stored = read(data, "example")
    return frames.unpack(stored["frame"]), Predictions(np.asarray(stored["values"]), stored["scores"])


def _compare(expected: Predictions, loaded: LoadedModel) -> None:
    """Refuse a model that does not predict its example as it did when it was registered."""
    got = loaded.predict(loaded.example)
    if not _agree(expected.values, got.values) or not _agree(expected.scores, got.scores):
        changed = changed_packages(loaded.version.lineage)
        raise IntegrityError(
            f"{loaded.version.spec} predicts its example otherwise than when it was registered"
            + (f"; packages differ: {changed}" if changed else "")
        )


def _agree(expected: Any, got: Any) -> bool:
    if expected is None or got is None:
        return expected is got
    if expected.shape != got.shape:
        return False
    if expected.dtype.kind == "f" and got.dtype.kind == "f":
        return bool(np.allclose(got, expected, rtol=1e-9, atol=1e-12, equal_nan=True))
    return bool((expected == got).all())
