"""Items to vectors: the image encoder, the text encoder and the fusion that belong together, as one thing.

Used in the same way for a whole catalogue (`embedding`), for items a client describes, and for searches, so that all of
them land in one space. Knows nothing about users, codes or indexes.
"""

# Axes: N items, D fused dimensions

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from mmrec.catalogue.item_words import EVERY_COLUMN, ItemWords, words_of_item
from mmrec.contract.items import ItemInput, ItemRecord
from mmrec.data.pictures import decode_picture
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, InvalidImageError, MmrecError
from mmrec.runtime.background import between_steps
from mmrec_encoders.fusion import Fusion, ItemFeatures
from mmrec_encoders.picture_decoding import DecodedPicture, PictureSetup, decode_as
from mmrec_encoders.protocols import ImageEncoder, Pixels, TextEncoder, Vectors

if TYPE_CHECKING:
    from PIL.Image import Image

_INPUTS_AT_ONCE = 32
_Encoder = TypeVar("_Encoder")


class EncoderInputs(NamedTuple):
    """What the encoders read of items or searches, prepared and not encoded.

    Attributes:
        texts: Words, by place.
        pictures: Pictures as the model looks at them, by place.
        errors: Why others cannot be encoded, by place.
    """

    texts: dict[int, str]
    pictures: dict[int, Pixels]
    errors: dict[int, MmrecError]


class InputFeatures(NamedTuple):
    """Items as clients describe them, encoded.

    Attributes:
        rows: Places of the items that could be encoded, ascending. Length M.
        features: One row for each of them.
        errors: Why the others could not be, by their place.
    """

    rows: tuple[int, ...]
    features: ItemFeatures
    errors: dict[int, MmrecError]


class Query(NamedTuple):
    """A search.

    Attributes:
        text: Words to search by; blank for none.
        image: An encoded picture; None for none.
        text_weight: Share of the words when both are given, 0 to 1.
    """

    text: str = ""
    image: bytes | None = None
    text_weight: float = 0.5


class DecodedAhead:
    """Keeps a picture that was decoded ahead; when nobody has it any more, the encoder does not have it either."""

    def __init__(self, picture: DecodedPicture) -> None:
        self.picture = picture


@dataclass(frozen=True, slots=True)
class WhenUsed(Generic[_Encoder]):
    """An encoder that is loaded when it is first used.

    Attributes:
        load: Loads it.
    """

    load: Callable[[], _Encoder]


