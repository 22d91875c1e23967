"""Semantic IDs as people write them, and where they lie: from a path or the beginning of one to its items.

Works on one path and a decode index on the CPU; knows nothing about item ids, files or requests. A path is written as
its codes with slashes between them, ``12/200/7``, and in one way only.
"""

# Axes: N items, P levels of a semantic ID

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.contract.rules import MAX_CODE
from mmrec.errors import InvalidArgumentError
from mmrec.semantic_ids.decode_index import DecodeIndex

_CODE = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)


class PathRange(NamedTuple):
    """Items whose paths begin alike: the places `begin` to `end` of the sorted table."""

    begin: int
    end: int

    @property
    def items(self) -> int:
        """How many there are."""
        return self.end - self.begin


def parse_path(text: str) -> tuple[int, ...]:
    """The codes of a path or of the beginning of one, at least one of them.

    Raises:
        InvalidArgumentError: it is not written as whole numbers with slashes between them.
    """
    parts = text.split("/")
    codes = tuple(int(part) for part in parts if _CODE.fullmatch(part))
    if len(codes) != len(parts) or max(codes) > MAX_CODE:
        raise InvalidArgumentError(
            f"path is {text!r:.80}; write its codes, or the first of them, with slashes between, as in 12/200/7",
            field="path",
        )
    return codes


def print_path(codes: Sequence[int]) -> str:
    """Codes as `parse_path` reads them."""
    return "/".join(str(int(code)) for code in codes)


def check_path(codes: Sequence[int], widths: tuple[int, ...], where: str = "path") -> None:
    """Refuse what cannot be the beginning of any path, now or after new items.

    Args:
        codes: The path, as asked.
        widths: Codes per level of the index. The last level numbers items that are otherwise alike, and has no end.
        where: Name of the field.

    Raises:
        InvalidArgumentError: it is empty, has more codes than there are levels, or one that its level does not have.
    """
    if not 1 <= len(codes) <= len(widths):
        raise InvalidArgumentError(
            f"{where} has {len(codes):,} codes; a semantic ID of this catalogue has {len(widths)}: give the first 1 to "
            f"{len(widths)} of them",
            field=where,
        )
    for level, (code, width) in enumerate(zip(codes, widths[:-1], strict=False)):
        if not 0 <= code < width:
            raise InvalidArgumentError(
                f"code {level + 1} of {where} is {code}; that level has the codes 0 to {width - 1}: is the path of "
                "other codebooks?",
                field=where,
            )


def path_range(index: DecodeIndex, codes: Sequence[int]) -> PathRange:
    """Where the items lie whose paths begin with `codes`; nowhere when there are none.

    Args:
        index: On the CPU.
        codes: 0 to P codes; none stands for every item.
    """
    node = 0
    for depth, code in enumerate(codes):
        if depth == index.levels:
            return PathRange(0, 0)
        begins: npt.NDArray[np.int32] = index.child_begin[depth].numpy()
        first, last = int(begins[node]), int(begins[node + 1])
        children: npt.NDArray[np.int32] = index.child_code[depth].numpy()[first:last]
        place = int(np.searchsorted(children, code))
        if place == len(children) or int(children[place]) != code:
            return PathRange(0, 0)
        node = first + place
    starts = index.item_begin[len(codes)].numpy()
    return PathRange(int(starts[node]), int(starts[node + 1]))
