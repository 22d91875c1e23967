"""The small CLIP as a module and as a file: an image tower with a head, and a head over frozen text vectors.

The file also stores the description of the frozen text encoder.
"""

# Axes: N texts, B batch, L word pieces, T dimensions of the frozen words vectors, D dimensions of the shared space

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mmrec.errors import BundleError, InvalidArgumentError
from mmrec_encoders.small_clip import SmallClipShape, build_tower, standardise
from mmrec_encoders.weights import read_weights, write_weights

if TYPE_CHECKING:
    import torch

_KIND, _FORMAT = "two_tower", 1
MOST_PIECES = 128
"""Word pieces of a text beyond these are left to the frozen encoder."""
_SCALE, _SIGLIP_SCALE, _SIGLIP_BIAS = math.log(1 / 0.07), math.log(10.0), -10.0
"""Initial values from the papers."""


@dataclass(frozen=True, slots=True)
class TwoTowerShape:
    """Shape of both towers.
    Attributes:
        tower: Of the image tower.
        text_dim: Length of the frozen words vectors.
        dimension: Length of the vectors in the shared space.
        text_hidden: Width of the text head's hidden layer; 0 for a plain projection.
        text_words: Number of word pieces with a learned vector; 0 for none.
    """

    tower: SmallClipShape
    text_dim: int
    dimension: int
    text_hidden: int
    text_words: int = 0


def build_two_tower(shape: TwoTowerShape, *, dropout: float = 0.0, sigmoid: bool = False) -> Any:
    """The untrained module, its weights drawn from torch's current generator.

    Args:
        shape: Of both towers.
        dropout: In the text head.
        sigmoid: Whether scale and bias are initialised for the sigmoid loss.
    """
    import torch
    from torch import nn

    hidden, dim = shape.text_hidden, shape.dimension
    module = nn.ModuleDict(
        {
            "tower": build_tower(shape.tower),
            "picture_head": nn.Linear(shape.tower.dim, dim, bias=False),
            "text_head": nn.Linear(shape.text_dim, dim),
        }
    )
    if hidden:
        module["text_deep"] = nn.Sequential(
            nn.Linear(shape.text_dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim)
        )
    if shape.text_words:
        # The extra row is the padding.
        pieces = nn.EmbeddingBag(shape.text_words + 1, dim, mode="mean", padding_idx=shape.text_words)
        nn.init.normal_(pieces.weight, std=0.1)
        module["text_words"] = pieces
    module.register_parameter("log_scale", nn.Parameter(torch.tensor(_SIGLIP_SCALE if sigmoid else _SCALE)))
    module.register_parameter("bias", nn.Parameter(torch.tensor(_SIGLIP_BIAS if sigmoid else 0.0)))
    return module


def picture_vectors(module: Any, inputs_B3HW: torch.Tensor, *, below_head: bool = False) -> torch.Tensor:
    """Unit vectors of pictures.

    Args:
        module: What `build_two_tower` made.
        inputs_B3HW: 0 to 255, at the tower's size. Shape: (B, 3, S, S).
        below_head: The tower's own vector instead of the one in the shared space.

    Returns:
        Shape: (B, D), or (B, tower dim); float32.
    """
    import torch
    import torch.nn.functional as F

    inputs = standardise(inputs_B3HW).contiguous(memory_format=torch.channels_last)
    rows = module["tower"](inputs)
    return F.normalize(rows.float(), dim=1) if below_head else head_vectors(module, rows)


def head_vectors(module: Any, rows: torch.Tensor) -> torch.Tensor:
    """Unit vectors in the shared space from those of the image tower. Shape: (B, tower dim) to (B, D), float32."""
    import torch.nn.functional as F

    return F.normalize(module["picture_head"](rows).float(), dim=1)


def words_vectors(module: Any, frozen_BT: torch.Tensor, pieces_BL: torch.Tensor | None = None) -> torch.Tensor:
    """Unit vectors of words in the shared space.

    Args:
        module: What `build_two_tower` made.
        frozen_BT: The frozen encoder's vectors. Shape: (B, T).
        pieces_BL: Their word pieces as `pieces_of` gives them, where pieces have vectors. Shape: (B, L), int64.

    Returns:
        Shape: (B, D), float32.
    """
    import torch.nn.functional as F

    rows = module["text_head"](frozen_BT)
    if "text_deep" in module:
        rows = rows + module["text_deep"](frozen_BT)
    if pieces_BL is not None and "text_words" in module:
        rows = rows + module["text_words"](pieces_BL)
    return F.normalize(rows.float(), dim=1)


def pieces_of(tokens: Sequence[Sequence[int]], count: int) -> npt.NDArray[np.int64]:
    """Word pieces of texts, padded.

    Args:
        tokens: Token numbers of each text.
        count: Number of pieces with a vector; larger token numbers are taken modulo `count`.

    Returns:
        Shape: (N, L), int64; L is at most `MOST_PIECES`, padded with `count`.
    """
    longest = min(MOST_PIECES, max((len(row) for row in tokens), default=1))
    pieces_NL = np.full((len(tokens), longest), count, np.int64)
    for place, row in enumerate(tokens):
        cut = row[:longest]
        pieces_NL[place, : len(cut)] = np.asarray(cut, np.int64) % count
    return pieces_NL


def write_two_tower(path: Path, module: Any, shape: TwoTowerShape, text: dict[str, Any]) -> None:
    """Write the weights; see `write_weights`.

    Args:
        path: The safetensors file.
        module: The trained module.
        shape: Its shape.
        text: Describes the frozen text encoder.
    """
    description = {"kind": _KIND, "format": _FORMAT, "shape": asdict(shape), "text": text}
    write_weights(path, module.state_dict(), description)


def read_two_tower(path: Path) -> tuple[Any, TwoTowerShape, dict[str, Any]]:
    """The module in eval mode on the CPU, its shape, and the description of the frozen text encoder.

    Raises:
        BundleError: the file is missing, damaged, or not a small CLIP.
    """
    import torch

    weights, description = read_weights(path, _KIND, _FORMAT, maker="mmrec adapt")
    try:
        shape = _shape(description["shape"])
        with torch.random.fork_rng(devices=[]):
            module = build_two_tower(shape)
        module.load_state_dict(weights)
        return module.eval(), shape, dict(description["text"])
    except (TypeError, KeyError, ValueError, RuntimeError, InvalidArgumentError) as err:
        raise BundleError(
            f"{path} holds a small CLIP that this mmrec cannot read; make it again with mmrec adapt"
        ) from err


def _shape(described: dict[str, Any]) -> TwoTowerShape:
    # JSON has lists where the shape has tuples.
    tower: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in described["tower"].items()
    }
    return TwoTowerShape(**{**described, "tower": SmallClipShape(**tower)})
