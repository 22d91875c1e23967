"""Padded and recorded answers against `Generator.read` and `beam_search`; on a CPU the padded way runs unrecorded."""

import gc
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import graphed
from benchmarks.graphed import Answer, GraphedSearch, Shape
from benchmarks.graphed_reader import GraphedReader
from mmrec.errors import InvalidArgumentError
from mmrec.filters.mask import EligibilityMask
from mmrec.generator.backbone import build_backbone
from mmrec.generator.batches import pad_histories
from mmrec.generator.beam import beam_search
from mmrec.generator.config import GeneratorConfig
from mmrec.semantic_ids.eligibility import eligible
from mmrec.semantic_ids.path_search import PathResult
from tests.generator.conftest import Small, make_small
from tests.generator.test_backbone import tiny_qwen3

ITEMS, LONGEST = 200, 24
CPU = torch.device("cpu")
Asked = tuple[list[np.ndarray], list[np.ndarray], list[EligibilityMask | None]]


def made(seed: int = 0, *, items: int = ITEMS, path_keys: str = "nodes", device: torch.device = CPU) -> Small:
    model, index = make_small(
        items, seed=seed, codes=5, levels=3, qk_norm=True, max_history=LONGEST, layers=2, path_keys=path_keys
    )
    return Small(model.to(device), index.to(device))


def searching(
    small: Small, *, width: int = 20, dtype: torch.dtype = torch.float32, record: bool = True
) -> GraphedSearch:
    model, index = small
    with torch.inference_mode():
        tokens = model.item_tokens()
        return GraphedSearch(
            GraphedReader(model, dtype), tokens, index, model.node_keys(tokens, index), width=width, record=record
        )


def asked(small: Small, batch: int, seed: int, *, within: bool, longest: int = LONGEST + 5) -> Asked:
    """Histories of mixed lengths, some longer than what is read; what was seen is left out; sets for some."""
    rng = np.random.default_rng(seed)
    items = len(small.index.items_N)
    place_N = small.index.place_of_rows(items).cpu().numpy()
    histories = [rng.integers(0, items, rng.integers(1, longest)).astype(np.int32) for _ in range(batch)]
    sets = [
        EligibilityMask(rng.random(items) < rng.choice([0.02, 0.3])) if within and row % 3 != 1 else None
        for row in range(batch)
    ]
    return histories, [place_N[history] for history in histories], sets


@torch.inference_mode()
def expected(small: Small, asked: Asked, *, width: int = 20) -> PathResult:
    model, index = small
    histories, left_out, within = asked
    history, valid = pad_histories(histories, model.config.max_history)
    tokens = model.item_tokens()
    memory = model.read(history.to(tokens.device), valid.to(tokens.device), tokens)
    allowed = eligible(index, left_out, within)
    return beam_search(model.semantic_id_head, memory, allowed, index, model.node_keys(tokens, index), width=width)


def assert_same(found: Answer, wanted: PathResult, atol: float = 1e-4) -> None:
    # Equal probabilities computed in another order differ in the last bit: items may change places where they tie.
    assert torch.allclose(found.paths.log_probs_BW, wanted.log_probs_BW, atol=atol)
    pairs: Sequence = list(zip(found.paths.items_BW.tolist(), wanted.items_BW.tolist(), strict=True))
    assert all(len(set(one) ^ set(other)) <= 2 for one, other in pairs)
    assert sum(one == other for one, other in pairs) >= len(pairs) / 2


def test_requests_are_padded_to_few_shapes() -> None:
    assert Shape.holding(1, 1) == Shape(1, 16, 0, False)
    assert Shape.holding(3, 333, 333, within=True) == Shape(4, 336, 512, True)
    assert Shape.holding(8, 16, 1) == Shape(8, 16, 64, False)
    assert Shape.holding(9, 1000, 4096) == Shape(16, 1024, 4096, False)


