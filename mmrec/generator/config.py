"""Configuration of the generator and its training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mmrec.contract.rules import MAX_HISTORY
from mmrec.errors import InvalidArgumentError
from mmrec.runtime.limits import check_choice, check_numbers

STEPS_PER_EPOCH = 24
"""Minimum steps per epoch on small training sets; a few large steps learn almost nothing."""

FEWEST_POSITIONS = 128
"""Minimum history positions per step; smaller steps are mostly noise."""


PathKeys = Literal["nodes", "codes"]
Softmax = Literal["auto", "full", "sampled"]
Tuning = Literal["lora", "full", "frozen"]
TUNINGS = ("lora", "full", "frozen")


@dataclass(frozen=True, slots=True)
class GeneratorConfig:
    """Architecture of the LLM and its heads.

    Attributes:
        pretrained: A Hugging Face decoder-only or encoder-decoder model, as `find_checkpoint` takes it, tuned as
            `tuning` says. Empty: a small decoder of the sizes below, trained from scratch.
        hidden: Width of the hidden state, a multiple of `heads`.
        layers: Transformer layers.
        heads: Attention heads.
        qk_norm: Whether a model trained from scratch normalises queries and keys.
        decoder_layers: Layers of the semantic-ID head.
        path_keys: Keys that the semantic-ID head scores children of a node against: ``nodes``, built from the tokens of
            the items below each child, or ``codes``, one learned vector per code and level.
        max_history: Most recent items that are read, one position each; 1 to 1,000.
        dropout: Applied to item tokens, attention and hidden states.
        residual_dropout: Share of items treated as cold in a training step: without learned residual and followers.
        followers: Maximum neighbours of an item by training histories (items that follow it); 0 for none.
        alike: Maximum neighbours of an item by similar words; 0 for none.
        sketch: Dimensions of the LSA projection of an item's words beside its fused embedding; 0 for none.
        tuning: What of a pretrained model is trained: ``lora`` matrices beside all linear layers, ``full`` for all
            weights, or ``frozen`` for none, so that only item tokens and heads learn.
        lora_rank: Rank of the LoRA matrices.
        first_layers: Layers of a pretrained model that are kept, from the first; 0 for all.
        gradient_checkpointing: Whether a pretrained model computes its layers again for the gradient, which takes
            longer and less memory.
        bundle_base: Whether a bundle holds the weights of a pretrained model; otherwise only the LoRA matrices, and the
            model is looked for again by its name, and its hash is compared.
        use_ids: Whether warm items have a learned residual; otherwise tokens are built from content alone.
        sentence: Dimensions of the vector of a sentence that may follow a history; 0: none may. Set by the fit once the
            reader of sentences is trained.
        instructed: Dimensions of the vectors of texts in instructions; 0: none are read. Set by the fit that trains on
            an instruction set.
        use_content: Whether tokens include the fused embedding; otherwise warm items are represented by their residual
            alone, and all cold items look the same.
    """

    pretrained: str = ""
    hidden: int = 128
    layers: int = 2
    heads: int = 4
    qk_norm: bool = False
    decoder_layers: int = 1
    path_keys: PathKeys = "nodes"
    max_history: int = 50
    dropout: float = 0.3
    residual_dropout: float = 0.2
    followers: int = 20
    alike: int = 10
    sketch: int = 256
    tuning: Tuning = "lora"
    lora_rank: int = 16
    first_layers: int = 0
    gradient_checkpointing: bool = False
    bundle_base: bool = True
    use_ids: bool = True
    use_content: bool = True
    sentence: int = 0
    instructed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, "hidden", "layers", "heads", "decoder_layers", "max_history", "lora_rank", low=1)
        check_numbers(self, "followers", "alike", "sketch", "sentence", "instructed", "first_layers", low=0)
        check_choice("path_keys", self.path_keys, ("nodes", "codes"))
        check_choice("tuning", self.tuning, TUNINGS)
        if self.max_history > MAX_HISTORY:
            raise InvalidArgumentError(
                f"max_history is {self.max_history}; it must lie in [1, {MAX_HISTORY}]: pass {MAX_HISTORY} or fewer, "
                "and older items are left unread",
                field="max_history",
            )
        if self.hidden % (2 * self.heads):
            raise InvalidArgumentError(
                f"hidden is {self.hidden} and heads {self.heads}; hidden must be a multiple of 2 x heads "
                "(rotary positions turn pairs)",
                field="hidden",
            )
        check_numbers(self, "dropout", "residual_dropout", low=0, below=1)
        if not self.bundle_base and (not self.pretrained or self.tuning != "lora"):
            raise InvalidArgumentError(
                "bundle_base is False, but there are no LoRA matrices of a pretrained model to be stored alone; leave "
                "it True, or set pretrained and tuning='lora'",
                field="bundle_base",
            )
        if not (self.use_ids or self.use_content):
            raise InvalidArgumentError(
                "use_ids and use_content are both False; an item's token must hold its id, its content, or both",
                field="use_content",
            )


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Training options of the generator.

    Attributes:
        epochs: Maximum epochs over the training histories; 0: the model stays as it starts.
        patience: Epochs without a better validation NDCG@10 after which training stops.
        epoch_events: Most events of an epoch. Of more, epochs take shares in turn, so that validation comes as often in
            a large training set as in a small one.
        batch_positions: Maximum history positions per step; fewer on small training sets, so that an epoch has at least
            `STEPS_PER_EPOCH` steps. More in catalogues of more than `full_softmax_items`, in proportion and up to 8
            times as many, because a step of the small decoder takes a pass over the whole catalogue too.
        learning_rate: Peak learning rate of AdamW, reached after `warmup_steps`, followed by a cosine.
        weight_decay: Of AdamW, on matrices only.
        warmup_steps: Steps of the linear warm-up.
        semantic_id_weight: Weight of the semantic-ID loss relative to the item loss.
        semantic_id_share: Share of positions of each batch, drawn at random, that the semantic-ID head is trained on;
            its decoder costs more per position than the LLM.
        label_smoothing: Of the item loss, in [0, 1).
        validation_users: Maximum users that the metric is measured on after each epoch.
        max_minutes: Training stops after the epoch in which this time is exceeded; 0 for no limit.
        softmax: Of the item head: ``full`` over the whole catalogue, ``sampled`` with `negatives` sampled items, or
            ``auto``: full for up to `full_softmax_items` items.
        full_softmax_items: See `softmax`.
        negatives: Items sampled per step, with replacement.
        ema_decay: Decay of an exponential moving average of the weights; 0 for none. The average and the weights
            themselves are both evaluated after each epoch, and the better of the two counts.
        checkpoint_minutes: Time between checkpoints within an epoch; 0 for none. One is also written at the end of an
            epoch, unless the last one is a few seconds old, and at the end of the training.
    """

    epochs: int = 30
    patience: int = 8
    epoch_events: int = 500_000
    batch_positions: int = 2048
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    semantic_id_weight: float = 0.5
    semantic_id_share: float = 0.5
    label_smoothing: float = 0.0
    validation_users: int = 5000
    max_minutes: float = 0.0
    softmax: Softmax = "auto"
    full_softmax_items: int = 50_000
    negatives: int = 8192
    ema_decay: float = 0.999
    checkpoint_minutes: float = 5.0

    def samples(self, items: int) -> bool:
        """Whether a catalogue of `items` is trained with sampled softmax."""
        return self.softmax == "sampled" or (self.softmax == "auto" and items > self.full_softmax_items)

    def transitions_of_epoch(self, transitions: int) -> int:
        """Items that follow another one, in an epoch; `transitions`: in the training set."""
        return math.ceil(transitions / max(1, math.ceil(transitions / self.epoch_events)))

    def positions_for(self, transitions: int, items: int = 0) -> int:
        """History positions per step.

        Args:
            transitions: Of an epoch.
            items: Items that a step passes over.
        """
        most = int(self.batch_positions * min(8.0, max(1.0, items / self.full_softmax_items)))
        return max(min(most, transitions // STEPS_PER_EPOCH), min(FEWEST_POSITIONS, self.batch_positions))

    def __post_init__(self) -> None:
        check_choice("softmax", self.softmax, ("auto", "full", "sampled"))
        check_numbers(self, "ema_decay", "label_smoothing", low=0, below=1)
        check_numbers(self, "max_minutes", "checkpoint_minutes", low=0)
        check_numbers(self, "epochs", low=0)
        counts = ("patience", "epoch_events", "batch_positions", "validation_users", "full_softmax_items", "negatives")
        check_numbers(self, *counts, low=1)
        check_numbers(self, "learning_rate", over=0)
        check_numbers(self, "semantic_id_share", over=0, high=1)
