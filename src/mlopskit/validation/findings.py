"""What breaks the rules of a schema in a batch or in part of one: plain findings, which add, before they are judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from mlopskit import formats
from mlopskit.errors import DataError, FormatError
from mlopskit.stats.summaries import extremes

SHOWN = 5
"""Values that a failure shows."""
MAX_KEYS = 10_000_000
"""Rows up to which a key is compared across pieces: 16 bytes a row; two keys share a hash with probability 3e-6."""

Key = tuple[str, str | None, str]
"""Of what kind a finding is, and the column and check concerned."""


def key_name(columns: Sequence[str]) -> str:
    """Return the name under which findings about a key stand: one that no other key has, whatever its columns.

    >>> key_name(("a, b",)) == key_name(("a", "b"))
    False
    """
    return "\0".join(columns)


@frozen(eq=False)
class Broken:
    """The rows that break one rule.

    Parameters
    ----------
    rows
        Their positions, ascending.
    examples
        The values at the first of them, as sent.
    text
        What is said of them, where the schema alone does not say it.
    low, high
        Extremes of the values, where limits are broken.
    missing
        Of a column of the wrong type: positions without a value.
    """

    rows: NDArray[np.int64]
    examples: tuple[Any, ...] = ()
    text: str = ""
    low: Any = None
    high: Any = None
    missing: NDArray[np.int64] = field(factory=lambda: np.zeros(0, dtype=np.int64))

    def after(self, n_rows: int) -> Broken:
        """Return the same rows of a part that begins after so many others."""
        return Broken(self.rows + n_rows, self.examples, self.text, self.low, self.high, self.missing + n_rows)

    def __add__(self, other: Broken) -> Broken:
        return Broken(
            _united(self.rows, other.rows),
            (self.examples + other.examples)[:SHOWN],
            self.text or other.text,
            *extremes((self.low, self.high), (other.low, other.high)),
            _united(self.missing, other.missing),
        )


def _united(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of both, ascending."""
    if not len(a) or not len(b) or a[-1] < b[0]:
        return np.concatenate([a, b])
    return np.union1d(a, b)


class KeySet:
    """The keys of the rows so far, as hashes, and where each stood first."""

    def __init__(self) -> None:
        self.hashes, self.positions = np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)

    def copy(self) -> KeySet:
        """Return a set of the same keys that grows by itself."""
        same = KeySet()
        same.hashes, same.positions = self.hashes, self.positions
        return same

    def add(self, hashes: NDArray[np.uint64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take in keys in the order of their rows; return the positions of those that were there already.

        Raises
        ------
        DataError
            When there are too many.
        """
        if len(self.hashes) + len(hashes) > MAX_KEYS:
            raise DataError(
                f"a key is compared across pieces for up to {MAX_KEYS:,} rows: check it where the rows are, and leave "
                "it out here by schema.evolve(unique=())"
            )
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        known = np.zeros(len(hashes), dtype=bool)
        known[1:] = ordered[1:] == ordered[:-1]
        if len(self.hashes):
            place = np.searchsorted(self.hashes, ordered).clip(max=len(self.hashes) - 1)
            known |= self.hashes[place] == ordered
        new, there = order[~known], order[known]
        merged = np.concatenate([self.hashes, hashes[new]])
        both = np.argsort(merged, kind="stable")
        self.hashes, self.positions = merged[both], np.concatenate([self.positions, positions[new]])[both]
        return np.sort(positions[there])


@frozen(eq=False)
class Findings:
    """Everything that judging a batch needs, of the whole batch or of a part.

    Parameters
    ----------
    n_rows
        Rows seen.
    broken
        The rules that rows break.
    n_known
        Of columns with limits: values that were compared with them.
    typed
        Columns of which a part with values has the right type.
    newest
        The newest value of the time column in nanoseconds, or None.
    keys
        The keys seen, by name; parts read one after the other share one `KeySet`.
    """

    n_rows: int
    broken: dict[Key, Broken]
    n_known: dict[str, int]
    typed: frozenset[str]
    newest: int | None
    keys: dict[str, KeySet]

    def settled(self) -> Findings:
        """Return the same findings with keys of their own, which later parts do not change."""
        return evolve(self, keys={name: keys.copy() for name, keys in self.keys.items()})

    def __add__(self, other: Findings) -> Findings:
        later = {key: found.after(self.n_rows) for key, found in other.broken.items()}
        broken = {**self.broken, **later}
        for key in self.broken.keys() & later.keys():
            broken[key] = self.broken[key] + later[key]
        together = dict(self.keys)
        for name, keys in self.keys.items():
            if keys is not other.keys[name]:
                together[name] = keys.copy()
                _compare(name, together[name], other.keys[name], self.n_rows, broken)
        return Findings(
            self.n_rows + other.n_rows,
            broken,
            {name: n + other.n_known[name] for name, n in self.n_known.items()},
            self.typed | other.typed,
            extremes((None, self.newest), (None, other.newest))[1],
            together,
        )


def _compare(name: str, keys: KeySet, others: KeySet, n_rows: int, broken: dict[Key, Broken]) -> None:
    """Find the rows of a later part whose key stands in an earlier one; the earlier keys take in the later."""
    order = np.argsort(others.positions)
    repeats = keys.add(others.hashes[order], others.positions[order] + n_rows)
    if len(repeats):
        key: Key = ("key", name, "unique")
        found = Broken(repeats)
        broken[key] = broken[key] + found if key in broken else found


def dump_findings(found: Findings) -> bytes:
    """Return findings as they travel from a cluster; examples that JSON cannot hold travel as text."""
    broken = [[*key, evolve(one, examples=tuple(map(_portable, one.examples)))] for key, one in found.broken.items()]
    keys = {name: [keys.hashes, keys.positions] for name, keys in found.keys.items()}
    rest = {"n_known": found.n_known, "typed": sorted(found.typed), "newest": found.newest}
    return formats.to_bytes({"n_rows": found.n_rows, "broken": broken, "keys": keys, **rest})


def load_findings(data: bytes) -> Findings:
    """Rebuild what `dump_findings` wrote."""
    plain = formats.from_bytes(data, dict)
    keys = {name: KeySet() for name in plain["keys"]}
    for name, (hashes, positions) in plain["keys"].items():
        keys[name].hashes, keys[name].positions = hashes, positions
    broken = {(kind, column, check): one for kind, column, check, one in plain["broken"]}
    return Findings(plain["n_rows"], broken, dict(plain["n_known"]), frozenset(plain["typed"]), plain["newest"], keys)


def _portable(value: Any) -> Any:
    try:
        formats.encode(value)
    except FormatError:
        return str(value)
    return value
