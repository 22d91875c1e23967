"""Constrained generation: beside Hugging Face `generate`, by size of the catalogue, with filters, and the constraint.

Models are of one shape with random weights; four tables, each comparing within the same run.
"""

# Axes: N items, P codes of a path, B requests, T history places, H hidden width

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.decode_pairs import count_violations
from benchmarks.decode_peer import LanguageModelScorer, SpelledCodes
from benchmarks.measuring import milliseconds
from benchmarks.options import Options
from benchmarks.report import Report, gpu_suffix
from benchmarks.rows import Rows
from mmrec.catalogue.catalogue import Catalogue
from mmrec.filters.filter import CatalogueFilter
from mmrec.filters.mask import EligibilityMask
from mmrec.generator.batches import pad_histories
from mmrec.generator.beam import beam_search
from mmrec.generator.config import GeneratorConfig, PathKeys
from mmrec.generator.item_tokens import ItemTable
from mmrec.generator.model import Generator
from mmrec.generator.semantic_id_head import NodeKeys
from mmrec.runtime.device import resolve_device
from mmrec.semantic_ids.decode_index import Children, DecodeIndex, build_decode_index
from mmrec.semantic_ids.eligibility import Eligibility, eligible
from mmrec.semantic_ids.path_search import PathResult, search_paths
from mmrec.semantic_ids.semantic_ids import assign_semantic_ids

ITEMS, HISTORY, CODES, LEVELS, BEAM = 12_000, 50, 256, 3, 50
HIDDEN, LAYERS, HEADS = 128, 4, 4
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
FILTERED = 1_000_000
PAIRS = 1_000_000
PEER_TIMES = {1: 60.0, 16: 200.0}
"""How many times the peer's requests per second are asked for, by batch."""
MOST_SHARE, MOST_GROWTH, MOST_BYTES, MOST_FILTER = 0.02, 1.5, 100.0, 3.0
MOST_BUILD = {1_000_000: 10.0, 10_000_000: 120.0}
"""Seconds."""


class _Shop(NamedTuple):
    """A catalogue of random paths, its index, and a generator with random weights."""

    paths_NP: npt.NDArray[np.int32]
    index: DecodeIndex
    build_seconds: float
    model: Generator
    tokens_NH: Tensor
    keys: NodeKeys
    device: torch.device

    def histories(self, batch: int, seed: int = 0) -> list[npt.NDArray[np.int32]]:
        # Tokens of the first items stand for all: what is measured does not depend on which they are.
        rng = np.random.default_rng(seed)
        return [rng.integers(0, len(self.tokens_NH), HISTORY).astype(np.int32) for _ in range(batch)]

    @torch.inference_mode()
    def recommend(
        self,
        histories: list[npt.NDArray[np.int32]],
        places: npt.NDArray[np.int32],
        within: list[EligibilityMask | None] | None = None,
    ) -> PathResult:
        """A request as it is served: read the histories, leave out what was seen, search, bring the result back."""
        history, valid = pad_histories(histories, HISTORY)
        memory = self.model.read(history.to(self.device), valid.to(self.device), self.tokens_NH)
        allowed = eligible(self.index, [places[history] for history in histories], within)
        found = beam_search(self.model.semantic_id_head, memory, allowed, self.index, self.keys, width=BEAM)
        return PathResult(found.items_BW.cpu(), found.log_probs_BW.cpu())


def run(options: Options) -> None:
    """Measure all and publish the tables."""
    where = resolve_device(options.device)
    torch.set_num_threads(options.threads)
    sizes = SIZES[:2] if options.quick else SIZES
    rows = Rows("decode", options, {"sizes": sizes})
    suffix = gpu_suffix(str(where))
    shape = (
        f"{LAYERS} layers, {HIDDEN} wide, histories of {HISTORY}, beam {BEAM}, float32 on {where}, {options.threads} "
        "threads; what was seen is left out"
    )
    if where.type == "cuda":
        shape += "; without CUDA graphs; the limits are those that are asked of two CPU cores"
    _peer_table(rows, options, where, suffix, shape)
    _constraint_table(rows, options, where, suffix, shape)
    _growth_table(rows, options, where, suffix, shape, sizes)
    _filter_table(rows, options, where, suffix, shape)
    rows.finish()


# --- beside generate --------------------------------------------------------------------------------------------------


