"""The two pictures of "Evidence that adds up", drawn from simulations with fixed seeds.

python docs/figures.py writes them beside the page and prints the figures that the page quotes.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from mlopskit.stats.sequential import RankBets, robust_z, smoothed_rank

FOLDER = Path(__file__).parent / "explanation"
INK, QUIET, WARM, COOL = "#1f2933", "#9aa5b1", "#c2410c", "#1d4ed8"


def looks(rng: np.random.Generator, runs: int = 1_000, days: int = 365, rows: int = 1_000) -> dict[str, Any]:
    """Count the runs with a false alarm so far: z tests against one reference of 1,000 rows, and ranks that bet.

    A batch is the mean of its rows, whose standard deviation is 1; nothing ever changes. "days differ": each day has an
    effect of its own with standard deviation 0.05.
    """
    tests = {}
    for world, effect in (("days alike", 0.0), ("days differ", 0.05)):
        spread = np.hypot(rows**-0.5, effect)
        bag, means = rng.normal(0, spread, (30, runs)), rng.normal(0, spread, (days, runs))
        p = 2 * norm.sf(np.abs(means - rng.normal(0, spread, runs)) / np.sqrt(2 / rows))
        bets, evidence = RankBets.start(np.ones(runs, dtype=bool)), []
        for mean in means:
            bag = np.vstack([bag, mean])
            bets = bets.update(smoothed_rank(bag, rng.random(runs)), len(bag))
            evidence.append(bets.log_values())
        tests |= {f"p < {level}, {world}": p < level for level in (0.05, 0.001)}
        tests[f"ranks, {world}"] = np.array(evidence) >= np.log(3650)
    return {name: np.maximum.accumulate(alarm).mean(axis=1) for name, alarm in tests.items()}


def streams(rng: np.random.Generator, runs: int = 25, days: int = 90, change: int = 60) -> tuple[Any, int]:
    """Follow the evidence of streams of days; the last one moves by 2.5 standard deviations after `change` days."""
    y = rng.normal(0, 1, (30 + days, runs))
    y[30 + change :, -1] += 2.5
    bets, evidence = RankBets.start(np.ones(runs, dtype=bool)), []
    for t in range(30, 30 + days):
        z = robust_z(y[: t + 1], np.zeros(runs), np.ones(t + 1))
        bets = bets.update(smoothed_rank(np.round(z, 9), rng.random(runs)), t + 1)
        evidence.append(bets.log_values())
    path = np.exp(np.array(evidence))
    return path, int(np.argmax(path[:, -1] >= 365))


def draw() -> None:
    """Write both pictures and print what they show."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "mlopskit", "font.size": 10, "axes.edgecolor": QUIET, "text.color": INK})

    def axes(xlabel: str, ylabel: str) -> Any:
        ax = Figure(figsize=(7.2, 3.6), layout="constrained").subplots()
        ax.spines[["top", "right"]].set_visible(False)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        ax.tick_params(color=QUIET, labelcolor=INK)
        return ax

    shares = looks(np.random.default_rng(0))
    day = np.arange(1, 366)
    ax = axes("days on which nothing changed", "share of runs with a false alarm so far")
    lines = [
        ("p < 0.05, days alike", WARM, (215, 0.74), "a test every day at p < 0.05, days alike"),
        ("p < 0.001, days differ", WARM, (180, 1.05), "a test every day at p < 0.001, days that differ a little"),
        ("p < 0.001, days alike", WARM, (250, 0.16), "a test every day at p < 0.001, days alike"),
        ("ranks, days alike", COOL, (250, -0.065), "ranks that bet, either kind of days"),
        ("ranks, days differ", COOL, None, ""),
    ]
    for name, colour, at, label in lines:
        ax.plot(day, shares[name], color=colour, lw=2)
        if at:
            ax.annotate(label, at, ha="center", color=colour)
    ax.plot(day, day / 3650, color=COOL, lw=1, ls="--")
    ax.set(xlim=(0, 370), ylim=(-0.1, 1.13))
    ax.figure.savefig(FOLDER / "looks.svg", metadata={"Date": None})

    path, found = streams(np.random.default_rng(2))
    ax = axes("days since the reference", "evidence M (logarithmic)")
    ax.semilogy(np.arange(1, 91), path[:, :-1], color=QUIET, lw=0.6, alpha=0.7)
    ax.semilogy(np.arange(1, 91), path[:, -1], color=COOL, lw=2)
    ax.axhline(365, color=INK, lw=1, ls="--")
    ax.axvline(60.5, color=WARM, lw=1)
    ax.annotate(
        "the limit A = 365", (88, 365), xytext=(0, -12), textcoords="offset points", ha="right", backgroundcolor="white"
    )
    ax.annotate("the change", (60.5, 0.3), xytext=(-4, 0), textcoords="offset points", ha="right", color=WARM)
    ax.plot(found + 1, path[found, -1], "o", color=COOL)
    ax.annotate(
        "alarm", (found + 1, path[found, -1]), xytext=(-8, 4), textcoords="offset points", ha="right", color=COOL
    )
    ax.set(ylim=(0.2, 1e7))
    ax.figure.savefig(FOLDER / "evidence.svg", metadata={"Date": None})
    for name, share in shares.items():
        print(f"{name}: {share[29]:.3f} of the runs within 30 days, {share[-1]:.3f} within 365")
    print(f"alarm {found + 1 - 60} days after the change; quiet streams over 365: {(path[:, :-1] >= 365).any(0).sum()}")


if __name__ == "__main__":
    draw()
