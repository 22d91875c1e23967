"""Templates of instructions, in versioned TOML files: a task, the data that fills it, its weight and its sentences.

Built-in files lie in ``templates/``; a folder of the user's adds tasks, or templates to a task of the same name. A task
is filled by one of the kinds of `SLOTS`; slots stand in braces, as in ``{history}``. Unit of work: one file. Knows
nothing about datasets.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mmrec.errors import InvalidArgumentError, NotFoundError
from mmrec.runtime.limits import check_number

VERSION = 1
_OF_CUSTOMER = ("user", "user_id", "customer")
_HISTORY = ("history", "history_words")
_TARGET = ("item", "item_words")
SLOTS: Mapping[str, tuple[str, ...]] = {
    "sequential": (*_OF_CUSTOMER, *_HISTORY, *_TARGET),
    "straightforward": (*_OF_CUSTOMER, *_TARGET),
    "wish": (*_OF_CUSTOMER, *_HISTORY, *_TARGET, "wish"),
    "ranking": (*_OF_CUSTOMER, *_HISTORY, *_TARGET, "candidates", "candidates_words"),
    "rating": (*_OF_CUSTOMER, *_HISTORY, *_TARGET, "rating"),
    "explanation": (*_OF_CUSTOMER, *_HISTORY, *_TARGET, "attribute", "explanation"),
}
"""Kinds of tasks and the slots that each fills. Slots without ``_words`` are item tokens where they stand for items;
``customer`` is one token for all that the customer chose before, whose order it does not tell."""
_SLOT = re.compile(r"\{([^{}]*)\}")
_KEYS = {"version", "task", "kind", "weight", "templates"}
_TEMPLATE_KEYS = {"id", "seen", "input", "output"}


@dataclass(frozen=True, slots=True)
class Template:
    """One way to put a task into words.

    Attributes:
        id: Unique among all templates.
        seen: Whether training uses it; an unseen one is for evaluation only.
        input: What the model reads, as words and names of slots in turns, words first.
        output: What it is to write, likewise.
    """

    id: str
    seen: bool
    input: tuple[str, ...]
    output: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A task.

    Attributes:
        name: The task.
        kind: A key of `SLOTS`: the data that fills it.
        weight: How many training examples it has, relative to the others; 0 for none.
        templates: One seen template or more, and any unseen ones.
    """

    name: str
    kind: str
    weight: float
    templates: tuple[Template, ...]


def read_tasks(folder: Path | None = None) -> tuple[Task, ...]:
    """The built-in tasks, with those of a folder of template files.

    Args:
        folder: The user's ``*.toml`` files; None for none. A task of a built-in name takes the weight of the user's
            file and the templates of both.

    Raises:
        NotFoundError: there is no such folder, or it has no such file.
        InvalidArgumentError: a file breaks a rule; the message names file and template.
    """
    built_in = resources.files("mmrec.language").joinpath("templates")
    files = [entry for entry in built_in.iterdir() if entry.name.endswith(".toml")]
    found: dict[str, Task] = {}
    for entry in sorted(files, key=lambda entry: entry.name):
        task = _task(entry.name, entry.read_text(encoding="utf-8"))
        found[task.name] = task
    for path in _files(folder):
        try:
            task = _task(path.name, path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise InvalidArgumentError(f"{path.name} is not UTF-8; save it as UTF-8") from None
        known = found.get(task.name)
        if known is not None and known.kind != task.kind:
            raise InvalidArgumentError(
                f"{path.name}: task {task.name!r} is of kind {task.kind!r} here and of {known.kind!r} elsewhere; give "
                "it another name"
            )
        own = known.templates if known is not None else ()
        found[task.name] = Task(task.name, task.kind, task.weight, own + task.templates)
    tasks = tuple(found.values())
    _check_ids(tasks)
    return tasks


def _files(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {str(folder)!r}; name a folder of template files (*.toml)")
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise NotFoundError(f"the folder {str(folder)!r} has no template file; a template file ends in .toml")
    return files


def _check_ids(tasks: Sequence[Task]) -> None:
    seen: dict[str, str] = {}
    for task in tasks:
        for template in task.templates:
            if template.id in seen:
                raise InvalidArgumentError(
                    f"the template id {template.id!r} is there twice, in {seen[template.id]!r} and {task.name!r}; ids "
                    "are unique among all templates"
                )
            seen[template.id] = task.name
        if task.weight and not any(template.seen for template in task.templates):
            raise InvalidArgumentError(
                f"task {task.name!r} has no seen template, so nothing can be trained; leave out `seen = false` of one, "
                "or set its weight to 0"
            )


def _task(file: str, text: str) -> Task:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise InvalidArgumentError(f"{file} is no TOML file: {err}") from None
    _check_keys(table, _KEYS, file)
    if table.get("version") != VERSION:
        raise InvalidArgumentError(f"{file}: version is {table.get('version')!r}; this release reads version {VERSION}")
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in SLOTS:
        raise InvalidArgumentError(f"{file}: kind is {kind!r}; it must be one of {', '.join(SLOTS)}")
    name, weight = table.get("task"), table.get("weight", 1.0)
    if not isinstance(name, str) or not name.strip():
        raise InvalidArgumentError(f"{file}: task is {name!r}; give the task a name")
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise InvalidArgumentError(f"{file}: weight is {weight!r}; it must be a number, 0 or more")
    check_number(f"weight of {file}", weight, low=0)
    entries = table.get("templates")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidArgumentError(f"{file} has no [[templates]]; add one with id, input and output")
    return Task(name, kind, float(weight), tuple(_template(entry, kind, file) for entry in entries))


def _template(entry: Any, kind: str, file: str) -> Template:
    where = f"{file}, template {entry.get('id', '?')!r}"
    _check_keys(entry, _TEMPLATE_KEYS, where)
    for key in ("id", "input", "output"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise InvalidArgumentError(f"{where}: {key} is {entry.get(key)!r}; it must be text that is not blank")
    seen = entry.get("seen", True)
    if not isinstance(seen, bool):
        raise InvalidArgumentError(f"{where}: seen is {seen!r}; it must be true or false")
    return Template(
        entry["id"], seen, _parsed(entry["input"], kind, where), _parsed(entry["output"], kind, where, output=True)
    )


def _parsed(text: str, kind: str, where: str, *, output: bool = False) -> tuple[str, ...]:
    """Words and names of slots in turns."""
    parts = tuple(_SLOT.split(text))
    for slot in parts[1::2]:
        if slot not in SLOTS[kind]:
            raise InvalidArgumentError(f"{where}: there is no slot {{{slot}}}; {kind} has {', '.join(SLOTS[kind])}")
    if output and len(parts) == 1:
        raise InvalidArgumentError(f"{where}: output has no slot, so it would always be the same; use one of its slots")
    return parts


def _check_keys(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = [key for key in table if key not in known]
    if unknown:
        raise InvalidArgumentError(f"{where}: {unknown[0]!r} is no key; there are {', '.join(sorted(known))}")
