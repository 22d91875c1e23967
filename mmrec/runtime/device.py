"""Choice of device and dtype.

`auto` takes the GPU if there is one. On a CPU, bfloat16 is faster only where the processor multiplies it in hardware
(AVX512-BF16 or AMX); elsewhere it is emulated and slower than float32, so float32 is the default. float16 works on a
CPU but is emulated, several times slower than float32, and overflows in some models: it is used only on request.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from mmrec.errors import DeviceNotAvailableError, InvalidArgumentError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("auto", "float32", "bfloat16", "float16")


def resolve_device(device: str = "auto") -> torch.device:
    """The torch device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        InvalidArgumentError: any other value.
        DeviceNotAvailableError: torch sees no GPU with that number.
    """
    import torch

    name, _, index = device.partition(":")
    if name not in DEVICES or (index and (name != "cuda" or not index.isdigit())):
        raise InvalidArgumentError(f"device is {device!r}; it must be auto, cpu, cuda or cuda:N", field="device")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if int(index or 0) >= torch.cuda.device_count():
        raise DeviceNotAvailableError(
            f"device is {device!r}, but torch sees {torch.cuda.device_count()} GPUs here; pass auto or cpu, "
            "or install a CUDA build of torch"
        )
    return torch.device("cuda", int(index or 0))


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The torch dtype for ``auto``, ``float32``, ``bfloat16`` or ``float16`` on a device.

    Raises:
        InvalidArgumentError: any other value.
    """
    import torch

    if dtype not in DTYPES:
        raise InvalidArgumentError(f"dtype is {dtype!r}; it must be one of {', '.join(DTYPES)}", field="dtype")
    if dtype == "auto":
        fast = device.type == "cuda" or cpu_multiplies_bfloat16()
        return torch.bfloat16 if fast else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Autocast context in which matrix products are computed in `dtype`."""
    import torch

    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def cpu_multiplies_bfloat16() -> bool:
    """Whether this processor has bfloat16 instructions (Linux only; False where unknown)."""
    if platform.system() != "Linux":
        return False
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", " bf16 "))
