"""Report of a fine-tuning, as a value, as JSON, and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mmrec.data.summary import DatasetSummary
from mmrec_encoders.finetuning.retrieval import Retrieval
from mmrec_encoders.finetuning.scoring import HeldOutFigures
from mmrec_encoders.finetuning.task import EpochFigures
from mmrec_encoders.finetuning.zero_shot import LabelAccuracy

DIRECTIONS = {
    "text_to_image": "title to picture",
    "text_to_own_image": "title to its own picture",
    "image_to_text": "picture to title",
    "words_to_image": "all words to picture",
}


@dataclass(frozen=True, slots=True)
class FinetuningReport:
    """Configuration summary and results of a fine-tuning.

    Attributes:
        out: The output folder.
        mode: ``small``, ``full`` or ``locked-image``.
        pairs: Number of training pairs.
        texts: Number of distinct training texts.
        held_pictures: Number of held-out pairs.
        held_titles: Number of distinct held-out titles.
        batch: Pairs compared with each other in a step.
        steps: Steps done.
        unreadable: Item id and reason of unreadable pictures.
        before: Held-out figures before training; for a small CLIP, with random weights.
        after: Held-out figures of the result.
        epochs: Figures of each epoch.
        seconds: Wall time, interrupted runs included.
        fingerprints: Of the result, by tower.
        dataset_rows: Used and unused rows of the dataset.
    """

    out: str
    mode: str
    pairs: int
    texts: int
    held_pictures: int
    held_titles: int
    batch: int
    steps: int
    unreadable: tuple[tuple[str, str], ...]
    before: HeldOutFigures
    after: HeldOutFigures
    epochs: tuple[EpochFigures, ...]
    seconds: float
    fingerprints: Mapping[str, str]
    dataset_rows: DatasetSummary

    def as_json(self) -> dict[str, Any]:
        """JSON-serialisable form; `report_from_json` is the inverse."""
        return asdict(self)


def report_from_json(found: Mapping[str, Any]) -> FinetuningReport:
    """Inverse of `FinetuningReport.as_json`.

    Raises:
        KeyError: an entry is missing.
        TypeError: an entry is of another kind.
    """
    return FinetuningReport(
        **{
            **found,
            "unreadable": tuple((str(item), str(why)) for item, why in found["unreadable"]),
            "before": figures_from_json(found["before"]),
            "after": figures_from_json(found["after"]),
            "dataset_rows": DatasetSummary.from_json(found["dataset_rows"]),
            "epochs": tuple(EpochFigures(**epoch) for epoch in found["epochs"]),
        }
    )


def figures_from_json(found: Mapping[str, Any]) -> HeldOutFigures:
    """Inverse of `dataclasses.asdict`; raises as `report_from_json` does."""
    directions = {name: Retrieval(**found[name]) for name in DIRECTIONS}
    return HeldOutFigures(**directions, labels=tuple(LabelAccuracy(**label) for label in found["labels"]))


def report_page(report: FinetuningReport, dataset: str) -> str:
    """The report as Markdown."""
    lines = [
        f"# Encoders adapted to {dataset}",
        "",
        f"Mode {report.mode}: {report.pairs:,} pairs of a picture and words ({report.texts:,} different texts), "
        f"{report.batch:,} compared in a step, {len(report.epochs)} passes, {report.steps:,} steps, "
        f"{report.seconds / 60:.1f} minutes. {report.held_titles:,} titles with {report.held_pictures:,} pictures were "
        "held out; every figure below is on them. Unreadable pictures: "
        f"{len(report.unreadable):,}.",
        "",
        "## Retrieval",
        "",
        "A query is right when a picture with its very title (a title of the picture) is among the first k.",
        "",
        "| search | queries | among | R@1 before | after | R@5 before | after | R@10 before | after | "
        "median rank before | after |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, words in DIRECTIONS.items():
        old, new = getattr(report.before, name), getattr(report.after, name)
        lines.append(
            f"| {words} | {new.queries:,} | {new.candidates:,} | {old.recall_1:.4f} | {new.recall_1:.4f} | "
            f"{old.recall_5:.4f} | {new.recall_5:.4f} | {old.recall_10:.4f} | {new.recall_10:.4f} | "
            f"{old.median_rank:,.1f} | {new.median_rank:,.1f} |"
        )
    if report.after.labels:
        before = {label.column: label for label in report.before.labels}
        lines += [
            "",
            "## Zero-shot labels",
            "",
            "The label whose words are nearest to the picture, among all labels of the column.",
            "",
            "| column | labels | pictures | always the commonest | accuracy before | after |",
            "|---|---|---|---|---|---|",
        ]
        for label in report.after.labels:
            old_accuracy = f"{before[label.column].accuracy:.4f}" if label.column in before else ""
            lines.append(
                f"| {label.column} | {label.labels:,} | {label.pictures:,} | {label.commonest:.4f} | {old_accuracy} | "
                f"{label.accuracy:.4f} |"
            )
    lines += [
        "",
        "## Passes",
        "",
        "The last pass is kept, not the best one: to choose by held-out figures would spoil them.",
        "",
        "| pass | loss | title to picture R@1 | R@10 | picture to title R@10 | minutes |",
        "|---|---|---|---|---|---|",
        *(
            f"| {e.epoch} | {e.loss:.4f} | {e.recall_1:.4f} | {e.recall_10:.4f} | {e.image_recall_10:.4f} | "
            f"{e.seconds / 60:.1f} |"
            for e in report.epochs
        ),
        "",
    ]
    return "\n".join(lines)
