"""What every engine, and every way of calling one, must do: shared by the tests of each of them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import pytest

from mmrec.contract.changes import ChangeEntry, ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.engine import Engine
from mmrec.contract.items import Fallback, FilterMode, ItemFailure, ItemInput, ItemRecord, Modality, Versions
from mmrec.contract.replies import (
    DuplicateGroups,
    EmbedResults,
    Explanations,
    ItemEmbedding,
    ItemLookup,
    ItemPage,
    ItemTags,
    Mismatches,
    PredictedRatings,
    Recommendations,
    ResolvedPath,
    ResolvedPaths,
    SearchResults,
    SemanticIds,
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
    RecommendRequest,
    ResolveRequest,
    SearchRequest,
    SemanticIdsRequest,
    SimilarRequest,
    TagRequest,
)
from mmrec.contract.rules import MAX_K
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, InvalidImageError, MmrecError, NotFoundError
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.aio_transport import AsyncEngineTransport
from mmrec.sdk.client import Client
from mmrec.sdk.transport import EngineTransport

NOT_THERE = "no such item \u2603"


class Calls(Protocol):
    """What `Client` and `mmrec.Recommender` have in common."""

    recommend: Callable[..., Recommendations]
    recommend_many: Callable[..., list[Recommendations | MmrecError]]
    rank: Callable[..., Recommendations]
    embed_user: Callable[..., UserEmbedding]
    explain: Callable[..., Explanations]
    predict_ratings: Callable[..., PredictedRatings]
    similar: Callable[..., SearchResults]
    similar_many: Callable[..., list[SearchResults | MmrecError]]
    search: Callable[..., SearchResults]
    search_many: Callable[..., list[SearchResults | MmrecError]]
    embed: Callable[..., EmbedResults]
    tag: Callable[..., TagResults]
    duplicates: Callable[..., DuplicateGroups]
    mismatches: Callable[..., Mismatches]
    items: Callable[..., Any]
    list_items: Callable[..., ItemPage]
    semantic_ids: Callable[..., SemanticIds]
    resolve_semantic_ids: Callable[..., ResolvedPaths]
    upsert_items: Callable[..., ChangeResults]
    delete_items: Callable[..., ChangeResults]
    list_events: Callable[..., Any]
    delete_user: Callable[..., Any]
    info: Callable[..., Any]


class Blocking:
    """An `AsyncClient` with the calls of its blocking twin, for as long as `runner` lives."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            async def awaited() -> Any:
                return await method(*args, **kwargs)

            return self._runner.run(awaited())

        return call


# --- engines ------------------------------------------------------------------------------------------------


def assert_engine_contract(engine: Engine, known: list[str]) -> None:
    """The batch law and the promises of `mmrec.contract.engine.Engine`.

    Args:
        engine: The engine.
        known: At least three ids that its catalogue has.
    """
    info = engine.info()
    first, second, third = known[:3]
    assert info.items >= 3

    assert engine.recommend_many([]) == []
    asked = [
        RecommendRequest(history=(first, second), k=3),
        RecommendRequest(),
        RecommendRequest(history=(NOT_THERE, first, NOT_THERE), k=2),
        RecommendRequest(history=(first,), k=MAX_K),
        RecommendRequest(history=(first,), allow=(second, third), k=5),
        RecommendRequest(history=(first,), deny=(second,), k=MAX_K),
        RecommendRequest(history=(first,), allow=(first,), k=5),
        RecommendRequest(history=(first,), allow=(first,), include_seen=True, k=5),
    ]
    replies = engine.recommend_many(asked)
    assert len(replies) == len(asked)
    for request, reply in zip(asked, replies, strict=True):
        assert isinstance(reply, Recommendations), reply
        assert_ranked(reply.items, at_most=request.k)
        assert reply.versions == info.versions
        assert reply.recommendation_id
    plain, empty, unknown, whole, allowed, denied, only_seen, seen_again = replies
    assert len(plain.items) == min(3, info.items - 2)
    assert not {first, second} & set(plain.item_ids)
    assert empty.fallback is Fallback.POPULARITY
    assert plain.fallback is Fallback.NONE
    assert unknown.missing_ids == (NOT_THERE,)
    assert len(whole.items) == min(MAX_K, info.items - 1)
    assert sorted(allowed.item_ids) == sorted([second, third])
    assert second not in denied.item_ids
    assert only_seen.item_ids == ()
    assert seen_again.item_ids == (first,)
    assert_filter_contract(engine, known)
    # One request's reply does not hang on its neighbours.
    alone = engine.recommend_many([asked[0]])[0]
    assert isinstance(alone, Recommendations)
    assert alone.item_ids == plain.item_ids

    assert_ranking_contract(engine, known)
    assert_explanation_contract(engine, known)
    assert_words_contract(engine, known)
    assert_user_embedding_contract(engine, known)

    similar = engine.similar_many(
        [SimilarRequest(first, 3), SimilarRequest(NOT_THERE, 3), SimilarRequest(first, MAX_K)]
    )
    assert len(similar) == 3
    assert isinstance(similar[0], SearchResults)
    assert isinstance(similar[2], SearchResults)
    assert_ranked(similar[0].items, at_most=3)
    assert first not in similar[2].item_ids
    assert len(similar[2].items) == min(MAX_K, info.items - 1)
    assert isinstance(similar[1], NotFoundError)

    found = engine.search_many([SearchRequest("red shoes", k=2), SearchRequest("x", k=MAX_K)])
    for results, count in zip(found, (2, min(MAX_K, info.items)), strict=True):
        assert isinstance(results, SearchResults), results
        assert_ranked(results.items, at_most=count)
        assert len(results.items) == count
        assert all(-1.0001 <= scored.score <= 1.0001 for scored in results.items)

    embedded = engine.embed_many(
        [
            EmbedRequest((ItemInput("a", "red shoes"), ItemInput("b", "hat", image=b"no picture"))),
            EmbedRequest(()),
        ]
    )
    assert len(embedded) == 2
    assert isinstance(embedded[0], EmbedResults)
    assert isinstance(embedded[1], EmbedResults)
    good, bad = embedded[0].items
    assert isinstance(good, ItemEmbedding)
    assert good.item_id == "a"
    assert good.vector.shape == (info.dimension,)
    assert good.vector.dtype == np.float32
    assert float(np.linalg.norm(good.vector)) == pytest.approx(1.0, abs=1e-3)
    assert isinstance(bad, ItemFailure)
    assert isinstance(bad.error, InvalidArgumentError)
    assert embedded[1].items == ()

    assert_finding_contract(engine, known)
    assert_tagging_contract(engine, known)
    assert_checking_contract(engine, known)
    assert_look_up_contract(engine, known)
    assert_history_events_contract(engine, known)
    assert_versions_contract(engine, known)
    assert_checking_only_contract(engine, known)

    looked_up, named = engine.items_many(
        [ItemsRequest((second, NOT_THERE, first, NOT_THERE)), ItemsRequest((first,), ("title", "item_id"))]
    )
    assert isinstance(looked_up, ItemLookup)
    assert isinstance(named, ItemLookup)
    assert [item.item_id for item in looked_up.items] == [second, first]
    assert looked_up.missing_ids == (NOT_THERE,)
    assert looked_up.versions == info.versions
    assert all(len(item.semantic_id) == info.levels for item in looked_up.items)
    assert named.items == (ItemRecord(first, looked_up.items[1].title),)
    # What holds of the engine as it is now holds of its snapshot.
    assert engine.snapshot().items_many([ItemsRequest((first,))]) == engine.items_many([ItemsRequest((first,))])
    assert engine.snapshot().info() == info


