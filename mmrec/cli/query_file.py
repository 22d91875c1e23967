"""Many searches in one file, one JSON object per line. Knows nothing about how they are answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmrec.cli.engines import note_fallback
from mmrec.cli.id_lists import read_text_file
from mmrec.contract.items import FilterMode
from mmrec.contract.replies import SearchResults
from mmrec.contract.requests import SearchRequest
from mmrec.contract.rules import Picture
from mmrec.errors import InvalidArgumentError, MmrecError, NotFoundError

if TYPE_CHECKING:
    from mmrec.cli.output import Output


def read_queries(path: Path, flags: Mapping[str, object]) -> list[SearchRequest]:
    """The searches of a file.

    Args:
        path: The file, in UTF-8.
        flags: The fields that a line may have, with their default values.

    Raises:
        NotFoundError: the file, or a picture that it names, cannot be read.
        InvalidArgumentError: a line is not a JSON object, has an unknown field, or a value breaks a rule; the message
            names the line.
    """
    # Not splitlines: JSON strings may contain U+2028 and other characters that it treats as line ends.
    lines = read_text_file(path, "searches").split("\n")
    requests = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        try:
            requests.append(_request({**flags, **_fields(line, flags)}, path.parent))
        except InvalidArgumentError as err:
            raise InvalidArgumentError(f"{where}: {err.message}", violations=err.violations) from err
        except NotFoundError as err:
            raise NotFoundError(f"{where}: {err.message}") from err
    if not requests:
        raise InvalidArgumentError(f'{path.name} holds no search; write one per line, as in {{"text": "red shoes"}}')
    return requests


def _fields(line: str, flags: Mapping[str, object]) -> dict[str, object]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise InvalidArgumentError(f'{line!r:.60} is not a JSON object; write one as in {{"text": "red shoes"}}')
    for name, value in fields.items():
        if name not in flags:
            raise InvalidArgumentError(f"{name!r:.60} is none of {', '.join(flags)}", field=str(name))
        if not isinstance(value, str) if isinstance(flags[name], str) else isinstance(value, str):
            kind = "a string" if isinstance(flags[name], str) else "a number, true or false, without quotes"
            raise InvalidArgumentError(f"{name} is {value!r:.60}; it must be {kind}", field=name)
    return fields


def _request(fields: Mapping[str, object], folder: Path) -> SearchRequest:
    picture = str(fields["picture"])
    return SearchRequest(
        text=str(fields["text"]),
        image=Picture().check(folder / picture, "picture") if picture else None,
        text_weight=fields["text_weight"],  # type: ignore[arg-type]  # the request checks its own values
        k=fields["k"],  # type: ignore[arg-type]
        item_id=str(fields["item"]),
        item_weight=fields["item_weight"],  # type: ignore[arg-type]
        modality=fields["modality"],  # type: ignore[arg-type]
        filter=str(fields["filter"]),
        filter_mode=FilterMode.RELAXED if fields["relaxed"] else FilterMode.STRICT,
    )


def named(text: str, picture: str, item: str) -> str:
    """A readable description of a query."""
    parts = [f'"{text}"' if text.strip() else "", picture, item and f"item {item}"]
    return " and ".join(filter(None, parts))


def print_answers(
    output: Output, requests: Sequence[SearchRequest], answers: Sequence[SearchResults | MmrecError]
) -> None:
    """Print the answers of many searches, and note those that failed.

    Raises:
        MmrecError: all of them failed; the error of the first.
    """
    failed = [(number, answer) for number, answer in enumerate(answers, start=1) if isinstance(answer, MmrecError)]
    if len(failed) == len(answers):
        raise failed[0][1]
    for number, error in failed:
        output.note(f"search {number}: {error.message}")
    output.data({"results": [{"error": answer} if isinstance(answer, MmrecError) else answer for answer in answers]})
    rows: list[tuple[object, ...]] = []
    for number, (request, answer) in enumerate(zip(requests, answers, strict=True), start=1):
        if isinstance(answer, MmrecError):
            continue
        note_fallback(output, answer)
        sought = named(request.text, "a picture" if request.image else "", request.item_id)
        rows += [
            (number, sought, rank, scored.item_id, scored.title, float(scored.score))
            for rank, scored in enumerate(answer.items, start=1)
        ]
    output.table(f"{len(requests):,} searches", ("search", "for", "rank", "item", "title", "score"), rows)
