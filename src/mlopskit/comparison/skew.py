"""Does serve look like train? Each column of both, as profiles under one binning, and by how much they differ."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from attrs import evolve, frozen
from numpy.typing import NDArray
from scipy.special import chdtri, kolmogi, ndtri, stdtrit

from mlopskit import frames
from mlopskit.comparison.kinds import can_count, check_columns, family
from mlopskit.display.words import percent, plural
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.evidence import Report
from mlopskit.profiling.bins import ColumnBins, LevelBins, NumericBins
from mlopskit.profiling.columns import ColumnProfile
from mlopskit.profiling.profiles import Binning, Profile
from mlopskit.schema import Severity
from mlopskit.stats.divergences import jensen_shannon_counts, kolmogorov_smirnov_counts
from mlopskit.stats.tolerances import unseen_share

Ints: TypeAlias = NDArray[np.int64]

_SHOWN = 5
_CHANCE = 0.05  # of any finding without a change and with a tolerance of 0, shared among the columns


@frozen
class Skew:
    """One difference of a column between train and serve that exceeds its limit.

    Parameters
    ----------
    column
        The column.
    check
        missing_column, extra_column, duplicate_column, kind, mixed, null, infinite, unknown, distribution or mean.
    severity
        "error", or "warning" where a model need not suffer: extra columns, and values of datetimes, which move on.
    measure
        What the effect is: "Cohen's h", "Kolmogorov-Smirnov distance", "Jensen-Shannon distance", "train sd", or
        "share of rows" where a column cannot be compared.
    effect, limit
        The effect, at least 0, and what it exceeds: the tolerance plus what chance does to so many rows.
    message
        The finding in words.
    """

    column: str
    check: str
    severity: Severity
    measure: str
    effect: float
    limit: float
    message: str

    @property
    def strength(self) -> float:
        """How many times the limit the effect is; infinite where the limit is 0."""
        return self.effect / self.limit if self.limit > 0 else math.inf


@frozen
class ColumnSkew:
    """One column of train beside the same column of serve.

    Parameters
    ----------
    column
        The column.
    kind_train, kind_serve
        Its logical kind on either side; None where the column is missing or holds no value.
    null_train, null_serve
        Share of rows that are null or NaN, in [0, 1]; NaN where the column is missing.
    null_effect
        Cohen's h of these shares, in [0, pi].
    measure
        What the distribution is compared by: the Kolmogorov-Smirnov distance of ordered bins for numbers of many
        values, the Jensen-Shannon distance of shares (in bits) for levels; "" where there is nothing to compare.
    effect
        This distance, in [0, 1]; rows of unknown levels stand where levels lack rows, so that a new name for a level is
        one difference, not two. NaN where there is nothing to compare.
    mean_shift
        Mean of serve minus mean of train, in standard deviations of train, of finite numbers; NaN for anything else.
    unknown_share
        Share of rows with a value in serve whose level train does not have, in [0, 1]; NaN for numbers of many values.
    unknown
        The most frequent of these levels with the rows that hold them, at most a hundred.
    findings
        Differences beyond their limit, the strongest first.
    """

    column: str
    kind_train: frames.Kind | None = None
    kind_serve: frames.Kind | None = None
    null_train: float = math.nan
    null_serve: float = math.nan
    null_effect: float = math.nan
    measure: str = ""
    effect: float = math.nan
    mean_shift: float = math.nan
    unknown_share: float = math.nan
    unknown: tuple[tuple[Any, int], ...] = ()
    findings: tuple[Skew, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no finding is an error."""
        return all(f.severity != "error" for f in self.findings)

    @property
    def strength(self) -> float:
        """The strength of the strongest finding; 0 without one."""
        return max((f.strength for f in self.findings), default=0.0)


