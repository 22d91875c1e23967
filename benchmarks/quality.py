"""Recommendation quality: everything fused, its parts, its floors, its ablations, cold items, and peers, in one run.

Made of pieces (`benchmarks.quality_pieces`), each stored as soon as it is measured; ``--only PIECE`` runs some of them,
and the tables are made of whatever is there.
"""

# Axes: U users, R resamples

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import child
from benchmarks.intervals import RESAMPLES, resample_weights
from benchmarks.options import Options
from benchmarks.quality_peers import run_peer
from benchmarks.quality_pieces import PEERS, VARIANTS, Piece, choose, every_piece, quick_pieces
from benchmarks.quality_sets import EVERY_RATING, SETS, derive, is_cold
from benchmarks.quality_store import COMPUTES, PEER_COMPUTES, Key, Store, load_ranks
from benchmarks.quality_table import (
    COLD_COLUMNS,
    COLUMNS,
    Cells,
    ColdRow,
    QualityRow,
    cold_cells,
    fit_cells,
    quality_cells,
)
from benchmarks.report import Report, digest_of, file_hashes
from mmrec.data.dataset import read_dataset
from mmrec.evaluation.metrics import Ranks

ROWS = {
    "fused": "everything fused",
    "generator": "LLM, both heads",
    "item-head": "item head of the LLM alone",
    "semantic-id-beam": "semantic-ID beam alone",
    "graph-text": "floor: graph, words and popularity, no LLM",
    "transition-graph": "floor: transition graph",
    "lexical": "floor: lexical similarity",
    "content": "content similarity",
    "pair-counts": "floor: pair counts with a logarithm (PCTM)",
    "item-knn": "floor: item-kNN",
    "transitions": "floor: last-item transitions",
    "popularity": "floor: popularity",
}
"""Rows of an evaluation, as the table calls them."""
FIT_COLUMNS = ("fit", "minutes", "of which", "peak GiB", "best epoch", "validation NDCG@10", "must", "met")
MOST_MINUTES, MOST_GIB = 60.0, 8.0


def run(options: Options) -> None:
    """Measure the pieces that are asked for, and make the tables of all that are there."""
    present = [name for name, entry in SETS.items() if (options.data / entry.folder).is_dir()]
    if not present:
        print(f"quality: not run: none of {', '.join(entry.folder for entry in SETS.values())} in {options.data}")
        return
    pieces = quick_pieces() if options.quick else every_piece(options.seeds, options.side_seeds)
    pieces = [piece for piece in pieces if piece.set in present]
    hashes = _hashes(present, options)
    store = _store(hashes, options)
    if options.only != ("table",):
        for piece in choose(pieces, options.only):
            fresh = options.fresh and (not options.only or piece.name in options.only)
            store.measure(piece.name, _sources(piece), partial(_measure, piece, options=options), fresh=fresh)
    _publish(pieces, store, hashes, options)


def bundle_of(name: str, options: Options) -> Path | None:
    """The bundle of a piece that was measured; None if it was not."""
    present = [set_name for set_name, entry in SETS.items() if (options.data / entry.folder).is_dir()]
    bundle = _store(_hashes(present, options), options).folder / name / "bundle"
    return bundle if (bundle / "CURRENT").exists() else None


def _hashes(present: list[str], options: Options) -> dict[str, str]:
    return {
        name: digest
        for set_name in present
        for name, digest in file_hashes(options.data / SETS[set_name].folder, *SETS[set_name].hashed).items()
    }


def _store(hashes: Mapping[str, str], options: Options) -> Store:
    conditions = {"data": hashes, "quick": options.quick, "device": options.device, "threads": options.threads}
    return Store(conditions, any_sources=options.any_sources)


def _sources(piece: Piece) -> str:
    return digest_of(PEER_COMPUTES if piece.variant in PEERS else COMPUTES)[:16]


# --- pieces -----------------------------------------------------------------------------------------------------------


