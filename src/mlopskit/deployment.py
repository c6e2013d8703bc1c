"""A registered model that answers, logs what it answered, and follows its alias.

Promotion happens in the registry; the deployment notices it. Before each batch it asks the registry one cheap question
(has the history of this model moved?) and loads only when the alias points to another version. A shadow answers the
same rows for the log and can never touch the champion's answer.
"""

from __future__ import annotations

import datetime as dt
import threading
import warnings
from typing import Any

from attrs import define, evolve, field, frozen

from mlopskit import frames
from mlopskit.errors import ConfigurationError, DataError, NotFound, ReloadFailed, ShadowFailed
from mlopskit.prediction_log import PredictionLog
from mlopskit.records import ModelVersion, Predictions
from mlopskit.registry import LoadedModel, ModelRegistry


@frozen(eq=False)
class _Served:
    """What answers now: swapped as a whole, so that a batch never sees half a reload."""

    head: Any
    champion: LoadedModel
    shadow: LoadedModel | None


@define(eq=False)
class Deployment:
    """The version behind an alias, kept up to date while it answers; safe with several threads.

    Parameters
    ----------
    registry
        Where the versions are.
    name
        The model's name.
    alias
        The alias to follow.
    shadow
        An alias of the same model, or a version as "name:number", that answers the same rows for the log only. An alias
        that does not exist (yet) means no shadow; one that cannot be loaded is tried again when the model's history
        moves or `refresh` is called.
    log
        Where predictions are written before they are returned; None writes nothing.

    Raises
    ------
    NotFound
        When the alias points to nothing: promote a version first.
    IntegrityError, FormatError, StorageError
        When the first version cannot be loaded. Later such failures warn `ReloadFailed`, and the version loaded before
        keeps serving.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> registry = ModelRegistry("memory://")
    >>> model = DummyClassifier(strategy="prior").fit(np.zeros((4, 1)), [0, 0, 0, 1])
    >>> version = registry.register("rain", model, example={"cloud": np.zeros(2)})
    >>> _ = registry.promote(version, alias="champion", reason="first model")
    >>> live = Deployment(registry, "rain", log=PredictionLog(":memory:"))
    >>> answer = live.predict({"cloud": [0.0, 1.0]}, ids=["mon", "tue"])
    >>> answer.scores.tolist(), answer.version, answer.ids
    ([0.25, 0.25], 'rain:1', ('mon', 'tue'))
    >>> len(live.log)
    2
    """

    registry: ModelRegistry
    name: str
    alias: str = field(default="champion", kw_only=True)
    shadow: str | None = field(default=None, kw_only=True)
    log: PredictionLog | None = field(default=None, kw_only=True)
    _served: _Served = field(init=False, repr=False)
    _lock: threading.Lock = field(init=False, repr=False, factory=threading.Lock)

    def __attrs_post_init__(self) -> None:
        if self.shadow is not None and "@" in self.shadow:
            raise ConfigurationError(f"shadow={self.shadow!r}: give an alias of {self.name!r} alone, or 'name:number'")
        if self.shadow is not None and self.log is None:
            raise ConfigurationError(f"shadow={self.shadow!r} needs log=: a shadow answers for the log only")
        if self.shadow is not None and ":" in self.shadow:
            self.registry.get(self.shadow)
        try:
            head = self.registry.head(self.name)
            version = self.registry.get(self._spec)
        except NotFound as error:
            raise NotFound(
                f"nothing to deploy at {self._spec!r}: {error}. "
                f"Promote a version first: registry.promote(version, alias={self.alias!r}, reason=...)"
            ) from error
        self._served = _Served(head, self.registry.load(version.spec), self._load_shadow(None))

    @property
    def version(self) -> ModelVersion:
        """The version that answers now."""
        return self._served.champion.version

    def refresh(self) -> bool:
        """Look where the aliases point and load what is new; return whether another version answers now.

        Warns
        -----
        ReloadFailed
            When the registry cannot be read or the new version cannot be loaded. The old one keeps serving. Wrong bytes
            are tried again only when the alias moves or `refresh` is called; a store that does not answer is
            asked again at the next batch.
        """
        with self._lock:
            before = self._served.champion
            try:
                self._reload()
            except Exception as error:
                message = f"{before.version.spec} keeps serving, because {self._spec!r} cannot be loaded: {error}"
                warnings.warn(ReloadFailed(message), stacklevel=3)
            return self._served.champion is not before

    def predict(
        self, frame: frames.Frame, *, ids: Any = None, times: Any = None, now: dt.datetime | None = None
    ) -> Predictions:
        """Answer a batch; when this returns, the answer is in the log.

        Parameters
        ----------
        frame
            Rows with at least the model's features, picked by name.
        ids
            One id for each row, under which the label will come; without them the log makes unique ones.
        times
            The rows' own times, for the log, as datetimes.
        now
            When the prediction is made; by default the wall clock.

        Returns
        -------
        Predictions
            Values, scores, the version that answered, and the ids (None without a log and without given ids).

        Raises
        ------
        DataError
            When the frame is empty or lacks a feature (the message names it), or ids or times do not fit the rows.
        DuplicateId
            When the log holds one of the ids already; nothing of the batch is written.

        Warns
        -----
        ShadowFailed
            When the shadow cannot answer or be logged.
        ReloadFailed
            When the alias moved to a version that cannot be loaded; see `refresh`.
        """
        if self._moved():
            self.refresh()
        served = self._served
        answer = served.champion.predict(frame)
        if self.log is not None:
            answer = evolve(answer, ids=self.log.record(answer, ids=ids, times=times, now=now))
        elif ids is not None:
            answer = evolve(answer, ids=_one_each(frames.keys(ids), len(answer)))
        if served.shadow is not None and self.log is not None:
            _ask_shadow(served.shadow, frame, self.log, ids=answer.ids, times=times, now=now)
        return answer

    @property
    def _spec(self) -> str:
        return f"{self.name}@{self.alias}"

    def _moved(self) -> bool:
        try:
            return bool(self.registry.head(self.name) != self._served.head)
        except Exception:  # `refresh` asks again, and says what is wrong
            return True

    def _reload(self) -> None:
        """Load what the aliases point to; remember the head, unless the store failed and is worth asking again."""
        served, head = self._served, self.registry.head(self.name)
        try:
            champion = served.champion
            version = self.registry.get(self._spec)
            if version.number != champion.version.number:
                champion = self.registry.load(version.spec)
        except OSError:
            raise
        except Exception:
            self._served = evolve(served, head=head)
            raise
        self._served = _Served(head, champion, self._load_shadow(served.shadow))

    def _load_shadow(self, current: LoadedModel | None) -> LoadedModel | None:
        if self.shadow is None:
            return None
        try:
            try:
                version = self.registry.get(self.shadow if ":" in self.shadow else f"{self.name}@{self.shadow}")
            except NotFound:
                return None
            if current is not None and current.version.spec == version.spec:
                return current
            return self.registry.load(version.spec)
        except Exception as error:
            warnings.warn(ShadowFailed(f"the shadow {self.shadow!r} cannot be loaded: {error}"), stacklevel=4)
            return None


def _ask_shadow(shadow: LoadedModel, frame: frames.Frame, log: PredictionLog, **about: Any) -> None:
    try:
        log.record(shadow.predict(frame), role="shadow", **about)
    except Exception as error:
        warnings.warn(ShadowFailed(f"the shadow {shadow.version.spec} did not answer: {error}"), stacklevel=3)


def _one_each(ids: list[str], n: int) -> tuple[str, ...]:
    if len(ids) != n:
        raise DataError(f"got {len(ids)} ids for {n} rows: give one for each")
    return tuple(ids)
