"""What a changed catalogue is, item by item; nothing that was there before is written to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.bundle import open_bundle
from mmrec.contract.items import ItemInput
from mmrec.errors import FailedPreconditionError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.artefact import ENCODERS, Parts, read_parts
from mmrec.recommender.catalogue_update import change_parts, with_whole_table
from mmrec.recommender.encoded_items import EncodedItems, encode_items
from mmrec.recommender.ranking_model import RankingModel
from mmrec.semantic_ids.decode_index import DecodeIndex, build_decode_index
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder


@pytest.fixture(scope="module")
def parts(demo_bundle: Path) -> Parts:
    return read_parts(open_bundle(demo_bundle), torch.device("cpu"))


@pytest.fixture(scope="module")
def encoder(demo_bundle: Path) -> ItemEncoder:
    return load_item_encoder(open_bundle(demo_bundle).folder / ENCODERS, device="cpu")


def arriving(parts: Parts, items: dict[str, int]) -> EncodedItems:
    """Items that are what items of the catalogue are, by the rows of these."""
    rows = list(items.values())
    records = tuple(replace(parts.catalogue.record(row), item_id=item_id) for item_id, row in items.items())
    words = parts.catalogue.texts()
    nothing, no = np.zeros((len(rows), 1), np.float32), np.zeros(len(rows), bool)
    thumbnails = np.zeros((len(rows), 3, 48, 48), np.uint8)
    features = ItemFeatures(nothing, no, nothing, no)
    return EncodedItems(records, tuple(words[row] for row in rows), features, parts.fused_ND[rows], thumbnails)


NONE: dict[str, int] = {}


def same(one: DecodeIndex, two: DecodeIndex) -> bool:
    arrays = [[o.items_N, *o.child_begin, *o.child_code, *o.item_begin] for o in (one, two)]
    return all(a.equal(b) for a, b in zip(*arrays, strict=True))


def test_a_new_item_is_beside_the_one_that_it_is_like(parts: Parts) -> None:
    changed = with_whole_table(change_parts(parts, arriving(parts, {"new": 7})).parts)
    row = len(parts.catalogue)
    assert (changed.catalogue.row_of("new"), len(changed.catalogue)) == (row, row + 1)
    assert changed.catalogue.alive_N is None
    path, like = changed.semantic_ids_NP[row].tolist(), parts.semantic_ids_NP[7].tolist()
    assert path[:-1] == like[:-1]
    assert path[-1] not in {other[-1] for other in parts.semantic_ids_NP.whole().tolist() if other[:-1] == path[:-1]}
    table = changed.generator.catalogue.table()
    assert torch.allclose(table.content_NC[row], table.content_NC[7], atol=1e-5)
    assert not table.warm_N[row]
    # What it is most like lends it what it knows.
    assert int(table.alike.rows_NK[row, 0]) == 7 or not table.warm_N[7]
    tokens = changed.generator.item_tokens()
    assert torch.equal(tokens[:row], parts.generator.item_tokens())
    assert changed.transitions.items == row + 1
    assert np.array_equal(changed.popularity_N, [*parts.popularity_N, 0])


def test_a_replaced_item_keeps_its_row_and_what_training_taught_of_it(parts: Parts) -> None:
    item_id = parts.catalogue.item_ids[3]
    changed = with_whole_table(change_parts(parts, arriving(parts, {item_id: 9})).parts)
    assert len(changed.catalogue) == len(parts.catalogue)
    assert changed.catalogue.titles[3] == parts.catalogue.titles[9]
    assert np.array_equal(changed.fused_ND[3], parts.fused_ND[9])
    before, after = parts.generator.catalogue, changed.generator.catalogue
    assert torch.equal(after.residual.weight[3], before.residual.weight[3])
    assert bool(after.warm_N[3]) is bool(before.warm_N[3])
    assert 3 not in after.table().alike.rows_NK[3][after.table().alike.weights_NK[3] > 0].tolist()
    assert changed.popularity_N[3] == parts.popularity_N[3]


def test_an_item_that_stays_where_it_was_keeps_its_path_whatever_comes_with_it(parts: Parts) -> None:
    # Crowded: five items with the same codes but the last.
    crowded = change_parts(parts, arriving(parts, {f"n{number}": 7 for number in range(5)})).parts
    ids = [f"n{number}" for number in (3, 0, 4)]
    encoded = arriving(parts, {**dict.fromkeys(ids, 7), "new": 7})
    at_once = change_parts(crowded, encoded, ["n1"]).parts
    one_by_one = change_parts(crowded, arriving(parts, {"other": 30}), ["n1"]).parts
    for place in (2, 0, 3, 1):
        one_by_one = change_parts(one_by_one, encoded.take([place])).parts
    for item_id in (*ids, "n2"):
        row = crowded.catalogue.row_of(item_id)
        assert row is not None
        path = crowded.semantic_ids_NP[row].tolist()
        assert at_once.semantic_ids_NP[row].tolist() == one_by_one.semantic_ids_NP[row].tolist() == path
    new = [changed.semantic_ids_NP[changed.catalogue.row_of("new")].tolist() for changed in (at_once, one_by_one)]
    assert new[0] == new[1]


def test_a_deleted_item_is_in_no_index_and_keeps_its_row(parts: Parts) -> None:
    item_id = parts.catalogue.item_ids[5]
    changed = change_parts(parts, arriving(parts, NONE), [item_id, "never there"]).parts
    assert changed.catalogue.alive_N is not None
    assert np.flatnonzero(~changed.catalogue.alive_N).tolist() == [5]
    assert 5 not in changed.decode_index.items_N.tolist()
    assert torch.equal(with_whole_table(changed).generator.item_tokens(), parts.generator.item_tokens())
    back = with_whole_table(change_parts(changed, arriving(parts, {item_id: 5})).parts)
    assert back.catalogue.alive_N is None
    assert back.catalogue.row_of(item_id) == 5
    assert torch.allclose(back.generator.item_tokens()[5], parts.generator.item_tokens()[5], atol=1e-5)


def test_everything_cannot_be_deleted(parts: Parts) -> None:
    with pytest.raises(FailedPreconditionError, match="at least one must be left"):
        change_parts(parts, arriving(parts, NONE), parts.catalogue.item_ids)


NAMES_ALL = [*(f"p{i:04}" for i in range(1, 9)), *(f"new-{i}" for i in range(8))]
NAMES = st.sampled_from(NAMES_ALL)
CHANGES = st.lists(
    st.tuples(st.dictionaries(NAMES, st.integers(0, 59), max_size=5), st.lists(NAMES, max_size=4)), max_size=4
)


@settings(max_examples=40)
@given(CHANGES)
def test_however_a_catalogue_came_to_be_its_index_is_that_of_its_items(
    request: pytest.FixtureRequest, changes: list[tuple[dict[str, int], list[str]]]
) -> None:
    parts: Parts = request.getfixturevalue("parts")  # not an argument: its repr is long
    now, expected = parts, {item_id: row for row, item_id in enumerate(parts.catalogue.item_ids)}
    for items, gone in changes:
        before = now
        kept = before.semantic_ids_NP.whole().copy()
        now = change_parts(before, arriving(parts, items), gone).parts
        assert np.array_equal(before.semantic_ids_NP.whole(), kept)
        expected = {item_id: row for item_id, row in expected.items() if item_id not in gone} | items
    alive = np.ones(len(now.catalogue), bool) if now.catalogue.alive_N is None else now.catalogue.alive_N
    assert now.catalogue.items == len(expected)
    assert {name for name in NAMES_ALL if now.catalogue.row_of(name) is None} == set(NAMES_ALL) - set(expected)
    assert {now.catalogue.item_ids[row] for row in np.flatnonzero(alive)} == set(expected)
    living = np.flatnonzero(alive)
    built = build_decode_index(now.semantic_ids_NP[living], now.decode_index.widths)
    order = torch.from_numpy(living.astype(np.int32))[built.items_N]
    assert same(now.decode_index, built._replace(items_N=order))
    for item_id, row in expected.items():
        own = now.catalogue.row_of(item_id)
        assert now.catalogue.titles[own] == parts.catalogue.titles[row]
        assert np.array_equal(now.fused_ND[own], parts.fused_ND[row])
        assert (
            now.semantic_ids_NP[own][:-1].tolist() == parts.tokenizer.encode(parts.fused_ND.whole()[[row]])[0].tolist()
        )


def test_a_changed_catalogue_is_ranked(parts: Parts) -> None:
    gone = parts.catalogue.item_ids[2]
    changed = change_parts(parts, arriving(parts, {"new": 7, "other": 8}), [gone]).parts
    ranker = RankingModel(with_whole_table(changed), torch.device("cpu"), torch.float32)
    found = ranker.features([np.array([7, 2], dtype=np.int32)])
    assert found.generated_BW is not None
    assert {name: feature.shape for name, feature in found.by_channel.items()} == dict.fromkeys(
        found.by_channel, (1, len(changed.catalogue))
    )
    generated = [row for row in found.generated_BW[0].tolist() if row >= 0]
    assert 2 not in generated
    # Among all items, of which there is one more: the probabilities of those that are left sum to one.
    probabilities = np.exp(found.by_channel["item-head"][0]) / changed.catalogue.items
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-4)
    assert probabilities[2] == 0


def test_a_ranker_that_follows_changes_ranks_as_one_that_is_made_anew(parts: Parts) -> None:
    cpu = torch.device("cpu")
    ranker, now = RankingModel(parts, cpu, torch.float32), parts
    old = ranker.tokens_NH.whole().clone()
    histories = [np.array([7, 2, 11], dtype=np.int32), np.array([3], dtype=np.int32)]
    first = ranker.features(histories, beam_width=8)
    ids = parts.catalogue.item_ids
    for items, gone in (
        ({"new": 7, "other": 8}, [ids[2]]),
        ({ids[3]: 9, "new": 10}, [ids[11], "other"]),
        (NONE, ["new"]),
        ({"new": 1, ids[2]: 2}, []),
    ):
        changed = change_parts(now, arriving(now, items), gone)
        now, ranker = changed.parts, ranker.with_changes(changed)
        fresh = RankingModel(with_whole_table(now), cpu, torch.float32)
        rows = np.flatnonzero(now.catalogue.alive_N) if now.catalogue.alive_N is not None else slice(None)
        assert torch.allclose(ranker.tokens_NH.whole()[rows], fresh.tokens_NH.whole()[rows], atol=1e-5)
        assert np.array_equal(ranker.new_N, fresh.new_N)
        live, anew = (one.features(histories, beam_width=8) for one in (ranker, fresh))
        assert live.generated_BW is not None
        assert anew.generated_BW is not None
        assert np.array_equal(live.generated_BW, anew.generated_BW)
        for name, feature in live.by_channel.items():
            assert np.allclose(feature, anew.by_channel[name], atol=1e-4), name
    # Whoever still ranks with what was there before ranks as before.
    ranker = RankingModel(parts, cpu, torch.float32)
    assert torch.equal(ranker.tokens_NH.whole(), old)
    again = ranker.features(histories, beam_width=8)
    assert all(np.array_equal(again.by_channel[name], feature) for name, feature in first.by_channel.items())


def test_what_is_wrong_with_one_item_is_an_error_of_its_own(parts: Parts, encoder: ItemEncoder) -> None:
    described = encode_items(
        parts.catalogue,
        CatalogueFilter(parts.catalogue),
        encoder,
        [
            ItemInput("one", title="red boots"),
            ItemInput("", title="no id"),
            ItemInput("two", title="odd", attributes={"warp": "9"}),
            ItemInput("one", title="again"),
            ItemInput("three", image=b"no picture"),
            ItemInput("four", title="blue boots"),
        ],
    )
    assert described.places == (0, 5)
    assert [record.item_id for record in described.items.records] == ["one", "four"]
    assert described.items.fused_MD.shape == (2, parts.fused_ND.shape[1])
    assert {place: error.violations[0].field for place, error in described.errors.items()} == {
        1: "item_id",
        2: "attributes",
        3: "item_id",
        4: "image",
    }
    assert "which an item before it has already" in described.errors[3].message
    assert "'warp', which is no column of the catalogue" in described.errors[2].message
    assert set(described.items.records[0].attributes) == set(parts.catalogue.attributes)
    assert "red boots" in described.items.texts[0]
