"""Has the data changed? Alarms that honour a false-alarm budget over time and over features.

Two nulls, and the user's data decide which one is true:

- *batches vary* (`null="batches"`, when the reference comes in batches): a batch is in control when it is exchangeable
  with the reference's batches. Each question ranks the new batch among all batches so far; ordinary differences
  between days are in control by construction.
- *rows vary* (`null="rows"`, for a single frame): all rows are exchangeable. Much quicker, and wrong wherever days
  differ: fitting checks it on the reference. With a `tolerance`, differences below it are in control.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from attrs import define, evolve, field, frozen
from numpy.typing import NDArray

from mlopskit import formats, frames
from mlopskit.errors import (
    BatchSizeWarning,
    ConfigurationError,
    DataError,
    NotFittedError,
    RowsNotExchangeable,
    SmallReference,
    StateMismatch,
)
from mlopskit.evidence import Dial, Episodes, Evidence, MonitorReport
from mlopskit.monitoring.questions import CUMULATIVE, N_BINS, Floats, Ints, Questions, Readings, angle, questions_for
from mlopskit.profiling import Binning, Profile, total
from mlopskit.stats.intervals import clopper_pearson
from mlopskit.stats.sequential import (
    RankBets,
    log_bounded_mean,
    log_cusum,
    log_mean_exp,
    log_share_tilts,
    log_shiryaev_roberts,
    log_tilts,
    smoothed_rank,
)
from mlopskit.stats.summaries import robust_z

if TYPE_CHECKING:
    import pandas as pd

Null: TypeAlias = Literal["batches", "rows"]

FEW_BATCHES = 10
MAX_AGE = 30  # batches that a change is looked for in, when it is described
BAND_RISK = 0.05  # delta of STATISTICS section 2: the band holds with probability 1 - delta over the reference


@frozen
class FeatureDrift:
    """How far one feature lies from the reference in this batch.

    Parameters
    ----------
    name
        The feature, or "a ~ b" for the relation of two.
    effect_size
        Cohen's h of the share that changed most, signed: 0.2 is small, 0.5 medium, 0.8 large.
    message
        That share in plain words.
    n_batches
        Over how many of the newest batches the change is described: the length over which it stands out most.
    strength
        What the features are ordered by: robust standard deviations from the other batches (batches null), or the log
        evidence against the feature (rows null).
    over_limit
        Whether a question about this feature alone is over the alarm limit.
    """

    name: str
    effect_size: float
    message: str
    n_batches: int
    strength: float
    over_limit: bool


@frozen
class DriftReport(MonitorReport):
    """Whether the data of a batch are still those of the reference.

    Parameters
    ----------
    batch_id, alarm, since, evidence
        As in every monitor's report.
    features
        All features, the strongest first.
    n_rows
        Rows of the batch.
    null
        What was assumed to vary while all is well: "batches" or "rows".
    notes
        What was done to the batch, and what weakens the promise, in words.
    """

    batch_id: str
    alarm: bool
    since: str | None
    evidence: Evidence
    features: tuple[FeatureDrift, ...]
    n_rows: int
    null: Null
    notes: tuple[str, ...] = ()
    monitor: str = "drift"

    def __str__(self) -> str:
        state = "ALARM" if self.alarm else (f"episode open since {self.since}" if self.active else "no alarm")
        lines = [f"drift in {self.batch_id}: {state}; {self.evidence}"]
        lines += [f"  {f.name}: {f.message}" for f in self.features[: 3 if self.active else 0]]
        lines.append(f"  assumed: {self.null} vary while all is well")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each feature, the strongest first."""
        import attrs
        import pandas as pd

        names = [a.name for a in attrs.fields(FeatureDrift)]
        return pd.DataFrame([[getattr(f, n) for n in names] for f in self.features], columns=names)

    def _bars(self) -> dict[str, Any]:
        shown = self.features[:12]
        return {
            "title": f"Drift in {self.batch_id}",
            "labels": [f.name for f in shown],
            "values": [f.effect_size for f in shown],
            "xlabel": "effect size (Cohen's h)",
            "limit": None,
        }


