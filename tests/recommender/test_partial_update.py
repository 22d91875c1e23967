"""Replacing some fields of items that exist: the rest stays, the picture included, which need not be at hand."""

from functools import partial

import numpy as np
import pytest

import mmrec
from mmrec.contract.items import ItemInput, ItemRecord
from mmrec.errors import InvalidArgumentError, InvalidImageError, NotFoundError


def item(own: mmrec.Recommender, item_id: str) -> ItemRecord:
    return own.items([item_id]).items[0]


def by_side(own: mmrec.Recommender, modality: str) -> dict[str, float]:
    """How like p0005 the other items are by one side."""
    return {hit.item_id: hit.score for hit in own.similar("p0005", k=100, modality=modality).items}


def test_what_is_not_named_stays_the_picture_included(own: mmrec.Recommender) -> None:
    before = item(own, "p0005")
    pictures, words, twins = by_side(own, "picture"), by_side(own, "words"), own.duplicates(modality="picture").groups
    sent = ItemInput("p0005", title="Quartz reading lamp", description="not read", attributes={"category": "not read"})
    assert own.upsert_items([sent], fields=["title"]).done == ("p0005",)
    after = item(own, "p0005")
    assert (after.title, after.description) == ("Quartz reading lamp", before.description)
    assert (after.attributes, after.image) == (before.attributes, before.image)
    assert by_side(own, "picture") == pytest.approx(pictures, abs=1e-6)
    assert own.duplicates(modality="picture").groups == twins
    assert by_side(own, "words") != pytest.approx(words, abs=1e-2)
    assert own.search("quartz reading lamp", modality="words", k=1).item_ids == ("p0005",)
    assert len(own.recommend(["p0005"], k=100).items) == 59


def test_a_column_is_replaced_and_filtered_by_and_others_are_not(own: mmrec.Recommender) -> None:
    first, before = "category", item(own, "p0007")
    own.upsert_items([ItemInput("p0007", attributes={first: "never-seen"})], fields=[f"attributes.{first}"])
    assert own.recommend([], filter=f'{first} = "never-seen"').item_ids == ("p0007",)
    assert item(own, "p0007").attributes == {**before.attributes, first: "never-seen"}
    # All of them: those that are not given are empty afterwards.
    own.upsert_items([ItemInput("p0007", attributes={first: "x"})], fields=["attributes"])
    after = item(own, "p0007").attributes
    assert {name: value for name, value in after.items() if value} == {first: "x"}
    # One that is named and not given goes away.
    own.upsert_items([ItemInput("p0007", title="not read")], fields=[f"attributes.{first}"])
    assert not any(item(own, "p0007").attributes.values())


