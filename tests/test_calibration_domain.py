"""The promise of the domain channel: P(first false alarm within T batches) <= T/A while rows are exchangeable.

The reference is so small that nearly every bet is against rows held back from the stream, and the classifier so eager
that its bets are bold. Worlds are simulated and counted (`counting`). Bets on rows that were bet on before,
on rows learnt from before their bet, and with codes of text learnt from rows still to be bet on break the same counts.
"""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

from mlopskit.monitoring.domain import DomainDetector, EncodedColumn

from counting import RISK, check_mean, check_rate, record

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::mlopskit.errors.SmallReference")]

RUNS, BATCHES = 400, 20
PAIRS, ROWS = 10, 20
LIMITS = (25, 80)


class Eager:
    """Weighs every feature, its square, and whether it is missing, by how far the two sides differ in it."""

    def get_params(self, deep=True):
        return {}

    @staticmethod
    def _views(X):
        x = X.to_numpy()
        known = np.clip(np.nan_to_num(x), -30, 30)
        return np.hstack([known, known**2, np.isnan(x)])

    def fit(self, X, y):
        views = self._views(X)
        self.middle, self.spread = views.mean(axis=0), views.std(axis=0) + 1e-9
        gaps = (views[y == 1].mean(axis=0) - views[y == 0].mean(axis=0)) / self.spread
        self.weights = 4 * gaps / self.spread
        return self

    def predict_proba(self, X):
        p = 1 / (1 + np.exp(-np.clip((self._views(X) - self.middle) @ self.weights, -30, 30)))
        return np.stack([1 - p, p], axis=1)


def numbers(rng, n):
    """Two dependent columns with heavy tails."""
    x = rng.standard_t(3, n)
    return pa.table({"x": x, "y": x * rng.normal(size=n)})


def texts(rng, n):
    """A number with holes, a text with many rare levels, and a text that never comes twice."""
    x = np.where(rng.random(n) < 0.2, np.nan, rng.exponential(size=n))
    level = np.floor(rng.pareto(0.7, n)).astype(int) % 1_000
    return pa.table({"x": x, "level": level.astype(str), "id": rng.integers(0, 1 << 60, n).astype(str)})


WORLDS = [numbers, texts]


def started(rng, world, detector=DomainDetector, **options):
    options = {"estimator": Eager(), "rows_per_batch": PAIRS, "random_state": int(rng.integers(1 << 32))} | options
    return detector(**options).fit(world(rng, 52))


def paths(world, runs, detector=DomainDetector, sizes=(ROWS,)):
    """The log evidence after every batch, (runs, BATCHES), of detectors that never stop."""
    found = np.full((runs, BATCHES), -np.inf)
    for run in range(runs):
        rng = np.random.default_rng([run, WORLDS.index(world)])
        domain = started(rng, world, detector, false_alarm_every=1e300)
        for t in range(BATCHES):
            found[run, t] = domain.update(world(rng, int(rng.choice(sizes)))).evidence.log_value
    return found


@pytest.mark.parametrize("world", WORLDS)
def test_false_alarms_keep_to_the_promise(world):
    """The share of runs with an alarm within T batches is at most T/A, and the mean of M_T at most T."""
    evidence = paths(world, RUNS, sizes=(10, ROWS, 45) if world is numbers else (ROWS,))
    for limit in LIMITS:
        for horizon in (5, 10, BATCHES):
            alarms = (evidence[:, :horizon] >= np.log(limit)).any(axis=1)
            check_rate(f"domain classifier, T = {horizon}, A = {limit}", world.__name__, alarms, horizon / limit)
    bets = BATCHES - 1  # the first batch teaches
    check_mean("domain classifier: E[M_T] / T", world.__name__, np.exp(evidence[:, -1:]) / bets)


def test_the_promise_starts_again_with_an_acknowledgement():
    """After an alarm that drops rows, E[M] at the next alarm, or after ten batches, is at most the batches bet on."""
    horizon, values = 10, []
    for run in range(RUNS):
        rng = np.random.default_rng([run, 7])
        domain = started(rng, numbers, false_alarm_every=1.5)
        while not domain.update(numbers(rng, ROWS)).alarm:
            pass
        domain.acknowledge()
        time = 0
        while time < horizon:
            report = domain.update(numbers(rng, ROWS))
            time += report.n_pairs > 0
            if report.alarm:
                break
        values.append((np.exp(report.evidence.log_value) + horizon - time) / horizon)
    check_mean("domain classifier: E[M - t + T] / T after an acknowledgement", "numbers", np.array(values)[:, None])


class Reusing(DomainDetector):
    """Bets on the same reference rows again and again."""

    def _moved(self, state, rows, pairs, *, alarm):
        from attrs import evolve

        return evolve(super()._moved(state, rows, pairs, alarm=alarm), fresh=state.fresh, held_at=state.held_at)


class Peeking(DomainDetector):
    """Learns from the rows that it is about to bet on."""

    def _bet(self, state, rows):
        from attrs import evolve

        n = min(self._taken(state, rows), len(state.fresh))
        known = evolve(
            state, spent=np.vstack([state.spent, state.fresh[:n]]), recent=np.vstack([state.recent, rows[:n]])
        )
        return super()._bet(known if len(state.recent) else state, rows)


def check_breaks(claim, world, detector):
    """So many runs alarm that a correct procedure would do so with probability below 1e-6."""
    runs, limit = 60, 50
    alarms = (paths(world, runs, detector) >= np.log(limit)).any(axis=1)
    record(claim, world.__name__, alarms.mean(), BATCHES / limit, runs)
    assert alarms.sum() > binom.ppf(1 - RISK, runs, BATCHES / limit)


@pytest.mark.parametrize("detector", [Reusing, Peeking])
def test_rows_that_are_not_fresh_break_the_promise(detector):
    """The same counts, with reference rows used again, and with rows learnt from before their bet."""
    check_breaks(f"domain classifier, {detector.__name__.lower()}: broken", numbers, detector)


def test_codes_learnt_from_rows_to_be_bet_on_break_the_promise(monkeypatch):
    """Every level of a fresh reference row is then known, and the levels of new rows are not."""
    right = EncodedColumn.of
    everything = staticmethod(lambda column, rows: right(column, np.arange(len(column))))
    monkeypatch.setattr(EncodedColumn, "of", everything)
    check_breaks("domain classifier, codes of all rows: broken", texts, DomainDetector)
