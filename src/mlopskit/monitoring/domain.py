"""Have the rows changed in a way that no column and no pair of columns shows? A classifier bets that it can tell.

A channel beside `DriftDetector`, at a price: it keeps rows, as numbers, and fits a classifier for every batch. The
classifier learns from the past alone to tell recent rows from reference rows. Each new row is then paired with a
reference row that was never used before, and the bet pays f = g(new) - g(reference), where g in [0, 1] is the
classifier's score. A batch is worth the product of 1 + lambda * f over its pairs, for eight stakes lambda, and an e-SR
process per stake collects what they win over every possible start.

**The null**: all rows, those of the reference and those that come, are exchangeable; no order of them would have been
less likely. Where days differ it is wrong, and the detector alarms rightly on days. Fitting looks for that in the
order of the reference's rows.

**Why reference rows do not run out, and why that is right.** Half of each batch without an alarm is not looked at but
held back, and joins the end of the queue of fresh reference rows: since a row is held back before it enters a bet, by
a draw and by the outcome of bets on other rows only, the rows of the queue are, given all that was used so far,
exchangeable with the rows to come. Each fresh row leaves the queue for the one pair that it enters, and is learnt from
after that only: given the past and the two rows of a pair, both orders are equally likely, and swapping them changes
the sign of f, so that E[f | past] = 0 for every pair after all pairs before it.

The price of the queue: after as many batches as it is long, new rows are compared with rows that were held back so many
batches ago. A change has to be found within that time; an alarm drops the rows that it makes suspect.

Sources: Podkopaev and Ramdas, "Sequential predictive two-sample and independence testing" (NeurIPS 2023); Shin, Ramdas
and Rinaldo, "E-detectors" (2023); Lopez-Paz and Oquab, "Revisiting classifier two-sample tests" (ICLR 2017).
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from attrs import define, evolve, field, frozen, setters
from numpy.typing import NDArray

from mlopskit import formats, frames
from mlopskit.display.words import percent, plural
from mlopskit.errors import (
    ConfigurationError,
    DataError,
    NotFittedError,
    RowsNotExchangeable,
    SmallReference,
    StateMismatch,
)
from mlopskit.evidence import Dial, Episodes, Evidence, MonitorReport
from mlopskit.monitoring import rows_vary
from mlopskit.monitoring.questions import Questions, Reference
from mlopskit.profiling import Binning
from mlopskit.stats.intervals import Interval, auc_clustered
from mlopskit.stats.sequential import LOG_STAKE_WEIGHTS, log_cusum, log_gap_bets, log_mean_exp, log_shiryaev_roberts

if TYPE_CHECKING:
    import pandas as pd

Floats: TypeAlias = NDArray[np.float64]

WINDOW = 4
"""Batches' worth of rows, `rows_per_batch` each, that the classifier learns from on either side."""
MOST_BATCHES = 100
"""Batches' worth of reference rows that are kept at most."""
FEW_BATCHES = 5
"""Batches' worth of fresh rows below which fitting warns."""
MIN_ROWS = 40
MAX_LEVELS = 200
"""Levels with a code of their own; histogram gradient boosting takes 255."""
N_SHUFFLES = 5

_LARGEST = float(np.finfo(np.float32).max)  # infinities become this: what trees accept
_NANOSECONDS_OF_A_DAY = 86_400e9
_NOTHING = (-math.inf,) * len(LOG_STAKE_WEIGHTS)
_EFFECTS = ((0.556, "hardly any difference"), (0.638, "a small difference"), (0.714, "a medium difference"))


