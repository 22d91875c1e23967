"""Looking things up in a catalogue: its rows page by page, and between items and semantic IDs.

Unit of work: a batch of requests of one kind. Knows nothing about gRPC, models or ranking. Semantic IDs are those of
one version of the codebooks; while one version is being replaced by another, paths of both may be asked about, so they
are held by version, and what is held is given when this is made and never changes: a new version comes with a new
`CatalogueLookUp` in a new snapshot.
"""

# Axes: N items, P levels of a semantic ID

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from mmrec.data.catalogue import Catalogue
from mmrec.data.filters import CatalogueFilter
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError
from mmrec.paging import page_of
from mmrec.recommender.finding import only_fields
from mmrec.tokens.decode_index import DecodeIndex
from mmrec.tokens.path_lookup import check_path, path_range
from mmrec.types import (
    ItemPage,
    ItemPath,
    ItemRecord,
    ListItemsRequest,
    ResolvedPath,
    ResolvedPaths,
    ResolveRequest,
    SemanticIds,
    SemanticIdsRequest,
    Versions,
)

__all__ = ["CatalogueLookUp", "CodebookPaths"]

Q = TypeVar("Q")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class CodebookPaths:
    """The paths that one version of the codebooks gives the items of a catalogue.

    Attributes:
        index: The tree of the paths, on the CPU.
        semantic_ids_NP: In catalogue order. Shape: (N, P), int32.
    """

    index: DecodeIndex
    semantic_ids_NP: npt.NDArray[np.int32]

    def path(self, row: int) -> tuple[int, ...]:
        """The path of a catalogue row."""
        return tuple(int(code) for code in self.semantic_ids_NP[row])


class CatalogueLookUp:
    """Looks things up in one catalogue.

    Args:
        catalogue: The items.
        filters: Conditions over the catalogue's columns.
        codebooks: Paths of the items by version of the codebooks; the one of `versions` is among them.
        record: A row as clients see it.
        versions: What replies are made with.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        filters: CatalogueFilter,
        codebooks: Mapping[str, CodebookPaths],
        record: Callable[[int], ItemRecord],
        versions: Versions,
    ) -> None:
        self._catalogue = catalogue
        self._filters = filters
        self._codebooks = dict(codebooks)
        self._record = record
        self._versions = versions

    # --- rows page by page ----------------------------------------------------------------------------------------

    def list_items_many(self, requests: Sequence[ListItemsRequest]) -> list[ItemPage | MmrecError]:
        """Pages of the rows that pass a filter, in catalogue order."""
        return [_caught(self._list_items, request) for request in requests]

    def _list_items(self, request: ListItemsRequest) -> ItemPage:
        rows = np.flatnonzero(self._filters.bitmap(request.filter))
        # Rows stay numbers until they are on the page: a catalogue may have millions.
        page = page_of(request, self._versions.catalogue, range(len(rows)))
        return ItemPage(
            items=tuple(only_fields(self._record(int(rows[place])), request.item_fields) for place in page.entries),
            total=len(rows),
            next_page_token=page.next_page_token,
            versions=self._versions,
        )

    # --- between items and semantic IDs ---------------------------------------------------------------------------

    def semantic_ids_many(self, requests: Sequence[SemanticIdsRequest]) -> list[SemanticIds | MmrecError]:
        """The paths of items."""
        return [_caught(self._semantic_ids, request) for request in requests]

    def _semantic_ids(self, request: SemanticIdsRequest) -> SemanticIds:
        version, paths = self._paths(request.codebook_version)
        rows = {item_id: self._catalogue.row_of(item_id) for item_id in request.item_ids}
        return SemanticIds(
            entries=tuple(
                ItemPath(item_id, paths.path(row)) for item_id in request.item_ids if (row := rows[item_id]) is not None
            ),
            missing_ids=tuple(item_id for item_id, row in rows.items() if row is None),
            versions=replace(self._versions, codebook=version),
        )

    def resolve_many(self, requests: Sequence[ResolveRequest]) -> list[ResolvedPaths | MmrecError]:
        """The items below paths."""
        return [_caught(self._resolve, request) for request in requests]

    def _resolve(self, request: ResolveRequest) -> ResolvedPaths:
        version, paths = self._paths(request.codebook_version)
        entries = tuple(
            self._below(paths, codes, request.page_size, f"semantic_ids[{i}]")
            for i, codes in enumerate(request.semantic_ids)
        )
        return ResolvedPaths(entries, replace(self._versions, codebook=version))

    def _below(self, paths: CodebookPaths, codes: tuple[int, ...], most: int, where: str) -> ResolvedPath:
        try:
            check_path(codes, paths.index.widths, where)
        except InvalidArgumentError as err:
            return ResolvedPath(codes, error=err)
        found = path_range(paths.index, codes)
        rows = paths.index.items_N[found.begin : min(found.end, found.begin + most)].tolist()
        return ResolvedPath(
            codes, tuple(replace(self._record(row), semantic_id=paths.path(row)) for row in rows), found.items
        )

    def _paths(self, version: str) -> tuple[str, CodebookPaths]:
        wanted = version or self._versions.codebook
        if wanted not in self._codebooks:
            raise FailedPreconditionError(
                f"codebook_version is {version!r:.80}; paths are known here in {', '.join(sorted(self._codebooks))}: "
                "ask for one of them, or leave it empty for the one being served"
            )
        return wanted, self._codebooks[wanted]


def _caught(answer: Callable[[Q], R], request: Q) -> R | MmrecError:
    try:
        return answer(request)
    except MmrecError as err:
        return err
