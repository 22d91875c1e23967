import torch
from torch import nn

from mmrec.runtime.weights import AveragedWeights, load_trained_weights, trained_weights


def model() -> nn.Sequential:
    made = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    made[1].requires_grad_(False)
    return made


def test_what_is_frozen_is_not_among_the_trained_weights() -> None:
    made = model()
    weights = trained_weights(made)
    assert list(weights) == ["0.weight", "0.bias"]
    with torch.no_grad():
        made[0].weight.zero_()
    assert not weights["0.weight"].eq(0).all()
    load_trained_weights(made, weights)
    assert torch.equal(made[0].weight, weights["0.weight"])


def test_the_average_keeps_its_share_at_each_step_and_less_in_the_beginning() -> None:
    made = model()
    with torch.no_grad():
        made[0].weight.fill_(0.0)
        average = AveragedWeights(made, 0.5)
        made[0].weight.fill_(1.0)
        average.update(1)
        # After one step 2/11 of the average may stay.
        torch.testing.assert_close(average.weights["0.weight"], torch.full((2, 2), 9 / 11))
        made[0].weight.fill_(3.0)
        average.update(1000)
        torch.testing.assert_close(average.weights["0.weight"], torch.full((2, 2), (9 / 11 + 3) / 2))


def test_the_average_is_in_place_for_a_while() -> None:
    made = model()
    average = AveragedWeights(made, 0.9)
    parameter = made[0].weight
    with torch.no_grad():
        parameter.fill_(7.0)
    with average.in_place():
        assert not parameter.eq(7.0).any()
        inside = made(torch.ones(1, 2))
    assert parameter is made[0].weight
    assert parameter.eq(7.0).all()
    assert not torch.equal(inside, made(torch.ones(1, 2)))
