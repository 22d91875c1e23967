"""Fuses an item's picture vector and text vector into one vector in a shared space.

Two small projections and a gate. A missing modality is replaced by a learned vector and flagged to the gate; a text
query is an item with text only, a picture query an item with a picture only. Any trained prefix of a fused vector,
scaled to unit norm, is usable by itself (Kusupati et al. 2022, "Matryoshka Representation Learning",
arXiv:2205.13147). `fusion_training` trains the weights.
"""

# Axes: N items, I image dimensions, T text dimensions, D fused dimensions

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from mmrec.errors import BundleError, InvalidArgumentError
from mmrec_encoders.protocols import Vectors
from mmrec_encoders.weights import fingerprint_of, read_weights, unit_rows, write_weights

_KIND, _FORMAT = "fusion", 1
_CHUNK = 8192


class ItemFeatures(NamedTuple):
    """Frozen encoder vectors of items.

    Attributes:
        image_NI: Picture vectors, zero rows where there is no picture. Shape: (N, I), float32.
        has_image_N: Which items have a picture. Shape: (N,), bool.
        text_NT: Words vectors, zero rows where there are no words. Shape: (N, T), float32.
        has_text_N: Which items have words. Shape: (N,), bool.
    """

    image_NI: Vectors
    has_image_N: npt.NDArray[np.bool_]
    text_NT: Vectors
    has_text_N: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FusionShape:
    """Lengths of the vectors going in and coming out."""

    image_dim: int
    text_dim: int
    dimension: int
    prefixes: tuple[int, ...]


