"""A contact sheet: what customers bought, and beside it what is recommended to them, as one PNG.

Draws what it is given; knows nothing about tastes, datasets or recommenders. Pillow only, with its built-in
font.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mmrec.errors import InvalidArgumentError

COLUMNS = 6
"""Products shown of a history (the last) and of a ranking (the first)."""

_TILE = 116
_GAP = 12
_MARGIN = 28
_ARROW = 64
_HEADER = 96
_LABEL = 34
_CAPTION = 34
_ROW = _LABEL + _TILE + _CAPTION + 30
_WIDTH = 2 * _MARGIN + 2 * COLUMNS * (_TILE + _GAP) - 2 * _GAP + _ARROW

_PAPER, _CARD, _LINE = (247, 246, 243), (255, 255, 255), (221, 218, 212)
_INK, _GREY, _GREEN, _BLUE = (38, 36, 40), (120, 116, 118), (34, 150, 84), (44, 96, 190)


@dataclass(frozen=True, slots=True)
class SheetItem:
    """One product on the sheet.

    Attributes:
        title: Shown below the picture, on at most two lines.
        picture: The picture; None draws an empty frame with a note.
        matches: Whether it is what the customer likes: a green frame with a tick.
        actual: Whether the customer really bought it next: a blue ribbon.
    """

    title: str
    picture: Image.Image | None = None
    matches: bool = False
    actual: bool = False


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One customer.

    Attributes:
        label: Who it is, in bold type above the row.
        note: What else to say, beside the label.
        history: What was bought, oldest first; the last six are shown.
        recommended: What is recommended, best first; the first six are shown.
    """

    label: str
    note: str
    history: Sequence[SheetItem]
    recommended: Sequence[SheetItem]


def draw_contact_sheet(rows: Sequence[SheetRow], path: Path, *, header: str = "mmrec") -> None:
    """Draw the customers below each other and save the sheet as a PNG.

    Args:
        rows: One per customer, at least one.
        path: File to write; its folder is made.
        header: Headline.

    Raises:
        InvalidArgumentError: there are no rows.
    """
    if not rows:
        raise InvalidArgumentError("rows is empty; a contact sheet needs at least one customer", field="rows")
    sheet = Image.new("RGB", (_WIDTH, _HEADER + len(rows) * _ROW + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    right = _MARGIN + COLUMNS * (_TILE + _GAP) - _GAP + _ARROW
    _draw_header(draw, header, right)
    for number, row in enumerate(rows):
        top = _HEADER + number * _ROW
        box = (_MARGIN - 14, top, _WIDTH - _MARGIN + 14, top + _ROW - 14)
        draw.rounded_rectangle(box, 10, fill=_CARD, outline=_LINE)
        label_font = _font(17)
        draw.text((_MARGIN, top + 8), row.label, font=label_font, fill=_INK, stroke_width=0.4, stroke_fill=_INK)
        after = _MARGIN + draw.textlength(row.label, font=label_font) + 14
        note = _shortened(draw, row.note, _font(14), _WIDTH - _MARGIN - after)
        draw.text((after, top + 10), note, font=_font(14), fill=_GREY)
        for start, items in ((_MARGIN, row.history[-COLUMNS:]), (right, row.recommended[:COLUMNS])):
            for column, item in enumerate(items):
                _draw_item(sheet, draw, item, start + column * (_TILE + _GAP), top + _LABEL)
        _draw_arrow(draw, right - _ARROW / 2 - _GAP / 2, top + _LABEL + _TILE / 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG")


def _draw_header(draw: ImageDraw.ImageDraw, header: str, right: int) -> None:
    draw.text((_MARGIN, 18), header, font=_font(25), fill=_INK, stroke_width=0.5, stroke_fill=_INK)
    draw.text((_MARGIN, 64), "bought, oldest first", font=_font(15), fill=_GREY)
    draw.text((right, 64), "recommended, best first", font=_font(15), fill=_GREY)
    x = right + 250
    draw.rounded_rectangle((x, 63, x + 20, 83), 4, outline=_GREEN, width=3)
    draw.text((x + 28, 64), "as the customer likes it", font=_font(15), fill=_GREEN)
    x += 240
    draw.rounded_rectangle((x, 65, x + 20, 81), 3, fill=_BLUE)
    draw.text((x + 28, 64), "really bought next", font=_font(15), fill=_BLUE)


def _draw_item(sheet: Image.Image, draw: ImageDraw.ImageDraw, item: SheetItem, x: int, y: int) -> None:
    box = (x, y, x + _TILE - 1, y + _TILE - 1)
    if item.picture is None:
        draw.rectangle(box, fill=_PAPER)
        words = "no picture"
        draw.text((x + _TILE / 2, y + _TILE / 2), words, font=_font(13), fill=_GREY, anchor="mm")
    else:
        picture = item.picture.convert("RGB")
        picture.thumbnail((_TILE, _TILE), Image.Resampling.LANCZOS)
        draw.rectangle(box, fill=_PAPER)
        sheet.paste(picture, (x + (_TILE - picture.width) // 2, y + (_TILE - picture.height) // 2))
    if item.actual:
        draw.rectangle((x, y + _TILE - 19, x + _TILE - 1, y + _TILE - 1), fill=_BLUE)
        place = (x + _TILE / 2, y + _TILE - 10)
        draw.text(place, "bought next", font=_font(13), fill=(255, 255, 255), anchor="mm")
    if item.matches:
        draw.rectangle((x - 3, y - 3, x + _TILE + 2, y + _TILE + 2), outline=_GREEN, width=4)
        centre = (x + _TILE - 6, y + 6)
        draw.circle(centre, 11, fill=_GREEN, outline=_CARD, width=2)
        cx, cy = centre
        draw.line([(cx - 5, cy), (cx - 1, cy + 4), (cx + 5, cy - 4)], fill=(255, 255, 255), width=3, joint="curve")
    else:
        draw.rectangle(box, outline=_LINE)
    for number, line in enumerate(_lines(draw, item.title, _font(13), _TILE)):
        draw.text((x + _TILE / 2, y + _TILE + 7 + 15 * number), line, font=_font(13), fill=_INK, anchor="ma")


def _draw_arrow(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    draw.line([(x - 14, y), (x + 8, y)], fill=_GREY, width=5)
    draw.polygon([(x + 5, y - 11), (x + 19, y), (x + 5, y + 11)], fill=_GREY)


@cache  # loading it takes longer than drawing a row
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _lines(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float
) -> list[str]:
    """`text` on at most two lines of a width in pixels; what does not fit ends in dots."""
    first: list[str] = []
    words = text.split()
    while words and draw.textlength(" ".join([*first, words[0]]), font=font) <= width:
        first.append(words.pop(0))
    rest = " ".join(words)
    if not first:
        return [_shortened(draw, rest, font, width)] if rest else []
    return [" ".join(first), _shortened(draw, rest, font, width)] if rest else [" ".join(first)]


def _shortened(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float
) -> str:
    if len(text) < 500 and draw.textlength(text, font=font) <= width:
        return text
    text = text[:500]
    while text and draw.textlength(f"{text}...", font=font) > width:
        text = text[:-1]
    return f"{text.rstrip()}..."
