from __future__ import annotations

import math
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.contract.changes import ChangeEntry, ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.conversation import Constraint, ConversationState, ConversationTurn, ConverseRequest
from mmrec.contract.events import (
    DeletedUser,
    DeleteUserRequest,
    EventPage,
    EventResults,
    ListEventsRequest,
    RecordEventsRequest,
    UserEvent,
)
from mmrec.contract.items import (
    ITEM_FIELDS,
    ChannelShare,
    Evidence,
    Fallback,
    FilterMode,
    HistoryShare,
    ItemFailure,
    ItemInput,
    ItemRecord,
    Modality,
    NumberFormat,
    ScoredItem,
    Statement,
    StatementKind,
    Versions,
)
from mmrec.contract.replies import (
    DuplicateGroup,
    DuplicateGroups,
    EmbedResults,
    Explanation,
    Explanations,
    ItemEmbedding,
    ItemLookup,
    ItemPage,
    ItemPath,
    ItemTags,
    Mismatch,
    Mismatches,
    PredictedRating,
    PredictedRatings,
    Recommendations,
    ResolvedPath,
    ResolvedPaths,
    SearchResults,
    SemanticIds,
    ServiceInfo,
    Tag,
    TagCalibration,
    TagResults,
    UserEmbedding,
)
from mmrec.contract.requests import (
    DuplicatesRequest,
    EmbedRequest,
    EmbedUserRequest,
    ExplainRequest,
    HistoryEvent,
    ItemsRequest,
    ListItemsRequest,
    MismatchRequest,
    Promotion,
    RankRequest,
    RatingRequest,
    RecommendBatch,
    RecommendRequest,
    ResolveRequest,
    SearchBatch,
    SearchRequest,
    SemanticIdsRequest,
    ServiceInfoRequest,
    SimilarBatch,
    SimilarRequest,
    TagRequest,
)
from mmrec.errors import InvalidArgumentError, InvalidImageError, MmrecError, NotImplementedYetError
from mmrec.sdk.codec import from_message, pack_vector, unpack_vector
from mmrec.sdk.rpcs import EMBED_ITEMS, EMBED_USER, METHODS, RECOMMEND, RPCS, Rpc
from mmrec.v1 import common_pb2, recommendation_pb2, understanding_pb2

T = TypeVar("T")


def read(kind: type[T], message: Message) -> T:
    """What is read from a message, as other clients may send it."""
    return from_message(message, kind)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = words
