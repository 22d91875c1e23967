"""The engine's process of ``mmrec serve --front-ends``.

What is large is imported before the order comes, so that a process that waits in reserve is ready soon after it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from typing import Any

from mmrec.cli.engines import recommender_loader
from mmrec.cli.options import Compute, Writing
from mmrec.cli.serve import SWITCH_INTERVAL_S
from mmrec_serving.config import ServerConfig
from mmrec_serving.processes import run_ordered


def main() -> None:
    """Import, wait for the order, and serve."""
    gc.disable()  # the imports make a million objects that stay
    from mmrec_serving.server import Server

    gc.freeze()
    gc.enable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)

    def make(order: Mapping[str, Any], config: ServerConfig) -> Callable[[], Server]:
        load = recommender_loader(order["bundle"], Compute(**order["compute"]), Writing(**order["writing"]))
        return lambda: Server(load, config)

    run_ordered(make)
