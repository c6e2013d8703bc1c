"""The log of one model, folded: its versions, where its aliases point, which jobs registered what."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from attrs import evolve

from mlopskit.records import ModelVersion
from mlopskit.registry.log import Log
from mlopskit.registry.parts import version_of
from mlopskit.registry.reports import Event
from mlopskit.storage import Store


class ModelLog(Log):
    """What happened to one model, and what is true of it now."""

    area = "log"

    def __init__(self, store: Store, name: str, keys: tuple[bytes, ...] = (), *, packs: bool = True) -> None:
        super().__init__(store, name, keys, packs=packs)
        self.versions: list[ModelVersion] = []
        self.manifests: list[dict[str, Any]] = []
        self.aliases: dict[str, tuple[int, ...]] = {}
        self._jobs: dict[str, int] = {}

    def fold(self, event: dict[str, Any], document: dict[str, Any]) -> None:
        """See `Log.fold`."""
        kind, number = event["kind"], event["number"]
        if kind == "registered":
            self.versions.append(version_of(self.name, number, event["digest"], event["at"], event["manifest"]))
            self.manifests.append(document["manifest"])
            self.events.append(Event(event["at"], kind, number, reason=event.get("reason", ""), digest=event["digest"]))
            if event.get("job") is not None:
                self._jobs.setdefault(event["job"], number)
            return
        digest = self.versions[number - 1].digest
        if kind in ("annotated", "retired", "removed"):
            self._mark(event, kind, number, digest)
            return
        alias = str(event["alias"])
        trail = self.aliases.get(alias, ())
        previous = trail[-1] if trail else None
        if kind == "promoted":
            self.aliases[alias] = trail if previous == number else (*trail, number)
        else:
            self.aliases[alias] = trail[: -event.get("steps", 1)]
        report = event.get("report")
        self.events.append(Event(event["at"], kind, number, alias, previous, event["reason"], digest, report=report))

    def _mark(
        self, event: dict[str, Any], kind: Literal["annotated", "retired", "removed"], number: int, digest: str
    ) -> None:
        version, tags = self.versions[number - 1], dict(event.get("tags", {}))
        if kind == "removed":
            self.removed.add(number)
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

    def manifests_by_spec(self) -> list[tuple[str, str, Any]]:
        """See `Log.manifests_by_spec`."""
        return [(v.spec, v.digest, manifest) for v, manifest in zip(self.versions, self.manifests, strict=True)]

    def used(self) -> set[str]:
        """See `Log.used`."""
        kept = {sha for v in self.versions if v.number not in self.removed for sha in v.content}
        return kept | {event.report for event in self.events if event.report is not None}

    def report_of(self, number: int) -> str | None:
        """Return the sha256 of the newest gate report on a version, or None."""
        decided = [e.report for e in self.events if e.number == number and e.report is not None]
        return decided[-1] if decided else self.versions[number - 1].blobs.get("gate_report")
