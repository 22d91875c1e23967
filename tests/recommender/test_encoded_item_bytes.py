from pathlib import Path

import numpy as np
import pytest

import mmrec
from mmrec.catalogue.item_words import ItemWords
from mmrec.contract.items import ItemInput
from mmrec.errors import BundleError
from mmrec.recommender.encoded_item_bytes import encoder_version, pack_items, unpack_items
from mmrec.recommender.encoded_items import EncodedItems


@pytest.fixture(scope="module")
def items(demo_dataset: Path) -> list[ItemInput]:
    picture = sorted((demo_dataset / "images").iterdir())[0].read_bytes()
    return [
        ItemInput("both", title="red lamp", image=picture),
        ItemInput("words", title="blue lamp"),
        ItemInput("picture", image=picture),
    ]


def same(one: EncodedItems, two: EncodedItems) -> bool:
    arrays = [[*found.features, found.fused_MD, found.thumbnails_M] for found in (one, two)]
    equal = all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(*arrays, strict=True))
    return equal and one[:2] == two[:2]


def test_items_come_back_as_they_were_encoded(recommender: mmrec.Recommender, items: list[ItemInput]) -> None:
    made = recommender.encode_items(items).items
    now = recommender.snapshot()
    catalogue, encoder = now.parts.catalogue, now.vectors.encoder
    packed = pack_items(made)
    assert same(unpack_items(catalogue, encoder, items, packed), made)
    # Each item by itself, and the others' order does not matter.
    turned = unpack_items(catalogue, encoder, items[::-1], packed[::-1])
    assert same(turned, made.take([2, 1, 0]))
    assert same(EncodedItems.join([made.take([0]), made.take([1, 2])]), made)


def test_equal_encoders_have_equal_versions(recommender: mmrec.Recommender, demo_bundle: Path) -> None:
    version, encoder = recommender.encoder_version, recommender.snapshot().vectors.encoder
    assert version == mmrec.Recommender.load(demo_bundle, device="cpu").encoder_version
    assert len(version) == 16
    other = encoder.with_fusion(encoder.fusion)
    other.words = ItemWords("{title}")
    assert encoder_version(other) != version


@pytest.mark.parametrize("data", [b"", b"no tensors", None])
def test_damaged_bytes_are_refused(recommender: mmrec.Recommender, items: list[ItemInput], data: bytes | None) -> None:
    now = recommender.snapshot()
    catalogue, encoder = now.parts.catalogue, now.vectors.encoder
    packed = pack_items(recommender.encode_items(items).items)[0]
    with pytest.raises(BundleError, match="kept of item 'both' cannot be read"):
        unpack_items(catalogue, encoder, items[:1], [packed[:-3] if data is None else data])
