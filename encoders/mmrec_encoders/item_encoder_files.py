"""An `ItemEncoder` as a folder: ``encoders.json``, and safetensors for what was trained on the catalogue.

Models from elsewhere are named, not copied; their fingerprints are kept and checked, so that vectors of one
model are never compared with those of another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mmrec.catalogue.item_words import ItemWords
from mmrec.errors import BundleError, FailedPreconditionError, InvalidArgumentError
from mmrec.runtime.device import resolve_device
from mmrec_encoders.aligned import TEXT_SETTINGS, AlignedPictures, AlignedTexts, describe_text
from mmrec_encoders.clip_texts import ClipTextEncoder
from mmrec_encoders.efficientnet import EfficientNetEncoder
from mmrec_encoders.fusion import Fusion
from mmrec_encoders.item_encoder import ItemEncoder, WhenUsed
from mmrec_encoders.open_clip_images import OpenClipImageEncoder
from mmrec_encoders.open_clip_models import OpenClipConfig, open_clip_config
from mmrec_encoders.presets import CLIP
from mmrec_encoders.protocols import ImageEncoder, TextEncoder
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from mmrec_encoders.small_clip import SmallClipEncoder

_FORMAT = 1
_DESCRIPTION, _IMAGE, _FUSION = "encoders.json", "image.safetensors", "fusion.safetensors"
_WORDS = "words.safetensors"


def save_item_encoder(encoder: ItemEncoder, folder: Path) -> None:
    """Write what `load_item_encoder` needs: weights trained here, and names of models that come from elsewhere.

    Raises:
        FailedPreconditionError: an encoder is of a class that cannot be named in a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        "format": _FORMAT,
        "words": {"template": encoder.words.template, "columns": encoder.words.columns},
        "image": _describe_image(encoder.image),
        "text": _describe_text(encoder.text),
        "fusion": encoder.fusion.fingerprint if encoder.fusion else None,
    }
    if isinstance(encoder.image, SmallClipEncoder | AlignedPictures):
        encoder.image.save(folder / _IMAGE)
    if isinstance(encoder.text, AlignedTexts):
        encoder.text.save(folder / _WORDS)
    if encoder.fusion:
        encoder.fusion.save(folder / _FUSION)
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    (folder / _DESCRIPTION).write_text(text, encoding="utf-8")


def _describe_image(image: ImageEncoder | None) -> dict[str, Any] | None:
    if image is None:
        return None
    if isinstance(image, SmallClipEncoder):
        return {"kind": "small-clip", "fingerprint": image.fingerprint}
    if isinstance(image, AlignedPictures):
        return {"kind": "aligned-pictures", "vector": image.vector, "fingerprint": image.fingerprint}
    if isinstance(image, EfficientNetEncoder):
        return {"kind": "efficientnet-lite0", "fingerprint": image.fingerprint}
    if isinstance(image, OpenClipImageEncoder):
        return {"kind": "open-clip", "model": _named(image.config), "fingerprint": image.fingerprint}
    raise FailedPreconditionError(
        f"an image encoder of class {type(image).__name__} cannot be saved; use an open_clip model or one of a preset"
    )


def _named(config: OpenClipConfig) -> str:
    """The model in one string, as `open_clip_config` reads it."""
    return f"{config.model}@{config.pretrained}" if config.pretrained else config.model


def _describe_text(text: TextEncoder) -> dict[str, Any]:
    if isinstance(text, ClipTextEncoder):
        return {"kind": "open-clip", "model": _named(text.config), "fingerprint": text.fingerprint}
    if isinstance(text, AlignedTexts):
        return {"kind": "aligned-words", "base": _describe_text(text.base), "fingerprint": text.fingerprint}
    if isinstance(text, SentenceTextEncoder):
        return {"kind": "sentence-transformers", **describe_text(text)}
    raise FailedPreconditionError(
        f"a text encoder of class {type(text).__name__} cannot be saved; use one that sentence-transformers or "
        "open_clip loads"
    )


class _Place(NamedTuple):
    """Where models are loaded from and to."""

    folder: Path
    device: str
    dtype: str
    compile: bool


