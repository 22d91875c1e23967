"""kill -9 at every named place, then the same call again: the same bytes, and at most one shard done twice."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from mmrec_encoders.embedding.failpoints import FAILPOINTS
from tests.commands import forked
from tests.encoders.embedding.conftest import write_catalogue
from tests.encoders.embedding.die_and_go_on import die_and_go_on

# Fifty runs, in one fixture.
pytestmark = [pytest.mark.slow(15), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, text_model: Path) -> list[dict[str, Any]]:
    work = tmp_path_factory.mktemp("kills")
    found = work / "reports.jsonl"
    with forked(die_and_go_on, write_catalogue(work / "catalogue"), text_model, work, found) as child:
        child.join(850)
        assert child.exitcode == 0
    return [json.loads(line) for line in found.read_text().splitlines()]


def test_an_unbroken_run_passes_every_failpoint(reports: list[dict[str, Any]]) -> None:
    assert len(FAILPOINTS) == len(set(FAILPOINTS)) >= 15
    assert set(reports[0]["passed"]) - {"written 3"} == set(FAILPOINTS)
    assert {"part-00000.parquet", "part-00002.parquet", "_manifest.json", "_encoders/fusion.safetensors"} <= set(
        reports[0]["files"]
    )


@pytest.mark.parametrize("name", FAILPOINTS)
def test_a_kill_changes_no_byte_and_costs_one_shard_at_most(reports: list[dict[str, Any]], name: str) -> None:
    (report,) = [report for report in reports[1:] if report["name"] == name]
    assert (report["status"], report["again"]) == (-signal.SIGKILL, 0)
    assert report["differences"] == []
    # What was finished is kept, and of five pictures in a shard, two to a batch, three batches are done again at most.
    assert report["written_after"] == 3 - report["shards_before"]
    assert 0 <= report["batches_more"] <= 3
    before_trained = {"after-lock": 1, "before-training": 2, "before-encoders-renamed": 2, "after-encoders": 1}
    assert report["trainings"] == before_trained.get(name, 0)
