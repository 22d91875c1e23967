from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.calls import EmbedBatch, RecommendBatch
from mmrec.errors import InvalidArgumentError, InvalidImageError, MmrecError, NotImplementedYetError
from mmrec.rpcs import EMBED_ITEMS, METHODS, RPCS
from mmrec.types import (
    ChannelShare,
    EmbedResults,
    Fallback,
    ItemEmbedding,
    ItemFailure,
    ItemInput,
    ItemLookup,
    ItemRecord,
    Recommendations,
    RecommendRequest,
    ScoredItem,
    SearchRequest,
    SearchResults,
    ServiceInfo,
    SimilarRequest,
    Versions,
)
from mmrec.v1 import common_pb2, recommendation_pb2, understanding_pb2
from mmrec.wire import messages
from mmrec.wire.messages import FIELDS_NOT_BUILT
from mmrec.wire.values import pack_vector, unpack_vector

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = words
numbers = st.floats(allow_nan=False)
versions = st.builds(Versions, words, words, words)
codes = st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple)
attributes = st.dictionaries(words.filter(bool), words, max_size=4)
pictures = st.none() | st.binary(min_size=1, max_size=50)
records = st.builds(ItemRecord, ids, words, words, words, attributes, codes)
shares = st.builds(ChannelShare, words, numbers, ids)
scored = st.builds(ScoredItem, records, numbers, st.lists(shares, max_size=3).map(tuple))
ranked = st.lists(scored, max_size=3).map(tuple)
id_lists = st.lists(ids, max_size=5).map(tuple)
ks = st.integers(0, 10**12)
inputs = st.builds(ItemInput, ids, words.map(lambda w: w + "x"), words, pictures, attributes)
recommend_requests = st.builds(
    RecommendRequest, id_lists, ids, ks, id_lists, id_lists, st.booleans(), ks, st.booleans()
)
recommendations = st.builds(Recommendations, ids, ranked, id_lists, st.sampled_from(Fallback), versions)
search_results = st.builds(SearchResults, ranked, versions)
whole_numbers = st.integers(0, 2**31 - 1)

SAMPLES: dict[str, tuple[st.SearchStrategy, st.SearchStrategy]] = {
    "/mmrec.v1.RecommendationService/Recommend": (recommend_requests, recommendations),
    "/mmrec.v1.RecommendationService/BatchRecommend": (
        st.lists(recommend_requests, max_size=3).map(tuple).map(RecommendBatch),
        st.lists(recommendations, max_size=3),
    ),
    "/mmrec.v1.UnderstandingService/SimilarItems": (
        st.builds(SimilarRequest, ids.filter(bool), ks),
        search_results,
    ),
    "/mmrec.v1.UnderstandingService/SearchItems": (
        st.builds(SearchRequest, words.map(lambda w: w + "x"), pictures, st.floats(0, 1), ks),
        search_results,
    ),
    "/mmrec.v1.ItemService/GetItems": (
        id_lists,
        st.builds(ItemLookup, st.lists(records, max_size=3).map(tuple), id_lists, versions),
    ),
    "/mmrec.v1.SystemService/GetServiceInfo": (
        st.none(),
        st.builds(
            ServiceInfo,
            words,
            versions,
            whole_numbers,
            whole_numbers,
            whole_numbers,
            st.lists(whole_numbers, max_size=3).map(tuple),
            whole_numbers,
            whole_numbers,
            words,
            words,
        ),
    ),
}


@pytest.mark.parametrize("path", sorted(SAMPLES))
def test_requests_and_replies_survive_the_wire(path: str) -> None:
    rpc = RPCS[path]
    requests, replies = SAMPLES[path]

    @settings(max_examples=60, deadline=None)
    @given(requests, replies)
    def check(request: object, reply: object) -> None:
        assert rpc.decode_request(rpc.encode_request(request)) == request
        assert rpc.decode_reply(rpc.encode_reply(reply)) == reply

    check()


def test_every_built_call_is_among_the_samples() -> None:
    assert sorted([*SAMPLES, EMBED_ITEMS.path]) == sorted(RPCS)


