from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch

from mmrec.generator.backbone import Backbone
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.item_tokens import ItemTable, Neighbours
from mmrec.generator.model import Generator
from mmrec.semantic_ids.decode_index import DecodeIndex, build_decode_index
from mmrec.semantic_ids.semantic_ids import assign_semantic_ids


class Small(NamedTuple):
    """A generator with random weights over a random catalogue, and its decode index."""

    model: Generator
    index: DecodeIndex


def random_neighbours(rng: np.random.Generator, items: int) -> Neighbours:
    weights = rng.random((items, 2)).astype(np.float32)
    return Neighbours(
        torch.from_numpy(rng.integers(0, items, size=(items, 2))),
        torch.from_numpy(weights / weights.sum(axis=1, keepdims=True)),
    )


def make_small(
    items: int = 40,
    *,
    seed: int = 0,
    codes: int = 3,
    levels: int = 2,
    backbone: tuple[Backbone, int] | None = None,
    **config: object,
) -> Small:
    rng = np.random.default_rng(seed)
    fused = rng.normal(size=(items, 6)).astype(np.float32)
    paths = assign_semantic_ids(rng.integers(0, codes, size=(items, levels)).astype(np.int32))
    index = build_decode_index(paths)
    sizes = {"hidden": 16, "layers": 1, "heads": 2, "max_history": 8, "dropout": 0.0} | config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Generator(
            GeneratorConfig(**sizes),  # type: ignore[arg-type]
            ItemTable(
                torch.from_numpy(fused),
                torch.from_numpy(paths.astype(np.int64)),
                torch.ones(items, dtype=torch.bool),
                random_neighbours(rng, items),
                random_neighbours(rng, items),
            ),
            index.widths,
            backbone,
        )
        # Fresh weights make nearly flat distributions; sharper ones make ranking errors visible.
        for norm in model.semantic_id_head.scored_norm:
            torch.nn.init.constant_(norm.weight, 4.0)
    return Small(model.eval(), index)


@pytest.fixture
def small() -> Callable[..., Small]:
    return make_small