@frozen
class EncodedColumn:
    """How one column becomes numbers, fixed by rows of the reference that are used for nothing else.

    Numbers stay as they are, infinities become the largest float of 32 bits, datetimes and durations become days, and
    missing values NaN. Text and categories become codes: one for each frequent level, the most frequent first; one for
    all other levels known; one for levels never seen.

    Parameters
    ----------
    name, kind
        The column and its logical kind in the reference.
    levels
        The levels with a code of their own, as text.
    rare
        Known levels without one.
    """

    name: str
    kind: str
    levels: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()

    @classmethod
    def of(cls, column: frames.Column, rows: NDArray[np.intp]) -> EncodedColumn:
        """Learn the levels of a column from these rows."""
        if not _has_levels(column.kind) or column.levels is None:
            return cls(column.name, column.kind)
        counts = np.bincount(column.values[rows][~column.missing[rows]], minlength=len(column.levels))
        found = sorted(((-int(n), str(v)) for n, v in zip(counts, column.levels, strict=True) if n))
        ordered = tuple(dict.fromkeys(level for _, level in found))
        return cls(column.name, column.kind, ordered[:MAX_LEVELS], ordered[MAX_LEVELS:])

    def numbers(self, column: frames.Column) -> Floats:
        """Return the column as floats, shape (n_rows,).

        Raises
        ------
        DataError
            When the column is of another kind than in the reference, unless it holds nothing.
        """
        if column.missing.all():
            return np.full(len(column), np.nan)
        if _like(column.kind) != _like(self.kind) and self.kind != "other":
            raise DataError(
                f"column {self.name!r} is of kind {column.kind!r}; the reference has {self.kind!r}: "
                "validate the batch first, or fit again"
            )
        if _has_levels(self.kind):
            return self._codes(column)
        values = column.numbers() / (_NANOSECONDS_OF_A_DAY if self.kind in ("datetime", "duration") else 1)
        return np.clip(values, -_LARGEST, _LARGEST)

    def _codes(self, column: frames.Column) -> Floats:
        unseen = len(self.levels) + 1
        if column.levels is None:  # no levels in common with what the reference held
            return np.where(column.missing, np.nan, unseen)
        codes = dict.fromkeys(self.rare, len(self.levels)) | {level: i for i, level in enumerate(self.levels)}
        table = np.array([*(codes.get(str(v), unseen) for v in column.levels), np.nan])
        result: Floats = table[np.where(column.missing, -1, column.values)]
        return result


def _like(kind: str) -> str:
    """Return what kinds have in common that may stand for each other."""
    return "numbers" if kind in ("int", "float", "decimal", "bool") else "levels" if _has_levels(kind) else kind


def _has_levels(kind: str) -> bool:
    return kind in ("str", "category", "other")


@frozen
class EstimatorName:
    """What stands for an estimator in a stored detector, in whose place the estimator itself is handed in."""

    name: str

    def __repr__(self) -> str:
        return self.name


@frozen(eq=False)
class DomainState:
    """What a detector remembers: the rows themselves, as numbers, and the evidence.

    No fitted classifier is among it: it is fitted anew from these rows for every batch.

    Parameters
    ----------
    config
        Hash of the configuration the state was made under.
    columns
        How each feature becomes numbers.
    capacity
        Fresh rows there were after fitting; there are never more.
    fresh, held_at
        Reference rows that no bet has used, (n, features), the next ones first, and the position of the batch each was
        held back from; -1 for those of the reference.
    spent
        Reference rows that the classifier may learn from, the newest last.
    recent
        Rows of batches that the classifier may learn from, the newest last.
    log_m
        Logarithms of the eight e-SR processes, one for each stake.
    log_c, began
        Evidence since the most likely start of a change, and the position of that batch.
    n_batches
        Batches bet on since the evidence last started from zero.
    episodes
        Batches seen, and the open alarm, if any.
    doubts
        What fitting found that weakens the promise, in words.
    """

    config: str
    columns: tuple[EncodedColumn, ...]
    capacity: int
    fresh: Floats
    held_at: NDArray[np.int64]
    spent: Floats
    recent: Floats
    log_m: tuple[float, ...] = _NOTHING
    log_c: float = 0.0
    began: int = 0
    n_batches: int = 0
    episodes: Episodes = field(factory=Episodes)
    doubts: tuple[str, ...] = ()

    @property
    def n_rows_held(self) -> int:
        """Rows that are kept, as numbers."""
        return len(self.fresh) + len(self.spent) + len(self.recent)


@frozen
class FeatureUse:
    """How much the classifier needs one feature to tell new rows from reference rows: a description, no test.

    Parameters
    ----------
    name
        The feature.
    auc_shuffled
        The AUC on the pairs of the batch once the feature's values are shuffled among their rows, a mean of five.
    drop
        By how much that is less than the AUC as it is.
    message
        The same in words.
    """

    name: str
    auc_shuffled: float
    drop: float
    message: str


