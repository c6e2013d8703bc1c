"""What identifies a version: which data, which code, which parameters and seed, which environment.

`capture` looks at all four. Everything it returns is a plain value that is the same for the same training, so that
equal trainings have equal lineage: no clock, no memory address, no path.
"""

from __future__ import annotations

import datetime as dt
import functools
import importlib.metadata
import inspect
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from attrs import field, frozen

from mlopskit import frames

_KNOWN = {"mlopskit": "mlopskit", "numpy": "numpy", "pandas": "pandas", "scipy": "scipy", "sklearn": "scikit-learn"}
"""Distributions that every lineage notes, by the name under which they are imported."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_GIT_SECONDS = 5.0


@frozen
class Lineage:
    """Where a model comes from.

    Parameters
    ----------
    data_fingerprint
        Order-free fingerprint of the training data (`frames.fingerprint`), or None where no data were given.
    n_rows
        Rows of the training data.
    columns
        Names of the training data's columns.
    data_start, data_end
        First and last time stamp of the training data (UTC), or None where no time column was named. A model's age
        counts from `data_end`.
    commit, dirty
        The git commit of the caller's working directory and whether files that git tracks had uncommitted changes; None
        without git.
    python
        Version of the interpreter.
    packages
        Versions of the packages that the model's classes come from, and of those they stand on.
    params
        The estimator's parameters, as text.
    seed
        The seed of the training.
    """

    data_fingerprint: str | None = None
    n_rows: int | None = None
    columns: tuple[str, ...] = ()
    data_start: dt.datetime | None = None
    data_end: dt.datetime | None = None
    commit: str | None = None
    dirty: bool | None = None
    python: str = ""
    packages: dict[str, str] = field(factory=dict)
    params: dict[str, Any] = field(factory=dict)
    seed: int | None = None


def capture(
    frame: frames.Frame | None = None,
    *,
    model: Any = None,
    time: str | None = None,
    params: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Lineage:
    """Return the lineage of a training that happens here and now.

    Parameters
    ----------
    frame
        The training data.
    model
        The estimator; its parameters and the packages that its classes come from are noted.
    time
        Name of the time column in `frame`; naive times are taken as UTC. A column that holds no datetimes has no start
        and end.
    params
        Parameters to note instead of the model's own.
    seed
        The seed of the training.

    Raises
    ------
    DataError
        When `frame` has no column `time`.

    >>> lineage = capture({"x": [1.0, 2.0]}, seed=7)
    >>> lineage.n_rows, lineage.columns, lineage.seed
    (2, ('x',), 7)
    """
    if params is None:
        params = _params(model)
    commit, dirty = _git()
    start, end = (None, None) if frame is None or time is None else _span(frame, time)
    return Lineage(
        data_fingerprint=None if frame is None else frames.fingerprint(frame),
        n_rows=None if frame is None else frames.n_rows(frame),
        columns=() if frame is None else tuple(frames.names(frame)),
        data_start=start,
        data_end=end,
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        packages=versions({*_KNOWN.values(), *_distributions(model)}),
        params={str(name): _plain(value) for name, value in sorted(params.items())},
        seed=seed,
    )


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each distribution; those not installed are left out.

    >>> sorted(versions(["numpy", "no-such-distribution"]))
    ['numpy']
    """
    found = {name: _installed(name) for name in sorted(distributions)}
    return {name: version for name, version in found.items() if version is not None}


@functools.cache
def _installed(name: str) -> str | None:
    """Return a distribution's version; what a process has imported stays, whatever is installed later."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _params(model: Any) -> dict[str, Any]:
    return dict(model.get_params(deep=True)) if hasattr(model, "get_params") and not inspect.isclass(model) else {}


def _distributions(model: Any) -> set[str]:
    """Return the other distributions that the model's class and those of its parts come from."""
    roots = {type(part).__module__.partition(".")[0] for part in (model, *_params(model).values())}
    roots -= {*_KNOWN, *sys.stdlib_module_names, "__main__"}
    return {name for root in roots for name in _distributions_by_module().get(root, ())}


@functools.cache
def _distributions_by_module() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _span(frame: frames.Frame, time: str) -> tuple[dt.datetime | None, dt.datetime | None]:
    (column,) = frames.columns(frames.select(frame, [time]))
    stamps = column.valid()
    if column.kind != "datetime" or not len(stamps):
        return None, None
    return _moment(stamps.min()), _moment(stamps.max())


def _moment(nanoseconds: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=int(nanoseconds) // 1000)


def _git() -> tuple[str | None, bool | None]:
    """Return the commit of the working directory's repository and whether tracked files differ from it."""
    commit = _run_git("rev-parse", "--verify", "HEAD")
    if commit is None:
        return None, None
    status = _run_git("status", "--porcelain", "--untracked-files=no")
    return commit.strip(), None if status is None else bool(status.strip())


def _run_git(*arguments: str) -> str | None:
    """Return what git prints; None when it is absent, fails, or takes longer than a few seconds."""
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_SECONDS, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _plain(value: Any) -> Any:
    """Return a parameter as plain data or text that is the same in every process."""
    if isinstance(value, np.generic):
        return _plain(value.item())
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray):
        return f"array of {value.dtype} {value.shape}: {frames.fingerprint({'values': value.ravel()})}"
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))}
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in value), key=str)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    if hasattr(value, "get_params"):
        return type(value).__name__
    return _ADDRESS.sub("", repr(value))
