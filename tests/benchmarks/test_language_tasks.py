"""The table of tasks: figures by template, and how unseen templates compare with seen ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.language_tasks import by_template, cells_of, form_of
from mmrec.language.instruction_templates import read_tasks


def test_figures_of_seeds_are_averaged_by_template() -> None:
    def seed(*values: float) -> dict[str, Any]:
        templates = ["a", "b", "a", "b"]
        groups: list[dict[str, Any]] = [{"task": "sequential", "templates": templates, "values": list(values)}]
        return {"tasks": [*groups, {"task": "rating", "templates": ["c"], "values": [9.0]}]}

    found = by_template([seed(1, 2, 3, 4), seed(3, 4, 5, 6)], "sequential")
    assert {name: values.tolist() for name, values in found.items()} == {"a": [2.0, 4.0], "b": [3.0, 5.0]}


def test_unseen_templates_are_compared_with_seen_ones_of_their_form() -> None:
    values = {
        "sequential-1": np.full(50, 0.4),  # seen, item tokens
        "sequential-3": np.full(50, 0.2),  # seen, titles
        "sequential-5": np.full(50, 0.3),  # unseen, item tokens
        "sequential-7": np.full(50, 0.2),  # unseen, titles
    }
    seen, unseen, by_tokens, by_titles = cells_of(values, "ndcg@10")
    assert (seen, unseen) == ("0.300 [0.300, 0.300]", "0.250 [0.250, 0.250]")
    assert (by_tokens, by_titles) == ("-25.0% [-25.0%, -25.0%]", "+0.0% [+0.0%, +0.0%]")


def test_errors_are_compared_by_their_roots() -> None:
    values = {"rating-1": np.full(50, 1.0), "rating-4": np.full(50, 1.21)}
    seen, unseen, by_tokens, by_titles = cells_of(values, "squared_error")
    assert (seen, unseen, by_titles) == ("1.000 [1.000, 1.000]", "1.100 [1.100, 1.100]", None)
    assert by_tokens is not None
    assert float(by_tokens.partition("%")[0]) == pytest.approx(10.0)


def test_every_task_has_seen_and_unseen_templates_by_item_tokens() -> None:
    for task in read_tasks():
        assert {template.seen for template in task.templates if form_of(template) == "tokens"} == {True, False}