@pytest.mark.parametrize("path_keys", ["nodes", "codes"])
@pytest.mark.parametrize("within", [False, True])
def test_what_is_padded_changes_nothing(path_keys: str, within: bool) -> None:
    small = made(path_keys=path_keys)
    search = searching(small)
    for batch, seed in ((1, 0), (3, 1), (3, 2), (5, 3)):
        question = asked(small, batch, seed, within=within)
        confined = any(one is not None for one in question[2])
        shape = search.prepare(batch, LONGEST, max(map(len, question[1])), within=confined)
        assert shape in search.recorded
        found = search.recommend(*question)
        assert_same(found, expected(small, question))
        assert found.state_BH.shape == (batch, 16)
    assert all(shape.batch in (1, 4, 8) for shape in search.recorded)


def test_a_shape_that_was_not_prepared_is_answered_all_the_same_on_a_cpu() -> None:
    small = made()
    search = searching(small)
    question = asked(small, 3, 0, within=True)
    assert_same(search.recommend(*question), expected(small, question))
    assert search.recorded == {}


def test_nothing_left_out_and_no_sets() -> None:
    small = made()
    search = searching(small)
    histories, nothing = asked(small, 2, 0, within=False)[0], [np.empty(0, np.int64)] * 2
    assert search.prepare(2, LONGEST) == Shape(2, 24, 0, False)
    found = search.recommend(histories, nothing)
    assert_same(found, expected(small, (histories, nothing, [None, None])))


def test_a_customer_who_may_be_given_nothing_gets_nothing() -> None:
    small = made()
    search = searching(small)
    search.prepare(2, LONGEST, 0, within=True)
    histories = [np.array([1, 2], np.int32)] * 2
    closed = EligibilityMask(np.zeros(ITEMS, bool))
    found = search.recommend(histories, [np.empty(0, np.int64)] * 2, [closed, None])
    assert set(found.paths.items_BW[0].tolist()) == {-1}
    assert min(found.paths.items_BW[1].tolist()) >= 0


def test_a_changed_catalogue_has_answers_of_its_own_and_the_old_one_keeps_its() -> None:
    old, new = made(seed=0), made(seed=1, items=230)
    before = searching(old)
    before.prepare(2, LONGEST, 30)
    question = asked(old, 2, 5, within=False)
    with torch.inference_mode():
        # The weights of the old model over another catalogue.
        model = old.model.with_catalogue(
            new.model.catalogue.table()._replace(warm_N=torch.zeros(230, dtype=torch.bool))
        )
        tokens = model.item_tokens()
        after = before.with_catalogue(tokens, new.index, model.node_keys(tokens, new.index))
    changed = Small(model, new.index)
    assert after.recorded == {}
    after.prepare(2, LONGEST, 30)
    later = asked(changed, 2, 6, within=False)
    assert_same(after.recommend(*later), expected(changed, later))
    assert_same(before.recommend(*question), expected(old, question))


def test_bfloat16_is_float32_to_its_rounding() -> None:
    small = made()
    search = searching(small, dtype=torch.bfloat16)
    question = asked(small, 3, 0, within=False)
    found, wanted = search.recommend(*question), expected(small, question)
    assert found.state_BH.dtype == torch.bfloat16
    for row in range(3):
        exact = dict(zip(wanted.items_BW[row].tolist(), wanted.log_probs_BW[row].tolist(), strict=True))
        pairs = zip(found.paths.items_BW[row].tolist(), found.paths.log_probs_BW[row].tolist(), strict=True)
        both = [(score, exact[item]) for item, score in pairs if item in exact]
        assert len(both) >= 15
        assert all(abs(score - right) < 0.25 for score, right in both)


def test_a_pretrained_model_is_asked_itself(tmp_path: Path) -> None:
    backbone = build_backbone(GeneratorConfig(pretrained=str(tiny_qwen3(tmp_path))))
    model, index = make_small(ITEMS, codes=5, levels=3, max_history=LONGEST, backbone=backbone)
    small = Small(model, index)
    search = searching(small)
    assert search.prepare(1, LONGEST) is None
    question = asked(small, 2, 0, within=False)
    assert_same(search.recommend(*question), expected(small, question))


