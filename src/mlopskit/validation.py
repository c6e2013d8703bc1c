"""Is this batch what the model was made for? Every rule is counted, every bad row named by position, no row lost.

`DataValidator` compares a batch with a `Schema` and returns a `ValidationReport`; bad data never raise. One fault is
one failure: each rule of a column looks only at the rows that passed the rules before it. `report.split(batch)` parts
the rows that break an error rule from the rest.
"""

from __future__ import annotations

import datetime as dt
import decimal
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from mlopskit import formats, frames
from mlopskit.errors import ConfigurationError, DataError, NotFittedError, ValidationFailed
from mlopskit.evidence import Report
from mlopskit.schema import ColumnSchema, Level, Schema, Severity, as_keys, check_share, compatible
from mlopskit.stats.tolerances import allowed_outside, allowed_rows

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5
_FLOAT32 = 2.0**-23  # relative spacing of 32-bit floats


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
    examples: tuple[Any, ...]
    message: str
    share: float = field(init=False)

    @share.default
    def _share(self) -> float:
        return self.n_failed / self.n_rows if self.n_rows else 0.0


class Check(ABC):
    """A rule of your own: subclass it and say which rows are bad.

    Attributes
    ----------
    name
        How reports call it; the class's name unless given.
    column
        The column it concerns, or None for several.
    severity
        "error" (default) or "warning".
    tolerance
        Share of rows in [0, 1] that may break it.

    Examples
    --------
    >>> class Even(Check):
    ...     def failing(self, frame):
    ...         return frame["x"] % 2 == 1
    >>> report = DataValidator(checks=[Even()]).fit({"x": [2, 4, 6]}).validate({"x": np.array([2, 4, 5])})
    >>> [(f.check, f.rows.tolist()) for f in report.failures]
    [('Even', [2])]
    """

    name: str = ""
    column: str | None = None
    severity: Severity = "error"
    tolerance: float = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__

    @abstractmethod
    def failing(self, frame: frames.Frame) -> Any:
        """Return which rows of the batch are bad: a mask of shape (n_rows,), True where bad; or one bool for them all.

        The frame is the batch as it was sent, and may not be changed. A null in the mask counts as not bad. What this
        raises becomes a failure named check_error.
        """