def assert_history_events_contract(engine: Engine, known: list[str]) -> None:
    """Events are history, the last of them last; what was dismissed is not recommended, and unknown items are told."""
    first, second, third = known[:3]
    plain = RecommendRequest((first, second), deny=(third,), k=MAX_K)
    events = (
        HistoryEvent(third, "dismiss", time=20.0),
        HistoryEvent(second, "purchase", time=30.0, rating=5.0),
        HistoryEvent(NOT_THERE, time=40.0),
        HistoryEvent(first, time=10.0),
    )
    by_ids, by_events = engine.recommend_many([plain, RecommendRequest(k=MAX_K, history_events=events)])
    assert isinstance(by_ids, Recommendations)
    assert isinstance(by_events, Recommendations)
    assert by_events.item_ids == by_ids.item_ids
    assert (by_events.missing_ids, by_events.fallback) == ((NOT_THERE,), Fallback.NONE)


def assert_versions_contract(engine: Engine, known: list[str]) -> None:
    """A request that expects other versions than those that are served fails alone, and says both."""
    first, served = known[0], engine.info().versions
    of_one = replace(served, model="", codebook="")
    asked = [
        RecommendRequest((first,), k=1, expected_versions=versions)
        for versions in (served, of_one, Versions(), replace(served, catalogue="older"))
    ]
    *fine, other = engine.recommend_many(asked)
    assert [reply.versions for reply in fine if isinstance(reply, Recommendations)] == [served] * 3
    assert isinstance(other, FailedPreconditionError)
    assert "catalogue 'older'" in other.message
    assert f"served is model {served.model!r}, catalogue {served.catalogue!r}" in other.message
    (ranked,) = engine.rank_many([RankRequest((first,), asked[3])])
    (explained,) = engine.explain_many([ExplainRequest((first,), asked[3])])
    assert [type(ranked), type(explained)] == [FailedPreconditionError] * 2


def assert_checking_only_contract(engine: Engine, known: list[str]) -> None:
    """A request that is only checked is refused as a real one is, and otherwise answered with versions alone."""
    first, versions = known[0], engine.info().versions
    nothing = Recommendations("", (), versions=versions)
    customer = RecommendRequest((first, NOT_THERE), explain=True, validate_only=True)
    good, other, bad = engine.recommend_many(
        [customer, RecommendRequest(validate_only=True), replace(customer, filter="no_such_column = 1")]
    )
    assert [good, other] == [nothing] * 2
    assert isinstance(bad, InvalidArgumentError)
    assert engine.rank_many([RankRequest((first, NOT_THERE), customer)]) == [nothing]
    assert engine.explain_many([ExplainRequest((first,), customer)]) == [Explanations((), versions=versions)]

    (page,) = engine.search_many([SearchRequest("red shoes", k=1)])
    assert isinstance(page, SearchResults)
    checked = [
        SearchRequest("red shoes", validate_only=True),
        SearchRequest("red shoes", page_token=page.next_page_token, validate_only=True),
        SearchRequest(item_id=first, validate_only=True),
        SearchRequest(item_id=NOT_THERE, validate_only=True),
        SearchRequest("red shoes", filter="(", validate_only=True),
        SearchRequest("red shoes", page_token="?", validate_only=True),
        SearchRequest(vector=(1.0,) * 7, validate_only=True),
    ]
    found = engine.search_many(checked)
    assert found[:3] == [SearchResults((), versions)] * 3
    assert [type(one) for one in found[3:]] == [NotFoundError, *[InvalidArgumentError] * 3]
    # As without the check, and beside searches that are made.
    assert [str(one) for one in found[3:]] == [
        str(one) for one in engine.search_many([replace(one, validate_only=False) for one in checked[3:]])
    ]
    both = engine.search_many([checked[0], SearchRequest("red shoes", k=1), checked[0]])
    assert both == [found[0], page, found[0]]

    items = (ItemInput("a", "red shoes"), ItemInput("b", "red shoes", image=b"no picture"))
    (embedded,) = engine.embed_many([EmbedRequest(items, validate_only=True)])
    (lacking,) = engine.embed_many([EmbedRequest(items[:1], modality=Modality.PICTURE, validate_only=True)])
    assert isinstance(embedded, EmbedResults)
    assert isinstance(lacking, EmbedResults)
    would, broken = embedded.items
    assert isinstance(would, ItemEmbedding)
    assert isinstance(broken, ItemFailure)
    assert (would.item_id, would.vector.shape, would.semantic_id) == ("a", (0,), ())
    assert (broken.item_id, type(broken.error)) == ("b", InvalidImageError)
    assert [type(one) for one in lacking.items] == [ItemFailure]


def rows_of(engine: Engine, *item_ids: str) -> tuple[ItemRecord, ...]:
    """The rows of those items that the catalogue has."""
    (found,) = engine.items_many([ItemsRequest(item_ids)])
    assert isinstance(found, ItemLookup)
    return found.items


def assert_filter_contract(engine: Engine, known: list[str]) -> None:
    """A filter is kept to, a relaxed list goes on after what passes and says so, a bad filter fails alone."""
    first, second, third = known[:3]
    condition = f'item_id IN ("{second}", "{third}", "{first}")'
    strict, relaxed, stranger, bad, fine = engine.recommend_many(
        [
            RecommendRequest(history=(first,), k=3, filter=condition),
            RecommendRequest(history=(first,), k=3, filter=condition, filter_mode=FilterMode.RELAXED),
            RecommendRequest(k=5, filter=condition, filter_mode=FilterMode.RELAXED),
            RecommendRequest(history=(first,), filter="no_such_column = 1"),
            RecommendRequest(history=(first,), k=1),
        ]
    )
    assert isinstance(strict, Recommendations)
    assert isinstance(relaxed, Recommendations)
    assert isinstance(stranger, Recommendations)
    assert isinstance(fine, Recommendations)
    assert (set(strict.item_ids), strict.fallback) == ({second, third}, Fallback.NONE)
    wanted = min(3, engine.info().items - 1)
    assert (len(relaxed.items), len(set(relaxed.item_ids))) == (wanted, wanted)
    assert set(relaxed.item_ids[:2]) == {second, third}
    assert relaxed.fallback is (Fallback.FILTER_RELAXED if wanted > 2 else Fallback.NONE)
    assert set(stranger.item_ids[:3]) == {first, second, third}
    assert stranger.fallback is (Fallback.POPULARITY_FILTER_RELAXED if engine.info().items > 3 else Fallback.POPULARITY)
    assert isinstance(bad, InvalidArgumentError)
    assert [violation.field for violation in bad.violations] == ["filter"]


