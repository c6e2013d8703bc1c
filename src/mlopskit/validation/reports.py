"""Findings judged against tolerances: what failed, in which rows, in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from mlopskit import frames
from mlopskit.display.words import listed, percent, plural, short
from mlopskit.errors import DataError, ValidationFailed
from mlopskit.evidence import Report
from mlopskit.schema import ColumnSchema, Level, Schema, Severity
from mlopskit.stats.tolerances import allowed_outside, allowed_rows
from mlopskit.validation.checks import Check
from mlopskit.validation.findings import SHOWN, Broken, Findings, key_name
from mlopskit.validation.rules import expected

if TYPE_CHECKING:
    import pandas as pd


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


@frozen(eq=False)
class Failure:
    """One rule that a batch breaks.

    Parameters
    ----------
    column
        The column concerned; the columns of a key joined by ", "; None for the batch as a whole.
    check
        What was checked: missing_column, extra_column, duplicate_column, dtype, type_value, null, nonfinite, range,
        domain, unique, empty, volume, stale, check_error, or a custom check's name.
    n_failed, n_rows
        Rows that break the rule, and rows of the batch. A finding about a whole column or the whole batch counts every
        row.
    severity
        "error", or "warning" when the rule is one or the rows are within its tolerance.
    rows
        Positions of the rows that break the rule, ascending; shape (n_failed,).
    examples
        Values at the first of these positions, as sent; at most five.
    message
        The finding in words.
    share
        n_failed / n_rows; 0.0 for an empty batch.
    """

    column: str | None
    check: str
    n_failed: int
    n_rows: int
    severity: Severity
    rows: NDArray[np.intp] = field(repr=False)
    examples: tuple[Any, ...] = field(repr=listed)
    message: str
    share: float = field(init=False)

    @share.default
    def _share(self) -> float:
        return self.n_failed / self.n_rows if self.n_rows else 0.0


@frozen(eq=False)
class ValidationReport(Report):
    """What a validator found in one batch.

    Parameters
    ----------
    failures
        The broken rules: the batch as a whole, then columns in the schema's order, then keys and custom checks.
    n_rows
        Rows of the batch.
    basis
        What it was judged by.

    Examples
    --------
    >>> from mlopskit.validation import DataValidator
    >>> report = DataValidator().fit({"origin": ["JFK", "EWR"] * 10}).validate({"origin": ["JFK", "LGA"]})
    >>> print(report)
    failed: 1 of 2 rows break 1 error rule
    error   domain: origin: 1 of 2 rows (50%) hold an unknown level; expected one of 'EWR', 'JFK'; at 1: 'LGA'
    >>> good, bad = report.split({"origin": ["JFK", "LGA"]})
    >>> len(good["origin"]), len(bad["origin"])
    (1, 1)
    """

    failures: tuple[Failure, ...]
    n_rows: int
    basis: Basis | None = field(default=None, repr=False)

    def __add__(self, other: ValidationReport) -> ValidationReport:
        """Return the report of both batches as one, the other's rows after this one's.

        It is the report that validating them as one would give: tolerances and bounds are weighed anew.

        Raises
        ------
        DataError
            When they were made by different validators, or keys were compared within each of them alone: batches with
            keys are parts of one where they went through `DataValidator.start()`.
        """
        if not isinstance(other, ValidationReport):
            return NotImplemented
        a, b = self.basis, other.basis
        if a is None or b is None or a.schema != b.schema or a.checks != b.checks:
            raise DataError("these reports are of different validators and do not add")
        if a.schema.unique and not (a.found.keys and b.found.keys):
            raise DataError("keys were compared within each batch alone: validate parts by start() and update()")
        return judge(a.schema, a.checks, a.found.settled() + b.found, b.now)

    @property
    def passed(self) -> bool:
        """Whether no failure is an error."""
        return not any(f.severity == "error" for f in self.failures)

    @property
    def bad_rows(self) -> NDArray[np.bool_]:
        """Which rows break an error rule beyond its tolerance; shape (n_rows,)."""
        bad = np.zeros(self.n_rows, dtype=bool)
        for failure in self.failures:
            if failure.severity == "error":
                bad[failure.rows] = True
        return bad

    def split(self, batch: frames.Frame) -> tuple[frames.Frame, frames.Frame]:
        """Part the validated batch, by position, into rows that keep every error rule and rows that do not.

        No row is lost or repeated, whatever the index. Where a whole column is missing, doubled or of the wrong kind,
        or the batch as a whole breaks a rule, every row is bad. `reasons` tells why.

        Raises
        ------
        DataError
            When the batch has another number of rows than the validated one.
        """
        if frames.n_rows(batch) != self.n_rows:
            raise DataError(
                f"this report is about a batch of {self.n_rows} rows and cannot split one of {frames.n_rows(batch)}: "
                "pass the batch that was validated"
            )
        bad = self.bad_rows
        return frames.take(batch, ~bad), frames.take(batch, bad)

    def reasons(self) -> list[str]:
        """Return why each bad row is bad, in the order of the bad part of `split`: "column: check", joined by "; "."""
        found: list[list[str]] = [[] for _ in range(self.n_rows)]
        for failure in self.failures:
            if failure.severity == "error":
                label = failure.check if failure.column is None else f"{failure.column}: {failure.check}"
                for row in failure.rows.tolist():
                    found[row].append(label)
        return ["; ".join(labels) for labels in found if labels]

    def raise_if_failed(self) -> None:
        """Raise when the batch did not pass.

        Raises
        ------
        ValidationFailed
            When a failure is an error.
        """
        if not self.passed:
            raise ValidationFailed(str(self))

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each failure, without the positions."""
        import pandas as pd

        names = ["column", "check", "severity", "n_failed", "n_rows", "share", "examples", "message"]
        return pd.DataFrame([[getattr(f, name) for name in names] for f in self.failures], columns=names)

    def __str__(self) -> str:
        n_errors = sum(f.severity == "error" for f in self.failures)
        n_warnings = len(self.failures) - n_errors
        also = f"; {plural(n_warnings, 'warning')}" if n_warnings else ""
        rules = plural(n_errors, "error rule")
        head = f"passed: {plural(self.n_rows, 'row')}, no error{also}"
        if n_errors:
            head = f"failed: {int(self.bad_rows.sum())} of {plural(self.n_rows, 'row')} break {rules}{also}"
        ordered = sorted(self.failures, key=lambda f: f.severity)
        return "\n".join([head, *(f"{f.severity:<7} {f.check}: {f.message}" for f in ordered)])


