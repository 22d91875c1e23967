import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.errors import InvalidArgumentError
from mmrec.generator.batches import pad_histories
from mmrec.generator.beam import beam_search, exact_log_probs
from mmrec.generator.model import Generator
from mmrec.generator.semantic_id_head import Memory, NodeKeys
from mmrec.tokens.decode_index import DecodeIndex
from tests.generator.conftest import make_small


def read(model: Generator, histories: list[list[int]]) -> Memory:
    history, valid = pad_histories([np.array(h, dtype=np.int32) for h in histories], model.config.max_history)
    with torch.inference_mode():
        return model.read(history, valid, model.item_tokens())


def keys_of(model: Generator, index: DecodeIndex) -> NodeKeys:
    with torch.inference_mode():
        return model.node_keys(model.item_tokens(), index)


def brute_force(log_probs: torch.Tensor, eligible: torch.Tensor, paths: np.ndarray) -> list[int]:
    """All eligible items by probability, ties by path: what a search must equal."""
    rows = [row for row in range(len(paths)) if eligible[row]]
    return sorted(rows, key=lambda row: (-float(log_probs[row]), tuple(paths[row])))


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
def test_a_beam_as_wide_as_the_catalogue_equals_brute_force(
    items: int, seed: int, codes: int, levels: int, batch: int, open_share: float, path_keys: str
) -> None:
    model, index = make_small(items, seed=seed, codes=codes, levels=levels, path_keys=path_keys)
    rng = np.random.default_rng(seed)
    memory = read(model, [rng.integers(0, items, rng.integers(1, 9)).tolist() for _ in range(batch)])
    eligible = torch.from_numpy(rng.random((batch, items)) < open_share)
    found = beam_search(model.semantic_id_head, memory, eligible, index, keys_of(model, index), width=items)
    exact = exact_log_probs(model.semantic_id_head, memory, index, keys_of(model, index))
    for row in range(batch):
        best = [item for item in found.items_BW[row].tolist() if item >= 0]
        expected = brute_force(exact[row], eligible[row], index.paths())
        # Equal probabilities computed in another order differ in the last bit: compare the probabilities in order.
        assert sorted(best) == sorted(expected)
        assert torch.allclose(exact[row, best], exact[row, expected], atol=1e-5)
        assert torch.allclose(found.log_probs_BW[row, : len(best)], exact[row, best], atol=1e-5)


@settings(max_examples=40)
@given(items=st.integers(2, 60), seed=st.integers(0, 10_000), width=st.integers(1, 20), open_share=st.floats(0, 1))
def test_a_narrow_beam_returns_as_many_eligible_items_as_it_is_wide_and_invents_none(
    items: int, seed: int, width: int, open_share: float
) -> None:
    model, index = make_small(items, seed=seed, codes=3, levels=2)
    eligible = torch.from_numpy(np.random.default_rng(seed).random((1, items)) < open_share)
    found = beam_search(
        model.semantic_id_head, read(model, [[0, 1]]), eligible, index, keys_of(model, index), width=width
    )
    best = [item for item in found.items_BW[0].tolist() if item >= 0]
    assert len(best) == len(set(best)) == min(width, int(eligible.sum()))
    assert all(eligible[0, item] for item in best)
    assert found.log_probs_BW[0].tolist() == sorted(found.log_probs_BW[0].tolist(), reverse=True)


def test_probabilities_of_all_items_sum_to_one() -> None:
    model, index = make_small(50, codes=4, levels=3)
    exact = exact_log_probs(model.semantic_id_head, read(model, [[1, 2, 3], [4]]), index, keys_of(model, index))
    assert exact.exp().sum(1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)


def test_a_customer_gets_the_same_alone_and_beside_others() -> None:
    model, index = make_small(40)
    histories = [[1, 2, 3, 4, 5], [6], [7, 8]]
    together = beam_search(
        model.semantic_id_head,
        read(model, histories),
        torch.ones(3, 40, dtype=torch.bool),
        index,
        keys_of(model, index),
        width=10,
    )
    for row, history in enumerate(histories):
        alone = beam_search(
            model.semantic_id_head,
            read(model, [history]),
            torch.ones(1, 40, dtype=torch.bool),
            index,
            keys_of(model, index),
            width=10,
        )
        assert together.items_BW[row].tolist() == alone.items_BW[0].tolist()


def test_a_beam_wider_than_the_catalogue_is_as_wide_as_the_catalogue() -> None:
    model, index = make_small(3)
    found = beam_search(
        model.semantic_id_head,
        read(model, [[0]]),
        torch.ones(1, 3, dtype=torch.bool),
        index,
        keys_of(model, index),
        width=99,
    )
    assert sorted(found.items_BW[0].tolist()) == [0, 1, 2]


def test_a_catalogue_of_one_item() -> None:
    model, index = make_small(1)
    found = beam_search(
        model.semantic_id_head,
        read(model, [[0]]),
        torch.ones(1, 1, dtype=torch.bool),
        index,
        keys_of(model, index),
        width=5,
    )
    assert found.items_BW.tolist() == [[0]]
    assert found.log_probs_BW.tolist() == [[0.0]]


def test_when_nothing_is_eligible() -> None:
    model, index = make_small(5)
    found = beam_search(
        model.semantic_id_head,
        read(model, [[0]]),
        torch.zeros(1, 5, dtype=torch.bool),
        index,
        keys_of(model, index),
        width=5,
    )
    assert set(found.items_BW[0].tolist()) == {-1}


def test_when_the_beam_has_no_width() -> None:
    model, index = make_small(5)
    with pytest.raises(InvalidArgumentError, match="beam width is 0"):
        beam_search(
            model.semantic_id_head,
            read(model, [[0]]),
            torch.ones(1, 5, dtype=torch.bool),
            index,
            keys_of(model, index),
            width=0,
        )


@pytest.mark.gpu
def test_the_gpu_finds_the_same_items() -> None:
    model, index = make_small(200, codes=5, levels=3)
    histories = [[1, 2, 3], [4]]
    eligible = torch.ones(2, 200, dtype=torch.bool)
    on_cpu = beam_search(
        model.semantic_id_head, read(model, histories), eligible, index, keys_of(model, index), width=20
    )
    device = torch.device("cuda")
    model.to(device)
    history, valid = pad_histories([np.array(h, dtype=np.int32) for h in histories], 8)
    with torch.inference_mode():
        memory = model.read(history.to(device), valid.to(device), model.item_tokens())
    on_gpu = beam_search(
        model.semantic_id_head,
        memory,
        eligible.to(device),
        index.to(device),
        keys_of(model, index.to(device)),
        width=20,
    )
    assert torch.allclose(on_gpu.log_probs_BW.cpu(), on_cpu.log_probs_BW, atol=1e-4)
