"""What the whole drift detector promises, finds and costs, beside other libraries and rules made by hand.

python benchmarks/drift.py                          # alarms, detection, cost, peers: all of it
python benchmarks/drift.py alarms --jobs 2          # false alarms while nothing changes, beside the promise
python benchmarks/drift.py detection                # how soon a change is found, and whether its feature is named
python benchmarks/drift.py cost                     # time, CPU and size beside floors of the same run
python benchmarks/drift.py peers --venvs FOLDER     # other libraries; environments and answers are kept in the folder
python benchmarks/drift.py --quick --no-peers       # a trial of a minute or two

Twenty features: 14 numbers (normal, lognormal, t with 3 degrees of freedom), of which the first two are correlated at
.5, and 6 texts of 2 to 20 levels, some of them rare; 1% is missing in one number and one text. Batches have 1,000 rows.
In `alarms` and `detection` only the reference is rows; the batches after it are drawn as counts in the bins that the
detector chose, which has the same law. In `peers` every batch is rows, the same for everyone; each library runs in an
environment and a process of its own.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit, ndtr
from scipy.stats import binom, chi2_contingency, ks_2samp

Array: TypeAlias = npt.NDArray[np.float64]
Rng: TypeAlias = np.random.Generator
Answer: TypeAlias = tuple[Array, npt.NDArray[np.bool_]]
Judge: TypeAlias = Callable[[Sequence[pd.DataFrame]], Answer]
"""From batches to a score for each batch and column (larger: stranger), and whether the default calls it drift."""

LIMIT, ROWS, QUIET, WITHIN = 1_000, 1_000, 20, 10
"""One false alarm in so many batches; rows of a batch; batches before a change, and after it."""

# --- streams --------------------------------------------------------------------------------------------------------


def zipf(n: int, power: float) -> Array:
    shares = np.arange(1.0, n + 1) ** -power
    return np.asarray(shares / shares.sum())


NUMBERS = [f"x{i}" for i in range(14)]
LOGNORMAL, HEAVY = slice(5, 10), slice(10, 14)
LEVELS = {
    "c0": np.array([0.6, 0.4]), "c1": np.array([0.5, 0.3, 0.2]), "c2": np.array([0.4, 0.25, 0.2, 0.1, 0.05]),
    "c3": zipf(8, 1.5), "c4": zipf(12, 2.0), "c5": zipf(20, 2.5),
}  # fmt: skip
TEXTS = list(LEVELS)
COLUMNS = NUMBERS + TEXTS


@dataclass(frozen=True)
class Law:
    """What the rows of one batch are drawn from: shifts and scales in sd (of the logarithm for lognormal columns)."""

    shift: Array = field(default_factory=partial(np.zeros, 14))
    scale: Array = field(default_factory=partial(np.ones, 14))
    levels: tuple[Array, ...] = tuple(LEVELS.values())
    lost: Array = field(default_factory=lambda: np.where(np.isin(COLUMNS, ["x3", "c3"]), 0.01, 0.0))
    unseen: float = 0.0  # share of rows of c2 with a level that the reference never had
    correlation: float = 0.5


def one(i: int, n: int = 14) -> Array:
    return np.asarray(np.eye(n)[i])


CHANGES: dict[str, tuple[str, Callable[[Law], Law]]] = {
    "mean +.25 sd": ("x2", lambda law: replace(law, shift=law.shift + 0.25 * one(2))),
    "mean +.10 sd": ("x2", lambda law: replace(law, shift=law.shift + 0.10 * one(2))),
    "variance x1.5": ("x2", lambda law: replace(law, scale=law.scale * 1.5 ** (one(2) / 2))),
    "category +10 points": (
        "c2",
        lambda law: replace(
            law, levels=tuple(p * 0.7 / 0.8 + one(2, 5) * 0.125 if len(p) == 5 else p for p in law.levels)
        ),
    ),
    "unseen 1%": ("c2", lambda law: replace(law, unseen=0.01)),
    "missing 1% to 5%": ("x3", lambda law: replace(law, lost=law.lost + 0.04 * one(3, 20))),
    "t3 x1.5": ("x10", lambda law: replace(law, scale=law.scale * 1.5 ** one(10))),
    "correlation flip": ("x0 ~ x1", lambda law: replace(law, correlation=-0.5)),
}
"""The feature that changes, and how."""


@dataclass(frozen=True)
class World:
    """How batches differ while all is well: effects of each day on every feature, clusters of equal rows, sizes."""

    day: float = 0.0  # sd of the effects: on numbers in sd of rows, on log shares of levels, on the logit of missing
    effects: str = "normal"  # or "t3", "skewed"
    shared: bool = False  # one effect a day for all features, in place of one for each
    cluster: int = 1
    sizes: tuple[int, int] = (ROWS, ROWS)

    def batch(self, rng: Rng, law: Law) -> tuple[Law, int]:
        """Draw the law of one batch, and its number of rows."""
        n = int(rng.integers(self.sizes[0], self.sizes[1] + 1))
        if not self.day:
            return law, n

        def effect(size: int) -> Array:
            if self.shared:
                return np.full(size, common)
            if self.effects == "t3":
                return np.asarray(self.day * rng.standard_t(3, size) / 3**0.5)
            if self.effects == "skewed":
                return np.asarray(self.day * (rng.standard_exponential(size) - 1))
            return np.asarray(self.day * rng.standard_normal(size))

        common = self.day * rng.standard_normal()
        slopes = [np.linspace(-1.7, 1.7, len(p)) if self.shared else 1.0 for p in law.levels]
        tilted = [p * np.exp(slope * effect(len(p))) for slope, p in zip(slopes, law.levels, strict=True)]
        lost = np.where(law.lost > 0, expit(logit(np.maximum(law.lost, 1e-9)) + effect(20)), 0.0)
        shift = law.shift + effect(14)
        return replace(law, shift=shift, levels=tuple(p / p.sum() for p in tilted), lost=lost), n


def rows(rng: Rng, law: Law, n: int, cluster: int = 1) -> pd.DataFrame:
    """Draw a frame; rows come in clusters of equal ones."""
    m = n // cluster
    z = rng.standard_normal((m, 14))
    z[:, 1] = law.correlation * z[:, 0] + (1 - law.correlation**2) ** 0.5 * z[:, 1]
    z[:, HEAVY] = rng.standard_t(3, (m, 4)) / 3**0.5
    z = z * law.scale + law.shift
    z[:, LOGNORMAL] = np.exp(z[:, LOGNORMAL])
    lost = rng.random((m, 20)) < law.lost
    data: dict[str, Any] = {name: np.where(lost[:, i], np.nan, z[:, i]) for i, name in enumerate(NUMBERS)}
    for i, (name, p) in enumerate(zip(TEXTS, law.levels, strict=True), start=14):
        code = np.minimum(np.searchsorted(np.cumsum(p), rng.random(m)), len(p) - 1)
        code[lost[:, i]] = len(p) + 1
        if name == "c2":
            code[rng.random(m) < law.unseen] = len(p)
        data[name] = np.array([*(f"level {k}" for k in range(len(p))), "never seen", None], dtype=object)[code]
    return pd.DataFrame({k: np.repeat(v, cluster) for k, v in data.items()})


# --- counts in place of rows ----------------------------------------------------------------------------------------


class Counter:
    """Draws the profile of a batch under a binning, without its rows: the same law as profiling `rows`.

    Signs against the medians are drawn row by row, since pairs of columns are counted by them; given its sign, the bin
    of a row is independent of the other columns. The two correlated columns are drawn as numbers.
    """

    def __init__(self, binning: Any) -> None:
        from mlopskit.stats.sketches import HyperLogLog

        self.binning, self.nothing = binning, HyperLogLog()
        numeric = [binning[name] for name in NUMBERS]
        middle = {int(np.searchsorted(b.edges, b.median, side="right")) for b in numeric}
        (self.middle,) = middle  # the median cuts the same bin of each column in two
        self.cuts = np.array([np.insert(b.edges, self.middle, b.median) for b in numeric])
        self.cuts[LOGNORMAL] = np.log(self.cuts[LOGNORMAL])
        self.places = [binning[name].places([f"level {k}" for k in range(len(LEVELS[name]))]) for name in TEXTS]

    def shares(self, law: Law) -> Array:
        """Return the probability of each cell between two cuts, shape (14, cuts + 1)."""
        u = (self.cuts - law.shift[:, None]) / law.scale[:, None]
        below = ndtr(u)
        below[HEAVY] = 0.5 + (u[HEAVY] / (1 + u[HEAVY] ** 2) + np.arctan(u[HEAVY])) / np.pi  # t3 / sqrt(3)
        edges = [np.zeros((14, 1)), below, np.ones((14, 1))]
        return np.diff(np.concatenate(edges, axis=1), axis=1)

    def __call__(self, rng: Rng, law: Law, n: int, cluster: int = 1) -> Any:
        """Draw a profile."""
        import mlopskit as mk
        from mlopskit.profiling import ColumnProfile

        m, p, above = n // cluster, self.shares(law), self.middle + 1
        some = np.flatnonzero(law.lost)
        there = np.ones((m, 20), dtype=np.float32)  # whole numbers, exact as such
        there[:, some] = rng.random((m, len(some))) >= law.lost[some]
        z = rng.standard_normal((m, 2))
        z[:, 1] = law.correlation * z[:, 0] + (1 - law.correlation**2) ** 0.5 * z[:, 1]
        z = z * law.scale[:2] + law.shift[:2]
        below = np.concatenate(
            [z <= self.cuts[:2, self.middle], rng.random((m, 12)) < p[2:, :above].sum(axis=1)], axis=1
        )
        valid = there[:, :14]
        sign = np.where(below, valid, -valid)
        n_valid, excess = (np.rint(x.sum(axis=0)).astype(np.int64) for x in (there, sign))
        sides = [((n_valid[:14] + excess) // 2, p[:, :above]), ((n_valid[:14] - excess) // 2, p[:, above:])]
        cells = np.concatenate([rng.multinomial(k, q / q.sum(axis=1, keepdims=True)) for k, q in sides], axis=1)
        for j in range(2):
            known_z = z[valid[:, j] > 0, j]
            cells[j] = np.bincount(np.searchsorted(self.cuts[j], known_z), minlength=p.shape[1])
        cells[:, self.middle] += cells[:, above]
        counts = [*np.delete(cells, above, axis=1)]
        for name, places, k, levels in zip(TEXTS, self.places, n_valid[14:], law.levels, strict=True):
            unseen = law.unseen if name == "c2" else 0.0
            q = np.zeros(len(self.binning[name]))
            np.add.at(q, places, levels * (1 - unseen))
            q[-1] += unseen
            counts.append(rng.multinomial(k, q / q.sum()))
        paired = np.rint(valid.T @ valid).astype(np.int64)
        same = (np.rint(sign.T @ sign).astype(np.int64) + paired) // 2
        kinds: list[Any] = ["float"] * 14 + ["str"] * 6
        columns = tuple(
            ColumnProfile(name, cluster * c, kind, int(cluster * (m - k)), distinct=self.nothing)
            for name, c, kind, k in zip(COLUMNS, counts, kinds, n_valid, strict=True)
        )
        return mk.Profile(self.binning, cluster * m, columns, cluster * same, cluster * paired, "0" * 32)


def check_counts(n: int = 100_000) -> None:
    """Raise where drawn counts and profiles of drawn rows differ by more than luck, with and without a change."""
    import mlopskit as mk

    rng = np.random.default_rng(7)
    binning = mk.Binning.fit(rows(rng, Law(), 5_000), pairs=True)
    counter = Counter(binning)
    law = Law(unseen=0.02, correlation=-0.3)
    law = replace(law, shift=law.shift + 0.1, scale=law.scale * 1.1)
    for one_law in (Law(), law):
        a, b = binning.profile(rows(rng, one_law, n)), counter(rng, one_law, n)
        for x, y in zip(a.columns, b.columns, strict=True):
            table = np.column_stack([[*x.counts, x.n_missing], [*y.counts, y.n_missing]])
            p = chi2_contingency(table[table.sum(axis=1) > 0])[1]
            assert p > 1e-6, (x.name, p)
        gap = np.abs(a.concordant - b.concordant) / np.sqrt(n / 2)
        assert gap.max() < 6, gap.max()
        assert np.abs(a.paired - b.paired).max() < 6 * (2 * n * 0.01) ** 0.5


# --- ours -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One null: how batches vary, how many reference batches there are (0: a single frame of 5,000 rows), horizon."""

    name: str
    world: World = World()
    n_reference: int = 0
    batches: int = 200
    later: World | None = None  # the world after the reference, where it is another one


