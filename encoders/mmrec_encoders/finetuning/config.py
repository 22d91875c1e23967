"""Configuration of fine-tuning."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.device import DTYPES
from mmrec.runtime.limits import check_choice, check_numbers
from mmrec_encoders.augment import Views
from mmrec_encoders.minilm import MINILM
from mmrec_encoders.small_clip import SmallClipShape

Mode = Literal["efficientnet", "small", "full", "locked-image"]
OWN_TOWERS = ("efficientnet", "small")
"""Modes that train towers of ours over a frozen text encoder."""
Loss = Literal["clip", "siglip"]
_GROWS_BY = 16
TEXT_KINDS = ("title", "item", "columns", "phrase", "value")
"""Names of the texts an item has; anything with a brace in it is a template over the columns."""


@dataclass(frozen=True, slots=True)
class SmallTowers:
    """An image tower of ours, and a head over a frozen text encoder.

    Attributes:
        shape: Of the image tower.
        first_size: Side in pixels of the training pictures at first, a multiple of 16; it grows by 16 to the tower's,
            for equal shares of the training. 0 for the tower's throughout, as where maps are kept. Small pictures
            teach a convolutional network faster: Tan and Le 2021, "EfficientNetV2: Smaller Models and Faster Training",
            arXiv:2104.00298.
        keep_size: Side in pixels at which training pictures are kept, at least the tower's: random crops are cut
            from these. 3 bytes a pixel, in a file of the work folder.
        kept_views: Random views of each training picture whose feature maps below the trained stages are kept in files
            of the work folder; passes over the pictures take turns. 0 to compute a new view at each pass, which also
            happens if there is no space for 2. Only for ``efficientnet-lite0``.
        kept_gib: Most disk space for these maps, in GiB; at 96 pixels, a view of 100,000 pictures takes 0.6.
        dimension: Length of the vectors in the space that pictures and words share.
        text_hidden: Width of the text head's hidden layer; 0 for a plain projection.
        text_dropout: Share of the hidden values dropped in training.
        text_words: Number of word pieces with a learned vector; their mean is added to the head's output, for names and
            colours that the frozen encoder hardly distinguishes. 0 for none.
    """

    shape: SmallClipShape = field(
        default_factory=lambda: SmallClipShape(width=32, layers=(1, 1, 2, 1), network="resnet")
    )
    first_size: int = 0
    keep_size: int = 72
    kept_views: int = 0
    kept_gib: float = 4.0
    dimension: int = 256
    text_hidden: int = 512
    text_dropout: float = 0.0
    text_words: int = 32_768

    def __post_init__(self) -> None:
        if self.keep_size < self.shape.image_size:
            raise InvalidArgumentError(
                f"keep_size is {self.keep_size}; it must be at least the tower's {self.shape.image_size}",
                field="keep_size",
            )
        if self.first_size and (self.first_size % 16 or not 32 <= self.first_size <= self.shape.image_size):
            raise InvalidArgumentError(
                f"first_size is {self.first_size}; it must be 0, or a multiple of 16 from 32 to the tower's "
                f"{self.shape.image_size}",
                field="first_size",
            )
        if self.kept_views and self.shape.network != "efficientnet-lite0":
            raise InvalidArgumentError(
                f"kept_views is {self.kept_views}; it must be 0 for the network {self.shape.network}, which has no "
                "frozen stages",
                field="kept_views",
            )
        check_numbers(self, "dimension", low=1)
        check_numbers(self, "kept_views", "kept_gib", "text_hidden", "text_words", low=0)
        check_numbers(self, "text_dropout", low=0, below=1)

    def size_at(self, done: float) -> int:
        """Side of the training pictures when this share of the training is done."""
        last = self.shape.image_size
        sides: list[int] = [*range(self.first_size or last, last, _GROWS_BY), last]
        return sides[min(int(done * len(sides)), len(sides) - 1)]


@dataclass(frozen=True, slots=True)
class FinetuningConfig:
    """How encoders are trained on a catalogue; `finetuning_preset` has the values that suit each mode.

    Attributes:
        mode: ``efficientnet`` fine-tunes the packaged EfficientNet-Lite0 over a frozen text encoder; ``small`` trains a
            small image tower over it from scratch; ``full`` trains both towers of a pretrained open_clip model;
            ``locked-image`` trains its text tower to the frozen image tower.
        image_model: The open_clip model of ``full`` and ``locked-image``, as `open_clip_config` reads it.
        text_model: The frozen text encoder of ``efficientnet`` and ``small``.
        towers: Of ``efficientnet`` and ``small``.
        loss: ``clip`` or ``siglip``.
        texts: What an item's picture is paired with, drawn anew each time: kind and relative weight. Kinds:
            ``title``; ``item``, all its words as `mmrec.catalogue.item_words.item_text` writes them; ``columns``, all
            phrases together; ``phrase``, one column as ``colour: Red``; ``value``, as ``Red``; or a template over
            the columns, as ``{colour} {article_type}``.
        columns: Columns that ``phrase``, ``value`` and ``columns`` take; empty for those with 2 to 200 values that are
            words.
        template: How ``item`` puts words together; empty for what ``dataset.toml`` says, or the columns that are words.
        share: Whether a text that also describes another picture of the batch has that picture as a second positive;
            otherwise such combinations are ignored by the loss.
        epochs: Epochs over the training pairs, at least 1.
        batch_size: Pairs that one process computes at a time; 0 to choose by mode and data.
        accumulate: Batches whose pairs are compared with each other in one step, with the memory of one; above 1, each
            is computed twice.
        learning_rate: Peak of the cosine schedule.
        tower_rate: Learning rate of the image tower of ``efficientnet``, relative to that of everything else.
        warmup: Share of the steps over which the learning rate rises from 0.
        weight_decay: Of AdamW, for matrices.
        beta2: Of AdamW.
        clip_norm: Maximum gradient norm of a step.
        ema_decay: Decay of an exponential moving average of the weights, which is then scored and saved; 0 for none.
        views: Augmentation of pictures.
        dtype: Number format of the towers' arithmetic; weights and losses are float32.
        hold_out: Share of titles held out from training, over 0 and at most 0.5.
        max_held_out: Maximum held-out titles, which bounds evaluation time.
        max_minutes: Time limit; the learning rate follows the clock so that it still ends at 0. 0: no limit. Runs ended
            by the clock differ in their last bits.
        save_minutes: Time between checkpoints within an epoch; each epoch ends with one.
        labels: Columns for zero-shot accuracy; empty for those with 2 to 200 values.
        prompts: Templates of a label's texts, whose vectors are averaged: ``{value}`` and ``{column}``.
        seed: Of all random draws.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """

    mode: Mode = "efficientnet"
    image_model: str = ""
    text_model: str = MINILM
    towers: SmallTowers = field(default_factory=SmallTowers)
    loss: Loss = "clip"
    texts: tuple[tuple[str, float], ...] = (("title", 0.5), ("item", 0.25), ("phrase", 0.15), ("value", 0.1))
    columns: tuple[str, ...] = ()
    template: str = ""
    share: bool = True
    epochs: int = 20
    batch_size: int = 0
    accumulate: int = 1
    learning_rate: float = 2e-3
    tower_rate: float = 1.0
    warmup: float = 0.05
    weight_decay: float = 0.05
    beta2: float = 0.98
    clip_norm: float = 1.0
    ema_decay: float = 0.0
    views: Views = field(default_factory=Views)
    dtype: str = "auto"
    hold_out: float = 0.1
    max_held_out: int = 20_000
    max_minutes: float = 0.0
    save_minutes: float = 2.0
    labels: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ("{value}", "{column}: {value}", "a photo of {value}", "{value} product")
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        self._check_choices()
        check_numbers(self, "epochs", "accumulate", "max_held_out", low=1)
        check_numbers(self, "batch_size", "seed", "max_minutes", "save_minutes", "tower_rate", "weight_decay", low=0)
        if self.batch_size == 1:
            raise InvalidArgumentError(
                "batch_size is 1; it must be at least 2, as other pairs of the batch are the negatives",
                field="batch_size",
            )
        check_numbers(self, "learning_rate", "clip_norm", over=0, below=math.inf)
        check_numbers(self, "warmup", "beta2", low=0, below=1)
        check_numbers(self, "hold_out", over=0, high=0.5)
        check_numbers(self, "ema_decay", low=0, below=1)
        self._check_texts()

    def _check_choices(self) -> None:
        check_choice("mode", self.mode, get_args(Mode))
        check_choice("loss", self.loss, get_args(Loss))
        check_choice("dtype", self.dtype, DTYPES)
        own = self.mode in OWN_TOWERS
        if not own and not self.image_model:
            raise InvalidArgumentError(
                f"mode is {self.mode!r} and no image model is named; pass an open_clip model such as "
                "ViT-B-32@laion2b_s34b_b79k or a folder, or take mode efficientnet or small, which need none",
                field="image_model",
            )
        if not own and self.text_model != MINILM:
            raise InvalidArgumentError(
                f"text_model is {self.text_model!r}, but mode {self.mode} trains the text tower of the image model; "
                "take mode efficientnet or small, or drop the model",
                field="text_model",
            )
        if own and self.image_model:
            raise InvalidArgumentError(
                f"image_model is {self.image_model!r}, but mode {self.mode} has an image tower of its own; "
                "take mode full or locked-image, or drop the model",
                field="image_model",
            )

    def _check_texts(self) -> None:
        if not self.texts or not all(weight >= 0 for _, weight in self.texts) or not sum(w for _, w in self.texts) > 0:
            raise InvalidArgumentError(
                f"texts is {self.texts}; it must name kinds with weights of 0 or more, one of them over 0",
                field="texts",
            )
        for kind, _ in self.texts:
            if kind not in TEXT_KINDS and "{" not in kind:
                raise InvalidArgumentError(
                    f"texts names {kind!r}; the kinds are {', '.join(TEXT_KINDS)}, or a template such as '{{title}}'",
                    field="texts",
                )
        for prompt in self.prompts:
            if "{value}" not in prompt:
                raise InvalidArgumentError(f"the prompt {prompt!r} lacks {{value}}", field="prompts")
        if not self.prompts:
            raise InvalidArgumentError("prompts is empty; pass at least '{value}'", field="prompts")


def small_towers(size: str = "base") -> SmallTowers:
    """The small CLIP by size: ``base`` for a CPU, ``large`` with eight times the arithmetic for a GPU.

    Raises:
        InvalidArgumentError: there is no such size.
    """
    check_choice("size", size, ("base", "large"))
    if size == "base":
        return SmallTowers()
    return SmallTowers(shape=SmallClipShape(dim=512, width=64, layers=(2, 2, 2, 2), network="resnet"))


def efficientnet_towers() -> SmallTowers:
    """EfficientNet-Lite0 at a size of pictures that a CPU can train on."""
    shape = SmallClipShape(dim=512, image_size=96, network="efficientnet-lite0")
    return SmallTowers(shape, first_size=64, keep_size=108, kept_views=8)


def finetuning_preset(mode: str = "efficientnet", **changes: Any) -> FinetuningConfig:
    """Recommended values for a mode, overridden by `changes`.

    Raises:
        InvalidArgumentError: there is no such mode, or a value breaks a rule.
    """
    config: dict[str, Any] = {"mode": mode}
    if mode == "efficientnet":
        config |= {
            "towers": efficientnet_towers(),
            "epochs": 30,
            "learning_rate": 1e-3,
            "tower_rate": 0.3,
            "ema_decay": 0.98,
        }
    if mode in ("full", "locked-image"):
        # Small steps and mild views preserve what pretrained towers know.
        config |= {
            "epochs": 6,
            "learning_rate": 2e-5 if mode == "full" else 1e-4,
            "warmup": 0.1,
            "weight_decay": 0.1,
            "views": Views(min_area=0.7, stretch=0.1, colour=0.05),
        }
    return FinetuningConfig(**{**config, **changes})
