"""How long a server worked on a call, stage by stage, as it tells callers that ask for it.

A call with the metadata ``mmrec-timing: 1`` has the times in its trailing metadata of the same name, in milliseconds
and in the form of HTTP's ``Server-Timing`` (W3C): ``queue;dur=0.412, run;dur=2.108, total;dur=3.950``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TIMING_KEY = "mmrec-timing"
"""Name of the metadata."""
ASKED = (TIMING_KEY, "1")
"""The metadata of a call that asks for its times."""
_TOTAL = "total"
_MS = 1000.0


@dataclass(frozen=True, slots=True)
class CallTiming:
    """What a server spent on one call.

    Attributes:
        method: Full name of the method, ``/package.Service/Method``.
        stages: Seconds by stage: ``arrive`` (the request comes in), ``decode``, ``pictures`` (large ones are decoded),
            ``queue`` (waiting), ``run`` (the work, in a batch with other calls' perhaps), ``word`` (by a language
            model), ``encode``. A stage that comes several times is added up. Those with a point are parts of the one
            before it. Of recommendations: ``run.histories`` (with filters), ``run.encode`` (the LLM reads histories),
            ``run.beam``, ``run.candidates`` (in a catalogue of which every item is ranked, all three together),
            ``run.blend``, ``run.rerank`` and ``run.reply``, each of the whole batch.
        total: Seconds from the call's begin to its end on the server.
    """

    method: str
    stages: Mapping[str, float]
    total: float


OnTiming = Callable[[CallTiming], None]
"""Called with the times of each call, in the thread that made it."""


def timing_text(stages: Mapping[str, float], total: float) -> str:
    """The value of the trailing metadata, from seconds."""
    return ", ".join(f"{name};dur={_MS * seconds:.3f}" for name, seconds in [*stages.items(), (_TOTAL, total)])


def read_timing(method: str, trailer: Iterable[Any] | None) -> CallTiming | None:
    """The times in a call's trailing metadata, pairs of name and value; None where there are none that can be read."""
    text = next((value for key, value in trailer or () if key == TIMING_KEY), None)
    if not isinstance(text, str):
        return None
    try:
        pairs = (entry.strip().split(";dur=") for entry in text.split(","))
        stages = {name: float(number) / _MS for name, number in pairs}
        return CallTiming(method, stages, stages.pop(_TOTAL))
    except (ValueError, KeyError):
        return None


def tell_timing(on_timing: OnTiming | None, method: str, trailer: Iterable[Any] | None) -> None:
    """Call `on_timing` with the times in a call's trailing metadata, where there are both."""
    timing = None if on_timing is None else read_timing(method, trailer)
    if on_timing is not None and timing is not None:
        on_timing(timing)