@frozen
class SkewReport(Report):
    """What differs between train and serve.

    Parameters
    ----------
    columns
        One entry for each column: errors first, then the strongest first.
    n_train, n_serve
        Rows of either side.
    tolerance
        The effect size that is tolerated.

    Examples
    --------
    >>> import numpy as np
    >>> print(compare({"hour": np.arange(1000) % 24.0}, {"hour": np.arange(1000) % 12.0}))
    failed: 1 of 1 column differs beyond a tolerance of 0.1 (1000 rows in train, 1000 in serve)
    error   distribution: hour: Kolmogorov-Smirnov distance 0.496; mean 11.44 before, 5.484 now (0.861 train sd down)
    """

    columns: tuple[ColumnSkew, ...]
    n_train: int
    n_serve: int
    tolerance: float

    @property
    def findings(self) -> tuple[Skew, ...]:
        """Every difference beyond its limit: errors first, then the strongest first."""
        found = [f for c in self.columns for f in c.findings]
        return tuple(sorted(found, key=lambda f: (f.severity, -f.strength)))

    @property
    def passed(self) -> bool:
        """Whether no finding is an error."""
        return all(c.passed for c in self.columns)

    def __getitem__(self, name: str) -> ColumnSkew:
        """Return what is known about a column.

        Raises
        ------
        KeyError
            When there is no such column.
        """
        for column in self.columns:
            if column.column == name:
                return column
        raise KeyError(f"no column {name!r}: got {[c.column for c in self.columns]}")

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each column, in the report's order; `message` joins its findings by "; "."""
        names = ["column", "kind_train", "kind_serve", "null_train", "null_serve", "null_effect", "measure", "effect"]
        names += ["mean_shift", "unknown_share", "passed", "strength"]
        rows = [
            [*(getattr(c, name) for name in names), "; ".join(f"{f.check}: {f.message}" for f in c.findings)]
            for c in self.columns
        ]
        return pd.DataFrame(rows, columns=[*names, "message"])

    def __str__(self) -> str:
        n, bad = len(self.columns), sum(not c.passed for c in self.columns)
        sizes = f"({plural(self.n_train, 'row')} in train, {self.n_serve} in serve)"
        within = f"a tolerance of {self.tolerance:g} {sizes}"
        head = f"passed: {plural(n, 'column')}, none differs beyond {within}"
        if bad:
            head = f"failed: {bad} of {plural(n, 'column')} {'differs' if bad == 1 else 'differ'} beyond {within}"
        return "\n".join([head, *(f"{f.severity:<7} {f.check}: {f.column}: {f.message}" for f in self.findings)])

    def _bars(self) -> dict[str, Any]:
        values = [c.strength for c in self.columns]
        labels = [c.column for c in self.columns]
        return {"title": "Skew", "labels": labels, "values": values, "xlabel": "effect / limit", "limit": 1.0}