@frozen(eq=False)
class Basis:
    """What a report was judged by."""

    schema: Schema
    checks: tuple[Check, ...]
    found: Findings
    now: dt.datetime | None


def judge(schema: Schema, checks: tuple[Check, ...], found: Findings, now: dt.datetime | None) -> ValidationReport:
    """Weigh findings against tolerances and say them in words."""
    judged = _Judge(schema, found)
    failures = [*judged.whole(now), *judged.columns(), *judged.other_columns(), *judged.keys(), *judged.custom(checks)]
    return ValidationReport(tuple(failures), found.n_rows, Basis(schema, checks, found, now))


@frozen(eq=False)
class _Judge:
    schema: Schema
    found: Findings

    def whole(self, now: dt.datetime | None) -> Iterator[Failure]:
        n, schema = self.found.n_rows, self.schema
        if n == 0:
            yield self.all_rows(None, "empty", "error", "the batch has no rows; expected at least one")
        low, high = schema.min_rows or 0, schema.max_rows
        if n and (n < low or (high is not None and n > high)):
            limits = f"at least {low}" if high is None else f"{low} to {high}"
            yield self.all_rows(None, "volume", "warning", f"the batch has {n} rows; expected {limits}")
        if schema.max_age is None or self.found.newest is None:
            return
        moment = frames.utc(now)
        microseconds = (moment - _EPOCH) // _MICROSECOND - self.found.newest // 1000
        if microseconds > schema.max_age // _MICROSECOND:
            age = min(microseconds, dt.timedelta.max // _MICROSECOND) * _MICROSECOND
            before = f"{age} before {moment:%Y-%m-%d %H:%M}"
            shown = schema[str(schema.time)].show(self.found.newest)
            text = f"the newest row is of {shown}, {before}; expected at most {schema.max_age}"
            yield self.all_rows(schema.time, "stale", "error", text)

    def columns(self) -> Iterator[Failure]:
        for spec in self.schema.columns:
            broken = self.of_column(spec)
            for check in ("missing_column", "dtype"):
                if check in broken:
                    yield self.all_of(spec.name, check, spec.severity_of(check), broken[check])
            for check, text in _TEXTS.items():
                if check in broken:
                    yield self.some(spec.name, check, broken[check], text(spec), spec)
            if "range" in broken and not _expected_by_chance(spec, broken["range"], self.found.n_known[spec.name]):
                yield self.some(spec.name, "range", broken["range"], _limits(spec, broken["range"]), spec)

    def of_column(self, spec: ColumnSchema) -> dict[str, Broken]:
        """Return the findings of a column; a type that is wrong in some parts alone is a matter of their values."""
        broken = {
            check: self.found.broken["column", spec.name, check]
            for check in ("missing_column", "dtype", *_TEXTS, "range")
            if ("column", spec.name, check) in self.found.broken
        }
        if "dtype" not in broken:
            return broken
        wrong = broken.pop("dtype")
        if spec.name not in self.found.typed:
            elsewhere = (("column", spec.name, "missing_column"), ("frame", spec.name, "duplicate_column"))
            gone = [self.found.broken[key].rows for key in elsewhere if key in self.found.broken]
            rows = np.setdiff1d(np.arange(self.found.n_rows), np.concatenate([np.zeros(0, dtype=np.int64), *gone]))
            kept = {check: found for check, found in broken.items() if check == "missing_column"}
            return {**kept, "dtype": evolve(wrong, rows=rows)}
        held = Broken(np.setdiff1d(wrong.rows, wrong.missing), wrong.examples)
        broken["type_value"] = broken["type_value"] + held if "type_value" in broken else held
        if len(wrong.missing) and not spec.nullable:
            nulls = Broken(wrong.missing, (None,) * min(len(wrong.missing), SHOWN))
            broken["null"] = broken["null"] + nulls if "null" in broken else nulls
        return broken

    def other_columns(self) -> Iterator[Failure]:
        for (kind, name, check), broken in self.found.broken.items():
            if kind == "frame":
                yield self.all_of(name, check, "error" if check == "duplicate_column" else "warning", broken)

    def keys(self) -> Iterator[Failure]:
        for key in self.schema.unique:
            broken = self.found.broken.get(("key", key_name(key), "unique"))
            if broken is not None:
                text = "repeat the key of an earlier row"
                yield self.rows(", ".join(key), "unique", "error", self.schema.tolerance, broken, text)

    def custom(self, checks: Iterable[Check]) -> Iterator[Failure]:
        for check in checks:
            of = {
                kind: self.found.broken.get(("custom", check.name, kind)) for kind in ("check_error", "whole", "rows")
            }
            if of["check_error"] is not None:
                yield self.all_of(check.column, "check_error", check.severity, of["check_error"])
            if of["whole"] is not None:
                yield self.all_of(check.column, check.name, check.severity, of["whole"])
            if of["rows"] is not None:
                yield self.rows(check.column, check.name, check.severity, check.tolerance, of["rows"], "break the rule")

    def all_rows(self, column: str | None, check: str, severity: Severity, text: str) -> Failure:
        """Return a failure that concerns every row."""
        return self.all_of(column, check, severity, Broken(np.arange(self.found.n_rows, dtype=np.int64), text=text))

    def all_of(self, column: str | None, check: str, severity: Severity, broken: Broken) -> Failure:
        """Return a failure that concerns whole frames."""
        where = "" if column is None else f"{column}: "
        return Failure(
            column, check, len(broken.rows), self.found.n_rows, severity, broken.rows, (), where + broken.text
        )

    def some(self, column: str, check: str, broken: Broken, text: str, spec: ColumnSchema) -> Failure:
        tolerance = self.schema.tolerance_of(column, check)
        return self.rows(column, check, spec.severity_of(check), tolerance, broken, text)

    def rows(
        self, column: str | None, check: str, severity: Severity, tolerance: float, broken: Broken, text: str
    ) -> Failure:
        """Return a failure of some rows; within the tolerance it is a warning."""
        n, n_rows, rows, examples = len(broken.rows), self.found.n_rows, broken.rows, broken.examples
        allowed = allowed_rows(n_rows, tolerance)
        parts = [f"{n} of {plural(n_rows, 'row')} ({percent(n / n_rows)}) {text}"]
        if tolerance > 0:
            parts.append(f"a tolerance of {percent(tolerance)} allows {allowed} in a batch of this size")
        shown = ", ".join(short(v) for v in examples)
        parts.append(f"at {', '.join(str(r) for r in rows[:SHOWN])}" + (f": {shown}" if shown else ""))
        where = "" if column is None else f"{column}: "
        within: Severity = "warning" if n <= allowed else severity
        return Failure(column, check, n, n_rows, within, rows, examples, where + "; ".join(parts))


_TEXTS: dict[str, Callable[[ColumnSchema], str]] = {
    "type_value": lambda spec: f"are no {expected(spec)}",
    "null": lambda _spec: "are null; expected none",
    "nonfinite": lambda _spec: "are infinite; expected finite numbers",
    "domain": lambda spec: f"hold an unknown level; expected one of {_listed(spec.levels or ())}",
}
"""What is said of rows that break a rule, in the order of the rules."""


def _limits(spec: ColumnSchema, broken: Broken) -> str:
    low, high = ("none" if v is None else spec.show(v) for v in (spec.low, spec.high))
    least, most = spec.show(broken.low), spec.show(broken.high)
    return f"lie outside the limits {low} to {high}" + (f", extremes {least} and {most}" if least != most else "")


def _expected_by_chance(spec: ColumnSchema, broken: Broken, n_known: int) -> bool:
    """Whether a batch of the reference's law may hold this: few values, none further out than its tails reach."""
    sample = spec.sample
    if sample is None or not spec.is_sampled or broken.low < sample.least or broken.high > sample.most:
        return False
    return len(broken.rows) <= allowed_outside(n_known, sample.n_rows)


def _listed(levels: tuple[Level, ...]) -> str:
    shown = ", ".join(short(v) for v in levels[:SHOWN])
    return shown if len(levels) <= SHOWN else f"{shown}, ... ({len(levels)} levels)"