numbers = st.floats(allow_nan=False)
versions = st.builds(Versions, words, words, words)
codes = st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple)
attributes = st.dictionaries(words.filter(bool), words, max_size=4)
pictures = st.none() | st.binary(min_size=1, max_size=50)
records = st.builds(ItemRecord, ids, words, words, words, attributes, codes)
history_shares = st.lists(st.builds(HistoryShare, ids, numbers), max_size=3).map(tuple)
shares = st.builds(ChannelShare, words, numbers, ids, history_shares)
id_lists = st.lists(ids, max_size=5).map(tuple)
counts = st.integers(0, 2**60)
statements = st.builds(
    Statement, st.none() | st.sampled_from(StatementKind), words, id_lists, words, words, counts, numbers
)
statement_lists = st.lists(statements, max_size=2).map(tuple)
share_lists = st.lists(shares, max_size=3).map(tuple)
scored = st.builds(ScoredItem, records, numbers, share_lists, words, statement_lists)
explained = st.builds(Explanation, ids, words, statement_lists, share_lists)
explanations = st.builds(Explanations, st.lists(explained, max_size=3).map(tuple), id_lists, versions)
languages = st.sampled_from(["", "en", "en-US"])
ranked = st.lists(scored, max_size=3).map(tuple)
ks = st.integers(0, 10**12)
new_ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
inputs = st.builds(ItemInput, new_ids, words.map(lambda w: w + "x"), words, pictures, attributes)
shares_of_one = st.floats(0, 1)
modes = st.sampled_from(FilterMode)
promotions = st.builds(
    Promotion,
    id_lists,
    words.map(lambda w: w + "x"),
    st.floats(0, 0.25),
    st.floats(-1e4, 1e4),
) | st.builds(Promotion, id_lists.filter(bool))
age_limits = st.just({}) | st.fixed_dictionaries(
    {"exploration_column": words.filter(bool), "exploration_max_age_days": st.floats(0, 1e9, exclude_min=True)}
)
item_fields = st.lists(st.sampled_from(ITEM_FIELDS), unique=True, max_size=4).map(tuple)
finite = st.floats(allow_nan=False, allow_infinity=False)
times = st.integers(-62_135_596_800, 253_402_300_799).map(float) | st.sampled_from([0.25, 1e9 + 0.5, -0.125])
history_events = st.builds(HistoryEvent, ids.filter(bool), words, st.none() | times, st.none() | finite)
wishes = st.fixed_dictionaries(
    {
        "item_fields": item_fields,
        "channel_weights": st.dictionaries(words.filter(bool), st.floats(0, 1e4), max_size=3),
        "attribute_weights": st.dictionaries(words.filter(bool), st.floats(-1e4, 1e4), max_size=3),
        "expected_versions": versions,
        "validate_only": st.booleans(),
        "history_events": st.lists(history_events, max_size=3).map(tuple),
        "filter": words,
        "filter_mode": modes,
        "diversity": shares_of_one,
        "exploration": shares_of_one,
        "popularity_damping": shares_of_one,
        "promotions": st.lists(promotions, max_size=4).map(tuple),
        "explain_in_words": st.booleans(),
        "instruction": words,
        "ignored_conditions": st.lists(words, max_size=3).map(tuple),
        "language": st.sampled_from(["", "en", "en-US"]),
    }
)
recommend_requests = st.builds(
    lambda asked, age, wished: RecommendRequest(*asked, **age, **wished),
    st.tuples(id_lists, ids, ks, id_lists, id_lists, st.booleans(), ks, st.booleans()),
    age_limits,
    wishes,
)
recommendations = st.builds(Recommendations, ids, ranked, id_lists, st.sampled_from(Fallback), versions)
fallbacks = st.sampled_from(Fallback)
similar_results = st.builds(SearchResults, ranked, versions, st.just(""), fallbacks)
search_results = st.builds(SearchResults, ranked, versions, words, fallbacks)
modalities = st.sampled_from(Modality)
similar_requests = st.builds(SimilarRequest, ids.filter(bool), ks, modalities, words, modes, shares_of_one, item_fields)
described = st.builds(
    SearchRequest,
    text=words.map(lambda w: w + "x"),
    image=pictures,
    text_weight=shares_of_one,
    k=ks,
    item_id=ids,
    item_weight=shares_of_one,
    modality=modalities,
    filter=words,
    filter_mode=modes,
    page_token=words,
    item_fields=item_fields,
    validate_only=st.booleans(),
)
by_vector = st.builds(
    SearchRequest, vector=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1).filter(any)
)
search_requests = described | by_vector
labels = st.lists(words.map(lambda w: w + "x"), unique=True, max_size=5).map(tuple)
templates = st.lists(words.map(lambda w: w + "{label}"), max_size=3).map(tuple)
tag_requests = st.builds(
    TagRequest,
    items=st.lists(inputs, max_size=3).map(tuple),
    item_ids=id_lists,
    labels=labels.filter(bool),
    templates=templates,
    k=ks,
    min_score=shares_of_one,
    modality=modalities,
) | st.builds(TagRequest, column=words.filter(bool), templates=templates)
tags = st.lists(st.builds(Tag, words, numbers), max_size=4).map(tuple)
calibrations = st.builds(
    TagCalibration,
    st.booleans(),
    numbers,
    st.integers(0, 2**60),
    st.none() | numbers,
    st.none() | numbers,
)
tag_results = st.builds(
    TagResults, st.lists(st.builds(ItemTags, ids, tags), max_size=3).map(tuple), id_lists, calibrations, versions
)
duplicates_requests = st.builds(
    DuplicatesRequest, id_lists, st.none() | st.floats(0.001, 1), words, modalities, ks, words
)
groups = st.builds(DuplicateGroup, id_lists, numbers, st.none() | st.sampled_from(Evidence))
duplicate_groups = st.builds(
    DuplicateGroups,
    st.lists(groups, max_size=3).map(tuple),
    id_lists,
    st.integers(0, 2**60),
    st.none() | numbers,
    st.none() | numbers,
    words,
    words,
    versions,
)
mismatch_requests = st.builds(MismatchRequest, id_lists, st.none() | st.floats(-1, 1), words, ks, words, item_fields)
mismatches = st.builds(
    Mismatches,
    st.lists(st.builds(Mismatch, records, numbers, numbers, numbers), max_size=3).map(tuple),
    id_lists,
    st.integers(0, 2**60),
    st.none() | numbers,
    words,
    words,
    versions,
)
whole_numbers = st.integers(0, 2**31 - 1)
list_requests = st.builds(ListItemsRequest, words, ks, words, item_fields)
item_pages = st.builds(ItemPage, st.lists(records, max_size=3).map(tuple), st.integers(0, 2**60), words, versions)
path_lists = st.lists(codes, max_size=3).map(tuple)
semantic_ids = st.builds(SemanticIds, st.lists(st.builds(ItemPath, ids, codes)).map(tuple), id_lists, versions)
resolved = st.builds(ResolvedPath, codes, st.lists(records, max_size=3).map(tuple), st.integers(0, 2**60))
resolved_paths = st.builds(ResolvedPaths, st.lists(resolved, max_size=3).map(tuple), versions)
masks = st.lists(st.sampled_from(["title", "image", "attributes.a b", "attributes"]), max_size=3).map(tuple)
upsert_batches = st.builds(
    UpsertRequest, st.lists(inputs, max_size=3).map(tuple), words, st.booleans(), st.booleans(), masks
)
events = st.builds(
    UserEvent,
    new_ids.filter(bool),
    new_ids.filter(bool),
    new_ids.map(lambda w: w + "x"),
    new_ids,
    new_ids,
    st.none() | st.integers(-(10**9), 4 * 10**9).map(lambda s: s + 0.25),
    st.none() | numbers.filter(math.isfinite),
    st.none() | numbers.filter(math.isfinite),
    ids,
    st.none() | st.integers(0, 2**31 - 1),
)
change_results = st.builds(ChangeResults, st.lists(st.builds(ChangeEntry, ids), max_size=3).map(tuple), versions, words)