def compare(train: Any, serve: Any, *, columns: Sequence[str] | None = None, tolerance: float = 0.1) -> SkewReport:
    """Compare what a model was trained on with what it is asked, column by column, by effect sizes.

    Both sides are profiled in bins fitted to train. Shares (nulls, infinite numbers, unknown levels) are compared by
    Cohen's h = 2 |asin sqrt(p) - asin sqrt(q)|; the share of unknown levels with that which train itself predicts for
    new rows (Good 1953). Numbers of many values are compared by the Kolmogorov-Smirnov distance of their bins, levels
    by the Jensen-Shannon distance of their shares, where rows of unknown levels stand for the known levels that lack
    rows. The mean's shift, in standard deviations
    of train, is a finding where the distance is none: a few huge values.

    A finding is an effect above its limit: the tolerance plus what so many independent rows rarely exceed by chance (in
    one of 20 comparisons without a change, each column taking its part; asymptotic). There are no p-values: with enough
    rows everything is significant, and the question is how large it is. One fault is one finding.

    Parameters
    ----------
    train
        The reference: whatever `Binning.fit` and `Binning.profile` take and can read twice, or a `Profile`.
    serve
        The data to compare with it: whatever `Binning.profile` takes, read once.
    columns
        Columns to compare; all of train's by default, and columns that only serve has are a warning. Leave out a label
        that serve cannot have.
    tolerance
        The effect size that is tolerated, at least 0, in the unit of each measure.

    Raises
    ------
    ConfigurationError
        When `tolerance` is below 0 or no number, or `columns` is no list of names, or empty.
    DataError
        When train lacks one of `columns`, has duplicate names or cannot be read twice, or when either side has no rows.

    References
    ----------
    J. Cohen (1988). Statistical Power Analysis for the Behavioral Sciences, equation 6.2.1.

    Examples
    --------
    >>> train = {"origin": ["EWR", "JFK"] * 500, "delay": [1.0, 2.0, 3.0, None] * 250}
    >>> serve = {"origin": ["EWR", "LGA"] * 500, "delay": [1.0, 2.0, 3.0, None] * 250}
    >>> report = compare(train, serve)
    >>> print(report)
    failed: 1 of 2 columns differs beyond a tolerance of 0.1 (1000 rows in train, 1000 in serve)
    error   unknown: origin: share of unknown levels rose from 0% to 50%: 'LGA' (500 rows)
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not 0 <= tolerance < math.inf:
        raise ConfigurationError(f"tolerance={tolerance!r}: expected an effect size of at least 0")
    check_columns(columns)
    before = _profile_of_train(train, columns)
    if before.n_rows == 0:
        raise DataError(
            "train has no rows, perhaps because it can be read only once: give a frame, or a source to reread"
        )
    binning = before.binning
    names, serve = _names_of(serve)
    times = Counter(names)
    usable = tuple(b for b in binning.columns if times[b.name] == 1)
    now = _read_once(Binning(usable), serve)
    if now.n_rows == 0:
        raise DataError("serve has no rows: there is nothing to compare")
    chance = _CHANCE / max(len(usable), 1)
    found = [
        _column_skew(b, before[b.name], now[b.name], before.n_rows, now.n_rows, float(tolerance), chance)
        if times[b.name] == 1
        else _absent(b, before, times[b.name])
        for b in binning.columns
    ]
    if columns is None:
        known = {b.name for b in binning.columns}
        found += [_extra(name) for name in times if name not in known]
    found.sort(key=lambda c: (c.passed, -c.strength))
    return SkewReport(tuple(found), before.n_rows, now.n_rows, float(tolerance))


def _profile_of_train(train: Any, columns: Sequence[str] | None) -> Profile:
    if isinstance(train, Profile):
        wanted = [c.name for c in train.binning.columns] if columns is None else list(columns)
        frames.select({c.name: [] for c in train.binning.columns}, wanted)
        return _narrow(train, wanted)
    if isinstance(train, Iterator):
        raise DataError(
            "train is a stream, which can be read only once: give a frame, a source to reread, or a Profile"
        )
    chosen = train if columns is None else frames.select(train, list(columns))
    return Binning.fit(chosen).profile(chosen)


def _narrow(profile: Profile, wanted: Sequence[str]) -> Profile:
    binning = Binning(tuple(profile.binning[name] for name in wanted))
    none = np.zeros((0, 0), dtype=np.int64)
    return evolve(
        profile, binning=binning, columns=tuple(profile[name] for name in wanted), concordant=none, paired=none
    )


def _names_of(serve: Any) -> tuple[list[str], Any]:
    """Return the column names of anything, and the data; the first piece of a stream is put back."""
    with suppress(DataError):
        return frames.names(serve), serve
    pieces = frames.pieces(serve)
    first = next(pieces, None)
    if first is None:
        raise DataError("serve has no rows: there is nothing to compare")
    return frames.names(first), itertools.chain([first], pieces)


def _read_once(binning: Binning, serve: Any) -> Profile:
    """Profile the data; values of another kind than train's are in no bin."""
    chosen = frames.select(serve, [b.name for b in binning.columns]) if binning.columns else serve
    return frames.summarise(
        chosen, partial(_profiled, binning), Profile.__add__, dump=Profile.to_bytes, load=Profile.from_bytes
    )


def _profiled(binning: Binning, piece: frames.Frame) -> Profile:
    wanted = {b.name for b in binning.columns}
    read = {c.name: c for c in frames.columns(piece, wanted)}
    fits = Binning(tuple(b for b in binning.columns if can_count(b, read[b.name])))
    profile = fits.profile(piece)
    of = {c.name: c for c in profile.columns}
    columns = tuple(of.get(b.name) or _uncounted(b, read[b.name]) for b in binning.columns)
    return evolve(profile, binning=binning, n_rows=frames.n_rows(piece), columns=columns)


