"""The language figures, in pieces: each is a module ``language_PIECE`` with ``run(options)``, chosen by ``--only``."""

from __future__ import annotations

import fnmatch
import importlib

from benchmarks.options import Options

PIECES = (
    "backbones",
    "constraints",
    "conversation",
    "explanations",
    "latency",
    "pictures",
    "pretraining",
    "rating",
    "steering",
    "straightforward",
    "tasks",
    "users",
    "wording",
)
"""What is measured, in this order."""


def run(options: Options) -> None:
    """Run the pieces that `options.only` names, by name or pattern; all of them where it names none."""
    unknown = [only for only in options.only if not fnmatch.filter(PIECES, only)]
    if unknown:
        raise SystemExit(f"language has no piece {unknown[0]!r}; there are {', '.join(PIECES)}")
    for piece in PIECES:
        if not options.only or any(fnmatch.fnmatch(piece, only) for only in options.only):
            importlib.import_module(f"benchmarks.language_{piece}").run(options)
