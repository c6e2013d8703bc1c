"""What a frame should look like, as plain data that people review in git: `Schema.infer`, `diff`, `evolve`.

Inference promises little and keeps it. Kinds, nulls and keys of the reference are facts: breaking them is an error. Its
extremes are an accident of the sample, so ranges are warnings. Levels lie between: an unseen one is an error beyond the
share of new levels that the reference itself predicts.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from mlopskit import formats, frames
from mlopskit.errors import ConfigurationError, DataError, NotFound
from mlopskit.stats.tolerances import tail_reach, unseen_share

if TYPE_CHECKING:
    import pandas as pd

Severity: TypeAlias = Literal["error", "warning"]
Number: TypeAlias = int | float | decimal.Decimal
Level: TypeAlias = str | int | float | bool

RULES = ("missing_column", "dtype", "type_value", "null", "nonfinite", "domain", "range")
"""The rules of one column, in the order in which they are checked."""

_ROW_RULES = RULES[2:]
_LARGEST = float(np.finfo(np.float64).max)

ENOUGH_ROWS = 20
"""Rows without a null from which inference forbids nulls: below, a null share of 14% would often go unseen."""

MAX_LEVELS = 500
"""Most levels of a str or category column that inference enforces, each seen `OFTEN` times on average."""

MAX_CODES = 50
"""Most levels of an integer column that inference enforces, each seen `CODE_OFTEN` times at least."""

ENOUGH_DAYS = 20
"""Days of a reference from which it says how many rows a batch may hold."""

_DAY = 86_400 * 10**9

OFTEN = 5
CODE_OFTEN = 20

MAX_UNSEEN_SHARE = 0.05
"""Share of rows with new levels above which the levels of a column are no rule (identifiers, free text)."""

NEW_LEVEL_SHARE = 0.02
"""Share of rows that a level may bring at once where new levels are to be expected; see `Schema.infer`."""

Keys: TypeAlias = Sequence[str | Sequence[str]]


def _as_dict(value: Mapping[str, Any]) -> dict[str, Any]:
    return dict(sorted(value.items()))


def _as_levels(value: Iterable[Level] | None) -> tuple[Level, ...] | None:
    if isinstance(value, str):
        raise ConfigurationError(f"levels={value!r}: expected a list of levels, such as [{value!r}]")
    return None if value is None else tuple(value)


def _typed(levels: tuple[Level, ...] | None) -> Any:
    """Return levels as they compare: True is not 1."""
    return None if levels is None else tuple((isinstance(v, (bool, np.bool_)), v) for v in levels)


def _as_limit(value: Any) -> Any:
    """Return a limit as a plain number; a moment or a span of time in nanoseconds."""
    if isinstance(value, (np.datetime64, np.timedelta64, dt.date, dt.timedelta)):
        return int(frames.column([value]).values[0]) if value == value else value  # NaT is not NaT
    return value.item() if isinstance(value, np.generic) else value


def _as_span(value: Any) -> Any:
    if isinstance(value, np.timedelta64):
        value = value.astype("timedelta64[us]").item()
    return value.to_pytimedelta() if hasattr(value, "to_pytimedelta") else value


def _as_columns(value: Iterable[ColumnSchema]) -> tuple[ColumnSchema, ...]:
    return tuple(value)


def as_keys(value: Keys) -> tuple[tuple[str, ...], ...]:
    """Return each key as a tuple of column names.

    >>> as_keys(["id", ("day", "flight")])
    (('id',), ('day', 'flight'))

    Raises
    ------
    ConfigurationError
        When a single name is given instead of a list.
    """
    if isinstance(value, str):
        raise ConfigurationError(f"unique={value!r}: expected a list of keys, such as [{value!r}]")
    keys = tuple((key,) if isinstance(key, str) or not isinstance(key, Iterable) else tuple(key) for key in value)
    for key in keys:
        if not key or len(set(key)) < len(key) or not all(isinstance(name, str) for name in key):
            raise ConfigurationError(f"unique holds {key!r}: expected different column names, as text")
    return tuple(dict.fromkeys(keys))


@frozen
class Sample:
    """The sample that inferred limits rest on: a new batch of the same law may exceed it a little.

    Parameters
    ----------
    n_rows
        Values in the reference.
    low, high
        The least and the greatest of them.
    least, most
        How far a value of the same law may lie: values beyond are reported, however few.

    Raises
    ------
    ConfigurationError
        When these are no numbers, or no numbers in this order.
    """

    n_rows: int
    low: float
    high: float
    least: float
    most: float

    def __attrs_post_init__(self) -> None:
        limits = (self.least, self.low, self.high, self.most)
        if not (_is_size(self.n_rows) and all(map(_is_finite, limits)) and list(limits) == sorted(limits)):
            raise ConfigurationError(f"{self}: expected a number of rows, and least <= low <= high <= most")


@frozen
class ColumnSchema:
    """What one column should look like.

    Parameters
    ----------
    name
        The column's name.
    kind
        Its logical kind; "other" admits every kind. Whole numbers are integers however they are stored, integers pass
        where floats or decimals are expected, and categories and strings stand for one another.
    nullable
        Whether nulls are allowed; a NaN counts as null.
    null_share
        Share of nulls in the reference, in [0, 1]; information.
    finite
        Whether infinities are forbidden.
    low, high
        Smallest and largest allowed value, inclusive: an exact `int` for integers, `int` nanoseconds since 1970 (UTC)
        for datetimes, `int` nanoseconds for durations, `Decimal` for decimals, else `float`, which is compared with the
        precision of a 32-bit float. None means no limit. Moments and spans of time are taken as nanoseconds.
    sample
        What inferred limits of a float column rest on. Where `low` and `high` are the sample's, a
        new batch of the same law may exceed them a little; other limits are meant as they stand.
    levels
        The allowed values, typed; None where they are not enforced.
    zoned
        Whether a datetime column has a time zone.
    severity
        "error" or "warning" by rule (one of `RULES`); "error" where a rule is not named.
    tolerance
        Share of rows in [0, 1] that may break a rule, by rule; the schema's tolerance where a rule is not named.

    Raises
    ------
    ConfigurationError
        When a kind, rule, severity, tolerance, limit or level cannot work.

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
    low: Number | None = field(default=None, converter=_as_limit)
    high: Number | None = field(default=None, converter=_as_limit)
    sample: Sample | None = None
    levels: tuple[Level, ...] | None = field(default=None, converter=_as_levels, eq=_typed)
    zoned: bool = False
    severity: dict[str, Severity] = field(factory=dict, converter=_as_dict, hash=False)
    tolerance: dict[str, float] = field(factory=dict, converter=_as_dict, hash=False)

    def __attrs_post_init__(self) -> None:
        where = f"column {self.name!r}"
        if self.kind not in get_args(frames.Kind):
            raise ConfigurationError(f"{where}: kind={self.kind!r}; expected one of {list(get_args(frames.Kind))}")
        for rule in {*self.severity, *self.tolerance} - set(RULES):
            raise ConfigurationError(f"{where}: no rule {rule!r}; expected one of {list(RULES)}")
        for rule, severity in self.severity.items():
            if severity not in get_args(Severity):
                raise ConfigurationError(f"{where}: severity of {rule!r} is {severity!r}; expected error or warning")
        for rule, share in self.tolerance.items():
            check_share(f"{where}: tolerance of {rule!r}", share)
            if rule not in _ROW_RULES:
                raise ConfigurationError(f"{where}: {rule!r} concerns a whole column and takes no tolerance of rows")
        for name in ("nullable", "finite", "zoned"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"{where}: {name}={getattr(self, name)!r}; expected True or False")
        self._check_limits(where)
        if self.levels is not None:
            self._check_levels(where, self.levels)

    def _check_limits(self, where: str) -> None:
        limits = [limit for limit in (self.low, self.high) if limit is not None]
        if self.sample is not None and not isinstance(self.sample, Sample):
            raise ConfigurationError(f"{where}: sample={self.sample!r}; expected a Sample, or None")
        for limit in limits:
            if not _is_finite(limit):
                raise ConfigurationError(f"{where}: a limit is {limit!r}; expected a finite number, or None")
        if limits and self.kind not in frames.NUMERIC:
            raise ConfigurationError(f"{where}: a column of kind {self.kind!r} has no limits; leave low and high None")
        if self.kind in ("int", "datetime", "duration") and any(not isinstance(limit, int) for limit in limits):
            raise ConfigurationError(f"{where}: a limit is {limits!r}; expected integers for kind {self.kind!r}")
        if len(limits) == 2 and limits[0] > limits[1]:
            raise ConfigurationError(f"{where}: low={self.low!r} is above high={self.high!r}")

    def _check_levels(self, where: str, levels: tuple[Level, ...]) -> None:
        if self.kind in ("datetime", "duration"):
            raise ConfigurationError(f"{where}: a column of kind {self.kind!r} has no levels; leave them None")
        plain = (str, int, float, np.generic, decimal.Decimal)
        for level in levels:
            if not isinstance(level, plain) or level != level:
                raise ConfigurationError(f"{where}: a level is {level!r}; expected text, a number or a boolean")

    @property
    def is_sampled(self) -> bool:
        """Whether the limits are those of the sample, which a batch of the same law may exceed a little."""
        return self.sample is not None and (self.low, self.high) == (self.sample.low, self.sample.high)

    def severity_of(self, rule: str) -> Severity:
        """Return the severity of a rule."""
        return self.severity.get(rule, "error")

    def show(self, limit: Number) -> str:
        """Return a limit as people write it: a datetime in ISO format."""
        if self.kind not in ("datetime", "duration"):
            return f"{limit}"
        text = f"{frames.stamp(self.kind, int(limit))}"
        shorter = text.rstrip("0").rstrip(".") if "." in text else text
        return shorter + ("Z" if self.zoned else "")


