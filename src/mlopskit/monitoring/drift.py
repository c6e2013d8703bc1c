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
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import define, evolve, field, setters

from mlopskit import formats, frames
from mlopskit.errors import (
    BatchesNotExchangeable,
    BatchSizeWarning,
    ConfigurationError,
    DataError,
    NotFittedError,
    RowsNotExchangeable,
    SmallReference,
    StateMismatch,
)
from mlopskit.evidence import Dial, Episodes, Evidence
from mlopskit.monitoring import batches_vary, references, rows_vary
from mlopskit.monitoring.drift_reports import DriftCalibration, DriftReport, FeatureDrift, Null
from mlopskit.monitoring.drift_state import DriftState
from mlopskit.monitoring.own_statistics import DriftStatistic as DriftStatistic
from mlopskit.monitoring.own_statistics import StatisticName
from mlopskit.monitoring.questions import (
    N_BINS,
    STRATUM_BATCHES,
    Batch,
    Described,
    Pool,
    Questions,
    Readings,
    Reference,
    Verdict,
    watched,
)
from mlopskit.monitoring.resolution import Resolution, resolution_of_batches, resolution_of_rows
from mlopskit.profiling import Binning, Profile, total

MANY_BATCHES = 1_000  # stored batches at which half of them are kept, drawn at random
FITTED = 100_000  # rows of a longer reference, drawn at random, to which bins are fitted; all are counted
SHUFFLES = 999  # random orders of the reference with which its order is compared


def _names(value: Sequence[str] | str | None) -> tuple[str, ...] | None:
    if isinstance(value, str):
        raise ConfigurationError(f"features={value!r}: expected a list of column names")
    return None if value is None else tuple(value)


