"""Stages of what a thread computes."""

from __future__ import annotations

import pytest

from mmrec.runtime.stages import stage, timed_stages


def test_stages_are_added_up_in_the_order_in_which_they_came_first() -> None:
    with timed_stages() as times:
        for name in ("blend", "rerank", "blend"):
            with stage(name):
                pass
    assert list(times) == ["blend", "rerank"]
    assert times["blend"].began <= times["rerank"].began
    assert all(took.seconds > 0 for took in times.values())


def test_a_stage_that_fails_took_its_time_and_outside_a_block_nothing_is_kept() -> None:
    with timed_stages() as times:
        with timed_stages() as inner, pytest.raises(ValueError, match="bad"), stage("blend"):
            raise ValueError("bad")
        assert list(inner) == ["blend"]
    with stage("rerank"):
        pass
    assert times == {}
