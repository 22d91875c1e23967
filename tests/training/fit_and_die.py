"""Runs one fit again and again and kills it with SIGKILL at the first word of a stage.

Usage: python fit_and_die.py DATASET OUT STAGE:COUNT... COUNT: how often the stage is told of before the kill. Each fit
is a process forked from this one, which has loaded everything and computed nothing. The last one lives to the end.
Prints a JSON line for each: how it ended, whether a bundle is there, and the stages it went through.
"""

import json
import sys
from functools import partial
from pathlib import Path

from mmrec.bundle import open_bundle
from mmrec.errors import MmrecError
from mmrec.runtime.progress import NoProgress
from mmrec.training import fit_dataset
from tests.children import die, end_of
from tests.conftest import quick_fit


class Deadly(NoProgress):
    def __init__(self, told: Path, stage: str, count: int) -> None:
        self.told = told
        self.stage = stage
        self.count = count
        self.current = ""

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        self.current = stage
        with self.told.open("a") as file:
            file.write(f"{stage}\n")

    def advance(self, n: int = 1) -> None:
        if self.stage in self.current:
            self.count -= 1
            if self.count < 0:
                die()


def is_there(bundle: Path) -> bool:
    try:
        return bool(open_bundle(bundle))
    except MmrecError:
        return False


if __name__ == "__main__":
    dataset, out = map(Path, sys.argv[1:3])
    for kill in (*sys.argv[3:], "nothing of this name:0"):
        stage, _, count = kill.partition(":")
        told = out.with_name("stages.txt")
        told.write_text("")
        ended = end_of(partial(fit_dataset, dataset, out, quick_fit(), Deadly(told, stage, int(count))))
        line = {"kill": kill, "ended": ended, "bundle": is_there(out), "stages": told.read_text().splitlines()}
        print(json.dumps(line), flush=True)
