"""What identifies a version: which data, which code, which parameters and seed, which environment."""

from __future__ import annotations

import datetime as dt
from typing import Any

from attrs import field, frozen


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
        The git commit of the caller's working directory and whether it had uncommitted changes; None without git.
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
