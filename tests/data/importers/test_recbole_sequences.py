"""Sequences of one user that repeat, continue and follow each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrec.data.dataset import read_dataset
from mmrec.data.importers.recbole import import_recbole
from mmrec.data.importers.recbole_sequences import join_sequences


@pytest.mark.parametrize(
    ("known", "more", "joined"),
    [
        ("a b c", "a b", "a b c"),
        ("a b c", "b c", "a b c"),
        ("a b", "a b c", "a b c"),
        ("a b c d", "b c d e", "a b c d e"),
        ("a b c", "c x y z", "a b c c x y z"),
        ("a b", "c d", "a b c d"),
        ("a", "a", "a"),
    ],
)
def test_two_rows_of_a_user(known: str, more: str, joined: str) -> None:
    assert " ".join(join_sequences(known.split(), more.split())) == joined


def test_without_users_each_row_is_one(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text("item_id_list:token_seq\na b\na c\n")
    done = import_recbole(tmp_path / "x.inter", tmp_path / "out")
    assert (done.users, done.events) == (2, 4)
    assert "each of its rows became a user" in done.notes[0]
    assert read_dataset(done.out).interactions.user_ids == ("row1", "row2")
