"""The group of processes that train together, one per GPU or several on a CPU, found through accelerate.

``accelerate launch`` (GPUs) and ``torchrun`` (GPUs or CPUs) make the group; a process that was started by neither
is a group of one. Knows nothing about models.
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

_PATIENCE = timedelta(hours=12)
"""How long the others wait while the first one reads pictures and writes results."""


class Processes:
    """This process's place in the group, and what the group does together.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; in a group each process has the GPU of its number.

    Attributes:
        index: Number of this process.
        count: How many there are.
        device: Where this process computes.
    """

    def __init__(self, device: str = "auto") -> None:
        from accelerate.utils import get_cpu_distributed_information

        self.index, self.count, self.device = 0, 1, resolve_device(device)
        # Despite its name it is about processes with GPUs too.
        if get_cpu_distributed_information().world_size > 1:
            self._join()

    def _join(self) -> None:
        import torch
        from accelerate.state import PartialState

        found_group = torch.distributed.is_initialized()
        with warnings.catch_warnings():
            # It chooses a number of threads on a CPU and warns that it did.
            warnings.simplefilter("ignore", UserWarning)
            state: Any = PartialState(cpu=self.device.type == "cpu", timeout=_PATIENCE)
        self.index, self.count, self._state = int(state.process_index), int(state.num_processes), state
        if self.device.type != "cpu":  # on a CPU it numbers the device, which is one and the same
            self.device = state.device
        if not found_group:
            # Threads of a group that is left to the end of the interpreter may abort the process.
            atexit.register(state.destroy_process_group)

    @classmethod
    def alone(cls, device: torch.device) -> Processes:
        """A group of this process alone, wherever it was started from."""
        made = object.__new__(cls)
        made.index, made.count, made.device = 0, 1, device
        return made

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.index == 0

    def wait(self) -> None:
        """Until all of them are here."""
        if self.count > 1:
            self._state.wait_for_everyone()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The first process does what is inside before the others do, who find what it has left on the disk."""
        if not self.is_main:
            self.wait()
        yield
        if self.is_main:
            self.wait()

    def broadcast(self, value: T | None) -> T:
        """The first process's value, in all of them; the others pass None."""
        values: list[Any] = [value]
        if self.count > 1:
            from accelerate.utils import broadcast_object_list

            broadcast_object_list(values)
        result: T = values[0]
        return result

    def broadcast_tensors(self, tensors: Sequence[torch.Tensor]) -> None:
        """Give all processes the first one's values."""
        if self.count > 1:
            import torch

            for tensor in tensors:
                torch.distributed.broadcast(tensor, src=0)

    def gather(self, rows_BD: torch.Tensor) -> torch.Tensor:
        """Rows of all processes, in the order of their numbers, without gradients. Shape: (count * B, D)."""
        if self.count == 1:
            return rows_BD
        from accelerate.utils import gather

        gathered: torch.Tensor = gather(rows_BD.detach().contiguous())
        return gathered

    def all_reduce(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes; one message for all of them, in float32."""
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
