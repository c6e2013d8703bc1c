"""The rules of a schema, row by row: which rows of a frame break which, each rule on those that passed before it."""

from __future__ import annotations

import datetime as dt
import decimal
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mlopskit import frames
from mlopskit.display.words import as_text, listed
from mlopskit.schema import ColumnSchema, Level, Schema, compatible
from mlopskit.stats.sketches import mix64
from mlopskit.validation.checks import Check, as_mask
from mlopskit.validation.findings import SHOWN, Broken, Findings, Key, KeySet, key_name

_FLOAT32 = 2.0**-23  # relative spacing of 32-bit floats


class Look:
    """Finds what breaks the rules, in a frame or in pieces of one, one after the other.

    Parameters
    ----------
    schema, checks
        The rules.
    in_pieces
        Whether more than one frame may come: keys are then compared by hash, and a check has to answer row by row.
    """

    def __init__(self, schema: Schema, checks: Sequence[Check], *, in_pieces: bool) -> None:
        self.schema, self.checks, self.in_pieces = schema, checks, in_pieces
        self.keys = {key_name(key): KeySet() for key in schema.unique} if in_pieces else {}
        self.n_rows = 0

    def __call__(self, frame: frames.Frame) -> Findings:
        """Return what breaks the rules in the next frame; positions count from its first row."""
        batch, broken = _Batch.of(frame), dict[Key, Broken]()
        specs = {spec.name: spec for spec in self.schema.columns}
        kept = {name for key in self.schema.unique for name in key} | {self.schema.time}
        n_known, typed, held = dict.fromkeys(specs, 0), set[str](), dict[str, frames.Column]()
        for name in specs:
            if batch.times[name] == 0:
                text = f"the column is missing; the batch has {listed(list(batch.times))}"
                broken["column", name, "missing_column"] = batch.whole(text)
        for column in frames.each(frame) if batch.n_rows else ():
            name = column.name
            if name not in specs or batch.times[name] > 1:
                continue
            rules = _Rules(specs[name], batch, column)
            broken.update({("column", name, rule): found for rule, found in rules.broken()})
            n_known[name] = rules.n_known
            if rules.typed:
                typed.add(name)
            if name in kept and (rules.typed or column.missing.all()):
                held[name] = rules.column
        broken.update(self._other_columns(batch))
        if batch.n_rows:
            broken.update(self._repeats(batch, held))
            for check in self.checks:
                broken.update(self._custom(check, batch))
        self.n_rows += batch.n_rows
        newest = _newest(held.get(self.schema.time or ""))
        return Findings(batch.n_rows, broken, n_known, frozenset(typed), newest, self.keys)

    def _other_columns(self, batch: _Batch) -> Iterator[tuple[Key, Broken]]:
        known = set(self.schema.names)
        for name, times in batch.times.items():
            if times > 1:
                text = f"the column stands {times} times; rename it, so that each name means one column"
                yield ("frame", name, "duplicate_column"), batch.whole(text)
            elif name not in known:
                yield (
                    ("frame", name, "extra_column"),
                    batch.whole("the column is not in the schema; it was not checked"),
                )

    def _repeats(self, batch: _Batch, held: dict[str, frames.Column]) -> Iterator[tuple[Key, Broken]]:
        for key in self.schema.unique:
            if not all(name in held for name in key) or (batch.n_rows == 1 and not self.in_pieces):
                continue
            name, columns = key_name(key), [held[name] for name in key]
            if self.in_pieces:
                hashes, rows = _hashes(columns)
                repeats = self.keys[name].add(hashes, rows + self.n_rows) - self.n_rows
            else:
                repeats = np.flatnonzero(frames.repeated(columns))
            if len(repeats):
                yield ("key", name, "unique"), batch.at(key[0] if len(key) == 1 else None, repeats)

    def _custom(self, check: Check, batch: _Batch) -> Iterator[tuple[Key, Broken]]:
        try:
            bad = as_mask(check.failing(frames.shallow(batch.frame)), batch.n_rows)
        except Exception as error:  # whatever a check of the user raises is a finding
            text = f"the check {check.name!r} raised {type(error).__name__}: {as_text(error)}; mend the check"
            yield ("custom", check.name, "check_error"), batch.whole(text)
            return
        if isinstance(bad, bool):
            if self.in_pieces:
                text = (
                    f"the check {check.name!r} answers for a whole batch, and this one came in pieces: give one frame"
                )
                yield ("custom", check.name, "check_error"), batch.whole(text)
            elif bad:
                yield ("custom", check.name, "whole"), batch.whole("the batch as a whole breaks the rule")
        elif bad.any():
            yield ("custom", check.name, "rows"), batch.at(check.column, np.flatnonzero(bad))


