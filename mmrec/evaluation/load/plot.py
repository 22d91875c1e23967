"""Plot of loads: the course second by second, and the distribution of latencies."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from mmrec.evaluation.load.outcomes import OK, REFUSED, LoadResult
from mmrec.evaluation.plots import COLOURS
from mmrec.runtime.files import replace_file


def draw_load(results: Sequence[LoadResult], path: Path) -> None:
    """Write the plot as a PNG.

    Args:
        results: Loads that were sent one after the other, at least one.
        path: The PNG file.
    """
    # Without pyplot, whose global state is unsafe in servers and tests.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    course, spread = figure.subplots(1, 2)
    first = 0
    for number, result in enumerate(results):
        ends = list(range(first, first + len(result.by_second)))
        first += len(ends)
        others = {code for code in result.codes if code not in (OK, REFUSED)}
        lines = (("answered", {OK}), ("refused", {REFUSED}), ("other", others))
        for place, (label, codes) in enumerate(lines):
            counts = [sum(second.get(code, 0) for code in codes) for second in result.by_second]
            course.plot(ends, counts, ".-", color=COLOURS[place], label=None if number else label)
        sent = [result.load.rate] * len(ends)
        course.plot(ends, sent, "--", color="#888888", lw=1, label=None if number else "sent")
        below = [bucket.below_ms for bucket in result.histogram]
        shares = [done / result.accepted.calls for done in accumulate(bucket.calls for bucket in result.histogram)]
        if below:
            colour = COLOURS[number % len(COLOURS)]
            spread.step(below, shares, where="post", color=colour, label=f"{result.load.rate:g} a second")
    course.set(xlabel="second", ylabel="calls that ended", ylim=(0, None))
    spread.set(xlabel="latency of answers, ms", ylabel="share of them", xscale="log", ylim=(0, 1.02))
    for axes in (course, spread):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: figure.savefig(temporary, format="png", dpi=110))
