"""Every hostile picture is an error of its own, in our own words and without ado; every odd but sound one is seen."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mmrec.data.pictures import decode_picture
from mmrec.errors import InvalidImageError
from tests.data.hostile_pictures import hostile_pictures
from tests.data.sound_pictures import sound_pictures

MEASURE = """
import json, resource
from mmrec.data.pictures import decode_picture
from mmrec.errors import InvalidImageError
from tests.data.hostile_pictures import hostile_pictures
from tests.data.sound_pictures import sound_pictures

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

pictures = {**hostile_pictures(), **{name: sound.data for name, sound in sound_pictures().items()}}
decode_picture(sound_pictures()["webp"].data)
before, grown = peak(), {}
for name, data in pictures.items():
    try:
        decode_picture(data)
    except InvalidImageError:
        pass
    if peak() > before:
        grown[name], before = peak() - before, peak()
print(json.dumps(grown))
"""


def test_there_are_enough_of_them_and_no_two_are_the_same() -> None:
    hostile = hostile_pictures()
    assert len(hostile) >= 380
    assert len(set(hostile.values())) == len(hostile)
    assert not set(hostile.values()) & {sound.data for sound in sound_pictures().values()}


# A reader that can be kept busy takes minutes for some of them.
@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", hostile_pictures())
@pytest.mark.parametrize("hint", [None, 224])
def test_a_hostile_picture_is_refused_in_our_own_words(name: str, hint: int | None) -> None:
    with pytest.raises(InvalidImageError) as caught:
        decode_picture(hostile_pictures()[name], size_hint=hint)
    message = caught.value.message
    assert message.startswith("the ")
    assert "picture" in message
    assert len(message) < 300
    assert message.isprintable()
    for foreign in ("0x", "PIL", "<_io", "object", "broken", "rror", "zlib", "Traceback"):
        assert foreign not in message


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", sound_pictures())
def test_an_odd_picture_is_seen(name: str) -> None:
    sound = sound_pictures()[name]
    picture = decode_picture(sound.data)
    assert (picture.mode, picture.size) == ("RGB", sound.size)
    for place, colour in sound.colours.items():
        seen = picture.getpixel(place)
        assert isinstance(seen, tuple)
        assert max(abs(a - b) for a, b in zip(seen, colour, strict=True)) <= sound.loss, (place, seen)


def test_none_of_them_takes_much_memory(child_environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", MEASURE],
        env=child_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    grown_mb = json.loads(done.stdout)
    assert sum(grown_mb.values()) < 100, grown_mb


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("png, 12000 x 12000", "12000 x 12000 pixels; at most 50,000,000"),
        ("jpeg, 65535 x 65535", "65535 x 65535 pixels"),
        ("gif, frame larger than the screen", "12000 x 12000 pixels"),
        ("webp, canvas 16777216 x 16777216", "16777216 x 16777216 pixels"),
        ("lossless webp, 16384 x 16384", "16384 x 16384 pixels"),
        ("bmp, 8 x -2,147,483,648", "8 x 2147483648 pixels"),
        ("png, 0 x 8", "0 x 8 pixels; it must have at least one"),
        ("png, 50000 x 1", "longer side may be at most 200"),
        ("png of a million texts", "more than 50,000 chunks"),
        ("jpeg of 70 scans", "70 scans; at most 64"),
        ("bmp of short runs and line ends", "run-length coded BMP of 7000 x 7000 pixels"),
        ("bmp of ten million runs of nothing", "at most 4,000,000 pixels and 2,097,152 bytes"),
        ("bmp signature, text inside", "at most 50,000,000 pixels"),
        ("gif of zeros", "header is damaged"),
        ("avi", "unknown format"),
        ("jpeg, nothing after the scan header", "damaged or cut short"),
    ],
)
def test_what_some_of_them_are_refused_for(name: str, why: str) -> None:
    with pytest.raises(InvalidImageError, match=why):
        decode_picture(hostile_pictures()[name])
