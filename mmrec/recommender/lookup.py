"""Lookups in a catalogue: rows by id or page by page, semantic IDs of items, and items of semantic IDs.

Unit of work: a batch of requests of one kind. Knows nothing about gRPC, models or ranking. Semantic IDs belong to one
version of the codebooks. While a version is replaced by another, clients may use paths of both, so paths are stored by
version.
"""

# Axes: N items, P levels of a semantic ID

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.segments import Segmented
from mmrec.contract.items import ItemRecord, Versions
from mmrec.contract.outcomes import outcome
from mmrec.contract.replies import ItemLookup, ItemPage, ItemPath, ResolvedPath, ResolvedPaths, SemanticIds
from mmrec.contract.requests import ItemsRequest, ListItemsRequest, ResolveRequest, SemanticIdsRequest
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError, NotFoundError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.id_order import IdOrder
from mmrec.recommender.page_tokens import last_id, page_by_id
from mmrec.semantic_ids.decode_index import DecodeIndex, change_decode_index
from mmrec.semantic_ids.path_lookup import check_path, path_range

_NO_CODE = -1


@dataclass(frozen=True, slots=True, eq=False)
class CodebookPaths:
    """Semantic IDs of the items of a catalogue in one version of the codebooks.

    Attributes:
        index: Decode index over the paths, on the CPU.
        semantic_ids_NP: In catalogue order; below 0 for an item without a path. Rows after the last have none either.
            Shape: (N, P), int32.
    """

    index: DecodeIndex
    semantic_ids_NP: Segmented[npt.NDArray[np.int32]]

    def path(self, row: int) -> tuple[int, ...]:
        """The path of a catalogue row; empty if it has none."""
        codes = self.semantic_ids_NP[row].tolist() if row < len(self.semantic_ids_NP) else [_NO_CODE]
        return () if codes[0] == _NO_CODE else tuple(codes)


@dataclass(frozen=True, slots=True, eq=False)
class FormerCodebook:
    """Codebooks that were served before, kept so that their semantic IDs can still be looked up.

    Items added later have no path in them, and deleted items are not found.

    Attributes:
        version: Version of these codebooks.
        paths: Paths by row of the catalogue that is served.
    """

    version: str
    paths: CodebookPaths

    def without(self, deleted_R: npt.NDArray[np.int64]) -> FormerCodebook | None:
        """This value without deleted items; None when no item is left. Shape of `deleted_R`: (R,), rows."""
        had = deleted_R[deleted_R < len(self.paths.semantic_ids_NP)]
        index, left = self.paths.index, len(self.paths.index.items_N)
        here = np.isin(index.items_N.numpy(), had)
        if not here.any():
            return self
        if here.sum() == left:
            return None
        none_MP, no_M = np.empty((0, index.levels), np.int32), np.empty(0, np.int64)
        none_HP = np.full((len(had), index.levels), _NO_CODE, np.int32)
        semantic_ids_NP = self.paths.semantic_ids_NP.replaced(had, none_HP)
        changed = change_decode_index(index, added_MP=none_MP, rows_M=no_M, removed_R=had)
        return FormerCodebook(self.version, CodebookPaths(changed, semantic_ids_NP))

    def moved_to(self, old: Catalogue, new: Catalogue) -> FormerCodebook | None:
        """This value in the rows of another catalogue; None when that has none of the items."""
        rows_O = np.array([_NO_CODE if (row := new.row_of(item_id)) is None else row for item_id in old.item_ids])
        kept = self.without(np.flatnonzero(rows_O == _NO_CODE))
        if kept is None:
            return None
        index = kept.paths.index
        items_N = rows_O[index.items_N.numpy()].astype(np.int32)
        semantic_ids_NP = np.full((len(new), index.levels), _NO_CODE, np.int32)
        semantic_ids_NP[items_N] = kept.paths.semantic_ids_NP[index.items_N.numpy()]
        return FormerCodebook(
            self.version,
            CodebookPaths(index._replace(items_N=torch.from_numpy(items_N)), Segmented(semantic_ids_NP)),
        )


