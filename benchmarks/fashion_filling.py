"""Filling in a column of a catalogue from pictures and words, pictures alone and words alone.

The values of items whose titles were held out of everything are hidden, filled in by the library, and compared. Knows
nothing of how the encoders came to be.
"""

# Axes: N items, H hidden items, U titles

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.intervals import Estimate, ratio_estimate, resample_weights, shown
from benchmarks.kept import kept_arrays
from benchmarks.options import Options
from benchmarks.progress import Lines
from benchmarks.report import Report
from benchmarks.rows import Rows
from mmrec.catalogue.item_words import ItemWords
from mmrec.data.dataset import Dataset
from mmrec.training.imputation import ImputationConfig, impute_column, without_column
from mmrec_encoders.embedding.catalogue import encode_pictures, encode_words
from mmrec_encoders.finetuning.splitting import normalised_title
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder

COLUMN = "article_type"
MODALITIES = ("both", "picture", "words")
WORDS = {"title alone": "{title}", "title and other columns": ""}
"""Which words an item has, the column itself never among them; None is all others."""


class HeldOut(NamedTuple):
    """Items that nothing was trained on.

    Attributes:
        hidden_N: Shape: (N,), bool.
        title_N: Number of each item's title. Shape: (N,), int64.
    """

    hidden_N: npt.NDArray[np.bool_]
    title_N: npt.NDArray[np.int64]

    @classmethod
    def of(cls, data: Dataset, held_ids: set[str]) -> HeldOut:
        """Items of these ids; a title with a hidden item is hidden whole."""
        names = [normalised_title(title) for title in data.catalogue.titles]
        number = {name: place for place, name in enumerate(dict.fromkeys(names))}
        title_N = np.array([number[name] for name in names], np.int64)
        held = {title_N[row] for row, item_id in enumerate(data.catalogue.item_ids) if item_id in held_ids}
        return cls(np.isin(title_N, sorted(held)), title_N)


def measure_filling(
    data: Dataset,
    encoder: ItemEncoder,
    held: HeldOut,
    hashes: dict[str, str],
    options: Options,
    rows: Rows,
    work: Path,
) -> None:
    """Measure and publish the table."""
    truth = np.array(data.catalogue.attributes[COLUMN])
    asked_H = np.flatnonzero(held.hidden_N & (truth != ""))
    pictures = kept_arrays(work / "pictures.npz", lambda: _pictures(data, encoder))
    table, details = [], []
    titles_U, place_H = np.unique(held.title_N[asked_H], return_inverse=True)
    weights_RU = resample_weights(len(titles_U))
    counts_U = np.bincount(place_H).astype(np.float64)
    bare = without_column(data.catalogue, COLUMN)
    for words, template in WORDS.items():
        own = encoder.with_words(ItemWords(template)) if template else encoder
        encoded = kept_arrays(
            work / f"words-{words}.npz".replace(" ", "-"),
            lambda own=own: encode_words(own, bare, progress=Lines())._asdict(),
        )
        features = ItemFeatures(**pictures, **encoded)
        right: dict[str, npt.NDArray[np.float64]] = {}
        for modality in MODALITIES:

            def fill(modality: Any = modality, features: ItemFeatures = features) -> dict[str, Any]:
                values = np.where(held.hidden_N, "", truth).tolist()
                filled = impute_column(
                    COLUMN,
                    values,
                    features,
                    held.title_N.tolist(),
                    ImputationConfig(modality=modality),
                    progress=Lines(),
                )
                found = np.array(filled.values)[asked_H] == truth[asked_H]
                report = filled.report
                return {
                    "accuracy": float(found.mean()),
                    "said of itself": report.accuracy if report else None,
                    "calibration error": report.ece if report else None,
                    "right": found.astype(int).tolist(),
                }

            # Which words there are does not matter to pictures alone.
            label = f"{COLUMN} by {modality}" + ("" if modality == "picture" else f", words: {words}")
            row = rows.measure(label, fill)
            right[modality] = np.bincount(place_H, weights=np.array(row["right"], np.float64))
            details.append({"words": words, "modality": modality, **{k: v for k, v in row.items() if k != "right"}})
        own = [ratio_estimate(right[modality], counts_U, weights_RU) for modality in MODALITIES]
        gains = [ratio_estimate(right["both"] - right[other], counts_U, weights_RU) for other in MODALITIES[1:]]
        table.append(_cells(words, own, gains))
        details.append({"words": words, "estimates": [estimate.as_json() for estimate in [*own, *gains]]})
    labels = len(set(truth.tolist()) - {""})
    Report(
        "fashion-fill-in",
        f"{COLUMN} ({labels} values) of {len(asked_H):,} items of {len(titles_U):,} held-out titles, filled in with "
        f"the library's defaults from {int((~held.hidden_N).sum()):,} other items; pictures by the adapted encoder, "
        "words by MiniLM and never with the column itself; accuracy, 95% bootstrap intervals over titles, differences "
        "paired.",
        ("words", "both", "picture", "words alone", "both - picture", "both - words alone", "both beats either"),
        table,
        data=hashes,
        details={"rows": details},
        rehearsal=options.quick,
    ).publish()


def _cells(words: str, own: list[Estimate], gains: list[Estimate]) -> tuple[Any, ...]:
    wins = all(gain.low > 0 for gain in gains)
    return (words, *map(shown, own), *(shown(gain, sign=True) for gain in gains), "yes" if wins else "no")


def _pictures(data: Dataset, encoder: ItemEncoder) -> dict[str, npt.NDArray[Any]]:
    found = encode_pictures(encoder, data.catalogue, data.pictures, progress=Lines())
    return {"image_NI": found.image_NI, "has_image_N": found.has_image_N}
