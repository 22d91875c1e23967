"""A misspelt field of a message is found before anything runs: by mypy, with the stubs of the dev extra."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

PLANTED = """
from mmrec.v1 import recommendation_pb2

request = recommendation_pb2.RecommendRequest(user_id="a", histroy=["b"])
print(request.user_id, request.histroy)
"""


def test_a_misspelt_field_of_a_message_fails_mypy(project_root: Path, tmp_path: Path) -> None:
    try:
        version("types-protobuf")
    except PackageNotFoundError:
        pytest.skip("types-protobuf is not installed; pip install -e '.[dev]' brings it")
    (tmp_path / "planted.py").write_text(PLANTED, encoding="utf-8")
    # With the options and the cache of `make lint`, so that only the planted file is read anew.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(tmp_path / "planted.py")],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    found = [line.partition("error: ")[2] for line in done.stdout.splitlines() if "error: " in line]
    assert len(found) == 2, done.stdout
    assert all("histroy" in line for line in found)
