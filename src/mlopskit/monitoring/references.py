"""What a reference is made of, and what speaks against it: strata, batch keys, columns that nobody can watch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from mlopskit import frames
from mlopskit.errors import DataError, DuplicateBatch, NotWatched, SmallReference
from mlopskit.monitoring.drift_reports import Null
from mlopskit.monitoring.questions import FEW, RARE, STRATUM, STRATUM_BATCHES
from mlopskit.profiling import LevelBins, NumericBins, Profile

FEW_BATCHES = 10
CLOCK_BATCHES = 8  # in so many batches a feature rises or falls throughout with probability 2 / 8!
MOST_STRATA = 200
LEFT_OUT = 0.05  # share of the reference's rows in strata that it hardly has, from which fitting warns


def rows_of(reference: Any) -> Any:
    """Return the rows of a reference as one frame, or None where it holds profiles."""
    if isinstance(reference, (list, tuple)):
        return None if isinstance(reference[0], Profile) else frames.concat(reference)
    return None if isinstance(reference, Profile) else reference


def unseen_rows(null: Null, reference: Any) -> tuple[str, ...]:
    """Say that the check of rows had none to look at."""
    if null == "batches" or rows_of(reference) is not None:
        return ()
    return ("the reference came as profiles: whether its rows hang together could not be looked at",)


def strata_keys(frame: frames.Frame, names: Sequence[str]) -> list[str]:
    """Return the stratum of each row as text."""
    parts = []
    for name in names:
        codes, found = frames.factorized(frames.values_of(frame, name))
        parts.append(np.array([*found, "missing"], dtype=object)[codes])
    return [" | ".join(row) for row in zip(*parts, strict=True)]


def left_out(n_tested: int, n_rows: int) -> list[tuple[type[Warning], str]]:
    """Say how many rows of the reference are of strata that it hardly has, where that matters."""
    share = 1 - n_tested / n_rows
    if share < LEFT_OUT:
        return []
    text = (
        f"{share:.1%} of the reference's rows are of strata with fewer than {STRATUM} rows or {STRATUM_BATCHES} batches"
    )
    return [(SmallReference, f"{text}: such rows are not tested; take coarser strata, or give more batches")]


def batch_key(frame: Any, column: str | None) -> str | None:
    """Return the batch key that the frame holds in this column, or None without one."""
    if column is None or column not in frames.names(frame):
        return None
    keys = [key for key, _ in frames.groups(frames.values_of(frame, column))]
    if len(keys) != 1:
        raise DataError(f"one update is one batch, but {column!r} holds {len(keys)} keys ({keys[:3]}): split it")
    return keys[0]


def unique_ids(ids: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of a reference's batches; two batches of one id are refused."""
    found = tuple(ids)
    for name, times in Counter(found).items():
        if times > 1:
            raise DuplicateBatch.of(name)
    return found


def refuse_clocks(profiles: Sequence[Profile], features: Sequence[str]) -> None:
    """Refuse a column whose values lie above those of the batch before, or below, throughout: it alarms for certain."""
    if len(profiles) < CLOCK_BATCHES:
        return
    for name in features:
        ends = [(p[name].low, p[name].high) for p in profiles]
        known = [(low, high) for low, high in ends if low is not None and high is not None]
        rises = all(low > high for (_, high), (low, _) in pairwise(known))
        falls = all(high < low for (low, _), (_, high) in pairwise(known))
        if len(known) == len(ends) and (rises or falls):
            raise DataError(
                f"column {name!r} tells the batches apart by its value, in their order: "
                f"pass batch={name!r}, or leave it out of features"
            )


def refuse_names(profiles: Sequence[Profile], features: Sequence[str]) -> None:
    """Refuse a column of which most batches bring levels that none before had: the next one alarms for certain.

    Only the second half of the batches is asked, and only levels that are watched one by one: ids too rare for that are
    counted together, in the reference as in later batches.
    """
    if len(profiles) < CLOCK_BATCHES:
        return
    late = len(profiles) // 2
    for name in features:
        if isinstance(profiles[0].binning[name], NumericBins):
            continue
        counts = np.array([p[name].counts for p in profiles])
        least, levels = max(RARE * int(counts.sum()), FEW), counts[:, :-1]
        levels = levels[:, levels.sum(axis=0) >= least]
        known = np.cumsum(levels, axis=0) - levels > 0
        brings = ((levels >= FEW) & ~known)[late:].any(axis=1)
        if brings.mean() > 0.5:
            more = " (or give more than 20 batches)" if profiles[0].binning[name].kind in frames.NUMERIC else ""
            raise DataError(
                f"column {name!r} names the batches, or moves on with them: most batches bring values that none before "
                f"had, so that the next one would alarm for certain; pass batch={name!r}, derive a value that comes "
                f"back (an age, a weekday), or leave it out of features{more}"
            )


def not_watched(whole: Profile, features: Sequence[str]) -> list[tuple[type[Warning], str]]:
    """Say which columns hold values that nothing tells apart."""
    alike = []
    for column in whole.columns:
        bins = whole.binning[column.name]
        if column.name in features and isinstance(bins, LevelBins) and column.counts.any():
            one = len(bins.levels) == 1 and column.low != column.high
            alike += [column.name] * (one or not bins.levels)
    if not alike:
        return []
    text = f"columns {alike} hold mixed or nested values, infinities alone, or numbers that floats cannot tell apart"
    advice = "derive a number or a text from them, or leave them out of features"
    return [(NotWatched, f"{text}: only their missing values are watched; {advice}")]


def known_strata(names: Sequence[str], parts: Sequence[Mapping[str, Profile]], n_batches: int) -> tuple[str, ...]:
    """Return the strata that are told apart: the most frequent of those with enough rows, in enough batches."""
    if not names:
        return ()
    rows, batches = Counter[str](), Counter[str]()
    for part in parts:
        rows.update({key: profile.n_rows for key, profile in part.items()})
        batches.update(part.keys())
    known = [key for key, n in rows.items() if n >= STRATUM and batches[key] >= n_batches]
    if not known:
        raise DataError(
            f"strata={list(names)}: no stratum has {STRATUM} rows of the reference and is in {n_batches} of "
            "its batches; take coarser strata, or leave them out"
        )
    return tuple(sorted(sorted(known, key=lambda key: (-rows[key], key))[:MOST_STRATA]))


def few_batches(n: int) -> tuple[str, ...]:
    """Say that ranks among so few batches find a change late."""
    if n >= FEW_BATCHES:
        return ()
    return (f"the reference has {n} batches: with fewer than {FEW_BATCHES} a change is found late; give more batches",)
