from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrec.demo import SheetItem, SheetRow, draw_contact_sheet
from mmrec.errors import InvalidArgumentError

RED = Image.new("RGB", (160, 160), (200, 20, 20))
GREEN_FRAME = (34, 150, 84)
BLUE_RIBBON = (44, 96, 190)


def shares(path: Path) -> dict[tuple[int, int, int], int]:
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet).astype(np.int64)
    colours, counts = np.unique(pixels @ np.array([65536, 256, 1]), return_counts=True)
    return {(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255): int(n) for c, n in zip(colours, counts, strict=True)}


def test_a_row_per_customer_with_at_most_six_pictures_on_each_side(tmp_path: Path) -> None:
    item = SheetItem("Enamel camping mug", RED)
    rows = [SheetRow("Customer c0001", "likes red", [item] * 9, [item] * 20)] * 3
    draw_contact_sheet(rows, tmp_path / "new" / "sheet.png", header="Recommended")
    with Image.open(tmp_path / "new" / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.size == (1632, 766)
    assert 36 * 114 * 114 <= shares(tmp_path / "new" / "sheet.png")[(200, 20, 20)] <= 36 * 116 * 116


def test_matching_and_really_bought_items_are_marked(tmp_path: Path) -> None:
    plain, marked = SheetItem("Mug", RED), SheetItem("Mug", RED, matches=True, actual=True)
    draw_contact_sheet([SheetRow("c", "", [plain], [plain])], tmp_path / "plain.png")
    draw_contact_sheet([SheetRow("c", "", [plain], [marked])], tmp_path / "marked.png")
    before, after = shares(tmp_path / "plain.png"), shares(tmp_path / "marked.png")
    assert after[GREEN_FRAME] - before[GREEN_FRAME] > 4 * 4 * 110
    assert after[BLUE_RIBBON] - before[BLUE_RIBBON] > 1000


def test_a_history_of_one_no_picture_an_endless_title_and_no_recommendations(tmp_path: Path) -> None:
    long = SheetItem("Incomprehensibilities" * 20 + " and more words " * 20)
    draw_contact_sheet([SheetRow("c" * 20, "n" * 1000, [long], [])], tmp_path / "sheet.png")
    draw_contact_sheet([SheetRow("", "", [SheetItem("")], [SheetItem("", RED)])], tmp_path / "sheet.png")


def test_a_sheet_without_customers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="at least one customer"):
        draw_contact_sheet([], tmp_path / "sheet.png")
