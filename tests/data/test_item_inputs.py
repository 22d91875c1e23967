"""The items of a dataset as clients describe them, in batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmrec.contract.items import ItemInput
from mmrec.data.item_inputs import DescribedItems
from mmrec.errors import InvalidDatasetError, NotFoundError

Folder = Callable[..., Path]

TABLE = b"""item_id,title,image,colour,size
a,Mug,1.jpg,red,
b,Lamp,,,
,Nameless,,,
c,,,,
d,Hat,gone.jpg,,
e,Shoe,https://cdn.example.com/e.jpg,,
f,Bag,../secret.jpg,,
b,Lamp again,,,
g,,images/1.jpg,,
"""


@pytest.fixture
def shop(folder: Folder) -> Path:
    root = folder({"items.csv": TABLE})
    (root / "images").mkdir()
    (root / "images" / "1.jpg").write_bytes(b"picture one")
    return root


def test_items_have_their_words_their_pictures_and_no_empty_attributes(shop: Path) -> None:
    (batch,) = DescribedItems(shop, 100).batches()
    assert batch.items == (
        ItemInput("a", "Mug", "", b"picture one", {"colour": "red"}),
        ItemInput("b", "Lamp"),
        ItemInput("g", image=b"picture one"),
    )
    assert batch.lines == (2, 3, 10)


def test_what_cannot_be_sent_is_told_with_its_line(shop: Path) -> None:
    (batch,) = DescribedItems(shop, 100).batches()
    told = {(failure.line, failure.item_id): failure.message for failure in batch.failures}
    assert sorted(told) == [(4, ""), (5, "c"), (6, "d"), (7, "e"), (8, "f"), (9, "b")]
    assert told[5, "c"].startswith("item 'c' has neither words nor a picture")
    assert told[6, "d"] == "the picture 'gone.jpg' is not in the dataset folder; put the file into images/"
    assert "is a URL that was not fetched; `mmrec fetch` brings it in" in told[7, "e"]
    assert "leads out of the dataset" in told[8, "f"]


def test_a_table_alone_has_its_pictures_beside_it(shop: Path) -> None:
    (shop / "items.csv").rename(shop / "arrivals of May.csv")
    described = DescribedItems(shop / "arrivals of May.csv", 4)
    assert described.estimate() >= 9
    batches = list(described.batches())
    assert [[item.item_id for item in batch.items] for batch in batches] == [["a", "b"], [], ["g"]]
    assert sum(len(batch.failures) for batch in batches) == 6
    # The same again, so that a load can go on where it stopped.
    assert list(described.batches()) == batches


def test_a_table_may_be_a_folder_of_parts(tmp_path: Path) -> None:
    (tmp_path / "items.csv").mkdir()
    for part in (0, 1):
        (tmp_path / "items.csv" / f"part-{part}.csv").write_text(f"item_id,title\n{part},Mug\n0,again\n")
    (batch,) = DescribedItems(tmp_path / "items.csv", 9).batches()
    assert [item.item_id for item in batch.items] == ["0", "1"]
    assert [failure.message for failure in batch.failures] == [
        "items.csv/part-0.csv:3: item_id '0' was there before, at items.csv/part-0.csv:2; keep one row per item",
        "items.csv/part-1.csv:3: item_id '0' was there before, at items.csv/part-0.csv:2; keep one row per item",
    ]
    assert (batch.lines, [failure.line for failure in batch.failures]) == ((2, 5), [3, 6])


def test_pictures_may_be_in_the_table_itself(tmp_path: Path) -> None:
    table = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": ["a", "b"], "title": ["Mug", "Lamp"], "image_bytes": [b"one", None]}), table)
    (batch,) = DescribedItems(table, 5).batches()
    assert batch.items == (ItemInput("a", "Mug", image=b"one"), ItemInput("b", "Lamp"))


def test_large_pictures_make_batches_smaller(shop: Path) -> None:
    (shop / "images" / "1.jpg").write_bytes(bytes(4 * 2**20))
    (shop / "items.csv").write_text("item_id,image\n" + "".join(f"n{n},1.jpg\n" for n in range(7)), encoding="utf-8")
    found = [[item.item_id for item in batch.items] for batch in DescribedItems(shop, 5).batches()]
    assert found == [["n0", "n1"], ["n2", "n3"], ["n4"], ["n5", "n6"]]


def test_what_is_no_dataset_is_refused(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        DescribedItems(tmp_path / "nowhere", 5)
    with pytest.raises(InvalidDatasetError, match="has none of the suffixes"):
        DescribedItems(shop / "images" / "1.jpg", 5)
    (shop / "items.csv").write_text("id,title\n1,Mug\n", encoding="utf-8")
    with pytest.raises(InvalidDatasetError, match="no column 'item_id'"):
        DescribedItems(shop / "items.csv", 5)


def test_a_batch_ends_at_a_number_of_pixels(folder: Folder) -> None:
    root = folder({"items.csv": "item_id,image\n" + "".join(f"{n},1.png\n" for n in range(8))})
    (root / "images").mkdir()
    # Of 49 million pixels each; six of them are more than 250 million.
    Image.new("1", (7_000, 7_000)).save(root / "images" / "1.png")
    assert [len(batch.items) for batch in DescribedItems(root, 100).batches()] == [6, 2]
