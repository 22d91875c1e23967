from collections.abc import Iterator

import pytest
import torch

from mmrec.generator.threads import single_thread_if_small


@pytest.fixture(autouse=True)
def _own_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("threads", "rows", "weights", "inside"),
    [
        (2, 50, 128 * 1024, 1),
        (2, 64, 128 * 1024, 1),
        (2, 65, 128 * 1024, 2),
        (2, 50, 1024 * 1024, 2),
        (1, 50, 128 * 1024, 1),
        (4, 50, 128 * 1024, 4),
    ],
)
def test_of_two_threads_one_does_what_is_small(threads: int, rows: int, weights: int, inside: int) -> None:
    torch.set_num_threads(threads)
    with single_thread_if_small(rows, weights):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == threads


def test_the_threads_come_back_after_an_error() -> None:
    torch.set_num_threads(2)
    with pytest.raises(ValueError, match="wrong"), single_thread_if_small(1, 1):
        raise ValueError("wrong")
    assert torch.get_num_threads() == 2
