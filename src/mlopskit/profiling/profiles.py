"""Bins fixed once from a reference, and what batches of any size look like in them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial, reduce
from typing import Any

import numpy as np
from attrs import evolve, field, frozen

from mlopskit import formats, frames
from mlopskit.display.html import page
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.profiling.bins import ColumnBins, Ints, LevelBins, NumericBins, by_value, fit_column
from mlopskit.profiling.bins import redact as redacted
from mlopskit.profiling.columns import ColumnProfile, profile_column
from mlopskit.stats.sketches import Distinct, HyperLogLog
from mlopskit.stats.summaries import concordance

MAX_PAIRED = 50
"""Pairs of numeric columns are counted for at most this many columns."""
SAMPLE = 100_000
"""Rows that bins are fitted to where the reference is not in memory, drawn at random."""
_PAIRED_ROWS = 1 << 16
_NO_CONTENT = "0" * 32
_NOTHING_SEEN = HyperLogLog()


@frozen
class Binning(formats.Stored):
    """Where the bins lie: fixed once from a reference, so that later profiles can be compared and added.

    Parameters
    ----------
    columns
        The bins of each column, in the reference's order.
    pairs
        Whether profiles count pairs of numeric columns.

    Examples
    --------
    >>> import mlopskit as mk
    >>> binning = mk.Binning.fit({"fare": [float(v) for v in range(100)], "class": ["a", "b"] * 50})
    >>> profile = binning.profile({"fare": [3.5, 7.0], "class": ["b", "new"]})
    >>> profile["class"].counts              # a, b, other
    array([0, 1, 1])
    >>> profile["class"].others.counts
    (('new', 1),)
    >>> len(profile + profile)
    4
    """

    columns: tuple[ColumnBins, ...]
    pairs: bool = False

    @classmethod
    def fit(
        cls,
        reference: Any,
        columns: Sequence[str] | None = None,
        *,
        n_bins: int = 200,
        pairs: bool = False,
        redact: Collection[str] = (),
        random_state: int = 0,
    ) -> Binning:
        """Choose bins from a reference: quantile edges for numbers, levels for everything else.

        Parameters
        ----------
        reference
            A frame with at least one row, or data of any size from any source (see `profile`). Of data that are not in
            memory, 100,000 rows drawn in one pass decide where the bins lie: an edge's share is then off by .0016 (one
            standard error) at most, and levels below about 1 in 100,000 may be missed. Counts are exact in any case.
        columns
            Names to keep; all by default.
        n_bins
            Bins of a numeric column with more than 20 distinct values, at least 20.
        pairs
            Whether profiles shall count, for each pair of the first fifty numeric columns, the rows on the same side of
            both medians: what changes of dependence are seen by.
        redact
            Text or category columns whose level names are replaced by digests, here and in every profile. This hides
            them from readers, not from somebody who tries guesses.
        random_state
            Seed of the draw, an integer from 0.

        Raises
        ------
        ConfigurationError
            When `n_bins` is below 20, or `redact` names no column.
        DataError
            When the data are empty, a column is missing, a name stands twice, or `redact` names a column of numbers.
        """
        if n_bins < 20:
            raise ConfigurationError(f"n_bins={n_bins}: expected at least 20")
        chosen = reference if columns is None else frames.select(reference, list(columns))
        if not frames.is_frame(chosen):
            chosen = frames.sample(chosen, SAMPLE, random_state)
        if frames.n_rows(chosen) == 0:
            raise DataError("cannot fit bins to an empty frame: give a reference with at least one row")
        names = frames.names(chosen)
        if isinstance(redact, str) or not set(redact) <= set(names):
            raise ConfigurationError(f"redact={redact!r}: expected a list of some of the columns {names}")
        fitted = [fit_column(c, n_bins) for c in frames.columns(frames.select(chosen, names))]
        return cls(tuple(redacted(c) if c.name in redact else c for c in fitted), pairs)

    @cached_property
    def identity(self) -> str:
        """sha256 of the edges (as hex floats), typed levels and medians: what two profiles must share to add.

        Text and categories are the same levels, however an engine stores them.
        """
        plain = [
            [c.name, c.kind, [float(e).hex() for e in c.edges], float(c.median).hex()]
            if isinstance(c, NumericBins)
            else [
                c.name,
                "str" if c.kind == "category" else c.kind,
                [[type(v).__name__, v.hex() if isinstance(v, float) else v] for v in c.levels],
                c.redacted,
            ]
            for c in self.columns
        ]
        return formats.digest(formats.canonical([plain, self.pairs]))

    def __getitem__(self, name: str) -> ColumnBins:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"no column {name!r}: got {[c.name for c in self.columns]}")

    @cached_property
    def paired(self) -> tuple[NumericBins, ...]:
        """The numeric columns whose pairs are counted: the first fifty that have quantile bins; none by default."""
        numeric = tuple(c for c in self.columns if isinstance(c, NumericBins))
        return numeric[:MAX_PAIRED] if self.pairs else ()

    def profile(self, batch: Any, *, batch_id: str | None = None, n_jobs: int = 1) -> Profile:
        """Summarise a batch in these bins, in one pass; extra columns are ignored.

        Parameters
        ----------
        batch
            Data with at least these columns, in any order; they may have no rows. A frame in memory (pandas, polars,
            pyarrow, a dict of columns, a numpy array of records), an iterator of frames, a polars LazyFrame, a DuckDB
            relation, a pyarrow dataset or ParquetFile: these are read piece by piece. A Dask or Spark DataFrame:
            summarised where its rows are.
        batch_id
            What to call the batch.
        n_jobs
            Threads that share the rows of each piece, beside one that reads the next piece from an engine. Leave it at
            one in a service that has other things to do. On a cluster the engine decides instead.

        Raises
        ------
        ConfigurationError
            When `n_jobs` is below 1.
        DataError
            When a column is missing, stands twice, or is of another kind than its bins: text for numbers, say, or
            numbers for datetimes; of data in pieces, the message says in which.
        """
        if n_jobs < 1:
            raise ConfigurationError(f"n_jobs={n_jobs}: expected at least 1")
        chosen = frames.select(batch, [c.name for c in self.columns])
        start, load = partial(_Pieces, self, n_jobs), partial(_received, self)
        found = frames.accumulate(chosen, start, Profile.__add__, dump=_sent, load=load, ahead=n_jobs > 1)
        return evolve(found, batch_id=batch_id)

    def count(self, batch: Any) -> Profile:
        """Return the profile of a batch without what counts do not need, a third of the cost; see `profile`.

        Of a frame in memory the fingerprint and the sketches of different values are left empty.

        Parameters
        ----------
        batch
            Data as `profile` takes them.

        Raises
        ------
        DataError
            As for `profile`.

        Examples
        --------
        >>> binning = Binning.fit({"class": ["a", "b"] * 50})
        >>> binning.count({"class": ["b", "new"]})["class"].counts
        array([0, 1, 1])
        """
        if not frames.is_frame(batch):
            return self.profile(batch)
        chosen = frames.select(batch, [c.name for c in self.columns])
        return _summarised(self, frames.n_rows(chosen), frames.columns(chosen), _NO_CONTENT, {})


_NONE = Binning(())


@frozen
class Profile(formats.Stored):
    """What a batch looked like, as counts.

    Parameters
    ----------
    binning
        The bins that the counts belong to.
    n_rows
        Rows of the batch.
    columns
        One summary for each column of the binning.
    concordant, paired
        For each pair of `binning.paired` columns: rows on the same side of both medians, and rows with both present.
    fingerprint
        128 bits that identify the content of these columns: free of row order, equal across engines, changed by any
        cell; see `frames.fingerprint`.
    batch_id
        What the batch was called, or None (sums have none).
    """

    binning: Binning = field(repr=lambda b: b.identity[:12])
    n_rows: int
    columns: tuple[ColumnProfile, ...] = field(repr=lambda c: str([p.name for p in c]))
    concordant: Ints = field(eq=by_value, repr=False)
    paired: Ints = field(eq=by_value, repr=False)
    fingerprint: str
    batch_id: str | None = None

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, name: str) -> ColumnProfile:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"no column {name!r}: got {[c.name for c in self.columns]}")

    def __add__(self, other: Profile) -> Profile:
        if not isinstance(other, Profile):
            return NotImplemented
        if self.binning.identity != other.binning.identity:
            raise DataError("profiles of different binnings do not add: profile both batches with one Binning")
        return Profile(
            self.binning,
            self.n_rows + other.n_rows,
            tuple(a + b for a, b in zip(self.columns, other.columns, strict=True)),
            self.concordant + other.concordant,
            self.paired + other.paired,
            frames.add_fingerprints(self.fingerprint, other.fingerprint),
        )

    def to_frame(self) -> Any:
        """Return one row for each column, as pandas.

        Rows, nulls, NaN, infinities, zeros and about how many different values; low, mean, sd and high of numbers; the
        most frequent level; the shortest and longest text. Datetimes are in UTC where a zone was set, and their sd is a
        time difference.
        """
        import pandas as pd

        return pd.DataFrame(
            [_describe(b, p, self.n_rows) for b, p in zip(self.binning.columns, self.columns, strict=True)]
        )

    def _repr_html_(self) -> str:
        text = f"{self.n_rows} rows, fingerprint {self.fingerprint}"
        return page(f"Profile {self.batch_id or ''}".strip(), text, self.to_frame().astype(object).to_dict("records"))


class _Pieces:
    """Summarises frames in memory one after the other; the rows of each are shared among threads.

    Different values are collected over all pieces: a piece's sketch holds those of the pieces before it too, which
    changes no sum, and a value seen before is let go at once.
    """

    def __init__(self, binning: Binning, n_jobs: int, _partition: int) -> None:
        self.binning = binning
        self.seen = [{c.name: Distinct() for c in binning.columns} for _ in range(n_jobs)]

    def __call__(self, piece: frames.Frame) -> Profile:
        columns, n, n_jobs = frames.columns(piece), frames.n_rows(piece), len(self.seen)
        if n_jobs == 1 or n < n_jobs:
            return self.part(n, columns, self.seen[0])
        parts = list(zip(*(c.blocks(-(-n // n_jobs)) for c in columns), strict=True))
        with ThreadPoolExecutor(n_jobs) as pool:
            found = pool.map(lambda part, seen: self.part(len(part[0]), part, seen), parts, self.seen)
            return reduce(Profile.__add__, found)

    def part(self, n_rows: int, columns: Sequence[frames.Column], seen: dict[str, Distinct]) -> Profile:
        fingerprint = frames.content_of(columns, seen)
        sketches = {name: distinct.sketch for name, distinct in seen.items()}
        return _summarised(self.binning, n_rows, columns, fingerprint, sketches)


def _summarised(
    binning: Binning, n_rows: int, columns: Sequence[frames.Column], content: str, seen: dict[str, HyperLogLog]
) -> Profile:
    pairs = zip(binning.columns, columns, strict=True)
    profiles = tuple(profile_column(b, c, seen.get(b.name, _NOTHING_SEEN)) for b, c in pairs)
    return Profile(binning, n_rows, profiles, *_concordance(binning, columns), content)


def _concordance(binning: Binning, columns: Sequence[frames.Column]) -> tuple[Ints, Ints]:
    k = len(binning.paired)
    same, valid = np.zeros((2, k, k), dtype=np.int64)
    names, medians = {b.name for b in binning.paired}, np.array([b.median for b in binning.paired])
    numeric = [c for c in columns if c.name in names]
    for blocks in zip(*(c.blocks(_PAIRED_ROWS) for c in numeric), strict=True):
        values = [np.full(len(b), np.nan) if b.missing.all() else b.numbers() for b in blocks]
        here = concordance(np.array(values).T, medians)
        same, valid = same + here[0], valid + here[1]
    return same, valid


def _sent(profile: Profile) -> bytes:
    """Return a profile as it travels: without the binning, which is there already."""
    return evolve(profile, binning=_NONE).to_bytes()


def _received(binning: Binning, sent: bytes) -> Profile:
    return evolve(Profile.from_bytes(sent), binning=binning)


def total(profiles: Iterable[Profile]) -> Profile:
    """Return the sum of one or more profiles.

    Raises
    ------
    DataError
        When there are none, or their binnings differ.
    """
    parts = list(profiles)
    if not parts:
        raise DataError("cannot add up zero profiles: give at least one")
    return reduce(Profile.__add__, parts)


@frozen
class ProfileSet(formats.Stored):
    """Several profiles under one binning, which is written only once.

    Parameters
    ----------
    binning
        The binning of all.
    parts
        The profiles without it.

    Examples
    --------
    >>> binning = Binning.fit({"x": [1, 2, 3]})
    >>> stored = ProfileSet.of([binning.profile({"x": [1]}, batch_id="a"), binning.profile({"x": [2]}, batch_id="b")])
    >>> [p.batch_id for p in ProfileSet.from_json(stored.to_json()).profiles]
    ['a', 'b']
    """

    binning: Binning
    parts: tuple[Profile, ...]

    @classmethod
    def of(cls, profiles: Iterable[Profile]) -> ProfileSet:
        """Pack profiles of one binning."""
        parts = list(profiles)
        if len({p.binning.identity for p in parts}) != 1:
            raise DataError("a ProfileSet needs one or more profiles of one binning")
        return cls(parts[0].binning, tuple(evolve(p, binning=_NONE) for p in parts))

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The profiles, all sharing one binning object."""
        return tuple(evolve(p, binning=self.binning) for p in self.parts)