def assert_ranking_contract(engine: Engine, known: list[str]) -> None:
    """Given items come in the order that `recommend_many` gives them, without those that are denied or filtered."""
    first, second, third = known[:3]
    customer = RecommendRequest(history=(first,))
    plain, denied, filtered, stranger, bad = engine.rank_many(
        [
            RankRequest((third, NOT_THERE, first, second, third), customer),
            RankRequest((third, first, second), replace(customer, deny=(second,), k=1, allow=(NOT_THERE,))),
            RankRequest((third, first, second), replace(customer, filter=f'item_id != "{third}"')),
            RankRequest((third, second)),
            RankRequest((first,), replace(customer, filter="no_such_column = 1")),
        ]
    )
    (whole,) = engine.recommend_many([replace(customer, allow=(first, second, third), include_seen=True)])
    assert isinstance(whole, Recommendations)
    assert isinstance(plain, Recommendations)
    assert isinstance(denied, Recommendations)
    assert isinstance(filtered, Recommendations)
    assert isinstance(stranger, Recommendations)
    assert (plain.item_ids, plain.missing_ids, plain.fallback) == (whole.item_ids, (NOT_THERE,), Fallback.NONE)
    assert plain.recommendation_id
    assert plain.versions == engine.info().versions
    assert (set(denied.item_ids), denied.missing_ids) == ({first, third}, ())
    assert set(filtered.item_ids) == {first, second}
    assert (set(stranger.item_ids), stranger.fallback) == ({second, third}, Fallback.POPULARITY)
    assert isinstance(bad, InvalidArgumentError)
    assert [violation.field for violation in bad.violations] == ["filter"]


def assert_explanation_contract(engine: Engine, known: list[str]) -> None:
    """Shares come when they are asked for, and what rests on the history is divided over it without a rest."""
    first, second = known[:2]
    asked, plain, stranger = engine.recommend_many(
        [
            RecommendRequest(history=(first, NOT_THERE, second, first), k=3, explain=True),
            RecommendRequest(history=(first,), k=3),
            RecommendRequest(k=3, explain=True),
        ]
    )
    assert isinstance(asked, Recommendations)
    assert isinstance(plain, Recommendations)
    assert isinstance(stranger, Recommendations)
    assert {item.shares for item in plain.items} == {()}
    assert not any(share.history for item in stranger.items for share in item.shares)
    shares = [share for item in asked.items for share in item.shares]
    assert any(share.history for share in shares)
    for share in shares:
        parts = {part.history_item_id: part.share for part in share.history}
        assert len(parts) == len(share.history)
        assert set(parts) <= {first, second}
        if parts:
            assert sum(parts.values()) == pytest.approx(share.share, abs=1e-4)
            assert parts[share.history_item_id] == max(parts.values())
        else:
            assert share.history_item_id == ""


def assert_words_contract(engine: Engine, known: list[str]) -> None:
    """Explanations come in the order of the request, and what they rest on is in the history."""
    first, second, third = known[:3]
    asked, stranger, bad = engine.explain_many(
        [
            ExplainRequest((third, NOT_THERE, second, third), RecommendRequest((first, NOT_THERE))),
            ExplainRequest((second,)),
            ExplainRequest((second,), RecommendRequest(k=0)),
        ]
    )
    assert isinstance(asked, Explanations)
    assert isinstance(stranger, Explanations)
    assert isinstance(bad, Explanations)
    assert [one.item_id for one in asked.explanations] == [third, second]
    assert (asked.missing_ids, asked.versions) == ((NOT_THERE,), engine.info().versions)
    assert any(one.statements for one in asked.explanations)
    for one in asked.explanations:
        assert bool(one.text) == bool(one.statements)
        assert {item_id for statement in one.statements for item_id in statement.item_ids} <= {first}
        assert one.shares
    assert not any(statement.item_ids for one in stranger.explanations for statement in one.statements)


def assert_user_embedding_contract(engine: Engine, known: list[str]) -> None:
    """A customer's vector is of unit norm, and a search by it finds as many items as any other."""
    first, info = known[0], engine.info()
    asked, words, unknown, bad = engine.embed_user_many(
        [
            EmbedUserRequest((first, NOT_THERE)),
            EmbedUserRequest(text="red shoes"),
            EmbedUserRequest((NOT_THERE,)),
            EmbedUserRequest((first,), dimension=2**20),
        ]
    )
    assert isinstance(asked, UserEmbedding)
    assert isinstance(words, UserEmbedding)
    assert isinstance(unknown, UserEmbedding)
    assert isinstance(bad, InvalidArgumentError)
    assert [violation.field for violation in bad.violations] == ["dimension"]
    for one in (asked, words, unknown):
        assert (one.vector.shape, one.vector.dtype) == ((info.dimension,), np.float32)
        assert float(np.linalg.norm(one.vector)) == pytest.approx(1.0, abs=1e-3)
        assert one.versions == info.versions
    assert (asked.missing_ids, asked.fallback, words.fallback) == ((NOT_THERE,), Fallback.NONE, Fallback.NONE)
    assert (unknown.missing_ids, unknown.fallback) == ((NOT_THERE,), Fallback.POPULARITY)
    (found,) = engine.search_many([SearchRequest(vector=tuple(asked.vector.tolist()), k=3)])
    assert isinstance(found, SearchResults)
    assert len(found.items) == 3


