"""The demonstration's dataset folder: a drawn catalogue, its customers, and the ground truth.

Everything follows from the seed, so two machines with the same versions of numpy and Pillow write the same folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mmrec.demo.attributes import COLOURS, KINDS, MATERIALS, OCCASIONS, PATTERNS, ItemTruth, Taste
from mmrec.demo.customers import CustomerConfig, Histories, make_histories
from mmrec.demo.products import draw_product
from mmrec.demo.words import describe, title
from mmrec.errors import InvalidArgumentError
from mmrec.runtime.progress import NO_PROGRESS, Progress

SIDE = 160
"""Side of the pictures, in pixels."""
WITHOUT_PICTURE = 0.02
WITHOUT_DESCRIPTION = 0.02
_YEAR_START = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())
_YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class DemoTruth:
    """Ground truth: the attributes of every product and the taste of every customer.

    Attributes:
        items: Attributes by item id.
        tastes: Taste at the end of the history, by user id.
    """

    items: Mapping[str, ItemTruth]
    tastes: Mapping[str, Taste]

    def matches(self, user_id: str, item_id: str) -> bool:
        """Whether a product has both the colour and the occasion that the customer likes."""
        return self.tastes[user_id].matches(self.items[item_id])

    def share_matching(self, user_id: str, item_ids: Sequence[str]) -> float:
        """Share of products, in [0, 1], that have both; 0 for none at all."""
        return sum(self.matches(user_id, item) for item in item_ids) / max(1, len(item_ids))


def write_demo_dataset(
    folder: Path, *, items: int = 480, users: int = 400, seed: int = 7, progress: Progress = NO_PROGRESS
) -> DemoTruth:
    """Draw a catalogue, let customers shop, and write both as a dataset folder.

    Args:
        folder: Where to; made if it is not there. Files of an earlier run are written over.
        items: Products, 50 or more.
        users: Customers, 1 or more.
        seed: Seed of all random choices.
        progress: Reports every drawn product.

    Returns:
        The ground truth, which is not written to the folder.

    Raises:
        InvalidArgumentError: too few items or users.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if items < 50:
        raise InvalidArgumentError(f"items is {items}; the demonstration needs 50 or more", field="items")
    if users < 1:
        raise InvalidArgumentError(f"users is {users}; the demonstration needs 1 or more", field="users")
    # One random generator per part, so that a change in the drawing does not change the customers.
    plan_rng, picture_rng, text_rng, customer_rng = (np.random.default_rng([seed, part]) for part in range(4))
    catalogue = _plan_items(items, plan_rng)
    item_ids = [f"p{number:04d}" for number in range(1, items + 1)]
    has_picture = plan_rng.permutation(items) >= round(WITHOUT_PICTURE * items)
    has_words = plan_rng.permutation(items) >= round(WITHOUT_DESCRIPTION * items)

    (folder / "images").mkdir(parents=True, exist_ok=True)
    progress.start("draw", items, "products")
    for item_id, item, wanted in zip(item_ids, catalogue, has_picture, strict=True):
        picture = draw_product(item.kind, item.colour, item.pattern, picture_rng, side=SIDE)
        if wanted:
            picture.save(folder / "images" / f"{item_id}.jpg", quality=92, subsampling=0)
        else:
            (folder / "images" / f"{item_id}.jpg").unlink(missing_ok=True)
        progress.advance()
    progress.finish(f"{items} products")
    titles = [title(item, text_rng) for item in catalogue]
    descriptions = [describe(item, text_rng) for item in catalogue]
    pq.write_table(
        pa.table(
            {
                "item_id": item_ids,
                "title": titles,
                "description": [text if has else None for text, has in zip(descriptions, has_words, strict=True)],
                "image": [f"{i}.jpg" if has else None for i, has in zip(item_ids, has_picture, strict=True)],
                "category": [item.kind for item in catalogue],
            }
        ),
        folder / "items.parquet",
    )

    histories = make_histories(catalogue, users, customer_rng, CustomerConfig(longest=10))
    user_ids = [f"c{number:04d}" for number in range(1, users + 1)]
    pq.write_table(_events(user_ids, item_ids, histories), folder / "events.parquet")
    first = [datetime.fromtimestamp(_second(times[0]), UTC).date().isoformat() for times in histories.times]
    pq.write_table(pa.table({"user_id": user_ids, "customer_since": first}), folder / "users.parquet")
    return DemoTruth(dict(zip(item_ids, catalogue, strict=True)), dict(zip(user_ids, histories.tastes, strict=True)))


def _plan_items(count: int, rng: np.random.Generator) -> list[ItemTruth]:
    """Products with every pair of colour and occasion about equally often, the rest at random."""
    colours = list(COLOURS)
    catalogue = []
    for place in rng.permutation(count):
        kind = KINDS[rng.integers(len(KINDS))]
        catalogue.append(
            ItemTruth(
                kind=kind,
                colour=colours[place % len(colours)],
                pattern=PATTERNS[rng.integers(len(PATTERNS))],
                material=MATERIALS[kind][rng.integers(len(MATERIALS[kind]))],
                occasion=OCCASIONS[place // len(colours) % len(OCCASIONS)],
            )
        )
    return catalogue


def _second(time: float) -> int:
    return _YEAR_START + int(time * _YEAR_SECONDS)


def _events(user_ids: list[str], item_ids: list[str], histories: Histories) -> object:
    """All purchases in the order of their time."""
    import pyarrow as pa

    rows = [
        (_second(time), user_id, item_ids[row])
        for user_id, items, times in zip(user_ids, histories.items, histories.times, strict=True)
        for row, time in zip(items, times, strict=True)
    ]
    rows.sort(key=lambda event: event[0])
    return pa.table(
        {
            "user_id": [user for _, user, _ in rows],
            "item_id": [item for _, _, item in rows],
            "timestamp": [second for second, _, _ in rows],
        }
    )
