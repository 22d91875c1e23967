from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = [
    "torch",
    "transformers",
    "open_clip",
    "sentence_transformers",
    "faiss",
    "PIL",
    "pyarrow",
    "scipy",
    "rich",
]


@pytest.mark.parametrize(
    "module", ["mmrec", "mmrec.sdk.client", "mmrec.sdk.aio", "mmrec.sdk.codec", "mmrec.sdk.transport"]
)
def test_the_sdk_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