def assert_finding_contract(engine: Engine, known: list[str]) -> None:
    """Filters, sides, pages, items and vectors to search by."""
    first, second, third = known[:3]
    total = engine.info().items
    those = f'item_id IN ("{first}", "{second}", "{third}")'
    strict, relaxed, none, broken, diverse, sparse = engine.similar_many(
        [
            SimilarRequest(first, MAX_K, filter=those),
            SimilarRequest(first, 4, filter=those, filter_mode=FilterMode.RELAXED),
            SimilarRequest(first, 5, filter=f'item_id = "{first}"'),
            SimilarRequest(first, 5, filter="item_id ="),
            SimilarRequest(first, total, diversity=0.5),
            SimilarRequest(first, 2, item_fields=("title",)),
        ]
    )
    assert isinstance(strict, SearchResults)
    assert sorted(strict.item_ids) == sorted([second, third])
    assert strict.fallback is Fallback.NONE
    assert isinstance(relaxed, SearchResults)
    assert relaxed.item_ids[:2] == strict.item_ids
    assert len(set(relaxed.item_ids) - {first}) == 4
    assert relaxed.fallback is Fallback.FILTER_RELAXED
    assert isinstance(none, SearchResults)
    assert none.items == ()
    assert isinstance(broken, InvalidArgumentError)
    assert [violation.field for violation in broken.violations] == ["filter"]
    assert isinstance(diverse, SearchResults)
    assert len(set(diverse.item_ids) - {first}) == total - 1
    assert isinstance(sparse, SearchResults)
    assert all(scored.item.item_id and not scored.item.semantic_id for scored in sparse.items)

    whole = engine.search_many([SearchRequest("red shoes", k=MAX_K, filter=f'item_id != "{first}"')])[0]
    assert isinstance(whole, SearchResults)
    assert whole.next_page_token == ""
    assert len(whole.items) == total - 1
    request = SearchRequest("red shoes", k=2, filter=f'item_id != "{first}"')
    paged: list[str] = []
    for _ in range(3):
        page = engine.search_many([request])[0]
        assert isinstance(page, SearchResults)
        paged += page.item_ids
        request = replace(request, page_token=page.next_page_token)
    assert paged == list(whole.item_ids[:6])
    for bad in (replace(request, text="blue shoes"), replace(request, page_token="?"), replace(request, filter="")):
        refused = engine.search_many([bad])[0]
        assert isinstance(refused, InvalidArgumentError)
        assert [violation.field for violation in refused.violations] == ["page_token"]

    vector = engine.embed_many([EmbedRequest((ItemInput("a", "red shoes"),))])[0]
    assert isinstance(vector, EmbedResults)
    assert isinstance(vector.items[0], ItemEmbedding)
    by_vector, too_short, by_item, both, not_there = engine.search_many(
        [
            SearchRequest(vector=tuple(vector.items[0].vector.tolist()), k=3),
            SearchRequest(vector=(1.0,)),
            SearchRequest(item_id=first, k=MAX_K),
            SearchRequest("red", item_id=first, item_weight=0.5, k=3),
            SearchRequest(item_id=NOT_THERE),
        ]
    )
    assert isinstance(by_vector, SearchResults)
    assert len(by_vector.items) == 3
    assert isinstance(too_short, InvalidArgumentError)
    assert isinstance(by_item, SearchResults)
    assert len(by_item.items) == total - 1
    assert first not in by_item.item_ids
    assert isinstance(both, SearchResults)
    assert first not in both.item_ids
    assert isinstance(not_there, NotFoundError)
    for modality in Modality:
        side = engine.search_many([SearchRequest("red shoes", k=MAX_K, modality=modality)])[0]
        assert isinstance(side, SearchResults)
        assert_ranked(side.items, at_most=total)


def assert_tagging_contract(engine: Engine, known: list[str]) -> None:
    """Probabilities, places of failures, columns."""
    first, second = known[:2]
    labels = ("shoe", "hat", "a very long label")
    column = next(iter(rows_of(engine, first)[0].attributes))
    ready, tagged, few, by_column, unknown, empty_column = engine.tag_many(
        [
            TagRequest(labels=labels),
            TagRequest((ItemInput("a", "red shoes"), ItemInput("b", "hat", image=b"no picture")), labels=labels, k=9),
            TagRequest((ItemInput("a", "red shoes"),), labels=labels, k=1, min_score=0.01),
            TagRequest(item_ids=(first, NOT_THERE, second, first), column=column),
            TagRequest((ItemInput("a", "red shoes"),), column="no such column"),
            TagRequest(column=column),
        ]
    )
    assert isinstance(ready, TagResults)
    assert ready.items == ()
    assert isinstance(tagged, TagResults)
    good, bad = tagged.items
    assert isinstance(good, ItemTags)
    assert sorted(tag.label for tag in good.tags) == sorted(labels)
    assert sum(tag.score for tag in good.tags) == pytest.approx(1.0, abs=1e-4)
    assert [tag.score for tag in good.tags] == sorted((tag.score for tag in good.tags), reverse=True)
    assert isinstance(bad, ItemFailure)
    assert isinstance(bad.error, InvalidArgumentError)
    assert not tagged.calibration.calibrated
    assert isinstance(few, TagResults)
    assert isinstance(few.items[0], ItemTags)
    assert few.items[0].tags == good.tags[:1]
    assert isinstance(by_column, TagResults)
    assert [entry.item_id for entry in by_column.items] == [first, second, first]
    assert by_column.missing_ids == (NOT_THERE,)
    assert by_column.calibration.temperature > 0
    assert isinstance(unknown, InvalidArgumentError)
    assert isinstance(empty_column, TagResults)


def assert_checking_contract(engine: Engine, known: list[str]) -> None:
    """Duplicates and mismatches: pages, filters, ids that are not there."""
    every = engine.duplicates_many([DuplicatesRequest(page_size=MAX_K)])[0]
    assert isinstance(every, DuplicateGroups)
    assert every.total == len(every.groups)
    assert every.explanation
    assert all(len(set(group.item_ids)) == len(group.item_ids) > 1 for group in every.groups)
    alike = [group.similarity for group in every.groups]
    assert alike == sorted(alike, reverse=True)
    ghosts, nothing, bad_token, bad_filter = engine.duplicates_many(
        [
            DuplicatesRequest(item_ids=(NOT_THERE,)),
            DuplicatesRequest(filter='item_id = "no such id"'),
            DuplicatesRequest(page_token="?"),
            DuplicatesRequest(filter="("),
        ]
    )
    assert isinstance(ghosts, DuplicateGroups)
    assert (ghosts.groups, ghosts.missing_ids) == ((), (NOT_THERE,))
    assert isinstance(nothing, DuplicateGroups)
    assert nothing.groups == ()
    assert isinstance(bad_token, InvalidArgumentError)
    assert isinstance(bad_filter, InvalidArgumentError)

    worst = engine.mismatches_many([MismatchRequest(max_agreement=1.0, page_size=MAX_K)])[0]
    assert isinstance(worst, Mismatches)
    assert worst.total == len(worst.items)
    places = [entry.percentile for entry in worst.items]
    assert places == sorted(places)
    paged, token = [], ""
    while True:
        page = engine.mismatches_many([MismatchRequest(max_agreement=1.0, page_size=1, page_token=token)])[0]
        assert isinstance(page, Mismatches)
        paged += [entry.item_id for entry in page.items]
        token = page.next_page_token
        if not token or len(paged) == 5:
            break
    assert paged == [entry.item_id for entry in worst.items][:5]
    one, filtered, broken = engine.mismatches_many(
        [
            MismatchRequest(item_ids=(worst.items[-1].item_id, NOT_THERE)),
            MismatchRequest(max_agreement=1.0, filter=f'item_id = "{worst.items[0].item_id}"', item_fields=("title",)),
            MismatchRequest(page_token="?"),
        ]
    )
    assert isinstance(one, Mismatches)
    assert [entry.item_id for entry in one.items] == [worst.items[-1].item_id]
    assert one.missing_ids == (NOT_THERE,)
    assert isinstance(filtered, Mismatches)
    assert [entry.item_id for entry in filtered.items] == [worst.items[0].item_id]
    assert filtered.items[0].item.semantic_id == ()
    assert isinstance(broken, InvalidArgumentError)


