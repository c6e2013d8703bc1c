"""What names a version, an alias, a file or a moment, read and checked."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlopskit import frames
from mlopskit.errors import ConfigurationError

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
SPEC = re.compile(r"([^:@]+)(?:@sha256:([0-9a-f]{8,64})|@([^:@]+)(?:@(.+))?|:([0-9]{1,9}))")
EVENT = re.compile(r"(log|data)/([^/]+)/([0-9]{8})\.json")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_name(name: str, what: str) -> str:
    """Return the name of a model, an alias or a table when it is one."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigurationError(
            f"{what}={name!r}: expected 1 to 100 of the characters a-z, 0-9, '.', '_', '-', the first a letter or digit"
        )
    return name


def check_job(key: str) -> str:
    """Return the name of a job when it is a text of sensible length."""
    if not isinstance(key, str) or not key or len(key) > 500:
        raise ConfigurationError(f"idempotency_key={key!r:.80}: expected a text of 1 to 500 characters")
    return key


def check_file(name: str) -> str:
    """Return the name of a file beside a model when it can lead nowhere else."""
    if not isinstance(name, str) or not _FILE.fullmatch(name):
        raise ConfigurationError(f"files: {name!r:.120} is no file's name: expected letters, digits, '.', '_' and '-'")
    return name


def spec_of(name: str, number: Any) -> str:
    """Return "name:number" in words."""
    return "nothing" if number is None else f"{name}:{number}"


def moment(text: str) -> dt.datetime:
    """Return a moment in UTC; a date is its end."""
    try:
        parsed = dt.datetime.fromisoformat(text)
        is_date = len(text) == len("2026-05-03")
        return frames.utc(parsed) + (dt.timedelta(days=1, microseconds=-1) if is_date else dt.timedelta(0))
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(f"got the time {text!r}; expected 2026-05-03 or 2026-05-03T12:00") from error


def numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics as plain numbers; refuse anything else."""
    for name, value in metrics.items():
        if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise ConfigurationError(f"metrics[{name!r}]={value!r}: expected a number under a name")
    return {name: float(value) for name, value in metrics.items()}


def texts(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as a dict; refuse what is no text."""
    for name, value in tags.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ConfigurationError(f"tags[{name!r}]={value!r}: expected text under a name")
    return dict(tags)
