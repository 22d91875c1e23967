"""From a dataset folder to the missing values of one of its columns: which encoders, and where the values go.

How values are found is in `mmrec.training.imputation`. Nothing the column says of an item is in the words that its
value is found by.
"""

# Axes: N items

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmrec.bundle import open_bundle
from mmrec.catalogue.catalogue import OWN_COLUMNS
from mmrec.data.dataset import Dataset, read_dataset
from mmrec.data.summary import DatasetSummary
from mmrec.data.table_files import FORMATS
from mmrec.data.word_columns import find_words
from mmrec.data.writing import write_table
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.recommender.artefact import ENCODERS
from mmrec.runtime.disk_errors import refusals_as_errors
from mmrec.runtime.files import replace_file
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.training.config import Modality
from mmrec.training.imputation import ImputationConfig, ImputationResult, impute_dataset, without_column
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder
from mmrec_encoders.presets import build_encoders
from mmrec_encoders.training import ItemEncoderConfig, following_pairs, train_item_encoder


@dataclass(frozen=True, slots=True)
class ImputationSource:
    """Whose encoders look at the items.

    Attributes:
        bundle: A bundle's; empty for none.
        encoders: Those of a folder that `save_item_encoder` wrote; empty for none. With neither, the packaged text
            encoder looks at words, and where pictures are looked at too, encoders are trained on the dataset.
        training: How they are trained.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        seed: Of training, and of what is held out.
    """

    bundle: str = ""
    encoders: str = ""
    device: str = "auto"
    dtype: str = "auto"
    training: ItemEncoderConfig = field(default_factory=ItemEncoderConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.bundle and self.encoders:
            raise InvalidArgumentError(
                f"bundle is {self.bundle!r} and encoders is {self.encoders!r}; pass one of them", field="encoders"
            )


@dataclass(frozen=True, slots=True)
class ImputedColumn:
    """A column with its missing values imputed.

    Attributes:
        item_ids: Of the whole catalogue. Length N.
        result: The values, their confidences, and how good they are where it could be measured.
        dataset_rows: What became of the rows of the dataset.
    """

    item_ids: tuple[str, ...]
    result: ImputationResult
    dataset_rows: DatasetSummary = field(default_factory=DatasetSummary)

    @property
    def counts(self) -> dict[str, int]:
        """Items by where their value comes from: ``given``, ``filled``, ``empty``."""
        counted = Counter(self.result.sources)
        return {name: counted[name] for name in ("given", "filled", "empty")}

    def rows(self) -> Iterator[tuple[str, str, str, float]]:
        """Id, value, source and confidence of each item."""
        result = self.result
        return zip(self.item_ids, result.values, result.sources, (float(c) for c in result.confidences_N), strict=True)

    def as_json(self, *, values: bool) -> dict[str, Any]:
        """What a program wants to know, with the `values` of all items or without."""
        report = self.result.report
        document: dict[str, Any] = {
            "column": self.result.column,
            "items": len(self.item_ids),
            "dataset_rows": asdict(self.dataset_rows),
            **self.counts,
            "temperature": self.result.temperature,
            "held_out": None
            if report is None
            else {**asdict(report), "coverage": [entry._asdict() for entry in report.coverage]},
        }
        if values:
            document["values"] = self.result.to_table(self.item_ids).to_pylist()
        return document


def impute_dataset_column(
    dataset: str | os.PathLike[str],
    column: str,
    source: ImputationSource | None = None,
    config: ImputationConfig | None = None,
    *,
    labels: Sequence[str] = (),
    progress: Progress = NO_PROGRESS,
    note: Callable[[str], None] = lambda _: None,
) -> ImputedColumn:
    """Fill in the missing values of a column.

    Args:
        dataset: The dataset folder.
        column: One of its further columns.
        source: Whose encoders look at the items; None: new ones.
        config: Which modality values are found by, and how sure they must be; its seed is that of the source.
        labels: Values to choose from beside those that the column has, which then need not exist.
        progress: Reports every stage.
        note: Called with sentences, before the work begins, which rows are not used and what looks wrong in the others.

    Raises:
        NotFoundError: there is no such folder.
        InvalidArgumentError: there is no such column, or a value breaks a rule.
        InvalidDatasetError: the dataset cannot be used.
    """
    source = source or ImputationSource()
    config = replace(config or ImputationConfig(), seed=source.seed)
    data = read_dataset(dataset)
    for line in data.notes:
        note(line)
    if column in OWN_COLUMNS or (column not in data.catalogue.attributes and not labels):
        columns = ", ".join(data.catalogue.attributes) or f"none besides {', '.join(OWN_COLUMNS)}"
        raise InvalidArgumentError(
            f"column is {column!r:.80}, which is no further column of {data.root}; those are {columns}: name one of "
            "them, or give labels for a new one",
            field="column",
        )
    encoder = _encoder(data, column, source, config.modality, progress)
    result = impute_dataset(data, column, encoder, config, labels=labels, progress=progress)
    return ImputedColumn(tuple(data.catalogue.item_ids), result, data.summary)


def write_imputed(imputed: ImputedColumn, path: Path) -> None:
    """Write the values of all items, whole or not at all; the suffix chooses the format.

    Raises:
        InvalidArgumentError: the suffix is of no format.
        FailedPreconditionError: the file cannot be written.
    """
    check_format(path)
    table = imputed.result.to_table(imputed.item_ids)
    if path.suffix in (".csv", ".tsv"):
        at = table.schema.get_field_index("alternatives")
        table = table.set_column(at, "alternatives", pa.array(_as_text(table["alternatives"].to_pylist()), pa.string()))

    def write(temporary: Path) -> None:
        with_suffix = temporary.with_suffix(path.suffix)
        try:
            write_table(with_suffix, table)
            with_suffix.replace(temporary)
        finally:
            with_suffix.unlink(missing_ok=True)

    try:
        with refusals_as_errors():
            replace_file(path, write)
    except OSError as err:
        raise FailedPreconditionError(
            f"cannot write {str(path)!r}: {err.strerror or err}; make the folder, free the disk, or name another file"
        ) from err


def _as_text(alternatives: Sequence[Sequence[Mapping[str, Any]] | None]) -> list[str]:
    return ["; ".join(f"{entry['value']} {entry['probability']:.4f}" for entry in row or ()) for row in alternatives]


def check_format(path: Path) -> None:
    """Refuse a file whose suffix is of no format.

    Raises:
        InvalidArgumentError: it is.
    """
    if path.suffix.removeprefix(".") not in FORMATS:
        raise InvalidArgumentError(
            f"out is {str(path)!r}; its ending chooses the format and must be one of "
            f"{', '.join('.' + name for name in FORMATS)}",
            field="out",
        )


def _encoder(
    data: Dataset, column: str, source: ImputationSource, modality: Modality, progress: Progress
) -> ItemEncoder:
    if source.bundle:
        folder = open_bundle(source.bundle).folder / ENCODERS
        return load_item_encoder(folder, source.device, source.dtype)
    if source.encoders:
        return load_item_encoder(Path(source.encoders), source.device, source.dtype)
    words = find_words(data.catalogue, data.settings.words, source.training.template)
    encoders = build_encoders("embedded", source.device, source.dtype)
    encoder = ItemEncoder(None, encoders.text, None, words)
    if modality == "words" or not any(data.catalogue.images):
        return encoder
    # Trained without the column: encoders that have read an item's value know it from the item's picture.
    catalogue = without_column(data.catalogue, column)
    pairs_P2 = following_pairs(data.interactions) if data.interactions.events else np.zeros((0, 2), np.int64)
    return train_item_encoder(
        encoder,
        catalogue,
        data.pictures,
        pairs_P2,
        source.training,
        device=source.device,
        seed=source.seed,
        progress=progress,
    )
