"""The generator: an LLM that reads one soft token per history item, and two heads over its hidden states.

Works on catalogue rows. `item_tokens` computes the tokens; the item head scores the whole catalogue by dot product with
the same tokens; `semantic_id_head` decodes paths.
"""

# Axes: B users, T history positions, N items, R selected rows, H hidden width

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.generator.backbone import Backbone, build_backbone
from mmrec.generator.batches import products_with_rows
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.instructions import InstructionBatch, InstructionReader
from mmrec.generator.item_tokens import ItemTable, ItemTokens
from mmrec.generator.semantic_id_head import EncodedHistory, NodeKeys, SemanticIdHead
from mmrec.generator.sentences import SentenceReader
from mmrec.generator.small_decoder import SmallDecoder
from mmrec.generator.threads import single_thread_if_small
from mmrec.semantic_ids.decode_index import DecodeIndex

_BOUND = (
    "catalogue.residual.",
    "catalogue.code_embedding.",
    "catalogue.project.weight",
    "semantic_id_head.code_embedding.",
    "sentences.",
    "instructions.",
)
"""Beginnings of the names of weights that belong to one catalogue."""


class Generator(nn.Module):
    """An LLM over fused item tokens with an item head and a semantic-ID head.

    Args:
        config: Architecture.
        table: The catalogue; stored as non-persistent buffers.
        widths: Codes per level of a semantic ID.
        backbone: A model and its hidden width, used instead of the one that `config` describes.
        residual_NH: See `ItemTokens`.

    Raises:
        InvalidArgumentError: the model's width is not a multiple of `config.heads`.
        ModelNotAvailableError: a pretrained model is neither on disk nor downloadable.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        table: ItemTable,
        widths: tuple[int, ...],
        backbone: tuple[Backbone, int] | None = None,
        residual_NH: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.widths = widths
        self.backbone, hidden = backbone or build_backbone(config)
        if hidden % config.heads:
            raise InvalidArgumentError(
                f"the language model is {hidden} wide, which {config.heads} heads do not divide; choose another number",
                field="heads",
            )
        self.catalogue = ItemTokens(config, table, widths, hidden, residual_NH)
        self.state_norm = nn.LayerNorm(hidden)
        self.drop = nn.Dropout(config.dropout)
        self.semantic_id_head = SemanticIdHead(hidden, config, widths)
        self.instructions: InstructionReader | None = None
        if config.instructed:
            self.learn_instructions(config.instructed)
        self.sentences: SentenceReader | None = None
        if config.sentence:
            self.sentences = self._sentence_reader(config.sentence)
        self._most_weights = max((weight.numel() for weight in self.backbone.parameters()), default=0)

    def start_from(self, weights: Mapping[str, Tensor], fused: int) -> None:
        """Begin with what a generator of the same shape learned from another catalogue.

        Taken are the decoder and all weights of the heads and the item tokens that are not bound to items or codes;
        residuals of items begin at zero.

        Args:
            weights: The other's, by name.
            fused: Leading dimensions of content that mean the same in both catalogues.
        """
        own = self.state_dict()
        for name, weight in weights.items():
            if not name.startswith(_BOUND) and name in own and own[name].shape == weight.shape:
                own[name].copy_(weight)
        own["catalogue.project.weight"].zero_()
        own["catalogue.project.weight"][:, :fused] = weights["catalogue.project.weight"][:, :fused]
        own["catalogue.residual.weight"].zero_()

    def learn_sentences(self, dimension: int) -> SentenceReader:
        """Add a reader of sentences, which is to be trained and begins as a copy of the decoder of histories.

        Args:
            dimension: Of a sentence's vector.

        Raises:
            InvalidArgumentError: the backbone is pretrained.
        """
        self.sentences = self._sentence_reader(dimension)
        self.sentences.keep_spread(self.catalogue.content_NC)
        self.config = replace(self.config, sentence=dimension)
        return self.sentences

    def _sentence_reader(self, dimension: int) -> SentenceReader:
        if not isinstance(self.backbone, SmallDecoder):
            raise InvalidArgumentError(
                "a sentence as one soft token is read by a small decoder of its own; a pretrained language model reads "
                "words as its own tokens",
                field="sentence",
            )
        content = self.catalogue.content_NC.shape[1]
        return SentenceReader(dimension, content, self.backbone, self.state_norm, self.config.dropout)

    def learn_instructions(self, dimension: int) -> InstructionReader:
        """Add a reader of instructions, which is to be trained; the decoder stays the one of histories.

        Args:
            dimension: Of a text's vector.
        """
        self.config = replace(self.config, instructed=dimension)
        self.instructions = InstructionReader(dimension, self.state_norm.normalized_shape[0])
        return self.instructions

    def with_catalogue(self, table: ItemTable) -> Generator:
        """The model for a changed catalogue, with shared weights; see `ItemTokens.with_table`."""
        # deepcopy shares the parts in its memo: all except the catalogue.
        shared: dict[int, Any] = {id(part): part for part in self.children()}
        return copy.deepcopy(self, shared | {id(self.catalogue): self.catalogue.with_table(table)})

    def item_tokens(self, rows_R: Tensor | None = None) -> Tensor:
        """Token of every item, or of the given rows. Shape: (N, H) or (R, H), float32."""
        return self.catalogue(rows_R)  # type: ignore[no-any-return]

    def node_keys(self, tokens_NH: Tensor, index: DecodeIndex) -> NodeKeys:
        """Keys of every node; see `SemanticIdHead.node_keys`."""
        return self.semantic_id_head.node_keys(tokens_NH, index)

    def read(self, history_BT: Tensor, valid_BT: Tensor, tokens_NH: Tensor) -> EncodedHistory:
        """Run the LLM over histories. States of padded positions are meaningless.

        Args:
            history_BT: Catalogue rows, oldest first, padded on the right. Shape: (B, T), int64.
            valid_BT: False where padded; at least one True per row. Shape: (B, T), bool.
            tokens_NH: From `item_tokens`.
        """
        with single_thread_if_small(history_BT.numel(), self._most_weights):
            return self._read(history_BT, valid_BT, tokens_NH)

    def read_sentences(
        self, history_BT: Tensor, valid_BT: Tensor, tokens_NH: Tensor, sentences_BD: Tensor
    ) -> EncodedHistory:
        """Run the LLM over histories that a sentence follows; the state of the sentence is the last one.

        Args:
            history_BT: As in `read`, but histories may be empty.
            valid_BT: Likewise.
            tokens_NH: From `item_tokens`.
            sentences_BD: Unit vectors of the text encoder. Shape: (B, D), float32.

        Raises:
            FailedPreconditionError: the model was trained without sentences.
        """
        if self.sentences is None:
            raise FailedPreconditionError(
                "this bundle's LLM was trained without sentences, so an instruction cannot be read; fit again"
            )
        with single_thread_if_small(history_BT.numel(), self._most_weights):
            return self.sentences(F.embedding(history_BT, tokens_NH), valid_BT, sentences_BD)  # type: ignore[no-any-return]

    def read_instructions(
        self, batch: InstructionBatch, tokens_NH: Tensor, words_SD: Tensor | None, *, noise: float = 0.0
    ) -> Tensor:
        """Run the LLM over instructions: the state that answers each. Shape: (B, H).

        Args:
            batch: The examples.
            tokens_NH: From `item_tokens`.
            words_SD: Unit vectors of words that are soft tokens; None for a pretrained model, which reads its own
                tokens. Shape: (S, D), float32.
            noise: Greatest length of a random vector that is added to each of these; for training.

        Raises:
            FailedPreconditionError: the model was trained without instructions.
        """
        reader = self.instructions
        if reader is None:
            raise FailedPreconditionError(
                "this bundle's LLM was trained without instructions; fit again with an instruction set"
            )

        def words(numbers_X: Tensor) -> Tensor:
            if words_SD is None:
                found: Tensor = self.backbone.model.get_input_embeddings()(numbers_X)  # type: ignore[operator, union-attr]
                return found
            vectors_XD = words_SD[numbers_X]
            if noise:
                noise_XD = torch.randn_like(vectors_XD) * (noise * vectors_XD.shape[1] ** -0.5)
                vectors_XD = F.normalize(vectors_XD + noise_XD * torch.rand_like(vectors_XD[:, :1]), dim=-1)
            return reader.soft_tokens(vectors_XD)

        inputs_BTH = self.drop(reader.inputs(batch, tokens_NH, words))
        states_BTH = self.state_norm(self.drop(self.backbone(inputs_BTH)))
        rows_B = torch.arange(len(states_BTH), device=states_BTH.device)
        return states_BTH[rows_B, batch.valid_BT.sum(1) - 1]  # type: ignore[no-any-return]

    def _read(self, history_BT: Tensor, valid_BT: Tensor, tokens_NH: Tensor) -> EncodedHistory:
        embedded_BTH = tokens_NH[history_BT] if torch.is_grad_enabled() else F.embedding(history_BT, tokens_NH)
        inputs_BTH = self.drop(embedded_BTH)
        states_BTH = self.state_norm(self.drop(self.backbone(inputs_BTH)))
        return EncodedHistory(states_BTH, states_BTH + inputs_BTH, valid_BT)

    def item_logits(self, states_XH: Tensor, tokens_NH: Tensor) -> Tensor:
        """Item-head scores over the whole catalogue, before the softmax. Shape: (..., N).

        What sentences ask for is scored likewise, by its `SentenceReader.asked` and `SentenceReader.answers` behind
        state and token; the scale is that of states alone.
        """
        return products_with_rows(states_XH, tokens_NH) / math.sqrt(self.state_norm.normalized_shape[0])
