"""Pictures decoded in a process of their own: what it cannot do, and that nothing but the picture is lost."""

from __future__ import annotations

import io
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mmrec.errors import InvalidArgumentError, InvalidImageError, UnavailableError
from mmrec.understanding.thumbnails import thumbnail_beside
from mmrec_encoders.decode_sandbox import DecodeSandbox, SandboxConfig
from mmrec_encoders.picture_decoding import PictureSetup, decode_as
from mmrec_encoders.preparation import Squeeze
from tests.encoders.contracts import drawn

SQUEEZE = PictureSetup(Squeeze(32), 32, None)


def encoded(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


PNG = encoded(drawn(80, 60, (200, 30, 30)), "PNG")


@dataclass(frozen=True)
class Odd:
    """A preparation that does what a fault in a decoder might.

    Attributes:
        does: ``sleep``; ``grow``, by a gigabyte; ``die``, by a signal; ``write``, to a file; ``lie``, about what was
            decoded.
    """

    does: str
    size: int = 32

    def __call__(self, picture: Image.Image) -> npt.NDArray[np.uint8]:
        if self.does == "sleep":
            time.sleep(60)
        elif self.does == "grow":
            np.ones(1 << 30, np.uint8)
        elif self.does == "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif self.does == "lie":
            os.write(int(sys.argv[1]), b"\0\0\0\x0bno header..")
            time.sleep(60)
        elif self.does == "write":
            with tempfile.TemporaryFile(buffering=0) as file:
                file.write(b"x")
        return np.zeros((3, 1, 1), np.uint8)

    @property
    def fingerprint(self) -> str:
        return self.does


@pytest.fixture(scope="module")
def sandbox() -> Iterator[DecodeSandbox]:
    made = DecodeSandbox(SandboxConfig(memory=1 << 29, seconds=10))
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_pictures_come_to_the_same_as_in_this_process(sandbox: DecodeSandbox, kind: str) -> None:
    data = encoded(drawn(300, 200, (20, 90, 180)), kind)
    for setup in (SQUEEZE, SQUEEZE._replace(thumbnail=thumbnail_beside)):
        found, here = sandbox.decode(setup, data), decode_as(setup, data)
        np.testing.assert_array_equal(found.pixels, here.pixels)
        np.testing.assert_array_equal(found.thumbnail, here.thumbnail)
        assert isinstance(found.pixels, np.ndarray)
        assert found.pixels.flags.writeable


@pytest.mark.parametrize("data", [b"", b"<html>", PNG[:-40]])
def test_what_cannot_be_read_has_the_error_it_has_in_this_process(sandbox: DecodeSandbox, data: bytes) -> None:
    before, found, here = sandbox.pid, sandbox.decode(SQUEEZE, data).pixels, decode_as(SQUEEZE, data).pixels
    assert isinstance(found, InvalidImageError)
    assert isinstance(here, InvalidImageError)
    assert found.message == here.message
    assert before is None or sandbox.pid == before


def test_a_picture_that_needs_more_memory_is_refused(sandbox: DecodeSandbox) -> None:
    found = sandbox.decode(PictureSetup(Odd("grow"), 32, None), PNG).pixels
    assert isinstance(found, InvalidImageError)
    assert "decoding it takes over 512 MiB of memory; scale it down" in found.message
    assert isinstance(sandbox.decode(SQUEEZE, PNG).pixels, np.ndarray)


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("die", "the process that decodes pictures ended at this one (signal 11"),
        ("lie", "the process that decodes pictures ended at this one (signal 9)"),
        ("write", "the process that decodes pictures ended at this one ("),
    ],
)
def test_a_process_that_is_lost_costs_its_picture_and_no_other(sandbox: DecodeSandbox, does: str, why: str) -> None:
    sandbox.decode(SQUEEZE, PNG)
    before = sandbox.pid
    found = sandbox.decode(PictureSetup(Odd(does), 32, None), PNG).pixels
    assert isinstance(found, InvalidImageError)
    assert why in found.message
    assert isinstance(sandbox.decode(SQUEEZE, PNG).pixels, np.ndarray)
    assert sandbox.pid != before


def test_a_picture_that_takes_too_long_is_given_up() -> None:
    sandbox = DecodeSandbox(SandboxConfig(seconds=1.5))
    try:
        found = sandbox.decode(PictureSetup(Odd("sleep"), 32, None), PNG).pixels
        assert isinstance(found, InvalidImageError)
        assert "decoding it takes over 1.5 seconds; scale it down" in found.message
        assert sandbox.pid is None
    finally:
        sandbox.close()


def test_a_closed_sandbox_has_no_process_and_starts_none() -> None:
    sandbox = DecodeSandbox()
    sandbox.decode(SQUEEZE, PNG)
    pid = sandbox.pid
    assert pid is not None
    sandbox.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(UnavailableError, match="the server stops"):
        sandbox.decode(SQUEEZE, PNG)


@pytest.mark.parametrize("wrong", [{"memory": 1 << 20}, {"seconds": 0.0}, {"seconds": float("inf")}])
def test_limits_that_leave_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
        SandboxConfig(**wrong)  # type: ignore[arg-type]
