import numpy as np
import pytest

from mmrec.semantic_ids.opq import ProductQuantizer, fit_product_quantizer
from mmrec.semantic_ids.quantizer import QuantizerConfig

CONFIG = QuantizerConfig(levels=4, codebook_size=16, iterations=5)


def points(items: int = 600, dimension: int = 16) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(items, dimension)).astype(np.float32)


def test_each_level_quantises_a_piece_of_the_rotated_embedding() -> None:
    swapped = np.array([[0, 1], [1, 0]], dtype=np.float32)
    quantizer = ProductQuantizer(swapped, np.array([[[0.0], [1.0]], [[0.0], [2.0]]], dtype=np.float32), 2)
    codes = quantizer.encode(np.array([[1.9, 0.1], [0.2, 0.9]], dtype=np.float32))
    assert codes.tolist() == [[0, 1], [1, 0]]
    assert quantizer.decode(codes).tolist() == [[2.0, 0.0], [0.0, 1.0]]


def test_the_rotation_keeps_lengths() -> None:
    rotation = fit_product_quantizer(points(), CONFIG, seed=0).rotation_RR
    assert np.allclose(rotation @ rotation.T, np.eye(16), atol=1e-4)


def test_the_rotation_helps_where_pieces_depend_on_each_other() -> None:
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(800, 4)) * [8, 4, 1, 0.2]
    data = (hidden @ np.linalg.qr(rng.normal(size=(4, 4)))[0]).astype(np.float32)
    config = QuantizerConfig(levels=2, codebook_size=16, iterations=10)
    fitted = fit_product_quantizer(data, config, seed=0)
    turned = ((fitted.decode(fitted.encode(data)) - data) ** 2).sum()
    assert turned < 0.2 * ((data - data.mean(axis=0)) ** 2).sum()
    assert fitted.widths == (16, 16)


@pytest.mark.parametrize(("levels", "dimension"), [(3, 16), (4, 3), (5, 7)])
def test_dimensions_that_the_levels_do_not_divide(levels: int, dimension: int) -> None:
    data = points(200, dimension)
    fitted = fit_product_quantizer(data, QuantizerConfig(levels=levels, codebook_size=4, iterations=3), seed=0)
    codes = fitted.encode(data)
    assert codes.shape == (200, levels)
    assert fitted.decode(codes).shape == data.shape
    assert ((fitted.decode(codes) - data) ** 2).mean() < (data**2).mean()


def test_the_same_seed_gives_the_same_codes() -> None:
    first, second = (fit_product_quantizer(points(), CONFIG, seed=3).tensors() for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_single_item_can_be_quantised() -> None:
    point = np.array([[0.6, 0.8, 0.0]], dtype=np.float32)
    fitted = fit_product_quantizer(point, QuantizerConfig(levels=2, iterations=2), seed=0)
    assert np.allclose(fitted.decode(fitted.encode(point)), point, atol=1e-4)
