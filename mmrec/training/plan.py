"""What a fit would train: parameters, memory and steps of the LLM, told before anything is encoded or trained."""

# Axes: N items, C content dimensions, P levels of a semantic ID

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace

import torch

from mmrec.bundle import open_bundle
from mmrec.data.dataset import read_dataset
from mmrec.generator.backbone import build_backbone
from mmrec.generator.batches import transitions_of
from mmrec.generator.item_tokens import ItemTable
from mmrec.generator.model import Generator
from mmrec.training.config import FitConfig
from mmrec.training.splitting import split_events
from mmrec.training.starting import started_config

_WEIGHT_BYTES = 4
_TRAINED_BYTES = 16
"""Of a trained weight beside itself: gradient, two moments of AdamW, and the copy of the best epoch."""
_LAYER_BYTES = 68
"""Of a position and a number of its hidden state, kept by a layer for the gradient, in float32.

Source: Korthikanti et al. 2022 (arXiv:2205.05198), 34 bytes in half precision, attention maps left out.
"""


@dataclass(frozen=True, slots=True)
class FitPlan:
    """Size of the training of the LLM.

    Attributes:
        items: Items of the dataset.
        events: Training events.
        parameters: Weights of the LLM, its heads and the item tokens.
        trained: Those of them that are trained.
        memory_bytes: Estimate of what training needs: weights, gradients, optimiser, and what layers keep of a step.
        epochs: Most epochs.
        steps: Steps of an epoch.
    """

    items: int
    events: int
    parameters: int
    trained: int
    memory_bytes: int
    epochs: int
    steps: int


def plan_fit(dataset: str | os.PathLike[str], config: FitConfig) -> FitPlan:
    """Size of the training that `fit_dataset` would do.

    Args:
        dataset: Folder with items and events.
        config: As for `fit_dataset`.

    Raises:
        InvalidDatasetError: the dataset cannot be used.
        ModelNotAvailableError: the pretrained model is nowhere to be found.
        InvalidArgumentError: the pretrained model cannot be read or tuned as asked.
    """
    data = read_dataset(dataset, require=config.require, max_left_out=config.max_left_out, min_rating=config.min_rating)
    train = data.interactions
    if train.events:
        train = split_events(train, config.split, data.root).train
    items = len(data.catalogue)
    if config.start_from:
        config = replace(config, generator=started_config(config.generator, open_bundle(config.start_from)))
    backbone, hidden = build_backbone(config.generator)
    quantizer = config.tokenizer.quantizer
    with torch.device("meta"):
        # Only shapes matter here, and a catalogue's tensors can be large.
        table = ItemTable(
            torch.zeros(items, config.fusion.dimension + config.generator.sketch),
            torch.zeros(items, quantizer.levels + 1, dtype=torch.long),
            torch.zeros(items, dtype=torch.bool),
        )
        widths = (*[quantizer.codes_for(items)] * quantizer.levels, 1)
        model = Generator(config.generator, table, widths, (backbone, hidden))
    sizes = [(weight.numel(), weight.requires_grad) for weight in model.parameters()]
    parameters = sum(size for size, _ in sizes)
    trained = sum(size for size, is_trained in sizes if is_trained)
    transitions = config.training.transitions_of_epoch(
        transitions_of(train.history(user) for user in range(train.users))
    )
    positions = config.training.positions_for(transitions, 0 if config.generator.pretrained else items)
    layers = getattr(backbone, "model", backbone).config
    depth = int(getattr(layers, "num_hidden_layers", config.generator.layers))
    kept = depth * _WEIGHT_BYTES + _LAYER_BYTES if config.generator.gradient_checkpointing else depth * _LAYER_BYTES
    return FitPlan(
        items=items,
        events=train.events,
        parameters=parameters,
        trained=trained,
        memory_bytes=parameters * _WEIGHT_BYTES + trained * _TRAINED_BYTES + positions * hidden * kept,
        epochs=config.training.epochs if train.events else 0,
        steps=math.ceil(transitions / positions) if transitions else 0,
    )
