"""Explanations: each channel's share of a score, divided over the history items that it is based on.

Unit of work: one customer's list. Knows nothing about requests. Counting channels are sums over the history, so the
part of each item is known. The LLM is run again with one history item left out at a time (occlusion, Zeiler & Fergus
2014): what a score loses without an item is the part of this item.
"""

# Axes: K recommended items, T history places, N items

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mmrec.channels.blend import Blend
from mmrec.contract.items import ChannelShare, HistoryShare
from mmrec.recommender.ranking_model import CHANNELS, NEW_ITEM, SENTENCE, WISH, RankingModel
from mmrec.recommender.steering import INSTRUCTION

SHARE_FLOOR = 1e-6
"""Shares smaller than this are left out of an explanation."""


def explain_ranking(
    ranker: RankingModel,
    history: npt.NDArray[np.int32],
    rows_K: npt.NDArray[np.int64],
    features: Mapping[str, npt.NDArray[np.float32]],
    *,
    blend: Blend | None = None,
    lift: float = 0.0,
    added: Sequence[Mapping[str, float]] = (),
) -> list[tuple[ChannelShare, ...]]:
    """Parts of the scores of recommended items, the largest first; they add up to the score.

    Args:
        ranker: What ranked them.
        history: Catalogue rows, oldest first; not empty without an instruction.
        rows_K: The recommended items. Shape: (K,).
        features: Their scores by channel. Shape of each: (K,), float32.
        blend: Weights of the channels; None: the bundle's.
        lift: What was added to the scores of items without training events.
        added: What the business rules of the request added to each of `rows_K`, by name; empty for nothing.

    Returns:
        One tuple per recommended item. Each channel's `history` adds up to its share.
    """
    blend = blend or ranker.parts.blend
    item_ids = ranker.parts.catalogue.item_ids
    shares: list[list[ChannelShare]] = [[] for _ in rows_K]
    weighed = {name: blend.weights[name] * feature.astype(np.float64) for name, feature in features.items()}
    by_sentence_K = weighed.pop(WISH, np.zeros(len(rows_K)))
    if SENTENCE in weighed:
        by_sentence_K = by_sentence_K + weighed.pop(SENTENCE)
        if len(history):
            # What the sentence adds to what the history alone would give.
            alone_K = blend.weights[SENTENCE] * ranker.without_sentence(history, rows_K).astype(np.float64)
            by_sentence_K = by_sentence_K - alone_K
            weighed["item-head"] = weighed.get("item-head", 0.0) + alone_K
    for channel in CHANNELS:
        if channel not in weighed:
            continue
        share_K = weighed[channel]
        shown = np.flatnonzero(np.abs(share_K) >= SHARE_FLOOR)
        if not len(shown):
            continue
        support_TK = ranker.support(channel, history, rows_K[shown]) if len(history) else None
        if support_TK is None:
            for place in shown:
                shares[place].append(ChannelShare(channel, float(share_K[place])))
            continue
        tail = [item_ids[row] for row in history[-len(support_TK) :]]
        divided_TK = divide_shares(share_K[shown], support_TK)
        for column, place in enumerate(shown):
            parts = _by_item(tail, divided_TK[:, column])
            strongest = max(parts, key=lambda part: abs(part.share), default=None)
            item_id = strongest.history_item_id if strongest else ""
            shares[place].append(ChannelShare(channel, float(share_K[place]), item_id, parts))
    for own, part in zip(shares, by_sentence_K, strict=True):
        if abs(part) >= SHARE_FLOOR:
            own.append(ChannelShare(INSTRUCTION, float(part)))
    if lift:
        for place in np.flatnonzero(ranker.is_new(rows_K)):
            shares[place].append(ChannelShare(NEW_ITEM, lift))
    for own, by_rule in zip(shares, added, strict=False):
        own += rule_shares(by_rule)
    return [tuple(sorted(own, key=lambda share: -share.share)) for own in shares]


def rule_shares(added: Mapping[str, float]) -> list[ChannelShare]:
    """What the business rules of a request added to one item's score."""
    return [ChannelShare(name, part) for name, part in added.items() if abs(part) >= SHARE_FLOOR]


def divide_shares(share_K: npt.NDArray[np.float64], support_TK: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Divide shares in proportion to the support that has their own sign; evenly where nothing has.

    Args:
        share_K: What is divided, of either sign. Shape: (K,).
        support_TK: What each history place says for (above 0) or against (below 0) each item. Shape: (T, K), T at least
            1.

    Returns:
        Columns add up to `share_K`; no part has another sign than its share. Shape: (T, K), float64.
    """
    agreeing_TK = np.maximum(np.sign(share_K) * support_TK, 0.0)
    total_K = agreeing_TK.sum(axis=0)
    part_TK = np.where(total_K > 0, agreeing_TK / np.where(total_K > 0, total_K, 1.0), 1.0 / len(support_TK))
    return np.asarray(part_TK * share_K)


def _by_item(tail: Sequence[str], parts_T: npt.NDArray[np.float64]) -> tuple[HistoryShare, ...]:
    """Parts of distinct history items, in the order of their last appearance."""
    sums: dict[str, float] = {}
    for item_id, part in zip(tail, parts_T, strict=True):
        sums[item_id] = sums.pop(item_id, 0.0) + float(part)
    return tuple(HistoryShare(item_id, share) for item_id, share in sums.items() if share)
