"""What a frame holds, as a number: hashes of cells by value, and fingerprints that add up.

A cell's hash depends on its value alone, never on the storage or the engine: 1 and 1.0 and Decimal("1.00") are one
number, a category is its text, a date is its midnight, and nulls and NaN are one absence. A row's hash is a sum over
its cells of hash times a multiplier drawn from the column's name; the fingerprint is the sum of mixed row hashes
modulo 2**64, mixed in two ways. So fingerprints of parts add up to that of the whole, in any order.
"""

from __future__ import annotations

import decimal
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from attrs import frozen
from numpy.typing import NDArray

from mlopskit.frames.reading import Column, column
from mlopskit.stats.sketches import Distinct, mix64

Hashes: TypeAlias = NDArray[np.uint64]

_BLOCK = 1 << 16
_EXACT = 2**53
_FOLD = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def _salt(word: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(f"mlopskit|{word}".encode()).digest()[:8], "little"))


_ABSENT, _SECOND = _salt("absent"), _salt("second")
_SALTS = {word: _salt(word) for word in ("bool", "datetime", "duration", "positive", "negative")}


def hashes(column: Column) -> Hashes:
    """Return a 64-bit hash of each cell, shape (n_rows,), by its value alone: the same in every engine.

    >>> a, b = [hashes(column(v)) for v in ([1, 2, 3], np.array([1.0, 2.0, np.nan]))]
    >>> (a == b).tolist()
    [True, True, False]
    """
    return mix64(_codes(column))


def _codes(column: Column) -> Hashes:
    out = np.empty(len(column), dtype=np.uint64)
    _coder(column)(slice(None), out)
    return out


def fingerprint_of(columns: Iterable[Column]) -> str:
    """Return the fingerprint of columns already read; see `fingerprint`."""
    return content_of(columns, {})


def content_of(columns: Iterable[Column], seen: Mapping[str, Distinct]) -> str:
    """Return the fingerprint of columns already read, and show the values of some to what counts different ones.

    A cell's code c is folded to y = c K mod 2**64, y xor (y >> 32), which is a bijection; a row's hash h is the sum of
    y a over its columns, with odd a. Two different rows share one with probability 2**-63 or so. What is summed over
    rows is mix64(h), and mix64(h xor constant). What counts different values sees y a.

    Parameters
    ----------
    columns
        Columns of one length.
    seen
        For columns by name: what takes in their values, missing ones left out.
    """
    totals = [0, 0]
    for hashed in _hashed([_Part.of(c, seen.get(c.name)) for c in columns]):
        totals[0] += int(mix64(hashed).sum(dtype=np.uint64))
        totals[1] += int(mix64(np.bitwise_xor(hashed, _SECOND, out=hashed)).sum(dtype=np.uint64))
    return _text(*totals)


def row_hashes(columns: Iterable[Column]) -> Hashes:
    """Return a 64-bit hash of each row, shape (n_rows,): equal for equal rows, whatever their storage and position.

    >>> a, b = [row_hashes([column(v, "x"), column(["p", "q"], "y")]) for v in ([1, 2], [1.0, 3.0])]
    >>> (a == b).tolist()
    [True, False]
    """
    blocks = [mix64(hashed) for hashed in _hashed([_Part.of(c, None) for c in columns])]
    return np.concatenate(blocks) if blocks else np.empty(0, dtype=np.uint64)


def _hashed(parts: Sequence[_Part]) -> Iterator[Hashes]:
    """Yield the rows' hashes block by block, in one buffer that is written again."""
    n = parts[0].n if parts else 0
    cells, other, hashed = np.empty((3, min(n, _BLOCK)), dtype=np.uint64)
    shift = sum(int(part.a) for part in parts) % 2**64
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n))
        cells, other, hashed = (buffer[: rows.stop - start] for buffer in (cells, other, hashed))
        hashed[:] = shift
        for part in parts:
            part.code(rows, cells)
            _fold(cells, other)
            np.add(hashed, np.multiply(cells, part.a, out=other), out=hashed)
            part.see(rows, other)
        yield hashed


@frozen
class _Part:
    """One column on its way into a fingerprint and, where `seen` is set, a sketch."""

    n: int
    code: Callable[[slice, Hashes], None]
    a: np.uint64
    seen: Distinct | None
    missing: NDArray[np.bool_]

    @classmethod
    def of(cls, column: Column, seen: Distinct | None) -> _Part:
        a = _odd(column.name)
        if column.levels is None:
            return cls(len(column), _coder(column), a, seen, column.missing)
        table = _object_codes(column.levels)
        if seen is not None:
            used = column.values if not column.missing.any() else column.values[~column.missing]
            codes = table[np.bincount(used, minlength=len(table)) > 0]
            _fold(codes, np.empty_like(codes))
            seen.add(codes * a)
        return cls(len(column), _level_coder(table, column.values), a, None, column.missing)

    def see(self, rows: slice, hashes: Hashes) -> None:
        if self.seen is not None:
            gone = self.missing[rows]
            self.seen.add(hashes[~gone] if gone.any() else hashes)


def _fold(codes: Hashes, buffer: Hashes) -> None:
    np.multiply(codes, _FOLD, out=codes)
    np.right_shift(codes, _HALF, out=buffer)
    np.bitwise_xor(codes, buffer, out=codes)


def add_fingerprints(a: str, b: str) -> str:
    """Return the fingerprint of two parts together: each half is added modulo 2**64.

    >>> parts = [fingerprint_of([column(v, "x")]) for v in ([1, 2], [3], [1, 2, 3])]
    >>> add_fingerprints(parts[0], parts[1]) == parts[2]
    True
    """
    halves = [[int(text[:16], 16), int(text[16:], 16)] for text in (a, b)]
    return _text(halves[0][0] + halves[1][0], halves[0][1] + halves[1][1])