def assert_look_up_contract(engine: Engine, known: list[str]) -> None:
    """Pages of rows, and the way between items and semantic IDs in both directions."""
    first, second, third = known[:3]
    info = engine.info()
    whole, sparse, none, broken, bad_token = engine.list_items_many(
        [
            ListItemsRequest(page_size=MAX_K),
            ListItemsRequest(f'item_id IN ("{first}", "{third}")', item_fields=("title",)),
            ListItemsRequest('item_id = "no such id"'),
            ListItemsRequest("("),
            ListItemsRequest(page_token="?"),
        ]
    )
    assert isinstance(whole, ItemPage)
    assert whole.total == len(set(whole.item_ids)) == info.items
    assert whole.versions == info.versions
    assert isinstance(sparse, ItemPage)
    assert list(sparse.item_ids) == [item_id for item_id in whole.item_ids if item_id in (first, third)]
    assert all(item.title and not item.semantic_id for item in sparse.items)
    assert isinstance(none, ItemPage)
    assert (none.items, none.total, none.next_page_token) == ((), 0, "")
    assert isinstance(broken, InvalidArgumentError)
    assert isinstance(bad_token, InvalidArgumentError)
    request, paged = ListItemsRequest(f'item_id != "{second}"', page_size=2), []
    while True:
        page = engine.list_items_many([request])[0]
        assert isinstance(page, ItemPage)
        assert page.total == info.items - 1
        paged += page.item_ids
        if not page.next_page_token:
            break
        request = replace(request, page_token=page.next_page_token)
    assert paged == [item_id for item_id in whole.item_ids if item_id != second]

    own, other = engine.semantic_ids_many(
        [
            SemanticIdsRequest((second, NOT_THERE, first, NOT_THERE, second), info.versions.codebook),
            SemanticIdsRequest((first,), "no such version"),
        ]
    )
    assert isinstance(own, SemanticIds)
    assert [entry.item_id for entry in own.entries] == [second, first, second]
    assert own.missing_ids == (NOT_THERE,)
    assert own.versions == info.versions
    assert {len(entry.semantic_id) for entry in own.entries} == {info.levels}
    assert isinstance(other, FailedPreconditionError)

    path = own.entries[1].semantic_id
    found, refused, elsewhere = engine.resolve_many(
        [
            ResolveRequest((path, path[:1], path[:-1]), page_size=MAX_K),
            ResolveRequest(((), path, (*path, 0))),
            ResolveRequest((path,), codebook_version="no such version"),
        ]
    )
    assert isinstance(found, ResolvedPaths)
    exact, wide, narrow = found.entries
    assert [item.item_id for item in exact.items] == [first]
    assert exact.items == rows_of(engine, first)
    assert first in {item.item_id for item in narrow.items} <= {item.item_id for item in wide.items}
    assert [entry.total for entry in found.entries] == [len(entry.items) for entry in found.entries]
    assert all(item.semantic_id[:1] == path[:1] for item in wide.items)
    assert isinstance(refused, ResolvedPaths)
    empty, good, long = refused.entries
    assert isinstance(empty.error, InvalidArgumentError)
    assert [item.item_id for item in good.items] == [first]
    assert isinstance(long.error, InvalidArgumentError)
    assert [violation.field for violation in long.error.violations] == ["semantic_ids[2]"]
    assert isinstance(elsewhere, FailedPreconditionError)


def assert_change_contract(engine: Engine, known: list[str]) -> None:
    """Items come, are replaced and go, each answered on its own; a change with an id is made once.

    Args:
        engine: The engine; it is left with one item less than it had.
        known: At least two ids that its catalogue has.
    """
    first, second = known[:2]
    before = engine.info()
    assert engine.upsert_many([]) == []
    assert engine.delete_many([]) == []

    new, bad = ItemInput("come-1", "hat"), ItemInput("come-2", "hat", image=b"no picture")
    refusal = InvalidArgumentError("could not be read", field="items[0]")
    mixed = (ItemFailure("", refusal), new, bad, ItemInput("", "hat"), ItemInput("come-1", "hat again"))
    (checked,) = engine.upsert_many([UpsertRequest(mixed, "r-1", validate_only=True)])
    assert isinstance(checked, ChangeResults)
    assert checked.versions == before.versions == engine.info().versions
    assert rows_of(engine, "come-1") == ()

    made, again, other, unnamed = engine.upsert_many(
        [
            UpsertRequest(mixed, "r-1"),
            UpsertRequest(mixed, "r-1", wait_until_visible=True),
            UpsertRequest((new,), "r-1"),
            UpsertRequest((ItemInput(second, "another title"), ItemInput("come-3", "shoe"))),
        ]
    )
    for results in (checked, made):
        assert isinstance(results, ChangeResults)
        assert [entry.id for entry in results.entries] == ["", "come-1", "come-2", "", "come-1"]
        assert results.entries[0].error is refusal
        assert results.done == ("come-1",)
        errors = [entry.error for entry in results.refused[1:]]
        assert [[v.field for v in e.violations] for e in errors if isinstance(e, InvalidArgumentError)] == [
            ["image"],
            ["item_id"],
            ["item_id"],
        ]
        assert results.request_id == "r-1"
    assert again == made
    assert isinstance(made, ChangeResults)
    assert isinstance(other, FailedPreconditionError)
    assert isinstance(unnamed, ChangeResults)
    assert (unnamed.done, unnamed.request_id) == ((second, "come-3"), "")
    assert len({before.versions, made.versions, unnamed.versions}) == 3
    assert (made.versions.model, made.versions.codebook) == (before.versions.model, before.versions.codebook)
    assert engine.info().versions == unnamed.versions
    assert engine.info().items == before.items + 2
    found = rows_of(engine, "come-1", second, "come-3")
    assert [item.title for item in found] == ["hat", "another title", "shoe"]
    assert len({item.semantic_id for item in found}) == 3
    (page,) = engine.list_items_many([ListItemsRequest('item_id IN ("come-1", "come-2", "come-3")')])
    assert isinstance(page, ItemPage)
    assert page.item_ids == ("come-1", "come-3")

    everything = DeleteRequest(tuple(item.item_id for item in _all_items(engine)))
    gone = DeleteRequest((NOT_THERE, "come-1", first, "come-3", "come-1"), "r-2")
    replies = engine.delete_many(
        [replace(gone, validate_only=True), everything, replace(everything, validate_only=True)]
    )
    assert isinstance(replies[0], ChangeResults)
    assert isinstance(replies[0].entries[0].error, NotFoundError)
    assert isinstance(replies[1], FailedPreconditionError)
    assert isinstance(replies[2], FailedPreconditionError)
    assert engine.info().items == before.items + 2
    deleted, repeated, of_another_kind = engine.delete_many([gone, gone, DeleteRequest((first,), "r-1")])
    assert isinstance(deleted, ChangeResults)
    assert [entry.id for entry in deleted.entries] == [NOT_THERE, "come-1", first, "come-3", "come-1"]
    assert deleted.done == ("come-1", first, "come-3", "come-1")
    assert isinstance(deleted.refused[0].error, NotFoundError)
    assert deleted.request_id == "r-2"
    assert repeated == deleted
    assert isinstance(of_another_kind, FailedPreconditionError)
    assert engine.info().items == before.items - 1
    assert rows_of(engine, first, "come-1") == ()
    (shown,) = engine.recommend_many([RecommendRequest((second,), k=MAX_K)])
    assert isinstance(shown, Recommendations)
    assert not {first, "come-1", "come-3"} & set(shown.item_ids)
    # What has gone may come back.
    (back,) = engine.upsert_many([UpsertRequest((ItemInput(first, "back"),))])
    assert isinstance(back, ChangeResults)
    assert rows_of(engine, first)[0].title == "back"
    engine.delete_many([DeleteRequest((first,))])


