"""Does the test know the answers? Rows that stand in train too, and features that give the target away."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from attrs import field, frozen
from numpy.typing import NDArray

from mlopskit import frames
from mlopskit.comparison.kinds import can_count, check_columns, family
from mlopskit.display.words import percent, plural
from mlopskit.errors import DataError
from mlopskit.evidence import Report
from mlopskit.profiling.bins import LevelBins, fit_column
from mlopskit.schema import Severity
from mlopskit.stats.sketches import mix64

Hashes: TypeAlias = NDArray[np.uint64]
Ints: TypeAlias = NDArray[np.int64]

_SHOWN = 5

NEARLY_UNIQUE = 0.98
"""Share of different values from which integers or text look like an identifier ..."""
ENOUGH_ROWS = 20
"""... in at least so many rows; regression targets are scored on as many."""
AUC_ERROR, AUC_WARNING = 0.99, 0.9
"""AUC from which one feature that predicts the target alone is an error, or a warning ..."""
R2_ERROR, R2_WARNING = 0.98, 0.9
"""... and share of the variance of a regression target's ranks."""


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
        counts = [plural(n_errors, "error"), plural(len(self.findings) - n_errors, "warning")]
        sizes = f"({plural(self.n_train, 'row')} in train, {self.n_test} in test)"
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
    check_columns(columns)
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
        message = f"{len(rows)} of {n} {where} {'row' if n == 1 else 'rows'} ({percent(len(rows) / n)}) {text}"
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
    repeats = f"{percent(n_repeated / len(a))} of train repeats itself"
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
    return sides.leak("shared_keys", sides.key, "error", shared, f"have one of {plural(n_keys, 'key')} of train")


def _times(sides: _Sides) -> list[Leak]:
    if sides.time is None:
        return []
    a, b = sides.train[sides.time], sides.test[sides.time]
    for side, c in (("train", a), ("test", b)):
        if c.missing.all() or c.kind not in frames.NUMERIC:
            kind = "nothing but nulls" if c.missing.all() else f"kind {c.kind!r}"
            raise DataError(f"{side}: time={sides.time!r} holds {kind}; expected datetimes, or numbers that count time")
    if family(a.kind) != family(b.kind):
        raise DataError(f"time={sides.time!r} is of kind {a.kind!r} in train and {b.kind!r} in test; expected one kind")
    last = a.valid().max()
    early = np.zeros(len(b), dtype=bool)
    exact = object if a.values.dtype == object else b.values.dtype  # numpy compares no integer beyond 64 bits
    early[~b.missing] = np.asarray(b.valid().astype(exact, copy=False) <= last, dtype=bool)
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
            text = f"{name} looks like an identifier: {percent(share)} of its values in train differ"
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
        if not can_count(bins, b):
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
        if family(a.kind) != family(b.kind):
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
