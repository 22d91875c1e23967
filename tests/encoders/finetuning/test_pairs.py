from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mmrec.data.dataset import read_dataset
from mmrec_encoders.finetuning import FinetuningConfig
from mmrec_encoders.finetuning.pairs import data_hash, find_pairs
from tests.encoders.finetuning.tiny import write_colour_shop


def test_words_of_held_out_items_are_not_among_those_to_train_on(colour_shop: Path, tiny: FinetuningConfig) -> None:
    for seed in range(5):
        pairs = find_pairs(read_dataset(colour_shop), replace(tiny, seed=seed))
        held = [pairs.catalogue.titles[row] for row in pairs.held_rows]
        assert held
        assert not [text for text in pairs.train.texts for title in held if title.strip() in text]
        assert (pairs.train.ids_NS[pairs.held_rows] == -1).all()
        assert (pairs.train.ids_NS[pairs.training_rows, 0] >= 0).all()


def test_namesakes_are_on_the_same_side_whatever_their_letters(colour_shop: Path, tiny: FinetuningConfig) -> None:
    for seed in range(10):
        pairs = find_pairs(read_dataset(colour_shop), replace(tiny, seed=seed, hold_out=0.5))
        first, second = (pairs.catalogue.row_of(item) for item in ("i01", "i45"))
        assert first is not None
        assert second is not None
        assert pairs.held_M[first] == pairs.held_M[second]
        assert pairs.title_M[first] == pairs.title_M[second]


def test_items_without_words_or_picture_are_no_pairs(colour_shop: Path, tiny: FinetuningConfig, tmp_path: Path) -> None:
    pairs = find_pairs(read_dataset(colour_shop), tiny)
    assert len(pairs.catalogue) == 47
    assert pairs.catalogue.row_of("i47") is None


def test_an_item_without_a_title_goes_by_all_its_words(tiny: FinetuningConfig, tmp_path: Path) -> None:
    shop = write_colour_shop(tmp_path / "shop", items=12)
    lines = (shop / "items.tsv").read_text().splitlines()
    lines[3] = "i02\t\tblue\tball\t2.png"
    (shop / "items.tsv").write_text("\n".join(lines) + "\n")
    pairs = find_pairs(read_dataset(shop), tiny)
    row = pairs.catalogue.row_of("i02")
    assert [pairs.held.texts[text] for text in pairs.held.ids_NS[row]] == ["colour: blue. shape: ball"] * 2


def test_the_pairs_that_are_left_keep_their_texts_and_sides(colour_shop: Path, tiny: FinetuningConfig) -> None:
    pairs = find_pairs(read_dataset(colour_shop), tiny)
    keep = np.arange(47) % 3 != 0
    left = pairs.take(keep)
    assert left.catalogue.item_ids == tuple(np.array(pairs.catalogue.item_ids)[keep])
    np.testing.assert_array_equal(left.held_M, pairs.held_M[keep])
    np.testing.assert_array_equal(left.train.ids_NS, pairs.train.ids_NS[keep])


def test_the_hash_changes_with_words_and_with_pictures(tmp_path: Path) -> None:
    shop = write_colour_shop(tmp_path / "shop", items=9)
    first = data_hash(read_dataset(shop))
    assert data_hash(read_dataset(shop)) == first
    (shop / "images" / "3.png").write_bytes(b"other")
    second = data_hash(read_dataset(shop))
    (shop / "items.tsv").write_text((shop / "items.tsv").read_text().replace("number 08", "number 09"))
    assert len({first, second, data_hash(read_dataset(shop))}) == 3


def test_texts_to_train_on_are_made_of_words(tiny: FinetuningConfig, tmp_path: Path) -> None:
    shop = write_colour_shop(tmp_path / "shop", items=12)
    lines = (shop / "items.tsv").read_text().splitlines()
    priced = [f"{lines[0]}\tprice", *(f"{line}\t{row % 2 + 5} EUR" for row, line in enumerate(lines[1:]))]
    (shop / "items.tsv").write_text("\n".join(priced) + "\n")
    kinds = replace(tiny, texts=(("item", 1.0), ("phrase", 1.0)))
    texts = find_pairs(read_dataset(shop), kinds).train.texts
    assert any("colour: blue" in text for text in texts)
    assert not any("EUR" in text for text in texts)
    before = data_hash(read_dataset(shop))
    (shop / "dataset.toml").write_text('[words]\ntemplate = "{title} for {price}"\n')
    assert any(text.endswith(" for 5 EUR") for text in find_pairs(read_dataset(shop), kinds).train.texts)
    assert data_hash(read_dataset(shop)) != before
