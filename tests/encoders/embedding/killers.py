"""A preparation that ends its process at one colour of picture, as a fault in a decoder would."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmrec_encoders.preparation import Squeeze

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class DiesAtRed:
    """Squeezes, and is killed by a picture that is red; the first time only, if there is a file to note it in."""

    size: int = 8
    once: str = ""
    fingerprint: str = "dies-at-red"

    def __call__(self, picture: Image) -> npt.NDArray[np.uint8]:
        if picture.getpixel((0, 0)) == (255, 0, 0) and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Squeeze(self.size)(picture)
