"""Tables of events as `UserEvent` values."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrec.contract.events import UserEvent
from mmrec.data.event_rows import EventRows
from mmrec.errors import InvalidDatasetError, MmrecError, NotFoundError


def read(path: Path, batch: int = 100) -> list[list[tuple[str, UserEvent | str]]]:
    def shown(event: UserEvent | MmrecError) -> UserEvent | str:
        return event.message if isinstance(event, MmrecError) else event

    return [[(row.place, shown(row.event)) for row in rows] for rows in EventRows(path, batch).batches()]


def test_columns_are_fields_and_rows_that_break_a_rule_are_told(tmp_path: Path) -> None:
    table = tmp_path / "clicks.csv"
    table.write_text(
        "user_id,item_id,event_type,timestamp,rating,recommendation_id,position\n"
        "u,a,view,2024-05-31T10:00:00Z,,,7\n"
        "u,b,rate,1717149600.5,4.5,r1,3\n"
        "u,,view,,,,\n"
        ",c,view,,,,\n"
        "u,d,view,yesterday,,,\n"
        "u,e,view,,good,,\n"
        "u,f,view,,,,\n",
        encoding="utf-8",
    )
    first, second, third = read(table, 3)
    assert first == [
        ("clicks.csv:2", UserEvent("a", "view", "u", time=1717149600.0)),
        (
            "clicks.csv:3",
            UserEvent("b", "rate", "u", time=1717149600.5, rating=4.5, recommendation_id="r1", position=3),
        ),
        ("clicks.csv:4", "item_id is empty; pass the id of the item"),
    ]
    assert second == [
        ("clicks.csv:5", "user_id and session_id are both empty; pass who did it, or an id of the anonymous visit"),
        ("clicks.csv:6", "timestamp is 'yesterday'; write seconds since 1970 or an ISO-8601 date"),
        ("clicks.csv:7", "rating is 'good'; it must be a number or empty"),
    ]
    assert third == [("clicks.csv:8", UserEvent("f", "view", "u"))]


def test_a_dataset_folder_or_lines_of_json(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(
        '{"user_id": "u", "item_id": "a", "event_type": "view", "value": 2.5, "event_id": "e1"}\n'
        '{"session_id": "v", "item_id": "b", "event_type": "cart"}\n',
        encoding="utf-8",
    )
    wanted = [
        UserEvent("a", "view", "u", event_id="e1", value=2.5),
        UserEvent("b", "cart", session_id="v"),
    ]
    for path in (tmp_path, tmp_path / "events.jsonl"):
        (rows,) = read(path)
        assert [event for _, event in rows] == wanted


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("gone.csv", NotFoundError, "there is no file"),
        ("other", InvalidDatasetError, "there is no events table"),
        ("bad.csv", InvalidDatasetError, "no column 'event_type'"),
    ],
)
def test_what_is_no_table_of_events_is_refused(name: str, kind: type[MmrecError], message: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "bad.csv").write_text("user_id,item_id\nu,a\n", encoding="utf-8")
    with pytest.raises(kind, match=message):
        read(tmp_path / name)
