"""The file ``dataset.toml`` of a dataset folder: the owner's settings for columns, words and events.

Unit of work: one folder. Every part is optional, and a folder without the file has the defaults::

    [columns]                      # how columns of the items are read: one of `COLUMN_KINDS`
    price = "number-comma"         # 1.299,00
    delivered = "date-dmy"         # 31/05/2024
    model_number = "text"

    [words]                        # which columns the text encoder reads
    template = "{title} by {brand}"
    leave_out = ["internal_note"]  # without a template: attributes that are no words

    [events]
    ignore_types = ["return"]      # events of these types are negative feedback
    min_rating = 3                 # so are ratings below it; 0: every rating is positive
    max_left_out = 0.1             # the largest share of rows that may be left out as unusable

Knows nothing of tables; what the settings mean is in the modules that read them.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mmrec.catalogue.column_kinds import COLUMN_KINDS
from mmrec.data.summary import checked_share
from mmrec.errors import InvalidArgumentError, InvalidDatasetError

SETTINGS_FILE = "dataset.toml"


@dataclass(frozen=True, slots=True)
class WordSettings:
    """Which columns of an item the text encoder reads.

    Attributes:
        template: `str.format` over the column names, as in ``"{title} by {brand}"``; None: title, description and
            those attributes that are words.
        leave_out: Attributes that are not words. Must be empty beside a template.
    """

    template: str | None = None
    leave_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.template is not None and self.leave_out:
            raise InvalidArgumentError(
                f"leave_out is {list(self.leave_out)} beside a template; a template names the columns it wants, so "
                "give one or the other",
                field="leave_out",
            )


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Which events count as positive feedback, and how many rows may be unusable.

    Attributes:
        ignore_types: Values of `event_type` that are negative, in any case of letters; None: the usual words for
            returns, refunds, removals and dislikes.
        min_rating: Events with a rating below it are negative; 0: every rating is positive; None: the middle of the
            scale, where it is a known one.
        max_left_out: The largest share of the rows of a table that may be left out as unusable, in [0, 1].
    """

    ignore_types: tuple[str, ...] | None = None
    min_rating: float | None = None
    max_left_out: float = 0.1

    def __post_init__(self) -> None:
        if self.min_rating is not None and not math.isfinite(self.min_rating):
            raise InvalidArgumentError(
                f"min_rating is {self.min_rating:g}; it must be a finite number, and 0 counts every rating",
                field="min_rating",
            )
        checked_share(self.max_left_out)


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """All of ``dataset.toml``.

    Attributes:
        columns: One of `COLUMN_KINDS` by the name of a column of the items.
        words: See `WordSettings`.
        events: See `EventSettings`.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    words: WordSettings = field(default_factory=WordSettings)
    events: EventSettings = field(default_factory=EventSettings)

    def __post_init__(self) -> None:
        for name, kind in self.columns.items():
            if kind not in COLUMN_KINDS:
                raise InvalidArgumentError(
                    f"{name} is {kind!r}; a column is read as one of {', '.join(COLUMN_KINDS)}", field=name
                )


def read_settings(root: Path) -> DatasetSettings:
    """The settings of a dataset folder; the defaults where it has no ``dataset.toml``.

    Raises:
        InvalidDatasetError: the file is no TOML, or has a key that is not among the settings.
    """
    path = root / SETTINGS_FILE
    if not path.is_file():
        return DatasetSettings()
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as err:
        raise InvalidDatasetError(f"{str(path)!r} cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise InvalidDatasetError(f"{str(path)!r} is not UTF-8; save it as UTF-8") from err
    except tomllib.TOMLDecodeError as err:
        raise InvalidDatasetError(f"{str(path)!r} is not TOML: {err}") from err
    try:
        _check_names(document, ("columns", "words", "events"), "")
        return DatasetSettings(
            columns={name: _text(value, f"columns.{name}") for name, value in _part(document, "columns").items()},
            words=_words(_part(document, "words")),
            events=_events(_part(document, "events")),
        )
    except InvalidArgumentError as err:
        raise InvalidDatasetError(f"{str(path)!r} cannot be used: {err.message}") from err


def _words(part: Mapping[str, Any]) -> WordSettings:
    _check_names(part, [entry.name for entry in fields(WordSettings)], "words")
    template = part.get("template")
    return WordSettings(
        template=None if template is None else _text(template, "words.template"),
        leave_out=_texts(part.get("leave_out", []), "words.leave_out"),
    )


def _events(part: Mapping[str, Any]) -> EventSettings:
    _check_names(part, [entry.name for entry in fields(EventSettings)], "events")
    types, rating = part.get("ignore_types"), part.get("min_rating")
    return EventSettings(
        ignore_types=None if types is None else _texts(types, "events.ignore_types"),
        min_rating=None if rating is None else _number(rating, "events.min_rating"),
        max_left_out=_number(part.get("max_left_out", 0.1), "events.max_left_out"),
    )


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = document.get(name, {})
    if not isinstance(part, dict):
        raise InvalidArgumentError(f"{name} is {part!r:.60}; it must be a table, as in [{name}]", field=name)
    return part


def _check_names(part: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    for name in part:
        if name not in known:
            where = f"[{place}] holds" if place else "it holds"
            raise InvalidArgumentError(f"{where} {name!r}; what it may hold is {', '.join(known)}", field=name)


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{place} is {value!r:.60}; it must be text in quotes", field=place)
    return value


def _texts(value: Any, place: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise InvalidArgumentError(
            f'{place} is {value!r:.60}; it must be a list of texts, as in ["return"]', field=place
        )
    return tuple(value)


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise InvalidArgumentError(f"{place} is {value!r:.60}; it must be a number", field=place)
    return float(value)