@frozen(eq=False)
class ValidationReport(Report):
    """What a validator found in one batch.

    Parameters
    ----------
    failures
        The broken rules: the batch as a whole, then columns in the schema's order, then keys and custom checks.
    n_rows
        Rows of the batch.

    Examples
    --------
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
        also = f"; {_plural(n_warnings, 'warning')}" if n_warnings else ""
        rules = _plural(n_errors, "error rule")
        head = f"passed: {_plural(self.n_rows, 'row')}, no error{also}"
        if n_errors:
            head = f"failed: {int(self.bad_rows.sum())} of {_plural(self.n_rows, 'row')} break {rules}{also}"
        ordered = sorted(self.failures, key=lambda f: f.severity)
        return "\n".join([head, *(f"{f.severity:<7} {f.check}: {f.message}" for f in ordered)])


def _as_checks(checks: Iterable[Check]) -> tuple[Check, ...]:
    return tuple(checks)


@frozen
class ValidatorState:
    """What a validator knows, ready for JSON.

    Parameters
    ----------
    schema
        What a batch should look like.
    checks
        Names of the custom checks.
    """

    schema: Schema
    checks: tuple[str, ...] = ()


@define(eq=False)
class DataValidator:
    """Compares batches with a schema, which it infers from a reference unless it is given one.

    Parameters
    ----------
    schema
        What a batch should look like; None until `fit` infers it.
    tolerance
        Share of rows in [0, 1] that may break an error rule; beside a schema it replaces the schema's. A share is read
        as a rate: as many rows may break the rule as 95% of batches of this size at that rate hold at most. 0 allows
        no row.
    unique
        Keys to enforce: column names, or tuples of column names; beside a schema they join the schema's. Every row but
        the first with a key is bad.
    checks
        Rules of your own, with different names.

    Raises
    ------
    ConfigurationError
        When an argument cannot work.

    Examples
    --------
    >>> validator = DataValidator(unique=["id"]).fit({"id": [1, 2, 3], "delay": [0.5, 2.0, 1.5]})
    >>> report = validator.validate({"id": [7, 7], "delay": ["late", "early"]})
    >>> report.passed, [(f.column, f.check, f.rows.tolist()) for f in report.failures]
    (False, [('delay', 'dtype', [0, 1]), ('id', 'unique', [1])])
    """

    schema: Schema | None = None
    tolerance: float = field(default=0.0, kw_only=True)
    unique: tuple[tuple[str, ...], ...] = field(default=(), kw_only=True, converter=as_keys)
    checks: tuple[Check, ...] = field(default=(), kw_only=True, converter=_as_checks)

    def __attrs_post_init__(self) -> None:
        check_share("tolerance", self.tolerance)
        for check in self.checks:
            if not isinstance(check, Check):
                raise ConfigurationError(f"checks hold {check!r}; expected instances of Check subclasses")
            check_share(f"check {check.name!r}: tolerance", check.tolerance)
            if check.severity not in get_args(Severity):
                raise ConfigurationError(
                    f"check {check.name!r}: severity={check.severity!r}; expected error or warning"
                )
        names = [check.name for check in self.checks]
        if len(set(names)) < len(names):
            raise ConfigurationError(f"checks have the names {names}; expected a different name for each")
        if self.schema is not None and self.tolerance:
            self.schema = self.schema.evolve(tolerance=self.tolerance)
        if self.schema is not None and self.unique:
            self.schema = self.schema.evolve(unique=tuple(dict.fromkeys((*self.schema.unique, *self.unique))))

    @property
    def state(self) -> ValidatorState:
        """What the validator knows: its schema and the names of its checks.

        Raises
        ------
        NotFittedError
            When there is no schema yet.
        """
        if self.schema is None:
            raise NotFittedError.of(self)
        return ValidatorState(self.schema, tuple(check.name for check in self.checks))

    def fit(self, reference: frames.Frame) -> DataValidator:
        """Infer the schema from a reference frame (see `Schema.infer`), replacing the one there was.

        Raises
        ------
        DataError
            When the frame is empty, has duplicate column names, or repeats one of the keys.
        """
        self.schema = Schema.infer(reference, tolerance=self.tolerance, unique=self.unique)
        return self

    def validate(self, batch: frames.Frame, *, now: dt.datetime | None = None) -> ValidationReport:
        """Compare a batch with the schema; it is neither changed nor converted.

        Parameters
        ----------
        batch
            A frame; its columns may come in any order.
        now
            The time that the age of the newest row is counted to; None is the wall clock, naive times are UTC.

        Raises
        ------
        NotFittedError
            When there is no schema yet.
        DataError
            When `batch` is no frame.
        """
        schema = self.state.schema
        sent = _Batch.read(batch)
        found = [*_whole(schema, sent, now), *_columns(schema, sent)]
        if sent.n_rows:
            found += [*_keys(schema, sent), *(f for check in self.checks for f in _custom(check, sent))]
        return ValidationReport(tuple(found), sent.n_rows)

    def to_json(self) -> str:
        """Write the schema, and the names of the checks, as indented JSON.

        Raises
        ------
        NotFittedError
            When there is no schema yet.
        """
        return formats.to_json(self.state, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes, *, checks: Sequence[Check] = ()) -> DataValidator:
        """Read what `to_json` wrote; the checks are code and are handed in.

        Raises
        ------
        FormatError
            When the text is no validator, or a newer release wrote it.
        ConfigurationError
            When a check that the text names is not handed in.
        """
        state = formats.from_json(text, ValidatorState)
        missing = sorted(set(state.checks) - {check.name for check in checks})
        if missing:
            raise ConfigurationError(f"this validator has the checks {missing}: hand them in, checks=[...]")
        schema = state.schema
        return cls(schema, tolerance=schema.tolerance, unique=schema.unique, checks=checks)


@frozen(eq=False)
class _Batch:
    """A frame that is read once: its columns by name, those that stand twice left out."""

    frame: frames.Frame
    n_rows: int
    times: Counter[str]
    columns: dict[str, frames.Column]

    @classmethod
    def read(cls, frame: frames.Frame) -> _Batch:
        columns = frames.columns(frame)
        times = Counter(c.name for c in columns)
        return cls(frame, frames.n_rows(frame), times, {c.name: c for c in columns if times[c.name] == 1})

    def whole(self, column: str | None, check: str, severity: Severity, text: str) -> Failure:
        """Return a failure that concerns every row."""
        where = "" if column is None else f"{column}: "
        rows = np.arange(self.n_rows, dtype=np.intp)
        return Failure(column, check, self.n_rows, self.n_rows, severity, rows, (), where + text)

    def rows(
        self, column: str | None, check: str, severity: Severity, tolerance: float, bad: NDArray[np.bool_], text: str
    ) -> Failure:
        """Return a failure of the rows where `bad` is True; within the tolerance it is a warning."""
        rows = np.flatnonzero(bad)
        allowed = allowed_rows(self.n_rows, tolerance)
        examples = frames.cells(self.frame, column, rows[:_SHOWN]) if column in self.columns else ()
        parts = [f"{len(rows)} of {_plural(self.n_rows, 'row')} ({_percent(len(rows) / self.n_rows)}) {text}"]
        if tolerance > 0:
            parts.append(f"a tolerance of {_percent(tolerance)} allows {allowed} in a batch of this size")
        shown = ", ".join(_short(v) for v in examples)
        parts.append(f"at {', '.join(str(r) for r in rows[:_SHOWN])}" + (f": {shown}" if shown else ""))
        where = "" if column is None else f"{column}: "
        within: Severity = "warning" if len(rows) <= allowed else severity
        return Failure(column, check, len(rows), self.n_rows, within, rows, examples, where + "; ".join(parts))


def _whole(schema: Schema, batch: _Batch, now: dt.datetime | None) -> Iterator[Failure]:
    if batch.n_rows == 0:
        yield batch.whole(None, "empty", "error", "the batch has no rows; expected at least one")
    low, high = schema.min_rows or 0, schema.max_rows
    if batch.n_rows and (batch.n_rows < low or (high is not None and batch.n_rows > high)):
        expected = f"at least {low}" if high is None else f"{low} to {high}"
        yield batch.whole(None, "volume", "warning", f"the batch has {batch.n_rows} rows; expected {expected}")
    column = batch.columns.get(schema.time or "")
    if schema.max_age is None or column is None or column.kind != "datetime" or column.missing.all():
        return
    newest = np.datetime64(int(column.valid().max()), "ns")
    moment = frames.utc(now)
    age = dt.timedelta(
        microseconds=int((np.datetime64(moment.replace(tzinfo=None)) - newest) / np.timedelta64(1, "us"))
    )
    if age > schema.max_age:
        text = f"the newest row is of {newest}, {age} before {moment:%Y-%m-%d %H:%M}; expected at most {schema.max_age}"
        yield batch.whole(schema.time, "stale", "error", text)


def _columns(schema: Schema, batch: _Batch) -> Iterator[Failure]:
    for spec in schema.columns:
        times = batch.times[spec.name]
        if times == 0:
            text = f"the column is missing; the batch has {list(batch.times)}"
            yield batch.whole(spec.name, "missing_column", spec.severity_of("missing_column"), text)
        elif times == 1 and batch.n_rows:
            yield from _Rules(schema, spec, batch).broken()
    known = set(schema.names)
    for name, times in batch.times.items():
        if times > 1:
            text = f"the column stands {times} times; rename it, so that each name means one column"
            yield batch.whole(name, "duplicate_column", "error", text)
        elif name not in known:
            yield batch.whole(name, "extra_column", "warning", "the column is not in the schema; it was not checked")


def _keys(schema: Schema, batch: _Batch) -> Iterator[Failure]:
    for key in schema.unique:
        if not all(name in batch.columns for name in key):
            continue
        bad = frames.repeated([batch.columns[name] for name in key])
        if bad.any():
            text = "repeat the key of an earlier row"
            yield batch.rows(", ".join(key), "unique", "error", schema.tolerance, bad, text)


def _custom(check: Check, batch: _Batch) -> Iterator[Failure]:
    try:
        bad = _as_mask(check.failing(frames.shallow(batch.frame)), batch.n_rows)
    except Exception as error:  # whatever a check of the user raises is a finding
        text = f"the check {check.name!r} raised {type(error).__name__}: {error}; mend the check"
        yield batch.whole(check.column, "check_error", check.severity, text)
        return
    if bad is True:
        yield batch.whole(check.column, check.name, check.severity, "the batch as a whole breaks the rule")
    elif bad is not False and bad.any():
        yield batch.rows(check.column, check.name, check.severity, check.tolerance, bad, "break the rule")


def _as_mask(result: Any, n_rows: int) -> bool | NDArray[np.bool_]:
    if isinstance(result, (bool, np.bool_)):
        return bool(result)
    column = frames.column(result if hasattr(result, "iloc") else np.asarray(result))
    if column.kind != "bool" and not column.null.all():
        raise DataError(f"it returned values of kind {column.kind!r}; expected booleans, True where a row is bad")
    if len(column) != n_rows:
        raise DataError(f"it returned {len(column)} values for {n_rows} rows; expected one for each row")
    return np.asarray(column.values == True, dtype=bool) & ~column.null  # noqa: E712


@frozen(eq=False)
class _Rules:
    """The rules of one column, each on the rows that passed those before it."""

    schema: Schema
    spec: ColumnSchema
    batch: _Batch

    def broken(self) -> Iterator[Failure]:
        spec, column = self.spec, self.batch.columns[self.spec.name]
        missing = column.missing
        if not missing.all():
            typed = _typed(spec, column)
            if typed is None:
                text = f"the column holds {_kind(column)}; expected {_expected(spec)}; nothing is converted"
                yield self.batch.whole(spec.name, "dtype", spec.severity_of("dtype"), text)
                return
            column = typed
            yield from self.failure("type_value", column.missing & ~missing, f"are no {_expected(spec)}")
        if not spec.nullable and missing.any():
            yield from self.failure("null", missing, "are null; expected none")
        if not missing.all():
            yield from self.values(column)

    def failure(self, rule: str, bad: NDArray[np.bool_], text: str) -> Iterator[Failure]:
        if bad.any():
            severity, tolerance = self.spec.severity_of(rule), self.schema.tolerance_of(self.spec.name, rule)
            yield self.batch.rows(self.spec.name, rule, severity, tolerance, bad, text)

    def values(self, column: frames.Column) -> Iterator[Failure]:
        spec, open_rows = self.spec, ~column.missing
        infinite = frames.infinite(self.batch.columns[spec.name]) | frames.infinite(column)
        if infinite.any():
            if spec.finite:
                yield from self.failure("nonfinite", infinite, "are infinite; expected finite numbers")
            open_rows &= ~infinite
        if spec.levels is not None:
            unseen = _unseen(column, spec.levels) & open_rows
            yield from self.failure("domain", unseen, f"hold an unknown level; expected one of {_listed(spec.levels)}")
            open_rows &= ~unseen
        outside = _outside(spec, column, open_rows)
        if outside is not None:
            beyond = column.values[outside]
            low, high = ("none" if v is None else spec.show(v) for v in (spec.low, spec.high))
            seen = f"extremes {spec.show(beyond.min())} and {spec.show(beyond.max())}"
            yield from self.failure("range", outside, f"lie outside the limits {low} to {high}, {seen}")


def _typed(spec: ColumnSchema, column: frames.Column) -> frames.Column | None:
    """Return the column with values of a wrong type as null; None where no value has the right type."""
    if column.kind == "other" and spec.kind != "other":
        column = _right_objects(spec, column)
    if column.kind == "float" and spec.kind == "int":
        column = _whole_numbers(column)
    zoned = spec.zoned if column.kind != "datetime" or spec.kind == "other" else column.zone is not None
    fits = (compatible(column.kind, spec.kind) or column.kind == "other") and zoned == spec.zoned
    return column if fits and not column.missing.all() else None


def _right_objects(spec: ColumnSchema, column: frames.Column) -> frames.Column:
    right = np.fromiter((_is_right(v, spec) for v in column.values), dtype=bool, count=len(column))
    kept = column.values.copy()
    kept[~right | column.null] = None
    return frames.column(kept, column.name)


def _is_right(value: object, spec: ColumnSchema) -> bool:
    """Whether one object has the type that a kind asks for."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    match spec.kind:
        case "bool":
            return isinstance(value, (bool, np.bool_))
        case "int":
            return whole or (isinstance(value, (float, np.floating)) and float(value).is_integer())
        case "float":
            return whole or isinstance(value, (float, np.floating))
        case "decimal":
            return whole or isinstance(value, decimal.Decimal)
        case "datetime":
            zoned = getattr(value, "tzinfo", None) is not None
            return isinstance(value, (dt.date, np.datetime64)) and zoned == spec.zoned
        case "duration":
            return isinstance(value, (dt.timedelta, np.timedelta64))
        case _:
            return isinstance(value, str)