def _all_items(engine: Engine) -> tuple[Any, ...]:
    (page,) = engine.list_items_many([ListItemsRequest(page_size=MAX_K)])
    assert isinstance(page, ItemPage)
    return page.items


def assert_ranked(items: tuple[Any, ...], *, at_most: int) -> None:
    """No item twice, best first, not too many."""
    assert len(items) <= at_most
    assert len({scored.item_id for scored in items}) == len(items)
    scores = [scored.score for scored in items]
    assert scores == sorted(scores, reverse=True)


# --- ways of calling ----------------------------------------------------------------------------------------


def outcome(call: Callable[[Calls], Any], way: Calls) -> Any:
    """What a call gives, in a form that can be compared: its value, or the class and words of its error."""
    try:
        value = call(way)
    except MmrecError as err:
        return _comparable(err)
    return _comparable(value)


def _comparable(value: Any) -> Any:
    if isinstance(value, MmrecError):
        return (type(value).__name__, value.message, getattr(value, "violations", ()))
    if isinstance(value, list | tuple):
        return [_comparable(entry) for entry in value]
    if isinstance(value, UserEmbedding):
        return (value.vector.tolist(), value.missing_ids, value.fallback, value.versions)
    if isinstance(value, ItemEmbedding):
        return (value.item_id, value.vector.tolist(), value.semantic_id)
    if isinstance(value, ItemFailure):
        return (value.item_id, _comparable(value.error))
    if isinstance(value, EmbedResults):
        return (_comparable(value.items), value.versions, value.dtype if value.items else None)
    if isinstance(value, ResolvedPaths):
        return (_comparable(value.entries), value.versions)
    if isinstance(value, ResolvedPath):
        return (value.semantic_id, value.items, value.total, _comparable(value.error))
    if isinstance(value, ChangeResults):
        return (_comparable(value.entries), value.versions, value.request_id)
    if isinstance(value, ChangeEntry):
        return (value.id, _comparable(value.error))
    if isinstance(value, TagResults):
        return (_comparable(value.items), value.missing_ids, value.calibration, value.versions)
    if isinstance(value, Recommendations):
        return (value.items, value.missing_ids, value.fallback, value.versions)
    return value


