"""Which columns of two frames can be compared at all."""

from __future__ import annotations

from collections.abc import Sequence

from mlopskit import frames
from mlopskit.errors import ConfigurationError
from mlopskit.profiling.bins import ColumnBins, LevelBins

_NUMBERS = frozenset({"int", "float", "decimal"})
_TEXTS = frozenset({"str", "category"})


def check_columns(columns: Sequence[str] | None) -> None:
    """Refuse columns that are no list of names.

    Raises
    ------
    ConfigurationError
        When it is a text or an empty list.
    """
    if isinstance(columns, str) or (columns is not None and len(columns) == 0):
        raise ConfigurationError(f"columns={columns!r}: expected a list of at least one name, or None for all")


def family(kind: str | None) -> str | None:
    """Return what a kind is compared as: numbers, text, or itself."""
    return "number" if kind in _NUMBERS else "text" if kind in _TEXTS else kind


def can_count(bins: ColumnBins, column: frames.Column) -> bool:
    """Whether a column can be counted in these bins."""
    if column.missing.all() or (isinstance(bins, LevelBins) and not bins.levels):
        return True
    return family(bins.kind) == family(column.kind)