def _hashes(key: Sequence[frames.Column]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return a hash of each complete key, and its position."""
    rows = np.flatnonzero(~np.logical_or.reduce([c.missing for c in key]))
    hashes = np.zeros(len(rows), dtype=np.uint64)
    for column in key:
        hashes = mix64(hashes ^ frames.hashes(column)[rows])
    return hashes, rows


def _newest(time: frames.Column | None) -> int | None:
    if time is None or time.kind != "datetime" or time.missing.all():
        return None
    return int(time.valid().max())


@frozen(eq=False, slots=False)
class _Batch:
    """A frame, and how often each name stands in it."""

    frame: frames.Frame
    n_rows: int
    times: Counter[str]

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The position of every row."""
        return np.arange(self.n_rows, dtype=np.int64)

    @classmethod
    def of(cls, frame: frames.Frame) -> _Batch:
        return cls(frame, frames.n_rows(frame), Counter(frames.names(frame)))

    def whole(self, text: str) -> Broken:
        """Return a finding that concerns every row."""
        return Broken(self.rows, text=text)

    def at(self, column: str | None, rows: NDArray[np.int64], **more: Any) -> Broken:
        """Return a finding of these rows, with the first values as they were sent."""
        examples = frames.cells(self.frame, column, rows[:SHOWN]) if column and self.times[column] == 1 else ()
        return Broken(rows, examples, **more)


class _Rules:
    """The rules of one column, each on the rows that passed those before it."""

    def __init__(self, spec: ColumnSchema, batch: _Batch, column: frames.Column) -> None:
        self.spec, self.batch, self.sent, self.column, self.n_known, self.typed = spec, batch, column, column, 0, False

    def broken(self) -> Iterator[tuple[str, Broken]]:
        """Yield what is broken: masks are made only where extremes, nulls and levels alone do not show that nothing is.

        `column` is then what the later checks read: values of a wrong type are null.
        """
        spec, column = self.spec, self.sent
        if _is_clean(spec, column):
            self.n_known, self.typed = len(column) - int(np.count_nonzero(column.null)), True
            return
        missing = column.missing
        if not missing.all():
            right = _typed(spec, column)
            if right is None:
                yield "dtype", self.wrong(column)
                return
            self.column, self.typed = right, True
            if right.missing is not missing:
                yield from self.rows("type_value", right.missing & ~missing)
        if not spec.nullable:
            yield from self.rows("null", missing)
        if self.typed:
            yield from self.values(self.column)

    def rows(self, rule: str, bad: NDArray[np.bool_], **more: Any) -> Iterator[tuple[str, Broken]]:
        if bad.any():
            yield rule, self.batch.at(self.spec.name, np.flatnonzero(bad), **more)

    def wrong(self, column: frames.Column) -> Broken:
        """Return the finding of a column whose type is not the expected one: all rows, and which hold no value."""
        text = f"the column holds {_kind(column)}; expected {expected(self.spec)}; nothing is converted"
        held = np.flatnonzero(~column.missing)
        examples = frames.cells(self.batch.frame, self.spec.name, held[:SHOWN])
        return Broken(self.batch.rows, examples, text, missing=np.flatnonzero(column.missing))

    def values(self, column: frames.Column) -> Iterator[tuple[str, Broken]]:
        spec, open_rows = self.spec, ~column.missing
        infinite = frames.infinite(self.sent) & open_rows
        if infinite.any():
            if spec.finite:
                yield from self.rows("nonfinite", infinite)
            open_rows &= ~infinite
        if spec.levels is not None:
            unseen = _unseen(column, spec.levels) & open_rows
            yield from self.rows("domain", unseen)
            open_rows &= ~unseen
        self.n_known = int(np.count_nonzero(open_rows))
        outside = _outside(spec, column, open_rows)
        if outside is not None:
            beyond = column.values[outside]
            low, high = beyond.min(), beyond.max()
            if isinstance(low, np.generic):
                low, high = low.item(), high.item()
            yield from self.rows("range", outside, low=low, high=high)


def _is_clean(spec: ColumnSchema, column: frames.Column) -> bool:
    """Whether kind, nulls, extremes and distinct levels alone show that no rule is broken."""
    kind = column.kind
    if not (kind == spec.kind or (kind == "int" and spec.kind == "float")) or (column.zone is not None) != spec.zoned:
        return False
    if not column.is_plain or (column.null.any() if not spec.nullable else column.null.all()):
        return False
    if column.levels is not None:
        return spec.levels is None or not _not_in(column.levels, spec.levels).any()
    if kind == "bool":
        return spec.levels is None
    if column.null.any():
        return False
    least, most = column.extremes()
    if kind == "float" and not (-np.inf < least and most < np.inf):  # a NaN is neither
        return False
    low, high = _widened(spec)
    if (low is not None and least < low) or (high is not None and most > high):
        return False
    return spec.levels is None or not any(_unseen(block, spec.levels).any() for block in column.blocks())


def _typed(spec: ColumnSchema, column: frames.Column) -> frames.Column | None:
    """Return the column with values of a wrong type as null; None where no value has the right type."""
    if column.kind == "other" and spec.kind != "other":
        column = _right_objects(spec, column)
    if column.kind == "float" and spec.kind == "int":
        column = _whole_numbers(column)
    if column.kind == "category" and spec.kind == "str":
        column = _texts(column)
    zoned = spec.zoned if column.kind != "datetime" or spec.kind == "other" else column.zone is not None
    fits = (compatible(column.kind, spec.kind) or column.kind == "other") and zoned == spec.zoned
    return column if fits and not column.missing.all() else None


def _right_objects(spec: ColumnSchema, column: frames.Column) -> frames.Column:
    right = np.fromiter((_is_right(v, spec) for v in column.values), dtype=bool, count=len(column))
    missing = ~right | column.null
    zone = "UTC" if spec.zoned else None
    if spec.kind != "int":
        return frames.of_kind(spec.kind, column.values, missing, column.name, zone)
    kept = column.values.copy()
    kept[frames.infinite(column)] = 0
    return frames.of_kind("int", kept, missing, column.name)


def _texts(column: frames.Column) -> frames.Column:
    """Return a category as text: levels that are none as null."""
    levels = [] if column.levels is None else column.levels.tolist()
    strange = np.array([*(not isinstance(v, str) for v in levels), False])[column.values]
    if not strange.any():
        return column
    codes = np.where(strange, -1, column.values)
    return frames.Column(column.name, "category", codes, column.null | strange, column.levels)


def _is_right(value: object, spec: ColumnSchema) -> bool:
    """Whether one object has the type that a kind asks for."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.timedelta64))
    match spec.kind:
        case "bool":
            return isinstance(value, (bool, np.bool_))
        case "int":
            return whole or (isinstance(value, (float, np.floating)) and (value.is_integer() or bool(np.isinf(value))))
        case "float":
            return whole or isinstance(value, (float, np.floating))
        case "decimal":
            return whole or isinstance(value, decimal.Decimal)
        case "datetime":
            is_time = isinstance(value, (dt.date, np.datetime64))
            return is_time and (getattr(value, "tzinfo", None) is not None) == spec.zoned
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
    bools = (bool, np.bool_)  # True is not 1
    known = {(v, isinstance(v, bools)) for v in levels}
    return np.fromiter(((v, isinstance(v, bools)) not in known for v in values.tolist()), dtype=bool, count=len(values))


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
    return bad


def _widened(spec: ColumnSchema) -> tuple[Any, Any]:
    """Return the limits; those of floats give way by one step of a 32-bit float."""
    if spec.kind != "float":
        return spec.low, spec.high
    low = None if spec.low is None else float(spec.low) - abs(float(spec.low)) * _FLOAT32
    return low, None if spec.high is None else float(spec.high) + abs(float(spec.high)) * _FLOAT32


def _kind(column: frames.Column) -> str:
    if column.kind == "datetime":
        return "datetime " + ("without time zone" if column.zone is None else f"in {column.zone}")
    return {"str": "text (str)", "other": "mixed objects"}.get(column.kind, column.kind)


def expected(spec: ColumnSchema) -> str:
    """Return the kind that a column should have, in words."""
    zone = " with a time zone" if spec.zoned else " without time zone"
    return spec.kind + (zone if spec.kind == "datetime" else "")