@frozen
class DomainReport(MonitorReport):
    """Whether a classifier can tell the rows of a batch from those of the reference.

    Parameters
    ----------
    batch_id, alarm, since, evidence
        As in every monitor's report.
    auc, auc_low, auc_high
        The probability that a row of the batch scores higher than a reference row, and its 95% interval: 0.5 is chance,
        1 no overlap. None where nothing was bet.
    features
        What the classifier used most, in the batch that raised the alarm; empty otherwise.
    began
        In an alarm, the batch since which evidence has gathered; the change came there, or up to a few batches before.
    n_rows, n_pairs
        Rows of the batch that were drawn on, and pairs that were bet on.
    n_fresh, n_held_back
        Reference rows left for later bets, and how many of them were held back from the stream.
    n_rows_held
        Rows that the detector keeps.
    notes
        What weakens the promise, and why nothing was bet, in words.
    """

    batch_id: str
    alarm: bool
    since: str | None
    evidence: Evidence
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    features: tuple[FeatureUse, ...]
    began: str | None
    n_rows: int
    n_pairs: int
    n_fresh: int
    n_held_back: int
    n_rows_held: int
    notes: tuple[str, ...] = ()
    monitor: str = "domain"

    def __str__(self) -> str:
        state = "ALARM" if self.alarm else (f"episode open since {self.since}" if self.active else "no alarm")
        lines = [f"domain of {self.batch_id}: {state}; {self.evidence}"]
        if self.auc is not None:
            lines.append(f"  {self.meaning}")
        lines += [f"  {f.name}: {f.message}" for f in self.features[:3]]
        if self.began is not None:
            lines.append(f"  evidence has gathered since {self.began}; the change came then or a few batches before")
        fresh = f"{plural(self.n_fresh, 'fresh reference row')} left, {self.n_held_back} of them from earlier batches"
        lines += [
            "  assumed: rows vary while all is well; days that differ are changes",
            f"  cost: {plural(self.n_rows_held, 'row')} kept, a classifier fitted for each batch; {fresh}",
        ]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    @property
    def meaning(self) -> str:
        """What the AUC means, in words."""
        if self.auc is None or self.auc_low is None or self.auc_high is None:
            return "nothing was bet on this batch"
        size = next((words for limit, words in _EFFECTS if self.auc < limit), "a large difference")
        return (
            f"a row of this batch scores above a reference row in {percent(self.auc)} of cases "
            f"({percent(self.auc_low)} to {percent(self.auc_high)}; 50% is chance): {size}"
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each feature that was looked at, the most used first."""
        import attrs
        import pandas as pd

        names = [a.name for a in attrs.fields(FeatureUse)]
        return pd.DataFrame([[getattr(f, n) for n in names] for f in self.features], columns=names)

    def _bars(self) -> dict[str, Any]:
        shown = self.features[:12]
        return {
            "title": f"What tells {self.batch_id} from the reference",
            "labels": [f.name for f in shown],
            "values": [f.drop for f in shown],
            "xlabel": "AUC lost when shuffled",
            "limit": None,
        }


@frozen(eq=False)
class Pairs:
    """New rows, each beside a fresh reference row, and how a classifier that knows neither scores them.

    Parameters
    ----------
    model
        The classifier.
    names
        The features.
    new, old
        The rows of the batch and of the reference, (n, features) each.
    scores
        The classifier's scores of all of them, (2n,), the new ones first.
    """

    model: Any
    names: tuple[str, ...]
    new: Floats
    old: Floats
    scores: Floats

    @classmethod
    def of(cls, model: Any, names: tuple[str, ...], new: Floats, old: Floats) -> Pairs:
        """Ask the classifier about both sides at once."""
        return cls(model, names, new, old, _scores(model, names, np.vstack([new, old])))

    def __len__(self) -> int:
        return len(self.new)

    @property
    def payoffs(self) -> Floats:
        """What each pair pays per unit staked, in [-1, 1]; the mean is 0 while rows are exchangeable."""
        result: Floats = self.scores[: len(self)] - self.scores[len(self) :]
        return result

    @property
    def log_e(self) -> Floats:
        """Log e-values of the batch, one for each stake."""
        result: Floats = log_gap_bets(self.payoffs, 0.0)[:, 0].sum(axis=0)
        return result

    @property
    def auc(self) -> Interval:
        """The probability that a new row scores higher than a reference row, ties counted half."""
        return self._auc(self.scores)

    def _auc(self, scores: Floats) -> Interval:
        return auc_clustered(np.repeat([1, 0], len(self)), scores)

    def uses(self, rng: np.random.Generator) -> tuple[FeatureUse, ...]:
        """Return by how much the AUC drops when a feature is shuffled, the most used feature first."""
        rows, auc = np.vstack([self.new, self.old]), float(self.auc.estimate)
        found = []
        for position, name in enumerate(self.names):
            shuffled = []
            for _ in range(N_SHUFFLES):
                changed = rows.copy()
                changed[:, position] = rng.permutation(rows[:, position])
                shuffled.append(float(self._auc(_scores(self.model, self.names, changed)).estimate))
            left = float(np.mean(shuffled))
            text = f"{percent(left)} of cases, instead of {percent(auc)}, once its values are shuffled"
            found.append(FeatureUse(name, left, auc - left, text))
        return tuple(sorted(found, key=lambda use: (-use.drop, use.name)))


def _names(value: Sequence[str] | str | None) -> tuple[str, ...] | None:
    if isinstance(value, str):
        raise ConfigurationError(f"features={value!r}: expected a list of column names")
    return None if value is None else tuple(value)


@define(on_setattr=setters.frozen, eq=False)
class DomainDetector(formats.Stored):
    """Watches for changes of the joint distribution that single columns and pairs do not show; rows are kept.

    Parameters
    ----------
    false_alarm_every
        The budget in batches: P(first false alarm within T batches) <= T / false_alarm_every for every T. 365 by
        default.
    alpha, horizon
        The same dial said otherwise: at most `alpha` over `horizon` batches.
    estimator
        Any classifier with scikit-learn's `fit` and `predict_proba` (or `decision_function`); it is cloned, and given a
        pandas frame of floats with the features' names: NaN where a value is missing, a code for text and categories
        (see `EncodedColumn`). By default a small histogram gradient boosting, to which codes are categories.
    features
        Columns to watch; all of the reference by default. Leave out row numbers and time stamps: they tell every new
        row from every old one, and raise an alarm.
    rows_per_batch
        Pairs to bet on in one batch at most, at least 10. As many rows again are held back, twice as many while there
        are fewer fresh rows than at first; what a batch has beyond that is not used.
    random_state
        Seed of every draw, and of every part of the estimator that takes one and was not given one, from 0 to
        2**32 - 1.
    state
        Internal: what `to_json` stored.

    Raises
    ------
    ConfigurationError
        When a dial is out of range, or the estimator cannot give scores.
    StateMismatch
        When the state was made under another configuration.

    Notes
    -----
    The cost: up to 100 * rows_per_batch rows of the reference and 8 * rows_per_batch more are kept, as floats; every
    batch fits the classifier on up to 8 * rows_per_batch rows. `report.n_rows_held` says how many rows there are.

    A reference of n rows lasts for about n / rows_per_batch batches; after that new rows are compared with rows held
    back from so many batches ago, and a drift slower than that is not seen.

    While an episode is open nothing is bet and nothing is learnt, so that no fresh row is wasted.

    Examples
    --------
    >>> import numpy as np, pandas as pd, mlopskit as mk
    >>> rng = np.random.default_rng(0)
    >>> def rows(n, alike):
    ...     x, y = rng.normal(size=(2, n))
    ...     return pd.DataFrame({"x": x, "y": np.sign(y) * np.abs(x if alike else y)})
    >>> domain = mk.DomainDetector(false_alarm_every=365, rows_per_batch=200).fit(rows(4000, alike=False))
    >>> for day in range(10):
    ...     report = domain.update(rows(400, alike=day >= 5), batch_id=f"day {day}")
    ...     if report.alarm:
    ...         print(report.batch_id, sorted(use.name for use in report.features))
    day 6 ['x', 'y']
    """

    false_alarm_every: float | None = field(default=None, kw_only=True)
    alpha: float | None = field(default=None, kw_only=True)
    horizon: int | None = field(default=None, kw_only=True)
    estimator: Any = field(default=None, kw_only=True)
    features: tuple[str, ...] | None = field(default=None, kw_only=True, converter=_names)
    rows_per_batch: int = field(default=500, kw_only=True)
    random_state: int = field(default=0, kw_only=True)
    state: DomainState | None = field(default=None, kw_only=True, repr=False, on_setattr=setters.NO_OP)

    def __attrs_post_init__(self) -> None:
        if not (self.estimator is None or isinstance(self.estimator, EstimatorName) or _is_classifier(self.estimator)):
            raise ConfigurationError(
                f"estimator={self.estimator!r}: expected a classifier with fit and predict_proba (or decision_function)"
            )
        if self.features is not None and len(set(self.features)) < max(len(self.features), 1):
            raise ConfigurationError(f"features={list(self.features)}: expected one or more different columns")
        if not _is_whole(self.rows_per_batch) or self.rows_per_batch < 10:
            raise ConfigurationError(f"rows_per_batch={self.rows_per_batch!r}: expected a whole number of at least 10")
        if not _is_whole(self.random_state) or not 0 <= self.random_state < 1 << 32:
            raise ConfigurationError(f"random_state={self.random_state!r}: expected an integer from 0 to 2**32 - 1")
        self._dial  # noqa: B018 - checks the budget's arguments now, not at the first batch
        if self.state is not None and self.state.config != self._config():
            raise StateMismatch(
                "this state was made under another configuration: turning a dial after seeing data voids the promise; "
                "construct the detector with the dials of the state, or fit again"
            )

    @property
    def _dial(self) -> Dial:
        return Dial.of(self.false_alarm_every, self.alpha, self.horizon)

    def _config(self) -> str:
        return formats.config_hash(
            {
                "monitor": "domain",
                "limit": self._dial.limit,
                "estimator": None if self.estimator is None else _described(self.estimator),
                "features": self.features,
                "rows_per_batch": self.rows_per_batch,
                "random_state": self.random_state,
            }
        )

    def to_json(self) -> str:
        """Return the detector with its rows and evidence as JSON; an estimator is code and is stored by its name.

        Raises
        ------
        FormatError
            When a part is of a class that mlopskit does not know.
        """
        return formats.to_json(self._named())

    @classmethod
    def from_json(cls, text: str | bytes, *, estimator: Any = None) -> DomainDetector:
        """Rebuild what `to_json` wrote; it goes on exactly where it stood. An estimator is handed in.

        Raises
        ------
        FormatError
            When the text is not what `to_json` wrote, or a newer release wrote it.
        StateMismatch
            When the configuration was edited, or another estimator is handed in.
        ConfigurationError
            When the text names an estimator and none is handed in.
        """
        return _with_estimator(formats.from_json(text, cls), estimator)

    def to_bytes(self) -> bytes:
        """Return what `to_json` holds as a compressed archive, several times smaller.

        Raises
        ------
        FormatError
            As for `to_json`.
        """
        return formats.to_bytes(self._named())

    @classmethod
    def from_bytes(cls, data: bytes, *, estimator: Any = None) -> DomainDetector:
        """Rebuild what `to_bytes` wrote; errors are those of `from_json`."""
        return _with_estimator(formats.from_bytes(data, cls), estimator)

    def _named(self) -> DomainDetector:
        if self.estimator is None:
            return self
        return evolve(self, estimator=EstimatorName(_described(self.estimator)))

    def fit(self, reference: Any) -> DomainDetector:
        """Take the rows of the reference; everything learnt before is forgotten.

        Parameters
        ----------
        reference
            A frame of any engine; of more than 100 * rows_per_batch rows so many are drawn. A quarter of them, at most
            rows_per_batch, teaches the classifier; where there is text, a fifth before that fixes the codes; the rest
            are fresh rows for bets.

        Raises
        ------
        DataError
            When the reference comes in batches, has fewer than 40 rows, or lacks a feature.

        Warns
        -----
        RowsNotExchangeable
            When the rows of a reference of at least 1,000 rows hang together in their order.
        SmallReference
            When the fresh rows last for fewer than five batches.
        """
        if isinstance(reference, (list, tuple)):
            raise DataError(
                "the reference comes in batches, but here rows vary while all is well: give one frame if days do not "
                "differ, and otherwise use DriftDetector, which compares days with days"
            )
        have = frames.names(reference) if self.features is None else self.features
        if not have:
            raise DataError("there is no feature to watch: give a reference with at least one column")
        most = MOST_BATCHES * self.rows_per_batch
        rng = self._generator(0)
        drawn = frames.sample(frames.select(reference, list(have)), most, int(rng.integers(1 << 63)))
        n = frames.n_rows(drawn)
        if n < MIN_ROWS:
            raise DataError(f"the reference has {n} rows: at least {MIN_ROWS} are needed, 5,000 or more advised")
        order = rng.permutation(n)
        read = frames.columns(drawn)
        n_levels = n // 5 if any(_has_levels(c.kind) for c in read) else 0
        columns = tuple(EncodedColumn.of(c, order[:n_levels]) for c in read)
        rows = np.column_stack([e.numbers(c) for e, c in zip(columns, read, strict=True)])[order[n_levels:]]
        n_spent = min(self.rows_per_batch, len(rows) // 4)
        fresh = rows[n_spent:]
        warned: list[tuple[type[Warning], str]] = [(RowsNotExchangeable, text) for text in _doubts(drawn)]
        warned += [(SmallReference, text) for text in _few_rows(len(fresh), self.rows_per_batch)]
        self.state = DomainState(
            config=self._config(),
            columns=columns,
            capacity=len(fresh),
            fresh=fresh,
            held_at=np.full(len(fresh), -1, dtype=np.int64),
            spent=rows[:n_spent],
            recent=rows[:0],
            doubts=tuple(text for _, text in warned),
        )
        for kind, text in warned:
            warnings.warn(text, kind, stacklevel=2)
        return self

    def update(self, batch: Any, batch_id: object = None) -> DomainReport:
        """Bet on the rows of one batch and say whether they, with those before, raise an alarm.

        Parameters
        ----------
        batch
            New rows, a frame of any engine with the features of the reference; their order does not matter.
        batch_id
            Identifies the batch; a midnight time stamp becomes an ISO date. Numbered when None.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DuplicateBatch
            When the id was seen before: each row enters the evidence once.
        DataError
            When the batch is empty, lacks a feature or holds one of another kind, or the estimator cannot take its
            rows. The state is then unchanged.
        """
        state = self._fitted()
        name = state.episodes.next_id(None if batch_id is None else frames.key(batch_id))
        rows = self._rows(state, batch)
        with _one_thread() if self.estimator is None else nullcontext():
            self.state, report = self._step(state, name, rows)
        return report

    def acknowledge(self, reason: str = "") -> None:
        """Close the open episode: evidence starts from zero and betting goes on. Without one, nothing changes.

        A change that lasts raises another alarm within a few batches. Where it is there to stay, fit again on rows
        after the change.

        Parameters
        ----------
        reason
            What was found, for the history.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        state = self._fitted()
        if state.episodes.active:
            episodes = state.episodes.close("acknowledged", reason)
            self.state = evolve(state, log_m=_NOTHING, log_c=0.0, n_batches=0, episodes=episodes)

    def _fitted(self) -> DomainState:
        if self.state is None:
            raise NotFittedError.of(self)
        return self.state

    def _generator(self, stream: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=[self.random_state, stream]))

    def _rows(self, state: DomainState, batch: Any) -> Floats:
        """Return at most 3 * rows_per_batch rows of a batch as numbers, in random order."""
        rng = self._generator(1 + len(state.episodes.seen))
        chosen = frames.select(batch, [c.name for c in state.columns])
        drawn = frames.sample(chosen, 3 * self.rows_per_batch, int(rng.integers(1 << 63)))
        n = frames.n_rows(drawn)
        if not n:
            raise DataError("the batch is empty: there is nothing to test; a validator counts that as a failure")
        rows = np.column_stack([e.numbers(c) for e, c in zip(state.columns, frames.columns(drawn), strict=True)])
        result: Floats = rows[rng.permutation(n)]
        return result

    def _step(self, state: DomainState, name: str, rows: Floats) -> tuple[DomainState, DomainReport]:
        pairs, note = self._bet(state, rows)
        if pairs is not None and pairs.payoffs.any():  # a classifier that tells nothing apart is no evidence either way
            state = _gathered(state, pairs.log_e)
        value = float(log_mean_exp(state.log_m, LOG_STAKE_WEIGHTS))
        evidence = Evidence(value, math.log(self._dial.limit), state.n_batches, self._dial.promise)
        uses: tuple[FeatureUse, ...] = ()
        reason, began = "", None
        if pairs is not None and evidence.exceeded:
            uses = pairs.uses(self._generator((1 << 32) + len(state.episodes.seen)))
            began = (*state.episodes.seen, name)[state.began]
            reason = f"a classifier tells the rows apart, by {uses[0].name} above all"
        was_active = state.episodes.active
        episodes, alarm = state.episodes.step(name, over_limit=evidence.exceeded, reason=reason)
        if not was_active:
            state = self._moved(state, rows, pairs, alarm=alarm)
        state = evolve(state, episodes=episodes)
        area = None if pairs is None else pairs.auc
        report = DomainReport(
            batch_id=name,
            alarm=alarm,
            since=episodes.since,
            evidence=evidence,
            auc=None if area is None else float(area.estimate),
            auc_low=None if area is None else float(area.low),
            auc_high=None if area is None else float(area.high),
            features=uses,
            began=began,
            n_rows=len(rows),
            n_pairs=0 if pairs is None else len(pairs),
            n_fresh=len(state.fresh),
            n_held_back=int((state.held_at >= 0).sum()),
            n_rows_held=state.n_rows_held,
            notes=(*state.doubts, *note),
        )
        return state, report

    def _taken(self, state: DomainState, rows: Floats) -> int:
        """Return how many rows of a batch may be bet on: half of them, or a third while the queue has to grow again."""
        parts = 2 if len(state.fresh) >= state.capacity else 3
        return min(self.rows_per_batch, math.ceil(len(rows) / parts))

    def _bet(self, state: DomainState, rows: Floats) -> tuple[Pairs | None, tuple[str, ...]]:
        """Pair new rows with fresh ones and have a classifier of the past score them; or say why not."""
        if state.episodes.active:
            return None, ("an episode is open: nothing is bet or learnt until it is acknowledged",)
        if not len(state.recent):
            return None, ("nothing was bet: the classifier has to learn from a first batch",)
        if not len(state.fresh):
            return None, ("nothing was bet: no fresh reference row is left; rows of this batch are held back",)
        n, names = min(self._taken(state, rows), len(state.fresh)), tuple(c.name for c in state.columns)
        return Pairs.of(self._model(state, names), names, rows[:n], state.fresh[:n]), ()

    def _model(self, state: DomainState, names: tuple[str, ...]) -> Any:
        """Return a classifier of recent rows against as many reference rows that are spent."""
        import pandas as pd

        old, new = state.spent[-len(state.recent) :], state.recent
        values = np.vstack([old, new])
        values[:, np.isnan(values).all(axis=0)] = 0.0  # nothing to learn, and trees want a value
        rows = pd.DataFrame(values, columns=list(names))
        model = self._estimator(state)
        try:
            return model.fit(rows, np.repeat([0, 1], [len(old), len(new)]))
        except (ValueError, TypeError) as error:
            raise DataError(f"{type(model).__name__} cannot learn from these {len(rows)} rows: {error}") from error

    def _estimator(self, state: DomainState) -> Any:
        """Return a classifier to fit, with every seed set."""
        from sklearn.base import clone

        if isinstance(self.estimator, EstimatorName):
            raise ConfigurationError(f"hand in the estimator {self.estimator}: from_json(text, estimator=...)")
        model = _default(state.columns) if self.estimator is None else clone(self.estimator)
        params = model.get_params(deep=True)
        seeds = [k for k, v in params.items() if k.split("__")[-1] == "random_state" and v is None]
        return model.set_params(**dict.fromkeys(seeds, self.random_state)) if seeds else model

    def _moved(self, state: DomainState, rows: Floats, pairs: Pairs | None, *, alarm: bool) -> DomainState:
        """Return the state after rows have moved on: fresh ones are spent, new ones learnt from or held back."""
        window, now = WINDOW * self.rows_per_batch, len(state.episodes.seen)
        n_spent = 0 if pairs is None else len(pairs)
        n_learnt = n_spent if len(state.recent) else self._taken(state, rows)
        fresh, held_at = state.fresh[n_spent:], state.held_at[n_spent:]
        if alarm:  # the classifier had to learn before evidence could gather: as long again is suspect
            innocent = held_at < state.began - (now - state.began) - 1
            fresh, held_at = fresh[innocent], held_at[innocent]
        else:
            held = rows[n_learnt : n_learnt + state.capacity - len(fresh)]
            fresh, held_at = np.vstack([fresh, held]), np.append(held_at, np.full(len(held), now))
        return evolve(
            state,
            fresh=fresh,
            held_at=held_at,
            spent=np.vstack([state.spent, state.fresh[:n_spent]])[-window:],
            recent=np.vstack([state.recent, rows[:n_learnt]])[-window:],
        )


