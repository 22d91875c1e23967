"""Semantic IDs as text, ``12/200/7``, and the items whose paths begin with a prefix.

Works on one path and a decode index on the CPU.
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
    """Items with a common path prefix: places `begin` to `end` (exclusive) of the sorted table."""

    begin: int
    end: int

    @property
    def items(self) -> int:
        """Number of items."""
        return self.end - self.begin


def parse_path(text: str) -> tuple[int, ...]:
    """Parse a path or a prefix of at least one code.

    Raises:
        InvalidArgumentError: it is not integers separated by slashes.
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
    """Inverse of `parse_path`."""
    return "/".join(str(int(code)) for code in codes)


def check_path(codes: Sequence[int], widths: tuple[int, ...], where: str = "path") -> None:
    """Check that `codes` can be the prefix of a path, now or after items are added.

    Args:
        codes: The path or prefix.
        widths: Codes per level of the index. The last level, which resolves collisions, is not limited.
        where: Field name for messages.

    Raises:
        InvalidArgumentError: it is empty, longer than a semantic ID, or has a code out of range.
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
    """Items whose paths begin with `codes`; an empty range if there are none.

    Args:
        index: On the CPU.
        codes: 0 to P codes; empty for all items.
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