def _strata(value: Sequence[str] | str | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _statistics(value: Iterable[DriftStatistic]) -> tuple[DriftStatistic, ...]:
    return tuple(value)


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
        Columns to watch; all but the batch column and the strata by default. Predictions and labels are columns too.
    strata
        Column or columns whose values explain differences: the hour of the week, the country. What is expected of a
        batch is then mixed from the strata as the batch is, so that neither a season nor another mix is drift. Where
        batches vary this holds as far as batches differ by the means of their strata alone. Strata of fewer than 50
        rows of the reference, or in fewer than 3 of its batches, are unknown: their rows are counted, not tested.
    interactions
        Whether to watch pairs of numeric features for changes of dependence. Profiles have them where their binning was
        fitted with `pairs=True`.
    statistics
        Questions of your own, with different names (batches null only).
    random_state
        Seed of the draws that break ties between ranks and of subsampling; replays are exact.
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
    ...         print(report.batch_id, report.features[0].name, report.began)
    33 fare 30
    """

    false_alarm_every: float | None = field(default=None, kw_only=True)
    alpha: float | None = field(default=None, kw_only=True)
    horizon: int | None = field(default=None, kw_only=True)
    null: Null | None = field(default=None, kw_only=True)
    tolerance: float = field(default=0.0, kw_only=True)
    features: tuple[str, ...] | None = field(default=None, kw_only=True, converter=_names)
    strata: tuple[str, ...] = field(default=(), kw_only=True, converter=_strata)
    interactions: bool = field(default=True, kw_only=True)
    statistics: tuple[DriftStatistic, ...] = field(default=(), kw_only=True, converter=_statistics)
    random_state: int = field(default=0, kw_only=True)
    state: DriftState | None = field(default=None, kw_only=True, repr=False, on_setattr=setters.NO_OP)
    _asked: tuple[Reference, Questions] | None = field(default=None, init=False, repr=False, on_setattr=setters.NO_OP)
    _scored: batches_vary.Scored | None = field(default=None, init=False, repr=False, on_setattr=setters.NO_OP)

    def __attrs_post_init__(self) -> None:
        if self.null not in (None, "batches", "rows"):
            raise ConfigurationError(f"null={self.null!r}: expected 'batches', 'rows' or None")
        if not 0 <= self.tolerance < math.pi:
            raise ConfigurationError(f"tolerance={self.tolerance!r}: expected a Cohen's h, at least 0")
        if self.tolerance and self.null == "batches":
            raise ConfigurationError("tolerance belongs to null='rows': ordinary differences of batches are in control")
        if self.tolerance and self.strata:
            raise ConfigurationError("tolerance and strata do not go together: leave one of them out")
        if self.features is not None and len(set(self.features)) < max(len(self.features), 1):
            raise ConfigurationError(f"features={list(self.features)}: expected one or more different columns")
        named = [s.name for s in self.statistics]
        if len(set(named)) < len(named):
            raise ConfigurationError(f"statistics have the names {named}: expected a different name for each")
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
        return formats.config_hash({"drift": [*dial, *rest, self.strata, [s.name for s in self.statistics]]})

    def to_json(self) -> str:
        """Return the detector with its state as JSON; statistics are code and are stored by name.

        Raises
        ------
        FormatError
            When a part is of a class that mlopskit does not know.
        """
        return formats.to_json(evolve(self, statistics=[StatisticName(s.name) for s in self.statistics]))

    @classmethod
    def from_json(cls, text: str | bytes, *, statistics: Sequence[DriftStatistic] = ()) -> DriftDetector:
        """Rebuild what `to_json` wrote; it goes on exactly where it stood. Statistics are handed in.

        Raises
        ------
        FormatError
            When the text is not what `to_json` wrote, or a newer release wrote it.
        StateMismatch
            When the configuration was edited: a dial may not be turned after seeing data.
        ConfigurationError
            When a statistic that the text names is not handed in.
        """
        return _with_statistics(formats.from_json(text, cls), statistics)

    def to_bytes(self) -> bytes:
        """Return what `to_json` holds as a compressed archive, several times smaller.

        Raises
        ------
        FormatError
            As for `to_json`.
        """
        return formats.to_bytes(evolve(self, statistics=[StatisticName(s.name) for s in self.statistics]))

    @classmethod
    def from_bytes(cls, data: bytes, *, statistics: Sequence[DriftStatistic] = ()) -> DriftDetector:
        """Rebuild what `to_bytes` wrote; errors are those of `from_json`."""
        return _with_statistics(formats.from_bytes(data, cls), statistics)

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
            When the reference or one of its batches is empty, a column is missing, there are fewer than two batches
            where batches vary, or a column names the batches: values that only rise or fall from batch to batch, or
            levels that most batches are the first to have.
        DuplicateBatch
            When two batches of a list have one id.

        Warns
        -----
        SmallReference
            When there are fewer than 10 batches.
        BatchesNotExchangeable
            When the batches of the reference follow one another: autocorrelation, a trend, a season.
        RowsNotExchangeable
            When the rows of a single frame of at least 1,000 rows hang together.
        NotWatched
            When a column holds mixed or nested values, infinities alone, or numbers that floats cannot tell apart: only
            its missing share is watched.
        """
        column = batch if isinstance(batch, str) else None
        names, parts = self._reference_parts(reference, batch, column)
        null = self._null_for(len(parts))
        if not all(p.n_rows for part in parts for p in part.values()) or not all(parts):
            raise DataError("a batch of the reference is empty: leave it out")
        profiles = [total(part.values()) for part in parts]
        whole = total(profiles)
        kept = Reference.of(whole)
        questions = self._questions_of(kept, column)
        chosen = watched(binning=whole.binning, features=self.features, batch_column=column)
        references.refuse_clocks(profiles, chosen)
        references.refuse_names(profiles, chosen)
        if not questions.shares:
            raise DataError("there is no feature to watch: give a reference with at least one column")
        strata = references.known_strata(self.strata, parts, STRATUM_BATCHES if null == "batches" else 1)
        batches = [self._read(questions, part, strata, number) for number, part in enumerate(parts)]
        pool = Pool.of(batches) if null == "batches" else Pool.of(batches).as_rows()
        sizes = [int(questions.batch_sizes(b.readings)[0]) for b in batches]
        warned = [*references.not_watched(whole, chosen), *references.left_out(sum(sizes), whole.n_rows)]
        if null == "batches":
            questions = evolve(questions, usual=questions.usual_shares(pool.batches))
            warned += self._doubts(questions, pool, strata, 4 << 32)
        elif (rows := references.rows_of(reference)) is not None:
            keys = references.strata_keys(rows, self.strata) if strata else None
            warned += [(RowsNotExchangeable, text) for text in rows_vary.doubts(rows, whole, questions, keys)]
        self._asked = (kept, questions)
        state = DriftState(
            config=self._config(),
            null=null,
            reference=kept,
            batch_column=column,
            n_reference=len(parts),
            batch_rows=float(np.median(sizes)),
            strata=strata,
            pool=pool,
            bets=None,
            log_e=None,
            ages=None,
            grown=rows_vary.Grown.of(pool.batches) if self.tolerance else None,
            episodes=Episodes(seen=references.unique_ids(name for name in names if name is not None)),
            doubts=tuple(text for _, text in warned) + references.unseen_rows(null, reference),
            usual=questions.usual,
        )
        self.state = self._restarted(state)
        for kind, text in warned:
            warnings.warn(text, kind, stacklevel=2)
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
        return self._take(*self._profile(batch), name)

    def _take(self, now: Batch, notes: tuple[str, ...], name: str) -> DriftReport:
        """Take in a batch that was read before."""
        state, limit = self._fitted(), math.log(self._dial.limit)
        questions = self._questions.without(state.quiet)
        value, over, reason = -math.inf, False, ""
        features: tuple[FeatureDrift, ...] = ()
        if questions.is_asking and (now.is_usual or not state.rebasing):
            state, verdict, described = self._step(state, questions, now)
            over, value = verdict.log_value >= limit, verdict.log_value
            ids = (name,) if state.rebasing else (*state.episodes.seen, name)
            features = _features(questions, verdict, described, limit, ids)
            state = evolve(state, n_since=state.n_since + 1)
            reason = ", ".join(verdict.over(limit)) or f"several features together, {features[0].name} above all"
            if over or state.episodes.active:
                found = verdict.over(limit / 2) or ((features[0].name,) if over else ())
                state = evolve(state, drifted=tuple(sorted({*state.drifted, *found})))
        episodes, alarm = state.episodes.step(name, over_limit=over, reason=reason)
        if self.tolerance and state.grown is not None and not over and not state.rebasing:
            state = evolve(state, grown=state.grown.join(questions, now.readings))
        tested = state.n_since
        state = evolve(state, episodes=episodes, t=state.t + 1)
        state, said = self._collected(state, now) if state.rebasing else self._thinned(state)
        self.state = state
        evidence = Evidence(value, limit, tested, self.promise)
        all_notes = (*state.doubts, *notes, *said)
        return DriftReport(name, alarm, episodes.since, evidence, features, now.n_rows, state.null, all_notes)

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
            closed = evolve(state, episodes=state.episodes.close("acknowledged", reason), drifted=())
            self.state = self._restarted(closed)
        return self

    def rebase(self, reason: str = "", *, n_batches: int | None = None, everything: bool = False) -> DriftDetector:
        """Close the open episode and let the next batches become the reference; bins and levels stay.

        Until they are complete, the features that stand out in the episode are not tested, and all others are still
        compared with the old reference. Without an open episode nothing is tested: everything is taken to be new.

        Parameters
        ----------
        reason
            Why, for the history.
        n_batches
            Batches to collect, at least 2 (1 in the rows null); as many as the reference had by default: a single frame
            is followed by a single batch, and reports say so where it has less than half the rows. Every report
            says how many are left. Whatever comes becomes the reference: keep batches that failed validation away from
            `update` while `state.rebasing` is above 0.
        everything
            Whether all features are taken to be new, as when a season begins: nothing is tested until the reference is
            complete.
        """
        state = self._fitted()
        wanted = state.n_reference if n_batches is None else n_batches
        if isinstance(wanted, bool) or not isinstance(wanted, int):
            raise ConfigurationError(f"n_batches={wanted!r}: expected a whole number of batches")
        if wanted < (2 if state.null == "batches" else 1):
            raise ConfigurationError(f"n_batches={wanted}: expected at least 2 batches (1 where rows vary)")
        questions = self._questions
        every = {*questions.names, *questions.own, *questions.pair_names}
        quiet = {*state.drifted, *state.quiet} if state.episodes.active and not everything else every
        if quiet & set(questions.pair_names):
            quiet |= set(questions.pair_names)
        closed = evolve(
            state,
            episodes=state.episodes.close("rebased", reason),
            rebasing=wanted,
            collected=state.pool.none(),
            drifted=(),
            quiet=tuple(sorted(quiet)),
        )
        self.state = self._restarted(closed)
        return self

    def resolution(self, n_rows: int | None = None) -> Resolution:
        """Simulate the smallest change that would be found within 1, 5 and 20 batches from now on.

        Parameters
        ----------
        n_rows
            Rows of a batch; as many as the batches of the reference by default, 1,000 where that was a single frame.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ConfigurationError
            When `n_rows` is below 1.

        Warns
        -----
        SmallReference
            When even large changes of some features would not be found within 20 batches.

        Examples
        --------
        >>> import numpy as np, pandas as pd, mlopskit as mk
        >>> rng = np.random.default_rng(0)
        >>> drift = mk.DriftDetector().fit([pd.DataFrame({"fare": rng.normal(30, 5, 200)}) for _ in range(30)])
        >>> found = drift.resolution().to_frame()
        >>> found[["feature", "change"]].iloc[0].tolist()
        ['fare', 'mean']
        """
        state = self._fitted()
        n = (int(state.batch_rows) if state.n_reference > 1 else 1_000) if n_rows is None else n_rows
        if n < 1:
            raise ConfigurationError(f"n_rows={n_rows}: expected at least one row in a batch")
        limit, rng = self._dial.limit, self._generator((5 << 32) + state.t)
        if state.null == "batches":
            bag = self._bag.beside(self._questions, state.pool.strata) if state.strata else self._bag
            found = resolution_of_batches(self._questions, bag, n, limit, rng)
        else:
            pool = state.pool.batches.total()
            found = resolution_of_rows(self._questions, pool, state.grown, self.tolerance, n, limit, rng)
        places = self._questions.blind(state.pool.batches)
        missed = [(feature, change) for feature, change, *sizes in found.changes if not math.isfinite(sizes[-1])]
        small = [f"{feature} ({change})" for feature, change in missed if feature not in places]
        text = [f"the reference is too small to find a change of {', '.join(small)} within 20 batches: give more"]
        said = text * bool(small) + [f"{name}: {_nearly_all(place)}" for name, place in places.items()]
        if said:
            warnings.warn("; ".join(said), SmallReference, stacklevel=2)
        return found

    def calibrate(self, batches: Sequence[Any], *, n_orders: int = 20) -> DriftCalibration:
        """Replay batches that are known to be in control, as they came and in random orders; the state stays as it is.

        In random orders batches are exchangeable with one another, so that alarms there mean that they differ from the
        reference as a whole; alarms only in the order in which they came mean that batches follow one another.

        Parameters
        ----------
        batches
            Frames or profiles that were not part of the reference, in the order in which they came.
        n_orders
            Random orders to try.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DataError
            When there is no batch, one cannot be read, or the detector is re-basing.
        """
        if self._fitted().rebasing:
            raise DataError(
                f"re-basing: {self._fitted().rebasing} more batches until there is a reference to replay on"
            )
        if not len(batches) or n_orders < 1:
            raise DataError("calibrate needs at least one batch and one order")
        read = [self._profile(batch, ahead) for ahead, batch in enumerate(batches)]
        rng = self._generator((6 << 32) + len(batches))
        orders = [np.arange(len(read)), *(rng.permutation(len(read)) for _ in range(n_orders))]
        alarms = [self._replayed([read[i] for i in order], order.tolist()) for order in orders]
        bound = min(len(read) / self._dial.limit, 1.0)
        return DriftCalibration(len(read), alarms[0], tuple(a is not None for a in alarms[1:]), bound)

    def _replayed(self, batches: Sequence[tuple[Batch, tuple[str, ...]]], numbers: Sequence[int]) -> int | None:
        """Return the number of the batch that raises the first alarm from here on, or None; nothing is changed."""
        copy = evolve(self, state=self._restarted(evolve(self._fitted(), episodes=Episodes())))
        for (now, notes), number in zip(batches, numbers, strict=True):
            if copy._take(now, notes, f"{number}").alarm:
                return number
        return None

    def _fitted(self) -> DriftState:
        if self.state is None:
            raise NotFittedError.of(self)
        return self.state

    def _questions_of(self, reference: Reference, column: str | None) -> Questions:
        chosen = watched(reference.binning, self.features, column)
        own = [s.name for s in self.statistics]
        return Questions.of(reference, chosen, interactions=self.interactions, own=own)

    @property
    def _questions(self) -> Questions:
        return self._questions_for(self._fitted())

    def _questions_for(self, state: DriftState) -> Questions:
        if self._asked is None or self._asked[0] is not state.reference:
            self._asked = (state.reference, self._questions_of(state.reference, state.batch_column))
        reference, questions = self._asked
        if questions.usual is not state.usual:
            self._asked = (reference, evolve(questions, usual=state.usual))
        return self._asked[1]

    @property
    def _bag(self) -> batches_vary.Scored:
        """The stored batches with their scores, which are kept from one update to the next."""
        pool = self._fitted().pool.batches
        if self._scored is None or self._scored.readings is not pool:
            self._scored = batches_vary.Scored.of(self._questions, pool)
        return self._scored

    def _generator(self, stream: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=[self.random_state, stream]))

    def _null_for(self, n_batches: int) -> Null:
        null: Null = self.null or ("batches" if n_batches > 1 else "rows")
        if null == "batches" and n_batches < 2:
            raise DataError(
                f"null='batches' needs a reference of at least 2 batches, got {n_batches}: give batch= or a list"
            )
        if self.tolerance and null == "batches":
            raise ConfigurationError("tolerance belongs to null='rows': set null='rows', or leave the tolerance at 0")
        if self.statistics and null == "rows":
            raise ConfigurationError("statistics of your own rank batches: give a reference in batches")
        return null

    def _reference_parts(
        self, reference: Any, batch: Any, column: str | None
    ) -> tuple[list[str | None], list[dict[str, Profile]]]:
        """Return the ids of the reference's batches, and their profiles by stratum."""
        whole = reference
        given = [reference] if isinstance(reference, Profile) else reference
        if isinstance(given, (list, tuple)):
            if column is None and batch is not None:
                raise ConfigurationError("batch: keys of rows belong to one frame; for a list name the key's column")
            if not given:
                raise DataError("the reference is an empty list: give at least two batches")
            if all(isinstance(part, Profile) for part in given):
                self._refuse_profiles()
                return [p.batch_id for p in given], [{"": p} for p in given]
            whole = frames.concat(given)
            parts = [(references.batch_key(part, column) or f"reference {i}", part) for i, part in enumerate(given, 1)]
        elif batch is not None:
            keys = frames.values_of(reference, column) if column is not None else batch
            if len(keys) != frames.n_rows(reference):
                raise DataError(f"batch has {len(keys)} keys for {frames.n_rows(reference)} rows: give one key a row")
            parts = [(key, frames.take(reference, rows)) for key, rows in frames.groups(keys)]
        aside = {column, *self.strata}
        wanted = [n for n in frames.names(whole) if n not in aside] if self.features is None else self.features
        binning = Binning.fit(self._drawn(whole, FITTED, 8 << 32), wanted, n_bins=N_BINS, pairs=self.interactions)
        if whole is reference and batch is None:
            return [None], [self._profiles(binning, whole)]
        if self._null_for(len(parts)) == "batches":
            most = int(2 * np.median([frames.n_rows(part) for _, part in parts]))
            parts = [(key, self._drawn(part, most, (2 << 32) + i)) for i, (key, part) in enumerate(parts)]
        return [key for key, _ in parts], [self._profiles(binning, part) for _, part in parts]

    def _refuse_profiles(self) -> None:
        if self.strata:
            raise DataError(f"strata={list(self.strata)}: a profile does not know them; give frames")

    def _profiles(self, binning: Binning, frame: frames.Frame) -> dict[str, Profile]:
        """Profile a frame by stratum; without strata there is one, of all rows."""
        summary = binning.profile if self.statistics else binning.count  # a statistic may read all of a profile
        if not self.strata:
            return {"": summary(frame)}
        keys = references.strata_keys(frame, self.strata)
        return {key: summary(frames.take(frame, rows)) for key, rows in frames.groups(keys)}

    def _read(self, questions: Questions, parts: Mapping[str, Profile], strata: tuple[str, ...], number: int) -> Batch:
        """Return the counts behind every question; `number` counts batches from the first of the reference."""
        whole = total(parts.values())
        own = []
        for statistic in self.statistics:
            value = float(statistic.score(whole))
            if not math.isfinite(value):
                raise DataError(
                    f"the statistic {statistic.name!r} is {value}; expected a finite number for every batch"
                )
            own.append(value)
        seed = int(self._generator((7 << 32) + number).integers(1 << 48))
        readings = evolve(questions.read(whole, own), seeds=np.array([seed], dtype=np.int64))
        if not strata:
            return Batch(readings, readings.none(), whole.n_rows)
        table = Readings.stack(
            questions.read(parts[key], own) if key in parts else readings.nothing() for key in strata
        )
        tested = evolve(table.total(), own=readings.own, seeds=readings.seeds, mix=questions.batch_sizes(table)[None])
        return Batch(tested, table, whole.n_rows)

    def _drawn(self, frame: Any, most: int, stream: int) -> Any:
        """Return the frame, or `most` of its rows drawn at random."""
        n = frames.n_rows(frame)
        if n <= most:
            return frame
        return frames.take(frame, np.sort(self._generator(stream).choice(n, size=most, replace=False)))

    def _batch_id(self, batch: Any, batch_id: object) -> str | None:
        if isinstance(batch, Profile):
            found = batch.batch_id
        else:
            if frames.n_rows(batch) == 0:
                raise DataError("the batch is empty: there is nothing to test; a validator counts that as a failure")
            column = self._fitted().batch_column
            found = references.batch_key(batch, column)
            if found is None and batch_id is None and column is not None:
                raise DataError(f"the batch has no column {column!r} to name it: send the column, or give batch_id=")
        return found if batch_id is None else frames.key(batch_id)

    def _profile(self, batch: Any, ahead: int = 0) -> tuple[Batch, tuple[str, ...]]:
        """Profile a batch; where batches vary, one of over twice the usual size is subsampled, seeded by its number."""
        state = self._fitted()
        binning, most = state.reference.binning, int(2 * state.batch_rows)
        notes: tuple[str, ...] = ()
        asked = self._questions.without(state.quiet).is_asking
        compared = state.null == "batches" and (asked or not state.rebasing)
        least = state.batch_rows / 2 if state.null == "batches" else 0.0
        if isinstance(batch, Profile):
            self._refuse_profiles()
            if batch.binning.identity != binning.identity:
                raise DataError("this profile has another binning: profile the batch with the detector's own")
            parts = {"": batch}
        else:
            n = frames.n_rows(batch)
            if compared and n > most:
                batch = self._drawn(batch, most, (1 << 32) + state.t)
                notes = (f"{n} rows are over twice the usual {state.batch_rows:g}: {most} drawn at random were used",)
            parts = self._profiles(binning, batch)
        if not sum(p.n_rows for p in parts.values()):
            raise DataError("the batch is empty: there is nothing to test; a validator counts that as a failure")
        now = self._read(self._questions, parts, state.strata, state.n_reference + state.t + ahead)
        n_tested = int(self._questions.batch_sizes(now.readings)[0])
        if n_tested < least or (compared and n_tested > most):
            note = (
                f"{n_tested} rows against a usual {state.batch_rows:g}: the promise weakens where batch sizes "
                "change; send batches of like size"
            )
            warnings.warn(note, BatchSizeWarning, stacklevel=3)
            notes = (*notes, note)
        if n_tested < now.n_rows:
            share = f"{1 - n_tested / now.n_rows:.1%}"
            notes = (
                *notes,
                f"{share} of the rows are of strata that the reference hardly has: they were not tested",
            )
        usual = least <= n_tested <= (most if state.null == "batches" else math.inf)
        return evolve(now, is_usual=usual), notes

    def _collected(self, state: DriftState, now: Batch) -> tuple[DriftState, tuple[str, ...]]:
        """Take a batch into the new reference while re-basing; the last one fixes the usual size."""
        assert state.collected is not None
        left, collected = state.rebasing - 1, state.collected.add(now)
        questions = self._questions.without(state.quiet)
        silent = f"{', '.join(state.quiet)} excepted, the rest"
        if not questions.is_asking:
            silent = "nothing"
        elif not now.is_usual:
            silent = "nothing of this batch, because of its size,"
        note = f"re-basing: {left} more batches until the new reference is complete; {silent} was tested"
        state = evolve(state, rebasing=left, collected=collected)
        if left:
            return state, (note,)
        state = evolve(state, quiet=(), collected=None, n_thinned=0)
        if state.null == "batches":
            rows = float(np.median(questions.batch_sizes(collected.batches)))
            state = evolve(state, pool=collected, batch_rows=rows, usual=questions.usual_shares(collected.batches))
            warned = self._doubts(self._questions_for(state), collected, state.strata, (5 << 32) + state.t)
        else:
            pool = collected.as_rows()
            had, has = (int(questions.batch_sizes(p.batches).sum()) for p in (state.pool, pool))
            warned = []
            if has < had / 2:
                text = f"the new reference has {has} rows, the one before had {had}: changes are found later; "
                warned = [(SmallReference, text + "rebase(n_batches=...) collects more")]
            state = evolve(state, pool=pool, grown=rows_vary.Grown.of(pool.batches) if self.tolerance else None)
        blind = self._questions_for(state).blind(state.pool.batches)
        doubts = (*(text for _, text in warned), *(f"{name}: {_nearly_all(place)}" for name, place in blind.items()))
        return self._restarted(evolve(state, doubts=doubts)), (note,)

    def _doubts(
        self, questions: Questions, pool: Pool, strata: tuple[str, ...], stream: int
    ) -> list[tuple[type[Warning], str]]:
        """Say what speaks against a reference in batches: too few, or batches that follow one another."""
        found: list[tuple[type[Warning], str]] = [
            (SmallReference, text) for text in references.few_batches(len(pool.batches))
        ]
        scored = batches_vary.Scored.of(questions, pool.batches)
        scored = scored.beside(questions, pool.strata) if strata else scored
        follow = batches_vary.follow(questions, scored, self._generator(stream), SHUFFLES)
        return found + [(BatchesNotExchangeable, text) for text in follow]

    def _thinned(self, state: DriftState) -> tuple[DriftState, tuple[str, ...]]:
        """Keep half of the stored batches where there are many, drawn at random: ranks among those keep the promise.

        Which batches are kept is independent of what they hold. Given the values that are kept and those let go, the
        newest of the next batches is therefore still a uniform pick from the bag, and ranks stay independent.
        """
        n = len(state.pool.batches)
        if state.null == "rows" or n < MANY_BATCHES:
            return evolve(state, n_thinned=state.n_thinned + 1), ()
        kept = np.sort(self._generator((3 << 32) + state.t).choice(n, size=n // 2, replace=False))
        note = f"{n} batches were stored: {n // 2} of them, drawn at random, are kept"
        return evolve(state, pool=evolve(state.pool, batches=state.pool.batches[kept]), n_thinned=0), (note,)

    def _restarted(self, state: DriftState) -> DriftState:
        """Return the state with its evidence at zero."""
        questions = self._questions_for(state)
        if state.null == "batches":
            return evolve(state, bets=batches_vary.start(questions), n_since=0)
        log_e = rows_vary.start(questions, self.tolerance)
        return evolve(state, log_e=log_e, ages=np.zeros(log_e.shape, dtype=np.uint16), n_since=0)

    def _step(self, state: DriftState, questions: Questions, now: Batch) -> tuple[DriftState, Verdict, Described]:
        """Return the next state, the verdict, and the batches by which a change is described."""
        if state.null == "batches":
            assert state.bets is not None
            bag = self._bag.add(self._questions, now.readings)
            pool = Pool(bag.readings, state.pool.strata_with(now))
            scored = bag.beside(questions, pool.strata) if state.strata else bag
            recent = min(state.n_since, state.n_thinned) + 1
            u = self._generator(state.t).random(len(state.bets.two_sided))
            bets, verdict = batches_vary.step(questions, state.bets, scored, u=u, recent=recent)
            self._scored = bag
            described = Described(bag.readings)
            if state.strata:
                described = Described(bag.readings, questions.mixed(bag.readings.mix, pool.strata))
            return evolve(state, pool=pool, bets=bets), verdict, described
        assert state.log_e is not None
        assert state.ages is not None
        lines = now.strata if state.strata else now.readings
        pool = Pool(state.pool.batches + lines, state.pool.strata)
        before = state.pool.batches.total()
        if state.strata:
            before = questions.mixed(now.readings.mix, state.pool.batches)
        described = Described(Readings.stack([before, evolve(lines.total(), mix=before.mix)]))
        if state.grown is not None:
            log_e, verdict = rows_vary.band(questions, state.log_e, state.grown, now.readings, tolerance=self.tolerance)
            return evolve(state, log_e=log_e), verdict, described
        log_e, ages, verdict = rows_vary.tilt(questions, state.log_e, state.ages, pool.batches, lines)
        return evolve(state, pool=pool, log_e=log_e, ages=ages), verdict, described


def _with_statistics(detector: DriftDetector, statistics: Sequence[DriftStatistic]) -> DriftDetector:
    given = {s.name: s for s in statistics}
    missing = sorted({s.name for s in detector.statistics} - given.keys())
    if missing:
        raise ConfigurationError(f"this detector has the statistics {missing}: hand them in, statistics=[...]")
    return evolve(detector, statistics=[given[s.name] for s in detector.statistics])


def _nearly_all(place: str) -> str:
    return f"nearly all rows lie {place}, and changes inside are not seen: fit again on recent batches"


def _features(
    questions: Questions, verdict: Verdict, pool: Described, log_limit: float, ids: Sequence[str]
) -> tuple[FeatureDrift, ...]:
    changes = questions.largest_changes(pool, {name: age for name, (_, age) in verdict.strength.items()})
    found, over = [], verdict.over(log_limit)
    for name, (strength, age) in verdict.strength.items():
        if name in changes:
            effect, message = changes[name]
            when = "" if age == 1 else f" in the last {age} batches"
            start = verdict.starts.get(name)
            began = None if start is None or start > len(ids) else ids[-start]
            found.append(FeatureDrift(name, effect, message + when, age, strength, name in over, began))
    return tuple(sorted(found, key=lambda f: (not f.over_limit, -f.strength, f.name)))