def calls_to_compare(known: list[str]) -> list[Callable[[Calls], Any]]:
    """Calls, good and bad, whose outcomes must not hang on the way they are made."""
    first, second = known[:2]
    return [
        lambda c: c.recommend(),
        lambda c: c.recommend([first, second], k=3),
        lambda c: c.recommend([first, NOT_THERE], k=3, deny=[second], explain=True),
        lambda c: c.recommend(iter([first]), k=2, allow={first}, include_seen=True),
        lambda c: c.recommend([first], k=3, filter=f'item_id != "{second}"', filter_mode="relaxed"),
        lambda c: c.recommend([first], k=3, filter=f'item_id = "{second}"', filter_mode="relaxed"),
        lambda c: c.recommend(k=3, filter=f'item_id = "{second}"', filter_mode=FilterMode.RELAXED),
        lambda c: c.recommend([first], filter="no_such_column = 1"),
        lambda c: c.recommend([first], filter_mode="loose"),
        lambda c: c.recommend([first], k=3, promotions=[Promotion((second,), boost=0.0)]),
        lambda c: c.recommend([first], promotions=[second]),
        lambda c: c.recommend([first], diversity=float("nan")),
        lambda c: c.recommend([first], k=0),
        lambda c: c.recommend([first], k=10**9),
        lambda c: c.recommend([first], k=-1),
        lambda c: c.recommend([first], k=2.5),
        lambda c: c.recommend([first], k=np.int64(2)),
        lambda c: c.recommend(first),
        lambda c: c.recommend([7]),
        lambda c: c.recommend(None),
        lambda c: c.recommend(["\ud800"]),
        lambda c: c.recommend(["x" * 513]),
        lambda c: c.recommend_many([RecommendRequest((first,), k=2), RecommendRequest(k=1)]),
        lambda c: c.recommend_many([]),
        lambda c: c.rank([second, NOT_THERE, first], [first]),
        lambda c: c.rank(iter([second, first]), deny=[second], explain=True),
        lambda c: c.rank([first, second], [second], filter=f'item_id = "{first}"', filter_mode="relaxed"),
        lambda c: c.rank([first], filter="no_such_column = 1"),
        lambda c: c.rank([NOT_THERE]),
        lambda c: c.rank([]),
        lambda c: c.rank(first),
        lambda c: c.rank([7]),
        lambda c: c.rank([first] * 10_001),
        lambda c: c.rank([first], history=7),
        lambda c: c.recommend([first], k=2, explain_in_words=True, language="en-GB"),
        lambda c: c.recommend([first], explain_in_words=1),
        lambda c: c.recommend([first], language="de"),
        lambda c: c.recommend([first], language=7),
        lambda c: c.embed_user([first, NOT_THERE]),
        lambda c: c.embed_user(iter([first]), text="red shoes", text_weight=0.25),
        lambda c: c.embed_user(user_id="someone", dimension=1),
        lambda c: c.embed_user(),
        lambda c: c.embed_user(text="  "),
        lambda c: c.embed_user([first], text_weight=2),
        lambda c: c.embed_user([first], dimension=-1),
        lambda c: c.embed_user(first),
        lambda c: c.explain([second, NOT_THERE, first], [first], language="EN"),
        lambda c: c.explain(iter([second]), user_id="someone", popularity_damping=0.5),
        lambda c: c.explain([second], language="fr"),
        lambda c: c.explain([]),
        lambda c: c.explain([NOT_THERE]),
        lambda c: c.explain(first),
        lambda c: c.explain([first] * 101),
        lambda c: c.explain([first], history=[7]),
        lambda c: c.predict_ratings([first, NOT_THERE], history=[HistoryEvent(second, rating=2.0, time=1e9)]),
        lambda c: c.predict_ratings([first], history=[HistoryEvent(second, rating=1e9)]),
        lambda c: c.predict_ratings([]),
        lambda c: c.predict_ratings([first], history=[second]),
        lambda c: c.predict_ratings([first], user_id=7),
        lambda c: c.similar(first, 3),
        lambda c: c.similar(first, k=10**6),
        lambda c: c.similar(NOT_THERE),
        lambda c: c.similar(""),
        lambda c: c.search("red shoes", k=2),
        lambda c: c.search(),
        lambda c: c.search("   "),
        lambda c: c.search("x" * 1_000_000),
        lambda c: c.search("x", text_weight=float("nan")),
        lambda c: c.search(image=b""),
        lambda c: c.search(image="/no/such/picture.jpg"),
        lambda c: c.embed([]),
        lambda c: c.embed([{"item_id": "a", "title": "red shoes"}, ItemInput("b", "hat")]),
        lambda c: c.embed([{"item_id": "a"}, {"item_id": "b", "title": "hat", "image": b"no picture"}]),
        lambda c: c.embed([{"colour": "red"}]),
        lambda c: c.embed([{"title": "hat", "attributes": ["red"]}, {"title": 7}, {"item_id": 7}]),
        lambda c: c.embed([7]),
        lambda c: c.embed("hat"),
        lambda c: c.embed([{"title": "hat"}], dimension=-1),
        lambda c: c.embed([{"title": "red shoes"}], modality="words"),
        lambda c: c.embed([{"title": "red shoes"}], modality="picture"),
        lambda c: c.embed([{"title": "red shoes"}, {"title": "hat"}], dtype="float16"),
        lambda c: c.embed([{"title": "red shoes"}], dtype="bfloat16"),
        lambda c: c.embed([{"title": "red shoes"}], dtype="float8"),
        lambda c: c.similar(first, 3, filter=f'item_id != "{second}"'),
        lambda c: c.similar(first, 3, filter=f'item_id = "{second}"', filter_mode="relaxed"),
        lambda c: c.similar(first, 3, modality="words", diversity=0.3, item_fields=["title"]),
        lambda c: c.similar(first, filter="no_such_column = 1"),
        lambda c: c.similar(first, filter=")("),
        lambda c: c.similar(first, modality="smell"),
        lambda c: c.similar(first, diversity=1.5),
        lambda c: c.similar(first, item_fields=["colour"]),
        lambda c: c.similar(first, item_fields="title"),
        lambda c: c.similar_many([SimilarRequest(first, 2), SimilarRequest(NOT_THERE)]),
        lambda c: c.similar_many([]),
        lambda c: c.search(item_id=first, k=2),
        lambda c: c.search("blue", item_id=first, item_weight=0.4, k=2),
        lambda c: c.search(item_id=NOT_THERE),
        lambda c: c.search(item_id=first, item_weight=2),
        lambda c: c.search(vector=[1, 2, 3, 4, 5]),
        lambda c: c.search(vector=[0.0, 0.0]),
        lambda c: c.search(vector=[float("nan")]),
        lambda c: c.search(vector="abc"),
        lambda c: c.search("x", vector=[1.0]),
        lambda c: c.search("x", k=3, filter=f'item_id != "{first}"', item_fields=["title", "attributes"]),
        lambda c: c.search("x", filter="x" * 10_001),
        lambda c: c.search("x", filter_mode="lenient"),
        lambda c: c.search("x", modality="picture", k=3),
        lambda c: c.search("x", page_token="not one of ours"),
        lambda c: c.search("x", k=2, page_token=c.search("x", k=2).next_page_token),
        lambda c: c.search_many([SearchRequest("x", k=2), SearchRequest(item_id=first, k=1)]),
        lambda c: c.search_many([]),
        lambda c: c.tag([{"item_id": "a", "title": "red shoes"}, ItemInput("b", "hat")], labels=["shoe", "hat"]),
        lambda c: c.tag(
            [{"item_id": "a"}, {"item_id": "b", "title": "hat", "image": b"no picture"}, {"title": "hat"}],
            item_ids=[second, NOT_THERE],
            labels=["shoe", "hat"],
            templates=["a {label}"],
        ),
        lambda c: c.tag([{"title": "hat"}], labels=[f"label {n}" for n in range(70)], k=2, min_score=0.001),
        lambda c: c.tag(item_ids=[first] * 40, labels=["shoe", "hat"], modality="words"),
        lambda c: c.tag(labels=["shoe"]),
        lambda c: c.tag([], labels=["shoe"]),
        lambda c: c.tag([{"title": "hat"}]),
        lambda c: c.tag([{"title": "hat"}], labels=["a"], column="b"),
        lambda c: c.tag([{"title": "hat"}], labels=["a", "a"]),
        lambda c: c.tag([{"title": "hat"}], labels=["a", " "]),
        lambda c: c.tag([{"title": "hat"}], labels=[7]),
        lambda c: c.tag([{"title": "hat"}], labels="ab"),
        lambda c: c.tag([{"title": "hat"}], labels=["x"] * 10_001),
        lambda c: c.tag([{"title": "hat"}], labels=["a"], templates=["no place"]),
        lambda c: c.tag([{"title": "hat"}], labels=["a"], k=-1),
        lambda c: c.tag([{"title": "hat"}], labels=["a"], min_score=1.1),
        lambda c: c.tag([{"title": "hat"}], column="no such column"),
        lambda c: c.tag([7], labels=["a"]),
        lambda c: c.tag([{"title": "hat"}] * 600, item_ids=[first] * 600, labels=["a"]),
        lambda c: c.duplicates(),
        lambda c: c.duplicates([first, NOT_THERE], page_size=1),
        lambda c: c.duplicates(min_similarity=0.98, modality="words", filter=f'item_id != "{first}"'),
        lambda c: c.duplicates(min_similarity=0),
        lambda c: c.duplicates(min_similarity=1.01),
        lambda c: c.duplicates(page_size=-1),
        lambda c: c.duplicates(page_token="not one of ours"),
        lambda c: c.duplicates(filter="("),
        lambda c: c.mismatches(),
        lambda c: c.mismatches([first, NOT_THERE], item_fields=["title"]),
        lambda c: c.mismatches(max_agreement=1.0, page_size=2),
        lambda c: c.mismatches(max_agreement=-2),
        lambda c: c.mismatches(first),
        lambda c: c.mismatches(page_token="\ud800"),
        lambda c: c.items([second, NOT_THERE, first]),
        lambda c: c.items([first], item_fields=["title", "semantic_id"]),
        lambda c: c.items([first], item_fields=["colour"]),
        lambda c: c.recommend([first], k=2, item_fields=["title"]),
        lambda c: c.recommend([first], item_fields=["colour"]),
        lambda c: c.rank([first, second], item_fields=["item_id"]),
        lambda c: c.recommend([first], history_events=[HistoryEvent(second, "dismiss", 1e9, 5.0)], explain=True),
        lambda c: c.recommend(history_events=[HistoryEvent(NOT_THERE)]),
        lambda c: c.recommend(history_events=[first]),
        lambda c: c.rank([first, second], history_events=(HistoryEvent(first, time=0.5), HistoryEvent(second))),
        lambda c: c.explain([first], history_events=[HistoryEvent(second)]),
        lambda c: c.recommend([first, NOT_THERE], validate_only=True),
        lambda c: c.recommend([first], filter=")(", validate_only=True),
        lambda c: c.recommend([first], validate_only="yes"),
        lambda c: c.rank([first], [second], validate_only=True),
        lambda c: c.explain([first], [second], validate_only=True),
        lambda c: c.search("x", validate_only=True),
        lambda c: c.search_many([SearchRequest("x", validate_only=True), SearchRequest("x", k=1)]),
        lambda c: c.search(item_id=NOT_THERE, validate_only=True),
        lambda c: c.embed([{"title": "hat"}, {"title": "hat", "image": b"no picture"}, {}], validate_only=True),
        lambda c: c.embed([{"title": "hat"}], dtype="bfloat16", validate_only=True),
        lambda c: c.recommend([first], expected_versions=c.info().versions),
        lambda c: c.recommend([first], expected_versions=Versions(codebook="another")),
        lambda c: c.recommend([first], expected_versions="another"),
        lambda c: c.recommend([first], expected_versions=Versions(model=7)),
        lambda c: c.recommend_many([RecommendRequest((first,), k=2, channel_weights={"popularity": 0.5})]),
        lambda c: c.recommend([first], channel_weights={"popularity": -1.0}),
        lambda c: c.recommend([first], channel_weights=["popularity"]),
        lambda c: c.recommend([first], channel_weights={"": 1.0}),
        lambda c: c.recommend([first], attribute_weights={"b": "much"}),
        lambda c: c.rank([first, second], attribute_weights={7: 1.0}),
        lambda c: c.items([]),
        lambda c: c.items([first] * 1001),
        lambda c: c.items([*(f"no-{n}" for n in range(1001)), first, second, first]),
        lambda c: c.list_items(page_size=1000),
        lambda c: c.list_items(f'item_id != "{first}"', page_size=2, item_fields=["title"]),
        lambda c: c.list_items(page_size=2, page_token=c.list_items(page_size=2).next_page_token),
        lambda c: c.list_items(page_size=10**6),
        lambda c: c.list_items(page_size=-1),
        lambda c: c.list_items("no_such_column = 1"),
        lambda c: c.list_items(page_token="not one of ours"),
        lambda c: c.list_items(item_fields=["colour"]),
        lambda c: c.semantic_ids([second, NOT_THERE, first, second]),
        lambda c: c.semantic_ids(iter([first]), codebook_version=c.info().versions.codebook),
        lambda c: c.semantic_ids([]),
        lambda c: c.semantic_ids(first),
        lambda c: c.semantic_ids([first] * 1001),
        lambda c: c.semantic_ids([first], codebook_version="another"),
        lambda c: c.resolve_semantic_ids([c.semantic_ids([first]).entries[0].semantic_id]),
        lambda c: c.resolve_semantic_ids([[np.int32(code)] for code in range(3)], page_size=1),
        lambda c: c.resolve_semantic_ids([(), (0,) * 50, (2**32 - 1,)]),
        lambda c: c.resolve_semantic_ids([]),
        lambda c: c.resolve_semantic_ids([(-1,)]),
        lambda c: c.resolve_semantic_ids([(2**32,)]),
        lambda c: c.resolve_semantic_ids([("a",)]),
        lambda c: c.resolve_semantic_ids([1, 2]),
        lambda c: c.resolve_semantic_ids([(0,)] * 1001),
        lambda c: c.resolve_semantic_ids([(0,)], page_size=-1),
        lambda c: c.resolve_semantic_ids([(0,)], codebook_version="another"),
        # Nothing here changes the catalogue: the next way of calling must find the same one.
        lambda c: c.upsert_items([{"item_id": "a", "title": "red shoes"}, ItemInput("b", "hat")], validate_only=True),
        lambda c: c.upsert_items([ItemInput("ghost", "hat")], fields=["title", "image"], validate_only=True),
        lambda c: c.upsert_items([ItemInput("ghost", "hat")], fields=["titel"]),
        lambda c: c.upsert_items(
            [
                {"item_id": "a"},
                {"item_id": "b", "title": "hat", "image": b"no picture"},
                {"item_id": "c", "title": "hat"},
                {"title": "hat"},
                {"item_id": "c", "title": "hat"},
            ],
            validate_only=True,
            request_id="\u2603",
        ),
        lambda c: c.upsert_items([{"item_id": "b", "title": "hat", "image": b"no picture"}], wait_until_visible=True),
        lambda c: c.upsert_items([{"item_id": "b", "title": "hat", "image": b"no picture"}], request_id="once"),
        lambda c: c.upsert_items([{"item_id": "c", "title": "hat", "image": b"no picture"}], request_id="once"),
        lambda c: c.upsert_items([{"item_id": "a"}], request_id="nothing to do"),
        lambda c: c.upsert_items([], request_id="nothing"),
        lambda c: c.upsert_items([7]),
        lambda c: c.upsert_items("hat"),
        lambda c: c.upsert_items([{"colour": "red"}]),
        lambda c: c.upsert_items(
            [*({"item_id": f"i{n}", "title": "hat"} for n in range(1001)), {"title": "hat"}], validate_only=True
        ),
        lambda c: c.upsert_items([], request_id="x" * 129),
        lambda c: c.upsert_items([], request_id=7),
        lambda c: c.upsert_items([], validate_only="no"),
        lambda c: c.upsert_items([], wait_until_visible=1),
        lambda c: c.delete_items([first, NOT_THERE, ""], validate_only=True, request_id="r"),
        lambda c: c.delete_items(iter([NOT_THERE])),
        lambda c: c.delete_items([], request_id="nothing"),
        lambda c: c.delete_items(first),
        lambda c: c.delete_items([*(f"no-{n}" for n in range(1001)), first], validate_only=True),
        lambda c: c.delete_items([7]),
        lambda c: c.delete_items([first], request_id="x" * 129),
        lambda c: c.delete_items([first], validate_only=None),
        lambda c: c.list_events("nobody"),
        lambda c: c.list_events(""),
        lambda c: c.list_events(7),
        lambda c: c.list_events("nobody", page_size=-1),
        lambda c: c.list_events("nobody", page_token="not one of ours"),
        lambda c: c.delete_user("nobody"),
        lambda c: c.delete_user(""),
        lambda c: c.delete_user("x" * 513),
        lambda c: c.info(),
    ]


def assert_same_calls(one: Calls, other: Calls, known: list[str]) -> None:
    """Two ways of calling the same engine give the same values and the same errors."""
    for call in calls_to_compare(known):
        assert outcome(call, one) == outcome(call, other), inspect.getsource(call)


def assert_twins(engine: Any, known: list[str], target: str | None = None) -> None:
    """In process, through both clients without a server and, given a target, with one: all the same.

    Args:
        engine: An engine with the methods of `mmrec.sdk.engine_methods.EngineMethods`.
        known: At least two ids that its catalogue has.
        target: Address of a server of the same engine, or None.
    """
    with Client(transport=EngineTransport(engine)) as client:
        assert_same_calls(engine, client, known)
    with asyncio.Runner() as runner:
        in_process = AsyncClient(transport=AsyncEngineTransport(engine))
        for client_ in [in_process, AsyncClient(target)] if target else [in_process]:
            assert_same_calls(engine, Blocking(client_, runner), known)  # type: ignore[arg-type]
            runner.run(client_.close())
    if target:
        with Client(target) as client:
            assert_same_calls(engine, client, known)