def _peer_table(rows: Rows, options: Options, where: torch.device, suffix: str, shape: str) -> None:
    measured = [rows.measure(f"batch {batch}", partial(_beside_peer, batch, where)) for batch in (1, 16)]
    same = rows.measure("same scores", partial(_same_scores, where))
    Report(
        f"decode{suffix}",
        f"{ITEMS:,} items, {LEVELS + 1} codes, {shape}. Peer: transformers' `generate` with "
        "`prefix_allowed_tokens_fn`, the same backbone, histories spelled in codes. Median of 100 (peer: 3) "
        "after a warm-up.",
        ("batch", "mmrec ms", "mmrec requests/s", "generate ms", "generate requests/s", "times", "must", "met"),
        [tuple(row["cells"]) for row in measured],
        notes=[
            f"Given the peer's model and its scores, mmrec's search returns the peer's items in {same['same']} of "
            f"{same['of']} lists of {BEAM} ({same['shared']:.4f} of all items are shared)."
        ],
        details={"same_scores": same},
        rehearsal=options.quick,
    ).publish()


def _beside_peer(batch: int, where: torch.device) -> dict[str, Any]:
    shop = _shop(ITEMS, where)
    peer = SpelledCodes(shop.paths_NP, hidden=HIDDEN, layers=LAYERS, heads=HEADS, device=where)
    histories = shop.histories(batch)
    places = shop.index.place_of_rows(ITEMS).cpu().numpy()
    fast = statistics.median(milliseconds(lambda _: shop.recommend(histories, places), repeats=100))
    slow = statistics.median(milliseconds(lambda _: peer.generate(histories, BEAM), repeats=3))
    times = slow / fast
    must = PEER_TIMES[batch]
    cells = (batch, fast, 1000 * batch / fast, slow, 1000 * batch / slow, times, f">= {must:.0f}", times >= must)
    return {"cells": cells}


def _same_scores(where: torch.device) -> dict[str, Any]:
    shop = _shop(ITEMS, where)
    peer = SpelledCodes(shop.paths_NP, hidden=HIDDEN, layers=LAYERS, heads=HEADS, device=where, sharpness=8.0)
    lists, same, shared = 4, 0, 0.0
    for seed in range(lists):
        histories = shop.histories(1, seed)
        scorer = LanguageModelScorer(peer, histories, shop.index)
        found = search_paths(scorer, eligible(shop.index, [[]]), shop.index, width=BEAM).items_BW[0].tolist()
        theirs = peer.generate(histories, BEAM)[0]
        same += found == theirs
        shared += len(set(found) & set(theirs)) / BEAM / lists
    return {"same": same, "of": lists, "shared": shared}


# --- what the constraint costs ----------------------------------------------------------------------------------------


