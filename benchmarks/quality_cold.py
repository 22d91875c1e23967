"""Cold start of the whole recommender: items that no training has seen an event of, asked for among all items.

Items are held out, not users: the bundle was fitted on a data set in which these items have no events, and every event
of theirs that has another item before it is a question. Items are ranked as in service: by the blend of all channels
with the weights of the bundle. For a cold item that is the LLM's item head without a learned residual, the beam over
its semantic ID, and the words and fused embeddings that are like those of the history; transitions and popularity say
nothing of it. Knows nothing of tables.
"""

# Axes: N items, U users, Q questions, B questions of a chunk

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.cold_items import cold_questions
from benchmarks.quality_fit import load_ranker
from benchmarks.quality_sets import EVERY_RATING, is_cold
from benchmarks.quality_store import save_ranks
from mmrec.data.dataset import Need, read_dataset
from mmrec.evaluation.lists import unseen_items
from mmrec.evaluation.metrics import Ranks, join_ranks, rank_targets, ranks_in_lists
from mmrec.recommender.ranking_model import CHANNELS


def random_recall(histories: list[npt.NDArray[np.int32]], items: int, k: int) -> float:
    """Recall of a ranking that is blind to everything: `k` out of the items that are not in the history."""
    return float(np.mean([min(1.0, k / (items - len(np.unique(history)))) for history in histories]))


def ask(dataset: str, require: Need, bundle: str, ranks: str, device: str) -> dict[str, Any]:
    """Rank the cold targets with everything fused and with each channel.

    Args:
        dataset: The data set with all its events.
        require: Of `read_dataset`.
        bundle: Fitted without the cold items' events.
        ranks: Where the ranks go.
        device: Where the LLM computes.
    """
    start = time.monotonic()
    data = read_dataset(dataset, require=require, min_rating=EVERY_RATING)
    ranker = load_ranker(bundle, device)
    rows = [ranker.parts.catalogue.row_of(item_id) for item_id in data.catalogue.item_ids]
    interactions = data.interactions.restrict_items(np.array([-1 if row is None else row for row in rows]))
    cold_N = np.array([is_cold(item_id) for item_id in ranker.parts.catalogue.item_ids])
    if (known := ranker.parts.popularity_N[cold_N].sum()) > 0:
        raise AssertionError(f"the bundle has seen {known:.0f} events of cold items")
    questions = cold_questions(interactions, cold_N, least_history=1, warm_histories=True)
    found: dict[tuple[str, str], list[Ranks]] = {}

    def add(name: str, part: Ranks) -> None:
        found.setdefault((name, "removed"), []).append(part)

    for chunk in ranker.chunks(len(questions.targets_Q)):
        histories = questions.histories[chunk.begin : chunk.end]
        targets = questions.targets_Q[chunk.begin : chunk.end]
        eligible_BN = unseen_items(histories, ranker.items)
        features, generated_BW = ranker.features(histories, eligible_BN)
        fused = ranker.blend(ranker.parts.blend, features, eligible_BN)
        scores = {"fused": fused} | {name: features[name] for name in CHANNELS}
        for name, score in scores.items():
            add(name, rank_targets(score, targets, histories, remove_seen=True))
        if generated_BW is not None:
            add("semantic-id-beam", ranks_in_lists(generated_BW, targets))
    save_ranks(Path(ranks), {key: join_ranks(parts) for key, parts in found.items()})
    return {
        "seconds": time.monotonic() - start,
        "questions": len(questions.targets_Q),
        "users": questions.users_Q.tolist(),
        "cold_items": int(cold_N.sum()),
        "items": ranker.items,
        "chance": random_recall(questions.histories, ranker.items, 10),
        "weights": dict(ranker.parts.blend.weights),
    }
