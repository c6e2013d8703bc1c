"""What a sequential procedure remembers between two looks, and the dials that may not be turned meanwhile.

Changing a dial after seeing data voids every guarantee. A state therefore carries the hash of its dials: it refuses to
be built, evolved or read back under others.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache, lru_cache
from typing import Any, Self

import numpy as np
from attrs import field, fields, frozen

from mlopskit.errors import StateMismatch


def dial(**options: Any) -> Any:
    """Declare a field of a `State` that configures it; takes what `attrs.field` takes."""
    return field(metadata={"dial": True}, **options)


@frozen
class State:
    """The base of frozen states; updating one returns another.

    Subclasses declare configuration with `dial` and everything else with `attrs.field`, and check both in
    `__attrs_post_init__` after calling this one's.

    Parameters
    ----------
    configuration
        sha256 of the dials, in hex. Left empty it is computed; given, it must be theirs.

    Raises
    ------
    StateMismatch
        When `configuration` belongs to other dials.

    Examples
    --------
    >>> from attrs import evolve, frozen
    >>> @frozen
    ... class Count(State):
    ...     alpha: float = dial()
    ...     n: int = 0
    >>> state = evolve(Count(alpha=0.05), n=7)
    >>> evolve(state, alpha=0.5)
    Traceback (most recent call last):
        ...
    mlopskit.errors.StateMismatch: Count: the dials were turned after data were seen...
    """

    configuration: str = field(default="", kw_only=True, repr=False)

    def __attrs_post_init__(self) -> None:
        cls: Any = type(self)
        own = _hash(*((name, *_plain(getattr(self, name))) for name in _dials(cls)))
        if self.configuration not in ("", own):
            raise StateMismatch(
                f"{type(self).__name__}: the dials were turned after data were seen, which voids the guarantee; "
                "start a new one"
            )
        object.__setattr__(self, "configuration", own)

    def _next(self, **changes: Any) -> Self:
        """Return the state with these fields changed: no dials, and known to be right, so nothing is checked."""
        cls: Any = type(self)
        state: Self = object.__new__(cls)
        put = object.__setattr__
        for name in _names(cls):
            put(state, name, changes[name] if name in changes else getattr(self, name))
        return state


@cache
def _names(cls: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(cls))


@cache
def _dials(cls: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(cls) if f.metadata.get("dial"))


@lru_cache(maxsize=4096)
def _hash(*dials: Any) -> str:
    return hashlib.sha256(json.dumps(dials).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return a dial as something that can be hashed and written, whole numbers apart from floats."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes().hex()
    return type(value).__name__, value
