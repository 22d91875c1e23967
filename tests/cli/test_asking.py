"""`mmrec recommend`, `similar`, `search` and `info`, each on a bundle and on a server."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from mmrec.cli import main


def _run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


@pytest.fixture(params=["bundle", "server"])
def place(request: pytest.FixtureRequest) -> list[str]:
    if request.param == "bundle":
        return [str(request.getfixturevalue("demo_bundle"))]
    return ["--server", request.getfixturevalue("demo_server")]


# --- mistakes that need nothing loaded ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recommend", "bundle"], "neither --history nor --user is given"),
        (["recommend", "--history", "1"], "neither a bundle nor --server is given"),
        (["recommend", "bundle", "--server", "localhost:1", "--history", "1"], "name exactly one"),
        (["similar", "p0001"], "exactly BUNDLE and ITEM"),
        (["similar", "bundle", "p0001", "--server", "localhost:1"], "exactly ITEM"),
        (["search", "bundle"], "neither --text nor --picture is given"),
        (["search", "bundle", "--text", "a", "--text-weight", "2"], "text_weight is 2.0"),
        (["search", "bundle", "--text", "a", "--k", "-1"], "k is -1"),
        (["search", "bundle", "--text", "a" * 100_001], "100,001 characters"),
        (["info"], "neither a bundle nor --server is given"),
    ],
)
def test_a_mistake_in_the_flags_ends_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = _run(arguments, capsys)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err


@pytest.mark.parametrize(
    "command", [["info"], ["similar", "p1"], ["search", "--text", "a"], ["recommend", "--user", "c"]]
)
def test_a_server_that_is_not_there_ends_with_5(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take the port meanwhile
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        status, out, err = _run([*command, "--server", address, "--timeout", "2"], capsys)
    assert (status, out) == (5, "")
    assert err.startswith("error: ")
    assert address in err


def test_a_bundle_that_is_not_there_ends_with_3_or_4_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = _run(["info", str(tmp_path / "nowhere")], capsys)
    assert status in {3, 4}
    assert out == ""
    assert "nowhere" in err


def test_a_picture_that_is_not_there_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = _run(["search", "bundle", "--picture", str(tmp_path / "none.jpg")], capsys)
    assert (status, out) == (3, "")
    assert "none.jpg" in err


# --- answers, the same from a bundle and from a server ---


def test_recommending_for_a_user(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = _run(["recommend", *place, "--user", "c0001", "--k", "4", "--explain"], capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "Recommended for user c0001"
    assert out.splitlines()[1].split() == ["rank", "item", "title", "score", "why"]
    assert [line.split()[0] for line in out.splitlines()[3:]] == ["1", "2", "3", "4"]


def test_recommending_after_a_history_as_json(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    history = ["recommend", *place, "--history", "p0001,nonsense", "--history", "p0002"]
    status, out, err = _run([*history, "--k", "60", "--deny", "p0003", "--json"], capsys)
    assert status == 0
    assert err == "not in the catalogue, skipped: nonsense\n"
    reply = json.loads(out)
    ids = [scored["item"]["item_id"] for scored in reply["items"]]
    assert reply["missing_ids"] == ["nonsense"]
    assert len(ids) == len(set(ids)) == 57
    assert {"p0001", "p0002", "p0003"} & set(ids) == set()


def test_recommending_only_what_is_allowed_seen_or_not(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["recommend", *place, "--history", "p0001", "--allow", "p0001,p0004", "--json", "--quiet"]
    seen_removed = json.loads(_run(asked, capsys)[1])
    seen_kept = json.loads(_run([*asked, "--include-seen"], capsys)[1])
    assert [scored["item"]["item_id"] for scored in seen_removed["items"]] == ["p0004"]
    assert sorted(scored["item"]["item_id"] for scored in seen_kept["items"]) == ["p0001", "p0004"]


def test_a_stranger_gets_what_is_popular_and_is_told_so(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = _run(["recommend", *place, "--history", "", "--json"], capsys)
    assert (status, err) == (0, "no known item in the history: these are the most popular items\n")
    assert json.loads(out)["fallback"] == "popularity"
    assert len(json.loads(out)["items"]) == 10


def test_similar_items(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    names = [*place, "p0001"] if place[0] != "--server" else ["p0001", *place]
    status, out, err = _run(["similar", *names, "--k", "3", "--json"], capsys)
    assert (status, err) == (0, "")
    found = json.loads(out)["items"]
    assert len(found) == 3
    assert "p0001" not in {scored["item"]["item_id"] for scored in found}
    assert [scored["score"] for scored in found] == sorted((scored["score"] for scored in found), reverse=True)


def test_similar_to_an_item_that_is_not_there(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = _run(["similar", *place, "nonsense"], capsys)
    assert (status, out) == (3, "")
    assert "nonsense" in err


def test_searching_by_words_and_picture(
    place: list[str], demo_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = sorted((demo_dataset / "images").iterdir())[0]
    asked = [
        "search",
        *place,
        "--text",
        "a lamp",
        "--picture",
        str(picture),
        "--text-weight",
        "0.3",
        "--k",
        "3",
    ]
    status, out, err = _run(asked, capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == f'Nearest to "a lamp" and {picture}'
    assert len(out.splitlines()) == 3 + 3


def test_searching_by_a_file_that_is_no_picture(
    place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "words.jpg").write_bytes(b"not a picture at all")
    status, out, err = _run(["search", *place, "--picture", str(tmp_path / "words.jpg")], capsys)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")


def test_info(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = _run(["info", *place, "--json"], capsys)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["items"], found["users"], found["preset"]) == (60, 120, "embedded")
    status, out, err = _run(["info", *place], capsys)
    assert (status, err) == (0, "")
    assert "embedding length" in out