@frozen(eq=False)
class DriftState:
    """What a detector remembers: small, serializable, and enough to go on after a crash.

    Parameters
    ----------
    config
        Hash of the configuration the state was made under.
    null
        "batches" or "rows".
    reference
        Sum of the reference's profiles: it fixes bins, levels and medians.
    batch_column
        The column that holds the batch key, or None.
    n_reference, batch_rows
        Reference batches (1 for a single frame), and their median number of rows.
    pool
        Counts of every batch in the bag (batches null), or their sum (rows null).
    bets
        Evidence of the batches null, or None.
    log_e
        Evidence of the rows null: one number per question and bet; None for the batches null.
    t, n_since
        Batches seen, and batches since the evidence last started from zero.
    rebasing
        Batches still to collect for a new reference; 0 while testing.
    episodes
        Ids seen, and the open alarm.
    doubts
        What fitting found that weakens the promise, in words.
    """

    config: str
    null: Null
    reference: Profile
    batch_column: str | None
    n_reference: int
    batch_rows: float
    pool: Readings
    bets: RankBets | None
    log_e: Floats | None
    t: int = 0
    n_since: int = 0
    rebasing: int = 0
    episodes: Episodes = field(factory=Episodes)
    doubts: tuple[str, ...] = ()


@frozen(eq=False)
class _Verdict:
    """What one batch says: evidence, how much each feature or pair stands out, over how many batches, which are over."""

    log_value: float
    strength: dict[str, tuple[float, int]]
    over: frozenset[str]
    pool: Readings