def _describe(bins: ColumnBins, profile: ColumnProfile, n_rows: int) -> dict[str, Any]:
    moments, top = profile.moments, None
    spread = "duration" if bins.kind == "datetime" else bins.kind
    if isinstance(bins, LevelBins) and profile.counts[:-1].any():
        top = _readable(bins.kind, bins.levels[int(np.argmax(profile.counts[:-1]))])
    return {
        "column": bins.name,
        "kind": bins.kind,
        "n_rows": n_rows,
        "n_null": profile.n_null,
        "n_nan": profile.n_nan,
        "n_infinite": profile.n_infinite,
        "n_zero": profile.n_zero,
        "n_distinct": profile.n_distinct,
        "low": _readable(bins.kind, profile.low),
        "mean": _readable(bins.kind, moments.mean if moments.n else None),
        "sd": _readable(spread, moments.variance**0.5 if moments.n else None),
        "high": _readable(bins.kind, profile.high),
        "top": top,
        "shortest": profile.lengths.low,
        "longest": profile.lengths.high,
    }


def _readable(kind: str, value: Any) -> Any:
    """Return nanoseconds as a time stamp or a time difference; other values as they are."""
    import pandas as pd

    if value is None or kind not in ("datetime", "duration"):
        return value
    return pd.Timestamp(int(value)) if kind == "datetime" else pd.Timedelta(int(value))