def _uncounted(bins: ColumnBins, column: frames.Column) -> ColumnProfile:
    n_null, n_missing = int(column.null.sum()), int(column.missing.sum())
    return ColumnProfile(bins.name, np.zeros(len(bins), np.int64), column.kind, n_null, n_missing - n_null)


def _absent(bins: ColumnBins, before: Profile, times: int) -> ColumnSkew:
    check, text = "missing_column", "serve lacks this column"
    if times:
        check, text = "duplicate_column", f"serve has {times} columns of this name; none of them was compared"
    train = before[bins.name]
    finding = Skew(bins.name, check, "error", "share of rows", 1.0, 0.0, text)
    return ColumnSkew(bins.name, train.kind, null_train=train.n_missing / before.n_rows, findings=(finding,))


def _extra(name: str) -> ColumnSkew:
    finding = Skew(name, "extra_column", "warning", "share of rows", 1.0, 0.0, "train lacks this column")
    return ColumnSkew(name, findings=(finding,))


@frozen
class _Pair:
    """One column on both sides, where it can be compared."""

    bins: ColumnBins
    a: ColumnProfile
    b: ColumnProfile
    n: int
    m: int
    tolerance: float
    chance: float

    @property
    def severity(self) -> Severity:
        """Of findings about values: those of datetimes move on by themselves."""
        return "warning" if self.bins.kind == "datetime" else "error"

    def skew(self, check: str, measure: str, effect: float, noise: float, text: str) -> list[Skew]:
        """Return a finding where the effect exceeds the tolerance and the noise."""
        limit = self.tolerance + noise
        severity: Severity = "error" if check in ("null", "infinite") else self.severity
        return [Skew(self.bins.name, check, severity, measure, effect, limit, text)] if effect > limit else []

    def share(self, check: str, what: str, p: float, q: float, tail: str = "") -> list[Skew]:
        """Compare two shares of rows by Cohen's h."""
        moved = f"share of {what} {'rose' if q > p else 'fell'} from {percent(p)} to {percent(q)}"
        noise = self.z * math.sqrt(1 / self.n + 1 / self.m)
        return self.skew(check, "Cohen's h", _cohen(p, q), noise, moved + tail)

    @property
    def z(self) -> float:
        """What a standard normal exceeds, on either side, by chance."""
        return float(ndtri(1 - self.chance / 2))


def _column_skew(
    bins: ColumnBins, a: ColumnProfile, b: ColumnProfile, n: int, m: int, tolerance: float, chance: float
) -> ColumnSkew:
    p, q = a.n_missing / n, b.n_missing / m
    result = ColumnSkew(bins.name, a.kind, b.kind, p, q, _cohen(p, q))
    pair = _Pair(bins, a, b, n, m, tolerance, chance)
    found = pair.share("null", "nulls", p, q)
    strange = m - b.n_missing - int(b.counts.sum())
    if strange:
        text = f"kind changed from {a.kind} to {b.kind} in {strange} of {plural(m, 'row')}; values were not compared"
        found.append(Skew(bins.name, "kind", "error", "share of rows", strange / m, 0.0, text))
    elif a.kind == "other":
        text = "train holds mixed or nested values, which were not compared"
        found.append(Skew(bins.name, "mixed", "warning", "share of rows", 1.0, 0.0, text))
    elif a.kind is not None and b.kind is not None:
        pair = evolve(pair, n=n - a.n_missing, m=m - b.n_missing)
        result, values = _values(result, pair)
        found += values
    return evolve(result, findings=tuple(sorted(found, key=lambda f: -f.strength)))


