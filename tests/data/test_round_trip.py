"""Datasets written in each format are read back as they were, whatever their ids and words look like."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrec.data.dataset import read_dataset
from mmrec.data.writing import write_table
from mmrec.errors import InvalidArgumentError

_NO_SURROGATES = st.characters(blacklist_categories=("Cs",))
_PLAIN = st.characters(blacklist_categories=("Cs",), blacklist_characters="\t\n\r")
_IN_IDS = st.characters(blacklist_categories=("Cs", "Cc"))
_ODD_IDS = st.sampled_from(["007", "7", " 7", "a b", "a,b", 'say "x"', "true", "NA", "null", "1e3", "ü", "日本", "0"])


def _texts(kind: str) -> st.SearchStrategy[str]:
    return st.text(_PLAIN if kind == "tsv" else _NO_SURROGATES, max_size=12)


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_dataset_survives(kind: str, data: st.DataObject) -> None:
    ids = data.draw(
        st.lists(
            st.one_of(_ODD_IDS, st.text(_IN_IDS, max_size=12).filter(lambda text: bool(text.strip()))),
            min_size=1,
            max_size=8,
            unique=True,
        )
    )
    titles = [data.draw(_texts(kind)) for _ in ids]
    colours = [data.draw(_texts(kind)) for _ in ids]
    events = data.draw(st.lists(st.tuples(_ODD_IDS, st.sampled_from(ids), st.integers(-(10**9), 10**9)), max_size=8))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_table(root / f"items.{kind}", pa.table({"item_id": ids, "title": titles, "colour": colours}))
        columns = {
            "user_id": pa.array([user for user, _, _ in events], pa.string()),
            "item_id": pa.array([item for _, item, _ in events], pa.string()),
            "timestamp": pa.array([time for _, _, time in events], pa.int64()),
        }
        write_table(root / f"events.{kind}", pa.table(columns))
        if kind == "jsonl" and not events:
            (root / "events.jsonl").unlink()  # a JSON Lines file without lines has no columns
        read = read_dataset(root)
    assert list(read.catalogue.item_ids) == ids
    assert list(read.catalogue.titles) == titles
    assert list(read.catalogue.attributes["colour"]) == colours
    assert list(read.interactions.user_ids) == list(dict.fromkeys(user for user, _, _ in events))
    for u, user in enumerate(read.interactions.user_ids):
        own = sorted((time for who, _, time in events if who == user))
        start, end = read.interactions.offsets_U[u : u + 2]
        assert read.interactions.times_E[start:end].tolist() == own


def test_tabs_and_line_breaks_become_spaces_in_tsv(tmp_path: Path) -> None:
    write_table(tmp_path / "items.tsv", pa.table({"item_id": ["1"], "title": ["a\tb\r\nc\nd"]}))
    assert read_dataset(tmp_path).catalogue.titles == ("a b c d",)


def test_a_format_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="no known table format"):
        write_table(tmp_path / "items.xlsx", pa.table({"item_id": ["1"]}))
