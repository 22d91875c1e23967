"""The model card of a bundle: its data, its models and its metrics, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmrec.contract.items import Versions
from mmrec.data.dataset import Dataset
from mmrec.generator.training_log import TrainingResult
from mmrec.recommender.artefact import Parts
from mmrec.semantic_ids.report import TokenReport
from mmrec.training.config import FitConfig
from mmrec.training.evaluation import Evaluation
from mmrec.training.instruction_tuning import TaskFigures

_HELD_OUT = {
    "leave-one-out": "each user's last event is for testing, the one before it for validation, the others for training",
    "time": "the last tenth of the time span is for testing, the tenth before it for validation, the rest for "
    "training; of each user, the first event of a period is predicted",
}


def model_card(
    data: Dataset,
    config: FitConfig,
    parts: Parts,
    evaluation: Evaluation,
    training: TrainingResult,
    tokens: TokenReport,
    versions: Versions,
    tasks: Sequence[TaskFigures] = (),
) -> str:
    """The model card as Markdown."""
    pictures = sum(bool(ref) for ref in data.catalogue.images)
    words = int(data.catalogue.has_words(config.words).sum())
    shape = config.generator
    backbone = shape.pretrained or f"a small decoder, {shape.layers} layers, {shape.hidden} wide, from scratch"
    lines = [
        f"# {data.name}",
        "",
        f"Made by mmrec with the preset `{config.preset}`. Model `{versions.model}`, catalogue `{versions.catalogue}`, "
        f"codebook `{versions.codebook}`.",
        "",
        "## What it was made from",
        "",
        f"- {len(data.catalogue):,} items, {pictures:,} with a picture, {words:,} with words",
        f"- {data.interactions.events:,} events of {data.interactions.users:,} users; {_HELD_OUT[config.split]}"
        if data.interactions.events
        else "- no events",
        *(f"- {table}" for table in data.summary.tables if table.used != table.rows),
        *(f"- {column.column} of the events: {column.words}" for column in data.summary.event_columns),
        "",
        "## What it is",
        "",
        f"- LLM: {backbone}; histories of up to {shape.max_history} items, one position each",
        f"- Fused embeddings: {parts.fused_ND.shape[1]} dimensions",
        f"- Semantic IDs: {_semantic_ids(config, tokens)}",
        f"- Trained for {len(training.epochs)} epochs; epoch {training.best_epoch} is served"
        if training.epochs
        else "- Not trained, for lack of events; items are recommended by their content",
        "- Channel weights: " + ", ".join(f"{name} {weight:.3f}" for name, weight in parts.blend.weights.items()),
        "",
        "## How well it does",
        "",
        f"{evaluation.users} of the test, ranked among all {evaluation.items:,} items.",
        "",
        "| ranked by | seen items | Recall@5 | NDCG@5 | Recall@10 | NDCG@10 |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {row.seen} | {row.recall[5]:.4f} | {row.ndcg[5]:.4f} | {row.recall[10]:.4f} "
        f"| {row.ndcg[10]:.4f} |"
        for row in evaluation.rows
    ]
    if evaluation.ratings:
        lines += ["", "| ratings predicted by | RMSE | MAE |", "|---|---|---|"]
        lines += [f"| {row.name} | {row.rmse:.4f} | {row.mae:.4f} |" for row in evaluation.ratings]
    if tasks:
        lines += ["", "| task of the instruction set | templates | questions | figures |", "|---|---|---|---|"]
        lines += [_task(figures.as_json()) for figures in tasks]
    lines += [
        "",
        *(line for doubt in evaluation.doubts for line in (f"{doubt}.", "")),
        "## Limits",
        "",
        "The model knows these events and nothing else of the customers. Popular items are recommended more often than "
        "rare ones. Metrics are measured on held-out events, not on sales.",
        "",
    ]
    return "\n".join(lines)


def _task(row: dict[str, Any]) -> str:
    figures = ", ".join(f"{name} {value:.4f}" for name, value in row.items() if isinstance(value, float))
    return f"| {row['task']} | {'seen' if row['seen'] else 'unseen'} | {row['questions']:,} | {figures} |"


def _semantic_ids(config: FitConfig, tokens: TokenReport) -> str:
    """The semantic IDs, in two or three sentences."""
    first = tokens.depths[0]
    codes = [level.codes for level in tokens.levels]
    used = sum(level.used for level in tokens.levels) / sum(codes)
    words = [
        f"`{config.tokenizer.kind}`, {len(codes)} levels of {max(codes)} codes ({used:.0%} of them used) and a "
        f"collision code ({tokens.collision_share:.1%} of items share their other codes with another item, at most "
        f"{tokens.largest_group} the same ones)."
    ]
    if first.transitions:
        words.append(
            f"{first.transitions.share:.1%} of training events keep the first code of the event before (by chance "
            f"{first.transitions.chance:.1%})."
        )
    for name, match in first.categories.items():
        words.append(
            f"Items with one first code share a `{name}` with a purity of {match.purity:.2f} (by chance "
            f"{match.chance_purity:.2f})."
        )
    return " ".join(words)