def load_item_encoder(
    folder: Path,
    device: str = "auto",
    dtype: str = "auto",
    *,
    image_model: str | None = None,
    text_model: str | None = None,
    compile: bool = False,
    when_used: bool = False,
) -> ItemEncoder:
    """Read what `save_item_encoder` wrote.

    Args:
        folder: The folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        image_model: Where the image model is now, if it is not where it was; the same weights are required.
        text_model: Likewise for the text model.
        compile: Whether models from elsewhere are compiled by `torch.compile`.
        when_used: Load the image and the text encoder when each is first used, which then raises the errors. For
            questions that need neither: loading takes seconds.

    Raises:
        BundleError: a file is missing or damaged, or a model is not the one the folder was saved with.
        ModelNotAvailableError: a model named in the folder can be neither found nor fetched.
    """
    path = folder / _DESCRIPTION
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        version = described["format"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as err:
        raise BundleError(f"{path} is missing or damaged; make the bundle again with mmrec fit") from err
    if version != _FORMAT:
        raise BundleError(
            f"{path} has format version {version!r}; this mmrec reads {_FORMAT}: use the mmrec that wrote it"
        )
    place = _Place(folder, device, dtype, compile)

    def load_image() -> ImageEncoder | None:
        with _entries_of(path):
            return _load_image(described["image"], place, image_model)

    def load_text() -> TextEncoder:
        with _entries_of(path):
            return _load_text(described["text"], place, text_model)

    image, text = WhenUsed(load_image), WhenUsed(load_text)
    with _entries_of(path):
        fusion = None
        if described["fusion"]:
            fusion = Fusion.load(folder / _FUSION, device=resolve_device(device))
            _check("fusion", described["fusion"], fusion.fingerprint)
        words = _words(path, described["words"])
        if when_used:
            return ItemEncoder(image, text, fusion, words)
        return ItemEncoder(image.load(), text.load(), fusion, words)


@contextmanager
def _entries_of(path: Path) -> Iterator[None]:
    """Raise a `BundleError` if an entry of the description is missing or of another type."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as err:
        raise BundleError(f"{path} lacks an entry; make the bundle again with mmrec fit") from err


def _words(path: Path, described: dict[str, Any]) -> ItemWords:
    columns = described["columns"]
    try:
        return ItemWords(described["template"], None if columns is None else tuple(map(str, columns)))
    except InvalidArgumentError as err:
        raise BundleError(f"{path}: {err.message}: make the bundle again with mmrec fit") from err


def _load_image(described: dict[str, Any] | None, place: _Place, override: str | None) -> ImageEncoder | None:
    if described is None:
        return None
    folder, device, dtype, compile = place
    image: ImageEncoder
    if described["kind"] == "small-clip":
        image = SmallClipEncoder.load(folder / _IMAGE, device=device)
    elif described["kind"] == "aligned-pictures":
        image = AlignedPictures(folder / _IMAGE, described["vector"], device=device)
    elif described["kind"] == "efficientnet-lite0":
        image = EfficientNetEncoder(device=device)
    elif described["kind"] == "open-clip":
        image = OpenClipImageEncoder(open_clip_config(override or described["model"], device, dtype, compile=compile))
    else:
        raise BundleError(
            f"the bundle names an image encoder of kind {described['kind']!r}, which this mmrec does not know; "
            "update mmrec"
        )
    _check("image encoder", described["fingerprint"], image.fingerprint)
    return image


def _load_text(described: dict[str, Any], place: _Place, override: str | None) -> TextEncoder:
    folder, device, dtype, compile = place
    if described["kind"] == "aligned-words":
        base = _load_text(described["base"], place, override)
        words = AlignedTexts(folder / _WORDS, base, device=device)
        _check("text encoder", described["fingerprint"], words.fingerprint)
        return words
    if described["kind"] == "open-clip":
        model = (override or described["model"]).removeprefix(CLIP)
        clip = ClipTextEncoder(open_clip_config(model, device, dtype, compile=compile))
        _check("text encoder", described["fingerprint"], clip.fingerprint)
        return clip
    if described["kind"] != "sentence-transformers":
        raise BundleError(
            f"the bundle names a text encoder of kind {described['kind']!r}, which this mmrec does not know; "
            "update mmrec"
        )
    settings = {name: described[name] for name in TEXT_SETTINGS}
    if override:
        settings["model"] = override
    text = SentenceTextEncoder(SentenceTextConfig(**settings, device=device, dtype=dtype, compile=compile))
    _check("text encoder", described["fingerprint"], text.fingerprint)
    return text


def _check(what: str, expected: str, found: str) -> None:
    """Compare weights only: a model may have moved to a folder of another name."""
    if expected.rpartition("@")[2] != found.rpartition("@")[2]:
        raise BundleError(
            f"the bundle was made with {what} {expected}, but {found} was found; "
            "pass the model it was made with, or fit again"
        )
