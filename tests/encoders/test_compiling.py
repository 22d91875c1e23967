from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mmrec.errors import FailedPreconditionError
from mmrec_encoders.compiling import compiled
from mmrec_encoders.open_clip_images import OpenClipImageEncoder
from mmrec_encoders.open_clip_models import OpenClipConfig
from tests.encoders.contracts import PICTURES, assert_cosines
from tests.encoders.models import open_clip_folder


@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="there is no C++ compiler")
def test_a_compiled_function_gives_the_same_numbers_for_any_number_of_rows() -> None:
    def forward(rows: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.gelu(rows * 2 + 1).sum(1)

    fast = compiled(forward)
    for count in (2, 5, 7):
        rows = torch.randn(count, 4)
        with torch.inference_mode():
            torch.testing.assert_close(fast(rows), forward(rows))


def test_a_compiled_image_encoder_gives_the_same_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced but run by torch itself, because compiling a whole model takes half a minute."""
    ran: list[int] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable[..., Any]:
        ran.append(len(graph.graph.nodes))
        return graph.forward

    monkeypatch.setattr(
        "mmrec_encoders.open_clip_images.compiled", lambda f: torch.compile(f, dynamic=True, backend=backend)
    )
    folder = open_clip_folder(tmp_path)
    plain, fast = (
        OpenClipImageEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu", dtype="float32", compile=compile))
        for compile in (False, True)
    )
    assert sum(ran) > 20, "the tower is not what was compiled"
    for count in (1, 3, 7):
        assert_cosines(fast.encode(PICTURES[:count]), plain.encode(PICTURES[:count]), 0.99999)
    assert fast.fingerprint == plain.fingerprint


def test_what_fails_at_the_first_call_is_told_with_the_remedy() -> None:
    @torch.compiler.disable
    def forward(rows: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("No working C++ compiler found\nwith a second line")

    with pytest.raises(FailedPreconditionError) as refused:
        compiled(forward)(torch.ones(3))
    assert refused.value.message == (
        "torch cannot compile the model here (No working C++ compiler found); install a C++ compiler (g++ or clang; on "
        "a GPU also triton), or leave compile off"
    )


def test_what_fails_after_the_first_call_stays_what_it_is() -> None:
    @torch.compiler.disable
    def forward(rows: torch.Tensor) -> torch.Tensor:
        return rows @ torch.ones(4)

    fast = compiled(forward)
    fast(torch.ones(3, 4))
    with pytest.raises(RuntimeError, match="size mismatch"):
        fast(torch.ones(3, 5))