def _is_finite(limit: Any) -> bool:
    if isinstance(limit, bool) or not isinstance(limit, (int, float, decimal.Decimal)):
        return False
    return limit.is_finite() if isinstance(limit, decimal.Decimal) else isinstance(limit, int) or math.isfinite(limit)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def check_share(name: str, share: float) -> None:
    """Raise where a tolerance is no share of rows.

    Raises
    ------
    ConfigurationError
        When `share` is not a number in [0, 1].
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise ConfigurationError(f"{name} is {share!r}; expected a share of rows between 0 and 1")


@frozen
class SchemaDiff:
    """What changes between two schemas, in words; it is false when nothing changes.

    Parameters
    ----------
    breaking
        Changes by which a batch that passes the old schema may fail the new one.
    compatible
        Changes by which no batch that passes the old schema can fail the new one.
    """

    breaking: tuple[str, ...] = ()
    compatible: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.breaking or self.compatible)

    def __str__(self) -> str:
        if not self:
            return "no change"
        lines = [f"breaking: {text}" for text in self.breaking] + [f"compatible: {text}" for text in self.compatible]
        return "\n".join(lines)


@frozen
class Schema:
    """What a frame should look like; plain data, with JSON for review in git.

    Parameters
    ----------
    columns
        One `ColumnSchema` for each column; their order does not matter to a batch.
    n_rows
        Rows of the reference; 0 for a schema written by hand.
    unique
        Keys that must be unique: column names, or tuples of column names. Rows with a null in the key are not compared.
    keys
        Integer and text columns without nulls or repeats in the reference; information, not enforced.
    tolerance
        Share of rows in [0, 1] that may break a rule, where the column does not say otherwise.
    min_rows, max_rows
        Expected size of a batch; None means any.
    time, max_age
        Name of a time column, and how far its newest value may lie behind `now`; None means any age.

    Raises
    ------
    ConfigurationError
        When two columns have one name, or `unique` or `time` name no column.

    Examples
    --------
    >>> schema = Schema.infer({"id": [1, 2, 3], "origin": ["JFK", "EWR", "JFK"]}, unique=["id"])
    >>> [(c.name, c.kind) for c in schema.columns], schema.unique
    ([('id', 'int'), ('origin', 'str')], (('id',),))
    >>> Schema.from_json(schema.to_json()) == schema
    True
    """

    columns: tuple[ColumnSchema, ...] = field(converter=_as_columns)
    n_rows: int = 0
    unique: tuple[tuple[str, ...], ...] = field(default=(), converter=as_keys)
    keys: tuple[str, ...] = ()
    tolerance: float = 0.0
    min_rows: int | None = None
    max_rows: int | None = None
    time: str | None = None
    max_age: dt.timedelta | None = field(default=None, converter=_as_span)

    def __attrs_post_init__(self) -> None:
        check_share("tolerance", self.tolerance)
        self._check_sizes()
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ConfigurationError(f"columns {twice} are described twice: each name means one column")
        named = [name for key in self.unique for name in key] + ([] if self.time is None else [self.time])
        unknown = sorted({name for name in named if name not in self.names})
        if unknown:
            raise ConfigurationError(
                f"unique or time name {unknown}, which the schema lacks: it has {list(self.names)}"
            )
        if self.time is not None and self[self.time].kind != "datetime":
            raise ConfigurationError(f"time={self.time!r} is of kind {self[self.time].kind!r}; expected datetime")
        if self.max_age is not None and self.time is None:
            raise ConfigurationError("max_age needs time=, the name of the column to read the age from")

    def _check_sizes(self) -> None:
        for name in ("min_rows", "max_rows"):
            size = getattr(self, name)
            if size is not None and not _is_size(size):
                raise ConfigurationError(f"{name}={size!r}; expected a number of rows, at least 0, or None")
        if self.max_rows is not None and (self.min_rows or 0) > self.max_rows:
            raise ConfigurationError(f"min_rows={self.min_rows} is above max_rows={self.max_rows}")
        age = self.max_age
        if age is not None and not (isinstance(age, dt.timedelta) and age >= dt.timedelta(0)):
            raise ConfigurationError(f"max_age={age!r}; expected a timedelta of at least 0, such as timedelta(days=1)")

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(c.name for c in self.columns)

    def __getitem__(self, name: str) -> ColumnSchema:
        """Return the description of a column.

        Raises
        ------
        NotFound
            When the schema has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise NotFound(f"no column {name!r} in this schema: it has {list(self.names)}")

    def tolerance_of(self, column: str, rule: str) -> float:
        """Return the share of rows that may break a rule of a column."""
        return self[column].tolerance.get(rule, self.tolerance)

    @classmethod
    def infer(
        cls,
        frame: frames.Frame,
        *,
        tolerance: float = 0.0,
        unique: Keys = (),
        time: str | None = None,
        max_age: dt.timedelta | None = None,
    ) -> Schema:
        """Read the schema off a reference frame.

        Kinds are errors. A null is an error where the reference has at least 20 rows and no null, a warning where it
        has fewer rows. Infinities are errors where it has none. Ranges are warnings: exact limits for integers,
        datetimes (no upper limit: the newest rows are always later), durations and decimals; for floats only what a
        batch of the same law rarely shows is reported: more values outside than the extremes of a sample leave there
        (`stats.tolerances.allowed_outside`), or one further out than its tails reach (`stats.tolerances.tail_reach`).
        Levels are enforced where they are few and seen often: at most 500 for text and categories, at most 50, each
        seen 20 times, for integers that do not merely count upwards down the rows. Where every level was seen 5 times,
        any unseen level is an error. Elsewhere the tail is open: unseen levels are an error beyond the share of rows
        that the reference predicts (Good 1953: levels seen once / rows) plus 2%, because rows come in time and a level
        that is new brings all its rows at once. Integers of which the least or the greatest is seen less than half as
        often as its neighbour may be counts with a tail: unseen ones are an error beyond 3 / rows, the rule of three
        (Hanley and Lippman-Hand 1983: with 95% confidence what was not seen in n rows has a share below 3 / n). A
        column of `unique` has neither range nor levels: new rows have new ids; integers that count upwards down the
        rows, or lie densely without a repeat, have no upper limit.

        Parameters
        ----------
        frame
            The reference: a frame with at least one row and no duplicate column names.
        tolerance
            Share of rows in [0, 1] that may break a rule of severity error.
        unique
            Keys to enforce: column names, or tuples of column names.
        time, max_age
            A datetime column, and how far its newest value may lie behind `now`. The rows of each of its days are taken
            for a batch: from twenty days on a batch is expected to hold between half of the smallest and twice the
            largest. Fewer days say too little about the size of the next.

        Raises
        ------
        DataError
            When the frame has no rows, duplicate column names, or repeats one of the keys.
        ConfigurationError
            When `unique` or `time` name no column, `time` no datetimes, or the tolerance is no share.
        """
        columns = frames.columns(frame)
        n_rows = frames.n_rows(frame)
        names = [c.name for c in columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"duplicate column name(s) {twice}: rename them, so that each name means one column")
        if n_rows == 0:
            raise DataError("cannot infer a schema from an empty frame: send at least one row")
        schema = cls(
            columns=tuple(_infer_column(c, tolerance, is_key=(c.name,) in as_keys(unique)) for c in columns),
            n_rows=n_rows,
            unique=unique,
            keys=tuple(c.name for c in columns if _is_key(c)),
            tolerance=tolerance,
            time=time,
            max_age=max_age,
        )
        if time is not None:
            schema = schema.evolve(**_volume(next(c for c in columns if c.name == time)))
        for key in schema.unique:
            repeats = np.flatnonzero(frames.repeated([c for c in columns if c.name in key]))
            if len(repeats):
                raise DataError(
                    f"the reference repeats its key {list(key)} in {len(repeats)} of {n_rows} rows (first at position "
                    f"{repeats[0]}): remove the repeats, or do not ask for this key"
                )
        return schema

    def evolve(self, column: str | None = None, /, **changes: Any) -> Schema:
        """Return a schema with one column changed, or with its own fields changed when no column is named.

        `severity` and `tolerance` of a column take one value for all its rules, or a dict by rule, which is merged.
        A new `low` or `high` is meant as it stands: the allowance of inferred float limits ends.

        Raises
        ------
        NotFound
            When the schema has no such column.
        ConfigurationError
            When a change names no field or has a value that cannot work.

        Examples
        --------
        >>> schema = Schema.infer({"hour": [5, 6, 7]})
        >>> schema.evolve("hour", low=0, high=23, severity={"range": "error"})["hour"].high
        23
        """
        target = self if column is None else self[column]
        known = [f.name for f in attrs.fields(type(target))]
        if unknown := sorted(set(changes) - set(known)):
            raise ConfigurationError(f"{unknown} cannot be changed: expected one of {known}")
        if isinstance(target, Schema):
            return attrs.evolve(target, **changes)
        if {"low", "high"} & changes.keys():
            changes = {"sample": None, **changes}
        for name, rules in (("severity", RULES), ("tolerance", _ROW_RULES)):
            if name not in changes:
                continue
            value = changes[name]
            by_rule = value if isinstance(value, Mapping) else dict.fromkeys(rules, value)
            changes[name] = {**getattr(target, name), **by_rule}
        changed = attrs.evolve(target, **changes)
        return attrs.evolve(self, columns=tuple(changed if c is target else c for c in self.columns))

    def diff(self, other: Schema) -> SchemaDiff:
        """Say in words what changes from this schema to the other, and which changes can break a batch that passes now.

        Examples
        --------
        >>> old = Schema.infer({"hour": [5, 6, 7]})
        >>> print(old.diff(old.evolve("hour", nullable=True, low=6, severity={"range": "error"})))
        breaking: hour: low 5 -> 6
        breaking: hour: severity of range warning -> error
        compatible: hour: null allowed
        """
        changes = [change for c in self.columns for change in _column_changes(self, other, c)]
        for column in other.columns:
            if column.name not in self.names:
                changes.append((True, f"{column.name}: column added ({column.kind})"))
        for key in self.unique:
            if key not in other.unique:
                changes.append((False, f"key {list(key)} no longer unique"))
        for key in other.unique:
            if key not in self.unique:
                changes.append((True, f"key {list(key)} must be unique"))
        if self.tolerance != other.tolerance:
            changes.append((other.tolerance < self.tolerance, f"tolerance {self.tolerance:g} -> {other.tolerance:g}"))
        if self.max_age != other.max_age or self.time != other.time:
            tighter = other.max_age is not None and (
                self.time != other.time or self.max_age is None or other.max_age < self.max_age
            )
            old, new = (f"{s.max_age} by {s.time}" for s in (self, other))
            changes.append((tighter, f"maximum age {old} -> {new}"))
        if (self.min_rows, self.max_rows) != (other.min_rows, other.max_rows):
            old, new = (f"{s.min_rows} to {s.max_rows}" for s in (self, other))
            changes.append((False, f"rows expected {old} -> {new}"))
        return SchemaDiff(
            tuple(text for breaks, text in changes if breaks), tuple(text for breaks, text in changes if not breaks)
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each column: what it should look like, limits as people write them.

        Examples
        --------
        >>> Schema.infer({"hour": [5, 6, 7]}).to_frame()[["column", "kind", "low", "high"]].to_numpy().tolist()
        [['hour', 'int', '5', '7']]
        """
        import pandas as pd

        rows = [
            {
                "column": c.name,
                "kind": c.kind,
                "nullable": c.nullable,
                "low": None if c.low is None else c.show(c.low),
                "high": None if c.high is None else c.show(c.high),
                "levels": None if c.levels is None else list(c.levels),
            }
            for c in self.columns
        ]
        return pd.DataFrame(rows, columns=["column", "kind", "nullable", "low", "high", "levels"], dtype=object)

    def to_json(self) -> str:
        """Write the schema as indented JSON, made for review in git."""
        return formats.to_json(self, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Schema:
        """Read what `to_json` wrote.

        Raises
        ------
        FormatError
            When the text is no schema, or a newer release wrote it.
        """
        return formats.from_json(text, cls)


def compatible(kind: frames.Kind, expected: frames.Kind) -> bool:
    """Whether every column of a kind passes where another is expected; see `ColumnSchema`.

    >>> compatible("int", "float"), compatible("float", "int")
    (True, False)
    """
    passes = {("int", "float"), ("int", "decimal"), ("str", "category"), ("category", "str")}
    return kind == expected or expected == "other" or (kind, expected) in passes


def _volume(time: frames.Column) -> dict[str, int]:
    """Return how many rows a batch is expected to hold, from the days of the reference; nothing where they are few."""
    days = time.valid() // _DAY
    sizes = np.unique(days, return_counts=True)[1]
    if len(sizes) < ENOUGH_DAYS:
        return {}
    return {"min_rows": int(sizes.min()) // 2, "max_rows": int(sizes.max()) * 2}


def _infer_column(column: frames.Column, tolerance: float, *, is_key: bool) -> ColumnSchema:
    missing = column.missing
    n_missing = int(missing.sum())
    valid = column.valid()
    nothing = n_missing == len(column)
    infinite = frames.infinite(column)
    finite = valid[~infinite[~missing]] if infinite.any() else valid
    low, high = (None, None) if is_key else _limits(column, finite)
    levels, unseen = (None, 0.0) if is_key else _levels(column, valid)
    severity: dict[str, Severity] = {}
    if n_missing == 0 and len(column) < ENOUGH_ROWS:
        severity["null"] = "warning"
    if low is not None or high is not None:
        severity["range"] = "warning"
    return ColumnSchema(
        name=column.name,
        kind="other" if nothing else column.kind,
        nullable=n_missing > 0,
        null_share=n_missing / len(column),
        finite=len(finite) == len(valid),
        low=low,
        high=high,
        sample=_sample(finite, low, high) if column.kind == "float" and low is not None else None,
        levels=levels,
        zoned=column.zone is not None,
        severity=severity,
        tolerance={"domain": max(unseen, tolerance)} if unseen > 0 else {},
    )


def _sample(values: NDArray[Any], low: Any, high: Any) -> Sample:
    """Return what inferred limits rest on."""
    below, above = tail_reach(values)
    return Sample(len(values), low, high, max(low - below, -_LARGEST), min(high + above, _LARGEST))


def _limits(column: frames.Column, valid: NDArray[Any]) -> tuple[Number | None, Number | None]:
    if column.kind not in frames.NUMERIC or len(valid) == 0:
        return None, None
    low, high = valid.min(), valid.max()
    if column.kind == "decimal":
        return low, high
    if column.kind == "float":
        return float(low), float(high)
    grows = column.kind == "datetime" or (column.kind == "int" and _grows(column, valid))
    return int(low), None if grows else int(high)


def _grows(column: frames.Column, values: NDArray[Any]) -> bool:
    """Whether integers look like ids or a counter: many, and upwards down the rows or densely without a repeat."""
    if len(values) < ENOUGH_ROWS:
        return False
    if not _falls(values[:4096]) and not _falls(values):
        steps = int(np.count_nonzero(values[1:] != values[:-1]))
        return steps >= min(MAX_CODES, len(values) - 1)
    dense = int(values.max()) - int(values.min()) < 2 * len(values)
    return dense and not frames.repeated([column]).any()


def _falls(values: NDArray[Any]) -> bool:
    return bool((values[1:] < values[:-1]).any())


def _levels(column: frames.Column, valid: NDArray[Any]) -> tuple[tuple[Level, ...] | None, float]:
    """Return the levels to enforce, or None, and the share of rows that may hold others."""
    if column.kind == "int":
        return _codes(valid)
    if column.levels is None or len(valid) == 0:
        return None, 0.0
    counts = np.bincount(valid, minlength=len(column.levels))
    seen = counts[counts > 0]
    share = unseen_share(seen)
    levels = [v.item() if isinstance(v, np.generic) else v for v in column.levels]
    plain = all(isinstance(v, (str, int, float)) for v in levels)
    if not plain or len(seen) > MAX_LEVELS or len(valid) < OFTEN * len(seen) or share > MAX_UNSEEN_SHARE:
        return None, 0.0
    kept = tuple(sorted(levels, key=lambda v: (isinstance(v, str), v)))
    return kept, 0.0 if seen.min() >= OFTEN else share + NEW_LEVEL_SHARE


def _codes(valid: NDArray[Any]) -> tuple[tuple[Level, ...] | None, float]:
    """Return the values of an integer column that holds codes, and the share of rows that may hold others.

    Codes are few, each seen often, and no clock or counter.
    """
    head = valid[: CODE_OFTEN * MAX_CODES]
    if len(valid) < CODE_OFTEN or len(np.unique(head)) > MAX_CODES or not _falls(valid):
        return None, 0.0
    values, counts = np.unique(valid, return_counts=True)
    if len(values) > MAX_CODES or counts.min() < CODE_OFTEN:
        return None, 0.0
    has_tail = len(values) > 1 and bool(2 * counts[0] < counts[1] or 2 * counts[-1] < counts[-2])
    return tuple(int(v) for v in values), 3 / len(valid) if has_tail else 0.0


def _is_key(column: frames.Column) -> bool:
    if column.kind not in {"int", "str"} or column.missing.any() or len(column) < 2:
        return False
    if column.levels is not None:
        return len(column.levels) == len(column)
    head = next(column.blocks())  # most columns that are no key repeat at once
    return not frames.repeated([head]).any() and not frames.repeated([column]).any()


def _column_changes(old: Schema, new: Schema, a: ColumnSchema) -> Iterable[tuple[bool, str]]:
    """Yield (breaks, in words) for one column."""
    if a.name not in new.names:
        yield False, f"{a.name}: column removed"
        return
    b = new[a.name]
    if a.kind != b.kind:
        yield not _admits(a, b), f"{a.name}: kind {a.kind} -> {b.kind}"
    if a.zoned != b.zoned and b.kind != "other":
        yield True, f"{a.name}: time zone {'expected' if b.zoned else 'no longer expected'}"
    if a.nullable != b.nullable:
        yield b.severity_of("null") == "error" and not b.nullable, f"{a.name}: null {_allowed(b.nullable)}"
    if a.finite != b.finite:
        yield b.severity_of("nonfinite") == "error" and b.finite, f"{a.name}: infinity {_allowed(not b.finite)}"
    yield from _limit_changes(a, b)
    yield from _level_changes(a, b)
    for rule in RULES:
        if a.severity_of(rule) != b.severity_of(rule):
            text = f"{a.name}: severity of {rule} {a.severity_of(rule)} -> {b.severity_of(rule)}"
            yield b.severity_of(rule) == "error", text
        before, after = old.tolerance_of(a.name, rule), new.tolerance_of(a.name, rule)
        if rule in {*a.tolerance, *b.tolerance} and before != after:
            breaks = after < before and b.severity_of(rule) == "error"
            yield breaks, f"{a.name}: tolerance of {rule} {before:g} -> {after:g}"


def _admits(a: ColumnSchema, b: ColumnSchema) -> bool:
    """Whether what passes as one kind passes as the other: values and columns that were only warned of included."""
    if b.severity_of("dtype") == b.severity_of("type_value") == "warning":
        return True
    strict = a.severity_of("dtype") == a.severity_of("type_value") == "error" and not a.tolerance.get("type_value")
    texts = a.levels is not None and all(isinstance(v, str) for v in a.levels)
    wider = (a.kind, b.kind) in {("int", "float"), ("str", "category")} or b.kind == "other"
    return strict and (wider or ((a.kind, b.kind) == ("category", "str") and texts))


def _limit_changes(a: ColumnSchema, b: ColumnSchema) -> Iterable[tuple[bool, str]]:
    enforced = b.severity_of("range") == "error"
    for side, sign in (("low", 1), ("high", -1)):
        before, after, reach = getattr(a, side), getattr(b, side), _reach(a, side)
        tighter = after is not None and (reach is None or sign * after > sign * reach)
        if before != after:
            sample = " of a sample" if a.is_sampled and not b.is_sampled else ""
            yield tighter and enforced, f"{a.name}: {side} {_side(a, before)}{sample} -> {_side(b, after)}"
        elif a.is_sampled and not b.is_sampled:
            yield enforced, f"{a.name}: {side} {_side(b, after)} meant as it stands"
        elif b.is_sampled and not a.is_sampled:
            yield False, f"{a.name}: {side} {_side(b, after)} that of a sample, which a batch may exceed a little"
    if a.sample and b.sample and a.is_sampled and b.is_sampled and a.sample.n_rows != b.sample.n_rows:
        more = b.sample.n_rows > a.sample.n_rows
        yield more and enforced, f"{a.name}: rows behind the limits {a.sample.n_rows} -> {b.sample.n_rows}"


def _reach(column: ColumnSchema, side: str) -> Any:
    """Return how far values may lie: beyond the limit where that is a sample's."""
    if column.sample is None or not column.is_sampled:
        return getattr(column, side)
    return column.sample.least if side == "low" else column.sample.most


def _level_changes(a: ColumnSchema, b: ColumnSchema) -> Iterable[tuple[bool, str]]:
    if a.levels is None and b.levels is not None:
        yield b.severity_of("domain") == "error", f"{a.name}: levels enforced ({len(b.levels)})"
    elif b.levels is None and a.levels is not None:
        yield False, f"{a.name}: levels no longer enforced"
    elif a.levels is not None and b.levels is not None:
        known, wanted = _typed(a.levels), _typed(b.levels)
        gone = [v for v, key in zip(a.levels, known, strict=True) if key not in wanted]
        fresh = [v for v, key in zip(b.levels, wanted, strict=True) if key not in known]
        if gone:
            yield b.severity_of("domain") == "error", f"{a.name}: levels removed {gone}"
        if fresh:
            yield False, f"{a.name}: levels added {fresh}"


def _allowed(allowed: bool) -> str:
    return "allowed" if allowed else "no longer allowed"


def _side(column: ColumnSchema, limit: Number | None) -> str:
    return "none" if limit is None else column.show(limit)