def _gathered(state: DomainState, log_e: Floats) -> DomainState:
    """Return the state after the evidence of one batch."""
    log_m = log_shiryaev_roberts(np.array(state.log_m), log_e)
    began = len(state.episodes.seen) if state.log_c <= 0 else state.began
    log_c = float(log_cusum(state.log_c, log_mean_exp(log_e, LOG_STAKE_WEIGHTS)))
    return evolve(state, log_m=tuple(log_m.tolist()), log_c=log_c, began=began, n_batches=state.n_batches + 1)


def _scores(model: Any, names: tuple[str, ...], rows: Floats) -> Floats:
    """Return the classifier's scores in [0, 1] that rows are recent."""
    import pandas as pd
    from scipy.special import expit

    frame = pd.DataFrame(rows, columns=list(names))
    try:
        if hasattr(model, "predict_proba"):
            scores = np.asarray(model.predict_proba(frame), dtype=np.float64)[:, 1]
        else:
            scores = np.asarray(expit(model.decision_function(frame)), dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(f"{type(model).__name__} cannot score these {len(rows)} rows: {error}") from error
    if not ((scores >= 0) & (scores <= 1)).all():
        raise DataError(f"{type(model).__name__} gives scores outside [0, 1] (or NaN): expected probabilities")
    return scores


def _default(columns: Sequence[EncodedColumn]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=50,
        min_samples_leaf=50,
        l2_regularization=10.0,
        early_stopping=False,
        categorical_features=[c.name for c in columns if _has_levels(c.kind)] or None,
    )


def _one_thread() -> AbstractContextManager[Any]:
    """Hold the default estimator to one thread: small fits are faster so, and the same on every machine."""
    import sklearn.ensemble  # noqa: F401 - threads are limited in libraries that are loaded
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="openmp")
    return limits


