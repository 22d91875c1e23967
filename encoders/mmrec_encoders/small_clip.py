"""A small image encoder that can be trained on a catalogue's pictures on a CPU.

The image tower is a small residual network of open_clip or timm (64 pixels, one or two blocks per stage).
`small_clip_training` and `finetuning` train it. Weights are saved as safetensors with the configuration in the header.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from mmrec.errors import BundleError, InvalidArgumentError
from mmrec.runtime.device import resolve_device
from mmrec.runtime.limits import check_choice, check_numbers
from mmrec_encoders.image_batches import BatchedImageEncoder
from mmrec_encoders.preparation import Squeeze
from mmrec_encoders.protocols import Vectors
from mmrec_encoders.weights import fingerprint_of, read_weights, unit_rows, write_weights

if TYPE_CHECKING:
    import torch

Network = Literal["modified-resnet", "resnet", "efficientnet-lite0"]

TRAINING_SIZE = 72
"""Side in pixels at which pictures are kept for training: 15,552 bytes each."""
_KIND, _FORMAT = "small_clip", 1
# Plain values instead of open_clip's CLIP statistics: nothing here starts from CLIP weights.
_MEAN, _STD = 0.5, 0.25


@dataclass(frozen=True, slots=True)
class SmallClipShape:
    """Shape of the image tower.

    Attributes:
        dim: Length of a vector.
        width: Channels of the first stage; a multiple of 2, at least 2. The last stage has 32 times as many in a
            ``modified-resnet``, 8 times as many in a ``resnet``.
        layers: Residual blocks of each of the four stages.
        image_size: Pixels a side the tower looks at; a multiple of 32, or of 16 for ``efficientnet-lite0``.
        network: ``modified-resnet`` is CLIP's, with attention pooling, and quarters the picture before its first
            stage. ``resnet`` has plain blocks, only halves the picture, which keeps more detail of 64 pixels, and pools
            by mean and maximum. ``efficientnet-lite0`` is `EfficientNetTower`, whose stages are what they are: `width`
            and `layers` do not matter.
    """

    dim: int = 256
    width: int = 16
    layers: tuple[int, int, int, int] = (1, 1, 1, 1)
    image_size: int = 64
    network: Network = "modified-resnet"

    def __post_init__(self) -> None:
        check_choice("network", self.network, get_args(Network))
        check_numbers(self, "dim", low=1)
        if self.width < 2 or self.width % 2:
            raise InvalidArgumentError(f"width is {self.width}; it must be even, at least 2", field="width")
        if len(self.layers) != 4 or min(self.layers) < 1:
            raise InvalidArgumentError(
                f"layers is {self.layers}; it must be four numbers of at least 1", field="layers"
            )
        step = 16 if self.network == "efficientnet-lite0" else 32
        if self.image_size < 32 or self.image_size % step:
            raise InvalidArgumentError(
                f"image_size is {self.image_size}; it must be a multiple of {step}, at least 32", field="image_size"
            )


class SmallClipEncoder(BatchedImageEncoder[Squeeze]):
    """An `ImageEncoder` over a small tower trained on a catalogue.
    Args:
        shape: Shape of the tower.
        weights: Its state dict.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        batch_size: Pictures per forward pass.

    Raises:
        BundleError: the weights do not have the shape.
    """

    def __init__(
        self,
        shape: SmallClipShape,
        weights: dict[str, torch.Tensor],
        *,
        device: str = "auto",
        batch_size: int = 128,
    ) -> None:
        import torch

        super().__init__(Squeeze(shape.image_size), batch_size)
        self.shape = shape
        self.device = resolve_device(device)
        self.dim = shape.dim
        # Initial weights are replaced at once; keep the caller's random state.
        with torch.random.fork_rng(devices=[]):
            tower = build_tower(shape)
        try:
            tower.load_state_dict(weights)
        except RuntimeError as err:
            raise BundleError(
                f"the small image encoder's weights do not fit its configuration {shape}; make them again "
                f"with mmrec fit"
            ) from err
        self.fingerprint = fingerprint_of(_KIND, tower.state_dict().items())
        self._tower = tower.eval().to(self.device)

    def _forward(self, pixels_N3HW: torch.Tensor) -> Vectors:
        import torch

        inputs = standardise(pixels_N3HW.to(self.device))
        return unit_rows(self._tower(inputs.contiguous(memory_format=torch.channels_last)))

    def save(self, path: Path) -> None:
        """Write the weights and the shape into one safetensors file."""
        description = {"kind": _KIND, "format": _FORMAT, "shape": asdict(self.shape)}
        write_weights(path, self._tower.state_dict(), description)

    @classmethod
    def load(cls, path: Path, *, device: str = "auto") -> SmallClipEncoder:
        """Read what `save` wrote.

        Raises:
            BundleError: the file is missing, damaged, or not a small image encoder.
        """
        weights, description = read_weights(path, _KIND, _FORMAT)
        try:
            shape = SmallClipShape(**{**description["shape"], "layers": tuple(description["shape"]["layers"])})
        except (TypeError, KeyError, InvalidArgumentError) as err:
            raise BundleError(
                f"{path} holds a configuration this mmrec cannot read; make it again with mmrec fit"
            ) from err
        return cls(shape, weights, device=device)


def build_tower(shape: SmallClipShape) -> Any:
    """The untrained tower, its weights drawn from torch's current generator.

    Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision",
    section 2.4, for the ``modified-resnet``; He et al. 2016, "Deep Residual Learning for Image Recognition", with the
    downsampling of He et al. 2019, "Bag of Tricks", for the ``resnet``.
    """
    import torch

    tower = _TOWERS[shape.network](shape)
    # Twice as fast on a CPU.
    return tower.to(memory_format=torch.channels_last)


def _modified_resnet(shape: SmallClipShape) -> Any:
    from open_clip.modified_resnet import ModifiedResNet

    return ModifiedResNet(
        layers=list(shape.layers),
        output_dim=shape.dim,
        heads=max(1, shape.width * 32 // 64),
        image_size=shape.image_size,
        width=shape.width,
    )


def _plain_resnet(shape: SmallClipShape) -> Any:
    from timm.models.resnet import BasicBlock, ResNet
    from torch import nn

    block: Any = BasicBlock
    tower: Any = ResNet(
        block,
        shape.layers,
        channels=tuple(shape.width * times for times in (1, 2, 4, 8)),
        num_classes=shape.dim,
        global_pool="catavgmax",
        avg_down=True,
    )
    # At 64 pixels a second halving before the first stage loses the details that distinguish garments.
    tower.maxpool = nn.Identity()
    return tower


def _efficientnet(shape: SmallClipShape) -> Any:
    from mmrec_encoders.efficientnet_tower import EfficientNetTower

    return EfficientNetTower(shape.dim, _MEAN, _STD)


_TOWERS: dict[Network, Callable[[SmallClipShape], Any]] = {
    "modified-resnet": _modified_resnet,
    "resnet": _plain_resnet,
    "efficientnet-lite0": _efficientnet,
}


def standardise(pixels: torch.Tensor) -> torch.Tensor:
    """0-255 to about -2..2, float32."""
    return (pixels.float() / 255.0 - _MEAN) / _STD
