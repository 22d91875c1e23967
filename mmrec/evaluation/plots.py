"""Plots of figures as SVG. The same values make the same bytes.

Works on plain numbers and labels; knows nothing of what they are. matplotlib is imported when something is drawn.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#2f6db3", "#d9822b", "#4f9a5f", "#a24b9a", "#7d6b57", "#c24848")
WIDTH = 8.0
LONGEST = 64


class Bar(NamedTuple):
    """A value with its interval; `strong` highlights it."""

    label: str
    value: float
    low: float
    high: float
    strong: bool = True


def draw_bars(bars: Sequence[Bar], xlabel: str) -> bytes:
    """Horizontal bars with intervals, the first on top."""

    def draw(axes: Axes) -> None:
        places = range(len(bars))
        colours = [COLOURS[0] if bar.strong else "#9aa7b5" for bar in bars]
        axes.barh(places, [bar.value for bar in bars], color=colours)
        axes.errorbar(
            [bar.value for bar in bars], places, xerr=_sides(bars), fmt="none", ecolor="#333333", capsize=3, lw=1
        )
        _name_rows(axes, [bar.label for bar in bars])
        axes.set_xlabel(_plain(xlabel))

    return _svg(draw, 1.0 + 0.34 * len(bars))


def draw_differences(bars: Sequence[Bar], xlabel: str) -> bytes:
    """Differences with intervals around a line at zero; significant ones are highlighted."""

    def draw(axes: Axes) -> None:
        axes.axvline(0.0, color="#888888", lw=1)
        for place, bar in enumerate(bars):
            colour = COLOURS[0] if bar.strong else "#9aa7b5"
            axes.errorbar([bar.value], [place], xerr=_sides([bar]), fmt="o", color=colour, capsize=3)
        _name_rows(axes, [bar.label for bar in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlabel(_plain(xlabel))

    return _svg(draw, 1.0 + 0.34 * len(bars))


def draw_groups(groups: Sequence[str], series: Mapping[str, Sequence[Bar]], ylabel: str) -> bytes:
    """Bars side by side per group, one colour per series; each series has a bar for every group."""

    def draw(axes: Axes) -> None:
        width = 0.8 / max(1, len(series))
        for place, (name, bars) in enumerate(series.items()):
            left = [group - 0.4 + width * (place + 0.5) for group in range(len(groups))]
            colour = COLOURS[place % len(COLOURS)]
            axes.bar(left, [bar.value for bar in bars], width=width, color=colour, label=_plain(name))
            axes.errorbar(
                left, [bar.value for bar in bars], yerr=_sides(bars), fmt="none", ecolor="#333333", capsize=2, lw=1
            )
        axes.set_xticks(range(len(groups)), [_plain(group) for group in groups])
        axes.set_ylabel(_plain(ylabel))
        axes.legend(frameon=False)

    return _svg(draw, 3.6)


def draw_points(points: Sequence[tuple[str, float, float]], xlabel: str, ylabel: str) -> bytes:
    """Named points."""

    def draw(axes: Axes) -> None:
        axes.scatter([x for _, x, _ in points], [y for _, _, y in points], color=COLOURS[0])
        for name, x, y in points:
            axes.annotate(_plain(name), (x, y), xytext=(5, 3), textcoords="offset points", fontsize=8)
        axes.set_xlabel(_plain(xlabel))
        axes.set_ylabel(_plain(ylabel))
        axes.margins(0.12)

    return _svg(draw, 4.2)


def draw_curves(
    xs: Sequence[float], curves: Mapping[str, Sequence[float]], mark: float | None, xlabel: str, ylabel: str
) -> bytes:
    """Lines over the same whole numbers, and a dashed line at `mark`."""

    from matplotlib.ticker import MaxNLocator

    def draw(axes: Axes) -> None:
        for place, (name, ys) in enumerate(curves.items()):
            axes.plot(xs, ys, color=COLOURS[place % len(COLOURS)], marker=".", label=_plain(name))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if mark is not None:
            axes.axvline(mark, color="#888888", lw=1, ls="--")
        axes.set_xlabel(_plain(xlabel))
        axes.set_ylabel(_plain(ylabel))
        axes.legend(frameon=False)

    return _svg(draw, 3.2)


def _svg(draw: Callable[[Axes], None], height: float) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    # Text becomes outlines, independent of installed fonts; the salt makes the ids of clip paths deterministic.
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "mmrec", "font.size": 9}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        draw(axes)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _name_rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), [_plain(label) for label in labels])
    axes.invert_yaxis()


def _sides(bars: Sequence[Bar]) -> list[list[float]]:
    # By rounding, a bootstrap interval may exclude its own value.
    below = [max(0.0, bar.value - bar.low) for bar in bars]
    above = [max(0.0, bar.high - bar.value) for bar in bars]
    return [below, above]


def _plain(text: str) -> str:
    """A label for matplotlib: dollar signs are no formula, a leading ``_`` does not hide it, long ones are cut."""
    text = text if len(text) <= LONGEST else f"{text[: LONGEST // 2 - 2]}...{text[-LONGEST // 2 + 2 :]}"
    shown = text.replace("\\", "/").replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
