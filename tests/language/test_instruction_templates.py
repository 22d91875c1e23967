from __future__ import annotations

from pathlib import Path

import pytest

from mmrec.errors import InvalidArgumentError, NotFoundError
from mmrec.language.instruction_templates import SLOTS, read_tasks

GIFT = """
version = 1
task = "gift"
kind = "sequential"
weight = 0.5
[[templates]]
id = "gift-1"
input = "A present after {history} for {user}"
output = "{item}"
"""


def _folder(folder: Path, text: str, name: str = "gift.toml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_every_built_in_task_has_several_seen_templates_and_an_unseen_one() -> None:
    tasks = {task.name: task for task in read_tasks()}
    assert sorted(tasks) == ["explanation", "ranking", "rating", "sequential", "straightforward", "wish"]
    assert {task.kind for task in tasks.values()} == set(SLOTS)
    for task in tasks.values():
        assert sum(template.seen for template in task.templates) >= 3
        assert sum(not template.seen for template in task.templates) >= 1
    assert (tasks["sequential"].weight, tasks["ranking"].weight) == (3.0, 1.0)


def test_a_folder_adds_a_task(tmp_path: Path) -> None:
    (gift,) = [task for task in read_tasks(_folder(tmp_path, GIFT)) if task.name == "gift"]
    assert (gift.kind, gift.weight, len(gift.templates)) == ("sequential", 0.5, 1)
    assert gift.templates[0].input == ("A present after ", "history", " for ", "user", "")
    assert gift.templates[0].output == ("", "item", "")


def test_a_folder_adds_templates_to_a_built_in_task_and_sets_its_weight(tmp_path: Path) -> None:
    more = GIFT.replace('task = "gift"', 'task = "sequential"')
    (sequential,) = [task for task in read_tasks(_folder(tmp_path, more)) if task.name == "sequential"]
    assert sequential.weight == 0.5
    assert {"sequential-1", "gift-1"} <= {template.id for template in sequential.templates}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version = 1", "version = 2", "gift.toml: version is 2; this release reads version 1"),
        ("version = 1", "version = ", "gift.toml is no TOML file"),
        ('kind = "sequential"', 'kind = "poem"', "kind is 'poem'; it must be one of sequential, straightforward"),
        ('task = "gift"', "task = 7", "task is 7; give the task a name"),
        ('task = "gift"', 'task = "rating"', "task 'rating' is of kind 'sequential' here and of 'rating' elsewhere"),
        ("weight = 0.5", "weight = -1", "weight of gift.toml"),
        ("weight = 0.5", 'weight = "much"', "weight is 'much'; it must be a number"),
        ("weight", "wieght", "'wieght' is no key"),
        ("{user}", "{candidates}", r"template 'gift-1': there is no slot \{candidates\}; sequential has"),
        ("{item}", "something", "output has no slot"),
        ('output = "{item}"', "", "output is None"),
        ('id = "gift-1"', 'id = "sequential-1"', "'sequential-1' is there twice, in 'sequential' and 'gift'"),
        ('id = "gift-1"', 'id = "gift-1"\nseen = false', "task 'gift' has no seen template"),
        ('id = "gift-1"', 'id = "gift-1"\nseen = "no"', "seen is 'no'; it must be true or false"),
        ("[[templates]]", "[templates]", "add one with id, input and output"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused_by_name(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        read_tasks(_folder(tmp_path, GIFT.replace(old, new, 1)))


def test_a_folder_that_is_not_there_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no folder"):
        read_tasks(tmp_path / "nowhere")
    with pytest.raises(NotFoundError, match="has no template file"):
        read_tasks(tmp_path)
