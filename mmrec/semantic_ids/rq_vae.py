"""RQ-VAE: a small autoencoder with a residual-quantised latent vector, as in TIGER (Rajput et al. 2023,
arXiv:2305.05065).

An MLP encodes the embedding as a short latent vector, residual codebooks quantise it, and another MLP decodes the sum
of the codes. Gradients pass the quantizer by the straight-through estimator; each level has a codebook loss and a
commitment loss with weight `commitment`. Codebooks start from residual k-means of the untrained latents, and a code
that was not used in an epoch is restarted at a residual of its last batch.
"""

# Axes: N embeddings, D dimensions, Z latent dimensions, L levels, K codes per level, B batch

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrec.runtime.limits import check_number, check_numbers
from mmrec.semantic_ids.clusters import check_embeddings
from mmrec.semantic_ids.quantizer import QuantizerConfig, ResidualQuantizer, fit_quantizer

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RqVaeConfig:
    """Shape and training of the autoencoder.

    Attributes:
        hidden: Widths of the encoder's hidden layers; the decoder has them in reverse.
        latent: Width of the quantised latent vector.
        commitment: Weight of the commitment loss relative to the codebook loss.
        steps: Optimiser steps; small catalogues get more epochs.
        batch_size: Maximum embeddings per step.
        learning_rate: Of AdamW at the first step; falls to zero along a cosine.
    """

    hidden: tuple[int, ...] = (256,)
    latent: int = 64
    commitment: float = 0.25
    steps: int = 2000
    batch_size: int = 512
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        for width in self.hidden:
            check_number("hidden", width, low=1)
        check_numbers(self, "latent", "steps", "batch_size", low=1)
        check_numbers(self, "commitment", "learning_rate", over=0)


class _Quantised(NamedTuple):
    """sum_BZ: sum of the chosen codes' vectors.  residuals_LBZ: input of each level.  loss: sum over levels."""

    sum_BZ: Tensor
    codes_BL: Tensor
    residuals_LBZ: Tensor
    loss: Tensor


