"""A dataset folder of twelve items, two of them with pictures that cannot be read, and a bundle of tiny encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmrec.bundle import BundleWriter
from mmrec.contract.items import Versions
from mmrec.data.dataset import read_dataset
from mmrec_encoders.fusion_training import FusionConfig, train_fusion
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import save_item_encoder
from mmrec_encoders.protocols import ImageEncoder, TextEncoder
from tests.encoders.contracts import drawn
from tests.encoders.encoding import features_of

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 210)}


def write_shop(root: Path) -> Path:
    (root / "images").mkdir(parents=True)
    rows = ["item_id\ttitle\tdescription\timage"]
    for number in range(12):
        name, colour = list(COLOURS.items())[number % 3]
        rows.append(f"{number:03d}\tMug {number}\tA mug of {['clay', 'steel'][number % 2]}.\t{number}.png")
        drawn(40 + number, 50, colour, number).save(root / "images" / f"{number}.png")
        assert name in COLOURS
    (root / "images" / "4.png").write_bytes(b"GIF89a, or not")
    (root / "images" / "7.png").unlink()
    rows[6] = "005\t\t\t5.png"
    rows[10] = "009\tMug 9\tA mug of steel.\t"
    (root / "items.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    events = ["user_id\titem_id\tposition"]
    events += [f"u{user}\t{(user + 3 * step) % 12:03d}\t{step}" for user in range(6) for step in range(4)]
    (root / "events.tsv").write_text("\n".join(events) + "\n", encoding="utf-8")
    return root


def write_encoder_bundle(root: Path, shop: Path, image: ImageEncoder, text: TextEncoder) -> Path:
    """A bundle that has encoders and nothing else."""
    data = read_dataset(shop)
    plain = ItemEncoder(image, text)
    features = features_of(plain, data.catalogue, data.pictures)
    config = FusionConfig(dimension=32, prefixes=(8, 16), steps=5, batch_size=8)
    encoder = plain.with_fusion(train_fusion(features, np.zeros((0, 2), np.int64), config, device="cpu"))
    with BundleWriter(root, preset="embedded", name="shop") as writer:
        save_item_encoder(encoder, writer.path("encoders/encoders.json").parent)
        writer.commit(versions=Versions("m", "c", "b"), parameters={})
    return root
