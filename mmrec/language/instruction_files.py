"""Writes an instruction set: JSONL and Parquet for each split, and statistics.

A part of a sequence is ``{"words": ...}``, ``{"item": ...}`` or ``{"customer": [...]}``, the items that a customer
chose; in Parquet, a struct of all, one of them not null. Unit of work: one set. Knows nothing about how examples are
made.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmrec.language.instructions import Example, Part

SPLITS = ("train", "validation", "test")
_CHUNK = 10_000
_PARTS = pa.list_(pa.struct([("words", pa.string()), ("item", pa.string()), ("customer", pa.list_(pa.string()))]))
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("split", "task", "template")),
        ("seen", pa.bool_()),
        *((name, pa.string()) for name in ("user_id", "item_id")),
        ("history", pa.list_(pa.string())),
        ("input", _PARTS),
        ("output", _PARTS),
        ("candidates", pa.list_(pa.string())),
    ]
)


@dataclass
class InstructionStatistics:
    """Counts of a set, while it is written.

    Attributes:
        examples: By split and task.
        templates: By split and template.
        unseen: Examples by unseen templates, by split.
        users: Number of users, by split.
    """

    examples: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    templates: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    unseen: Counter[str] = field(default_factory=Counter)
    users: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, example: Example) -> None:
        """Count one example."""
        self.examples[example.split][example.task] += 1
        self.templates[example.split][example.template] += 1
        self.unseen[example.split] += not example.seen
        self.users[example.split].add(example.user_id)

    def as_json(self) -> dict[str, Any]:
        """All counts, for a JSON file."""
        return {
            split: {
                "examples": self.examples[split].total(),
                "users": len(self.users[split]),
                "unseen_templates": self.unseen[split],
                "tasks": dict(self.examples[split]),
                "templates": dict(self.templates[split]),
            }
            for split in SPLITS
        }


def write_split(folder: Path, split: str, examples: Iterable[Example], statistics: InstructionStatistics) -> None:
    """Write ``SPLIT.jsonl`` and ``SPLIT.parquet``, and count.

    Args:
        folder: Where to; it exists.
        split: One of `SPLITS`.
        examples: Those of this split; they are read once.
        statistics: Gets the counts.
    """
    with (
        (folder / f"{split}.jsonl").open("w", encoding="utf-8", newline="\n") as lines,
        pq.ParquetWriter(folder / f"{split}.parquet", _SCHEMA) as table,
    ):
        rows: list[Mapping[str, Any]] = []
        for example in examples:
            statistics.add(example)
            row = _row(example)
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            rows.append(row)
            if len(rows) == _CHUNK:
                table.write_table(pa.Table.from_pylist(rows, _SCHEMA))
                rows.clear()
        table.write_table(pa.Table.from_pylist(rows, _SCHEMA))


def write_statistics(folder: Path, statistics: InstructionStatistics, about: Mapping[str, Any]) -> None:
    """Write ``statistics.json``.

    Args:
        folder: Where to.
        statistics: The counts.
        about: What else is said of the set: dataset, seed, tasks with their weights.
    """
    text = json.dumps({**about, **statistics.as_json()}, indent=2, ensure_ascii=False)
    (folder / "statistics.json").write_text(text + "\n", encoding="utf-8")


def read_examples(path: Path) -> list[Example]:
    """The examples of a JSONL file."""
    # Not splitlines: JSON strings may contain U+2028 and other characters that it treats as line ends.
    return [_example(json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _row(example: Example) -> dict[str, Any]:
    return {
        "split": example.split,
        "task": example.task,
        "template": example.template,
        "seen": example.seen,
        "user_id": example.user_id,
        "item_id": example.item_id,
        "history": list(example.history),
        "input": [_part(part) for part in example.input],
        "output": [_part(part) for part in example.output],
        "candidates": list(example.candidates),
    }


def _part(part: Part) -> dict[str, Any]:
    if part.customer:
        return {"customer": list(part.customer)}
    return {"item": part.item_id} if part.item_id else {"words": part.words}


def _example(row: Mapping[str, Any]) -> Example:
    def parts(name: str) -> tuple[Part, ...]:
        return tuple(
            Part(one.get("words", ""), one.get("item", ""), tuple(one.get("customer", ()))) for one in row[name]
        )

    fixed = {name: row[name] for name in ("split", "task", "template", "seen", "user_id", "item_id")}
    candidates = tuple(row.get("candidates", ()))
    return Example(
        **fixed, history=tuple(row["history"]), input=parts("input"), output=parts("output"), candidates=candidates
    )