def test_what_was_found_in_the_whole_catalogue_stays_through_changes_of_what_it_was_not_read_from(
    own: mmrec.Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, worst = own.duplicates().groups, own.mismatches(max_agreement=1.0).items
    pictures, words = own.duplicates(modality="picture").groups, own.duplicates(modality="words").groups
    nothing = {f"mmrec.recommender.catalogue_quality.{name}": None for name in _SEARCHES}
    category = item(own, "p0007").attributes["category"]
    with monkeypatch.context() as nothing_is_sought:
        for name, function in nothing.items():
            nothing_is_sought.setattr(name, function)
        own.upsert_items([ItemInput("p0007", attributes={"category": category})], fields=["attributes.category"])
        found = own.duplicates()
        assert (found.groups, found.versions) == (groups, own.info().versions)
        assert own.duplicates(modality="words").groups == words
        assert own.mismatches(max_agreement=1.0).items == worst
        # Another title is another name and other words.
        own.upsert_items([ItemInput("p0007", title="Quartz reading lamp")], fields=["title"])
        assert own.duplicates(modality="picture").groups == pictures
        for ask in (own.duplicates, partial(own.duplicates, modality="words"), own.mismatches):
            with pytest.raises(TypeError):
                ask()
        # Another picture leaves the words, which were not found since.
        own.upsert_items([ItemInput("p0007", title="not read")], fields=["image"])
        with pytest.raises(TypeError):
            own.duplicates(modality="picture")
    words = own.duplicates(modality="words").groups
    own.upsert_items([ItemInput("p0009", title="not read")], fields=["image"])
    with monkeypatch.context() as nothing_is_sought:
        for name, function in nothing.items():
            nothing_is_sought.setattr(name, function)
        assert own.duplicates(modality="words").groups == words
        own.delete_items(["p0008"])
        with pytest.raises(TypeError):
            own.duplicates(modality="words")


_SEARCHES = ("find_duplicates", "mismatch.find_mismatches")


def test_a_picture_is_replaced_and_taken_away(own: mmrec.Recommender, pictures: list[bytes]) -> None:
    words = by_side(own, "words")
    own.upsert_items([ItemInput("p0005", title="not read", image=pictures[0])], fields=["image"])
    (nearest,) = own.similar("p0005", k=1, modality="picture").items
    assert (nearest.item_id, nearest.score) == ("p0001", pytest.approx(1.0, abs=1e-4))
    assert by_side(own, "words") == pytest.approx(words, abs=1e-6)
    assert (item(own, "p0005").image, item(own, "p0005").title == "not read") == ("", False)
    own.upsert_items([ItemInput("p0005", title="not read")], fields=["image"])
    with pytest.raises(InvalidArgumentError, match="no picture that could be read"):
        own.similar("p0005", modality="picture")
    # Fields of an item that came a moment ago, in a row that the bundle does not have.
    own.upsert_items([ItemInput("new", image=pictures[1])])
    own.upsert_items([ItemInput("new", title="Quartz lamp")], fields=["title", "description"])
    assert own.similar("new", k=1, modality="picture").item_ids == ("p0002",)
    assert own.search("quartz lamp", k=1, modality="words").item_ids == ("new",)


def test_what_is_wrong_with_one_item_leaves_the_others(own: mmrec.Recommender, pictures: list[bytes]) -> None:
    own.upsert_items([ItemInput("bare", image=pictures[0])])
    versions = own.info().versions
    sent = [
        ItemInput("ghost", title="not there"),
        ItemInput("p0001", title="Quartz lamp"),
        ItemInput("p0001", title="again"),
        ItemInput("bare", title="not read"),
    ]
    found = own.upsert_items(sent, fields=["title", "image"], validate_only=True)
    assert found.done == ("p0001", "bare")
    found = own.upsert_items(sent, fields=["image"])
    assert [entry.error and type(entry.error) for entry in found.entries] == [
        NotFoundError,
        None,
        InvalidArgumentError,
        InvalidArgumentError,
    ]
    assert found.entries[3].error is not None
    assert "without words and picture" in found.entries[3].error.message
    bad = own.upsert_items([ItemInput("p0002", image=b"no picture")], fields=["image"])
    assert isinstance(bad.entries[0].error, InvalidImageError)
    with pytest.raises(InvalidArgumentError, match="'warp' is no column of the catalogue") as refused:
        own.upsert_items([ItemInput("p0001", title="x")], fields=["attributes.warp"])
    assert refused.value.violations[0].field == "update_mask"
    assert own.info().items == 61
    assert own.info().versions.catalogue != versions.catalogue


def test_what_was_kept_brings_the_fields_back_without_an_encoder(own: mmrec.Recommender, pictures: list[bytes]) -> None:
    fields = [("title",), ()]
    items = [ItemInput("p0005", title="Quartz reading lamp"), ItemInput("new", title="Oak desk", image=pictures[2])]
    described = [own.encode_items([one], names).items for one, names in zip(items, fields, strict=True)]
    packed = [data for encoded in described for data in own.pack_items(encoded)]
    back = own.unpack_items(items, packed, fields)
    assert back.records == tuple(record for encoded in described for record in encoded.records)
    assert back.texts == tuple(text for encoded in described for text in encoded.texts)
    assert back.records[0].description == item(own, "p0005").description
    np.testing.assert_array_equal(back.fused_MD, np.concatenate([encoded.fused_MD for encoded in described]))
    np.testing.assert_array_equal(back.thumbnails_M[0], described[0].thumbnails_M[0])
