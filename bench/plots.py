"""A plot of each case: every round of both sides as a dot, the medians as lines. It measures nothing."""

import statistics
from pathlib import Path

import matplotlib

from bench.quantities import Quantity
from bench.report import Result

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "sccachedist"  # the same numbers give the same file

from matplotlib import pyplot  # noqa: E402 - the backend comes first
from matplotlib.axes import Axes  # noqa: E402

_COLOURS = {"published": "#b7410e", "ours": "#1f6f8b"}


def plot(result: Result, folder: Path) -> None:
    """Write a case's SVG."""
    figure, frames = pyplot.subplots(1, len(result.rows), figsize=(2.6 * len(result.rows), 3), squeeze=False)
    for frame, row in zip(frames[0], result.rows, strict=True):
        _draw(frame, row)
    figure.tight_layout()
    figure.savefig(folder / f"{result.name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def _draw(frame: Axes, row: Quantity) -> None:
    for at, (name, values) in enumerate((("published", row.published), ("ours", row.ours))):
        if values:
            frame.plot([at] * len(values), values, "o", color=_COLOURS[name], alpha=0.5)
            frame.hlines(statistics.median(values), at - 0.25, at + 0.25, color=_COLOURS[name])
    frame.set_xticks([0, 1], ["published", "ours"])
    frame.set_xlim(-0.6, 1.6)
    frame.set_ylim(bottom=0)
    frame.set_title(row.name, fontsize=8, wrap=True)
    frame.set_ylabel(row.unit)
