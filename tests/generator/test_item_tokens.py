import numpy as np
import pytest
import scipy.sparse as sp
import torch

from mmrec.errors import InvalidArgumentError
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.item_tokens import ItemTable, ItemTokens, Neighbours, neighbours_of

ITEMS = 6


def tokens_of(warm: list[bool], **config: object) -> ItemTokens:
    sizes = {"hidden": 8, "heads": 2, "residual_dropout": 0.0} | config
    rng = np.random.default_rng(0)
    pairs = Neighbours(torch.tensor([[1, 2]] * ITEMS), torch.tensor([[0.75, 0.25]] * ITEMS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ItemTokens(
            GeneratorConfig(**sizes),  # type: ignore[arg-type]
            ItemTable(
                torch.from_numpy(rng.normal(size=(ITEMS, 5)).astype(np.float32)),
                torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [2, 0]]),
                torch.tensor(warm),
                followers=pairs,
                alike=pairs,
            ),
            (3, 3),
            8,
        )


def test_a_hidden_item_looks_exactly_like_one_that_training_has_never_seen() -> None:
    never = tokens_of([False] * ITEMS).eval()()
    hidden = tokens_of([True] * ITEMS, residual_dropout=0.9999999).train()()
    assert torch.equal(hidden, never)


def test_a_warm_item_has_more_than_its_content() -> None:
    assert not torch.equal(tokens_of([True] * ITEMS).eval()(), tokens_of([False] * ITEMS).eval()())


def test_neighbours_lend_their_residuals_in_their_shares() -> None:
    tokens = tokens_of([False] * ITEMS).eval()
    before = tokens()
    with torch.no_grad():
        tokens.residual.weight[1] += 4.0
    # Of all items, since each has item 1 for a neighbour by words; nothing else of an unseen item is learned.
    assert (tokens() - before).abs().amax(1).min() > 0
    with torch.no_grad():
        tokens.residual.weight[1] -= 4.0
        tokens.residual.weight[5] += 4.0
    assert torch.allclose(tokens(), before, atol=1e-6)


def test_the_asked_rows_are_those_of_the_whole() -> None:
    tokens = tokens_of([True, True, False, True, True, False]).eval()
    assert torch.allclose(tokens(torch.tensor([4, 2, 2])), tokens()[[4, 2, 2]], atol=1e-6)


def test_without_ids_nothing_that_is_learned_per_item_matters() -> None:
    tokens = tokens_of([True] * ITEMS, use_ids=False).eval()
    before = tokens()
    with torch.no_grad():
        tokens.residual.weight.normal_()
    assert torch.equal(tokens(), before)


def test_without_content_nothing_but_ids_matters() -> None:
    tokens = tokens_of([True] * ITEMS, use_content=False).eval()
    before = tokens()
    with torch.no_grad():
        tokens.content_NC.normal_()
        tokens.code_embedding[0].weight.normal_()
    assert torch.equal(tokens(), before)


def test_the_strongest_columns_become_shares_and_the_lower_wins_ties() -> None:
    strength = sp.csr_array(np.array([[0.0, 3.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 2.0]]))
    found = neighbours_of(strength, 2)
    assert found.rows_NK.tolist() == [[1, 2], [0, 0], [3, 0]]
    assert found.weights_NK.tolist() == [[0.75, 0.25], [0.0, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize("name", ["followers", "alike", "sketch"])
def test_a_negative_number_of_neighbours_or_dimensions(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{name} is -1; it must be at least 0"):
        GeneratorConfig(**{name: -1})  # type: ignore[arg-type]


def test_unknown_keys_of_paths() -> None:
    with pytest.raises(InvalidArgumentError, match="path_keys is 'words'; it must be one of nodes, codes"):
        GeneratorConfig(path_keys="words")  # type: ignore[arg-type]
