"""The text of one item: which of its columns a text encoder or a word index reads, and how they are joined.

The unit of work is one item. The configuration is one frozen value, resolved once for a catalogue (see
`mmrec.data.word_columns`) and stored with the encoder, so that later items get their text in the same way. Text that
looks like HTML becomes plain text; nothing else is changed. Knows nothing about catalogues and encoders.
"""

from __future__ import annotations

import json
import string
from dataclasses import dataclass, replace

from mmrec.catalogue.html_text import html_to_text, looks_like_html
from mmrec.contract.items import ItemRecord
from mmrec.errors import InvalidArgumentError

MAX_TEMPLATE = 2_000
"""Longest text template, in characters; a template is a phrase."""
_OWN = ("item_id", "title", "description", "image")


@dataclass(frozen=True, slots=True)
class ItemWords:
    """Which columns of an item are its text.

    Attributes:
        template: `str.format` over the column names, as in ``{title} by {brand}``, without format specifications, at
            most `MAX_TEMPLATE` characters. None: the title, the description
            and then ``column: value`` for each of some attributes that has a value, as sentences; a ``|`` in a value
            separates entries of a list and becomes a comma.
        columns: Attributes to use, in this order; those that an item lacks are skipped. None: all attributes. Must be
            None beside a template.

    Raises:
        InvalidArgumentError: both are given, or the template is too long, has a format specification, or is no text.
    """

    template: str | None = None
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.template is not None and self.columns is not None:
            raise InvalidArgumentError(
                f"columns is {list(self.columns)} beside the template {self.template!r}; give one or the other",
                field="columns",
            )
        if self.template is not None:
            _check_template(self.template)

    @property
    def named(self) -> frozenset[str]:
        """Columns that the template names."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self.template or "") if name)

    @property
    def fingerprint(self) -> str:
        """Identifies the configuration: the template, or the columns as a JSON list; empty for all columns."""
        if self.template is not None:
            return self.template
        return "" if self.columns is None else json.dumps(self.columns, ensure_ascii=False)


EVERY_COLUMN = ItemWords()
"""Title, description and every attribute that an item has."""


def item_text(item: ItemRecord, words: ItemWords = EVERY_COLUMN) -> str:
    """The text of one item, as a text encoder gets it.

    Raises:
        InvalidArgumentError: the template names a column that is not there, or is not a format string.
    """
    if words.template is not None:
        own = {"item_id": item.item_id, "title": item.title, "description": item.description, "image": item.image}
        columns = {name: _plain(value) for name, value in {**item.attributes, **own}.items()}
        try:
            return words.template.format_map(columns).strip()
        except (ValueError, LookupError, AttributeError):
            check_words(words, tuple(columns))
            raise
    text = ""
    for name, value in (("", item.title), ("", item.description), *_attributes(item, words)):
        part = _plain(value).strip()
        if name:
            entries = [entry.strip() for entry in part.split("|") if entry.strip()]
            part = f"{name}: {', '.join(entries)}" if entries else ""
        if part:
            text += ("" if not text else " " if text.endswith((".", "!", "?")) else ". ") + part
    return text


def words_of_item(item: ItemRecord, words: ItemWords = EVERY_COLUMN) -> str:
    """The words of one item as `item_text` gives them, or '' where it has neither title, description nor attribute.

    A column of the template that the item does not have counts as empty, as it would in a table.

    Raises:
        InvalidArgumentError: the template is not a format string.
    """
    if not any(value.strip() for value in (item.title, item.description, *item.attributes.values())):
        return ""
    absent = words.named - {*item.attributes, *_OWN}
    if absent:
        item = replace(item, attributes={**item.attributes, **dict.fromkeys(absent, "")})
    return item_text(item, words)


def check_words(words: ItemWords, columns: tuple[str, ...]) -> None:
    """Allow only plain column names in a template, not ``{title.__class__}`` or ``{0}``.

    Raises:
        InvalidArgumentError: the template names another column than these, or is not a format string.
    """
    template = words.template
    if template is None:
        return
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as err:
        raise InvalidArgumentError(
            f"the text template {template!r} is no format string; write columns as {{title}}, braces as {{{{",
            field="template",
        ) from err
    for name in names:
        if name not in columns:
            raise InvalidArgumentError(
                f"the text template {template!r} names {name!r}; the columns are {', '.join(columns)}",
                field="template",
            )


def _check_template(template: str) -> None:
    """Refuse what would make a text of gigabytes from a short template: ``{title:>1900000000}``."""
    if not isinstance(template, str) or len(template) > MAX_TEMPLATE:
        raise InvalidArgumentError(
            f"the text template {template!r:.60} must be a text of at most {MAX_TEMPLATE:,} characters; shorten it",
            field="template",
        )
    try:
        specified = next((name for _, name, spec, _ in string.Formatter().parse(template) if spec), None)
    except ValueError:
        return  # `check_words` names the columns too
    if specified is not None:
        raise InvalidArgumentError(
            f"the text template {template!r:.200} has a format specification behind {specified!r:.60}; a column is "
            "written as {title}, without a colon",
            field="template",
        )


def _attributes(item: ItemRecord, words: ItemWords) -> list[tuple[str, str]]:
    if words.columns is None:
        return list(item.attributes.items())
    return [(name, item.attributes[name]) for name in words.columns if name in item.attributes]


def _plain(value: str) -> str:
    """A value without HTML, on one line."""
    return " ".join(html_to_text(value).split("\n")) if looks_like_html(value) else value
