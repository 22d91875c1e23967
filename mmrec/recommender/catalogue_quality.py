"""Quality of a catalogue: duplicates, and items whose picture and words do not agree.

Unit of work: one request. Results over the whole catalogue are cached by their parameters, and stay through changes
that touch nothing which they were read from. Knows nothing about gRPC, customers or ranking.
"""

# Axes: N items, M items found or changed, R deleted items

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.item_words import words_of_item
from mmrec.contract.items import Evidence, ItemRecord, Modality, Versions
from mmrec.contract.outcomes import outcome
from mmrec.contract.replies import DuplicateGroup, DuplicateGroups, Mismatch, Mismatches
from mmrec.contract.requests import DuplicatesRequest, MismatchRequest
from mmrec.errors import MmrecError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec.recommender.page_tokens import ReturnedItems, page_by_rank
from mmrec.understanding import mismatch
from mmrec.understanding.duplicates import DuplicateConfig, DuplicateFeatures, Duplicates, find_duplicates

_WORST_SHARE = 0.01
"""Share of the catalogue, the worst items, that is reported when a request has no threshold."""
_KEPT_ANSWERS = 8


class _Found:
    """What was found in catalogues that are the same in all that it was read from; their checkers share it."""

    def __init__(self) -> None:
        self.begun = False
        """Whether anything was looked for."""
        self.duplicates: dict[tuple[float | None, Modality], Duplicates] = {}
        self.ranked: mismatch.Mismatches | None = None

    def of(self, modality: Modality) -> _Found:
        """What was read from this side of the items alone."""
        left = _Found()
        left.begun = True
        left.duplicates = {key: found for key, found in self.duplicates.copy().items() if key[1] is modality}
        return left


