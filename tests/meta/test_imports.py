"""What importing costs, and which way the arrows point."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "transformers",
    "open_clip",
    "sentence_transformers",
    "faiss",
    "PIL",
    "pyarrow",
    "scipy",
    "rich",
    "typer",
)


def _loaded(statement: str, among: tuple[str, ...], environment: dict[str, str]) -> str:
    code = f"{statement}\nimport sys\nprint(*sorted(set({among!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "module",
    [
        "mmrec",
        "mmrec.sdk.client",
        "mmrec.sdk.aio",
        "mmrec.sdk.codec",
        "mmrec.sdk.methods",
        "mmrec.contract.requests",
        "mmrec.errors",
    ],
)
def test_the_sdk_loads_nothing_that_the_base_install_does_not_have(
    module: str, child_environment: dict[str, str]
) -> None:
    assert _loaded(f"import {module}", HEAVY, child_environment) == ""


def test_front_ends_of_a_server_and_their_parent_load_no_model(child_environment: dict[str, str]) -> None:
    assert _loaded("import mmrec_serving.processes", HEAVY, child_environment) == ""


def test_the_front_door_loads_nothing_at_all(child_environment: dict[str, str]) -> None:
    assert _loaded("import mmrec", (*HEAVY, "grpc", "numpy", "google.protobuf"), child_environment) == ""


def test_the_arrows_only_point_down(project_root: Path, child_environment: dict[str, str]) -> None:
    command = "import sys; sys.argv = ['lint-imports', '--no-cache']; "
    command += "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=project_root,
        env=child_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