def _measure(piece: Piece, folder: Path, options: Options) -> dict[str, Any]:
    entry = SETS[piece.set]
    source, require = options.data / entry.folder, entry.require
    if options.quick:
        source = derive(source, folder.parent / f"{piece.set}-quick", require=require, users=entry.quick_users)
    if piece.variant in PEERS:
        return run_peer(piece, source, require, folder, options)
    variant = VARIANTS[piece.variant]
    dataset = source
    if variant.hidden or variant.cold:
        items = read_dataset(source, require=require, min_rating=EVERY_RATING).catalogue.item_ids
        cold = [item_id for item_id in items if is_cold(item_id)] if variant.cold else []
        target = folder.parent / f"{piece.set}-{piece.variant}-data"
        dataset = derive(source, target, require=require, hidden=variant.hidden, without_events_of=cold)
    # What was required is already done in a folder that was derived.
    needed = require if dataset == source else ""
    bundle = folder / "bundle"

    def fit() -> dict[str, Any]:
        print(f"quality: {piece.name}: progress in {folder / 'fit.log'}", flush=True)
        return child.call(
            "benchmarks.quality_fit:fit",
            options.threads,
            as_command=True,
            dataset=str(dataset),
            bundle=str(bundle),
            ranks=str(folder / "ranks.npz"),
            log=str(folder / "fit.log"),
            device=options.device,
            seed=piece.seed,
            encoders_from=str(folder.parent / piece.needs / "bundle") if piece.needs else "",
            require=needed,
            ids=variant.ids,
            content=variant.content,
            quick=options.quick,
        )

    row = {"fit": _once(folder / "fit.json", fit)}
    print(f"quality: {piece.name}: fitted in {sum(row['fit']['seconds'].values()) / 60:.1f} minutes", flush=True)
    shared = {"bundle": str(bundle), "device": options.device}
    if variant.cold:
        row["cold"] = child.call(
            "benchmarks.quality_cold:ask",
            options.threads,
            as_command=True,
            dataset=str(source),
            require=require,
            ranks=str(folder / "cold.npz"),
            **shared,
        )
    elif piece.variant == "whole":
        row["without"] = child.call(
            "benchmarks.quality_fit:without_parts",
            options.threads,
            as_command=True,
            ranks=str(folder / "without.npz"),
            **shared,
        )
    return row


def _once(path: Path, work: Any) -> dict[str, Any]:
    """What `work` gives, kept in a file, so that what follows it may be cut short without losing it."""
    if not path.exists():
        path.write_text(json.dumps(work()), encoding="utf-8")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


# --- tables -----------------------------------------------------------------------------------------------------------


def _publish(pieces: list[Piece], store: Store, hashes: Mapping[str, str], options: Options) -> None:
    records = {piece: record for piece in pieces if (record := store.find(piece.name, _sources(piece)))}
    missing = [piece.name for piece in pieces if piece not in records]
    if not records:
        print("quality: nothing is measured yet")
        return
    rehearsal = options.quick or bool(missing and not options.publish)
    notes = []
    if missing:
        notes.append(f"Not measured yet: {', '.join(missing)}.")
    commits = sorted({record["commit"] for record in records.values()})
    if len(commits) > 1:
        notes.append(f"Pieces were measured at several commits: {', '.join(commits)}; the JSON says which at which.")
    shared: dict[str, Any] = {"data": hashes, "versions": _peer_versions(records), "rehearsal": rehearsal}
    provenance = {piece.name: {k: v for k, v in record.items() if k != "row"} for piece, record in records.items()}
    warm = list(_warm_cells(records, store))
    if warm:
        Report(
            "quality",
            "One default configuration for both sets. Leave-one-out: each user's last event is the test, the one "
            "before it the validation; everything is learned from the others, weights of channels from validation "
            "events. Whole catalogue, seen items removed (and, where it says so, kept); ties are shared fairly. Means "
            f"over seeds with a 95% bootstrap interval over users ({RESAMPLES} resamples); everything that is trained "
            "varies with the seed, the picture encoder included; differences are paired, on the seeds that both have. "
            "No image, no text, no ids and no content are fits of their own; no transitions, no generator and no "
            "lexical similarity are fits of the weights alone, on the same bundle. Beams are never narrower than the "
            "list.",
            COLUMNS,
            [row.cells for row in warm],
            details={"rows": [row.details for row in warm], "pieces": provenance, "peers": _peers(records)},
            notes=[*_set_notes(records), *_peer_notes(records), *notes],
            **shared,
        ).publish()
    cold = list(_cold_cells(records, store))
    if cold:
        Report(
            "quality-cold-items",
            "A tenth of the items, chosen by a hash of their ids, loses every event before anything is trained; they "
            "stay in the catalogue. Questions are all events of these items, of whatever time, that have another item "
            "before them in the user's history, from which cold items are taken out too. All items but the history's "
            "are ranked. Recall@10 is a mean over questions, its interval (95%, bootstrap) over users. Fused is what "
            "is served: the blend with the weights of the fit, which no cold item had a part in; other rows are its "
            "channels, one by one.",
            COLD_COLUMNS,
            [row.cells for row in cold],
            details={"rows": [row.details for row in cold], "pieces": provenance},
            notes=[*_cold_notes(records), *notes],
            **shared,
        ).publish()
    fits = [
        fit_cells(piece.name, record["row"]["fit"], *((MOST_MINUTES, MOST_GIB) if piece.set == "beauty" else (0, 0)))
        for piece, record in records.items()
        if "fit" in record["row"]
    ]
    if fits:
        Report(
            "quality-fits",
            f"Fits of the quality table, each in a process of its own, {options.threads} thread(s): minutes by stage, "
            "evaluation included, and the most memory the process held.",
            FIT_COLUMNS,
            [row.cells for row in fits],
            details={"fits": [row.details for row in fits]},
            notes=notes,
            **shared,
        ).publish()