def fitted(rng: Rng, cell: Cell) -> Any:
    """Return a detector fitted to rows of a cell's world."""
    import mlopskit as mk

    warnings.simplefilter("ignore")
    detector = mk.DriftDetector(false_alarm_every=LIMIT)
    world = cell.world
    if not cell.n_reference:
        return detector.fit(rows(rng, Law(), 5 * ROWS, world.cluster))
    parts = [rows(rng, *world.batch(rng, Law()), world.cluster) for _ in range(cell.n_reference)]
    return detector.fit(parts)


def quiet_path(cell: Cell, run: int) -> Array:
    """Return the log evidence after each batch of a run in which nothing changes; no alarm restarts it."""
    rng = np.random.default_rng([11, sum(cell.name.encode()), cell.n_reference, run])
    detector = fitted(rng, cell)
    counter, world = Counter(detector.state.reference.binning), cell.later or cell.world
    draws = (counter(rng, *world.batch(rng, Law()), world.cluster) for _ in range(cell.batches))
    return np.array([detector.update(profile).evidence.log_value for profile in draws])


DAYS = World(day=0.10)
NULLS = [
    Cell("rows vary: i.i.d. rows", batches=1_000),
    Cell("batches vary: day effects .10 sd", DAYS, 20, 1_000),
    Cell("no day effects", World(), 20),
    Cell("day effects .05 sd", World(day=0.05), 20),
    Cell("day effects .20 sd", World(day=0.20), 20),
    Cell("one effect of .10 sd for all features", World(day=0.10, shared=True), 20),
    Cell("t3 day effects .10 sd", World(day=0.10, effects="t3"), 20),
    Cell("skewed day effects .10 sd", World(day=0.10, effects="skewed"), 20),
    Cell("rows in clusters of 10", World(cluster=10), 20),
    Cell("sizes of 500 to 1,500, day effects .10 sd", World(day=0.10, sizes=(500, 1_500)), 20),
    Cell("sizes 1,000, then 600; day effects .10 sd", DAYS, 20, later=World(day=0.10, sizes=(600, 600))),
    Cell("day effects .10 sd", DAYS, 10),
    Cell("day effects .10 sd", DAYS, 60),
    Cell("day effects .10 sd", DAYS, 100),
]


