import numpy as np
import pytest
import torch

from benchmarks.decode_pairs import count_violations
from benchmarks.decode_peer import LanguageModelScorer, SpelledCodes
from mmrec.semantic_ids.decode_index import build_decode_index
from mmrec.semantic_ids.eligibility import eligible
from mmrec.semantic_ids.path_search import search_paths
from mmrec.semantic_ids.semantic_ids import assign_semantic_ids


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("width", [1, 4, 12])
def test_the_search_finds_what_generate_finds_with_the_same_scores(seed: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    paths = assign_semantic_ids(rng.integers(0, 5, size=(60, 3)).astype(np.int32))
    peer = SpelledCodes(paths, hidden=16, layers=2, heads=2, device=torch.device("cpu"), sharpness=8.0)
    histories = [rng.integers(0, 60, 5).astype(np.int32) for _ in range(3)]
    index = build_decode_index(paths)
    found = search_paths(
        LanguageModelScorer(peer, histories, index), eligible(index, [[]] * len(histories)), index, width=width
    )
    assert found.items_BW.tolist() == peer.generate(histories, width)


def test_random_filters_are_never_violated() -> None:
    assert count_violations(500) == {"pairs": 10_000, "wrong": 0, "short": 0}
