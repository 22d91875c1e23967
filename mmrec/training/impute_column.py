"""Imputes a column of a dataset folder: loads or trains the encoders, and writes the values to a file.

The imputation itself is in `mmrec.training.imputation`. An item's own value is never part of the text from which its
value is predicted.
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
from mmrec.training.imputation import ImputationConfig, ImputationResult, check_column, impute_dataset, without_column
from mmrec.training.modality import Modality
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder
from mmrec_encoders.presets import build_encoders
from mmrec_encoders.training import ItemEncoderConfig, TrainingItems, following_pairs, train_item_encoder


@dataclass(frozen=True, slots=True)
class ImputationSource:
    """The encoders for an imputation.

    Attributes:
        bundle: A bundle whose encoders are used; empty for none.
        encoders: A folder of encoders written by `save_item_encoder`; empty for none. With neither, the packaged text
            encoder is used, and if pictures are used too, encoders are trained on the dataset.
        training: How encoders are trained.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        seed: Seed of training and of the held-out items.
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
        result: The values, their confidences, and their accuracy if it could be measured.
        dataset_rows: How many rows of the dataset were used.
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
        """The result as JSON values, with or without the `values` of all items."""
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
        source: The encoders; None: see `ImputationSource`.
        config: See `ImputationConfig`; its seed is replaced by that of the source.
        labels: Further possible values; with them, the column need not exist.
        progress: Reports every stage.
        note: Called before the work begins, with messages about rows that are not used and about suspect values.

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
    check_column(data.catalogue, column, labels)
    encoder = _encoder(data, column, source, config.modality, progress)
    result = impute_dataset(data, column, encoder, config, labels=labels, progress=progress)
    return ImputedColumn(tuple(data.catalogue.item_ids), result, data.summary)


def write_imputed(imputed: ImputedColumn, path: Path) -> None:
    """Write the values of all items atomically; the suffix of the file determines the format.

    Raises:
        InvalidArgumentError: the suffix is unknown.
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
            f"cannot write {str(path)!r}: {err.strerror or err}; make the folder, free disk space, or name another file"
        ) from err


def _as_text(alternatives: Sequence[Sequence[Mapping[str, Any]] | None]) -> list[str]:
    return ["; ".join(f"{entry['value']} {entry['probability']:.4f}" for entry in row or ()) for row in alternatives]


def check_format(path: Path) -> None:
    """Check the suffix of a file.

    Raises:
        InvalidArgumentError: the suffix is unknown.
    """
    if path.suffix.removeprefix(".") not in FORMATS:
        raise InvalidArgumentError(
            f"out is {str(path)!r}; its suffix determines the format and must be one of "
            f"{', '.join('.' + name for name in FORMATS)}",
            field="out",
        )


def _encoder(
    data: Dataset, column: str, source: ImputationSource, modality: Modality, progress: Progress
) -> ItemEncoder:
    if source.bundle:
        folder = open_bundle(source.bundle).folder / ENCODERS
        return load_item_encoder(folder, source.device, source.dtype, when_used=True)
    if source.encoders:
        return load_item_encoder(Path(source.encoders), source.device, source.dtype, when_used=True)
    words = find_words(data.catalogue, data.settings.words, source.training.template)
    encoders = build_encoders("embedded", source.device, source.dtype)
    encoder = ItemEncoder(None, encoders.text, None, words)
    if modality == "words" or not any(data.catalogue.images):
        return encoder
    # Trained without the column: otherwise the image encoder would learn the values of training items.
    catalogue = without_column(data.catalogue, column)
    pairs_P2 = following_pairs(data.interactions) if data.interactions.events else np.zeros((0, 2), np.int64)
    return train_item_encoder(
        encoder,
        TrainingItems(catalogue, data.pictures, pairs_P2),
        source.training,
        device=source.device,
        seed=source.seed,
        progress=progress,
    )
