"""`mmrec prepare`: an instruction set from a dataset folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrec.cli import main
from mmrec.errors import InvalidArgumentError, InvalidDatasetError
from mmrec.language.instruction_files import read_examples
from mmrec.language.instructions import InstructionConfig
from mmrec.training.instruction_set import PrepareConfig, prepare_instructions, words_about_users

EVENTS = [("u", item) for item in "abcd"] + [("v", item) for item in "dcba"]
GIFT = """
version = 1
task = "gift"
kind = "straightforward"
weight = 2.0
[[templates]]
id = "gift-1"
input = "A present for {user}:"
output = "{item_words}"
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    items = "\n".join(f"{item},Thing {item},wood" for item in "abcd")
    (folder / "items.csv").write_text(f"item_id,title,material\n{items}\n", encoding="utf-8")
    events = "\n".join(f"{user},{item},{place}" for place, (user, item) in enumerate(EVENTS))
    (folder / "events.csv").write_text(f"user_id,item_id,position\n{events}\n", encoding="utf-8")
    (folder / "users.csv").write_text("user_id,age,home_town\nu,24,Graz\nv,,\n", encoding="utf-8")
    return folder


def test_a_dataset_becomes_files_of_three_splits_and_statistics(shop: Path, tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "gift.toml").write_text(GIFT, encoding="utf-8")
    out = tmp_path / "set"
    prepare_instructions(shop, out, PrepareConfig(InstructionConfig(per_user=2), templates))
    assert sorted(path.name for path in out.iterdir()) == [
        "statistics.json",
        *(f"{name}.{kind}" for name in ("test", "train", "validation") for kind in ("jsonl", "parquet")),
    ]
    train, test = read_examples(out / "train.jsonl"), read_examples(out / "test.jsonl")
    # The third item of each user is for validation and the fourth for the test.
    first_two = {"u": {"a", "b"}, "v": {"d", "c"}}
    assert all({one.item_id, *one.history} <= first_two[one.user_id] for one in train)
    assert {(one.user_id, one.item_id) for one in test} == {("u", "d"), ("v", "a")}
    gift = [one for one in train if one.task == "gift"]
    assert len(gift) == 8
    assert {one.input[0].words for one in gift} == {
        "A present for a customer (age 24, home town Graz):",
        "A present for customer v:",
    }
    counted = json.loads((out / "statistics.json").read_text(encoding="utf-8"))
    assert counted["train"]["examples"] == len(train)
    assert counted["weights"]["gift"] == 2.0
    assert "rating" not in counted["train"]["tasks"]  # there are no ratings


def test_words_about_users_come_from_the_users_table(shop: Path) -> None:
    assert words_about_users(shop) == {"u": "a customer (age 24, home town Graz)"}
    (shop / "users.csv").unlink()
    assert words_about_users(shop) == {}


def test_nothing_is_written_where_something_is_or_a_template_is_bad(shop: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidDatasetError, match="full"):
        prepare_instructions(shop, full)
    bad = tmp_path / "templates"
    bad.mkdir()
    (bad / "gift.toml").write_text(GIFT.replace("{user}", "{mood}"), encoding="utf-8")
    with pytest.raises(InvalidArgumentError, match=r"there is no slot \{mood\}"):
        prepare_instructions(shop, tmp_path / "set", PrepareConfig(templates=bad))
    assert not (tmp_path / "set").exists()


def test_the_command_prints_how_many_examples_there_are(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["prepare", str(shop), "--out", str(tmp_path / "set"), "--json"])
    out, _ = capsys.readouterr()
    assert ended.value.code == 0
    assert json.loads(out)["test"]["tasks"]["sequential"] == 4
    with pytest.raises(SystemExit) as ended:
        main(["prepare", str(shop), "--out", str(tmp_path / "other"), "--split", "odd"])
    _, err = capsys.readouterr()
    assert ended.value.code == 2
    assert "split is 'odd'; it must be one of leave-one-out, time" in err
