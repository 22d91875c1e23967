"""What a command prints, and where."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mmrec.cli.output import Output, plain, printable
from mmrec.cli.progress import PlainProgress, TerminalProgress, close_open_bars
from mmrec.contract.items import Fallback, ItemRecord, ScoredItem
from mmrec.contract.replies import Recommendations
from mmrec.errors import NotFoundError
from mmrec.runtime.progress import NO_PROGRESS


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


# --- tables ---


def test_a_table_goes_to_stdout_with_one_row_per_line_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    long_title = "word " * 60
    Output().table("Found", ["rank", "title", "score"], [[1, long_title, 0.5], [2, "b", 0.25]])
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[0].rstrip() == "Found"
    assert [line.split() for line in out.splitlines() if line.strip().startswith(("1", "2"))] == [
        ["1", *["word"] * 60, "0.5000"],
        ["2", "b", "0.2500"],
    ]


def test_brackets_in_a_title_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table("", ["title"], [["[bold]Alien[/bold] [1979]"]])
    assert "[bold]Alien[/bold] [1979]" in capsys.readouterr().out


def test_control_characters_in_a_title_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table("a\x1b]0;x\x07", ["title"], [["red\x1b[31m\x00\x9bshoes\nnew"]])
    out = capsys.readouterr().out
    assert "red [31m  shoes new" in out
    assert "\x1b" not in out
    assert "\x9b" not in out


def test_tables_are_set_apart_and_numpy_numbers_are_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output()
    out.table("first", ["recall"], [[np.float32(0.25)]])
    out.table("second", ["n"], [[np.int64(7)]])
    assert capsys.readouterr().out.splitlines() == [
        "first",
        "recall",
        "──────",
        "0.2500",
        "",
        "second",
        "n",
        "─",
        "7",
    ]


def test_a_table_without_rows_still_shows_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table("", ["rank", "title"], [])
    assert capsys.readouterr().out.split()[:2] == ["rank", "title"]


def test_a_missing_value_is_an_empty_cell(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table("", ["name", "value"], [["a", None], ["b", 1.0]])
    assert [line.split() for line in capsys.readouterr().out.splitlines()[2:]] == [["a"], ["b", "1.0000"]]


def test_json_mode_prints_no_table_and_text_mode_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).table("t", ["a"], [[1]])
    Output(json=False).data({"a": 1})
    assert capsys.readouterr() == ("", "")


# --- JSON ---


class _Colour(Enum):
    RED = "red"


class _Pair(NamedTuple):
    left: int
    right: float


@dataclass(frozen=True)
class _Report:
    path: Path
    pair: _Pair
    colour: _Colour
    vector: np.ndarray


def test_json_mode_prints_one_document_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).data(
        _Report(Path("a/b"), _Pair(1, float("nan")), _Colour.RED, np.array([[1.5, 2.0]], dtype=np.float32))
    )
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "path": "a/b",
        "pair": {"left": 1, "right": None},
        "colour": "red",
        "vector": [[1.5, 2.0]],
    }
    assert err == ""


def test_recommendations_as_json() -> None:
    reply = Recommendations("r1", (ScoredItem(ItemRecord("7", "Brazil"), 0.5),), ("999",), Fallback.POPULARITY)
    assert plain(reply) == {
        "recommendation_id": "r1",
        "items": [
            {
                "item": {
                    "item_id": "7",
                    "title": "Brazil",
                    "description": "",
                    "image": "",
                    "attributes": {},
                    "semantic_id": [],
                },
                "score": 0.5,
                "shares": [],
                "explanation": "",
                "statements": [],
                "sources": [],
            }
        ],
        "missing_ids": ["999"],
        "fallback": "popularity",
        "versions": {"model": "", "catalogue": "", "codebook": ""},
        "constraints": [],
    }


def test_numpy_numbers_bytes_sets_and_errors_as_json() -> None:
    assert plain({"n": np.int64(3), "f": np.float32(0.5), "b": b"ab", "s": {"y", "x"}}) == {
        "n": 3,
        "f": 0.5,
        "b": "YWI=",
        "s": ["x", "y"],
    }
    assert plain(NotFoundError("no item '7'")) == {
        "code": "NOT_FOUND",
        "reason": "NOT_FOUND",
        "message": "no item '7'",
    }


def test_a_value_that_json_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="object"):
        plain({"x": object()})


_json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(_json_like)
def test_whatever_is_printed_can_be_read_back(value: object) -> None:
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == plain(value)


@given(st.text())
def test_printable_text_has_no_control_characters_and_keeps_its_length(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) <= 159 for c in shown)


# --- notes and progress ---


def test_a_note_goes_to_stderr_and_not_with_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).note("two lines\nof note")
    Output(quiet=True).note("unheard")
    assert capsys.readouterr() == ("", "two lines\nof note\n")


def test_progress_is_silent_with_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert Output(quiet=True).progress() is NO_PROGRESS


def test_progress_without_a_terminal_is_plain_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Output().progress()
    progress.start("encode", 2, "items")
    progress.advance(2)
    progress.finish("2 items")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "encode: 2 items ..."
    assert err.splitlines()[1].startswith("encode: 2 items (")


def test_plain_progress_prints_a_line_with_rate_and_time_left_every_ten_seconds() -> None:
    stream, clock = io.StringIO(), _Clock()
    progress = PlainProgress(stream, clock)
    progress.start("train", 1000, "steps")
    progress.say("loss 5.0")
    clock.now += 5
    progress.advance(50)
    clock.now += 5
    progress.say("loss 4.2")
    progress.advance(50)
    clock.now += 65
    progress.finish("best at 900")
    assert stream.getvalue().splitlines() == [
        "train: 1,000 steps ...",
        "train: 50 of 1,000, 5.0 steps/s, 3 min 10 s left, loss 4.2",
        "train: best at 900 (1 min 15 s)",
    ]


def test_plain_progress_of_unknown_length_names_no_time_left() -> None:
    stream, clock = io.StringIO(), _Clock()
    progress = PlainProgress(stream, clock)
    progress.start("read")
    clock.now += 20
    progress.advance(10)
    progress.finish()
    assert stream.getvalue().splitlines() == ["read ...", "read: 10, 0.5 steps/s", "read: done (20.0 s)"]


def test_a_bar_is_replaced_by_one_closing_line() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=120)
    progress = TerminalProgress(console, _Clock())
    progress.start("encode [x]", 3, "items")
    progress.advance()
    progress.say("loss [1]")
    progress.finish("3 items [ok]")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[-1] == "encode [x]: 3 items [ok] (0.0 s)"


def test_a_bar_left_open_by_an_error_is_closed_with_the_command() -> None:
    hide_cursor, show_cursor, clear_line = "\x1b[?25l", "\x1b[?25h", "\x1b[2K"
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    progress = TerminalProgress(console)
    progress.start("train", 10)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert ("train" in shown, hide_cursor in shown, show_cursor in shown) == (True, True, False)
    close_open_bars()
    assert show_cursor in console.file.getvalue()
    assert console.file.getvalue().endswith(clear_line)
