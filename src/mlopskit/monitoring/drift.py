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
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from attrs import define, evolve, field, frozen, setters

from mlopskit import formats, frames
from mlopskit.errors import (
    BatchSizeWarning,
    ConfigurationError,
    DataError,
    DuplicateBatch,
    LargeState,
    NotFittedError,
    RowsNotExchangeable,
    SmallReference,
    StateMismatch,
)
from mlopskit.evidence import Dial, Episodes, Evidence, MonitorReport
from mlopskit.monitoring import batches_vary, rows_vary
from mlopskit.monitoring.questions import Floats, Questions, Readings, Verdict, watched
from mlopskit.profiling import Binning, Profile, total
from mlopskit.stats.sequential import RankBets

if TYPE_CHECKING:
    import pandas as pd

Null: TypeAlias = Literal["batches", "rows"]

FEW_BATCHES = 10
CLOCK_BATCHES = 8  # in so many batches a feature rises or falls throughout with probability 2 / 8!
MANY_BATCHES = 5_000


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


def _names(value: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(value, str):
        raise ConfigurationError(f"features={value!r}: expected a list of column names")
    return None if value is None else tuple(value)


@define(on_setattr=setters.frozen, eq=False)
class DriftDetector(formats.Stored):
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
        Whether to watch pairs of numeric features for changes of dependence. Profiles have them where their binning was
        fitted with `pairs=True`.
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
    state: DriftState | None = field(default=None, kw_only=True, repr=False, on_setattr=setters.NO_OP)
    _asked: tuple[Profile, Questions] | None = field(default=None, init=False, repr=False, on_setattr=setters.NO_OP)
    _scored: batches_vary.Scored | None = field(default=None, init=False, repr=False, on_setattr=setters.NO_OP)

    def __attrs_post_init__(self) -> None:
        if self.null not in (None, "batches", "rows"):
            raise ConfigurationError(f"null={self.null!r}: expected 'batches', 'rows' or None")
        if not 0 <= self.tolerance < math.pi:
            raise ConfigurationError(f"tolerance={self.tolerance!r}: expected a Cohen's h, at least 0")
        if self.tolerance and self.null == "batches":
            raise ConfigurationError("tolerance belongs to null='rows': ordinary differences of batches are in control")
        if self.features is not None and len(set(self.features)) < max(len(self.features), 1):
            raise ConfigurationError(f"features={list(self.features)}: expected one or more different columns")
        if not isinstance(self.random_state, int) or not 0 <= self.random_state < 1 << 64:
            raise ConfigurationError(f"random_state={self.random_state!r}: expected an integer from 0 to 2**64 - 1")
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
            The column that holds the batch key, in the reference and in later batches; it is no feature. For a frame
            also an array with one key for each row; None means that the frame is a single batch of rows.

        Raises
        ------
        DataError
            When the reference or one of its batches is empty, a column is missing, or there are fewer than two batches
            where batches vary.
        DuplicateBatch
            When two batches of a list have one id.

        Warns
        -----
        SmallReference
            When there are fewer than 10 batches.
        RowsNotExchangeable
            When the rows of a single frame of at least 1,000 rows hang together.
        """
        column = batch if isinstance(batch, str) else None
        profiles = self._reference_profiles(reference, batch, column)
        null = self._null_for(len(profiles))
        if not all(p.n_rows for p in profiles):
            raise DataError("a batch of the reference is empty: leave it out")
        whole = total(profiles)
        questions = Questions.of(whole, watched(whole.binning, self.features, column), interactions=self.interactions)
        _refuse_clocks(profiles, self.features)
        if not questions.shares:
            raise DataError("there is no feature to watch: give a reference with at least one column")
        pool = Readings.stack([questions.read(p) for p in profiles])
        doubts = _few_batches(len(profiles)) if null == "batches" else ()
        if null == "rows" and not isinstance(reference, (Profile, list, tuple)):
            doubts = rows_vary.doubts(reference, whole, questions)
        self._asked = (whole, questions)
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
            episodes=Episodes(seen=_unique(p.batch_id for p in profiles if p.batch_id is not None)),
            doubts=doubts,
        )
        self.state = self._restarted(self.state)
        for doubt in doubts:
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
        limit = math.log(self._dial.limit)
        state, verdict, pool = self._step(state, now, limit)
        features = _features(self._questions, verdict, pool)
        reason = ", ".join(sorted(verdict.over)) or f"several features together, {features[0].name} above all"
        episodes, alarm = state.episodes.step(name, over_limit=verdict.log_value >= limit, reason=reason)
        self.state = evolve(state, episodes=episodes, t=state.t + 1, n_since=state.n_since + 1)
        evidence = Evidence(verdict.log_value, limit, self.state.n_since, self.promise)
        return DriftReport(
            name, alarm, episodes.since, evidence, features, profile.n_rows, state.null, (*state.doubts, *notes)
        )

    @property
    def promise(self) -> str:
        """What an alarm of this detector promises, in words."""
        if self._fitted().null == "rows" and not self.tolerance:
            return f"at most T/{self._dial.limit:g} false alarms expected in T batches"
        return self._dial.promise + (f" + {rows_vary.BAND_RISK}" if self.tolerance else "")

    def acknowledge(self, reason: str = "") -> DriftDetector:
        """Close the open episode, if there is one: evidence restarts from zero, and every batch stays in the pool.

        A change that lasts raises another alarm (at once where rows vary) until the pool has taken it in: where it is
        there to stay, use `rebase`.
        """
        state = self._fitted()
        if state.episodes.active:
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
            nothing is tested, and every report says so. Whatever comes becomes the reference: keep batches that failed
            validation away from `update` while `state.rebasing` is above 0.
        """
        state = self._fitted()
        wanted = state.n_reference if n_batches is None else n_batches
        if wanted < (2 if state.null == "batches" else 1):
            raise ConfigurationError(f"n_batches={wanted}: expected at least 2 batches (1 where rows vary)")
        pool = state.pool.none()
        closed = evolve(state, episodes=state.episodes.close("rebased", reason), pool=pool, rebasing=wanted)
        self.state = self._restarted(closed)
        return self

    def _fitted(self) -> DriftState:
        if self.state is None:
            raise NotFittedError.of(self)
        return self.state

    @property
    def _questions(self) -> Questions:
        state = self._fitted()
        if self._asked is None or self._asked[0] is not state.reference:
            chosen = watched(state.reference.binning, self.features, state.batch_column)
            self._asked = (state.reference, Questions.of(state.reference, chosen, interactions=self.interactions))
        return self._asked[1]

    @property
    def _bag(self) -> batches_vary.Scored:
        """The stored batches with their scores, which are kept from one update to the next."""
        state = self._fitted()
        if self._scored is None or self._scored.readings is not state.pool:
            self._scored = batches_vary.Scored.of(self._questions, state.pool)
        return self._scored

    def _null_for(self, n_batches: int) -> Null:
        null: Null = self.null or ("batches" if n_batches > 1 else "rows")
        if null == "batches" and n_batches < 2:
            raise DataError(
                f"null='batches' needs a reference of at least 2 batches, got {n_batches}: give batch= or a list"
            )
        if self.tolerance and null == "batches":
            raise ConfigurationError("tolerance belongs to null='rows': set null='rows', or leave the tolerance at 0")
        return null

    def _reference_profiles(self, reference: Any, batch: Any, column: str | None) -> list[Profile]:
        whole = reference
        if isinstance(reference, Profile):
            return [reference]
        if isinstance(reference, (list, tuple)):
            if column is None and batch is not None:
                raise ConfigurationError("batch: keys of rows belong to one frame; for a list name the key's column")
            if not reference:
                raise DataError("the reference is an empty list: give at least two batches")
            if all(isinstance(part, Profile) for part in reference):
                return list(reference)
            whole = frames.concat(reference)
            parts = [(_key(part, column) or f"reference {i}", part) for i, part in enumerate(reference, 1)]
        elif batch is not None:
            keys = frames.values_of(reference, column) if column is not None else batch
            if len(keys) != frames.n_rows(reference):
                raise DataError(f"batch has {len(keys)} keys for {frames.n_rows(reference)} rows: give one key a row")
            parts = [(key, frames.take(reference, rows)) for key, rows in frames.groups(keys)]
        wanted = [name for name in frames.names(whole) if name != column] if self.features is None else self.features
        binning = Binning.fit(whole, wanted, pairs=self.interactions)
        if whole is reference and batch is None:
            return [binning.profile(whole)]
        if self._null_for(len(parts)) == "batches":
            most = int(2 * np.median([frames.n_rows(part) for _, part in parts]))
            parts = [(key, self._drawn(part, most, (2 << 32) + i)) for i, (key, part) in enumerate(parts)]
        return [binning.profile(part, batch_id=key) for key, part in parts]

    def _drawn(self, frame: Any, most: int, stream: int) -> Any:
        """Return the frame, or `most` of its rows drawn at random."""
        n = frames.n_rows(frame)
        if n <= most:
            return frame
        rng = np.random.Generator(np.random.Philox(key=[self.random_state, stream]))
        return frames.take(frame, np.sort(rng.choice(n, size=most, replace=False)))

    def _batch_id(self, batch: Any, batch_id: object) -> str | None:
        if isinstance(batch, Profile):
            found = batch.batch_id
        else:
            if frames.n_rows(batch) == 0:
                raise DataError("the batch is empty: there is nothing to test; a validator counts that as a failure")
            column = self._fitted().batch_column
            found = _key(batch, column)
            if found is None and batch_id is None and column is not None:
                raise DataError(f"the batch has no column {column!r} to name it: send the column, or give batch_id=")
        return found if batch_id is None else frames.key(batch_id)

    def _profile(self, batch: Any, name: str) -> tuple[Profile, tuple[str, ...]]:
        """Profile a batch; where batches vary, one of over twice the usual size is subsampled, seeded by its number."""
        state = self._fitted()
        binning, most = state.reference.binning, int(2 * state.batch_rows)
        notes: tuple[str, ...] = ()
        compared = state.null == "batches" and not state.rebasing
        least = state.batch_rows / 2 if state.null == "batches" else 0.0
        if isinstance(batch, Profile):
            if batch.binning.identity != binning.identity:
                raise DataError("this profile has another binning: profile the batch with the detector's own")
            profile = batch
        else:
            n = frames.n_rows(batch)
            if compared and n > most:
                batch = self._drawn(batch, most, (1 << 32) + state.t)
                notes = (f"{n} rows are over twice the usual {state.batch_rows:g}: {most} drawn at random were used",)
            profile = binning.profile(batch, batch_id=name)
        if not profile.n_rows:
            raise DataError("the batch is empty: there is nothing to test; a validator counts that as a failure")
        if profile.n_rows < least or (compared and profile.n_rows > most):
            note = (
                f"{profile.n_rows} rows against a usual {state.batch_rows:g}: the promise weakens where batch sizes "
                "change; send batches of like size"
            )
            warnings.warn(note, BatchSizeWarning, stacklevel=3)
            notes = (*notes, note)
        if compared and len(state.pool) >= MANY_BATCHES:
            note = f"{len(state.pool)} batches are stored, so updates are slow: call rebase()"
            warnings.warn(note, LargeState, stacklevel=3)
            notes = (*notes, note)
        return profile, notes

    def _collect(self, profile: Profile, now: Readings, name: str, notes: tuple[str, ...]) -> DriftReport:
        """Take a batch into the new reference while re-basing; the last one fixes the usual size."""
        state = self._fitted()
        episodes, _ = state.episodes.step(name, over_limit=False)
        left, pool = state.rebasing - 1, Readings.stack([state.pool, now])
        state = evolve(state, pool=pool, episodes=episodes, rebasing=left, t=state.t + 1)
        if not left and state.null == "batches":
            usual = float(np.median(self._questions.batch_sizes(pool)))
            state = evolve(state, batch_rows=usual, doubts=_few_batches(len(pool)))
        elif not left:
            state = evolve(state, pool=pool.total())
        self.state = state
        note = f"re-basing: {left} more batches until the new reference is complete; nothing was tested"
        evidence = Evidence(-math.inf, math.log(self._dial.limit), 0, self.promise)
        return DriftReport(name, False, None, evidence, (), profile.n_rows, state.null, (*notes, note))

    def _restarted(self, state: DriftState) -> DriftState:
        """Return the state with its evidence at zero."""
        if state.null == "batches":
            return evolve(state, bets=batches_vary.start(self._questions), n_since=0)
        return evolve(state, log_e=rows_vary.start(self._questions, self.tolerance), n_since=0)

    def _step(self, state: DriftState, now: Readings, log_limit: float) -> tuple[DriftState, Verdict, Readings]:
        """Return the next state, the verdict, and the batches by which a change is described."""
        questions = self._questions
        if state.null == "batches":
            assert state.bets is not None
            bag = self._bag.add(questions, now)
            u = np.random.Generator(np.random.Philox(key=[self.random_state, state.t])).random(
                len(state.bets.two_sided)
            )
            bets, verdict = batches_vary.step(
                questions, state.bets, bag, u=u, recent=state.n_since + 1, log_limit=log_limit
            )
            self._scored = bag
            return evolve(state, pool=bag.readings, bets=bets), verdict, bag.readings
        assert state.log_e is not None
        pool = Readings.stack([state.pool, now])
        if self.tolerance:
            log_e, verdict = rows_vary.band(
                questions, state.log_e, state.pool, now, tolerance=self.tolerance, log_limit=log_limit
            )
            return evolve(state, log_e=log_e), verdict, pool
        log_e, verdict = rows_vary.tilt(questions, state.log_e, pool.total(), now, log_limit=log_limit)
        return evolve(state, pool=pool.total(), log_e=log_e), verdict, pool


def _key(frame: Any, column: str | None) -> str | None:
    """Return the batch key that the frame holds in this column, or None without one."""
    if column is None or column not in frames.names(frame):
        return None
    keys = [key for key, _ in frames.groups(frames.values_of(frame, column))]
    if len(keys) != 1:
        raise DataError(f"one update is one batch, but {column!r} holds {len(keys)} keys ({keys[:3]}): split it")
    return keys[0]


def _unique(ids: Iterable[str]) -> tuple[str, ...]:
    found = tuple(ids)
    for name, times in Counter(found).items():
        if times > 1:
            raise DuplicateBatch.of(name)
    return found


def _refuse_clocks(profiles: Sequence[Profile], features: Sequence[str] | None) -> None:
    """Refuse a column that holds one value in each batch and only ever rises or falls: it would alarm for certain."""
    if len(profiles) < CLOCK_BATCHES:
        return
    for parts in zip(*(p.columns for p in profiles), strict=True):
        if features is not None and parts[0].name not in features:
            continue
        ends = [(part.low, part.high) for part in parts if part.low is not None and part.low == part.high]
        steps = [b[0] > a[0] for a, b in pairwise(ends) if a[0] is not None and b[0] is not None and a[0] != b[0]]
        if len(ends) == len(parts) and len(steps) == len(parts) - 1 and len(set(steps)) == 1:
            raise DataError(
                f"column {parts[0].name!r} tells the batches apart by its value, in their order: "
                f"pass batch={parts[0].name!r}, or leave it out of features"
            )


def _few_batches(n: int) -> tuple[str, ...]:
    if n >= FEW_BATCHES:
        return ()
    return (f"the reference has {n} batches: with fewer than {FEW_BATCHES} a change is found late; give more batches",)


def _features(questions: Questions, verdict: Verdict, pool: Readings) -> tuple[FeatureDrift, ...]:
    changes = questions.largest_changes(pool, {name: age for name, (_, age) in verdict.strength.items()})
    found = []
    for name, (strength, age) in verdict.strength.items():
        effect, message = changes[name]
        when = "" if age == 1 else f" in the last {age} batches"
        found.append(FeatureDrift(name, effect, message + when, age, strength, name in verdict.over))
    return tuple(sorted(found, key=lambda f: (not f.over_limit, -f.strength, f.name)))
