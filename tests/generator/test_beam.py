import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmrec.errors import InvalidArgumentError
from mmrec.filters.mask import EligibilityMask
from mmrec.generator.batches import pad_histories
from mmrec.generator.beam import beam_search, exact_is_cheaper, exact_log_probs, exact_search, generate
from mmrec.generator.model import Generator
from mmrec.generator.semantic_id_head import EncodedHistory, KVCache, NodeKeys, SemanticIdHead
from mmrec.semantic_ids.decode_index import Children, DecodeIndex
from mmrec.semantic_ids.eligibility import Eligibility, eligible
from mmrec.semantic_ids.path_search import PathResult, search_paths
from tests.generator.conftest import make_small


def read(model: Generator, histories: list[list[int]]) -> EncodedHistory:
    history, valid = pad_histories([np.array(h, dtype=np.int32) for h in histories], model.config.max_history)
    with torch.inference_mode():
        return model.read(history, valid, model.item_tokens())


def keys_of(model: Generator, index: DecodeIndex) -> NodeKeys:
    with torch.inference_mode():
        return model.node_keys(model.item_tokens(), index)


def everything(customers: int, index: DecodeIndex) -> Eligibility:
    return eligible(index, [[]] * customers)


def of_masks(masks_BN: npt.NDArray[np.bool_], index: DecodeIndex) -> Eligibility:
    return eligible(index, [[]] * len(masks_BN), [EligibilityMask(mask_N) for mask_N in masks_BN])


def searched(
    model: Generator, index: DecodeIndex, histories: list[list[int]], width: int, allowed: Eligibility | None = None
) -> PathResult:
    allowed = allowed or everything(len(histories), index)
    memory, keys = read(model, histories), keys_of(model, index)
    return beam_search(model.semantic_id_head, memory, allowed, index, keys, width=width)


@settings(max_examples=60)
@given(
    items=st.integers(1, 60),
    seed=st.integers(0, 10_000),
    codes=st.integers(1, 4),
    levels=st.integers(1, 3),
    batch=st.integers(1, 4),
    open_share=st.floats(0, 1),
    path_keys=st.sampled_from(["nodes", "codes"]),
)
def test_a_beam_as_wide_as_the_catalogue_is_the_exact_ranking(
    items: int, seed: int, codes: int, levels: int, batch: int, open_share: float, path_keys: str
) -> None:
    model, index = make_small(items, seed=seed, codes=codes, levels=levels, path_keys=path_keys)
    rng = np.random.default_rng(seed)
    memory = read(model, [rng.integers(0, items, rng.integers(1, 9)).tolist() for _ in range(batch)])
    keys, head = keys_of(model, index), model.semantic_id_head
    open_BN = rng.random((batch, items)) < open_share
    allowed = of_masks(open_BN, index)
    beam = beam_search(head, memory, allowed, index, keys, width=items)
    exact = exact_search(head, memory, allowed, index, keys, width=items)
    log_probs = exact_log_probs(head, memory, index, keys)
    for row in range(batch):
        rows = np.flatnonzero(open_BN[row])
        best = log_probs[row, rows].sort(descending=True).values
        for found in (beam, exact):
            items_found = found.items_BW[row, : len(rows)].tolist()
            # Equal probabilities computed in another order differ in the last bit: compare the probabilities in order.
            assert sorted(items_found) == rows.tolist()
            assert torch.allclose(log_probs[row, items_found], best, atol=1e-5)
            assert torch.allclose(found.log_probs_BW[row, : len(rows)], best, atol=1e-5)
            assert set(found.items_BW[row, len(rows) :].tolist()) <= {-1}


def test_probabilities_of_all_items_sum_to_one() -> None:
    model, index = make_small(50, codes=4, levels=3)
    exact = exact_log_probs(model.semantic_id_head, read(model, [[1, 2, 3], [4]]), index, keys_of(model, index))
    assert exact.exp().sum(1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)


def test_scores_are_log_probabilities_among_all_items_whatever_is_left_out() -> None:
    model, index = make_small(50, codes=4, levels=3)
    exact = exact_log_probs(model.semantic_id_head, read(model, [[1, 2, 3]]), index, keys_of(model, index))
    places = index.place_of_rows(50).numpy()
    found = searched(model, index, [[1, 2, 3]], 5, eligible(index, [places[:40]]))
    rows = found.items_BW[0].tolist()
    assert min(rows) >= 40
    assert torch.allclose(found.log_probs_BW[0], exact[0, rows], atol=1e-5)


def test_a_customer_gets_the_same_alone_and_beside_others() -> None:
    model, index = make_small(40)
    histories = [[1, 2, 3, 4, 5], [6], [7, 8]]
    together = searched(model, index, histories, 10)
    for row, history in enumerate(histories):
        assert together.items_BW[row].tolist() == searched(model, index, [history], 10).items_BW[0].tolist()


