"""The beam beside exact ranking, on a fitted bundle."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmrec.bundle import open_bundle
from mmrec.data.splits import leave_one_out
from mmrec.errors import InvalidArgumentError
from mmrec.recommender.artefact import read_parts
from mmrec.recommender.ranking_model import RankingModel
from mmrec.training.beam_check import check_beam
from mmrec.training.evaluation import evaluate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def narrow(demo_bundle: Path) -> RankingModel:
    """The demo bundle with a beam of one in service."""
    cpu = torch.device("cpu")
    return RankingModel(read_parts(open_bundle(demo_bundle), cpu)._replace(beam_width=1), cpu, torch.float32)


def test_a_narrow_beam_is_widened_to_the_longest_list_and_no_further(narrow: RankingModel) -> None:
    split = leave_one_out(narrow.parts.interactions)
    check = check_beam(narrow, split.test, questions=12, cutoffs=(3, 5))
    assert (check.width, check.questions, check.of) == (5, 12, 120)
    assert all(0 < share <= 1 for share in check.overlap.values())
    assert check.beam.users == check.exact.users == 12
    for key, (difference, (low, high)) in check.differences.items():
        metric, _, k = key.partition("@")
        ours, theirs = getattr(check.beam, metric)[int(k)], getattr(check.exact, metric)[int(k)]
        assert difference == pytest.approx(ours - theirs)
        assert low - 1e-9 <= difference <= high + 1e-9


def test_the_evaluation_never_uses_a_beam_narrower_than_the_longest_list(narrow: RankingModel) -> None:
    split = leave_one_out(narrow.parts.interactions)
    found = evaluate(narrow, narrow.parts.blends, split.train, split.test, cutoffs=(5, 10))
    beam = found.row("semantic-id-beam")
    # A beam of one would give lists of one, without a pair to be diverse.
    assert beam.lists is not None
    assert np.isfinite(beam.lists.diversity[10])
    assert beam.recall[5] <= beam.recall[10]


def test_a_sample_of_nobody_is_refused(narrow: RankingModel) -> None:
    with pytest.raises(InvalidArgumentError, match="sample has 0"):
        check_beam(narrow, leave_one_out(narrow.parts.interactions).test, questions=0)