def _warm_cells(records: Mapping[Piece, dict[str, Any]], store: Store) -> Iterator[Cells]:
    for set_name in SETS:
        rows: dict[str, QualityRow] = {}

        def add(
            name: str, seed: int, key: str, ranks: Mapping[Key, Ranks], rows: Any = rows, of: str = set_name
        ) -> None:
            row = rows.setdefault(name, QualityRow(of, name, {}, {}))
            row.removed[seed] = ranks[key, "removed"]
            if (key, "kept") in ranks:
                row.kept[seed] = ranks[key, "kept"]

        own = {piece: record for piece, record in records.items() if piece.set == set_name}
        for piece in own:
            if piece.variant == "whole":
                found = load_ranks(store.folder / piece.name / "ranks.npz")
                for key, name in ROWS.items():
                    if (key, "removed") in found:
                        add(name, piece.seed, key, found)
        for piece in own:
            if piece.variant == "whole":
                found = load_ranks(store.folder / piece.name / "without.npz")
                for key, _ in found:
                    add(key, piece.seed, key, found)
        for piece in own:
            if piece.variant in VARIANTS and piece.variant != "whole" and not VARIANTS[piece.variant].cold:
                found = load_ranks(store.folder / piece.name / "ranks.npz")
                add(VARIANTS[piece.variant].row, piece.seed, "fused", found)
                if not VARIANTS[piece.variant].hidden:
                    add(f"{VARIANTS[piece.variant].row}: item head alone", piece.seed, "item-head", found)
        for piece in own:
            if piece.variant in PEERS:
                found = load_ranks(store.folder / piece.name / "ranks.npz")
                add(f"peer: {PEERS[piece.variant]}", piece.seed, piece.variant, found)
        if not rows:
            continue
        questions = len(next(iter(next(iter(rows.values())).removed.values())).above_Q)
        weights_RU = resample_weights(questions)
        fused = rows.get("everything fused")
        for row in rows.values():
            yield quality_cells(row, None if row is fused else fused, weights_RU)


def _cold_cells(records: Mapping[Piece, dict[str, Any]], store: Store) -> Iterator[Cells]:
    for set_name in SETS:
        rows: dict[tuple[str, str], ColdRow] = {}
        for piece, record in records.items():
            if piece.set != set_name or "cold" not in record["row"]:
                continue
            answer = record["row"]["cold"]
            contender = VARIANTS[piece.variant].row if SETS[set_name].pictures else "words only"
            users_Q = np.array(answer["users"], np.int64)
            for (name, _), ranks in load_ranks(store.folder / piece.name / "cold.npz").items():
                empty = ColdRow(set_name, contender, name, {}, users_Q, answer["chance"])
                rows.setdefault((contender, name), empty).ranks[piece.seed] = ranks
        if not rows:
            continue
        weights_RU: npt.NDArray[np.int64] = resample_weights(len(np.unique(next(iter(rows.values())).users_Q)))
        fused = rows.get(("fused", "fused"))
        for row in rows.values():
            yield cold_cells(row, None if row is fused else fused, weights_RU)


def _set_notes(records: Mapping[Piece, dict[str, Any]]) -> list[str]:
    found = {}
    for piece, record in records.items():
        if piece.variant == "whole":
            fit = record["row"]["fit"]
            required = f" (items with a {SETS[piece.set].require})" if SETS[piece.set].require else ""
            found[piece.set] = (
                f"{piece.set} is {SETS[piece.set].folder}{required}: {fit['questions']:,} users asked, "
                f"{fit['items']:,} items."
            )
    return list(found.values())


def _cold_notes(records: Mapping[Piece, dict[str, Any]]) -> list[str]:
    found = {}
    for piece, record in records.items():
        if "cold" in record["row"]:
            answer = record["row"]["cold"]
            found[piece.set] = (
                f"{piece.set}: {answer['cold_items']:,} cold items of {answer['items']:,}, {answer['questions']:,} "
                f"questions; a blind ranking has {answer['chance']:.5f}."
            )
    return list(found.values())


def _peers(records: Mapping[Piece, dict[str, Any]]) -> dict[str, Any]:
    return {piece.name: record["row"] for piece, record in records.items() if piece.variant in PEERS}


def _peer_notes(records: Mapping[Piece, dict[str, Any]]) -> list[str]:
    notes = []
    for piece, record in records.items():
        if piece.variant not in PEERS:
            continue
        row = record["row"]
        minutes = ", ".join(f"{name} {value:.1f}" for name, value in row["minutes"].items())
        end = (
            f"cut after {row['minutes_allowed']:g} minutes, before it stopped by itself"
            if row["cut"] or row["minutes"]["train"] >= row["minutes_allowed"]
            else "stopped by itself"
        )
        notes.append(
            f"{piece.name}: {PEERS[piece.variant]}, given {row['given']}; minutes: {minutes}; best epoch "
            f"{row['best_epoch']} of {row['epochs']}; {end}."
        )
    return notes


def _peer_versions(records: Mapping[Piece, dict[str, Any]]) -> dict[str, str]:
    versions: dict[str, str] = {}
    for record in records.values():
        versions |= record["row"].get("versions", {})
    return versions
