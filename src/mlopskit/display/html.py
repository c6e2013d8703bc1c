"""A report as a piece of HTML: a heading, the report's own words, and its rows as a table.

The fragment stands alone: inline styles, no scripts, nothing fetched, every value escaped, so that a column name or a
group found in data cannot run in a notebook.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

MAX_ROWS = 50
"""Rows that `page` shows; it says how many more there are."""

_CELL = "padding:2px 8px;border-bottom:1px solid #8884;vertical-align:top"


def page(title: str, text: str, table: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return a self-contained HTML fragment.

    Parameters
    ----------
    title
        Heading, plain text.
    text
        The report in words, plain text; line breaks and spaces are kept.
    table
        One mapping for each row; the columns are the keys in order of first appearance. A key that a row does not have
        leaves an empty cell. After 50 rows a line says how many more there are.

    Returns
    -------
    str
        HTML in which every title, word and cell is escaped.

    Examples
    --------
    >>> fragment = page("Report", "1 < 2", [{"group": "<b>", "gap": 0.123456}])
    >>> "1 &lt; 2" in fragment, "&lt;b&gt;" in fragment, "0.1235" in fragment
    (True, True, True)
    """
    parts = [
        '<div style="font-family:sans-serif;font-size:13px">',
        f'<p style="font-weight:bold;margin:4px 0">{html.escape(title)}</p>',
        f'<pre style="white-space:pre-wrap;margin:4px 0">{html.escape(text)}</pre>',
        *_table(table),
        "</div>",
    ]
    return "\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    keys = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f'<th style="{_CELL};text-align:left">{html.escape(str(key))}</th>' for key in keys)
    lines = [f'<table style="border-collapse:collapse"><tr>{head}</tr>']
    lines += [f"<tr>{''.join(_cell(row.get(key, '')) for key in keys)}</tr>" for row in rows[:MAX_ROWS]]
    lines.append("</table>")
    if len(rows) > MAX_ROWS:
        lines.append(f'<p style="margin:4px 0">{len(rows) - MAX_ROWS} more rows: see to_frame()</p>')
    return lines


def _cell(value: object) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    side = "right" if is_number else "left"
    return f'<td style="{_CELL};text-align:{side}">{html.escape(text)}</td>'
