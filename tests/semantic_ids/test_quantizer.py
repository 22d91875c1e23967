import numpy as np
import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.semantic_ids.quantizer import QuantizerConfig, ResidualQuantizer, fit_quantizer


def test_each_level_quantises_what_the_level_before_left_over() -> None:
    quantizer = ResidualQuantizer(np.array([[[0.0], [10.0]], [[-1.0], [1.0]]], dtype=np.float32))
    codes = quantizer.encode(np.array([[11.0], [-0.6], [9.4]], dtype=np.float32))
    assert codes.tolist() == [[1, 1], [0, 0], [1, 0]]
    assert quantizer.decode(codes).ravel().tolist() == [11.0, -1.0, 9.0]


def test_the_lower_code_wins_a_tie() -> None:
    quantizer = ResidualQuantizer(np.array([[[1.0], [-1.0]]], dtype=np.float32))
    assert quantizer.encode(np.array([[0.0]], dtype=np.float32)).tolist() == [[0]]


def test_clusters_that_are_far_apart_get_codes_of_their_own() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[10, 0], [-10, 0], [0, 10], [0, -10]], dtype=np.float32)
    points = np.repeat(centres, 40, axis=0) + rng.normal(scale=0.1, size=(160, 2)).astype(np.float32)
    quantizer = fit_quantizer(points, QuantizerConfig(levels=2, codebook_size=4), seed=0)
    first = quantizer.encode(points)[:, 0]
    assert [len(set(first[start : start + 40])) for start in range(0, 160, 40)] == [1, 1, 1, 1]
    assert len(set(first.tolist())) == 4


def test_more_levels_come_closer() -> None:
    points = np.random.default_rng(1).normal(size=(600, 8)).astype(np.float32)
    errors = []
    for levels in (1, 2, 3):
        quantizer = fit_quantizer(points, QuantizerConfig(levels=levels, codebook_size=16), seed=0)
        errors.append(float(((quantizer.decode(quantizer.encode(points)) - points) ** 2).sum()))
    assert errors[0] > errors[1] > errors[2]


def test_the_same_seed_gives_the_same_codebooks() -> None:
    points = np.random.default_rng(2).normal(size=(500, 4)).astype(np.float32)
    first, second = (fit_quantizer(points, QuantizerConfig(), seed=3).codebooks_LKD for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(("items", "codes"), [(1, 2), (400, 8), (1_645, 32), (12_101, 256), (10_000_000, 256)])
def test_small_catalogues_get_small_codebooks(items: int, codes: int) -> None:
    assert QuantizerConfig().codes_for(items) == codes


def test_a_single_item_can_be_quantised() -> None:
    point = np.array([[0.6, 0.8]], dtype=np.float32)
    quantizer = fit_quantizer(point, QuantizerConfig(levels=2), seed=0)
    assert np.allclose(quantizer.decode(quantizer.encode(point)), point)


@pytest.mark.parametrize("bad", [np.zeros((0, 4), dtype=np.float32), np.full((3, 4), np.nan, dtype=np.float32)])
def test_when_there_is_nothing_finite_to_quantise(bad: np.ndarray) -> None:
    with pytest.raises(InvalidArgumentError):
        fit_quantizer(bad, QuantizerConfig(), seed=0)


@pytest.mark.parametrize("bad", [{"levels": 0}, {"codebook_size": 1}, {"codebook_size": 70_000}, {"iterations": 0}])
def test_a_configuration_that_cannot_be_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(bad))):
        QuantizerConfig(**bad)