class QualityChecker:
    """Finds duplicates and mismatches in one catalogue.

    Args:
        catalogue: The items.
        vectors: Their vectors.
        filters: Conditions over the catalogue's columns.
        record: Gives a row as clients see it.
        versions: Named in every reply.
        found: What a checker of the catalogue before a change has found, and is still so.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        vectors: ModalityVectors,
        filters: CatalogueFilter,
        record: Callable[[int], ItemRecord],
        versions: Versions,
        found: _Found | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._vectors = vectors
        self._filters = filters
        self._record = record
        self._versions = versions
        self._found = found or _Found()

    def with_changes(
        self,
        catalogue: Catalogue,
        vectors: ModalityVectors,
        filters: CatalogueFilter,
        record: Callable[[int], ItemRecord],
        versions: Versions,
        rows_M: npt.NDArray[np.int64],
        deleted_R: npt.NDArray[np.int64],
    ) -> QualityChecker:
        """The checker of the changed catalogue, with what this one has found if the change touches nothing of it.

        Args:
            catalogue: The changed catalogue.
            vectors: Its vectors.
            filters: Conditions over its columns.
            record: Gives a row of it as clients see it.
            versions: Those after the change.
            rows_M: Rows that were replaced or added. Shape: (M,), int64.
            deleted_R: Rows of deleted items. Shape: (R,), int64.
        """
        before, found = self._catalogue, self._found
        kept: _Found | None = None
        # Where nothing was found yet, the features may not have been read, and need not be.
        if found.begun and len(catalogue) == len(before) and not len(deleted_R):
            now, then = vectors.features_of(rows_M), self._vectors.features_of(rows_M)
            pictures = np.array_equal(now.image_NI, then.image_NI) and np.array_equal(now.has_image_N, then.has_image_N)
            pictures &= np.array_equal(vectors.thumbnails_of(rows_M), self._vectors.thumbnails_of(rows_M))
            # Vectors of the same words differ in their last digits where they were computed beside other texts.
            words = all(self._words(catalogue, row) == self._words(before, row) for row in rows_M.tolist())
            kept = found if pictures and words else found.of(Modality.PICTURE if pictures else Modality.WORDS)
            kept = kept if pictures or words else None
        return QualityChecker(catalogue, vectors, filters, record, versions, kept)

    def _words(self, catalogue: Catalogue, row: int) -> tuple[str, str]:
        """The name of an item, and what is encoded of its words."""
        return _name(catalogue, row), words_of_item(catalogue.record(row), self._vectors.encoder.words)

    # --- duplicates -----------------------------------------------------------------------------------------------

    def duplicates_many(self, requests: Sequence[DuplicatesRequest]) -> list[DuplicateGroups | MmrecError]:
        """Groups of items that are the same thing."""
        return [outcome(self._groups, request) for request in requests]

    def _groups(self, request: DuplicatesRequest) -> DuplicateGroups:
        returned, ids = ReturnedItems(request), self._catalogue.item_ids
        rows = set(self._catalogue.rows_of(request.item_ids))
        shown_N = self._filters.bitmap(request.filter)
        # For words, `min_similarity` filters the groups; which items may form a group is the words' own threshold.
        least = None if request.modality is Modality.WORDS else request.min_similarity
        found = self._all_duplicates(least, request.modality)
        groups = []
        for group in found.groups:
            if request.modality is Modality.WORDS and group.similarity < (request.min_similarity or 0.0):
                continue
            members = [row for row in group.rows if shown_N[row]]
            if len(members) > 1 and (not request.item_ids or rows.intersection(members)):
                item_ids = tuple(ids[row] for row in members)
                groups.append(DuplicateGroup(item_ids, group.similarity, Evidence(group.by)))
        page = page_by_rank(
            request, request.page_size, returned, _not_returned(groups, returned), lambda group: group.item_ids
        )
        thresholds = found.thresholds
        return DuplicateGroups(
            groups=tuple(page.entries),
            missing_ids=self._catalogue.missing(request.item_ids),
            total=len(groups),
            picture_threshold=None if request.modality is Modality.WORDS else thresholds.picture_same,
            words_threshold=None if request.modality is Modality.PICTURE else thresholds.words_same,
            explanation=thresholds.why,
            next_page_token=page.next_page_token,
            versions=self._versions,
        )

    def _all_duplicates(self, least: float | None, modality: Modality) -> Duplicates:
        key, kept = (least, modality), self._found.duplicates
        self._found.begun = True
        found = kept.pop(key, None)
        if found is None:
            features = self._vectors.features
            pictures = modality is not Modality.WORDS
            words = modality is not Modality.PICTURE
            found = find_duplicates(
                DuplicateFeatures(
                    image_NI=_present(features.image_NI, features.has_image_N & pictures),
                    text_NT=_present(features.text_NT, features.has_text_N & words),
                    texts=self._names if words else None,
                    # A threshold in the request is about vectors; without one, pixels decide more exactly.
                    pixels_N3HW=self._vectors.thumbnails if pictures and least is None else None,
                ),
                DuplicateConfig(min_picture=least),
            )
        kept[key] = found  # the one that was asked for last is last
        for oldest in list(kept)[:-_KEPT_ANSWERS]:
            kept.pop(oldest, None)
        return found

    @cached_property
    def _names(self) -> list[str]:
        return [_name(self._catalogue, row) for row in range(len(self._catalogue))]

    # --- mismatches -----------------------------------------------------------------------------------------------

    def mismatches_many(self, requests: Sequence[MismatchRequest]) -> list[Mismatches | MmrecError]:
        """Items whose picture and words do not agree, worst first."""
        return [outcome(self._mismatches, request) for request in requests]

    def _mismatches(self, request: MismatchRequest) -> Mismatches:
        returned, ids = ReturnedItems(request), self._catalogue.item_ids
        ranked = self._all_ranked()
        keep_M = self._filters.bitmap(request.filter)[ranked.rows_M]
        if request.item_ids:
            keep_M &= np.isin(ranked.rows_M, self._catalogue.rows_of(request.item_ids))
        if request.max_agreement is not None:
            keep_M &= ranked.agreement_M < request.max_agreement
            why = f"items whose picture and words have a cosine below {request.max_agreement:g}, as asked"
        elif request.item_ids:
            why = "every asked item that has a picture and words"
        else:
            keep_M &= ranked.percentile_M < _WORST_SHARE
            why = f"the {_WORST_SHARE:.0%} of the items with a picture and words that fit each other worst"
        rows_kept = ranked.rows_M[keep_M].tolist()
        remaining = (
            place
            for place, row in zip(np.flatnonzero(keep_M).tolist(), rows_kept, strict=True)
            if ids[row] not in returned
        )
        page = page_by_rank(request, request.page_size, returned, remaining, lambda place: (ids[ranked.rows_M[place]],))
        return Mismatches(
            items=tuple(
                Mismatch(
                    self._record(int(ranked.rows_M[place])).only(request.item_fields),
                    float(np.clip(ranked.agreement_M[place], -1.0, 1.0)),
                    float(ranked.percentile_M[place]),
                    float(ranked.fit_M[place]),
                )
                for place in page.entries
            ),
            missing_ids=self._catalogue.missing(request.item_ids),
            total=int(np.count_nonzero(keep_M)),
            threshold=request.max_agreement,
            explanation=(
                f"{why}; {len(ranked.rows_M):,} of {self._catalogue.items:,} items have both. Worst first by fit: the "
                "share of other pictures under the same words, and of other words for the same picture, that fit worse"
            ),
            next_page_token=page.next_page_token,
            versions=self._versions,
        )

    def _all_ranked(self) -> mismatch.Mismatches:
        self._found.begun = True
        ranked = self._found.ranked
        if ranked is None:
            ranked = self._found.ranked = mismatch.find_mismatches(self._vectors.picture_ND, self._vectors.words_ND)
        return ranked


def _name(catalogue: Catalogue, row: int) -> str:
    """Title of an item, or its description; different items often have the same description."""
    return catalogue.titles[row] or catalogue.descriptions[row]


def _not_returned(groups: Iterable[DuplicateGroup], returned: ReturnedItems) -> Iterator[DuplicateGroup]:
    """Groups that were not returned yet, without items that were.

    A group is returned again only when two or more items have joined it since, and then with these alone.
    """
    for group in groups:
        left = tuple(item_id for item_id in group.item_ids if item_id not in returned)
        if len(left) > 1:
            yield group if len(left) == len(group.item_ids) else replace(group, item_ids=left)


def _present(rows_NI: npt.NDArray[np.float32], there_N: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Vectors, with zero rows for items that are not compared."""
    return np.where(there_N[:, None], rows_NI, np.float32(0))
