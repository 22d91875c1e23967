"""Next-item retrieval for items that no training has seen: which questions are asked, and how well they are answered.

Items are held out, not users: every event of a held-out item is taken from training, and each such event with a
history before it is a question. Knows nothing of how the vectors were made.
"""

# Axes: N items, Q questions, U users, D dimensions

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.segments import Segmented
from mmrec.channels.content import ContentConfig, content_scores
from mmrec.data.interactions import Interactions
from mmrec.evaluation.metrics import rank_targets

METRICS = ("Recall@10", "Recall@50", "NDCG@10", "Recall@10 among held-out films")
SHARE = 0.2
_CHUNK = 2048


class ColdQuestions(NamedTuple):
    """Events of held-out items, and what came before them.

    Attributes:
        users_Q: User row of each question. Shape: (Q,), int64.
        histories: Catalogue rows of the user's earlier events, oldest first.
        targets_Q: The held-out item that came next. Shape: (Q,), int32.
    """

    users_Q: npt.NDArray[np.int64]
    histories: list[npt.NDArray[np.int32]]
    targets_Q: npt.NDArray[np.int32]


def draw_cold_items(interactions: Interactions, items: int, seed: int = 0) -> npt.NDArray[np.bool_]:
    """Hold out a fifth of the items that have events. Shape: (N,), bool."""
    active = np.unique(interactions.items_E)
    drawn = np.random.default_rng(seed).choice(active, round(SHARE * len(active)), replace=False)
    cold_N = np.zeros(items, np.bool_)
    cold_N[drawn] = True
    return cold_N


def cold_questions(
    interactions: Interactions,
    cold_N: npt.NDArray[np.bool_],
    *,
    least_history: int,
    warm_histories: bool = False,
    users: int | None = None,
) -> ColdQuestions:
    """Every event of a held-out item with enough events before it.

    Args:
        interactions: All events.
        cold_N: Items that are held out. Shape: (N,), bool.
        least_history: Events before it.
        warm_histories: Whether the history is of other items alone.
        users: Of the first so many users; None for all.
    """
    asked, histories, targets = [], [], []
    for user in range(interactions.users if users is None else min(users, interactions.users)):
        items = interactions.history(user)
        is_cold_T = cold_N[items]
        for place in np.flatnonzero(is_cold_T).tolist():
            history = items[:place][~is_cold_T[:place]] if warm_histories else items[:place]
            if len(history) >= least_history:
                asked.append(user)
                histories.append(history)
                targets.append(int(items[place]))
    return ColdQuestions(np.array(asked, np.int64), histories, np.array(targets, np.int32))


def answer_questions(
    questions: ColdQuestions, vectors_ND: npt.NDArray[np.float32], cold_N: npt.NDArray[np.bool_]
) -> dict[str, npt.NDArray[np.float64]]:
    """Each metric, averaged over a user's questions, for every user that was asked. Shape of each: (U,).

    Items are ranked by the content channel (a decayed sum of cosines to the last ten), without those that the user
    has had: among the whole catalogue, and among the held-out items alone.
    """
    figures: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in METRICS}
    new_rows_N = np.where(cold_N, np.cumsum(cold_N) - 1, -1).astype(np.int32)
    for at in range(0, len(questions.targets_Q), _CHUNK):
        histories = questions.histories[at : at + _CHUNK]
        targets = questions.targets_Q[at : at + _CHUNK]
        scores = content_scores(histories, Segmented(vectors_ND), ContentConfig())
        ranks = rank_targets(scores, targets, histories, remove_seen=True)
        figures["Recall@10"].append(ranks.recall_at(10))
        figures["Recall@50"].append(ranks.recall_at(50))
        figures["NDCG@10"].append(ranks.ndcg_at(10))
        of_cold = [new_rows_N[history[cold_N[history]]] for history in histories]
        alone = rank_targets(scores[:, cold_N], new_rows_N[targets], of_cold, remove_seen=True)
        figures[METRICS[3]].append(alone.recall_at(10))
    users, place_Q, count_U = np.unique(questions.users_Q, return_inverse=True, return_counts=True)
    return {
        name: np.bincount(place_Q, weights=np.concatenate(parts), minlength=len(users)) / count_U
        for name, parts in figures.items()
    }