constraints = st.builds(Constraint, ids, words.map(lambda w: w + "x"), words, shares_of_one, st.booleans())
constraint_lists = st.lists(constraints, max_size=3).map(tuple)
states = st.builds(
    ConversationState, constraint_lists, id_lists, id_lists, id_lists, ids, constraint_lists, words, st.integers(0, 199)
)
messages = st.builds(
    ConverseRequest,
    words.map(lambda w: w + "x"),
    states,
    history=id_lists,
    user_id=ids,
    filter=words,
    image=pictures,
    k=st.integers(0, 10**6),
    sponsored_column=ids,
)
turns = st.builds(ConversationTurn, words, ranked, states, ids, st.booleans(), id_lists, versions)

SAMPLES: dict[str, tuple[st.SearchStrategy, st.SearchStrategy]] = {
    "/mmrec.v1.RecommendationService/Recommend": (recommend_requests, recommendations),
    "/mmrec.v1.RecommendationService/BatchRecommend": (
        st.lists(recommend_requests, max_size=3).map(tuple).map(RecommendBatch),
        st.lists(recommendations, max_size=3),
    ),
    "/mmrec.v1.RecommendationService/RankItems": (
        st.builds(RankRequest, id_lists.filter(bool), recommend_requests),
        recommendations,
    ),
    "/mmrec.v1.RecommendationService/Converse": (messages, turns),
    "/mmrec.v1.RecommendationService/Explain": (
        st.builds(ExplainRequest, id_lists.filter(bool), recommend_requests, languages),
        explanations,
    ),
    "/mmrec.v1.RecommendationService/PredictRating": (
        st.builds(RatingRequest, id_lists.filter(bool), st.lists(history_events, max_size=3).map(tuple), ids),
        st.builds(
            PredictedRatings,
            st.lists(st.builds(PredictedRating, ids, numbers, st.none() | numbers), max_size=3).map(tuple),
            id_lists,
            versions,
        ),
    ),
    "/mmrec.v1.UnderstandingService/SimilarItems": (
        similar_requests,
        similar_results,
    ),
    "/mmrec.v1.UnderstandingService/BatchSimilarItems": (
        st.lists(similar_requests, max_size=3).map(tuple).map(SimilarBatch),
        st.lists(similar_results, max_size=3),
    ),
    "/mmrec.v1.UnderstandingService/SearchItems": (
        search_requests,
        search_results,
    ),
    "/mmrec.v1.UnderstandingService/BatchSearchItems": (
        st.lists(search_requests, max_size=3).map(tuple).map(SearchBatch),
        st.lists(search_results, max_size=3),
    ),
    "/mmrec.v1.UnderstandingService/TagItems": (
        tag_requests,
        tag_results,
    ),
    "/mmrec.v1.UnderstandingService/FindDuplicates": (duplicates_requests, duplicate_groups),
    "/mmrec.v1.UnderstandingService/FindMismatches": (mismatch_requests, mismatches),
    "/mmrec.v1.ItemService/GetItems": (
        st.builds(ItemsRequest, id_lists, item_fields),
        st.builds(ItemLookup, st.lists(records, max_size=3).map(tuple), id_lists, versions),
    ),
    "/mmrec.v1.ItemService/ListItems": (list_requests, item_pages),
    "/mmrec.v1.ItemService/GetSemanticIds": (st.builds(SemanticIdsRequest, id_lists, ids), semantic_ids),
    "/mmrec.v1.ItemService/ResolveSemanticIds": (st.builds(ResolveRequest, path_lists, ks, ids), resolved_paths),
    "/mmrec.v1.ItemService/UpsertItems": (upsert_batches, change_results),
    "/mmrec.v1.ItemService/StreamUpsertItems": (upsert_batches, change_results),
    "/mmrec.v1.ItemService/DeleteItems": (st.builds(DeleteRequest, id_lists, words, st.booleans()), change_results),
    "/mmrec.v1.RecommendationService/RecordEvents": (
        st.builds(RecordEventsRequest, st.lists(events, max_size=4).map(tuple), words, st.booleans()),
        st.builds(EventResults, st.lists(st.builds(ChangeEntry, ids), max_size=3).map(tuple), words),
    ),
    "/mmrec.v1.RecommendationService/ListEvents": (
        st.builds(ListEventsRequest, ids.filter(bool), ks, words),
        st.builds(EventPage, st.lists(events, max_size=4).map(tuple), words),
    ),
    "/mmrec.v1.RecommendationService/DeleteUser": (
        st.builds(DeleteUserRequest, ids.filter(bool)),
        st.builds(DeletedUser, whole_numbers),
    ),
    "/mmrec.v1.SystemService/GetServiceInfo": (
        st.builds(ServiceInfoRequest),
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
    assert sorted([*SAMPLES, EMBED_ITEMS.path, EMBED_USER.path]) == sorted(RPCS)


@settings(max_examples=60, deadline=None)
@given(id_lists, ids, words.map(lambda w: w + "x"), shares_of_one, st.integers(0, 2**20), fallbacks)
def test_customers_to_embed_and_their_vectors_survive_the_wire(
    history: tuple[str, ...], user_id: str, text: str, weight: float, dimension: int, fallback: Fallback
) -> None:
    request = EmbedUserRequest(history, user_id, text, weight, dimension)
    assert EMBED_USER.decode_request(EMBED_USER.encode_request(request)) == request
    reply = UserEmbedding(np.array([0.6, weight], np.float32), history, fallback, Versions("m", "c", "b"))
    found = EMBED_USER.decode_reply(EMBED_USER.encode_reply(reply))
    np.testing.assert_array_equal(found.vector, reply.vector)
    assert (found.missing_ids, found.fallback, found.versions) == (history, fallback, Versions("m", "c", "b"))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(inputs, max_size=3).map(tuple),
    st.integers(0, 2**20),
    modalities,
    st.sampled_from(NumberFormat),
    st.booleans(),
)
def test_items_to_embed_survive_the_wire(
    items: tuple[ItemInput, ...], dimension: int, modality: Modality, dtype: NumberFormat, validate_only: bool
) -> None:
    batch = EmbedRequest(items, dimension, modality, dtype, validate_only)
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
        read(SearchRequest, message)


def test_unset_weight_and_k_have_their_defaults() -> None:
    request = read(SearchRequest, understanding_pb2.SearchItemsRequest(text="shoes"))
    assert (request.text_weight, request.k) == (0.5, 10)


def test_a_weight_of_zero_is_not_taken_for_unset() -> None:
    message = understanding_pb2.SearchItemsRequest(text="shoes", text_weight=0.0)
    assert read(SearchRequest, message).text_weight == 0.0


def test_a_long_history_is_cut_to_the_most_recent_items() -> None:
    message = recommendation_pb2.RecommendRequest(history=[f"i{n}" for n in range(1500)])
    request = read(RecommendRequest, message)
    assert (len(request.history), request.history[0], request.history[-1]) == (1000, "i500", "i1499")


def test_a_broken_id_is_named_by_its_place_in_the_whole_history() -> None:
    message = recommendation_pb2.RecommendRequest(history=["i"] * 1499 + ["x" * 513])
    with pytest.raises(InvalidArgumentError) as refused:
        read(RecommendRequest, message)
    assert refused.value.violations[0].field == "history[1499]"


def test_a_broken_promotion_is_named_by_its_place() -> None:
    message = recommendation_pb2.RecommendRequest(
        promotions=[
            recommendation_pb2.Promotion(filter="a = 1", min_share=0.1),
            recommendation_pb2.Promotion(item_ids=["a", "x" * 513]),
        ]
    )
    with pytest.raises(InvalidArgumentError) as refused:
        read(RecommendRequest, message)
    assert [violation.field for violation in refused.value.violations] == ["promotions[1].item_ids[1]"]
    batch = recommendation_pb2.BatchRecommendRequest(requests=[message])
    (entry,) = read(RecommendBatch, batch).requests
    assert isinstance(entry, InvalidArgumentError)
    assert [violation.field for violation in entry.violations] == ["requests[0].promotions[1].item_ids[1]"]


def test_a_filter_mode_of_a_later_version_is_refused_in_a_recommendation() -> None:
    with pytest.raises(InvalidArgumentError, match="filter_mode is 9"):
        read(RecommendRequest, recommendation_pb2.RecommendRequest(filter_mode=9))


def test_too_many_ids_in_a_deny_list_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="deny has 100,001 ids; at most 100,000"):
        read(RecommendRequest, recommendation_pb2.RecommendRequest(deny=["i"] * 100_001))


