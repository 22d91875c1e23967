"""`mmrec recommend`, `similar`, `search` and `info`, each on a bundle and on a server."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.commands import run_here

pytestmark = pytest.mark.slow(15)


# --- mistakes that need nothing loaded ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recommend", "bundle"], "neither --history nor --user is given"),
        (["recommend", "bundle", "--user", "1", "--diversity", "2"], "diversity is 2.0; it must lie between 0"),
        (["recommend", "bundle", "--user", "1", "--promote", "category = 1"], "begins with a share, a boost or both"),
        (["recommend", "bundle", "--user", "1", "--promote", "1.5 category = 1"], "min_share is 1.5"),
        (["recommend", "bundle", "--user", "1", "--exploration-max-age", "3"], "exploration_column is empty"),
        (["recommend", "bundle", "--user", "1", "--channel-weight", "lexical"], "'lexical', no name with a number"),
        (["recommend", "bundle", "--user", "1", "--attribute-weight", "a=1", "--attribute-weight", "a=2"], "that name"),
        (["recommend", "bundle", "--user", "1", "--attribute-weight", "a=1e9"], "attribute_weights['a'] is 1000000000"),
        (["recommend", "bundle", "--event", "dismiss"], "--event is 'dismiss'; write ID=TYPE or ID=RATING"),
        (["recommend", "--history", "1"], "neither a bundle nor --server is given"),
        (["recommend", "bundle", "--server", "localhost:1", "--history", "1"], "name exactly one"),
        (["rate", "bundle"], "item_ids is empty; pass 1 to 1,000 ids"),
        (["rate", "bundle", "--items", "a", "--history", "a=b=good"], "with 'good' for the rating; write ID=RATING"),
        (["rate", "bundle", "--items", "a", "--history", "a=nan"], "rating is nan; it must be a finite number"),
        (["similar", "p0001"], "exactly BUNDLE and ITEM"),
        (["similar", "bundle", "p0001", "--server", "localhost:1"], "exactly ITEM"),
        (["search", "bundle"], "neither --text nor --picture is given"),
        (["search", "bundle", "--text", "a", "--text-weight", "2"], "text_weight is 2.0"),
        (["search", "bundle", "--text", "a", "--k", "-1"], "k is -1"),
        (["search", "bundle", "--text", "a", "--item-weight", "2"], "item_weight is 2.0"),
        (["search", "bundle", "--text", "a", "--modality", "smell"], "modality is 'smell'"),
        (["similar", "bundle", "p0001", "--modality", "smell"], "modality is 'smell'"),
        (["similar", "bundle", "p0001", "--diversity", "-1"], "diversity is -1.0"),
        (["search", "bundle", "--text", "a" * 100_001], "100,001 characters"),
        (["info"], "neither a bundle nor --server is given"),
    ],
)
def test_a_mistake_in_the_flags_ends_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run_here(arguments, capsys)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err


@pytest.mark.parametrize(
    ("command", "timeout"),
    [
        (["info"], "60"),
        # The others do not wait for the last of their attempts.
        (["similar", "p1"], "0.2"),
        (["search", "--text", "a"], "0.2"),
        (["recommend", "--user", "c"], "0.2"),
        (["rank", "--user", "c", "--items", "p1"], "0.2"),
        (["explain", "--user", "c", "--items", "p1"], "0.2"),
        (["embed-user", "--user", "c"], "0.2"),
        (["rate", "--user", "c", "--items", "p1"], "0.2"),
    ],
)
def test_a_server_that_is_not_there_ends_with_5(
    command: list[str], timeout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take the port meanwhile
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        status, out, err = run_here([*command, "--server", address, "--timeout", timeout], capsys)
    assert (status, out) == (5, "")
    assert err.startswith("error: ")
    assert address in err


def test_a_bundle_that_is_not_there_ends_with_3_or_4_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run_here(["info", str(tmp_path / "nowhere")], capsys)
    assert status in {3, 4}
    assert out == ""
    assert "nowhere" in err


def test_a_picture_that_is_not_there_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["search", "bundle", "--picture", str(tmp_path / "none.jpg")], capsys)
    assert (status, out) == (3, "")
    assert "none.jpg" in err


# --- answers, the same from a bundle and from a server ---


def test_recommending_for_a_user(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["recommend", *place, "--user", "c0001", "--k", "4", "--explain"], capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "Recommended for user c0001"
    assert out.splitlines()[1].split() == ["rank", "item", "title", "score", "why"]
    assert [line.split()[0] for line in out.splitlines()[3:]] == ["1", "2", "3", "4"]


def test_recommending_after_a_history_as_json(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    history = ["recommend", *place, "--history", "p0001,nonsense", "--history", "p0002"]
    status, out, err = run_here([*history, "--k", "60", "--deny", "p0003", "--json"], capsys)
    assert status == 0
    assert err == "not in the catalogue, skipped: nonsense\n"
    reply = json.loads(out)
    ids = [scored["item"]["item_id"] for scored in reply["items"]]
    assert reply["missing_ids"] == ["nonsense"]
    assert len(ids) == len(set(ids)) == 57
    assert {"p0001", "p0002", "p0003"} & set(ids) == set()


def test_recommending_only_what_is_allowed_seen_or_not(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["recommend", *place, "--history", "p0001", "--allow", "p0001,p0004", "--json", "--quiet"]
    seen_removed = json.loads(run_here(asked, capsys)[1])
    seen_kept = json.loads(run_here([*asked, "--include-seen"], capsys)[1])
    assert [scored["item"]["item_id"] for scored in seen_removed["items"]] == ["p0004"]
    assert sorted(scored["item"]["item_id"] for scored in seen_kept["items"]) == ["p0001", "p0004"]


def test_recommending_after_events(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    events = ["--event", "p0001=purchase", "--event", "p0002=dismiss", "--event", "p=1=view"]
    status, out, err = run_here(["recommend", *place, *events, "--k", "60", "--json"], capsys)
    assert (status, err) == (0, "not in the catalogue, skipped: p=1\n")
    ids = [scored["item"]["item_id"] for scored in json.loads(out)["items"]]
    assert (len(ids), {"p0001", "p0002"} & set(ids)) == (58, set())
    status, _, err = run_here(["recommend", *place, "--event", "p0002=dismiss"], capsys)
    assert (status, err) == (
        0,
        "no item that was taken in an event is in the catalogue: these are the most popular items\n",
    )


@pytest.mark.parametrize(
    "asked",
    [
        ["recommend", "--user", "c0001"],
        ["rank", "--user", "c0001", "--items", "p0001"],
        ["explain", "--user", "c0001", "--items", "p0001"],
        ["search", "--text", "red shoes"],
    ],
    ids=lambda asked: asked[0],
)
def test_a_question_that_is_only_checked(
    asked: list[str], place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command, *rest = asked
    status, out, err = run_here([command, *place, *rest, "--validate-only"], capsys)
    assert (status, out, err) == (0, "", "the request is in order; it was checked and not answered\n")
    status, out, err = run_here([command, *place, *rest, "--validate-only", "--json", "--quiet"], capsys)
    reply = json.loads(out)
    assert reply["explanations" if command == "explain" else "items"] == []
    assert reply["versions"]["model"]
    if command != "explain":
        status, out, err = run_here([command, *place, *rest, "--validate-only", "--filter", "warp = 9"], capsys)
        assert (status, out) == (2, "")
        assert "warp" in err


def test_searches_of_a_file_that_are_only_checked(
    place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"text": "lamp"}\n{"item": "nonsense"}\n')
    status, out, err = run_here(["search", *place, "--queries", str(queries), "--validate-only", "--json"], capsys)
    assert status == 0
    assert [list(one) for one in json.loads(out)["results"]][1] == ["error"]
    assert json.loads(out)["results"][0]["items"] == []
    assert err.startswith("search 2: the catalogue has no item 'nonsense'")


def test_recommending_without_a_channel(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["recommend", *place, "--user", "c0001", "--channel-weight", "lexical=0", "--explain", "--json"]
    shares = [
        share["channel"] for scored in json.loads(run_here(asked, capsys)[1])["items"] for share in scored["shares"]
    ]
    assert "content" in shares
    assert "lexical" not in shares
    status, _, err = run_here([*asked, "--channel-weight", "smell=1"], capsys)
    assert status == 2
    assert "channel_weights has 'smell'; the channels are item-head, semantic-id, transitions" in err


def test_ranking_given_items(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    items = ["--items", "p0004,nonsense,p0001", "--items", "p0003,p0002"]
    status, out, err = run_here(["rank", *place, "--history", "p0001", *items, "--deny", "p0003", "--json"], capsys)
    assert (status, err) == (0, "not in the catalogue, skipped: nonsense\n")
    allowed = ["--allow", "p0001,p0002,p0004", "--include-seen", "--json"]
    recommended = json.loads(run_here(["recommend", *place, "--history", "p0001", *allowed], capsys)[1])
    assert json.loads(out)["items"] == recommended["items"]
    assert len(recommended["items"]) == 3

    status, out, err = run_here(["rank", *place, "--user", "c0001", "--items", "p0002,p0001"], capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "Ranked for user c0001"
    status, out, err = run_here(["rank", *place, "--user", "c0001", "--items", "p0001", "--deny", "p0001"], capsys)
    assert (status, err) == (0, "none of the items is in the catalogue and passes the filter and --deny\n")


def test_recommendations_are_explained_in_words_in_a_column_of_their_own(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run_here(["recommend", *place, "--user", "c0001", "--k", "2", "--explain-in-words"], capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[1].split() == ["rank", "item", "title", "score", "in", "words"]
    assert "your history" in out


def test_explaining_items_in_words(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["explain", *place, "--history", "p0001,p0002", "--items", "p0004,nonsense,p0003"]
    status, out, err = run_here([*asked, "--json"], capsys)
    assert (status, err) == (0, "not in the catalogue, skipped: nonsense\n")
    explained = json.loads(out)["explanations"]
    assert [one["item_id"] for one in explained] == ["p0004", "p0003"]
    for one in explained:
        assert one["text"].startswith(one["statements"][0]["text"])
        assert {item_id for said in one["statements"] for item_id in said["item_ids"]} <= {"p0001", "p0002"}
    status, out, err = run_here(asked, capsys)
    assert status == 0
    assert out.splitlines()[:2] == ["p0004", out.splitlines()[1]]
    assert out.splitlines()[1].split() == ["kind", "statement", "share", "history", "items"]
    status, out, err = run_here([*asked, "--language", "de"], capsys)
    assert (status, out) == (2, "")
    assert "language is 'de'; sentences are made in English only: pass 'en' or leave it empty" in err


def test_embedding_a_user(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["embed-user", *place, "--history", "p0001,nonsense", "--text", "a lamp", "--text-weight", "0.25"]
    status, out, err = run_here([*asked, "--json"], capsys)
    assert (status, err) == (0, "not in the catalogue, skipped: nonsense\n")
    vector = json.loads(out)["vector"]
    assert sum(number**2 for number in vector) == pytest.approx(1.0, abs=1e-3)
    status, out, err = run_here(asked, capsys)
    assert (status, out.splitlines()[1].split()) == (0, ["dimension", "norm", "first", "numbers"])
    status, out, err = run_here(["embed-user", *place, "--history", "nonsense", "--json"], capsys)
    assert "nothing is known of the customer: the vector stands for the most popular items" in err
    status, out, err = run_here(["embed-user", *place], capsys)
    assert (status, out) == (2, "")
    assert "history, user_id and text are all empty" in err


def test_a_bundle_without_ratings_predicts_none(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["rate", *place, "--user", "c0001", "--items", "p0001"], capsys)
    assert (status, out) == (4, "")
    assert "this bundle cannot predict ratings: its dataset has too few of them" in err


def test_a_stranger_gets_what_is_popular_and_is_told_so(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["recommend", *place, "--history", "", "--json"], capsys)
    assert (status, err) == (0, "the history is empty: these are the most popular items\n")
    assert json.loads(out)["fallback"] == "popularity"
    assert len(json.loads(out)["items"]) == 10


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--user", "ghost"], ["no events of user 'ghost' are known: these are the most popular items"]),
        (
            ["--history", "nonsense, p0001"],
            [
                "not in the catalogue, skipped: nonsense, ' p0001'",
                "no item of the history is in the catalogue: these are the most popular items",
            ],
        ),
        (
            ["--user", "ghost", "--history", "nonsense"],
            [
                "not in the catalogue, skipped: nonsense",
                "no events of user 'ghost' are known and no item of the history is in the catalogue: these are the "
                "most popular items",
            ],
        ),
        (
            ["--history", "p0001", "--allow", "p0001"],
            ["no item passes the filter and the lists that is not in the history; --include-seen keeps those as well"],
        ),
        (
            ["--history", "p0001", "--include-seen", "--filter", "title = 'none'"],
            ["no item passes the filter and the lists"],
        ),
    ],
)
def test_a_list_that_is_empty_or_not_the_customers_own_says_why(
    asked: list[str], said: list[str], place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run_here(["recommend", *place, *asked], capsys)
    assert (status, err.splitlines()) == (0, said)


def test_when_everything_is_in_the_history(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    everything = ",".join(f"p{number:04d}" for number in range(1, 61))
    status, _, err = run_here(["recommend", *place, "--history", everything], capsys)
    assert (status, err) == (0, "every item is in the history; --include-seen recommends them again\n")


def test_recommending_with_a_filter_and_promotions(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["recommend", *place, "--history", "p0001", "--k", "60", "--json", "--filter", 'category = "mug"']
    status, out, err = run_here(asked, capsys)
    assert (status, err) == (0, "")
    mugs = json.loads(out)
    assert {scored["item"]["attributes"]["category"] for scored in mugs["items"]} == {"mug"}
    status, out, err = run_here([*asked, "--relaxed"], capsys)
    assert (status, err) == (0, "too few items pass the filter: the last items do not pass it\n")
    assert len(json.loads(out)["items"]) == 59
    assert json.loads(out)["fallback"] == "filter-relaxed"
    promoted = ["recommend", *place, "--history", "p0001", "--k", "4", "--json", "--diversity", "0.2"]
    status, out, err = run_here([*promoted, "--promote", '1 category = "mug"', "--promote", "+0.5 title:x"], capsys)
    assert (status, err) == (0, "")
    shown = [scored["item"]["attributes"]["category"] for scored in json.loads(out)["items"]]
    assert shown == ["mug"] * min(4, len(mugs["items"])) + shown[len(mugs["items"]) :]


def test_a_filter_that_cannot_be_read_is_pointed_at(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["recommend", *place, "--history", "p0001", "--filter", "categori = 1"], capsys)
    assert (status, out) == (2, "")
    assert "did you mean 'category'?" in err


def test_similar_items(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    names = [*place, "p0001"] if place[0] != "--server" else ["p0001", *place]
    status, out, err = run_here(["similar", *names, "--k", "3", "--json"], capsys)
    assert (status, err) == (0, "")
    found = json.loads(out)["items"]
    assert len(found) == 3
    assert "p0001" not in {scored["item"]["item_id"] for scored in found}
    assert [scored["score"] for scored in found] == sorted((scored["score"] for scored in found), reverse=True)


def test_similar_to_an_item_that_is_not_there(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["similar", *place, "nonsense"], capsys)
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
    status, out, err = run_here(asked, capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == f'Nearest to "a lamp" and {picture}'
    assert len(out.splitlines()) == 3 + 3


def test_searching_by_a_file_that_is_no_picture(
    place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "words.jpg").write_bytes(b"not a picture at all")
    status, out, err = run_here(["search", *place, "--picture", str(tmp_path / "words.jpg")], capsys)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")


def test_searching_by_an_item_among_those_that_pass_a_filter(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    among = 'item_id IN ("p0001", "p0002", "p0003")'
    asked = ["search", *place, "--item", "p0001", "--text", "blue", "--filter", among]
    status, out, err = run_here([*asked, "--json"], capsys)
    assert (status, err) == (0, "")
    assert sorted(scored["item"]["item_id"] for scored in json.loads(out)["items"]) == ["p0002", "p0003"]
    status, out, err = run_here([*asked, "--relaxed", "--k", "4"], capsys)
    assert (status, err) == (0, "too few items pass the filter: the last items do not pass it\n")
    assert out.splitlines()[0] == 'Nearest to "blue" and item p0001'
    assert len(out.splitlines()) == 3 + 4


@pytest.mark.parametrize(
    ("filter", "said"),
    [
        ('category = "nothing like it"', "found by : and not by =, as in category:"),
        ('category:"nothing like it"', "no other item passes the filter\n"),
    ],
)
def test_a_list_that_is_empty_for_its_filter_says_so(
    filter: str, said: str, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["search", *place, "--text", "lamp"], ["similar", *place, "p0001"]):
        status, _, err = run_here([*command, "--filter", filter], capsys)
        assert status == 0
        assert said in err
    assert "passes" not in run_here(["search", *place, "--text", "lamp", "--filter", "category:*"], capsys)[2]


def test_pages_of_a_search_add_up(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["search", *place, "--text", "a lamp", "--modality", "words", "--json"]
    first = json.loads(run_here([*asked, "--k", "2"], capsys)[1])
    second = json.loads(run_here([*asked, "--k", "2", "--page-token", first["next_page_token"]], capsys)[1])
    whole = json.loads(run_here([*asked, "--k", "4"], capsys)[1])
    assert first["items"] + second["items"] == whole["items"]


def test_similar_pictures_within_a_filter(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    names = [*place, "p0001"] if place[0] != "--server" else ["p0001", *place]
    asked = ["similar", *names, "--modality", "picture", "--diversity", "0.3", "--json"]
    status, out, err = run_here([*asked, "--filter", 'category != "lamp"'], capsys)
    assert (status, err) == (0, "")
    assert len(json.loads(out)["items"]) == 10
    assert all(scored["item"]["attributes"]["category"] != "lamp" for scored in json.loads(out)["items"])
    status, out, err = run_here([*asked, "--filter", "colour = 1"], capsys)
    assert (status, out) == (2, "")
    assert "'colour'" in err


def test_many_searches_from_a_file(
    place: list[str], demo_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = sorted((demo_dataset / "images").iterdir())[0]
    (tmp_path / "a.jpg").write_bytes(picture.read_bytes())
    lines = [
        {"text": "a lamp"},
        {"picture": "a.jpg", "k": 1},
        {"item": "nonsense"},
        {"text": "a mug", "item": "p0001", "filter": 'category = "mug"', "relaxed": True, "modality": "words"},
    ]
    file = tmp_path / "searches.jsonl"
    file.write_text("\n\n".join(map(json.dumps, lines)), encoding="utf-8")
    status, out, err = run_here(["search", *place, "--queries", str(file), "--k", "3", "--json"], capsys)
    assert status == 0
    assert err.startswith("search 3: ")
    first, second, third, fourth = json.loads(out)["results"]
    assert [len(found["items"]) for found in (first, second, fourth)] == [3, 1, 3]
    assert third["error"]["code"] == "NOT_FOUND"
    status, out, _ = run_here(["search", *place, "--queries", str(file), "--k", "3"], capsys)
    assert status == 0
    assert out.splitlines()[0] == "4 searches"
    assert len(out.splitlines()) == 3 + 7


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("", 2, "holds no search"),
        ('{"text": "a"}\nnonsense', 2, "searches.jsonl, line 2: 'nonsense' is not a JSON object"),
        ('{"text": "a", "colour": "red"}', 2, "'colour' is none of text, picture"),
        ('{"text": 7}', 2, "line 1: text is 7"),
        ('{"text": "a", "k": "3"}', 2, "line 1: k is '3'"),
        ('{"text": "a", "k": -1}', 2, "line 1: k is -1"),
        ('{"k": 3}', 2, "line 1: none of text, image, item and vector is given"),
        ('{"picture": "none.jpg"}', 3, "none.jpg"),
    ],
)
def test_a_file_of_searches_that_cannot_be_used_is_told_by_line(
    text: str, status: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "searches.jsonl"
    file.write_text(text, encoding="utf-8")
    code, out, err = run_here(["search", "bundle", "--queries", str(file)], capsys)
    assert (code, out) == (status, "")
    assert message in err


def test_info(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["info", *place, "--json"], capsys)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["items"], found["users"], found["preset"]) == (60, 120, "embedded")
    status, out, err = run_here(["info", *place], capsys)
    assert (status, err) == (0, "")
    assert "embedding length" in out
