"""Tagging: requests in, labels with probabilities out, for described items or items of the catalogue.

There may be many labels, or many values of a column. Their vectors are cached, and a request without items only
prepares labels: all that it names, or a bounded number of a column's values, so that other calls can run in between.
Probabilities of a column's values are calibrated on catalogue items that have a value, encoded without it.

Unit of work: a batch of requests. Knows nothing about gRPC.
"""

# Axes: N items, L labels, D shared dimensions, M items to tag

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.item_words import item_text
from mmrec.contract.engine import CacheUse
from mmrec.contract.items import ItemFailure, ItemInput, Modality, Versions
from mmrec.contract.outcomes import outcome
from mmrec.contract.replies import ItemTags, Tag, TagCalibration, TagResults
from mmrec.contract.requests import TagRequest
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.recommender.modality_vectors import ModalityVectors, missing_modality, only_modality
from mmrec.understanding.calibration import fit_temperature
from mmrec.understanding.chunks import SENTENCE_CHUNK, item_chars, item_chunks, label_chunks
from mmrec.understanding.tagging import (
    COLUMN_STEPS,
    DEFAULT_TEMPERATURE,
    DEFAULT_TEMPLATES,
    SharedVectors,
    column_labels,
    label_scores,
    label_vectors,
    split_entries,
    tag_vectors,
)
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.protocols import Vectors

KEPT_LABELS = 25_000
"""Label vectors in the cache: two of the largest label sets fit."""
CALIBRATION_ROWS = 256
"""Most catalogue items that a column's probabilities are calibrated on."""
LEAST_CALIBRATION_ROWS = 20
"""With fewer items the default temperature is used."""
_ROWS_AT_ONCE = 32


class _Labels(NamedTuple):
    """What label vectors depend on: the column of a label set and the sentence templates."""

    column: str
    templates: tuple[str, ...]


@dataclass(slots=True)
class _Column:
    """A column whose values are labels, and how far its calibration has come.

    Attributes:
        labels: Values of the column, the most frequent first.
        rows: Catalogue rows to calibrate on. Shape: (M,), int64.
        targets: Index in `labels` of each row's own value. Shape: (M,), int64.
        seen: Features of the first rows, encoded without the column.
        calibrations: By modality and templates.
    """

    labels: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    seen: list[ItemFeatures] = field(default_factory=list)
    calibrations: dict[tuple[Modality, tuple[str, ...]], TagCalibration] = field(default_factory=dict)

    @property
    def done(self) -> int:
        return sum(len(part.has_text_N) for part in self.seen)