def alarms(run: Callable[..., list[Any]], runs: int, most: int) -> None:
    check_counts()
    lines = []
    for cell in NULLS:
        cell = replace(cell, batches=min(cell.batches, most))
        top = np.maximum.accumulate(np.array(run(partial(quiet_path, cell), runs)), axis=1)
        asked = {(min(200, cell.batches), LIMIT): None}
        if cell.batches > 200:
            asked |= {(cell.batches, LIMIT): None, (cell.batches, 5 * LIMIT): None}
        reference = f"{cell.n_reference} batches" if cell.n_reference else "5,000 rows"
        for t, limit in asked:
            k, bound = int((top[:, t - 1] >= np.log(limit)).sum()), min(t / limit, 1.0)
            cells = [cell.name, reference, f"{t:,}", f"{limit:,}", f"{runs:,}", f"{k / runs:.4f}", f"{bound:.2f}"]
            lines.append((*cells, f"{binom.sf(k - 1, runs, bound):.2g}"))
    head = ("nothing changes", "reference", "batches T", "limit A", "runs", "runs with an alarm", "bound T/A")
    table("False alarms", (*head, "P(so many at the bound)"), lines)


FOUND = [
    Cell("rows vary, reference 5,000"),
    Cell("batches vary, 20 reference batches", World(), 20),
    Cell("batches vary, 60 reference batches", World(), 60),
    Cell("day effects .10 sd, 20 reference batches", DAYS, 20),
    Cell("day effects .10 sd, 60 reference batches", DAYS, 60),
]
AIMS: dict[
    str, list[tuple[float, float | None]]
] = {  # share found within 10 batches and mean delay, which a prototype reached: the changes in their order
    FOUND[0].name: [(1, 1.0), (1, 3.8), (1, 1.0), (1, 1.2), (1, 1.1), (1, 1.0), (1, 1.0), (1, 1.0)],
    FOUND[1].name: [(1, 3.8), (0.97, 7.0), (1, 3.7), (1, 4.7), (1, 3.9), (1, 3.8), (1, 3.8), (1, 3.9)],
    FOUND[2].name: [(1, 3.0), (1, 5.1), (1, 3.0), (1, 3.5), (1, 3.0), (1, 3.0), (1, 3.0), (1, 3.0)],
    FOUND[3].name: [(0.70, 7.7), (0.05, None), (1, 4.1), (1, 6.4), (1, 4.5), (1, 3.8), (1, 3.9), (1, 3.9)],
    FOUND[4].name: [(0.75, 7.2), (0.05, None), (1, 3.1), (1, 5.4), (1, 3.6), (1, 3.0), (1, 3.0), (1, 3.0)],
}


def changed_run(cell: Cell, run: int) -> dict[str, tuple[int, bool]] | None:
    """Return for each change the batch of the alarm (0: none within ten), and whether it named the feature first.

    None where there was an alarm before the change.
    """
    import attrs

    rng = np.random.default_rng([12, sum(cell.name.encode()), run])
    detector = fitted(rng, cell)
    counter, world = Counter(detector.state.reference.binning), cell.world
    for _ in range(QUIET):
        if detector.update(counter(rng, *world.batch(rng, Law()))).alarm:
            return None
    found = {}
    for name, (feature, change) in CHANGES.items():
        after, found[name] = attrs.evolve(detector), (0, False)
        for delay in range(1, WITHIN + 1):
            report = after.update(counter(rng, *world.batch(rng, change(Law()))))
            if report.alarm:
                found[name] = delay, report.features[0].name == feature
                break
    return found


def detection(run: Callable[..., list[Any]], runs: int) -> None:
    lines, named, missed = [], [], []
    for cell in FOUND:
        got = [r for r in run(partial(changed_run, cell), runs) if r is not None]
        share, right = [cell.name], [cell.name]
        for change, (least, delay) in zip(CHANGES, AIMS[cell.name], strict=True):
            delays = np.array([r[change][0] for r in got])
            share.append(found_cell(delays))
            hits = [r[change][1] for r in got if r[change][0]]
            right.append(f"{np.mean(hits):.2f}" if hits else "-")
            late = delays[delays > 0]
            if (delays > 0).mean() < least - 0.005 or (delay is not None and len(late) and late.mean() > delay + 0.05):
                noise = late.std() / max(len(late), 1) ** 0.5 if len(late) else 0.0
                aim = f"{least:g}" + (f"/{delay}" if delay is not None else "")
                missed.append((cell.name, change, aim, f"{found_cell(delays)} (se of the delay {noise:.2f})"))
        lines.append((*share, f"{len(got)} of {runs}"))
        named.append(tuple(right))
    head = ("", *CHANGES)
    title = f"Found within {WITHIN} batches / mean delay, the change {QUIET} batches after the reference, A = {LIMIT:,}"
    table(title, (*head, "runs without an alarm before"), lines)
    table("Of the alarms: the changed feature stands first", head, named)
    table("Behind the aim", ("", "change", "aim", "measured"), missed)


