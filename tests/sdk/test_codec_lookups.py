"""Looking things up, as other clients may send it; there and back again is in `tests/sdk/test_codec.py`."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from mmrec.contract.items import Versions
from mmrec.contract.replies import ItemPath, ResolvedPath, ResolvedPaths, SemanticIds
from mmrec.contract.requests import ListItemsRequest, ResolveRequest, SemanticIdsRequest
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from mmrec.sdk.codec import from_message
from mmrec.sdk.rpcs import GET_SEMANTIC_IDS, LIST_ITEMS, RESOLVE_SEMANTIC_IDS
from mmrec.v1 import common_pb2, item_pb2


def test_why_a_path_was_refused_arrives_with_its_field() -> None:
    refused = ResolvedPaths((ResolvedPath((), error=InvalidArgumentError("too short", field="semantic_ids[0]")),))
    (entry,) = RESOLVE_SEMANTIC_IDS.decode_reply(RESOLVE_SEMANTIC_IDS.encode_reply(refused)).entries
    assert isinstance(entry.error, InvalidArgumentError)
    assert (entry.error.message, entry.error.violations[0].field) == ("too short", "semantic_ids[0]")
    other = ResolvedPaths((ResolvedPath((1,), error=FailedPreconditionError("not now")),))
    (entry,) = RESOLVE_SEMANTIC_IDS.decode_reply(RESOLVE_SEMANTIC_IDS.encode_reply(other)).entries
    assert isinstance(entry.error, FailedPreconditionError)


def test_why_an_item_has_no_path_arrives_with_it() -> None:
    later = ItemPath("later", (), NotFoundError("it came after them"))
    found = SemanticIds((ItemPath("a", (1, 2)), later), ("ghost",), Versions("m", "c", "old"))
    read = GET_SEMANTIC_IDS.decode_reply(GET_SEMANTIC_IDS.encode_reply(found))
    assert (read.entries[0], read.missing_ids, read.versions) == (found.entries[0], ("ghost",), found.versions)
    assert (read.entries[1].item_id, read.entries[1].semantic_id) == ("later", ())
    assert isinstance(read.entries[1].error, NotFoundError)
    assert read.entries[1].error.message == "it came after them"


def test_unset_fields_mean_the_defaults() -> None:
    assert from_message(item_pb2.ListItemsRequest(), ListItemsRequest) == ListItemsRequest()
    resolve = item_pb2.ResolveSemanticIdsRequest(semantic_ids=[common_pb2.SemanticId(codes=[1])])
    assert from_message(resolve, ResolveRequest) == ResolveRequest(((1,),), 10, "")
    assert from_message(item_pb2.GetSemanticIdsRequest(), SemanticIdsRequest) == SemanticIdsRequest(())
    # A status that says OK is no error.
    entry = item_pb2.ResolveSemanticIdsResponse.Entry()
    entry.status.SetInParent()
    reply = from_message(item_pb2.ResolveSemanticIdsResponse(entries=[entry]), ResolvedPaths)
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
        rpc.decode_request(message.SerializeToString())
    assert [violation.field for violation in refused.value.violations] == [field]
