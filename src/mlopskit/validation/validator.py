"""The validator: fits a schema, validates frames, pieces and chunks, and travels as JSON."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from attrs import define, field, frozen

from mlopskit import formats, frames
from mlopskit.errors import ConfigurationError, NotFittedError
from mlopskit.schema import Schema, as_keys, check_share
from mlopskit.validation.checks import Check, check_settings
from mlopskit.validation.findings import Findings, dump_findings, load_findings
from mlopskit.validation.monitor import ValidationMonitor
from mlopskit.validation.reports import ValidationReport, judge
from mlopskit.validation.rules import Look


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
            check_settings(check)
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

    def fit(
        self, reference: frames.Frame, *, time: str | None = None, max_age: dt.timedelta | None = None
    ) -> DataValidator:
        """Infer the schema from a reference frame (see `Schema.infer`), replacing the one there was.

        Parameters
        ----------
        reference
            A frame with at least one row.
        time
            A datetime column. The rows of each of its days are taken for a batch: from twenty days on the schema
            expects between half of the smallest and twice the largest.
        max_age
            How far the newest time of a batch may lie behind `now`; None means any age.

        Raises
        ------
        DataError
            When the frame is empty, has duplicate column names, or repeats one of the keys.
        ConfigurationError
            When `time` is no datetime column, or `max_age` comes without it.
        """
        self.schema = Schema.infer(reference, tolerance=self.tolerance, unique=self.unique, time=time, max_age=max_age)
        return self

    def validate(self, batch: Any, *, now: dt.datetime | None = None) -> ValidationReport:
        """Compare a batch with the schema; it is neither changed nor converted.

        Parameters
        ----------
        batch
            A frame in memory, whose columns may come in any order; or data of any size from any source (see
            `Binning.profile`), which are read piece by piece. Positions then count through all pieces, keys are
            compared by their hashes, and a check of one's own has to answer row by row.
        now
            The time that the age of the newest row is counted to; None is the wall clock, naive times are UTC.

        Raises
        ------
        NotFittedError
            When there is no schema yet.
        DataError
            When `batch` is nothing that can be read as a frame, or a key is to be compared over more than ten million
            rows in pieces.
        """
        schema = self.state.schema
        if frames.is_frame(batch):
            return judge(schema, self.checks, Look(schema, self.checks, in_pieces=False)(batch), now)
        start = partial(_look, schema, self.checks)
        found = frames.accumulate(batch, start, Findings.__add__, dump=dump_findings, load=load_findings)
        return judge(schema, self.checks, found, now)

    def start(self) -> Validation:
        """Begin to validate a batch that comes in chunks.

        Raises
        ------
        NotFittedError
            When there is no schema yet.

        Examples
        --------
        >>> run = DataValidator(unique=["id"]).fit({"id": [1, 2, 3]}).start()
        >>> for chunk in ({"id": [4, 5]}, {"id": [6, 4]}):
        ...     report = run.update(chunk)
        >>> [(f.check, f.rows.tolist()) for f in report.failures]
        [('unique', [3])]
        """
        return Validation(self.state.schema, self.checks)

    def monitor(
        self,
        *,
        false_alarm_every: float | None = None,
        alpha: float | None = None,
        horizon: int | None = None,
        random_state: int = 0,
    ) -> ValidationMonitor:
        """Return a monitor of failure rates over time; see `ValidationMonitor`.

        Raises
        ------
        NotFittedError
            When there is no schema yet.
        ConfigurationError
            When the dial cannot work.
        """
        dial: dict[str, Any] = {"false_alarm_every": false_alarm_every, "alpha": alpha, "horizon": horizon}
        return ValidationMonitor(self.state.schema, self.state.checks, random_state=random_state, **dial)

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
        schema, order = state.schema, {name: i for i, name in enumerate(state.checks)}
        checks = sorted(checks, key=lambda check: order.get(check.name, len(order)))
        return cls(schema, tolerance=schema.tolerance, unique=schema.unique, checks=checks)


class Validation:
    """A batch that is validated chunk by chunk; what it says is what validating the whole would say."""

    def __init__(self, schema: Schema, checks: tuple[Check, ...]) -> None:
        self._schema, self._checks = schema, checks
        self._look = Look(schema, checks, in_pieces=True)
        self._found: Findings | None = None

    def update(self, chunk: frames.Frame, *, now: dt.datetime | None = None) -> ValidationReport:
        """Take in the next rows and return the report of all rows so far.

        Raises
        ------
        DataError
            When `chunk` is no frame in memory, or a key is to be compared over more than ten million rows.
        """
        here = self._look(chunk)
        self._found = here if self._found is None else self._found + here
        return judge(self._schema, self._checks, self._found.settled(), now)


def _look(schema: Schema, checks: tuple[Check, ...], _partition: int) -> Look:
    return Look(schema, checks, in_pieces=True)
