"""Two frames side by side: does serve look like train, and does the test know the answers.

`compare` looks at each column of train and serve, as two profiles under one binning, and says by how much they differ.
`leakage` looks at the rows of train and test, and says which of them, and which features, make a test score too good.

Both speak of effect sizes, never of p-values: with enough rows any difference is significant, and what matters is how
large it is. A difference counts once it exceeds what is tolerated plus what chance alone does to so few rows.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from scipy.special import chdtri, kolmogi, ndtri

from mlopskit import frames
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.evidence import Report
from mlopskit.profiling.bins import ColumnBins, LevelBins, NumericBins, fit_column
from mlopskit.profiling.columns import ColumnProfile
from mlopskit.profiling.profiles import Binning, Profile
from mlopskit.schema import Severity
from mlopskit.stats.divergences import jensen_shannon_counts, kolmogorov_smirnov_counts
from mlopskit.stats.sketches import mix64
from mlopskit.stats.tolerances import unseen_share

Hashes: TypeAlias = NDArray[np.uint64]
Ints: TypeAlias = NDArray[np.int64]

_SHOWN = 5
_NUMBERS = frozenset({"int", "float", "decimal"})
_TEXTS = frozenset({"str", "category"})
_CHANCE = 0.05  # of any finding without a change and with a tolerance of 0, shared among the columns

NEARLY_UNIQUE = 0.98
"""Share of different values from which integers or text look like an identifier ..."""
ENOUGH_ROWS = 20
"""... in at least so many rows; regression targets are scored on as many."""
AUC_ERROR, AUC_WARNING = 0.99, 0.9
"""AUC from which one feature that predicts the target alone is an error, or a warning ..."""
R2_ERROR, R2_WARNING = 0.98, 0.9
"""... and share of the variance of a regression target's ranks."""


# ---------------------------------------------------------------------------------------------------- train and serve


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
        sizes = f"({_plural(self.n_train, 'row')} in train, {self.n_serve} in serve)"
        within = f"a tolerance of {self.tolerance:g} {sizes}"
        head = f"passed: {_plural(n, 'column')}, none differs beyond {within}"
        if bad:
            head = f"failed: {bad} of {_plural(n, 'column')} {'differs' if bad == 1 else 'differ'} beyond {within}"
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
    _check_columns(columns)
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


def _check_columns(columns: Sequence[str] | None) -> None:
    if isinstance(columns, str) or (columns is not None and len(columns) == 0):
        raise ConfigurationError(f"columns={columns!r}: expected a list of at least one name, or None for all")


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
    fits = Binning(tuple(b for b in binning.columns if _fits(b, read[b.name])))
    profile = fits.profile(piece)
    of = {c.name: c for c in profile.columns}
    columns = tuple(of.get(b.name) or _uncounted(b, read[b.name]) for b in binning.columns)
    return evolve(profile, binning=binning, n_rows=frames.n_rows(piece), columns=columns)


def _fits(bins: ColumnBins, column: frames.Column) -> bool:
    if column.missing.all() or (isinstance(bins, LevelBins) and not bins.levels):
        return True
    return _family(bins.kind) == _family(column.kind)


def _family(kind: str | None) -> str | None:
    return "number" if kind in _NUMBERS else "text" if kind in _TEXTS else kind


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
        moved = f"share of {what} {'rose' if q > p else 'fell'} from {_percent(p)} to {_percent(q)}"
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
        text = f"kind changed from {a.kind} to {b.kind} in {strange} of {_plural(m, 'row')}; values were not compared"
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
    if pair.bins.kind not in (*_NUMBERS, "duration") or not a.n or not b.n or not 0 < sd < math.inf:
        return math.nan, 0.0, ""
    shift = (b.mean - a.mean) / sd
    noise = pair.z * math.sqrt(1 / a.n + b.variance / sd**2 / b.n)
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
    parts = [f"{str(v) if isinstance(v, np.generic) else repr(v)} ({_plural(n, 'row')})" for v, n in levels[:_SHOWN]]
    return ": " + ", ".join(parts) + (", ..." if len(levels) > _SHOWN else "")


# ---------------------------------------------------------------------------------------------------- train and test


