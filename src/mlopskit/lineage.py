"""What identifies a version: which data, which code, which parameters and seed, which environment.

`capture` looks at all four. Everything it returns is a plain value that is the same for the same training, so that
equal trainings have equal lineage: no clock, no memory address, no path.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import importlib.metadata
import inspect
import platform
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from attrs import field, frozen

from mlopskit import frames

_KNOWN = {"mlopskit": "mlopskit", "numpy": "numpy", "pandas": "pandas", "scipy": "scipy", "sklearn": "scikit-learn"}
"""Distributions that every lineage notes, by the name under which they are imported."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_GIT_SECONDS = 5.0
_DIFF = (  # plumbing, which reads no one's configuration of how diffs look
    "diff-index",
    "-p",
    "--binary",
    "--full-index",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "HEAD",
    "--",
)


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
    diff
        The sha256 of those changes, as `git diff-index -p --binary HEAD` prints them: two dirty trainings of one commit
        ran the same code where these are equal. None where nothing changed, or it is not known.
    no_commit
        Why there is no commit, in words; empty where there is one.
    python
        Version of the interpreter.
    packages
        Versions of the packages that the model's classes come from, and of all that these stand on.
    freeze
        Versions of everything that was installed, where that was asked for.
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
    diff: str | None = None
    no_commit: str = ""
    python: str = ""
    packages: dict[str, str] = field(factory=dict)
    freeze: dict[str, str] = field(factory=dict)
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
    code = _code()
    start, end = (None, None) if frame is None or time is None else _span(frame, time)
    return Lineage(
        data_fingerprint=None if frame is None else frames.fingerprint(frame),
        n_rows=None if frame is None else frames.n_rows(frame),
        columns=() if frame is None else tuple(frames.names(frame)),
        data_start=start,
        data_end=end,
        **code,
        python=platform.python_version(),
        packages=versions(closure({*_KNOWN.values(), *_distributions(model)})),
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


def closure(distributions: Iterable[str]) -> set[str]:
    """Return these distributions and all that they require, and so on; extras and other platforms do not count.

    What mlopskit itself requires is left out: it is noted for its own sake, not because a model stands on it.

    >>> {"pandas", "numpy", "python-dateutil", "six"} <= closure(["pandas"])
    True
    """
    found: set[str] = set()
    open_ = list(distributions)
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            open_ += [] if name == "mlopskit" else _requirements(name)
    return found


@functools.cache
def _requirements(name: str) -> tuple[str, ...]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        lines = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return ()
    names = []
    for line in lines:
        try:
            required = Requirement(line)
        except InvalidRequirement:  # metadata of an old release: what cannot be read is not followed
            continue
        if required.marker is None or required.marker.evaluate({"extra": ""}):
            names.append(canonicalize_name(required.name))
    return tuple(names)


def installed() -> dict[str, str]:
    """Return the version of every distribution that is installed here, by name.

    >>> {"numpy", "mlopskit"} <= installed().keys()
    True
    """
    found = {str(d.metadata["Name"]): d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
    return dict(sorted(found.items()))


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


def _code() -> dict[str, Any]:
    """Return the commit of the working directory's repository, and in what the tracked files differ from it."""
    try:
        commit = _git("rev-parse", "--verify", "HEAD").decode().strip()
    except FileNotFoundError:
        return {"no_commit": "git is not installed"}
    except subprocess.TimeoutExpired:
        return {"no_commit": f"git took longer than {_GIT_SECONDS:g} s"}
    except (OSError, subprocess.SubprocessError):
        return {"no_commit": "no git repository, or one without a commit"}
    with suppress(OSError, subprocess.SubprocessError):
        diff = _git(*_DIFF, digest=True).decode()
        dirty = diff != hashlib.sha256().hexdigest()
        return {"commit": commit, "dirty": dirty, "diff": diff if dirty else None}
    return {"commit": commit}


def _git(*arguments: str, digest: bool = False) -> bytes:
    """Return what git prints, or the sha256 of it in hex, of which little is held at a time.

    Raises
    ------
    OSError, subprocess.SubprocessError
        When git is absent, fails, or takes longer than a few seconds.
    """
    command, nowhere = ["git", "--no-optional-locks", *arguments], subprocess.DEVNULL
    with subprocess.Popen(command, stdin=nowhere, stdout=subprocess.PIPE, stderr=nowhere) as process:
        assert process.stdout is not None
        timer = threading.Timer(_GIT_SECONDS, process.kill)
        timer.start()
        try:
            if digest:
                found = hashlib.file_digest(process.stdout, "sha256").hexdigest().encode()  # type: ignore[arg-type]
            else:
                found = process.stdout.read()
            failed = process.wait()
        finally:
            stopped = not timer.is_alive()
            timer.cancel()
    if stopped and failed:
        raise subprocess.TimeoutExpired(command, _GIT_SECONDS)
    if failed:
        raise subprocess.CalledProcessError(failed, command)
    return found


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
