"""Feature maps of the frozen stages of an `EfficientNetTower`, computed once and kept in files of the work folder.

Training needs many passes, and what the frozen stages give does not change. Pictures are augmented, not maps: some
random views of each picture are kept. A crop of a map is not the map of the crop, for its positions have seen what was
cut off. A mirrored map is not that of the mirrored picture, for TensorFlow's padding shifts it by half a position.
"""

# Axes: M pairs, K training pairs, H held-out pairs, B batch, F values kept of a picture, C channels

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mmrec.runtime.device import autocast, resolve_dtype
from mmrec.runtime.processes import Processes
from mmrec.runtime.schedule import step_seed
from mmrec_encoders.augment import random_view
from mmrec_encoders.efficientnet import COLOUR_BINS
from mmrec_encoders.efficientnet_tower import CHANNELS, STRIDE, EfficientNetTower
from mmrec_encoders.finetuning.config import FinetuningConfig, SmallTowers
from mmrec_encoders.finetuning.kept_rows import Rows, keep_rows
from mmrec_encoders.finetuning.pairs import Pairs
from mmrec_encoders.finetuning.pictures import KeptPictures
from mmrec_encoders.small_clip import standardise

_BATCH = 256
_TYPE = np.float16
_NAME = "maps-{}.npy"


def views_that_fit(towers: SmallTowers, epochs: int, pairs: int, work: Path) -> int:
    """Number of views whose maps are kept; 0 if fewer than 2 fit, or if no pass would read them again.

    Args:
        towers: With the most views, and the most space they may take.
        epochs: Passes of the training.
        pairs: Pictures to keep maps of.
        work: Folder of the files, half of whose disk's free space they may take.
    """
    if not 0 < towers.kept_views < epochs:
        return 0
    kept = sum(path.stat().st_size for path in work.glob(_NAME.format("*")))
    space = min(towers.kept_gib * 2**30, (shutil.disk_usage(work).free + kept) / 2)
    views = min(towers.kept_views, int(space // (pairs * _values(towers) * _TYPE().itemsize)))
    return views if views > 1 else 0


class KeptMaps:
    """Maps of training pictures, one random view a pass, and of held-out pictures.

    Files are computed when they are first read, so a training that ends early has not computed all of them.

    Args:
        tower: On the device.
        training: Pictures of the training pairs.
        held: Pictures of the held-out pairs, at the tower's size.
        pairs: The pairs.
        config: How to train.
        views: Number of views of a training picture; passes take turns.
        work: Folder of the files.
        processes: The process group.
    """

    def __init__(
        self,
        tower: EfficientNetTower,
        training: KeptPictures,
        held: KeptPictures,
        pairs: Pairs,
        config: FinetuningConfig,
        views: int,
        work: Path,
        processes: Processes,
    ) -> None:
        self._tower, self._training_pictures, self._held_pictures = tower, training, held
        self._config, self._views, self._work = config, views, work
        self._processes = processes
        self._dtype = resolve_dtype(config.dtype, processes.device)
        self._training_K, self._held_H = pairs.training_rows, pairs.held_rows
        # Of a pair, in the file of its side.
        self._place_M = np.zeros(len(pairs.held_M), np.int64)
        self._place_M[self._training_K] = np.arange(len(self._training_K))
        self._place_M[self._held_H] = np.arange(len(self._held_H))
        self._files: dict[str, npt.NDArray[np.float16]] = {}

    def training(self, rows_B: Rows, epoch: int) -> torch.Tensor:
        """What is kept of training pairs' pictures for this pass. Shape: (B, F), float16, on the CPU."""
        view = epoch % self._views

        def pixels(rows: Rows) -> torch.Tensor:
            generator = torch.Generator().manual_seed(step_seed(self._config.seed, view, int(rows[0]), 0))
            pixels = self._pixels(self._training_pictures, self._training_K[rows]) / 255.0
            size = self._config.towers.shape.image_size
            return 255.0 * random_view(pixels, size, generator, self._config.views)

        return self._read(str(view), len(self._training_K), pixels, rows_B, self._processes)

    def held(self, rows_B: Rows) -> torch.Tensor:
        """What is kept of held-out pairs' pictures. Shape: (B, F), float16, on the CPU.

        Only the main process asks, for it alone evaluates.
        """

        def pixels(rows: Rows) -> torch.Tensor:
            return self._pixels(self._held_pictures, self._held_H[rows])

        alone = Processes.alone(self._processes.device)
        return self._read("held", len(self._held_H), pixels, rows_B, alone)

    def vectors(self, kept_BF: torch.Tensor) -> torch.Tensor:
        """The tower's vectors. Shape: (B, dim)."""
        side = self._config.towers.shape.image_size // STRIDE
        maps_BF, histogram_BK = kept_BF.split([side * side * CHANNELS, COLOUR_BINS**3], dim=1)  # type: ignore[no-untyped-call]
        maps_BSSC = maps_BF.view(-1, side, side, CHANNELS)
        return self._tower.trained(maps_BSSC.permute(0, 3, 1, 2).to(self._dtype), histogram_BK.float())

    def _pixels(self, pictures: KeptPictures, rows_B: Rows) -> torch.Tensor:
        return torch.from_numpy(pictures.read(rows_B)).to(self._processes.device).float()

    def _read(
        self, name: str, count: int, pixels: Callable[[Rows], torch.Tensor], rows_B: Rows, processes: Processes
    ) -> torch.Tensor:
        if name not in self._files:

            def compute(rows: Rows, _: Any) -> npt.NDArray[np.float16]:
                with torch.no_grad(), autocast(self._processes.device, self._dtype):
                    maps_BCSS, histogram_BK = self._tower.frozen(standardise(pixels(rows)))
                # Autocast on a CPU joins no float16.
                kept = torch.cat([maps_BCSS.permute(0, 2, 3, 1).flatten(1), histogram_BK], dim=1).half()
                found: npt.NDArray[np.float16] = kept.cpu().numpy()
                return found

            path = self._work / _NAME.format(name)
            shape_NF = (count, _values(self._config.towers))
            keep_rows(path, shape_NF, _TYPE, compute, processes, batch=_BATCH)
            self._files[name] = np.load(path, mmap_mode="r")
        return torch.from_numpy(np.ascontiguousarray(self._files[name][self._place_M[rows_B]]))


def _values(towers: SmallTowers) -> int:
    side = towers.shape.image_size // STRIDE
    return side * side * CHANNELS + int(COLOUR_BINS**3)
