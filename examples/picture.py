"""The year in one picture: the loss of the live and the never-retrained model, alarms, promotions and the fault."""

from pathlib import Path

import pandas as pd
from matplotlib.dates import ConciseDateFormatter, MonthLocator
from matplotlib.figure import Figure

from diary import Diary


def draw(diary: Diary, fault: tuple[str, str], path: Path) -> None:
    """Save the picture of what the diary holds."""
    days = diary.frame()
    marks = {kind: diary.moments(kind) for kind in ("drift alarm", "promoted", "refused")}
    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.subplots()
    smooth = days[["live", "never"]].rolling(7, center=True, min_periods=3).mean()
    axes.plot(smooth.index, smooth["never"], color="#b0b0b0", lw=1.8, label="never retrained (7-day mean)")
    axes.plot(smooth.index, smooth["live"], color="#1f5fa8", lw=1.8, label="live model (7-day mean)")
    axes.scatter(days.index, days["live"], s=5, color="#1f5fa8", alpha=0.35, label="live model, each day")
    axes.axvspan(*(pd.Timestamp(day) for day in fault), color="#d9480f", alpha=0.18, lw=0, label="fault: hours in UTC")
    top = axes.get_ylim()[1]
    styles = {"drift alarm": ("v", "#d9480f"), "promoted": ("^", "#2b8a3e"), "refused": ("x", "#555555")}
    for height, (name, moments) in enumerate(marks.items()):
        marker, colour = styles[name]
        level = [top * (1 - 0.045 * height)] * len(moments)
        axes.scatter(moments, level, marker=marker, color=colour, s=45, label=name, clip_on=False)
    axes.set(title="Flights of 2013: is the model still correct?", ylabel="log-loss per day (lower is better)")
    axes.xaxis.set_major_locator(MonthLocator())
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.savefig(path, dpi=110)
