"""Keys that follow a change are those of the changed catalogue, but for rounding, and the older ones stay."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmrec.catalogue import segments
from mmrec.catalogue.segments import Segmented
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.node_embeddings import NodeEmbeddings
from mmrec.generator.semantic_id_head import NodeKeys, SemanticIdHead
from mmrec.semantic_ids.decode_index import DecodeIndex, build_decode_index, change_decode_index
from mmrec.semantic_ids.node_changes import node_changes

WIDTHS = (3, 4, 2, 1 << 20)


def head_of(path_keys: str = "nodes") -> SemanticIdHead:
    torch.manual_seed(0)
    return SemanticIdHead(8, GeneratorConfig(heads=2, path_keys=path_keys), (3, 4, 2, 5)).eval()


def assert_same(one: NodeKeys, two: NodeKeys) -> None:
    assert (len(one.written_PVH), len(one.scored_PVH)) == (len(WIDTHS) - 1, len(WIDTHS))
    for left, right in ((one.written_PVH, two.written_PVH), (one.scored_PVH, two.scored_PVH)):
        for mine, other in zip(left, right, strict=True):
            # A matrix product rounds otherwise when it has other rows beside.
            assert torch.allclose(mine.whole(), other.whole(), atol=1e-5)


def with_last_codes(codes: list[tuple[int, int, int]], first: int) -> np.ndarray:
    return np.array([(*path, first + place) for place, path in enumerate(codes)], np.int32).reshape(-1, 4)


CODES = st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 1))
CHANGES = st.lists(st.tuples(st.lists(CODES, max_size=6), st.sets(st.integers(0, 30), max_size=6)), max_size=4)


@settings(max_examples=80)
@given(st.lists(CODES, min_size=1, max_size=12), CHANGES)
def test_after_any_changes_the_keys_are_those_of_the_items_that_are_left(
    first: list[tuple[int, int, int]], changes: list[tuple[list[tuple[int, int, int]], set[int]]]
) -> None:
    head, tokens = head_of(), torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
    rows = len(first)
    index = build_decode_index(with_last_codes(first, 0), WIDTHS)
    live = NodeEmbeddings.of(head, Segmented(tokens[:rows]), index)
    states = [(live, index, rows)]
    for arriving, leaving in changes:
        there = np.isin(index.items_N.numpy(), list(leaving))
        came = np.arange(rows, rows + len(arriving))
        if there.all() and not len(came):
            continue
        added = with_last_codes(arriving, rows)
        after = change_decode_index(
            index, added_MP=added, rows_M=came, removed_R=np.array(sorted(leaving), dtype=np.int64)
        )
        rows += len(arriving)
        places = after.place_of_rows(rows).numpy().astype(np.int64)[came]
        live = live.updated(Segmented(tokens[:rows]), after, node_changes(index, after, np.flatnonzero(there), places))
        index = after
        states.append((live, index, rows))
    for keys, at, items in states:
        assert_same(keys.keys, NodeEmbeddings.of(head, Segmented(tokens[:items]), at).keys)
        assert_same(keys.keys, head.node_keys(tokens[:items], at))


def changed(index: DecodeIndex, live: NodeEmbeddings, tokens: Tensor, row: int) -> tuple[DecodeIndex, NodeEmbeddings]:
    path = np.array([[row % 3, row % 4, row % 2, row]], np.int32)
    came = np.array([row])
    after = change_decode_index(index, added_MP=path, rows_M=came, removed_R=came)
    places = after.place_of_rows(row + 1).numpy().astype(np.int64)[came]
    return after, live.updated(
        Segmented(tokens[: row + 1]), after, node_changes(index, after, np.empty(0, np.int64), places)
    )


def test_keys_that_are_in_use_no_more_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "FEWEST_IN_DELTA", 4)
    head, tokens = head_of(), torch.randn(80, 8)
    index = build_decode_index(with_last_codes([(0, 0, 0), (1, 1, 1)], 0), WIDTHS)
    live = NodeEmbeddings.of(head, Segmented(tokens[:2]), index)
    for row in range(2, 80):
        index, live = changed(index, live, tokens, row)
    assert_same(live.keys, NodeEmbeddings.of(head, Segmented(tokens), index).keys)
    # Three nodes, of which one was touched by each of the 78 changes.
    table = live.keys.written_PVH[0]
    assert len(table.base) + (0 if table.delta is None else len(table.delta)) <= 3 + 4


def test_codes_have_the_same_keys_whatever_changes() -> None:
    head, tokens = head_of("codes"), torch.randn(5, 8)
    index = build_decode_index(with_last_codes([(0, 0, 0), (1, 1, 1)], 0), WIDTHS)
    live = NodeEmbeddings.of(head, Segmented(tokens[:2]), index)
    after, keys = changed(index, live, tokens, 2)
    assert keys.keys.by_code
    assert keys.keys.written_PVH[0].base is head.code_embedding[0].weight
    assert keys.keys.written_PVH[0].place_N.equal(after.child_code[0])


def test_keys_are_stored_in_the_number_format_of_the_products_after_any_change() -> None:
    head, tokens = head_of(), torch.randn(5, 8)
    index = build_decode_index(with_last_codes([(0, 0, 0), (1, 1, 1)], 0), WIDTHS)
    live = NodeEmbeddings.of(head, Segmented(tokens[:2]), index, torch.bfloat16)
    index, live = changed(index, live, tokens, 2)
    exact = NodeEmbeddings.of(head, Segmented(tokens[:3]), index).keys
    for mine, other in zip(live.keys.scored_PVH, exact.scored_PVH, strict=True):
        assert mine.whole().dtype == torch.bfloat16
        assert torch.allclose(mine.whole().float(), other.whole(), atol=0.02)
