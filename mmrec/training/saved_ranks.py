"""Stores the rank of every target in a Parquet file, so that bundles are compared without evaluating again.

One row per question: the user, the target, the length of the history, the target's training events, and for every
ranker the number of items above the target and tied with it. Knows nothing of models.
"""

# Axes: Q questions

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mmrec.errors import InvalidArgumentError
from mmrec.evaluation.measuring import Key
from mmrec.evaluation.metrics import Ranks
from mmrec.runtime.disk_errors import refusals_as_errors
from mmrec.runtime.files import replace_file

_METADATA = b"mmrec.questions"
_FORMAT = 1
_LARGEST = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class AnsweredQuestions:
    """Questions with the ranks of their targets.

    Attributes:
        source: The evaluated bundle.
        version: Its version.
        split: Name of the split they are of.
        catalogue: Hash of the catalogue's item ids, whatever their order.
        items: Size of the catalogue.
        user_ids: Length Q.
        targets: Item ids of the answers. Length Q.
        history_length_Q: Events of each history. Shape: (Q,), int64.
        popularity_Q: Training events of each answer. Shape: (Q,), int64.
        ranks: By name of the ranker and treatment of seen items.
    """

    source: str
    version: str
    split: str
    catalogue: str
    items: int
    user_ids: tuple[str, ...]
    targets: tuple[str, ...]
    history_length_Q: npt.NDArray[np.int64]
    popularity_Q: npt.NDArray[np.int64]
    ranks: Mapping[Key, Ranks]

    def asked(self) -> list[tuple[str, str, int]]:
        """Identity of each question: user, target, length of the history."""
        return list(zip(self.user_ids, self.targets, self.history_length_Q.tolist(), strict=True))


def catalogue_hash(item_ids: Sequence[str]) -> str:
    """The same for the same items in any order. 64 hex digits."""
    return hashlib.sha256(json.dumps(sorted(item_ids)).encode()).hexdigest()


def check_writable(path: Path) -> None:
    """Raise early, before anything is computed.

    Raises:
        InvalidArgumentError: `path` does not end in ``.parquet``, is a folder, or lies in what is none.
        FailedPreconditionError: its folder cannot be made.
    """
    if path.suffix != ".parquet":
        raise InvalidArgumentError(f"questions are saved as Parquet; {str(path)!r} must end in .parquet", field="path")
    if path.parent.exists() and not path.parent.is_dir():
        raise InvalidArgumentError(f"{str(path.parent)!r} is a file and no folder; name another file", field="path")
    with refusals_as_errors(path=path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise InvalidArgumentError(f"{str(path)!r} is a folder; name a file", field="path")


def save_questions(path: Path, questions: AnsweredQuestions) -> None:
    """Write a file that `load_questions` reads.

    Raises:
        InvalidArgumentError: `path` does not end in ``.parquet``, or is a folder.
        FailedPreconditionError: the disk is full, or refuses otherwise.
    """
    check_writable(path)
    columns: dict[str, Any] = {
        "user_id": pa.array(questions.user_ids, pa.string()),
        "item_id": pa.array(questions.targets, pa.string()),
        "history_length": pa.array(questions.history_length_Q, pa.int64()),
        "training_events": pa.array(questions.popularity_Q, pa.int64()),
    }
    for (name, seen), ranks in questions.ranks.items():
        # A target that cannot be found has more items above it than any catalogue holds.
        columns[f"{name}.{seen}.above"] = pa.array(np.minimum(ranks.above_Q, _LARGEST).astype(np.int32))
        columns[f"{name}.{seen}.tied"] = pa.array(ranks.tied_Q.astype(np.int32))
    description = {
        "format": _FORMAT,
        "source": questions.source,
        "version": questions.version,
        "split": questions.split,
        "catalogue": questions.catalogue,
        "items": questions.items,
    }
    table = pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(description).encode()})
    with refusals_as_errors():
        replace_file(path, lambda temporary: pq.write_table(table, temporary))


def load_questions(path: Path) -> AnsweredQuestions:
    """Read what `save_questions` wrote.

    Raises:
        InvalidArgumentError: there is no such file, or it is something else.
    """
    try:
        table = pq.read_table(path)
        description = json.loads(table.schema.metadata[_METADATA])
        if description["format"] != _FORMAT:
            raise ValueError(f"format {description['format']}")
        names = [name.rsplit(".", 2)[:2] for name in table.column_names if name.endswith(".above")]
        ranks = {
            (name, seen): Ranks(*(_integers(table, f"{name}.{seen}.{part}") for part in ("above", "tied")))
            for name, seen in names
        }
        return AnsweredQuestions(
            source=str(description["source"]),
            version=str(description["version"]),
            split=str(description["split"]),
            catalogue=str(description["catalogue"]),
            items=int(description["items"]),
            user_ids=tuple(table["user_id"].to_pylist()),
            targets=tuple(table["item_id"].to_pylist()),
            history_length_Q=_integers(table, "history_length"),
            popularity_Q=_integers(table, "training_events"),
            ranks=ranks,
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as err:
        raise InvalidArgumentError(
            f"{str(path)!r} is no file of questions ({err}); make one with `mmrec evaluate BUNDLE --save-questions "
            f"{path}`",
            field="path",
        ) from err


def _integers(table: Any, name: str) -> npt.NDArray[np.int64]:
    return np.asarray(table[name].to_numpy(), dtype=np.int64)
