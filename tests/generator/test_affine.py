import pytest
import torch
import torch.nn.functional as F

from mmrec.generator.affine import affine, even_rows


@pytest.mark.parametrize("rows", [0, 1, 3, 64, 300])
@pytest.mark.parametrize("biased", [False, True])
def test_a_product_is_that_of_a_linear_layer(rows: int, biased: bool) -> None:
    draw = torch.Generator().manual_seed(rows)
    x, weight = torch.randn(2, rows, 128, generator=draw), torch.randn(256, 128, generator=draw)
    bias = torch.randn(256, generator=draw) if biased else None
    with torch.inference_mode():
        expected = F.linear(x, weight, bias)
        assert torch.allclose(affine(x, weight, bias), expected, atol=1e-4)
        assert torch.allclose(affine(x, weight, bias, gelu=True), F.gelu(expected), atol=1e-4)


def test_rows_that_do_not_lie_side_by_side_are_multiplied_as_they_are() -> None:
    wide, weight = torch.randn(3, 100, 256), torch.randn(128, 128)
    with torch.inference_mode():
        found = affine(wide[:, ::2, 64:192], weight)
        assert torch.allclose(found, F.linear(wide[:, ::2, 64:192].contiguous(), weight), atol=1e-4)


def test_where_gradients_are_wanted_they_come() -> None:
    x, weight = torch.randn(100, 128, requires_grad=True), torch.randn(128, 128, requires_grad=True)
    affine(x, weight, gelu=True).sum().backward()
    own, expected = torch.autograd.grad(F.gelu(F.linear(x, weight)).sum(), [x, weight])
    for leaf, gradient in ((x, own), (weight, expected)):
        assert leaf.grad is not None
        assert torch.allclose(leaf.grad, gradient, atol=1e-4)


def test_half_precision_stays_what_it_is_asked_to_be() -> None:
    x, weight = torch.randn(100, 128), torch.randn(128, 128)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert affine(x, weight).dtype == torch.bfloat16
    with torch.inference_mode():
        assert affine(x.double(), weight.double()).dtype == torch.float64


def test_sizes_are_few_and_little_above_what_is_asked_for() -> None:
    assert [even_rows(rows) for rows in (0, 1, 31, 32, 33, 50, 51, 64, 65, 800, 1001)] == [
        0,
        1,
        31,
        32,
        34,
        50,
        52,
        64,
        68,
        800,
        1024,
    ]
    sizes = {even_rows(rows) for rows in range(1, 16_385)}
    assert len(sizes) == 31 + 9 * 16 + 1
    assert all(rows <= even_rows(rows) <= 1.07 * rows + 1 for rows in range(1, 5000))