def test_sets_that_take_too_much_memory_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    search = searching(made())
    monkeypatch.setattr(graphed, "MOST_SET_BYTES", 4 * 4 * (ITEMS + 1))
    assert search.prepare(4, LONGEST, within=True) == Shape(4, 24, 0, True)
    assert search.prepare(5, LONGEST, within=True) is None
    assert search.prepare(5, LONGEST) == Shape(8, 24, 0, False)
    assert search.prepare(65, LONGEST) is None
    assert search.prepare(1, LONGEST, 4097) is None


def test_when_the_beam_has_no_width() -> None:
    with pytest.raises(InvalidArgumentError, match="beam width is 0"):
        searching(made(), width=0)


def test_what_is_recorded_is_given_back_with_the_catalogue_it_belongs_to() -> None:
    search = searching(made())
    search.prepare(1, LONGEST)
    kept = weakref.ref(search)
    gc.disable()
    try:
        del search
        assert kept() is None
    finally:
        gc.enable()


# --- recorded -------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize("path_keys", ["nodes", "codes"])
def test_replays_answer_as_reading_and_searching_do(path_keys: str) -> None:
    small = made(path_keys=path_keys, device=torch.device("cuda"))
    search = searching(small)
    for seed in range(3):
        for batch in (1, 2, 3, 8, 13):
            for within in (False, True):
                question = asked(small, batch, 100 * seed + batch, within=within)
                assert_same(search.recommend(*question), expected(small, question))
    assert {shape.batch for shape in search.recorded} == {1, 2, 4, 8, 16}


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_replay_gives_what_the_same_way_gives_without_a_recording(dtype: torch.dtype) -> None:
    small = made(device=torch.device("cuda"))
    recorded, plain = searching(small, dtype=dtype), searching(small, dtype=dtype, record=False)
    atol = 1e-4 if dtype == torch.float32 else 0.1
    for seed in range(4):
        question = asked(small, 4, seed, within=seed % 2 == 1)
        assert_same(recorded.recommend(*question), plain.recommend(*question).paths, atol)
    assert len(recorded.recorded) >= 2
    assert plain.recorded == {}


@pytest.mark.gpu
def test_bfloat16_replays_are_float32_to_their_rounding() -> None:
    small = made(device=torch.device("cuda"))
    search = searching(small, dtype=torch.bfloat16)
    for seed in range(3):
        question = asked(small, 4, seed, within=False)
        found, wanted = search.recommend(*question).paths, expected(small, question)
        for row in range(4):
            exact = dict(zip(wanted.items_BW[row].tolist(), wanted.log_probs_BW[row].tolist(), strict=True))
            pairs = zip(found.items_BW[row].tolist(), found.log_probs_BW[row].tolist(), strict=True)
            both = [(score, exact[item]) for item, score in pairs if item in exact]
            assert len(both) >= 14
            assert all(abs(score - right) < 0.3 for score, right in both)


@pytest.mark.gpu
def test_recordings_of_a_catalogue_are_not_used_for_the_next() -> None:
    device = torch.device("cuda")
    old, new = made(seed=0, device=device), made(seed=1, items=230, device=device)
    before = searching(old)
    question = asked(old, 2, 5, within=True)
    first = before.recommend(*question)
    with torch.inference_mode():
        table = new.model.catalogue.table()
        model = old.model.with_catalogue(table._replace(warm_N=torch.zeros(230, dtype=torch.bool, device=device)))
        model.to(device)
        tokens = model.item_tokens()
        after = before.with_catalogue(tokens, new.index, model.node_keys(tokens, new.index))
    changed = Small(model, new.index)
    for seed in range(3):
        later = asked(changed, 2, seed, within=True)
        assert_same(after.recommend(*later), expected(changed, later))
        again = before.recommend(*question)
        assert again.paths.items_BW.tolist() == first.paths.items_BW.tolist()
    assert before.recorded
    assert after.recorded


@pytest.mark.gpu
def test_an_answer_stays_as_it_is_when_the_next_one_is_given() -> None:
    small = made(device=torch.device("cuda"))
    search = searching(small)
    first = search.recommend(*asked(small, 2, 0, within=False))
    kept = [part.clone() for part in first.paths]
    for seed in range(1, 5):
        search.recommend(*asked(small, 2, seed, within=False))
    assert all(torch.equal(one, other) for one, other in zip(first.paths, kept, strict=True))
