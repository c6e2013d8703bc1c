"""Versions, aliases and their history: a log that only grows, over blobs named by their content.

Each model has a log of events: a version was registered, an alias was promoted or rolled back. The event is the commit
point: the blobs it names (the model file, its example, its profiles) are durable and verified before. What is true now
is a fold over the events, and events never change, so nothing cached goes stale.
"""

from __future__ import annotations

import datetime as dt
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd
from attrs import define, evolve, field
from numpy.typing import NDArray

from mlopskit import formats, frames
from mlopskit.errors import AliasMoved, ConfigurationError, EnvironmentMismatch, IntegrityError, NotFound
from mlopskit.evidence import Report
from mlopskit.formats import Format
from mlopskit.lineage import installed
from mlopskit.records import ModelVersion
from mlopskit.registry import bundle, names, upkeep
from mlopskit.registry.blobs import Blobs
from mlopskit.registry.data import DataLog, DataVersions
from mlopskit.registry.log import Done, Log
from mlopskit.registry.parts import (
    LoadedModel,
    changed_packages,
    contents,
    put_together,
    read_report,
    take_apart,
    version_of,
    write_report,
)
from mlopskit.registry.reports import (
    CollectReport,
    HistoryReport,
    LineageGraph,
    LineageNode,
    VerifyReport,
    VersionsReport,
)
from mlopskit.registry.versions import ModelLog
from mlopskit.storage import Store, open_store

_ANY: Final = object()
_SHORTEST_KEY = 16


