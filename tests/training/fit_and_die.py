"""Runs a fit in a process of its own and kills it with SIGKILL at the first word of a stage.

Usage: python fit_and_die.py DATASET OUT STAGE COUNT. COUNT: how often the stage is told of before the kill. STAGE "-"
lives to the end.
"""

import os
import signal
import sys
from pathlib import Path

from mmrec.runtime.progress import NoProgress
from mmrec.training import fit_dataset
from tests.conftest import quick_fit


class Deadly(NoProgress):
    def __init__(self, stage: str, count: int) -> None:
        self.stage = stage
        self.count = count
        self.current = ""

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        self.current = stage
        print(stage, flush=True)

    def advance(self, n: int = 1) -> None:
        if self.stage in self.current:
            self.count -= 1
            if self.count < 0:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    dataset, out, stage, count = sys.argv[1:]
    fit_dataset(Path(dataset), Path(out), quick_fit(), Deadly(stage, int(count)))