def found_cell(delays: npt.NDArray[Any]) -> str:
    late = delays[delays > 0]
    share = f"{len(late) / len(delays):.2f}".replace("1.00", "1")
    return f"{share}/{late.mean():.1f}" if len(late) else "0"


# --- rules made by hand ---------------------------------------------------------------------------------------------


def texts_of(frame: pd.DataFrame, name: str) -> npt.NDArray[Any]:
    """Return a text column with missing values as a level of their own."""
    return frame[name].astype(object).where(frame[name].notna(), "missing").to_numpy(dtype=object)


def known(frame: pd.DataFrame, name: str) -> Array:
    values = frame[name].to_numpy(dtype=np.float64)
    return np.asarray(values[~np.isnan(values)])


def each(judge: Callable[[pd.DataFrame], tuple[Any, Any]]) -> Judge:
    """Return a judge of many batches from one of a single batch."""

    def all_of(batches: Sequence[pd.DataFrame]) -> Answer:
        scores, drifted = zip(*map(judge, batches), strict=True)
        return np.array(scores, dtype=np.float64), np.array(drifted, dtype=bool)

    return all_of


def from_p(p: Sequence[float], level: float) -> tuple[Array, npt.NDArray[np.bool_]]:
    values = np.nan_to_num(np.array(p, dtype=np.float64), nan=1.0)
    return -np.log10(np.maximum(values, 1e-300)), values < level


def two_tables(a: dict[Any, int], b: dict[Any, int]) -> float:
    names = [name for name in {**a, **b} if a.get(name, 0) + b.get(name, 0)]
    if len(names) < 2:
        return 1.0
    return float(chi2_contingency([[a.get(k, 0) for k in names], [b.get(k, 0) for k in names]])[1])


def by_tests(reference: Sequence[pd.DataFrame]) -> Judge:
    whole = pd.concat(reference, ignore_index=True)
    numbers = {name: known(whole, name) for name in NUMBERS}
    levels = {name: pd.Series(texts_of(whole, name)).value_counts().to_dict() for name in TEXTS}
    gone = {name: {True: len(whole) - len(v), False: len(v)} for name, v in numbers.items()}

    def judge(batch: pd.DataFrame) -> tuple[Any, Any]:
        p = [float(ks_2samp(numbers[name], known(batch, name), method="asymp").pvalue) for name in NUMBERS]
        p += [two_tables(levels[name], pd.Series(texts_of(batch, name)).value_counts().to_dict()) for name in TEXTS]
        for name in NUMBERS:
            n = len(known(batch, name))
            p.append(two_tables(gone[name], {True: len(batch) - n, False: n}))
        return from_p(p, 0.05 / len(p))

    return each(judge)


def shares_of(frame: pd.DataFrame, edges: dict[str, Array], levels: dict[str, list[Any]]) -> list[Array]:
    """Return the share of each decile and of missing for numbers, of each level and of all others for texts."""
    found = []
    for name, cuts in edges.items():
        place = np.searchsorted(cuts, known(frame, name))
        counts = np.bincount(place, minlength=len(cuts) + 1)
        found.append(np.append(counts, len(frame) - len(place)) / len(frame))
    for name, names in levels.items():
        kept = pd.Series(texts_of(frame, name)).value_counts().reindex(names, fill_value=0).to_numpy()
        found.append(np.append(kept, len(frame) - kept.sum()) / len(frame))
    return found


def bins_of(whole: pd.DataFrame) -> tuple[dict[str, Array], dict[str, list[Any]]]:
    edges = {name: np.quantile(known(whole, name), np.arange(1, 10) / 10) for name in NUMBERS}
    return edges, {name: sorted(set(texts_of(whole, name))) for name in TEXTS}


def by_psi(reference: Sequence[pd.DataFrame]) -> Judge:
    whole = pd.concat(reference, ignore_index=True)
    edges, levels = bins_of(whole)
    before = [np.maximum(p, 1e-4) for p in shares_of(whole, edges, levels)]

    def judge(batch: pd.DataFrame) -> tuple[Any, Any]:
        now = [np.maximum(p, 1e-4) for p in shares_of(batch, edges, levels)]
        psi = np.array([((a - b) * np.log(a / b)).sum() for a, b in zip(now, before, strict=True)])
        return psi, psi > 0.2

    return each(judge)


def by_three_sigma(reference: Sequence[pd.DataFrame]) -> Judge:
    """Means and sds of numbers, shares of levels and of missing values: against their mean and sd over batches."""
    whole = pd.concat(reference, ignore_index=True)
    _, levels = bins_of(whole)

    def read(frame: pd.DataFrame) -> tuple[Array, Array]:
        moments = np.array([f(known(frame, name)) for f in (np.mean, np.std) for name in NUMBERS])
        lost = np.array([frame[name].isna().mean() for name in NUMBERS])
        return moments, np.concatenate([lost, *shares_of(frame, {}, levels)])

    held = [np.stack(parts) for parts in zip(*map(read, reference), strict=True)]
    centre, spread = [h.mean(axis=0) for h in held], [h.std(axis=0, ddof=1) for h in held]
    p = np.maximum(centre[1], 1 / len(reference[0]))
    spread[1] = np.maximum(spread[1], np.sqrt(p * (1 - p) / len(reference[0])))  # rare levels would have none
    starts = np.cumsum([0, *(len(names) + 1 for names in levels.values())])[:-1]

    def judge(batch: pd.DataFrame) -> tuple[Any, Any]:
        moments, shares = (np.abs(now - c) / s for now, c, s in zip(read(batch), centre, spread, strict=True))
        z = np.concatenate([moments, shares[:14], np.maximum.reduceat(shares[14:], starts)])
        return z, z > 3

    return each(judge)


# --- other libraries ------------------------------------------------------------------------------------------------