def _values(result: ColumnSkew, pair: _Pair) -> tuple[ColumnSkew, list[Skew]]:
    """Compare the values: infinite ones, unknown levels, known ones, and the mean where nothing else is found."""
    infinite = pair.share("infinite", "infinite numbers", pair.a.n_infinite / pair.n, pair.b.n_infinite / pair.m)
    unknown: list[Skew] = []
    counts = pair.a.counts, pair.b.counts
    if isinstance(pair.bins, LevelBins):
        levels = tuple((_shown(pair.bins.kind, level), n) for level, n in pair.b.others.counts)
        share = int(counts[1][-1]) / pair.m
        result = evolve(result, unknown_share=share, unknown=levels)
        expected = min(1.0, int(counts[0][-1]) / pair.n + unseen_share(counts[0][:-1]))
        if share > expected and not infinite:
            unknown = pair.share("unknown", "unknown levels", expected, share, _listed(levels))
        counts = counts[0], _without_excess(*counts)
    shift, noise, words = _mean(pair)
    measure, effect, chance = _distance(pair.bins, *counts, pair.chance)
    result = evolve(result, measure=measure, effect=effect, mean_shift=shift)
    found = infinite + unknown
    explained = pair.b.n_infinite / pair.m if infinite and isinstance(pair.bins, NumericBins) else 0.0
    text = f"{measure} {effect:.3g}" + (f"; {words}" if words else "")
    found += pair.skew("distribution", measure, effect, chance + explained, text)
    if not found and pair.bins.kind != "datetime" and math.isfinite(shift):
        found += pair.skew("mean", "train sd", abs(shift), noise, words)
    return result, found


def _without_excess(a: Ints, b: Ints) -> Ints:
    """Give the rows of unknown levels beyond their share in train to the levels that lack rows.

    What unknown levels take away from known ones is theirs, and not counted twice.
    """
    expected = a * (b.sum() / a.sum())
    excess = max(float(b[-1] - expected[-1]), 0.0)
    lack = np.maximum(expected - b, 0.0)[:-1]
    if not excess or not lack.any():
        return b
    upto = np.floor(np.cumsum(lack) * min(excess / lack.sum(), 1.0) + 0.5)
    given = np.diff(upto, prepend=0.0).astype(np.int64)
    return np.append(b[:-1] + given, max(int(b[-1] - given.sum()), 0))


def _distance(bins: ColumnBins, a: Ints, b: Ints, chance: float) -> tuple[str, float, float]:
    """Return the name of the distance, the distance, and what rows of one law exceed by chance."""
    n, m = int(a.sum()), int(b.sum())
    if isinstance(bins, NumericBins):
        value = float(kolmogorov_smirnov_counts(a, b).value)
        return "Kolmogorov-Smirnov distance", value, float(kolmogi(chance)) * math.sqrt(1 / n + 1 / m)
    used = int(np.count_nonzero(a + b))
    square = float(chdtri(used - 1, chance)) if used > 1 else 0.0
    noise = math.sqrt(square * (1 / n + 1 / m) / (8 * math.log(2)))
    return "Jensen-Shannon distance", float(jensen_shannon_counts(a, b).value), noise


def _mean(pair: _Pair) -> tuple[float, float, str]:
    """Return the shift of the mean in train sd, what chance does to it, and both means in words."""
    a, b = pair.a.moments, pair.b.moments
    sd = math.sqrt(a.variance)
    if family(pair.bins.kind) not in ("number", "duration") or not a.n or not b.n or not 0 < sd < math.inf:
        return math.nan, 0.0, ""
    shift = (b.mean - a.mean) / sd
    wide = max(1.0, b.variance / sd**2)  # a short sample of a skewed law often looks narrow
    noise = float(stdtrit(max(min(a.n, b.n) - 1, 1), 1 - pair.chance / 2)) * math.sqrt(wide * (1 / a.n + 1 / b.n))
    before, now = (_mean_shown(pair.bins.kind, v) for v in (a.mean, b.mean))
    way = "up" if shift > 0 else "down"
    return shift, noise, f"mean {before} before, {now} now ({abs(shift):.3g} train sd {way})"


def _mean_shown(kind: str, value: float) -> str:
    return str(frames.stamp(kind, round(value))) if kind == "duration" else f"{value:.4g}"


def _cohen(p: float, q: float) -> float:
    return 2 * abs(math.asin(math.sqrt(min(p, 1.0))) - math.asin(math.sqrt(min(q, 1.0))))


def _shown(kind: str, level: Any) -> Any:
    return frames.stamp(kind, int(level)) if kind in ("datetime", "duration") else level


def _listed(levels: Sequence[tuple[Any, int]]) -> str:
    if not levels:
        return ""
    parts = [f"{str(v) if isinstance(v, np.generic) else repr(v)} ({plural(n, 'row')})" for v, n in levels[:_SHOWN]]
    return ": " + ", ".join(parts) + (", ..." if len(levels) > _SHOWN else "")