@settings(max_examples=60, deadline=None)
@given(st.lists(inputs, max_size=3).map(tuple), st.integers(0, 2**20))
def test_items_to_embed_survive_the_wire(items: tuple[ItemInput, ...], dimension: int) -> None:
    batch = EmbedBatch(items, dimension)
    decoded = EMBED_ITEMS.decode_request(EMBED_ITEMS.encode_request(batch))
    assert decoded == batch
    assert [list(i.attributes) for i in decoded.items if isinstance(i, ItemInput)] == [
        list(i.attributes) for i in items
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(width=32), max_size=8), codes)
def test_embeddings_survive_the_wire_bit_by_bit(numbers: list[float], path: tuple[int, ...]) -> None:
    vector = np.array(numbers, dtype=np.float32)
    results = EmbedResults((ItemEmbedding("a", vector, path),), Versions("m", "c", "b"))
    back = EMBED_ITEMS.decode_reply(EMBED_ITEMS.encode_reply(results))
    entry = back.items[0]
    assert isinstance(entry, ItemEmbedding)
    assert (entry.item_id, entry.semantic_id, back.versions) == ("a", path, Versions("m", "c", "b"))
    assert entry.vector.tobytes() == vector.tobytes()
    assert not entry.vector.flags.writeable


def test_a_vector_is_little_endian_whatever_the_machine() -> None:
    assert pack_vector(np.array([1.0, -2.0], dtype=">f4")).data == b"\x00\x00\x80\x3f\x00\x00\x00\xc0"


@pytest.mark.parametrize(
    ("dtype", "data"),
    [
        (common_pb2.DTYPE_FLOAT32, b"\x00\x00\x80\x3f\x00\x00\x00\xc0"),
        (common_pb2.DTYPE_FLOAT16, b"\x00\x3c\x00\xc0"),
        (common_pb2.DTYPE_BFLOAT16, b"\x80\x3f\x00\xc0"),
    ],
)
def test_vectors_of_every_dtype_are_read(dtype: int, data: bytes) -> None:
    assert unpack_vector(common_pb2.Vector(dtype=dtype, data=data)).tolist() == [1.0, -2.0]


@pytest.mark.parametrize(("dtype", "data"), [(0, b""), (9, b"1234"), (1, b"123"), (2, b"1")])
def test_a_vector_of_no_dtype_or_of_half_a_number_is_refused(dtype: int, data: bytes) -> None:
    with pytest.raises(InvalidArgumentError):
        unpack_vector(common_pb2.Vector(dtype=dtype, data=data))


@pytest.mark.parametrize("path", sorted(RPCS))
def test_whatever_the_bytes_only_our_errors_come_out(path: str) -> None:
    rpc = RPCS[path]
    valid = st.just(b"") if path.endswith("GetServiceInfo") else st.binary(max_size=200)
    # Bytes that look like fields get further into the parser than plain noise.
    fieldlike = st.lists(
        st.tuples(st.integers(1, 30), st.binary(max_size=40)).map(
            lambda pair: bytes([(pair[0] << 3 | 2) & 0x7F, len(pair[1])]) + pair[1]
        ),
        max_size=5,
    ).map(b"".join)

    @settings(max_examples=150, deadline=None)
    @given(valid | st.binary(max_size=200) | fieldlike)
    def check(data: bytes) -> None:
        for read in (rpc.decode_request, rpc.decode_reply):
            with suppress(MmrecError):
                read(data)

    check()


def test_an_empty_picture_is_refused_and_not_taken_for_none() -> None:
    message = understanding_pb2.SearchItemsRequest(text="shoes", image=b"")
    with pytest.raises(InvalidImageError, match="0 bytes"):
        messages.search_request_from_wire(message)


def test_unset_weight_and_k_have_their_defaults() -> None:
    request = messages.search_request_from_wire(understanding_pb2.SearchItemsRequest(text="shoes"))
    assert (request.text_weight, request.k) == (0.5, 10)


def test_a_weight_of_zero_is_not_taken_for_unset() -> None:
    message = understanding_pb2.SearchItemsRequest(text="shoes", text_weight=0.0)
    assert messages.search_request_from_wire(message).text_weight == 0.0


def test_a_long_history_is_cut_to_the_most_recent_items() -> None:
    message = recommendation_pb2.RecommendRequest(history=[f"i{n}" for n in range(1500)])
    request = messages.recommend_request_from_wire(message)
    assert (len(request.history), request.history[0], request.history[-1]) == (1000, "i500", "i1499")


def test_a_broken_id_is_named_by_its_place_in_the_whole_history() -> None:
    message = recommendation_pb2.RecommendRequest(history=["i"] * 1499 + ["x" * 513])
    with pytest.raises(InvalidArgumentError) as refused:
        messages.recommend_request_from_wire(message)
    assert refused.value.violations[0].field == "history[1499]"


