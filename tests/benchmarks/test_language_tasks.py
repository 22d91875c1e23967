"""The table of tasks: figures by template, and how unseen templates compare with seen ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.language_tasks import by_template, cells_of, form_of, kept, peers_of
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
        "wish-1": np.full(50, 0.4),  # seen, item tokens
        "wish-2": np.full(50, 0.1),  # seen, no history
        "wish-4": np.full(50, 0.2),  # seen, titles
        "wish-5": np.full(50, 0.3),  # unseen, item tokens
        "wish-6": np.full(50, 0.1),  # unseen, no history
    }
    seen, unseen, by_tokens, by_titles, without = cells_of(values, "ndcg@10")
    assert (seen, unseen) == ("0.233 [0.233, 0.233]", "0.200 [0.200, 0.200]")
    assert (by_tokens, by_titles, without) == ("-25.0% [-25.0%, -25.0%]", None, "+0.0% [+0.0%, +0.0%]")


def test_unseen_templates_are_compared_with_seen_ones_that_have_the_same_order_of_slots() -> None:
    values = {
        "ranking-1": np.full(50, 0.6),  # seen, candidates last
        "ranking-6": np.full(50, 0.8),  # seen, history last
        "ranking-4": np.full(50, 0.6),  # unseen, candidates last
    }
    seen, unseen, by_tokens, *_ = cells_of(values, "ndcg@10")
    assert (seen, unseen) == ("0.700 [0.700, 0.700]", "0.600 [0.600, 0.600]")
    assert by_tokens == "+0.0% [+0.0%, +0.0%]"


def test_errors_are_compared_by_their_roots() -> None:
    values = {"rating-6": np.full(50, 1.0), "rating-4": np.full(50, 1.21)}
    seen, unseen, by_tokens, by_titles, _ = cells_of(values, "squared_error")
    assert (seen, unseen, by_titles) == ("1.000 [1.000, 1.000]", "1.100 [1.100, 1.100]", None)
    assert by_tokens is not None
    assert float(by_tokens.partition("%")[0]) == pytest.approx(10.0)


def test_every_task_has_seen_and_unseen_templates_by_item_tokens() -> None:
    for task in read_tasks():
        assert {template.seen for template in task.templates if form_of(template) == "tokens"} == {True, False}


def test_every_unseen_template_has_a_seen_one_to_be_compared_with() -> None:
    for task in read_tasks():
        alone = [one.id for one in task.templates if not one.seen and not peers_of(one, task.templates)]
        assert alone == []


def test_texts_that_were_encoded_before_are_not_encoded_again(tmp_path: Path) -> None:
    asked = []

    def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        asked.append(list(texts))
        return np.full((len(texts), 2), len(asked), np.float32)

    assert kept(encode, tmp_path, "one")(["a", "b"]).tolist() == [[1, 1], [1, 1]]
    assert kept(encode, tmp_path, "one")(["a", "b"]).tolist() == [[1, 1], [1, 1]]
    assert kept(encode, tmp_path, "another")(["a", "b"]).tolist() == [[2, 2], [2, 2]]
    assert kept(encode, tmp_path, "one")(["b", "a"]).tolist() == [[3, 3], [3, 3]]
    assert asked == [["a", "b"], ["a", "b"], ["b", "a"]]
