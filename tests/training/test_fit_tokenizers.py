"""Fitting with each kind of semantic IDs: the bundle is read back, recommends, and says what the IDs are like."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmrec.bundle import open_bundle
from mmrec.contract.items import ItemInput
from mmrec.contract.replies import EmbedResults, ItemEmbedding
from mmrec.contract.requests import EmbedRequest
from mmrec.recommender import Recommender
from mmrec.semantic_ids.collaborative import CollaborativeConfig
from mmrec.semantic_ids.config import TokenizerConfig
from mmrec.semantic_ids.rq_vae import RqVaeConfig
from mmrec.training import fit_dataset
from tests.conftest import tiny_fit

pytestmark = pytest.mark.slow

ITEMS = "item_id\ttitle\tkind\n" + "".join(f"i{n}\tthing number {n}\t{'ab'[n % 2]}\n" for n in range(12))
EVENTS = "user_id\titem_id\tposition\n" + "".join(f"u{u}\ti{(u + n) % 12}\t{n}\n" for u in range(6) for n in range(4))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "items.tsv").write_text(ITEMS, encoding="utf-8")
    (folder / "events.tsv").write_text(EVENTS, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("tokenizer", "levels", "embeds"),
    [
        (TokenizerConfig(collaborative=CollaborativeConfig(weight=0.5, dimension=4)), 3, True),
        (TokenizerConfig(kind="rq-vae", rq_vae=RqVaeConfig(hidden=(8,), latent=4, steps=4)), 3, True),
        (TokenizerConfig(kind="opq", levels=4, iterations=2), 4, True),
        (TokenizerConfig(kind="collaborative", levels=2), 2, False),
    ],
    ids=["residual-kmeans+customers", "rq-vae", "opq", "collaborative"],
)
def test_a_bundle_with_other_semantic_ids(
    dataset: Path, tmp_path: Path, tokenizer: TokenizerConfig, levels: int, embeds: bool
) -> None:
    config = replace(tiny_fit(), tokenizer=tokenizer)
    result = fit_dataset(dataset, tmp_path / "bundle", config)
    assert len(result.tokens.depths) == levels

    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.read_json("metrics.json")["tokens"] == result.tokens.as_json()
    assert f"`{tokenizer.kind}`, {levels} levels of" in bundle.read_text("MODEL_CARD.md")
    assert "share a `kind` with a purity of" in bundle.read_text("MODEL_CARD.md")

    recommender = Recommender.load(tmp_path / "bundle", device="cpu")
    assert recommender.info().levels == levels + 1
    (found,) = recommender.embed_many([EmbedRequest(items=(ItemInput(item_id="new", title="thing number 99"),))])
    assert isinstance(found, EmbedResults)
    (entry,) = found.items
    assert isinstance(entry, ItemEmbedding)
    assert len(entry.semantic_id) == (levels if embeds else 0)