def with_evidently(reference: Sequence[pd.DataFrame]) -> Judge:
    """Call the tests that its report chooses without the report, which takes twenty times as long; compared once."""
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    whole = pd.concat(reference, ignore_index=True)
    kinds = dict.fromkeys(NUMBERS, ColumnType.Numerical) | dict.fromkeys(TEXTS, ColumnType.Categorical)
    before = {name: whole[name].dropna() for name in COLUMNS}
    tests: dict[str, Any] = {}

    def judge(batch: pd.DataFrame) -> tuple[Any, Any]:
        scores, drifted = [], []
        for name, kind in kinds.items():
            now = batch[name].dropna()
            test = tests.setdefault(name, get_stattest(before[name], now, kind, None))
            found = test(before[name], now, kind, None)
            scores.append(found.drift_score)
            drifted.append(found.drifted)
        return scores, drifted

    return each(judge)


def check_evidently() -> None:
    """Raise where the tests and the report disagree."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    stream = Stream("rows", 0)
    reference, (batch,) = stream.reference(), stream.frames(1, 1)
    definition = DataDefinition(numerical_columns=NUMBERS, categorical_columns=TEXTS)
    sides = [Dataset.from_pandas(f, definition) for f in (batch, pd.concat(reference, ignore_index=True))]
    report = Report([ValueDrift(column=name) for name in COLUMNS], include_tests=False).run(*sides)
    theirs = [float(m["value"]) for m in report.dict()["metrics"]]
    np.testing.assert_allclose(with_evidently(reference)([batch])[0][0], theirs, rtol=1e-9)


def with_frouros(reference: Sequence[pd.DataFrame]) -> Judge:
    from frouros.detectors.data_drift import ChiSquareTest, KSTest

    whole, tests = pd.concat(reference, ignore_index=True), {}
    for name in COLUMNS:
        tests[name] = KSTest() if name in NUMBERS else ChiSquareTest()
        tests[name].fit(X=known(whole, name) if name in NUMBERS else texts_of(whole, name).astype(str))

    def judge(batch: pd.DataFrame) -> tuple[Any, Any]:
        values = [known(batch, name) for name in NUMBERS] + [texts_of(batch, name).astype(str) for name in TEXTS]
        p = [tests[name].compare(X=x)[0].p_value for name, x in zip(COLUMNS, values, strict=True)]
        return from_p(p, 0.05)

    return each(judge)


def coded(frame: pd.DataFrame, middle: dict[str, float], levels: dict[str, list[Any]]) -> Array:
    """Return numbers with missing ones at the median, and texts as codes (an unseen one gets the next)."""
    numbers = [frame[name].fillna(middle[name]).to_numpy(dtype=np.float64) for name in NUMBERS]
    codes = [pd.Series(texts_of(frame, name)).map({v: k for k, v in enumerate(levels[name])}) for name in TEXTS]
    return np.column_stack(
        [*numbers, *(c.fillna(len(levels[n])).to_numpy() for c, n in zip(codes, TEXTS, strict=True))]
    )


def with_alibi(reference: Sequence[pd.DataFrame]) -> Judge:
    from alibi_detect.cd import TabularDrift

    whole = pd.concat(reference, ignore_index=True)
    middle = {name: float(whole[name].median()) for name in NUMBERS}
    _, levels = bins_of(whole)
    detector = TabularDrift(coded(whole, middle, levels), categories_per_feature={14 + i: None for i in range(6)})

    def judge(batch: pd.DataFrame) -> tuple[Any, Any]:
        answer = detector.predict(coded(batch, middle, levels))["data"]
        return from_p(answer["p_val"], answer["threshold"])

    return each(judge)


def with_deepchecks(reference: Sequence[pd.DataFrame]) -> Judge:
    from deepchecks.tabular import Dataset
    from deepchecks.tabular.checks import FeatureDrift

    before = Dataset(pd.concat(reference, ignore_index=True), cat_features=TEXTS)

    def judge(batch: pd.DataFrame) -> tuple[Any, Any]:
        found = FeatureDrift().run(before, Dataset(batch, cat_features=TEXTS), with_display=False).value
        scores = np.array([found[name]["Drift score"] or 0.0 for name in COLUMNS], dtype=np.float64)
        return scores, scores > 0.2

    return each(judge)


def with_nannyml(reference: Sequence[pd.DataFrame]) -> Judge:
    import nannyml

    whole, size = pd.concat(reference, ignore_index=True), len(reference[0])
    names = {"column_names": COLUMNS, "treat_as_categorical": TEXTS, "chunk_size": size}
    calculator = nannyml.UnivariateDriftCalculator(**names).fit(whole)

    def judge(batches: Sequence[pd.DataFrame]) -> Answer:
        answer = calculator.calculate(pd.concat(batches, ignore_index=True)).filter(period="analysis").to_df()
        scores, alerts = (answer.xs(what, axis=1, level=2).droplevel(1, axis=1)[COLUMNS] for what in ("value", "alert"))
        return scores.to_numpy(dtype=np.float64), alerts.to_numpy(dtype=bool)

    return judge


def with_whylogs(reference: Sequence[pd.DataFrame]) -> Judge:
    import whylogs
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    before = whylogs.log(pd.concat(reference, ignore_index=True)).view()

    def judge(batch: pd.DataFrame) -> tuple[Any, Any]:
        found = calculate_drift_scores(whylogs.log(batch).view(), before, with_thresholds=True)
        answers = [found[name] or {"pvalue": 1.0, "drift_category": ""} for name in COLUMNS]
        return from_p([a["pvalue"] for a in answers], 0)[0], [a["drift_category"] == "DRIFT" for a in answers]

    return each(judge)


class Windows:
    """An ADWIN for each column; it has no score but whether a window was cut. Texts are numbered by frequency."""

    def __init__(self, reference: Sequence[pd.DataFrame], delta: float) -> None:
        from river.drift import ADWIN

        whole = pd.concat(reference, ignore_index=True)
        self.levels = {name: pd.Series(texts_of(whole, name)).value_counts().index.tolist() for name in TEXTS}
        self.windows = {name: ADWIN(delta=delta) for name in COLUMNS}
        self(reference)

    def __call__(self, batches: Sequence[pd.DataFrame]) -> Answer:
        """Feed batches, and say in which of them a window was cut."""
        cut = np.array([[self.cuts(name, batch) for name in COLUMNS] for batch in batches])
        return cut.astype(np.float64), cut

    def cuts(self, name: str, batch: pd.DataFrame) -> bool:
        """Feed one column of a batch."""
        if name in NUMBERS:
            values = known(batch, name).tolist()
        else:
            code = {v: float(k) for k, v in enumerate(self.levels[name])}
            values = [code.get(v, float(len(code))) for v in texts_of(batch, name)]
        window, found = self.windows[name], False
        for value in values:
            window.update(value)
            found |= window.drift_detected
        return found


DELTAS = (0.002, 1e-4, 1e-6, 1e-8, 1e-10, 1e-13, 1e-16, 1e-20, 1e-25, 1e-30, 1e-40, 1e-50, 1e-70, 1e-100)


@dataclass(frozen=True)
class Peer:
    """What to install (what makes it importable included), and how it is asked."""

    make: Callable[..., Judge]
    requirements: tuple[str, ...] = ()


PEERS = {
    "evidently": Peer(with_evidently, ("evidently", "pandas<3")),
    "alibi-detect": Peer(with_alibi, ("alibi-detect",)),
    "frouros": Peer(with_frouros, ("frouros", "pandas")),
    "river": Peer(Windows, ("river", "pandas")),
    "nannyml": Peer(with_nannyml, ("nannyml", "statsmodels", "pandas<3")),
    "deepchecks": Peer(
        with_deepchecks, ("deepchecks", "pandas<3", "numpy<2", "scikit-learn>=1.6,<1.7", "setuptools<81")
    ),
    "whylogs": Peer(with_whylogs, ("whylogs[viz]", "ipython", "pandas<3")),
    "KS, chi-square, Bonferroni": Peer(by_tests),
    "PSI > .2": Peer(by_psi),
    "3 sigma": Peer(by_three_sigma),
}
SHOWN = {
    "evidently": "evidently {}, any column", "alibi-detect": "alibi-detect {} TabularDrift",
    "frouros": "frouros {} KS, chi-square at .05", "river": "river {} ADWIN per column",
    "nannyml": "nannyml {} univariate", "deepchecks": "deepchecks {} FeatureDrift",
    "whylogs": "whylogs {} drift scores",
    "KS, chi-square, Bonferroni": "by hand: KS, chi-square, Bonferroni", "PSI > .2": "by hand: PSI > .2",
    "3 sigma": "by hand: 3 sigma of reference batches",
}  # fmt: skip

SCENES = {"rows": (World(), 5), "days": (DAYS, 20)}
"""Rows alike, reference of 5,000 rows; day effects of .10 sd, reference of 20 batches."""
TUNED = 200  # batches of each run on which a threshold is set


@dataclass(frozen=True)
class Stream:
    """One run in frames: reference batches, then quiet ones, then ten after each change."""

    scene: str
    run: int

    def frames(self, part: int, n: int, law: Law | None = None) -> list[pd.DataFrame]:
        """Draw the batches of one part, the same whoever asks."""
        rng, world = np.random.default_rng([13, list(SCENES).index(self.scene), self.run, part]), SCENES[self.scene][0]
        return [rows(rng, *world.batch(rng, Law() if law is None else law)) for _ in range(n)]

    def reference(self) -> list[pd.DataFrame]:
        """Draw the reference batches."""
        return self.frames(0, SCENES[self.scene][1])

    def checksum(self) -> float:
        """Return a number that tells whether two processes meet the same rows."""
        frame = self.frames(2, 1)[0]
        return float(frame[NUMBERS].sum().sum() + (frame[TEXTS] == "level 0").sum().sum())

    def changed(self) -> Iterator[tuple[str, list[pd.DataFrame]]]:
        """Draw ten batches after each change."""
        for part, (name, (_, change)) in enumerate(CHANGES.items(), start=2):
            yield name, self.frames(part, WITHIN, change(Law()))


def first(alarm: npt.NDArray[Any]) -> int:
    """Return the number of the first alarm, 0 without one."""
    return int(alarm.argmax()) + 1 if alarm.any() else 0


def answers(make: Callable[[Sequence[pd.DataFrame]], Judge], scene: str, run: int) -> dict[str, Answer]:
    """Return what a judge says of the quiet batches of a run, and of those after each change."""
    stream = Stream(scene, run)
    judge = make(stream.reference())
    found = {"quiet": judge(stream.frames(1, QUIET))}
    for name, batches in stream.changed():
        found[name] = (copy.deepcopy(judge) if isinstance(judge, Windows) else judge)(batches)
    return found


def peer(name: str, scene: str, runs: int) -> dict[str, Any]:
    """Ask one library about all runs of a scene: by its default, and tuned to one false alarm in 1,000 batches."""
    warnings.simplefilter("ignore")
    make = partial(Windows, delta=DELTAS[0]) if name == "river" else PEERS[name].make

    def tuning(make: Any) -> Answer:
        streams = [Stream(scene, 1_000 + run) for run in range(runs)]
        parts = [make(s.reference())(s.frames(1, TUNED)) for s in streams]
        return np.array([p[0] for p in parts]), np.array([p[1] for p in parts])

    def said(alarm_of: Callable[[Answer], Any], found: list[dict[str, Answer]]) -> dict[str, Any]:
        quiet = float(np.mean([alarm_of(f["quiet"]).mean() for f in found]))
        return {"quiet": quiet, "delays": {c: [first(alarm_of(f[c])) for f in found] for c in CHANGES}}

    if name == "evidently":
        check_evidently()
    scores, drifted = tuning(make)
    found = [answers(make, scene, run) for run in range(runs)]
    rules = {"any": lambda a: a[1].any(axis=-1)}
    if name == "evidently":
        rules["verdict"] = lambda a: a[1].mean(axis=-1) >= 0.5
    result: dict[str, Any] = {"rules": {}, "sum": Stream(scene, 0).checksum()}
    for rule, alarm_of in rules.items():
        null = alarm_of((scores, drifted))
        result["rules"][rule] = said(alarm_of, found) | {
            "null": float(null.mean()),
            "runs": float(null.any(axis=1).mean()),
        }
    if name == "river":
        rates = {}

        def too_often(delta: float) -> bool:
            rates[delta] = float(tuning(partial(Windows, delta=delta))[1].any(axis=-1).mean())
            return rates[delta] > 1 / LIMIT

        i = min(bisect_left(DELTAS, True, key=lambda delta: not too_often(delta)), len(DELTAS) - 1)
        tuned = said(rules["any"], [answers(partial(Windows, delta=DELTAS[i]), scene, run) for run in range(runs)])
        result["tuned"] = tuned | {"null": rates[DELTAS[i]], "how": f"delta {DELTAS[i]:g}"}
        return result
    usual = np.maximum(np.quantile(scores.reshape(-1, scores.shape[-1]), 0.99, axis=0), 1e-9)
    largest = np.sort((scores / usual).max(axis=-1), axis=None)[::-1]
    limit = float(largest[int(len(largest) / LIMIT)])

    def strange(answer: Answer) -> Any:
        return (answer[0] / usual).max(axis=-1) > limit

    how = f"{limit:.2f} x the .99 quantile of each score"
    result["tuned"] = said(strange, found) | {"null": float(strange((scores, drifted)).mean()), "how": how}
    return result


def peer_cost(name: str, n: int) -> dict[str, float]:
    """Return CPU seconds of comparing n rows with n rows, and of sorting the batch's numbers."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(5)
    reference, batch = (rows(rng, Law(), n) for _ in range(2))
    make = partial(Windows, delta=DELTAS[0]) if name == "river" else PEERS[name].make
    make([reference[:2_000]])([batch[:1_000]])  # imports are not counted
    cpu, floor = least_cpu(lambda: make([reference])([batch]), lambda: [np.sort(batch[name]) for name in NUMBERS])
    return {"cpu": cpu, "floor": floor}


