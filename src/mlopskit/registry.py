"""Versions, aliases and their history: a log that only grows, over blobs named by their content.

Each model has a log of events: a version was registered, an alias was promoted or rolled back. An event is one
immutable file, created exclusively under the next number; whoever loses the race for a number reads what the winner
wrote, checks its own precondition again and takes the next. The event is the commit point: the blobs it names (the
model file, its example, its profiles) are durable and verified before. Every event carries the sha256 of the one
before, so that a changed history shows. What is true now is a fold over the events, and events never change, so
nothing cached goes stale.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import threading
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from attrs import define, evolve, field, frozen
from numpy.typing import NDArray

from mlopskit import formats, frames, lineage
from mlopskit.errors import (
    AliasMoved,
    ConfigurationError,
    EnvironmentMismatch,
    FormatError,
    IntegrityError,
    MlopskitError,
    NotFound,
)
from mlopskit.evidence import Report
from mlopskit.formats import Format
from mlopskit.profiling import Profile
from mlopskit.records import Candidate, Evaluation, ModelVersion, Predictions, predict
from mlopskit.schema import Schema
from mlopskit.storage import Store, open_store

if TYPE_CHECKING:
    import pandas as pd

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_SPEC = re.compile(r"([^:@]+)(?:@sha256:([0-9a-f]{8,64})|@([^:@]+)(?:@(.+))?|:([0-9]{1,9}))")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_EVENT = re.compile(r"log/([^/]+)/([0-9]{8})\.json")
_BLOB = re.compile(r"blobs/([0-9a-f]{64})")
_EXAMPLE_ROWS = 100
_ANY: Final = object()


@frozen
class Event:
    """One entry of a model's history.

    Parameters
    ----------
    at
        When (UTC), by the `now` of whoever did it.
    kind
        What happened.
    number
        The version that was registered, annotated or retired, or that the alias points to since.
    alias, previous
        The alias that moved, and the number of the version it pointed to before (None where it was new).
    reason
        Why, in words.
    digest
        Digest of the version in question: equal content, equal digest.
    tags
        What an annotation set.
    """

    at: dt.datetime
    kind: Literal["registered", "promoted", "rolled back", "annotated", "retired"]
    number: int
    alias: str | None = None
    previous: int | None = None
    reason: str = ""
    digest: str = ""
    tags: Mapping[str, str] = field(factory=dict)


@frozen
class HistoryReport(Report):
    """Who moved what, when and why: the events of one model in order.

    Parameters
    ----------
    name
        The model.
    events
        What happened, first to last.
    """

    name: str
    events: tuple[Event, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each event, with the columns of `Event`."""
        import attrs
        import pandas as pd

        names = [f.name for f in attrs.fields(Event)]
        frame = pd.DataFrame([attrs.asdict(event) for event in self.events], columns=names)
        return frame.astype({"previous": "Int64"})

    def __str__(self) -> str:
        return "\n".join(f"{event.at:%Y-%m-%d %H:%M} {self._line(event)}" for event in self.events)

    def _bars(self) -> dict[str, Any]:
        moves = [event for event in self.events if event.alias is not None]
        return {
            "title": f"Aliases of {self.name}",
            "labels": [f"{event.at:%Y-%m-%d} {event.alias}" for event in moves],
            "values": [event.number for event in moves],
            "xlabel": "version",
            "limit": None,
        }

    def _line(self, event: Event) -> str:
        line = f"{event.kind} {self.name}:{event.number}"
        if event.kind == "registered":
            line += f" {event.digest[:12]}"
        if event.alias is not None:
            line += f" to {event.alias}" if event.kind == "promoted" else f" as {event.alias}"
        if event.previous is not None:
            line += f", from {self.name}:{event.previous}"
        if event.tags:
            line += f" {', '.join(f'{name}={value}' for name, value in event.tags.items())}"
        return f"{line} ({event.reason})" if event.reason else line


@frozen
class Finding:
    """One thing that `ModelRegistry.verify` found.

    Parameters
    ----------
    key
        Where: a file of the store.
    message
        What is wrong with it, in words.
    harmless
        Whether the registry works regardless: a leftover of an interrupted write, or a file that is not its own.
    """

    key: str
    message: str
    harmless: bool = False


