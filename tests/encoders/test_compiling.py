from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mmrec.errors import FailedPreconditionError
from mmrec_encoders.compiling import compiled, compiling
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
        with torch.inference_mode(), compiling():
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


def test_without_a_compiler_the_mend_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    torch._dynamo.reset()
    with inductor.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}):
        double = compiled(lambda rows: rows * 2 + 1)
        with pytest.raises(FailedPreconditionError, match="install a C\\+\\+ compiler") as refused, compiling():
            double(torch.ones(3))
    assert "\n" not in refused.value.message