def _whole_numbers(column: frames.Column) -> frames.Column:
    """Return floats as exact integers: fractions as null, infinities as 0."""
    finite = np.isfinite(column.values)
    values = np.where(finite, column.values, 0.0)
    fraction = values != np.floor(values)
    values[fraction] = 0.0
    small = len(values) == 0 or float(np.abs(values).max()) < 2.0**63
    whole = values.astype(np.int64) if small else np.array([int(v) for v in values], dtype=object)
    return frames.Column(column.name, "int", whole, column.missing | fraction)


def _unseen(column: frames.Column, levels: tuple[Level, ...]) -> NDArray[np.bool_]:
    """Return which values are no level; arbitrary where missing."""
    if column.levels is not None:
        unknown = np.append(_not_in(column.levels, levels), False)
        return np.asarray(unknown[column.values], dtype=bool)
    if column.values.dtype == object or not all(isinstance(v, (int, float)) for v in levels):
        return _not_in(column.values, levels)
    return ~np.isin(column.values, np.array(levels))


def _not_in(values: NDArray[Any], levels: tuple[Level, ...]) -> NDArray[np.bool_]:
    known = set(levels)
    return np.fromiter((v not in known for v in values.tolist()), dtype=bool, count=len(values))


def _outside(spec: ColumnSchema, column: frames.Column, open_rows: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return which values lie outside the limits, or None; extremes first, masks only where they are needed."""
    if (spec.low is None and spec.high is None) or column.kind not in frames.NUMERIC or not open_rows.any():
        return None
    low, high = _widened(spec)
    values = column.values if open_rows.all() else column.values[open_rows]
    least, most = values.min(), values.max()
    if (low is None or least >= low) and (high is None or most <= high):
        return None
    bad = np.zeros(len(column), dtype=bool)
    if low is not None:
        bad |= np.asarray(column.values < low, dtype=bool)
    if high is not None:
        bad |= np.asarray(column.values > high, dtype=bool)
    bad &= open_rows
    return None if _expected_by_chance(spec, int(bad.sum()), len(values), least, most) else bad


def _widened(spec: ColumnSchema) -> tuple[Any, Any]:
    """Return the limits; those of floats give way by one step of a 32-bit float."""
    if spec.kind != "float":
        return spec.low, spec.high
    low = None if spec.low is None else float(spec.low) - abs(float(spec.low)) * _FLOAT32
    return low, None if spec.high is None else float(spec.high) + abs(float(spec.high)) * _FLOAT32


def _expected_by_chance(spec: ColumnSchema, n_outside: int, n_rows: int, least: float, most: float) -> bool:
    """Whether a batch of the reference's law may hold this: few values, none further out than the reference is wide."""
    if not spec.n_reference or spec.low is None or spec.high is None:
        return False
    low, high = float(spec.low), float(spec.high)
    wild = most - high > high - low or low - least > high - low
    return not wild and n_outside <= allowed_outside(n_rows, spec.n_reference)


def _kind(column: frames.Column) -> str:
    if column.kind == "datetime":
        return "datetime " + ("without time zone" if column.zone is None else f"in {column.zone}")
    return {"str": "text (str)", "other": "mixed objects"}.get(column.kind, column.kind)


def _expected(spec: ColumnSchema) -> str:
    zone = " with a time zone" if spec.zoned else " without time zone"
    return spec.kind + (zone if spec.kind == "datetime" else "")


def _listed(levels: tuple[Level, ...]) -> str:
    shown = ", ".join(_short(v) for v in levels[:_SHOWN])
    return shown if len(levels) <= _SHOWN else f"{shown}, ... ({len(levels)} levels)"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
