"""The stated errors of sketches, counted: distinct values from none to ten million, and frequent levels.

Registers are simulated from their exact law: n hashes fall on 4,096 registers at random, and the largest of c ranks is
at most k with probability (1 - 2^-k)^c. Real values go the real way beside it: structured numbers through `mix64`.
"""

import numpy as np
import pytest
from scipy.stats import chi2

from mlopskit.stats.sketches import N_REGISTERS, HeavyHitters, HyperLogLog, mix64

from counting import RISK, check_rate, record

pytestmark = pytest.mark.slow

RUNS = 400
STATED = 1.04 / np.sqrt(N_REGISTERS)


def registers(rng, n, runs):
    """Registers (runs, 4096) after n different values, drawn from their law."""
    seen = rng.multinomial(n, np.full(N_REGISTERS, 1 / N_REGISTERS), runs)
    with np.errstate(divide="ignore"):
        rank = np.ceil(-np.log2(-np.expm1(np.log(rng.random(seen.shape)) / seen)))
    return np.where(seen > 0, rank.clip(1, 53), 0).astype(np.uint8)


def check_error(null, estimates, n):
    """Spread at most as stated, up to a chi-square tail of 1e-6; bias below a fifth of it, up to noise."""
    ratio = np.asarray(estimates) / n
    runs = len(ratio)
    error = np.sqrt(np.mean((ratio - 1) ** 2))
    record("HyperLogLog: root mean squared error / stated (1.04/64) <= 1", null, error / STATED, 1.0, runs)
    assert error**2 <= STATED**2 * chi2.isf(RISK, runs) / runs
    assert abs(ratio.mean() - 1) <= STATED / 5 + 5 * STATED / np.sqrt(runs)
    check_rate("HyperLogLog: P(off by more than 3.3%) <= .05", null, np.abs(ratio - 1) > 0.033, 0.05)


class TestHyperLogLog:
    @pytest.mark.parametrize("exponent", np.arange(0, 7.5, 0.5))
    def test_error_is_as_stated(self, exponent):
        """From one value to ten million, between the powers of ten as well: no bump where methods would switch."""
        n = round(10**exponent)
        drawn = registers(np.random.default_rng(n), n, RUNS)
        check_error(f"{n:,} values", [HyperLogLog(row).estimate() for row in drawn], n)

    @pytest.mark.parametrize("n", [200, 20_000])
    @pytest.mark.parametrize("kind", ["integers in steps", "floats in steps", "large integers"])
    def test_structured_values_are_as_good_as_random_ones(self, kind, n):
        """Numbers that share most of their bits, through `mix64`: 400 streams, each of its own start and step."""
        rng, found = np.random.default_rng(n), []
        for _ in range(RUNS):
            start, step = rng.integers(0, 1_000_000), rng.integers(1, 1_000)
            x = start + step * np.arange(n)
            bits = {"integers in steps": x, "floats in steps": x / 8, "large integers": x << 30}[kind].view(np.uint64)
            found.append(HyperLogLog.of(mix64(bits)).estimate())
        check_error(f"{n:,} {kind}", found, n)

    def test_values_that_are_not_mixed_would_be_found(self):
        """The leading bits of floats as they are hardly differ: the estimate is off by a third or more."""
        x = (1_000 + np.arange(20_000) / 8).view(np.uint64)
        assert HyperLogLog.of(x).estimate() < 14_000

    def test_simulated_registers_are_like_real_ones(self):
        """Shares of every rank after 30,000 values, simulated and by random hashes, differ by noise only."""
        rng = np.random.default_rng(1)
        drawn = np.bincount(registers(rng, 30_000, 100).ravel(), minlength=54)[:20]
        real = [HyperLogLog.of(rng.integers(0, 2**64, 30_000, dtype=np.uint64)).registers for _ in range(100)]
        counted = np.bincount(np.concatenate(real), minlength=54)[:20]
        total = drawn + counted
        assert (((drawn - counted) ** 2)[total > 0] / total[total > 0]).sum() < chi2.isf(RISK, (total > 0).sum())


class TestHeavyHitters:
    @pytest.mark.parametrize("capacity", [10, 100, 1_000])
    def test_bound_over_many_merges(self, capacity):
        """Zipf streams in 50 parts, merged in chains and in trees: the error kept holds, at most n/(k+1), and bites."""
        rng = np.random.default_rng(capacity)
        for shape in ("chain", "tree"):
            values = rng.zipf(1.3, (50, 4_000)).clip(max=100_000)
            parts = [HeavyHitters.of(_counted(row), capacity) for row in values]
            while len(parts) > 1:
                first, second = (parts.pop(0), parts.pop(0))
                parts.insert(0 if shape == "chain" else len(parts), first + second)
            merged, truth = parts[0], _counted(values.ravel())
            kept = dict(merged.counts)
            lost = max(count - kept.get(level, 0) for level, count in truth.items())
            assert all(count <= truth[level] for level, count in kept.items())
            assert lost <= merged.error <= values.size / (capacity + 1)
            claim = "HeavyHitters: rows a level may lack / (n/(k+1)) <= 1"
            record(claim, f"Zipf 1.3 in 50 parts, {shape}, k={capacity}", lost * (capacity + 1) / values.size, 1.0, 1)
            assert lost > 0


def _counted(values):
    levels, counts = np.unique(values, return_counts=True)
    return dict(zip(levels.tolist(), counts.tolist(), strict=True))
