"""What the quality table is made of: fits of mmrec, whole or with a part hidden, and fits of peers.

Each piece can be run by itself, in any order. Knows how pieces are called, not how they are run.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.quality_sets import SETS, Hidden


class Variant(NamedTuple):
    """How a fit differs from the default.

    Attributes:
        row: What its row is called.
        hidden: What of the items is hidden from everything.
        ids: Whether the LLM has learned residuals.
        content: Whether the LLM has content tokens.
        cold: Whether a tenth of the items loses its events, to be asked for afterwards.
    """

    row: str
    hidden: Hidden = ""
    ids: bool = True
    content: bool = True
    cold: bool = False


VARIANTS = {
    "whole": Variant("everything fused"),
    "no-ids": Variant("no ids: the LLM knows items by content alone", ids=False),
    "no-content": Variant("no content in the LLM: it knows items by ids alone", content=False),
    "no-image": Variant("no image", hidden="picture"),
    "no-text": Variant("no text, in any channel", hidden="words"),
    "cold": Variant("fused", cold=True),
    "cold-words": Variant("words only", hidden="picture", cold=True),
    "cold-picture": Variant("picture only", hidden="words", cold=True),
}
_PICTURES_ONLY = ("no-image", "cold-words", "cold-picture")
"""Without pictures, these say nothing that another does not."""

PEERS = {
    "sasrec": "SASRec (RecTools)",
    "sasrec-features": "SASRec with categories (RecTools)",
    "hstu": "HSTU, generative (RecTools)",
    "tiger": "TIGER, generative (torch-rechub)",
}
_ONLY_ON = {"tiger": ("beauty",)}
"""Sets of a peer where not all: one pass of TIGER takes a quarter of an hour of one thread, and it is published on
Beauty. HSTU is the generative peer of the others."""


class Piece(NamedTuple):
    """One fit and what is measured of it.

    Attributes:
        set: Of `SETS`.
        variant: Of `VARIANTS`, or a peer of `PEERS`.
        seed: Of everything that is drawn.
        needs: Name of the piece whose encoders it takes; empty for none.
    """

    set: str
    variant: str
    seed: int
    needs: str = ""

    @property
    def name(self) -> str:
        """As ``beauty-seed-0``, ``movielens-no-image-seed-0``."""
        middle = "" if self.variant == "whole" else f"{self.variant}-"
        return f"{self.set}-{middle}seed-{self.seed}"


def every_piece(seeds: int, side_seeds: int) -> list[Piece]:
    """All pieces, the weightiest first.

    Args:
        seeds: Fits of everything.
        side_seeds: Fits of each ablation, cold start and peer; at most `seeds`.
    """
    side = range(min(side_seeds, seeds))
    pieces = [_piece(name, "whole", 0) for name in SETS]
    pieces += [_piece(name, variant, seed) for name in SETS for variant in _side_variants(name) for seed in side]
    pieces += [
        Piece(name, peer, seed) for name in SETS for peer in PEERS if name in _ONLY_ON.get(peer, SETS) for seed in side
    ]
    return pieces + [_piece(name, "whole", seed) for seed in range(1, seeds) for name in SETS]


def quick_pieces() -> list[Piece]:
    """Of a rehearsal: every kind once."""
    chosen = [("beauty", name) for name in ("whole", "no-ids", "no-content", "no-text")]
    chosen += [("movielens", name) for name in ("whole", "cold", "cold-words", "cold-picture")]
    return [_piece(name, variant, 0) for name, variant in chosen] + [
        Piece("beauty", "sasrec-features", 0),
        Piece("beauty", "tiger", 0),
    ]


def choose(pieces: Sequence[Piece], patterns: Sequence[str]) -> list[Piece]:
    """The pieces that are named, in the order of `pieces`, with those they need in front of them; no names: all.

    Args:
        pieces: All there are.
        patterns: Names, or patterns such as ``beauty-*``.

    Raises:
        ValueError: a pattern names none.
    """
    wanted: set[str] = set()
    for pattern in patterns or ("*",):
        found = {piece.name for piece in pieces if fnmatch.fnmatchcase(piece.name, pattern)}
        if not found:
            raise ValueError(
                f"no piece is called {pattern!r}; there are {', '.join(piece.name for piece in pieces)}: name one, or "
                "raise --seeds or --side-seeds for one of a further seed"
            )
        wanted |= found
    by_name = {piece.name: piece for piece in pieces}
    chosen: list[Piece] = []
    for piece in pieces:
        if piece.name in wanted:
            chosen += [other for other in (by_name.get(piece.needs), piece) if other and other not in chosen]
    return chosen


def _side_variants(name: str) -> list[str]:
    return [
        variant for variant in VARIANTS if variant != "whole" and (SETS[name].pictures or variant not in _PICTURES_ONLY)
    ]


def _piece(name: str, variant: str, seed: int) -> Piece:
    # Pictures are encoded by a small CLIP that takes minutes to train and never sees an event: one for all fits of a
    # seed. Other seeds train their own.
    shares = SETS[name].pictures and variant != "whole" and VARIANTS[variant].hidden != "picture"
    return Piece(name, variant, seed, Piece(name, "whole", seed).name if shares else "")