@frozen
class VerifyReport(Report):
    """What a look at every event and every blob found.

    Parameters
    ----------
    n_models, n_events, n_blobs
        What was looked at.
    findings
        What was found, errors first.
    """

    n_models: int
    n_events: int
    n_blobs: int
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every version can be trusted: no finding but harmless ones."""
        return all(finding.harmless for finding in self.findings)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each finding: key, message, harmless."""
        import attrs
        import pandas as pd

        names = [f.name for f in attrs.fields(Finding)]
        return pd.DataFrame([attrs.asdict(finding) for finding in self.findings], columns=names)

    def __str__(self) -> str:
        errors = sum(not finding.harmless for finding in self.findings)
        verdict = "all is well" if self.passed else f"{errors} thing(s) wrong"
        lines = [f"{self.n_models} models, {self.n_events} events, {self.n_blobs} blobs: {verdict}"]
        return "\n".join(lines + [f"- {finding.key}: {finding.message}" for finding in self.findings])


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
    target, time
        Names of the label and time columns, or None.
    """

    model: Any
    version: ModelVersion
    features: tuple[str, ...]
    example: frames.Frame
    schema: Schema | None = None
    profile: Profile | None = None
    reference: tuple[Profile, ...] = ()
    evaluation: Evaluation | None = None
    target: str | None = None
    time: str | None = None

    def predict(self, frame: frames.Frame) -> Predictions:
        """Answer for a frame that holds at least the features; the answer names the version.

        Raises
        ------
        DataError
            When a feature is missing or stands twice, or the frame has no rows.
        """
        return evolve(predict(self.model, frame, self.features), version=self.version.spec)


class _Done(Exception):
    """Another writer did it meanwhile."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Log:
    """The events of one model, folded into what is true now; it grows and never changes."""

    def __init__(self, store: Store, name: str) -> None:
        self.head = 0
        self.last = ""
        self.events: list[Event] = []
        self.versions: list[ModelVersion] = []
        self.manifests: list[dict[str, Any]] = []
        self.aliases: dict[str, tuple[int, ...]] = {}
        self._jobs: dict[str, int] = {}
        self._store = store
        self._name = name
        self._mutex = threading.Lock()

    def key(self, seq: int) -> str:
        return f"log/{self._name}/{seq:08d}.json"

    def refresh(self) -> int:
        """Read what is new; return the number of the last event. One probe when nothing is."""
        with self._mutex:
            while True:
                try:
                    data = self._store.get(self.key(self.head + 1))
                except NotFound:
                    return self.head
                self._read(self.head + 1, data)
                self.head += 1

    def append(self, at: dt.datetime, build: Callable[[_Log], dict[str, Any]]) -> None:
        """Commit the event that `build` makes of the newest state; `build` raises when it may not happen."""
        while True:
            self.refresh()
            with self._mutex:
                seq, previous = self.head + 1, self.last
            event = {**build(self), "at": at, "model": self._name, "previous": previous, "seq": seq}
            event["writer"] = uuid.uuid4().hex  # no two writers write the same bytes: whoever finds its own has won
            document = {"protocol": formats.PROTOCOL, **formats.encode(event)}
            data = formats.canonical({**document, "checksum": formats.digest(formats.canonical(document))})
            if self._store.put_new(self.key(seq), data):
                self.refresh()
                return

    def _read(self, seq: int, data: bytes) -> None:
        document = _parse(data)
        if document is None or document.get("model") != self._name or document.get("seq") != seq:
            raise IntegrityError(
                f"{self.key(seq)} stands in an event's place and is none: no write of ours leaves such a file. "
                "If it was damaged, restore it from a backup; if it is foreign, move it away"
            )
        if document["protocol"] > formats.PROTOCOL:
            raise FormatError(f"{self.key(seq)} was written by a newer release: upgrade mlopskit")
        checksum = document.pop("checksum", None)
        if checksum != formats.digest(formats.canonical(document)):
            raise IntegrityError(f"{self.key(seq)} was changed after it was written: its checksum does not match")
        if document.get("previous") != self.last:
            raise IntegrityError(f"{self.key(seq)} does not follow the event before it: that one was changed or lost")
        self._fold(formats.decode(document), document.get("manifest"))
        self.last = formats.digest(data)

    def _fold(self, event: dict[str, Any], manifest: Any) -> None:
        kind, number = event["kind"], event["number"]
        if kind == "registered":
            self.versions.append(_version(self._name, number, event["digest"], event["at"], event["manifest"]))
            self.manifests.append(manifest)
            self.events.append(Event(event["at"], kind, number, digest=event["digest"]))
            if event.get("job") is not None:
                self._jobs.setdefault(event["job"], number)
            return
        digest = self.versions[number - 1].digest
        if kind in ("annotated", "retired"):
            self._mark(event, kind, number, digest)
            return
        alias = str(event["alias"])
        trail = self.aliases.get(alias, ())
        previous = trail[-1] if trail else None
        if kind == "promoted":
            self.aliases[alias] = trail if previous == number else (*trail, number)
        else:
            self.aliases[alias] = trail[: -event.get("steps", 1)]
        self.events.append(Event(event["at"], kind, number, alias, previous, event["reason"], digest))

    def _mark(self, event: dict[str, Any], kind: Literal["annotated", "retired"], number: int, digest: str) -> None:
        version, tags = self.versions[number - 1], dict(event.get("tags", {}))
        retired = event["reason"] if kind == "retired" else version.retired
        self.versions[number - 1] = evolve(version, tags={**version.tags, **tags}, retired=retired)
        self.events.append(Event(event["at"], kind, number, reason=event["reason"], digest=digest, tags=tags))

    def registered_by(self, job: str) -> int | None:
        """Return the number of the version that a job registered, or None."""
        return self._jobs.get(job)

    def at(self, alias: str, moment: dt.datetime) -> int | None:
        """Return the number of the version that an alias pointed to at a moment, or None."""
        moves = [event.number for event in self.events if event.alias == alias and event.at <= moment]
        return moves[-1] if moves else None


