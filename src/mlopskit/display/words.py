"""Numbers in words."""

from __future__ import annotations


def percent(share: float) -> str:
    """Return a share as people read it.

    >>> percent(0.0123)
    '1.23%'
    """
    return f"{100 * share:.3g}%"


def plural(count: int, noun: str) -> str:
    """Return a count of things.

    >>> plural(1, "row"), plural(3, "row")
    ('1 row', '3 rows')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
