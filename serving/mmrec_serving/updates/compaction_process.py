"""The process that compacts changes for a server; its arguments are the bundle folder and the store folder.

It runs at the lowest priority with one torch thread, reads the store and writes the bundle. Before publishing it
announces the new catalogue version as a line of JSON on stdout, and waits for a line on stdin, which the server sends
when the store has recorded it; when the server has ended, none comes and nothing is published. The last line states
what was published, or why nothing was.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path

from mmrec.errors import MmrecError, UnavailableError
from mmrec_serving.change_log import SqliteChangeReader, StoreFolder
from mmrec_serving.updates.child_process import say

_LOWEST_PRIORITY = 19


def main() -> None:
    """Compact the store and bundle of the arguments."""
    os.nice(_LOWEST_PRIORITY)
    bundle, store = map(Path, sys.argv[1:])
    try:
        with SqliteChangeReader(StoreFolder(store)) as reader:
            import torch

            from mmrec_serving.updates.compaction import fold

            torch.set_num_threads(1)
            folded = fold(bundle, reader, _announce)
        say({"done": None if folded is None else asdict(folded)})
    except MmrecError as err:
        say({"error": err.message})
        sys.exit(err.exit_code)


def _announce(catalogue: str, upto: int) -> None:
    say({"announce": catalogue, "upto": upto})
    if not sys.stdin.readline():
        raise UnavailableError("the server that asked for this has ended")