class Tagger:
    """Tags items.

    Args:
        catalogue: The items and their columns.
        vectors: Their vectors, and the encoders.
        versions: Named in every reply.
    """

    def __init__(self, catalogue: Catalogue, vectors: ModalityVectors, versions: Versions) -> None:
        self._catalogue = catalogue
        self._vectors = vectors
        self._versions = versions
        self._kept: OrderedDict[tuple[_Labels, str], Vectors] = OrderedDict()
        self._use = CacheUse()
        self._columns: dict[str, _Column] = {}

    def with_changes(
        self,
        catalogue: Catalogue,
        vectors: ModalityVectors,
        versions: Versions,
        rows_M: npt.NDArray[np.int64],
        deleted_R: npt.NDArray[np.int64],
    ) -> Tagger:
        """The tagger of the changed catalogue.

        It keeps all label vectors, which depend on no item, and each column of which neither the values nor the
        calibration items have changed.

        Args:
            catalogue: The changed catalogue.
            vectors: Its vectors.
            versions: Named in replies after the change.
            rows_M: Rows that were replaced or added. Shape: (M,), int64.
            deleted_R: Rows of deleted items. Shape: (R,), int64.
        """
        made = Tagger(catalogue, vectors, versions)
        made._kept, made._use = self._kept, self._use
        touched = np.union1d(rows_M, deleted_R)
        for name, column in list(self._columns.items()):
            old, new = self._catalogue.attributes[name], catalogue.attributes[name]
            before = (old[row] if row < len(old) else "" for row in rows_M.tolist())
            same = all(value.strip() == new[row].strip() for value, row in zip(before, rows_M.tolist(), strict=True))
            if same and not np.isin(column.rows, touched).any():
                made._columns[name] = column
        return made

    def tag_many(self, requests: Sequence[TagRequest]) -> list[TagResults | MmrecError]:
        """Labels of several batches of items; a request without items prepares (a part of) its labels."""
        return [outcome(self._tag, request) for request in requests]

    def _tag(self, request: TagRequest) -> TagResults:
        column = self._column(request.column) if request.column else None
        if not request.items and not request.item_ids:
            if column is None:
                self._label_vectors(request.labels, _named(request))
            else:
                self._step(column, request)
            return TagResults((), versions=self._versions)
        labels = request.labels if column is None else column.labels
        self._prepare(labels, request)
        labels_LD = self._label_vectors(labels, _named(request))
        calibration = TagCalibration(False, DEFAULT_TEMPERATURE)
        if column is not None:
            calibration = self._calibration(column, request, labels_LD)
        entries: list[ItemTags | ItemFailure] = []
        missing: dict[str, None] = {}
        for items in item_chunks(request.items, [item_chars(item) for item in request.items]):
            part = replace(request, items=items)
            entries += self._described(part, labels, labels_LD, calibration.temperature)
        for item_ids in item_chunks(request.item_ids):
            part = replace(request, item_ids=item_ids)
            known, unknown = self._known(part, labels, labels_LD, calibration.temperature)
            entries += known
            missing |= dict.fromkeys(unknown)
        return TagResults(tuple(entries), tuple(missing), calibration, self._versions)

    # --- items ----------------------------------------------------------------------------------------------------

    def _described(
        self, request: TagRequest, labels: tuple[str, ...], labels_LD: Vectors, temperature: float
    ) -> list[ItemTags | ItemFailure]:
        items = [_without(item, request.column) for item in request.items if isinstance(item, ItemInput)]
        good = [item for item in items if isinstance(item, ItemInput)]
        encoded = self._vectors.encoder.input_features(good)
        ids = [good[row].item_id for row in encoded.rows]
        tagged = iter(self._tagged(request, ids, encoded.features, labels, labels_LD, temperature))
        by_place = {row: next(tagged) for row in encoded.rows}
        by_place |= {row: ItemFailure(good[row].item_id, err) for row, err in encoded.errors.items()}
        rest = iter([by_place[row] for row in range(len(good))])
        seen = iter(items)
        entries: list[ItemTags | ItemFailure] = []
        for sent in request.items:
            if isinstance(sent, ItemFailure):
                entries.append(sent)
                continue
            item = next(seen)
            entries.append(next(rest) if isinstance(item, ItemInput) else ItemFailure(sent.item_id, item))
        return entries

    def _known(
        self, request: TagRequest, labels: tuple[str, ...], labels_LD: Vectors, temperature: float
    ) -> tuple[list[ItemTags | ItemFailure], tuple[str, ...]]:
        at_M = np.array(self._catalogue.rows_of(request.item_ids), np.int64)
        missing = self._catalogue.missing(request.item_ids)
        if not len(at_M):
            return [], missing
        ids = [self._catalogue.item_ids[row] for row in at_M]
        features = self._features_without(at_M, request.column)
        return self._tagged(request, ids, features, labels, labels_LD, temperature), missing

    def _tagged(
        self,
        request: TagRequest,
        ids: Sequence[str],
        features: ItemFeatures,
        labels: tuple[str, ...],
        labels_LD: Vectors,
        temperature: float,
    ) -> list[ItemTags | ItemFailure]:
        """Labels of items with these features."""
        if not ids:
            return []
        found = tag_vectors(
            self._shared(features, request.modality), labels, labels_LD, temperature=temperature, k=request.k
        )
        present_M = _present(features, request.modality)
        return [
            ItemTags(item_id, tuple(Tag(*pair) for pair in found.of(row, min_probability=request.min_score)))
            if present_M[row]
            else ItemFailure(item_id, missing_modality(request.modality))
            for row, item_id in enumerate(ids)
        ]

    def _shared(self, features: ItemFeatures, modality: Modality) -> SharedVectors:
        """Vectors of items in the requested modality; zero rows for what an item lacks."""
        fusion = self._vectors.fusion
        if modality is not Modality.FUSED:
            alone_MD = fusion.fuse(only_modality(features, modality))
            alone_MD[~_present(features, modality)] = 0.0
            return SharedVectors(alone_MD)
        picture, words = (self._shared(features, one).fused_ND for one in (Modality.PICTURE, Modality.WORDS))
        return SharedVectors(fusion.fuse(features), picture, words)

    def _features_without(self, rows_M: npt.NDArray[np.int64], column: str) -> ItemFeatures:
        """Features of catalogue items, encoded as if they had no value in a column."""
        features = self._vectors.features_of(rows_M)
        if not column:
            return features
        values = self._catalogue.attributes[column]
        changed = [place for place, row in enumerate(rows_M) if values[row].strip() and features.has_text_N[place]]
        if not changed:
            return features
        encoder = self._vectors.encoder
        texts = {}
        for place in changed:
            record = self._catalogue.record(int(rows_M[place]))
            blank = replace(record, attributes={**record.attributes, column: ""})
            texts[place] = item_text(blank, encoder.words).strip()
        left = [place for place in changed if texts[place]]
        features.has_text_N[changed] = False
        features.text_NT[changed] = 0.0
        if left:
            features.has_text_N[left] = True
            features.text_NT[left] = encoder.text.encode([texts[place] for place in left])
        return features

    @property
    def cache_use(self) -> CacheUse:
        """How often the vector of a label was found, by this tagger and those that it was changed from."""
        return self._use

    # --- labels ---------------------------------------------------------------------------------------------------

    def _label_vectors(self, labels: Sequence[str], named: _Labels, most: int | None = None) -> Vectors:
        """Vectors of labels; at most `most` new ones are encoded now. Shape: (L, D), L labels that have a vector."""
        unknown = [label for label in labels if (named, label) not in self._kept]
        todo = unknown if most is None else unknown[:most]
        self._use.hits += len(labels) - len(unknown)
        self._use.misses += len(todo)
        if todo:
            made_LD = label_vectors(todo, self._encode, column=named.column, templates=named.templates)
            self._kept |= {(named, label): row for label, row in zip(todo, made_LD, strict=True)}
        known = [label for label in labels if (named, label) in self._kept]
        for label in known:
            self._kept.move_to_end((named, label))
        vectors = [self._kept[named, label] for label in known]
        while len(self._kept) > KEPT_LABELS:
            self._kept.popitem(last=False)
        return np.stack(vectors) if vectors else np.zeros((0, self._vectors.fused_ND.shape[1]), np.float32)

    def _prepare(self, labels: Sequence[str], request: TagRequest) -> None:
        """Encode labels in the same chunks as a server does, so that their vectors are bit-identical."""
        named = _named(request)
        if request.column:
            most = self._labels_a_step(labels, named)
            chunks = [tuple(labels[start : start + most]) for start in range(0, len(labels), most)]
        else:
            chunks = label_chunks(labels, request.templates)
        for chunk in chunks:
            if not all((named, label) in self._kept for label in chunk):
                self._label_vectors(chunk, named)

    def _encode(self, texts: list[str]) -> Vectors:
        return self._vectors.fusion.text_query(self._vectors.encoder.text.encode(texts, query=True))

    # --- columns --------------------------------------------------------------------------------------------------

    def _column(self, name: str) -> _Column:
        if name in self._columns:
            return self._columns[name]
        values = self._catalogue.attributes.get(name)
        if values is None:
            columns = ", ".join(self._catalogue.attributes) or "none"
            raise InvalidArgumentError(
                f"column is {name!r:.80}, which the catalogue does not have; its columns are {columns}", field="column"
            )
        labels = column_labels(values)
        if not labels:
            raise InvalidArgumentError(
                f"column {name!r} has no value in any item, so there is nothing to choose from; pass labels",
                field="column",
            )
        places = {label: place for place, label in enumerate(labels)}
        entries = [split_entries(value) for value in values]
        rows = np.array([row for row, own in enumerate(entries) if len(own) == 1 and own[0] in places], np.int64)
        if len(rows) > CALIBRATION_ROWS:
            rows = np.sort(np.random.default_rng(0).choice(rows, CALIBRATION_ROWS, replace=False))
        targets = np.array([places[entries[row][0]] for row in rows], np.int64)
        if len(rows) < LEAST_CALIBRATION_ROWS:
            rows, targets = rows[:0], targets[:0]
        self._columns[name] = _Column(labels, rows, targets)
        return self._columns[name]

    def _step(self, column: _Column, request: TagRequest) -> None:
        """Prepare a bounded part of a column: label vectors first, then the calibration items."""
        named = _named(request)
        most = self._labels_a_step(column.labels, named)
        if len(self._label_vectors(column.labels, named, most)) < len(column.labels):
            return
        self._see(column, request.column)

    @staticmethod
    def _labels_a_step(labels: Sequence[str], named: _Labels) -> int:
        return max(1, SENTENCE_CHUNK // len(named.templates), -(-len(labels) // COLUMN_STEPS))

    def _see(self, column: _Column, name: str) -> bool:
        """Encode the next calibration items; False when none was left."""
        rows_M = column.rows[column.done : column.done + _ROWS_AT_ONCE]
        if len(rows_M):
            column.seen.append(self._features_without(rows_M, name))
        return bool(len(rows_M))

    def _calibration(self, column: _Column, request: TagRequest, labels_LD: Vectors) -> TagCalibration:
        key = (request.modality, request.templates)
        if key not in column.calibrations:
            while self._see(column, request.column):
                pass
            column.calibrations[key] = self._fitted(column, request.modality, labels_LD)
        return column.calibrations[key]

    def _fitted(self, column: _Column, modality: Modality, labels_LD: Vectors) -> TagCalibration:
        """The temperature, fitted on half of the calibration items and measured on the other half."""
        default = TagCalibration(False, DEFAULT_TEMPERATURE)
        if not column.seen:
            return default
        features = ItemFeatures._make(np.concatenate(parts) for parts in zip(*column.seen, strict=True))
        keep = np.flatnonzero(_present(features, modality))
        # Items with the same title are variants of one product: they must not be in both halves.
        groups = [self._catalogue.titles[row] or self._catalogue.item_ids[row] for row in column.rows[keep]]
        if len(keep) < LEAST_CALIBRATION_ROWS or len(set(groups)) < LEAST_CALIBRATION_ROWS or len(column.labels) < 2:
            return default
        chosen = ItemFeatures._make(part[keep] for part in features)
        scores_ML = label_scores(self._shared(chosen, modality), labels_LD)
        found = fit_temperature(scores_ML, column.targets[keep], groups)
        return TagCalibration(True, found.temperature, found.rows, found.accuracy, found.ece)


def _named(request: TagRequest) -> _Labels:
    templates = request.templates or DEFAULT_TEMPLATES
    return _Labels(request.column, templates)


def _without(item: ItemInput, column: str) -> ItemInput | MmrecError:
    """A described item as if it had no value in a column."""
    if not column or column not in item.attributes:
        return item
    try:
        return replace(item, attributes={name: value for name, value in item.attributes.items() if name != column})
    except MmrecError:
        return InvalidArgumentError(
            f"item {item.item_id!r} has nothing but the column {column!r}, which is what is asked; give a picture or "
            "other words",
            field="attributes",
        )


def _present(features: ItemFeatures, modality: Modality) -> npt.NDArray[np.bool_]:
    """Which items have the requested modality. Shape: (M,), bool."""
    if modality is Modality.FUSED:
        return np.asarray(features.has_image_N | features.has_text_N)
    return features.has_image_N if modality is Modality.PICTURE else features.has_text_N