def _parse(data: bytes) -> dict[str, Any] | None:
    """Return an event's document, or None where the bytes are none."""
    try:
        document = json.loads(data)
    except (RecursionError, ValueError):
        return None
    if not isinstance(document, dict) or type(document.get("protocol")) is not int:
        return None
    return document


def _version(name: str, number: int, digest: str, at: dt.datetime, manifest: dict[str, Any]) -> ModelVersion:
    fields = {key: value for key, value in manifest.items() if key != "format"}
    return ModelVersion(name=name, number=number, digest=digest, created_at=at, **fields)


@define(eq=False)
class ModelRegistry:
    """Where versions live: a directory or a bucket that any number of processes share, or memory.

    Parameters
    ----------
    store
        A directory's path (created at the first registration), "s3://bucket/prefix" (the extra `s3`), "memory://", or a
        `Store`.
    formats
        Model formats you trust beside the safe one, for writing and for loading. Pickle is one of them
        (`formats.PickleFormat`): loading a pickle runs whatever it says.

    Raises
    ------
    StorageError
        When the path is a file.
    ConfigurationError
        For a URL that no store of this release speaks, or two formats of one name.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> model = DummyClassifier(strategy="prior").fit(np.zeros((4, 1)), [0, 0, 0, 1])
    >>> registry = ModelRegistry("memory://")
    >>> version = registry.register("rain", model, example={"cloud": np.zeros(2)})
    >>> version.spec
    'rain:1'
    >>> _ = registry.promote(version, alias="champion", reason="first model")
    >>> registry.load("rain@champion").predict({"cloud": [0.5]}).version
    'rain:1'
    """

    store: Store = field(converter=open_store)
    formats: tuple[Format, ...] = field(default=(), converter=tuple, kw_only=True)
    _logs: dict[str, _Log] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        names = ["skops", *(codec.name for codec in self.formats)]
        if len(set(names)) != len(names):
            raise ConfigurationError(f"formats={names}: each format needs a name of its own ('skops' is built in)")

    # -- writing

    def register(
        self,
        name: str,
        model: Any,
        *,
        example: frames.Frame | NDArray[Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        files: Mapping[str, bytes | str | os.PathLike[str]] | None = None,
        idempotency_key: str | None = None,
        now: dt.datetime | None = None,
    ) -> ModelVersion:
        """Store a model as the next version of `name`.

        When this returns, the version is durable, and was read back, loaded, and predicted its example as before.

        Parameters
        ----------
        name
            Lower case letters, digits, dot, dash and underscore; at most 100 characters.
        model
            A `Candidate`, or any fitted model that a format can write.
        example
            A few rows of the model's features (the first 100 are kept), as a frame, or as an array for a model that
            was fitted on one: the predictions on them are stored and compared at every load. A candidate brings its
            own.
        metrics
            Numbers to note; a candidate's evaluation is noted anyway.
        params, tags
            Plain values and texts to note.
        files
            More to keep beside the model, by name (letters, digits, dot, dash and underscore): bytes, or the path of a
            file, which is read whole. `file` returns them.
        idempotency_key
            Name of the job that registers, such as "nightly-2026-05-03": where a version was registered under it, that
            version is returned, and nothing is written. A job that was killed may simply run again.
        now
            When it is registered; by default the wall clock.

        Raises
        ------
        ConfigurationError
            When the name, the metrics, the tags, the files or the key are not as described, or the example is missing.
        DataError
            When the example has no rows or lacks a feature, or the model is not fitted or cannot predict for it.
        FormatError
            When no format can hold the model, or the example does not survive storing.
        StorageError
            When the store cannot be written. Nothing is registered then.
        """
        log = self._log(name)
        log.refresh()
        if idempotency_key is not None and (done := log.registered_by(_check_job(idempotency_key))):
            return log.versions[done - 1]
        extra = {_check_file(file): _contents(file, source) for file, source in (files or {}).items()}
        format, parts, notes = self._parts(model, example)
        if extra:
            notes["files"] = {file: formats.digest(data) for file, data in extra.items()}
        manifest = formats.encode(
            {
                **notes,
                "format": format,
                "metrics": {**notes["metrics"], **_numbers(metrics or {})},
                "params": dict(params or {}),
                "tags": _texts(tags or {}),
                "blobs": {role: formats.digest(data) for role, data in parts.items()},
            }
        )
        for data in (*parts.values(), *extra.values()):
            self.store.put_new(f"blobs/{formats.digest(data)}", data)
        at, digest = frames.utc(now), formats.digest(formats.canonical(manifest))
        self._open(_version(name, 0, digest, at, formats.decode(manifest)), manifest)
        number = 0

        def build(log: _Log) -> dict[str, Any]:
            nonlocal number
            if idempotency_key is not None and (done := log.registered_by(idempotency_key)):
                raise _Done(done)
            number = len(log.versions) + 1
            event = {"kind": "registered", "number": number, "digest": digest, "manifest": formats.decode(manifest)}
            return event if idempotency_key is None else {**event, "job": idempotency_key}

        try:
            log.append(at, build)
        except _Done as done:
            number = done.number
        return log.versions[number - 1]

    def promote(
        self,
        version: ModelVersion | str,
        *,
        alias: str,
        reason: str = "",
        expect: Any = _ANY,
        now: dt.datetime | None = None,
    ) -> ModelVersion:
        """Let an alias point to a version, atomically, and note why.

        Parameters
        ----------
        version
            The version, or "name:number".
        alias
            Such as "champion"; made of the same characters as a model's name.
        reason
            Why, in words.
        expect
            What the alias must point to at the moment of the change: a version, "name:number", a number, or None for
            "nothing yet". By default anything.
        now
            When; by default the wall clock.

        Raises
        ------
        AliasMoved
            When the alias does not point to `expect`.
        ConfigurationError
            When the version is retired.
        NotFound
            When there is no such version.
        """
        chosen = self.get(version)
        _check_name(alias, "alias")
        wanted = expect if expect is _ANY or expect is None else self._number(expect, chosen.name)

        def build(log: _Log) -> dict[str, Any]:
            trail = log.aliases.get(alias, ())
            current = trail[-1] if trail else None
            if wanted is not _ANY and wanted != current:
                raise AliasMoved(
                    f"{chosen.name}@{alias} points to {_spec(chosen.name, current)}, "
                    f"not to {_spec(chosen.name, wanted)}: somebody moved it; see history({chosen.name!r})"
                )
            retired = log.versions[chosen.number - 1].retired
            if retired is not None:
                raise ConfigurationError(f"{chosen.spec} is retired ({retired}): register it again to use it again")
            return {"kind": "promoted", "number": chosen.number, "alias": alias, "reason": reason}

        self._log(chosen.name).append(frames.utc(now), build)
        return chosen

    def rollback(
        self, name: str, *, alias: str, reason: str = "", steps: int = 1, now: dt.datetime | None = None
    ) -> ModelVersion:
        """Let an alias point to what it pointed to before, and return that version; again goes back further.

        Parameters
        ----------
        name, alias, reason, now
            As of `promote`.
        steps
            How many promotions to go back, at least 1; versions that are retired since are not gone back to.

        Raises
        ------
        NotFound
            When the model or the alias does not exist, or the alias has pointed to one version only.
        AliasMoved
            When somebody moved the alias during this call.
        """
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ConfigurationError(f"steps={steps!r}: expected a whole number, at least 1")
        log = self._known(name)
        start = log.aliases.get(alias) or self._no_alias(log, name, alias)

        def build(log: _Log) -> dict[str, Any]:
            if log.aliases[alias] != start:
                raise AliasMoved(f"{name}@{alias} was moved while it was rolled back; see history({name!r})")
            if len(start) <= steps:
                been = ", ".join(_spec(name, number) for number in start)
                by = f" by {steps} steps" if steps > 1 else ""
                raise NotFound(f"{name}@{alias} has pointed to {been} only: there is nothing to go back to{by}")
            target = log.versions[start[-1 - steps] - 1]
            if target.retired is not None:
                raise ConfigurationError(f"{target.spec} is retired ({target.retired}): promote another version")
            return {"kind": "rolled back", "number": target.number, "alias": alias, "reason": reason, "steps": steps}

        log.append(frames.utc(now), build)
        return log.versions[start[-1 - steps] - 1]

    def annotate(
        self,
        version: ModelVersion | str,
        reason: str = "",
        *,
        tags: Mapping[str, str] | None = None,
        now: dt.datetime | None = None,
    ) -> ModelVersion:
        """Add a note, or set tags, of a version that is there; its content and digest stay as they are.

        Raises
        ------
        ConfigurationError
            When there is neither a note nor a tag, or the tags are no texts.
        NotFound
            When there is no such version.
        """
        if not reason and not tags:
            raise ConfigurationError("there is nothing to note: give a reason or tags")
        chosen, kept = self.get(version), _texts(tags or {})
        event = {"kind": "annotated", "number": chosen.number, "reason": reason, "tags": kept}
        log = self._log(chosen.name)
        log.append(frames.utc(now), lambda _log: event)
        return log.versions[chosen.number - 1]

    def retire(self, version: ModelVersion | str, *, reason: str, now: dt.datetime | None = None) -> ModelVersion:
        """Take a version out of use for good: no alias may point to it any more; its content and history stay.

        Raises
        ------
        ConfigurationError
            When an alias points to it, or no reason is given.
        NotFound
            When there is no such version.
        """
        if not reason:
            raise ConfigurationError("reason='': say why the version is retired")
        chosen = self.get(version)

        def build(log: _Log) -> dict[str, Any]:
            held = sorted(alias for alias, trail in log.aliases.items() if trail and trail[-1] == chosen.number)
            if held:
                raise ConfigurationError(f"{chosen.spec} is {held}: promote another version before this one is retired")
            return {"kind": "retired", "number": chosen.number, "reason": reason, "tags": {}}

        log = self._log(chosen.name)
        log.append(frames.utc(now), build)
        return log.versions[chosen.number - 1]

    # -- reading

    def get(self, spec: ModelVersion | str) -> ModelVersion:
        """Return a version by its number, an alias, its digest, or what an alias pointed to at a time.

        Parameters
        ----------
        spec
            "name:3"; "name@champion"; "name@sha256:..." (eight digits or more of the digest);
            "name@champion@2026-05-03" (at the end of that day in UTC; "2026-05-03T12:00" is the moment); or a version.

        Raises
        ------
        NotFound
            When there is none; the message lists what there is.
        ConfigurationError
            When the text is none of these, or a digest's beginning fits versions of different content.
        """
        if isinstance(spec, ModelVersion):
            spec = spec.spec
        match = _SPEC.fullmatch(spec)
        if match is None:
            raise ConfigurationError(
                f"got {spec!r}; expected 'name@alias' or 'name:number', 'name@sha256:digest' or 'name@alias@2026-05-03'"
            )
        name, digest, alias, moment, number = match.groups()
        log = self._known(name)
        if digest is not None:
            return _with_digest(log, name, digest)
        if moment is not None:
            then = log.at(alias, _moment(moment))
            if then is None:
                raise NotFound(f"{name}@{alias} pointed to nothing at {moment}; see history({name!r})")
            return log.versions[then - 1]
        if number is None:
            trail = log.aliases.get(alias) or self._no_alias(log, name, alias)
            return log.versions[trail[-1] - 1]
        if not 1 <= int(number) <= len(log.versions):
            raise NotFound(f"no version {number} of {name!r}: it has 1 to {len(log.versions)}")
        return log.versions[int(number) - 1]

    def load(self, spec: ModelVersion | str) -> LoadedModel:
        """Return the version at "name@alias" or "name:number", ready to predict.

        Every stored part is compared with its digest, the model file is audited, and the model's predictions on its
        example are compared with those stored.

        Raises
        ------
        NotFound
            When there is no such version.
        IntegrityError
            When a stored part is missing or was changed (the message names it), or the model predicts otherwise than it
            did when it was registered.
        UnsafeModel
            When the model file is outside what the formats of this registry allow.

        Warns
        -----
        EnvironmentMismatch
            When packages have other versions than at the training.
        """
        version = self.get(spec)
        changed = _changed_packages(version.lineage)
        if changed:
            message = f"{version.spec} was trained with other packages ({changed}): its predictions may differ"
            warnings.warn(EnvironmentMismatch(message), stacklevel=2)
        return self._open(version, self._log(version.name).manifests[version.number - 1])

    def file(self, spec: ModelVersion | str, name: str) -> bytes:
        """Return one of the files that were registered with a version, compared with its digest.

        Raises
        ------
        NotFound
            When there is no such version, or it has no such file.
        IntegrityError
            When the file is missing from the store or was changed.
        """
        version = self.get(spec)
        if name not in version.files:
            raise NotFound(f"{version.spec} has no file {name!r}: it has {sorted(version.files)}")
        return self._blob(version.files[name], f"file {name!r} of {version.spec}")

    def versions(self, name: str, *, where: Callable[[ModelVersion], bool] | None = None) -> list[ModelVersion]:
        """Return the versions of a model, oldest first; those for which `where` is true.

        Raises
        ------
        NotFound
            When there is no such model.
        """
        return [version for version in self._known(name).versions if where is None or where(version)]

    def history(self, name: str) -> HistoryReport:
        """Return what happened to a model: registrations, promotions and rollbacks.

        Raises
        ------
        NotFound
            When there is no such model.
        """
        return HistoryReport(name, tuple(self._known(name).events))

    def models(self) -> list[str]:
        """Return the names of all models."""
        keys = (_EVENT.fullmatch(key) for key in self.store.list("log/"))
        names = sorted({match[1] for match in keys if match and _NAME.fullmatch(match[1])})
        return [name for name in names if self._log(name).refresh() and self._log(name).versions]

    def head(self, name: str) -> int:
        """Return a number that grows with each event of a model, 0 before the first; it costs one look at the store."""
        return self._log(name).refresh()

    def verify(self, *, deep: bool = False) -> VerifyReport:
        """Look at every event and every blob.

        Parameters
        ----------
        deep
            Whether every version is loaded, too, and predicts its example.

        Returns
        -------
        VerifyReport
            Damaged events, broken chains, changed or missing blobs; and, as harmless, files that are not the registry's
            and leftovers of interrupted writes. That the newest events were deleted cannot be seen from what is left.
        """
        keys = self.store.list("")
        names = sorted({match[1] for key in keys if (match := _EVENT.fullmatch(key)) and _NAME.fullmatch(match[1])})
        logs = {name: _Log(self.store, name) for name in names}
        findings = [finding for name, log in logs.items() for finding in _verify_log(log, name, keys)]
        used = {sha for log in logs.values() for version in log.versions for sha in version.content}
        findings += self._verify_blobs(used, keys)
        if deep:
            findings += [found for log in logs.values() for found in self._verify_models(log)]
        findings += [Finding(key, "not a file of the registry", True) for key in keys if not _is_own(key)]
        leftover = "left by a write that was interrupted, or is under way"
        findings += [Finding(key, leftover, True) for key in self.store.list("tmp/")]
        n_events, n_blobs = sum(len(log.events) for log in logs.values()), sum(key.startswith("blobs/") for key in keys)
        return VerifyReport(len(logs), n_events, n_blobs, tuple(sorted(findings, key=lambda f: (f.harmless, f.key))))

    # -- parts

    def _log(self, name: str) -> _Log:
        return self._logs.setdefault(_check_name(name, "name"), _Log(self.store, name))

    def _known(self, name: str) -> _Log:
        log = self._log(name)
        log.refresh()
        if not log.versions:
            raise NotFound(f"no model {name!r}: the registry holds {self.models()}")
        return log

    def _no_alias(self, log: _Log, name: str, alias: str) -> tuple[int, ...]:
        raise NotFound(
            f"no alias {alias!r} of {name!r}: it has {sorted(log.aliases)}; "
            f"registry.promote(version, alias={alias!r}, reason=...) makes one"
        )

    def _number(self, expect: Any, name: str) -> int:
        if isinstance(expect, int) and not isinstance(expect, bool):
            return expect
        version = self.get(expect)
        if version.name != name:
            raise ConfigurationError(f"expect={version.spec!r} is a version of another model than {name!r}")
        return version.number

    def _parts(self, model: Any, example: Any) -> tuple[str, dict[str, bytes], dict[str, Any]]:
        """Return the format's name, the stored parts by role, and what the manifest notes about them."""
        candidate = model if isinstance(model, Candidate) else None
        if candidate is not None:
            example = candidate.example if example is None else example
        if example is None:
            raise ConfigurationError("example is missing: give a few rows of the model's features (example=X.head())")
        fitted = candidate.model if candidate else model
        if isinstance(example, np.ndarray):
            example = {str(i): column for i, column in enumerate(np.atleast_2d(example).T)}
        known = getattr(fitted, "feature_names_in_", None)
        features = (
            candidate.features if candidate else tuple(frames.names(example) if known is None else map(str, known))
        )
        rows = np.arange(min(frames.n_rows(example), _EXAMPLE_ROWS))
        example = frames.take(frames.select(example, features), rows)
        format, data = formats.dump_model(fitted, self.formats)
        parts = {"model": data, "example": _dump_example(example, predict(fitted, example, features))}
        notes: dict[str, Any] = {"features": features, "target": None, "time": None, "metrics": {}}
        if candidate is None:
            return format, parts, {**notes, "lineage": lineage.capture(model=fitted)}
        parts |= {role: _dump(getattr(candidate, role)) for role in ("schema", "profile", "reference", "evaluation")}
        notes |= {"target": candidate.target, "time": candidate.time, "metrics": _numbers(candidate.evaluation.metrics)}
        return format, parts, {**notes, "lineage": candidate.lineage}

    def _open(self, version: ModelVersion, manifest: dict[str, Any]) -> LoadedModel:
        """Read, check and rebuild every part of a version."""
        if formats.digest(formats.canonical(manifest)) != version.digest:
            raise IntegrityError(f"the manifest of {version.spec} does not match its digest")
        data = {role: self._blob(sha, f"{role} of {version.spec}") for role, sha in version.blobs.items()}
        model = formats.load_model(manifest["format"], data.pop("model"), codecs=self.formats)
        example, expected = _load_example(data.pop("example"))
        others = {role: _load(part, f"{role} of {version.spec}") for role, part in data.items()}
        loaded = LoadedModel(
            model=model,
            version=version,
            features=tuple(version.features),
            example=example,
            target=version.target,
            time=version.time,
            **others,
        )
        _compare(expected, loaded)
        return loaded

    def _blob(self, sha: str, what: str) -> bytes:
        key = f"blobs/{sha}"
        if not _BLOB.fullmatch(key):
            raise IntegrityError(f"the {what} is named {sha!r:.80}; expected a sha256")
        try:
            data = self.store.get(key)
        except NotFound:
            raise IntegrityError(f"{key} (the {what}) is missing") from None
        if formats.digest(data) != sha:
            raise IntegrityError(f"{key} (the {what}) was changed: its bytes do not match its digest")
        return data

    def _verify_models(self, log: _Log) -> Iterator[Finding]:
        for version, manifest in zip(log.versions, log.manifests, strict=True):
            try:
                self._open(version, manifest)
            except MlopskitError as error:
                yield Finding(version.spec, f"cannot be loaded: {error}")

    def _verify_blobs(self, used: set[str], keys: list[str]) -> Iterator[Finding]:
        present = {match[1] for key in keys if (match := _BLOB.fullmatch(key))}
        for sha in sorted(used | present):
            if sha not in present:
                yield Finding(f"blobs/{sha}", "is missing, and a version needs it")
            elif formats.digest(self.store.get(f"blobs/{sha}")) != sha:
                yield Finding(f"blobs/{sha}", "was changed: its bytes do not match its digest", sha not in used)
            elif sha not in used:
                yield Finding(f"blobs/{sha}", "belongs to no version: its registration did not finish", True)


def _check_name(name: str, what: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{what}={name!r}: expected 1 to 100 of the characters a-z, 0-9, '.', '_', '-', the first a letter or digit"
        )
    return name


def _check_job(key: str) -> str:
    if not isinstance(key, str) or not key or len(key) > 500:
        raise ConfigurationError(f"idempotency_key={key!r:.80}: expected a text of 1 to 500 characters")
    return key


def _check_file(name: str) -> str:
    if not isinstance(name, str) or not _FILE.fullmatch(name):
        raise ConfigurationError(f"files: {name!r:.120} is no file's name: expected letters, digits, '.', '_' and '-'")
    return name


def _contents(name: str, source: bytes | str | os.PathLike[str]) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    try:
        return Path(source).read_bytes()
    except (OSError, TypeError) as error:
        raise ConfigurationError(f"files[{name!r}]: cannot read {source!r:.120}: {error}") from error


def _spec(name: str, number: Any) -> str:
    return "nothing" if number is None else f"{name}:{number}"


def _with_digest(log: _Log, name: str, digest: str) -> ModelVersion:
    """Return the oldest version whose digest begins so."""
    found = [version for version in log.versions if version.digest.startswith(digest)]
    if not found:
        raise NotFound(f"no version of {name!r} has a digest that begins with {digest}")
    if len({version.digest for version in found}) > 1:
        raise ConfigurationError(f"{digest} begins the digests of {[v.spec for v in found]}: give more of it")
    return found[0]


def _moment(text: str) -> dt.datetime:
    """Return a moment in UTC; a date is its end."""
    try:
        parsed = dt.datetime.fromisoformat(text)
        is_date = len(text) == len("2026-05-03")
        return frames.utc(parsed) + (dt.timedelta(days=1, microseconds=-1) if is_date else dt.timedelta(0))
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(f"got the time {text!r}; expected 2026-05-03 or 2026-05-03T12:00") from error


def _numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    for name, value in metrics.items():
        if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise ConfigurationError(f"metrics[{name!r}]={value!r}: expected a number under a name")
    return {name: float(value) for name, value in metrics.items()}


def _texts(tags: Mapping[str, str]) -> dict[str, str]:
    for name, value in tags.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ConfigurationError(f"tags[{name!r}]={value!r}: expected text under a name")
    return dict(tags)


def _is_own(key: str) -> bool:
    return bool(_EVENT.fullmatch(key) or _BLOB.fullmatch(key))


def _verify_log(log: _Log, name: str, keys: list[str]) -> Iterable[Finding]:
    try:
        log.refresh()
    except MlopskitError as error:
        yield Finding(log.key(log.head + 1), str(error))
    for version, manifest in zip(log.versions, log.manifests, strict=True):
        if formats.digest(formats.canonical(manifest)) != version.digest:
            yield Finding(version.spec, "its manifest does not match its digest")
    numbers = {int(match[2]): key for key in keys if (match := _EVENT.fullmatch(key)) and match[1] == name}
    for number, key in numbers.items():
        if number > log.head + 1:
            yield Finding(key, f"cannot be reached: {log.key(log.head + 1)} is missing or broken")


def _changed_packages(then: lineage.Lineage) -> str:
    """Return, in words, which packages differ from a lineage's; mlopskit itself does not count."""
    noted = {name: version for name, version in then.packages.items() if name != "mlopskit"}
    here = lineage.versions(noted)
    changed = [f"{name} {old}, here {here.get(name, 'absent')}" for name, old in noted.items() if here.get(name) != old]
    return "; ".join(changed)


def _dump(value: Any) -> bytes:
    return formats.canonical({"protocol": formats.PROTOCOL, "value": formats.encode(value)})


def _load(data: bytes, what: str) -> Any:
    document = _parse(data)
    if document is None or document["protocol"] > formats.PROTOCOL:
        raise FormatError(f"the {what} was not written by this release or an older one: upgrade mlopskit")
    return formats.decode(document.get("value"))


def _dump_example(example: frames.Frame, answer: Predictions) -> bytes:
    values = answer.values if answer.values.dtype.kind in "biuf" else answer.values.tolist()
    return _dump({"frame": frames.pack(example), "values": values, "scores": answer.scores})


def _load_example(data: bytes) -> tuple[frames.Frame, Predictions]:
    stored = _load(data, "example")
    return frames.unpack(stored["frame"]), Predictions(np.asarray(stored["values"]), stored["scores"])


def _compare(expected: Predictions, loaded: LoadedModel) -> None:
    """Refuse a model that does not predict its example as it did when it was registered."""
    got = loaded.predict(loaded.example)
    if not _agree(expected.values, got.values) or not _agree(expected.scores, got.scores):
        changed = _changed_packages(loaded.version.lineage)
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
