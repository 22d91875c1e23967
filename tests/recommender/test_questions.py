"""Search, tags, duplicates and mismatches over a real, tiny bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mmrec
from mmrec.bundle import BundleWriter, open_bundle
from mmrec.contract.items import Evidence, Fallback, ItemFailure, ItemInput, Modality
from mmrec.contract.replies import DuplicateGroups, ItemTags, Mismatches, SearchResults, TagResults
from mmrec.contract.requests import DuplicatesRequest, MismatchRequest, SearchRequest, SimilarRequest, TagRequest
from mmrec.errors import BundleError, InvalidArgumentError, MmrecError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.catalogue_quality import QualityChecker
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec.recommender.tagging import KEPT_LABELS
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder
from mmrec_serving.work_parts import joined, parts_of
from tests.encoders.encoding import encode_query
from tests.recommender.conftest import ITEM_IDS, WITHOUT_PICTURE


@pytest.fixture(scope="module")
def encoder(demo_bundle: Path) -> ItemEncoder:
    return load_item_encoder(open_bundle(demo_bundle).folder / "encoders", device="cpu")


@pytest.fixture
def label_texts(recommender: mmrec.Recommender, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sentences of labels were encoded at each time."""
    text, encoded = recommender.snapshot().vectors.encoder.text, []
    encode = text.encode

    def counted(texts: list[str], *, query: bool = False) -> np.ndarray:
        encoded.extend([len(texts)] if query else [])
        return encode(texts, query=query)

    monkeypatch.setattr(text, "encode", counted)
    return encoded


# --- search and similar ---


@pytest.mark.parametrize("modality", list(Modality))
def test_a_filtered_search_equals_brute_force_over_what_passes(
    recommender: mmrec.Recommender, encoder: ItemEncoder, modality: Modality
) -> None:
    passing = [
        row
        for row, item in enumerate(recommender.list_items(page_size=1000).items)
        if item.attributes["category"] in ("lamp", "mug", "clock")
        and not (item.item_id == WITHOUT_PICTURE and modality is Modality.PICTURE)
    ]
    scores = recommender.snapshot().vectors.of(modality)[passing] @ encode_query(encoder, "a lamp for camping")
    best = [ITEM_IDS[passing[place]] for place in np.argsort(-scores, kind="stable")]
    found = recommender.search(
        "a lamp for camping", k=1000, modality=modality, filter='category IN ("lamp", "mug", "clock")'
    )
    assert list(found.item_ids) == best
    assert [hit.score for hit in found.items] == pytest.approx(sorted(scores.tolist(), reverse=True), abs=1e-5)


def test_fewer_items_pass_than_asked_for(recommender: mmrec.Recommender) -> None:
    condition = 'category = "lamp"'
    strict = recommender.search("mug", k=50, filter=condition)
    relaxed = recommender.search("mug", k=50, filter=condition, filter_mode="relaxed")
    lamps = len(strict.items)
    assert 0 < lamps < 50
    assert {hit.item.attributes["category"] for hit in strict.items} == {"lamp"}
    assert relaxed.item_ids[:lamps] == strict.item_ids
    assert len(set(relaxed.item_ids)) == 50
    assert (strict.fallback, relaxed.fallback) == (Fallback.NONE, Fallback.FILTER_RELAXED)
    rest = [hit.score for hit in relaxed.items[lamps:]]
    assert rest == sorted(rest, reverse=True)


def test_pages_of_a_relaxed_search_cross_the_border_of_the_filter(recommender: mmrec.Recommender) -> None:
    condition = 'category = "lamp"'
    whole = recommender.search("mug", k=1000, filter=condition, filter_mode="relaxed")
    paged: list[str] = []
    token = ""
    fallbacks = []
    while True:
        page = recommender.search("mug", k=7, filter=condition, filter_mode="relaxed", page_token=token)
        paged += page.item_ids
        fallbacks.append(page.fallback)
        token = page.next_page_token
        if not token:
            break
    assert paged == list(whole.item_ids)
    assert len(paged) == 60
    assert fallbacks[-1] is Fallback.FILTER_RELAXED


def test_a_page_may_have_another_size_than_the_one_before(recommender: mmrec.Recommender) -> None:
    first = recommender.search("mug", k=3)
    rest = recommender.search("mug", k=5, page_token=first.next_page_token)
    assert first.item_ids + rest.item_ids == recommender.search("mug", k=8).item_ids


