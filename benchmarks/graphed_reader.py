"""Encodes histories with the LLM on a GPU in one dtype, as CUDA graphs by shape (`cuda_graphs`).

Works on item tokens, not on the catalogue or decode index, so recordings stay valid when these change.
"""

# Axes: B users, T history positions, H hidden width

from __future__ import annotations

import copy
import threading
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.cuda_graphs import Recorded, graph_pool
from mmrec.generator.model import Generator
from mmrec.generator.semantic_id_head import EncodedHistory, SemanticIdHead
from mmrec.generator.small_decoder import SmallDecoder

LEAST_PLACES = 16
"""Minimum history length of a recorded shape."""


class _Reading:
    """Runs the LLM as `Generator.read` does, on tokens."""

    def __init__(self, generator: Generator, dtype: torch.dtype) -> None:
        self._backbone, self._state_norm, self._dtype = generator.backbone, generator.state_norm, dtype
        self.can_record = isinstance(generator.backbone, SmallDecoder)
        if self.can_record:
            self._backbone = copy.deepcopy(generator.backbone).to(dtype).eval().requires_grad_(False)

    def __call__(self, inputs_BTH: Tensor, valid_BT: Tensor) -> EncodedHistory:
        if self.can_record:
            states_BTH = self._backbone(inputs_BTH.to(self._dtype))
        else:
            with torch.autocast(inputs_BTH.device.type, self._dtype, enabled=self._dtype != torch.float32):
                states_BTH = self._backbone(inputs_BTH)
        states_BTH = self._state_norm(states_BTH.to(inputs_BTH.dtype))
        return EncodedHistory(states_BTH.to(self._dtype), (states_BTH + inputs_BTH).to(self._dtype), valid_BT)


class ReadSlot:
    """A recording of the LLM for one shape, and its input memory."""

    def __init__(self, reading: _Reading, shape: tuple[int, int, int], device: torch.device, pool: Any) -> None:
        self.inputs_BTH = torch.zeros(shape, device=device)
        self.valid_BT = torch.ones(shape[:2], dtype=torch.bool, device=device)
        self.recorded = Recorded(partial(reading, self.inputs_BTH, self.valid_BT), device, pool)


class GraphedReader:
    """The LLM and the semantic-ID head in one dtype, with recordings of the LLM by shape.

    Copies the weights at construction. A pretrained model is used directly and not recorded.

    Args:
        generator: In evaluation mode, on the device to use.
        dtype: Number format of matrix products.

    Attributes:
        longest: Maximum history length.
        head: The semantic-ID head.
        lock: Hold it from filling the input memory of recordings until their results are copied.
        can_record: Whether the LLM is a `SmallDecoder`, which can be recorded.
    """

    def __init__(self, generator: Generator, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.device: torch.device = generator.state_norm.weight.device
        self.longest = generator.config.max_history
        self.lock = threading.Lock()
        self.head: SemanticIdHead = copy.deepcopy(generator.semantic_id_head).to(dtype).eval().requires_grad_(False)
        self.encode = _Reading(generator, dtype)
        self.can_record = self.encode.can_record
        self._hidden = len(generator.state_norm.weight)
        self._slots: dict[tuple[int, int], ReadSlot] = {}
        self._pool = graph_pool(self.device)

    def slot(self, batch: int, places: int) -> ReadSlot:
        """The recording for a shape, made on first use; the lock must be held."""
        key = (batch, places)
        if key not in self._slots:
            self._slots[key] = ReadSlot(self.encode, (*key, self._hidden), self.device, self._pool)
        return self._slots[key]
