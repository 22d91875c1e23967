"""`mmrec mismatch` on a bundle and on a server."""

from __future__ import annotations

import json

import pytest

from tests.commands import run_here


def test_the_worst_come_first_and_pages_add_up(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["mismatch", *place, "--max-agreement", "1", "--json", "-q"]
    status, out, err = run_here([*asked, "--k", "1000"], capsys)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["total"] == len(found["items"]) > 50
    fits = [entry["fit"] for entry in found["items"]]
    assert fits == sorted(fits)
    ids: list[str] = []
    token: list[str] = []
    for _ in range(3):
        page = json.loads(run_here([*asked, "--k", "4", *token], capsys)[1])
        ids += [entry["item"]["item_id"] for entry in page["items"]]
        token = ["--page-token", page["next_page_token"]]
    assert ids == [entry["item"]["item_id"] for entry in found["items"][:12]]


def test_the_worst_hundredth_unless_asked_for_items(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["mismatch", *place], capsys)
    assert status == 0
    assert out.splitlines()[0] == "1 of 1 items whose picture and words do not agree"
    assert "1%" in err
    status, out, err = run_here(["mismatch", *place, "--items", "p0003,nonsense,p0001", "--json"], capsys)
    assert status == 0
    assert sorted(entry["item"]["item_id"] for entry in json.loads(out)["items"]) == ["p0001", "p0003"]
    assert err.startswith("not in the catalogue, skipped: nonsense\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-agreement", "2"], "max_agreement is 2.0"),
        (["--k", "-1"], "page_size is -1"),
        (["--items", '"a'], "quotes do not match"),
    ],
)
def test_a_mistake_in_the_flags_ends_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run_here(["mismatch", "--server", "localhost:1", *arguments], capsys)
    assert (status, out) == (2, "")
    assert message in err


def test_a_page_token_of_another_question(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["mismatch", *place, "--page-token", "AAAA"], capsys)
    assert (status, out) == (2, "")
    assert "next_page_token" in err
