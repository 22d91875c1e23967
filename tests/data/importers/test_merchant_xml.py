"""Entries of feeds in XML, and what is refused before it does harm."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrec.data.importers.merchant_xml import read_feed
from mmrec.errors import InvalidDatasetError

GOOGLE = 'xmlns:g="http://base.google.com/ns/1.0"'


def _feed(path: Path, body: str) -> Path:
    path.write_text(f'<?xml version="1.0"?><rss {GOOGLE}><channel>{body}</channel></rss>', encoding="utf-8")
    return path


def test_google_wins_over_rss_and_nested_attributes_are_named(tmp_path: Path) -> None:
    body = (
        "<title>Shop</title><item><title>rss</title><g:title> google </g:title><g:tax><g:rate>5</g:rate></g:tax>"
        "<g:color>red</g:color><g:color>blue</g:color><g:size/></item>"
    )
    (entry,) = read_feed(_feed(tmp_path / "f.xml", body))
    assert entry.values == {"title": ["google"], "color": ["red", "blue"]}
    assert (entry.nested, entry.place) == (("tax",), "f.xml:1")


def test_an_entry_without_end_is_refused_before_memory_is_full(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match="has more than 4,194,304 characters"):
        list(read_feed(_feed(tmp_path / "f.xml", f"<item><g:id>{'x' * 5_000_000}</g:id></item>")))


def test_entities_that_grow_are_refused_at_once(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY e0 "ha">{entities}]><rss><item><id>&e11;</id></item></rss>'
    (tmp_path / "f.xml").write_text(bomb)
    with pytest.raises(InvalidDatasetError, match="document type definition"):
        list(read_feed(tmp_path / "f.xml"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.text(st.sampled_from('<>/&;="item g:idrsx!-[]CDATA?'), max_size=80))
def test_any_text_is_read_or_refused(tmp_path: Path, data: str) -> None:
    (tmp_path / "f.xml").write_text("<rss>" + data)
    told = ""
    try:
        list(read_feed(tmp_path / "f.xml"))
    except InvalidDatasetError as err:
        told = err.message
    assert told == "" or told.startswith("f.xml:")