def least_cpu(*calls: Callable[[], Any], repeats: int = 2) -> list[float]:
    """Return the least CPU seconds of each call, threads included."""
    took = [[once(call) for call in calls] for _ in range(repeats)]
    return [float(t) for t in np.min(took, axis=0)]


def once(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def install(folder: Path, name: str) -> Path:
    """Make an environment for a library, unless it is there; return its Python."""
    peer_of = PEERS[name]
    if not peer_of.requirements:
        return Path(sys.executable)
    python = folder / name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True, capture_output=True, text=True)
        command = [str(python), "-m", "pip", "install", "-q", *peer_of.requirements]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return python


def asked(folder: Path, name: str, *arguments: str) -> dict[str, Any]:
    """Ask a library in a process of its own; an answer that is kept in the folder is used again."""
    kept = folder / "answers" / ("-".join([name, *arguments]).replace(" ", "_") + ".json")
    if not kept.exists():
        python = install(folder, name)
        silent = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "WHYLOGS_NO_ANALYTICS": "True"}
        silent |= {"DISABLE_DEEPCHECKS_ANONYMOUS_TELEMETRY": "True", "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
        command = [str(python), __file__, "--ask", name, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **silent})
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(done.stdout.splitlines()[-1])
    answer: dict[str, Any] = json.loads(kept.read_text())
    return answer


