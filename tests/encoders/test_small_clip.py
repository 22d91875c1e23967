from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmrec.errors import BundleError, InvalidArgumentError
from mmrec_encoders.small_clip import SmallClipEncoder, SmallClipShape, build_tower
from tests.encoders.contracts import PICTURES, assert_cosines, assert_image_encoder


def test_it_obeys_the_batch_law(small_clip: SmallClipEncoder) -> None:
    assert (small_clip.dim, small_clip.picture_size) == (32, 64)
    assert_image_encoder(small_clip)


def test_a_saved_encoder_comes_back_the_same(small_clip: SmallClipEncoder, tmp_path: Path) -> None:
    small_clip.save(tmp_path / "image.safetensors")
    loaded = SmallClipEncoder.load(tmp_path / "image.safetensors", device="cpu")
    assert loaded.fingerprint == small_clip.fingerprint
    np.testing.assert_array_equal(loaded.encode(PICTURES), small_clip.encode(PICTURES))
    assert [path.name for path in tmp_path.iterdir()] == ["image.safetensors"]


def test_a_plain_resnet_obeys_the_batch_law_and_comes_back_the_same(tmp_path: Path) -> None:
    shape = SmallClipShape(dim=24, width=4, layers=(1, 1, 2, 1), network="resnet")
    encoder = SmallClipEncoder(shape, build_tower(shape).state_dict(), device="cpu")
    assert_image_encoder(encoder)
    encoder.save(tmp_path / "image.safetensors")
    loaded = SmallClipEncoder.load(tmp_path / "image.safetensors", device="cpu")
    assert loaded.shape == shape
    np.testing.assert_array_equal(loaded.encode(PICTURES), encoder.encode(PICTURES))


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="network is 'vit'; it must be one of modified-resnet, resnet"):
        SmallClipShape(network="vit")  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [0, 2, 20, 60])
def test_a_damaged_header_is_refused(small_clip: SmallClipEncoder, tmp_path: Path, at: int) -> None:
    path = tmp_path / "image.safetensors"
    small_clip.save(path)
    data = bytearray(path.read_bytes())
    data[at] ^= 0x80
    path.write_bytes(data)
    with pytest.raises(BundleError, match="make it again with mmrec fit"):
        SmallClipEncoder.load(path, device="cpu")


def test_a_flipped_bit_in_the_numbers_shows_in_the_fingerprint(small_clip: SmallClipEncoder, tmp_path: Path) -> None:
    path = tmp_path / "image.safetensors"
    small_clip.save(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x01
    path.write_bytes(data)
    assert SmallClipEncoder.load(path, device="cpu").fingerprint != small_clip.fingerprint


@pytest.mark.parametrize("length", [0, 5, 300, 20_000])
def test_a_cut_off_file_is_refused(small_clip: SmallClipEncoder, tmp_path: Path, length: int) -> None:
    path = tmp_path / "image.safetensors"
    small_clip.save(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BundleError, match="damaged"):
        SmallClipEncoder.load(path, device="cpu")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"image\.safetensors is missing"):
        SmallClipEncoder.load(tmp_path / "image.safetensors")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dim": 0}, "dim is 0"),
        ({"width": 3}, "width is 3; it must be even"),
        ({"layers": (1, 1, 0, 1)}, "layers is"),
        ({"image_size": 48}, "multiple of 32"),
    ],
)
def test_a_shape_that_breaks_a_rule_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        SmallClipShape(**values)  # type: ignore[arg-type]


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu(small_clip: SmallClipEncoder, tmp_path: Path) -> None:
    small_clip.save(tmp_path / "image.safetensors")
    there = SmallClipEncoder.load(tmp_path / "image.safetensors", device="cuda")
    assert_cosines(there.encode(PICTURES), small_clip.encode(PICTURES), 0.999)