def _names(value: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


@define(eq=False)
class DriftDetector:
    """Watches whether batches still look like the reference; an alarm keeps a false-alarm promise.

    Parameters
    ----------
    false_alarm_every
        The budget in batches: P(first false alarm within T batches) <= T / false_alarm_every. 365 by default; over a
        year of daily batches that bound is 1, so choose 3650 where a false alarm costs more than a late one.
    alpha, horizon
        The same dial said otherwise: at most `alpha` over `horizon` batches.
    null
        What varies while all is well: "batches", "rows", or None to follow the reference that is given to `fit`.
    tolerance
        Cohen's h below which a changed share is in control (rows null only; 0.05 is 2.5 points at one half).
    features
        Columns to watch; all but the batch column by default.
    interactions
        Whether to watch pairs of numeric features for changes of dependence.
    random_state
        Seed of the draws that break ties between ranks and of row subsampling; replays are exact.
    state
        Internal: what `to_json` stored.

    Examples
    --------
    >>> import numpy as np, pandas as pd, mlopskit as mk
    >>> rng = np.random.default_rng(0)
    >>> days = pd.DataFrame({"day": np.repeat(np.arange(30), 200), "fare": rng.normal(30, 5, 6000)})
    >>> drift = mk.DriftDetector(false_alarm_every=365).fit(days, batch="day")
    >>> for day in range(30, 40):
    ...     batch = pd.DataFrame({"day": day, "fare": rng.normal(33, 5, 200)})
    ...     report = drift.update(batch)
    ...     if report.alarm:
    ...         print(report.batch_id, report.features[0].name)
    33 fare
    """

    false_alarm_every: float | None = field(default=None, kw_only=True)
    alpha: float | None = field(default=None, kw_only=True)
    horizon: int | None = field(default=None, kw_only=True)
    null: Null | None = field(default=None, kw_only=True)
    tolerance: float = field(default=0.0, kw_only=True)
    features: tuple[str, ...] | None = field(default=None, kw_only=True, converter=_names)
    interactions: bool = field(default=True, kw_only=True)
    random_state: int = field(default=0, kw_only=True)
    state: DriftState | None = field(default=None, kw_only=True, repr=False)
    _asked: Questions | None = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.null not in (None, "batches", "rows"):
            raise ConfigurationError(f"null={self.null!r}: expected 'batches', 'rows' or None")
        if not 0 <= self.tolerance < math.pi:
            raise ConfigurationError(f"tolerance={self.tolerance!r}: expected a Cohen's h, at least 0")
        if self.tolerance and self.null == "batches":
            raise ConfigurationError("tolerance belongs to null='rows': ordinary differences of batches are in control")
        if self.state is not None and self.state.config != self._config():
            raise StateMismatch("this state was made under another configuration: fit again to change a dial")
        self._dial  # noqa: B018 - checks the budget's arguments now, not at the first batch

    @property
    def _dial(self) -> Dial:
        return Dial.of(self.false_alarm_every, self.alpha, self.horizon)

    def _config(self) -> str:
        dial = [self.false_alarm_every, self.alpha, self.horizon]
        rest = [self.null, self.tolerance, self.features, self.interactions, self.random_state]
        return formats.config_hash({"drift": [*dial, *rest]})

    def fit(self, reference: Any, batch: Any = None) -> DriftDetector:
        """Learn what is normal; everything learnt before is forgotten.

        Parameters
        ----------
        reference
            A frame, a list of frames (one for each batch), or a list of profiles under one binning.
        batch
            For a frame: the column that names each row's batch (then not a feature), or an array of keys; None means a
            single batch of rows.

        Raises
        ------
        DataError
            When the reference is empty, has fewer than two batches where batches are asked for, or lacks a column.
        """
        column = batch if isinstance(batch, str) else None
        profiles = self._reference_profiles(reference, batch)
        null: Null = self.null or ("batches" if len(profiles) > 1 else "rows")
        if null == "batches" and len(profiles) < 2:
            raise DataError(
                f"null='batches' needs a reference of at least 2 batches, got {len(profiles)}: give batch= or a list"
            )
        if self.tolerance and null == "batches":
            raise ConfigurationError("tolerance belongs to null='rows': set null='rows', or leave the tolerance at 0")
        whole = total(profiles)
        questions = Questions.of(
            whole, questions_for(whole.binning, self.features, column), interactions=self.interactions
        )
        if not questions.shares:
            raise DataError("there is no feature to watch: give a reference with at least one column")
        pool = Readings.stack([questions.read(p) for p in profiles])
        seen = tuple(p.batch_id for p in profiles if p.batch_id is not None)
        self.state = DriftState(
            config=self._config(),
            null=null,
            reference=whole,
            batch_column=column,
            n_reference=len(profiles),
            batch_rows=float(np.median([p.n_rows for p in profiles])),
            pool=pool if null == "batches" else pool.total(),
            bets=None,
            log_e=None,
            episodes=Episodes(seen=seen),
            doubts=_doubts(reference, profiles, null, questions),
        )
        self._asked = questions
        self.state = self._restarted(self.state)
        for doubt in self.state.doubts:
            warnings.warn(doubt, RowsNotExchangeable if null == "rows" else SmallReference, stacklevel=2)
        return self

    def update(self, batch: Any, batch_id: str | None = None) -> DriftReport:
        """Add one batch of new rows and say whether it, with those before it, raises an alarm.

        Parameters
        ----------
        batch
            A frame, or its profile under the detector's binning.
        batch_id
            What to call the batch. By default the key in the batch column, or a running number.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DuplicateBatch
            When the id was seen before: each row enters the evidence once.
        DataError
            When the batch is empty, lacks a column, or holds two batch keys.
        """
        state = self._fitted()
        name = state.episodes.next_id(self._batch_id(batch, batch_id))
        profile, notes = self._profile(batch, name)
        now = self._questions.read(profile)
        if state.rebasing:
            return self._collect(profile, now, name, notes)
        if state.null == "batches":
            state, verdict = self._rank_step(state, now)
        else:
            state, verdict = self._row_step(state, now)
        limit = math.log(self._dial.limit)
        names = sorted(verdict.over)
        episodes, alarm = state.episodes.step(
            name, over_limit=verdict.log_value >= limit, reason=", ".join(names) or "several features together"
        )
        self.state = evolve(state, episodes=episodes, t=state.t + 1, n_since=state.n_since + 1)
        return DriftReport(
            name,
            alarm,
            episodes.since,
            Evidence(verdict.log_value, limit, self.state.n_since, self.promise),
            _features(self._questions, verdict),
            profile.n_rows,
            state.null,
            (*state.doubts, *notes),
        )

    @property
    def promise(self) -> str:
        """What an alarm of this detector promises, in words."""
        band = f" + {BAND_RISK}" if self.tolerance else ""
        if self._fitted().null == "rows" and not self.tolerance:
            return f"at most T/{self._dial.limit:g} false alarms expected in T batches"
        return self._dial.promise + band

    def acknowledge(self, reason: str = "") -> DriftDetector:
        """Close the open episode: evidence restarts from zero, and every batch stays in the pool."""
        state = self._fitted()
        self.state = self._restarted(evolve(state, episodes=state.episodes.close("acknowledged", reason)))
        return self

    def rebase(self, reason: str = "", *, n_batches: int | None = None) -> DriftDetector:
        """Close the open episode and let the next batches become the reference; bins and levels stay.

        Parameters
        ----------
        reason
            Why, for the history.
        n_batches
            Batches to collect, at least 2 (1 in the rows null); as many as the reference had by default. Until then
            nothing is tested, and every report says so.
        """
        state = self._fitted()
        wanted = state.n_reference if n_batches is None else n_batches
        if wanted < (2 if state.null == "batches" else 1):
            raise ConfigurationError(f"n_batches={wanted}: expected at least 2 batches (1 where rows vary)")
        pool = state.pool.none()
        closed = evolve(state, episodes=state.episodes.close("rebased", reason), pool=pool, rebasing=wanted)
        self.state = self._restarted(closed)
        return self

    def to_json(self) -> str:
        """Return configuration and state as JSON."""
        return formats.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> DriftDetector:
        """Read what `to_json` wrote.

        Raises
        ------
        StateMismatch
            When the configuration was edited: a dial may not be turned after seeing data.
        """
        return formats.from_json(text, cls)

    def _fitted(self) -> DriftState:
        if self.state is None:
            raise NotFittedError.of(self)
        return self.state

    @property
    def _questions(self) -> Questions:
        if self._asked is None:
            state = self._fitted()
            chosen = questions_for(state.reference.binning, self.features, state.batch_column)
            self._asked = Questions.of(state.reference, chosen, interactions=self.interactions)
        return self._asked

    def _reference_profiles(self, reference: Any, batch: Any) -> list[Profile]:
        if isinstance(reference, Profile):
            return [reference]
        if isinstance(reference, (list, tuple)):
            if not reference:
                raise DataError("the reference is an empty list: give at least two batches")
            if all(isinstance(part, Profile) for part in reference):
                return list(reference)
            binning = Binning.fit(frames.concat(reference), self.features)
            return [binning.profile(part, batch_id=f"reference {i + 1}") for i, part in enumerate(reference)]
        column = batch if isinstance(batch, str) else None
        wanted = list(self.features) if self.features is not None else None
        kept = reference if column is None or wanted is not None else frames.drop(reference, [column])
        binning = Binning.fit(kept, wanted)
        if batch is None:
            return [binning.profile(kept)]
        keys = frames.values_of(reference, column) if column is not None else batch
        if len(keys) != frames.n_rows(reference):
            raise DataError(f"batch has {len(keys)} keys for {frames.n_rows(reference)} rows: give one key a row")
        return [binning.profile(frames.take(kept, rows), batch_id=key) for key, rows in frames.groups(keys)]

    def _batch_id(self, batch: Any, batch_id: str | None) -> str | None:
        column = self._fitted().batch_column
        if isinstance(batch, Profile):
            return batch_id if batch_id is not None else batch.batch_id
        if frames.n_rows(batch) == 0:
            raise DataError("the batch is empty: there is nothing to test; a validator counts that as a failure")
        if column is None or column not in frames.names(batch):
            return None if batch_id is None else frames.key(batch_id)
        keys = [key for key, _ in frames.groups(frames.values_of(batch, column))]
        if len(keys) != 1:
            raise DataError(f"one update is one batch, but {column!r} holds {len(keys)} keys ({keys[:3]}): split it")
        return keys[0] if batch_id is None else frames.key(batch_id)

    def _profile(self, batch: Any, name: str) -> tuple[Profile, tuple[str, ...]]:
        """Profile a batch; a batch of over twice the usual size is subsampled first, seeded by its number."""
        state = self._fitted()
        binning = state.reference.binning
        usual = state.batch_rows
        notes: tuple[str, ...] = ()
        if isinstance(batch, Profile):
            if batch.binning.identity != binning.identity:
                raise DataError("this profile has another binning: profile the batch with the detector's own")
            profile = batch
        else:
            n = frames.n_rows(batch)
            if state.null == "batches" and n > 2 * usual:
                draw = np.random.Generator(np.random.Philox(key=[self.random_state, (1 << 32) + state.t]))
                kept = np.sort(draw.choice(n, size=int(2 * usual), replace=False))
                batch = frames.take(batch, kept)
                notes = (f"{n} rows are over twice the usual {usual:g}: {len(kept)} drawn at random were used",)
            profile = binning.profile(batch, batch_id=name)
        if not profile.n_rows:
            raise DataError("the batch is empty: there is nothing to test; a validator counts that as a failure")
        if state.null == "batches" and not usual / 2 <= profile.n_rows <= 2 * usual:
            note = (
                f"{profile.n_rows} rows against a usual {usual:g}: the promise weakens where batch sizes change; "
                "send batches of like size"
            )
            warnings.warn(note, BatchSizeWarning, stacklevel=3)
            notes = (*notes, note)
        return profile, notes

    def _collect(self, profile: Profile, now: Readings, name: str, notes: tuple[str, ...]) -> DriftReport:
        """Take a batch into the new reference while re-basing."""
        state = self._fitted()
        pool = Readings.stack([state.pool, now])
        pool = pool if state.null == "batches" else pool.total()
        episodes, _ = state.episodes.step(name, over_limit=False)
        left = state.rebasing - 1
        self.state = evolve(state, pool=pool, episodes=episodes, rebasing=left, t=state.t + 1)
        note = f"re-basing: {left} more batches until the new reference is complete; nothing was tested"
        evidence = Evidence(-math.inf, math.log(self._dial.limit), 0, self.promise)
        return DriftReport(name, False, None, evidence, (), profile.n_rows, state.null, (*notes, note))

    def _restarted(self, state: DriftState) -> DriftState:
        """Return the state with its evidence at zero."""
        if state.null == "batches":
            singles = len(self._questions.living())
            return evolve(state, bets=RankBets.start(np.repeat([True, False], [singles, 3])), n_since=0)
        sets = len(_band_sets(self._questions, state.pool)[0]) if self.tolerance else len(self._row_weights())
        start = -np.inf if self.tolerance else 0.0
        return evolve(state, log_e=np.full((sets, 8), start), n_since=0)

    def _rank_step(self, state: DriftState, now: Readings) -> tuple[DriftState, _Verdict]:
        """Rank the newest batch among all batches so far, question by question."""
        assert state.bets is not None
        questions = self._questions
        pool = Readings.stack([state.pool, now])
        scores, sizes = questions.scores(pool)
        z = np.where(questions.living(), robust_z(scores, questions.noise(), sizes), 0.0)
        shape = _shape_z(pool.bins)
        pairs = robust_z(angle(pool.same, pool.both), np.full(pool.same.shape[1], 0.25), pool.both)
        away = np.concatenate([np.abs(z), shape], axis=1)
        combined = [away.max(axis=1), np.square(np.minimum(np.abs(z), 8)).sum(axis=1), _row_max(np.abs(pairs))]
        ranked = np.round(np.column_stack([z, *combined]), 9)
        draws = np.random.Generator(np.random.Philox(key=[self.random_state, state.t])).random(ranked.shape[1])
        bets = state.bets.update(smoothed_rank(ranked, draws), len(pool))
        weights = self._rank_weights()
        with np.errstate(divide="ignore"):
            evidence = bets.log_values() + np.log(weights)
        names = questions.names()
        recent = min(state.n_since + 1, MAX_AGE)
        owners = [*names, *(questions.pair_name(i) for i in range(len(questions.pairs)))]
        strength = _strongest(owners, *_stand_out(np.concatenate([z, pairs], axis=1)[-recent:]))
        over = {names[i] for i in np.flatnonzero(evidence[: len(names)] >= math.log(self._dial.limit))}
        verdict = _Verdict(float(evidence.max()), strength, frozenset(over), pool)
        return evolve(state, pool=pool, bets=bets), verdict

    def _rank_weights(self) -> Floats:
        """Weights of the single questions, then of the largest, the summed and the largest pair score."""
        singles = self._questions.class_weights(0.40, 0.25, 0.25, 0.10)
        pair = 0.15 if self._questions.pairs else 0.0
        weights = np.concatenate([0.45 * singles / max(singles.sum(), 1e-300), [0.30, 0.10, pair]])
        result: Floats = weights / weights.sum()
        return result

    def _row_step(self, state: DriftState, now: Readings) -> tuple[DriftState, _Verdict]:
        """Bet against exchangeable rows, or against the tolerated band around the reference."""
        assert state.log_e is not None
        questions, before = self._questions, state.pool
        pool = Readings.stack([before, now]).total()
        if self.tolerance:
            names, log_e = _band_bets(questions, self._reference_readings(), now, self.tolerance)
            log_m = log_shiryaev_roberts(state.log_e, log_e)
            evidence = log_m.ravel() - math.log(log_m.size)
            log_value = float(log_mean_exp(log_m.ravel(), axis=0))
        else:
            names, log_e = _tilt_bets(questions, now, pool)
            log_m = log_cusum(state.log_e, log_e)
            with np.errstate(divide="ignore"):
                evidence = (log_m + np.log(self._row_weights() / 8)[:, None]).ravel()
            log_value = float(evidence.max())
        owners = np.repeat(np.array(names, dtype=object), 8)
        over = {str(owners[i]) for i in np.flatnonzero(evidence >= math.log(self._dial.limit))}
        values = log_m.ravel()
        strength = _strongest(list(owners), values, np.ones(len(values), dtype=np.intp))
        verdict = _Verdict(log_value, strength, frozenset(over), Readings.stack([before, now]))
        return evolve(state, pool=pool, log_e=log_m), verdict

    def _row_weights(self) -> Floats:
        """Weights of location, scale, cumulative sets, levels and missing, and pairs; those that exist add up to 1."""
        questions = self._questions
        singles = questions.class_weights(0.35, 0.20, 0.15, 0.10)
        f = len(questions.numeric)
        sets = np.concatenate([feature.distinct_cuts()[CUMULATIVE] for feature in questions.numeric] or [np.zeros(0)])
        sets = 0.10 * sets / max(sets.sum(), 1)
        pairs = np.full(len(questions.pairs), 0.10 / max(len(questions.pairs), 1))
        weights = np.concatenate([singles[: 2 * f], sets, singles[2 * f :], pairs])
        result: Floats = weights / weights.sum()
        return result

    def _reference_readings(self) -> Readings:
        return self._questions.read(self._fitted().reference)


def _row_max(values: Floats) -> Floats:
    result: Floats = values.max(axis=1) if values.shape[1] else np.zeros(len(values))
    return result


def _stand_out(z: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return, for each question, the largest |sum of the newest k scores| / sqrt(k), and that k: a change-point guess."""
    length = np.arange(1, len(z) + 1)
    sums = np.abs(np.cumsum(z[::-1], axis=0)) / np.sqrt(length)[:, None]
    best = sums.argmax(axis=0)
    return sums[best, np.arange(z.shape[1])], length[best]


def _strongest(names: Sequence[str], strength: Floats, ages: NDArray[np.intp]) -> dict[str, tuple[float, int]]:
    best: dict[str, tuple[float, int]] = {}
    for name, value, age in zip(names, strength.tolist(), ages.tolist(), strict=True):
        best[name] = max(best.get(name, (-math.inf, 1)), (value, age))
    return best


def _features(questions: Questions, verdict: _Verdict) -> tuple[FeatureDrift, ...]:
    cut = {age: verdict.pool.split(age) for age in {age for _, age in verdict.strength.values()}}
    found = []
    for name, (strength, age) in verdict.strength.items():
        effect, message = questions.largest_change(name, *cut[age])
        when = "" if age == 1 else f" in the last {age} batches"
        found.append(FeatureDrift(name, effect, message + when, age, strength, name in verdict.over))
    return tuple(sorted(found, key=lambda f: (not f.over_limit, -f.strength, f.name)))


def _shape_z(bins: Ints) -> Floats:
    """Return how unusual the shape of each numeric feature is in each batch, (N, F), robustly standardised.

    The chi-square distance of a batch's bin shares from their mean, by its cube root close to normal (Wilson and
    Hilferty 1931), whose noise for k degrees of freedom is sqrt(2 / (9 k)) on the scale of cbrt(chi2 / k).
    """
    n = bins.sum(axis=2, keepdims=True)
    shares = bins / np.maximum(n, 1)
    mean = shares.mean(axis=0)
    k = np.maximum((mean > 0).sum(axis=1) - 1, 1)
    distance = (np.square(shares - mean) / np.where(mean > 0, mean, 1.0)).sum(axis=2) * n[:, :, 0]
    return robust_z(np.cbrt(distance / k), 2 / (9 * k), np.ones(n[:, :, 0].shape))


def _tilt_bets(questions: Questions, now: Readings, pool: Readings) -> tuple[list[str], Floats]:
    """Return the log e-values of the rows null, (questions, 8), and the feature of each question."""
    f = len(questions.numeric)
    names = [feature.name for feature in questions.numeric]
    bets = []
    for scores in ([q.location for q in questions.numeric], [q.scale for q in questions.numeric]):
        bets.append(log_tilts(now.bins[0], pool.bins[0], np.array(scores).reshape(f, N_BINS)))
    below, below_pool = np.cumsum(now.bins[0], axis=1), np.cumsum(pool.bins[0], axis=1)
    x, big_x = below[:, CUMULATIVE].ravel(), below_pool[:, CUMULATIVE].ravel()
    n, big_n = np.repeat(below[:, -1], len(CUMULATIVE)), np.repeat(below_pool[:, -1], len(CUMULATIVE))
    bets.append(log_share_tilts(x, n, big_x, big_n))
    bets.append(log_share_tilts(now.hits[0], now.rows[0], pool.hits[0], pool.rows[0]))
    bets.append(log_share_tilts(now.same[0], now.both[0], pool.same[0], pool.both[0]))
    owners = names * 2 + [name for name in names for _ in CUMULATIVE] + [q.feature for q in questions.shares]
    owners += [questions.pair_name(i) for i in range(len(questions.pairs))]
    return owners, np.concatenate(bets)


def _band_sets(questions: Questions, readings: Readings) -> tuple[list[str], Ints, Ints]:
    """Return hits and rows of nineteen cumulative and nine central sets per numeric feature, shares and pairs."""
    below = np.cumsum(readings.bins.sum(axis=0), axis=1)
    central = np.arange(9)
    sets = np.concatenate([below[:, : N_BINS - 1], below[:, N_BINS - 2 - central] - below[:, central]], axis=1)
    names = [feature.name for feature in questions.numeric for _ in range(sets.shape[1])]
    names += [q.feature for q in questions.shares] + [questions.pair_name(i) for i in range(len(questions.pairs))]
    whole = readings.total()
    hits = np.concatenate([sets.ravel(), whole.hits[0], whole.same[0]])
    rows = np.concatenate([np.repeat(below[:, -1], sets.shape[1]), whole.rows[0], whole.both[0]])
    return names, hits, rows


def _band_bets(questions: Questions, reference: Readings, now: Readings, tolerance: float) -> tuple[list[str], Floats]:
    """Return the log e-values against the band around the reference's shares, widened by the tolerance."""
    names, k, n = _band_sets(questions, reference)
    _, hits, rows = _band_sets(questions, now)
    interval = clopper_pearson(k, n, level=1 - BAND_RISK / len(names))
    low = np.sin(np.clip(np.arcsin(np.sqrt(interval.low)) - tolerance / 2, 0, np.pi / 2)) ** 2
    high = np.sin(np.clip(np.arcsin(np.sqrt(interval.high)) + tolerance / 2, 0, np.pi / 2)) ** 2
    return names, log_bounded_mean(rows, hits, low, high)


def _doubts(reference: Any, profiles: Sequence[Profile], null: Null, questions: Questions) -> tuple[str, ...]:
    if null == "batches":
        if len(profiles) >= FEW_BATCHES:
            return ()
        return (
            f"the reference has {len(profiles)} batches: with fewer than {FEW_BATCHES} a change is found late; "
            "give more batches",
        )
    if isinstance(reference, (Profile, list, tuple)):
        return ()
    return _row_doubts(reference, profiles[0], questions)


def _row_doubts(reference: frames.Frame, profile: Profile, questions: Questions) -> tuple[str, ...]:
    """Check on the reference itself that rows are exchangeable.

    Chunk means may not vary more, or follow each other more, than those of shuffled rows. Under the null the variance
    ratio of k chunks is chi-square with k - 1 degrees of freedom, and sqrt(k) times their lag-1 autocorrelation (plus
    1/k) is standard normal, in the limit of long chunks.
    """
    from scipy.special import chdtrc, ndtr

    n = profile.n_rows
    k = int(np.clip(n // 50, 0, 50))
    if k < 20:
        return ()
    scores = _row_scores(reference, questions)
    found = []
    for name, values in scores.items():
        centred = values - values.mean()
        spread = float(np.square(centred).mean())
        if spread == 0:
            continue
        means = np.array([part.mean() for part in np.array_split(centred, k)])
        ratio = float(np.square(means).sum() / (spread * k / n))
        follow = float(means[:-1] @ means[1:] / max(np.square(means).sum(), 1e-300))
        p = min(float(chdtrc(k - 1, ratio)), float(ndtr(-(follow + 1 / k) * math.sqrt(k)))) * 2 * len(scores)
        if p < 0.01:
            found.append((ratio / (k - 1), name))
    if not found:
        return ()
    worst, name = max(found)
    return (
        f"rows are not exchangeable: chunks of {name!r} vary {worst:.1f} times as much as chance allows "
        f"({len(found)} of {len(scores)} features fail): give batch= (a day, say), or alarms will be false",
    )


def _row_scores(reference: frames.Frame, questions: Questions) -> dict[str, Floats]:
    """Return one score per row and feature: the location score, or whether the most frequent level is there."""
    scores: dict[str, Floats] = {}
    columns = {c.name: c for c in frames.columns(reference)}
    for feature in questions.numeric:
        values = columns[feature.name].numbers()
        row = feature.location[np.searchsorted(feature.edges, values, side="left").clip(max=N_BINS - 1)]
        scores[feature.name] = np.where(np.isnan(values), 0.0, row)
    for name in {q.feature for q in questions.shares} - scores.keys():
        column = columns[name]
        codes = column.values if column.levels is not None else np.unique(column.values, return_inverse=True)[1]
        usual = np.bincount(codes[codes >= 0]).argmax() if (codes >= 0).any() else 0
        scores[name] = (codes == usual).astype(np.float64)
    return scores
