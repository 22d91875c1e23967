"""Customers as vectors: whether the next film, held out, is among the items nearest to them; beside plain means.

Every film of a user but the last is the history, seen films are left out. The recommender itself, which a vector cannot
reach, is the upper bound.
"""

# Axes: U users, N items, D dimensions

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.intervals import mean_estimate, resample_weights, shown
from benchmarks.language_films import FILMS, SHORT_FIT, short_bundle
from benchmarks.options import Options
from benchmarks.report import Report, file_hashes
from mmrec.contract.replies import UserEmbedding
from mmrec.contract.requests import EmbedUserRequest
from mmrec.evaluation.metrics import rank_targets
from mmrec.recommender import Recommender

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]


def run(options: Options) -> None:
    """Measure, and store the table."""
    recommender = Recommender.load(short_bundle(options), device=options.device)
    now = recommender.snapshot()
    interactions, items_ND = now.parts.interactions, now.parts.fused_ND.whole()
    users = range(0, interactions.users, 20 if options.quick else 1)
    histories = [interactions.history(user)[:-1] for user in users]
    targets_U = np.array([interactions.history(user)[-1] for user in users])
    ids = now.parts.catalogue.item_ids
    requests = [EmbedUserRequest(tuple(ids[row] for row in history)) for history in histories]
    embedded = now.embed_user_many(requests)
    assert all(isinstance(one, UserEmbedding) for one in embedded)

    scores_UN = {"EmbedUser": np.stack([one.vector for one in embedded if isinstance(one, UserEmbedding)]) @ items_ND.T}
    for decay in (1.0, 0.9, 0.7):
        name = "mean of the history" + (f", each item {decay} times the one after it" if decay < 1 else "")
        scores_UN[name] = np.stack([_mean(items_ND[history], decay) for history in histories]) @ items_ND.T
    head_UN, blend_UN = [], []
    for begin in range(0, len(histories), 64):
        part = histories[begin : begin + 64]
        found = now.ranker.features(part, channels=now.parts.blend.channels).by_channel
        head_UN.append(found["item-head"].copy())
        blend_UN.append(now.ranker.blend(now.parts.blend, found))
    expected_UN = np.exp(np.concatenate(head_UN))
    scores_UN["mean of all items by the item head's probability"] = expected_UN @ items_ND @ items_ND.T
    scores_UN["the recommender itself (no vector)"] = np.concatenate(blend_UN)
    figures = {}
    for name, scores in scores_UN.items():
        ranks = rank_targets(scores, targets_U, histories, remove_seen=True)
        figures[name] = {
            "Recall@10": ranks.recall_at(10),
            "Recall@100": ranks.recall_at(100),
            "NDCG@10": ranks.ndcg_at(10),
        }
    report = Report(
        name="language-users",
        conditions=(
            f"MovieLens-100K, {SHORT_FIT}: the last film of each of {len(targets_U)} users, among the items nearest to "
            "the vector of the user's other films, those left out. 95% intervals over users; the last column is the "
            "difference to the plain mean of the history."
        ),
        columns=("vector", "Recall@10", "Recall@100", "NDCG@10", "Recall@10 less the plain mean's"),
        rows=_table(figures),
        data=file_hashes(options.data / FILMS, "items.tsv", "events.tsv"),
        rehearsal=options.quick,
    )
    report.publish()


def _mean(vectors_TD: Vectors, decay: float) -> Vectors:
    weights_T = decay ** np.arange(len(vectors_TD))[::-1]
    mean_D = weights_T @ vectors_TD
    return np.asarray(mean_D / np.linalg.norm(mean_D), np.float32)


def _table(figures: Mapping[str, Mapping[str, Floats]]) -> list[tuple[str, ...]]:
    plain = figures["mean of the history"]["Recall@10"]
    weights_RU = resample_weights(len(plain))
    return [
        (
            name,
            *(shown(mean_estimate(values, weights_RU)) for values in own.values()),
            shown(mean_estimate(own["Recall@10"] - plain, weights_RU), sign=True),
        )
        for name, own in figures.items()
    ]
