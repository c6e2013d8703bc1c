"""Rules of your own: a subclass of `Check` with one hook, or a function under `@check`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from mlopskit import frames
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.schema import Severity, check_share


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
    >>> from mlopskit.validation import DataValidator
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
        raises becomes a failure named check_error. A batch that comes in chunks or pieces is asked piece by piece: a
        rule that compares rows with one another then sees one piece at a time.
        """


def check(
    name: str, *, column: str | None = None, severity: Severity = "error", tolerance: float = 0.0
) -> Callable[[Callable[[frames.Frame], Any]], Check]:
    """Make a check of a function that says which rows are bad.

    Parameters
    ----------
    name, column, severity, tolerance
        As of a `Check`.

    Raises
    ------
    ConfigurationError
        When the name is empty, the severity is none, or the tolerance no share.

    Examples
    --------
    >>> from mlopskit.validation import DataValidator
    >>> @check("end_after_start", tolerance=0.01)
    ... def end_after_start(frame):
    ...     return frame["end"] < frame["start"]
    >>> validator = DataValidator(checks=[end_after_start]).fit({"start": np.array([0, 9]), "end": np.array([1, 9])})
    >>> report = validator.validate({"start": np.array([5, 5]), "end": np.array([4, 9])})
    >>> [(f.check, f.rows.tolist()) for f in report.failures]
    [('end_after_start', [0])]
    """
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"check: name={name!r}; expected the text that reports call it by")

    def made(function: Callable[[frames.Frame], Any]) -> Check:
        found = _FunctionCheck(function)
        found.name, found.column, found.severity, found.tolerance = name, column, severity, tolerance
        check_settings(found)
        found.__doc__ = function.__doc__
        return found

    return made


class _FunctionCheck(Check):
    def __init__(self, function: Callable[[frames.Frame], Any]) -> None:
        self._function = function

    def failing(self, frame: frames.Frame) -> Any:
        return self._function(frame)


def check_settings(check: Check) -> None:
    """Refuse a check whose severity or tolerance cannot work.

    Raises
    ------
    ConfigurationError
        When it is no check, or a setting cannot work.
    """
    if not isinstance(check, Check):
        raise ConfigurationError(f"checks hold {check!r}; expected instances of Check subclasses")
    check_share(f"check {check.name!r}: tolerance", check.tolerance)
    if check.severity not in get_args(Severity):
        raise ConfigurationError(f"check {check.name!r}: severity={check.severity!r}; expected error or warning")


def as_mask(result: Any, n_rows: int) -> bool | NDArray[np.bool_]:
    """Return what a check answered as one bool, or as a mask of shape (n_rows,).

    Raises
    ------
    DataError
        When it is neither.
    """
    if isinstance(result, (bool, np.bool_)):
        return bool(result)
    column = frames.column(result if hasattr(result, "iloc") else np.asarray(result))
    if column.kind != "bool" and not column.null.all():
        raise DataError(f"it returned values of kind {column.kind!r}; expected booleans, True where a row is bad")
    if len(column) != n_rows:
        raise DataError(f"it returned {len(column)} values for {n_rows} rows; expected one for each row")
    return np.asarray(column.values == True, dtype=bool) & ~column.null  # noqa: E712
