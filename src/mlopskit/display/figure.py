"""Pictures from plain numbers, drawn on a figure of their own: pyplot and matplotlib's global settings stay untouched.

- `bars`: one horizontal bar for each finding, beside the limit it is compared with;
- `flow`: what leads to one thing on its left, what it leads to on its right.

matplotlib is optional (`pip install 'mlopskit[plot]'`) and imported when a picture is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mlopskit.errors import MissingExtra

MAX_BARS = 40
"""Bars that `bars` draws; the title says how many more there are."""


def bars(
    *,
    title: str,
    labels: Sequence[str],
    values: Sequence[float | None],
    xlabel: str,
    limit: float | None = None,
    ax: Any = None,
) -> Any:
    """Draw one horizontal bar for each label, the first on top, and return the axes.

    Parameters
    ----------
    title
        Title of the axes.
    labels, values
        The bars: as many values as labels. A value that is None or not finite gets no bar; it is written out instead.
        After 40 bars the title says how many more there are.
    xlabel
        What the values are, with their unit.
    limit
        Where to draw a vertical line; None for no line.
    ax
        matplotlib axes to draw on; None makes a figure of its own, reached by the result's `.figure`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    MissingExtra
        When matplotlib is not installed.

    Examples
    --------
    >>> ax = bars(title="Gaps", labels=["EWR", "JFK"], values=[0.1, -0.2], xlabel="gap", limit=0.05)
    >>> len(ax.patches), ax.get_title()
    (2, 'Gaps')
    """
    ax = _axes(len(labels[:MAX_BARS])) if ax is None else ax
    shown = [math.nan if v is None else float(v) for v in values[:MAX_BARS]]
    heights = [v if math.isfinite(v) else 0.0 for v in shown]
    ax.barh(range(len(shown)), heights, color="#4878a8")
    for row, value in enumerate(shown):
        if not math.isfinite(value):
            ax.annotate("no value" if math.isnan(value) else str(value), (0.0, row), va="center")
    # Names from data are drawn as they are: a lone "$" must not start mathematics.
    ax.set_yticks(range(len(shown)), [str(label) for label in labels[:MAX_BARS]], parse_math=False)
    ax.invert_yaxis()
    if limit is not None and math.isfinite(limit):
        ax.axvline(limit, color="#c03028", linestyle="--", linewidth=1)
    more = f" ({len(labels) - MAX_BARS} more not shown)" if len(labels) > MAX_BARS else ""
    ax.set_title(title + more, parse_math=False)
    ax.set_xlabel(xlabel, parse_math=False)
    return ax


def flow(*, title: str, sources: Sequence[str], centre: str, targets: Sequence[str], ax: Any = None) -> Any:
    """Draw boxes in three columns, arrows from the left ones to the middle one and from there to the right ones.

    Parameters
    ----------
    title
        Title of the axes.
    sources, centre, targets
        What stands in the boxes; after 40 boxes a column says how many more there are.
    ax
        As of `bars`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    MissingExtra
        When matplotlib is not installed.

    Examples
    --------
    >>> ax = flow(title="Lineage", sources=["data", "code"], centre="rain:1", targets=[])
    >>> sorted(text.get_text() for text in ax.texts if text.get_text())
    ['code', 'data', 'rain:1']
    """
    left, right = _few(sources), _few(targets)
    ax = _axes(2 * max(len(left), len(right))) if ax is None else ax
    box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "#4878a8"}
    for x, column in ((0.15, left), (0.85, right)):
        for row, label in enumerate(column):
            y = 1 - (row + 0.5) / len(column)
            a, b = ((x, y), (0.5, 0.5)) if x < 0.5 else ((0.5, 0.5), (x, y))
            arrow = {"arrowstyle": "->", "color": "#808080", "shrinkA": 40, "shrinkB": 40}
            ax.annotate("", xy=b, xytext=a, arrowprops=arrow)
            ax.text(x, y, label, ha="center", va="center", bbox=box, parse_math=False)
    ax.text(0.5, 0.5, centre, ha="center", va="center", bbox={**box, "linewidth": 2}, parse_math=False)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_axis_off()
    ax.set_title(title, parse_math=False)
    return ax


def _few(labels: Sequence[str]) -> list[str]:
    more = [f"{len(labels) - MAX_BARS} more"] if len(labels) > MAX_BARS else []
    return [*labels[:MAX_BARS], *more]


def _axes(n_bars: int) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra.of("matplotlib", "plot") from error
    return Figure(figsize=(7.0, 1.2 + 0.3 * max(n_bars, 1)), layout="constrained").subplots()
