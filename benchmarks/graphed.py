"""Answers on a GPU, histories read and the decode index searched, recorded for replay by shape: see `cuda_graphs`.

Works on catalogue rows, places of the sorted table and sets that are ready to be searched within; knows nothing about
requests. There are two recordings for a shape: the LLM's, which outlives changes of the catalogue, and the search's,
which belongs to one state of it. Requests are padded to a few shapes: users to a power of two, history places to
one of sixteen sizes per power of two, items that are left out one by one to a power of two. What is padded stands on
the right and changes nothing. A shape that is not recorded, and is not to be, goes the same way without a recording.
"""

# Axes: B users, T history places, N items, D items left out (padded), W beams, H hidden width, R rows (users x
# places)

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cuda_graphs import Recorded, graph_pool
from benchmarks.graphed_reader import LEAST_PLACES, GraphedReader, ReadSlot
from mmrec.filters.mask import EligibilityMask
from mmrec.generator.batches import pad_histories, padded_size
from mmrec.generator.beam import beam_search
from mmrec.generator.semantic_id_head import EncodedHistory, NodeKeys, SemanticIdHead
from mmrec.semantic_ids.decode_index import DecodeIndex
from mmrec.semantic_ids.eligibility import FEW, BatchMasks, eligible, eligible_padded, everything, padded_places
from mmrec.semantic_ids.path_search import PathResult, checked_width

Histories = Sequence[npt.NDArray[np.int32]]

LEAST_LEFT_OUT = 64
"""Fewest items to be left out that are recorded."""

MOST_USERS = 64
"""Largest batch that is recorded."""

MOST_SET_BYTES = 2 << 30
"""Memory for the sets of one recorded shape; a filtered batch that takes more goes without a recording."""


class Shape(NamedTuple):
    """What one recording is for.

    Attributes:
        batch: Users.
        places: History places of each.
        left_out: Items that each may leave out one by one.
        within: Whether each may be confined to a set.
    """

    batch: int
    places: int
    left_out: int
    within: bool

    @classmethod
    def holding(cls, batch: int, places: int, left_out: int = 0, *, within: bool = False) -> Shape:
        """The smallest recorded shape for so much."""
        return cls(
            _power_of_two(batch),
            padded_size(max(places, LEAST_PLACES)),
            _power_of_two(max(left_out, LEAST_LEFT_OUT)) if left_out else 0,
            within,
        )


class Answer(NamedTuple):
    """What a batch of users is given.

    Attributes:
        paths: The items that were found, as `beam_search` gives them.
        state_BH: Hidden state of each user's last history place, for the other heads. Shape: (B, H).
    """

    paths: PathResult
    state_BH: Tensor