def test_too_many_ids_in_a_deny_list_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="deny has 100,001 ids; at most 100,000"):
        messages.recommend_request_from_wire(recommendation_pb2.RecommendRequest(deny=["i"] * 100_001))


def test_a_bad_request_of_a_batch_keeps_its_place_and_says_it() -> None:
    message = recommendation_pb2.BatchRecommendRequest(
        requests=[
            recommendation_pb2.RecommendRequest(k=1),
            recommendation_pb2.RecommendRequest(k=-1),
            recommendation_pb2.RecommendRequest(instruction="warmer"),
        ]
    )
    good, bad, not_built = messages.recommend_batch_from_wire(message).requests
    assert good == RecommendRequest(k=1)
    assert isinstance(bad, InvalidArgumentError)
    assert bad.violations[0].field == "requests[1].k"
    assert isinstance(not_built, NotImplementedYetError)
    assert not_built.message.startswith("requests[2].instruction is set")


def test_a_bad_item_of_a_batch_keeps_its_place_and_its_id() -> None:
    message = understanding_pb2.EmbedItemsRequest(
        items=[
            common_pb2.ItemInput(item_id="a", title="hat"),
            common_pb2.ItemInput(item_id="b", title="hat", image=b""),
            common_pb2.ItemInput(
                item_id="c",
                attributes=[
                    common_pb2.Attribute(name="x", value="1"),
                    common_pb2.Attribute(name="x", value="2"),
                ],
            ),
        ]
    )
    good, picture, twice = messages.embed_batch_from_wire(message).items
    assert good == ItemInput("a", "hat")
    assert isinstance(picture, ItemFailure)
    assert picture.item_id == "b"
    assert isinstance(picture.error, InvalidImageError)
    assert isinstance(twice, ItemFailure)
    assert isinstance(twice.error, InvalidArgumentError)
    assert twice.error.violations[0].field == "items[2].attributes[1].name"


@pytest.mark.parametrize("count", [1001, 5000])
def test_a_batch_of_too_many_is_refused_whole(count: int) -> None:
    with pytest.raises(InvalidArgumentError, match="at most 1,000"):
        messages.recommend_batch_from_wire(
            recommendation_pb2.BatchRecommendRequest(requests=[recommendation_pb2.RecommendRequest()] * count)
        )
    with pytest.raises(InvalidArgumentError, match="at most 1,000"):
        messages.embed_batch_from_wire(
            understanding_pb2.EmbedItemsRequest(items=[common_pb2.ItemInput(title="x")] * count)
        )


def test_half_precision_vectors_are_refused_until_they_are_built() -> None:
    with pytest.raises(NotImplementedYetError, match="dtype is 2"):
        messages.embed_batch_from_wire(understanding_pb2.EmbedItemsRequest(dtype=common_pb2.DTYPE_FLOAT16))


def test_a_fallback_of_a_later_version_is_read_as_none() -> None:
    message = recommendation_pb2.RecommendResponse(fallback=common_pb2.FALLBACK_FILTER_RELAXED)
    assert messages.recommendations_from_wire(message).fallback is Fallback.NONE


REQUESTS = {rpc.request_type.DESCRIPTOR.name: rpc for rpc in RPCS.values()}


@pytest.mark.parametrize("name", sorted(FIELDS_NOT_BUILT))
def test_every_field_that_is_not_built_is_refused_by_name(name: str) -> None:
    rpc = REQUESTS[name]
    for field_name in FIELDS_NOT_BUILT[name]:
        message = rpc.request_type(item_id="a") if name == "SimilarItemsRequest" else rpc.request_type()
        _set(message, rpc.request_type.DESCRIPTOR.fields_by_name[field_name])
        with pytest.raises(NotImplementedYetError, match=f"^{field_name} is set"):
            rpc.decode_request(message.SerializeToString())


def _set(message: object, field: FieldDescriptor) -> None:
    if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        getattr(message, field.name)["x"] = "y" if value.type == FieldDescriptor.TYPE_STRING else 1.0
    elif hasattr(getattr(message, field.name), "add"):
        getattr(message, field.name).add()
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, field.name).SetInParent()
    else:
        kinds = {FieldDescriptor.TYPE_STRING: "x", FieldDescriptor.TYPE_DOUBLE: 0.5}
        setattr(message, field.name, kinds.get(field.type, 1))


def test_the_table_of_calls_is_part_of_the_contract() -> None:
    assert set(RPCS) <= {method.path for method in METHODS}
