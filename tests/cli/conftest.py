"""Shared by the tests of commands."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["bundle", "server"])
def place(request: pytest.FixtureRequest) -> list[str]:
    """Arguments that name the demo bundle, and those that name a server of it."""
    if request.param == "bundle":
        return [str(request.getfixturevalue("demo_bundle"))]
    # Long, for a machine that others use.
    return ["--server", request.getfixturevalue("demo_server"), "--timeout", "250"]