class GraphedSearch:
    """Search over one state of a catalogue.

    Recorded graphs depend on the decode index and its keys: for a changed catalogue, `with_catalogue` shares the graphs
    of the LLM and records new ones of the search.

    Args:
        reader: The model.
        tokens_NH: Token of every item. Shape: (N, H), float32.
        index: The decode index, where the model is.
        keys: Of its nodes.
        width: Beams per user, 1 or more.
        record: Whether a shape that is not recorded is recorded when it is first asked for, which takes as long as some
            dozens of answers; otherwise only `prepare` records. On a CPU nothing is recorded, and what `prepare` was
            asked for goes the padded way.

    Attributes:
        recorded: The recordings.

    Raises:
        InvalidArgumentError: `width` is below 1.
    """

    def __init__(
        self,
        reader: GraphedReader,
        tokens_NH: Tensor,
        index: DecodeIndex,
        keys: NodeKeys,
        *,
        width: int,
        record: bool = True,
    ) -> None:
        self.reader = reader
        self._tokens_NH = tokens_NH
        self._index = index
        self.keys = _converted(keys, reader.dtype)
        self._width = checked_width(width, index)
        self._asked_width = width
        self._record = record and reader.device.type == "cuda"
        self.recorded: dict[Shape, SearchSlot] = {}
        self._every_N: Tensor | None = None
        self._pool = graph_pool(reader.device)

    def with_catalogue(self, tokens_NH: Tensor, index: DecodeIndex, keys: NodeKeys) -> GraphedSearch:
        """The search for a changed catalogue, without recorded graphs; this one is not changed."""
        return GraphedSearch(self.reader, tokens_NH, index, keys, width=self._asked_width, record=self._record)

    def prepare(self, batch: int, places: int, left_out: int = 0, *, within: bool = False) -> Shape | None:
        """Record the shape that holds so much, if it can be; the shape, or None."""
        shape = Shape.holding(batch, min(places, self.reader.longest), left_out, within=within)
        if not self._recordable(shape):
            return None
        with self.reader.lock, torch.inference_mode():
            self._slot(shape)
        return shape

    @torch.inference_mode()
    def recommend(
        self,
        histories: Histories,
        left_out: Sequence[npt.NDArray[np.integer[Any]]],
        within: Sequence[EligibilityMask | None] | None = None,
    ) -> Answer:
        """The most probable eligible items of each user, as `Generator.read` and `beam_search` find them.

        Nothing waits for the GPU.

        Args:
            histories: Catalogue rows, oldest first, none of them empty; the last `max_history` are read.
            left_out: For each user, places of the sorted table that may not be returned, as in `eligible`.
            within: For each user, the set that the search is confined to; None for everything.

        Raises:
            InvalidArgumentError: a user leaves out more than `FEW` items one by one.
        """
        confined = within is not None and any(one is not None for one in within)
        shape = Shape.holding(
            len(histories),
            min(self.reader.longest, max([1, *map(len, histories)])),
            max((len(places) for places in left_out), default=0),
            within=confined,
        )
        if shape not in self.recorded and not (self._record and self._recordable(shape)):
            return self._plain(histories, left_out, within)
        with self.reader.lock:
            slot = self._slot(shape)
            slot.fill(histories, left_out, self.reader.longest, len(self._index.items_N))
            if confined:
                slot.confine(within or (), self._index.items_N, self._everything())
            torch.index_select(self._tokens_NH, 0, slot.history_R, out=slot.read.inputs_BTH.flatten(0, 1))
            torch.lt(slot.numbers_T, slot.lengths_B1, out=slot.read.valid_BT)
            slot.read.recorded.replay()
            paths, state_BH = slot.recorded.replay()
            own = slice(len(histories))
            return Answer(PathResult(*(part[own].clone() for part in paths)), state_BH[own].clone())

    def _plain(
        self,
        histories: Histories,
        left_out: Sequence[npt.NDArray[np.integer[Any]]],
        within: Sequence[EligibilityMask | None] | None,
    ) -> Answer:
        reader = self.reader
        history_BT, valid_BT = (part.to(reader.device) for part in pad_histories(histories, reader.longest))
        encoded = reader.encode(F.embedding(history_BT, self._tokens_NH), valid_BT)
        allowed = eligible(self._index, left_out, within)
        found = beam_search(reader.head, encoded, allowed, self._index, self.keys, width=self._width)
        return Answer(found, encoded.last())

    def _recordable(self, shape: Shape) -> bool:
        set_bytes = 4 * shape.batch * (len(self._index.items_N) + 1) if shape.within else 0
        return (
            self.reader.can_record
            and shape.batch <= MOST_USERS
            and shape.left_out <= FEW
            and set_bytes <= MOST_SET_BYTES
        )

    def _slot(self, shape: Shape) -> SearchSlot:
        slot = self.recorded.get(shape)
        if slot is None:
            read = self.reader.slot(shape.batch, shape.places)
            slot = SearchSlot(shape, read, self.reader.head, self._index, self.keys, self._width, self._pool)
            self.recorded[shape] = slot
        return slot

    def _everything(self) -> Tensor:
        if self._every_N is None:
            self._every_N = everything(self._index)
        return self._every_N


