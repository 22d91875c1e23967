"""What recommend, similar, search and info share."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.cli.engines import Connection, Place, open_server, print_ranking
from mmrec.cli.id_lists import read_ids
from mmrec.cli.output import Output
from mmrec.contract.items import ChannelShare, ItemRecord, ScoredItem
from mmrec.errors import InvalidArgumentError
from mmrec_serving import BackgroundServer
from tests.fake_engine import FakeEngine


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (["1,2,3"], ["1", "2", "3"]),
        (["1, 2"], ["1", " 2"]),
        ([" lead,tail "], [" lead", "tail "]),
        (['" lead",7'], [" lead", "7"]),
        (["1,2", "3"], ["1", "2", "3"]),
        (['"red, large",7'], ["red, large", "7"]),
        (['5" nail'], ['5" nail']),
        (["007"], ["007"]),
        ([""], []),
        ([], []),
    ],
)
def test_commas_separate_ids_and_quotes_protect_them(values: list[str], ids: list[str]) -> None:
    assert read_ids(values, "--history") == ids


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('1, "2"', "a space before double quotes"),
        ("1,,2", "an empty id"),
        ("1,", "an empty id"),
        ('"1,2', "quotes do not match"),
    ],
)
def test_a_list_of_ids_that_cannot_be_read_is_refused_by_flag_and_value(value: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        read_ids([value], "--deny")
    assert message in refused.value.message
    assert refused.value.message.startswith(f"--deny is {value!r}")


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",)), min_size=1)))
def test_whatever_a_csv_writer_writes_is_read_back(ids: list[str]) -> None:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="").writerow(ids)
    assert read_ids([line.getvalue()] if ids else [], "--history") == ids


@pytest.mark.parametrize(("bundle", "server"), [("", ""), ("bundle", "localhost:1")])
def test_exactly_one_of_bundle_and_server_answers(bundle: str, server: str) -> None:
    with pytest.raises(InvalidArgumentError, match="name exactly one of a bundle folder and --server"):
        Place(bundle, Connection(server))


def test_an_explanation_names_the_largest_share_first(capsys: pytest.CaptureFixture[str]) -> None:
    shares = (ChannelShare("content", 0.125, "5"), ChannelShare("popularity", -0.25))
    print_ranking(Output(), "Recommended", [ScoredItem(ItemRecord("7", "Brazil"), 0.5, shares)], explain=True)
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].split() == ["rank", "item", "title", "score", "why"]
    assert shown[3].split() == [
        "1",
        "7",
        "Brazil",
        "0.5000",
        "popularity",
        "-0.250;",
        "content",
        "+0.125",
        "from",
        "5",
    ]


def test_the_times_of_a_call_are_said_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with BackgroundServer(FakeEngine) as server:
        for timing in (False, True):
            with open_server(Connection(server=server.target, timing=timing)) as client:
                client.info()
    out, err = capsys.readouterr()
    assert out == ""
    said = "GetServiceInfo: N ms on the server (arrive N, decode N, queue N, run N, encode N)\n"
    assert re.sub(r"\d+\.\d", "N", err) == said
