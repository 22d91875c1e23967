"""Load on a running server: calls that come at planned times, whether or not earlier ones were answered.

In: the address of a server, and a `Load`. Out: a `LoadResult`, and its plot. Knows nothing about servers but their
contract.
"""

from __future__ import annotations

from mmrec.evaluation.load.calls import CALLS as CALLS
from mmrec.evaluation.load.generator import run_load as run_load
from mmrec.evaluation.load.load import Load as Load
from mmrec.evaluation.load.outcomes import Latencies as Latencies
from mmrec.evaluation.load.outcomes import LoadResult as LoadResult
from mmrec.evaluation.load.plot import draw_load as draw_load

__all__ = ["CALLS", "Latencies", "Load", "LoadResult", "draw_load", "run_load"]
