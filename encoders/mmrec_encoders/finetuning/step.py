"""One step of contrastive training over a batch that no single process or pass could hold.

A pair's loss depends on every other pair of the batch, so halves of a batch cannot simply be added up. Instead all
vectors are computed first and gathered, the loss and its gradient with respect to every vector are computed from
all of them, and then each part is sent backwards with its share of that gradient: the parameters get the gradient
of the one big batch, whatever it was cut into.

Source: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
arXiv:2101.06983. Knows nothing about where batches come from.
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
"""From all picture vectors and all words vectors of the step to the loss. Shapes: (G, D) twice."""


class Model(Protocol):
    """Two towers."""

    @property
    def module(self) -> torch.nn.Module:
        """Holds everything that is trained."""
        ...

    @property
    def loss_parameters(self) -> tuple[torch.nn.Parameter, ...]:
        """Those that the loss alone uses: scale and bias of the logits."""
        ...

    def pictures(self, inputs: torch.Tensor) -> torch.Tensor:
        """Unit vectors. Shape: (B, D), float32."""
        ...

    def words(self, inputs: Any) -> torch.Tensor:
        """Unit vectors. Shape: (B, D), float32."""
        ...


class Chunk(NamedTuple):
    """A part of a step that is computed at once; all parts have the same size.

    Attributes:
        pictures: Makes the inputs of the picture tower, the same ones each time it is called.
        words: Inputs of the words tower.
        size: How many pairs it holds.
        seed: Of whatever the towers leave to chance, so that a second pass is the first one again.
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
    """This process's share of the gradients of the step's loss, left in the parameters, and the loss.

    The shares of all processes add up to the gradients of the one big batch; the loss is the same in all of them.

    Statistics that layers keep of their inputs (batch normalisation) end as the mean over all chunks.

    Args:
        model: The towers, in training mode.
        chunks: This process's share, at least one; every process has as many.
        loss_of: The loss, using `Model.loss_parameters`.
        processes: Who computes the other shares.
        precision: Number format of the towers' arithmetic.
        scale_loss: Makes gradients larger for a narrow number format.
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
        with torch.no_grad(), statistics.untouched():
            vectors = [forward(chunk) for chunk in chunks]
    sides = [processes.gather(torch.cat([vector[side].detach() for vector in vectors])) for side in range(2)]
    leaves = [side.requires_grad_() for side in sides]
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
    # Computed from all pairs in every process alike.
    for parameter, grad in zip(trained, grads[2:], strict=True):
        parameter.grad = grad / processes.count
    statistics.finish()
    return loss.detach()


class _Statistics:
    """Running statistics of a module over a step: each chunk starts from the same ones, and the mean stays."""

    def __init__(self, module: Any, chunks: int, processes: Processes) -> None:
        self._processes, self._chunks = processes, chunks
        self._buffers: list[torch.Tensor] = []
        if chunks > 1 or processes.count > 1:
            kept = (m for m in module.modules() if m.training and getattr(m, "track_running_stats", False))
            self._buffers = [buffer for m in kept for buffer in m.buffers(recurse=False)]
        self._start = [buffer.clone() for buffer in self._buffers]
        self._total = [buffer.double().zero_() for buffer in self._buffers]

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """What happens inside leaves no trace."""
        yield
        self._restore()

    def after_chunk(self) -> None:
        for total, buffer in zip(self._total, self._buffers, strict=True):
            total += buffer
        self._restore()

    def finish(self) -> None:
        self._processes.all_reduce(self._total)
        everything = self._chunks * self._processes.count
        for buffer, total in zip(self._buffers, self._total, strict=True):
            buffer.copy_(total / everything)

    def _restore(self) -> None:
        for buffer, start in zip(self._buffers, self._start, strict=True):
            buffer.copy_(start)