def _keys(key: bytes | Sequence[bytes] | None) -> tuple[bytes, ...]:
    found = () if key is None else (key,) if isinstance(key, bytes) else tuple(key)
    if not all(isinstance(secret, bytes) and len(secret) >= _SHORTEST_KEY for secret in found):
        raise ConfigurationError(f"signing_key: expected bytes, at least {_SHORTEST_KEY} of them, or a list of such")
    return found


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

    signing_key
        A secret of at least 16 bytes: every event, and with it every manifest and every move of an alias, is signed
        with it (HMAC-SHA256), and an event that is not is refused. Of several keys the first signs and all are
        accepted, so that a key can be replaced. That the newest events were deleted, a signature cannot tell.

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
    signing_key: tuple[bytes, ...] = field(default=None, converter=_keys, kw_only=True, repr=False)
    _logs: dict[str, ModelLog] = field(init=False, factory=dict, repr=False)
    _blobs: Blobs = field(init=False, repr=False)
    data: DataVersions = field(init=False, repr=False)
    """The tables of this registry: snapshots of what models were trained on."""

    def __attrs_post_init__(self) -> None:
        names = [codec.name for codec in (*formats.BUILT_IN, *self.formats)]
        if len(set(names)) != len(names):
            raise ConfigurationError(f"formats={names}: each format needs a name of its own; three are built in")
        self._blobs = Blobs(self.store)
        self.data = DataVersions(self.store, self.signing_key)

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
        gate_report: Report | None = None,
        parents: Sequence[ModelVersion | str] = (),
        freeze: bool = False,
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
        gate_report
            What a gate found: it is kept beside the model.
        parents
            Versions that this one was made of, such as the one whose training went on, or the members of an ensemble.
        freeze
            Whether to note the version of everything that is installed, beside that of the packages which the model
            stands on (`version.lineage.freeze`).
        idempotency_key
            Name of the job that registers, such as "nightly-2026-05-03": where a version was registered under it, that
            version is returned, and nothing is written. A job that was killed may simply run again.
        now
            When it is registered; by default the wall clock.

        Raises
        ------
        ConfigurationError
            When the name, the metrics, the tags, the files or the key are not as described, or the example is missing.
        NotFound
            When a parent does not exist.
        DataError
            When the example has no rows or lacks a feature, or the model is not fitted or cannot predict for it.
        FormatError
            When no format can hold the model, or the example does not survive storing.
        StorageError
            When the store cannot be written. Nothing is registered then, unless it failed after the event was written:
            under an idempotency key, the job may run again in any case.
        """
        log = self._log(name)
        log.refresh()
        if idempotency_key is not None and (done := log.registered_by(names.check_job(idempotency_key))):
            return log.versions[done - 1]
        extra = {names.check_file(file): contents(file, source) for file, source in (files or {}).items()}
        format, parts, notes, reloaded = take_apart(model, example, self.formats)
        if freeze:
            notes["lineage"] = evolve(notes["lineage"], freeze=installed())
        if gate_report is not None:
            parts["gate_report"] = write_report(gate_report)
        blobs = {role: formats.digest(data) for role, data in parts.items()}
        beside = {file: formats.digest(data) for file, data in extra.items()}
        if beside:
            notes["files"] = beside
        if parents:
            notes["parents"] = [self.get(parent).spec for parent in parents]
        manifest = formats.encode(
            {
                **notes,
                "format": format,
                "metrics": {**notes["metrics"], **names.numbers(metrics or {})},
                "params": dict(params or {}),
                "tags": names.texts(tags or {}),
                "blobs": blobs,
            }
        )
        held = {blobs[role]: data for role, data in parts.items()} | {
            beside[file]: data for file, data in extra.items()
        }
        self._blobs.keep(held)
        at, digest = frames.utc(now), formats.digest(formats.canonical(manifest))
        self._open(version_of(name, 0, digest, at, formats.decode(manifest)), manifest, parts, reloaded)
        event = {"digest": digest, "manifest": formats.decode(manifest)}
        if idempotency_key is not None:
            event["job"] = idempotency_key
        return self._commit(log, event, held, at)

    def promote(
        self,
        version: ModelVersion | str,
        *,
        alias: str,
        reason: str = "",
        expect: Any = _ANY,
        gate_report: Report | None = None,
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
        gate_report
            What the decision rests on: it is kept with it.
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
        names.check_name(alias, "alias")
        wanted = expect if expect is _ANY or expect is None else self._number(expect, chosen.name)
        held = self._blobs.put(() if gate_report is None else (write_report(gate_report),))

        def build(log: ModelLog) -> dict[str, Any]:
            trail = log.aliases.get(alias, ())
            current = trail[-1] if trail else None
            if wanted is not _ANY and wanted != current:
                raise AliasMoved(
                    f"{chosen.name}@{alias} points to {names.spec_of(chosen.name, current)}, "
                    f"not to {names.spec_of(chosen.name, wanted)}: somebody moved it; see history({chosen.name!r})"
                )
            retired = log.versions[chosen.number - 1].retired
            if retired is not None:
                raise ConfigurationError(f"{chosen.spec} is retired ({retired}): register it again to use it again")
            self._blobs.hold(held)
            event = {"kind": "promoted", "number": chosen.number, "alias": alias, "reason": reason}
            return {**event, "report": next(iter(held))} if held else event

        self._log(chosen.name).append(frames.utc(now), build)
        self._blobs.hold(held)
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

        def build(log: ModelLog) -> dict[str, Any]:
            if log.aliases[alias] != start:
                raise AliasMoved(f"{name}@{alias} was moved while it was rolled back; see history({name!r})")
            if len(start) <= steps:
                been = ", ".join(names.spec_of(name, number) for number in start)
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
        chosen, kept = self.get(version), names.texts(tags or {})
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

        def build(log: ModelLog) -> dict[str, Any]:
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
        match = names.SPEC.fullmatch(spec)
        if match is None:
            raise ConfigurationError(
                f"got {spec!r}; expected 'name@alias' or 'name:number', 'name@sha256:digest' or 'name@alias@2026-05-03'"
            )
        name, digest, alias, moment, number = match.groups()
        log = self._known(name)
        if digest is not None:
            return _with_digest(log, name, digest)
        if moment is not None:
            then = log.at(alias, names.moment(moment))
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
        changed = changed_packages(version.lineage)
        if changed:
            message = f"{version.spec} was trained with other packages ({changed}): its predictions may differ"
            warnings.warn(EnvironmentMismatch(message), stacklevel=2)
        return self._loaded(self._log(version.name), version)

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
        return self._blobs.get(version.files[name], f"file {name!r} of {version.spec}")

    def gate_report(self, spec: ModelVersion | str) -> dict[str, Any]:
        """Return, as plain values, what the gate found about a version: at its last promotion, or its registration.

        Raises
        ------
        NotFound
            When there is no such version, or no report was given.
        IntegrityError
            When the report is missing from the store or was changed.
        """
        version = self.get(spec)
        sha = self._log(version.name).report_of(version.number)
        if sha is None:
            raise NotFound(f"no gate's report was given for {version.spec}: promote(..., gate_report=) keeps one")
        what = f"gate report of {version.spec}"
        return read_report(self._blobs.get(sha, what), what)

    def versions(self, name: str, *, where: Callable[[ModelVersion], bool] | None = None) -> list[ModelVersion]:
        """Return the versions of a model, oldest first; those for which `where` is true.

        Raises
        ------
        NotFound
            When there is no such model.
        """
        return [version for version in self._known(name).versions if where is None or where(version)]

    def training_data(self, spec: ModelVersion | str) -> pd.DataFrame:
        """Return the rows that a version was trained on, where `data.save` stored them; their order is that of saving.

        Raises
        ------
        NotFound
            When there is no such version, its lineage notes no data, or they were not saved.
        IntegrityError
            When a file is missing from the store or was changed.
        """
        version = self.get(spec)
        fingerprint = version.lineage.data_fingerprint
        saved = None if fingerprint is None else self.data.find(fingerprint)
        if saved is None:
            raise NotFound(f"the data of {version.spec} were not saved: registry.data.save(name, frame) does so")
        return self.data.load(saved)

    def search(
        self,
        name: str | None = None,
        *,
        metrics: Mapping[str, tuple[float | None, float | None]] | None = None,
        tags: Mapping[str, str] | None = None,
        order_by: str | None = None,
        retired: bool = False,
    ) -> VersionsReport:
        """Find versions by their metrics and tags.

        Parameters
        ----------
        name
            The model; by default all models.
        metrics
            For each metric its least and its greatest value, either of them None; a version without it is not found.
        tags
            Texts that the tags have to equal.
        order_by
            A metric by which to sort, the greatest first; versions without it come last. By default by name and number.
        retired
            Whether retired versions are found, too.

        Raises
        ------
        NotFound
            When there is no such model.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.dummy import DummyClassifier
        >>> model = DummyClassifier().fit(np.zeros((2, 1)), [0, 1])
        >>> registry = ModelRegistry("memory://")
        >>> for auc in (0.6, 0.8, 0.7):
        ...     _ = registry.register("rain", model, example={"x": [0.0]}, metrics={"roc_auc": auc})
        >>> [v.spec for v in registry.search(metrics={"roc_auc": (0.65, None)}, order_by="roc_auc")]
        ['rain:2', 'rain:3']
        """
        found = [version for model in self._named(name) for version in self._known(model).versions]
        found = [v for v in found if (retired or v.retired is None) and (tags or {}).items() <= v.tags.items()]
        found = [v for v in found if all(_within(v.metrics.get(m), *ends) for m, ends in (metrics or {}).items())]
        if order_by is not None:
            found.sort(key=lambda v: (order_by not in v.metrics, -v.metrics.get(order_by, 0.0)))
        return VersionsReport(tuple(found))

    def lineage(self, spec: ModelVersion | str) -> LineageGraph:
        """Return what a version comes from, and what comes from it.

        On one side its data, its code, its parents and the gate's report; on the other the versions that name it as a
        parent.

        Raises
        ------
        NotFound
            When there is no such version.
        """
        version = self.get(spec)
        sources = list(self._sources(version))
        logs = (self._known(model) for model in self.models())
        children = [v for log in logs for v in log.versions if version.spec in v.parents]
        nodes = [_node(version), *(node for node, _ in sources), *map(_node, children)]
        edges = [(node.id, version.spec, how) for node, how in sources]
        edges += [(version.spec, child.spec, "parent") for child in children]
        return LineageGraph(version.spec, tuple(nodes), tuple(edges))

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
        found = upkeep.names_in(self.store.list("log/"), "log")
        return [name for name in found if self._log(name).refresh() and self._log(name).versions]

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
        logs = list(self._fresh())
        return upkeep.look(self.store, logs, self._loaded if deep else None)

    def gc(
        self,
        *,
        grace: str | dt.timedelta = "1D",
        retired: str | dt.timedelta | None = None,
        dry_run: bool = True,
        now: dt.datetime | None = None,
    ) -> CollectReport:
        """Remove what no version needs: contents of registrations that did not finish, leftovers of killed writers.

        A first call condemns, a call that comes at least `grace` later removes: in between, a registration that is
        under way, on any machine, finishes and keeps what is its own.

        Parameters
        ----------
        grace
            How long something must have been condemned, such as "1D". Longer than any registration takes: with "0D",
            nobody may be writing.
        retired
            Versions that were retired so long ago lose their content; their manifest and history stay, and the
            removal is noted there. By default none.
        dry_run
            Whether to say what would be done, and do nothing. The default.
        now
            When; by default the wall clock.

        Raises
        ------
        IntegrityError
            When an event is damaged: nothing is removed then.
        ConfigurationError
            When a duration is none.
        """
        at, wait = frames.utc(now), _span(grace, "grace")
        if retired is not None and not dry_run:
            for log in self._fresh():
                upkeep.readable(log)
                self._drop(log, at, _span(retired, "retired"))
        return upkeep.collect(self.store, self._used, grace=wait, dry_run=dry_run, now=at)

    def export(self, spec: ModelVersion | str, folder: str | os.PathLike[str]) -> Path:
        """Write one version into a folder of its own: flat files named by their sha256, and `bundle.json`.

        Raises
        ------
        NotFound
            When there is no such version, or its content was removed.
        IntegrityError
            When a stored part is missing or was changed.
        ConfigurationError
            When the folder is not empty.
        StorageError
            When the folder cannot be written.
        """
        version = self.get(spec)
        log = self._log(version.name)
        self._present(log, version)
        parts = {sha: self._blobs.get(sha, f"content of {version.spec}") for sha in version.content}
        return bundle.write(folder, version, log.manifests[version.number - 1], parts)

    def import_(
        self, folder: str | os.PathLike[str], name: str | None = None, *, now: dt.datetime | None = None
    ) -> ModelVersion:
        """Register the version that another registry exported, with the same digest; it is checked as at `register`.

        A version of the same digest that is there already is returned, and nothing is written.

        Parameters
        ----------
        folder
            What `export` made.
        name
            The model to register it as; by default its name there.
        now
            When; by default the wall clock.

        Raises
        ------
        IntegrityError
            When a file is missing or was changed, or the model predicts its example otherwise than it did.
        FormatError
            When the folder holds something else.
        UnsafeModel
            When the model file is outside what the formats of this registry allow.
        StorageError
            When the folder cannot be read, or the store cannot be written.
        """
        brought = bundle.read(folder)
        log = self._log(brought.name if name is None else name)
        log.refresh()
        for version in log.versions:
            if version.digest == brought.digest and version.number not in log.removed:
                return version
        held, at = self._blobs.put(brought.contents.values()), frames.utc(now)
        self._open(brought.version(log.name, at), brought.manifest)
        event = {"digest": brought.digest, "manifest": formats.decode(brought.manifest)}
        return self._commit(log, {**event, "reason": f"imported, there {brought.origin}"}, held, at)

    # -- parts

    def _log(self, name: str) -> ModelLog:
        return self._logs.setdefault(names.check_name(name, "name"), ModelLog(self.store, name, self.signing_key))

    def _known(self, name: str) -> ModelLog:
        log = self._log(name)
        log.refresh()
        if not log.versions:
            raise NotFound(f"no model {name!r}: the registry holds {self.models()}")
        return log

    def _no_alias(self, log: ModelLog, name: str, alias: str) -> tuple[int, ...]:
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

    def _named(self, name: str | None) -> list[str]:
        return self.models() if name is None else [name]

    def _fresh(self) -> Iterator[ModelLog | DataLog]:
        """Return every log, to be read from its first event: past what is cached and past packs."""
        for kind in (ModelLog, DataLog):
            for name in upkeep.names_in(self.store.list(f"{kind.area}/"), kind.area):
                yield kind(self.store, name, self.signing_key, packs=False)

    def _used(self) -> set[str]:
        logs = [upkeep.readable(log) for log in self._fresh()]
        return set().union(*(log.used() for log in logs))

    def _drop(self, log: ModelLog | DataLog, at: dt.datetime, age: dt.timedelta) -> None:
        """Note that the content of versions retired so long ago is removed."""
        for version in log.versions:
            since = log.retired_at(version.number)
            if since is not None and at - since >= age and version.number not in log.removed:
                reason = f"retired on {since:%Y-%m-%d}"
                with suppress(Done):
                    log.append(at, _removal(version.number, reason))

    def _commit(self, log: ModelLog, event: dict[str, Any], held: Mapping[str, bytes], at: dt.datetime) -> ModelVersion:
        """Append the registration of what is stored and verified, and return the version."""
        number = 0

        def build(log: ModelLog) -> dict[str, Any]:
            nonlocal number
            if "job" in event and (done := log.registered_by(event["job"])):
                raise Done(done)
            number = len(log.versions) + 1
            self._blobs.hold(held)
            return {"kind": "registered", "number": number, **event}

        try:
            log.append(at, build)
        except Done as done:
            number = done.number
        self._blobs.hold(held)
        return log.versions[number - 1]

    def _sources(self, version: ModelVersion) -> Iterator[tuple[LineageNode, str]]:
        """Return what a version comes from, each with how."""
        origin = version.lineage
        if origin.data_fingerprint is not None:
            saved = self.data.find(origin.data_fingerprint)
            name = origin.data_fingerprint[:12] if saved is None else saved.spec
            label = f"data {name}\n{origin.n_rows} rows"
            yield LineageNode(f"data {origin.data_fingerprint}", "data", label), "trained on"
        if origin.commit is not None:
            label = f"code {origin.commit[:12]}" + (" (dirty)" if origin.dirty else "")
            yield LineageNode(f"code {origin.commit}", "code", label), "trained by"
        for parent in version.parents:
            yield LineageNode(parent, "model", parent), "parent"
        report = self._log(version.name).report_of(version.number)
        if report is not None:
            yield LineageNode(f"gate report {report}", "gate report", f"gate report {report[:12]}"), "judged by"

    def _present(self, log: ModelLog, version: ModelVersion) -> None:
        if version.number in log.removed:
            raise NotFound(f"the content of {version.spec} was removed after it was retired; see history({log.name!r})")

    def _loaded(self, log: ModelLog, version: ModelVersion) -> LoadedModel:
        self._present(log, version)
        loaded = self._open(version, log.manifests[version.number - 1])
        return evolve(loaded, training_data=partial(self.training_data, version.spec))

    def _open(
        self,
        version: ModelVersion,
        manifest: dict[str, Any],
        written: Mapping[str, bytes] | None = None,
        model: Any = None,
    ) -> LoadedModel:
        """Read, check and rebuild every part of a version; `model` is what the bytes just written were loaded as."""
        if formats.digest(formats.canonical(manifest)) != version.digest:
            raise IntegrityError(f"the manifest of {version.spec} does not match its digest")
        known = written or {}
        data = {
            role: self._blobs.get(sha, f"{role} of {version.spec}", known.get(role))
            for role, sha in version.blobs.items()
        }
        return put_together(version, manifest["format"], data, self.formats, model)


def _removal(number: int, reason: str) -> Callable[[Log], dict[str, Any]]:
    def build(log: Log) -> dict[str, Any]:
        if number in log.removed:
            raise Done(number)
        return {"kind": "removed", "number": number, "reason": reason, "tags": {}}

    return build


def _node(version: ModelVersion) -> LineageNode:
    return LineageNode(version.spec, "model", f"{version.spec}\n{version.digest[:12]}")


def _within(value: float | None, low: float | None, high: float | None) -> bool:
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def _span(value: str | dt.timedelta, name: str) -> dt.timedelta:
    try:
        span: Any = pd.Timedelta(value)
    except (TypeError, ValueError):
        span = pd.NaT
    if not span >= pd.Timedelta(0):
        raise ConfigurationError(f"{name}={value!r}: expected a duration such as '1D', '12h' or a timedelta")
    result: dt.timedelta = span.to_pytimedelta()
    return result


def _with_digest(log: ModelLog, name: str, digest: str) -> ModelVersion:
    """Return the oldest version whose digest begins so."""
    found = [version for version in log.versions if version.digest.startswith(digest)]
    if not found:
        raise NotFound(f"no version of {name!r} has a digest that begins with {digest}")
    if len({version.digest for version in found}) > 1:
        raise ConfigurationError(f"{digest} begins the digests of {[v.spec for v in found]}: give more of it")
    return found[0]