class SearchSlot:
    """Memory that one recording of a search reads, and the recording."""

    def __init__(
        self,
        shape: Shape,
        read: ReadSlot,
        head: SemanticIdHead,
        index: DecodeIndex,
        keys: NodeKeys,
        width: int,
        pool: Any,
    ) -> None:
        device, items = index.items_N.device, len(index.items_N)
        batch, places, columns, within = shape
        self.read, self._shape = read, shape
        # One transfer: histories, their lengths, and what is left out.
        rows = batch * places
        size = rows + batch + batch * columns
        self._staged = torch.zeros(size, dtype=torch.int32, pin_memory=device.type == "cuda")
        self._staged[rows : rows + batch] = 1
        self._staged[rows + batch :] = items
        self._packed = self._staged.to(device)
        self.history_R = self._packed[:rows]
        self.lengths_B1 = self._packed[rows : rows + batch].unsqueeze(1)
        self.numbers_T = torch.arange(places, dtype=torch.int32, device=device)
        is_gpu = device.type == "cuda"
        self._sent = torch.cuda.Event() if is_gpu else None  # type: ignore[no-untyped-call]
        place_BD = self._packed[rows + batch :].view(batch, columns) if columns else None
        self._counts_BN = torch.zeros(batch, items + 1, dtype=torch.int32, device=device) if within else None
        masks = None if self._counts_BN is None else BatchMasks(self._counts_BN, torch.arange(batch, device=device))
        self._sets: list[Tensor | None] = [None] * batch
        work = partial(_search, head, read.recorded, index, keys, width, place_BD, masks)
        self.recorded = Recorded(work, device, pool)

    def fill(
        self,
        histories: Histories,
        left_out: Sequence[npt.NDArray[np.integer[Any]]],
        longest: int,
        items: int,
    ) -> None:
        """Bring a request to where the recordings read it."""
        if self._sent is not None:
            # What was sent last may be on its way still.
            self._sent.synchronize()
        batch, places, columns, _ = self._shape
        rows = batch * places
        staged = self._staged.numpy()
        history_BT, lengths_B = staged[:rows].reshape(batch, places), staged[rows : rows + batch]
        lengths_B[:] = 1
        for row, history in enumerate(histories):
            tail = history[-longest:]
            history_BT[row, : len(tail)] = tail
            lengths_B[row] = len(tail)
        if columns:
            staged[rows + batch :] = padded_places(left_out, (batch, columns), items).ravel()
        self._packed.copy_(self._staged, non_blocking=True)
        if self._sent is not None:
            self._sent.record()

    def confine(self, within: Sequence[EligibilityMask | None], items_N: Tensor, every_N: Tensor) -> None:
        """Bring masks to where the recording reads them; one that is there already stays."""
        assert self._counts_BN is not None
        for row, mask in enumerate(within):
            counts_N = every_N if mask is None else mask.counts(items_N)
            if self._sets[row] is not counts_N:
                self._counts_BN[row].copy_(counts_N)
                self._sets[row] = counts_N


def _search(
    head: SemanticIdHead,
    read: Recorded[EncodedHistory],
    index: DecodeIndex,
    keys: NodeKeys,
    width: int,
    place_BD: Tensor | None,
    masks: BatchMasks | None,
) -> Answer:
    encoded = read.given
    allowed = eligible_padded(index, len(encoded.valid_BT), place_BD, masks)
    return Answer(beam_search(head, encoded, allowed, index, keys, width=width), encoded.last())


def _converted(keys: NodeKeys, dtype: torch.dtype) -> NodeKeys:
    written, scored = (
        tuple(table.mapped(lambda part: part.to(dtype)) for table in tables)
        for tables in (keys.written_PVH, keys.scored_PVH)
    )
    return keys._replace(written_PVH=written, scored_PVH=scored)


def _power_of_two(least: int) -> int:
    return 1 << max(0, least - 1).bit_length()