def test_a_bad_request_of_a_batch_keeps_its_place_and_says_it() -> None:
    message = recommendation_pb2.BatchRecommendRequest(
        requests=[
            recommendation_pb2.RecommendRequest(k=1),
            recommendation_pb2.RecommendRequest(k=-1),
        ]
    )
    good, bad = read(RecommendBatch, message).requests
    assert good == RecommendRequest(k=1)
    assert isinstance(bad, InvalidArgumentError)
    assert bad.violations[0].field == "requests[1].k"


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
    good, picture, twice = read(EmbedRequest, message).items
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
        read(
            RecommendBatch,
            recommendation_pb2.BatchRecommendRequest(requests=[recommendation_pb2.RecommendRequest()] * count),
        )
    with pytest.raises(InvalidArgumentError, match="at most 1,000"):
        read(EmbedRequest, understanding_pb2.EmbedItemsRequest(items=[common_pb2.ItemInput(title="x")] * count))


@pytest.mark.parametrize(
    ("dtype", "numbers"),
    [
        (NumberFormat.FLOAT32, [1 / 3, -2.0, 1e-40, 3e38]),
        # To the nearest, halves to even; what is too small for the format is 0, what is too large infinite.
        (NumberFormat.FLOAT16, [0.333251953125, -2.0, 0.0, float("inf")]),
        (NumberFormat.BFLOAT16, [0.333984375, -2.0, 9.1835e-41, 3.00405527e38]),
    ],
)
def test_vectors_are_rounded_in_process_as_they_are_on_the_wire(dtype: NumberFormat, numbers: list[float]) -> None:
    vector = np.array([1 / 3, -2.0, 1e-40, 3e38], dtype=np.float32)
    batch = EmbedRequest((ItemInput("a", "hat"),), 0, Modality.FUSED, dtype)
    with np.errstate(over="ignore"):
        here = EMBED_ITEMS.join(batch, [EmbedResults((ItemEmbedding("a", vector),))])
        there = EMBED_ITEMS.decode_reply(EMBED_ITEMS.encode_reply(here))
    assert there.dtype is dtype
    entries = (here.items[0], there.items[0])
    assert all(isinstance(entry, ItemEmbedding) for entry in entries)
    rounded, travelled = (entry.vector for entry in entries if isinstance(entry, ItemEmbedding))
    assert rounded.tolist() == pytest.approx(numbers, rel=1e-4)
    assert travelled.tobytes() == rounded.tobytes()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_bfloat16_is_the_nearest(number: float) -> None:
    batch = EmbedRequest((ItemInput("a", "hat"),), 0, Modality.FUSED, NumberFormat.BFLOAT16)
    entry = EMBED_ITEMS.join(batch, [EmbedResults((ItemEmbedding("a", np.array([number], np.float32)),))]).items[0]
    assert isinstance(entry, ItemEmbedding)
    bits = int(np.array([number], np.float32).view(np.uint32)[0])
    below = np.array([bits & 0xFFFF0000], np.uint32).view(np.float32)[0]
    above = np.array([(bits & 0xFFFF0000) + 0x10000 & 0xFFFFFFFF], np.uint32).view(np.float32)[0]
    nearest = abs(float(entry.vector[0]) - number)
    # Next to the largest number there is, the nearest may be infinite.
    assert not np.isfinite(above) or nearest <= min(abs(float(below) - number), abs(float(above) - number))