class _Timed:
    """Seconds spent in what it wraps."""

    def __init__(self, device: torch.device) -> None:
        self.seconds, self._device = 0.0, device

    def __call__(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            _wait(self._device)
            start = time.perf_counter()
            result = work(*args, **named)
            _wait(self._device)
            self.seconds += time.perf_counter() - start
            return result

        return timed


def _constraint_table(rows: Rows, options: Options, where: torch.device, suffix: str, shape: str) -> None:
    table = []
    for items in (ITEMS, 100_000 if options.quick else 1_000_000):
        for filtered in (False, True):
            label = f"constraint, {items:,} items{', a filter each' if filtered else ''}"
            table.append(tuple(rows.measure(label, partial(_constraint, items, filtered, where))["cells"]))
    Report(
        f"decode-constraint{suffix}",
        f"Batch 16, {shape}. Of the time of a search's {LEVELS + 1} steps (decoder, scores, constraint, selection): "
        "what closing nodes takes (the constraint), what is done once for a batch of requests (from what was seen to "
        "the nodes that are closed), and what finding children takes, which any search over a tree needs. "
        "Median of 20.",
        (
            "items",
            "filter",
            "step ms",
            "constraint ms a step",
            "share",
            "must",
            "met",
            "once ms",
            "children ms a step",
        ),
        table,
        rehearsal=options.quick,
    ).publish()


def _constraint(items: int, filtered: bool, where: torch.device) -> dict[str, Any]:
    shop = _shop(items, where, keys="nodes" if items <= ITEMS else "codes")
    histories = shop.histories(16)
    places = shop.index.place_of_rows(items).cpu().numpy()
    rng = np.random.default_rng(1)
    within = [EligibilityMask(rng.random(items) < 0.3) for _ in range(16)] if filtered else None
    with torch.inference_mode():
        history, valid = pad_histories(histories, HISTORY)
        memory = shop.model.read(history.to(where), valid.to(where), shop.tokens_NH)
    figures = []
    for _ in range(21):
        once, closing, finding = _Timed(where), _Timed(where), _Timed(where)
        left_out = [places[history] for history in histories]
        allowed = once(eligible)(shop.index, left_out, within)
        timed = _TimedEligibility(*allowed)
        timed_index = _TimedIndex(*shop.index)
        timed.timer, timed_index.timer = closing, finding
        _wait(where)
        start = time.perf_counter()
        beam_search(shop.model.semantic_id_head, memory, timed, timed_index, shop.keys, width=BEAM)
        _wait(where)
        search = time.perf_counter() - start
        figures.append((search, once.seconds, closing.seconds, finding.seconds))
    search, once_s, closing_s, finding_s = (statistics.median(values) for values in zip(*figures[1:], strict=True))
    steps = LEVELS + 1
    share = closing_s / search
    cells = (
        items,
        "3 in 10 pass, one filter per request" if filtered else "none",
        1000 * search / steps,
        1000 * closing_s / steps,
        f"{share:.2%}",
        "" if filtered else f"<= {MOST_SHARE:.0%}",
        "" if filtered else share <= MOST_SHARE,
        1000 * once_s,
        1000 * finding_s / steps,
    )
    return {"cells": cells}


class _TimedEligibility(Eligibility):
    timer: _Timed

    def close_(self, scores_BX: Tensor, nodes_BW: Tensor, children: Children, depth: int, index: DecodeIndex) -> None:
        self.timer(super().close_)(scores_BX, nodes_BW, children, depth, index)


class _TimedIndex(DecodeIndex):
    timer: _Timed

    def children(self, nodes: Tensor, depth: int, *, tight: bool = False) -> Children:
        found: Children = self.timer(super().children)(nodes, depth, tight=tight)
        return found


# --- by size ----------------------------------------------------------------------------------------------------------


def _growth_table(
    rows: Rows, options: Options, where: torch.device, suffix: str, shape: str, sizes: tuple[int, ...]
) -> None:
    table, first = [], {}
    for items in sizes:
        row = rows.measure(f"{items:,} items", partial(_growth, items, where))
        first = first or row
        growth = [row[name] / first[name] for name in ("one", "sixteen")]
        built = MOST_BUILD.get(items)
        table.append(
            (
                items,
                row["one"],
                growth[0],
                row["sixteen"],
                growth[1],
                f"<= {MOST_GROWTH}",
                max(growth) <= MOST_GROWTH,
                row["bytes"],
                row["bytes"] <= MOST_BYTES,
                row["build"],
                "" if built is None else row["build"] <= built,
            )
        )
    Report(
        f"decode-growth{suffix}",
        f"Whole requests by size of the catalogue; {shape}; {CODES} codes on each of {LEVELS} levels and one for "
        "collisions, drawn at random; nodes known by their codes. Median of 20. The index must take at most "
        f"{MOST_BYTES:.0f} bytes an item, and be built within 10 s for 1,000,000 and 2 minutes for 10,000,000.",
        (
            "items",
            "batch 1 ms",
            "times the first",
            "batch 16 ms",
            "times the first",
            "must",
            "met",
            "bytes an item",
            "met",
            "build s",
            "met",
        ),
        table,
        rehearsal=options.quick,
    ).publish()


def _growth(items: int, where: torch.device) -> dict[str, Any]:
    shop = _shop(items, where, keys="codes")
    places = shop.index.place_of_rows(items).cpu().numpy()
    one, sixteen = (
        statistics.median(milliseconds(lambda _, size=size: shop.recommend(shop.histories(size), places), repeats=20))
        for size in (1, 16)
    )
    return {"one": one, "sixteen": sixteen, "bytes": shop.index.memory / items, "build": shop.build_seconds}


# --- filters ----------------------------------------------------------------------------------------------------------


def _filter_table(rows: Rows, options: Options, where: torch.device, suffix: str, shape: str) -> None:
    items = SIZES[0] if options.quick else FILTERED
    row = rows.measure("filters", partial(_filters, items, where))
    # These are searched on the CPU wherever the rest is.
    counted = 10_000 if options.quick or where.type == "cuda" else PAIRS
    pairs = rows.measure("pairs", partial(count_violations, counted))
    plain = row["none"]
    Report(
        f"decode-filters{suffix}",
        f"{items:,} items, one request at a time, {shape}. Each filter leaves about one item in 1,000 and is new: it "
        "is parsed, compiled over the columns and searched within; the last row asks for one that was "
        "asked for before. "
        "p50 of 40.",
        ("filter", "p50 ms", "times none", "must", "met"),
        [
            ("none", 1000 * plain, 1.0, "", ""),
            *(
                (name, 1000 * row[name], row[name] / plain, f"<= {MOST_FILTER:.0f}", row[name] <= MOST_FILTER * plain)
                for name in ("a number", "a number and a word", "asked for before")
            ),
        ],
        notes=[
            f"{row['lists']:,} filtered lists here, {row['wrong']} items in them that do not pass.",
            f"{pairs['pairs']:,} random pairs of a filter and a request (60 items; random trees, scores, filters, "
            f"widths and items left out): {pairs['wrong']} lists with an item that must not be there, "
            f"{pairs['short']} with fewer than min(k, eligible).",
        ],
        details={"pairs": pairs},
        rehearsal=options.quick,
    ).publish()


def _filters(items: int, where: torch.device) -> dict[str, Any]:
    shop = _shop(items, where, keys="codes")
    places = shop.index.place_of_rows(items).cpu().numpy()
    rng = np.random.default_rng(0)
    price_N, shelf_N = rng.random(items) * 1000, rng.integers(0, 50, items)
    empty = ("",) * items
    catalogue = Catalogue(
        item_ids=tuple(f"item-{row}" for row in range(items)),
        titles=empty,
        descriptions=empty,
        images=empty,
        attributes={
            "price": tuple(f"{price:.4f}" for price in price_N),
            "shelf": tuple(f"shelf-{shelf}" for shelf in shelf_N),
        },
    )
    filters = CatalogueFilter(catalogue)
    for column in ("price", "shelf"):
        filters.bitmap(f"{column}:*")  # a column is read once, when a filter first names it
    wrong = lists = 0

    def ask(expression: str, seed: int, passes: npt.NDArray[np.bool_] | None) -> float:
        nonlocal wrong, lists
        histories = shop.histories(1, seed)
        start = time.perf_counter()
        within = [filters.mask(expression)] if expression else None
        found = shop.recommend(histories, places, within)
        seconds = time.perf_counter() - start
        if passes is not None:
            lists += 1
            rows = found.items_BW[0]
            wrong += int((~torch.from_numpy(passes)[rows[rows >= 0]]).sum())
        return seconds

    taken: dict[str, list[float]] = {
        name: [] for name in ("none", "a number", "a number and a word", "asked for before")
    }
    for seed in range(41):
        low = float(rng.random() * 900)
        number = (price_N >= round(low, 3)) & (price_N < round(low + 1, 3))
        both = (price_N >= round(low, 3)) & (price_N < round(low + 50, 3)) & (shelf_N == seed)
        one = f"price >= {low:.3f} AND price < {low + 1:.3f}"
        taken["none"].append(ask("", seed, None))
        taken["a number"].append(ask(one, seed, number))
        word = f'price >= {low:.3f} AND price < {low + 50:.3f} AND shelf = "shelf-{seed}"'
        taken["a number and a word"].append(ask(word, seed, both))
        taken["asked for before"].append(ask(one, seed, number))
    found: dict[str, Any] = {name: statistics.median(values[1:]) for name, values in taken.items()}
    return found | {"lists": lists, "wrong": wrong}


# --- shared -----------------------------------------------------------------------------------------------------------


def _shop(items: int, where: torch.device, keys: PathKeys = "nodes") -> _Shop:
    rng = np.random.default_rng(0)
    paths = assign_semantic_ids(rng.integers(0, CODES, size=(items, LEVELS)).astype(np.int32))
    start = time.perf_counter()
    index = build_decode_index(paths)
    build_seconds = time.perf_counter() - start
    # The model's own tables hold the first items alone; their sizes are not what is measured here.
    known = min(items, ITEMS)
    table = ItemTable(
        torch.randn(known, 256), torch.from_numpy(paths[:known].astype(np.int64)), torch.ones(known, dtype=torch.bool)
    )
    config = GeneratorConfig(
        qk_norm=True, hidden=HIDDEN, layers=LAYERS, heads=HEADS, max_history=HISTORY, path_keys=keys
    )
    torch.manual_seed(0)
    model = Generator(config, table, index.widths).to(where).eval()
    with torch.inference_mode():
        tokens_NH = model.item_tokens()
        index = index.to(where)
        return _Shop(paths, index, build_seconds, model, tokens_NH, model.node_keys(tokens_NH, index), where)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