def ours_on(scene: str, runs: int, more: int = 0) -> dict[str, Any]:
    """Ask our detector about the same runs, on frames; an alarm is acknowledged at once.

    `more` quiet batches join the reference: as many as one of the streams has on which the others are tuned.
    """
    import attrs

    import mlopskit as mk

    warnings.simplefilter("ignore")

    def watch(detector: Any, batches: Sequence[pd.DataFrame]) -> npt.NDArray[np.bool_]:
        alarms = []
        for batch in batches:
            alarms.append(detector.update(batch).alarm)
            detector.acknowledge()
        return np.array(alarms)

    def fresh(stream: Stream) -> Any:
        reference = stream.reference() + (Stream(scene, 2_000 + stream.run).frames(1, more) if more else [])
        whole = pd.concat(reference, ignore_index=True) if scene == "rows" else reference
        return mk.DriftDetector(false_alarm_every=LIMIT).fit(whole)

    null = np.array([watch(fresh(s := Stream(scene, 1_000 + run)), s.frames(1, TUNED)) for run in range(runs)])
    delays: dict[str, list[int]] = {name: [] for name in CHANGES}
    quiet = []
    for run in range(runs):
        stream = Stream(scene, run)
        detector = fresh(stream)
        quiet.append(watch(detector, stream.frames(1, QUIET)).mean())
        for name, batches in stream.changed():
            delays[name].append(first(watch(attrs.evolve(detector), batches)))
    said = {"null": float(null.mean()), "runs": float(null.any(axis=1).mean()), "quiet": float(np.mean(quiet))}
    return said | {"delays": delays, "sum": Stream(scene, 0).checksum()}