def _text(left: int, right: int) -> str:
    return f"{left % 2**64:016x}{right % 2**64:016x}"


@lru_cache(maxsize=1 << 12)
def _odd(name: str) -> np.uint64:
    return _salt(f"column|{name}") | np.uint64(1)


def _coder(column: Column) -> Callable[[slice, Hashes], None]:
    """Return what writes the codes of a range of rows into a buffer; text is hashed once for each level."""
    if column.levels is not None:
        return _level_coder(_object_codes(column.levels), column.values)
    missing = column.missing
    if column.values.dtype == object:
        cells = np.full(len(column), _ABSENT)
        cells[~missing] = _held_codes(column.kind, column.values[~missing])
        return lambda rows, out: np.copyto(out, cells[rows])
    if not missing.any():
        return lambda rows, out: _write(column.kind, column.values[rows], out)
    return lambda rows, out: _write_masked(column, missing, rows, out)


def _level_coder(table: Hashes, codes: NDArray[Any]) -> Callable[[slice, Hashes], None]:
    with_absent = np.append(table, _ABSENT)
    return lambda rows, out: np.copyto(out, with_absent[codes[rows]])


def _write_masked(column: Column, missing: NDArray[np.bool_], rows: slice, out: Hashes) -> None:
    _write(column.kind, column.values[rows], out)
    out[missing[rows]] = _ABSENT


def _write(kind: str, values: NDArray[Any], out: Hashes) -> None:
    """Write the codes of values that numpy holds as numbers: no two of one kind are equal."""
    if kind == "float":
        np.add(values, 0.0, out=out.view(np.float64))
    elif kind == "int" and (values.max(initial=0) > _EXACT or values.min(initial=0) < -_EXACT):
        np.copyto(out, _integer_bits(values))
    elif kind == "int":
        np.copyto(out.view(np.float64), values)
    else:
        np.bitwise_xor(values.astype(np.int64, copy=False).view(np.uint64), _SALTS[kind], out=out)


def _integer_bits(values: NDArray[Any]) -> Hashes:
    """Return the bits of the equal float where there is one, else those of the integer, salted by its sign."""
    floats = values.astype(np.float64)
    fits = floats < 2.0 ** (64 if values.dtype == np.uint64 else 63)
    equal = fits & (np.where(fits, floats, 0.0).astype(values.dtype) == values)
    whole = values.view(np.uint64) ^ np.where(values < 0, _SALTS["negative"], _SALTS["positive"])
    return np.where(equal, floats.view(np.uint64), whole)


def _held_codes(kind: str, values: NDArray[Any]) -> Hashes:
    """Code Python objects: integers and times beyond 64 bits, decimals and objects of mixed types."""
    if kind in ("int", "decimal"):
        return np.array([_number_code(v) for v in values], dtype=np.uint64)
    if kind in ("datetime", "duration"):
        return np.array([_time_code(kind, int(v)) for v in values], dtype=np.uint64)
    return _object_codes(values)


def _time_code(kind: str, nanoseconds: int) -> int:
    if -(2**63) <= nanoseconds < 2**63:
        return (nanoseconds % 2**64) ^ int(_SALTS[kind])
    return int(_text_codes([f"{kind} {nanoseconds}"])[0])


def _number_code(value: Any) -> int:
    """Code one integer or decimal as the equal float or the equal 64-bit integer is coded."""
    close = _as_float(value)
    if close == value:
        return int(np.array([close + 0.0]).view(np.uint64)[0])
    if -(2**63) <= value < 2**64 and value == int(value):
        wide = np.int64 if value < 0 else np.uint64
        return int(_integer_bits(np.array([int(value)], dtype=wide))[0])
    sign, digits, exponent = decimal.Decimal(value).as_tuple()
    text = "".join(map(str, digits))
    kept = text.rstrip("0")
    return int(_text_codes([f"number {sign} {kept} {int(exponent) + len(text) - len(kept)}"])[0])


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.nan


def _object_codes(values: NDArray[Any]) -> Hashes:
    """Code objects of any types: each type as a column of that type is coded, what has no kind by its text."""
    if set(map(type, values)) <= {str}:
        return _text_codes(values)
    groups: dict[Any, list[int]] = {}
    for i, value in enumerate(values):
        groups.setdefault((type(value), getattr(value, "tzinfo", None) is None), []).append(i)
    out = np.zeros(len(values), dtype=np.uint64)
    for rows in groups.values():
        read = column(pd.Series(values[rows], dtype=object))
        nameless = read.kind == "other" or read.levels is not None
        out[rows] = _text_codes(map(_text_of, values[rows])) if nameless else _codes(read)
    return out


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    nested = isinstance(value, (dict, list, tuple, np.ndarray))
    return repr(_canonical(value)) if nested else f"{type(value).__name__} {value!r}"


def _canonical(value: Any) -> Any:
    """Return a nested value as lists, texts and codes of numbers and moments, so that engines agree on its text."""
    if isinstance(value, dict):
        return sorted(([str(k), _canonical(v)] for k, v in value.items()), key=lambda pair: str(pair[0]))
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_canonical(v) for v in value]
    if isinstance(value, (str, bytes)):
        return value
    code = int(_codes(column([value]))[0])
    return None if code == int(_ABSENT) else code


def _text_codes(texts: Iterable[str]) -> Hashes:
    return np.fromiter(map(_text_code, texts), dtype=np.uint64)


@lru_cache(maxsize=1 << 16)
def _text_code(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")
