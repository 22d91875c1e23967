"""`mmrec index`: looking inside the decode index of a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrec.bundle import open_bundle
from tests.bundles import rewritten
from tests.commands import Done, run_here


def _run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Done:
    return run_here(["index", *arguments], capsys)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["items", "bundle", "12/"], 2, "path is '12/'; write its codes"),
        (["items", "bundle", "1", "a"], 2, "path is 'a'"),
        (["items", "no-such-bundle", "1"], 3, "there is no bundle folder 'no-such-bundle'"),
        (["stats", "no-such-bundle"], 3, "there is no bundle folder 'no-such-bundle'"),
        (["verify", "no-such-bundle"], 3, "there is no bundle folder 'no-such-bundle'"),
        (["path", "no-such-bundle", "p0001"], 3, "there is no bundle folder 'no-such-bundle'"),
    ],
)
def test_a_mistake_is_one_clear_line(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _run(arguments, capsys)
    assert (code, out) == (status, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_what_is_asked_must_be_there(demo_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, status, message in (
        (["path", str(demo_bundle), "p0001", "ghost"], 3, "the catalogue has no item 'ghost'"),
        (["path", str(demo_bundle), "p0001", "--beside", "-1"], 2, "beside is -1"),
        (
            ["items", str(demo_bundle), "0/0/0/0/0"],
            2,
            "path 0/0/0/0/0 has 5 codes; a semantic ID of this catalogue has 4",
        ),
        (["items", str(demo_bundle), "0", "--limit", "-1"], 2, "limit is -1"),
    ):
        code, out, err = _run(arguments, capsys)
        assert (code, out) == (status, "")
        assert message in err


def test_stats(demo_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = _run(["stats", str(demo_bundle), "--json"], capsys)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["items"], found["depth"]) == (60, 4)
    assert [level["level"] for level in found["levels"]] == [1, 2, 3, 4]
    assert found["levels"][3]["nodes"] == 60
    assert found["memory_per_item"] == pytest.approx(found["memory"] / 60)
    status, out, err = _run(["stats", str(demo_bundle)], capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "Levels"
    assert out.splitlines()[1].split()[:4] == ["level", "nodes", "codes", "used"]
    assert "memory per item" in out


def test_from_an_item_to_its_path_and_back(demo_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = _run(["path", str(demo_bundle), "p0001", "p0002", "--beside", "1", "--json"], capsys)
    assert (status, err) == (0, "")
    first, second = json.loads(out)["items"]
    assert (first["item"]["item_id"], second["item"]["item_id"]) == ("p0001", "p0002")
    assert 1 <= len(first["before"]) + len(first["after"]) <= 2
    path = first["item"]["path"]
    status, out, err = _run(["items", str(demo_bundle), path, path.rpartition("/")[0], "--json"], capsys)
    assert (status, err) == (0, "")
    exact, wide = json.loads(out)["paths"]
    assert (exact["path"], exact["total"]) == (path, 1)
    assert [item["item_id"] for item in exact["items"]] == ["p0001"]
    assert "p0001" in {item["item_id"] for item in wide["items"]}


def test_tables_for_people(demo_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = _run(["path", str(demo_bundle), "p0001"], capsys)
    assert (status, err) == (0, "")
    path = out.splitlines()[0].removeprefix("p0001: ")
    assert out.splitlines()[1].split() == ["place", "path", "item", "title"]
    status, out, err = _run(["items", str(demo_bundle), path.split("/")[0], "--limit", "0"], capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[0].endswith(", the first 0")
    status, out, err = _run(["items", str(demo_bundle), path], capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == f"{path}: 1 item"


def test_a_sound_index(demo_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = _run(["verify", str(demo_bundle)], capsys)
    assert (status, err) == (0, "the decode index of 60 items with 4 codes each is valid\n")
    status, out, err = _run(["verify", str(demo_bundle), "--json", "--quiet"], capsys)
    assert (status, err) == (0, "")
    assert json.loads(out) == {"items": 60, "depth": 4, "faults": []}


def test_an_index_that_is_not_sound_ends_with_4_and_what_is_wrong(
    demo_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = dict(open_bundle(demo_bundle).read_tensors("tokens.safetensors"))
    ids = tensors["semantic_ids"].copy()
    ids[1] = ids[0]
    wrong = rewritten(demo_bundle, tmp_path / "wrong", tensors={"tokens.safetensors": tensors | {"semantic_ids": ids}})
    status, out, err = _run(["verify", str(wrong), "--quiet"], capsys)
    assert status == 4
    assert out.splitlines()[0] == "What is wrong"
    assert "items 0 and 1 share the path" in " ".join(out.split())
    assert err.startswith("error: the decode index of 60 items with 4 codes each has 1 fault: ")
    status, out, _ = _run(["verify", str(wrong), "--json", "--quiet"], capsys)
    assert status == 4
    assert len(json.loads(out)["faults"]) == 1
    status, out, err = _run(["stats", str(wrong)], capsys)
    assert (status, out) == (4, "")
    assert "no decode index can be built" in err


def test_a_damaged_file_ends_with_4(demo_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = rewritten(demo_bundle, tmp_path / "copy")
    path = next(copy.glob("versions/*/tokens.safetensors"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    status, out, err = _run(["verify", str(copy)], capsys)
    assert (status, out) == (4, "")
    assert "tokens.safetensors is damaged" in err
