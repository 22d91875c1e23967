from __future__ import annotations

import pytest

from mmrec.sdk.timing import CallTiming, read_timing, timing_text


def test_times_are_written_as_http_writes_them_and_read_again() -> None:
    text = timing_text({"queue": 0.0004124, "run": 0.0021}, 0.00395)
    assert text == "queue;dur=0.412, run;dur=2.100, total;dur=3.950"
    found = read_timing("/a/b", [("x-request-id", "1"), ("mmrec-timing", text)])
    stages = {"queue": pytest.approx(0.000412), "run": pytest.approx(0.0021)}
    assert found == CallTiming("/a/b", stages, pytest.approx(0.00395))


@pytest.mark.parametrize("text", ["", "queue", "queue;dur=x, total;dur=1", "queue;dur=1", b"queue;dur=1"])
def test_what_cannot_be_read_is_none(text: str | bytes) -> None:
    assert read_timing("/a/b", [("mmrec-timing", text)]) is None
    assert read_timing("/a/b", None) is None
