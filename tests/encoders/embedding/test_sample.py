from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrec_encoders.embedding.sample import Sample, draw_sample


def sample(root: Path, kept: Path, most: int, seed: int = 0) -> Sample:
    kept.mkdir(exist_ok=True)
    return draw_sample(root, most, seed, kept)


def test_a_catalogue_that_fits_is_taken_whole_in_its_order(catalogue: Path, tmp_path: Path) -> None:
    found = sample(catalogue, tmp_path / "kept", 14)
    assert found.catalogue.item_ids == tuple(f"i{n}" for n in range(14) if n != 8)
    assert found.catalogue.attributes["colour"][:2] == ("red", "blue")
    # u0 went from i0 to i3 to i6, u1 from i1 to i4 to i7, u2 from i2 to i5 (i8 is no item), u3 from i3 to i6 to i9.
    names = found.catalogue.item_ids
    assert [(names[a], names[b]) for a, b in found.pairs_P2] == [
        ("i0", "i3"),
        ("i3", "i6"),
        ("i1", "i4"),
        ("i4", "i7"),
        ("i2", "i5"),
        ("i3", "i6"),
        ("i6", "i9"),
    ]


def test_of_a_larger_one_so_many_are_drawn_evenly_and_by_the_seed(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "items.csv").write_text("item_id\n" + "".join(f"{n}\n" for n in range(5000)))
    drawn = [sample(root, tmp_path / "kept", 500, seed).catalogue.item_ids for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 500
    assert list(drawn[0]) == sorted(drawn[0], key=int)
    # Of each thousand about a hundred; the chance of fewer than 60 is below one in ten thousand.
    assert min(sum(low <= int(item_id) < low + 1000 for item_id in drawn[0]) for low in range(0, 5000, 1000)) >= 60


@pytest.mark.parametrize("most", [3, 2])
def test_pictures_of_the_table_are_kept_in_the_folder_and_not_in_memory(tmp_path: Path, most: int) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    data = [b"first", b"second", None]
    pq.write_table(pa.table({"item_id": ["1", "2", "3"], "image_bytes": data}), root / "items.parquet")
    found = sample(root, tmp_path / "kept", most)
    read = [found.pictures.read(ref) if ref else None for ref in found.catalogue.images]
    assert len(read) == most
    assert [content for content in data if content in read] == read
    assert len(list((tmp_path / "kept").iterdir())) == sum(content is not None for content in read)
