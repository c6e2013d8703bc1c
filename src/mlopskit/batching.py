"""Rows that arrive one at a time, or a few, as the batches that monitors take.

A batch is a fixed number of rows, or the rows of a period of the calendar. Each row has its place, the batch that it
belongs to. A batch is complete when the bound, which rises with the rows that come, has reached its end; a row whose
batch was complete before it came is late. All of this depends on the order of the rows and on nothing else: how they
were cut into calls changes nothing.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from attrs import define, evolve, field, frozen, setters
from numpy.typing import NDArray
from pandas.tseries.frequencies import to_offset

from mlopskit import frames
from mlopskit.errors import ConfigurationError, DataError
from mlopskit.frames.tables import stacked

Moments: TypeAlias = NDArray[np.int64]
"""Times in microseconds since 1970, in UTC where they have a zone."""

Part: TypeAlias = Any
"""Rows as they wait: a frame of pandas, polars or pyarrow, or a list with one tuple of values for each row."""

_SECOND = 10**6  # in microseconds, in which all times are counted
_DAY = 86_400 * _SECOND
_MONDAY = -3  # 1969-12-29, in days since 1970-01-01
_NEVER = -(2**63)
_ALWAYS = range(1 - 2**63, 2**63)
_EXACT = 2**53  # up to here floats hold every integer
_EPOCH = dt.datetime(1970, 1, 1)
_LONGEST = pd.Timedelta(days=36525)


@frozen(eq=False)
class Batch:
    """Rows that belong together.

    Parameters
    ----------
    batch_id
        What to call the batch: its number, or the start of its period in ISO form, in the zone of the times.
    frame
        Its rows in the order in which they came, with the columns of the first rows and an index from 0.
    """

    batch_id: str
    frame: pd.DataFrame = field(repr=lambda frame: f"<{len(frame)} rows>")


@frozen
class _Place:
    """A batch that rows belong to, and the bound at which it is complete.

    To it belong the rows of times in `moments` at which clocks show what is in `shown`, both in microseconds.
    """

    batch_id: str
    end: int
    moments: range = range(0)
    shown: range = range(0)


@frozen(eq=False)
class _Placed:
    """Where rows belong: the place of each as a code into `places`, which are late, and the bound after them."""

    places: Sequence[_Place]
    codes: NDArray[np.intp]
    late: NDArray[np.bool_]
    bound: int


@frozen(eq=False)
class _Layout:
    """What all rows have in common: column names, the labels that frames get, and the zone of the times."""

    names: list[str]
    labels: list[Any]
    zone: str | None = None


_NO_LAYOUT = _Layout([], [])


@define(eq=False)
class _Waiting:
    """Rows that wait for the rest of their batch, which is complete at the bound `end`."""

    end: int = 0
    parts: list[Part] = field(factory=list)
    n_rows: int = 0

    def add(self, part: Part) -> None:
        """Put rows below those that wait."""
        self.n_rows += _n_rows(part)
        if isinstance(part, list) and self.parts and isinstance(self.parts[-1], list):
            self.parts[-1].extend(part)
        else:
            self.parts.append(part)

    def frame(self, layout: _Layout) -> pd.DataFrame:
        """Return all rows, numbered from 0."""
        parts = [frames.to_pandas(_columns(p, layout.names)) if isinstance(p, list) else p for p in self.parts]
        frame = _joined(parts) if parts else pd.DataFrame(columns=layout.labels)
        return frame.reset_index(drop=True).set_axis(layout.labels, axis="columns")


@define(on_setattr=setters.frozen, eq=False)
class Batcher:
    """Turns rows that arrive one at a time into batches: of so many rows each, or by period.

    Give `rows`, or `period` and `time`. The batches do not depend on how the rows are cut into calls of `add`.

    A period is complete once a time has come that is `lateness` past its end; a period without rows makes no batch. A
    row of a period that is complete, or was flushed, is late: it is in no batch, `n_late` counts it and `take_late`
    hands it back. One time that lies in the future by mistake completes every period before it: validate times first.

    Held in memory, as copies, are the rows that wait: fewer than `rows` of them by rows; by period those of the
    `lateness` and one period at most; and late rows until they are taken. They are lost in a crash, so send rows
    again: by rows, where N batches were taken in and `flush` cut none short, from row N * `rows` (counted from 0) with
    `first=N + 1`; by period from the start of the first period that was not taken in. A monitor refuses the id of a
    batch that it has seen.

    Parameters
    ----------
    rows
        Rows of a batch, at least 1. Batches are numbered from `first`.
    period
        A period of the calendar, in the zone of the times: whole days ("1D"), weeks ("1W", from Monday), months
        ("1MS"), or what divides a day ("15min", "6h"); or a `datetime.timedelta`. A day has 23 or 25 hours where clocks
        change. Parts of a day are counted in time that passes since midnight, which cuts short the last one of such a
        day. Several days or weeks are counted from Monday 1969-12-29, several months from January 1970.
    time
        The column that holds the time of each row: datetimes or dates, all in one zone or all without.
    lateness
        How long to wait for rows that come out of order: a span of time ("2h") or a `datetime.timedelta`; 0 by default.
    first
        The number of the first batch where batches go by `rows`; 1 by default.

    Raises
    ------
    ConfigurationError
        When both or none of `rows` and `period` are given, an option belongs to the other one, or a value cannot work.

    Examples
    --------
    >>> import mlopskit as mk
    >>> by_rows = mk.Batcher(rows=2)
    >>> for fare in [30, 32, 31]:
    ...     for batch in by_rows.add({"fare": fare}):
    ...         print(batch.batch_id, batch.frame["fare"].tolist())
    1 [30, 32]
    >>> by_rows.n_waiting
    1

    By day, where rows may come two hours late:

    >>> import pandas as pd
    >>> trips = pd.DataFrame({"started": pd.to_datetime(["2024-05-01 23:50", "2024-05-02 00:10", "2024-05-01 23:55",
    ...                                                  "2024-05-02 02:00", "2024-05-01 23:59"])})
    >>> by_day = mk.Batcher(period="1D", time="started", lateness="2h")
    >>> [(batch.batch_id, len(batch.frame)) for batch in by_day.add(trips)]
    [('2024-05-01', 2)]
    >>> by_day.n_late, by_day.n_waiting
    (1, 2)
    """

    rows: int | None = field(default=None, kw_only=True)
    period: str | dt.timedelta | None = field(default=None, kw_only=True)
    time: str | None = field(default=None, kw_only=True)
    lateness: str | dt.timedelta | None = field(default=None, kw_only=True)
    first: int | None = field(default=None, kw_only=True)
    _rule: _ByRows | _ByTime = field(init=False, repr=False, on_setattr=setters.NO_OP)
    _bound: int = field(init=False, repr=False, on_setattr=setters.NO_OP)
    _layout: _Layout | None = field(default=None, init=False, repr=False, on_setattr=setters.NO_OP)
    _recent: _Place | None = field(default=None, init=False, repr=False, on_setattr=setters.NO_OP)
    _open: dict[str, _Waiting] = field(factory=dict, init=False, repr=False)
    _late: _Waiting = field(factory=_Waiting, init=False, repr=False, on_setattr=setters.NO_OP)
    _n_late: int = field(default=0, init=False, repr=False, on_setattr=setters.NO_OP)

    def __attrs_post_init__(self) -> None:
        if (self.rows is None) == (self.period is None):
            raise ConfigurationError(f"rows={self.rows!r} and period={self.period!r}: give exactly one of them")
        if self.rows is not None:
            if self.time is not None or self.lateness is not None:
                raise ConfigurationError("time and lateness belong to period: leave them out, or give period")
            self._rule = _ByRows(_count("rows", self.rows))
            self._bound = (_count("first", 1 if self.first is None else self.first) - 1) * self._rule.n
        else:
            if not isinstance(self.time, str):
                raise ConfigurationError(f"time={self.time!r}: expected the name of the column that the period goes by")
            if self.first is not None:
                raise ConfigurationError("first belongs to rows: periods are named by their start")
            self._rule = _by_period(self.time, self.period, _lateness(self.lateness))
            self._bound = _NEVER

    @property
    def n_waiting(self) -> int:
        """Rows that wait for the rest of their batch."""
        return sum(waiting.n_rows for waiting in self._open.values())

    @property
    def n_late(self) -> int:
        """Rows that came late so far, whether they were taken or not."""
        return self._n_late

    def add(self, rows: Any) -> list[Batch]:
        """Take in rows and return the batches that they complete, in order.

        Parameters
        ----------
        rows
            A frame, an iterator of frames, or one row as a mapping from column names to single values. The columns are
            those of the first rows, in any order. Frames without rows are ignored.

        Returns
        -------
        list of Batch
            Often empty. The batcher holds these rows no longer.

        Raises
        ------
        DataError
            When columns are missing or new, times are missing or no datetimes, or their zone changes. Nothing of `rows`
            is taken in then.

        Examples
        --------
        >>> import pandas as pd, mlopskit as mk
        >>> batcher = mk.Batcher(rows=1000)
        >>> batcher.add(pd.DataFrame({"fare": range(2500)}))
        [Batch(batch_id='1', frame=<1000 rows>), Batch(batch_id='2', frame=<1000 rows>)]
        """
        part, layout = self._read(rows)
        if part is None:
            return []
        layout, placed = self._placed(part, layout)
        self._layout, self._bound = layout, placed.bound
        self._hold(part, placed)
        return self._released([name for name, waiting in self._open.items() if waiting.end <= self._bound])

    def flush(self) -> list[Batch]:
        """Return what waits as batches that are not complete, in order; they are closed for later rows.

        By rows the next batch has the next number; by period further rows of these periods are late.

        Examples
        --------
        >>> import mlopskit as mk
        >>> batcher = mk.Batcher(rows=1000)
        >>> batcher.add({"fare": 30})
        []
        >>> batcher.flush(), batcher.flush()
        ([Batch(batch_id='1', frame=<1 rows>)], [])
        """
        self._bound = max([self._bound, *(waiting.end for waiting in self._open.values())])
        return self._released(list(self._open))

    def take_late(self) -> pd.DataFrame:
        """Return the late rows that came since the last call, in the order in which they came, and let go of them.

        Examples
        --------
        >>> import datetime as dt, mlopskit as mk
        >>> batcher = mk.Batcher(period="1h", time="at")
        >>> for hour in (8, 9, 8):
        ...     done = batcher.add({"at": dt.datetime(2024, 5, 1, hour), "fare": 30})
        >>> batcher.take_late()["at"].dt.hour.tolist(), len(batcher.take_late()), batcher.n_late
        ([8], 0, 1)
        """
        frame = self._late.frame(self._layout or _NO_LAYOUT)
        self._late = _Waiting()
        return frame

    def _read(self, rows: Any) -> tuple[Part | None, _Layout]:
        """Return rows with their columns in order, None where there are none."""
        row = _row(rows)
        if row is not None:
            layout = self._agreed(list(row), list(row))
            return [tuple(row[name] for name in layout.names)], layout
        given = [piece for piece in frames.pieces(rows) if frames.n_rows(piece)]
        if not given:
            return None, _NO_LAYOUT
        whole = stacked(given)
        if isinstance(whole, (dict, np.ndarray)):
            whole = frames.to_pandas(whole)
        names = labels = frames.names(whole)
        if isinstance(whole, pd.DataFrame):
            labels = list(whole.columns)
            whole = whole if labels == names else whole.set_axis(names, axis="columns")
        layout = self._agreed(names, labels)
        return frames.select(whole, layout.names), layout

    def _agreed(self, names: list[str], labels: list[Any]) -> _Layout:
        """Return the layout of all rows, which the first ones decide."""
        if self._layout is None:
            if self.time is not None and self.time not in names:
                raise DataError(f"missing column {self.time!r}, which says when a row was: got {names}")
            return _Layout(names, labels)
        expected = self._layout.names
        gone, new = [n for n in expected if n not in names], [n for n in names if n not in expected]
        if gone or new:
            raise DataError(f"missing column(s) {gone}, new column(s) {new}; the first rows had {expected}")
        return self._layout

    def _placed(self, part: Part, layout: _Layout) -> tuple[_Layout, _Placed]:
        """Return where these rows belong, and the layout with the zone of their times."""
        if isinstance(self._rule, _ByRows):
            return layout, self._rule.place(_n_rows(part), self._bound)
        if isinstance(part, list):
            value = part[0][layout.names.index(self._rule.time)]
            moment, shown = _microseconds(value, layout.zone)
            if self._recent is not None and moment in self._recent.moments and shown in self._recent.shown:
                return layout, self._rule.again(moment, self._recent, self._bound)
            times = frames.column([value], self._rule.time)
        else:
            times = frames.columns(part, [self._rule.time])[0]
        index = _index(times)
        if self._layout is not None and times.zone != layout.zone:
            raise DataError(f"{self.time!r} was in zone {layout.zone} and is now in {times.zone}: convert all to one")
        placed = self._rule.place(index, self._bound)
        self._recent = placed.places[-1]
        return evolve(layout, zone=times.zone), placed

    def _hold(self, part: Part, placed: _Placed) -> None:
        """Copy each row to where it belongs."""
        n_late = int(np.count_nonzero(placed.late))
        if n_late:
            self._late.add(_taken(part, np.flatnonzero(placed.late)))
            self._n_late += n_late
        codes = np.where(placed.late, len(placed.places), placed.codes) if n_late else placed.codes
        order = np.argsort(codes, kind="stable")
        cuts = np.searchsorted(codes[order], np.arange(len(placed.places) + 1))
        for place, start, stop in zip(placed.places, cuts[:-1], cuts[1:], strict=True):
            if start < stop:
                waiting = self._open.setdefault(place.batch_id, _Waiting(place.end))
                waiting.add(_taken(part, order[start:stop]))

    def _released(self, names: list[str]) -> list[Batch]:
        """Hand out these batches in the order of their ends."""
        names = sorted(names, key=lambda name: self._open[name].end)
        layout = self._layout or _NO_LAYOUT
        batches = [Batch(name, self._open[name].frame(layout)) for name in names]
        for name in names:
            del self._open[name]
        return batches


@frozen
class _ByRows:
    """So many rows each: the bound counts rows."""

    n: int

    def place(self, n_rows: int, bound: int) -> _Placed:
        """Return the places of so many rows, given how many came before."""
        numbers = np.arange(bound, bound + n_rows) // self.n
        low, high = int(numbers[0]), int(numbers[-1])
        places = [_Place(str(number + 1), (number + 1) * self.n) for number in range(low, high + 1)]
        return _Placed(places, numbers - low, np.zeros(n_rows, dtype=bool), bound + n_rows)


@frozen
class _ByTime(ABC):
    """By period: the bound is the newest time less the lateness, in microseconds."""

    time: str
    length: int
    lateness: int

    def place(self, times: pd.DatetimeIndex, bound: int) -> _Placed:
        """Return the places of rows of these times, given the bound that the rows before have reached."""
        try:
            places, codes = self.periods(times)
        except (ValueError, OverflowError, NotImplementedError) as error:
            low, high = times.asi8.min().view("M8[us]"), times.asi8.max().view("M8[us]")
            raise DataError(
                f"times of {self.time!r} from {low} to {high} cannot be put into periods: {error}"
            ) from error
        bounds = np.maximum(np.maximum.accumulate(times.asi8) - self.lateness, bound)
        ends = np.array([place.end for place in places])
        return _Placed(places, codes, ends[codes] <= bounds, int(bounds[-1]))

    def again(self, moment: int, place: _Place, bound: int) -> _Placed:
        """Return what `place` does for one row whose place is known."""
        bound = max(moment - self.lateness, bound)
        return _Placed([place], np.zeros(1, dtype=np.intp), np.array([place.end <= bound]), bound)

    @abstractmethod
    def periods(self, times: pd.DatetimeIndex) -> tuple[list[_Place], NDArray[np.intp]]:
        """Return the periods that these times belong to, and for each time the code of its period."""


@frozen
class _Calendar(_ByTime):
    """Days or months; several of them are counted from `start`."""

    unit: str
    start: int

    def periods(self, times: pd.DatetimeIndex) -> tuple[list[_Place], NDArray[np.intp]]:
        counts = _wall(times).astype(f"M8[{self.unit}]").astype(np.int64) - self.start
        numbers, codes = np.unique(counts // self.length * self.length + self.start, return_inverse=True)
        days = numbers.astype(f"M8[{self.unit}]").astype("M8[D]")
        nexts = (numbers + self.length).astype(f"M8[{self.unit}]").astype("M8[D]")
        ends = _midnights(nexts, times.tz, last=True).tolist()
        shown = _spans(_midnights(days), _midnights(nexts))
        return list(map(_Place, days.astype(str).tolist(), ends, repeat(_ALWAYS), shown)), codes


@frozen
class _Clock(_ByTime):
    """Parts of a day, in time that passes since midnight."""

    def periods(self, times: pd.DatetimeIndex) -> tuple[list[_Place], NDArray[np.intp]]:
        days, of_day = np.unique(_wall(times).astype("M8[D]"), return_inverse=True)
        midnights = _midnights(days, times.tz, last=False)[of_day]
        starts = midnights + (times.asi8 - midnights) // self.length * self.length
        firsts, at, codes = np.unique(starts, return_index=True, return_inverse=True)
        nexts, day = firsts + self.length, days[of_day[at]]
        ends = np.minimum(nexts, _midnights(day + 1, times.tz, last=True)).tolist()
        index = pd.DatetimeIndex(firsts.view("M8[us]"))
        index = index if times.tz is None else index.tz_localize("UTC").tz_convert(times.tz)
        shown = _spans(_midnights(day), _midnights(day + 1))
        return list(map(_Place, map(pd.Timestamp.isoformat, index), ends, _spans(firsts, nexts), shown)), codes


def _spans(starts: Moments, stops: Moments) -> Iterator[range]:
    return map(range, starts.tolist(), stops.tolist())


def _wall(times: pd.DatetimeIndex) -> NDArray[np.datetime64]:
    """Return what clocks on the wall show; refuse years in which time zones, or ends of periods, have no date."""
    wall = times.tz_localize(None).to_numpy()
    if not np.datetime64("0001") <= wall.min() <= wall.max() < np.datetime64("9999"):
        raise ValueError("expected the years 1 to 9998")
    return wall


def _midnights(days: NDArray[np.datetime64], zone: Any = None, *, last: bool = False) -> Moments:
    """Return when these days begin; `last` decides where clocks are set back so that midnight comes twice."""
    index = pd.DatetimeIndex(days.astype("M8[us]"))
    if zone is not None:
        index = index.tz_localize(zone, ambiguous=np.full(len(index), not last), nonexistent="shift_forward")
    return index.asi8


def _index(times: frames.Column) -> pd.DatetimeIndex:
    """Return the times of rows, all of which need one."""
    n = int(np.count_nonzero(times.missing))
    if n:
        raise DataError(
            f"{n} of {len(times)} rows have no {times.name!r}, so that they belong to no period: fill it in, or leave "
            "these rows out and add the rest"
        )
    if times.kind != "datetime":
        raise DataError(f"column {times.name!r} is of kind {times.kind!r}; expected datetimes: see pandas.to_datetime")
    try:
        return pd.DatetimeIndex(frames.restore(times)).as_unit("us")
    except (ValueError, OverflowError, KeyError) as error:
        raise DataError(f"the times of column {times.name!r} cannot be read: {error}") from error


def _microseconds(value: Any, zone: str | None) -> tuple[int, int]:
    """Return when a time of this zone is, and what clocks show then; what can be in no period for anything else."""
    if type(value) not in (dt.datetime, pd.Timestamp) or (value.tzinfo and str(value.tzinfo)) != zone:
        return _NEVER, _NEVER
    shown = int((value.replace(tzinfo=None) - _EPOCH) // dt.timedelta(microseconds=1))
    if zone is None:
        return shown, shown
    return int((value - _EPOCH.replace(tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)), shown


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ConfigurationError(f"{name}={value!r}: expected an integer of at least 1")
    return int(value)


def _lateness(value: Any) -> int:
    """Return how long to wait, in microseconds; a number without a unit is refused."""
    try:
        span: Any = pd.Timedelta(0) if value is None else pd.Timedelta(value)
    except (ValueError, TypeError):
        span = pd.NaT
    is_span = value is None or isinstance(value, (str, dt.timedelta))
    if not is_span or not (span == pd.Timedelta(0) or pd.Timedelta(seconds=1) <= span <= _LONGEST):
        raise ConfigurationError(
            f"lateness={value!r}: expected 0, or a second to 100 years, such as '2h', '1D' or a timedelta"
        )
    return int(span // pd.Timedelta(microseconds=1))


def _by_period(time: str, value: Any, lateness: int) -> _ByTime:
    """Return the rule for a period such as "1D"."""
    try:
        offset: Any = to_offset(value)
    except (ValueError, TypeError):
        offset = None
    n = getattr(offset, "n", 0)
    if n >= 1 and isinstance(offset, (pd.offsets.MonthBegin, pd.offsets.MonthEnd)):
        return _Calendar(time, n, lateness, "M", 0)
    if n >= 1 and isinstance(offset, pd.offsets.Week):
        last_day = getattr(offset, "weekday", None)
        return _Calendar(time, 7 * n, lateness, "D", _MONDAY + (0 if last_day is None else (last_day + 1) % 7))
    if n >= 1 and isinstance(offset, pd.offsets.Day):
        return _Calendar(time, n, lateness, "D", _MONDAY)
    span = int(pd.Timedelta(offset).value) // 1000 if isinstance(offset, pd.offsets.Tick) else 0
    if span > 0 and span % _DAY == 0:
        return _Calendar(time, span // _DAY, lateness, "D", _MONDAY)
    if span >= _SECOND and _DAY % span == 0:
        return _Clock(time, span, lateness)
    raise ConfigurationError(
        f"period={value!r}: expected whole days ('1D'), weeks ('1W'), months ('1MS'), or what divides a day into parts "
        "of at least a second ('15min', '6h'); or a timedelta of these"
    )


def _row(rows: Any) -> dict[str, Any] | None:
    """Return a mapping of single values as one row; None for what is a frame."""
    if not isinstance(rows, Mapping) or not rows:
        return None
    lists = [str(name) for name, value in rows.items() if pd.api.types.is_list_like(value)]
    if len(lists) == len(rows):
        return None
    if lists:
        raise DataError(
            f"a row has one value in each column, and a dict of columns one list: got lists in {lists} alone"
        )
    row = {str(name): value for name, value in rows.items()}
    if len(row) < len(rows):
        raise DataError(f"duplicate column name(s) in {[str(name) for name in rows]}: rename them")
    return row


def _columns(rows: list[tuple[Any, ...]], names: Sequence[str]) -> dict[str, list[Any]]:
    return {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def _n_rows(part: Part) -> int:
    return len(part) if isinstance(part, list) else frames.n_rows(part)


def _taken(part: Part, positions: NDArray[np.intp]) -> Part:
    """Return a copy of these rows."""
    if isinstance(part, list):
        return [part[i] for i in positions]
    taken = frames.take(part, positions)
    # pandas shares the values where all rows are taken in their order
    return taken.copy() if isinstance(part, pd.DataFrame) and len(taken) == len(part) else taken


def _joined(parts: Sequence[Part]) -> pd.DataFrame:
    """Return frames one below the other: by their engine where that joins them unchanged, or else by pandas."""
    if len(parts) > 1 and not any(isinstance(part, pd.DataFrame) for part in parts):
        whole = stacked(parts)
        if not isinstance(whole, pd.DataFrame):
            return frames.to_pandas(whole)
    pieces = [frames.to_pandas(part) for part in parts]
    types = [tuple(piece.dtypes) for piece in pieces]
    if len(set(types)) == 1:
        return pieces[0] if len(pieces) == 1 else pd.concat(pieces, ignore_index=True)
    return frames.concat(list(_unrounded(pieces, types)))


def _unrounded(pieces: Sequence[pd.DataFrame], types: Sequence[tuple[Any, ...]]) -> Iterator[pd.DataFrame]:
    """Hold integers that floats would round as objects, where the pieces of a column would be joined as floats."""
    mixed = [i for i, found in enumerate(zip(*types, strict=True)) if len({t.kind for t in found} & set("iuf")) > 1]
    rounded = [i for i in mixed if any(_is_beyond_floats(piece.iloc[:, i]) for piece in pieces)]
    for piece in pieces:
        yield piece.astype({piece.columns[i]: object for i in rounded})


def _is_beyond_floats(series: pd.Series[Any]) -> bool:
    return series.dtype.kind in "iu" and bool(((series > _EXACT) | (series < -_EXACT)).any())
