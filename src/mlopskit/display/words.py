"""Numbers and values in words."""

from __future__ import annotations

from collections.abc import Sequence


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


def as_text(value: object) -> str:
    """Return `str(value)`, or the name of its type where that raises."""
    try:
        return str(value)
    except Exception:  # an object of the user's may raise anything
        return f"<{type(value).__name__}>"


def short(value: object, limit: int = 40) -> str:
    """Return the `repr` of a value, cut where it is long; the name of its type where that raises.

    >>> short("x" * 100, limit=10)
    "'xxxxxx..."
    """
    try:
        text = repr(value)
    except Exception:  # an object of the user's may raise anything
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def listed(values: Sequence[object], shown: int = 20) -> str:
    """Return values as a list, cut where there are many.

    >>> listed(["a", "b", "c"], shown=2)
    "['a', 'b', ... (3)]"
    """
    rest = [] if len(values) <= shown else [f"... ({len(values)})"]
    return f"[{', '.join([*(short(v) for v in values[:shown]), *rest])}]"
