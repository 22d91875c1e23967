from __future__ import annotations

from pathlib import Path

import pytest

from mmrec.demo.server import running_server
from mmrec.errors import FailedPreconditionError


def test_a_server_that_ends_instead_of_starting_is_quoted(tmp_path: Path) -> None:
    log = tmp_path / "server.log"

    def start() -> None:
        with running_server(tmp_path / "no-bundle", log):
            pass

    with pytest.raises(FailedPreconditionError, match="the server ended with status") as caught:
        start()
    assert str(log) in caught.value.message
    assert log.read_text().strip().splitlines()[-1] in caught.value.message
