"""`mmrec fit --tokenizer`: what is said of the semantic IDs, and of a tokenizer that is not there."""

import json
from pathlib import Path

import pytest

from tests.commands import run_here

ITEMS = "item_id\ttitle\n" + "".join(f"i{n}\tthing number {n}\n" for n in range(9))
EVENTS = "user_id\titem_id\tposition\n" + "".join(f"u{u}\ti{(u + n) % 9}\t{n}\n" for u in range(4) for n in range(4))


def test_a_fit_says_what_its_semantic_ids_are_like(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "items.tsv").write_text(ITEMS, encoding="utf-8")
    (tmp_path / "events.tsv").write_text(EVENTS, encoding="utf-8")
    arguments = ["fit", str(tmp_path), "--out", str(tmp_path / "bundle"), "--epochs", "1", "--json"]
    status, stdout, stderr = run_here([*arguments, "--tokenizer", "sequential"], capsys)
    assert status == 0, stderr
    found = json.loads(stdout)["tokens"]
    # Nine items in three digits to the base of three.
    assert (found["items"], found["collision_share"]) == (9, 0.0)
    assert [level["codes"] for level in found["levels"]] == [1, 3, 3]
    assert [depth["prefixes"] for depth in found["depths"]] == [1, 3, 9]


def test_a_tokenizer_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, stderr = run_here(
        ["fit", str(tmp_path), "--out", str(tmp_path / "bundle"), "--tokenizer", "bpe"], capsys
    )
    assert status == 2
    assert "'bpe'" in stderr
    assert "residual-kmeans, rq-vae, opq, random, sequential, collaborative" in stderr
