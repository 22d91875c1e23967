"""Versions of a bundle: a changed catalogue written as one, and one that takes the place of another while it serves."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import mmrec
from mmrec.bundle import BundleWriter, open_bundle
from mmrec.catalogue.segments import Segmented
from mmrec.contract.events import UserEvent
from mmrec.contract.items import ItemInput
from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import FailedPreconditionError, NotFoundError
from mmrec.generator.model import Generator
from mmrec.recommender.index_report import open_index, verify_index
from mmrec.recommender.ranking_model import RankingModel
from mmrec.semantic_ids.config import TokenizerConfig
from mmrec.semantic_ids.decode_index import build_decode_index
from mmrec.semantic_ids.tokenizer import fit_tokenizer
from mmrec.training import EvaluationSettings, evaluate_bundle
from tests.recommender.conftest import ITEM_IDS

pytestmark = pytest.mark.slow


@pytest.fixture
def root(demo_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_bundle, tmp_path / "bundle"))


@pytest.fixture
def own(root: Path) -> mmrec.Recommender:
    return mmrec.Recommender.load(root, device="cpu")


@pytest.fixture(scope="module")
def picture(demo_dataset: Path) -> bytes:
    return sorted((demo_dataset / "images").iterdir())[0].read_bytes()


def lamp(item_id: str, picture: bytes | None = None, title: str = "Quartz reading lamp") -> ItemInput:
    return ItemInput(item_id, title, "A lamp like no other.", picture)


def published(recommender: mmrec.Recommender, root: Path, catalogue: str) -> Path:
    with BundleWriter(root, preset=recommender.info().preset, name=recommender.info().name) as writer:
        return recommender.publish(writer, catalogue=catalogue, folded={"changes": 5})


def answers(recommender: mmrec.Recommender) -> list[Recommendations]:
    users = ("c0023", "c0046", "c0093", "c0088", "c0117", "c0060", "c0010", "c0109", "c0049", "c0110", "c0018", "c0079")
    requests = [RecommendRequest(user_id=user_id, k=70, explain=True) for user_id in users]
    requests += [RecommendRequest(history=("p0003", "p0008", "new-1"), k=20), RecommendRequest(k=20, exploration=0.2)]
    return [found for found in recommender.recommend_many(requests) if isinstance(found, Recommendations)]


def changed(own: mmrec.Recommender, picture: bytes) -> list[str]:
    """Changes of every kind; the ids that the catalogue had before."""
    ids = list(ITEM_IDS)
    own.upsert_items([lamp("new-1", picture), lamp("new-2"), lamp("new-3"), lamp(ids[5], title="Something else")])
    own.delete_items([ids[2], ids[40], "new-3"])
    # Back again, in its old row.
    own.upsert_items([lamp(ids[40], picture)])
    return ids


def test_a_published_catalogue_recommends_what_was_recommended_before(
    own: mmrec.Recommender, root: Path, picture: bytes
) -> None:
    ids = changed(own, picture)
    folder = published(own, root, "c+5")
    again = mmrec.Recommender.load(root, device="cpu")

    assert again.info().versions.catalogue == "c+5"
    assert again.info().items == own.info().items == 61
    before, after = answers(own), answers(again)
    assert len(before) == len(after) == 14
    for one, other in zip(before, after, strict=True):
        assert (one.item_ids, one.missing_ids, one.fallback) == (other.item_ids, other.missing_ids, other.fallback)
        np.testing.assert_allclose([i.score for i in one.items], [i.score for i in other.items], rtol=1e-4, atol=1e-5)
        assert [[s.channel for s in i.shares] for i in one.items] == [
            [s.channel for s in i.shares] for i in other.items
        ]
    assert again.search("quartz reading lamp", k=5).item_ids == own.search("quartz reading lamp", k=5).item_ids
    assert again.list_items(page_size=100).items == own.list_items(page_size=100).items
    assert again.duplicates().groups == own.duplicates().groups
    assert again.items([ids[2], "new-3"]).missing_ids == (ids[2], "new-3")
    assert "61 items, and 2 deleted items that remain" in (folder / "MODEL_CARD.md").read_text()


def test_the_current_version_is_loaded_with_the_same_encoders_unless_it_has_others(
    own: mmrec.Recommender, root: Path
) -> None:
    published(own, root, "c+5")
    same = own.load_current()
    assert same.info().versions.catalogue == "c+5"
    assert same.snapshot().vectors.encoder is own.snapshot().vectors.encoder
    # A version whose items are worded otherwise.
    source = open_bundle(root)
    with BundleWriter(root, preset="p", name="n") as writer:
        for name in source.manifest.files:
            content = source.path(name).read_bytes()
            if name == "encoders/encoders.json":
                described = json.loads(content) | {"words": {"template": "{title}", "columns": None}}
                content = json.dumps(described).encode()
            writer.path(name).write_bytes(content)
        writer.commit(versions=source.manifest.versions, parameters={})
    other = own.load_current()
    assert other.snapshot().vectors.encoder.words.template == "{title}"
    assert other.encoder_version != same.encoder_version == own.encoder_version


def test_a_published_catalogue_can_be_changed_and_published_again(
    own: mmrec.Recommender, root: Path, picture: bytes
) -> None:
    ids = changed(own, picture)
    published(own, root, "c+5")
    again = own.load_current()
    again.upsert_items([lamp("new-4"), lamp(ids[2])])
    again.delete_items(["new-1"])
    own.upsert_items([lamp("new-4"), lamp(ids[2])])
    own.delete_items(["new-1"])
    assert [found.item_ids for found in answers(again)] == [found.item_ids for found in answers(own)]
    folder = published(again, root, "c+8")
    third = own.load_current()
    assert [found.item_ids for found in answers(third)] == [found.item_ids for found in answers(own)]
    assert (folder / "MODEL_CARD.md").read_text().count("What became of it") == 1
    assert open_bundle(root).manifest.parameters["folded"] == {"changes": 5}


def test_the_index_of_a_published_catalogue_is_sound_and_holds_no_gone_item(
    own: mmrec.Recommender, root: Path, picture: bytes
) -> None:
    ids = changed(own, picture)
    # More items of one path than the codebooks ever saw.
    own.upsert_items([lamp(f"same-{number}", title="The very same") for number in range(30)])
    published(own, root, "c+6")
    found = verify_index(root)
    assert (found.faults, found.items) == ((), 91)
    opened = open_index(root)
    assert opened.paths.catalogue.row_of(ids[2]) is None
    assert sorted(opened.index.items_N.tolist()) == np.flatnonzero(opened.paths.catalogue.alive_N).tolist()


def test_a_published_catalogue_is_measured_on_what_can_still_be_recommended(
    own: mmrec.Recommender, root: Path, picture: bytes
) -> None:
    before = evaluate_bundle(root, settings=EvaluationSettings(beam_sample=0, device="cpu"))
    answer = Counter(before.questions.targets).most_common(1)[0][0]
    own.delete_items([answer])
    published(own, root, "c+1")
    after = evaluate_bundle(root, settings=EvaluationSettings(beam_sample=0, device="cpu"))
    assert answer not in after.questions.targets
    assert after.evaluation.questions == sum(target != answer for target in before.questions.targets)
    assert (before.evaluation.items, after.evaluation.items) == (60, 59)
    # One item fewer is in the way of the others.
    places = dict(
        zip(before.questions.user_ids, before.questions.ranks[("popularity", "removed")].above_Q, strict=True)
    )
    now = dict(zip(after.questions.user_ids, after.questions.ranks[("popularity", "removed")].above_Q, strict=True))
    assert all(place <= places[user] for user, place in now.items())
    assert any(place < places[user] for user, place in now.items())


def test_another_version_takes_the_place_of_the_one_being_served(
    own: mmrec.Recommender, root: Path, picture: bytes
) -> None:
    ids = list(ITEM_IDS)
    own.record_events([UserEvent(ids[row], "view", "someone") for row in (0, 2, 3)])
    own.record_events([UserEvent(ids[1], "view", session_id="visit")])
    writer = own.load_current()
    changed(writer, picture)
    published(writer, root, "c+5")
    before = own.snapshot()
    own.adopt(own.load_current())
    # A question that has begun goes on with what was there.
    assert before.recommend_many([RecommendRequest(k=100)])[0].versions == before.versions  # type: ignore[union-attr]
    assert own.info().versions.catalogue == "c+5"
    assert own.recommend([]).versions.catalogue == "c+5"
    assert own.items([ids[2]]).missing_ids == (ids[2],)
    # What was recorded went over, the item that is gone included.
    live = own.snapshot().live
    assert live.of("someone", own.snapshot().parts.catalogue).taken_T.tolist() == [0, 2, 3]
    graphs = live.transitions(own.snapshot().parts.catalogue)
    assert graphs is not None
    counts = graphs[0]
    assert counts.popularity_C[1] == before.parts.transitions.popularity_C[1] + 1
    assert own.record_events([UserEvent("new-1", "view", "someone")]).refused == ()
    # Changes go on from there.
    assert own.upsert_items([lamp("new-9")]).versions.catalogue.startswith("c+5+")


def requantised(own: mmrec.Recommender) -> mmrec.Recommender:
    """The same catalogue under other codebooks, with an LLM that has learned nothing yet."""
    now, bundle = own.snapshot(), own.bundle
    parts = now.parts
    config = TokenizerConfig(levels=2, codebook_size=8)
    fitted = fit_tokenizer(parts.fused_ND.whole(), parts.interactions, config, seed=1)
    index = build_decode_index(fitted.semantic_ids_NP)
    table = parts.generator.catalogue.table()._replace(paths_NP=torch.from_numpy(fitted.semantic_ids_NP.astype(int)))
    parts = parts._replace(
        semantic_ids_NP=Segmented(fitted.semantic_ids_NP),
        decode_index=index,
        tokenizer=fitted.tokenizer,
        generator=Generator(parts.generator.config, table, index.widths),
    )
    versions = replace(bundle.manifest.versions, codebook="b2")
    anew = replace(bundle, manifest=replace(bundle.manifest, versions=versions))
    return mmrec.Recommender(anew, RankingModel(parts, now.ranker.device, now.ranker.dtype), now.vectors.encoder)


def test_semantic_ids_of_the_codebooks_before_can_be_looked_up(
    own: mmrec.Recommender, root: Path, picture: bytes
) -> None:
    ids = list(ITEM_IDS)
    old = own.info().versions.codebook
    paths = {entry.item_id: entry.semantic_id for entry in own.semantic_ids(ids).entries}
    other = requantised(own)
    other.upsert_items([lamp("later", picture)])
    other.delete_items([ids[4]])
    own.adopt(other)

    new = own.info().versions.codebook
    assert (own.info().codebook_versions, new == old) == ((new, old), False)
    found = own.semantic_ids([ids[0], "later", ids[4], "ghost"], codebook_version=old)
    assert (found.entries[0].semantic_id, found.versions.codebook) == (paths[ids[0]], old)
    assert isinstance(found.entries[1].error, NotFoundError)
    assert (found.entries[1].semantic_id, found.missing_ids) == ((), (ids[4], "ghost"))
    assert own.semantic_ids([ids[0], "later"]).entries[1].error is None
    resolved = own.resolve_semantic_ids([paths[ids[0]], paths[ids[4]]], codebook_version=old)
    assert [[item.item_id for item in entry.items] for entry in resolved.entries] == [[ids[0]], []]
    assert resolved.entries[0].items[0].semantic_id == paths[ids[0]]
    # Items that go are found no more, and those that are replaced keep their path of then.
    own.delete_items([ids[0]])
    own.upsert_items([lamp(ids[1])])
    assert own.resolve_semantic_ids([paths[ids[0]][:1]], codebook_version=old).entries[0].total == sum(
        path[0] == paths[ids[0]][0] for item_id, path in paths.items() if item_id not in (ids[0], ids[4])
    )
    assert own.semantic_ids([ids[1]], codebook_version=old).entries[0].semantic_id == paths[ids[1]]
    with pytest.raises(FailedPreconditionError, match=f"{new}|{old}"):
        own.semantic_ids([ids[1]], codebook_version="older")
    # A version of the same codebooks keeps them; the next change of codebooks does not.
    published(own, root, "c+9")
    own.adopt(own.load_current())
    assert own.semantic_ids([ids[1]], codebook_version=old).entries[0].semantic_id == paths[ids[1]]