def peers(runs: int, folder: Path, names: Sequence[str]) -> None:
    for scene in SCENES:
        found: dict[str, dict[str, Any]] = {}
        failed: list[tuple[str, str]] = []
        for name in names:
            start = time.perf_counter()
            try:
                found[name] = asked(folder, name, scene, str(runs))
            except subprocess.CalledProcessError as error:
                failed.append((name, " ".join((error.stderr or "").strip().splitlines()[-1:])[:200]))
            print(f"{scene}, {name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
        beside(scene, runs, found, {name: release(folder, name) for name in found})
        if failed:
            table("Left out", ("library", "why"), failed)


def release(folder: Path, name: str) -> str:
    if not PEERS[name].requirements:
        return ""
    code = f"from importlib.metadata import version; print(version({name!r}))"
    done = subprocess.run([str(install(folder, name)), "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def beside(scene: str, runs: int, found: dict[str, dict[str, Any]], releases: dict[str, str]) -> None:
    own = ours_on(scene, runs)
    known = ours_on(scene, runs, TUNED) if scene == "days" else None
    for name, answer in found.items():
        np.testing.assert_allclose(answer["sum"], own["sum"], err_msg=f"{name} met other rows")

    def line(label: str, said: dict[str, Any], *more: str) -> tuple[str, ...]:
        return label, *more, *(found_cell(np.array(said["delays"][c])) for c in CHANGES)

    ours = "mlopskit, one false alarm in 1,000 batches"
    first_rows = [line(ours, own, f"{own['null']:.2%}", f"{own['runs']:.2f}")]
    tuned_rows = [line(ours, own, "", f"{own['null']:.2%}", f"{own['quiet']:.2%}")]
    if known is not None:
        label = f"mlopskit, with {TUNED} of the quiet batches in its reference"
        tuned_rows.append(line(label, known, "", f"{known['null']:.2%}", f"{known['quiet']:.2%}"))
    ahead = []
    for name, answer in found.items():
        label = SHOWN[name].format(releases[name])
        for rule, said in answer["rules"].items():
            named = label if rule == "any" else label.replace("any column", "verdict on half of the columns")
            first_rows.append(line(named, said, f"{said['null']:.2%}", f"{said['runs']:.2f}"))
        tuned = answer["tuned"]
        tuned_rows.append(line(label, tuned, tuned["how"], f"{tuned['null']:.2%}", f"{tuned['quiet']:.2%}"))
        for change in CHANGES:
            a, b = (np.array(d["delays"][change]) for d in (own, tuned))
            gap = np.where(a == 0, WITHIN + 1, a) - np.where(b == 0, WITHIN + 1, b)
            if gap.mean() > 0:
                noise = gap.std() / len(gap) ** 0.5
                ahead.append((label, change, found_cell(a), found_cell(b), f"{gap.mean():.2f} ({noise:.2f})"))
    what = {"rows": "rows alike, reference of 5,000", "days": "day effects of .10 sd, 20 reference batches"}[scene]
    n = f"{runs} runs of {TUNED} quiet batches; {runs} runs of {WITHIN} batches after each change"
    shown = ("", "quiet batches with an alarm", "quiet runs with one", *CHANGES)
    table(f"Other libraries as they come: {what}; {n}", shown, first_rows)
    shown = ("", "threshold", "alarms where it was set", f"in {runs * QUIET:,} fresh quiet batches", *CHANGES)
    table(f"The same, tuned to one false alarm in 1,000 batches: {what}", shown, tuned_rows)
    shown = ("library, tuned", "change", "ours", "theirs", "batches earlier (se)")
    table("Where another, so tuned, is ahead", shown, ahead)


# --- cost -----------------------------------------------------------------------------------------------------------


def cost(n: int, folder: Path, names: Sequence[str]) -> None:
    import mlopskit as mk
    import stats

    warnings.simplefilter("ignore")
    lines: list[tuple[str, ...]] = []
    for label, call, floor_name, floor in stats.drifts(np.random.default_rng(0)):
        ms, least = stats.compare(call, floor)
        lines.append((label, f"{ms / 1e3:.2f}", floor_name, f"{least / 1e3:.2f}", f"{ms / least:.1f}"))
    table("Update of 1,000 x 20 on top of profiling", ("", "ms", "floor", "ms", "ratio"), lines)
    rng = np.random.default_rng(5)
    reference, batch = (rows(rng, Law(), n) for _ in range(2))
    binning = mk.Binning.fit(reference, pairs=True)
    days = np.repeat(np.arange(n // ROWS), ROWS)
    calls: dict[str, Callable[[], Any]] = {
        "profile": lambda: binning.profile(reference),
        "fit bins, then profile": lambda: mk.Binning.fit(reference, pairs=True).profile(reference),
        "fit on a single frame": lambda: mk.DriftDetector(false_alarm_every=LIMIT).fit(reference),
        f"fit on {len(days) // ROWS:,} batches": lambda: mk.DriftDetector(false_alarm_every=LIMIT).fit(
            reference, batch=days
        ),
        "fit and update": lambda: mk.DriftDetector(false_alarm_every=LIMIT).fit(reference).update(batch),
        "np.sort of the batch's numbers": lambda: [np.sort(batch[name]) for name in NUMBERS],
    }
    took = dict(zip(calls, least_cpu(*calls.values()), strict=True))
    lines = [(what, f"{s:.2f}", f"{s / took['profile']:.2f}") for what, s in took.items()]
    table(f"{n:,} x 20", ("", "CPU s", "x profile"), lines)
    sizes()
    own = took["fit and update"] / took["np.sort of the batch's numbers"]
    lines = [("mlopskit", f"{took['fit and update']:.2f}", f"{own:.2f}", "1.00")]
    for name in names:
        try:
            answer = asked(folder, name, "cost", str(n))
        except subprocess.CalledProcessError as error:
            lines.append((name, " ".join((error.stderr or "").strip().splitlines()[-1:])[:200], "", ""))
            continue
        multiple = answer["cpu"] / answer["floor"]
        label = SHOWN[name].format(release(folder, name))
        lines.append((label, f"{answer['cpu']:.2f}", f"{multiple:.2f}", f"{multiple / own:.2f}"))
    table(f"Comparing {n:,} x 20 with {n:,} x 20", ("", "CPU s", "x np.sort of its numbers", "x ours"), lines)


def sizes() -> None:
    """Print what a detector's state takes."""
    rng = np.random.default_rng(6)
    lines: list[tuple[str, ...]] = [("rows vary, reference 5,000", *sized(fitted(rng, Cell(""))))]
    for n in (20, 100):
        lines.append((f"batches vary, {n} stored", *sized(fitted(rng, Cell("", DAYS, n)))))
    a, b = ([float(cell) for cell in line[1:]] for line in lines[1:])
    lines.append(("batches vary, each more", *(f"{(y - x) / 80:.2f}" for x, y in zip(a, b, strict=True))))
    table("The state, kB", ("", "JSON", "binary"), lines)


def sized(detector: Any) -> tuple[str, str]:
    return f"{len(detector.to_json()) / 1e3:.1f}", f"{len(detector.to_bytes()) / 1e3:.1f}"


# --- tables ---------------------------------------------------------------------------------------------------------


def table(title: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    print(f"### {title}\n")
    for line in (head, ["---"] * len(head), *lines):
        print("| " + " | ".join(line) + " |")
    print(flush=True)


def over_runs(jobs: int, call: Callable[[int], Any], runs: int) -> list[Any]:
    """Call with the number of each run, in so many processes."""
    if jobs == 1:
        return [call(run) for run in range(runs)]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(call, range(runs), chunksize=max(1, runs // (8 * jobs))))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", help="alarms, detection, cost, peers; all by default")
    parser.add_argument("--runs", type=int, default=400, help="of each null; half as many of each change")
    parser.add_argument("--batches", type=int, default=1_000, help="of each null at most")
    parser.add_argument("--peer-runs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the large frame of `cost`")
    parser.add_argument("--jobs", type=int, default=1, help="processes for alarms and detection")
    parser.add_argument("--quick", action="store_true", help="few runs, short nulls, a small large frame")
    parser.add_argument("--no-peers", action="store_true", help="without the other libraries")
    parser.add_argument("--venvs", type=Path, help="keep environments and answers of the other libraries here")
    parser.add_argument("--ask", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        name, what, n = given.ask
        print(json.dumps(peer_cost(name, int(n)) if what == "cost" else peer(name, what, int(n))))
        return
    if given.quick:
        given.runs, given.batches, given.peer_runs, given.rows = 10, 60, 3, 100_000
    run = partial(over_runs, given.jobs)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.venvs or Path(temporary)
        names = [name for name, who in PEERS.items() if not (given.no_peers and who.requirements)]
        steps: dict[str, Callable[[], None]] = {
            "alarms": lambda: alarms(run, given.runs, given.batches),
            "detection": lambda: detection(run, -(-given.runs // 2)),
            "cost": lambda: cost(given.rows, folder, names),
            "peers": lambda: peers(given.peer_runs, folder, names),
        }
        for part in given.parts or steps:
            start = time.perf_counter()
            steps[part]()
            print(f"{part}: {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