class CatalogueLookup:
    """Answers lookups in one catalogue.

    Args:
        catalogue: The items.
        filters: Conditions over the catalogue's columns.
        codebooks: Paths of the items by version of the codebooks, the one of `versions` included.
        record: Gives a row as clients see it.
        versions: Named in every reply.
        order: Order of the ids in the catalogue that was changed into this one; None to make it.

    Attributes:
        order: Order of the ids in this catalogue.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        filters: CatalogueFilter,
        codebooks: Mapping[str, CodebookPaths],
        record: Callable[[int], ItemRecord],
        versions: Versions,
        order: IdOrder | None = None,
    ) -> None:
        self.order = order or IdOrder()
        self._catalogue = catalogue
        self._filters = filters
        self._codebooks = dict(codebooks)
        self._record = record
        self._versions = versions

    @property
    def codebook_versions(self) -> tuple[str, ...]:
        """Versions of the codebooks whose semantic IDs can be looked up, the one that is served first."""
        served = self._versions.codebook
        return (served, *sorted(self._codebooks.keys() - {served}))

    # --- rows by id ------------------------------------------------------------------------------------------------

    def items_many(self, requests: Sequence[ItemsRequest]) -> list[ItemLookup | MmrecError]:
        """Rows of items, in the asked order."""
        return [self._items(request) for request in requests]

    def _items(self, request: ItemsRequest) -> ItemLookup:
        rows = self._catalogue.rows_of(request.item_ids)
        return ItemLookup(
            items=tuple(self._record(row).only(request.item_fields) for row in rows),
            missing_ids=self._catalogue.missing(request.item_ids),
            versions=self._versions,
        )

    # --- rows page by page ----------------------------------------------------------------------------------------

    def list_items_many(self, requests: Sequence[ListItemsRequest]) -> list[ItemPage | MmrecError]:
        """Pages of the rows that pass a filter, by id."""
        return [outcome(self._list_items, request) for request in requests]

    def _list_items(self, request: ListItemsRequest) -> ItemPage:
        last = last_id(request)
        passing_N, ids = self._filters.bitmap(request.filter), self._catalogue.item_ids
        rows = self.order.after(ids, last, passing_N, request.page_size + 1).tolist()
        page = page_by_id(request, rows[: request.page_size], len(rows) > request.page_size, ids.__getitem__)
        return ItemPage(
            items=tuple(self._record(row).only(request.item_fields) for row in page.entries),
            total=int(np.count_nonzero(passing_N)),
            next_page_token=page.next_page_token,
            versions=self._versions,
        )

    # --- between items and semantic IDs ---------------------------------------------------------------------------

    def semantic_ids_many(self, requests: Sequence[SemanticIdsRequest]) -> list[SemanticIds | MmrecError]:
        """The paths of items."""
        return [outcome(self._semantic_ids, request) for request in requests]

    def _semantic_ids(self, request: SemanticIdsRequest) -> SemanticIds:
        version, paths = self._paths(request.codebook_version)
        return SemanticIds(
            entries=tuple(
                _item_path(self._catalogue.item_ids[row], paths.path(row), version)
                for row in self._catalogue.rows_of(request.item_ids)
            ),
            missing_ids=self._catalogue.missing(request.item_ids),
            versions=replace(self._versions, codebook=version),
        )

    def resolve_many(self, requests: Sequence[ResolveRequest]) -> list[ResolvedPaths | MmrecError]:
        """The items below paths."""
        return [outcome(self._resolve, request) for request in requests]

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


def _item_path(item_id: str, codes: tuple[int, ...], version: str) -> ItemPath:
    if codes:
        return ItemPath(item_id, codes)
    return ItemPath(
        item_id,
        (),
        NotFoundError(
            f"item {item_id!r:.80} has no semantic ID in the codebooks {version!r:.80}: it came after them; leave "
            "codebook_version empty for its semantic ID in those being served"
        ),
    )