def test_a_beam_wider_than_the_catalogue_is_as_wide_as_the_catalogue() -> None:
    model, index = make_small(3)
    assert sorted(searched(model, index, [[0]], 99).items_BW[0].tolist()) == [0, 1, 2]


def test_a_catalogue_of_one_item() -> None:
    model, index = make_small(1)
    found = searched(model, index, [[0]], 5)
    assert found.items_BW.tolist() == [[0]]
    assert found.log_probs_BW.tolist() == [[0.0]]


@pytest.mark.parametrize("items", [1, 5])
def test_when_nothing_is_eligible(items: int) -> None:
    model, index = make_small(items)
    found = searched(model, index, [[0]], 5, of_masks(np.zeros((1, items), dtype=bool), index))
    assert set(found.items_BW[0].tolist()) == {-1}


def test_when_the_beam_has_no_width() -> None:
    model, index = make_small(5)
    with pytest.raises(InvalidArgumentError, match="beam width is 0"):
        searched(model, index, [[0]], 0)


def test_a_catalogue_that_is_no_larger_than_the_beam_is_ranked_exactly() -> None:
    model, index = make_small(40, codes=3, levels=2)
    assert index.nodes == (1, 3, 9, 40)
    # One root, three nodes under it and nine below have a choice; a beam of nine decodes as many.
    assert index.choices == (1, 3, 9)
    assert [exact_is_cheaper(index, width) for width in (2, 3, 8, 9, 10)] == [False, False, False, True, True]
    head, memory, keys = model.semantic_id_head, read(model, [[1, 2]]), keys_of(model, index)
    for width in (4, 40):
        found = generate(head, memory, everything(1, index), index, keys, width=width)
        search = exact_search if width == 40 else beam_search
        assert found.items_BW.tolist() == (
            search(head, memory, everything(1, index), index, keys, width=width).items_BW.tolist()
        )


class EveryBeam:
    """A scorer that decodes every beam at every step."""

    def __init__(self, head: SemanticIdHead, memory: EncodedHistory, keys: NodeKeys) -> None:
        self.head, self.keys, self.cache = head, keys, head.begin(memory)

    def step(self, nodes_BW: Tensor, children: Children, depth: int) -> Tensor:
        state_BWH, self.cache = self.head.step(nodes_BW if depth else None, self.cache, self.keys)
        return self.head.child_log_probs(state_BWH, children, depth, self.keys)

    def keep(self, parents_BW: Tensor) -> None:
        self.cache = self.cache.of_beams(parents_BW)


@pytest.mark.parametrize("path_keys", ["nodes", "codes"])
@pytest.mark.parametrize("histories", [[[1, 2, 3]], [[1, 2, 3], [4], [5, 6]]])
def test_beams_with_one_item_below_them_are_not_decoded_and_nothing_else_changes(
    path_keys: str, histories: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, index = make_small(120, codes=6, levels=3, path_keys=path_keys, decoder_layers=2)
    decoded: list[int] = []
    step = SemanticIdHead.step

    def counting(
        head: SemanticIdHead, nodes: Tensor | None, written: KVCache, keys: NodeKeys
    ) -> tuple[Tensor, KVCache]:
        decoded.append(1 if nodes is None else nodes.shape[1])
        return step(head, nodes, written, keys)

    monkeypatch.setattr(SemanticIdHead, "step", counting)
    found = searched(model, index, histories, 30)
    few = decoded.copy()
    decoded.clear()
    with torch.inference_mode():
        scorer = EveryBeam(model.semantic_id_head, read(model, histories), keys_of(model, index))
        every = search_paths(scorer, everything(len(histories), index), index, width=30)
    assert decoded == [1, 6, 30, 30]
    assert few[:2] == [1, 6]
    assert len(few) == 4
    assert max(few[2:]) < 30
    assert found.items_BW.tolist() == every.items_BW.tolist()
    assert torch.allclose(found.log_probs_BW, every.log_probs_BW, atol=1e-5)


@pytest.mark.gpu
def test_the_gpu_finds_the_same_items() -> None:
    model, index = make_small(200, codes=5, levels=3)
    histories = [[1, 2, 3], [4]]
    left_out = [index.place_of_rows(200).numpy()[:20], []]
    on_cpu = searched(model, index, histories, 20, eligible(index, left_out))
    device = torch.device("cuda")
    model.to(device)
    index = index.to(device)
    history, valid = pad_histories([np.array(h, dtype=np.int32) for h in histories], 8)
    with torch.inference_mode():
        memory = model.read(history.to(device), valid.to(device), model.item_tokens())
    on_gpu = beam_search(
        model.semantic_id_head, memory, eligible(index, left_out), index, keys_of(model, index), width=20
    )
    assert torch.allclose(on_gpu.log_probs_BW.cpu(), on_cpu.log_probs_BW, atol=1e-4)