class Fusion(nn.Module):
    """The trained fusion.

    Args:
        image_dim: Length of a picture vector.
        text_dim: Length of a words vector.
        dimension: Length of a fused vector.
        prefixes: Shorter lengths usable by themselves, ascending.
    """

    def __init__(self, image_dim: int, text_dim: int, dimension: int = 256, prefixes: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.shape = FusionShape(image_dim, text_dim, dimension, tuple(prefixes))
        self.image = Projection(image_dim, dimension)
        self.text = Projection(text_dim, dimension)
        # Not zero, so that an item without both has a direction from the start.
        self.no_image = nn.Parameter(0.01 * torch.randn(dimension))
        self.no_text = nn.Parameter(0.01 * torch.randn(dimension))
        self.gate_in = nn.Linear(2 * dimension + 2, 64)
        self.gate_out = nn.Linear(64, dimension)

    @property
    def dimension(self) -> int:
        """Length of a fused vector."""
        return self.shape.dimension

    @property
    def prefixes(self) -> tuple[int, ...]:
        """Shorter lengths usable by themselves, ascending."""
        return self.shape.prefixes

    @property
    def fingerprint(self) -> str:
        """Identifies the vector space: vectors of fusions that differ in it must not be mixed."""
        return fingerprint_of(_KIND, self.state_dict().items())

    def forward(
        self,
        image_NI: torch.Tensor,
        has_image_N: torch.Tensor,
        text_NT: torch.Tensor,
        has_text_N: torch.Tensor,
    ) -> torch.Tensor:
        """Fused vectors, not yet of unit norm. Shapes as in `ItemFeatures`; result: (N, D)."""
        return self.mix(self.image(image_NI), has_image_N, self.text(text_NT), has_text_N)

    def mix(
        self,
        image_ND: torch.Tensor,
        has_image_N: torch.Tensor,
        text_ND: torch.Tensor,
        has_text_N: torch.Tensor,
    ) -> torch.Tensor:
        """Fused vectors of projected rows, not yet of unit norm. Shape: (N, D)."""
        has_image, has_text = has_image_N[:, None], has_text_N[:, None]
        image_ND = torch.where(has_image, image_ND, self.no_image)
        text_ND = torch.where(has_text, text_ND, self.no_text)
        flags = torch.cat([has_image, has_text], dim=1).to(image_ND.dtype)
        hidden_NG = F.gelu(self.gate_in(torch.cat([image_ND, text_ND, flags], dim=1)))
        gate_ND = self.gate_out(hidden_NG).sigmoid()
        fused: torch.Tensor = gate_ND * image_ND + (1 - gate_ND) * text_ND
        return fused

    def fuse(self, features: ItemFeatures) -> Vectors:
        """Fused vectors of items. Shape: (N, D), float32, unit norm; zero for an item with neither picture nor words.

        Otherwise all items without picture and words would have the same vector and look like duplicates.

        Raises:
            InvalidArgumentError: the vectors do not have the lengths this fusion was made for.
        """
        check_features(features)
        given = (features.image_NI.shape[1], features.text_NT.shape[1])
        if given != (self.shape.image_dim, self.shape.text_dim):
            raise InvalidArgumentError(
                f"picture and words vectors have lengths {given[0]} and {given[1]}; this fusion was trained for "
                f"{self.shape.image_dim} and {self.shape.text_dim}: use the encoders it was trained with"
            )
        device = self.no_image.device
        parts = [np.zeros((0, self.dimension), np.float32)]
        with torch.inference_mode():
            for at in range(0, len(features.image_NI), _CHUNK):
                rows = [torch.from_numpy(np.ascontiguousarray(part[at : at + _CHUNK])).to(device) for part in features]
                parts.append(unit_rows(self(*rows)))
        fused_ND = np.concatenate(parts)
        fused_ND[~(features.has_image_N | features.has_text_N)] = 0.0
        return fused_ND

    def text_query(self, text_NT: Vectors) -> Vectors:
        """Fused vectors of words alone. Shape: (N, T) to (N, D)."""
        count = len(text_NT)
        none = np.zeros((count, self.shape.image_dim), np.float32)
        return self.fuse(ItemFeatures(none, np.zeros(count, np.bool_), text_NT, np.ones(count, np.bool_)))

    def picture_query(self, image_NI: Vectors) -> Vectors:
        """Fused vectors of pictures alone. Shape: (N, I) to (N, D)."""
        count = len(image_NI)
        none = np.zeros((count, self.shape.text_dim), np.float32)
        return self.fuse(ItemFeatures(image_NI, np.ones(count, np.bool_), none, np.zeros(count, np.bool_)))

    def shorten(self, fused_ND: Vectors, dimension: int) -> Vectors:
        """The first ``dimension`` values of fused vectors, scaled to unit norm; 0 means all.

        Raises:
            InvalidArgumentError: the length is not one that was trained.
        """
        self.check_dimension(dimension)
        if dimension in (0, self.dimension):
            return fused_ND
        return unit_rows(torch.from_numpy(np.ascontiguousarray(fused_ND[:, :dimension])))

    def check_dimension(self, dimension: int) -> None:
        """Check that a length was trained; 0 means all.

        Raises:
            InvalidArgumentError: it was not.
        """
        lengths = (*self.prefixes, self.dimension)
        if dimension != 0 and dimension not in lengths:
            raise InvalidArgumentError(
                f"dimension is {dimension}; it must be 0 (all) or one of {', '.join(map(str, lengths))}",
                field="dimension",
            )

    def save(self, path: Path) -> None:
        """Write weights and shape into one safetensors file."""
        write_weights(path, self.state_dict(), {"kind": _KIND, "format": _FORMAT, "shape": asdict(self.shape)})

    @classmethod
    def load(cls, path: Path, *, device: torch.device | None = None) -> Fusion:
        """Inverse of `save`.

        Raises:
            BundleError: the file is missing, damaged, or does not hold a fusion.
        """
        weights, description = read_weights(path, _KIND, _FORMAT)
        try:
            shape = description["shape"]
            with torch.random.fork_rng(devices=[]):
                fusion = cls(shape["image_dim"], shape["text_dim"], shape["dimension"], tuple(shape["prefixes"]))
            fusion.load_state_dict(weights)
        except (KeyError, TypeError, RuntimeError) as err:
            raise BundleError(
                f"the weights in {path} do not fit the shape it names; make it again with mmrec fit"
            ) from err
        return fusion.eval().to(device or torch.device("cpu"))


class Projection(nn.Module):
    """A centred linear map that keeps cosines, and a residual MLP that starts at zero.

    The linear map is set before training and stays as it is: training with steps as long as its weights would lose what
    the encoder knows.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(inputs), requires_grad=False)
        self.linear = nn.Linear(inputs, outputs, bias=False).requires_grad_(False)
        self.wide = nn.Linear(outputs, 2 * outputs)
        self.narrow = nn.Linear(2 * outputs, outputs)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, rows_NI: torch.Tensor) -> torch.Tensor:
        """Projected rows. Shape: (N, inputs) to (N, outputs)."""
        return self.adjust(self.reduce(rows_NI))

    def reduce(self, rows_NI: torch.Tensor) -> torch.Tensor:
        """The linear map, scaled to unit norm. Shape: (N, inputs) to (N, outputs)."""
        return F.normalize(self.linear(rows_NI - self.mean), dim=1)

    def adjust(self, reduced_ND: torch.Tensor) -> torch.Tensor:
        """What training adds to the linear map. Shape: (N, outputs) to (N, outputs)."""
        adjusted_ND: torch.Tensor = reduced_ND + self.narrow(F.gelu(self.wide(reduced_ND)))
        return adjusted_ND


def check_features(features: ItemFeatures) -> None:
    """Check that all parts have the same number of rows.

    Raises:
        InvalidArgumentError: they have not.
    """
    counts = [len(part) for part in features]
    if len(set(counts)) != 1 or features.image_NI.ndim != 2 or features.text_NT.ndim != 2:
        raise InvalidArgumentError(
            f"features have {counts} rows of picture vectors, flags, words vectors and flags; the numbers must be equal"
        )
