"""What is measured on a GPU says so where there is none."""

import pytest

from benchmarks import decode_gpu
from benchmarks.options import Options
from benchmarks.report import gpu_suffix


def test_without_a_gpu_nothing_is_measured() -> None:
    with pytest.raises(SystemExit, match="decode-gpu needs a GPU"):
        decode_gpu.run(Options(device="cpu"))


def test_results_of_a_cpu_keep_their_names() -> None:
    assert gpu_suffix("cpu") == ""


@pytest.mark.gpu
def test_results_of_a_gpu_are_named_after_it() -> None:
    assert gpu_suffix("cuda:0").startswith("-")
