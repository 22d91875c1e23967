"""Runs benchmarks: ``python -m benchmarks [NAME ...] [--quick]``."""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path

from benchmarks.options import Options

BENCHMARKS = {
    "decode": "constrained generation beside Hugging Face generate, by size of the catalogue, with filters",
    "decode-gpu": "a 1.7B LLM and a search of 256 beams by CUDA graphs beside SID-GR's figures (needs a GPU)",
    "upserts": "recommendations while 10,000 items come into a catalogue of 1,000,000",
    "scale": "recommendations with every channel by size of the catalogue, and two stages beside exact ranking",
    "fit-growth": "the stages of a fit by size of the catalogue",
    "service": "the service under load: saturation with and without batches, half of it, twice it",
    "endurance": "a server under 30 minutes of load, 10,000 connections, kills and changes of version, in pieces",
    "transport": "what a call costs beside the engine: the service, gRPC without one, front ends",
    "embed": "mmrec embed from JPEG files beside the bare forward pass, infinity-emb and plain loops",
    "texts": "mmrec's text path beside SentenceTransformer.encode",
    "vector-search": "search, recall and memory from 10,000 to 1,000,000 items beside plain faiss",
    "fashion": "adapt, zero-shot labels, fill-in and duplicates on product photographs (data folder)",
    "quality": "recommendation quality with floors, ablations, cold items and peers, in pieces (data folder)",
    "heads": "forms of the semantic-ID head on one trained LLM (after quality's beauty-seed-0)",
    "tokenizers": "semantic IDs by every tokenizer: collisions, use of codes, sense of prefixes (data folder)",
    "language": "constraints from words and other language figures, in pieces (some need the data folder)",
}
"""Module of the same name (a hyphen becomes an underscore), which has ``run(options)``."""
BY_DEFAULT = ("decode", "service")
"""What runs when nothing is named; the others take many minutes or need a data folder."""


def main() -> None:
    """Read the command line and run what it names, one after the other."""
    default = Options()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure, print, and store under benchmarks/results; a run that was cut short goes on.",
        epilog="\n".join(f"  {name:14} {what}" for name, what in BENCHMARKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one or more of the names below; none: {' '.join(BY_DEFAULT)}"
    )
    parser.add_argument("--device", default=default.device, help="auto, cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="small sizes: a rehearsal that stores no result")
    parser.add_argument("--fresh", action="store_true", help="do not go on with the rows of a run that was cut short")
    parser.add_argument("--threads", type=int, default=default.threads, help="of every contender; default: every core")
    parser.add_argument("--data", type=Path, default=default.data, help="folder of the real data sets")
    parser.add_argument("--adapted", type=Path, help="folder written by mmrec adapt, instead of adapting here")
    parser.add_argument("--dictionary", type=Path, default=default.dictionary, help="WordNet's database files")
    parser.add_argument("--peers", type=Path, default=default.peers, help="environment with requirements-peers.txt")
    parser.add_argument("--seeds", type=int, default=default.seeds, help="trainings that are averaged")
    parser.add_argument(
        "--side-seeds", type=int, default=default.side_seeds, help="quality: of ablations, cold starts and peers"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PIECE",
        help="quality, language, endurance: only this piece, or those of a pattern such as 'beauty-*'; table: none",
    )
    parser.add_argument("--publish", action="store_true", help="quality: store the tables though pieces are missing")
    parser.add_argument("--any-sources", action="store_true", help="quality: take pieces that other sources measured")
    parser.add_argument(
        "--peer-minutes", type=float, default=default.peer_minutes, help="quality: most minutes to train a peer"
    )
    given = vars(parser.parse_args())
    names = given.pop("names") or BY_DEFAULT
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no benchmark is called {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    given["peers"] = given["peers"].absolute()
    given["only"] = tuple(given["only"])
    options = Options(**given)
    for name in names:
        start = time.monotonic()
        importlib.import_module(f"benchmarks.{name.replace('-', '_')}").run(options)
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
