"""The group of processes that train together, one per GPU or several on a CPU, through accelerate.

``accelerate launch`` (GPUs) and ``torchrun`` (GPUs or CPUs) start the group; a process started by neither is a group of
one.
"""

from __future__ import annotations

import atexit
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from mmrec.runtime.device import resolve_device

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_TIMEOUT = timedelta(hours=12)
"""How long the other processes wait while the main one reads pictures and writes results."""


class Processes:
    """This process's rank in the group, and collective operations.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; in a group each process uses the GPU of its local rank.

    Attributes:
        index: Rank of this process.
        count: Number of processes.
        device: Device of this process.
    """

    def __init__(self, device: str = "auto") -> None:
        from accelerate.utils import get_cpu_distributed_information

        self.index, self.count, self.device = 0, 1, resolve_device(device)
        # Despite its name, the function covers GPU processes too.
        if get_cpu_distributed_information().world_size > 1:
            self._join()

    def _join(self) -> None:
        import torch
        from accelerate.state import PartialState

        found_group = torch.distributed.is_initialized()
        with warnings.catch_warnings():
            # On a CPU it sets the number of threads and warns about it.
            warnings.simplefilter("ignore", UserWarning)
            state: Any = PartialState(cpu=self.device.type == "cpu", timeout=_TIMEOUT)
        self.index, self.count, self._state = int(state.process_index), int(state.num_processes), state
        if self.device.type != "cpu":  # on a CPU, accelerate would give the single device a number
            self.device = state.device
        if not found_group:
            # If the group still exists at interpreter exit, its threads may abort the process.
            atexit.register(state.destroy_process_group)

    @classmethod
    def alone(cls, device: torch.device) -> Processes:
        """A group of one, even under a launcher."""
        group = object.__new__(cls)
        group.index, group.count, group.device = 0, 1, device
        return group

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.index == 0

    def wait(self) -> None:
        """Barrier: wait until all processes arrive."""
        if self.count > 1:
            self._state.wait_for_everyone()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The main process runs the block first; the others run it after, with the main one's files on disk."""
        if not self.is_main:
            self.wait()
        yield
        if self.is_main:
            self.wait()

    def broadcast(self, value: T | None) -> T:
        """The main process's value, in every process; the others pass None."""
        values: list[Any] = [value]
        if self.count > 1:
            from accelerate.utils import broadcast_object_list

            broadcast_object_list(values)
        result: T = values[0]
        return result

    def broadcast_tensors(self, tensors: Sequence[torch.Tensor]) -> None:
        """Overwrite the tensors with the main process's values."""
        if self.count > 1:
            import torch

            for tensor in tensors:
                torch.distributed.broadcast(tensor, src=0)

    def gather(self, rows_BD: torch.Tensor) -> torch.Tensor:
        """Rows of all processes in order of rank, without gradients. Shape: (count * B, D)."""
        if self.count == 1:
            return rows_BD
        from accelerate.utils import gather

        gathered: torch.Tensor = gather(rows_BD.detach().contiguous())
        return gathered

    def all_reduce(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes; one message for all tensors, in float32."""
        if self.count == 1 or not tensors:
            return
        import torch
        from accelerate.utils import reduce

        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in tensors])
        total: torch.Tensor = reduce(flat, "sum")
        for tensor, part in zip(tensors, torch.split(total, [t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))


def in_main_process(device: str = "auto") -> bool:
    """Whether this process is the one of its group that writes and reports."""
    return Processes(device).is_main