class RqVae(nn.Module):
    """A fitted RQ-VAE.

    Args:
        dimension: D.
        hidden: Widths of the encoder's hidden layers.
        codebooks_LKZ: One codebook per level. Shape: (L, K, Z), float32.
    """

    mean_D: Tensor
    scale: Tensor

    def __init__(self, dimension: int, hidden: tuple[int, ...], codebooks_LKZ: Tensor) -> None:
        super().__init__()
        self.encoder = _mlp((dimension, *hidden, codebooks_LKZ.shape[2]))
        self.decoder = _mlp((codebooks_LKZ.shape[2], *reversed(hidden), dimension))
        self.codebooks_LKZ = nn.Parameter(codebooks_LKZ.clone())
        self.register_buffer("mean_D", torch.zeros(dimension))
        self.register_buffer("scale", torch.ones(1))

    @property
    def levels(self) -> int:
        """Codes per path."""
        return int(self.codebooks_LKZ.shape[0])

    @property
    def widths(self) -> tuple[int, ...]:
        """Codes of each level."""
        return (int(self.codebooks_LKZ.shape[1]),) * self.levels

    @property
    def encodes_new(self) -> bool:
        """Always true."""
        return True

    @torch.inference_mode()
    def encode(self, embeddings_ND: Floats) -> npt.NDArray[np.int32]:
        """Path of each embedding: at every level the code nearest to the residual of its latent vector.

        Args:
            embeddings_ND: Shape: (N, D), float32.

        Returns:
            Codes in [0, K). Shape: (N, L), int32.
        """
        latents_NZ = self.encoder(self._scaled(embeddings_ND))
        return ResidualQuantizer(self.codebooks_LKZ.numpy()).encode(latents_NZ.numpy())

    @torch.inference_mode()
    def decode(self, codes_NL: npt.NDArray[np.int32]) -> Floats:
        """Approximate embeddings: the decoder applied to the sum of the codes. Shape: (N, D)."""
        latents_NZ = ResidualQuantizer(self.codebooks_LKZ.numpy()).decode(codes_NL)
        decoded: Floats = (self.decoder(torch.from_numpy(latents_NZ)) * self.scale + self.mean_D).numpy()
        return decoded

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """State for `from_tensors`."""
        return {f"rq_vae.{name}": tensor.detach().numpy().copy() for name, tensor in self.state_dict().items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> RqVae:
        """Inverse of `tensors`."""
        state = {
            name.removeprefix("rq_vae."): torch.from_numpy(np.array(values))
            for name, values in tensors.items()
            if name.startswith("rq_vae.")
        }
        # Encoder weights, first to last: (hidden, D), ..., (Z, hidden).
        shapes = [tensor.shape for name, tensor in state.items() if name.startswith("encoder.") and tensor.ndim == 2]
        model = cls(shapes[0][1], tuple(shape[0] for shape in shapes[:-1]), state["codebooks_LKZ"])
        model.load_state_dict(state)
        return model.eval()

    def _scaled(self, embeddings_ND: Floats) -> Tensor:
        return (torch.from_numpy(np.array(embeddings_ND, dtype=np.float32)) - self.mean_D) / self.scale

    def quantise(self, latents_BZ: Tensor, commitment: float) -> _Quantised:
        """Quantise latent vectors level by level, with the loss for training."""
        residual_BZ, codes, residuals, chosen = latents_BZ, [], [], []
        loss = latents_BZ.new_zeros(())
        for codebook_KZ in self.codebooks_LKZ:
            codes_B = torch.cdist(residual_BZ.detach(), codebook_KZ.detach()).argmin(dim=1)
            code_BZ = codebook_KZ[codes_B]
            loss = loss + F.mse_loss(code_BZ, residual_BZ.detach())
            loss = loss + commitment * F.mse_loss(residual_BZ, code_BZ.detach())
            codes.append(codes_B)
            residuals.append(residual_BZ.detach())
            chosen.append(code_BZ)
            residual_BZ = residual_BZ - code_BZ.detach()
        return _Quantised(torch.stack(chosen).sum(0), torch.stack(codes, 1), torch.stack(residuals), loss)

    @torch.no_grad()
    def restart_unused(self, used_LK: Tensor, residuals_LBZ: Tensor) -> None:
        """Move every unused code to a random residual of its level.

        Args:
            used_LK: Number of embeddings that chose each code. Shape: (L, K), int64.
            residuals_LBZ: Input of each level, from `quantise`. Shape: (L, B, Z), float32.
        """
        for level, used_K in enumerate(used_LK):
            unused = torch.nonzero(used_K == 0).flatten()
            drawn = torch.randint(residuals_LBZ.shape[1], (len(unused),))
            self.codebooks_LKZ[level, unused] = residuals_LBZ[level, drawn]


def fit_rq_vae(embeddings_ND: Floats, quantizer: QuantizerConfig, config: RqVaeConfig, *, seed: int) -> RqVae:
    """Train the autoencoder and its codebooks together.

    Args:
        embeddings_ND: Shape: (N, D), float32, N at least 1.
        quantizer: Levels, codes, and iterations of the initial k-means.
        config: Shape and training.
        seed: Of weights, order and restarts; equal seeds and data give an equal model on the same kind of machine.

    Raises:
        InvalidArgumentError: there are no embeddings, or a value is not finite.
    """
    check_embeddings(embeddings_ND)
    items, dimension = embeddings_ND.shape
    codes = quantizer.codes_for(items)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = RqVae(dimension, config.hidden, torch.zeros(quantizer.levels, codes, config.latent))
        model.mean_D.copy_(torch.from_numpy(embeddings_ND.mean(axis=0)))
        # A single scale for all dimensions keeps the proportions of distances.
        model.scale.fill_(max(float(embeddings_ND.std(axis=0).mean()), 1e-6))
        scaled_ND = model._scaled(embeddings_ND)
        with torch.no_grad():
            latents_NZ = model.encoder(scaled_ND).numpy()
            model.codebooks_LKZ.copy_(torch.from_numpy(fit_quantizer(latents_NZ, quantizer, seed=seed).codebooks_LKD))
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
        passes = -(-config.steps // -(-items // config.batch_size))
        done = 0
        for number in range(passes):
            used_LK = torch.zeros(quantizer.levels, codes, dtype=torch.long)
            for rows_B in torch.split(torch.randperm(items), config.batch_size)[: config.steps - done]:
                latents_BZ = model.encoder(scaled_ND[rows_B])
                quantised = model.quantise(latents_BZ, config.commitment)
                straight_BZ = latents_BZ + (quantised.sum_BZ - latents_BZ).detach()
                loss = F.mse_loss(model.decoder(straight_BZ), scaled_ND[rows_B]) + quantised.loss
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                done += 1
                for level in range(quantizer.levels):
                    used_LK[level] += torch.bincount(quantised.codes_BL[:, level], minlength=codes)
            # A code restarted near the end would not be trained any more.
            if number < 0.75 * passes and items > codes:
                model.restart_unused(used_LK, quantised.residuals_LBZ)
    return model.eval()


def _mlp(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for into, out in pairwise(widths):
        layers += [nn.Linear(into, out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
