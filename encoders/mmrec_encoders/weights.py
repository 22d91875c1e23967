"""Row normalisation, fingerprints of weights, and safetensors files with a JSON description in the header.

Safetensors and JSON only: reading a file cannot run code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec.errors import BundleError, FailedPreconditionError
from mmrec.runtime.files import replace_file
from mmrec_encoders.protocols import Vectors

if TYPE_CHECKING:
    import torch


def unit_rows(rows_ND: torch.Tensor) -> Vectors:
    """Rows scaled to unit norm, as float32 on the CPU.

    Args:
        rows_ND: Output of a model. Shape: (N, D), any floating dtype.

    Raises:
        FailedPreconditionError: a value is not finite, for example after an overflow in float16.
    """
    rows = rows_ND.detach().float().cpu().numpy()
    if not np.isfinite(rows).all():
        raise FailedPreconditionError(
            "the model gave values that are not finite; pass dtype float32 (float16 overflows in some models)"
        )
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.maximum(norms, 1e-12), dtype=np.float32)


def fingerprint_of(name: str, tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """``name@`` and 16 hex digits of the SHA-256 over names, shapes, dtypes and bytes of the tensors.

    Call it before the weights are cast, so that it does not depend on the dtype used for computing.
    """
    import torch

    digest = hashlib.sha256()
    for key, tensor in tensors:
        digest.update(f"{key}:{tuple(tensor.shape)}:{tensor.dtype};".encode())
        # Viewed as bytes because numpy has no bfloat16.
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return f"{name}@{digest.hexdigest()[:16]}"


def cast_weights(module: torch.nn.Module, dtype: torch.dtype) -> None:
    """Cast the parameters but not the buffers: rotary tables become useless when rounded to bfloat16.

    Batch normalisation stays in float32, like its statistics: it accepts narrow inputs, but not mixed parameters.
    """
    from torch import nn

    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            continue
        for parameter in layer.parameters(recurse=False):
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(dtype)


def write_weights(path: Path, tensors: Mapping[str, torch.Tensor], description: Mapping[str, Any]) -> None:
    """Atomically write tensors with a JSON description in the header.

    Args:
        path: The ``.safetensors`` file.
        tensors: Named tensors; moved to the CPU.
        description: JSON-serialisable.
    """
    from safetensors.torch import save

    data = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={"mmrec": json.dumps(description, sort_keys=True)},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: temporary.write_bytes(data))


def read_weights(
    path: Path, kind: str, format_version: int, *, maker: str = "mmrec fit"
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and description of a file made by `write_weights`.

    Args:
        path: The ``.safetensors`` file.
        kind: What ``description["kind"]`` must say.
        format_version: What ``description["format"]`` must say.
        maker: The command that makes such files, for the message.

    Raises:
        BundleError: the file is missing, damaged, of another kind, or of another format version.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise BundleError(f"{path} is missing; make it again with {maker}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            description = json.loads((file.metadata() or {}).get("mmrec", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, RecursionError) as err:
        raise BundleError(f"{path} is damaged and cannot be read as safetensors; make it again with {maker}") from err
    if not isinstance(description, dict) or description.get("kind") != kind:
        raise BundleError(f"{path} does not hold {kind} weights written by mmrec; make it again with {maker}")
    if description.get("format") != format_version:
        raise BundleError(
            f"{path} has format version {description.get('format')!r}; this mmrec reads {format_version}: "
            f"use the mmrec that wrote it, or make it again with {maker}"
        )
    return tensors, description
