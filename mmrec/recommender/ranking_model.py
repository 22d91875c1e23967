"""From histories to ranked items: the LLM's two heads and the counting channels, blended into one score.

Works on catalogue rows; knows nothing about item ids, requests or files. Used by the recommender and by evaluation, so
that what is measured is what is served.
"""

# Axes: B customers, N items, W beams, K results, T history places, X variants of one history

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mmrec.catalogue.segments import Segmented
from mmrec.channels.blend import Blend
from mmrec.channels.cold_start import cold_places, cold_start_boosts
from mmrec.channels.content import content_parts, content_scores
from mmrec.channels.neighbour_smoothing import NeighbourSmoothing
from mmrec.channels.sparse_scores import SparseScores
from mmrec.channels.transitions import TransitionGraph
from mmrec.contract.rules import MAX_K
from mmrec.data.interactions import Interactions
from mmrec.generator.batches import pad_histories
from mmrec.generator.beam import generate
from mmrec.generator.instructions import InstructionBatch
from mmrec.generator.item_tokens import TOKENS_AT_ONCE
from mmrec.generator.node_embeddings import NodeEmbeddings
from mmrec.generator.semantic_id_head import EncodedHistory
from mmrec.generator.small_decoder import SmallDecoder
from mmrec.language.wish_prompts import WishPrompts
from mmrec.recommender.artefact import Parts
from mmrec.recommender.candidate_filter import Tier
from mmrec.recommender.catalogue_update import Changed
from mmrec.recommender.token_index import TokenIndex
from mmrec.runtime.background import between_steps
from mmrec.semantic_ids.eligibility import Eligibility, eligible
from mmrec.semantic_ids.path_search import PathResult

Histories = Sequence[npt.NDArray[np.int32]]

CHANNELS = ("item-head", "semantic-id", "transitions", "transitions-wide", "lexical", "content", "popularity")
"""Channels in the order of a blend."""

WISH, SENTENCE = "wish", "sentence"
"""Channels of customers with an instruction: how likely it is that an item has the values that the sentence means, and
the item head where the sentence follows the history."""
INSTRUCTED_CHANNELS = (*CHANNELS, WISH, SENTENCE)
"""Channels in the order of their blend."""

NEW_ITEM = "new-item"
"""Name, in explanations, of what is added to the scores of items without training events."""

SCORES_AT_ONCE = 4_000_000
"""Most scores per channel in memory at a time; does not change results."""

OCCLUDED = 20
"""Number of last history items that are left out one at a time to explain a score of the LLM."""

_RIVALS = 2_000
"""Popular items that the explained ones are compared with, where the catalogue is too large to compare with it all."""


@dataclass(frozen=True, slots=True)
class CustomerChunk:
    """A slice of a batch of requests: `begin` to `end`."""

    begin: int
    end: int


class Features(NamedTuple):
    """Scores of every item by channel.

    Attributes:
        by_channel: Each of shape (B, N), float32: log(N p) for ``item-head``; log(1 + N p) for ``semantic-id``,
            0 for items that were not generated; decayed sums of strengths for ``transitions`` and
            ``transitions-wide``, of cosines for ``lexical`` and ``content``; log popularity scaled to 0..1. Counting
            channels are smoothed for cold items (`mmrec.channels.neighbour_smoothing`).
        generated_BW: Catalogue rows that the beam search generated, best first, -1 after the last; None without the
            channel ``semantic-id``. Shape: (B, W), int64.
    """

    by_channel: dict[str, npt.NDArray[np.float32]]
    generated_BW: npt.NDArray[np.int64] | None


class ItemStates(NamedTuple):
    """What was computed for every item; updated for changed items only.

    Attributes:
        tokens: Item tokens. Shape: (N, H), float32.
        keys: Embeddings of every node of the decode index.
        smoothing: Neighbours of items without training events.
        popular_rows: Items with training events, those with most first. Shape: (R,), int64.
        token_index: Finds the items that the item head scores highest.
        answers: What items have to offer to sentences; None where the LLM reads none. Shape: (N, W), float32.
        values: Values of each item, as `ValueReader.codes` gives them; None where the bundle reads none. Shape: (N, L),
            int32.
    """

    tokens: Segmented[torch.Tensor]
    keys: NodeEmbeddings
    smoothing: NeighbourSmoothing
    popular_rows: npt.NDArray[np.int64]
    token_index: TokenIndex
    answers: Segmented[torch.Tensor] | None = None
    values: Segmented[npt.NDArray[np.int32]] | None = None