def test_an_item_and_words_meet_by_weight(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    item = item_ids[0]
    words = recommender.search("an oak lamp", k=20)
    all_words = recommender.search("an oak lamp", item_id=item, item_weight=0.0, k=20)
    all_item = recommender.search("an oak lamp", item_id=item, item_weight=1.0, k=20)
    assert all_words.item_ids == tuple(i for i in recommender.search("an oak lamp", k=21).item_ids if i != item)[:20]
    assert all_item.item_ids == recommender.similar(item, k=20).item_ids
    assert recommender.search("an oak lamp", item_id=item, k=20).item_ids not in (words.item_ids, all_item.item_ids)


def test_a_vector_finds_what_its_words_find_whatever_its_length(
    recommender: mmrec.Recommender, encoder: ItemEncoder
) -> None:
    query = encode_query(encoder, "an oak lamp")
    by_words = recommender.search("an oak lamp", k=5)
    for scale in (1.0, 1e-20, 1e20):
        by_vector = recommender.search(vector=query * np.float32(scale), k=5)
        assert by_vector.item_ids == by_words.item_ids
        assert by_vector.items[0].score == pytest.approx(by_words.items[0].score, abs=1e-5)


def test_a_diverse_list_starts_with_the_nearest_and_is_less_alike(
    recommender: mmrec.Recommender, item_ids: list[str], demo_bundle: Path
) -> None:
    fused_ND = open_bundle(demo_bundle).read_tensors("embeddings.safetensors")["fused"]

    def likeness(found: SearchResults) -> float:
        own_KD = fused_ND[[item_ids.index(item_id) for item_id in found.item_ids]]
        return float((own_KD @ own_KD.T).mean())

    plain = recommender.similar(item_ids[0], k=8)
    diverse = recommender.similar(item_ids[0], k=8, diversity=0.7)
    assert diverse.item_ids[0] == plain.item_ids[0]
    assert len(set(diverse.item_ids)) == 8
    assert likeness(diverse) < likeness(plain)
    none = recommender.similar(item_ids[0], k=8, diversity=1e-9)
    assert none.item_ids == plain.item_ids


def test_an_item_without_a_picture_cannot_be_compared_by_it(recommender: mmrec.Recommender) -> None:
    blind = WITHOUT_PICTURE
    with pytest.raises(InvalidArgumentError, match="no picture that could be read") as refused:
        recommender.similar(blind, modality="picture")
    assert [violation.field for violation in refused.value.violations] == ["modality"]
    assert len(recommender.similar(blind, modality="words").items) == 10
    assert blind not in recommender.search("mug", k=1000, modality="picture").item_ids


def test_searches_are_the_same_alone_and_in_a_batch(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    requests = [
        SearchRequest("an oak lamp", k=3),
        SearchRequest("lamp", image=b"no picture"),
        SearchRequest(item_id=item_ids[0], k=2),
        SearchRequest("a mug", k=4, filter='category = "mug"'),
        SearchRequest("a mug", filter="colour = 1"),
    ]
    for request, together in zip(requests, recommender.search_many(requests), strict=True):
        (alone,) = recommender.search_many([request])
        if isinstance(alone, MmrecError):
            assert isinstance(together, type(alone))
            assert together.message == alone.message
        else:
            assert isinstance(together, SearchResults)
            assert together.item_ids == alone.item_ids
            assert [h.score for h in together.items] == pytest.approx([h.score for h in alone.items], abs=1e-5)


# --- vectors of described items ---


def test_one_side_of_an_item_is_what_the_item_is_without_the_other(
    recommender: mmrec.Recommender, demo_dataset: Path
) -> None:
    picture = sorted((demo_dataset / "images").iterdir())[0].read_bytes()
    both = ItemInput("a", "an oak lamp", image=picture)
    for modality, alone in (("picture", ItemInput("a", image=picture)), ("words", ItemInput("a", "an oak lamp"))):
        (side,) = recommender.embed([both], modality=modality).items
        (whole,) = recommender.embed([alone]).items
        assert np.allclose(side.vector, whole.vector, atol=1e-5)
        assert side.semantic_id == whole.semantic_id
    (missing,) = recommender.embed([ItemInput("b", "an oak lamp")], modality="picture").items
    assert isinstance(missing, ItemFailure)
    assert "no picture" in missing.error.message


# --- tags ---


def test_words_are_tagged_with_what_they_name(recommender: mmrec.Recommender) -> None:
    kinds = ("lamp", "mug", "backpack", "clock")
    found = recommender.tag([{"item_id": k, "title": f"a {k}"} for k in kinds], labels=kinds, k=1)
    assert [entry.tags[0].label for entry in found.items if isinstance(entry, ItemTags)] == list(kinds)
    assert not found.calibration.calibrated


def test_what_an_item_has_in_the_column_is_not_looked_at(recommender: mmrec.Recommender) -> None:
    plain = {"title": "a thing", "description": "for the desk"}
    told = {**plain, "attributes": {"category": "umbrella"}}
    found = recommender.tag([plain, told], column="category", k=1000)
    first, second = found.items
    assert isinstance(first, ItemTags)
    assert isinstance(second, ItemTags)
    # In one batch equal items have equal vectors but for the last bit.
    scores = {tag.label: tag.score for tag in second.tags}
    assert [tag.score for tag in first.tags] == pytest.approx([scores[tag.label] for tag in first.tags], abs=1e-4)
    (only,) = recommender.tag([{"item_id": "x", "attributes": {"category": "umbrella"}}], column="category").items
    assert isinstance(only, ItemFailure)
    assert only.item_id == "x"
    assert "nothing but the column" in only.error.message


def test_a_catalogue_item_is_tagged_as_if_the_column_were_empty(
    recommender: mmrec.Recommender, item_ids: list[str]
) -> None:
    record = recommender.items([item_ids[0]]).items[0]
    same_words = {"title": record.title, "description": record.description}
    known = recommender.tag(item_ids=[item_ids[0]], column="category", modality="words").items[0]
    described = recommender.tag([same_words], column="category", modality="words").items[0]
    assert isinstance(known, ItemTags)
    assert isinstance(described, ItemTags)
    assert [tag.label for tag in known.tags] == [tag.label for tag in described.tags]
    assert [tag.score for tag in known.tags] == pytest.approx([tag.score for tag in described.tags], abs=1e-3)


def test_probabilities_of_a_column_are_calibrated_and_measured(recommender: mmrec.Recommender) -> None:
    calibration = recommender.tag([{"title": "a lamp"}], column="category").calibration
    assert calibration.calibrated
    assert 20 <= calibration.rows <= 40
    assert calibration.temperature > 0
    assert calibration.accuracy is not None
    assert calibration.accuracy > 0.5


def test_labels_are_encoded_once_and_only_so_many_are_kept(
    recommender: mmrec.Recommender, label_texts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmrec.recommender.tagging.KEPT_LABELS", 30)
    assert KEPT_LABELS > 20_000
    items = (ItemInput("a", "lamp"),)
    asked = TagRequest(items, labels=[f"label {n}" for n in range(20)], templates=["a {label}"])
    (first,), (again,) = recommender.tag_many([asked]), recommender.tag_many([asked])
    assert first == again
    assert label_texts == [20]
    recommender.tag_many([replace(asked, labels=[f"other {n}" for n in range(25)])])
    # Of the 30 that are kept 25 are the others.
    recommender.tag_many([asked])
    assert label_texts == [20, 25, 15]


def test_many_labels_are_encoded_in_small_parts(recommender: mmrec.Recommender, label_texts: list[int]) -> None:
    labels = tuple(f"word {n}" for n in range(150))
    parts = parts_of(TagRequest((ItemInput("a", "x"),), labels=labels, templates=("a {label}",)))
    found = joined(parts, [recommender.tag_many([part])[0] for part in parts])
    assert isinstance(found.items[0], ItemTags)
    assert label_texts == [64, 64, 22]
    label_texts.clear()
    *ready, last = parts_of(TagRequest((ItemInput("a", "x"),), column="category"))
    for part in ready:
        recommender.tag_many([part])
    prepared = list(label_texts)
    assert max(prepared, default=0) <= 64
    (reply,) = recommender.tag_many([last])
    assert isinstance(reply, TagResults)
    assert label_texts == prepared


# --- duplicates and mismatches ---


def test_the_whole_catalogue_is_compared_once_for_each_threshold(
    recommender: mmrec.Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = recommender.duplicates(min_similarity=0.97)
    monkeypatch.setattr("mmrec.recommender.catalogue_quality.find_duplicates", None)
    assert recommender.duplicates(min_similarity=0.97) == first
    assert recommender.duplicates(min_similarity=0.97, filter='category = "lamp"').total <= first.total


def test_a_group_is_told_without_the_items_that_the_filter_leaves_out(recommender: mmrec.Recommender) -> None:
    every = recommender.duplicates(modality="picture", min_similarity=0.5)
    first, *others = max((group.item_ids for group in every.groups), key=len)
    assert len(others) > 1
    told = recommender.duplicates(modality="picture", min_similarity=0.5, filter=f'item_id != "{first}"')
    assert [set(group.item_ids) for group in told.groups if {first, *others} & set(group.item_ids)] == [set(others)]


def test_a_thing_that_is_there_twice_is_found_by_its_thumbnail(recommender: mmrec.Recommender) -> None:
    now = recommender.snapshot()
    vectors, catalogue = now.vectors, now.parts.catalogue
    before = [group.item_ids for group in recommender.duplicates().groups]
    assert not any({"p0004", "p0008"} & set(item_ids) for item_ids in before)
    assert vectors.thumbnails is not None
    pixels = vectors.thumbnails.copy()
    features = ItemFeatures._make(part.copy() for part in vectors.features)
    for part in features:
        part[7] = part[3]
    pixels[7] = np.clip(pixels[3].astype(int) + 2, 0, 255)  # the same picture, a little lighter
    twice = ModalityVectors(
        vectors.fused_ND, vectors.index(Modality.FUSED), vectors.encoder, lambda: features, lambda: pixels
    )
    titles = list(catalogue.titles)
    titles[7] = titles[3]
    twins = replace(catalogue, titles=tuple(titles))
    checker = QualityChecker(twins, twice, CatalogueFilter(twins), twins.record, recommender.info().versions)
    (found,) = checker.duplicates_many([DuplicatesRequest()])
    assert isinstance(found, DuplicateGroups)
    new = [(group.item_ids, group.evidence) for group in found.groups if group.item_ids not in before]
    assert new == [(("p0004", "p0008"), Evidence.BOTH)]
    assert "laid over each other" in found.explanation


def test_swapped_pictures_move_their_items_to_the_front(recommender: mmrec.Recommender) -> None:
    now = recommender.snapshot()
    vectors, catalogue = now.vectors, now.parts.catalogue
    ranked = recommender.mismatches(max_agreement=1.0, page_size=1000)
    assert [entry.percentile for entry in ranked.items] == sorted(entry.percentile for entry in ranked.items)
    # An item whose words describe quite another thing: those of the item that fits the own picture least.
    apart = vectors.picture_ND @ vectors.words_ND.T
    row = catalogue.row_of(ranked.items[-1].item_id)
    assert row is not None
    features = ItemFeatures._make(part.copy() for part in vectors.features)
    features.text_NT[row] = features.text_NT[int(np.where(features.has_text_N, apart[row], np.inf).argmin())]
    swapped = ModalityVectors(
        vectors.fused_ND, vectors.index(Modality.FUSED), vectors.encoder, lambda: features, lambda: None
    )
    checker = QualityChecker(
        catalogue, swapped, CatalogueFilter(catalogue), catalogue.record, recommender.info().versions
    )
    (found,) = checker.mismatches_many([MismatchRequest(item_ids=(ranked.items[-1].item_id,))])
    assert isinstance(found, Mismatches)
    assert found.items[0].fit < 0.5 < ranked.items[-1].fit


# --- bundles ---


def test_vectors_of_another_catalogue_are_refused(demo_bundle: Path, tmp_path: Path) -> None:
    new = open_bundle(demo_bundle)
    tensors = new.read_tensors("embeddings.safetensors")
    with BundleWriter(tmp_path / "mixed", preset="embedded", name="mixed") as writer:
        for name in new.manifest.files:
            if name != "embeddings.safetensors":
                writer.path(name).write_bytes((new.folder / name).read_bytes())
        writer.write_tensors("embeddings.safetensors", {**tensors, "image": tensors["image"][:-1]})
        writer.commit(versions=new.manifest.versions, parameters={})
    mixed = mmrec.Recommender.load(tmp_path / "mixed", device="cpu")
    with pytest.raises(BundleError, match="different bundles"):
        mixed.similar("p0001", modality="picture")


def test_the_measured_index_is_in_the_bundle_and_its_metrics(demo_bundle: Path) -> None:
    bundle = open_bundle(demo_bundle)
    described = bundle.read_json("index.json")
    assert (described["kind"], described["recall"], described["items"]) == ("exact", 1.0, 60)
    measured = bundle.read_json("metrics.json")["index"]
    assert (measured["kind"], measured["recall"]) == ("exact", 1.0)
    assert set(bundle.read_tensors("embeddings.safetensors")) == {"fused", "image", "has_image", "text", "has_text"}


def test_similar_requests_fail_one_by_one(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    good, bad = recommender.similar_many([SimilarRequest(item_ids[0], 2), SimilarRequest(item_ids[0], filter="=")])
    assert isinstance(good, SearchResults)
    assert isinstance(bad, InvalidArgumentError)