def test_a_dtype_of_a_later_version_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="dtype is 9"):
        read(EmbedRequest, understanding_pb2.EmbedItemsRequest(dtype=9))


@pytest.mark.parametrize(
    ("field", "value"), [("modality", 9), ("filter_mode", 9), ("item_weight", 1.5), ("item_weight", float("nan"))]
)
def test_a_choice_of_a_later_version_is_refused(field: str, value: float) -> None:
    message = understanding_pb2.SearchItemsRequest(text="shoes", **{field: value})
    with pytest.raises(InvalidArgumentError) as refused:
        read(SearchRequest, message)
    assert [violation.field for violation in refused.value.violations] == [field]


@pytest.mark.parametrize(
    ("vector", "field"),
    [
        (common_pb2.Vector(), "vector.dtype"),
        (common_pb2.Vector(dtype=1, data=b"123"), "vector.data"),
        (common_pb2.Vector(dtype=1), "vector"),
        (common_pb2.Vector(dtype=1, data=b"\0\0\xc0\x7f"), "vector"),
        (common_pb2.Vector(dtype=1, data=b"\0\0\0\0"), "vector"),
        (common_pb2.Vector(dtype=2, data=b"\x00\x3c" * 65_537), "vector"),
    ],
    ids=["no dtype", "half a number", "empty", "nan", "no direction", "too long"],
)
def test_a_vector_that_cannot_be_searched_by_is_refused_by_field(vector: common_pb2.Vector, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        read(SearchRequest, understanding_pb2.SearchItemsRequest(vector=vector))
    assert [violation.field for violation in refused.value.violations] == [field]


def test_unset_weights_of_an_item_and_of_words_are_a_half_and_zero_is_zero() -> None:
    unset = read(SearchRequest, understanding_pb2.SearchItemsRequest(text="x", item_id="a"))
    assert (unset.item_weight, unset.text_weight) == (0.5, 0.5)
    zero = read(SearchRequest, understanding_pb2.SearchItemsRequest(text="x", item_id="a", item_weight=0.0))
    assert zero.item_weight == 0.0


def test_a_field_mask_with_a_field_that_items_do_not_have_is_refused() -> None:
    message = understanding_pb2.SimilarItemsRequest(item_id="a")
    message.item_fields.paths.extend(["title", "colour"])
    with pytest.raises(InvalidArgumentError) as refused:
        read(SimilarRequest, message)
    assert [violation.field for violation in refused.value.violations] == ["item_fields[1]"]


def test_a_bad_search_of_a_batch_keeps_its_place_and_says_it() -> None:
    message = understanding_pb2.BatchSearchItemsRequest(
        requests=[
            understanding_pb2.SearchItemsRequest(text="shoes"),
            understanding_pb2.SearchItemsRequest(text="shoes", k=-1),
        ]
    )
    good, bad = read(SearchBatch, message).requests
    assert good == SearchRequest("shoes")
    assert isinstance(bad, InvalidArgumentError)
    assert bad.violations[0].field == "requests[1].k"


def test_a_fallback_of_a_later_version_is_read_as_none() -> None:
    message = recommendation_pb2.RecommendResponse(fallback=99)
    assert read(Recommendations, message).fallback is Fallback.NONE


def test_a_request_without_a_field_of_its_message_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="DeleteUserRequest has no field for page_size, page_token of mmrec"):
        read(DeleteUserRequest, recommendation_pb2.ListEventsRequest(user_id="u"))


