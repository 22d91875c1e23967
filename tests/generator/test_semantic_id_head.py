import numpy as np
import pytest
import torch

from mmrec.generator import semantic_id_head
from mmrec.generator.batches import Batch, pad_histories
from mmrec.generator.config import TrainingConfig
from mmrec.generator.losses import compute_losses, nodes_by_depth
from mmrec.generator.negatives import Drawn
from tests.generator.conftest import make_small


def test_a_node_is_known_by_the_mean_of_the_items_below_it() -> None:
    model, index = make_small(30, codes=3, levels=2)
    head = model.semantic_id_head
    with torch.inference_mode():
        tokens = model.item_tokens()
        keys = head.node_keys(tokens, index)
        for depth in range(index.levels):
            begin = index.item_begin[depth + 1]
            for node, code in enumerate(index.child_code[depth].tolist()):
                below = tokens[index.items_N[begin[node] : begin[node + 1]]].mean(0)
                own = head.code_embedding[depth].weight[code]
                expected = head.scored_norm[depth](head.scored[depth](below) + own)
                assert torch.allclose(keys.scored_PVH[depth][node], expected, atol=1e-5)


def test_nodes_of_one_code_are_told_apart_by_their_items_and_only_with_node_keys() -> None:
    for path_keys, alike in (("nodes", False), ("codes", True)):
        model, index = make_small(30, codes=3, levels=2, path_keys=path_keys)
        head = model.semantic_id_head
        with torch.inference_mode():
            keys = model.node_keys(model.item_tokens(), index)
            first, second = torch.nonzero(index.child_code[1] == index.child_code[1][0]).flatten()[:2]
            assert torch.equal(keys.written(first, 2), keys.written(second, 2)) is alike
            # The root's first two children: a state scores them by what they are, or by their codes.
            children = index.children(torch.tensor([0, 1]), 1)
            scores = head.child_log_probs(torch.arange(16.0).expand(2, -1), children, 1, keys)
            shared = set(children.codes[0].tolist()) & set(children.codes[1].tolist())
            assert shared == {0, 1, 2}
            assert torch.allclose(scores[0], scores[1], atol=1e-6) is alike


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_scores_picked_from_all_nodes_are_those_of_picked_keys(depth: int) -> None:
    model, index = make_small(40, codes=3, levels=2)
    keys = model.node_keys(model.item_tokens().detach(), index)
    nodes = torch.arange(index.nodes[depth])
    state = torch.randn(len(nodes), 16)
    with torch.enable_grad():
        picked_scores = model.semantic_id_head.child_log_probs(state, index.children(nodes, depth), depth, keys)
    with torch.no_grad():
        picked_keys = model.semantic_id_head.child_log_probs(state, index.children(nodes, depth), depth, keys)
    assert torch.allclose(picked_scores, picked_keys, atol=1e-5)


def test_keys_picked_in_parts_score_as_keys_picked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, index = make_small(40, codes=3, levels=2)
    with torch.inference_mode():
        keys = model.node_keys(model.item_tokens(), index)
        children = index.children(torch.arange(9).expand(2, -1), 2)
        state = torch.randn(2, 9, 16)
        at_once = model.semantic_id_head.child_log_probs(state, children, 2, keys)
        monkeypatch.setattr(semantic_id_head, "PICKED_AT_ONCE", 4 * 16 * children.nodes.shape[2])
        assert torch.allclose(model.semantic_id_head.child_log_probs(state, children, 2, keys), at_once, atol=1e-5)


@pytest.mark.parametrize("path_keys", ["nodes", "codes"])
def test_steps_of_a_search_give_what_the_whole_path_gives(path_keys: str) -> None:
    model, index = make_small(40, codes=3, levels=3, path_keys=path_keys, decoder_layers=2)
    head = model.semantic_id_head
    history, valid = pad_histories([np.array(h, dtype=np.int32) for h in ([1, 2, 3, 4], [5], [6, 7])], 8)
    with torch.inference_mode():
        tokens = model.item_tokens()
        keys = head.node_keys(tokens, index)
        memory = model.read(history, valid, tokens)
        query = memory.last().unsqueeze(1)
        written, prefix = head.begin(memory), ()
        beams = 1
        for depth in range(index.levels):
            nodes = prefix[-1] if prefix else None
            state, written = head.step(nodes, written, keys)
            visible = valid.unsqueeze(1).expand(-1, beams, -1)
            whole = head(prefix, query.expand(-1, beams, -1), memory, visible, keys)[:, :, -1]
            assert torch.allclose(state, whole, atol=1e-5)
            # Every beam goes on twice, in another order than it came.
            parents = torch.arange(beams).flip(0).repeat_interleave(2).expand(3, -1)
            written, beams = written.of_beams(parents), 2 * beams
            prefix = tuple(nodes.gather(1, parents) for nodes in prefix)
            children = torch.randint(0, index.nodes[depth + 1], (3, beams), generator=torch.manual_seed(depth))
            prefix = (*prefix, children)


def test_the_heads_loss_changes_nothing_in_the_llm() -> None:
    model, index = make_small(20, residual_dropout=0.0)
    history = torch.tensor([[1, 2, 3], [4, 5, 0]])
    valid = torch.tensor([[True, True, True], [True, True, False]])
    losses = compute_losses(
        model.train(),
        Batch(history, torch.tensor([[2, 3, 6], [5, 7, 0]]), valid),
        index,
        nodes_by_depth(index),
        TrainingConfig(semantic_id_share=1.0),
    )
    losses.semantic_id.backward()
    reached = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert reached == {"semantic_id_head"}
    assert (losses.item_places, losses.semantic_id_places) == (5, 5)


def test_a_step_against_drawn_items_has_the_loss_of_the_whole_when_all_are_drawn() -> None:
    model, index = make_small(12)
    batch = Batch(
        torch.tensor([[1, 2, 3], [4, 5, 0]]),
        torch.tensor([[2, 3, 6], [5, 7, 0]]),
        torch.tensor([[True, True, True], [True, True, False]]),
    )
    config = TrainingConfig(semantic_id_share=1.0)
    whole = compute_losses(model, batch, index, nodes_by_depth(index), config)
    drawn = Drawn(torch.arange(12), torch.zeros(12))
    sampled = compute_losses(model, batch._replace(drawn=drawn), index, nodes_by_depth(index), config)
    assert sampled.item.item() == pytest.approx(whole.item.item(), abs=1e-5)
    assert sampled.semantic_id.item() == pytest.approx(whole.semantic_id.item(), abs=1e-5)


def test_a_step_against_drawn_items_changes_nothing_in_items_it_does_not_touch() -> None:
    model, index = make_small(30, followers=0)
    batch = Batch(
        torch.tensor([[3]]), torch.tensor([[7]]), torch.tensor([[True]]), Drawn(torch.tensor([9]), torch.zeros(1))
    )
    compute_losses(model, batch, index, nodes_by_depth(index), TrainingConfig()).item.backward()
    touched = {3, 7, 9}
    lenders = {
        lender
        for neighbours in (model.catalogue.table().followers, model.catalogue.table().alike)
        for row in touched
        for lender in neighbours.rows_NK[row].tolist()
    }
    changed = torch.nonzero(model.catalogue.residual.weight.grad.abs().sum(1)).flatten().tolist()
    assert set(changed) <= touched | lenders
    assert touched <= set(changed)
