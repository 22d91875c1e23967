"""A fit that starts from the bundle of another catalogue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmrec.bundle import open_bundle
from mmrec.errors import InvalidArgumentError
from mmrec.generator.config import GeneratorConfig
from mmrec.recommender import Recommender
from mmrec.training import FitConfig, plan_fit
from mmrec.training.starting import start_generator, started_config
from tests.generator.conftest import make_small


def test_the_decoder_is_the_other_bundles_and_items_have_no_residuals(demo_bundle: Path) -> None:
    other = Recommender.load(demo_bundle).snapshot().parts.generator
    bundle = open_bundle(demo_bundle)
    config = started_config(GeneratorConfig(hidden=64, layers=4, max_history=8), bundle)
    assert (config.hidden, config.layers, config.heads, config.max_history) == (32, 1, 2, 8)
    model = make_small(hidden=32, layers=1, heads=2).model
    before = model.catalogue.project.weight.clone()
    start_generator(model, bundle, fused=6)
    for name, weight in model.backbone.state_dict().items():
        assert weight.equal(other.backbone.state_dict()[name]), name
    assert not model.catalogue.residual.weight.any()
    taken = model.catalogue.project.weight
    assert taken[:, :6].equal(other.catalogue.project.weight[:, :6])
    assert not taken.equal(before)


def test_a_plan_has_the_shape_of_the_bundles_decoder(demo_dataset: Path, demo_bundle: Path) -> None:
    started, fresh = (
        plan_fit(demo_dataset, FitConfig(start_from=start, encoders_from="")) for start in (str(demo_bundle), "")
    )
    assert started.parameters < fresh.parameters / 2


def test_a_bundle_brings_its_own_models(demo_bundle: Path) -> None:
    start = str(demo_bundle)
    with pytest.raises(InvalidArgumentError, match="encoders_from is given as well"):
        FitConfig(start_from=start, encoders_from=start)
    with pytest.raises(InvalidArgumentError, match="image_model or text_model"):
        FitConfig(start_from=start, text_model="some-model")
    with pytest.raises(InvalidArgumentError, match="a pretrained LLM is given as well"):
        FitConfig(start_from=start, generator=replace(GeneratorConfig(), pretrained="some-model"))
