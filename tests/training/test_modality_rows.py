"""The recommender with one modality hidden, as rows of a fit's evaluation."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmrec.runtime.progress import NoProgress
from mmrec.training import FitRun, fit_dataset
from tests.conftest import tiny_fit

pytestmark = pytest.mark.slow


class Started(NoProgress):
    def __init__(self) -> None:
        self.stages: list[str] = []

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        self.stages.append(stage)


def test_rows_of_a_process_beside_are_those_of_the_same_process(
    demo_dataset: Path, demo_bundle: Path, tmp_path: Path
) -> None:
    config = replace(tiny_fit(), compare_modalities=True)
    run = FitRun(cache=demo_bundle / ".fit" / "cache")
    threads, found, trained = torch.get_num_threads(), [], []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            progress = Started()
            result = fit_dataset(demo_dataset, tmp_path / str(count), config, progress, run=run)
            assert torch.get_num_threads() == count
            found.append(result.evaluation.rows)
            trained.append(progress.stages.count("train"))
    finally:
        torch.set_num_threads(threads)
    assert trained == [3, 1]
    assert [(row.name, row.seen) for row in found[0][-4:]] == [
        ("picture-only", "removed"),
        ("picture-only", "kept"),
        ("words-only", "removed"),
        ("words-only", "kept"),
    ]
    assert found[0] == found[1]
