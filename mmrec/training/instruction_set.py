"""Prepares an instruction set from a dataset folder: `mmrec prepare`.

The events are split as `mmrec fit` splits them, so what a bundle is evaluated on is held out here too.

Unit of work: one dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmrec.data.dataset import read_dataset
from mmrec.data.table_files import find_table
from mmrec.data.tables import read_table
from mmrec.data.writing import dataset_folder
from mmrec.errors import InternalError
from mmrec.language.instruction_files import SPLITS, InstructionStatistics, write_split, write_statistics
from mmrec.language.instruction_templates import Task, read_tasks
from mmrec.language.instructions import InstructionBuilder, InstructionConfig, leaks
from mmrec.language.sentences import shown_column
from mmrec.training.splitting import LEAVE_ONE_OUT, SplitName, split_events

_MOST_CHARACTERS = 60
"""Longest value of a users table that goes into words about a user."""


@dataclass(frozen=True, slots=True)
class PrepareConfig:
    """What an instruction set is made of.

    Attributes:
        instructions: How many examples are made, and how long they are.
        templates: Folder of the user's template files; None for the built-in ones alone.
        split: Which events are held out, as in `mmrec fit`.
        min_rating: As in `mmrec fit`.
    """

    instructions: InstructionConfig = field(default_factory=InstructionConfig)
    templates: Path | None = None
    split: SplitName = LEAVE_ONE_OUT
    min_rating: float | None = None


def prepare_instructions(dataset: Path, out: Path, config: PrepareConfig = PrepareConfig()) -> InstructionStatistics:
    """Write an instruction set: train, validation and test as JSONL and Parquet, and ``statistics.json``.

    Args:
        dataset: A dataset folder.
        out: A folder that does not exist, or is empty; it appears when everything is written.
        config: See `PrepareConfig`.

    Returns:
        The counts.

    Raises:
        InvalidDatasetError: the dataset or its events cannot be used, or `out` holds something.
        InvalidArgumentError: a template breaks a rule.
        NotFoundError: there is no such dataset or folder of templates.
    """
    tasks = read_tasks(config.templates)
    data = read_dataset(dataset, min_rating=config.min_rating)
    split = split_events(data.interactions, config.split, data.root)
    builder = InstructionBuilder(
        data.catalogue, data.interactions, split, config.instructions, words_about_users(data.root)
    )
    train = list(builder.train(tasks))
    if leaks(train, split, data.catalogue):
        raise InternalError("a training example holds a held-out event; nothing was written")
    statistics = InstructionStatistics()
    with dataset_folder(out) as staging:
        for name in SPLITS:
            examples = train if name == "train" else builder.evaluation(tasks, name)
            write_split(staging, name, examples, statistics)
        write_statistics(staging, statistics, _about(data.name, config, tasks))
    return statistics


def words_about_users(root: Path) -> dict[str, str]:
    """Words about each user from the columns of the users table, as in ``a customer (age 24, occupation writer)``."""
    path, _ = find_table(root, "users")
    if path is None:
        return {}
    table = read_table(path)
    if "user_id" not in table.columns:
        return {}
    columns = {name: table.text(name).to_pylist() for name in table.columns if name != "user_id"}
    words = {}
    for row, user_id in enumerate(table.text("user_id").to_pylist()):
        facts = ((shown_column(name), values[row].strip()) for name, values in columns.items())
        words[user_id] = ", ".join(f"{name} {value}" for name, value in facts if 0 < len(value) <= _MOST_CHARACTERS)
    return {user_id: f"a customer ({text})" for user_id, text in words.items() if text}


def _about(name: str, config: PrepareConfig, tasks: Sequence[Task]) -> Mapping[str, object]:
    return {
        "dataset": name,
        "seed": config.instructions.seed,
        "held_out": config.split,
        "weights": {task.name: task.weight for task in tasks},
        "templates_of_tasks": {
            task.name: {
                "seen": [template.id for template in task.templates if template.seen],
                "unseen": [template.id for template in task.templates if not template.seen],
            }
            for task in tasks
        },
    }
