"""What the registry tells: a model's history, what is damaged, what was removed, what comes from what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs
from attrs import field, frozen

from mlopskit.evidence import Report
from mlopskit.records import ModelVersion

if TYPE_CHECKING:
    import pandas as pd


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
    report
        sha256 of the gate's report that the decision rests on, where one was given.
    """

    at: dt.datetime
    kind: Literal["registered", "promoted", "rolled back", "annotated", "retired", "removed"]
    number: int
    alias: str | None = None
    previous: int | None = None
    reason: str = ""
    digest: str = ""
    tags: Mapping[str, str] = field(factory=dict)
    report: str | None = None


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
        import pandas as pd

        names = [f.name for f in attrs.fields(Finding)]
        return pd.DataFrame([attrs.asdict(finding) for finding in self.findings], columns=names)

    def __str__(self) -> str:
        errors = sum(not finding.harmless for finding in self.findings)
        verdict = "all is well" if self.passed else f"{errors} thing(s) wrong"
        lines = [f"{self.n_models} models, {self.n_events} events, {self.n_blobs} blobs: {verdict}"]
        return "\n".join(lines + [f"- {finding.key}: {finding.message}" for finding in self.findings])


@frozen
class CollectReport(Report):
    """What `ModelRegistry.gc` removed, or would remove.

    Parameters
    ----------
    dry_run
        Whether it only looked.
    removed
        Keys of what was removed; of what would be, in a dry run.
    waiting
        Keys that no version needs, and whose grace is not over; a later call removes them.
    """

    dry_run: bool
    removed: tuple[str, ...]
    waiting: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each key: key, removed."""
        import pandas as pd

        rows = [(key, True) for key in self.removed] + [(key, False) for key in self.waiting]
        return pd.DataFrame(rows, columns=["key", "removed"])

    def __str__(self) -> str:
        done = "would remove" if self.dry_run else "removed"
        return (
            f"{done} {len(self.removed)} file(s) that no version needs; {len(self.waiting)} wait for their grace to end"
        )


@frozen
class VersionsReport(Report):
    """Versions that a search found; it has a length, and one can loop over it.

    Parameters
    ----------
    versions
        What was found.
    """

    versions: tuple[ModelVersion, ...]

    def __len__(self) -> int:
        return len(self.versions)

    def __iter__(self) -> Iterator[ModelVersion]:
        return iter(self.versions)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each version: version, created_at, retired, then metrics, params and tags by name."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for version in self.versions:
            row: dict[str, Any] = {
                "version": version.spec,
                "created_at": version.created_at,
                "retired": version.retired,
            }
            for kind in ("metrics", "params", "tags"):
                row |= {f"{kind}.{name}": value for name, value in getattr(version, kind).items()}
            rows.append(row)
        return pd.DataFrame(rows, columns=None if rows else ["version", "created_at", "retired"])

    def __str__(self) -> str:
        lines = [f"{len(self.versions)} version(s)"]
        for version in self.versions:
            numbers = ", ".join(f"{name} {value:.4g}" for name, value in version.metrics.items())
            lines.append(f"- {version.spec} {version.created_at:%Y-%m-%d} {numbers}".rstrip())
        return "\n".join(lines)


@frozen
class LineageNode:
    """One thing that a version comes from, or that comes from it.

    Parameters
    ----------
    id
        Its name in the graph: "late-flights:3", or "data", "code" and "gate report" with what identifies it.
    kind
        What it is.
    label
        What to show.
    """

    id: str
    kind: Literal["model", "data", "code", "gate report"]
    label: str


@frozen
class LineageGraph(Report):
    """What a version comes from and what comes from it.

    Parameters
    ----------
    version
        The version in question.
    nodes
        Everything that takes part, the version first.
    edges
        Pairs of ids and what the second owes to the first: (source, target, relation).
    """

    version: str
    nodes: tuple[LineageNode, ...]
    edges: tuple[tuple[str, str, str], ...]

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each edge: source, target, relation."""
        import pandas as pd

        return pd.DataFrame(self.edges, columns=["source", "target", "relation"])

    def to_dot(self) -> str:
        """Return the graph in DOT, the language of Graphviz."""
        shapes = {"model": "box", "data": "cylinder", "code": "note", "gate report": "note"}
        lines = [f"  {_quoted(n.id)} [label={_quoted(n.label)}, shape={shapes[n.kind]}];" for n in self.nodes]
        lines += [f"  {_quoted(a)} -> {_quoted(b)} [label={_quoted(how)}];" for a, b, how in self.edges]
        return "\n".join(["digraph lineage {", "  rankdir=LR;", *lines, "}"])

    def plot(self, ax: Any = None) -> Any:
        """Draw what it comes from on the left, what comes from it on the right; return matplotlib's axes.

        Raises
        ------
        MissingExtra
            When matplotlib is not installed.
        """
        from mlopskit.display.figure import flow

        labels = {node.id: node.label for node in self.nodes}
        sources = [labels[a] for a, b, _ in self.edges if b == self.version]
        targets = [labels[b] for a, b, _ in self.edges if a == self.version]
        return flow(title=f"Lineage of {self.version}", sources=sources, centre=self.version, targets=targets, ax=ax)

    def __str__(self) -> str:
        lines = [f"lineage of {self.version}"]
        return "\n".join(lines + [f"- {a} -> {b} ({how})" for a, b, how in self.edges])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