class ItemHeadState(NamedTuple):
    """What the item head multiplies the tokens of items with, for one history.

    Attributes:
        state_H: Shape: (H,), float32.
        asked_W: What a sentence asks for, which answers are multiplied with; None: no sentence. Shape: (W,), float32.
    """

    state_H: torch.Tensor
    asked_W: torch.Tensor | None


class RankingModel:
    """Scores and ranks a catalogue for customers.

    Args:
        parts: Everything to rank with; the generator is on `device`.
        device: Device of the LLM.
        dtype: Number format of its matrix products, and of the stored keys of nodes. On a CPU, a small decoder
            multiplies in float32 whatever it is: converting its weights would take longer than using them.
        states: What the model computed for this catalogue; None to compute it.
    """

    def __init__(
        self, parts: Parts, device: torch.device, dtype: torch.dtype, states: ItemStates | None = None
    ) -> None:
        self.parts = parts
        self.device = device
        self.dtype = dtype
        self.items = len(parts.catalogue)
        self.index = parts.decode_index.to(device)
        self._states = states or item_states(parts, device, dtype)
        self.tokens_NH = self._states.tokens
        self.keys = self._states.keys.keys
        self.smoothing = self._states.smoothing
        self.popular_rows = self._states.popular_rows
        self.token_index = self._states.token_index
        between_steps()
        self._place_N = self.index.place_of_rows(self.items).cpu().numpy()
        self._warm_N = parts.generator.catalogue.warm_N.cpu().numpy()

    @property
    def most_at_once(self) -> int:
        """Histories whose scores of every item fit in memory; a larger batch gives the same results."""
        return max(1, SCORES_AT_ONCE // max(self.items, 1))

    def is_new(self, rows_X: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether some items are in the catalogue and have no training event. Shape: (X,), bool."""
        warm_X = np.zeros(len(rows_X), np.bool_)
        known_X = rows_X < len(self._warm_N)
        warm_X[known_X] = self._warm_N[rows_X[known_X]]
        alive_N = self.parts.catalogue.alive_N
        return ~warm_X if alive_N is None else ~warm_X & alive_N[rows_X]

    @cached_property
    def new_N(self) -> npt.NDArray[np.bool_]:
        """Items without a training event that are not deleted. Shape: (N,), bool."""
        return self.is_new(np.arange(self.items))

    @cached_property
    def _new(self) -> int:
        alive_N, warm_N = self.parts.catalogue.alive_N, self._warm_N
        warm = np.count_nonzero(warm_N if alive_N is None else warm_N & alive_N[: len(warm_N)])
        return self.parts.catalogue.items - int(warm)

    @cached_property
    def _deleted_N(self) -> torch.Tensor | None:
        alive_N = self.parts.catalogue.alive_N
        if alive_N is None or alive_N.all():
            return None
        return torch.from_numpy(~alive_N).to(self.device)

    def with_changes(self, changed: Changed) -> RankingModel:
        """The ranker of the changed catalogue, which computes the changed items only; this one does not change."""
        parts = changed.parts
        rows_M = torch.from_numpy(changed.rows_M).to(self.device)
        own_M = rows_M.clamp(max=len(parts.generator.catalogue.warm_N) - 1)
        with torch.inference_mode():
            tokens_MH = parts.generator.catalogue.of_items(changed.table, own_M)
            tokens = self._states.tokens.replaced(rows_M, tokens_MH)
            keys = self._states.keys
            if changed.nodes:
                keys = keys.updated(tokens, parts.decode_index.to(self.device), changed.nodes)
            answers, reader = self._states.answers, parts.generator.sentences
            if answers is not None and reader is not None:
                answers = answers.replaced(rows_M, reader.answers(changed.table.content_NC))
        values = self._states.values
        if values is not None and parts.value_reader is not None:
            codes_ML = parts.value_reader.codes(parts.catalogue.attributes, changed.rows_M.tolist())
            values = values.replaced(changed.rows_M, codes_ML)
        smoothing = _smoothing(parts, self.smoothing, changed.rows_M)
        index = self.token_index.with_changes(tokens, changed.rows_M)
        states = ItemStates(tokens, keys, smoothing, self.popular_rows, index, answers, values)
        return RankingModel(parts, self.device, self.dtype, states)

    def with_transitions(self, transitions: TransitionGraph, transitions_wide: TransitionGraph) -> RankingModel:
        """A ranker with other transition counts, which shares all else with this one."""
        made = copy(self)
        made.parts = self.parts._replace(transitions=transitions, transitions_wide=transitions_wide)
        return made

    @cached_property
    def log_popularity_N(self) -> npt.NDArray[np.float32]:
        """Log popularity scaled to 0..1. Shape: (N,), float32."""
        return self.log_popularity_at(np.arange(self.items))

    def log_popularity_at(self, rows_X: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """`log_popularity_N` of some items. Shape: that of `rows_X`, float32."""
        return np.asarray(np.log1p(self.parts.popularity_N[rows_X]) / self._most_popular, dtype=np.float32)

    def popularity_at(self, rows_X: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The channel ``popularity`` of some items. Shape: (X,), float32."""
        return self.smoothing.at(rows_X, self.log_popularity_at)

    @cached_property
    def _most_popular(self) -> float:
        return math.log1p(max(float(self.parts.popularity_N.max(initial=0.0)), 1.0))

    @cached_property
    def _popularity_N(self) -> npt.NDArray[np.float32]:
        return np.asarray(self.smoothing.smooth(self.log_popularity_N[None].copy())[0], dtype=np.float32)

    @classmethod
    def popularity_of(cls, train: Interactions, items: int) -> npt.NDArray[np.float32]:
        """Training events per item. Shape: (N,), float32."""
        return np.bincount(train.items_E, minlength=items).astype(np.float32)

    def chunks(self, requests: int) -> Iterator[CustomerChunk]:
        """Slices of a batch of requests that fit in memory."""
        for begin in range(0, requests, self.most_at_once):
            yield CustomerChunk(begin, min(begin + self.most_at_once, requests))

    # --- the LLM ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def read(
        self,
        histories: Histories,
        instructions_BD: npt.NDArray[np.float32] | None = None,
        instructions: Sequence[str] | None = None,
    ) -> EncodedHistory:
        """Run the LLM over histories.

        Args:
            histories: Catalogue rows, oldest first, none of them empty unless an instruction follows.
            instructions_BD: Unit vector, by the bundle's text encoder, of a sentence that follows each history; None:
                none follows. Shape: (B, D), float32.
            instructions: The sentences, for an LLM that reads them as its own tokens.

        Returns:
            Of every position; of an LLM that reads sentences as its own tokens, the last position alone.

        Raises:
            FailedPreconditionError: an instruction follows, and this bundle's LLM reads none.
        """
        if instructions is not None and self.parts.prompts is not None:
            return self._read_words(histories, instructions, self.parts.prompts)
        history_BT, valid_BT = pad_histories(histories, self.parts.generator.config.max_history)
        # Gather the tokens of these histories into one array for the LLM.
        picked_RH = self.tokens_NH[history_BT.flatten().to(self.device)]
        place_BT = torch.arange(history_BT.numel(), device=self.device).view(history_BT.shape)
        generator, valid_BT = self.parts.generator, valid_BT.to(self.device)
        with self._autocast():
            if instructions_BD is None:
                memory = generator.read(place_BT, valid_BT, picked_RH)
            else:
                vectors_BD = torch.from_numpy(instructions_BD).to(self.device)
                memory = generator.read_sentences(place_BT, valid_BT, picked_RH, vectors_BD)
        return EncodedHistory(memory.states_BTH.float(), memory.keys_BTH.float(), memory.valid_BT)

    def _read_words(self, histories: Histories, instructions: Sequence[str], prompts: WishPrompts) -> EncodedHistory:
        inputs = [prompts.codes(*one) for one in zip(histories, instructions, strict=True)]
        batch = InstructionBatch.of(inputs, [np.empty(0, np.int32)] * len(inputs), self.device)
        # Gather the tokens of these histories into one array, of which the codes are then rows.
        items_BT = batch.valid_BT & (batch.codes_BT >= 0)
        picked_RH = self.tokens_NH[batch.codes_BT[items_BT]]
        codes_BT = batch.codes_BT.masked_scatter(items_BT, torch.arange(len(picked_RH), device=self.device))
        with self._autocast():
            states_BH = self.parts.generator.read_instructions(batch._replace(codes_BT=codes_BT), picked_RH, None)
        states_B1H = states_BH.float().unsqueeze(1)
        return EncodedHistory(states_B1H, states_B1H, torch.ones_like(batch.valid_BT[:, :1]))

    @torch.inference_mode()
    def item_head(
        self, memory: EncodedHistory, instructions_BD: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """log(N p) of each item by the item head; -inf for deleted rows. Shape: (B, N), float32.

        Args:
            memory: From `read`.
            instructions_BD: What `read` was given.
        """
        generator, answers_NW = self.parts.generator, self._states.answers
        logits_BN = self.tokens_NH.scores(partial(generator.item_logits, memory.last())).float()
        if instructions_BD is not None and generator.sentences is not None and answers_NW is not None:
            asked_BW = generator.sentences.asked(torch.from_numpy(instructions_BD).to(self.device))
            logits_BN = logits_BN + answers_NW.scores(partial(generator.item_logits, asked_BW))
        if self._deleted_N is not None:
            logits_BN = logits_BN.masked_fill(self._deleted_N, float("-inf"))
        return np.asarray((logits_BN.log_softmax(-1) + math.log(self.parts.catalogue.items)).cpu().numpy())

    @torch.inference_mode()
    def item_head_states(
        self, memory: EncodedHistory, instructions_BD: npt.NDArray[np.float32] | None = None
    ) -> Iterator[ItemHeadState]:
        """What the item head multiplies tokens with, for each history; arguments as in `item_head`."""
        reader = self.parts.generator.sentences
        if instructions_BD is None or reader is None:
            return (ItemHeadState(state_H, None) for state_H in memory.last().float())
        asked_BW = reader.asked(torch.from_numpy(instructions_BD).to(self.device)).float()
        return map(ItemHeadState, memory.last().float(), asked_BW)

    @torch.inference_mode()
    def item_head_at(self, head: ItemHeadState, rows_X: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The item head's scores of some items, which differ from `item_head` by the same number. Shape: (X,)."""
        rows, generator = torch.from_numpy(rows_X).to(self.device), self.parts.generator
        logits_X = self.tokens_NH.scores_at(rows, partial(generator.item_logits, head.state_H))
        if head.asked_W is not None and self._states.answers is not None:
            asked_X = self._states.answers.scores_at(rows, partial(generator.item_logits, head.asked_W))
            logits_X = logits_X + asked_X
        # As if these were all items: near the scores of `item_head`, because the others are less likely.
        return np.asarray((logits_X.log_softmax(-1) + math.log(self.parts.catalogue.items)).cpu().numpy())

    @torch.inference_mode()
    def generate(
        self, memory: EncodedHistory, allowed: Sequence[Tier] | npt.NDArray[np.bool_] | None = None, *, width: int
    ) -> PathResult:
        """Generate semantic IDs by beam search among the items that may be shown; see `features`."""
        open_items = self._eligibility(allowed, len(memory.valid_BT))
        with self._autocast():
            return generate(
                self.parts.generator.semantic_id_head, memory, open_items, self.index, self.keys, width=width
            )

    def _eligibility(self, allowed: Sequence[Tier] | npt.NDArray[np.bool_] | None, batch: int) -> Eligibility:
        if allowed is None:
            return eligible(self.index, [np.empty(0, np.int64)] * batch)
        tiers = [Tier.of(mask_N) for mask_N in allowed] if isinstance(allowed, np.ndarray) else allowed
        return eligible(self.index, [self._place_N[tier.left_out] for tier in tiers], [tier.within for tier in tiers])

    def _autocast(self) -> torch.autocast:
        small = self.device.type == "cpu" and isinstance(self.parts.generator.backbone, SmallDecoder)
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32 and not small)

    # --- channels --------------------------------------------------------------------------------------------------

    def features(
        self,
        histories: Histories,
        allowed: Sequence[Tier] | npt.NDArray[np.bool_] | None = None,
        *,
        beam_width: int = 0,
        channels: Collection[str] = CHANNELS,
        memory: EncodedHistory | None = None,
        instructions_BD: npt.NDArray[np.float32] | None = None,
        instructions: Sequence[str] | None = None,
        wishes_BD: npt.NDArray[np.float32] | None = None,
    ) -> Features:
        """Scores of every item by channel.

        Args:
            histories: Catalogue rows, oldest first, none of them empty.
            allowed: Items the beam search may generate, for each customer; None for all. Shape where a mask for each:
                (B, N), bool.
            beam_width: 0 for the bundle's.
            channels: Channels to compute.
            memory: The histories as `read` returns them; None: they are read here.
            instructions_BD: Of `SENTENCE` and `WISH`; see `read`. With None there are none of these channels.
            instructions: Likewise.
            wishes_BD: Of `WISH` in place of `instructions_BD`. Shape: (B, D), float32.
        """
        parts = self.parts
        found: dict[str, npt.NDArray[np.float32]] = {}
        generated_BW: npt.NDArray[np.int64] | None = None
        if "item-head" in channels or "semantic-id" in channels:
            if memory is None:
                memory = self.read(histories)
            if "item-head" in channels:
                found["item-head"] = self.item_head(memory)
            if "semantic-id" in channels:
                beams = self.generate(memory, allowed, width=beam_width or parts.beam_width)
                found["semantic-id"] = self._generated(beams)
                generated_BW = beams.items_BW.cpu().numpy()
        if "transitions" in channels:
            strength_BN = parts.transitions.scores(histories, parts.channels.transitions)
            found["transitions"] = self.smoothing.smooth(strength_BN)
        if "transitions-wide" in channels:
            strength_BN = parts.transitions_wide.scores(histories, parts.channels.transitions_wide)
            found["transitions-wide"] = self.smoothing.smooth(strength_BN)
        if "lexical" in channels:
            found["lexical"] = parts.lexical.scores(histories, parts.channels.lexical)
        if "content" in channels:
            found["content"] = content_scores(histories, parts.fused_ND, parts.channels.content)
        if "popularity" in channels:
            found["popularity"] = np.broadcast_to(self._popularity_N, (len(histories), self.items))
        if WISH in channels and instructions_BD is not None:
            found[WISH] = self.wish(instructions_BD if wishes_BD is None else wishes_BD)
        if SENTENCE in channels and instructions_BD is not None:
            instructed = self.read(histories, instructions_BD, instructions)
            found[SENTENCE] = self.item_head(instructed, instructions_BD)
        return Features(found, generated_BW)

    def wish(self, instructions_BD: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Log of the chance that each item has the values that sentences mean; zeros where the bundle reads none.

        Args:
            instructions_BD: Unit vectors of the sentences, by the bundle's text encoder. Shape: (B, D), float32.

        Returns:
            Shape: (B, N), float32.
        """
        reader, values = self.parts.value_reader, self._states.values
        if reader is None or values is None:
            return np.zeros((len(instructions_BD), self.items), np.float32)
        return values.scores(partial(reader.log_chances, instructions_BD))

    def wish_at(self, instruction_D: npt.NDArray[np.float32], rows_X: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """`wish` of one sentence for some items. Shape: (X,), float32."""
        reader, values = self.parts.value_reader, self._states.values
        if reader is None or values is None:
            return np.zeros(len(rows_X), np.float32)
        return np.asarray(reader.log_chances(instruction_D[None], values[rows_X])[0])

    def blend(
        self,
        blend: Blend,
        features: Mapping[str, npt.NDArray[np.float32]],
        eligible_BN: npt.NDArray[np.bool_] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Scores of a blend, with items without training events raised to their share of each list. Shape: (B, N).

        Args:
            blend: Weights, and the share of new items.
            features: From `features`.
            eligible_BN: Items that may be shown; None for all. Shape: (B, N), bool.
        """
        scores_BN = blend.score(features)
        boosts_B = cold_start_boosts(scores_BN, eligible_BN, self.new_N, blend.cold_share)
        if boosts_B.any():
            scores_BN[:, self.new_N] += boosts_B[:, None]
        return scores_BN

    def blend_candidates(
        self, blend: Blend, features: Mapping[str, npt.NDArray[np.float32]], rows_C: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], float]:
        """`blend` for eligible candidates of one search: their scores, and what is added to those of new items.

        Args:
            blend: Weights, and the share of new items.
            features: Shape of each: (C,), float32.
            rows_C: The candidates. Shape: (C,).
        """
        scores_C = blend.score(features)
        if not blend.cold_share:
            return scores_C, 0.0
        new_C = self.is_new(rows_C)
        if np.count_nonzero(new_C) < min(cold_places(blend.cold_share), self._new):
            return scores_C, 0.0
        boost = float(cold_start_boosts(scores_C[None], None, new_C, blend.cold_share)[0])
        if boost:
            scores_C[new_C] += np.float32(boost)
        return scores_C, boost

    def generated(self, beams: PathResult) -> Iterator[SparseScores]:
        """log(1 + N p) of the items that each search generated."""
        items = self.parts.catalogue.items
        for rows_W, log_W in zip(beams.items_BW.cpu().numpy(), beams.log_probs_BW.float().cpu().numpy(), strict=True):
            found = rows_W >= 0
            yield SparseScores.summed(rows_W[found], np.log1p(items * np.exp(log_W[found])))

    def _generated(self, beams: PathResult) -> npt.NDArray[np.float32]:
        """`generated` for every item. Shape: (B, N), float32."""
        generated_BN = np.zeros((len(beams.items_BW), self.items), dtype=np.float32)
        for generated_N, found in zip(generated_BN, self.generated(beams), strict=True):
            generated_N[found.rows_S] = found.values_S
        return generated_BN

    def support(
        self,
        channel: str,
        history: npt.NDArray[np.int32],
        rows_K: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64] | None:
        """Support of recent history items for (above 0) or against (below 0) items, in one channel.

        Counting channels are sums over the history, and these are the summands. For the LLM it is what the score loses
        without the history item; only the last `OCCLUDED` are tried.

        Args:
            channel: One of `CHANNELS`.
            history: Catalogue rows, oldest first, not empty.
            rows_K: The items. Shape: (K,).

        Returns:
            One row for each of the last T history items; None for a channel that does not use the history. Shape:
            (T, K), float64.
        """
        parts, channels = self.parts, self.parts.channels
        if channel == "transitions":
            near = parts.transitions
            support_TK = self.smoothing.parts(rows_K, lambda rows: near.parts(history, rows, channels.transitions))
        elif channel == "transitions-wide":
            wide = parts.transitions_wide
            support_TK = self.smoothing.parts(rows_K, lambda rows: wide.parts(history, rows, channels.transitions_wide))
        elif channel == "lexical":
            support_TK = parts.lexical.parts(history, rows_K, channels.lexical)
        elif channel == "content":
            support_TK = content_parts(history, parts.fused_ND, rows_K, channels.content)
        elif channel in ("item-head", "semantic-id"):
            support_TK = self._occluded(channel, history, rows_K)
        else:
            return None
        return support_TK.astype(np.float64)

    def without_sentence(
        self, history: npt.NDArray[np.int32], rows_K: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """The channel ``item-head`` for a history that no sentence follows. Shape: (K,), float32."""
        return np.asarray(self._likelihoods(self.read([history]), rows_K)[0])

    def _occluded(
        self,
        channel: str,
        history: npt.NDArray[np.int32],
        rows_K: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float32]:
        """What an LLM channel's feature loses without each of the last history items. Shape: (T, K), float32."""
        if len(history) == 1:
            return np.ones((1, len(rows_K)), dtype=np.float32)
        tried = min(OCCLUDED, len(history), self.parts.generator.config.max_history)
        memory = self.read([history, *(np.delete(history, place) for place in range(-tried, 0))])
        if channel == "item-head":
            feature_XK = self._likelihoods(memory, rows_K)
        else:
            parts = [rows_K[begin : begin + MAX_K] for begin in range(0, len(rows_K), MAX_K)]
            feature_XK = np.concatenate([self._probabilities(memory, part, tried + 1) for part in parts], axis=1)
        return np.asarray(feature_XK[0] - feature_XK[1:], dtype=np.float32)

    def _probabilities(
        self, memory: EncodedHistory, rows_K: npt.NDArray[np.int64], histories: int
    ) -> npt.NDArray[np.float32]:
        """Scores of the channel ``semantic-id`` for these items, all of them generated. Shape: (X, K), float32."""
        # With only these items eligible and a beam for each, the probabilities are exact.
        asked_N = np.zeros(self.items, dtype=bool)
        asked_N[rows_K] = True
        beams = self.generate(memory, [Tier.of(asked_N)] * histories, width=len(rows_K))
        return np.array([found.at(rows_K) for found in self.generated(beams)], np.float32)

    def _likelihoods(self, memory: EncodedHistory, rows_K: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Scores of the channel ``item-head`` for these items. Shape: (X, K), float32."""
        if len(memory.valid_BT) <= self.most_at_once:
            return np.asarray(self.item_head(memory)[:, rows_K])
        # A history makes an item more likely by making it more likely than the most popular items.
        rows, own = np.unique(np.concatenate([rows_K, self.popular_rows[:_RIVALS]]), return_inverse=True)
        heads = self.item_head_states(memory)
        return np.array([self.item_head_at(head, rows)[own[: len(rows_K)]] for head in heads], np.float32)


def item_states(parts: Parts, device: torch.device, dtype: torch.dtype) -> ItemStates:
    """Compute what a ranker needs of every item of a bundle; arguments as of `RankingModel`."""
    index = parts.decode_index.to(device)
    with torch.inference_mode():
        generator = parts.generator.eval()
        tokens = Segmented(generator.item_tokens())
        answers = None
        if generator.sentences is not None:
            content_NC = generator.catalogue.content_NC
            answers = Segmented(torch.cat([*map(generator.sentences.answers, torch.split(content_NC, TOKENS_AT_ONCE))]))
        values, columns = None, parts.catalogue.attributes
        if parts.value_reader is not None:
            values = Segmented(parts.value_reader.codes(columns, range(len(parts.catalogue))))
        keys = NodeEmbeddings.of(generator.semantic_id_head, tokens, index, dtype)
        popular = np.argsort(-parts.popularity_N, kind="stable")
        popular_rows = popular[: np.count_nonzero(parts.popularity_N)]
        return ItemStates(tokens, keys, _smoothing(parts), popular_rows, TokenIndex(tokens), answers, values)


def _smoothing(
    parts: Parts, before: NeighbourSmoothing | None = None, changed_M: npt.NDArray[np.int64] | None = None
) -> NeighbourSmoothing:
    """Smoothing of items without a training event, by the items with the most similar words."""
    table, items = parts.generator.catalogue.table(), len(parts.catalogue)
    cold_N = np.ones(items, np.bool_)
    cold_N[: len(table.warm_N)] = ~table.warm_N.cpu().numpy()
    if table.alike is None:
        nobody_N1, nothing_N1 = np.zeros((items, 1), np.int32), np.zeros((items, 1), np.float32)
        return NeighbourSmoothing(np.zeros_like(cold_N), Segmented(nobody_N1), Segmented(nothing_N1))
    rows_NK, weights_NK = Segmented(table.alike.rows_NK), Segmented(table.alike.weights_NK)
    if parts.live and parts.live.alike:
        rows_NK, weights_NK = parts.live.alike
    return NeighbourSmoothing(cold_N, _on_cpu(rows_NK), _on_cpu(weights_NK), before, changed_M)


def _on_cpu(table: Segmented[torch.Tensor]) -> Segmented[npt.NDArray[Any]]:
    parts = (table.base, table.place_N, table.delta)
    return Segmented(*(None if part is None else part.cpu().numpy() for part in parts))
