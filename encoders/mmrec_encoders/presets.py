"""Named choices of encoders, and how a model is named in one string. Knows nothing about training.

`embedded` needs no download: the packaged MiniLM for words and the packaged EfficientNet-Lite0 for pictures.
`standard` takes an open_clip ViT-B-32 and Qwen3-Embedding-0.6B from the hub, the local cache or a folder.
"""

from __future__ import annotations

from typing import NamedTuple

from mmrec.runtime.limits import check_choice
from mmrec_encoders.aligned import AlignedPictures, AlignedTexts, small_clip_file
from mmrec_encoders.clip_texts import ClipTextEncoder
from mmrec_encoders.efficientnet import EFFICIENTNET, EfficientNetEncoder
from mmrec_encoders.minilm import MINILM
from mmrec_encoders.open_clip_images import OpenClipImageEncoder
from mmrec_encoders.open_clip_models import open_clip_config
from mmrec_encoders.protocols import ImageEncoder, TextEncoder
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder

SMALL = "small"
"""Names the small image encoder, trained on the catalogue."""
CLIP = "clip:"
"""In front of an open_clip model or of a folder that `mmrec adapt` wrote: its words side."""
PRESETS: dict[str, tuple[str, str]] = {
    "embedded": (EFFICIENTNET, MINILM),
    "standard": ("ViT-B-32@laion2b_s34b_b79k", "Qwen/Qwen3-Embedding-0.6B"),
}
"""Image model and text model by preset."""


class Encoders(NamedTuple):
    """Frozen encoders.

    Attributes:
        image: None where it is to be trained on the catalogue (`small_clip_training.train_small_clip`).
        text: Encodes words.
    """

    image: ImageEncoder | None
    text: TextEncoder


def build_encoders(
    preset: str = "embedded",
    device: str = "auto",
    dtype: str = "auto",
    image_model: str | None = None,
    text_model: str | None = None,
    *,
    compile: bool = False,
) -> Encoders:
    """The encoders of a preset.

    Args:
        preset: ``embedded`` or ``standard``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        image_model: Instead of the preset's: `SMALL`, `EFFICIENTNET`, what `open_clip_config` reads, or a folder of
            `mmrec adapt` (``FOLDER@tower`` for the vectors of a small CLIP below its head).
        text_model: Instead of the preset's: hub id, local folder, `MINILM`, or ``clip:`` and an open_clip model
            (``clip:ViT-B-32@laion2b_s34b_b79k``) or a small CLIP's folder for its words side.
        compile: Whether models are compiled by `torch.compile`; a small CLIP of ours is not.

    Raises:
        InvalidArgumentError: there is no such preset.
        ModelNotAvailableError: a model can be neither found nor fetched.
    """
    check_choice("preset", preset, tuple(PRESETS))
    images, texts = PRESETS[preset]
    images, texts = image_model or images, text_model or texts
    image = None if images == SMALL else _image_encoder(images, device, dtype, compile)
    return Encoders(image, _text_encoder(texts, device, dtype, compile))


def _image_encoder(model: str, device: str, dtype: str, compile: bool) -> ImageEncoder:
    if model == EFFICIENTNET:
        return EfficientNetEncoder(device=device)
    if small_clip_file(model):
        return AlignedPictures.of(model, device=device)
    return OpenClipImageEncoder(open_clip_config(model, device, dtype, compile=compile))


def _text_encoder(model: str, device: str, dtype: str, compile: bool) -> TextEncoder:
    small = small_clip_file(model.removeprefix(CLIP)) if model.startswith(CLIP) else None
    if small:
        return AlignedTexts(small, device=device, dtype=dtype)
    if model.startswith(CLIP):
        return ClipTextEncoder(open_clip_config(model.removeprefix(CLIP), device, dtype, compile=compile))
    return SentenceTextEncoder(SentenceTextConfig(model, device=device, dtype=dtype, compile=compile))
