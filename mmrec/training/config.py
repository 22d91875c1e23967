"""Configuration of a fit, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from mmrec.catalogue.item_words import EVERY_COLUMN, ItemWords
from mmrec.channels.blend import BlendConfig
from mmrec.data.summary import checked_share
from mmrec.errors import InvalidArgumentError
from mmrec.generator.config import GeneratorConfig, TrainingConfig
from mmrec.generator.sentence_training import SentenceConfig
from mmrec.language.value_reader import ValueReaderConfig
from mmrec.ratings.fitting import RatingConfig
from mmrec.recommender.artefact import CandidateConfig, ChannelConfigs
from mmrec.runtime.limits import check_choice, check_numbers
from mmrec.semantic_ids.config import TokenizerConfig
from mmrec.training.instruction_tuning import InstructionSettings
from mmrec.training.modality import Modality
from mmrec.training.splitting import LEAVE_ONE_OUT, SplitName, checked_split
from mmrec_encoders.fusion_training import FusionConfig
from mmrec_encoders.small_clip_training import SmallClipConfig

PRESET_NAMES = ("embedded", "standard")


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How a dataset becomes a bundle.

    Attributes:
        preset: Where encoders and LLM come from: ``embedded`` (nothing is downloaded) or ``standard``.
        image_model: Instead of the preset's image model.
        text_model: Instead of the preset's text model.
        encoders_from: A bundle whose encoders are used, so that none are trained; empty for none.
        start_from: A bundle, fitted on another catalogue, whose encoders and fusion are used and whose LLM is trained
            on, in its shape. Empty: the LLM starts from random weights.
        template: Template of an item's text, e.g. ``"{title} by {brand}"``. None: as ``dataset.toml`` says, or title,
            description and the attributes that are words (see `mmrec.data.word_columns`).
        words: Word columns or template, found from the dataset; set by `fit_dataset`.
        split: Which events are held out: ``leave-one-out`` (each user's last two) or ``time`` (the last fifth of all).
        relabel_ids: Give items random ids in random order, for experiments: neither ids nor order carry information.
        require: ``picture`` or ``words`` leaves out items without them; empty keeps all.
        max_left_out: Largest share of unusable rows of a table, in [0, 1]; None: as the dataset says.
        min_rating: Events with a lower rating are negative; 0: all are positive; None: as the dataset says.
        modality: Which of picture and words the fused embedding uses.
        compare_modalities: Also fit with pictures alone and with words alone, and add both to the metrics.
        seed: Seed of all random choices.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        small_clip: Training of the small image encoder, if `image_model` is ``small``.
        finetune_from: Number of pictures with words from which the packaged image model is fine-tuned on the catalogue,
            if one process fits; held-out pairs decide whether the result is used. 0: never.
        finetune_minutes: Time limit of that; 0: never.
        fusion: The fused embedding.
        tokenizer: Semantic IDs.
        generator: Shape of the LLM.
        training: How the LLM is trained.
        sentences: How the LLM learns to read sentences behind a history.
        instructions: An instruction set that the LLM is trained on after the histories.
        values: How the reader of values that sentences mean is fitted.
        dictionary: A folder with the database files of WordNet, whose definitions explain the words of wishes; empty
            for none.
        channels: The other channels.
        blend: How channel weights are fitted.
        ratings: How ratings are predicted, where events have them.
        beam_width: Beam width of the semantic-ID search when serving.
        candidates: How many items are ranked in a large catalogue.
    """

    preset: str = "embedded"
    image_model: str = ""
    text_model: str = ""
    encoders_from: str = ""
    start_from: str = ""
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
    finetune_from: int = 10_000
    finetune_minutes: float = 15.0
    fusion: FusionConfig = field(default_factory=FusionConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    sentences: SentenceConfig = field(default_factory=SentenceConfig)
    instructions: InstructionSettings = field(default_factory=InstructionSettings)
    values: ValueReaderConfig = field(default_factory=ValueReaderConfig)
    dictionary: str = ""
    channels: ChannelConfigs = field(default_factory=ChannelConfigs)
    blend: BlendConfig = field(default_factory=BlendConfig)
    ratings: RatingConfig = field(default_factory=RatingConfig)
    beam_width: int = 64
    candidates: CandidateConfig = field(default_factory=CandidateConfig)

    def __post_init__(self) -> None:
        check_choice("preset", self.preset, PRESET_NAMES)
        check_choice("modality", self.modality, ("both", "picture", "words"))
        check_choice("require", self.require, ("", "picture", "words"))
        for name in ("encoders_from", "start_from"):
            if getattr(self, name) and (self.image_model or self.text_model):
                raise InvalidArgumentError(
                    f"{name} is {getattr(self, name)!r}, and image_model or text_model is given as well; a bundle "
                    "brings both of its encoders, so pass one or the other",
                    field=name,
                )
        if self.start_from and (self.encoders_from or self.generator.pretrained):
            other = "encoders_from" if self.encoders_from else "a pretrained LLM"
            raise InvalidArgumentError(
                f"start_from is {self.start_from!r}, and {other} is given as well; a bundle brings its encoders and "
                "its LLM, so pass one or the other",
                field="start_from",
            )
        checked_split(self.split)
        checked_share(self.max_left_out)
        check_numbers(self, "beam_width", low=1)
        check_numbers(self, "finetune_from", "finetune_minutes", low=0)
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
        # A pretrained model needs a smaller learning rate than one with random weights.
        return replace(
            config,
            generator=replace(config.generator, pretrained=pretrained, dropout=0.1),
            training=replace(config.training, learning_rate=2e-4, epochs=10, patience=3),
        )
    return config