def _described(estimator: Any) -> str:
    """Return an estimator's class and parameters as text, without what differs from one process to the next."""
    if isinstance(estimator, EstimatorName):
        return estimator.name
    shown = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(estimator))
    return f"{type(estimator).__module__}.{' '.join(shown.split())}"


def _with_estimator(detector: DomainDetector, estimator: Any) -> DomainDetector:
    if estimator is None and detector.estimator is not None:
        raise ConfigurationError(f"this detector has the estimator {detector.estimator}: hand it in, estimator=...")
    if detector.estimator is None and estimator is not None:
        raise StateMismatch("this detector was made with the default estimator: leave estimator out")
    return evolve(detector, estimator=estimator)


def _is_classifier(value: object) -> bool:
    scores = hasattr(value, "predict_proba") or hasattr(value, "decision_function")
    return scores and hasattr(value, "fit") and not isinstance(value, type)


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _doubts(reference: frames.Frame) -> tuple[str, ...]:
    """Say whether the rows of a reference hang together in their order."""
    profile = Binning.fit(reference).profile(reference)
    questions = Questions.of(Reference.of(profile), frames.names(reference), interactions=False)
    advice = "leave out times and row numbers, or use DriftDetector with batch=, or alarms will be about days"
    return rows_vary.doubts(reference, profile, questions, advice=advice)


def _few_rows(n_fresh: int, rows_per_batch: int) -> tuple[str, ...]:
    if n_fresh >= FEW_BATCHES * rows_per_batch:
        return ()
    return (
        f"the reference gives {n_fresh} fresh rows, which last for {n_fresh / rows_per_batch:.1f} batches of "
        f"{rows_per_batch} pairs; after that rows held back from earlier batches take their place, and a change must "
        "be found by then: give more rows, or lower rows_per_batch",
    )