@frozen(eq=False)
class Leak:
    """One way by which the test may know what it should not.

    Parameters
    ----------
    check
        duplicate_rows, conflicting_labels, shared_keys, time_overlap, missing_time, missing_target, missing_column,
        kind, copy_of_target, predicts_target, identifier, copy or not_scored.
    columns
        The columns concerned; () where it is about whole rows.
    severity
        "error" or "warning".
    where
        The frame that `rows` are positions of: "test" or "train".
    n_failed, n_rows
        Rows concerned, and rows of that frame; for a finding about a whole column both are equal.
    rows
        Positions of these rows, ascending, shape (n_failed,); empty for a finding about a whole column.
    value
        The figure the finding rests on: AUC or R2 of a feature, share of different values; None elsewhere.
    message
        The finding in words.
    """

    check: str
    columns: tuple[str, ...]
    severity: Severity
    where: Literal["test", "train"]
    n_failed: int
    n_rows: int
    rows: NDArray[np.intp] = field(repr=False)
    value: float | None
    message: str


@frozen
class FeatureScore:
    """How well one feature alone predicts the target.

    Parameters
    ----------
    feature
        The column.
    measure
        "AUC", or "R2" for a regression target.
    value
        AUC in [0, 1], or R2 at most 1, on test; NaN where it cannot be told.
    """

    feature: str
    measure: str
    value: float


