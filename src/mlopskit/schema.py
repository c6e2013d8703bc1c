"""What a frame should look like, as plain data that people review in git: `Schema.infer`, `diff`, `evolve`.

Inference promises little and keeps it. Kinds, nulls and keys of the reference are facts and become errors. Its extremes
are an accident of the sample (the next m rows exceed the largest of n with probability m / (n + m)), so ranges become
warnings. Levels become errors only beyond the share of new levels that the reference itself predicts.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import attrs
import numpy as np
from attrs import evolve, field, frozen

from mlopskit import formats, frames
from mlopskit.errors import ConfigurationError, DataError, NotFound

Severity: TypeAlias = Literal["error", "warning"]
Rule: TypeAlias = Literal["missing_column", "dtype", "type_value", "null", "nonfinite", "domain", "range"]
Number: TypeAlias = int | float | decimal.Decimal
Level: TypeAlias = str | int | float | bool

RULES: tuple[Rule, ...] = ("missing_column", "dtype", "type_value", "null", "nonfinite", "domain", "range")
"""The rules of one column, in the order in which they are checked."""

_ENOUGH_ROWS = 20
_MAX_LEVELS = 500
_MAX_CODES = 50
_OFTEN = 10
_RARE_SHARE = 0.05
_COMPATIBLE = {("int", "float"), ("str", "category"), ("category", "str")}


def _mapping(value: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(sorted((value or {}).items()))


@frozen
class ColumnSchema:
    """What one column should look like.

    Parameters
    ----------
    name
        The column's name.
    kind
        Its logical kind; "other" admits every kind. Integers pass where floats are expected, and categories and
        strings stand for one another.
    nullable
        Whether nulls (and NaN) are allowed.
    null_share
        Share of nulls in the reference, in [0, 1]; information.
    finite
        Whether infinities are forbidden.
    low, high
        Smallest and largest allowed value, inclusive: an exact `int` for integers, `int` nanoseconds since 1970 (UTC)
        for datetimes, `int` nanoseconds for durations, `Decimal` for decimals, else `float`. None means no limit.
    levels
        The allowed values, typed; None where they are not enforced.
    zoned
        Whether a datetime column has a time zone.
    severity
        "error" or "warning" by rule, where it is not "error".
    tolerance
        Share of rows in [0, 1] that may break a rule, by rule, where it differs from the validator's.

    Examples
    --------
    >>> ColumnSchema("hour", "int", low=0, high=23, severity={"range": "warning"}).severity_of("range")
    'warning'
    """

    name: str
    kind: frames.Kind
    nullable: bool = True
    null_share: float = 0.0
    finite: bool = True
    low: Number | None = None
    high: Number | None = None
    levels: tuple[Level, ...] | None = field(default=None)
    zoned: bool = False
    severity: dict[str, Severity] = field(factory=dict, converter=_mapping, hash=False)
    tolerance: dict[str, float] = field(factory=dict, converter=_mapping, hash=False)

    def severity_of(self, rule: str) -> Severity:
        """Return the severity of a rule."""
        return self.severity.get(rule, "error")

    def tolerance_of(self, rule: str) -> float:
        """Return the share of rows that may break a rule."""
        return self.tolerance.get(rule, 0.0)


@frozen
class Schema:
    """What a frame should look like; plain data, with JSON for review in git.

    Parameters
    ----------
    columns
        One `ColumnSchema` for each column; their order does not matter to a batch.
    n_rows
        Rows of the reference.
    unique
        Keys that must be unique: each a tuple of column names.
    keys
        Columns that were unique in the reference; information, not enforced.
    """

    columns: tuple[ColumnSchema, ...]
    n_rows: int = 0
    unique: tuple[tuple[str, ...], ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(c.name for c in self.columns)

    def __getitem__(self, name: str) -> ColumnSchema:
        """Return the schema of a column."""
        for column in self.columns:
            if column.name == name:
                return column
        raise NotFound(f"no column {name!r} in this schema: it has {list(self.names)}")

    @classmethod
    def infer(
        cls, frame: frames.Frame, *, tolerance: float = 0.0, unique: Sequence[str | Sequence[str]] = ()
    ) -> Schema:
        """Read the schema off a reference frame."""
        columns = frames.columns(frame)
        return cls(
            columns=tuple(_infer_column(c) for c in columns),
            n_rows=frames.n_rows(frame),
            unique=tuple((k,) if isinstance(k, str) else tuple(k) for k in unique),
        )

    def to_json(self) -> str:
        """Write the schema as indented JSON."""
        return formats.to_json(self, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Schema:
        """Read what `to_json` wrote."""
        return formats.from_json(text, cls)


def _infer_column(column: frames.Column) -> ColumnSchema:
    missing = column.missing
    return ColumnSchema(
        name=column.name,
        kind=column.kind,
        nullable=bool(missing.any()),
        null_share=float(missing.mean()) if len(column) else 0.0,
        zoned=column.zone is not None,
    )
