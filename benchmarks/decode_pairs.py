"""Random filters and requests on small catalogues: what a search returns against what may be returned, item by item."""

# Axes: N items, P codes of a path, B requests, W beams, C children, V nodes

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmrec.catalogue.catalogue import Catalogue
from mmrec.filters.filter import CatalogueFilter
from mmrec.filters.mask import EligibilityMask
from mmrec.semantic_ids.decode_index import Children, DecodeIndex, build_decode_index
from mmrec.semantic_ids.eligibility import eligible
from mmrec.semantic_ids.path_search import search_paths
from mmrec.semantic_ids.semantic_ids import assign_semantic_ids

COLOURS, ITEMS, FILTERS, REQUESTS = ("red", "green", "blue", ""), 60, 40, 500


class _Random:
    """Scores drawn for every node."""

    def __init__(self, index: DecodeIndex, batch: int, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        self._scores = [-torch.rand(batch, nodes, generator=draw) for nodes in index.nodes[1:]]

    def step(self, nodes_BW: Tensor, children: Children, depth: int) -> Tensor:
        rows = torch.arange(len(nodes_BW)).view(-1, 1, 1)
        return torch.where(children.exists, self._scores[depth][rows, children.nodes], float("-inf"))

    def keep(self, parents_BW: Tensor) -> None:
        pass


def count_violations(pairs: int) -> dict[str, Any]:
    """How many of so many pairs of a filter and a request got an item they must not get, or too few of them."""
    done = wrong = short = 0
    seed = 0
    while done < pairs:
        rng = np.random.default_rng(seed)
        paths = assign_semantic_ids(rng.integers(0, rng.integers(1, 6), size=(ITEMS, 3)).astype(np.int32))
        index = build_decode_index(paths)
        place_N = index.place_of_rows(ITEMS).numpy()
        filters = CatalogueFilter(_catalogue(rng))
        for _ in range(20):
            bitmaps = [filters.bitmap(_expression(rng)) for _ in range(FILTERS)]
            sets = [EligibilityMask(bitmap) for bitmap in bitmaps]
            chosen = rng.integers(0, FILTERS, REQUESTS)
            left_out = [rng.integers(0, ITEMS, rng.integers(0, 30)) for _ in range(REQUESTS)]
            width = int(rng.integers(1, 2 * ITEMS))
            allowed = eligible(index, [place_N[rows] for rows in left_out], [sets[filter] for filter in chosen])
            seed += 1
            found = search_paths(_Random(index, REQUESTS, seed), allowed, index, width=width).items_BW.numpy()
            for row in range(REQUESTS):
                may_N = bitmaps[chosen[row]].copy()
                may_N[left_out[row]] = False
                items = found[row][found[row] >= 0]
                wrong += bool((~may_N[items]).any() or len(set(items.tolist())) < len(items))
                short += len(items) < min(width, int(may_N.sum()))
            done += REQUESTS
    return {"pairs": done, "wrong": wrong, "short": short}


def _catalogue(rng: np.random.Generator) -> Catalogue:
    empty = ("",) * ITEMS
    return Catalogue(
        tuple(f"item-{row}" for row in range(ITEMS)),
        tuple(rng.choice(["a lamp", "a mug", "a lamp and a mug"], ITEMS).tolist()),
        empty,
        empty,
        {
            "colour": tuple(rng.choice(COLOURS, ITEMS).tolist()),
            "price": tuple(str(price) if price else "" for price in rng.integers(0, 20, ITEMS)),
            "sale": tuple(rng.choice(["true", "false"], ITEMS).tolist()),
        },
    )


def _expression(rng: np.random.Generator, depth: int = 0) -> str:
    if depth < 2 and rng.random() < 0.5:
        join = " AND " if rng.random() < 0.5 else " OR "
        parts = [_expression(rng, depth + 1) for _ in range(rng.integers(2, 4))]
        return f"({join.join(parts)})"
    price, colour = int(rng.integers(0, 20)), rng.choice(COLOURS[:3])
    return str(
        rng.choice(
            [
                f"price < {price}",
                f"price >= {price}",
                f'colour = "{colour}"',
                f'NOT colour IN ("{colour}", "red")',
                "colour:*",
                "sale = true",
                "title:mug",
                f'title = "a lamp*" AND price != {price}',
            ]
        )
    )