class ItemEncoder:
    """The encoders and the fusion of one bundle.

    Args:
        image: Encodes pictures; None for a catalogue without any. Here and for `text` also what loads it when used.
        text: Encodes words.
        fusion: Joins the two; None until it is trained.
        words: What of an item is words, the same for every item that is ever encoded.
    """

    def __init__(
        self,
        image: ImageEncoder | WhenUsed[ImageEncoder | None] | None,
        text: TextEncoder | WhenUsed[TextEncoder],
        fusion: Fusion | None = None,
        words: ItemWords = EVERY_COLUMN,
    ) -> None:
        self._image: Callable[[], ImageEncoder | None] = _loader(image)
        self._text: Callable[[], TextEncoder] = _loader(text)
        self.fusion = fusion
        self.words = words
        # A tokenizer may be set up by one thread only at a time.
        self._one_at_a_time = threading.Lock()
        # By the encoded file, whose hash Python computes once.
        self._ahead: WeakValueDictionary[bytes, DecodedAhead] = WeakValueDictionary()

    @property
    def image(self) -> ImageEncoder | None:
        """Encodes pictures; None for a catalogue without any."""
        return self._image()

    @image.setter
    def image(self, image: ImageEncoder | None) -> None:
        self._image = _loader(image)

    @property
    def text(self) -> TextEncoder:
        """Encodes words."""
        return self._text()

    @property
    def fingerprints(self) -> dict[str, str]:
        """What vectors depend on, by part; vectors with equal fingerprints may be mixed."""
        return {
            "image": self.image.fingerprint if self.image else "",
            "text": self.text.fingerprint,
            "fusion": self.fusion.fingerprint if self.fusion else "",
            "words": self.words.fingerprint,
        }

    @property
    def image_dim(self) -> int:
        """Length of a picture vector; 1 without an image encoder."""
        # The fusion knows it without loading the encoder.
        if self.fusion is not None:
            return self.fusion.shape.image_dim
        return self.image.dim if self.image else 1

    @property
    def trained_fusion(self) -> Fusion:
        """The fusion.

        Raises:
            FailedPreconditionError: it is not trained.
        """
        if self.fusion is None:
            raise FailedPreconditionError("the fusion is not trained yet; run mmrec fit first")
        return self.fusion

    def with_fusion(self, fusion: Fusion) -> ItemEncoder:
        """The same encoders with a fusion."""
        return ItemEncoder(self.image, self.text, fusion, self.words)

    def with_words(self, words: ItemWords) -> ItemEncoder:
        """The same encoders for other words of the items."""
        return ItemEncoder(self.image, self.text, self.fusion, words)

    # --- pictures that are decoded ahead --------------------------------------------------------------------

    def decode_ahead(
        self,
        data: bytes,
        thumbnail: Callable[[bytes, Image], Pixels] | None,
        decode: Callable[[PictureSetup, bytes], DecodedPicture] = decode_as,
    ) -> DecodedAhead | None:
        """Decode a picture before it is encoded; safe to call from any thread.

        As long as the result is kept, the picture is not decoded again.

        Args:
            data: The encoded file.
            thumbnail: See `PictureSetup`.
            decode: Decodes it, perhaps elsewhere.

        Returns:
            None for a catalogue without pictures.
        """
        if self.image is None:
            return None
        found = self._ahead.get(data)
        if found is None or (thumbnail is not None and found.picture.thumbnail is None):
            setup = PictureSetup(self.image.preparation, self.image.picture_size, thumbnail)
            self._ahead[data] = found = DecodedAhead(decode(setup, data))
        return found

    def decoded_ahead(self, data: bytes) -> DecodedPicture | None:
        """What `decode_ahead` made of a picture, if somebody keeps it."""
        found = self._ahead.get(data)
        return None if found is None else found.picture

    # --- single items and searches --------------------------------------------------------------------------

    def encode_inputs(self, items: Sequence[ItemInput]) -> list[Vectors | MmrecError]:
        """Fused vectors of items as clients describe them, each with its own result or error.

        Returns:
            One entry per item, in the same order: a unit vector of shape (D,), or the error of that item
            alone.

        Raises:
            FailedPreconditionError: the fusion is not trained.
        """
        fusion = self.trained_fusion
        encoded = self.input_features(items)
        results: list[Vectors | MmrecError] = [encoded.errors.get(row, _nothing()) for row in range(len(items))]
        for row, vector in zip(encoded.rows, fusion.fuse(encoded.features), strict=True):
            results[row] = vector
        return results

    def input_features(self, items: Sequence[ItemInput]) -> InputFeatures:
        """Frozen encoder vectors of items as clients describe them; what cannot be encoded is an error of its own."""
        texts, pictures, errors = self.item_inputs(items)
        rows = sorted({*texts, *pictures} - {*errors})
        return InputFeatures(tuple(rows), self._features(rows, texts, pictures, query=False), errors)

    def item_inputs(self, items: Sequence[ItemInput]) -> EncoderInputs:
        """What the encoders read of items as clients describe them."""
        errors: dict[int, MmrecError] = {}
        texts: dict[int, str] = {}
        pictures: dict[int, Pixels] = {}
        for row, item in enumerate(items):
            try:
                record = ItemRecord(item.item_id, item.title, item.description, attributes=item.attributes)
                text = words_of_item(record, self.words)
                if item.image is not None and (self.image is not None or not text):
                    pictures[row] = self._prepared(item.image)
                if text:
                    texts[row] = text
            except MmrecError as err:
                errors[row] = err
        known = {*errors, *texts, *pictures}
        errors |= {row: _nothing() for row in range(len(items)) if row not in known}
        return EncoderInputs(texts, pictures, errors)

    def encode_queries(self, queries: Sequence[Query]) -> list[Vectors | MmrecError]:
        """The fused vectors of several searches by words, by a picture, or by both, each with its own result or error.

        Returns:
            One entry per search, in the same order: a unit vector of shape (D,), or the error of that search alone: it
            has neither words nor picture, its weight is out of range, its picture cannot be read, or the catalogue has
            no pictures to compare it with.

        Raises:
            FailedPreconditionError: the fusion is not trained.
        """
        fusion = self.trained_fusion
        read = self.query_inputs(queries)
        # Two places for each search: its words and its picture.
        texts = {2 * row: words for row, words in read.texts.items()}
        pictures = {2 * row + 1: pixels for row, pixels in read.pictures.items()}
        places = sorted({*texts, *pictures})
        fused = fusion.fuse(self._features(places, texts, pictures, query=True))
        vectors = dict(zip(places, fused, strict=True))
        return [
            read.errors[row]
            if row in read.errors
            else _mixed(vectors.get(2 * row), vectors.get(2 * row + 1), query.text_weight)
            for row, query in enumerate(queries)
        ]

    def query_inputs(self, queries: Sequence[Query]) -> EncoderInputs:
        """What the encoders read of searches."""
        errors: dict[int, MmrecError] = {}
        texts: dict[int, str] = {}
        pictures: dict[int, Pixels] = {}
        for row, query in enumerate(queries):
            try:
                words = query.text.strip()
                _check_query(words, query)
                if query.image is not None:
                    pictures[row] = self._prepared(query.image)
                if words:
                    texts[row] = words
            except MmrecError as err:
                errors[row] = err
        return EncoderInputs(texts, pictures, errors)

    def _prepared(self, data: bytes) -> Pixels:
        """A picture as the model looks at it. What was decoded is released: it may have 300 times as many pixels."""
        if self.image is None:
            raise FailedPreconditionError(
                "this catalogue was fitted without pictures, so a picture cannot be compared; use words"
            )
        between_steps()
        ahead = self.decoded_ahead(data)
        try:
            if ahead is None:
                return self.image.preparation(decode_picture(data, size_hint=self.image.picture_size))
            if isinstance(ahead.pixels, InvalidImageError):
                raise ahead.pixels
            return ahead.pixels
        except InvalidImageError as err:
            # The client's field is named here: a picture decoder does not know whose picture it reads.
            raise InvalidImageError(err.message, field="image") from err

    def _features(
        self, rows: Sequence[int], texts: dict[int, str], pictures: dict[int, Pixels], *, query: bool
    ) -> ItemFeatures:
        """Features of the given rows, some of which have a text and some a picture."""
        has_image = np.array([row in pictures for row in rows], np.bool_)
        has_text = np.array([row in texts for row in rows], np.bool_)
        image_NI = np.zeros((len(rows), self.image_dim), np.float32)
        text_NT = np.zeros((len(rows), self.text.dim), np.float32)
        encoder = self.image if pictures else None
        with_picture = [place for place, row in enumerate(rows) if row in pictures] if encoder is not None else []
        with_text = [place for place, row in enumerate(rows) if row in texts]
        # A few at a time, so that a search that comes meanwhile waits for these alone.
        for begin in range(0, len(with_picture), _INPUTS_AT_ONCE):
            places = with_picture[begin : begin + _INPUTS_AT_ONCE]
            assert encoder is not None
            with self._one_at_a_time:
                image_NI[places] = encoder.encode_pixels(np.stack([pictures[rows[place]] for place in places]))
        for begin in range(0, len(with_text), _INPUTS_AT_ONCE):
            places = with_text[begin : begin + _INPUTS_AT_ONCE]
            with self._one_at_a_time:
                text_NT[places] = self.text.encode([texts[rows[place]] for place in places], query=query)
        return ItemFeatures(image_NI, has_image, text_NT, has_text)


