"""`mmrec duplicates` on a bundle and on a server."""

from __future__ import annotations

import json

import pytest

from tests.commands import run_here


def test_groups_with_their_threshold_explained(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["duplicates", *place, "--modality", "picture", "--json"], capsys)
    assert status == 0
    found = json.loads(out)
    assert found["explanation"] + "\n" == err
    assert 0 < found["picture_threshold"] <= 1
    assert found["words_threshold"] is None
    assert found["total"] == len(found["groups"])
    assert all(len(group["item_ids"]) > 1 for group in found["groups"])


def test_a_threshold_and_a_filter_of_one_s_own(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["duplicates", *place, "--min-similarity", "0.9", "--modality", "picture", "--json", "-q"]
    status, out, err = run_here([*asked, "--filter", 'category = "lamp"'], capsys)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["picture_threshold"] == 0.9
    lamps = {item for group in found["groups"] for item in group["item_ids"]}
    status, out, _ = run_here([*asked, "--items", "p0001,nonsense"], capsys)
    assert status == 0
    assert json.loads(out)["missing_ids"] == ["nonsense"]
    assert lamps <= {f"p{number:04}" for number in range(1, 61)}


def test_a_table_for_people(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["duplicates", *place, "--groups", "1"], capsys)
    assert status == 0
    assert out.splitlines()[0].endswith("groups of duplicates")
    assert out.splitlines()[1].split() == ["similarity", "evidence", "items"]
    assert "cosine" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min-similarity", "1.5"], "min_similarity is 1.5"),
        (["--groups", "-1"], "page_size is -1"),
        (["--modality", "smell"], "modality is 'smell'"),
        (["--items", "a,,b"], "an empty id"),
    ],
)
def test_a_mistake_in_the_flags_ends_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run_here(["duplicates", "--server", "localhost:1", *arguments], capsys)
    assert (status, out) == (2, "")
    assert message in err


def test_a_filter_that_cannot_be_read_is_shown_at_the_character(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run_here(["duplicates", *place, "--filter", "category = = 3"], capsys)
    assert (status, out) == (2, "")
    assert "character 12" in err
