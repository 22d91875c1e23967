"""What `fit` does with a dataset, as one frozen value, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from mmrec.catalogue.item_words import EVERY_COLUMN, ItemWords
from mmrec.channels.blend import BlendConfig
from mmrec.data.summary import checked_share
from mmrec.errors import InvalidArgumentError
from mmrec.generator.config import GeneratorConfig, TrainingConfig
from mmrec.recommender.artefact import ChannelConfigs
from mmrec.runtime.limits import check_choice, check_numbers
from mmrec.semantic_ids.config import TokenizerConfig
from mmrec.training.splitting import LEAVE_ONE_OUT, SplitName, checked_split
from mmrec_encoders.fusion_training import FusionConfig
from mmrec_encoders.small_clip_training import SmallClipConfig

Modality = Literal["both", "picture", "words"]

PRESET_NAMES = ("embedded", "standard")


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How a dataset becomes a bundle.

    Attributes:
        preset: Where encoders and LLM come from: ``embedded`` (nothing is downloaded) or ``standard``.
        image_model: Instead of the preset's image model.
        text_model: Instead of the preset's text model.
        encoders_from: A bundle whose encoders read this catalogue, so that none are trained; empty for none.
        template: How an item's words are put together, e.g. ``"{title} by {brand}"``; None for what ``dataset.toml``
            says, or title, description and the attributes that are words (see `mmrec.data.word_columns`).
        words: What of an item is words, found from the dataset; left to `fit_dataset`.
        split: Which events are held out: ``leave-one-out`` (each user's last two) or ``time`` (the last fifth of all).
        relabel_ids: Give items random ids in a random order, so that nothing can be read from either.
        require: ``picture`` or ``words`` leaves out items without them; empty keeps all.
        max_left_out: The largest share of the rows of a table that may be left out as unusable, in [0, 1]; None for
            what the dataset says.
        min_rating: Events with a rating below it are negative; 0: every rating counts; None for what the dataset says.
        modality: Which of picture and words the fused embedding sees.
        compare_modalities: Also fit with pictures alone and with words alone, and put both into the metrics.
        seed: Of everything that is drawn.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        small_clip: The image encoder of ``embedded``.
        fusion: The fused embedding.
        tokenizer: Semantic IDs.
        generator: Shape of the LLM.
        training: How the LLM is trained.
        channels: How histories are counted and read.
        blend: How channel weights are fitted.
        beam_width: Beams of the semantic-ID search in service.
    """

    preset: str = "embedded"
    image_model: str = ""
    text_model: str = ""
    encoders_from: str = ""
    template: str | None = None
    words: ItemWords = EVERY_COLUMN
    split: SplitName = LEAVE_ONE_OUT
    relabel_ids: bool = False
    require: Literal["", "picture", "words"] = ""
    max_left_out: float | None = None
    min_rating: float | None = None
    modality: Modality = "both"
    compare_modalities: bool = False
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    small_clip: SmallClipConfig = field(default_factory=SmallClipConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    channels: ChannelConfigs = field(default_factory=ChannelConfigs)
    blend: BlendConfig = field(default_factory=BlendConfig)
    beam_width: int = 64

    def __post_init__(self) -> None:
        check_choice("preset", self.preset, PRESET_NAMES)
        check_choice("modality", self.modality, ("both", "picture", "words"))
        check_choice("require", self.require, ("", "picture", "words"))
        if self.encoders_from and (self.image_model or self.text_model):
            raise InvalidArgumentError(
                f"encoders_from is {self.encoders_from!r}, and image_model or text_model is given as well; a bundle "
                "brings both of its encoders, so pass one or the other",
                field="encoders_from",
            )
        checked_split(self.split)
        checked_share(self.max_left_out)
        check_numbers(self, "beam_width", low=1)
        check_numbers(self, "seed", low=0, below=2**31)


def preset(name: str, *, language_model: str = "") -> FitConfig:
    """The configuration of a preset.

    Args:
        name: ``embedded`` or ``standard``.
        language_model: Hub id or local folder of a pretrained LLM, instead of the preset's.

    Raises:
        InvalidArgumentError: there is no such preset.
    """
    config = FitConfig(preset=name)
    pretrained = language_model or ("Qwen/Qwen3-0.6B" if name == "standard" else "")
    if pretrained:
        # A pretrained model wants smaller steps than one that starts from noise.
        return replace(
            config,
            generator=replace(config.generator, pretrained=pretrained, dropout=0.1),
            training=replace(config.training, learning_rate=2e-4, epochs=10, patience=3),
        )
    return config
