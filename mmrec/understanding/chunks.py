"""How many items or labels are encoded at once, wherever it is done, so that the same input gives the same bits.

Unit of work: one list of items or labels. Encoding takes time in proportion to the characters, so that a chunk is
bounded by these too, and the pixels of pictures count as characters: about a tenth of a second with a small text
encoder on one core. Knows nothing about encoders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from mmrec.contract.items import ItemFailure, ItemInput
from mmrec.data.pictures import pixels_to_decode
from mmrec.understanding.tagging import DEFAULT_TEMPLATES

ITEM_CHUNK = 32
"""Most items in a chunk."""
SENTENCE_CHUNK = 64
"""Most sentences around labels in a chunk."""
CHUNK_CHARS = 2_000
"""Most characters in a chunk, if it has more than one entry."""
READ_CHARS = 2_000
"""Characters of an item that count: encoders read no more than the beginning of a text."""
LARGE_PIXELS = 1_000_000
"""Pictures with more pixels are large: a server decodes them ahead, so that here they count as small ones."""
_PICTURE_CHARS = 250
"""Characters that are encoded in about the time of a small picture."""
_CHAR_PIXELS = 2_500
"""Pixels that are decoded in about the time of a character."""
_DEFAULT_SENTENCES = sum("{column}" not in template for template in DEFAULT_TEMPLATES)

T = TypeVar("T")


def item_chars(item: ItemInput | ItemFailure) -> int:
    """Characters of an item that are encoded, its picture counted as some; 0 for an item that was refused."""
    if isinstance(item, ItemFailure):
        return 0
    words = len(item.title) + len(item.description) + sum(map(len, item.attributes.values()))
    return min(READ_CHARS, words) + picture_chars(item.image)


def picture_chars(image: bytes | None) -> int:
    """Characters that are encoded in about the time in which a picture is decoded and encoded; 0 for none."""
    if image is None:
        return 0
    pixels = pixels_to_decode(image)
    return _PICTURE_CHARS + (0 if pixels > LARGE_PIXELS else pixels // _CHAR_PIXELS)


def label_chars(label: str, templates: Sequence[str]) -> int:
    """Characters of the sentences around a label, without those of the templates."""
    return len(label) * (len(templates) or _DEFAULT_SENTENCES)


def item_chunks(items: Sequence[T], chars: Sequence[int] | None = None) -> list[tuple[T, ...]]:
    """Items in chunks.

    Args:
        items: Items, or ids of items.
        chars: Characters of each, as of `item_chars`; None: they are not encoded.
    """
    return list(_chunks(items, chars or [0] * len(items), ITEM_CHUNK))


def label_chunks(labels: Sequence[str], templates: Sequence[str]) -> list[tuple[str, ...]]:
    """Labels in chunks, for templates (empty: the default ones)."""
    most = max(1, SENTENCE_CHUNK // (len(templates) or _DEFAULT_SENTENCES))
    return list(_chunks(labels, [label_chars(label, templates) for label in labels], most))


def _chunks(entries: Sequence[T], chars: Sequence[int], most: int) -> Iterator[tuple[T, ...]]:
    start, total = 0, 0
    for place, count in enumerate(chars):
        if place > start and (place - start == most or total + count > CHUNK_CHARS):
            yield tuple(entries[start:place])
            start, total = place, 0
        total += count
    if len(entries) > start:
        yield tuple(entries[start:])
