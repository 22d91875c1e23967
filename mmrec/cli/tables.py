"""Tables that several commands print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmrec.cli.output import Output

if TYPE_CHECKING:
    from mmrec.pipeline import Evaluation

__all__ = ["print_evaluation"]


def print_evaluation(out: Output, evaluation: Evaluation) -> None:
    """Metrics of every ranker, with seen items removed and kept."""
    out.table(
        f"{evaluation.questions:,} users, ranked among {evaluation.items:,} items",
        ("ranked by", "seen", "Recall@5", "NDCG@5", "Recall@10", "NDCG@10"),
        [
            (
                row.name,
                row.seen,
                f"{row.recall[5]:.4f}",
                f"{row.ndcg[5]:.4f}",
                f"{row.recall[10]:.4f}",
                f"{row.ndcg[10]:.4f}",
            )
            for row in evaluation.rows
        ],
    )