@pytest.mark.parametrize("path", sorted(RPCS))
def test_every_field_of_a_request_can_be_set(path: str) -> None:
    rpc = RPCS[path]
    for field in rpc.request_type.DESCRIPTOR.fields:
        message = rpc.request_type()
        _set(message, field)
        with suppress(InvalidArgumentError):  # but for rules of other fields
            rpc.decode_request(message.SerializeToString())


def _set(message: object, field: FieldDescriptor) -> None:
    if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        getattr(message, field.name)["x"] = 1.0
    elif hasattr(getattr(message, field.name), "add"):
        getattr(message, field.name).add()
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, field.name).SetInParent()
    else:
        values: dict[int, object] = {
            FieldDescriptor.TYPE_STRING: "x",
            FieldDescriptor.TYPE_BYTES: b"x",
            FieldDescriptor.TYPE_DOUBLE: 0.5,
        }
        value = values.get(field.type, 1)
        if hasattr(getattr(message, field.name), "append"):
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)


def test_the_table_of_calls_is_part_of_the_contract() -> None:
    assert set(RPCS) <= {method.path for method in METHODS}


@pytest.mark.parametrize(
    ("rpc", "sent", "field"),
    [
        (RECOMMEND, b"\xa2\x06\x01x", "field 100 of mmrec.v1.RecommendRequest"),
        # items[1] of a request to embed: a title, and field 100.
        (EMBED_ITEMS, b"\x0a\x03\x12\x01a\x0a\x06\x12\x01b\xa0\x06\x01", "field 100 of mmrec.v1.ItemInput"),
    ],
    ids=["at the top", "in an item"],
)
def test_a_field_of_newer_protos_is_refused_and_not_ignored(rpc: Rpc[Any, Any], sent: bytes, field: str) -> None:
    with pytest.raises(NotImplementedYetError, match=f"has {field}, which the protos of this server lack") as refused:
        rpc.decode_request(sent)
    assert "use a newer server" in refused.value.message


def test_a_field_of_newer_protos_in_a_reply_is_ignored() -> None:
    reply = RECOMMEND.encode_reply(Recommendations("id", ()))
    assert RECOMMEND.decode_reply(reply + b"\xa2\x06\x01x") == Recommendations("id", ())
