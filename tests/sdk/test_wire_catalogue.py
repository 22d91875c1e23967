"""Looking things up: there and back again, and what other clients may send."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st

from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.rpcs import GET_SEMANTIC_IDS, LIST_ITEMS, RESOLVE_SEMANTIC_IDS
from mmrec.types import (
    ItemPage,
    ItemPath,
    ItemRecord,
    ListItemsRequest,
    ResolvedPath,
    ResolvedPaths,
    ResolveRequest,
    SemanticIds,
    SemanticIdsRequest,
    Versions,
)
from mmrec.v1 import common_pb2, item_pb2
from mmrec.wire import catalogue

VERSIONS = Versions("m1", "c1", "b1")
PATH = st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(TEXT, st.integers(0, 2000), TEXT, st.sets(st.sampled_from(["title", "semantic_id", "image"])).map(tuple))
def test_a_request_for_rows_arrives_as_it_was(filter: str, size: int, token: str, names: tuple[str, ...]) -> None:
    request = ListItemsRequest(filter, size, token, names)
    assert LIST_ITEMS.decode_request(LIST_ITEMS.encode_request(request)) == request


@given(st.lists(PATH, max_size=5).map(tuple), st.integers(0, 2000), TEXT)
def test_a_request_for_items_of_paths_arrives_as_it_was(
    paths: tuple[tuple[int, ...], ...], size: int, version: str
) -> None:
    request = ResolveRequest(paths, size, version)
    assert RESOLVE_SEMANTIC_IDS.decode_request(RESOLVE_SEMANTIC_IDS.encode_request(request)) == request


@given(st.lists(TEXT, max_size=5).map(tuple), TEXT)
def test_a_request_for_paths_of_items_arrives_as_it_was(item_ids: tuple[str, ...], version: str) -> None:
    request = SemanticIdsRequest(item_ids, version)
    assert GET_SEMANTIC_IDS.decode_request(GET_SEMANTIC_IDS.encode_request(request)) == request


def test_replies_arrive_as_they_were() -> None:
    item = ItemRecord("a", "A", "words", "a.jpg", {"price": "3"}, (1, 2, 0))
    page = ItemPage((item, ItemRecord("b")), 2**40, "more", VERSIONS)
    assert LIST_ITEMS.decode_reply(LIST_ITEMS.encode_reply(page)) == page
    found = SemanticIds((ItemPath("a", (1, 2, 0)), ItemPath("b", ())), ("ghost",), VERSIONS)
    assert GET_SEMANTIC_IDS.decode_reply(GET_SEMANTIC_IDS.encode_reply(found)) == found
    resolved = ResolvedPaths((ResolvedPath((1, 2), (item,), 7), ResolvedPath((9,))), VERSIONS)
    assert RESOLVE_SEMANTIC_IDS.decode_reply(RESOLVE_SEMANTIC_IDS.encode_reply(resolved)) == resolved


def test_why_a_path_was_refused_arrives_with_its_field() -> None:
    refused = ResolvedPaths((ResolvedPath((), error=InvalidArgumentError("too short", field="semantic_ids[0]")),))
    (entry,) = RESOLVE_SEMANTIC_IDS.decode_reply(RESOLVE_SEMANTIC_IDS.encode_reply(refused)).entries
    assert isinstance(entry.error, InvalidArgumentError)
    assert (entry.error.message, entry.error.violations[0].field) == ("too short", "semantic_ids[0]")
    other = ResolvedPaths((ResolvedPath((1,), error=FailedPreconditionError("not now")),))
    (entry,) = RESOLVE_SEMANTIC_IDS.decode_reply(RESOLVE_SEMANTIC_IDS.encode_reply(other)).entries
    assert isinstance(entry.error, FailedPreconditionError)


def test_unset_fields_mean_the_defaults() -> None:
    assert catalogue.list_items_request_from_wire(item_pb2.ListItemsRequest()) == ListItemsRequest()
    resolve = item_pb2.ResolveSemanticIdsRequest(semantic_ids=[common_pb2.SemanticId(codes=[1])])
    assert catalogue.resolve_request_from_wire(resolve) == ResolveRequest(((1,),), 10, "")
    assert catalogue.semantic_ids_request_from_wire(item_pb2.GetSemanticIdsRequest()) == SemanticIdsRequest(())
    # A status that says OK is no error.
    entry = item_pb2.ResolveSemanticIdsResponse.Entry()
    entry.status.SetInParent()
    reply = catalogue.resolved_paths_from_wire(item_pb2.ResolveSemanticIdsResponse(entries=[entry]))
    assert reply.entries == (ResolvedPath(()),)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (item_pb2.ListItemsRequest(page_size=-1), "page_size"),
        (item_pb2.ListItemsRequest(item_fields=FieldMask(paths=["colour"])), "item_fields[0]"),
        (item_pb2.GetSemanticIdsRequest(item_ids=["a"] * 1001), "item_ids"),
        (item_pb2.ResolveSemanticIdsRequest(semantic_ids=[common_pb2.SemanticId()] * 1001), "semantic_ids"),
        (item_pb2.ResolveSemanticIdsRequest(codebook_version="x" * 513), "codebook_version"),
    ],
)
def test_a_bad_message_is_refused_by_field(message: object, field: str) -> None:
    (rpc,) = [r for r in (LIST_ITEMS, GET_SEMANTIC_IDS, RESOLVE_SEMANTIC_IDS) if isinstance(message, r.request_type)]
    with pytest.raises(InvalidArgumentError) as refused:
        rpc.request_from_wire(message)
    assert [violation.field for violation in refused.value.violations] == [field]
