"""One contrastive training step with gradient caching, for batches larger than one process or pass can hold.

A pair's loss depends on all other pairs, so losses of parts cannot simply be summed. Instead all vectors are computed
and gathered, the loss and its gradient with respect to every vector are computed from all of them, and then each chunk
is back-propagated with its part of that gradient: the parameters get the gradient of the whole batch.

Source: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", arXiv:2101.06983.
"""

# Axes: B pairs of a chunk, C chunks of this process, G pairs of the whole step, D dimensions

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch

    from mmrec.runtime.processes import Processes

LossOf = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""From all picture vectors and all text vectors of the step to the loss. Shapes: (G, D) twice."""


class Model(Protocol):
    """Two towers."""

    @property
    def module(self) -> torch.nn.Module:
        """The module with all trainable parameters."""
        ...

    @property
    def loss_parameters(self) -> tuple[torch.nn.Parameter, ...]:
        """Parameters used only by the loss: scale and bias of the logits."""
        ...

    def pictures(self, inputs: torch.Tensor) -> torch.Tensor:
        """Unit vectors. Shape: (B, D), float32."""
        ...

    def words(self, inputs: Any) -> torch.Tensor:
        """Unit vectors. Shape: (B, D), float32."""
        ...


class Chunk(NamedTuple):
    """A part of a step that is computed at once; all chunks have the same size.

    Attributes:
        pictures: Returns the inputs of the image tower, the same at each call.
        words: Inputs of the text tower.
        size: Number of pairs.
        seed: Of dropout and other randomness in the towers, so that a second pass equals the first.
    """

    pictures: Callable[[], torch.Tensor]
    words: Any
    size: int
    seed: int


def contrastive_step(
    model: Model,
    chunks: Sequence[Chunk],
    loss_of: LossOf,
    processes: Processes,
    *,
    precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
    scale_loss: Callable[[torch.Tensor], torch.Tensor] = lambda loss: loss,
) -> torch.Tensor:
    """Compute this process's share of the gradients, in the parameters' `grad`, and return the loss.

    The sum of the shares over all processes is the gradient of the whole batch; the loss is the same in all of them.
    Running statistics (batch normalisation) end as the mean over all chunks.

    Args:
        model: The towers, in training mode.
        chunks: This process's share, at least one; the same number in every process.
        loss_of: The loss, using `Model.loss_parameters`.
        processes: The process group.
        precision: Autocast context of the towers.
        scale_loss: Loss scaling for float16.
    """
    import torch

    statistics = _Statistics(model.module, len(chunks), processes)

    def forward(chunk: Chunk) -> tuple[torch.Tensor, torch.Tensor]:
        devices = [processes.device] if processes.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), precision():
            torch.manual_seed(chunk.seed)
            return model.pictures(chunk.pictures()), model.words(chunk.words)

    if len(chunks) == 1:
        vectors = [forward(chunks[0])]
    else:
        with torch.no_grad(), statistics.preserved():
            vectors = [forward(chunk) for chunk in chunks]
    leaves = [
        processes.gather(torch.cat([pair[tower].detach() for pair in vectors])).requires_grad_() for tower in range(2)
    ]
    loss = loss_of(leaves[0], leaves[1])
    trained = [parameter for parameter in model.loss_parameters if parameter.requires_grad]
    grads = torch.autograd.grad(scale_loss(loss), [*leaves, *trained])
    for number, chunk in enumerate(chunks):
        pair = vectors[0] if len(chunks) == 1 else forward(chunk)
        at = (processes.index * len(chunks) + number) * chunk.size
        parts = [
            (vector, grad[at : at + len(vector)])
            for vector, grad in zip(pair, grads[:2], strict=True)
            if vector.requires_grad
        ]
        torch.autograd.backward([vector for vector, _ in parts], [grad for _, grad in parts])
        statistics.after_chunk()
    # Every process computed these from all pairs.
    for parameter, grad in zip(trained, grads[2:], strict=True):
        parameter.grad = grad / processes.count
    statistics.finish()
    return loss.detach()


class _Statistics:
    """Running statistics of a module over a step: each chunk starts from the same values, and their mean is kept."""

    def __init__(self, module: Any, chunks: int, processes: Processes) -> None:
        self._processes, self._chunks = processes, chunks
        self._buffers: list[torch.Tensor] = []
        if chunks > 1 or processes.count > 1:
            tracking = (m for m in module.modules() if m.training and getattr(m, "track_running_stats", False))
            self._buffers = [buffer for m in tracking for buffer in m.buffers(recurse=False)]
        self._start = [buffer.clone() for buffer in self._buffers]
        self._total = [buffer.double().zero_() for buffer in self._buffers]

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Restore the statistics after the block."""
        yield
        self._restore()

    def after_chunk(self) -> None:
        for total, buffer in zip(self._total, self._buffers, strict=True):
            total += buffer
        self._restore()

    def finish(self) -> None:
        self._processes.all_reduce(self._total)
        count = self._chunks * self._processes.count
        for buffer, total in zip(self._buffers, self._total, strict=True):
            buffer.copy_(total / count)

    def _restore(self) -> None:
        for buffer, start in zip(self._buffers, self._start, strict=True):
            buffer.copy_(start)