def _loader(encoder: _Encoder | WhenUsed[_Encoder]) -> Callable[[], _Encoder]:
    """What returns the encoder, and loads it the first time."""
    return cache(encoder.load) if isinstance(encoder, WhenUsed) else lambda: encoder


def _nothing() -> MmrecError:
    return InvalidArgumentError("the item has neither words nor a picture; give a title, a description or an image")


def _check_query(words: str, query: Query) -> None:
    if not 0.0 <= query.text_weight <= 1.0:
        raise InvalidArgumentError(
            f"text_weight is {query.text_weight}; it must lie between 0 (picture alone) and 1 (words alone)",
            field="text_weight",
        )
    if not words and query.image is None:
        raise InvalidArgumentError("neither text nor image is given; pass at least one of them", field="text")


def _mixed(words_D: Vectors | None, picture_D: Vectors | None, text_weight: float) -> Vectors:
    """One unit vector of the one or two that are there. Shape: (D,)."""
    if words_D is None or picture_D is None:
        alone = picture_D if words_D is None else words_D
        return np.asarray(alone, np.float32)
    mixed = text_weight * words_D + (1.0 - text_weight) * picture_D
    norm = float(np.linalg.norm(mixed))
    # Opposite vectors of equal weight cancel out; the words are then as good an answer as any.
    result: Vectors = (mixed / norm if norm > 1e-6 else words_D).astype(np.float32)
    return result