@frozen(eq=False)
class LeakageReport(Report):
    """What the test may know that it should not.

    Parameters
    ----------
    findings
        What was found: errors first, in the order of the checks.
    scores
        How well each feature alone predicts the target, the best first; features that equal it are left out.
    n_train, n_test
        Rows of either side.

    Examples
    --------
    >>> print(leakage({"x": [1, 2], "y": [0, 1]}, {"x": [2, 3], "y": [1, 0]}, target="y"))
    failed: 1 error, 1 warning (2 rows in train, 2 in test)
    error   duplicate_rows: 1 of 2 test rows (50%) stand in train too, target included; 0% of train repeats itself
    warning not_scored: the rows are too few to tell whether a feature alone predicts the target
    """

    findings: tuple[Leak, ...]
    scores: tuple[FeatureScore, ...]
    n_train: int
    n_test: int

    @property
    def passed(self) -> bool:
        """Whether no finding is an error."""
        return all(f.severity != "error" for f in self.findings)

    @property
    def bad_rows(self) -> NDArray[np.bool_]:
        """Which rows of test an error names, shape (n_test,): leave them out to be safe."""
        bad = np.zeros(self.n_test, dtype=bool)
        for finding in self.findings:
            if finding.severity == "error" and finding.where == "test":
                bad[finding.rows] = True
        return bad

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each finding, without the positions."""
        names = ["check", "severity", "where", "n_failed", "n_rows", "value", "message"]
        rows = [[f.check, ", ".join(f.columns), *(getattr(f, name) for name in names[1:])] for f in self.findings]
        return pd.DataFrame(rows, columns=["check", "columns", *names[1:]])

    def __str__(self) -> str:
        n_errors = sum(f.severity == "error" for f in self.findings)
        counts = [_plural(n_errors, "error"), _plural(len(self.findings) - n_errors, "warning")]
        sizes = f"({_plural(self.n_train, 'row')} in train, {self.n_test} in test)"
        head = f"{'failed' if n_errors else 'passed'}: {', '.join(counts)} {sizes}"
        return "\n".join([head, *(f"{f.severity:<7} {f.check}: {f.message}" for f in self.findings)])


def leakage(
    train: frames.Frame,
    test: frames.Frame,
    *,
    target: str,
    time: str | None = None,
    key: str | Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> LeakageReport:
    """Look for reasons why a score on test would be too good: rows, keys, times and features that know the answer.

    - duplicate_rows: rows of test whose features and target stand in train too; conflicting_labels: rows with equal
      features and another target, within train, and of test against train (no row of train has its target). Where half
      of train's own rows repeat, features are too coarse to tell, and it is a warning.
    - shared_keys: rows of test whose key train has; a key with a null is equal to none.
    - time_overlap: rows of test that are not later than the last row of train; missing_time where that is unknown.
    - copy_of_target, copy: features that equal the target or one another in every row, or stand for it one-to-one.
    - predicts_target: a feature that predicts the target alone. The target's mean in each of its bins or levels (nulls
      are one too), taken from train, is the score of a row of test. For classes the AUC of each class against the rest,
      weighted by the rows of the class: .99 is an error, .9 a warning, if it is also four standard errors above chance.
      For numbers the share of variance explained (R2) of their ranks in train: .98 is an error, .9 a warning.
    - identifier: integers and text nearly all of whose values differ.

    Cells are compared by value, whatever the engine; a null equals a null. Rows are compared by 64-bit hashes: of a
    million rows each, a wrong pair turns up once in ten million times.

    Parameters
    ----------
    train, test
        Frames in memory, of any engines.
    target
        The column to predict. Numbers of at most 20 values, seen twice on average, are classes, as all text is.
    time
        When a row was; a datetime or a number. Naive times are UTC.
    key
        What a row is about (a customer, say) and may stand on one side alone: a column, or several together.
    columns
        The features; by default every column of train but target, time and key.

    Raises
    ------
    ConfigurationError
        When `columns` is no list of names, or empty.
    DataError
        When a frame is not in memory or has no rows; when target, time, key or a named column is missing or stands
        twice; when the target has no value, mixed types, or another kind in test; when time holds no times.

    References
    ----------
    S. Kapoor and A. Narayanan (2023). Leakage and the reproducibility crisis in machine-learning-based science.
    Patterns 4.

    Examples
    --------
    >>> import numpy as np
    >>> n = np.arange(200)
    >>> train = {"fare": n / 7, "refund": np.where(n % 4, 0, n), "left": n % 4 == 0}
    >>> test = {"fare": n / 9 + 0.1, "refund": np.where(n % 4, 0, n + 1), "left": n % 4 == 0}
    >>> print(leakage(train, test, target="left"))
    failed: 1 error, 0 warnings (200 rows in train, 200 in test)
    error   predicts_target: refund alone predicts left: AUC 1
    """
    _check_columns(columns)
    sides = _Sides.read(
        train, test, target, time, () if key is None else (key,) if isinstance(key, str) else key, columns
    )
    found = [*_missing_columns(sides), *_rows(sides), *_keys(sides), *_times(sides), *_copies(sides)]
    copied = {name for f in found if f.check == "copy_of_target" for name in f.columns[:1]}
    scores, alone = _alone(sides, [name for name in sides.features if name not in copied])
    found += [*alone, *_identifiers(sides)]
    found.sort(key=lambda f: f.severity)
    return LeakageReport(tuple(found), scores, sides.n_train, sides.n_test)


@frozen(eq=False)
class _Sides:
    """Both frames, read once."""

    train: dict[str, frames.Column]
    test: dict[str, frames.Column]
    n_train: int
    n_test: int
    target: str
    time: str | None
    key: tuple[str, ...]
    features: tuple[str, ...]
    gone: tuple[str, ...]
    hashes: dict[str, tuple[Hashes, Hashes]]

    @classmethod
    def read(
        cls, train: Any, test: Any, target: str, time: str | None, key: Sequence[str], columns: Sequence[str] | None
    ) -> _Sides:
        have = [_names_in_memory("train", train), _names_in_memory("test", test)]
        special = [target, *([] if time is None else [time]), *key]
        wanted = [name for name in have[0] if name not in special] if columns is None else list(columns)
        if target in wanted:
            raise DataError(f"columns name the target {target!r}: give features alone")
        features = [name for name in dict.fromkeys(wanted) if columns is not None or name in have[1]]
        gone = [name for name in dict.fromkeys(wanted) if name not in features]
        needed = list(dict.fromkeys([*special, *features]))
        if not features:
            raise DataError(f"train and test have no feature in common beside {special}: got {have[0]} and {have[1]}")
        read = []
        for side, data in (("train", train), ("test", test)):
            try:
                chosen = frames.select(data, needed)
            except DataError as error:
                raise DataError(f"{side}: {error}") from error
            read.append({c.name: c for c in frames.columns(chosen)})
        hashes = {name: (frames.hashes(read[0][name]), frames.hashes(read[1][name])) for name in needed}
        n, m = frames.n_rows(train), frames.n_rows(test)
        return cls(read[0], read[1], n, m, target, time, tuple(key), tuple(features), tuple(gone), hashes)

    def row_hashes(self, names: Sequence[str]) -> tuple[Hashes, Hashes]:
        """Return a hash of the cells of these columns in each row, on both sides."""
        return _chained([self.hashes[n][0] for n in names]), _chained([self.hashes[n][1] for n in names])

    def leak(
        self,
        check: str,
        columns: Sequence[str],
        severity: Severity,
        bad: NDArray[np.bool_],
        text: str,
        where: Literal["test", "train"] = "test",
    ) -> list[Leak]:
        """Return a finding about the rows where `bad` is True, if there are any."""
        rows, n = np.flatnonzero(bad), len(bad)
        if not len(rows):
            return []
        message = f"{len(rows)} of {n} {where} {'row' if n == 1 else 'rows'} ({_percent(len(rows) / n)}) {text}"
        return [Leak(check, tuple(columns), severity, where, len(rows), n, rows, None, message)]

    def whole(
        self, check: str, columns: Sequence[str], severity: Severity, text: str, value: float | None = None
    ) -> Leak:
        """Return a finding about whole columns."""
        none = np.empty(0, dtype=np.intp)
        return Leak(check, tuple(columns), severity, "test", self.n_test, self.n_test, none, value, text)


def _names_in_memory(side: str, data: Any) -> list[str]:
    if not frames.is_frame(data):
        raise DataError(
            f"{side} is a {type(data).__name__}; expected a frame in memory, because its rows are compared one with "
            "another: collect it, or a sample of it"
        )
    if frames.n_rows(data) == 0:
        raise DataError(f"{side} has no rows: there is nothing to compare")
    return frames.names(data)


def _chained(parts: Sequence[Hashes]) -> Hashes:
    total = np.zeros(len(parts[0]), dtype=np.uint64)
    for part in parts:
        total = mix64(total ^ part)
    return total


def _missing_columns(sides: _Sides) -> list[Leak]:
    text = "{}: test lacks this column of train; it was left out"
    return [sides.whole("missing_column", (name,), "warning", text.format(name)) for name in sides.gone]


def _rows(sides: _Sides) -> list[Leak]:
    """Compare whole rows: features with and without the target."""
    a, b = sides.row_hashes(sides.features)
    labels = sides.hashes[sides.target]
    both_a, both_b = _chained([a, labels[0]]), _chained([b, labels[1]])
    same, known = _among(both_b, both_a), _among(b, a)
    place, n_different = _codes(a)
    n_repeated = len(a) - n_different
    severity: Severity = "warning" if n_repeated * 2 >= len(a) else "error"
    some_label = np.empty(n_different, dtype=np.uint64)
    some_label[place] = labels[0]
    conflicts = np.zeros(n_different, dtype=bool)
    conflicts[place[labels[0] != some_label[place]]] = True
    repeats = f"{_percent(n_repeated / len(a))} of train repeats itself"
    columns = sides.features
    return [
        *sides.leak("duplicate_rows", columns, severity, same, f"stand in train too, target included; {repeats}"),
        *sides.leak("conflicting_labels", columns, "warning", known & ~same, "stand in train with another target"),
        *sides.leak(
            "conflicting_labels",
            columns,
            "warning",
            conflicts[place],
            "have equal features and another target",
            "train",
        ),
    ]


def _keys(sides: _Sides) -> list[Leak]:
    if not sides.key:
        return []
    a, b = sides.row_hashes(sides.key)
    gone_a, gone_b = (np.logical_or.reduce([c[n].missing for n in sides.key]) for c in (sides.train, sides.test))
    shared = _among(b, a[~gone_a]) & ~gone_b
    n_keys = _codes(b[shared])[1]
    return sides.leak("shared_keys", sides.key, "error", shared, f"have one of {_plural(n_keys, 'key')} of train")


def _times(sides: _Sides) -> list[Leak]:
    if sides.time is None:
        return []
    a, b = sides.train[sides.time], sides.test[sides.time]
    for side, c in (("train", a), ("test", b)):
        if c.missing.all() or c.kind not in frames.NUMERIC:
            kind = "nothing but nulls" if c.missing.all() else f"kind {c.kind!r}"
            raise DataError(f"{side}: time={sides.time!r} holds {kind}; expected datetimes, or numbers that count time")
    if _family(a.kind) != _family(b.kind):
        raise DataError(f"time={sides.time!r} is of kind {a.kind!r} in train and {b.kind!r} in test; expected one kind")
    last = a.valid().max()
    early = np.zeros(len(b), dtype=bool)
    early[~b.missing] = b.valid() <= last
    shown = frames.stamp(a.kind, int(last)) if a.kind in ("datetime", "duration") else last
    found = sides.leak("time_overlap", (sides.time,), "error", early, f"are not later than the last of train, {shown}")
    text = "have no time"
    found += sides.leak("missing_time", (sides.time,), "warning", b.missing, text)
    return found + sides.leak("missing_time", (sides.time,), "warning", a.missing, text, "train")


def _copies(sides: _Sides) -> list[Leak]:
    """Find columns that are equal in every row, or that stand for one another one-to-one."""
    seen: dict[bytes, str] = {}
    found = []
    for name in (sides.target, *sides.features):
        cells = np.concatenate(sides.hashes[name])
        codes, n_levels = _codes(cells)
        if n_levels < 2:
            continue
        exact, renamed = _digest(cells), _digest(codes) if n_levels * 5 <= len(cells) else b""
        twin, how = seen.get(exact), "equals"
        if twin is None and renamed:
            twin, how = seen.get(renamed), "stands one-to-one for"
        seen.setdefault(exact, name)
        if renamed:
            seen.setdefault(renamed, name)
        if twin is not None:
            of_target = twin == sides.target
            severity: Severity = "error" if of_target else "warning"
            text = f"{name} {how} {'the target ' if of_target else ''}{twin} in every row of both"
            found.append(sides.whole("copy_of_target" if of_target else "copy", (name, twin), severity, text))
    return found


def _codes(values: Hashes) -> tuple[Ints, int]:
    """Return each value as the number of its first appearance, and how many different ones there are."""
    codes, levels = pd.factorize(values)
    return codes, len(levels)


def _among(values: Hashes, known: Hashes) -> NDArray[np.bool_]:
    return pd.Index(values).isin(known)


def _digest(values: NDArray[Any]) -> bytes:
    return hashlib.blake2b(values.tobytes() + values.dtype.str.encode(), digest_size=16).digest()


def _identifiers(sides: _Sides) -> list[Leak]:
    found = []
    for name in sides.features:
        column = sides.train[name]
        n = len(column) - int(column.missing.sum())
        if column.kind not in ("int", "str", "category") or n < ENOUGH_ROWS:
            continue
        share = _codes(sides.hashes[name][0][~column.missing])[1] / n
        if share >= NEARLY_UNIQUE:
            text = f"{name} looks like an identifier: {_percent(share)} of its values in train differ"
            found.append(sides.whole("identifier", (name,), "warning", text, share))
    return found


def _alone(sides: _Sides, features: Sequence[str]) -> tuple[tuple[FeatureScore, ...], list[Leak]]:
    """Score each feature alone."""
    goal = _Goal.of(sides)
    found = goal.missing
    scores = []
    for name in features:
        a, b = sides.train[name], sides.test[name]
        bins = fit_column(a, _n_bins(sides.n_train))
        if not _fits(bins, b):
            text = f"{name}: is of kind {a.kind!r} in train and {b.kind!r} in test; it was not scored"
            found.append(sides.whole("kind", (name,), "warning", text))
            continue
        value = goal.score(bins.place(a), bins.place(b), len(bins))
        scores.append(FeatureScore(name, goal.measure, value))
        if goal.telling(value):
            severity: Severity = "error" if value >= goal.error else "warning"
            text = f"{name} alone predicts {sides.target}: {goal.measure} {value:.4g}"
            found.append(sides.whole("predicts_target", (name,), severity, text, value))
    if not goal.enough:
        text = "the rows are too few to tell whether a feature alone predicts the target"
        found.append(sides.whole("not_scored", (sides.target,), "warning", text))
    scores.sort(key=lambda s: -s.value if not math.isnan(s.value) else math.inf)
    return tuple(scores), found


def _n_bins(n_rows: int) -> int:
    return min(200, max(2, math.isqrt(n_rows)))


@frozen(eq=False)
class _Goal:
    """The target of both sides, ready to be predicted: classes as codes, or ranks as numbers."""

    measure: str
    error: float
    least: float
    enough: bool
    train: NDArray[Any]
    test: NDArray[Any]
    known: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    n_classes: int
    missing: list[Leak]

    @classmethod
    def of(cls, sides: _Sides) -> _Goal:
        name = sides.target
        a, b = sides.train[name], sides.test[name]
        for side, c in (("train", a), ("test", b)):
            if c.missing.all():
                raise DataError(f"{side}: target={name!r} holds nothing but nulls")
            if c.kind == "other":
                raise DataError(f"{side}: target={name!r} holds mixed or nested values; expected one type")
        if _family(a.kind) != _family(b.kind):
            raise DataError(f"target={name!r} is of kind {a.kind!r} in train and {b.kind!r} in test; expected one kind")
        known = ~a.missing, ~b.missing
        text = "have no target; features were scored without them"
        missing = sides.leak("missing_target", (name,), "warning", ~known[1], text)
        missing += sides.leak("missing_target", (name,), "warning", ~known[0], text, "train")
        bins = fit_column(a, 20)
        many = a.kind in frames.NUMERIC and 2 * len(bins) > int(known[0].sum())
        if isinstance(bins, LevelBins) and bins.levels and not many:
            return cls._classes(bins, a, b, known, missing)
        x, y = a.numbers(), b.numbers()
        ordered = np.sort(x[known[0]])
        below, beside = [(ordered.searchsorted(v, "left") + ordered.searchsorted(v, "right")) / 2 for v in (x, y)]
        enough = min(int(k.sum()) for k in known) >= ENOUGH_ROWS and np.ptp(beside[known[1]]) > 0
        return cls("R2", R2_ERROR, R2_WARNING, bool(enough), below, beside, known, 0, missing)

    @classmethod
    def _classes(
        cls,
        bins: LevelBins,
        a: frames.Column,
        b: frames.Column,
        known: tuple[NDArray[np.bool_], NDArray[np.bool_]],
        missing: list[Leak],
    ) -> _Goal:
        codes = bins.place(a), bins.place(b)
        n, k = int(known[1].sum()), len(bins)
        sizes = np.bincount(codes[1][known[1]], minlength=k)
        most = int(sizes.max())
        chance = math.inf if most == n else math.sqrt((n + 1) / (12 * most * (n - most)))
        least = max(AUC_WARNING, 0.5 + 4 * chance)
        return cls("AUC", AUC_ERROR, least, least <= 1, codes[0], codes[1], known, k, missing)

    def telling(self, value: float) -> bool:
        """Whether a figure is so high that the feature alone predicts the target, and not by chance."""
        return self.enough and value >= self.least

    def score(self, a: NDArray[np.intp], b: NDArray[np.intp], n_bins: int) -> float:
        """Return how well the bins of a feature, fitted on train, predict the target of test; -1 is a missing value."""
        a, b = a[self.known[0]] + 1, b[self.known[1]] + 1
        y, z = self.train[self.known[0]], self.test[self.known[1]]
        rows = np.bincount(a, minlength=n_bins + 1)
        if self.n_classes:
            return _auc(a, b, y, z, rows, self.n_classes)
        sums = np.bincount(a, weights=y, minlength=n_bins + 1)
        mean = np.where(rows > 0, sums / np.maximum(rows, 1), y.mean())
        around = float(((z - z.mean()) ** 2).sum())
        return 1 - float(((z - mean[b]) ** 2).sum()) / around if around > 0 else math.nan


def _auc(
    a: NDArray[np.intp], b: NDArray[np.intp], y: NDArray[np.intp], z: NDArray[np.intp], rows: Ints, k: int
) -> float:
    """Return the AUC of each class against the rest, weighted by the rows of the class in test."""
    n_bins = len(rows)
    fitted = np.bincount(a * k + y, minlength=n_bins * k).reshape(n_bins, k)
    tested = np.bincount(b * k + z, minlength=n_bins * k).reshape(n_bins, k)
    prior = fitted.sum(axis=0) / len(a)
    rate = np.where(rows[:, None] > 0, fitted / np.maximum(rows, 1)[:, None], prior)
    here = tested.sum(axis=1)
    total, weight = 0.0, 0
    for c in np.flatnonzero(tested.sum(axis=0)).tolist():
        n = int(tested[:, c].sum())
        if n == len(b):
            continue
        _, place = np.unique(rate[:, c], return_inverse=True)
        yes, no = np.bincount(place, weights=tested[:, c]), np.bincount(place, weights=here - tested[:, c])
        below = np.cumsum(no) - no
        total += n * float((yes * (below + no / 2)).sum()) / (n * (len(b) - n))
        weight += n
    return total / weight if weight else math.nan


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
