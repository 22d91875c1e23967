from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mmrec.errors import InvalidArgumentError
from mmrec_encoders.preparation import ClipPreparation, Squeeze, shrink
from tests.encoders.contracts import PICTURES

SIZES = [(1, 1), (3, 2), (31, 33), (32, 32), (48, 32), (32, 48), (64, 48), (500, 31), (31, 500), (257, 255)]
FRAMES = [
    {"size": 32},
    {"size": [32, 32], "interpolation": "bilinear"},
    {"size": (33, 33), "interpolation": "random"},
    {"size": (24, 48)},
    {"size": (48, 24), "interpolation": "bilinear"},
    {"size": 32, "resize_mode": "squash"},
    {"size": (24, 48), "resize_mode": "squash", "interpolation": "bilinear"},
    {"size": 32, "resize_mode": "longest", "fill_color": 7},
    {"size": (48, 31), "resize_mode": "longest", "interpolation": "bilinear"},
]


@pytest.mark.parametrize("frame", FRAMES, ids=str)
def test_a_picture_is_prepared_bit_for_bit_as_open_clip_does_before_it_normalises(frame: dict[str, object]) -> None:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    transform = image_transform_v2(PreprocessCfg(**frame), is_train=False)
    transform.transforms = transform.transforms[:-1]  # without Normalize: 0 to 1, exact multiples of 1/255
    prepare = ClipPreparation.of(frame)
    rng = np.random.default_rng(0)
    for width, height in SIZES:
        picture = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        expected = np.round(transform(picture).numpy() * 255).astype(np.uint8)
        found = prepare(picture)
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, expected, err_msg=f"{width} x {height}")


def test_the_frame_is_filled_even_by_a_strip_that_open_clip_would_fail_on() -> None:
    prepare = ClipPreparation(32, 32, "longest", fill=9)
    pixels = prepare(Image.new("RGB", (1, 200), (200, 100, 50)))
    assert pixels.shape == (3, 32, 32)
    assert pixels[:, 5, 0].tolist() == [9, 9, 9]
    assert pixels[:, 16, 15].tolist() == [200, 100, 50]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_a_picture_of_another_mode_is_made_rgb_first(mode: str) -> None:
    picture = PICTURES[2].convert(mode)
    prepare = ClipPreparation(32, 32)
    np.testing.assert_array_equal(prepare(picture), prepare(picture.convert("RGB")))


def test_what_a_model_leaves_out_is_what_open_clip_takes() -> None:
    assert ClipPreparation.of({}) == ClipPreparation(224, 224)
    assert ClipPreparation.of({"size": 64, "mean": 0.5, "std": [0.5, 0.25, 1]}).std == (0.5, 0.25, 1.0)


def test_preparations_that_give_other_numbers_have_other_fingerprints() -> None:
    fingerprints = {ClipPreparation.of(frame).fingerprint for frame in FRAMES}
    assert len(fingerprints) == len(FRAMES)
    assert ClipPreparation(32, 32, mean=(0.5, 0.5, 0.5)).fingerprint != ClipPreparation(32, 32).fingerprint
    assert ClipPreparation(32, 32, interpolation="random").fingerprint == ClipPreparation(32, 32).fingerprint
    assert Squeeze(64).fingerprint != Squeeze(72).fingerprint


def test_the_size_is_the_side_below_which_decoding_would_lose_detail() -> None:
    assert ClipPreparation(224, 224).size == 224
    assert ClipPreparation(384, 128).size == 384
    assert Squeeze(64).size == 64


@pytest.mark.parametrize("prepare", [ClipPreparation(32, 48, "longest"), Squeeze(64)])
def test_a_preparation_travels_to_a_process_without_torch(
    prepare: ClipPreparation | Squeeze, child_environment: dict[str, str]
) -> None:
    script = """
import pickle, sys
from PIL import Image
prepare = pickle.loads(sys.stdin.buffer.read())
sys.stdout.buffer.write(prepare(Image.linear_gradient("L")).tobytes())
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script], input=pickle.dumps(prepare), stdout=subprocess.PIPE, env=child_environment
    )
    assert done.returncode == 0
    assert done.stdout == prepare(Image.linear_gradient("L")).tobytes()


def test_squeezing_keeps_the_whole_picture() -> None:
    tall = Image.new("RGB", (10, 1000), (255, 0, 0))
    tall.paste((0, 0, 255), (0, 500, 10, 1000))
    small = Squeeze(64)(tall)
    assert small.shape == (3, 64, 64)
    assert small[:, 5, 5].tolist() == [255, 0, 0]
    assert small[:, 60, 60].tolist() == [0, 0, 255]
    np.testing.assert_array_equal(small, shrink(tall, 64))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"height": 0}, "height is 0; it must be at least 1"),
        ({"resize_mode": "crop"}, "resize_mode is 'crop'; it must be one of shortest, longest, squash"),
        ({"interpolation": "nearest"}, "interpolation is 'nearest'; it must be one of bicubic, bilinear, random"),
        ({"fill": 256}, "fill is 256"),
        ({"mean": (0.5,)}, "each must be three numbers"),
        ({"std": (0.5, 0.0, 0.5)}, "those of std above 0"),
    ],
)
def test_a_preparation_that_breaks_a_rule_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        ClipPreparation(**{"height": 32, "width": 32, **values})  # type: ignore[arg-type]


def test_a_squeeze_to_nothing_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="size is 0"):
        Squeeze(0)
