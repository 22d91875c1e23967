"""The beam beside exact ranking, on a fitted bundle."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmrec.bundle import open_bundle
from mmrec.data.splits import Split, leave_one_out
from mmrec.errors import InvalidArgumentError
from mmrec.recommender.artefact import read_parts
from mmrec.recommender.ranking_model import RankingModel
from mmrec.training.beam_check import check_beam
from mmrec.training.evaluation import chosen_questions, evaluate

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


@pytest.mark.parametrize(
    ("most", "items", "asked"),
    [
        (None, 60, 120),  # all of a small catalogue
        (None, 2**30 // 50, 120),  # never fewer than 2,000 by default
        (0, 2**40, 120),
        (7, 60, 7),
        (500, 60, 120),
    ],
)
def test_evenly_chosen_users_are_asked(narrow: RankingModel, most: int | None, items: int, asked: int) -> None:
    test = leave_one_out(narrow.parts.interactions).test
    chosen = chosen_questions(test, items, most)
    assert len(chosen.users_U) == len(chosen.histories) == len(chosen.targets_U) == asked
    assert (chosen.users_U[0], chosen.users_U[-1]) == (test.users_U[0], test.users_U[-1])
    for place, user in enumerate(chosen.users_U.tolist()):
        first = test.users_U.tolist().index(user)
        assert chosen.targets_U[place] == test.targets_U[first]
        assert chosen.histories[place].tolist() == test.histories[first].tolist()


def test_a_large_dataset_has_some_of_its_users_asked() -> None:
    users = np.arange(5_000)
    test = Split(users, [np.zeros(1, np.int32)] * 5_000, np.zeros(5_000, np.int32))
    assert len(chosen_questions(test, 2**30 // 3_000).targets_U) == 3_000
    assert len(chosen_questions(test, 10_000_000).targets_U) == 2_000


def test_a_sample_of_nobody_is_refused(narrow: RankingModel) -> None:
    with pytest.raises(InvalidArgumentError, match="sample has 0"):
        check_beam(narrow, leave_one_out(narrow.parts.interactions).test, questions=0)
